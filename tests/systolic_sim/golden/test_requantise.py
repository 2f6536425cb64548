"""Requantisation against the published formulas in Python integers and fractions."""

import fractions
import math

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from systolic.compiler.quantise import quantise_multiplier
from systolic_sim.golden.requantise import requantise, requantise_fp32

HALF = fractions.Fraction(1, 2)
SUMS = st.one_of(st.integers(-2**31, 2**31 - 1), st.integers(-2000, 2000),
                 st.sampled_from([-2**31, 2**31 - 1, 0, 1, -1, 2**30, -2**30]))
MULTIPLIERS = st.one_of(st.integers(2**30, 2**31 - 1),
                        st.sampled_from([0, 2**30, 2**30 + 1, 2**31 - 1, 3 << 29]))


def single(x, multiplier, shift):
    """The real product, rounded once, halves up."""
    return math.floor(fractions.Fraction(x * multiplier, 2**31) * fractions.Fraction(2)**shift + HALF)


def double(x, multiplier, shift):
    """High half of the doubled product rounded halves up, then halves away from zero."""
    high = math.floor(fractions.Fraction(x * 2**max(shift, 0) * multiplier, 2**31) + HALF)
    if shift >= 0:
        return high
    whole, rest = divmod(abs(high), 2**-shift)
    magnitude = whole + (2 * rest >= 2**-shift)
    return magnitude if high >= 0 else -magnitude


def clamp(y, zero_point=0, low=-128, high=127):
    return max(low, min(high, y + zero_point))


@pytest.mark.parametrize("mode, reference", [("single", single), ("double", double)])
@hypothesis.settings(max_examples=400, deadline=None)
@hypothesis.given(data=st.data(), zero_point=st.integers(-128, 127), shift=st.integers(-31, 30),
                  multiplier=MULTIPLIERS)
def test_equals_formula(mode, reference, data, zero_point, shift, multiplier):
    x = data.draw(st.lists(SUMS, min_size=1, max_size=20))
    # Sums for which the result is about to leave or to change within int8, ties among them.
    steps = data.draw(st.lists(st.integers(-300, 300), max_size=20))
    near = [k * 2**(30 - shift) // max(multiplier, 1) for k in steps]
    x += [max(-2**31, min(2**31 - 1, each)) for each in near]
    got = requantise(np.array(x, np.int32), multiplier, shift, zero_point=zero_point, mode=mode)
    assert got.dtype == np.int8
    assert got.tolist() == [clamp(reference(each, multiplier, shift), zero_point) for each in x]


@pytest.mark.parametrize("mode, reference", [("single", single), ("double", double)])
def test_every_shift_and_tie(mode, reference):
    x = np.concatenate([np.arange(-2000, 2000), [-2**31, 2**31 - 1]]).astype(np.int32)
    for shift in range(-31, 31):
        for multiplier in (2**30, 3 << 29, 2**31 - 1):
            got = requantise(x, multiplier, shift, mode=mode)
            assert got.tolist() == [clamp(reference(int(each), multiplier, shift)) for each in x], shift


def test_the_modes_differ_at_ties():
    x, half = np.array([-3, -1, 1, 3], np.int32), 2**30
    assert requantise(x, half, 0).tolist() == [-1, 0, 1, 2]
    assert requantise(2 * x, half, -1, mode="double").tolist() == [-2, -1, 1, 2]
    assert requantise_fp32(x, 0.5).tolist() == [-2, 0, 0, 2]


def fp32_datapath(x, scale):
    """DESIGN's integer form of ``fp32``: 24-bit significand, one tie rule, no float anywhere."""
    fraction, exponent = math.frexp(scale)
    magnitude = abs(x)
    drop = max(magnitude.bit_length() - 24, 0)
    if drop:  # the conversion to float32: 24 bits, half to even
        magnitude = round(fractions.Fraction(magnitude, 2**drop)) << drop
    point = 24 - exponent
    product = magnitude * int(fraction * 2**24)
    if point <= 0:
        whole, rest = product << -point, fractions.Fraction(0)
    else:
        whole, rest = product >> point, fractions.Fraction(product & (1 << point) - 1, 1 << point)
    tie = abs(rest - HALF) <= fractions.Fraction(2)**(whole.bit_length() - 25)
    y = whole + (whole & 1 if tie else rest > HALF)
    return -y if x < 0 else y


def near_ties(rng, count):
    """Sums and scales whose product is within some 2**-24 of an integer and a half."""
    scale = (rng.uniform(1, 2, count) * 2.0**rng.integers(-20, 0, count)).astype(np.float32)
    x = np.rint((rng.integers(-140, 140, count) + 0.5) / scale).astype(np.int64).clip(-2**31, 2**31 - 1)
    # The scale nearest to a tie for that sum, or a few units beside it.
    exact = (np.rint(x * scale.astype(np.float64) - 0.5) + 0.5) / np.where(x == 0, 1, x)
    scale = np.abs(exact).astype(np.float32)
    return x.astype(np.int32), (scale.view(np.int32) + rng.integers(-2, 3, count, np.int32)).view(np.float32)


def test_fp32_datapath_equals_numpy_float32():
    rng = np.random.default_rng(0)
    ties = near_ties(rng, 20000)
    any_x = rng.integers(-2**31, 2**31, 10000, np.int32) >> rng.integers(0, 31, 10000, np.int32)
    any_scale = (rng.uniform(1, 2, 10000) * 2.0**rng.integers(-32, 3, 10000)).astype(np.float32)
    x, scale = np.concatenate([ties[0], any_x]), np.concatenate([ties[1], any_scale])
    product = x.astype(np.float32) * scale
    assert (np.abs(product - np.floor(product) - 0.5)[:20000] < 1e-4).mean() > 0.9
    want = [clamp(fp32_datapath(*each)) for each in zip(x.tolist(), scale.tolist(), strict=True)]
    np.testing.assert_array_equal(np.rint(product).clip(-128, 127), want)
    np.testing.assert_array_equal(requantise_fp32(x, scale), want)


def test_fp32_zero_point_and_bounds():
    x = np.array([-2**31, -7, -5, 0, 5, 7, 2**31 - 1], np.int32)
    got = requantise_fp32(x, np.float32(0.5), zero_point=3, low=0, high=6)
    assert got.dtype == np.int8
    assert got.tolist() == [0, 0, 1, 3, 5, 6, 6]
    assert requantise_fp32(x, np.float32(3e38)).tolist() == [-128, -128, -128, 0, 127, 127, 127]


def test_per_channel():
    rng = np.random.default_rng(1)
    x, real = rng.integers(-10**5, 10**5, (50, 7), np.int32), rng.uniform(1e-4, 1e-2, 7)
    multiplier, shift = quantise_multiplier(real)
    for mode in ("single", "double"):
        columns = [requantise(x[:, c], multiplier[c], shift[c], mode=mode) for c in range(7)]
        np.testing.assert_array_equal(requantise(x, multiplier, shift, mode=mode), np.stack(columns, axis=1))
    columns = [requantise_fp32(x[:, c], real[c]) for c in range(7)]
    np.testing.assert_array_equal(requantise_fp32(x, real), np.stack(columns, axis=1))


@pytest.mark.parametrize("change, message", [
    ({"mode": "triple"}, "mode must be one of single, double, not 'triple'"),
    ({"multiplier": 5}, "multiplier must be 0 or from"), ({"shift": 31}, "shift must be from -31 to 30"),
    ({"low": 5, "high": 4}, "low and high must be"), ({"high": 255}, "low and high must be")])
def test_errors(change, message):
    with pytest.raises(ValueError, match=message):
        requantise(np.zeros(1, np.int32), **({"multiplier": 2**30, "shift": 0} | change))


@pytest.mark.parametrize("scale", [-1, float("nan"), float("inf")])
def test_fp32_errors(scale):
    with pytest.raises(ValueError, match="scale must be finite"):
        requantise_fp32(np.zeros(1, np.int32), scale)
