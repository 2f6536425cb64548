"""``systolic registers``: the register map for C, Python and people."""

from pathlib import Path

from ..registers import constants, document, header

__all__ = ["add"]


def add(subparsers):
    parser = subparsers.add_parser("registers", help="write the register map in C, Python and Markdown",
                                   description="Write the register map: tpu_registers.h, tpu_registers.py, "
                                   "registers.md.")
    parser.add_argument("--out", default="build/registers", help="folder to write to (%(default)s)")
    parser.set_defaults(run=_write)


def _write(args):
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("tpu_registers.h", header()), ("tpu_registers.py", constants()), ("registers.md", document())):
        (folder / name).write_text(text)
        print(folder / name)
    return 0
