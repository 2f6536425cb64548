"""The accumulators: sums over tiles, one memory a column."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value, signed
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out

from ...config import Format
from ..delay import delay
from ..lib.float import FloatAdder, Psum, encode_psum
from ..shared import Shared, place
from ..vendor.ecp5_memory import Ecp5Memory

__all__ = ["Accumulators", "Command"]


class Command(data.StructLayout):
    """What to do with a row of psums.

    ``address``: the entry it belongs to. ``accumulate``: add to the entry instead of overwriting it. ``last``: the
    sum is finished, so send it on.
    """

    def __init__(self, arch):
        super().__init__({"address": arch.address_width, "accumulate": 1, "last": 1})


class _Lane(Shared):
    """One column: its memory and its adder.

    ``keep`` comes a cycle ahead of ``psum``: whether the entry is to be added to it.
    """

    def __init__(self, config):
        self.config = config
        self.module_name = "accumulator"
        address_width = config.arch.address_width
        super().__init__({
            "read_address": In(address_width), "psum": In(config.arch.psum_width), "keep": In(1),
            "write_address": In(address_width), "write": In(1), "o": Out(32),
        })

    def build(self, platform):
        m = Module()
        int8 = self.config.arch.format is Format.INT8
        total = Signal(signed(32) if int8 else Psum)
        ecp5 = self.config.impl.memory == "ecp5_block"
        entry = (self._ecp5_memory if ecp5 else self._memory)(m, Value.cast(total))
        if int8:
            sum = delay(m, (self.psum.as_signed() + entry.as_signed())[:32], self.config.adder_stages - 1, "sum")
            m.d.comb += [total.eq(sum), self.o.eq(total)]
        else:
            m.d.comb += [total.eq(self._add(m, Psum(entry))), self.o.eq(encode_psum(m, total))]
        return m

    def _memory(self, m, total):
        """The entry to add, as bits: zero if it is not to be added."""
        m.submodules.sums = sums = memory.Memory(shape=len(total), depth=self.config.arch.accumulator_depth, init=[])
        read, write = sums.read_port(), sums.write_port()
        m.d.comb += [
            read.addr.eq(self.read_address), read.en.eq(1),
            write.addr.eq(self.write_address), write.en.eq(self.write), write.data.eq(total),
        ]
        stages = self.config.impl.memory_stages
        if stages == 1:
            return Mux(delay(m, self.keep, 1, "kept"), read.data, 0)
        return self._gate(m, delay(m, read.data, stages - 2, "entry"))

    def _ecp5_memory(self, m, total):
        sums = place(m, "sums", Ecp5Memory())
        m.d.comb += [
            sums.write.eq(self.write), sums.write_address.eq(self.write_address), sums.i.eq(total),
            sums.read.eq(1), sums.read_address.eq(self.read_address), sums.move.eq(1),
        ]
        return self._gate(m, sums.o[:len(total)])

    def _gate(self, m, entry):
        """The entry one cycle later, zero if it is not to be added: the reset of a register, not a multiplexer."""
        gated = Signal(len(entry), reset_less=True)
        m.d.sync += gated.eq(Mux(self.keep, entry, 0))
        return gated

    def _add(self, m, entry):
        adder = place(m, "adder", FloatAdder(stages=self.config.adder_stages, registered=False))
        psum = Psum(self.psum)
        m.d.comb += [adder.term[name].eq(psum[name]) for name in ("mantissa", "exponent", "pos", "neg")]
        # The zero of an entry that is not kept is all zeros, that of a psum has exponent 1.
        m.d.comb += [adder.psum.eq(entry), adder.psum.exponent.eq(entry.exponent | (entry.exponent == 0))]
        return adder.o


class Accumulators(Shared):
    """Adds rows of psums to the entries they belong to, one row a cycle.

    A finished row leaves on its way into memory, so results never take a memory port from the sums that follow.
    Entries are not cleared, by reset neither: overwrite before accumulating. A row may accumulate onto an
    entry ``turnaround`` cycles after the row that wrote it.

    Members
    -------
    command : In(stream, always ready)
        Command of a row, ``memory_stages`` cycles ahead of its psums.
    psums : In
        The row, column 0 in the lowest bits.
    o : Out(stream, always ready)
        Finished rows of C sums of 32 bits, in the cycle of their writing: ``adder_stages`` - 1 after their psums.
    """

    resets = True

    def __init__(self, config):
        self.config = config
        self.module_name = "accumulators"
        arch = config.arch
        super().__init__({
            "command": In(stream.Signature(Command(arch), always_ready=True)),
            "psums": In(arch.psum_width * arch.cols),
            "o": Out(stream.Signature(32 * arch.cols, always_ready=True)),
        })

    def build(self, platform):
        m = Module()
        read = self.command.payload
        stages = self.config.impl.memory_stages
        keep = delay(m, read.accumulate, stages - 1, "keep")
        add = delay(m, read, stages, "add")
        add_valid = delay(m, self.command.valid, stages, "add_valid", reset_less=False)
        stages = self.config.adder_stages - 1
        write = delay(m, add, stages, "write")
        write_valid = delay(m, add_valid, stages, "write_valid", reset_less=False)
        lanes = [place(m, f"lane_{c}", _Lane(self.config)) for c in range(self.config.arch.cols)]
        for c, lane in enumerate(lanes):
            m.d.comb += [
                lane.read_address.eq(read.address),
                lane.psum.eq(self.psums.word_select(c, len(lane.psum))), lane.keep.eq(keep),
                lane.write_address.eq(write.address), lane.write.eq(write_valid),
            ]
        m.d.comb += [self.o.valid.eq(write_valid & write.last), self.o.payload.eq(Cat(lane.o for lane in lanes))]
        return m
