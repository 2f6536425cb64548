"""The row reader, cycle by cycle."""

from systolic import isa

from .queue import Queue

__all__ = ["RowReader"]


class _Step:
    """A row to read, as the gateware's ``_Step``."""

    __slots__ = ("accumulate", "address", "entry", "error", "final", "index", "last", "macs", "padded", "switch")


class RowReader:
    """Mirrors :class:`systolic.gateware.matrix.row_reader.RowReader`.

    Members
    -------
    command_ready, done, busy, moving, switched, finishing, empty : bool
    macs : int
    error : tuple of int or None
        Code and index.
    read : int or None
        Address it asks for.
    row : tuple or None
        (entry or None, accumulate, switch, last) on offer to the matrix unit.
    """

    QUEUE = 16

    def __init__(self, config):
        self.config = config
        self._arch = config.matrix.arch
        self._fresh = True
        self._walk = self._turn = self._placed = self._kept = self._step = None
        self._flying = [None] * config.READ_LATENCY
        self._queue = Queue(self.QUEUE)
        self._reserved = 0
        self.done = self.moving = self.switched = self.finishing = False
        self.macs, self._macs, self.error = 0, (0, 0), None
        self._show()

    def _show(self):
        step = self._step
        go = step is not None and self._reserved < self.QUEUE and step.error is None
        self._padded_go = go and step.padded
        self.read = step.address if go and not step.padded else None
        self.row = self._queue.head
        self.empty = not self._reserved
        self.command_ready = self._turn is None and self._placed is None
        self.busy = not self.command_ready or step is not None or not self.empty

    def step(self, command, read_ready, rows_ready):
        """Advance one clock.

        Parameters
        ----------
        command : tuple or None
            (index, values of the fields) on offer.
        read_ready, rows_ready : bool
        """
        step = self._step
        advance = self._padded_go or (self.read is not None and read_ready)
        taken = self.row is not None and rows_ready
        arrived = self._flying[-1]
        self.switched, self.finishing = advance and step.switch, advance and step.last
        self.macs, self._macs = self._macs[0], (self._macs[1], step.macs if advance and not step.padded else 0)
        self.moving = advance or arrived is not None or taken
        self.done = arrived is not None and arrived.final
        self.error = (step.error, step.index) if step is not None and step.error is not None else None
        self._queue.step(None if arrived is None else (arrived.entry, arrived.accumulate, arrived.switch, arrived.last),
                         rows_ready)
        self._flying = [step if advance else None, *self._flying[:-1]]
        self._reserved += advance - taken
        accepted = command is not None and self.command_ready
        kept = self._kept
        if step is None or advance:
            self._step, self._kept = kept or self._placed, None
        elif kept is None:
            self._kept = self._placed
        if kept is None:
            self._placed = self._turn
            self._turn = None if self._turn is None else next(self._walk, None)
        if accepted:
            self._walk = self._rows(*command)
            self._turn = next(self._walk)
        self._show()

    def _rows(self, index, op):
        """Every row of an instruction in order."""
        arch, mask = self._arch, (1 << self.config.address_width) - 1
        end = op["base"] + op["size"] - arch.rows
        window = arch.taps - 1 if op["depthwise"] else 0
        tiles = op["n_count"] * op["ky_count"] * op["kx_count"] * op["c_count"] * op["y_count"] * op["x_count"]
        first_tile = True
        for n in range(op["n_count"]):
            cols = (op["n_last_less"] if n == op["n_count"] - 1 else op["n_less"]) + 1
            first_of_sum = True
            for ky in range(op["ky_count"]):
                for kx in range(op["kx_count"]):
                    for c in range(op["c_count"]):
                        last_c = c == op["c_count"] - 1
                        macs = ((op["k_last_less"] if last_c else op["k_less"]) + 1) * cols
                        last = bool(op["finish"] and last_c and kx == op["kx_count"] - 1 and ky == op["ky_count"] - 1)
                        accumulate = bool(not first_of_sum or op["accumulate"])
                        tile = (op["start"] + n * op["n_stride"] + ky * op["ky_stride"] + kx * op["kx_stride"]
                                + c * op["c_stride"])
                        entry, first_row = op["accumulator"], True
                        for y in range(op["y_count"]):
                            py = op["first_y"] + y * op["y_step"] + ky * op["ky_step"] & 0xFFFF
                            padded_y = op["height"] and py >= op["height"]
                            wait = window
                            for x in range(op["x_count"]):
                                px = op["first_x"] + x * op["x_step"] + kx * op["kx_step"] & 0xFFFF
                                step = _Step()
                                step.address = tile + y * op["y_stride"] + x * op["x_stride"] & mask
                                step.padded = bool(padded_y or (op["width"] and px >= op["width"]))
                                outside = not step.padded and not op["base"] <= step.address <= end
                                fills = wait > 0
                                step.error = (isa.ErrorCode.ACCUMULATOR if entry >= arch.accumulator_depth
                                              and not fills else isa.ErrorCode.REGION if outside else None)
                                step.entry, step.accumulate = None if fills else entry, accumulate and not fills
                                step.last = last and not fills
                                step.switch = first_row and (self._fresh or not (op["reuse"] and first_tile))
                                step.macs, step.index = 0 if fills else macs, index
                                tiles -= 1
                                step.final = not tiles
                                self._fresh = first_row = False
                                entry += not fills
                                wait = wait - 1 if fills else op["skip"] if window else 0
                                yield step
                        first_tile = first_of_sum = False
