"""Every class of `minigrad.nn` against numerical derivatives, through parameters and inputs alike.

The cases come from `tests.layers`. A class without a strategy there fails `test_complete`.
"""

import inspect

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import core, nn
from minigrad.gradcheck import check_rules, directional_error
from tests.backends import BACKENDS, assert_same, on
from tests.layers import CASES, Case, Watched, seeds
from tests.oracles import assert_derivatives_are_of_one_function

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
    """Leaves for the parameters and inputs, on the backend and in the dtype of the case."""
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
def test_every_parameter_and_input_gets_its_gradient(name, data, seed):
    """Of its shape and dtype, the same recorded or not, and linear in the cotangent."""
    case = drawn(data, name)
    check_rules(case, case.values)
    leaves = leaves_of(case)
    ys = case(*leaves)
    found = mg.grad(ys, leaves, random_like(ys, seed), allow_unused=True)
    assert all(gradient is not None for gradient in found)


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), seed=seeds)
def test_float32_stays_float32(name, data, seed):
    """Outputs, buffers, and whatever the rules return before the engine casts it."""
    case = drawn(data, name)
    inputs = tuple(x.astype("float32") for x in case.inputs)
    case = Case(case.module.to("float32"), inputs, case.fixed, case.call)
    leaves = leaves_of(case)
    ys = case(*leaves)
    raw = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "on_rule", lambda node, i, d: raw.append(d.dtype))
        v = [d.astype("float32") for d in random_like(ys, seed)]
        slopes = mg.grad(ys, leaves, v, create_graph=True)
        mg.grad(ys, leaves, v)
    buffers = [b for b in case.module.buffers() if b.dtype.kind == "f"]
    assert {t.dtype.name for t in [*ys, *slopes, *buffers]} == {"float32"}
    assert set(raw) <= {np.dtype("float32")}


@pytest.mark.parametrize("name", LAYERS)
@given(data=st.data(), seed=seeds)
def test_duality_and_symmetry(name, data, seed):
    case = drawn(data, name)
    assert_derivatives_are_of_one_function(one_output(case), case.values, seed)


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


def is_random(module):
    """Whether a call draws numbers, which differ from backend to backend."""
    return module.training and any(
        isinstance(part, nn.Dropout | nn.Dropout2d) or getattr(part, "dropout", 0.0)
        for part in module.modules()
    )


def everything(case, cotangents, directions):
    """Outputs, gradients on arrays, gradients recorded, second derivatives, buffers afterwards."""
    leaves = leaves_of(case)
    ys = case(*leaves)
    vs = [mg.Tensor(v, requires_grad=True) for v in cotangents]
    on_arrays = mg.grad(ys, leaves, vs, retain_graph=True)
    slopes = mg.grad(ys, leaves, vs, create_graph=True)
    second = mg.grad(inner(slopes, directions), [*leaves, *vs], allow_unused=True)
    return [*ys, *on_arrays, *slopes, *second, *case.module.buffers()]


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b != "numpy"])
@pytest.mark.parametrize("name", LAYERS)
@settings(max_examples=max(5, settings().max_examples // 4))
@given(data=st.data(), seed=seeds)
def test_backends_agree(name, backend, data, seed):
    case = drawn(data, name)
    if backend == "cupy" and is_random(case.module):
        case.module.eval()
    state = {key: tensor.numpy().copy() for key, tensor in case.module.state_dict().items()}
    v = random_like(case(*leaves_of(case)), seed)
    u = random_like(case.values, seed + 1)
    case.module.load_state_dict(state)
    expected = everything(case, v, u)
    expected = [None if y is None else y.numpy().copy() for y in expected]
    case.module.load_state_dict(state)
    inputs, v, u = on(backend, (case.inputs, v, u))
    moved = Case(case.module.to(backend), inputs, case.fixed, case.call)
    for y, found in zip(expected, everything(moved, v, u), strict=True):
        assert (y is None) == (found is None)
        if y is not None:
            assert found.backend == backend
            assert_same(found, y, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_unpooling_an_empty_batch(n):
    values, places = np.zeros((0, 2, *[3] * n)), np.zeros((0, 2, *[3] * n), dtype="int64")
    y = getattr(nn, f"MaxUnpool{n}d")(2)(mg.tensor(values), mg.tensor(places))
    assert y.shape == (0, 2, *[6] * n)


def test_adaptive_maxima_of_an_empty_batch():
    y, places = nn.AdaptiveMaxPool2d((3, 2), return_indices=True)(mg.zeros((0, 2, 5, 5)))
    assert y.shape == places.shape == (0, 2, 3, 2)
