"""A claim and the figures that bear it out, as a table for the terminal and for a page of docs/."""

import dataclasses

import rich.table

__all__ = ["Table"]


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

    def plain(self):
        """What ``--json`` writes: a row by its columns."""
        rows = [dict(zip(self.columns, (cell.strip("*") for cell in row), strict=True)) for row in self.rows]
        return {"title": self.title, "claim": self.claim, "holds": self.holds, "rows": rows}

    def rich(self):
        verdict = "holds" if self.holds else "DOES NOT HOLD"
        table = rich.table.Table(title=self.title, caption=f"{verdict}: {self.claim}")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*(cell.strip("*") for cell in row))
        return table
