"""Who has which bytes of a memory."""

import bisect
import dataclasses

from .errors import CompileError

__all__ = ["Region", "Space"]


@dataclasses.dataclass(frozen=True)
class Region:
    """Bytes [base, base + size) of a memory or of the unified buffer."""

    base: int
    size: int

    @property
    def end(self) -> int:
        """First byte behind it."""
        return self.base + self.size

    def part(self, offset: int, size: int) -> "Region":
        """``size`` bytes of it, from ``offset`` on.

        Raises
        ------
        CompileError
            If they do not lie within it.
        """
        if not 0 <= offset <= offset + size <= self.size:
            raise CompileError(f"a part must lie within {self.size} bytes, not {size} bytes from byte {offset} on")
        return Region(self.base + offset, size)


class Space:
    """Gives regions of a memory away, each from the lowest address at which it fits.

    Parameters
    ----------
    name : str
        For messages.
    size : int
        Bytes there are.
    alignment : int
        What each region's first byte is a multiple of.

    Members
    -------
    peak : int
        Most bytes that were ever in use, counted from address 0.
    """

    def __init__(self, name: str, *, size: int, alignment: int) -> None:
        self.name, self.size, self.alignment = name, size, alignment
        self.peak = 0
        self._taken: list[Region] = []  # by address, apart

    def take(self, size: int) -> Region:
        """A region of that many bytes.

        Raises
        ------
        CompileError
            If none is free.
        """
        region = Region(0, size)
        for each in self._taken:
            if region.end <= each.base:
                break
            region = Region(-(-each.end // self.alignment) * self.alignment, size)
        if region.end > self.size:
            raise CompileError(f"size must be of bytes in a row that are free, not {size}: of the {self.name}'s "
                               f"{self.size} bytes, {sum(each.size for each in self._taken)} are in use")
        bisect.insort(self._taken, region, key=lambda each: each.base)
        self.peak = max(self.peak, region.end)
        return region

    def copy(self) -> "Space":
        """Another that has the same regions in use."""
        other = Space(self.name, size=self.size, alignment=self.alignment)
        other.peak, other._taken = self.peak, list(self._taken)
        return other

    def free(self, region: Region) -> None:
        """Take a region back.

        Raises
        ------
        CompileError
            If it was not given away, or was taken back before.
        """
        if region not in self._taken:
            raise CompileError(f"region must be one in use of the {self.name}, not {region}")
        self._taken.remove(region)
