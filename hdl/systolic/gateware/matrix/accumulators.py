"""The accumulators: sums over tiles, one memory per column."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data, memory, stream
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..shared import Shared, place
from ..vendor.ecp5_memory import Ecp5Memory
from .formats import gateware

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
            "write_address": In(address_width), "write": In(1), "o": Out(config.arch.format.result_width),
        })

    def build(self, platform):
        m = Module()
        arch, format = self.config.arch, gateware(self.config.arch.format)
        total = Signal(format.entry(arch))
        ecp5 = self.config.impl.memory == "ecp5_block"
        entry = (self._ecp5_memory if ecp5 else self._memory)(m, Value.cast(total))
        m.d.comb += [total.eq(format.accumulate(m, self.config, self.psum, entry)), self.o.eq(format.encode(m, total))]
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
        Finished rows of C sums, ``result_width`` bits each, in the cycle of their writing: ``adder_stages`` - 1 after
        their psums.
    """

    resets = True

    def __init__(self, config):
        self.config = config
        self.module_name = "accumulators"
        arch = config.arch
        super().__init__({
            "command": In(stream.Signature(Command(arch), always_ready=True)),
            "psums": In(arch.psum_width * arch.cols),
            "o": Out(stream.Signature(arch.format.result_width * arch.cols, always_ready=True)),
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
