"""ECP5 carry chains with logic that synthesis does not absorb into them."""

from amaranth.hdl import Const, Instance, Signal, signed

__all__ = ["carry_chain", "equal", "gated_sum", "less"]


def carry_chain(m, name, halves, carry_in):
    """The sum bits of a chain of CCU2C, lowest first.

    Parameters
    ----------
    m : Module
        Where to put it.
    name : str
        What its parts are called after.
    halves : list of (init, A, B, C, D)
        Each half of a CCU2C: its LUT and the inputs of that. Where the LUT is 1 the carry goes on; where it is 0, the
        LUT's value for these A and B with C and D at 0 is the carry. The sum is the LUT's value xor the carry that
        came. Their number is even.
    carry_in : 0 or 1
    """
    total, carry = Signal(signed(len(halves)), name=name), Const(carry_in, 1)
    for start in range(0, len(halves), 2):
        pair = halves[start:start + 2]
        parameters = {f"p_INIT{half}": Const(init, 16) for half, (init, *_) in enumerate(pair)}
        inputs = {f"i_{port}{half}": value for half, (_, *values) in enumerate(pair)
                  for port, value in zip("ABCD", values, strict=True)}
        carry_out = Signal(name=f"{name}_carry_{start + 2}")
        m.submodules[f"{name}_{start}"] = Instance(
            "CCU2C", **parameters, p_INJECT1_0="NO", p_INJECT1_1="NO",
            i_CIN=carry, **inputs, o_S0=total[start], o_S1=total[start + 1], o_COUT=carry_out)
        carry = carry_out
    return total


# Of half a CCU2C: propagates A ^ (B & C | D), generates A.
_ADD_GATED = 0x556A


def gated_sum(m, name, a, b, gate, c):
    """``a + (b where gate | c)`` in as many bits as each of ``a``, ``b`` and ``c`` has: one LUT a bit, where synthesis
    takes two or three.

    Parameters as those of :func:`carry_chain`; ``gate`` is one bit.
    """
    halves = [(_ADD_GATED, *bits, gate, d) for *bits, d in zip(a, b, c, strict=True)]
    halves += [(_PASS, *(Const(0, 1),) * 4)] * (len(halves) % 2)
    return carry_chain(m, name, halves, 0)[:len(a)].as_signed()


# Of half a CCU2C with C = 0 and D = 1: lets the carry pass if A = B, else makes one.
_DIFFERENT = 0x090F
# Lets the carry pass if A is what B chooses, C or else D; else makes one if A is 0.
_LESS = 0xA695
# With D = 1: the carry is A.
_SET = 0x000A
# The sum bit is the carry that came.
_PASS = 0x0000


def less(m, name, a, first, b, c):
    """Where ``first``, whether ``a`` is less than ``b``; else, whether it is at most ``c``: a choice and a comparison
    in one LUT a bit. All unsigned.

    Parameters as those of :func:`carry_chain`; ``a``, ``b`` and ``c`` are of one width.
    """
    zero, one = Const(0, 1), Const(1, 1)
    halves = [(_SET, ~first, zero, zero, one)]
    halves += [(_LESS, bit, first, *bits) for bit, *bits in zip(a, b, c, strict=True)]
    halves += [(_PASS, zero, zero, zero, zero)] * (2 - len(halves) % 2)
    return carry_chain(m, name, halves, 0)[len(a) + 1]


def equal(m, name, a, b):
    """Whether two words are equal: one hop through the fabric, where a tree of LUTs takes three.

    Parameters as those of :func:`carry_chain`; ``a`` and ``b`` are of one width.
    """
    zero, one = Const(0, 1), Const(1, 1)
    halves = [(_DIFFERENT, *bits, zero, one) for bits in zip(a, b, strict=True)]
    halves += [(_PASS, zero, zero, zero, zero)] * (2 - len(halves) % 2)
    return ~carry_chain(m, name, halves, 0)[len(a)]
