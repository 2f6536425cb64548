"""Outputs over inputs of the same instruction: emulator and Verilog agree, in bytes or in the error."""

import itertools

import numpy as np
import pytest

from systolic import isa
from systolic.compiler.layout import records
from systolic.config import Arch, Config
from systolic.host import Driver
from systolic.tpu_config import TpuConfig
from systolic_sim.emulator import Emulator, EmulatorError
from systolic_sim.rtl.tpu import TpuRtl

TPU = TpuConfig(name="overlap", lanes=2, buffer_size=2048, burst_beats=8, reads_in_flight=2, matrix=Config(
    arch=Arch(rows=4, cols=3, accumulator_depth=16, result_fifo_depth=16, weight_fifo_depth=2), name="overlap_unit"))
PROGRAM, OUT, WHOLE, RECORDS = 0x1000, 0x800, 1024, 960
INPUT, COUNT = 400, 12


@pytest.fixture(scope="module")
def rtl():
    return TpuRtl(TPU)


def outcome(rtl, step):
    """Error of both, or None, once memory is the same in both."""
    move = {"base": 0, "size": WHOLE, "row_bytes": WHOLE, "memory_size": WHOLE}
    program = [isa.operation("read_host_memory", memory=0, **move), isa.operation("sync"), step, isa.operation("sync"),
               isa.operation("write_host_memory", memory=OUT, **move), isa.operation("halt")]
    memory = np.random.default_rng(1).integers(0, 256, PROGRAM + isa.BYTES * len(program), np.uint8)
    memory[PROGRAM:] = np.frombuffer(isa.encode(program), np.uint8)
    table = np.frombuffer(records([3, 5, 7], 1 << 30, [-1, -2, -18]), np.uint8)
    memory[RECORDS:RECORDS + len(table)] = table
    emulator, error = Emulator(TPU, memory.copy()), None
    try:
        emulator.run(program)
    except EmulatorError as stopped:
        error = stopped.code, stopped.index
    rtl.reset()
    rtl.connect(memory, latency=3)
    ended = Driver(rtl).run(PROGRAM, len(program), watchdog=2000)
    assert (None if ended.halted else (ended.error_code, ended.error_index)) == error
    assert error or np.array_equal(memory, emulator.memory)
    return error


def pool(ahead, stride, channels, **values):
    extent = (COUNT - 1) * stride + channels
    return isa.operation("pool", **({
        "base": INPUT + ahead, "size": extent, "from_base": INPUT, "from_size": extent, "start": INPUT,
        "x_count": COUNT, "x_stride": stride, "from_x_stride": stride, "channels": channels, "maximum": 1,
        "parameters": RECORDS} | values))


def add(ahead, stride, channels, **values):
    extent = (COUNT - 1) * stride + channels
    return isa.operation("add", **({
        "base": INPUT + ahead, "size": extent, "from_base": INPUT, "from_size": extent, "x_count": COUNT,
        "x_stride": stride, "from_x_stride": stride, "channels": channels, "other_base": 100, "other_size": extent,
        "other_x_stride": stride, "parameters": RECORDS} | values))


@pytest.mark.parametrize("step", [pool, add])
@pytest.mark.parametrize("stride, channels", [(1, 1), (5, 5), (5, 3), (3, 5), (2, 1), (0, 2)])
def test_every_distance(rtl, step, stride, channels):
    """Apart or in place without a byte that differs; refused by both at all other distances."""
    reach = (COUNT - 1) * stride + channels
    for ahead in sorted({*range(-6, 7), *range(reach - 2, reach + 3), *range(-reach - 2, 3 - reach)}):
        error = outcome(rtl, step(ahead, stride, channels))
        in_place = ahead == 0 and (stride >= channels)
        assert error == (None if abs(ahead) >= reach or in_place else (14, 2)), ahead


@pytest.mark.parametrize("step, changed", [
    *itertools.product([pool, add], [{"x_stride": 6}, {"from_x_stride": 4}, {"y_count": 2, "y_stride": 70},
                                     {"from_y_stride": 1}, {"size": 900 - INPUT}]),
    (pool, {"kx_count": 2}), (pool, {"ky_count": 2}), (pool, {"start": INPUT + 1}),
    (add, {"other_base": INPUT}), (add, {"other_base": INPUT + 1}), (add, {"other_base": INPUT, "other_x_stride": 4}),
])
def test_both_judge_alike(rtl, step, changed):
    """Whatever is not quite in place, with a region that is left or without."""
    outcome(rtl, step(0, 5, 5, **changed))
