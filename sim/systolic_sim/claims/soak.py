"""Long runs of random programs on compiled TPUs, against memories that stall, fail and fall silent."""

import numpy as np

from systolic import verilog
from systolic.host import Driver
from systolic.isa import ErrorCode
from systolic.tpu_config import tpu_preset
from systolic_sim.claims.check import CheckError, same_bytes, same_end
from systolic_sim.claims.kept import run_all
from systolic_sim.claims.table import Table
from systolic_sim.emulator import Emulator, EmulatorError
from systolic_sim.programs.random import random_program
from systolic_sim.rtl.tpu import CHANNELS, Fault, TpuRtl

__all__ = ["Soak", "soak"]

#: Runs of each program: on memories that only stall, that answer some addresses with errors, that fall silent.
_RUNS = {"stalls": 40, "faults": 3, "silence": 5}

_LENGTH, _WATCHDOG = 100, 20_000


class Soak:
    """A random program, which is run many times.

    Parameters
    ----------
    rtl : TpuRtl
    seed : int
        Of the program, and of what memory does.
    length : int
        See :func:`.programs.random.random_program`.
    """

    def __init__(self, rtl, seed, length=_LENGTH):
        self.rtl, self.tpu, self.where = rtl, rtl.config, f"{rtl.config.name}, seed {seed}"
        self.case, self.rng = random_program(self.tpu, seed, length=length), np.random.default_rng(seed)
        self.expected = self._emulate().memory

    def _emulate(self, *faults):
        emulator = Emulator(self.tpu, self.case.memory.copy(), faults=faults)
        self.case.emulate(emulator)
        return emulator

    def _run(self, **options):
        """From the doorbell on: driver and outcome. Memory is compared after ``halt``."""
        memory, rng = self.case.memory.copy(), self.rng
        self.rtl.connect(memory, latency=int(rng.integers(1, 60)), seed=int(rng.integers(2**31)), **options)
        driver = Driver(self.rtl)
        outcome = driver.run(self.case.address, len(self.case.program), watchdog=_WATCHDOG)
        if outcome.halted:
            same_bytes(f"{self.where}, {options}", self.expected, memory)
        return driver, outcome

    def stalls(self):
        """A memory that holds channels back at random.

        Returns
        -------
        (ErrorCode or None, int)
            The error that ended the run, and its cycles; as of the other methods.

        Raises
        ------
        CheckError
            If the run ends otherwise than it may, or memory differs; as the other methods.
        """
        self.rtl.reset()
        stalls = self._stalls()
        _, outcome = self._run(stalls=stalls)
        same_end(f"{self.where}, stalls {stalls}", None, outcome)
        return None, outcome.counters["cycles"]

    def _stalls(self):
        """The same on all channels, or each with its own."""
        rng = self.rng
        if rng.random() < 0.5:
            return float(rng.choice([0, 0.1, 0.4, 0.8]))
        return {channel: float(rng.choice([0, 0.2, 0.6, 0.95])) for channel in CHANNELS}

    def faults(self):
        """A memory of which a range answers with errors; if that ends the program, once more after a restart."""
        first = int(self.rng.integers(self.case.memory.size))
        fault = Fault(first=first, last=first + int(self.rng.integers(1, 200)), response=int(self.rng.integers(2, 4)))
        where, expected = f"{self.where}, {fault}", None
        try:
            self._emulate((fault.first, fault.last))
        except EmulatorError as error:
            expected = error
        self.rtl.reset()
        driver, outcome = self._run(stalls=self._stalls(), faults=[fault])
        same_end(where, expected, outcome)
        cycles = outcome.counters["cycles"]
        # After halt, a program may find other weights in the array than at first.
        if not outcome.halted:
            driver.restart()
            _, again = self._run(stalls=self._stalls())
            same_end(f"{where}, restarted", None, again)
            cycles += again.counters["cycles"]
        return outcome.error, cycles

    def silence(self):
        """A channel that falls silent for good: ``halt`` if nothing was left to do on it, else the watchdog."""
        silent = {CHANNELS[int(self.rng.integers(len(CHANNELS)))]: int(self.rng.integers(100 * len(self.case.program)))}
        self.rtl.reset()
        _, outcome = self._run(silent=silent)
        if outcome.error not in (None, ErrorCode.WATCHDOG):
            raise CheckError(f"{self.where}, silent {silent}: {outcome.error}")
        return outcome.error, outcome.counters["cycles"]


def _programs(job):
    """Runs of the programs of some seeds on a TPU: how many, their cycles, and how many an error ended."""
    name, first, count = job
    rtl, total = TpuRtl(tpu_preset(name)), {f"{kind}_{what}": 0 for kind in _RUNS for what in ("runs", "errors")}
    total |= {"programs": count, "cycles": 0, "bytes": 0}
    for seed in range(first, first + count):
        case = Soak(rtl, seed)
        for kind, times in _RUNS.items():
            for _ in range(times):
                error, cycles = getattr(case, kind)()
                total["cycles"] += cycles
                total["bytes"] += case.expected.size if error is None else 0
                total[f"{kind}_runs"] += 1
                total[f"{kind}_errors"] += error is not None
    return total


_CHUNK = 5


def soak(track, cycles=100_000_000, presets=("tpu_4x4", "tpu_8x8", "tpu_12x20", "tpu_16x16")):
    """Programs until there are that many cycles, a fair share on each TPU."""
    rows, total = [], 0
    for name in presets:
        design, found = verilog.generate(tpu_preset(name)), []
        # A first look at how long programs are; results by content, so nothing runs twice.
        found += run_all(_programs, [[name, 0, _CHUNK]], design.verilog)
        chunks = -(-cycles // len(presets) // found[0]["cycles"]) + 1
        jobs = [[name, _CHUNK * number, _CHUNK] for number in range(1, chunks + 1)]
        found += track(run_all(_programs, jobs, design.verilog), f"soak, {name}", len(jobs))
        sums = {key: sum(each[key] for each in found) for key in found[0]}
        total += sums["cycles"]
        rows.append((name, *(f"{sums[key]:,}" for key in (
            "programs", "stalls_runs", "faults_runs", "faults_errors", "silence_runs", "silence_errors", "cycles",
            "bytes")), "0", "0"))
    return Table(
        title="Soak", rows=rows, holds=total >= cycles,
        claim=f"at least {cycles:,} cycles of random programs of {_LENGTH} instructions on memories whose channels "
              "stall at random, answer some addresses with errors, or fall silent for good: after halt every byte of "
              "memory is the emulator's, an error is one that the emulator allows, at its instruction, the same "
              "program runs after a restart, and all ends. The first mismatch aborts the run with an error",
        columns=("TPU", "programs", "runs with stalls", "with bus errors", "ended by one", "with silence",
                 "ended by the watchdog", "cycles", "bytes compared", "wrong bytes", "without end"))
