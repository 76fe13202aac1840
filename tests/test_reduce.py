"""Reductions: NumPy's values for every axis argument, and gradients chosen at ties and zeros."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, shapes
from tests.strategies import axes_of
from tests.test_elementwise import same, slopes

REDUCTIONS = ["sum", "mean", "var", "std", "prod", "max", "min"]
AXES = [None, 0, 1, -1, (), (0,), (0, 2), (-1, 1), (0, 1, 2)]


def agree(tensor, expected, rtol):
    """Equal but for rounding: the order of summation is not promised."""
    expected = np.asarray(expected)
    assert tensor.dtype == expected.dtype
    np.testing.assert_allclose(tensor.array, expected, rtol=rtol, atol=rtol, strict=True)


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("keepdims", [False, True])
def test_values(name, axis, keepdims):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    agree(getattr(mg, name)(mg.tensor(x), axis=axis, keepdims=keepdims), expected, 1e-12)
    agree(getattr(mg, name)(mg.tensor(x), axis, keepdims), expected, 1e-12)
    agree(getattr(mg.tensor(x), name)(axis, keepdims), expected, 1e-12)
    agree(getattr(np, name)(mg.tensor(x), axis=axis, keepdims=keepdims), expected, 1e-12)
    agree(getattr(np, name)(mg.tensor(x), axis), getattr(np, name)(x, axis), 1e-12)


@pytest.mark.parametrize("name", REDUCTIONS)
@given(data=st.data())
def test_values_in_every_layout(name, data):
    x = data.draw(arrays(shapes(max_dims=4)))
    axis, keepdims = data.draw(axes_of(x.ndim)), data.draw(st.booleans())
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    agree(getattr(mg, name)(mg.tensor(x), axis, keepdims=keepdims), expected, 1e-12)


@pytest.mark.parametrize("name", [*REDUCTIONS, "cumsum", "argmax"])
@pytest.mark.parametrize("dtype", [np.bool_, np.uint8, np.int32, np.int64, np.float32])
def test_dtypes(name, dtype):
    x = np.array([[1, 0, 3], [2, 2, 1]]).astype(dtype)
    for axis in (None, 1):
        agree(getattr(mg, name)(mg.tensor(x), axis=axis), getattr(np, name)(x, axis=axis), 1e-6)


def test_integers_do_not_overflow_in_their_own_width():
    x = mg.tensor(np.array([100_000, 100_000], dtype=np.int32))
    assert mg.prod(x).item() == 10**10
    assert mg.prod(mg.tensor([True, True, False])).item() == 0


@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("ddof", [0, 1, 2])
def test_ddof(name, ddof):
    x = np.random.default_rng(0).standard_normal((4, 3))
    agree(getattr(mg, name)(mg.tensor(x), axis=0, ddof=ddof), getattr(x, name)(0, ddof=ddof), 1e-12)


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@given(data=st.data())
def test_arguments_of_extrema(name, data):
    x = np.round(data.draw(arrays(shapes(min_dims=1))))
    axis = data.draw(axes_of(x.ndim, several=False))
    keepdims = data.draw(st.booleans())
    expected = getattr(np, name)(x, axis=axis, keepdims=keepdims)
    same(getattr(mg, name)(mg.tensor(x), axis, keepdims), expected)
    same(getattr(mg.tensor(x), name)(axis), getattr(x, name)(axis))


@given(st.data())
def test_cumsum(data):
    x = data.draw(arrays(shapes(min_side=0)))
    axis = data.draw(axes_of(x.ndim, several=False))
    same(mg.cumsum(mg.tensor(x), axis), np.cumsum(x, axis))
    same(mg.tensor(x).cumsum(axis), np.cumsum(x, axis))


@given(st.data())
def test_logsumexp_values(data):
    x = data.draw(arrays(shapes(), -50, 50))
    axis, keepdims = data.draw(axes_of(x.ndim)), data.draw(st.booleans())
    y = mg.logsumexp(mg.tensor(x), axis, keepdims)
    expected = np.log(np.sum(np.exp(x), axis=axis, keepdims=keepdims))
    np.testing.assert_allclose(y.array, expected, rtol=1e-12, atol=1e-12)
    assert y.shape == np.shape(expected)


@pytest.mark.parametrize("ord", [None, 0, 0.5, 1, 2, 2.5, -1, -2, np.int64(3), math.inf, -math.inf])
@pytest.mark.parametrize("axis", [0, -1, (1,)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_vector_norms(ord, axis, keepdims):
    x = np.random.default_rng(0).standard_normal((3, 4))
    expected = np.linalg.norm(x, ord, axis, keepdims)
    agree(mg.norm(mg.tensor(x), ord, axis, keepdims), expected, 1e-12)
    agree(np.linalg.norm(mg.tensor(x), ord, axis=axis, keepdims=keepdims), expected, 1e-12)


@pytest.mark.parametrize("ord", [None, "fro", 1, -1, math.inf, -math.inf])
@pytest.mark.parametrize("axis", [(0, 1), (2, 0), (-1, 1)])
@pytest.mark.parametrize("keepdims", [False, True])
def test_matrix_norms(ord, axis, keepdims):
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    agree(mg.norm(mg.tensor(x), ord, axis, keepdims), np.linalg.norm(x, ord, axis, keepdims), 1e-12)


def test_norm_of_everything():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    agree(mg.norm(mg.tensor(x)), np.linalg.norm(x), 1e-12)
    agree(mg.norm(mg.tensor(x[0]), 1), np.linalg.norm(x[0], 1), 1e-12)
    agree(mg.norm(mg.tensor([3, 4])), np.linalg.norm([3, 4]), 1e-12)
    assert mg.norm([3.0, 4.0]) == 5.0
    assert mg.mean([1.0, 2.0]) == 1.5


# ---------------------------------------------------------------------------------------------
# Gradients chosen at ties and zeros
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [mg.max, mg.min])
def test_ties_share_evenly(f):
    sign = 1.0 if f is mg.max else -1.0
    x = sign * np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    (g,) = slopes(lambda x: f(x, axis=1), x)
    np.testing.assert_allclose(g, [[0.0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]])
    (g,) = slopes(f, x)
    np.testing.assert_array_equal(g, [[0.0, 0.5, 0.5], [0.0, 0.0, 0.0]])


@pytest.mark.parametrize("zeros", [0, 1, 2, 3])
@pytest.mark.parametrize("n", [3, 4, 5, 8])
def test_prod_with_zeros(zeros, n):
    """The gradient is the product of the others, the Hessian that of all but two."""
    x = np.concatenate([np.zeros(zeros), np.arange(1.0, n - zeros + 1.0)])
    (g,) = slopes(mg.prod, x)
    np.testing.assert_allclose(g, [np.prod(np.delete(x, i)) for i in range(n)])
    t = mg.tensor(x, requires_grad=True)
    (recorded,) = mg.grad(mg.prod(t), t, create_graph=True)
    for i in range(n):
        (row,) = mg.grad(recorded[i], t, retain_graph=True, allow_unused=True)
        expected = [0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(n)]
        np.testing.assert_allclose(np.zeros(n) if row is None else row.array, expected)


def test_prod_to_third_order():
    x = mg.tensor(np.array([2.0, 0.0, 5.0]), requires_grad=True)
    y = mg.prod(x)
    for i, j, k in itertools.permutations(range(3)):
        (a,) = mg.grad(y, x, create_graph=True)
        (b,) = mg.grad(a[i], x, create_graph=True)
        assert mg.grad(b[j], x)[0].array[k] == 1.0


@pytest.mark.parametrize("axis", [None, 0, (0, 1), (2, 0)])
def test_prod_of_axes_with_zeros(axis):
    x = np.random.default_rng(0).integers(-1, 2, (2, 3, 2)).astype(float)
    (g,) = slopes(lambda x: mg.prod(x, axis), x)
    for index in np.ndindex(x.shape):  # linear in each element: a difference is exact
        up = x.copy()
        up[index] += 1.0
        assert g[index] == np.sum(np.prod(up, axis) - np.prod(x, axis))


@pytest.mark.parametrize("ord", [None, 1, 2, 3, 0.5, 1.5, "fro"])
def test_norm_at_zero(ord):
    x = np.zeros((2, 2))
    (g,) = slopes(lambda x: mg.norm(x, ord, (0, 1) if ord == "fro" else 1), x)
    np.testing.assert_array_equal(g, x)


@pytest.mark.parametrize("ord", [1, 1.5, 2, 3])
def test_norm_with_a_zero_entry(ord):
    (g,) = slopes(lambda x: mg.norm(x, ord), [0.0, 3.0])
    np.testing.assert_allclose(g, [0.0, 1.0])


def test_std_of_equal_entries():
    (g,) = slopes(lambda x: mg.std(x, axis=1), [[2.0, 2.0], [1.0, 3.0]])
    np.testing.assert_allclose(g, [[0.0, 0.0], [-0.5, 0.5]])
    assert np.isfinite(slopes(mg.std, [2.0, 2.0], order=2)[0]).all()


def test_logsumexp_with_infinities():
    x = [[-math.inf, 0.0, 0.0], [-math.inf, -math.inf, -math.inf]]
    y = mg.logsumexp(mg.tensor(x), axis=1)
    np.testing.assert_allclose(y.array, [math.log(2.0), -math.inf], rtol=1e-6)
    (g,) = slopes(lambda x: mg.logsumexp(x, axis=1), x)
    np.testing.assert_allclose(g, [[0.0, 0.5, 0.5], [0.0, 0.0, 0.0]])
    assert np.isfinite(slopes(lambda x: mg.logsumexp(x, axis=1), x, order=2)[0]).all()
    assert mg.logsumexp(mg.tensor([1.0, math.inf])).item() == math.inf


def test_logsumexp_does_not_overflow():
    (g,) = slopes(mg.logsumexp, [1000.0, 1000.0])
    np.testing.assert_allclose(g, [0.5, 0.5], rtol=1e-12)


def test_empty_axes():
    x = mg.tensor(np.zeros((2, 0)), requires_grad=True)
    for f, value in ((mg.sum, 0.0), (mg.prod, 1.0), (mg.norm, 0.0)):
        y = f(x, axis=1)
        np.testing.assert_array_equal(y.array, [value, value])
        assert mg.grad(y.sum(), x)[0].shape == (2, 0)
    assert mg.max(x, axis=0).shape == (0,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: mg.sum(x, axis=2), ValueError, "sum: axis 2 is out of bounds"),
        (lambda x: mg.mean(x, axis=-3), ValueError, "mean: axis -3 is out of bounds"),
        (lambda x: mg.prod(x, axis=(0, 0)), ValueError, "prod: duplicate value in 'axis'"),
        (lambda x: mg.mean(x, axis=0.5), TypeError, "mean: axis wants an int, got 0.5"),
        (lambda x: x.max(axis="rows"), TypeError, "max: "),
        (lambda x: mg.max(mg.zeros((0,))), ValueError, "max: zero-size array"),
        (lambda x: mg.argmax(x, axis=5), ValueError, "argmax: axis 5 is out of bounds"),
        (lambda x: mg.sum(x, dtype="float32"), TypeError, "sum: unexpected keyword argument 'dt"),
        (lambda x: mg.var(x, correction=1), TypeError, "var: unexpected keyword argument 'corr"),
        (lambda x: mg.norm(x, 2), ValueError, "norm: the spectral norm ord=2"),
        (lambda x: mg.norm(x, "nuc"), ValueError, "norm: the spectral norm ord='nuc'"),
        (lambda x: mg.norm(x, "max"), ValueError, "norm: ord wants .*, got 'max'"),
        (lambda x: mg.norm(x, "fro", axis=0), ValueError, "norm: ord wants a number for vectors"),
        (lambda x: mg.norm(mg.zeros((2, 2, 2)), 1), ValueError, "norm: ord 1 wants one axis or"),
        (lambda x: mg.norm(x, 1, axis=(0, 0)), ValueError, "norm: axis names an axis twice"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call(mg.tensor([[1.0, 2.0], [3.0, 4.0]]))
