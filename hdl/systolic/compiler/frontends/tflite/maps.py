"""Elementwise operators and pooling."""

import numpy as np

from ...graph.operators import (
    Add,
    AveragePool,
    Maximum,
    MaxPool,
    Mean,
    Minimum,
    Mul,
    Operator,
    Prelu,
    Reshape,
    Softmax,
    Sub,
    Unary,
)
from .draft import Draft, activation
from .products import padding
from .source import Operation

__all__ = ["KINDS"]

_BINARY: dict[str, type[Add | Sub | Mul]] = {"ADD": Add, "SUB": Sub, "MUL": Mul}
_CODES: dict[str, type[Operator]] = {"MAXIMUM": Maximum, "MINIMUM": Minimum, "PRELU": Prelu}
_POOLS: dict[str, type[AveragePool | MaxPool]] = {"AVERAGE_POOL_2D": AveragePool, "MAX_POOL_2D": MaxPool}


def binary(draft: Draft, operation: Operation) -> None:
    """ADD, SUB, MUL."""
    low, high = activation(operation, operation.option("FusedActivationFunction"), draft.output(operation).quantisation)
    names = tuple(draft.name(draft.input(operation, number)) for number in range(2))
    draft.result(operation, _BINARY[operation.kind](low=low, high=high), names)


def codes(draft: Draft, operation: Operation) -> None:
    """MAXIMUM, MINIMUM, PRELU."""
    names = tuple(draft.name(draft.input(operation, number)) for number in range(2))
    draft.result(operation, _CODES[operation.kind](), names)


def pool(draft: Draft, operation: Operation) -> None:
    """AVERAGE_POOL_2D, MAX_POOL_2D."""
    number = draft.input(operation, 0)
    kernel = operation.option("FilterHeight"), operation.option("FilterWidth")
    strides = operation.option("StrideH"), operation.option("StrideW")
    pads = padding(operation, draft.tensor(number).shape[1:3], kernel, strides)
    low, high = activation(operation, operation.option("FusedActivationFunction"), draft.output(operation).quantisation)
    draft.result(operation, _POOLS[operation.kind](kernel=kernel, strides=strides, padding=pads, low=low, high=high),
                 (draft.name(number),))


def _axes(draft: Draft, operation: Operation) -> tuple[int, ...]:
    rank = len(draft.tensor(draft.input(operation, 0)).shape)
    return tuple(sorted({int(axis) % max(rank, 1) for axis in draft.constant(operation, 1).reshape(-1)}))


def mean(draft: Draft, operation: Operation) -> None:
    """MEAN."""
    draft.result(operation, Mean(axes=_axes(draft, operation), keep_dims=bool(operation.option("KeepDims"))),
                 (draft.name(draft.input(operation, 0)),))


def largest(draft: Draft, operation: Operation) -> None:
    """REDUCE_MAX: over height and width a pool with one window."""
    x, quantised = draft.tensor(draft.input(operation, 0)), draft.quantised(operation, 0)
    if len(x.shape) != 4 or _axes(draft, operation) != (1, 2):
        raise operation.error("the largest is supported over axes 1 and 2 of a map of four")
    n, height, width, channels = x.shape
    made = draft.value(f"{draft.output(operation).name}_largest", (n, 1, 1, channels), quantised=quantised)
    draft.node(MaxPool(kernel=(height, width), strides=(1, 1)), (draft.name(draft.input(operation, 0)),), (made,))
    draft.result(operation, Reshape(), (made,))


_FUNCTIONS = {"RELU": "relu", "RELU6": "relu6", "RELU_N1_TO_1": "relu_n1_to_1", "RELU_0_TO_1": "relu_0_to_1",
              "LEAKY_RELU": "leaky_relu", "HARD_SWISH": "hard_swish", "LOGISTIC": "logistic", "TANH": "tanh",
              "ABS": "abs", "NEG": "neg", "ELU": "elu", "EXP": "exp", "SQRT": "sqrt", "RSQRT": "rsqrt",
              "SQUARE": "square", "LOG": "log"}


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


KINDS = {**dict.fromkeys(_BINARY, binary), **dict.fromkeys(_CODES, codes), **dict.fromkeys(_POOLS, pool), "MEAN": mean,
         "REDUCE_MAX": largest, **dict.fromkeys(_FUNCTIONS, unary), "SOFTMAX": softmax}
