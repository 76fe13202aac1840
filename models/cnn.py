"""Convolution beyond LeNet: why it works, in one, two and three dimensions.

Y. LeCun 1989, "Generalization and network design strategies". In one dimension A. Waibel,
T. Hanazawa, G. Hinton, K. Shikano and K. Lang 1989, "Phoneme recognition using time-delay neural
networks", IEEE Transactions on Acoustics, Speech, and Signal Processing 37, 328-339. In three
S. Ji, W. Xu, M. Yang and K. Yu 2010, "3D convolutional neural networks for human action
recognition", ICML, and D. Tran, L. Bourdev, R. Fergus, L. Torresani and M. Paluri 2015, "Learning
spatiotemporal features with 3D convolutional networks", ICCV.

A dense layer has a weight for every pair of an input and an output. A convolution lets an output
see only the inputs near it, and uses the same weights at every position p:

    y_f(p) = b_f + Σ_c Σ_k w_fc(k) x_c(p + k)

p and k are numbers for a time series, pairs for an image, triples for a clip. The weights do not
depend on p, so that what moves in x moves in y: a convolution is *equivariant*. The mean or the
maximum over all p then forgets where it was: the answer is *invariant*. Subsampling by two keeps
that for moves by even numbers alone.

For each data set, networks of equal size, as nearly as whole numbers of units permit, learn one
task from the same batches, in one run (`contest`).

**Images** (digits, mnist) are learned where they are and tested moved by 0 to 6 pixels along an
axis. They have 28 × 28 pixels: the bundled digits are enlarged to 16 × 16 and put in the middle;
MNIST's may lose ink at the edge. To an MLP moved ink is new, and so it is to the dense layers on
top of LeNet-5: they see maps of 5 × 5, whose steps are four pixels of the image, and convolutions
beneath do not make them invariant. The *sliding* LeNet-5 has the same numbers, but all of its
filters slide over a torus, C5's too, and F6 sees the maximum of each map of C5. A move around the
torus by four pixels, the step of its two subsamplings together, changes nothing in its answer.

**Waveforms** are told apart by shape, at any phase and frequency. A network in one dimension, like
a time-delay network, takes the mean over time at the end. An MLP must learn every phase by itself.

**Moving digits** are told apart by direction. A network in three dimensions sees three frames at
a time; the other sees single frames, and takes the mean of what it says of each. A frame by itself
says nothing of the direction (`moving_digits`), so that it can only guess.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.contest import (
    COLOURS,
    Contest,
    ContestTraining,
    Verdicts,
    of_equal_size,
    size_of,
    tally,
    write_beneath,
)
from models.data import DATA_SETS, DataSet, Examples
from models.lenet import LeNet5, draw_layers, enlarged, shifted
from models.mlp import MLP
from models.moving_digits import moving_digits
from models.training import accuracy
from models.waveforms import waveforms

CANVAS = 28  # pixels of an image's side
FARTHEST = 6  # pixels by which test images are moved

# ---------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------


def on_torus(x: Tensor, kernel: int, axes: int) -> Tensor:
    """x with its last `axes` continued around, so that a kernel leaves them as long as they are."""
    if not axes:
        return x
    return F.pad(x, (kernel // 2, (kernel - 1) // 2) * axes, mode="circular")


class ConvolutionalNetwork(nn.Module):
    """Convolutions in 1, 2 or 3 dimensions, and a dense layer on the means of the last maps.

        h₀ = x        hₗ = relu(bₗ + wₗ ∗ subsampled hₗ₋₁)        z = V (mean of h over p) + c

    Args:
        channels: of the input and of every layer.
        kernel: length of the filters along every axis.
        subsampling: of what is this the maximum, between layers: a length for each axis.
        torus: how many of the last axes go around; along the others, maps get shorter.
        classes: how many outputs.
    """

    def __init__(
        self,
        channels: Sequence[int],
        kernel: int,
        subsampling: tuple[int, ...],
        torus: int,
        classes: int,
    ) -> None:
        super().__init__()
        dimensions = len(subsampling)
        convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dimensions - 1]
        self.kernel, self.subsampling, self.torus = kernel, subsampling, torus
        self.max_pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[dimensions - 1]
        self.convolutions = nn.ModuleList(convolution(c, f, kernel) for c, f in pairwise(channels))
        self.output = nn.Linear(channels[-1], classes)

    def maps(self, x: Tensor) -> list[Tensor]:
        """The feature maps of every layer for x (n, c, positions …)."""
        wanted = self.convolutions[0].weight
        if x.ndim != wanted.ndim or x.shape[1] != wanted.shape[1]:
            axes = ("length", "height, width", "frames, height, width")[wanted.ndim - 3]
            raise ValueError(
                f"ConvolutionalNetwork: x wants the shape (n, {wanted.shape[1]}, {axes}), "
                f"got {x.shape}"
            )
        found: list[Tensor] = []
        for convolution in self.convolutions:
            if found:
                x = self.max_pool(x, self.subsampling)
            x = F.relu(convolution(on_torus(x, self.kernel, self.torus)))
            found.append(x)
        return found

    def forward(self, x: Tensor) -> Tensor:
        last = self.maps(x)[-1]
        return self.output(last.mean(tuple(range(2, last.ndim))))


class FrameByFrame(nn.Module):
    """The mean of what one network for images says of every frame of a clip (n, c, t, h, w)."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 5:
            raise ValueError(
                f"FrameByFrame: x wants the shape (n, channels, frames, height, width), "
                f"got {x.shape}"
            )
        n, c, t, h, w = x.shape
        frames = x.swapaxes(1, 2).reshape(n * t, c, h, w)
        return self.network(frames).reshape(n, t, -1).mean(1)


class SlidingLeNet5(LeNet5):
    """LeNet-5's numbers in layers that do not know where they are.

    All filters slide over a torus, C5's too, and F6 sees the maximum of each map of C5.
    """

    def layers(self, x: Tensor) -> dict[str, Tensor]:
        y = {}
        y["C1"] = self._slide(self.c1, enlarged(x))
        y["S2"] = F.max_pool2d(y["C1"], 2)
        y["C3"] = self._slide(self.c3, y["S2"])
        y["S4"] = F.max_pool2d(y["C3"], 2)
        y["C5"] = self._slide(self.c5, y["S4"])
        y["maximum"] = F.adaptive_max_pool2d(y["C5"], 1)
        y["F6"] = F.relu(self.f6(y["maximum"].reshape(len(x), -1)))
        y["output"] = self.output(y["F6"])
        return y

    def _slide(self, layer: nn.Conv2d, x: Tensor) -> Tensor:
        around = on_torus(x, layer.weight.shape[-1], axes=2)
        return F.relu(F.conv2d(around, layer.weight, layer.bias))


# ---------------------------------------------------------------------------------------------
# Learning
# ---------------------------------------------------------------------------------------------


class CNNTraining(ContestTraining):
    """Draws the filters, the examples and, of images, how the accuracy falls as they move."""

    titles: ClassVar = {
        "lenet": "LeNet-5",
        "sliding": "sliding LeNet-5",
        "mlp": "MLP",
        "convolution": "1-D convolution",
        "volume": "3-D convolution",
        "frames": "frame by frame",
    }

    def __init__(self, network: Contest, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.examples = {3: "waveforms", 4: "images", 5: "clips"}[data.test.tensors[0].ndim]

    def draw(self, x: np.ndarray, truths: list[str], verdicts: Verdicts, path: Path) -> None:
        title = tally(f"{'moved ' * (x.ndim == 4)}test {self.examples}", verdicts)
        (draw_clips if x.ndim == 5 else draw_panels)(x[:, 0], truths, verdicts, title, path)

    def report(self) -> str:
        """Sizes and accuracies, and how the accuracy falls as images move."""
        lines = [super().report()]
        if self.examples == "images":
            lines.append(f"test accuracy on {len(self._few()):,} test images moved by some pixels:")
            lines.append(f"{'':16}" + "".join(f"{pixels:9}" for pixels in range(FARTHEST + 1)))
            for name, curve in self.shift_curves().items():
                lines.append(f"{self.titles[name]:16}" + "".join(f"{v:9.4f}" for v in curve))
        return "\n".join(lines)

    def shift_curves(self) -> dict[str, list[float]]:
        """For each contestant the accuracy on test images moved by 0, 1, … pixels."""
        few = self._few()
        return {name: shift_curve(n, few) for name, n in self.network.contestants.items()}

    def _few(self) -> TensorDataset:
        """At most 2,000 test images, from the whole set: each is moved 25 times."""
        return TensorDataset(*(t[:: math.ceil(len(t) / 2000)] for t in self.test.tensors))

    def show(self, x: Tensor, labels: Tensor, path: Path) -> None:
        super().show(shifted(x, FARTHEST) if self.examples == "images" else x, labels, path)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        x, labels = self.test.tensors
        first = self.network.first
        if isinstance(first, LeNet5):
            curves = {self.titles[name]: curve for name, curve in self.shift_curves().items()}
            draw_shift_curves(curves, folder / "shift.png")
            kernels = first.c1.weight.numpy()[:, 0]
            pictures.weights(kernels, "The filters of C1 of LeNet-5", folder / "filters.png")
            draw_layers(first, x[:1], self.classes, folder / "layers.png")
        if isinstance(first, ConvolutionalNetwork):
            draw_filters(first.convolutions[0].weight.numpy()[:, 0], folder / "filters.png")
        numbers = labels.numpy()
        one_of_each = [np.flatnonzero(numbers == k)[:1] for k in range(len(self.classes))]
        rows = mg.tensor(np.concatenate(one_of_each), backend=x.backend)
        self.show(x[rows], labels[rows], folder / "examples.png")


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """Images (n, c, h, w) moved by so many pixels; zeros come in from outside."""
    return F.pad(images, (right, -right, down, -down))


def shift_curve(network: nn.Module, test: TensorDataset) -> list[float]:
    """The accuracy on images moved by 0, 1, … pixels, each the mean over the four directions."""
    images, labels = test.tensors
    curve = []
    for pixels in range(FARTHEST + 1):
        places = {(pixels, 0), (-pixels, 0), (0, pixels), (0, -pixels)}
        found = [
            accuracy(network, TensorDataset(moved(images, *place), labels)) for place in places
        ]
        curve.append(sum(found) / len(found))
    return curve


# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------


def draw_shift_curves(curves: Mapping[str, Sequence[float]], path: Path) -> None:
    """Accuracy against the distance by which the test images are moved."""
    made = pictures.figure(7.4, 4.0)
    axes = pictures.grid(made, 1, 1)[0, 0]
    for (title, curve), colour in zip(curves.items(), COLOURS, strict=False):
        axes.plot(range(len(curve)), curve, "o-", color=colour, label=title)
    axes.axhline(0.1, color=pictures.GREY, linestyle=":", linewidth=1.0)
    axes.annotate("guessing", (0.0, 0.1), xytext=(0, 3), textcoords="offset points")
    said = ", ".join(f"{title} {curve[-1]:.2f}" for title, curve in curves.items())
    axes.set_title(f"Accuracy on images moved by {FARTHEST} pixels: {said}")
    axes.set_xlabel("pixels by which test images are moved (training images are not)")
    axes.set_ylabel("test accuracy, mean of four directions")
    axes.set_ylim(0.0, 1.02)
    axes.grid(alpha=0.3)
    axes.legend()
    pictures.save(made, path)


def draw_filters(kernels: np.ndarray, path: Path) -> None:
    """The filters of the first layer: (f, k) as curves, (f, t, h, w) as columns of frames."""
    if kernels.ndim == 2:
        made = pictures.figure(9.0, 2.8, "The filters of the first layer, which slide over time")
        panels = pictures.grid(made, 2, len(kernels) // 2, sharex=True, sharey=True)
        for axes, kernel in zip(panels.ravel(), kernels, strict=True):
            axes.axhline(0.0, color=pictures.GREY, linewidth=0.5)
            axes.plot(kernel, "o-", color=pictures.BLUE, markersize=2)
        for axes in panels[:, 0]:
            axes.set_ylabel("weight")
        for axes in panels[-1]:
            axes.set_xlabel("time step")
    else:
        title = "The filters of the first layer (columns): what they see of three frames in a row"
        made = pictures.figure(9.0, 3.6, title)
        panels = pictures.grid(made, kernels.shape[1], len(kernels))
        limit = np.abs(kernels).max()
        for (frame, number), axes in np.ndenumerate(panels):
            image = axes.imshow(
                kernels[number, frame], cmap=pictures.SIGNED, vmin=-limit, vmax=limit
            )
            axes.set(xticks=(), yticks=())
            if number == 0:
                axes.set_ylabel(f"frame {frame + 1}")
        made.colorbar(image, ax=panels.ravel().tolist(), label="weight", shrink=0.9)
    pictures.save(made, path)


def draw_panels(
    x: np.ndarray, truths: list[str], verdicts: Verdicts, title: str, path: Path
) -> None:
    """Time series (n, length) or images (n, h, w), and beneath each what is said of it."""
    columns = 4 if x.ndim == 2 else 5
    rows = -(-len(x) // columns)
    made = pictures.figure(9.2, 0.4 + (1.5 if x.ndim == 2 else 2.4) * rows, title)
    panels = pictures.grid(made, rows, columns, sharey=True).ravel()
    for axes in panels[len(x) :]:
        axes.set_axis_off()
    for axes, values, truth, said in zip(panels, x, truths, verdicts, strict=False):
        if x.ndim == 2:
            axes.plot(values, color="k", linewidth=0.8)
        else:
            axes.imshow(values, cmap="gray_r", vmin=0.0, vmax=1.0)
            axes.spines[:].set_visible(True)
        axes.set(xticks=(), yticks=())
        axes.set_title(f"is {truth}", fontsize=8, loc="center")
        write_beneath(axes, said)
    if x.ndim == 2:
        for axes in panels[::columns]:
            axes.set(ylabel="x(t)", yticks=(-2.0, 0.0, 2.0))
    pictures.save(made, path)


def draw_clips(
    clips: np.ndarray, truths: list[str], verdicts: Verdicts, title: str, path: Path
) -> None:
    """Clips (n, t, h, w), a row each, and beside each what is said of it."""
    n, t = clips.shape[:2]
    made = pictures.figure(7.6, 0.4 + 0.76 * n, title)
    panels = pictures.grid(made, n, t + 1, width_ratios=[*(1.0,) * t, 2.2])
    for row, clip, truth, said in zip(panels, clips, truths, verdicts, strict=True):
        for axes, frame in zip(row, clip, strict=False):
            axes.imshow(frame, cmap="gray_r", vmin=0.0, vmax=1.0)
            axes.set(xticks=(), yticks=())
            axes.spines[:].set_visible(True)
        row[-1].set_axis_off()
        for i, (text, right) in enumerate([(f"moves {truth}", True), *said]):
            colour = "k" if right else pictures.ORANGE
            row[-1].text(0.0, 0.75 - 0.33 * i, text, fontsize=9, color=colour)
    for axes, number in zip(panels[0], range(1, t + 1), strict=False):
        axes.set_title(f"frame {number}", fontsize=8, loc="center")
    pictures.save(made, path)


# ---------------------------------------------------------------------------------------------
# The data sets
# ---------------------------------------------------------------------------------------------


def on_canvas(images: Tensor) -> Tensor:
    """Images in the middle of 28 × 28 pixels, those of fewer than 16 × 16 enlarged before."""
    images = enlarged(images)
    edge = (CANVAS - images.shape[-1]) // 2
    return F.pad(images, (edge, edge, edge, edge))


def _data(name: str, settings: SimpleNamespace) -> DataSet:
    if name == "waveforms":
        return waveforms(settings.examples, settings.noise, settings.seed)
    if name == "moving_digits":
        return moving_digits(settings.examples, settings.noise, settings.seed)
    data = DATA_SETS[name]

    def read() -> tuple[TensorDataset, TensorDataset]:
        train, test = (
            TensorDataset(on_canvas(images), labels)
            for images, labels in (part.tensors for part in data.read())
        )
        return train, test

    return replace(data, read=read, shape=(1, CANVAS, CANVAS))


def _build(data: DataSet, settings: SimpleNamespace) -> Contest:
    """The convolutional network for a data set, and others of its size."""
    classes = len(data.classes)
    if data.name == "moving_digits":
        volume = ConvolutionalNetwork((1, 8, 16, 32), 3, (1, 2, 2), torus=2, classes=classes)

        def frames(width: int) -> FrameByFrame:
            channels = (1, width, 2 * width, 4 * width)
            return FrameByFrame(ConvolutionalNetwork(channels, 3, (2, 2), 2, classes))

        return Contest({"volume": volume, "frames": of_equal_size(frames, size_of(volume))})
    contestants: dict[str, nn.Module]
    if data.name == "waveforms":
        contestants = {
            "convolution": ConvolutionalNetwork((1, 16, 32, 32), 9, (2,), torus=0, classes=classes)
        }
    else:
        contestants = {
            "lenet": LeNet5(1, CANVAS, classes),
            "sliding": SlidingLeNet5(1, CANVAS, classes),
        }
    inputs, size = math.prod(data.shape), size_of(next(iter(contestants.values())))
    contestants["mlp"] = of_equal_size(lambda hidden: MLP(inputs, hidden, classes), size)
    return Contest(contestants)


ARCHITECTURE = Architecture(
    title="Convolution in one, two and three dimensions",
    paper="LeCun 1989, Generalization and network design strategies; Waibel et al. 1989, Phoneme "
    "recognition using time-delay neural networks; Ji, Xu, Yang & Yu 2010, 3D convolutional neural "
    "networks for human action recognition",
    reference="an MLP of the same size, or a network that sees single frames, in the same run; on "
    "moving_digits guessing is 0.125",
    settings={
        "digits": {"epochs": 20, "batch_size": 32, "lr": 2e-3},
        "mnist": {"epochs": 6, "batch_size": 128, "lr": 2e-3},
        "waveforms": {
            "epochs": 20,
            "batch_size": 64,
            "lr": 3e-3,
            "examples": 6000,
            "noise": 0.25,
        },
        "moving_digits": {
            "epochs": 8,
            "batch_size": 32,
            "lr": 3e-3,
            "examples": 3000,
            "noise": 0.2,
        },
    },
    meaning={
        "examples": "how many examples are made to learn from",
        "noise": "standard deviation of the noise on every value",
    },
    cost={
        "digits": "50 s, 0.2 GiB",
        "mnist": "9 min, 0.6 GiB",
        "waveforms": "35 s, 0.2 GiB",
        "moving_digits": "2 min, 0.5 GiB",
    },
    data=_data,
    build=_build,
    training=CNNTraining,
)
