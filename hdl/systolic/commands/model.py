"""``systolic run`` and ``compile``: trained models, on whatever there is to run them on."""

import collections
import importlib.metadata
import io
import os
import pathlib

from ..errors import ConfigError, UserError
from ..tpu_config import TPU_PRESETS
from .options import add_json_argument, complete

__all__ = ["add_compile", "add_run", "add_target_arguments", "match_of"]

# What the functions need is imported by them: the command must not wait for numpy to print its help.


def add_run(subparsers):
    parser = subparsers.add_parser(
        "run", help="run a trained model", description="Run a trained model on a TPU, or on the golden model, with "
        "every output byte equal to that of the runtime that --match names.")
    parser.add_argument("model", help=".tflite or .onnx file, or a program of systolic compile")
    parser.add_argument("--input", metavar="X.npy", help="input, or several along an axis in front; .npz for several "
                        "inputs by name (random, from --seed)")
    parser.add_argument("--output", metavar="Y.npy", help="file for the output; .npz for several outputs by name")
    add_target_arguments(parser)
    complete(parser.add_argument("--on", default="emulator", metavar="TARGET",
                                 help="golden, emulator, rtl, board:NAME, or serial:PORT (%(default)s)"), _targets())
    parser.add_argument("--seed", type=int, default=0, help="of random inputs (%(default)s)")
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def add_compile(subparsers):
    parser = subparsers.add_parser(
        "compile", help="compile a trained model to a program file", description="Compile a trained model for a TPU. "
        "The file has all that it takes to run it: programs, constants, and what the host does in between.")
    parser.add_argument("model", help=".tflite or .onnx file")
    parser.add_argument("--out", required=True, metavar="MODEL.tpu", help="file to write")
    add_target_arguments(parser)
    add_json_argument(parser)
    parser.set_defaults(run=_compile)


def add_target_arguments(parser):
    """Options that choose TPU and runtime."""
    complete(parser.add_argument("--tpu", metavar="PRESET", help="TPU to compile for (tpu_16x16, or the program's)"),
             TPU_PRESETS)
    complete(parser.add_argument("--match", metavar="RUNTIME", help="runtime whose bytes to meet: litert, reference, "
                                 "micro or onnxruntime (litert, for .onnx onnxruntime, or the program's)"),
             ("litert", "reference", "micro", "onnxruntime"))


def _targets():
    return ["golden", *sorted(entry.name for entry in importlib.metadata.entry_points(group="systolic.links"))]


def match_of(args):
    """The runtime to meet: by default that of the file's kind."""
    if args.match is None and pathlib.Path(args.model).suffix == ".onnx":
        return "onnxruntime"
    return args.match


def _run(args):
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # threads of numpy gain nothing on matrices as small as these
    from ..runtime import arrays, load

    if args.output is not None and pathlib.Path(args.output).suffix not in (".npy", ".npz"):
        raise ConfigError(f"output must be a .npy or .npz file, not {args.output}")
    model = load(args.model, tpu=args.tpu, on=args.on, match=match_of(args))
    given = _read(args.input) if args.input else arrays.random_inputs(model.graph, args.seed)
    runs, join = arrays.batch(model.graph, given)
    results, cycles = [], 0
    for inputs in runs:
        results.append(model.run(inputs))
        cycles += sum(outcome.counters.get("cycles", 0) for outcome in model.outcomes)
    outputs = _joined(model.graph, results, join)
    args.figures = _figures(args, model, len(runs), cycles)
    _tell(args, model, len(runs), cycles)
    if args.output:
        _write(args.output, outputs)
        print(args.output)
    return 0


def _read(path):
    """An array, or arrays by name."""
    import numpy as np

    try:
        found = np.load(path, allow_pickle=False)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError):
        raise UserError(f"input must be a .npy or .npz file of numbers, and {path} is none") from None
    return found if isinstance(found, np.ndarray) else dict(found)


def _joined(graph, results, join):
    """Arrays by name, of all runs."""
    import numpy as np

    by_name = [result if isinstance(result, dict) else {graph.outputs[0]: result} for result in results]
    if join == "one":
        return by_name[0]
    # An output without an axis of 1 in front gets one for the runs.
    together = {name: join == "concatenate" and by_name[0][name].shape[:1] == (1,) for name in graph.outputs}
    return {name: (np.concatenate if together[name] else np.stack)([each[name] for each in by_name])
            for name in graph.outputs}


def _write(path, outputs):
    import numpy as np

    from ..runtime.program_file import write_whole

    file = io.BytesIO()
    if pathlib.Path(path).suffix == ".npz":
        np.savez(file, **outputs)
    elif len(outputs) > 1:
        raise UserError(f"output must be a .npz file for {len(outputs)} outputs, {', '.join(outputs)}, not {path}")
    else:
        np.save(file, next(iter(outputs.values())), allow_pickle=False)
    write_whole(path, file.getvalue())


def _figures(args, model, runs, cycles):
    """What ``--json`` writes; the counters are those of the latest run, one set per program."""
    compiled, on_host = getattr(model, "compiled", None), _host_reasons(model)
    return {"model": args.model, "on": args.on, "runs": runs, "cycles_per_run": cycles // runs or None,
            "tpu": compiled and compiled.config.name, "match": str(compiled.match if compiled else model.match),
            "macs": compiled and compiled.image.macs, "operators": len(model.graph.nodes),
            "operators_on_host": sum(on_host.values()), "host_reasons": dict(on_host),
            "counters": [dict(outcome.counters) for outcome in model.outcomes]}


def _host_reasons(model):
    """How many operators the host executes, by kind and reason."""
    compiled = getattr(model, "compiled", None)
    return collections.Counter(f"{step.node.kind}: {step.reason}" for step in (compiled.steps if compiled else ())
                               if hasattr(step, "reason"))


def _tell(args, model, runs, cycles):
    """A line on the input, one on what ran where, and one on what the host did."""
    graph = model.graph
    source = args.input or f"random input, seed {args.seed}"
    print(f"{args.model}: {runs} run{'s' if runs > 1 else ''} of {source} on {args.on}"
          + (f", {cycles // runs:,} cycles each" if cycles else ""))
    reasons = _host_reasons(model)
    if reasons:
        print(f"on the host, of {len(graph.nodes)} operators: "
              + "; ".join(f"{count} x {reason}" if count > 1 else reason for reason, count in reasons.items()))


def _compile(args):
    from ..compiler.frontends import read_model
    from ..runtime.model import as_match, as_tpu, compile_source
    from ..runtime.program_file import write_program

    match = match_of(args)
    compiled = compile_source(read_model(args.model), None if args.tpu is None else as_tpu(args.tpu),
                              None if match is None else as_match(match))
    write_program(args.out, compiled)
    image = compiled.image
    args.figures = {"program": args.out, "instructions": sum(program.length for program in image.programs),
                    "memory_bytes": image.content.size, "macs": image.macs, "tpu": compiled.config.name,
                    "match": str(compiled.match)}
    print(f"{args.out}: {args.figures['instructions']} instructions, {image.content.size:,} bytes "
          f"of memory, {image.macs:,} multiply-accumulates, for {compiled.config.name}")
    return 0
