"""A matrix product in one line, on whatever computes it: golden model, emulated matrix unit, generated Verilog."""

import functools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from systolic.config import Config, preset
from systolic.errors import ConfigError, require_one_of
from systolic_sim.golden.formats import GOLDEN, golden
from systolic_sim.golden.matrix_unit import MatrixUnit
from systolic_sim.golden.program import matmul_program, untile

if TYPE_CHECKING:  # ctypes and the compiled models, which only "rtl" needs
    from systolic_sim.rtl.matrix_unit import MatrixUnitRtl

__all__ = ["TARGETS", "matmul"]

#: What computes a product.
TARGETS = ("golden", "emulator", "rtl")


def matmul(x: ArrayLike, w: ArrayLike, on: str = "golden", *, config: Config | str | None = None) -> NDArray[Any]:
    """``x @ w`` as a matrix unit computes it: the same bits on every target.

    ::

        y = systolic_sim.matmul(x, w, on="rtl")

    Parameters
    ----------
    x : array [M, K]
    w : array [K, N]
        Both of integers from -128 to 127, or both of floating-point numbers, which are rounded to bf16, to nearest
        even.
    on : str
        ``golden``, the definition: products of tiles, added in order; ``emulator``, a program on the model of the
        matrix unit; ``rtl``, that program on the generated Verilog, compiled at first use.
    config : Config, str or None
        The matrix unit or its preset; ``None`` for ``int8_8x8`` or ``bf16_8x8``. The shape of the array decides in
        which order sums of bf16 products are rounded.

    Returns
    -------
    int32 or float32 array [M, N]
        int32 sums of integers, modulo 2**32; fp32 sums of floating-point numbers.

    Raises
    ------
    ConfigError
        If there is no such target or preset, or if types, values or shapes do not fit.
    ToolError
        If the Verilog cannot be compiled.
    """
    require_one_of("on", TARGETS, on)
    x, w = np.asarray(x), np.asarray(w)
    if x.ndim != 2 or w.ndim != 2 or x.shape[1] != w.shape[0] or 0 in x.shape + w.shape:
        raise ConfigError(f"x must be [M, K] and w [K, N], none of them 0, not {list(x.shape)} and {list(w.shape)}")
    unit = _unit(config, x.dtype, w.dtype)
    format = golden(unit.arch.format)
    return format.decode(_FUNCTIONS[on](unit, format.encode(x), format.encode(w)))


def _unit(config: Config | str | None, *dtypes: np.dtype[Any]) -> Config:
    """The matrix unit, which must be of a format for these types."""
    formats = [[name for name, format in GOLDEN.items() if dtype.kind in format.numbers] for dtype in dtypes]
    if formats[0] != formats[1] or not formats[0]:
        raise ConfigError(f"x and w must both be integers or both be floating-point, not {dtypes[0]} and {dtypes[1]}")
    unit = config if isinstance(config, Config) else preset(config or f"{formats[0][0]}_8x8")
    if dtypes[0].kind not in golden(unit.arch.format).numbers:
        raise ConfigError(f"config must be of format {formats[0][0]} for {dtypes[0]}, not {unit.name}, which is "
                          f"{unit.arch.format.name}")
    return unit


def _golden(unit: Config, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    """R elements of K at a time, added in order."""
    format, rows = golden(unit.arch.format), unit.arch.rows
    parts = (format.matmul(_padded(x[:, low:low + rows].T, rows).T, _padded(w[low:low + rows], rows))
             for low in range(0, len(w), rows))
    return functools.reduce(format.add, parts)


def _padded(block: NDArray[Any], rows: int) -> NDArray[Any]:
    return np.pad(block, [(0, rows - len(block)), (0, 0)])


def _emulator(unit: Config, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    results = MatrixUnit(unit.arch).run(matmul_program(unit.arch, x, w))
    return untile(unit.arch, results, len(x), w.shape[1])


def _rtl(unit: Config, x: NDArray[Any], w: NDArray[Any]) -> NDArray[Any]:
    results, _ = _model(unit).run(matmul_program(unit.arch, x, w))
    return untile(unit.arch, results, len(x), w.shape[1])


@functools.lru_cache(maxsize=8)
def _model(unit: Config) -> "MatrixUnitRtl":
    """The compiled model; every product on it begins with a reset."""
    from systolic_sim.rtl.matrix_unit import MatrixUnitRtl

    return MatrixUnitRtl(unit)


_FUNCTIONS = {"golden": _golden, "emulator": _emulator, "rtl": _rtl}
