"""The streaming wake words of the package pymicro-wakeword: only its model files are read."""

import importlib.util
import pathlib

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = ["NAMES", "PACKAGE", "features", "wake_word"]

PACKAGE = "pymicro-wakeword==2.5.0"

NAMES = ("alexa", "hey_jarvis", "hey_mycroft", "okay_nabu")


def wake_word(name):
    """Bytes of a model whose output is what goes into its last sigmoid: a word that is not there makes that 0."""
    (package,) = importlib.util.find_spec("pymicro_wakeword").submodule_search_locations
    content = pathlib.Path(package, "models", f"{name}.tflite").read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content))
    graph = model.subgraphs[0]
    codes = [max(each.builtinCode, each.deprecatedBuiltinCode) for each in model.operatorCodes]
    (last,) = (each for each in graph.operators if codes[each.opcodeIndex] == schema.BuiltinOperator.LOGISTIC)
    graph.outputs = [last.inputs[0]]
    model.signatureDefs = []
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def features(count, seed=0):
    """Inputs one after the other: 40 bands of a spectrum at three times each, that wander."""
    rng = np.random.default_rng(seed)
    steps = np.cumsum(rng.normal(0, 25, (3 * count, 40)), axis=0) + rng.normal(0, 20, (3 * count, 40))
    return (np.abs((steps + 128) % 512 - 256) - 128).clip(-128, 127).astype(np.int8).reshape(count, 1, 3, 40)
