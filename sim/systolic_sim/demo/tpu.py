"""The int8 network on a whole TPU: one program for all images, from one doorbell to one interrupt.

A batch of images is brought into the unified buffer while the one before it is multiplied, and its logits go back to
memory while the next is; the program only lists the steps.
"""

from systolic.compiler import Builder, CompileError
from systolic.compiler.layers import dense
from systolic.compiler.layout import Layout
from systolic.isa import RECORD_BYTES

__all__ = ["image"]


def image(config, network, pixels):
    """A network's program for images, and the memory it runs in.

    Parameters
    ----------
    config : TpuConfig
    network : Int8Network
    pixels : uint8 array [M, 784]

    Returns
    -------
    Image
        One program, with the images as input ``images`` and an output ``logits``: a row of pixels each, an image's
        values as channels.

    Raises
    ------
    CompileError
        If the unified buffer has no room for a batch of one and the one after it.
    """
    widths = [network.layers[0].weights.shape[0], *(layer.weights.shape[1] for layer in network.layers)]
    batch = _batch(config, widths, len(pixels))
    builder = Builder(config)
    images = builder.input("images", _rows(config, len(pixels), widths[0]), network.inputs(pixels))
    logits = builder.output("logits", _rows(config, len(pixels), widths[-1]))
    layers = [dense(builder, layer.weights, layer.scale) for layer in network.layers]
    # Of inputs and outputs two each take turns, so that the next batch need not wait for the one before it.
    maps = [builder.turns(_rows(config, batch, width)) for width in widths]
    for step, first in enumerate(range(0, len(pixels), batch)):
        count = min(batch, len(pixels) - first)
        x, *outs = (turns[step].part(width=count) for turns in maps)
        builder.load(images.part(first, count), x)
        for layer, out in zip(layers, outs, strict=True):
            x = layer(builder, x, out)
        builder.store(x, logits.part(first, count))
    builder.end()
    return builder.image()


def _rows(config, count, width):
    """Vectors, each from a bus word on."""
    return Layout.of(1, count, width, x_stride=-(-width // config.bus_bytes) * config.bus_bytes)


def _batch(config, widths, count):
    """Images in a batch: as many as buffer and accumulators have room for, then all batches of a size."""
    arch = config.matrix.arch
    regions = 2 * len(widths) + len(widths) - 1
    rest = config.buffer_size - RECORD_BYTES * sum(widths[1:]) - regions * (arch.rows + config.banks)
    most = min(arch.accumulator_depth, rest // (2 * sum(_rows(config, 1, width).x_stride for width in widths)))
    if most < 1:
        raise CompileError(f"buffer_size must have room for two images and the parameters, not {config.buffer_size}")
    return -(-count // -(-count // most))
