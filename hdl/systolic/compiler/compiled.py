"""What the compiler makes of a graph: programs for the TPU, and what the host does between them."""

import dataclasses
from collections.abc import Mapping

from ..tpu_config import TpuConfig
from .graph import Graph, Node
from .image import Image
from .match import Match

__all__ = ["CompiledModel", "HostStep", "TpuStep"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class TpuStep:
    """One program: one doorbell and one interrupt.

    Parameters
    ----------
    program : int
        Index in the image's programs.
    inputs, outputs : dict of str to str
        By name of a graph's value, the image's variable that holds it: inputs are written before, outputs read after.
    layers : tuple of str
        Per instruction, the name of the node that it belongs to; empty for none.
    """

    program: int
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    layers: tuple[str, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class HostStep:
    """A node that the host executes, and why.

    Parameters
    ----------
    node : Node
    reason : str
        As the report says it.
    """

    node: Node
    reason: str


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class CompiledModel:
    """A graph, compiled for a TPU.

    Parameters
    ----------
    graph : Graph
        Of which host steps take values and constants.
    config : TpuConfig
        The only one it runs on.
    match : Match
    image : Image
        Loaded once; states of the graph that live in memory stay from run to run.
    steps : tuple of TpuStep or HostStep
        In order.
    """

    graph: Graph
    config: TpuConfig
    match: Match
    image: Image
    steps: tuple[TpuStep | HostStep, ...]
