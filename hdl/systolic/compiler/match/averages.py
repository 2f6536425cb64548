"""Averages: what each runtime makes of a sum of codes, and the record with which the TPU makes the same.

An average is a function of the sum that never falls, so the sums at which it steps to the next code say all of it. A
record is the runtime's if it steps there; if none is from the scales alone, one is looked for that does.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ..graph import Graph, Node
from ..graph.operators import Clamped
from ..quantise import Requantisation, quantise_multiplier
from ..quantise import average as of_pixels
from .runtimes import Match, Rounded
from .tables import double_rounded

__all__ = ["average", "averaged"]

Ints = npt.NDArray[np.int64]
Scale = tuple[float, int]

#: Of codes, as the sums of one pixel.
_LOW, _HIGH = -128, 127


def averaged(graph: Graph, node: Node, match: Match, sums: npt.ArrayLike, counts: npt.ArrayLike) -> Ints:
    """Codes of an AveragePool or a Mean, from sums of codes and how many each is of.

    Codes are averaged as they are, halves away from zero, by the AveragePool of LiteRT. Its Mean has a multiplier with
    the division in it; that of XNNPACK scales in float32, offset included; ONNX Runtime dequantises, averages, and
    quantises.
    """
    (x,), (y,) = graph.operands(node), graph.results(node)
    total, count = np.asarray(sums, np.int64), np.asarray(counts, np.int64)
    codes: npt.NDArray[Any]
    if match is Match.ONNXRUNTIME:
        codes = _real(x.scale, y.scale, total, count)
    elif node.kind == "AveragePool":
        codes = np.sign(total) * ((np.abs(total) + count // 2) // count)
    elif match is Match.LITERT:
        codes = _xnnpack_mean(x.scale, y.scale, total, int(count))
    else:
        multiplier, shift = _mean_multiplier(x.scale[0] / y.scale[0], int(count))
        codes = double_rounded(total - x.scale[1] * count, multiplier, shift) + y.scale[1]
    low, high = (node.operator.low, node.operator.high) if isinstance(node.operator, Clamped) else (_LOW, _HIGH)
    result: Ints = np.clip(codes, low, high).astype(np.int64)
    return result


def _real(x: Scale, y: Scale, total: Ints, count: Ints) -> npt.NDArray[np.floating]:
    real = np.float32(x[0]) * (total - x[1] * count).astype(np.float32) / count.astype(np.float32)
    result: npt.NDArray[np.floating] = np.rint(real / np.float32(y[0])) + y[1]
    return result


def _xnnpack_mean(x: Scale, y: Scale, total: Ints, count: int) -> npt.NDArray[np.floating]:
    scale = np.float32(x[0]) / np.float32(y[0]) * (np.float32(1) / np.float32(count))
    offset = np.float32(y[1]) - np.float32(x[1] * count) * scale
    result: npt.NDArray[np.floating] = np.rint(total.astype(np.float32) * scale + offset)
    return result


def _mean_multiplier(real: float, count: int) -> tuple[int, int]:
    """Multiplier and shift of LiteRT's mean of ``count`` codes: the division goes into the multiplier, which keeps as
    many bits as the count has."""
    multiplier, shift = map(int, quantise_multiplier(real))
    left = min(count.bit_length() - 1, 32, 31 + shift)
    return (multiplier << left) // count, shift - left


def average(graph: Graph, node: Node, match: Match, count: int) -> Rounded | None:
    """Record for sums of ``count`` pixels, for AveragePool and Mean; None if the TPU cannot have the runtime's bits."""
    if match is Match.ONNXRUNTIME and node.kind == "AveragePool" and not _clear(graph, node, count):
        return None
    steps = _steps(lambda sums: averaged(graph, node, match, sums, count), _LOW * count, _HIGH * count)
    for tried in _candidates(graph, node, match, count, steps):
        if np.array_equal(_steps(_codes(tried), _LOW * count, _HIGH * count), steps):
            return tried
    return None


def _clear(graph: Graph, node: Node, count: int) -> bool:
    """Whether no average is so near to a half that the order of a runtime's sums of floats decides."""
    (x_scale, x_zero), (y_scale, _) = graph.operands(node)[0].scale, graph.results(node)[0].scale
    codes = (np.arange(_LOW * count, _HIGH * count + 1) - x_zero * count) * (x_scale / y_scale / count)
    inside = codes[np.abs(codes) < 2 * -_LOW + 1]
    return bool(np.all(np.abs(np.abs(inside - np.floor(inside)) - 0.5) > (count + 8) * 2.0**-15))


def _candidates(graph: Graph, node: Node, match: Match, count: int, steps: Ints) -> Iterator[Rounded]:
    (x_scale, x_zero), (y_scale, y_zero) = graph.operands(node)[0].scale, graph.results(node)[0].scale
    low, high = (node.operator.low, node.operator.high) if isinstance(node.operator, Clamped) else (_LOW, _HIGH)
    if node.kind == "AveragePool" and match is not Match.ONNXRUNTIME:
        made = of_pixels(count)
        yield Rounded("single", Requantisation(bias=0, multiplier=made.multiplier, shift=made.shift, low=low,
                                               high=high))
        return
    bias = -x_zero * count
    if match in (Match.LITERT, Match.ONNXRUNTIME):
        real = np.float32(x_scale) / np.float32(y_scale) / np.float32(count)
        yield Rounded("fp32", Requantisation(bias=bias, multiplier=real, zero_point=y_zero, low=low, high=high))
        # Halves are rounded to the even of two codes, or to the even of two before the zero point is added.
        moved = bias + round(y_zero / float(real))
        if abs(moved) < 1 << 30:
            yield Rounded("fp32", Requantisation(bias=moved, multiplier=real, low=low, high=high))
    else:
        multiplier, shift = _mean_multiplier(x_scale / y_scale, count)
        for more in range(2):
            if 1 << 30 <= multiplier << more < 1 << 31 and -31 <= shift - more <= 30:
                yield Rounded("double", Requantisation(bias=bias, multiplier=multiplier << more, shift=shift - more,
                                                       zero_point=y_zero))
    found = _fitted(steps, count, bias, y_zero, x_scale / y_scale / count)
    if found is not None:
        yield Rounded("single", Requantisation(bias=bias, multiplier=found[0], shift=found[1], zero_point=y_zero,
                                               low=low, high=high))


def _codes(rounded: Rounded) -> Callable[[Ints], npt.NDArray[np.int8]]:
    from ..evaluate.requantise import requantised  # only here: what evaluates asks this module
    return lambda sums: requantised(sums[:, None], rounded)[:, 0]


def _steps(codes: Callable[[Ints], npt.NDArray[np.integer]], lowest: int, highest: int) -> Ints:
    """Per code from -127 on, the least sum that gives it or more; one beyond the highest if none does."""
    wanted = np.arange(_LOW + 1, _HIGH + 1)
    low, high = np.full(wanted.shape, lowest, np.int64), np.full(wanted.shape, highest + 1, np.int64)
    while (low < high).any():
        middle = (low + high) // 2
        reached = codes(np.minimum(middle, highest)) >= wanted
        low, high = np.where(reached | (low == high), low, middle + 1), np.where(reached, middle, high)
    return low


def _fitted(steps: Ints, count: int, bias: int, zero: int, real: float) -> tuple[int, int] | None:
    """Multiplier and shift of rounding ``single`` that step where they should, if there are such.

    With r = 31 - shift, a sum s gives code j or more if (s + bias) * multiplier >= (j - zero) * 2**r - 2**(r - 1).
    """
    _, shift = map(int, quantise_multiplier(real))
    right, least, most = 31 - shift, 1 << 30, (1 << 31) - 1
    if not -31 <= shift <= 30:
        return None
    for code, step in enumerate(map(int, steps), start=_LOW + 1):
        bound = ((code - zero) << right) - (1 << right - 1)
        if step > _LOW * count:  # the sum before gives less
            least, most = _narrowed(least, most, step - 1 + bias, bound, reach=False)
        if step <= _HIGH * count:
            least, most = _narrowed(least, most, step + bias, bound, reach=True)
    return (min(max(round(real * 2.0**right), least), most), shift) if least <= most else None


def _narrowed(least: int, most: int, x: int, bound: int, *, reach: bool) -> tuple[int, int]:
    """Multipliers with which x times the multiplier reaches a bound, or stays below it."""
    if x == 0:
        return (least, most) if (bound <= 0) == reach else (1, 0)
    if not reach:
        x, bound = -x, 1 - bound  # x * m < b: -x * m >= 1 - b
    if x > 0:
        return max(least, -(-bound // x)), most
    return least, min(most, bound // x)
