"""The deep belief network: restricted Boltzmann machines, each learned on top of the one below.

G. E. Hinton, S. Osindero and Y.-W. Teh 2006, "A fast learning algorithm for deep belief nets",
Neural Computation 18(7), 1527-1554.

A restricted Boltzmann machine (`models.rbm`) learns the images x. What its hidden units h₁ make of
them are the data of a second machine, with hidden units h₂, and so on. At the top a machine with
visible units (h₂, y), where y is the label as ten units of which one is on, learns which features
go with which label:

    x —w₁— h₁ —w₂— h₂, y —w₃— h₃           784 – 500 – 500, 10 – 2000

Every machine learns from units drawn below it, by persistent contrastive divergence: CD-1, as in
the paper, learns to give back what it sees, but its chains wander off to what are no digits. The
top one remains a machine; the others become layers of a directed network that points down:

    p(x, h₁, h₂, y, h₃) = p(x | h₁) p(h₁ | h₂) p(h₂, y, h₃)

Each machine added improves a lower bound of log p(x), as long as it learns its data better than
what the machine below already says of them.

**It dreams.** Gibbs sampling in the top machine, then one pass down. Where y is held on one label,
the dreams are of that digit: p(x | y). Where x is given, the free energies of the ten (h₂, y) give
p(y | x).

**It classifies.** The weights, upside up, are where a feed-forward network starts:

    hₗ = σ(wₗ hₗ₋₁ + cₗ)        p(y | x) = softmax(wᵧᵀ h₃ + bᵧ)

which learns the labels by back-propagation, with dropout (N. Srivastava et al. 2014) and Adam,
and is judged by its weights on average over the last epochs (P. Izmailov et al. 2018, "Averaging
weights leads to wider optima and better generalization"). This is the fine-tuning of G. E. Hinton
and R. R. Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science
313, who report 1.2 % errors on MNIST if nothing is known about where pixels are. The paper of
2006 fine-tunes the generative weights by wake-sleep ("up-down") and reports 1.25 %. Unlike
theirs, images of MNIST are moved by up to a pixel here, at random, unless ``--shift 0`` leaves
them where they are. And the generative weights stay as the machines learned them, for dreams.

**Few labels.** Only the top machine and the fine-tuning look at labels; the features are learned
from all images. Where an image has no label, the label units are left out of the top machine (as
R. Salakhutdinov, A. Mnih and G. E. Hinton 2007 leave out films that nobody rated).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.core import module_of
from minigrad.data import DataLoader, TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet, Examples
from models.lenet import shifted
from models.rbm import RBM
from models.training import Classification, Progress, follow

UNKNOWN = -1  # the label of an image whose label is not told


class Layer(RBM):
    """A machine whose visible units stand for probabilities; only its hidden units are drawn."""

    def drawn(self, mean: Tensor) -> Tensor:
        return mean


class AssociativeMemory(RBM):
    """The top machine: visible units are features and, of the last `classes` units, one that is on.

    Features stand for probabilities. The label units are a softmax: given h, exactly one is on,
    with p(y | h) = softmax(b + wᵀ h).
    """

    def __init__(self, features: int, classes: int, n_hidden: int) -> None:
        super().__init__(features + classes, n_hidden)
        self.features = features
        self.classes = classes

    def joined(self, features: Tensor, labels: Tensor) -> Tensor:
        """The visible units for features (n, features) and labels (n,); no label unit is on where
        the label is unknown."""
        on = labels.reshape(-1, 1) == mg.arange(self.classes)
        return mg.concatenate([features, on.astype(features.dtype)], axis=1)

    def mean(self, sums: Tensor) -> Tensor:
        f = self.features
        return mg.concatenate([mg.sigmoid(sums[:, :f]), F.softmax(sums[:, f:], -1)], axis=1)

    def drawn(self, mean: Tensor) -> Tensor:
        f = self.features
        below = mg.rand(len(mean), 1) < mean[:, f:].cumsum(-1)
        return self.joined(mean[:, :f], below.argmax(-1))

    def log_normaliser(self, sums: Tensor) -> Tensor:
        f = self.features
        return F.softplus(sums[:, :f]).sum(1) + mg.logsumexp(sums[:, f:], -1)

    @mg.no_grad()
    def gibbs(self, v: Tensor, k: int = 1) -> Tensor:
        """v after k steps; where no label unit is on none will be: they are left out."""
        f = self.features
        known = v[:, f:].sum(1, keepdims=True)
        for _ in range(k):
            v = super().gibbs(v)
            v = mg.concatenate([v[:, :f], v[:, f:] * known], axis=1)
        return v

    @mg.no_grad()
    def label_sums(self, features: Tensor) -> Tensor:
        """−F(features, y) − b · features for every label y, (n, classes), with the features' biases
        b; their softmax is p(y | features)."""
        f = self.features
        of_features = F.linear(features, self.weight[:, :f], self.hidden_bias)
        sums = [
            F.softplus(of_features + self.weight[:, f + y]).sum(1) + self.visible_bias[f + y]
            for y in range(self.classes)
        ]
        return mg.stack(sums, 1)

    @mg.no_grad()
    def dream(self, v: Tensor, steps: int, held: bool) -> Tensor:
        """The visible units v after Gibbs steps, with the labels as they are if they are `held`."""
        labels = v[:, self.features :]
        for _ in range(steps):
            v = self.gibbs(v)
            if held:
                v = mg.concatenate([v[:, : self.features], labels], axis=1)
        return v


class DBN(nn.Module):
    """A deep belief network and the classifier that starts from its weights.

    Args:
        sizes: numbers of units: of the images, and of the hidden layers from there up.
        classes: label units.
        dropout: the fraction of the hidden units that the classifier drops in training, a third of
            it among the inputs.
    """

    machines: Any  # all but the top one, from below; RBMs
    layers: Any  # of the classifier, from below

    def __init__(self, sizes: tuple[int, ...], classes: int, dropout: float = 0.0) -> None:
        super().__init__()
        pairs = list(pairwise(sizes))
        self.machines = nn.ModuleList([Layer(n, m) for n, m in pairs[:-1]])
        self.memory = AssociativeMemory(pairs[-1][0], classes, pairs[-1][1])
        self.layers = nn.ModuleList([nn.Linear(n, m) for n, m in [*pairs, (sizes[-1], classes)]])
        self.input_dropout = nn.Dropout(0.4 * dropout)
        self.dropout = nn.Dropout(dropout)
        for layer in self.layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The classifier: x (n, …) → outputs (n, classes)."""
        h = self.input_dropout(x.reshape(len(x), -1))
        *hidden, last = self.layers
        for layer in hidden:
            h = self.dropout(mg.sigmoid(layer(h)))
        return last(h)

    @mg.no_grad()
    def up(self, x: Tensor, depth: int) -> Tensor:
        """What the lowest `depth` machines make of x (n, …): probabilities, (n, units)."""
        h = x.reshape(len(x), -1)
        for machine in self.machines[:depth]:
            h = machine.hidden(h)
        return h

    @mg.no_grad()
    def down(self, features: Tensor) -> Tensor:
        """Images (n, pixels) for features (n, units): all units as probabilities."""
        for machine in reversed(list(self.machines)):
            features = machine.visible(features)
        return features

    @mg.no_grad()
    def unfold(self) -> None:
        """Give the classifier the weights of the machines."""
        f = self.memory.features
        memory = self.memory
        found = [(machine.weight, machine.hidden_bias) for machine in self.machines]
        found.append((memory.weight[:, :f], memory.hidden_bias))
        found.append((memory.weight[:, f:].T, memory.visible_bias[f:]))
        for layer, (weight, bias) in zip(self.layers, found, strict=True):
            layer.weight.overwrite(weight.array)
            layer.bias.overwrite(bias.array)


class DBNTraining(Classification):
    """First the machines, one after the other from below, then the classifier.

    The learning rate of each machine falls to 0 in a straight line.
    """

    network: DBN

    def __init__(self, network: DBN, data: Examples, settings: SimpleNamespace) -> None:
        self.machines = [*network.machines, network.memory]
        pretraining = settings.pretrain * len(self.machines)
        whole = SimpleNamespace(**{**vars(settings), "epochs": pretraining + settings.epochs})
        super().__init__(network, data, whole)
        self.labelled, self.told = _told(data, settings.labels)
        self.done = 0  # epochs
        self.average = copy.deepcopy(network.layers)
        self.steps = 0  # of the machine that learns
        self.chain = mg.zeros((0, 0))  # where its persistent chains are
        self.layer = 0  # that learned in the last epoch, from 1; the classifier is one more
        self.shape = data.train.tensors[0].shape[1:]
        self.turn()
        labelled_steps = settings.epochs * -(-len(self.labelled) // settings.batch_size)
        self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, labelled_steps)
        mean = mg.clip(data.train.tensors[0].mean(0).reshape(-1), 0.001, 0.999)
        network.machines[0].visible_bias.overwrite(mg.log(mean / (1.0 - mean)).array)

    @property
    def learning(self) -> int:
        """Which machine learns in this epoch; as many as there are: it is the classifier."""
        pretrain = self.settings.pretrain
        return min(self.done // pretrain, len(self.machines)) if pretrain else len(self.machines)

    def turn(self) -> None:
        """Take the images that are to be learned now, all of them or those with a label, and start
        the chains of the machine that is to learn."""
        self.steps = 0
        self.train = self.told if self.learning < len(self.machines) else self.labelled
        n = self.settings.batch_size
        self.loader = DataLoader(self.train, n, shuffle=True, seed=self.settings.seed)
        if self.learning == len(self.machines):
            return
        images = self.train.tensors[0][:n]
        self.chain = self.network.up(images, self.learning)
        if self.learning == len(self.machines) - 1:
            # As large a part of the chains has labels as of the images.
            count = max(1, round(len(images) * len(self.labelled) / len(self.told)))
            rows = mg.arange(len(images))
            labels = mg.where(rows < count, rows % len(self.classes), UNKNOWN)
            self.chain = self.network.memory.joined(self.chain, labels)

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        if self.learning == len(self.machines):
            return super().step(*batch)
        x, labels = batch
        machine = self.machines[self.learning]
        v = self.network.up(x, self.learning)
        if machine is self.network.memory:
            v = machine.joined(v, labels)
        left = 1.0 - self.steps / (self.settings.pretrain * len(self.loader))
        self.steps += 1
        self.chain = machine.pcd_step(v, self.chain, self.settings.pcd_lr * left)
        return {}

    def augmented(self, x: Tensor) -> Tensor:
        return shifted(x, self.settings.shift) if self.settings.shift else x

    def epoch(self, progress: Progress) -> dict[str, float]:
        before = self.learning
        self.layer = before + 1
        classifying = before == len(self.machines)
        if classifying:
            self.exchange()
        measured = super().epoch(progress)
        if classifying:
            pretraining = self.settings.pretrain * len(self.machines)
            follow(self.average, self.network.layers, self.done + 1 - pretraining)
            self.exchange()
        self.done += 1
        if self.learning != before:
            self.turn()
            if self.learning == len(self.machines):
                self.network.unfold()
                self.exchange()
        return {"layer": self.layer, **measured}

    @mg.no_grad()
    def exchange(self) -> None:
        """Swap the weights that learn, which the classifier has during an epoch, and the averages,
        which it has between epochs."""
        pairs = zip(self.network.layers.parameters(), self.average.parameters(), strict=True)
        for weight, other in pairs:
            held = weight.array.copy()
            weight.overwrite(other.array)
            other.overwrite(held)

    @mg.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Of a machine how well it gives back the test images, of the top one and of the classifier
        what they take them for."""
        if self.layer == len(self.machines) + 1:
            return super().evaluate()
        if self.layer == len(self.machines):
            return {"memory_accuracy": self._memory_accuracy()}
        machine = self.machines[self.layer - 1]
        v = self.network.up(self.test.tensors[0], self.layer - 1)
        error = F.mse_loss(machine.visible(machine.hidden(v)), v)
        return {"test_reconstruction": float(error)}

    @mg.no_grad()
    def _memory_accuracy(self) -> float:
        """The fraction of the test images that p(y | x) of the machines is right about."""
        network = self.network
        right: Any = 0
        for x, labels in DataLoader(self.test, 1000):
            sums = network.memory.label_sums(network.up(x, len(network.machines)))
            right = right + (sums.argmax(-1) == labels).sum()
        return float(right) / len(self.test)

    def state_dict(self) -> dict[str, Any]:
        counts = {name: getattr(self, name) for name in _COUNTS}
        return super().state_dict() | counts | {"chain": self.chain.array}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.done = state["done"]
        self.turn()
        super().load_state_dict(state)
        for name in _COUNTS:
            setattr(self, name, state[name])
        self.chain = mg.Tensor(module_of(self.chain.array).asarray(state["chain"]))

    # -- Pictures ---------------------------------------------------------------------------------

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        tuned = [entry for entry in history if "train_loss" in entry]
        super().pictures(folder, tuned)
        if not self.settings.pretrain:
            return
        weight = self.network.machines[0].weight.numpy()
        strongest = np.argsort(-np.linalg.norm(weight, axis=1))[:40]
        tiles = weight[strongest].reshape(-1, *self.shape[1:])
        title = (
            f"What {len(tiles)} units of the first hidden layer look for, learned without labels"
        )
        pictures.weights(tiles, title, folder / "filters.png")
        self.draw_dreams(10, folder / "dreams.png")

    @mg.no_grad()
    def dreams(self, labels: Tensor, steps: int = 1000) -> Tensor:
        """Images (n, pixels) that the network dreams of labels (n,), from random features on."""
        memory = self.network.memory
        features = mg.bernoulli(0.5, (len(labels), memory.features))
        v = memory.dream(memory.joined(features, labels), steps, held=True)
        return self.network.down(v[:, : memory.features])

    def draw_dreams(self, count: int, path: Path) -> float:
        """A row of `count` dreams a label; returns the part that the classifier takes for it."""
        classes = len(self.classes)
        labels = mg.arange(classes * count) // count
        images = self.dreams(labels).reshape(-1, *self.shape)
        self.network.eval()
        with mg.no_grad():
            right = float((self.network(images).argmax(-1) == labels).astype("float32").mean())
        title = f"Dreams of each label; the classifier takes {100.0 * right:.0f} % for it"
        pictures.table(images.numpy().reshape(classes, count, *self.shape), [], title, path)
        return right

    def sample(self, count: int, folder: Path) -> str:
        right = self.draw_dreams(count, folder / "dreams.png")
        return f"{count} dreams of each label; the classifier takes {100.0 * right:.1f} % for it"


_COUNTS = ("done", "steps", "layer")


def _told(data: Examples, count: int) -> tuple[TensorDataset, TensorDataset]:
    """The images that keep their label, `count` of them (0: all), as many of each class; and all
    images, where the others have the label `UNKNOWN`."""
    images, labels = data.train.tensors
    if count == 0:
        return data.train, data.train
    classes = len(data.classes)
    if not classes <= count <= len(labels):
        raise ValueError(f"dbn: labels wants 0 or {classes} to {len(labels)}, got {count}")
    order = mg.randperm(len(labels)).numpy()
    shuffled = labels.numpy()[order]
    chosen = np.concatenate(
        [order[shuffled == label][: count // classes] for label in range(classes)]
    )
    known = np.full(len(labels), UNKNOWN)
    known[chosen] = labels.numpy()[chosen]
    rows = mg.tensor(chosen).to(labels.backend)
    told = mg.tensor(known).to(labels.backend)
    return TensorDataset(images[rows], labels[rows]), TensorDataset(images, told)


def _build(data: DataSet, settings: SimpleNamespace) -> DBN:
    sizes = (math.prod(data.shape), settings.hidden, settings.hidden, settings.top)
    return DBN(sizes, len(data.classes), settings.dropout)


ARCHITECTURE = Architecture(
    title="Deep belief network",
    paper="Hinton, Osindero & Teh 2006, A fast learning algorithm for deep belief nets",
    reference="mnist: test_accuracy 0.9875 (fine-tuned by wake-sleep: Hinton et al. 2006), 0.988 "
    "(by back-propagation: Hinton & Salakhutdinov 2006)",
    settings={
        "digits": {
            "epochs": 30,
            "batch_size": 20,
            "lr": 3e-3,
            "pretrain": 40,
            "pcd_lr": 0.2,
            "hidden": 100,
            "top": 300,
            "dropout": 0.2,
            "shift": 0,
            "labels": 0,
        },
        "mnist": {
            "epochs": 40,
            "batch_size": 100,
            "lr": 2e-3,
            "pretrain": 10,
            "pcd_lr": 0.1,
            "hidden": 500,
            "top": 2000,
            "dropout": 0.3,
            "shift": 1,
            "labels": 0,
        },
    },
    meaning={
        "epochs": "passes over the labelled images, after the pre-training",
        "pretrain": "passes over all images before that, for each machine; 0: random weights",
        "pcd_lr": "learning rate of the machines",
        "hidden": "units of the first and of the second hidden layer",
        "top": "units of the third",
        "dropout": "fraction of the hidden units that the classifier drops in training",
        "shift": "pixels by which images are moved at most, at random, to fine-tune the classifier",
        "labels": "how many training images have a label, as many of each class; 0: all",
    },
    cost={"digits": "12 s, 0.2 GiB", "mnist": "11 min, 0.6 GiB"},
    build=_build,
    training=DBNTraining,
)
