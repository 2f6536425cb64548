"""``systolic sim``: the cocotb benches on Verilator and Icarus."""

import dataclasses

from systolic.commands.options import add_json_argument

__all__ = ["add"]


def add(subparsers):
    """Add ``systolic sim``."""
    parser = subparsers.add_parser("sim", help="run the cocotb testbenches",
                                   description="Run the cocotb testbenches, which check protocols and corner "
                                   "cases: every configuration on every simulator.")
    parser.add_argument("--config", action="append", metavar="NAME",
                        help="matrix unit to test; may be repeated (all, unless --tpu is given)")
    parser.add_argument("--tpu", action="append", metavar="NAME",
                        help="TPU to test; may be repeated (all, unless --config is given)")
    parser.add_argument("--simulator", action="append", metavar="NAME",
                        help="verilator or icarus; may be repeated (both, Icarus if installed)")
    parser.add_argument("--seed", type=int, default=1, help="random seed (%(default)s)")
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _run(args):
    from . import runner  # only here: cocotb takes a while to import

    reports = []
    code = runner.main(configs=args.config, tpus=args.tpu, simulators=args.simulator, seed=args.seed, keep=reports)
    args.figures = [{name: value for name, value in dataclasses.asdict(report).items() if name != "log"}
                    for report in reports]
    return code
