"""Elementwise operators, pooling, and those that only move pixels."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..graph import Graph, Node
from ..graph.operators import (
    Add,
    AveragePool,
    Clamped,
    Concatenate,
    Gather,
    Maximum,
    MaxPool,
    Mean,
    Mul,
    Pad,
    ResizeNearest,
    Slice,
    Sub,
    Transpose,
)
from ..match import Match, averaged, table
from ..match.elementwise import xnnpack_multipliers
from ..match.tables import double_rounded
from ..quantise import quantise_multiplier
from .products import windows

__all__ = ["average_pool", "binary", "concatenate", "extreme", "gather", "max_pool", "mean", "pad", "prelu", "reshape",
           "resize", "slice_of", "transpose", "unary"]

Int8Array = npt.NDArray[np.int8]
Ints = npt.NDArray[np.int64]


def _clamped(node: Node, values: npt.NDArray[np.floating] | Ints) -> Int8Array:
    assert isinstance(node.operator, Clamped)
    return np.clip(values, node.operator.low, node.operator.high).astype(np.int8)


def binary(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Add, Sub, Mul."""
    a, b = (value.astype(np.int64) for value in values)
    if match is Match.ONNXRUNTIME:
        return _real_binary(graph, node, a, b)
    if isinstance(node.operator, Mul):
        return _product(graph, node, a, b, match)
    if match is Match.LITERT:
        made = _xnnpack_sum(graph, node, a, b)
        if made is not None:
            return made
    return _tflite_sum(graph, node, a, b)


def _real_binary(graph: Graph, node: Node, a: Ints, b: Ints) -> Int8Array:
    """As ONNX Runtime does it: in one step on codes, or dequantised, computed, quantised; all in float32."""
    if isinstance(node.operator, Add | Mul) and node.operator.offset is not None:
        return _linear_binary(graph, node, node.operator, a, b, node.operator.offset)
    reals = [np.float32(scale) * (codes - zero).astype(np.float32) for codes, (scale, zero) in zip(
        (a, b), (value.scale for value in graph.operands(node)), strict=True)]
    scale, zero = graph.results(node)[0].scale
    result = _REAL[node.kind](*reals)
    codes = np.rint(result / np.float32(scale)) + zero
    return _clamped(node, codes) if isinstance(node.operator, Clamped) else np.clip(codes, -128, 127).astype(np.int8)


_REAL: dict[str, Callable[..., npt.NDArray[np.float32]]] = {
    "Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Prelu": lambda x, slope: np.where(x < 0, x * slope, x)}


def _linear_binary(graph: Graph, node: Node, operator: Add | Mul, a: Ints, b: Ints, more: int) -> Int8Array:
    """QLinearAdd and QLinearMul of ONNX Runtime, zero points included in the float that is rounded."""
    f32 = np.float32
    (a_scale, a_zero), (b_scale, b_zero) = ((f32(scale), f32(zero + more)) for scale, zero in (
        value.scale for value in graph.operands(node)))
    scale, zero = (f32(each) for each in graph.results(node)[0].scale)
    zero += more
    x, y = (codes.astype(f32) + f32(more) for codes in (a, b))
    if isinstance(operator, Mul):
        return _clamped(node, np.rint((x - a_zero) * (y - b_zero) * (a_scale * b_scale / scale) + zero) - more)
    a_ratio, b_ratio = a_scale / scale, b_scale / scale
    fixed = zero - (a_ratio * a_zero + b_ratio * b_zero)
    return _clamped(node, np.rint(_fused(x, a_ratio, _fused(y, b_ratio, fixed))) - more)


def _fused(x: npt.NDArray[np.float32], y: np.float32, z: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """A multiply-add that is rounded once: 24 bits times 8 and a sum are exact in float64."""
    exact = x.astype(np.float64) * np.float64(y) + np.asarray(z, np.float64)
    result: npt.NDArray[np.float32] = exact.astype(np.float32)
    return result


def _sign(node: Node) -> int:
    return -1 if isinstance(node.operator, Sub) else 1


def _xnnpack_sum(graph: Graph, node: Node, a: Ints, b: Ints) -> Int8Array | None:
    (a_scale, a_zero), (b_scale, b_zero) = (value.scale for value in graph.operands(node))
    scale, zero = graph.results(node)[0].scale
    found = xnnpack_multipliers(a_scale, b_scale, scale)
    if found is None:
        return None
    a_multiplier, b_multiplier, shift = found
    sums = (a - a_zero) * a_multiplier + _sign(node) * (b - b_zero) * b_multiplier
    return _clamped(node, ((sums + (1 << shift - 1)) >> shift) + zero)


def _tflite_sum(graph: Graph, node: Node, a: Ints, b: Ints) -> Int8Array:
    """Inputs shifted left by 20 bits and scaled to twice the larger scale; their sum scaled again."""
    (a_scale, a_zero), (b_scale, b_zero) = (value.scale for value in graph.operands(node))
    scale, zero = graph.results(node)[0].scale
    twice = 2 * max(a_scale, b_scale)
    scaled = [double_rounded((codes - offset) << 20, *map(int, quantise_multiplier(each / twice)))
              for codes, offset, each in ((a, a_zero, a_scale), (b, b_zero, b_scale))]
    sums = scaled[0] + _sign(node) * scaled[1]
    return _clamped(node, double_rounded(sums, *map(int, quantise_multiplier(twice / (2**20 * scale)))) + zero)


def _product(graph: Graph, node: Node, a: Ints, b: Ints, match: Match) -> Int8Array:
    (a_scale, a_zero), (b_scale, b_zero) = (value.scale for value in graph.operands(node))
    scale, zero = graph.results(node)[0].scale
    products = (a - a_zero) * (b - b_zero)
    if match is Match.LITERT:
        real = np.float32(a_scale) * np.float32(b_scale) / np.float32(scale)
        return _clamped(node, np.rint(products.astype(np.float32) * real).astype(np.int64) + zero)
    return _clamped(node, double_rounded(products, *map(int, quantise_multiplier(a_scale * b_scale / scale))) + zero)


def extreme(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Maximum, Minimum: of codes."""
    result: Int8Array = (np.maximum if isinstance(node.operator, Maximum) else np.minimum)(*values)
    return result


def prelu(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Prelu."""
    if match is Match.ONNXRUNTIME:
        return _real_binary(graph, node, *(value.astype(np.int64) for value in values))
    (x_scale, x_zero), (slope_scale, slope_zero) = (value.scale for value in graph.operands(node))
    scale, zero = graph.results(node)[0].scale
    x, slope = values[0].astype(np.int64) - x_zero, values[1].astype(np.int64) - slope_zero
    positive = double_rounded(x, *map(int, quantise_multiplier(x_scale / scale)))
    negative = double_rounded(x * slope, *map(int, quantise_multiplier(x_scale * slope_scale / scale)))
    result: Int8Array = np.clip(np.where(x >= 0, positive, negative) + zero, -128, 127).astype(np.int8)
    return result


def average_pool(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """AveragePool over the pixels that lie inside the map."""
    (x,), operator = values, node.operator
    assert isinstance(operator, AveragePool)
    if match is Match.ONNXRUNTIME:
        return _real_average(graph, node, operator, x)
    sums = windows(x.astype(np.int64), operator.kernel, operator, 0).sum(axis=(3, 4))
    counts = windows(np.ones((1, *x.shape[1:3], 1), np.int64), operator.kernel, operator, 0).sum(axis=(3, 4))
    return averaged(graph, node, match, sums, counts).astype(np.int8)


def _real_average(graph: Graph, node: Node, operator: AveragePool, x: Int8Array) -> Int8Array:
    """As ONNX Runtime does it: floats summed one by one; on codes, the zero point is included in what is rounded."""
    (x_scale, x_zero), (scale, zero) = graph.operands(node)[0].scale, graph.results(node)[0].scale
    reals = np.float32(x_scale) * (x.astype(np.int64) - x_zero).astype(np.float32)
    pixels = windows(reals, operator.kernel, operator, 0)
    counts = windows(np.ones((1, *x.shape[1:3], 1), np.float32), operator.kernel, operator, 0).sum(axis=(3, 4))
    sums = np.zeros((*pixels.shape[:3], pixels.shape[5]), np.float32)
    for ky in range(operator.kernel[0]):
        for kx in range(operator.kernel[1]):
            sums += pixels[:, :, :, ky, kx]
    codes = sums / counts / np.float32(scale)
    if operator.offset is None:
        return _clamped(node, np.rint(codes) + zero)
    return _clamped(node, np.rint(codes + np.float32(zero + operator.offset)) - operator.offset)


def max_pool(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """MaxPool."""
    (x,), operator = values, node.operator
    assert isinstance(operator, MaxPool)
    return _clamped(node, windows(x, operator.kernel, operator, -128).max(axis=(3, 4)).astype(np.int64))


def mean(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Mean over axes."""
    (x,), operator = values, node.operator
    assert isinstance(operator, Mean)
    sums = x.astype(np.int64).sum(axis=operator.axes, keepdims=operator.keep_dims)
    count = int(np.prod([x.shape[axis] for axis in operator.axes], dtype=np.int64))
    return averaged(graph, node, match, sums, count).astype(np.int8)


def unary(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """A table of 256 bytes."""
    return table(graph, node, match)[values[0].astype(np.int64) + 128]


def reshape(graph: Graph, node: Node, values: tuple[npt.NDArray[np.generic], ...],
            match: Match) -> npt.NDArray[np.generic]:
    """Reshape."""
    return values[0].reshape(graph.results(node)[0].shape)


def transpose(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Transpose."""
    assert isinstance(node.operator, Transpose)
    return np.ascontiguousarray(values[0].transpose(node.operator.permutation))


def pad(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Pad."""
    assert isinstance(node.operator, Pad)
    return np.pad(values[0], node.operator.padding, constant_values=node.operator.value)


def concatenate(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Concatenate; an input of another scale is requantised."""
    assert isinstance(node.operator, Concatenate)
    scale = graph.results(node)[0].scale
    parts = [codes if x.scale == scale else rescaled(codes, x.scale, scale)
             for codes, x in zip(values, graph.operands(node), strict=True)]
    return np.concatenate(parts, axis=node.operator.axis)


def rescaled(codes: Int8Array, x: tuple[float, int], y: tuple[float, int]) -> Int8Array:
    """The same real numbers in another scale, through float32."""
    real = np.float32(x[0]) * (codes.astype(np.int64) - x[1]).astype(np.float32)
    result: Int8Array = np.clip(np.rint(real / np.float32(y[0])) + y[1], -128, 127).astype(np.int8)
    return result


def gather(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Gather."""
    assert isinstance(node.operator, Gather)
    return np.take(values[0], node.operator.indices, axis=node.operator.axis)


def slice_of(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """Slice."""
    operator = node.operator
    assert isinstance(operator, Slice)
    return np.ascontiguousarray(values[0][tuple(map(slice, operator.begin, operator.end, operator.strides))])


def resize(graph: Graph, node: Node, values: tuple[Int8Array, ...], match: Match) -> Int8Array:
    """ResizeNearest."""
    operator, x = node.operator, values[0]
    assert isinstance(operator, ResizeNearest)
    rows, cols = (nearest(here, there, align_corners=operator.align_corners,
                          half_pixel_centers=operator.half_pixel_centers)
                  for here, there in zip(x.shape[1:3], graph.results(node)[0].shape[1:3], strict=True))
    return x[:, rows][:, :, cols]


def nearest(size: int, wanted: int, *, align_corners: bool, half_pixel_centers: bool) -> npt.NDArray[np.int64]:
    """Per pixel of the output along an axis, the input's."""
    scale = np.float32((size - 1) / (wanted - 1) if align_corners and wanted > 1 else size / wanted)
    centre = np.float32(0.5 if half_pixel_centers else 0.0)
    position = (np.arange(wanted, dtype=np.float32) + centre) * scale
    chosen = np.floor(position + np.float32(0.5)) if align_corners else np.floor(position)
    result: npt.NDArray[np.int64] = np.clip(chosen.astype(np.int64), 0, size - 1)
    return result

