"""Pins of a board, and the lines that tell the placers of them."""

import dataclasses

__all__ = ["Pin", "constraints"]


@dataclasses.dataclass(frozen=True)
class Pin:
    """A port of the top module: its name, the pin of the package, whether it is inverted, and its attributes."""

    port: str
    site: str
    invert: bool
    attrs: dict


def constraints(kind, pins, mhz):
    """Text of a constraints file: places, electrical standards, and the frequency of the port ``clk``.

    Parameters
    ----------
    kind : str
        Suffix of the file, see :class:`.devices.Family`.
    pins : iterable of Pin
    mhz : float
        Frequency; kinds that have no place for it leave that to an option of the placer.

    Returns
    -------
    str
    """
    return "".join(f"{line}\n" for pin in pins for line in _LINES[kind](pin, mhz))


def _lpf(pin, mhz):
    yield f'LOCATE COMP "{pin.port}" SITE "{pin.site}";'
    yield f'IOBUF PORT "{pin.port}" {" ".join(f"{name}={value}" for name, value in pin.attrs.items())};'
    if pin.port == "clk":
        yield f'FREQUENCY PORT "clk" {mhz:g} MHZ;'


def _pcf(pin, mhz):
    yield f"set_io {pin.port} {pin.site}"
    if pin.port == "clk":
        yield f"set_frequency clk {mhz:g}"


def _cst(pin, mhz):
    yield f'IO_LOC "{pin.port}" {pin.site};'
    yield f'IO_PORT "{pin.port}" {" ".join(f"{name}={value}" for name, value in pin.attrs.items())};'


def _ccf(pin, mhz):
    attrs = "".join(f" | {name}={value}" for name, value in pin.attrs.items())
    yield f'Net "{pin.port}" Loc = "{pin.site}"{attrs};'


def _pdc(pin, mhz):
    yield f"ldc_set_location -site {{{pin.site}}} [get_ports {pin.port}]"
    attrs = " ".join(f"{name}={value}" for name, value in pin.attrs.items())
    yield f"ldc_set_port -iobuf {{{attrs}}} [get_ports {pin.port}]"


_LINES = {"ccf": _ccf, "cst": _cst, "lpf": _lpf, "pcf": _pcf, "pdc": _pdc}
