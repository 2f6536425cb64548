"""``systolic report``: measures the claims about matrix unit, TPU or models, prints the tables and writes a page of
docs/."""

from pathlib import Path

import rich.console
import rich.progress

from systolic.commands.options import add_json_argument
from systolic.errors import require_one_of
from systolic_sim.progress import shown_on

__all__ = ["add"]


def add(subparsers):
    parser = subparsers.add_parser("report", help="measure every claim and print the tables",
                                   description="Measure the claims about the matrix unit, with --tpu those about the "
                                   "TPU, with --models those about trained models, with --trust those about long "
                                   "runs, resets and upsets. The exit code is 1 if one does not hold.")
    parser.add_argument("claims", nargs="*", metavar="claim", help="claims to measure (all)")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--tpu", action="store_true", help="measure the claims about the TPU")
    which.add_argument("--models", action="store_true", help="measure the claims about trained models")
    which.add_argument("--trust", action="store_true", help="measure the claims about long runs, resets and upsets")
    parser.add_argument("--out", help="Markdown file to write the tables to (none)")
    add_json_argument(parser)
    parser.set_defaults(run=_report)


def _report(args):
    from . import matrix_unit, models, tpu, trust  # only here: they import all there is

    known = (tpu if args.tpu else models if args.models else trust if args.trust else matrix_unit).CLAIMS
    for name in args.claims:
        require_one_of("claim", known, name)
    console = rich.console.Console()
    tables = []
    for name in args.claims or known:
        with rich.progress.Progress(console=console, transient=True, disable=not shown_on(console)) as progress:
            tables.append(known[name](_bar(progress)))
        console.print(tables[-1].rich())
    args.figures = [table.plain() for table in tables]
    if args.out:
        title, command, on = (
            ("TPU results", "make bench-tpu", "on the generated Verilog") if args.tpu else
            ("Model results", "make bench-models", "against the runtimes' own bytes") if args.models else
            ("Trust results", "make bench-trust", "on the generated Verilog") if args.trust else
            ("Results", "make bench", "on the generated Verilog"))
        head = f"# {title}\n\nMeasured {on} by `{command}`, which writes this page.\n"
        Path(args.out).write_text("\n".join([head, *(table.markdown() for table in tables)]))
    return 0 if all(table.holds for table in tables) else 1


def _bar(progress):
    """What claims call: items, one after the other, with a bar; their number, if only that of a list is known."""
    def track(items, label, total=None):
        return progress.track(list(items) if total is None else items, total=total, description=label)
    return track
