"""The matrix unit's handshakes, cycle by cycle, without its data.

:func:`systolic_sim.cycles.schedule.schedule` predicts a program whose streams never stall. This model follows any
sequence of stalls, cycle by cycle. It mirrors the registers of the RTL that determine handshakes.
"""

__all__ = ["SteppedMatrixUnit"]


class _Queue:
    """Entries of :class:`systolic.gateware.lib.queue.Queue`: in memory, and whether each stage behind it has one."""

    __slots__ = ("_depth", "_fetched", "_level", "_stages", "ready", "valid")

    def __init__(self, depth, stages):
        self._depth, self._stages = depth, stages
        self._level, self._fetched = 0, False
        self.ready, self.valid = True, False

    def step(self, write, taking):
        """Advance a cycle in which an entry comes if ``write``, and the one at the output goes if ``taking``."""
        level = self._level
        moves = taking or not self.valid
        if self._stages == 1:
            read = moves and level > 0
            if moves:
                self.valid = read
        else:
            if moves:
                self.valid = self._fetched
            if read := (moves or not self._fetched):
                self._fetched = read = level > 0
        if write != read:
            self._level = level = level + 1 if write else level - 1
            self.ready = level < self._depth


class SteppedMatrixUnit:
    """Handshakes of a matrix unit, fresh from reset.

    Parameters
    ----------
    config : Config
        The matrix unit.

    Members
    -------
    weights_ready, rows_ready, results_valid : bool
        Outputs in the cycle to come; they depend on nothing that happens in it.
    cycle : int
        Cycles stepped.
    active : bool
        In the cycle just stepped, a row went into the array.
    weight_shift, weight_stall : bool
        None did because its tile had not been loaded, while weights of it went in, or not even that.
    """

    __slots__ = ("_beats", "_credit", "_credits", "_flight", "_fresh", "_give", "_head", "_held", "_last_one",
                 "_latest", "_loaded", "_results", "_rows", "_spare", "_start", "_sure", "_take", "_turnaround",
                 "_weights", "active", "cycle", "results_valid", "rows_ready", "weight_shift", "weight_stall",
                 "weights_ready")

    def __init__(self, config):
        stages = config.fifo_stages
        self._weights = _Queue(config.weight_fifo_rows - stages, stages)
        self._results = _Queue(config.result_fifo_depth - stages, stages)
        self._rows = config.arch.rows
        self._turnaround = config.turnaround
        # Last rows between gate and result FIFO: a bit each, moving to the right.
        self._flight, self._start = 0, 1 << config.latency - stages - 3
        # When a row went that had an accumulator address.
        self._latest = [-config.turnaround] * config.arch.accumulator_depth
        self._credits, self._credit, self._take, self._give = config.result_fifo_depth, True, False, False
        # Whether two credits are left, whether the gate was held, whether the last one is sure.
        self._sure, self._held, self._last_one = True, False, False
        self._beats, self._loaded = 0, False
        self._head, self._spare, self._fresh = None, None, True
        self.cycle = 0
        self.weights_ready = self.rows_ready = True
        self.results_valid = self.active = self.weight_shift = self.weight_stall = False

    def step(self, weights_valid, row, results_ready):
        """Advance one clock cycle.

        Parameters
        ----------
        weights_valid : bool
            A row of weights is on offer.
        row : tuple of (int, bool, bool, bool) or None
            The activation row on offer: address, ``None`` if it only fills a window, accumulate, switch, last.
        results_ready : bool
            A result would be taken.

        Returns
        -------
        tuple of (bool, bool, bool)
            Whether a row of weights and an activation row were accepted, and a result taken.
        """
        weights_taken = weights_valid and self.weights_ready
        row_taken = row is not None and self.rows_ready
        result_taken = results_ready and self.results_valid
        goes = self.active = self._head_goes()
        last = switches = False
        if goes:
            address, _, switches, last = self._head
            if address is not None:
                self._latest[address] = self.cycle
        self._load(weights_taken, switches)
        self._queue_result(last, result_taken, results_ready)
        if goes or self._head is None:
            self._advance(row if row_taken else self._spare)
        elif row_taken:
            self._spare = row
        self.rows_ready = self._spare is None
        self.cycle += 1
        return weights_taken, row_taken, result_taken

    def _head_goes(self):
        """Whether the row at the head of the gate goes into the array; if not, whether weights are why."""
        self.weight_shift = self.weight_stall = False
        if self._head is None:
            return False
        address, accumulate, switches, last = self._head
        if switches and not self._loaded:
            self.weight_shift = self._weights.valid
            self.weight_stall = not self.weight_shift
            return False
        return ((not accumulate or self.cycle - self._latest[address] >= self._turnaround)
                and (not last or self._credit))

    def _advance(self, row):
        """Let the row on offer, or the spare, take the head."""
        self._spare = None
        if self._fresh and row is not None:
            self._fresh = False
            row = row[0], row[1], True, row[3]
        self._head = row

    def _load(self, written, switched):
        """Weights into the FIFO, and from it into the shadow weights if these are free or just being switched in."""
        weights = self._weights
        free = switched or not self._loaded
        if switched:
            self._loaded = False
        if free and weights.valid:
            self._beats += 1
            if self._beats == self._rows:
                self._beats, self._loaded = 0, True
        weights.step(written, free)
        self.weights_ready = weights.ready

    def _queue_result(self, started, taken, ready):
        """Last rows on their way, results in their FIFO, and the credits, which are counted a cycle late."""
        results = self._results
        results.step(self._flight & 1, ready)
        self.results_valid = results.valid
        self._flight >>= 1
        if started:
            self._flight |= self._start
        sure_of_one = self._credits > 0 and self._take <= self._give
        if self._take != self._give:
            if self._take:
                self._sure = self._credits > 2
                self._credits -= 1
            else:
                self._sure = self._credits > 0
                self._credits += 1
        self._credit = self._sure or self._last_one
        self._last_one = sure_of_one and self._held and not self._credit
        self._held = not self._credit
        self._take, self._give = started, taken
