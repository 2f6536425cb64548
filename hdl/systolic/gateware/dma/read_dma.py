"""The read DMA: the memory bus's read channels, shared by those who read."""

from amaranth.hdl import Module, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ..lib.axi import AXI4, INCR
from ..lib.credits import Credits
from ..lib.queue import Queue
from ..ports import Beat, ReadRequest
from ..shared import Shared, place

__all__ = ["ReadDma"]


class ReadDma(Shared):
    """Up to ``reads_in_flight`` bursts under way; the first client in this order has its way.

    ::

        fetch ───▶ slot ─┐                           ┌─▶ fetch_beat
        weights ─▶ slot ─┼─▶ AR     whose, in order, ├─▶ weights_beat
        load ────▶ slot ─┘   └─────▶ a Queue ──▶ R ──┴─▶ load_beat

    Members
    -------
    fetch, weights, load : In(stream of ReadRequest)
        Taken every other cycle at best.
    fetch_beat, weights_beat, load_beat : Out(Beat)
    bus : Out(AXI4)
        Read channels.
    stop : In(1)
        Begin no burst from now on.
    idle : Out(1)
        No burst is under way.

    A request is on AR two cycles after it was taken, a beat with its client one cycle after R.
    """

    resets = True
    module_name = "read_dma"

    def __init__(self, config):
        self.config = config
        request = In(stream.Signature(ReadRequest()))
        beat = Out(Beat(config))
        super().__init__({
            "fetch": request, "weights": request, "load": request,
            "fetch_beat": beat, "weights_beat": beat, "load_beat": beat,
            "bus": Out(AXI4(config.bus_bytes, writes=False)), "stop": In(1), "idle": Out(1),
        })

    def build(self, platform):
        m = Module()
        beats = (self.fetch_beat, self.weights_beat, self.load_beat)
        whose = place(m, "whose", Queue("read_queue", width=len(beats), depth=max(2, self.config.reads_in_flight)))
        r = self.bus.r
        ended = r.valid & r.payload.last
        in_flight = place(m, "in_flight", Credits(most=self.config.reads_in_flight))
        begun = self._address(m, whose.i, in_flight.room)
        m.d.comb += [in_flight.take.eq(begun), in_flight.give.eq(ended), self.idle.eq(in_flight.empty)]
        m.d.comb += [r.ready.eq(1), whose.i.valid.eq(begun), whose.o.ready.eq(ended)]
        for beat, mine in zip(beats, whose.o.payload, strict=True):
            m.d.sync += [beat.valid.eq(r.valid & mine), beat.data.eq(r.payload.data),
                         beat.error.eq(r.payload.resp[1]), beat.last.eq(r.payload.last)]
        return m

    def _address(self, m, whose, room):
        """From the clients to AR; returns whether a burst begins."""
        ar = self.bus.ar
        full = Signal(3)
        chosen = Signal(3)
        begun = Signal()
        m.d.comb += [
            chosen.eq(full & -full),
            begun.eq(full.any() & ~ar.valid & room & ~self.stop),
            whose.payload.eq(chosen),
            ar.payload.size.eq(self.config.bus_bytes.bit_length() - 1), ar.payload.burst.eq(INCR),
        ]
        with m.If(begun):
            m.d.sync += [ar.valid.eq(1), full.eq(full & ~chosen)]
        with m.Elif(ar.ready):
            m.d.sync += ar.valid.eq(0)
        for index, client in enumerate((self.fetch, self.weights, self.load)):
            slot = Signal(ReadRequest(), name=f"slot_{index}")
            m.d.comb += client.ready.eq(~full[index])
            with m.If(client.valid & client.ready):
                m.d.sync += [slot.eq(client.payload), full[index].eq(1)]
            with m.If(begun & chosen[index]):
                m.d.sync += [ar.payload.addr.eq(slot.address), ar.payload.len.eq(slot.beats - 1)]
        return begun
