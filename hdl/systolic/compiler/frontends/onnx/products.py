"""Convolutions and matrix products."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph import Quantisation
from ...graph.operators import Clamped, Concatenate, Conv2D, Dense, DepthwiseConv2D, Slice, TransposeConv2D
from .draft import CHANNELS_LAST, Draft, Pending, Tensor
from .operands import finished, linear, tensor, windows
from .source import OnnxNode

__all__ = ["conv", "conv_transpose", "gemm", "matmul", "qgemm", "qlinear_conv", "qlinear_matmul"]

Weights = npt.NDArray[np.int8 | np.int16]
Int32Array = npt.NDArray[np.int32]


def conv(draft: Draft, node: OnnxNode) -> Pending:
    """Conv on floats that codes stand for."""
    x, w = tensor(draft, node, 0), tensor(draft, node, 1)
    bias = tensor(draft, node, 2) if node.input(2) else None
    return _conv(draft, node, x, w, bias)


def qlinear_conv(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearConv: x, w, y with scales and zero points, and a bias of int32."""
    x, w = linear(draft, node, 0), linear(draft, node, 3)
    w = dataclasses.replace(w, quantisation=_along(w.quantisation, 0))
    bias = tensor(draft, node, 8) if node.input(8) else None
    return _conv(draft, node, x, w, bias).finish(finished(draft, node, 6), -128, 127, node.outputs[0])


def _conv(draft: Draft, node: OnnxNode, x: Tensor, w: Tensor, bias: Tensor | None) -> Pending:
    weights, scale = _weights(node, w, 4)
    if len(x.shape) != 4 or x.quantisation is None:
        raise node.error(f"x must be quantised and [N, C, H, W], not {list(x.shape)}")
    outputs, inputs, *kernel = weights.shape
    groups = node.attributes.get("group", 1)
    if groups < 1 or inputs * groups != x.shape[1] or outputs % groups:
        raise node.error(f"group must divide channels and weights, not {groups} of {x.shape[1]} channels and weights "
                         f"{list(weights.shape)}")
    strides, dilations, padding, size = windows(node, (x.shape[2], x.shape[3]), (kernel[0], kernel[1]))
    biases = _bias(node, bias, outputs, x, scale)
    fields: dict[str, Any] = {"strides": strides, "dilations": dilations, "padding": padding}
    shape = (x.shape[0], outputs, *size)

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        here = draft.arranged(x, CHANNELS_LAST)
        assert here.value is not None
        operator: Clamped = Conv2D(**fields, low=low, high=high)
        last = weights.transpose(2, 3, 1, 0)
        if groups > 1 and inputs == 1:
            operator = DepthwiseConv2D(**fields, low=low, high=high, multiplier=outputs // groups)
            last = last[:, :, 0]
        elif groups > 1:
            return _grouped(draft, name, here, weights, biases, scale, groups, operator, shape, quantised)
        names = _constants(draft, name, last, biases, x, scale)
        return draft.result(name, operator, (here.value, *names), shape, quantised, axes=CHANNELS_LAST)
    return Pending(shape=shape, finish=finish)


def _grouped(draft: Draft, name: str, x: Tensor, weights: Weights, biases: Int32Array, scale: Quantisation,
             groups: int, operator: Clamped, shape: tuple[int, ...], quantised: Quantisation) -> Tensor:
    """A convolution per group of channels."""
    n, channels, height, width = x.shape
    outputs, inputs = weights.shape[0] // groups, channels // groups
    assert x.value is not None
    parts = []
    for group in range(groups):
        begin, end = group * inputs, (group + 1) * inputs
        part = draft.result(f"{name}_x{group}", Slice(begin=(0, 0, 0, begin), end=(n, height, width, end),
                                                      strides=(1, 1, 1, 1)),
                            (x.value,), (n, inputs, height, width), x.quantisation, axes=CHANNELS_LAST)
        here = slice(group * outputs, (group + 1) * outputs)
        scales = scale if scale.axis is None else Quantisation(
            scale=scale.scale[here], zero_point=scale.zero_point[here], axis=scale.axis)
        names = _constants(draft, name, weights[here].transpose(2, 3, 1, 0), biases[here], x, scales)
        assert part.value is not None
        made = draft.result(f"{name}_{group}", operator, (part.value, *names), (n, outputs, *shape[2:]), quantised,
                            axes=CHANNELS_LAST)
        parts.append(str(made.value))
    return draft.result(name, Concatenate(axis=3), tuple(parts), shape, quantised, axes=CHANNELS_LAST)


def conv_transpose(draft: Draft, node: OnnxNode) -> Pending:
    """ConvTranspose on floats that codes stand for."""
    x, w = tensor(draft, node, 0), tensor(draft, node, 1)
    weights, scale = _weights(node, w, 4)
    if len(x.shape) != 4 or x.quantisation is None or weights.shape[0] != x.shape[1]:
        raise node.error(f"x must be quantised and [N, C, H, W] of the weights' channels, not {list(x.shape)}")
    if node.attributes.get("group", 1) != 1 or any(each != 1 for each in node.attributes.get("dilations", ())):
        raise node.error("group and dilations must be 1")
    if node.attributes.get("auto_pad", "NOTSET") not in ("", "NOTSET", "VALID") or "output_shape" in node.attributes:
        raise node.error("the output's size must be given by pads")
    strides, pads, more = (tuple(node.attributes.get(name, default)) for name, default in (
        ("strides", (1, 1)), ("pads", (0,) * 4), ("output_padding", (0, 0))))
    if (len(strides), len(pads), len(more)) != (2, 4, 2) or min(*strides, 1) < 1 or min(*pads, *more) < 0:
        raise node.error("strides, pads and output_padding must be two, four and two numbers, none negative")
    padding = (pads[0], pads[2] - more[0]), (pads[1], pads[3] - more[1])
    if min(map(min, padding)) < 0:
        raise node.error("output_padding must not be more than the padding behind")
    outputs, *kernel = weights.shape[1:]
    size = [(length - 1) * step + k - sum(pad) for length, step, k, pad in zip(
        x.shape[2:], strides, kernel, padding, strict=True)]
    bias = _bias(node, tensor(draft, node, 2) if node.input(2) else None, outputs, x, scale)
    shape = (x.shape[0], outputs, *size)

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        here = draft.arranged(x, CHANNELS_LAST)
        assert here.value is not None
        names = _constants(draft, name, weights.transpose(2, 3, 0, 1), bias, x, scale)
        operator = TransposeConv2D(strides=(strides[0], strides[1]), padding=padding, low=low, high=high)
        return draft.result(name, operator, (here.value, *names), shape, quantised, axes=CHANNELS_LAST)
    return Pending(shape=shape, finish=finish)


def gemm(draft: Draft, node: OnnxNode) -> Pending:
    """Gemm on floats that codes stand for."""
    bias = tensor(draft, node, 2) if node.input(2) else None
    return _gemm(draft, node, tensor(draft, node, 0), tensor(draft, node, 1), bias)


def qgemm(draft: Draft, node: OnnxNode) -> Tensor:
    """QGemm of com.microsoft."""
    w = linear(draft, node, 3)
    w = dataclasses.replace(w, quantisation=_along(w.quantisation, 0 if node.attributes.get("transB", 0) else 1))
    bias = tensor(draft, node, 6) if node.input(6) else None
    if not node.input(7):
        raise node.error("the result must be quantised, by the inputs y_scale and y_zero_point")
    return _gemm(draft, node, linear(draft, node, 0), w, bias).finish(finished(draft, node, 7), -128, 127,
                                                                      node.outputs[0])


def _gemm(draft: Draft, node: OnnxNode, x: Tensor, w: Tensor, bias: Tensor | None) -> Pending:
    for name, value in (("transA", 0), ("alpha", 1.0), ("beta", 1.0)):
        if node.attributes.get(name, value) != value:
            raise node.error(f"{name} must be {value}, not {node.attributes[name]}")
    if len(x.shape) != 2:
        raise node.error(f"A must be [M, K], not {list(x.shape)}")
    return _dense(draft, node, x, w, bias, transposed=bool(node.attributes.get("transB", 0)))


def matmul(draft: Draft, node: OnnxNode) -> Pending:
    """MatMul on floats that codes stand for."""
    return _dense(draft, node, tensor(draft, node, 0), tensor(draft, node, 1), None)


def qlinear_matmul(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearMatMul."""
    w = linear(draft, node, 3)
    w = dataclasses.replace(w, quantisation=_along(w.quantisation, 1))
    return _dense(draft, node, linear(draft, node, 0), w, None).finish(finished(draft, node, 6), -128, 127,
                                                                       node.outputs[0])


def _dense(draft: Draft, node: OnnxNode, x: Tensor, w: Tensor, bias: Tensor | None, *,
           transposed: bool = False) -> Pending:
    weights, scale = _weights(node, w, 2)
    weights = weights.T if transposed else weights
    if not x.shape or x.shape[-1] != weights.shape[0] or x.quantisation is None:
        raise node.error(f"x must be quantised and have the weights' {weights.shape[0]} inputs, not {list(x.shape)}")
    biases = _bias(node, bias, weights.shape[1], x, scale)
    shape = (*x.shape[:-1], weights.shape[1])

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        # The weights of a flattened map are put in the order of the map.
        here = x if x.flattened is not None else draft.arranged(x)
        ordered = weights[list(x.flattened)] if x.flattened is not None else weights
        names = _constants(draft, name, ordered, biases, x, scale)
        assert here.value is not None
        return draft.result(name, Dense(low=low, high=high), (here.value, *names), shape, quantised)
    return Pending(shape=shape, finish=finish)


def _weights(node: OnnxNode, w: Tensor, rank: int) -> tuple[Weights, Quantisation]:
    if w.constant is None or w.quantisation is None or w.constant.dtype != np.int8:
        raise node.error("weights must be constant, and quantised to 8 bits")
    if w.constant.ndim != rank:
        raise node.error(f"weights must have {rank} axes, not {w.constant.ndim}")
    if not w.quantisation.zero_point.any():
        return w.constant, w.quantisation
    # A product of codes less their zero points is one of numbers of nine bits.
    zero, axis = w.quantisation.zero_point, w.quantisation.axis
    moved = w.constant.astype(np.int16) - (zero if axis is None else zero.reshape(
        [-1 if each == axis % rank else 1 for each in range(rank)])).astype(np.int16)
    if -128 <= moved.min() and moved.max() <= 127:
        moved = moved.astype(np.int8)
    return moved, dataclasses.replace(w.quantisation, zero_point=np.zeros_like(zero))


def _along(quantised: Quantisation | None, axis: int) -> Quantisation | None:
    if quantised is None or quantised.scale.size == 1:
        return quantised
    return dataclasses.replace(quantised, axis=axis)


def _bias(node: OnnxNode, bias: Tensor | None, outputs: int, x: Tensor, scale: Quantisation) -> Int32Array:
    """int32, in the scale of the sums; one of floats is rounded to that."""
    if bias is None:
        return np.zeros(outputs, np.int32)
    if bias.constant is None or bias.constant.size not in (1, outputs) or bias.constant.dtype.kind not in "if":
        raise node.error(f"bias must be constant, of {outputs} outputs")
    values = np.broadcast_to(bias.constant.reshape(-1), (outputs,))
    if values.dtype.kind == "f":
        assert x.quantisation is not None
        values = np.rint(values / (x.quantisation.one[0] * scale.scale.astype(np.float64)))
    if not np.all(np.abs(values.astype(np.float64)) < 2**31):
        raise node.error("bias must be below 2**31 in the scale of the sums")
    return values.astype(np.int32)


def _constants(draft: Draft, name: str, weights: Weights, bias: Int32Array, x: Tensor,
               scale: Quantisation) -> tuple[str, str]:
    """Values of weights, whose last axis is the outputs, and bias."""
    assert x.quantisation is not None
    scales = dataclasses.replace(scale, axis=None if scale.scale.size == 1 else weights.ndim - 1)
    sums = Quantisation(scale=(np.float32(x.quantisation.one[0]) * scale.scale).astype(np.float32),
                        zero_point=np.zeros(scale.scale.shape, np.int64), axis=None if scale.scale.size == 1 else 0)
    array = np.ascontiguousarray(weights)
    return (draft.value(f"{name}_weights", array.shape, dtype=array.dtype, quantised=scales, constant=array),
            draft.value(f"{name}_bias", bias.shape, dtype=np.int32, quantised=sums, constant=bias))


