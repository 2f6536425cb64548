"""The instruction set, executed one instruction after the other on the golden models.

What a TPU does side by side, :class:`Emulator` does in the order of the program; the machine's scoreboard sees to it
that nobody can tell. It knows no time: a tile or a result that is missing when its turn comes is a watchdog error at
once, and a program that waits for room that nobody makes is none.
"""

import collections
import itertools

import numpy as np

from systolic import isa
from systolic.errors import UserError
from systolic_sim.golden import activation
from systolic_sim.golden.layout import unpack_diagonals, unpack_records, unpack_tiles
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program

__all__ = ["Emulator", "EmulatorError", "check_instruction"]

_CODES = {name: code for code, (name, _) in isa.ERRORS.items()}
_MEMORY_BITS = 32


class EmulatorError(UserError, RuntimeError):
    """A program is stopped.

    Attributes
    ----------
    code : int
        As in :data:`systolic.isa.ERRORS`.
    index : int or None
        Number of the instruction; ``None`` where it depends on time.
    """

    def __init__(self, name, index):
        self.code, self.index = _CODES[name], index
        where = "" if index is None else f"instruction {index}: "
        super().__init__(f"{where}{isa.ERRORS[self.code][1]} (error {self.code})")


class Emulator:
    """A TPU without a notion of time.

    Parameters
    ----------
    config : TpuConfig
    memory : bytearray or uint8 array
        From address 0 on. Beyond it, the bus answers with an error.
    faults : iterable of (int, int)
        Address ranges [first, last) that answer with an error, too.

    Members
    -------
    buffer : uint8 array [buffer_size]
        The unified buffer. Zeros at first; undefined in hardware.
    counters : dict of str to int
        Since the latest :meth:`run`: ``instructions``, ``useful_macs``, ``bytes_written``, and ``bytes_read`` of
        weights and data, in whole bus words.
    interrupts, debug_tag : int
        Instructions ``interrupt`` executed by the latest :meth:`run`; the latest tag.
    """

    def __init__(self, config, memory, *, faults=()):
        self.config = config
        self.memory = memory if isinstance(memory, np.ndarray) else np.frombuffer(memory, np.uint8)
        self.faults = tuple(faults)
        self.buffer = np.zeros(config.buffer_size, np.uint8)
        self.table = np.zeros(isa.TABLE_BYTES, np.int8)
        self.debug_tag = 0
        self.restart()

    def restart(self):
        """As after an error: what is under way is lost, buffer and table are kept."""
        self._unit = MatrixUnit(self.config.matrix.arch)
        self._tiles, self._fresh, self._rounding = 0, True, 0
        self._results = collections.deque()
        self.interrupts, self.counters = 0, {}

    def run(self, program):
        """Execute a program; the state of an earlier one lives on.

        Parameters
        ----------
        program : sequence of Operation, or bytes
            Their code need not be in memory.

        Raises
        ------
        EmulatorError
            Where the machine stops with an error. Nothing is defined then but the code and the index.
        ValueError
            If a row accumulates on an entry that was never written.
        """
        code = bytes(program) if isinstance(program, bytes | bytearray) else isa.encode(program)
        self.counters = dict.fromkeys(("instructions", "useful_macs", "bytes_read", "bytes_written"), 0)
        self.interrupts = 0
        for self._index in range(len(code) // isa.BYTES):
            bits = int.from_bytes(code[isa.BYTES * self._index:][:isa.BYTES], "little")
            if problem := check_instruction(self.config, bits):
                self._stop(problem)
            operation, = isa.decode(bits.to_bytes(isa.BYTES, "little"))
            getattr(self, f"_{operation.name}")(operation)
            self.counters["instructions"] += 1
            if operation.name == "halt":
                return
        self._index = len(code) // isa.BYTES
        self._stop("end" if self._index else "fetch")

    def run_at(self, address, length):
        """Execute the program of ``length`` instructions at a memory address; see :meth:`run`."""
        self._index = 0
        if address % isa.BYTES or not length:
            self._stop("fetch")
        whole = next((number for number in range(length)
                      if not self._answers(address + isa.BYTES * number, isa.BYTES)), length)
        try:
            self.run(self.memory[address:address + isa.BYTES * whole].tobytes())
        except EmulatorError as error:
            if error.index == whole < length and error.code in (_CODES["end"], _CODES["fetch"]):
                raise EmulatorError("fetch", whole) from None
            raise

    def _stop(self, name):
        raise EmulatorError(name, None if name == "watchdog" else self._index)

    def _answers(self, address, size):
        """Whether the bus reads and writes there without an error; in whole words."""
        word = self.config.bus_bytes
        first, last = address // word * word, -(-(address + size) // word) * word
        return last <= len(self.memory) and not any(first < high and low < last for low, high in self.faults)

    def _memory_rows(self, op, count, row_bytes, stride, *, fault):
        """Addresses [count] of rows in memory, each inside its region and answered by the bus."""
        offset = np.arange(count, dtype=np.uint64) * np.uint64(stride) % np.uint64(1 << _MEMORY_BITS)
        address = offset.astype(np.int64) + op.memory
        end = offset.astype(np.int64) + row_bytes
        if np.any(end > op.memory_size) or np.any(address + row_bytes > 1 << _MEMORY_BITS):
            self._stop("region")
        if not all(self._answers(int(each), row_bytes) for each in address):
            self._stop(fault)
        return address

    def _inside(self, address, size, base, region_size):
        """Addresses modulo the machine's width; each with ``size`` bytes behind it must lie in the region."""
        modulus = 1 << self.config.address_width
        address = np.asarray(address) % modulus
        if np.any((address - base) % modulus + size > region_size):
            self._stop("region")
        return address

    def _nop(self, op):
        pass

    _sync = _nop

    def _halt(self, op):
        if self._tiles or self._results:
            self._stop("leftover")

    def _interrupt(self, op):
        self.interrupts += 1

    def _debug_tag(self, op):
        self.debug_tag = op.tag

    def _set_configuration(self, op):
        self._rounding = op.rounding

    def _transfer(self, op, fault):
        """Addresses of each row in memory and buffer."""
        address = self._memory_rows(op, op.row_count, op.row_bytes, op.memory_stride, fault=fault)
        rows = op.base + np.arange(op.row_count) * op.stride
        return zip(address, self._inside(rows, op.row_bytes, op.base, op.size), strict=True)

    def _read_host_memory(self, op):
        for here, there in self._transfer(op, "bus_read"):
            self.buffer[there:there + op.row_bytes] = self.memory[here:here + op.row_bytes]
        words = -(-op.row_bytes // self.config.bus_bytes)
        self.counters["bytes_read"] += op.row_count * words * self.config.bus_bytes

    def _write_host_memory(self, op):
        for here, there in self._transfer(op, "bus_write"):
            self.memory[here:here + op.row_bytes] = self.buffer[there:there + op.row_bytes]
        self.counters["bytes_written"] += op.row_count * op.row_bytes

    def _read_weights(self, op):
        size = self.config.tile_bytes(diagonal=bool(op.diagonal))
        self._memory_rows(op, op.tile_count, size, size, fault="bus_read")
        code = self.memory[op.memory:op.memory + op.tile_count * size]
        unpack = unpack_diagonals if op.diagonal else unpack_tiles
        for tile in unpack(self.config, code):
            self._unit.load(tile)
        self._tiles += op.tile_count
        self.counters["bytes_read"] += op.tile_count * size

    def _matrix_multiply(self, op):
        tiles = list(itertools.product(range(op.n_count), range(op.ky_count), range(op.kx_count), range(op.c_count)))
        a_sum = op.ky_count * op.kx_count * op.c_count
        for number, (n, ky, kx, c) in enumerate(tiles):
            self._tile(op, c, kx, ky, n, switch=self._fresh or number > 0 or not op.reuse,
                       accumulate=number % a_sum > 0 or op.accumulate, last=op.finish and (number + 1) % a_sum == 0)

    def _tile(self, op, c, kx, ky, n, *, switch, accumulate, last):
        """The rows of one tile."""
        arch = self.config.matrix.arch
        y, x = (axis.ravel() for axis in np.mgrid[:op.y_count, :op.x_count])
        entry = op.accumulator + np.arange(len(x))
        address = (op.start + x * op.x_stride + y * op.y_stride + c * op.c_stride + kx * op.kx_stride
                   + ky * op.ky_stride + n * op.n_stride)
        padded = (_outside(op.first_x + x * op.x_step + kx * op.kx_step, op.width)
                  | _outside(op.first_y + y * op.y_step + ky * op.ky_step, op.height))
        self._check_rows(op, address, padded, entry)
        if switch and not self._tiles:
            self._stop("watchdog")
        self._tiles -= bool(switch)
        self._fresh = False
        rows = self.buffer[np.where(padded, 0, address % (1 << self.config.address_width))[:, None]
                           + np.arange(arch.rows)].view(np.int8)
        rows[padded] = op.padding
        every = np.ones(len(x), bool)
        program = Program(tiles=np.empty((0, arch.rows, arch.cols), np.int8), x=rows, address=entry,
                          accumulate=every & bool(accumulate), switch=(entry == op.accumulator) & bool(switch),
                          last=every & bool(last))
        self._results.extend(self._unit.rows(program))
        useful_rows = (op.k_last_less if c == op.c_count - 1 else op.k_less) + 1
        useful_cols = (op.n_last_less if n == op.n_count - 1 else op.n_less) + 1
        self.counters["useful_macs"] += int(np.sum(~padded)) * useful_rows * useful_cols

    def _check_rows(self, op, address, padded, entry):
        """The first row that is wrong decides; of an entry and an address, the entry."""
        arch = self.config.matrix.arch
        modulus = 1 << self.config.address_width
        outside = ((address - op.base) % modulus + arch.rows > op.size) & ~padded
        beyond = entry >= arch.accumulator_depth
        if np.any(outside | beyond):
            self._stop("accumulator" if beyond[np.argmax(outside | beyond)] else "region")

    def _records(self, address, count):
        code = self.buffer[address:address + count * isa.RECORD_BYTES]
        return unpack_records(code)

    def _pixels(self, start, counts, strides, channels, base, size):
        """Addresses [*counts, channels] of pixels, each inside its region."""
        return self._inside(_grid(start, counts, strides), channels, base, size)[..., None] + np.arange(channels)

    def _output(self, op, values):
        """Writes outputs [y, x, channels], in that order."""
        address = self._pixels(op.base, (op.y_count, op.x_count), (op.y_stride, op.x_stride), op.channels,
                               op.base, op.size)
        self.buffer[address] = values.reshape(address.shape).view(np.uint8)

    def _check_order(self, op, *inputs):
        """In place, an output that begins before the end of the one before it is an error, unless one comes first.

        Parameters
        ----------
        inputs : tuple of (array [y, x, ...], int, int)
            Addresses of what each output reads, and the region they must be in.
        """
        if not any(isa.overlaps(op)):
            return
        first = np.arange(0, op.channels, self.config.lanes)
        count = np.minimum(self.config.lanes, op.channels - first)
        modulus = 1 << self.config.address_width

        def offsets(address, base):
            return (np.asarray(address)[..., None] + first - base) % modulus
        y, x = np.mgrid[:op.y_count, :op.x_count]
        begin = offsets(op.base + y * op.y_stride + x * op.x_stride, op.base)
        outside = begin + count > op.size
        for address, base, size in inputs:
            beyond = offsets(address, base) + count > size
            outside |= beyond.reshape(op.y_count, op.x_count, -1, len(first)).any(axis=2)
        begin, end = begin.ravel(), (begin + count).ravel()
        over = np.concatenate([[False], begin[1:] < end[:-1]])
        wrong = over | outside.ravel()
        if np.any(wrong) and not outside.ravel()[np.argmax(wrong)]:
            self._stop("overlap")

    def _options(self, op):
        return {"zero_point": op.zero_point, "low": op.low, "high": op.high,
                "rounding": isa.ROUNDINGS[self._rounding], "table": self.table if op.lookup else None}

    def _activate(self, op):
        count = op.channels if op.per_channel else 1
        if count * isa.RECORD_BYTES > op.parameters_size:
            self._stop("region")
        rows = op.y_count * op.x_count
        if rows > len(self._results):
            self._stop("watchdog")
        sums = np.stack([self._results.popleft() for _ in range(rows)])[:, :op.channels]
        self._output(op, activation.activate(sums, self._records(op.parameters, count), **self._options(op)))

    def _pool(self, op):
        counts = op.y_count, op.x_count, op.ky_count, op.kx_count
        strides = op.from_y_stride, op.from_x_stride, op.ky_stride, op.kx_stride
        self._check_order(op, (_grid(op.start, counts, strides), op.from_base, op.from_size))
        address = self._pixels(op.start, counts, strides, op.channels, op.from_base, op.from_size)
        windows = self.buffer[address].view(np.int8)
        windows = windows.reshape(op.y_count, op.x_count, op.ky_count * op.kx_count, op.channels)
        self._output(op, activation.pool(windows, self._records(op.parameters, 1), maximum=bool(op.maximum),
                                         **self._options(op)))

    def _add(self, op):
        counts = op.y_count, op.x_count
        inputs = ((op.from_base, op.from_size, (op.from_y_stride, op.from_x_stride)),
                  (op.other_base, op.other_size, (op.other_y_stride, op.other_x_stride)))
        self._check_order(op, *((_grid(base, counts, strides), base, size) for base, size, strides in inputs))
        first, other = (self._pixels(base, counts, strides, op.channels, base, size) for base, size, strides in inputs)
        self._output(op, activation.add(self.buffer[first].view(np.int8), self.buffer[other].view(np.int8),
                                        self._records(op.parameters, 3), **self._options(op)))

    def _load_table(self, op):
        self.table = self.buffer[op.from_base:op.from_base + isa.TABLE_BYTES].view(np.int8).copy()


def _grid(start, counts, strides):
    """Addresses [*counts] of nested loops, the outermost first."""
    address = np.asarray(start)
    for count, stride in zip(counts, strides, strict=True):
        address = address[..., None] + np.arange(count) * stride
    return address


def _outside(pixel, size):
    """Where the padding is, with pixels of 16 bits; nowhere if there is no size."""
    return (pixel % (1 << 16) >= size) & bool(size)


def check_instruction(config, bits):
    """What the sequencer finds wrong with an instruction before any unit sees it.

    Parameters
    ----------
    config : TpuConfig
    bits : int
        Its 512 bits.

    Returns
    -------
    str or None
        Name of an error in :data:`systolic.isa.ERRORS`, or ``None``.
    """
    instruction = isa.by_opcode(bits & 0xFF)
    if instruction is None:
        return "opcode"
    if bits & ~isa.used_bits(instruction):
        return "reserved"
    operation, = isa.decode(bits.to_bytes(isa.BYTES, "little"))
    arch = config.matrix.arch
    for field in instruction.fields:
        value = operation.values[field.name]
        if not field.signed and not field.least <= value <= isa.most(field, arch.rows, arch.cols):
            return "field"
        if field.aligned and value % config.bus_bytes:
            return "field"
    for region, in_place in zip(instruction.regions, isa.overlaps(operation), strict=True):
        size = region.size if isinstance(region.size, int) else operation.values[region.size]
        if region.space == "buffer" and operation.values[region.base] + size > config.buffer_size:
            return "buffer"
        if in_place is False:
            return "overlap"
    return None
