"""Elementwise functions of one int8 input: tables of 256 bytes."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CompileError
from ..graph import Graph, Node
from ..graph.operators import Unary
from ..quantise import quantise_multiplier
from .runtimes import Match

__all__ = ["table"]

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

_CODES = np.arange(-128, 128)


def table(graph: Graph, node: Node, match: Match) -> npt.NDArray[np.int8]:
    """int8 array [256] of a Unary: outputs for codes -128 to 127."""
    (x,), (y,) = graph.operands(node), graph.results(node)
    assert isinstance(node.operator, Unary)
    function = node.operator.function
    fixed = _FIXED.get((match, function)) or (_FIXED.get((Match.REFERENCE, function)) if match is Match.MICRO else None)
    if fixed is not None:
        return _clipped(fixed(x.scale, y.scale, node.operator.alpha))
    if function not in _REAL:
        raise CompileError(f"node {node.name}: function must be one of {', '.join(_REAL)}, not {function}")
    (x_scale, x_zero), (y_scale, y_zero) = x.scale, y.scale
    real = np.float32(x_scale) * (_CODES - x_zero).astype(np.float32)
    with np.errstate(all="ignore"):
        values = _REAL[function](real, np.float32(node.operator.alpha)).astype(np.float32)
    if match is Match.ONNXRUNTIME:
        return _clipped(np.rint(values / np.float32(y_scale)) + y_zero)
    if match is Match.LITERT:
        return _clipped(np.rint(values * np.float32(1 / np.float32(y_scale))) + y_zero)
    return _clipped(_away(values * np.float32(np.float32(1) / np.float32(y_scale))) + y_zero)


def _clipped(values: npt.NDArray[np.floating] | Ints) -> npt.NDArray[np.int8]:
    return np.clip(np.nan_to_num(values, nan=0.0, posinf=1e9, neginf=-1e9), -128, 127).astype(np.int8)


def _away(values: Floats) -> npt.NDArray[np.float64]:
    """Rounded, halves away from zero."""
    wide = values.astype(np.float64)
    return np.sign(wide) * np.floor(np.abs(wide) + 0.5)


def double_rounded(x: Ints, multiplier: int, shift: int) -> Ints:
    """``x`` times a multiplier of 31 bits, rounded there and after the shift: docs/numerics.md, ``double``."""
    high = ((x << max(shift, 0)) * multiplier + (1 << 30)) >> 31
    right = max(-shift, 0)
    return (high + (1 << right - 1) - (high < 0)) >> right if right else high


def _multiplier(real: float) -> tuple[int, int]:
    multiplier, shift = quantise_multiplier(real)
    return int(multiplier), int(shift)


def _rescaled(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """LiteRT's Requantize: int8 to int8 of another scale."""
    return double_rounded(_CODES - x[1], *_multiplier(x[0] / y[0])) + y[1]


def _leaky(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """LiteRT's QuantizeLeakyRelu."""
    positive, negative = (_multiplier(real) for real in (x[0] / y[0], x[0] * float(np.float32(alpha)) / y[0]))
    values = _CODES - x[1]
    return np.where(values >= 0, double_rounded(values, *positive), double_rounded(values, *negative)) + y[1]


def _relu(low: float, high: float) -> Callable[[tuple[float, int], tuple[float, int], float], Ints]:
    """LiteRT's ReLU: rescaled, then clamped to codes."""
    def function(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
        bounds = [y[1] + int(math.copysign(math.floor(abs(bound) / y[0] + 0.5), bound)) if math.isfinite(bound) else
                  int(math.copysign(1 << 20, bound)) for bound in (low, high)]
        result: Ints = np.clip(_rescaled(x, y, alpha), bounds[0], bounds[1])
        return result
    return function


def _micro_relu6(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """tflite-micro's ReLU6: codes are clamped where the input has 0 and 6, and not rescaled."""
    return np.clip(_CODES, x[1], x[1] + math.floor(6 / x[0] + 0.5))


def _negated(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """LiteRT's NEG: of codes, whatever they stand for."""
    return -np.where(_CODES == -128, 128, _CODES)


def _hard_swish(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """LiteRT's HardSwish, in 16 bits: ``input * relu6(input + 3) / 6``, the second factor as a number from 0 to 1."""
    fine = np.float32(x[0]) * np.float32(1 / 128)
    (slope, up), (outer, right) = (_half_multiplier(fine / each) for each in (
        np.float32(3) / np.float32(32768), np.float32(y[0])))
    wide = (_CODES - x[1]) * 128
    gate = _high_half(_int16(wide << up - 1) if up > 0 else wide, slope)
    gate = _int16(gate << 1) if up > 0 else _shifted(gate, -up)
    gate = (gate + (1 << 15)) >> 1
    product = gate * _high_half(wide, outer)
    halved = np.sign(product) * (np.abs(product) >> 15)
    return (_shifted(halved, -right) if right < 0 else halved << right) + y[1]


def _half_multiplier(real: np.float32) -> tuple[int, int]:
    """A multiplier of 15 bits, and its shift."""
    multiplier, shift = _multiplier(float(real))
    return min((multiplier + (1 << 15)) >> 16, (1 << 15) - 1), shift


def _int16(values: Ints) -> Ints:
    return np.clip(values, -(1 << 15), (1 << 15) - 1)


def _high_half(values: Ints, multiplier: int) -> Ints:
    """High 16 bits of twice a product, halves up."""
    return (values * multiplier + (1 << 14)) >> 15


def _shifted(values: Ints, right: int) -> Ints:
    """Divided by a power of two, halves away from zero."""
    result: Ints = np.sign(values) * ((np.abs(values) + (1 << right >> 1)) >> right)
    return result


def _sqrt(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """LiteRT's SQRT: rounded down."""
    real = np.sqrt(np.float32(x[0]) * np.maximum(_CODES - x[1], 0).astype(np.float32))
    result: Ints = np.floor(real / np.float32(y[0])).astype(np.int64) + y[1]
    return result


def _xnnpack_leaky(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """XNNPACK's leaky ReLU: multipliers of 8 fractional bits (src/microparams-init.c)."""
    positive = np.float32(x[0]) / np.float32(y[0])
    negative = positive * np.float32(alpha)
    values = _CODES - x[1]
    scaled = np.where(values >= 0, values * int(np.rint(positive * 256)), values * int(np.rint(negative * 256)))
    return ((scaled + 0x80) >> 8) + y[1]


def _xnnpack_rescaled(x: tuple[float, int], y: tuple[float, int], alpha: float) -> Ints:
    """XNNPACK's conversion of int8 to int8: a multiplier of 8 fractional bits."""
    return (((_CODES - x[1]) * int(np.rint(np.float32(x[0]) / np.float32(y[0]) * 256)) + 0x80) >> 8) + y[1]


_FIXED: dict[tuple[Match, str], Callable[[tuple[float, int], tuple[float, int], float], Ints]] = {
    (Match.REFERENCE, "requantise"): _rescaled, (Match.REFERENCE, "leaky_relu"): _leaky,
    (Match.REFERENCE, "relu"): _relu(0, math.inf), (Match.REFERENCE, "relu6"): _relu(0, 6),
    (Match.REFERENCE, "relu_n1_to_1"): _relu(-1, 1), (Match.REFERENCE, "relu_0_to_1"): _relu(0, 1),
    (Match.REFERENCE, "hard_swish"): _hard_swish, (Match.REFERENCE, "neg"): _negated,
    (Match.REFERENCE, "sqrt"): _sqrt, (Match.LITERT, "sqrt"): _sqrt, (Match.MICRO, "relu6"): _micro_relu6,
    (Match.LITERT, "hard_swish"): _hard_swish, (Match.LITERT, "neg"): _negated,
    (Match.LITERT, "requantise"): _xnnpack_rescaled, (Match.LITERT, "leaky_relu"): _xnnpack_leaky,
}


def _sigmoid(x: Floats, alpha: np.float32) -> Floats:
    result: Floats = np.float32(1) / (np.float32(1) + np.exp(-x))
    return result


_REAL: dict[str, Callable[[Floats, np.float32], npt.NDArray[Any]]] = {
    "requantise": lambda x, alpha: x,
    "relu": lambda x, alpha: np.maximum(x, 0),
    "relu6": lambda x, alpha: np.clip(x, 0, 6),
    "relu_0_to_1": lambda x, alpha: np.clip(x, 0, 1),
    "relu_n1_to_1": lambda x, alpha: np.clip(x, -1, 1),
    "leaky_relu": lambda x, alpha: np.where(x >= 0, x, x * alpha),
    "hard_swish": lambda x, alpha: x * np.clip(x + np.float32(3), 0, 6) / np.float32(6),
    "hard_sigmoid": lambda x, alpha: np.clip(x * alpha + np.float32(0.5), 0, 1),
    "logistic": _sigmoid,
    "tanh": lambda x, alpha: np.tanh(x),
    "abs": lambda x, alpha: np.abs(x),
    "neg": lambda x, alpha: -x,
    "elu": lambda x, alpha: np.where(x >= 0, x, alpha * np.expm1(x)),
    "exp": lambda x, alpha: np.exp(x),
    "sqrt": lambda x, alpha: np.sqrt(x),
    "rsqrt": lambda x, alpha: 1 / np.sqrt(x),
    "square": lambda x, alpha: x * x,
    "log": lambda x, alpha: np.log(x),
}
