"""Networks that learn one task side by side, so that one run compares them.

What an architecture is good for shows where another of its size, with the same examples in the same
order, does worse. A `Contest` holds such networks, and its training is that of each by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.training import Classification, accuracy, predict

Verdicts = list[list[tuple[str, bool]]]  # of each example, what each contestant says; if right
COLOURS = (pictures.BLUE, pictures.ORANGE, pictures.GREEN)


class Contest(nn.Module):
    """Networks by name. The first is the one that the run is about, and what the contest computes.

    Args:
        contestants: at most as many as there are `COLOURS`.
    """

    def __init__(self, contestants: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.contestants = nn.ModuleDict(contestants)

    @property
    def first(self) -> nn.Module:
        """The network that the run is about."""
        return next(iter(self.contestants.values()))

    def forward(self, x: Tensor) -> Tensor:
        return self.first(x)

    def losses(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The cross-entropy of each contestant."""
        return {
            name: F.cross_entropy(network(x), labels) for name, network in self.contestants.items()
        }


def size_of(network: nn.Module) -> int:
    """How many numbers a network learns."""
    return sum(parameter.size for parameter in network.parameters())


def of_equal_size(build: Callable[[int], nn.Module], size: int) -> nn.Module:
    """The network build(width) that comes nearest to a size, for width 1, 2, …"""
    narrow = wide = build(1)
    width = 1
    while size_of(wide) < size:
        width += 1
        narrow, wide = wide, build(width)
    return min(narrow, wide, key=lambda network: abs(size_of(network) - size))


class ContestTraining(Classification):
    """All contestants learn from the same batches.

    They share no parameter, and Adam treats every number by itself, so that one optimizer trains
    each as if it were alone. What is measured of another than the first has its name in front.

    Attributes:
        titles: what pictures and tables call the contestants.
        examples: what pictures call the examples.
    """

    network: Contest
    titles: ClassVar[Mapping[str, str]]
    examples = "examples"

    def draw(self, x: np.ndarray, truths: list[str], verdicts: Verdicts, path: Path) -> None:
        """Draw examples (n, …), their classes and what is said of them."""
        raise NotImplementedError(f"{type(self).__name__}: defines no draw")

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        losses = self.network.losses(*batch)
        self.optimizer.zero_grad()
        for loss in losses.values():
            loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {self._named(name, "train_loss"): loss.detach() for name, loss in losses.items()}

    def evaluate(self) -> dict[str, float]:
        return {
            self._named(name, "test_accuracy"): accuracy(network, self.test)
            for name, network in self.network.contestants.items()
        }

    def _named(self, name: str, measured: str) -> str:
        return measured if name == self._names()[0] else f"{name}_{measured}"

    def _names(self) -> list[str]:
        return list(self.network.contestants)

    def report(self) -> str:
        """Sizes and accuracies."""
        lines = [f"{'':16}{'numbers':>9}{'test accuracy':>15}"]
        for name, network in self.network.contestants.items():
            found = accuracy(network, self.test)
            lines.append(f"{self.titles[name]:16}{size_of(network):9,}{found:15.4f}")
        return "\n".join(lines)

    def verdicts(self, x: Tensor, labels: Tensor) -> Verdicts:
        """What each contestant takes each of x for, in words, and whether that is right."""
        data = TensorDataset(x, labels)
        said = []
        for name, network in self.network.contestants.items():
            probabilities, truths = predict(network, data)
            guesses = probabilities.argmax(1)
            words = [f"{self.titles[name]}: {self.classes[guess]}" for guess in guesses]
            said.append(list(zip(words, (guesses == truths).tolist(), strict=True)))
        return [list(of_one) for of_one in zip(*said, strict=True)]

    def show(self, x: Tensor, labels: Tensor, path: Path) -> None:
        """Draw examples and what each contestant says of them."""
        truths = [self.classes[label] for label in labels.numpy()]
        self.draw(x.numpy(), truths, self.verdicts(x, labels), path)

    def sample(self, count: int, folder: Path) -> str:
        chosen = mg.randperm(len(self.test))[:count]
        x, labels = (tensor[chosen] for tensor in self.test.tensors)
        self.show(x, labels, folder / "answers.png")
        return ""

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        self._draw_learning(history, folder / "curves.png")
        for name, network in self.network.contestants.items():
            probabilities, labels = predict(network, self.test)
            what = f"test {self.examples} shown to {self.titles[name]}"
            path = folder / f"confusion-{name}.png"
            pictures.confusion(probabilities.argmax(1), labels, self.classes, path, what)

    def _draw_learning(self, history: list[dict[str, Any]], path: Path) -> None:
        """Training loss and test accuracy of every contestant over the epochs."""
        if not history:
            return
        epochs = [entry["epoch"] for entry in history]
        ends = []
        made = pictures.figure(8.0, 3.2)
        panels = pictures.grid(made, 1, 2)[0]
        for name, colour in zip(self._names(), COLOURS, strict=False):
            for axes, measured in zip(panels, ("train_loss", "test_accuracy"), strict=True):
                values = [entry[self._named(name, measured)] for entry in history]
                label = self.titles[name]
                axes.plot(epochs, values, "o-", color=colour, markersize=3, label=label)
            ends.append(f"{self.titles[name]} {values[-1]:.3f}")
        made.suptitle(f"Test accuracy at the end: {', '.join(ends)}", x=0.01, ha="left")
        panels[0].set_ylabel("mean training loss of the epoch")
        panels[0].legend()
        panels[0].set_ylim(bottom=0.0)
        panels[1].set_ylabel("test accuracy")
        for axes in panels:
            axes.set_xlabel("epoch")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
        pictures.save(made, path)


def tally(what: str, verdicts: Verdicts) -> str:
    """A title: how many of some examples each contestant recognises."""
    counts = [sum(right for _, right in of_one) for of_one in zip(*verdicts, strict=True)]
    names = [text.partition(":")[0] for text, _ in verdicts[0]]
    said = ", ".join(f"{name} {count}" for name, count in zip(names, counts, strict=True))
    return f"Recognised, of {len(verdicts)} {what}: {said}"


def write_beneath(axes: Axes, said: Sequence[tuple[str, bool]]) -> None:
    """What the contestants say, in lines beneath a panel; mistakes in colour."""
    for i, (text, right) in enumerate(said):
        axes.annotate(
            text,
            (0.5, 0.0),
            xytext=(0, -3 - 10 * i),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="center",
            va="top",
            fontsize=7.5,
            color="k" if right else pictures.ORANGE,
        )
