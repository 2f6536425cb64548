"""Models, and inputs for them."""

import pathlib

import numpy as np

#: Those of MLPerf Tiny.
NAMES = ("ad01_int8", "kws_ref_model", "pretrainedResnet_quant")


def mlperf_tiny(name):
    """Path of a model; for tests that need ``mlperf_tiny``."""
    folders = (each / "shared" / "models" for each in pathlib.Path(__file__).resolve().parents)
    return next(each for each in folders if each.exists()) / f"{name}.tflite"


def inputs(graph, count, seed=0):
    """Random inputs of a graph that has one, of int8."""
    rng, value = np.random.default_rng(seed), graph.values[graph.inputs[0]]
    return [rng.integers(-128, 128, value.shape).astype(np.int8) for _ in range(count)]
