"""What a driver does, step by step, without a bus.

Each function is a generator: it yields a :data:`.link.Request`, is sent the answer, and returns its result. So one
description serves links that answer at once, links whose answers are awaited, and tests that answer by hand.
"""

import functools
from collections.abc import Generator, Iterable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from .. import registers
from ..compiler.image import Image, named
from ..tpu_config import IDENTITY
from .link import LinkError, Read, Read32, Request, Wait, Write, Write32
from .outcome import HostError, Outcome, RegisterError, WaitError

__all__ = ["CAUSES", "ENDS", "Steps", "counters", "execute", "feed", "fetch", "finish", "identify", "interrupted",
           "load", "read", "read_fields", "restart", "ring", "run", "start", "write", "write_ones"]

T = TypeVar("T")

#: Steps that end in a T.
Steps = Generator[Request, Any, T]

#: Interrupts, as their fields are named, and those with which a program ends.
CAUSES = ("program", "halt", "error")
ENDS = frozenset({"halt", "error"})

Int8Array = npt.NDArray[np.int8]


@functools.cache
def _register(name: str) -> tuple[int, dict[str, tuple[int, int]]]:
    """Address of a register, first bit and mask of its fields."""
    found = registers.register(name)
    return found.address, {field.name: (field.low, field.mask) for field in found.fields}


def _bits(name: str, fields: Iterable[str]) -> int:
    _, known = _register(name)
    for field in fields:
        if field not in known:
            raise HostError(f"field of {name} must be one of {', '.join(known)}, not {field}")
    return sum(known[field][1] for field in fields)


def read(name: str) -> Steps[int]:
    """Value of a register."""
    address, _ = _register(name)
    try:
        value: int = yield Read32(address)
    except LinkError as error:
        raise RegisterError(f"register {name}, at {address:#04x}, {error}") from error
    return value


def write(name: str, value: int) -> Steps[None]:
    """Write a register."""
    address, _ = _register(name)
    try:
        yield Write32(address, value)
    except LinkError as error:
        raise RegisterError(f"register {name}, at {address:#04x}, {error}") from error


def read_fields(name: str) -> Steps[dict[str, int]]:
    """Values of a register's fields."""
    value = yield from read(name)
    return {field: (value & mask) >> low for field, (low, mask) in _register(name)[1].items()}


def write_ones(name: str, *fields: str) -> Steps[None]:
    """Write ones to those fields of a register, and zeros to the others."""
    yield from write(name, _bits(name, fields))


def identify() -> Steps[dict[str, int]]:
    """What the TPU is: parameters by name, those of :attr:`.TpuConfig.identity`; HostError if there is no TPU."""
    found, expected = (yield from read("ID")), _identity()
    if found != expected:
        raise HostError(f"register ID must be {expected:#010x}, which is a TPU's, not {found:#010x}")
    fields = {}
    for name in dict.fromkeys(register for register, _ in IDENTITY.values()):
        fields[name] = yield from read_fields(name)
    return {name: fields[register][field] for name, (register, field) in IDENTITY.items()}


def _identity() -> int:
    value = registers.register("ID").field("value").reset
    assert value is not None
    return value


def counters() -> Steps[dict[str, int]]:
    """All counters, by the registers' names in small letters."""
    values = {}
    for name in registers.counters():
        # Reading the low half keeps the high one.
        low = yield from read(f"{name}_LO")
        values[name.lower()] = low | (yield from read(f"{name}_HI")) << 32
    return values


def ring() -> Steps[None]:
    """Ring the doorbell."""
    yield from write_ones("CONTROL", "start")


def restart() -> Steps[None]:
    """Make the core ready again after an error.

    Raises
    ------
    HostError
        If it refuses, since memory has not answered all bursts: then only a reset of the whole system helps.
    """
    yield from write_ones("CONTROL", "restart")
    if (yield from read_fields("STATUS"))["stopped"]:
        raise HostError("memory does not answer: reset TPU and interconnect")


def start(address: int, length: int, *, watchdog: int | None = None,
          interrupts: Iterable[str] = CAUSES) -> Steps[None]:
    """Start a program that is in memory, with no interrupt pending.

    Parameters
    ----------
    address, length : int
        Where, and how many instructions.
    watchdog : int or None
        Cycles for its register; ``None`` leaves that as it is.
    interrupts : iterable of str
        Which raise the line.
    """
    yield from write("PROGRAM_ADDRESS", address)
    yield from write("PROGRAM_LENGTH", length)
    if watchdog is not None:
        yield from write("WATCHDOG", watchdog)
    yield from write_ones("INTERRUPT_STATUS", *CAUSES)
    yield from write_ones("INTERRUPT_ENABLE", *interrupts)
    yield from ring()


def interrupted(limit: float | None = None) -> Steps[set[str]]:
    """Wait for an interrupt and clear it; returns its causes, names of ``CAUSES``.

    Parameters
    ----------
    limit : float or None
        How long, in the link's unit; ``None`` for as long as the driver says.

    Raises
    ------
    WaitError
        If none comes within the limit, or the line is high without a cause.
    """
    # The line is a level, and may be seen once more before it follows the register that was cleared.
    for _ in range(2):
        waited: str | None = yield Wait(limit)
        if waited is not None:
            raise WaitError((yield from _why(f"no interrupt after {waited}")))
        pending = yield from read("INTERRUPT_STATUS")
        if pending:
            yield from write("INTERRUPT_STATUS", pending)
            return {name for name, (_, mask) in _register("INTERRUPT_STATUS")[1].items() if pending & mask}
    raise WaitError((yield from _why("the interrupt line is high, but no interrupt is pending")))


def _why(what: str) -> Steps[str]:
    """That, and what the TPU says of itself."""
    status = yield from read_fields("STATUS")
    code, executed = (yield from read_fields("ERROR_CODE"))["code"], (yield from read("INSTRUCTIONS_LO"))
    state = ", ".join(name for name, bit in status.items() if bit) or "none"
    return f"{what}: status {state}, {executed} instructions issued, error {code}"


def finish(limit: float | None = None) -> Steps[Outcome]:
    """Wait for the end of a program, for each interrupt until then as :func:`interrupted` does."""
    heard, causes = 0, set[str]()
    while not causes & ENDS:
        causes = yield from interrupted(limit)
        heard += "program" in causes
    error, where = (yield from read_fields("ERROR_CODE")), (yield from read_fields("ERROR_INDEX"))
    return Outcome(halted="error" not in causes, error_code=error["code"], error_index=where["index"],
                   bus_dead=bool(error["bus_dead"]), interrupts=heard, counters=(yield from counters()))


def run(address: int, length: int, *, watchdog: int | None = None, limit: float | None = None) -> Steps[Outcome]:
    """Run a program that is in memory, from the doorbell to its end; see :func:`start` and :func:`finish`."""
    yield from start(address, length, watchdog=watchdog)
    return (yield from finish(limit))


def load(image: Image, /, **inputs: npt.ArrayLike) -> Steps[None]:
    """Write an image into memory, and after it int8 values of inputs."""
    yield Write(image.base, image.content.tobytes())
    yield from feed(image, **inputs)


def feed(image: Image, /, **inputs: npt.ArrayLike) -> Steps[None]:
    """Write int8 values of inputs of an image that is in memory."""
    for name, values in inputs.items():
        variable = named("input", image.inputs, name)
        yield Write(variable.address, variable.pack(values))


def fetch(image: Image, *names: str) -> Steps[dict[str, Int8Array]]:
    """Read outputs of an image that is in memory: int8 [height, width, channels] by name."""
    outputs = {}
    for name in names:
        variable = named("output", image.outputs, name)
        code: bytes = yield Read(variable.address, variable.region.size)
        outputs[name] = variable.unpack(code)
    return outputs


def execute(image: Image, *, limit: float | None = None) -> Steps[tuple[dict[str, Int8Array], list[Outcome]]]:
    """Run all programs of an image that is in memory, and read its outputs.

    Returns
    -------
    outputs : dict of str to int8 array [height, width, channels]
    outcomes : list of Outcome
        One per program.

    Raises
    ------
    HostError
        If one of them does not halt.
    """
    outcomes = []
    for program in image.programs:
        outcome = yield from run(program.address, program.length, limit=limit)
        outcomes.append(outcome.check())
    return (yield from fetch(image, *image.outputs)), outcomes
