"""A whole TPU as a design for a board.

::

    pin ──▶ PLL ──▶ clock ──▶ reset ──▶ TPU on a serial line, the very Verilog ◀── rx
                                        that ``systolic generate --serial``   ──▶ tx
                                        writes                                ──▶ LEDs
"""

import dataclasses

from amaranth.hdl import ClockSignal, Instance, ResetSignal, Signal

from systolic import verilog
from systolic.tpu_config import TpuConfig

from ..board import Board, BoardError, board
from ..chip import Chip, to_verilog
from ..flow import parts
from .units import UNITS

__all__ = ["TpuDesign", "design", "names"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TpuDesign:
    """A board and the TPU on it.

    Parameters
    ----------
    board : Board
        Its clock as the design sets it.
    config : TpuConfig
        The TPU as its device implements it.
    memory_size : int
        Bytes of memory on the chip.
    """

    board: Board
    config: TpuConfig
    memory_size: int

    @property
    def ports(self):
        """The board's pins that it uses: all."""
        return list(self.board.pins)

    @property
    def constraints(self):
        """Text of the constraints file."""
        return self.board.constraints(self.ports)

    def part(self):
        """The whole chip, as sources for simulation and synthesis: a Part."""
        system = verilog.generate_serial(self.config, memory_size=self.memory_size, baud=self.board.baud,
                                         clock=round(self.board.clock.mhz * 1e6))
        sources = {"design.v": system.verilog, "top.v": to_verilog(self.chip())}
        return parts.around_tpu(self.config, name=self.board.name, top=self.board.name, sources=sources)

    def chip(self):
        """The top module without the generated design."""
        return Top(self, f"serial_{self.config.name}")


class Top(Chip):
    """The top module: an LED blinks, another is lit by the interrupt.

    Parameters
    ----------
    design : TpuDesign
    system : str
        Name of the generated module.
    """

    def __init__(self, design, system):
        super().__init__(design.board, design.ports)
        self.system = system

    def build(self, m):
        interrupt = Signal()
        m.submodules.system = Instance(
            self.system, i_clk=ClockSignal(), i_rst=ResetSignal(), i_rx=self.pins["rx"], o_tx=self.pins["tx"],
            o_irq=interrupt)
        self.light(m, {"pass": interrupt, "fail": 0, "alive": self.blink, "verdict": interrupt})


def names():
    """Names of the boards that hold a TPU."""
    return sorted(UNITS)


def design(name):
    """The TPU of the board of that name.

    Raises
    ------
    BoardError
        If there is no such board, or it holds none; the message lists those that do.
    """
    target = board(name)
    if name not in UNITS:
        raise BoardError(f"board must be one of {', '.join(names())} with --design tpu, not {name!r}")
    unit = UNITS[name]
    return TpuDesign(board=unit.board(name), config=target.device.implement(unit.config), memory_size=unit.memory_size)
