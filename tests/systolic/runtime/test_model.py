"""Models that run: the same results on every target, states and images kept, errors that say what is expected."""

import dataclasses
import importlib.metadata

import numpy as np
import pytest

from systolic import runtime
from systolic.compiler.compiled import CompiledModel
from systolic.compiler.match import Match
from systolic.errors import ConfigError
from systolic.host import HostError
from systolic.runtime.arrays import InputError
from systolic.tpu_config import tpu_preset
from systolic_sim.links import EmulatorLink


class CountingLink(EmulatorLink):
    """Counts the bytes that are written to memory."""

    written = 0

    def write(self, address, data):
        self.written += len(data)
        super().write(address, data)


@pytest.mark.parametrize("on", ["emulator", "rtl"])
def test_a_model_runs(sample, on):
    model = runtime.load(sample.compiled, on=on)
    for seed in range(3):
        x = sample.inputs(seed)
        np.testing.assert_array_equal(model.run(x), sample.expected(x))
        np.testing.assert_array_equal(model.run({"image": x}), sample.expected(x))
    assert [outcome.halted for outcome in model.outcomes] == [True, True]
    assert all(bool(outcome.counters["cycles"]) == (on == "rtl") for outcome in model.outcomes)
    macs = [np.prod(w.shape) * x.shape[1] for w in sample.weights]
    assert [outcome.counters["useful_macs"] for outcome in model.outcomes] == macs


def test_the_image_is_written_once(sample):
    image = sample.compiled.image
    link = CountingLink(sample.compiled.config, image.end)
    model = runtime.LinkedModel(sample.compiled, link)
    assert link.written == 0
    model.run(sample.inputs(0))
    inputs = sum(variable.region.size for variable in image.inputs.values())
    assert link.written == image.content.size + inputs
    for again in range(1, 4):
        model.run(sample.inputs(0))
        assert link.written == image.content.size + (again + 1) * inputs
    model.reset()
    model.run(sample.inputs(0))
    assert link.written == 2 * image.content.size + 5 * inputs


@pytest.mark.parametrize("x, message", [
    (np.zeros((1, 7, 9), np.uint8), r"input image must be int8 \[1, 7, 9\], not uint8 \[1, 7, 9\]"),
    (np.zeros((7, 9), np.int8), r"input image must be int8 \[1, 7, 9\], not int8 \[7, 9\]"),
    ([1, 2], r"input image must be int8 \[1, 7, 9\], not int64 \[2\]"),
    ({}, r"inputs must be image int8 \[1, 7, 9\], not none"),
    ({"x": 1, "image": 2}, r"inputs must be image int8 \[1, 7, 9\], not x, image"),
])
def test_inputs_that_do_not_fit(sample, x, message):
    model = runtime.load(sample.compiled)
    with pytest.raises(InputError, match=message):
        model.run(x)
    x = sample.inputs(1)
    np.testing.assert_array_equal(model.run(x), sample.expected(x))


def test_what_does_not_fit_a_compiled_model(sample):
    for options, message in (
        ({"on": "fpga"}, "target must be one of golden, board, emulator, rtl, serial, not 'fpga'"),
        ({"on": "emulator:5"}, "target must be emulator or emulator:strict, not 'emulator:5'"),
        ({"tpu": "tpu_8x8"}, "rows must be 4, for which sample is compiled, not 8 as in tpu_8x8: compile the model"),
        ({"tpu": "tpu_9"}, "tpu must be one of tpu_4x4"),
        ({"match": "micro"}, "match must be litert, for which sample is compiled, not 'micro'"),
        ({"match": "tflite"}, "match must be one of litert, reference, micro, onnxruntime, not 'tflite'"),
    ):
        with pytest.raises(ConfigError, match=message):
            runtime.load(sample.compiled, **options)
    # Pipelining and names change no result.
    config = tpu_preset("tpu_4x4")
    unit = dataclasses.replace(config.matrix, impl=dataclasses.replace(config.matrix.impl, hop_stages=2))
    runtime.load(sample.compiled, tpu=dataclasses.replace(config, matrix=unit, name="other"), match=Match.LITERT)


@pytest.mark.parametrize("tpu, message", [
    (tpu_preset("tpu_8x8"), "rows of the TPU must be 4, which sample is compiled for, not 8"),
    (dataclasses.replace(tpu_preset("tpu_4x4"), buffer_size=4096), "buffer_size of the TPU must be 8192, .*, not 4096"),
    (dataclasses.replace(tpu_preset("tpu_4x4"), lanes=1), "lanes of the TPU must be 2, .*, not 1"),
    (dataclasses.replace(tpu_preset("tpu_4x4"), roundings=1), "roundings of the TPU must be 3, .*, not 1"),
    (dataclasses.replace(tpu_preset("tpu_4x4"), burst_beats=4), "build of the TPU must be [0-9]+, .*, not [0-9]+"),
])
def test_another_tpu(sample, tpu, message):
    """A program is refused by the first parameter that differs, whatever it is."""
    link = EmulatorLink(tpu, sample.compiled.image.end)
    with pytest.raises(HostError, match=message):
        runtime.LinkedModel(sample.compiled, link)


@pytest.mark.parametrize("on", ["emulator", "rtl"])
def test_a_program_that_stops(sample, on):
    """The error has the instruction, its layer and, from the emulator, the access; the next run is unharmed."""
    image, compiled = sample.compiled.image, sample.compiled
    content = image.content.copy()
    product = next(index for index, each in enumerate(image.programs[1]) if each.name == "matrix_multiply")
    # Its region's size, word 2.
    content[image.programs[1].address - image.base + 64 * product + 8:][:4] = (1, 0, 0, 0)
    broken = dataclasses.replace(image, content=content)
    model = runtime.load(CompiledModel(graph=compiled.graph, config=compiled.config, match=compiled.match, image=broken,
                                       steps=compiled.steps), on=on)
    detail = ": the row y=0 x=0 of tile n=0" if on == "emulator" else "$"
    for _ in range(2):
        with pytest.raises(HostError, match=rf"^program 1 stopped at instruction {product} of layer layer1: "
                           rf"matrix_multiply .*: an access is outside the declared region \(error 5\){detail}"):
            model.run(sample.inputs(0))
    model.compiled = compiled
    np.testing.assert_array_equal(model.run(sample.inputs(2)), sample.expected(sample.inputs(2)))


def test_targets_come_from_entry_points(sample, monkeypatch):
    found = importlib.metadata.EntryPoint("mine", "tests.link:open", runtime.TARGETS_GROUP)
    opened = []

    def load(entry):
        def open_link(config, size, argument):
            opened.append((entry.name, config, size, argument))
            return EmulatorLink(config, size)
        return open_link

    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [found])
    monkeypatch.setattr(importlib.metadata.EntryPoint, "load", load)
    assert runtime.targets() == ["golden", "mine"]
    model = runtime.load(sample.compiled, on="mine:/dev/ttyUSB0:3")
    assert opened == [("mine", sample.compiled.config, sample.compiled.image.end, "/dev/ttyUSB0:3")]
    np.testing.assert_array_equal(model.run(sample.inputs(4)), sample.expected(sample.inputs(4)))
