"""The data sets that models learn, by name: real images, and the truth tables of logic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import minigrad as mg
from minigrad.data import TensorDataset, cifar10, digits, fashion_mnist, mnist

# The Boolean functions of two inputs x1, x2 that the first models compute, over the rows
# (0, 0), (0, 1), (1, 0), (1, 1); NOT looks at x1 alone.
TRUTH_TABLES = {
    "and": (0, 0, 0, 1),
    "or": (0, 1, 1, 1),
    "not": (1, 1, 0, 0),
    "nand": (1, 1, 1, 0),
    "xor": (0, 1, 1, 0),
}


@dataclass(frozen=True)
class Examples:
    """A labelled data set in memory: what to train with, what to test, the names of the classes."""

    train: TensorDataset
    test: TensorDataset
    classes: tuple[str, ...]


@dataclass(frozen=True)
class DataSet:
    """A labelled data set before it is loaded.

    Attributes:
        name: as on the command line.
        read: returns (train, test) on the host.
        shape: of one input, (channels, height, width) for images, (inputs,) for truth tables.
        classes: what the labels 0, 1, … mean.
    """

    name: str
    read: Callable[[], tuple[TensorDataset, TensorDataset]]
    shape: tuple[int, ...]
    classes: tuple[str, ...]

    def load(self, backend: str) -> Examples:
        """The whole data set on a backend."""
        train, test = (
            TensorDataset(*(tensor.to(backend) for tensor in part.tensors)) for part in self.read()
        )
        return Examples(train, test, self.classes)


def _truth_table(name: str, functions: tuple[str, ...]) -> DataSet:
    """The rows of a truth table; the label is the value, or one value a function if several."""
    x = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    y = np.array([TRUTH_TABLES[function] for function in functions]).T
    if functions == ("not",):
        x, y = x[::2, :1], y[::2]
    if len(functions) == 1:
        y = y[:, 0]

    def read() -> tuple[TensorDataset, TensorDataset]:
        table = TensorDataset(mg.tensor(x, dtype="float32"), mg.tensor(y, dtype="int64"))
        return table, table  # all there is to learn is all there is to test

    return DataSet(name, read, x.shape[1:], ("false", "true"))


_TEN_DIGITS = tuple("0123456789")
_CLOTHES = (
    "T-shirt",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
_OBJECTS = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

DATA_SETS = {
    data.name: data
    for data in (
        DataSet("digits", digits, (1, 8, 8), _TEN_DIGITS),
        DataSet("mnist", mnist, (1, 28, 28), _TEN_DIGITS),
        DataSet("fashion_mnist", fashion_mnist, (1, 28, 28), _CLOTHES),
        DataSet("cifar10", cifar10, (3, 32, 32), _OBJECTS),
        *(_truth_table(name, (name,)) for name in TRUTH_TABLES),
        _truth_table("logic", tuple(TRUTH_TABLES)),
    )
}


def check_divisible(name: str, shape: tuple[int, ...], stride: int) -> None:
    """Refuse images (c, h, w) whose height or width the strides, altogether, do not divide."""
    size = shape[1:]
    if any(length % stride for length in size):
        below = [length - length % stride for length in size]
        above = [length + -length % stride for length in size]
        near = [" × ".join(map(str, found)) for found in (below, above) if 0 not in found]
        raise ValueError(
            f"{name}: strides of altogether {stride} do not divide images of "
            f"{' × '.join(map(str, size))}; {' or '.join(near)} would do, or other multiples of "
            f"{stride}"
        )
