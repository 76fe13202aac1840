"""Reductions: sums, extrema, products and norms over axes.

`axis` is None (all axes), an int or a tuple of ints, () included; `keepdims` leaves a reduced axis
in place with length 1.
"""

from __future__ import annotations

import math
from numbers import Real
from typing import Any

import numpy as np

from minigrad.backend import Array, xp
from minigrad.core import Node, astype, broadcast_to, primitive
from minigrad.ops.elementwise import abs, exp, sign, where
from minigrad.ops.shape import as_array, flip, join, moveaxis, normalize_axes, reshape, squeeze


def _restore(g: Any, x: Any, axis: Any) -> Any:
    """A reduced g with its axes back in place, length 1, so that it broadcasts against x."""
    if g.ndim in (0, x.ndim):  # a scalar broadcasts as it is
        return g
    axes = normalize_axes("reduce", axis, x.ndim)
    return reshape(g, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _count(x: Any, axis: Any) -> int:
    """How many elements of x go into each element of the result."""
    if axis is None:
        return math.prod(x.shape)
    return math.prod(x.shape[i] for i in normalize_axes("reduce", axis, x.ndim))


@primitive
def sum(x, *, axis=None, keepdims=False):
    """Σ x over the axes."""
    return x.sum(axis=axis, keepdims=keepdims)


sum.vjps(lambda g, y, x, *, axis, keepdims: broadcast_to(_restore(g, x, axis), shape=x.shape))


@primitive
def mean(x, *, axis=None, keepdims=False):
    """The arithmetic mean over the axes."""
    axes = None if axis is None else normalize_axes("mean", axis, x.ndim)
    return x.sum(axis=axes, keepdims=keepdims) / _count(x, axes)


def _mean_vjp(g, y, x, *, axis, keepdims):
    return broadcast_to(_restore(g / _count(x, axis), x, axis), shape=x.shape)


mean.vjps(_mean_vjp)


def _centred(name: str, x: Any, axis: Any) -> Any:
    """x minus its mean over the axes; integers count as float64.

    The mean is taken of the distances to the first element: equal elements give exactly 0, and a
    large offset costs no digits.
    """
    axes = normalize_axes(name, axis, x.ndim)
    x = x if x.dtype.kind == "f" else x.astype("float64")
    first = tuple(slice(0, 1) if i in axes else slice(None) for i in range(x.ndim))
    distance = x - x[first]
    return distance - mean(distance, axis=axes, keepdims=True)


def _freedom(x: Any, axis: Any, ddof: int) -> int:
    """n − ddof, what the sum of squares is divided by; not below 0."""
    n = _count(x, axis)
    return n - ddof if n > ddof else 0


@primitive
def var(x, *, axis=None, keepdims=False, ddof=0):
    """Σ (x − mean)² / (n − ddof) over the axes: ddof=0 the variance, 1 its unbiased estimate."""
    d = _centred("var", x, axis)
    return (d * d).sum(axis=axis, keepdims=keepdims) / _freedom(x, axis, ddof)


def _var_vjp(g, y, x, *, axis, keepdims, ddof):
    freedom = _freedom(x, axis, ddof)
    d = _centred("var", x, axis)
    return _restore(g, x, axis) * (d * (2.0 / freedom if freedom else math.nan))


var.vjps(_var_vjp)


@primitive
def std(x, *, axis=None, keepdims=False, ddof=0):
    """√var over the axes; the gradient at standard deviation 0 is 0."""
    d = _centred("std", x, axis)
    length = euclidean_norm(d, axis=axis, keepdims=keepdims)
    return length / _freedom(x, axis, ddof) ** 0.5


def _std_vjp(g, y, x, *, axis, keepdims, ddof):
    freedom = _freedom(x, axis, ddof)
    spread = _restore(where(y == 0.0, math.inf, y), x, axis)  # a slope of 0, to every order
    d = _centred("std", x, axis) / spread
    return _restore(g, x, axis) * (d * (1.0 / freedom if freedom else math.nan))


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
    count = sum(winners, axis=axis, keepdims=True)  # 0 only where y is NaN, and so is the gradient
    share = _restore(g, x, axis) / where(count == 0.0, math.nan, count)
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
    # The softmax of x. The sum of e^(x − y) is 1 but for the rounding of y, which for a large y is
    # far above that of the result, and 0 where all entries are −∞.
    top = where(y == -math.inf, 0.0, y)  # −∞ − (−∞) would be NaN; e^(−∞ − 0) is 0
    e = exp(x - _restore(top, x, axis))
    total = sum(e, axis=axis, keepdims=True)
    return _restore(g, x, axis) * (e / where(total == 0.0, 1.0, total))


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
    """√Σ x² over the axes; the gradient at 0 is 0.

    The squares are those of x divided by a power of two next to the largest |x|, which is exact:
    they do not overflow, nor vanish, where the norm itself does not.
    """
    if x.size == 0:
        return x.sum(axis=axis, keepdims=keepdims)
    module = xp(x)
    top = module.abs(x).max(axis=axis, keepdims=True)
    scale = module.ldexp(module.ones_like(top), module.frexp(top)[1] - 1)
    ratio = x / scale
    y = module.sqrt((ratio * ratio).sum(axis=axis, keepdims=True)) * scale
    return y if keepdims else y.squeeze(normalize_axes("norm", axis, x.ndim))


def _euclidean_norm_vjp(g, y, x, *, axis, keepdims):
    length = _restore(where(y == 0.0, math.inf, y), x, axis)  # a slope of 0, to every order
    return _restore(g, x, axis) * (x / length)


euclidean_norm.vjps(_euclidean_norm_vjp)


def _power_norm(x: Any, p: float, axis: int, keepdims: bool) -> Any:
    """(Σ |x|ᵖ)^(1/p), with gradient 0 where a base is 0.

    The powers are those of x divided by the entry that decides, the largest or for p < 0 the
    smallest, lest they overflow. It counts as a constant: c · ‖x / c‖ is the same function of x
    for every c, and has the same gradient.
    """
    size = abs(x)
    scale = _deciding(size.array if isinstance(size, Node) else size, p, axis)
    ratio = size / scale
    zero = ratio == 0.0
    powers = where(zero, 0.0 if p > 0 else math.inf, where(zero, 1.0, ratio) ** p)
    total = sum(powers, axis=axis, keepdims=True)
    none = total == 0.0
    y = where(none, 0.0, where(none, 1.0, total) ** (1.0 / p)) * scale
    return y if keepdims else squeeze(y, axis)


def _deciding(size: Array, p: float, axis: int) -> Any:
    """The largest entry along the axis, for p < 0 the smallest; 1 in place of 0 and ∞."""
    if size.size == 0:
        return 1.0
    entry = size.max(axis=axis, keepdims=True) if p > 0 else size.min(axis=axis, keepdims=True)
    return xp(entry).where((entry > 0.0) & (entry < math.inf), entry, 1.0)


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
