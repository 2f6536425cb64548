"""The weight reader's cycle model against its gateware, with everything around it at random."""

import collections
import random

import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.gateware.dma.weight_reader import WeightReader
from systolic.tpu_config import TpuConfig
from systolic_sim.cycles.weight_reader import WeightReader as Model

#: rows, cols, bus_bytes: rows of weights smaller than a bus word, as large, and larger.
SHAPES = [(1, 1, 4), (3, 3, 8), (8, 8, 8), (5, 20, 8), (4, 2, 16)]


def tiles(rng, config, faults):
    """Fields of some tiles, which with ``faults`` leave the region now and then."""
    count, diagonal, outside = rng.randint(1, 9), rng.random() < 0.4, faults and rng.random() < 0.4
    size = count * config.tile_bytes(diagonal=diagonal)
    memory = rng.choice([2**32 - 4096, 2**32 - size // 2]) if outside else rng.randrange(9999)
    return isa.operation("read_weights", memory=memory // config.bus_bytes * config.bus_bytes, diagonal=diagonal,
                         tile_count=count, memory_size=size - rng.choice([0, outside])).values


@pytest.mark.parametrize("seed, faults", [(0, False), (1, False), (2, True)])
@pytest.mark.parametrize("rows, cols, bus_bytes", SHAPES)
def test_equals_the_gateware(bench, rows, cols, bus_bytes, seed, faults):
    rng = random.Random(seed)
    config = TpuConfig(matrix=Config(arch=Arch(rows=rows, cols=cols)), lanes=1, buffer_size=4096, bus_bytes=bus_bytes,
                       burst_beats=rng.choice([1, 4, 16]), reads_in_flight=rng.choice([1, 3, 8]))
    dut, model = WeightReader(config), Model(config)
    seen = collections.Counter()

    async def testbench(ctx):
        beats, offer, index = collections.deque(), None, 0
        rates = [rng.choice([0.3, 0.7, 1]) for _ in range(4)]
        faulty = faults * rng.choice([0, 0.01])
        for cycle in range(1200):
            out = bench.unit_outputs(ctx, dut) | {
                "request": bench.offered(ctx, dut.request, "address", "beats"),
                "weights_valid": ctx.get(dut.weights.valid)}
            assert out == {name: getattr(model, name) for name in out}, cycle
            seen.update(name for name, value in out.items() if value)
            if offer is None and rng.random() < rates[0]:
                offer, index = (index, tiles(rng, config, faults)), index + 1
            request_ready, weights_ready, stop = rng.random() < rates[1], rng.random() < rates[2], cycle > 1150
            beat = None
            if beats and beats[0][0] <= cycle and rng.random() < rates[3]:
                beat = rng.random() < faulty, beats.popleft()[1]
            if out["request"] and request_ready:
                # The read DMA takes so long at least.
                beats.extend((cycle + 4, left == 1) for left in range(out["request"][1], 0, -1))
            bench.command(ctx, dut, "read_weights", offer)
            bench.beat(ctx, dut.beat, beat)
            ctx.set(dut.request.ready, request_ready)
            ctx.set(dut.weights.ready, weights_ready)
            ctx.set(dut.stop, stop)
            model.step(offer, request_ready, beat, weights_ready, stop)
            if out["command_ready"]:
                offer = None
            await ctx.tick()

    bench.simulate(dut, testbench)
    assert seen["request"] and seen["weights_valid"] and seen["error" if faults else "done"]
