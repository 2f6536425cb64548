"""Elementwise operators: sums and products of two maps, functions of one, softmax."""

from collections.abc import Callable

import numpy as np

from ...graph import Quantisation
from ...graph.operators import Add, Dequantize, Mul, Operator, Prelu, Softmax, Sub
from .draft import Draft, Pending, Tensor
from .operands import constant, finished, is_float, linear, tensor
from .source import OnnxNode

__all__ = ["binary", "clip", "function", "qlinear_binary", "qlinear_function", "qlinear_softmax", "relu", "softmax"]

_BINARY: dict[str, type[Add | Sub | Mul | Prelu]] = {"Add": Add, "Sub": Sub, "Mul": Mul, "PRelu": Prelu}


def binary(draft: Draft, node: OnnxNode) -> Pending:
    """Add, Sub, Mul and PRelu on floats that codes stand for."""
    kind = _BINARY[node.operator]
    return _binary(draft, node, tensor(draft, node, 0), tensor(draft, node, 1), kind,
                   lambda name: draft.common_offset(node.input(0), node.input(1), name))


def qlinear_binary(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearAdd and QLinearMul of com.microsoft."""
    kind = _BINARY[node.operator.removeprefix("QLinear")]
    pending = _binary(draft, node, linear(draft, node, 0), linear(draft, node, 3), kind,
                      lambda name: 128 if not node.input(7) or node.input(7) in draft.unsigned else 0)
    return pending.finish(finished(draft, node, 6), -128, 127, node.outputs[0])


def _binary(draft: Draft, node: OnnxNode, first: Tensor, second: Tensor, kind: type[Add | Sub | Mul | Prelu],
            offset: Callable[[str], int | None]) -> Pending:
    for each in (first, second):
        if each.quantisation is None:
            raise node.error("both inputs must be quantised")
    try:
        shape = np.broadcast_shapes(first.shape, second.shape)
    except ValueError as error:
        raise node.error(f"shapes must broadcast, not {list(first.shape)} and {list(second.shape)}") from error

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        maps = [each for each in (first, second) if each.constant is None and each.shape == shape]
        axes = maps[0].axes if maps and maps[0].flattened is None else tuple(range(len(shape)))
        here = [str(draft.arranged(_ranked(draft, each, len(shape)), axes).value) for each in (first, second)]
        if kind is Prelu:
            if (low, high) != (-128, 127):
                raise node.error("no other activation function may follow")
            operator: Operator = Prelu()
        elif kind is Sub:
            operator = Sub(low=low, high=high)
        else:
            operator = (Add if kind is Add else Mul)(low=low, high=high, offset=offset(name))
        return draft.result(name, operator, (here[0], here[1]), shape, quantised, axes=axes)
    return Pending(shape=shape, finish=finish)


def _ranked(draft: Draft, each: Tensor, rank: int) -> Tensor:
    """With leading axes of one, so that axes can be put in any order."""
    if len(each.shape) == rank:
        return each
    shape = (1,) * (rank - len(each.shape)) + each.shape
    if each.constant is not None:
        return Tensor(shape=shape, constant=each.constant.reshape(shape), quantisation=each.quantisation, real=True)
    from .shapes import reshaped
    return reshaped(draft, each, shape, f"{each.value}_ranked")


def relu(draft: Draft, node: OnnxNode) -> Tensor | Pending:
    """Relu: a bound of what is not quantised yet, else a function of codes."""
    return clamped(draft, node, 0.0, np.inf)


def clip(draft: Draft, node: OnnxNode) -> Tensor | Pending:
    """Clip."""
    bounds = []
    for number, (name, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        bound = constant(draft, node, number)
        bounds.append(float(node.attributes.get(name, default)) if bound is None else float(bound.reshape(-1)[0]))
    return clamped(draft, node, *bounds)


_CLAMPS = {(0.0, np.inf): "relu", (0.0, 6.0): "relu6", (0.0, 1.0): "relu_0_to_1", (-1.0, 1.0): "relu_n1_to_1"}


def clamped(draft: Draft, node: OnnxNode, low: float, high: float) -> Tensor | Pending:
    """Clamped to real bounds."""
    found = draft.tensors.get(node.input(0))
    if isinstance(found, Pending):
        return Pending(shape=found.shape, finish=found.finish, low=max(low, found.low), high=min(high, found.high))
    if (low, high) not in _CLAMPS:
        raise node.error(f"bounds behind a quantised tensor must be those of Relu or Relu6, not {low:g} and {high:g}")
    return _function(draft, node, tensor(draft, node), _CLAMPS[low, high])


_FUNCTIONS = {"Sigmoid": "logistic", "Tanh": "tanh", "LeakyRelu": "leaky_relu", "HardSwish": "hard_swish", "Abs": "abs",
              "Neg": "neg", "Elu": "elu", "Exp": "exp", "Sqrt": "sqrt", "HardSigmoid": "hard_sigmoid"}
_ALPHA = {"LeakyRelu": 0.01, "Elu": 1.0, "HardSigmoid": 0.2}


def function(draft: Draft, node: OnnxNode) -> Pending:
    """An elementwise function of floats that codes stand for."""
    return _function(draft, node, tensor(draft, node), _FUNCTIONS[node.operator])


def qlinear_function(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearSigmoid and QLinearLeakyRelu of com.microsoft."""
    pending = _function(draft, node, linear(draft, node, 0), _FUNCTIONS[node.operator.removeprefix("QLinear")])
    return pending.finish(finished(draft, node, 3), -128, 127, node.outputs[0])


def _function(draft: Draft, node: OnnxNode, x: Tensor, name: str) -> Pending:
    if x.quantisation is None or x.constant is not None:
        raise node.error("the input must be quantised")
    alpha = node.attributes.get("alpha", _ALPHA.get(node.operator.removeprefix("QLinear"), 0.0))
    if node.attributes.get("beta", 0.5) != 0.5:
        raise node.error(f"beta must be 0.5, not {node.attributes['beta']:g}")

    def finish(quantised: Quantisation, low: int, high: int, out: str) -> Tensor:
        if (low, high) != (-128, 127):
            raise node.error("no other activation function may follow")
        return draft.requantised(x, quantised, out, name, alpha)
    return Pending(shape=x.shape, finish=finish)


def softmax(draft: Draft, node: OnnxNode) -> Tensor | Pending:
    """Softmax along the last axis, on codes; or on floats, if it stays with them."""
    x = tensor(draft, node)
    if node.attributes.get("axis", -1) not in (-1, len(x.shape) - 1):
        raise node.error(f"axis must be the last, not {node.attributes['axis']}")

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        here = draft.arranged(x)
        assert here.value is not None
        return draft.result(name, Softmax(), (here.value,), x.shape, quantised)

    def plain(name: str) -> Tensor:
        here = draft.arranged(x)
        assert here.value is not None
        if not is_float(x):
            here = draft.result(f"{name}_real", Dequantize(), (here.value,), x.shape, real=True, dtype=np.float32)
        assert here.value is not None
        return draft.result(name, Softmax(), (here.value,), x.shape, real=True, dtype=np.float32)
    return plain(node.outputs[0]) if is_float(x) else Pending(shape=x.shape, finish=finish, plain=plain)


def qlinear_softmax(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearSoftmax of com.microsoft."""
    x = linear(draft, node, 0)
    if node.attributes.get("axis", -1) not in (-1, len(x.shape) - 1):
        raise node.error(f"axis must be the last, not {node.attributes['axis']}")
    here = draft.arranged(x)
    assert here.value is not None
    return draft.result(node.outputs[0], Softmax(), (here.value,), x.shape, finished(draft, node, 3))


def kinds() -> dict[str, Callable[[Draft, OnnxNode], Tensor | Pending]]:
    """Handlers by operator."""
    return {**dict.fromkeys(_BINARY, binary), "QLinearAdd": qlinear_binary, "QLinearMul": qlinear_binary,
            "Relu": relu, "Clip": clip, **dict.fromkeys(_FUNCTIONS, function), "QLinearSigmoid": qlinear_function,
            "QLinearLeakyRelu": qlinear_function, "Softmax": softmax, "QLinearSoftmax": qlinear_softmax}
