"""Normalisation: softmax, and standardising to mean 0 and variance 1."""

from __future__ import annotations

import math

from minigrad.backend import Array, over_blocks, xp
from minigrad.core import primitive
from minigrad.ops.elementwise import exp
from minigrad.ops.reduce import mean, sum, var
from minigrad.ops.shape import normalize_axes


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


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[i] for i in axes)


def _totals(axes: tuple[int, ...], *factors: Array) -> Array:
    """Σ of an array, or of the product of two, over the axes, which are kept, in float64.

    einsum takes one pass in any memory order. It sums each entry of the first axis by itself: few
    enough terms for float32.
    """
    x, module = factors[0], xp(factors[0])
    letters = "abcdefghijklmnopqrstuvwxyz"[: x.ndim]
    kept = "".join(c for i, c in enumerate(letters) if i == 0 or i not in axes)
    rows = module.einsum(",".join([letters] * len(factors)) + "->" + kept, *factors)
    rows = rows.reshape([1 if i in axes and i > 0 else n for i, n in enumerate(x.shape)])
    wide = module.promote_types(x.dtype, "float64")
    return rows.sum(axis=0, keepdims=True, dtype=wide) if 0 in axes else rows.astype(wide)


def _of_blocks(axes: tuple[int, ...], parts: list[Array]) -> Array:
    """The totals of all blocks together: added where the batch shares them, else in a row."""
    joined = xp(parts[0]).concatenate(parts)
    return joined.sum(axis=0, keepdims=True) if 0 in axes else joined


def moments(x: Array, axis: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and (biased) variance of an array over the axes, the axes kept.

    With d = x − s they are s + Σ d / n and Σ d² / n − (Σ d / n)². With an s near the mean a large
    offset costs no digits, and equal entries have the mean that they are. The mean of an eighth of
    the batch is near enough: it is within √7 standard deviations, which cost three bits at worst.
    """
    axes = normalize_axes("moments", axis, x.ndim)
    sample = x[::8] if 0 in axes else x
    s = (_totals(axes, sample) / _count(sample, axes)).astype(x.dtype)

    def work(block: slice) -> tuple[Array, Array]:
        d = x[block] - _of_block(s, block)
        return _totals(axes, d), _totals(axes, d, d)

    totals = zip(*over_blocks(x, work, 4), strict=True)
    shift, square = (_of_blocks(axes, list(parts)) / _count(x, axes) for parts in totals)
    variance = xp(x).maximum(square - shift * shift, 0.0)
    return (s + shift).astype(x.dtype), variance.astype(x.dtype)


def _of_block(statistic: Array, block: slice) -> Array:
    """The part of a statistic that belongs to a block: all of it where the batch shares it."""
    return statistic if statistic.shape[0] == 1 else statistic[block]


@primitive
def standardize(x, w=None, b=None, *, axis, eps, statistics=None, keep=None):
    """(x − mean) / √(variance + eps) over the axes; times w, plus b where both are given.

    The weight w and the bias b are constant over these axes and over the first. `statistics` may
    hand over the `moments` of x where they are known already. They are functions of x all the same,
    and the rule differentiates through them.
    """
    module = xp(x)
    middle, variance = moments(x, axis) if statistics is None else statistics
    scale = 1.0 / module.sqrt(variance + eps)
    if keep is not None:
        keep["middle"], keep["scale"] = middle, scale
    if w is None:
        y, factor = module.empty_like(x), scale
    else:
        y, factor = module.empty_like(x, dtype=module.result_type(x, w, b)), scale * w

    def work(block: slice) -> None:
        z = module.subtract(x[block], _of_block(middle, block), out=y[block])
        z *= _of_block(factor, block)
        if b is not None:
            z += b

    over_blocks(x, work, 4)
    return y


def _standardize_vjp(wanted, g, y, x, w, b, *, axis, eps, statistics, keep):
    if keep is not None:
        return _standardize_vjp_in_blocks(wanted, g, y, x, w, axis, **keep)
    z = y if w is None else standardize(x, axis=axis, eps=eps)
    scale = (var(x, axis=axis, keepdims=True) + eps) ** -0.5
    along = mean(g * z, axis=axis, keepdims=True)  # the part of g that only rescales
    d = scale * (g - mean(g, axis=axis, keepdims=True) - z * along)
    return [d, None, None] if w is None else [d * w, g * z, g]


def _standardize_vjp_in_blocks(wanted, g, y, x, w, axis, middle, scale):
    """The same on arrays; z is y, or else worked out again block by block."""
    axes = normalize_axes("standardize", axis, x.ndim)
    module = xp(x)
    of_b = _of_blocks(axes, over_blocks(g, lambda i: _totals(axes, g[i]))).astype(g.dtype)
    if w is None:
        products = over_blocks(x, lambda i: _totals(axes, g[i], y[i]), 4)
        of_w = _of_blocks(axes, products).astype(g.dtype)
    else:
        products = over_blocks(
            x, lambda i: _totals(axes, g[i], x[i] - _of_block(middle, i)), 4
        )
        of_w = (_of_blocks(axes, products) * scale).astype(g.dtype)
    if not wanted[0]:
        return [None, of_w, of_b]
    along, level = of_w / _count(x, axes), of_b / _count(x, axes)
    factor = scale if w is None else scale * w
    d = module.empty_like(x)

    def work(i: slice) -> None:
        if w is None:
            part = module.multiply(y[i], _of_block(along, i), out=d[i])
        else:
            part = module.subtract(x[i], _of_block(middle, i), out=d[i])
            part *= _of_block(along * scale, i)
        module.subtract(g[i], part, out=part)
        part -= _of_block(level, i)
        part *= _of_block(factor, i)

    over_blocks(x, work, 4)
    return [d, of_w, of_b]


standardize.vjp_all(_standardize_vjp)
