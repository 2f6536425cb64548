"""Nodes that another node can do as well are folded into it."""

import dataclasses
from collections import Counter

from ..graph import Graph, Node
from ..graph.operators import Conv2D, DepthwiseConv2D, Pad

__all__ = ["fold", "uses"]


def uses(graph: Graph) -> Counter[str]:
    """How often each value is read; once more for an output of the graph."""
    return Counter([name for node in graph for name in node.inputs] + list(graph.outputs))


def fold(graph: Graph) -> Graph:
    """A Pad in height and width with the zero point, before a convolution, becomes the convolution's padding."""
    count, makers = uses(graph), {name: node for node in graph for name in node.outputs}
    gone: set[str] = set()
    nodes = []
    for node in graph:
        maker = makers.get(node.inputs[0]) if node.inputs else None
        if maker is not None and count[maker.outputs[0]] == 1 and _foldable(graph, maker, node):
            gone.add(maker.name)
            node = _folded(node, maker)
        nodes.append(node)
    return dataclasses.replace(graph, nodes=tuple(node for node in nodes if node.name not in gone))


def _foldable(graph: Graph, pad: Node, node: Node) -> bool:
    if not isinstance(pad.operator, Pad) or not isinstance(node.operator, Conv2D | DepthwiseConv2D):
        return False
    padding = pad.operator.padding
    return len(padding) == 4 and padding[0] == padding[3] == (0, 0) and (
        pad.operator.value == graph.values[pad.outputs[0]].scale[1])


def _folded(node: Node, pad: Node) -> Node:
    operator = node.operator
    assert isinstance(operator, Conv2D | DepthwiseConv2D) and isinstance(pad.operator, Pad)
    (top, bottom), (left, right) = ((a[0] + b[0], a[1] + b[1]) for a, b in zip(
        operator.padding, pad.operator.padding[1:3], strict=True))
    return dataclasses.replace(node, inputs=(pad.inputs[0], *node.inputs[1:]), operator=dataclasses.replace(
        operator, padding=((top, bottom), (left, right))))
