"""Elementwise operators, pooling, and those that only move pixels."""

import numpy as np

from ...graph.operators import (
    Add,
    AveragePool,
    Concatenate,
    MaxPool,
    Mean,
    Mul,
    Pad,
    Reshape,
    ResizeNearest,
    Slice,
    Softmax,
    Sub,
    Transpose,
    Unary,
)
from .draft import Draft, activation
from .products import padding
from .source import Operation

__all__ = ["KINDS"]

_BINARY: dict[str, type[Add | Sub | Mul]] = {"ADD": Add, "SUB": Sub, "MUL": Mul}
_POOLS: dict[str, type[AveragePool | MaxPool]] = {"AVERAGE_POOL_2D": AveragePool, "MAX_POOL_2D": MaxPool}


def binary(draft: Draft, operation: Operation) -> None:
    """ADD, SUB, MUL."""
    low, high = activation(operation, operation.option("FusedActivationFunction"), draft.output(operation).quantisation)
    names = tuple(draft.name(draft.input(operation, number)) for number in range(2))
    draft.result(operation, _BINARY[operation.kind](low=low, high=high), names)


def pool(draft: Draft, operation: Operation) -> None:
    """AVERAGE_POOL_2D, MAX_POOL_2D."""
    number = draft.input(operation, 0)
    kernel = operation.option("FilterHeight"), operation.option("FilterWidth")
    strides = operation.option("StrideH"), operation.option("StrideW")
    pads = padding(operation, draft.tensor(number).shape[1:3], kernel, strides)
    low, high = activation(operation, operation.option("FusedActivationFunction"), draft.output(operation).quantisation)
    draft.result(operation, _POOLS[operation.kind](kernel=kernel, strides=strides, padding=pads, low=low, high=high),
                 (draft.name(number),))


def mean(draft: Draft, operation: Operation) -> None:
    """MEAN."""
    number = draft.input(operation, 0)
    rank = len(draft.tensor(number).shape)
    axes = {int(axis) % max(rank, 1) for axis in draft.constant(operation, 1).reshape(-1)}
    draft.result(operation, Mean(axes=tuple(sorted(axes)), keep_dims=bool(operation.option("KeepDims"))),
                 (draft.name(number),))


def reshape(draft: Draft, operation: Operation) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the shape is the output's."""
    draft.result(operation, Reshape(), (draft.name(draft.input(operation, 0)),))


def transpose(draft: Draft, operation: Operation) -> None:
    """TRANSPOSE."""
    permutation = tuple(map(int, draft.constant(operation, 1).reshape(-1)))
    draft.result(operation, Transpose(permutation=permutation), (draft.name(draft.input(operation, 0)),))


def pad(draft: Draft, operation: Operation) -> None:
    """PAD with zero, PADV2 with a constant in the scale of the output."""
    number = draft.input(operation, 0)
    pairs = draft.constant(operation, 1)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise operation.error(f"padding must be two numbers per axis, not {list(pairs.shape)}")
    value = int(draft.quantised(operation, 0).one[1])
    if operation.kind == "PADV2":
        value = int(draft.constant(operation, 2).reshape(-1)[0])
    draft.result(operation, Pad(padding=tuple((int(a), int(b)) for a, b in pairs), value=value), (draft.name(number),))


def concatenation(draft: Draft, operation: Operation) -> None:
    """CONCATENATION."""
    if operation.option("FusedActivationFunction"):
        raise operation.error("a fused activation function is not supported")
    rank = max(len(draft.output(operation).shape), 1)
    names = tuple(draft.name(draft.input(operation, number)) for number in range(len(operation.inputs)))
    draft.result(operation, Concatenate(axis=operation.option("Axis") % rank), names)


def split(draft: Draft, operation: Operation) -> None:
    """SPLIT (axis, x) and SPLIT_V (x, lengths, axis)."""
    x, axis = (0, 2) if operation.kind == "SPLIT_V" else (1, 0)
    number = draft.input(operation, x)
    shape = draft.tensor(number).shape
    along, first = int(draft.constant(operation, axis).reshape(-1)[0]) % max(len(shape), 1), 0
    for output in range(len(operation.outputs)):
        tensor = draft.output(operation, output)
        if len(tensor.shape) != len(shape):
            raise operation.error(f"output {tensor.name} must have {len(shape)} axes")
        begin, end = [0] * len(shape), list(shape)
        begin[along], end[along] = first, first + tensor.shape[along]
        first = end[along]
        draft.result(operation, Slice(begin=tuple(begin), end=tuple(end), strides=(1,) * len(shape)),
                     (draft.name(number),), output)


def part(draft: Draft, operation: Operation) -> None:
    """SLICE: first indices, and lengths, of which -1 is all."""
    number = draft.input(operation, 0)
    shape = draft.tensor(number).shape
    begin, size = (tuple(map(int, draft.constant(operation, each).reshape(-1))) for each in (1, 2))
    if not len(begin) == len(size) == len(shape):
        raise operation.error(f"begin and size must be of {len(shape)} axes")
    end = tuple(length if count == -1 else first + count
                for first, count, length in zip(begin, size, shape, strict=True))
    draft.result(operation, Slice(begin=begin, end=end, strides=(1,) * len(shape)), (draft.name(number),))


def strided(draft: Draft, operation: Operation) -> None:
    """STRIDED_SLICE, with steps forward."""
    number = draft.input(operation, 0)
    tensor, quantised = draft.tensor(number), draft.quantised(operation, 0)
    begin, end, steps = (tuple(map(int, draft.constant(operation, each).reshape(-1))) for each in (1, 2, 3))
    if operation.option("EllipsisMask") or operation.option("NewAxisMask"):
        raise operation.error("an ellipsis or a new axis is not supported")
    if not len(begin) == len(end) == len(steps) <= len(tensor.shape) or min(steps, default=1) < 1:
        raise operation.error(f"begin, end and strides must be of at most {len(tensor.shape)} axes, strides forward")
    ranges = [range(length) for length in tensor.shape]
    for axis, (first, last, step) in enumerate(zip(begin, end, steps, strict=True)):
        here = None if operation.option("BeginMask") >> axis & 1 else first
        there = None if operation.option("EndMask") >> axis & 1 else last
        if operation.option("ShrinkAxisMask") >> axis & 1:
            here, there = first, first + 1 or None
        ranges[axis] = ranges[axis][here:there:step]
    if any(not each for each in ranges):
        raise operation.error("something must be left")
    operator = Slice(begin=tuple(each.start for each in ranges), end=tuple(each[-1] + 1 for each in ranges),
                     strides=tuple(each.step for each in ranges))
    shape = tuple(map(len, ranges))
    if draft.output(operation).shape == shape:
        draft.result(operation, operator, (draft.name(number),))
        return
    taken = draft.value(f"{tensor.name}_part", shape, quantised=quantised)
    draft.node(operator, (draft.name(number),), (taken,))
    draft.result(operation, Reshape(), (taken,))


def resize(draft: Draft, operation: Operation) -> None:
    """RESIZE_NEAREST_NEIGHBOR."""
    operator = ResizeNearest(align_corners=bool(operation.option("AlignCorners")),
                             half_pixel_centers=bool(operation.option("HalfPixelCenters")))
    draft.result(operation, operator, (draft.name(draft.input(operation, 0)),))


_FUNCTIONS = {"RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "relu_n1_to_1", "RELU_0_TO_1": "relu_0_to_1",
              "LEAKY_RELU": "leaky_relu", "HARD_SWISH": "hard_swish", "LOGISTIC": "logistic", "TANH": "tanh",
              "ABS": "abs", "NEG": "neg", "ELU": "elu", "EXP": "exp", "SQRT": "sqrt", "RSQRT": "rsqrt",
              "SQUARE": "square"}


def unary(draft: Draft, operation: Operation) -> None:
    """An elementwise function."""
    alpha = float(operation.option("Alpha")) if operation.kind == "LEAKY_RELU" else 1.0
    draft.result(operation, Unary(function=_FUNCTIONS[operation.kind], alpha=alpha),
                 (draft.name(draft.input(operation, 0)),))


def softmax(draft: Draft, operation: Operation) -> None:
    """SOFTMAX."""
    beta = float(operation.option("Beta", 1.0))
    if not np.isfinite(beta):
        raise operation.error(f"beta must be a number, not {beta}")
    draft.result(operation, Softmax(beta=beta), (draft.name(draft.input(operation, 0)),))


KINDS = {**dict.fromkeys(_BINARY, binary), **dict.fromkeys(_POOLS, pool), "MEAN": mean,
         **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape), "TRANSPOSE": transpose,
         "PAD": pad, "PADV2": pad, "CONCATENATION": concatenation, "SPLIT": split, "SPLIT_V": split, "SLICE": part,
         "STRIDED_SLICE": strided, "RESIZE_NEAREST_NEIGHBOR": resize, **dict.fromkeys(_FUNCTIONS, unary),
         "SOFTMAX": softmax}
