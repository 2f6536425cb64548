"""When instructions issue and retire, and what a program that never ends waits for."""

import numpy as np
import pytest

from systolic.isa import operation
from systolic.tpu_config import tpu_preset
from systolic_sim.cycles.tpu import CycleError, predict
from systolic_sim.programs.random import random_program

TPU = tpu_preset("tpu_4x4")
HALT = operation("halt")
TILES = operation("read_weights", memory=0, memory_size=16 * 8, tile_count=8)


@pytest.mark.parametrize("seed", range(6))
def test_shares_are_the_programs(seed):
    """In order of issue; of every counter, the shares of all instructions are the whole."""
    program = random_program(TPU, seed).program
    predicted = predict(TPU, program)
    timings = predicted.timings
    assert len(timings) == predicted.counters["instructions"]
    assert all(0 <= each.issue <= each.retire <= predicted.cycles for each in timings)
    assert [each.issue for each in timings] == sorted(each.issue for each in timings)
    assert timings[-1].retire == predicted.cycles
    for name, count in predicted.counters.items():
        assert sum(each.counters.get(name, 0) for each in timings) == count, name
    for each in timings:
        parts = ("active", "weight_stall", "weight_shift", "non_matrix")
        assert sum(each.counters[name] for name in parts) == each.counters["cycles"] >= 0


def test_rows_belong_to_the_product_that_reads_them():
    """Of two products that wait for each other, the first has the cycles in which its rows go."""
    first, second = (operation("matrix_multiply", size=1024, x_count=x, x_stride=4) for x in (40, 7))
    predicted = predict(TPU, [operation(
        "read_weights", memory=0, memory_size=32, tile_count=2), first, operation("sync"), second, HALT])
    active = np.array([each.counters["active"] for each in predicted.timings])
    assert active.sum() == 47 and active[:3].sum() == 40 and active[3:].sum() == 7


@pytest.mark.parametrize("program, message", [
    ([operation("activate", size=4, channels=4), HALT],
     "instruction 1, halt: it waits until instruction 0 has ended; that waits for sums"),
    ([operation("matrix_multiply", size=64, x_count=8, x_stride=4), operation("sync"), TILES, HALT],
     "instruction 1, sync: .*that waits for a weight tile: read_weights must come before this one"),
    ([operation("activate", base=4 * number, size=4, channels=4, parameters=2048) for number in range(3)] + [HALT],
     "instruction 2, activate .*: it waits for instruction 0, two being in flight in its unit; that waits for sums"),
])
def test_no_end_says_what_waits_for_what(program, message):
    with pytest.raises(CycleError, match=f"no end after [0-9]+ cycles: {message}"):
        predict(TPU, program, patience=2000)
