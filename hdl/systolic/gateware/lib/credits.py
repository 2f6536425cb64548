"""Credits: a count of how much of a limited resource is in use."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib.wiring import In, Out

from ..shared import Shared

__all__ = ["Credits"]


class Credits(Shared):
    """Counts what is taken and given back, and says whether there is room for more.

    Parameters
    ----------
    most : int
        Credits there are, all of them free after reset.
    at_once : int
        Most that are taken in a cycle.
    late : bool
        Flags follow a cycle later, without an adder before them: for those who do not take in two cycles in a row.

    Members
    -------
    take : In(range(at_once + 1))
        Credits taken in this cycle; more than none only with ``room``.
    give : In(1)
        One comes back; only if one is taken before this cycle.
    room : Out(1)
        ``at_once`` credits are free.
    empty : Out(1)
        None is taken.

    Both flags are registers: a cycle after ``take`` and ``give`` they count them, with ``late`` two cycles after.
    """

    resets = True

    def __init__(self, *, most, at_once=1, late=False):
        if not (isinstance(at_once, int) and at_once >= 1):
            raise ValueError(f"at_once must be a positive integer, not {at_once!r}")
        if not (isinstance(most, int) and most >= at_once):
            raise ValueError(f"most must be an integer from at_once, {at_once}, on, not {most!r}")
        self.most = most
        self.at_once = at_once
        self.late = late
        self.module_name = f"credits_{most}" + f"_by_{at_once}" * (at_once > 1) + "_late" * late
        super().__init__({
            "take": In(range(at_once + 1)), "give": In(1), "room": Out(1, init=1), "empty": Out(1, init=1),
        })

    def build(self, platform):
        m = Module()
        taken = Signal(range(self.most + 1))
        if self.at_once == 1 and not self.late:
            # Compared before the step is known: what comes late does no more than enable these registers.
            with m.If(self.take ^ self.give):
                m.d.sync += [taken.eq(Mux(self.take, taken + 1, taken - 1)),
                             self.room.eq(~self.take | (taken != self.most - 1)),
                             self.empty.eq(~self.take & (taken == 1))]
            return m
        after = Signal.like(taken)
        shown = taken if self.late else after
        m.d.comb += after.eq(taken + self.take - self.give)
        m.d.sync += [taken.eq(after), self.room.eq(shown <= self.most - self.at_once), self.empty.eq(shown == 0)]
        return m
