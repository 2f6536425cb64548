"""A generated design behind a serial line as a compiled model, driven at its two pins."""

import ctypes
from typing import Any

from systolic import verilog
from systolic.gateware.serial.system import SerialTpu
from systolic.tops import SerialTpuTop
from systolic.tpu_config import TpuConfig
from systolic_sim.rtl.primitives import models_for
from systolic_sim.rtl.verilate import shared_library

__all__ = ["SerialLine", "serial_tpu"]


def serial_tpu(config: TpuConfig, *, memory_size: int, divisor: int = 8, pause: int = 2000,
               **options: Any) -> "SerialLine":
    """The line to a :class:`.SerialTpu` of these parameters; ``options`` as for :func:`.shared_library`."""
    system = SerialTpu(config, memory_size=memory_size, divisor=divisor, pause=pause)
    return SerialLine(SerialTpuTop(system), divisor=divisor, pause=pause, **options)


class SerialLine:
    """The pins ``rx`` and ``tx`` of a design: a :class:`systolic.host.serial.Wire`.

    Its clock has 1 MHz: a second is a million cycles.

    Parameters
    ----------
    top
        Of :mod:`systolic.tops`, with these pins.
    divisor : int
        Cycles a bit.
    pause : int
        Cycles after which the design forgets half a request.
    options
        As for :func:`.shared_library`.

    Members
    -------
    baud, pause : int, float
        For :class:`systolic.host.serial.SerialLink`.
    """

    CLOCK = 1_000_000

    def __init__(self, top: Any, *, divisor: int, pause: int, **options: Any) -> None:
        design = verilog.elaborate(top)
        self.baud, self.pause = self.CLOCK // divisor, pause / self.CLOCK
        path = shared_library(design.verilog + models_for(design.verilog), design.name, harness="serial_harness.cpp",
                              **options)
        library = self._library = ctypes.CDLL(str(path))
        library.serial_new.restype, library.serial_new.argtypes = ctypes.c_void_p, [ctypes.c_uint]
        library.serial_cycle.restype, library.serial_run.restype = ctypes.c_uint64, ctypes.c_uint64
        for name in ("serial_delete", "serial_cycle", "serial_reset"):
            getattr(library, name).argtypes = [ctypes.c_void_p]
        library.serial_send.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64]
        library.serial_run.argtypes = [ctypes.c_void_p, ctypes.c_uint64, ctypes.c_char_p, ctypes.c_uint64]
        self._model = library.serial_new(divisor)
        self._bytes = ctypes.create_string_buffer(4096)

    def __del__(self) -> None:
        if getattr(self, "_model", None):
            self._library.serial_delete(self._model)

    @property
    def cycle(self) -> int:
        """Cycles since it was made."""
        return int(self._library.serial_cycle(self._model))

    def reset(self) -> None:
        """Hold ``rst`` for four cycles."""
        self._library.serial_reset(self._model)

    def send(self, data: bytes) -> None:
        """As for :class:`systolic.host.serial.Wire`."""
        self._library.serial_send(self._model, data, len(data))

    def receive(self, seconds: float) -> bytes:
        """As for :class:`systolic.host.serial.Wire`."""
        until = self.cycle + max(1, round(seconds * self.CLOCK))
        count = self._library.serial_run(self._model, until, self._bytes, len(self._bytes))
        return self._bytes.raw[:count]

    def now(self) -> float:
        """As for :class:`systolic.host.serial.Wire`."""
        return self.cycle / self.CLOCK
