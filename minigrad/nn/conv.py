"""Convolutions and transposed convolutions as layers, in one, two and three dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import minigrad.nn.functional as F
from minigrad.creation import empty
from minigrad.nn.functional.checks import batched, lengths
from minigrad.nn.linear import initialize
from minigrad.nn.module import Module, Parameter
from minigrad.tensor import Tensor


class _Convolution(Module):
    """The settings and the weights that all convolutions have; `n_axes` counts spatial axes."""

    n_axes: ClassVar[int]
    transposed: ClassVar[bool]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        groups: int,
        bias: bool,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        (self.in_channels,) = lengths(name, "in_channels", in_channels, 1)
        (self.out_channels,) = lengths(name, "out_channels", out_channels, 1)
        (self.groups,) = lengths(name, "groups", groups, 1)
        for label, channels in (("in_channels", in_channels), ("out_channels", out_channels)):
            if channels % groups:
                raise ValueError(f"{name}: {label}={channels} does not divide by groups={groups}")
        self.kernel_size = lengths(name, "kernel_size", kernel_size, self.n_axes)
        self.stride = lengths(name, "stride", stride, self.n_axes)
        self.dilation = lengths(name, "dilation", dilation, self.n_axes)
        self.padding = padding
        if not isinstance(padding, str):
            self.padding = lengths(name, "padding", padding, self.n_axes, least=0)
        if self.transposed:
            shape = (in_channels, out_channels // groups, *self.kernel_size)
        else:
            shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = Parameter(empty(shape))
        self.bias = Parameter(empty(out_channels)) if bias else None
        initialize(self.weight, self.bias)

    def extra_repr(self) -> str:
        parts = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        parts.append(f"stride={self.stride}")
        defaults = {"padding": (0,), "dilation": (1,), "output_padding": (0,)}
        for name, default in defaults.items():
            value = getattr(self, name, None)
            if value is not None and value != default * self.n_axes:
                parts.append(f"{name}={value}")
        if self.groups != 1:
            parts.append(f"groups={self.groups}")
        if self.bias is None:
            parts.append("bias=False")
        return ", ".join(parts)


class _Conv(_Convolution):
    transposed = False
    function: ClassVar[Callable]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        if isinstance(padding, str):
            name = type(self).__name__
            if padding not in ("same", "valid"):
                raise ValueError(f"{name}: padding wants ints, 'same' or 'valid', got {padding!r}")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(f"{name}: padding='same' wants stride 1, got {self.stride}")

    def forward(self, x: Tensor) -> Tensor:
        convolve = type(self).function
        return convolve(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv1d(_Conv):
    """Cross-correlation of sequences (n, c, length) or (c, length) with learned filters.

    The equation stands at `F.conv1d`.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size, stride, dilation: ints ≥ 1.
        padding: zeros on both sides, an int; "same" (stride 1) or "valid".
        groups: channels are split into this many groups that do not see each other.
        bias: whether to add one number a channel.

    Attributes:
        weight: (out_channels, in_channels / groups, kernel_size).
        bias: (out_channels,), or None.
    """

    n_axes = 1
    function = F.conv1d


class Conv2d(_Conv):
    """Cross-correlation of images (n, c, h, w) or (c, h, w) with learned filters.

    As `Conv1d`, with an int or a pair for each length; weight (out, in / groups, kh, kw).
    """

    n_axes = 2
    function = F.conv2d


class Conv3d(_Conv):
    """Cross-correlation of volumes (n, c, d, h, w) or (c, d, h, w) with learned filters.

    As `Conv1d`, with an int or a triple for each length; weight (out, in / groups, kd, kh, kw).
    """

    n_axes = 3
    function = F.conv3d


class _ConvTranspose(_Convolution):
    transposed = True
    function: ClassVar[Callable]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
    ) -> None:
        if isinstance(padding, str):
            raise TypeError(f"{type(self).__name__}: padding wants ints, got {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, groups, bias
        )
        name = type(self).__name__
        self.output_padding = lengths(name, "output_padding", output_padding, self.n_axes, least=0)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        extra = self.output_padding
        if output_size is not None:
            extra = self._extra_for(x, tuple(output_size))
        transpose = type(self).function
        return transpose(
            x, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )

    def _extra_for(self, x: Tensor, output_size: tuple[int, ...]) -> tuple[int, ...]:
        """The output padding that gives a spatial size (the axes before it may be named too)."""
        name = type(self).__name__
        batched(name, x, self.n_axes)
        if len(output_size) not in (self.n_axes, x.ndim):
            raise ValueError(
                f"{name}: output_size wants {self.n_axes} or {x.ndim} lengths, got {output_size}"
            )
        wanted = output_size[-self.n_axes :]
        geometry = zip(
            x.shape[-self.n_axes :], self.kernel_size, self.stride, self.dilation, self.padding,
            strict=True,
        )
        least = tuple((n - 1) * s - 2 * p + d * (k - 1) + 1 for n, k, s, d, p in geometry)
        extra = tuple(a - b for a, b in zip(wanted, least, strict=True))
        if any(not 0 <= e < s for e, s in zip(extra, self.stride, strict=True)):
            most = tuple(n + s - 1 for n, s in zip(least, self.stride, strict=True))
            raise ValueError(f"{name}: output_size wants {least} to {most}, got {wanted}")
        return extra


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of sequences: the gradient of a `Conv1d` with respect to its input.

    ``forward(x, output_size=None)`` takes the length of the result where the stride leaves it open.

    Args:
        in_channels, out_channels: numbers of channels.
        kernel_size, stride, padding, dilation: those of the convolution that this transposes.
        output_padding: added to one end of the result.
        groups: channels are split into this many groups that do not see each other.
        bias: whether to add one number a channel.

    Attributes:
        weight: (in_channels, out_channels / groups, kernel_size).
        bias: (out_channels,), or None.
    """

    n_axes = 1
    function = F.conv_transpose1d


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of images, as `ConvTranspose1d` with an int or a pair a length."""

    n_axes = 2
    function = F.conv_transpose2d


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of volumes, as `ConvTranspose1d` with an int or a triple a length."""

    n_axes = 3
    function = F.conv_transpose3d
