"""What is wrong with an instruction by itself: its fields, its regions, and the first access that goes astray.

Nothing here depends on data or on time. Most instructions are seen to be right from the corners of their loops; only
where a corner is outside, accesses are looked at one after the other.
"""

import bisect
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from systolic import isa
from systolic.isa import ErrorCode
from systolic.tpu_config import TpuConfig

__all__ = ["Fault", "Tiles", "access_faults", "check_fields", "check_instruction", "regions", "rows_inside",
           "sums_in_x", "walks_of", "wrong_field"]

_MEMORY = 1 << 32
_PIXELS = 1 << 16


class Fault(NamedTuple):
    """An access that ends the program if the machine gets to it.

    ``error``: which. ``place``: what comes before it. Of read_weights the tile, or
    with a bus error the bus word; of matrix_multiply the row; of activate the row of sums, -1 if none is needed; of
    others 0.
    """

    error: ErrorCode
    place: int


def check_instruction(config: TpuConfig, bits: int) -> ErrorCode | None:
    """What the sequencer finds wrong with an instruction before any unit sees it.

    Parameters
    ----------
    config : TpuConfig
    bits : int
        Its 512 bits.

    Returns
    -------
    ErrorCode or None
    """
    if problem := check_fields(config, bits):
        return problem
    operation, = isa.decode(bits.to_bytes(isa.BYTES, "little"))
    for (space, _, _, end), in_place in zip(regions(operation), isa.overlaps(operation), strict=True):
        if space == "buffer" and end > config.buffer_size:
            return ErrorCode.BUFFER
        if in_place is False:
            return ErrorCode.OVERLAP
    return None


def check_fields(config: TpuConfig, bits: int) -> ErrorCode | None:
    """The same, but for its regions."""
    instruction = isa.by_opcode(bits & 0xFF)
    if instruction is None:
        return ErrorCode.OPCODE
    if bits & ~isa.used_bits(instruction):
        return ErrorCode.RESERVED
    return ErrorCode.FIELD if wrong_field(config, bits) else None


def wrong_field(config, bits):
    """The first field whose value the machine does not take, or None."""
    operation, = isa.decode(bits.to_bytes(isa.BYTES, "little"))
    arch = config.matrix.arch
    for field in operation.instruction.fields:
        value = operation.values[field.name]
        if not field.signed and not field.least <= value <= isa.most(
                field, arch.rows, arch.cols, config.roundings, arch.taps):
            return field
        if field.aligned and value % config.bus_bytes:
            return field
    return None


def regions(operation):
    """(space, writes, base, end) of each region."""
    values = operation.values
    return [(region.space, region.writes, values[region.base],
             values[region.base] + (region.size if isinstance(region.size, int) else values[region.size]))
            for region in operation.instruction.regions]


def access_faults(config, op, answers=None):
    """The accesses of an instruction that end the program.

    Parameters
    ----------
    config : TpuConfig
    op : Operation
        In which the sequencer finds nothing wrong.
    answers : function of (address, size) or None
        Whether the bus reads and writes there without an error; ``None`` where it does everywhere.

    Returns
    -------
    list of Fault
        The first one; with read_host_memory, write_host_memory and read_weights, whose bursts are asked for ahead, the
        first of region and the first of the bus.
    """
    function = _FAULTS.get(op.name)
    return [] if function is None else [fault for fault in function(config, op, answers) if fault is not None]


def _load_faults(config, op, answers, bus=ErrorCode.BUS_READ):
    good = rows_inside(config, op)
    region = Fault(ErrorCode.REGION, 0) if good < op.row_count else None
    step, size = op.memory_stride, op.row_bytes
    if answers is None or good and answers(op.memory, (good - 1) * step + size):
        return [region]
    silent = not all(answers(op.memory + row * step % _MEMORY, size) for row in range(good))
    return [region, Fault(bus, 0) if silent else None]


def _store_faults(config, op, answers):
    return _load_faults(config, op, answers, ErrorCode.BUS_WRITE)


def rows_inside(config, op):
    """How many rows of a transfer come before the first that is outside."""
    last, size = op.row_count - 1, op.row_bytes
    room = min(op.memory_size, _MEMORY - op.memory)
    if last * op.memory_stride + size <= room and 0 <= last * op.stride <= op.size - size:
        return op.row_count
    row = np.arange(op.row_count)
    there = (row.astype(np.uint64) * np.uint64(op.memory_stride)).astype(np.int64) % _MEMORY
    here = row * op.stride % (1 << config.address_width)
    bad = (there + size > room) | (here + size > op.size)
    return int(np.argmax(bad)) if np.any(bad) else op.row_count


def _weights_faults(config, op, answers):
    size = config.tile_bytes(diagonal=bool(op.diagonal))
    good = min(op.tile_count, min(op.memory_size, _MEMORY - op.memory) // size)
    region = Fault(ErrorCode.REGION, good) if good < op.tile_count else None
    if answers is None or not good or answers(op.memory, good * size):
        return [region]
    word = config.bus_bytes
    silent = bisect.bisect_left(range(good * size // word), True, key=lambda n: not answers(op.memory, (n + 1) * word))
    return [region, Fault(ErrorCode.BUS_READ, silent)]


class Tiles:
    """Where the rows of a matrix_multiply are.

    Parameters
    ----------
    config : TpuConfig
    op : Operation
    most : int or None
        Look at so many rows of a tile at most.

    Members
    -------
    rows : int
        Rows of a tile that are looked at.
    """

    def __init__(self, config: TpuConfig, op: isa.Operation, most: int | None = None) -> None:
        self.op = op
        y_count = op.y_count if most is None else min(op.y_count, -(-most // op.x_count))
        self._x, self._x_padded = _axis(op, "x", op.x_count, op.width)
        self._y, self._y_padded = _axis(op, "y", y_count, op.height)
        self.rows = y_count * op.x_count if most is None else min(most, y_count * op.x_count)

    def __iter__(self) -> Iterator[tuple[int, int, int, int]]:
        """(n, ky, kx, c) in the order of the machine."""
        op = self.op
        return itertools.product(range(op.n_count), range(op.ky_count), range(op.kx_count), range(op.c_count))

    def tile(self, n: int, ky: int, kx: int, c: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Addresses and whether they are padding, of each row of a tile."""
        op = self.op
        address = op.start + c * op.c_stride + n * op.n_stride + (self._y[ky][:, None] + self._x[kx]).ravel()
        padded = (self._y_padded[ky][:, None] | self._x_padded[kx]).ravel()
        return address[:self.rows], padded[:self.rows]

    def span(self):
        """Lowest and highest address of a row that is no padding; None if all are."""
        op, low, high = self.op, self.op.start, self.op.start
        for offset, padded in ((self._x, self._x_padded), (self._y, self._y_padded)):
            real = offset[~padded]
            if not real.size:
                return None
            low, high = low + int(real.min()), high + int(real.max())
        for reach in ((op.c_count - 1) * op.c_stride, (op.n_count - 1) * op.n_stride):
            low, high = low + min(0, reach), high + max(0, reach)
        return low, high


def sums_in_x(config: TpuConfig, op: isa.Operation) -> NDArray[np.bool_]:
    """Which rows in x of a matrix_multiply have a sum of their own: bool [x_count]. All, if it is not depthwise."""
    sums = np.ones(op.x_count, bool)
    if op.depthwise:
        taps = config.matrix.arch.taps
        sums[:] = False
        sums[taps - 1::op.skip + 1] = True
    return sums


def _axis(op, axis, count, size):
    """Bytes [k, count] from the start, and whether the pixel is outside the input."""
    kernel, step = np.ogrid[:op.values[f"k{axis}_count"], :count]
    offset = step * op.values[f"{axis}_stride"] + kernel * op.values[f"k{axis}_stride"]
    pixel = op.values[f"first_{axis}"] + step * op.values[f"{axis}_step"]
    pixel = pixel + kernel * op.values[f"k{axis}_step"]
    return offset, (pixel % _PIXELS >= size) & bool(size)


def _rows_of(sums, y_count, most):
    """Rows of a tile until there are so many sums, or all."""
    in_x = int(sums.sum())
    if not in_x or most > in_x * y_count:
        return len(sums) * y_count
    y, rest = divmod(most - 1, in_x)
    return y * len(sums) + int(np.flatnonzero(sums)[rest]) + 1


def _matrix_faults(config, op, answers):
    arch, modulus = config.matrix.arch, 1 << config.address_width
    entries, sums = max(0, arch.accumulator_depth - op.accumulator), sums_in_x(config, op)
    tiles = Tiles(config, op, _rows_of(sums, op.y_count, entries + 1))
    sums = np.tile(sums, -(-tiles.rows // len(sums)))[:tiles.rows]
    beyond = sums & (np.cumsum(sums) > entries)
    if not beyond.any():
        span = tiles.span()
        if span is None or (span[0] - op.base) % modulus + span[1] - span[0] + arch.rows <= op.size:
            return []
    for number, place in enumerate(tiles):
        address, padded = tiles.tile(*place)
        bad = beyond | ((address - op.base) % modulus + arch.rows > op.size) & ~padded
        if bad.any():
            row = int(np.argmax(bad))
            error = ErrorCode.ACCUMULATOR if beyond[row] else ErrorCode.REGION
            return [Fault(error, number * op.x_count * op.y_count + row)]
    return []


def _activate_faults(config, op, answers):
    if (op.channels if op.per_channel else 1) * isa.RECORD_BYTES > op.parameters_size:
        return [Fault(ErrorCode.REGION, -1)]
    row = _first_outside(config, 0, (op.y_count, op.x_count), (op.y_stride, op.x_stride), op.channels, op.size)
    return [None if row is None else Fault(ErrorCode.REGION, row)]


class _Walk(NamedTuple):
    """What an instruction walks over in a region: loops of outputs in y and x, and of their windows."""

    start: int
    counts: tuple
    strides: tuple
    size: int

    def first_outside(self, config, channels):
        return _first_outside(config, *self[:3], channels, self.size)


def walks_of(op):
    """Of an instruction of the activation unit, what it walks over: name of the base's field, base, and walk.

    The last is that of the outputs.
    """
    counts = op.y_count, op.x_count
    found = []
    if op.name == "pool":
        found.append(("from_base", op.from_base, _Walk(
            op.start - op.from_base, (*counts, op.ky_count, op.kx_count),
            (op.from_y_stride, op.from_x_stride, op.ky_stride, op.kx_stride), op.from_size)))
    if op.name == "add":
        found.append(("from_base", op.from_base,
                      _Walk(0, counts, (op.from_y_stride, op.from_x_stride), op.from_size)))
        found.append(("other_base", op.other_base,
                      _Walk(0, counts, (op.other_y_stride, op.other_x_stride), op.other_size)))
    return [*found, ("base", op.base, _Walk(0, counts, (op.y_stride, op.x_stride), op.size))]


def _elementwise_faults(config, op, answers):
    walks = [walk for _, _, walk in walks_of(op)]
    if any(isa.overlaps(op)):
        return [_first_in_place(config, op, walks)]
    outside = any(each.first_outside(config, op.channels) is not None for each in walks)
    return [Fault(ErrorCode.REGION, 0) if outside else None]


def _first_in_place(config, op, walks):
    """The same where outputs lie over inputs: each must begin at or behind the end of the one before it.

    The first output that is wrong decides; lanes work on groups of channels, and the last walk is that of the outputs.
    """
    first = np.arange(0, op.channels, config.lanes)
    count = np.minimum(config.lanes, op.channels - first)
    outside = np.zeros((op.y_count * op.x_count, len(first)), bool)
    for walk in walks:
        offset = np.asarray(walk.start)
        for steps, stride in zip(walk.counts, walk.strides, strict=True):
            offset = offset[..., None] + np.arange(steps) * stride
        begin = (offset[..., None] + first) % (1 << config.address_width)
        outside |= (begin + count > walk.size).reshape(len(outside), -1, len(first)).any(axis=1)
    begin, end = begin.ravel(), (begin + count).ravel()
    over = np.concatenate([[False], begin[1:] < end[:-1]])
    wrong, outside = over | outside.ravel(), outside.ravel()
    if not wrong.any():
        return None
    return Fault(ErrorCode.REGION if outside[np.argmax(wrong)] else ErrorCode.OVERLAP, 0)


def _first_outside(config, start, counts, strides, size, region_size):
    """Number of the first of some loops' accesses that is outside, or None; ``start`` is counted from the base."""
    modulus = 1 << config.address_width

    def fits(start, reach):
        low, high = start + sum(min(0, each) for each in reach), start + sum(max(0, each) for each in reach)
        return low % modulus + high - low + size <= region_size

    reach = [(count - 1) * stride for count, stride in zip(counts, strides, strict=True)]
    if fits(start, reach):
        return None
    # The outermost loop one by one, so that a large instruction does not take as much memory.
    inner = np.zeros(1, np.int64)
    for count, stride in zip(counts[1:], strides[1:], strict=True):
        inner = (inner[:, None] + np.arange(count) * stride).ravel()
    for outer in range(counts[0]):
        begin = start + outer * strides[0]
        if not fits(begin, reach[1:]):
            bad = (begin + inner) % modulus + size > region_size
            if bad.any():
                return outer * len(inner) + int(np.argmax(bad))
    return None


_FAULTS = {
    "read_host_memory": _load_faults, "write_host_memory": _store_faults, "read_weights": _weights_faults,
    "matrix_multiply": _matrix_faults, "activate": _activate_faults, "pool": _elementwise_faults,
    "add": _elementwise_faults,
}
