"""What flipped bits do, and that nothing matters which registers and memories hold when a reset begins."""

import collections

import numpy as np

from systolic import verilog
from systolic.host import Driver, HostError
from systolic.isa import ErrorCode
from systolic.tpu_config import tpu_preset
from systolic_sim.claims.check import same, same_bytes, same_end
from systolic_sim.claims.kept import run_all
from systolic_sim.claims.table import Table
from systolic_sim.emulator import Emulator
from systolic_sim.programs.random import random_program
from systolic_sim.rtl.matrix_unit import RtlError
from systolic_sim.rtl.tpu import TpuRtl

__all__ = ["OUTCOMES", "Upsets", "memory_of", "resets", "restart_at", "scramble", "unknown_state", "upsets"]

_MEMORIES = {"unified buffer": ".bytes", "accumulators": ".sums",
             "weight FIFO": ".weight_fifo.queue.storage_0.memory"}

#: What becomes of a flipped bit: nothing; an error of the program; the watchdog; a host that waits for ever, or a
#: broken rule of the bus; ``halt`` and wrong bytes.
OUTCOMES = ("masked", "detected", "watchdog", "hang", "silent")


def memory_of(state):
    """What a register or memory belongs to."""
    if state.words == 1:
        return "registers"
    return next((name for name, end in _MEMORIES.items() if state.name.endswith(end)), "other memories and FIFOs")


def scramble(rtl, rng):
    """Set every register and memory of a model with ``state=True`` to random bits."""
    for state in rtl.states():
        for word, bit in np.argwhere(rng.random((state.words, state.bits)) < 0.5):
            rtl.flip(state, int(word), int(bit))


class Upsets:
    """A random program, which is run again and again on a model that is disturbed.

    Parameters
    ----------
    rtl : TpuRtl
        With ``state=True``.
    seed : int
        Of the program.
    length : int
        See :func:`.programs.random.random_program`.

    Members
    -------
    cycles : int
        From the doorbell to the interrupt, undisturbed.
    """

    def __init__(self, rtl, seed, length=60):
        self.rtl, self.where = rtl, f"{rtl.config.name}, seed {seed}"
        self.case = random_program(rtl.config, seed, length=length)
        emulator = Emulator(rtl.config, self.case.memory.copy())
        self.case.emulate(emulator)
        self.expected = emulator.memory
        self.cycles, self.counters = 0, None
        self.whole("undisturbed")

    def start(self):
        """Ring the doorbell; driver and memory."""
        memory, case, driver = self.case.memory.copy(), self.case, Driver(self.rtl, limit=20 * self.cycles + 100_000)
        self.rtl.connect(memory)
        driver.start(case.address, len(case.program), watchdog=4 * self.cycles + 10_000)
        return driver, memory

    def whole(self, why):
        """Run from reset to the end.

        Raises
        ------
        CheckError
            If memory or a counter is another than when undisturbed; ``why`` begins the message.
        """
        self.rtl.reset()
        driver, memory = self.start()
        outcome = driver.finish()
        same_end(f"{self.where}, {why}", None, outcome)
        same_bytes(f"{self.where}, {why}", self.expected, memory)
        self.counters = self.counters or outcome.counters
        same(f"{self.where}, {why}", self.counters, outcome.counters)
        self.cycles = outcome.counters["cycles"]

    def upset(self, state, word, bit, cycle):
        """Run from reset to the end with a bit flipped some cycles after the doorbell: one of ``OUTCOMES``."""
        self.rtl.reset()
        driver, memory = self.start()
        self.rtl.run(cycle)
        self.rtl.flip(state, word, bit)
        try:
            outcome = driver.finish()
        except (HostError, RtlError):
            return "hang"
        if outcome.halted:
            return "masked" if np.array_equal(memory, self.expected) else "silent"
        return "watchdog" if outcome.error_code == ErrorCode.WATCHDOG else "detected"


def _flips(job):
    """Outcomes of some upsets, by what the bit belongs to: each memory gets as many as the registers."""
    name, seed, count = job
    case, rng = Upsets(TpuRtl(tpu_preset(name), state=True), seed), np.random.default_rng([seed, 1])
    groups = collections.defaultdict(list)
    for state in case.rtl.states():
        groups[memory_of(state)].append(state)
    found = {group: dict.fromkeys(OUTCOMES, 0) for group in sorted(groups)}
    for group, states in sorted(groups.items()):
        bits = np.array([state.words * state.bits for state in states])
        for _ in range(count):
            state = states[rng.choice(len(states), p=bits / bits.sum())]
            outcome = case.upset(state, int(rng.integers(state.words)), int(rng.integers(state.bits)),
                                 int(rng.integers(case.cycles)))
            found[group][outcome] += 1
    case.whole("after all upsets")
    return found


def upsets(track, count=4000, name="tpu_4x4"):
    """Single bits, flipped at random times."""
    design, each = verilog.generate(tpu_preset(name)), 20
    jobs = [[name, seed, each] for seed in range(-(-count // (each * (len(_MEMORIES) + 2))))]
    total = collections.defaultdict(collections.Counter)
    for found in track(run_all(_flips, jobs, design.verilog), f"upsets, {name}", len(jobs)):
        for group, outcomes in found.items():
            total[group].update(outcomes)
    rows = [(group, str(sum(found.values())), *(f"{100 * found[outcome] / sum(found.values()):.1f}"
                                                for outcome in OUTCOMES)) for group, found in total.items()]
    done = sum(sum(found.values()) for found in total.values())
    return Table(
        title="Upsets", rows=rows, holds=done >= count,
        claim=f"{count:,} single bits of {name} are flipped at random times of random programs; after each a reset, "
              "and the next program is exact. Masked: halt and right bytes; detected: an error; watchdog: no progress; "
              "hang: no interrupt, or a broken rule of the bus; silent: halt and wrong bytes",
        columns=("bits of", "upsets", *(f"{outcome} %" for outcome in OUTCOMES)))


def _scrambled(job):
    name, seed = job
    rtl = TpuRtl(tpu_preset(name), state=True)
    case = Upsets(rtl, seed)
    scramble(rtl, np.random.default_rng(seed))
    case.whole("from a random state")
    return case.cycles


def unknown_state(track, seeds=40, presets=("tpu_4x4", "tpu_8x8")):
    """Registers and memories that hold anything when a reset of one cycle begins."""
    rows = []
    for name in presets:
        design = verilog.generate(tpu_preset(name))
        jobs = [[name, seed] for seed in range(seeds)]
        cycles = list(track(run_all(_scrambled, jobs, design.verilog), f"unknown state, {name}", seeds))
        bits = sum(state.words * state.bits for state in TpuRtl(tpu_preset(name), state=True).states())
        rows.append((name, f"{bits:,}", str(seeds), f"{sum(cycles):,}", "0"))
    return Table(
        title="Unknown state", rows=rows, holds=seeds >= 20,
        claim="with every bit of registers and memories random, one cycle of reset suffices: a random program leaves "
              "the emulator's bytes, and every counter is the same as from a clean start",
        columns=("TPU", "bits", "random states", "cycles", "different runs"))


def _reset_at(job):
    """Resets and restarts at some cycles of a program."""
    name, seed, first, last = job
    case = Upsets(TpuRtl(tpu_preset(name)), seed, length=8)
    for cycle in range(first, min(last, case.cycles + 20)):
        case.rtl.reset()
        case.start()
        case.rtl.run(cycle)
        case.whole(f"after a reset in cycle {cycle}")
        restart_at(case, cycle)
    return case.cycles


def restart_at(case, cycle):
    """Memory falls silent in that cycle. If the watchdog stops the program, all is well after a restart."""
    case.rtl.reset()
    memory = case.case.memory.copy()
    case.rtl.connect(memory, silent={"r": cycle})
    driver = Driver(case.rtl)
    outcome = driver.run(case.case.address, len(case.case.program), watchdog=300)
    if outcome.halted:
        return
    case.rtl.connect(memory)  # answers from now on
    case.rtl.run(300)
    driver.restart()
    driver, memory = case.start()
    outcome = driver.finish()
    where = f"{case.where}, after a restart in cycle {cycle}"
    same_end(where, None, outcome)
    same_bytes(where, case.expected, memory)


def resets(track, name="tpu_4x4", programs=3):
    """Every cycle of short programs."""
    design, rows = verilog.generate(tpu_preset(name)), []
    for seed in range(programs):
        cycles = Upsets(TpuRtl(tpu_preset(name)), seed, length=8).cycles + 20
        jobs = [[name, seed, first, first + 100] for first in range(0, cycles, 100)]
        list(track(run_all(_reset_at, jobs, design.verilog), f"resets, program {seed}", len(jobs)))
        rows.append((str(seed), f"{cycles:,}", f"{cycles:,}", f"{cycles:,}", "0"))
    return Table(
        title="Resets and restarts", rows=rows, holds=len(rows) == programs,
        claim=f"{name}, reset for one cycle in each cycle of a program and 20 beyond, runs the same program exactly: "
              "bytes and counters. So it does, in bytes, after a restart, with memory silent from that cycle until "
              "the watchdog stopped the program",
        columns=("program", "cycles", "resets", "restarts", "different runs"))
