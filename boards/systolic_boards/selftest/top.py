"""The chip of a self-test: the test, its matrix unit, and the verdict on LEDs and serial line."""

from amaranth.hdl import ClockSignal, Instance, ResetSignal, Signal
from amaranth.lib import wiring

from systolic.gateware.serial.uart import Transmitter

from ..chip import Chip
from .pattern import expected
from .selftest import SelfTest
from .uart import BAUD, Text

__all__ = ["Top"]


class Top(Chip):
    """The top module.

    Parameters
    ----------
    design : SelfTestDesign
    streams : dict
        Of the matrix unit's module, as its sidecar lists them.
    fault : bool
        See :class:`.SelfTest`.
    """

    def __init__(self, design, streams, fault):
        super().__init__(design.board, design.ports)
        self.design = design
        self.streams = streams
        self.fault = fault

    def build(self, m):
        config = self.design.config
        m.submodules.selftest = test = SelfTest(config, expected=expected(config), fault=self.fault)
        m.submodules.matrix_unit = Instance(config.name, *self._connections(m, test))
        self.light(m, {"pass": test.passed, "fail": test.failed, "alive": self.blink,
                       "verdict": test.passed | (test.failed & self.blink)})
        if "tx" in self.pins:
            self._report(m, test)

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

    def _report(self, m, test):
        """Says the verdict once it is there, and then whenever the light goes out."""
        texts = [self.design.text(verdict) for verdict in ("FAIL", "PASS")]
        m.submodules.text = text = Text(texts, digits=len(test.digits) // 4)
        m.submodules.uart = uart = Transmitter(divisor=round(self.board.clock.mhz * 1e6 / BAUD))
        over = Signal()
        lit = Signal()
        m.d.sync += [over.eq(test.passed | test.failed), lit.eq(self.blink)]
        m.d.comb += [
            text.select.eq(test.passed), text.digits.eq(test.digits), self.pins["tx"].eq(uart.tx),
            text.start.eq((test.passed | test.failed) & (~over | (lit & ~self.blink))),
        ]
        wiring.connect(m, text.o, uart.i)
