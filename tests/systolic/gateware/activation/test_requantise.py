"""Requantisation in gateware: equal to the golden functions, in every rounding, at every edge."""

import itertools

import numpy as np
import pytest
from amaranth.hdl import Module, Signal, Value, signed

from systolic.gateware.activation.requantise import Requantise, Scale, decode_scale
from systolic.gateware.delay import delay
from systolic.gateware.shared import place
from systolic_sim.golden.activation import record
from systolic_sim.golden.requantise import requantise, requantise_fp32

SUMS = [-2**31, 2**31 - 1, 0, 1, -1, 2**30, -2**30, 2**24, 2**24 + 1, -2**24 - 1, 2**25 + 2, 2**31 - 64, 2**31 - 65,
        2**31 - 192, -2**31 + 1, 12345, -777]
MULTIPLIERS = [2**30, 2**30 + 1, 3 << 29, 2**31 - 1, 0]


def run(simulate, rounding, x, records, addends=None, bias=0):
    """(y, over, under) of every sum, a sum a cycle: so everything comes in the cycle it is said to."""
    m, unit, count = Module(), Requantise(), len(x)
    place(m, "unit", unit)
    multiplier, shift = Signal(32), Signal(signed(6))
    scale = decode_scale(m, multiplier, shift, double=rounding == "double", fp32=rounding == "fp32")
    m.d.comb += unit.scale.eq(Scale()(delay(m, Value.cast(scale), Requantise.SCALE, "scale_delayed")))
    addends = [0] * count if addends is None else addends
    got = []

    async def testbench(ctx):
        ctx.set(unit.fp32, rounding == "fp32")
        ctx.set(unit.bias, bias)
        ctx.set(unit.take, 1)
        for cycle in range(count + Requantise.LATENCY):
            if cycle < count:
                ctx.set(unit.x, int(x[cycle]))
                ctx.set(multiplier, int(records["multiplier"][cycle]))
                ctx.set(shift, int(records["shift"][cycle]))
            late = cycle - Requantise.LATENCY + 1
            ctx.set(unit.addend, int(addends[late]) if 0 <= late < count else 99)
            if cycle >= Requantise.LATENCY:
                got.append((ctx.get(unit.y), ctx.get(unit.over), ctx.get(unit.under)))
            await ctx.tick()
    simulate(m, testbench)
    return got


def clamp(results):
    """As a lane does it."""
    return [127 if over else -128 if under else min(127, max(-128, y)) for y, over, under in results]


def exact(x, multiplier, shift, rounding):
    """The integer before any bound, from the published formulas."""
    if rounding == "single" or shift >= 0:
        return (x * multiplier + (1 << (30 - shift))) >> (31 - shift)
    high = (x * multiplier + (1 << 30)) >> 31
    return (high + (1 << (-shift - 1)) - (high < 0)) >> -shift


def expect(x, multiplier, shift, rounding, addend):
    y = exact(x, multiplier, shift, rounding)
    if not -2**31 <= y < 2**31:
        # The rounding may carry a number that fits into one that does not: one too large for y, but right.
        return None if y == 2**31 else (None, int(y > 0), int(y < 0))
    return y + addend, 0, 0


@pytest.mark.parametrize("rounding", ["single", "double"])
def test_integers_of_32_bits(simulate, rounding):
    """Every extreme with every shift: the whole integer, or whether it is too large or too small."""
    cases = list(itertools.product(SUMS, MULTIPLIERS, range(-31, 31)))
    x, multiplier, shift = map(list, zip(*cases, strict=True))
    addends = np.random.default_rng(0).integers(-2**31, 2**31, len(x)).tolist()
    got = run(simulate, rounding, x, record(0, multiplier, shift), addends)
    seen = {"fits": 0, "over": 0, "under": 0}
    for case, addend, result in zip(cases, addends, got, strict=True):
        want = expect(*case, rounding, addend)
        if want is None:
            assert result == (2**31 + addend, 0, 0) or result[1], case
        elif want[0] is None:
            seen["over" if want[1] else "under"] += 1
            assert result[1:] == want[1:], case
        else:
            seen["fits"] += 1
            assert result == want, case
    assert min(seen.values()) > 200


@pytest.mark.parametrize("rounding", ["single", "double"])
def test_random_and_near_ties(simulate, rounding):
    rng, count = np.random.default_rng(1), 4000
    multiplier, shift = rng.integers(2**30, 2**31, count), rng.integers(-31, 31, count)
    multiplier[::3] = 2**30 + rng.integers(0, 2, len(multiplier[::3]))
    x = rng.integers(-2**31, 2**31, count) >> rng.integers(0, 31, count)
    tie = (rng.integers(-300, 300, count) + 0.5) * 2.0**(31 - shift) / multiplier
    x = np.where((np.abs(tie) < 2**31 - 1) & (rng.random(count) < 0.7), np.rint(tie), x).astype(np.int64)
    got = clamp(run(simulate, rounding, x, record(0, multiplier, shift)))
    assert got == requantise(x, multiplier, shift, mode=rounding).tolist()
    assert len(set(got)) > 200


def near_ties(rng, count):
    """Sums and scales whose product is within some units of a float32 number's last bit of an integer and a half."""
    scale = (rng.uniform(1, 2, count) * 2.0**rng.integers(-33, 8, count)).astype(np.float32)
    x = np.rint((rng.integers(-256, 256, count) + 0.5) / scale).clip(-2**31, 2**31 - 1)
    nearest = (np.rint(x * scale.astype(np.float64) - 0.5) + 0.5) / np.where(x == 0, 1, x)
    bits = np.abs(nearest).astype(np.float32).view(np.int32) + rng.integers(-2, 3, count, np.int32)
    return x.astype(np.int64), np.maximum(bits, 0).view(np.float32)


def edges():
    """Products exactly 2**(j - 25) beside a half with j bits ahead of the point: halfway between two floats."""
    for j in range(10):
        for whole in range(1 << j >> 1, 1 << j, max(1, (1 << j) // 16)):
            for beside in (-2, -1, 1, 2):
                target = ((2 * whole + 1) << (24 - j)) + beside
                for x in range(1, 400, 2):
                    if target % x == 0 and target // x < 2**24:
                        yield x, np.float32(target // x * 2.0**(j - 25))
                        yield -x, np.float32(target // x * 2.0**(j - 25))


@pytest.mark.parametrize("zero_point", [0, -128, 127])
def test_fp32(simulate, zero_point):
    rng = np.random.default_rng(2)
    ties = near_ties(rng, 4000)
    any_x = rng.integers(-2**31, 2**31, 2000) >> rng.integers(0, 31, 2000)
    any_scale = (rng.uniform(1, 2, 2000) * 2.0**rng.integers(-34, 12, 2000)).astype(np.float32)
    beside = np.array(list(edges()))
    assert len(beside) > 500
    x = np.concatenate([ties[0], any_x, beside[:, 0].astype(np.int64)])
    scale = np.concatenate([ties[1], any_scale, beside[:, 1].astype(np.float32)])
    got = clamp(run(simulate, "fp32", x, record(scale=scale), [zero_point] * len(x)))
    want = requantise_fp32(x.astype(np.int32), scale, zero_point=zero_point)
    wrong = [each for each in zip(x, scale, got, want, strict=True) if each[2] != each[3]]
    assert not wrong, wrong[:5]
    assert len(set(got)) > 200


def test_fp32_scales_of_every_size(simulate):
    """Zero, subnormal numbers, all powers of two, the largest: with all extremes of the sum."""
    scales = [0, 1e-45, 1e-40, 3.4028235e38] + [np.ldexp(f, e) for e in range(-127, 128) for f in (1, 1.9999999)]
    cases = list(itertools.product(SUMS[::2], np.array(scales, np.float32)))
    x, scale = np.array([each[0] for each in cases]), np.array([each[1] for each in cases], np.float32)
    got = clamp(run(simulate, "fp32", x, record(scale=scale)))
    assert got == requantise_fp32(x.astype(np.int32), scale).tolist()


@pytest.mark.parametrize("zero_point", [-128, 127])
def test_fp32_reaches_both_bounds_from_any_zero_point(simulate, zero_point):
    """Results up to 255, of small sums and large scales too."""
    x = np.concatenate([np.arange(-300, 301), np.tile([-3, -2, -1, 1, 2, 3], 300)])
    scale = np.concatenate([np.ones(601), np.linspace(20, 600, 1800)]).astype(np.float32)
    got = clamp(run(simulate, "fp32", x, record(scale=scale), [zero_point] * len(x)))
    assert got == requantise_fp32(x, scale, zero_point=zero_point).tolist()


@pytest.mark.parametrize("sign, zero_point", [(1, -128), (-1, 127)])
def test_fp32_rounds_large_sums_first(simulate, sign, zero_point):
    """Sums of more than 24 bits about halfway between two floats, where that decides what the result is."""
    cases = []
    for dropped, whole, beside in itertools.product(range(1, 8), range(128, 255, 5), (-1, 0, 1)):
        number = (whole << 16) + (1 << 15) + beside
        for rest in {0, (1 << dropped >> 1) - 1, 1 << dropped >> 1, (1 << dropped >> 1) + 1, (1 << dropped) - 1}:
            cases.append((sign * ((number << dropped) + rest), 2.0**(-16 - dropped)))
    x, scale = np.array([each[0] for each in cases]), np.array([each[1] for each in cases], np.float32)
    got = clamp(run(simulate, "fp32", x, record(scale=scale), [zero_point] * len(x)))
    assert got == requantise_fp32(x.astype(np.int32), scale, zero_point=zero_point).tolist()
    assert len(set(got)) > 40


def test_bias_wraps(simulate):
    x = [2**31 - 1, -1, 0]
    got = run(simulate, "single", x, record([0] * 3, 2**30, 1), bias=1)
    assert [y for y, _, _ in got] == [-2**31, 0, 1]
