"""``systolic driver``: the C driver."""

from pathlib import Path

__all__ = ["add"]


def add(subparsers):
    parser = subparsers.add_parser("driver", help="write the C driver of a TPU",
                                   description="Write the C driver of a TPU, systolic.h and systolic.c: C11, "
                                   "freestanding, without allocation. It loads and runs programs of systolic compile.")
    parser.add_argument("--out", default="build/driver", help="folder to write to (%(default)s)")
    parser.set_defaults(run=_write)


def _write(args):
    from ..host.c_driver import files  # only here: the command must not wait for numpy to print its help

    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        (folder / name).write_text(text)
        print(folder / name)
    return 0
