"""From layers to programs: what lies where in memory, and the instructions that work on it.

::

    weights, scales ──▶ quantise ──▶ layers ──▶ Builder ──▶ Image ──▶ host.Driver
                                       │           │
                                    layout      spaces, regions

Numpy only, without Amaranth.
"""

from .builder import Builder
from .errors import CompileError
from .image import Image, Program, Variable
from .tensors import Tensor

__all__ = ["Builder", "CompileError", "Image", "Program", "Tensor", "Variable"]
