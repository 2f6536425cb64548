"""An ONNX file as nodes with plain attributes, and constants as arrays."""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CompileError

__all__ = ["OnnxNode", "Source", "read_source"]

#: Opsets whose operators the handlers know.
_OPSETS = range(8, 26)

#: Bytes of constants in one model.
_MOST_BYTES = 1 << 31


@dataclasses.dataclass(frozen=True)
class OnnxNode:
    """A node: ``inputs`` has ``""`` where an optional one is left out."""

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    def input(self, number: int) -> str:
        """Name of an input, ``""`` if there is none."""
        return self.inputs[number] if number < len(self.inputs) else ""

    def error(self, text: str) -> CompileError:
        """An error that names this node."""
        return CompileError(f"node {self.name} ({self.operator}): {text}")


@dataclasses.dataclass(frozen=True)
class Source:
    """A model: inputs are name, shape and dtype."""

    name: str
    nodes: tuple[OnnxNode, ...]
    constants: dict[str, npt.NDArray[Any]]
    inputs: tuple[tuple[str, tuple[int, ...], np.dtype[Any]], ...]
    outputs: tuple[str, ...]


def read_source(content: bytes) -> Source:
    """Parse a file.

    Raises
    ------
    CompileError
        If it is no ONNX model, is cut off, or keeps its weights in another file.
    """
    import onnx
    from google.protobuf.message import DecodeError
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, ValueError) as error:
        raise CompileError(f"model must be an ONNX file, and is cut off or damaged: {error}") from error
    graph = model.graph
    if not graph.node or not graph.output:
        raise CompileError("model must be an ONNX file with nodes and outputs, and has none")
    opset = max((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), default=0)
    if opset not in _OPSETS:
        raise CompileError(f"opset of the model must be from {_OPSETS.start} to {_OPSETS.stop - 1}, not {opset}")
    constants = {each.name: _array(each) for each in graph.initializer}
    return Source(name=graph.name or "model", nodes=_nodes(graph), constants=constants,
                  inputs=tuple(_input(each) for each in graph.input if each.name not in constants),
                  outputs=tuple(each.name for each in graph.output))


def _array(tensor: Any) -> npt.NDArray[Any]:
    from onnx import TensorProto, numpy_helper
    if tensor.data_location == TensorProto.EXTERNAL:
        raise CompileError(f"constant {tensor.name} must be in the model's file, not in another")
    size = 1
    for length in tensor.dims:
        size *= max(length, 0)
    if size > _MOST_BYTES // 8 or min(tensor.dims, default=0) < 0:
        raise CompileError(f"constant {tensor.name} must have at most {_MOST_BYTES // 8} elements, not "
                           f"{' x '.join(map(str, tensor.dims))}")
    try:
        array: npt.NDArray[Any] = numpy_helper.to_array(tensor)
    except (TypeError, ValueError, KeyError) as error:
        raise CompileError(f"constant {tensor.name} is damaged: {error}") from error
    if array.dtype.kind not in "iufb":
        raise CompileError(f"constant {tensor.name} must be of integers or floats, not {array.dtype}")
    return array


def _nodes(graph: Any) -> tuple[OnnxNode, ...]:
    nodes = []
    for number, node in enumerate(graph.node):
        name = node.name or f"{node.op_type}_{number}"
        if node.domain not in ("", "ai.onnx", "com.microsoft"):
            raise CompileError(f"node {name} ({node.op_type}): domain must be ONNX's or com.microsoft, not "
                               f"{node.domain}")
        attributes = {each.name: _attribute(name, each) for each in node.attribute}
        nodes.append(OnnxNode(name, node.op_type, tuple(node.input), tuple(node.output), attributes))
    return tuple(nodes)


def _attribute(node: str, attribute: Any) -> Any:
    from onnx import AttributeProto
    match attribute.type:
        case AttributeProto.INT:
            return int(attribute.i)
        case AttributeProto.FLOAT:
            return float(attribute.f)
        case AttributeProto.STRING:
            return attribute.s.decode("utf-8", "replace")
        case AttributeProto.INTS:
            return tuple(map(int, attribute.ints))
        case AttributeProto.FLOATS:
            return tuple(map(float, attribute.floats))
        case AttributeProto.TENSOR:
            return _array(attribute.t)
    raise CompileError(f"node {node}: attribute {attribute.name} must be a number, a string or a tensor")


def _input(value: Any) -> tuple[str, tuple[int, ...], np.dtype[Any]]:
    import onnx
    tensor = value.type.tensor_type
    if tensor.elem_type not in onnx.TensorProto.DataType.values() or not tensor.elem_type:
        raise CompileError(f"input {value.name} must be a tensor")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    # A length that is left open is a batch.
    shape = tuple(each.dim_value if each.HasField("dim_value") and each.dim_value > 0 else 1
                  for each in tensor.shape.dim)
    if not tensor.HasField("shape"):
        raise CompileError(f"input {value.name} must have a shape")
    return value.name, shape, dtype
