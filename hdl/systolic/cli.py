"""The ``systolic`` command.

Subcommands come from the entry point group ``systolic.commands``, so that each package brings its own: an entry
point is a function that adds its parser to the subparsers it is given, with a default ``run(args)``
that returns the exit code.
"""

import argparse
import importlib.metadata
import sys

from .errors import UserError

__all__ = ["main"]


class _Parser(argparse.ArgumentParser):
    """Answers bad usage in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def main(argv=None):
    """Run the command, or print the help if there is none.

    Bad input ends it with one line on standard error and exit code 2.
    """
    parser = _Parser(prog="systolic", description="Systolic matrix engines: Verilog, simulation, bitstreams.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {importlib.metadata.version('systolic')}")
    parser.set_defaults(run=lambda args: parser.print_help() or 0)
    subparsers = parser.add_subparsers(metavar="command", parser_class=_Parser)
    for entry in sorted(importlib.metadata.entry_points(group="systolic.commands"), key=lambda entry: entry.name):
        entry.load()(subparsers)
    args = parser.parse_args(argv)
    try:
        return args.run(args)
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = f"cannot write {error.filename}: {error.strerror}" if error.filename else str(error)
    print(f"systolic: error: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
