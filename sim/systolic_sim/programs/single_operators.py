"""TFLite models of one elementwise operator or average, on inputs of every code and scales at random.

Means have scales whose ratios are simple fractions, so that sums meet halves: that is where runtimes differ.
"""

import numpy as np

from .networks import Network

__all__ = ["OPERATORS", "one"]

_MAP, _PIXEL = (1, 4, 8, 8), (1, 1, 1, 8)
_FUNCTIONS = ("RELU", "RELU6", "RELU_N1_TO_1", "RELU_0_TO_1", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH", "ABS",
              "NEG", "ELU", "EXP", "QUANTIZE")
_BINARY = [f"{name} {kind}" for name in ("ADD", "SUB", "MUL") for kind in (
    "maps", "relu", "channels", "constant", "number", "number first")]
_MEANS = {"MEAN height and width": ((1, 2, 4, 9), (1, 2), False), "MEAN kept": ((1, 7, 7, 20), (1, 2), True),
          "MEAN width": ((1, 5, 6, 8), (2,), False), "MEAN channels": ((1, 5, 6, 8), (3,), True),
          "MEAN steps": ((1, 12, 8), (1,), False)}

OPERATORS = (*_FUNCTIONS, *_BINARY, *_MEANS, "SOFTMAX")


def one(name, seed):
    """Bytes of a model of the operator."""
    model = Network(np.random.default_rng(seed))
    if name in _FUNCTIONS:
        x, y = _function(model, name)
    elif name in _MEANS:
        x, y = _mean(model, *_MEANS[name])
    elif name == "SOFTMAX":
        x = _any(model, (3, 12))
        y = model.softmax(x)
    else:
        x, y = _binary(model, *name.split(maxsplit=1))
    return model.file([x], [y])


def _any(model, shape):
    scale = float(np.float32(10 ** model.rng.uniform(-2.5, -0.7)))
    return model.tensor(shape, scale=scale, zero=int(model.rng.integers(-128, 128)))


def _function(model, name):
    x = _any(model, _MAP)
    if name in ("LOGISTIC", "TANH"):
        return x, model.function(name, x)
    scale = model.quantised[x][0] * model.rng.uniform(0.4, 1.5)
    y = model.tensor(_MAP, scale=scale, zero=int(model.rng.integers(-128, 128)))
    options = {"LEAKY_RELU": ("LeakyReluOptions", {"alpha": float(model.rng.uniform(0.01, 0.9))}),
               "HARD_SWISH": ("HardSwishOptions", {}), "QUANTIZE": ("QuantizeOptions", {})}.get(name, (None, {}))
    return x, model.operator(name, [x], [y], options[0], **options[1])


def _binary(model, name, kind):
    x, rng = _any(model, _MAP), model.rng
    shape = {"channels": _PIXEL, "number": (1,), "number first": ()}.get(kind, _MAP)
    if kind.startswith(("constant", "number")):
        scale, zero = float(np.float32(10 ** rng.uniform(-2.5, -0.7))), int(rng.integers(-128, 128))
        other = model.constant(rng.integers(-128, 128, shape).astype(np.int8), scale=scale, zero=zero)
    else:
        other = _any(model, shape)
        model.operator("QUANTIZE", [x if shape == _MAP else model.mean(x, keep=True)], [other], "QuantizeOptions")
    a, b = model.quantised[x][0], model.quantised[other][0]
    y = model.tensor(_MAP, scale=(a * b * 60 if name == "MUL" else max(a, b)) * rng.uniform(0.5, 2),
                     zero=int(rng.integers(-128, 128)))
    inputs = [other, x] if kind == "number first" else [x, other]
    return x, model.operator(name, inputs, [y], f"{name.title()}Options",
                             fusedActivationFunction=int(kind == "relu"))


def _mean(model, shape, axes, keep):
    x = _any(model, shape)
    scale, zero = model.quantised[x]
    size = [1 if axis in axes else length for axis, length in enumerate(shape) if keep or axis not in axes]
    zero = zero if model.rng.random() < 0.4 else int(model.rng.integers(-128, 128))
    y = model.tensor(size, scale=scale * model.rng.choice([0.25, 0.3, 0.6, 1, 1.2]), zero=zero)
    axes = model.constant(np.array(axes, np.int32))
    return x, model.operator("MEAN", [x, axes], [y], "ReducerOptions", keepDims=keep)
