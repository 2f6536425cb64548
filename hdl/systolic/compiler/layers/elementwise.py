"""Layers that need no weights: pooling and addition."""

import dataclasses

from ..builder import Builder
from ..errors import CompileError
from ..layout import Layout
from ..quantise import Addition, Requantisation, average, identity
from ..spaces import Region
from ..tensors import Tensor

__all__ = ["Add", "Pool", "add", "pool"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pool:
    """Pooling; see :func:`pool`.

    Parameters
    ----------
    kernel, step : int
    maximum : bool
    parameters : Region
        One record, in the buffer.
    fields : dict of str to int
        ``zero_point``, ``low``, ``high``.
    """

    kernel: int
    step: int
    maximum: bool
    parameters: Region
    fields: dict[str, int]

    def layout(self, x: Tensor) -> Layout:
        """Of the output for that input: a pixel for each window that lies within."""
        height, width = ((size - self.kernel) // self.step + 1 for size in (x.height, x.width))
        return Layout.of(height, width, x.channels)

    def __call__(self, builder: Builder, x: Tensor, out: Tensor | None = None) -> Tensor:
        """Emit it; returns the output, which is a new one or has at most as many pixels as that."""
        out = builder.tensor(self.layout(x)) if out is None else out
        most = self.layout(x)
        if out.height > most.height or out.width > most.width or out.channels != most.channels:
            raise CompileError(f"out must be at most {most.height} x {most.width} x {most.channels}, not "
                               f"{out.height} x {out.width} x {out.channels}")
        here, there = out.layout, x.layout
        builder.emit("pool", base=out.start, start=x.start, maximum=int(self.maximum), x_count=out.width,
                     y_count=out.height, channels=x.channels, kx_count=self.kernel, ky_count=self.kernel,
                     x_stride=here.x_stride, y_stride=here.y_stride, from_x_stride=self.step * there.x_stride,
                     from_y_stride=self.step * there.y_stride, kx_stride=there.x_stride, ky_stride=there.y_stride,
                     parameters=self.parameters.base, **self.fields)
        return out


def pool(builder: Builder, kernel: int, *, step: int | None = None, maximum: bool = False,
         scale: Requantisation | None = None) -> Pool:
    """Pooling of windows of ``kernel`` x ``kernel`` pixels.

    Parameters
    ----------
    builder : Builder
    kernel : int
    step : int or None
        Pixels from one window to the next; ``None`` for windows beside each other.
    maximum : bool
        The largest of a window, else its average.
    scale : Requantisation or None
        What is done to maximum or sum; ``None`` for nothing, or for a division by the number of pixels.

    Returns
    -------
    Pool
    """
    scale = scale or (identity() if maximum else average(kernel**2))
    return Pool(kernel=kernel, step=step or kernel, maximum=maximum, fields=scale.fields,
                parameters=builder.parameters(scale.records()))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Add:
    """Elementwise sum; see :func:`add`.

    Parameters
    ----------
    parameters : Region
        Three records, in the buffer.
    fields : dict of str to int
        ``zero_point``, ``low``, ``high``.
    """

    parameters: Region
    fields: dict[str, int]

    def __call__(self, builder: Builder, first: Tensor, second: Tensor, out: Tensor | None = None) -> Tensor:
        """Emit it; returns the output, which may be one of the inputs."""
        out = builder.tensor(Layout.of(first.height, first.width, first.channels)) if out is None else out
        shapes = {(each.height, each.width, each.channels) for each in (first, second, out)}
        if len(shapes) > 1:
            raise CompileError(f"first, second and out must have the same height, width and channels, not "
                               f"{', '.join(map(str, sorted(shapes)))}")
        maps = (("", out), ("from_", first), ("other_", second))
        strides = {f"{prefix}{axis}_stride": stride for prefix, each in maps
                   for axis, stride in (("x", each.layout.x_stride), ("y", each.layout.y_stride))}
        builder.emit("add", base=out.start, from_base=first.start, other_base=second.start, x_count=out.width,
                     y_count=out.height, channels=out.channels, parameters=self.parameters.base, **strides,
                     **self.fields)
        return out


def add(builder: Builder, scale: Addition) -> Add:
    """Elementwise sum of two maps of different scales; see :func:`.quantise.addition`."""
    return Add(parameters=builder.parameters(scale.records()), fields=scale.fields)
