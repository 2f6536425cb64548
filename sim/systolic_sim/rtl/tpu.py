"""A generated TPU as a compiled model, with a memory and a host around it, driven from Python.

::

    Verilog --verilator--> C++ --g++, with tpu_harness.cpp--> shared library --ctypes--> TpuRtl

The memory is an array of the caller's. It answers after a fixed latency, in order, a beat a cycle; on request it
pauses at random, answers with errors, has less bandwidth than the bus, or falls silent for good. A broken rule of AXI
ends a run.
"""

import contextlib
import ctypes
import dataclasses
import functools
import os

import numpy as np

from systolic import registers
from systolic_sim.rtl.matrix_unit import RtlError
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.verilate import shared_library

__all__ = ["CHANNELS", "Fault", "Outcome", "TpuRtl"]

#: Channels of the memory bus, as they are named in ``stalls``.
CHANNELS = ("ar", "r", "aw", "w", "b")

_SLVERR = 2
_PATIENCE = 1000
_NEVER = 2**64 - 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """Addresses that answer with an error.

    Parameters
    ----------
    first, last : int
        The range [first, last).
    response : int
        2 for SLVERR, 3 for DECERR.
    reads, writes : bool
        What is answered so.
    """

    first: int
    last: int
    response: int = _SLVERR
    reads: bool = True
    writes: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Parameters
    ----------
    halted : bool
        By the instruction ``halt``; else by an error.
    error_code, error_index : int
        As in the registers.
    bus_dead : bool
        Stopped with bursts that memory had not answered.
    interrupts : int
        Times that the instruction ``interrupt`` raised the line; several at once count as one.
    cycles : int
        Clock cycles from the doorbell to the last interrupt, as the host sees it.
    counters : dict of str to int
        By the registers' names in small letters.
    """

    halted: bool
    error_code: int
    error_index: int
    bus_dead: bool
    interrupts: int
    cycles: int
    counters: dict


class _Fault(ctypes.Structure):
    _fields_ = [("first", ctypes.c_uint64), ("last", ctypes.c_uint64), ("response", ctypes.c_uint32),
                ("kinds", ctypes.c_uint32)]


class _Settings(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_void_p), ("size", ctypes.c_uint64), ("faults", ctypes.c_void_p),
                ("fault_count", ctypes.c_uint64), ("share", ctypes.c_double), ("latency", ctypes.c_uint32),
                ("random", ctypes.c_uint32), ("stall", ctypes.c_uint32 * len(CHANNELS)),
                ("silent", ctypes.c_uint64 * len(CHANNELS))]


class TpuRtl:
    """Compiled model of a TPU, after reset.

    Compiled once: a second model of the same Verilog loads from the cache at once.

    Parameters
    ----------
    config : TpuConfig
    design : systolic.verilog.Design or None
        What it generates, if it is at hand.
    options
        ``trace``, ``optimise``, ``cache`` and ``progress`` as for :class:`.rtl.Rtl`.

    Raises
    ------
    ToolError
        If it cannot be compiled.
    """

    def __init__(self, config, *, design=None, trace=False, **options):
        if design is None:
            # Only here, since Amaranth takes a while to import.
            from systolic import verilog
            design = verilog.generate(config)
        self.config, self.name, self._traces = config, design.name, trace
        self._library = _load(shared_library(design.verilog + models_for(design.verilog), design.name,
                                             harness="tpu_harness.cpp", trace=trace, **options))
        if self._library.tpu_bus_bytes() != config.bus_bytes:
            raise ValueError(f"the design's bus has {self._library.tpu_bus_bytes()} bytes, not {config.bus_bytes}")
        self._model = self._library.tpu_new()
        self.reset()
        self.connect(np.zeros(0, np.uint8))

    def __del__(self):
        if getattr(self, "_model", None):
            self._library.tpu_delete(self._model)

    def reset(self, cycles=1):
        """Hold ``rst`` for that many cycles. Buffer, accumulators and table are not cleared by it."""
        self._library.tpu_reset(self._model, cycles)

    def connect(self, memory, *, latency=10, bytes_per_cycle=None, stalls=0.0, silent=None, seed=0,
                faults=()):
        """Connect a memory. It answers what the one before has not.

        Parameters
        ----------
        memory : uint8 array, contiguous
            From address 0 on; beyond it, every access is answered with DECERR. Writes change it.
        latency : int
            Cycles from a read's address to its first beat, and from a write's address and last beat to its response.
            From 1.
        bytes_per_cycle : float or None
            What reads deliver on average; ``None`` for all that the bus can.
        stalls : float or dict of float
            Probability of a cycle in which the memory holds a channel back, for all or for some of ``CHANNELS``.
        silent : dict of int or None
            Cycles from now on after which the memory takes or offers nothing more on a channel, for some of
            ``CHANNELS``. What it offers by then stays on offer.
        seed : int
            Of the stalls.
        faults : iterable of Fault

        Raises
        ------
        ValueError
            If a parameter is out of range.
        """
        if memory.dtype != np.uint8 or not memory.flags.c_contiguous or not memory.flags.writeable:
            raise ValueError("memory must be a contiguous array of uint8 that can be written")
        stalls = stalls if isinstance(stalls, dict) else dict.fromkeys(CHANNELS, stalls)
        for channel, stall in stalls.items():
            if channel not in CHANNELS or not 0 <= stall < 1:
                raise ValueError(f"stalls must be of {', '.join(CHANNELS)} and from 0 to below 1, "
                                 f"not {stall} for {channel}")
        silent = silent or {}
        for channel, cycles in silent.items():
            if channel not in CHANNELS or cycles < 0:
                raise ValueError(f"silent must be of {', '.join(CHANNELS)} and from 0 cycles on, "
                                 f"not {cycles} for {channel}")
        if latency < 1:
            raise ValueError(f"latency must be at least 1, not {latency}")
        share = 1.0 if bytes_per_cycle is None else bytes_per_cycle / self.config.bus_bytes
        table = [_Fault(each.first, each.last, each.response, each.reads | each.writes << 1) for each in faults]
        now = self._library.tpu_cycle(self._model)
        self._faults, self._memory = (_Fault * len(table))(*table), memory
        self._library.tpu_memory(self._model, _Settings(
            memory.ctypes.data, memory.size, ctypes.addressof(self._faults), len(table), share, latency,
            (seed * 2654435761 + 1) % 2**32 | 1,
            (ctypes.c_uint32 * len(CHANNELS))(*(int(stalls.get(name, 0) * 2**32) for name in CHANNELS)),
            (ctypes.c_uint64 * len(CHANNELS))(*(now + silent[name] if name in silent else _NEVER
                                                for name in CHANNELS))))

    def write(self, register, value, strobe=15):
        """Write a register, by name or address.

        Raises
        ------
        RtlError
            If there is none, or no answer.
        """
        self._answered(register, self._library.tpu_write(self._model, _address(register), value, strobe, _PATIENCE))

    def read(self, register):
        """Value of a register, by name or address.

        Raises
        ------
        RtlError
            If there is none, or no answer.
        """
        value = ctypes.c_uint32()
        self._answered(register, self._library.tpu_read(self._model, _address(register), value, _PATIENCE))
        return value.value

    def _answered(self, register, response):
        if response:
            raise RtlError(f"{self.name}: register {register} "
                           + ("does not answer" if response < 0 else f"answers {response}"))

    def counters(self):
        """All counters, by the registers' names in small letters."""
        return {name.lower(): self.read(f"{name}_LO") | self.read(f"{name}_HI") << 32 for name in registers.counters()}

    def wait(self, cycles):
        """Run until the interrupt line is high, at most so many cycles; returns how many.

        Raises
        ------
        RtlError
            If the TPU broke a rule of AXI.
        """
        done = 0
        # In pieces of a fraction of a second, so that Ctrl-C is heard.
        while done < cycles and not self._library.tpu_interrupt(self._model):
            done += self._library.tpu_run(self._model, min(100_000, cycles - done))
            if complaint := self._library.tpu_complaint(self._model):
                raise RtlError(f"{self.name}: {complaint.decode()}")
        return done

    def run(self, address, length, *, max_cycles=10_000_000, watchdog=None, ring_again=None,
            trace=None):
        """Run a program that is in memory, from the doorbell to its end.

        Parameters
        ----------
        address, length : int
            Where, and how many instructions.
        max_cycles : int
            Give up after that many.
        watchdog : int or None
            Cycles for its register; ``None`` leaves that as it is.
        ring_again : int or None
            Cycles after which to ring the doorbell a second time, if the program still runs: an error.
        trace : path or None
            Write a waveform (VCD).

        Returns
        -------
        Outcome

        Raises
        ------
        RtlError
            If it does not end, or the TPU broke a rule of AXI.
        """
        status = {field.name: field.mask for field in registers.register("INTERRUPT_STATUS").fields}
        for name, value in (("PROGRAM_ADDRESS", address), ("PROGRAM_LENGTH", length),
                            ("INTERRUPT_STATUS", sum(status.values())), ("INTERRUPT_ENABLE", sum(status.values()))):
            self.write(name, value)
        if watchdog is not None:
            self.write("WATCHDOG", watchdog)
        start, interrupts, pending = self._library.tpu_cycle(self._model), 0, 0
        with self._tracing(trace):
            self.write("CONTROL", registers.register("CONTROL").field("start").mask)
            if ring_again is not None:
                self.wait(ring_again)
                self.write("CONTROL", registers.register("CONTROL").field("start").mask)
            while not pending & (status["halt"] | status["error"]):
                self._wait_for_interrupt(start, max_cycles)
                cycles = self._library.tpu_cycle(self._model) - start
                pending = self.read("INTERRUPT_STATUS")
                self.write("INTERRUPT_STATUS", pending)
                # The line follows two cycles later.
                self._library.tpu_read(self._model, 0, ctypes.c_uint32(), _PATIENCE)
                interrupts += bool(pending & status["program"])
        code, bus_dead = self.error()
        return Outcome(halted=not pending & status["error"], error_code=code, error_index=self.read("ERROR_INDEX"),
                       bus_dead=bus_dead, interrupts=interrupts, cycles=cycles, counters=self.counters())

    def _wait_for_interrupt(self, start, max_cycles):
        left = start + max_cycles - self._library.tpu_cycle(self._model)
        self.wait(max(left, 0))
        if not self._library.tpu_interrupt(self._model):
            status, executed = self.read("STATUS"), self.read("INSTRUCTIONS_LO")
            raise RtlError(f"{self.name}: no end after {max_cycles} cycles; status {status}, {executed} instructions "
                           f"executed, error {self.error()[0]}")

    def error(self):
        """Code of the error and whether the bus is dead, of the register ``ERROR_CODE``."""
        register, value = registers.register("ERROR_CODE"), self.read("ERROR_CODE")
        return value & register.field("code").mask, bool(value & register.field("bus_dead").mask)

    def unanswered(self):
        """Bursts whose address is on offer or taken and that memory has not answered to the last beat."""
        return self._library.tpu_unanswered(self._model)

    def restart(self):
        """Make the core ready again after an error; without effect while the bus is dead."""
        self.write("CONTROL", registers.register("CONTROL").field("restart").mask)

    @contextlib.contextmanager
    def _tracing(self, path):
        if path is None:
            yield
            return
        if not self._traces:
            raise ValueError("this model was not compiled with trace=True")
        if not self._library.tpu_trace(self._model, os.fsencode(path)):
            raise OSError(f"cannot write {path}")
        try:
            yield
        finally:
            self._library.tpu_trace(self._model, None)


def _address(register):
    return registers.address(register) if isinstance(register, str) else register


@functools.cache
def _load(path):
    library = ctypes.CDLL(str(path))
    model = ctypes.c_void_p
    for name, result, *arguments in (
        ("new", model), ("delete", None, model), ("reset", None, model, ctypes.c_uint32),
        ("memory", None, model, ctypes.POINTER(_Settings)), ("run", ctypes.c_uint64, model, ctypes.c_uint64),
        ("interrupt", ctypes.c_int, model), ("cycle", ctypes.c_uint64, model),
        ("unanswered", ctypes.c_uint64, model), ("bus_bytes", ctypes.c_uint),
        ("write", ctypes.c_int, model, *[ctypes.c_uint32] * 4),
        ("read", ctypes.c_int, model, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32), ctypes.c_uint32),
        ("complaint", ctypes.c_char_p, model), ("trace", ctypes.c_int, model, ctypes.c_char_p),
    ):
        function = getattr(library, f"tpu_{name}")
        function.restype, function.argtypes = result, arguments
    return library
