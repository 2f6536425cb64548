import random

import pytest
from amaranth.sim import Simulator

from systolic.gateware.unified_buffer import UnifiedBuffer
from systolic.tpu_config import TPU_PRESETS


def _clients(dut):
    return (dut.activation_read, dut.store_read, dut.row_read), (dut.activation_write, dut.load_write)


@pytest.mark.parametrize("name", ["tpu_4x4", "tpu_8x8", "tpu_12x20"])
def test_any_bytes_from_any_address(name):
    """Three readers and two writers at random: data, latency, priority, and what a read sees of the write before it."""
    config, chance = TPU_PRESETS[name], random.Random(1)
    latency = config.READ_LATENCY
    dut = UnifiedBuffer(config)
    reads, writes = _clients(dut)
    contents, expected, seen = {}, [], 0

    async def testbench(ctx):
        nonlocal seen
        for cycle in range(3000):
            asked = [chance.random() < 0.4 for _ in reads]
            offered = [chance.random() < 0.5 for _ in writes]
            addresses = [chance.randrange(200) for _ in reads]
            for client, valid, address in zip(reads, asked, addresses, strict=True):
                ctx.set(client.request.valid, valid)
                ctx.set(client.request.payload, address)
            payloads = [{"address": chance.randrange(200), "count": chance.randrange(config.write_bytes + 1),
                         "data": chance.getrandbits(8 * config.write_bytes)} for _ in writes]
            for client, valid, payload in zip(writes, offered, payloads, strict=True):
                ctx.set(client.valid, valid)
                ctx.set(client.payload, payload)
            for number, client in enumerate(reads):
                assert ctx.get(client.request.ready) == (not any(asked[:number]))
                due = expected[cycle - latency] if cycle >= latency else None
                assert ctx.get(client.valid) == (due is not None and due[0] == number)
                if due is not None and due[0] == number:
                    data = ctx.get(client.data).to_bytes(config.banks, "little")
                    for value, known in zip(data, due[1], strict=True):
                        assert known is None or value == known
                        seen += known is not None
            taken = next((number for number, valid in enumerate(asked) if valid), None)
            expected.append(None if taken is None else (
                taken, [contents.get(addresses[taken] + offset) for offset in range(config.banks)]))
            for number, client in enumerate(writes):
                assert ctx.get(client.ready) == (not any(offered[:number]))
            winner = next((number for number, valid in enumerate(offered) if valid), None)
            if winner is not None:
                payload = payloads[winner]
                data = payload["data"].to_bytes(config.write_bytes, "little")
                contents.update({payload["address"] + offset: data[offset] for offset in range(payload["count"])})
            await ctx.tick()

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(testbench)
    simulator.run()
    assert seen > 2_000 * config.banks
