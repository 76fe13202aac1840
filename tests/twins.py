"""A function of ours beside PyTorch's: values, gradients, and gradients of gradients, in float64."""

import numpy as np

import minigrad as mg


def _gradients(grad, outputs, inputs, cotangents, create_graph):
    """Gradients by either engine's `grad`; zeros where there is no dependence."""
    if not outputs.requires_grad:
        return [None] * len(inputs)
    return grad(outputs, inputs, cotangents, create_graph=create_graph, allow_unused=True)


def _as_arrays(gradients, inputs):
    return [
        np.zeros(tuple(x.shape)) if g is None else g.detach().numpy()
        for g, x in zip(gradients, inputs, strict=True)
    ]


def _orders(f, grad, leaf, arrays, seed):
    """The value of f, its gradients, and the gradients of a random sum of these."""
    rng = np.random.default_rng(seed)
    inputs = [leaf(a) for a in arrays]
    y = f(*inputs)
    v = leaf(rng.standard_normal(tuple(y.shape)), False)
    first = _gradients(grad, y, inputs, v, True)
    weights = [leaf(rng.standard_normal(a.shape), False) for a in arrays]
    found = [(g * w).sum() for g, w in zip(first, weights, strict=True) if g is not None]
    total = sum(found[1:], start=found[0])
    second = _gradients(grad, total, inputs, None, False)
    return y.detach().numpy(), _as_arrays(first, inputs), _as_arrays(second, inputs)


def assert_twins(ours, theirs, arrays, rtol=1e-9, atol=1e-10, seed=0):
    """Both functions of float64 arrays agree in value, first and second derivatives."""
    import torch

    value, first, second = _orders(
        ours, mg.grad, lambda a, wanted=True: mg.tensor(a, requires_grad=wanted), arrays, seed
    )
    their_value, their_first, their_second = _orders(
        theirs,
        torch.autograd.grad,
        lambda a, wanted=True: torch.tensor(a, requires_grad=wanted),
        arrays,
        seed,
    )
    assert value.dtype == np.float64
    assert value.shape == tuple(their_value.shape)
    np.testing.assert_allclose(value, their_value, rtol, atol)
    for g, h in zip(first, their_first, strict=True):
        np.testing.assert_allclose(g, h, rtol, atol)
    for g, h in zip(second, their_second, strict=True):
        np.testing.assert_allclose(g, h, rtol, atol)
