"""Every class of `minigrad.nn` against numerical derivatives, through parameters and inputs alike.

The cases come from `tests.layers`. A class without a strategy there fails `test_complete`.
"""

import inspect

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.gradcheck import directional_error
from tests.layers import CASES, Watched, seeds

LAYERS = sorted(CASES)


def test_complete():
    """`Module` itself computes nothing; private bases are covered by what derives from them."""
    found = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value) and issubclass(value, nn.Module)
    }
    assert found - {"Module"} == set(CASES)


def drawn(data, name):
    """A case in training or evaluation mode."""
    case = data.draw(CASES[name])
    case.module.train(data.draw(st.booleans()))
    return case


def leaves_of(case):
    return [mg.Tensor(x, requires_grad=True) for x in case.values]


def random_like(tensors, seed):
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(t.shape)) for t in tensors]


def inner(ones, others):
    """Σ ⟨a, b⟩, recorded where they are Tensors."""
    return sum(((a * b).sum() for a, b in zip(ones, others, strict=True)), start=0.0)


def one_output(case):
    """The case as a function with one result: all outputs in a row."""
    return lambda *tensors: mg.concatenate([y.reshape(-1) for y in case(*tensors)])


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), seed=seeds)
def test_first_and_second_order(name, data, seed):
    case = drawn(data, name)
    f = Watched(case)
    first = directional_error(f, case.values, 1, seed)
    second = directional_error(f, case.values, 2, seed)
    assume(f.stayed)
    assert first <= 1e-6
    assert second <= 1e-4


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), seed=seeds)
def test_gradients_fit_what_they_are_gradients_of(name, data, seed):
    """Shape, dtype and presence; recording changes nothing; linear in the cotangent."""
    case = drawn(data, name)
    leaves = leaves_of(case)
    ys = case(*leaves)
    v, w = random_like(ys, seed), random_like(ys, seed + 1)
    on_arrays = mg.grad(ys, leaves, v, retain_graph=True)  # raises where one is missing
    on_tensors = mg.grad(ys, leaves, v, create_graph=True)
    of_w = mg.grad(ys, leaves, w, retain_graph=True)
    both = mg.grad(ys, leaves, [a - 2.0 * b for a, b in zip(v, w, strict=True)])
    for x, a, b, c, d in zip(leaves, on_arrays, on_tensors, of_w, both, strict=True):
        assert a.shape == b.shape == x.shape
        assert a.dtype == b.dtype == np.float64
        scale = 1.0 + np.abs(a.array).max(initial=0.0) + np.abs(c.array).max(initial=0.0)
        np.testing.assert_allclose(b.array, a.array, rtol=0, atol=1e-12 * scale)
        np.testing.assert_allclose(d.array, a.array - 2.0 * c.array, rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), seed=seeds)
def test_jacobian_and_hessian_are_those_of_one_function(name, data, seed):
    """⟨v, J u⟩ = ⟨Jᵀ v, u⟩, and with H of ⟨v, f⟩, ⟨w, H u⟩ = ⟨u, H w⟩."""
    case = drawn(data, name)
    f = one_output(case)
    xs = case.values
    u, w = random_like(xs, seed), random_like(xs, seed + 1)
    y, tangent = mg.jvp(f, tuple(xs), tuple(u))
    (v,) = random_like([y], seed + 2)
    _, pullback = mg.vjp(f, *xs)
    pulled = pullback(v)
    magnitude = 1.0 + sum(np.abs(p.array * d).sum() for p, d in zip(pulled, u, strict=True))
    assert abs(inner([tangent], [v]).item() - inner(pulled, u).item()) <= 1e-11 * magnitude

    leaves = leaves_of(case)
    slopes = mg.grad(f(*leaves), leaves, v, create_graph=True)

    def hessian_times(direction):
        along = inner(slopes, direction)
        if not along.requires_grad:  # f is linear
            return [mg.zeros_like(x) for x in leaves]
        found = mg.grad(along, leaves, retain_graph=True, allow_unused=True)
        return [mg.zeros_like(x) if g is None else g for x, g in zip(leaves, found, strict=True)]

    of_u, of_w = hessian_times(u), hessian_times(w)
    magnitude = 1.0 + sum(np.abs(h.array * d).sum() for h, d in zip(of_u, w, strict=True))
    assert abs(inner(of_u, w).item() - inner(of_w, u).item()) <= 1e-10 * magnitude


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data())
def test_buffers_stay_outside_the_graph(name, data):
    """They are leaves without a gradient, and evaluation does not change them."""
    case = drawn(data, name)
    before = [b.array.copy() for b in case.module.buffers()]
    ys = case(*leaves_of(case))
    inner(ys, ys).backward()
    for buffer, kept in zip(case.module.buffers(), before, strict=True):
        assert buffer.is_leaf
        assert not buffer.requires_grad
        assert buffer.grad is None
        if not case.module.training:
            np.testing.assert_array_equal(buffer.array, kept)
