"""int8 arithmetic: exact psums, wrapping int32 accumulators."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["accumulate", "matmul"]


def matmul(x: NDArray[np.int8], w: NDArray[np.int8]) -> NDArray[np.int32]:
    """Product of int8 matrices, in int32.

    Computed in float64, where every sum on the way is an integer below 2**53, hence exact in any order.

    Parameters
    ----------
    x : int8 array [M, K]
        Activations.
    w : int8 array [K, N]
        Weights.

    Returns
    -------
    int32 array [M, N]
        ``x @ w`` modulo 2**32.

    Raises
    ------
    TypeError
        If an operand is not int8.
    ValueError
        If the shapes do not fit.
    """
    for name, operand in (("x", x), ("w", w)):
        if np.asarray(operand).dtype != np.int8:
            raise TypeError(f"{name} must be int8, not {np.asarray(operand).dtype}")
    product = np.asarray(x, np.float64) @ np.asarray(w, np.float64)
    return product.astype(np.int64).astype(np.int32)


def accumulate(acc: NDArray[np.int32], psum: NDArray[np.int32]) -> NDArray[np.int32]:
    """Sum of int32 arrays, modulo 2**32.

    Parameters
    ----------
    acc, psum : int32 array
        Of shapes that broadcast.

    Returns
    -------
    int32 array
    """
    return (acc.astype(np.int64) + psum).astype(np.int32)
