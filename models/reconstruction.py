"""What comes back of an image: how far it is from the image, and what others make of as little.

Beside the networks of `models.autoencoder` stand principal components, Wiener's filter and JPEG.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from PIL import Image
from scipy.signal import wiener
from scipy.spatial import cKDTree

import minigrad as mg
from minigrad import nn
from minigrad.tensor import Tensor
from models import pictures

# ---------------------------------------------------------------------------------------------
# Measures, and other methods
# ---------------------------------------------------------------------------------------------


class PrincipalComponents:
    """x̂ = μ + wᵀ w (x − μ), the best that a linear code can do; on the host.

    Args:
        x: images (n, …).
        code: how many components.
    """

    def __init__(self, x: np.ndarray, code: int) -> None:
        rows = x.reshape(len(x), -1)
        self.mean = rows.mean(0)
        centred = rows - self.mean
        _, _, directions = np.linalg.svd(centred.T @ centred)  # those of `centred`, in less time
        self.directions = directions[:code]

    def encode(self, x: np.ndarray) -> np.ndarray:
        """(n, code)."""
        return (x.reshape(len(x), -1) - self.mean) @ self.directions.T

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The reconstruction of x."""
        return (self.mean + self.encode(x) @ self.directions).reshape(x.shape)


def restored(network: nn.Module, x: Tensor, batch_size: int = 1000) -> Tensor:
    """What the network makes of each of x (n, …)."""
    network.eval()
    with mg.no_grad():
        starts = range(0, len(x), batch_size)
        return mg.concatenate([network(x[i : i + batch_size]) for i in starts])


def squared_error(x: Any, y: Any) -> float:
    """The mean over the images of |x − y|², of Tensors or arrays (n, …)."""
    difference = x - y
    return float((difference * difference).sum()) / len(x)


def psnr(x: Any, y: Any) -> float:
    """Peak signal-to-noise ratio of images with values from 0 to 1, in dB, by the mean squared
    difference of all pixels."""
    return -10.0 * math.log10(squared_error(x, y) * len(x) / x.size)


def best_wiener(
    noisy: np.ndarray, clean: np.ndarray, power: float | None
) -> tuple[np.ndarray, str]:
    """Wiener's filter at its best on images (n, c, h, w), and how it was set.

    Windows of 3 × 3 to 9 × 9 pixels, with an estimate of the noise, or told its power where there
    is one.
    """
    found = []
    for size in (3, 5, 7, 9):
        for told in (None, power) if power else (None,):
            with np.errstate(divide="ignore", invalid="ignore"):  # where a window is constant
                filtered = wiener(noisy, (1, 1, size, size), told)
            filtered = np.where(np.isnan(filtered), noisy, filtered)
            name = f"{size} × {size}, noise {'estimated' if told is None else 'known'}"
            found.append((psnr(filtered, clean), filtered, name))
    _, filtered, name = max(found, key=lambda one: one[0])
    return filtered, name


def bits(symbols: np.ndarray) -> float:
    """Bits an example of symbols (n, code), 0, 1, …: the sum of the entropies of the columns."""
    total = 0.0
    for column in symbols.astype(int).T:
        p = np.bincount(column) / len(column)
        p = p[p > 0.0]
        total -= float((p * np.log2(p)).sum())
    return total


def jpeg(images: np.ndarray, quality: int) -> tuple[int, int, np.ndarray]:
    """One JPEG file of images (n, 1, h, w), side by side in a square as far as they fill it.

    Returns the bytes of the file before the coded pixels (tables and sizes), the bytes of the coded
    pixels, and the images as they come back.
    """
    side = math.isqrt(len(images))
    h, w = images.shape[2:]
    tiled = images[: side * side, 0].reshape(side, side, h, w).swapaxes(1, 2)
    grey = np.rint(255.0 * tiled.reshape(side * h, side * w)).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(grey).save(file, "JPEG", quality=quality, optimize=True)
    content = file.getvalue()
    scan = content.index(b"\xff\xda")  # its header says how long it is itself
    start = scan + 2 + int.from_bytes(content[scan + 2 : scan + 4], "big")
    end = content.rindex(b"\xff\xd9")
    back = np.asarray(Image.open(file), dtype="float32") / 255.0
    back = back.reshape(side, h, side, w).swapaxes(1, 2).reshape(-1, 1, h, w)
    return start, end - start, back


def neighbours(points: np.ndarray, labels: np.ndarray) -> float:
    """The part of the points (n, 2) whose nearest neighbour has the same label."""
    _, nearest = cKDTree(points).query(points, k=2)
    return float((labels[nearest[:, 1]] == labels).mean())


# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------


def draw_maps(
    maps: Mapping[str, np.ndarray], labels: np.ndarray, classes: tuple[str, ...], path: Path
) -> None:
    """Codes (n, 2) in the plane side by side, a colour a class, its name at its median."""
    made = pictures.figure(10.0, 5.2)
    for axes, (name, codes) in zip(pictures.grid(made, 1, len(maps))[0], maps.items(), strict=True):
        same = 100.0 * neighbours(codes, labels)
        axes.set_title(f"{name}: {same:.0f} % have a nearest neighbour of their class")
        size = min(12.0, 20_000 / len(codes))
        axes.scatter(*codes.T, c=labels, cmap="tab10", s=size, linewidth=0, alpha=0.6)
        for label, text in enumerate(classes):
            axes.text(
                *np.median(codes[labels == label], axis=0),
                text,
                ha="center",
                va="center",
                weight="bold",
                bbox={"boxstyle": "circle", "facecolor": "w", "edgecolor": "none", "alpha": 0.7},
            )
        axes.set_xlabel("$z_1$")
        axes.set_ylabel("$z_2$")
    pictures.save(made, path)


def draw_rates(
    ours: list[tuple[int, float, float]], jpegs: list[tuple[int, float, float]], path: Path
) -> None:
    """Errors over bits per pixel, of the autoencoder at its levels and of JPEG at its qualities."""
    made = pictures.figure(6.4, 4.2)
    axes = pictures.grid(made, 1, 1)[0, 0]
    for points, label, colour in (
        (ours, "autoencoder, with the levels of its code", pictures.BLUE),
        (jpegs, "JPEG, without tables and sizes", pictures.ORANGE),
    ):
        _, rates, errors = zip(*points, strict=True)
        axes.plot(rates, errors, "o-", color=colour, markersize=3, label=label)
        if colour == pictures.BLUE:
            for n, rate, error in points:
                axes.annotate(
                    n, (rate, error), xytext=(0, -11), textcoords="offset points", ha="center"
                )
    best = min(error for _, _, error in ours)
    title = f"Error {best:.1f} takes {max(rate for _, rate, _ in ours):.3f} bits per pixel"
    as_good = [rate for _, rate, error in jpegs if error <= best]
    if as_good:
        title += f", JPEG {min(as_good):.3f}"
    axes.set_title(title)
    axes.set(xscale="log", yscale="log", ylim=(0.5 * best, None))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("bits per pixel")
    axes.set_ylabel("squared error an image")
    axes.grid(alpha=0.3)
    axes.legend()
    pictures.save(made, path)
