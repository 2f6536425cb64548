"""Feature maps in the unified buffer."""

import dataclasses
from collections.abc import Sequence

from .errors import CompileError
from .layout import Layout
from .spaces import Region

__all__ = ["Tensor", "Turns"]


@dataclasses.dataclass(frozen=True)
class Tensor:
    """A feature map in the unified buffer.

    Parameters
    ----------
    base : int
        Its first byte, border included.
    layout : Layout
    region : Region or None
        What was taken for it; ``None`` for a part of another tensor.
    """

    base: int
    layout: Layout
    region: Region | None = None

    @property
    def start(self) -> int:
        """Address of the first pixel."""
        return self.base + self.layout.offset

    @property
    def height(self) -> int:
        """Rows."""
        return self.layout.height

    @property
    def width(self) -> int:
        """Pixels of a row, without the border."""
        return self.layout.width

    @property
    def channels(self) -> int:
        """Bytes of a pixel."""
        return self.layout.channels

    def part(self, *, height: int | None = None, width: int | None = None) -> "Tensor":
        """The first rows, and of each row the first pixels: the same bytes."""
        return Tensor(self.base, self.layout.part(height=height, width=width))

    def slice(self, first: int, channels: int) -> "Tensor":
        """Channels from ``first`` on, of every pixel: the same bytes. Has no border.

        Raises
        ------
        CompileError
            If it has no such channels.
        """
        if not 0 <= first < first + channels <= self.channels:
            raise CompileError(f"channels must be within 0 to {self.channels - 1}, not {first} to "
                               f"{first + channels - 1}")
        layout = dataclasses.replace(self.layout, channels=channels, left=0, right=0)
        return Tensor(self.start + first, layout)


class Turns:
    """Tensors of one layout that take turns, so that work on the next need not wait for work on this one.

    ``turns[step]`` is the tensor of that step, for any step: with two of them, double buffering.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.tensors = tuple(tensors)

    def __getitem__(self, step: int) -> Tensor:
        return self.tensors[step % len(self.tensors)]
