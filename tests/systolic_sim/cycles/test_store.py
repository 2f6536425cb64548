"""The storer's cycle model against its gateware, with everything around it at random."""

import collections
import random

import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.gateware.dma.store import Storer
from systolic.tpu_config import TpuConfig
from systolic_sim.cycles.store import Storer as Model

#: bus_bytes, burst_beats
BUSES = [(4, 1), (4, 4), (8, 16), (16, 5)]


def transfer(rng, config, faults):
    """Fields of a transfer, which with ``faults`` leaves a region now and then, at its end or at that of memory."""
    row_count, row_bytes = rng.choice([(1, rng.randint(1, 200 if faults else 900)),
                                       (rng.randint(1, 9), rng.randint(1, 60))])
    step, fault = config.bus_bytes, rng.choice(["memory", "buffer", "end", None]) if faults else None
    stride, memory_stride = rng.randint(0, 100), step * rng.randrange(100)
    return isa.operation(
        "write_host_memory", row_count=row_count, row_bytes=row_bytes, stride=stride, memory_stride=memory_stride,
        memory=2**32 - step if fault == "end" else step * rng.randrange(999),
        base=rng.randrange(config.buffer_size // 2),
        memory_size=max(1, (row_count - 1) * memory_stride + row_bytes - (fault == "memory")),
        size=max(1, (row_count - 1) * stride + row_bytes - (fault == "buffer"))).values


@pytest.mark.parametrize("seed, faults", [(0, False), (1, False), (2, True)])
@pytest.mark.parametrize("bus_bytes, burst_beats", BUSES)
def test_equals_the_gateware(bench, bus_bytes, burst_beats, seed, faults):
    config = TpuConfig(matrix=Config(arch=Arch(rows=4, cols=4)), lanes=1, buffer_size=4096, bus_bytes=bus_bytes,
                       burst_beats=burst_beats)
    rng = random.Random(seed)
    dut, model = Storer(config), Model(config)
    seen = collections.Counter()

    async def testbench(ctx):
        reads, offer, index = collections.deque([False] * config.READ_LATENCY), None, 0
        addressed = written = 0
        rates = [rng.choice([0.3, 0.7, 1]) for _ in range(5)]
        faulty = faults * rng.choice([0, 0.01])
        for cycle in range(1200):
            out = bench.unit_outputs(ctx, dut) | {
                "read": bench.offered(ctx, dut.read.request), "idle": ctx.get(dut.idle)}
            aw, w = bench.offered(ctx, dut.bus.aw, "addr", "len"), bench.offered(ctx, dut.bus.w, "strb", "last")
            out |= {"aw": aw and (aw[0], aw[1] + 1), "w": w and (w[0].bit_length(), w[1])}
            assert w is None or w[0] & (w[0] + 1) == 0
            assert out == {name: getattr(model, name) for name in out}, cycle
            seen.update(name for name, value in out.items() if value)
            if offer is None and rng.random() < rates[0]:
                offer, index = (index, transfer(rng, config, faults)), index + 1
            read_ready, aw_ready, w_ready = (rng.random() < rate for rate in rates[1:4])
            stop, b = cycle > 1150, None
            if addressed and written and rng.random() < rates[4]:
                b, addressed, written = rng.random() < faulty, addressed - 1, written - 1
            addressed += aw is not None and aw_ready
            written += w is not None and w_ready and w[1]
            read_valid = reads.pop()
            reads.appendleft(out["read"] is not None and read_ready)
            bench.command(ctx, dut, "write_host_memory", offer)
            for signal, value in ((dut.read.request.ready, read_ready), (dut.read.valid, read_valid),
                                  (dut.bus.aw.ready, aw_ready), (dut.bus.w.ready, w_ready),
                                  (dut.bus.b.valid, b is not None), (dut.bus.b.payload.resp, 2 * bool(b)),
                                  (dut.stop, stop)):
                ctx.set(signal, value)
            model.step(offer, read_ready, read_valid, aw_ready, w_ready, b, stop)
            if out["command_ready"]:
                offer = None
            await ctx.tick()

    bench.simulate(dut, testbench)
    assert seen["aw"] and seen["w"] and seen["error" if faults else "done"]
