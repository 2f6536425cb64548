"""The programs of the flow, each in a process of its own: a crash, a log or an exit never hurts the caller.

Yosys comes as a Python module, the others as WebAssembly in wheels. Those see the files below the working
directory and nothing below ``/tmp`` by an absolute path, so all work in one folder with relative names.
"""

import functools
import importlib.metadata
import importlib.util
import logging
import shlex
import subprocess
import sys
import threading

from systolic_sim.rtl.toolchain import ToolError

from ..devices import Program

__all__ = ["ToolFailed", "YOSYS", "missing", "run", "version"]

_LOG = logging.getLogger("systolic.flow")

YOSYS = Program(wheel="pyosys", module="pyosys")

# Whatever happens to the caller, its end of the standard input is closed then, and the program goes too.
_WATCH = """
import os, sys, threading
threading.Thread(target=lambda: (os.read(0, 1), os._exit(1)), daemon=True).start()
"""
_YOSYS = _WATCH + """
from pyosys import libyosys
libyosys.Pass.call(libyosys.Design(), f"tee -q -o {sys.argv[2]} script {sys.argv[1]}")
"""
_FUNCTION = _WATCH + """
import {module}
sys.exit({module}.{function}(sys.argv[1:]))
"""
_MODULE = _WATCH + """
import runpy
runpy.run_module("{module}", run_name="__main__", alter_sys=True)
"""


class ToolFailed(ToolError):
    """A program ended with an error of its own, which a second run would repeat."""


def missing(program):
    """What to do about a program that is not installed, or an empty string."""
    if importlib.util.find_spec(program.module.partition(".")[0]) is not None:
        return ""
    return f"{program.wheel} not found: run '{sys.executable} -m pip install {program.wheel}'"


@functools.cache
def version(program):
    """Version of the program's wheel."""
    if hint := missing(program):
        raise ToolError(hint)
    return f"{program.wheel} {importlib.metadata.version(program.wheel)}"


def run(program, arguments, folder, *, line=None, timeout=None):
    """Run a program in a folder; returns what it printed.

    Parameters
    ----------
    program : Program
        With :data:`YOSYS`, the arguments are the script and the file for its log, which is returned.
    arguments : list of str
    folder : path
        Working directory.
    line : callable(str) or None
        Called with every line of output, as it comes.
    timeout : float or None
        Seconds after which it is ended.

    Raises
    ------
    ToolFailed
        If it ended with an error; the message is the program's own.
    ToolError
        If it is not installed, took too long, or was ended from outside.
    """
    if hint := missing(program):
        raise ToolError(hint)
    output, late = [], threading.Event()
    _LOG.info("%s: %s", program.wheel, shlex.join(arguments))
    process = subprocess.Popen([*_command(program), *arguments], cwd=folder, text=True, errors="replace",
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    timer = threading.Timer(timeout or 0, lambda: (late.set(), process.kill()))
    timer.daemon = True
    if timeout is not None:
        timer.start()
    try:
        for text in process.stdout:
            output.append(text)
            if line is not None:
                line(text.rstrip())
        code = process.wait()
    finally:
        timer.cancel()
        process.kill()
        process.communicate()
    log = "".join(output)
    if program is YOSYS:
        with open(f"{folder}/{arguments[1]}", errors="replace") as file:
            log = file.read()
    if code:
        _fail(program, log, code, f"took more than {timeout:g} s" if late.is_set() else "")
    return log


def _command(program):
    if program is YOSYS:
        return [sys.executable, "-c", _YOSYS]
    text = _FUNCTION if program.function else _MODULE
    return [sys.executable, "-c", text.format(module=program.module, function=program.function)]


def _fail(program, log, code, reason):
    errors = [text.strip() for text in log.splitlines() if "ERROR:" in text]
    name = program.function.removeprefix("run_") if program.function else program.module
    if errors and not reason:
        raise ToolFailed(f"{name}: {errors[0].partition('ERROR:')[2].strip()}")
    raise ToolError(f"{name}: {reason or f'ended with code {code}: ' + log[-500:].strip()}")
