"""Nodes in order."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CompileError
from ..graph import Graph, Node, Value
from ..graph.operators import AssignVariable, ReadVariable, Softmax
from ..match import Match
from ..match.tables import double_rounded
from ..quantise import quantise_multiplier
from . import maps, products
from .softmax import int8_softmax, real_softmax

__all__ = ["evaluate", "execute"]

Array = npt.NDArray[Any]


def evaluate(graph: Graph, inputs: Mapping[str, npt.ArrayLike], *, match: Match = Match.LITERT,
             state: dict[str, Array] | None = None) -> dict[str, Array]:
    """Run a graph.

    Parameters
    ----------
    graph : Graph
    inputs : dict of str to array
        By name, in shape and type of the graph's values.
    match : Match
        Whose bits.
    state : dict of str to array, or None
        Variables from the run before; changed in place. ``None`` for the first ones, which are then forgotten.

    Returns
    -------
    dict of str to array
        The graph's outputs.

    Raises
    ------
    CompileError
        If an input is missing, or of another shape or type.
    """
    state = {} if state is None else state
    for name, first in graph.states.items():
        state.setdefault(name, first.copy())
    values = {value.name: value.constant for value in graph.values.values() if value.constant is not None}
    for name in graph.inputs:
        values[name] = _input(graph.values[name], inputs)
    for node in graph:
        values.update(execute(graph, node, values, match=match, state=state))
    return {name: values[name] for name in graph.outputs}


def _input(value: Value, inputs: Mapping[str, npt.ArrayLike]) -> Array:
    if value.name not in inputs:
        raise CompileError(f"inputs must have {value.name}, and have {', '.join(inputs) or 'none'}")
    array = np.asarray(inputs[value.name])
    if array.shape != value.shape or array.dtype != value.dtype:
        raise CompileError(f"input {value.name} must be {value.dtype} {list(value.shape)}, not {array.dtype} "
                           f"{list(array.shape)}")
    return array


def execute(graph: Graph, node: Node, values: Mapping[str, Array], *, match: Match,
            state: dict[str, Array] | None = None) -> dict[str, Array]:
    """One node: arrays of its outputs by name, from those of its inputs."""
    if isinstance(node.operator, ReadVariable):
        assert state is not None
        return {node.outputs[0]: state[node.operator.variable].copy()}
    if isinstance(node.operator, AssignVariable):
        assert state is not None
        state[node.operator.variable] = values[node.inputs[0]].copy()
        return {}
    function = _FUNCTIONS[node.kind]
    return {node.outputs[0]: function(graph, node, tuple(values[name] for name in node.inputs), match)}


def quantize(graph: Graph, node: Node, values: tuple[Array, ...], match: Match) -> Array:
    """Quantize: float32 to codes, or between int8 and uint8, 128 apart."""
    (x,), (y,) = values, graph.results(node)
    if x.dtype != np.float32:
        return _between(x, graph.operands(node)[0], y)
    scale, zero = y.scale
    if match is Match.ONNXRUNTIME:
        codes = np.rint(x / np.float32(scale)) + zero
    elif match is Match.LITERT:
        codes = np.rint(x * np.float32(np.float32(1) / np.float32(scale))) + zero
    else:
        ratio = (x / np.float32(scale)).astype(np.float64)
        codes = np.sign(ratio) * np.floor(np.abs(ratio) + 0.5) + zero
    result: Array = np.clip(np.nan_to_num(codes), -128, 127).astype(np.int8)
    return result


def _between(x: Array, here: Value, there: Value) -> Array:
    """Codes of int8 as uint8 or the other way round: 128 apart, or in another scale, rounded as LiteRT has it."""
    apart = 128 if there.dtype == np.uint8 else -128
    if here.quantisation is None or there.quantisation is None or (
            here.scale[0] == there.scale[0] and here.scale[1] + apart == there.scale[1]):
        return (x.astype(np.int64) + apart).astype(there.dtype)
    (scale, zero), (wanted, other) = here.scale, there.scale
    codes = double_rounded(x.astype(np.int64) - zero, *map(int, quantise_multiplier(scale / wanted))) + other
    limits = np.iinfo(there.dtype)
    result: Array = np.clip(codes, limits.min, limits.max).astype(there.dtype)
    return result


def dequantize(graph: Graph, node: Node, values: tuple[Array, ...], match: Match) -> Array:
    """Dequantize."""
    scale, zero = graph.operands(node)[0].scale
    return np.float32(scale) * (values[0].astype(np.int64) - zero).astype(np.float32)


def softmax(graph: Graph, node: Node, values: tuple[Array, ...], match: Match) -> Array:
    """Softmax along the last axis."""
    assert isinstance(node.operator, Softmax)
    if values[0].dtype == np.float32:
        return real_softmax(values[0], node.operator.beta)
    return int8_softmax(values[0], node.operator.beta, graph.operands(node)[0].scale, graph.results(node)[0].scale,
                        match)


_FUNCTIONS: dict[str, Callable[[Graph, Node, tuple[Array, ...], Match], Array]] = {
    "Conv2D": products.conv, "DepthwiseConv2D": products.depthwise, "TransposeConv2D": products.transposed,
    "Dense": products.dense, "Add": maps.binary, "Sub": maps.binary, "Mul": maps.binary,
    "Maximum": maps.extreme, "Minimum": maps.extreme, "Prelu": maps.prelu, "Gather": maps.gather,
    "AveragePool": maps.average_pool, "MaxPool": maps.max_pool, "Mean": maps.mean, "Unary": maps.unary,
    "Reshape": maps.reshape, "Transpose": maps.transpose, "Pad": maps.pad, "Concatenate": maps.concatenate,
    "Slice": maps.slice_of, "ResizeNearest": maps.resize, "Softmax": softmax, "Quantize": quantize,
    "Dequantize": dequantize,
}
