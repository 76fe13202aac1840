"""Layers without geometry: linear maps, embeddings, dropout, and changes of shape."""

from __future__ import annotations

import math
from typing import Any

import minigrad.nn.functional as F
from minigrad.creation import empty
from minigrad.nn import init
from minigrad.nn.functional.checks import lengths
from minigrad.nn.module import Module, Parameter
from minigrad.ops.shape import normalize_axis, reshape
from minigrad.tensor import Tensor


def initialize(weight: Parameter, bias: Parameter | None) -> None:
    """Uniform on ±1/√fan_in, weight and bias: the start of linear layers and convolutions.

    Source: LeCun et al., "Efficient BackProp" (1998), 4.6, in the variant that PyTorch has.
    """
    init.kaiming_uniform_(weight, a=math.sqrt(5.0))  # √(3 · 2 / (1 + 5)) = 1
    if bias is not None:
        bound = 1.0 / math.sqrt(init.fans("initialize", weight)[0])
        init.uniform_(bias, -bound, bound)


class Identity(Module):
    """x ↦ x; takes the place of a layer that is not wanted."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Linear(Module):
    """y = x Wᵀ + b over the last axis: (…, in_features) → (…, out_features).

    Attributes:
        weight: (out_features, in_features).
        bias: (out_features,), or None.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__()
        (self.in_features,) = lengths("Linear", "in_features", in_features, 1)
        (self.out_features,) = lengths("Linear", "out_features", out_features, 1)
        self.weight = Parameter(empty((out_features, in_features)))
        self.bias = Parameter(empty(out_features)) if bias else None
        initialize(self.weight, self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class Embedding(Module):
    """A table of vectors, looked up by integers: (…) → (…, embedding_dim).

    Args:
        num_embeddings: number of vectors.
        embedding_dim: their length.
        padding_idx: an integer whose vector starts as zeros and gets no gradient.

    Attributes:
        weight: (num_embeddings, embedding_dim), initially standard normal.
    """

    def __init__(
        self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None
    ) -> None:
        super().__init__()
        (self.num_embeddings,) = lengths("Embedding", "num_embeddings", num_embeddings, 1)
        (self.embedding_dim,) = lengths("Embedding", "embedding_dim", embedding_dim, 1)
        self.weight = Parameter(init.normal_(empty((num_embeddings, embedding_dim))))
        self.padding_idx = padding_idx
        if padding_idx is not None:
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise ValueError(
                    f"Embedding: padding_idx wants to be within num_embeddings={num_embeddings}, "
                    f"got {padding_idx}"
                )
            self.padding_idx = padding_idx % num_embeddings
            self.weight.array[self.padding_idx] = 0.0

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(x, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class _Dropout(Module):
    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"{type(self).__name__}: p wants a probability, got {p}")
        self.p = p

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Dropout(_Dropout):
    """In training each element becomes 0 with probability p, the others are divided by 1 − p.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting"
    (2014).
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.p, self.training)


class Dropout2d(_Dropout):
    """As `Dropout` for whole channels of images (n, c, h, w).

    Source: Tompson et al., "Efficient object localization using convolutional networks" (2015).
    """

    def forward(self, x: Tensor) -> Tensor:
        return F.dropout2d(x, self.p, self.training)


class Flatten(Module):
    """The axes from start_dim to end_dim, both included, as one."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        start = normalize_axis("Flatten", self.start_dim, x.ndim)
        end = normalize_axis("Flatten", self.end_dim, x.ndim)
        if start > end:
            raise ValueError(
                f"Flatten: start_dim {self.start_dim} comes after end_dim {self.end_dim} in shape "
                f"{x.shape}"
            )
        length = math.prod(x.shape[start : end + 1])
        return reshape(x, shape=(*x.shape[:start], length, *x.shape[end + 1 :]))

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """The axis `dim` as axes of the lengths `unflattened_size`, one of which may be −1."""

    def __init__(self, dim: int, unflattened_size: Any) -> None:
        super().__init__()
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, x: Tensor) -> Tensor:
        axis = normalize_axis("Unflatten", self.dim, x.ndim)
        known = -math.prod(self.unflattened_size)
        sizes = tuple(
            x.shape[axis] // known if n == -1 and known > 0 else n for n in self.unflattened_size
        )
        if math.prod(sizes) != x.shape[axis]:
            raise ValueError(
                f"Unflatten: axis {self.dim} of shape {x.shape} does not divide into "
                f"unflattened_size {self.unflattened_size}"
            )
        return reshape(x, shape=(*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
