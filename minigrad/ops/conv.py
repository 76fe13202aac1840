"""Convolution in any number of dimensions, from one trilinear form.

Write φ(x, w, g) = Σ g[n,f,o] · w[f,c,k] · x[n, c, o·stride + k·dilation − padding], where o runs
over output positions, k over kernel taps, and x is zero outside. Its three partial derivatives are

    conv(x, w)           = ∂φ/∂g   the convolution,
    conv_transpose(g, w) = ∂φ/∂x   the transposed convolution,
    conv_weight(x, g)    = ∂φ/∂w   the gradient of the kernel.

Each is linear in both of its arguments, so the rule of each is the other two, and the family is
closed under differentiation to any order.

All three are matrix products over *columns* (im2col): `unfold` lays the window of every output
position out as a column, `fold` adds columns back to where they came from, and the two are each
other's transpose. A convolution builds the columns of a few images at a time, keeps none of them,
and builds them again on the way back: memory stays small and the columns stay in the cache.

Shapes: x (n, c, *size), w (f, c / groups, *kernel), g (n, f, *out), columns (n, c, *kernel, *out).
The geometry is static: `stride` and `dilation` are tuples with one length a spatial axis, `padding`
one pair (before, after).

Source: Dumoulin & Visin, "A guide to convolution arithmetic for deep learning" (2016).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

from minigrad.backend import Array, backend_of, xp
from minigrad.core import primitive
from minigrad.ops.shape import pad_constant


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


def _blocks(x: Array, column_length: int) -> Iterator[slice]:
    """Slices of the batch for which columns are built together."""
    n = x.shape[0]
    step = max(1, backend_of(x).working_set // max(1, column_length * x.dtype.itemsize))
    return (slice(start, start + step) for start in range(0, n, step))


@primitive
def conv(x, w, *, stride, padding, dilation, groups):
    """y[n,f,o] = Σ_{c,k} w[f,c,k] · x[n, c, o·stride + k·dilation − padding]."""
    n, c = x.shape[:2]
    f, kernel = w.shape[0], w.shape[2:]
    out = output_size(x.shape[2:], kernel, stride, dilation, padding)
    taps, places = math.prod(kernel), math.prod(out)
    module = xp(x)
    y = module.empty((n, groups, f // groups, places), dtype=module.result_type(x, w))
    matrix = w.reshape(groups, f // groups, c // groups * taps)
    for block in _blocks(x, c * taps * places):
        columns = unfold(
            x[block], kernel=kernel, stride=stride, dilation=dilation, padding=padding
        )
        # (groups, f/groups, c/groups·k) @ (n, groups, c/groups·k, o) → (n, groups, f/groups, o)
        module.matmul(matrix, columns.reshape(-1, groups, c // groups * taps, places), out=y[block])
    return y.reshape(n, f, *out)


@primitive
def conv_transpose(g, w, *, size, stride, padding, dilation, groups):
    """x[n, c, o·stride + k·dilation − padding] += Σ_f w[f,c,k] · g[n,f,o], of spatial `size`.

    With stride > 1 several sizes lead to the same output positions, hence the explicit `size`.
    """
    n, f, *out = g.shape
    kernel = w.shape[2:]
    if tuple(out) != output_size(size, kernel, stride, dilation, padding):
        raise ValueError(f"size {tuple(size)} does not lead to output positions {tuple(out)}")
    taps, places = math.prod(kernel), math.prod(out)
    c = w.shape[1] * groups
    module = xp(g)
    x = module.empty((n, c, *size), dtype=module.result_type(g, w))
    matrix = w.reshape(groups, f // groups, c // groups * taps).swapaxes(1, 2)
    rows = g.reshape(n, groups, f // groups, places)
    for block in _blocks(g, c * taps * places):
        # (groups, c/groups·k, f/groups) @ (n, groups, f/groups, o) → (n, groups, c/groups·k, o)
        columns = module.matmul(matrix, rows[block]).reshape(-1, c, *kernel, *out)
        x[block] = fold(columns, size=size, stride=stride, dilation=dilation, padding=padding)
    return x


@primitive
def conv_weight(x, g, *, kernel, stride, padding, dilation, groups):
    """w[f,c,k] = Σ_{n,o} g[n,f,o] · x[n, c, o·stride + k·dilation − padding]."""
    n, f, *out = g.shape
    c = x.shape[1]
    taps, places = math.prod(kernel), math.prod(out)
    module = xp(x)
    shape = (groups, f // groups, c // groups * taps)
    w = module.zeros(shape, dtype=module.result_type(x, g))
    rows = g.reshape(n, groups, f // groups, places)
    for block in _blocks(x, c * taps * places):
        columns = unfold(
            x[block], kernel=kernel, stride=stride, dilation=dilation, padding=padding
        )
        columns = columns.reshape(-1, groups, c // groups * taps, places)
        # (n, groups, f/groups, o) @ (n, groups, o, c/groups·k), summed over n
        w += module.matmul(rows[block], columns.swapaxes(2, 3)).sum(axis=0)
    return w.reshape(f, c // groups, *kernel)


def _to_x(g, w, x, geometry):
    return conv_transpose(g, w, size=x.shape[2:], **geometry)


def _to_w(x, g, w, geometry):
    return conv_weight(x, g, kernel=w.shape[2:], **geometry)


conv.vjps(lambda v, y, x, w, **geometry: _to_x(v, w, x, geometry),
          lambda v, y, x, w, **geometry: _to_w(x, v, w, geometry))

conv_transpose.vjps(lambda v, y, g, w, *, size, **geometry: conv(v, w, **geometry),
                    lambda v, y, g, w, *, size, **geometry: _to_w(v, g, w, geometry))

conv_weight.vjps(lambda v, y, x, g, *, kernel, **geometry: _to_x(g, v, x, geometry),
                 lambda v, y, x, g, *, kernel, **geometry: conv(x, v, **geometry))
