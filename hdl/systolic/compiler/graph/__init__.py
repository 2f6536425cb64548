"""A trained model as the compiler sees it: values, and nodes that make values of values.

::

    model.tflite, model.onnx ──▶ frontends ──▶ Graph ──▶ passes ──▶ lowering ──▶ CompiledModel ──▶ runtime

Feature maps are NHWC; a front end whose models are not turns them. Numpy only, without Amaranth.
"""

from . import operators
from .model import Graph, Node, Quantisation, Value

__all__ = ["Graph", "Node", "Quantisation", "Value", "operators"]
