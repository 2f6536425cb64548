"""How scales, biases and zero points are chosen."""

import fractions

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from systolic.compiler import CompileError, quantise
from systolic.compiler.quantise import Requantisation, average_multiplier, quantise_multiplier
from systolic_sim.golden import activation
from systolic_sim.golden.layout import unpack_records
from systolic_sim.golden.requantise import requantise


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.floats(2.0**-32, 2.0**30 - 1))
def test_quantise_multiplier(real):
    multiplier, shift = map(int, quantise_multiplier(real))
    assert 2**30 <= multiplier < 2**31 and -31 <= shift <= 30
    error = fractions.Fraction(multiplier, 2**31) * fractions.Fraction(2)**shift - fractions.Fraction(real)
    assert abs(error) <= fractions.Fraction(2)**(shift - 32)


def test_quantise_multiplier_ends():
    real = [0, 2.0**-33, 2.0**-32, 1 - 2.0**-40, 1, 2.0**30 - 1]
    multiplier, shift = quantise_multiplier(real)
    assert multiplier.tolist() == [0, 0, 2**30, 2**30, 2**30, 2**31 - 2]
    assert shift.tolist() == [0, 0, -31, 1, 1, 30]
    for wrong in (-1, float("nan"), float("inf"), 2**30, 2**30 - 0.2):
        with pytest.raises(CompileError, match="scale must be"):
            quantise_multiplier(wrong)


def values_of(rng, weights_shape):
    """Real weights and bias, with outputs of very different sizes; int8 inputs with their scale and zero point."""
    weights = rng.normal(size=weights_shape) * 10.0 ** rng.uniform(-1, 1, weights_shape[-1])
    return weights, rng.normal(size=weights_shape[-1]) * 5, rng.integers(-128, 128, (200, weights_shape[0]), np.int8)


@pytest.mark.parametrize("zero_point", [-128, 0, 17])
def test_a_product_of_reals(zero_point):
    """What comes out stands for the real product, to within its own rounding and that of the weights."""
    weights, bias, x = values_of(np.random.default_rng(0), (20, 6))
    inputs = 0.02, zero_point
    real = inputs[0] * (x.astype(float) - zero_point) @ weights + bias
    outputs = quantise.range_scale(real)
    w, weight_scale = quantise.symmetric(weights)
    scale = quantise.dense(w, bias, weight_scale=weight_scale, inputs=inputs, outputs=outputs)
    y = requantise(x.astype(np.int32) @ w.astype(np.int32) + scale.bias, scale.multiplier, scale.shift, **scale.fields)
    exact = inputs[0] * (x.astype(float) - zero_point) @ (w * weight_scale) + bias
    rounding = 0.6 * outputs[0] + inputs[0] * weight_scale.max() / 2
    np.testing.assert_allclose((y - float(outputs[1])) * outputs[0], exact, atol=rounding)
    assert np.abs(y - (real / outputs[0] + outputs[1])).mean() < 2


def test_symmetric():
    weights = np.random.default_rng(1).normal(size=(3, 3, 4, 5))
    weights[..., 2] = 0
    w, scale = quantise.symmetric(weights)
    assert w.dtype == np.int8 and scale.shape == (5,)
    assert [abs(w[..., i].astype(int)).max() for i in range(5)] == [127, 127, 0, 127, 127]
    assert np.all(np.abs(w * scale - weights) <= scale / 2 + 1e-12)


def test_range_scale():
    for values in ([-1.0, 3.0], [0.5, 2.0], [-4.0, -1.0], [0.0]):
        scale, zero_point = quantise.range_scale(values)
        low, high = scale * (-128 - zero_point), scale * (127 - zero_point)
        assert -128 <= zero_point <= 127
        assert low <= min(*values, 0) + scale / 2 + 1e-12 and high >= max(*values, 0) - scale / 2 - 1e-12


def test_bias_that_does_not_fit():
    with pytest.raises(CompileError, match=r"bias must be from -2\*\*31 to 2\*\*31 - 1 in the scale of the sums, not"):
        quantise.fold_bias([1.0], [1e-12], np.zeros((1, 1), np.int8), 0)


def test_records_of_channels():
    scale = Requantisation(bias=[1, 2, 3], multiplier=[2**30, 2**30 + 1, 2**30 + 2], shift=-3)
    assert unpack_records(scale.records())["bias"].tolist() == [1, 2, 3]
    some = unpack_records(scale.records([2, 0, 2]))
    assert some["bias"].tolist() == [3, 1, 3] and (some["multiplier"] - 2**30).tolist() == [2, 0, 2]
    assert some["shift"].tolist() == [-3] * 3
    assert unpack_records(Requantisation(bias=7, multiplier=2**30).records(range(4)))["bias"].tolist() == [7] * 4
    with pytest.raises(CompileError, match="bias, multiplier and shift must be of 4 channels, not 3"):
        scale.records(range(4))


@pytest.mark.parametrize("counts", [range(1, 65), range(65, 129), range(129, 193), range(193, 257)])
def test_average_is_that_of_tflite(counts):
    """Every sum of every count: rounded to the nearest, halves away from zero, by C's division."""
    for count in counts:
        multiplier, shift = average_multiplier(count)
        sums = np.arange(-128 * count, 127 * count + 1)
        rounded = np.sign(sums) * ((np.abs(sums) + count // 2) // count)
        got = requantise(sums, multiplier, shift)
        np.testing.assert_array_equal(got, np.clip(rounded, -128, 127))


def test_average_of_large_windows():
    rng = np.random.default_rng(0)
    for count in (255 * 255, 65024, 2**15, 40000, 3**10):
        sums = np.concatenate([rng.integers(-128 * count, 127 * count, 10000),
                               (2 * np.arange(-127, 127) + 1) * count // 2])
        got = requantise(sums, *average_multiplier(count))
        np.testing.assert_array_equal(got, np.sign(sums) * ((np.abs(sums) + count // 2) // count))
    for count in (0, 255 * 255 + 1):
        with pytest.raises(CompileError, match="count must be from 1 to 65025"):
            average_multiplier(count)


def test_nearest_multiplier_does_not_average():
    """Why there is :func:`average_multiplier`: negative halves would go up."""
    assert requantise(-3, *map(int, quantise_multiplier(1 / 2))) == -1
    assert requantise(-3, *average_multiplier(2)) == -2


def test_identity():
    table = unpack_records(quantise.identity().records())
    pixels = np.arange(-128, 128, dtype=np.int8)[:, None]
    np.testing.assert_array_equal(activation.activate(pixels, table), pixels)


@pytest.mark.parametrize("seed", range(5))
def test_addition(seed):
    """All pairs, to within a rounding of the real sum."""
    rng = np.random.default_rng(seed)
    (first, second, outputs) = zip(rng.uniform(0.01, 0.2, 3).tolist(), rng.integers(-128, 128, 3).tolist(), strict=True)
    scale = quantise.addition(first, second, outputs)
    a, b = np.meshgrid(*[np.arange(-128, 128, dtype=np.int8)] * 2)
    got = activation.add(a, b, unpack_records(scale.records()), **scale.fields)
    real = first[0] * (a.astype(float) - first[1]) + second[0] * (b.astype(float) - second[1])
    np.testing.assert_allclose(got, np.clip(real / outputs[0] + outputs[1], -128, 127), atol=0.51)
