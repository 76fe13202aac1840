"""Every registered primitive: its rules against numerical derivatives, to second order, on every
backend, and whatever else must hold of a rule without knowing what it computes.

The calls come from `tests.strategies`. A primitive without a strategy there fails `test_complete`.
"""

import importlib
import pkgutil
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.ops
from minigrad import core
from minigrad.backend import get_backend
from minigrad.certificate import of_floats, on_backend
from minigrad.core import registry
from minigrad.gradcheck import check_rules
from tests.backends import BACKENDS, assert_same, host, on
from tests.oracles import (
    assert_agrees,
    assert_derivatives_are_of_one_function,
    away_from_0,
    central_difference,
    complex_step,
    differentiable,
    gradients,
    inner,
    leaf,
    moved,
    random_directions,
    terms,
)
from tests.strategies import CALLS, RULELESS

for _module in pkgutil.iter_modules(minigrad.ops.__path__):
    importlib.import_module(f"minigrad.ops.{_module.name}")

WITH_RULES = sorted(name for name, p in registry.items() if p.rules or p.joint is not None)
STEP = 3e-4  # kinks are at least 0.05 away; the formula of fourth order leaves about 1e-12

# Σ over the arguments of ⟨x, gradient⟩ is ⟨f(x), g⟩ where f is linear in all of them together.
LINEAR = {
    "add", "subtract", "negative", "where", "reshape", "transpose", "flip", "roll", "transfer",
    "astype", "pad_constant", "concatenate", "getitem", "put", "sum", "cumsum", "sum_to",
    "broadcast_to", "unfold", "fold", "sum_pool", "sum_unpool", "pick_taps", "put_taps",
}  # fmt: skip
# The same for each argument alone.
MULTILINEAR = {"multiply", "matrix_product", "contract", "conv", "conv_transpose", "conv_weight"}
# NumPy or SciPy computes these for real numbers only, or they are not analytic.
REAL_ONLY = {
    "abs", "sign", "softplus", "softsign", "logaddexp", "arctan2", "hypot",
    "floor_divide", "remainder", "sigmoid_cross_entropy", "var", "std", "astype",
}  # fmt: skip

seeds = st.integers(0, 2**32 - 1)
every_primitive = pytest.mark.parametrize("name", WITH_RULES)
every_backend = pytest.mark.parametrize("backend", BACKENDS)


def test_complete():
    assert set(WITH_RULES) - set(CALLS) == set(), "primitives without a strategy"
    assert set(registry) - set(WITH_RULES) == RULELESS, "primitives without rules"
    assert set(CALLS) - set(registry) == set(), "strategies without a primitive"
    assert set(WITH_RULES) >= LINEAR | MULTILINEAR | REAL_ONLY


def on_arrays(name, call, backend="numpy"):
    """The forward function, from NumPy arrays to a NumPy array, computed on a backend."""
    params = on(backend, call.params)
    return lambda *args: host(registry[name].forward(*on(backend, list(args)), **params))


def on_tensors(name, call, backend="numpy"):
    """The primitive as a function of Tensors and arrays of a backend."""
    params = on(backend, call.params)
    return lambda *args: registry[name](*args, **params)


def cotangent_for(name, call, seed):
    shape = on_arrays(name, call)(*call.args).shape
    return away_from_0(np.random.default_rng(seed), shape)


def home(call, backend):
    """The backend of the result: that of the arguments, but for `transfer`."""
    return call.params.get("backend", backend)


def floats(args):
    return [args[i] for i in differentiable(args)]


def drawn(data, name):
    """A call, a cotangent and directions for the arguments."""
    call = data.draw(CALLS[name])
    seed = data.draw(seeds)
    return call, cotangent_for(name, call, seed), random_directions(call.args, seed + 1), seed


@every_backend
@every_primitive
@given(data=st.data())
def test_first_order(name, backend, data):
    call, v, u, _ = drawn(data, name)
    f, args = on_tensors(name, call, backend), on(backend, call.args)
    found, leaves = gradients(f, args, on(home(call, backend), v))
    for g, x in zip(found, leaves, strict=True):
        assert (g.shape, g.dtype) == (x.shape, x.dtype)
        assert g.backend == x.backend
    forward = on_arrays(name, call, backend)
    numerical = central_difference(lambda h: inner(forward(*moved(call.args, u, h)), v), STEP)
    assert_agrees(terms(found, floats(u)), numerical, 1e-7)


@pytest.mark.parametrize("name", sorted(set(WITH_RULES) - REAL_ONLY))
@given(data=st.data())
def test_first_order_by_the_complex_step(name, data):
    """A second oracle, exact to rounding: what is allowed is for terms that cancel in the rule."""
    call, v, u, _ = drawn(data, name)
    found, _ = gradients(on_tensors(name, call), call.args, v)
    forward = on_arrays(name, call)
    numerical = complex_step(lambda h: inner(forward(*moved(call.args, u, h)), v))
    assert_agrees(terms(found, floats(u)), numerical, 1e-10)


@every_backend
@every_primitive
@given(data=st.data())
def test_second_order(name, backend, data):
    """The gradient, recorded and differentiated in the arguments and in the cotangent."""
    call, v, _, seed = drawn(data, name)
    args = (*call.args, v)
    u = random_directions(args, seed + 1)
    w = random_directions(call.args, seed + 2)
    f = on_tensors(name, call, backend)

    def phi(*args, create_graph=False):
        """Σ ⟨w, gradient⟩ and the leaves, of which the last is the cotangent."""
        *args, v = args
        cotangent = leaf(on(home(call, backend), v))
        found, leaves = gradients(f, on(backend, args), cotangent, create_graph)
        directions = on(backend, floats(w))
        total = sum((g * d).sum() for g, d in zip(found, directions, strict=True))
        return total, [*leaves, cotangent]

    total, leaves = phi(*args, create_graph=True)
    found = mg.grad(total, leaves, allow_unused=True)
    numerical = central_difference(lambda h: phi(*moved(args, u, h))[0].item(), STEP)
    assert_agrees(terms(found, floats(u)), numerical, 1e-6)


@every_backend
@every_primitive
@given(data=st.data())
def test_rules(name, backend, data):
    """The same on arrays and on Tensors, in the shape and dtype of the argument, linear in the
    cotangent: in float64 and in float32."""
    call = on_backend(data.draw(CALLS[name]), get_backend(backend))
    f, xs = of_floats(registry[name], call)
    check_rules(f, xs, "float64")
    if name != "astype":  # which is told its dtype
        check_rules(f, xs, "float32")
    assert f(*[leaf(x) for x in xs]).requires_grad


@every_backend
@every_primitive
@given(data=st.data())
def test_float32_stays_float32(name, backend, data):
    if name == "astype":
        return
    call, v, _, _ = drawn(data, name)
    f = on_tensors(name, call, backend)
    at = differentiable(call.args)
    narrow = [x.astype(np.float32) if i in at else x for i, x in enumerate(call.args)]
    raw = []  # what the rules return, before the engine casts it
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "on_rule", lambda node, i, d: raw.append(d.dtype))
        args, short = on(backend, narrow), on(home(call, backend), v.astype(np.float32))
        found, _ = gradients(f, args, short)
        recorded, _ = gradients(f, args, short, create_graph=True)
    assert f(*[leaf(x) for x in args]).dtype == np.float32
    assert set(raw) <= {np.dtype("float32")}
    wide = [x.astype(np.float64) if i in at else x for i, x in enumerate(narrow)]
    exact, _ = gradients(on_tensors(name, call), wide, v.astype(np.float32).astype(np.float64))
    for g, h, e in zip(found, recorded, exact, strict=True):
        assert g.dtype == h.dtype == np.float32
        scale = 1e-3 * np.abs(host(e)).max(initial=1.0)
        np.testing.assert_allclose(host(g), host(e), rtol=1e-3, atol=scale)


# astype is told its dtype; affine belongs to a layer, which refuses mixed dtypes.
@pytest.mark.parametrize("name", [n for n in WITH_RULES if n not in ("astype", "affine")])
@given(data=st.data())
def test_each_gradient_has_the_dtype_of_its_argument(name, data):
    """Arguments of float32 beside arguments of float64."""
    call, v, _, _ = drawn(data, name)
    dtypes = data.draw(st.lists(st.sampled_from(["float32", "float64"]), min_size=3, max_size=3))
    at = differentiable(call.args)
    mixed = [x.astype(dtypes[i % 3]) if i in at else x for i, x in enumerate(call.args)]
    y = on_tensors(name, call)(*[leaf(x) for x in mixed])
    assert y.dtype == np.result_type(*[mixed[i] for i in at])
    for create_graph in (False, True):
        found, leaves = gradients(on_tensors(name, call), mixed, v.astype(y.dtype), create_graph)
        assert [g.dtype for g in found] == [x.dtype for x in leaves]


@every_primitive
@given(data=st.data(), seed=seeds)
def test_duality_and_symmetry(name, data, seed):
    call = data.draw(CALLS[name])
    assert_derivatives_are_of_one_function(*of_floats(registry[name], call), seed)


@every_backend
@pytest.mark.parametrize("name", sorted(LINEAR | MULTILINEAR))
@given(data=st.data())
def test_the_rule_of_a_linear_function_is_its_adjoint(name, backend, data):
    """⟨A x, g⟩ = ⟨x, Aᵀ g⟩, to rounding; in each argument alone where f is linear in each."""
    call, v, _, _ = drawn(data, name)
    if name in {"conv", "conv_transpose"}:  # affine: without its bias it is bilinear
        call = replace(call, args=call.args[:2])
    f, args = on_tensors(name, call, backend), on(backend, call.args)
    found, _ = gradients(f, args, on(home(call, backend), v))
    forward = on_arrays(name, call, backend)
    y = forward(*call.args)
    if name == "pad_constant":  # affine: without its constant border it is linear
        y = y - forward(*[np.zeros(x.shape) for x in call.args])
    xs = floats(call.args)
    if name in LINEAR:
        assert_agrees(terms(found, xs), inner(y, v), 1e-13)
    else:
        for g, x in zip(found, xs, strict=True):
            assert_agrees(terms([g], [x]), inner(y, v), 1e-13)


@every_backend
@every_primitive
@given(data=st.data())
def test_values(name, backend, data):
    """Recording changes no value, neither it nor a rule writes into an argument, and a backend
    computes what NumPy computes."""
    call = data.draw(CALLS[name])
    before = [np.copy(x) if isinstance(x, np.ndarray) else x for x in call.args]
    f, args = on_tensors(name, call, backend), on(backend, call.args)
    y = f(*[leaf(x) for x in args])
    v = on(home(call, backend), np.ones(y.shape))
    found, _ = gradients(f, args, v)
    np.testing.assert_array_equal(host(y), on_arrays(name, call, backend)(*call.args))
    np.testing.assert_array_equal(host(v), 1.0)
    for x, unmoved, kept in zip(args, call.args, before, strict=True):
        np.testing.assert_array_equal(host(x), kept)
        np.testing.assert_array_equal(unmoved, kept)
    if backend != "numpy":
        assert_same(y, on_arrays(name, call)(*call.args))
        expected, _ = gradients(on_tensors(name, call), call.args, np.ones(y.shape))
        for g, e in zip(found, expected, strict=True):
            assert_same(g, e)


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
