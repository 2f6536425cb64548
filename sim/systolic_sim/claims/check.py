"""Compiled TPU against emulator and cycle model, program by program."""

import dataclasses

import numpy as np

from systolic import isa
from systolic.errors import UserError
from systolic.host import Driver
from systolic_sim.cycles.tpu import CycleError, predict
from systolic_sim.emulator import Emulator, EmulatorError
from systolic_sim.programs.hazard import hazard_program
from systolic_sim.programs.illegal import illegal_program
from systolic_sim.programs.random import random_program
from systolic_sim.rtl.tpu import TpuRtl

__all__ = ["CheckError", "Comparison", "compare", "compare_any", "compare_hazard", "compare_illegal", "same",
           "same_bytes", "same_end"]

#: Cycles after which an illegal program that waits for ever is stopped.
_WATCHDOG = 3000


class CheckError(UserError, AssertionError):
    """Hardware and model disagree; the message says where."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What was compared, and found equal.

    Parameters
    ----------
    instructions, bytes, cycles : int
        Instructions executed, bytes of memory, clock cycles.
    error : str or None
        Name of the error that ended an illegal program.
    """

    instructions: int
    bytes: int
    cycles: int
    error: str | None = None


def compare(config, seed, *, rtl=None, length=20, latency=10, bytes_per_cycle=None, stalls=0.0, timing=True):
    """Run a random program on the compiled TPU and on the emulator, and predict its cycles.

    Parameters
    ----------
    config : TpuConfig
    seed : int
        Of the program and of the stalls.
    rtl : TpuRtl or None
        The unit's, if it is at hand; it is reset.
    length : int
        See :func:`.random_programs.random_program`.
    latency, bytes_per_cycle, stalls
        Of the memory, see :meth:`.tpu_rtl.TpuRtl.connect`.
    timing : bool
        Whether cycles and all counters have to be those of the cycle model. Not with stalls.

    Returns
    -------
    Comparison

    Raises
    ------
    CheckError
        If a byte of memory, a counter or, with ``timing``, a cycle differs.
    RtlError
        If the TPU does not end, or breaks a rule of AXI.
    """
    case = random_program(config, seed, length=length)
    emulator = Emulator(config, case.memory.copy())
    case.emulate(emulator)
    rtl = rtl or TpuRtl(config)
    rtl.reset()
    memory = case.memory.copy()
    rtl.connect(memory, latency=latency, bytes_per_cycle=bytes_per_cycle, stalls=stalls, seed=seed)
    driver = Driver(rtl)
    outcome = driver.run(case.address, len(case.program), watchdog=100_000)
    where = f"{config.name}, seed {seed}, length {length}, latency {latency}, stalls {stalls}"
    if not outcome.halted:
        raise CheckError(f"{where}: {outcome.error} in a legal program")
    same_bytes(where, emulator.memory, memory)
    expected = dict(emulator.counters)
    if timing and not stalls:
        expected |= predict(config, case.program, latency=latency, bytes_per_cycle=bytes_per_cycle).counters
    same(where, expected, outcome.counters)
    same(where, {"debug_tag": emulator.debug_tag, "interrupted": bool(emulator.interrupts)},
          {"debug_tag": driver.read("DEBUG_TAG"), "interrupted": bool(outcome.interrupts)})
    states = sum(outcome.counters[name] for name in ("active", "weight_stall", "weight_shift", "non_matrix"))
    same(where, {"sum of the four states": states}, {"sum of the four states": outcome.counters["cycles"]})
    return Comparison(instructions=outcome.counters["instructions"], bytes=memory.size,
                      cycles=outcome.counters["cycles"])


def compare_illegal(config, kind, seed, *, rtl=None, stalls=0.0):
    """Run an illegal program or one on a faulty bus, restart, and run a legal program.

    Parameters
    ----------
    config : TpuConfig
    kind : str
        One of :data:`.illegal_programs.KINDS`.
    seed, rtl, stalls
        As for :func:`compare`.

    Returns
    -------
    Comparison

    Raises
    ------
    CheckError
        If it does not end in the error that the kind is documented to end in, at the instruction that the emulator
        finds, or does not work after the restart.
    RtlError
        If it does not end, or the TPU breaks a rule of AXI.
    """
    case = illegal_program(config, kind, seed)
    where = f"{config.name}, {kind}, seed {seed}, stalls {stalls}"
    expected = _expected(config, case, where)
    rtl = rtl or TpuRtl(config)
    rtl.reset()
    rtl.connect(case.memory.copy(), stalls=stalls, seed=seed, faults=case.faults)
    driver = Driver(rtl)
    driver.start(case.address, case.length, watchdog=_WATCHDOG)
    if case.ring_again is not None:
        rtl.wait(case.ring_again)
        driver.ring()
    outcome = driver.finish()
    same_end(where, expected, outcome)
    driver.restart()
    _after_restart(config, rtl, seed, where)
    return Comparison(instructions=outcome.counters["instructions"], bytes=0, cycles=outcome.counters["cycles"],
                      error=case.error)


def compare_hazard(config, seed, *, rtl=None, length=10, **options):
    """The same with a program of :func:`.programs.hazard.hazard_program`; see :func:`compare_any`."""
    case = hazard_program(config, seed, length=length)
    where = f"{config.name}, hazard seed {seed}, {options}"
    return compare_any(config, case, rtl=rtl, where=where, seed=seed, **options)


def compare_any(config, case, *, rtl=None, where="", latency=10, stalls=0.0, seed=0, timing=True):
    """Run a program that may be right, wrong or stuck on emulator, cycle model and compiled TPU.

    Parameters
    ----------
    config : TpuConfig
    case : .random_programs.Case
    where : str
        What messages begin with.
    rtl, latency, stalls, seed, timing
        As for :func:`compare`.

    Returns
    -------
    Comparison

    Raises
    ------
    CheckError
        If the TPU ends otherwise than the emulator, which may allow several errors; if memory differs after ``halt``;
        if the cycle model gets stuck where the TPU does not, or the other way round.
    """
    emulator, expected = Emulator(config, case.memory.copy()), None
    try:
        case.emulate(emulator)
    except EmulatorError as error:
        expected = error
    rtl = rtl or TpuRtl(config)
    rtl.reset()
    memory = case.memory.copy()
    rtl.connect(memory, latency=latency, stalls=stalls, seed=seed)
    outcome = Driver(rtl).run(case.address, len(case.program), watchdog=_WATCHDOG)
    same_end(where, expected, outcome)
    if expected is None:
        same_bytes(where, emulator.memory, memory)
        same(where, emulator.counters, outcome.counters)
    if timing and not stalls and (expected is None or outcome.error == isa.ErrorCode.WATCHDOG):
        predicted = _predicted(config, case, latency)
        same(where, {"end of the cycle model": predicted is not None}, {"end of the cycle model": outcome.halted})
        same(where, predicted or {}, outcome.counters)
    return Comparison(instructions=outcome.counters["instructions"], bytes=0 if expected else memory.size,
                      cycles=outcome.counters["cycles"], error=outcome.error)


def _predicted(config, case, latency):
    """Counters, or None if there is no end."""
    try:
        return predict(config, case.program, latency=latency, patience=_WATCHDOG).counters
    except CycleError:
        return None


def _expected(config, case, where):
    """The emulator's error, which has to be the one that the kind is about."""
    if case.ring_again is not None:
        return EmulatorError(isa.ErrorCode.BUSY, None)
    faults = [(each.first, each.last) for each in case.faults]
    emulator = Emulator(config, case.memory.copy(), faults=faults)
    try:
        emulator.run_at(case.address, case.length)
    except EmulatorError as error:
        same(where, {"emulator's error": case.error}, {"emulator's error": error.code})
        return error
    raise CheckError(f"{where}: the emulator finds nothing wrong")


def _after_restart(config, rtl, seed, where):
    legal = random_program(config, seed, length=3)
    emulator = Emulator(config, legal.memory.copy())
    legal.emulate(emulator)
    memory = legal.memory.copy()
    rtl.connect(memory)
    outcome = Driver(rtl).run(legal.address, len(legal.program), watchdog=100_000)
    if not outcome.halted:
        raise CheckError(f"{where}: {outcome.error} after the restart")
    same_bytes(f"{where}, after the restart", emulator.memory, memory)


def same_end(where, expected, outcome):
    """Check that a run ended in ``halt`` if no :class:`EmulatorError` is expected, else in one that it allows.

    Raises
    ------
    CheckError
    """
    found = None if outcome.halted else (outcome.error_code, outcome.error_index)
    possible = {None} if expected is None else expected.possible
    if found not in possible and (found is None or (found[0], None) not in possible):
        raise CheckError(f"{where}: {_end(found)} instead of {' or '.join(map(_end, possible))}")


def _end(error):
    if error is None:
        return "halt"
    code, index = error
    return str(isa.ErrorCode(code)) + ("" if index is None else f" at {index}")


def same_bytes(where, expected, found):
    """Check that two memories are equal; raises as :func:`same_end`."""
    wrong = np.flatnonzero(expected != found)
    if len(wrong):
        raise CheckError(f"{where}: {len(wrong)} bytes of memory differ, the first at {wrong[0]:#x}: "
                         f"{found[wrong[0]]} instead of {expected[wrong[0]]}")


def same(where, expected, found):
    """Check that values are those that are expected, by name; raises as :func:`same_end`."""
    wrong = [f"{name} {found[name]} instead of {value}" for name, value in expected.items() if found[name] != value]
    if wrong:
        raise CheckError(f"{where}: {', '.join(wrong)}")
