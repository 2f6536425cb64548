"""Layers, their sum, and what the command writes."""

import csv
import json
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from systolic import cli
from systolic.compiler.frontends import read_model
from systolic.compiler.lowering import compile_graph
from systolic.tpu_config import tpu_preset
from systolic_sim.cycles.tpu import predict
from systolic_sim.profile.layers import profile, total
from systolic_sim.programs.tflite_models import TfliteModel


@pytest.fixture
def content():
    """Two convolutions and a dense layer."""
    model = TfliteModel(np.random.default_rng(4))
    x = model.activation((1, 10, 10, 8))
    return model.file([x], [model.dense(model.conv(model.conv(x)))])


def test_layers_add_up_to_the_program(content):
    config = tpu_preset("tpu_8x8")
    compiled = compile_graph(read_model(content), config)
    layers = profile(compiled, latency=20)
    counters = predict(config, list(compiled.image.programs[0].operations), latency=20).counters
    whole = total(layers, 64)
    assert whole.cycles == counters["cycles"] and whole.macs == counters["useful_macs"]
    assert whole.bytes == counters["bytes_read"] + counters["bytes_written"] and whole.active == counters["active"]
    assert all(layer.active + layer.weights + layer.other == layer.cycles for layer in layers)
    assert [layer.kind for layer in layers if layer.macs] == ["Conv2D", "Conv2D", "Dense"]


def test_command(content, tmp_path, capsys):
    model, files = tmp_path / "model.tflite", [tmp_path / f"rows.{kind}" for kind in ("json", "csv", "svg")]
    model.write_bytes(content)
    options = [text for path in files for text in (f"--{path.suffix[1:]}", str(path))]
    assert cli.main(["profile", str(model), "--tpu", "tpu_8x8", *options]) == 0
    assert "Conv2D" in capsys.readouterr().out
    rows = json.loads(files[0].read_text())
    assert rows[-1]["name"] == "total" and rows[-1]["cycles"] == sum(row["cycles"] for row in rows[:-1])
    assert [row["name"] for row in csv.DictReader(files[1].read_text().splitlines())] == [row["name"] for row in rows]
    texts = [each.text for each in ET.parse(files[2]).iter() if each.tag.endswith("text")]
    assert any("roof: 64" in (text or "") for text in texts)


@pytest.mark.parametrize("arguments, message", [
    (["--latency", "0"], "latency must be an integer from 1"), (["--tpu", "tpu_9x9"], "tpu must be one of"),
])
def test_bad_options(arguments, message, content, tmp_path, capsys):
    (tmp_path / "model.tflite").write_bytes(content)
    assert cli.main(["profile", str(tmp_path / "model.tflite"), *arguments]) == 2
    assert message in capsys.readouterr().err
