"""``systolic demo``."""

import argparse
import os

from systolic.commands.options import add_json_argument

__all__ = ["add"]

# What the functions need is imported by them: the command must not wait for Amaranth to print its help.


def add(subparsers):
    """Add ``systolic demo``."""
    parser = subparsers.add_parser("demo", help="run MNIST images through networks on the generated Verilog",
                                   description="Train a small network on MNIST and run its test images through the "
                                               "generated Verilog, in int8 and in bf16; then run a convolutional "
                                               "network of the ONNX model zoo on a TPU. Every bit is compared.")
    parser.add_argument("--out", default="build/run", help="folder for Verilog, waveform and picture (%(default)s)")
    parser.add_argument("--images", type=_images, default=1000, metavar="N",
                        help="number of test images, 1 to 1000 (%(default)s); bf16 uses a quarter")
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _images(text):
    count = int(text) if text.isdecimal() else 0
    if not 1 <= count <= 1000:
        raise argparse.ArgumentTypeError(f"must be an integer from 1 to 1000, not {text!r}")
    return count


def _run(args):
    # Before numpy comes in. Its threads wait by spinning: they gain nothing on matrices as small as these, and
    # on a busy machine cost forty times the time.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from systolic_sim.demo.report import run

    args.figures = {}
    return run(args.out, args.images, figures=args.figures)
