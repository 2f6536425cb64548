"""Networks of the kinds that people deploy, as int8 TFLite files: layers of the real shapes, weights at random.

Scales are chosen such that each layer's outputs fill their codes, as a converter's calibration does.
"""

import math

import numpy as np

from .tflite_models import TfliteModel

__all__ = ["NETWORKS", "Network", "network"]

RELU, RELU6 = 1, 3

#: Real numbers of a layer's output range over 2 * 3 / this many.
_SPREAD = 40


class Network(TfliteModel):
    """Grows a network layer by layer: each method takes tensors and returns its output."""

    def _out(self, shape, relu=0):
        """An activation of about unit variance: of both signs, or from 0 on."""
        top = 6.0 if relu == RELU6 else 3.0 * self.rng.uniform(0.8, 1.4)
        low = 0.0 if relu else -top
        scale = (top - low) / 255
        return self.tensor(shape, scale=scale, zero=int(np.rint(-128 - low / scale)))

    def _like(self, shape, x):
        scale, zero = self.quantised[x]
        return self.tensor(shape, scale=scale, zero=zero)

    def _weights(self, x, shape, sums, axis, outputs):
        """Weights and bias with which outputs have about the variance of inputs."""
        scale = self.rng.uniform(0.7, 1.3, outputs if axis is not None else 1) / (73 * math.sqrt(sums))
        scale = scale.astype(np.float32)
        w = self.constant(self.rng.integers(-127, 128, shape).astype(np.int8), scale=scale, zero=0, axis=axis)
        limit = 0.3 / (self.quantised[x][0] * scale.mean())
        bias = np.rint(self.rng.uniform(-limit, limit, outputs)).astype(np.int32)
        return w, self.constant(bias, scale=np.float32(self.quantised[x][0]) * scale, zero=0, axis=0)

    def conv(self, x, outputs, kernel=3, stride=1, *, relu=0, same=True, dilation=1):
        """CONV_2D."""
        n, height, width, channels = self.shapes[x]
        ky, kx = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        w, b = self._weights(x, (outputs, ky, kx, channels), ky * kx * channels, 0, outputs)
        size = self._size((height, width), (ky, kx), stride, same, dilation)
        return self.operator("CONV_2D", [x, w, b], [self._out((n, *size, outputs), relu)], "Conv2DOptions",
                             padding=0 if same else 1, strideH=stride, strideW=stride, dilationHFactor=dilation,
                             dilationWFactor=dilation, fusedActivationFunction=relu)

    def depthwise(self, x, kernel=3, stride=1, *, relu=0, same=True, multiplier=1):
        """DEPTHWISE_CONV_2D."""
        n, height, width, channels = self.shapes[x]
        ky, kx = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        outputs = channels * multiplier
        w, b = self._weights(x, (1, ky, kx, outputs), ky * kx, 3, outputs)
        size = self._size((height, width), (ky, kx), stride, same, 1)
        return self.operator("DEPTHWISE_CONV_2D", [x, w, b], [self._out((n, *size, outputs), relu)],
                             "DepthwiseConv2DOptions", padding=0 if same else 1, strideH=stride, strideW=stride,
                             depthMultiplier=multiplier, dilationHFactor=1, dilationWFactor=1,
                             fusedActivationFunction=relu)

    @staticmethod
    def _size(size, kernel, stride, same, dilation):
        return [-(-length // stride) if same else (length - (k - 1) * dilation - 1) // stride + 1
                for length, k in zip(size, kernel, strict=True)]

    def up(self, x, outputs, kernel=2, stride=2, *, relu=0):
        """TRANSPOSE_CONV that multiplies height and width by the stride, and a ReLU behind it."""
        n, height, width, channels = self.shapes[x]
        shape = (n, height * stride, width * stride, outputs)
        w, b = self._weights(x, (outputs, kernel, kernel, channels), kernel * kernel * channels / stride**2, 0, outputs)
        y = self._out(shape)
        self.operator("TRANSPOSE_CONV", [self.constant(np.array(shape, np.int32)), w, x, b], [y],
                      "TransposeConvOptions", padding=0, strideH=stride, strideW=stride)
        return self.function("RELU", y) if relu else y

    def dense(self, x, outputs, *, relu=0):
        """FULLY_CONNECTED along the last axis, or on all that there is of a map."""
        if len(self.shapes[x]) == 4:
            x = self.reshape(x, (1, math.prod(self.shapes[x])))
        *before, inputs = self.shapes[x]
        w, b = self._weights(x, (outputs, inputs), inputs, None, outputs)
        return self.operator("FULLY_CONNECTED", [x, w, b], [self._out((*before, outputs), relu)],
                             "FullyConnectedOptions", fusedActivationFunction=relu, keepNumDims=len(before) > 1)

    def reshape(self, x, shape):
        """RESHAPE."""
        return self.operator("RESHAPE", [x, self.constant(np.array(shape, np.int32))], [self._like(shape, x)],
                             "ReshapeOptions", newShape=list(shape))

    def transpose(self, x, *order):
        """TRANSPOSE."""
        shape = [self.shapes[x][axis] for axis in order]
        return self.operator("TRANSPOSE", [x, self.constant(np.array(order, np.int32))], [self._like(shape, x)],
                             "TransposeOptions")

    def binary(self, name, a, b, *, relu=0):
        """ADD, SUB or MUL, of shapes that broadcast."""
        shape = np.broadcast_shapes(self.shapes[a], self.shapes[b])
        return self.operator(name, [a, b], [self._out(shape, relu)], f"{name.title()}Options",
                             fusedActivationFunction=relu)

    def number(self, value):
        """A constant number as a tensor of one element."""
        return self.constant(np.array([127], np.int8), scale=value / 127, zero=0)

    def pool(self, name, x, kernel=2, stride=2, *, same=False):
        """AVERAGE_POOL_2D or MAX_POOL_2D."""
        n, height, width, channels = self.shapes[x]
        size = self._size((height, width), (kernel, kernel), stride, same, 1)
        return self.operator(name, [x], [self._like((n, *size, channels), x)], "Pool2DOptions",
                             padding=0 if same else 1, strideH=stride, strideW=stride, filterHeight=kernel,
                             filterWidth=kernel)

    def mean(self, x, *, keep=False):
        """MEAN over height and width."""
        n, _, _, channels = self.shapes[x]
        shape = (n, 1, 1, channels) if keep else (n, channels)
        scale, zero = self.quantised[x]
        y = self.tensor(shape, scale=scale * self.rng.uniform(0.5, 0.8), zero=zero)
        return self.operator("MEAN", [x, self.constant(np.array([1, 2], np.int32))], [y], "ReducerOptions",
                             keepDims=keep)

    def function(self, name, x, *, alpha=0.1):
        """An elementwise function."""
        fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
        top = float(128 * self.quantised[x][0])
        scale, zero = fixed.get(name, (top / 200, -110) if name == "HARD_SWISH" else self.quantised[x])
        y = self.tensor(self.shapes[x], scale=scale, zero=zero)
        if name == "LEAKY_RELU":
            return self.operator(name, [x], [y], "LeakyReluOptions", alpha=alpha)
        return self.operator(name, [x], [y], "HardSwishOptions" if name == "HARD_SWISH" else None)

    def softmax(self, x):
        """SOFTMAX."""
        y = self.tensor(self.shapes[x], scale=1 / 256, zero=-128)
        return self.operator("SOFTMAX", [x], [y], "SoftmaxOptions", beta=1.0)

    def join(self, *parts, axis=3):
        """CONCATENATION; parts of other scales are brought to the first's."""
        scale = self.quantised[parts[0]]
        parts = [each if self.quantised[each] == scale else self.requantised(each, *scale) for each in parts]
        shape = list(self.shapes[parts[0]])
        shape[axis] = sum(self.shapes[each][axis] for each in parts)
        return self.operator("CONCATENATION", parts, [self._like(shape, parts[0])], "ConcatenationOptions", axis=axis)

    def requantised(self, x, scale, zero):
        """QUANTIZE to another scale."""
        return self.operator("QUANTIZE", [x], [self.tensor(self.shapes[x], scale=scale, zero=zero)], "QuantizeOptions")

    def resize(self, x, factor=2, *, centres=True):
        """RESIZE_NEAREST_NEIGHBOR."""
        n, height, width, channels = self.shapes[x]
        size = [height * factor, width * factor]
        return self.operator("RESIZE_NEAREST_NEIGHBOR", [x, self.constant(np.array(size, np.int32))],
                             [self._like((n, *size, channels), x)], "ResizeNearestNeighborOptions",
                             halfPixelCenters=centres)

    def pad(self, x, pairs):
        """PAD in height and width."""
        n, height, width, channels = self.shapes[x]
        (top, bottom), (left, right) = pairs
        table = np.array([[0, 0], [top, bottom], [left, right], [0, 0]], np.int32)
        return self.operator("PAD", [x, self.constant(table)],
                             [self._like((n, height + top + bottom, width + left + right, channels), x)], "PadOptions")

    def part(self, x, begin, end, steps=None):
        """STRIDED_SLICE."""
        steps = steps or [1] * len(begin)
        shape = [-(-(last - first) // step) for first, last, step in zip(begin, end, steps, strict=True)]
        constants = [self.constant(np.array(each, np.int32)) for each in (begin, end, steps)]
        return self.operator("STRIDED_SLICE", [x, *constants], [self._like(shape, x)], "StridedSliceOptions")


def _start(seed, *shape):
    model = Network(np.random.default_rng(seed))
    return model, model.tensor(shape, scale=1 / 64, zero=int(model.rng.integers(-10, 10)))


def mobilenet_v1(size=96, channels=3, alpha=0.25, classes=2):
    """MobileNet v1; at 96 pixels and a quarter of the channels, the person detection of visual wake words."""
    model, start = _start(1, 1, size, size, channels)
    x = model.conv(start, int(32 * alpha), stride=2, relu=RELU6)
    for outputs, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2),
                            (1024, 1)):
        x = model.conv(model.depthwise(x, stride=stride, relu=RELU6), int(outputs * alpha), 1, relu=RELU6)
    x = model.pool("AVERAGE_POOL_2D", x, model.shapes[x][1], model.shapes[x][1])
    x = model.conv(x, classes, 1)
    return model.file([start], [model.softmax(model.reshape(x, (1, classes)))])


def _eighths(value):
    """To a multiple of eight, as MobileNets round."""
    return max(8, int(value + 4) // 8 * 8)


def mobilenet_v2(size=96, alpha=0.35, classes=10):
    """MobileNet v2: inverted residuals."""
    model, start = _start(2, 1, size, size, 3)
    x = model.conv(start, _eighths(32 * alpha), stride=2, relu=RELU6)
    for expand, outputs, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                           (6, 160, 3, 2), (6, 320, 1, 1)):
        for number in range(count):
            x = _residual(model, x, expand, _eighths(outputs * alpha), stride if number == 0 else 1)
    x = model.mean(model.conv(x, 1280, 1, relu=RELU6))
    return model.file([start], [model.softmax(model.dense(x, classes))])


def _residual(model, x, expand, outputs, stride, *, kernel=3, relu=RELU6):
    inputs = model.shapes[x][3]
    y = model.conv(x, inputs * expand, 1, relu=relu) if expand > 1 else x
    y = model.conv(model.depthwise(y, kernel, stride, relu=relu), outputs, 1)
    return model.binary("ADD", x, y) if stride == 1 and inputs == outputs else y


def efficientnet_lite(size=64, classes=10):
    """EfficientNet-Lite0 at a quarter of the channels: kernels of five pixels, no squeeze and excitation."""
    model, start = _start(3, 1, size, size, 3)
    x = model.conv(start, 8, stride=2, relu=RELU6)
    for expand, outputs, count, stride, kernel in ((1, 8, 1, 1, 3), (6, 8, 2, 2, 3), (6, 16, 2, 2, 5), (6, 24, 3, 2, 3),
                                                   (6, 32, 2, 1, 5), (6, 48, 2, 2, 5), (6, 80, 1, 1, 3)):
        for number in range(count):
            x = _residual(model, x, expand, outputs, stride if number == 0 else 1, kernel=kernel)
    x = model.pool("AVERAGE_POOL_2D", model.conv(x, 320, 1, relu=RELU6), model.shapes[x][1], 1)
    return model.file([start], [model.softmax(model.dense(model.reshape(x, (1, 320)), classes))])


def mobilenet_v3(size=64, classes=10):
    """MobileNet v3 small at half the channels: hard swish, squeeze and excitation."""
    model, start = _start(4, 1, size, size, 3)
    x = model.function("HARD_SWISH", model.conv(start, 8, stride=2))
    for kernel, expand, outputs, squeeze, swish, stride in (
            (3, 8, 8, True, False, 2), (3, 36, 12, False, False, 2), (3, 44, 12, False, False, 1),
            (5, 48, 20, True, True, 2), (5, 120, 20, True, True, 1), (5, 60, 24, True, True, 1),
            (5, 144, 48, True, True, 2), (5, 288, 48, True, True, 1)):
        x = _bottleneck(model, x, kernel, expand, outputs, squeeze, swish, stride)
    x = model.function("HARD_SWISH", model.conv(x, 288, 1))
    x = model.function("HARD_SWISH", model.conv(model.mean(x, keep=True), 128, 1))
    return model.file([start], [model.softmax(model.dense(x, classes))])


def _bottleneck(model, x, kernel, expand, outputs, squeeze, swish, stride):
    def active(y, **options):
        return model.function("HARD_SWISH", y) if swish else y
    inputs, relu = model.shapes[x][3], 0 if swish else RELU
    y = active(model.conv(x, expand, 1, relu=relu))
    y = active(model.depthwise(y, kernel, stride, relu=relu))
    if squeeze:
        gate = model.conv(model.conv(model.mean(y, keep=True), _eighths(expand / 4), 1, relu=RELU), expand, 1)
        gate = model.binary("MUL", model.binary("ADD", gate, model.number(3.0), relu=RELU6), model.number(1 / 6))
        y = model.binary("MUL", y, gate)
    y = model.conv(y, outputs, 1)
    return model.binary("ADD", x, y) if stride == 1 and inputs == outputs else y


def ds_cnn(classes=12):
    """DS-CNN on 49 x 10 features of speech."""
    model, start = _start(5, 1, 49, 10, 1)
    x = model.conv(start, 64, (10, 4), 2, relu=RELU)
    for _ in range(4):
        x = model.conv(model.depthwise(x, relu=RELU), 64, 1, relu=RELU)
    n, height, width, _ = model.shapes[x]
    x = model.operator("AVERAGE_POOL_2D", [x], [model._like((n, 1, 1, 64), x)], "Pool2DOptions", padding=1,
                       strideH=height, strideW=width, filterHeight=height, filterWidth=width)
    return model.file([start], [model.softmax(model.dense(x, classes))])


def resnet(size=32, classes=10):
    """A residual network with a maximum pool over the edge, and shortcuts of strided convolutions."""
    model, start = _start(6, 1, size, size, 3)
    x = model.pool("MAX_POOL_2D", model.conv(start, 16, 7, 2, relu=RELU), 3, 2, same=True)
    for outputs, stride in ((16, 1), (32, 2), (64, 2)):
        y = model.conv(model.conv(x, outputs, 3, stride, relu=RELU), outputs)
        x = x if stride == 1 else model.conv(x, outputs, 1, stride)
        x = model.binary("ADD", x, y, relu=RELU)
    return model.file([start], [model.dense(model.mean(x), classes)])


def unet(size=96):
    """A U-Net: transposed convolutions, and maps of the way down joined to those of the way up."""
    model, start = _start(7, 1, size, size, 3)
    x, kept = start, []
    for outputs in (8, 16, 32):
        x = model.conv(model.conv(x, outputs, relu=RELU), outputs, relu=RELU)
        kept.append(x)
        x = model.pool("MAX_POOL_2D", x)
    x = model.conv(x, 64, relu=RELU)
    for outputs, other in zip((32, 16, 8), reversed(kept), strict=True):
        x = model.join(model.up(x, outputs, relu=RELU), other)
        x = model.conv(model.conv(x, outputs, relu=RELU), outputs, relu=RELU)
    return model.file([start], [model.function("LOGISTIC", model.conv(x, 1, 1))])


def autoencoder(size=28):
    """A convolutional autoencoder with transposed convolutions of three pixels at strides of two."""
    model, start = _start(8, 1, size, size, 1)
    x = model.conv(model.conv(start, 16, 3, 2, relu=RELU), 32, 3, 2, relu=RELU)
    x = model.dense(model.dense(x, 16, relu=RELU), size // 4 * (size // 4) * 32, relu=RELU)
    x = model.reshape(x, (1, size // 4, size // 4, 32))
    x = model.up(model.up(x, 32, 3, relu=RELU), 16, 3, relu=RELU)
    return model.file([start], [model.function("LOGISTIC", model.conv(x, 1))])


def yolo(size=96, classes=3):
    """A detector of two scales: leaky ReLUs, a resized map joined to a larger one, boxes by sigmoid, one output."""
    model, start = _start(9, 1, size, size, 3)
    x, kept = start, []
    for outputs in (8, 16, 32, 64):
        x = model.function("LEAKY_RELU", model.conv(x, outputs))
        kept.append(x)
        x = model.pool("MAX_POOL_2D", x)
    x = model.function("LEAKY_RELU", model.conv(x, 64))
    large = model.join(model.resize(model.function("LEAKY_RELU", model.conv(x, 16, 1))), kept[-1])
    heads = []
    for y in (x, model.function("LEAKY_RELU", model.conv(large, 32))):
        y = model.function("LOGISTIC", model.conv(y, 3 * (5 + classes), 1))
        n, height, width, channels = model.shapes[y]
        heads.append(model.reshape(y, (n, height * width * 3, channels // 3)))
    return model.file([start], [model.join(*heads, axis=1)])


def wake_word():
    """A streaming-style wake word without states: mixed kernels over parts of the channels, as MixConv has them."""
    model, start = _start(10, 1, 40, 1, 40)
    x = model.conv(start, 32, (5, 1), 1, relu=RELU, same=False)
    for kernel in (5, 9):
        n, height, width, channels = model.shapes[x]
        halves = [model.part(x, (0, 0, 0, at), (n, height, width, at + channels // 2)) for at in (0, channels // 2)]
        short, long = (model.depthwise(half, (k, 1), relu=RELU, same=False)
                       for half, k in zip(halves, (3, kernel), strict=True))
        rows = model.shapes[long][1]
        cut = model.shapes[short][1] - rows
        short = model.part(short, (0, cut, 0, 0), (n, cut + rows, width, channels // 2))
        x = model.conv(model.join(short, long), 48, 1, relu=RELU)
    return model.file([start], [model.function("LOGISTIC", model.dense(x, 1))])


def streaming():
    """A streaming wake word: a window over the last inputs, and a running mean of what a convolution makes of it."""
    model = Network(np.random.default_rng(13))
    first = model.rng.integers(-128, 128, (1, 4, 1, 16)).astype(np.int8)
    slow = model.rng.integers(-128, 128, (1, 1, 1, 12)).astype(np.int8)
    scale, other = 1 / 64, 0.03
    handles = model.states(window=(first, scale, 3), slow=(slow, other, -5))
    start = model.tensor((1, 1, 1, 16), scale=scale, zero=3)
    old = model.tensor(first.shape, scale=scale, zero=3)
    model.operator("READ_VARIABLE", [handles["window"]], [old])
    window = model.join(old, start, axis=1)
    model.assign(handles["window"], model.part(window, (0, 1, 0, 0), (1, 5, 1, 16)))
    x = model.conv(window, 12, (5, 1), relu=RELU, same=False)
    mean = model.tensor(slow.shape, scale=other, zero=-5)
    model.operator("READ_VARIABLE", [handles["slow"]], [mean])
    y = model.tensor(slow.shape, scale=other, zero=-5)
    model.operator("ADD", [mean, x], [y], "AddOptions", fusedActivationFunction=0)
    model.assign(handles["slow"], y)
    return model.file([start], [model.dense(model.join(x, y), 6)])


def attention(steps=16, size=32):
    """Mixing over time and over channels with transpositions and softmax gates, as in attention without products of
    activations by matrix."""
    model, start = _start(11, 1, steps, size)
    x = model.dense(start, size)
    for _ in range(2):
        y = model.transpose(model.dense(model.transpose(x, 0, 2, 1), steps, relu=RELU), 0, 2, 1)
        x = model.binary("ADD", x, y)
        gate = model.softmax(model.dense(x, size))
        x = model.binary("SUB", model.binary("MUL", gate, model.dense(x, size)), x)
    return model.file([start], [model.dense(model.reshape(x, (1, steps * size)), 5)])


def mlp():
    """Three fully connected layers."""
    model, start = _start(12, 1, 784)
    x = model.dense(model.dense(start, 128, relu=RELU), 64, relu=RELU)
    return model.file([start], [model.softmax(model.dense(x, 10))])


NETWORKS = {each.__name__: each for each in (
    mobilenet_v1, mobilenet_v2, mobilenet_v3, efficientnet_lite, ds_cnn, resnet, unet, autoencoder, yolo, wake_word,
    streaming, attention, mlp)}


def network(name):
    """Bytes of a network's file; the same ones every time."""
    return NETWORKS[name]()
