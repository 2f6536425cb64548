"""The assembler and its reverse: a text, an instruction a line."""

from collections.abc import Iterable, Iterator

from .codec import Operation, operation
from .model import IsaError

__all__ = ["assemble", "disassemble"]


def assemble(text: str) -> list[Operation]:
    """Operations of a text: an instruction a line, ``name field=value ...``; from ``#`` on it is a comment.

    Raises
    ------
    IsaError
        With the number of the line.
    """
    operations = []
    for number, line in enumerate(text.splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            try:
                operations.append(operation(words[0], **dict(_assignment(word) for word in words[1:])))
            except IsaError as error:
                raise IsaError(f"line {number}: {error}") from None
    return operations


def _assignment(word: str) -> tuple[str, int]:
    name, equals, value = word.partition("=")
    try:
        return name, int(value, 0) if equals else 1
    except ValueError:
        raise IsaError(f"{name} must be a number, not {value!r}") from None


def disassemble(operations: Iterable[Operation]) -> str:
    """Text of operations, for :func:`assemble`: fields that are not at their default, an instruction a line."""
    return "".join(" ".join([each.name, *_shown(each)]) + "\n" for each in operations)


def _shown(each: Operation) -> Iterator[str]:
    for field in each.instruction.fields:
        value = each.values[field.name]
        if value != field.default:
            yield f"{field.name}={hex(value) if field.width == 32 else value}"
