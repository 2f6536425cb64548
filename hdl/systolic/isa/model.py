"""The parts of an instruction: fields and regions; and the error codes."""

import dataclasses
import enum

from ..errors import UserError

__all__ = ["BYTES", "ErrorCode", "Field", "Instruction", "IsaError", "RECORD_BYTES", "ROUNDINGS", "Region",
           "TABLE_BYTES", "UNITS"]

#: Size of an instruction, of a parameter record {bias, multiplier, shift, 0} of 32 bits each, of a lookup table.
BYTES, RECORD_BYTES, TABLE_BYTES = 64, 16, 256

#: The units. They execute side by side, each its own instructions in order.
UNITS = ("sequencer", "load", "store", "weights", "matrix", "activation")

#: Rounding of requantisation, see docs/numerics.md.
ROUNDINGS = ("single", "double", "fp32")


class ErrorCode(enum.IntEnum):
    """Error codes, as in ``ERROR_CODE``; ``doc`` describes each, and ``str()`` gives its name."""

    doc: str

    def __new__(cls, code: int, doc: str = "") -> "ErrorCode":
        member = int.__new__(cls, code)
        member._value_, member.doc = code, doc
        return member

    def __str__(self) -> str:
        return self.name.lower()

    OPCODE = 1, "no such instruction"
    RESERVED = 2, "a reserved bit is set"
    FIELD = 3, "a field is out of range, or an address is not a multiple of the bus width"
    BUFFER = 4, "a region is not inside the unified buffer"
    REGION = 5, "an access is outside the declared region"
    ACCUMULATOR = 6, "a row is beyond the last accumulator entry"
    BUS_READ = 7, "SLVERR or DECERR on a read"
    BUS_WRITE = 8, "SLVERR or DECERR on a write"
    FETCH = 9, "SLVERR or DECERR on an instruction fetch, or the program is empty or not on a 64-byte boundary"
    END = 10, "the program ends without halt"
    LEFTOVER = 11, "halt with weight tiles or results left over"
    WATCHDOG = 12, "no progress for as many cycles as WATCHDOG allows"
    BUSY = 13, "doorbell written while a program is running"
    OVERLAP = 14, "an output overwrites an input that is read later"


class IsaError(UserError, ValueError):
    """An instruction that cannot be encoded; the message names the field, its value and what is allowed."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """Some bits of an instruction.

    Parameters
    ----------
    name, doc : str
    word, low, width : int
        Position: bits [low, low + width) of that word.
    signed : bool
    least : int
        Smallest value allowed; 1 for counts.
    most : str or None
        Parameter that sets the largest value allowed: ``"cols"``, ``"rows"``, ``"roundings"``, ``"taps"`` (1 if there
        are any), or ``None``.
    aligned : bool
        Whether the value must be a multiple of the bus width in bytes.
    default : int
        Value that the assembler uses if none is given.
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
        """Position of its lowest bit in the instruction."""
        return 32 * self.word + self.low

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest value that its bits hold."""
        half = 1 << (self.width - 1)
        return (-half, half - 1) if self.signed else (0, 2 * half - 1)


@dataclasses.dataclass(frozen=True)
class Region:
    """Bytes that an instruction may access.

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
    """A row of the table.

    ``waits``: the sequencer executes it once no instruction is in flight.
    """

    name: str
    opcode: int
    unit: str
    doc: str
    waits: bool = False
    fields: tuple[Field, ...] = ()
    regions: tuple[Region, ...] = ()

    def field(self, name: str) -> Field:
        """The field of that name; IsaError if there is none."""
        for field in self.fields:
            if field.name == name:
                return field
        raise IsaError(f"{self.name} has no field {name}, only {', '.join(f.name for f in self.fields) or 'none'}")
