"""Training: gradients against differences, and that it learns."""

import numpy as np
import pytest

from systolic_sim.demo.mnist import Digits
from systolic_sim.demo.training import SHIFT, Mlp, gradients, initial, shifted, train


@pytest.fixture
def rng():
    return np.random.default_rng(1)


def loss(mlp, x, labels):
    logits = mlp.activations(x)[-1]
    return np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(x)), labels])


def test_gradients_are_slopes_of_the_loss(rng):
    start = initial((6, 5, 4, 3), rng)
    mlp = Mlp([w.astype(float) for w in start.weights], [rng.normal(size=b.shape) for b in start.biases])
    x, labels = rng.normal(size=(7, 6)), rng.integers(0, 3, 7)
    for parameter, slope in zip(mlp.weights + mlp.biases, gradients(mlp, x, labels), strict=True):
        assert slope.shape == parameter.shape
        for index in np.ndindex(parameter.shape):
            values = []
            for step in (1e-6, -2e-6):
                parameter[index] += step
                values.append(loss(mlp, x, labels))
            parameter[index] += 1e-6
            assert slope[index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-6)


def test_shifted_moves_and_keeps_the_ink(rng):
    pixels = np.zeros((200, 28, 28), np.uint8)
    pixels[:, 10, 20] = 200
    _, rows, cols = np.nonzero(shifted(pixels.reshape(200, 784), rng).reshape(200, 28, 28))
    assert len(rows) == 200
    span = set(range(-SHIFT, SHIFT + 1))
    assert set(rows - 10) == span and set(cols - 20) == span


def test_learns_and_repeats(rng):
    """Ten blots, one for each digit, under noise: chance is 10 %."""
    labels = rng.integers(0, 10, 1000)
    pixels = rng.integers(0, 60, (1000, 28, 28), np.uint8)
    for k, label in enumerate(labels):
        row, col = 4 + label // 4 * 7, 4 + label % 4 * 6
        pixels[k, row:row + 4, col:col + 4] += 180
    digits = Digits(pixels=pixels.reshape(-1, 784), labels=labels)
    done = []
    mlp = train(digits[:800], (784, 24, 10), epochs=20, progress=lambda *step: done.append(step))
    test = digits[800:]
    assert (mlp.classify(test.pixels / np.float32(255)) == test.labels).mean() > 0.9
    assert done == [(epoch, 20) for epoch in range(1, 21)]
    again = train(digits[:800], (784, 24, 10), epochs=20)
    np.testing.assert_array_equal(again.weights[0], mlp.weights[0])
