"""How a convolution's windows are read as rows of the array, and cut into tiles.

::

    pixels    a tile per kernel pixel and R channels: padding is made by the row reader
    rows      the bytes under a row of the kernel follow each other, and are cut into pieces of R wherever a pixel ends
    patches   so do those under ``group`` rows of the kernel, with the bytes between them under weights of zero

``rows`` and ``patches`` need pixels without gaps, and padding that lies in the map; whichever takes fewest tiles is
chosen.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from .places import Map
from .tasks import Lowerer

__all__ = ["Cut", "Kernel", "bands", "ceil_div", "cut", "split"]

Int8Array = npt.NDArray[np.int8]
Pair = tuple[int, int]


def ceil_div(value: int, step: int) -> int:
    """Steps that cover a value."""
    return -(-value // step)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Kernel:
    """Windows over a map; pairs are (y, x).

    Parameters
    ----------
    size, strides, dilations : pair of int
    padding : pair of pair of int
        Pixels before and behind, in y and in x.
    """

    size: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))

    def inputs(self, first: int, count: int) -> Pair:
        """First row of the map, which may be padding, and rows of it, for rows of windows."""
        begin = first * self.strides[0] - self.padding[0][0]
        return begin, (count - 1) * self.strides[0] + (self.size[0] - 1) * self.dilations[0] + 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cut:
    """A way to cut.

    Parameters
    ----------
    kind : str
        ``pixels``, ``rows`` or ``patches``.
    group : int
        Rows of the kernel taken together.
    tiles : int
        Per sum.
    depth : int
        Bytes of a row of the array's input, over all pieces.
    """

    kind: str
    group: int
    tiles: int
    depth: int

    def weights(self, w: Int8Array, x: Map) -> Int8Array:
        """int8 [steps, depth, outputs] of weights [kernel_y, kernel_x, inputs, outputs]."""
        height, width, inputs, outputs = w.shape
        if self.kind == "pixels":
            return w.reshape(height * width, inputs, outputs)
        flat = w.reshape(height, width * inputs, outputs)
        steps = ceil_div(height, self.group)
        made = np.zeros((steps, self.depth, outputs), np.int8)
        for ky in range(height):
            at = ky % self.group * x.layout.y_stride
            made[ky // self.group, at:at + width * inputs] = flat[ky]
        return made

    def fields(self, kernel: Kernel, x: Map, rows: int, cols: tuple[int, int, int, int]) -> dict[str, int]:
        """Fields of a ``matrix_multiply``.

        Parameters
        ----------
        kernel : Kernel
        x : Map
            Of one image.
        rows : int
            Rows of the array.
        cols : (int, int, int, int)
            First row and column of windows, rows and columns of them.
        """
        first_y, first_x, y_count, x_count = cols
        layout, (top, left) = x.layout, (kernel.padding[0][0], kernel.padding[1][0])
        y, column = first_y * kernel.strides[0] - top, first_x * kernel.strides[1] - left
        fields = {"start": x.start() + y * layout.y_stride + column * layout.x_stride, "x_count": x_count,
                  "y_count": y_count, "x_stride": kernel.strides[1] * layout.x_stride,
                  "y_stride": kernel.strides[0] * layout.y_stride, "y_step": kernel.strides[0], "first_y": y,
                  "c_count": ceil_div(self.depth, rows), "c_stride": rows, "k_less": rows - 1,
                  "k_last_less": (self.depth - 1) % rows}
        fields |= {"ky_count": ceil_div(kernel.size[0], self.group),
                   "ky_stride": self.group * kernel.dilations[0] * layout.y_stride, "ky_step": kernel.dilations[0]}
        if any(kernel.padding[0]) and self.kind != "patches":
            fields["height"] = x.height
        if self.kind == "pixels":
            fields |= {"kx_count": kernel.size[1], "kx_stride": kernel.dilations[1] * layout.x_stride,
                       "kx_step": kernel.dilations[1], "x_step": kernel.strides[1], "first_x": column}
            if any(kernel.padding[1]):
                fields["width"] = x.width
        return fields


def bands(lowerer: Lowerer, kernel: Kernel, x: Map, out: Map, weights: Pair = (0, 1)) -> Iterator[Pair]:
    """First row and rows of each band of an output: all of it, or what the buffer has room for while the next is loaded
    and the last is stored. ``weights``: bytes of weights that come anew for how many rows."""
    if not x.in_memory and not out.in_memory:
        yield 0, out.height
        return
    row = out.layout.y_stride * out.in_memory + kernel.strides[0] * x.layout.y_stride * x.in_memory
    around = x.layout.y_stride * x.in_memory * max(kernel.inputs(0, 1)[1] - kernel.strides[0], 0)
    yield from split(lowerer, out.height, row, around, weights)


def split(lowerer: Lowerer, height: int, row: int, around: int = 0, weights: Pair = (0, 1)) -> Iterator[Pair]:
    """First row and rows of each band, where a row needs ``row`` bytes of the buffer, and a band ``around`` more: of
    the sizes that fit the one for which the fewest bytes come twice, as even as can be."""
    most = min(max(1, (lowerer.band - around) // row), height) if row else height
    even, (size, together) = ceil_div(height, ceil_div(height, most)), weights

    def moved(rows: int) -> Pair:
        passes = height // rows * ceil_div(rows, together) + ceil_div(height % rows, together)
        return ceil_div(height, rows) * around + passes * size, abs(rows - even)
    rows = min(range(1, most + 1), key=moved) if size else even
    for first in range(0, height, rows):
        yield first, min(rows, height - first)


def cut(kernel: Kernel, x: Map, rows: int) -> Cut:
    """The way with the fewest tiles; of two with as many, the one that needs less of the map."""
    (height, width), layout = kernel.size, x.layout
    ways = [Cut(kind="pixels", group=1, tiles=height * width * ceil_div(x.channels, rows), depth=x.channels)]
    fits_x = layout.left >= kernel.padding[1][0] and layout.right >= kernel.padding[1][1]
    if layout.x_stride == x.channels and kernel.dilations[1] == 1 and fits_x:
        row = width * x.channels
        ways.append(Cut(kind="rows", group=1, tiles=height * ceil_div(row, rows), depth=row))
        for group in range(2, height + 1 if kernel.dilations[0] == 1 and not x.in_memory else 2):
            depth, steps = (group - 1) * layout.y_stride + row, ceil_div(height, group)
            # The last step may have fewer rows, and reads as many.
            bottom = kernel.padding[0][1] + steps * group - height
            if layout.top >= kernel.padding[0][0] and layout.bottom >= bottom:
                tiles = steps * ceil_div(depth, rows)
                ways.append(Cut(kind="patches", group=group, tiles=tiles, depth=depth))
    return min(ways, key=lambda way: way.tiles)
