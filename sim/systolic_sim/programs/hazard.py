"""Random programs about what can get stuck: tiles, rows and sums in numbers around what there is room for.

About half of them halt. The others end in the watchdog, or leave something over, or have an error that units run into
side by side. Which of it is for the emulator to say: nothing is done here to make a program legal.
"""

import numpy as np

from systolic import isa
from systolic.compiler.layout import records
from systolic_sim.check.units import Limits
from systolic_sim.programs.random import Case

__all__ = ["hazard_program"]

_DRAWS = {"tiles": 4, "product": 6, "activate": 6, "store": 1, "load": 1, "pool": 1, "sync": 1, "nop": 1,
          "mistake": 0.5}


def hazard_program(config, seed, *, length=10):
    """The same arguments give the same program.

    Parameters
    ----------
    config : TpuConfig
    seed : int
    length : int
        Instructions at most, but for those around them.

    Returns
    -------
    Case
    """
    return _Generator(config, np.random.default_rng(seed)).case(length)


class _Generator:
    """Counts of what is on its way, were nothing ever held up, decide what is drawn next."""

    WINDOW = 640  # bytes of the buffer, behind a record of parameters

    def __init__(self, config, rng):
        self.config, self.arch, self.rng = config, config.matrix.arch, rng
        self.limits = Limits(config)
        self.program, self.tiles, self.sums, self.fresh = [], 0, 0, True
        self.low = isa.RECORD_BYTES
        tile = config.tile_bytes()
        #: Tiles that may wait: in the matrix unit, and in the receive FIFO.
        self.tile_room = self.limits.weight_rows // self.arch.rows + config.receive_beats * config.bus_bytes // tile
        self.data = 128
        self.data_size = -(-(max(4096, (self.tile_room + 8) * tile) + 4096) // 128) * 128

    def case(self, length):
        size = self.WINDOW
        self._emit("read_host_memory", memory=0, memory_size=isa.RECORD_BYTES, size=isa.RECORD_BYTES,
                   row_bytes=isa.RECORD_BYTES)
        self._emit("read_host_memory", memory=self.data, memory_size=size, base=self.low, size=size, row_bytes=size)
        for _ in range(int(self.rng.integers(1, length + 1))):
            weights = np.array(list(_DRAWS.values()))
            getattr(self, f"_{self.rng.choice(list(_DRAWS), p=weights / weights.sum())}")()
        self._close()
        code = isa.encode(self.program)
        address = self.data + self.data_size
        memory = self.rng.integers(0, 256, address + len(code), np.uint8)
        memory[:isa.RECORD_BYTES] = np.frombuffer(records(7, 1 << 30, -6), np.uint8)
        memory[address:] = np.frombuffer(code, np.uint8)
        return Case(program=self.program, memory=memory, address=address, spare=self.data,
                    window=(self.low, self.WINDOW))

    def _close(self):
        """Mostly with what is missing, and nothing left."""
        if self._chance(0.9):
            if self.tiles < 0:
                self._read_tiles(-self.tiles)
            while self.sums > 0:
                self._activate()
            while self.tiles > 0:
                count = min(self.tiles, 255)
                self._emit("matrix_multiply", base=self.low, start=self.low, size=self.arch.rows, c_count=count)
                self.tiles -= count
        if self._chance(0.7):
            self._store()
        if self._chance(0.95):
            self._emit("halt")

    def _emit(self, name, **values):
        self.program.append(isa.operation(name, **{key: int(value) for key, value in values.items()}))

    def _chance(self, probability):
        return bool(self.rng.random() < probability)

    def _about(self, most):
        """1, 2 or 3; a number near ``most``; or any up to it."""
        near = most + int(self.rng.integers(-2, 3))
        return max(1, int(self.rng.choice([self.rng.integers(1, 4), near, self.rng.integers(1, max(2, most))])))

    def _place(self, size):
        """First byte and bytes of a region with so many; at times it is larger."""
        first = int(self.rng.integers(self.WINDOW - size + 1))
        more = int(self.rng.integers(self.WINDOW - size - first + 1)) if self._chance(0.3) else 0
        return self.low + first, size + more

    def _memory(self, size):
        word = self.config.bus_bytes
        return self.data + int(self.rng.integers((self.data_size - size) // word + 1)) * word

    def _tiles(self):
        wanted = -self.tiles if self.tiles < 0 else self._about(self.tile_room - self.tiles)
        self._read_tiles(min(wanted, self.tile_room + 4))

    def _read_tiles(self, count):
        diagonal = self._chance(0.2)
        size = self.config.tile_bytes(diagonal=diagonal)
        while count > 0:
            now = count if self._chance(0.7) else int(self.rng.integers(1, count + 1))
            self._emit("read_weights", diagonal=diagonal, memory=self._memory(now * size), tile_count=now,
                       memory_size=now * size)
            self.tiles, count = self.tiles + now, count - now

    def _product(self):
        """Rows around what waits at the gate, or sums around what waits in the result FIFO. Tiles may come later."""
        if self.tiles <= 0 and self._chance(0.6):
            self._tiles()
        depth = self.arch.accumulator_depth
        finish = self._chance(0.7)
        rooms = [self.limits.rows]
        if finish:
            rooms += [self.limits.results - self.sums, self.limits.results - self.sums + self.limits.rows]
        rows = self._about(int(self.rng.choice(rooms)))
        sums = -(-rows // depth) if rows > depth else int(self.rng.choice([1, 1, 1, 2, 3]))
        rows = max(1, rows // sums)
        base, size = self._place(self.arch.rows + int(self.rng.integers(20)))
        stride = (size - self.arch.rows) // rows
        c_count = int(self.rng.choice([1, 1, 2, 3]))
        reuse = self._chance(0.2)
        self._emit("matrix_multiply", finish=finish, reuse=reuse, base=base, start=base, size=size, x_count=rows,
                   x_stride=stride, c_count=c_count, n_count=sums,
                   accumulator=self.rng.integers(depth - rows + 1))
        self.tiles -= c_count * sums - (reuse and not self.fresh)
        self.sums += rows * sums * finish
        self.fresh = False

    def _activate(self):
        """Of sums that are there or come soon; at times of more."""
        if self.sums <= 0 and self._chance(0.9):
            self._product()
            if self.sums <= 0:
                return
        rows = self.sums if self.sums > 0 and self._chance(0.6) else self._about(max(2, self.sums))
        if rows > self.sums > 0 and self._chance(0.7):
            rows = self.sums
        channels = int(self.rng.integers(1, self.arch.cols + 1))
        stride = int(self.rng.integers(0, 2)) if rows < self.WINDOW - channels else 0
        extent = (rows - 1) * stride + channels
        base, size = self._place(extent)
        if self._chance(0.3):
            base, size = self.low, self.WINDOW
        self._emit("activate", base=base, size=size, x_count=rows, x_stride=stride, channels=channels, parameters=0)
        self.sums -= rows

    def _load(self):
        size = int(self.rng.integers(1, 65))
        base, region = self._place(size)
        self._emit("read_host_memory", memory=self._memory(size), memory_size=size, base=base, size=region,
                   row_bytes=size)

    def _store(self):
        size = int(self.rng.integers(1, 65)) if self._chance(0.7) else self.WINDOW
        base, region = self._place(size)
        self._emit("write_host_memory", memory=self._memory(size), memory_size=size, base=base, size=region,
                   row_bytes=size)

    def _pool(self):
        channels = int(self.rng.integers(1, 9))
        (base, size), (from_base, from_size) = self._place(channels), self._place(channels)
        self._emit("pool", base=base, size=size, from_base=from_base, from_size=from_size, start=from_base,
                   channels=channels, parameters=0)

    def _sync(self):
        self._emit(self.rng.choice(["sync", "interrupt"]))

    def _nop(self):
        self._emit("nop")

    def _mistake(self):
        """Something that is wrong wherever it is met: whether it is met, and first, is another matter."""
        base, size = self._place(self.arch.rows)
        rows = int(self.rng.integers(1, 20))
        name, values = (
            ("read_host_memory", {"memory": self.data, "memory_size": 4, "base": base, "size": 4, "row_bytes": 8}),
            ("read_weights", {"memory": self.data, "memory_size": rows * self.config.tile_bytes(),
                              "tile_count": rows + 1}),
            ("read_weights", {"memory": 1 << 28, "memory_size": 1 << 20}),
            ("matrix_multiply", {"base": base, "start": base, "size": self.arch.rows + rows - 1, "x_count": 20,
                                 "x_stride": 1}),
            ("activate", {"base": base, "size": rows, "x_count": rows + 1, "x_stride": 1}),
            ("activate", {"base": base, "size": size, "parameters_size": 15}),
            ("load_table", {"from_base": self.config.buffer_size - 255}),
            ("set_configuration", {"rounding": 3}),
        )[int(self.rng.integers(8))]
        self._emit(name, **values)
