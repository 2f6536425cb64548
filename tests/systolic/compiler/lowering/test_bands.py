"""Maps larger than the unified buffer pass through it in bands: exact, and no byte moves much oftener than it must."""

import dataclasses

import numpy as np
import pytest

from systolic.compiler import CompileError
from systolic.compiler.graph import operators as op
from systolic.config import Arch, Config
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim.emulator import Emulator

from .graphs import Draft, Machine, assert_exact, inputs_of


def machine(rng):
    rows, cols, depth = int(rng.integers(2, 18)), int(rng.integers(2, 18)), int(rng.choice([24, 64]))
    arch = Arch(rows=rows, cols=cols, accumulator_depth=depth, result_fifo_depth=depth, weight_fifo_depth=2)
    config = TpuConfig(matrix=Config(arch=arch), lanes=int(rng.integers(1, cols + 1)), buffer_size=1 << 14,
                       bus_bytes=int(rng.choice([4, 8, 16])))
    size = int(rng.choice([3000, 4000, 8000]))
    return dataclasses.replace(config, buffer_size=-(-size // config.banks) * config.banks)


def grown(d, rng, x):
    """One more operator that can work in bands."""
    height, width = d.shape(x)[1:3]
    kernel = tuple(int(rng.integers(1, min(4, length + 1))) for length in (height, width))
    strides = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    padding = tuple((int(rng.integers(0, k)), int(rng.integers(0, k))) for k in kernel)
    kind = rng.integers(0, 6)
    if kind < 2:
        return d.conv(x, int(rng.integers(1, 20)), kernel, strides, padding=padding)
    if kind == 2:
        return d.depthwise(x, kernel, strides, padding=padding)
    if kind == 3:
        return d.pool(op.MaxPool if rng.integers(2) else op.AveragePool, x, kernel, strides)
    return d.unary(x, "leaky_relu", alpha=0.3) if kind == 4 else d.add(x, x)


@pytest.mark.parametrize("first", range(0, 80, 20))
def test_random_graphs_on_small_buffers(first):
    refused = 0
    for seed in range(first, first + 20):
        rng, d = np.random.default_rng(seed), Draft(seed)
        x = d.input(1, int(rng.integers(8, 40)), int(rng.integers(4, 24)), int(rng.integers(1, 12)))
        for _ in range(int(rng.integers(1, 5))):
            x = grown(d, rng, x)
        try:
            assert_exact(d.graph(x), machine(rng))
        except CompileError as error:
            assert "buffer_size must be at least" in str(error)
            refused += 1
    assert refused <= 5


class Counted(Machine):
    """Counts bytes that pass over the bus."""

    moved = 0

    def __init__(self, compiled):
        super().__init__(compiled, self._count)

    def _count(self, program):
        emulator = Emulator(self.compiled.config, self.memory)
        emulator.run(list(program))
        self.moved += emulator.counters["bytes_read"] + emulator.counters["bytes_written"]


def conv_of_a_large_map(d):
    return d.conv(d.input(1, 96, 64, 16), 16)


def convs_of_large_maps(d):
    return d.conv(d.conv(d.input(1, 96, 64, 16), 24, strides=(2, 2)), 24)


def sum_of_large_maps(d):
    x = d.input(1, 96, 64, 16)
    return d.add(x, d.conv(x, 16, kernel=(1, 1), padding=((0, 0), (0, 0))))


def weights_of_many_layers(d):
    x = d.input(1, 8, 8, 64)
    for _ in range(3):
        x = d.conv(x, 64)
    return x


@pytest.mark.parametrize("make", [conv_of_a_large_map, convs_of_large_maps, sum_of_large_maps,
                                  weights_of_many_layers])
def test_bytes_moved(make):
    """What must move: inputs and outputs; weights, for each so many pixels as there are accumulators; and a map between
    layers there and back if it is larger than the buffer."""
    d, config = Draft(), dataclasses.replace(tpu_preset("tpu_16x16"), buffer_size=32 * 1024)
    graph = d.graph(make(d))
    tpu = Counted(assert_exact(graph, config))
    tpu.run(inputs_of(graph, np.random.default_rng(0)))
    must = sum(graph.values[name].size for name in (*graph.inputs, *graph.outputs))
    for node in graph:
        (y,) = graph.results(node)
        stripes = -(-y.size // y.shape[-1] // config.matrix.arch.accumulator_depth)
        must += stripes * sum(each.constant.size for each in graph.operands(node) if each.constant is not None)
        if y.name not in graph.outputs and y.size > config.buffer_size:
            must += 2 * y.size
    assert tpu.moved <= 1.3 * must
