"""Queues and credits: order, nothing lost or made, bounds, and streams that keep what they offer."""

from amaranth.hdl import Mux, Signal

from systolic.gateware.lib.credits import Credits
from systolic.gateware.lib.queue import Queue
from systolic_sim.formal.engine import Bench

__all__ = ["credits", "queue"]


def queue(depth, stages, width=2):
    """One entry, any of those that come, is watched: it leaves after as many as were there before it, as it was."""
    def describe(m):
        m.submodules.queue = dut = Queue("queue", width=width, depth=depth, stages=stages)
        valid, ready, payload, watch = Signal(), Signal(), Signal(width), Signal()
        m.d.comb += [dut.i.valid.eq(valid), dut.i.payload.eq(payload), dut.o.ready.eq(ready)]
        comes, goes = valid & dut.i.ready, dut.o.valid & ready
        inside, ahead = Signal(range(depth + stages + 2)), Signal(range(depth + stages + 2))
        watched, kept = Signal(), Signal(width)
        m.d.sync += inside.eq(inside + comes - goes)
        begins = comes & watch & ~watched
        with m.If(begins):
            m.d.sync += [watched.eq(1), kept.eq(payload), ahead.eq(inside - goes)]
        with m.Elif(watched & goes):
            m.d.sync += [watched.eq(ahead != 0), ahead.eq(ahead - 1)]
        # What was offered and not taken in the cycle before.
        offered, before = Signal(), Signal(width)
        m.d.sync += [offered.eq(dut.o.valid & ~ready), before.eq(dut.o.payload)]
        # An entry that may leave does so in time: none waits while the output is empty for longer than it takes.
        idle = Signal(range(stages + 3))
        m.d.sync += idle.eq(Mux((inside != 0) & ~dut.o.valid, idle + 1, 0))
        assertions = [
            ~(watched & goes & (ahead == 0)) | (dut.o.payload == kept), ~goes | (inside != 0),
            ~watched | (ahead < inside), inside <= depth + stages, (inside < depth) <= dut.i.ready,
            ~offered | (dut.o.valid & (dut.o.payload == before)), idle <= stages + 1,
        ]
        return [valid, ready, payload, watch], [], assertions, [watched & goes & (ahead == 0), ~dut.i.ready]
    return Bench(f"queue of {depth}, {stages} stage{'s' * (stages > 1)}",
                 "order, no loss, no copy, occupancy; an offer stays; nothing waits before an empty output", describe,
                 covers=2)


def credits(most, at_once=1, late=False):
    """A count beside it, of what is taken as its docstring allows."""
    def describe(m):
        m.submodules.credits = dut = Credits(most=most, at_once=at_once, late=late)
        take, give = Signal(range(at_once + 1)), Signal()
        count, before, took = Signal(range(most + at_once + 1)), Signal(range(most + at_once + 1)), Signal()
        m.d.comb += [dut.take.eq(take), dut.give.eq(give)]
        m.d.sync += [count.eq(count + take - give), before.eq(count), took.eq(take != 0)]
        assumptions = [take <= at_once, (take == 0) | dut.room, ~give | (count != 0)]
        assumptions += [(take == 0) | ~took] * late
        shown = before if late else count
        assertions = [count <= most, dut.room == (shown <= most - at_once), dut.empty == (shown == 0)]
        return [take, give], assumptions, assertions, [~dut.room, count == most - (most % at_once)]
    return Bench(f"credits, {most}{f' by {at_once}' * (at_once > 1)}{', late' * late}",
                 "never more than there are; both flags are what they say", describe, covers=2)
