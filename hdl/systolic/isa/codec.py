"""Operations: instructions with the values of their fields, to bytes and back."""

import dataclasses
from collections.abc import Iterable, Mapping

from ..errors import did_you_mean
from .catalog import INSTRUCTIONS
from .model import BYTES, ROUNDINGS, Field, Instruction, IsaError, Region

__all__ = ["Operation", "by_opcode", "decode", "encode", "most", "operation", "overlaps", "used_bits"]

_NAMES = {instruction.name: instruction for instruction in INSTRUCTIONS}

_OPCODES = {instruction.opcode: instruction for instruction in INSTRUCTIONS}


@dataclasses.dataclass(frozen=True)
class Operation:
    """An instruction with its fields' values: what programs are lists of."""

    name: str
    values: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def instruction(self) -> Instruction:
        """Its row of the table."""
        return _by_name(self.name)

    def __getattr__(self, name: str) -> int:
        try:
            value: int = self.__dict__["values"][name]
            return value
        except KeyError:
            raise AttributeError(name) from None


def _by_name(name: str) -> Instruction:
    if name not in _NAMES:
        raise IsaError(f"instruction must be one of {', '.join(_NAMES)}, not {name!r}{did_you_mean(name, _NAMES)}")
    return _NAMES[name]


def by_opcode(opcode: int) -> Instruction | None:
    """The instruction of that opcode, or ``None``."""
    return _OPCODES.get(opcode)


def operation(name: str, /, **values: int) -> Operation:
    """An operation with defaults for the fields not given.

    Raises
    ------
    IsaError
        If there is no such instruction or field, or a value does not fit into its bits.
    """
    instruction = _by_name(name)
    for given in values:
        instruction.field(given)
    complete = {}
    for field in instruction.fields:
        value, (low, high) = int(values.get(field.name, field.default)), field.range
        if not low <= value <= high:
            raise IsaError(f"{field.name} of {name} must be from {low} to {high}, not {value}")
        complete[field.name] = value
    return Operation(name, complete)


def encode(operations: Iterable[Operation]) -> bytes:
    """Bytes of a program.

    Parameters
    ----------
    operations : iterable of Operation

    Returns
    -------
    bytes
        64 an operation.
    """
    return b"".join(_encode(each).to_bytes(BYTES, "little") for each in operations)


def _encode(each: Operation) -> int:
    bits = each.instruction.opcode
    for field in each.instruction.fields:
        bits |= (each.values[field.name] & ((1 << field.width) - 1)) << field.offset
    return bits


def decode(code: bytes) -> list[Operation]:
    """Operations of a program's bytes: the reverse of :func:`encode`.

    Raises
    ------
    IsaError
        If an opcode is unknown or a reserved bit set, or bytes are left over.
    """
    if len(code) % BYTES:
        raise IsaError(f"a program has a multiple of {BYTES} bytes, not {len(code)}")
    return [_decode(index, int.from_bytes(code[BYTES * index:][:BYTES], "little"))
            for index in range(len(code) // BYTES)]


def _decode(index: int, bits: int) -> Operation:
    instruction = by_opcode(bits & 0xFF)
    if instruction is None:
        raise IsaError(f"instruction {index}: opcode {bits & 0xFF:#04x} does not exist")
    if bits & ~used_bits(instruction):
        raise IsaError(f"instruction {index}: a reserved bit of {instruction.name} is set")
    values = {}
    for field in instruction.fields:
        value = bits >> field.offset & ((1 << field.width) - 1)
        values[field.name] = value - (1 << field.width) if value > field.range[1] else value
    return Operation(instruction.name, values)


def overlaps(operation: Operation) -> list[bool | None]:
    """Which regions of an operation overlap what it writes while it still reads them.

    Parameters
    ----------
    operation : Operation

    Returns
    -------
    list of bool or None
        For each region of its instruction: ``None`` if it does not overlap the output or is read before the first
        write; else whether the operation works on it in place.
    """
    values, found = operation.values, list[bool | None]()
    target = next((region for region in operation.instruction.regions if region.writes), None)
    for region in operation.instruction.regions:
        if not region.in_place or target is None or not _meet(values, region, target):
            found.append(None)
        else:
            found.append(all(values[name] == (values[other] if isinstance(other, str) else other)
                             for name, other in region.in_place))
    return found


def _meet(values: Mapping[str, int], first: Region, second: Region) -> bool:
    (low, end), (other, other_end) = (
        (values[each.base], values[each.base] + (each.size if isinstance(each.size, int) else values[each.size]))
        for each in (first, second))
    return low < other_end and other < end


def most(field: Field, rows: int, cols: int, roundings: int = len(ROUNDINGS), taps: int = 0) -> int:
    """Largest value the machine takes in a field, for an array of that shape and so many of the roundings and taps."""
    less = field.name.endswith("less")
    bounds = {None: field.range[1], "rows": rows - less, "cols": cols - less, "roundings": roundings - 1,
              "taps": int(taps > 0)}
    return bounds[field.most]


def used_bits(instruction: Instruction) -> int:
    """Mask of an instruction's bits that are not reserved."""
    mask = 0xFF
    for field in instruction.fields:
        mask |= ((1 << field.width) - 1) << field.offset
    return mask
