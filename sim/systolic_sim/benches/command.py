"""``systolic sim``: the cocotb benches on Verilator and Icarus."""

__all__ = ["add"]


def add(subparsers):
    """Add ``systolic sim``."""
    parser = subparsers.add_parser("sim", help="check the protocols and corner cases under cocotb",
                                   description="Run the cocotb benches: every configuration on every simulator.")
    parser.add_argument("--config", action="append", metavar="NAME",
                        help="one matrix unit of the benches; may be repeated (default: all, unless --tpu is given)")
    parser.add_argument("--tpu", action="append", metavar="NAME",
                        help="one TPU of the benches; may be repeated (default: all, unless --config is given)")
    parser.add_argument("--simulator", action="append", metavar="NAME",
                        help="verilator or icarus (default: both, Icarus where it is installed)")
    parser.add_argument("--seed", type=int, default=1, help="for everything random (%(default)s)")
    parser.set_defaults(run=_run)


def _run(args):
    from . import runner  # only here: cocotb takes a while to import

    return runner.main(configs=args.config, tpus=args.tpu, simulators=args.simulator, seed=args.seed)
