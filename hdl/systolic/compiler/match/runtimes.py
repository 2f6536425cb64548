"""The runtimes there are, and how one of their operators rounds."""

import dataclasses
import enum

from ..quantise import Requantisation

__all__ = ["Match", "Rounded"]


class Match(enum.StrEnum):
    """A runtime whose every output byte is met."""

    LITERT = "litert"            #: LiteRT as it comes: with XNNPACK
    REFERENCE = "reference"      #: LiteRT's reference kernels
    MICRO = "micro"              #: tflite-micro
    ONNXRUNTIME = "onnxruntime"  #: ONNX Runtime on a CPU


@dataclasses.dataclass(frozen=True, eq=False)
class Rounded:
    """What becomes of sums.

    Parameters
    ----------
    rounding : str
        ``single``, ``double`` or ``fp32``: what ``set_configuration`` is set to; or ``eights``, which the TPU does not
        have.
    scale : Requantisation
        With the inputs' zero points in its biases. For ``fp32``, its multiplier is the scale itself.
    """

    rounding: str
    scale: Requantisation
