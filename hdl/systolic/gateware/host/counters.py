"""Wide event counters that share one adder and one memory."""

import functools
import operator

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, memory
from amaranth.lib.wiring import In, Out

from ..shared import Shared

__all__ = ["Counters"]


class Counters(Shared):
    """Counts events of every cycle in many counters, at the cost of little more than one.

    ::

        increments ──▶ residues, a few bits each ──▶ adder ──▶ value
                         one slot after the other      ▲ │
                                                    memory, an entry each

    Each counter adds its increments to a residue of its own; in turn every residue goes into memory. On its way it
    is the exact count, and can be read.

    Parameters
    ----------
    increments : dict of str to int
        Largest increment of each counter. At most ``SLOTS`` counters.

    Members
    -------
    increments : In
        By name, what to add in this cycle.
    clear : In(1)
        All counters become zero; what comes with it is not counted.
    value, slot : Out
        The count of the counter of that number, as it was before the increments of two cycles ago.
    """

    resets = True
    SLOTS = 16
    WIDTH = 48

    def __init__(self, increments):
        if len(increments) > self.SLOTS:
            raise ValueError(f"increments must be at most {self.SLOTS}, not {len(increments)}")
        layout = data.StructLayout({name: range(most + 1) for name, most in increments.items()})
        self.module_name = f"counters_{len(increments)}_of_{layout.size}_bits"
        super().__init__({
            "increments": In(layout),
            "clear": In(1), "value": Out(self.WIDTH), "slot": Out(range(self.SLOTS)),
        })
        self.most = increments

    def build(self, platform):
        m = Module()
        turn = Signal(range(self.SLOTS))
        m.d.sync += turn.eq(turn + 1)
        # A register for each counter whose turn it is: no residue waits for a comparison.
        turns = [Signal(name=f"turn_{name}", init=slot == 0) for slot, name in enumerate(self.most)]
        m.d.sync += [here.eq(turn == (slot - 1) % self.SLOTS) for slot, here in enumerate(turns)]

        # A turn: its residue leaves and its entry is read; they are added; the sum is shown and written.
        m.submodules.counts = counts = memory.Memory(shape=self.WIDTH, depth=self.SLOTS, init=[])
        read, write = counts.read_port(), counts.write_port()
        residue = Signal(max(self.SLOTS * most for most in self.most.values()).bit_length())
        residues = [Mux(here, self._residue(m, here, name), 0) for here, name in zip(turns, self.most, strict=True)]
        m.d.comb += [read.addr.eq(turn), read.en.eq(1)]
        m.d.sync += residue.eq(functools.reduce(operator.or_, residues))
        added = Signal.like(turn)
        m.d.sync += [added.eq(turn), self.slot.eq(added)]
        # Memory is not reset: an entry counts only once it has been written.
        written, known = Signal(self.SLOTS), Signal()
        m.d.sync += [known.eq(written.bit_select(turn, 1)), written.bit_select(added, 1).eq(1),
                     self.value.eq(Mux(known, read.data, 0) + residue)]
        m.d.comb += [write.addr.eq(self.slot), write.data.eq(self.value), write.en.eq(1)]
        with m.If(self.clear):
            m.d.sync += [written.eq(0), known.eq(0), residue.eq(0), self.value.eq(0)]
        return m

    def _residue(self, m, turn, name):
        """What came since the counter's last turn."""
        residue = Signal(range(self.SLOTS * self.most[name] + 1), name=f"residue_{name}")
        m.d.sync += residue.eq(Mux(turn, 0, residue) + self.increments[name])
        with m.If(self.clear):
            m.d.sync += residue.eq(0)
        return residue
