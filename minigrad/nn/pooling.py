"""Pooling, unpooling and resampling as layers; the functions in `F` say what each computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import minigrad.nn.functional as F
from minigrad.nn.functional.checks import lengths
from minigrad.nn.module import Module
from minigrad.tensor import Tensor


class _Pool(Module):
    function: ClassVar[Callable]


class _MaxPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, x: Tensor) -> Any:
        return type(self).function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPool):
    """The maximum of each window of sequences (n, c, length) or (c, length); see `F.max_pool1d`.

    Args:
        kernel_size: length of the window.
        stride: step between windows, `kernel_size` where None.
        padding: −∞ on both sides, at most half of the window.
        dilation: step between the elements of a window.
        return_indices: return a pair, the maxima and where they were, as `MaxUnpool1d` takes them.
        ceil_mode: keep a last, partial window.
    """

    function = F.max_pool1d


class MaxPool2d(_MaxPool):
    """The maximum of each window of images, as `MaxPool1d` with an int or a pair a length."""

    function = F.max_pool2d


class MaxPool3d(_MaxPool):
    """The maximum of each window of volumes, as `MaxPool1d` with an int or a triple a length."""

    function = F.max_pool3d


class _MaxUnpool(_Pool):
    n_axes: ClassVar[int]

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = lengths(name, "kernel_size", kernel_size, self.n_axes)
        stride = kernel_size if stride is None else stride
        self.stride = lengths(name, "stride", stride, self.n_axes)
        self.padding = lengths(name, "padding", padding, self.n_axes, least=0)

    def forward(
        self, x: Tensor, indices: Tensor, output_size: Sequence[int] | None = None
    ) -> Tensor:
        return type(self).function(
            x, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpool):
    """The values of a `MaxPool1d` put back where they came from, zeros elsewhere.

    ``forward(x, indices, output_size=None)``, with the indices that the pool returned.
    """

    n_axes = 1
    function = F.max_unpool1d


class MaxUnpool2d(_MaxUnpool):
    """The values of a `MaxPool2d` put back where they came from, as `MaxUnpool1d`."""

    n_axes = 2
    function = F.max_unpool2d


class MaxUnpool3d(_MaxUnpool):
    """The values of a `MaxPool3d` put back where they came from, as `MaxUnpool1d`."""

    n_axes = 3
    function = F.max_unpool3d


class _AvgPool(_Pool):
    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, x: Tensor) -> Tensor:
        return type(self).function(
            x,
            self.kernel_size,
            self.stride,
            self.padding,
            ceil_mode=self.ceil_mode,
            count_include_pad=self.count_include_pad,
        )

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(_AvgPool):
    """The mean of each window of sequences (n, c, length) or (c, length); see `F.avg_pool1d`.

    Args:
        kernel_size: length of the window.
        stride: step between windows, `kernel_size` where None.
        padding: zeros on both sides, at most half of the window.
        ceil_mode: keep a last, partial window.
        count_include_pad: divide by the padded positions too.
    """

    function = F.avg_pool1d


class AvgPool2d(_AvgPool):
    """The mean of each window of images, as `AvgPool1d` with an int or a pair a length."""

    function = F.avg_pool2d


class AvgPool3d(_AvgPool):
    """The mean of each window of volumes, as `AvgPool1d` with an int or a triple a length."""

    function = F.avg_pool3d


class _AdaptivePool(_Pool):
    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, x: Tensor) -> Any:
        return type(self).function(x, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePool):
    """Means over `output_size` windows that share a sequence out evenly."""

    function = F.adaptive_avg_pool1d


class AdaptiveAvgPool2d(_AdaptivePool):
    """Means over a grid of windows of images; in `output_size`, None keeps the input's length."""

    function = F.adaptive_avg_pool2d


class AdaptiveAvgPool3d(_AdaptivePool):
    """Means over a grid of windows of volumes, as `AdaptiveAvgPool2d`."""

    function = F.adaptive_avg_pool3d


class AdaptiveMaxPool2d(_AdaptivePool):
    """Maxima over the windows of `AdaptiveAvgPool2d`.

    Args:
        output_size: an int or a pair; None in it keeps the input's length.
        return_indices: return a pair, the maxima and where they were.
    """

    function = F.adaptive_max_pool2d

    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, x: Tensor) -> Any:
        return F.adaptive_max_pool2d(x, self.output_size, self.return_indices)


class Upsample(Module):
    """Resize the spatial axes of (n, c, *size); see `F.interpolate`.

    Args:
        size: the new spatial size; or
        scale_factor: the new size over the old.
        mode: "nearest" or "bilinear" (images).
        align_corners: bilinear only: let the centres of the corner pixels coincide.
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        self.size = size
        self.scale_factor = scale_factor
        self.mode = mode
        self.align_corners = align_corners

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        if self.scale_factor is not None:
            return f"scale_factor={self.scale_factor!r}, mode={self.mode!r}"
        return f"size={self.size!r}, mode={self.mode!r}"


class PixelShuffle(Module):
    """(…, c·r², h, w) → (…, c, h·r, w·r): channels become a grid of pixels r times finer.

    Source: Shi et al., "Real-time single image and video super-resolution using an efficient
    sub-pixel convolutional neural network" (2016).
    """

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        (self.upscale_factor,) = lengths("PixelShuffle", "upscale_factor", upscale_factor, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(x, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"
