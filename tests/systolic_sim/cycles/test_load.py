"""The loader's cycle model against its gateware, with everything around it at random."""

import collections
import random

import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.gateware.dma.load import Loader
from systolic.tpu_config import TpuConfig
from systolic_sim.cycles.load import Loader as Model

#: bus_bytes, burst_beats, reads_in_flight
BUSES = [(4, 1, 1), (4, 4, 2), (8, 16, 8), (16, 5, 3)]


def transfer(rng, config, faults):
    """Fields of a transfer, which with ``faults`` leaves a region now and then, at its end or at that of memory."""
    row_count, row_bytes = rng.choice([(1, rng.randint(1, 200 if faults else 900)),
                                       (rng.randint(1, 9), rng.randint(1, 60))])
    step, fault = config.bus_bytes, rng.choice(["memory", "buffer", "end", None]) if faults else None
    stride, memory_stride = rng.randint(0, 100), step * rng.randrange(100)
    return isa.operation(
        "read_host_memory", row_count=row_count, row_bytes=row_bytes, stride=stride, memory_stride=memory_stride,
        memory=2**32 - step if fault == "end" else step * rng.randrange(999),
        base=rng.randrange(config.buffer_size // 2),
        memory_size=max(1, (row_count - 1) * memory_stride + row_bytes - (fault == "memory")),
        size=max(1, (row_count - 1) * stride + row_bytes - (fault == "buffer"))).values


@pytest.mark.parametrize("seed, faults", [(0, False), (1, False), (2, True)])
@pytest.mark.parametrize("bus_bytes, burst_beats, reads_in_flight", BUSES)
def test_equals_the_gateware(bench, bus_bytes, burst_beats, reads_in_flight, seed, faults):
    config = TpuConfig(matrix=Config(arch=Arch(rows=4, cols=4)), lanes=1, buffer_size=4096, bus_bytes=bus_bytes,
                       burst_beats=burst_beats, reads_in_flight=reads_in_flight)
    rng = random.Random(seed)
    dut, model = Loader(config), Model(config)
    seen = collections.Counter()

    async def testbench(ctx):
        beats, offer, index = collections.deque(), None, 0
        rates = [rng.choice([0.3, 0.7, 1]) for _ in range(4)]
        faulty = faults * rng.choice([0, 0.01])
        for cycle in range(1200):
            out = bench.unit_outputs(ctx, dut) | {
                "request": bench.offered(ctx, dut.request, "address", "beats"),
                "write": bench.offered(ctx, dut.write, "address", "count")}
            assert out == {name: getattr(model, name) for name in out}, cycle
            seen.update(name for name, value in out.items() if value)
            if offer is None and rng.random() < rates[0]:
                offer, index = (index, transfer(rng, config, faults)), index + 1
            request_ready, write_ready, stop = rng.random() < rates[1], rng.random() < rates[2], cycle > 1150
            beat = None
            if beats and rng.random() < rates[3]:
                beat = rng.random() < faulty, beats.popleft()
            if out["request"] and request_ready:
                beats.extend([*[False] * (out["request"][1] - 1), True])
            bench.command(ctx, dut, "read_host_memory", offer)
            bench.beat(ctx, dut.beat, beat)
            ctx.set(dut.request.ready, request_ready)
            ctx.set(dut.write.ready, write_ready)
            ctx.set(dut.stop, stop)
            model.step(offer, request_ready, beat, write_ready, stop)
            if out["command_ready"]:
                offer = None
            await ctx.tick()

    bench.simulate(dut, testbench)
    assert seen["request"] and seen["write"] and seen["error" if faults else "done"]
