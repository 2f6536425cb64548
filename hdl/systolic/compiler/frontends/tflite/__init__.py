"""TFLite (LiteRT) models, quantised to int8.

::

    bytes ──▶ source: tensors, operators ──▶ translate: a handler per operator ──▶ Graph
"""

from .translate import read_tflite

__all__ = ["read_tflite"]
