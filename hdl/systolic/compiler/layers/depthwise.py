"""Depthwise convolutions."""

import dataclasses

import numpy as np
import numpy.typing as npt

from ..builder import Builder, Tiles
from ..errors import CompileError
from ..layout import Layout
from ..quantise import Requantisation
from ..spaces import Region
from ..tensors import Tensor
from .products import Windows, activate, ceil_div, stripes

__all__ = ["Depthwise", "depthwise"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Depthwise:
    """A depthwise convolution; see :func:`depthwise`.

    Parameters
    ----------
    windows : Windows
    channels : int
    tiles : Tiles
        Diagonal ones: for min(R, C) channels, all pixels of the kernel.
    parameters : Region
        A record per channel, in the buffer.
    fields : dict of str to int
        ``zero_point``, ``low``, ``high``.
    padding : int
    """

    windows: Windows
    channels: int
    tiles: Tiles
    parameters: Region
    fields: dict[str, int]
    padding: int = 0

    def layout(self, x: Tensor) -> Layout:
        """Of the output for that input."""
        return self.windows.layout(x, self.channels)

    def __call__(self, builder: Builder, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Emit it; returns the output, as for :class:`.convolution.Convolution`."""
        out = builder.tensor(self.layout(x)) if out is None else out
        if (x.channels, out.channels) != (self.channels, self.channels):
            raise CompileError(f"x and out must have {self.channels} channels, not {x.channels} and {out.channels}")
        for rows in stripes(builder, out):
            self._part(builder, x, out, rows)
        builder.macs += out.height * out.width * self.windows.kernel**2 * self.channels
        return out

    def _part(self, builder: Builder, x: Tensor, out: Tensor, rows: tuple[int, int]) -> None:
        builder.read_weights(self.tiles)
        width = min(builder.config.matrix.arch.rows, builder.config.matrix.arch.cols)
        sums, last = ceil_div(self.channels, width), (self.channels - 1) % width
        fields = self.windows.fields(x, *rows, out.width) | self.windows.padded_in_x(x)
        builder.emit("matrix_multiply", finish=1, padding=self.padding, n_count=sums, n_stride=width,
                     n_less=width - 1 if sums > 1 else last, n_last_less=last, **fields)
        activate(builder, out, rows, self.parameters, self.fields, width)


def depthwise(builder: Builder, w: npt.NDArray[np.int8], scale: Requantisation, *, step: int = 1,
              before: int | None = None, padding: int = 0) -> Depthwise:
    """A depthwise convolution: min(R, C) channels at a time on the diagonal of the array.

    The map needs no border, but may have one.

    Parameters
    ----------
    builder : Builder
    w : int8 array [kernel, kernel, channels]
    scale : Requantisation
        Of each channel.
    step, before, padding : int
        As for :func:`.convolution.convolution`.

    Returns
    -------
    Depthwise

    Raises
    ------
    CompileError
        If the kernel is not square, or there are not as many scales as channels.
    """
    if w.ndim != 3 or w.shape[0] != w.shape[1]:
        raise CompileError(f"w must be [kernel, kernel, channels], not {list(w.shape)}")
    arch, (kernel, _, channels) = builder.config.matrix.arch, w.shape
    width = min(arch.rows, arch.cols)
    parameters = builder.parameters(scale.records(range(channels)))
    whole = np.pad(w.reshape(kernel * kernel, channels), [(0, 0), (0, -channels % width)])
    diagonals = whole.reshape(kernel * kernel, -1, width).transpose(1, 0, 2).reshape(-1, width)
    tiles = builder.tiles(np.pad(diagonals, [(0, 0), (0, arch.cols - width)]), diagonal=True)
    windows = Windows(kernel=kernel, step=step, before=(kernel - 1) // 2 if before is None else before)
    return Depthwise(windows=windows, channels=channels, padding=padding, tiles=tiles, parameters=parameters,
                     fields=scale.fields)
