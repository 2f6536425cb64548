"""Requantisation: int32 sums times a real scale, back to int8.

A scale is either a float32 number, or ``multiplier / 2**31 * 2**shift`` with a multiplier in
[2**30, 2**31). Runtimes round the product in three ways, and differ where it lies near a tie:

==========  ===========================================================================
``single``  once, half up: LiteRT, XNNPACK, TOSA RESCALE
``double``  to an integer of 31 - shift fewer bits, half up, and after the right shift again, half
            away from zero: tflite-micro, CMSIS-NN, gemmlowp
``fp32``    to float32 and then to an integer, both half to even: ONNX Runtime
==========  ===========================================================================
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MODES", "requantise", "requantise_fp32"]

#: Roundings of :func:`requantise`.
MODES = ("single", "double")

_SHIFTS = (-31, 30)


def requantise(x: ArrayLike, multiplier: ArrayLike, shift: ArrayLike, *, zero_point: int = 0, low: int = -128,
               high: int = 127, mode: str = "single") -> NDArray[np.int8]:
    """Scale, round, add the zero point, clamp.

    Parameters
    ----------
    x : int32 array
        Accumulators with the bias added.
    multiplier, shift : int or int array
        The scale, broadcast against ``x``: arrays of N give the columns of [M, N] a scale each.
    zero_point : int
        Of the output.
    low, high : int
        Bounds of the output, within int8.
    mode : str
        ``"single"`` or ``"double"``.

    Returns
    -------
    int8 array

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    sums, factor, power = (np.asarray(value, np.int64) for value in (x, multiplier, shift))
    _check(factor, power, mode)
    _check_bounds(low, high)
    # A left shift comes before any rounding, so it costs the first rounding its bits in both modes.
    right = 31 - (power if mode == "single" else np.maximum(power, 0))
    y = (sums * factor + (np.int64(1) << (right - 1))) >> right
    if mode == "double":
        again = np.maximum(-power, 0)
        half = (np.int64(1) << again) >> 1
        y = (y + half - ((y < 0) & (again > 0))) >> again
    return np.clip(y + zero_point, low, high).astype(np.int8)


def requantise_fp32(x: ArrayLike, scale: ArrayLike, *, zero_point: int = 0, low: int = -128,
                    high: int = 127) -> NDArray[np.int8]:
    """Scale in float32, round half to even, add the zero point, clamp.

    Parameters
    ----------
    x : int32 array
        Accumulators with the bias added.
    scale : float32 or float32 array
        Broadcast against ``x``.
    zero_point : int
        Of the output.
    low, high : int
        Bounds of the output, within int8.

    Returns
    -------
    int8 array

    Raises
    ------
    ValueError
        If a scale is negative or not finite, or a bound out of range.
    """
    factor = np.asarray(scale, np.float32)
    if not np.all((factor >= 0) & np.isfinite(factor)):
        raise ValueError(f"scale must be finite and not negative, not {factor}")
    _check_bounds(low, high)
    with np.errstate(over="ignore"):
        scaled = np.asarray(x).astype(np.float32) * factor
    # Clamped first, for an infinity has no integer.
    rounded: NDArray[np.float32] = np.rint(np.clip(scaled, low - zero_point, high - zero_point))
    return (rounded + zero_point).astype(np.int8)


def _check(multiplier: NDArray[np.int64], shift: NDArray[np.int64], mode: str) -> None:
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if not np.all((multiplier == 0) | (multiplier >= 2**30) & (multiplier < 2**31)):
        raise ValueError(f"multiplier must be 0 or from 2**30 to 2**31 - 1, not {multiplier}")
    if not np.all((shift >= _SHIFTS[0]) & (shift <= _SHIFTS[1])):
        raise ValueError(f"shift must be from {_SHIFTS[0]} to {_SHIFTS[1]}, not {shift}")


def _check_bounds(low: int, high: int) -> None:
    if not -128 <= low <= high <= 127:
        raise ValueError(f"low and high must be in order and within -128 to 127, not {low} and {high}")
