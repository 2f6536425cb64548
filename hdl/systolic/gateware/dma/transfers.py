"""What loader, weight reader and storer have in common around their bursts."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..lib.credits import Credits
from ..lib.queue import Queue
from ..ports import Error, ReadRequest
from ..shared import Shared, place
from .bursts import Burst, BurstWalker, Transfer

__all__ = ["BeatWalker", "BurstReader", "Step", "account", "received"]


class BurstReader(Shared):
    """Asks for the bursts of a transfer, as far as there is room for them.

    ::

        i ─▶ BurstWalker ─▶ enough room? ─┬─▶ request
                                          └─▶ a Queue ─▶ o

    Parameters
    ----------
    config : TpuConfig
    name : str
        Begins the names of its modules.
    kept : tuple of str
        Fields of a burst that are still of use when it has been asked for.
    options
        Of :class:`BurstWalker`.

    Members
    -------
    i : In(stream of Transfer)
    request : Out(stream of ReadRequest)
    o : Out(stream of Burst)
        What was asked for, in that order.
    left : In(1)
        A beat has left the receive FIFO, whose room is ``depth`` beats.
    stop : In(1)
        Ask for no burst from the next cycle on.
    error
        See :class:`BurstWalker`.

    Attributes
    ----------
    depth : int
        Beats to have asked for and not yet used: ``receive_beats`` of the unit.
    """

    resets = True

    def __init__(self, config, name, kept, **options):
        self.config = config
        self.module_name = f"{name}_bursts"
        self.name = name
        self.kept = kept
        self.options = options
        self.depth = config.receive_beats
        super().__init__({
            "i": In(stream.Signature(Transfer(config, count_width=options.get("count_width", 16)))),
            "request": Out(stream.Signature(ReadRequest())), "o": Out(stream.Signature(Burst(config, *kept))),
            "left": In(1), "stop": In(1), "error": Out(Error()),
        })

    def build(self, platform):
        m = Module()
        walker = place(m, "walker", BurstWalker(self.config, f"{self.name}_walker", **self.options))
        queue = place(m, "queue", received(self.config, f"{self.name}_burst_queue", self.o.payload.shape().size,
                                           self.config.reads_in_flight + 2))
        wiring.connect(m, wiring.flipped(self.i), walker.i)
        wiring.connect(m, queue.o, wiring.flipped(self.o))
        asked, entering, stopped = Signal(), Signal.like(self.o.payload), Signal()
        m.d.sync += stopped.eq(self.stop)
        m.d.comb += [entering[name].eq(walker.o.payload[name]) for name in self.kept]
        given = Signal()
        m.d.sync += given.eq(self.left)
        # Late: the walker offers nothing in the cycle after a burst was taken.
        beats = place(m, "beats", Credits(most=self.depth, at_once=self.config.longest_burst, late=True))
        m.d.comb += [
            self.request.valid.eq(walker.o.valid & beats.room & queue.i.ready & ~stopped),
            self.request.payload.address.eq(walker.o.payload.memory),
            self.request.payload.beats.eq(walker.o.payload.beats),
            asked.eq(self.request.valid & self.request.ready), walker.o.ready.eq(asked),
            queue.i.valid.eq(asked), queue.i.payload.eq(entering),
            self.error.eq(walker.error),
            beats.take.eq(Mux(asked, walker.o.payload.beats, 0)), beats.give.eq(given),
        ]
        return m


class Step(data.StructLayout):
    """A beat of a burst: its bytes, from ``address`` of the unified buffer on.

    ``last``: of the burst. ``final``: of the instruction.
    """

    def __init__(self, config):
        super().__init__({
            "address": config.address_width, "count": range(config.bus_bytes + 1), "last": 1, "final": 1, "index": 16,
        })


class BeatWalker(Shared):
    """Takes bursts apart: one beat a cycle, without a gap between bursts that wait.

    Members
    -------
    i : In(stream of Burst)
        Those fields of it in ``TAKES``.
    o : Out(stream of Step)
    """

    TAKES = "buffer", "beats", "tail", "final", "index"
    resets = True
    module_name = "beat_walker"

    def __init__(self, config):
        self.config = config
        super().__init__({"i": In(stream.Signature(Burst(config, *self.TAKES))),
                          "o": Out(stream.Signature(Step(config)))})

    def build(self, platform):
        m = Module()
        bus_bytes = self.config.bus_bytes
        burst, step = self.i.payload, self.o.payload
        left = Signal.like(burst.beats)
        tail, final = Signal.like(burst.tail), Signal()
        m.d.comb += [
            self.i.ready.eq(~self.o.valid | (self.o.ready & step.last)),
            step.count.eq(Mux(step.last, tail + 1, bus_bytes)), step.final.eq(step.last & final),
        ]
        with m.If(self.i.ready):
            m.d.sync += [
                self.o.valid.eq(self.i.valid), step.address.eq(burst.buffer), step.index.eq(burst.index),
                left.eq(burst.beats), step.last.eq(burst.beats == 1), tail.eq(burst.tail), final.eq(burst.final),
            ]
        with m.Elif(self.o.ready):
            m.d.sync += [step.address.eq(step.address + bus_bytes), left.eq(left - 1), step.last.eq(left == 2)]
        return m


def received(config, name, width, depth):
    """A queue for what comes from memory, its output in registers where FIFOs of the matrix unit have them."""
    return Queue(name, width=width, depth=depth, stages=config.matrix.fifo_stages,
                 ecp5=config.matrix.impl.memory == "ecp5_block")


def account(m, sequencer, config, *, finished, moved, errors):
    """Drives ``done``, ``busy``, ``moving`` and ``error`` of a unit.

    Parameters
    ----------
    sequencer : In(UnitPort)
        The unit's.
    config : TpuConfig
    finished, moved : Value
        In this cycle: an instruction's last effect; anything but a command.
    errors : list of (Value, int or Value, Value)
        Condition, code and index.

    Returns
    -------
    Signal
        High from the cycle after the first error on; no further one is reported, and nothing is done.
    """
    dead, begun, ended = Signal(), Signal(), Signal()
    # Of every burst in flight, asked for or waiting to be, one instruction at most, and a few before them.
    most = max(config.reads_in_flight, config.writes_in_flight) + 16
    instructions = place(m, "instructions", Credits(most=most))
    command, error = sequencer.command, sequencer.error
    m.d.comb += [begun.eq(command.valid & command.ready), ended.eq(finished & ~dead),
                 instructions.take.eq(begun), instructions.give.eq(ended), sequencer.busy.eq(~instructions.empty)]
    m.d.sync += [sequencer.done.eq(ended), sequencer.moving.eq(begun | moved), error.valid.eq(0)]
    for condition, code, index in errors:
        with m.If(condition & ~dead):
            m.d.sync += [dead.eq(1), error.valid.eq(1), error.code.eq(code), error.index.eq(index)]
    return dead
