"""Checks that several functions share: numbers or tuples of them, dtypes, dimensions."""

from __future__ import annotations

import operator
from typing import Any


def lengths(name: str, argument: str, value: Any, n_axes: int, least: int = 1) -> tuple[int, ...]:
    """A geometry argument, an int or one int a spatial axis, as a tuple of `n_axes` ints."""
    values = tuple(value) if isinstance(value, (tuple, list)) else (value,) * n_axes
    if len(values) != n_axes:
        raise ValueError(f"{name}: {argument} wants an int or {n_axes} of them, got {value!r}")
    try:
        found = tuple(operator.index(v) for v in values)
    except TypeError:
        raise TypeError(f"{name}: {argument} wants ints, got {value!r}") from None
    if any(v < least for v in found):
        raise ValueError(f"{name}: {argument} wants at least {least}, got {value!r}")
    return found


def same_dtype(name: str, **tensors: Any) -> None:
    """All tensors given (None apart) have one floating dtype: mixed, they would promote unasked."""
    dtypes = {getattr(t, "dtype", None) for t in tensors.values() if t is not None}
    if len(dtypes) == 1 and getattr(dtypes.pop(), "kind", None) == "f":
        return  # what follows finds the words for an error
    for label, t in tensors.items():
        if t is not None and not hasattr(t, "dtype"):
            raise TypeError(f"{name}: {label} wants a Tensor, got {type(t).__name__}")
    given = {label: t.dtype for label, t in tensors.items() if t is not None}
    for label, dtype in given.items():
        if dtype.kind != "f":
            raise TypeError(f"{name}: {label} wants a floating dtype, got {dtype}")
    if len(set(given.values())) > 1:
        found = ", ".join(f"{label} {dtype}" for label, dtype in given.items())
        raise TypeError(f"{name}: all tensors want one dtype, got {found}")


def batched(name: str, x: Any, n_axes: int) -> bool:
    """Whether x (n, c, *size) has its batch axis; False for (c, *size), and an error for others."""
    if x.ndim not in (n_axes + 1, n_axes + 2):
        raise ValueError(
            f"{name}: input wants {n_axes + 2} dimensions, or {n_axes + 1} without a batch, got "
            f"shape {x.shape}"
        )
    return x.ndim == n_axes + 2
