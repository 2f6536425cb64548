"""``systolic generate``: Verilog and its sidecar."""

from .options import add_config_arguments, add_tpu_arguments, config_from, tpu_from

__all__ = ["add"]


def add(subparsers):
    parser = subparsers.add_parser("generate", help="write Verilog and a JSON sidecar",
                                   description="Write a matrix unit, or with --tpu a whole TPU, as Verilog-2005, "
                                   "with a JSON sidecar.")
    add_config_arguments(parser)
    add_tpu_arguments(parser)
    parser.add_argument("--out", default="build/verilog", help="folder to write to (%(default)s)")
    parser.set_defaults(run=_generate)


def _generate(args):
    from .. import verilog  # only here: Amaranth takes a while to import

    for path in verilog.write(verilog.generate(tpu_from(args) or config_from(args)), args.out):
        print(path)
    return 0
