"""bf16 golden model against ml_dtypes, numpy's floats, and exact rationals rounded by other code."""

import fractions
import math

import hypothesis
import hypothesis.strategies as st
import ml_dtypes
import numpy as np
import pytest

from systolic_sim.golden import bf16

INFINITY, NAN, SIGN = 0x7F800000, 0x7FC00000, 0x80000000
SPECIALS = [0, 1, 2, 0x40, 0x7E, 0x7F, 0x80, 0x81, 0xFF, 0x100, 0x1F80, 0x2000, 0x3F7F, 0x3F80, 0x3F81,
            0x3FFF, 0x4000, 0x4380, 0x5F80, 0x5FFF, 0x7F00, 0x7F7F, 0x7F80, 0x7F81, 0x7FC0, 0x7FFF]
SPECIALS += [bits | 0x8000 for bits in SPECIALS]
SPECIAL_PSUMS = [0, 1, 2, 0x7FFFFF, 0x800000, 0x800001, 0x33800000, 0x34000000, 0x3F7FFFFF, 0x3F800000,
                 0x3F800001, 0x3F808000, 0x7F000000, 0x7F7FFFFF, 0x7F800000, 0x7F800001, 0x7FFFFFFF]
SPECIAL_PSUMS += [bits | SIGN for bits in SPECIAL_PSUMS]
BF16 = st.integers(0, 0xFFFF)
NEIGHBOURS = st.tuples(st.integers(0, 2**32 - 1), st.integers(-2**25, 2**25))


def decode(bits):
    """Exact value of finite fp32 bits; nan or a signed infinity as a Python float."""
    sign, exponent, fraction = -1 if bits & SIGN else 1, bits >> 23 & 255, bits & 0x7FFFFF
    if exponent == 255:
        return float("nan") if fraction else sign * float("inf")
    scale = max(exponent, 1) - 150
    significand = sign * (fraction | bool(exponent) << 23)
    return fractions.Fraction(significand << max(scale, 0), 1 << max(-scale, 0))


def encode(exact):
    """fp32 bits nearest to a rational, ties to even; zero positive."""
    top, bottom = abs(exact.numerator), exact.denominator
    exponent = top.bit_length() - bottom.bit_length()
    exponent -= top << max(-exponent, 0) < bottom << max(exponent, 0)
    unit = max(exponent - 23, -149)
    top, bottom = top << max(-unit, 0), bottom << max(unit, 0)
    quotient, rest = divmod(top, bottom)
    quotient += 2 * rest > bottom or 2 * rest == bottom and quotient & 1
    bits = min((unit + 149 << 23) + quotient, INFINITY)
    return bits | SIGN if quotient and exact < 0 else bits if quotient else 0


def reference_fma(a, w, psum):
    a, w, psum = decode(a << 16), decode(w << 16), decode(psum)
    if all(isinstance(value, fractions.Fraction) for value in (a, w, psum)):
        return encode(a * w + psum)
    # Not finite: the sign of each is all that counts, and Python's floats know the rules.
    a, w, psum = (value if isinstance(value, float) else float((value > 0) - (value < 0))
                  for value in (a, w, psum))
    total = a * w + psum
    return NAN if math.isnan(total) else INFINITY if total > 0 else INFINITY | SIGN


def check_fma(a, w, psum):
    got = bf16.fma(*(np.array(v, t) for v, t in ((a, np.uint16), (w, np.uint16), (psum, np.uint32))))
    want = [reference_fma(*each) for each in zip(a, w, psum, strict=True)]
    wrong = np.flatnonzero(got != np.array(want, np.uint32))
    assert got.dtype == np.uint32
    assert not len(wrong), [tuple(map(hex, (a[i], w[i], psum[i], got[i], want[i]))) for i in wrong[:5]]


def check_add(a, b):
    got = bf16.add(np.array(a, np.uint32), np.array(b, np.uint32))
    for x, y, z in zip(a, b, got.tolist(), strict=True):
        finite = (x & 0x7F800000) != INFINITY and (y & 0x7F800000) != INFINITY
        want = encode(decode(x) + decode(y)) if finite else reference_sum(x, y)
        assert z == want, tuple(map(hex, (x, y, z, want)))


def reference_sum(x, y):
    """Sum with an infinity or a NaN in it."""
    nan = any(bits & 0x7FFFFFFF > INFINITY for bits in (x, y))
    infinities = {bits for bits in (x, y) if bits & 0x7FFFFFFF == INFINITY}
    return NAN if nan or len(infinities) == 2 else infinities.pop()


def test_references_agree_with_hardware_floats():
    rng = np.random.default_rng(0)
    a, b = rng.integers(2**32, size=(2, 20000), dtype=np.uint32)
    b[::2] = a[::2] ^ rng.integers(1 << 25, size=10000, dtype=np.uint32) ^ np.uint32(SIGN)
    with np.errstate(all="ignore"):
        total = a.view(np.float32) + b.view(np.float32)
    finite = np.isfinite(a.view(np.float32)) & np.isfinite(b.view(np.float32)) & (total != 0)
    got = [encode(decode(x) + decode(y)) for x, y in zip(a[finite].tolist(), b[finite].tolist(), strict=True)]
    np.testing.assert_array_equal(got, total[finite].view(np.uint32))


def test_every_pattern_to_float32():
    every = np.arange(1 << 16).astype(np.uint16)
    theirs = every.view(ml_dtypes.bfloat16).astype(np.float32)
    ours = bf16.to_float32(every)
    np.testing.assert_array_equal(np.isnan(ours), np.isnan(theirs))
    number = ~np.isnan(ours)
    np.testing.assert_array_equal(ours[number].view(np.uint32), theirs[number].view(np.uint32))
    np.testing.assert_array_equal(bf16.from_float32(ours), np.where(number, every, bf16.NAN_BF16))


def test_from_float32_equals_ml_dtypes():
    rng = np.random.default_rng(1)
    every = np.arange(1 << 16, dtype=np.uint32) << 16
    around_ties = [every | low for low in (0x7FFF, 0x8000, 0x8001, 0x0001, 0xFFFF)]
    bits = np.concatenate([rng.integers(1 << 32, size=1 << 19, dtype=np.uint32), *around_ties])
    numbers = bits.view(np.float32)
    with np.errstate(invalid="ignore"):
        theirs = numbers.astype(ml_dtypes.bfloat16).view(np.uint16)
    ours = bf16.from_float32(numbers)
    assert ours.dtype == np.uint16
    np.testing.assert_array_equal(ours, np.where(np.isnan(numbers), 0x7FC0, theirs))


def test_fma_special_triples():
    a, w, psum = np.meshgrid(SPECIALS, SPECIALS, SPECIAL_PSUMS)
    check_fma(a.ravel().tolist(), w.ravel().tolist(), psum.ravel().tolist())


def test_fma_special_pairs_of_bf16_psums():
    """The product of a column's first two rows: a psum that is itself a product of specials."""
    a, w = (grid.ravel().tolist() for grid in np.meshgrid(SPECIALS, SPECIALS))
    psums = [reference_fma(*pair, 0) for pair in zip(a, w, strict=True)]
    for shift in (1, 53, 700):
        check_fma(a, w, psums[shift:] + psums[:shift])


def test_fma_near_ties():
    """Products right at, just above and just below half a unit of the psum, at all exponents."""
    rng = np.random.default_rng(2)
    n = 30000
    a, w = rng.integers(1 << 16, size=(2, n))
    exponent = (a >> 7 & 255) + (w >> 7 & 255) - 127 + rng.integers(-3, 28, n)
    fraction = rng.choice([0, 1, 2, 0x7FFFFF, 0x7FFFFE, 0x400000], n)
    psum = rng.integers(2, size=n) << 31 | np.clip(exponent, 0, 254) << 23 | fraction
    half = rng.random(n) < 0.6
    a = np.where(half, a & 0xFF80, a)
    w = np.where(half & (rng.random(n) < 0.8), w & 0xFF80, w)
    check_fma(a.tolist(), w.tolist(), psum.tolist())


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.lists(st.tuples(BF16, BF16, st.integers(0, 2**32 - 1)), min_size=1, max_size=50))
def test_fma_any(triples):
    check_fma(*map(list, zip(*triples, strict=True)))


def test_fma_equals_float32_where_products_are_exact():
    """With no product beyond float32's range, its multiplication is exact and its sum the one rounding."""
    rng = np.random.default_rng(3)
    n = 2_000_000
    exponents = rng.integers(74, 180, (2, n), np.uint16)
    a, w = rng.integers(1 << 16, size=(2, n), dtype=np.uint16) & 0x807F | exponents << 7
    near = (exponents.sum(axis=0, dtype=np.int64) - 127 + rng.integers(-30, 30, n)).clip(0, 254)
    psum = (rng.integers(1 << 32, size=n) & 0x807FFFFF | near << 23).astype(np.uint32)
    want = bf16.to_float32(a) * bf16.to_float32(w) + psum.view(np.float32)
    assert np.isfinite(want).all()
    np.testing.assert_array_equal(bf16.fma(a, w, psum), np.where(want == 0, 0, want.view(np.uint32)))


def test_add_special_pairs():
    a, b = np.meshgrid(SPECIAL_PSUMS, SPECIAL_PSUMS)
    check_add(a.ravel().tolist(), b.ravel().tolist())


@hypothesis.settings(max_examples=300, deadline=None)
@hypothesis.given(st.lists(NEIGHBOURS, min_size=1, max_size=50), st.booleans())
def test_add_any(pairs, opposite):
    a = [a for a, _ in pairs]
    check_add(a, [(a + d) % 2**32 ^ SIGN * opposite for a, d in pairs])


def test_add_any_exponents():
    a, b = np.random.default_rng(4).integers(2**32, size=(2, 20000))
    check_add(a.tolist(), b.tolist())


def test_matmul_is_fma_down_the_column():
    rng = np.random.default_rng(5)
    for m, k, n, density in [(1, 1, 1, 0), (5, 7, 3, 0), (40, 33, 20, 0.02), (20, 3, 20, 0.5), (3, 0, 2, 0)]:
        x, w = (bf16.from_float32(rng.standard_normal(shape, np.float32)) for shape in ((m, k), (k, n)))
        x, w = (np.where(rng.random(v.shape) < density, rng.choice(SPECIALS, v.shape), v).astype(np.uint16)
                for v in (x, w))
        psum = np.zeros((m, n), np.uint32)
        for row in range(k):
            psum = bf16.fma(x[:, row, None], w[row], psum)
        np.testing.assert_array_equal(bf16.matmul(x, w), psum, strict=True)


def test_matmul_of_products_beyond_float32():
    """Exact products above and below what fp32 holds, which a sum brings back or keeps."""
    rng = np.random.default_rng(7)
    for low, high in ((46, 66), (188, 192)):
        x, w = (rng.integers(1 << 16, size=shape, dtype=np.uint16) & 0x807F for shape in ((50, 8), (8, 50)))
        x, w = (v | rng.integers(low, high, v.shape, np.uint16) << 7 for v in (x, w))
        psum = np.zeros((50, 50), np.uint32)
        for row in range(8):
            psum = bf16.fma(x[:, row, None], w[row], psum)
        np.testing.assert_array_equal(bf16.matmul(x, w), psum)


def test_matmul_near_float64():
    rng = np.random.default_rng(6)
    x, w = (bf16.from_float32(rng.standard_normal((256, 256), np.float32)) for _ in range(2))
    exact = bf16.to_float32(x).astype(np.float64) @ bf16.to_float32(w).astype(np.float64)
    np.testing.assert_allclose(bf16.matmul(x, w).view(np.float32), exact, atol=1e-4)


def test_order_counts():
    """From the top: 2**30 + 1 - 2**30 loses the 1, which a wider sum would keep."""
    x = bf16.from_float32(np.array([[2**30, 1, -(2**30)]], np.float32))
    ones = bf16.from_float32(np.ones((3, 1), np.float32))
    assert bf16.matmul(x, ones).view(np.float32) == 0
    assert bf16.matmul(x[:, [0, 2, 1]], ones).view(np.float32) == 1


@pytest.mark.parametrize("a, w, psum, want", [
    (0x8000, 0x3F80, SIGN, 0), (0x8001, 0x0001, 0, 0), (0x3F80, 0xBF80, 0x3F800000, 0),
    (0x0001, 0x3F80, 0, 1 << 16)], ids=["negative zero", "underflow", "cancellation", "subnormal kept"])
def test_zeros_and_subnormals(a, w, psum, want):
    assert bf16.fma(np.uint16(a), np.uint16(w), np.uint32(psum)) == want


def test_arguments_must_be_bit_patterns():
    numbers, bits = np.ones((2, 2), np.float32), np.zeros((2, 2), np.uint16)
    with pytest.raises(TypeError, match="w must be uint16 bit patterns, not float32"):
        bf16.matmul(bits, numbers)
    with pytest.raises(TypeError, match="psum must be uint32"):
        bf16.fma(bits, bits, numbers)
    with pytest.raises(TypeError, match="b must be uint32"):
        bf16.add(bits.astype(np.uint32), bits)
    with pytest.raises(ValueError, match=r"do not fit: \[2, 2\] and \[1, 2\]"):
        bf16.matmul(bits, bits[:1])
