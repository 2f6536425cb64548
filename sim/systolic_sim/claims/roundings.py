"""How each runtime rounds products: measured with kernels of one pixel, whose sums are known."""

import numpy as np

from systolic.compiler.evaluate.requantise import requantised
from systolic.compiler.frontends import read_model
from systolic.compiler.match import Match, Rounded, product
from systolic_sim.programs.networks import Network
from systolic_sim.programs.onnx_models import Qdq
from systolic_sim.runtimes import installed, runtime

from .table import Table

__all__ = ["roundings"]

#: Models per operator, their channels in and out, and pixels of an input.
MODELS, CHANNELS, PIXELS = 8, 64, 1000

#: By rounding, a runtime whose multipliers are of its kind.
_LIKE = {"single": Match.REFERENCE, "double": Match.REFERENCE, "fp32": Match.LITERT}


def roundings(track):
    """Outputs of each runtime that differ from those of each rounding."""
    rows, bad = [], 0
    cases = [(match, name) for match in installed() for name in (_ONNX if match is Match.ONNXRUNTIME else _TFLITE)]
    for match, name in track(cases, "roundings"):
        build, wrong, total = (_ONNX if match is Match.ONNXRUNTIME else _TFLITE)[name], dict.fromkeys(_LIKE, 0), 0
        for seed in range(MODELS):
            rng = np.random.default_rng(seed)
            content, codes = build(rng)
            graph = read_model(content)
            node, x = next(each for each in graph if each.kind in _SUMS), codes(rng)
            expected = _codes(graph, node, runtime(content, match)(x["input"]))
            sums = _SUMS[node.kind](x["codes"].astype(np.int64), graph.operands(node)[1].constant.astype(np.int64))
            for rounding, like in _LIKE.items():
                found = requantised(sums, Rounded(rounding, product(graph, node, like).scale))
                wrong[rounding] += int(np.count_nonzero(found.reshape(-1) != expected.reshape(-1)))
            total += expected.size
        bad += min(wrong.values())
        rows.append((str(match), name, f"{total:,}", *(f"{count:,}" for count in wrong.values())))
    return Table(title="Roundings", claim="each runtime rounds each product in one of the three ways of "
                 "[Numerics](numerics.md#requantisation)", columns=("runtime", "operator", "outputs",
                                                                    *(f"not `{each}`" for each in _LIKE)),
                 rows=rows, holds=not bad)


def _codes(graph, node, y):
    """int8 codes of an output, channels last."""
    if y.dtype == np.int8:
        return y
    scale, zero = graph.results(node)[0].scale
    return np.rint((np.moveaxis(y, 1, -1) if y.ndim == 4 else y) / np.float32(scale)) + zero


def _random(shape):
    def codes(rng):
        x = rng.integers(-128, 128, shape).astype(np.int8)
        return {"codes": x, "input": x}
    return codes


def _conv(rng):
    model = Network(rng)
    x = model.tensor((1, 1, PIXELS, CHANNELS), scale=1 / 50, zero=int(rng.integers(-128, 128)))
    return model.file([x], [model.conv(x, CHANNELS, 1)]), _random((1, 1, PIXELS, CHANNELS))


def _depthwise(rng):
    model = Network(rng)
    x = model.tensor((1, 1, PIXELS, CHANNELS), scale=1 / 50, zero=int(rng.integers(-128, 128)))
    return model.file([x], [model.depthwise(x, 1)]), _random((1, 1, PIXELS, CHANNELS))


def _transposed(rng):
    model = Network(rng)
    x = model.tensor((1, 1, PIXELS, CHANNELS), scale=1 / 50, zero=int(rng.integers(-128, 128)))
    return model.file([x], [model.up(x, CHANNELS, 1, 1)]), _random((1, 1, PIXELS, CHANNELS))


def _dense(rng):
    model = Network(rng)
    x = model.tensor((PIXELS, CHANNELS), scale=1 / 50, zero=int(rng.integers(-128, 128)))
    return model.file([x], [model.dense(x, CHANNELS)]), _random((PIXELS, CHANNELS))


def _qdq(shape, build):
    def make(rng):
        model = Qdq(rng, shape)
        y = model.quantised(build(model), 0.3)
        content = model.model(y)

        def codes(rng):
            graph = read_model(content)
            scale, zero = graph.values[next(each for each in graph if each.kind in _SUMS).inputs[0]].scale
            x = rng.integers(-128, 128, shape).astype(np.int8)
            reals = np.float32(scale) * (x.astype(np.int64) - zero).astype(np.float32)
            return {"codes": np.moveaxis(x, 1, -1) if x.ndim == 4 else x, "input": reals}
        return content, codes
    return make


def _onnx_conv(model):
    return model.node("Conv", model.x, *model.weights(model.x, (CHANNELS, CHANNELS, 1, 1), 0))


def _onnx_gemm(model):
    return model.node("Gemm", model.x, *model.weights(model.x, (CHANNELS, CHANNELS), 1))


def _matmul(model):
    return model.node("MatMul", model.x, model.weights(model.x, (CHANNELS, CHANNELS), 1)[0])


_TFLITE = {"CONV_2D": _conv, "DEPTHWISE_CONV_2D": _depthwise, "TRANSPOSE_CONV": _transposed, "FULLY_CONNECTED": _dense}
_ONNX = {"Conv": _qdq((1, CHANNELS, 1, PIXELS), _onnx_conv), "Gemm": _qdq((PIXELS, CHANNELS), _onnx_gemm),
         "MatMul": _qdq((PIXELS, CHANNELS), _matmul)}

#: Sums of a kernel of one pixel, by operator of the graph.
_SUMS = {"Conv2D": lambda x, w: x @ w[0, 0], "TransposeConv2D": lambda x, w: x @ w[0, 0],
         "DepthwiseConv2D": lambda x, w: x * w[0, 0], "Dense": lambda x, w: x @ w}
