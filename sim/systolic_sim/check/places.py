"""Where an instruction's access is that ends the program: its loop indices, its address, the region it is not in."""

import numpy as np

from systolic.isa import ErrorCode
from systolic_sim.check.accesses import Tiles, rows_inside, walks_of

__all__ = ["astray", "silent"]

_LOOPS = ("y", "x", "ky", "kx")


def astray(config, op, fault):
    """The access of a :class:`.accesses.Fault` that is no error of the bus, in words."""
    if op.name == "matrix_multiply":
        return _row(config, op, fault)
    if op.name == "read_weights":
        return (f"tile {fault.place} of {op.tile_count}, from {op.memory + fault.place * _tile(config, op):#010x} on, "
                f"is not inside {_region(op.memory, op.memory_size)}")
    if op.name in ("read_host_memory", "write_host_memory"):
        return _transfer(config, op)
    for field, base, walk in walks_of(op):
        number = walk.first_outside(config, op.channels)
        if number is not None:
            return _step(config, op, field, base, walk, number)
    return ""


def _region(base, size):
    return f"[{base:#x}, {base + size:#x})"


def _tile(config, op):
    return config.tile_bytes(diagonal=bool(op.diagonal))


def _loops(names, counts, number):
    """Indices of the turn of that number, innermost last."""
    indices = np.unravel_index(number, counts)
    return " ".join(f"{name}={index}" for name, index in zip(names, indices, strict=True))


def _row(config, op, fault):
    number, row = divmod(fault.place, op.x_count * op.y_count)
    place = np.unravel_index(number, (op.n_count, op.ky_count, op.kx_count, op.c_count))
    where = (f"the row {_loops('yx', (op.y_count, op.x_count), row)} of tile "
             f"{_loops(('n', 'ky', 'kx', 'c'), (op.n_count, op.ky_count, op.kx_count, op.c_count), number)}")
    if fault.error == ErrorCode.ACCUMULATOR:
        return f"{where} belongs to entry {op.accumulator + row}"
    address, _ = Tiles(config, op).tile(*map(int, place))
    at, rows = int(address[row]) % (1 << config.address_width), config.matrix.arch.rows
    return f"{where}, {rows} bytes at {at:#x}, is not inside base and size, {_region(op.base, op.size)}"


def _transfer(config, op):
    row = rows_inside(config, op)
    there = op.memory + row * op.memory_stride
    here = (op.base + row * op.stride) % (1 << config.address_width)
    return (f"row {row} of {op.row_count}, {op.row_bytes} bytes at {there:#010x} in memory and {here:#x} in the "
            f"buffer, is not inside {_region(op.memory, op.memory_size)} and {_region(op.base, op.size)}")


def _step(config, op, field, base, walk, number):
    offset = walk.start + sum(int(index) * stride for index, stride in zip(
        np.unravel_index(number, walk.counts), walk.strides, strict=True))
    at = (base + offset) % (1 << config.address_width)
    what = "output" if field == "base" else "input"
    return (f"the {what} {_loops(_LOOPS[:len(walk.counts)], walk.counts, number)}, {op.channels} bytes at {at:#x}, is "
            f"not inside {field} and size, {_region(base, walk.size)}")


def silent(config, op, answers):
    """Address of the first bus word of a transfer that does not answer."""
    word = config.bus_bytes
    if op.name == "read_weights":
        rows, size, stride = 1, op.tile_count * _tile(config, op), 0
    else:
        rows, size, stride = op.row_count, op.row_bytes, op.memory_stride
    for row in range(rows):
        first = op.memory + row * stride
        if not answers(first, size):
            return next(at for at in range(first, first + size, word) if not answers(at, word))
    raise ValueError(f"every word of {op.name} answers")
