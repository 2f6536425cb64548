"""What the tests of cycle models against their gateware have in common."""

import types

import pytest
from amaranth.sim import Simulator

from systolic import isa


def offered(ctx, stream, *names):
    """The named fields of what a stream offers, the whole payload without names, or ``None``."""
    if not ctx.get(stream.valid):
        return None
    payload = ctx.get(stream.payload)
    return tuple(getattr(payload, name) for name in names) if names else payload


def unit_outputs(ctx, dut):
    """Attributes that the model of every unit has, from its gateware."""
    port, error = dut.sequencer, ctx.get(dut.sequencer.error)
    return {"command_ready": ctx.get(port.command.ready), "done": ctx.get(port.done), "busy": ctx.get(port.busy),
            "moving": ctx.get(port.moving), "error": (error.code, error.index) if error.valid else None}


def command(ctx, dut, name, offer):
    """Offers (index, values of the fields), or nothing."""
    port = dut.sequencer.command
    ctx.set(port.valid, offer is not None)
    if offer is not None:
        ctx.set(port.payload.index, offer[0])
        ctx.set(port.payload.words, int.from_bytes(isa.encode([isa.Operation(name, offer[1])]), "little"))


def beat(ctx, port, flags):
    """A beat (error, last), or none."""
    ctx.set(port.valid, flags is not None)
    if flags is not None:
        ctx.set(port.error, flags[0])
        ctx.set(port.last, flags[1])


def simulate(dut, testbench):
    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.fixture
def bench():
    """Functions between gateware and models."""
    return types.SimpleNamespace(offered=offered, unit_outputs=unit_outputs, command=command, beat=beat,
                                 simulate=simulate)
