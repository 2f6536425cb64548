"""The activation unit's functions against TFLite's reference kernels in plain integers, and against each other."""

import numpy as np
import pytest

from systolic.compiler.quantise import average_multiplier, quantise_multiplier
from systolic_sim.golden.activation import RECORD, activate, add, lookup, pool, record
from systolic_sim.golden.requantise import requantise, requantise_fp32

INT8 = np.arange(-128, 128)


def by_quantized_multiplier(x, multiplier, shift, rounding):
    """TFLite's MultiplyByQuantizedMultiplier of Python integers, as compiled for single or double rounding."""
    if rounding == "single":
        total_shift = 31 - shift
        return (x * multiplier + (1 << (total_shift - 1))) >> total_shift
    # SaturatingRoundingDoublingHighMul, which divides towards zero, then RoundingDivideByPOT.
    product = (x << max(shift, 0)) * multiplier
    nudged = product + ((1 << 30) if product >= 0 else 1 - (1 << 30))
    high = nudged >> 31 if nudged >= 0 else -(-nudged >> 31)
    exponent = max(-shift, 0)
    mask = (1 << exponent) - 1
    remainder, threshold = high & mask, (mask >> 1) + (high < 0)
    return (high >> exponent) + (remainder > threshold)


def tflite_add(a, b, quantisation, rounding):
    """AddElementwise of TFLite's reference kernel for int8: offsets, multipliers, left_shift 20."""
    (offset_a, scale_a), (offset_b, scale_b), (offset, scale), low, high = quantisation
    shifted_a, shifted_b = (offset_a + a) << 20, (offset_b + b) << 20
    total = (by_quantized_multiplier(shifted_a, *scale_a, rounding)
             + by_quantized_multiplier(shifted_b, *scale_b, rounding))
    return min(high, max(low, by_quantized_multiplier(total, *scale, rounding) + offset))


def random_add(rng):
    """Quantisation as TFLite's Prepare derives it from three scales and zero points."""
    scales, zeros = rng.uniform(0.01, 0.5, 3), rng.integers(-128, 128, 3).tolist()
    twice = 2 * max(scales[:2])
    real = scales[0] / twice, scales[1] / twice, twice / (2**20 * scales[2])
    multipliers = [tuple(map(int, quantise_multiplier(each))) for each in real]
    return (-zeros[0], multipliers[0]), (-zeros[1], multipliers[1]), (zeros[2], multipliers[2]), -128, 127


@pytest.mark.parametrize("rounding", ["single", "double"])
@pytest.mark.parametrize("seed", range(6))
def test_add_is_that_of_tflite(rounding, seed):
    """All pairs of inputs."""
    quantisation = random_add(np.random.default_rng(seed))
    offsets, multipliers = zip(*quantisation[:3], strict=True)
    bias = [offsets[0] << 20, offsets[1] << 20, 0]
    records = record(bias, *zip(*multipliers, strict=True))
    a, b = np.meshgrid(INT8, INT8)
    got = add(a, b, records, rounding=rounding, zero_point=offsets[2])
    want = [tflite_add(*pair, quantisation, rounding) for pair in zip(a.ravel().tolist(), b.ravel().tolist(),
                                                                        strict=True)]
    assert got.dtype == np.int8
    assert got.ravel().tolist() == want
    assert len(set(want)) > 30


def test_roundings_of_add_differ_and_fp32_is_single():
    """Halves of a negative sum: up, or away from zero."""
    records = record([0, 0, 0], [2**30, 2**30, 2**30], [0, 0, -19])
    a, b = np.array([-3, 3, -1, 5]), np.zeros(4, np.int8)
    single, double, fp32 = (add(a, b, records, rounding=each).tolist() for each in ("single", "double", "fp32"))
    assert single == fp32 == [-1, 2, 0, 3]
    assert double == [-2, 2, -1, 3]


def test_add_wraps_at_32_bits():
    """The input with its bias, the sum of both, and what a shift makes too large."""
    records = record([2**31 - 1, 0, 0], [2**30, 2**30, 2**30], [1, 1, -23])
    assert add(np.array([0, 1, 0]), np.array([0, 0, 127]), records).tolist() == [127, -128, -120]
    left = record([0, 0, 0], [2**30] * 3, [8, 1, 1])
    assert add(np.array([64, 16, 8]), np.array([0, 0, 0]), left).tolist() == [0, -128, 127]


def test_pool():
    rng = np.random.default_rng(0)
    pixels = rng.integers(-128, 128, (3, 4, 9, 5), np.int8)
    same = record(0, 2**30, 1)
    np.testing.assert_array_equal(pool(pixels, same, maximum=True), pixels.max(axis=2))
    want = requantise(pixels.sum(axis=2, dtype=np.int32) + 7, *average_multiplier(9))
    np.testing.assert_array_equal(pool(pixels, record(7, *average_multiplier(9))), want)


def test_activate_by_channel_and_rounding():
    rng = np.random.default_rng(0)
    sums, bias = rng.integers(-10**5, 10**5, (50, 7), np.int32), rng.integers(-1000, 1000, 7)
    real = rng.uniform(1e-4, 1e-2, 7)
    scale, options = quantise_multiplier(real), {"zero_point": 3, "low": -100, "high": 90}
    for rounding in ("single", "double"):
        np.testing.assert_array_equal(activate(sums, record(bias, *scale), rounding=rounding, **options),
                                      requantise(sums + bias, *scale, mode=rounding, **options))
    np.testing.assert_array_equal(activate(sums, record(bias, scale=real), rounding="fp32", **options),
                                  requantise_fp32(sums + bias, real, **options))
    one = activate(sums, record(5, 2**30, -7))
    np.testing.assert_array_equal(one, requantise(sums + 5, 2**30, -7))


def test_bias_wraps():
    assert activate(np.array([2**31 - 1], np.int32), record(1, 2**30, 1)).tolist() == [-128]


def test_lookup():
    table = np.random.default_rng(0).permutation(INT8).astype(np.int8)
    np.testing.assert_array_equal(lookup(INT8, table), table)
    np.testing.assert_array_equal(activate(INT8, record(0, 2**30, 1), table=table), table)


def test_record_is_as_in_memory():
    assert RECORD.itemsize == 16
    data = record(-2, 2**30, -5).tobytes()
    assert data == b"\xfe\xff\xff\xff" + b"\0\0\0\x40" + b"\xfb\xff\xff\xff" + b"\0\0\0\0"
    assert record(scale=1.5).tobytes() == b"\0\0\0\0" + b"\0\0\xc0\x3f" + bytes(8)


@pytest.mark.parametrize("function", [lambda: activate(np.zeros(1, np.int32), record(), rounding="up"),
                                      lambda: add(INT8, INT8, record([0, 0, 0]), rounding="up")])
def test_unknown_rounding(function):
    with pytest.raises(ValueError, match="rounding must be one of single, double, fp32, not 'up'"):
        function()
