"""Files of compiled models: the same bytes every time, the same model back, and nothing else accepted."""

import dataclasses
import hashlib
import io
import json
import os
import zipfile

import numpy as np
import pytest

from systolic import runtime
from systolic.compiler.compiled import HostStep
from systolic.compiler.graph import Node, operators
from systolic.errors import ConfigError, UserError
from systolic.runtime import ProgramFileError, program_file, read_program, write_program
from systolic.runtime.description import describe_model, model_of
from systolic.tpu_config import TPU_PRESETS, tpu_preset


@pytest.fixture
def path(sample, tmp_path):
    path = tmp_path / "model.tpu"
    write_program(path, sample.compiled)
    return path


def plain(compiled):
    """All of a model in a form that compares."""
    arrays = []
    data = json.dumps(describe_model(compiled, arrays))
    return data, [(array.dtype.str, array.shape, array.tobytes()) for array in arrays]


def test_what_is_written_is_read(sample, path):
    found = read_program(path)
    assert plain(found) == plain(sample.compiled) and found.config == sample.compiled.config
    assert found.image.programs == sample.compiled.image.programs
    assert found.graph.nodes == sample.compiled.graph.nodes and found.steps == sample.compiled.steps
    x = sample.inputs(0)
    np.testing.assert_array_equal(runtime.load(path).run(x), sample.expected(x))


def test_the_same_model_is_the_same_bytes(sample, path, tmp_path, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    write_program(tmp_path / "again", sample.compiled)
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    write_program(tmp_path / "once more", read_program(path))
    assert (tmp_path / "once more").read_bytes() == path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None and archive.namelist()[:2] == ["manifest.json", "model.json"]


def test_every_operator_is_read_back(sample):
    """With every field away from its default."""
    def some(field):
        kind = str(field.type)
        return ((1, 2), (3, 4)) if "Pair, Pair" in kind or "Pair, ..." in kind else \
            (5, 6) if "Pair" in kind or "tuple" in kind else "x" if kind == "str" or "str" in kind else 7

    kinds = [getattr(operators, name) for name in operators.__all__ if name != "Operator"]
    nodes = tuple(Node(name=kind.__name__, inputs=("image",), outputs=(f"out {kind.__name__}",), operator=kind(
        **{field.name: some(field) for field in dataclasses.fields(kind)})) for kind in kinds)
    graph, value = sample.compiled.graph, sample.compiled.graph.values["self"]
    values = {node.outputs[0]: dataclasses.replace(value, name=node.outputs[0]) for node in nodes}
    graph = dataclasses.replace(graph, nodes=nodes, values=dict(graph.values) | values, outputs=("out Conv2D",))
    steps = tuple(HostStep(node=node, reason="a test") for node in nodes)
    compiled, arrays = dataclasses.replace(sample.compiled, graph=graph, steps=steps), []
    data = json.loads(json.dumps(describe_model(compiled, arrays)))
    found = model_of(data, arrays, compiled.config)
    assert found.graph.nodes == nodes and found.steps == steps


def test_every_byte_counts(path, tmp_path):
    """Wherever a file is cut or changed, one line says that it is damaged."""
    content, damaged = path.read_bytes(), tmp_path / "damaged.tpu"
    rng = np.random.default_rng(0)
    for place in [*range(0, 80), *range(len(content) - 120, len(content)), *rng.integers(0, len(content), 300)]:
        flipped = bytes([content[place] ^ 1 << place % 8])
        for wrong in (content[:place], content[:place] + flipped + content[place + 1:]):
            damaged.write_bytes(wrong)
            with pytest.raises(ProgramFileError) as error:
                read_program(damaged)
            assert str(damaged) in str(error.value) and "\n" not in str(error.value)
    damaged.write_bytes(content + b"x")
    with pytest.raises(ProgramFileError, match="is damaged"):
        read_program(damaged)


def rewritten(path, change):
    """A file with a right digest whose members are changed."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    change(members)
    path.write_bytes(program_file._archive(members))


def _model(**changes):
    def change(members):
        data = json.loads(members["model.json"])
        data.update(changes)
        members["model.json"] = json.dumps(data).encode()
    return change


def _objects(members):
    file = io.BytesIO()
    np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    members["arrays/0.npy"] = file.getvalue()


@pytest.mark.parametrize("change, message", [
    (lambda members: members.update({"manifest.json": b'{"kind": "systolic program", "version": 2}'}),
     "is a program of version 2, and this command reads version 1: compile the model again"),
    (lambda members: members.update({"manifest.json": b'{"kind": "a picture", "version": 1}'}), "is no program"),
    (lambda members: members.pop("manifest.json"), "is no program of version 1"),
    (lambda members: members.update({"model.json": b"{"}), "is no program of version 1"),
    (_model(steps=[{"node": "nobody", "reason": ""}]), "is no program of version 1"),
    (_model(match="x"), "is no program of version 1"), (_model(config={}), "is no program of version 1"),
    (_objects, "is no program of version 1: Object arrays"),
])
def test_files_of_another_kind(path, change, message):
    rewritten(path, change)
    with pytest.raises(ProgramFileError, match=message):
        read_program(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(ProgramFileError, match=r"cannot read .*no\.tpu: No such file"):
        runtime.load(tmp_path / "no.tpu")
    (tmp_path / "model.tpu").write_bytes(b"TFL3" * 100)
    with pytest.raises(ProgramFileError, match="is no program: systolic compile writes one from a model"):
        runtime.load(tmp_path / "model.tpu")


def test_another_configuration_is_refused_by_name(path):
    for changes, message in (
        ({"buffer_size": 16384}, "buffer_size must be 8192, for which .*model.tpu is compiled, not 16384 as in tpu"),
        ({"lanes": 4}, "lanes must be 2"), ({"bus_bytes": 8}, "bus_bytes must be 4"),
    ):
        with pytest.raises(ConfigError, match=message):
            runtime.load(path, tpu=dataclasses.replace(tpu_preset("tpu_4x4"), **changes))
    with pytest.raises(UserError, match="rows must be 4"):
        runtime.load(path, tpu="tpu_16x16")


def test_configurations_are_read_back():
    for config in TPU_PRESETS.values():
        data = json.loads(json.dumps(config.describe()))
        assert program_file.config_of(data) == config
        assert list(program_file.difference(config, config)) == []


def test_a_file_is_written_whole_or_not_at_all(sample, path, monkeypatch):
    before = path.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        write_program(path, sample.compiled)
    assert path.read_bytes() == before and [each.name for each in path.parent.iterdir()] == ["model.tpu"]


def test_the_digest_is_of_all_bytes_before_it(path):
    content = path.read_bytes()
    assert content[-64:].decode() == hashlib.sha256(content[:-71]).hexdigest()
