"""Values, nodes, graphs."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CompileError
from .operators import Operator

__all__ = ["Graph", "Node", "Quantisation", "Value"]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Quantisation:
    """What integer codes stand for: ``scale * (code - zero_point)``.

    Parameters
    ----------
    scale : float32 array [1] or [N]
        One for all, or one per index of ``axis``. float32 as in the file: what is computed of it says in which width.
    zero_point : int64 array
        Of the same shape.
    axis : int or None
        ``None`` for one scale.
    """

    scale: npt.NDArray[np.float32]
    zero_point: npt.NDArray[np.int64]
    axis: int | None = None

    @property
    def one(self) -> tuple[float, int]:
        """Scale, exactly as a float64, and zero point of a value that has one of each.

        Raises
        ------
        CompileError
            If it has several.
        """
        if self.scale.size != 1:
            raise CompileError(f"quantisation must be per tensor, not with {self.scale.size} scales")
        return float(self.scale.reshape(-1)[0]), int(self.zero_point.reshape(-1)[0])


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Value:
    """An array that a model computes, is given, or has.

    Parameters
    ----------
    name : str
        Unique in the graph.
    shape : tuple of int
    dtype : numpy dtype
        int8 for all that the TPU works on; int32 for biases; float32, uint8 or others at a model's ends.
    quantisation : Quantisation or None
    constant : array or None
        Its values, if they are fixed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    quantisation: Quantisation | None = None
    constant: npt.NDArray[Any] | None = None

    @property
    def size(self) -> int:
        """Elements."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def scale(self) -> tuple[float, int]:
        """Scale and zero point of a value that has one of each; raises CompileError otherwise."""
        if self.quantisation is None:
            raise CompileError(f"value {self.name} must be quantised, and is {self.dtype} without a scale")
        return self.quantisation.one


@dataclasses.dataclass(frozen=True, kw_only=True)
class Node:
    """One application of an operator.

    Parameters
    ----------
    name : str
        Unique in the graph: what reports and errors call it.
    operator : Operator
    inputs, outputs : tuple of str
        Names of values, in the operator's order.
    """

    name: str
    operator: Operator
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def kind(self) -> str:
        """Name of its operator."""
        return self.operator.kind


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """A model.

    Parameters
    ----------
    name : str
    values : dict of str to Value
    nodes : tuple of Node
        In an order of execution: each after those that make its inputs.
    inputs, outputs : tuple of str
        Names of values.
    states : dict of str to array
        Variables that live from one run to the next, and what they are at first.

    Raises
    ------
    CompileError
        If a value is unknown, made twice, or used before it is made.
    """

    name: str
    values: Mapping[str, Value]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    states: Mapping[str, npt.NDArray[Any]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        known = {*self.inputs, *(value.name for value in self.values.values() if value.constant is not None)}
        self._require(self.values, "inputs of the graph", self.inputs)
        for node in self.nodes:
            self._require(known, f"inputs of {node.name}", node.inputs)
            self._require(self.values, f"outputs of {node.name}", node.outputs)
            for name in node.outputs:
                if name in known:
                    raise CompileError(f"value {name} must be made once, not again by {node.name}")
                known.add(name)
        self._require(known, "outputs of the graph", self.outputs)

    @staticmethod
    def _require(known: Mapping[str, Value] | set[str], what: str, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in known:
                raise CompileError(f"{what} must be values that exist by then, not {name!r}")

    def __iter__(self) -> Iterator[Node]:
        return iter(self.nodes)

    def operands(self, node: Node) -> tuple[Value, ...]:
        """Values of a node's inputs."""
        return tuple(self.values[name] for name in node.inputs)

    def results(self, node: Node) -> tuple[Value, ...]:
        """Values of a node's outputs."""
        return tuple(self.values[name] for name in node.outputs)
