"""The emulator against plain numpy, and the errors it finds."""

import dataclasses

import numpy as np
import pytest

from systolic import isa
from systolic.compiler.layout import pack_diagonals, pack_tiles, records
from systolic.compiler.quantise import quantise_multiplier
from systolic.isa import ErrorCode, operation
from systolic.tpu_config import tpu_preset
from systolic_sim.emulator import Emulator, EmulatorError, check_instruction
from systolic_sim.golden import activation
from systolic_sim.golden.requantise import requantise

NAMES = ["tpu_4x4", "tpu_8x8", "tpu_12x20", "tpu_16x16"]
OUT = 0x8000


def memory_with(**areas):
    """64 KB with bytes from given addresses on, named a<address>."""
    memory = np.zeros(65536, np.uint8)
    for name, content in areas.items():
        content = np.frombuffer(bytes(content), np.uint8)
        memory[int(name[1:], 16):][:len(content)] = content
    return memory


def load(memory, base, size):
    return operation("read_host_memory", memory=memory, memory_size=size, base=base, size=size, row_bytes=size)


def store(memory, base, size):
    return operation("write_host_memory", memory=memory, memory_size=size, base=base, size=size, row_bytes=size)


HALT = operation("halt")


@pytest.mark.parametrize("stride, dilation", [(2, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize("name", NAMES)
def test_convolution(name, stride, dilation):
    """3 x 3, SAME padding, two channel tiles in and two out, against sums over all pixels; as one instruction."""
    tpu, rng = tpu_preset(name), np.random.default_rng(1)
    rows, cols = tpu.matrix.arch.rows, tpu.matrix.arch.cols
    height, width, c_in, c_out, pad = 7, 6, 2 * rows, 2 * cols, -9
    x = rng.integers(-128, 128, (height, width, c_in), np.int8)
    w = rng.integers(-128, 128, (3, 3, c_in, c_out), np.int8)
    y_count, x_count, s, d = -(-height // stride), -(-width // stride), stride, dilation
    padded = np.full((height + 2 * d, width + 2 * d, c_in), pad, np.int64)
    padded[d:-d, d:-d] = x
    sums = sum(padded[ky * d:, kx * d:][:s * y_count:s, :s * x_count:s][:y_count, :x_count]
               @ w[ky, kx].astype(np.int64) for ky in range(3) for kx in range(3))
    bias, (multiplier, shift) = rng.integers(-5000, 5000, c_out), quantise_multiplier(rng.uniform(1e-4, 1e-3, c_out))
    expected = requantise((sums + bias).astype(np.int32), multiplier, shift, zero_point=5)

    tiles = w.reshape(3, 3, 2, rows, 2, cols).transpose(4, 0, 1, 2, 3, 5).reshape(-1, rows, cols)
    weights, table = pack_tiles(tpu, tiles), records(bias, multiplier, shift)
    memory = np.zeros(131072, np.uint8)
    for address, content in ((0, x.tobytes()), (0x2000, table), (0x4000, weights)):
        memory[address:address + len(content)] = np.frombuffer(content, np.uint8)
    at = -(-x.size // 16) * 16
    program = [
        load(0, 0, x.size), load(0x2000, at, len(table)),
        operation("read_weights", memory=0x4000, memory_size=len(weights), tile_count=len(tiles)),
        operation("matrix_multiply", finish=1, padding=pad, base=0, size=x.size,
                  start=(-d * (width + 1) * c_in) % 2**32,
                  x_count=x_count, y_count=y_count, c_count=2, kx_count=3, ky_count=3, n_count=2, x_step=s, y_step=s,
                  x_stride=s * c_in, y_stride=s * width * c_in, c_stride=rows, kx_stride=d * c_in,
                  ky_stride=d * width * c_in, kx_step=d, ky_step=d, first_x=-d, first_y=-d, width=width, height=height,
                  k_less=rows - 1, k_last_less=rows - 1, n_less=cols - 1, n_last_less=cols - 1),
    ]
    out, pixels = at + len(table), y_count * x_count
    for n in range(2):
        program.append(operation(
            "activate", base=out + n * cols, size=pixels * c_out - n * cols, x_count=x_count, y_count=y_count,
            x_stride=c_out, y_stride=x_count * c_out, channels=cols, per_channel=1, zero_point=5,
            parameters=at + 16 * n * cols, parameters_size=16 * cols))
    program += [store(OUT * 2, out, pixels * c_out), HALT]
    emulator = Emulator(tpu, memory)
    emulator.run(program)
    assert np.array_equal(memory[OUT * 2:][:expected.size].view(np.int8), expected.ravel())
    inside = sum(0 <= s * y + (ky - 1) * d < height and 0 <= s * x + (kx - 1) * d < width
                 for y in range(y_count) for x in range(x_count) for ky in range(3) for kx in range(3))
    assert emulator.counters == {
        "instructions": len(program), "useful_macs": inside * c_in * c_out, "bytes_written": expected.size,
        "bytes_read": sum(-(-len(each) // tpu.bus_bytes) * tpu.bus_bytes for each in (x.tobytes(), table, weights))}


@pytest.mark.parametrize("name", NAMES)
def test_diagonal_weights_and_accumulation(name):
    """Two diagonal tiles onto the same sums, in two instructions, the second on top of the first."""
    tpu, rng = tpu_preset(name), np.random.default_rng(2)
    rows, cols = tpu.matrix.arch.rows, tpu.matrix.arch.cols
    x, w = rng.integers(-128, 128, (2, 5, rows), np.int8), rng.integers(-128, 128, (2, cols), np.int8)
    least = min(rows, cols)
    expected = np.zeros((5, cols), np.int64)
    expected[:, :least] = sum(x[i, :, :least].astype(np.int64) * w[i, :least] for i in range(2))
    weights = pack_diagonals(tpu, w)
    memory = memory_with(a0=x.tobytes(), a1000=weights, a2000=records(0, 1 << 30, -7))
    multiply = {"base": 0, "size": x.size, "x_count": 5, "x_stride": rows, "accumulator": 3}
    emulator = Emulator(tpu, memory)
    emulator.run([
        load(0, 0, x.size), load(0x2000, 2048, 16),
        operation("read_weights", diagonal=1, memory=0x1000, memory_size=len(weights), tile_count=2),
        operation("matrix_multiply", **multiply),
        operation("matrix_multiply", **multiply | {"start": 5 * rows, "accumulate": 1, "finish": 1}),
        operation("activate", base=4096, size=5 * cols, x_count=5, x_stride=cols, channels=cols, parameters=2048),
        store(OUT, 4096, 5 * cols), HALT])
    result = memory[OUT:][:5 * cols].view(np.int8).reshape(5, cols)
    assert np.array_equal(result, np.clip(np.floor(expected / 2**8 + 0.5), -128, 127).astype(np.int8))


def test_reuse_keeps_the_tile():
    tpu, rng = tpu_preset("tpu_4x4"), np.random.default_rng(3)
    tiles, x = rng.integers(-9, 9, (2, 4, 4), np.int8), rng.integers(-9, 9, (3, 4), np.int8)
    memory = memory_with(a0=x.tobytes(), a1000=pack_tiles(tpu, tiles), a2000=records(0, 1 << 30, 1))
    multiply = [operation("matrix_multiply", size=4, start=4 * i, base=4 * i, finish=1, reuse=reuse)
                for i, reuse in enumerate((1, 1, 0))]
    Emulator(tpu, memory).run([
        load(0, 0, 12), load(0x2000, 64, 16),
        operation("read_weights", memory=0x1000, memory_size=32, tile_count=2), *multiply,
        operation("activate", base=128, size=12, x_count=3, x_stride=4, channels=4, parameters=64),
        store(OUT, 128, 12), HALT])
    expected = [x[i].astype(int) @ tiles[tile] for i, tile in enumerate((0, 0, 1))]
    assert np.array_equal(memory[OUT:OUT + 12].view(np.int8).reshape(3, 4), np.clip(expected, -128, 127))


@pytest.mark.parametrize("rounding", isa.ROUNDINGS)
def test_pool_add_and_table(rounding):
    """What the golden model says, of pixels picked by hand."""
    tpu, rng = tpu_preset("tpu_8x8"), np.random.default_rng(4)
    x, table = rng.integers(-128, 128, (6, 6, 11), np.int8), rng.integers(-128, 128, 256, np.int8)
    scale = records([1 << 20, -3, 7], [1 << 30, 3 << 29, 5 << 28], [-1, -2, -18])
    pool_scale = records(100, np.float32(0.3)) if rounding == "fp32" else records(100, 5 << 28, -2)
    memory = memory_with(a0=x.tobytes(), a1000=scale + pool_scale, a2000=table.tobytes())
    there = np.frombuffer(scale + pool_scale, activation.RECORD)
    pools = [operation("pool", base=4096 + 256 * maximum, size=2 * 2 * 11, x_count=2, y_count=2, x_stride=11,
                       y_stride=22, channels=11, kx_count=3, ky_count=2, start=11, from_base=0, from_size=x.size,
                       from_x_stride=22, from_y_stride=132, kx_stride=11, ky_stride=66, maximum=maximum,
                       parameters=1024 + 48, zero_point=-4, low=-100, high=90, lookup=maximum) for maximum in (0, 1)]
    add = operation("add", base=6000, size=18 * 11, x_count=18, x_stride=11, channels=11, from_base=0,
                    from_size=18 * 11, from_x_stride=11, other_base=18 * 11, other_size=18 * 11, other_x_stride=11,
                    parameters=1024)
    Emulator(tpu, memory).run([
        load(0, 0, x.size), load(0x1000, 1024, 64), load(0x2000, 2048, 256), operation("load_table", from_base=2048),
        operation("set_configuration", rounding=isa.ROUNDINGS.index(rounding)), *pools, add,
        store(OUT, 4096, 512), store(OUT + 512, 6000, 18 * 11), HALT])
    for maximum in (0, 1):
        windows = np.stack([x[ky:ky + 4:2, 1 + kx:1 + kx + 4:2] for ky in range(2) for kx in range(3)], axis=2)
        expected = activation.pool(windows, there[3:], maximum=maximum, rounding=rounding, zero_point=-4, low=-100,
                                   high=90, table=table if maximum else None)
        assert np.array_equal(memory[OUT + 256 * maximum:][:44].view(np.int8), expected.ravel())
        assert len(np.unique(expected)) > 10
    expected = activation.add(x[:3], x[3:], there[:3], rounding=rounding)
    assert len(np.unique(expected)) > 20
    assert np.array_equal(memory[OUT + 512:][:198].view(np.int8), expected.ravel())


def test_transfers_with_strides():
    tpu = tpu_preset("tpu_8x8")
    memory = memory_with(a0=np.arange(256, dtype=np.uint8).tobytes())
    Emulator(tpu, memory).run([
        operation("read_host_memory", memory=8, memory_size=200, base=100, size=100, row_count=4, row_bytes=5,
                  memory_stride=24, stride=7),
        operation("write_host_memory", memory=OUT, memory_size=100, base=100, size=26, row_count=4, row_bytes=3,
                  memory_stride=16, stride=7), HALT])
    assert [memory[OUT + 16 * row:][:4].tolist() for row in range(4)] == [
        [8 + 24 * row + i for i in range(3)] + [0] for row in range(4)]


def test_state_lives_on_and_restart_ends_it():
    tpu = tpu_preset("tpu_4x4")
    memory = memory_with(a0=np.ones(64, np.int8).tobytes())
    emulator = Emulator(tpu, memory)
    weights = operation("read_weights", memory=0, memory_size=16)
    emulator.run([load(0, 0, 4), operation("debug_tag", tag=7), operation("interrupt"), weights,
                  operation("matrix_multiply", size=4), HALT])
    assert (emulator.debug_tag, emulator.interrupts) == (7, 1)
    # The tile is still in use.
    emulator.run([operation("matrix_multiply", size=4, reuse=1), HALT])
    assert emulator.counters["useful_macs"] == 1 and emulator.interrupts == 0
    with pytest.raises(EmulatorError) as error:
        emulator.run([weights, HALT])
    assert (error.value.code, error.value.index) == (11, 1)
    emulator.restart()
    # After a restart, reuse takes a tile like any first row: so few rows wait at the gate, where halt finds them.
    with pytest.raises(EmulatorError, match="error 11"):
        emulator.run([operation("matrix_multiply", size=4, reuse=1), HALT])


def bits(operation, **raw):
    code = int.from_bytes(isa.encode([operation]), "little")
    for offset, value in raw.items():
        code |= value << int(offset[1:])
    return code


@pytest.mark.parametrize("code, error", [
    (bits(HALT), None), (0xEE, ErrorCode.OPCODE), (0xEE | 1 << 300, ErrorCode.OPCODE),
    (bits(HALT, b9=1), ErrorCode.RESERVED),
    # A reserved bit goes before a field, a field before a region.
    (bits(operation("pool", from_size=1, size=1, base=2**32 - 1), b501=1), ErrorCode.RESERVED),
    (bits(operation("pool", from_size=0, size=1, base=2**32 - 1)), ErrorCode.FIELD),
    (bits(operation("pool", from_size=1, size=1, base=2**32 - 1)), ErrorCode.BUFFER),
    (bits(operation("pool", from_size=1, size=1, base=8191)), None),
    (bits(operation("pool", from_size=1, size=2, base=8191)), ErrorCode.BUFFER),
    (bits(operation("pool", from_size=1, size=1, parameters=8192 - 15)), ErrorCode.BUFFER),
    (bits(operation("load_table", from_base=8192 - 256)), None),
    (bits(operation("load_table", from_base=8192 - 255)), ErrorCode.BUFFER),
    (bits(operation("set_configuration", rounding=3)), ErrorCode.FIELD),
    (bits(operation("activate", size=1, channels=4)), None),
    (bits(operation("activate", size=1, channels=5)), ErrorCode.FIELD),
    (bits(operation("matrix_multiply", size=1, n_less=4)), ErrorCode.FIELD),
    (bits(operation("read_weights", memory_size=1, memory=2)), ErrorCode.FIELD),
    (bits(operation("read_weights", memory_size=1, memory=2**32 - 4)), None),
])
def test_what_the_sequencer_checks(code, error):
    assert check_instruction(tpu_preset("tpu_4x4"), code) == error


@pytest.mark.parametrize("roundings", [1, 2, 3])
@pytest.mark.parametrize("rounding", range(4))
def test_a_rounding_that_is_not_there(roundings, rounding):
    tpu = dataclasses.replace(tpu_preset("tpu_4x4"), roundings=roundings)
    code = bits(operation("set_configuration", rounding=rounding))
    assert check_instruction(tpu, code) == (None if rounding < roundings else ErrorCode.FIELD)


def stops(program, *, faults=()):
    """Name of the error that a program ends in, and its index; the program begins at 1."""
    emulator = Emulator(tpu_preset("tpu_4x4"), np.zeros(65536, np.uint8), faults=faults)
    with pytest.raises(EmulatorError) as error:
        emulator.run([operation("nop"), *program, HALT])
    return error.value.code, error.value.index


TILE = operation("read_weights", memory=0, memory_size=16)
RESULT = operation("matrix_multiply", size=4, finish=1)


@pytest.mark.parametrize("program, expected", [
    ([load(0, 0, 4), operation("read_host_memory", memory_size=7, size=8, row_count=2, row_bytes=4, memory_stride=4,
                               stride=4)], (ErrorCode.REGION, 2)),
    ([operation("read_host_memory", memory_size=8, size=8, row_count=2, row_bytes=4, memory_stride=4, stride=-4)],
     (ErrorCode.REGION, 1)),
    ([operation("write_host_memory", memory=2**32 - 4, memory_size=8, size=8, row_bytes=8)], (ErrorCode.REGION, 1)),
    ([operation("read_weights", memory=0, memory_size=31, tile_count=2)], (ErrorCode.REGION, 1)),
    ([TILE, operation("matrix_multiply", size=3)], (ErrorCode.REGION, 2)),
    ([TILE, operation("matrix_multiply", size=8, base=4, start=3)], (ErrorCode.REGION, 2)),
    ([TILE, operation("matrix_multiply", size=4, accumulator=64)], (ErrorCode.ACCUMULATOR, 2)),
    # One row is outside its region, and a later one beyond the accumulators: the first counts; of one row, the entry.
    ([TILE, operation("matrix_multiply", size=4, x_count=2, x_stride=1, accumulator=63)], (ErrorCode.ACCUMULATOR, 2)),
    ([TILE, operation("matrix_multiply", size=4, x_count=3, x_stride=1, accumulator=62)], (ErrorCode.REGION, 2)),
    ([TILE, RESULT, operation("activate", size=1, parameters_size=15)], (ErrorCode.REGION, 3)),
    ([TILE, RESULT, operation("activate", size=3, channels=4)], (ErrorCode.REGION, 3)),
    ([operation("pool", base=64, size=8, channels=8, from_size=8, start=1)], (ErrorCode.REGION, 1)),
    ([operation("pool", size=8, channels=8, from_size=8, start=1)], (ErrorCode.OVERLAP, 1)),
    ([operation("pool", size=8, channels=2, x_count=2, x_stride=1, from_size=8, from_x_stride=1)],
     (ErrorCode.OVERLAP, 1)),
    ([operation("add", size=8, channels=8, from_size=8, other_size=7)], (ErrorCode.REGION, 1)),
    ([TILE], (ErrorCode.LEFTOVER, 2)), ([TILE, RESULT], (ErrorCode.LEFTOVER, 3)),
    ([RESULT], (ErrorCode.LEFTOVER, 2)), ([operation("activate", size=1)], (ErrorCode.WATCHDOG, 2)),
    ([load(65536, 0, 4)], (ErrorCode.BUS_READ, 1)), ([load(65532, 0, 5)], (ErrorCode.BUS_READ, 1)),
    ([store(65536, 0, 4)], (ErrorCode.BUS_WRITE, 1)),
    ([operation("read_weights", memory=65528, memory_size=16)], (ErrorCode.BUS_READ, 1)),
])
def test_what_units_check(program, expected):
    assert stops(program) == expected


def test_padding_is_read_nowhere():
    """Rows outside the image may have any address, but not any entry."""
    fields = {"size": 4, "start": 2**31, "width": 1, "first_x": 5}
    emulator = Emulator(tpu_preset("tpu_4x4"), np.zeros(64, np.uint8))
    emulator.run([TILE, operation("matrix_multiply", **fields), HALT])
    assert emulator.counters["useful_macs"] == 0
    assert stops([TILE, operation("matrix_multiply", accumulator=64, **fields)]) == (ErrorCode.ACCUMULATOR, 2)


def test_faults():
    faults = [(1000, 1001)]
    assert stops([load(992, 0, 12)], faults=faults) == (ErrorCode.BUS_READ, 1)
    assert stops([store(1000, 0, 1)], faults=faults) == (ErrorCode.BUS_WRITE, 1)
    emulator = Emulator(tpu_preset("tpu_4x4"), np.zeros(2048, np.uint8), faults=faults)
    emulator.run([load(996, 0, 4), load(1004, 0, 4), HALT])


def test_programs_in_memory():
    tpu = tpu_preset("tpu_4x4")
    code = isa.encode([operation("debug_tag", tag=9), HALT, operation("nop")])
    memory = memory_with(a100=code)
    emulator = Emulator(tpu, memory)
    emulator.run_at(0x100, 3)
    assert emulator.debug_tag == 9 and emulator.counters["instructions"] == 2
    for (address, length), faults, expected in (
        ((0x101, 3), [], (ErrorCode.FETCH, 0)), ((0x100, 0), [], (ErrorCode.FETCH, 0)),
        ((0x100, 1), [], (ErrorCode.END, 1)),
        ((0x100, 3), [(0x150, 0x151)], (ErrorCode.FETCH, 1)), ((0x100, 3), [(0x13F, 0x140)], (ErrorCode.FETCH, 0)),
        ((65536 - 64, 2), [], (ErrorCode.FETCH, 1)), ((65536, 2), [], (ErrorCode.FETCH, 0)),
    ):
        emulator = Emulator(tpu, memory, faults=faults)
        with pytest.raises(EmulatorError) as error:
            emulator.run_at(address, length)
        assert (error.value.code, error.value.index) == expected
    # Beyond the end nobody looks.
    Emulator(tpu, memory, faults=[(0x180, 0x200)]).run_at(0x100, 3)


@pytest.mark.parametrize("program, detail", [
    ([load(0, 8190, 4)], "the region from base=8190 ends at 8194, the buffer at 8192"),
    ([TILE, operation("matrix_multiply", size=8, x_count=3, x_stride=4, c_count=2, c_stride=-4, start=4)],
     "the row y=0 x=1 of tile n=0 ky=0 kx=0 c=0, 4 bytes at 0x8, is not inside base and size"),
    ([load(0x40, 0, 256)], "memory does not answer at 0x000000c0"),
    ([load(0, 0, 32), operation("write_host_memory", memory=0x80, memory_size=96, base=0, size=32, row_bytes=32,
                                row_count=3, memory_stride=32)], "memory does not answer at 0x000000c0"),
    ([operation("read_weights", memory=0x90, memory_size=64, tile_count=4)], "memory does not answer at 0x000000c0"),
    ([operation("activate", size=4, channels=4)], "that waits for sums"),
])
def test_an_error_says_where(program, detail):
    """Field, loop indices, address: what a machine's registers have no room for."""
    emulator = Emulator(tpu_preset("tpu_4x4"), np.zeros(65536, np.uint8), faults=[(0xC2, 0xC3)])
    with pytest.raises(EmulatorError) as error:
        emulator.run([*program, HALT])
    assert detail in error.value.detail and error.value.detail in str(error.value)


def test_sums_on_entries_never_written_are_refused():
    with pytest.raises(ValueError, match="never written"):
        Emulator(tpu_preset("tpu_4x4"), np.zeros(64, np.uint8)).run(
            [TILE, operation("matrix_multiply", size=4, accumulate=1), HALT])
