"""The skew that turns a vector into a wave."""

from amaranth.hdl import Cat, Module
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..shared import Shared, place

__all__ = ["Skew"]


class _Delay(Shared):
    """Some bits, so many cycles later."""

    def __init__(self, module_name, width, cycles):
        self.module_name = f"{module_name}_{width}x{cycles}"
        self.cycles = cycles
        super().__init__({"i": In(width), "o": Out(width)})

    def build(self, platform):
        m = Module()
        m.d.comb += self.o.eq(delay(m, self.i, self.cycles, "line"))
        return m


class Skew(Shared):
    """Delays lane k by ``step`` * k cycles, so that a vector becomes a wave; or the reverse.

    ::

        skew     i[0] ──────────────▶ o[0]        deskew   i[0] ──▶ z ──▶ z ──▶ o[0]
                 i[1] ──▶ z ────────▶ o[1]                 i[1] ──▶ z ────────▶ o[1]
                 i[2] ──▶ z ──▶ z ──▶ o[2]                 i[2] ──────────────▶ o[2]

    A wide skew is two of half the width, one of them behind a delay: that is much less to elaborate.

    Parameters
    ----------
    module_name : str
        Begins the name of the Verilog module; its shape is added.
    width : int
        Bits of a lane.
    lanes : int
        Number of lanes.
    step : int
        Cycles from one lane to the next.
    reverse : bool
        Delay the first lane most instead of the last: undoes a skew.

    Members
    -------
    i, o : In, Out
        The vector before and after, lane 0 in the lowest bits.
    """

    FLAT = 16

    def __init__(self, module_name, width, lanes, step, *, reverse=False):
        self.base_name = module_name
        self.module_name = (f"{module_name}_{lanes}x{width}" + (f"_step_{step}" if step != 1 else "")
                            + ("_reverse" if reverse else ""))
        self.width = width
        self.lanes = lanes
        self.step = step
        self.reverse = reverse
        super().__init__({"i": In(width * lanes), "o": Out(width * lanes)})

    def build(self, platform):
        m = Module()
        if self.lanes <= self.FLAT:
            m.d.comb += self.o.eq(Cat(
                delay(m, self.i.word_select(k, self.width), self._cycles(k), f"lane_{k}")
                for k in range(self.lanes)))
        else:
            m.d.comb += self.o.eq(Cat(self._half(m, "low", 0, self.lanes // 2),
                                      self._half(m, "high", self.lanes // 2, self.lanes)))
        return m

    def _cycles(self, lane):
        return self.step * (self.lanes - 1 - lane if self.reverse else lane)

    def _half(self, m, name, start, stop):
        """Lanes ``start`` to ``stop``: what delay they all share, then a skew of their own."""
        skew = place(m, name, Skew(self.base_name, self.width, stop - start, self.step, reverse=self.reverse))
        shared = min(self._cycles(start), self._cycles(stop - 1))
        for k in range(start, stop):
            lane = self.i.word_select(k, self.width)
            if shared:
                line = place(m, f"delay_{k}", _Delay(f"{self.base_name}_delay", self.width, shared))
                m.d.comb += line.i.eq(lane)
                lane = line.o
            m.d.comb += skew.i.word_select(k - start, self.width).eq(lane)
        return skew.o
