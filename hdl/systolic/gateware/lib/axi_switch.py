"""Two masters of one memory bus."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from ..shared import Shared
from .axi import AXI4

__all__ = ["AxiSwitch"]


class AxiSwitch(Shared):
    """Gives the bus to one of two masters, for as long as it has bursts under way.

    ::

        masters[0] ──┐
                     ├──▶ bus
        masters[1] ──┘

    A master that wants the bus while the other has it holds back the other's next burst; it gets the bus when what is
    under way has been answered. So each waits for a few bursts at most, and an address costs no cycle more. A master
    takes answers whatever else it waits for.

    Parameters
    ----------
    bus_bytes : int

    Members
    -------
    masters : In(AXI4), an array of two
        After reset the first has the bus.
    bus : Out(AXI4)
    """

    resets = True

    #: Bursts of one kind under way at most.
    MOST = 31

    def __init__(self, *, bus_bytes):
        self.module_name = f"axi_switch_{8 * bus_bytes}"
        super().__init__({"masters": In(AXI4(bus_bytes)).array(2), "bus": Out(AXI4(bus_bytes))})

    def build(self, platform):
        m = Module()
        bus, owner = self.bus, Signal()
        reads, writes = Signal(range(self.MOST + 1)), Signal(range(self.MOST + 1))
        wants = Cat(each.ar.valid | each.aw.valid for each in self.masters)
        # Whoever has just got the bus begins a burst first, or both would wait for each other.
        fresh, waits = Signal(), Signal()
        m.d.comb += waits.eq(wants.bit_select(~owner, 1) & ~(fresh & wants.bit_select(owner, 1)))
        taken = {"ar": bus.ar.valid & bus.ar.ready, "r": bus.r.valid & bus.r.ready & bus.r.payload.last,
                 "aw": bus.aw.valid & bus.aw.ready, "b": bus.b.valid & bus.b.ready}
        m.d.sync += [reads.eq(reads + taken["ar"] - taken["r"]), writes.eq(writes + taken["aw"] - taken["b"])]
        # An address that was shown stays until it is taken.
        shown = Signal(2)
        m.d.sync += shown.eq(Cat(bus.ar.valid & ~bus.ar.ready, bus.aw.valid & ~bus.aw.ready))
        with m.If(waits & (reads == 0) & (writes == 0) & ~(bus.ar.valid | bus.aw.valid)):
            m.d.sync += [owner.eq(~owner), fresh.eq(1)]
        with m.Elif(taken["ar"] | taken["aw"]):
            m.d.sync += fresh.eq(0)
        for number, master in enumerate(self.masters):
            with m.If(owner == number):
                open_reads = shown[0] | (~waits & (reads != self.MOST))
                open_writes = shown[1] | (~waits & (writes != self.MOST))
                m.d.comb += [
                    bus.ar.valid.eq(master.ar.valid & open_reads), master.ar.ready.eq(bus.ar.ready & open_reads),
                    bus.aw.valid.eq(master.aw.valid & open_writes), master.aw.ready.eq(bus.aw.ready & open_writes),
                    # Data of bursts whose addresses are known to the other side: no other's follow.
                    bus.w.valid.eq(master.w.valid & (writes != 0)), master.w.ready.eq(bus.w.ready & (writes != 0)),
                    bus.ar.payload.eq(master.ar.payload), bus.aw.payload.eq(master.aw.payload),
                    bus.w.payload.eq(master.w.payload),
                    master.r.valid.eq(bus.r.valid), bus.r.ready.eq(master.r.ready),
                    master.b.valid.eq(bus.b.valid), bus.b.ready.eq(master.b.ready),
                ]
            m.d.comb += [master.r.payload.eq(bus.r.payload), master.b.payload.eq(bus.b.payload)]
        return m
