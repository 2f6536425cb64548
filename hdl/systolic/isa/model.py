"""What an instruction is made of: fields, regions, and the codes of what can go wrong."""

import dataclasses
import enum

from ..errors import UserError

__all__ = ["BYTES", "ErrorCode", "Field", "Instruction", "IsaError", "RECORD_BYTES", "ROUNDINGS", "Region",
           "TABLE_BYTES", "UNITS"]

#: Size of an instruction, of a parameter record {bias, multiplier, shift, 0} of 32 bits each, of a lookup table.
BYTES, RECORD_BYTES, TABLE_BYTES = 64, 16, 256

#: Who executes instructions, side by side; each its own in order.
UNITS = ("sequencer", "load", "store", "weights", "matrix", "activation")

#: Rounding of requantisation, see docs/numerics.md.
ROUNDINGS = ("single", "double", "fp32")


class ErrorCode(enum.IntEnum):
    """Error codes, as the register has them; ``doc`` says what each means, and ``str()`` gives its name."""

    doc: str

    def __new__(cls, code: int, doc: str = "") -> "ErrorCode":
        member = int.__new__(cls, code)
        member._value_, member.doc = code, doc
        return member

    def __str__(self) -> str:
        return self.name.lower()

    OPCODE = 1, "no such instruction"
    RESERVED = 2, "a reserved bit is set"
    FIELD = 3, "a field is zero or too large, or an address not a multiple of the bus width"
    BUFFER = 4, "a region is not inside the unified buffer"
    REGION = 5, "an access outside the declared region"
    ACCUMULATOR = 6, "a row beyond the last accumulator"
    BUS_READ = 7, "SLVERR or DECERR on a read"
    BUS_WRITE = 8, "SLVERR or DECERR on a write"
    FETCH = 9, "SLVERR or DECERR on an instruction, or a program that is not on a 64-byte boundary or empty"
    END = 10, "the program ends without halt"
    LEFTOVER = 11, "halt with weight tiles or results that nothing took"
    WATCHDOG = 12, "nothing moved for as many cycles as the watchdog allows"
    BUSY = 13, "a doorbell while a program runs"
    OVERLAP = 14, "an output lies over an input that is read later"


class IsaError(UserError, ValueError):
    """An instruction that cannot be; the message names the field, its value and what is allowed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of an instruction.

    Parameters
    ----------
    name, doc : str
    word, low, width : int
        Where: bits [low, low + width) of that word.
    signed : bool
    least : int
        Smallest value the machine takes; 1 for counts.
    most : str or None
        What bounds it from above: ``"cols"``, ``"rows"``, or ``None``.
    aligned : bool
        Whether it must be a multiple of the bus width in bytes.
    default : int
        What the assembler takes if it is not given.
    """

    name: str
    word: int
    low: int
    width: int
    doc: str
    signed: bool = False
    least: int = 0
    most: str | None = None
    aligned: bool = False
    default: int = 0

    @property
    def offset(self) -> int:
        """First bit, counted through the instruction."""
        return 32 * self.word + self.low

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value that its bits can hold."""
        half = 1 << (self.width - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclasses.dataclass(frozen=True)
class Region:
    """Bytes that an instruction may touch.

    Parameters
    ----------
    space : str
        ``"buffer"`` or ``"memory"``.
    writes : bool
    base, size : str, str or int
        Fields with its first byte and its number of bytes, or that number.
    in_place : tuple of (str, str or int)
        For a region that is read while the instruction writes: fields that must equal another field or a number if the
        two regions overlap. Empty for one that is read completely before the first write.
    """

    space: str
    writes: bool
    base: str
    size: str | int
    in_place: tuple[tuple[str, str | int], ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Instruction:
    """A row of the table."""

    name: str
    opcode: int
    unit: str
    doc: str
    fields: tuple[Field, ...] = ()
    regions: tuple[Region, ...] = ()

    def field(self, name: str) -> Field:
        """The field of that name; IsaError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise IsaError(f"{self.name} has no field {name}, only {', '.join(f.name for f in self.fields) or 'none'}")
