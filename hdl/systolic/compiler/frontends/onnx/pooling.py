"""Pooling and means."""

from collections.abc import Callable

from ...graph import Quantisation
from ...graph.operators import AveragePool, MaxPool, Mean, Pad
from .draft import CHANNELS_LAST, Draft, Pending, Tensor
from .operands import finished, integers, linear, tensor, windows
from .source import OnnxNode

__all__ = ["kinds"]


def max_pool(draft: Draft, node: OnnxNode) -> Tensor:
    """MaxPool: the largest code is that of the largest number."""
    x = _map(node, tensor(draft, node))
    if len(node.outputs) > 1 and node.outputs[1]:
        raise node.error("indices are not supported")
    here, shape, kernel, strides, padding = _windows(draft, node, x)
    return draft.result(node.outputs[0], MaxPool(kernel=kernel, strides=strides, padding=padding), (here,), shape,
                        x.quantisation, axes=CHANNELS_LAST, real=x.real)


def global_max_pool(draft: Draft, node: OnnxNode) -> Tensor:
    """GlobalMaxPool: one window."""
    x = _map(node, tensor(draft, node))
    here = draft.arranged(x, CHANNELS_LAST).value
    assert here is not None
    operator = MaxPool(kernel=(x.shape[2], x.shape[3]), strides=(1, 1))
    return draft.result(node.outputs[0], operator, (here,), (*x.shape[:2], 1, 1), x.quantisation, axes=CHANNELS_LAST,
                        real=x.real)


def average_pool(draft: Draft, node: OnnxNode) -> Pending:
    """AveragePool on floats that codes stand for."""
    return _average(draft, node, _map(node, tensor(draft, node)), lambda name: draft.common_offset(node.input(0), name))


def qlinear_average_pool(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearAveragePool of com.microsoft."""
    pending = _average(draft, node, _map(node, linear(draft, node, 0)),
                       lambda name: 128 if not node.input(4) or node.input(4) in draft.unsigned else 0)
    return pending.finish(finished(draft, node, 3), -128, 127, node.outputs[0])


def _average(draft: Draft, node: OnnxNode, x: Tensor, offset: Callable[[str], int | None]) -> Pending:
    here, shape, kernel, strides, padding = _windows(draft, node, x)
    if node.attributes.get("count_include_pad", 0) and any(map(any, padding)):
        here, padding = _with_border(draft, node, x, here, padding), ((0, 0), (0, 0))

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        operator = AveragePool(kernel=kernel, strides=strides, padding=padding, low=low, high=high,
                               offset=offset(name))
        return draft.result(name, operator, (here,), shape, quantised, axes=CHANNELS_LAST)
    return Pending(shape=shape, finish=finish)


def _with_border(draft: Draft, node: OnnxNode, x: Tensor, here: str,
                 padding: tuple[tuple[int, int], tuple[int, int]]) -> str:
    """A map with the pixels around it that are counted, as zeros."""
    if node.attributes.get("ceil_mode", 0) or x.quantisation is None:
        raise node.error("count_include_pad must be 0 with ceil_mode")
    n, channels, height, width = x.shape
    size = [length + sum(pair) for length, pair in zip((height, width), padding, strict=True)]
    operator = Pad(padding=((0, 0), *padding, (0, 0)), value=x.quantisation.one[1])
    return str(draft.result(f"{node.outputs[0]}_padded", operator, (here,), (n, channels, *size), x.quantisation,
                            axes=CHANNELS_LAST).value)


def _map(node: OnnxNode, x: Tensor) -> Tensor:
    if len(x.shape) != 4 or x.constant is not None or (x.quantisation is None and x.real):
        raise node.error(f"x must be quantised and [N, C, H, W], not {list(x.shape)}")
    if node.attributes.get("channels_last", 0):
        raise node.error("channels_last must be 0")
    return x


def _windows(draft: Draft, node: OnnxNode, x: Tensor) -> tuple[
        str, tuple[int, ...], tuple[int, int], tuple[int, int], tuple[tuple[int, int], tuple[int, int]]]:
    kernel = node.attributes.get("kernel_shape", ())
    if len(kernel) != 2:
        raise node.error(f"kernel_shape must be two numbers, not {list(kernel)}")
    strides, dilations, padding, size = windows(node, (x.shape[2], x.shape[3]), kernel)
    if dilations != (1, 1):
        raise node.error(f"dilations must be 1, not {list(dilations)}")
    here = draft.arranged(x, CHANNELS_LAST).value
    assert here is not None
    return here, (*x.shape[:2], *size), kernel, strides, padding


def global_average_pool(draft: Draft, node: OnnxNode) -> Pending:
    """GlobalAveragePool on floats that codes stand for."""
    return _mean(draft, node, _map(node, tensor(draft, node)), (2, 3), keep=True)


def qlinear_global_average_pool(draft: Draft, node: OnnxNode) -> Tensor:
    """QLinearGlobalAveragePool of com.microsoft."""
    pending = _mean(draft, node, _map(node, linear(draft, node, 0)), (2, 3), keep=True)
    return pending.finish(finished(draft, node, 3), -128, 127, node.outputs[0])


def reduce_mean(draft: Draft, node: OnnxNode) -> Pending:
    """ReduceMean on floats that codes stand for."""
    x, axes = tensor(draft, node), integers(draft, node, "axes", 1)
    if x.quantisation is None or x.constant is not None:
        raise node.error("the input must be quantised")
    over = tuple(sorted({axis % len(x.shape) for axis in axes or range(len(x.shape))}))
    return _mean(draft, node, x, over, keep=bool(node.attributes.get("keepdims", 1)))


def _mean(draft: Draft, node: OnnxNode, x: Tensor, over: tuple[int, ...], *, keep: bool) -> Pending:
    kept = tuple(1 if axis in over else length for axis, length in enumerate(x.shape))
    shape = kept if keep else tuple(length for axis, length in enumerate(x.shape) if axis not in over)
    axes = CHANNELS_LAST if len(x.shape) == 4 else tuple(range(len(x.shape)))
    here = draft.arranged(x, axes)
    assert here.value is not None
    left = axes if keep else tuple(axis for axis in axes if axis not in over)
    order = left if keep else tuple(sorted(left).index(axis) for axis in left)

    def finish(quantised: Quantisation, low: int, high: int, name: str) -> Tensor:
        operator = Mean(axes=tuple(sorted(axes.index(axis) for axis in over)), keep_dims=keep)
        return draft.result(name, operator, (str(here.value),), shape, quantised, axes=order)
    return Pending(shape=shape, finish=finish)


def kinds() -> dict[str, Callable[[Draft, OnnxNode], Tensor | Pending]]:
    """Handlers by operator."""
    return {"MaxPool": max_pool, "GlobalMaxPool": global_max_pool,
            "AveragePool": average_pool, "QLinearAveragePool": qlinear_average_pool,
            "GlobalAveragePool": global_average_pool, "QLinearGlobalAveragePool": qlinear_global_average_pool,
            "ReduceMean": reduce_mean}
