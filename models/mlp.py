"""The multilayer perceptron: layers between input and output, learned by backpropagation.

D. E. Rumelhart, G. E. Hinton and R. J. Williams 1986, "Learning representations by back-propagating
errors", Nature 323, 533-536. The network for MNIST, one hidden layer of 800 units, is that of
P. Y. Simard, D. Steinkraus and J. C. Platt 2003, "Best practices for convolutional neural networks
applied to visual document analysis", ICDAR, who report 1.6 % errors without distorted images.

    h = φ(W₁ x + b₁)        z = W₂ h + b₂        p(class | x) = softmax(z)

The loss is the cross-entropy, −log p(label | x) on average. What no line separates in x, a line may
separate in h: the hidden layer moves XOR's four points to where one does.

φ is the rectifier max(0, ·), and tanh in the network for XOR, where one of two rectifiers easily
dies. Newer than the network are dropout (N. Srivastava et al. 2014), without which 800 units learn
the training images by heart, and Adam (D. P. Kingma and J. Ba 2015), with a learning rate that
falls along half a cosine.

Two hidden units are enough for XOR, and can be drawn, but not every start leads there: of the seeds
0 to 39, 29 do, and the others end in a local minimum of the loss. With four units all do.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet
from models.training import Classification, accuracy


class MLP(nn.Module):
    """One hidden layer: x (n, …) of `inputs` numbers each → z (n, classes).

    Args:
        inputs, hidden, classes: numbers of units.
        activation: φ.
        input_dropout, dropout: the fraction of the inputs and of the hidden units that is dropped.
    """

    def __init__(
        self,
        inputs: int,
        hidden: int,
        classes: int,
        activation: Callable[[Tensor], Tensor] = F.relu,
        input_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.activation = activation
        self.input_dropout = nn.Dropout(input_dropout)
        self.first = nn.Linear(inputs, hidden)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(hidden, classes)

    def hidden(self, x: Tensor) -> Tensor:
        """h = φ(W₁ x + b₁), (n, hidden)."""
        return self.activation(self.first(self.input_dropout(x.reshape(len(x), -1))))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.dropout(self.hidden(x)))


class MLPTraining(Classification):
    """Draws the hidden space of a truth table, and the weights that see an image."""

    network: MLP

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        shape = self.test.tensors[0].shape[1:]
        if len(shape) == 1:
            pictures.curves(history, folder / "curves.png")
            draw_hidden_space(self.network, self.test, folder / "hidden-space.png")
            return
        super().pictures(folder, history)
        strongest = np.argsort(-np.linalg.norm(self.network.second.weight.numpy(), axis=0))[:40]
        tiles = self.network.first.weight.numpy()[strongest].reshape(-1, *shape)[:, 0]
        title = f"Weights of the {len(tiles)} hidden units with the most influence, as images"
        pictures.weights(tiles, title, folder / "first-layer.png")


def draw_hidden_space(network: MLP, table: TensorDataset, path: Path) -> None:
    """A truth table as the network divides it and, if there are two, in the space of its hidden
    units."""
    x, labels = (tensor.numpy() for tensor in table.tensors)
    network.eval()
    with mg.no_grad():
        h = network.hidden(table.tensors[0]).numpy()
    solved = accuracy(network, table) == 1.0
    panels = 2 if h.shape[1] == 2 else 1
    made = pictures.figure(5.2 + 4.4 * (panels - 1), 3.9)
    left, *right = pictures.grid(made, 1, panels)[0]
    shade = pictures.surface(left, pictures.SQUARE, lambda p: F.softmax(network(p), -1)[:, 1])
    for weights, bias in _units(network.first):
        pictures.line(left, weights, bias, color="k", linestyle=":")
    pictures.truth_table_points(left, x, labels)
    left.set_title(
        "Among the inputs XOR takes more than one line" if solved else "XOR is not learned"
    )
    left.set_xlabel("$x_1$ (dotted: where a hidden unit is 0)")
    for axes in right:
        square = (-1.25, 1.25)
        pictures.surface(axes, square, lambda p: F.softmax(network.second(p), -1)[:, 1])
        pictures.truth_table_points(axes, h, labels)
        axes.set(xlim=square, ylim=square, xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        axes.set(xlabel="$h_1$", ylabel="$h_2$")
        if solved:
            axes.set_title("Among the hidden units it takes one")
        _name_points(axes, h, x)
    made.colorbar(shade, ax=[left, *right], label="p(true | x)")
    pictures.save(made, path)


def _name_points(axes: Axes, h: np.ndarray, x: np.ndarray) -> None:
    """Write the inputs beside the points of the hidden space, on the side of its centre."""
    for point, rows in _grouped(h, x):
        inside = [-6.0 if value > 0.0 else 6.0 for value in point]
        axes.annotate(
            "\n".join(f"({row[0]:g}, {row[1]:g})" for row in rows),
            tuple(point),
            xytext=(2.0 * inside[0], inside[1]),
            textcoords="offset points",
            ha="right" if point[0] > 0.0 else "left",
            va="top" if point[1] > 0.0 else "bottom",
        )


def _grouped(h: np.ndarray, x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Points of the hidden space with the inputs that land there, or so near that it looks so."""
    found = []
    left = np.ones(len(h), dtype=bool)
    for point in h:
        near = left & (np.abs(h - point).max(1) < 0.2)
        if near.any():
            found.append((point, x[near]))
        left &= ~near
    return found


def _units(layer: nn.Linear) -> list[tuple[np.ndarray, float]]:
    """The weights and the bias of each unit of a layer."""
    state = layer.state_dict()
    return list(zip(state["weight"].numpy(), state["bias"].numpy(), strict=True))


def _build(data: DataSet, settings: SimpleNamespace) -> MLP:
    return MLP(
        math.prod(data.shape),
        settings.hidden,
        len(data.classes),
        activation=F.tanh if data.name == "xor" else F.relu,
        input_dropout=settings.input_dropout,
        dropout=settings.dropout,
    )


ARCHITECTURE = Architecture(
    title="Multilayer perceptron",
    paper="Rumelhart, Hinton & Williams 1986, Learning representations by back-propagating errors",
    reference="mnist: test_accuracy 0.984 (two layers, 800 hidden units: Simard et al. 2003)",
    settings={
        "digits": {
            "epochs": 80,
            "batch_size": 32,
            "lr": 3e-3,
            "hidden": 256,
            "input_dropout": 0.1,
            "dropout": 0.3,
        },
        "mnist": {
            "epochs": 30,
            "batch_size": 128,
            "lr": 1e-3,
            "hidden": 800,
            "input_dropout": 0.2,
            "dropout": 0.5,
        },
        "xor": {
            "epochs": 300,
            "batch_size": 4,
            "lr": 0.05,
            "hidden": 2,
            "input_dropout": 0.0,
            "dropout": 0.0,
        },
    },
    meaning={
        "hidden": "hidden units",
        "input_dropout": "fraction of the inputs that is dropped in training",
        "dropout": "fraction of the hidden units that is dropped in training",
    },
    cost={"digits": "4 s, 0.2 GiB", "mnist": "1.5 min, 0.4 GiB", "xor": "2 s, 0.2 GiB"},
    build=_build,
    training=MLPTraining,
)
