"""How things lie in memory and in the unified buffer: weight tiles, parameter records, feature maps.

The hardware's side of the same formats is in the weight reader and the record reader; the emulator has decoders of its
own, which tests hold against these.
"""

import dataclasses
from typing import Any

import numpy as np
import numpy.typing as npt

from ..tpu_config import TpuConfig
from .errors import CompileError

__all__ = ["Layout", "cut_tiles", "pack_diagonals", "pack_tiles", "records"]

_RECORD = np.dtype([("bias", "<i4"), ("multiplier", "<u4"), ("shift", "<i4"), ("zero", "<i4")])


def records(bias: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike = 0) -> bytes:
    """Bytes of parameter records.

    ::

        byte  0      4            8       12
              bias   multiplier   shift   0        little-endian, 32 bits each

    Parameters
    ----------
    bias : int array
        From -2**31 to 2**31 - 1.
    multiplier : int or float array
        Of :func:`.quantise.quantise_multiplier`; or, for rounding ``fp32``, the scale itself, whose float32 bits take
        the multiplier's place.
    shift : int array
        All three broadcast against each other.

    Returns
    -------
    bytes
        16 per record.

    Raises
    ------
    CompileError
        If a bias, multiplier or shift does not fit into its 32 bits.
    """
    scale = np.asarray(multiplier)
    if scale.dtype.kind == "f":
        scale = scale.astype(np.float32).view(np.uint32)
    values = {"bias": np.asarray(bias), "multiplier": scale, "shift": np.asarray(shift)}
    table = np.zeros(np.broadcast_shapes(*(value.shape for value in values.values())), _RECORD)
    for name, value in values.items():
        limits = np.iinfo(_RECORD[name])
        if value.size and not limits.min <= int(value.min()) <= int(value.max()) <= limits.max:
            raise CompileError(f"{name} must be from {limits.min} to {limits.max}, not {int(value.min())} to "
                               f"{int(value.max())}")
        table[name] = value
    return table.tobytes()


def pack_tiles(config: TpuConfig, tiles: npt.NDArray[np.int8]) -> bytes:
    """Bytes in memory of weight tiles, for ``read_weights``.

    A tile is its R rows of C bytes, the last row first. A row of C bytes or more than half a bus word begins a word of
    its own and fills whole words; of shorter rows as many as fit share a word. What is left over of a word is zero.

    Parameters
    ----------
    config : TpuConfig
    tiles : int8 array [T, R, C]

    Returns
    -------
    bytes
        ``config.tile_bytes()`` per tile.
    """
    arch = config.matrix.arch
    tiles = _shaped("tiles", tiles, (arch.rows, arch.cols))[:, ::-1]
    together = config.weight_rows_per_beat
    words = np.pad(tiles, [(0, 0), (0, -arch.rows % together), (0, 0)]).reshape(-1, together * arch.cols)
    padding = config.weight_beats_per_row * config.bus_bytes - together * arch.cols
    return np.pad(words, [(0, 0), (0, padding)]).tobytes()


def pack_diagonals(config: TpuConfig, weights: npt.NDArray[np.int8]) -> bytes:
    """Bytes in memory of diagonal weight tiles, for ``read_weights`` with ``diagonal``.

    A tile is one row of C bytes in whole bus words; byte j is the weight from array row j to column j.

    Parameters
    ----------
    config : TpuConfig
    weights : int8 array [T, C]

    Returns
    -------
    bytes
        ``config.tile_bytes(diagonal=True)`` per tile.
    """
    weights = _shaped("weights", weights, (config.matrix.arch.cols,))
    padding = config.tile_bytes(diagonal=True) - weights.shape[1]
    return np.pad(weights, [(0, 0), (0, padding)]).tobytes()


def _shaped(name: str, array: npt.NDArray[np.int8], shape: tuple[int, ...]) -> npt.NDArray[np.int8]:
    array = np.asarray(array, np.int8)
    if array.shape[1:] != shape:
        raise CompileError(f"{name} must be [T, {', '.join(map(str, shape))}], not {list(array.shape)}")
    return array


def cut_tiles(config: TpuConfig, w: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
    """Weights as tiles, in the order in which ``matrix_multiply`` takes them.

    Parameters
    ----------
    config : TpuConfig
    w : int8 array [S, K, N]
        S steps of a kernel, each from K inputs that follow each other in the buffer to N outputs.

    Returns
    -------
    int8 array [T, R, C]
        Loops, outermost first: N in steps of C, then S, then K in steps of R. Zeros beyond K and N.
    """
    arch = config.matrix.arch
    whole = np.pad(w, [(0, 0), (0, -w.shape[1] % arch.rows), (0, -w.shape[2] % arch.cols)])
    tiles = whole.reshape(w.shape[0], -1, arch.rows, whole.shape[2] // arch.cols, arch.cols).transpose(3, 0, 1, 2, 4)
    return tiles.reshape(-1, arch.rows, arch.cols)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Layout:
    """How a feature map lies: pixels of one byte per channel, row after row.

    ::

        left pixels of padding | pixel 0 | pixel 1 | ... | right pixels of padding      one row of y_stride bytes

    Parameters
    ----------
    height, width, channels : int
    x_stride, y_stride : int
        Bytes from a pixel to the next in x, and in y.
    left, right : int
        Pixels of padding before and behind each row.
    top, bottom : int
        Rows of padding before and behind the map.
    """

    height: int
    width: int
    channels: int
    x_stride: int
    y_stride: int
    left: int = 0
    right: int = 0
    top: int = 0
    bottom: int = 0

    @classmethod
    def of(cls, height: int, width: int, channels: int, *, x_stride: int | None = None,
           border: tuple[int, int] = (0, 0), rows: tuple[int, int] = (0, 0)) -> "Layout":
        """Rows without gaps, and pixels, too, unless ``x_stride`` leaves some.

        Raises
        ------
        CompileError
            If a size is not positive, or the pixels overlap.
        """
        x_stride, (left, right), (top, bottom) = x_stride or channels, border, rows
        for name, value, least in (("height", height, 1), ("width", width, 1), ("channels", channels, 1),
                                   ("x_stride", x_stride, channels), ("border", min(border), 0),
                                   ("rows", min(rows), 0)):
            if value < least:
                raise CompileError(f"{name} must be at least {least}, not {value}")
        return cls(height=height, width=width, channels=channels, x_stride=x_stride,
                   y_stride=(left + width + right) * x_stride, left=left, right=right, top=top, bottom=bottom)

    @property
    def size(self) -> int:
        """Bytes from the first of the border to the last."""
        rows = self.top + self.height + self.bottom
        return (rows - 1) * self.y_stride + (self.left + self.width + self.right) * self.x_stride

    @property
    def offset(self) -> int:
        """Bytes before the first pixel."""
        return self.top * self.y_stride + self.left * self.x_stride

    def part(self, *, height: int | None = None, width: int | None = None) -> "Layout":
        """The first rows, and of each row the first pixels."""
        height, width = height or self.height, width or self.width
        if height > self.height or width > self.width:
            raise CompileError(f"a part must be at most {self.height} x {self.width} pixels, not {height} x {width}")
        part = dataclasses.replace(self, height=height, width=width)
        # Of a single row, all that matters is where its pixels are.
        return dataclasses.replace(part, y_stride=part.size) if height == 1 else part

    def _pixels(self, code: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.lib.stride_tricks.as_strided(code[self.offset:], (self.height, self.width, self.channels),
                                               (self.y_stride, self.x_stride, 1))

    def pack(self, values: npt.ArrayLike, fill: int = 0) -> bytes:
        """Bytes of int8 values, in as many dimensions as you like; the border and all gaps are ``fill``.

        Raises
        ------
        CompileError
            If there are more or fewer values than ``height * width * channels``.
        """
        array, count = np.asarray(values, np.int8), self.height * self.width * self.channels
        if array.size != count:
            raise CompileError(f"values must be {self.height} x {self.width} x {self.channels}, not "
                               f"{' x '.join(map(str, array.shape))}")
        code = np.full(self.size, fill, np.int8)
        self._pixels(code)[...] = array.reshape(self.height, self.width, self.channels)
        return code.tobytes()

    def unpack(self, code: bytes) -> npt.NDArray[np.int8]:
        """int8 array [height, width, channels]: the reverse of :meth:`pack`."""
        if len(code) != self.size:
            raise CompileError(f"code must have {self.size} bytes, not {len(code)}")
        pixels: npt.NDArray[np.int8] = self._pixels(np.frombuffer(code, np.int8)).copy()
        return pixels
