"""How parameter records and the lookup table come from the unified buffer into the lanes."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from ... import isa
from ..ports import Command, fields
from ..shared import Shared
from .lane import Control, Record
from .requantise import decode_scale

__all__ = ["RecordReader"]

_DOUBLE, _FP32 = isa.ROUNDINGS.index("double"), isa.ROUNDINGS.index("fp32")


class RecordReader(Shared):
    """Reads a record, or a byte of the table, and hands it to the lanes ``READ_LATENCY`` + 2 cycles later. A record
    takes ``record_reads`` cycles.

    Members
    -------
    command : In, Command
        An activate, pool, add or load_table.
    activate, add, load_table : In
        Which one.
    load : In
        Begin with it.
    go : In
        Read on.
    request, address : Out
        What to read in this cycle.
    last : Out
        It is the last.
    missing : Out
        Not requested although ``go``: the record is not in the region of the records.
    busy : Out
        Something is under way.
    data : In
        What was requested ``READ_LATENCY`` + 1 cycles ago.
    record, entry, table_write, table_address : Out
        For the lanes.
    write : Out, a bit a lane
        Those that get the record.
    """

    resets = True
    module_name = "activation_records"

    def __init__(self, config):
        self.config = config
        # Bytes of a record that a read brings.
        self.piece = min(config.banks, isa.RECORD_BYTES)
        super().__init__({
            "command": In(Command()), "activate": In(1), "add": In(1), "load_table": In(1), "load": In(1), "go": In(1),
            "request": Out(1), "address": Out(config.address_width), "last": Out(1), "missing": Out(1), "busy": Out(1),
            "data": In(8 * self.piece), "record": Out(Record()), "entry": Out(range(Control.entries(config))),
            "table_write": Out(1), "table_address": Out(8), "write": Out(config.lanes)})

    def build(self, platform):
        m = Module()
        per_channel = Signal()
        under_way = Signal(self.config.READ_LATENCY + 2)
        m.d.comb += [
            per_channel.eq(self.activate & fields(self.command.words, "activate").per_channel),
            self.request.eq(self.go & ~self.missing), self.busy.eq(under_way.any()),
        ]
        m.d.sync += under_way.eq(Cat(self.request, under_way))
        self._walk(m, per_channel)
        self._decode(m, under_way[-2])
        self._hand_over(m, per_channel, under_way[-1])
        return m

    def _piece(self, m, name, step):
        """Whether the piece of a record that the next step is about is its last."""
        count = self.config.record_reads
        piece, last = Signal(range(count), name=f"{name}_piece"), Signal(name=f"{name}_last")
        m.d.comb += last.eq(self.load_table | (piece == count - 1))
        with m.If(self.load):
            m.d.sync += piece.eq(0)
        with m.Elif(step):
            m.d.sync += piece.eq(Mux(last, 0, piece + 1))
        return last

    def _walk(self, m, per_channel):
        op, table = fields(self.command.words, "activate"), fields(self.command.words, "load_table")
        number, left = Signal(9), Signal(9)
        size = op.parameters_size[:self.config.address_width] >> 4
        last = self._piece(m, "read", self.request)
        m.d.comb += [self.last.eq(last & (left == 1)), self.missing.eq(self.activate & (number >= size))]
        with m.If(self.load):
            m.d.sync += [
                number.eq(0), self.address.eq(Mux(self.load_table, table.from_base, op.parameters)),
                left.eq(Mux(self.load_table, isa.TABLE_BYTES, Mux(per_channel, op.channels, Mux(self.add, 3, 1)))),
            ]
        with m.Elif(self.request):
            step = Mux(self.load_table, 1, Mux(last, isa.RECORD_BYTES - (self.config.record_reads - 1) * self.piece,
                                               self.piece))
            m.d.sync += self.address.eq(self.address + step)
            with m.If(last):
                m.d.sync += [number.eq(number + 1), left.eq(left - 1)]

    def _decode(self, m, arrives):
        """From what arrives in this cycle, and the pieces that did in those before it."""
        pieces = self.config.record_reads
        held = Signal(8 * self.piece * (pieces - 1))
        with m.If(arrives):
            m.d.sync += held.eq(Cat(held, self.data)[len(self.data):])
        record = Cat(held, self.data)
        bias, multiplier, shift = (record.word_select(word, 32) for word in range(3))
        rounding = self.command.rounding
        # The sums of an addition are integers of 32 bits, which fp32 does not give.
        double, fp32 = (self.config.roundings > each and rounding == each for each in (_DOUBLE, _FP32))
        scale = decode_scale(m, multiplier, shift[:6].as_signed(), double=double, fp32=fp32 & ~self.add)
        m.d.sync += [self.record.bias.eq(Cat(Mux(self.load_table, self.data[:8], bias[:8]), bias[8:])),
                     self.record.scale.eq(scale)]

    def _hand_over(self, m, per_channel, arrived):
        """One lane after the other and then the next entry, or all lanes at once."""
        turn, whole = Signal(self.config.lanes), Signal()
        m.d.comb += [
            whole.eq(arrived & self._piece(m, "write", arrived)), self.table_write.eq(arrived & self.load_table),
            self.write.eq(Mux(whole & ~self.load_table, turn | (~per_channel).replicate(len(turn)), 0)),
        ]
        with m.If(self.load):
            m.d.sync += [turn.eq(1), self.entry.eq(0), self.table_address.eq(0)]
        with m.Elif(whole):
            m.d.sync += [turn.eq(turn.rotate_left(1)), self.table_address.eq(self.table_address + 1)]
            with m.If(turn[-1] | ~per_channel):
                m.d.sync += self.entry.eq(self.entry + 1)
