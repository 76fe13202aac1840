"""Two networks that learn from each other: what all generative adversarial networks share.

A generator makes samples G(z) of noise z ~ N(0, 1), a discriminator says of a sample how real it
looks. They take turns, batch by batch: the discriminator learns to tell real from generated, then
the generator learns, through the discriminator as it is, what would pass for real. What exactly
each minimises is what the kinds differ in (`models.gan`, `models.cgan`, `models.lsgan`).

Each has an optimizer of its own. In the generator's turn the discriminator passes gradients on to
its input and computes none for its weights; in the discriminator's turn the samples are data.

Networks for images, as values from 0 to 1 outside and from −1 to 1 inside:

    dense     noise – 256 – 512 – 1024 – image; image – 1024 – 512 – 256 – 1 with dropout
    dcgan     noise – 8 w maps of 4 × 4 – 4 w of 7 × 7 – 2 w of 14 × 14 – image of 28 × 28;
              image – w maps of 14 × 14 – 2 w of 7 × 7 – 4 w of 4 × 4 – 1; by convolutions of
              stride 2 with kernels 4 × 4, but for the innermost, which have 3 × 3

The second is that of A. Radford, L. Metz and S. Chintala 2016, "Unsupervised representation
learning with deep convolutional generative adversarial networks", ICLR, cut to small images: no
pooling but strides, batch normalisation in both (but not where images come in or go out),
rectifiers in the generator and leaky ones in the discriminator, weights drawn from N(0, 0.02²),
Adam with β₁ = 0.5.

The game goes round and round its equilibrium, so that one epoch's generator is better and the next
one's worse. With ``--average yes`` samples come from the running average of its weights (Y. Yazıcı,
C.-S. Foo, S. Winkler, K.-H. Yap, G. Piliouras and V. Chandrasekhar 2019, "The unusual effectiveness
of averaging in GAN training", ICLR), which is none of the players and changes nothing in the game.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

import minigrad as mg
from minigrad import nn, optim
from minigrad.core import module_of
from minigrad.tensor import Tensor
from models import pictures
from models.data import DataSet, Examples, check_divisible
from models.judge import ZERO, judge, knows
from models.training import Progress, Training, follow, frozen

JUDGED = 10_000  # samples
STRIDES = 4  # of the two outer convolutions together


class Rivals(nn.Module):
    """A generator and a discriminator: noise (n, code) → samples (n, …).

    Args:
        generator: (n, code) → samples (n, …); with labels, if it wants them, as a second input.
        discriminator: samples (n, …) → outputs (n,), larger where they look real; likewise.
        code: how many numbers of noise make a sample.
    """

    def __init__(self, generator: nn.Module, discriminator: nn.Module, code: int) -> None:
        super().__init__()
        self.generator = generator
        self.discriminator = discriminator
        self.code = code

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.generator(*inputs)

    def noise(self, n: int) -> Tensor:
        """z (n, code), drawn from a standard normal distribution."""
        return mg.randn(n, self.code)


# ---------------------------------------------------------------------------------------------
# Networks for images
# ---------------------------------------------------------------------------------------------


class DenseGenerator(nn.Module):
    """Noise (n, code) → images (n, c, h, w)."""

    def __init__(self, code: int, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.Sequential(
            nn.Linear(code, 256),
            nn.LeakyReLU(0.2),
            nn.Linear(256, 512),
            nn.LeakyReLU(0.2),
            nn.Linear(512, 1024),
            nn.LeakyReLU(0.2),
            nn.Linear(1024, math.prod(shape)),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        return 0.5 + 0.5 * self.layers(z).reshape(len(z), *self.shape)


class DenseDiscriminator(nn.Module):
    """Images (n, c, h, w) → outputs (n,)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(math.prod(shape), 1024),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(1024, 512),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(512, 256),
            nn.LeakyReLU(0.2),
            nn.Dropout(0.3),
            nn.Linear(256, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(2.0 * x - 1.0).reshape(-1)


class DCGenerator(nn.Module):
    """Noise (n, code) → images (n, c, h, w), by transposed convolutions."""

    def __init__(self, code: int, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        quarter, eighth = inner_sizes(shape)
        beyond = tuple(n - (2 * m - 1) for n, m in zip(quarter, eighth, strict=True))
        self.start = (8 * width, *eighth)
        self.project = nn.Linear(code, math.prod(self.start), bias=False)
        self.layers = nn.Sequential(
            nn.BatchNorm2d(8 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(8 * width, 4 * width, 3, 2, 1, output_padding=beyond, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, shape[0], 4, 2, 1),
            nn.Tanh(),
        )
        small_weights(self)

    def forward(self, z: Tensor) -> Tensor:
        return 0.5 + 0.5 * self.layers(self.project(z).reshape(len(z), *self.start))


class DCDiscriminator(nn.Module):
    """Images (n, c, h, w) → outputs (n,), by strided convolutions."""

    def __init__(self, shape: tuple[int, ...], width: int) -> None:
        super().__init__()
        _, eighth = inner_sizes(shape)
        self.layers = nn.Sequential(
            nn.Conv2d(shape[0], width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(width, 2 * width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * width),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=False),
            nn.BatchNorm2d(4 * width),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(4 * width * math.prod(eighth), 1),
        )
        small_weights(self)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(2.0 * x - 1.0).reshape(-1)


def inner_sizes(shape: tuple[int, ...]) -> tuple[list[int], list[int]]:
    """Height and width of the maps two and three strides away from images (c, h, w); the third
    halves odd ones too, up."""
    quarter = [length // STRIDES for length in shape[1:]]
    return quarter, [-(-length // 2) for length in quarter]


def small_weights(network: nn.Module) -> None:
    """Draw the weights of all layers but batch normalisation from N(0, 0.02²)."""
    for name, parameter in network.named_parameters():
        if name.endswith("weight") and parameter.ndim > 1:
            nn.init.normal_(parameter, 0.0, 0.02)


def rivals(data: DataSet, settings: SimpleNamespace) -> Rivals:
    """The networks for images of a data set. Settings: those of `IMAGES`.

    Raises:
        ValueError: as `check_images` says.
    """
    return Rivals(
        generator_for(settings.code, data.shape, settings),
        discriminator_for(data.shape, settings),
        settings.code,
    )


def generator_for(inputs: int, shape: tuple[int, ...], settings: SimpleNamespace) -> nn.Module:
    """(n, inputs) → images (n, c, h, w). Settings and errors: as for `rivals`."""
    check_images(shape, settings)
    if settings.network == "dense":
        return DenseGenerator(inputs, shape)
    return DCGenerator(inputs, shape, settings.width)


def discriminator_for(shape: tuple[int, ...], settings: SimpleNamespace) -> nn.Module:
    """Images (n, c, h, w) → outputs (n,). Settings and errors: as for `rivals`."""
    check_images(shape, settings)
    if settings.network == "dense":
        return DenseDiscriminator(shape)
    return DCDiscriminator(shape, settings.width)


def check_images(shape: tuple[int, ...], settings: SimpleNamespace) -> None:
    """Refuse settings that make no networks for images (c, h, w).

    Raises:
        ValueError: code or width is not positive, or the strides do not divide height and width.
    """
    for name in ("code", "width"):
        value = getattr(settings, name, 1)
        if value < 1:
            raise ValueError(f"{settings.network}: --{name} wants a positive integer, got {value}")
    if settings.network == "dcgan":
        check_divisible("dcgan", shape, STRIDES)


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


# How images are learned, for each data set; what only one kind of networks wants is a preset.
IMAGES: dict[str, dict[str, int | float | str]] = {
    "digits": {
        "network": "dcgan",
        "average": "yes",
        "epochs": 40,
        "batch_size": 32,
        "lr": 1e-3,
        "code": 16,
    },
    "mnist": {
        "network": "dcgan",
        "average": "yes",
        "epochs": 9,
        "batch_size": 32,
        "lr": 1e-3,
        "code": 64,
    },
}
PRESETS: dict[str, dict[str, dict[str, int | float | str]]] = {
    "digits": {"dcgan": {"width": 8}, "dense": {"lr": 2e-4}},
    "mnist": {"dcgan": {"width": 16}, "dense": {"lr": 6e-4, "epochs": 13, "batch_size": 64}},
}
CHOICES = {"network": ("dense", "dcgan"), "average": ("yes", "no")}
MEANING = {
    "network": "dense layers, or convolutions as in DCGAN",
    "average": "whether samples come from the running average of the generator",
    "code": "numbers of noise that make a sample",
    "width": "maps of the first convolution of the discriminator, half of the generator's last",
}


class RivalTraining(Training):
    """Discriminator and generator take turns with every batch.

    A subclass says what they minimise. Settings: lr, and average where samples may come from the
    running average of the generator.

    Attributes:
        fixed: the noise (fixed_samples, code) of samples that are looked at from epoch to epoch.
        snapshots: those samples after each epoch, (epochs, fixed_samples, …).
        average: the running average of the generator, or None.
        boundary: outputs of the discriminator above it mean "real".
    """

    network: Rivals
    boundary = 0.0
    fixed_samples = 16

    def __init__(self, network: Rivals, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.generator_optimizer = self.optimizer_of(network.generator)
        self.discriminator_optimizer = self.optimizer_of(network.discriminator)
        self.fixed = network.noise(self.fixed_samples)
        self.shape = data.train.tensors[0].shape[1:]
        self.snapshots = mg.zeros((0, self.fixed_samples, *self.shape))
        self.judged = knows(self.shape, data.classes)
        self.metric = "frechet" if self.judged else "fake_accuracy"
        averaging = getattr(settings, "average", "no") == "yes"
        self.average = copy.deepcopy(network.generator) if averaging else None
        self.steps = 0

    def optimizer_of(self, network: nn.Module) -> optim.Optimizer:
        """Adam as Radford et al. recommend it."""
        return optim.Adam(network.parameters(), lr=self.settings.lr, betas=(0.5, 0.999))

    # -- What the kinds differ in -----------------------------------------------------------------

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """What the discriminator minimises, of its outputs (n,) on real and generated samples."""
        raise NotImplementedError(f"{type(self).__name__}: defines no discriminator_loss")

    def generator_loss(self, fake: Tensor) -> Tensor:
        """What the generator minimises, of the discriminator's outputs (n,) on its samples."""
        raise NotImplementedError(f"{type(self).__name__}: defines no generator_loss")

    def generated(self, generator: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
        """Samples of a generator for noise (n, code) and, where they are the condition, labels
        (n,)."""
        return generator(z)

    def outputs(self, x: Tensor, labels: Tensor) -> Tensor:
        """What the discriminator says of samples (n, …), and of labels where they are the
        condition."""
        return self.network.discriminator(x)

    # -- Learning ---------------------------------------------------------------------------------

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        x, labels = batch
        generated = self.generated(self.network.generator, self.network.noise(len(x)), labels)
        real = self.outputs(x, labels)
        fake = self.outputs(generated.detach(), labels)
        discriminator_loss = self.discriminator_loss(real, fake)
        self.discriminator_optimizer.zero_grad()
        discriminator_loss.backward()
        self.discriminator_optimizer.step()
        with frozen(self.network.discriminator):
            generator_loss = self.generator_loss(self.outputs(generated, labels))
            self.generator_optimizer.zero_grad()
            generator_loss.backward()
        self.generator_optimizer.step()
        self.steps += 1
        if self.average is not None:
            follow(self.average, self.network.generator, self.steps)
        return {
            "discriminator_loss": discriminator_loss.detach(),
            "generator_loss": generator_loss.detach(),
            "real_accuracy": _share(real.detach() > self.boundary),
            "fake_accuracy": _share(fake.detach() <= self.boundary),
        }

    def epoch(self, progress: Progress) -> dict[str, float]:
        measured = super().epoch(progress)
        self.look()
        return measured

    def look(self) -> None:
        """Keep the samples of the fixed noise."""
        seen = self.drawn(self.fixed, self.fixed_labels())
        self.snapshots = mg.concatenate([self.snapshots, mg.expand_dims(seen, 0)])

    @mg.no_grad()
    def drawn(self, z: Tensor, labels: Tensor) -> Tensor:
        """Samples as they are judged and looked at, for noise (n, code) and labels (n,): of the
        average generator if there is one, in pieces."""
        learning = self.network.generator
        generator = (learning if self.average is None else self.average).eval()
        pieces = [slice(i, i + 1000) for i in range(0, len(z), 1000)]
        return mg.concatenate(
            [self.generated(generator, z[piece], labels[piece]) for piece in pieces]
        )

    def fixed_labels(self) -> Tensor:
        """The conditions (fixed_samples,) of the samples that are looked at: 0, 1, … by turns."""
        return mg.arange(self.fixed_samples) % len(self.classes)

    def evaluate(self) -> dict[str, float]:
        """What the judge says of 10,000 samples, if they are to be digits of MNIST."""
        if not self.judged:
            return {}
        labels = mg.arange(JUDGED) % len(self.classes)
        samples = self.drawn(self.network.noise(JUDGED), labels)
        return judge(samples.backend).measure(samples)

    def weights(self) -> dict[str, Any]:
        """Of the networks, with the average generator, if there is one, for the last one."""
        found = self.network.state_dict()
        if self.average is not None:
            found |= {f"generator.{name}": v for name, v in self.average.state_dict().items()}
        return found

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {
            "fixed": self.fixed.array,
            "snapshots": self.snapshots.array,
            "steps": self.steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.steps = state["steps"]
        module = module_of(self.fixed.array)
        self.fixed, self.snapshots = (
            Tensor(module.asarray(state[name])) for name in ("fixed", "snapshots")
        )

    # -- Pictures ---------------------------------------------------------------------------------

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        if not history:
            return
        self.draw_progress(history, folder / "progress.png")
        z = self.network.noise(100)
        samples = self.drawn(z, mg.arange(100) % len(self.classes)).numpy()
        pictures.sheet(samples, "A hundred samples, none of them chosen", folder / "samples.png")

    def draw_progress(self, history: list[dict[str, Any]], path: Path) -> None:
        """Both losses, the accuracies of the discriminator, and samples of the same noise after
        some of the epochs."""
        epochs = len(history)
        shown = np.unique(np.linspace(0, epochs - 1, min(epochs, 8)).round().astype(int))
        made = pictures.figure(9.0, 2.6 + 0.55 * len(shown))
        parts: Any = made.subfigures(2, 1, height_ratios=[2.6, 0.55 * len(shown)])
        above, below = parts
        draw_duel(above, history)
        rows = pictures.grid(below, len(shown), 1)[:, 0]
        for axes, epoch in zip(rows, shown, strict=True):
            images = np.pad(self.snapshots[int(epoch)].numpy(), ((0, 0),) * 3 + ((1, 1),))
            pictures.show_image(axes, np.concatenate(list(images), axis=-1))
            axes.images[0].set_interpolation("nearest")
            label = f"epoch {epoch + 1} "
            axes.text(0.0, 0.5, label, ha="right", va="center", transform=axes.transAxes)
        pictures.save(made, path)

    def sample(self, count: int, folder: Path) -> str:
        samples = self.drawn(self.network.noise(count), mg.arange(count) % len(self.classes))
        pictures.sheet(samples.numpy(), f"{count} samples", folder / "samples.png")
        return ""


def _share(true: Tensor) -> Tensor:
    """The part of (n,) truth values that are true."""
    return true.astype("float32").mean()


def draw_duel(made: Any, history: list[dict[str, Any]]) -> None:
    """Losses of both networks, accuracies of the discriminator and, where there is a judge, the
    Fréchet distance of the samples, over the epochs."""
    last = history[-1]
    judged = "frechet" in last
    panels = pictures.grid(made, 1, 2 + judged)[0]
    losses, accuracies = panels[:2]
    for name, colour in (("discriminator", pictures.BLUE), ("generator", pictures.ORANGE)):
        _draw(losses, history, f"{name}_loss", 1.0, name, colour)
    losses.set(title="What each minimises", ylabel="mean loss of the epoch")
    losses.margins(y=0.3)
    losses.legend(loc="upper center", ncols=2, columnspacing=1.0)
    for name, colour in (("real", pictures.GREEN), ("fake", pictures.GREY)):
        label = "real as real" if name == "real" else "fake as fake"
        _draw(accuracies, history, f"{name}_accuracy", 100.0, label, colour)
    accuracies.axhline(50.0, color="k", linewidth=0.8, linestyle="--")
    accuracies.set(title="What the discriminator tells", ylabel="right answers (%)")
    accuracies.set(ylim=(0.0, 105.0))
    accuracies.legend(loc="lower right")
    if judged:
        distance = panels[2]
        _draw(distance, history, "frechet", 1.0, "samples", pictures.ORANGE)
        distance.axhline(ZERO, color="k", linewidth=0.8, linestyle="--", label="real images")
        distance.set(title=f"Fréchet distance: {last['frechet']:.1f} at the end", yscale="log")
        distance.set_ylabel("to test images")
        distance.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        distance.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        distance.yaxis.set_minor_locator(NullLocator())
        distance.legend()


def _draw(
    axes: Any, history: list[dict[str, Any]], name: str, factor: float, label: str, colour: str
) -> None:
    """One measurement over the epochs."""
    epochs = [entry["epoch"] for entry in history]
    values = [factor * entry[name] for entry in history]
    marker = "o" if len(epochs) < 50 else ""
    axes.plot(epochs, values, color=colour, marker=marker, markersize=3, label=label)
    axes.set_xlabel("epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
