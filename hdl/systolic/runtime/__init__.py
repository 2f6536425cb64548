"""Runs a model: one call, whatever it runs on.

::

    model.tflite, model.onnx, model.tpu ──▶ load ──▶ Model.run(x)
                                              │
                          golden model, or host.Driver over a link: emulator, rtl, board:NAME, serial:PORT

A link's name comes from the entry point group ``systolic.links``: so a simulator, or a board, is one function of its
own package. Numpy only, without Amaranth.
"""

from .links import TARGETS_GROUP, open_link, targets
from .model import GoldenModel, LinkedModel, Model, load
from .program_file import ProgramFileError, read_program, write_program

__all__ = ["TARGETS_GROUP", "GoldenModel", "LinkedModel", "Model", "ProgramFileError", "load", "open_link",
           "read_program", "targets", "write_program"]
