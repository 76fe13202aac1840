"""What no engine on NumPy gets below: the matrix products of a workload, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.workloads import Workload

NAME = "floor"


def floor(workload: Workload) -> Callable[[], None] | None:
    """A step that does the products of the workload at their true shapes, into memory that is
    there already; None where there are no products."""
    if not workload.products:
        return None
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

    def step() -> None:
        for a, b, c in products:
            np.matmul(a, b, out=c)

    return step
