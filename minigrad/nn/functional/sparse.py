"""Integers as vectors: embeddings and one-hot codes; and the cosine of an angle."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad.backend import Array, backend_of, is_array
from minigrad.core import Node, broadcast_to, module_of
from minigrad.nn.functional.checks import same_dtype
from minigrad.ops.elementwise import clip, where
from minigrad.ops.reduce import euclidean_norm, sum
from minigrad.ops.shape import normalize_axis
from minigrad.tensor import Tensor


def integer_array(name: str, argument: str, values: Any, beside: Tensor | None = None) -> Array:
    """The raw array of a Tensor or array of integers, on the backend of the tensor `beside` it."""
    array = values.array if isinstance(values, Node) else values
    if not is_array(array):
        raise TypeError(f"{name}: {argument} wants a Tensor, got {type(values).__name__}")
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name}: {argument} wants integers, got {array.dtype}")
    if beside is not None and backend_of(array) is not backend_of(beside.array):
        raise TypeError(
            f"{name}: cannot mix {backend_of(array).name} and {beside.backend} arrays; move "
            f"{argument} with .to({beside.backend!r})"
        )
    return array


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """The rows of `weight` that the integers name: (…) → (…, d).

    Args:
        input: integers in 0 … n − 1, any shape.
        weight: (n, d).
        padding_idx: a row that gets no gradient.

    Raises:
        IndexError: an integer is negative, or n or more (on a GPU raised by the next value read).
    """
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight wants shape (n, d), got {weight.shape}")
    n = weight.shape[0]
    indices = integer_array("embedding", "input", input, weight)
    backend_of(indices).check_range("embedding: input", indices, n, "embeddings")
    y = weight[indices]
    if padding_idx is None:
        return y
    if not -n <= padding_idx < n:
        raise ValueError(
            f"embedding: padding_idx wants to be within {n} embeddings, got {padding_idx}"
        )
    return where(indices[..., None] == padding_idx % n, y.detach(), y)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """1 where the last axis's index is the integer, else 0: (…) → (…, num_classes), int64.

    Args:
        tensor: integers in 0 … num_classes − 1.
        num_classes: −1 takes one more than the largest integer.
    """
    indices = integer_array("one_hot", "tensor", tensor)
    if num_classes == -1:
        if indices.size == 0:
            raise ValueError("one_hot: num_classes cannot be inferred from an empty tensor")
        num_classes = max(int(indices.max()) + 1, 1)
    if num_classes < 1:
        raise ValueError(f"one_hot: num_classes wants at least 1, got {num_classes}")
    backend_of(indices).check_range("one_hot: tensor", indices, num_classes, "classes")
    codes = indices[..., None] == module_of(indices).arange(num_classes)
    return Tensor(codes.astype(np.int64))


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """x1 · x2 / (max(‖x1‖, eps) · max(‖x2‖, eps)) along the axis `dim`; the shapes broadcast.

    `dim` counts the axes of the common shape, and the vectors are those of that shape.
    """
    same_dtype("cosine_similarity", x1=x1, x2=x2)
    try:
        shape = np.broadcast_shapes(x1.shape, x2.shape)
    except ValueError:
        raise ValueError(
            f"cosine_similarity: x1 and x2 want shapes that broadcast, got {x1.shape} and "
            f"{x2.shape}"
        ) from None
    axis = normalize_axis("cosine_similarity", dim, len(shape))

    def unit(x: Tensor) -> Tensor:
        x = broadcast_to(x, shape=shape)
        return x / clip(euclidean_norm(x, axis=axis, keepdims=True), float(eps))

    return sum(unit(x1) * unit(x2), axis=axis)
