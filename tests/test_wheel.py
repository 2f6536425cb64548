"""What ``pip install`` gets is what the packages hold: a file that only the checkout has fails at the user's."""

import pathlib
import shutil
import subprocess
import sys
import zipfile

import pytest

ROOT = pathlib.Path(__file__).parent.parent
SOURCES = ("hdl", "sim", "boards")
BUILD = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of a copy of the sources, which the build writes into."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    subprocess.run([sys.executable, "-c", BUILD, "out"], cwd=folder, check=True, capture_output=True)
    path, = (folder / "out").iterdir()
    return folder, zipfile.ZipFile(path)


def test_every_file_is_in_it(wheel):
    folder, archive = wheel
    packaged = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {str(path.relative_to(folder / name)) for name in SOURCES for path in (folder / name).rglob("*")
               if path.is_file() and "egg-info" not in str(path)}
    assert packaged == sources and {"systolic/cli.py", "systolic/registers.rdl"} < packaged


def test_the_command_runs_from_it(wheel, tmp_path):
    """With the packages of the wheel before those of the checkout."""
    wheel[1].extractall(tmp_path / "site")
    code = "import systolic, sys; print(systolic.__file__); from systolic import cli; sys.exit(cli.main())"
    done = subprocess.run([sys.executable, "-c", code, "registers", "--out", "made"], cwd=tmp_path, text=True,
                          env={"PYTHONPATH": str(tmp_path / "site")}, check=True, capture_output=True)
    assert done.stdout.splitlines()[0] == str(tmp_path / "site/systolic/__init__.py") and done.stderr == ""
    assert (tmp_path / "made/registers.md").exists()
