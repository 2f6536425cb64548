"""bfloat16 arithmetic on bit patterns: exact products, fp32 sums, one rounding each.

Sums are rounded to nearest, ties to even, subnormals kept. Overflow gives infinity, every NaN is
:data:`NAN` and every zero is positive. The exact product of two bfloat16 has 16 significant bits, so
float64 holds it; float64 also has the 2 * 24 + 2 bits with which rounding the sum twice, to float64 and
then to float32, is rounding it once.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["NAN", "NAN_BF16", "add", "fma", "from_float32", "matmul", "to_float32"]

_Bits16 = NDArray[np.uint16]
_Bits32 = NDArray[np.uint32]

#: The only NaN that an operation returns, as fp32 bits.
NAN = 0x7FC00000

#: The same as bfloat16 bits.
NAN_BF16 = NAN >> 16


def _bits(name: str, value: ArrayLike, dtype: type[np.generic]) -> NDArray[Any]:
    """The array, once it is known to hold bit patterns and not the numbers they stand for."""
    bits = np.asarray(value)
    if bits.dtype != dtype:
        raise TypeError(f"{name} must be {np.dtype(dtype)} bit patterns, not {bits.dtype}")
    return bits


def _widen(name: str, value: ArrayLike) -> NDArray[np.float64]:
    """Numbers of bfloat16 bit patterns, as float64."""
    with np.errstate(invalid="ignore"):
        return to_float32(_bits(name, value, np.uint16)).astype(np.float64)


def _canonical(numbers: NDArray[np.float32]) -> _Bits32:
    """fp32 bits of float32 numbers, with one NaN and one zero."""
    bits = np.where(numbers == 0, np.uint32(0), numbers.view(np.uint32))
    return np.where(np.isnan(numbers), np.uint32(NAN), bits)


def from_float32(numbers: ArrayLike) -> _Bits16:
    """Round float32 numbers to bfloat16, to nearest even.

    Parameters
    ----------
    numbers : float32 array
        Any shape. NaN becomes :data:`NAN_BF16`; negative zero keeps its sign.

    Returns
    -------
    uint16 array
        bfloat16 bits, same shape.
    """
    numbers = np.asarray(numbers, np.float32)
    bits = numbers.view(np.uint32).astype(np.int64)
    rounded = (bits + 0x7FFF + (bits >> 16 & 1)) >> 16
    return np.where(np.isnan(numbers), NAN_BF16, rounded).astype(np.uint16)


def to_float32(bits: ArrayLike) -> NDArray[np.float32]:
    """float32 numbers of bfloat16 bits, exact.

    Parameters
    ----------
    bits : uint16 array
        Any shape.

    Returns
    -------
    float32 array
        Same shape.

    Raises
    ------
    TypeError
        If ``bits`` is not uint16.
    """
    return (_bits("bits", bits, np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)


def fma(a: ArrayLike, w: ArrayLike, psum: ArrayLike) -> _Bits32:
    """What one cell computes: ``a * w + psum``, rounded once.

    Parameters
    ----------
    a, w : uint16 array
        bfloat16 bits.
    psum : uint32 array
        fp32 bits; the three shapes broadcast.

    Returns
    -------
    uint32 array
        fp32 bits.

    Raises
    ------
    TypeError
        If an argument does not hold bit patterns of its format.
    """
    addend = _bits("psum", psum, np.uint32).view(np.float32)
    with np.errstate(all="ignore"):
        exact = _widen("a", a) * _widen("w", w) + addend
        return _canonical(exact.astype(np.float32))


def add(a: ArrayLike, b: ArrayLike) -> _Bits32:
    """What the accumulators compute: ``a + b``, rounded once.

    Parameters
    ----------
    a, b : uint32 array
        fp32 bits, of shapes that broadcast.

    Returns
    -------
    uint32 array
        fp32 bits.

    Raises
    ------
    TypeError
        If an argument is not uint32.
    """
    first, second = _bits("a", a, np.uint32), _bits("b", b, np.uint32)
    with np.errstate(all="ignore"):
        return _canonical(first.view(np.float32) + second.view(np.float32))


def matmul(x: ArrayLike, w: ArrayLike) -> _Bits32:
    """One pass down the columns of an array: :func:`fma` from row 0 to K - 1, from +0.

    Which NaN and which zero a psum is cannot be seen before the last, so only that one is canonical.

    Parameters
    ----------
    x : uint16 array [M, K]
        Activations, bfloat16 bits.
    w : uint16 array [K, N]
        Weights, bfloat16 bits.

    Returns
    -------
    uint32 array [M, N]
        fp32 bits.

    Raises
    ------
    TypeError
        If an operand is not uint16.
    ValueError
        If the shapes do not fit.
    """
    rows, cols = _widen("x", x), _widen("w", w)
    if rows.ndim != 2 or cols.ndim != 2 or rows.shape[1] != cols.shape[0]:
        raise ValueError(f"x [M, K] and w [K, N] do not fit: {list(rows.shape)} and {list(cols.shape)}")
    psum = np.zeros((len(rows), cols.shape[1]), np.float32)
    exact = np.empty(psum.shape)
    with np.errstate(all="ignore"):
        for k in range(len(cols)):
            np.multiply(rows[:, k, None], cols[k], out=exact)
            exact += psum
            psum[...] = exact
    return _canonical(psum)
