"""A board: what is on it, and the self-test that goes onto it.

::

    pin ──▶ PLL ──▶ clock ──▶ reset ──▶ SelfTest ◀──▶ matrix unit, the very Verilog that ``systolic generate`` writes
                                          │
                                          ├──▶ LEDs
                                          └──▶ Text ──▶ Transmitter ──▶ tx

Pins come from the board's description in amaranth-boards; what that lacks is added in the board's file.
"""

import dataclasses
import functools
import importlib
import pkgutil

from systolic import verilog
from systolic.config import Config
from systolic.errors import UserError

from .clocks import Oscillator
from .devices import Device
from .flow import parts
from .pins import Pin, constraints
from .selftest.pattern import TILES
from .selftest.selftest import DIGITS
from .selftest.top import Top, to_verilog
from .selftest.uart import DIGIT

__all__ = ["Board", "BoardError", "board", "names", "units"]


class BoardError(UserError, ValueError):
    """There is no such board, or it cannot do that; the message lists what there is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """A board and its self-test.

    Parameters
    ----------
    name : str
        What the command line calls it, and the top module.
    title : str
        What people call it.
    platform : type
        Its Amaranth platform: the pins.
    resources : tuple of Resource
        Pins that the platform lacks.
    device : Device
        Its FPGA.
    clock : Oscillator
        Where its clock comes from.
    config : Config
        The matrix unit: one that fits well.
    leds : dict of str to tuple
        Resource, number and, if it has, subsignal of the LEDs. ``pass`` and ``fail`` light up with the verdict,
        ``alive`` blinks; ``verdict``, where there is but one, lights up with a pass and blinks with a failure.
    uart : tuple or None
        Resource and number of a serial port.
    program : str
        Command that loads the bitstream ``{bitstream}``.
    note : str
        What one has to know beside.
    """

    name: str
    title: str
    platform: type
    resources: tuple = ()
    device: Device
    clock: Oscillator
    config: Config
    leds: dict
    uart: tuple | None = None
    program: str
    note: str = ""

    @functools.cached_property
    def pins(self):
        """The pins of the top module by port."""
        platform = self.platform()
        platform.add_resources(self.resources)
        wanted = {"clk": (self.clock.resource, 0)} if self.clock.resource else {}
        wanted |= {f"led_{role}": resource for role, resource in self.leds.items()}
        wanted |= {"tx": (*self.uart, "tx")} if self.uart else {}
        # A resource can be requested but once, and have several of the LEDs.
        request = functools.cache(functools.partial(platform.request, dir="-"))
        return {port: _pin(port, request(name, number), *subsignal)
                for port, (name, number, *subsignal) in wanted.items()}

    @property
    def constraints(self):
        """Text of the constraints file: places, electrical standards, frequency of the clock."""
        return constraints(self.device.family.constraints, self.pins.values(), self.clock.pin_mhz)

    def text(self, verdict):
        """What the serial line says, with :data:`~.uart.DIGIT` for each digit of a counter or the signature."""
        arch = self.config.arch
        return (f"systolic {self.config.name} {arch.format.value} {arch.rows}x{arch.cols} {self.clock.mhz:g} MHz "
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
        design = verilog.generate(self.config)
        unit = parts.generated(self.config, design)
        top = Top(self, design.sidecar["streams"], fault)
        sources = unit.sources | {"top.v": to_verilog(top)}
        return dataclasses.replace(unit, name=self.name, top=self.name, sources=sources)


def _pin(port, requested, subsignal=None):
    found = getattr(requested, subsignal) if subsignal else requested
    meta, = found.io.metadata
    return Pin(port, meta.name, found.invert[0], dict(meta.attrs))


def names():
    """Names of all boards, without importing them."""
    from . import boards

    return sorted(module.name for module in pkgutil.iter_modules(boards.__path__))


def board(name, format=None):
    """The board of that name, with its matrix unit of a number format (a name); ``None`` takes int8.

    Raises
    ------
    BoardError
        If there is none; the message lists those there are.
    """
    if name not in names():
        raise BoardError(f"board must be one of {', '.join(names())}, not {name!r}")
    formats = {unit.config.arch.format.value: unit for unit in units(name)}
    if (format or "int8") not in formats:
        raise BoardError(f"format must be one of {', '.join(formats)} on {name}, not {format!r}")
    return formats[format or "int8"]


def units(name):
    """The board of that name with each of its matrix units."""
    return importlib.import_module(f".boards.{name}", __package__).BOARDS
