"""Convolutions and fully connected layers."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph import Quantisation
from ...graph.operators import Concatenate, Conv2D, Dense, DepthwiseConv2D, Reshape, Slice, TransposeConv2D
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
    channels = draft.tensor(draft.input(operation, 0)).shape[-1]
    if 0 < weights.shape[3] < channels:
        _grouped(draft, operation, weights, scale, channels, Conv2D(**fields))
        return
    names = _constants(draft, operation, weights.transpose(1, 2, 3, 0), scale)
    draft.result(operation, Conv2D(**fields), (draft.name(draft.input(operation, 0)), *names))


def _grouped(draft: Draft, operation: Operation, weights: npt.NDArray[Any], scale: Quantisation, channels: int,
             operator: Conv2D) -> None:
    """A convolution per group of channels; the maps that they make joined."""
    depth, out, quantised = weights.shape[3], draft.output(operation), draft.quantised(operation, 0)
    groups = channels // depth
    if channels % depth or weights.shape[0] % groups or len(out.shape) != 4:
        raise operation.error(f"weights must be of a part of the {channels} channels, for a part of the outputs each, "
                              f"not {list(weights.shape)}")
    x, count, names = draft.tensor(draft.input(operation, 0)), weights.shape[0] // groups, []
    for group in range(groups):
        begin, end = (0, 0, 0, group * depth), (*x.shape[:3], (group + 1) * depth)
        taken = draft.value(f"{out.name}_x{group}", (*x.shape[:3], depth), quantised=quantised)
        draft.node(Slice(begin=begin, end=end, strides=(1,) * 4), (draft.name(operation.inputs[0]),), (taken,))
        made = draft.value(f"{out.name}_{group}", (*out.shape[:3], count), quantised=out.quantisation)
        here = slice(group * count, (group + 1) * count)
        constants = _constants(draft, operation, weights.transpose(1, 2, 3, 0), scale, outputs=here)
        draft.node(operator, (taken, *constants), (made,))
        names.append(made)
    draft.result(operation, Concatenate(axis=3), tuple(names))


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
    # XNNPACK wants the shape in the file, and for SAME a kernel that covers the strides.
    small = weights.shape[1] < strides[0] or weights.shape[2] < strides[1]
    computed = draft.subgraph.tensors[draft.input(operation, 0)].constant is None
    names = _constants(draft, operation, weights.transpose(1, 2, 3, 0), scale, x=2, bias=3)
    portable = computed or (small and not operation.option("Padding"))
    draft.result(operation, TransposeConv2D(strides=strides, padding=pads, portable=portable, low=low, high=high),
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
               bias: int = 2, outputs: slice = slice(None)) -> tuple[str, str]:
    """Values of weights, whose last axis is the outputs, and bias; of a part of the outputs."""
    several = scale.scale.size > 1
    if several:
        scale = dataclasses.replace(scale, scale=scale.scale[outputs], zero_point=scale.zero_point[outputs])
    sums = Quantisation(scale=np.float32(draft.quantised(operation, x).one[0]) * scale.scale,
                        zero_point=np.zeros(scale.scale.shape, np.int64), axis=0 if several else None)
    here = dataclasses.replace(scale, axis=weights.ndim - 1 if several else None)
    array, name = weights, draft.output(operation).name
    if bias < len(operation.inputs) and operation.inputs[bias] >= 0:
        biases = draft.constant(operation, bias)
        if biases.dtype != np.int32:
            raise operation.error(f"bias must be int32, not {biases.dtype}")
    else:
        biases = np.zeros(array.shape[-1], np.int32)
    array, biases = np.ascontiguousarray(array[..., outputs]), biases[outputs]
    return (draft.value(f"{name}_weights", array.shape, quantised=here, constant=array),
            draft.value(f"{name}_bias", biases.shape, dtype=np.int32, quantised=sums, constant=biases))


KINDS = {"CONV_2D": conv, "DEPTHWISE_CONV_2D": depthwise, "TRANSPOSE_CONV": transposed,
         "FULLY_CONNECTED": fully_connected}
