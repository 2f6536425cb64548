"""Work of the activation unit alone: pooling, sums of two maps, tables, and copies."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ..graph import Node
from ..graph.operators import AveragePool, MaxPool, Mean
from ..layout import Layout
from ..match import Rounded, addition, average, table
from ..quantise import identity
from .places import Access, Map, Storage
from .tasks import Emitter, Lowerer, Step, Task
from .windows import Kernel, bands, ceil_div, split

__all__ = ["IDENTITY", "add", "apply", "copy", "mean", "pool", "rows", "table_of", "unary"]

#: What changes no code.
IDENTITY = Rounded("single", identity())

#: Bytes of an output after which a piece of work is its own instruction, so that others can begin beside it.
_PIECE = 4096

#: Pieces of as many channels as there are lanes, below which a group of channels is not worth an instruction.
_GROUP = 64


def pieces(out: Map, begin: int, height: int, cut: int = 0) -> Iterator[tuple[int, int]]:
    """First row and rows of each piece of rows of a map, none of which goes over a cut."""
    row = out.width * out.channels
    rows = max(1, min(_PIECE // row, max(ceil_div(height, 2), 1024 // row)))
    edges = [begin, *([cut] if begin < cut < begin + height else []), begin + height]
    for here, there in zip(edges, edges[1:], strict=False):
        # A little more than a piece is one.
        step = ceil_div(there - here, ceil_div(4 * (there - here), 5 * rows))
        for first in range(here, there, step):
            yield first, min(step, there - first)


def flat(*maps: Map) -> list[Map]:
    """The maps as one image each, with pixels joined to longer ones where all of them are plain.

    Of images without gaps the rows follow each other; a row of pixels without gaps is one pixel.
    """
    first = maps[0]
    if not all(each.plain and not each.in_memory for each in maps):
        return list(maps)
    rows, width, channels = first.images * first.height, first.width, first.channels
    if width * channels < 1 << 16:
        width, channels = 1, width * channels
    layout = Layout.of(rows, width, channels)
    return [dataclasses.replace(each, layout=layout, images=1, offset=each.offset) for each in maps]


def window(lowerer: Lowerer, node: Node, x: Map, out: Map, kernel: Kernel, rounded: Rounded, *, maximum: bool = False,
           looked: Storage | None = None, loads: tuple[Task, ...] = ()) -> None:
    """Steps of ``pool`` on one image: windows without padding, from the first pixel on."""
    for begin, height in bands(lowerer, kernel, x, out):
        here, before = lowerer.band_in(node, x, *kernel.inputs(begin, height))
        there, after = lowerer.band_out(node, out, begin, height)
        rows(lowerer, node, here, there, kernel, rounded, (begin, height), maximum=maximum, looked=looked,
             loads=(*loads, *before))
        lowerer.steps[-1].stores += after


def rows(lowerer: Lowerer, node: Node, x: Map, out: Map, kernel: Kernel, rounded: Rounded, part: tuple[int, int], *,
         maximum: bool = False, looked: Storage | None = None, loads: tuple[Task, ...] = ()) -> None:
    """Steps of ``pool`` for some rows of an output, of maps that are in the buffer."""
    parameters, load = lowerer.constant(node, rounded.scale.records())
    groups = [(0, out.channels)]
    if part == (0, out.height):
        groups = channel_groups(lowerer, (x,), out, kernel.size[0] * kernel.size[1])
    for first, count in pieces(out, *part, lowerer.cuts.get(out.storage.name, 0)):
        for group in groups:
            a, b = (each.channel_slice(*group) if len(groups) > 1 else each for each in (x, out))
            task = _window(node, a, b, kernel, rounded, (first, count), parameters, looked, maximum=maximum)
            lowerer.steps.append(Step(vector=[task], loads=[load, *loads]))


def _window(node: Node, x: Map, out: Map, kernel: Kernel, rounded: Rounded, part: tuple[int, int], parameters: Storage,
            looked: Storage | None, *, maximum: bool) -> Task:
    """``pool`` of some rows."""
    (first, rows), here, there = part, x.layout, out.layout

    def emit(emitter: Emitter) -> None:
        emitter.vector(
            "pool", rounded.rounding, looked, base=out.start() + first * there.y_stride,
            start=x.start() + first * kernel.strides[0] * here.y_stride, maximum=int(maximum), x_count=out.width,
            y_count=rows, channels=out.channels, kx_count=kernel.size[1], ky_count=kernel.size[0],
            x_stride=there.x_stride, y_stride=there.y_stride, from_x_stride=kernel.strides[1] * here.x_stride,
            from_y_stride=kernel.strides[0] * here.y_stride, kx_stride=here.x_stride, ky_stride=here.y_stride,
            parameters=parameters.address, **rounded.scale.fields)
    reads = [x.rows(*kernel.inputs(first, rows)), Access(parameters, 0, parameters.size)]
    reads += [Access(looked, 0, looked.size)] if looked else []
    return Task(node=node.name, emit=emit, reads=tuple(reads), writes=(out.rows(first, rows),))


def apply(lowerer: Lowerer, node: Node, x: Map, out: Map, codes: npt.NDArray[np.int8] | None = None) -> None:
    """Copy a map, through a table of 256 codes if there is one."""
    looked, loads = table_of(lowerer, node, codes)
    x, out = flat(x, out)
    for here, there in zip(x.each(), out.each(), strict=True):
        window(lowerer, node, here, there, Kernel(size=(1, 1)), IDENTITY, looked=looked, loads=loads)


def table_of(lowerer: Lowerer, node: Node,
             codes: npt.NDArray[np.int8] | None) -> tuple[Storage | None, tuple[Task, ...]]:
    """A table in the buffer and the task that loads it, if there is one."""
    if codes is None:
        return None, ()
    looked, load = lowerer.constant(node, codes.tobytes())
    return looked, (load,)


def copy(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """Copy a map."""
    apply(lowerer, node, x, out)


def unary(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """Unary."""
    apply(lowerer, node, x, out, table(lowerer.graph, node, lowerer.match))


def pool(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """AveragePool and MaxPool: where windows reach over the edge, by zones whose windows have as many pixels."""
    operator = node.operator
    assert isinstance(operator, AveragePool | MaxPool)
    kernel = Kernel(size=operator.kernel, strides=operator.strides, padding=operator.padding)
    for here, there in zip(x.each(), out.each(), strict=True):
        for begin, height in bands(lowerer, kernel, here, there):
            a, before = lowerer.band_in(node, here, *kernel.inputs(begin, height))
            b, after = lowerer.band_out(node, there, begin, height)
            for y_zone in zones(here.height, there.height, operator, 0):
                if begin < sum(y_zone[1]) and y_zone[1][0] < begin + height:
                    _zone(lowerer, node, a, b, operator, (begin, height), y_zone, tuple(before))
            lowerer.steps[-1].stores += after


def _zone(lowerer: Lowerer, node: Node, x: Map, out: Map, operator: AveragePool | MaxPool, band: tuple[int, int],
          zone: tuple[int, tuple[int, int], int], loads: tuple[Task, ...]) -> None:
    """Those rows of a zone that are in a band."""
    top, (first, count), size = zone
    begin, end = max(first, band[0]), min(first + count, sum(band))
    top += (begin - first) * operator.strides[0]
    for left, (column, columns), width in zones(x.width, out.width, operator, 1):
        kernel = Kernel(size=(size, width), strides=operator.strides)
        rounded = _pooled(lowerer, node, operator, size * width)
        here = x.part((top, left, 0), (x.height - top, x.width - left, x.channels))
        there = out.part((begin, column, 0), (end - begin, columns, out.channels))
        rows(lowerer, node, here, there, kernel, rounded, (0, end - begin), maximum=isinstance(operator, MaxPool),
             loads=loads)


def _pooled(lowerer: Lowerer, node: Node, operator: AveragePool | MaxPool, count: int) -> Rounded:
    if isinstance(operator, MaxPool):
        scale = dataclasses.replace(IDENTITY.scale, low=operator.low, high=operator.high)
        return Rounded(IDENTITY.rounding, scale)
    rounded = average(lowerer.graph, node, lowerer.match, count)
    if rounded is None:
        raise lowerer.error(node, "cannot have the runtime's bits on the TPU")
    return rounded


def zones(length: int, outputs: int, operator: AveragePool | MaxPool,
          axis: int) -> Iterator[tuple[int, tuple[int, int], int]]:
    """Along an axis: first pixel of the first window, first output and outputs, pixels of a window, of runs of outputs
    whose windows have as many pixels inside and begin a stride apart."""
    size, step, before = operator.kernel[axis], operator.strides[axis], operator.padding[axis][0]
    inside = [(max(out * step - before, 0), min(out * step - before + size, length)) for out in range(outputs)]
    first = 0
    for out in range(1, outputs + 1):
        if out < outputs and inside[out][0] - inside[out - 1][0] == step and (
                inside[out][1] - inside[out][0] == inside[first][1] - inside[first][0]):
            continue
        yield inside[first][0], (first, out - first), inside[first][1] - inside[first][0]
        first = out


def mean(lowerer: Lowerer, node: Node, x: Map, out: Map) -> None:
    """Mean over height and width."""
    operator = node.operator
    assert isinstance(operator, Mean)
    rounded = average(lowerer.graph, node, lowerer.match, x.height * x.width)
    if rounded is None:
        raise lowerer.error(node, "cannot have the runtime's bits on the TPU")
    for here, there in zip(x.each(), out.each(), strict=True):
        window(lowerer, node, here, there, Kernel(size=(here.height, here.width)), rounded)


def add(lowerer: Lowerer, node: Node, first: Map, second: Map, out: Map, loads: tuple[Task, ...] = ()) -> None:
    """Add; an input whose strides are 0 is the same at every pixel."""
    rounded = addition(lowerer.graph, node, lowerer.match)
    if rounded is None:
        raise lowerer.error(node, "cannot have the runtime's bits on the TPU")
    parameters, load = lowerer.constant(node, rounded.scale.records())
    cut, groups = lowerer.cuts.get(node.outputs[0], 0), channel_groups(lowerer, (first, second), out)
    if len(groups) == 1:
        first, second, out = flat(first, second, out)
    for a, b, c in zip(first.each(), second.each(), out.each(), strict=True):
        row = sum(each.layout.y_stride for each in (a, b, c) if each.in_memory)
        for begin, height in split(lowerer, c.height, row):
            (here, before), (other, also) = (lowerer.band_in(node, each, begin, height) for each in (a, b))
            there, after = lowerer.band_out(node, c, begin, height)
            for row, rows in pieces(c, begin, height, cut):
                for group in groups:
                    x, y, z = (each.channel_slice(*group) if len(groups) > 1 else each for each in (here, other, there))
                    lowerer.steps.append(Step(vector=[_add(node, x, y, z, row, rows, rounded, parameters)],
                                              loads=[load, *loads, *before, *also]))
            lowerer.steps[-1].stores += after


def channel_groups(lowerer: Lowerer, inputs: Sequence[Map], out: Map, reads: int = 1) -> list[tuple[int, int]]:
    """First channel and channels of each group that a product finishes together: work on it, ``reads`` pixels for each
    of the output, need not wait for the others."""
    cols, maps = lowerer.config.matrix.arch.cols, (*inputs, out)
    pieces = reads * out.height * out.width * ceil_div(cols, lowerer.config.lanes)
    if any(each.in_memory or not each.plain or each.images > 1 for each in maps) or pieces < _GROUP:
        return [(0, out.channels)]
    return [(first, min(cols, out.channels - first)) for first in range(0, out.channels, cols)]


def _add(node: Node, a: Map, b: Map, c: Map, row: int, rows: int, rounded: Rounded, parameters: Storage) -> Task:
    def emit(emitter: Emitter) -> None:
        strides = {f"{prefix}{axis}_stride": stride for prefix, each in (("", c), ("from_", a), ("other_", b))
                   for axis, stride in (("x", each.layout.x_stride), ("y", each.layout.y_stride))}
        emitter.vector("add", rounded.rounding, None, base=c.start() + row * c.layout.y_stride,
                       from_base=a.start() + row * a.layout.y_stride, other_base=b.start() + row * b.layout.y_stride,
                       x_count=c.width, y_count=rows, channels=c.channels, parameters=parameters.address, **strides,
                       **rounded.scale.fields)
    return Task(node=node.name, emit=emit, writes=(c.rows(row, rows),), reads=(
        a.rows(row, rows), b.rows(row, rows), Access(parameters, 0, parameters.size)))

