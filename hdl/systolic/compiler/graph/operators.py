"""The operators that a graph may have: one frozen record each, with what is fixed when the model is.

Feature maps are [N, H, W, C], ``x`` the first input. ``low`` and ``high`` are bounds of the int8 output: where a fused
activation function is. Pairs are (y, x). Padding is ((top, bottom), (left, right)) in pixels, resolved from SAME or
VALID by the front end. Biases are int32, in the scale of the sums; a front end adds zeros where a model has none.
"""

import dataclasses

__all__ = ["Add", "AssignVariable", "AveragePool", "Concatenate", "Conv2D", "Dense", "DepthwiseConv2D", "Dequantize",
           "Gather", "MaxPool", "Maximum", "Mean", "Minimum", "Mul", "Operator", "Pad", "Prelu", "Quantize",
           "ReadVariable", "Reshape", "ResizeNearest", "Slice", "Softmax", "Sub", "Transpose", "TransposeConv2D",
           "Unary"]

Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operator:
    """What a node does."""

    @property
    def kind(self) -> str:
        """Its name."""
        return type(self).__name__


@dataclasses.dataclass(frozen=True, kw_only=True)
class Clamped(Operator):
    """An operator whose int8 output is clamped to ``low`` ... ``high``."""

    low: int = -128
    high: int = 127


@dataclasses.dataclass(frozen=True, kw_only=True)
class Conv2D(Clamped):
    """Inputs: x, weights [kernel_y, kernel_x, inputs, outputs], bias [outputs]."""

    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class DepthwiseConv2D(Clamped):
    """Inputs: x, weights [kernel_y, kernel_x, inputs * multiplier], bias; output c is of input c // multiplier."""

    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    multiplier: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransposeConv2D(Clamped):
    """Inputs: x, weights [kernel_y, kernel_x, inputs, outputs], bias.

    Input (y, x) adds to outputs (y * stride + ky - padding_top, x * stride + kx - padding_left). ``portable``
    says that the file has it as LiteRT's accelerated kernels do not take it: its portable one rounds otherwise.
    """

    strides: Pair = (1, 1)
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    portable: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dense(Clamped):
    """Fully connected. Inputs: x [..., K], weights [K, N], bias [N]; output [..., N]."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Add(Clamped):
    """Inputs: two maps, broadcast against each other; either may be constant. ``offset`` is of ONNX Runtime: None where
    it dequantises, computes and quantises; else it works on codes that are so much more, 128 if its own are uint8."""

    offset: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sub(Clamped):
    """First input minus second, as for :class:`Add`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mul(Clamped):
    """As for :class:`Add`."""

    offset: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Maximum(Operator):
    """The larger of two codes, whatever they stand for; shapes as for :class:`Add`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Minimum(Operator):
    """The smaller one, as for :class:`Maximum`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Prelu(Operator):
    """First input where it is not negative, else times the second; shapes as for :class:`Add`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class AveragePool(Clamped):
    """Average of the pixels of a window that lie inside the map; ``offset`` as for :class:`Add`."""

    kernel: Pair
    strides: Pair
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))
    offset: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class MaxPool(Clamped):
    """Largest pixel of a window, per channel."""

    kernel: Pair
    strides: Pair
    padding: tuple[Pair, Pair] = ((0, 0), (0, 0))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mean(Operator):
    """Average over axes, counted from the front."""

    axes: tuple[int, ...]
    keep_dims: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reshape(Operator):
    """The same bytes; the output's shape is the value's."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Transpose(Operator):
    """Output axis i is input axis ``permutation[i]``."""

    permutation: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pad(Operator):
    """``padding[axis]`` is (before, after); filled with ``value``, an int8 code."""

    padding: tuple[Pair, ...]
    value: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Concatenate(Operator):
    """Any number of inputs along an axis; an input of another scale is requantised."""

    axis: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slice(Operator):
    """Per axis: first index, end, step; all resolved to be positive and in range."""

    begin: tuple[int, ...]
    end: tuple[int, ...]
    strides: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Gather(Operator):
    """Indices of an axis, in any order, each as often as it is named."""

    axis: int
    indices: tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResizeNearest(Operator):
    """Output height and width are the value's."""

    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Unary(Operator):
    """An elementwise function of one int8 input: a table of 256 bytes.

    Parameters
    ----------
    function : str
        ``relu``, ``relu6``, ``relu_0_to_1``, ``relu_n1_to_1``, ``leaky_relu``, ``hard_swish``, ``logistic``, ``tanh``,
        ``abs``, ``neg``, ``elu``, ``exp``, ``sqrt``, ``rsqrt``, ``square``, ``log``, ``hard_sigmoid``, or
        ``requantise`` for another scale alone.
    alpha : float
        Slope or scale of ``leaky_relu``, ``elu`` and ``hard_sigmoid``.
    """

    function: str
    alpha: float = 0.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Softmax(Operator):
    """Along the last axis."""

    beta: float = 1.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quantize(Operator):
    """From float32 to the output's codes; or between int8 and uint8."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dequantize(Operator):
    """From the input's codes to float32."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReadVariable(Operator):
    """No inputs; the output is the state of that name."""

    variable: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class AssignVariable(Operator):
    """One input, which becomes the state of that name; no outputs."""

    variable: str
