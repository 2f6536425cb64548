"""Graphs in numpy against LiteRT, byte by byte: its default kernels, those of reference, and those of
tflite-micro."""

import numpy as np
import pytest

from systolic.compiler import CompileError
from systolic.compiler.evaluate import evaluate
from systolic.compiler.frontends import read_model
from systolic.compiler.match import Match
from systolic_sim.programs.networks import NETWORKS, network
from systolic_sim.programs.rearrangements import REARRANGEMENTS, rearrangement
from systolic_sim.programs.single_operators import OPERATORS, one
from systolic_sim.programs.tflite_models import random_model
from systolic_sim.runtimes import runtime

from .conftest import NAMES, inputs, mlperf_tiny

MATCHES = (Match.LITERT, Match.REFERENCE, Match.MICRO)


def compare(content, match, count, seed=0):
    graph, run, state = read_model(content), runtime(content, match), {}
    for x in inputs(graph, count, seed):
        found = evaluate(graph, {graph.inputs[0]: x}, match=match, state=state)[graph.outputs[0]]
        np.testing.assert_array_equal(found, run(x))


@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("first", range(0, 120, 20))
def test_random_models(first, match):
    for seed in range(first, first + 20):
        compare(random_model(np.random.default_rng(seed)), match, 2, seed)


@pytest.mark.needs("mlperf_tiny")
@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("name", NAMES)
def test_mlperf_tiny(name, match):
    compare(mlperf_tiny(name).read_bytes(), match, 200)


@pytest.mark.parametrize("match", MATCHES)
@pytest.mark.parametrize("name", NETWORKS)
def test_networks(name, match):
    compare(network(name), match, 2)


#: What a runtime does not have.
ABSENT = {*((name, Match.MICRO) for name in ("RELU_N1_TO_1", "RELU_0_TO_1", "NEG", "EXP")), ("ELU", Match.REFERENCE)}


@pytest.mark.parametrize("name, match", [(name, match) for name in OPERATORS for match in MATCHES
                                         if (name, match) not in ABSENT])
def test_operators(name, match):
    """Every code, of scales at random."""
    for seed in range(10):
        compare(one(name, seed), match, 2, seed)


#: What tflite-micro has no kernel for; its blocks of pixels are not those of LiteRT.
NOT_MICRO = {"slice, ellipsis", "slice, new axis", "tile", "sqrt", "log", "dilation by blocks"}


@pytest.mark.parametrize("name, match", [(name, match) for name in REARRANGEMENTS for match in MATCHES
                                         if (name, match) not in {(each, Match.MICRO) for each in NOT_MICRO}])
def test_rearrangements(name, match):
    for seed in range(4):
        compare(rearrangement(name, seed), match, 2, seed)


def test_damaged_files_are_refused_or_read():
    """Cut off anywhere, or with other bytes: a graph, or an error of one line."""
    rng, refused = np.random.default_rng(0), 0
    content = random_model(np.random.default_rng(3))
    for number in range(1500):
        damaged = bytearray(content[:rng.integers(8, len(content))] if number % 3 == 0 else content)
        for _ in range(0 if number % 3 == 0 else rng.integers(1, 12)):
            damaged[rng.integers(8, len(damaged))] = rng.integers(256)
        try:
            read_model(bytes(damaged))
        except CompileError as error:
            refused += 1
            assert "\n" not in str(error)
    assert refused > 300


def test_what_is_no_model_is_refused(tmp_path):
    for name, content in (("x.tflite", b"\0\0\0\0ONNX"), ("x.onnx", b"garbage"), ("x.tflite", b"")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(CompileError):
            read_model(path)
    with pytest.raises(CompileError, match="No such file"):
        read_model(tmp_path / "absent.tflite")
