"""The storer: from the unified buffer into memory."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib.wiring import In, Out

from ... import isa
from ..delay import delay
from ..lib.axi import AXI4, INCR
from ..lib.credits import Credits
from ..lib.queue import Queue
from ..ports import BufferRead, UnitPort
from ..shared import Shared, place
from .bursts import Burst, BurstWalker, transfers
from .transfers import BeatWalker, account

__all__ = ["Storer"]


class Storer(Shared):
    """Executes write_host_memory: a bus word a cycle, if the buffer delivers it and memory takes it. Up to
    ``writes_in_flight`` bursts are under way.

    ::

                                 ┌─▶ AW
        command ─▶ BurstWalker ──┼─▶ Queue ─▶ BeatWalker ─▶ read ···▶ data ─▶ Queue ─▶ W
                                 └─▶ Queue ─▶ B: whose, and is it the last?

    Members
    -------
    sequencer : In(UnitPort)
        ``done``: memory has answered the last burst.
    read : Out(BufferRead)
    bus : Out(AXI4)
        Write channels.
    stop : In(1)
        Begin no burst from now on; those begun are finished.
    idle : Out(1)
        No burst is under way.

    The next command is taken when the one before has no row left to begin. A burst every three cycles.
    """

    resets = True
    module_name = "storer"

    #: Words between the buffer and the bus: those under way at one a cycle, and the rest rides out stalls.
    QUEUE = 16

    #: Bursts whose data is still to be read.
    WAITING = 2

    def __init__(self, config):
        self.config = config
        super().__init__({
            "sequencer": In(UnitPort()), "read": Out(BufferRead(config)),
            "bus": Out(AXI4(config.bus_bytes, reads=False)), "stop": In(1), "idle": Out(1),
        })

    def build(self, platform):
        m = Module()
        waits = Burst(self.config, "buffer", "beats", "tail")
        walker = place(m, "walker", BurstWalker(self.config, "store_walker"))
        waiting = place(m, "waiting", Queue("store_burst_queue", width=waits.size, depth=self.WAITING))
        under_way = place(m, "under_way", Queue("store_answer_queue", width=17,
                                                depth=max(2, self.config.writes_in_flight)))
        transfers(m, self.sequencer.command, walker.i, "write_host_memory")
        aw, b, burst = self.bus.aw, self.bus.b, walker.o.payload
        begun, stopped = Signal(), Signal()
        in_flight = place(m, "in_flight", Credits(most=self.config.writes_in_flight))
        m.d.comb += [
            in_flight.take.eq(begun), in_flight.give.eq(b.valid), self.idle.eq(in_flight.empty),
            walker.o.ready.eq(~aw.valid & waiting.i.ready & in_flight.room & ~stopped),
            begun.eq(walker.o.valid & walker.o.ready),
            waiting.i.valid.eq(begun), waiting.i.payload.eq(Cat(burst.buffer, burst.beats, burst.tail)),
            under_way.i.valid.eq(begun), under_way.i.payload.eq(Cat(burst.index, burst.final)),
            b.ready.eq(1), under_way.o.ready.eq(b.valid),
        ]
        with m.If(begun):
            m.d.sync += [aw.valid.eq(1), aw.payload.addr.eq(burst.memory), aw.payload.len.eq(burst.beats - 1)]
        with m.Elif(aw.ready):
            m.d.sync += aw.valid.eq(0)
        m.d.comb += [aw.payload.size.eq(self.config.bus_bytes.bit_length() - 1), aw.payload.burst.eq(INCR)]

        moved = self._move(m, waiting.o, waits(waiting.o.payload))
        failed, (index, final) = b.valid & b.payload.resp[1], (under_way.o.payload[:16], under_way.o.payload[16])
        dead = account(m, self.sequencer, self.config, finished=b.valid & ~b.payload.resp[1] & final,
                       moved=begun | (aw.valid & aw.ready) | moved | b.valid,
                       errors=[(walker.error.valid, walker.error.code, walker.error.index),
                               (failed, isa.ErrorCode.BUS_WRITE, index)])
        m.d.comb += stopped.eq(self.stop | dead)
        return m

    def _move(self, m, bursts, burst):
        """From the buffer to W; returns whether a word was asked for or sent."""
        config, read, w = self.config, self.read, self.bus.w
        walker = place(m, "beats", BeatWalker(config))
        m.d.comb += [walker.i.valid.eq(bursts.valid), bursts.ready.eq(walker.i.ready)]
        m.d.comb += [walker.i.payload[name].eq(burst[name]) for name in burst.shape().members]
        queue = place(m, "queue", Queue("store_queue", width=w.payload.shape().size, depth=self.QUEUE))
        words = place(m, "words", Credits(most=self.QUEUE))
        asked, sent = Signal(), Signal()
        step = delay(m, Cat(walker.o.payload.count, walker.o.payload.last), config.READ_LATENCY, "step")
        count, last = step[:-1], step[-1]
        entering = Signal(w.payload.shape())
        m.d.comb += [
            read.request.valid.eq(walker.o.valid & words.room), read.request.payload.eq(walker.o.payload.address),
            asked.eq(read.request.valid & read.request.ready), walker.o.ready.eq(asked),
            entering.data.eq(read.data[:8 * config.bus_bytes]), entering.last.eq(last),
            entering.strb.eq(Cat(index < count for index in range(config.bus_bytes))),
            queue.i.valid.eq(read.valid), queue.i.payload.eq(entering),
            w.valid.eq(queue.o.valid), w.payload.eq(queue.o.payload), queue.o.ready.eq(w.ready),
            sent.eq(w.valid & w.ready), words.take.eq(asked), words.give.eq(sent),
        ]
        return asked | sent
