"""A row per layer: shape, work, cycles, and what bounds it."""

import dataclasses

from systolic.compiler.compiled import CompiledModel, TpuStep
from systolic_sim.cycles.tpu import predict

__all__ = ["Layer", "profile", "total"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer, or the sum of all.

    Parameters
    ----------
    name, kind : str
    shape : str
        Of its output.
    macs, cycles : int
        Multiply-accumulates that count; cycles until its last instruction has retired, since all before it had.
    bytes : int
        Read and written in memory.
    active, weights, other : int
        Of the cycles: a row enters the array; a tile is missing or shifts in; all else.
    utilisation : float
        MACs per cell and cycle.
    bound : str
        ``array``, ``weights``, ``memory`` or ``activation unit``: what most of the cycles wait for; empty if there are
        none, since the layer runs beside others.
    """

    name: str
    kind: str
    shape: str
    macs: int
    cycles: int
    bytes: int
    active: int
    weights: int
    other: int
    utilisation: float
    bound: str


def profile(compiled: CompiledModel, *, latency: int = 20) -> list[Layer]:
    """Layers in the order of the graph, those of the host apart.

    Parameters
    ----------
    compiled : CompiledModel
    latency : int
        Of memory, in cycles.
    """
    counts: dict[str, dict[str, int]] = {}
    for step in compiled.steps:
        if not isinstance(step, TpuStep):
            continue
        operations = list(compiled.image.programs[step.program].operations)
        timings = predict(compiled.config, operations, latency=latency).timings
        for name, timing in zip(step.layers, timings, strict=True):
            layer = counts.setdefault(name, {})
            for counter, count in timing.counters.items():
                layer[counter] = layer.get(counter, 0) + count
    nodes = [node for node in compiled.graph if node.name in counts]
    rest = {name: each for name, each in counts.items() if name not in {node.name for node in nodes}}
    layers = [_layer(compiled, node.name, node.kind, " x ".join(
        map(str, compiled.graph.results(node)[0].shape if node.outputs else ())), counts[node.name]) for node in nodes]
    return layers + [_layer(compiled, name or "inputs and end", "", "", each) for name, each in rest.items()]


def _layer(compiled: CompiledModel, name: str, kind: str, shape: str, counts: dict[str, int]) -> Layer:
    arch = compiled.config.matrix.arch
    cycles, active = counts.get("cycles", 0), counts.get("active", 0)
    weights = counts.get("weight_stall", 0) + counts.get("weight_shift", 0)
    moved = counts.get("bytes_read", 0) + counts.get("bytes_written", 0)
    macs = counts.get("useful_macs", 0)
    other = cycles - active - weights
    return Layer(name=name, kind=kind, shape=shape, macs=macs, cycles=cycles, bytes=moved, active=active,
                 weights=weights, other=other, utilisation=macs / (arch.rows * arch.cols * cycles) if cycles else 0.0,
                 bound=_bound(active, weights, other, moved / compiled.config.bus_bytes,
                              counts.get("busy_activation", 0)))


def _bound(active: int, weights: int, other: int, beats: float, activation: int) -> str:
    if not active + weights + other:
        return ""
    if active >= max(weights, other):
        return "array"
    if weights >= other:
        return "weights"
    return "activation unit" if activation >= beats else "memory"


def total(layers: list[Layer], cells: int) -> Layer:
    """The sum of all layers."""
    sums = {name: sum(getattr(layer, name) for layer in layers)
            for name in ("macs", "cycles", "bytes", "active", "weights", "other")}
    bounds = {bound: sum(layer.cycles for layer in layers if layer.bound == bound)
              for bound in ("array", "weights", "memory", "activation unit")}
    return Layer(name="total", kind="", shape="", **sums, utilisation=sums["macs"] / (cells * max(sums["cycles"], 1)),
                 bound=max(bounds, key=lambda bound: bounds[bound]))
