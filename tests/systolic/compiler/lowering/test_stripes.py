"""What the compiler takes a product to cost, against the cycle model; and where layers are cut."""

import pytest

from systolic.compiler.compiled import TpuStep
from systolic.compiler.lowering import compile_graph
from systolic.compiler.lowering.stripes import cost, first_rows
from systolic.tpu_config import tpu_preset
from systolic_sim.check.accesses import sums_in_x
from systolic_sim.cycles.tpu import predict

from .graphs import Draft

NONE = ((0, 0), (0, 0))
LAYERS = {
    "3 x 3": lambda d: d.conv(d.input(1, 12, 12, 32), 32),
    "1 x 1": lambda d: d.conv(d.input(1, 14, 14, 64), 64, kernel=(1, 1), padding=NONE),
    "bus": lambda d: d.conv(d.input(1, 4, 4, 64), 128),
    "depthwise": lambda d: d.depthwise(d.input(1, 16, 12, 48)),
    "strides": lambda d: d.conv(d.input(1, 20, 20, 24), 40, strides=(2, 2)),
}


def waits(counters):
    """Cycles of a program until its last row is multiplied: without what comes before the first and behind the last."""
    return counters["active"] + counters["weight_shift"] + counters["weight_stall"]


@pytest.mark.parametrize("preset", ["tpu_8x8", "tpu_12x20", "tpu_16x16"])
@pytest.mark.parametrize("layer", LAYERS)
def test_cost_of_a_product(layer, preset):
    config, d = tpu_preset(preset), Draft()
    graph = d.graph(LAYERS[layer](d))
    (step,) = compile_graph(graph, config).steps
    assert isinstance(step, TpuStep)
    program = compile_graph(graph, config).image.programs[step.program]
    # A pixel has a sum; rows that only fill the taps have none.
    parts = [int(sums_in_x(config, op).sum()) * op.y_count for op in program if op.name == "matrix_multiply"]
    (node,) = graph
    expected = sum(cost(config, graph, node).product(pixels) for pixels in parts)
    found = waits(predict(config, list(program), latency=20).counters)
    assert expected == pytest.approx(found, rel=0.06)


def test_cuts_follow_the_next_layer():
    """A stride-2 layer's first four rows read nine of its input's."""
    d = Draft()
    x = d.conv(d.input(1, 16, 16, 16), 32)
    y = d.conv(x, 32, strides=(2, 2), padding=((0, 1), (0, 1)))
    graph = d.graph(d.conv(y, 16))
    cuts = first_rows(tpu_preset("tpu_8x8"), graph, graph)
    assert cuts[x] == 2 * cuts[y] + 1 and cuts[y] == 5


def test_no_cut_where_weights_would_fill_the_bus():
    d = Draft()
    y = d.conv(d.input(1, 8, 8, 64), 64)
    graph = d.graph(y)
    assert first_rows(tpu_preset("tpu_16x16"), graph, graph)[y] == 0
    assert first_rows(tpu_preset("tpu_8x8"), graph, graph)[y] == 4
