"""ONNX models, quantised as ONNX Runtime's tools write them: with QuantizeLinear and DequantizeLinear around every
operator (QDQ), or with operators on integers (QLinearConv, QLinearMatMul, ...).

::

    bytes ──▶ source: nodes, constants ──▶ translate: a handler per operator ──▶ draft ──▶ Graph

A tensor of ONNX lies in the graph in whatever order of axes its maker left it; :meth:`.draft.Draft.arranged` turns it
where an operator needs another, so that a transposition costs nothing until then.
"""

from .translate import read_onnx

__all__ = ["read_onnx"]
