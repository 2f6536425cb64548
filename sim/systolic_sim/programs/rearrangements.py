"""TFLite models of what converters and old networks have besides the usual: groups, blocks, selections, computed
shapes."""

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from .networks import Network

__all__ = ["REARRANGEMENTS", "rearrangement"]


def _one(name, shape, wanted, *constants, options=None, **fields):
    """An operator that keeps codes, with constants behind its input."""
    def build(model, x):
        inputs = [x, *(model.constant(np.array(each, np.int32)) for each in constants)]
        return model.operator(name, inputs, [model._like(wanted, x)], options, **fields)
    return shape, build


def _sliced(shape, wanted, begin, end, steps, **masks):
    return _one("STRIDED_SLICE", shape, wanted, begin, end, steps, options="StridedSliceOptions", **masks)


def _of_groups(groups, outputs):
    def build(model, x):
        n, height, width, channels = model.shapes[x]
        w, b = model._weights(x, (outputs, 3, 3, channels // groups), 9 * channels // groups, 0, outputs)
        return model.operator("CONV_2D", [x, w, b], [model._out((n, height, width, outputs))], "Conv2DOptions",
                              padding=0, strideH=1, strideW=1, dilationHFactor=1, dilationWFactor=1)
    return build


def _transposed(kernel, strides, outputs, *, computed=False):
    """SAME; the shape in the file, or computed from the input's."""
    def build(model, x):
        n, height, width, channels = model.shapes[x]
        shape = (n, height * strides[0], width * strides[1], outputs)
        w, b = model._weights(x, (outputs, *kernel, channels), kernel[0] * kernel[1] * channels, 0, outputs)
        sizes = _computed(model, x, shape) if computed else model.constant(np.array(shape, np.int32))
        return model.operator("TRANSPOSE_CONV", [sizes, w, x, b], [model._out(shape)], "TransposeConvOptions",
                              padding=0, strideH=strides[0], strideW=strides[1])
    return build


def _computed(model, x, shape):
    """A shape whose batch is the input's, as a converter has it made when the model runs."""
    sizes = model.operator("SHAPE", [x], [model.tensor((len(model.shapes[x]),), dtype=np.int32)], "ShapeOptions",
                           outType=schema.TensorType.INT32)
    ends = [model.constant(np.array([each], np.int32)) for each in (0, 1, 1)]
    batch = model.operator("STRIDED_SLICE", [sizes, *ends], [model.tensor((), dtype=np.int32)], "StridedSliceOptions",
                           shrinkAxisMask=1)
    rest = [model.constant(np.array(each, np.int32)) for each in shape[1:]]
    return model.operator("PACK", [batch, *rest], [model.tensor((len(shape),), dtype=np.int32)], "PackOptions",
                          valuesCount=len(shape), axis=0)


def _reshaped(model, x):
    n, height, width, channels = model.shapes[x]
    shape = (n, height * width, channels)
    y = model.operator("RESHAPE", [x, _computed(model, x, shape)], [model._like(shape, x)], "ReshapeOptions")
    return model.dense(y, 7)


def _dilated(model, x):
    """A depthwise convolution of every other pixel, as it was written before there were dilations."""
    two, pads, crops = (model.constant(np.array(each, np.int32)) for each in ([2, 2], [[2, 2]] * 2, [[0, 0]] * 2))
    y = model.operator("SPACE_TO_BATCH_ND", [x, two, pads], [model._like((4, 6, 6, 4), x)], "SpaceToBatchNDOptions")
    y = model.depthwise(y, same=False)
    return model.operator("BATCH_TO_SPACE_ND", [y, two, crops], [model._like((1, 8, 8, 4), y)],
                          "BatchToSpaceNDOptions")


def _packed(model, x):
    parts = [model._like((1, 5, 7), x) for _ in range(3)]
    model.operator("UNPACK", [x], parts, "UnpackOptions", num=3, axis=1)
    return model.operator("PACK", parts[::-1], [model._like((1, 5, 3, 7), x)], "PackOptions", valuesCount=3, axis=2)


def _codes(name, *, number=False):
    def build(model, x):
        scale, zero = model.quantised[x]
        other = model.number(2.0) if number else model.constant(
            model.rng.integers(-128, 128, (1, 1, 1, model.shapes[x][3])).astype(np.int8), scale=scale, zero=zero)
        if name == "PRELU":
            return model.operator(name, [x, other], [model._out(model.shapes[x])])
        return model.operator(name, [x, other], [model._like(model.shapes[x], x)], "MaximumMinimumOptions")
    return build


def _root(name):
    def build(model, x):
        return model.operator(name, [x], [model.tensor(model.shapes[x], scale=0.011, zero=-60)])
    return build


MAP = (1, 8, 6, 12)
REARRANGEMENTS = {
    "groups": (MAP, _of_groups(3, 6)),
    "transposed, kernel below strides": ((1, 9, 9, 6), _transposed((2, 2), (3, 3), 11)),
    "transposed, computed shape": ((1, 9, 9, 6), _transposed((3, 3), (2, 2), 17, computed=True)),
    "transposed, computed shape, few outputs": ((1, 9, 9, 6), _transposed((3, 3), (2, 2), 3, computed=True)),
    "reshape, computed shape": (MAP, _reshaped),
    "mean of a batch": ((3, 5, 6, 7), lambda model, x: model.mean(x)),
    "part of a border": ((1, 18, 13, 3), lambda model, x: model.conv(x, 40, 7, 2, relu=1)),
    "dilation by blocks": ((1, 8, 8, 4), _dilated),
    "slice, backwards": _sliced(MAP, MAP, [0, 7, 0, 0], [1, 0, 6, 12], [1, -1, 1, 1], endMask=2),
    "slice, ellipsis": _sliced(MAP, (1, 8, 6, 3), [0, 2], [0, 5], [1, 1], ellipsisMask=1),
    "slice, new axis": _sliced(MAP, (1, 1, 6, 12), [0, 0, 0, 0], [0, 0, 1, 0], [1] * 4, beginMask=11, endMask=11,
                               newAxisMask=2, shrinkAxisMask=4),
    "pack": ((1, 3, 5, 7), _packed),
    "gather": _one("GATHER", MAP, (1, 8, 3, 12), [4, 0, 4], options="GatherOptions", axis=2),
    "reverse": _one("REVERSE_V2", MAP, MAP, [2], options="ReverseV2Options"),
    "mirror": _one("MIRROR_PAD", MAP, (1, 10, 9, 12), [[0, 0], [1, 1], [2, 1], [0, 0]], options="MirrorPadOptions"),
    "mirror, edge twice": _one("MIRROR_PAD", MAP, (1, 10, 9, 12), [[0, 0], [1, 1], [2, 1], [0, 0]],
                               options="MirrorPadOptions", mode=1),
    "tile": _one("TILE", MAP, (1, 16, 6, 24), [1, 2, 1, 2], options="TileOptions"),
    "depth to space": _one("DEPTH_TO_SPACE", MAP, (1, 16, 12, 3), options="DepthToSpaceOptions", blockSize=2),
    "space to depth": _one("SPACE_TO_DEPTH", MAP, (1, 4, 3, 48), options="SpaceToDepthOptions", blockSize=2),
    "largest": _one("REDUCE_MAX", MAP, (1, 12), [1, 2], options="ReducerOptions"),
    **{name.lower(): (MAP, _codes(name)) for name in ("PRELU", "MAXIMUM", "MINIMUM")},
    **{f"{name.lower()}, number": (MAP, _codes(name, number=True)) for name in ("PRELU", "MAXIMUM", "MINIMUM")},
    "sqrt": (MAP, _root("SQRT")), "log": (MAP, _root("LOG")),
}


def rearrangement(name, seed=0):
    """Bytes of a model."""
    shape, build = REARRANGEMENTS[name]
    model = Network(np.random.default_rng(seed))
    positive = name in ("sqrt", "log")
    x = model.tensor(shape, scale=1 / 50, zero=-128 if positive else int(model.rng.integers(-40, 40)))
    return model.file([x], [build(model, x)])
