"""Which nodes run on the TPU, and why the others do not."""

from collections.abc import Callable

import numpy as np

from ...tpu_config import TpuConfig
from ..graph import Graph, Node
from ..graph.operators import (
    Add,
    AveragePool,
    Conv2D,
    DepthwiseConv2D,
    MaxPool,
    Mean,
    ResizeNearest,
    Slice,
    Sub,
    Transpose,
    TransposeConv2D,
)
from ..match import Match, addition, average, product

__all__ = ["place"]

#: What fields of windows can say.
_MOST = 255


def place(graph: Graph, config: TpuConfig, match: Match) -> dict[str, str]:
    """By the name of each node that the host has to execute, why."""
    found = {node.name: _reason(graph, node, config, match) for node in graph}
    return {name: reason for name, reason in found.items() if reason}


def _reason(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    if any(value.dtype == np.int16 for value in graph.operands(node)):
        return "the TPU has no weights with a zero point"
    if any(value.dtype != np.int8 and value.constant is None for value in (*graph.operands(node),
                                                                         *graph.results(node))):
        return "the TPU works on int8"
    rule = _RULES.get(node.kind)
    return rule(graph, node, config, match) if rule else ""


def _never(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    return f"the TPU has no {node.kind}"


def _windows(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    operator = node.operator
    sizes: list[int] = []
    if isinstance(operator, Conv2D | DepthwiseConv2D):
        sizes = [*graph.operands(node)[1].shape[:2], *operator.strides, *operator.dilations]
    elif isinstance(operator, TransposeConv2D):
        sizes = [*graph.operands(node)[1].shape[:2], *operator.strides]
    elif isinstance(operator, AveragePool | MaxPool):
        sizes = [*operator.kernel, *operator.strides]
    if max(sizes) > _MOST:
        return f"kernel, strides and dilations of the TPU are {_MOST} at most"
    if isinstance(operator, TransposeConv2D) and product(graph, node, match).rounding == "eights":
        return f"the TPU cannot round as {match} does in its portable kernel"
    if isinstance(operator, DepthwiseConv2D) and operator.multiplier > config.matrix.arch.cols:
        return f"outputs per channel must be at most the {config.matrix.arch.cols} columns"
    if isinstance(operator, AveragePool) and any(
            average(graph, node, match, count) is None for count in _counts(graph, node, operator)):
        return f"the TPU cannot average as {match} does"
    return ""


def _counts(graph: Graph, node: Node, operator: AveragePool) -> set[int]:
    """Pixels inside the map, of any window."""
    lengths = [{min(first + size, length) - max(first, 0) for first in range(-before, step * outputs - before, step)}
               for length, outputs, size, step, (before, _) in zip(
        graph.operands(node)[0].shape[1:3], graph.results(node)[0].shape[1:3], operator.kernel, operator.strides,
        operator.padding, strict=True)]
    return {rows * columns for rows in lengths[0] for columns in lengths[1]}


def _mean(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    (x,), operator = graph.operands(node), node.operator
    assert isinstance(operator, Mean)
    if len(x.shape) != 4 or operator.axes != (1, 2) or max(x.shape[1:3]) > _MOST:
        return f"the TPU averages over height and width, of {_MOST} at most"
    if average(graph, node, match, x.shape[1] * x.shape[2]) is None:
        return f"the TPU cannot average as {match} does"
    return ""


def _binary(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    operands, (y,) = graph.operands(node), graph.results(node)
    if any(value.constant is not None and value.size == 1 for value in operands):
        return ""
    if not isinstance(node.operator, Add | Sub):
        return _never(graph, node, config, match)
    if addition(graph, node, match) is None:
        return f"the TPU cannot {'add' if isinstance(node.operator, Add) else 'subtract'} as {match} does"
    for value in operands:
        per_channel = value.constant is not None and value.shape and value.size == value.shape[-1] == y.shape[-1]
        if value.shape != y.shape and not per_channel:
            return "the TPU adds maps of one shape, or a constant per channel"
    return ""


def _slice(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    assert isinstance(node.operator, Slice)
    if node.operator.strides[-1:] > (1,) or len(node.operator.begin) > 4:
        return "the TPU takes parts of at most four axes, without steps along the last"
    return ""


def _resize(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    from ..evaluate.maps import nearest
    operator, (x,), (y,) = node.operator, graph.operands(node), graph.results(node)
    assert isinstance(operator, ResizeNearest)
    for here, there in zip(x.shape[1:3], y.shape[1:3], strict=True):
        chosen = nearest(here, there, align_corners=operator.align_corners,
                         half_pixel_centers=operator.half_pixel_centers)
        if there % here or not np.array_equal(chosen, np.arange(there) // (there // here)):
            return "the TPU resizes by whole factors"
    return ""


def _transpose(graph: Graph, node: Node, config: TpuConfig, match: Match) -> str:
    assert isinstance(node.operator, Transpose)
    shape = graph.operands(node)[0].shape
    order = [axis for axis in node.operator.permutation if shape[axis] > 1]
    return "" if order == sorted(order) else _never(graph, node, config, match)



_RULES: dict[str, Callable[[Graph, Node, TpuConfig, Match], str]] = {
    "Conv2D": _windows, "DepthwiseConv2D": _windows, "TransposeConv2D": _windows, "AveragePool": _windows,
    "MaxPool": _windows, "Mean": _mean, **dict.fromkeys(("Add", "Sub", "Mul", "Maximum", "Minimum", "Prelu"), _binary),
    "Slice": _slice, "ResizeNearest": _resize, "Transpose": _transpose,
    **dict.fromkeys(("Gather", "Softmax", "Quantize", "Dequantize"), _never),
}
