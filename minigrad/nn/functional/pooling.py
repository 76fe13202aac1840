"""Pooling, unpooling and resampling: geometry checked here, computed in `minigrad.ops.pool`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.backend import backend_of
from minigrad.core import module_of
from minigrad.nn.functional.checks import batched, lengths
from minigrad.ops import indexing, shape
from minigrad.ops import pool as ops
from minigrad.ops.conv import output_length
from minigrad.tensor import Tensor


def _geometry(
    name: str, input: Tensor, n_axes: int, kernel_size, stride, padding, dilation, ceil_mode: bool
) -> dict[str, Any]:
    """The static parameters of a pool; `ceil_mode` is padding added to the far side."""
    kernel = lengths(name, "kernel_size", kernel_size, n_axes)
    stride = kernel if stride is None else lengths(name, "stride", stride, n_axes)
    dilation = lengths(name, "dilation", dilation, n_axes)
    padding = lengths(name, "padding", padding, n_axes, least=0)
    pairs = []
    size = input.shape[input.ndim - n_axes :]
    for n, k, s, d, p in zip(size, kernel, stride, dilation, padding, strict=True):
        if p > (d * (k - 1) + 1) // 2:
            raise ValueError(
                f"{name}: padding wants at most half of the window ({d * (k - 1) + 1}), got {p}"
            )
        out = output_length(n, k, s, d, (p, p))
        if ceil_mode and (n + 2 * p - d * (k - 1) - 1) % s and out * s < n + p:
            out += 1  # a partial window, unless it would start in the far padding
        if out < 1:
            raise ValueError(
                f"{name}: the window {kernel} does not fit into the input of shape {input.shape}"
            )
        pairs.append((p, p + max(0, (out - 1) * s + d * (k - 1) + 1 - (n + 2 * p))))
    return {"kernel": kernel, "stride": stride, "dilation": dilation, "padding": tuple(pairs)}


def _max_pool(
    n_axes: int, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
) -> Any:
    name = f"max_pool{n_axes}d"
    has_batch = batched(name, input, n_axes)
    x = input if has_batch else shape.expand_dims(input, 0)
    geometry = _geometry(name, x, n_axes, kernel_size, stride, padding, dilation, ceil_mode)
    y = ops.max_pool(x, **geometry)
    if not return_indices:
        return y if has_batch else shape.squeeze(y, 0)
    taps = ops.winning_taps(x.array, y.array, **geometry)
    places = Tensor(ops.tap_places(taps, x.shape[2:], **geometry))
    return (y, places) if has_batch else (shape.squeeze(y, 0), shape.squeeze(places, 0))


def max_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of sequences; outside the input is −∞.

    Args:
        input: (n, c, length), or (c, length).
        kernel_size: length of the window.
        stride: step between windows, `kernel_size` where None.
        padding: at most half of the window.
        ceil_mode: keep a last, partial window.
        return_indices: also return where each maximum was, as an index into the flattened spatial
            axes (int64); of equal ones the first.
    """
    return _max_pool(1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of images (n, c, h, w) or (c, h, w), as `max_pool1d`."""
    return _max_pool(2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def max_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The maximum of each window of volumes (n, c, d, h, w) or (c, d, h, w), as `max_pool1d`."""
    return _max_pool(3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _max_unpool(n_axes: int, input, indices, kernel_size, stride, padding, output_size) -> Tensor:
    name = f"max_unpool{n_axes}d"
    if not batched(name, input, n_axes):
        x, places = shape.expand_dims(input, 0), shape.expand_dims(indices, 0)
        y = _max_unpool(n_axes, x, places, kernel_size, stride, padding, output_size)
        return shape.squeeze(y, 0)
    if input.shape != indices.shape:
        raise ValueError(
            f"{name}: indices wants the shape of input, {input.shape}, got {indices.shape}"
        )
    kernel = lengths(name, "kernel_size", kernel_size, n_axes)
    stride = kernel if stride is None else lengths(name, "stride", stride, n_axes)
    padding = lengths(name, "padding", padding, n_axes, least=0)
    spatial = list(zip(input.shape[2:], kernel, stride, padding, strict=True))
    size = tuple((n - 1) * s - 2 * p + k for n, k, s, p in spatial)
    if output_size is not None:
        wanted = tuple(output_size)[-n_axes:]
        if any(abs(a - b) >= s for a, b, s in zip(wanted, size, stride, strict=True)):
            raise ValueError(
                f"{name}: output_size wants to be within a stride {stride} of {size}, got {wanted}"
            )
        size = wanted
    n, c = input.shape[:2]
    plane = math.prod(size)
    taken = math.prod(input.shape[2:])
    places = indices.array.reshape(n, c, taken)
    backend_of(places).check_range(f"{name}: indices", places, plane, f"places in size {size}")
    module = module_of(input)
    index = (module.arange(n)[:, None, None], module.arange(c)[:, None], places)
    values = input.reshape(n, c, taken)
    counts = indexing.put(module.ones_like(values.array), index=index, shape=(n, c, plane))
    share = values / module.maximum(counts, 1.0)[index].astype(input.dtype)
    return indexing.put(share, index=index, shape=(n, c, plane)).reshape(n, c, *size)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """Put the values of a max pool back where they came from, zeros elsewhere.

    Where overlapping windows name one place, it gets the mean of their values (which are equal if
    they come from `max_pool1d`).

    Args:
        input: (n, c, length), or (c, length): the pooled values.
        indices: as `max_pool1d` returns them.
        kernel_size, stride, padding: those of the pool.
        output_size: the spatial size to restore, where the geometry leaves it open.
    """
    return _max_unpool(1, input, indices, kernel_size, stride, padding, output_size)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """The values of `max_pool2d` put back where they came from, as `max_unpool1d`."""
    return _max_unpool(2, input, indices, kernel_size, stride, padding, output_size)


def max_unpool3d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    output_size: Any = None,
) -> Tensor:
    """The values of `max_pool3d` put back where they came from, as `max_unpool1d`."""
    return _max_unpool(3, input, indices, kernel_size, stride, padding, output_size)


def _window_counts(n: int, out: int, k: int, s: int, p: int, include_pad: bool) -> np.ndarray:
    """How many positions each window along an axis averages over: with the padding, or without."""
    start = np.arange(out) * s - p
    if include_pad:
        return np.minimum(start + k, n + p) - start
    return np.minimum(start + k, n) - np.maximum(start, 0)


def _avg_pool(n_axes: int, input, kernel_size, stride, padding, ceil_mode, count_include_pad):
    name = f"avg_pool{n_axes}d"
    if not batched(name, input, n_axes):
        x = shape.expand_dims(input, 0)
        y = _avg_pool(n_axes, x, kernel_size, stride, padding, ceil_mode, count_include_pad)
        return shape.squeeze(y, 0)
    geometry = _geometry(name, input, n_axes, kernel_size, stride, padding, 1, ceil_mode)
    total = ops.sum_pool(input, **geometry)
    counts = np.ones((), dtype="int64")
    for i in range(n_axes):
        k, s, (p, _) = (geometry[key][i] for key in ("kernel", "stride", "padding"))
        along = _window_counts(input.shape[2 + i], total.shape[2 + i], k, s, p, count_include_pad)
        counts = counts[..., None] * along
    if (counts == counts.flat[0]).all():
        return total * (1.0 / int(counts.flat[0]))
    return total / backend_of(input.array).asarray(counts.astype(input.dtype))


def avg_pool1d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of sequences.

    Args:
        input: (n, c, length), or (c, length).
        kernel_size: length of the window.
        stride: step between windows, `kernel_size` where None.
        padding: zeros on both sides, at most half of the window.
        ceil_mode: keep a last, partial window.
        count_include_pad: divide by the padded positions too.
    """
    return _avg_pool(1, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool2d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of images (n, c, h, w) or (c, h, w), as `avg_pool1d`."""
    return _avg_pool(2, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def avg_pool3d(
    input: Tensor,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of volumes (n, c, d, h, w) or (c, d, h, w), as `avg_pool1d`."""
    return _avg_pool(3, input, kernel_size, stride, padding, ceil_mode, count_include_pad)


def _adaptive_size(name: str, input: Tensor, n_axes: int, output_size: Any) -> tuple[int, ...]:
    """The output size, None standing for the input's."""
    given = output_size if isinstance(output_size, (tuple, list)) else (output_size,) * n_axes
    size = input.shape[input.ndim - n_axes :]
    if len(given) != n_axes:
        raise ValueError(f"{name}: output_size wants an int or {n_axes}, got {output_size!r}")
    filled = tuple(n if out is None else out for n, out in zip(size, given, strict=True))
    if math.prod(size) == 0:
        raise ValueError(f"{name}: input wants a spatial size above 0, got shape {input.shape}")
    return lengths(name, "output_size", filled, n_axes)


def _resample(input: Tensor, matrices: list[np.ndarray]) -> Tensor:
    backend = backend_of(input.array)
    return ops.resample(input, [backend.asarray(m.astype(input.dtype)) for m in matrices])


def _adaptive_avg_pool(n_axes: int, input: Tensor, output_size: Any) -> Tensor:
    name = f"adaptive_avg_pool{n_axes}d"
    if not batched(name, input, n_axes):
        y = _adaptive_avg_pool(n_axes, shape.expand_dims(input, 0), output_size)
        return shape.squeeze(y, 0)
    out = _adaptive_size(name, input, n_axes, output_size)
    if math.prod(out) == 1:
        return input.mean(axis=tuple(range(2, input.ndim)), keepdims=True)
    lengths_ = zip(input.shape[2:], out, strict=True)
    return _resample(input, [ops.adaptive_matrix(*pair) for pair in lengths_])


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Means over `output_size` windows that share a sequence (n, c, length) out evenly.

    Window i reaches from ⌊i·length/out⌋ to ⌈(i + 1)·length/out⌉.
    """
    return _adaptive_avg_pool(1, input, output_size)


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of windows of images (n, c, h, w), as `adaptive_avg_pool1d`.

    `output_size` is an int or a pair; None in it keeps the input's length.
    """
    return _adaptive_avg_pool(2, input, output_size)


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Means over a grid of windows of volumes (n, c, d, h, w), as `adaptive_avg_pool2d`."""
    return _adaptive_avg_pool(3, input, output_size)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maxima over the windows of `adaptive_avg_pool2d`; `return_indices` as in `max_pool2d`."""
    name = "adaptive_max_pool2d"
    if not batched(name, input, 2):
        y = adaptive_max_pool2d(shape.expand_dims(input, 0), output_size, return_indices)
        return tuple(shape.squeeze(t, 0) for t in y) if return_indices else shape.squeeze(y, 0)
    out = _adaptive_size(name, input, 2, output_size)
    n, c, h, w = input.shape
    rows, columns = (_window_indices(*pair) for pair in zip((h, w), out, strict=True))
    # places[i, j, a, b]: where window (i, j) reads its element (a, b); short ones read one twice
    places = rows[:, None, :, None] * w + columns[None, :, None, :]
    places = backend_of(input.array).asarray(places.reshape(*out, -1))
    flat = input.reshape(n, c, h * w)
    winners = flat.array[:, :, places].argmax(axis=-1)
    module = module_of(input)
    i, j = module.arange(out[0])[:, None], module.arange(out[1])
    chosen = Tensor(places[i, j, winners])
    winner = chosen.reshape(n, c, math.prod(out))
    y = indexing.take_along_axis(flat, winner, 2).reshape(n, c, *out)
    return (y, chosen) if return_indices else y


def _window_indices(n: int, out: int) -> np.ndarray:
    """The positions of each adaptive window, (out, longest), the last repeated in shorter ones."""
    windows = ops.adaptive_windows(n, out)
    longest = max(stop - start for start, stop in windows)
    return np.array([np.minimum(np.arange(a, a + longest), b - 1) for a, b in windows])


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """Resize the spatial axes of (n, c, *size).

    Args:
        size: the new spatial size, an int or one a spatial axis; or
        scale_factor: the new size over the old, a number or one a spatial axis.
        mode: "nearest" (1 to 3 spatial axes) or "bilinear" (images).
        align_corners: bilinear only: let the corner pixels' centres coincide instead of their
            outer corners.
    """
    n_axes = input.ndim - 2
    if mode not in ("nearest", "bilinear"):
        raise ValueError(f"interpolate: mode wants nearest or bilinear, got {mode!r}")
    if not 1 <= n_axes <= 3 or (mode == "bilinear" and n_axes != 2):
        raise ValueError(f"interpolate: mode {mode!r} does not take input of shape {input.shape}")
    if align_corners is not None and mode == "nearest":
        raise ValueError("interpolate: align_corners has no meaning with mode 'nearest'")
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: wants either size or scale_factor")
    old = input.shape[2:]
    if size is not None:
        new = lengths("interpolate", "size", size, n_axes)
        scales = tuple(n / out for n, out in zip(old, new, strict=True))
    else:
        several = isinstance(scale_factor, (tuple, list))
        factors = scale_factor if several else (scale_factor,) * n_axes
        if len(factors) != n_axes or min(factors) <= 0:
            raise ValueError(
                f"interpolate: scale_factor wants a positive number or {n_axes} of them, got "
                f"{scale_factor!r}"
            )
        new = tuple(math.floor(n * f) for n, f in zip(old, factors, strict=True))
        scales = tuple(1.0 / f for f in factors)
    if min((*old, *new)) < 1:
        raise ValueError(f"interpolate: cannot resize {old} to {new}")
    spatial = list(zip(old, new, scales, strict=True))
    if mode == "bilinear":
        return _resample(input, [ops.linear_matrix(*s, bool(align_corners)) for s in spatial])
    if all(out % n == 0 and scale == n / out for n, out, scale in spatial):
        for axis, (n, out, _) in enumerate(spatial, start=2):
            input = shape.repeat(input, out // n, axis)
        return input
    return _resample(input, [ops.nearest_matrix(*s) for s in spatial])


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(…, c·r², h, w) → (…, c, h·r, w·r): channels become a finer grid of pixels.

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient
    sub-pixel convolutional neural network" (2016).
    """
    (r,) = lengths("pixel_shuffle", "upscale_factor", upscale_factor, 1)
    if input.ndim < 3 or input.shape[-3] % (r * r):
        raise ValueError(
            f"pixel_shuffle: input wants channels that divide by {r * r} (upscale_factor {r}), got "
            f"shape {input.shape}"
        )
    *lead, c, h, w = input.shape
    x = input.reshape(-1, c // (r * r), r, r, h, w).transpose(0, 1, 4, 2, 5, 3)
    return x.reshape(*lead, c // (r * r), h * r, w * r)
