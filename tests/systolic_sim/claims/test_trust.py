"""Long runs, resets, random states and flipped bits: a few of each, and that a mistake is found."""

import numpy as np
import pytest

from systolic.isa import ErrorCode
from systolic.tpu_config import tpu_preset
from systolic_sim.claims import kept, oracles, upsets
from systolic_sim.claims.check import CheckError
from systolic_sim.claims.soak import Soak
from systolic_sim.claims.upsets import OUTCOMES, Upsets, memory_of, scramble
from systolic_sim.rtl.tpu import TpuRtl

TPU = tpu_preset("tpu_4x4")


@pytest.fixture(scope="module")
def case():
    return Upsets(TpuRtl(TPU, state=True), 0, length=12)


def states(case, group):
    return [state for state in case.rtl.states() if memory_of(state) == group]


def test_soak():
    soak = Soak(TpuRtl(TPU), 1, length=10)
    assert soak.stalls()[0] is None
    assert all(soak.faults()[0] in (None, ErrorCode.BUS_READ, ErrorCode.BUS_WRITE, ErrorCode.FETCH) for _ in range(5))
    assert {soak.silence()[0] for _ in range(8)} <= {None, ErrorCode.WATCHDOG}
    soak.expected = soak.expected ^ 1
    with pytest.raises(CheckError, match="bytes of memory differ"):
        soak.stalls()


def test_all_bits_are_in_reach(case):
    """The buffer's, the accumulators', and as many registers as the Verilog declares."""
    assert sum(state.words * state.bits for state in states(case, "unified buffer")) == 8 * TPU.buffer_size
    arch = TPU.matrix.arch
    assert sum(state.words for state in states(case, "accumulators")) == arch.accumulator_depth * arch.cols
    assert len(states(case, "registers")) > 500
    with pytest.raises(ValueError, match="has 1 words of 1 bits, not word 0, bit 1"):
        case.rtl.flip(next(state for state in states(case, "registers") if state.bits == 1), 0, 1)
    assert TpuRtl(TPU).states() == []


def test_from_a_random_state(case):
    for seed in range(3):
        scramble(case.rtl, np.random.default_rng(seed))
        case.whole("from a random state")


def test_reset_at_any_time(case):
    for cycle in range(0, case.cycles, case.cycles // 10):
        case.rtl.reset()
        case.start()
        case.rtl.run(cycle)
        case.whole(f"after a reset in cycle {cycle}")
        upsets.restart_at(case, cycle)


def test_upsets(case):
    """Bits of registers do everything that a bit can; the program after is whole."""
    rng, found = np.random.default_rng(0), set()
    registers = states(case, "registers")
    for _ in range(150):
        state = registers[rng.integers(len(registers))]
        found.add(case.upset(state, 0, int(rng.integers(state.bits)), int(rng.integers(case.cycles))))
    assert {"masked", "silent", "detected"} <= found <= set(OUTCOMES)
    case.whole("after upsets")


def test_a_flipped_bit_of_the_buffer_arrives_in_memory(case):
    """Flipped at any time, one of all bytes is read after it at some time."""
    state = states(case, "unified buffer")[0]
    outcomes = {case.upset(state, word, 0, case.cycles // 2) for word in range(0, state.words, 8)}
    assert outcomes <= {"masked", "silent"}


def test_bf16_oracles(monkeypatch):
    """All three agree with the golden model; one that flushes subnormals does not."""
    operands = oracles.structured(1, 3000)
    assert oracles.wrong(*operands) == dict.fromkeys(oracles.ORACLES, 0) | {"vectors": 3000}
    assert len(set(oracles.special().tolist())) == 200
    exact = oracles.ORACLES["exact integers"]()
    monkeypatch.setitem(oracles.ORACLES, "exact integers", lambda: lambda *given: (
        0 if exact(*given) >> 23 & 0xFF == 0 else exact(*given)))
    assert 0 < oracles.wrong(*operands)["exact integers"] < 3000


def square(job):
    return {"square": job * job}


def test_results_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert [each["square"] for each in kept.run_all(square, [1, 2, 3], "a")] == [1, 4, 9]
    monkeypatch.setattr(kept, "_keep", None)  # nothing runs again
    assert [each["square"] for each in kept.run_all(square, [3, 1], "a")] == [9, 1]
