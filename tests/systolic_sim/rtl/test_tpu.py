"""The harness of compiled TPUs, on a small stand-in: what the memory does, and what it notices."""

import types

import numpy as np
import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Mux, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib import memory
from amaranth.lib.wiring import Out

from systolic import verilog
from systolic.gateware.host.control import ControlRegisters
from systolic.gateware.shared import Library
from systolic.host import Driver, LinkError, WaitError
from systolic.isa import ErrorCode
from systolic.tpu_config import tpu_preset
from systolic_sim.rtl import tpu as tpu_rtl
from systolic_sim.rtl.matrix_unit import RtlError

TPU = tpu_preset("tpu_8x8")
WIDTH = 8 * TPU.bus_bytes
OUTPUTS = {"araddr": 32, "arlen": 8, "arsize": 3, "arburst": 2, "arvalid": 1, "rready": 1, "awaddr": 32, "awlen": 8,
           "awsize": 3, "awburst": 2, "awvalid": 1, "wdata": WIDTH, "wstrb": WIDTH // 8, "wlast": 1, "wvalid": 1,
           "bready": 1}
INPUTS = {"arready": 1, "rdata": WIDTH, "rresp": 2, "rlast": 1, "rvalid": 1, "awready": 1, "wready": 1, "bresp": 2,
          "bvalid": 1}


class Copier(Elaboratable):
    """Instead of running a program, reads it in one burst and writes it 4 KB further on, inverted.

    ``fault`` plants a bad habit.
    """

    def __init__(self, fault):
        self.fault = fault
        self.control = ControlRegisters(TPU)
        self.bus = types.SimpleNamespace(**{name: Signal(width, name=f"m_axi_{name}")
                                            for name, width in (OUTPUTS | INPUTS).items()})
        self.ports = {f"m_axi_{name}": (getattr(self.bus, name), PortDirection.Output if name in OUTPUTS else
                                        PortDirection.Input) for name in OUTPUTS | INPUTS}
        self.assignments = []
        for name, member in self.control.s_axi.signature.members.items():
            self._port(f"s_axi_{name}", getattr(self.control.s_axi, name), member.flow is Out)
        self._port("irq", self.control.interrupt, True)

    def _port(self, name, value, outward):
        port = Signal(len(Value.cast(value)), name=name)
        self.ports[name] = port, PortDirection.Output if outward else PortDirection.Input
        self.assignments.append(port.eq(value) if outward else value.eq(port))

    def elaborate(self, platform):
        m = Module()
        control, bus = self.control, self.bus
        m.submodules.control = control
        m.submodules.words = words = memory.Memory(shape=WIDTH, depth=256, init=[])
        write, read = words.write_port(), words.read_port(domain="comb")
        here, asked, failed = Signal(8), Signal(), Signal()
        last = control.sequencer.length - 1
        m.d.comb += self.assignments + [
            bus.araddr.eq(control.sequencer.address + (0xFF8 if self.fault == "page" else 0)),
            bus.awaddr.eq(control.sequencer.address + 4096), bus.arlen.eq(last), bus.awlen.eq(last),
            bus.arsize.eq(2 if self.fault == "size" else 3), bus.awsize.eq(3), bus.arburst.eq(1), bus.awburst.eq(1),
            bus.rready.eq(1), bus.bready.eq(1), bus.wstrb.eq((1 << len(bus.wstrb)) - 1),
            write.addr.eq(here), write.data.eq(bus.rdata), write.en.eq(bus.rvalid), read.addr.eq(here),
            bus.wdata.eq(~read.data), bus.wlast.eq((here == last) ^ (self.fault == "last")),
            control.sequencer.error_code.eq(Mux(failed, ErrorCode.BUS_READ, 0)), control.count.active.eq(bus.arvalid),
        ]
        with m.If(control.sequencer.start):
            m.d.sync += [control.sequencer.running.eq(1), bus.arvalid.eq(1), asked.eq(0)]
        with m.If(bus.arvalid & bus.arready):
            m.d.sync += bus.arvalid.eq(0)
        if self.fault == "fickle":
            with m.If(bus.arvalid & ~bus.arready & ~asked):
                m.d.sync += [bus.arvalid.eq(0), asked.eq(1)]
            with m.If(asked):
                m.d.sync += [bus.arvalid.eq(1), asked.eq(0)]
        m.d.sync += [control.sequencer.halted.eq(0), control.sequencer.failed.eq(0)]
        with m.If(bus.rvalid):
            m.d.sync += [here.eq(Mux(bus.rlast, 0, here + 1)), failed.eq(failed | bus.rresp[1])]
            with m.If(bus.rlast):
                m.d.sync += [bus.awvalid.eq(1), bus.wvalid.eq(1)]
        with m.If(bus.awvalid & bus.awready):
            m.d.sync += bus.awvalid.eq(0)
        with m.If(bus.wvalid & bus.wready):
            m.d.sync += here.eq(Mux(here == last, 0, here + 1))
            with m.If(here == last):
                m.d.sync += bus.wvalid.eq(0)
        with m.If(bus.bvalid):
            bad = failed | bus.bresp[1]
            m.d.sync += [control.sequencer.running.eq(0), failed.eq(bad), control.sequencer.stopped.eq(bad),
                         control.sequencer.halted.eq(~bad), control.sequencer.failed.eq(bad)]
        with m.If(control.restart):
            m.d.sync += [control.sequencer.stopped.eq(0), failed.eq(0)]
        return m


def model(fault=None):
    copier, library = Copier(fault), Library("copier_")
    top = rtlil.convert(copier, "copier", library, ports=copier.ports, emit_src=False)
    text = verilog._rtlil_to_verilog("\n".join([*library.modules.values(), top]), "auto")
    return tpu_rtl.TpuRtl(TPU, design=verilog.Design("copier", text, {}))


@pytest.fixture(scope="module")
def copier():
    return model()


@pytest.fixture
def memory_of(copier):
    """The model after reset and a random memory of 64 KB."""
    copier.reset()
    return copier, np.random.default_rng(0).integers(0, 256, 65536, np.uint8)


def inverted(before, address, words):
    after = before.copy()
    size = words * TPU.bus_bytes
    after[address + 4096:address + 4096 + size] = ~before[address:address + size]
    return after


@pytest.mark.parametrize("latency", [1, 2, 10])
@pytest.mark.parametrize("words", [1, 16, 200])
def test_latency_is_exact(memory_of, latency, words):
    """Address to first beat, a beat a cycle, last beat to response."""
    tpu, memory = memory_of
    before = memory.copy()
    tpu.connect(memory, latency=latency)
    outcome = Driver(tpu).run(256, words)
    assert outcome.halted and outcome.error_code == 0 and outcome.interrupts == 0
    assert np.array_equal(memory, inverted(before, 256, words))
    # AR in the first cycle of running; last R beat, W begins a cycle later, response taken, running ends.
    assert outcome.counters["cycles"] == latency + (words - 1) + 1 + (words - 1) + latency + 1
    assert outcome.counters["active"] == 1


@pytest.mark.parametrize("cycles_per_word", [4, 1.25, 4 / 3, 1])
def test_bandwidth(memory_of, cycles_per_word):
    """Two words at most have been saved up before the first; no fraction of one is lost."""
    tpu, memory = memory_of
    word = tpu.config.bus_bytes
    tpu.connect(memory, latency=1)
    fast = Driver(tpu).run(0, 200).counters["cycles"]
    tpu.connect(memory, latency=1, bytes_per_cycle=word / cycles_per_word)
    slow = Driver(tpu).run(0, 200).counters["cycles"]
    assert -2 * cycles_per_word <= slow - fast - (cycles_per_word - 1) * 200 <= 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stalls", [0.1, 0.9, {"r": 0.5}, {"w": 0.7, "b": 0.9}])
def test_stalls_change_time_alone(memory_of, stalls, seed):
    tpu, memory = memory_of
    before = memory.copy()
    tpu.connect(memory, stalls=stalls, seed=seed)
    first = Driver(tpu).run(512, 100).counters["cycles"]
    assert np.array_equal(memory, inverted(before, 512, 100))
    tpu.connect(memory)
    assert Driver(tpu).run(512, 100).counters["cycles"] < first
    tpu.connect(memory, stalls=stalls, seed=seed)
    assert Driver(tpu).run(512, 100).counters["cycles"] == first


def test_silence_is_exact(memory_of):
    """Nothing on that channel from that cycle on, all as before until then; another call ends it."""
    tpu, memory = memory_of
    before, words, latency = memory.copy(), 20, 3
    tpu.connect(memory, latency=latency)
    cycles = Driver(tpu).run(256, words).counters["cycles"]
    last = {}
    for channel in tpu_rtl.CHANNELS:
        hang = [moment for moment in range(cycles + 10) if not silent_run(tpu, before, channel, moment, words, latency)]
        assert hang == [*range(len(hang))]
        last[channel] = hang[-1]
    # Of each channel, counted from the address, which is taken in the first cycle of running.
    assert {name: cycle - last["ar"] for name, cycle in last.items()} == {
        "ar": 0, "r": latency + words - 1, "aw": latency + words, "w": latency + 2 * words - 1, "b": cycles - 1}


def silent_run(tpu, before, channel, moment, words, latency):
    """Whether it ends although a channel falls silent; it does when it no longer is."""
    memory = before.copy()
    tpu.connect(memory, latency=latency, silent={channel: moment})
    for name, value in (("INTERRUPT_STATUS", 7), ("CONTROL", 1)):
        Driver(tpu).write(name, value)
    tpu.wait(200)
    ended = Driver(tpu).read("STATUS") == 1
    assert ended == (tpu.unanswered() == 0)
    tpu.connect(memory)
    tpu.wait(200)
    assert np.array_equal(memory, inverted(before, 256, words)) and tpu.unanswered() == 0
    return ended


@pytest.mark.parametrize("fault, words", [
    (tpu_rtl.Fault(first=64, last=72, writes=False), 16), (tpu_rtl.Fault(first=4096 + 127, last=5000, response=3), 16),
    (tpu_rtl.Fault(first=0, last=1, response=3, writes=False), 1)])
def test_faults(memory_of, fault, words):
    """An error on any beat; outside of it, and on the other kind of access, none. After a restart all is well."""
    tpu, memory = memory_of
    tpu.connect(memory, faults=[fault])
    outcome = Driver(tpu).run(0, words)
    assert not outcome.halted and outcome.error == ErrorCode.BUS_READ
    Driver(tpu).restart()
    assert Driver(tpu).run(8192, words).halted
    tpu.connect(memory)
    assert Driver(tpu).run(0, words).halted


def test_beyond_the_memory(memory_of):
    tpu, memory = memory_of
    tpu.connect(memory[:6000])
    assert not Driver(tpu).run(2048, 8).halted
    Driver(tpu).restart()
    tpu.connect(memory[:6016])
    assert Driver(tpu).run(1856, 8).halted


@pytest.mark.parametrize("fault, complaint, stalls", [
    ("page", "crosses 4 KB", 0), ("size", "AR size 2, burst 1", 0), ("last", "WLAST is 1 in beat 1 of 4", 0),
    ("fickle", "AR changed before it was taken", 0.9)])
def test_bad_manners_are_noticed(fault, complaint, stalls):
    tpu = model(fault)
    tpu.connect(np.zeros(65536, np.uint8), stalls={"ar": stalls}, seed=3)
    with pytest.raises(RtlError, match=complaint):
        Driver(tpu).run(0, 4)


def test_no_end(memory_of):
    tpu, memory = memory_of
    tpu.connect(memory, latency=500)
    with pytest.raises(WaitError, match="no interrupt after 300 cycles: status running, 0 instructions"):
        Driver(tpu, limit=300).run(0, 4)


def test_bad_parameters(copier):
    memory = np.zeros(16, np.uint8)
    for message, array, options in (
        ("latency must be at least 1", memory, {"latency": 0}),
        ("stalls must be of ar, r", memory, {"stalls": {"x": 0}}),
        ("silent must be of ar, r, .*, not 5 for x", memory, {"silent": {"x": 5}}),
        ("from 0 cycles on, not -1 for r", memory, {"silent": {"r": -1}}),
        ("from 0 to below 1, not 1", memory, {"stalls": 1}), ("contiguous array of uint8", memory[::2], {}),
        ("contiguous array of uint8", memory.view(np.int8), {})):
        with pytest.raises(ValueError, match=message):
            copier.connect(array, **options)
    with pytest.raises(LinkError, match="answers SLVERR"):
        copier.read32(252)
    with pytest.raises(LinkError, match="answers SLVERR"):
        copier.write32(252, 0)
    with pytest.raises(ValueError, match="not compiled with trace=True"), copier.trace("x.vcd"):
        pass


def test_memory_over_the_link(memory_of):
    """Bytes are those of the array, and of nothing beside it."""
    tpu, memory = memory_of
    tpu.connect(memory)
    tpu.write(100, bytes(range(50)))
    assert memory[100:150].tolist() == list(range(50)) and tpu.read(98, 4) == memory[98:102].tobytes()
    for address, size in ((-1, 2), (65530, 7), (70000, 0)):
        with pytest.raises(LinkError, match="address must be within the memory's 65536 bytes"):
            tpu.read(address, size)
        with pytest.raises(LinkError, match="address must be within"):
            tpu.write(address, bytes(size))
