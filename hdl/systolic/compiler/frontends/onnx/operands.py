"""What handlers ask of a node: its tensors, constants, windows, and the quantisation of its result."""

from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph import Quantisation
from .draft import Draft, Pending, Tensor, quantisation
from .source import OnnxNode

__all__ = ["constant", "finished", "integers", "is_float", "linear", "padding", "tensor", "windows"]

Pair = tuple[int, int]


def tensor(draft: Draft, node: OnnxNode, number: int = 0) -> Tensor:
    """A node's input.

    Raises
    ------
    CompileError
        If it is left out, does not exist yet, or is of floats that were never quantised.
    """
    name = node.input(number)
    found = draft.tensors.get(name)
    if found is None:
        raise node.error(f"input {number} must be a tensor that an earlier node makes, not {name!r}")
    if isinstance(found, Pending):
        raise node.error(f"input {name!r} must be quantised, by QuantizeLinear and DequantizeLinear before this node")
    return found


def constant(draft: Draft, node: OnnxNode, number: int) -> npt.NDArray[Any] | None:
    """A constant input in ONNX's order, or None if it is left out; raises CompileError if it is not constant."""
    if not node.input(number):
        return None
    found = tensor(draft, node, number)
    if found.constant is None:
        raise node.error(f"input {node.input(number)!r} must be constant")
    return found.constant


def integers(draft: Draft, node: OnnxNode, name: str, number: int) -> tuple[int, ...] | None:
    """Integers that are an attribute in old opsets and an input in new ones; None if they are neither."""
    if name in node.attributes:
        value = node.attributes[name]
        return (value,) if isinstance(value, int) else tuple(value)
    array = constant(draft, node, number)
    return None if array is None else tuple(map(int, array.reshape(-1)))


def is_float(found: Tensor) -> bool:
    """Whether it is of floats that no codes stand for."""
    return found.real and found.quantisation is None


def linear(draft: Draft, node: OnnxNode, number: int) -> Tensor:
    """An input of an operator on integers: three inputs of the node, the tensor, its scale and its zero point.

    A constant gets its per-channel axis from the operator.
    """
    scale, zero = constant(draft, node, number + 1), constant(draft, node, number + 2)
    if scale is None:
        raise node.error(f"input {number + 1} must be a scale")
    found, quantised = tensor(draft, node, number), quantisation(scale, _raw(zero, draft, node, number + 2))
    return Tensor(shape=found.shape, value=found.value, axes=found.axes, constant=found.constant, real=True,
                  quantisation=quantised, flattened=found.flattened)


def finished(draft: Draft, node: OnnxNode, number: int) -> Quantisation:
    """Quantisation of the result of an operator on integers, from its scale and zero point."""
    scale = constant(draft, node, number)
    if scale is None:
        raise node.error(f"input {number} must be a scale")
    return quantisation(scale, _raw(constant(draft, node, number + 1), draft, node, number + 1))


def _raw(zero: npt.NDArray[Any] | None, draft: Draft, node: OnnxNode, number: int) -> npt.NDArray[Any] | None:
    """A zero point as it is in the file: constants of uint8 are kept as int8 codes."""
    if zero is None or node.input(number) not in draft.unsigned:
        return zero
    return (zero.astype(np.int16) + 128).astype(np.uint8)


def windows(node: OnnxNode, size: Pair, kernel: Pair) -> tuple[Pair, Pair, tuple[Pair, Pair], Pair]:
    """Strides, dilations, padding, and the output's size, of windows over a map of that size."""
    for name, length in (("strides", 2), ("dilations", 2), ("pads", 4)):
        if name in node.attributes and len(node.attributes[name]) != length:
            raise node.error(f"{name} must be {length} numbers, not {list(node.attributes[name])}")
    strides, dilations = (node.attributes.get(name, (1, 1)) for name in ("strides", "dilations"))
    if min(*strides, *dilations, *kernel) < 1:
        raise node.error(f"kernel, strides and dilations must be positive, not {kernel}, {strides}, {dilations}")
    spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
    pads = padding(node, size, spans, strides)
    out, reached = [], []
    for length, span, step, (before, after) in zip(size, spans, strides, pads, strict=True):
        room = length + before + after - span
        if room < 0:
            raise node.error(f"a window of {span} must fit into {length + before + after} pixels")
        # A window that begins behind the map is none.
        beyond = -room % step if node.attributes.get("ceil_mode", 0) else 0
        if beyond and room + beyond >= length + before:
            beyond -= step
        out.append((room + beyond) // step + 1)
        reached.append((before, after + max(beyond, 0)))
    return strides, dilations, (reached[0], reached[1]), (out[0], out[1])


def padding(node: OnnxNode, size: Pair, spans: list[int], strides: Pair) -> tuple[Pair, Pair]:
    """((top, bottom), (left, right)) of ``auto_pad`` and ``pads``."""
    auto = node.attributes.get("auto_pad", "NOTSET") or "NOTSET"
    if auto == "NOTSET":
        top, left, bottom, right = node.attributes.get("pads", (0, 0, 0, 0))
        if min(top, left, bottom, right) < 0:
            raise node.error("pads must not be negative")
        return (top, bottom), (left, right)
    if auto == "VALID":
        return (0, 0), (0, 0)
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise node.error(f"auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, not {auto}")
    pairs = []
    for length, span, step in zip(size, spans, strides, strict=True):
        total = max((-(-length // step) - 1) * step + span - length, 0)
        less, more = total // 2, total - total // 2
        pairs.append((less, more) if auto == "SAME_UPPER" else (more, less))
    return pairs[0], pairs[1]
