"""A compiled model as plain data and a list of arrays, and back: what a program file holds.

Tuples are lists in it, arrays are numbers into the list, an operator is its kind and its fields.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import isa
from ..compiler import Image, Program, Variable
from ..compiler.compiled import CompiledModel, HostStep, TpuStep
from ..compiler.graph import Graph, Node, Quantisation, Value, operators
from ..compiler.layout import Layout
from ..compiler.match import Match
from ..tpu_config import TpuConfig

__all__ = ["describe_model", "model_of"]

Array = npt.NDArray[Any]


def describe_model(compiled: CompiledModel, arrays: list[Array]) -> dict[str, Any]:
    """Plain data of a model but its configuration; its arrays are added to the list."""
    return {"match": compiled.match.value, "graph": _describe_graph(compiled.graph, arrays),
            "image": _describe_image(compiled.image, arrays), "steps": list(map(_describe_step, compiled.steps))}


def model_of(data: Mapping[str, Any], arrays: Sequence[Array], config: TpuConfig) -> CompiledModel:
    """The model of :func:`describe_model`."""
    graph = _graph(data["graph"], arrays)
    nodes = {node.name: node for node in graph}
    return CompiledModel(graph=graph, config=config, match=Match(data["match"]), image=_image(data["image"], arrays),
                         steps=tuple(_step(each, nodes) for each in data["steps"]))


def _put(array: Array | None, arrays: list[Array]) -> int | None:
    if array is None:
        return None
    arrays.append(np.asarray(array))
    return len(arrays) - 1


def _get(number: int | None, arrays: Sequence[Array]) -> Array | None:
    return None if number is None else arrays[number]


def _tuples(data: Any) -> Any:
    """Lists as tuples, all the way down."""
    return tuple(map(_tuples, data)) if isinstance(data, list) else data


# Graphs.

def _describe_graph(graph: Graph, arrays: list[Array]) -> dict[str, Any]:
    return {"name": graph.name, "inputs": graph.inputs, "outputs": graph.outputs,
            "values": [_describe_value(value, arrays) for value in graph.values.values()],
            "nodes": [_describe_node(node) for node in graph],
            "states": {name: _put(values, arrays) for name, values in graph.states.items()}}


def _graph(data: Mapping[str, Any], arrays: Sequence[Array]) -> Graph:
    values = [_value(each, arrays) for each in data["values"]]
    return Graph(name=data["name"], inputs=_tuples(data["inputs"]), outputs=_tuples(data["outputs"]),
                 values={value.name: value for value in values}, nodes=tuple(map(_node, data["nodes"])),
                 states={name: arrays[number] for name, number in data["states"].items()})


def _describe_value(value: Value, arrays: list[Array]) -> dict[str, Any]:
    quantisation = value.quantisation
    return {"name": value.name, "shape": value.shape, "dtype": np.dtype(value.dtype).str,
            "constant": _put(value.constant, arrays),
            "quantisation": None if quantisation is None else {
                "scale": quantisation.scale.tolist(), "zero_point": quantisation.zero_point.tolist(),
                "axis": quantisation.axis}}


def _value(data: Mapping[str, Any], arrays: Sequence[Array]) -> Value:
    found = data["quantisation"]
    quantisation = None if found is None else Quantisation(
        scale=np.array(found["scale"], np.float32), zero_point=np.array(found["zero_point"], np.int64),
        axis=found["axis"])
    return Value(name=data["name"], shape=_tuples(data["shape"]), dtype=np.dtype(data["dtype"]),
                 quantisation=quantisation, constant=_get(data["constant"], arrays))


def _describe_node(node: Node) -> dict[str, Any]:
    return {"name": node.name, "kind": node.kind, "fields": dataclasses.asdict(node.operator), "inputs": node.inputs,
            "outputs": node.outputs}


def _node(data: Mapping[str, Any]) -> Node:
    if data["kind"] not in operators.__all__:
        raise ValueError(f"there is no operator {data['kind']}")
    fields = {name: _tuples(value) for name, value in data["fields"].items()}
    operator = getattr(operators, data["kind"])(**fields)
    return Node(name=data["name"], operator=operator, inputs=_tuples(data["inputs"]), outputs=_tuples(data["outputs"]))


# Images.

def _describe_image(image: Image, arrays: list[Array]) -> dict[str, Any]:
    return {"base": image.base, "content": _put(image.content, arrays), "macs": image.macs,
            "programs": [[program.address, program.length] for program in image.programs],
            "inputs": _describe_variables(image.inputs), "outputs": _describe_variables(image.outputs)}


def _image(data: Mapping[str, Any], arrays: Sequence[Array]) -> Image:
    content, base = arrays[data["content"]], data["base"]

    def program(address: int, length: int) -> Program:
        code = content[address - base:address - base + isa.BYTES * length].tobytes()
        return Program(address=address, operations=tuple(isa.decode(code)))

    return Image(base=base, content=content, macs=data["macs"],
                 programs=tuple(program(*each) for each in data["programs"]), inputs=_variables(data["inputs"]),
                 outputs=_variables(data["outputs"]))


def _describe_variables(variables: Mapping[str, Variable]) -> dict[str, Any]:
    return {name: dataclasses.asdict(variable) for name, variable in variables.items()}


def _variables(data: Mapping[str, Any]) -> dict[str, Variable]:
    return {name: Variable(address=each["address"], layout=Layout(**each["layout"]), fill=each["fill"])
            for name, each in data.items()}


# Steps.

def _describe_step(step: TpuStep | HostStep) -> dict[str, Any]:
    if isinstance(step, HostStep):
        return {"node": step.node.name, "reason": step.reason}
    return {"program": step.program, "inputs": dict(step.inputs), "outputs": dict(step.outputs), "layers": step.layers}


def _step(data: Mapping[str, Any], nodes: Mapping[str, Node]) -> TpuStep | HostStep:
    if "node" in data:
        return HostStep(node=nodes[data["node"]], reason=data["reason"])
    return TpuStep(program=data["program"], inputs=data["inputs"], outputs=data["outputs"],
                   layers=_tuples(data["layers"]))
