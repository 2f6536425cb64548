"""Operators that compute nothing: other shapes, other orders, parts and joins."""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from ...graph import Quantisation
from ...graph.operators import Concatenate, Pad, Reshape, ResizeNearest, Slice
from .draft import CHANNELS_LAST, Draft, Pending, Tensor
from .operands import constant, finished, integers, linear, tensor
from .source import OnnxNode

__all__ = ["kinds", "reshaped"]


def reshaped(draft: Draft, x: Tensor, shape: tuple[int, ...], name: str) -> Tensor:
    """The same elements, in ONNX's order, in another shape."""
    if x.constant is not None:
        return dataclasses.replace(x, shape=shape, constant=x.constant.reshape(shape))
    if shape == x.shape:
        return x
    flat = math.prod(x.shape[1:])
    assert x.value is not None
    if x.axes == CHANNELS_LAST and shape == (x.shape[0], flat) and x.flattened is None:
        order = np.arange(flat).reshape(x.shape[1:]).transpose(1, 2, 0).reshape(-1)
        whole = np.array_equal(order, np.arange(flat))
        made = draft.result(name, Reshape(), (x.value,), shape, x.quantisation, real=x.real)
        return dataclasses.replace(made, flattened=None if whole else tuple(map(int, order)))
    x = draft.arranged(x)
    assert x.value is not None
    return draft.result(name, Reshape(), (x.value,), shape, x.quantisation, real=x.real,
                        dtype=draft.values[x.value].dtype)


def reshape(draft: Draft, node: OnnxNode) -> Tensor:
    """Reshape: -1 for what is left, 0 for what was there."""
    x, wanted = tensor(draft, node), integers(draft, node, "shape", 1)
    if wanted is None:
        raise node.error("shape must be constant")
    if any(length == 0 and number >= len(x.shape) for number, length in enumerate(wanted)):
        raise node.error(f"shape must not copy axes that are not there, as {list(wanted)} does")
    lengths = [x.shape[number] if length == 0 else length for number, length in enumerate(wanted)]
    size, known = math.prod(x.shape), math.prod(length for length in lengths if length != -1)
    if lengths.count(-1) == 1 and known and size % known == 0:
        lengths[lengths.index(-1)] = size // known
    if math.prod(lengths) != size or min(lengths, default=1) < 1:
        raise node.error(f"shape must have {size} elements, as {list(x.shape)}, not {list(wanted)}")
    return reshaped(draft, x, tuple(lengths), node.outputs[0])


def flatten(draft: Draft, node: OnnxNode) -> Tensor:
    """Flatten to two axes."""
    x, axis = tensor(draft, node), node.attributes.get("axis", 1)
    axis %= len(x.shape) + 1
    return reshaped(draft, x, (math.prod(x.shape[:axis]), math.prod(x.shape[axis:])), node.outputs[0])


def squeeze(draft: Draft, node: OnnxNode) -> Tensor:
    """Squeeze."""
    x, axes = tensor(draft, node), integers(draft, node, "axes", 1)
    gone = {axis % len(x.shape) for axis in axes} if axes else {k for k, length in enumerate(x.shape) if length == 1}
    if any(x.shape[axis] != 1 for axis in gone):
        raise node.error(f"axes must be of length 1, not {sorted(gone)} of {list(x.shape)}")
    return reshaped(draft, x, tuple(n for k, n in enumerate(x.shape) if k not in gone), node.outputs[0])


def unsqueeze(draft: Draft, node: OnnxNode) -> Tensor:
    """Unsqueeze."""
    x, axes = tensor(draft, node), integers(draft, node, "axes", 1)
    if axes is None:
        raise node.error("axes must be constant")
    rank, left = len(x.shape) + len(axes), list(x.shape)
    new = {axis % rank for axis in axes}
    return reshaped(draft, x, tuple(1 if axis in new else left.pop(0) for axis in range(rank)), node.outputs[0])


def transpose(draft: Draft, node: OnnxNode) -> Tensor:
    """Transpose: until somebody needs it, nothing but another order of names."""
    x = tensor(draft, node)
    order = node.attributes.get("perm", tuple(reversed(range(len(x.shape)))))
    if sorted(order) != list(range(len(x.shape))):
        raise node.error(f"perm must be an order of {len(x.shape)} axes, not {list(order)}")
    shape = tuple(x.shape[axis] for axis in order)
    if x.constant is not None:
        return dataclasses.replace(x, shape=shape, constant=x.constant.transpose(order))
    if x.flattened is not None:
        x = draft.arranged(x)
    return dataclasses.replace(x, shape=shape, axes=tuple(order.index(axis) for axis in x.axes))


def concat(draft: Draft, node: OnnxNode) -> Tensor | Pending:
    """Concat on codes of any scales."""
    found = [tensor(draft, node, number) for number in range(len(node.inputs))]
    if all(each.constant is not None and each.quantisation is None for each in found):
        array = np.concatenate([each.constant for each in found if each.constant is not None], node.attributes["axis"])
        return Tensor(shape=array.shape, constant=array)
    return _concat(draft, node, found)


def qlinear_concat(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearConcat of com.microsoft: scale and zero point of the result first."""
    found = [linear(draft, node, number) for number in range(2, len(node.inputs), 3)]
    return _concat(draft, node, found).finish(finished(draft, node, 0), -128, 127, node.outputs[0])


def _concat(draft: Draft, node: OnnxNode, found: list[Tensor]) -> Pending:
    rank = len(found[0].shape)
    axis = node.attributes.get("axis", 0) % rank
    rest = {(each.shape[:axis], each.shape[axis + 1:]) for each in found}
    if len(rest) > 1 or any(each.quantisation is None for each in found):
        raise node.error("inputs must be quantised and differ in length along the axis alone")
    shape = (*found[0].shape[:axis], sum(each.shape[axis] for each in found), *found[0].shape[axis + 1:])

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        axes = next((each.axes for each in found if each.constant is None and each.flattened is None),
                    tuple(range(rank)))
        parts = [draft.arranged(each, axes) for each in found]
        names = tuple(str(each.value) for each in parts)
        return draft.result(name, Concatenate(axis=axes.index(axis)), names, shape, quantised, axes=axes)
    return Pending(shape=shape, finish=finish)


def pad(draft: Draft, node: OnnxNode) -> Tensor:
    """Pad with a constant."""
    x, pads = tensor(draft, node), integers(draft, node, "pads", 1)
    if node.attributes.get("mode", "constant") != "constant" or pads is None or len(pads) != 2 * len(x.shape):
        raise node.error("must pad with a constant, by two numbers per axis")
    if min(pads) < 0 or x.quantisation is None or x.constant is not None:
        raise node.error("must pad a quantised tensor, by no negative numbers")
    value, (scale, zero) = constant(draft, node, 2), x.quantisation.one
    real = 0.0 if value is None or not value.size else float(value.reshape(-1)[0])
    code = int(np.clip(zero + np.rint(real / scale), -128, 127))
    x = draft.arranged(x, x.axes)
    pairs = [(pads[axis], pads[axis + len(x.shape)]) for axis in range(len(x.shape))]
    shape = tuple(before + length + behind for length, (before, behind) in zip(x.shape, pairs, strict=True))
    assert x.value is not None
    return draft.result(node.outputs[0], Pad(padding=tuple(pairs[axis] for axis in x.axes), value=code), (x.value,),
                        shape, x.quantisation, axes=x.axes, real=x.real)


def part(draft: Draft, node: OnnxNode) -> Tensor:
    """Slice, with steps forward."""
    x = tensor(draft, node)
    starts, ends = (integers(draft, node, name, number) for name, number in (("starts", 1), ("ends", 2)))
    if starts is None or ends is None or len(starts) != len(ends):
        raise node.error("starts and ends must be constant, and as many")
    axes = integers(draft, node, "axes", 3) or tuple(range(len(starts)))
    steps = integers(draft, node, "steps", 4) or (1,) * len(starts)
    rank = len(x.shape)
    ranges = {axis: range(length) for axis, length in enumerate(x.shape)}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        if step < 1 or not -rank <= axis < rank:
            raise node.error(f"axes must be there and steps forward, not axis {axis} by {step}")
        ranges[axis % rank] = ranges[axis % rank][start:end:step]
    return _sliced(draft, node, x, [ranges[axis] for axis in range(rank)], node.outputs[0])


def _sliced(draft: Draft, node: OnnxNode, x: Tensor, ranges: list[range], name: str) -> Tensor:
    shape = tuple(map(len, ranges))
    if min(shape, default=1) < 1:
        raise node.error(f"something must be left, not {list(shape)}")
    if x.constant is not None:
        array = x.constant[tuple(slice(each.start, each.stop, each.step) for each in ranges)]
        return dataclasses.replace(x, shape=shape, constant=array)
    x = draft.arranged(x, x.axes)
    inside = [ranges[axis] for axis in x.axes]
    operator = Slice(begin=tuple(each.start for each in inside), end=tuple(each[-1] + 1 for each in inside),
                     strides=tuple(each.step for each in inside))
    assert x.value is not None
    return draft.result(name, operator, (x.value,), shape, x.quantisation, axes=x.axes, real=x.real)


def split(draft: Draft, node: OnnxNode) -> list[Tensor]:
    """Split, into equal parts or such of given lengths."""
    x, lengths = tensor(draft, node), integers(draft, node, "split", 1)
    axis, count = node.attributes.get("axis", 0) % len(x.shape), len(node.outputs)
    if lengths is None:
        size = -(-x.shape[axis] // count)
        lengths = (*(size,) * (count - 1), x.shape[axis] - size * (count - 1))
    if len(lengths) != count or sum(lengths) != x.shape[axis] or min(lengths) < 1:
        raise node.error(f"lengths must be {count} that add up to {x.shape[axis]}, not {list(lengths)}")
    parts, first = [], 0
    for name, length in zip(node.outputs, lengths, strict=True):
        ranges = [range(each) for each in x.shape]
        ranges[axis] = range(first, first + length)
        parts.append(_sliced(draft, node, x, ranges, name))
        first += length
    return parts


def resize(draft: Draft, node: OnnxNode) -> Tensor:
    """Resize and Upsample of feature maps to the nearest pixel, by whole factors."""
    x, new = tensor(draft, node), node.operator == "Resize"
    if node.attributes.get("mode", "nearest") != "nearest" or len(x.shape) != 4 or x.quantisation is None:
        raise node.error("must resize a quantised map [N, C, H, W], to the nearest pixel")
    scales = node.attributes.get("scales") or constant(draft, node, 2 if new else 1)
    sizes = constant(draft, node, 3) if new else None
    if sizes is None and scales is None:
        raise node.error("scales or sizes must be constant")
    shape = tuple(map(int, sizes)) if sizes is not None and sizes.size else tuple(
        int(length * scale) for length, scale in zip(x.shape, np.asarray(scales).reshape(-1), strict=True))
    if len(shape) != 4 or shape[:2] != x.shape[:2] or any(new % old for new, old in zip(shape, x.shape, strict=True)):
        raise node.error(f"height and width must grow by whole factors, not {list(x.shape)} to {list(shape)}")
    here = draft.arranged(x, CHANNELS_LAST)
    assert here.value is not None
    return draft.result(node.outputs[0], ResizeNearest(), (here.value,), shape, x.quantisation, axes=CHANNELS_LAST,
                        real=x.real)


def identity(draft: Draft, node: OnnxNode) -> Tensor | Pending:
    """Identity, and Dropout, which is one outside of training."""
    found = draft.tensors.get(node.input(0))
    return found if isinstance(found, Pending) else tensor(draft, node)


def shape_of(draft: Draft, node: OnnxNode) -> Tensor:
    """Shape: all of them are known."""
    array = np.array(tensor(draft, node).shape, np.int64)
    return Tensor(shape=array.shape, constant=array)


def gather(draft: Draft, node: OnnxNode) -> Tensor:
    """Gather from a constant."""
    array, indices = constant(draft, node, 0), constant(draft, node, 1)
    if array is None or indices is None or indices.size > 1 << 16:
        raise node.error("must gather a few elements of a constant")
    try:
        taken = np.take(array, indices, node.attributes.get("axis", 0))
    except IndexError as error:
        raise node.error(f"indices must be there: {error}") from error
    return Tensor(shape=taken.shape, constant=taken, quantisation=tensor(draft, node).quantisation)


def kinds() -> dict[str, Callable[[Draft, OnnxNode], Tensor | Pending | list[Tensor]]]:
    """Handlers by operator."""
    return {"Reshape": reshape, "Flatten": flatten, "Squeeze": squeeze, "Unsqueeze": unsqueeze,
            "Transpose": transpose, "Concat": concat, "QLinearConcat": qlinear_concat, "Pad": pad, "Slice": part,
            "Split": split, "Resize": resize, "Upsample": resize, "Identity": identity, "Dropout": identity,
            "Shape": shape_of, "Gather": gather}
