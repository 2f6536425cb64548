"""Which front end a file is for."""

import os
import pathlib

from ..errors import CompileError
from ..graph import Graph
from ..graph.check import check
from .onnx import read_onnx
from .tflite import read_tflite

__all__ = ["read_model"]

#: What a file of TFLite has from byte 4 on.
_TFLITE = b"TFL3"


def read_model(source: str | os.PathLike[str] | bytes) -> Graph:
    """The graph of a trained model.

    Parameters
    ----------
    source : path or bytes
        Of a .tflite or .onnx file.

    Raises
    ------
    CompileError
        If the file cannot be read, is damaged, or has what is not supported.
    """
    if isinstance(source, bytes):
        content, name = source, "model"
    else:
        path = pathlib.Path(source)
        name = path.name
        try:
            content = path.read_bytes()
        except OSError as error:
            raise CompileError(f"cannot read {path}: {error.strerror}") from error
    if content[4:8] == _TFLITE:
        graph = read_tflite(content)
    elif name.endswith(".tflite"):
        raise CompileError(f"{name} must be a TFLite file, with 'TFL3' at byte 4, not {bytes(content[4:8])!r}")
    else:
        graph = read_onnx(content)
    check(graph)
    return graph
