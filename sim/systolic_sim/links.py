"""What a driver links to where there is no hardware: the emulator, and the compiled Verilog.

Entry points of ``systolic.links``: see :mod:`systolic.runtime.links`.
"""

import functools
import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolic import registers
from systolic.errors import require
from systolic.host import Link, LinkError
from systolic.tpu_config import IDENTITY, TpuConfig
from systolic_sim.emulator import Emulator, EmulatorError

__all__ = ["EmulatorLink", "open_emulator", "open_rtl"]

_log = logging.getLogger("systolic.emulator")


def open_emulator(config: TpuConfig, size: int, argument: str) -> Link:
    """The emulator as a link; ``emulator:strict`` minds bytes never written, and logs results never read."""
    require(argument in ("", "strict"), "target", "emulator or emulator:strict", f"emulator:{argument}")
    return EmulatorLink(config, size, strict=bool(argument))


def open_rtl(config: TpuConfig, size: int, argument: str) -> Link:
    """The generated Verilog, compiled, with a memory of 10 cycles of latency."""
    _require_bare("rtl", argument)
    from systolic_sim.rtl.tpu import TpuRtl  # only here: Amaranth takes a while to import

    rtl = TpuRtl(config, design=_design(config))
    rtl.connect(np.zeros(size, np.uint8))
    return rtl


@functools.cache
def _design(config: TpuConfig) -> Any:
    """Its Verilog: generated once, however many models are loaded."""
    from systolic import verilog  # only here, as above

    return verilog.generate(config)


def _require_bare(name: str, argument: str) -> None:
    require(not argument, "target", f"{name}, with nothing behind it", f"{name}:{argument}")


@functools.cache
def _address(name: str) -> int:
    return registers.address(name)


class EmulatorLink:
    """A TPU that executes programs on the emulator: registers, memory and interrupt of one that has finished at once.

    Counters of time stay zero: an emulator has none.

    Parameters
    ----------
    config : TpuConfig
    size : int
        Bytes of memory.
    strict : bool
        As for :class:`.Emulator`.

    Members
    -------
    emulator : Emulator
    detail : str
        What it knows of the error that stopped the latest program; else empty.
    """

    unit = "cycles"

    def __init__(self, config: TpuConfig, size: int, *, strict: bool = False) -> None:
        self.emulator = Emulator(config, np.zeros(size, np.uint8), strict=strict)
        self.detail = ""
        self._values = {each.address: each.fields[0].reset or 0 for each in registers.registers()}
        for name, value in config.identity.items():
            register, field = IDENTITY[name]
            self._set(register, self._get(register) | value << registers.register(register).field(field).low)
        self._show("idle")

    def _get(self, name: str) -> int:
        return self._values[_address(name)]

    def _set(self, name: str, value: int) -> None:
        self._values[_address(name)] = value

    def _show(self, state: str) -> None:
        self._set("STATUS", registers.register("STATUS").field(state).mask)

    def read32(self, address: int) -> int:
        """As for :class:`systolic.host.Link`."""
        if address not in self._values:
            raise LinkError("answers SLVERR")
        return self._values[address]

    def write32(self, address: int, value: int) -> None:
        """As for :class:`systolic.host.Link`."""
        if address not in self._values:
            raise LinkError("answers SLVERR")
        if address == _address("CONTROL"):
            self._control(value)
        elif address == _address("INTERRUPT_STATUS"):
            self._values[address] &= ~value
        else:
            self._values[address] = value

    def _control(self, value: int) -> None:
        control, status = registers.register("CONTROL"), registers.register("STATUS")
        if value & control.field("start").mask and self._get("STATUS") & status.field("idle").mask:
            self._run()
        if value & control.field("restart").mask and self._get("STATUS") & status.field("stopped").mask:
            self.emulator.restart()
            self._set("ERROR_CODE", 0)
            self._show("idle")

    def _run(self) -> None:
        emulator, cause, self.detail = self.emulator, "halt", ""
        try:
            emulator.run_at(self._get("PROGRAM_ADDRESS"), self._get("PROGRAM_LENGTH"))
        except EmulatorError as error:
            cause, self.detail = "error", error.detail
            self._set("ERROR_CODE", error.code)
            self._set("ERROR_INDEX", error.index or 0)
            self._show("stopped")
        for line in emulator.lost:
            _log.warning("%s", line)
        for name, count in emulator.counters.items():
            self._set(f"{name.upper()}_LO", count & 0xFFFFFFFF)
            self._set(f"{name.upper()}_HI", count >> 32)
        self._set("DEBUG_TAG", emulator.debug_tag)
        status = registers.register("INTERRUPT_STATUS")
        heard = status.field("program").mask if emulator.interrupts else 0
        self._set("INTERRUPT_STATUS", self._get("INTERRUPT_STATUS") | status.field(cause).mask | heard)

    def _within(self, address: int, size: int) -> NDArray[np.uint8]:
        memory = self.emulator.memory
        if not 0 <= address <= address + size <= memory.size:
            raise LinkError(f"address must be within the memory's {memory.size} bytes, not {address:#x} for {size} "
                            "bytes")
        return memory[address:address + size]

    def read(self, address: int, size: int) -> bytes:
        """As for :class:`systolic.host.Link`."""
        return self._within(address, size).tobytes()

    def write(self, address: int, data: bytes) -> None:
        """As for :class:`systolic.host.Link`."""
        self._within(address, len(data))[:] = np.frombuffer(data, np.uint8)

    def wait(self, limit: float) -> bool:
        """Whether the interrupt line is high: whatever there was to wait for has been."""
        return bool(self._get("INTERRUPT_STATUS") & self._get("INTERRUPT_ENABLE"))
