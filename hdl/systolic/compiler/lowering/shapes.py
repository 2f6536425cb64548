"""Values as maps: shapes, views, and operators that only move bytes."""

import dataclasses
import math

import numpy as np

from ..graph import Node, Value
from ..graph.operators import Concatenate, Pad, ResizeNearest, Slice
from ..layout import Layout
from .elementwise import apply, copy
from .places import Access, Map
from .tasks import Lowerer, Step, Task

__all__ = ["concatenate", "constant_map", "pad", "plain", "resize", "seen", "shape_of", "slice_view"]


def shape_of(shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """Images, height, width and channels of a value: the last axis is the channels, all before the last three are
    images."""
    padded = (1,) * (4 - len(shape)) + tuple(shape)
    if len(shape) == 2:  # rows
        return 1, shape[0], 1, shape[1]
    return math.prod(padded[:-3]), padded[-3], padded[-2], padded[-1]


def layout_of(shape: tuple[int, ...]) -> tuple[Layout, int]:
    """Layout without gaps, and images."""
    images, height, width, channels = shape_of(shape)
    return Layout.of(height, width, channels), images


def seen(x: Map, shape: tuple[int, ...]) -> Map:
    """A plain map as one of another shape: the same bytes."""
    layout, images = layout_of(shape)
    return dataclasses.replace(x, layout=layout, images=images, image_stride=layout.size,
                               offset=x.offset + x.layout.offset)


def plain(lowerer: Lowerer, node: Node, x: Map) -> Map:
    """The map itself if its bytes follow each other, else a copy of which they do."""
    if x.plain:
        return x
    layout = Layout.of(x.height, x.width, x.channels)
    storage = lowerer.storage(f"{node.name} copy", layout.size * x.images)
    made = Map(storage=storage, layout=layout, images=x.images, image_stride=layout.size)
    copy(lowerer, node, x, made)
    return made


def constant_map(lowerer: Lowerer, node: Node, value: Value, out: Map) -> tuple[Map, Task]:
    """A constant as a map that goes with an output: if it has one pixel, with strides of 0; and the task that loads
    it."""
    assert value.constant is not None
    content = value.constant.tobytes()
    storage, task = lowerer.constant(node, content)
    if value.size == out.channels and value.size < out.layout.size * out.images:
        layout = Layout(height=out.height, width=out.width, channels=out.channels, x_stride=0, y_stride=0)
        return Map(storage=storage, layout=layout, images=out.images), task
    layout, images = layout_of(value.shape)
    return Map(storage=storage, layout=layout, images=images, image_stride=layout.size), task


def slice_view(operator: Slice, x: Map, shape: tuple[int, ...]) -> Map:
    """Part of a map: the same bytes, further apart."""
    rank = len(operator.begin)
    begin, steps = ((0,) * (4 - rank) + operator.begin, (1,) * (4 - rank) + operator.strides)
    if rank == 2:
        begin, steps = (0, operator.begin[0], 0, operator.begin[1]), (1, operator.strides[0], 1, 1)
    layout = x.layout
    images, height, width, channels = shape_of(shape)
    made = Layout(height=height, width=width, channels=channels, x_stride=steps[2] * layout.x_stride,
                  y_stride=steps[1] * layout.y_stride)
    offset = begin[0] * x.image_stride + begin[1] * layout.y_stride + begin[2] * layout.x_stride + begin[3]
    return dataclasses.replace(x, layout=made, images=images, image_stride=steps[0] * x.image_stride,
                               offset=x.offset + layout.offset + offset)


def concatenate(lowerer: Lowerer, node: Node, maps: list[Map], out: Map) -> None:
    """Concatenate: each input is copied to its place, through a table if its scale is another."""
    operator, (y,) = node.operator, lowerer.graph.results(node)
    assert isinstance(operator, Concatenate)
    outer = math.prod(y.shape[:operator.axis])
    total, first = math.prod(y.shape[operator.axis:]), 0
    for value, x in zip(lowerer.graph.operands(node), maps, strict=True):
        size = math.prod(value.shape[operator.axis:])
        layout = Layout(height=outer, width=1, channels=size, x_stride=size, y_stride=total)
        there = dataclasses.replace(out, layout=layout, images=1, offset=out.offset + first)
        here = seen(plain(lowerer, node, x), (outer, size))
        apply(lowerer, node, here, there, _rescaled(value, y))
        first += size


def _rescaled(x: Value, y: Value) -> "np.ndarray[tuple[int, ...], np.dtype[np.int8]] | None":
    from ..evaluate.maps import rescaled
    if x.scale == y.scale:
        return None
    return rescaled(np.arange(-128, 128).astype(np.int8), x.scale, y.scale)


def pad(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """Pad: the whole output is loaded with the value, then the input is copied into it."""
    operator = node.operator
    assert isinstance(operator, Pad)
    size = out.layout.size * out.images
    region = lowerer.builder.constant(bytes([operator.value % 256]) * size)
    fill = lowerer.copy("read_host_memory", node.name, region.base, dataclasses.replace(
        out, layout=dataclasses.replace(out.layout, height=1, y_stride=size)), 0, size)
    fill.writes = (Access(out.storage, out.offset, out.offset + size),)
    lowerer.steps.append(Step(loads=[fill]))
    (y,) = lowerer.graph.results(node)
    (value,) = lowerer.graph.operands(node)
    part = Slice(begin=tuple(before for before, _ in operator.padding),
                 end=tuple(before + length for (before, _), length in zip(operator.padding, value.shape, strict=True)),
                 strides=(1,) * len(y.shape))
    copy(lowerer, node, x, slice_view(part, out, value.shape))


def resize(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """ResizeNearest by whole factors: a copy for each place between the input's pixels."""
    assert isinstance(node.operator, ResizeNearest)
    (y_step, x_step), layout = (out.height // x.height, out.width // x.width), out.layout
    for dy in range(y_step):
        for dx in range(x_step):
            made = Layout(height=x.height, width=x.width, channels=x.channels, x_stride=x_step * layout.x_stride,
                          y_stride=y_step * layout.y_stride)
            copy(lowerer, node, x, dataclasses.replace(
                out, layout=made, offset=out.offset + layout.offset + dy * layout.y_stride + dx * layout.x_stride))
