"""``systolic boards --design tpu``: every board's TPU built, and a network run at its pins."""

import dataclasses

import numpy as np

from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.runtime.model import load
from systolic_sim.demo import mnist, zoo
from systolic_sim.runtimes import runtime

__all__ = ["Played", "blocks", "play"]

_CALIBRATION = 100


@dataclasses.dataclass(frozen=True, kw_only=True)
class Played:
    """A picture through the network of the ONNX zoo, over the serial line at a board's pins, in simulation.

    Parameters
    ----------
    wrong, total : int
        Outputs that are not ONNX Runtime's, and how many there are.
    cycles : int
        Of the board's clock that the TPU took.
    """

    wrong: int
    total: int
    cycles: int


def play(target):
    """Run the network on a board's TPU: Played."""
    train, test = mnist.load()
    content, picture = zoo.quantised_model(train[:_CALIBRATION]), zoo.pictures(test[:1])
    compiled = compile_graph(read_model(content), target.config, match=Match.ONNXRUNTIME)
    model = load(compiled, on=f"board:{target.board.name}")
    found, expected = model.run(picture), runtime(content, Match.ONNXRUNTIME)(picture)
    return Played(wrong=int(np.count_nonzero(found != expected)), total=expected.size,
                  cycles=sum(outcome.counters["cycles"] for outcome in model.outcomes))


def blocks(results):
    """What the page has between its markers.

    Parameters
    ----------
    results : list of (TpuDesign, dict)
        Each with its figures: those of :func:`.report.summary`, or ``error``; with ``played``.

    Returns
    -------
    dict of str to str
    """
    return {"tpus": "\n".join(_table(results))}


def _table(results):
    yield from (
        "| board | TPU | memory, KB | baud | LUT | FF | DSP | block RAM | clock MHz | Fmax MHz min / median / max "
        "| bitstream, bytes | digit: wrong outputs | microseconds |", "|" + "---|" * 13)
    yield from (_row(*result) for result in results)


def _row(target, figures):
    board, played = target.board, figures["played"]
    head = f"| {board.title}, `{board.name}` | {target.config.name} | {target.memory_size // 1024} | {board.baud:,} |"
    ran = f" {played.wrong} of {played.total} | {played.cycles / board.clock.mhz:.0f} |"
    if "error" in figures:
        return f"{head} {figures['error']} |" + " |" * 3 + f" {board.clock.mhz:g} |" + " |" * 2 + ran
    counts = " | ".join(f"{count['used']} of {count['available']}" for count in figures["resources"].values())
    fmax = figures["fmax_mhz"]
    return (f"{head} {counts} | {board.clock.mhz:g} | {fmax['min']} / {fmax['median']} / {fmax['max']} | "
            f"{figures['bitstream_bytes']:,} |{ran}")
