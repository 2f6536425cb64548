"""The weight FIFO: how much it holds, and how soon it gives it."""

import pytest

from systolic.config import Arch, Config
from systolic.gateware.matrix.weight_fifo import WeightFifo

SHAPES = [(1, 1, 1), (1, 2, 4), (3, 2, 1), (4, 3, 4), (5, 1, 2)]


@pytest.mark.parametrize("rows, cols, depth", SHAPES)
def test_holds_its_tiles(simulate, rows, cols, depth):
    """At least the tiles asked for, exactly ``weight_fifo_rows`` rows, and all of them in order."""
    config = Config(arch=Arch(rows=rows, cols=cols, weight_fifo_depth=depth))
    fifo = WeightFifo(config)
    assert config.weight_fifo_rows >= rows * depth

    async def testbench(ctx):
        ctx.set(fifo.i.valid, 1)
        count = 0
        for _ in range(config.weight_fifo_rows + 8):
            ctx.set(fifo.i.payload, [(count * cols + c) % 256 for c in range(cols)])
            *_, ready = await ctx.tick().sample(fifo.i.ready)
            count += ready
        assert count == config.weight_fifo_rows
        ctx.set(fifo.i.valid, 0)
        ctx.set(fifo.o.ready, 1)
        for k in range(count):
            *_, valid, payload = await ctx.tick().sample(fifo.o.valid, fifo.o.payload)
            assert valid and list(payload.to_bytes(cols, "little")) == [(k * cols + c) % 256 for c in range(cols)]
        assert not ctx.get(fifo.o.valid)
    simulate(fifo, testbench)


@pytest.mark.parametrize("format", ["int8", "bf16"])
def test_first_row_leaves_at_once(simulate, recoded, format):
    """Two cycles after it came, recoded, with the rest of its tile still outside; then one a cycle."""
    config = Config(arch=Arch(rows=4, cols=2, format=format))
    fifo = WeightFifo(config)
    rows = [[0x12, 0xF3], [0x80, 0x7F], [0, 1], [2, 3]] if format == "int8" else \
           [[0x3F80, 0xC000], [0x0001, 0x8000], [0x7F7F, 0x0080], [0x4049, 0xBF01]]
    want = rows
    if format == "bf16":
        want = [[fields["mantissa"] & 0x1FF | (fields["exponent"] & 0x1FF) << 9
                 for fields in map(recoded.operand, row)] for row in rows]
    got = []

    async def testbench(ctx):
        ctx.set(fifo.o.ready, 1)
        for cycle in range(len(rows) + config.weight_latency):
            ctx.set(fifo.i.valid, cycle < len(rows))
            ctx.set(fifo.i.payload, rows[min(cycle, len(rows) - 1)])
            *_, ready, valid, payload = await ctx.tick().sample(fifo.i.ready, fifo.o.valid, fifo.o.payload)
            assert ready and valid == (cycle >= config.weight_latency)
            got.append(payload)
    simulate(fifo, testbench)
    width = config.arch.operand_width
    assert got[config.weight_latency:] == [low | high << width for low, high in want]
