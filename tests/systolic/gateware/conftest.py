"""The recoded numbers of ``systolic.gateware.lib.float``, in plain Python and by their definitions alone."""

import types

import pytest


def operand(bits):
    """Fields of the Operand that 16 bits of bf16 mean."""
    sign, exponent, fraction = -1 if bits >> 15 else 1, bits >> 7 & 255, bits & 127
    special = exponent == 255
    if exponent:
        mantissa, scale = fraction + 128, exponent - 127
    elif fraction:
        shift = 8 - fraction.bit_length()
        mantissa, scale = fraction << shift, -126 - shift
    else:
        mantissa, scale = 0, -256
    return {"mantissa": sign * mantissa, "exponent": scale,
            "nan": int(special and fraction > 0), "inf": int(special and not fraction)}


def term(a, w):
    """Fields of the Term that the product of two bf16 numbers is."""
    a, w = operand(a), operand(w)
    inf = a["inf"] or w["inf"]
    nan = a["nan"] or w["nan"] or inf and not (a["mantissa"] and w["mantissa"])
    negative = (a["mantissa"] < 0) != (w["mantissa"] < 0)
    return {"mantissa": a["mantissa"] * w["mantissa"] * 256, "exponent": a["exponent"] + w["exponent"] + 128,
            "pos": int(nan or inf and not negative), "neg": int(nan or inf and negative)}


def psum(bits):
    """Fields of the Psum that 32 bits of fp32 mean."""
    sign, exponent, fraction = bits >> 31, bits >> 23 & 255, bits & 0x7FFFFF
    if exponent == 255:
        nan = fraction > 0
        # What mantissa and exponent are beside a flag must not matter.
        return {"mantissa": 0x123456, "exponent": 77, "pos": int(nan or not sign), "neg": int(nan or sign)}
    mantissa = fraction | (exponent > 0) << 23
    return {"mantissa": -mantissa if sign else mantissa, "exponent": max(exponent, 1), "pos": 0, "neg": 0}


def fp32(psum):
    """Bits of fp32 that a Psum means; an assertion fails if it breaks the format's rules."""
    mantissa, exponent = psum.mantissa, psum.exponent
    if psum.pos or psum.neg:
        return 0x7FC00000 if psum.pos and psum.neg else 0x7F800000 | psum.neg << 31
    assert 1 <= exponent <= 254
    magnitude = abs(mantissa)
    assert magnitude >= 1 << 23 or exponent == 1
    if magnitude == 1 << 24:
        magnitude, exponent = 1 << 23, exponent + 1
    assert magnitude < 1 << 24 and exponent <= 254
    biased = exponent if magnitude >= 1 << 23 else 0
    return (mantissa < 0) << 31 | biased << 23 | magnitude & 0x7FFFFF


@pytest.fixture(scope="session")
def recoded():
    """Functions between bit patterns and the array's recoded numbers."""
    return types.SimpleNamespace(operand=operand, term=term, psum=psum, fp32=fp32)
