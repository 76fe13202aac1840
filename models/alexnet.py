"""AlexNet: five convolutions and three dense layers, the network that won ImageNet 2012.

A. Krizhevsky, I. Sutskever and G. E. Hinton 2012, "ImageNet classification with deep convolutional
neural networks", Advances in Neural Information Processing Systems 25, 1097-1105.

It was too large for one graphics card, so that it stands in two towers, each with half of the
filters on a card of its own. Only conv3 and the dense layers see both:

    input           3 × 227 × 227
    conv1          96 ×  55 ×  55     filters 11 × 11, stride 4; rectified, normalised
    pool1          96 ×  27 ×  27     maximum of 3 × 3, stride 2
    conv2         256 ×  27 ×  27     filters 5 × 5, within a tower; rectified, normalised
    pool2         256 ×  13 ×  13     maximum of 3 × 3, stride 2
    conv3         384 ×  13 ×  13     filters 3 × 3, across the towers; rectified
    conv4         384 ×  13 ×  13     filters 3 × 3, within a tower; rectified
    conv5         256 ×  13 ×  13     filters 3 × 3, within a tower; rectified
    pool5         256 ×   6 ×   6     maximum of 3 × 3, stride 2
    dense6       4096                 rectified, half of the units dropped
    dense7       4096                 rectified, half of the units dropped
    dense8       1000                 p(class | image) = softmax(output)

60,965,224 parameters. The paper writes 224 × 224, which no filters of 11 × 11 cover with stride 4:
(224 − 11) / 4 is no integer, while (227 − 11) / 4 + 1 = 55, its own map of conv1. What it counts
in the layers after conv1, 186,624, 64,896, 64,896 and 43,264 units, is 27² · 256, 13² · 384 twice
and 13² · 256, as above.

New were, or came together for the first time at this size:

- *rectified units*, max(0, x), which train several times faster than tanh;
- *local response normalisation*: a unit is divided by what five neighbouring maps say at its place,
  y_i = x_i / (k + α Σ_j x_j²)^β over |i − j| ≤ 2, with k = 2, α = 1e-4, β = ¾. `LocalResponseNorm`
  has α / 5 in front of the sum, as PyTorch has, so that it is given α = 5e-4;
- *overlapping pools*, windows of 3 a step of 2 apart;
- *dropout* of one half in the two wide dense layers;
- *random patches*: images are stored at 256 × 256; trained is a patch of 227 × 227 at a random
  place, mirrored every other time; tested is the mean prediction of five patches, the centre and
  the corners, and their mirror images.

**Learning.** Stochastic gradient descent on the cross-entropy, with momentum and weight decay,

    v ← 0.9 v − 0.0005 ε w − ε ∂L/∂w        w ← w + v

and ε = 0.01, divided by ten three times: there when the validation error stopped falling, here
after ½, ¾ and ⅞ of the steps. (Here v is kept without ε, which differs only while ε changes.)
Weights start from a normal distribution of deviation 0.01, biases at 1 in conv2, conv4, conv5 and
the wide dense layers, which gives rectifiers positive inputs, and at 0 elsewhere. These numbers and
α belong to pixels from 0 to 255, from which only the mean training image is subtracted: with
pixels from 0 to 1 the signal drowns in the biases and nothing is learned for a long time. Left out
is the paper's second distortion, a shift of the colours along their principal components.

How large ε may be depends on the number of classes K. While all of them are equally likely, the
curvature of the cross-entropy along the weights of dense8 is |h|² / K for inputs h, and momentum
0.9 diverges where ε exceeds 2 (1 + 0.9) K / |h|². A thousand classes allow the paper's rate, two
classes at full width do not: they want it fifty times smaller.

**Smaller.** `--size` and `--width` make it a network for a small computer: the same layers in the
same order, on images of fewer pixels, with a fraction of the filters and of the dense units. Below
`--size 112` conv1 has stride 2 and filters 7 × 7, below 57 stride 1 and filters 5 × 5, so that the
three pools leave something. A unit with fewer inputs gets larger weights, so that the deviation of
its sum is the paper's: 0.01 · √(inputs in the paper / inputs here).

**One tower.** A. Krizhevsky 2014, "One weird trick for parallelizing convolutional neural
networks", puts all on one card, without normalisation, on 224 × 224 pixels padded by two. PyTorch's
vision library has it with 61,100,840 parameters; `OneTowerAlexNet` names them as it does, and takes
its weights as they are.
"""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.data import image_folder
from minigrad.nn.summary import Summary
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import FOLDER, Architecture
from models.data import DATA_SETS, DataSet, Examples
from models.training import Classification, accuracy, predict

STORED = 256  # the size of the paper's images, of which patches are seen


class AlexNet(nn.Sequential):
    """The two towers: x (n, channels, size, size) → outputs (n, classes).

    Args:
        classes, channels: how many.
        size: height and width of the images.
        width: the fraction of the paper's filters and dense units; 1 is the paper's network.
    """

    def __init__(
        self, classes: int = 1000, channels: int = 3, size: int = 227, width: float = 1.0
    ) -> None:
        f1, f2, f3, f4, f5, dense = fractions(width, 96, 256, 384, 384, 256, 4096)
        kernel, stride, left = first_layer(size, padded=False)
        super().__init__(
            {
                "conv1": nn.Conv2d(channels, f1, kernel, stride),
                "relu1": nn.ReLU(),
                "norm1": response_norm(),
                "pool1": nn.MaxPool2d(3, 2),
                "conv2": nn.Conv2d(f1, f2, 5, padding=2, groups=2),
                "relu2": nn.ReLU(),
                "norm2": response_norm(),
                "pool2": nn.MaxPool2d(3, 2),
                "conv3": nn.Conv2d(f2, f3, 3, padding=1),
                "relu3": nn.ReLU(),
                "conv4": nn.Conv2d(f3, f4, 3, padding=1, groups=2),
                "relu4": nn.ReLU(),
                "conv5": nn.Conv2d(f4, f5, 3, padding=1, groups=2),
                "relu5": nn.ReLU(),
                "pool5": nn.MaxPool2d(3, 2),
                "flatten": nn.Flatten(),
                "dense6": nn.Linear(f5 * left * left, dense),
                "relu6": nn.ReLU(),
                "dropout6": nn.Dropout(0.5),
                "dense7": nn.Linear(dense, dense),
                "relu7": nn.ReLU(),
                "dropout7": nn.Dropout(0.5),
                "dense8": nn.Linear(dense, classes),
            }
        )
        initialize(self, (3 * 11**2, 48 * 5**2, 256 * 3**2, 192 * 3**2, 192 * 3**2))


class OneTowerAlexNet(nn.Module):
    """The one tower, with PyTorch's names: x (n, channels, size, size) → outputs (n, classes).

    Args as for `AlexNet`.
    """

    def __init__(
        self, classes: int = 1000, channels: int = 3, size: int = 224, width: float = 1.0
    ) -> None:
        super().__init__()
        f1, f2, f3, f4, f5, dense = fractions(width, 64, 192, 384, 256, 256, 4096)
        kernel, stride, _ = first_layer(size, padded=True)
        self.features = nn.Sequential(
            nn.Conv2d(channels, f1, kernel, stride, padding=stride // 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(f1, f2, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(f2, f3, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(f3, f4, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(f4, f5, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        self.classifier = nn.Sequential(
            nn.Dropout(0.5),
            nn.Linear(f5 * 6 * 6, dense),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Linear(dense, classes),
        )
        initialize(self, (3 * 11**2, 64 * 5**2, 192 * 3**2, 384 * 3**2, 256 * 3**2))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).reshape(len(x), -1))


def response_norm() -> nn.LocalResponseNorm:
    """The paper's k, n and β, and n α, which the layer divides by n."""
    n = 5
    return nn.LocalResponseNorm(n, alpha=n * 1e-4, beta=0.75, k=2.0)


def fractions(width: float, *counts: int) -> list[int]:
    """The fraction `width` of each of the paper's numbers of units, in two equal towers."""
    if not width > 0.0:
        raise ValueError(f"AlexNet: width wants a positive fraction of the units, got {width:g}")
    return [2 * max(1, round(width * count / 2)) for count in counts]


def first_layer(size: int, padded: bool) -> tuple[int, int, int]:
    """Kernel and stride of conv1, and the height of the last pool, for images of `size` pixels.

    The paper's stride 4 and kernel 11 where the last pool then has 2 × 2 places or more, else the
    stride is 2 or 1 and the kernel 2 · stride + 3. Padded is by half of the stride.
    """
    for stride in (4, 2, 1):
        kernel = 2 * stride + 3
        maps = (size + 2 * padded * (stride // 2) - kernel) // stride + 1
        for _ in range(3):
            maps = (maps - 3) // 2 + 1
        if maps >= 2:
            break
    if maps < 1:
        raise ValueError(
            f"AlexNet: its layers leave nothing of patches of {size} × {size} pixels; 19 × 19 is "
            f"the least, so take a larger --size"
        )
    return kernel, stride, maps


def initialize(network: nn.Module, inputs: tuple[int, ...]) -> None:
    """Draw the weights as the paper does; `inputs` is how many a unit of conv1, … conv5 has there.

    A unit with fewer inputs here has larger weights, so that its sum varies as much.
    """
    parameters = list(network.parameters())
    weights, biases = parameters[::2], parameters[1::2]
    for weight, there in zip(weights, (*inputs, 9216, 4096, 4096), strict=True):
        here = math.prod(weight.shape[1:])
        nn.init.normal_(weight, 0.0, 0.01 * math.sqrt(there / here))
    for bias, start in zip(biases, (0, 1, 0, 1, 1, 1, 1, 0), strict=True):
        nn.init.constant_(bias, start)


# ---------------------------------------------------------------------------------------------
# Patches
# ---------------------------------------------------------------------------------------------


class FromPatches(nn.Module):
    """Classifies images by patches of them: x (n, channels, height, width) → outputs (n, classes).

    In training the outputs of a patch at a random place; in evaluation log p, where p is the mean
    of the class probabilities of one patch or several.

    Args:
        network: takes patches of pixels from 0 to 255 less their means.
        channels: of the images, whose pixels are from 0 to 1.
        size: which the images are scaled to, height and width.
        patch: the size of a patch.
        corners: in evaluation, whether to see the corners too, or the centre alone.
        mirror: whether to mirror a random half of the patches in training, and in evaluation to see
            each patch both ways.
    """

    mean: Tensor

    def __init__(
        self,
        network: nn.Module,
        channels: int,
        size: int,
        patch: int,
        corners: bool = True,
        mirror: bool = True,
    ) -> None:
        super().__init__()
        self.network = network
        self.size = size
        self.patch = patch
        self.corners = corners
        self.mirror = mirror
        self.register_buffer("mean", mg.zeros((channels, size, size)))

    def subtract_mean_of(self, images: Tensor) -> None:
        """From here on subtract the mean of these images, pixel by pixel, from every image."""
        mean = images.mean(0, keepdims=True)
        self.mean.overwrite(255.0 * scaled(mean, self.size)[0].array)

    def centred(self, x: Tensor) -> Tensor:
        """Images as the network has its patches from."""
        return 255.0 * scaled(x, self.size) - self.mean

    def random_patches(self, x: Tensor) -> Tensor:
        """A patch of each image at a random place, half of them mirrored if any are."""
        n = len(x)
        top, left = (mg.randint(0, self.size - self.patch + 1, (n, 1, 1, 1)) for _ in range(2))
        rows = top + mg.arange(self.patch).reshape(-1, 1)
        columns = mg.arange(self.patch)
        if self.mirror:
            columns = mg.where(mg.bernoulli(0.5, (n, 1, 1, 1)) > 0.5, columns[::-1], columns)
        channels = mg.arange(x.shape[1]).reshape(-1, 1, 1)
        return x[mg.arange(n).reshape(-1, 1, 1, 1), channels, rows, left + columns]

    def fixed_patches(self, x: Tensor) -> list[Tensor]:
        """The centre of each image, or centre and corners, and what is mirrored of each of them."""
        end = self.size - self.patch
        places = [(end // 2, end // 2)]
        if self.corners:
            places += [(0, 0), (0, end), (end, 0), (end, end)]
        seen = [x[..., i : i + self.patch, j : j + self.patch] for i, j in places]
        return seen + [mg.flip(patch, -1) for patch in seen] if self.mirror else seen

    def forward(self, x: Tensor) -> Tensor:
        x = self.centred(x)
        if self.training:
            return self.network(self.random_patches(x))
        patches = self.fixed_patches(x)
        log_p = mg.stack([F.log_softmax(self.network(patch), -1) for patch in patches])
        return mg.logsumexp(log_p, 0) - math.log(len(patches))


def scaled(images: Tensor, size: int) -> Tensor:
    """Images (n, c, h, w) as size × size pixels."""
    if images.shape[2:] == (size, size):
        return images
    return F.interpolate(images, size=(size, size), mode="bilinear")


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


class AlexNetTraining(Classification):
    """Cross-entropy on random patches, momentum, weight decay; the rate is divided by ten."""

    network: FromPatches

    def __init__(self, network: FromPatches, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        network.subtract_mean_of(data.train.tensors[0])
        self.optimizer = optim.SGD(
            network.parameters(), lr=settings.lr, momentum=0.9, weight_decay=5e-4
        )
        steps = settings.epochs * len(self.loader)
        parts = [round(part * steps) for part in (0.5, 0.75, 0.875)]
        self.schedule = optim.lr_scheduler.MultiStepLR(self.optimizer, parts, gamma=0.1)

    def evaluate(self) -> dict[str, float]:
        return {"test_accuracy": accuracy(self.network, self.test, self.settings.batch_size)}

    def report(self) -> str:
        return str(self._summary())

    def _summary(self) -> Summary:
        """The layers, for one patch."""
        shape = (1, len(self.network.mean), self.network.patch, self.network.patch)
        return nn.summary(self.network.network, shape)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        probabilities, _ = predict(self.network, self.test, self.settings.batch_size)
        pictures.of_classifier(history, probabilities, self.test, self.classes, folder)
        draw_layers(self._summary(), folder / "layers.png")
        weight = next(self.network.network.parameters()).numpy()
        title = f"The {len(weight)} filters of the first layer, {weight.shape[-1]} × "
        title += f"{weight.shape[-1]} pixels"
        if weight.shape[1] == 3:
            pictures.colour_weights(weight, title, folder / "first-layer.png")
        else:
            pictures.weights(weight[:, 0], title, folder / "first-layer.png")
        draw_patches(self.network, self.train.tensors[0][:1], folder / "patches.png")


def draw_layers(summary: Summary, path: Path) -> None:
    """The layers with weights: how many parameters and multiply-adds each of them has."""
    rows = [row for row in summary.rows if row.parameters]
    names = [f"{row.name}  {' × '.join(map(str, row.output_shape[1:]))}" for row in rows]
    parameters = np.array([row.parameters for row in rows])
    products = np.array([row.multiply_adds for row in rows])
    dense = np.array([row.layer == "Linear" for row in rows])
    made = pictures.figure(9.0, 3.4)
    left, right = pictures.grid(made, 1, 2, sharey=True)[0]
    for axes, values, chosen, who, what in (
        (left, parameters, dense, "Dense layers", "parameters"),
        (right, products, ~dense, "Convolutions", "multiply-adds"),
    ):
        share = 100.0 * values[chosen].sum() / values.sum()
        axes.set_title(f"{who} have {share:.0f} % of the {what}")
        axes.set_xlabel(f"{what}: {values.sum():,}")
        colours = [pictures.ORANGE if is_dense else pictures.BLUE for is_dense in dense]
        bars = axes.barh(names, values, color=colours)
        axes.bar_label(bars, [f"{value:,}" for value in values], padding=3, fontsize=8)
        axes.set_xlim(0, 1.3 * values.max())
        axes.set_xticks([])
        axes.spines["bottom"].set_visible(False)
    left.set_ylabel("layer and its outputs")
    left.invert_yaxis()
    pictures.save(made, path)


def draw_patches(network: FromPatches, image: Tensor, path: Path) -> None:
    """One image (1, c, h, w) and its patches in training and in evaluation, and the mean image."""
    large = scaled(image, network.size)
    with mg.no_grad():
        trained = [network.random_patches(large).numpy()[0] for _ in range(10)]
        tested = [patch.numpy()[0] for patch in network.fixed_patches(large)]
    where = "random places" + (", half of them mirrored" if network.mirror else "")
    size, patch = (f"{n} × {n} pixels" for n in (network.size, network.patch))
    titles = (
        f"An image of {size}, and patches of {patch} for training: at {where}",
        f"The mean image, and {len(tested)} patches for testing: their mean prediction counts",
    )
    seen = ([large.numpy()[0], *trained], [network.mean.numpy() / 255.0, *tested])
    made: Any = pictures.figure(9.0, 2.9)
    for part, title, images in zip(made.subfigures(2, 1), titles, seen, strict=True):
        part.suptitle(title, x=0.01, ha="left", fontsize=10)
        panels = pictures.grid(part, 1, 11, width_ratios=(1.6, *[1.0] * 10))[0]
        for axes, shown in zip(panels, images, strict=False):
            pictures.show_image(axes, shown)
        for axes in panels[len(images) :]:
            axes.set_axis_off()
    pictures.save(made, path)


# ---------------------------------------------------------------------------------------------
# As the commands know it
# ---------------------------------------------------------------------------------------------


def _data(name: str, settings: SimpleNamespace) -> DataSet:
    """A data set of all models, or the images of a folder, read at once."""
    if name != FOLDER:
        return DATA_SETS[name]
    parts = image_folder(settings.folder, settings.size)
    folders = (path for path in Path(settings.folder).iterdir() if path.is_dir())
    classes = tuple(sorted(path.name for path in folders if path.name[0] != "."))
    return DataSet(FOLDER, lambda: parts, (3, settings.size, settings.size), classes)


def _build(data: DataSet, settings: SimpleNamespace) -> FromPatches:
    one = settings.variant == "one-tower"
    patch = round(settings.size * (224 if one else 227) / STORED)
    channels = data.shape[0]
    make = OneTowerAlexNet if one else AlexNet
    network = make(len(data.classes), channels, patch, settings.width)
    corners, mirror = settings.patches == "corners", settings.mirror == "yes"
    return FromPatches(network, channels, settings.size, patch, corners, mirror)


_DIGITS: dict[str, int | float | str] = {
    "epochs": 28,
    "batch_size": 32,
    "lr": 5e-3,
    "variant": "two-tower",
    "size": 28,
    "width": 0.125,
    "patches": "corners",
    "mirror": "no",
}

ARCHITECTURE = Architecture(
    title="AlexNet",
    paper="Krizhevsky, Sutskever & Hinton 2012, ImageNet classification with deep convolutional "
    "neural networks",
    reference="ImageNet 2010: top-5 test error 0.170 (Krizhevsky et al. 2012), with the 60,965,224 "
    "parameters of --size 256 --width 1 and 1000 classes",
    settings={
        "digits": _DIGITS,
        "mnist": {**_DIGITS, "epochs": 8, "batch_size": 128, "lr": 0.01},
        FOLDER: {
            **_DIGITS,
            "epochs": 40,
            "lr": 1e-3,
            "size": 64,
            "width": 0.25,
            "mirror": "yes",
        },
    },
    meaning={
        "variant": "the two towers of 2012 or the one of 2014",
        "size": "pixels that images are scaled to, height and width, of which patches are seen; "
        "256 in the paper",
        "width": "the fraction of the paper's filters and dense units; 1 is all of them",
        "patches": "what of a test image is seen: the centre, or the corners too",
        "mirror": "whether left and right may be swapped",
    },
    choices={
        "variant": ("two-tower", "one-tower"),
        "patches": ("corners", "centre"),
        "mirror": ("yes", "no"),
    },
    needs="for a folder of your own: PNG or JPEG images, one subfolder a class; a --lr that is the "
    "smaller, the fewer the classes and the larger --width",
    cost={
        "digits": "50 s, 0.2 GiB",
        "mnist": "10 min, 0.4 GiB",
        FOLDER: "2 min for 500 images, 0.2 GiB; with --size 256 --width 1 a step takes 1.3 s and "
        "2 GiB for 8 images, 3.6 GiB for 128",
    },
    build=_build,
    training=AlexNetTraining,
    data=_data,
)
