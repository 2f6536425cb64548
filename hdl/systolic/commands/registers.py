"""``systolic registers``: the register map for C, Python, debuggers and people."""

import argparse
from pathlib import Path

from ..registers import constants, document, header, svd

__all__ = ["add"]


def add(subparsers):
    parser = subparsers.add_parser("registers", help="write the register map in C, Python, CMSIS-SVD and Markdown",
                                   description="Write the register map: tpu_registers.h, tpu_registers.py, tpu.svd, "
                                   "registers.md.")
    parser.add_argument("--base", type=_address, default=0, metavar="ADDRESS",
                        help="address of the TPU in the SVD file (0)")
    parser.add_argument("--out", default="build/registers", help="folder to write to (%(default)s)")
    parser.set_defaults(run=_write)


def _write(args):
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("tpu_registers.h", header()), ("tpu_registers.py", constants()), ("tpu.svd", svd(args.base)),
                       ("registers.md", document())):
        (folder / name).write_text(text)
        print(folder / name)
    return 0


def _address(text):
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 1 << 32 or value % 4:
        raise argparse.ArgumentTypeError(f"must be a multiple of 4 from 0 to 0xfffffffc, not {text}")
    return value
