"""Convolutions, im2col and col2im, padding: checked here, computed in `minigrad.ops.conv`."""

from __future__ import annotations

import math
from typing import Any

from minigrad.nn.functional.checks import batched, lengths, same_dtype
from minigrad.ops import conv as ops
from minigrad.ops import shape
from minigrad.tensor import Tensor


def _pairs(name: str, padding: Any, kernel: tuple, stride: tuple, dilation: tuple) -> tuple:
    """PyTorch's spellings of a padding as one pair (before, after) a spatial axis."""
    if not isinstance(padding, str):
        return tuple((p, p) for p in lengths(name, "padding", padding, len(kernel), least=0))
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding != "same":
        raise ValueError(f"{name}: padding wants ints, 'same' or 'valid', got {padding!r}")
    if any(s != 1 for s in stride):
        raise ValueError(f"{name}: padding='same' wants stride 1, got {stride}")
    totals = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)]
    return tuple((total // 2, total - total // 2) for total in totals)


def _check_bias(name: str, bias: Tensor | None, channels: int) -> None:
    if bias is not None and bias.shape != (channels,):
        raise ValueError(f"{name}: bias wants shape {(channels,)}, got {bias.shape}")


def _conv(n_axes: int, input, weight, bias, stride, padding, dilation, groups) -> Tensor:
    name = f"conv{n_axes}d"
    if weight.ndim != n_axes + 2:
        raise ValueError(
            f"{name}: weight wants {n_axes + 2} dimensions (out, in / groups, *kernel), got shape "
            f"{weight.shape}"
        )
    if not batched(name, input, n_axes):
        x = shape.expand_dims(input, 0)
        return shape.squeeze(_conv(n_axes, x, weight, bias, stride, padding, dilation, groups), 0)
    same_dtype(name, input=input, weight=weight, bias=bias)
    (groups,) = lengths(name, "groups", groups, 1)
    if weight.shape[0] % groups:
        raise ValueError(
            f"{name}: {weight.shape[0]} output channels do not divide by groups={groups}"
        )
    if input.shape[1] != weight.shape[1] * groups:
        raise ValueError(
            f"{name}: weight wants {weight.shape[1] * groups} input channels (shape "
            f"{weight.shape}, groups={groups}) but input has {input.shape[1]} (shape {input.shape})"
        )
    kernel = weight.shape[2:]
    stride = lengths(name, "stride", stride, n_axes)
    dilation = lengths(name, "dilation", dilation, n_axes)
    pairs = _pairs(name, padding, kernel, stride, dilation)
    _check_fits(name, input.shape[2:], kernel, stride, dilation, pairs)
    _check_bias(name, bias, weight.shape[0])
    return ops.conv(
        input, weight, bias, stride=stride, padding=pairs, dilation=dilation, groups=groups
    )


def _check_fits(name: str, size, kernel, stride, dilation, pairs) -> None:
    try:
        ops.output_size(size, kernel, stride, dilation, pairs)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of sequences.

    y[n,f,o] = b[f] + Σ w[f,c,k] · x[n, c, o·stride + k·dilation − padding].

    Args:
        input: (n, c, length), or (c, length).
        weight: (f, c / groups, kernel).
        bias: (f,) or None.
        stride, dilation: ints ≥ 1.
        padding: zeros on both sides, an int; "same" (stride 1) or "valid".
        groups: channels are split into this many groups that do not see each other.
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of images, as `conv1d` with an int or a pair for each length.

    input (n, c, h, w) or (c, h, w), weight (f, c / groups, kh, kw), result (n, f, oh, ow).
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlation of volumes, as `conv1d` with an int or a triple for each length.

    input (n, c, d, h, w) or (c, d, h, w), weight (f, c / groups, kd, kh, kw).
    """
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


def _conv_transpose(
    n_axes: int, input, weight, bias, stride, padding, output_padding, groups, dilation
) -> Tensor:
    name = f"conv_transpose{n_axes}d"
    if weight.ndim != n_axes + 2:
        raise ValueError(
            f"{name}: weight wants {n_axes + 2} dimensions (in, out / groups, *kernel), got shape "
            f"{weight.shape}"
        )
    if not batched(name, input, n_axes):
        x = shape.expand_dims(input, 0)
        y = _conv_transpose(
            n_axes, x, weight, bias, stride, padding, output_padding, groups, dilation
        )
        return shape.squeeze(y, 0)
    same_dtype(name, input=input, weight=weight, bias=bias)
    (groups,) = lengths(name, "groups", groups, 1)
    if input.shape[1] != weight.shape[0] or weight.shape[0] % groups:
        raise ValueError(
            f"{name}: weight wants {weight.shape[0]} input channels in {groups} groups (shape "
            f"{weight.shape}) but input has {input.shape[1]} (shape {input.shape})"
        )
    kernel = weight.shape[2:]
    stride = lengths(name, "stride", stride, n_axes)
    dilation = lengths(name, "dilation", dilation, n_axes)
    padding = lengths(name, "padding", padding, n_axes, least=0)
    extra = lengths(name, "output_padding", output_padding, n_axes, least=0)
    for e, s, d in zip(extra, stride, dilation, strict=True):
        if e >= max(s, d):
            raise ValueError(
                f"{name}: output_padding {extra} wants to be smaller than stride {stride} or "
                f"dilation {dilation}"
            )
    spatial = zip(input.shape[2:], kernel, stride, dilation, padding, extra, strict=True)
    size = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, d, p, e in spatial)
    if min(size) < 1:
        raise ValueError(f"{name}: the result would have spatial size {size}, padding is {padding}")
    # An output padding below the stride only leaves the far end of the result untouched. One above
    # it (allowed with dilation) first takes back what `padding` cut off, then appends zeros.
    pairs, zeros = [], []
    for e, s, p in zip(extra, stride, padding, strict=True):
        pairs.append((p, p) if e < s else (p, max(p - e, 0)))
        zeros.append(0 if e < s else max(e - p, 0))
    inner = tuple(n - z for n, z in zip(size, zeros, strict=True))
    _check_bias(name, bias, weight.shape[1] * groups)
    y = ops.conv_transpose(
        input,
        weight,
        None if any(zeros) else bias,
        size=inner,
        stride=stride,
        padding=tuple(pairs),
        dilation=dilation,
        groups=groups,
    )
    if any(zeros):
        y = shape.pad(y, ((0, 0), (0, 0), *((0, z) for z in zeros)))
        y = y if bias is None else y + shape.expand_dims(bias, tuple(range(1, n_axes + 1)))
    return y


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution of sequences: the gradient of `conv1d` with respect to its input.

    Args:
        input: (n, c, length), or (c, length).
        weight: (c, f / groups, kernel).
        bias: (f,) or None.
        stride, padding, dilation: those of the convolution that this transposes.
        output_padding: added to one end of the result, whose length is
            (length − 1)·stride − 2·padding + dilation·(kernel − 1) + output_padding + 1.
    """
    return _conv_transpose(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution of images, as `conv_transpose1d` with an int or a pair a length.

    input (n, c, h, w) or (c, h, w), weight (c, f / groups, kh, kw).
    """
    return _conv_transpose(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def conv_transpose3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Transposed convolution of volumes, as `conv_transpose1d` with an int or a triple a length.

    input (n, c, d, h, w) or (c, d, h, w), weight (c, f / groups, kd, kh, kw).
    """
    return _conv_transpose(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


def unfold(
    input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """im2col: the windows of images as columns.

    Args:
        input: (n, c, h, w), or (c, h, w).
        kernel_size, dilation, padding, stride: an int or a pair.

    Returns:
        (n, c·kh·kw, windows), windows in row-major order of their position.
    """
    if not batched("unfold", input, 2):
        x = shape.expand_dims(input, 0)
        return shape.squeeze(unfold(x, kernel_size, dilation, padding, stride), 0)
    kernel = lengths("unfold", "kernel_size", kernel_size, 2)
    stride = lengths("unfold", "stride", stride, 2)
    dilation = lengths("unfold", "dilation", dilation, 2)
    pairs = _pairs("unfold", padding, kernel, stride, dilation)
    columns = ops.unfold(input, kernel=kernel, stride=stride, dilation=dilation, padding=pairs)
    n, c, *_ = columns.shape
    return columns.reshape(n, c * math.prod(kernel), math.prod(columns.shape[4:]))


def fold(
    input: Tensor,
    output_size: Any,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> Tensor:
    """col2im: columns added back to images, the transpose of `unfold`; overlaps are summed.

    Args:
        input: (n, c·kh·kw, windows), or (c·kh·kw, windows).
        output_size: (h, w) of the images.
        kernel_size, dilation, padding, stride: an int or a pair.

    Returns:
        (n, c, h, w).
    """
    if not batched("fold", input, 1):
        x = shape.expand_dims(input, 0)
        y = fold(x, output_size, kernel_size, dilation, padding, stride)
        return shape.squeeze(y, 0)
    size = lengths("fold", "output_size", output_size, 2)
    kernel = lengths("fold", "kernel_size", kernel_size, 2)
    stride = lengths("fold", "stride", stride, 2)
    dilation = lengths("fold", "dilation", dilation, 2)
    pairs = _pairs("fold", padding, kernel, stride, dilation)
    _check_fits("fold", size, kernel, stride, dilation, pairs)
    out = ops.output_size(size, kernel, stride, dilation, pairs)
    n, rows, windows = input.shape
    if rows % math.prod(kernel) or windows != math.prod(out):
        raise ValueError(
            f"fold: input wants shape (n, c·{math.prod(kernel)}, {math.prod(out)}) for this "
            f"geometry, got {input.shape}"
        )
    columns = input.reshape(n, rows // math.prod(kernel), *kernel, *out)
    return ops.fold(columns, size=size, stride=stride, dilation=dilation, padding=pairs)


_NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def pad(input: Tensor, pad: Any, mode: str = "constant", value: float | None = None) -> Tensor:
    """A border around the last axes.

    Args:
        pad: (before, after) of the last axis, then of the last but one, …; a negative length cuts
            off, in mode "constant".
        mode: "constant", "reflect" (mirrored, the edge not repeated), "replicate" or "circular".
        value: of the border, 0 where None; only with mode "constant".
    """
    lengths_ = tuple(pad)
    if len(lengths_) % 2 or len(lengths_) > 2 * input.ndim:
        raise ValueError(f"pad: pad wants up to {input.ndim} pairs (before, after), got {lengths_}")
    pairs = [(0, 0)] * (input.ndim - len(lengths_) // 2)
    pairs += list(zip(lengths_[::2], lengths_[1::2], strict=True))[::-1]
    if mode == "constant":
        grown = [(max(a, 0), max(b, 0)) for a, b in pairs]
        y = shape.pad(input, grown, constant_values=value or 0.0)
        cut = [slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pairs, y.shape, strict=True)]
        return y if all(p >= 0 for pair in pairs for p in pair) else y[tuple(cut)]
    if mode not in _NUMPY_MODES:
        raise ValueError(f"pad: mode wants constant, reflect, replicate or circular, got {mode!r}")
    if value is not None:
        raise ValueError(f"pad: value has no meaning with mode {mode!r}")
    for (a, b), n in zip(pairs, input.shape, strict=True):
        most = {"reflect": n - 1, "circular": n}.get(mode, max(a, b))
        if min(a, b) < 0 or max(a, b) > most:
            raise ValueError(f"pad: mode {mode!r} cannot extend an axis of length {n} by {(a, b)}")
    return shape.pad(input, pairs, mode=_NUMPY_MODES[mode])
