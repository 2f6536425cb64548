"""The emulator in strict mode: bytes that were never written, and results that nobody read."""

import numpy as np
import pytest

from systolic import isa
from systolic.tpu_config import tpu_preset
from systolic_sim.emulator import Emulator
from systolic_sim.strict import StrictError

LOAD = "read_host_memory memory=0x{memory:x} memory_size={size} base=0x{base:x} size={size} row_bytes={size}"
STORE = "write_host_memory memory=0x400 memory_size=16 base=0x{base:x} size=16 row_bytes=16"
#: 16 codes at 0x40, and a record at 0x80.
LOADS = f"{LOAD.format(memory=0, size=16, base=0x40)}\n{LOAD.format(memory=64, size=16, base=0x80)}\n"
POOL = ("pool base=0x{base:x} size=16 from_base=0x40 from_size=16 start=0x40 parameters=0x80 x_count=2 channels=8 "
        "x_stride=8 from_x_stride=8")


def run(text, *, strict=True):
    emulator = Emulator(tpu_preset("tpu_8x8"), np.zeros(2048, np.uint8), strict=strict)
    emulator.run(isa.assemble(f"{text}\nhalt\n"))
    return emulator.lost


@pytest.mark.parametrize("text, message", [
    (STORE.format(base=0x20), r"instruction 0 \(write_host_memory\) reads 16 bytes from 0x20 of the unified buffer, "
     "never written"),
    (LOAD.format(memory=0, size=8, base=0x20) + "\n" + STORE.format(base=0x20), "instruction 1 .* 8 bytes from 0x28"),
    (LOADS.replace("base=0x80", "base=0x88") + POOL.format(base=0x100), "reads 8 bytes from 0x80"),
])
def test_is_stopped(text, message):
    with pytest.raises(StrictError, match=message):
        run(text)
    run(text, strict=False)


@pytest.mark.parametrize("text", [
    # A result is read, in part at least; what is loaded need not be.
    f"{LOADS}{POOL.format(base=0x100)}\n{STORE.format(base=0x100)}\n{POOL.format(base=0x100)}",
    f"{LOADS}{LOADS}{POOL.format(base=0x100)}",
])
def test_goes_through(text):
    assert run(text) == []


def test_lost_results_are_told():
    text = f"{LOADS}{POOL.format(base=0x100)}\n{POOL.format(base=0x108)}"
    assert run(text) == ["instruction 3 (pool) overwrites 8 bytes from 0x108 of the unified buffer, results of "
                         "instruction 2, of which nothing was read"]
    assert run(text, strict=False) == []


def test_a_weight_of_zero_asks_for_no_byte():
    """Rows of the array beyond the channels meet weights of zero there; others do not."""
    memory = np.zeros(2048, np.uint8)
    program = isa.assemble(f"{LOAD.format(memory=0, size=8, base=0x40)}\n"
                           "read_weights memory=0x100 memory_size=64 tile_count=1\n"
                           "matrix_multiply base=0x40 size=16 start=0x44 x_count=1 k_less=7 k_last_less=7\nhalt\n")
    Emulator(tpu_preset("tpu_8x8"), memory, strict=True).run(program)
    memory[0x100:0x140] = 1
    with pytest.raises(StrictError, match=r"instruction 2 \(matrix_multiply\) reads 4 bytes from 0x48"):
        Emulator(tpu_preset("tpu_8x8"), memory, strict=True).run(program)
