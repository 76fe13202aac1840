"""What no engine on NumPy gets below: the matrix products of a workload, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.workloads import WORKLOADS, Arrays, Workload

NAME = "floor"


def prepare(threads: int) -> None:
    """Its threads are those of NumPy's BLAS, which the harness sets."""


def version() -> str:
    return f"NumPy {np.__version__}"


def build(workload: Workload, arrays: Arrays) -> Callable[[], float]:
    """A step that does the products of the workload at their true shapes, into memory that is
    there already; it has no loss."""
    generator = np.random.default_rng(0)

    def memory(sizes: list[int]) -> np.ndarray:
        return generator.random(max(sizes), dtype=np.float32)

    left = memory([m * k for m, k, _, _ in workload.products])
    right = memory([k * n for _, k, n, _ in workload.products])
    out = memory([m * n for m, _, n, _ in workload.products])
    products = [
        (left[: m * k].reshape(m, k), right[: k * n].reshape(k, n), out[: m * n].reshape(m, n))
        for m, k, n, count in workload.products
        for _ in range(count)
    ]

    def step() -> float:
        for a, b, c in products:
            np.matmul(a, b, out=c)
        return 0.0

    return step


STEPS = {name: build for name, workload in WORKLOADS.items() if workload.products}
