"""Delays: a shift register."""

from amaranth.hdl import Cat, Shape, Signal, Value

__all__ = ["delay"]


def delay(m, value, cycles, name, *, reset_less=True):
    """``value`` of so many cycles ago, through one shift register called ``name``."""
    if cycles == 0:
        return value
    shape = value.shape()
    bits = Value.cast(value)
    register = Signal(len(bits) * cycles, name=name, reset_less=reset_less)
    m.d.sync += register.eq(Cat(bits, register))
    oldest = register[len(bits) * (cycles - 1):]
    if isinstance(shape, Shape):
        return oldest.as_signed() if shape.signed else oldest
    return shape(oldest)
