"""The run itself: train, quantise, multiply on the RTL, compare, and tell."""

import concurrent.futures
import dataclasses
import functools
import os
import pathlib
import tempfile

import numpy as np
import rich.box
import rich.console
import rich.table

from systolic import verilog
from systolic.compiler.evaluate import evaluate
from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.compiler.match import Match
from systolic.config import preset
from systolic.formats import implementation
from systolic.host import HostError
from systolic.runtime import LinkedModel
from systolic.tpu_config import tpu_preset
from systolic_sim.demo import mnist, picture, products, zoo
from systolic_sim.demo.network import Bf16Network, Int8Network, classify
from systolic_sim.demo.training import train
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import matmul_program
from systolic_sim.progress import progress_bar
from systolic_sim.rtl import toolchain
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl
from systolic_sim.rtl.tpu import TpuRtl
from systolic_sim.runtimes import runtime

__all__ = ["run"]

#: Layer widths of the network.
WIDTHS = (mnist.SIDE**2, 128, 64, 10)

#: Configurations that run the whole network, and the small one of which a waveform is recorded.
CONFIGS = (preset("int8_16x16"), preset("bf16_8x8"))
TRACED = preset("int8_8x8")

#: The TPU that runs a convolutional network, its memory's latency in cycles, on how many images at most, and the images
#: by which that is quantised.
TPU, LATENCY, _CONVOLUTIONS, _CALIBRATION = tpu_preset("tpu_8x8"), 20, 40, 200

#: Most images in one product.
BATCH = 125

#: By number format: its network, of the trained one and images to calibrate it; and of how many images it gets one.
#: Simulating a bf16 multiply-add takes ten times an int8 one.
NETWORKS = {"int8": (Int8Network, 1), "bf16": (lambda mlp, calibration: Bf16Network(mlp), 4)}

_TITLE = "Two weight tiles and a stream of handwritten digits pass through the array"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class _Outcome:
    """Predictions and tally of one configuration."""

    config: object
    golden: np.ndarray
    rtl: np.ndarray
    tally: products.Tally

    def plain(self, right, labels):
        """What ``--json`` writes."""
        count = len(self.rtl)
        return {"config": self.config.name, "images": count, "accuracy_float32": float(right[:count].mean()),
                "accuracy_golden": float((self.golden == labels[:count]).mean()),
                "accuracy": float((self.rtl == labels[:count]).mean()), "utilisation": self.tally.utilisation,
                **dataclasses.asdict(self.tally)}


def run(out, images, *, console=None, figures=None):
    """Run the demonstration and print its table.

    Parameters
    ----------
    out : path
        Folder for the Verilog and sidecars, the waveform and the picture.
    images : int
        Test images to use.
    console : rich.console.Console or None
        Where to print; ``None`` takes standard output.
    figures : dict or None
        Filled with what the tables say, as plain data.

    Returns
    -------
    int
        0, or 1 if the RTL differs from the golden model.

    Raises
    ------
    ToolError
        If the images, a compiler or the simulator are missing.
    OSError
        If the folder cannot be written.
    """
    console = console or rich.console.Console(highlight=False)
    # What may be missing comes before the folder, which is not to be left behind empty.
    toolchain.require("g++")
    train_digits, test_digits = mnist.load()
    out = pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    test = test_digits[:images]
    with progress_bar("training") as report:
        mlp = train(train_digits, WIDTHS, progress=report)
    right = mlp.classify(test.pixels / np.float32(255)) == test.labels
    try:
        outcomes = [_outcome(config, mlp, train_digits.pixels, test.pixels, out) for config in CONFIGS]
        convolutional = _convolutional(train_digits, test, out)
        files = _record(mlp, train_digits.pixels, test.pixels, out)
    except products.Mismatch as mismatch:
        console.print(f"[bold red]wrong[/]: {mismatch}", soft_wrap=True)
        if figures is not None:
            figures |= {"wrong": str(mismatch)}
        return 1
    if figures is not None:
        figures |= {"networks": [each.plain(right, test.labels) for each in outcomes], "convolutional": convolutional}
    console.print(_table(outcomes, right, test.labels))
    console.print(_convolutional_table(convolutional))
    names = ", ".join(f"{each.name}.v and .json" for each in (*CONFIGS, TPU))
    console.print(f"Written to {out}: {names};\n{files}", soft_wrap=True)
    return 0


def _outcome(config, mlp, calibration, pixels, out):
    """Run a configuration's network on its share of the images, a batch a processor at a time."""
    kind, share = implementation(NETWORKS, config.arch.format, "network", f"{__name__}.NETWORKS")
    pixels = pixels[:-(-len(pixels) // share)]
    design = _design(config, out)
    MatrixUnitRtl(config, design=design)
    network = kind(mlp, calibration)
    size = min(BATCH, config.arch.accumulator_depth)
    batches = [pixels[low:low + size] for low in range(0, len(pixels), size)]
    parts = []
    with progress_bar(f"golden model and RTL {config.name}") as report, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for part in pool.map(functools.partial(_part, config, design, network), batches):
            parts.append(part)
            report(len(parts), len(batches))
    golden, rtl, tallies = zip(*parts, strict=True)
    return _Outcome(config=config, golden=np.concatenate(golden), rtl=np.concatenate(rtl),
                    tally=products.Tally.total(tallies))


def _part(config, design, network, pixels):
    """Classes of a batch by the golden model and by the RTL, and the tally of the latter."""
    golden = products.Golden(config)
    expected = classify(network, pixels, golden)
    # The compiled model is in the cache by now; each batch has its own state of it.
    rtl = products.Rtl(MatrixUnitRtl(config, design=design), golden.sums)
    return expected, classify(network, pixels, rtl), rtl.tally


def _convolutional(calibration, digits, out):
    """A trained convolutional network on a TPU: figures of what the generated Verilog made of the images."""
    content = zoo.quantised_model(calibration[:_CALIBRATION])
    graph, runs = read_model(content), digits[:_CONVOLUTIONS]
    compiled = compile_graph(graph, TPU, match=Match.ONNXRUNTIME)
    reference = runtime(content, Match.ONNXRUNTIME)
    rtl = TpuRtl(TPU, design=_design(TPU, out))
    rtl.connect(np.zeros(compiled.image.end, np.uint8), latency=LATENCY)
    model, cycles, wrong, right = LinkedModel(compiled, rtl), 0, 0, 0
    with progress_bar(f"RTL {TPU.name}, a convolutional network") as report:
        for number, (picture_, label) in enumerate(zip(zoo.pictures(runs)[:, None], runs.labels, strict=True), start=1):
            try:
                logits = model.run(picture_)
            except HostError as error:
                raise products.Mismatch(f"{TPU.name}: {error}") from None
            wrong += int(np.count_nonzero(logits != reference(picture_)))
            right += int(logits.argmax() == label)
            cycles += sum(outcome.counters["cycles"] for outcome in model.outcomes)
            report(number, len(runs))
    if wrong:
        raise products.Mismatch(f"{TPU.name}: {wrong:,} of {logits.size * len(runs):,} logits differ from ONNX "
                                "Runtime's")
    golden = [evaluate(graph, {graph.inputs[0]: each}, match=Match.ONNXRUNTIME)[graph.outputs[0]].argmax()
              for each in zoo.pictures(digits)[:, None]]
    theirs = [reference(each).argmax() for each in zoo.pictures(digits)[:, None]]
    cells = TPU.matrix.arch.rows * TPU.matrix.arch.cols
    return {"tpu": TPU.name, "images": len(runs), "accuracy": right / len(runs), "logits": logits.size * len(runs),
            "wrong": wrong, "images_elsewhere": len(digits),
            "accuracy_golden": float(np.mean(golden == digits.labels)),
            "accuracy_onnxruntime": float(np.mean(theirs == digits.labels)),
            "instructions": sum(program.length for program in compiled.image.programs), "macs": compiled.image.macs,
            "cycles": cycles // len(runs), "utilisation": compiled.image.macs * len(runs) / (cells * cycles)}


def _convolutional_table(figures):
    table = _new_table("A convolutional network of the ONNX model zoo, quantised by ONNX Runtime, compiled for a TPU")
    table.add_column(TPU.name, justify="right")
    for name, value in (
            ("images on the generated Verilog", f"{figures['images']:,}"), ("accuracy", _percent(figures["accuracy"])),
            ("logits compared with ONNX Runtime's, and wrong", f"{figures['logits']:,}, {figures['wrong']:,}"),
            (f"accuracy on {figures['images_elsewhere']:,} images, ours and ONNX Runtime's", " ".join(
                _percent(figures[name]) for name in ("accuracy_golden", "accuracy_onnxruntime"))),
            ("instructions", f"{figures['instructions']:,}"), ("MACs per image", f"{figures['macs']:,}"),
            ("cycles per image", f"{figures['cycles']:,}"),
            ("utilisation: MACs / (R x C x cycles)", _percent(figures["utilisation"]))):
        table.add_row(name, value)
    return table


def _design(config, out):
    design = verilog.generate(config)
    verilog.write(design, out)
    return design


def _record(mlp, calibration, pixels, out):
    """Waveform and picture of two tiles: pixels amid the images, times two blocks of neurons."""
    model = MatrixUnitRtl(TRACED, design=_design(TRACED, out), trace=True)
    rows, cols = TRACED.arch.rows, TRACED.arch.cols
    start = _centre(rows)
    network = Int8Network(mlp, calibration)
    x = network.inputs(pixels[:3 * rows])[:, start:start + rows]
    program = matmul_program(TRACED.arch, x, network.layers[0].weights[start:start + rows, :2 * cols])
    waveform, image = out / f"{TRACED.name}.vcd", out / "wavefront.svg"
    with tempfile.TemporaryDirectory(dir=out, prefix=".") as folder:
        draft = pathlib.Path(folder, waveform.name)
        results, _ = model.run(program, trace=draft)
        wrong = np.count_nonzero(results != MatrixUnit(TRACED.arch).run(program))
        if wrong:
            raise products.Mismatch(f"{TRACED.name}, layer 1: {wrong} sums differ from the golden model")
        drawing = picture.svg(picture.activity(draft), title=_TITLE, subtitle=_subtitle(start, len(x)))
        os.replace(draft, waveform)
    image.write_text(drawing)
    return f"{waveform.name}, a waveform of two tiles from reset, with its Verilog; and {image.name}, drawn from it."


def _centre(rows):
    """First of the pixels that make the tile in the middle of the images: whole tiles from pixel 0 on."""
    middle = mnist.SIDE * mnist.SIDE // 2 + mnist.SIDE // 2
    return (middle - rows // 2) // rows * rows


def _subtitle(start, images):
    arch = TRACED.arch
    row, column = divmod(start, mnist.SIDE)
    return (f"{arch.rows} x {arch.cols} int8 cells, read from the waveform of the generated Verilog. {images} images "
            "enter one per cycle, once per tile:",
            f"pixels {column} to {column + arch.rows - 1} of their row {row} move right, sums move down, so an image "
            "is a diagonal. New weights arrive with the wave.")


def _table(outcomes, right, labels):
    table = _new_table(f"MNIST, {'-'.join(map(str, WIDTHS))} network, unseen test digits")
    for outcome in outcomes:
        table.add_column(outcome.config.name, justify="right")
    for name, cell in _LINES:
        table.add_row(name, *(cell(outcome, right, labels) for outcome in outcomes),
                      end_section=name.startswith(("wrong", "useful MACs /", "rows")))
    return table


def _new_table(title):
    table = rich.table.Table(title=title, title_style="bold", title_justify="left", box=rich.box.SIMPLE_HEAD)
    table.add_column("")
    return table


def _percent(part):
    return f"{100 * part:.1f} %"


_LINES = [
    ("test images", lambda o, right, labels: f"{len(o.rtl):,}"),
    ("accuracy, float32 network", lambda o, right, labels: _percent(right[:len(o.rtl)].mean())),
    ("accuracy, golden model", lambda o, right, labels: _percent((o.golden == labels[:len(o.rtl)]).mean())),
    ("accuracy, generated Verilog", lambda o, right, labels: _percent((o.rtl == labels[:len(o.rtl)]).mean())),
    ("bits compared", lambda o, right, labels: f"{o.tally.bits:,}"),
    ("wrong bits", lambda o, right, labels: f"{o.tally.wrong:,}"),
    ("matrix products", lambda o, right, labels: f"{o.tally.products:,}"),
    ("MACs", lambda o, right, labels: f"{o.tally.macs:,}"),
    ("cycles", lambda o, right, labels: f"{o.tally.cycles:,}"),
    ("cycles predicted", lambda o, right, labels: f"{o.tally.predicted:,}"),
    ("utilisation: MACs / (R x C x cycles)", lambda o, right, labels: _percent(o.tally.utilisation)),
    ("rows / cycles", lambda o, right, labels: _percent(o.tally.busy)),
    ("simulated cycles per CPU second", lambda o, right, labels: f"{o.tally.speed:,.0f}"),
]
