"""Operators that only move pixels, or name some of them."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...graph.operators import Concatenate, Gather, Operator, Pad, Reshape, ResizeNearest, Slice, Transpose
from .draft import Draft
from .source import Operation

__all__ = ["KINDS"]

Shape = tuple[int, ...]

#: Indices of an axis that can be chosen one by one.
_MOST = 1 << 16


class _Chain:
    """Operators one behind the other, from an operator's input to its output."""

    def __init__(self, draft: Draft, operation: Operation, number: int = 0) -> None:
        self._draft, self._operation = draft, operation
        self._name, self._quantised = draft.name(draft.input(operation, number)), draft.quantised(operation, number)
        self.shape = draft.tensor(draft.input(operation, number)).shape

    def then(self, operator: Operator, shape: Shape) -> "_Chain":
        """An operator, and the shape of what it makes."""
        made = self._draft.value(f"{self._draft.output(self._operation).name}_{operator.kind.lower()}", shape,
                                 quantised=self._quantised)
        self._draft.node(operator, (self._name,), (made,))
        self._name, self.shape = made, shape
        return self

    def select(self, axis: int, indices: Callable[[int], Iterable[int]], count: int) -> "_Chain":
        """So many indices of an axis, of its length."""
        length = self.shape[axis]
        if max(length, count) > _MOST:
            raise self._operation.error(f"indices must be of {_MOST} at most, not {max(length, count)}")
        shape = (*self.shape[:axis], count, *self.shape[axis + 1:])
        return self.then(Gather(axis=axis, indices=tuple(indices(length))), shape)

    def end(self, output: int = 0) -> None:
        """In the output's shape."""
        self._draft.result(self._operation, Reshape(), (self._name,), output)


def reshape(draft: Draft, operation: Operation) -> None:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the shape is the output's."""
    draft.result(operation, Reshape(), (draft.name(draft.input(operation, 0)),))


def transpose(draft: Draft, operation: Operation) -> None:
    """TRANSPOSE."""
    permutation = tuple(map(int, draft.constant(operation, 1).reshape(-1)))
    draft.result(operation, Transpose(permutation=permutation), (draft.name(draft.input(operation, 0)),))


def pad(draft: Draft, operation: Operation) -> None:
    """PAD with zero, PADV2 with a constant in the scale of the output."""
    number = draft.input(operation, 0)
    pairs = draft.constant(operation, 1)
    if pairs.ndim != 2 or pairs.shape[1] != 2:
        raise operation.error(f"padding must be two numbers per axis, not {list(pairs.shape)}")
    value = int(draft.quantised(operation, 0).one[1])
    if operation.kind == "PADV2":
        value = int(draft.constant(operation, 2).reshape(-1)[0])
    draft.result(operation, Pad(padding=tuple((int(a), int(b)) for a, b in pairs), value=value), (draft.name(number),))


def concatenation(draft: Draft, operation: Operation) -> None:
    """CONCATENATION."""
    if operation.option("FusedActivationFunction"):
        raise operation.error("a fused activation function is not supported")
    rank = max(len(draft.output(operation).shape), 1)
    names = tuple(draft.name(draft.input(operation, number)) for number in range(len(operation.inputs)))
    draft.result(operation, Concatenate(axis=operation.option("Axis") % rank), names)


def split(draft: Draft, operation: Operation) -> None:
    """SPLIT (axis, x) and SPLIT_V (x, lengths, axis)."""
    x, axis = (0, 2) if operation.kind == "SPLIT_V" else (1, 0)
    number = draft.input(operation, x)
    shape = draft.tensor(number).shape
    along, first = int(draft.constant(operation, axis).reshape(-1)[0]) % max(len(shape), 1), 0
    for output in range(len(operation.outputs)):
        tensor = draft.output(operation, output)
        if len(tensor.shape) != len(shape):
            raise operation.error(f"output {tensor.name} must have {len(shape)} axes")
        begin, end = [0] * len(shape), list(shape)
        begin[along], end[along] = first, first + tensor.shape[along]
        first = end[along]
        draft.result(operation, Slice(begin=tuple(begin), end=tuple(end), strides=(1,) * len(shape)),
                     (draft.name(number),), output)


def part(draft: Draft, operation: Operation) -> None:
    """SLICE: first indices, and lengths, of which -1 is all."""
    number = draft.input(operation, 0)
    shape = draft.tensor(number).shape
    begin, size = (tuple(map(int, draft.constant(operation, each).reshape(-1))) for each in (1, 2))
    if not len(begin) == len(size) == len(shape):
        raise operation.error(f"begin and size must be of {len(shape)} axes")
    end = tuple(length if count == -1 else first + count
                for first, count, length in zip(begin, size, shape, strict=True))
    draft.result(operation, Slice(begin=begin, end=end, strides=(1,) * len(shape)), (draft.name(number),))


def strided(draft: Draft, operation: Operation) -> None:
    """STRIDED_SLICE; steps backwards are a selection behind the part."""
    number = draft.input(operation, 0)
    ranges = strided_ranges(operation, draft.tensor(number).shape,
                            *(draft.constant(operation, each).reshape(-1) for each in (1, 2, 3)))
    if any(not each for each in ranges):
        raise operation.error("something must be left")
    forward = [each if each.step > 0 else each[::-1] for each in ranges]
    operator = Slice(begin=tuple(each.start for each in forward), end=tuple(each[-1] + 1 for each in forward),
                     strides=tuple(each.step for each in forward))
    chain = _Chain(draft, operation).then(operator, tuple(map(len, ranges)))
    for axis, each in enumerate(ranges):
        if each.step < 0 and len(each) > 1:
            chain.select(axis, lambda length: range(length)[::-1], len(each))
    chain.end()


def strided_ranges(operation: Operation, shape: Shape, begin: npt.NDArray[Any], end: npt.NDArray[Any],
                   steps: npt.NDArray[Any]) -> list[range]:
    """Per axis of a shape, the indices that a STRIDED_SLICE takes."""
    masks = {name: operation.option(f"{name}Mask") for name in ("Begin", "End", "Ellipsis", "NewAxis", "ShrinkAxis")}
    named = len(begin) - sum(masks["NewAxis"] >> place & 1 for place in range(len(begin))) - bool(masks["Ellipsis"])
    if not len(begin) == len(end) == len(steps) or named > len(shape) or not np.all(steps):
        raise operation.error(f"begin, end and strides must be of at most {len(shape)} axes, and no stride 0")
    ranges = [range(length) for length in shape]
    axis = 0
    for place, (first, last, step) in enumerate(zip(begin.tolist(), end.tolist(), steps.tolist(), strict=True)):
        if masks["Ellipsis"] >> place & 1:
            axis += len(shape) - named
            continue
        if masks["NewAxis"] >> place & 1:
            continue
        here = None if masks["Begin"] >> place & 1 else first
        there = None if masks["End"] >> place & 1 else last
        if masks["ShrinkAxis"] >> place & 1:
            here, there, step = first, first + 1 or None, 1
        ranges[axis] = ranges[axis][here:there:step]
        axis += 1
    return ranges


def resize(draft: Draft, operation: Operation) -> None:
    """RESIZE_NEAREST_NEIGHBOR."""
    operator = ResizeNearest(align_corners=bool(operation.option("AlignCorners")),
                             half_pixel_centers=bool(operation.option("HalfPixelCenters")))
    draft.result(operation, operator, (draft.name(draft.input(operation, 0)),))


def pack(draft: Draft, operation: Operation) -> None:
    """PACK: arrays along an axis that they do not have."""
    out, quantised = draft.output(operation), draft.quantised(operation, 0)
    axis = operation.option("Axis") % max(len(out.shape), 1)
    names = []
    for number in range(len(operation.inputs)):
        shape = draft.tensor(draft.input(operation, number)).shape
        made = draft.value(f"{out.name}_{number}", (*shape[:axis], 1, *shape[axis:]), quantised=quantised)
        draft.node(Reshape(), (draft.name(draft.input(operation, number)),), (made,))
        names.append(made)
    draft.result(operation, Concatenate(axis=axis), tuple(names))


def unpack(draft: Draft, operation: Operation) -> None:
    """UNPACK: every index of an axis, without it."""
    shape = draft.tensor(draft.input(operation, 0)).shape
    axis = operation.option("Axis") % max(len(shape), 1)
    if not shape or len(operation.outputs) != shape[axis]:
        raise operation.error(f"must have an output per index of axis {axis} of {list(shape)}")
    for number in range(shape[axis]):
        begin, end = [0] * len(shape), list(shape)
        begin[axis], end[axis] = number, number + 1
        part = Slice(begin=tuple(begin), end=tuple(end), strides=(1,) * len(shape))
        _Chain(draft, operation).then(part, (*shape[:axis], 1, *shape[axis + 1:])).end(number)


def gather(draft: Draft, operation: Operation) -> None:
    """GATHER with constant indices."""
    chain, indices = _Chain(draft, operation), draft.constant(operation, 1).reshape(-1)
    axis = operation.option("Axis") % max(len(chain.shape), 1)
    if not chain.shape or operation.option("BatchDims") or not np.all((indices >= 0) & (indices < chain.shape[axis])):
        raise operation.error(f"indices must be of one axis of {list(chain.shape)}, and inside it")
    chain.select(axis, lambda length: indices.tolist(), len(indices)).end()


def reverse(draft: Draft, operation: Operation) -> None:
    """REVERSE_V2."""
    chain = _Chain(draft, operation)
    for axis in draft.constant(operation, 1).reshape(-1).tolist():
        if not -len(chain.shape) <= axis < len(chain.shape):
            raise operation.error(f"axes must be of {list(chain.shape)}, not {axis}")
        chain.select(axis % len(chain.shape), lambda length: range(length)[::-1], chain.shape[axis])
    chain.end()


def mirror(draft: Draft, operation: Operation) -> None:
    """MIRROR_PAD: without the pixel at the edge (mode 0), or with it."""
    chain, pairs, mode = _Chain(draft, operation), draft.constant(operation, 1), operation.option("Mode")
    most = [length - 1 + mode for length in chain.shape]
    if pairs.shape != (len(most), 2) or np.any((pairs < 0) | (pairs > np.array(most)[:, None])):
        raise operation.error(f"padding must be two numbers from 0 to {most} per axis")
    for axis, (before, after) in enumerate(pairs.tolist()):
        def indices(length: int, before: int = before, after: int = after) -> list[int]:
            first, last = range(1 - mode, length)[:before], range(length - 1 + mode)[::-1][:after]
            return [*first[::-1], *range(length), *last]
        if before or after:
            chain.select(axis, indices, chain.shape[axis] + before + after)
    chain.end()


def tile(draft: Draft, operation: Operation) -> None:
    """TILE."""
    chain, counts = _Chain(draft, operation), draft.constant(operation, 1).reshape(-1)
    if len(counts) != len(chain.shape) or np.any(counts < 1):
        raise operation.error(f"counts must be from 1 on, one per axis of {list(chain.shape)}")
    for axis, count in enumerate(counts.tolist()):
        def indices(length: int, count: int = count) -> list[int]:
            return [*range(length)] * count
        if count > 1:
            chain.select(axis, indices, chain.shape[axis] * count)
    chain.end()


def depth_to_space(draft: Draft, operation: Operation) -> None:
    """DEPTH_TO_SPACE, SPACE_TO_DEPTH: blocks of pixels to channels and back."""
    shape, block = draft.tensor(draft.input(operation, 0)).shape, operation.option("BlockSize")
    wide = operation.kind == "DEPTH_TO_SPACE"
    if len(shape) != 4 or block < 1 or (shape[3] % block**2 if wide else shape[1] % block or shape[2] % block):
        raise operation.error(f"a map of blocks of {block} x {block} is needed, not {list(shape)}")
    n, height, width, channels = shape
    if wide:
        split, order = (n, height, width, block, block, channels // block**2), (0, 1, 3, 2, 4, 5)
    else:
        split, order = (n, height // block, block, width // block, block, channels), (0, 1, 3, 2, 4, 5)
    _rearranged(_Chain(draft, operation), split, order).end()


def _rearranged(chain: _Chain, shape: Shape, order: Shape) -> _Chain:
    return chain.then(Reshape(), shape).then(Transpose(permutation=order), tuple(shape[axis] for axis in order))


def space_to_batch(draft: Draft, operation: Operation) -> None:
    """SPACE_TO_BATCH_ND of a map: padded, and every so manieth pixel an image of its own."""
    shape, (by, bx), pairs = _blocks(draft, operation)
    n, height, width, channels = (length + sum(pair) for length, pair in zip(shape, pairs, strict=True))
    if height % by or width % bx:
        raise operation.error(f"a padded map of {height} x {width} must have whole blocks of {by} x {bx}")
    chain, value = _Chain(draft, operation), int(draft.quantised(operation, 0).one[1])
    chain.then(Pad(padding=pairs, value=value), (n, height, width, channels))
    _rearranged(chain, (n, height // by, by, width // bx, bx, channels), (2, 4, 0, 1, 3, 5)).end()


def batch_to_space(draft: Draft, operation: Operation) -> None:
    """BATCH_TO_SPACE_ND of maps: images put together pixel by pixel, and cropped."""
    (n, height, width, channels), (by, bx), pairs = _blocks(draft, operation)
    if n % (by * bx) or any(sum(pair) >= length for pair, length in zip(pairs[1:3], (height * by, width * bx),
                                                                        strict=True)):
        raise operation.error(f"images must be a multiple of {by} x {bx}, and more of them than is cropped")
    n //= by * bx
    chain = _rearranged(_Chain(draft, operation), (by, bx, n, height, width, channels), (2, 3, 0, 4, 1, 5))
    whole = (n, height * by, width * bx, channels)
    end = tuple(length - after for length, (_, after) in zip(whole, pairs, strict=True))
    part = Slice(begin=tuple(before for before, _ in pairs), end=end, strides=(1,) * 4)
    chain.then(Reshape(), whole).then(part, tuple(e - b for e, b in zip(end, part.begin, strict=True))).end()


def _blocks(draft: Draft, operation: Operation) -> tuple[Shape, Shape, tuple[tuple[int, int], ...]]:
    """Shape of the input, size of a block, and pairs per axis."""
    shape, block = draft.tensor(draft.input(operation, 0)).shape, draft.constant(operation, 1).reshape(-1)
    pairs = draft.constant(operation, 2)
    if len(shape) != 4 or len(block) != 2 or pairs.shape != (2, 2) or np.any(block < 1) or np.any(pairs < 0):
        raise operation.error("must be of a map of four axes, in blocks of rows and columns")
    (top, bottom), (left, right) = pairs.tolist()
    return shape, tuple(block.tolist()), ((0, 0), (top, bottom), (left, right), (0, 0))


KINDS = {**dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape), "TRANSPOSE": transpose, "PAD": pad,
         "PADV2": pad, "MIRROR_PAD": mirror, "CONCATENATION": concatenation, "SPLIT": split, "SPLIT_V": split,
         "PACK": pack, "UNPACK": unpack, "SLICE": part, "STRIDED_SLICE": strided, "GATHER": gather,
         "REVERSE_V2": reverse, "TILE": tile, "RESIZE_NEAREST_NEIGHBOR": resize, "DEPTH_TO_SPACE": depth_to_space,
         "SPACE_TO_DEPTH": depth_to_space, "SPACE_TO_BATCH_ND": space_to_batch, "BATCH_TO_SPACE_ND": batch_to_space}
