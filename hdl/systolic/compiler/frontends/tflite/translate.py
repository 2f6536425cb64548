"""From operators of TFLite to a graph: what begins and ends quantisation, variables, and a handler for each other."""

import dataclasses
from collections.abc import Callable

import numpy as np

from ...errors import CompileError
from ...graph import Graph, Quantisation
from ...graph.operators import AssignVariable, Dequantize, Quantize, ReadVariable, Unary
from . import maps, moves, products
from .arithmetic import folded
from .draft import Draft
from .source import DAMAGE, Operation, Source, Tensor, read_source

__all__ = ["read_tflite"]

_CODES = (np.dtype(np.int8), np.dtype(np.uint8))


def read_tflite(content: bytes) -> Graph:
    """The graph of a TFLite model.

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
        If the file is damaged, or has what is not supported; the message names the operator.
    """
    try:
        return _translated(read_source(content))
    except CompileError:
        raise
    except DAMAGE as error:  # options are read when they are asked for
        raise CompileError(f"model is cut off or damaged: {type(error).__name__}, {error}") from error


def _translated(source: Source) -> Graph:
    draft = Draft(source.subgraphs[0])
    for operation in draft.subgraph.operations:
        if folded(draft, operation):
            continue
        if operation.kind not in _HANDLERS and operation.kind != "CALL_ONCE":
            raise operation.error(f"is not supported; supported are {', '.join(sorted([*_HANDLERS, 'CALL_ONCE']))}")
        if operation.kind == "CALL_ONCE":
            _initialise(draft, source, operation)
        else:
            _HANDLERS[operation.kind](draft, operation)
    if not draft.subgraph.outputs:
        raise CompileError("model must have outputs, and has none")
    return draft.graph(source.name)


def quantize(draft: Draft, operation: Operation) -> None:
    """QUANTIZE: from floats, or between int8 and uint8, in whatever scales."""
    number = draft.input(operation, 0)
    x, y, name = draft.tensor(number), draft.output(operation), draft.name(number)
    if y.quantisation is None or y.dtype not in _CODES or not (
            x.dtype == np.float32 or (x.dtype in _CODES and x.quantisation is not None)):
        raise operation.error(f"must be from float32, int8 or uint8 to int8 or uint8, not {x.type_name} to "
                              f"{y.type_name}")
    if x.dtype == y.dtype == np.int8:
        draft.result(operation, Unary(function="requantise"), (name,))
        return
    if x.dtype == y.dtype:
        name = _convert(draft, f"{x.name}_codes", name, _signed(x))
        made = draft.value(f"{y.name}_codes", y.shape, quantised=_signed(y))
        draft.node(Unary(function="requantise"), (name,), (made,))
        name = made
    elif x.dtype == np.float32 and y.dtype == np.uint8:
        name = _convert(draft, f"{y.name}_codes", name, _signed(y))
    draft.result(operation, Quantize(), (name,))


def _signed(tensor: Tensor) -> Quantisation:
    """Of the int8 codes 128 less than a tensor's uint8 ones."""
    assert tensor.quantisation is not None
    return dataclasses.replace(tensor.quantisation, zero_point=tensor.quantisation.zero_point - 128)


def _convert(draft: Draft, name: str, source: str, quantised: Quantisation) -> str:
    made = draft.value(name, draft.values[source].shape, quantised=quantised)
    draft.node(Quantize(), (source,), (made,))
    return made


def dequantize(draft: Draft, operation: Operation) -> None:
    """DEQUANTIZE."""
    number = draft.input(operation, 0)
    x, name = draft.tensor(number), draft.name(number)
    if x.quantisation is None or x.dtype not in (np.dtype(np.int8), np.dtype(np.uint8)):
        raise operation.error(f"must be from int8 or uint8, not {x.type_name}")
    if x.dtype == np.uint8:
        name = _convert(draft, f"{x.name}_codes", name, _signed(x))
    draft.result(operation, Dequantize(), (name,))


def handle(draft: Draft, operation: Operation) -> None:
    """VAR_HANDLE: a variable by its name."""
    name = operation.option("SharedName", None) or b""
    if not operation.outputs:
        raise operation.error("must have an output")
    draft.variables[operation.outputs[0]] = name.decode("utf-8", "replace") or f"variable {operation.outputs[0]}"


def _variable(draft: Draft, operation: Operation) -> str:
    number = draft.input(operation, 0)
    if number not in draft.variables:
        raise operation.error(f"input 0, {draft.tensor(number).name}, must be a variable's handle")
    return draft.variables[number]


def read(draft: Draft, operation: Operation) -> None:
    """READ_VARIABLE."""
    name, tensor = _variable(draft, operation), draft.output(operation)
    if tensor.dtype != np.int8 or tensor.quantisation is None:
        raise operation.error(f"the variable must be int8 and quantised, and is {tensor.type_name}")
    # As it is before it was ever assigned.
    draft.states.setdefault(name, np.zeros(tensor.shape, np.int8))
    if draft.states[name].shape != tensor.shape:
        raise operation.error(f"variable {name} must be {list(draft.states[name].shape)}, not {list(tensor.shape)}")
    draft.result(operation, ReadVariable(variable=name), ())


def assign(draft: Draft, operation: Operation) -> None:
    """ASSIGN_VARIABLE."""
    name, number = _variable(draft, operation), draft.input(operation, 1)
    draft.states.setdefault(name, np.zeros(draft.tensor(number).shape, np.int8))
    if draft.states[name].shape != draft.tensor(number).shape:
        raise operation.error(f"variable {name} must be {list(draft.states[name].shape)}, not "
                              f"{list(draft.tensor(number).shape)}")
    draft.node(AssignVariable(variable=name), (draft.name(number),), ())


def _initialise(draft: Draft, source: Source, operation: Operation) -> None:
    """CALL_ONCE: a subgraph that gives variables their first values."""
    number = operation.option("InitSubgraphIndex")
    if not 0 < number < len(source.subgraphs):
        raise operation.error(f"the subgraph must be one of 1 to {len(source.subgraphs) - 1}, not {number}")
    first = Draft(source.subgraphs[number])
    for each in first.subgraph.operations:
        if each.kind == "VAR_HANDLE":
            handle(first, each)
        elif each.kind == "ASSIGN_VARIABLE":
            values = first.constant(each, 1)
            if values.dtype != np.int8:
                raise each.error(f"the variable must be int8, not {values.dtype}")
            draft.states[_variable(first, each)] = values
        else:
            raise each.error("a subgraph that initialises must have VAR_HANDLE and ASSIGN_VARIABLE alone")


_HANDLERS: dict[str, Callable[[Draft, Operation], None]] = {
    "QUANTIZE": quantize, "DEQUANTIZE": dequantize, "VAR_HANDLE": handle, "READ_VARIABLE": read,
    "ASSIGN_VARIABLE": assign, **products.KINDS, **maps.KINDS, **moves.KINDS,
}
