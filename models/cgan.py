"""The conditional generative adversarial network: digits on demand.

M. Mirza and S. Osindero 2014, "Conditional generative adversarial nets", arXiv:1411.1784.

A generator makes what it likes; told a label y, it has to make that. Both networks get y as a
second input, and the game is that of `models.gan` for every label:

    min over G, max over D:   E[log D(x | y)] + E[log(1 − D(G(z | y) | y))]

Nobody tells G that a sample has the wrong label. But D has seen which images come with which label,
and a perfect 3 that was asked for as a 7 is easily found out.

How y comes in, as one number a class of which one is 1:

    G          beside the noise z
    D, dense   beside the pixels
    D, dcgan   as another channel of the image, which a dense layer makes of y: a map that is
               learned for each class

The convolutional pair is known as cDCGAN. The paper's networks are dense, with maxout units and
dropout; these here are those of `models.rivals`. As there, G maximises log D unless ``--loss
minimax`` asks for what the equation says.

The noise is what the label leaves open. The same noise with another label is another digit in the
same handwriting: slant and stroke belong to z.
"""

from __future__ import annotations

import math
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
    DCDiscriminator,
    DCGenerator,
    DenseDiscriminator,
    DenseGenerator,
    Rivals,
    check_images,
)


class ConditionalGenerator(nn.Module):
    """Noise (n, code) and labels (n,) → samples, by a generator that takes code + classes numbers.

    All conditional networks raise IndexError where a label is not 0 … classes − 1.
    """

    def __init__(self, generator: nn.Module, classes: int) -> None:
        super().__init__()
        self.generator = generator
        self.classes = classes

    def forward(self, z: Tensor, labels: Tensor) -> Tensor:
        return self.generator(joined(z, labels, self.classes))


class DenseConditionalDiscriminator(nn.Module):
    """Images (n, c, h, w) and labels (n,) → outputs (n,)."""

    def __init__(self, shape: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.discriminator = DenseDiscriminator((math.prod(shape) + classes,))

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return self.discriminator(joined(x.reshape(len(x), -1), labels, self.classes))


class DCConditionalDiscriminator(nn.Module):
    """Images (n, c, h, w) and labels (n,) → outputs (n,), by strided convolutions.

    Attributes:
        maps: makes the map (h · w) that is seen beside an image of each class.
    """

    def __init__(self, shape: tuple[int, ...], width: int, classes: int) -> None:
        super().__init__()
        channels, *size = shape
        self.classes = classes
        self.maps = nn.Linear(classes, math.prod(size), bias=False)
        self.discriminator = DCDiscriminator((channels + 1, *size), width)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        maps = self.maps(F.one_hot(labels, self.classes).astype(x.dtype))
        return self.discriminator(mg.concatenate([x, maps.reshape(len(x), 1, *x.shape[2:])], 1))


def joined(x: Tensor, labels: Tensor, classes: int) -> Tensor:
    """(n, d + classes): beside each row of (n, d) as many numbers as classes, 1 at the label.

    Raises:
        IndexError: a label is not 0 … classes − 1 (on a GPU raised by the next value read).
    """
    return mg.concatenate([x, F.one_hot(labels, classes).astype(x.dtype)], 1)


def conditional_rivals(data: DataSet, settings: SimpleNamespace) -> Rivals:
    """The networks for a data set. Settings: network (dense or dcgan), code, width.

    Raises:
        ValueError: code or width is not positive, or the strides do not divide the images.
    """
    check_images(data.shape, settings)
    classes = len(data.classes)
    inputs = settings.code + classes
    generator: nn.Module
    discriminator: nn.Module
    if settings.network == "dense":
        generator = DenseGenerator(inputs, data.shape)
        discriminator = DenseConditionalDiscriminator(data.shape, classes)
    else:
        generator = DCGenerator(inputs, data.shape, settings.width)
        discriminator = DCConditionalDiscriminator(data.shape, settings.width, classes)
    return Rivals(ConditionalGenerator(generator, classes), discriminator, settings.code)


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
