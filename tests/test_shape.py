"""Rearranging: the same elements as NumPy puts them, and gradients that find their way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.testing import arrays, broadcastable_shapes, shapes
from tests.strategies import any_shape, axes_of
from tests.test_elementwise import same


def moves(ours, numpys, x):
    """`ours` puts x's elements where NumPy does, and a gradient goes back to where each came from.

    Every function here is linear and copies elements, so the gradient of ⟨v, f(x)⟩ is found by
    NumPy alone: v is summed over the places that the number of an element went to.
    """
    t = mg.tensor(x, requires_grad=True)
    y, expected = ours(t), np.asarray(numpys(x))
    same(y, expected)
    same(numpys(t), expected)
    numbers = np.asarray(numpys(np.arange(1, x.size + 1).reshape(x.shape)))
    v = np.random.default_rng(0).standard_normal(expected.shape)
    sums = np.bincount(numbers.ravel(), v.ravel(), minlength=x.size + 1)[1:]
    (g,) = mg.grad(y, t, v)
    np.testing.assert_allclose(g.array, sums.reshape(x.shape), rtol=1e-12, atol=1e-12)


@given(st.data())
def test_reshape(data):
    x = data.draw(arrays(any_shape))
    shape = data.draw(st.permutations([*x.shape, 1]).map(tuple))
    moves(lambda t: mg.reshape(t, shape), lambda x: np.reshape(x, shape), x)
    same(mg.tensor(x).reshape(shape), x.reshape(shape))
    same(mg.tensor(x).reshape(*shape), x.reshape(*shape))
    moves(mg.ravel, np.ravel, x)
    same(mg.tensor(x).ravel(), x.ravel())
    if x.size:
        same(mg.tensor(x).reshape(-1, 1), x.reshape(-1, 1))
        same(mg.reshape(mg.tensor(x), -1), x.reshape(-1))


@given(st.data())
def test_transpose(data):
    x = data.draw(arrays(any_shape))
    axes = tuple(data.draw(st.permutations(range(-x.ndim, 0))))
    moves(lambda t: mg.transpose(t, axes), lambda x: np.transpose(x, axes), x)
    moves(mg.transpose, np.transpose, x)
    t = mg.tensor(x)
    same(t.T, x.T)
    same(t.transpose(), x.transpose())
    same(t.transpose(None), x.transpose(None))
    same(t.transpose(axes), x.transpose(axes))
    same(t.transpose(*axes), x.transpose(*axes))
    same(t.transpose(*map(np.int64, axes)), x.transpose(*axes))


@given(st.data())
def test_swapaxes_and_moveaxis(data):
    x = data.draw(arrays(shapes(min_dims=1, min_side=0)))
    axis = st.integers(-x.ndim, x.ndim - 1)
    i, j = data.draw(axis), data.draw(axis)
    moves(lambda t: mg.swapaxes(t, i, j), lambda x: np.swapaxes(x, i, j), x)
    same(mg.tensor(x).swapaxes(i, j), x.swapaxes(i, j))
    moves(lambda t: mg.moveaxis(t, i, j), lambda x: np.moveaxis(x, i, j), x)
    count = data.draw(st.integers(0, x.ndim))
    source = data.draw(st.permutations(range(x.ndim)))[:count]
    target = data.draw(st.permutations(range(x.ndim)))[:count]
    moves(lambda t: mg.moveaxis(t, source, target), lambda x: np.moveaxis(x, source, target), x)


@given(st.data())
def test_squeeze_and_expand_dims(data):
    x = data.draw(arrays(shapes(max_side=2)))
    ones = [i for i, n in enumerate(x.shape) if n == 1]
    axis = data.draw(st.sampled_from([None, *ones, tuple(ones), tuple(i - x.ndim for i in ones)]))
    moves(lambda t: mg.squeeze(t, axis), lambda x: np.squeeze(x, axis), x)
    same(mg.tensor(x).squeeze(axis), x.squeeze(axis))
    new = tuple(data.draw(st.permutations(range(-x.ndim - 2, 0)))[:2])
    new = data.draw(st.sampled_from([new, 0, -1, (0, -1), (1, 0), ()]))
    moves(lambda t: mg.expand_dims(t, new), lambda x: np.expand_dims(x, new), x)


@given(broadcastable_shapes(), st.data())
def test_broadcast_to(found, data):
    x = data.draw(arrays(found[0]))
    shape = np.broadcast_shapes(*found)
    moves(lambda t: mg.broadcast_to(t, shape), lambda x: np.broadcast_to(x, shape), x)


@given(st.data())
def test_flip_and_roll(data):
    x = data.draw(arrays(any_shape))
    axis = data.draw(axes_of(x.ndim))
    moves(lambda t: mg.flip(t, axis), lambda x: np.flip(x, axis), x)
    shift = data.draw(st.integers(-7, 7))
    if axis != ():
        moves(lambda t: mg.roll(t, shift, axis), lambda x: np.roll(x, shift, axis), x)


@given(st.data())
def test_pad(data):
    x = data.draw(arrays(shapes(min_dims=1)))
    side = st.integers(0, 9)  # longer than the axis: reflections repeat
    width = data.draw(
        st.one_of(
            side,
            st.tuples(side, side),
            st.lists(st.tuples(side, side), min_size=x.ndim, max_size=x.ndim),
            side.map(np.int64),
        )
    )
    for mode in ("edge", "reflect", "wrap"):
        moves(lambda t, m=mode: mg.pad(t, width, m), lambda x, m=mode: np.pad(x, width, m), x)
    same(mg.pad(mg.tensor(x), width), np.pad(x, width))
    padded = np.pad(x, width, constant_values=2.5)
    same(mg.pad(mg.tensor(x), width, constant_values=2.5), padded)
    same(np.pad(mg.tensor(x), width, constant_values=2.5), padded)


@given(st.data())
def test_concatenate(data):
    shape = data.draw(shapes(min_dims=1))
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    xs = []
    for length in data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)):
        one = list(shape)
        one[axis] = length
        xs.append(data.draw(arrays(tuple(one))))
    for at in (axis, None):
        expected = np.concatenate(xs, at)
        same(mg.concatenate([mg.tensor(x) for x in xs], at), expected)
        same(np.concatenate([mg.tensor(xs[0]), *xs[1:]], axis=at), expected)
    stacked = [xs[0], xs[0] + 1.0]
    at = data.draw(st.integers(-len(shape) - 1, len(shape)))
    same(mg.stack([mg.tensor(x) for x in stacked], at), np.stack(stacked, at))
    same(np.stack([mg.tensor(stacked[0]), stacked[1]], axis=at), np.stack(stacked, at))


def test_concatenate_mixes_lists_arrays_and_dtypes():
    t = mg.tensor([1.0, 2.0], requires_grad=True)
    y = np.concatenate([[0.5], t, np.array([3], dtype=np.int64)])
    np.testing.assert_array_equal(y.array, [0.5, 1.0, 2.0, 3.0])
    (g,) = mg.grad(y, t, np.arange(4.0))
    np.testing.assert_array_equal(g.array, [1.0, 2.0])
    assert g.dtype == np.float32
    same(mg.stack(mg.tensor([[1.0, 2.0], [3.0, 4.0]]), 1), np.float32([[1, 3], [2, 4]]))


@given(st.data())
def test_split(data):
    x = data.draw(arrays(shapes(min_dims=1)))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    n = x.shape[axis]
    sections = data.draw(st.sampled_from([d for d in range(1, n + 1) if n % d == 0]))
    cuts = data.draw(st.lists(st.integers(-6, 6), max_size=3))
    for how in (sections, np.int64(sections), cuts, tuple(cuts), np.array(cuts, dtype=int)):
        parts = mg.split(mg.tensor(x), how, axis)
        assert isinstance(parts, list)
        for ours, theirs, through in zip(
            parts, np.split(x, how, axis), np.split(mg.tensor(x), how, axis=axis), strict=True
        ):
            same(ours, theirs)
            same(through, theirs)


def test_split_and_join_pass_the_gradient_through():
    x = mg.tensor(np.arange(6.0), requires_grad=True)
    a, b, c = mg.split(x, 3)
    y = mg.concatenate([c, a, a])
    (g,) = mg.grad(y, x, np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]))
    np.testing.assert_array_equal(g.array, [8.0, 10.0, 0.0, 0.0, 1.0, 2.0])
    assert b.shape == (2,)


@given(st.data())
def test_repeat_and_tile(data):
    x = data.draw(arrays(any_shape))
    count = data.draw(st.integers(0, 3))
    axis = data.draw(axes_of(x.ndim, several=False))
    for r in (count, np.int64(count), [count]):
        moves(lambda t, r=r: mg.repeat(t, r, axis), lambda x, r=r: np.repeat(x, r, axis), x)
    n = x.size if axis is None else x.shape[axis]
    each = data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n))
    moves(lambda t: mg.repeat(t, each, axis), lambda x: np.repeat(x, each, axis), x)
    same(mg.tensor(x).repeat(count, axis), x.repeat(count, axis))
    reps = data.draw(st.one_of(st.integers(0, 3), shapes(min_side=0, max_dims=4, max_side=3)))
    moves(lambda t: mg.tile(t, reps), lambda x: np.tile(x, reps), x)


@given(st.data())
def test_triangles_and_diagonals(data):
    x = data.draw(arrays(shapes(min_dims=2, min_side=0)))
    k = data.draw(st.integers(-5, 5))
    for ours, numpys in ((mg.tril, np.tril), (mg.triu, np.triu)):
        same(ours(mg.tensor(x), k), numpys(x, k))
        same(numpys(mg.tensor(x), k), numpys(x, k))
    axes = tuple(data.draw(st.permutations(range(x.ndim)))[:2])
    axes = tuple(data.draw(st.sampled_from([i, i - x.ndim])) for i in axes)
    moves(lambda t: mg.diagonal(t, k, *axes), lambda x: np.diagonal(x, k, *axes), x)
    same(mg.tensor(x).diagonal(k, *axes), x.diagonal(k, *axes))
    np.testing.assert_allclose(mg.trace(mg.tensor(x), k, *axes).array, np.trace(x, k, *axes))
    np.testing.assert_allclose(np.trace(mg.tensor(x), k, *axes).array, x.trace(k, *axes))


def test_triangles_keep_the_dtype_and_leave_infinities_out():
    same(mg.tril(mg.tensor([[True, True], [True, True]])), np.tril(np.ones((2, 2), dtype=bool)))
    x = mg.tensor([[1.0, np.inf], [2.0, 3.0]], requires_grad=True)
    y = mg.tril(x)
    same(y, np.float32([[1, 0], [2, 3]]))
    np.testing.assert_array_equal(mg.grad(y.sum(), x)[0].array, [[1.0, 0.0], [1.0, 1.0]])


def test_arrays_stay_arrays():
    x = np.arange(6.0).reshape(2, 3)
    for f in (
        mg.ravel,
        lambda x: mg.pad(x, 1, "edge"),
        lambda x: mg.tile(x, 2),
        lambda x: mg.repeat(x, 2),
        lambda x: mg.stack([x, x]),
        mg.diagonal,
        mg.tril,
    ):
        assert type(f(x)) is np.ndarray


T = (2, 3)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: mg.reshape(x, (4, 2)), ValueError, "reshape: cannot reshape array of size 6"),
        (lambda x: x.reshape(2.5), TypeError, "reshape: "),
        (lambda x: mg.reshape(x, (6,), order="F"), TypeError, "reshape: unexpected .* 'order'"),
        (lambda x: x.transpose(0), ValueError, "transpose: axes don't match"),
        (lambda x: x.transpose(0, 0), ValueError, "transpose: repeated axis"),
        (lambda x: mg.swapaxes(x, 0, 2), ValueError, "swapaxes: axis 2 is out of bounds for 2"),
        (lambda x: mg.moveaxis(x, 0, (0, 1)), ValueError, "moveaxis: 1 source axes but 2 dest"),
        (lambda x: mg.moveaxis(x, (0, 0), (0, 1)), ValueError, "moveaxis: axis names an axis twi"),
        (lambda x: mg.squeeze(x, 0), ValueError, "squeeze: axis 0 has length 2, not 1"),
        (lambda x: mg.expand_dims(x, 4), ValueError, "expand_dims: axis 4 is out of bounds"),
        (lambda x: mg.broadcast_to(x, (3, 2)), ValueError, "broadcast_to: "),
        (lambda x: mg.pad(x, (1, 2, 3)), ValueError, r"pad: pad_width wants .*got \(1, 2, 3\)"),
        (lambda x: mg.pad(x, -1), ValueError, "pad: pad_width wants no negative length, got -1"),
        (lambda x: mg.pad(x, 0.5), TypeError, "pad: pad_width wants ints, got 0.5"),
        (lambda x: mg.pad(x, 1, "mirror"), ValueError, "pad: mode wants .*, got 'mirror'"),
        (lambda x: mg.pad(x, 1, "edge", 2.0), TypeError, "pad: constant_values has no meaning"),
        (lambda x: mg.pad(x, 1, constant_values=(1, 2)), TypeError, "pad: constant_values wants"),
        (lambda x: mg.pad(x[:0], 1, "edge"), ValueError, "pad: mode 'edge' cannot extend"),
        (lambda x: mg.concatenate([]), ValueError, "concatenate: wants at least one array"),
        (lambda x: mg.concatenate([x, x], 2), ValueError, "concatenate: axis 2 is out of bounds"),
        (lambda x: mg.concatenate([x, x[0]]), ValueError, "concatenate: all the input arrays"),
        (lambda x: np.concatenate([x], dtype="f8"), TypeError, ".*'dtype'"),
        (lambda x: mg.stack([x, x[0]]), ValueError, "stack: all arrays want one shape, got"),
        (lambda x: mg.stack([]), ValueError, "stack: wants at least one array"),
        (lambda x: mg.split(x, 2, 1), ValueError, "split: cannot cut length 3 into 2 equal"),
        (lambda x: mg.split(x, 0), ValueError, "split: cannot cut length 2 into 0"),
        (lambda x: mg.split(x, 1.5), TypeError, "split: indices_or_sections wants an int or ints"),
        (lambda x: mg.repeat(x, -1), ValueError, "repeat: repeats wants no negative count"),
        (lambda x: mg.repeat(x, [1, -1], 0), ValueError, "repeat: repeats wants no negative"),
        (lambda x: mg.repeat(x, [1, 2, 3], 0), ValueError, "repeat: 3 repeats for an axis of leng"),
        (lambda x: mg.repeat(x, 1.5), TypeError, "repeat: repeats wants an int or ints, got 1.5"),
        (lambda x: mg.tile(x, (1, 0.5)), TypeError, r"tile: reps wants an int or ints"),
        (lambda x: mg.tril(x[0]), ValueError, r"tril: wants at least 2 dimensions, got shape \(3"),
        (lambda x: mg.diagonal(x[0]), ValueError, "diagonal: axis 1 is out of bounds"),
        (lambda x: mg.diagonal(x, 0, 1, 1), ValueError, "diagonal: axis names an axis twice"),
        (lambda x: mg.flip(x, 2), ValueError, "flip: axis 2 is out of bounds"),
        (lambda x: mg.roll(x, 1, 2), ValueError, "roll: axis 2 is out of bounds"),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call(mg.zeros(T))
