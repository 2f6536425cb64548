"""Whose bits a compiled model has: runtimes round differently, so the user names one.

docs/numerics.md has the three roundings of the hardware, and which of them a runtime's operators have.
"""

import enum

__all__ = ["Match"]


class Match(enum.StrEnum):
    """A runtime whose every output byte is met."""

    LITERT = "litert"            #: LiteRT as it comes: with XNNPACK
    REFERENCE = "reference"      #: LiteRT's reference kernels
    MICRO = "micro"              #: tflite-micro
    ONNXRUNTIME = "onnxruntime"  #: ONNX Runtime on a CPU
