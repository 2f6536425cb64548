"""Convolutions and fully connected layers."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph import Quantisation
from ...graph.operators import Conv2D, Dense, DepthwiseConv2D, Reshape, TransposeConv2D
from .draft import Draft, activation
from .source import Operation

__all__ = ["KINDS", "padding", "same"]

Pair = tuple[int, int]


def same(length: int, span: int, step: int) -> Pair:
    """Padding before and behind with which there is a window for every ``step`` pixels."""
    total = max((-(-length // step) - 1) * step + span - length, 0)
    return total // 2, total - total // 2


def padding(operation: Operation, size: tuple[int, ...], kernel: Pair, strides: Pair,
            dilations: Pair = (1, 1)) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) of the option SAME or VALID."""
    if len(size) != 2 or min(*strides, *dilations, *kernel) < 1:
        raise operation.error("must have a map of four axes, and positive strides, dilations and kernel")
    if operation.option("Padding") == 1:
        return (0, 0), (0, 0)
    y, x = (same(length, (k - 1) * far + 1, step)
            for length, k, far, step in zip(size, kernel, dilations, strides, strict=True))
    return y, x


def conv(draft: Draft, operation: Operation) -> None:
    """CONV_2D."""
    weights, scale = _weights(draft, operation, 1, 4)
    kernel = weights.shape[1], weights.shape[2]
    fields = _windows(draft, operation, kernel)
    names = _constants(draft, operation, weights.transpose(1, 2, 3, 0), scale)
    draft.result(operation, Conv2D(**fields), (draft.name(draft.input(operation, 0)), *names))


def depthwise(draft: Draft, operation: Operation) -> None:
    """DEPTHWISE_CONV_2D."""
    weights, scale = _weights(draft, operation, 1, 4)
    if weights.shape[0] != 1:
        raise operation.error(f"weights must be [1, kernel, kernel, outputs], not {list(weights.shape)}")
    channels, multiplier = draft.tensor(draft.input(operation, 0)).shape[-1], operation.option("DepthMultiplier")
    if multiplier < 1 or channels * multiplier != weights.shape[3]:
        # Old converters leave the multiplier out.
        multiplier = weights.shape[3] // max(channels, 1)
    fields = _windows(draft, operation, (weights.shape[1], weights.shape[2]))
    names = _constants(draft, operation, weights[0], scale)
    draft.result(operation, DepthwiseConv2D(**fields, multiplier=multiplier),
                 (draft.name(draft.input(operation, 0)), *names))


def _windows(draft: Draft, operation: Operation, kernel: Pair) -> dict[str, Any]:
    size = draft.tensor(draft.input(operation, 0)).shape[1:3]
    strides = operation.option("StrideH", 1), operation.option("StrideW", 1)
    dilations = operation.option("DilationHFactor", 1), operation.option("DilationWFactor", 1)
    low, high = activation(operation, operation.option("FusedActivationFunction"), draft.output(operation).quantisation)
    return {"strides": strides, "dilations": dilations, "low": low, "high": high,
            "padding": padding(operation, size, kernel, strides, dilations)}


def transposed(draft: Draft, operation: Operation) -> None:
    """TRANSPOSE_CONV: output's shape, weights, x, bias."""
    weights, scale = _weights(draft, operation, 1, 4)
    strides = operation.option("StrideH", 1), operation.option("StrideW", 1)
    out = draft.output(operation)
    pads = padding(operation, out.shape[1:3], (weights.shape[1], weights.shape[2]), strides)
    low, high = activation(operation, operation.option("FusedActivationFunction"), out.quantisation)
    names = _constants(draft, operation, weights.transpose(1, 2, 3, 0), scale, x=2, bias=3)
    draft.result(operation, TransposeConv2D(strides=strides, padding=pads, low=low, high=high),
                 (draft.name(draft.input(operation, 2)), *names))


def fully_connected(draft: Draft, operation: Operation) -> None:
    """FULLY_CONNECTED; inputs of any shape are rows of as many as the weights have."""
    weights, scale = _weights(draft, operation, 1, 2)
    number = draft.input(operation, 0)
    x, quantised, out = draft.tensor(number), draft.quantised(operation, 0), draft.output(operation)
    outputs, depth = weights.shape
    name, size = draft.name(number), int(np.prod(x.shape, dtype=np.int64))
    if operation.option("WeightsFormat") or not depth or size % depth:
        raise operation.error(f"x must be rows of the weights' {depth} inputs, not {list(x.shape)}")
    if not x.shape or x.shape[-1] != depth:
        rows = draft.value(f"{x.name}_rows", (size // depth, depth), quantised=quantised)
        draft.node(Reshape(), (name,), (rows,))
        name = rows
    low, high = activation(operation, operation.option("FusedActivationFunction"), out.quantisation)
    shape = (*draft.values[name].shape[:-1], outputs)
    names = _constants(draft, operation, weights.T, scale)
    if out.shape == shape:
        draft.result(operation, Dense(low=low, high=high), (name, *names))
        return
    made = draft.value(f"{out.name}_rows", shape, quantised=out.quantisation)
    draft.node(Dense(low=low, high=high), (name, *names), (made,))
    draft.result(operation, Reshape(), (made,))


def _weights(draft: Draft, operation: Operation, number: int, rank: int) -> tuple[npt.NDArray[Any], Quantisation]:
    scale, weights = draft.quantised(operation, number), draft.constant(operation, number)
    if weights.ndim != rank:
        raise operation.error(f"weights must have {rank} axes, not {list(weights.shape)}")
    if scale.axis not in (None, 3 if operation.kind == "DEPTHWISE_CONV_2D" else 0):
        raise operation.error(f"scales of weights must be per output, not along axis {scale.axis}")
    return weights, scale


def _constants(draft: Draft, operation: Operation, weights: npt.NDArray[Any], scale: Quantisation, *, x: int = 0,
               bias: int = 2) -> tuple[str, str]:
    """Values of weights, whose last axis is the outputs, and bias."""
    several = scale.scale.size > 1
    sums = Quantisation(scale=np.float32(draft.quantised(operation, x).one[0]) * scale.scale,
                        zero_point=np.zeros(scale.scale.shape, np.int64), axis=0 if several else None)
    here = dataclasses.replace(scale, axis=weights.ndim - 1 if several else None)
    array, name = np.ascontiguousarray(weights), draft.output(operation).name
    if bias < len(operation.inputs) and operation.inputs[bias] >= 0:
        biases = draft.constant(operation, bias)
        if biases.dtype != np.int32:
            raise operation.error(f"bias must be int32, not {biases.dtype}")
    else:
        biases = np.zeros(array.shape[-1], np.int32)
    return (draft.value(f"{name}_weights", array.shape, quantised=here, constant=array),
            draft.value(f"{name}_bias", biases.shape, dtype=np.int32, quantised=sums, constant=biases))


KINDS = {"CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise, "TRANSPOSE_CONV": transposed,
         "FULLY_CONNECTED": fully_connected}
