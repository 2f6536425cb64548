"""The C driver: a header and a source, with the registers, counters and errors of this TPU in the header.

Functions, and what they do, are those of :mod:`.steps`; the files that a user gets are written here from those beside.
"""

import importlib.resources
from collections.abc import Iterable

from .. import isa, registers

__all__ = ["files"]

_PLACE = "/* @generated */\n"


def files() -> dict[str, str]:
    """Text of ``systolic.h`` and ``systolic.c``."""
    folder = importlib.resources.files("systolic.host").joinpath("c")
    head, source = (folder.joinpath(name).read_text() for name in ("systolic.h", "systolic.c"))
    assert head.count(_PLACE) == 1
    return {"systolic.h": head.replace(_PLACE, _generated()), "systolic.c": source}


def _generated() -> str:
    """Registers as ``systolic registers`` writes them; counters, registers and errors as lists."""
    every = [(each.name, f"{each.address:#04x}") for each in registers.registers()]
    errors = [(str(error.value), f'"{error.doc}"') for error in isa.ErrorCode]
    counters = registers.counters()
    return "\n".join([
        registers.header(),
        "/* Indices of a run's counters. */", "enum {", *(f"    SYSTOLIC_{name}," for name in counters),
        "    SYSTOLIC_COUNTERS", "};", "",
        "/* C(counter), R(register, address), E(error code, meaning) for all there are. */",
        *_list("COUNTER", "C", [(name,) for name in counters]), "", *_list("REGISTER", "R", every), "",
        *_list("ERROR", "E", errors), ""])


def _list(name: str, letter: str, rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = [f"#define SYSTOLIC_{name}_LIST({letter})", *(f"    {letter}({', '.join(row)})" for row in rows)]
    return [*(f"{line} \\" for line in lines[:-1]), lines[-1]]
