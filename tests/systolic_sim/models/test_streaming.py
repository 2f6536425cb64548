"""Models whose states live from step to step: every byte of the runtime, step after step."""

import numpy as np
import pytest

from systolic import runtime as systolic_runtime
from systolic.compiler.evaluate import evaluate
from systolic.compiler.frontends import read_model
from systolic.compiler.match import Match
from systolic_sim.programs.networks import network
from systolic_sim.programs.wake_words import NAMES, features, wake_word
from systolic_sim.runtimes import runtime


@pytest.mark.needs("wake_words")
@pytest.mark.parametrize("match", [Match.LITERT, Match.REFERENCE, Match.MICRO])
@pytest.mark.parametrize("name", NAMES)
def test_wake_words(name, match):
    content = wake_word(name)
    graph, run, state = read_model(content), runtime(content, match), {}
    codes = set()
    for x in features(40):
        expected = run(x)
        np.testing.assert_array_equal(
            evaluate(graph, {graph.inputs[0]: x}, match=match, state=state)[graph.outputs[0]], expected)
        codes |= {*expected.reshape(-1).tolist()}
    assert len(codes) > 10  # they go somewhere


@pytest.mark.needs("wake_words")
@pytest.mark.parametrize("name", NAMES)
def test_wake_words_compiled(name):
    """States lie in memory between the steps; after a reset they are the first ones again."""
    graph = read_model(wake_word(name))
    model = systolic_runtime.load(graph, tpu="tpu_8x8", on="emulator")
    for _ in range(2):
        state = {}
        for x in features(12):
            np.testing.assert_array_equal(model.run(x), evaluate(graph, {graph.inputs[0]: x}, state=state)[
                graph.outputs[0]])
        model.reset()


@pytest.mark.parametrize("on", ["emulator", "rtl"])
def test_our_own(on):
    content = network("streaming")
    model, run = systolic_runtime.load(read_model(content), tpu="tpu_4x4", on=on), runtime(content, Match.LITERT)
    rng = np.random.default_rng(0)
    for _ in range(12):
        x = rng.integers(-128, 128, (1, 1, 1, 16)).astype(np.int8)
        np.testing.assert_array_equal(model.run(x), run(x))
