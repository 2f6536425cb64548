"""The subcommand ``systolic fpga``."""

import argparse
import dataclasses

from systolic.commands.options import (
    add_config_arguments,
    add_json_argument,
    add_tpu_arguments,
    complete,
    config_from,
    tpu_from,
)
from systolic.config import Arch, Impl
from systolic.errors import UserError

__all__ = ["add"]


def add(subparsers):
    """Add the parser of ``systolic fpga``."""
    from .devices import DEVICES

    parser = subparsers.add_parser(
        "fpga", help="synthesise, place and route for an FPGA",
        description="Synthesise, place and route with open tools over several seeds, and report resources and timing. "
        "The design is placed out of context on a device, or is the self-test or the TPU of a board, with its "
        "bitstream. Finished seeds are kept: an interrupted run resumes.")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--device", choices=DEVICES, metavar="DEVICE",
                       help=f"target device: {', '.join(DEVICES)} (ecp5-85f)")
    complete(where.add_argument("--board", metavar="BOARD", help="build the self-test of a board, with the board's own "
                                "matrix unit, its own of the given --format, or the one that the options describe"),
             _boards)
    where.add_argument("--list-boards", action="store_true", help="list the boards and their matrix units")
    parser.add_argument("--part", metavar="PART", help="part to build: matrix_unit or array; with --tpu, tpu or one of "
                        "its blocks, such as row_reader")
    parser.add_argument("--design", choices=("selftest", "tpu"), default="selftest", help="with --board: what is on "
                        "it; a tpu is driven over the board's serial line (%(default)s)")
    parser.add_argument("--simulate", action="store_true", help="with --board: simulate it at the pins instead of "
                        "building it; a TPU with a network")
    parser.add_argument("--fault", action="store_true", help="with --board: flip one bit of one weight; the "
                        "self-test must detect it")
    parser.add_argument("--seeds", type=_positive, default=5, metavar="N", help="number of seeds (%(default)s)")
    parser.add_argument("--jobs", type=_positive, default=2, metavar="N", help="seeds to run in parallel (%(default)s)")
    parser.add_argument("--freq", type=float, metavar="MHZ", help="target frequency (250; with --board, its clock)")
    parser.add_argument("--timeout", type=_positive, metavar="S", help="time limit per seed in seconds")
    parser.add_argument("--out", default="build/fpga", help="folder to write to (%(default)s)")
    add_config_arguments(parser)
    add_tpu_arguments(parser)
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _boards():
    from .board import names  # only here: the command must not wait for it to print its help

    return names()


def _positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text}")
    return int(text)


def _run(args):
    if args.list_boards:
        return _list_boards(args)
    if args.board is not None:
        return _run_board(args)
    if args.simulate or args.fault or args.design != "selftest":
        raise UserError("--design, --simulate and --fault go with --board")
    return _run_device(args)


def _run_device(args):
    from .devices import device
    from .flow import flow, report  # only here: Amaranth takes a while to import
    from .flow.parts import PARTS, TPU_PARTS

    target = device(args.device or "ecp5-85f")
    tpu = tpu_from(args, target.implement)
    parts, name = (TPU_PARTS, args.part or "tpu") if tpu else (PARTS, args.part or "matrix_unit")
    if name not in parts:
        raise UserError(f"--part must be one of {', '.join(parts)} {'with' if tpu else 'without'} --tpu, not {name}")
    part = parts[name](tpu or config_from(args))
    build = flow.build(part, target, freq=args.freq or 250.0, seeds=args.seeds, jobs=args.jobs, timeout=args.timeout)
    folder = f"{args.out}/{part.name}-{target.name}"
    args.figures = report.write(build, folder)
    _tell(args.figures, folder)
    return 0


def _run_board(args):
    if args.part or args.freq or args.tpu:
        raise UserError("--part, --freq and --tpu go with --device, not with --board")
    if args.design == "tpu":
        return _run_board_tpu(args)
    from .selftest import simulate

    target, folder = _board(args)
    if args.simulate:
        outcome = simulate.simulate(target, fault=args.fault)
        args.figures = {"board": target.board.name, "fault": args.fault, "verdict": outcome.verdict,
                        "transcript": outcome.transcript}
        print(outcome.transcript)
        return 0 if outcome.verdict == "PASS" else 1
    return _build_board(target, target.part(fault=args.fault), folder, args)


def _run_board_tpu(args):
    from .tpu.design import design

    if _given(args) or args.config or args.fault:
        raise UserError("--design tpu is the board's own TPU: it takes no --fault and no options of a matrix unit")
    target = design(args.board)
    if args.simulate:
        return _play(target, args)
    return _build_board(target, target.part(), f"{args.out}/{target.board.name}-tpu", args)


def _play(target, args):
    from .tpu.play import play  # only here, as above

    played = play(target)
    args.figures = {"board": target.board.name, **dataclasses.asdict(played)}
    print(f"a handwritten digit over the serial line: {played.digit}; {played.wrong} of {played.total} outputs differ "
          f"from ONNX Runtime's\n{played.cycles:,} cycles, {played.cycles / target.board.clock.mhz:,.0f} microseconds "
          f"at {target.board.clock.mhz:g} MHz")
    return int(played.wrong > 0)


def _build_board(target, part, folder, args):
    from .flow import flow, report

    board = target.board
    build = flow.build(part, board.device, freq=board.clock.mhz, seeds=args.seeds, jobs=args.jobs,
                       constraints=target.constraints, timeout=args.timeout)
    args.figures = report.write(build, folder, clock=board.clock.mhz)
    _tell(args.figures, folder)
    print(board.program.format(bitstream=f"{folder}/{board.name}.{board.device.family.bitstream}"))
    return 0


def _given(args):
    """Names of the options that describe a matrix unit and were given."""
    return {field.name for kind in (Arch, Impl) for field in dataclasses.fields(kind)
            if getattr(args, field.name) is not None}


def _board(args):
    """The board with its own matrix unit or what the options describe, and the folder for its bitstream."""
    from .pages.boards import folder_name
    from .selftest.design import design

    if args.config is None and _given(args) <= {"format"}:
        target = design(args.board, args.format)
        name = folder_name(target)
    else:
        target = dataclasses.replace(design(args.board), config=config_from(args))
        name = f"{target.board.name}-{target.config.name}"
    return target, f"{args.out}/{name}" + ("-fault" if args.fault else "")


def _tell(figures, folder):
    fmax = figures["fmax_mhz"]
    print(f"{figures['part']} on {figures['device']}: " + ", ".join(
        f"{count['used']} {resource}" for resource, count in figures["resources"].items()))
    clock = f" on a clock of {figures['clock_mhz']:g} MHz" if figures["clock_mhz"] else ""
    print(f"{fmax['min']} / {fmax['median']} / {fmax['max']} MHz (min / median / max), {figures['gops']} GOPS{clock}")
    if figures["note"]:
        print(figures["note"])
    if path := figures["critical_path"]:
        print(f"critical: {path['start']} to {path['end']}, {path['delay']} ns, {path['routing']} of it routing")
    print(f"{folder}/report.md")


def _list_boards(args):
    from .board import names
    from .selftest.design import designs

    listed = [each for name in names() for each in designs(name)]
    args.figures = [{"board": each.board.name, "title": each.board.title, "device": each.board.device.name,
                     "format": each.config.arch.format.name, "rows": each.config.arch.rows,
                     "cols": each.config.arch.cols, "clock_mhz": each.board.clock.mhz} for each in listed]
    for each in listed:
        arch, board = each.config.arch, each.board
        print(f"{board.name:18} {board.title}: {board.device.title}; {arch.format.name} {arch.rows}x{arch.cols}, "
              f"{board.clock.mhz:g} MHz")
    return 0
