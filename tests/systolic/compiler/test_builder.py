"""Programs and the memory they run in: where things are, and what is refused."""

import numpy as np
import pytest

from systolic import isa
from systolic.compiler import Builder, CompileError, Tensor
from systolic.compiler.builder import PAGE
from systolic.compiler.layers import dense, pool
from systolic.compiler.layout import Layout
from systolic.compiler.quantise import Requantisation
from systolic.compiler.spaces import Region
from systolic.tpu_config import tpu_preset
from systolic_sim.emulator import Emulator, check_instruction
from systolic_sim.golden.requantise import requantise

TPU = tpu_preset("tpu_8x8")


def two_programs(rng):
    """A dense layer in two programs: the first brings what the second works on."""
    w = rng.integers(-128, 128, (20, 11), np.int8)
    scale = Requantisation(bias=rng.integers(-999, 999, 11), multiplier=rng.integers(2**30, 2**31, 11), shift=-8)
    builder = Builder(TPU)
    layer = dense(builder, w, scale)
    x = builder.load(builder.input("x", Layout.of(1, 9, 20, x_stride=24)))
    builder.end()
    y = layer(builder, x)
    builder.store(y, builder.output("y", y.layout))
    builder.end()
    return builder, lambda x: requantise(x.astype(np.int32) @ w.astype(np.int32) + scale.bias, scale.multiplier,
                                         scale.shift)


@pytest.mark.parametrize("base", [0, 64, 4096 - 64, 0x12340])
def test_an_image_runs_anywhere(base):
    """Programs one behind the other at the base, data from a page on; the same instructions but for addresses."""
    rng = np.random.default_rng(0)
    builder, expected = two_programs(rng)
    image, x = builder.image(base), rng.integers(-128, 128, (9, 20), np.int8)
    first, second = image.programs
    assert (first.address, second.address) == (base, base + isa.BYTES * first.length)
    assert image.base == base and image.end % isa.BYTES == 0
    data = min(image.inputs["x"].address, image.outputs["y"].address)
    assert data >= second.address + isa.BYTES * second.length and image.inputs["x"].region.end <= image.end
    emulator = Emulator(TPU, image.memory(x=x))
    for program in image.programs:
        emulator.run_at(program.address, len(program))
    np.testing.assert_array_equal(image.output(emulator.memory)[0], expected(x))
    np.testing.assert_array_equal(image.output(emulator.memory, "y")[0], expected(x))
    moved = builder.image(base + 3 * PAGE)
    for here, there in zip(image.programs, moved.programs, strict=True):
        for one, other in zip(here, there, strict=True):
            memory = {region.base for region in one.instruction.regions if region.space == "memory"}
            assert other.values == one.values | {name: one.values[name] + 3 * PAGE for name in memory}


def test_values_of_inputs_are_in_the_image():
    builder = Builder(TPU)
    values = np.arange(12, dtype=np.int8).reshape(2, 2, 3)
    given = builder.input("given", Layout.of(2, 2, 3, border=(1, 0)), values, fill=7)
    builder.load(given)
    builder.end()
    image = builder.image()
    variable = image.inputs["given"]
    assert image.content[variable.address:variable.region.end].tobytes() == given.pack(values)
    # Later values go over them.
    memory = image.memory(given=values + 1)
    np.testing.assert_array_equal(variable.unpack(memory[variable.address:variable.region.end].tobytes()), values + 1)


def test_a_name_is_given_once():
    builder = Builder(TPU)
    builder.input("x", Layout.of(1, 1, 1))
    for make in (builder.input, builder.output):
        with pytest.raises(CompileError, match="name must be another than those of the variables there are, not 'x'"):
            make("x", Layout.of(1, 1, 1))


def test_names_that_an_image_does_not_have():
    image = two_programs(np.random.default_rng(1))[0].image()
    with pytest.raises(CompileError, match="input must be one of x, not z"):
        image.memory(z=0)
    with pytest.raises(CompileError, match="output must be one of y, not z"):
        image.output(image.memory(), "z")


def test_an_image_needs_ends_and_room():
    builder = Builder(TPU)
    with pytest.raises(CompileError, match=r"a program must end with end\(\), not with nothing"):
        builder.image()
    builder.emit("nop")
    with pytest.raises(CompileError, match=r"a program must end with end\(\), not with nop"):
        builder.image()
    builder.end()
    for base in (-64, 32):
        with pytest.raises(CompileError, match=f"base must be a multiple of 64 from 0 on, not {base}"):
            builder.image(base)
    assert builder.image(2**32 - PAGE).end == 2**32
    builder.constant(bytes(64))
    with pytest.raises(CompileError, match=r"base must be such that .* bytes lie below 2\*\*32, not 0xfffff000"):
        builder.image(2**32 - PAGE)


def test_variables_by_parts():
    """Loads of a few vectors at a time from a longer row of them, by turns into two tensors."""
    builder, rng = Builder(TPU), np.random.default_rng(2)
    values = rng.integers(-128, 128, (1, 10, 5), np.int8)
    vectors = builder.input("x", Layout.of(1, 10, 5, x_stride=8), values)
    result = builder.output("y", vectors.layout)
    turns = builder.turns(Layout.of(1, 4, 5, x_stride=8))
    assert turns[0] is turns[2] and turns[1] is turns[3] and turns[0].base != turns[1].base
    for step, first in enumerate((0, 4, 8)):
        tensor = turns[step].part(width=min(4, 10 - first))
        builder.load(vectors.part(first, tensor.width), tensor)
        builder.store(tensor, result.part(first, tensor.width))
    builder.end()
    image = builder.image()
    emulator = Emulator(TPU, image.memory())
    emulator.run_at(image.base, len(image.programs[0]))
    np.testing.assert_array_equal(image.output(emulator.memory), values)
    for first, count in ((-1, 2), (8, 3), (3, 0)):
        with pytest.raises(CompileError, match="a part must be of one row of 10 pixels"):
            vectors.part(first, count)


def test_maps_longer_than_a_row_can_be():
    """The field has 24 bits: such a map is copied row by row."""
    builder = Builder(tpu_preset("tpu_v1"))
    layout = Layout.of(3, 1, 6 << 20)
    builder.load(builder.input("x", layout), Tensor(0, layout))
    operation, = builder.operations
    assert (operation.row_count, operation.row_bytes, operation.stride) == (3, 6 << 20, 6 << 20)
    assert operation.size == operation.memory_size == layout.size


def test_freed_bytes_are_taken_again():
    """While the buffer is full, until something is freed; parts of tensors cannot be."""
    builder = Builder(TPU)
    first, _ = builder.tensor(Layout.of(1, 1, 40000)), builder.tensor(Layout.of(1, 1, 20000))
    with pytest.raises(CompileError, match=r"not 30008: of the unified buffer's 65536 bytes, 60016 are in use"):
        builder.tensor(Layout.of(1, 1, 30000))
    with pytest.raises(CompileError, match="tensor must be one that was taken, not a part of one"):
        builder.free(first.part(width=1))
    builder.free(first)
    assert builder.tensor(Layout.of(1, 1, 30000)).base == first.base


@pytest.mark.parametrize("name, fields, message", [
    ("activate", {"base": 0, "parameters": 0, "channels": 9}, "channels of activate must be from 1 to 8, not 9"),
    ("matrix_multiply", {"start": 0, "n_less": 8}, "n_less of matrix_multiply must be from 0 to 7, not 8"),
    ("set_configuration", {"rounding": 3}, "rounding of set_configuration must be from 0 to 2, not 3"),
    ("read_weights", {"memory": 4}, "memory of read_weights must be a multiple of the bus's 8 bytes, not 4"),
    ("read_host_memory", {"memory": 0, "base": 65530, "row_bytes": 7},
     "base of read_host_memory must be such that its 7 bytes end within the buffer's 65536, not 65530"),
    ("load_table", {"from_base": 65536 - 255}, "from_base of load_table must be such that its 256 bytes end"),
    ("pool", {"base": 104, "start": 100, "parameters": 0, "channels": 8},
     "from_base of pool must be the output's, with the same strides, or its 8 bytes apart from it, not 100"),
    ("read_weights", {"memory": 0, "tile_count": 0}, "tile_count of read_weights must be from 1 to")])
def test_what_the_machine_would_stop_at(name, fields, message):
    builder = Builder(TPU)
    with pytest.raises(CompileError, match=message):
        builder.emit(name, **fields)
    assert not builder.operations


def test_what_is_emitted_the_sequencer_takes():
    builder, _ = two_programs(np.random.default_rng(3))
    for program in builder.image().programs:
        code = isa.encode(program.operations)
        for start in range(0, len(code), isa.BYTES):
            assert check_instruction(TPU, int.from_bytes(code[start:start + isa.BYTES], "little")) is None


def test_copies_are_of_one_layout():
    builder = Builder(TPU)
    tensor, variable = builder.tensor(Layout.of(2, 2, 3)), builder.output("y", Layout.of(2, 2, 3, border=(0, 1)))
    with pytest.raises(CompileError, match="layout of a variable must be the tensor's"):
        builder.store(tensor, variable)


def test_slices_of_channels():
    tensor = Tensor(100, Layout.of(2, 3, 5, border=(1, 1)))
    part = tensor.slice(2, 3)
    assert (part.start, part.channels, part.layout.x_stride, part.layout.y_stride) == (107, 3, 5, 25)
    for first, channels in ((-1, 2), (3, 3), (0, 0)):
        with pytest.raises(CompileError, match="channels must be within 0 to 4"):
            tensor.slice(first, channels)


def test_tiles_without_values():
    """Take as much memory as others, and have nothing in the image."""
    builder = Builder(TPU)
    for diagonal in (False, True):
        tiles = builder.reserve_tiles(5, diagonal=diagonal)
        assert tiles.region.size == 5 * TPU.tile_bytes(diagonal=diagonal) and tiles.count == 5
        builder.read_weights(tiles)
        assert builder.operations[-1].diagonal == diagonal
    assert isinstance(tiles.region, Region)


def test_several_buffers_of_parameters():
    """Records are loaded when they are asked for."""
    builder = Builder(TPU)
    layers = [pool(builder, 2), pool(builder, 2, maximum=True)]
    assert [each.name for each in builder.operations] == ["read_host_memory"] * 2
    assert [each.base for each in builder.operations] == [layer.parameters.base for layer in layers]
