"""Pooling in any number of dimensions: maxima and sums over windows, and resampling by matrices.

The windows are those of `ops.conv`: x (n, c, *size), a window of `kernel` taps for each output
position, `padding` one pair (before, after) a spatial axis. Windows are read tap by tap, each tap a
strided slice of the whole array, so nothing the size of the columns is ever built. Results lie in
memory as their arguments do, be it channels first or last.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from minigrad.backend import Array, over_blocks, xp
from minigrad.core import primitive
from minigrad.ops.conv import inside, output_size, padded, tap_windows
from minigrad.ops.linalg import matmul
from minigrad.ops.shape import swapaxes


def _over_windows(combine: Callable, x: Array, kernel, stride, dilation, out) -> Array:
    """The windows of x combined: a window is a box, so along one axis after the other, which takes
    Σ k steps where tap by tap takes Π k. What lies in memory order of channels last stays there."""
    y = x
    for axis, (k, s, d, o) in enumerate(zip(kernel, stride, dilation, out, strict=True), start=2):
        ends = [start + s * (o - 1) + 1 for start in range(0, k * d, d)]
        lead = (slice(None),) * axis
        first, *others = [y[(*lead, slice(i * d, end, s))] for i, end in enumerate(ends)]
        y = combine(first, others[0]) if others else first
        for window in others[1:]:
            combine(y, window, out=y)
    return y if math.prod(kernel) > 1 else y.copy(order="K")


def _room(windows: Array, dtype, size, kernel, stride, dilation, padding) -> tuple[Array, bool]:
    """An array of spatial `size` with its padding, in the memory order of the windows (n, c, …).

    Zeros for the windows to add up in; or, and then the second value is true, uninitialised where
    they lie side by side and cover it.
    """
    wide = tuple(n + sum(pair) for n, pair in zip(size, padding, strict=True))
    covered = tuple(n * k for n, k in zip(windows.shape[2:], kernel, strict=True))
    tiled = tuple(kernel) == tuple(stride) and wide == covered
    module = xp(windows)
    make = module.empty_like if tiled else module.zeros_like
    return make(windows, dtype=dtype, shape=(*windows.shape[:2], *wide)), tiled


# ---------------------------------------------------------------------------------------------
# Sums over windows
# ---------------------------------------------------------------------------------------------


@primitive
def sum_pool(x, *, kernel, stride, dilation, padding):
    """y[n,c,o] = Σ_k x[n, c, o·stride + k·dilation − padding], zero outside."""
    out = output_size(x.shape[2:], kernel, stride, dilation, padding)
    return _over_windows(xp(x).add, padded(x, padding), kernel, stride, dilation, out)


@primitive
def sum_unpool(g, *, size, kernel, stride, dilation, padding):
    """The transpose of `sum_pool`: each g[n,c,o] added to every place of its window."""
    x, tiled = _room(g, g.dtype, size, kernel, stride, dilation, padding)
    for _, window in tap_windows(kernel, stride, dilation, g.shape[2:]):
        if tiled:
            x[window] = g
        else:
            x[window] += g
    return x[inside(size, padding)]


def _sum_pool_vjp(g, y, x, **geometry):
    return sum_unpool(g, size=x.shape[2:], **geometry)


def _sum_unpool_vjp(v, y, g, *, size, **geometry):
    return sum_pool(v, **geometry)


sum_pool.vjps(_sum_pool_vjp)
sum_unpool.vjps(_sum_unpool_vjp)

# ---------------------------------------------------------------------------------------------
# Maxima over windows
# ---------------------------------------------------------------------------------------------


@primitive
def max_pool(x, *, kernel, stride, dilation, padding):
    """y[n,c,o] = max_k x[n, c, o·stride + k·dilation − padding], −∞ outside.

    The gradient goes to the first of equal winners in a window.
    """
    out = output_size(x.shape[2:], kernel, stride, dilation, padding)
    x = padded(x, padding, _lowest(x.dtype))
    return _over_windows(xp(x).maximum, x, kernel, stride, dilation, out)


def _lowest(dtype: np.dtype) -> float:
    return -math.inf if dtype.kind in "fc" else np.iinfo(dtype).min


@primitive
def winning_taps(x, y, *, kernel, stride, dilation, padding):
    """For each maximum y of `max_pool(x)`, the number of the first tap that attains it.

    That is how many taps lose before one wins. NaN loses to nothing, and wins against everything:
    as a maximum it counts as ∞.
    """
    module = xp(x)
    x = padded(x, padding, _lowest(x.dtype))
    windows = [window for _, window in tap_windows(kernel, stride, dilation, y.shape[2:])]
    winners = module.zeros_like(y, dtype="uint8" if len(windows) <= 256 else "int32")

    def work(block: slice) -> None:
        count, limit = winners[block], y[block]
        if y.dtype.kind == "f":
            limit = module.fmin(limit, math.inf)
        lost = module.ones_like(limit, dtype=bool)
        for window in windows[:-1]:
            lost &= x[block][window] < limit
            count += lost

    over_blocks(x, work)
    return winners


@primitive
def pick_taps(x, taps, *, kernel, stride, dilation, padding):
    """y[n,c,o] = x[n, c, o·stride + k·dilation − padding] with k = taps[n,c,o]."""
    x = padded(x, padding)
    y = xp(x).zeros_like(taps, dtype=x.dtype)
    for number, (_, window) in enumerate(tap_windows(kernel, stride, dilation, taps.shape[2:])):
        y += x[window] * (taps == number)
    return y


@primitive
def put_taps(g, taps, *, size, kernel, stride, dilation, padding):
    """The transpose of `pick_taps`: each g[n,c,o] added to the place of the window it came from."""
    module = xp(g)
    x, tiled = _room(taps, g.dtype, size, kernel, stride, dilation, padding)
    windows = [window for _, window in tap_windows(kernel, stride, dilation, taps.shape[2:])]

    def work(block: slice) -> None:
        values = module.empty_like(taps[block], dtype=g.dtype)
        values[...] = g[block]  # in the memory order of the taps, which g may not have
        for number, window in enumerate(windows):
            passed = taps[block] == number
            if tiled:
                module.multiply(values, passed, out=x[block][window])
            else:
                x[block][window] += values * passed

    over_blocks(x, work)
    return x[inside(size, padding)]


def _max_pool_vjp(g, y, x, **geometry):
    taps = winning_taps(x, y, **geometry)
    return put_taps(g, taps, size=x.shape[2:], **geometry)


max_pool.vjps(_max_pool_vjp)

pick_taps.vjps(lambda g, y, x, taps, **geometry: put_taps(g, taps, size=x.shape[2:], **geometry),
               None)

put_taps.vjps(lambda v, y, g, taps, *, size, **geometry: pick_taps(v, taps, **geometry),
              None)


def tap_places(taps: Array, size, kernel, stride, dilation, padding) -> Array:
    """The place in the flattened spatial plane that each tap number names, int64."""
    module = xp(taps)
    place = module.zeros(taps.shape, dtype="int64")
    rest = taps.astype("int64")
    for axis in reversed(range(len(size))):
        offset = rest % kernel[axis]
        rest = rest // kernel[axis]
        shape = [1] * taps.ndim
        shape[2 + axis] = taps.shape[2 + axis]
        start = module.arange(taps.shape[2 + axis]).reshape(shape) * stride[axis]
        at = start - padding[axis][0] + offset * dilation[axis]
        place += at * math.prod(size[axis + 1 :])
    return place


# ---------------------------------------------------------------------------------------------
# Resampling: each spatial axis multiplied by a matrix
# ---------------------------------------------------------------------------------------------


def resample(x: Any, matrices: list) -> Any:
    """Multiply each spatial axis of x by a matrix (out, in): separable and linear.

    Adaptive average pooling and interpolation are this with their own matrices.
    """
    for axis, matrix in enumerate(matrices, start=2):
        if axis == x.ndim - 1:
            x = matmul(x, swapaxes(matrix, 0, 1))
        else:
            x = swapaxes(matmul(swapaxes(x, axis, -1), swapaxes(matrix, 0, 1)), axis, -1)
    return x


def adaptive_windows(n: int, out: int) -> list[tuple[int, int]]:
    """PyTorch's windows of an adaptive pool: from ⌊i·n/out⌋ to ⌈(i + 1)·n/out⌉."""
    return [(i * n // out, -(-(i + 1) * n // out)) for i in range(out)]


def adaptive_matrix(n: int, out: int) -> np.ndarray:
    """The (out, n) matrix whose row i averages the i-th adaptive window."""
    matrix = np.zeros((out, n))
    for i, (start, stop) in enumerate(adaptive_windows(n, out)):
        matrix[i, start:stop] = 1.0 / (stop - start)
    return matrix


def nearest_matrix(n: int, out: int, scale: float) -> np.ndarray:
    """The (out, n) matrix that copies element ⌊i · scale⌋, with scale about n / out."""
    source = np.minimum((np.arange(out) * scale).astype("int64"), n - 1)
    return np.eye(n)[source]


def linear_matrix(n: int, out: int, scale: float, align_corners: bool) -> np.ndarray:
    """The (out, n) matrix of linear interpolation, at half-pixel centres or corners aligned."""
    i = np.arange(out)
    if align_corners:
        at = i * ((n - 1) / (out - 1) if out > 1 else 0.0)
    else:
        at = np.maximum((i + 0.5) * scale - 0.5, 0.0)
    low = np.minimum(at.astype("int64"), n - 1)
    high = np.minimum(low + 1, n - 1)
    share = at - low
    matrix = np.zeros((out, n))
    np.add.at(matrix, (i, low), 1.0 - share)
    np.add.at(matrix, (i, high), share)
    return matrix
