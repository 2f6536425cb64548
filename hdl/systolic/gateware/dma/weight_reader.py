"""The weight reader: from memory to the matrix unit's weight FIFO."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ... import isa
from ..ports import Beat, ReadRequest, UnitPort, fields
from ..shared import Shared, place
from .transfers import BurstReader, account, received

__all__ = ["WeightReader"]


class WeightReader(Shared):
    """Executes read_weights: rows of tiles as fast as memory delivers them, one a cycle at best.

    ::

        command ─▶ BurstReader ─▶ request ···▶ memory ···▶ beat ─▶ Queue ─▶ word ─▶ weights
                        │                                   │               whole rows; of a diagonal's
                        └─▶ bursts asked for ─▶ last one? ◀─┘               row, an element each time

    A word is as many beats as a row of C weights takes, or a beat with several rows.

    Members
    -------
    sequencer : In(UnitPort)
        ``done``: the last beat has come; its rows go on
        by themselves.
    request : Out(stream of ReadRequest)
    beat : In(Beat)
    weights : Out(stream)
        Rows of C weights; R rows a tile, last row first.
    stop : In(1)
        Ask for nothing from now on.

    The next command is taken when the one before has no tile left to ask for. A burst every three cycles. Bursts
    go on from tile to tile; diagonals, which fill the array for longer than they take on the bus, have one each.
    """

    resets = True
    module_name = "weight_reader"

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sequencer": In(UnitPort()), "request": Out(stream.Signature(ReadRequest())),
            "beat": In(Beat(config)), "weights": Out(stream.Signature(data.ArrayLayout(8, config.matrix.arch.cols))),
            "stop": In(1),
        })

    def build(self, platform):
        m = Module()
        reader = place(m, "reader", BurstReader(self.config, "weight", ("final", "mark", "index"),
                                               count_width=32, buffer=False))
        queue = place(m, "queue", received(self.config, "weight_beat_queue", 8 * self.config.bus_bytes + 1,
                                           reader.depth))
        wiring.connect(m, reader.request, wiring.flipped(self.request))
        self._tiles(m, reader.i)

        beat, burst = self.beat, reader.o.payload
        sent = Signal()
        dead = account(m, self.sequencer, self.config, finished=beat.valid & ~beat.error & beat.last & burst.final,
                       moved=beat.valid | sent | (reader.request.valid & reader.request.ready),
                       errors=[(reader.error.valid, reader.error.code, reader.error.index),
                               (beat.valid & beat.error, isa.ErrorCode.BUS_READ, burst.index)])
        m.d.comb += [
            reader.stop.eq(self.stop | dead), reader.o.ready.eq(beat.valid & beat.last),
            queue.i.valid.eq(beat.valid & ~beat.error & ~dead), queue.i.payload.eq(Cat(beat.data, burst.mark)),
            sent.eq(self.weights.valid & self.weights.ready),
            reader.left.eq(queue.o.valid & queue.o.ready),
        ]
        self._rows(m, queue.o, sent)
        return m

    def _tiles(self, m, transfers):
        """Commands as transfers: a tile is a row of bytes."""
        op, transfer = fields(self.sequencer.command.payload.words, "read_weights"), transfers.payload
        tile_bytes = Mux(op.diagonal, self.config.tile_bytes(diagonal=True), self.config.tile_bytes())
        m.d.comb += [
            transfers.valid.eq(self.sequencer.command.valid), self.sequencer.command.ready.eq(transfers.ready),
            transfer.memory.eq(op.memory), transfer.memory_size.eq(op.memory_size),
            transfer.memory_stride.eq(tile_bytes), transfer.row_bytes.eq(tile_bytes),
            transfer.row_count.eq(op.tile_count), transfer.mark.eq(op.diagonal),
            transfer.index.eq(self.sequencer.command.payload.index),
        ]

    def _rows(self, m, beats, sent):
        """From beats to rows of weights."""
        arch, config = self.config.matrix.arch, self.config
        width = 8 * config.bus_bytes
        word, diagonal = Signal(width * config.weight_beats_per_row), Signal()
        full, spent = Signal(), Signal()
        # A bit for each row of a tile, in the order of the array's rows: the highest is sent first.
        row = Signal(arch.rows, init=1 << (arch.rows - 1))
        missing = self._countdown(m, "missing", config.weight_beats_per_row, beats.valid & beats.ready)
        waiting = self._countdown(m, "waiting", config.weight_rows_per_beat, sent & ~diagonal, sent & row[0])
        m.d.comb += [
            spent.eq(row[0] | (~diagonal & waiting)),
            beats.ready.eq(~full | (sent & spent)),
            self.weights.valid.eq(full),
        ]
        with m.If(sent):
            m.d.sync += [row.eq(row.rotate_right(1)), full.eq(~spent)]
            with m.If(~diagonal):
                m.d.sync += word.eq(word >> 8 * arch.cols)
        with m.If(beats.valid & beats.ready):
            m.d.sync += [full.eq(missing), diagonal.eq(beats.payload[-1]),
                         word.eq(Cat(word, beats.payload[:width])[width:])]
        for column, weight in enumerate(self.weights.payload):
            here = row[column] if column < arch.rows else 0
            m.d.comb += weight.eq(Mux(diagonal & ~here, 0, word.word_select(column, 8)))

    def _countdown(self, m, name, count, step, restart=0):
        """High in every ``count``-th of the steps, counted from the last restart."""
        last = Signal(init=count == 1, name=f"{name}_last")
        left = Signal(range(count), init=count - 1, name=f"{name}_left")
        if count == 1:
            return last
        with m.If(step):
            m.d.sync += [left.eq(Mux(last, count - 1, left - 1)), last.eq(left == 1)]
        with m.If(restart):
            m.d.sync += [left.eq(count - 1), last.eq(0)]
        return last
