"""The row reader: executes matrix_multiply, reading rows from the unified buffer for the matrix unit."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from ... import isa
from ..lib.credits import Credits
from ..lib.queue import Queue
from ..ports import BufferRead, Command, RowCommand, UnitPort, fields
from ..shared import Shared, place

__all__ = ["RowReader"]

_LOOPS = ("x", "y", "c", "kx", "ky", "n")  # innermost first


class _Step(data.StructLayout):
    """A row to read.

    ``padded``: no read. ``beyond``: an entry that does not exist. ``bad``: that, or an address outside the region.
    ``k_less``, ``n_less``: array rows and columns in use, minus one. ``final``: the instruction's last.
    ``depthwise``, ``fills``: see :class:`~..ports.RowCommand`.
    """

    def __init__(self, config):
        arch = config.matrix.arch
        super().__init__({
            "address": config.address_width, "padded": 1, "beyond": 1, "bad": 1, "final": 1,
            "entry": arch.address_width, "accumulate": 1, "switch": 1, "last": 1,
            "k_less": range(arch.rows), "n_less": range(arch.cols), "padding": 8, "index": 16,
        } | ({"depthwise": 1, "fills": 1} if arch.taps else {}))


class _Turn(data.StructLayout):
    """The loop that goes on, one bit for each; ``begin``: none, the first row."""

    def __init__(self):
        super().__init__({"begin": 1} | {loop: 1 for loop in _LOOPS})


class _Place(data.StructLayout):
    """Where the loops are: address, pixel, entry, and whether this is the first row of a tile, the first tile of an
    instruction, the first of a sum; and whether the row only fills the window, as do ``wait`` from here on."""

    def __init__(self, config):
        super().__init__({"address": config.address_width, "pixel_x": 16, "pixel_y": 16, "entry": 17,
                          "first_row": 1, "first_tile": 1, "first_of_sum": 1}
                         | ({"fills": 1, "wait": 8} if config.matrix.arch.taps else {}))


class RowReader(Shared):
    """Executes matrix_multiply: one row a cycle as long as the buffer grants its reads and the matrix unit takes them.

    ::

        command ─▶ turn ─▶ place ─▶ step ─┬─▶ buffer read ─┐
                                          └─▶ delay ───────┴─▶ queue ─▶ rows

    Members
    -------
    sequencer : In(UnitPort)
        ``done``: every read has returned.
    read : Out(BufferRead)
    rows : Out(stream of RowCommand)
        To the matrix unit.
    switched, finishing : Out(1)
        Of the row that is being read, for one cycle: it takes the next tile, it finishes a sum.
    macs : Out
        Useful multiply-accumulates of the row two cycles before that.
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
        super().__init__({
            "sequencer": In(UnitPort()), "read": Out(BufferRead(config)),
            "rows": Out(stream.Signature(RowCommand(arch))), "switched": Out(1), "finishing": Out(1),
            "macs": Out(range(arch.rows * arch.cols + 1)), "empty": Out(1),
        })

    def build(self, platform):
        m = Module()
        step, valid, advance = Signal(_Step(self.config)), Signal(), Signal()
        reserved = place(m, "reserved", Credits(most=self.QUEUE))
        go = valid & reserved.room & ~step.bad
        m.d.comb += [
            self.read.request.valid.eq(go & ~step.padded),
            self.read.request.payload.eq(step.address),
            advance.eq(go & (step.padded | self.read.request.ready)),
        ]
        walking = self._walk(m, step, valid, advance)
        k, n = Signal(range(self.config.matrix.arch.rows + 1)), Signal(range(self.config.matrix.arch.cols + 1))
        # In two stages of adders: a product this narrow would cost a DSP block, and a clock as slow as its slowest.
        products = [Mux(bit, n << shift, 0) for shift, bit in enumerate(k)]
        low, high = Signal.like(self.macs), Signal.like(self.macs)
        returned = self._return(m, step, advance, reserved)
        m.d.sync += [
            self.switched.eq(advance & step.switch), self.finishing.eq(advance & step.last),
            k.eq(Mux(advance & ~step.padded & ~self._fills(step), step.k_less + 1, 0)), n.eq(step.n_less + 1),
            low.eq(sum(products[:2])), high.eq(sum(products[2:])), self.macs.eq(low + high),
            self.sequencer.moving.eq(advance | returned | (self.rows.valid & self.rows.ready)),
            self.sequencer.error.valid.eq(valid & step.bad), self.sequencer.error.index.eq(step.index),
            self.sequencer.error.code.eq(Mux(step.beyond, isa.ErrorCode.ACCUMULATOR, isa.ErrorCode.REGION)),
        ]
        m.d.comb += self.sequencer.busy.eq(walking | valid | ~self.empty)
        return m

    def _fills(self, row):
        """Whether a row only fills the window of a depthwise product."""
        return row.fills if self.config.matrix.arch.taps else Const(0, 1)

    def _walk(self, m, step, valid, advance):
        """Steps through the loops, one row per cycle, in three stages.

        ::

            turn    which loop goes on, and its stride; the loops inside it begin again
             │
             ▼      loop  begins     address       pixel_x      pixel_y      entry
            place   n     a new sum  + n_stride    first_x      first_y      accumulator
             │      ky    a tile     + ky_stride   first_x      ^ + ky_step  accumulator
             ▼      kx    a tile     + kx_stride   ^ + kx_step  ^            accumulator
            step    c     a tile     + c_stride    ^            ^            accumulator
                    y     a row      + y_stride    ^            + y_step     + 1
                    x     a row      + x_stride    + x_step     as before    + 1, if the row before has a sum

        A stride counts from the address at which the present round of its loop began, ``^`` is the pixel at which the
        present tile began. A step waits here until it is read, another one behind it, and then what is behind those.
        """
        config, arch = self.config, self.config.matrix.arch
        walking, placed, fresh, go = Signal(), Signal(), Signal(init=1), Signal()
        command, highest = Signal(Command()), Signal(signed(config.address_width + 1))
        issued = self.sequencer.command
        op, new = fields(command.words, "matrix_multiply"), fields(issued.payload.words, "matrix_multiply")
        spare, kept = Signal.like(step), Signal()
        m.d.comb += [issued.ready.eq(~walking & ~placed), go.eq(~kept)]
        with m.If(issued.ready):
            m.d.sync += command.eq(issued.payload)
            # The last address of a whole row; negative for a shorter region. The sequencer has seen to it that the
            # region is inside the buffer, so that its end has no more bits.
            m.d.sync += highest.eq((new.base + new.size)[:config.address_width] - arch.rows)
        turn, stride, done = self._count(m, walking, go, op, new)
        place = self._place(m, turn, stride, go & walking, op)

        final, last, last_c, last_n = Signal(), Signal(), Signal(), Signal()
        with m.If(go):
            m.d.sync += [
                placed.eq(walking), final.eq(Cat(done.values()).all()), last_c.eq(done["c"]), last_n.eq(done["n"]),
                last.eq(op.finish & done["c"] & done["kx"] & done["ky"]),
            ]
        outside = (place.address < op.base[:config.address_width]) | (place.address > highest)
        padded = [(size != 0) & (pixel >= size)
                  for pixel, size in ((place.pixel_x, op.width), (place.pixel_y, op.height))]
        # Compared with all 17 bits of the entry: behind 65535 comes one that does not exist, not 0.
        fills = self._fills(place)
        beyond = (place.entry >= arch.accumulator_depth) & ~fills
        # After reset there is no tile to reuse.
        with m.If(go & placed):
            m.d.sync += fresh.eq(0)
        made = {
            "address": place.address, "padded": padded[0] | padded[1], "beyond": beyond,
            "bad": outside & ~(padded[0] | padded[1]) | beyond, "final": final, "entry": place.entry,
            "switch": place.first_row & (fresh | ~(op.reuse & place.first_tile)),
            "k_less": Mux(last_c, op.k_last_less, op.k_less), "n_less": Mux(last_n, op.n_last_less, op.n_less),
            "accumulate": (~place.first_of_sum | op.accumulate) & ~fills, "last": last & ~fills,
            "padding": op.padding, "index": command.index,
        }
        if arch.taps:
            made |= {"depthwise": op.depthwise, "fills": fills}
        # A step that finds the one before still waiting to be read is kept: so what is behind it waits a cycle later,
        # for a register and not for the buffer's grant.
        with m.If(~valid | advance):
            m.d.sync += [valid.eq(kept | placed), kept.eq(0)]
            m.d.sync += [step[name].eq(Mux(kept, spare[name], value)) for name, value in made.items()]
        with m.Elif(go):
            m.d.sync += kept.eq(placed)
        with m.If(go):
            m.d.sync += [spare[name].eq(value) for name, value in made.items()]
        return walking | placed

    def _count(self, m, walking, go, op, new):
        """The loop that goes on and how far; and for each loop whether this is its last round."""
        turn, stride = Signal(_Turn()), Signal(self.config.address_width)
        done = {loop: Signal(name=f"done_{loop}") for loop in _LOOPS}
        onward, inner_done, begun = [], Const(1), self.sequencer.command.ready & self.sequencer.command.valid
        moves = go & walking
        for loop in _LOOPS:
            count = op[f"{loop}_count"]
            # Of the round after the present one, from 2 on.
            number, once = Signal(len(count), name=f"number_{loop}", init=2), Signal(name=f"once_{loop}")
            with m.If(begun):
                m.d.sync += [number.eq(2), once.eq(new[f"{loop}_count"] == 1), done[loop].eq(new[f"{loop}_count"] == 1)]
            with m.Elif(moves & inner_done):
                m.d.sync += [number.eq(Mux(done[loop], 2, number + 1)), done[loop].eq(Mux(done[loop], once,
                                                                                         number == count))]
            # Signed, but addresses wrap: the low bits are those of any wider sum.
            onward.append((inner_done & ~done[loop], op[f"{loop}_stride"][:len(stride)]))
            inner_done = inner_done & done[loop]
        with m.If(begun):
            m.d.sync += [turn.eq(_Turn().const({"begin": 1})), stride.eq(new.start), walking.eq(1)]
        with m.Elif(go):
            m.d.sync += [turn.eq(Cat(Const(0, 1), (goes for goes, _ in onward))), stride.eq(_chosen(onward)),
                         walking.eq(walking & ~inner_done)]
        return turn, stride, done

    def _place(self, m, turn, stride, moves, op):
        """Where the row is, once its turn was taken."""
        width, place = self.config.address_width, Signal(_Place(self.config))
        # Of each loop, the address at which its present round began.
        at = {loop: Signal(width, name=f"at_{loop}") for loop in _LOOPS}
        address = _chosen((turn[loop], at[loop]) for loop in _LOOPS) + stride
        new_tile = ~(turn.x | turn.y)
        m.d.comb += place.address.eq(at["x"])
        with m.If(moves):
            # A loop that goes on begins a round, and so do all inside it.
            for level, loop in enumerate(_LOOPS):
                with m.If(Cat(turn.begin, *(turn[outer] for outer in _LOOPS[level:])).any()):
                    m.d.sync += at[loop].eq(address)
            following = place.entry + ~self._fills(place)
            m.d.sync += [place.first_row.eq(new_tile), place.entry.eq(Mux(new_tile, op.accumulator, following))]
            self._window(m, turn, place, op)
            with m.If(new_tile):
                m.d.sync += [place.first_tile.eq(turn.begin), place.first_of_sum.eq(turn.begin | turn.n)]
        # x and y step within a tile, kx and ky move where a tile begins.
        self._pixel(m, moves, place.pixel_x, op, turn, "x", again=turn.y, first=turn.ky)
        self._pixel(m, moves & ~turn.x, place.pixel_y, op, turn, "y", again=turn.kx, first=0)
        return place

    def _window(self, m, turn, place, op):
        """Rows in x that come before the next sum: all but one of the window, then those that it skips."""
        if not self.config.matrix.arch.taps:
            return
        again = Mux(turn.x, Mux(place.fills, place.wait - 1, op.skip), self.config.matrix.arch.taps - 1)
        wait = Signal.like(place.wait, name="wait_next")
        m.d.comb += wait.eq(Mux(op.depthwise, again, 0))
        m.d.sync += [place.wait.eq(wait), place.fills.eq(wait != 0)]

    @staticmethod
    def _pixel(m, moves, pixel, op, turn, axis, *, again, first):
        """Coordinates follow the loops."""
        begin, step, tile_step = Signal.like(pixel, name=f"tile_pixel_{axis}"), turn[axis], turn[f"k{axis}"]
        following = Signal.like(pixel, name=f"following_{axis}")
        m.d.comb += following.eq(
            _chosen([(step, pixel), (again | turn.c | tile_step, begin),
                     (first | turn.n | turn.begin, op[f"first_{axis}"].as_unsigned())])
            + _chosen([(step, op[f"{axis}_step"]), (tile_step, op[f"k{axis}_step"])]))
        with m.If(moves):
            m.d.sync += pixel.eq(following)
            with m.If(~(turn.x | turn.y)):
                m.d.sync += begin.eq(following)

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
            *([entering.depthwise.eq(back.depthwise), entering.fills.eq(back.fills)] if arch.taps else []),
            queue.i.payload.eq(entering), queue.i.valid.eq(arrived),
            self.rows.payload.eq(queue.o.payload), self.rows.valid.eq(queue.o.valid), queue.o.ready.eq(self.rows.ready),
        ]
        # Room is reserved from the request on: what comes back finds it in the queue.
        m.d.comb += [reserved.take.eq(advance), reserved.give.eq(self.rows.valid & self.rows.ready),
                     self.empty.eq(reserved.empty)]
        m.d.sync += self.sequencer.done.eq(arrived & back.final)
        return arrived


def _chosen(choices):
    """The value whose condition holds, or 0."""
    return reduce(or_, (Mux(condition, value, 0) for condition, value in choices))
