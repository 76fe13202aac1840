"""Limits for gradients, applied between `backward` and `step`.

A gradient array may be shared, so nothing is written into it: each parameter gets a new one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from minigrad.creation import zeros
from minigrad.ops.elementwise import clip
from minigrad.ops.reduce import norm
from minigrad.ops.shape import ravel, stack
from minigrad.recording import no_grad
from minigrad.tensor import Tensor


def _with_gradients(name: str, parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    given = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    for p in given:
        if not isinstance(p, Tensor):
            raise TypeError(f"{name}: parameters wants Tensors, got {type(p).__name__}")
    return [p for p in given if p.grad is not None]


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0
) -> Tensor:
    """Scale all gradients by min(1, max_norm / ‖g‖), g being all of them as one vector.

    Args:
        parameters: a Tensor or several; those without a gradient do not count.
        max_norm: the norm not to exceed.
        norm_type: the p of the norm; ``math.inf`` for the largest absolute value.

    Returns:
        ‖g‖ before the clipping, a Tensor without axes.

    Source: Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks"
    (2013).
    """
    if not max_norm >= 0.0:
        raise ValueError(f"clip_grad_norm_: max_norm wants no negative number, got {max_norm}")
    if not norm_type > 0.0:
        raise ValueError(f"clip_grad_norm_: norm_type wants a positive number, got {norm_type}")
    found = _with_gradients("clip_grad_norm_", parameters)
    if not found:
        return zeros(())
    p = math.inf if norm_type == math.inf else float(norm_type)
    total = norm(stack([norm(ravel(x.grad), ord=p, axis=0) for x in found]), ord=p, axis=0)
    scale = clip(float(max_norm) / (total + 1e-6), None, 1.0)
    for x in found:
        x.grad = x.grad.detach() * scale.astype(x.grad.dtype)
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Hold every element of the gradients within ±clip_value."""
    if not clip_value >= 0.0:
        raise ValueError(f"clip_grad_value_: clip_value wants no negative number, got {clip_value}")
    for x in _with_gradients("clip_grad_value_", parameters):
        x.grad = clip(x.grad.detach(), -float(clip_value), float(clip_value))
