"""Operators along one axis, of [N, C, L], as those of a map with one row."""

import dataclasses
from collections.abc import Callable

from ...graph.operators import Reshape
from .draft import CHANNELS_LAST, Draft, Pending, Tensor
from .source import OnnxNode

__all__ = ["also_lines"]

Handler = Callable[[Draft, OnnxNode], Tensor | Pending]

#: Axes of ONNX in the order of a row of pixels in the graph.
_LAST = (0, 2, 1)


def also_lines(handler: Handler, weights: int | None = None) -> Handler:
    """A handler of maps that takes lines as well; ``weights`` is the number of the input that has them."""
    def either(draft: Draft, node: OnnxNode) -> Tensor | Pending:
        x = draft.tensors.get(node.input(0))
        if not isinstance(x, Tensor) or len(x.shape) != 3 or x.constant is not None or x.value is None:
            return handler(draft, node)
        made = handler(draft, _lifted(draft, node, x, weights))
        if isinstance(made, Tensor):
            return _line(draft, made, node.outputs[0])
        shape, finish = (*made.shape[:2], made.shape[3]), made.finish
        return dataclasses.replace(made, shape=shape, plain=None, finish=lambda quantised, low, high, name: _line(
            draft, finish(quantised, low, high, f"{name}_row"), name))
    return either


def _lifted(draft: Draft, node: OnnxNode, x: Tensor, weights: int | None) -> OnnxNode:
    """The node of a row: x, weights and attributes with another axis."""
    inputs, row = list(node.inputs), f"{node.outputs[0]}_x"
    here, (n, channels, length) = draft.arranged(x, _LAST), x.shape
    assert here.value is not None
    draft.tensors[row] = draft.result(row, Reshape(), (here.value,), (n, channels, 1, length), x.quantisation,
                                      axes=CHANNELS_LAST, real=x.real, dtype=draft.values[here.value].dtype)
    inputs[0] = row
    w = draft.tensors.get(node.input(weights)) if weights is not None else None
    if weights is not None and isinstance(w, Tensor) and w.constant is not None and w.constant.ndim == 3:
        inputs[weights] = f"{node.outputs[0]}_w"
        draft.tensors[inputs[weights]] = dataclasses.replace(w, shape=(*w.shape[:2], 1, w.shape[2]),
                                                             constant=w.constant[:, :, None])
    for name, wanted in ((row, node.input(0)), (f"{node.outputs[0]}_row", node.outputs[0])):
        if wanted in draft.offsets:
            draft.offsets[name] = draft.offsets[wanted]
    attributes = dict(node.attributes)
    for name, before in (("kernel_shape", (1,)), ("strides", (1,)), ("dilations", (1,)), ("output_padding", (0,))):
        if len(attributes.get(name, ())) == 1:
            attributes[name] = (*before, *attributes[name])
    if len(attributes.get("pads", ())) == 2:
        attributes["pads"] = (0, attributes["pads"][0], 0, attributes["pads"][1])
    return dataclasses.replace(node, inputs=tuple(inputs), attributes=attributes)


def _line(draft: Draft, row: Tensor, name: str) -> Tensor:
    """[N, C, 1, L] without its axis of one."""
    here = draft.arranged(row, CHANNELS_LAST)
    assert here.value is not None
    return draft.result(name, Reshape(), (here.value,), (*row.shape[:2], row.shape[3]), row.quantisation, axes=_LAST,
                        real=row.real)
