"""The ``systolic`` command.

Subcommands come from the entry point group ``systolic.commands``, so that each package brings its own: an entry
point is a function that adds its parser to the subparsers it is given, with a default ``run(args)``
that returns the exit code. One that prints figures calls :func:`.options.add_json_argument` and keeps them as
``args.figures``.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import json
import logging
import os
import re
import sys
from pathlib import Path

from .errors import UserError, did_you_mean

__all__ = ["main"]

_LOG = logging.getLogger("systolic")


class _Parser(argparse.ArgumentParser):
    """Answers bad usage in one line."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (see {self.prog} --help)\n")

    def _check_value(self, action, value):
        if action.choices is not None and value not in action.choices:
            names = list(map(str, action.choices))
            raise argparse.ArgumentError(action, f"must be one of {', '.join(names)}, not {value!r}"
                                         f"{did_you_mean(value, names)}")

    def refuse(self, unknown):
        """End for arguments that nobody takes."""
        options = [option for action in self._actions for option in action.option_strings]
        hint = next(filter(None, (did_you_mean(each.partition("=")[0], options) for each in unknown
                                  if each.startswith("-"))), "")
        self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")


class _Command(_Parser):
    """A subcommand: what all of them have."""

    def __init__(self, **options):
        super().__init__(**options)
        self.set_defaults(parser=self)
        how = self.add_mutually_exclusive_group()
        how.add_argument("-v", "--verbose", action="store_true",
                         help="log the programs that are run; show where an error comes from")
        how.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors")


def main(argv=None):
    """Run the command, or print the help if there is none.

    Bad input ends it with one line on standard error and exit code 2.
    """
    parser = _parser()
    if importlib.util.find_spec("argcomplete"):
        import argcomplete  # only here: an option of the user's

        argcomplete.autocomplete(parser)
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        args.parser.refuse(unknown)
    with _logging(args), _text(args):
        try:
            code = args.run(args)
            if args.json is not None:
                _write(args, json.dumps(args.figures, indent=1, allow_nan=False) + "\n")
            return code
        except UserError as error:
            message = str(error)
            _LOG.debug("", exc_info=True)
        except OSError as error:
            message = f"cannot write {error.filename}: {error.strerror}" if error.filename else str(error)
            _LOG.debug("", exc_info=True)
        except ModuleNotFoundError as error:
            if not (extra := _extra(error.name)):
                raise
            message = f"{error.name} not found: run '{sys.executable} -m pip install systolic[{extra}]'"
            _LOG.debug("", exc_info=True)
    print(f"systolic: error: {message}", file=sys.stderr)
    return 2


def _parser():
    parser = _Parser(prog="systolic", description="Systolic matrix engines: Verilog, simulation, bitstreams.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {importlib.metadata.version('systolic')}")
    parser.set_defaults(run=lambda args: parser.print_help() or 0, parser=parser, verbose=False, quiet=False, json=None)
    subparsers = parser.add_subparsers(metavar="command", parser_class=_Command)
    for entry in sorted(importlib.metadata.entry_points(group="systolic.commands"), key=lambda entry: entry.name):
        entry.load()(subparsers)
    return parser


def _extra(module):
    """The extra that a package with this module is of, or None; a user's before the developers'."""
    extras, name = [], (module or "").partition(".")[0].replace("_", "-")
    for each in importlib.metadata.requires("systolic") or ():
        package, extra = re.match(r"[\w.-]+", each)[0], re.search(r"extra == ['\"]([\w-]+)", each)
        if extra and (package == name or package.startswith(f"{name}-")):
            extras.append(extra[1])
    return min(extras, key=lambda extra: extra == "dev", default=None)


@contextlib.contextmanager
def _logging(args):
    """What the loggers below ``systolic`` tell, on standard error; progress bars ask them whether anybody looks."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    before = _LOG.level
    _LOG.setLevel(logging.DEBUG if args.verbose else logging.ERROR if args.quiet else logging.WARNING)
    _LOG.addHandler(handler)
    try:
        yield
    finally:
        _LOG.removeHandler(handler)
        _LOG.setLevel(before)


@contextlib.contextmanager
def _text(args):
    """Where a command's text goes: nowhere if it is not wanted, or if standard output is for figures."""
    if not (args.quiet or args.json == "-"):
        yield
        return
    args.stdout = sys.stdout
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _write(args, text):
    """Figures to the file of ``--json``."""
    if args.json == "-":
        args.stdout.write(text)
        return
    Path(args.json).write_text(text)
    print(args.json)


if __name__ == "__main__":
    sys.exit(main())
