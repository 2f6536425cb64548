"""``systolic boards``: every board's self-test built and simulated, and the page that says so."""

import pathlib

from systolic.config import Format
from systolic_sim.rtl.toolchain import ToolError

__all__ = ["add", "folder_name", "page"]


def add(subparsers):
    """Add the parser of ``systolic boards``."""
    parser = subparsers.add_parser(
        "boards", help="build and simulate the self-tests of all boards for docs/boards.md",
        description="Build the bitstream of every board's self-tests, simulate them at the pins, with a planted fault "
        "too, and write the page. Finished seeds are kept: an interrupted run goes on where it was.")
    parser.add_argument("boards", nargs="*", metavar="BOARD", help="only these; no page is then written")
    parser.add_argument("--out", default="docs/boards.md", help="Markdown file to write (%(default)s)")
    parser.add_argument("--build", default="build/fpga", help="folder for bitstreams and reports (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="placements to make (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="placements at a time (%(default)s)")
    parser.add_argument("--timeout", type=int, default=3000, metavar="S",
                        help="give a placement up after so many seconds (%(default)s)")
    parser.set_defaults(run=_run)


def _run(args):
    from ..board import names  # only here: Amaranth takes a while to import
    from ..selftest.design import designs

    results = []
    for target in [each for name in args.boards or names() for each in designs(name)]:
        print(f"{target.board.name} {target.config.name}:")
        results.append((target, _figures(target, args)))
    if not args.boards:
        pathlib.Path(args.out).write_text(page(results))
        print(args.out)
    return int(any(figures["verdicts"] != ["PASS", "FAIL"] or "error" in figures for _, figures in results))


def _figures(target, args):
    """Figures of the build, or what stopped it, with verdicts and transcripts of the simulation without and with a
    fault."""
    from ..flow import flow, report
    from ..selftest.simulate import simulate

    outcomes = [simulate(target, fault=fault) for fault in (False, True)]
    seen = {"verdicts": [outcome.verdict for outcome in outcomes],
            "transcripts": [outcome.transcript for outcome in outcomes]}
    print(" / ".join(outcome.verdict or "no verdict" for outcome in outcomes))
    try:
        build = flow.build(target.part(), target.board.device, freq=target.board.clock.mhz, seeds=args.seeds,
                           jobs=args.jobs, constraints=target.board.constraints, timeout=args.timeout)
    except ToolError as error:
        print(error)
        return seen | {"error": str(error)}
    figures = report.write(build, pathlib.Path(args.build, folder_name(target)), clock=target.board.clock.mhz)
    print(f"{figures['fmax_mhz']['max']} MHz")
    return figures | seen


def folder_name(target):
    """Where the results of a board go: the name of the board, for int8, or of both."""
    return target.board.name + ("-bf16" if target.config.arch.format is Format.BF16 else "")


def page(results):
    """The page in Markdown.

    Parameters
    ----------
    results : list of (SelfTestDesign, dict)
        Each board's self-tests, and their figures: those of :func:`.report.summary`, or ``error``; with
        ``verdicts`` and ``transcripts`` from simulation, without and with a fault.

    Returns
    -------
    str
    """
    return "\n".join([_HEAD, *_table(results), *_notes(results), *_transcripts(results), *_loading(results), _TAIL])


def _table(results):
    tools = sorted({text for _, figures in results for text in figures.get("tools", {}).values()})
    seeds = max((len(figures["seeds"]) for _, figures in results if "seeds" in figures), default=0)
    yield from (
        "## What was built", "",
        f"Written by `make bench-boards`: the fastest of {seeds} seed{'s' if seeds != 1 else ''}, with "
        f"{', '.join(tools)}. Counts are those of the whole chip, the self-test's own logic included. "
        "Fmax is that of the bitstream's slowest clock. GOPS = 2 x MACs x the board's clock.", "",
        "| board | FPGA | unit | LUT | FF | DSP | block RAM | clock MHz | Fmax MHz | GOPS | bitstream, bytes "
        "| verdict in simulation, with a fault |", "|" + "---|" * 12)
    yield from (_row(*result) for result in results)


def _row(target, figures):
    arch, board = target.config.arch, target.board
    head = f"| {board.title}, `{board.name}` | {board.device.title} | {arch.format.value} {arch.rows}x{arch.cols} |"
    verdicts = ", ".join(verdict or "none" for verdict in figures["verdicts"])
    if "error" in figures:
        return f"{head} {figures['error']} |" + " |" * 3 + f" {board.clock.mhz:g} |" + " |" * 3 + f" {verdicts} |"
    counts = [f"{count['used']} of {count['available']}" if count["available"] else "none"
              for count in figures["resources"].values()]
    return (f"{head} {' | '.join(counts)} | {board.clock.mhz:g} | {figures['fmax_mhz']['max']} | {figures['gops']} | "
            f"{figures['bitstream_bytes']:,} | {verdicts} |")


def _notes(results):
    notes = {target.board.title: figures["note"] for target, figures in results if figures.get("note")}
    yield ""
    yield from (f"* {title}: {note}." for title, note in notes.items())


def _transcripts(results):
    yield from ("", "## What they say", "", "As simulated at the pins, without and with the fault:", "", "```")
    for target, figures in results:
        option = " --format bf16" if target.config.arch.format is Format.BF16 else ""
        for fault, transcript in zip(("", " --fault"), figures["transcripts"], strict=True):
            yield f"$ systolic fpga --board {target.board.name}{option} --simulate{fault}\n{transcript}"
    yield "```"


def _loading(results):
    yield from ("", "## How to load it", "", "| board | command | |", "|---|---|---|")
    for target in {target.board.name: target for target, _ in results}.values():
        bitstream = f"build/fpga/{target.board.name}/{target.board.name}.{target.board.device.family.bitstream}"
        yield f"| {target.board.title} | `{target.board.program.format(bitstream=bitstream)}` | {target.board.note} |"
    yield ""


_HEAD = """\
# Boards

A self-test bitstream for each board: a matrix unit as large as fits and routes well, fed on chip. Make one with

```
make fpga BOARD=icebreaker                         # bitstream, report.json and report.md in build/fpga/icebreaker
systolic fpga --board icebreaker --simulate        # the same top at its pins, in a simulator
systolic fpga --list-boards
```

`--config`, `--rows` and the other options of `systolic generate` put another matrix unit on the board, `--format bf16`
the board's own of that format. `--fault` plants a fault. The build fails if synthesis reports a driver-driver conflict,
a latch or a loop, if the netlist has not as many multiplier blocks as the mapping plans, or if no seed reaches the
board's clock.

## What the self-test does

Pseudo-random weights and activations (xorshift32, 32 bits a lane; bf16 exponents kept to 112 to 143, for the product
of any two bf16 numbers is mostly infinite) go through 64 weight tiles: sums over four tiles, on all accumulator
entries, on one alone, on as many as the turnaround is long and on R + 1, each under four kinds of stalls (none, rows,
weights, results held back at random). A signature of 32 bits takes in every bit of every result; it is compared with
the one that the golden model gives at build time. The matrix unit is the very Verilog that `systolic generate` writes.

LEDs: green or the first one, PASS; red or the second, FAIL; neither while the test is running or when nothing works.
A third one blinks as long as there is a clock. Where there is one LED it is lit with a PASS and blinks with a FAIL.
A serial port says it once every one to two seconds, 115,200 baud, 8N1, with clock, shape and counters.

The whole top runs in simulation at its pins: PLL and oscillator are models, the serial line is decoded from its edges.
The planted fault is one bit of one weight, flipped on its way.
"""

_TAIL = """\
`make fpga` prints the command as well. bf16 bitstreams are in the folder `<board>-bf16`.

## What to know

* **No board was at hand**: nothing here has run on hardware yet. What is checked: the whole top in simulation at its
  pins, pins from the boards' descriptions, timing by place and route.
* **Tang Nano 20K, CrossLink-NX EVN, GateMate A1 EVB**: amaranth-boards has no description of them, so their pins are in
  [their files](../boards/systolic_boards/boards).
* **Tang Nano 9K and 20K**: run at the board's 27 MHz, without a PLL: nextpnr has no times of Gowin's multipliers, so a
  frequency near Fmax would be a guess.
* **Oscillators on the chip** (UPduino v3, CrossLink-NX EVN) are off by up to a tenth: Fmax has room for that.
* **CrossLink-NX EVN**: runs at the oscillator on the chip, which is faster than the board's of 12 MHz. Synthesis goes
  without carry chains (Yosys issue 4081). The serial port would need soldering. That its LEDs light up with a low level
  is not checked against the schematic.
* **GateMate A1 EVB**: runs at its oscillator of 10 MHz, without a PLL. LUT counts half CPEs; a CC_MULT is reckoned as
  130 of them, measured on one. From 6 x 6 cells on nextpnr 0.11.1 runs out of the memory that WebAssembly has.
* **UPduino v3**: has no serial port of its own; the verdict is on its LED alone.
* **ULX3S 12F**: place and route takes the 12F for the die of the 25F that it is.
"""
