"""The reference page docs/isa.md, from the table."""

from .catalog import INSTRUCTIONS
from .model import ErrorCode, Field, Region

__all__ = ["document"]

_INTRODUCTION = """\
An instruction is 64 bytes, sixteen little-endian words of 32 bits, on a 64-byte boundary. Bits that belong to
no field are reserved and zero. Every access an instruction makes lies in the regions it declares; it is stopped with
an error before one that does not.
"""


def document() -> str:
    """The reference page, Markdown."""
    lines = ["# Instruction set", "", _INTRODUCTION,
             "Written by `systolic isa`, from the table in hdl/systolic/isa/catalog.py.", ""]
    for instruction in INSTRUCTIONS:
        lines += [f"## {instruction.name}", "",
                  f"Opcode `{instruction.opcode:#04x}`, executed by: {instruction.unit}. "
                  + " ".join(instruction.doc.split()), ""]
        if instruction.fields:
            lines += ["| field | word | bits | values | |", "|---|---|---|---|---|",
                      *(_row(field) for field in sorted(instruction.fields, key=lambda field: field.offset)), ""]
        if instruction.regions:
            lines += ["Touches: " + ", ".join(
                f"{'writes' if region.writes else 'reads'} {region.space} [`{region.base}`, + `{region.size}`)"
                for region in instruction.regions) + ".", ""]
        lines += [line for region in instruction.regions if region.in_place for line in (_in_place(region), "")]
    lines += ["## Errors", "", "| code | name | |", "|---|---|---|",
              *(f"| {code:d} | {code} | {code.doc} |" for code in ErrorCode), ""]
    return "\n".join(lines)


def _in_place(region: Region) -> str:
    """The rule for a region that is read while the instruction writes."""
    equal = ", ".join(f"`{name}` = " + (f"`{other}`" if isinstance(other, str) else str(other))
                      for name, other in region.in_place)
    return (f"Where [`{region.base}`, + `{region.size}`) overlaps what is written, the instruction must work in place: "
            f"{equal}, and every output begins at or behind the end of the one before it.")


def _row(field: Field) -> str:
    low, high = field.range
    limits = f"{max(low, field.least) if not field.signed else low} to {high}"
    if field.most:
        limits = f"{field.least} to " + {"rows": "R - 1", "roundings": "2"}.get(
            field.most, "C - 1" if field.name.endswith("less") else "C")
    if field.aligned:
        limits = "multiple of the bus width"
    return f"| `{field.name}` | {field.word} | {field.low + field.width - 1}:{field.low} | {limits} | {field.doc} |"
