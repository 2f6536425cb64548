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
    """Reads a record a cycle, or a byte of the table, and hands them to the lanes ``READ_LATENCY`` + 2 cycles later.

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
        Not requested although ``go``: it is not in the region of the records.
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
        super().__init__({
            "command": In(Command()), "activate": In(1), "add": In(1), "load_table": In(1), "load": In(1), "go": In(1),
            "request": Out(1), "address": Out(config.address_width), "last": Out(1), "missing": Out(1), "busy": Out(1),
            "data": In(8 * isa.RECORD_BYTES), "record": Out(Record()), "entry": Out(range(Control.entries(config))),
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
        self._decode(m)
        self._hand_over(m, per_channel, under_way[-1])
        return m

    def _walk(self, m, per_channel):
        op, table = fields(self.command.words, "activate"), fields(self.command.words, "load_table")
        number, left = Signal(9), Signal(9)
        size = op.parameters_size[:self.config.address_width] >> 4
        m.d.comb += [self.last.eq(left == 1), self.missing.eq(self.activate & (number >= size))]
        with m.If(self.load):
            m.d.sync += [
                number.eq(0), self.address.eq(Mux(self.load_table, table.from_base, op.parameters)),
                left.eq(Mux(self.load_table, isa.TABLE_BYTES, Mux(per_channel, op.channels, Mux(self.add, 3, 1)))),
            ]
        with m.Elif(self.request):
            step = Mux(self.load_table, 1, isa.RECORD_BYTES)
            m.d.sync += [number.eq(number + 1), left.eq(left - 1), self.address.eq(self.address + step)]

    def _decode(self, m):
        bias, multiplier, shift = (self.data.word_select(word, 32) for word in range(3))
        rounding = self.command.rounding
        # The sums of an addition are integers of 32 bits, which fp32 does not give.
        scale = decode_scale(m, multiplier, shift[:6].as_signed(), double=rounding == _DOUBLE,
                             fp32=(rounding == _FP32) & ~self.add)
        m.d.sync += [self.record.bias.eq(bias), self.record.scale.eq(scale)]

    def _hand_over(self, m, per_channel, arrived):
        """One lane after the other and then the next entry, or all lanes at once."""
        turn = Signal(self.config.lanes)
        m.d.comb += [
            self.table_write.eq(arrived & self.load_table),
            self.write.eq(Mux(arrived & ~self.load_table, turn | (~per_channel).replicate(len(turn)), 0)),
        ]
        with m.If(self.load):
            m.d.sync += [turn.eq(1), self.entry.eq(0), self.table_address.eq(0)]
        with m.Elif(arrived):
            m.d.sync += [turn.eq(turn.rotate_left(1)), self.table_address.eq(self.table_address + 1)]
            with m.If(turn[-1] | ~per_channel):
                m.d.sync += self.entry.eq(self.entry + 1)
