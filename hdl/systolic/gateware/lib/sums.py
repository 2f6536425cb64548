"""Sums whose second operand is chosen on the way."""

from amaranth.hdl import Mux, Signal, signed

from ..vendor import ecp5_carry

__all__ = ["gated_sum"]


def gated_sum(m, name, a, b, gate, c, *, ecp5):
    """``a + (b if gate else 0 | c)``, wrapping.

    Parameters
    ----------
    m : Module
    name : str
        Of the sum, and what its parts are called after.
    a, b, c : Value
        All of one width.
    gate : Value, 1 bit
    ecp5 : bool
        In carry chains of the ECP5, which take all of that in one LUT a bit.

    Returns
    -------
    Value
        Signed, of the width of ``a``.
    """
    assert len(a) == len(b) == len(c)
    if ecp5:
        return ecp5_carry.gated_sum(m, name, a, b, gate, c)
    total = Signal(signed(len(a)), name=name)
    m.d.comb += total.eq(a.as_unsigned() + (Mux(gate, b.as_unsigned(), 0) | c.as_unsigned()))
    return total
