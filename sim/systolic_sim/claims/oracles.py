"""The golden bf16 multiply-add against three oracles that know nothing of it: exact integers, Berkeley SoftFloat, C."""

import ctypes
import ctypes.util
import itertools

import numpy as np

from systolic.errors import UserError
from systolic_sim.claims.kept import run_all
from systolic_sim.claims.table import Table
from systolic_sim.golden import bf16

__all__ = ["ORACLES", "oracles", "special", "structured", "wrong"]

_NAN, _INFINITY = 0x7FC00000, 0x7F800000
_LIMIT = 1 << 24


def structured(seed, count):
    """Random operands in the relations that are hard to round.

    Parameters
    ----------
    seed, count : int

    Returns
    -------
    a, w : uint16 array [count]
        bfloat16 bits.
    psum : uint32 array [count]
        fp32 bits: any; near the product in exponent; its negative, but for some of the last bits; subnormal.
    """
    rng = np.random.default_rng(seed)
    a, w = (rng.integers(0, 1 << 16, count).astype(np.uint16) for _ in range(2))
    # Half of the products have an exponent in the middle, so that they are numbers.
    middle = rng.random(count) < 0.5
    w = np.where(middle, (w & 0x807F) | ((381 - (a >> 7 & 0xFF).astype(int) + rng.integers(-60, 60, count))
                                         .clip(0, 255) - 127).clip(0, 255).astype(np.uint16) << 7, w).astype(np.uint16)
    with np.errstate(all="ignore"):
        product = bf16.to_float32(a) * bf16.to_float32(w)
    bits, kind = product.view(np.uint32), rng.integers(0, 4, count)
    noise = rng.integers(0, 1 << 32, count, np.uint32)
    exponent = ((bits >> 23 & 0xFF).astype(int) + rng.integers(-30, 31, count)).clip(0, 254).astype(np.uint32)
    near, opposite = noise & 0x807FFFFF | exponent << 23, bits ^ 0x80000000 ^ (noise & noise >> 8 & 0xFF)
    return a, w.astype(np.uint16), np.choose(kind, [noise, near, opposite, noise & 0x807FFFFF]).astype(np.uint32)


def special():
    """bfloat16 bits of 200 special values: zeros, subnormals, powers of two and their neighbours, infinities, NaN."""
    exponents = (0, 1, 2, 63, 64, 100, 119, 126, 127, 128, 134, 135, 190, 191, 192, 253, 254, 255)
    found = [exponent << 7 | mantissa for exponent in exponents for mantissa in (0, 1, 0x3F, 0x40, 0x7F)]
    found += [0x0002, 0x0010, 0x0055, 0x3F2A, 0x3F55, 0x402A, 0x40AA, 0x7F2A, 0x7FAA, 0x7FD5]
    return np.array([sign | bits for bits in found for sign in (0, 0x8000)], np.uint16)


def _exact(a, w, psum):
    """Product and sum as integers, and one rounding."""
    if any(x >> 23 & 0xFF == 0xFF and x & 0x7FFFFF for x in (a, w, psum)):
        return _NAN
    infinite = [x & 0x7FFFFFFF == _INFINITY for x in (a, w, psum)]
    if any(infinite):
        if any(infinite[:2]) and not (a & 0x7FFFFFFF and w & 0x7FFFFFFF):
            return _NAN
        signs = {(a ^ w) >> 31} if any(infinite[:2]) else set()
        signs |= {psum >> 31} if infinite[2] else set()
        return _NAN if len(signs) > 1 else _INFINITY | signs.pop() << 31
    (ma, ea), (mw, ew), (mp, ep) = map(_number, (a, w, psum))
    product, scale = ma * mw, ea + ew
    low = min(scale, ep)
    return _round((product << scale - low) + (mp << ep - low), low)


def _number(bits):
    """Integer and power of two."""
    exponent, mantissa = bits >> 23 & 0xFF, bits & 0x7FFFFF
    mantissa |= (exponent > 0) << 23
    return (-mantissa if bits >> 31 else mantissa), max(exponent, 1) - 150


def _round(value, scale):
    sign, value = (value < 0) << 31, abs(value)
    if not value:
        return 0
    shift = max(value.bit_length() + scale - 24, -149) - scale
    if shift > 0:
        rest, half = value & (1 << shift) - 1, 1 << shift - 1
        value >>= shift
        value += rest > half or (rest == half and value & 1)
    else:
        value <<= -shift
    exponent = shift + scale
    if value == _LIMIT:
        value, exponent = value >> 1, exponent + 1
    if value < _LIMIT >> 1:
        return sign | value  # subnormal, or zero
    return sign | (_INFINITY if exponent + 150 >= 255 else (exponent + 150) << 23 | value & 0x7FFFFF)


def _softfloat():
    try:
        import softfloatpy as soft
    except ImportError as error:
        raise UserError("softfloatpy not found: run 'pip install softfloatpy'") from error

    def multiply_add(a, w, psum):
        return int.from_bytes(soft.f32_mul_add(*(soft.Float32.from_bytes(x.to_bytes(4, "big"))
                                                 for x in (a, w, psum))).to_bytes(), "big")
    return multiply_add


def _c():
    fmaf = ctypes.CDLL(ctypes.util.find_library("m")).fmaf
    fmaf.restype, fmaf.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    number = ctypes.c_float
    return lambda a, w, psum: int.from_bytes(bytes(number(fmaf(
        *(number.from_buffer_copy(x.to_bytes(4, "little")) for x in (a, w, psum))))), "little")


#: Functions that make functions of fp32 bits of a, w and psum.
ORACLES = {"exact integers": lambda: _exact, "SoftFloat": _softfloat, "fmaf of C": _c}


def wrong(a, w, psum):
    """How many of some operands each oracle gives another result for than the golden model, and how many there are."""
    golden = bf16.fma(a, w, psum).tolist()
    operands = list(zip((a.astype(np.uint32) << 16).tolist(), (w.astype(np.uint32) << 16).tolist(), psum.tolist(),
                        strict=True))
    count = {}
    for name, make in ORACLES.items():
        multiply_add, count[name] = make(), 0
        for expected, given in zip(golden, operands, strict=True):
            found = multiply_add(*given)
            # One NaN and one zero is all that the golden model has.
            found = _NAN if found & 0x7FFFFFFF > _INFINITY else 0 if found == 0x80000000 else found
            count[name] += found != expected
    return count | {"vectors": len(golden)}


def _structured(job):
    return wrong(*structured(*job))


def _special(job):
    """All values times a few, added to every tenth of them and to those in which the last bits matter."""
    values = special()
    psums = np.concatenate([values[::10].astype(np.uint32) << 16, np.array([1, 0x3F800001, 0xBF7FFFFF], np.uint32)])
    triples = np.array(list(itertools.product(values[job[0]:job[1]], values, psums)), np.uint32)
    return wrong(triples[:, 0].astype(np.uint16), triples[:, 1].astype(np.uint16), triples[:, 2])


def oracles(track, count=10_000_000):
    """Structured vectors, and every pair of special values."""
    rows, each = [], 100_000
    sources = (
        ("structured", _structured, [[seed, each] for seed in range(-(-count // each))]),
        ("every pair of 200 special values, 23 sums each", _special,
         [[first, first + 10] for first in range(0, len(special()), 10)]))
    for name, function, jobs in sources:
        found = list(track(run_all(function, jobs), f"bf16, {name}", len(jobs)))
        rows.append((name, f"{sum(part['vectors'] for part in found):,}",
                     *(f"{sum(part[oracle] for part in found):,}" for oracle in ORACLES)))
    return Table(
        title="bf16 against three oracles", rows=rows, holds=all(cell == "0" for row in rows for cell in row[2:]),
        claim="product and sum rounded once: the golden multiply-add, which the Verilog equals, is that of exact "
              "integers, of Berkeley SoftFloat and of fmaf in C, with one NaN and one zero",
        columns=("operands", "vectors", *(f"wrong against {name}" for name in ORACLES)))
