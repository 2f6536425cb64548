"""On-chip memory as a slave on the memory bus, for boards without DRAM."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory
from amaranth.lib.wiring import In

from ...errors import ConfigError
from ..shared import Shared
from .axi import AXI4, INCR, OKAY, SLVERR

__all__ = ["OnChipMemory"]


class OnChipMemory(Shared):
    """An AXI4 slave: one read and one write burst at a time, another may wait; a beat a cycle without a gap.

    ::

        AR ─▶ waiting ─▶ burst ─▶ address ─▶ read port ─▶ R
        AW ─▶ waiting ─▶ burst ─▶ address ─┬─▶ write port
        W ─────────────────────────────────┘     └─▶ B

    Parameters
    ----------
    size : int
        Bytes, a multiple of ``bus_bytes``. The first is at address 0.
    bus_bytes : int
        Width of the bus in bytes, a power of two.
    init : bytes
        Its contents at first; zeros after those.
    module_name : str
        Begins the name of the Verilog module; its shape is added. Memories of other contents need another name.

    Members
    -------
    bus : In(AXI4)
        INCR bursts of beats as wide as the bus. SLVERR for beats beyond ``size``, which write nothing, and for
        other bursts, which do not either.

    The first beat is on R three cycles after AR was taken, the response on B two after the last beat.
    """

    resets = True

    def __init__(self, *, size, bus_bytes, init=b"", module_name="on_chip_memory"):
        if bus_bytes < 1 or bus_bytes & (bus_bytes - 1):
            raise ConfigError(f"bus_bytes must be a power of two, not {bus_bytes!r}")
        if size < bus_bytes or size % bus_bytes or size > 2**32:
            raise ConfigError(f"size must be a multiple of bus_bytes = {bus_bytes} from that to 2**32, not {size!r}")
        if len(init) > size:
            raise ConfigError(f"init must be of at most size = {size} bytes, not {len(init)}")
        self.size = size
        self.bus_bytes = bus_bytes
        self.module_name = f"{module_name}_{size // bus_bytes}x{8 * bus_bytes}"
        self.init = [int.from_bytes(init[start:start + bus_bytes], "little")
                     for start in range(0, len(init), bus_bytes)]
        self.shift = bus_bytes.bit_length() - 1
        super().__init__({"bus": In(AXI4(bus_bytes))})

    def build(self, platform):
        m = Module()
        m.submodules.bytes = storage = memory.Memory(
            shape=8 * self.bus_bytes, depth=self.size // self.bus_bytes, init=self.init)
        self._read(m, storage.read_port())
        self._write(m, storage.write_port(granularity=8))
        return m

    def _bursts(self, m, channel, step, name):
        """Takes bursts from AR or AW; the one under way, in words. It advances in cycles with ``step``."""
        layout = data.StructLayout({"valid": 1, "word": 32 - self.shift, "left": 8, "last": 1, "legal": 1})
        waiting, burst = Signal(layout, name=f"{name}_waiting"), Signal(layout, name=f"{name}_burst")
        address, free = channel.payload, Signal(name=f"{name}_free")
        m.d.comb += [channel.ready.eq(~waiting.valid), free.eq(~burst.valid | (step & burst.last))]
        with m.If(channel.ready):
            m.d.sync += [
                waiting.valid.eq(channel.valid), waiting.word.eq(address.addr >> self.shift),
                waiting.left.eq(address.len), waiting.last.eq(address.len == 0),
                waiting.legal.eq((address.size == self.shift) & (address.burst == INCR)),
            ]
        with m.If(step):
            m.d.sync += [burst.word.eq(burst.word + 1), burst.left.eq(burst.left - 1), burst.last.eq(burst.left == 1)]
        with m.If(free):
            m.d.sync += burst.eq(waiting)
            with m.If(waiting.valid):
                m.d.sync += waiting.valid.eq(0)
        return burst

    def _read(self, m, port):
        r = self.bus.r
        step = Signal()
        burst = self._bursts(m, self.bus.ar, step, "read")
        m.d.comb += [
            step.eq(burst.valid & (~r.valid | r.ready)),
            port.addr.eq(burst.word), port.en.eq(step), r.payload.data.eq(port.data),
        ]
        with m.If(~r.valid | r.ready):
            m.d.sync += [r.valid.eq(burst.valid), r.payload.last.eq(burst.last),
                         r.payload.resp.eq(Mux(self._legal(burst), OKAY, SLVERR))]

    def _write(self, m, port):
        w, b = self.bus.w, self.bus.b
        step = Signal()
        burst = self._bursts(m, self.bus.aw, step, "write")
        word, taken, legal, ended = Signal.like(w.payload), Signal(), Signal(), Signal()
        address = Signal.like(port.addr)
        m.d.comb += [
            # A last beat waits until the response to the burst before has gone.
            w.ready.eq(burst.valid & ~(burst.last & (ended | b.valid))), step.eq(w.valid & w.ready),
            port.addr.eq(address), port.data.eq(word.data),
            port.en.eq(word.strb & (taken & legal).replicate(self.bus_bytes)),
        ]
        m.d.sync += [word.eq(w.payload), address.eq(burst.word), taken.eq(step), ended.eq(step & burst.last),
                     legal.eq(self._legal(burst))]
        failed = Signal()
        with m.If(taken):
            m.d.sync += failed.eq(~ended & (failed | ~legal))
        with m.If(ended):
            m.d.sync += [b.valid.eq(1), b.payload.resp.eq(Mux(failed | ~legal, SLVERR, OKAY))]
        with m.Elif(b.ready):
            m.d.sync += b.valid.eq(0)

    def _legal(self, burst):
        return burst.legal & (burst.word < self.size // self.bus_bytes)
