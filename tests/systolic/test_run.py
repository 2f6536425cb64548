"""``systolic run`` and ``compile``: files in, files out, and one line where that cannot be."""

import numpy as np
import pytest

from systolic import cli
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
