"""Streams and slow memories: the bandwidth that presets promise, and that the cycle model is right about it."""

import dataclasses

import numpy as np
import pytest

from systolic import isa
from systolic.host import Driver
from systolic.tpu_config import TPU_PRESETS, tpu_preset
from systolic_sim.claims.bandwidth import STREAMS, share, stream
from systolic_sim.cycles.tpu import predict
from systolic_sim.rtl.tpu import TpuRtl

TPU = tpu_preset("tpu_4x4")
#: burst_beats, reads_in_flight, writes_in_flight: in odd numbers, too.
SIZES = [(8, 9, 9), (9, 12, 12), (16, 4, 4), (32, 8, 8), (11, 40, 33)]


@pytest.fixture(scope="module")
def rtl():
    return TpuRtl(TPU)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("name", TPU_PRESETS)
def test_presets(name, kind):
    """95 % of the bus at 200 cycles on all of them, at 400 on all but the one for small chips."""
    covered = tpu_preset(name).covered_latency
    assert covered >= (200 if name == "tpu_4x4" else 400)
    assert share(tpu_preset(name), kind, min(covered, 400)) >= 0.95


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("burst, reads, writes", SIZES)
@pytest.mark.parametrize("name", ["tpu_4x4", "tpu_8x8", "tpu_12x20"])
def test_bursts_in_flight_decide(name, burst, reads, writes, kind):
    """95 % of the bus at the covered latency; far beyond it what bursts in flight allow, within 3 %."""
    tpu = dataclasses.replace(tpu_preset(name), burst_beats=burst, reads_in_flight=reads, writes_in_flight=writes)
    most = burst * (writes if kind == "store" else reads)
    assert share(tpu, kind, tpu.covered_latency) >= 0.95
    far = 3 * most
    assert 0.85 * most / (far + burst) <= share(tpu, kind, far) <= 1.03 * most / far


@pytest.mark.parametrize("latency", [20, 100, 200, 400])
@pytest.mark.parametrize("kind", STREAMS)
def test_compiled_tpu_as_predicted(rtl, kind, latency):
    """Every counter and cycle of a stream."""
    program, _ = stream(TPU, kind, 2000)
    code = np.frombuffer(isa.encode(program), np.uint8)
    memory = np.zeros(1 << 14, np.uint8)
    memory[-code.size:] = code
    rtl.reset()
    rtl.connect(memory, latency=latency)
    outcome = Driver(rtl).run(memory.size - code.size, len(program))
    predicted = predict(TPU, program, latency=latency).counters
    assert outcome.halted
    assert outcome.counters == {name: predicted.get(name, 0) for name in outcome.counters}
