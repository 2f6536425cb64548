"""The graph while it is made: tensors of ONNX, and the values that they are in the graph."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CompileError
from ...graph import Graph, Node, Quantisation, Value
from ...graph.operators import Operator, Reshape, Transpose, Unary

__all__ = ["CHANNELS_LAST", "Draft", "Pending", "Tensor", "codes", "quantisation"]

Shape = tuple[int, ...]

#: Axes of ONNX in the order of a feature map in the graph.
CHANNELS_LAST = (0, 2, 3, 1)

#: No value may be larger: what is, comes from a damaged file.
_MOST_ELEMENTS = 1 << 31


def codes(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """int8 codes for those of uint8, whose zero points :func:`quantisation` moves as well; other types as they are."""
    return (array.astype(np.int16) - 128).astype(np.int8) if array.dtype == np.uint8 else array


def quantisation(scale: npt.NDArray[Any], zero_point: npt.NDArray[Any] | None, axis: int | None = None) -> Quantisation:
    """What codes stand for.

    Parameters
    ----------
    scale : float32 array
    zero_point : int8, uint8 or int32 array, or None for 0 of uint8
    axis : int or None
        Axis of the constant in ONNX's order that several scales belong to.
    """
    zero = np.zeros(scale.shape, np.uint8) if zero_point is None else zero_point
    moved = zero.astype(np.int64) - (128 if zero.dtype == np.uint8 else 0)
    scale, moved = np.broadcast_arrays(np.atleast_1d(scale.astype(np.float32)), np.atleast_1d(moved))
    return Quantisation(scale=scale, zero_point=moved, axis=axis if scale.size > 1 else None)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """What a tensor of ONNX is in the graph.

    Parameters
    ----------
    shape : tuple of int
        In ONNX's order of axes.
    value : str or None
        Value of the graph: int8 codes, or floats. Its axis k is axis ``axes[k]`` of ONNX.
    axes : tuple of int
    constant : array or None
        In ONNX's order, int8 codes for uint8.
    quantisation : Quantisation or None
        Of the codes, if they are known to stand for something.
    real : bool
        Whether the tensor is of floats: those that the codes stand for, if there are codes.
    flattened : tuple of int or None
        For a tensor that was flattened to two axes: by element of the value, which one of ONNX it is.
    """

    shape: Shape
    value: str | None = None
    axes: tuple[int, ...] = ()
    constant: npt.NDArray[Any] | None = None
    quantisation: Quantisation | None = None
    real: bool = False
    flattened: tuple[int, ...] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pending:
    """A result of floats that becomes codes when it is quantised.

    Parameters
    ----------
    shape : tuple of int
    finish : function of (Quantisation, low, high, name) to Tensor
        Adds the node.
    low, high : float
        What an activation function behind it clamps it to.
    plain : function of name to Tensor, or None
        Adds the node on floats, for a result that stays so.
    """

    shape: Shape
    finish: Callable[[Quantisation, int, int, str], Tensor]
    low: float = -np.inf
    high: float = np.inf
    plain: Callable[[str], Tensor] | None = None

    def bounds(self, quantised: Quantisation) -> tuple[int, int]:
        """int8 codes of its bounds."""
        scale, zero = quantised.one
        low, high = (zero + np.rint(np.clip(each / scale, -1e6, 1e6)) for each in (self.low, self.high))
        return max(-128, int(low)), min(127, int(high))


class Draft:
    """A graph that grows.

    Members
    -------
    tensors : dict of str to Tensor or Pending
        By ONNX's names.
    unsigned : set of str
        ONNX's names of tensors of uint8.
    offsets : dict of str to int
        How much more than int8 the codes are that ONNX Runtime has for a tensor: :func:`.offsets`.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor | Pending] = {}
        self.unsigned: set[str] = set()
        self.offsets: dict[str, int] = {}
        self.values: dict[str, Value] = {}
        self._nodes: list[Node] = []

    def common_offset(self, *names: str) -> int | None:
        """That of all these tensors; None if they differ, and an operator is not done on codes."""
        found = {self.offsets.get(name) for name in names}
        return found.pop() if len(found) == 1 else None

    def value(self, name: str, shape: Shape, *, dtype: npt.DTypeLike = np.int8,
              quantised: Quantisation | None = None, constant: npt.NDArray[Any] | None = None) -> str:
        """Add a value; returns its name, with a number behind it if there is one of that name."""
        size = 1
        for length in shape:
            size *= length
        if size > _MOST_ELEMENTS or min(shape, default=1) < 1:
            raise CompileError(f"value {name} must have from 1 to {_MOST_ELEMENTS} elements, not "
                               f"{' x '.join(map(str, shape))}")
        while name in self.values:
            name += "_"
        self.values[name] = Value(name=name, shape=shape, dtype=np.dtype(dtype), quantisation=quantised,
                                  constant=constant)
        return name

    def node(self, name: str, operator: Operator, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """Add a node."""
        taken = {node.name for node in self._nodes}
        while name in taken:
            name += "_"
        self._nodes.append(Node(name=name, operator=operator, inputs=inputs, outputs=outputs))

    def result(self, name: str, operator: Operator, inputs: tuple[str, ...], shape: Shape,
               quantised: Quantisation | None = None, *, axes: tuple[int, ...] | None = None, real: bool = False,
               dtype: npt.DTypeLike = np.int8) -> Tensor:
        """Add a node with one output; shape is of ONNX, and the output has its axes in the order ``axes``."""
        axes = tuple(range(len(shape))) if axes is None else axes
        output = self.value(name, tuple(shape[axis] for axis in axes), quantised=quantised, dtype=dtype)
        self.node(name, operator, inputs, (output,))
        return Tensor(shape=shape, value=output, axes=axes, quantisation=quantised, real=real)

    def arranged(self, tensor: Tensor, axes: tuple[int, ...] | None = None) -> Tensor:
        """The same tensor with its value's axes in another order; ``None`` for that of ONNX."""
        axes = tuple(range(len(tensor.shape))) if axes is None else axes
        if tensor.constant is not None:
            return self._arranged_constant(tensor, axes)
        tensor = self._unflattened(tensor)
        assert tensor.value is not None
        if tensor.axes == axes:
            return tensor
        shape = tuple(tensor.shape[axis] for axis in axes)
        here, there = ([axis for axis in order if tensor.shape[axis] > 1] for order in (tensor.axes, axes))
        operator = Reshape() if here == there else Transpose(permutation=tuple(map(tensor.axes.index, axes)))
        name = self.value(f"{tensor.value}_arranged", shape, quantised=tensor.quantisation,
                          dtype=self.values[tensor.value].dtype)
        self.node(name, operator, (tensor.value,), (name,))
        return dataclasses.replace(tensor, value=name, axes=axes)

    def _arranged_constant(self, tensor: Tensor, axes: tuple[int, ...]) -> Tensor:
        assert tensor.constant is not None
        array = np.ascontiguousarray(tensor.constant.transpose(axes))
        name = self.value("constant", array.shape, dtype=array.dtype, quantised=tensor.quantisation, constant=array)
        return dataclasses.replace(tensor, value=name, axes=axes, constant=None)

    def _unflattened(self, tensor: Tensor) -> Tensor:
        """With its elements in ONNX's order."""
        if tensor.flattened is None:
            return tensor
        assert tensor.value is not None
        (source,) = (node.inputs[0] for node in self._nodes if tensor.value in node.outputs)
        shape = self.values[source].shape
        name = self.value(f"{tensor.value}_turned", (shape[0], shape[3], shape[1], shape[2]),
                          quantised=tensor.quantisation)
        self.node(name, Transpose(permutation=(0, 3, 1, 2)), (source,), (name,))
        flat = self.value(f"{tensor.value}_flat", tensor.shape, quantised=tensor.quantisation)
        self.node(flat, Reshape(), (name,), (flat,))
        return dataclasses.replace(tensor, value=flat, flattened=None)

    def requantised(self, tensor: Tensor, quantised: Quantisation, name: str, function: str = "requantise",
                    alpha: float = 0.0) -> Tensor:
        """An elementwise function of codes: by itself, the same real numbers in another scale."""
        tensor = self._unflattened(tensor)
        if tensor.value is None:
            tensor = self.arranged(tensor)
        assert tensor.value is not None
        return self.result(name, Unary(function=function, alpha=alpha), (tensor.value,), tensor.shape, quantised,
                           axes=tensor.axes)

    def graph(self, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> Graph:
        """The graph, without what no output needs."""
        needed, nodes = set(outputs), []
        for node in reversed(self._nodes):
            if needed & set(node.outputs):
                needed |= set(node.inputs)
                nodes.append(node)
        values = {each: value for each, value in self.values.items() if each in needed | set(inputs)}
        return Graph(name=name, values=values, nodes=tuple(reversed(nodes)), inputs=inputs, outputs=outputs)
