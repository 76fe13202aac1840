"""Normalisation by the statistics of a batch, a sample, a group of channels, neighbours."""

from __future__ import annotations

import math
from typing import Any

from minigrad.backend import Array
from minigrad.nn.functional.checks import same_dtype
from minigrad.ops import elementwise, reduce
from minigrad.ops.normalize import moments, standardize, standardize_rows
from minigrad.ops.pool import sum_pool
from minigrad.tensor import Tensor


def _by_channel(name: str, x: Tensor, **values: Tensor | None) -> list[Tensor | None]:
    """Vectors (c,) in a shape that broadcasts against x (n, c, …)."""
    c = x.shape[1]
    for label, vector in values.items():
        if vector is not None and vector.shape != (c,):
            raise ValueError(f"{name}: {label} wants shape {(c,)}, got {vector.shape}")
    shape = (1, c, *[1] * (x.ndim - 2))
    return [None if vector is None else vector.reshape(shape) for vector in values.values()]


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    """weight · x + bias."""
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _standardize(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    axes: tuple[int, ...],
    eps: float,
    statistics: tuple[Array, Array] | None = None,
) -> Tensor:
    """`standardize` with either of weight and bias, or both, or none."""
    if weight is None or bias is None:
        return _affine(standardize(x, axis=axes, eps=eps, statistics=statistics), weight, bias)
    return standardize(x, weight, bias, axis=axes, eps=eps, statistics=statistics)


def batch_norm(
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean) / √(variance + eps) · weight + bias for each channel.

    In training the statistics are the batch's, over all axes but the channels', and the running
    ones, where given, move towards them in place: r ← (1 − momentum)·r + momentum·s, with the
    unbiased variance. Otherwise the running statistics are used.

    Args:
        input: (n, c, …).
        running_mean, running_var, weight, bias: (c,) or None.

    Source: Ioffe & Szegedy, "Batch normalization" (2015).
    """
    if input.ndim < 2:
        raise ValueError(f"batch_norm: input wants shape (n, c, …), got {input.shape}")
    same_dtype("batch_norm", input=input, weight=weight, bias=bias)
    c = input.shape[1]
    for label, values in (("running_mean", running_mean), ("running_var", running_var)):
        if values is not None and values.shape != (c,):
            raise ValueError(f"batch_norm: {label} wants shape {(c,)}, got {values.shape}")
    if not training:
        if running_mean is None or running_var is None:
            raise ValueError("batch_norm: training=False wants running_mean and running_var")
        return _with_running_statistics(input, running_mean, running_var, weight, bias, eps)
    weight, bias = _by_channel("batch_norm", input, weight=weight, bias=bias)
    axes = (0, *range(2, input.ndim))
    count = math.prod(input.shape[i] for i in axes)
    if count < 2:
        raise ValueError(
            f"batch_norm: training wants more than one value per channel, got shape {input.shape}"
        )
    mean, variance = moments(input.array, axes)
    if running_mean is not None:
        _move_towards(running_mean, mean, momentum)
    if running_var is not None:
        _move_towards(running_var, variance * (count / (count - 1)), momentum)
    return _standardize(input, weight, bias, axes, eps, (mean, variance))


def _move_towards(running: Tensor, statistic: Any, momentum: float) -> None:
    running.overwrite((1.0 - momentum) * running.array + momentum * statistic.reshape(-1))


def _with_running_statistics(input, running_mean, running_var, weight, bias, eps: float) -> Tensor:
    """One multiplication and one addition a value: the statistics go into weight and bias."""
    scale = (running_var + eps) ** -0.5
    scale = scale if weight is None else scale * weight
    shift = -running_mean * scale
    shift = shift if bias is None else shift + bias
    scale, shift = scale.astype(input.dtype), shift.astype(input.dtype)
    return _affine(input, *_by_channel("batch_norm", input, weight=scale, bias=shift))


def layer_norm(
    input: Tensor,
    normalized_shape: Any,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x − mean) / √(variance + eps) · weight + bias over the last axes, `normalized_shape`.

    Source: Ba, Kiros & Hinton, "Layer normalization" (2016).
    """
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    if not shape or input.shape[-len(shape) :] != shape:
        raise ValueError(
            f"layer_norm: input wants to end in normalized_shape {shape}, got {input.shape}"
        )
    same_dtype("layer_norm", input=input, weight=weight, bias=bias)
    for label, values in (("weight", weight), ("bias", bias)):
        if values is not None and values.shape != shape:
            raise ValueError(f"layer_norm: {label} wants shape {shape}, got {values.shape}")
    if weight is not None and bias is not None:
        return standardize_rows(input, weight, bias, eps=eps)
    return _affine(standardize(input, axis=tuple(range(-len(shape), 0)), eps=eps), weight, bias)


def group_norm(
    input: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """Standardise each sample's channels in `num_groups` groups; then weight and bias a channel.

    Args:
        input: (n, c, …) with c a multiple of `num_groups`.
        weight, bias: (c,) or None.

    Source: Wu & He, "Group normalization" (2018).
    """
    if input.ndim < 2 or num_groups < 1 or input.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: input wants channels that divide into num_groups={num_groups}, got shape "
            f"{input.shape}"
        )
    same_dtype("group_norm", input=input, weight=weight, bias=bias)
    grouped = input.reshape(input.shape[0], num_groups, math.prod(input.shape[1:]) // num_groups)
    y = standardize(grouped, axis=(2,), eps=eps).reshape(input.shape)
    return _affine(y, *_by_channel("group_norm", input, weight=weight, bias=bias))


def instance_norm(
    input: Tensor, *, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Standardise each channel of each sample (n, c, …); then weight and bias (c,) a channel.

    Source: Ulyanov, Vedaldi & Lempitsky, "Instance normalization" (2016).
    """
    if input.ndim < 3:
        raise ValueError(f"instance_norm: input wants shape (n, c, *size), got {input.shape}")
    if math.prod(input.shape[2:]) < 2:
        raise ValueError(
            f"instance_norm: wants more than one value per channel, got shape {input.shape}"
        )
    same_dtype("instance_norm", input=input, weight=weight, bias=bias)
    weight, bias = _by_channel("instance_norm", input, weight=weight, bias=bias)
    return _standardize(input, weight, bias, tuple(range(2, input.ndim)), eps)


def local_response_norm(
    input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels.

    Source: Krizhevsky, Sutskever & Hinton (2012), 3.3; `alpha` divided by `size` as PyTorch has it.
    """
    if input.ndim < 3:
        raise ValueError(f"local_response_norm: input wants shape (n, c, *size), got {input.shape}")
    if size < 1:
        raise ValueError(f"local_response_norm: size wants at least 1, got {size}")
    n, c = input.shape[:2]
    squares = elementwise.square(input).reshape(n, 1, c, math.prod(input.shape[2:]))
    sums = sum_pool(
        squares,
        kernel=(size, 1),
        stride=(1, 1),
        dilation=(1, 1),
        padding=((size // 2, (size - 1) // 2), (0, 0)),
    )
    return input / (k + (alpha / size) * sums.reshape(input.shape)) ** beta


def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x / max(‖x‖_p, eps) along `dim`."""
    size = reduce.norm(input, p, dim, keepdims=True)
    return input / elementwise.maximum(size, eps)
