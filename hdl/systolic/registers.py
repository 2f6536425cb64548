"""The registers of a TPU: read from registers.rdl, the one place that describes them.

Gateware and driver take addresses and bits from :func:`registers`; ``systolic registers`` writes the C header, the
Python constants and the page docs/registers.md.
"""

import dataclasses
import functools
import importlib.resources
import tempfile
from pathlib import Path
from typing import Any

from .errors import UserError

__all__ = ["ADDRESS_WIDTH", "Field", "Register", "address", "constants", "counters", "document", "header", "register",
           "registers"]

#: Bits of a register's address.
ADDRESS_WIDTH = 8


@dataclasses.dataclass(frozen=True)
class Field:
    """Some bits of a register.

    Parameters
    ----------
    name : str
    low, width : int
        Bits [low, low + width).
    access : str
        What software does: ``"read"``, ``"read, write"``, ``"read, write 1 to clear"`` or ``"write 1"``.
    reset : int or None
        Value after reset; ``None`` where the hardware says.
    doc : str
    """

    name: str
    low: int
    width: int
    access: str
    reset: int | None
    doc: str

    @property
    def mask(self) -> int:
        """Its bits of the register."""
        return ((1 << self.width) - 1) << self.low


@dataclasses.dataclass(frozen=True)
class Register:
    """A register of 32 bits at a byte address; a counter's halves are two, ``<counter>_LO`` and ``<counter>_HI``."""

    name: str
    address: int
    fields: tuple[Field, ...]
    doc: str

    def field(self, name: str) -> Field:
        """The field of that name; UserError if there is none."""
        for each in self.fields:
            if each.name == name:
                return each
        raise UserError(f"{self.name} has no field {name}, only {', '.join(each.name for each in self.fields)}")


@functools.cache
def _top() -> Any:
    from systemrdl.compiler import RDLCompiler  # only here: a parser generator's run-time library

    with importlib.resources.as_file(importlib.resources.files("systolic").joinpath("registers.rdl")) as path:
        compiler = RDLCompiler()
        compiler.compile_file(str(path))
        return compiler.elaborate().top


@functools.cache
def registers() -> tuple[Register, ...]:
    """All registers, in the order of their addresses: a tuple of :class:`Register`."""
    from systemrdl.node import RegNode

    return tuple(_register(node) for node in _top().descendants() if isinstance(node, RegNode))


def _register(node: Any) -> Register:
    path = node.get_path_segments()[1:]
    half = len(path) > 1
    doc = node.parent.get_property("desc") + " " + node.get_property("desc") if half else node.get_property("desc")
    fields = tuple(_field(field) for field in node.fields())
    return Register("_".join(path), node.absolute_address, fields, " ".join(doc.split()))


def _field(node: Any) -> Field:
    access = {"r": "read", "rw": "read, write", "w": "write 1"}[node.get_property("sw").name]
    if node.get_property("onwrite") is not None:
        access += " 1 to clear"
    reset = node.get_property("reset")
    return Field(node.inst_name, node.low, node.width, access, reset, " ".join(node.get_property("desc").split()))


def register(name: str) -> Register:
    """The register of that name.

    Raises
    ------
    UserError
        If there is none.
    """
    for each in registers():
        if each.name == name:
            return each
    raise UserError(f"register must be one of {', '.join(each.name for each in registers())}, not {name}")


def address(name: str) -> int:
    """Byte address of the register of that name."""
    return register(name).address


def counters() -> tuple[str, ...]:
    """Names of the counters, in the order of their addresses."""
    return tuple(each.name.removesuffix("_LO") for each in registers() if each.name.endswith("_LO"))


def constants() -> str:
    """Python source: an address for each register, a mask for each field."""
    lines = ['"""Registers of a TPU: addresses in bytes, masks of fields."""', ""]
    for each in registers():
        lines.append(f"{each.name} = {each.address:#04x}")
        lines += [f"{each.name}__{field.name.upper()} = {field.mask:#010x}" for field in each.fields]
    return "\n".join(lines) + "\n"


def document() -> str:
    """The reference page, Markdown."""
    lines = ["# Registers", "", "32-bit registers at these byte addresses of the AXI4-Lite slave `s_axi`. Other "
             "addresses answer SLVERR. Counters have 48 bits and are cleared when a program starts.", "",
             "Written by `systolic registers`, from hdl/systolic/registers.rdl.", "",
             "| address | register | bits | field | access | reset | description |", "|---|---|---|---|---|---|---|"]
    halves = ("_LO", "_HI")
    for each in registers():
        if not each.name.endswith(halves):
            lines += [_row(each, number) for number in range(len(each.fields))]
    lines += ["", "## Counters", "", "Bits 31:0 are at the address. Reading them latches bits 47:32, which are at the "
              "address plus 4.", "", "| address | counter | description |", "|---|---|---|"]
    lines += [f"| {each.address:#04x} | `{each.name[:-3]}` | {each.doc.partition('. ')[0]}. |"
              for each in registers() if each.name.endswith("_LO")]
    return "\n".join(lines) + "\n"


def _row(register: Register, number: int) -> str:
    field = register.fields[number]
    reset = "" if field.reset is None else f"{field.reset:#x}" if field.reset > 9 else str(field.reset)
    bits = f"{field.low + field.width - 1}:{field.low}" if field.width > 1 else f"{field.low}"
    doc = field.doc if number else f"{register.doc} {field.doc}"
    cells = (f"{register.address:#04x}", f"`{register.name}`", bits, f"`{field.name}`", field.access, reset, doc)
    return f"| {' | '.join(cells)} |"


def header() -> str:
    """Text of the C header."""
    from peakrdl_cheader.exporter import CHeaderExporter

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tpu_registers.h")
        CHeaderExporter().export(_top(), str(path), reuse_typedefs=False)
        return path.read_text()
