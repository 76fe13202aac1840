"""The least-squares GAN: a slope for samples that fool the discriminator all too well.

X. Mao, Q. Li, H. Xie, R. Y. K. Lau, Z. Wang and S. P. Smolley 2017, "Least squares generative
adversarial networks", ICCV.

As a GAN (`models.gan`), but the discriminator's output is a number that is to be near b for real
samples and near a for generated ones, and the generator wants it near c:

    discriminator   ½ E_data[(D(x) − b)²] + ½ E_z[(D(G(z)) − a)²]
    generator       ½ E_z[(D(G(z)) − c)²]                               ∂/∂D = D − c

**Where cross-entropy is content.** A sample far beyond the boundary, on the side of the real ones,
is taken for real. −log σ(s) of it has no slope left, −e^(−s), however far from all real samples it
lies. The square's slope grows with the distance, and pulls the sample back to the boundary.

**What is minimised.** For fixed G the best discriminator is

    D* = (b p_data + a p_g) / (p_data + p_g)

With it, and with E_data[(D − c)²] added, which does not depend on the generator's weights, twice
the generator's loss is

    2 C(G) = ∫ ((b − c)(p_data + p_g) − (b − a) p_g)² / (p_data + p_g) dx

which for b − c = 1 and b − a = 2 is the χ² of Pearson between p_data + p_g and 2 p_g. Multiplied
out it is, for any labels, since densities integrate to 1,

    2 C(G) = 2 (b − c)² − 2 (b − c)(b − a) + (b − a)² ∫ p_g² / (p_data + p_g) dx

and the last integral, by the inequality of Cauchy and Schwarz, is least, ½, where p_g = p_data. So
the labels decide how much there is to lose, not for whom.

**Codings** (a, b, c), as in the paper: ``pearson`` is (−1, 1, 0), for which the χ² is minimised,
and ``binary`` is (0, 1, 1), with which samples are to be taken for real ones.

**Is it steadier?** On ``--dataset ring`` and ``grid`` an LSGAN and a GAN learn side by side: from
the same weights, the same batches and the same noise, with the same optimizers.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

import minigrad as mg
from minigrad import nn
from minigrad.tensor import Tensor
from models import gan, pictures
from models.architecture import Architecture
from models.data import DataSet, Examples
from models.gan import CELL, LATTICE, STANDING, PlaneGANTraining
from models.gaussians import (
    MIXTURES,
    PLANE,
    POINT_CHOICES,
    POINT_MEANING,
    SAMPLES,
    Mixture,
    PlaneTraining,
    draw_measures,
    draw_scatter,
    point_rivals,
)
from models.rivals import CHOICES, IMAGES, MEANING, PRESETS, Rivals, RivalTraining, rivals
from models.training import Progress, Training


class Labels(NamedTuple):
    """What the discriminator says of generated samples, a, of real ones, b, and what the generator
    wants it to say, c."""

    a: float
    b: float
    c: float


CODINGS = {"pearson": Labels(-1.0, 1.0, 0.0), "binary": Labels(0.0, 1.0, 1.0)}


def discriminator_loss(real: Tensor, fake: Tensor, labels: Labels) -> Tensor:
    """½ (D − b)² of outputs (n,) on real samples, and ½ (D − a)² of those on generated ones."""
    return 0.5 * ((real - labels.b) ** 2).mean() + 0.5 * ((fake - labels.a) ** 2).mean()


def generator_loss(fake: Tensor, labels: Labels) -> Tensor:
    """½ (D − c)² of outputs (n,)."""
    return 0.5 * ((fake - labels.c) ** 2).mean()


class LSGANTraining(RivalTraining):
    """Both minimise squares. Setting: coding."""

    def __init__(self, network: Rivals, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.labels = CODINGS[settings.coding]
        self.boundary = 0.5 * (self.labels.a + self.labels.b)

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        return discriminator_loss(real, fake, self.labels)

    def generator_loss(self, fake: Tensor) -> Tensor:
        return generator_loss(fake, self.labels)


class PlaneLSGANTraining(PlaneTraining, LSGANTraining):
    """The same among points in the plane."""


# ---------------------------------------------------------------------------------------------
# The theory, by quadrature: densities are given on a lattice of cells, each of the size dx
# ---------------------------------------------------------------------------------------------


def optimal_discriminator(p: np.ndarray, q: np.ndarray, labels: Labels) -> np.ndarray:
    """D* for densities of data and of samples, which are not both 0 anywhere."""
    return (labels.b * p + labels.a * q) / (p + q)


def best_loss(p: np.ndarray, q: np.ndarray, labels: Labels, dx: float = 1.0) -> float:
    """2 C(G) = ∫ (p + q) (D* − c)² dx."""
    difference = optimal_discriminator(p, q, labels) - labels.c
    return float(((p + q) * difference**2).sum() * dx)


def pearson(p: np.ndarray, q: np.ndarray, dx: float = 1.0) -> float:
    """χ² = ∫ (q − p)² / p dx, for p that is 0 nowhere."""
    return float(((q - p) ** 2 / p).sum() * dx)


LOSSES: dict[str, Callable[[Tensor], Tensor]] = {
    "minimax": lambda s: gan.generator_loss(s, "minimax"),
    "non-saturating": lambda s: gan.generator_loss(s, "non_saturating"),
    "least squares": lambda s: generator_loss(s, CODINGS["pearson"]),
}


def slopes(loss: Callable[[Tensor], Tensor], outputs: np.ndarray) -> np.ndarray:
    """The derivative of a generator's loss for one sample by the discriminator's output (n,)."""
    s = mg.tensor(outputs, dtype="float64", requires_grad=True)
    (gradient,) = mg.grad(loss(s), [s])
    return len(outputs) * gradient.numpy()


def theory() -> str:
    """Both claims in numbers: what is minimised, and what slope is left far from the boundary."""
    names = [f"({', '.join(f'{label:g}' for label in labels)})" for labels in CODINGS.values()]
    lines = [
        "2 C(G), minimised by the generator against the best discriminator, for labels (a, b, c);",
        "p_data = N(0, 1), p_g = N(m, 1):",
        f"{'m':>5}{'chi²':>14}" + "".join(f"{name:>14}" for name in names),
    ]
    for mean in (0.0, 0.5, 1.0, 2.0, 3.0):
        p, q = _apart(mean)
        values = [pearson(p + q, 2.0 * q, CELL)]
        values += [best_loss(p, q, labels, CELL) for labels in CODINGS.values()]
        lines.append(f"{mean:5g}" + "".join(f"{found:14.10f}" for found in values))
    outputs = np.array([-8.0, -2.0, 0.0, 2.0, 8.0])
    lines.append("slope of the generator's loss by the discriminator's output:")
    lines.append(f"{'':16}" + "".join(f"{s:12g}" for s in outputs))
    for name, loss in LOSSES.items():
        lines.append(f"{name:16}" + "".join(f"{g:12.6f}" for g in slopes(loss, outputs)))
    return "\n".join(lines)


def _apart(mean: float) -> tuple[np.ndarray, np.ndarray]:
    """The densities of N(0, 1) and N(mean, 1) on the lattice."""
    shifted = Mixture(np.array([[mean]]), 1.0)
    return STANDING.density(LATTICE[:, None]), shifted.density(LATTICE[:, None])


def draw_theory(path: Path) -> None:
    """What the generator minimises, against the best discriminator, as p_g moves over p_data; and
    the slopes of three losses."""
    means = np.linspace(-4.0, 4.0, 81)
    made = pictures.figure(8.0, 3.0)
    left, right = pictures.grid(made, 1, 2)[0]
    style = {"binary": (pictures.ORANGE, "-"), "pearson": (pictures.BLUE, "-")}
    for coding, (colour, line) in style.items():
        labels = CODINGS[coding]
        values = [best_loss(*_apart(mean), labels, CELL) for mean in means]
        name = f"(a, b, c) = ({', '.join(f'{label:g}' for label in labels)})"
        left.plot(means, values, line, color=colour, label=f"2 C(G), {name}")
    chi = [pearson(p + q, 2.0 * q, CELL) for p, q in map(_apart, means)]
    left.plot(means, chi, ":", color="k", linewidth=2.5, label="χ² of Pearson")
    left.set(xlabel="m, where p_g = N(m, 1) and p_data = N(0, 1)", ylabel="2 C(G)", ylim=(0.0, 2.9))
    left.set_title("b − c = 1, b − a = 2 minimises Pearson's χ²")
    left.legend(fontsize=8, loc="upper center")
    s = np.linspace(-6.0, 6.0, 241)
    colours = {"minimax": pictures.GREEN, "non-saturating": pictures.ORANGE}
    for name, loss in LOSSES.items():
        right.plot(s, slopes(loss, s), color=colours.get(name, pictures.BLUE), label=name)
    right.axvline(0.0, color="k", linewidth=0.8)
    right.set(xlabel="output of the discriminator for a sample", ylabel="slope of the loss")
    right.set(ylim=(-3.0, 4.0))
    right.text(0.3, 3.6, "taken for real →", fontsize=8)
    right.text(-0.3, 3.6, "← found out", fontsize=8, ha="right")
    right.set_title("What is taken for real, only squares pull back")
    right.legend(fontsize=8, loc="lower right")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    pictures.save(made, path)


# ---------------------------------------------------------------------------------------------
# Side by side
# ---------------------------------------------------------------------------------------------


class Told(Rivals):
    """Rivals that are told what noise to start from.

    Attributes:
        z: (n, code).
    """

    z: Tensor

    def noise(self, n: int) -> Tensor:
        return self.z


class SideBySide(nn.Module):
    """The same rivals twice, for an LSGAN and for a GAN."""

    def __init__(self, pair: Rivals) -> None:
        super().__init__()
        self.code = pair.code
        self.lsgan = Told(pair.generator, pair.discriminator, pair.code)
        self.gan = copy.deepcopy(self.lsgan)

    def forward(self, z: Tensor) -> Tensor:
        return self.lsgan(z)

    def draw(self, n: int) -> None:
        """Give both the same noise for n samples."""
        self.lsgan.z = self.gan.z = mg.randn(n, self.code)


TITLES = {"lsgan": "LSGAN", "gan": "GAN"}


class StabilityTraining(Training):
    """An LSGAN and a GAN learn from the same batches and the same noise.

    What is measured of the GAN has its name in front. Settings: those of both.
    """

    network: SideBySide

    def __init__(self, network: SideBySide, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.metric = "good_samples"
        network.draw(SAMPLES)
        self.lsgan = PlaneLSGANTraining(network.lsgan, data, settings)
        self.gan = PlaneGANTraining(network.gan, data, settings)

    @property
    def sides(self) -> dict[str, PlaneTraining]:
        """Both, by their names."""
        return {"lsgan": self.lsgan, "gan": self.gan}

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        self.network.draw(len(batch[0]))
        return _joined({name: side.step(*batch) for name, side in self.sides.items()})

    def epoch(self, progress: Progress) -> dict[str, float]:
        measured = super().epoch(progress)
        for side in self.sides.values():
            side.look()
        return measured

    def evaluate(self) -> dict[str, float]:
        return _joined({name: side.evaluate() for name, side in self.sides.items()})

    def report(self) -> str:
        """The theory, and both in the second half of the epochs: modes and spread (least, mean,
        greatest), good samples (mean and standard deviation over epochs)."""
        lines = [theory()]
        for name, side in self.sides.items():
            found = side.over_time()
            late = found[len(found) // 2 :]
            if not late:
                continue
            said = [f"{TITLES[name]}, epochs {len(found) - len(late) + 1} to {len(found)}:"]
            for measured in ("modes", "spread"):
                values = [entry[measured] for entry in late]
                said.append(
                    f"{measured} {np.mean(values):.2f} ({min(values):.4g} to {max(values):.4g}),"
                )
            shares = [100.0 * entry["good_samples"] for entry in late]
            said.append(f"good {np.mean(shares):.1f} % (s.d. {np.std(shares):.1f})")
            lines.append(" ".join(said))
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        draw_theory(folder / "theory.png")
        if not history:
            return
        titled = {TITLES[name]: side for name, side in self.sides.items()}
        made = pictures.figure(9.0, 2.8)
        measured = {title: side.over_time() for title, side in titled.items()}
        draw_measures(made, measured, self.lsgan.mixture)
        pictures.save(made, folder / "stability.png")
        snapshots = {title: side.snapshots.numpy() for title, side in titled.items()}
        draw_scatter(snapshots, self.lsgan.mixture, folder / "scatter.png")

    def sample(self, count: int, folder: Path) -> str:
        self.network.draw(count)
        said = []
        for name, side in self.sides.items():
            (folder / name).mkdir()
            said.append(f"{TITLES[name]}: {side.sample(count, folder / name)}")
        return "\n".join(said)


def _named(side: str, measured: str) -> str:
    return measured if side == "lsgan" else f"{side}_{measured}"


def _joined(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """The measurements of both in one dictionary."""
    return {
        _named(side, name): value
        for side, measured in sides.items()
        for name, value in measured.items()
    }


# ---------------------------------------------------------------------------------------------
# The model
# ---------------------------------------------------------------------------------------------


def _build(data: DataSet, settings: SimpleNamespace) -> Rivals | SideBySide:
    if data.name not in MIXTURES:
        return rivals(data, settings)
    return SideBySide(point_rivals(data, settings.code, settings.hidden))


def _training(network: Any, data: Examples, settings: SimpleNamespace) -> Training:
    kind = StabilityTraining if isinstance(network, SideBySide) else LSGANTraining
    return kind(network, data, settings)


_CODING: dict[str, int | float | str] = {"coding": "pearson"}
_BOTH: dict[str, int | float | str] = {"coding": "binary", "loss": "non_saturating"}

ARCHITECTURE = Architecture(
    title="LSGAN",
    paper="Mao, Li, Xie, Lau, Wang & Smolley 2017, Least squares generative adversarial networks",
    reference="ring: keeps all 8 modes where a GAN collapses (Mao et al. 2017)",
    settings={
        **{data: settings | _CODING for data, settings in IMAGES.items()},
        "ring": PLANE["ring"] | _BOTH,
        "grid": PLANE["grid"] | _BOTH,
    },
    presets=PRESETS,
    meaning=MEANING
    | POINT_MEANING
    | {
        "coding": "the labels (a, b, c): (−1, 1, 0), or (0, 1, 1)",
        "loss": "of the generator of the GAN beside: log(1 − D(G(z))) or −log D(G(z))",
    },
    choices=CHOICES | POINT_CHOICES | {"coding": tuple(CODINGS), "loss": gan.LOSSES},
    cost={"digits": "1 min", "mnist": "10 min", "ring": "1.5 min", "grid": "2 min"},
    build=_build,
    data=gan.find,
    training=_training,
)
