"""``systolic prove``: proves the properties of components, and writes docs/proofs.md."""

import dataclasses
import pathlib

import rich.console

from systolic.commands.options import add_json_argument
from systolic.errors import UserError
from systolic.tpu_config import tpu_preset
from systolic_sim.claims.table import Table
from systolic_sim.progress import shown_on

__all__ = ["add", "proofs"]


def proofs():
    """All benches, the quick ones first."""
    from . import buses, lines, queues  # only here: Amaranth takes a while to import

    tpu = tpu_preset("tpu_4x4")
    return [
        queues.credits(3), queues.credits(16, 4), queues.credits(16, 4, late=True),
        queues.queue(2, 1), queues.queue(2, 2), queues.queue(5, 1), queues.queue(5, 2), queues.queue(8, 2),
        buses.control(tpu), buses.switch(), lines.serial(4), lines.serial(7),
        buses.read_dma(dataclasses.replace(tpu, reads_in_flight=3)), queues.queue(16, 1),
    ]


def add(subparsers):
    """Add the parser of ``systolic prove``."""
    parser = subparsers.add_parser(
        "prove", help="prove properties of components",
        description="Prove properties of components for all runs of any length, by property-directed reachability, and "
        "find a run to each cover. The exit code is 1 if a property is refuted or a cover is not reached.")
    parser.add_argument("--only", metavar="TEXT", default="", help="proofs with TEXT in their names")
    parser.add_argument("--out", help="Markdown file to write the table to (none)")
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _run(args):
    from . import engine

    chosen = [bench for bench in proofs() if args.only in bench.name]
    if not chosen:
        raise UserError(f"--only must be part of a name, not {args.only!r}: {', '.join(b.name for b in proofs())}")
    console, rows, holds = rich.console.Console(), [], True
    for bench in chosen:
        with console.status(bench.name) if shown_on(console) else console:
            verdict = engine.prove(bench)
            covers = [engine.cover(bench, number) for number in range(bench.covers)]
        reached = [str(cover.depth) for cover in covers if not cover.proved]
        holds &= verdict.proved and len(reached) == len(covers)
        rows.append((bench.name, bench.claim, "proved" if verdict.proved else f"refuted in {verdict.depth} cycles",
                     str(verdict.depth), ", ".join(reached), f"{verdict.seconds:.1f}"))
        console.print(f"{bench.name}: {rows[-1][2]}, {rows[-1][5]} s")
    table = Table(
        title="Proofs", rows=rows, holds=holds,
        claim="each property holds in every cycle of every run, of any length and with any inputs that the assumptions "
              "allow; each cover is reached, so no proof is empty",
        columns=("component", "property", "verdict", "frames of the invariant", "covers reached in cycle", "seconds"))
    args.figures = table.plain()
    if args.out:
        head = ("# Proofs\n\nBy property-directed reachability, with Yosys and abc of Yosys's wheel; `make prove` "
                "writes this page.\nThe [benches](../sim/systolic_sim/formal) are short.\n")
        pathlib.Path(args.out).write_text(f"{head}\n{table.markdown()}")
    return 0 if holds else 1
