"""From nodes of ONNX to a graph: a handler for each operator, and what begins and ends quantisation."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CompileError
from ...graph import Graph, Quantisation
from ...graph.operators import Dequantize, Quantize
from . import elementwise, pooling, products, shapes
from .draft import Draft, Pending, Tensor, codes
from .lines import also_lines
from .offsets import offsets
from .operands import constant, finished, is_float, tensor
from .source import OnnxNode, Source, read_source

__all__ = ["read_onnx"]

Handler = Callable[[Draft, OnnxNode], Tensor | Pending | list[Tensor]]


def read_onnx(content: bytes) -> Graph:
    """The graph of an ONNX model.

    Parameters
    ----------
    content : bytes
        Of the file.

    Returns
    -------
    Graph
        Its inputs and outputs have the model's names, shapes and types; a length that the model leaves open is 1.

    Raises
    ------
    CompileError
        If the file is damaged, or has what is not supported; the message names the node.
    """
    source, draft = read_source(content), Draft()
    draft.offsets = offsets(source)
    for name, array in source.constants.items():
        _constant(draft, name, array)
    for name, shape, dtype in source.inputs:
        _input(draft, name, shape, dtype)
    for node in source.nodes:
        _translate(draft, node)
    outputs = tuple(_output(draft, source, name) for name in source.outputs)
    return draft.graph(source.name, tuple(name for name, _, _ in source.inputs), outputs)


def _constant(draft: Draft, name: str, array: npt.NDArray[Any]) -> None:
    if array.dtype == np.uint8:
        draft.unsigned.add(name)
    draft.tensors[name] = Tensor(shape=array.shape, constant=codes(array), real=array.dtype.kind == "f")


def _input(draft: Draft, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if dtype not in (np.int8, np.uint8, np.float32):
        raise CompileError(f"input {name} must be float32, int8 or uint8, not {dtype}")
    value, axes = draft.value(name, shape, dtype=dtype), tuple(range(len(shape)))
    if dtype == np.uint8:
        draft.unsigned.add(name)
        draft.tensors[name] = draft.result(f"{name}_codes", Quantize(), (value,), shape)
    else:
        draft.tensors[name] = Tensor(shape=shape, value=value, axes=axes, real=dtype == np.float32)


def _translate(draft: Draft, node: OnnxNode) -> None:
    handler = _HANDLERS.get(node.operator)
    if handler is None:
        raise node.error(f"is not supported; supported are {', '.join(sorted(_HANDLERS))}")
    if not node.outputs:
        raise node.error("must have an output")
    made = handler(draft, node)
    for name, each in zip(node.outputs, made if isinstance(made, list) else [made], strict=False):
        if name in draft.tensors:
            raise node.error(f"output {name!r} must be made once")
        draft.tensors[name] = each


def quantize(draft: Draft, node: OnnxNode) -> Tensor:
    """QuantizeLinear: of a constant, of a result that waits for it, of codes in another scale, of floats."""
    quantised, found = finished(draft, node, 1), draft.tensors.get(node.input(0))
    zero = constant(draft, node, 2)
    if (zero is None and not node.attributes.get("output_dtype")) or node.input(2) in draft.unsigned:
        draft.unsigned.add(node.outputs[0])
    if zero is not None and zero.dtype != np.int8:
        raise node.error(f"zero point must be int8 or uint8, not {zero.dtype}")
    if isinstance(found, Pending):
        return found.finish(quantised, *found.bounds(quantised), node.outputs[0])
    x = tensor(draft, node)
    if x.constant is not None:
        return _quantized(node, x, quantised)
    if is_float(x):
        assert x.value is not None
        return draft.result(node.outputs[0], Quantize(), (x.value,), x.shape, quantised, axes=x.axes)
    if x.quantisation is not None and x.quantisation.one == quantised.one:
        return dataclasses.replace(x, real=False)
    return draft.requantised(x, quantised, node.outputs[0])


def _quantized(node: OnnxNode, x: Tensor, quantised: Quantisation) -> Tensor:
    assert x.constant is not None
    if x.quantisation is not None:
        raise node.error("a constant must be quantised once")
    quantised = _axis(node, x, quantised)
    scale, zero = (_spread(x, quantised, each) for each in (quantised.scale, quantised.zero_point))
    made = np.clip(np.rint(x.constant.astype(np.float32) / scale) + zero, -128, 127).astype(np.int8)
    return Tensor(shape=x.shape, constant=made, quantisation=quantised)


def _axis(node: OnnxNode, x: Tensor, quantised: Quantisation) -> Quantisation:
    if quantised.scale.size == 1:
        return quantised
    axis = node.attributes.get("axis", 1) % max(len(x.shape), 1)
    if x.constant is not None and x.constant.dtype == np.int32 and x.constant.size == quantised.scale.size:
        axis = len(x.shape) - 1  # of a bias, tools write another
    if not x.shape or x.shape[axis] != quantised.scale.size:
        raise node.error(f"scales must be one per index of axis {axis} of {list(x.shape)}, not {quantised.scale.size}")
    return dataclasses.replace(quantised, axis=axis)


def _spread(x: Tensor, quantised: Quantisation, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """So shaped that it goes with the constant."""
    if quantised.axis is None:
        return array
    return array.reshape([-1 if axis == quantised.axis else 1 for axis in range(len(x.shape))])


def dequantize(draft: Draft, node: OnnxNode) -> Tensor:
    """DequantizeLinear: the same codes, now that it is known what they stand for."""
    x, quantised = tensor(draft, node), finished(draft, node, 1)
    if x.real:
        raise node.error("the input must be of integers")
    if x.constant is not None:
        if not node.input(2) and x.constant.dtype == np.int32:
            quantised = dataclasses.replace(quantised, zero_point=np.zeros_like(quantised.zero_point))
        return dataclasses.replace(x, quantisation=_axis(node, x, quantised), real=True)
    assert x.value is not None
    if draft.values[x.value].quantisation is None:
        draft.values[x.value] = dataclasses.replace(draft.values[x.value], quantisation=quantised)
    elif x.quantisation is not None and x.quantisation.one != quantised.one:
        raise node.error("scale and zero point must be those that the input was quantised with")
    return dataclasses.replace(x, quantisation=quantised, real=True)


def constant_node(draft: Draft, node: OnnxNode) -> Tensor:
    """Constant."""
    for name, array in node.attributes.items():
        if name.startswith("value"):
            made = np.asarray(array)
            _constant(draft, node.outputs[0], made)
            found = draft.tensors.pop(node.outputs[0])
            assert isinstance(found, Tensor)
            return found
    raise node.error("must have a value")


def _output(draft: Draft, source: Source, name: str) -> str:
    """Value of an output, in the order and type that the model gives it; as often as not it has its name."""
    found = draft.tensors.get(name)
    if isinstance(found, Pending):
        if found.plain is None:
            raise CompileError(f"output {name} must be quantised by QuantizeLinear, and stays in floats")
        found = found.plain(name)
    if found is None or found.constant is not None:
        raise CompileError(f"output {name} must be computed by a node")
    found = draft.arranged(found)
    assert found.value is not None
    value, shape = draft.values[found.value], found.shape
    if found.real and value.dtype != np.float32:
        return str(draft.result(name, Dequantize(), (found.value,), shape, real=True, dtype=np.float32).value)
    if name in draft.unsigned and not found.real:
        made = draft.value(name, shape, dtype=np.uint8, quantised=None)
        draft.node(name, Quantize(), (found.value,), (made,))
        return made
    return found.value


_HANDLERS: dict[str, Handler] = {
    "Constant": constant_node, "QuantizeLinear": quantize, "DequantizeLinear": dequantize,
    "Conv": also_lines(products.conv, 1), "ConvTranspose": also_lines(products.conv_transpose, 1),
    "QLinearConv": also_lines(products.qlinear_conv, 3), "Gemm": products.gemm, "QGemm": products.qgemm,
    "MatMul": products.matmul, "QLinearMatMul": products.qlinear_matmul, **elementwise.kinds(), **shapes.kinds(),
    **{name: also_lines(handler) for name, handler in pooling.kinds().items()}, "ReduceMean": pooling.reduce_mean,
}
