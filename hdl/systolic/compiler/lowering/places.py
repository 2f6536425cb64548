"""Where values lie in the unified buffer: storage, whose address comes last, and feature maps in it."""

import dataclasses
from collections.abc import Iterator

from ..layout import Layout

__all__ = ["Access", "Map", "Storage"]


@dataclasses.dataclass(eq=False)
class Storage:
    """Bytes of the unified buffer for as long as they are needed; or of memory, for good.

    Parameters
    ----------
    name : str
        For messages.
    size : int
    address : int
        Its first byte; -1 until the memory plan is made.
    memory : bool
        Whether it is in memory, and its address is there.
    band : bool
        Whether it has some rows of a map in memory.
    """

    name: str
    size: int
    address: int = -1
    memory: bool = False
    band: bool = False


@dataclasses.dataclass(frozen=True)
class Access:
    """Bytes [low, high) of a storage that are read or written; of every ``period`` bytes, from low on, only the first
    ``width``, if there is a period."""

    storage: Storage
    low: int
    high: int
    period: int = 0
    width: int = 0

    def overlaps(self, other: "Access") -> bool:
        """Whether they share a byte."""
        if self.storage is not other.storage or self.low >= other.high or other.low >= self.high:
            return False
        if not self.period or self.period != other.period:
            return True
        ahead = (other.low - self.low) % self.period
        return ahead < self.width or ahead + other.width > self.period


@dataclasses.dataclass(frozen=True, kw_only=True)
class Map:
    """A value as feature maps: ``images`` of them, ``image_stride`` bytes apart.

    Parameters
    ----------
    storage : Storage
    layout : Layout
        Of one image.
    offset : int
        Of the first image, in the storage.
    images, image_stride : int
    """

    storage: Storage
    layout: Layout
    offset: int = 0
    images: int = 1
    image_stride: int = 0

    @property
    def height(self) -> int:
        """Rows of an image."""
        return self.layout.height

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return self.layout.width

    @property
    def channels(self) -> int:
        """Bytes of a pixel."""
        return self.layout.channels

    @property
    def in_memory(self) -> bool:
        """Whether it is too large for the buffer, and passes through it in bands of rows."""
        return self.storage.memory

    @property
    def plain(self) -> bool:
        """Whether all bytes follow each other without gaps or borders."""
        layout = self.layout
        return (layout.x_stride == layout.channels and layout.y_stride == layout.width * layout.channels
                and not (layout.left or layout.right or layout.top or layout.bottom)
                and (self.images == 1 or self.image_stride == layout.height * layout.y_stride))

    def start(self) -> int:
        """Address of the first pixel; the storage must have one."""
        assert self.storage.address >= 0
        return self.storage.address + self.offset + self.layout.offset

    def image(self, number: int) -> "Map":
        """One image."""
        return dataclasses.replace(self, offset=self.offset + number * self.image_stride, images=1, image_stride=0)

    def each(self) -> Iterator["Map"]:
        """Every image."""
        return map(self.image, range(self.images))

    def rows(self, first: int, count: int) -> Access:
        """Bytes from the first pixel of a row of a single image to the last of the last, those there are."""
        first, end = max(first, 0), min(first + count, self.height)
        layout, base = self.layout, self.offset + self.layout.offset
        if end <= first:
            return Access(self.storage, 0, 0)
        # Where all pixels are a stride apart, those that share bytes with other channels' can be told from them.
        even = layout.channels < layout.x_stride and layout.y_stride % layout.x_stride == 0
        return Access(self.storage, base + first * layout.y_stride,
                      base + (end - 1) * layout.y_stride + (layout.width - 1) * layout.x_stride + layout.channels,
                      *((layout.x_stride, layout.channels) if even else ()))

    def part(self, first: tuple[int, int, int], size: tuple[int, int, int]) -> "Map":
        """Pixels and channels from (y, x, channel) on, so many rows, columns and channels: the same bytes."""
        layout = self.layout
        made = Layout(height=size[0], width=size[1], channels=size[2], x_stride=layout.x_stride,
                      y_stride=layout.y_stride)
        return dataclasses.replace(self, layout=made, offset=self.offset + layout.offset + first[2]
                                   + first[0] * layout.y_stride + first[1] * layout.x_stride)

    def channel_slice(self, first: int, count: int) -> "Map":
        """Channels from ``first`` on, of every pixel: the same bytes."""
        layout = dataclasses.replace(self.layout, channels=count, left=0, right=0, top=0, bottom=0)
        return dataclasses.replace(self, layout=layout, offset=self.offset + self.layout.offset + first)
