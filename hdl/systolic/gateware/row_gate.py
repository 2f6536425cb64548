"""The row gate: holds every row back until it will arrive safely."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from .shared import Shared
from .skew import delay

__all__ = ["RowCommand", "RowGate"]


class RowCommand(data.StructLayout):
    """An activation row and what to do with it.

    ``data``: R elements. ``switch``: multiply this row and those after it by the next tile. ``address``,
    ``accumulate``, ``last``: see :class:`~systolic.gateware.accumulators.Command`.
    """

    def __init__(self, arch):
        super().__init__({
            "data": data.ArrayLayout(arch.format.width, arch.rows),
            "address": arch.address_width, "accumulate": 1, "switch": 1, "last": 1,
        })


class RowGate(Shared):
    """Two places for rows, of which the head waits until it may go into the array.

    ::

        i ──┬──▶ spare ──┬──▶ head ──▶ o
            └────────────┘

    What a row must wait for is worked out a cycle ahead, so that ready is a register and valid nearly so.

    Parameters
    ----------
    config : Config

    Members
    -------
    i : In(stream of RowCommand)
        Rows. The first one after reset switches whether it says so or not.
    loaded : In(1)
        The tile that the next switch is for is in the shadow weights.
    room : In(1)
        In the next cycle, the result FIFO will have room that no row before the head of then will take.
    o : Out(stream of RowCommand, always ready)
        The head, valid in the cycle in which it goes; one after it came, if it does not wait.
    may_switch : Out(1)
        The head switches, and goes if its tile is loaded.
    waits_for_tile : Out(1)
        The head switches, and its tile is not loaded.
    """

    resets = True

    def __init__(self, config):
        self.config = config
        self.module_name = "row_gate"
        row = RowCommand(config.arch)
        super().__init__({
            "i": In(stream.Signature(row)), "loaded": In(1), "room": In(1),
            "o": Out(stream.Signature(row, always_ready=True)), "may_switch": Out(1), "waits_for_tile": Out(1),
        })

    def build(self, platform):
        m = Module()
        row = RowCommand(self.config.arch)
        spare = Signal(row, reset_less=True)
        spare_free = Signal(init=1)
        head = Signal(row, reset_less=True)
        head_valid = Signal()
        # Whether the head can go but for its tile.
        clear = Signal()
        go = Signal()
        advance = Signal()
        offered = Signal(row)
        coming = Signal()
        fresh = Signal(init=1)
        m.d.comb += [
            self.i.ready.eq(spare_free),
            offered.eq(Mux(spare_free, self.i.payload, spare)),
            coming.eq(self.i.valid | ~spare_free),
            go.eq(clear & (~head.switch | self.loaded)),
            advance.eq(go | ~head_valid),
            self.o.valid.eq(go), self.o.payload.eq(head), self.may_switch.eq(clear & head.switch),
            self.waits_for_tile.eq(head_valid & head.switch & ~self.loaded),
        ]
        with m.If(spare_free):
            m.d.sync += spare.eq(self.i.payload)
        with m.If(advance):
            m.d.sync += [head.eq(offered), head.switch.eq(offered.switch | fresh), fresh.eq(fresh & ~coming)]

        valid = Mux(advance, coming, head_valid)
        last = Mux(advance, offered.last, head.last)
        busy = Signal(self.config.turnaround - 1)
        next_busy = Signal.like(busy)
        m.d.comb += next_busy.eq(Mux(advance, self._busy(m, go, head, head_valid, spare_free, spare), busy >> 1))
        m.d.sync += [
            spare_free.eq(advance | ~coming), head_valid.eq(valid), busy.eq(next_busy),
            clear.eq(valid & ~next_busy[0] & (~last | self.room)),
        ]
        return m

    def _busy(self, m, go, head, head_valid, spare_free, spare):
        """Whether the row on offer would accumulate onto an entry whose sum is still on its way into memory.

        Bit k says whether that is so k + 1 cycles from now, if the head goes now.
        """
        recent = Signal(data.StructLayout({"valid": 1, "address": self.config.arch.address_width}))
        m.d.comb += [recent.valid.eq(go), recent.address.eq(head.address)]
        before = [(head_valid, head.address)]
        for age in range(1, self.config.turnaround - 1):
            recent = delay(m, recent, 1, f"recent_{age}", reset_less=False)
            before.append((recent.valid, recent.address))

        def busy(row):
            same = [valid & (address == row.address) for valid, address in before]
            return Mux(row.accumulate, Cat(Cat(same[:len(same) - k]).any() for k in range(len(same))), 0)
        # Two sets of comparisons, for a selection before them would lengthen the way from the ports.
        return Mux(spare_free, busy(self.i.payload), busy(spare))
