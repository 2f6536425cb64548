"""``systolic generate``: Verilog and its sidecar."""

from ..errors import UserError
from ..serial_protocol import BAUD
from .options import add_config_arguments, add_tpu_arguments, config_from, tpu_from

__all__ = ["add"]


def add(subparsers):
    parser = subparsers.add_parser("generate", help="write Verilog and a JSON sidecar",
                                   description="Write a matrix unit, or with --tpu a whole TPU, as Verilog-2005, "
                                   "with a JSON sidecar.")
    add_config_arguments(parser)
    add_tpu_arguments(parser)
    parser.add_argument("--serial", action="store_true",
                        help="put the TPU of --tpu behind a serial line, with memory on the chip")
    parser.add_argument("--memory-size", type=int, default=65536, metavar="BYTES",
                        help="with --serial: size of that memory (%(default)s)")
    parser.add_argument("--clock", type=int, default=50_000_000, metavar="HZ",
                        help="with --serial: frequency of its clock (%(default)s)")
    parser.add_argument("--baud", type=int, default=BAUD, help="with --serial: bits a second (%(default)s)")
    parser.add_argument("--fusesoc", action="store_true", help="write a FuseSoC core file as well")
    parser.add_argument("--out", default="build/verilog", help="folder to write to (%(default)s)")
    parser.set_defaults(run=_generate)


def _generate(args):
    from .. import verilog  # only here: Amaranth takes a while to import

    tpu = tpu_from(args)
    if args.serial and not tpu:
        raise UserError("--serial needs a TPU: name it with --tpu")
    design = (verilog.generate_serial(tpu, memory_size=args.memory_size, clock=args.clock, baud=args.baud)
              if args.serial else verilog.generate(tpu or config_from(args)))
    for path in verilog.write(design, args.out, fusesoc=args.fusesoc):
        print(path)
    return 0
