"""A real network on a board in simulation, at its pins."""

import dataclasses

import numpy as np

from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.runtime import load
from systolic_sim.demo import mnist, zoo
from systolic_sim.runtimes import runtime

from .design import TpuDesign

__all__ = ["Played", "play"]

# Pictures that the quantisation of the network is calibrated with.
_CALIBRATION = 200


@dataclasses.dataclass(frozen=True, kw_only=True)
class Played:
    """How a handwritten digit went through the convolutional network of the ONNX zoo.

    Parameters
    ----------
    wrong, total : int
        Outputs that are not ONNX Runtime's, and how many there are.
    digit : int
        What it was taken for.
    cycles : int
        Of the board's clock that the TPU took, without the serial line's.
    """

    wrong: int
    total: int
    digit: int
    cycles: int


def play(target: TpuDesign) -> Played:
    """Run it on the TPU of a board, weights and picture over the serial line."""
    train, test = mnist.load()
    content, picture = zoo.quantised_model(train[:_CALIBRATION]), zoo.pictures(test[:1])
    compiled = compile_graph(read_model(content), target.config, match=Match.ONNXRUNTIME)
    model = load(compiled, on=f"board:{target.board.name}")
    found, expected = model.run(picture), runtime(content, Match.ONNXRUNTIME)(picture)
    return Played(wrong=int(np.count_nonzero(found != expected)), total=expected.size, digit=int(found.argmax()),
                  cycles=sum(outcome.counters["cycles"] for outcome in model.outcomes))
