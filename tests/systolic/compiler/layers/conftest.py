"""Layers against plain numpy, on the emulator."""

import numpy as np
import pytest

from systolic.compiler import Builder
from systolic.compiler.layout import Layout
from systolic.compiler.quantise import Requantisation
from systolic_sim.emulator import Emulator
from systolic_sim.golden.requantise import requantise


class Numpy:
    """What layers have to compute, in a few lines each."""

    @staticmethod
    def scale(rng, channels):
        """A scale per channel that leaves something of sums of ordinary size; a zero point and bounds."""
        return Requantisation(bias=rng.integers(-3000, 3000, channels), shift=np.full(channels, -7), zero_point=3,
                              multiplier=rng.integers(1 << 30, 1 << 31, channels), low=-100, high=120)

    @staticmethod
    def windows(x, kernel, step, before, padding):
        """[height, width, kernel, kernel, channels]: what each window sees of a map."""
        around = [(before, kernel + step)] * 2 + [(0, 0)]
        bordered = np.pad(x, around, constant_values=padding).astype(np.int32)
        height, width = (-(-size // step) for size in x.shape[:2])
        return np.stack([[bordered[step * row:step * row + kernel, step * column:step * column + kernel]
                          for column in range(width)] for row in range(height)])

    @staticmethod
    def requantised(sums, scale):
        return requantise(sums + np.asarray(scale.bias, np.int32), scale.multiplier, scale.shift, **scale.fields)

    @classmethod
    def convolution(cls, x, w, scale, *, step=1, before=None, padding=0):
        before = (len(w) - 1) // 2 if before is None else before
        windows = cls.windows(x, len(w), step, before, padding)
        return cls.requantised(np.einsum("hwyxi,yxio->hwo", windows, w.astype(np.int32)), scale)

    @classmethod
    def depthwise(cls, x, w, scale, *, step=1, before=None, padding=0):
        before = (len(w) - 1) // 2 if before is None else before
        windows = cls.windows(x, len(w), step, before, padding)
        return cls.requantised(np.einsum("hwyxc,yxc->hwc", windows, w.astype(np.int32)), scale)


@pytest.fixture
def reference():
    return Numpy


def run(config, place, *inputs, border=(0, 0), padding=0, x_stride=None, out=None):
    """Output of a layer, which ``place(builder)`` places, for its inputs; and the builder."""
    builder = Builder(config)
    tensors = [builder.load(builder.input(
        f"x{number}", Layout.of(*x.shape, border=border, x_stride=x_stride), x, fill=padding))
        for number, x in enumerate(inputs)]
    layer = place(builder)
    y = layer(builder, *tensors, **({} if out is None else {"out": out(builder)}))
    builder.store(y, builder.output("y", y.layout))
    builder.end()
    image = builder.image()
    emulator = Emulator(config, image.memory())
    emulator.run_at(image.programs[0].address, image.programs[0].length)
    return image.output(emulator.memory), builder


@pytest.fixture(name="run")
def run_fixture():
    return run
