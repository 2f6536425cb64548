"""A graph cut where the host has to do something."""

import dataclasses

from ..graph import Graph, Node

__all__ = ["Segment", "segment", "segments"]


@dataclasses.dataclass(frozen=True)
class Segment:
    """Nodes in a row that run in one place.

    Parameters
    ----------
    nodes : tuple of Node
    reason : str
        Why on the host; empty on the TPU.
    inputs, outputs : tuple of str
        Values, constants apart, that come from outside, and that are needed there.
    """

    nodes: tuple[Node, ...]
    reason: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def segments(graph: Graph, host: dict[str, str]) -> list[Segment]:
    """Segments in order; one for each node of the host."""
    groups: list[list[Node]] = []
    for node in graph:
        if groups and node.name not in host and groups[-1][0].name not in host:
            groups[-1].append(node)
        else:
            groups.append([node])
    return [segment(graph, group, host.get(group[0].name, "")) for group in groups]


def segment(graph: Graph, nodes: list[Node], reason: str = "") -> Segment:
    """Of these nodes, with what they take from elsewhere and what is needed there."""
    made = {name for node in nodes for name in node.outputs}
    here = {node.name for node in nodes}
    read = dict.fromkeys(name for node in nodes for name in node.inputs)
    inputs = tuple(name for name in read if name not in made and graph.values[name].constant is None)
    wanted = {name for node in graph if node.name not in here for name in node.inputs} | set(graph.outputs)
    return Segment(tuple(nodes), reason, inputs, tuple(name for node in nodes for name in node.outputs
                                                       if name in wanted))
