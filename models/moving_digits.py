"""Clips of a digit that moves in one of eight directions: data for networks in three dimensions.

A frame is a torus of 16 × 16 pixels: what leaves at one edge comes back at the opposite one. Frame
t = 0, …, 7 of a clip shows an 8 × 8 digit whose upper left pixel is at

    p(t) = p(0) + t v d  (mod 16)

with direction d, the class, speed v of one or two pixels a frame, and normal noise of standard
deviation σ on every pixel. The start p(0) is uniform on the torus, and therefore p(t) is uniform
for every t, whatever d is: no frame by itself says anything of the direction. The digits to test
with are other drawings than those to learn.
"""

from __future__ import annotations

import numpy as np

from minigrad.data import TensorDataset, digits
from models.data import DataSet
from models.waveforms import check

FRAMES, SIZE = 8, 16
TESTS = 1000
# (down, right) of each class
DIRECTIONS = {
    "→": (0, 1),
    "↘": (1, 1),
    "↓": (1, 0),
    "↙": (1, -1),
    "←": (0, -1),
    "↖": (-1, -1),
    "↑": (-1, 0),
    "↗": (-1, 1),
}


def clip(images: np.ndarray, start: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Clips (n, 1, 8, 16, 16) of images (n, 8, 8) from `start` (n, 2), in pixels down and right,
    that move by `velocity` (n, 2) pixels a frame."""
    n, h, w = images.shape
    canvas = np.zeros((n, SIZE, SIZE), images.dtype)
    canvas[:, :h, :w] = images
    t = np.arange(FRAMES)[:, None]
    place = start[:, None] + t * velocity[:, None]  # (n, frames, 2)
    pixel = np.arange(SIZE)
    rows = (pixel - place[..., :1]) % SIZE
    columns = (pixel - place[..., 1:]) % SIZE
    n_ = np.arange(n)[:, None, None, None]
    return canvas[n_, rows[..., None], columns[..., None, :]][:, None]


def clips(images: np.ndarray, count: int, noise: float, rng: np.random.Generator) -> TensorDataset:
    """`count` clips (count, 1, 8, 16, 16), float32, of some of the images (m, 1, 8, 8), with noise
    σ, and the numbers of their directions.

    Raises:
        ValueError: there are no clips to make, or the noise is negative.
    """
    check("moving_digits", count, noise)
    labels = rng.integers(0, len(DIRECTIONS), count)
    speed = rng.integers(1, 3, (count, 1))
    start = rng.integers(0, SIZE, (count, 2))
    chosen = images[rng.integers(0, len(images), count), 0]
    x = clip(chosen, start, speed * np.array(list(DIRECTIONS.values()))[labels])
    x += np.float32(noise) * rng.standard_normal(x.shape, dtype="float32")
    return TensorDataset(x, labels)


def moving_digits(examples: int, noise: float, seed: int) -> DataSet:
    """The data set: `examples` clips to learn, and 1,000 others to test with."""

    def read() -> tuple[TensorDataset, TensorDataset]:
        train, test = (part.tensors[0].numpy() for part in digits())
        first, second = (np.random.default_rng([seed, part]) for part in range(2))
        return clips(train, examples, noise, first), clips(test, TESTS, noise, second)

    return DataSet("moving_digits", read, (1, FRAMES, SIZE, SIZE), tuple(DIRECTIONS))
