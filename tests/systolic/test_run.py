"""``systolic run`` and ``compile``: files in, files out, and one line where that cannot be."""

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from systolic import cli, isa
from systolic.runtime.program_file import read_program
from systolic_sim.programs.tflite_models import TfliteModel
from systolic_sim.runtimes import runtime


@pytest.fixture
def model(tmp_path):
    """A model's file and bytes."""
    made = TfliteModel(np.random.default_rng(4))
    x = made.activation((1, 6, 6, 8))
    content = made.file([x], [made.dense(made.conv(x))])
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    return path, content


@pytest.mark.parametrize("on", ["golden", "emulator", "rtl"])
def test_outputs_are_the_runtimes(model, tmp_path, on):
    path, content = model
    x = np.random.default_rng(0).integers(-128, 128, (3, 6, 6, 8)).astype(np.int8)
    np.save(tmp_path / "x.npy", x)
    assert cli.main(["run", str(path), "--input", str(tmp_path / "x.npy"), "--output", str(tmp_path / "y.npy"),
                     "--tpu", "tpu_4x4", "--on", on]) == 0
    theirs = runtime(content, "litert")
    expected, found = np.concatenate([theirs(each[None]) for each in x]), np.load(tmp_path / "y.npy")
    assert found.dtype == expected.dtype and found.shape == expected.shape
    np.testing.assert_array_equal(found, expected)


def test_a_program_file_is_the_model(model, tmp_path, capsys):
    path, _ = model
    assert cli.main(["compile", str(path), "--out", str(tmp_path / "m.tpu"), "--tpu", "tpu_8x8"]) == 0
    for source, name in ((path, "a.npy"), (tmp_path / "m.tpu", "b.npy")):
        assert cli.main(["run", str(source), "--seed", "5", "--output", str(tmp_path / name)]) == 0
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), np.load(tmp_path / "b.npy"))
    assert cli.main(["run", str(tmp_path / "m.tpu"), "--tpu", "tpu_4x4"]) == 2
    assert "rows must be 8" in capsys.readouterr().err


@pytest.mark.parametrize("arguments, message", [
    (["--input", "absent.npy"], "cannot read absent.npy"), (["--on", "moon"], "target must be one of"),
    (["--match", "me"], "match must be one of"), (["--tpu", "tpu_9x9"], "tpu must be one of"),
    (["--output", "y.txt"], "output must be a .npy or .npz file"), (["--input", "bad.npy"], "must be a .npy or .npz"),
    (["--input", "wrong.npy"], "must be int8 [1, 6, 6, 8]"),
])
def test_one_line_each(model, arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.npy").write_text("text")
    np.save(tmp_path / "wrong.npy", np.zeros((1, 6, 6, 7), np.int8))
    assert cli.main(["run", str(model[0]), *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("systolic: error: ") and message in error and error.count("\n") == 1
    assert not (tmp_path / "y.txt").exists()


@pytest.mark.parametrize("content", [b"", b"\0\0\0\0TFL3", b"\x1c\0\0\0TFL3" + bytes(40), b"PK\x03\x04"])
def test_what_is_no_model(content, tmp_path, capsys):
    path = tmp_path / "x.tflite"
    path.write_bytes(content)
    assert cli.main(["run", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("systolic: error: ") and error.count("\n") == 1


@pytest.mark.parametrize("first", range(0, 320, 80))
def test_damaged_models(model, first, tmp_path, capsys):
    """Cut off, or with other bytes: run, or refused in one line."""
    refused = 0
    for seed in range(first, first + 80):
        rng, damaged = np.random.default_rng(seed), bytearray(model[1])
        if seed % 4 == 0:
            del damaged[rng.integers(len(damaged)):]
        for _ in range(0 if seed % 4 == 0 else rng.integers(1, 8)):
            damaged[rng.integers(8, len(damaged))] = rng.integers(256)
        path = tmp_path / "damaged.tflite"
        path.write_bytes(damaged)
        status = cli.main(["compile", str(path), "--out", str(tmp_path / "damaged.tpu"), "--tpu", "tpu_4x4"])
        error = capsys.readouterr().err
        assert (status, error) == (0, "") or (status == 2 and error.startswith("systolic: error: ")
                                              and error.count("\n") == 1)
        refused += status == 2
    assert 20 < refused


def _changed(change):
    """Bytes of a model with its records changed."""
    made = TfliteModel(np.random.default_rng(4))
    x = made.activation((1, 6, 6, 8))
    y = made.conv(x)
    change(made, x, y)
    return made.file([x], [y])


def _huge(made, x, y):
    made._tensors[x].shape = [1, 1 << 20, 1 << 20, 8]


def _large(made, x, y):
    """As many elements as are allowed, which no map is near to."""
    made._tensors[x].shape = [1, 1 << 14, 1 << 14, 8]


def _cyclic(made, x, y):
    made._operators[0].inputs[0] = y


def _of_floats(made, x, y):
    made._tensors[x].type, made._tensors[x].quantization = 0, None


def _unsupported(made, x, y):
    made._codes[0].builtinCode, made._codes[0].deprecatedBuiltinCode = schema.BuiltinOperator.COMPLEX_ABS, 127


@pytest.mark.parametrize("change, message", [
    (_huge, "must have at most 2147483648 elements"), (_large, "must be [1, 8191, 8191, 2], not [1, 2, 2, 2]"),
    (_cyclic, "must be values that exist by then"), (_of_floats, "must be int8 and quantised"),
    (_unsupported, "is not supported; supported are ABS, ADD"),
])
def test_models_that_nobody_can_run(change, message, tmp_path, capsys):
    path = tmp_path / "x.tflite"
    path.write_bytes(_changed(change))
    assert cli.main(["run", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith("systolic: error: ") and message in error and error.count("\n") == 1


def test_disassembled_by_layers(model, tmp_path, capsys):
    path, _ = model
    assert cli.main(["compile", str(path), "--out", str(tmp_path / "m.tpu"), "--tpu", "tpu_8x8"]) == 0
    capsys.readouterr()
    assert cli.main(["disassemble", str(tmp_path / "m.tpu")]) == 0
    text = capsys.readouterr().out
    found = dict.fromkeys(line.removeprefix("# layer ") for line in text.splitlines() if line.startswith("# layer "))
    assert len(found) == 2
    (program,) = read_program(tmp_path / "m.tpu").image.programs
    assert isa.assemble(text) == list(program.operations)
