"""Convolutions as programs: against numpy, and on the compiled hardware."""

import numpy as np
import pytest

from systolic import isa
from systolic.config import Arch, Config
from systolic.tpu_config import TpuConfig, tpu_preset
from systolic_sim import layers
from systolic_sim.cycles.tpu import predict
from systolic_sim.emulator import Emulator
from systolic_sim.golden.requantise import requantise
from systolic_sim.rtl.tpu import TpuRtl

ODD = TpuConfig(name="odd", lanes=3, buffer_size=16384, bus_bytes=16,
                matrix=Config(arch=Arch(rows=5, cols=11, accumulator_depth=64, result_fifo_depth=64)))
SHALLOW = tpu_preset("tpu_4x4")


def requantisation(rng, channels):
    return {"bias": rng.integers(-3000, 3000, channels), "multiplier": rng.integers(1 << 30, 1 << 31, channels),
            "shift": np.full(channels, -7)}


def direct(x, w, scale, padding):
    """int8 [height, width, outputs]; w [kernel, kernel, inputs, outputs]."""
    kernel, border = w.shape[0], (w.shape[0] - 1) // 2
    bordered = np.pad(x, ((border, kernel),) * 2 + ((0, 0),), constant_values=padding).astype(np.int32)
    height, width, _ = x.shape
    sums = sum(bordered[ky:ky + height, kx:kx + width] @ w[ky, kx].astype(np.int32)
               for ky in range(kernel) for kx in range(kernel))
    return requantise(sums + scale["bias"].astype(np.int32), scale["multiplier"], scale["shift"])


def emulated(tpu, layer):
    emulator = Emulator(tpu, layer.memory.copy())
    for program in layer.programs:
        emulator.run(program)
    return emulator.memory[layer.output].view(np.int8)


def random_layer(tpu, seed, kernel, inputs, outputs, size=(6, 6)):
    rng = np.random.default_rng(seed)
    x, w = (rng.integers(-128, 128, shape, np.int8) for shape in ((*size, inputs), (kernel, kernel, inputs, outputs)))
    scale, padding = requantisation(rng, outputs), int(rng.integers(-128, 128))
    return layers.convolution(tpu, x, w, padding=padding, **scale), direct(x, w, scale, padding)


# The 13 output channels on 11 columns leave two, which are computed for 2 x 2 pixels at once; not on 5 x 7 pixels.
@pytest.mark.parametrize("tpu, kernel, inputs, outputs, size", [
    (SHALLOW, 3, 6, 8, (6, 6)), (SHALLOW, 1, 4, 5, (6, 6)), (SHALLOW, 5, 3, 2, (6, 6)),
    (ODD, 3, 4, 13, (6, 6)), (ODD, 3, 4, 13, (5, 7)), (ODD, 3, 7, 22, (4, 6)), (ODD, 1, 9, 3, (6, 6))],
    ids=lambda value: getattr(value, "name", None))
def test_convolution(tpu, kernel, inputs, outputs, size):
    layer, expected = random_layer(tpu, 7, kernel, inputs, outputs, size)
    np.testing.assert_array_equal(emulated(tpu, layer).reshape(expected.shape), expected)
    assert layer.macs == expected.size * kernel * kernel * inputs


@pytest.mark.parametrize("tpu, channels", [(SHALLOW, 8), (ODD, 10)], ids=["tpu_4x4", "odd"])
def test_depthwise(tpu, channels):
    rng = np.random.default_rng(8)
    x, w = rng.integers(-128, 128, (6, 5, channels), np.int8), rng.integers(-128, 128, (3, 3, channels), np.int8)
    scale = requantisation(rng, channels)
    layer = layers.depthwise(tpu, x, w, padding=-7, **scale)
    full = np.zeros((3, 3, channels, channels), np.int8)
    full[..., range(channels), range(channels)] = w
    expected = direct(x, full, scale, -7)
    np.testing.assert_array_equal(emulated(tpu, layer).reshape(expected.shape), expected)
    assert layer.macs == expected.size * 9


def test_on_the_hardware():
    """Bytes as in numpy, counters as predicted, and the array hardly ever idle."""
    rtl = TpuRtl(SHALLOW)
    layer, expected = random_layer(SHALLOW, 9, 3, 8, 8)
    address = -(-layer.memory.size // 64) * 64
    memory = np.zeros(address + 4096, np.uint8)
    memory[:layer.memory.size] = layer.memory
    rtl.connect(memory, latency=6)
    for program in layer.programs:
        code = np.frombuffer(isa.encode(program), np.uint8)
        memory[address:address + code.size] = code
        counters = rtl.run(address, len(program)).counters
        predicted = predict(SHALLOW, program, latency=6).counters
        assert {name: value for name, value in counters.items() if value} == {
            name: value for name, value in predicted.items() if value}
        if program is layer.program:
            assert layer.macs / (16 * counters["cycles"]) > 0.8
    np.testing.assert_array_equal(memory[layer.output].view(np.int8).reshape(expected.shape), expected)
