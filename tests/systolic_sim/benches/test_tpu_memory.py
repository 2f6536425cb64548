"""The cocotb bench of the on-chip memory."""

import dataclasses

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Elaboratable, Module, Signal, Value
from amaranth.hdl._ir import PortDirection
from amaranth.lib.wiring import In

from systolic import verilog
from systolic.gateware.lib.on_chip_memory import OnChipMemory
from systolic.gateware.shared import Library, place
from systolic_sim.benches.runner import run_bench

TESTS = {"one_after_the_other", "side_by_side", "errors"}


@dataclasses.dataclass(frozen=True)
class Size:
    """What the bench has to know of a memory."""

    name: str
    size: int
    bus_bytes: int

    def describe(self):
        return dataclasses.asdict(self)


class Top(Elaboratable):
    """The memory behind flat ports; ``spoil`` says what becomes of ports on their way, by name."""

    def __init__(self, size, spoil):
        self.memory = OnChipMemory(size=size.size, bus_bytes=size.bus_bytes)
        self.ports, self.assignments = {}, []
        for channel, member in self.memory.bus.signature.members.items():
            stream, inward = getattr(self.memory.bus, channel), member.flow is In
            for field, _ in stream.payload.shape():
                self._port(f"{channel}{field}", stream.payload[field], not inward, spoil)
            self._port(f"{channel}valid", stream.valid, not inward, spoil)
            self._port(f"{channel}ready", stream.ready, inward, spoil)

    def _port(self, name, value, outward, spoil):
        value = Value.cast(value)
        port = Signal(len(value), name=f"s_axi_{name}")
        self.ports[port.name] = port, PortDirection.Output if outward else PortDirection.Input
        there, here = (port, value) if outward else (value, port)
        self.assignments.append(there.eq(spoil.get(name, lambda plain: plain)(here)))

    def elaborate(self, platform):
        m = Module()
        place(m, "memory", self.memory)
        m.d.comb += self.assignments
        return m


def run(size, simulator="verilator", *, test=None, **spoil):
    top, library = Top(size, spoil), Library(f"{size.name}_")
    text = rtlil.convert(top, size.name, library, ports=top.ports, emit_src=False)
    text = verilog._rtlil_to_verilog("\n".join([*library.modules.values(), text]), "auto")
    design = verilog.Design(size.name, text, {})
    return run_bench(size, simulator, bench="tpu_memory", test=test, design=design)


# Beyond a memory of 768 words Icarus reads X, which goes with SLVERR but not into a number.
@pytest.mark.parametrize("size, simulator", [
    (Size("memory_4", 1024, 4), "verilator"), (Size("memory_16", 3 * 4096, 16), "verilator"),
    pytest.param(Size("memory_4", 1024, 4), "icarus", marks=pytest.mark.needs("icarus"))],
    ids=["4 bytes, Verilator", "16 bytes, Verilator", "4 bytes, Icarus"])
def test_bench(size, simulator):
    report = run(size, simulator)
    assert not report.failed, report.log
    assert set(report.passed) == TESTS


@pytest.mark.parametrize("name, spoil", [("wstrb", lambda strobes: strobes | 1), ("rlast", lambda last: 0),
                                         ("bresp", lambda response: 0)],
                         ids=["strobes", "last", "response"])
def test_bench_notices_a_fault(name, spoil):
    assert run(Size(f"memory_faulty_{name}", 1024, 4), **{name: spoil}).failed
