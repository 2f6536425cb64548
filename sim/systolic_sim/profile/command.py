"""``systolic profile``."""

import csv
import dataclasses
import io
import os

import rich.box
import rich.console
import rich.table

from systolic.commands.model import add_target_arguments, match_of
from systolic.commands.options import add_json_argument

__all__ = ["add"]

# What the functions need is imported by them: the command must not wait for numpy to print its help.


def add(subparsers):
    """Add ``systolic profile``."""
    parser = subparsers.add_parser("profile", help="show where a model's cycles go, layer by layer",
                                   description="Compile a trained model and print, per layer, its work, its cycles and "
                                               "what bounds it, by the cycle model.")
    parser.add_argument("model", help=".tflite or .onnx file, or a program of systolic compile")
    add_target_arguments(parser)
    parser.add_argument("--latency", type=int, default=20, help="of memory, in cycles (%(default)s)")
    add_json_argument(parser)
    parser.add_argument("--csv", metavar="F", help="file for the rows as CSV")
    parser.add_argument("--svg", metavar="F", help="file for a picture: a bar per layer, and a roofline")
    parser.set_defaults(run=_run)


def _run(args):
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from systolic.errors import require_int
    from systolic.runtime.program_file import write_whole

    from .layers import profile, total
    from .picture import svg

    require_int("latency", args.latency, 1, 100_000)
    compiled = _compiled(args)
    arch = compiled.config.matrix.arch
    cells = arch.rows * arch.cols
    layers = profile(compiled, latency=args.latency)
    whole = total(layers, cells)
    rich.console.Console().print(_table(args.model, compiled, [*layers, whole]))
    rows = [dataclasses.asdict(layer) for layer in [*layers, whole]]
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    title = f"{os.path.basename(args.model)} on {compiled.config.name}: {whole.cycles:,} cycles"
    args.figures = rows
    picture = svg(title, layers, cells=cells, bus_bytes=compiled.config.bus_bytes)
    for path, content in ((args.csv, text.getvalue()), (args.svg, picture)):
        if path:
            write_whole(path, content.encode())
            print(path)
    return 0


def _compiled(args):
    from systolic.compiler.frontends import read_model
    from systolic.runtime.model import as_match, as_tpu, compile_source
    from systolic.runtime.program_file import is_program, read_program, require_same

    config, match = None if args.tpu is None else as_tpu(args.tpu), match_of(args)
    if not is_program(args.model):
        return compile_source(read_model(args.model), config, None if match is None else as_match(match))
    compiled = read_program(args.model)
    if config is not None:
        require_same(compiled.config, config, args.model)
    return compiled


def _table(model, compiled, layers):
    table = rich.table.Table(title=f"{model} on {compiled.config.name}, --match {compiled.match}", title_style="bold",
                             title_justify="left", box=rich.box.SIMPLE_HEAD)
    for column in ("layer", "operator", "output"):
        table.add_column(column)
    for column in ("MACs", "cycles", "utilisation", "bytes"):
        table.add_column(column, justify="right")
    table.add_column("bound by")
    for number, layer in enumerate(layers, start=1):
        table.add_row(layer.name[-40:], layer.kind, layer.shape, f"{layer.macs:,}", f"{layer.cycles:,}",
                      f"{100 * layer.utilisation:.1f} %", f"{layer.bytes:,}", layer.bound,
                      end_section=number == len(layers) - 1)
    return table
