"""Shapes that a model computes: a converter that leaves the batch open has them made when the model runs. Here they are
constants."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .draft import Draft
from .moves import strided_ranges
from .source import Operation

__all__ = ["folded"]

Array = npt.NDArray[Any]

#: Elements that numbers of a shape may have.
_MOST = 64


def folded(draft: Draft, operation: Operation) -> bool:
    """Whether an operator only computes with constant integers: its output is one then."""
    if operation.kind == "SHAPE":
        draft.known(operation, np.array(draft.tensor(draft.input(operation, 0)).shape))
        return True
    if operation.kind not in _KINDS or not operation.inputs:
        return False
    tensors = [draft.tensor(draft.input(operation, number)) for number in range(len(operation.inputs))]
    out = draft.output(operation)
    if out.dtype not in (np.int32, np.int64) or any(each.constant is None or each.constant.dtype not in (
            np.int32, np.int64) or each.constant.size > _MOST for each in tensors):
        return False
    arrays = [each.constant.astype(np.int64) for each in tensors if each.constant is not None]
    with np.errstate(all="ignore"):
        draft.known(operation, _KINDS[operation.kind](operation, arrays))
    return True


def _strided(operation: Operation, arrays: list[Array]) -> Array:
    x, *rest = arrays
    ranges = strided_ranges(operation, x.shape, *rest)
    return x[np.ix_(*ranges)]


_KINDS: dict[str, Callable[[Operation, list[Array]], Array]] = {
    "STRIDED_SLICE": _strided,
    "PACK": lambda operation, arrays: np.stack(arrays, axis=operation.option("Axis")),
    "CONCATENATION": lambda operation, arrays: np.concatenate(arrays, axis=operation.option("Axis")),
    "GATHER": lambda operation, arrays: np.take(arrays[0], arrays[1], axis=operation.option("Axis")),
    "REDUCE_PROD": lambda operation, arrays: arrays[0].prod(keepdims=True),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "CAST"), lambda operation, arrays: arrays[0]),
    "ADD": lambda operation, arrays: arrays[0] + arrays[1],
    "SUB": lambda operation, arrays: arrays[0] - arrays[1],
    "MUL": lambda operation, arrays: arrays[0] * arrays[1],
    "FLOOR_DIV": lambda operation, arrays: arrays[0] // arrays[1],
    "MAXIMUM": lambda operation, arrays: np.maximum(arrays[0], arrays[1]),
    "MINIMUM": lambda operation, arrays: np.minimum(arrays[0], arrays[1]),
}
