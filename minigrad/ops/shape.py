"""Rearranging: the same elements in another shape or order. Every function here is linear."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minigrad.backend import backend_of, get_backend, is_array, move, xp
from minigrad.core import Node, broadcast_to, module_of, primitive
from minigrad.ops.elementwise import where


def as_array(x: Any) -> Any:
    """x itself where it is a Tensor or an array; a number or a list as a NumPy array."""
    return x if isinstance(x, Node) or is_array(x) else np.asarray(x)


def normalize_axis(name: str, axis: Any, ndim: int) -> int:
    """An axis counted from the front; `name` is the function that an error names."""
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"{name}: axis wants an int, got {axis!r}") from None
    if not -ndim <= index < ndim:
        raise ValueError(f"{name}: axis {index} is out of bounds for {ndim} dimensions")
    return index % ndim


def normalize_axes(name: str, axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from the front: None means all of them, an int means one."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, (tuple, list, range)) else (axis,)
    found = tuple(normalize_axis(name, one, ndim) for one in axes)
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: axis names an axis twice: {axis}")
    return found


def integers(name: str, argument: str, values: Any) -> tuple[int, ...]:
    """An int or a sequence of ints as a tuple; an error names the function and its argument."""
    given = values.tolist() if isinstance(values, np.ndarray) else values
    try:
        return tuple(operator.index(n) for n in (given if isinstance(given, Sequence) else [given]))
    except TypeError:
        raise TypeError(f"{name}: {argument} wants an int or ints, got {values!r}") from None


@primitive
def reshape(x, *, shape):
    """The elements of x, in row-major order, in another shape; one length may be −1."""
    return x.reshape(shape)


reshape.vjps(lambda g, y, x, *, shape: reshape(g, shape=x.shape))


@primitive
def transpose(x, *, axes=None):
    """x with its axes in the order `axes` (None: reversed); a view."""
    return x.transpose(axes)


def _transpose_vjp(g, y, x, *, axes):
    if axes is None:
        return transpose(g)
    order = normalize_axes("transpose", axes, x.ndim)
    return transpose(g, axes=sorted(range(x.ndim), key=order.__getitem__))


transpose.vjps(_transpose_vjp)


@primitive
def flip(x, *, axis=None):
    """x with the order along the axes reversed; a view."""
    return xp(x).flip(x, axis)


flip.vjps(lambda g, y, x, *, axis: flip(g, axis=axis))


@primitive
def transfer(x, *, backend):
    """x on another backend, given by its name."""
    return move(x, get_backend(backend))


transfer.vjps(lambda g, y, x, *, backend: transfer(g, backend=_home(x)))


def _home(x):
    return backend_of(x.array if isinstance(x, Node) else x).name


@primitive
def roll(x, *, shift, axis=None):
    """x shifted cyclically along the axes (None: as if flat)."""
    return xp(x).roll(x, shift, axis)


def _roll_vjp(g, y, x, *, shift, axis):
    back = tuple(-s for s in shift) if isinstance(shift, (tuple, list)) else -shift
    return roll(g, shift=back, axis=axis)


roll.vjps(_roll_vjp)


@primitive
def pad_constant(x, *, pad_width, value):
    """x inside a border of `value`; `pad_width` is one (before, after) pair an axis."""
    shape = [n + sum(pair) for n, pair in zip(x.shape, pad_width, strict=True)]
    y = xp(x).full_like(x, value, shape=shape)  # in the memory order of x
    y[_inside(x.shape, pad_width)] = x
    return y


def _inside(shape, pad_width):
    return tuple(slice(low, low + n) for n, (low, _) in zip(shape, pad_width, strict=True))


pad_constant.vjps(lambda g, y, x, *, pad_width, value: g[_inside(x.shape, pad_width)])


@primitive
def concatenate(*xs, axis):
    """The arrays joined along an existing axis."""
    return xp(*xs).concatenate(xs, axis)


def _concatenate_vjp(wanted, g, y, *xs, axis):
    axis %= g.ndim
    gradients = []
    start = 0
    for wants, x in zip(wanted, xs, strict=True):
        stop = start + x.shape[axis]
        gradients.append(g[(slice(None),) * axis + (slice(start, stop),)] if wants else None)
        start = stop
    return gradients


concatenate.vjp_all(_concatenate_vjp)

# ---------------------------------------------------------------------------------------------
# Public functions composed of these
# ---------------------------------------------------------------------------------------------


def _arrays(name: str, arrays: Any) -> list:
    xs = [as_array(x) for x in arrays]
    if not xs:
        raise ValueError(f"{name}: wants at least one array, got none")
    return xs


def join(arrays: Sequence, axis: int | None = 0) -> Any:
    """Join arrays along an existing axis, as ``np.concatenate`` (axis None: flattened first).

    Args:
        arrays: Tensors or arrays whose shapes agree but for `axis`.
        axis: the axis to join along.
    """
    xs = _arrays("concatenate", arrays)
    if axis is None:
        return concatenate(*[ravel(x) for x in xs], axis=0)
    return concatenate(*xs, axis=normalize_axis("concatenate", axis, xs[0].ndim))


def stack(arrays: Sequence, axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis, as ``np.stack``."""
    xs = _arrays("stack", arrays)
    shapes = {tuple(x.shape) for x in xs}
    if len(shapes) > 1:
        raise ValueError(f"stack: all arrays want one shape, got {sorted(shapes)}")
    axis = normalize_axis("stack", axis, xs[0].ndim + 1)
    return concatenate(*[expand_dims(x, axis) for x in xs], axis=axis)


def split(x: Any, indices_or_sections: Any, axis: int = 0) -> list:
    """Cut x along an axis into equal sections (an int) or at indices, as ``np.split``.

    Returns a list of views.
    """
    axis = normalize_axis("split", axis, x.ndim)
    length = x.shape[axis]
    cuts = integers("split", "indices_or_sections", indices_or_sections)
    if np.ndim(indices_or_sections) == 0:
        sections = cuts[0]
        if sections < 1 or length % sections:
            raise ValueError(f"split: cannot cut length {length} into {sections} equal sections")
        cuts = tuple(length // sections * i for i in range(1, sections))
    lead = (slice(None),) * axis
    return [x[(*lead, slice(a, b))] for a, b in pairwise((0, *cuts, length))]


def ravel(x: Any) -> Any:
    """x in one dimension, row-major."""
    return reshape(x, shape=(-1,))


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """x with two axes exchanged."""
    order = list(range(x.ndim))
    i = normalize_axis("swapaxes", axis1, x.ndim)
    j = normalize_axis("swapaxes", axis2, x.ndim)
    order[i], order[j] = order[j], order[i]
    return transpose(x, axes=tuple(order))


def moveaxis(x: Any, source: Any, destination: Any) -> Any:
    """x with axes moved to new positions, the others keeping their order."""
    sources = normalize_axes("moveaxis", source, x.ndim)
    targets = normalize_axes("moveaxis", destination, x.ndim)
    if len(sources) != len(targets):
        raise ValueError(f"moveaxis: {len(sources)} source axes but {len(targets)} destinations")
    order = [axis for axis in range(x.ndim) if axis not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose(x, axes=tuple(order))


def expand_dims(x: Any, axis: Any) -> Any:
    """x with new axes of length 1 at the positions `axis` of the result."""
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    new = normalize_axes("expand_dims", axis, x.ndim + count)
    lengths = iter(x.shape)
    shape = tuple(1 if i in new else next(lengths) for i in range(x.ndim + count))
    return reshape(x, shape=shape)


def squeeze(x: Any, axis: Any = None) -> Any:
    """x without axes of length 1: all of them, or those named, which must have that length."""
    if axis is None:
        return reshape(x, shape=tuple(n for n in x.shape if n != 1))
    drop = normalize_axes("squeeze", axis, x.ndim)
    for i in drop:
        if x.shape[i] != 1:
            raise ValueError(f"squeeze: axis {i} has length {x.shape[i]}, not 1 (shape {x.shape})")
    return reshape(x, shape=tuple(n for i, n in enumerate(x.shape) if i not in drop))


def _pairs(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """NumPy's spellings of a padding, ``n``, ``(before, after)`` or a pair an axis, as pairs."""
    try:
        pairs = np.broadcast_to(pad_width, (ndim, 2))
    except ValueError:
        raise ValueError(
            f"pad: pad_width wants an int, a pair or {ndim} pairs, one an axis, got {pad_width}"
        ) from None
    if pairs.dtype.kind not in "iu":
        raise TypeError(f"pad: pad_width wants ints, got {pad_width}")
    if (pairs < 0).any():
        raise ValueError(f"pad: pad_width wants no negative length, got {pad_width}")
    return tuple((low, high) for low, high in pairs.tolist())


def _border_indices(module: Any, mode: str, n: int, low: int, high: int) -> Any:
    """Which element each position of a padded axis of length n repeats."""
    if n == 0 and low + high > 0:
        raise ValueError(f"pad: mode {mode!r} cannot extend an axis of length 0")
    i = module.arange(-low, n + high)
    if mode == "edge":
        return i.clip(0, n - 1)
    if mode == "wrap":
        return i % n
    period = max(2 * (n - 1), 1)
    i = i % period
    return module.minimum(i, period - i) if n > 1 else i * 0


def pad(x: Any, pad_width: Any, mode: str = "constant", constant_values: float = 0) -> Any:
    """x inside a border, as ``np.pad``.

    Args:
        pad_width: an int, a pair (before, after), or one such pair an axis.
        mode: "constant", "edge" (the outermost element), "reflect" (mirrored, the edge not
            repeated) or "wrap" (from the other side).
        constant_values: the value of the border in mode "constant".
    """
    pairs = _pairs(pad_width, x.ndim)
    if np.ndim(constant_values) != 0:
        raise TypeError(f"pad: constant_values wants one number, got {constant_values!r}")
    if mode == "constant":
        return pad_constant(x, pad_width=pairs, value=constant_values)
    if mode not in ("edge", "reflect", "wrap"):
        raise ValueError(f"pad: mode wants constant, edge, reflect or wrap, got {mode!r}")
    if constant_values != 0:
        raise TypeError(f"pad: constant_values has no meaning with mode {mode!r}")
    module = module_of(x)
    for axis, (low, high) in enumerate(pairs):
        if low or high:
            index = _border_indices(module, mode, x.shape[axis], low, high)
            x = x[(slice(None),) * axis + (index,)]
    return x


def repeat(x: Any, repeats: Any, axis: int | None = None) -> Any:
    """Each element `repeats` times in a row along `axis`, as ``np.repeat`` (None: flattened).

    Args:
        repeats: an int, or one count for each element along the axis.
    """
    if axis is None:
        return repeat(ravel(x), repeats, 0)
    axis = normalize_axis("repeat", axis, x.ndim)
    length = x.shape[axis]
    counts = integers("repeat", "repeats", repeats)
    if any(n < 0 for n in counts):
        raise ValueError(f"repeat: repeats wants no negative count, got {repeats}")
    if len(counts) == 1:
        wide = expand_dims(x, axis + 1)
        wide = broadcast_to(wide, shape=(*x.shape[: axis + 1], *counts, *x.shape[axis + 1 :]))
        shape = (*x.shape[:axis], length * counts[0], *x.shape[axis + 1 :])
        return reshape(wide, shape=shape)
    if len(counts) != length:
        raise ValueError(f"repeat: {len(counts)} repeats for an axis of length {length}")
    module = module_of(x)
    index = module.asarray([i for i, n in enumerate(counts) for _ in range(n)], dtype="int64")
    return x[(slice(None),) * axis + (index,)]


def tile(x: Any, reps: Any) -> Any:
    """x laid side by side `reps` times along each axis, as ``np.tile``."""
    counts = integers("tile", "reps", reps)
    shape = (1,) * (len(counts) - x.ndim) + tuple(x.shape)
    counts = (1,) * (len(shape) - len(counts)) + counts
    one = reshape(x, shape=tuple(n for length in shape for n in (1, length)))
    pairs = zip(counts, shape, strict=True)
    many = broadcast_to(one, shape=tuple(n for count, length in pairs for n in (count, length)))
    pairs = zip(counts, shape, strict=True)
    return reshape(many, shape=tuple(count * length for count, length in pairs))


def _triangle(x: Any, name: str, k: int) -> Any:
    if x.ndim < 2:
        raise ValueError(f"{name}: wants at least 2 dimensions, got shape {x.shape}")
    module = module_of(x)
    rows, columns = x.shape[-2:]
    return module.arange(columns) <= module.arange(rows)[:, None] + k


def tril(x: Any, k: int = 0) -> Any:
    """The lower triangle of the last two axes, up to the k-th diagonal; zeros above."""
    return where(_triangle(x, "tril", k), x, False)  # False is the zero of every dtype


def triu(x: Any, k: int = 0) -> Any:
    """The upper triangle of the last two axes, from the k-th diagonal; zeros below."""
    return where(_triangle(x, "triu", k - 1), False, x)


def diagonal(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The elements x[…, i, i + offset] of two axes, along a new last axis."""
    x = moveaxis(x, normalize_axes("diagonal", (axis1, axis2), x.ndim), (-2, -1))
    rows, columns = x.shape[-2:]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    start = offset if offset > 0 else -offset * columns
    step = columns + 1  # down a diagonal of a flattened matrix
    flat = reshape(x, shape=(*x.shape[:-2], rows * columns))
    return flat[..., start : start + length * step : step]


def trace(x: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """The sum of a diagonal of two axes."""
    return diagonal(x, offset, axis1, axis2).sum(axis=-1)
