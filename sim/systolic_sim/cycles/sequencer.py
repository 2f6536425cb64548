"""The sequencer with its fetcher and scoreboard, cycle by cycle."""

from systolic import isa

from .queue import Queue

__all__ = ["EXECUTORS", "Fetcher", "Sequencer"]

EXECUTORS = isa.UNITS[1:]


class Fetcher:
    """Mirrors :class:`systolic.gateware.sequencer.fetch.Fetcher`.

    Members
    -------
    request : int or None
        Bus words it asks for.
    valid : bool
        A bus word is there.
    empty : bool
    """

    def __init__(self, config):
        self.beats = isa.BYTES // config.bus_bytes
        self.chunk = min(self.beats, 1 << config.burst_beats.bit_length() - 1)
        self.address, self._left, self._reserved = 0, 0, 0
        self._queue = Queue(2 * self.beats)
        self._bus_bytes = config.bus_bytes
        self._show()

    def _show(self):
        room = self._reserved <= 2 * self.beats - self.chunk
        self.request = (self.address, self.chunk) if self._left and room else None
        self.valid = self._queue.head is not None
        self.empty = not self._reserved and not self._left

    def step(self, start, cancel, request_ready, beat, take):
        """Advance one clock.

        Parameters
        ----------
        start : tuple of int or None
            Address and instructions of a program to begin.
        cancel, request_ready, beat, take : bool
        """
        ask = self.request is not None and request_ready
        self._reserved += ask * self.chunk - (take and self.valid)
        self._queue.step(True if beat else None, take)
        if ask:
            self.address += self.chunk * self._bus_bytes
            self._left -= 1
        if start:
            self.address, self._left = start[0], start[1] * (self.beats // self.chunk)
        if cancel:
            self._left = 0
        self._show()


class Sequencer:
    """Mirrors :class:`systolic.gateware.sequencer.sequencer.Sequencer`, for programs without errors.

    Parameters
    ----------
    config : TpuConfig
    program : list of Operation
    address : int
        Where it is in memory.

    Members
    -------
    program : list of Operation
    commands : list
        For each unit (index, operation), or ``None``.
    running, halted, issued : bool
    """

    def __init__(self, config, program, address=0):
        self.fetcher = Fetcher(config)
        self.program, self._address = program, address
        self._regions = [_regions(each) for each in program]
        self._state, self._index, self._loaded, self._slot = "idle", 0, 0, 0
        self._under_way = [[] for _ in EXECUTORS]
        self._composed = []
        # Of the cycle before: whether the unit at hand has room for an instruction, and a command at its door.
        self._room, self._shut = False, False
        # Whether the region at hand conflicted with one under way.
        self._conflicts = False
        self.commands = [None] * len(EXECUTORS)
        self.running = self.halted = self.issued = False

    def step(self, start, request_ready, beat, command_ready, done, rows_empty):
        """Advance one clock; ``command_ready`` and ``done`` have a value for each unit."""
        state, cancel, begin, issue = self._state, False, None, None
        self.issued = self.halted = False
        operation = self.program[self._index] if self._index < len(self.program) else None
        take = state in ("load", "drain")
        room, shut = self._room, self._shut
        if operation is not None and operation.instruction.unit in EXECUTORS:
            unit = EXECUTORS.index(operation.instruction.unit)
            self._room, self._shut = len(self._under_way[unit]) < 2, self.commands[unit] is not None
        if state == "idle":
            if start:
                begin = self._address, len(self.program)
                self._state, self._index, self.running = "load", 0, True
        elif state == "load":
            if self.fetcher.valid:
                self._loaded += 1
                if self._loaded == self.fetcher.beats:
                    self._loaded, self._state, self._slot = 0, "decode", 0
        elif state == "decode":
            self._state = "judge"
        elif state == "judge":
            self._state = "select"
        elif state == "select":
            self._select(operation)
        elif state == "bound":
            if room:
                self._state = "meet"
        elif state == "meet":
            self._state = "settle"
        elif state == "settle":
            self._state, self._conflicts = "compare", self._conflict(operation)
        elif state == "compare":
            if not self._conflicts:
                self._composed.append(self._regions[self._index][self._slot])
                self._slot += 1
                self._go_on()
            self._conflicts = self._conflicts and self._conflict(operation)
        elif state == "issue":
            issue = unit if room and not shut else None
        elif state == "quiet":
            if rows_empty and not any(self._under_way):
                if operation.name == "halt":
                    cancel, self._state, self.issued = True, "drain", True
                else:
                    self._next()
        elif state == "drain" and self.fetcher.empty:
            self._state, self.running, self.halted = "idle", False, True
        for number, command in enumerate(self.commands):
            if command is not None and command_ready[number]:
                self.commands[number] = None
        for number, finished in enumerate(done):
            if finished:
                self._under_way[number].pop(0)
        if issue is not None:
            self.commands[issue] = self._index, operation
            self._under_way[issue].append(self._composed)
            self._composed = []
            self._next()
        self.fetcher.step(begin, cancel, request_ready, beat, take)

    def _next(self):
        self._state, self._index, self.issued = "load", self._index + 1, True

    def _select(self, operation):
        unit = operation.instruction.unit
        if unit == "sequencer":
            if operation.instruction.waits:
                self._state = "quiet"
            else:
                self._next()
        else:
            self._go_on()

    def _conflict(self, operation):
        """Whether the region at hand conflicts with one under way."""
        mine = EXECUTORS.index(operation.instruction.unit)
        region = self._regions[self._index][self._slot]
        return any(_conflict(region, other, number == mine)
                   for number, entries in enumerate(self._under_way) for regions in entries for other in regions)

    def _go_on(self):
        """To the next region or, behind the last, to the issue."""
        self._state = "bound" if self._slot < len(self._regions[self._index]) else "issue"


def _regions(operation):
    """(space, writes, base, end) of each region."""
    values = operation.values
    return [(region.space, region.writes, values[region.base],
             values[region.base] + (region.size if isinstance(region.size, int) else values[region.size]))
            for region in operation.instruction.regions]


def _conflict(new, old, same_unit):
    overlap = new[0] == old[0] and new[2] < old[3] and old[2] < new[3]
    return overlap and (old[1] and not new[1] if same_unit else old[1] or new[1])
