"""The file of a compiled model: all that it takes to run it, for one configuration of the TPU.

::

    model.tpu    a zip archive, nothing compressed, the same bytes for the same model
        manifest.json      kind of file and version
        model.json         configuration, match, image, steps, graph; arrays by number
        arrays/0.npy ...   code and constants, states
        plan.bin           what the C driver reads in place of model.json
        (comment)          SHA-256 of all bytes before it

Nothing of it is ever executed: JSON and arrays of numbers, read without pickle.
"""

import hashlib
import io
import json
import os
import pathlib
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..compiler.compiled import CompiledModel
from ..config import Arch, Config, Impl
from ..errors import ConfigError, UserError
from ..tpu_config import TpuConfig
from .arrays import Array
from .description import describe_model, model_of
from .plan import plan

__all__ = ["ProgramFileError", "VERSION", "difference", "is_program", "read_program", "require_same", "write_program"]

#: Of the file's format; a reader refuses every other.
VERSION = 1

_KIND = "systolic program"
_MAGIC = b"PK\x03\x04"
_DIGEST = "sha256:"
_COMMENT_BYTES = len(_DIGEST) + 64
_TIME = (1980, 1, 1, 0, 0, 0)


class ProgramFileError(UserError, ValueError):
    """A file is no program, not all of one, or of another version."""


def is_program(path: str | os.PathLike[str]) -> bool:
    """Whether a file says that it is one, by its name or its first bytes."""
    path = pathlib.Path(path)
    if path.suffix == ".tpu":
        return True
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC
    except OSError:
        return False


def write_program(path: str | os.PathLike[str], compiled: CompiledModel) -> None:
    """Write a compiled model, whole or not at all.

    Raises
    ------
    OSError
        If the file cannot be written.
    """
    path = pathlib.Path(path)
    arrays: list[Array] = []
    model = describe_model(compiled, arrays) | {"config": compiled.config.describe()}
    members = {"manifest.json": _json({"kind": _KIND, "version": VERSION}), "model.json": _json(model)}
    members |= {f"arrays/{number}.npy": _npy(array) for number, array in enumerate(arrays)}
    members["plan.bin"] = plan(compiled, model["image"]["content"])
    write_whole(path, _archive(members))


def write_whole(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a file so that under its name there is what was there before, or all of it.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    path = pathlib.Path(path)
    try:
        descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        # As open would have made it.
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(draft, 0o666 & ~mask)
        os.replace(draft, path)
    except OSError as error:
        pathlib.Path(draft).unlink(missing_ok=True)
        raise OSError(error.errno, error.strerror, str(path)) from None


def _json(data: object) -> bytes:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).encode()


def _npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array, order="C"), version=(1, 0), allow_pickle=False)
    return file.getvalue()


def _archive(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.create_system = 3
            archive.writestr(info, content)
        archive.comment = b"." * _COMMENT_BYTES
    body = file.getvalue()[:-_COMMENT_BYTES]
    return body + _digest(body)


def _digest(body: bytes) -> bytes:
    return f"{_DIGEST}{hashlib.sha256(body).hexdigest()}".encode()


def read_program(path: str | os.PathLike[str]) -> CompiledModel:
    """A compiled model from its file.

    Raises
    ------
    ProgramFileError
        If the file is missing, of another kind or version, or not as it was written.
    """
    try:
        content = pathlib.Path(path).read_bytes()
    except OSError as error:
        raise ProgramFileError(f"cannot read {path}: {error.strerror}") from None
    if not content.startswith(_MAGIC):
        raise ProgramFileError(f"{path} is no program: systolic compile writes one from a model")
    body, comment = content[:-_COMMENT_BYTES], content[-_COMMENT_BYTES:]
    if comment != _digest(body):
        raise ProgramFileError(f"{path} is damaged: its {len(content)} bytes are not those that were written")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            _check_manifest(path, json.loads(archive.read("manifest.json")))
            model = json.loads(archive.read("model.json"))
            arrays = list(_arrays(archive))
        return model_of(model, arrays, config_of(model["config"]))
    except (zipfile.BadZipFile, KeyError, IndexError, TypeError, ValueError) as error:
        if isinstance(error, ProgramFileError):
            raise
        raise ProgramFileError(f"{path} is no program of version {VERSION}: {error}") from None


def _check_manifest(path: str | os.PathLike[str], manifest: Mapping[str, Any]) -> None:
    if manifest["kind"] != _KIND:
        raise ProgramFileError(f"{path} is no program: systolic compile writes one from a model")
    if manifest["version"] != VERSION:
        raise ProgramFileError(f"{path} is a program of version {manifest['version']}, and this command reads "
                               f"version {VERSION}: compile the model again")


def _arrays(archive: zipfile.ZipFile) -> Iterator[Array]:
    count = sum(name.startswith("arrays/") for name in archive.namelist())
    for number in range(count):
        array: Array = np.lib.format.read_array(io.BytesIO(archive.read(f"arrays/{number}.npy")), allow_pickle=False)
        yield array


# Configurations.

def config_of(data: Mapping[str, Any]) -> TpuConfig:
    """The configuration of its description, :meth:`.TpuConfig.describe`."""
    data = dict(data)
    matrix = data.pop("matrix")
    unit = Config(arch=Arch(**matrix["arch"]), impl=Impl(**matrix["impl"]), name=matrix["name"])
    return TpuConfig(matrix=unit, **data)


def difference(built: TpuConfig, other: TpuConfig) -> Iterator[tuple[str, object, object]]:
    """Parameters in which two configurations differ so that a program for one need not run on the other.

    Pipelining and mapping, :class:`.Impl`, and names are not among them.
    """
    ours, theirs = built.parameters, other.parameters
    for name, value in ours.items():
        if value != theirs[name]:
            yield name, value, theirs[name]


def require_same(built: TpuConfig, other: TpuConfig, what: str) -> None:
    """Raise ConfigError, naming the first parameter that differs, unless a program for one runs on the other."""
    for name, ours, theirs in difference(built, other):
        raise ConfigError(f"{name} must be {ours}, for which {what} is compiled, not {theirs} as in {other.name}: "
                          "compile the model again, or choose another TPU")
