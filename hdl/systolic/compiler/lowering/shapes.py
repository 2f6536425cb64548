"""Values as maps: shapes, views, and operators that only move bytes."""

import dataclasses
import math

import numpy as np

from ..graph import Node, Value
from ..graph.operators import Concatenate, Pad, ResizeNearest, Slice
from ..layout import Layout
from .elementwise import IDENTITY, apply, copy, rows, table_of
from .places import Map, Storage
from .tasks import Lowerer, Step, Task
from .windows import Kernel, split

Codes = np.ndarray[tuple[int, ...], np.dtype[np.int8]]

__all__ = ["concatenate", "complemented", "constant_map", "pad", "plain", "resize", "seen", "shape_of", "slice_view"]


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
    made = _fresh(lowerer, f"{node.name} copy", x)
    copy(lowerer, node, x, made)
    return made


def _fresh(lowerer: Lowerer, name: str, x: Map) -> Map:
    """A new map of the same shape without gaps; in memory if the other is there."""
    layout = Layout.of(x.height, x.width, x.channels)
    storage = lowerer.storage(name, layout.size * x.images)
    if x.in_memory:
        size = layout.size * x.images
        storage = Storage(storage.name, size, lowerer.builder.memory.take(size).base, memory=True)
    return Map(storage=storage, layout=layout, images=x.images, image_stride=layout.size)


def complemented(lowerer: Lowerer, node: Node, x: Map) -> Map:
    """A map of -1 - code for each code: less -1 - zero, its zero point then, the number with the other sign."""
    made = _fresh(lowerer, f"{node.name} complement", x)
    apply(lowerer, node, x, made, ~np.arange(-128, 128).astype(np.int8))
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
    operands = lowerer.graph.operands(node)
    if any(each.in_memory for each in (*maps, out)):
        _joined(lowerer, node, maps, [_rescaled(value, y) for value in operands], out, _axis(operator.axis, y.shape))
        return
    outer = math.prod(y.shape[:operator.axis])
    total, first = math.prod(y.shape[operator.axis:]), 0
    for value, x in zip(operands, maps, strict=True):
        size = math.prod(value.shape[operator.axis:])
        layout = Layout(height=outer, width=1, channels=size, x_stride=size, y_stride=total)
        there = dataclasses.replace(out, layout=layout, images=1, offset=out.offset + first)
        here = seen(plain(lowerer, node, x), (outer, size))
        apply(lowerer, node, here, there, _rescaled(value, y))
        first += size


def _axis(axis: int, shape: tuple[int, ...]) -> int:
    """Of images, height, width and channels, the one that an axis of a value belongs to."""
    return (1, 3)[axis] if len(shape) == 2 else max(axis + 4 - len(shape), 0)


def _joined(lowerer: Lowerer, node: Node, maps: list[Map], codes: list[Codes | None], out: Map, axis: int) -> None:
    """Bands of rows of the output, each of whatever inputs have a part in it."""
    tables = [table_of(lowerer, node, each) for each in codes]
    for number, there in enumerate(out.each()):
        at = 0
        parts: list[tuple[Map, tuple[int, int, int], tuple[Storage | None, tuple[Task, ...]]]] = []
        for x, table in zip(maps, tables, strict=True):
            image, length = number - at if axis == 0 else number, (x.images, x.height, x.width, x.channels)[axis]
            if 0 <= image < x.images:
                place = (at if axis == 1 else 0, at if axis == 2 else 0, at if axis == 3 else 0)
                parts.append((x.image(image), place, table))
            at += length
        row = sum(each.layout.y_stride for each in (there, *(x for x, _, _ in parts)) if each.in_memory)
        for begin, height in split(lowerer, there.height, row):
            whole, after = lowerer.band_out(node, there, begin, height)
            for x, place, (looked, loads) in parts:
                _placed(lowerer, node, x, whole, place, (begin, height), looked, loads)
            lowerer.steps[-1].stores += after


def _placed(lowerer: Lowerer, node: Node, x: Map, out: Map, place: tuple[int, int, int], band: tuple[int, int],
            looked: Storage | None = None, loads: tuple[Task, ...] = ()) -> None:
    """Copy those rows of an input that lie in a band of rows of an output, where it begins at (y, x, channel)."""
    first, end = max(band[0] - place[0], 0), min(sum(band) - place[0], x.height)
    if first >= end:
        return
    here, before = lowerer.band_in(node, x, first, end - first)
    there = out.part(place, (x.height, x.width, x.channels))
    rows(lowerer, node, here, there, Kernel(size=(1, 1)), IDENTITY, (first, end - first), looked=looked,
         loads=(*loads, *before))


def _rescaled(x: Value, y: Value) -> Codes | None:
    from ..evaluate.maps import rescaled
    if x.scale == y.scale:
        return None
    return rescaled(np.arange(-128, 128).astype(np.int8), x.scale, y.scale)


def pad(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """Pad: the whole output, or each band of it, is loaded with the value, then the input is copied into it."""
    operator = node.operator
    assert isinstance(operator, Pad)
    if x.in_memory or out.in_memory:
        _padded(lowerer, node, operator, x, out)
        return
    size = out.layout.size * out.images
    lowerer.steps.append(Step(loads=[_filled(lowerer, node, operator.value, out, 0, size)]))
    (y,) = lowerer.graph.results(node)
    (value,) = lowerer.graph.operands(node)
    part = Slice(begin=tuple(before for before, _ in operator.padding),
                 end=tuple(before + length for (before, _), length in zip(operator.padding, value.shape, strict=True)),
                 strides=(1,) * len(y.shape))
    copy(lowerer, node, x, slice_view(part, out, value.shape))


def _filled(lowerer: Lowerer, node: Node, value: int, out: Map, low: int, high: int) -> Task:
    """The task that loads bytes [low, high) of a map with a value."""
    region = lowerer.builder.constant(bytes([value % 256]) * (high - low))
    return lowerer.copy("read_host_memory", node.name, region.base - low, out, low, high)


def _padded(lowerer: Lowerer, node: Node, operator: Pad, x: Map, out: Map) -> None:
    """Bands of rows of the output."""
    before = [0] * 4
    for axis, (each, _) in enumerate(operator.padding):
        before[_axis(axis, (0,) * len(operator.padding))] = each
    row = sum(each.layout.y_stride for each in (x, out) if each.in_memory)
    for number, there in enumerate(out.each()):
        image = number - before[0]
        for begin, height in split(lowerer, there.height, row):
            whole, after = lowerer.band_out(node, there, begin, height)
            low, high = begin * whole.layout.y_stride, (begin + height) * whole.layout.y_stride
            lowerer.steps.append(Step(loads=[_filled(lowerer, node, operator.value, whole, low, high)]))
            if 0 <= image < x.images:
                _placed(lowerer, node, x.image(image), whole, (before[1], before[2], before[3]), (begin, height))
            lowerer.steps[-1].stores += after


def resize(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """ResizeNearest by whole factors: a copy for each place between the input's pixels."""
    assert isinstance(node.operator, ResizeNearest)
    y_step, x_step = out.height // x.height, out.width // x.width
    row = x.layout.y_stride * x.in_memory + y_step * out.layout.y_stride * out.in_memory
    for here, there in zip(x.each(), out.each(), strict=True):
        for first, count in split(lowerer, x.height, row):
            a, before = lowerer.band_in(node, here, first, count)
            b, after = lowerer.band_out(node, there, first * y_step, count * y_step)
            for dy in range(y_step):
                for dx in range(x_step):
                    rows(lowerer, node, a, _every(b, (dy, dx), (y_step, x_step), x), Kernel(size=(1, 1)), IDENTITY,
                         (first, count), loads=tuple(before))
            lowerer.steps[-1].stores += after


def _every(out: Map, place: tuple[int, int], strides: tuple[int, int], x: Map) -> Map:
    """Every so manieth pixel of a map."""
    layout = out.layout
    made = Layout(height=x.height, width=x.width, channels=x.channels, x_stride=strides[1] * layout.x_stride,
                  y_stride=strides[0] * layout.y_stride)
    return dataclasses.replace(out, layout=made, offset=out.offset + layout.offset + place[0] * layout.y_stride
                               + place[1] * layout.x_stride)
