"""Verilog and a C++ harness to a shared library, once for each content.

Verilator's own makefile is left aside: it compiles the run-time library anew for every model, and needs
make and Perl. Here g++ compiles the run-time library once into the cache, and the parts of a model side by side.
"""

import concurrent.futures
import contextlib
import functools
import importlib.resources
import os
import pathlib
import re
import tempfile
from collections.abc import Callable, Sequence

from systolic_sim.progress import progress_bar
from systolic_sim.rtl import toolchain

__all__ = ["shared_library"]

_VERILATOR_FLAGS = ("--cc", "--prefix", "Vtop", "-O3", "--x-assign", "fast", "--x-initial", "fast",
                    "--no-assert", "--quiet", "-Wno-fatal", "-Wno-lint", "-Wno-style",
                    "--output-split", "5000")
# Many models live side by side in one process, each with a run-time library of its own.
_COMPILER_FLAGS = ("-fPIC", "-fvisibility=hidden", "-fno-gnu-unique")
_RUNTIME = ("verilated", "verilated_threads")
_TIMING = ("-std=gnu++20", "-fcoroutines", "-UVM_TIMING", "-DVM_TIMING=1")

# Only registers and memories are declared as reg, one to a line.
_MODULE_OR_REG = re.compile(r"^(?:module (\w+)|  reg (?:\[[0-9:]+\] )?(\w+)\b)", re.MULTILINE)


def shared_library(verilog: str, top: str, streams_h: str = "", *, harness: str = "harness.cpp", trace: bool = False,
                   timing: bool = False, state: bool = False, optimise: bool = False,
                   cache: str | os.PathLike[str] | None = None, progress: Callable[[int, int], object] | None = None,
                   ) -> pathlib.Path:
    """Path of the library of a module and the harness, compiled unless the cache has it.

    Parameters
    ----------
    verilog : str
        Verilog text.
    top : str
        Name of the top module.
    streams_h : str
        The harness's list of ports, if it has one.
    harness : str
        File of this package that drives the module.
    trace : bool
        With the code for waveforms.
    timing : bool
        With delays, for a module that has a clock of its own.
    state : bool
        With registers and memories where the harness can see and change them, which halves the speed.
    optimise : bool
        Twice the time to compile for up to a tenth more speed.
    cache : path or None
        Folder to keep it in; ``None`` takes :func:`.toolchain.cache_folder`.
    progress : callable(done, total) or None
        Called after every step; ``None`` shows a bar if standard error is a terminal.

    Raises
    ------
    ToolError
        If a program is missing or fails.
    """
    driver = importlib.resources.files("systolic_sim.rtl").joinpath(harness).read_text()
    runtime = (*_RUNTIME, *["verilated_vcd_c"] * trace, *["verilated_timing"] * timing)
    runtime_flags = (*_COMPILER_FLAGS, f"-DVM_TRACE={int(trace)}", f"-DVM_TRACE_VCD={int(trace)}", *_TIMING * timing)
    flags = (*runtime_flags, *["-DSTATE=1"] * state, "-O2" if optimise else "-O1")
    verilator = (*_VERILATOR_FLAGS, "--timing" if timing else "--no-timing", *["--trace-vcd"] * trace,
                 *["--vpi", "state.vlt"] * state)
    key = toolchain.content_hash(verilog, top, streams_h, driver, *verilator, *flags)
    cache = pathlib.Path(cache or toolchain.cache_folder()).resolve()
    cache.mkdir(parents=True, exist_ok=True)
    library = cache / f"{top}-{key}.so"
    if library.exists():
        return library
    bar = progress_bar(f"compiling RTL {top}") if progress is None else contextlib.nullcontext(progress)
    # Next to its place in the cache, so that the move there is atomic: whoever comes first, all is well.
    with bar as report, tempfile.TemporaryDirectory(dir=cache, prefix="build-") as name:
        folder = pathlib.Path(name)
        for name, text in ((f"{top}.v", verilog), ("streams.h", streams_h), ("harness.cpp", driver),
                           ("state.vlt", _visible(verilog))):
            (folder / name).write_text(text)
        _build(folder, top, verilator, flags, cache, report, (runtime, (*runtime_flags, "-O2")))
        os.replace(folder / "model.so", library)
    return library


def _visible(verilog: str) -> str:
    """What tells Verilator to keep every register and memory."""
    lines, module = ["`verilator_config"], ""
    for found, register in _MODULE_OR_REG.findall(verilog):
        module = found or module
        if register:
            lines.append(f'public_flat_rw -module "{module}" -var "{register}"')
    return "\n".join(lines) + "\n"


def _build(folder: pathlib.Path, top: str, verilator: Sequence[str], flags: Sequence[str], cache: pathlib.Path,
           report: Callable[[int, int], object], runtime: tuple[Sequence[str], Sequence[str]]) -> None:
    report(0, 1)
    toolchain.verilate(*verilator, "--top-module", top, "--Mdir", ".", f"{top}.v", cwd=folder)
    fast = sorted(path.name for path in folder.glob("Vtop*.cpp") if "__Slow" not in path.name)
    slow = sorted(path.name for path in folder.glob("Vtop*__Slow*.cpp"))
    (folder / "slow.cpp").write_text("".join(f'#include "{name}"\n' for name in slow))
    jobs: list[Callable[[], str | pathlib.Path]] = [
        functools.partial(toolchain.compile_cpp, folder, name, flags) for name in fast]
    jobs += [functools.partial(toolchain.compile_cpp, folder, "slow.cpp", (*flags, "-O0")),
             functools.partial(toolchain.compile_cpp, folder, "harness.cpp", (*flags, "-O2"))]
    jobs += [functools.partial(toolchain.runtime_object, name, runtime[1], cache) for name in runtime[0]]
    objects = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in concurrent.futures.as_completed([pool.submit(job) for job in jobs]):
            objects.append(str(done.result()))
            report(len(objects), len(jobs) + 1)
    toolchain.run(["g++", "-shared", "-Wl,-Bsymbolic", "-o", "model.so", *sorted(objects)], folder)
    report(len(jobs) + 1, len(jobs) + 1)
