"""What a dense layer computes: the affine map, and the activation that follows it.

A choice between two branches is written with `maximum`, or as a product with a mask: ``np.where``
on a condition that changes from element to element takes ten times as long.
"""

from __future__ import annotations

from minigrad.backend import Array, xp
from minigrad.core import astype, primitive
from minigrad.ops.elementwise import abs, reciprocal, sigmoid, square


@primitive
def affine(x, w, b=None):
    """x wᵀ + b for x (n, in), w (out, in) and b (out,) or None: shape (n, out).

    The rule of w is a product of its own, not the transpose of one: the gradient then lies in
    memory as w does, and an optimizer's pass over both runs at full speed.
    """
    y = x @ w.T
    if b is not None:
        y += b
    return y


affine.vjps(lambda g, y, x, w, b: g @ w,
            lambda g, y, x, w, b: g.T @ x,
            lambda g, y, x, w, b: g)


def positive_part(x: Array) -> Array:
    """max(x, 0) of an array."""
    return xp(x).maximum(x, 0.0)


@primitive
def relu(x):
    """max(x, 0); the gradient at 0 is 0."""
    return positive_part(x)


relu.vjps(lambda g, y, x: g * (y > 0.0))


@primitive
def leaky_relu(x, *, negative_slope=0.01):
    """x where x > 0, else negative_slope · x; the gradient at 0 is the slope."""
    module = xp(x)
    y = module.asarray(x * negative_slope)  # NumPy has made a scalar of an array without axes
    larger = negative_slope <= 1.0  # then x is the larger of the two where it is positive
    return (module.maximum if larger else module.minimum)(x, y, out=y)


def _leaky_relu_vjp(g, y, x, *, negative_slope):
    positive = astype(x > 0.0, dtype=x.dtype)
    return g * (positive * (1.0 - negative_slope) + negative_slope)


leaky_relu.vjps(_leaky_relu_vjp)


@primitive
def elu(x, *, alpha=1.0):
    """x where x > 0, else alpha · (eˣ − 1); the gradient at 0 is alpha."""
    positive = positive_part(x)
    y = xp(x).expm1(x - positive)
    y *= alpha
    y += positive
    return y


def _elu_vjp(g, y, x, *, alpha):
    # Below 0 the slope is alpha · eˣ, which is y + alpha.
    passed = g * (x > 0.0)
    return passed + (g - passed) * (y + alpha)


elu.vjps(_elu_vjp)


@primitive
def hardtanh(x, *, min_val=-1.0, max_val=1.0):
    """x held within [min_val, max_val]; the gradient at the bounds is 0."""
    return xp(x).clip(x, min_val, max_val)


hardtanh.vjps(lambda g, y, x, *, min_val, max_val: g * ((x > min_val) & (x < max_val)))


@primitive
def softsign(x):
    """x / (1 + |x|)."""
    return x / (abs(x) + 1.0)


# The rules of the quotient would leave the slope 1 / (1 + |x|)² to a difference that cancels.
softsign.vjps(lambda g, y, x: g * square(reciprocal(abs(x) + 1.0)))


def log1p_exp(x: Array) -> Array:
    """log(1 + e^−|x|) of an array: how far softplus stands above max(x, 0)."""
    module = xp(x)
    return module.log1p(module.exp(-module.abs(x)))


@primitive
def softplus(x):
    """log(1 + eˣ) = max(x, 0) + log(1 + e^−|x|), which cannot overflow."""
    y = log1p_exp(x)
    y += positive_part(x)
    return y


softplus.vjps(lambda g, y, x: g * sigmoid(x))
