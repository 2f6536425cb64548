"""The graph while it is made."""

import dataclasses
import math
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CompileError
from ...graph import Graph, Node, Quantisation, Value
from ...graph.operators import Operator
from .source import Operation, Subgraph, Tensor

__all__ = ["Draft", "activation"]

Shape = tuple[int, ...]

#: Real bounds of fused activation functions, by their number in the file.
_ACTIVATIONS = {0: (-math.inf, math.inf), 1: (0.0, math.inf), 2: (-1.0, 1.0), 3: (0.0, 6.0)}


def activation(operation: Operation, number: int, quantised: Quantisation | None) -> tuple[int, int]:
    """int8 bounds of a fused activation function on an output so quantised."""
    if number not in _ACTIVATIONS:
        raise operation.error(f"the fused activation function must be none or a ReLU, not number {number}")
    if number == 0 or quantised is None:
        return -128, 127
    scale, zero = quantised.one
    low, high = _ACTIVATIONS[number]
    codes = [zero + math.floor(abs(bound) / scale + 0.5) * (-1 if bound < 0 else 1)
             for bound in (low, min(high, 1e6 * scale))]
    return min(max(-128, codes[0]), 127), max(min(127, codes[1]), -128)


class Draft:
    """A graph that grows from a subgraph.

    Members
    -------
    subgraph : Subgraph
    values : dict of str to Value
    states : dict of str to array
    """

    def __init__(self, subgraph: Subgraph) -> None:
        self.subgraph = subgraph
        self.values: dict[str, Value] = {}
        self.states: dict[str, npt.NDArray[Any]] = {}
        self.variables: dict[int, str] = {}  # number of a resource tensor to name of the variable
        self._nodes: list[Node] = []
        self._known: dict[int, Tensor] = {}
        self._names: dict[int, str] = {}
        self._taken: set[str] = set()

    def tensor(self, number: int) -> Tensor:
        """A tensor of the file, with its values if they are known by now."""
        return self._known.get(number, self.subgraph.tensors[number])

    def known(self, operation: Operation, array: npt.NDArray[Any]) -> None:
        """Say that an operator's output is a constant."""
        out = self.output(operation)
        if out.dtype is None or array.size != math.prod(out.shape):
            raise operation.error(f"output {out.name} must have {array.size} elements, not {list(out.shape)}")
        constant = array.astype(out.dtype).reshape(out.shape)
        self._known[operation.outputs[0]] = dataclasses.replace(out, constant=constant)

    def name(self, number: int) -> str:
        """Name of the value of a tensor, which is added if there is none."""
        if number not in self._names:
            tensor = self.tensor(number)
            if tensor.dtype is None:
                raise CompileError(f"tensor {tensor.name} must be of int8, and is of {tensor.type_name}")
            self._names[number] = self.value(tensor.name, tensor.shape, dtype=tensor.dtype,
                                             quantised=tensor.quantisation, constant=tensor.constant)
        return self._names[number]

    def alias(self, number: int, name: str) -> None:
        """Say that a tensor is a value that there is."""
        self._names[number] = name

    def value(self, name: str, shape: Shape, *, dtype: npt.DTypeLike = np.int8, quantised: Quantisation | None = None,
              constant: npt.NDArray[Any] | None = None) -> str:
        """Add a value; returns its name, with underscores behind it if there is one of that name."""
        while name in self.values:
            name += "_"
        self.values[name] = Value(name=name, shape=shape, dtype=np.dtype(dtype), quantisation=quantised,
                                  constant=constant)
        return name

    def node(self, operator: Operator, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> None:
        """Add a node, named after its output; of the names that a converter has joined, after the last."""
        name = (outputs or inputs)[0].rstrip(";").split(";")[-1]
        while name in self._taken:
            name += "_"
        self._taken.add(name)
        self._nodes.append(Node(name=name, operator=operator, inputs=inputs, outputs=outputs))

    def result(self, operation: Operation, operator: Operator, inputs: tuple[str, ...], output: int = 0) -> None:
        """Add a node for an operator's output."""
        if output >= len(operation.outputs):
            raise operation.error(f"must have {output + 1} outputs, not {len(operation.outputs)}")
        self.node(operator, inputs, (self.name(operation.outputs[output]),))

    def input(self, operation: Operation, number: int) -> int:
        """Number of the tensor that is an input; CompileError if it is left out."""
        if number >= len(operation.inputs) or operation.inputs[number] < 0:
            raise operation.error(f"must have input {number}")
        return operation.inputs[number]

    def constant(self, operation: Operation, number: int) -> npt.NDArray[Any]:
        """A constant input."""
        tensor = self.tensor(self.input(operation, number))
        if tensor.constant is None:
            raise operation.error(f"input {number}, {tensor.name}, must be constant")
        return tensor.constant

    def quantised(self, operation: Operation, number: int) -> Quantisation:
        """Quantisation of an int8 input."""
        tensor = self.tensor(self.input(operation, number))
        if tensor.dtype != np.int8 or tensor.quantisation is None:
            raise operation.error(f"input {number}, {tensor.name}, must be int8 and quantised, and is "
                                  f"{tensor.type_name}")
        return tensor.quantisation

    def output(self, operation: Operation, number: int = 0) -> Tensor:
        """An output tensor."""
        if number >= len(operation.outputs):
            raise operation.error(f"must have {number + 1} outputs, not {len(operation.outputs)}")
        return self.tensor(operation.outputs[number])

    def graph(self, name: str) -> Graph:
        """The graph."""
        inputs, outputs = (tuple(map(self.name, numbers)) for numbers in (self.subgraph.inputs, self.subgraph.outputs))
        needed = {*inputs, *outputs}.union(*(node.inputs + node.outputs for node in self._nodes))
        values = {each: value for each, value in self.values.items() if each in needed}
        return Graph(name=name, values=values, nodes=tuple(self._nodes), inputs=inputs, outputs=outputs,
                     states=self.states)
