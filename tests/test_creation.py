"""New tensors: values, dtypes and shapes, seeded draws, refusals."""

import numpy as np
import pytest

import minigrad as mg
from minigrad.backend import seeded
from tests.test_elementwise import same


@pytest.fixture
def float64_by_default():
    mg.set_default_dtype("float64")
    yield
    mg.set_default_dtype("float32")


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32), ([1.0, 2.0], np.float32), ([[1, 2.5]], np.float32), ([], np.float32),
        (1, np.int64), ([1, 2], np.int64), (True, np.bool_), ([True, False], np.bool_),
        (np.float64(1.0), np.float64), (np.ones(2), np.float64), ([np.float64(1.0)], np.float64),
        (np.ones(2, np.float16), np.float16), ([np.ones(2), np.zeros(2)], np.float64),
        (range(3), np.int64), ((1.0, 2.0), np.float32),
    ],
)  # fmt: skip
def test_dtypes_of_data(data, dtype):
    x = mg.tensor(data)
    assert x.dtype == dtype
    np.testing.assert_array_equal(x.array, np.array(data))
    assert mg.tensor(data, dtype="float64").dtype == np.float64
    assert mg.as_tensor(data).dtype == dtype


def test_default_dtype(float64_by_default):
    made = (mg.tensor(1.0), mg.zeros(2), mg.rand(2), mg.randn(2), mg.arange(0.0, 1.0, 0.5),
            mg.linspace(0, 1, 3), mg.eye(2), mg.full(2, 0.5), mg.bernoulli(0.5, 2))  # fmt: skip
    assert {x.dtype for x in made} == {np.dtype("float64")}
    with pytest.raises(TypeError, match="set_default_dtype: dtype wants a floating dtype, got int"):
        mg.set_default_dtype("int32")


def test_tensor_copies_and_as_tensor_shares():
    a = np.ones(3)
    assert not np.shares_memory(mg.tensor(a).array, a)
    assert np.shares_memory(mg.as_tensor(a).array, a)
    t = mg.tensor(a, requires_grad=True)
    assert mg.as_tensor(t) is t
    assert not mg.tensor(t).requires_grad
    assert mg.as_tensor(a, dtype="float32").dtype == np.float32


def test_filled():
    same(mg.zeros((2, 3)), np.zeros((2, 3), np.float32))
    same(mg.ones(3), np.ones(3, np.float32))
    same(mg.ones([2, 1], dtype="int64"), np.ones((2, 1), np.int64))
    same(mg.full((), 2), np.array(2))
    same(mg.full(2, 0.5), np.full(2, 0.5, np.float32))
    same(mg.full(2, True), np.full(2, True))
    same(mg.zeros(np.int64(2)), np.zeros(2, np.float32))
    same(mg.zeros(np.array([2, 2])), np.zeros((2, 2), np.float32))
    assert mg.empty((2, 2)).shape == (2, 2)
    x = mg.tensor(np.ones((2, 1), np.float64))
    same(mg.zeros_like(x), np.zeros((2, 1)))
    same(mg.ones_like(x, dtype="int32"), np.ones((2, 1), np.int32))
    same(mg.full_like(x.array, 3.0), np.full((2, 1), 3.0))
    assert mg.zeros(2, requires_grad=True).requires_grad


@pytest.mark.parametrize("args", [(3,), (1, 4), (5, 0, -2), (0, 3, 2)])
def test_arange_of_ints(args):
    same(mg.arange(*args), np.arange(*args))


def test_arange_linspace_eye():
    same(mg.arange(0, 1, 0.25), np.arange(0, 1, 0.25, dtype=np.float32))
    same(mg.arange(3.0), np.arange(3, dtype=np.float32))
    same(mg.arange(3, dtype="float64"), np.arange(3.0))
    same(mg.linspace(-1, 1, 5), np.linspace(-1, 1, 5, dtype=np.float32))
    same(mg.linspace(0, 1, 0), np.zeros(0, np.float32))
    same(mg.eye(2, 3), np.eye(2, 3, dtype=np.float32))
    same(mg.eye(2, dtype="int64"), np.eye(2, dtype=np.int64))


def draws():
    return [
        mg.rand(3, 2), mg.randn(2), mg.randint(0, 9, (4,)), mg.randperm(6),
        mg.bernoulli(0.3, (5,)), mg.rand(2, dtype="float64"), mg.randn((2, 2)),
    ]  # fmt: skip


def test_manual_seed_reproduces():
    mg.manual_seed(7)
    first = draws()
    continued = draws()
    mg.manual_seed(7)
    for a, b, c in zip(first, draws(), continued, strict=True):
        np.testing.assert_array_equal(a.array, b.array)
        assert a.dtype == b.dtype
        assert a.size < 4 or not np.array_equal(a.array, c.array)
    mg.manual_seed(8)
    assert not np.array_equal(mg.rand(3, 2).array, first[0].array)


def test_seeded_goes_on_as_before():
    mg.manual_seed(1)
    with seeded(5):
        inside = mg.rand(3)
    after = mg.rand(3)
    mg.manual_seed(1)
    np.testing.assert_array_equal(mg.rand(3).array, after.array)
    mg.manual_seed(5)
    np.testing.assert_array_equal(mg.rand(3).array, inside.array)


def test_distributions():
    mg.manual_seed(0)
    uniform, normal = mg.rand(10_000), mg.randn(10_000)
    assert 0.0 <= uniform.array.min() < uniform.array.max() < 1.0
    assert abs(uniform.array.mean() - 0.5) < 0.02
    assert abs(normal.array.mean()) < 0.05
    assert abs(normal.array.std() - 1.0) < 0.05
    ints = mg.randint(-2, 3, 1000)
    assert ints.dtype == np.int64
    assert set(ints.array) == {-2, -1, 0, 1, 2}
    assert sorted(mg.randperm(50).array) == list(range(50))
    assert abs(mg.bernoulli(0.3, 10_000).array.mean() - 0.3) < 0.03


def test_bernoulli_of_arrays():
    mg.manual_seed(0)
    same(mg.bernoulli(mg.tensor([0.0, 1.0])), np.float32([0, 1]))
    same(mg.bernoulli(np.array([0.0, 1.0])), np.array([0.0, 1.0]))
    many = mg.bernoulli([0.0, 0.5, 1.0], (1000, 3)).array
    assert set(many[:, 1]) == {0.0, 1.0}
    np.testing.assert_array_equal(many.mean(axis=0)[[0, 2]], [0.0, 1.0])
    halves = mg.bernoulli([0.5] * 1000).array
    assert set(halves) == {0.0, 1.0}, "every entry is drawn by itself"
    p = mg.tensor([0.5], requires_grad=True)
    assert not mg.bernoulli(p).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: mg.tensor([[1.0], [1.0, 2.0]]), ValueError, "tensor: data wants numbers in a reg"),
        (lambda: mg.tensor("abc"), TypeError, "tensor: data wants floats, ints or bools, got <U3"),
        (lambda: mg.tensor(None), TypeError, "tensor: data wants floats, .* got object"),
        (lambda: mg.tensor(1j), TypeError, "tensor: data wants .* got complex128"),
        (lambda: mg.tensor([1.0], dtype="float31"), TypeError, "tensor: dtype wants a NumPy dtype"),
        (lambda: mg.tensor([1], dtype=complex), TypeError, "tensor: dtype wants floats, ints or"),
        (lambda: mg.tensor([1, 2], requires_grad=True), TypeError, "requires_grad: wants a float"),
        (lambda: mg.tensor([1.0], backend="abacus"), ValueError, "backend: wanted one .*'abacus'"),
        (lambda: mg.zeros(2, 3), TypeError, "zeros: dtype wants a NumPy dtype or its name, got 3"),
        (lambda: mg.zeros((2, -1)), ValueError, r"zeros: shape wants no negative .*\(2, -1\)"),
        (lambda: mg.ones(2.5), TypeError, "ones: shape wants an int or ints, got 2.5"),
        (lambda: mg.full("ab", 1), TypeError, "full: shape wants an int or ints, got 'ab'"),
        (lambda: mg.full(2, 1, shape=3), TypeError, ".*'shape'"),
        (lambda: mg.empty(((1, 2), 3)), TypeError, "empty: shape wants an int or ints"),
        (lambda: mg.zeros(2, dtype="int64", requires_grad=True), TypeError, "requires_grad: "),
        (lambda: mg.arange(0, 1, 0), ZeroDivisionError, "arange: step wants a number other than"),
        (lambda: mg.linspace(0, 1, -1), ValueError, "linspace: num wants no negative length, got"),
        (lambda: mg.linspace(0, 1, 2.5), TypeError, "linspace: num wants an int"),
        (lambda: mg.eye(-1), ValueError, "eye: .* wants no negative length"),
        (lambda: mg.rand(-1), ValueError, "rand: shape wants no negative length"),
        (lambda: mg.rand(2, dtype="int64"), TypeError, "rand: dtype wants a floating dtype, got i"),
        (lambda: mg.randn(2.5), TypeError, "randn: shape wants an int or ints"),
        (lambda: mg.randn(2, dtype=bool), TypeError, "randn: dtype wants a floating dtype, got"),
        (lambda: mg.randint(3, 3, 2), ValueError, "randint: wants low < high, got 3 and 3"),
        (lambda: mg.randint(0.5, 3, 2), TypeError, "randint: .* wants an int or ints"),
        (lambda: mg.randint(0, 3, -2), ValueError, "randint: shape wants no negative length"),
        (lambda: mg.bernoulli(1.5, 2), ValueError, r"bernoulli: p wants a probability .*got 1\.5"),
        (lambda: mg.bernoulli([0.5, 0.5], 3), ValueError, "bernoulli: p of shape"),
        (lambda: mg.bernoulli(np.full((2, 3), 0.5), 3), ValueError, "bernoulli: p of shape"),
        (lambda: mg.randperm(-1), ValueError, "randperm: n wants no negative length, got -1"),
        (lambda: mg.manual_seed(-1), ValueError, "manual_seed: seed wants a non-negative integer"),
        (lambda: mg.manual_seed(1.5), ValueError, "manual_seed: seed wants .* got 1.5"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call()
