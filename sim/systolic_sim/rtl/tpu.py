"""A generated TPU as a compiled model, with a memory around it: what a driver links to.

::

    Verilog --verilator--> C++ --g++, with tpu_harness.cpp--> shared library --ctypes--> TpuRtl ◀── host.Driver

The memory is an array of the caller's. It answers after a fixed latency, in order, a beat a cycle; on request it
pauses at random, answers with errors, has less bandwidth than the bus, or falls silent for good. A broken rule of AXI
ends a run.
"""

import contextlib
import ctypes
import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from systolic.host import LinkError
from systolic.tpu_config import TpuConfig
from systolic_sim.rtl.matrix_unit import RtlError
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.verilate import shared_library

if TYPE_CHECKING:  # Amaranth takes a while to import
    from systolic.verilog import Design

__all__ = ["CHANNELS", "Fault", "State", "TpuRtl"]

#: Channels of the memory bus, as they are named in ``stalls``.
CHANNELS = ("ar", "r", "aw", "w", "b")

_SLVERR = 2
_RESPONSES = {1: "EXOKAY", 2: "SLVERR", 3: "DECERR"}
_ALL_BYTES = 0b1111
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
class State:
    """A register or a memory.

    Parameters
    ----------
    number : int
        For :meth:`TpuRtl.flip`.
    name : str
        With the instances above it.
    words, bits : int
        Words, 1 for a register, and bits of each.
    """

    number: int
    name: str
    words: int
    bits: int


class _Fault(ctypes.Structure):
    _fields_ = [("first", ctypes.c_uint64), ("last", ctypes.c_uint64), ("response", ctypes.c_uint32),
                ("kinds", ctypes.c_uint32)]


class _Settings(ctypes.Structure):
    _fields_ = [("bytes", ctypes.c_void_p), ("size", ctypes.c_uint64), ("faults", ctypes.c_void_p),
                ("fault_count", ctypes.c_uint64), ("share", ctypes.c_double), ("latency", ctypes.c_uint32),
                ("random", ctypes.c_uint32), ("stall", ctypes.c_uint32 * len(CHANNELS)),
                ("silent", ctypes.c_uint64 * len(CHANNELS))]


class TpuRtl:
    """Compiled model of a TPU, after reset: a :class:`systolic.host.Link`.

    Compiled once: a second model of the same Verilog loads from the cache at once.

    Parameters
    ----------
    config : TpuConfig
    design : systolic.verilog.Design or None
        What it generates, if it is at hand.
    options
        ``trace``, ``optimise``, ``cache`` and ``progress`` as for :class:`.rtl.Rtl`; ``state`` for :meth:`states`.

    Raises
    ------
    ToolError
        If it cannot be compiled.
    """

    #: Of :meth:`wait`.
    unit = "cycles"

    def __init__(self, config: TpuConfig, *, design: "Design | None" = None, trace: bool = False,
                 **options: Any) -> None:
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

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._library.tpu_delete(self._model)

    def reset(self, cycles: int = 1) -> None:
        """Hold ``rst`` for that many cycles. Buffer, accumulators and table are not cleared by it."""
        self._library.tpu_reset(self._model, cycles)

    def connect(self, memory: NDArray[np.uint8], *, latency: int = 10, bytes_per_cycle: float | None = None,
                stalls: float | Mapping[str, float] = 0.0, silent: Mapping[str, int] | None = None, seed: int = 0,
                faults: Iterable[Fault] = ()) -> None:
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
        stalls = stalls if isinstance(stalls, Mapping) else dict.fromkeys(CHANNELS, stalls)
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

    def write32(self, address: int, value: int) -> None:
        """Write the register at an address.

        Raises
        ------
        LinkError
            If there is none, or no answer.
        """
        self._answered(self._library.tpu_write(self._model, address, value, _ALL_BYTES, _PATIENCE))

    def read32(self, address: int) -> int:
        """Value of the register at an address; raises as :meth:`write32`."""
        value = ctypes.c_uint32()
        self._answered(self._library.tpu_read(self._model, address, value, _PATIENCE))
        return value.value

    def _answered(self, response: int) -> None:
        if response:
            raise LinkError("does not answer" if response < 0 else f"answers {_RESPONSES[response]}")

    def write(self, address: int, data: bytes) -> None:
        """Write bytes of the memory.

        Raises
        ------
        LinkError
            If it does not have them.
        """
        self._within(address, len(data))[:] = np.frombuffer(data, np.uint8)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the memory; raises as :meth:`write`."""
        return self._within(address, size).tobytes()

    def _within(self, address: int, size: int) -> NDArray[np.uint8]:
        if not 0 <= address <= address + size <= self._memory.size:
            raise LinkError(f"address must be within the memory's {self._memory.size} bytes, not {address:#x} for "
                            f"{size} bytes")
        return self._memory[address:address + size]

    def wait(self, limit: float) -> bool:
        """Run until the interrupt line is high, at most so many cycles; whether it is.

        Raises
        ------
        RtlError
            If the TPU broke a rule of AXI.
        """
        left = int(limit)
        # In pieces of a fraction of a second, so that Ctrl-C is heard.
        while left > 0 and not self._library.tpu_interrupt(self._model):
            left -= self._library.tpu_run(self._model, min(100_000, left))
            if complaint := self._library.tpu_complaint(self._model):
                raise RtlError(f"{self.name}: {complaint.decode()}")
        return bool(self._library.tpu_interrupt(self._model))

    def unanswered(self) -> int:
        """Bursts whose address is on offer or taken and that memory has not answered to the last beat."""
        return int(self._library.tpu_unanswered(self._model))

    def states(self) -> list[State]:
        """Registers and memories of a model that was compiled with ``state=True``; of any other, none."""
        words, bits = ctypes.c_uint32(), ctypes.c_uint32()
        found = []
        for number in range(self._library.tpu_states(self._model)):
            name = self._library.tpu_state(self._model, number, words, bits).decode()
            found.append(State(number=number, name=name, words=words.value, bits=bits.value))
        return found

    def flip(self, state: State, word: int, bit: int) -> None:
        """Invert a bit of a register or memory between two cycles.

        Raises
        ------
        ValueError
            If it has no such word or bit.
        """
        if not (0 <= word < state.words and 0 <= bit < state.bits):
            raise ValueError(f"{state.name} has {state.words} words of {state.bits} bits, not word {word}, bit {bit}")
        self._library.tpu_flip(self._model, state.number, word, bit)

    def run(self, cycles: int) -> None:
        """Run so many cycles, fewer if the interrupt line rises."""
        self._library.tpu_run(self._model, cycles)

    @contextlib.contextmanager
    def trace(self, path: str | os.PathLike[str]) -> Iterator[None]:
        """Record a waveform (VCD) within a ``with`` block.

        Raises
        ------
        ValueError
            If the model was not compiled with ``trace``.
        OSError
            If the file cannot be written.
        """
        if not self._traces:
            raise ValueError("this model was not compiled with trace=True")
        if not self._library.tpu_trace(self._model, os.fsencode(path)):
            raise OSError(f"cannot write {path}")
        try:
            yield
        finally:
            self._library.tpu_trace(self._model, None)


@functools.cache
def _load(path: str | os.PathLike[str]) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    model = ctypes.c_void_p
    for name, result, *arguments in (
        ("new", model), ("delete", None, model), ("reset", None, model, ctypes.c_uint32),
        ("memory", None, model, ctypes.POINTER(_Settings)), ("run", ctypes.c_uint64, model, ctypes.c_uint64),
        ("interrupt", ctypes.c_int, model), ("cycle", ctypes.c_uint64, model),
        ("unanswered", ctypes.c_uint64, model), ("bus_bytes", ctypes.c_uint),
        ("write", ctypes.c_int, model, *[ctypes.c_uint32] * 4),
        ("read", ctypes.c_int, model, ctypes.c_uint32, ctypes.POINTER(ctypes.c_uint32), ctypes.c_uint32),
        ("complaint", ctypes.c_char_p, model), ("states", ctypes.c_uint64, model),
        ("state", ctypes.c_char_p, model, ctypes.c_uint64, *[ctypes.POINTER(ctypes.c_uint32)] * 2),
        ("flip", None, model, ctypes.c_uint64, ctypes.c_uint32, ctypes.c_uint32),
        ("trace", ctypes.c_int, model, ctypes.c_char_p),
    ):
        function = getattr(library, f"tpu_{name}")
        function.restype, function.argtypes = result, arguments
    return library
