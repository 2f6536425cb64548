"""Unbounded proofs by property-directed reachability.

::

    Bench ──Amaranth, Yosys──▶ and-inverter graph ──abc──▶ proved, or a run of so many cycles that refutes it

All of it comes with Yosys's wheel, which generates the Verilog anyway.
"""

import dataclasses
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import pyosys
from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, Const, Fragment, Module, Signal

from systolic_sim.rtl.toolchain import ToolError

__all__ = ["Bench", "Verdict", "cover", "prove"]

_YOSYS = "from pyosys import libyosys; libyosys.Pass.call(libyosys.Design(), 'tee -q -o log script script.ys')"
_SCRIPT = """
read_rtlil bench.il
hierarchy -top top
proc
flatten
opt_clean
memory -nordff
opt -full
techmap
opt -fast
dffunmap
aigmap
opt_clean
write_aiger -zinit bench.aig
"""


class Bench:
    """A component, and what is assumed and asserted of it in every cycle.

    Parameters
    ----------
    name, claim : str
        What it is about, for the list of proofs.
    describe : callable(Module) -> (inputs, assumptions, assertions, covers)
        Places the component in a module whose registers start with their initial values. ``inputs`` are signals that
        may have any value in any cycle; the others are lists of single bits.
    covers : int
        Number of covers.
    """

    def __init__(self, name, claim, describe, *, covers):
        self.name, self.claim, self.describe, self.covers = name, claim, describe, covers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the engine found.

    Parameters
    ----------
    proved : bool
        The assertions hold in every cycle of every run in which the assumptions do.
    depth : int
        Frames of the proof's invariant; or cycles of the shortest run found that refutes it.
    seconds : float
    """

    proved: bool
    depth: int
    seconds: float


def prove(bench, *, limit=600):
    """Prove a bench's assertions, or refute them.

    Parameters
    ----------
    bench : Bench
    limit : int
        Seconds.

    Returns
    -------
    Verdict

    Raises
    ------
    ToolError
        If a tool fails, or there is no verdict in time.
    """
    return _decide(bench, 2, f"pdr -T {limit}", limit)


def cover(bench, number, *, limit=600):
    """A run that reaches one of the bench's covers: a :class:`Verdict` that is not ``proved``, or there is none."""
    return _decide(bench, 3 + number, f"bmc3 -T {limit} -F 200", limit)


def _decide(bench, which, command, limit):
    """``which`` of what the bench describes must never be: 2 for an assertion that is false, from 3 on the covers."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="systolic-") as name:
        folder = pathlib.Path(name)
        (folder / "bench.il").write_text(_rtlil(bench, which))
        (folder / "script.ys").write_text(_SCRIPT)
        _run([sys.executable, "-c", _YOSYS], folder, limit)
        abc = pathlib.Path(pyosys.__file__).parent / "yosys-abc"
        log = _run([str(abc), "-c", f"read_aiger bench.aig; logic; undc; strash; dc2; {command}"], folder,
                   2 * limit)
    seconds = time.monotonic() - start
    if match := re.search(r"Invariant F\[(\d+)\]|Property proved", log):
        return Verdict(proved=True, depth=int(match[1] or 0), seconds=seconds)
    if match := re.search(r"asserted in frame (\d+)", log):
        return Verdict(proved=False, depth=int(match[1]), seconds=seconds)
    raise ToolError(f"no verdict on {bench.name} in {limit} s: {log.strip().splitlines()[-1]}")


def _rtlil(bench, which):
    m, bad, held = Module(), Signal(), Signal(init=1)
    m.domains.sync = clock = ClockDomain(reset_less=True)
    inputs, assumptions, assertions, covers = bench.describe(m)
    assumed = Signal()
    m.d.comb += assumed.eq(_all(assumptions))
    m.d.sync += held.eq(held & assumed)
    wrong = ~_all(assertions) if which == 2 else covers[which - 3]
    m.d.comb += bad.eq(held & assumed & wrong)
    return rtlil.convert(Fragment.get(m, None), ports=[clock.clk, *inputs, bad])


def _all(bits):
    result = Const(1)
    for bit in bits:
        result = result & bit
    return result


def _run(command, folder, limit):
    done = subprocess.run(command, cwd=folder, check=False, text=True, timeout=limit + 60,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        log = folder / "log"
        text = log.read_text() if log.exists() else done.stdout
        raise ToolError(f"{pathlib.Path(command[0]).name} failed: {text.strip().splitlines()[-1]}")
    return done.stdout
