"""The lanes of the activation unit: the data path of one channel each."""

import enum

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory
from amaranth.lib.wiring import In, Out

from ... import isa
from ..delay import delay
from ..lib.sums import gated_sum
from ..shared import Shared, place
from ..vendor.ecp5_memory import Ecp5Bytes, Ecp5Memory
from .requantise import Requantise, Scale

__all__ = ["Addend", "Control", "Lanes", "Record", "SOURCES", "SUM_TO_WRITE"]

#: Cycles from an operand at the entrance of requantisation to the byte at the output: clamped, looked up, chosen.
SUM_TO_WRITE = Requantise.LATENCY + 4


class Record(data.StructLayout):
    """A parameter record, decoded."""

    def __init__(self):
        super().__init__({"bias": signed(32), "scale": Scale()})


#: What is requantised: a row of sums, a pooled window, a pixel shifted left by 20 bits, the sum of two of those.
SOURCES = "sums", "window", "pixel", "total"


class Addend(enum.Enum):
    """What is added behind the rounding: the zero point, nothing, or the result before."""

    ZERO_POINT = 0
    NOTHING = 1
    RESULT = 2


class Control(data.StructLayout):
    """What all lanes do in a cycle. Cycle 0 is the one in which an operand enters requantisation.

    ``group``, ``entry`` (record): of the operand, in cycle -2. ``scale_entry``: the same in cycle 0. ``source``, a bit
    for each of ``SOURCES``: of the operand, in cycle -1. ``addend``: in cycle ``Requantise.LATENCY`` - 1. ``first``:
    the pixel that came in the cycle before begins a window. ``record``, ``record_entry``: to be written in lanes with
    ``record_write``. ``table_write``: ``record.bias`` has a byte of the table. The others are of the instruction and
    constant while anything is under way.
    """

    def __init__(self, config):
        entry = range(self.entries(config))
        super().__init__({
            "group": range(config.groups), "source": data.StructLayout({name: 1 for name in SOURCES}),
            "entry": entry, "scale_entry": entry,
            "addend": Addend, "first": 1, "record": Record(), "record_entry": entry, "table_write": 1,
            "table_address": 8, "maximum": 1, "fp32": 1, "lookup": 1, "zero_point": signed(8), "low": signed(8),
            "high": signed(8)})

    @staticmethod
    def entries(config):
        """Records that a lane holds: one a group, or the three of an addition."""
        return max(3, config.groups)


class _Lane(Shared):
    """One channel of every group.

    ::

        sums ─▶ group ─▶ z ─▶ z ──────────▶┐                                        ┌▶ table ─▶┐
        pixel ─▶ z ─▶ pool ─▶ z ─┬▶ or ─▶ z ─▶│ requantise ─▶ clamp ─▶ z ───────────┴▶ z ▶ z ─▶│─▶ z ─▶ o
                                 └◀───────────── bias, scale ┘ │
                                 ┌─────────────────────────────┘
    """

    def __init__(self, config):
        self.config = config
        self.ecp5 = config.matrix.impl.multiplier == "ecp5_dsp"
        self.ecp5_memory = config.matrix.impl.memory == "ecp5_block"
        self.module_name = f"activation_lane_{config.groups}"
        super().__init__({"control": In(Control(config)), "sums": In(32 * config.groups), "pixel": In(signed(8)),
                          "record_write": In(1), "o": Out(signed(8))})

    def build(self, platform):
        m, control = Module(), self.control
        unit = place(m, "requantise", Requantise(ecp5=self.ecp5))
        result = unit.y[:32].as_signed()
        window, source, record = self._pool(m), control.source, control.record
        x, other, take = Signal(32, reset_less=True), Signal(32, reset_less=True), Signal(reset_less=True)
        m.d.sync += [
            x.eq(delay(m, self.sums.word_select(control.group, 32), 1, "sum")), take.eq(source.sums),
            other.eq(Mux(source.window, window, 0) | Mux(source.pixel, window << 20, 0) | Mux(source.total, result, 0)),
        ]
        m.d.comb += [
            unit.fp32.eq(control.fp32), unit.x.eq(x), unit.take.eq(take), unit.other.eq(other),
            unit.bias.eq(self._memory(m, "biases", record.bias, control.entry)),
            unit.scale.eq(self._memory(m, "scales", record.scale, control.scale_entry)),
        ]
        with m.Switch(control.addend):
            with m.Case(Addend.ZERO_POINT):
                m.d.comb += unit.addend.eq(control.zero_point)
            with m.Case(Addend.RESULT):
                m.d.comb += unit.addend.eq(result)
        self._finish(m, self._clamp(m, unit))
        return m

    def _pool(self, m):
        """Two cycles: the maximum or the sum of the window so far; of one pixel, that pixel."""
        pixel, so_far = Signal(signed(8), reset_less=True), Signal(signed(24), name="so_far", reset_less=True)
        first, maximum = self.control.first, self.control.maximum
        m.d.sync += pixel.eq(self.pixel)
        wide = Cat(pixel, pixel[-1].replicate(16))
        total = gated_sum(m, "total", wide, so_far, ~(first | maximum), Const(0, 24), ecp5=self.ecp5)
        with m.If(first | ~maximum | (pixel > so_far[:8].as_signed())):
            m.d.sync += so_far.eq(total)
        return so_far

    def _memory(self, m, name, value, entry):
        """What an entry of the records holds, two cycles later."""
        depth = Control.entries(self.config)
        if self.ecp5_memory and depth <= Ecp5Memory.DEPTH:
            found = Signal.like(value, name=f"{name}_found")
            m.d.comb += found.eq(self._blocks(m, name, Value.cast(value), entry))
            return found
        m.submodules[name] = store = memory.Memory(shape=value.shape(), depth=depth, init=[])
        read, write = store.read_port(), store.write_port()
        m.d.comb += [
            write.en.eq(self.record_write), write.addr.eq(self.control.record_entry), write.data.eq(value),
            read.en.eq(1), read.addr.eq(delay(m, entry, 1, f"{name}_entry")),
        ]
        return read.data

    def _blocks(self, m, name, value, entry):
        """The same from block RAM, with its output registers."""
        parts = []
        for start in range(0, len(value), Ecp5Memory.WIDTH):
            bits = value[start:start + Ecp5Memory.WIDTH]
            block = place(m, f"{name}_{start}", Ecp5Memory())
            m.d.comb += [
                block.write.eq(self.record_write), block.write_address.eq(self.control.record_entry), block.i.eq(bits),
                block.read.eq(1), block.move.eq(1), block.read_address.eq(entry),
            ]
            parts.append(block.o[:len(bits)])
        return Cat(parts)

    def _clamp(self, m, unit):
        low, high = self.control.low, self.control.high
        byte = Signal(signed(8), reset_less=True)
        # Beyond 9 bits the sign decides.
        negative, short = unit.y[-1], unit.y[:9].as_signed()
        wide = Cat(bit ^ negative for bit in unit.y[8:-1]).any()
        with m.If(unit.under | ~unit.over & Mux(wide, negative, short < low)):
            m.d.sync += byte.eq(low)
        with m.Elif(unit.over | Mux(wide, ~negative, short > high)):
            m.d.sync += byte.eq(high)
        with m.Else():
            m.d.sync += byte.eq(unit.y)
        return byte

    def _finish(self, m, byte):
        """Three cycles: the byte, or what the table has for it."""
        control, found = self.control, Signal(8, reset_less=True)
        address, new = Cat(byte[:7], ~byte[7]), control.record.bias[:8]
        if self.ecp5_memory:
            table = place(m, "lookup_table", Ecp5Bytes(isa.TABLE_BYTES))
            m.d.comb += [
                table.write.eq(control.table_write), table.write_address.eq(control.table_address), table.i.eq(new),
                table.read_address.eq(address), found.eq(table.o),
            ]
        else:
            m.submodules.lookup_table = table = memory.Memory(shape=8, depth=isa.TABLE_BYTES, init=[])
            read, write = table.read_port(), table.write_port()
            m.d.comb += [
                write.en.eq(control.table_write), write.addr.eq(control.table_address), write.data.eq(new),
                read.en.eq(1), read.addr.eq(address),
            ]
            m.d.sync += found.eq(read.data)
        out = Signal(signed(8), reset_less=True)
        m.d.sync += out.eq(Mux(control.lookup, found.as_signed(), delay(m, byte, 2, "held")))
        m.d.comb += self.o.eq(out)


class Lanes(Shared):
    """Some lanes side by side; many are two halves, which is much less to elaborate.

    Members
    -------
    control : In, Control
    sums, pixels, record_write : In
        ``groups`` sums, a pixel and a bit for each lane.
    o : Out
        A byte of each lane, ``SUM_TO_WRITE`` cycles after the operand entered requantisation.
    """

    FLAT = 16

    def __init__(self, config, lanes):
        self.config = config
        self.lanes = lanes
        self.module_name = f"activation_lanes_{lanes}x{config.groups}"
        super().__init__({"control": In(Control(config)), "sums": In(32 * config.groups * lanes),
                          "pixels": In(8 * lanes), "record_write": In(lanes), "o": Out(8 * lanes)})

    def build(self, platform):
        m, half = Module(), self.lanes // 2
        if self.lanes <= self.FLAT:
            for lane in range(self.lanes):
                part = place(m, f"lane_{lane}", _Lane(self.config))
                self._connect(m, part, part.pixel, lane, lane + 1)
        else:
            for name, start, stop in (("low", 0, half), ("high", half, self.lanes)):
                part = place(m, name, Lanes(self.config, stop - start))
                self._connect(m, part, part.pixels, start, stop)
        return m

    def _connect(self, m, part, pixels, start, stop):
        width = 32 * self.config.groups
        m.d.comb += [
            part.control.eq(self.control), part.sums.eq(self.sums[width * start:width * stop]),
            pixels.eq(self.pixels[8 * start:8 * stop]), part.record_write.eq(self.record_write[start:stop]),
            self.o[8 * start:8 * stop].eq(part.o),
        ]
