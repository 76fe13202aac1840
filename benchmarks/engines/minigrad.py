"""minigrad, by the program in `benchmarks.engines.networks`."""

from __future__ import annotations

import minigrad
import minigrad.nn
import minigrad.optim
from benchmarks.engines.networks import steps

NAME = "minigrad"


def prepare(threads: int) -> None:
    """Its threads are those of NumPy's BLAS, which the harness sets."""


def version() -> str:
    return minigrad.__version__


STEPS = steps(minigrad, lambda y: y.numpy())
