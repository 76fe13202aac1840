"""Indexing x[...] and its transpose, which puts values back where they were read."""

from __future__ import annotations

from typing import Any

from minigrad.backend import backend_of, is_array, xp
from minigrad.core import Node, module_of, primitive
from minigrad.ops.shape import normalize_axis, ravel


def _names_once(index: tuple) -> bool:
    """Whether an index surely names no element twice: slices and ints, or one mask among them."""
    arrays = [part for part in index if is_array(part) and part.ndim > 0]
    return not arrays or (len(arrays) == 1 and arrays[0].dtype == bool)


@primitive
def getitem(x, *, index):
    """x[index], with everything NumPy allows as an index; a view for slices and ints."""
    return x[index]


@primitive
def put(v, *, index, shape):
    """An array of zeros of `shape` with v added at [index]: the transpose of `getitem`.

    An element that the index names several times receives the sum.
    """
    y = xp(v).zeros(shape, dtype=v.dtype)
    if _names_once(index):
        y[index] = v
    else:
        xp(v).add.at(y, index, v)
    return y


getitem.vjps(lambda g, y, x, *, index: put(g, index=index, shape=x.shape))
put.vjps(lambda g, y, v, *, index, shape: getitem(g, index=index))


def _index_part(part: Any, backend: Any) -> Any:
    """One part of an index as NumPy and CuPy take it: Tensors and sequences become arrays."""
    if isinstance(part, Node):
        part = part.array
    elif isinstance(part, (list, tuple, range)):
        part = backend.module.asarray(part)
        if part.size == 0:  # an empty list became float64
            part = part.astype("int64")
    if is_array(part):
        if part.dtype.kind not in "iub":
            raise IndexError(f"index: an array in an index wants ints or bools, got {part.dtype}")
        if part.ndim and backend_of(part) is not backend:
            raise TypeError(
                f"index: a {backend_of(part).name} array cannot index a {backend.name} tensor; "
                f"move it with .to({backend.name!r})"
            )
    return part


def index(x: Node, key: Any) -> Any:
    """x[key] for a Tensor: what ``Tensor.__getitem__`` does."""
    parts = key if isinstance(key, tuple) else (key,)
    backend = backend_of(x.array)
    return getitem(x, index=tuple(_index_part(part, backend) for part in parts))


def _numbers(name: str, indices: Any, x: Any) -> Any:
    """Indices as an array of ints beside x; a mask is none."""
    part = _index_part(indices, backend_of(x.array if isinstance(x, Node) else x))
    if is_array(part) and part.dtype.kind not in "iu":
        raise TypeError(f"{name}: indices wants ints, got {part.dtype}")
    return part


def take(x: Any, indices: Any, axis: int | None = None) -> Any:
    """The elements of x at `indices` along an axis, as ``np.take`` (None: of x flattened).

    Args:
        indices: ints of any shape, which replaces the axis in the result; out of range they raise
            on NumPy and wrap on CuPy.
    """
    if axis is None:
        return take(ravel(x), indices, 0)
    axis = normalize_axis("take", axis, x.ndim)
    return x[(slice(None),) * axis + (_numbers("take", indices, x),)]


def take_along_axis(x: Any, indices: Any, axis: int | None = -1) -> Any:
    """For each 1-D slice of x along `axis`, the elements that the slice of `indices` names.

    As ``np.take_along_axis``: `indices` has x's number of dimensions and broadcasts against it on
    the other axes.
    """
    if axis is None:
        return take_along_axis(ravel(x), ravel(indices), 0)
    axis = normalize_axis("take_along_axis", axis, x.ndim)
    indices = _numbers("take_along_axis", indices, x)
    if indices.ndim != x.ndim:
        raise ValueError(
            f"take_along_axis: indices wants {x.ndim} dimensions as x has, got {indices.ndim}"
        )
    module = module_of(x)
    parts = []
    for i, n in enumerate(x.shape):
        if i == axis:
            parts.append(indices)
        else:
            shape = [1] * x.ndim
            shape[i] = n
            parts.append(module.arange(n).reshape(shape))
    return x[tuple(parts)]
