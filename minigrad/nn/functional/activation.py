"""Activation functions, and dropout."""

from __future__ import annotations

import math

from minigrad.backend import backend_of
from minigrad.nn.functional.checks import same_dtype
from minigrad.ops import activation, elementwise, normalize
from minigrad.ops.shape import normalize_axis, reshape
from minigrad.tensor import Tensor

# Klambauer et al. (2017), equation 14: the fixed point has mean 0 and variance 1.
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def relu(input: Tensor) -> Tensor:
    """max(x, 0); the gradient at 0 is 0."""
    return activation.relu(input)


def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """x where x > 0, else negative_slope · x; the gradient at 0 is the slope."""
    return activation.leaky_relu(input, negative_slope=float(negative_slope))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where x > 0, else weight · x.

    Args:
        input: (n, c, …); any shape where there is one weight.
        weight: (1,), or (c,).
    """
    same_dtype("prelu", input=input, weight=weight)
    channels = input.shape[1] if input.ndim > 1 else 1
    if weight.shape not in ((1,), (channels,)):
        raise ValueError(
            f"prelu: weight wants shape (1,) or {(channels,)} for input of shape {input.shape}, "
            f"got {weight.shape}"
        )
    weight = reshape(weight, shape=((-1,) + (1,) * (input.ndim - 2))[: input.ndim])
    return elementwise.where(input > 0.0, input, weight * input)


def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """x where x > 0, else alpha · (eˣ − 1)."""
    return activation.elu(input, alpha=float(alpha))


def selu(input: Tensor) -> Tensor:
    """ELU with the scale and alpha that keep mean 0 and variance 1 (Klambauer et al., 2017)."""
    return activation.elu(input, alpha=SELU_ALPHA) * SELU_SCALE


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x · Φ(x), where Φ is the distribution function of the standard normal.

    Args:
        approximate: "none", or "tanh" for x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³))).

    Source: Hendrycks & Gimpel, "Gaussian error linear units" (2016).
    """
    if approximate == "none":
        return input * elementwise.normal_cdf(input)
    if approximate == "tanh":
        x = elementwise.clip(input, -25.0, 25.0)  # where tanh is ±1; a larger cube may overflow
        z = math.sqrt(2.0 / math.pi) * (x + 0.044715 * (x * x * x))
        return input * 0.5 * (1.0 + elementwise.tanh(z))
    raise ValueError(f"gelu: approximate wants 'none' or 'tanh', got {approximate!r}")


def silu(input: Tensor) -> Tensor:
    """x · sigmoid(x), also called swish."""
    return input * elementwise.sigmoid(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta · x)) / beta, and x itself where beta · x > threshold."""
    if beta == 0.0:
        raise ValueError(f"softplus: beta wants a number other than 0, got {beta}")
    scaled = input * float(beta)
    return elementwise.where(scaled > threshold, input, activation.softplus(scaled) / float(beta))


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return activation.softsign(input)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + e⁻ˣ)."""
    return elementwise.sigmoid(input)


def logsigmoid(input: Tensor) -> Tensor:
    """log(1 / (1 + e⁻ˣ)), without overflow."""
    return -activation.softplus(-input)


def tanh(input: Tensor) -> Tensor:
    """Hyperbolic tangent."""
    return elementwise.tanh(input)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """x held within [min_val, max_val]; the gradient at the bounds is 0."""
    if not min_val <= max_val:
        raise ValueError(f"hardtanh: wants min_val ≤ max_val, got {min_val} and {max_val}")
    return activation.hardtanh(input, min_val=float(min_val), max_val=float(max_val))


def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """x where x > threshold, else value."""
    return elementwise.where(input <= float(threshold), float(value), input)


def softmax(input: Tensor, dim: int) -> Tensor:
    """eˣ / Σ eˣ along the axis `dim`, without overflow."""
    same_dtype("softmax", input=input)
    return normalize.softmax(input, axis=normalize_axis("softmax", dim, input.ndim))


def log_softmax(input: Tensor, dim: int) -> Tensor:
    """x − log Σ eˣ along the axis `dim`, without overflow."""
    same_dtype("log_softmax", input=input)
    return normalize.log_softmax(input, axis=normalize_axis("log_softmax", dim, input.ndim))


def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Each element is 0 with probability p, the others are divided by 1 − p.

    Args:
        p: the probability, in [0, 1].
        training: where False, the input itself is returned.

    Source: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting"
    (2014).
    """
    return _dropped("dropout", input, p, training, input.shape)


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """As `dropout` for whole channels of images (n, c, h, w).

    Source: Tompson et al., "Efficient object localization using convolutional networks" (2015).
    """
    if input.ndim != 4:
        raise ValueError(f"dropout2d: input wants shape (n, c, h, w), got {input.shape}")
    return _dropped("dropout2d", input, p, training, (*input.shape[:2], 1, 1))


def _dropped(name: str, x: Tensor, p: float, training: bool, shape: tuple[int, ...]) -> Tensor:
    """x times a mask of the given shape, which is 0 with probability p and 1/(1 − p) otherwise."""
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"{name}: p wants a probability, got {p}")
    same_dtype(name, input=x)
    if not training:
        return x
    drawn = backend_of(x.array).generator.random(shape, dtype="float32")
    mask = (drawn >= p).astype(x.dtype)
    if p < 1.0:
        mask *= 1.0 / (1.0 - float(p))
    return x * mask
