"""What a driver asks of whatever lies between it and a TPU."""

import dataclasses
from typing import Protocol

from ..errors import UserError

__all__ = ["AsyncLink", "Link", "LinkError", "Read", "Read32", "Request", "Wait", "Write", "Write32"]


class LinkError(UserError, RuntimeError):
    """A link could not do what it was asked for; the message says what came back in place of an answer."""


class Link(Protocol):
    """A way to a TPU's registers, memory and interrupt.

    It may be as slow and as far away as you like: nothing is shared, and no cycle is known.

    Members
    -------
    unit : str
        Of what ``wait`` counts: ``"cycles"`` or ``"seconds"``.
    """

    @property
    def unit(self) -> str:
        ...

    def read32(self, address: int) -> int:
        """Value of the register at a byte address.

        Raises
        ------
        LinkError
            If it answers with an error, or not at all.
        """

    def write32(self, address: int, value: int) -> None:
        """Write the register at a byte address; raises as :meth:`read32`."""

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the memory that the TPU works on; raises LinkError where there are none."""

    def write(self, address: int, data: bytes) -> None:
        """Write bytes of that memory; raises as :meth:`read`."""

    def wait(self, limit: float) -> bool:
        """Wait until the interrupt is high, but no longer than ``limit`` in this link's unit; whether it is."""


class AsyncLink(Protocol):
    """A :class:`Link` whose answers are awaited."""

    @property
    def unit(self) -> str:
        ...

    async def read32(self, address: int) -> int:
        """As for :class:`Link`."""

    async def write32(self, address: int, value: int) -> None:
        """As for :class:`Link`."""

    async def read(self, address: int, size: int) -> bytes:
        """As for :class:`Link`."""

    async def write(self, address: int, data: bytes) -> None:
        """As for :class:`Link`."""

    async def wait(self, limit: float) -> bool:
        """As for :class:`Link`."""


@dataclasses.dataclass(frozen=True)
class Read32:
    """Asks for a register: a step that yields this is sent its value."""

    address: int


@dataclasses.dataclass(frozen=True)
class Write32:
    """Asks for a register to be written."""

    address: int
    value: int


@dataclasses.dataclass(frozen=True)
class Read:
    """Asks for bytes of memory."""

    address: int
    size: int


@dataclasses.dataclass(frozen=True)
class Write:
    """Asks for bytes of memory to be written."""

    address: int
    data: bytes


@dataclasses.dataclass(frozen=True)
class Wait:
    """Asks for the interrupt; sent back is ``None`` if it came, else how long was waited, as ``"300 cycles"``.

    Without a limit, the driver's is taken.
    """

    limit: float | None = None


Request = Read32 | Write32 | Read | Write | Wait
