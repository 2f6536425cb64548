"""Runs the cocotb benches: matrix units and whole TPUs x simulators."""

import concurrent.futures
import contextlib
import dataclasses
import fcntl
import importlib.util
import json
import logging
import os
import pathlib
import sys
import tempfile
import time
import xml.etree.ElementTree

import cocotb_tools.runner
import rich.console
import rich.progress
import rich.table

from systolic.config import Arch, Config, Impl
from systolic.errors import require_one_of
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim.progress import shown_on
from systolic_sim.rtl import toolchain
from systolic_sim.rtl.primitives import models_for

__all__ = ["CONFIGS", "TPUS", "SIMULATORS", "Report", "main", "run_bench"]

SIMULATORS = {"verilator": toolchain.Verilator, "icarus": cocotb_tools.runner.Icarus}

# Signals and memory that nothing has written start at random, so that nobody relies on them.
_BUILD_ARGS = {
    "verilator": ["-O3", "--x-assign", "unique", "--x-initial", "unique", "--no-timing", "-Wno-fatal",
                  "-Wno-lint", "-Wno-style"],
    "icarus": [],
}
_TEST_ARGS = {"verilator": ["+verilator+rand+reset+2", "+verilator+seed+{seed}"], "icarus": []}


def _config(rows, cols, format="int8", *, accumulator_depth=16, weight_fifo_depth=4, **impl):
    name = "_".join(["bench", format, f"{rows}x{cols}", *impl.get("multiplier", "").split()])
    return Config(name=name, impl=Impl(**impl), arch=Arch(
        rows=rows, cols=cols, format=format, accumulator_depth=accumulator_depth,
        weight_fifo_depth=weight_fifo_depth))


#: Configurations that ``make sim`` runs, with every parameter at work in one of them.
CONFIGS = {config.name: config for config in [
    _config(1, 1, accumulator_depth=1),
    _config(1, 4, weight_fifo_depth=1, product_stages=1),
    _config(3, 5, hop_stages=2, psum_stages=2),
    _config(8, 2, memory_stages=2),
    _config(4, 4, product_stages=1, weight_fifo_depth=3),
    _config(16, 16, accumulator_depth=64),
    _config(1, 1, "bf16", weight_fifo_depth=1, psum_stages=3),
    _config(2, 3, "bf16", product_stages=1, memory_stages=2, hop_stages=2),
    _config(3, 3, "bf16", psum_stages=4),
    _config(3, 2, multiplier="ecp5_dsp", product_stages=2, lut_rows=1),
    _config(2, 3, multiplier="ice40_dsp", product_stages=1),
    _config(1, 2, "bf16", multiplier="ecp5_dsp", product_stages=1),
]}

#: TPUs that ``make sim`` runs: memory buses of 4, 16 and 64 bytes, long and short bursts, few and many in flight.
TPUS = {each.name: each for each in [
    tpu_preset("tpu_4x4"),
    TpuConfig(name="bench_tpu_3x5", matrix=_config(3, 5), lanes=2, buffer_size=4096, bus_bytes=16, burst_beats=5,
              reads_in_flight=3, writes_in_flight=2),
    TpuConfig(name="bench_tpu_2x3", matrix=_config(2, 3), lanes=3, buffer_size=8192, bus_bytes=64, burst_beats=32,
              reads_in_flight=1, writes_in_flight=1),
]}

# Cells beyond which Icarus would take minutes.
_ICARUS_CELLS = 40


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """How a bench went.

    Parameters
    ----------
    config, simulator : str
        What ran on what.
    passed, failed : list of str
        Names of tests.
    build_seconds, test_seconds : float
        Wall time.
    log : str
        All that was printed.
    """

    config: str
    simulator: str
    passed: list
    failed: list
    build_seconds: float
    test_seconds: float
    log: str


def run_bench(config, simulator="verilator", *, bench=None, test=None, seed=1, design=None, cache=None):
    """Run the tests of a matrix unit, or of a whole TPU, on one simulator.

    Parameters
    ----------
    config : Config or TpuConfig
        What to test.
    simulator : str
        ``"verilator"`` or ``"icarus"``.
    bench : str or None
        Module of this package that has the tests; ``None`` takes ``"tpu"`` or ``"matrix_unit"``.
    test : str or None
        Name of one test; ``None`` runs all.
    seed : int
        For everything random.
    design : systolic.verilog.Design or None
        What the configuration generates, if it is at hand.
    cache : path or None
        Folder for compiled simulations; ``None`` takes :func:`.toolchain.cache_folder`.

    Returns
    -------
    Report

    Raises
    ------
    ToolError
        If the simulation cannot be compiled or run.
    """
    bench = bench or ("tpu" if isinstance(config, TpuConfig) else "matrix_unit")
    if bench.startswith("tpu") and importlib.util.find_spec("cocotbext") is None:
        raise toolchain.ToolError("the benches of a TPU need cocotbext-axi: pip install systolic[dev]")
    if design is None:
        from systolic import verilog  # only here, since Amaranth takes a while to import
        design = verilog.generate(config)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="systolic-bench-") as folder:
        folder = pathlib.Path(folder)
        runner = SIMULATORS[simulator]()
        runner.log.setLevel(logging.ERROR)
        _build(runner, simulator, design, pathlib.Path(cache or toolchain.cache_folder()))
        built = time.perf_counter()
        (folder / "config.json").write_text(json.dumps(config.describe()))
        results, log = folder / "results.xml", folder / "log.txt"
        with contextlib.suppress(SystemExit):   # how the runner says, under pytest, that a test failed
            runner.test(test_module=f"systolic_sim.benches.{bench}", hdl_toplevel=design.name, seed=seed,
                        test_filter=_filter(config, test), results_xml=str(results), test_dir=folder, log_file=log,
                        extra_env={"SYSTOLIC_BENCH": str(folder / "config.json")},
                        test_args=[arg.format(seed=seed) for arg in _TEST_ARGS[simulator]])
        text = log.read_text()
        if not results.exists():
            raise toolchain.ToolError(f"{simulator} ended without results:\n{text[-4000:]}")
        passed, failed = _read(results)
    return Report(config=config.name, simulator=simulator, passed=passed, failed=failed, log=text,
                  build_seconds=built - start, test_seconds=time.perf_counter() - built)


def _filter(config, test):
    """Pattern of the tests to run: one, or all for which this configuration is not too small."""
    if test is not None:
        return rf"\.{test}$"
    if not isinstance(config, Config):
        return None
    wraps_soon = config.arch.format.wraps and config.arch.rows >= 16
    return None if wraps_soon else r"^(?!.*\.accumulator_wraps$)"


def _build(runner, simulator, design, cache):
    """Compile into a folder of the cache named by content; only one process at a time."""
    verilog = design.verilog + models_for(design.verilog)
    tools = pathlib.Path(toolchain.__file__).read_text(), sys.prefix
    key = toolchain.content_hash(verilog, *_BUILD_ARGS[simulator], *tools)
    folder = cache / "benches" / f"{design.name}-{simulator}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"{design.name}.v"
    runner.cache = cache
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not source.exists():
            source.write_text(verilog)
        try:
            runner.build(sources=[source], hdl_toplevel=design.name, build_dir=folder, timescale=("1ns", "1ns"),
                         build_args=_BUILD_ARGS[simulator], log_file=folder / "build.txt")
        except RuntimeError:
            raise toolchain.ToolError(f"{simulator} failed:\n{(folder / 'build.txt').read_text()[-4000:]}") from None


def _read(results):
    """Names of the tests that passed and of those that failed."""
    passed, failed = [], []
    for case in xml.etree.ElementTree.parse(results).getroot().iter("testcase"):
        wrong = case.find("failure") is not None or case.find("error") is not None
        (failed if wrong else passed).append(case.get("name"))
    return passed, failed


def main(*, configs=None, tpus=None, simulators=None, seed=1, keep=None):
    """Run the benches and print a table.

    Parameters
    ----------
    configs, tpus : list of str or None
        Names from :data:`CONFIGS` and :data:`TPUS`; ``None`` for both takes all.
    simulators : list of str or None
        Names from :data:`SIMULATORS`; ``None`` takes all. Icarus gets the small ones.
    seed : int
        For everything random.
    keep : list or None
        To which the reports are added.

    Returns
    -------
    int
        Exit code: 1 if a test failed or there was nothing to run.

    Raises
    ------
    ConfigError
        If a name is not one of these.
    ToolError
        If a simulation cannot be compiled or run.
    """
    simulators = _choose("simulator", simulators, SIMULATORS)
    every = configs is None and tpus is None
    chosen = [CONFIGS[name] for name in _choose("config", configs, CONFIGS)] if every or configs else []
    chosen += [TPUS[name] for name in _choose("tpu", tpus, TPUS)] if every or tpus else []
    console = rich.console.Console()
    if "icarus" in simulators and not toolchain.icarus_available():
        console.print("Icarus Verilog is not installed (package iverilog): its half of the benches is SKIPPED.",
                      style="bold yellow")
        simulators.remove("icarus")
    jobs = [(config, simulator) for simulator in simulators for config in chosen
            if simulator != "icarus" or _cells(config) <= _ICARUS_CELLS]
    reports = _run_all(jobs, seed)
    if keep is not None:
        keep += reports
    console.print(_table(reports))
    for report in reports:
        if report.failed:
            console.print(f"{report.config} on {report.simulator}:", style="bold red")
            print(report.log)
    return 1 if any(report.failed for report in reports) or not reports else 0


def _cells(config):
    arch = config.matrix.arch if isinstance(config, TpuConfig) else config.arch
    return arch.rows * arch.cols


def _choose(what, names, known):
    for name in names or []:
        require_one_of(what, known, name)
    return list(names or known)


def _run_all(jobs, seed):
    from systolic import verilog
    console = rich.console.Console(stderr=True)
    with rich.progress.Progress(console=console, transient=True, disable=not shown_on(console)) as bar, \
            concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        task = bar.add_task("cocotb benches", total=len(jobs))
        designs = {config.name: verilog.generate(config) for config, _ in jobs}

        def run(job):
            report = run_bench(*job, seed=seed, design=designs[job[0].name])
            bar.advance(task)
            return report

        # The longest first: they are what the others need not wait for.
        order = sorted(jobs, key=lambda job: (not isinstance(job[0], TpuConfig), -_cells(job[0])))
        reports = {job: pool.submit(run, job) for job in order}
        return [reports[job].result() for job in jobs]


def _table(reports):
    table = rich.table.Table(title="cocotb benches")
    for column in ("configuration", "simulator"):
        table.add_column(column)
    for column in ("tests", "passed", "build s", "run s"):
        table.add_column(column, justify="right")
    for report in reports:
        table.add_row(report.config, report.simulator, str(len(report.passed) + len(report.failed)),
                      str(len(report.passed)), f"{report.build_seconds:.1f}", f"{report.test_seconds:.1f}",
                      style="red" if report.failed else None)
    return table

