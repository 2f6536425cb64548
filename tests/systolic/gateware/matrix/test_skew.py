"""Delays, and vectors that become waves and vectors again."""

import random

import pytest
from amaranth.hdl import Module, Shape, Signal, signed
from amaranth.lib import data

from systolic.gateware.delay import delay
from systolic.gateware.matrix.skew import Skew
from systolic.gateware.shared import place

LANES = [1, 3, 16, 17, 33]
WIDTH = 5


def vectors(lanes, count):
    rng = random.Random(lanes)
    return [[rng.getrandbits(WIDTH) for _ in range(lanes)] for _ in range(count)]


def join(vector):
    return sum(value << k * WIDTH for k, value in enumerate(vector))


def run(simulate, m, i, o, inputs, cycles):
    """Output vectors by the cycle; the last input stays."""
    got = []

    async def testbench(ctx):
        for cycle in range(cycles):
            ctx.set(i, join(inputs[min(cycle, len(inputs) - 1)]))
            bits = ctx.get(o)
            got.append([bits >> k * WIDTH & (1 << WIDTH) - 1 for k in range(len(inputs[0]))])
            await ctx.tick()
    # With a clock even where nothing is delayed.
    m.d.sync += Signal().eq(1)
    simulate(m, testbench)
    return got


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("reverse", [False, True])
def test_every_lane_is_as_late_as_said(simulate, lanes, step, reverse):
    longest = step * (lanes - 1)
    inputs = vectors(lanes, longest + 10)
    m = Module()
    skew = place(m, "skew", Skew("skew", WIDTH, lanes, step, reverse=reverse))
    got = run(simulate, m, skew.i, skew.o, inputs, len(inputs))
    for lane in range(lanes):
        cycles = step * (lanes - 1 - lane if reverse else lane)
        want = [vector[lane] for vector in inputs[:len(inputs) - cycles]]
        assert [vector[lane] for vector in got[cycles:]] == want


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("step", [1, 3])
def test_deskew_undoes_skew(simulate, lanes, step):
    m = Module()
    skew = place(m, "skew", Skew("skew", WIDTH, lanes, step))
    deskew = place(m, "deskew", Skew("deskew", WIDTH, lanes, step, reverse=True))
    m.d.comb += deskew.i.eq(skew.o)
    inputs, cycles = vectors(lanes, 12), step * (lanes - 1)
    got = run(simulate, m, skew.i, deskew.o, inputs, cycles + len(inputs))
    assert got[cycles:] == inputs


@pytest.mark.parametrize("shape", [3, signed(4), data.StructLayout({"a": 2, "b": signed(3)})], ids=repr)
@pytest.mark.parametrize("cycles", [0, 1, 2, 5])
def test_delay_keeps_the_shape(simulate, shape, cycles):
    m = Module()
    i = Signal(shape)
    delayed = delay(m, i, cycles, "line")
    assert delayed.shape() == (Shape.cast(shape) if isinstance(shape, int) else shape)
    struct = isinstance(shape, data.StructLayout)
    rng = random.Random(1)
    values = [{"a": rng.randint(0, 3), "b": rng.randint(-4, 3)} if struct else rng.randint(-3, 3) % 8 - 4 * (shape != 3)
              for _ in range(20)]
    got = []

    async def testbench(ctx):
        for value in values:
            ctx.set(i, value)
            o = ctx.get(delayed)
            got.append({"a": o.a, "b": o.b} if struct else o)
            await ctx.tick()
    m.d.sync += Signal().eq(1)
    simulate(m, testbench)
    assert got[cycles:] == values[:len(values) - cycles]
