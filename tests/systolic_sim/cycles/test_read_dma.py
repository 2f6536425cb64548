"""The read DMA's cycle model against its gateware, with everything around it at random."""

import collections
import random

import pytest

from systolic.config import Arch, Config
from systolic.gateware.dma.read_dma import ReadDma
from systolic.tpu_config import TpuConfig
from systolic_sim.cycles.read_dma import ReadDma as Model

CLIENTS = ("fetch", "weights", "load")


def outputs(ctx, bench, dut):
    ar = bench.offered(ctx, dut.bus.ar, "addr", "len")
    beats = {}
    for client in CLIENTS:
        beat = getattr(dut, f"{client}_beat")
        beats[client] = (ctx.get(beat.error), ctx.get(beat.last)) if ctx.get(beat.valid) else None
    return {f"{client}_ready": ctx.get(getattr(dut, client).ready) for client in CLIENTS} | {
        "ar": ar and (ar[0], ar[1] + 1), "beats": beats, "idle": ctx.get(dut.idle)}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reads_in_flight", [1, 2, 8])
def test_equals_the_gateware(bench, reads_in_flight, seed):
    config = TpuConfig(matrix=Config(arch=Arch(rows=4, cols=4)), lanes=1, buffer_size=4096,
                       reads_in_flight=reads_in_flight)
    rng = random.Random(seed)
    dut, model = ReadDma(config), Model(config)
    seen = collections.Counter()

    async def testbench(ctx):
        words, offers = collections.deque(), dict.fromkeys(CLIENTS)
        # Where the first in rank asks all the time, the others get nothing.
        asks = [rng.choice([0.02, 0.05]), rng.choice([0.02, 0.1]), rng.choice([0.1, 1])]
        rates = [rng.choice([0.3, 0.7, 1]) for _ in range(2)]
        for cycle in range(1500):
            out = outputs(ctx, bench, dut)
            assert out == {name: getattr(model, name) for name in out}, cycle
            seen.update(name for name, beat in out["beats"].items() if beat)
            seen.update(name for name in ("ar", "idle") if out[name])
            for client, rate in zip(CLIENTS, asks, strict=True):
                if offers[client] is None and rng.random() < rate:
                    offers[client] = rng.randrange(2**20) * 8, rng.randint(1, 9)
                ctx.set(getattr(dut, client).valid, offers[client] is not None)
                if offers[client]:
                    ctx.set(getattr(dut, client).payload, dict(zip(("address", "beats"), offers[client], strict=True)))
            ar_ready, stop = rng.random() < rates[0], cycle > 1400
            r = words.popleft() if words and rng.random() < rates[1] else None
            if out["ar"] and ar_ready:
                words.extend((rng.random() < 0.1, beat == out["ar"][1] - 1) for beat in range(out["ar"][1]))
            ctx.set(dut.bus.ar.ready, ar_ready)
            ctx.set(dut.stop, stop)
            ctx.set(dut.bus.r.valid, r is not None)
            if r:
                ctx.set(dut.bus.r.payload, {"resp": rng.choice([2, 3]) if r[0] else rng.choice([0, 1]), "last": r[1]})
            model.step(**offers, ar_ready=ar_ready, r=r, stop=stop)
            offers = {client: None if out[f"{client}_ready"] else offer for client, offer in offers.items()}
            await ctx.tick()

    bench.simulate(dut, testbench)
    assert all(seen[name] for name in (*CLIENTS, "ar", "idle"))
