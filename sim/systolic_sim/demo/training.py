"""A multilayer perceptron and its training: plain numpy, a few seconds, everything random from a fixed seed."""

import dataclasses

import numpy as np

from systolic_sim.demo.mnist import SIDE

__all__ = ["Mlp", "gradients", "initial", "shifted", "train"]

#: Images that one step of training looks at.
BATCH = 100

#: Most pixels by which an image is moved for training, in each direction.
SHIFT = 2


@dataclasses.dataclass(frozen=True, eq=False)
class Mlp:
    """Dense layers with ReLU between them.

    Parameters
    ----------
    weights : list of float array [K, N]
    biases : list of float array [N]
        One of each a layer.
    """

    weights: list
    biases: list

    def activations(self, x):
        """Inputs ``x`` [M, K], the outputs of each layer after ReLU, and last the logits, without."""
        outputs = [x]
        for layer, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = x @ w + b
            if layer < len(self.weights) - 1:
                x = np.maximum(x, 0)
            outputs.append(x)
        return outputs

    def classify(self, x):
        """Class of each input."""
        return self.activations(x)[-1].argmax(axis=1)


def initial(widths, rng):
    """Untrained network of those layer widths: normal weights for ReLU, no biases."""
    shapes = list(zip(widths, widths[1:], strict=False))
    return Mlp([rng.standard_normal(shape, np.float32) * np.float32(np.sqrt(2 / shape[0])) for shape in shapes],
               [np.zeros(n, np.float32) for _, n in shapes])


def gradients(mlp, x, labels):
    """Gradient of the mean cross entropy, for the weights and then the biases of each layer.

    Parameters
    ----------
    mlp : Mlp
    x : float array [M, K]
    labels : int array [M]

    Returns
    -------
    list of float array
    """
    activations = mlp.activations(x)
    odds = np.exp(activations[-1] - activations[-1].max(axis=1, keepdims=True))
    slope = odds / odds.sum(axis=1, keepdims=True)
    slope[np.arange(len(x)), labels] -= 1
    slope /= len(x)
    weights, biases = [], []
    for w, inputs in zip(mlp.weights[::-1], activations[-2::-1], strict=True):
        weights.insert(0, inputs.T @ slope)
        biases.insert(0, slope.sum(axis=0))
        slope = (slope @ w.T) * (inputs > 0)
    return weights + biases


def shifted(pixels, rng):
    """The images, each moved by up to :data:`SHIFT` pixels; paper comes in at the edges."""
    images = np.pad(pixels.reshape(-1, SIDE, SIDE), ((0, 0), (SHIFT, SHIFT), (SHIFT, SHIFT)))
    down, right = rng.integers(0, 2 * SHIFT + 1, (2, len(images), 1)) + np.arange(SIDE)
    return images[np.arange(len(images))[:, None, None], down[:, :, None], right[:, None, :]].reshape(-1, SIDE**2)


def train(digits, widths, *, epochs=40, seed=0, progress=None):
    """Train a network by Adam on images moved at random.

    Parameters
    ----------
    digits : Digits
        Images to train on.
    widths : sequence of int
        Inputs, hidden layers, classes.
    epochs : int
        Times that every image is looked at.
    seed : int
        Of the first weights, the order and the moves.
    progress : callable(done, total) or None
        Called after every epoch.

    Returns
    -------
    Mlp
        For inputs from 0 (paper) to 1 (ink).
    """
    rng = np.random.default_rng(seed)
    mlp = initial(widths, rng)
    adam = _Adam(mlp.weights + mlp.biases, epochs * -(-len(digits) // BATCH))
    for epoch in range(epochs):
        order = rng.permutation(len(digits))
        for low in range(0, len(digits), BATCH):
            batch = digits[order[low:low + BATCH]]
            x = shifted(batch.pixels, rng) / np.float32(255)
            adam.step(gradients(mlp, x, batch.labels))
        if progress:
            progress(epoch + 1, epochs)
    return mlp


class _Adam:
    """Kingma and Ba's optimiser, its rate falling linearly to nothing."""

    RATE, MEAN, SQUARE = 2e-3, 0.9, 0.999

    def __init__(self, parameters, steps):
        self._parameters = parameters
        self._means = [np.zeros_like(parameter) for parameter in parameters]
        self._squares = [np.zeros_like(parameter) for parameter in parameters]
        self._steps, self._step = steps, 0

    def step(self, slopes):
        rate = self.RATE * (1 - self._step / self._steps)
        self._step += 1
        rate *= np.sqrt(1 - self.SQUARE**self._step) / (1 - self.MEAN**self._step)
        for parameter, slope, mean, square in zip(self._parameters, slopes, self._means, self._squares, strict=True):
            mean += (1 - self.MEAN) * (slope - mean)
            square += (1 - self.SQUARE) * (slope * slope - square)
            parameter -= np.float32(rate) * mean / (np.sqrt(square) + np.float32(1e-8))
