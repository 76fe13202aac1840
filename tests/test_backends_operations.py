"""What is not differentiated, on every backend: creation, comparisons; and that nothing waits.

The rules on every backend stand in test_primitives.
"""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional
from minigrad.backend import is_array
from minigrad.core import registry
from tests import strict
from tests.backends import BACKENDS, assert_same, on
from tests.strategies import CALLS, COMPARISONS

DEVICES = [backend for backend in BACKENDS if backend != "numpy"]
on_devices = pytest.mark.parametrize("backend", DEVICES)
on_all = pytest.mark.parametrize("backend", BACKENDS)


def has_mask(index):
    """Whether the shape of what an index names depends on values."""
    return any(is_array(part) and part.dtype.kind == "b" for part in index)


@pytest.mark.parametrize("name", sorted(CALLS))
@given(data=st.data())
def test_primitives_do_not_wait(name, data):
    """Nor do their rules, on arrays and recorded."""
    call = data.draw(CALLS[name])
    assume(not has_mask(call.params.get("index", ())))
    args, params = on("strict", (call.args, call.params))
    if name == "transfer":
        params = {"backend": "strict"}
    leaves = [mg.Tensor(x, requires_grad=True) if is_float(x) else x for x in args]
    floats = [x for x in leaves if isinstance(x, mg.Tensor)]
    assume(floats)
    with strict.forbid_sync():
        y = registry[name](*leaves, **params)
        v = mg.ones_like(y, requires_grad=True)
        mg.grad(y, floats, v, retain_graph=True, allow_unused=True)
        slopes = mg.grad(y, floats, v, create_graph=True, allow_unused=True)
        total = sum((g * g).sum() for g in slopes if g is not None)
        mg.grad(total, [*floats, v], allow_unused=True)


def is_float(x):
    return is_array(x) and x.dtype.kind == "f"


@on_devices
@given(data=st.data())
def test_primitives_without_rules(backend, data):
    """Of every kind: comparisons, logic, what is finite, where the extremes are."""
    shape = data.draw(st.sampled_from([(), (3,), (2, 3)]))
    steps = st.lists(st.integers(-2, 2), min_size=6, max_size=6)
    x, y = (
        np.array(data.draw(steps)[: max(1, int(np.prod(shape)))], dtype=float).reshape(shape)
        for _ in range(2)
    )
    bad = np.where(x == 2.0, np.nan, np.where(x == -2.0, np.inf, x))
    pairs = [*((name, (x, y)) for name in COMPARISONS), ("isnan", (bad,)), ("isfinite", (bad,))]
    pairs += [(name, (x > 0, y > 0)) for name in ("bitwise_and", "bitwise_or", "bitwise_xor")]
    pairs += [("invert", (x > 0,)), ("argmax", (x,)), ("argmin", (x,))]
    for name, args in pairs:
        found = getattr(mg, name, registry[name])(*map(mg.Tensor, on(backend, args)))
        assert_same(found, np.asarray(registry[name](*args)))


CREATED = {
    "zeros": lambda: mg.zeros((2, 3)),
    "ones": lambda: mg.ones(3, dtype="float64"),
    "full": lambda: mg.full((2, 2), 7),
    "full, a float": lambda: mg.full((), 0.5),
    "arange": lambda: mg.arange(2, 9, 3),
    "arange, floats": lambda: mg.arange(0.0, 1.0, 0.25),
    "linspace": lambda: mg.linspace(0, 1, 5),
    "eye": lambda: mg.eye(2, 3),
    "zeros_like": lambda: mg.zeros_like(mg.ones((2, 1))),
    "full_like": lambda: mg.full_like(mg.arange(3), 4),
    "tensor": lambda: mg.tensor([[1, 2], [3, 4]]),
    "empty": lambda: mg.empty((2, 0)),
    "tril": lambda: mg.tril(mg.ones((3, 3)), -1),
    "repeat": lambda: mg.repeat(mg.arange(3), [1, 0, 2]),
    "randperm": lambda: mg.randperm(7),
}


@on_devices
@pytest.mark.parametrize("name", CREATED)
def test_creation(name, backend):
    mg.manual_seed(0)
    expected = CREATED[name]()
    mg.manual_seed(0)
    with mg.use_backend(backend):
        found = CREATED[name]()
    assert found.backend == backend
    assert_same(found, expected)


@on_all
def test_random_numbers(backend):
    """Of their shape and dtype, within bounds, and the same again from the same seed."""
    drawn = []
    with mg.use_backend(backend):
        for _ in range(2):
            mg.manual_seed(3)
            numbers = [mg.rand(50), mg.randn(50, dtype="float64"), mg.randint(2, 5, (50,)),
                       mg.bernoulli(0.3, (50,)), mg.bernoulli(mg.full((50,), 0.5))]  # fmt: skip
            drawn.append([x.numpy() for x in numbers])
            assert {x.backend for x in numbers} == {backend}
    for a, b in zip(*drawn, strict=True):
        np.testing.assert_array_equal(a, b)
    uniform, normal, integers, *coins = drawn[0]
    assert uniform.dtype == np.float32
    assert 0.0 <= uniform.min() < 0.5 < uniform.max() < 1.0
    assert normal.dtype == np.float64
    assert abs(normal.mean()) < 0.6
    assert set(integers) == {2, 3, 4}
    for coin in coins:
        assert set(coin) == {0.0, 1.0}


@on_devices
def test_derivatives_of_functions(backend):
    def f(x):
        return (mg.tanh(x @ x.T) * mg.logsumexp(x, axis=1)).sum()

    x, v = np.random.default_rng(0).standard_normal((2, 3, 2))
    calls = [
        lambda x, v: mg.hessian(f, x),
        lambda x, v: mg.jacobian(lambda x: mg.exp(x) * x, x),
        lambda x, v: mg.hvp(f, x, v),
        lambda x, v: mg.jvp(f, x, v)[1],
        lambda x, v: mg.grad(mg.checkpoint(lambda x: mg.tanh(x) * x, x).sum(), x)[0],
    ]
    for call in calls:
        expected = call(mg.tensor(x, requires_grad=True), mg.tensor(v))
        there = [mg.tensor(a, backend=backend) for a in (x, v)]
        found = call(there[0].requires_grad_(), there[1])
        assert found.backend == backend
        assert_same(found, expected, rtol=1e-9)
