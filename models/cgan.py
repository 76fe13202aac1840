"""The conditional generative adversarial network: digits on demand.

M. Mirza and S. Osindero 2014, "Conditional generative adversarial nets", arXiv:1411.1784.

A generator makes what it likes; told a label y, it has to make that. Both networks get y as a
second input, and the game is that of `models.gan` for every label:

    min over G, max over D:   E[log D(x | y)] + E[log(1 − D(G(z | y) | y))]

Nobody tells G that a sample has the wrong label. But D has seen which images come with which label,
and a perfect 3 that was asked for as a 7 is easily found out.

In both networks y, as one number a class of which one is 1, goes through a dense layer of its own.
For G this makes a vector as long as the noise, which stands beside it; for D another channel of the
image, a map for each class. In the paper, too, y has layers of its own; its networks are dense,
with maxout units and dropout, and these here are those of `models.rivals`. The convolutional pair
is known as cDCGAN. As in `models.gan`, G maximises log D unless ``--loss minimax`` asks for what
the equation says.

The noise is what the label leaves open. The same noise with another label is another digit in the
same handwriting: slant and stroke belong to z.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet, Examples
from models.gan import GANTraining
from models.judge import judge
from models.rivals import (
    CHOICES,
    IMAGES,
    JUDGED,
    MEANING,
    PRESETS,
    Rivals,
    discriminator_for,
    generator_for,
)


class ConditionalGenerator(nn.Module):
    """Noise (n, code) and labels (n,) → samples.

    Args:
        generator: (n, 2 · code) → samples.
        code: how many numbers of noise make a sample.
        classes: labels are 0 … classes − 1; others raise IndexError (on a GPU when the next value
            is read).

    Attributes:
        points: what stands beside the noise for each class, (code, classes), drawn like the noise.
    """

    def __init__(self, generator: nn.Module, code: int, classes: int) -> None:
        super().__init__()
        self.generator = generator
        self.classes = classes
        self.points = nn.Linear(classes, code, bias=False)
        nn.init.normal_(self.points.weight)

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        points = self.points(F.one_hot(labels, self.classes).astype(z.dtype))
        return self.generator(mg.concatenate([z, points], axis=1))


class ConditionalDiscriminator(nn.Module):
    """Images (n, c, h, w) and labels (n,), as for the generator → outputs (n,).

    Args:
        discriminator: images (n, c + 1, h, w) → outputs (n,).
        size: height and width.
        classes: how many labels there are.

    Attributes:
        maps: what is seen beside an image of each class, (h · w, classes).
    """

    def __init__(self, discriminator: nn.Module, size: Sequence[int], classes: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.classes = classes
        self.maps = nn.Linear(classes, math.prod(size), bias=False)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        maps = self.maps(F.one_hot(labels, self.classes).astype(x.dtype))
        beside = maps.reshape(len(x), 1, *x.shape[2:])
        return self.discriminator(mg.concatenate([x, beside], axis=1))


def conditional_rivals(data: DataSet, settings: SimpleNamespace) -> Rivals:
    """The networks for a data set. Settings: network (dense or dcgan), code, width.

    Raises:
        ValueError: code or width is not positive, or the strides do not divide the images.
    """
    channels, *size = data.shape
    classes = len(data.classes)
    generator = generator_for(2 * settings.code, data.shape, settings)
    discriminator = discriminator_for((channels + 1, *size), settings)
    return Rivals(
        ConditionalGenerator(generator, settings.code, classes),
        ConditionalDiscriminator(discriminator, size, classes),
        settings.code,
    )


class CGANTraining(GANTraining):
    """The game of `models.gan`, with the labels of the images for both."""

    def __init__(self, network: Rivals, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        if self.judged:
            self.metric = "agreement"

    def generated(self, generator: nn.Module, z: Tensor, labels: Tensor) -> Tensor:
        return generator(z, labels)

    def outputs(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.network.discriminator(x, labels)

    def evaluate(self) -> dict[str, float]:
        """What the judge says of 10,000 samples, 1,000 of each label."""
        if not self.judged:
            return {}
        labels = mg.arange(JUDGED) % len(self.classes)
        samples = self.drawn(self.network.noise(JUDGED), labels)
        return judge(samples.backend).measure(samples, labels)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        if history:
            self.draw_progress(history, folder / "progress.png")
            self.draw_rows(10, folder / "samples.png")

    def sample(self, count: int, folder: Path) -> str:
        self.draw_rows(count, folder / "samples.png")
        return f"{count} samples of each label"

    def draw_rows(self, count: int, path: Path) -> None:
        """A row of samples for each label, a column for each of `count` draws of noise."""
        classes = len(self.classes)
        z = self.network.noise(count)
        labels = mg.arange(classes * count) // count
        samples = self.drawn(mg.tile(z, (classes, 1)), labels).numpy()
        rows = samples.reshape(classes, count, *samples.shape[1:])
        title = "Samples of each label; every column comes from the same noise"
        pictures.table(rows, [], title, path, self.classes)


_LOSS = {"loss": "non_saturating"}

ARCHITECTURE = Architecture(
    title="Conditional GAN",
    paper="Mirza & Osindero 2014, Conditional generative adversarial nets",
    reference="the judge takes 99.28 % of the test images of MNIST for what they are",
    settings={data: settings | _LOSS for data, settings in IMAGES.items()},
    presets=PRESETS,
    meaning=MEANING | {"loss": "of the generator: log(1 − D) or −log D of its samples"},
    choices=CHOICES | {"loss": ("minimax", "non_saturating")},
    cost={"digits": "1 min", "mnist": "10 min", "mnist, dense": "10 min"},
    build=conditional_rivals,
    training=CGANTraining,
)
