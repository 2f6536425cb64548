"""From nodes to steps: which function lowers which operator, and where its values are."""

import dataclasses
from collections import Counter

import numpy as np
import numpy.typing as npt

from ..evaluate import execute
from ..graph import Graph, Node
from ..graph.operators import Add, Maximum, Minimum, Mul, Prelu, Slice, Sub, Unary
from ..match import table
from . import elementwise, products, shapes
from .places import Map
from .tasks import Lowerer, Step

__all__ = ["fused", "lower_node"]

_PRODUCTS = {"Conv2D": products.conv, "DepthwiseConv2D": products.depthwise, "TransposeConv2D": products.transposed,
             "Dense": products.dense}
_MAPS = {"AveragePool": elementwise.pool, "MaxPool": elementwise.pool, "Mean": elementwise.mean,
         "Unary": elementwise.unary, "Pad": shapes.pad, "ResizeNearest": shapes.resize}

#: Their output may have bytes of other values.
_VIEWS = ("Reshape", "Transpose", "Slice", "ReadVariable")


def fused(graph: Graph, nodes: tuple[Node, ...], uses: Counter[str]) -> dict[str, Node]:
    """By name of a product, the Unary that alone takes its output: a table on the way."""
    makers = {name: node for node in nodes for name in node.outputs if node.kind in _PRODUCTS}
    return {makers[node.inputs[0]].name: node for node in nodes
            if isinstance(node.operator, Unary) and node.inputs[0] in makers and uses[node.inputs[0]] == 1}


def lower_node(lowerer: Lowerer, node: Node, follower: Node | None = None) -> None:
    """Add the steps of a node, and of the Unary behind it if that is done on the way."""
    graph = lowerer.graph
    if node.kind in _PRODUCTS:
        codes = table(graph, follower, lowerer.match) if follower else None
        name = (follower or node).outputs[0]
        x = _operand(lowerer, node, 0)
        if node.kind == "Dense":
            x = shapes.plain(lowerer, node, x)
            rows = (int(np.prod(graph.operands(node)[0].shape[:-1], dtype=np.int64)), graph.operands(node)[0].shape[-1])
            out = shapes.seen(_output(lowerer, name), (rows[0], graph.values[name].shape[-1]))
            products.dense(lowerer, node, shapes.seen(x, rows), out, codes)
            return
        _PRODUCTS[node.kind](lowerer, node, x, _output(lowerer, name), codes)
    elif node.kind in _MAPS:
        x, out = _operand(lowerer, node, 0), _output(lowerer, node.outputs[0])
        if node.kind == "Mean":  # an image of one pixel for each, whether their axes are kept or not
            out = shapes.seen(out, (x.images, 1, 1, x.channels))
        _MAPS[node.kind](lowerer, node, x, out)
    elif node.kind in ("Reshape", "Transpose"):
        x = shapes.plain(lowerer, node, _operand(lowerer, node, 0))
        lowerer.maps[node.outputs[0]] = shapes.seen(x, graph.results(node)[0].shape)
    elif isinstance(node.operator, Slice):
        lowerer.maps[node.outputs[0]] = shapes.slice_view(node.operator, _operand(lowerer, node, 0),
                                                          graph.results(node)[0].shape)
    elif node.kind == "Concatenate":
        maps = [_operand(lowerer, node, number) for number in range(len(node.inputs))]
        shapes.concatenate(lowerer, node, maps, _output(lowerer, node.outputs[0]))
    else:
        assert isinstance(node.operator, Add | Sub | Mul | Maximum | Minimum | Prelu)
        _binary(lowerer, node)


def _operand(lowerer: Lowerer, node: Node, number: int) -> Map:
    """Map of an input; a constant is loaded for this node."""
    value = lowerer.graph.operands(node)[number]
    if value.constant is None:
        return lowerer.maps[value.name]
    layout, images = shapes.layout_of(value.shape)
    made, task = shapes.constant_map(lowerer, node, value, Map(
        storage=lowerer.storage("", 0), layout=layout, images=images, image_stride=layout.size))
    lowerer.steps.append(Step(loads=[task]))
    return made


def _output(lowerer: Lowerer, name: str) -> Map:
    layout, images = shapes.layout_of(lowerer.graph.values[name].shape)
    return lowerer.map(name, layout, images)


def _in_place(lowerer: Lowerer, node: Node) -> Map | None:
    """The bytes of an input that nobody needs any more, as the output's."""
    graph = lowerer.graph
    makers = {name: each for each in graph for name in each.outputs}
    if node.outputs[0] in lowerer.spilled:
        return None
    for name in dict.fromkeys(node.inputs):
        maker, x = makers.get(name), lowerer.maps.get(name)
        if maker is None or x is None or maker.kind in _VIEWS or lowerer.uses[name] > 1:
            continue
        if graph.values[name].shape == graph.results(node)[0].shape and x.plain and not x.in_memory:
            lowerer.maps[node.outputs[0]] = lowerer.maps[name]
            return lowerer.maps[name]
    return None


def _binary(lowerer: Lowerer, node: Node) -> None:
    """Two maps in, one out: with one number, a table; else the sum of two maps, of which Sub complements the second."""
    graph = lowerer.graph
    operands = graph.operands(node)
    single = next((number for number, value in enumerate(operands) if value.constant is not None and value.size == 1),
                  None)
    if single is not None:
        x = _operand(lowerer, node, 1 - single)
        elementwise.apply(lowerer, node, x, _output(lowerer, node.outputs[0]), _codes(lowerer, node, single))
        return
    out = _in_place(lowerer, node) or _output(lowerer, node.outputs[0])
    maps, loads = [], []
    for number, value in enumerate(operands):
        negative = isinstance(node.operator, Sub) and number == 1
        if value.constant is None:
            x = lowerer.maps[value.name]
            maps.append(shapes.complemented(lowerer, node, x) if negative else x)
        else:
            value = dataclasses.replace(value, constant=~value.constant) if negative else value
            made, load = shapes.constant_map(lowerer, node, value, out)
            maps.append(made)
            loads.append(load)
    elementwise.add(lowerer, node, maps[0], maps[1], out, tuple(loads))


def _codes(lowerer: Lowerer, node: Node, single: int) -> npt.NDArray[np.int8]:
    """Outputs for every code of the operand that is not constant."""
    graph, codes = lowerer.graph, np.arange(-128, 128).astype(np.int8)
    constant = graph.operands(node)[single]
    assert constant.constant is not None
    made = {node.inputs[1 - single]: codes, node.inputs[single]: constant.constant.reshape(1)}
    result: npt.NDArray[np.int8] = execute(graph, node, made, match=lowerer.match)[node.outputs[0]]
    return result

