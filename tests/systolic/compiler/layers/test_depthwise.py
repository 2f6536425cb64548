"""Depthwise convolutions against numpy."""

import functools

import numpy as np
import pytest

from systolic.compiler import Builder, CompileError
from systolic.compiler.layers import depthwise
from systolic.compiler.layout import Layout
from systolic.tpu_config import tpu_preset


@pytest.mark.parametrize("channels", [1, 8, 10])
@pytest.mark.parametrize("kernel, step, before", [(3, 1, None), (3, 2, 0), (5, 1, None), (1, 1, None)])
def test_depthwise(tpu, run, reference, channels, kernel, step, before):
    """Channels that fill diagonals, and others; the map may have a border, which is not looked at."""
    rng = np.random.default_rng(8)
    x = rng.integers(-128, 128, (6, 5, channels), np.int8)
    w = rng.integers(-128, 128, (kernel, kernel, channels), np.int8)
    scale, options = reference.scale(rng, channels), {"step": step, "before": before, "padding": -7}
    for border in ((0, 0), (1, 2)):
        y, builder = run(tpu, functools.partial(depthwise, w=w, scale=scale, **options), x, border=border, padding=99)
        np.testing.assert_array_equal(y, reference.depthwise(x, w, scale, **options))
        assert builder.macs == y.size * kernel**2


def test_more_rows_than_accumulators(run, reference):
    rng = np.random.default_rng(9)
    x, w = rng.integers(-128, 128, (9, 20, 6), np.int8), rng.integers(-128, 128, (3, 3, 6), np.int8)
    scale = reference.scale(rng, 6)
    y, builder = run(tpu_preset("tpu_4x4"), functools.partial(depthwise, w=w, scale=scale), x)
    np.testing.assert_array_equal(y, reference.depthwise(x, w, scale))
    program, = builder.image().programs
    assert [each.y_count for each in program if each.name == "matrix_multiply"] == [3, 3, 3]


def test_what_it_is_not_for(reference):
    builder = Builder(tpu_preset("tpu_4x4"))
    scale = reference.scale(np.random.default_rng(0), 6)
    layer = depthwise(builder, np.zeros((3, 3, 6), np.int8), scale)
    with pytest.raises(CompileError, match="x and out must have 6 channels, not 5 and 6"):
        layer(builder, builder.tensor(Layout.of(4, 4, 5)))
    with pytest.raises(CompileError, match=r"w must be \[kernel, kernel, channels\], not \[3, 2, 6\]"):
        depthwise(builder, np.zeros((3, 2, 6), np.int8), scale)
    with pytest.raises(CompileError, match="must be of 7 channels, not 6"):
        depthwise(builder, np.zeros((3, 3, 7), np.int8), scale)
