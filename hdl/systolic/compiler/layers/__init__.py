"""Layers of a network, on a :class:`.builder.Builder`.

Each function places the constants of a layer, weights in memory and parameter records in the buffer, and returns the
layer; called with tensors, that emits its instructions, as often as you like.

A feature map lies in the unified buffer as NHWC bytes. With a border of padding in x, the kernel_width * channels bytes
under one row of a kernel follow each other, and are cut into pieces of R bytes wherever a pixel ends. Without a border,
the row reader pads, and each pixel is cut for itself. The padding in y is always the row reader's.
"""

from .convolution import Convolution, border, convolution, dense
from .depthwise import Depthwise, depthwise
from .elementwise import Add, Pool, add, pool
from .products import Windows

__all__ = ["Add", "Convolution", "Depthwise", "Pool", "Windows", "add", "border", "convolution", "dense", "depthwise",
           "pool"]
