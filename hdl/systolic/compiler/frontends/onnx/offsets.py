"""Which codes ONNX Runtime computes with: a model's int8 it makes uint8 wherever it can, and that shows where its
kernels add a zero point to floats before they round.

It can where QuantizeLinear is followed by one DequantizeLinear with one reader; two readers have one each.
"""

from collections import Counter

import numpy as np

from .source import OnnxNode, Source

__all__ = ["offsets"]


def offsets(source: Source) -> dict[str, int]:
    """By name of what QuantizeLinear and DequantizeLinear make: 128 if its codes are uint8 to ONNX Runtime, 0 if
    int8."""
    readers = Counter([name for node in source.nodes for name in node.inputs] + list(source.outputs))
    behind: dict[str, list[OnnxNode]] = {}
    for node in source.nodes:
        if node.operator == "DequantizeLinear":
            behind.setdefault(node.input(0), []).append(node)
    found: dict[str, int] = {}
    for node in source.nodes:
        if node.operator == "QuantizeLinear" and node.outputs:
            after = behind.get(node.outputs[0], [])
            alone = readers[node.outputs[0]] == len(after) and sum(readers[each.outputs[0]] for each in after) == 1
            found[node.outputs[0]] = 128 * (_unsigned(source, node) or alone)
        elif node.operator == "DequantizeLinear" and node.outputs:
            found[node.outputs[0]] = found.get(node.input(0), 128 * _unsigned(source, node))
    return found


def _unsigned(source: Source, node: OnnxNode) -> bool:
    zero = source.constants.get(node.input(2))
    return zero is None or zero.dtype == np.uint8
