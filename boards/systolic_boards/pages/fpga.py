"""``systolic fpga-table``: post-route figures of the structures here, beside those of others in the same flow."""

import dataclasses
from pathlib import Path

from systolic.commands.options import add_json_argument
from systolic.config import Arch, Config, Impl, preset
from systolic.errors import UserError
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim.rtl.toolchain import ToolError

from .refill import refill

__all__ = ["ENTRIES", "Entry", "Result", "add"]

_SEEDS = 5


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entry:
    """One row of the table.

    Parameters
    ----------
    title : str
    config : Config or TpuConfig
    part : str
        ``"array"`` or ``"matrix_unit"``; of a TPU, which the device then implements, ``"tpu"`` or one of its blocks.
    goal : str
        What it is to reach.
    rival : str
        The best of others in the same flow.
    device : str
    freq : float
        Frequency to aim at, in MHz.
    patience : float
        Seconds after which a seed is given up.
    picture : str
        Name of the picture to make of its floor plan, if any.
    """

    title: str
    config: Config | TpuConfig
    part: str = "array"
    goal: str
    rival: str = ""
    device: str = "ecp5-85f"
    freq: float = 250.0
    patience: float = 900
    picture: str = ""


@dataclasses.dataclass(frozen=True)
class Result:
    """What came of an entry: its figures (see :func:`.report.summary`) and floor plan, or why there are none."""

    entry: Entry
    figures: dict | None = None
    floor: str = ""
    error: str = ""


def _config(name, rows, cols, format="int8", accumulator_depth=512, **impl):
    arch = Arch(rows=rows, cols=cols, format=format, accumulator_depth=accumulator_depth)
    return Config(name=name, arch=arch, impl=Impl(**impl))


def _bf16(size):
    return _config(f"ecp5_bf16_{size}x{size}", size, size, "bf16", multiplier="ecp5_dsp", product_stages=1,
                   psum_stages=7)


def _gowin(size, rows, cols):
    return _config(f"gowin_{size}_{rows}x{cols}", rows, cols, multiplier="gowin_dsp", product_stages=3, memory_stages=2,
                   accumulator_depth=256)


_LUT_8X8 = _config("int8_8x8", 8, 8, multiplier="ecp5_lut", product_stages=2)
_HYBRID = _config("ecp5_hybrid_24x26", 24, 26, multiplier="ecp5_dsp", product_stages=3, lut_rows=18)
def _tpu(rows, cols, lanes):
    base, name = tpu_preset("tpu_8x8"), f"tpu_{rows}x{cols}"
    arch = dataclasses.replace(base.matrix.arch, rows=rows, cols=cols)
    return dataclasses.replace(base, name=name, lanes=lanes, matrix=Config(arch=arch, name=f"{name}_unit"))


_TPU = "int8 TPU, 64 KB, 64-bit bus"
_NANO = ("9k", 8, 5, "gowin-gw1nr-9c"), ("20k", 8, 12, "gowin-gw2a-18c")

ENTRIES = (
    Entry(title="8x8 int8 array on DSPs", config=preset("ecp5_8x8"), goal="190 MHz, 24 LUT per MAC",
          rival="93 MHz, 102 LUT per MAC"),
    Entry(title="8x8 int8 array in LUTs", config=_LUT_8X8, goal="160 MHz, 100 LUT per MAC",
          rival="114 MHz, 324 LUT per MAC, multipliers inferred by Yosys"),
    Entry(title="12x12 int8 array on DSPs", config=preset("ecp5_12x12"), goal="160 MHz", rival="51 MHz",
          picture="fpga_12x12.svg"),
    Entry(title="24x26 int8 array, 6 rows on DSPs and 18 in LUTs", config=_HYBRID, goal="140 GOPS, ideally 200",
          rival="29 GOPS", freq=200.0, patience=7200, picture="fpga_hybrid.svg"),
    Entry(title="4x4 bf16 array", config=_bf16(4), goal="125 MHz, 530 LUT per MAC",
          rival="134 MHz, 384 LUT, sums in bf16"),
    Entry(title="8x8 bf16 array", config=_bf16(8), goal="100 MHz, 530 LUT per MAC", patience=3600),
    Entry(title="whole 8x8 int8 matrix unit", config=preset("ecp5_8x8"), part="matrix_unit", goal="150 MHz",
          rival="69 MHz, 4x4 with DMAs"),
    Entry(title="whole 12x12 int8 matrix unit", config=preset("ecp5_12x12"), part="matrix_unit", goal="125 MHz"),
    Entry(title=f"whole 8x8 {_TPU}, 4 lanes", config=tpu_preset("tpu_8x8"), part="tpu",
          goal="110 MHz, 10,000 LUT", rival="69 MHz, 4x4 with DMAs", freq=150.0, patience=3600),
    Entry(title=f"whole 12x12 {_TPU}, 4 lanes", config=_tpu(12, 12, 4), part="tpu", goal="100 MHz", freq=150.0,
          patience=3600),
    Entry(title="whole 16x16 int8 TPU, 128 KB, 64-bit bus, 8 lanes", config=tpu_preset("tpu_16x16"), part="tpu",
          goal="90 MHz", freq=150.0, patience=7200),
    Entry(title="whole 4x4 int8 matrix unit on the UP5K", config=preset("up5k_4x4"), part="matrix_unit", goal="48 MHz",
          rival="37 MHz, 4,415 LUT, array alone", device="ice40-up5k", freq=60.0),
    *(Entry(title=f"{rows}x{cols} int8 array on DSPs, Tang Nano {name.upper()}", config=_gowin(name, rows, cols),
            goal="largest", device=device, freq=200.0) for name, rows, cols, device in _NANO),
    *(Entry(title=f"whole {rows}x{cols} int8 matrix unit, Tang Nano {name.upper()}", config=_gowin(name, rows, cols),
            part="matrix_unit", goal="largest", device=device, freq=100.0) for name, rows, cols, device in _NANO),
)

# The array alone, 8x8 int8 on 64 MULT18X18D, with the same tools and harness; one to three seeds.
_OTHERS = (
    ("axis-systolic-array", "6257", "6546", "93"), ("tiny-tpu (cameronshinn)", "1024", "2639", "82"),
    ("systars (Amaranth)", "9074", "7432", "72"), ("Gemmini mesh, weight stationary", "2400", "4224", "71"),
    ("OpenTPU (PyRTL)", "2423", "3385", "63"), ("plain Amaranth grid, 32-bit psum", "2448", "3174", "63"),
)


def add(subparsers):
    """Add the parser of ``systolic fpga-table``."""
    parser = subparsers.add_parser(
        "fpga-table", help="place and route all designs of docs/fpga.md, and update it",
        description=f"Place and route every entry of the table, {_SEEDS} seeds each, and update the page and its "
        "floor plans. Finished seeds are kept: an interrupted run resumes. If an entry cannot be built, its row gives "
        "the reason.")
    parser.add_argument("--out", default="docs/fpga.md", help="Markdown file to update (%(default)s)")
    parser.add_argument("--only", metavar="TEXT", help="entries with TEXT in their titles; the page is not updated")
    parser.add_argument("--seeds", type=int, choices=range(1, _SEEDS + 1), metavar="N",
                        default=_SEEDS, help=f"number of seeds, 1 to {_SEEDS} (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="seeds to run in parallel (%(default)s)")
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _run(args):
    entries = [entry for entry in ENTRIES if (args.only or "") in entry.title]
    if not entries:
        raise UserError(f"--only must be part of a title, not {args.only!r}")
    results = []
    for number, entry in enumerate(entries, 1):
        print(f"{number} of {len(entries)}: {entry.title}", flush=True)
        results.append(_build(entry, args.seeds, args.jobs))
        print("  " + _speed(results[-1]), flush=True)
    args.figures = [{"title": result.entry.title, **(result.figures or {"error": result.error})} for result in results]
    if args.only:
        return 0
    out = Path(args.out)
    for result in results:
        if result.floor:
            out.with_name(result.entry.picture).write_text(result.floor)
    out.write_text(refill(out.read_text(), _blocks(results)))
    print(out)
    return 0


def _build(entry, seeds, jobs):
    from ..devices import device
    from ..flow import flow, report  # only here: Amaranth takes a while to import
    from ..flow.parts import PARTS, TPU_PARTS
    from ..flow.paths import Names
    from . import picture  # only here: Amaranth takes a while to import

    try:
        target = device(entry.device)
        part = (TPU_PARTS[entry.part](target.implement(entry.config)) if isinstance(entry.config, TpuConfig) else
                PARTS[entry.part](entry.config))
        build = flow.build(part, target, freq=entry.freq, seeds=seeds, jobs=jobs, timeout=entry.patience)
    except ToolError as error:
        return Result(entry, error=str(error))
    names = Names(build.synthesis)
    floor = [(x, y, kind, names.cell(name)) for x, y, kind, name in build.typical.floor] if entry.picture else []
    return Result(entry, report.summary(build, names), picture.floor_plan(floor) if floor else "")


def _speed(result):
    """Frequencies of the seeds and what is to be said with them, or why there are none."""
    if result.error:
        return result.error
    figures = result.figures
    fmax, seeds = figures["fmax_mhz"], figures["seeds"]
    routed = sum("error" not in seed for seed in seeds)
    notes = [f"{routed} of {len(seeds)} routed"] if routed < len(seeds) else []
    if routed == len(seeds) < _SEEDS:
        notes.append(f"{routed} seed{'s' if routed > 1 else ''}")
    if figures["claimed_mhz"] < fmax["median"]:
        notes.append(f"{figures['claimed_mhz']:g} counted")
    if "not timed" in figures["note"]:
        notes.append("logic alone")
    return f"{fmax['min']} / **{fmax['median']}** / {fmax['max']}" + (f" ({', '.join(notes)})" if notes else "")


def _blocks(results):
    """What the page has between its markers."""
    built = [result for result in results if not result.error]
    tools = sorted({text for result in built for text in result.figures["tools"].values()})
    return {
        "tools": ", ".join(tools) + ".",
        "table": "\n".join([
            "| | LUT | per MAC | FF | DSP | block RAM | MHz min / median / max | goal | others | GOPS |",
            "|" + "---|" * 10, *map(_row, results)]),
        "critical": "\n".join(map(_critical, built)),
        "others": "\n".join(["| | LUT | FF | MHz |", "|---|---|---|---|",
                             *(f"| {' | '.join(row)} |" for row in _OTHERS)]),
        "plans": "\n".join(_plan(result.entry) for result in results if result.floor),
    }


def _row(result):
    entry = result.entry
    if result.error:
        return f"| {entry.title} |" + " |" * 5 + f" {_speed(result)} | {entry.goal} | {entry.rival} | |"
    used = {name: count["used"] for name, count in result.figures["resources"].items()}
    gops = "" if "not timed" in result.figures["note"] else result.figures["gops"]
    cells = [entry.title, used["LUT"], result.figures["luts_per_mac"], used["FF"], used["DSP"], used["BRAM"],
             _speed(result), entry.goal, entry.rival, gops]
    return f"| {' | '.join(map(str, cells))} |"


def _critical(result):
    path, title = result.figures["critical_path"], result.entry.title
    if path is None:
        return f"* {title}: no path between registers"
    return f"* {title}: `{path['start']}` to `{path['end']}`, {path['delay']} ns, {path['routing']} of it routing."


def _plan(entry):
    return f"{entry.title}, median seed:\n\n![Floor plan]({entry.picture})\n"
