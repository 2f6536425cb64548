"""Moving values in time: plain delays, and the skew that turns a vector into a wave."""

from amaranth.hdl import Cat, Module, Shape, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import In, Out

from .shared import Shared

__all__ = ["Skew", "delay"]


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


class Skew(Shared):
    """Delays lane k by ``step`` * k cycles, so that a vector becomes a wave; or the reverse.

    ::

        skew     i[0] ──────────────▶ o[0]        deskew   i[0] ──▶ z ──▶ z ──▶ o[0]
                 i[1] ──▶ z ────────▶ o[1]                 i[1] ──▶ z ────────▶ o[1]
                 i[2] ──▶ z ──▶ z ──▶ o[2]                 i[2] ──────────────▶ o[2]

    Parameters
    ----------
    module_name : str
        Name of the Verilog module.
    shape : ShapeLike
        Shape of a lane.
    lanes : int
        Number of lanes.
    step : int
        Cycles from one lane to the next.
    reverse : bool
        Delay the first lane most instead of the last: undoes a skew.

    Members
    -------
    i, o : In, Out of ArrayLayout(shape, lanes)
        The vector before and after.
    """

    def __init__(self, module_name, shape, lanes, step, *, reverse=False):
        self.module_name = module_name
        self.lanes = lanes
        self.step = step
        self.reverse = reverse
        layout = data.ArrayLayout(shape, lanes)
        super().__init__({"i": In(layout), "o": Out(layout)})

    def build(self, platform):
        m = Module()
        for k in range(self.lanes):
            cycles = self.step * (self.lanes - 1 - k if self.reverse else k)
            m.d.comb += self.o[k].eq(delay(m, self.i[k], cycles, f"lane_{k}"))
        return m
