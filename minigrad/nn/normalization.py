"""Normalisation as layers; the functions in `F` say what each computes."""

from __future__ import annotations

from typing import Any, ClassVar

import minigrad.nn.functional as F
from minigrad.creation import ones, zeros
from minigrad.nn.functional.checks import batched, lengths
from minigrad.nn.module import Module, Parameter
from minigrad.ops.shape import expand_dims, squeeze
from minigrad.tensor import Tensor


class _BatchNorm(Module):
    ndims: ClassVar[tuple[int, ...]]  # the numbers of dimensions that an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        (self.num_features,) = lengths(type(self).__name__, "num_features", num_features, 1)
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None
        tracked = track_running_stats
        self.register_buffer("running_mean", zeros(num_features) if tracked else None)
        self.register_buffer("running_var", ones(num_features) if tracked else None)
        self.register_buffer("num_batches_tracked", zeros((), dtype="int64") if tracked else None)

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim not in self.ndims:
            wanted = " or ".join(map(str, self.ndims))
            raise ValueError(
                f"{type(self).__name__}: input wants {wanted} dimensions, got shape {x.shape}"
            )
        if x.shape[1] != self.num_features:
            raise ValueError(
                f"{type(self).__name__}: input wants {self.num_features} channels, got shape "
                f"{x.shape}"
            )
        momentum: Any = self.momentum
        if self.training and self.num_batches_tracked is not None:
            # An array of the backend, never a Python number: counting shall not wait for a GPU.
            batches = self.num_batches_tracked.array + 1
            self.num_batches_tracked.overwrite(batches)
            if momentum is None:
                momentum = 1.0 / batches
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training or self.running_mean is None,
            momentum=momentum,
            eps=self.eps,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, "
            f"affine={self.affine}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """(x − mean) / √(variance + eps) · weight + bias for each channel of (n, c) or (n, c, length).

    In training the statistics are the batch's, and the running ones move towards them; in
    evaluation the running ones are used.

    Args:
        num_features: number of channels c.
        eps: added to the variance.
        momentum: the weight of the newest batch in the running statistics; None gives all batches
            the same weight.
        affine: whether to learn weight and bias.
        track_running_stats: whether to keep running statistics; without them every batch is
            normalised by its own.

    Attributes:
        weight, bias: (c,), or None.
        running_mean, running_var: (c,), or None; the variance is the unbiased one.
        num_batches_tracked: int64 without axes, or None.

    Source: Ioffe & Szegedy, "Batch normalization" (2015).
    """

    ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch normalisation of images (n, c, h, w), as `BatchNorm1d`."""

    ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch normalisation of volumes (n, c, d, h, w), as `BatchNorm1d`."""

    ndims = (5,)


class LayerNorm(Module):
    """(x − mean) / √(variance + eps) · weight + bias over the last axes of each sample.

    Args:
        normalized_shape: the lengths of those axes, an int for one.
        eps: added to the variance.
        elementwise_affine: whether to learn weight and bias, of that shape.
        bias: whether to learn the bias.

    Source: Ba, Kiros & Hinton, "Layer normalization" (2016).
    """

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        super().__init__()
        axes = len(normalized_shape) if isinstance(normalized_shape, (tuple, list)) else 1
        self.normalized_shape = lengths("LayerNorm", "normalized_shape", normalized_shape, axes)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(ones(self.normalized_shape)) if elementwise_affine else None
        wants_bias = elementwise_affine and bias
        self.bias = Parameter(zeros(self.normalized_shape)) if wants_bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """Standardise each sample's channels in groups; then weight and bias a channel.

    Args:
        num_groups: number of groups.
        num_channels: number of channels, a multiple of it.
        eps: added to the variance.
        affine: whether to learn weight and bias, (num_channels,).

    Source: Wu & He, "Group normalization" (2018).
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True
    ) -> None:
        super().__init__()
        (self.num_groups,) = lengths("GroupNorm", "num_groups", num_groups, 1)
        (self.num_channels,) = lengths("GroupNorm", "num_channels", num_channels, 1)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_channels={num_channels} does not divide by num_groups={num_groups}"
            )
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(ones(num_channels)) if affine else None
        self.bias = Parameter(zeros(num_channels)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class InstanceNorm2d(Module):
    """Standardise each channel of each image (n, c, h, w) or (c, h, w).

    Args:
        num_features: number of channels.
        eps: added to the variance.
        affine: whether to learn weight and bias, (num_features,).

    Source: Ulyanov, Vedaldi & Lempitsky, "Instance normalization" (2016).
    """

    def __init__(self, num_features: int, eps: float = 1e-5, *, affine: bool = False) -> None:
        super().__init__()
        (self.num_features,) = lengths("InstanceNorm2d", "num_features", num_features, 1)
        self.eps = eps
        self.affine = affine
        self.weight = Parameter(ones(num_features)) if affine else None
        self.bias = Parameter(zeros(num_features)) if affine else None

    def forward(self, x: Tensor) -> Tensor:
        has_batch = batched("InstanceNorm2d", x, 2)
        if x.shape[-3] != self.num_features:
            raise ValueError(
                f"InstanceNorm2d: input wants {self.num_features} channels, got shape {x.shape}"
            )
        y = x if has_batch else expand_dims(x, 0)
        y = F.instance_norm(y, weight=self.weight, bias=self.bias, eps=self.eps)
        return y if has_batch else squeeze(y, 0)

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """x / (k + alpha/size · Σ x²)^beta, the sum over `size` neighbouring channels of (n, c, *size).

    Source: Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural
    networks" (2012), 3.3.
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__()
        (self.size,) = lengths("LocalResponseNorm", "size", size, 1)
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, x: Tensor) -> Tensor:
        return F.local_response_norm(x, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"
