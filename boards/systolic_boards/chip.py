"""The whole chip of a board behind plain pins: its clock, its reset, and what a design puts there."""

import pathlib
import tempfile

from amaranth.back import rtlil
from amaranth.hdl import Cat, ClockDomain, ClockSignal, Elaboratable, Module, ResetSignal, Signal
from amaranth.hdl._ir import PortDirection

from .flow import tools

__all__ = ["Chip", "to_verilog"]


class Chip(Elaboratable):
    """A top module; ports are plain pins, one bit each. Designs give it ``build(m)``.

    Parameters
    ----------
    board : Board
    ports : iterable of str
        Which of its pins there are.

    Members
    -------
    pins : dict of str to Signal
        By port.
    """

    def __init__(self, board, ports):
        self.board = board
        self.pins = {port: Signal(name=port) for port in ports}
        self.ports = {port: (signal, PortDirection.Input if port in ("clk", "rx") else PortDirection.Output)
                      for port, signal in self.pins.items()}

    def elaborate(self, platform):
        m = Module()
        self._clock(m)
        # Of a length that needs no comparison: up to two seconds.
        timer = Signal(range(int(self.board.clock.mhz * 1e6)))
        self.blink = timer[-1]
        m.d.sync += timer.eq(timer + 1)
        self.build(m)
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

    def light(self, m, shown):
        """Drive the LEDs: what each role shows, high for lit."""
        for port, signal in self.pins.items():
            if port.startswith("led_"):
                m.d.comb += signal.eq(shown[port.removeprefix("led_")] ^ self.board.pins[port].invert)


def to_verilog(chip):
    """Verilog of a chip and what is below it, but for generated designs; memories keep what they begin with."""
    script = "read_rtlil top.il\nproc\nmemory_collect\nopt_clean -purge\n" \
             "attrmap -remove generator -remove top\nattrmap -modattr -remove generator -remove top\n" \
             "write_verilog -noattr top.v\n"
    with tempfile.TemporaryDirectory(prefix="systolic-") as folder:
        pathlib.Path(folder, "top.il").write_text(
            rtlil.convert(chip, chip.board.name, ports=chip.ports, emit_src=False))
        pathlib.Path(folder, "script.ys").write_text(script)
        tools.run(tools.YOSYS, ["script.ys", "top.log"], folder)
        text = pathlib.Path(folder, "top.v").read_text()
    return text.partition("*/\n")[2]
