"""``systolic check``: what is wrong with a TPU's program, without running it."""

from pathlib import Path

from systolic import isa
from systolic.commands.options import add_json_argument, complete
from systolic.errors import UserError
from systolic.tpu_config import TPU_PRESETS, tpu_preset

__all__ = ["add"]


def add(subparsers):
    """Add ``systolic check``."""
    parser = subparsers.add_parser(
        "check", help="find errors in a TPU program", description="Find all errors of a program that do not depend "
        "on data: illegal instructions, accesses outside their regions, missing and leftover tiles and sums, and "
        "deadlocks. Print one line per error. The exit code is 1 if there is one.")
    parser.add_argument("program", help="program to check, text or binary")
    complete(parser.add_argument("--tpu", required=True, metavar="PRESET",
                                 help=f"TPU to check for: {', '.join(TPU_PRESETS)}"), TPU_PRESETS)
    add_json_argument(parser)
    parser.set_defaults(run=_check)


def _check(args):
    from .program import check_program, executed  # only here: numpy takes a while to import

    tpu, code = tpu_preset(args.tpu), _code(args.program)
    found = check_program(tpu, code)
    args.figures = [{"index": each.index, "instruction": each.instruction, "error": each.error and each.error.name,
                     "advice": each.advice} for each in found]
    for each in found:
        print(each)
    if found:
        return 1
    count, all_of_them = len(executed(code)), len(code) // isa.BYTES
    behind = f"; {all_of_them - count} behind halt are never executed" if count < all_of_them else ""
    print(f"{args.program}: fine on {tpu.name}, instructions: {count}{behind}")
    return 0


def _code(path):
    """Bytes of a program. Those of instructions have zeros among them, a text has none."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    try:
        code = content if b"\0" in content else isa.encode(isa.assemble(content.decode()))
    except UnicodeDecodeError:
        raise UserError(f"{path} is neither a text nor a program") from None
    except isa.IsaError as error:
        raise UserError(f"{path}: {error}") from None
    if len(code) % isa.BYTES:
        raise UserError(f"{path}: a program has a multiple of {isa.BYTES} bytes, not {len(code)}")
    return code
