"""Proofs that take seconds, and that each finds a fault that is put into its component."""

import dataclasses

import pytest

from systolic.gateware.dma import read_dma
from systolic.gateware.host.control import ControlRegisters
from systolic.gateware.lib import queue
from systolic.gateware.lib.axi_switch import AxiSwitch
from systolic.gateware.lib.credits import Credits
from systolic.gateware.serial.uart import Receiver
from systolic.tpu_config import tpu_preset
from systolic_sim.formal import buses, engine, lines, queues
from systolic_sim.formal.command import proofs

TPU = tpu_preset("tpu_4x4")


def more(monkeypatch, component, **changed):
    """Its parameters are others than it says."""
    build = component.build

    def wrong(self, platform):
        for name, by in changed.items():
            setattr(self, name, getattr(self, name) + by)
        return build(self, platform)
    monkeypatch.setattr(component, "build", wrong)


def too_many_credits(monkeypatch, module):
    monkeypatch.setattr(module, "Credits", lambda most, **options: Credits(most=most + 1, **options))


def restarts_always(monkeypatch):
    set_ = ControlRegisters._set

    def wrong(self, m, register, *arguments):
        set_(self, m, register, *arguments)
        if register.name == "CONTROL":
            m.d.sync += self.restart.eq(arguments[1][1])
    monkeypatch.setattr(ControlRegisters, "_set", wrong)


CASES = {
    "credits": (lambda: queues.credits(3), lambda patch: more(patch, Credits, most=1)),
    "credits, late": (lambda: queues.credits(16, 4, late=True), lambda patch: more(patch, Credits, at_once=-1)),
    "queue": (lambda: queues.queue(4, 2), lambda patch: too_many_credits(patch, queue)),
    "control": (lambda: buses.control(TPU), restarts_always),
    "switch": (lambda: buses.switch(), lambda patch: more(patch, AxiSwitch, MOST=1)),
    "read DMA": (lambda: buses.read_dma(dataclasses.replace(TPU, reads_in_flight=2)),
                 lambda patch: too_many_credits(patch, read_dma)),
    "serial line": (lambda: lines.serial(4), lambda patch: more(patch, Receiver, divisor=1)),
}


@pytest.mark.parametrize("name", CASES)
def test_proof_and_planted_fault(monkeypatch, name):
    make, plant = CASES[name]
    bench = make()
    assert engine.prove(bench).proved
    assert not any(engine.cover(bench, number).proved for number in range(bench.covers))
    plant(monkeypatch)
    refuted = engine.prove(make())
    assert not refuted.proved and refuted.depth > 0


def test_names_tell_proofs_apart():
    names = [bench.name for bench in proofs()]
    assert len(names) == len(set(names)) > 10
