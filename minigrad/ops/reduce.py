"""Reductions: sums, extrema, products and norms over axes.

`axis` is None (all axes), an int or a tuple of ints, () included; `keepdims` leaves a reduced axis
in place with length 1.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from minigrad.backend import xp
from minigrad.core import astype, broadcast_to, primitive
from minigrad.ops.elementwise import abs, exp, sign, where
from minigrad.ops.shape import as_array, flip, join, moveaxis, normalize_axes, reshape


def _restore(g: Any, x: Any, axis: Any) -> Any:
    """A reduced g with its axes back in place, length 1, so that it broadcasts against x."""
    axes = normalize_axes("reduce", axis, x.ndim)
    return reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _count(x: Any, axis: Any) -> int:
    """How many elements of x go into each element of the result."""
    return math.prod(x.shape[i] for i in normalize_axes("reduce", axis, x.ndim))


@primitive
def sum(x, *, axis=None, keepdims=False):
    """Σ x over the axes."""
    return x.sum(axis=axis, keepdims=keepdims)


sum.vjps(lambda g, y, x, *, axis, keepdims: broadcast_to(_restore(g, x, axis), shape=x.shape))


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """The arithmetic mean over the axes."""
    x = as_array(x)
    axes = normalize_axes("mean", axis, x.ndim)
    return sum(x, axis=axes, keepdims=keepdims) / _count(x, axes)


@primitive
def var(x, *, axis=None, keepdims=False, ddof=0):
    """Σ (x − mean)² / (n − ddof) over the axes: ddof=0 the variance, 1 its unbiased estimate."""
    return x.var(axis=axis, ddof=ddof, keepdims=keepdims)


def _var_vjp(g, y, x, *, axis, keepdims, ddof):
    scale = 2.0 / (_count(x, axis) - ddof) if _count(x, axis) != ddof else math.nan
    return _restore(g, x, axis) * ((x - mean(x, axis, keepdims=True)) * scale)


var.vjps(_var_vjp)


@primitive
def std(x, *, axis=None, keepdims=False, ddof=0):
    """√var over the axes; the gradient at standard deviation 0 is 0."""
    return x.std(axis=axis, ddof=ddof, keepdims=keepdims)


def _std_vjp(g, y, x, *, axis, keepdims, ddof):
    scale = 1.0 / (_count(x, axis) - ddof) if _count(x, axis) != ddof else math.nan
    slope = _restore(g / where(y == 0.0, 1.0, y), x, axis)
    return slope * ((x - mean(x, axis, keepdims=True)) * scale)


std.vjps(_std_vjp)


@primitive
def max(x, *, axis=None, keepdims=False):
    """The largest element over the axes; ties share the gradient evenly."""
    return x.max(axis=axis, keepdims=keepdims)


@primitive
def min(x, *, axis=None, keepdims=False):
    """The smallest element over the axes; ties share the gradient evenly."""
    return x.min(axis=axis, keepdims=keepdims)


def _extremum_vjp(g, y, x, *, axis, keepdims):
    winners = astype(x == _restore(y, x, axis), dtype=x.dtype)
    share = _restore(g, x, axis) / sum(winners, axis=axis, keepdims=True)
    return share * winners


max.vjps(_extremum_vjp)
min.vjps(_extremum_vjp)


@primitive
def prod(x, *, axis=None, keepdims=False):
    """Π x over the axes; the gradient is right with zeros among the factors, to any order."""
    return x.prod(axis=axis, keepdims=keepdims)


def _prod_vjp(g, y, x, *, axis, keepdims):
    """The product of all the other factors, without the division of g · y / x.

    Multiplies halves with halves, up to the one product, and takes g back down the same tree,
    where each half's gradient is its pair's times the other half.
    """
    axes = normalize_axes("prod", axis, x.ndim)
    front = moveaxis(x, axes, range(len(axes)))
    factors = reshape(front, shape=(_count(x, axes), *front.shape[len(axes) :]))
    halves = []
    while factors.shape[0] > 1:
        half = factors.shape[0] // 2
        a, b = factors[:half], factors[half : 2 * half]
        halves.append((a, b))
        factors = join([a * b, factors[2 * half :]])
    d = reshape(g, shape=(1, *factors.shape[1:]))[: factors.shape[0]]
    for a, b in reversed(halves):
        pairs = d[: a.shape[0]]
        d = join([pairs * b, pairs * a, d[a.shape[0] :]])
    return moveaxis(reshape(d, shape=front.shape), range(len(axes)), axes)


prod.vjps(_prod_vjp)


@primitive
def logsumexp(x, *, axis=None, keepdims=False):
    """log Σ eˣ over the axes, without overflow; −∞ entries are allowed."""
    module = xp(x)
    top = x.max(axis=axis, keepdims=True)
    top = module.where(module.isfinite(top), top, 0.0)
    with np.errstate(divide="ignore"):  # log 0 = −∞ is right where every entry is −∞
        y = module.log(module.exp(x - top).sum(axis=axis, keepdims=True)) + top
    return y if keepdims else y.squeeze(normalize_axes("logsumexp", axis, x.ndim))


def _logsumexp_vjp(g, y, x, *, axis, keepdims):
    top = where(y == -math.inf, 0.0, y)  # −∞ − (−∞) would be NaN; e^(−∞ − 0) is 0
    return _restore(g, x, axis) * exp(x - _restore(top, x, axis))


logsumexp.vjps(_logsumexp_vjp)


@primitive
def argmax(x, *, axis=None, keepdims=False):
    """The index of the first largest element along an axis (None: of x flattened), int64."""
    return x.argmax(axis=axis, keepdims=keepdims)


@primitive
def argmin(x, *, axis=None, keepdims=False):
    """The index of the first smallest element along an axis (None: of x flattened), int64."""
    return x.argmin(axis=axis, keepdims=keepdims)


@primitive
def cumsum(x, *, axis=None):
    """Running sums along an axis (None: of x flattened)."""
    return x.cumsum(axis=axis)


def _cumsum_vjp(g, y, x, *, axis):
    if axis is None:
        return reshape(flip(cumsum(flip(g))), shape=x.shape)
    return flip(cumsum(flip(g, axis=axis), axis=axis), axis=axis)


cumsum.vjps(_cumsum_vjp)


@primitive
def euclidean_norm(x, *, axis=None, keepdims=False):
    """√Σ x² over the axes; the gradient at 0 is 0."""
    return xp(x).sqrt((x * x).sum(axis=axis, keepdims=keepdims))


def _euclidean_norm_vjp(g, y, x, *, axis, keepdims):
    return _restore(g / where(y == 0.0, 1.0, y), x, axis) * x


euclidean_norm.vjps(_euclidean_norm_vjp)


def _power_norm(x: Any, p: float, axis: Any, keepdims: bool) -> Any:
    """(Σ |x|ᵖ)^(1/p), with gradient 0 where a base is 0."""
    size = abs(x)
    powers = where(size == 0.0, 0.0, where(size == 0.0, 1.0, size) ** p) if p > 0 else size ** p
    total = sum(powers, axis=axis, keepdims=keepdims)
    if p < 0:
        return total ** (1.0 / p)
    return where(total == 0.0, 0.0, where(total == 0.0, 1.0, total) ** (1.0 / p))


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """A vector or matrix norm, as ``np.linalg.norm``.

    Args:
        ord: None for √Σ x² over all of `axis`; for vectors any number p (Σ |x|ᵖ)^(1/p), 0 (nonzero
            entries), ±inf; for matrices "fro", 1, −1 (column sums), inf, −inf (row sums). The
            spectral norms 2, −2 and "nuc" of matrices are refused.
        axis: an int for vectors, a pair for matrices, None for all of x.

    The gradient of the Euclidean norm at 0 is 0.
    """
    x = as_array(x)
    if x.dtype.kind != "f":
        x = x.astype(np.dtype("float64"))
    if ord is None:
        return euclidean_norm(x, axis=axis, keepdims=keepdims)
    axes = normalize_axes("norm", axis, x.ndim)
    if len(axes) == 1:
        return _vector_norm(x, ord, axes[0], keepdims)
    if len(axes) == 2:
        return _matrix_norm(x, ord, axes, keepdims)
    raise ValueError(f"norm: ord {ord!r} wants one axis or two, got {len(axes)} (shape {x.shape})")


def _vector_norm(x: Any, ord: Any, axis: int, keepdims: bool) -> Any:
    if ord == 2:
        return euclidean_norm(x, axis=axis, keepdims=keepdims)
    if ord == 1:
        return sum(abs(x), axis=axis, keepdims=keepdims)
    if ord == math.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return min(abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        return sum(abs(sign(x)), axis=axis, keepdims=keepdims)
    if isinstance(ord, Real):
        return _power_norm(x, float(ord), axis, keepdims)
    raise ValueError(f"norm: ord wants a number for vectors, got {ord!r}")


def _matrix_norm(x: Any, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Any:
    if ord == "fro":
        return euclidean_norm(x, axis=axes, keepdims=keepdims)
    if ord in (2, -2, "nuc"):
        raise ValueError(f"norm: the spectral norm ord={ord!r} of a matrix is not supported")
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError(f"norm: ord wants 'fro', 1, -1, inf or -inf for matrices, got {ord!r}")
    summed, kept = axes if ord in (1, -1) else axes[::-1]
    totals = sum(abs(x), axis=summed, keepdims=True)
    y = (max if ord > 0 else min)(totals, axis=kept, keepdims=True)
    return y if keepdims else reshape(
        y, shape=tuple(n for i, n in enumerate(x.shape) if i not in axes)
    )
