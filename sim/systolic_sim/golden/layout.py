"""What bytes in memory and in the unified buffer mean: weight tiles and parameter records, read back.

The definition that the compiler's packers are held against; it shares nothing with them but the sizes of the machine.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from systolic.tpu_config import TpuConfig

from .activation import RECORD

__all__ = ["unpack_diagonals", "unpack_records", "unpack_tiles"]


def unpack_tiles(config: TpuConfig, code: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Weight tiles int8 [T, R, C] of the bytes that ``read_weights`` finds.

    Parameters
    ----------
    config : TpuConfig
    code : uint8 array
        ``config.tile_bytes()`` per tile.
    """
    arch = config.matrix.arch
    together = config.weight_rows_per_beat
    words = code.view(np.int8).reshape(-1, config.weight_beats_per_row * config.bus_bytes)[:, :together * arch.cols]
    tiles = words.reshape(-1, -(-arch.rows // together) * together, arch.cols)
    return tiles[:, :arch.rows][:, ::-1]


def unpack_diagonals(config: TpuConfig, code: NDArray[np.uint8]) -> NDArray[np.int8]:
    """Weight tiles int8 [T, R, C] of the bytes that ``read_weights`` finds with ``diagonal``."""
    arch = config.matrix.arch
    weights = code.view(np.int8).reshape(-1, config.tile_bytes(diagonal=True))[:, :min(arch.rows, arch.cols)]
    tiles = np.zeros((len(weights), arch.rows, arch.cols), np.int8)
    diagonal = np.arange(weights.shape[1])
    tiles[:, diagonal, diagonal] = weights
    return tiles


def unpack_records(code: bytes | NDArray[np.uint8]) -> NDArray[Any]:
    """Parameter records, a RECORD array, of their bytes."""
    return np.frombuffer(bytes(code), RECORD)
