"""The TPU paper's networks: shaped as published, legal as programs, and smaller ones run."""

import dataclasses

import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim.cycles.tpu import predict
from systolic_sim.emulator import check_instruction
from systolic_sim.programs.workloads import WORKLOADS, Conv, Dense, Pooling, Vector

ALL = pytest.mark.parametrize("workload", WORKLOADS, ids=lambda each: each.name)

#: Table 1: fully connected, convolutional, vector and pooling layers, weights in millions, MACs per weight, batch.
TABLE_1 = {
    "MLP0": (5, 0, 0, 0, 20, 200, 200), "MLP1": (4, 0, 0, 0, 5, 168, 168),
    "LSTM0": (24, 0, 34, 0, 52, 64, 64), "LSTM1": (37, 0, 19, 0, 34, 96, 96),
    "CNN0": (0, 16, 0, 0, 8, 2888, 8), "CNN1": (4, 72, 0, 13, 100, 1750, 32),
}


@ALL
def test_as_published(workload):
    """Layer counts and batch exactly; weights and operations to within 2 %."""
    *layers, weights, intensity, batch = TABLE_1[workload.name]
    kinds = Dense, Conv, Vector, Pooling
    assert [sum(isinstance(layer, kind) for layer in workload.layers) for kind in kinds] == layers
    assert workload.batch == batch
    assert workload.weights == pytest.approx(weights * 1e6, rel=0.02)
    assert workload.macs / workload.weights == pytest.approx(intensity, rel=0.02)


@ALL
def test_legal(workload):
    """On TPU v1; and every layer's MACs are in it: rows times tiles cover them."""
    tpu = tpu_preset("tpu_v1")
    program = workload.program(tpu)
    code = isa.encode(program)
    for start in range(0, len(code), isa.BYTES):
        assert check_instruction(tpu, int.from_bytes(code[start:start + isa.BYTES], "little")) is None
    cells = tpu.matrix.arch.rows * tpu.matrix.arch.cols
    products = [each.values for each in program if each.name == "matrix_multiply"]
    rows = sum(v["x_count"] * v["y_count"] * v["c_count"] * v["ky_count"] * v["n_count"] for v in products)
    assert workload.macs <= rows * cells
    assert sum(each.values["tile_count"] for each in program if each.name == "read_weights") == sum(
        v["c_count"] * v["ky_count"] * v["n_count"] for v in products)


@pytest.mark.parametrize("name", ["MLP1", "LSTM1", "CNN1"])
def test_small_ones_run(name):
    """A layer of each kind, on a small machine: to the end, and no faster than the weights come."""
    workload = next(each for each in WORKLOADS if each.name == name)
    tpu = TpuConfig(name="small", lanes=16, buffer_size=1 << 20, bus_bytes=16,
                    matrix=Config(arch=Arch(rows=16, cols=16, accumulator_depth=512, result_fifo_depth=512)))
    layers = {Dense: Dense(64, 48), Conv: Conv(6, 3, 16, 32), Vector: Vector(64), Pooling: Pooling(6, 16)}
    kinds = dict.fromkeys(map(type, workload.layers))
    small = dataclasses.replace(workload, layers=tuple(layers[kind] for kind in kinds), batch=4)
    counters = predict(tpu, small.program(tpu), latency=5, bytes_per_cycle=8).counters
    assert counters["cycles"] >= small.weights / 8
    assert counters["useful_macs"] >= small.macs
