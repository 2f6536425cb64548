"""The loader: from memory into the unified buffer."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ... import isa
from ..ports import Beat, ReadRequest, UnitPort, Write
from ..shared import Shared, place
from .bursts import transfers
from .transfers import BeatWalker, BurstReader, account, received

__all__ = ["Loader"]


class Loader(Shared):
    """Executes read_host_memory: a bus word a cycle, if memory delivers it and the buffer takes it.

    ::

        command ─▶ BurstReader ─▶ request ···▶ memory ···▶ beat ─▶ Queue ─┐
                        │                                                 ├─▶ write
                        └───────────▶ bursts asked for ─▶ BeatWalker ─────┘

    Members
    -------
    sequencer : In(UnitPort)
        ``done``: the last byte was taken by the buffer.
    request : Out(stream of ReadRequest)
    beat : In(Beat)
    write : Out(stream of Write)
    stop : In(1)
        Ask for nothing from now on.

    The next command is taken when the one before has no row left to ask for. A burst every three cycles.
    """

    resets = True
    module_name = "loader"

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sequencer": In(UnitPort()), "request": Out(stream.Signature(ReadRequest())),
            "beat": In(Beat(config)), "write": Out(stream.Signature(Write(config))), "stop": In(1),
        })

    def build(self, platform):
        m = Module()
        reader = place(m, "reader", BurstReader(self.config, "load", BeatWalker.TAKES))
        queue = place(m, "queue", received(self.config, "load_queue", 8 * self.config.bus_bytes + 1, reader.depth))
        walker = place(m, "walker", BeatWalker(self.config))
        wiring.connect(m, reader.o, walker.i)
        wiring.connect(m, reader.request, wiring.flipped(self.request))
        transfers(m, self.sequencer.command, reader.i, "read_host_memory")

        step, write = walker.o.payload, self.write
        left, final, failed, written = Signal(), Signal(), Signal(), Signal()
        m.d.comb += written.eq(write.valid & write.ready)
        dead = account(m, self.sequencer, self.config, finished=written & final,
                       moved=written | self.beat.valid | (reader.request.valid & reader.request.ready),
                       errors=[(reader.error.valid, reader.error.code, reader.error.index),
                               (left & failed, isa.ErrorCode.BUS_READ, step.index)])
        m.d.comb += [
            reader.stop.eq(self.stop | dead), reader.left.eq(left),
            queue.i.valid.eq(self.beat.valid), queue.i.payload.eq(Cat(self.beat.data, self.beat.error)),
            failed.eq(queue.o.payload[-1]),
            left.eq(queue.o.valid & walker.o.valid & (~write.valid | write.ready)),
            queue.o.ready.eq(left), walker.o.ready.eq(left),
        ]
        m.d.sync += write.valid.eq((left & ~failed & ~dead) | (write.valid & ~write.ready))
        with m.If(left):
            m.d.sync += [write.payload.address.eq(step.address), write.payload.count.eq(step.count),
                         write.payload.data.eq(queue.o.payload[:-1]), final.eq(step.final)]
        return m
