"""Indexing: everything NumPy allows, and gradients that add up where an element is read twice."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, shapes
from tests.strategies import any_shape, axes_of, indices
from tests.test_elementwise import same
from tests.test_shape import moves


def scattered(x, index, v):
    """The gradient of ⟨v, x[index]⟩, one element at a time."""
    numbers = np.arange(x.size).reshape(x.shape)[index]
    g = np.zeros(x.size)
    for number, value in zip(np.ravel(numbers), np.ravel(v), strict=True):
        g[number] += value
    return g.reshape(x.shape)


@given(st.data())
def test_every_index_numpy_allows(data):
    x = data.draw(arrays(any_shape))
    index = data.draw(indices(x.shape))
    t = mg.tensor(x, requires_grad=True)
    expected = np.asarray(x[index])
    y = t[index]
    same(y, expected)
    v = np.random.default_rng(0).standard_normal(expected.shape)
    (g,) = mg.grad(y, t, v)
    np.testing.assert_allclose(g.array, scattered(x, index, v), rtol=1e-12)
    # Tensors in the place of arrays
    parts = tuple(mg.tensor(p) if isinstance(p, np.ndarray) else p for p in index)
    same(t[parts], expected)
    if len(index) == 1:
        same(t[index[0]], expected)


SINGLE = [
    0, -1, slice(None), slice(None, None, -2), None, Ellipsis, [0, 0, 1], (), True, False,
    np.array([1, -1]), np.array(1), np.int32(1), np.array([], dtype=int), [], [[]], range(2),
    np.array([True, False]), [True, False], np.zeros((2, 3), bool), np.ones((2, 3, 2), bool),
    ([0, 1], [1, 2]), ([[0], [1]], [0, 2]), (0, ..., [1, 1]), ([1, 0], slice(1, 3), [1, 0]),
    ((0, 0), slice(None)), ((0, 0), (1, 1)), (np.array([True, False]), 0), (np.array([0, 1]), True),
    (slice(None), np.array([[0, 1], [1, 0]]), None, 1), (None, [1], None), (0, 0, 0),
]  # fmt: skip


@pytest.mark.parametrize("index", SINGLE, ids=repr)
def test_index_by_example(index):
    x = np.arange(12.0).reshape(2, 3, 2)
    t = mg.tensor(x, requires_grad=True)
    expected = np.asarray(x[index])
    same(t[index], expected)
    v = np.arange(1.0, expected.size + 1.0).reshape(expected.shape)
    (g,) = mg.grad(t[index], t, v)
    np.testing.assert_array_equal(g.array, scattered(x, index, v))


def test_repeated_indices_accumulate_to_second_order():
    x = mg.tensor(np.array([1.0, 2.0, 3.0]), requires_grad=True)
    y = x[[0, 0, 2]]
    (g,) = mg.grad((y * y * y).sum(), x, create_graph=True)
    np.testing.assert_array_equal(g.array, [6.0, 0.0, 27.0])
    (h,) = mg.grad(g.sum(), x)
    np.testing.assert_array_equal(h.array, [12.0, 0.0, 18.0])


def test_an_integer_tensor_is_an_index_of_a_list_too():
    letters = ["a", "b", "c"]
    assert letters[mg.tensor(1)] == "b"
    assert list(range(mg.tensor(3))) == [0, 1, 2]
    with pytest.raises(TypeError, match="index: wants one integer, got a float32"):
        letters[mg.tensor(1.0)]


def test_slices_are_views_and_iteration_gives_rows():
    x = np.arange(6.0).reshape(3, 2)
    t = mg.Tensor(x)
    assert np.shares_memory(t[1:].array, x)
    for row, expected in zip(t, x, strict=True):
        same(row, expected)
    assert len(t) == 3


@given(st.data())
def test_take(data):
    x = data.draw(arrays(shapes(min_dims=1)))
    axis = data.draw(axes_of(x.ndim, several=False))
    n = x.size if axis is None else x.shape[axis]
    one = st.integers(-n, n - 1)
    index = data.draw(st.one_of(one, st.lists(one), st.lists(st.tuples(one, one), min_size=1)))
    moves(lambda t: mg.take(t, index, axis), lambda x: np.take(x, np.int64(index), axis), x)
    expected = np.take(x, np.int64(index), axis)
    same(mg.tensor(x).take(np.int64(index), axis), expected)
    same(mg.take(mg.tensor(x), mg.tensor(np.int64(index)), axis), expected)
    np.testing.assert_array_equal(mg.take(x, mg.tensor(np.int64(index)), axis), expected)


@given(st.data())
def test_take_along_axis(data):
    x = data.draw(arrays(shapes(min_dims=1)))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    shape = list(x.shape)
    shape[axis] = data.draw(st.integers(0, 3))
    n = x.shape[axis]
    index = np.random.default_rng(data.draw(st.integers(0, 99))).integers(-n, n, shape)
    moves(
        lambda t: mg.take_along_axis(t, index, axis),
        lambda x: np.take_along_axis(x, index, axis=axis),
        x,
    )
    order = np.argsort(x, axis=None)
    same(mg.take_along_axis(mg.tensor(x), order, None), np.take_along_axis(x, order, None))
    along = mg.take_along_axis(x, mg.tensor(index), axis)
    np.testing.assert_array_equal(along, np.take_along_axis(x, index, axis=axis))


def test_values_by_label():
    """The way a loss reads one entry of each row."""
    x = mg.tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    labels = mg.tensor([1, 0, 1])
    picked = mg.take_along_axis(x, labels[:, None], 1)[:, 0]
    same(picked, np.array([1.0, 2.0, 5.0]))
    same(mg.take_along_axis(x, labels[:, None])[:, 0], picked.array)  # the last axis
    same(x[mg.arange(3), labels], picked.array)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x[2], IndexError, "getitem: index 2 is out of bounds for axis 0 with size 2"),
        (lambda x: x[0, -4], IndexError, "getitem: index -4 is out of bounds for axis 1"),
        (lambda x: x[[0, 2]], IndexError, "getitem: index 2 is out of bounds"),
        (lambda x: x[0, 0, 0], IndexError, "getitem: too many indices"),
        (lambda x: x[1.0], IndexError, "getitem: only integers"),
        (lambda x: x["a"], IndexError, "getitem: only integers"),
        (lambda x: x[np.array([0.0])], IndexError, "index: an array .* wants ints or bools, got f"),
        (lambda x: x[mg.tensor([0.0])], IndexError, "index: an array .* got float32"),
        (lambda x: x[np.array([True, False, True])], IndexError, "getitem: boolean index did not"),
        (lambda x: x[[0, 1], [0, 1, 2]], IndexError, "getitem: shape mismatch"),
        (lambda x: x[..., ...], IndexError, "getitem: an index can only have a single ellipsis"),
        (lambda x: mg.take(x, [0, 6]), IndexError, "getitem: index 6 is out of bounds"),
        (lambda x: mg.take(x, [True, False], 0), TypeError, "take: indices wants ints, got bool"),
        (lambda x: mg.take(x, 0, 2), ValueError, "take: axis 2 is out of bounds for 2 dimensions"),
        (lambda x: mg.take(x, 0, mode="wrap"), TypeError, ".*unexpected keyword argument 'mode'"),
        (lambda x: mg.take_along_axis(x, np.array([0]), 0), ValueError,
         "take_along_axis: indices wants 2 dimensions as x has, got 1"),
        (lambda x: mg.take_along_axis(x, x > 0, 0), TypeError,
         "take_along_axis: indices wants ints, got bool"),
        (lambda x: next(iter(mg.tensor(1.0))), TypeError, "len: a tensor without axes"),
    ],
)  # fmt: skip
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call(mg.zeros((2, 3)))
