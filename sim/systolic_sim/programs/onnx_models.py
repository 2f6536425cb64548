"""Small quantised ONNX models: what front end, compiler and ONNX Runtime are compared on."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

__all__ = ["Qdq"]


class Qdq:
    """Grows a model with QuantizeLinear and DequantizeLinear around every operator.

    Parameters
    ----------
    rng : numpy Generator
        Of weights and scales.
    shape : tuple of int
        Of the input of floats.
    unsigned : bool
        Whether activations are uint8, else int8.
    """

    def __init__(self, rng, shape, *, unsigned=False):
        self.rng, self.unsigned = rng, unsigned
        self.nodes, self.constants, self._count = [], [], 0
        self.shape, self._scales = shape, {}
        self.x = self.quantised("x", scale=0.05)

    def name(self):
        self._count += 1
        return f"t{self._count}"

    def constant(self, array):
        name = self.name()
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def node(self, operator, *inputs, outputs=1, **attributes):
        names = [self.name() for _ in range(outputs)]
        self.nodes.append(helper.make_node(operator, inputs, names, name=f"{operator}_{names[0]}", **attributes))
        # What changes shapes alone keeps the scale; others are quantised anew.
        self._scales.update(dict.fromkeys(names, self._scales.get(inputs[0])))
        return names[0] if outputs == 1 else names

    def quantised(self, real, scale=None, zero=None):
        """The tensor through QuantizeLinear and DequantizeLinear."""
        scale = self.rng.uniform(0.01, 0.2) if scale is None else scale
        zero = int(self.rng.integers(-128, 128) if zero is None else zero) + 128 * self.unsigned
        parameters = (self.constant(np.float32(scale)),
                      self.constant(np.array(zero, np.uint8 if self.unsigned else np.int8)))
        tensor = self.node("DequantizeLinear", self.node("QuantizeLinear", real, *parameters), *parameters)
        self._scales[tensor] = np.float32(scale)
        return tensor

    def asymmetric(self, x, shape):
        """Constant uint8 weights for a tensor, with one scale and a zero point."""
        codes, scale = self.rng.integers(0, 256, shape).astype(np.uint8), np.float32(self.rng.uniform(0.001, 0.02))
        codes.reshape(-1)[:2] = 0, 255
        return self.node("DequantizeLinear", self.constant(codes), self.constant(scale),
                         self.constant(np.uint8(self.rng.integers(100, 120))))

    def weights(self, x, shape, axis):
        """Constant int8 weights for a tensor, a scale per index of the axis, and an int32 bias of those."""
        scale = self.rng.uniform(0.001, 0.02, shape[axis]).astype(np.float32)
        codes = self.rng.integers(-127, 128, shape).astype(np.int8)
        w = self.node("DequantizeLinear", self.constant(codes), self.constant(scale),
                      self.constant(np.zeros(shape[axis], np.int8)), axis=axis)
        bias = self.rng.integers(-2000, 2000, shape[axis]).astype(np.int32)
        b = self.node("DequantizeLinear", self.constant(bias), self.constant(self._scales[x] * scale),
                      self.constant(np.zeros(shape[axis], np.int32)), axis=0)
        return w, b

    def model(self, output):
        """Bytes of the model whose output is that tensor."""
        graph = helper.make_graph(
            self.nodes, "test", [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)], self.constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        return onnx.shape_inference.infer_shapes(model).SerializeToString()
