"""A generated design behind a serial line as a compiled model, driven at its two pins."""

import ctypes
from typing import Any

from systolic import verilog
from systolic.gateware.serial.system import SerialTpu
from systolic.tops import SerialTpuTop
from systolic.tpu_config import TpuConfig
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.verilate import shared_library

__all__ = ["SerialLine", "serial_line", "serial_tpu"]


def serial_tpu(config: TpuConfig, *, memory_size: int, divisor: int = 8, pause: int = 2000,
               **options: Any) -> "SerialLine":
    """The line to a :class:`.SerialTpu` of these parameters; ``options`` as for :func:`.shared_library`."""
    system = SerialTpu(config, memory_size=memory_size, divisor=divisor, pause=pause)
    return serial_line(SerialTpuTop(system), divisor=divisor, pause=pause, **options)


def serial_line(top: Any, *, divisor: int, pause: int, **options: Any) -> "SerialLine":
    """The line to a top of :mod:`systolic.tops`; ``divisor`` and ``pause`` in cycles."""
    design = verilog.elaborate(top)
    return SerialLine(design.verilog + models_for(design.verilog), design.name, divisor=divisor, pause=pause * 1e-6,
                      **options)


class SerialLine:
    """The pins ``rx`` and ``tx`` of a module: a :class:`systolic.host.serial.Wire`.

    Parameters
    ----------
    verilog : str
        Verilog text, with models of the primitives in it.
    top : str
        Name of the module: with the ports ``clk`` and ``rst``, or with a clock of its own.
    divisor : int
        Steps a bit: cycles, or as many as resolve a bit.
    pause : float
        Seconds after which the design forgets half a request.
    step : float
        Seconds of a step; with a clock from outside, of one that has 1 MHz.
    timing : bool
        Whether the module has a clock of its own, and a time precision of 1 ps.
    options
        As for :func:`.shared_library`.

    Members
    -------
    baud, pause : int, float
        For :class:`systolic.host.serial.SerialLink`.
    """

    def __init__(self, verilog: str, top: str, *, divisor: int, pause: float, step: float = 1e-6, timing: bool = False,
                 **options: Any) -> None:
        self.baud, self.pause, self._step = round(1 / (divisor * step)), pause, step
        path = shared_library(verilog, top, harness="serial_harness.cpp", timing=timing, **options)
        library = self._library = ctypes.CDLL(str(path))
        library.serial_new.restype, library.serial_new.argtypes = ctypes.c_void_p, [ctypes.c_uint, ctypes.c_uint64]
        library.serial_steps.restype, library.serial_run.restype = ctypes.c_uint64, ctypes.c_uint64
        for name in ("serial_delete", "serial_steps", "serial_reset"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.serial_send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64]
        library.serial_run.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_uint64]
        self._model = library.serial_new(divisor, round(step * 1e12))
        self._bytes = ctypes.create_string_buffer(4096)

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._library.serial_delete(self._model)

    @property
    def steps(self) -> int:
        """Steps since it was made."""
        return int(self._library.serial_steps(self._model))

    def reset(self) -> None:
        """Hold ``rst``, if there is one, for four cycles."""
        self._library.serial_reset(self._model)

    def send(self, data: bytes) -> None:
        """As for :class:`systolic.host.serial.Wire`."""
        self._library.serial_send(self._model, data, len(data))

    def receive(self, seconds: float) -> bytes:
        """As for :class:`systolic.host.serial.Wire`."""
        until = self.steps + max(1, round(seconds / self._step))
        count = self._library.serial_run(self._model, until, self._bytes, len(self._bytes))
        return self._bytes.raw[:count]

    def now(self) -> float:
        """As for :class:`systolic.host.serial.Wire`."""
        return self.steps * self._step
