"""How a depthwise convolution goes through the taps of the array: a row reads a pixel and finishes a window.

::

    pixels along the axis, a row of the array each    0  1  2  3  4  5      taps = 3
    stride 1                                          .  .  s  s  s  s      s: a sum over this pixel and the two before
    stride 2                                          .  .  s  .  s  .      .: only fills the window

The innermost loop of ``matrix_multiply`` goes along that axis, whichever of the two takes fewer rows. A longer kernel
is cut into pieces of as many pixels as there are taps, which may overlap: then the weights there are zero in one of
them.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from ...config import Arch
from .places import Map
from .windows import Kernel, Pair, ceil_div

__all__ = ["Taps", "taps"]

Int8Array = npt.NDArray[np.int8]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Taps:
    """A way through the taps.

    Parameters
    ----------
    kernel : Kernel
    count : int
        Taps of the array.
    axis : int
        Along which it goes: 0, y, or 1, x.
    pieces, step : int
        Of the kernel along it, and pixels from one to the next.
    """

    kernel: Kernel
    count: int
    axis: int
    pieces: int
    step: int

    @property
    def tiles(self) -> int:
        """Per sum."""
        return self.kernel.size[1 - self.axis] * self.pieces

    def rows(self, outputs: Pair) -> int:
        """Rows of the array per tile for so many outputs in y and x."""
        along = (outputs[self.axis] - 1) * self.kernel.strides[self.axis] + self.count
        return along * outputs[1 - self.axis]

    def weights(self, w: Int8Array, arch: Arch) -> Int8Array:
        """Tiles int8 [sums * tiles, R, C] of weights [kernel_y, kernel_x, channels]."""
        w = w.swapaxes(0, 1) if self.axis == 0 else w  # [across, along, channels]
        across, length, channels = w.shape
        sums = ceil_div(channels, arch.channels)
        w = np.pad(w, [(0, 0), (0, 0), (0, -channels % arch.channels)])
        tiles = np.zeros((sums, across, self.pieces, arch.rows, arch.cols), np.int8)
        for piece in range(self.pieces):
            begin = piece * self.step
            # Pixels that the piece before has had.
            had = self.count - self.step if piece else 0
            for tap in range(had, min(self.count, length - begin)):
                # The first row of the array has the latest pixel.
                tiles[:, :, piece, self.count - 1 - tap, :arch.channels] = w[:, begin + tap].reshape(
                    across, sums, arch.channels).swapaxes(0, 1)
        return tiles.reshape(-1, arch.rows, arch.cols)

    def fields(self, x: Map, part: tuple[int, int, int, int]) -> dict[str, int]:
        """Fields of a ``matrix_multiply``, for a map of one image; see :meth:`.windows.Cut.fields`."""
        kernel, along, across = self.kernel, self.axis, 1 - self.axis
        strides, size = (x.layout.y_stride, x.layout.x_stride), (x.height, x.width)
        first, outputs = part[:2], part[2:]
        begin = [first[axis] * kernel.strides[axis] - kernel.padding[axis][0] for axis in (0, 1)]
        fields = {
            "depthwise": 1, "skip": kernel.strides[along] - 1,
            "start": x.start() + begin[0] * strides[0] + begin[1] * strides[1],
            "x_count": (outputs[along] - 1) * kernel.strides[along] + self.count, "x_stride": strides[along],
            "first_x": begin[along], "kx_count": self.pieces, "kx_stride": self.step * strides[along],
            "kx_step": self.step,
            "y_count": outputs[across], "y_stride": kernel.strides[across] * strides[across],
            "y_step": kernel.strides[across], "first_y": begin[across], "ky_count": kernel.size[across],
            "ky_stride": kernel.dilations[across] * strides[across], "ky_step": kernel.dilations[across],
            "k_less": self.count - 1, "k_last_less": self.count - 1,
        }
        return fields | {name: size[axis] for name, axis in (("width", along), ("height", across))
                         if any(kernel.padding[axis])}


def taps(arch: Arch, kernel: Kernel, outputs: Pair) -> Taps | None:
    """The way that takes fewest rows of the array for so many outputs in y and x; ``None`` if none takes fewer than a
    tile for each pixel of the kernel."""
    if not arch.taps:
        return None
    ways = [way for axis in (0, 1) if (way := _along(arch.taps, kernel, axis))]
    best = min(ways, key=lambda way: way.tiles * way.rows(outputs), default=None)
    fewer = best and best.tiles * best.rows(outputs) < kernel.size[0] * kernel.size[1] * outputs[0] * outputs[1]
    return best if fewer else None


def _along(count: int, kernel: Kernel, axis: int) -> Taps | None:
    """The way along an axis, if pieces of the kernel there end where it ends: no pixel behind it is read."""
    size = kernel.size[axis]
    if size < count or kernel.dilations[axis] > 1 or kernel.strides[axis] > 256:
        return None
    pieces = ceil_div(size, count)
    step, rest = divmod(size - count, pieces - 1) if pieces > 1 else (count, 0)
    return None if rest else Taps(kernel=kernel, count=count, axis=axis, pieces=pieces, step=step)
