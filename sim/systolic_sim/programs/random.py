"""Random legal programs of a TPU: every instruction, every flag, and many conflicts between units.

All data lives in a small window of the unified buffer, filled at first and read and written by everything after it. So
regions of instructions that are under way together overlap in all ways, and a scoreboard that misses a conflict
is found out by a wrong byte.

What a program must not do, lest it wait for itself: tiles and sums that are in their FIFOs while other units are
waited for have to fit there. Where more are on their way, the instruction that takes them follows at once, and writes
nothing that the one before it still reads.
"""

import dataclasses

import numpy as np

from systolic import isa
from systolic.compiler.layout import records

__all__ = ["Case", "random_program"]

#: What instructions are drawn from, and how often.
_FILLERS = {"load": 6, "store": 6, "pool": 3, "add": 3, "table": 1, "records": 2, "prefetch": 3, "sync": 1, "nop": 1,
            "interrupt": 1, "debug_tag": 1, "rounding": 2}

_VERSIONS = 3  # of parameter records in memory, to be loaded over each other
_ALIGNMENT = 128  # of areas in memory


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A program and the memory it runs in.

    Parameters
    ----------
    program : list of Operation
    memory : uint8 array
        Its code is at ``address``; all bytes are defined.
    address : int
    spare : int
        Tiles in a row, of any bytes, that begin here in memory.
    window : tuple of int
        First byte and bytes of the part of the unified buffer that the program fills before it reads it.
    """

    program: list
    memory: np.ndarray
    address: int
    spare: int
    window: tuple

    def emulate(self, emulator):
        """Run it on an :class:`.emulator.Emulator` that has this memory, or a copy of it."""
        emulator.run_at(self.address, len(self.program))


def random_program(config, seed, *, length=20):
    """A legal program; the same arguments give the same one.

    Parameters
    ----------
    config : TpuConfig
    seed : int
    length : int
        Products and instructions of other kinds; with what belongs to them two to three times as many instructions.

    Returns
    -------
    Case
    """
    return _Generator(config, np.random.default_rng(seed)).case(length)


class _Generator:
    def __init__(self, config, rng):
        self.config, self.arch, self.rng = config, config.matrix.arch, rng
        self.program = []
        self.tiles, self.results, self.rounding = 0, 0, 0
        self.active = self.table = False
        self.recent = []  # first byte and size of data in memory
        self.written = np.zeros(self.arch.accumulator_depth, bool)
        self.tile_room = self.arch.weight_fifo_depth
        self.result_room = config.matrix.result_fifo_depth
        self._lay_out()

    def _lay_out(self):
        """Where things are, in the buffer and in memory."""
        config, arch, rng = self.config, self.arch, self.rng
        self.record_count = arch.cols + 3
        area = self.record_count * isa.RECORD_BYTES
        most = config.buffer_size - 2 * area
        self.size = int(min(most, max(400, 8 * arch.rows) + rng.integers(1200)))
        self.low = int(rng.integers(most - self.size + 1))
        self.record_areas = [self.low + self.size, self.low + self.size + area]
        stride = -(-area // _ALIGNMENT) * _ALIGNMENT
        self.record_pools = [[stride * (kind * _VERSIONS + version) for version in range(_VERSIONS)] for kind in (0, 1)]
        self.data = 2 * _VERSIONS * stride
        self.data_size = -(-max(8192, 6 * config.tile_bytes()) // _ALIGNMENT) * _ALIGNMENT

    def case(self, length):
        self._prologue()
        while length > 0:
            length -= 1
            if self.rng.random() < 0.35:
                self._product()
            else:
                self._filler()
        self._epilogue()
        return self._case()

    def _case(self):
        code = isa.encode(self.program)
        address = self.data + self.data_size
        memory = self.rng.integers(0, 256, address + len(code), np.uint8)
        for kind, pools in enumerate(self.record_pools):
            for pool in pools:
                table = self._float_records() if kind else self._integer_records()
                memory[pool:pool + len(table)] = np.frombuffer(table, np.uint8)
        memory[address:] = np.frombuffer(code, np.uint8)
        return Case(program=self.program, memory=memory, address=address, spare=self.data,
                    window=(self.low, self.size))

    def _integer_records(self):
        """Scales that leave something of a sum of ordinary size, and some of the extremes that are allowed."""
        rng, count = self.rng, self.record_count
        shift = rng.integers(-14, -1, count)
        shift = np.where(rng.random(count) < 0.1, rng.integers(-31, 31, count), shift)
        # The first three serve additions, whose scaled inputs have to be of 32 bits.
        shift[:3] = np.minimum(shift[:3], 0)
        multiplier = np.where(rng.random(count) < 0.05, 0, rng.integers(1 << 30, 1 << 31, count))
        return records(self._biases(), multiplier, shift)

    def _float_records(self):
        scale = np.float32(2) ** self.rng.uniform(-16, 1, self.record_count).astype(np.float32)
        return records(self._biases(), np.where(self.rng.random(self.record_count) < 0.05, np.float32(0), scale))

    def _biases(self):
        rng, count = self.rng, self.record_count
        extreme = rng.integers(-2**31, 2**31, count)
        return np.where(rng.random(count) < 0.1, extreme, rng.integers(-3000, 3000, count))

    def _emit(self, name, **values):
        self.program.append(isa.operation(name, **{key: int(value) for key, value in values.items()}))

    def _chance(self, probability):
        return bool(self.rng.random() < probability)

    def _up_to(self, most):
        """1 to ``most``, small numbers more often."""
        return int(self.rng.integers(1, max(1, int(self.rng.integers(1, most + 1))) + 1))

    def _prologue(self):
        """Fills the window and the records."""
        for area, pools in zip(self.record_areas, self.record_pools, strict=True):
            self._load_records(area, pools[0])
        done = 0
        while done < self.size:
            count = min(self.size - done, int(self.rng.integers(self.size // 3, self.size + 1)))
            words = -(-count // self.config.bus_bytes) * self.config.bus_bytes
            self._emit("read_host_memory", memory=self._memory(words), memory_size=words, base=self.low + done,
                       size=count, row_bytes=count)
            done += count
        if self._chance(0.7):
            self._table()

    def _epilogue(self):
        """Takes what is left and brings the window to memory."""
        self._drain()
        while self.tiles:
            self._matrix(tiles=self.tiles, finish=False)
        memory = self._memory(self.size)
        self._emit("write_host_memory", memory=memory, memory_size=self.size, base=self.low, size=self.size,
                   row_bytes=self.size)
        self._emit("halt")

    def _filler(self):
        names, weights = list(_FILLERS), np.array(list(_FILLERS.values()))
        getattr(self, f"_{self.rng.choice(names, p=weights / weights.sum())}")()

    def _memory(self, size):
        """Aligned address of so many bytes of data, preferably some that were in use just before."""
        word, most = self.config.bus_bytes, self.data_size - size
        if self.recent and self._chance(0.7):
            first, count = self.recent[int(self.rng.integers(len(self.recent)))]
            offset = min(max(first + int(self.rng.integers(1 - size, count)), 0), most)
        else:
            offset = int(self.rng.integers(most + 1))
        offset -= offset % word
        self.recent = [*self.recent[-2:], (offset, size)]
        return self.data + offset

    def _place(self, offsets, count):
        """Start, base and size of a region around accesses of ``count`` bytes at ``offsets``; None if too large."""
        low, high = int(np.min(offsets)), int(np.max(offsets)) + count
        if high - low > self.size:
            return None
        start = self.low + int(self.rng.integers(self.size - (high - low) + 1)) - low
        base, end = start + low, start + high
        if self._chance(0.3):
            base -= int(self.rng.integers(min(base, 200) + 1))
            end += int(self.rng.integers(min(self.config.buffer_size - end, 200) + 1))
        return start, base, end - base

    def _output(self, x, y, channels, *, avoid=()):
        """Fields of a place for outputs, beside the regions in ``avoid``; None if there is no room."""
        for attempt in range(100):
            x_stride = self._stride(channels, attempt, low=0)
            y_stride = self._stride(x * x_stride if self._chance(0.7) else channels, attempt, low=0)
            extent = (x - 1) * x_stride + (y - 1) * y_stride + channels
            if extent > self.size:
                continue
            base = self.low + int(self.rng.integers(self.size - extent + 1))
            size = extent if attempt > 20 or self._chance(0.7) else extent + int(self.rng.integers(100))
            size = min(size, self.config.buffer_size - base)
            if not any(base < first + count and first < base + size for first, count in avoid):
                return {"base": base, "size": size, "x_stride": x_stride, "y_stride": y_stride}
        return None

    def _stride(self, unit, attempt=0, *, low=None):
        """Bytes from one thing of ``unit`` bytes to the next; less after many attempts in vain."""
        if attempt > 60:
            return int(self.rng.integers(0, 2))
        low = -2 * unit if low is None else low
        choices = [unit, unit, unit, int(self.rng.integers(low, 2 * unit + 1)), 1, 0]
        return int(self.rng.choice(choices[attempt > 10 and 3:]))

    def _load_records(self, area, pool):
        size = self.record_count * isa.RECORD_BYTES
        self._emit("read_host_memory", memory=pool, memory_size=size, base=area, size=size, row_bytes=size)

    def _records(self):
        kind = int(self.rng.integers(2))
        self._load_records(self.record_areas[kind], int(self.rng.choice(self.record_pools[kind])))

    def _transfer(self, name):
        word = self.config.bus_bytes
        for attempt in range(100):
            rows, row_bytes = self._up_to(8), self._up_to(min(200, self.size))
            memory_stride = int(self.rng.integers(0, 2 * row_bytes // word + 2)) * word
            memory_size = (rows - 1) * memory_stride + row_bytes
            stride = self._stride(row_bytes, attempt)
            if name == "read_host_memory":
                stride = abs(stride)
            place = self._place(np.arange(rows) * stride, row_bytes)
            # A region begins with the first row.
            if place is not None and stride >= 0:
                start, base, size = place
                size -= start - base
                self._emit(name, memory=self._memory(memory_size), memory_size=memory_size + self.rng.integers(3),
                           base=start, size=size, row_count=rows, row_bytes=row_bytes, memory_stride=memory_stride,
                           stride=stride)
                return

    def _load(self):
        self._transfer("read_host_memory")

    def _store(self):
        self._transfer("write_host_memory")

    def _table(self):
        self.table = True
        self._emit("load_table", from_base=self.low + self.rng.integers(self.size - isa.TABLE_BYTES + 1))

    def _sync(self):
        self._emit("sync")

    def _nop(self):
        self._emit("nop")

    def _interrupt(self):
        self._emit("interrupt")

    def _debug_tag(self):
        self._emit("debug_tag", tag=self.rng.integers(1 << 32))

    def _rounding(self):
        self.rounding = int(self.rng.integers(self.config.roundings))
        self._emit("set_configuration", rounding=self.rounding)

    def _prefetch(self):
        """Tiles that some later product takes."""
        if self.tiles < self.tile_room:
            self._weights(self._up_to(self.tile_room - self.tiles))

    def _weights(self, count):
        diagonal = self._chance(0.25)
        size = count * self.config.tile_bytes(diagonal=diagonal)
        self._emit("read_weights", diagonal=diagonal, memory=self._memory(size), tile_count=count,
                   memory_size=size + self.rng.integers(9))
        self.tiles += count

    def _product(self):
        """A product or a part of one, and at some time its results."""
        finish = self._chance(0.7)
        overflow = self._chance(0.15)
        if finish and (overflow or self.results > self.result_room // 2):
            self._drain()
        in_a_hurry = self._matrix(finish=finish, overflow=overflow)
        if in_a_hurry:
            self._drain(avoid=in_a_hurry)
        while self.results and self._chance(0.6):
            if self._chance(0.5):
                self._filler()
            self._activate()

    def _matrix(self, *, tiles=None, finish, overflow=False):
        """Emits a matrix_multiply with the tiles it lacks.

        Returns the region it reads, if its results have to be taken at once.
        """
        while True:
            counts = self._counts(overflow) if tiles is None else {"c": tiles}
            counts = {loop: counts.get(loop, 1) for loop in ("x", "y", "c", "kx", "ky", "n")}
            depthwise = self._depthwise(counts)
            walk = self._walk(counts)
            reuse = self._chance(0.3) and tiles is None
            rows = len(range(depthwise["first"], counts["x"], depthwise["skip"] + 1)) * counts["y"]
            wanted = counts["c"] * counts["kx"] * counts["ky"] * counts["n"]
            missing = wanted - (reuse and self.active) - self.tiles
            late = missing + self.tiles > self.tile_room
            fits = self.results + rows * counts["n"] <= self.result_room or not finish
            # An output beside the region has to find room.
            easy = fits and not late
            free = easy or overflow and walk is not None and walk["size"] <= self.size // 3
            if (walk is not None and free and rows <= self.arch.accumulator_depth
                    and missing * self.config.tile_bytes() <= self.data_size):
                break
        if missing > 0:
            self._weights(missing)
            if easy and self._chance(0.5):
                self._light_filler()
        walk |= {"skip": depthwise["skip"], "depthwise": depthwise["first"] > 0}
        self._emit_matrix(counts, walk, rows, finish, reuse, wanted)
        return [] if easy else [(walk["base"], walk["size"])]

    def _light_filler(self):
        """Something that leaves tiles, results and rounding alone."""
        getattr(self, "_" + str(self.rng.choice(["load", "store", "sync", "nop"])))()

    def _counts(self, overflow):
        most = {"x": 12, "y": 6, "c": 3, "kx": 3, "ky": 2, "n": 3}
        if overflow:
            most |= {"x": 40, "y": 8}
        counts = {loop: self._up_to(count) for loop, count in most.items()}
        if self._chance(0.5):
            counts |= {"kx": 1, "ky": 1}
        return counts

    def _depthwise(self, counts):
        """The first row in x that has a sum of its own, and how many are skipped behind each; changes ``counts``."""
        if not self.arch.taps or self._chance(0.6):
            return {"first": 0, "skip": 0}
        counts["x"] += self.arch.taps - self._chance(0.9)
        return {"first": self.arch.taps - 1, "skip": self._up_to(3) - 1}

    def _walk(self, counts):
        """Start, region, strides and padding of the loops; None if the rows do not fit into the window."""
        rng, rows = self.rng, self.arch.rows
        strides = {loop: self._stride(rows, 20 * self._chance(0.5)) for loop in counts}
        pads = {axis: self._padding(counts[axis], counts[f"k{axis}"]) for axis in "xy"}
        axes = np.meshgrid(*(np.arange(count) for count in counts.values()), indexing="ij")
        grid = dict(zip(counts, axes, strict=True))
        offsets = sum(grid[loop] * strides[loop] for loop in counts)
        padded = np.zeros(offsets.shape, bool)
        for axis, (first, step, kernel_step, size) in pads.items():
            pixel = (first + grid[axis] * step + grid[f"k{axis}"] * kernel_step) % (1 << 16)
            padded |= (pixel >= size) & (size > 0)
        place = self._place(offsets[~padded] if np.any(~padded) else np.zeros(1), rows)
        if place is None:
            return None
        start, base, size = place
        # Where the first row is padding, its address may be anywhere.
        fields = {"start": start % 2**32, "base": base, "size": size, "padding": rng.integers(-128, 128)}
        fields |= {f"{loop}_stride": stride for loop, stride in strides.items()}
        for axis, name in (("x", "width"), ("y", "height")):
            fields |= dict(zip((f"first_{axis}", f"{axis}_step", f"k{axis}_step", name), pads[axis], strict=True))
        return fields

    def _padding(self, count, kernel):
        """First pixel, steps from output to output and within the kernel, and number of pixels of an axis."""
        if self._chance(0.5):
            return 0, 1, 1, 0
        step = int(self.rng.integers(0, 4))
        kernel_step = int(self.rng.choice([0, 1, 1, 2, 3, 100]))
        reach = (kernel - 1) * kernel_step + 1
        first = -int(self.rng.integers(0, min(reach, 8) + 1)) if self._chance(0.9) else -2**15
        size = (count - 1) * step + reach + first - self.rng.integers(0, 3)
        return first, step, kernel_step, min(max(1, int(size)), 2**16 - 1)

    def _emit_matrix(self, counts, walk, rows, finish, reuse, wanted):
        arch, rng = self.arch, self.rng
        first = int(rng.integers(arch.accumulator_depth - rows + 1)) if self._chance(0.5) else 0
        entries = slice(first, first + rows)
        useful = {name: rng.integers(most) for name, most in (
            ("k_less", arch.rows), ("k_last_less", arch.rows), ("n_less", arch.cols), ("n_last_less", arch.cols))}
        self._emit("matrix_multiply", reuse=reuse, finish=finish, accumulator=first,
                   accumulate=self.written[entries].all() and self._chance(0.5),
                   **walk, **useful, **{f"{loop}_count": count for loop, count in counts.items()})
        self.written[entries] = True
        self.tiles -= wanted - (reuse and self.active)
        self.active = True
        self.results += rows * counts["n"] if finish else 0

    def _drain(self, *, avoid=()):
        while self.results:
            self._activate(avoid=avoid)

    def _activate(self, *, avoid=()):
        output = None
        while output is None:
            rows = self.results if self._chance(0.5) else self._up_to(self.results)
            x = int(self.rng.choice([each for each in range(1, rows + 1) if rows % each == 0]))
            channels = self.arch.cols if self._chance(0.5) else self._up_to(self.arch.cols)
            output = self._output(x, rows // x, channels, avoid=avoid)
        per_channel = self._chance(0.6)
        count = channels if per_channel else 1
        self._emit("activate", x_count=x, y_count=rows // x, channels=channels, per_channel=per_channel,
                   parameters=self._parameters(count), parameters_size=count * isa.RECORD_BYTES + self.rng.integers(4),
                   **output, **self._scaling())
        self.results -= rows

    def _parameters(self, count, *, first=False):
        """Address of records for the rounding of the day; ``first``: those for additions."""
        if first:
            return self.record_areas[0]
        area = self.record_areas[isa.ROUNDINGS[self.rounding] == "fp32"]
        return area + isa.RECORD_BYTES * int(self.rng.integers(self.record_count - count + 1))

    def _scaling(self):
        low, high = sorted(self.rng.integers(-128, 128, 2)) if self._chance(0.3) else (-128, 127)
        return {"zero_point": self.rng.integers(-128, 128) if self._chance(0.5) else 0, "low": low, "high": high,
                "lookup": self.table and self._chance(0.3)}

    def _source(self, counts, strides, channels):
        """Start, base and size of pixels to be read, or None."""
        grids = np.meshgrid(*(np.arange(count) for count in counts), indexing="ij")
        return self._place(sum(grid * stride for grid, stride in zip(grids, strides, strict=True)), channels)

    def _pool(self):
        for attempt in range(100):
            x, y, channels = self._up_to(6), self._up_to(4), self._up_to(2 * self.arch.cols)
            kx, ky = (1, 1) if self._chance(0.3) else (self._up_to(3), self._up_to(3))
            strides = [self._stride(channels, attempt) for _ in range(4)]
            source = self._source((x, y, kx, ky), strides, channels)
            output = source and self._output(x, y, channels, avoid=[source[1:]])
            if output and kx == ky == 1 and self._chance(0.5):
                if not self._upwards(x, y, channels, output):
                    continue
                source = output["base"], output["base"], output["size"]
                strides = [output["x_stride"], output["y_stride"], *strides[2:]]
            if output:
                start, base, size = source
                names = ("from_x_stride", "from_y_stride", "kx_stride", "ky_stride")
                self._emit("pool", maximum=self._chance(0.5), x_count=x, y_count=y, channels=channels, kx_count=kx,
                           ky_count=ky, start=start, from_base=base, from_size=size, parameters=self._parameters(1),
                           **dict(zip(names, strides, strict=True)), **output, **self._scaling())
                return

    @staticmethod
    def _upwards(x, y, channels, output):
        """Whether each output begins at or behind the end of the one before it, as in place it must."""
        row = (x - 1) * output["x_stride"] + channels
        return (x == 1 or output["x_stride"] >= channels) and (y == 1 or output["y_stride"] >= row)

    def _add(self):
        """Sum of two inputs; at times in place of them."""
        for attempt in range(100):
            x, y, channels = self._up_to(6), self._up_to(4), self._up_to(2 * self.arch.cols)
            counts, inputs = (x, y), []
            for _ in range(2):
                strides = [abs(self._stride(channels, attempt)) for _ in counts]
                place = self._source(counts, strides, channels)
                if place:
                    start, base, size = place
                    inputs.append((start, size - (start - base), *strides))
            output = len(inputs) == 2 and self._output(x, y, channels, avoid=[each[:2] for each in inputs])
            if output and self._chance(0.3):
                # In place of one input or of both.
                for number in ([0], [1], [0, 1])[self.rng.integers(3)]:
                    inputs[number] = output["base"], output["size"], output["x_stride"], output["y_stride"]
                if not self._upwards(x, y, channels, output):
                    continue
            if output:
                names = ("base", "size", "x_stride", "y_stride")
                fields = {f"{which}_{name}": value for which, values in zip(("from", "other"), inputs, strict=True)
                          for name, value in zip(names, values, strict=True)}
                self._emit("add", x_count=x, y_count=y, channels=channels, parameters=self._parameters(3, first=True),
                           **fields, **output, **self._scaling())
                return
