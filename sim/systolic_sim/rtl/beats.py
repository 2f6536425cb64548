"""Beats of streams as arrays of 32-bit words, the form in which a compiled model takes and gives them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = ["Layout", "pack", "unpack"]


def pack(elements: ArrayLike, width: int) -> NDArray[np.uint32]:
    """Beats as words: each row of elements little-endian from bit 0 on.

    Parameters
    ----------
    elements : bool or integer array [n] or [n, E]
        One row a beat. With E elements, these have the width of their type.
    width : int
        Bits of the field.

    Returns
    -------
    uint32 array [n, ceil(width / 32)]

    Raises
    ------
    ValueError
        If a row does not fit into the width.
    """
    values: NDArray[Any] = np.ascontiguousarray(elements)
    words = -(-width // 32)
    if values.ndim == 1:
        values = values.astype(np.uint32 if words == 1 else np.uint64)[:, None]
        if width < 64 and values.size and int(values.max()) >> width:
            raise ValueError(f"{values.max()} does not fit into {width} bits")
    elif values.ndim != 2 or values.shape[1] * values.itemsize * 8 != width:
        raise ValueError(f"{list(values.shape)} elements of {values.itemsize * 8} bits do not make "
                         f"beats of {width} bits")
    beats = values.view(np.uint8).reshape(len(values), values.shape[1] * values.itemsize)
    padded = np.zeros((len(beats), words * 4), np.uint8)
    padded[:, :beats.shape[1]] = beats
    return padded.view("<u4")


def unpack(words: NDArray[np.uint32], dtype: DTypeLike, count: int) -> NDArray[Any]:
    """Elements [n, count] of that type from beats as words [n, W]: the reverse of :func:`pack`."""
    size = count * np.dtype(dtype).itemsize
    return np.ascontiguousarray(words).view(np.uint8)[:, :size].copy().view(dtype)


class Layout:
    """Where the fields of a stream are in its beats: one behind the other, each from a word on.

    Parameters
    ----------
    fields : dict of int
        Bits of each field. Those of none have no port, and no place here.

    Members
    -------
    widths : dict of int
        The fields that there are.
    offsets : dict of int
        Words before each field.
    words : int
        Words of a beat.
    """

    def __init__(self, fields: Mapping[str, int]) -> None:
        self.widths = {field: width for field, width in fields.items() if width}
        self.offsets, self.words = {}, 0
        for field, width in self.widths.items():
            self.offsets[field] = self.words
            self.words += -(-width // 32)

    def beats(self, fields: Mapping[str, NDArray[Any]]) -> NDArray[np.uint32]:
        """Beats uint32 [n, words] from the fields' values, as :func:`pack` takes them.

        Raises
        ------
        ValueError
            If there are other fields than these, they differ in length, or a value does not fit.
        """
        if set(fields) != set(self.widths):
            raise ValueError(f"fields must be {', '.join(self.widths)}, not {', '.join(fields) or 'none'}")
        lengths = {field: len(values) for field, values in fields.items()}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"fields must be equally long, not {lengths}")
        beats = np.empty((next(iter(lengths.values()), 0), self.words), np.uint32)
        for field, values in fields.items():
            try:
                beats[:, self._slice(field)] = pack(values, self.widths[field])
            except ValueError as error:
                raise ValueError(f"field {field}: {error}") from None
        return beats

    def fields(self, beats: NDArray[np.uint32]) -> dict[str, NDArray[np.uint32]]:
        """The fields of beats [n, words], each as words uint32 [n, W] for :func:`unpack`."""
        return {field: beats[:, self._slice(field)] for field in self.widths}

    def _slice(self, field: str) -> slice:
        return slice(self.offsets[field], self.offsets[field] + -(-self.widths[field] // 32))
