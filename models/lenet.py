"""LeNet-5: convolution, subsampling, convolution, subsampling, and a classifier on top.

Y. LeCun, L. Bottou, Y. Bengio and P. Haffner 1998, "Gradient-based learning applied to document
recognition", Proceedings of the IEEE 86(11), 2278-2324, section II.

A convolution slides small filters over its input: every unit of a feature map sees a patch of the
input and shares its weights with all other units of the map. Subsampling halves the maps, so that
what matters is less and less where a feature was.

    input      1 × 28 × 28
    C1         6 × 28 × 28     filters 5 × 5, padding 2 (the paper pads the images to 32 × 32)
    S2         6 × 14 × 14     maximum of 2 × 2
    C3        16 × 10 × 10     filters 5 × 5
    S4        16 ×  5 ×  5     maximum of 2 × 2
    C5       120 ×  1 ×  1     filters as large as S4
    F6        84               dense
    output    10               dense; p(class | image) = softmax(output)

From the paper are the layers, their sizes and their order: 61,706 numbers here, 60,000 there, where
most maps of C3 see only some of S2's. Modern are the rectifier for the scaled tanh, the maximum for
the trained average, a dense softmax layer with cross-entropy for the radial basis functions, and
Adam with a learning rate that falls along half a cosine. The training images are shifted at random,
on MNIST by up to two pixels, anew in every epoch; the paper reports 99.05 % without distorted
training images and 99.2 % with them.

The 8 × 8 images of the bundled digits are first enlarged to 16 × 16.
"""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet
from models.training import Classification


class LeNet5(nn.Module):
    """LeNet-5 for square images: x (n, channels, size, size) → outputs (n, classes)."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        left = (max(size, 16) // 2 - 4) // 2  # the height of S4
        self.c1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.c3 = nn.Conv2d(6, 16, 5)
        self.c5 = nn.Conv2d(16, 120, left)
        self.f6 = nn.Linear(120, 84)
        self.output = nn.Linear(84, classes)

    def layers(self, x: Tensor) -> dict[str, Tensor]:
        """What every layer computes, by the paper's names."""
        y = {}
        y["C1"] = F.relu(self.c1(enlarged(x)))
        y["S2"] = F.max_pool2d(y["C1"], 2)
        y["C3"] = F.relu(self.c3(y["S2"]))
        y["S4"] = F.max_pool2d(y["C3"], 2)
        y["C5"] = F.relu(self.c5(y["S4"]))
        y["F6"] = F.relu(self.f6(y["C5"].reshape(len(x), -1)))
        y["output"] = self.output(y["F6"])
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)["output"]


def enlarged(images: Tensor) -> Tensor:
    """Images smaller than 16 × 16 as 16 × 16, which is the least that the layers need."""
    if images.shape[-1] >= 16:
        return images
    return F.interpolate(images, size=(16, 16), mode="bilinear")


def shifted(images: Tensor, most: int) -> Tensor:
    """Each image of (n, c, h, w) moved by −most … most pixels along both axes, at random.

    Zeros come in from outside.
    """
    n, c, h, w = images.shape
    padded = F.pad(images, (most, most, most, most))
    top, left = (mg.randint(0, 2 * most + 1, (n, 1, 1, 1)) for _ in range(2))
    rows = top + mg.arange(h).reshape(h, 1)
    columns = left + mg.arange(w)
    return padded[mg.arange(n).reshape(n, 1, 1, 1), mg.arange(c).reshape(c, 1, 1), rows, columns]


class LeNetTraining(Classification):
    """Learns from shifted images."""

    network: LeNet5

    def augmented(self, x: Tensor) -> Tensor:
        return shifted(enlarged(x), self.settings.shift)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        kernels = self.network.c1.weight.numpy()
        title = "The filters of C1, which slide over the image"
        pictures.weights(kernels.reshape(-1, *kernels.shape[2:]), title, folder / "first-layer.png")
        draw_layers(self.network, self.test.tensors[0][:1], self.classes, folder / "layers.png")


def draw_layers(network: LeNet5, image: Tensor, classes: tuple[str, ...], path: Path) -> None:
    """One image (1, c, h, w) on its way through the layers: all maps, and the outputs."""
    network.eval()
    with mg.no_grad():
        layers = {name: values.numpy()[0] for name, values in network.layers(image).items()}
        probabilities = F.softmax(network(image), -1).numpy()[0]
    guess = int(probabilities.argmax())
    title = f"An image on its way through LeNet-5, which takes it for {classes[guess]}"
    title += f" with probability {probabilities[guess]:.3f}"
    made = pictures.figure(9.0, 7.6, title)
    heights = [1.4, 1.6, 0.9, 0.75, 0.55, 0.25, 0.25, 0.7]
    rows = pictures.grid(made, len(heights), 1, height_ratios=heights)[:, 0]
    pictures.show_image(rows[0], image.numpy()[0])
    rows[0].set_title(f"input: {' × '.join(map(str, image.shape[1:]))}")
    for axes, (name, values) in zip(rows[1:-1], layers.items(), strict=False):
        maps = values if values[0].size > 1 else values.reshape(1, 1, -1)
        axes.imshow(_side_by_side(maps), cmap="cividis", vmin=0.0)
        axes.set_axis_off()
        axes.set_title(f"{name}: {' × '.join(map(str, values.shape))}")
    for axes in rows[:-1]:
        axes.set_anchor("W")
    rows[-1].bar(classes, probabilities, color=pictures.BLUE)
    rows[-1].set(ylim=(0.0, 1.0), yticks=(0, 1), title="output: probabilities of the classes")
    pictures.save(made, path)


def _side_by_side(maps: np.ndarray) -> np.ndarray:
    """Feature maps (c, h, w) as one image (h, c·(w + 1) − 1), with gaps that are not drawn."""
    with_gaps = np.pad(maps, ((0, 0), (0, 0), (0, 1)), constant_values=np.nan)
    return np.concatenate(list(with_gaps), axis=1)[:, :-1]


def _build(data: DataSet, settings: SimpleNamespace) -> LeNet5:
    return LeNet5(data.shape[0], data.shape[1], len(data.classes))


_LARGE = {"epochs": 15, "batch_size": 128, "lr": 2e-3, "shift": 2}

ARCHITECTURE = Architecture(
    title="LeNet-5",
    paper="LeCun, Bottou, Bengio & Haffner 1998, Gradient-based learning applied to document "
    "recognition",
    reference="mnist: test_accuracy 0.9905 (LeCun et al. 1998)",
    settings={
        "digits": {"epochs": 60, "batch_size": 32, "lr": 3e-3, "shift": 1},
        "mnist": _LARGE,
        "fashion_mnist": _LARGE,
        "cifar10": _LARGE,
    },
    meaning={"shift": "pixels by which training images are moved at most, at random"},
    cost={
        "digits": "12 s, 0.2 GiB",
        "mnist": "2.5 min, 0.4 GiB",
        "fashion_mnist": "2.5 min, 0.4 GiB",
        "cifar10": "4 min, 0.9 GiB",
    },
    build=_build,
    training=LeNetTraining,
)
