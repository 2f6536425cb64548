"""Runtimes of trained models, for comparison: a model in, an input in, the first output's bytes out.

A runtime that is not installed is left out.
"""

import contextlib
import importlib.util
import os
from collections.abc import Callable

from systolic.compiler.match import Match

__all__ = ["installed", "runtime"]


@contextlib.contextmanager
def _quiet():
    """Without what runtimes write to the standard error of the process."""
    null, kept = os.open(os.devnull, os.O_WRONLY), os.dup(2)
    os.dup2(null, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _litert(content, match):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    options = {"experimental_op_resolver_type": OpResolverType.BUILTIN_REF} if match is Match.REFERENCE else {}
    with _quiet():
        interpreter = Interpreter(model_content=content, num_threads=1, **options)
        interpreter.allocate_tensors()

    def run(x):
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
        with _quiet():
            interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return run


def _micro(content, match):
    from tflite_micro.python.tflite_micro import runtime as micro

    with _quiet():
        interpreter = micro.Interpreter.from_bytes(content, arena_size=1 << 24)

    def run(x):
        interpreter.set_input(x, 0)
        with _quiet():
            interpreter.invoke()
        return interpreter.get_output(0)
    return run


def _onnx(content, match):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    # On x86 without VNNI its sums of two products would saturate at 16 bits.
    options.add_session_config_entry("session.x64quantprecision", "1")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x})[0]


_PACKAGES = {Match.LITERT: ("ai_edge_litert", _litert), Match.REFERENCE: ("ai_edge_litert", _litert),
             Match.MICRO: ("tflite_micro", _micro), Match.ONNXRUNTIME: ("onnxruntime", _onnx)}


def installed() -> list[Match]:
    """Those that are."""
    return [match for match, (package, _) in _PACKAGES.items() if importlib.util.find_spec(package)]


def runtime(content: bytes, match: Match) -> Callable:
    """A function from the first input to the first output.

    Parameters
    ----------
    content : bytes
        Of a TFLite file, or for ``onnxruntime`` of an ONNX file.
    match : Match
    """
    return _PACKAGES[match][1](content, match)
