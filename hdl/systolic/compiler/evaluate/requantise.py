"""Sums to int8 in the three roundings of docs/numerics.md."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ..match import Rounded

__all__ = ["requantised"]

Ints = npt.NDArray[np.int64]


def requantised(sums: Ints, rounded: Rounded) -> npt.NDArray[np.int8]:
    """int8 of sums without their bias; the last axis is the outputs."""
    scale = rounded.scale
    x = sums + np.asarray(scale.bias, np.int64)
    multiplier, shift = np.asarray(scale.multiplier), np.asarray(scale.shift)
    made = _ROUNDINGS[rounded.rounding](x, multiplier, shift)
    result: npt.NDArray[np.int8] = np.clip(made + scale.zero_point, scale.low, scale.high).astype(np.int8)
    return result


def single(x: Ints, multiplier: Ints, shift: Ints) -> Ints:
    """Rounded once."""
    right = 31 - shift.astype(np.int64)
    return (x * multiplier.astype(np.int64) + (np.int64(1) << right - 1)) >> right


def double(x: Ints, multiplier: Ints, shift: Ints) -> Ints:
    """Rounded after the product and after the shift."""
    left, right = (np.maximum(each, 0).astype(np.int64) for each in (shift, -shift.astype(np.int64)))
    high = ((x << left) * multiplier.astype(np.int64) + (1 << 30)) >> 31
    return np.where(right > 0, (high + (np.int64(1) << np.maximum(right - 1, 0)) - (high < 0)) >> right, high)


def eights(x: Ints, multiplier: Ints, shift: Ints) -> Ints:
    """As ``double``, but in whole blocks of eight outputs halves go up both times, also below zero."""
    high = ((x << np.maximum(shift, 0).astype(np.int64)) * multiplier.astype(np.int64) + (1 << 30)) >> 31
    right = np.maximum(-shift.astype(np.int64), 0)
    upward = (high + (np.int64(1) << right >> 1)) >> right
    return np.where(np.arange(x.shape[-1]) < x.shape[-1] // 8 * 8, upward, double(x, multiplier, shift))


def fp32(x: Ints, multiplier: npt.NDArray[np.floating], shift: Ints) -> Ints:
    """The product in float32, rounded to the even of two that are as near."""
    product = x.astype(np.float32) * multiplier.astype(np.float32)
    return np.rint(np.clip(product, -1e6, 1e6)).astype(np.int64)


_ROUNDINGS: dict[str, Callable[[Ints, npt.NDArray[Any], npt.NDArray[Any]], Ints]] = {
    "single": single, "double": double, "eights": eights,
    "fp32": fp32}
