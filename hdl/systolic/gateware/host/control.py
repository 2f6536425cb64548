"""The registers that the host sees, behind an AXI4-Lite slave."""

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from ... import registers
from ...tpu_config import IDENTITY
from ..lib.axi import AxiLite
from ..ports import HostPort
from ..shared import Shared, place
from .counters import Counters

__all__ = ["ControlRegisters", "Counts"]

_OKAY, _SLVERR = 0, 2


class Counts(data.StructLayout):
    """What to add to the counters in a cycle, all but ``CYCLES``, by the registers' names in small letters."""

    def __init__(self, config):
        super().__init__({name: range(most + 1) for name, most in _increments(config).items() if name != "cycles"})


def _increments(config):
    """What each counter may go up by in a cycle."""
    arch = config.matrix.arch
    most = {"useful_macs": arch.rows * arch.cols, "bytes_read": config.bus_bytes, "bytes_written": config.bus_bytes}
    return {name.lower(): most.get(name.lower(), 1) for name in registers.counters()}


class ControlRegisters(Shared):
    """Registers, counters and interrupt of a TPU; addresses and bits as :mod:`systolic.registers` has them.

    Parameters
    ----------
    config : TpuConfig

    Members
    -------
    s_axi : In(AxiLite)
        A write is taken when address and data are both there, and bytes without strobe stay as they are. Addresses
        without a register answer SLVERR. Reading a counter takes up to 20 cycles, anything else 4.
    interrupt : Out(1)
        While an enabled interrupt is pending.
    sequencer : Out(HostPort)
        ``start`` comes only if neither ``running`` nor ``stopped``; ``running`` has to rise within the next two cycles.
        An interrupt is pending from ``halted``, ``interrupted`` or ``failed`` on.
    restart : Out(1)
        For one cycle, only if ``stopped`` and not ``bus_dead``.
    count : In(Counts)
        Cleared with ``start``. ``CYCLES`` counts ``running``.

    Outputs depend on registers alone.
    """

    module_name = "control_registers"
    resets = True

    def __init__(self, config):
        self.identity = config.identity
        self.increments = _increments(config)
        super().__init__({
            "s_axi": In(AxiLite(registers.ADDRESS_WIDTH)), "interrupt": Out(1), "restart": Out(1),
            "sequencer": Out(HostPort()), "count": In(Counts(config)),
        })

    def build(self, platform):
        m = Module()
        stored = {}
        for each in registers.registers():
            for field in each.fields:
                if field.access.startswith("read, write"):
                    name = f"{each.name.lower()}_{field.name}"
                    stored[each.name, field.name] = Signal(field.width, init=field.reset, name=name)
        self._write(m, stored)
        self._read(m, self._shown(stored))
        m.d.comb += [
            self.sequencer.address.eq(stored["PROGRAM_ADDRESS", "address"]),
            self.sequencer.length.eq(stored["PROGRAM_LENGTH", "instructions"]),
            self.sequencer.watchdog.eq(stored["WATCHDOG", "cycles"]),
        ]
        causes = [(stored["INTERRUPT_STATUS", name], stored["INTERRUPT_ENABLE", name], come) for name, come in (
            ("program", self.sequencer.interrupted), ("halt", self.sequencer.halted), ("error", self.sequencer.failed))]
        for pending, _, come in causes:
            with m.If(come):
                m.d.sync += pending.eq(1)
        m.d.sync += self.interrupt.eq(Cat(pending & enabled for pending, enabled, _ in causes).any())
        return m

    def _write(self, m, stored):
        """The write channels: what is written, and what a write sets off."""
        axi = self.s_axi
        written = Cat(strobe.replicate(8) for strobe in axi.wstrb)
        m.d.sync += [self.sequencer.start.eq(0), self.restart.eq(0), self.sequencer.busy_error.eq(0)]
        with m.FSM(name="writing"):
            with m.State("wait"):
                with m.If(axi.awvalid & axi.wvalid):
                    m.next = "take"
            with m.State("take"):
                m.d.comb += [axi.awready.eq(1), axi.wready.eq(1)]
                m.d.sync += axi.bresp.eq(_SLVERR)
                with m.Switch(axi.awaddr[2:]):
                    for each in registers.registers():
                        with m.Case(each.address >> 2):
                            m.d.sync += axi.bresp.eq(_OKAY)
                            self._set(m, each, stored, axi.wdata, written)
                m.next = "answer"
            with m.State("answer"):
                m.d.comb += axi.bvalid.eq(1)
                with m.If(axi.bready):
                    m.next = "wait"

    def _set(self, m, register, stored, value, written):
        for field in register.fields:
            bits = slice(field.low, field.low + field.width)
            ones = (value & written)[bits]
            if (register.name, field.name) == ("CONTROL", "start"):
                m.d.sync += [self.sequencer.start.eq(ones & ~self.sequencer.running & ~self.sequencer.stopped),
                             self.sequencer.busy_error.eq(ones & self.sequencer.running)]
            elif (register.name, field.name) == ("CONTROL", "restart"):
                m.d.sync += self.restart.eq(ones & self.sequencer.stopped & ~self.sequencer.bus_dead)
            elif field.access.endswith("clear"):
                before = stored[register.name, field.name]
                m.d.sync += before.eq(before & ~ones)
            elif field.access == "read, write":
                before = stored[register.name, field.name]
                m.d.sync += before.eq(before & ~written[bits] | ones)

    def _shown(self, stored):
        """Value of each register but the counters, by address."""
        sequencer = self.sequencer
        inside = {
            ("STATUS", "idle"): ~sequencer.running & ~sequencer.stopped, ("STATUS", "running"): sequencer.running,
            ("STATUS", "stopped"): sequencer.stopped, ("ERROR_CODE", "code"): sequencer.error_code,
            ("ERROR_CODE", "bus_dead"): sequencer.bus_dead, ("ERROR_INDEX", "index"): sequencer.error_index,
            ("DEBUG_TAG", "tag"): sequencer.debug_tag,
        } | {IDENTITY[name]: value for name, value in self.identity.items()} | stored
        shown = {}
        for each in registers.registers():
            if not each.name.endswith(("_LO", "_HI")):
                value = Const(0, 32)
                for field in each.fields:
                    bits = inside.get((each.name, field.name), Const(field.reset or 0, field.width))
                    value |= Value.cast(bits) << field.low
                shown[each.address] = value[:32]
        return shown

    def _read(self, m, shown):
        """The read channels. A counter is read when its turn comes, two cycles after an address or later."""
        axi = self.s_axi
        counters = place(m, "counters", Counters(self.increments))
        m.d.comb += [counters.increments[name].eq(self.sequencer.running if name == "cycles" else self.count[name])
                     for name in self.increments]
        m.d.comb += counters.clear.eq(self.sequencer.start)
        lows, highs = ([registers.address(name + half) >> 2 for name in registers.counters()]
                       for half in ("_LO", "_HI"))
        address = Signal(registers.ADDRESS_WIDTH)
        high = Signal(16)
        with m.FSM(name="reading"):
            with m.State("wait"):
                with m.If(axi.arvalid):
                    m.next = "take"
            with m.State("take"):
                m.d.comb += axi.arready.eq(1)
                m.d.sync += address.eq(axi.araddr)
                m.next = "look"
            with m.State("look"):
                m.d.sync += [axi.rdata.eq(0), axi.rresp.eq(_OKAY)]
                m.next = "answer"
                with m.Switch(address[2:]):
                    for each, value in shown.items():
                        with m.Case(each >> 2):
                            m.d.sync += axi.rdata.eq(value)
                    with m.Case(*lows):
                        m.d.sync += [axi.rdata.eq(counters.value), high.eq(counters.value[32:])]
                        with m.If(counters.slot != address[3:7]):
                            m.next = "look"
                    with m.Case(*highs):
                        m.d.sync += axi.rdata.eq(high)
                    with m.Default():
                        m.d.sync += axi.rresp.eq(_SLVERR)
            with m.State("answer"):
                m.d.comb += axi.rvalid.eq(1)
                with m.If(axi.rready):
                    m.next = "wait"
