"""Compiled models on the emulator: every byte of the graph in numpy, and programs that the checker has nothing to say
of."""

import dataclasses

import numpy as np
import pytest

from systolic import isa
from systolic.compiler.compiled import TpuStep
from systolic.compiler.evaluate import evaluate
from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.tpu_config import tpu_preset
from systolic_sim.check.program import check_program
from systolic_sim.claims.models import run_compiled
from systolic_sim.cycles.tpu import predict
from systolic_sim.programs.tflite_models import random_model

from .conftest import NAMES, inputs, mlperf_tiny

PRESETS = ("tpu_4x4", "tpu_8x8", "tpu_12x20", "tpu_16x16")
MATCHES = (Match.LITERT, Match.REFERENCE)


def check(graph, config, match, count, seed=0):
    compiled = compile_graph(graph, config, match=match)
    for program in compiled.image.programs:
        assert check_program(config, isa.encode(program.operations)) == []
    for step in compiled.steps:
        if isinstance(step, TpuStep):
            assert len(step.layers) == compiled.image.programs[step.program].length
    for x in inputs(graph, count, seed):
        expected = evaluate(graph, {graph.inputs[0]: x}, match=match)[graph.outputs[0]]
        np.testing.assert_array_equal(run_compiled(compiled, x), expected)
    return compiled


@pytest.mark.parametrize("first", range(0, 64, 8))
def test_random_models(first):
    for seed in range(first, first + 8):
        graph = read_model(random_model(np.random.default_rng(seed)))
        check(graph, tpu_preset(PRESETS[seed % 4]), MATCHES[seed // 4 % 2], 2, seed)


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("preset", PRESETS[1:])
@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_mlperf_tiny(name, match, preset):
    check(read_model(mlperf_tiny(name)), tpu_preset(preset), match, 2)


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("kilobytes", [48, 24, 14])
def test_maps_larger_than_the_buffer(kilobytes):
    """They pass through it in bands: exact, and no byte much more often than it must."""
    graph = read_model(mlperf_tiny("pretrainedResnet_quant"))
    check(graph, dataclasses.replace(tpu_preset("tpu_16x16"), buffer_size=kilobytes * 1024), Match.LITERT, 1)


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("name, most", [("pretrainedResnet_quant", 61_000), ("kws_ref_model", 32_000),
                                        ("ad01_int8", 39_500)])
def test_cycles(name, most):
    config = tpu_preset("tpu_16x16")
    compiled = compile_graph(read_model(mlperf_tiny(name)), config)
    assert sum(predict(config, list(program.operations), latency=20).cycles
               for program in compiled.image.programs) <= most
