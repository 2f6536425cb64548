"""The row reader: walks the unified buffer for matrix_multiply and feeds the matrix unit."""

from amaranth.hdl import Cat, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import Out

from ..lib.credits import Credits
from ..lib.queue import Queue
from ..ports import BufferRead, Command, RowCommand, fields, unit_ports
from ..shared import Shared, place

__all__ = ["RowReader"]

_LOOPS = ("x", "y", "c", "kx", "ky", "n")  # innermost first


class _Step(data.StructLayout):
    """A row to read.

    ``padded``: no read. ``outside``: an address outside the region. ``beyond``: an entry that does not exist.
    ``k_less``, ``n_less``: useful rows and columns of the array, less one. ``final``: the instruction's last.
    """

    def __init__(self, config):
        arch = config.matrix.arch
        super().__init__({
            "address": config.address_width, "padded": 1, "outside": 1, "beyond": 1, "final": 1,
            "entry": arch.address_width, "accumulate": 1, "switch": 1, "last": 1,
            "k_less": range(arch.rows), "n_less": range(arch.cols), "padding": 8, "index": 16,
        })


class RowReader(Shared):
    """Executes matrix_multiply: one row a cycle as long as the buffer grants its reads and the matrix unit takes them.

    ::

        command ─▶ loops ─▶ step ─┬─▶ buffer read ─┐
                                  └─▶ delay ───────┴─▶ queue ─▶ rows

    Members
    -------
    command, done, busy, moving, error
        See :func:`~systolic.gateware.ports.unit_ports`. ``done``: every read has returned.
    read : Out(BufferRead)
    rows : Out(stream of RowCommand)
        To the matrix unit.
    switched, finishing : Out(1)
        Of the row that is being read, for one cycle: it takes the next tile, it finishes a sum.
    macs : Out
        Useful multiply-accumulates of the row before that.
    empty : Out(1)
        No row is under way to the matrix unit.

    After reset the first row takes a tile, whether ``reuse`` says so or not.
    """

    resets = True
    module_name = "row_reader"

    #: Rows between the buffer and the matrix unit: eight are under way at one a cycle, the rest rides out stalls.
    QUEUE = 16

    def __init__(self, config):
        self.config = config
        arch = config.matrix.arch
        super().__init__(unit_ports() | {
            "read": Out(BufferRead(config)), "rows": Out(stream.Signature(RowCommand(arch))),
            "switched": Out(1), "finishing": Out(1), "macs": Out(range(arch.rows * arch.cols + 1)), "empty": Out(1),
        })

    def build(self, platform):
        m = Module()
        step, valid, advance = Signal(_Step(self.config)), Signal(), Signal()
        reserved = place(m, "reserved", Credits(most=self.QUEUE))
        bad = step.outside & ~step.padded | step.beyond
        go = valid & reserved.room & ~bad
        m.d.comb += [
            self.read.request.valid.eq(go & ~step.padded),
            self.read.request.payload.eq(step.address),
            advance.eq(go & (step.padded | self.read.request.ready)),
        ]
        walking = self._walk(m, step, valid, advance)
        k, n = Signal(range(self.config.matrix.arch.rows + 1)), Signal(range(self.config.matrix.arch.cols + 1))
        returned = self._return(m, step, advance, reserved)
        m.d.sync += [
            self.switched.eq(advance & step.switch), self.finishing.eq(advance & step.last),
            k.eq(Mux(advance & ~step.padded, step.k_less + 1, 0)), n.eq(step.n_less + 1), self.macs.eq(k * n),
            self.moving.eq(advance | returned | (self.rows.valid & self.rows.ready)),
            self.error.valid.eq(valid & bad), self.error.index.eq(step.index),
            self.error.code.eq(Mux(step.beyond, 6, 5)),
        ]
        m.d.comb += self.busy.eq(walking | valid | ~self.empty)
        return m

    def _walk(self, m, step, valid, advance):
        """Steps through the loops, one row ahead of ``step``, which waits to be read."""
        config, arch = self.config, self.config.matrix.arch
        walking, fresh, free = Signal(), Signal(init=1), Signal()
        command = Signal(Command())
        op, new = fields(command.words, "matrix_multiply"), fields(self.command.payload.words, "matrix_multiply")
        m.d.comb += [self.command.ready.eq(~walking), free.eq(walking & (~valid | advance))]

        left = {loop: Signal(16, name=f"left_{loop}") for loop in _LOOPS}
        done = {loop: Signal(name=f"done_{loop}") for loop in _LOOPS}
        once = {loop: Signal(name=f"once_{loop}") for loop in _LOOPS}
        at = {loop: Signal(config.address_width, name=f"at_{loop}") for loop in _LOOPS}
        last_level = Signal()
        highest = Signal(signed(config.address_width + 1))
        m.d.comb += last_level.eq(Cat(done.values()).all())
        first_tile, first_of_sum, first_row = Signal(), Signal(), Signal()
        entry = Signal(17)
        pixel = {axis: Signal(16, name=f"pixel_{axis}") for axis in "xy"}
        tile_pixel = {axis: Signal(16, name=f"tile_pixel_{axis}") for axis in "xy"}

        with m.If(self.command.valid & ~walking):
            m.d.sync += [command.eq(self.command.payload), walking.eq(1), first_tile.eq(1), first_of_sum.eq(1),
                         first_row.eq(1), entry.eq(new.accumulator)]
            # The sequencer has seen to it that the region is inside the buffer.
            m.d.sync += highest.eq((new.base + new.size)[:config.address_width] - arch.rows)
            for loop in _LOOPS:
                single = new[f"{loop}_count"] == 1
                m.d.sync += [left[loop].eq(new[f"{loop}_count"] - 1), at[loop].eq(new.start),
                             done[loop].eq(single), once[loop].eq(single)]
            for axis in "xy":
                m.d.sync += [pixel[axis].eq(new[f"first_{axis}"]), tile_pixel[axis].eq(new[f"first_{axis}"])]

        with m.If(free):
            m.d.sync += [walking.eq(~last_level), first_row.eq(0), entry.eq(entry + 1)]
            inner_done = 1
            for level, loop in enumerate(_LOOPS):
                with m.If(inner_done & ~done[loop]):
                    onward = at[loop] + op[f"{loop}_stride"]
                    m.d.sync += [at[inner].eq(onward) for inner in _LOOPS[:level + 1]]
                    m.d.sync += [left[loop].eq(left[loop] - 1), done[loop].eq(left[loop] == 1)]
                    for inner in _LOOPS[:level]:
                        m.d.sync += [left[inner].eq(op[f"{inner}_count"] - 1), done[inner].eq(once[inner])]
                    self._move_pixel(m, loop, op, pixel, tile_pixel)
                    if loop not in "xy":
                        m.d.sync += [first_row.eq(1), first_tile.eq(0), entry.eq(op.accumulator),
                                     first_of_sum.eq(loop == "n")]
                inner_done &= done[loop]

        outside = (at["x"] < op.base[:config.address_width]) | (at["x"] > highest)
        padded = [(size != 0) & (pixel[axis] >= size) for axis, size in (("x", op.width), ("y", op.height))]
        switch = first_row & (fresh | ~(op.reuse & first_tile))
        with m.If(free):
            m.d.sync += [
                step.address.eq(at["x"]), step.padded.eq(padded[0] | padded[1]), step.outside.eq(outside),
                step.beyond.eq(entry >= arch.accumulator_depth), step.final.eq(last_level),
                step.entry.eq(entry), step.switch.eq(switch), fresh.eq(0),
                step.k_less.eq(Mux(done["c"], op.k_last_less, op.k_less)),
                step.n_less.eq(Mux(done["n"], op.n_last_less, op.n_less)),
                step.accumulate.eq(~first_of_sum | op.accumulate),
                step.last.eq(op.finish & done["c"] & done["kx"] & done["ky"]),
                step.padding.eq(op.padding), step.index.eq(command.index),
            ]
        m.d.sync += valid.eq(free | valid & ~advance)
        return walking

    @staticmethod
    def _move_pixel(m, loop, op, pixel, tile_pixel):
        """Coordinates follow the loops: x and y step within a tile, kx and ky move where a tile begins."""
        for axis in "xy":
            begin = tile_pixel[axis]
            if loop == axis:
                m.d.sync += pixel[axis].eq(pixel[axis] + op[f"{axis}_step"])
                continue
            if loop == "y" and axis == "x":
                m.d.sync += pixel[axis].eq(begin)
                continue
            if loop == "x":
                continue
            if loop == f"k{axis}":
                following = begin + op[f"{loop}_step"]
            elif loop == "n" or (loop, axis) == ("ky", "x"):
                following = op[f"first_{axis}"]
            else:
                following = begin
            m.d.sync += [tile_pixel[axis].eq(following), pixel[axis].eq(following)]

    def _return(self, m, step, advance, reserved):
        """Rows back from the buffer, or made of padding, to the matrix unit; returns whether one came."""
        arch = self.config.matrix.arch
        width = 8 * arch.rows
        row = RowCommand(arch)
        under_way = Signal(data.ArrayLayout(_Step(self.config), self.config.READ_LATENCY))
        flying = Signal(self.config.READ_LATENCY)
        m.d.sync += [flying.eq(Cat(advance, flying)), under_way.eq(Cat(step, under_way))]
        arrived, back = flying[-1], under_way[self.config.READ_LATENCY - 1]
        queue = place(m, "queue", Queue("row_queue", width=row.size, depth=self.QUEUE))
        entering = Signal(row)
        m.d.comb += [
            entering.data.eq(Mux(back.padded, back.padding.replicate(arch.rows), self.read.data[:width])),
            entering.address.eq(back.entry), entering.accumulate.eq(back.accumulate),
            entering.switch.eq(back.switch), entering.last.eq(back.last),
            queue.i.payload.eq(entering), queue.i.valid.eq(arrived),
            self.rows.payload.eq(queue.o.payload), self.rows.valid.eq(queue.o.valid), queue.o.ready.eq(self.rows.ready),
        ]
        m.d.comb += [reserved.take.eq(advance), reserved.give.eq(self.rows.valid & self.rows.ready),
                     self.empty.eq(reserved.empty)]
        m.d.sync += self.done.eq(arrived & back.final)
        return arrived
