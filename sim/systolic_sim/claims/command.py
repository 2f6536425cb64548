"""``systolic report``: measures the claims about matrix unit or TPU, prints the tables and writes a page of docs/."""

import dataclasses
from pathlib import Path

import rich.console
import rich.progress
import rich.table

from systolic.config import ConfigError

__all__ = ["Table", "add"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Table:
    """A claim and the figures that bear it out.

    Parameters
    ----------
    title, claim : str
    columns : tuple of str
    rows : list of tuple of str
    holds : bool
        Whether the figures bear out the claim.
    """

    title: str
    claim: str
    columns: tuple
    rows: list
    holds: bool

    def markdown(self):
        lines = [f"## {self.title}", "", f"Claim: {self.claim}. **{'Holds' if self.holds else 'Does not hold'}.**", ""]
        lines += [f"| {' | '.join(self.columns)} |", "|---" * len(self.columns) + "|"]
        return "\n".join(lines + [f"| {' | '.join(row)} |" for row in self.rows]) + "\n"

    def rich(self):
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        table = rich.table.Table(title=self.title, caption=f"{verdict}: {self.claim}")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(cell.strip("*") for cell in row))
        return table


def add(subparsers):
    parser = subparsers.add_parser("report", help="measure every claim and print the tables",
                                   description="Measure the claims about the matrix unit, or with --tpu about the "
                                   "whole TPU, on the generated Verilog.")
    parser.add_argument("claims", nargs="*", metavar="claim", help="which ones (all)")
    parser.add_argument("--tpu", action="store_true", help="those about the TPU")
    parser.add_argument("--out", help="Markdown file to write the tables to")
    parser.set_defaults(run=_report)


def _report(args):
    from systolic_sim.claims import matrix_unit as claims  # only here: imports all there is
    from systolic_sim.claims import tpu as tpu_claims

    known = tpu_claims.CLAIMS if args.tpu else claims.CLAIMS
    for name in args.claims:
        if name not in known:
            raise ConfigError(f"claim must be one of {', '.join(known)}, not {name!r}")
    console = rich.console.Console()
    tables = []
    for name in args.claims or known:
        with rich.progress.Progress(console=console, transient=True) as progress:
            tables.append(known[name](lambda items, label, bar=progress: bar.track(list(items), description=label)))
        console.print(tables[-1].rich())
    if args.out:
        title, command = ("TPU: results", "make bench-tpu") if args.tpu else ("Results", "make bench")
        head = f"# {title}\n\nMeasured by `{command}`, which writes this page, on the generated Verilog.\n"
        Path(args.out).write_text("\n".join([head, *(table.markdown() for table in tables)]))
    return 0 if all(table.holds for table in tables) else 1
