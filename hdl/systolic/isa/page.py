"""The reference page docs/isa.md, from the table."""

from .catalog import INSTRUCTIONS
from .model import ErrorCode, Field, Region

__all__ = ["document"]

_INTRODUCTION = """\
An instruction is 64 bytes: sixteen little-endian words of 32 bits, on a 64-byte boundary. Bits that belong to no field
are reserved and must be zero.

An instruction declares the regions that it accesses, in the unified buffer and in memory. An access outside them stops
the program with the error `region` before it is made.

R and C are the rows and columns of the array. Addresses, sizes and strides are in bytes. Regions are written as
[first, end), the end excluded.
"""


def document() -> str:
    """The reference page, Markdown."""
    lines = ["# Instruction set", "", _INTRODUCTION,
             "Written by `systolic isa`, from the table in hdl/systolic/isa/catalog.py.", ""]
    for instruction in INSTRUCTIONS:
        lines += [f"## {instruction.name}", "",
                  f"Opcode `{instruction.opcode:#04x}`, unit: {instruction.unit}.", ""]
        for paragraph in instruction.doc.split("\n\n"):
            lines += [" ".join(paragraph.split()), ""]
        if instruction.fields:
            lines += ["| field | word | bits | values | description |", "|---|---|---|---|---|",
                      *(_row(field) for field in sorted(instruction.fields, key=lambda field: field.offset)), ""]
        if instruction.regions:
            lines += ["Accesses: " + "; ".join(
                f"{'writes' if region.writes else 'reads'} {region.space} {_span(region)}"
                for region in instruction.regions) + ".", ""]
        lines += [line for region in instruction.regions if region.in_place for line in (_in_place(region), "")]
    lines += ["## Errors", "", "| code | name | description |", "|---|---|---|",
              *(f"| {code:d} | {code} | {code.doc} |" for code in ErrorCode), ""]
    return "\n".join(lines)


def _span(region: Region) -> str:
    return f"[`{region.base}`, `{region.base} + {region.size}`)"


def _in_place(region: Region) -> str:
    """The rule for a region that is read while the instruction writes."""
    equal = ", ".join(f"`{name} = {other}`" for name, other in region.in_place)
    return (f"If {_span(region)} overlaps the output region, the instruction must work in place: {equal}, and each "
            "output must begin at or after the end of the previous one.")


def _row(field: Field) -> str:
    low, high = field.range
    limits = f"{max(low, field.least) if not field.signed else low} to {high}"
    if field.most:
        limits = f"{field.least} to " + {"rows": "R - 1", "roundings": "2", "taps": "1"}.get(
            field.most, "C - 1" if field.name.endswith("less") else "C")
    if field.aligned:
        limits = "multiple of the bus width"
    return f"| `{field.name}` | {field.word} | {field.low + field.width - 1}:{field.low} | {limits} | {field.doc} |"
