"""int8 golden model against numpy's own int64 arithmetic."""

import numpy as np
import pytest

from systolic_sim.golden import int8


def wrap(numbers):
    """int64 modulo 2**32, as int32, by arithmetic rather than by a cast."""
    return (numbers + 2**31) % 2**32 - 2**31


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 2), (7, 1, 9), (64, 300, 33), (0, 4, 4), (4, 0, 4)])
def test_matmul_equals_int64(shape):
    m, k, n = shape
    rng = np.random.default_rng(m)
    x, w = rng.integers(-128, 128, (m, k), np.int8), rng.integers(-128, 128, (k, n), np.int8)
    y = int8.matmul(x, w)
    assert y.dtype == np.int32
    np.testing.assert_array_equal(y, x.astype(np.int64) @ w.astype(np.int64))


def test_every_product():
    every = np.arange(-128, 128).astype(np.int8)
    products = int8.matmul(every[:, None], every[None])
    np.testing.assert_array_equal(products, np.multiply.outer(np.arange(-128, 128), np.arange(-128, 128)))
    assert products[0, 0] == 16384


def test_matmul_wraps():
    x = np.full((1, 2**17), -128, np.int8)
    assert int8.matmul(x, x.T)[0, 0] == -2**31


def test_accumulate_wraps():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-2**31, 2**31, (2, 1000), np.int32)
    a[:4], b[:4] = [2**31 - 1, -2**31, -2**31, 2**31 - 1], [1, -1, -2**31, 2**31 - 1]
    total = int8.accumulate(a, b)
    assert total.dtype == np.int32
    np.testing.assert_array_equal(total, wrap(a.astype(np.int64) + b))
    np.testing.assert_array_equal(total[:4], [-2**31, 2**31 - 1, 0, -2])


def test_operands_must_be_int8():
    x = np.zeros((2, 2), np.int8)
    with pytest.raises(TypeError, match="w must be int8, not int64"):
        int8.matmul(x, x.astype(np.int64))
    with pytest.raises(ValueError):
        int8.matmul(x, x[:1])
