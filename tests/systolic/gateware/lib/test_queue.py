"""The queue, against a deque."""

import collections
import random

import pytest
from amaranth.hdl import ResetInserter, Signal

from systolic.gateware.lib.queue import Queue


async def step(ctx, queue, write=None, ready=False):
    """One cycle; whether ``write`` was taken, and what came out or None."""
    ctx.set(queue.i.valid, write is not None)
    ctx.set(queue.i.payload, write or 0)
    ctx.set(queue.o.ready, ready)
    *_, taken, valid, payload = await ctx.tick().sample(queue.i.ready, queue.o.valid, queue.o.payload)
    return bool(taken) and write is not None, payload if valid and ready else None


STAGES = pytest.mark.parametrize("stages", [1, 2])


@STAGES
@pytest.mark.parametrize("width, depth", [(1, 2), (8, 3), (64, 2), (65, 5), (130, 16)])
@pytest.mark.parametrize("source, sink", [(1, 1), (0.5, 0.5), (1, 0.3), (0.3, 1), (0.9, 0.8)])
def test_random_traffic(simulate, width, depth, stages, source, sink):
    """Nothing is lost, doubled or out of order; what is on offer stays until it is taken; no more fits than is said."""
    queue = Queue("queue", width=width, depth=depth, stages=stages)
    rng = random.Random(depth)

    async def testbench(ctx):
        held, write, offered = collections.deque(), None, None
        for _ in range(400):
            if write is None and rng.random() < source:
                write = rng.getrandbits(width)
            ready = rng.random() < sink
            if offered is not None:
                assert ctx.get(queue.o.valid) and ctx.get(queue.o.payload) == offered
            offered = ctx.get(queue.o.payload) if ctx.get(queue.o.valid) and not ready else None
            taken, out = await step(ctx, queue, write, ready)
            if out is not None:
                assert out == held.popleft()
            if taken:
                held.append(write)
                write = None
            assert len(held) <= depth + stages
    simulate(queue, testbench)


@STAGES
@pytest.mark.parametrize("depth", [2, 3, 7, 8])
def test_capacity(simulate, depth, stages):
    """Full after depth + stages entries, and again after one left."""
    queue = Queue("queue", width=8, depth=depth, stages=stages)
    capacity = depth + stages

    async def testbench(ctx):
        count = 0
        for _ in range(3 * depth + 5):
            taken, _ = await step(ctx, queue, count + 1)
            count += taken
        assert count == capacity
        assert await step(ctx, queue, None, True) == (False, 1)
        assert [(await step(ctx, queue, 99))[0] for _ in range(4)] == [True, False, False, False]
        left = [(await step(ctx, queue, None, True))[1] for _ in range(capacity + 1)]
        assert left == [*range(2, capacity + 1), 99, None]
    simulate(queue, testbench)


@STAGES
@pytest.mark.parametrize("depth", [2, 5])
def test_full_rate_and_latency(simulate, depth, stages):
    """One in and one out every cycle; an entry can go 1 + stages cycles after it came, and not sooner."""
    queue = Queue("queue", width=8, depth=depth, stages=stages)

    async def testbench(ctx):
        taken, out = zip(*[await step(ctx, queue, count + 1, True) for count in range(40)], strict=True)
        assert all(taken)
        assert list(out) == [None] * (1 + stages) + [*range(1, 40 - stages)]
    simulate(queue, testbench)


@STAGES
@pytest.mark.parametrize("depth", [2, 5])
def test_full_rate_when_it_was_full(simulate, depth, stages):
    queue = Queue("queue", width=8, depth=depth, stages=stages)

    async def testbench(ctx):
        for _ in range(depth + 4):
            await step(ctx, queue, 7)
        out = [(await step(ctx, queue, 8, True))[1] for _ in range(30)]
        assert None not in out
    simulate(queue, testbench)


@STAGES
def test_reset_empties_it(simulate, stages):
    queue, rst = Queue("queue", width=8, depth=3, stages=stages), Signal()

    async def testbench(ctx):
        for count in range(6):
            await step(ctx, queue, count + 1, count == 4)
        ctx.set(rst, 1)
        await step(ctx, queue)
        ctx.set(rst, 0)
        assert [await step(ctx, queue, None, True) for _ in range(5)] == [(False, None)] * 5
        taken, out = zip(*[await step(ctx, queue, count + 50, True) for count in range(6)], strict=True)
        assert all(taken) and list(out) == ([None] * (1 + stages) + [50, 51, 52, 53])[:6]
    simulate(ResetInserter(rst)(queue), testbench)
