"""A board: its pins, its FPGA and its clock. What runs on it is a design of its own: see :mod:`.selftest.design` and
:mod:`.tpu.design`.

Pins come from the board's description in amaranth-boards; what that lacks is added in the board's file.
"""

import dataclasses
import functools
import importlib
import pkgutil

from systolic.errors import UserError, did_you_mean

from .clocks import Oscillator
from .devices import Device
from .pins import Pin, constraints

__all__ = ["Board", "BoardError", "board", "names"]


class BoardError(UserError, ValueError):
    """There is no such board, or it cannot do that; the message lists what there is."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Board:
    """A board.

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
        Where its clock comes from, at the frequency that a design has unless it sets another.
    leds : dict of str to tuple
        Resource, number and, if it has, subsignal of the LEDs. ``pass`` and ``fail`` light up with the verdict,
        ``alive`` blinks; ``verdict``, where there is but one, lights up with a pass and blinks with a failure.
    uart : tuple or None
        Resource and number of a serial port.
    baud : int
        Bits a second that a TPU has on it: what the board's bridge can do.
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
    leds: dict
    uart: tuple | None = None
    baud: int = 1_000_000
    program: str
    note: str = ""

    @functools.cached_property
    def pins(self):
        """The pins by port of the top module: ``clk``, ``led_`` with a role, ``rx``, ``tx``."""
        platform = self.platform()
        platform.add_resources(self.resources)
        wanted = {"clk": (self.clock.resource, 0)} if self.clock.resource else {}
        wanted |= {f"led_{role}": resource for role, resource in self.leds.items()}
        wanted |= {port: (*self.uart, port) for port in ("rx", "tx")} if self.uart else {}
        # A resource can be requested but once, and have several of the LEDs.
        request = functools.cache(functools.partial(platform.request, dir="-"))
        return {port: _pin(port, request(name, number), *subsignal)
                for port, (name, number, *subsignal) in wanted.items()}

    def constraints(self, ports):
        """Text of the constraints file for these ports: places, electrical standards, frequency of the clock."""
        pins = [self.pins[port] for port in ports]
        return constraints(self.device.family.constraints, pins, self.clock.pin_mhz)

    def at(self, mhz):
        """The board with its clock set to that frequency."""
        return dataclasses.replace(self, clock=dataclasses.replace(self.clock, mhz_out=mhz))


def _pin(port, requested, subsignal=None):
    found = getattr(requested, subsignal) if subsignal else requested
    meta, = found.io.metadata
    return Pin(port, meta.name, found.invert[0], dict(meta.attrs))


def names():
    """Names of all boards, without importing them."""
    from . import boards

    return sorted(module.name for module in pkgutil.iter_modules(boards.__path__))


def board(name):
    """The board of that name.

    Raises
    ------
    BoardError
        If there is none; the message lists those there are.
    """
    if name not in names():
        raise BoardError(f"board must be one of {', '.join(names())}, not {name!r}{did_you_mean(name, names())}")
    return importlib.import_module(f".boards.{name}", __package__).BOARD
