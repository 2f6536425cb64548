"""The whole TPU: core, control registers and bus interfaces."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..registers import ADDRESS_WIDTH
from .core import Core
from .host.control import ControlRegisters
from .lib.axi import AXI4, AxiLite
from .shared import Shared, place

__all__ = ["Tpu"]


class Tpu(Shared):
    """A TPU v1 behind three ports.

    ::

                         memory (AXI4)                                          host (AXI4-Lite)
              ┌───────────────┼──────────────┐                                        │
              ▼               ▼              │                                 ControlRegisters
        WeightReader        Loader         Storer                                     │
              │               ▼              ▲                                    Sequencer
              │         ┌─ UnifiedBuffer ────┤                                        │
              │         ▼               ▲    │                          a command for each unit
              │     RowReader           │    ▼
              ▼         ▼               │
              MatrixUnit ─────────▶ ActivationUnit

    Parameters
    ----------
    config : TpuConfig

    Members
    -------
    memory : Out(AXI4)
    host : In(AxiLite)
    interrupt : Out(1)
        High as long as an enabled interrupt is pending.
    """

    resets = True
    module_name = "tpu"

    def __init__(self, config):
        self.config = config
        self.design = config.name
        super().__init__({
            "memory": Out(AXI4(config.bus_bytes)), "host": In(AxiLite(ADDRESS_WIDTH)), "interrupt": Out(1),
        })

    def build(self, platform):
        m = Module()
        control = ControlRegisters(self.config)
        core = Core(self.config)
        core.reset_too = control.restart
        place(m, "control", control)
        place(m, "core", core)
        wiring.connect(m, wiring.flipped(self.host), control.s_axi)
        wiring.connect(m, core.memory, wiring.flipped(self.memory))
        wiring.connect(m, control.sequencer, core.host)
        m.d.comb += [control.count.eq(core.count), self.interrupt.eq(control.interrupt)]
        return m
