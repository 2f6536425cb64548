"""``systolic boards``: every board's self-test or TPU built and simulated, and the page that says so."""

import dataclasses
import pathlib

from systolic.commands.options import add_json_argument
from systolic_sim.rtl.toolchain import ToolError

from .refill import refill

__all__ = ["add", "blocks", "folder_name"]


def add(subparsers):
    """Add the parser of ``systolic boards``."""
    parser = subparsers.add_parser(
        "boards", help="build and simulate all self-tests or TPUs, and update docs/boards.md",
        description="Build the bitstreams of all boards, simulate them at the pins, and update the page: self-tests "
        "without and with a fault, TPUs with a network. Finished seeds are kept: an interrupted run resumes.")
    parser.add_argument("boards", nargs="*", metavar="BOARD", help="boards to build; leaves the page as it is (all)")
    parser.add_argument("--design", choices=("selftest", "tpu"), default="selftest", help="what is on the boards "
                        "(%(default)s)")
    parser.add_argument("--out", default="docs/boards.md", help="Markdown file to update (%(default)s)")
    parser.add_argument("--build", default="build/fpga", help="folder for bitstreams and reports (%(default)s)")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="number of seeds (%(default)s)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="seeds to run in parallel (%(default)s)")
    parser.add_argument("--timeout", type=int, default=3000, metavar="S",
                        help="time limit per seed in seconds (%(default)s)")
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _run(args):
    return _run_tpus(args) if args.design == "tpu" else _run_self_tests(args)


def _run_self_tests(args):
    from ..board import names  # only here: Amaranth takes a while to import
    from ..selftest.design import designs
    from ..selftest.simulate import simulate

    results = []
    for target in [each for name in args.boards or names() for each in designs(name)]:
        print(f"{target.board.name} {target.config.name}:")
        outcomes = [simulate(target, fault=fault) for fault in (False, True)]
        print(" / ".join(outcome.verdict or "no verdict" for outcome in outcomes))
        results.append((target, _built(target, folder_name(target), args) | {
            "verdicts": [outcome.verdict for outcome in outcomes],
            "transcripts": [outcome.transcript for outcome in outcomes]}))
    args.figures = [{"board": target.board.name, "unit": target.config.name, **figures} for target, figures in results]
    _refill(args, blocks(results))
    return int(any(figures["verdicts"] != ["PASS", "FAIL"] or "error" in figures for _, figures in results))


def _run_tpus(args):
    from ..tpu.design import design, names  # only here, as above
    from ..tpu.play import play
    from .tpu_boards import blocks

    results = []
    for target in [design(name) for name in args.boards or names()]:
        print(f"{target.board.name} {target.config.name}:")
        played = play(target)
        print(f"{played.wrong} of {played.total} outputs wrong, {played.cycles:,} cycles")
        results.append((target, _built(target, f"{target.board.name}-tpu", args) | {"played": played}))
    args.figures = [{"board": target.board.name, "tpu": target.config.name, **figures,
                     "played": dataclasses.asdict(figures["played"])} for target, figures in results]
    _refill(args, blocks(results))
    return int(any(figures["played"].wrong or "error" in figures for _, figures in results))


def _refill(args, texts):
    if not args.boards:
        out = pathlib.Path(args.out)
        out.write_text(refill(out.read_text(), texts))
        print(args.out)


def _built(target, folder, args):
    """Figures of the build, or what stopped it."""
    from ..flow import flow, report

    try:
        build = flow.build(target.part(), target.board.device, freq=target.board.clock.mhz, seeds=args.seeds,
                           jobs=args.jobs, constraints=target.constraints, timeout=args.timeout)
    except ToolError as error:
        print(error)
        return {"error": str(error)}
    figures = report.write(build, pathlib.Path(args.build, folder), clock=target.board.clock.mhz)
    print(f"{figures['fmax_mhz']['max']} MHz")
    return figures


def folder_name(target):
    """Where the results of a board go: the name of the board and, unless it is its first unit, of the format."""
    return f"{target.board.name}-{target.variant}" if target.variant else target.board.name


def blocks(results):
    """What the page has between its markers.

    Parameters
    ----------
    results : list of (SelfTestDesign, dict)
        Each board's self-tests, and their figures: those of :func:`.report.summary`, or ``error``; with
        ``verdicts`` and ``transcripts`` from simulation, without and with a fault.

    Returns
    -------
    dict of str to str
    """
    tools = sorted({text for _, figures in results for text in figures.get("tools", {}).values()})
    seeds = max((len(figures["seeds"]) for _, figures in results if "seeds" in figures), default=0)
    parts = {"table": _table, "notes": _notes, "transcripts": _transcripts, "loading": _loading}
    return {"tools": f"the fastest of {seeds} seed{'s' if seeds != 1 else ''}, with {', '.join(tools)}."} | {
        name: "\n".join(lines(results)) for name, lines in parts.items()}


def _table(results):
    yield from (
        "| board | FPGA | unit | LUT | FF | DSP | block RAM | clock MHz | Fmax MHz | GOPS | bitstream, bytes "
        "| simulation verdict, without and with fault |", "|" + "---|" * 12)
    yield from (_row(*result) for result in results)


def _row(target, figures):
    arch, board = target.config.arch, target.board
    head = f"| {board.title}, `{board.name}` | {board.device.title} | {arch.format.name} {arch.rows}x{arch.cols} |"
    verdicts = ", ".join(verdict or "none" for verdict in figures["verdicts"])
    if "error" in figures:
        return f"{head} {figures['error']} |" + " |" * 3 + f" {board.clock.mhz:g} |" + " |" * 3 + f" {verdicts} |"
    counts = [f"{count['used']} of {count['available']}" if count["available"] else "none"
              for count in figures["resources"].values()]
    return (f"{head} {' | '.join(counts)} | {board.clock.mhz:g} | {figures['fmax_mhz']['max']} | {figures['gops']} | "
            f"{figures['bitstream_bytes']:,} | {verdicts} |")


def _notes(results):
    notes = {target.board.title: figures["note"] for target, figures in results if figures.get("note")}
    yield from (f"* {title}: {note}." for title, note in notes.items())


def _transcripts(results):
    yield "```"
    for target, figures in results:
        option = f" --format {target.variant}" if target.variant else ""
        for fault, transcript in zip(("", " --fault"), figures["transcripts"], strict=True):
            yield f"$ systolic fpga --board {target.board.name}{option} --simulate{fault}\n{transcript}"
    yield "```"


def _loading(results):
    yield from ("| board | command | note |", "|---|---|---|")
    for target in {target.board.name: target for target, _ in results}.values():
        bitstream = f"build/fpga/{target.board.name}/{target.board.name}.{target.board.device.family.bitstream}"
        yield f"| {target.board.title} | `{target.board.program.format(bitstream=bitstream)}` | {target.board.note} |"
