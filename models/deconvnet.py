"""The deconvolutional network: a small image goes in, a large one comes out.

M. D. Zeiler, D. Krishnan, G. W. Taylor and R. Fergus 2010, "Deconvolutional networks", CVPR;
C. Dong, C. C. Loy, K. He and X. Tang 2016, "Image super-resolution using deep convolutional
networks", IEEE Transactions on Pattern Analysis and Machine Intelligence 38(2), 295-307, and
C. Dong, C. C. Loy and X. Tang 2016, "Accelerating the super-resolution convolutional neural
network", ECCV.

A transposed convolution sends every input to a window of the output, where a convolution collects
a window of the input; with stride 2 the output has twice the sides:

    y(2 o + k − 1) += w(k) x(o)        k = 0 … kernel − 1

Digits are made small by the mean over squares of `scale` × `scale` pixels, and the network restores
them: convolutions on the small grid look at what is there, and each transposed convolution doubles
the sides. For scale 4, with C maps:

     7 ×  7     three convolutions 3 × 3, C maps, rectified
    14 × 14     transposed convolution with stride 2, C maps, rectified
    28 × 28     transposed convolution with stride 2, one map: the image

It learns the Euclidean loss |ŷ − y|², and is measured by the peak signal-to-noise ratio,
PSNR = −10 log₁₀ (mean (ŷ − y)²) in decibels for pixels in [0, 1], beside bicubic interpolation.

**Checkerboards** (A. Odena, V. Dumoulin and C. Olah 2016, "Deconvolution and checkerboard
artifacts", Distill). Where the stride does not divide the kernel, windows overlap unevenly: with
kernel 3 and stride 2, every other row and column of pixels is reached by two taps, the others by
one. A pixel is of one of 2 × 2 phases, which 1, 2, 2 or 4 taps reach, and the network has to learn
to hide it. With kernel 4 all are reached by 4, and there is nothing to hide.

**Switches** (M. D. Zeiler and R. Fergus 2014, "Visualizing and understanding convolutional
networks", ECCV). The same transposed filters run a trained classifier backwards, and show which
pixels excite one of its units: rectify, filter by the transposed weights, unpool, rectify, filter.
Pooling forgets which pixel of a window had won; its *switches* remember, and unpooling puts the
value back there.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from scipy.ndimage import zoom

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.backend import current_backend, seeded
from minigrad.optim.lr_scheduler import CosineAnnealingLR
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet, Examples
from models.judge import judge
from models.lenet import LeNet5
from models.training import Training

KERNELS = (3, 4)  # with padding 1, an odd one wants one more row to double the sides exactly

# ---------------------------------------------------------------------------------------------
# The network
# ---------------------------------------------------------------------------------------------


class DeconvolutionalNetwork(nn.Module):
    """Enlarges images: x (n, 1, h, w) → (n, 1, scale · h, scale · w).

    Args:
        scale: a power of two; each factor of two is a transposed convolution.
        kernel: 3 or 4, of the transposed convolutions.
        maps: feature maps of every layer but the last.

    Raises:
        ValueError: another scale or kernel, or no maps.
    """

    def __init__(self, scale: int, kernel: int, maps: int) -> None:
        super().__init__()
        if scale < 2 or scale & (scale - 1):
            raise ValueError(f"deconvnet: --scale wants a power of two above 1, got {scale}")
        if kernel not in KERNELS:
            raise ValueError(f"deconvnet: --kernel wants 3 or 4, got {kernel}")
        if maps < 1:
            raise ValueError(f"deconvnet: --maps wants a positive integer, got {maps}")
        self.look = nn.Sequential(
            nn.Conv2d(1, maps, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(maps, maps, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(maps, maps, 3, padding=1),
            nn.ReLU(),
        )
        outputs = [maps] * (scale.bit_length() - 2) + [1]
        self.enlarge = nn.ModuleList(
            nn.ConvTranspose2d(maps, out, kernel, stride=2, padding=1, output_padding=kernel % 2)
            for out in outputs
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.look(x)
        *inner, last = self.enlarge
        for layer in inner:
            y = F.relu(layer(y))
        return last(y)


def small(images: Tensor, scale: int) -> Tensor:
    """The means over squares of scale × scale pixels: (n, c, h, w) → (n, c, h/scale, w/scale)."""
    return F.avg_pool2d(images, scale)


def check_size(data: DataSet, scale: int) -> None:
    """Refuse images whose sides the strides do not divide.

    Raises:
        ValueError: says which sides would work.
    """
    *_, h, w = data.shape
    if h % scale or w % scale:
        near = " or ".join(
            f"{max(1, h // scale + more) * scale} × {max(1, w // scale + more) * scale}"
            for more in ((0, 1) if min(h, w) > scale else (1,))
        )
        raise ValueError(
            f"deconvnet: --scale {scale} wants sides that it divides, such as {near}; the images "
            f"of {data.name} have {h} × {w} pixels"
        )


# ---------------------------------------------------------------------------------------------
# What it is measured by
# ---------------------------------------------------------------------------------------------


def psnr(images: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio of each image of (n, c, h, w) in dB, for pixels in [0, 1]; ∞ for
    one that is the truth."""
    error = np.square(images.astype(np.float64) - truths).mean((1, 2, 3))
    with np.errstate(divide="ignore"):
        return -10.0 * np.log10(error)


def bicubic(images: np.ndarray, scale: int) -> np.ndarray:
    """Cubic splines through the pixels of (n, c, h, w), `scale` times as fine, cut off at 0 and 1.

    A pixel is a square, and the images end at the edges of squares, not at the centres (grid_mode).
    All is black beyond. `scipy.ndimage.zoom` has other modes: on small digits of MNIST they make
    between 0.15 dB less and 0.06 dB more of it.
    """
    # One image at a time: with an axis of images scipy would make splines along that one too.
    fine = [
        zoom(image, scale, order=3, grid_mode=True, mode="grid-constant")
        for image in images.reshape(-1, *images.shape[2:])
    ]
    return np.stack(fine).reshape(*images.shape[:2], *fine[0].shape).clip(0.0, 1.0)


def of_equal_weights(images: Tensor, kernel: int, times: int) -> np.ndarray:
    """Images (n, 1, h, w) doubled a few times by transposed convolutions of stride 2 whose weights
    are all 4 / kernel²; a mean of 1 stays 1. Of ones a single layer makes the number of taps that
    reach each pixel, in proportion."""
    weight = mg.full((1, 1, kernel, kernel), 4.0 / kernel**2)
    for _ in range(times):
        images = F.conv_transpose2d(images, weight, stride=2, padding=1, output_padding=kernel % 2)
    return images.numpy()


@mg.no_grad()
def of_random_weights(kernel: int) -> np.ndarray:
    """The mean squares (1, 1, 16, 16) of what 1,000 transposed convolutions of stride 2 with random
    weights make of normal noise."""
    with seeded(0):
        layer = nn.ConvTranspose2d(
            8, 1000, kernel, stride=2, bias=False, padding=1, output_padding=kernel % 2
        )
        noise = mg.randn(8, 8, 8, 8)
    return np.square(layer(noise).numpy()).mean((0, 1), keepdims=True)


def unevenness(values: np.ndarray) -> float:
    """How much a pattern (…, h, w) depends on whether rows and columns are even or odd: standard
    deviation of the means over the 2 × 2 phases, divided by the mean over all. Two rows and columns
    at each edge do not count, where windows reach beyond."""
    inner = values[..., 2:-2, 2:-2]
    phases = [inner[..., i::2, j::2].mean() for i in range(2) for j in range(2)]
    return float(np.std(phases) / np.mean(phases))


# ---------------------------------------------------------------------------------------------
# Features projected back to the image
# ---------------------------------------------------------------------------------------------


class Excitation(NamedTuple):
    """Where a map of C3 is excited most in an image, and by what.

    Attributes:
        value: of the unit.
        patch: (14, 14), the pixels that the unit sees, zeros beyond the edge.
        projection: (14, 14), the same window of the unit projected back.
    """

    value: float
    patch: np.ndarray
    projection: np.ndarray


SEEN = 14  # pixels that a unit of C3 sees: 5 units of S2 are 5 × 2 pixels, and C1 adds two each way


@mg.no_grad()
def project(network: LeNet5, image: Tensor, unit: tuple[int, int, int]) -> Tensor:
    """One unit (map, row, column) of LeNet's C3 projected back to an image (1, 1, h, w).

    All other units of C3 are zero. The switches are those of this image.
    """
    c1 = F.relu(network.c1(image))
    s2, switches = F.max_pool2d(c1, 2, return_indices=True)
    c3 = F.relu(network.c3(s2))
    number = int(np.ravel_multi_index(unit, c3.shape[1:]))
    alone = mg.arange(c3.size).reshape(c3.shape) == number
    y = F.conv_transpose2d(mg.where(alone, c3, 0.0), network.c3.weight)
    y = F.relu(F.max_unpool2d(y, switches, 2))
    return F.conv_transpose2d(y, network.c1.weight, padding=2)


@mg.no_grad()
def excitations(network: LeNet5, images: Tensor, count: int) -> list[list[Excitation]]:
    """For every map of C3, the `count` images (n, 1, h, w) that excite it most."""
    s2 = F.max_pool2d(F.relu(network.c1(images)), 2)
    c3 = F.relu(network.c3(s2)).numpy()
    found: list[list[Excitation]] = []
    for number in range(c3.shape[1]):
        values = c3[:, number].reshape(len(c3), -1)
        strongest = np.argsort(-values.max(1), kind="stable")[:count]
        found.append([])
        for i in strongest:
            row, column = divmod(int(values[i].argmax()), c3.shape[3])
            image = images[int(i) : int(i) + 1]
            projection = project(network, image, (number, row, column))
            patch, seen = (_window(x.numpy()[0, 0], row, column) for x in (image, projection))
            found[-1].append(Excitation(float(values[i].max()), patch, seen))
    return found


def _window(image: np.ndarray, row: int, column: int) -> np.ndarray:
    """The pixels of an image (h, w) that a unit of C3 sees: C1 pads by 2, S2 has a stride of 2."""
    padded = np.pad(image, 2)
    return padded[2 * row : 2 * row + SEEN, 2 * column : 2 * column + SEEN]


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


class DeconvolutionTraining(Training):
    """Euclidean loss, Adam, and a learning rate that falls to zero along half a cosine."""

    network: DeconvolutionalNetwork
    metric = "test_psnr"

    def __init__(
        self, network: DeconvolutionalNetwork, data: Examples, settings: SimpleNamespace
    ) -> None:
        super().__init__(network, data, settings)
        self.optimizer = optim.Adam(network.parameters(), lr=settings.lr)
        self.schedule = CosineAnnealingLR(self.optimizer, settings.epochs * len(self.loader))

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        images = batch[0]
        restored = self.network(small(images, self.settings.scale))
        loss = F.mse_loss(restored, images)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"train_loss": loss.detach()}

    @mg.no_grad()
    def restored(self, images: Tensor) -> np.ndarray:
        """What the network makes of small images, cut off at 0 and 1; on the host."""
        self.network.eval()
        parts = [images[start : start + 1000] for start in range(0, len(images), 1000)]
        made = [self.network(small(part, self.settings.scale)).numpy() for part in parts]
        return np.concatenate(made).clip(0.0, 1.0)

    def evaluate(self) -> dict[str, float]:
        images = self.test.tensors[0]
        return {"test_psnr": float(psnr(self.restored(images), images.numpy()).mean())}

    def rivals(self, images: Tensor) -> dict[str, np.ndarray]:
        """Images made small and enlarged: squares, splines, the network; and as they were."""
        scale = self.settings.scale
        low = small(images, scale).numpy()
        return {
            "small": np.repeat(np.repeat(low, scale, 2), scale, 3),
            "bicubic": bicubic(low, scale),
            "network": self.restored(images),
            "true": images.numpy(),
        }

    def report(self) -> str:
        *found, (_, truths) = self.rivals(self.test.tensors[0]).items()
        ratios = {name: psnr(made, truths) for name, made in found}
        gains = ratios["network"] - ratios["bicubic"]
        lines = [f"mean PSNR of {len(truths):,} test images {self._task()}:"]
        lines += [f"  {name:8} {ratio.mean():6.2f} dB" for name, ratio in ratios.items()]
        better = 100.0 * (gains > 0.0).mean()
        lines.append(f"above bicubic by {gains.mean():.2f} dB, in {better:.1f} % of the images")
        lines.append("unevenness of a layer with stride 2 and equal weights, and with random ones:")
        for kernel in KERNELS:
            equal = unevenness(of_equal_weights(mg.ones((1, 1, 8, 8)), kernel, 1))
            drawn = unevenness(of_random_weights(kernel))
            lines.append(f"  kernel {kernel} {equal:6.3f} {drawn:6.3f}")
        return "\n".join(lines)

    # -- Pictures ---------------------------------------------------------------------------------

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        self._draw_restored(self.test.tensors[0][:10], folder / "restored.png")
        draw_checkerboards(self.test.tensors[0][:1], folder / "checkerboard.png")
        if self.test.tensors[0].shape[1:] == (1, 28, 28):
            network = judge(current_backend().name).network
            few = self.test.tensors[0][:2000]
            draw_projections(excitations(network, few, 4), folder / "projections.png")

    def _task(self) -> str:
        *_, h, w = self.test.tensors[0].shape
        scale = self.settings.scale
        return f"from {h // scale} × {w // scale} pixels to {h} × {w}"

    def _draw_restored(self, images: Tensor, path: Path) -> None:
        """Small images, and what becomes of them, beside the truth."""
        rows = self.rivals(images)
        bicubic_, network = (
            psnr(rows[name], rows["true"]).mean() for name in ("bicubic", "network")
        )
        title = f"{self._task().capitalize()}: bicubic {bicubic_:.1f} dB, network {network:.1f} dB"
        pictures.table(np.stack(list(rows.values())), [], title, path, list(rows))

    def sample(self, count: int, folder: Path) -> str:
        chosen = mg.randperm(len(self.test))[:count]
        self._draw_restored(self.test.tensors[0][chosen], folder / "restored.png")
        return ""


def draw_checkerboards(image: Tensor, path: Path) -> None:
    """What transposed convolutions with equal and with random weights make of things without a
    pattern, and of one image (1, 1, h, w), by kernel."""
    ones = mg.ones((1, 1, 8, 8))
    made = pictures.figure(9.0, 6.2, "Transposed convolutions with stride 2, before learning")
    panels = pictures.grid(made, len(KERNELS), 3)
    for line, kernel in zip(panels, KERNELS, strict=True):
        even, drawn = of_equal_weights(ones, kernel, 1), of_random_weights(kernel)
        patterns = {
            f"of ones, weights equal:\nunevenness {unevenness(even):.2f}": even,
            f"of noise, 1,000 random ones,\nenergy: unevenness {unevenness(drawn):.2f}": drawn,
            "of an image, two layers,\nweights equal": of_equal_weights(small(image, 2), kernel, 2),
        }
        for axes, (title, values) in zip(line, patterns.items(), strict=True):
            axes.imshow(values[0, 0], cmap="cividis", vmin=0.0)
            axes.set_axis_off()
            axes.set_title(title)
        line[0].text(
            -0.06,
            0.5,
            f"kernel {kernel}",
            transform=line[0].transAxes,
            ha="right",
            va="center",
            rotation=90,
        )
    pictures.save(made, path)


def draw_projections(found: Sequence[Sequence[Excitation]], path: Path) -> None:
    """Features of C3: what excites each of them, and the projection of the unit to these pixels."""
    title = "Features of LeNet-5's layer C3: the four patches that excite each of them most, and"
    title += "\nbeneath them what the unit saw there (its projection; violet is negative)"
    made = pictures.figure(9.4, 6.0, title)
    blocks: Any = made.subfigures(4, -(-len(found) // 4))
    for number, (block, strongest) in enumerate(zip(blocks.ravel(), found, strict=False)):
        panels = pictures.grid(block, 2, len(strongest))
        block.suptitle(f"feature {number + 1}", fontsize=8)
        for (above, beneath), excitation in zip(panels.T, strongest, strict=True):
            pictures.show_image(above, excitation.patch[None])
            limit = np.abs(excitation.projection).max() or 1.0
            beneath.imshow(
                excitation.projection, cmap=pictures.SIGNED + "_r", vmin=-limit, vmax=limit
            )
            beneath.set_axis_off()
    pictures.save(made, path)


def _build(data: DataSet, settings: SimpleNamespace) -> DeconvolutionalNetwork:
    network = DeconvolutionalNetwork(settings.scale, settings.kernel, settings.maps)
    check_size(data, settings.scale)
    return network


ARCHITECTURE = Architecture(
    title="Deconvolutional network",
    paper="Zeiler, Krishnan, Taylor & Fergus 2010, Deconvolutional networks; Dong, Loy, He & Tang "
    "2016, Image super-resolution using deep convolutional networks",
    reference="bicubic interpolation of the same images, in the same run",
    settings={
        "digits": {"epochs": 30, "batch_size": 32, "lr": 2e-3, "scale": 2, "kernel": 4, "maps": 16},
        "mnist": {"epochs": 6, "batch_size": 64, "lr": 2e-3, "scale": 4, "kernel": 4, "maps": 64},
    },
    meaning={
        "scale": "how many times the sides of the small images the true ones have: a power of two",
        "kernel": "side of the filters of the transposed convolutions, 3 or 4",
        "maps": "feature maps of a layer",
    },
    cost={"digits": "5 s, 0.2 GiB", "mnist": "5 min, 0.7 GiB"},
    build=_build,
    training=DeconvolutionTraining,
)
