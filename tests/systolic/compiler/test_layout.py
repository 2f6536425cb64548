"""What is packed here, the golden model unpacks; it does so in its own way."""

import numpy as np
import pytest

from systolic.compiler import CompileError
from systolic.compiler.layout import Layout, cut_tiles, pack_diagonals, pack_tiles, records
from systolic.tpu_config import TPU_PRESETS
from systolic_sim.golden.layout import unpack_diagonals, unpack_records, unpack_tiles


def code_of(content):
    return np.frombuffer(content, np.uint8)


def test_tiles(tpu):
    arch, rng = tpu.matrix.arch, np.random.default_rng(0)
    tiles = rng.integers(-128, 128, (5, arch.rows, arch.cols), np.int8)
    np.testing.assert_array_equal(unpack_tiles(tpu, code_of(pack_tiles(tpu, tiles))), tiles)


def test_diagonals(tpu):
    arch, rng = tpu.matrix.arch, np.random.default_rng(1)
    weights, least = rng.integers(-128, 128, (5, arch.cols), np.int8), min(arch.rows, arch.cols)
    tiles = unpack_diagonals(tpu, code_of(pack_diagonals(tpu, weights)))
    assert tiles.shape == (5, arch.rows, arch.cols)
    np.testing.assert_array_equal(tiles[:, range(least), range(least)], weights[:, :least])
    assert np.count_nonzero(tiles) == np.count_nonzero(weights[:, :least])


@pytest.mark.parametrize("tpu", TPU_PRESETS.values(), ids=TPU_PRESETS)
def test_tiles_have_the_size_that_the_config_says(tpu):
    """The last row first; a row that shares no word with the one before it begins the next."""
    arch = tpu.matrix.arch
    tiles = np.arange(2 * arch.rows * arch.cols).reshape(2, arch.rows, arch.cols).astype(np.int8)
    code = np.frombuffer(pack_tiles(tpu, tiles), np.int8)
    assert len(code) == 2 * tpu.tile_bytes()
    assert np.array_equal(code[:arch.cols], tiles[0, -1])
    second = arch.cols if tpu.weight_rows_per_beat > 1 else tpu.weight_beats_per_row * tpu.bus_bytes
    assert np.array_equal(code[second:second + arch.cols], tiles[0, -2])
    assert len(pack_diagonals(tpu, tiles[:, 0])) == 2 * tpu.tile_bytes(diagonal=True)


def test_tiles_of_another_shape(tpu):
    arch = tpu.matrix.arch
    with pytest.raises(CompileError, match=rf"tiles must be \[T, {arch.rows}, {arch.cols}\], not \[{arch.rows}, "):
        pack_tiles(tpu, np.zeros((arch.rows, arch.cols), np.int8))
    with pytest.raises(CompileError, match=rf"weights must be \[T, {arch.cols}\], not \[1, {arch.cols + 1}\]"):
        pack_diagonals(tpu, np.zeros((1, arch.cols + 1), np.int8))


def test_cut_tiles(tpu):
    """The sum over tiles, in the order of the loops, is the product."""
    arch, rng = tpu.matrix.arch, np.random.default_rng(2)
    steps, depth, outputs = 3, 2 * arch.rows + 1, arch.cols + 2
    x, w = rng.integers(-9, 9, (steps, depth)), rng.integers(-9, 9, (steps, depth, outputs)).astype(np.int8)
    tiles = cut_tiles(tpu, w).astype(int).reshape(2, steps, 3, arch.rows, arch.cols)
    rows = np.pad(x, [(0, 0), (0, 3 * arch.rows - depth)]).reshape(steps, 3, arch.rows)
    sums = np.einsum("scr,nscro->no", rows, tiles).ravel()
    np.testing.assert_array_equal(sums[:outputs], np.einsum("sk,sko->o", x, w.astype(int)))
    assert not sums[outputs:].any()


def test_records():
    table = unpack_records(records([-2**31, 5, 2**31 - 1], [2**30, 2**31 - 1, 0], -7))
    assert table["bias"].tolist() == [-2**31, 5, 2**31 - 1] and table["multiplier"].tolist() == [2**30, 2**31 - 1, 0]
    assert table["shift"].tolist() == [-7] * 3 and not table["zero"].any()
    table = unpack_records(records(3, np.array([0.1, 3e38])))
    assert table["multiplier"].view(np.float32).tolist() == [np.float32(0.1), np.float32(3e38)]
    for fields, name in (((2**31, 0), "bias"), ((0, -1), "multiplier"), ((0, 2**32), "multiplier"),
                         ((0, 0, -2**31 - 1), "shift")):
        with pytest.raises(CompileError, match=f"{name} must be from"):
            records(*fields)


@pytest.mark.parametrize("border", [(0, 0), (1, 2), (0, 3)])
@pytest.mark.parametrize("x_stride", [None, 8])
def test_feature_map(border, x_stride):
    rng = np.random.default_rng(3)
    layout, values = Layout.of(4, 3, 5, border=border, x_stride=x_stride), rng.integers(-128, 128, (4, 3, 5), np.int8)
    code = layout.pack(values, fill=-3)
    assert len(code) == layout.size
    np.testing.assert_array_equal(layout.unpack(code), values)
    rows = np.frombuffer(code, np.int8).reshape(4, -1, x_stride or 5)
    np.testing.assert_array_equal(rows[:, border[0]:border[0] + 3, :5], values)
    assert np.count_nonzero(rows == -3) >= rows.size - values.size
    assert np.all(rows[:, :border[0]] == -3) and np.all(rows[:, border[0] + 3:] == -3) and np.all(rows[..., 5:] == -3)


def test_parts_of_a_map():
    layout = Layout.of(4, 3, 5, border=(1, 1))
    assert layout.part(height=2) == Layout.of(2, 3, 5, border=(1, 1))
    narrow = layout.part(width=2)
    assert narrow.y_stride == layout.y_stride and narrow.width == 2
    assert Layout.of(1, 9, 5).part(width=2) == Layout.of(1, 2, 5)
    for change in ({"height": 5}, {"width": 4}):
        with pytest.raises(CompileError, match="a part must be at most 4 x 3 pixels"):
            layout.part(**change)


def test_maps_that_cannot_be():
    for arguments, options, message in (
            ((0, 1, 1), {}, "height must be at least 1, not 0"), ((1, 1, 0), {}, "channels must be at least 1"),
            ((1, 1, 4), {"x_stride": 3}, "x_stride must be at least 4, not 3"),
            ((1, 1, 1), {"border": (0, -1)}, "border must be at least 0, not -1")):
        with pytest.raises(CompileError, match=message):
            Layout.of(*arguments, **options)
    with pytest.raises(CompileError, match="values must be 2 x 3 x 4, not 2 x 12 x 2"):
        Layout.of(2, 3, 4).pack(np.zeros((2, 12, 2)))
    with pytest.raises(CompileError, match="code must have 24 bytes, not 23"):
        Layout.of(2, 3, 4).unpack(bytes(23))
