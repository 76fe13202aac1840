"""Normalisation: softmax, and standardising to mean 0 and variance 1."""

from __future__ import annotations

from minigrad.backend import Array, xp
from minigrad.core import primitive
from minigrad.ops.elementwise import exp
from minigrad.ops.reduce import mean, sum, var


@primitive
def softmax(x, *, axis=-1):
    """eˣ / Σ eˣ along an axis, without overflow; entries of −∞ get 0."""
    y = xp(x).exp(x - x.max(axis=axis, keepdims=True))
    y /= y.sum(axis=axis, keepdims=True)
    return y


softmax.vjps(lambda g, y, x, *, axis: y * (g - sum(g * y, axis=axis, keepdims=True)))


@primitive
def log_softmax(x, *, axis=-1):
    """x − log Σ eˣ along an axis, without overflow."""
    y = x - x.max(axis=axis, keepdims=True)
    y -= xp(x).log(xp(x).exp(y).sum(axis=axis, keepdims=True))
    return y


log_softmax.vjps(lambda g, y, x, *, axis: g - exp(y) * sum(g, axis=axis, keepdims=True))


def moments(x: Array, axis: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and (biased) variance of an array over the axes, the axes kept.

    The mean is summed in float64: of large equal float32 entries it is that entry, not its
    neighbour, whose distance would be taken for their deviation.
    """
    wide = xp(x).promote_types(x.dtype, "float64")
    middle = x.mean(axis=axis, dtype=wide, keepdims=True).astype(x.dtype)
    centred = x - middle
    return middle, (centred * centred).mean(axis=axis, keepdims=True)


@primitive
def standardize(x, *, axis, eps, statistics=None, keep=None):
    """(x − mean) / √(variance + eps) over the axes.

    `statistics` may hand over the `moments` of x where they are known already. They are functions
    of x all the same, and the rule differentiates through them.
    """
    middle, variance = moments(x, axis) if statistics is None else statistics
    scale = 1.0 / xp(x).sqrt(variance + eps)
    if keep is not None:
        keep["scale"] = scale
    y = x - middle
    y *= scale
    return y


def _standardize_vjp(g, y, x, *, axis, eps, statistics, keep):
    scale = keep["scale"] if keep else (var(x, axis=axis, keepdims=True) + eps) ** -0.5
    along = mean(g * y, axis=axis, keepdims=True)  # the part of g that only rescales
    return scale * (g - mean(g, axis=axis, keepdims=True) - y * along)


standardize.vjps(_standardize_vjp)
