"""Convolutions and fully connected layers: one scale per output, in the width that the runtime computes it in."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CompileError
from ..graph import Graph, Node
from ..graph.operators import Clamped, TransposeConv2D
from ..quantise import Requantisation, quantise_multiplier
from .runtimes import Match, Rounded

__all__ = ["product"]

_INT32 = np.iinfo(np.int32)


def product(graph: Graph, node: Node, match: Match) -> Rounded:
    """Requantisation of a Conv2D, DepthwiseConv2D, TransposeConv2D or Dense.

    XNNPACK and ONNX Runtime multiply and divide the scales in float32, and round products of float32. LiteRT's
    reference kernels and tflite-micro have float64 scales and multipliers of 31 bits; those of fully connected layers
    round once, all others twice.

    Raises
    ------
    CompileError
        If a bias with the zero point folded in is beyond 32 bits.
    """
    x, weights, bias = graph.operands(node)
    (y,) = graph.results(node)
    assert isinstance(node.operator, Clamped) and weights.constant is not None and bias.constant is not None
    assert weights.quantisation is not None
    (x_scale, x_zero), (y_scale, y_zero) = x.scale, y.scale
    folded = _folded(node, weights.constant, bias.constant, x_zero)
    scales = weights.quantisation.scale
    fields: dict[str, Any] = {"bias": folded, "zero_point": y_zero, "low": node.operator.low,
                              "high": node.operator.high}
    rare = match is Match.LITERT and isinstance(node.operator, TransposeConv2D) and node.operator.portable
    if match in (Match.LITERT, Match.ONNXRUNTIME) and not rare:
        real = np.float32(x_scale) * scales / np.float32(y_scale)
        return Rounded("fp32", Requantisation(multiplier=_per_output(real, folded), **fields))
    # One scale is meant for a matrix product in a single step, several for a convolution: other kernels.
    multiplier, shift = quantise_multiplier(x_scale * scales.astype(np.float64) / y_scale)
    rounding = "single" if match is Match.REFERENCE and node.kind == "Dense" else "double"
    if rare and folded.size >= 8:
        rounding = "eights"
    return Rounded(rounding, Requantisation(multiplier=_per_output(multiplier, folded),
                                            shift=_per_output(shift, folded), **fields))


def _per_output(values: npt.NDArray[np.generic], folded: npt.NDArray[np.int32]) -> npt.NDArray[np.generic]:
    return np.broadcast_to(values, folded.shape)


def _folded(node: Node, weights: npt.NDArray[np.int8], bias: npt.NDArray[np.int32],
            zero: int) -> npt.NDArray[np.int32]:
    """Biases less what the inputs' zero point adds to the sums."""
    inputs = weights.reshape(-1, weights.shape[-1]).sum(axis=0, dtype=np.int64)
    folded = bias.astype(np.int64) - zero * inputs
    if folded.min() < _INT32.min or folded.max() > _INT32.max:
        raise CompileError(f"node {node.name}: biases with the zero point folded in must be of 32 bits, not "
                           f"{folded.min()} to {folded.max()}")
    result: npt.NDArray[np.int32] = folded.astype(np.int32)
    return result
