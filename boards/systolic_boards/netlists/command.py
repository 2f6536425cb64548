"""``systolic netlists``: runs what synthesis makes of matrix units and TPUs in their place; writes docs/netlists.md."""

import dataclasses
import pathlib

import numpy as np
import rich.console

from systolic import verilog
from systolic.commands.options import add_json_argument
from systolic.config import Arch, Config, Impl, preset
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim.claims.check import CheckError, compare, compare_illegal
from systolic_sim.claims.table import Table
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import random_program
from systolic_sim.programs.illegal import KINDS
from systolic_sim.rtl.matrix_unit import MatrixUnitRtl
from systolic_sim.rtl.tpu import TpuRtl

from ..devices import device
from ..flow import guards, netlist
from ..flow.parts import around_tpu, generated
from ..flow.synthesis import synthesise

__all__ = ["DESIGNS", "add", "check"]


def _unit(rows, format, **impl):
    arch = Arch(rows=rows, cols=rows, format=format, accumulator_depth=32)
    return Config(name=f"{format}_{rows}x{rows}", arch=arch, impl=Impl(**impl))


def _small():
    base = tpu_preset("tpu_4x4")
    arch = dataclasses.replace(base.matrix.arch, rows=2, cols=2, taps=0)
    return dataclasses.replace(base, name="tpu_2x2", lanes=1, matrix=Config(arch=arch, name="tpu_2x2_unit"))


#: What is run, and on which device.
DESIGNS = (
    (_unit(4, "int8", multiplier="ecp5_dsp", product_stages=2), "ecp5-85f"),
    (_unit(4, "int8", multiplier="ecp5_lut", product_stages=2), "ecp5-85f"),
    (_unit(2, "bf16", multiplier="ecp5_dsp", product_stages=1, psum_stages=7), "ecp5-85f"),
    (preset("up5k_4x4"), "ice40-up5k"),
    (_unit(2, "bf16", psum_stages=7), "ice40-hx8k"),
    (tpu_preset("tpu_4x4"), "ecp5-85f"),
    (_small(), "ice40-hx8k"),
)


def check(config, target, programs=20):
    """Run random programs on a netlist.

    Parameters
    ----------
    config : Config or TpuConfig
    target : str
        Name of the device.
    programs : int
        How many; of a TPU half as many illegal ones besides.

    Returns
    -------
    cells : dict of str to int
        LUT, FF, DSP and BRAM.
    runs, results : int
        Programs run, and results or bytes compared.

    Raises
    ------
    CheckError
        If a bit of a result, a byte of memory, a counter or an error is another than the golden model's, the
        emulator's or the cycle model's.
    """
    chip, whole = device(target), isinstance(config, TpuConfig)
    config = chip.implement(config) if whole else config
    design = verilog.generate(config)
    part = around_tpu(config, name=config.name, top=design.name, sources={"design.v": design.verilog}) if whole else \
        generated(config, design)
    synthesis = synthesise(part, chip, alone=False)
    guards.check_log(synthesis.log)
    guards.check_cells(synthesis.cells, part.cells)
    mapped = dataclasses.replace(design, verilog=netlist.verilog(synthesis, chip.family, design.name))
    run = _run_tpu if whole else _run_unit
    return chip.family.count(synthesis.cells), *run(config, mapped, programs)


def _run_unit(config, design, programs):
    rtl, rng, results = MatrixUnitRtl(config, design=design), np.random.default_rng(0), 0
    for number in range(programs):
        program = random_program(config.arch, rng)
        found, _ = rtl.run(program, stalls=0.3 * (number % 3))
        if not np.array_equal(found, MatrixUnit(config.arch).run(program)):
            raise CheckError(f"the netlist of {config.name} gives other results in program {number}")
        results += found.size
    return programs, results


def _run_tpu(config, design, programs):
    rtl, results = TpuRtl(config, design=design), 0
    for seed in range(programs):
        results += compare(config, seed, rtl=rtl, stalls=0.3 * (seed % 3)).bytes
    illegal = list(KINDS)[:: -(-2 * len(KINDS) // programs)]
    for kind in illegal:
        compare_illegal(config, kind, 3, rtl=rtl)
    return programs + len(illegal), results


def add(subparsers):
    """Add the parser of ``systolic netlists``."""
    parser = subparsers.add_parser(
        "netlists", help="run netlists of synthesis in place of their designs",
        description="Synthesise matrix units and TPUs for ECP5 and iCE40, and run the programs of the test suite on "
        "the netlists: cells in place of the generated Verilog. The first difference ends the command with an error.")
    parser.add_argument("--out", help="Markdown file to write the table to (none)")
    parser.add_argument("--only", metavar="TEXT", default="", help="designs with TEXT in name or device")
    add_json_argument(parser)
    parser.set_defaults(run=_run)


def _run(args):
    console, rows = rich.console.Console(), []
    for config, target in DESIGNS:
        if args.only not in f"{config.name} {target}":
            continue
        with console.status(f"{config.name} on {target}"):
            cells, runs, results = check(config, target)
        rows.append((config.name, target, *(f"{cells[name]:,}" for name in ("LUT", "FF", "DSP", "BRAM")), str(runs),
                     f"{results:,}", "0"))
        console.print(" ".join(rows[-1]))
    table = Table(
        title="Netlists", rows=rows, holds=bool(rows),
        claim="what synthesis makes of a design, simulated cell by cell in its place, runs the same programs: results "
              "of matrix units are the golden model's; of TPUs bytes are the emulator's, counters the cycle model's, "
              "errors of illegal programs the documented ones. The first difference aborts the command with an error",
        columns=("design", "device", "LUT", "FF", "DSP", "block RAM", "programs", "results or bytes compared",
                 "differences"))
    console.print(table.rich())
    args.figures = table.plain()
    if args.out:
        head = "# Netlists\n\nMeasured on the netlists of Yosys by `make bench-netlists`, which writes this page.\n"
        pathlib.Path(args.out).write_text(f"{head}\n{table.markdown()}")
    return 0
