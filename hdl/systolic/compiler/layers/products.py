"""What layers on the array share: where the rows of a product are, and what becomes of its sums."""

import dataclasses
from collections.abc import Iterator

from ...isa import RECORD_BYTES
from ..builder import Builder
from ..errors import CompileError
from ..layout import Layout
from ..spaces import Region
from ..tensors import Tensor

__all__ = ["Windows", "activate", "ceil_div", "product", "stripes"]


def ceil_div(value: int, step: int) -> int:
    """Steps that cover a value."""
    return -(-value // step)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Windows:
    """The windows of a kernel over a map.

    Parameters
    ----------
    kernel, step : int
        Pixels of a window in x and y; pixels from one window to the next.
    before : int
        Pixels of padding before the map, in x and y, with which the first window begins.
    """

    kernel: int
    step: int = 1
    before: int = 0

    def layout(self, x: Tensor, channels: int) -> Layout:
        """Of an output pixel for every ``step`` pixels of a map."""
        return Layout.of(ceil_div(x.height, self.step), ceil_div(x.width, self.step), channels)

    def fields(self, x: Tensor, first: int, y_count: int, x_count: int) -> dict[str, int]:
        """Fields of a matrix_multiply for rows of windows, the first in x of which is ``first``."""
        layout, first_y = x.layout, first * self.step - self.before
        return {"start": x.start - self.before * layout.x_stride + first_y * layout.y_stride, "x_count": x_count,
                "y_count": y_count, "ky_count": self.kernel, "y_step": self.step, "first_y": first_y,
                "x_stride": self.step * layout.x_stride, "y_stride": self.step * layout.y_stride,
                "ky_stride": layout.y_stride, "height": x.height if self.kernel > 1 else 0}

    def padded_in_x(self, x: Tensor) -> dict[str, int]:
        """Fields with which the row reader makes the border, and each kernel column has tiles of its own."""
        return {"kx_count": self.kernel, "kx_stride": x.layout.x_stride, "x_step": self.step, "first_x": -self.before,
                "width": x.width if self.kernel > 1 else 0}

    def behind(self, x: Tensor, x_count: int) -> int:
        """Pixels of padding that the last window needs behind a row."""
        return max((x_count - 1) * self.step + self.kernel - self.before - x.width, 0)


def stripes(builder: Builder, out: Tensor, unit: int = 1) -> Iterator[tuple[int, int]]:
    """First row and number of rows of each part of an output for which there are accumulators; parts of a size.

    Parameters
    ----------
    builder : Builder
    out : Tensor
    unit : int
        What all numbers are a multiple of, and the output's height too.

    Raises
    ------
    CompileError
        If one ``unit`` is too much.
    """
    depth: int = builder.config.matrix.arch.accumulator_depth
    most = depth // (out.width * unit)
    if not most:
        raise CompileError(f"width must be at most {depth // unit}, for which there are accumulators, not {out.width}")
    units = ceil_div(out.height, unit)
    count = unit * ceil_div(units, ceil_div(units, most))
    for first in range(0, out.height, count):
        yield first, min(count, out.height - first)


def product(builder: Builder, windows: dict[str, int], depth: int, outputs: int, padding: int) -> None:
    """Emit a product whose sums are all finished: ``depth`` consecutive bytes for each row, cut into pieces of R."""
    rows, cols = builder.config.matrix.arch.rows, builder.config.matrix.arch.cols
    sums = ceil_div(outputs, cols)
    last = (outputs - 1) % cols
    builder.emit("matrix_multiply", finish=1, padding=padding, c_count=ceil_div(depth, rows), c_stride=rows,
                 n_count=sums, k_less=rows - 1, k_last_less=(depth - 1) % rows, n_less=cols - 1 if sums > 1 else last,
                 n_last_less=last, **windows)


def activate(builder: Builder, out: Tensor, rows: tuple[int, int], parameters: Region, fields: dict[str, int],
             width: int) -> None:
    """Emit what requantises the sums of a product into rows of a tensor.

    Parameters
    ----------
    builder : Builder
    out : Tensor
    rows : (int, int)
        First row and how many.
    parameters : Region
        A record for each of its channels.
    fields : dict of str to int
        ``zero_point``, ``low``, ``high``.
    width : int
        Channels of a sum; C, or fewer on the diagonal.
    """
    first, count = rows
    for channel in range(0, out.channels, width):
        part = out.slice(channel, min(width, out.channels - channel))
        records = parameters.part(channel * RECORD_BYTES, part.channels * RECORD_BYTES)
        builder.emit("activate", base=part.start + first * part.layout.y_stride, x_count=part.width, y_count=count,
                     channels=part.channels, x_stride=part.layout.x_stride, y_stride=part.layout.y_stride,
                     per_channel=1, parameters=records.base, **fields)
