"""Every registered primitive: its rules against numerical derivatives, to second order.

The cases come from `tests.strategies`. A primitive without a strategy there fails `test_complete`.
"""

import importlib
import pkgutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.ops
from minigrad import core
from minigrad.core import registry
from tests.oracles import (
    central_difference,
    differentiable,
    gradients,
    inner,
    leaf,
    moved,
    random_directions,
)
from tests.strategies import CALLS, RULELESS

for _module in pkgutil.iter_modules(minigrad.ops.__path__):
    importlib.import_module(f"minigrad.ops.{_module.name}")

WITH_RULES = sorted(name for name, p in registry.items() if p.rules or p.joint is not None)
STEP = 3e-4  # kinks are at least 0.05 away; the formula of fourth order leaves about 1e-12


def test_complete():
    assert set(WITH_RULES) - set(CALLS) == set(), "primitives without a strategy"
    assert set(registry) - set(WITH_RULES) == RULELESS, "primitives without rules"
    assert set(CALLS) - set(registry) == set(), "strategies without a primitive"


def on_arrays(name, call):
    return lambda *args: registry[name].forward(*args, **call.params)


def on_tensors(name, call):
    return lambda *args: registry[name](*args, **call.params)


def cotangent_for(name, call, seed):
    y = np.asarray(on_arrays(name, call)(*call.args))
    return np.asarray(np.random.default_rng(seed).standard_normal(y.shape))


def close(a, b, relative):
    return abs(a - b) <= relative * max(1.0, abs(a), abs(b))


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("name", WITH_RULES)
@given(data=st.data(), seed=seeds)
def test_first_order(name, data, seed):
    call = data.draw(CALLS[name])
    v = cotangent_for(name, call, seed)
    u = random_directions(call.args, seed + 1)
    found, leaves = gradients(on_tensors(name, call), call.args, v)
    for g, x in zip(found, leaves, strict=True):
        assert g.shape == x.shape
        assert g.dtype == np.float64
    analytic = sum(
        inner(g.array, u[i]) for g, i in zip(found, differentiable(call.args), strict=True)
    )
    f = on_arrays(name, call)
    numeric = central_difference(lambda h: inner(f(*moved(call.args, u, h)), v), STEP)
    assert close(analytic, numeric, 1e-7)


@pytest.mark.parametrize("name", WITH_RULES)
@given(data=st.data(), seed=seeds)
def test_second_order(name, data, seed):
    """The gradient, recorded and differentiated in the arguments and in the cotangent."""
    call = data.draw(CALLS[name])
    v = cotangent_for(name, call, seed)
    args = (*call.args, v)
    u = random_directions(args, seed + 1)
    w = random_directions(call.args, seed + 2)

    def phi(*args, create_graph=False):
        """Σ ⟨w_i, gradient_i⟩ and the leaves, of which the last is the cotangent."""
        cotangent = leaf(args[-1])
        found, leaves = gradients(on_tensors(name, call), args[:-1], cotangent, create_graph)
        at = differentiable(args[:-1])
        total = sum((mg.sum(g * w[i]) for g, i in zip(found, at, strict=True)), start=0.0)
        return total, [*leaves, cotangent]

    total, leaves = phi(*args, create_graph=True)
    found = mg.grad(total, leaves, allow_unused=True)
    analytic = sum(
        inner(h.array, u[i])
        for h, i in zip(found, differentiable(args), strict=True)
        if h is not None
    )
    numeric = central_difference(lambda h: phi(*moved(args, u, h))[0].item(), STEP)
    assert close(analytic, numeric, 1e-6)


@pytest.mark.parametrize("name", WITH_RULES)
@given(data=st.data(), seed=seeds)
def test_rules_on_arrays_and_on_tensors(name, data, seed):
    """Recording changes no gradient, and a gradient is linear in the cotangent."""
    call = data.draw(CALLS[name])
    f = on_tensors(name, call)
    v = cotangent_for(name, call, seed)
    first, _ = gradients(f, call.args, v)
    recorded, _ = gradients(f, call.args, v, create_graph=True)
    other = cotangent_for(name, call, seed + 1)
    second, _ = gradients(f, call.args, other)
    both, _ = gradients(f, call.args, v - 2.0 * other)
    for a, b, c, d in zip(first, recorded, second, both, strict=True):
        np.testing.assert_allclose(b.array, a.array, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(d.array, a.array - 2.0 * c.array, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", WITH_RULES)
@given(data=st.data(), seed=seeds)
def test_float32_stays_float32(name, data, seed):
    if name == "astype":
        return
    call = data.draw(CALLS[name])
    f = on_tensors(name, call)
    narrow = [x.astype(np.float32) if i in differentiable(call.args) else x
              for i, x in enumerate(call.args)]  # fmt: skip
    y = f(*[leaf(x) for x in narrow])
    assert y.dtype == np.float32
    v = cotangent_for(name, call, seed).astype(np.float32)
    raw = []  # what the rules return, before the engine casts it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "on_rule", lambda node, i, d: raw.append(d.dtype))
        found, _ = gradients(f, narrow, v)
        recorded, _ = gradients(f, narrow, v, create_graph=True)
    assert set(raw) <= {np.dtype("float32")}
    wide, _ = gradients(f, [x.astype(np.float64) if i in differentiable(narrow) else x
                            for i, x in enumerate(narrow)], v.astype(np.float64))  # fmt: skip
    for g, h, exact in zip(found, recorded, wide, strict=True):
        assert g.dtype == h.dtype == np.float32
        np.testing.assert_allclose(g.array, exact.array, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", WITH_RULES)
@given(data=st.data())
def test_forward_is_that_on_arrays(name, data):
    """Recording changes no value, and neither writes into an argument."""
    call = data.draw(CALLS[name])
    before = [np.copy(x) if isinstance(x, np.ndarray) else x for x in call.args]
    y = on_tensors(name, call)(*[leaf(x) for x in call.args])
    v = np.ones(y.shape)
    gradients(on_tensors(name, call), call.args, v)
    np.testing.assert_array_equal(y.array, np.asarray(on_arrays(name, call)(*call.args)))
    np.testing.assert_array_equal(v, 1.0)
    for x, kept in zip(call.args, before, strict=True):
        np.testing.assert_array_equal(x, kept)


@pytest.mark.parametrize("name", [n for n in WITH_RULES if registry[n].arity == 2])
@given(data=st.data())
def test_one_tensor_for_two_arguments(name, data):
    """f(x, x): both gradients arrive at the one leaf."""
    call = data.draw(CALLS[name])
    args = call.args
    alike = all(isinstance(x, np.ndarray) and x.dtype.kind == "f" for x in args)
    if not (alike and args[0].shape == args[1].shape):
        return
    f = on_tensors(name, call)
    try:
        y = f(args[0], args[0])
    except ValueError:  # the shapes of a product fit only by chance
        return
    if name in ("maximum", "minimum", "floor_divide", "remainder") or not np.isfinite(y).all():
        return  # on a kink
    x = leaf(args[0])
    (together,) = mg.grad(f(x, x), x, np.ones(y.shape))
    apart, _ = gradients(f, (args[0], args[0].copy()), np.ones(y.shape))
    np.testing.assert_allclose(together.array, apart[0].array + apart[1].array, rtol=1e-12)
