"""A board with a TPU in simulation, driven at the pins of its serial line: clock, PLL and reset are the chip's own.

Entry point of ``systolic.links``: see :mod:`systolic.runtime.links`.
"""

from systolic.errors import UserError, require
from systolic.host import Link
from systolic.host.serial import SerialLink
from systolic.serial_protocol import PAUSE
from systolic.tpu_config import TpuConfig
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.serial_line import SerialLine

from .design import TpuDesign, design, names

__all__ = ["line", "open_board"]

# Steps that a bit is resolved to, and seconds after which the clock has settled and the reset is over.
_STEPS, _START = 16, 1e-4


def open_board(config: TpuConfig, size: int, argument: str) -> Link:
    """``board:NAME``: the Verilog that the bitstream of ``systolic fpga --design tpu`` is made of."""
    require(bool(argument), "target", f"board:NAME, of {', '.join(names())}", "board")
    target = design(argument)
    if target.board.device.implement(config) != target.config:
        raise UserError(f"tpu must be {target.config.name}, which {argument} has, not {config.name}")
    require(size <= target.memory_size, "memory", f"at most the {target.memory_size} bytes of {argument}", size)
    wire = line(target)
    return SerialLink(wire, baud=wire.baud, pause=PAUSE)


def line(target: TpuDesign) -> SerialLine:
    """The serial line at the pins of a board, in simulated time, once the reset is over."""
    sources = "\n".join(target.part().sources.values())
    verilog = _bench(target) + sources + models_for(sources)
    wire = SerialLine(verilog, "bench", divisor=_STEPS, step=1 / (_STEPS * target.board.baud), pause=PAUSE, timing=True)
    wire.receive(_START)
    return wire


def _bench(target: TpuDesign) -> str:
    """Verilog of the module ``bench``, oscillator and chip; the time scale goes for all that follows."""
    ports = ", ".join(f".{port}({port if port in ('clk', 'rx', 'tx') else ''})" for port in target.ports)
    half = 500 / target.board.clock.pin_mhz
    return "\n".join([
        "`timescale 1ns/1ps", "module bench(input rx, output tx);", "  reg clk = 0;",
        f"  always #({half:.4f}) clk = ~clk;", f"  {target.board.name} top({ports});", "endmodule", ""])
