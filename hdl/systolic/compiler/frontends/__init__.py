"""Files of trained models to graphs: TFLite (LiteRT) and ONNX."""

from .read import read_model

__all__ = ["read_model"]
