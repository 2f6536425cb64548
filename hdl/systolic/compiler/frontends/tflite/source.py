"""A TFLite file as tensors and operators: plain records, every length checked before it is used."""

import dataclasses
import math
import struct
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import tflite

from ...errors import CompileError
from ...graph import Quantisation

__all__ = ["DAMAGE", "Operation", "Source", "Subgraph", "Tensor", "read_source"]

T = TypeVar("T")

#: What reading at wild offsets ends in.
DAMAGE = (struct.error, IndexError, ValueError, TypeError, OverflowError, AttributeError, MemoryError)

#: Elements that a tensor may have.
_MOST_ELEMENTS = 1 << 31

_DTYPES = {tflite.TensorType.FLOAT32: np.float32, tflite.TensorType.INT32: np.int32, tflite.TensorType.UINT8: np.uint8,
           tflite.TensorType.INT64: np.int64, tflite.TensorType.BOOL: np.bool_, tflite.TensorType.INT16: np.int16,
           tflite.TensorType.INT8: np.int8}
_TYPES = {value: name for name, value in vars(tflite.TensorType).items() if not name.startswith("_")}
_OPERATORS = {value: name for name, value in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor; ``dtype`` is None for a type that only its name is known of, such as a resource."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any] | None
    type_name: str
    quantisation: Quantisation | None
    constant: npt.NDArray[Any] | None


@dataclasses.dataclass(frozen=True, eq=False)
class Operation:
    """An operator; an input that is left out is -1. ``options`` has the getters of its table, or is None."""

    number: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any

    def error(self, text: str) -> CompileError:
        """An error that names this operator."""
        return CompileError(f"operator {self.number} ({self.kind}): {text}")

    def option(self, name: str, default: Any = 0) -> Any:
        """An option's value."""
        return getattr(self.options, name)() if self.options is not None else default


@dataclasses.dataclass(frozen=True, eq=False)
class Subgraph:
    """Tensors, operators in order, and numbers of the tensors that come in and go out."""

    tensors: tuple[Tensor, ...]
    operations: tuple[Operation, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """A model; its first subgraph is what runs."""

    name: str
    subgraphs: tuple[Subgraph, ...]


def read_source(content: bytes) -> Source:
    """Parse a file.

    Raises
    ------
    CompileError
        If it is cut off or damaged.
    """
    try:
        model = tflite.Model.GetRootAs(content, 0)
        count = _length(content, model.SubgraphsLength())
        subgraphs = tuple(_subgraph(content, model, model.Subgraphs(number)) for number in range(count))
    except CompileError:
        raise
    except DAMAGE as error:
        raise CompileError(f"model is cut off or damaged: {type(error).__name__}, {error}") from error
    if not subgraphs:
        raise CompileError("model must have a subgraph, and is empty or damaged")
    return Source(name="model", subgraphs=subgraphs)


def _length(content: bytes, count: int) -> int:
    """A vector's length; its elements have four bytes or more each."""
    if not 0 <= count <= len(content) // 4:
        raise CompileError(f"model is cut off or damaged: {count} elements in a file of {len(content)} bytes")
    return count


def _vector(content: bytes, count: int, get: Callable[[int], T]) -> list[T]:
    return [get(number) for number in range(_length(content, count))]


def _subgraph(content: bytes, model: Any, graph: Any) -> Subgraph:
    tensors = tuple(_tensor(content, model, each) for each in _vector(content, graph.TensorsLength(), graph.Tensors))
    operations = tuple(_operation(content, model, number, each) for number, each in enumerate(
        _vector(content, graph.OperatorsLength(), graph.Operators)))
    inputs = tuple(_vector(content, graph.InputsLength(), graph.Inputs))
    outputs = tuple(_vector(content, graph.OutputsLength(), graph.Outputs))
    for what, numbers, least in (("an input", inputs, 0), ("an output", outputs, 0), *(
            (f"operator {each.number} ({each.kind})", each.inputs, -1) for each in operations), *(
            (f"operator {each.number} ({each.kind})", each.outputs, 0) for each in operations)):
        for number in numbers:
            if not least <= number < len(tensors):
                raise CompileError(f"{what} must be of tensors 0 to {len(tensors) - 1}, not {number}")
    return Subgraph(tensors, operations, inputs, outputs)


def _tensor(content: bytes, model: Any, tensor: Any) -> Tensor:
    name = (tensor.Name() or b"").decode("utf-8", "replace") or "tensor"
    # A length that the model leaves open is written as 1.
    shape = tuple(int(each) for each in _vector(content, tensor.ShapeLength(), tensor.Shape))
    if min(shape, default=1) < 0 or math.prod(shape) > _MOST_ELEMENTS:
        raise CompileError(f"tensor {name} must have at most {_MOST_ELEMENTS} elements, not "
                           f"{' x '.join(map(str, shape))}")
    dtype = _DTYPES.get(tensor.Type())
    made = None if dtype is None else np.dtype(dtype)
    return Tensor(name, shape, made, _TYPES.get(tensor.Type(), "unknown"), _quantisation(content, name, shape, tensor),
                  _constant(content, model, name, shape, made, tensor))


def _quantisation(content: bytes, name: str, shape: tuple[int, ...], tensor: Any) -> Quantisation | None:
    table = tensor.Quantization()
    count = _length(content, table.ScaleLength()) if table is not None else 0
    if table is None or not count:
        return None
    scale = np.array([table.Scale(number) for number in range(count)], np.float32)
    zeros = _length(content, table.ZeroPointLength())
    zero = np.array([table.ZeroPoint(number) for number in range(zeros)] or [0], np.int64)
    if zero.size not in (1, count):
        raise CompileError(f"tensor {name} must have as many zero points as scales, not {zero.size} and {count}")
    if not np.all(np.isfinite(scale) & (scale > 0)) or np.abs(zero).max() >= 1 << 31:
        raise CompileError(f"tensor {name} must have positive scales and zero points of 32 bits")
    axis = int(table.QuantizedDimension()) if count > 1 else None
    if axis is not None and not (0 <= axis < len(shape) and shape[axis] == count):
        raise CompileError(f"tensor {name} must have a scale per index of axis {axis}, not {count}")
    return Quantisation(scale=scale, zero_point=np.broadcast_to(zero, scale.shape), axis=axis)


def _constant(content: bytes, model: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any] | None,
              tensor: Any) -> npt.NDArray[Any] | None:
    number = tensor.Buffer()
    if not 0 <= number < _length(content, model.BuffersLength()):
        raise CompileError(f"buffer of tensor {name} must be there, not {number}")
    buffer = model.Buffers(number)
    size = buffer.DataLength()
    if not size or dtype is None:
        return None
    data = buffer.DataAsNumpy() if 0 < size <= len(content) else None
    if data is None or data.size != math.prod(shape) * dtype.itemsize:
        raise CompileError(f"tensor {name} must have {math.prod(shape) * dtype.itemsize} bytes of data, not {size}")
    return np.frombuffer(data.tobytes(), dtype.newbyteorder("<")).astype(dtype).reshape(shape)


def _operation(content: bytes, model: Any, number: int, operator: Any) -> Operation:
    index = operator.OpcodeIndex()
    if not 0 <= index < _length(content, model.OperatorCodesLength()):
        raise CompileError(f"operator {number} must have an operator code that is there, not {index}")
    code = model.OperatorCodes(index)
    # Codes below 127 are in the old field alone in old files, and in both in new ones.
    value = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
    kind = _OPERATORS.get(value, f"unknown operator {value}")
    if kind == "CUSTOM":
        kind = (code.CustomCode() or b"CUSTOM").decode("utf-8", "replace")
    inputs = tuple(_vector(content, operator.InputsLength(), operator.Inputs))
    outputs = tuple(_vector(content, operator.OutputsLength(), operator.Outputs))
    return Operation(number, kind, inputs, outputs, _options(operator))


_OPTIONS = {value: name for name, value in vars(tflite.BuiltinOptions).items() if not name.startswith("_")}


def _options(operator: Any) -> Any:
    """The options' table, with the getters of its type."""
    table, name = operator.BuiltinOptions(), _OPTIONS.get(operator.BuiltinOptionsType(), "NONE")
    if table is None or name == "NONE":
        return None
    options = getattr(tflite, name)()
    options.Init(table.Bytes, table.Pos)
    return options
