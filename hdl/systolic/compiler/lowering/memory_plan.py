"""Which bytes of the unified buffer a storage has: intervals of life packed by size, the largest first."""

from collections.abc import Sequence

from ..errors import CompileError
from .places import Storage
from .tasks import Task

__all__ = ["place", "lives"]


def lives(tasks: Sequence[Task]) -> dict[Storage, tuple[int, int]]:
    """First and last task that touches each storage."""
    found: dict[Storage, tuple[int, int]] = {}
    for number, task in enumerate(tasks):
        for access in (*task.reads, *task.writes, *task.holds):
            if access.storage.memory:
                continue
            first, _ = found.get(access.storage, (number, number))
            found[access.storage] = first, number
    return found


def place(tasks: Sequence[Task], *, size: int, alignment: int) -> int:
    """Give every storage an address; returns the bytes that are in use at most, counted from address 0.

    Raises
    ------
    CompileError
        If they do not fit.
    """
    life, placed, peak = lives(tasks), [], 0  # type: ignore[var-annotated]
    for storage in sorted(life, key=lambda each: (-each.size, life[each])):
        first, last = life[storage]
        address = 0
        for other in placed:
            begin, end = life[other]
            if begin <= last and first <= end and address + storage.size > other.address:
                if address < other.address + other.size:
                    address = -(-(other.address + other.size) // alignment) * alignment
        storage.address = address
        peak = max(peak, address + storage.size)
        if peak > size:
            raise CompileError(f"buffer_size must be at least {peak} bytes for {storage.name} beside what is needed at "
                               f"the same time, not {size}")
        placed.append(storage)
        placed.sort(key=lambda each: each.address)
    return peak
