"""In which order nodes run, where the graph leaves a choice."""

import dataclasses

from ..graph import Graph, Node
from ..graph.operators import Add

__all__ = ["order"]


def order(graph: Graph) -> Graph:
    """Of the two maps that an Add takes, the one with fewer products is made first.

    The sum then runs stripe by stripe beside the longer product. Without the TPU's order of weights in mind, a
    converter writes a shortcut's small convolution last, and the sum has nothing to run beside.
    """
    nodes = list(graph.nodes)
    for node in graph:
        if not isinstance(node.operator, Add):
            continue
        makers = [each for each in nodes if set(each.outputs) & set(node.inputs)]
        if len(makers) != 2:
            continue
        first, last = makers
        if _work(graph, last) < _work(graph, first) and not _depends(nodes, last, first):
            nodes.remove(last)
            nodes.insert(nodes.index(first), last)
    return dataclasses.replace(graph, nodes=tuple(_sorted(graph, nodes)))


def _work(graph: Graph, node: Node) -> int:
    """Multiply-accumulates, about."""
    constants = [value.size for value in graph.operands(node) if value.constant is not None]
    return graph.results(node)[0].size * max(constants, default=1) // max(graph.results(node)[0].shape[-1], 1)


def _depends(nodes: list[Node], node: Node, on: Node) -> bool:
    """Whether a node needs, through others, what another makes."""
    makers = {name: each for each in nodes for name in each.outputs}
    seen, left = set[str](), [node]
    while left:
        here = left.pop()
        if here is on:
            return True
        for name in here.inputs:
            if name in makers and makers[name].name not in seen:
                seen.add(makers[name].name)
                left.append(makers[name])
    return False


def _sorted(graph: Graph, nodes: list[Node]) -> list[Node]:
    """In that order as far as every node comes after those that make its inputs; states are read before they are
    assigned, as in the graph."""
    known = {*graph.inputs, *(name for name, value in graph.values.items() if value.constant is not None)}
    if graph.states:
        return list(graph.nodes)
    out, left = [], nodes
    while left:
        ready = next(node for node in left if known >= set(node.inputs))
        out.append(ready)
        known |= set(ready.outputs)
        left = [node for node in left if node is not ready]
    return out
