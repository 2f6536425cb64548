"""The marker ``needs``: what it makes of tests, and that no test skips itself in another way."""

import pathlib
import re
import subprocess
import sys

import pytest

TESTS = pathlib.Path(__file__).parent
SAMPLE = """
import pytest

@pytest.mark.needs("icarus")
@pytest.mark.parametrize("k", range(3))
def test_marked(k):
    pass

@pytest.mark.parametrize("name", ["a", pytest.param("b", marks=pytest.mark.needs("icarus"))])
def test_parameter(name):
    pass
"""


@pytest.fixture
def sample(tmp_path):
    """Function that runs the sample where no program is installed; returns exit code and output."""
    (tmp_path / "conftest.py").write_text((TESTS / "conftest.py").read_text())
    (tmp_path / "test_sample.py").write_text(SAMPLE)

    def run(*options):
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", *options], cwd=tmp_path, env={"PATH": "/nowhere"},
                              capture_output=True, text=True, check=False)
        return done.returncode, done.stdout
    return run


@pytest.mark.parametrize("workers", [(), ("-n", "1")], ids=["alone", "worker"])
def test_a_missing_tool_is_told_once(sample, workers):
    code, printed = sample(*workers)
    assert code == 0 and "\n    4  needs Icarus Verilog: apt install iverilog\n" in printed
    assert printed.count("iverilog") == 1 and "1 passed, 4 skipped" in printed


def test_nothing_may_be_skipped(sample):
    code, printed = sample("--no-skips", "-m", "needs")
    assert code == 1 and "4 errors" in printed and "\nneeds Icarus Verilog: apt install iverilog\n" in printed


def test_the_marker_is_the_only_way_to_skip():
    own = {TESTS / "conftest.py", TESTS / "test_needs.py"}
    others = [path for path in TESTS.rglob("*.py") if path not in own
              and re.search(r"\b(skip|skipif|skipTest|importorskip|SkipTest)\b\(", path.read_text())]
    assert others == []
