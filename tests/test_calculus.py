"""Derivatives of functions, against ones worked out by hand."""

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given

import minigrad as mg
from minigrad import testing
from minigrad.tensor import Tensor

X = np.array([0.5, -1.0, 2.0])
A = np.array([[2.0, -1.0, 0.5], [0.0, 3.0, 1.0], [1.5, 0.0, -2.0]])


def test_vjp_of_a_linear_map_is_its_transpose():
    y, pullback = mg.vjp(lambda x: A @ x, X)
    np.testing.assert_allclose(y.numpy(), A @ X)
    v = np.array([1.0, 2.0, 3.0])
    (g,) = pullback(v)
    np.testing.assert_allclose(g.numpy(), A.T @ v)
    np.testing.assert_allclose(pullback(v)[0].numpy(), g.numpy())  # as often as one likes


def test_vjp_of_several_arguments_and_an_unused_one():
    _, pullback = mg.vjp(lambda a, b, c: a * b, X, 2.0 * X, X)
    a, b, c = pullback(np.ones(3))
    np.testing.assert_allclose([a.numpy(), b.numpy(), c.numpy()], [2.0 * X, X, 0.0 * X])


def test_jvp_is_the_directional_derivative():
    v = np.array([1.0, 0.0, -2.0])
    y, tangent = mg.jvp(lambda x: mg.sin(A @ x), X, v)
    np.testing.assert_allclose(y.numpy(), np.sin(A @ X))
    np.testing.assert_allclose(tangent.numpy(), np.cos(A @ X) * (A @ v))
    y, tangent = mg.jvp(lambda a, b: a * b, (X, A[0]), (v, X))
    np.testing.assert_allclose(tangent.numpy(), v * A[0] + X * X)
    _, nothing = mg.jvp(lambda x: mg.ones(2), X, v)
    np.testing.assert_array_equal(nothing.numpy(), [0.0, 0.0])


@given(testing.broadcasting(2))
def test_vjp_and_jvp_are_dual(pair):
    """⟨v, J u⟩ = ⟨Jᵀ v, u⟩."""
    a, b = pair
    rng = np.random.default_rng(0)

    def f(x, y):
        return mg.tanh(x * y + x)

    u = rng.standard_normal(a.shape), rng.standard_normal(b.shape)
    y, tangent = mg.jvp(f, (a, b), u)
    _, pullback = mg.vjp(f, a, b)
    v = rng.standard_normal(y.shape)
    pulled = sum((g.numpy() * d).sum() for g, d in zip(pullback(v), u, strict=True))
    np.testing.assert_allclose((v * tangent.numpy()).sum(), pulled, atol=1e-12)


def test_jacobian():
    j = mg.jacobian(lambda x: mg.outer(x, x), X)
    wanted = np.einsum("ik,j->ijk", np.eye(3), X) + np.einsum("i,jk->ijk", X, np.eye(3))
    np.testing.assert_allclose(j.numpy(), wanted)
    assert mg.jacobian(lambda x: x.sum(), X).shape == (3,)
    assert mg.jacobian(lambda x: x[:0], X).shape == (0, 3)


def test_hessian_and_hvp():
    def f(x):
        return (x * (A @ x)).sum() + (x**3).sum()

    wanted = A + A.T + np.diag(6.0 * X)
    np.testing.assert_allclose(mg.hessian(f, X).numpy(), wanted)
    v = np.array([1.0, -2.0, 0.5])
    np.testing.assert_allclose(mg.hvp(f, X, v).numpy(), wanted @ v)
    flat = mg.hessian(lambda x: (3.0 * x).sum(), X)
    np.testing.assert_array_equal(flat.numpy(), np.zeros((3, 3)))


def test_results_can_be_differentiated_again():
    x = mg.tensor(X, requires_grad=True)
    y = mg.hvp(lambda t: (t**4).sum(), x, np.ones(3))  # 12 x²
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 24.0 * X)


def test_a_parameter_that_the_function_uses_keeps_its_gradient():
    w = mg.tensor(A, requires_grad=True)
    y, pullback = mg.vjp(lambda x: w @ x, X)
    (g,) = pullback(np.ones(3))
    g.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), np.ones((3, 3)))
    y.sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), np.ones((3, 3)) + X)


def test_nothing_is_recorded_under_no_grad():
    with mg.no_grad():
        y, pullback = mg.vjp(lambda x: x * x, X)
        (g,) = pullback(np.ones(3))
        _, tangent = mg.jvp(lambda x: x * x, X, X)
    assert not any(t.requires_grad for t in (y, g, tangent))
    np.testing.assert_allclose(g.numpy(), 2.0 * X)
    np.testing.assert_allclose(tangent.numpy(), 2.0 * X * X)


def test_arguments_are_left_alone():
    x = mg.tensor(X, requires_grad=True)
    mg.jacobian(lambda t: t * t, x)
    mg.hessian(lambda t: (t * t * t).sum(), x)
    assert x.grad is None
    np.testing.assert_array_equal(x.numpy(), X)


# -- checkpoint ---------------------------------------------------------------------------------


def both(f, *x):
    """Gradients of Σ y² with and without checkpointing, to second order."""
    results = []
    for run in (lambda *t: f(*t), lambda *t: mg.checkpoint(f, *t)):
        leaves = [mg.tensor(one, requires_grad=True) for one in x]
        w = mg.tensor(A, requires_grad=True)
        parameters["w"] = w
        first = mg.grad((run(*leaves) ** 2).sum(), [*leaves, w], create_graph=True)
        second = mg.grad(sum((g * g).sum() for g in first), [*leaves, w])
        results.append([*first, *second])
    return results


parameters: dict[str, Tensor] = {}


def test_checkpoint_changes_nothing_but_memory():
    plain, saved = both(lambda a, b: mg.tanh(parameters["w"] @ a) * b, X, 2.0 * X)
    for one, other in zip(plain, saved, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-12)


def test_checkpoint_shares_an_intermediate_result_with_the_rest_of_the_graph():
    w, a = (mg.tensor([value], dtype="float64", requires_grad=True) for value in (2.0, 5.0))
    h = w * w
    (mg.checkpoint(lambda t: t * h, a) + h).sum().backward()
    assert w.grad.item() == 2.0 * 2.0 * (5.0 + 1.0)
    assert a.grad.item() == 4.0


def test_checkpoint_draws_the_same_random_numbers_again():
    x = mg.tensor(np.ones(50), requires_grad=True)
    mg.manual_seed(3)
    y = mg.checkpoint(lambda t: t * mg.bernoulli(0.5, (50,)).to("float64"), x)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())
    assert 0 < y.numpy().sum() < 50


def test_checkpoint_keeps_no_intermediate_result():
    seen = []

    def f(t):
        inner = mg.exp(t)
        seen.append(weakref.ref(inner))
        return inner * inner

    gc.disable()
    try:
        x = mg.tensor(X, requires_grad=True)
        y = mg.checkpoint(f, x)
        assert seen[0]() is None
        y.sum().backward()
    finally:
        gc.enable()
    np.testing.assert_allclose(x.grad.numpy(), 2.0 * np.exp(2.0 * X))


def test_checkpoint_without_gradients():
    y = mg.checkpoint(lambda t: t * 2.0, mg.tensor(X))
    assert not y.requires_grad
    with mg.no_grad():
        assert not mg.checkpoint(lambda t: t * 2.0, mg.tensor(X, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: mg.vjp(lambda x: x, np.arange(3)), TypeError, "vjp: wants floating arguments"),
        (lambda: mg.vjp(lambda x: (x, x), X), TypeError, "vjp: the function wants to return one"),
        (lambda: mg.vjp(lambda x: x, X)[1](np.ones(2)), ValueError, "vjp: the pullback wants"),
        (lambda: mg.jvp(lambda x: x, X, np.ones(2)), ValueError, "jvp: v wants the shape of x"),
        (lambda: mg.jvp(lambda x: x, (X,), (X, X)), ValueError, "jvp: v wants one direction"),
        (lambda: mg.hessian(lambda x: x, X), ValueError, "hessian: .*scalar"),
        (lambda: mg.checkpoint(lambda x: [x], X), TypeError, "checkpoint: the function wants"),
    ],
)
def test_wrong_calls(call, error, words):
    with pytest.raises(error, match=words):
        call()
