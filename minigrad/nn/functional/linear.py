"""The affine map of a dense layer."""

from __future__ import annotations

import math

from minigrad.nn.functional.checks import same_dtype
from minigrad.ops.activation import affine
from minigrad.ops.shape import reshape
from minigrad.tensor import Tensor


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input · weightᵀ + bias over the last axis.

    Args:
        input: (…, in).
        weight: (out, in).
        bias: (out,) or None.

    Returns:
        (…, out).
    """
    same_dtype("linear", input=input, weight=weight, bias=bias)
    if weight.ndim != 2:
        raise ValueError(f"linear: weight wants shape (out, in), got {weight.shape}")
    features_out, features_in = weight.shape
    if input.ndim == 0 or input.shape[-1] != features_in:
        raise ValueError(
            f"linear: weight wants {features_in} input features (shape {weight.shape}) but input "
            f"has shape {input.shape}"
        )
    if bias is not None and bias.shape != (features_out,):
        raise ValueError(f"linear: bias wants shape {(features_out,)}, got {bias.shape}")
    if input.ndim == 2:
        return affine(input, weight, bias)
    rows = reshape(input, shape=(math.prod(input.shape[:-1]), features_in))
    y = affine(rows, weight, bias)
    return reshape(y, shape=(*input.shape[:-1], features_out))
