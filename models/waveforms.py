"""Time series of eight families of waves, made by formula: data for networks in one dimension.

    x(t) = a s(u) + σ ε(t)        u = f t + φ        t = 0, 1/128, …, 127/128

Frequency f, phase φ and amplitude a are drawn anew for every series, uniformly from 3 to 8, from 0
to 1 and from ½ to 3/2; ε is normal. `WAVES` has the families' s: sine, triangle, square, a sawtooth
that rises and one that falls, pulses, a chirp, whose frequency rises from f/2 to 2f, and a damped
sine that is struck anew every third period. Each is moved and scaled to mean 0 and standard
deviation 1 over its 128 values, so that the families differ in shape, not in level or power.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from minigrad.data import TensorDataset
from models.data import DataSet

LENGTH = 128
TESTS = 2000
TURN = 2.0 * np.pi

# s(u, f, t); u % 1 is the fraction of the period that has passed.
WAVES: dict[str, Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]] = {
    "sine": lambda u, f, t: np.sin(TURN * u),
    "triangle": lambda u, f, t: 1.0 - 4.0 * np.abs(u % 1.0 - 0.5),
    "square": lambda u, f, t: np.where(u % 1.0 < 0.5, 1.0, -1.0),
    "rising": lambda u, f, t: 2.0 * (u % 1.0) - 1.0,
    "falling": lambda u, f, t: 1.0 - 2.0 * (u % 1.0),
    "pulses": lambda u, f, t: np.where(u % 1.0 < 0.2, 1.0, 0.0),
    "chirp": lambda u, f, t: np.sin(TURN * (u - 0.5 * f * t + 0.75 * f * t**2)),
    "damped": lambda u, f, t: np.exp(-4.0 * (u / 3.0 % 1.0)) * np.sin(TURN * u),
}


def wave(family: str, f: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """s for frequencies and phases (n, 1): (n, 128), of mean 0 and standard deviation 1."""
    t = np.arange(LENGTH) / LENGTH
    s = WAVES[family](f * t + phase, f, t)
    s = s - s.mean(1, keepdims=True)
    return s / s.std(1, keepdims=True)


def series(count: int, noise: float, rng: np.random.Generator) -> TensorDataset:
    """`count` series (count, 1, 128), float32, with noise σ, and the numbers of their families.

    Raises:
        ValueError: there are no series to make, or the noise is negative.
    """
    check("waveforms", count, noise)
    labels = rng.integers(0, len(WAVES), count)
    f = rng.uniform(3.0, 8.0, (count, 1))
    phase = rng.uniform(0.0, 1.0, (count, 1))
    a = rng.uniform(0.5, 1.5, (count, 1))
    x = noise * rng.standard_normal((count, LENGTH))
    for number, family in enumerate(WAVES):
        rows = labels == number
        x[rows] += a[rows] * wave(family, f[rows], phase[rows])
    return TensorDataset(x[:, None].astype("float32"), labels)


def check(name: str, count: int, noise: float) -> None:
    """Refuse to make no examples, or noise of a negative standard deviation."""
    if count < 1:
        raise ValueError(f"{name}: examples wants a positive integer, got {count}")
    if not noise >= 0.0:
        raise ValueError(f"{name}: noise wants a number that is not negative, got {noise}")


def waveforms(examples: int, noise: float, seed: int) -> DataSet:
    """The data set: `examples` series to learn, and 2,000 others to test with."""

    def read() -> tuple[TensorDataset, TensorDataset]:
        train, test = (np.random.default_rng([seed, part]) for part in range(2))
        return series(examples, noise, train), series(TESTS, noise, test)

    return DataSet("waveforms", read, (1, LENGTH), tuple(WAVES))
