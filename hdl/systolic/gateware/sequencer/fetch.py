"""The fetcher: reads a program from memory, a little ahead of its execution."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import In, Out

from ... import isa
from ..lib.credits import Credits
from ..lib.queue import Queue
from ..ports import Beat, ReadRequest
from ..shared import Shared, place

__all__ = ["Fetcher"]


class Fetcher(Shared):
    """Two instructions ahead, and never beyond the program's end.

    Members
    -------
    start : In(1)
        Begin at ``address``, for ``length`` instructions of 64 bytes.
    cancel : In(1)
        Ask for nothing more.
    request, beat
        Client of the read DMA.
    o : Out(stream)
        Bus words, and whether the bus reported an error.
    empty : Out(1)
        Nothing is under way or waiting.
    """

    resets = True
    module_name = "fetcher"

    def __init__(self, config):
        self.config = config
        self.beats = isa.BYTES // config.bus_bytes
        self.chunk = min(self.beats, 1 << config.burst_beats.bit_length() - 1)
        super().__init__({
            "start": In(1), "address": In(32), "length": In(16), "cancel": In(1),
            "request": Out(stream.Signature(ReadRequest())), "beat": In(Beat(config)),
            "o": Out(stream.Signature(8 * config.bus_bytes + 1)), "empty": Out(1),
        })

    def build(self, platform):
        m = Module()
        beats, chunk = self.beats, self.chunk
        address = Signal(32)
        left = Signal(range(65536 * beats // chunk))
        asking = Signal()
        reserved = place(m, "reserved", Credits(most=2 * beats, at_once=chunk))
        queue = place(m, "queue", Queue("fetch_queue", width=len(self.o.payload), depth=2 * beats))
        m.d.comb += [
            self.request.valid.eq(asking & reserved.room), self.request.payload.address.eq(address),
            self.request.payload.beats.eq(chunk),
            queue.i.valid.eq(self.beat.valid), queue.i.payload.eq(Cat(self.beat.data, self.beat.error)),
            self.o.payload.eq(queue.o.payload), self.o.valid.eq(queue.o.valid), queue.o.ready.eq(self.o.ready),
            self.empty.eq(reserved.empty & ~asking),
        ]
        ask, take = self.request.valid & self.request.ready, self.o.valid & self.o.ready
        m.d.comb += [reserved.take.eq(Mux(ask, chunk, 0)), reserved.give.eq(take)]
        with m.If(ask):
            m.d.sync += [address.eq(address + chunk * self.config.bus_bytes), left.eq(left - 1), asking.eq(left != 0)]
        with m.If(self.start):
            m.d.sync += [address.eq(self.address), left.eq(self.length * (beats // chunk) - 1), asking.eq(1)]
        with m.If(self.cancel):
            m.d.sync += asking.eq(0)
        return m
