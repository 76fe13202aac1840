"""Convolution in any number of dimensions, from one trilinear form.

Write φ(x, w, g) = Σ g[n,f,o] · w[f,c,k] · x[n, c, o·stride + k·dilation − padding], where o runs
over output positions, k over kernel taps, and x is zero outside. Its three partial derivatives are

    conv(x, w)           = ∂φ/∂g   the convolution,
    conv_transpose(g, w) = ∂φ/∂x   the transposed convolution,
    conv_weight(x, g)    = ∂φ/∂w   the gradient of the kernel.

Each is linear in both of its arguments, so the rule of each is the other two, and the family is
closed under differentiation to any order.

All three are matrix products over *columns* (im2col): the window of every output position, laid out
as a row of a matrix. The columns of a few images are made at a time, kept by nobody, and made again
on the way back: memory stays small, and they stay in the cache.

Shapes: x (n, c, *size), w (f, c / groups, *kernel), g (n, f, *out). Results lie in memory with the
channels last, (n, *out, f), as the products leave them; the strides of the array say so, and
elementwise functions keep it so. The geometry is static: `stride` and `dilation` are tuples with
one length a spatial axis, `padding` one pair (before, after).

Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterator
from typing import Any

from minigrad.backend import Array, backend_of, xp
from minigrad.core import module_of, primitive
from minigrad.ops.shape import moveaxis, pad_constant, reshape


def output_length(n: int, kernel: int, stride: int, dilation: int, padding: tuple[int, int]) -> int:
    """How many windows fit along an axis."""
    return (n + sum(padding) - dilation * (kernel - 1) - 1) // stride + 1


def output_size(size, kernel, stride, dilation, padding) -> tuple[int, ...]:
    """`output_length` for each spatial axis; refuses a window larger than the padded input."""
    out = tuple(map(output_length, size, kernel, stride, dilation, padding))
    if min(out, default=1) < 1:
        padded = tuple(n + sum(pair) for n, pair in zip(size, padding, strict=True))
        spans = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
        raise ValueError(f"kernel spans {spans} but the padded input measures only {padded}")
    return out


def tap_windows(kernel, stride, dilation, out) -> Iterator[tuple[tuple, tuple]]:
    """For each kernel tap, its index and the strided slices of the padded input that it reads."""
    for tap in itertools.product(*map(range, kernel)):
        starts = [k * d for k, d in zip(tap, dilation, strict=True)]
        ends = [a + s * (o - 1) + 1 for a, s, o in zip(starts, stride, out, strict=True)]
        window = map(slice, starts, ends, stride)
        yield tap, (..., *window)


def inside(size, padding) -> tuple:
    """The slices of a padded array that hold the original."""
    spans = zip(size, padding, strict=True)
    return (..., *(slice(before, before + n) for n, (before, _) in spans))


def padded(x: Array, padding, value: float = 0.0) -> Array:
    """x inside a border of `value` on its spatial axes; x itself where there is none."""
    if not any(map(any, padding)):
        return x
    others = ((0, 0),) * (x.ndim - len(padding))
    return pad_constant(x, pad_width=(*others, *padding), value=value)


def room_for(windows: Array, size, padding) -> Array:
    """Zeros for an array of spatial `size` with its padding, which windows (n, c, …) add up in."""
    wide = [n + sum(pair) for n, pair in zip(size, padding, strict=True)]
    return xp(windows).zeros((*windows.shape[:2], *wide), dtype=windows.dtype)


@primitive
def unfold(x, *, kernel, stride, dilation, padding):
    """im2col: columns[n, c, k, o] = x[n, c, o·stride + k·dilation − padding]."""
    out = output_size(x.shape[2:], kernel, stride, dilation, padding)
    x = padded(x, padding)
    columns = xp(x).empty((*x.shape[:2], *kernel, *out), dtype=x.dtype)
    for tap, window in tap_windows(kernel, stride, dilation, out):
        columns[(slice(None), slice(None), *tap)] = x[window]
    return columns


@primitive
def fold(columns, *, size, stride, dilation, padding):
    """col2im: each column added back to the places of its window, in an array of spatial `size`."""
    n_axes = len(size)
    kernel, out = columns.shape[2 : 2 + n_axes], columns.shape[2 + n_axes :]
    x = room_for(columns, size, padding)
    for tap, window in tap_windows(kernel, stride, dilation, out):
        x[window] += columns[(slice(None), slice(None), *tap)]
    return x[inside(size, padding)]


def _unfold_vjp(g, y, x, *, kernel, stride, dilation, padding):
    return fold(g, size=x.shape[2:], stride=stride, dilation=dilation, padding=padding)


def _fold_vjp(g, y, columns, *, size, stride, dilation, padding):
    kernel = columns.shape[2 : 2 + len(size)]
    return unfold(g, kernel=kernel, stride=stride, dilation=dilation, padding=padding)


unfold.vjps(_unfold_vjp)
fold.vjps(_fold_vjp)


# ---------------------------------------------------------------------------------------------
# Columns
# ---------------------------------------------------------------------------------------------


def _windows(x: Array, kernel, stride, dilation, out) -> Array:
    """The windows (n, *out, *kernel, groups, c) of x (n, *wide, groups, c): a view, no copy."""
    image, *places, group, channel = x.strides
    steps = map(operator.mul, places, stride)
    taps = map(operator.mul, places, dilation)
    return xp(x).lib.stride_tricks.as_strided(
        x,
        shape=(x.shape[0], *out, *kernel, *x.shape[-2:]),
        strides=(image, *steps, *taps, group, channel),
    )


def _overlap(n: int, before: int, after: int) -> tuple[slice, slice]:
    """Where an axis of length n is read and where it lands under a padding, which cuts off where it
    is negative."""
    start = min(max(-before, 0), n)
    stop = max(start, n - max(-after, 0))
    landing = max(before, 0)
    return slice(start, stop), slice(landing, landing + stop - start)


def _blocks(x: Array, column_length: int) -> list[slice]:
    """Slices of the batch of x for which columns, so many elements an image, are built together."""
    return backend_of(x).blocks(slice(0, x.shape[0]), column_length * x.dtype.itemsize)


def _mixes_channels(kernel, stride, padding) -> bool:
    """Whether the columns of an image are its own places: those of a kernel of one tap."""
    return math.prod(kernel) == 1 and set(stride) == {1} and not any(map(any, padding))


def _columns(x: Array, groups, kernel, stride, dilation, padding) -> Iterator[tuple[slice, Array]]:
    """im2col, a few images of x (n, c, *size) at a time.

    Yields the slice of these images, and their columns (groups, places, taps · c/groups) in memory
    that serves again for the next.
    """
    n, c, *size = x.shape
    d, c = len(size), c // groups
    out = output_size(size, kernel, stride, dilation, padding)
    taps, places = math.prod(kernel), math.prod(out)
    module = xp(x)
    x = module.moveaxis(x, 1, -1).reshape(n, *size, groups, c)
    blocks = _blocks(x, groups * places * taps * c)
    most = blocks[0].stop if blocks else 0
    if _mixes_channels(kernel, stride, padding):
        for images in blocks:
            yield images, x[images].reshape(-1, groups, c).swapaxes(0, 1)
        return
    wide = [length + before + after for length, (before, after) in zip(size, padding, strict=True)]
    # Memory is copied in runs, of neighbouring taps and channels or of neighbouring places. Longer
    # runs are faster, so they decide which of the two lie side by side.
    run_of_taps = c * kernel[-1] if groups == dilation[-1] == 1 else c
    run_of_places = out[-1] if stride[-1] == 1 else 1
    if run_of_taps >= run_of_places:
        border = module.zeros((most, *wide, groups, c), dtype=x.dtype)
        columns = module.empty((groups, most, *out, *kernel, c), dtype=x.dtype)
    else:
        border = module.zeros((most, groups, c, *wide), dtype=x.dtype)
        border = border.transpose(0, *range(3, 3 + d), 1, 2)
        columns = module.empty((groups, *kernel, c, most, *out), dtype=x.dtype)
        columns = columns.transpose(0, *range(2 + d, 3 + 2 * d), *range(1, 2 + d))
    windows = module.moveaxis(_windows(border, kernel, stride, dilation, out), -2, 0)
    axes = [_overlap(length, *pair) for length, pair in zip(size, padding, strict=True)]
    read, inner = zip(*axes, strict=True)
    for images in blocks:
        count = images.stop - images.start
        border[(slice(count), *inner)] = x[(images, *read)]
        columns[:, :count] = windows[:, :count]
        yield images, columns[:, :count].reshape(groups, count * places, taps * c)


# ---------------------------------------------------------------------------------------------
# The three derivatives
# ---------------------------------------------------------------------------------------------


def _small(x: Array, places: int, size: int) -> bool:
    """Whether the products with matrices of that size are faster image by image."""
    return places >= 32 and places * size <= backend_of(x).small_product


def _rows(x: Array, places: int, size: int) -> int:
    """How many places, a divisor of those of an image, make the fastest product with a matrix of
    that size; 0 for as many as there are."""
    most = min(places, backend_of(x).small_product // max(1, size))
    divisors = (rows for rows in range(most, 23, -1) if places % rows == 0)
    return next(divisors, 0)  # with fewer than 24 rows a product is slow again


def _correlate(x: Array, w: Array, b: Any, y: Array, kernel, stride, dilation, padding) -> None:
    """Columns of x times w (groups, taps · c, f), plus b, into y (n, *out, groups · f), where c and
    f are the channels of one group."""
    groups, k, f = w.shape
    module = xp(x)
    # The cache does not hold the columns of a kernel of one tap, which are x: a product for all.
    size = _rows(x, math.prod(y.shape[1:-1]), w.size) if math.prod(kernel) > 1 else 0
    for images, columns in _columns(x, groups, kernel, stride, dilation, padding):
        rows = y[images]
        if groups > 1:
            rows[...] = module.matmul(columns, w).swapaxes(0, 1).reshape(rows.shape)
        else:
            columns = columns.reshape(-1, size or columns.shape[1], k)
            if rows.flags.c_contiguous:
                module.matmul(columns, w, out=rows.reshape(len(columns), -1, f))
            else:
                rows[...] = module.matmul(columns, w).reshape(rows.shape)
        if b is not None:
            rows += b


def _room(x: Array, w: Array, b: Any, size, channels: int) -> Array:
    """Memory (n, *size, channels) of the dtype that x, w and b have together."""
    dtype = xp(x).result_type(x, w) if b is None else xp(x).result_type(x, w, b)
    return xp(x).empty((x.shape[0], *size, channels), dtype=dtype)


def _lies_ready(x: Array, kernel, stride, padding, groups: int) -> bool:
    """Whether each image of x (n, c, *size), as it lies in memory, is the transpose of its
    columns."""
    return groups == 1 and _mixes_channels(kernel, stride, padding) and x.flags.c_contiguous


def _mix(x: Array, w: Array, b: Any) -> Array:
    """w times the channels of every image, plus b: x (n, c, *size), w (f, c), y (n, f, *size)."""
    n, c, *size = x.shape
    module = xp(x)
    images = x.reshape(n, c, math.prod(size))
    y = _room(x, w, b, w.shape[:1], images.shape[2])

    def work(part: slice) -> None:
        module.matmul(w, images[part], out=y[part])
        if b is not None:
            y[part] += b[:, None]

    backend_of(x).share(n, y.size * c, work)
    return y.reshape(n, len(w), *size)


@primitive
def conv(x, w, b=None, *, stride, padding, dilation, groups):
    """y[n,f,o] = b[f] + Σ_{c,k} w[f,c,k] · x[n, c, o·stride + k·dilation − padding]."""
    n, (f, c, *kernel) = x.shape[0], w.shape
    module = xp(x)
    if _lies_ready(x, kernel, stride, padding, groups):
        return _mix(x, w.reshape(f, c), b)
    y = _room(x, w, b, output_size(x.shape[2:], kernel, stride, dilation, padding), f)
    w = module.moveaxis(w.reshape(groups, f // groups, c, *kernel), (1, 2), (-1, -2))
    w = w.reshape(groups, math.prod(kernel) * c, f // groups)

    def work(part: slice) -> None:
        _correlate(x[part], w, b, y[part], kernel, stride, dilation, padding)

    backend_of(x).share(n, math.prod(y.shape) * w.shape[1], work)
    return module.moveaxis(y, -1, 1)


def _phase(phase: int, n: int, out: int, kernel: int, stride: int, dilation: int, before: int):
    """One axis of `conv_transpose`: the positions i of x with (i + before) mod stride = phase.

    They are reached by the taps k with k·dilation mod stride = phase: with i + before = q·stride +
    phase from o = q − (k·dilation − phase) / stride. In reverse the taps are those of a correlation
    with stride 1. Returns the slices of the positions and of the taps, and the kernel, dilation and
    padding of that correlation; None where no tap or no position has this phase.
    """
    taps = [k for k in range(kernel) if k * dilation % stride == phase]
    positions = range((phase - before) % stride, n, stride)
    if not taps or not positions:
        return None
    every = taps[1] - taps[0] if len(taps) > 1 else stride
    apart = every * dilation // stride
    q = (positions[0] + before - phase) // stride
    ahead = (taps[-1] * dilation - phase) // stride - q
    behind = len(positions) + (len(taps) - 1) * apart - out - ahead
    in_reverse = slice(taps[-1], taps[0] - 1 if taps[0] else None, -every)
    return slice(positions[0], n, stride), in_reverse, len(taps), apart, (ahead, behind)


def _scatter(g: Array, w: Array, b: Any, x: Array, groups: int, **geometry: Any) -> None:
    """`conv_transpose` into x (n, *size, groups · c) by the columns of a few images at a time."""
    n, f, *out = g.shape
    c, *kernel = w.shape[1:]
    module = xp(g)
    matrices = w.reshape(groups, f // groups, -1).swapaxes(1, 2)
    rows = g.reshape(n, groups, f // groups, math.prod(out))
    for images in _blocks(g, groups * matrices.shape[1] * rows.shape[3]):
        columns = module.matmul(matrices, rows[images]).reshape(-1, groups * c, *kernel, *out)
        x[images] = module.moveaxis(fold(columns, **geometry), 1, -1)
        if b is not None:
            x[images] += b


@primitive
def conv_transpose(g, w, b=None, *, size, stride, padding, dilation, groups):
    """x[n, c, o·stride + k·dilation − padding] += Σ_f w[f,c,k] · g[n,f,o], of spatial `size`, plus
    b[c] everywhere.

    With stride > 1 several sizes lead to the same output positions, hence the explicit `size`.

    Seen from g every position makes a column, and columns are added up in x (`fold`). Seen from x
    it is a correlation too, of g with the taps that lie a whole number of strides away; positions
    that see the same taps are computed together. The second way copies where the first one adds,
    and is mostly faster; with few channels in x, or few positions of g, the first is.
    """
    n, f, *out = g.shape
    c, *kernel = w.shape[1:]
    if tuple(out) != output_size(size, kernel, stride, dilation, padding):
        raise ValueError(f"size {tuple(size)} does not lead to output positions {tuple(out)}")
    module = xp(g)
    if _lies_ready(g, kernel, stride, padding, groups):
        return _mix(g, w.reshape(f, c).T, b)
    x = _room(g, w, b, size, groups * c)
    # In multiplications: an element costs ten of them to copy, and eighty to add to its place.
    scattered = math.prod(out) * (f // groups + 80) * c
    gathered = math.prod(size) // math.prod(stride) * (c + 10) * (f // groups)
    if scattered < gathered:
        geometry = {"size": size, "stride": stride, "padding": padding, "dilation": dilation}
        backend_of(g).share(
            n,
            math.prod(g.shape) * math.prod(kernel) * c,
            lambda part: _scatter(g[part], w, b, x[part], groups, **geometry),
        )
        return module.moveaxis(x, -1, 1)
    befores = [before for before, _ in padding]
    phases = [
        list(map(_phase, phase, size, out, kernel, stride, dilation, befores))
        for phase in itertools.product(*map(range, stride))
    ]
    if any(None in axes for axes in phases):
        x[...] = 0.0 if b is None else b
    w = module.moveaxis(w.reshape(groups, f // groups, c, *kernel), (1, 2), (-2, -1))

    def work(part: slice) -> None:
        for axes in phases:
            if None in axes:
                continue
            positions, taps, lengths, apart, around = zip(*axes, strict=True)
            seen = w[(slice(None), *taps)].reshape(groups, math.prod(lengths) * (f // groups), c)
            y = x[(part, *positions)]
            _correlate(g[part], seen, b, y, lengths, (1,) * len(size), apart, around)

    backend_of(g).share(n, math.prod(g.shape) * math.prod(kernel) * c, work)
    return module.moveaxis(x, -1, 1)


@primitive
def conv_weight(x, g, *, kernel, stride, padding, dilation, groups):
    """w[f,c,k] = Σ_{n,o} g[n,f,o] · x[n, c, o·stride + k·dilation − padding]."""
    (n, f), c = g.shape[:2], x.shape[1]
    f, c = f // groups, c // groups
    module = xp(x)
    shape = (groups, math.prod(kernel) * c, f)
    rows = module.moveaxis(g, 1, -1)
    places = math.prod(g.shape[2:])
    small = _small(x, places, math.prod(shape))
    ready = _lies_ready(x, kernel, stride, padding, groups) and g.flags.c_contiguous

    def work(part: slice) -> Array:
        w = module.zeros(shape, dtype=module.result_type(x, g))
        if ready:
            of_x, of_g = (a[part].reshape(-1, a.shape[1], places) for a in (x, g))
            for images in _blocks(of_x, c * f):
                w += (of_x[images] @ of_g[images].swapaxes(1, 2)).sum(axis=0)
            return w
        for images, columns in _columns(x[part], groups, kernel, stride, dilation, padding):
            block = rows[part][images]
            if groups > 1:
                w += columns.swapaxes(1, 2) @ block.reshape(-1, groups, f).swapaxes(0, 1)
            else:
                pieces = len(block) if small else 1
                columns = columns.reshape(pieces, -1, shape[1]).swapaxes(1, 2)
                w += (columns @ block.reshape(pieces, -1, f)).sum(axis=0)
        return w

    sums = backend_of(x).share(n, math.prod(g.shape) * math.prod(kernel) * c, work)
    w = functools.reduce(operator.add, sums).reshape(groups, *kernel, c, f)
    return module.ascontiguousarray(module.moveaxis(w, (-1, -2), (1, 2))).reshape(
        groups * f, c, *kernel
    )


def _to_x(g, w, x, geometry):
    return conv_transpose(g, w, size=x.shape[2:], **geometry)


def _to_w(x, g, w, geometry):
    return conv_weight(x, g, kernel=w.shape[2:], **geometry)


def _to_b(v):
    """The sum over images, then over places: the BLAS sums fastest, and long rows faster still."""
    n, f, *out = v.shape
    places, ones = math.prod(out), module_of(v).ones
    images = reshape(moveaxis(v, 1, -1), shape=(n, places * f))
    rows = reshape(ones(n, dtype=v.dtype) @ images, shape=(places, f))
    return ones(places, dtype=v.dtype) @ rows


conv.vjps(lambda v, y, x, w, b, **geometry: _to_x(v, w, x, geometry),
          lambda v, y, x, w, b, **geometry: _to_w(x, v, w, geometry),
          lambda v, y, x, w, b, **geometry: _to_b(v))

conv_transpose.vjps(lambda v, y, g, w, b, *, size, **geometry: conv(v, w, **geometry),
                    lambda v, y, g, w, b, *, size, **geometry: _to_w(v, g, w, geometry),
                    lambda v, y, g, w, b, *, size, **geometry: _to_b(v))

conv_weight.vjps(lambda v, y, x, g, *, kernel, **geometry: _to_x(g, v, x, geometry),
                 lambda v, y, x, g, *, kernel, **geometry: conv(x, v, **geometry))
