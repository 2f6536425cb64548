"""The regions that an instruction declares, computed from its loops.

An instruction may touch no byte outside of the regions it names, and the scoreboard holds it back while an older one
still needs them: so a region has to have every byte, and had better have no other.
"""

from collections.abc import Callable, Mapping

import numpy as np

from ..isa import RECORD_BYTES
from ..tpu_config import TpuConfig
from .errors import CompileError

__all__ = ["complete"]

#: The machine counts pixels modulo this.
_PIXELS = 1 << 16

Fields = Mapping[str, int]


def complete(config: TpuConfig, name: str, fields: Fields) -> dict[str, int]:
    """Fields of an instruction with those added that say where its regions begin and end.

    Parameters
    ----------
    config : TpuConfig
    name : str
        Of the instruction.
    fields : dict of str to int
        All others; ``start``, too, may be negative. What is here already stays as it is.

    Returns
    -------
    dict of str to int

    Raises
    ------
    CompileError
        If bytes before the first of the buffer are touched, or strides lead before a region's first byte.
    """
    added = _REGIONS[name](config, fields) if name in _REGIONS else {}
    complete = {**added, **fields}
    if "start" in complete:
        # The machine computes addresses modulo this; the first row may be padding before the buffer.
        complete["start"] %= 1 << config.address_width
    return complete


def _span(fields: Fields, size: int, **loops: str) -> tuple[int, int]:
    """Lowest offset and number of bytes of accesses of ``size`` bytes; each loop's count with its stride."""
    low = high = 0
    for count, stride in loops.items():
        last = (fields.get(count, 1) - 1) * fields.get(stride, 0)
        low, high = low + min(last, 0), high + max(last, 0)
    return low, high - low + size


def _upward(what: str, fields: Fields, size: int, **loops: str) -> int:
    """Bytes of a region that begins with the first access."""
    low, total = _span(fields, size, **loops)
    if low:
        raise CompileError(f"the strides of {what} must not lead before its first byte, not by {-low} bytes")
    return total


def _transfer(config: TpuConfig, fields: Fields) -> dict[str, int]:
    size = fields["row_bytes"]
    return {"memory_size": _upward("memory", fields, size, row_count="memory_stride"),
            "size": _upward("the buffer", fields, size, row_count="stride")}


def _weights(config: TpuConfig, fields: Fields) -> dict[str, int]:
    size = config.tile_bytes(diagonal=bool(fields.get("diagonal", 0)))
    return {"memory_size": fields.get("tile_count", 1) * size}


def _matrix(config: TpuConfig, fields: Fields) -> dict[str, int]:
    """Rows that are padding are not read."""
    x, y = (_inside(fields, axis, size) for axis, size in (("x", "width"), ("y", "height")))
    if not len(x) or not len(y):
        return {"base": 0, "size": 1}
    low, size = _span(fields, config.matrix.arch.rows, c_count="c_stride", n_count="n_stride")
    base = fields["start"] + low + int(x.min()) + int(y.min())
    if base < 0:
        raise CompileError(f"start must be such that no row begins before the buffer, not {fields['start']}")
    return {"base": base, "size": size + int(np.ptp(x)) + int(np.ptp(y))}


def _inside(fields: Fields, axis: str, size: str) -> "np.ndarray[tuple[int, ...], np.dtype[np.int64]]":
    """Offsets in an axis at which rows are read."""
    count, kernel = np.mgrid[:fields.get(f"{axis}_count", 1), :fields.get(f"k{axis}_count", 1)].astype(np.int64)
    offset = count * fields.get(f"{axis}_stride", 0) + kernel * fields.get(f"k{axis}_stride", 0)
    pixel = (fields.get(f"first_{axis}", 0) + count * fields.get(f"{axis}_step", 1)
             + kernel * fields.get(f"k{axis}_step", 1)) % _PIXELS
    here: np.ndarray[tuple[int, ...], np.dtype[np.int64]] = offset[
        pixel < fields[size] if fields.get(size) else np.ones_like(pixel, bool)]
    return here


def _output(fields: Fields) -> dict[str, int]:
    return {"size": _upward("outputs", fields, fields.get("channels", 1), x_count="x_stride", y_count="y_stride")}


def _activate(config: TpuConfig, fields: Fields) -> dict[str, int]:
    count = fields.get("channels", 1) if fields.get("per_channel") else 1
    return _output(fields) | {"parameters_size": count * RECORD_BYTES}


def _pool(config: TpuConfig, fields: Fields) -> dict[str, int]:
    low, size = _span(fields, fields.get("channels", 1), x_count="from_x_stride", y_count="from_y_stride",
                      kx_count="kx_stride", ky_count="ky_stride")
    return _output(fields) | {"from_base": fields["start"] + low, "from_size": size}


def _add(config: TpuConfig, fields: Fields) -> dict[str, int]:
    return _output(fields) | {f"{which}_size": _upward(
        f"the {which} input", fields, fields.get("channels", 1), x_count=f"{which}_x_stride",
        y_count=f"{which}_y_stride") for which in ("from", "other")}


_REGIONS: dict[str, Callable[[TpuConfig, Fields], dict[str, int]]] = {
    "read_host_memory": _transfer, "write_host_memory": _transfer, "read_weights": _weights,
    "matrix_multiply": _matrix, "activate": _activate, "pool": _pool, "add": _add,
}
