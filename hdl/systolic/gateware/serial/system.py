"""A TPU that needs nothing but a clock and a serial line."""

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ...errors import require_int
from ...serial_protocol import PAUSE
from ...tpu_config import TpuConfig
from ..lib.axi_switch import AxiSwitch
from ..lib.on_chip_memory import OnChipMemory
from ..shared import Shared, place
from ..tpu import Tpu
from .link import SerialLink
from .uart import Receiver, Transmitter

__all__ = ["SerialTpu"]


class SerialTpu(Shared):
    """A TPU with memory on the chip, driven over a serial line.

    ::

        rx ─▶ Receiver ──▶ SerialLink ──registers──▶ Tpu
        tx ◀─ Transmitter ◀──┘   │                    │
                                 └──▶ AxiSwitch ◀─────┘ memory
                                          │
                                     OnChipMemory

    Parameters
    ----------
    config : TpuConfig
    memory_size : int
        Bytes, a multiple of the bus's.
    divisor : int
        Cycles of a bit on the line, 4 or more.
    pause : int
        Cycles of silence after which a request that has begun is forgotten; see :data:`systolic.serial_protocol.PAUSE`.

    Members
    -------
    rx, tx : In(1), Out(1)
        The serial line, high when idle.
    interrupt : Out(1)
        Of the TPU.
    """

    resets = True

    def __init__(self, config: TpuConfig, *, memory_size: int, divisor: int, pause: int) -> None:
        require_int("divisor", divisor, 4)
        require_int("pause", pause, 20 * divisor, reason=", two bytes, at this divisor")
        self.config = config
        self.memory_size = memory_size
        self.divisor = divisor
        self.pause = pause
        self.module_name = f"serial_{config.name}"
        super().__init__({"rx": In(1), "tx": Out(1), "interrupt": Out(1)})

    @classmethod
    def at(cls, config: TpuConfig, *, memory_size: int, clock: int, baud: int) -> "SerialTpu":
        """For a clock in Hz and a line of that many bits a second."""
        require_int("baud", baud, 1, clock // 4, reason=f", a quarter of the clock of {clock} Hz")
        return cls(config, memory_size=memory_size, divisor=round(clock / baud), pause=round(PAUSE * clock))

    def build(self, platform):
        m = Module()
        bus_bytes = self.config.bus_bytes
        receiver = place(m, "receiver", Receiver(divisor=self.divisor))
        transmitter = place(m, "transmitter", Transmitter(divisor=self.divisor))
        link = place(m, "link", SerialLink(bus_bytes=bus_bytes, pause=self.pause))
        tpu = place(m, "tpu", Tpu(self.config))
        switch = place(m, "switch", AxiSwitch(bus_bytes=bus_bytes))
        storage = place(m, "memory", OnChipMemory(size=self.memory_size, bus_bytes=bus_bytes))
        wiring.connect(m, receiver.o, link.i)
        wiring.connect(m, link.o, transmitter.i)
        wiring.connect(m, link.registers, tpu.host)
        wiring.connect(m, tpu.memory, switch.masters[0])
        wiring.connect(m, link.memory, switch.masters[1])
        wiring.connect(m, switch.bus, storage.bus)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), link.interrupt.eq(tpu.interrupt),
                     self.interrupt.eq(tpu.interrupt)]
        return m
