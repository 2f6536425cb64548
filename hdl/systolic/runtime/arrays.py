"""Inputs of a model: what they must be, one or several at a time, and random ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..compiler.graph import Graph, Value
from ..errors import UserError

__all__ = ["InputError", "Array", "batch", "bind", "random_inputs"]

Array = npt.NDArray[Any]


class InputError(UserError, ValueError):
    """An input is not what the model takes; the message names it and says what is expected."""


def describe(value: Value) -> str:
    """Type and shape, as errors and reports say it."""
    return f"{value.dtype} {list(value.shape)}"


def bind(graph: Graph, x: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
    """Inputs by name, of an array or of arrays by name.

    Raises
    ------
    InputError
        If an input is missing, unknown, or of another type or shape.
    """
    given = _by_name(graph, x)
    for name in graph.inputs:
        array, value = given[name], graph.values[name]
        if array.dtype != value.dtype or array.shape != value.shape:
            raise InputError(f"input {name} must be {describe(value)}, not {array.dtype} {list(array.shape)}")
    return given


def _by_name(graph: Graph, x: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> dict[str, Array]:
    if isinstance(x, Mapping):
        given = {name: np.asarray(array) for name, array in x.items()}
    elif len(graph.inputs) == 1:
        given = {graph.inputs[0]: np.asarray(x)}
    else:
        raise InputError(f"inputs must be given by name: {_wanted(graph)}")
    if set(given) != set(graph.inputs):
        raise InputError(f"inputs must be {_wanted(graph)}, not {', '.join(given) or 'none'}")
    return given


def _wanted(graph: Graph) -> str:
    return ", ".join(f"{name} {describe(graph.values[name])}" for name in graph.inputs) or "none"


def batch(graph: Graph, x: npt.ArrayLike | Mapping[str, npt.ArrayLike]) -> tuple[list[dict[str, Array]], str]:
    """Inputs of several runs, and how their outputs are put together again.

    An input may have one more axis in front, or more than one along a first axis that is 1 in the model.

    Returns
    -------
    runs : list of dict of str to array
    join : str
        ``"one"`` for a single run, ``"stack"`` for an axis in front, ``"concatenate"`` along the first.

    Raises
    ------
    InputError
        If an input is missing, unknown, of another type or shape, or if numbers of runs differ.
    """
    given = _by_name(graph, x)
    kinds = {name: _runs(graph.values[name], given[name]) for name in graph.inputs}
    for name, kind in kinds.items():
        if kind is None:
            array, value = given[name], graph.values[name]
            raise InputError(f"input {name} must be {describe(value)}, or several of them along an axis in front, not "
                             f"{array.dtype} {list(array.shape)}")
    if len(set(kinds.values())) > 1:
        counts = ", ".join(f"{name} {list(given[name].shape)}" for name in kinds)
        raise InputError(f"inputs must be of the same number of runs, not {counts}")
    join, count = next(iter(kinds.values())) or ("one", 1)
    if join == "one":
        return [given], join
    split = {name: given[name].reshape(count, *graph.values[name].shape) for name in kinds}
    return [{name: arrays[number] for name, arrays in split.items()} for number in range(count)], join


def _runs(value: Value, array: Array) -> tuple[str, int] | None:
    if array.dtype != value.dtype:
        return None
    if array.shape == value.shape:
        return "one", 1
    if array.shape[1:] == value.shape and array.ndim == len(value.shape) + 1 and len(array):
        return "stack", len(array)
    if value.shape[:1] == (1,) and array.ndim == len(value.shape) and array.shape[1:] == value.shape[1:] and len(array):
        return "concatenate", len(array)
    return None


def random_inputs(graph: Graph, seed: int) -> dict[str, Array]:
    """Inputs drawn from a seed: all codes of an integer type; floats over the range that the model's codes can hold."""
    rng = np.random.default_rng(seed)
    return {name: _random(graph, graph.values[name], rng) for name in graph.inputs}


def _random(graph: Graph, value: Value, rng: np.random.Generator) -> Array:
    if value.dtype.kind in "iu":
        limits = np.iinfo(value.dtype)
        return rng.integers(limits.min, limits.max, value.shape, value.dtype, endpoint=True)
    if value.dtype.kind != "f":
        raise InputError(f"input {value.name} must be given: there are no random values of {value.dtype}")
    low, high = next((_range(graph.values[node.outputs[0]]) for node in graph
                      if node.kind == "Quantize" and value.name in node.inputs), (0.0, 1.0))
    return rng.uniform(low, high, value.shape).astype(value.dtype)


def _range(codes: Value) -> tuple[float, float]:
    limits, (scale, zero_point) = np.iinfo(codes.dtype), codes.scale
    return scale * (limits.min - zero_point), scale * (limits.max - zero_point)
