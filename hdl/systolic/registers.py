"""The registers of a TPU: read from registers.rdl, the one place that describes them.

Gateware and driver take addresses and bits from :func:`registers`; ``systolic registers`` writes the C header, the
Python constants, the CMSIS-SVD description and the page docs/registers.md.
"""

import dataclasses
import functools
import importlib.resources
import tempfile
import xml.etree.ElementTree as xml
from pathlib import Path
from typing import Any

from .errors import UserError

__all__ = ["ADDRESS_WIDTH", "Field", "Register", "address", "constants", "counters", "document", "header", "register",
           "registers", "svd"]

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


# CMSIS-SVD's words for what software does with a field: its access, and what a write of ones does.
_SVD_ACCESS = {"read": ("read-only", None), "read, write": ("read-write", None),
               "read, write 1 to clear": ("read-write", "oneToClear"), "write 1": ("write-only", None)}


def svd(base: int = 0) -> str:
    """CMSIS-SVD 1.3 description of a device with nothing but a TPU in it, for debuggers and for svd2rust.

    Parameters
    ----------
    base : int
        Address of the TPU's registers.

    Source: the schema of Open-CMSIS-Pack, CMSIS-SVD.xsd, whose order of elements it keeps.
    """
    device = xml.Element("device", {"schemaVersion": "1.3"})
    _texts(device, name="TPU", version="1.0", description="A TPU alone.", addressUnitBits=8, width=32)
    peripheral = xml.SubElement(xml.SubElement(device, "peripherals"), "peripheral")
    _texts(peripheral, name="TPU", version="1.0", description="Registers of a TPU.", baseAddress=f"{base:#010x}")
    _texts(xml.SubElement(peripheral, "addressBlock"), offset="0x0", size=f"{1 << ADDRESS_WIDTH:#x}", usage="registers")
    within = xml.SubElement(peripheral, "registers")
    for each in registers():
        element = xml.SubElement(within, "register")
        _texts(element, name=each.name, description=each.doc, addressOffset=f"{each.address:#04x}", size=32,
               resetValue=f"{sum((field.reset or 0) << field.low for field in each.fields):#010x}",
               resetMask=f"{sum(field.mask for field in each.fields if field.reset is not None):#010x}")
        fields = xml.SubElement(element, "fields")
        for field in each.fields:
            access, write = _SVD_ACCESS[field.access]
            part = xml.SubElement(fields, "field")
            _texts(part, name=field.name.upper(), description=field.doc, bitOffset=field.low, bitWidth=field.width,
                   access=access)
            if write:
                _texts(part, modifiedWriteValues=write)
    xml.indent(device)
    return xml.tostring(device, encoding="unicode", xml_declaration=True) + "\n"


def _texts(parent: xml.Element, **texts: object) -> None:
    for name, text in texts.items():
        xml.SubElement(parent, name).text = str(text)
