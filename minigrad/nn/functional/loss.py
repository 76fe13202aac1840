"""Losses. Each takes `reduction`: "mean" over the elements, "sum", or "none" for one value each.

Shapes have to agree exactly: predictions (n, 1) against targets (n,) would broadcast to (n, n), and
train on nonsense without a word.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minigrad.backend import Array, backend_of
from minigrad.core import module_of
from minigrad.nn.functional.activation import log_softmax
from minigrad.nn.functional.checks import same_dtype
from minigrad.nn.functional.sparse import integer_array
from minigrad.ops.activation import softplus
from minigrad.ops.elementwise import abs, clip, exp, log, square, where
from minigrad.ops.loss import sigmoid_cross_entropy, softmax_cross_entropy
from minigrad.ops.reduce import mean, sum
from minigrad.ops.shape import expand_dims, moveaxis, reshape
from minigrad.recording import no_grad
from minigrad.tensor import Tensor

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Refuse a reduction that the loss does not know."""
    if reduction not in allowed:
        known = ", ".join(map(repr, allowed))
        raise ValueError(f"{name}: reduction wants one of {known}, got {reduction!r}")


def _check_filled(name: str, argument: str, x: Tensor) -> None:
    if 0 in x.shape:
        raise ValueError(f"{name}: {argument} wants at least one element, got shape {x.shape}")


def _check_alike(name: str, reduction: str, **tensors: Tensor) -> None:
    """One shape, one floating dtype, not empty, and a known reduction."""
    check_reduction(name, reduction)
    same_dtype(name, **tensors)
    (first, x), *others = tensors.items()
    _check_filled(name, first, x)
    for label, other in others:
        if other.shape != x.shape:
            raise ValueError(
                f"{name}: {label} wants the shape of {first}, {x.shape}, got {other.shape}"
            )


def _check_weight(name: str, argument: str, weight: Tensor | None, x: Tensor) -> None:
    """A weight of each element: same dtype, and broadcasts to x."""
    if weight is None:
        return
    same_dtype(name, input=x, **{argument: weight})
    try:
        fits = np.broadcast_shapes(weight.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: {argument} wants a shape that broadcasts to {x.shape}, got {weight.shape}"
        )


def _reduced(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "mean":
        return mean(losses)
    return sum(losses) if reduction == "sum" else losses


# ---------------------------------------------------------------------------------------------
# Regression
# ---------------------------------------------------------------------------------------------


def mse_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """(x − t)², the squared error."""
    _check_alike("mse_loss", reduction, input=input, target=target)
    return _reduced(square(input - target), reduction)


def l1_loss(input: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    """|x − t|, the absolute error; the gradient at 0 is 0."""
    _check_alike("l1_loss", reduction, input=input, target=target)
    return _reduced(abs(input - target), reduction)


def _huber(x: Tensor, t: Tensor, delta: float) -> Tensor:
    """d²/2 where |d| = |x − t| ≤ δ, else δ (|d| − δ/2): with m = clip(d), both are m (d − m/2)."""
    d = x - t
    m = clip(d, -delta, delta)
    return m * (d - m * 0.5)


def huber_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", delta: float = 1.0
) -> Tensor:
    """d²/2 where |d| = |x − t| < delta, else delta · (|d| − delta/2).

    Source: Huber, "Robust estimation of a location parameter" (1964).
    """
    _check_alike("huber_loss", reduction, input=input, target=target)
    if not delta > 0.0:
        raise ValueError(f"huber_loss: delta wants a positive number, got {delta}")
    return _reduced(_huber(input, target, float(delta)), reduction)


def smooth_l1_loss(
    input: Tensor, target: Tensor, *, reduction: str = "mean", beta: float = 1.0
) -> Tensor:
    """d²/(2 beta) where |d| = |x − t| < beta, else |d| − beta/2; beta 0 is the absolute error.

    Source: Girshick, "Fast R-CNN" (2015).
    """
    _check_alike("smooth_l1_loss", reduction, input=input, target=target)
    if not beta >= 0.0:
        raise ValueError(f"smooth_l1_loss: beta wants no negative number, got {beta}")
    if beta == 0.0:
        return _reduced(abs(input - target), reduction)
    return _reduced(_huber(input, target, float(beta)) / float(beta), reduction)


def gaussian_nll_loss(
    input: Tensor,
    target: Tensor,
    var: Tensor,
    full: bool = False,
    eps: float = 1e-6,
    *,
    reduction: str = "mean",
) -> Tensor:
    """(log v + (x − t)²/v) / 2, the negative logarithm of a normal density with mean x, variance v.

    Args:
        input: the means.
        target: the observations, of the shape of input.
        var: the variances, of that shape, or with the last axis of length 1 or missing. A variance
            below `eps` counts as eps, but its gradient is not cut off; a negative one gives NaN.
        full: add the constant log(2π)/2.

    Source: Nix & Weigend, "Estimating the mean and variance of the target probability
    distribution" (1994).
    """
    name = "gaussian_nll_loss"
    _check_alike(name, reduction, input=input, target=target)
    same_dtype(name, input=input, var=var)
    if not eps > 0.0:
        raise ValueError(f"{name}: eps wants a positive number, got {eps}")
    if var.shape == input.shape[:-1] and input.ndim > 0:
        var = expand_dims(var, -1)
    if var.shape not in (input.shape, (*input.shape[:-1], 1)):
        raise ValueError(
            f"{name}: var wants shape {input.shape}, or its last axis 1 or missing, got {var.shape}"
        )
    with no_grad():
        lift = where((var >= 0.0) & (var < float(eps)), float(eps) - var, 0.0)
    var = var + lift
    losses = 0.5 * (log(var) + square(input - target) / var)
    if full:
        losses = losses + 0.5 * math.log(2.0 * math.pi)
    return _reduced(losses, reduction)


# ---------------------------------------------------------------------------------------------
# Two classes
# ---------------------------------------------------------------------------------------------


def _log_from_minus_100(x: Tensor) -> Tensor:
    """max(log x, −100), finite and without a warning at 0."""
    zero = x == 0.0
    return where(zero, -100.0, clip(log(where(zero, 1.0, x)), -100.0))


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, *, reduction: str = "mean"
) -> Tensor:
    """−t log x − (1 − t) log(1 − x), where logarithms below −100 count as −100.

    Args:
        input: probabilities; values outside [0, 1] give NaN.
        target: probabilities, or 0 and 1, of the same shape and dtype.
        weight: of each element; broadcasts to that shape.
    """
    name = "binary_cross_entropy"
    _check_alike(name, reduction, input=input, target=target)
    _check_weight(name, "weight", weight, input)
    true, false = _log_from_minus_100(input), _log_from_minus_100(1.0 - input)
    losses = -(target * true + (1.0 - target) * false)
    return _reduced(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """−p t log σ(x) − (1 − t) log(1 − σ(x)), computed from the logits x without overflow.

    Args:
        input: logits.
        target: probabilities, or 0 and 1, of the same shape and dtype.
        weight: of each element; broadcasts to that shape.
        pos_weight: p, the weight of positive targets; broadcasts to that shape.
    """
    name = "binary_cross_entropy_with_logits"
    _check_alike(name, reduction, input=input, target=target)
    _check_weight(name, "weight", weight, input)
    _check_weight(name, "pos_weight", pos_weight, input)
    if pos_weight is None:
        losses = sigmoid_cross_entropy(input, target)
    else:
        losses = pos_weight * target * softplus(-input) + (1.0 - target) * softplus(input)
    return _reduced(losses if weight is None else losses * weight, reduction)


def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, *, reduction: str = "mean"
) -> Tensor:
    """x where the target is 1 (alike), max(0, margin − x) where it is −1 (unlike)."""
    _check_alike("hinge_embedding_loss", reduction, input=input, target=target)
    unlike = clip(float(margin) - input, 0.0)
    losses = where(target != 1.0, unlike, 0.0) + where(target != -1.0, input, 0.0)
    return _reduced(losses, reduction)


def margin_ranking_loss(
    input1: Tensor,
    input2: Tensor,
    target: Tensor,
    margin: float = 0.0,
    *,
    reduction: str = "mean",
) -> Tensor:
    """max(0, margin − t (x₁ − x₂)): target 1 wants x₁ the larger, −1 wants x₂."""
    _check_alike("margin_ranking_loss", reduction, input1=input1, input2=input2, target=target)
    return _reduced(clip(float(margin) - target * (input1 - input2), 0.0), reduction)


# ---------------------------------------------------------------------------------------------
# Many classes
# ---------------------------------------------------------------------------------------------


def _check_classes(name: str, input: Tensor, weight: Tensor | None, reduction: str) -> None:
    check_reduction(name, reduction)
    same_dtype(name, input=input, weight=weight)
    if input.ndim == 0:
        raise ValueError(f"{name}: input wants shape (c,) or (n, c, …), got ()")
    _check_filled(name, "input", input)
    c = input.shape[min(input.ndim - 1, 1)]
    if weight is not None and weight.shape != (c,):
        raise ValueError(f"{name}: weight wants shape {(c,)}, one a class, got {weight.shape}")


def _classes_last(x: Tensor) -> Tensor:
    """(c,) or (n, c, …) as rows (m, c)."""
    if x.ndim == 2:
        return x
    c = x.shape[min(x.ndim - 1, 1)]
    return reshape(moveaxis(x, 1, -1) if x.ndim > 2 else x, shape=(-1, c))


def _labels(name: str, input: Tensor, target: Any, ignore_index: int) -> tuple[Array, Array | None]:
    """The labels (m,), with 0 in place of those to ignore, and where those are (None: nowhere)."""
    labels = integer_array(name, "target", target, input)
    c = input.shape[min(input.ndim - 1, 1)]
    wanted = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    if labels.shape != wanted:
        raise ValueError(
            f"{name}: target wants shape {wanted} for input of shape {input.shape}, got "
            f"{labels.shape}"
        )
    labels = labels.reshape(-1)
    backend = backend_of(labels)
    ignored = labels == ignore_index
    if backend.surely_none(ignored):
        ignored = None
    else:
        labels = where(ignored, 0, labels)
    backend.check_range(f"{name}: target", labels, c, "classes")
    return labels, ignored


def _reduced_by_weight(
    losses: Tensor, share: Any, ignored: Array | None, reduction: str, shape: tuple[int, ...]
) -> Tensor:
    """As `_reduced`, but the mean divides by the total weight of the labels that are not ignored.

    `share` is the weight of each loss, 1.0 where all are alike. Nothing left to average gives NaN.
    """
    if ignored is not None:
        losses = where(ignored, 0.0, losses)
        share = where(ignored, 0.0, share).astype(losses.dtype)
    if reduction != "mean":
        return _reduced(reshape(losses, shape=shape), reduction)
    if isinstance(share, float):
        return mean(losses)
    total = sum(share)
    return sum(losses) / where(total == 0.0, math.nan, total)


def cross_entropy(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """−Σ_c w_c t_c log softmax(x)_c over the classes, computed from the logits x without overflow.

    Args:
        input: logits (c,), (n, c) or (n, c, …), the classes along axis 1.
        target: labels, integers of the shape of input without its class axis; or probabilities of
            the classes, floats of the shape of input.
        weight: w (c,), of each class. A mean over labels divides by the sum of their weights, one
            over probabilities by their number.
        ignore_index: a label that counts for nothing. A mean over such labels alone is NaN.
        label_smoothing: ε: the target becomes (1 − ε) t + ε/c.

    Raises:
        IndexError: a label is not in 0 … c − 1 (on a GPU raised by the next value read).
    """
    name = "cross_entropy"
    _check_classes(name, input, weight, reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise ValueError(f"{name}: label_smoothing wants to be in [0, 1], got {label_smoothing}")
    smoothing = float(label_smoothing)
    rows = _classes_last(input)
    if isinstance(target, Tensor) and target.dtype.kind == "f":
        if ignore_index != -100:
            raise ValueError(f"{name}: ignore_index has no meaning where target has probabilities")
        _check_alike(name, reduction, input=input, target=target)
        t = _classes_last(target) * (1.0 - smoothing) + smoothing / rows.shape[1]
        losses = -sum(_weighed(_weighed(log_softmax(rows, 1), weight), t), axis=1)
        return _reduced_by_weight(losses, 1.0, None, reduction, _without_classes(input))
    labels, ignored = _labels(name, input, target, ignore_index)
    share = 1.0 if weight is None else weight[labels]
    losses = softmax_cross_entropy(rows, labels)
    if weight is not None:
        losses = losses * share
    if smoothing > 0.0:
        uniform = -mean(_weighed(log_softmax(rows, 1), weight), axis=1)
        losses = losses * (1.0 - smoothing) + uniform * smoothing
    return _reduced_by_weight(losses, share, ignored, reduction, _without_classes(input))


def nll_loss(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """−w_t x_t for log-probabilities x and labels t; arguments as for `cross_entropy`."""
    name = "nll_loss"
    _check_classes(name, input, weight, reduction)
    labels, ignored = _labels(name, input, target, ignore_index)
    rows = _classes_last(input)
    losses = -rows[module_of(labels).arange(labels.size), labels]
    share = 1.0 if weight is None else weight[labels]
    if weight is not None:
        losses = losses * share
    return _reduced_by_weight(losses, share, ignored, reduction, _without_classes(input))


def _weighed(x: Tensor, weight: Tensor | None) -> Tensor:
    """weight · x for logarithms x; where the weight is 0 so is this, even if x is −∞."""
    if weight is None:
        return x
    masked = (weight == 0.0) & (x == -math.inf)
    return where(masked, 0.0, x) * weight


def _without_classes(input: Tensor) -> tuple[int, ...]:
    return input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()


def kl_div(
    input: Tensor, target: Tensor, *, reduction: str = "mean", log_target: bool = False
) -> Tensor:
    """t (log t − x), whose sum is the Kullback-Leibler divergence of eˣ from t; 0 where t = 0.

    Args:
        input: log-probabilities.
        target: probabilities, or their logarithms where `log_target`.
        reduction: also "batchmean", the sum divided by the length of the first axis: the
            divergence per sample, which "mean" is not.
    """
    check_reduction("kl_div", reduction, (*REDUCTIONS, "batchmean"))
    _check_alike("kl_div", "none", input=input, target=target)
    if log_target:
        weight = exp(target)
        log_ratio = input - where(weight == 0.0, 0.0, target)
    else:
        weight = target
        log_ratio = input - log(where(target == 0.0, 1.0, target))
    losses = -_weighed(log_ratio, weight)
    if reduction != "batchmean":
        return _reduced(losses, reduction)
    if input.ndim == 0:
        raise ValueError("kl_div: reduction 'batchmean' wants an input with a batch axis, got ()")
    return sum(losses) / input.shape[0]
