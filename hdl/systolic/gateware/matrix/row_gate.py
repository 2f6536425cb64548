"""The row gate: holds each row back until it can pass through the array without a stall."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import In, Out

from ..delay import delay
from ..ports import RowCommand
from ..shared import Shared
from ..vendor.ecp5_carry import equal

__all__ = ["RowGate"]


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
        The head switches, and goes if its tile is loaded; a register.
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
        # Twice, for one of them goes to all of the data: inverted, or synthesis would join the two.
        spare_free = Signal(init=1)
        spare_full = Signal()
        head = Signal(row, reset_less=True)
        head_valid = Signal()
        # Whether the head can go but for its tile.
        clear = Signal()
        go = Signal()
        advance = Signal()
        coming = Signal()
        fresh = Signal(init=1)
        m.d.comb += [
            self.i.ready.eq(spare_free), coming.eq(self.i.valid | spare_full),
            go.eq(clear & (~head.switch | self.loaded)), advance.eq(go | ~head_valid),
            self.o.valid.eq(go), self.o.payload.eq(head),
            self.waits_for_tile.eq(head_valid & head.switch & ~self.loaded),
        ]
        with m.If(spare_free):
            m.d.sync += spare.eq(self.i.payload)
        # The same as advance, from other registers: so advance itself stays among the few that need it at once.
        with m.If(~head_valid | (clear & ~head.switch) | (self.may_switch & self.loaded)):
            m.d.sync += head.eq(Mux(spare_free, self.i.payload, spare))

        def following(name):
            return Mux(advance, Mux(spare_full, spare[name], self.i.payload[name]), head[name])
        valid = Mux(advance, coming, head_valid)
        switch = following("switch") | (advance & fresh)
        busy = Signal(self.config.turnaround - 1)
        busy_new, busy_old = self._busy(m, go, head, head_valid, advance, spare_full, busy)
        next_clear = valid & (~following("last") | self.room) & ~busy_old[0] & ~busy_new[0]
        m.d.sync += [
            spare_free.eq(advance | ~coming), spare_full.eq(~advance & coming), head_valid.eq(valid),
            head.switch.eq(switch), fresh.eq(fresh & ~(advance & coming)), busy.eq(busy_old | busy_new),
            clear.eq(next_clear), self.may_switch.eq(next_clear & switch),
        ]
        return m

    def _busy(self, m, go, head, head_valid, advance, spare_full, busy):
        """Whether the next head accumulates onto an entry whose sum is still on its way into memory.

        Bit k says whether that is so k + 1 cycles from now. Two vectors, for a row that goes from the ports straight to
        the head and for one that is here: the former comes late, so little is to be done with it.
        """
        row = self.i.payload
        recent = Signal(data.StructLayout({"valid": 1, "address": self.config.arch.address_width}))
        sums = ~head.fills if self.config.arch.taps else 1
        m.d.comb += [recent.valid.eq(go & sums), recent.address.eq(head.address)]
        before = [(head_valid & sums, head.address)]
        for age in range(1, self.config.turnaround - 1):
            recent = delay(m, recent, 1, f"recent_{age}", reset_less=False)
            before.append((recent.valid, recent.address))

        # Rows are compared as they come. The head does not change while there is a spare, and those that went grow old.
        same = Cat(self._same(m, f"same_{age}", row, valid, address) for age, (valid, address) in enumerate(before))
        spare_same = Signal(len(before), reset_less=True)
        now = Mux(spare_full, spare_same, same)
        m.d.sync += spare_same.eq(Cat(now[0], Const(0, 1), now[1:]))

        def until(same):
            return Cat(same[:len(same) - k].any() for k in range(len(same)))
        taken = advance & ~spare_full
        return (Mux(taken, until(same), 0),
                Mux(advance, Mux(spare_full, until(spare_same), 0), busy >> 1))

    def _same(self, m, name, row, valid, address):
        """Whether a row accumulates onto the entry at ``address``, if that is valid."""
        if self.config.ecp5:
            return equal(m, name, Cat(row.address, row.accumulate, valid), Cat(address, Const(-1, 2)))
        return row.accumulate & valid & (address == row.address)
