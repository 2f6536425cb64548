"""What ``import systolic`` gives, and what type checkers find in it."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import systolic
import systolic_sim
from systolic.config import Config
from systolic.runtime import load
from systolic.tpu_config import TpuConfig
from systolic.verilog import generate

USER = """
import systolic
import systolic_sim

unit = systolic.Config(arch=systolic.Arch(rows=4, cols=4), name="mine")
version: str = systolic.__version__
tpu: systolic.TpuConfig = systolic.tpu_preset("tpu_4x4")
systolic.write(systolic.generate(unit), "ip")
reveal_type(unit.arch.rows)
reveal_type(systolic.load("model.tflite", tpu=tpu))
reveal_type(systolic_sim.matmul([[1]], [[1]], on="rtl"))
"""


def test_what_people_need_is_there():
    assert (systolic.Config, systolic.TpuConfig) == (Config, TpuConfig)
    assert (systolic.generate, systolic.load) == (generate, load)
    assert systolic.__version__ == importlib.metadata.version("systolic")
    for package in (systolic, systolic_sim):
        assert all(getattr(package, name) is not None for name in package.__all__)
        assert set(package.__all__) <= set(dir(systolic)) | {"matmul"}


@pytest.mark.parametrize("package", [systolic, systolic_sim])
def test_what_is_not_there_is_an_error(package):
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'generat'"):
        package.generat  # noqa: B018


def test_the_import_alone_is_light():
    code = "import sys; import systolic, systolic_sim; print({'amaranth', 'numpy', 'rich'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_types_are_found(tmp_path):
    """By mypy in a user's file, which it would not look at without the markers of PEP 561."""
    folder = {Path(package.__file__).parent for package in (systolic, systolic_sim)}
    assert all((each / "py.typed").exists() for each in folder)
    (tmp_path / "user.py").write_text(USER)
    path = ":".join(str(each.parent) for each in folder)
    done = subprocess.run([sys.executable, "-m", "mypy", "--config-file=", "--follow-imports=silent", "user.py"],
                          cwd=tmp_path, capture_output=True, text=True, env={"MYPYPATH": path})
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.partition("Revealed type is ")[2].strip('"') for line in done.stdout.splitlines()[:3]] == [
        "int", "systolic.runtime.model.Model", "numpy.ndarray[tuple[Any, ...], numpy.dtype[Any]]"], done.stdout
