"""A function of ours beside PyTorch's: values, gradients and gradients of gradients in float64."""

from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg


@dataclass
class Engine:
    """What the comparison needs of an engine."""

    tensor: Any  # (array, requires_grad) → tensor
    array: Any  # tensor → array
    grad: Any


OURS = Engine(
    lambda a, wanted: mg.tensor(a, requires_grad=wanted), lambda x: x.detach().numpy(), mg.grad
)


def _gradients(engine, y, inputs, cotangent, create_graph):
    """The gradients of y; None where there is no dependence."""
    if not y.requires_grad:
        return [None] * len(inputs)
    return engine.grad(y, inputs, cotangent, create_graph=create_graph, allow_unused=True)


def _orders(engine, f, arrays, seed):
    """The value of f, its gradients, and the gradients of a random sum of these, as arrays."""
    rng = np.random.default_rng(seed)
    inputs = [engine.tensor(a, True) for a in arrays]
    y = f(*inputs)
    v = engine.tensor(rng.standard_normal(tuple(y.shape)), False)
    first = _gradients(engine, y, inputs, v, True)
    weights = [engine.tensor(rng.standard_normal(a.shape), False) for a in arrays]
    terms = [(g * w).sum() for g, w in zip(first, weights, strict=True) if g is not None]
    second = _gradients(engine, sum(terms[1:], start=terms[0]), inputs, None, False)
    gradients = [
        np.zeros(a.shape) if g is None else engine.array(g)
        for g, a in zip([*first, *second], [*arrays, *arrays], strict=True)
    ]
    return [engine.array(y), *gradients]


def assert_twins(ours, theirs, arrays, rtol=1e-9, atol=1e-10, seed=0):
    """Both functions of float64 arrays agree in value, first and second derivatives."""
    import torch

    pytorch = Engine(
        lambda a, wanted: torch.tensor(a, requires_grad=wanted),
        lambda x: x.numpy(force=True),
        torch.autograd.grad,
    )
    found = _orders(OURS, ours, arrays, seed)
    expected = _orders(pytorch, theirs, arrays, seed)
    for a, b in zip(found, expected, strict=True):
        assert a.dtype == b.dtype == np.float64
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, rtol, atol)
