"""Pooling and addition against the golden model, of pixels picked by numpy."""

import functools

import numpy as np
import pytest

from systolic.compiler import Builder, CompileError
from systolic.compiler.layers import add, pool
from systolic.compiler.layout import Layout
from systolic.compiler.quantise import addition
from systolic.tpu_config import tpu_preset
from systolic_sim.golden import activation
from systolic_sim.golden.layout import unpack_records


@pytest.mark.parametrize("kernel, step", [(2, None), (3, 2), (3, 1), (1, 2)])
@pytest.mark.parametrize("maximum", [False, True])
def test_pool(tpu, run, kernel, step, maximum):
    x = np.random.default_rng(0).integers(-128, 128, (7, 6, 5), np.int8)
    y, _ = run(tpu, functools.partial(pool, kernel=kernel, step=step, maximum=maximum), x, border=(1, 0))
    step = step or kernel
    height, width = ((size - kernel) // step + 1 for size in x.shape[:2])
    windows = np.stack([[x[row * step:row * step + kernel, column * step:column * step + kernel].reshape(-1, 5)
                         for column in range(width)] for row in range(height)]).astype(int)
    total = windows.sum(axis=2)
    average = np.sign(total) * ((2 * np.abs(total) + kernel**2) // (2 * kernel**2))
    np.testing.assert_array_equal(y, windows.max(axis=2) if maximum else average)


def test_pool_with_a_scale(tpu, run, reference):
    rng = np.random.default_rng(1)
    x, scale = rng.integers(-128, 128, (4, 4, 3), np.int8), reference.scale(rng, 1)
    y, _ = run(tpu, functools.partial(pool, kernel=2, scale=scale), x)
    sums = x.astype(np.int32).reshape(2, 2, 2, 2, 3).sum(axis=(1, 3))
    np.testing.assert_array_equal(y, reference.requantised(sums, scale))


def test_add(tpu, run):
    rng = np.random.default_rng(2)
    first, second = rng.integers(-128, 128, (2, 5, 4, 7), np.int8)
    scale = addition((0.05, 3), (0.02, -9), (0.06, 1), low=-90)
    y, _ = run(tpu, functools.partial(add, scale=scale), first, second, border=(1, 2))
    np.testing.assert_array_equal(y, activation.add(first, second, unpack_records(scale.records()), **scale.fields))
    assert len(np.unique(y)) > 20


def test_add_in_place(tpu, run):
    rng = np.random.default_rng(3)
    first, second = rng.integers(-128, 128, (2, 5, 4, 7), np.int8)
    scale = addition((0.05, 3), (0.02, -9), (0.06, 1))

    def place(builder):
        layer = add(builder, scale)
        return lambda builder, a, b: layer(builder, a, b, b)

    y, _ = run(tpu, place, first, second)
    np.testing.assert_array_equal(y, activation.add(first, second, unpack_records(scale.records()), **scale.fields))


def test_shapes_that_do_not_fit():
    builder = Builder(tpu_preset("tpu_4x4"))
    x, y = builder.tensor(Layout.of(4, 4, 3)), builder.tensor(Layout.of(4, 3, 3))
    with pytest.raises(CompileError, match=r"the same height, width and channels, not \(4, 3, 3\), \(4, 4, 3\)"):
        add(builder, addition((1, 0), (1, 0), (1, 0)))(builder, x, y)
    with pytest.raises(CompileError, match="out must be at most 2 x 2 x 3, not 4 x 3 x 3"):
        pool(builder, 2)(builder, x, y)
    with pytest.raises(CompileError, match="height must be at least 1, not 0"):
        pool(builder, 5)(builder, x)
