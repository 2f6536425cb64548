"""Products: convolutions and dense layers, each a matrix_multiply per stripe of rows and an activate per C outputs."""

import dataclasses
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from ...isa import RECORD_BYTES
from ..builder import Tiles
from ..graph import Node
from ..graph.operators import Conv2D, DepthwiseConv2D, TransposeConv2D
from ..layout import Layout, cut_tiles
from ..match import Rounded, product
from .places import Access, Map, Storage
from .records import Records
from .stripes import Cost
from .taps import Taps, taps
from .tasks import Emitter, Lowerer, Step, Task, per_output
from .windows import Cut, Kernel, bands, ceil_div, cut, split

__all__ = ["conv", "dense", "depthwise", "transposed"]

Int8Array = npt.NDArray[np.int8]

@dataclasses.dataclass(frozen=True, kw_only=True)
class Product:
    """What stripes of a product have in common.

    Parameters
    ----------
    node : Node
    x, out : Map
        Of one image.
    kernel : Kernel
    tiles : Tiles
    fields : function of input and (first_y, first_x, y_count, x_count) to fields of matrix_multiply
    sums : tuple of (int, int)
        First output channel and channels of each sum.
    records : Records
    loads : list of Task
    rounded : Rounded
    table : Storage or None
    padding : int
        Code of pixels outside the map.
    beyond : int
        Bytes that rows of the array reach beyond the last pixel.
    taps : Taps or None
        Of a depthwise convolution, its way through the taps of the array.
    """

    node: Node
    x: Map
    out: Map
    kernel: Kernel
    tiles: Tiles
    fields: Callable[[Map, tuple[int, int, int, int]], dict[str, int]]
    sums: tuple[tuple[int, int], ...]
    records: Records
    loads: tuple[Task, ...]
    rounded: Rounded
    table: Storage | None = None
    padding: int = 0
    beyond: int = 0
    taps: Taps | None = None

    def reads(self, part: tuple[int, int, int, int]) -> Access:
        """Bytes of the input that a stripe reads, and of the border around it if there is one."""
        first, count = self.kernel.inputs(part[0], part[2])
        read, layout = self.x.rows(first, count), self.x.layout
        before = layout.left * layout.x_stride + layout.top * layout.y_stride * (first <= 0)
        behind = layout.right * layout.x_stride + layout.bottom * layout.y_stride * (first + count >= self.x.height)
        return Access(read.storage, max(read.low - before, 0), min(read.high + behind, read.storage.size) + self.beyond)


def parts(lowerer: Lowerer, out: Map, begin: int, height: int) -> Iterator[tuple[int, int, int, int]]:
    """First row and column, rows and columns of each stripe of rows of an output for which there are accumulators."""
    columns, most = _most(lowerer, out)
    rows = ceil_div(height, ceil_div(height, most))
    edges = [*range(begin, begin + height, rows), begin + height]
    cut = lowerer.cuts.get(out.storage.name, 0)
    if (begin, height) == (0, out.height) and 0 < cut < height and max(cut, height - cut) <= most:
        edges = [0, cut, height]
    for first, end in zip(edges, edges[1:], strict=False):
        for column in range(0, out.width, columns):
            yield first, column, end - first, min(columns, out.width - column)


def _most(lowerer: Lowerer, out: Map) -> tuple[int, int]:
    """Columns and rows of an output for which there are accumulators at once."""
    arch = lowerer.config.matrix.arch
    depth = min(arch.accumulator_depth, max(arch.result_fifo_depth, 1))
    columns = min(out.width, depth)
    return columns, max(depth // columns, 1)


def emit_product(lowerer: Lowerer, made: Product) -> None:
    """Steps of one image; in bands, if input or output is in memory."""
    weights = made.tiles.count * lowerer.config.tile_bytes(diagonal=made.tiles.diagonal)
    for first, rows in bands(lowerer, made.kernel, made.x, made.out, (weights, _most(lowerer, made.out)[1])):
        x, loads = lowerer.band_in(made.node, made.x, *made.kernel.inputs(first, rows))
        out, stores = lowerer.band_out(made.node, made.out, first, rows)
        begin = len(lowerer.steps)
        _emit_band(lowerer, dataclasses.replace(made, x=x, out=out), first, rows)
        lowerer.steps[begin].loads += loads
        lowerer.steps[-1].stores += stores


def _emit_band(lowerer: Lowerer, made: Product, first: int, rows: int) -> None:
    for part in parts(lowerer, made.out, first, rows):
        array = Task(node=made.node.name, emit=_multiply(made, part), reads=(made.reads(part),))
        vector = list(_vector(made, part))
        lowerer.steps.append(Step(weights=lowerer.weights(made.node, made.tiles), array=array, vector=vector,
                                  loads=list(made.loads), spare=_spare(lowerer, made, part)))


def _spare(lowerer: Lowerer, made: Product, part: tuple[int, int, int, int]) -> int:
    """Cycles of a product in which the activation unit has nothing to do, about."""
    config, pixels = lowerer.config, part[2] * part[3]
    cost = Cost(config=config, tiles=made.tiles.count, diagonal=made.tiles.diagonal)
    rows = made.taps.rows(part[2:]) if made.taps else pixels
    return max(cost.product(rows) - len(made.sums) * cost.behind(pixels), 0)


def _multiply(made: Product, part: tuple[int, int, int, int]) -> Callable[[Emitter], None]:
    def emit(emitter: Emitter) -> None:
        emitter("matrix_multiply", finish=1, padding=made.padding, **made.fields(made.x, part))
    return emit


def _vector(made: Product, part: tuple[int, int, int, int]) -> Iterator[Task]:
    """What becomes of each sum; and loads of its records, if these are chunks."""
    records, begin = made.records.storage, 0
    for channel, channels in made.sums:
        if made.records.chunk and channel % made.records.chunk == 0:
            records, load = made.records.part(made.node, channel, made.out.channels)
            begin = channel * RECORD_BYTES
            yield load
        yield _activate(made, part, (channel, channels), records, channel * RECORD_BYTES - begin)


def _activate(made: Product, part: tuple[int, int, int, int], group: tuple[int, int], records: Storage,
              place: int) -> Task:
    first, column, rows, cols = part
    channel, channels = group
    out = made.out.channel_slice(channel, channels)
    layout, scale = out.layout, made.rounded.scale
    loops = {"x_count": cols, "y_count": rows, "x_stride": layout.x_stride, "y_stride": layout.y_stride}
    if made.taps and made.taps.axis == 0:
        loops = {"x_count": rows, "y_count": cols, "x_stride": layout.y_stride, "y_stride": layout.x_stride}

    def emit(emitter: Emitter) -> None:
        emitter.vector("activate", made.rounded.rounding, made.table,
                       base=out.start() + first * layout.y_stride + column * layout.x_stride,
                       channels=channels, per_channel=1, parameters=records.address + place, **loops, **scale.fields)
    reads = (Access(records, place, place + channels * RECORD_BYTES),
             *(Access(each, 0, each.size) for each in (made.table,) if each))
    return Task(node=made.node.name, emit=emit, reads=reads, writes=(out.rows(first, rows),),
                holds=(made.reads(part),))


def _sums(outputs: int, width: int) -> tuple[tuple[int, int], ...]:
    return tuple((first, min(width, outputs - first)) for first in range(0, outputs, width))


def _counts(outputs: int, width: int) -> dict[str, int]:
    """Fields of sums of ``width`` outputs each."""
    count, last = ceil_div(outputs, width), (outputs - 1) % width
    return {"n_count": count, "n_less": width - 1 if count > 1 else last, "n_last_less": last}


def _spread(lowerer: Lowerer, records: Records, begin: int) -> None:
    """What spreads the records of the product that begins with a step: beside the first that lasts long enough."""
    if records.spreads:
        earlier = lowerer.steps[:begin] if lowerer.keep(records.storage) else []
        step = next((step for step in earlier if step.spare >= records.cycles), lowerer.steps[begin])
        step.spare -= records.cycles
        step.vector[:0] = records.spreads
        step.loads += records.loads


def _table(lowerer: Lowerer, node: Node, table: Int8Array | None) -> tuple[Storage | None, list[Task]]:
    if table is None:
        return None, []
    storage, task = lowerer.constant(node, table.tobytes())
    return storage, [task]


def conv(lowerer: Lowerer, node: Node, x: Map, out: Map, table: Int8Array | None = None) -> None:
    """Conv2D."""
    operator, w = node.operator, _weights(lowerer, node)
    assert isinstance(operator, Conv2D)
    kernel = Kernel(size=(w.shape[0], w.shape[1]), strides=operator.strides, dilations=operator.dilations,
                    padding=operator.padding)
    _product(lowerer, node, x, out, kernel, w, product(lowerer.graph, node, lowerer.match), table)


def dense(lowerer: Lowerer, node: Node, x: Map, out: Map, table: Int8Array | None = None) -> None:
    """Dense: a convolution with a kernel of one pixel."""
    w = _weights(lowerer, node)
    _product(lowerer, node, x, out, Kernel(size=(1, 1)), w[None, None],
             product(lowerer.graph, node, lowerer.match), table)


def _weights(lowerer: Lowerer, node: Node) -> Int8Array:
    w = lowerer.graph.operands(node)[1].constant
    assert w is not None
    return w


def _product(lowerer: Lowerer, node: Node, x: Map, out: Map, kernel: Kernel, w: Int8Array, rounded: Rounded,
             table: Int8Array | None) -> None:
    begin = len(lowerer.steps)
    made = _products(lowerer, node, x, out, kernel, w, rounded, table)
    for each in made:
        emit_product(lowerer, each)
    _spread(lowerer, made[0].records, begin)


def _products(lowerer: Lowerer, node: Node, x: Map, out: Map, kernel: Kernel, w: Int8Array, rounded: Rounded,
              table: Int8Array | None) -> list[Product]:
    """One per image."""
    arch = lowerer.config.matrix.arch
    way = cut(kernel, x, arch.rows)
    tiles = lowerer.builder.tiles(cut_tiles(lowerer.config, way.weights(w, x)))
    records = Records.of(lowerer, node, rounded, out, arch.cols)
    looked, more = _table(lowerer, node, table)
    counts = _counts(w.shape[3], arch.cols)
    lowerer.macs += out.images * out.height * out.width * w.size
    return [Product(
        node=node, x=here, out=there, kernel=kernel, tiles=tiles, sums=_sums(w.shape[3], arch.cols),
        fields=lambda x, part: way.fields(kernel, x, arch.rows, part) | counts,
        records=records, loads=(*records.loads, *more), rounded=rounded, table=looked,
        padding=lowerer.graph.operands(node)[0].scale[1], beyond=-way.depth % arch.rows)
        for here, there in zip(x.each(), out.each(), strict=True)]


def depthwise(lowerer: Lowerer, node: Node, x: Map, out: Map, table: Int8Array | None = None) -> None:
    """DepthwiseConv2D: min(R, C) channels at a time, through the taps of the array or on its diagonal; several outputs
    a channel are a staircase."""
    operator, w, arch = node.operator, _weights(lowerer, node), lowerer.config.matrix.arch
    assert isinstance(operator, DepthwiseConv2D)
    multiplier, outputs = operator.multiplier, w.shape[2]
    inputs = max(1, min(arch.rows, arch.cols // multiplier))  # per sum
    width = inputs * multiplier
    kernel = Kernel(size=(w.shape[0], w.shape[1]), strides=operator.strides, dilations=operator.dilations,
                    padding=operator.padding)
    taken = taps(arch, kernel, (out.height, out.width)) if multiplier == 1 else None
    steps = taken.tiles if taken else w.shape[0] * w.shape[1]
    tiles = lowerer.builder.tiles(taken.weights(w, arch)) if taken else _diagonals(lowerer, w, multiplier, width)
    rounded = product(lowerer.graph, node, lowerer.match)
    records, begin = Records.of(lowerer, node, rounded, out, width), len(lowerer.steps)
    looked, more = _table(lowerer, node, table)
    way, useful = Cut(kind="pixels", group=1, tiles=steps, depth=1), inputs - 1 if multiplier > 1 else 0
    fixed = _counts(outputs, width) | {"n_stride": inputs}

    def fields(x: Map, part: tuple[int, int, int, int]) -> dict[str, int]:
        if taken:
            return taken.fields(x, part) | fixed
        return way.fields(kernel, x, arch.rows, part) | fixed | {"k_less": useful, "k_last_less": useful}

    for here, there in zip(x.each(), out.each(), strict=True):
        emit_product(lowerer, Product(
            node=node, x=here, out=there, kernel=kernel, tiles=tiles, sums=_sums(outputs, width), fields=fields,
            records=records, loads=(*records.loads, *more), rounded=rounded, table=looked, taps=taken,
            padding=lowerer.graph.operands(node)[0].scale[1],
            beyond=(ceil_div(outputs, width) - 1) * inputs + arch.rows - x.channels))
    _spread(lowerer, records, begin)
    lowerer.macs += out.images * out.height * out.width * w.size


def _diagonals(lowerer: Lowerer, w: Int8Array, multiplier: int, width: int) -> Tiles:
    """A tile for each pixel of the kernel and ``width`` outputs."""
    arch, outputs, steps = lowerer.config.matrix.arch, w.shape[2], w.shape[0] * w.shape[1]
    whole = np.pad(w.reshape(steps, outputs), [(0, 0), (0, -outputs % width)])
    blocks = whole.reshape(steps, -1, width).transpose(1, 0, 2).reshape(-1, width)
    if multiplier == 1:
        return lowerer.builder.tiles(np.pad(blocks, [(0, 0), (0, arch.cols - width)]), diagonal=True)
    full = np.zeros((len(blocks), arch.rows, arch.cols), np.int8)
    full[:, np.arange(width) // multiplier, np.arange(width)] = blocks
    return lowerer.builder.tiles(full)


def transposed(lowerer: Lowerer, node: Node, x: Map, out: Map, table: Int8Array | None = None) -> None:
    """TransposeConv2D: a convolution for each place that an output has between the strides."""
    operator, w = node.operator, _weights(lowerer, node)
    assert isinstance(operator, TransposeConv2D)
    (sy, sx), ((top, _), (left, _)) = operator.strides, operator.padding
    rounded, zero = product(lowerer.graph, node, lowerer.match), lowerer.graph.operands(node)[0].scale[1]
    phases = []
    for py in range(min(sy, out.height)):
        for px in range(min(sx, out.width)):
            taps = [_taps(w.shape[axis], step, before, place) for axis, step, before, place in (
                (0, sy, top, py), (1, sx, left, px))]
            chosen = w[np.ix_(taps[0][0], taps[1][0])] if all(len(each[0]) for each in taps) else np.zeros(
                (1, 1, *w.shape[2:]), np.int8)
            # The zero point of the taps that are not here is not in the sums.
            rest = zero * (w.sum(axis=(0, 1, 2), dtype=np.int64) - chosen.sum(axis=(0, 1, 2), dtype=np.int64))
            scale = dataclasses.replace(rounded.scale, bias=per_output(rounded.scale.bias, w.shape[3]) + rest)
            size = [len(range(place, length, step)) for place, length, step in (
                (py, out.height, sy), (px, out.width, sx))]
            kernel = Kernel(size=(chosen.shape[0], chosen.shape[1]), padding=tuple(  # type: ignore[arg-type]
                (each[1], max(count + each_size - 1 - each[1] - length, 0)) for each, count, each_size, length in zip(
                    taps, size, chosen.shape[:2], (x.height, x.width), strict=True)))
            phases.append(Phase((py, px), (sy, sx), (size[0], size[1]), kernel, chosen,
                                Rounded(rounded.rounding, scale)))
    if x.in_memory or out.in_memory:
        _in_bands(lowerer, node, x, out, phases, table)
        return
    for phase in phases:
        _product(lowerer, node, x, phase.of(out), phase.kernel, phase.weights, phase.rounded, table)


@dataclasses.dataclass(frozen=True)
class Phase:
    """One place between the strides of a transposed convolution: (y, x), strides, outputs there, and what convolution
    makes them."""

    place: tuple[int, int]
    strides: tuple[int, int]
    size: tuple[int, int]
    kernel: Kernel
    weights: Int8Array
    rounded: Rounded

    def of(self, out: Map) -> Map:
        """Its pixels of an output."""
        return _phase(out, self.place, self.strides, self.size)


def _in_bands(lowerer: Lowerer, node: Node, x: Map, out: Map, phases: list[Phase], table: Int8Array | None) -> None:
    """A transposed convolution by bands of rows, each of all phases."""
    stride = phases[0].strides[0]
    made = [_products(lowerer, node, x, each.of(out), each.kernel, each.weights, each.rounded, table)
            for each in phases]
    around, start = max(each.kernel.size[0] for each in phases) + 1, len(lowerer.steps)
    row = x.layout.y_stride * x.in_memory + stride * out.layout.y_stride * out.in_memory
    for image, (here, there) in enumerate(zip(x.each(), out.each(), strict=True)):
        for first, count in split(lowerer, max(each.size[0] for each in phases), row,
                                  around * x.layout.y_stride * x.in_memory):
            spans = [each.kernel.inputs(first, count) for each in phases]
            low, high = min(begin for begin, _ in spans), max(map(sum, spans))
            a, loads = lowerer.band_in(node, here, low, high - low)
            b, stores = lowerer.band_out(node, there, first * stride, min(count * stride, out.height - first * stride))
            begin = len(lowerer.steps)
            for phase, products in zip(phases, made, strict=True):
                rows = min(count, phase.size[0] - first)
                if rows > 0:
                    _emit_band(lowerer, dataclasses.replace(products[image], x=a, out=phase.of(b)), first, rows)
            lowerer.steps[begin].loads += loads
            lowerer.steps[-1].stores += stores
    for products in made:
        _spread(lowerer, products[0].records, start)


def _taps(length: int, step: int, before: int, place: int) -> tuple[list[int], int]:
    """Kernel indices that reach outputs ``place``, ``place + step``, ..., by input pixel, and the padding in front.

    Output o takes input i by tap k = o + before - i * step; for o = place + step * n, i goes from n + shift - taps + 1.
    """
    taps = [tap for tap in range(length) if (place + before - tap) % step == 0]
    if not taps:
        return [], 0
    taps.reverse()  # the largest tap is of the first input
    first = (place + before - taps[0]) // step
    return taps, -first


def _phase(out: Map, place: Sequence[int], strides: Sequence[int], size: Sequence[int]) -> Map:
    """Every so manieth pixel of a map."""
    layout = out.layout
    made = Layout(height=size[0], width=size[1], channels=layout.channels, x_stride=strides[1] * layout.x_stride,
                  y_stride=strides[0] * layout.y_stride)
    offset = out.offset + layout.offset + place[0] * layout.y_stride + place[1] * layout.x_stride
    return dataclasses.replace(out, layout=made, offset=offset)
