"""Where layers are cut in two, so that work on the next begins beside the end of this one.

A layer that fits into the accumulators is cut once. Its second stripe is multiplied while the first is requantised; and
the next layer's first stripe while the second is, if that reads no row of the second. So a layer's first stripe has the
rows that the next layer's first stripe reads, as far as it costs less than it gains::

    layer        rows 0 ........ 8 | 9 ..... 15
                                ▲
    3 x 3, stride 2   rows 0 .. 3 | 4 .. 7
"""

import dataclasses
from collections.abc import Iterable

from ...tpu_config import TpuConfig
from ..graph import Graph, Node
from ..graph.operators import Add, Conv2D, DepthwiseConv2D, Mul, Sub, Unary
from .shapes import layout_of
from .taps import taps
from .windows import Kernel, ceil_div

__all__ = ["Cost", "first_rows"]

#: Fewest rows of the array per tile for which a layer is cut in two: this many times those that shift a tile in.
_WORTH = 2

#: Cycles from the last row of a product to its requantised sum in the buffer, about.
_LATENCY = 60

#: Cycles of ``add`` per piece of as many channels as there are lanes: two reads, and a turn between them.
_ADD = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cost:
    """Cycles of a product, about.

    Parameters
    ----------
    config : TpuConfig
    tiles : int
        Of all sums.
    diagonal : bool
    stretch : float
        Rows of the array per pixel.
    fill : int
        Rows of the array that a stripe has besides.
    """

    config: TpuConfig
    tiles: int
    diagonal: bool = False
    stretch: float = 1
    fill: int = 0

    def product(self, pixels: int) -> int:
        """Of a stripe of that many pixels: a tile lasts as long as its rows, its way in, or its way over the bus."""
        return self.tiles * max(int(pixels * self.stretch) + self.fill, self.config.matrix.arch.rows, self.bus)

    @property
    def bus(self) -> int:
        """Of a tile's way over the bus."""
        return self.config.tile_bytes(diagonal=self.diagonal) // self.config.bus_bytes

    def behind(self, pixels: int, *, added: bool = False) -> int:
        """Of what is left to do with the last sum of a stripe when its product ends."""
        pieces = pixels * ceil_div(self.config.matrix.arch.cols, self.config.lanes)
        return _LATENCY + pieces * (1 + _ADD * added)


def kernel_of(graph: Graph, node: Node) -> Kernel:
    """Of a convolution."""
    operator, w = node.operator, graph.operands(node)[1].shape
    assert isinstance(operator, Conv2D | DepthwiseConv2D)
    return Kernel(size=(w[0], w[1]), strides=operator.strides, dilations=operator.dilations, padding=operator.padding)


def cost(config: TpuConfig, graph: Graph, node: Node) -> Cost:
    """Of a convolution."""
    arch, w = config.matrix.arch, graph.operands(node)[1].shape
    if isinstance(node.operator, DepthwiseConv2D):
        sums = ceil_div(w[2], max(1, min(arch.rows, arch.cols // node.operator.multiplier) * node.operator.multiplier))
        layout, _ = layout_of(graph.values[node.outputs[0]].shape)
        outputs = layout.height, layout.width
        way = taps(arch, kernel_of(graph, node), outputs) if node.operator.multiplier == 1 else None
        if way:
            # Stripes are cut across y: along it, each of them fills the taps anew.
            rows, more = (way.rows((height, layout.width)) for height in (1, 2))
            return Cost(config=config, tiles=way.tiles * sums, stretch=(more - rows) / layout.width,
                        fill=2 * rows - more)
        return Cost(config=config, tiles=w[0] * w[1] * sums, diagonal=node.operator.multiplier == 1)
    sums = ceil_div(w[3], arch.cols)
    return Cost(config=config, tiles=w[0] * ceil_div(w[1] * w[2], arch.rows) * sums)


def first_rows(config: TpuConfig, graph: Graph, nodes: Iterable[Node]) -> dict[str, int]:
    """By name of a value, after how many of its rows there is a cut; for convolutions, and what is computed of their
    outputs pixel by pixel."""
    cuts, adding = dict[str, int](), dict[str, bool]()
    for node in reversed(list(nodes)):
        name = node.outputs[0] if node.outputs else ""
        if isinstance(node.operator, Add | Sub | Mul | Unary):
            for each in node.inputs:
                if graph.values[each].shape == graph.values[name].shape:
                    cuts[each] = max(cuts.get(each, 0), cuts.get(name, 0))
                    adding[each] = isinstance(node.operator, Add) or adding.get(name, False)
        elif isinstance(node.operator, Conv2D | DepthwiseConv2D):
            layout, images = layout_of(graph.values[name].shape)
            cuts[name] = _cut(cost(config, graph, node), layout.height, layout.width, cuts.get(name, 0),
                              added=adding.get(name, False)) if images == 1 else 0
            x, kernel = graph.operands(node)[0], kernel_of(graph, node)
            needed = sum(kernel.inputs(0, cuts[name])) if cuts[name] else 0
            if needed < layout_of(x.shape)[0].height:
                cuts[x.name] = max(cuts.get(x.name, 0), needed)
    return cuts


def _cut(made: Cost, height: int, width: int, wanted: int, *, added: bool) -> int:
    """Rows of the first stripe; 0 for no cut here, since the layer is cut at more places anyway, or too small: weights
    pass over the bus for each stripe, and must not fill it."""
    arch = made.config.matrix.arch
    most = min(arch.accumulator_depth, max(arch.result_fifo_depth, 1)) // width
    half = ceil_div(height, 2)
    least = max(_WORTH * arch.rows, made.bus + 1)
    if half > most or height == 1 or height // 2 * width < least:
        return 0
    if not half < wanted < height or wanted > most:
        return half
    more, there = (made.product(first * width) + made.product((height - first) * width) for first in (wanted, half))
    return wanted if more - there < made.behind((height - half) * width, added=added) else half
