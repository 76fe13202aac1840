"""The backends that a test is run on, and the way there and back.

``pytest.mark.parametrize("backend", BACKENDS)`` gives a test the names: "numpy", the test-only
"strict", which refuses what CuPy refuses, and "cupy", marked `gpu` and skipped where there is none
(``pytest --gpu-only`` runs these alone, and fails instead of skipping).
"""

from typing import Any

import numpy as np
import pytest

import tests.strict  # noqa: F401, registers the backend "strict"
from minigrad.backend import get_backend, is_array, to_host
from minigrad.core import Node

BACKENDS = ["numpy", "strict", pytest.param("cupy", marks=pytest.mark.gpu)]


def on(backend: str, value: Any) -> Any:
    """`value` with every NumPy array in it, also those within tuples, lists and dictionaries, on a
    backend."""
    if isinstance(value, np.ndarray):
        return get_backend(backend).asarray(value)
    if isinstance(value, (tuple, list)):
        return type(value)(on(backend, part) for part in value)
    if isinstance(value, dict):
        return {key: on(backend, part) for key, part in value.items()}
    return value


def host(value: Any) -> np.ndarray:
    """A Tensor or an array of any backend as a NumPy array."""
    array = value.array if isinstance(value, Node) else value
    return np.asarray(to_host(array) if is_array(array) else array)


def assert_same(found: Any, expected: Any, rtol: float = 1e-12, atol: float = 1e-12) -> None:
    """Values, shape and dtype agree, wherever both arrays live; float32 to its own rounding."""
    a, b = host(found), host(expected)
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    if b.dtype == np.float32:
        rtol, atol = max(rtol, 1e-5), max(atol, 1e-6)
    np.testing.assert_allclose(a, b, rtol=rtol, atol=atol)
