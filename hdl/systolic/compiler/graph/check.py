"""Shapes and types of a whole graph, checked once: what comes after may rely on them."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import CompileError
from . import operators as op
from .model import Graph, Node, Value

__all__ = ["check"]

Shape = tuple[int, ...]


def check(graph: Graph) -> None:
    """Check every node.

    Raises
    ------
    CompileError
        If a node has too few or too many inputs, or shapes, types or scales that do not go together; the message names
        it.
    """
    for node in graph:
        operands, results = graph.operands(node), graph.results(node)
        rule = _RULES.get(node.kind)
        if rule is None:
            raise CompileError(f"node {node.name}: operator must be one of {', '.join(_RULES)}, not {node.kind}")
        least, most, outputs, function = rule
        if not least <= len(operands) <= most or len(results) != outputs:
            raise _error(node, f"must have {least} to {most} inputs and {outputs} outputs, not {len(operands)} and "
                               f"{len(results)}")
        for value in (*operands, *results):
            if min(value.shape, default=1) < 1:
                raise _error(node, f"{value.name} must have no axis of length 0, not {list(value.shape)}")
        function(node, operands, results)


def _error(node: Node, text: str) -> CompileError:
    return CompileError(f"node {node.name} ({node.kind}): {text}")


def _int8(node: Node, values: Sequence[Value]) -> None:
    for value in values:
        if value.dtype != np.int8 or value.quantisation is None:
            raise _error(node, f"{value.name} must be int8 and quantised, not {value.dtype}")


def _per_tensor(node: Node, values: Sequence[Value]) -> None:
    _int8(node, values)
    for value in values:
        assert value.quantisation is not None
        if value.quantisation.scale.size != 1 or not -128 <= value.quantisation.one[1] <= 127:
            raise _error(node, f"{value.name} must have one scale, and a zero point from -128 to 127")


def _shaped(node: Node, value: Value, shape: Sequence[int]) -> None:
    if value.shape != tuple(shape):
        raise _error(node, f"{value.name} must be {list(shape)}, not {list(value.shape)}")


def _rank(node: Node, value: Value, rank: int) -> None:
    if len(value.shape) != rank:
        raise _error(node, f"{value.name} must have {rank} axes, not {list(value.shape)}")


def _weighted(node: Node, operands: Sequence[Value], results: Sequence[Value], outputs: int, sums: int) -> None:
    """Weights and bias constant, one or ``outputs`` scales on the last axis; no sum beyond 32 bits."""
    x, weights, bias = operands
    _per_tensor(node, (x, *results))
    if weights.dtype != np.int16:
        _int8(node, (weights,))
    if weights.constant is None or bias.constant is None or bias.dtype != np.int32:
        raise _error(node, "weights and bias must be constant, int8 and int32")
    if np.abs(weights.constant.astype(np.int64)).max() > 255:
        raise _error(node, "weights less their zero point must be from -255 to 255")
    _shaped(node, bias, (outputs,))
    assert weights.quantisation is not None
    if weights.quantisation.axis not in (None, len(weights.shape) - 1) or weights.quantisation.zero_point.any():
        raise _error(node, "weights must have a scale for all or for each output, and zero points of 0")
    if sums > 1 << 16:
        raise _error(node, f"a sum must be of at most {1 << 16} products, not {sums}")


def _out(node: Node, size: Shape, kernel: Shape, strides: Shape, dilations: Shape,
         padding: tuple[tuple[int, int], tuple[int, int]]) -> Shape:
    """Height and width of what windows over a map give."""
    if min(*kernel, *strides, *dilations) < 1 or min(map(min, padding)) < 0:
        raise _error(node, "kernel, strides and dilations must be positive, and padding not negative")
    out = []
    for length, k, step, far, (before, behind) in zip(size, kernel, strides, dilations, padding, strict=True):
        out.append((length + before + behind - (k - 1) * far - 1) // step + 1)
    if min(out) < 1:
        raise _error(node, f"a window of {kernel[0]} x {kernel[1]} must fit into the map")
    return tuple(out)


def _conv(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    x, w, _ = operands
    _rank(node, x, 4)
    _rank(node, w, 4)
    operator = node.operator
    assert isinstance(operator, op.Conv2D)
    _weighted(node, operands, results, w.shape[3], math.prod(w.shape[:3]))
    _shaped(node, w, (*w.shape[:2], x.shape[3], w.shape[3]))
    size = _out(node, x.shape[1:3], w.shape[:2], operator.strides, operator.dilations, operator.padding)
    _shaped(node, results[0], (x.shape[0], *size, w.shape[3]))


def _depthwise(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    x, w, _ = operands
    _rank(node, x, 4)
    _rank(node, w, 3)
    operator = node.operator
    assert isinstance(operator, op.DepthwiseConv2D)
    _weighted(node, operands, results, w.shape[2], math.prod(w.shape[:2]))
    _shaped(node, w, (*w.shape[:2], x.shape[3] * operator.multiplier))
    size = _out(node, x.shape[1:3], w.shape[:2], operator.strides, operator.dilations, operator.padding)
    _shaped(node, results[0], (x.shape[0], *size, w.shape[2]))


def _transposed(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    x, w, _ = operands
    _rank(node, x, 4)
    _rank(node, w, 4)
    _rank(node, results[0], 4)
    operator = node.operator
    assert isinstance(operator, op.TransposeConv2D)
    _weighted(node, operands, results, w.shape[3], math.prod(w.shape[:3]))
    _shaped(node, w, (*w.shape[:2], x.shape[3], w.shape[3]))
    size = _out(node, results[0].shape[1:3], w.shape[:2], operator.strides, (1, 1), operator.padding)
    if size != x.shape[1:3] or (results[0].shape[0], results[0].shape[3]) != (x.shape[0], w.shape[3]):
        raise _error(node, f"output {list(results[0].shape)} must be that of input {list(x.shape)}")


def _dense(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    x, w, _ = operands
    _rank(node, w, 2)
    if not x.shape:
        raise _error(node, "x must have an axis")
    _weighted(node, operands, results, w.shape[1], w.shape[0])
    _shaped(node, x, (*x.shape[:-1], w.shape[0]))
    _shaped(node, results[0], (*x.shape[:-1], w.shape[1]))


def _binary(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    _per_tensor(node, (*operands, *results))
    try:
        shape = np.broadcast_shapes(operands[0].shape, operands[1].shape)
    except ValueError:
        raise _error(node, f"shapes must broadcast, not {list(operands[0].shape)} and "
                           f"{list(operands[1].shape)}") from None
    _shaped(node, results[0], shape)


def _pool(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    (x,), (y,) = operands, results
    _per_tensor(node, (x, y))
    _rank(node, x, 4)
    operator = node.operator
    assert isinstance(operator, op.AveragePool | op.MaxPool)
    size = _out(node, x.shape[1:3], operator.kernel, operator.strides, (1, 1), operator.padding)
    if any(max(pad) >= k for pad, k in zip(operator.padding, operator.kernel, strict=True)):
        raise _error(node, "padding must be smaller than the kernel")
    _shaped(node, y, (x.shape[0], *size, x.shape[3]))


def _mean(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    (x,), (y,) = operands, results
    _per_tensor(node, (x, y))
    operator = node.operator
    assert isinstance(operator, op.Mean)
    _axes(node, x, operator.axes)
    if operator.keep_dims:
        shape = tuple(1 if axis in operator.axes else length for axis, length in enumerate(x.shape))
    else:
        shape = tuple(length for axis, length in enumerate(x.shape) if axis not in operator.axes)
    _shaped(node, y, shape)


def _axes(node: Node, x: Value, axes: Sequence[int]) -> None:
    if any(not 0 <= axis < len(x.shape) for axis in axes) or len(set(axes)) < len(axes):
        raise _error(node, f"axes must be different ones of {len(x.shape)}, not {list(axes)}")


def _reshape(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    (x,), (y,) = operands, results
    if x.size != y.size or x.dtype != y.dtype:
        raise _error(node, f"output must have {x.size} elements of {x.dtype}, not {y.size} of {y.dtype}")


def _transpose(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    operator = node.operator
    assert isinstance(operator, op.Transpose)
    _axes(node, operands[0], operator.permutation)
    if len(operator.permutation) != len(operands[0].shape):
        raise _error(node, "permutation must have all axes")
    _shaped(node, results[0], [operands[0].shape[axis] for axis in operator.permutation])


def _pad(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    operator = node.operator
    assert isinstance(operator, op.Pad)
    _per_tensor(node, (*operands, *results))
    if len(operator.padding) != len(operands[0].shape) or min(map(min, operator.padding), default=0) < 0:
        raise _error(node, f"padding must be two numbers from 0 on per axis, not {operator.padding}")
    _shaped(node, results[0], [before + length + behind for length, (before, behind) in zip(
        operands[0].shape, operator.padding, strict=True)])


def _concatenate(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    operator, (y,) = node.operator, results
    assert isinstance(operator, op.Concatenate)
    _per_tensor(node, (*operands, y))
    _axes(node, y, [operator.axis])
    for value in operands:
        _rank(node, value, len(y.shape))
        _shaped(node, value, (*y.shape[:operator.axis], value.shape[operator.axis], *y.shape[operator.axis + 1:]))
    if sum(value.shape[operator.axis] for value in operands) != y.shape[operator.axis]:
        raise _error(node, f"lengths along axis {operator.axis} must add up to {y.shape[operator.axis]}")


def _slice(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    operator, (x,) = node.operator, operands
    assert isinstance(operator, op.Slice)
    if len({len(x.shape), len(operator.begin), len(operator.end), len(operator.strides)}) > 1:
        raise _error(node, f"begin, end and strides must be of {len(x.shape)} axes")
    for length, begin, end, step in zip(x.shape, operator.begin, operator.end, operator.strides, strict=True):
        if not 0 <= begin < end <= length or step < 1:
            raise _error(node, f"must take a part of {length} with steps forward, not {begin} to {end} by {step}")
    _shaped(node, results[0], [-(-(end - begin) // step) for begin, end, step in zip(
        operator.begin, operator.end, operator.strides, strict=True)])


def _resize(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    _int8(node, (*operands, *results))
    _rank(node, operands[0], 4)
    _rank(node, results[0], 4)
    _shaped(node, results[0], (operands[0].shape[0], *results[0].shape[1:3], operands[0].shape[3]))


def _gather(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    operator, (x,) = node.operator, operands
    assert isinstance(operator, op.Gather)
    _axes(node, x, [operator.axis])
    if any(not 0 <= index < x.shape[operator.axis] for index in operator.indices):
        raise _error(node, f"indices must be below {x.shape[operator.axis]}")
    _shaped(node, results[0], (*x.shape[:operator.axis], len(operator.indices), *x.shape[operator.axis + 1:]))


def _same(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    _per_tensor(node, (*operands, *results))
    _shaped(node, results[0], operands[0].shape)


def _softmax(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    if operands[0].dtype != np.float32 or results[0].dtype != np.float32:
        _per_tensor(node, (*operands, *results))
    if not operands[0].shape:
        raise _error(node, "x must have an axis")
    _shaped(node, results[0], operands[0].shape)


def _quantize(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    (x,), (y,) = operands, results
    _shaped(node, y, x.shape)
    kinds = {x.dtype, y.dtype}
    if np.dtype(np.int8) not in kinds or not kinds & {np.dtype(np.float32), np.dtype(np.uint8)}:
        raise _error(node, f"must be between int8 and float32 or uint8, not {x.dtype} and {y.dtype}")
    _per_tensor(node, [value for value in (x, y) if value.dtype == np.int8])
    if any(value.dtype == np.uint8 and value.quantisation is not None and value.quantisation.scale.size != 1
           for value in (x, y)):
        raise _error(node, "uint8 codes must have one scale")


def _read(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    _int8(node, results)


def _assign(node: Node, operands: Sequence[Value], results: Sequence[Value]) -> None:
    _int8(node, operands)


_MANY = 1 << 16
_RULES: dict[str, tuple[int, int, int, Callable[[Node, Sequence[Value], Sequence[Value]], Any]]] = {
    "Conv2D": (3, 3, 1, _conv), "DepthwiseConv2D": (3, 3, 1, _depthwise), "TransposeConv2D": (3, 3, 1, _transposed),
    "Dense": (3, 3, 1, _dense), "Add": (2, 2, 1, _binary), "Sub": (2, 2, 1, _binary), "Mul": (2, 2, 1, _binary),
    "Maximum": (2, 2, 1, _binary), "Minimum": (2, 2, 1, _binary), "Prelu": (2, 2, 1, _binary),
    "AveragePool": (1, 1, 1, _pool), "MaxPool": (1, 1, 1, _pool), "Mean": (1, 1, 1, _mean),
    "Reshape": (1, 1, 1, _reshape), "Transpose": (1, 1, 1, _transpose), "Pad": (1, 1, 1, _pad),
    "Concatenate": (1, _MANY, 1, _concatenate), "Slice": (1, 1, 1, _slice), "ResizeNearest": (1, 1, 1, _resize),
    "Gather": (1, 1, 1, _gather),
    "Unary": (1, 1, 1, _same), "Softmax": (1, 1, 1, _softmax), "Quantize": (1, 1, 1, _quantize),
    "Dequantize": (1, 1, 1, _quantize), "ReadVariable": (0, 0, 1, _read), "AssignVariable": (1, 1, 0, _assign),
}
