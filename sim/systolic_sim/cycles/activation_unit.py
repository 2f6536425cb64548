"""The activation unit, cycle by cycle."""

import collections
import itertools

from systolic import isa

__all__ = ["ActivationUnit"]

# As in the gateware: cycles of requantisation, from an operand to its write, and from a step to its address.
_LATENCY, _SUM_TO_WRITE, _ADDRESS = 12, 16, 3

_Step = collections.namedtuple("_Step", "read final address count outside overlap row_end last")
_Place = collections.namedtuple("_Place", "address count last error")


class ActivationUnit:
    """Mirrors :class:`systolic.gateware.activation.unit.ActivationUnit`.

    Parameters
    ----------
    config : TpuConfig

    Members
    -------
    command_ready, results_ready, done, busy, moving : bool
    error : tuple of int or None
        Code and index.
    read : int or None
        Address it asks for.
    write : tuple of int or None
        Address and count.
    """

    def __init__(self, config):
        self.config = config
        self._mask = (1 << config.address_width) - 1
        # Stages behind which an output of add, pool and activate enters the chain, and its length.
        sums = _LATENCY + _ADDRESS + config.READ_LATENCY + 2
        self._entrances = {"add": 0, "pool": _LATENCY, "activate": sums}
        self._stages, self._early_stages = sums + _SUM_TO_WRITE - _ADDRESS, (1 << sums + 1) - 1
        self._state, self._failed, self._missing = "idle", False, False
        self._index = self._active_index = 0
        self._op = self._active = None
        self._steps = self._now = self._made = self._step = self._checked = self._token = None
        self._chain, self._places = 0, collections.deque()
        self._number = self._left = self._piece = self._address = self._under_way = 0
        self.read = self.write = self.error = None
        self.done = False
        self._show()

    def _show(self):
        """Outputs that follow from the registers."""
        under_way = bool(self._steps_busy() or self._chain)
        self.command_ready = self._state == "idle" and not self._failed
        self.results_ready = (self._state == "steps" and not self._failed and self._op.name == "activate"
                              and self._now.row_end)
        self.moving = under_way or self._under_way > 0
        self.busy = self._state != "idle" or under_way or self.write is not None

    def step(self, command=None, results_valid=False):
        """Advance one clock.

        Parameters
        ----------
        command : tuple or None
            (index, Operation) on offer.
        results_valid : bool
            A row of sums is on offer.
        """
        failed, self.read = self._failed, None
        self._early = bool(self._steps_busy() or self._chain & self._early_stages)
        self._quiet = not (self._steps_busy() or self._chain or self._under_way)
        self._leave_chain()
        self._enter_chain()
        self._check()
        self._checked, self._step, self._made, self._fetched = self._step, self._made, None, False
        if self._state == "steps":
            if not failed:
                self._go_on(results_valid)
        elif self._state == "idle":
            if command is not None and self.command_ready:
                self._index, self._op = command
                self._state = "load"
        else:
            getattr(self, f"_in_{self._state}")()
        self._under_way = (self._under_way << 1 | self._fetched) & (1 << self.config.READ_LATENCY + 2) - 1
        self._show()

    def _steps_busy(self):
        return self._made or self._step or self._checked or self._token

    def _leave_chain(self):
        """The output that comes to the end of the chain is written."""
        self.write, self.error, self.done = None, None, False
        if self._chain >> self._stages - 1:
            place = self._places.popleft()
            if place.error:
                self.error = (place.error, self._active_index)
            else:
                self.write, self.done = (place.address, place.count), place.last

    def _enter_chain(self):
        self._chain = self._chain << 1 & (1 << self._stages) - 1
        if self._token:
            self._places.append(self._token)
            self._chain |= 1 << self._entrances[self._active]

    def _check(self):
        """The step of three cycles before, its addresses now known."""
        step, self._token = self._checked, None
        if step is None or self._failed:
            return
        error = isa.ErrorCode.REGION if step.outside else isa.ErrorCode.OVERLAP if step.overlap else None
        if step.final or error:
            self._token = _Place(step.address, step.count, step.last, error)
        if not step.outside:
            self.read = step.read
        self._failed = error is not None

    def _go_on(self, results_valid):
        if self._active != "activate" or results_valid:
            self._made = self._now
            self._now = next(self._steps, None)
            if self._now is None:
                self._state = "idle"

    # Of each state but these two, what a cycle in it does.

    def _in_load(self):
        op, self._missing, self._number, self._piece = self._op, False, 0, 0
        self._address, self._left = getattr(op, "parameters", 0) & self._mask, 1
        if op.name == "load_table":
            self._address, self._left, self._state = op.from_base & self._mask, isa.TABLE_BYTES, "wait"
            return
        if op.name == "add":
            self._left = 3
        elif op.name == "activate" and op.per_channel:
            self._left = op.channels
        if not self._early:
            self._state = "records"

    def _in_records(self):
        op = self._op
        self._missing = op.name == "activate" and self._number >= op.parameters_size // isa.RECORD_BYTES
        self._piece += 1
        if self._missing:
            self._state = "wait"
        elif self._piece < self.config.record_reads:
            self._fetch(self.config.banks, whole=False)
        else:
            self._piece, self._state = 0, "wait" if self._left == 1 else self._state
            self._fetch(isa.RECORD_BYTES - (self.config.record_reads - 1) * self.config.banks)

    def _in_wait(self):
        if not self._quiet:
            return
        op = self._op
        self._active, self._active_index = op.name, self._index
        if self._missing:
            self.error, self._state = (isa.ErrorCode.REGION, self._index), "dead"
        elif op.name == "load_table":
            self._state = "table"
        else:
            self._steps = self._walk(op)
            self._now, self._state = next(self._steps), "steps"

    def _in_table(self):
        if self._left == 1:
            self._state = "finish"
        self._fetch(1)

    def _in_finish(self):
        if not self._under_way:
            self.done, self._state = True, "idle"

    def _in_dead(self):
        pass

    def _fetch(self, step, whole=True):
        self.read, self._fetched = self._address, True
        self._address = self._address + step & self._mask
        self._number += whole
        self._left -= whole

    def _walk(self, op):
        """Every step of an instruction in order."""
        inputs = getattr(self, f"_{op.name}_inputs")(op.values)
        mask, lanes, channels = self._mask, self.config.lanes, op.channels
        in_place, end = any(isa.overlaps(op)), 0
        for y, x in itertools.product(range(op.y_count), range(op.x_count)):
            output = y * op.y_stride + x * op.x_stride
            last_output = y == op.y_count - 1 and x == op.x_count - 1
            for done in range(0, channels, lanes):
                count, row_end = min(lanes, channels - done), done + lanes >= channels
                offset = output + done & mask
                outside = offset + count > op.size
                reads = list(inputs(y, x))
                kept = op.name == "add" and done // lanes % self.config.groups_per_read
                for number, (base, size, place) in enumerate(reads):
                    place, final = place + done & mask, number == len(reads) - 1
                    bad = base is not None and place + count > size or final and outside
                    yield _Step(None if base is None or kept else base + place & mask, final,
                                op.base + offset & mask, count, bad, in_place and final and offset < end,
                                row_end and final, last_output and row_end)
                end = offset + count

    # Base, size and place in it of what an output reads; base None for a step without.

    def _activate_inputs(self, op):
        return lambda y, x: [(None, 0, 0)]

    def _add_inputs(self, op):
        def inputs(y, x):
            yield op["from_base"], op["from_size"], y * op["from_y_stride"] + x * op["from_x_stride"]
            yield op["other_base"], op["other_size"], y * op["other_y_stride"] + x * op["other_x_stride"]
            yield None, 0, 0
        return inputs

    def _pool_inputs(self, op):
        def inputs(y, x):
            begin = op["start"] - op["from_base"] + y * op["from_y_stride"] + x * op["from_x_stride"]
            for ky, kx in itertools.product(range(op["ky_count"]), range(op["kx_count"])):
                yield op["from_base"], op["from_size"], begin + ky * op["ky_stride"] + kx * op["kx_stride"]
        return inputs
