"""``systolic fpga-table``: post-route figures of the structures here, beside those of others in the same flow."""

import dataclasses
from pathlib import Path

from systolic.config import Arch, Config, Impl, preset

__all__ = ["ENTRIES", "Entry", "add"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the table.

    Parameters
    ----------
    title : str
    config : Config
    part : str
        ``"array"`` or ``"matrix_unit"``.
    goal : str
        What it is to reach.
    device : str
    freq : float
        Frequency to aim at, in MHz.
    """

    title: str
    config: Config
    part: str
    goal: str
    device: str = "ecp5-85f"
    freq: float = 250.0


_LUT_8X8 = Config(name="int8_8x8", arch=Arch(rows=8, cols=8), impl=Impl(multiplier="ecp5_lut", product_stages=2))

ENTRIES = (
    Entry(title="8x8 int8 array on DSPs", config=preset("ecp5_8x8"), part="array", goal="190 MHz, 24 LUT a MAC"),
    Entry(title="8x8 int8 array in LUTs", config=_LUT_8X8, part="array", goal="160 MHz, 100 LUT a MAC"),
    Entry(title="whole 4x4 int8 matrix unit on the UP5K", config=preset("up5k_4x4"), part="matrix_unit", goal="48 MHz",
          device="ice40-up5k", freq=60.0),
    Entry(title="whole 8x8 int8 matrix unit", config=preset("ecp5_8x8"), part="matrix_unit", goal="150 MHz"),
)

# Seconds after which a placement that does not route is given up; the others take one or two minutes.
_PATIENCE = 300

# The array alone, 8x8 int8 on 64 MULT18X18D, in this flow and harness; one to three seeds.
_OTHERS = (
    ("axis-systolic-array", "6257", "6546", "93"), ("tiny-tpu (cameronshinn)", "1024", "2639", "82"),
    ("systars (Amaranth)", "9074", "7432", "72"), ("Gemmini mesh, weight stationary", "2400", "4224", "71"),
    ("OpenTPU (PyRTL)", "2423", "3385", "63"), ("plain Amaranth grid, 32-bit psum", "2448", "3174", "63"),
)


def add(subparsers):
    """Add the parser of ``systolic fpga-table``."""
    parser = subparsers.add_parser("fpga-table", help="place and route the table of docs/fpga.md",
                                   description="Place and route every entry of the table, five seeds each. Finished "
                                               "seeds are kept: an interrupted run goes on where it was.")
    parser.add_argument("--out", default="docs/fpga.md", help="Markdown file to write (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="placements at a time (%(default)s)")
    parser.set_defaults(run=_run)


def _run(args):
    from . import flow, report  # only here: Amaranth takes a while to import
    from .devices import device
    from .parts import PARTS

    figures = []
    for entry in ENTRIES:
        print(f"{entry.title}:")
        part = PARTS[entry.part](entry.config)
        build = flow.build(part, device(entry.device), freq=entry.freq, seeds=5, jobs=args.jobs, timeout=_PATIENCE)
        figures.append(report.summary(build))
    Path(args.out).write_text(_page(figures))
    print(args.out)
    return 0


def _page(figures):
    tools = " and ".join(sorted({text for figure in figures for text in figure["tools"].values()}))
    lines = [
        "# FPGA", "",
        "Post-route figures, written by `make bench-fpga` with open tools from the package index alone: "
        f"{tools}. Out of context: pins are few, so a shift register feeds the design and a parity tree reads it, both "
        "registered and both left out of the counts. LUT = LUT4 + 2 x CCU2C + 6 x TRELLIS_DPR16X4. Five seeds each, "
        f"those routed within {_PATIENCE} s counted; GOPS = 2 x MACs x MHz at the median, never above a data sheet's "
        "limit. ECP5-85F speed grade 6 unless said otherwise.", "",
        "| | LUT | a MAC | FF | DSP | block RAM | MHz min / median / max | goal | GOPS |",
        "|" + "---|" * 9, *(_row(entry, figure) for entry, figure in zip(ENTRIES, figures, strict=True)), "",
        "Where the median seed is slowest:", "",
        *(_critical(entry, figure) for entry, figure in zip(ENTRIES, figures, strict=True)), "",
        "## Others in the same flow", "",
        "The 8x8 int8 array alone, on 64 MULT18X18D, measured with the same tools and harness. Psum widths "
        "differ, from 16 to 32 bits.", "",
        "| | LUT | FF | MHz |", "|---|---|---|---|",
        *(f"| {' | '.join(row)} |" for row in _OTHERS),
    ]
    return "\n".join(lines) + "\n\n" + _STRUCTURES


def _row(entry, figure):
    fmax, used = figure["fmax_mhz"], {name: count["used"] for name, count in figure["resources"].items()}
    routed = sum("error" not in seed for seed in figure["seeds"])
    seeds = "" if routed == len(figure["seeds"]) else f" ({routed} of {len(figure['seeds'])} routed)"
    cells = [entry.title, used["LUT"], figure["luts_per_mac"], used["FF"], used["DSP"], used.get("BRAM", 0),
             f"{fmax['min']} / **{fmax['median']}** / {fmax['max']}{seeds}", entry.goal, figure["gops"]]
    return f"| {' | '.join(map(str, cells))} |"


def _critical(entry, figure):
    path = figure["critical_path"]
    return (f"* {entry.title}: `{path['start']}` to `{path['end']}`, {path['delay']} ns, "
            f"{path['routing']} of them routing")


_STRUCTURES = """\
## Structures

* **`ecp5_dsp`**: a MULT18X18D instantiated with its input and output registers. The active weight is its input
  register B, whose clock enable is the switch: no fabric register holds it. A second register catches the product
  in the fabric before the adder, for the hop out of a DSP block costs 2 to 3 ns of routing. What is left of a cell
  is the psum adder.
* **`ecp5_lut`**: carry chains that add two partial products a LUT. A CCU2C half propagates (A & B) ^ (C & D) and
  generates A & B, so a x w[0] + 2 a x w[1] is one chain of ten bits; 72 LUT make an 8 x 8 multiplier where
  synthesis of a product takes 288. Registers sit behind the four chains and at the product.
* **`ice40_dsp`**: an SB_MAC16 as two 8 x 8 multipliers, for two neighbouring columns, registered at its inputs and
  behind its multipliers: place and route does not time it otherwise.
* **`ecp5_block`**: accumulators in DP16KD blocks with their output registers, which halve the time from clock to
  data; behind them a register whose reset, not a multiplexer, gates the entry that is not to be added.
* **`lut_rows`**: rows at the foot of the array made of LUTs under rows made of DSPs, to fill a device. Timing and
  results are the same.

Every one of them equals the behavioural multiplier for all 65,536 pairs of factors, on models of the primitives
([test_primitives.py](../tests/systolic_sim/test_primitives.py)).
"""
