"""Segmentation: not what is in the image, but which pixels are what.

J. Long, E. Shelhamer and T. Darrell 2015, "Fully convolutional networks for semantic segmentation",
CVPR; V. Badrinarayanan, A. Kendall and R. Cipolla 2017, "SegNet: a deep convolutional
encoder-decoder architecture for image segmentation", IEEE Transactions on Pattern Analysis and
Machine Intelligence 39(12), 2481-2495.

The shape is an autoencoder's, but what comes out is a class for every pixel. An encoder of
convolutions and pooling looks at ever larger parts of the image on ever coarser grids. There it
knows *what* it sees and has forgotten *where*. Two decoders find the way back:

**FCN** asks every level of the encoder, by a convolution of one tap, for the scores of all classes
at each of its places, and adds them up from the coarsest to the finest grid. A transposed
convolution doubles the sides of the sum on the way:

    s₃ = score₃(e₃)        sᵢ = up(sᵢ₊₁) + scoreᵢ(eᵢ)        softmax(s₀) at every pixel

**SegNet** remembers which pixel of each window had won in pooling. Unpooling puts values back
there, zeros elsewhere, and convolutions fill the gaps. Nothing else goes from side to side.

    level   grid       encoder                    FCN            SegNet
    0       64 × 64    1 convolution,   m maps    score₀, + up   unpool, 11 scores
    1       32 × 32    1 convolution,  2m maps    score₁, + up   unpool, m maps
    2       16 × 16    2 convolutions, 4m maps    score₂, + up   unpool, 2m maps
    3        8 ×  8    2 convolutions, 8m maps    score₃         4m maps

Filters are 3 × 3, each with batch normalisation and a rectifier. Both networks take images of any
size that 8 divides. They learn the cross-entropy of the pixels, in which one of the background, of
which there are a dozen times as many, has the weight w = ¼, or they would take long to see anything
else. softmax(s) is then not p(class | image) but in proportion to w p, so that the best guess is

    argmax over c of s_c − log w_c

**Scenes.** Two to four digits lie at random places of a square, over bits of other digits that
belong to the background; each is some grey, and all is noisy. Digits may overlap, but their centres
are at least 4/7 of an image's side apart, along one axis or the other. What lies above hides what
lies beneath by as much ink as it has: with ink a and brightness v,

    x ← (1 − a) x + a v,        and the pixel belongs to the digit where a > ½.

Scenes to learn are made of the training images of a data set, scenes to test of its test images.

**Intersection over union**, of the pixels that are of class c and those that are taken for it,

    IoU_c = |truth ∩ guess| / |truth ∪ guess|

counted over the pixels of all test scenes, and its mean over the eleven classes: the background,
which is easy, is one of them, and a network that sees nothing else gets 0.08.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.data import DataLoader, TensorDataset
from minigrad.optim.lr_scheduler import CosineAnnealingLR
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DATA_SETS, DataSet, Examples
from models.training import Training
from models.waveforms import check

TESTS = 2000
FEWEST, MOST = 2, 4  # digits in a scene
SHADES = (0.75, 1.0)  # least and greatest brightness of what lies in a scene
BACKGROUND = 0.25  # what a pixel of the background counts in the loss
DIVISOR = 8  # of the sides of an image: what three poolings make of them must be whole

# ---------------------------------------------------------------------------------------------
# Scenes
# ---------------------------------------------------------------------------------------------


def lay(scenes: np.ndarray, ink: np.ndarray, shade: np.ndarray, corner: np.ndarray) -> tuple:
    """Lay images of ink (n, h, w) with brightness (n,) over scenes (n, s, s), in place.

    Args:
        corner: (n, 2), the row and the column of the upper left pixel.

    Returns:
        The index of the pixels beneath, to be used on other arrays (n, s, s).
    """
    n, h, w = ink.shape
    rows = corner[:, :1, None] + np.arange(h)[:, None]
    columns = corner[:, 1:, None] + np.arange(w)
    place = (np.arange(n)[:, None, None], rows, columns)
    scenes[place] = (1.0 - ink) * scenes[place] + ink * shade[:, None, None]
    return place


def corners(count: int, number: int, room: int, gap: int, rng: np.random.Generator) -> np.ndarray:
    """Places (count, number, 2) in 0 … room, uniform among those where no two of a scene are nearer
    to each other than a gap along both axes."""
    places = rng.integers(0, room + 1, (count, number, 2))
    pairs = np.triu_indices(number, 1)
    while True:
        apart = np.abs(places[:, pairs[0]] - places[:, pairs[1]]).max(-1)
        crowded = (apart < gap).any(1)
        if not crowded.any():
            return places
        places[crowded] = rng.integers(0, room + 1, (crowded.sum(), number, 2))


def scenes(
    data: TensorDataset, count: int, size: int, clutter: int, noise: float,
    rng: np.random.Generator,
) -> TensorDataset:  # fmt: skip
    """Scenes of digits, and the class of every pixel: 0 for the background, 1 + digit for others.

    Args:
        data: images (m, 1, h, h) of digits, and what they are.
        count: how many scenes.
        size: their side.
        clutter: how many bits of other digits lie beneath.
        noise: standard deviation of the normal noise on every pixel.

    Returns:
        Bytes (count, 1, size, size), which stand for 0 … 1, and bytes (count, size, size).

    Raises:
        ValueError: there are no scenes to make, the noise is negative, or the scenes too small.
    """
    images, labels = (tensor.numpy() for tensor in data.tensors)
    images, h = images[:, 0], images.shape[-1]
    check("segmentation", count, noise)
    if size < 2 * h:
        raise ValueError(
            f"segmentation: --size wants at least {2 * h}, twice a digit's side, got {size}"
        )
    x = np.zeros((count, size, size), "float32")
    truth = np.zeros((count, size, size), "uint8")

    def chosen() -> tuple[np.ndarray, np.ndarray]:
        """Numbers of images at random, and shades."""
        return rng.integers(0, len(images), count), rng.uniform(*SHADES, count).astype("float32")

    bit, margin = 2 * h // 7 + 1, h // 7
    for _ in range(clutter):
        number, shade = chosen()
        row, column = rng.integers(margin, h - margin - bit + 1, (2, count, 1, 1))
        cut = (number[:, None, None], row + np.arange(bit)[:, None], column + np.arange(bit))
        lay(x, images[cut], shade, rng.integers(0, size - bit + 1, (count, 2)))
    digits = rng.integers(FEWEST, MOST + 1, count)
    places = corners(count, MOST, size - h, 4 * h // 7, rng)
    for k in range(MOST):
        number, shade = chosen()
        ink = images[number] * (k < digits)[:, None, None]
        place = lay(x, ink, shade, places[:, k])
        own = (labels[number] + 1)[:, None, None]
        truth[place] = np.where(ink > 0.5, own, truth[place])
    x += np.float32(noise) * rng.standard_normal(x.shape, dtype="float32")
    grey = (255.0 * x.clip(0.0, 1.0) + 0.5).astype("uint8")
    return TensorDataset(grey[:, None], truth)


def scenes_of(name: str, settings: SimpleNamespace) -> DataSet:
    """The data set: scenes of the training images, and 2,000 of the test images to test with."""
    base, given = DATA_SETS[name], settings

    def read() -> tuple[TensorDataset, TensorDataset]:
        train, test = base.read()
        rules = (given.size, given.clutter, given.noise)
        first, second = (np.random.default_rng([given.seed, part]) for part in range(2))
        return scenes(train, given.examples, *rules, first), scenes(test, TESTS, *rules, second)

    return DataSet(name, read, (1, given.size, given.size), ("background", *base.classes))


# ---------------------------------------------------------------------------------------------
# Networks
# ---------------------------------------------------------------------------------------------


def block(*maps: int) -> nn.Sequential:
    """Convolutions 3 × 3 from maps to maps, each with batch normalisation and a rectifier."""
    layers: list[nn.Module] = []
    for before, after in pairwise(maps):
        layers += [
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


class Encoder(nn.Module):
    """What both networks see with: x (n, 1, h, w) → levels e₀ … e₃ (n, maps, h / 2ⁱ, w / 2ⁱ).

    Args:
        width: m, the maps of level 0.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        m = width
        self.maps = (m, 2 * m, 4 * m, 8 * m)
        self.levels = nn.ModuleList(
            [block(1, m), block(m, 2 * m), block(2 * m, 4 * m, 4 * m), block(4 * m, 8 * m, 8 * m)]
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """The levels.

        Raises:
            ValueError: poolings would leave a rest of the image; says which sides would work.
        """
        check_size(*x.shape[-2:])
        levels = [self.levels[0](x)]
        for level in self.levels[1:]:
            levels.append(level(F.max_pool2d(levels[-1], 2)))
        return levels

    def with_switches(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The last level, and where in each window the poolings before it found their maxima."""
        check_size(*x.shape[-2:])
        y, switches = self.levels[0](x), []
        for level in self.levels[1:]:
            pooled, winners = F.max_pool2d(y, 2, return_indices=True)
            y = level(pooled)
            switches.append(winners)
        return y, switches


def check_size(h: int, w: int) -> None:
    """Refuse images whose sides 8 does not divide."""
    if h % DIVISOR or w % DIVISOR or not h or not w:
        below, above = (
            f"{max(1, h // DIVISOR + more) * DIVISOR} × {max(1, w // DIVISOR + more) * DIVISOR}"
            for more in range(2)
        )
        raise ValueError(
            f"segmentation: images want sides that {DIVISOR} divides, such as {below} or {above}, "
            f"got {h} × {w}"
        )


class FCN(nn.Module):
    """Scores of every level, added up: x (n, 1, h, w) → scores (n, classes, h, w)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(width)
        self.scores = nn.ModuleList(nn.Conv2d(maps, classes, 1) for maps in self.encoder.maps)
        self.ups = nn.ModuleList(
            nn.ConvTranspose2d(classes, classes, 4, stride=2, padding=1, bias=False)
            for _ in self.encoder.maps[1:]
        )

    def forward(self, x: Tensor) -> Tensor:
        levels = self.encoder(x)
        *finer, y = (score(level) for score, level in zip(self.scores, levels, strict=True))
        for up, own in zip(self.ups, reversed(finer), strict=True):
            y = up(y) + own
        return y


class SegNet(nn.Module):
    """Unpooling by the encoder's switches: x (n, 1, h, w) → scores (n, classes, h, w)."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(width)
        first, second, third, fourth = self.encoder.maps
        self.decoder = nn.ModuleList(
            [block(fourth, third), block(third, second), block(second, first)]
        )
        self.scores = nn.Conv2d(first, classes, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        y, switches = self.encoder.with_switches(x)
        for layers, winners in zip(self.decoder, reversed(switches), strict=True):
            y = F.max_unpool2d(layers(y), winners, 2)
        return self.scores(y)


NETWORKS: dict[str, type[FCN | SegNet]] = {"fcn": FCN, "segnet": SegNet}

# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


def scaled(grey: Tensor) -> Tensor:
    """Bytes as numbers from 0 to 1."""
    return grey.astype("float32") * (1.0 / 255.0)


def pixels_counted(truth: Tensor, guess: Tensor, classes: int) -> Tensor:
    """How many pixels of each class are taken for each class: (classes, classes), float64.

    A product of two matrices that say which pixel is of which class; up to 2²⁴ pixels it is exact.
    """
    each = mg.arange(classes)
    is_, taken_for = (
        (labels.reshape(-1, 1) == each).astype("float32") for labels in (truth, guess)
    )
    return (is_.T @ taken_for).astype("float64")


def intersection_over_union(counts: np.ndarray) -> np.ndarray:
    """IoU of each class from the pixels counted; NaN for one that nothing is or is taken for."""
    both = np.diagonal(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return np.divide(both, either, out=np.full(len(both), np.nan), where=either > 0)


class SegmentationTraining(Training):
    """Weighted cross-entropy of the pixels, Adam, and a learning rate that falls to zero along half
    a cosine."""

    network: FCN | SegNet
    metric = "test_iou"

    def __init__(self, network: FCN | SegNet, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.unit = "scenes"
        self.optimizer = optim.Adam(network.parameters(), lr=settings.lr)
        self.schedule = CosineAnnealingLR(self.optimizer, settings.epochs * len(self.loader))
        self.weight = mg.tensor([BACKGROUND] + [1.0] * (len(data.classes) - 1), dtype="float32")

    def loss(self, x: Tensor, truth: Tensor) -> Tensor:
        """Of images (n, 1, h, w) from 0 to 1, and the classes of their pixels (n, h, w)."""
        return F.cross_entropy(self.network(x), truth, self.weight)

    @mg.no_grad()
    def guess(self, x: Tensor) -> Tensor:
        """The most probable class of every pixel: (n, 1, h, w) → (n, h, w)."""
        scores = self.network.eval()(x)
        return (scores - mg.log(self.weight).reshape(-1, 1, 1)).argmax(1)

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        grey, truth = batch
        loss = self.loss(scaled(grey), truth)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"train_loss": loss.detach()}

    def counted(self) -> np.ndarray:
        """How many pixels of the test scenes of each class are taken for each class."""
        counts: Any = 0.0
        for grey, truth in DataLoader(self.test, 100):
            guess = self.guess(scaled(grey))
            counts = counts + pixels_counted(truth, guess, len(self.classes))
        return counts.numpy()

    def evaluate(self) -> dict[str, float]:
        counts = self.counted()
        return {
            "test_iou": float(np.nanmean(intersection_over_union(counts))),
            "test_accuracy": float(np.trace(counts) / counts.sum()),
        }

    def report(self) -> str:
        counts = self.counted()
        found = intersection_over_union(counts)
        lines = [f"{'':12}{'pixels':>10}  IoU"]
        lines += [
            f"{name:12}{pixels:10,.0f}  {value:.3f}"
            for name, pixels, value in zip(self.classes, counts.sum(1), found, strict=True)
        ]
        lines += [f"{'mean':12}{counts.sum():10,.0f}  {np.nanmean(found):.3f}"]
        return "\n".join(lines)

    # -- Pictures ---------------------------------------------------------------------------------

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        draw_learning(history, self.counted(), self.classes, folder / "learning.png")
        grey, truth = self.test.tensors
        self._draw_masks(grey[:6], truth[:6], folder / "masks.png")

    def sample(self, count: int, folder: Path) -> str:
        chosen = mg.randperm(len(self.test))[:count]
        grey, truth = self.test.tensors
        self._draw_masks(grey[chosen], truth[chosen], folder / "masks.png")
        return ""

    def _draw_masks(self, grey: Tensor, truth: Tensor, path: Path) -> None:
        x = scaled(grey)
        draw_masks(x.numpy(), truth.numpy(), self.guess(x).numpy(), self.classes, path)


COLOURS = ListedColormap(
    [
        "#FFFFFF",
        "#000000",
        "#E69F00",
        "#56B4E9",
        "#009E73",
        "#F0E442",
        "#0072B2",
        "#D55E00",
        "#CC79A7",
        "#999999",
        "#8C564B",
    ]
)


def draw_masks(
    scenes: np.ndarray, truth: np.ndarray, guess: np.ndarray, classes: tuple[str, ...], path: Path
) -> None:
    """Scenes (n, 1, h, w), beneath each the classes (n, h, w) of its pixels and what they are taken
    for."""
    right = 100.0 * (truth == guess).mean()
    ink = truth > 0
    of_digits = 100.0 * (truth == guess)[ink].mean() if ink.any() else 100.0
    title = f"Right are {right:.1f} % of the pixels of {len(scenes)} test scenes, and "
    title += f"{of_digits:.1f} % of those of digits"
    made = pictures.figure(max(1.4 * len(scenes), 6.0), 5.2, title)
    rows = {"scene": scenes[:, 0], "truth": truth, "prediction": guess}
    panels = pictures.grid(made, len(rows), len(scenes))
    for line, (name, shown) in zip(panels, rows.items(), strict=True):
        line[0].set_ylabel(name)
        for axes, image in zip(line, shown, strict=True):
            if name == "scene":
                axes.imshow(image, cmap="gray_r", vmin=0.0, vmax=1.0)
            else:
                axes.imshow(image, cmap=COLOURS, vmin=0, vmax=COLOURS.N - 1,
                            interpolation="nearest")  # fmt: skip
            axes.set(xticks=(), yticks=())
            axes.spines[:].set_visible(True)
    handles = [
        Patch(facecolor=COLOURS(i), edgecolor="0.5", label=name) for i, name in enumerate(classes)
    ]
    made.legend(handles=handles, loc="outside lower center", ncols=len(classes), handlelength=1.0,
                columnspacing=1.0)  # fmt: skip
    pictures.save(made, path)


def draw_learning(
    history: list[dict[str, Any]], counts: np.ndarray, classes: tuple[str, ...], path: Path
) -> None:
    """Mean IoU over the epochs, and that of every class in the end."""
    found = intersection_over_union(counts)
    made = pictures.figure(8.6, 3.2)
    left, right = pictures.grid(made, 1, 2)[0]
    epochs = [entry["epoch"] for entry in history]
    values = [entry["test_iou"] for entry in history]
    left.plot(epochs, values, color=pictures.BLUE, marker="o", markersize=3)
    left.set(xlabel="epoch", ylabel="mean intersection over union", ylim=(0.0, 1.0))
    left.set_title(f"Test scenes: mean IoU {np.nanmean(found):.3f} after the last epoch")
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    left.grid(alpha=0.3)
    names = [name if len(name) < 3 else "back-\nground" for name in classes]
    right.bar(names, found, color=pictures.BLUE)
    right.set(ylabel="intersection over union", ylim=(0.0, 1.0))
    worst = int(np.nanargmin(found))
    right.set_title(f"Class by class: least for the {classes[worst]} ({found[worst]:.3f})")
    right.grid(alpha=0.3, axis="y")
    pictures.save(made, path)


def _build(data: DataSet, settings: SimpleNamespace) -> FCN | SegNet:
    if settings.width < 1:
        raise ValueError(f"segmentation: --width wants a positive integer, got {settings.width}")
    check_size(*data.shape[1:])
    return NETWORKS[settings.network](settings.width, len(data.classes))


ARCHITECTURE = Architecture(
    title="Segmentation network",
    paper="Long, Shelhamer & Darrell 2015, Fully convolutional networks for semantic segmentation; "
    "Badrinarayanan, Kendall & Cipolla 2017, SegNet",
    reference="a network that sees background everywhere: test_iou 0.08",
    settings={
        "digits": {
            "epochs": 10,
            "batch_size": 16,
            "lr": 5e-3,
            "network": "fcn",
            "width": 8,
            "examples": 4000,
            "size": 24,
            "clutter": 4,
            "noise": 0.05,
        },
        "mnist": {
            "epochs": 10,
            "batch_size": 16,
            "lr": 5e-3,
            "network": "fcn",
            "width": 16,
            "examples": 24000,
            "size": 64,
            "clutter": 4,
            "noise": 0.05,
        },
    },
    meaning={
        "network": "scores of all levels added up, or unpooling by switches",
        "width": "maps of the finest level",
        "examples": "how many scenes are made to learn from",
        "size": "side of a scene in pixels",
        "clutter": "bits of other digits in a scene",
        "noise": "standard deviation of the noise on every pixel",
    },
    choices={"network": tuple(NETWORKS)},
    cost={"digits": "1 min, 0.3 GiB", "mnist": "30 min, 2 GiB"},
    data=scenes_of,
    build=_build,
    training=SegmentationTraining,
)
