"""What the activation unit computes: requantised sums, pooling, addition, table lookup.

Each channel, or all of them, have a parameter record of a bias and a scale. With rounding ``single`` and ``double`` the
scale is a multiplier and a shift, with ``fp32`` the bits of a float32 in place of the multiplier.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .requantise import requantise, requantise_fp32

__all__ = ["RECORD", "ROUNDINGS", "activate", "add", "lookup", "pool", "record"]

#: A parameter record as it lies in the unified buffer.
RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<u4"), ("shift", "<i4"), ("zero", "<i4")])

#: In the order of their numbers.
ROUNDINGS = ("single", "double", "fp32")

#: Bits by which the inputs of an addition are shifted left, so that scaling leaves them a fraction.
_ADD_SHIFT = 20


def record(bias: ArrayLike = 0, multiplier: ArrayLike = 0, shift: ArrayLike = 0, *,
           scale: ArrayLike | None = None) -> NDArray[np.void]:
    """Parameter records, broadcast together.

    Parameters
    ----------
    bias : int array
        From -2**31 to 2**31 - 1.
    multiplier, shift : int array
        The scale for ``single`` and ``double``.
    scale : float32 array or None
        The scale for ``fp32``, in place of those.

    Returns
    -------
    RECORD array
    """
    if scale is not None:
        multiplier = np.asarray(scale, np.float32).view(np.uint32)
    shapes = [np.shape(each) for each in (bias, multiplier, shift)]
    records: NDArray[np.void] = np.zeros(np.broadcast_shapes(*shapes), RECORD)
    records["bias"], records["multiplier"], records["shift"] = bias, multiplier, shift
    return records


def activate(sums: ArrayLike, records: NDArray[np.void], *, rounding: str = "single", zero_point: int = 0,
             low: int = -128, high: int = 127, table: ArrayLike | None = None) -> NDArray[np.int8]:
    """Add the bias, requantise, clamp, look up.

    Parameters
    ----------
    sums : int32 array [..., channels]
    records : RECORD array [channels], [1] or []
    rounding : str
        One of ``ROUNDINGS``.
    zero_point, low, high : int
        As for :func:`.requantise.requantise`.
    table : int8 array [256] or None
        See :func:`lookup`.

    Returns
    -------
    int8 array [..., channels]

    Raises
    ------
    ValueError
        If a parameter is out of range.
    """
    _check_rounding(rounding)
    x = _wrap(np.asarray(sums, np.int64) + records["bias"])
    options: dict[str, Any] = {"zero_point": zero_point, "low": low, "high": high}
    if rounding == "fp32":
        y = requantise_fp32(x, records["multiplier"].view(np.float32), **options)
    else:
        y = requantise(x, records["multiplier"], records["shift"], mode=rounding, **options)
    return y if table is None else lookup(y, table)


def pool(pixels: ArrayLike, records: NDArray[np.void], *, maximum: bool = False, **options: Any) -> NDArray[np.int8]:
    """Maximum or sum of a window's pixels, as :func:`activate` then has it.

    Parameters
    ----------
    pixels : int8 array [..., pixels, channels]
    records : RECORD array [1] or []
    maximum : bool
        The largest pixel of each channel instead of the sum.
    options
        As for :func:`activate`.

    Returns
    -------
    int8 array [..., channels]
    """
    window = np.asarray(pixels, np.int64)
    return activate(window.max(axis=-2) if maximum else window.sum(axis=-2), records, **options)


def add(first: ArrayLike, second: ArrayLike, records: NDArray[np.void], *, rounding: str = "single",
        **options: Any) -> NDArray[np.int8]:
    """Elementwise sum: each input times 2**20 plus its bias is scaled, and so is the sum of both.

    With the biases that undo the zero points this is the int8 ADD of TFLite, single or double rounding as it was
    compiled. The scaled inputs are integers of 32 bits; so with rounding ``fp32``, too, all three records have a
    multiplier and a shift, and the rounding is ``single``.

    Parameters
    ----------
    first, second : int8 array
    records : RECORD array [3]
        Of the first input, the second input, and the sum.
    rounding, options
        As for :func:`activate`.

    Returns
    -------
    int8 array
    """
    _check_rounding(rounding)
    mode = "single" if rounding == "fp32" else rounding
    total: NDArray[np.int64] = np.zeros((), np.int64)
    for pixels, each in ((first, records[0]), (second, records[1])):
        x = _wrap((np.asarray(pixels, np.int64) << _ADD_SHIFT) + each["bias"])
        total = total + _scale(x.astype(np.int64), int(each["multiplier"]), int(each["shift"]), mode)
    return activate(_wrap(total), records[2], rounding=mode, **options)


def lookup(y: ArrayLike, table: ArrayLike) -> NDArray[np.int8]:
    """What the table has for each value: its entry 0 is for -128.

    Parameters
    ----------
    y : int8 array
    table : int8 array [256]

    Returns
    -------
    int8 array
    """
    entries: NDArray[np.int8] = np.asarray(table, np.int8)
    return entries[np.asarray(y, np.int16) + 128]


def _scale(x: NDArray[np.int64], multiplier: int, shift: int, mode: str) -> NDArray[np.int64]:
    """:func:`.requantise.requantise` without bounds: of any size, as an addition needs it."""
    right = 31 - (shift if mode == "single" else max(shift, 0))
    y = (x * multiplier + (1 << (right - 1))) >> right
    if mode == "double" and shift < 0:
        y = (y + (1 << (-shift - 1)) - (y < 0)) >> -shift
    return y


def _wrap(x: NDArray[np.int64]) -> NDArray[np.int32]:
    return x.astype(np.int32)


def _check_rounding(rounding: str) -> None:
    if rounding not in ROUNDINGS:
        raise ValueError(f"rounding must be one of {', '.join(ROUNDINGS)}, not {rounding!r}")
