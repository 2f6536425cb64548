"""The subcommand ``systolic fpga``."""

import argparse
import pathlib

from systolic.cli import add_config_arguments, config_from

__all__ = ["add"]


def add(subparsers):
    """Add the parser of ``systolic fpga``."""
    from .devices import DEVICES

    parser = subparsers.add_parser(
        "fpga", help="synthesise, place, route and time on an FPGA",
        description="Place and route a design over several seeds with open tools, out of context, and report what it "
        "takes and how fast it is. Finished seeds are kept: an interrupted run goes on where it was.")
    parser.add_argument("--device", default="ecp5-85f", choices=DEVICES, metavar="DEVICE",
                        help=f"one of {', '.join(DEVICES)} (%(default)s)")
    parser.add_argument("--part", default="matrix_unit", choices=("array", "matrix_unit"),
                        help="the grid of cells alone, or the whole matrix unit (%(default)s)")
    parser.add_argument("--seeds", type=_positive, default=5, metavar="N", help="placements to make (%(default)s)")
    parser.add_argument("--jobs", type=_positive, default=2, metavar="N", help="placements at a time (%(default)s)")
    parser.add_argument("--freq", type=float, default=250.0, metavar="MHZ",
                        help="frequency to aim at (%(default)g)")
    parser.add_argument("--timeout", type=_positive, metavar="S", help="give a placement up after so many seconds")
    parser.add_argument("--out", default="build/fpga", help="folder to write to (%(default)s)")
    add_config_arguments(parser)
    parser.set_defaults(run=_run)


def _positive(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be a positive integer, not {text}")
    return int(text)


def _run(args):
    from . import flow, report  # only here: Amaranth takes a while to import
    from .devices import device
    from .parts import PARTS

    target = device(args.device)
    part = PARTS[args.part](config_from(args))
    folder = pathlib.Path(args.out, f"{part.name}-{target.name}")
    build = flow.build(part, target, freq=args.freq, seeds=args.seeds, jobs=args.jobs, timeout=args.timeout)
    figures = report.write(build, folder)
    fmax = figures["fmax_mhz"]
    print(f"{part.name} on {target.name}: " + ", ".join(
        f"{count['used']} {resource}" for resource, count in figures["resources"].items()))
    print(f"{fmax['min']} / {fmax['median']} / {fmax['max']} MHz (min / median / max), {figures['gops']} GOPS")
    if figures["note"]:
        print(figures["note"])
    if path := figures["critical_path"]:
        print(f"critical: {path['start']} to {path['end']}, {path['delay']} ns, {path['routing']} of them routing")
    print(folder / "report.md")
    return 0
