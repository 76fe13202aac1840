"""Cross-entropies from logits: probability and logarithm in one step, so that nothing overflows and
the gradient is the plain difference of prediction and target."""

from __future__ import annotations

import math

from minigrad.backend import backend_of, row_by_row, xp
from minigrad.core import module_of, primitive
from minigrad.ops.activation import log1p_exp, positive_part
from minigrad.ops.elementwise import sigmoid
from minigrad.ops.normalize import softmax
from minigrad.ops.shape import reshape


@primitive
def softmax_cross_entropy(x, labels, *, keep=None):
    """log Σ eˣ − x[label] for each row of logits x (n, c) and labels (n,) in 0 … c − 1: (n,).

    Any shift of a row may be subtracted before eˣ and put back into the logarithm. The highest
    entry is safe from overflow; where that is near 0 in every row, a shift of 0 saves a pass.
    """
    module = xp(x)
    highest = x.max(axis=1)
    reach = math.log(module.finfo(x.dtype).max) / 8.0  # leaves small entries most of the exponents
    if backend_of(x).surely_none(module.abs(highest) > reach):
        shift, e = module.zeros_like(highest), module.exp(x)
    else:
        with row_by_row(x.shape[1]):
            shift, e = highest, x - highest[:, None]
        module.exp(e, out=e)
    total = e @ module.ones(x.shape[1], dtype=x.dtype)  # the BLAS sums fastest
    if keep is not None:
        keep["exp"], keep["total"] = e, total
    chosen = x[module.arange(x.shape[0]), labels]
    return module.log(total * module.exp(shift - highest)) + (highest - chosen)


def _softmax_cross_entropy_vjp(g, y, x, labels, *, keep):
    # (softmax(x) − one-hot of the label) · g
    if not keep:
        one_hot = labels[:, None] == module_of(x).arange(x.shape[1])
        return (softmax(x) - one_hot) * reshape(g, shape=(-1, 1))
    d = keep.pop("exp")  # overwritten; another pass over the same graph works it out afresh
    with row_by_row(x.shape[1]):
        d *= (g / keep.pop("total"))[:, None]
    d[module_of(x).arange(x.shape[0]), labels] -= g
    return d


softmax_cross_entropy.vjps(_softmax_cross_entropy_vjp, None)


@primitive
def sigmoid_cross_entropy(x, t):
    """−t log σ(x) − (1 − t) log(1 − σ(x)), element by element, for logits x and targets t."""
    # For t = 0 or 1 and a right guess max(x, 0) − x t is exactly 0: the small rest stays accurate.
    y = positive_part(x) - x * t
    y += log1p_exp(x)
    return y


sigmoid_cross_entropy.vjps(lambda g, y, x, t: g * (sigmoid(x) - t),
                           lambda g, y, x, t: -g * x)
