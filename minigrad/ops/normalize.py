"""Normalisation: softmax, and standardising to mean 0 and variance 1."""

from __future__ import annotations

import math
from collections.abc import Iterable

from minigrad.backend import Array, backend_of, over_blocks, row_by_row, xp
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


def _kept(axes: tuple[int, ...], shape: tuple[int, ...]) -> list[int]:
    """The axes that einsum keeps of those it could sum over: the first, and another one where more
    terms than float32 adds up well would be left."""
    inner = [i for i in axes if i > 0]
    if math.prod(shape[i] for i in inner) > 4096:
        inner = inner[1:] or inner
    return [i for i in range(len(shape)) if i not in inner]


def _subscripts(axes: tuple[int, ...], shape: tuple[int, ...], factors: int) -> str:
    """Of the einsum that sums a product of so many arrays over the axes, except for those kept."""
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(shape)]
    kept = "".join(letters[i] for i in _kept(axes, shape))
    return ",".join([letters] * factors) + "->" + kept


def _totals(axes: tuple[int, ...], x: Array, blocks: Iterable[Array]) -> Array:
    """Sums over the axes, which stay with length 1, in float64, from those that einsum, in one pass
    over memory of any order, found for blocks of x."""
    module = xp(x)
    rows = module.concatenate(list(blocks))
    kept = _kept(axes, x.shape)
    lengths = [x.shape[i] if i in kept else 1 for i in range(1, x.ndim)]
    rows = rows.reshape(rows.shape[0], *lengths)
    wide = module.promote_types(x.dtype, "float64")
    rest = tuple(i for i in kept if i in axes)
    return rows.sum(axis=rest, keepdims=True, dtype=wide) if rest else rows.astype(wide)


def _run(x: Array, axes: tuple[int, ...]) -> int:
    """How many entries lie one after the other in memory and share a statistic over the axes."""
    length, n = x.itemsize, 1
    for i in reversed(range(x.ndim)):
        if i not in axes or x.strides[i] != length:
            break
        length, n = length * x.shape[i], n * x.shape[i]
    return n


def moments(x: Array, axis: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean and (biased) variance of an array over the axes, the axes kept.

    With d = x − s they are s + Σ d / n and Σ d² / n − (Σ d / n)², for s = 0 or, where that would
    cost digits, once more for the mean that it gave: then a large offset costs none, and equal
    entries have the mean that they are.
    """
    axes = normalize_axes("moments", axis, x.ndim)
    mean, variance = _moments_about(None, x, axes)
    if _far(mean, variance, x):
        s = mean.astype(x.dtype)
        shift, variance = _moments_about(s, x, axes)
        mean = s + shift
    return mean.astype(x.dtype), xp(x).maximum(variance, 0.0).astype(x.dtype)


def _moments_about(s: Array | None, x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Mean of x − s, and the variance, in float64."""
    einsum = xp(x).einsum
    once, twice = (_subscripts(axes, x.shape, factors) for factors in (1, 2))

    def work(block: slice) -> tuple[Array, Array]:
        d = _from(s, x, block)
        return einsum(once, d), einsum(twice, d, d)

    with row_by_row(_run(x, axes)):
        blocks = over_blocks(x, work)
    shift, square = (_totals(axes, x, sums) / _count(x, axes) for sums in zip(*blocks, strict=True))
    return shift, square - shift * shift


def _far(mean: Array, variance: Array, x: Array) -> bool:
    """Whether a mean is so far from 0 that taking it off at the end may cost over two bits."""
    near = (mean * mean <= 4.0 * variance) & (variance < math.inf)
    return not backend_of(x).surely_none(~near)


def _from(s: Array | None, x: Array, block: slice) -> Array:
    """A block of x − s."""
    return x[block] if s is None else x[block] - _of_block(s, block)


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
    s = middle if _far(middle, variance + eps, x) else None
    if keep is not None:
        keep["middle"], keep["scale"], keep["s"] = middle, scale, s
    if w is None:
        y, factor, level = module.empty_like(x), scale, None
    else:
        y, factor, level = module.empty_like(x, dtype=module.result_type(x, w, b)), scale * w, b
    if s is None:
        level = -middle * factor if b is None else b - middle * factor

    def work(block: slice) -> None:
        if s is None:
            z = module.multiply(x[block], _of_block(factor, block), out=y[block])
        else:
            z = module.subtract(x[block], _of_block(s, block), out=y[block])
            z *= _of_block(factor, block)
        if level is not None:
            z += _of_block(level, block)

    with row_by_row(_run(x, normalize_axes("standardize", axis, x.ndim))):
        over_blocks(x, work)
    return y


def _standardize_vjp(wanted, g, y, x, w, b, *, axis, eps, statistics, keep):
    if keep is not None:
        axes = normalize_axes("standardize", axis, x.ndim)
        with row_by_row(_run(x, axes)):
            return _standardize_vjp_in_blocks(wanted, g, y, x, w, axes, **keep)
    if w is None:
        return [_standardized_to_x(g, y, x, axis, eps), None, None]
    z = standardize(x, axis=axis, eps=eps)
    return [_standardized_to_x(g * w, z, x, axis, eps), g * z, g]


def _standardized_to_x(g, z, x, axis, eps):
    """The cotangent of x from that of z, which is x standardised over the axes."""
    scale = (var(x, axis=axis, keepdims=True) + eps) ** -0.5
    along = mean(g * z, axis=axis, keepdims=True)  # the part of g that only rescales
    return scale * (g - mean(g, axis=axis, keepdims=True) - z * along)


def _standardize_vjp_in_blocks(wanted, g, y, x, w, axes, middle, scale, s):
    """The same on arrays, with z = (x − s) · scale − (middle − s) · scale multiplied out."""
    module = xp(x)
    once, twice = (_subscripts(axes, x.shape, factors) for factors in (1, 2))

    def sums(i: slice) -> tuple[Array, Array]:
        return module.einsum(once, g[i]), module.einsum(twice, g[i], _from(s, x, i))

    of_b, of_w = (_totals(axes, x, of) for of in zip(*over_blocks(x, sums), strict=True))
    if s is None:
        of_w = of_w - middle * of_b
    of_w = of_w * scale
    of_b, of_w = of_b.astype(g.dtype), of_w.astype(g.dtype)
    if not wanted[0]:
        return [None, of_w, of_b]
    slope, level = of_w * scale / _count(x, axes), of_b / _count(x, axes)
    if s is None:
        level -= middle * slope
    factor = scale if w is None else scale * w
    d = module.empty_like(x)

    def work(i: slice) -> None:
        if s is None:
            part = module.multiply(x[i], _of_block(slope, i), out=d[i])
        else:
            part = module.subtract(x[i], _of_block(s, i), out=d[i])
            part *= _of_block(slope, i)
        module.subtract(g[i], part, out=part)
        part -= _of_block(level, i)
        part *= _of_block(factor, i)

    over_blocks(x, work)
    return [d, of_w, of_b]


standardize.vjp_all(_standardize_vjp)


@primitive
def standardize_rows(x, w, b, *, eps, keep=None):
    """(x − mean) / √(variance + eps) · w + b over the last axes of x, which are those of w and b.

    What a first mean leaves of x has a mean of its own, the rounding of the first. With both, a
    large offset costs no digits, and equal entries have the mean that they are.
    """
    module = xp(x)
    rows = x.reshape(math.prod(x.shape[: x.ndim - w.ndim]), w.size)
    w, b = w.reshape(-1), b.reshape(-1)
    share = module.ones(w.size, dtype=x.dtype) / w.size  # for means by the BLAS, which sums fastest
    z, scale = module.empty_like(rows), module.empty_like(rows[:, :1])
    y = module.empty_like(rows, dtype=module.result_type(x, w, b))

    def work(i: slice) -> None:
        middle = (rows[i] @ share)[:, None]
        d = module.subtract(rows[i], middle, out=z[i])
        middle += (d @ share)[:, None]
        module.subtract(rows[i], middle, out=d)
        variance = module.einsum("ij,ij->i", d, d)[:, None] / w.size
        scale[i] = 1.0 / module.sqrt(variance + eps)
        d *= scale[i]
        module.multiply(d, w, out=y[i])
        y[i] += b

    with row_by_row(w.size):
        over_blocks(rows, work, 4)
    if keep is not None:
        keep["z"], keep["scale"] = z, scale
    return y.reshape(x.shape)


def _standardize_rows_vjp(wanted, g, y, x, w, b, *, eps, keep):
    if keep:
        return _standardize_rows_vjp_in_blocks(g, w, keep)
    axes = tuple(range(-w.ndim, 0))
    z = standardize(x, axis=axes, eps=eps)
    return [_standardized_to_x(g * w, z, x, axes, eps), g * z, g]


def _standardize_rows_vjp_in_blocks(g, w, keep):
    """The same on arrays, with sums by the BLAS, written over z: another pass over the same graph
    works that out afresh."""
    module, shape = xp(g), g.shape
    z, scale = keep.pop("z"), keep.pop("scale")
    g, share = g.reshape(z.shape), w.reshape(-1) / w.size

    def work(i: slice) -> tuple[Array, Array]:
        ones = module.ones_like(scale[i, 0])
        part = g[i] * z[i]
        of_w, of_b = ones @ part, ones @ g[i]
        z[i] *= (part @ share)[:, None]
        z[i] += (g[i] @ share)[:, None]
        module.multiply(g[i], w.reshape(-1), out=part)
        module.subtract(part, z[i], out=z[i])
        z[i] *= scale[i]
        return of_w, of_b

    with row_by_row(w.size):
        sums = zip(*over_blocks(z, work, 4), strict=True)
    of_w, of_b = (module.stack(parts).sum(axis=0).reshape(w.shape) for parts in sums)
    return [z.reshape(shape), of_w, of_b]


standardize_rows.vjp_all(_standardize_rows_vjp)
