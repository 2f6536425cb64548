"""Sums and differences of two maps."""

import math

import numpy as np

from ..graph import Graph, Node
from ..graph.operators import Clamped, Sub
from ..quantise import Addition, quantise_multiplier
from ..quantise import addition as tflite_addition
from .runtimes import Match, Rounded
from .tables import double_rounded

__all__ = ["addition", "xnnpack_multipliers"]


def addition(graph: Graph, node: Node, match: Match) -> Rounded | None:
    """Records of an Add, or of a Sub whose second input is complemented; None if the TPU's ``add`` cannot have the
    runtime's bits."""
    one, other = graph.operands(node)
    (y,) = graph.results(node)
    first, second = one.scale, other.scale
    if isinstance(node.operator, Sub):
        second = second[0], -1 - second[1]
    assert isinstance(node.operator, Clamped)
    bounds = {"low": node.operator.low, "high": node.operator.high}
    if match is Match.ONNXRUNTIME:
        return None
    if match is Match.LITERT:
        return _xnnpack_addition(first, second, y.scale, **bounds)
    if isinstance(node.operator, Sub) and not _symmetric(other.scale, 2 * max(first[0], second[0])):
        return None
    return Rounded("double", tflite_addition(first, second, y.scale, **bounds))


def _symmetric(scale: tuple[float, int], twice: float) -> bool:
    """Whether every code scaled, and rounded, is the negative of what its negative is scaled to."""
    codes = (np.arange(-128, 128) - scale[1]) << 20
    multiplier, shift = map(int, quantise_multiplier(scale[0] / twice))
    return bool((double_rounded(-codes, multiplier, shift) == -double_rounded(codes, multiplier, shift)).all())


def xnnpack_multipliers(first: float, second: float, output: float) -> tuple[int, int, int] | None:
    """Multipliers of 21 bits at most and the shift of XNNPACK's addition (src/microparams-init.c); None where XNNPACK
    leaves the operator to others."""
    ratios = [np.float32(np.float32(scale) / np.float32(output)) for scale in (first, second)]
    if not all(2.0**-10 <= ratio < 2.0**8 for ratio in ratios):
        return None
    shift = 20 - (math.frexp(float(max(ratios)))[1] - 1)
    a, b = (int(np.rint(np.ldexp(np.float64(ratio), shift))) for ratio in ratios)
    return a, b, shift


def _xnnpack_addition(first: tuple[float, int], second: tuple[float, int], output: tuple[float, int], *, low: int,
                      high: int) -> Rounded | None:
    """A multiplier of 21 bits times an input is exact in the TPU's first two scalings; the third is the shift."""
    found = xnnpack_multipliers(first[0], second[0], output[0])
    if found is None:
        return None
    *small, shift = found
    spread = [30 - (each.bit_length() - 1) for each in small]
    multiplier = np.array([*(each << by for each, by in zip(small, spread, strict=True)), 1 << 30])
    shifts = np.array([*(11 - by for by in spread), 1 - shift])
    bias = np.array([-first[1] << 20, -second[1] << 20, 0])
    return Rounded("single", Addition(bias=bias, multiplier=multiplier, shift=shifts, zero_point=output[1], low=low,
                                      high=high))
