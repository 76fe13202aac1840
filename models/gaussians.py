"""Points on a line and in the plane, for networks that generate: data whose density is known.

    p(x) = 1/k Σᵢ N(x; mᵢ, σ² I)

    gaussian    one mode on a line, m = 1, σ = ½
    ring        8 in the plane, on a circle of radius 2, σ = 0.02 (L. Metz, B. Poole, D. Pfau and
                J. Sohl-Dickstein 2017, "Unrolled generative adversarial networks", ICLR)
    grid        25 in the plane, at {−4, −2, 0, 2, 4}², σ = 0.05 (A. Srivastava, L. Valkov,
                C. Russell, M. U. Gutmann and C. Sutton 2017, "VEEGAN: reducing mode collapse in
                GANs using implicit variational learning", NIPS)

Samples in the plane are judged as in the last of these papers, 2,500 of them: one is good if it is
no further than 3 σ from the mode that is nearest, and a mode is found if it is the nearest of some
good sample. Of the data themselves, 98.9 % are good. Besides, here, e^H tells a generator that
covers all modes alike from one that strays to some of them once, with H the entropy of which mode
good samples belong to: the spread, in modes.

Generator and discriminator have two hidden layers of tanh units.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import TensorDataset
from minigrad.optim.lr_scheduler import CosineAnnealingLR
from minigrad.tensor import Tensor
from models import pictures
from models.data import DataSet, Examples
from models.rivals import Rivals, RivalTraining, draw_duel

SAMPLES = 2500  # to judge
TESTS = 10_000
NEAR = 3.0  # a good sample is so many standard deviations from a mode at most


@dataclass(frozen=True, eq=False)
class Mixture:
    """Normal distributions of one standard deviation, all equally likely.

    Attributes:
        means: (k, d).
        deviation: σ.
    """

    means: np.ndarray
    deviation: float

    @property
    def classes(self) -> tuple[str, ...]:
        """Where the modes are, in words."""
        return tuple(f"({', '.join(f'{m:.3g}' for m in mean)})" for mean in self.means)

    def draw(self, count: int, rng: np.random.Generator) -> TensorDataset:
        """Points (count, d), float32, and the numbers of the modes that they belong to."""
        modes = rng.integers(0, len(self.means), count)
        noise = rng.standard_normal((count, self.means.shape[1]))
        return TensorDataset((self.means[modes] + self.deviation * noise).astype("float32"), modes)

    def distances(self, x: np.ndarray) -> np.ndarray:
        """Between points (n, d) and modes, (n, k)."""
        return np.linalg.norm(x[:, None] - self.means, axis=-1)

    def density(self, x: np.ndarray) -> np.ndarray:
        """p of points (n, d), (n,)."""
        variance = self.deviation**2
        normaliser = (2.0 * np.pi * variance) ** (0.5 * self.means.shape[1])
        return np.exp(-0.5 * self.distances(x) ** 2 / variance).mean(1) / normaliser

    def measure(self, x: np.ndarray) -> dict[str, float]:
        """How many modes points (n, d) find, over how many they spread, and which part is good."""
        distances = self.distances(x)
        good = distances.min(1) <= NEAR * self.deviation
        counts = np.bincount(distances.argmin(1)[good], minlength=len(self.means))
        part = counts[counts > 0] / max(1, good.sum())
        spread = np.exp(-(part * np.log(part)).sum()) if len(part) else 0.0
        return {
            "modes": float((counts > 0).sum()),
            "spread": float(spread),
            "good_samples": float(good.mean()),
        }


_ANGLES = 2.0 * np.pi * np.arange(8) / 8
_TICKS = np.arange(-4.0, 5.0, 2.0)

MIXTURES = {
    "gaussian": Mixture(np.array([[1.0]]), 0.5),
    "ring": Mixture(2.0 * np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], 1), 0.02),
    "grid": Mixture(np.stack(np.meshgrid(_TICKS, _TICKS), -1).reshape(-1, 2), 0.05),
}


def points(name: str, examples: int, seed: int) -> DataSet:
    """The data set: `examples` points to learn, and 10,000 others.

    Raises:
        ValueError: there are no points to draw.
    """
    if examples < 1:
        raise ValueError(f"{name}: --examples wants a positive integer, got {examples}")
    mixture = MIXTURES[name]

    def read() -> tuple[TensorDataset, TensorDataset]:
        train, test = (np.random.default_rng([seed, part]) for part in range(2))
        return mixture.draw(examples, train), mixture.draw(TESTS, test)

    return DataSet(name, read, mixture.means.shape[1:], mixture.classes)


def mixture_of(classes: tuple[str, ...]) -> Mixture:
    """The mixture whose modes are called so."""
    return next(mixture for mixture in MIXTURES.values() if mixture.classes == classes)


# ---------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------


class PointDiscriminator(nn.Module):
    """Points (n, d) → outputs (n,)."""

    def __init__(self, dimensions: int, hidden: int) -> None:
        super().__init__()
        self.layers = two_hidden_layers(dimensions, hidden, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x).reshape(-1)


def two_hidden_layers(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """(n, inputs) → (n, outputs)."""
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.Tanh(),
        nn.Linear(hidden, hidden),
        nn.Tanh(),
        nn.Linear(hidden, outputs),
    )


def point_rivals(data: DataSet, code: int, hidden: int) -> Rivals:
    """The networks for points, from `code` numbers of noise, with `hidden` units a layer.

    Raises:
        ValueError: one of the numbers is not positive.
    """
    for name, count in (("code", code), ("hidden", hidden)):
        if count < 1:
            raise ValueError(f"{data.name}: --{name} wants a positive integer, got {count}")
    (dimensions,) = data.shape
    generator = two_hidden_layers(code, hidden, dimensions)
    return Rivals(generator, PointDiscriminator(dimensions, hidden), code)


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


def forgetful_adam(network: nn.Module, lr: float) -> optim.Optimizer:
    """Adam with β = (0, 0.9): with a longer memory each still runs from where the other was, and
    they circle around each other."""
    return optim.Adam(network.parameters(), lr=lr, betas=(0.0, 0.9))


class PointTraining(RivalTraining):
    """Rivals, of a kind that another base class says, that learn points.

    Settings: lr, which falls along half a cosine unless the setting `schedule` is "constant".
    """

    def __init__(self, network: Rivals, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.mixture = mixture_of(data.classes)
        steps = settings.epochs * len(self.loader)
        least = settings.lr if settings.schedule == "constant" else 0.0
        self.schedules = [
            CosineAnnealingLR(optimizer, steps, least)
            for optimizer in (self.generator_optimizer, self.discriminator_optimizer)
        ]

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        measured = super().step(*batch)
        for schedule in self.schedules:
            schedule.step()
        return measured

    def state_dict(self) -> dict[str, Any]:
        states = [schedule.state_dict() for schedule in self.schedules]
        return super().state_dict() | {"schedules": states}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for schedule, kept in zip(self.schedules, state["schedules"], strict=True):
            schedule.load_state_dict(kept)


class PlaneTraining(PointTraining):
    """Rivals, of a kind that another base class says, that learn a mixture in the plane.

    Settings, besides: optimizer, a word.

    Attributes:
        fixed: the noise of the 2,500 samples that are judged after every epoch.
    """

    fixed_samples = SAMPLES

    def __init__(self, network: Rivals, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.metric = "good_samples"

    def optimizer_of(self, network: nn.Module) -> optim.Optimizer:
        if self.settings.optimizer == "rmsprop":
            return optim.RMSprop(network.parameters(), lr=self.settings.lr)
        return forgetful_adam(network, self.settings.lr)

    def evaluate(self) -> dict[str, float]:
        return self.mixture.measure(self.snapshots[-1].numpy())

    def over_time(self) -> list[dict[str, float]]:
        """What the samples of each epoch measure."""
        snapshots = self.snapshots.numpy()
        return [
            {"epoch": i + 1.0, **self.mixture.measure(samples)}
            for i, samples in enumerate(snapshots)
        ]

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        if not history:
            return
        made = pictures.figure(9.0, 5.4)
        parts: Any = made.subfigures(2, 1)
        above, below = parts
        draw_duel(above, history)
        draw_measures(below, {"": self.over_time()}, self.mixture)
        pictures.save(made, folder / "progress.png")
        draw_scatter({"": self.snapshots.numpy()}, self.mixture, folder / "scatter.png")

    def report(self) -> str:
        of_data = self.mixture.measure(self.test.tensors[0].numpy()[:SAMPLES])
        lines = [f"{SAMPLES} of the data themselves: {described(of_data, self.mixture)}"]
        if len(self.snapshots):
            lines.append(f"{SAMPLES} samples: {described(self.evaluate(), self.mixture)}")
        return "\n".join(lines)

    def sample(self, count: int, folder: Path) -> str:
        z = self.network.noise(count)
        samples = self.drawn(z, mg.zeros(count)).numpy()
        draw_scatter({"": samples[None]}, self.mixture, folder / "samples.png")
        return f"{count} samples: {described(self.mixture.measure(samples), self.mixture)}"


def described(measured: Mapping[str, float], mixture: Mixture) -> str:
    """What `Mixture.measure` says, in words."""
    return (
        f"{measured['modes']:.0f} of {len(mixture.means)} modes found, spread over "
        f"{measured['spread']:.1f}, {100.0 * measured['good_samples']:.1f} % good"
    )


def draw_measures(
    made: Any, measured: Mapping[str, list[dict[str, float]]], mixture: Mixture
) -> None:
    """Modes and the part of good samples over the epochs, of several generators by their names,
    as `PlaneTraining.over_time` gives them."""
    modes, good = pictures.grid(made, 1, 2)[0]
    colours = (pictures.BLUE, pictures.ORANGE)
    for (name, history), colour in zip(measured.items(), colours, strict=False):
        epochs = [entry["epoch"] for entry in history]
        style: dict[str, Any] = {"color": colour, "markersize": 3}
        label = f"{name}: " if name else ""
        for what, line in (("modes", "o-"), ("spread", ":")):
            values = [entry[what] for entry in history]
            modes.plot(epochs, values, line, **style, label=f"{label}{_DRAWN[what]}")
        shares = [100.0 * entry["good_samples"] for entry in history]
        good.plot(epochs, shares, "o-", **style, label=name)
    modes.set(ylim=(0.0, 1.05 * len(mixture.means)), ylabel="modes")
    modes.set_title(f"How many of {len(mixture.means)} modes are found")
    modes.legend()
    good.set(ylim=(0.0, 105.0), ylabel="good samples (%)")
    good.set_title("Samples within three standard deviations of a mode")
    if len(measured) > 1:
        good.legend()
    for axes in (modes, good):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)


_DRAWN = {"modes": "found", "spread": "spread of the samples"}


def draw_scatter(snapshots: Mapping[str, np.ndarray], mixture: Mixture, path: Path) -> None:
    """Samples (epochs, n, 2) of several generators, by their names, after some of the epochs."""
    epochs = len(next(iter(snapshots.values())))
    shown = np.unique(np.geomspace(1, epochs, 5).round().astype(int))
    rows = len(snapshots)
    made = pictures.figure(max(4.5, 1.9 * len(shown) + 0.5), 2.2 * rows + 0.4)
    made.suptitle(f"Samples (blue) and the {len(mixture.means)} modes (orange)", x=0.01, ha="left")
    panels = pictures.grid(made, rows, len(shown), sharex=True, sharey=True)
    limit = 1.3 * np.abs(mixture.means).max()
    for row, (name, kept) in zip(panels, snapshots.items(), strict=True):
        row[0].set_ylabel(f"{name}\nx₂" if name else "x₂")
        for axes, epoch in zip(row, shown, strict=True):
            _scatter(axes, kept[epoch - 1], mixture)
            axes.set(xlim=(-limit, limit), ylim=(-limit, limit), aspect="equal")
    for axes, epoch in zip(panels[0], shown, strict=True):
        axes.set_title(f"epoch {epoch}" if epochs > 1 else "")
    for axes in panels[-1]:
        axes.set_xlabel("x₁")
    pictures.save(made, path)


def _scatter(axes: Axes, x: np.ndarray, mixture: Mixture) -> None:
    """Points (n, 2) among the modes."""
    style: dict[str, Any] = {"edgecolor": pictures.ORANGE, "linewidth": 0.8}
    axes.scatter(mixture.means[:, 0], mixture.means[:, 1], s=45, facecolor="none", **style)
    axes.scatter(x[:, 0], x[:, 1], s=2, color=pictures.BLUE, alpha=0.3, linewidth=0.0)


_POINTS: dict[str, int | float | str] = {
    "batch_size": 128,
    "code": 16,
    "hidden": 128,
    "examples": 51_200,
}
PLANE: dict[str, dict[str, int | float | str]] = {
    "grid": {"epochs": 50, "lr": 4e-3, "schedule": "falling", "optimizer": "adam", **_POINTS},
    "ring": {"epochs": 40, "lr": 1e-3, "schedule": "constant", "optimizer": "rmsprop", **_POINTS},
}
POINT_CHOICES = {"schedule": ("falling", "constant"), "optimizer": ("adam", "rmsprop")}
POINT_MEANING = {
    "hidden": "units of each of the two hidden layers",
    "examples": "points to learn",
    "schedule": "whether the learning rate falls, along half a cosine",
    "optimizer": "of both networks",
}
