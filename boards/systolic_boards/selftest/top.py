"""The whole chip: clock, reset, self-test and matrix unit behind plain pins."""

import pathlib
import tempfile

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Elaboratable, Instance, Module, ResetSignal, Signal
from amaranth.hdl._ir import PortDirection
from amaranth.lib import wiring

from systolic.gateware.serial.uart import Transmitter

from ..flow import tools
from .pattern import expected
from .selftest import SelfTest
from .uart import BAUD, Text

__all__ = ["Top", "to_verilog"]


# What an LED shows, from passed, failed and a signal that blinks.
_LEDS = {
    "pass": lambda passed, failed, blink: passed,
    "fail": lambda passed, failed, blink: failed,
    "alive": lambda passed, failed, blink: blink,
    "verdict": lambda passed, failed, blink: passed | (failed & blink),
}


class Top(Elaboratable):
    """The top module; ports are plain pins, one bit each.

    Parameters
    ----------
    design : SelfTestDesign
    streams : dict
        Of the matrix unit's module, as its sidecar lists them.
    fault : bool
        See :class:`.SelfTest`.
    """

    def __init__(self, design, streams, fault):
        self.design = design
        self.board = design.board
        self.streams = streams
        self.fault = fault
        self.pins = {port: Signal(name=port) for port in self.board.pins}
        self.ports = {port: (signal, PortDirection.Input if port == "clk" else PortDirection.Output)
                      for port, signal in self.pins.items()}

    def elaborate(self, platform):
        m = Module()
        self._clock(m)
        config = self.design.config
        m.submodules.selftest = test = SelfTest(config, expected=expected(config), fault=self.fault)
        m.submodules.matrix_unit = Instance(config.name, *self._connections(m, test))
        # Of a length that needs no comparison: up to two seconds.
        timer = Signal(range(int(self.board.clock.mhz * 1e6)))
        blink = timer[-1]
        m.d.sync += timer.eq(timer + 1)
        for port, signal in self.pins.items():
            if port.startswith("led_"):
                lit = _LEDS[port.removeprefix("led_")](test.passed, test.failed, blink)
                m.d.comb += signal.eq(lit ^ self.board.pins[port].invert)
        if self.board.uart:
            self._report(m, test, blink)
        return m

    def _clock(self, m):
        """The domain, in reset until the clock has settled and for a thousand cycles more.

        For the block memories of the iCE40 give no data in the first microseconds.
        """
        clock, locked = self.board.clock.build(m, self.pins.get("clk"))
        m.domains.start = ClockDomain(reset_less=True, local=True)
        m.domains.sync = ClockDomain()
        count = Signal(10)
        reset = Signal(init=1)
        settled = Signal(2)
        m.d.comb += [ClockSignal("start").eq(clock), ClockSignal("sync").eq(clock), ResetSignal("sync").eq(reset)]
        m.d.start += settled.eq(Cat(1 if locked is None else locked, settled[0]))
        with m.If(settled[1] & reset):
            m.d.start += [count.eq(count + 1), reset.eq(~count.all())]

    def _connections(self, m, test):
        """Ports of the instance, by the flat names of the generated module."""
        yield "i", "clk", ClockSignal()
        yield "i", "rst", ResetSignal()
        for name, stream in self.streams.items():
            port = getattr(test, name)
            inward = stream["direction"] == "in"
            yield "i" if inward else "o", f"{name}_valid", port.valid
            yield "o" if inward else "i", f"{name}_ready", port.ready
            for field in stream["fields"]:
                value = port.payload.as_value() if field == "data" and name != "rows" else port.payload[field]
                yield "i" if inward else "o", f"{name}_{field}", value

    def _report(self, m, test, blink):
        """Says the verdict once it is there, and then whenever the light goes out."""
        texts = [self.design.text(verdict) for verdict in ("FAIL", "PASS")]
        m.submodules.text = text = Text(texts, digits=len(test.digits) // 4)
        m.submodules.uart = uart = Transmitter(divisor=round(self.board.clock.mhz * 1e6 / BAUD))
        over = Signal()
        lit = Signal()
        m.d.sync += [over.eq(test.passed | test.failed), lit.eq(blink)]
        m.d.comb += [
            text.select.eq(test.passed), text.digits.eq(test.digits), self.pins["tx"].eq(uart.tx),
            text.start.eq((test.passed | test.failed) & (~over | (lit & ~blink))),
        ]
        wiring.connect(m, text.o, uart.i)


def to_verilog(top):
    """Verilog of a top and what is below it, but for the matrix unit; memories keep what they begin with."""
    script = "read_rtlil top.il\nproc\nmemory_collect\nopt_clean -purge\n" \
             "attrmap -remove generator -remove top\nattrmap -modattr -remove generator -remove top\n" \
             "write_verilog -noattr top.v\n"
    with tempfile.TemporaryDirectory(prefix="systolic-") as folder:
        pathlib.Path(folder, "top.il").write_text(rtlil.convert(top, top.board.name, ports=top.ports, emit_src=False))
        pathlib.Path(folder, "script.ys").write_text(script)
        tools.run(tools.YOSYS, ["script.ys", "top.log"], folder)
        text = pathlib.Path(folder, "top.v").read_text()
    return text.partition("*/\n")[2]
