"""The generative adversarial network: a forger and the detective who teaches him.

I. Goodfellow, J. Pouget-Abadie, M. Mirza, B. Xu, D. Warde-Farley, S. Ozair, A. Courville and
Y. Bengio 2014, "Generative adversarial nets", NIPS.

A generator turns noise z ~ N(0, 1) into samples G(z), whose distribution p_g it has no formula for.
A discriminator gives the probability D(x) that x is real. One wants this value large, the other
small:

    min over G, max over D:  V(D, G) = E_data[log D(x)] + E_z[log(1 − D(G(z)))]

**The best discriminator.** For fixed G the value is an integral of p_data log D + p_g log(1 − D),
and the integrand is greatest at every x for itself where

    D*(x) = p_data(x) / (p_data(x) + p_g(x))

**The best generator.** With D* the value measures how far p_g is from p_data, by the divergence of
Jensen and Shannon, which is 0 where they are the same and log 2 where they have nothing in common:

    V(D*, G) = −log 4 + 2 JSD(p_data ‖ p_g)
    JSD(p ‖ q) = ½ KL(p ‖ m) + ½ KL(q ‖ m)        m = ½ (p + q)

It is least, −log 4, where p_g = p_data. Then D* is ½ everywhere, and right half the time.

**Taking turns.** The two learn by turns, a batch each. With s for the output of the discriminator's
last layer, D = σ(s), and the losses are

    discriminator               mean of −log D(x) + mean of −log(1 − D(G(z)))
    generator, minimax          mean of log(1 − D(G(z)))        ∂/∂s = −D
    generator, non-saturating   mean of −log D(G(z))            ∂/∂s = −(1 − D)

Where the discriminator finds every sample out, D ≈ 0, the first loss of the generator has no slope.
The second has the same fixed point and its slope is greatest there, which is why the paper, too,
learns with it.

**In one dimension** (``--dataset gaussian``) all this can be seen. The data are N(1, ¼).
``--study optimum`` holds the generator still, with G(z) = z, and compares what the discriminator
learns with D*. ``--study game`` lets both learn.

**In the plane** (``--dataset grid``, ``ring``) it can be counted how many of the modes of a mixture
are found (`models.gaussians`). **Images** come from the networks of `models.rivals`; A. Radford,
L. Metz and S. Chintala 2016 found how to make these convolutional.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from scipy.special import ndtri, xlogy

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.backend import current_backend
from minigrad.core import module_of
from minigrad.optim.lr_scheduler import CosineAnnealingLR
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DATA_SETS, DataSet, Examples
from models.gaussians import (
    MIXTURES,
    PLANE,
    POINT_CHOICES,
    POINT_MEANING,
    Mixture,
    PlaneTraining,
    PointTraining,
    forgetful_adam,
    mixture_of,
    point_rivals,
    points,
)
from models.rivals import (
    CHOICES,
    IMAGES,
    MEANING,
    PRESETS,
    Rivals,
    RivalTraining,
    draw_duel,
    rivals,
)
from models.training import Progress, Training

# ---------------------------------------------------------------------------------------------
# The game
# ---------------------------------------------------------------------------------------------


LOSSES = ("minimax", "non_saturating")


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """−V, of the discriminator's outputs (n,) before the logistic function."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def generator_loss(fake: Tensor, loss: str) -> Tensor:
    """What the generator minimises, one of `LOSSES`, of the discriminator's outputs (n,)."""
    if loss == "minimax":
        return -F.softplus(fake).mean()
    return F.softplus(-fake).mean()


class GANTraining(RivalTraining):
    """The discriminator minimises the cross-entropy of real against fake."""

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return discriminator_loss(real, fake)

    def generator_loss(self, fake: Tensor) -> Tensor:
        return generator_loss(fake, self.settings.loss)


class PlaneGANTraining(PlaneTraining, GANTraining):
    """The same among points in the plane."""


# ---------------------------------------------------------------------------------------------
# The theory, by quadrature: densities are given on a lattice of cells, each of the size dx
# ---------------------------------------------------------------------------------------------


def optimal_discriminator(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """D* = p / (p + q) for densities of data and of samples; ½ where there are neither."""
    total = p + q
    return np.divide(p, total, out=np.full_like(total, 0.5), where=total > 0.0)


def value(d: np.ndarray, p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """V = ∫ p log D + q log(1 − D) dx; with 0 log 0 = 0."""
    return float((xlogy(p, d) + xlogy(q, 1.0 - d)).sum() * dx)


def jensen_shannon(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """JSD(p ‖ q), in nats, from its definition."""
    m = 0.5 * (p + q)
    return 0.5 * _kullback_leibler(p, m, dx) + 0.5 * _kullback_leibler(q, m, dx)


def _kullback_leibler(p: np.ndarray, q: np.ndarray, dx: float) -> float:
    """KL(p ‖ q) = ∫ p log(p / q) dx, where q is 0 nowhere that p is not."""
    ratio = np.divide(p, q, out=np.ones_like(q), where=p > 0.0)
    return float(xlogy(p, ratio).sum() * dx)


LATTICE = np.linspace(-7.0, 7.0, 2801)  # what lies beyond weighs less than 1e-11
CELL = LATTICE[1] - LATTICE[0]
BULK = 0.99  # of p_data + p_g
LEAD = 5.0  # how many times as large as the generator's the discriminator's learning rate is
STANDING = Mixture(np.zeros((1, 1)), 1.0)  # p_g where the generator hands its noise on


def bulk(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Which cells of the lattice hold the middle 99 % of p + q."""
    below = (p + q).cumsum() / (p + q).sum()
    return np.abs(below - 0.5) <= 0.5 * BULK


def on_the_lattice(network: Rivals) -> Tensor:
    """D(x) on the lattice, (2801,)."""
    network.eval()
    with mg.no_grad():
        x = mg.tensor(LATTICE[:, None], dtype="float32").to(current_backend())
        return mg.sigmoid(network.discriminator(x))


class OptimumTraining(Training):
    """The discriminator alone, against a generator that stands still: G(z) = z.

    Settings: lr, which falls along half a cosine, batch_size, epochs.
    """

    network: Rivals

    def __init__(self, network: Rivals, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.metric = "largest_error"
        self.optimizer = optim.Adam(network.discriminator.parameters(), lr=settings.lr)
        steps = settings.epochs * len(self.loader)
        self.schedule = CosineAnnealingLR(self.optimizer, steps)
        densities = (mixture_of(data.classes), STANDING)
        self.p, self.q = (mixture.density(LATTICE[:, None]) for mixture in densities)
        self.best = optimal_discriminator(self.p, self.q)
        self.bulk = bulk(self.p, self.q)

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        x, _ = batch
        fake = self.network(self.network.noise(len(x)))
        discriminator = self.network.discriminator
        loss = discriminator_loss(discriminator(x), discriminator(fake))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"discriminator_loss": loss.detach()}

    def evaluate(self) -> dict[str, float]:
        """How far D is from D* on the bulk, and its value."""
        d = on_the_lattice(self.network).numpy().astype("float64")
        return {
            "largest_error": float(np.abs(d - self.best)[self.bulk].max()),
            "value": value(d, self.p, self.q, CELL),
        }

    def report(self) -> str:
        measured = self.evaluate()
        low, high = LATTICE[self.bulk][[0, -1]]
        of_best = value(self.best, self.p, self.q, CELL)
        divergence = jensen_shannon(self.p, self.q, CELL)
        return "\n".join(
            [
                f"largest |D - D*| for x from {low:.2f} to {high:.2f}: "
                f"{measured['largest_error']:.4f}",
                f"V(D*, G), D* in closed form:  {of_best:.10f}",
                f"-log 4 + 2 JSD:               {-math.log(4.0) + 2.0 * divergence:.10f}",
                f"V(D, G), D as learned:        {measured['value']:.10f}",
            ]
        )

    def sample(self, count: int, folder: Path) -> str:
        self.draw(folder / "optimum.png")
        return self.report()

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        self.draw(folder / "optimum.png")

    def draw(self, path: Path) -> None:
        """D as learned and D*, with the densities that they tell apart, and the difference."""
        d = on_the_lattice(self.network).numpy().astype("float64")
        made = pictures.figure(8.0, 3.2)
        left, right = pictures.grid(made, 1, 2)[0]
        shown = np.abs(LATTICE) <= 4.0
        x = LATTICE[shown]
        left.fill_between(x, self.p[shown], color="0.75", linewidth=0.0, label="p_data")
        left.plot(x, self.q[shown], color=pictures.GREEN, label="p_g")
        left.plot(x, self.best[shown], color="k", linewidth=3.0, alpha=0.35, label="D*")
        left.plot(x, d[shown], "--", color=pictures.BLUE, label="D, learned")
        left.set(xlabel="x", ylabel="density, or probability to be real", ylim=(0.0, 1.0))
        left.set_title("The best discriminator is p_data / (p_data + p_g)")
        left.legend(fontsize=8)
        inside = LATTICE[self.bulk]
        error = (d - self.best)[self.bulk]
        right.plot(inside, error, color=pictures.BLUE)
        right.axhline(0.0, color="k", linewidth=0.8)
        limit = max(0.035, 1.1 * np.abs(error).max())
        right.set(xlabel="x", ylabel="D(x) − D*(x)", ylim=(-limit, limit))
        right.set_title(f"{100.0 * BULK:.0f} % of both: at most {np.abs(error).max():.3f} from it")
        right.grid(alpha=0.3)
        pictures.save(made, path)


class GaussianTraining(PointTraining, GANTraining):
    """Both learn, on a line.

    Attributes:
        fixed: the noise whose samples are looked at: quantiles of its distribution, in order.
        curves: D on the lattice after each epoch, (epochs, 2801).
    """

    fixed_samples = 1000

    def __init__(self, network: Rivals, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.metric = "from_half"
        ranks = (np.arange(self.fixed_samples) + 0.5) / self.fixed_samples
        z = mg.tensor(ndtri(ranks)[:, None], dtype="float32")
        self.fixed = z.to(current_backend())
        self.curves = mg.zeros((0, len(LATTICE)))

    def optimizer_of(self, network: nn.Module) -> optim.Optimizer:
        """The discriminator's learning rate is larger, so that it stays near the best one
        (M. Heusel et al. 2017)."""
        factor = LEAD if network is self.network.discriminator else 1.0
        return forgetful_adam(network, factor * self.settings.lr)

    def epoch(self, progress: Progress) -> dict[str, float]:
        measured = super().epoch(progress)
        seen = on_the_lattice(self.network)
        self.curves = mg.concatenate([self.curves, mg.expand_dims(seen, 0)])
        return measured

    @mg.no_grad()
    def evaluate(self) -> dict[str, float]:
        """What D says of 10,000 test examples and as many samples, how far from ½ that is on
        average, how often it is right, and the mean and the deviation of samples."""
        x, labels = self.test.tensors
        samples = self.drawn(self.network.noise(len(x)), labels)
        self.network.eval()
        outputs = [self.network.discriminator(points) for points in (x, samples)]
        real, fake = (mg.sigmoid(s) for s in outputs)
        said = mg.concatenate([real, fake])
        right = mg.concatenate([real > 0.5, fake <= 0.5])
        return {
            "value": -float(discriminator_loss(*outputs)),
            "mean_on_real": float(real.mean()),
            "mean_on_fake": float(fake.mean()),
            "from_half": float(mg.abs(said - 0.5).mean()),
            "accuracy": float(right.astype("float32").mean()),
            "mean": float(samples.mean()),
            "deviation": float(samples.std()),
        }

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"curves": self.curves.array}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.curves = Tensor(module_of(self.curves.array).asarray(state["curves"]))

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        if not history:
            return
        made = pictures.figure(8.0, 2.8)
        draw_duel(made, history)
        pictures.save(made, folder / "progress.png")
        self.draw(history, folder / "game.png")

    def draw(self, history: list[dict[str, Any]], path: Path) -> None:
        """The first figure of the paper, at up to four moments of the run."""
        shown = np.unique(np.geomspace(1, len(history), 4).round().astype(int))
        title = "What is real (dotted), what is generated (green), and what D makes of it (dashed)"
        made = pictures.figure(2.4 * max(len(shown), 3) + 0.4, 3.8, title)
        panels = pictures.grid(
            made, 2, len(shown), sharex=True, sharey="row", height_ratios=(2.4, 1.0)
        )
        near = (LATTICE >= -2.5) & (LATTICE <= 3.5)
        x = LATTICE[near]
        z = self.fixed.numpy()[:, 0]
        for (above, below), epoch in zip(panels.T, shown, strict=True):
            samples = self.snapshots[int(epoch) - 1].numpy()[:, 0]
            above.plot(x, self.mixture.density(x[:, None]), "k:", label="p_data")
            bins = np.arange(x[0], x[-1] + 0.1, 0.1)
            counts = np.histogram(samples, bins)[0] / (len(samples) * 0.1)
            above.stairs(counts, bins, color=pictures.GREEN, label="p_g")
            d = self.curves[int(epoch) - 1].numpy()[near]
            above.plot(x, d, "--", color=pictures.BLUE, label="D")
            above.set_title(f"epoch {epoch}")
            every = slice(len(z) // 50, None, len(z) // 25)
            for start, end in zip(z[every], samples[every], strict=True):
                below.plot((start, end), (0.0, 1.0), color="k", linewidth=0.5, clip_on=True)
            below.set(xlabel="z below, x above", ylim=(0.0, 1.0), yticks=(0, 1))
            below.set_yticklabels(["z", "x = G(z)"])
            for side in ("top", "bottom"):
                below.spines[side].set_visible(True)
        panels[0, 0].set(xlim=(x[0], x[-1]), ylim=(0.0, 1.25), ylabel="density, or D(x)")
        panels[0, -1].legend(fontsize=8)
        pictures.save(made, path)

    def report(self) -> str:
        measured = self.evaluate()
        return (
            f"samples: mean {measured['mean']:.3f} (data: {self.mixture.means[0, 0]:g}), deviation "
            f"{measured['deviation']:.3f} ({self.mixture.deviation:g})\n"
            f"D(x): {measured['mean_on_real']:.3f} on data, {measured['mean_on_fake']:.3f} on "
            f"samples, on average {measured['from_half']:.3f} from ½; right about "
            f"{100.0 * measured['accuracy']:.1f} %\n"
            f"V(D, G) = {measured['value']:.4f} (-log 4 = {-math.log(4.0):.4f})"
        )

    def sample(self, count: int, folder: Path) -> str:
        samples = self.drawn(self.network.noise(count), mg.zeros(count)).numpy()[:, 0]
        return f"{count} samples: {', '.join(f'{x:.3f}' for x in samples)}"


# ---------------------------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------------------------


def find(name: str, settings: SimpleNamespace) -> DataSet:
    """A data set of images, or points as many as the settings ask for."""
    if name in MIXTURES:
        return points(name, settings.examples, settings.seed)
    return DATA_SETS[name]


def _build(data: DataSet, settings: SimpleNamespace) -> Rivals:
    if data.name not in MIXTURES:
        return rivals(data, settings)
    if data.name != "gaussian":
        return point_rivals(data, settings.code, settings.hidden)
    network = point_rivals(data, 1, settings.hidden)
    if settings.study == "optimum":
        network.generator = nn.Identity()
    return network


def _training(network: Rivals, data: Examples, settings: SimpleNamespace) -> Training:
    if data.train.tensors[0].ndim == 4:
        return GANTraining(network, data, settings)
    if not hasattr(settings, "study"):
        return PlaneGANTraining(network, data, settings)
    kinds = {"game": GaussianTraining, "optimum": OptimumTraining}
    return kinds[settings.study](network, data, settings)


_LOSS: dict[str, int | float | str] = {"loss": "non_saturating"}
_GAUSSIAN: dict[str, int | float | str] = {
    "study": "game",
    "epochs": 100,
    "batch_size": 512,
    "lr": 1e-3,
    "hidden": 64,
    "examples": 25_600,
}
_GAME: dict[str, int | float | str] = {"schedule": "falling", **_LOSS}
_OPTIMUM: dict[str, int | float | str] = {
    "epochs": 20,
    "lr": 3e-3,
    "batch_size": 1024,
    "examples": 204_800,
}
ARCHITECTURE = Architecture(
    title="GAN",
    paper="Goodfellow, Pouget-Abadie, Mirza, Xu, Warde-Farley, Ozair, Courville & Bengio 2014, "
    "Generative adversarial nets",
    reference="at the optimum the discriminator says ½ and its value is −log 4",
    settings={
        **{data: settings | _LOSS for data, settings in IMAGES.items()},
        "gaussian": _GAUSSIAN,
        **{data: settings | _LOSS for data, settings in PLANE.items()},
    },
    presets=PRESETS | {"gaussian": {"game": _GAME, "optimum": _OPTIMUM}},
    meaning=MEANING
    | POINT_MEANING
    | {
        "loss": "of the generator: log(1 − D(G(z))) or −log D(G(z))",
        "study": "what is learned of the normal distribution: the game, or the best discriminator",
    },
    choices=CHOICES
    | POINT_CHOICES
    | {
        "loss": LOSSES,
        "study": ("game", "optimum"),
    },
    cost={
        "digits": "1 min",
        "mnist": "20 min",
        "gaussian": "20 s, 0.2 GiB",
        "gaussian, optimum": "25 s, 0.2 GiB",
        "grid": "1 min, 0.2 GiB",
        "ring": "1 min, 0.2 GiB",
    },
    build=_build,
    data=find,
    training=_training,
)
