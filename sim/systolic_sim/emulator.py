"""The instruction set, executed one instruction after the other on the golden models.

A TPU executes instructions in parallel, :class:`Emulator` in program order; the scoreboard guarantees the same result.
:class:`.check.flow.Flow` analyses a program first and finds its errors and deadlocks, so what is executed has none.
Rows whose tile, and instructions whose sums, are produced by a later instruction wait for it.
"""

import collections
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolic import isa
from systolic.errors import UserError
from systolic.isa import ErrorCode, Operation
from systolic.tpu_config import TpuConfig
from systolic_sim.check.accesses import Tiles, check_instruction, sums_in_x
from systolic_sim.check.flow import Flow
from systolic_sim.check.program import advice
from systolic_sim.golden import activation
from systolic_sim.golden.layout import unpack_diagonals, unpack_records, unpack_tiles
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import Program
from systolic_sim.strict import Watch

__all__ = ["Emulator", "EmulatorError", "check_instruction"]


class EmulatorError(UserError, RuntimeError):
    """A program is stopped.

    Attributes
    ----------
    code : ErrorCode
    index : int or None
        Number of the instruction, with a watchdog error that which the sequencer cannot issue; ``None`` where it
        depends on time.
    possible : set of (ErrorCode, int)
        Code and index of all errors that the machine can stop with: more than one where units run into errors side by
        side. ``code`` and ``index`` are of the first in the program.
    """

    def __init__(self, code: ErrorCode, index: int | None, others: Iterable[tuple[ErrorCode, int | None]] = (),
                 why: Callable[[], str] | None = None) -> None:
        self.code, self.index, self._why = code, index, why
        self.possible = {(code, index), *others}
        super().__init__(code, index)

    @functools.cached_property
    def detail(self) -> str:
        """What exactly is wrong: field, loop indices and address, as far as they are known; else empty."""
        return self._why() if self._why else ""

    def __str__(self) -> str:
        where = "" if self.index is None else f"instruction {self.index}: "
        return f"{where}{self.code.doc} (error {self.code:d}){f': {self.detail}' if self.detail else ''}"


class Emulator:
    """A TPU without a notion of time.

    Parameters
    ----------
    config : TpuConfig
    memory : bytearray or uint8 array
        From address 0 on. Beyond it, the bus answers with an error.
    faults : iterable of (int, int)
        Address ranges [first, last) that answer with an error, too.
    strict : bool
        Whether a program is stopped, with :class:`.strict.StrictError`, that reads bytes of the unified buffer which
        were never written; and overwritten results of which nothing was read are told in ``lost``.

    Members
    -------
    buffer : uint8 array [buffer_size]
        The unified buffer. Zeros at first; undefined in hardware.
    counters : dict of str to int
        Since the latest :meth:`run`: ``instructions``, ``useful_macs``, ``bytes_written``, and ``bytes_read`` of
        weights and data, in whole bus words.
    lost : list of str
        In strict mode, what the latest :meth:`run` overwrote before anything was read of it.
    interrupts, debug_tag : int
        Instructions ``interrupt`` executed by the latest :meth:`run`; the latest tag.
    """

    def __init__(self, config: TpuConfig, memory: bytearray | NDArray[np.uint8], *,
                 faults: Iterable[tuple[int, int]] = (), strict: bool = False) -> None:
        self.config = config
        self.memory = memory if isinstance(memory, np.ndarray) else np.frombuffer(memory, np.uint8)
        self.faults = tuple(faults)
        self.buffer = np.zeros(config.buffer_size, np.uint8)
        self.table = np.zeros(isa.TABLE_BYTES, np.int8)
        self.debug_tag = 0
        self._watch, self._index = Watch(config.buffer_size) if strict else None, 0
        self.restart()

    @property
    def lost(self) -> list[str]:
        """As above."""
        return [] if self._watch is None else self._watch.lost

    def restart(self) -> None:
        """As after an error: what is under way is lost, buffer and table are kept."""
        self._unit = MatrixUnit(self.config.matrix.arch)
        self._tiles, self._fresh, self._rounding = 0, True, 0
        # Rows that wait for a tile, sums, and instructions of the activation unit that wait for them.
        self._rows: collections.deque[tuple[Program, int]] = collections.deque()
        self._results: collections.deque[NDArray[np.int32]] = collections.deque()
        self._waiting: collections.deque[tuple[Operation, int, int]] = collections.deque()
        # In strict mode: rows not yet multiplied; which rows are not zero of tiles not yet used, and of that in use.
        self._suspects: collections.deque[tuple[NDArray[np.int64], NDArray[np.bool_], int]] = collections.deque()
        self._nonzero: collections.deque[NDArray[np.bool_]] = collections.deque()
        self._meets = np.zeros(self.config.matrix.arch.rows, np.bool_)
        self.interrupts = 0
        self.counters: dict[str, int] = {}

    def run(self, program: Sequence[Operation] | bytes | bytearray) -> None:
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
        self._run(code, ErrorCode.END if code else ErrorCode.FETCH)

    def run_at(self, address: int, length: int) -> None:
        """Execute the program of ``length`` instructions at a memory address; see :meth:`run`."""
        if address % isa.BYTES or not length:
            raise EmulatorError(ErrorCode.FETCH, 0)
        whole = next((number for number in range(length)
                      if not self._answers(address + isa.BYTES * number, isa.BYTES)), length)
        self._run(self.memory[address:address + isa.BYTES * whole].tobytes(),
                  ErrorCode.END if whole == length else ErrorCode.FETCH)

    def _run(self, code: bytes, beyond: ErrorCode) -> None:
        """``beyond``: the error of an instruction after the last."""
        self.counters = dict.fromkeys(("instructions", "useful_macs", "bytes_read", "bytes_written"), 0)
        self.interrupts = 0
        flow = Flow(self.config, answers=self._answers, fresh=self._fresh).run(code, beyond=beyond)
        if flow.errors:
            (error, index), *_ = flow.errors
            raise EmulatorError(error, index, flow.errors,
                                functools.partial(advice, self.config, code, error, index, self._answers))
        if self._watch is not None:
            self._watch.begin()
        for number, operation in enumerate(flow.program):
            self._index = number
            if operation.instruction.unit == "activation":
                self._waiting.append((operation, self._rounding, number))
                self._activate_waiting()
            else:
                getattr(self, f"_{operation.name}")(operation)
            self.counters["instructions"] += 1

    def _answers(self, address: int, size: int) -> bool:
        """Whether the bus reads and writes there without an error; in whole words."""
        word = self.config.bus_bytes
        first, last = address // word * word, -(-(address + size) // word) * word
        return last <= len(self.memory) and not any(first < high and low < last for low, high in self.faults)

    def _reads(self, op: Operation, address: ArrayLike) -> None:
        """Bytes of the buffer that an instruction reads."""
        if self._watch is not None:
            self._watch.read(address, self._index, op.name)

    def _writes(self, op: Operation, address: ArrayLike) -> None:
        """Bytes of the buffer that an instruction writes."""
        if self._watch is not None:
            self._watch.write(address, self._index, op.name, result=op.instruction.unit == "activation")

    def _nop(self, op: Operation) -> None:
        pass

    _sync = _halt = _nop

    def _interrupt(self, op: Operation) -> None:
        self.interrupts += 1

    def _debug_tag(self, op: Operation) -> None:
        self.debug_tag = op.tag

    def _set_configuration(self, op: Operation) -> None:
        self._rounding = op.rounding

    def _transfer(self, op: Operation) -> Iterator[tuple[int, int]]:
        """Addresses of each row in memory and buffer."""
        rows = np.arange(op.row_count)
        address = op.memory + rows * op.memory_stride % (1 << 32)
        return zip(address, self._wrapped(op.base + rows * op.stride), strict=True)

    def _wrapped(self, address: ArrayLike) -> NDArray[np.int64]:
        """Addresses modulo the machine's width."""
        return np.asarray(address) % (1 << self.config.address_width)

    def _read_host_memory(self, op: Operation) -> None:
        for here, there in self._transfer(op):
            self._writes(op, np.arange(there, there + op.row_bytes))
            self.buffer[there:there + op.row_bytes] = self.memory[here:here + op.row_bytes]
        words = -(-op.row_bytes // self.config.bus_bytes)
        self.counters["bytes_read"] += op.row_count * words * self.config.bus_bytes

    def _write_host_memory(self, op: Operation) -> None:
        for here, there in self._transfer(op):
            self._reads(op, np.arange(there, there + op.row_bytes))
            self.memory[here:here + op.row_bytes] = self.buffer[there:there + op.row_bytes]
        self.counters["bytes_written"] += op.row_count * op.row_bytes

    def _read_weights(self, op: Operation) -> None:
        size = self.config.tile_bytes(diagonal=bool(op.diagonal))
        code = self.memory[op.memory:op.memory + op.tile_count * size]
        unpack = unpack_diagonals if op.diagonal else unpack_tiles
        for tile in unpack(self.config, code):
            self._unit.load(tile)
            if self._watch is not None:
                self._nonzero.append(np.any(tile, axis=-1))
        self._tiles += op.tile_count
        self.counters["bytes_read"] += op.tile_count * size
        self._multiply_waiting()

    def _matrix_multiply(self, op: Operation) -> None:
        tiles, a_sum = Tiles(self.config, op), op.ky_count * op.kx_count * op.c_count
        for number, place in enumerate(tiles):
            switch = self._fresh or number > 0 or not op.reuse
            self._fresh = False
            self._rows.append(self._tile(op, place, *tiles.tile(*place), switch=switch,
                                         accumulate=number % a_sum > 0 or bool(op.accumulate),
                                         last=bool(op.finish) and (number + 1) % a_sum == 0))
            self._multiply_waiting()

    def _tile(self, op: Operation, place: tuple[int, int, int, int], address: NDArray[np.int64],
              padded: NDArray[np.bool_], *, switch: bool, accumulate: bool, last: bool) -> tuple[Program, int]:
        """The rows of one tile, as they are in the buffer now, and the products that are of use."""
        arch, (n, _, _, c) = self.config.matrix.arch, place
        start = self._wrapped(address)
        rows = self.buffer[np.where(padded, 0, start)[:, None] + np.arange(arch.rows)].view(np.int8)
        rows[padded] = op.padding
        sums = np.tile(sums_in_x(self.config, op), op.y_count)
        program = Program(tiles=np.empty((0, arch.rows, arch.cols), np.int8), x=rows,
                          address=op.accumulator + np.cumsum(sums) - 1, accumulate=sums & bool(accumulate),
                          switch=(np.arange(len(rows)) == 0) & bool(switch), last=sums & bool(last),
                          depthwise=np.full(len(rows), bool(op.depthwise)), fills=~sums)
        useful_rows = (op.k_last_less if c == op.c_count - 1 else op.k_less) + 1
        self._suspect(start[~padded], sums[~padded] if op.depthwise else None)
        useful_cols = (op.n_last_less if n == op.n_count - 1 else op.n_less) + 1
        return program, int(np.sum(~padded & sums)) * useful_rows * useful_cols

    def _suspect(self, start: NDArray[np.int64], sums: NDArray[np.bool_] | None) -> None:
        """Rows that are read: which of their bytes were never written is known now, which matter with their tile.

        Taps begin and end with rows that belong to no sum, and bytes of theirs meet weights of other channels: of those
        with sums, the first byte matters for sure.
        """
        if self._watch is not None:
            address = start[:, None] + np.arange(self.config.matrix.arch.rows)
            never = self._watch.touch(address)
            if sums is not None:
                never[:, 1:] = False
                never[~sums] = False
            self._suspects.append((address, never, self._index))

    def _minded(self, switch: bool) -> None:
        """Bytes of the next rows that meet weights must have been written."""
        if self._watch is not None:
            address, never, index = self._suspects.popleft()
            if switch:
                self._meets = self._nonzero.popleft()
            self._watch.require(address[never & self._meets], index, "matrix_multiply")

    def _multiply_waiting(self) -> None:
        """Rows go, in order, as far as there are tiles for them."""
        while self._rows and (self._tiles or not self._rows[0][0].switch[0]):
            program, macs = self._rows.popleft()
            self._tiles -= bool(program.switch[0])
            self._minded(bool(program.switch[0]))
            self._results.extend(self._unit.rows(program))
            self.counters["useful_macs"] += macs
            self._activate_waiting()

    def _activate_waiting(self) -> None:
        """Instructions of the activation unit, in order, as far as there are sums for them."""
        while self._waiting:
            op, self._issued_with, issued = self._waiting[0]
            if op.name == "activate" and op.y_count * op.x_count > len(self._results):
                return
            self._waiting.popleft()
            self._index, now = issued, self._index
            getattr(self, f"_{op.name}")(op)
            self._index = now

    def _records(self, op: Operation, count: int) -> NDArray[np.void]:
        address = op.parameters
        self._reads(op, np.arange(address, address + count * isa.RECORD_BYTES))
        code = self.buffer[address:address + count * isa.RECORD_BYTES]
        return unpack_records(code)

    def _pixels(self, start: int, counts: Sequence[int], strides: Sequence[int], channels: int) -> NDArray[np.int64]:
        """Addresses [*counts, channels] of pixels."""
        address = np.asarray(start)
        for count, stride in zip(counts, strides, strict=True):
            address = address[..., None] + np.arange(count) * stride
        return self._wrapped(address)[..., None] + np.arange(channels)

    def _output(self, op: Operation, values: NDArray[np.int8]) -> None:
        """Writes outputs [y, x, channels], in that order."""
        address = self._pixels(op.base, (op.y_count, op.x_count), (op.y_stride, op.x_stride), op.channels)
        self._writes(op, address)
        self.buffer[address] = values.reshape(address.shape).view(np.uint8)

    def _options(self, op: Operation) -> dict[str, Any]:
        return {"zero_point": op.zero_point, "low": op.low, "high": op.high,
                "rounding": isa.ROUNDINGS[self._issued_with], "table": self.table if op.lookup else None}

    def _activate(self, op: Operation) -> None:
        count, rows = op.channels if op.per_channel else 1, op.y_count * op.x_count
        sums = np.stack([self._results.popleft() for _ in range(rows)])[:, :op.channels]
        self._output(op, activation.activate(sums, self._records(op, count), **self._options(op)))

    def _pool(self, op: Operation) -> None:
        address = self._pixels(op.start, (op.y_count, op.x_count, op.ky_count, op.kx_count),
                               (op.from_y_stride, op.from_x_stride, op.ky_stride, op.kx_stride), op.channels)
        self._reads(op, address)
        windows = self.buffer[address].view(np.int8)
        windows = windows.reshape(op.y_count, op.x_count, op.ky_count * op.kx_count, op.channels)
        self._output(op, activation.pool(windows, self._records(op, 1), maximum=bool(op.maximum),
                                         **self._options(op)))

    def _add(self, op: Operation) -> None:
        counts = op.y_count, op.x_count
        first, other = (self._pixels(base, counts, strides, op.channels) for base, strides in (
            (op.from_base, (op.from_y_stride, op.from_x_stride)),
            (op.other_base, (op.other_y_stride, op.other_x_stride))))
        self._reads(op, first)
        self._reads(op, other)
        self._output(op, activation.add(self.buffer[first].view(np.int8), self.buffer[other].view(np.int8),
                                        self._records(op, 3), **self._options(op)))

    def _load_table(self, op: Operation) -> None:
        self._reads(op, np.arange(op.from_base, op.from_base + isa.TABLE_BYTES))
        self.table = self.buffer[op.from_base:op.from_base + isa.TABLE_BYTES].view(np.int8).copy()
