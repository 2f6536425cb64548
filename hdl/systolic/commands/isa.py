"""``systolic isa``, ``assemble`` and ``disassemble``: the instruction set's page, programs from text and back."""

from pathlib import Path

from .. import isa
from ..errors import UserError

__all__ = ["add_assemble", "add_disassemble", "add_isa"]


def add_isa(subparsers):
    parser = subparsers.add_parser("isa", help="write the instruction set reference",
                                   description="Write the reference page of the TPU instruction set.")
    parser.add_argument("--out", default="build/isa.md", help="Markdown file to write (%(default)s)")
    parser.set_defaults(run=lambda args: _write(args.out, isa.document().encode()))


def add_assemble(subparsers):
    parser = subparsers.add_parser(
        "assemble", help="assemble a TPU program", description="Translate a program from text, one instruction per "
        f"line, to binary, {isa.BYTES} bytes per instruction.")
    parser.add_argument("text", help="text file to read")
    parser.add_argument("--out", required=True, help="binary file to write")
    parser.set_defaults(run=lambda args: _write(args.out, isa.encode(_assembled(args.text))))


def add_disassemble(subparsers):
    parser = subparsers.add_parser("disassemble", help="disassemble a TPU program",
                                   description="Print a binary program as text, one instruction per line, in the "
                                   "syntax of assemble; or those of a program file of systolic compile, with the "
                                   "layer that each instruction belongs to.")
    parser.add_argument("program", help="binary file, or program file, to read")
    parser.set_defaults(run=_disassemble)


def _assembled(path):
    try:
        return isa.assemble(_read(path).decode())
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text") from None
    except isa.IsaError as error:
        raise UserError(f"{path}: {error}") from None


def _disassemble(args):
    from ..runtime.program_file import is_program  # only here: numpy takes a while to import

    if is_program(args.program):
        print("\n".join(_layers(args.program)))
        return 0
    try:
        print(isa.disassemble(isa.decode(_read(args.program))), end="")
    except isa.IsaError as error:
        raise UserError(f"{args.program}: {error}") from None
    return 0


def _layers(path):
    """Lines of a compiled model: comments say what runs in which order, and of which layer instructions are."""
    from ..runtime.program_file import read_program

    compiled = read_program(path)
    for step in compiled.steps:
        if not hasattr(step, "layers"):
            yield f"# on the host: {step.node.name} ({step.node.kind}): {step.reason}"
            continue
        program = compiled.image.programs[step.program]
        yield f"# program {step.program}: {program.length} instructions at {program.address:#x}"
        before = None
        for layer, operation in zip(step.layers, program.operations, strict=True):
            if layer != before:
                yield f"# layer {layer}" if layer else "# of no layer"
            before = layer
            yield isa.disassemble([operation]).rstrip()


def _read(path):
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _write(path, content):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    print(path)
    return 0
