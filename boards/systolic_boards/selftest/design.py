"""The self-test of a matrix unit as a design for a board.

::

    pin ──▶ PLL ──▶ clock ──▶ reset ──▶ SelfTest ◀──▶ matrix unit, the very Verilog that ``systolic generate``
                                          │           writes
                                          ├──▶ LEDs
                                          └──▶ Text ──▶ Transmitter ──▶ tx
"""

import dataclasses

from systolic import verilog
from systolic.config import Config
from systolic.tops import MatrixUnitTop

from ..board import Board, BoardError, board
from ..chip import to_verilog
from ..flow import parts
from .pattern import TILES
from .selftest import DIGITS
from .top import Top
from .uart import DIGIT
from .units import UNITS

__all__ = ["SelfTestDesign", "design", "designs"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class SelfTestDesign:
    """A board and the matrix unit that tests itself on it.

    Parameters
    ----------
    board : Board
        Its clock as the design sets it.
    config : Config
        The matrix unit.
    """

    board: Board
    config: Config

    @property
    def variant(self):
        """Name of its number format, unless the board's first matrix unit has the same: then nothing."""
        arch = self.config.arch
        return "" if arch.format is UNITS[self.board.name][0].config.arch.format else arch.format.name

    @property
    def ports(self):
        """The board's pins that it uses: all but one to listen on."""
        return [port for port in self.board.pins if port != "rx"]

    @property
    def constraints(self):
        """Text of the constraints file."""
        return self.board.constraints(self.ports)

    def text(self, verdict):
        """What the serial line says, with :data:`~.uart.DIGIT` for each digit of a counter or the signature."""
        arch = self.config.arch
        return (f"systolic {self.config.name} {arch.format.name} {arch.rows}x{arch.cols} {self.board.clock.mhz:g} MHz "
                f"tiles {TILES} rows {DIGIT * DIGITS['rows']} cycles {DIGIT * DIGITS['cycles']} "
                f"signature {DIGIT * 8} {verdict}\r\n")

    def part(self, *, fault=False):
        """The whole chip, as sources for simulation and synthesis.

        Parameters
        ----------
        fault : bool
            Plant one: flip one bit of one weight.

        Returns
        -------
        Part
        """
        unit = parts.generated(self.config, verilog.generate(self.config))
        sources = unit.sources | {"top.v": to_verilog(self.chip(fault=fault))}
        return dataclasses.replace(unit, name=self.board.name, top=self.board.name, sources=sources)

    def chip(self, *, fault=False):
        """The top module without the matrix unit."""
        return Top(self, MatrixUnitTop(self.config).sidecar["streams"], fault)


def designs(name):
    """The self-tests of the board of that name, one for each of its matrix units.

    Raises
    ------
    BoardError
        If there is no such board; the message lists those there are.
    """
    target = board(name)
    return tuple(SelfTestDesign(board=target if unit.mhz is None else target.at(unit.mhz), config=unit.config)
                 for unit in UNITS[name])


def design(name, format=None):
    """The self-test of that board with its matrix unit of a number format (a name); ``None`` takes its first.

    Raises
    ------
    BoardError
        If there is none; the message lists those there are.
    """
    formats = {each.config.arch.format.name: each for each in designs(name)}
    if format is not None and format not in formats:
        raise BoardError(f"format must be one of {', '.join(formats)} on {name}, not {format!r}")
    return designs(name)[0] if format is None else formats[format]
