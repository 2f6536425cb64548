"""Models and the runtimes that they are compared with."""

import contextlib
import os
import pathlib

import numpy as np
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from systolic.compiler.match import Match

#: Those of MLPerf Tiny.
NAMES = ("ad01_int8", "kws_ref_model", "pretrainedResnet_quant")


def mlperf_tiny(name):
    """Path of a model; for tests that need ``mlperf_tiny``."""
    folders = (each / "shared" / "models" for each in pathlib.Path(__file__).resolve().parents)
    return next(each for each in folders if each.exists()) / f"{name}.tflite"


class LiteRt:
    """A model on LiteRT: by default, or with its reference kernels."""

    def __init__(self, content, match):
        options = {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF} if match is Match.REFERENCE else {}
        with open(os.devnull, "w") as null, contextlib.redirect_stderr(null):
            self._interpreter = Interpreter(model_content=content, num_threads=1, **options)
            self._interpreter.allocate_tensors()

    def run(self, x):
        """The first output for the first input."""
        self._interpreter.set_tensor(self._interpreter.get_input_details()[0]["index"], x)
        self._interpreter.invoke()
        return self._interpreter.get_tensor(self._interpreter.get_output_details()[0]["index"])


def inputs(graph, count, seed=0):
    """Random inputs of a graph that has one, of int8."""
    rng, value = np.random.default_rng(seed), graph.values[graph.inputs[0]]
    return [rng.integers(-128, 128, value.shape).astype(np.int8) for _ in range(count)]
