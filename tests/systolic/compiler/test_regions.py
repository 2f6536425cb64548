"""A region has every byte that is touched, and begins and ends with one."""

import itertools

import numpy as np
import pytest

from systolic import isa
from systolic.compiler import CompileError
from systolic.compiler.regions import complete
from systolic.tpu_config import tpu_preset

TPU = tpu_preset("tpu_12x20")


def touched(counts, strides, size):
    """Offsets of all bytes."""
    steps = itertools.product(*(range(count) for count in counts))
    starts = {sum(step * stride for step, stride in zip(each, strides, strict=True)) for each in steps}
    return {start + byte for start in starts for byte in range(size)}


def loops(rng, names, low):
    counts = {f"{name}_count": int(rng.integers(1, 5)) for name in names}
    return counts, {f"{name}_stride": int(rng.integers(low, 60)) for name in names}


@pytest.mark.parametrize("seed", range(20))
def test_transfers(seed):
    rng = np.random.default_rng(seed)
    rows, size, there, here = (int(each) for each in rng.integers(1, 40, 4))
    fields = {"memory": 64, "base": 100, "row_count": rows, "row_bytes": size, "memory_stride": there, "stride": here}
    for name in ("read_host_memory", "write_host_memory"):
        made = complete(TPU, name, fields)
        assert made["memory_size"] == max(touched([rows], [there], size)) + 1
        assert made["size"] == max(touched([rows], [here], size)) + 1


@pytest.mark.parametrize("seed", range(40))
def test_products(seed):
    """Of rows that are padding no byte; the first row may be one, and lie before the buffer."""
    rng = np.random.default_rng(seed)
    counts, strides = loops(rng, ("x", "y", "c", "kx", "ky", "n"), -40)
    pads = {"first_x": -1, "width": int(rng.integers(0, 5)), "x_step": 2, "first_y": int(rng.integers(-3, 2)),
            "height": int(rng.integers(0, 4)), "y_step": int(rng.integers(1, 3)), "ky_step": int(rng.integers(1, 3)),
            "kx_step": int(rng.choice([1, 2, 255]))}
    start, rows = 3000, set()
    for x, y, c, kx, ky, n in itertools.product(*(range(counts[f"{name}_count"]) for name in (
            "x", "y", "c", "kx", "ky", "n"))):
        pixels = ((pads["first_x"] + 2 * x + pads["kx_step"] * kx, pads["width"]),
                  (pads["first_y"] + pads["y_step"] * y + pads["ky_step"] * ky, pads["height"]))
        if all(not size or pixel % 2**16 < size for pixel, size in pixels):
            rows.add(sum(index * strides[f"{name}_stride"] for index, name in zip(
                (x, y, c, kx, ky, n), ("x", "y", "c", "kx", "ky", "n"), strict=True)))
    made = complete(TPU, "matrix_multiply", {"start": start, **counts, **strides, **pads})
    if rows:
        assert (made["base"], made["size"]) == (start + min(rows), max(rows) - min(rows) + TPU.matrix.arch.rows)
        if min(rows) < 0:
            with pytest.raises(CompileError, match="start must be such that no row begins before the buffer"):
                complete(TPU, "matrix_multiply", {"start": -min(rows) - 1, **counts, **strides, **pads})
        made = complete(TPU, "matrix_multiply", {"start": -min(rows), **counts, **strides, **pads})
        assert made["base"] == 0 and made["start"] == -min(rows) % (1 << TPU.address_width)
    else:
        assert made["size"] == 1


@pytest.mark.parametrize("seed", range(20))
def test_activations(seed):
    rng = np.random.default_rng(seed)
    channels, (counts, strides) = int(rng.integers(1, 20)), loops(rng, "xy", 0)
    output = {"base": 50, "channels": channels, "parameters": 0, **counts, **strides}
    size = max(touched(counts.values(), strides.values(), channels)) + 1
    for per_channel in (0, 1):
        made = complete(TPU, "activate", {"per_channel": per_channel, **output})
        assert made["size"] == size
        assert made["parameters_size"] == isa.RECORD_BYTES * (channels if per_channel else 1)
    window, from_strides = loops(rng, ("kx", "ky"), -30)
    from_strides |= {"from_x_stride": int(rng.integers(-30, 60)), "from_y_stride": int(rng.integers(-30, 60))}
    made = complete(TPU, "pool", {"start": 2000, **output, **window, **from_strides})
    read = touched([counts["x_count"], counts["y_count"], window["kx_count"], window["ky_count"]],
                   [from_strides[f"{name}_stride"] for name in ("from_x", "from_y", "kx", "ky")], channels)
    assert made["size"] == size
    assert (made["from_base"], made["from_size"]) == (2000 + min(read), max(read) - min(read) + 1)
    inputs = {f"{which}_{axis}_stride": int(rng.integers(0, 50)) for which in ("from", "other") for axis in "xy"}
    made = complete(TPU, "add", {**output, "from_base": 0, "other_base": 0, **inputs})
    for which in ("from", "other"):
        read = touched(counts.values(), [inputs[f"{which}_x_stride"], inputs[f"{which}_y_stride"]], channels)
        assert made[f"{which}_size"] == max(read) + 1


def test_weights():
    for diagonal in (0, 1):
        made = complete(TPU, "read_weights", {"memory": 0, "tile_count": 7, "diagonal": diagonal})
        assert made["memory_size"] == 7 * TPU.tile_bytes(diagonal=bool(diagonal))


def test_what_is_given_stays():
    assert complete(TPU, "read_weights", {"memory_size": 5})["memory_size"] == 5
    assert complete(TPU, "debug_tag", {"tag": 3}) == {"tag": 3}


def test_regions_begin_with_their_first_byte():
    with pytest.raises(CompileError, match="strides of the buffer must not lead before its first byte, not by 12"):
        complete(TPU, "read_host_memory", {"row_bytes": 4, "row_count": 4, "stride": -4})
    with pytest.raises(CompileError, match="strides of outputs must not lead before its first byte, not by 7"):
        complete(TPU, "activate", {"channels": 1, "x_count": 2, "x_stride": -7})
