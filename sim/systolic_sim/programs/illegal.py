"""Random programs with one thing wrong: every error there is, in every instruction that can make it.

Most kinds follow from the table of :mod:`systolic.isa`: each reserved bit, each field with a limit, each region.
"""

import dataclasses
import functools

import numpy as np

from systolic import isa
from systolic.errors import UserError
from systolic.isa import ErrorCode
from systolic_sim.check.accesses import sums_in_x
from systolic_sim.programs.random import random_program
from systolic_sim.rtl.tpu import Fault

__all__ = ["KINDS", "IllegalCase", "illegal_program"]

_SLVERR, _DECERR = 2, 3


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class IllegalCase:
    """A program that has to end in an error, and where it runs.

    Parameters
    ----------
    memory : uint8 array
    address, length : int
        Of the program: first byte and number of instructions.
    error : ErrorCode
    faults : tuple of Fault
    ring_again : int or None
        Cycles after the doorbell at which it is rung again.
    """

    memory: np.ndarray
    address: int
    length: int
    error: ErrorCode
    faults: tuple = ()
    ring_again: int | None = None


def illegal_program(config, kind, seed):
    """A random program with an error of that kind; the same arguments give the same one.

    Parameters
    ----------
    config : TpuConfig
    kind : str
        One of ``KINDS``.
    seed : int

    Returns
    -------
    IllegalCase

    Raises
    ------
    UserError
        If there is no such kind.
    """
    if kind not in KINDS:
        raise UserError(f"kind must be one of {', '.join(KINDS)}, not {kind}")
    error, spoil = KINDS[kind]
    for attempt in range(100):
        legal = random_program(config, 1000 * seed + attempt, length=12)
        spoiler = _Spoiler(config, np.random.default_rng([seed, attempt]), legal)
        if spoil(spoiler):
            return spoiler.case(error)
    raise UserError(f"no program found in which {kind} can be put")


class _Spoiler:
    """A legal program, and how it is changed."""

    def __init__(self, config, rng, case):
        self.config, self.rng = config, rng
        self.memory, self.address = case.memory, case.address
        self.window, self.spare = case.window[0], case.spare
        self.code = [int.from_bytes(isa.encode([each]), "little") for each in case.program]
        self.program = case.program
        self.faults, self.ring_again, self.length, self.shift = [], None, None, 0

    def case(self, error):
        code = b"".join(bits.to_bytes(isa.BYTES, "little") for bits in self.code)
        memory = np.concatenate([self.memory[:self.address], np.frombuffer(code, np.uint8)])
        return IllegalCase(memory=self._extended(memory), address=self.address + self.shift, error=error,
                           length=len(self.code) if self.length is None else self.length,
                           faults=tuple(self.faults), ring_again=self.ring_again)

    def _extended(self, memory):
        """With room for what has its own pages beyond the program."""
        end = max([len(memory), *(fault.last for fault in self.faults)])
        return np.concatenate([memory, np.zeros(-(-end // 4096) * 4096 - len(memory), np.uint8)])

    def insert(self, bits, *, last=False):
        """An instruction anywhere, or right before the end."""
        where = len(self.code) - 1 if last else int(self.rng.integers(len(self.code)))
        self.code.insert(where, bits)
        return True

    def template(self, name, **changed):
        """Bits of a legal instruction, with some of its fields changed whether they fit or not."""
        instruction = isa.by_opcode(next(each.opcode for each in isa.INSTRUCTIONS if each.name == name))
        fields = {"memory": self.spare, "base": self.window, "from_base": self.window, "other_base": self.window,
                  "start": self.window, "parameters": self.window, "row_bytes": 4}
        sizes = {"memory_size": self.config.tile_bytes(), "size": 300, "from_size": 300, "other_size": 300,
                 "parameters_size": 16}
        values = {each: value for each, value in (fields | sizes).items()
                  if each in {field.name for field in instruction.fields}}
        return int.from_bytes(isa.encode([isa.operation(name, **(values | changed))]), "little")

    def pick(self, name, usable=lambda op: True):
        """Number and operation of an instruction of that name, or None."""
        numbers = [number for number, op in enumerate(self.program) if op.name == name and usable(op)]
        if not numbers:
            return None
        number = int(self.rng.choice(numbers))
        return number, self.program[number]

    def replace(self, number, **changed):
        op = self.program[number]
        values = op.values | {name: int(value) for name, value in changed.items()}
        self.code[number] = int.from_bytes(isa.encode([isa.Operation(op.name, values)]), "little")
        return True


def _unknown_opcode(spoiler):
    unknown = [opcode for opcode in range(256) if isa.by_opcode(opcode) is None]
    rest = int.from_bytes(spoiler.rng.bytes(isa.BYTES - 1), "little") << 8
    return spoiler.insert(rest | int(spoiler.rng.choice(unknown)))


def _reserved(spoiler, instruction):
    used = isa.used_bits(instruction)
    reserved = [bit for bit in range(8 * isa.BYTES) if not used >> bit & 1]
    return spoiler.insert(spoiler.template(instruction.name) | 1 << int(spoiler.rng.choice(reserved)))


def _field(spoiler, instruction, field, value):
    """One field set to what ``value(spoiler)`` says."""
    mask = ((1 << field.width) - 1) << field.offset
    return spoiler.insert(spoiler.template(instruction.name) & ~mask | value(spoiler) << field.offset)


def _too_large(spoiler, field):
    arch = spoiler.config.matrix.arch
    return int(spoiler.rng.integers(isa.most(field, arch.rows, arch.cols, spoiler.config.roundings, arch.taps) + 1,
                                     field.range[1] + 1))


def _misaligned(spoiler):
    return spoiler.spare + int(spoiler.rng.integers(1, spoiler.config.bus_bytes))


def _outside_buffer(spoiler, instruction, region):
    """The region ends one byte beyond the buffer, or anywhere up to beyond the end of all addresses."""
    size = region.size if isinstance(region.size, int) else int(spoiler.rng.integers(1, 300))
    first = spoiler.config.buffer_size - size + 1
    base = int(spoiler.rng.choice([first, int(spoiler.rng.integers(first, 1 << 32)), (1 << 32) - 1]))
    changed = {region.base: base} | ({} if isinstance(region.size, int) else {region.size: size})
    return spoiler.insert(spoiler.template(instruction.name, **changed))


def _elsewhere(spoiler, name, field, other):
    """An input that overlaps the output, and not byte for byte: one thing that has to be equal is not."""
    value = spoiler.window if isinstance(other, str) and other == "base" else other if isinstance(other, int) else 0
    return spoiler.insert(spoiler.template(name, **{field: value + int(spoiler.rng.integers(1, 5))}))


def _over_each_other(spoiler, name, region):
    """In place of one input, outputs that overlap."""
    fields = {"channels": 4, "x_count": 3}
    strides = {other: 3 for _, other in region.in_place if other == "x_stride"}
    strides |= {field: 3 for field, other in region.in_place if other == "x_stride"}
    return spoiler.insert(spoiler.template(name, **fields, **strides))


def _extent(counts, strides, size):
    """Bytes from the first access to the end of the farthest, at a start."""
    return sum(max(0, (count - 1) * stride) for count, stride in zip(counts, strides, strict=True)) + size


def _needs(config, op, field):
    """Smallest value of a size with which the instruction runs."""
    if field == "parameters_size":
        return (op.channels if op.per_channel else 1) * isa.RECORD_BYTES
    if op.name == "read_weights":
        return op.tile_count * config.tile_bytes(diagonal=bool(op.diagonal))
    if op.name == "matrix_multiply":
        return _matrix_needs(config, op)
    if field == "memory_size":
        return _extent([op.row_count], [op.memory_stride], op.row_bytes)
    if op.name in ("read_host_memory", "write_host_memory"):
        return _extent([op.row_count], [op.stride], op.row_bytes)
    counts = [op.x_count, op.y_count]
    if field == "size":
        return _extent(counts, [op.x_stride, op.y_stride], op.channels)
    if field == "other_size":
        return _extent(counts, [op.other_x_stride, op.other_y_stride], op.channels)
    strides = [op.from_x_stride, op.from_y_stride]
    if op.name == "add":
        return _extent(counts, strides, op.channels)
    return op.start - op.from_base + _extent([*counts, op.kx_count, op.ky_count],
                                             [*strides, op.kx_stride, op.ky_stride], op.channels)


def _matrix_needs(config, op):
    """0 if every row is padding."""
    loops = ("x", "y", "c", "kx", "ky", "n")
    grid = dict(zip(loops, np.meshgrid(*(np.arange(getattr(op, f"{loop}_count")) for loop in loops), indexing="ij"),
                    strict=True))
    address = op.start + sum(grid[loop] * getattr(op, f"{loop}_stride") for loop in loops)
    real = np.ones(address.shape, bool)
    for axis, size in (("x", op.width), ("y", op.height)):
        pixel = (getattr(op, f"first_{axis}") + grid[axis] * getattr(op, f"{axis}_step")
                 + grid[f"k{axis}"] * getattr(op, f"k{axis}_step"))
        real &= (size == 0) | (pixel % (1 << 16) < size)
    offset = (address - op.base) % (1 << config.address_width)
    return int(offset[real].max()) + config.matrix.arch.rows if np.any(real) else 0


def _region_too_small(spoiler, name, field):
    picked = spoiler.pick(name, lambda op: _needs(spoiler.config, op, field) > 1)
    if picked is None:
        return False
    number, op = picked
    least = _needs(spoiler.config, op, field)
    return spoiler.replace(number, **{field: spoiler.rng.choice([least - 1, spoiler.rng.integers(1, least)])})


def _accumulator(spoiler):
    picked = spoiler.pick("matrix_multiply")
    if picked is None:
        return False
    number, op = picked
    sums = int(sums_in_x(spoiler.config, op).sum()) * op.y_count
    first = spoiler.config.matrix.arch.accumulator_depth - sums + 1
    return spoiler.replace(number, accumulator=spoiler.rng.choice([first, spoiler.rng.integers(first, 65536)]))


def _bus(spoiler, name, response):
    """The instruction moves to pages of its own, of which one byte answers badly; without a response, beyond memory."""
    picked = spoiler.pick(name)
    if picked is None:
        return False
    number, op = picked
    rng, page = spoiler.rng, -(-(len(spoiler.memory) + 2 * isa.BYTES) // 4096) * 4096
    if response is None:
        return spoiler.replace(number, memory=1 << 24)
    if name == "read_weights":
        byte = int(rng.integers(_needs(spoiler.config, op, "memory_size")))
    else:
        byte = int(rng.integers(op.row_count)) * op.memory_stride + int(rng.integers(op.row_bytes))
    spoiler.faults = [Fault(first=page + byte, last=page + byte + 1, response=response),
                      Fault(first=page + op.memory_size + 8192, last=page + op.memory_size + 8192)]
    return spoiler.replace(number, memory=page)


def _fetch(spoiler, response):
    byte = spoiler.address + int(spoiler.rng.integers(isa.BYTES * len(spoiler.code)))
    spoiler.faults = [Fault(first=byte, last=byte + 1, response=response)]
    return True


def _set(spoiler, name, value):
    setattr(spoiler, name, value(spoiler))
    return True


def _replace_halt(spoiler):
    spoiler.code[-1] = 0
    return True


def _untaken_results(spoiler):
    spoiler.insert(spoiler.template("read_weights"), last=True)
    return spoiler.insert(spoiler.template("matrix_multiply", finish=1), last=True)


def _last(spoiler, name, **changed):
    return spoiler.insert(spoiler.template(name, **changed), last=True)


def _kinds():
    """Error and function by the name of the kind."""
    kinds = {"unknown opcode": (ErrorCode.OPCODE, _unknown_opcode)}
    for instruction in isa.INSTRUCTIONS:
        name = instruction.name
        kinds[f"{name}: reserved bit"] = (ErrorCode.RESERVED, functools.partial(_reserved, instruction=instruction))
        for field in instruction.fields:
            spoil = functools.partial(_field, instruction=instruction, field=field)
            if field.least:
                kinds[f"{name}: {field.name} zero"] = (
                    ErrorCode.FIELD, functools.partial(spoil, value=lambda spoiler: 0))
            if field.aligned:
                kinds[f"{name}: {field.name} misaligned"] = (
                    ErrorCode.FIELD, functools.partial(spoil, value=_misaligned))
            # A flag, and on machines with taps there is no value too large for it.
            if field.most and field.most != "taps":
                kinds[f"{name}: {field.name} too large"] = (
                    ErrorCode.FIELD, functools.partial(spoil, value=functools.partial(_too_large, field=field)))
        for region in instruction.regions:
            if region.space == "buffer":
                kinds[f"{name}: {region.base} beyond the buffer"] = (
                    ErrorCode.BUFFER, functools.partial(_outside_buffer, instruction=instruction, region=region))
            for field, other in region.in_place:
                kinds[f"{name}: {region.base} over the output, {field} differs"] = (
                    ErrorCode.OVERLAP, functools.partial(_elsewhere, name=name, field=field, other=other))
            if region.in_place:
                kinds[f"{name}: {region.base} in place, outputs over each other"] = (
                    ErrorCode.OVERLAP, functools.partial(_over_each_other, name=name, region=region))
            if isinstance(region.size, str):
                kinds[f"{name}: {region.size} too small"] = (
                    ErrorCode.REGION, functools.partial(_region_too_small, name=name, field=region.size))
    kinds["matrix_multiply: accumulator too large"] = (ErrorCode.ACCUMULATOR, _accumulator)
    buses = {"read_host_memory": ErrorCode.BUS_READ, "read_weights": ErrorCode.BUS_READ,
             "write_host_memory": ErrorCode.BUS_WRITE}
    for name, error in buses.items():
        for what, response in (("SLVERR", _SLVERR), ("DECERR", _DECERR), ("beyond memory", None)):
            kinds[f"{name}: {what}"] = (error, functools.partial(_bus, name=name, response=response))
    kinds |= {
        "fetch: SLVERR": (ErrorCode.FETCH, functools.partial(_fetch, response=_SLVERR)),
        "fetch: DECERR": (ErrorCode.FETCH, functools.partial(_fetch, response=_DECERR)),
        "fetch: address misaligned": (ErrorCode.FETCH, functools.partial(
            _set, name="shift", value=lambda spoiler: int(spoiler.rng.integers(1, isa.BYTES)))),
        "fetch: no instructions": (ErrorCode.FETCH, functools.partial(_set, name="length", value=lambda spoiler: 0)),
        "end: too short": (ErrorCode.END, functools.partial(
            _set, name="length", value=lambda spoiler: int(spoiler.rng.integers(1, len(spoiler.code))))),
        "end: no halt": (ErrorCode.END, _replace_halt),
        "leftover: tiles": (ErrorCode.LEFTOVER, functools.partial(_last, name="read_weights")),
        "leftover: results": (ErrorCode.LEFTOVER, _untaken_results),
        # More rows than wait on their way into the matrix unit: with fewer, halt finds a tile too few.
        "watchdog: no tile": (
            ErrorCode.WATCHDOG, functools.partial(_last, name="matrix_multiply", x_count=8, c_count=8)),
        "watchdog: no results": (ErrorCode.WATCHDOG, functools.partial(_last, name="activate")),
        "busy": (ErrorCode.BUSY, functools.partial(
            _set, name="ring_again", value=lambda spoiler: int(spoiler.rng.integers(1, 200)))),
    }
    return kinds


#: Error that each kind ends in, and what puts it into a program.
KINDS = _kinds()
