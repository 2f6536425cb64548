"""Small int8 TFLite models, made at random: what front end, compiler and runtimes are compared on.

Files are written with the schema that ships with LiteRT, which the readers of this project do not use.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

__all__ = ["TfliteModel", "random_model"]

_TYPES = {np.dtype(np.int8): schema.TensorType.INT8, np.dtype(np.int32): schema.TensorType.INT32,
          np.dtype(np.uint8): schema.TensorType.UINT8, np.dtype(np.float32): schema.TensorType.FLOAT32}


class TfliteModel:
    """Grows a model, operator by operator. Tensors are numbers.

    Parameters
    ----------
    rng : numpy Generator
        Of weights and scales.

    Members
    -------
    shapes : dict of int to tuple of int
    quantised : dict of int to (float, int)
        Scale and zero point of tensors that have one of each.
    """

    def __init__(self, rng):
        self.rng = rng
        self.shapes, self.quantised = {}, {}
        self._codes, self._operators, self._tensors = [], [], []
        self._buffers = [schema.BufferT()]
        self._first_values = []

    def tensor(self, shape, *, dtype=np.int8, scale=None, zero=None, axis=None, data=None):
        """A tensor; with ``scale`` a number or an array along ``axis``."""
        tensor = schema.TensorT()
        number = len(self._tensors)
        tensor.name, tensor.shape = f"t{number}".encode(), list(shape)
        tensor.type, tensor.buffer = _TYPES[np.dtype(dtype)], 0
        if scale is not None:
            scales = np.atleast_1d(np.asarray(scale, np.float32))
            quantisation = schema.QuantizationParametersT()
            quantisation.scale = list(map(float, scales))
            quantisation.zeroPoint = [int(zero or 0)] * scales.size
            quantisation.quantizedDimension = axis or 0
            tensor.quantization = quantisation
            if scales.size == 1:
                self.quantised[number] = float(scales[0]), int(zero or 0)
        if data is not None:
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
            tensor.buffer = len(self._buffers)
            self._buffers.append(buffer)
        self._tensors.append(tensor)
        self.shapes[number] = tuple(shape)
        return number

    def activation(self, shape, *, like=None):
        """A tensor of int8, of the scale of another or at random."""
        if like is not None:
            scale, zero = self.quantised[like]
        else:
            scale, zero = self.rng.uniform(0.01, 0.1), self.rng.integers(-128, 128)
        return self.tensor(shape, scale=scale, zero=zero)

    def constant(self, array, **options):
        """A constant tensor."""
        return self.tensor(array.shape, dtype=array.dtype, data=array, **options)

    def operator(self, name, inputs, outputs, options=None, **fields):
        """An operator with its options, by the schema's names."""
        code, operator = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        operator.opcodeIndex = len(self._codes)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
            operator.builtinOptions = getattr(schema, f"{options}T")()
            for field, value in fields.items():
                assert hasattr(operator.builtinOptions, field), field
                setattr(operator.builtinOptions, field, value)
        self._codes.append(code)
        self._operators.append(operator)
        return outputs[0]

    def states(self, **first):
        """Variables that live from run to run, by name with their first values (array, scale, zero point): tensors of
        their handles. To be called before any operator."""
        main, names = (self._tensors, self._operators), {}
        self._tensors, self._operators = [], []
        for name, (array, scale, zero) in first.items():
            self.operator("ASSIGN_VARIABLE", [self.handle(name), self.constant(array, scale=scale, zero=zero)], [-1])
            self._operators[-1].outputs = []
        graph = schema.SubGraphT()
        graph.tensors, graph.operators, graph.inputs, graph.outputs = self._tensors, self._operators, [], []
        self._first_values.append(graph)
        self._tensors, self._operators = main
        self.operator("CALL_ONCE", [], [-1], "CallOnceOptions", initSubgraphIndex=1)
        self._operators[-1].outputs = []
        for name in first:
            names[name] = self.handle(name)
        return names

    def handle(self, name):
        """VAR_HANDLE of a variable."""
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), [], schema.TensorType.RESOURCE, 0
        self._tensors.append(tensor)
        return self.operator("VAR_HANDLE", [], [len(self._tensors) - 1], "VarHandleOptions", container=b"",
                             sharedName=name.encode())

    def assign(self, handle, x):
        """ASSIGN_VARIABLE."""
        self.operator("ASSIGN_VARIABLE", [handle, x], [-1])
        self._operators[-1].outputs = []

    def file(self, inputs, outputs):
        """Bytes of the model."""
        graph, model = schema.SubGraphT(), schema.ModelT()
        graph.tensors, graph.operators = self._tensors, self._operators
        graph.inputs, graph.outputs = list(inputs), list(outputs)
        model.version, model.subgraphs = 3, [graph, *self._first_values]
        model.operatorCodes, model.buffers = self._codes, self._buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # Operators, of random parameters.

    def products(self, x, weights, bias_size, axis):
        """Weights and bias, a scale per output if there is an axis."""
        outputs = bias_size if axis is not None else 1
        scale = self.rng.uniform(0.002, 0.02, outputs).astype(np.float32)
        if self.rng.random() < 0.2:
            scale[:] = scale[0]
        w = self.constant(self.rng.integers(-127, 128, weights).astype(np.int8), scale=scale, zero=0, axis=axis)
        bias = self.rng.integers(-3000, 3000, bias_size).astype(np.int32)
        b = self.constant(bias, scale=np.float32(self.quantised[x][0]) * scale, zero=0, axis=0)
        return w, b

    def conv(self, x, *, depthwise=False, kernel=4, stride=2):
        """CONV_2D or DEPTHWISE_CONV_2D, of kernels and strides up to those."""
        rng, (n, height, width, channels) = self.rng, self.shapes[x]
        kernel = [int(rng.integers(1, min(kernel, size) + 1)) for size in (height, width)]
        strides = [int(rng.integers(1, stride + 1)) for _ in range(2)]
        dilations = [1, 1]
        if strides == [1, 1] and rng.random() < 0.3:
            dilations = [int(rng.integers(1, 3)) for _ in range(2)]
        spans = [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]
        same = rng.random() < 0.6 or any(span > size for span, size in zip(spans, (height, width), strict=True))
        size = [-(-length // step) if same else (length - span) // step + 1
                for length, span, step in zip((height, width), spans, strides, strict=True)]
        multiplier = int(rng.integers(1, 3)) if depthwise and rng.random() < 0.3 else 1
        outputs = channels * multiplier if depthwise else int(rng.integers(1, 24))
        shape = (1, *kernel, outputs) if depthwise else (outputs, *kernel, channels)
        w, b = self.products(x, shape, outputs, 3 if depthwise else 0)
        y = self.activation((n, *size, outputs))
        fields = {"padding": 0 if same else 1, "strideH": strides[0], "strideW": strides[1],
                  "dilationHFactor": dilations[0], "dilationWFactor": dilations[1],
                  "fusedActivationFunction": int(rng.choice([0, 0, 1, 3]))}
        if depthwise:
            return self.operator("DEPTHWISE_CONV_2D", [x, w, b], [y], "DepthwiseConv2DOptions",
                                 depthMultiplier=multiplier, **fields)
        return self.operator("CONV_2D", [x, w, b], [y], "Conv2DOptions", **fields)

    def depthwise(self, x):
        """DEPTHWISE_CONV_2D."""
        return self.conv(x, depthwise=True)

    def wide(self, x):
        """CONV_2D or DEPTHWISE_CONV_2D with a large kernel, whose windows reach far beyond the pieces of an input."""
        return self.conv(x, depthwise=self.rng.random() < 0.3, kernel=9, stride=3)

    def transposed(self, x):
        """TRANSPOSE_CONV."""
        rng, (n, height, width, channels) = self.rng, self.shapes[x]
        kernel, strides = [int(rng.integers(1, 5)) for _ in range(2)], [int(rng.integers(1, 3)) for _ in range(2)]
        kernel = [max(k, s) for k, s in zip(kernel, strides, strict=True)]
        same, outputs = rng.random() < 0.5, int(rng.integers(1, 12))
        size = [length * s if same else (length - 1) * s + k
                for length, s, k in zip((height, width), strides, kernel, strict=True)]
        w, b = self.products(x, (outputs, *kernel, channels), outputs, 0)
        shape = self.constant(np.array([n, *size, outputs], np.int32))
        y = self.activation((n, *size, outputs))
        return self.operator("TRANSPOSE_CONV", [shape, w, x, b], [y], "TransposeConvOptions",
                             padding=0 if same else 1, strideH=strides[0], strideW=strides[1])

    def dense(self, x):
        """FULLY_CONNECTED on all that there is."""
        size, outputs = int(np.prod(self.shapes[x])), int(self.rng.integers(1, 40))
        flat = self.activation((1, size), like=x)
        self.operator("RESHAPE", [x, self.constant(np.array([1, size], np.int32))], [flat], "ReshapeOptions",
                      newShape=[1, size])
        w, b = self.products(flat, (outputs, size), outputs, None)
        y = self.activation((1, outputs))
        return self.operator("FULLY_CONNECTED", [flat, w, b], [y], "FullyConnectedOptions",
                             fusedActivationFunction=int(self.rng.choice([0, 1])))

    def pool(self, x):
        """AVERAGE_POOL_2D or MAX_POOL_2D."""
        rng, (n, height, width, channels) = self.rng, self.shapes[x]
        kernel = [int(rng.integers(1, min(4, size) + 1)) for size in (height, width)]
        strides, same = [int(rng.integers(1, 3)) for _ in range(2)], rng.random() < 0.5
        size = [-(-length // s) if same else (length - k) // s + 1
                for length, k, s in zip((height, width), kernel, strides, strict=True)]
        y = self.activation((n, *size, channels), like=x)
        return self.operator(str(rng.choice(["AVERAGE_POOL_2D", "MAX_POOL_2D"])), [x], [y], "Pool2DOptions",
                             padding=0 if same else 1, strideH=strides[0], strideW=strides[1], filterHeight=kernel[0],
                             filterWidth=kernel[1])

    def add(self, x):
        """ADD of a map with what a convolution of one pixel makes of it."""
        rng, (n, height, width, channels) = self.rng, self.shapes[x]
        w, b = self.products(x, (channels, 1, 1, channels), channels, 0)
        other, y = self.activation((n, height, width, channels)), self.activation((n, height, width, channels))
        self.operator("CONV_2D", [x, w, b], [other], "Conv2DOptions", padding=1, strideH=1, strideW=1)
        return self.operator("ADD", [x, other], [y], "AddOptions", fusedActivationFunction=int(rng.choice([0, 1])))

    def unary(self, x):
        """An elementwise function."""
        name = str(self.rng.choice(["LOGISTIC", "TANH", "RELU", "RELU6", "LEAKY_RELU"]))
        fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}
        scale, zero = fixed.get(name, self.quantised[x])
        y = self.tensor(self.shapes[x], scale=scale, zero=zero)
        if name == "LEAKY_RELU":
            return self.operator(name, [x], [y], "LeakyReluOptions", alpha=float(self.rng.uniform(0.05, 0.5)))
        return self.operator(name, [x], [y])

    def pad(self, x):
        """PAD."""
        pairs = np.array([[0, 0], *self.rng.integers(0, 3, (2, 2)), [0, 0]], np.int32)
        shape = [size + int(pair.sum()) for size, pair in zip(self.shapes[x], pairs, strict=True)]
        return self.operator("PAD", [x, self.constant(pairs)], [self.activation(shape, like=x)], "PadOptions")

    def concatenate(self, x):
        """CONCATENATION of a map with its largest neighbours, along the channels or the rows."""
        axis = int(self.rng.choice([1, 3]))
        shape = self.shapes[x]
        largest = self.activation(shape, like=x)
        self.operator("MAX_POOL_2D", [x], [largest], "Pool2DOptions", padding=0, strideH=1, strideW=1, filterHeight=2,
                      filterWidth=2)
        out = list(shape)
        out[axis] *= 2
        return self.operator("CONCATENATION", [x, largest], [self.activation(out, like=x)], "ConcatenationOptions",
                             axis=axis)

    def slice(self, x):
        """STRIDED_SLICE."""
        shape = self.shapes[x]
        begin = [int(self.rng.integers(0, max(size // 2, 1))) for size in shape]
        steps = [1, int(self.rng.integers(1, 3)), int(self.rng.integers(1, 3)), 1]
        size = [-(-(length - first) // step) for length, first, step in zip(shape, begin, steps, strict=True)]
        constants = [self.constant(np.array(each, np.int32)) for each in (begin, shape, steps)]
        return self.operator("STRIDED_SLICE", [x, *constants], [self.activation(size, like=x)], "StridedSliceOptions")

    def mean(self, x):
        """MEAN over height and width."""
        n, _, _, channels = self.shapes[x]
        axes = self.constant(np.array([1, 2], np.int32))
        return self.operator("MEAN", [x, axes], [self.activation((n, 1, 1, channels))], "ReducerOptions", keepDims=True)

    def resize(self, x):
        """RESIZE_NEAREST_NEIGHBOR by whole factors."""
        n, height, width, channels = self.shapes[x]
        size = [height * int(self.rng.integers(1, 3)), width * int(self.rng.integers(1, 3))]
        y = self.activation((n, *size, channels), like=x)
        return self.operator("RESIZE_NEAREST_NEIGHBOR", [x, self.constant(np.array(size, np.int32))], [y],
                             "ResizeNearestNeighborOptions")


#: Operators of random models, each as often as it stands here.
OPERATORS = ("conv", "conv", "conv", "depthwise", "depthwise", "pool", "add", "unary", "pad", "concatenate", "slice",
             "transposed", "resize", "mean")


def random_model(rng, operators=OPERATORS):
    """A model of one to five operators, and maybe a dense layer at its end.

    Parameters
    ----------
    rng : numpy Generator
    operators : sequence of str
        Methods of :class:`TfliteModel` to choose from.

    Returns
    -------
    bytes
        Of the file.
    """
    model = TfliteModel(rng)
    shape = (1, int(rng.integers(2, 13)), int(rng.integers(2, 13)), int(rng.integers(1, 21)))
    x = start = model.activation(shape)
    for _ in range(rng.integers(1, 6)):
        if np.prod(model.shapes[x]) > 4000:
            break
        x = getattr(model, str(rng.choice(operators)))(x)
    if rng.random() < 0.3:
        x = model.dense(x)
    return model.file([start], [x])
