"""Elementwise functions: NumPy's values and dtypes, and the gradients chosen at kinks."""

import math
import operator

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.cases import ONE_ARRAY
from minigrad.testing import arrays, broadcasting
from tests.strategies import COMPARISONS

OUTSIDE_NUMPY = {"sigmoid": lambda x: 1 / (1 + np.exp(-x)), "erf": scipy.special.erf}
DTYPES = [np.bool_, np.int32, np.int64, np.uint8, np.float32, np.float64]
BINARY = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "floor_divide": operator.floordiv, "remainder": operator.mod,
    "power": operator.pow,
}  # fmt: skip


def same(tensor, expected):
    """Equal values, dtype and shape: a Tensor against what NumPy made of the same arguments."""
    assert isinstance(tensor, mg.Tensor)
    expected = np.asarray(expected)
    assert tensor.dtype == expected.dtype
    np.testing.assert_array_equal(tensor.array, expected, strict=True)


def slopes(f, *values, order=1):
    """Gradient of Σ f at the values, or the gradient of its sum, …: one array an argument."""
    leaves = [mg.tensor(np.asarray(v, dtype=np.float64), requires_grad=True) for v in values]
    found = mg.grad(f(*leaves).sum(), leaves, create_graph=order > 1)
    for _ in range(order - 1):
        total = sum(g.sum() for g in found if g is not None)
        if not total.requires_grad:  # the slope is constant
            return [np.zeros(x.shape) for x in leaves]
        found = mg.grad(total, leaves, create_graph=True, allow_unused=True)
    return [np.zeros(x.shape) if g is None else g.array for g, x in zip(found, leaves, strict=True)]


@pytest.mark.parametrize("name", [name for name in ONE_ARRAY if hasattr(mg, name)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@given(data=st.data())
def test_unary_values(name, dtype, data):
    drawn = data.draw(arrays(None, *ONE_ARRAY[name], apart=0.3))
    x = drawn.astype(dtype)  # one array for all: layouts round differently
    reference = OUTSIDE_NUMPY.get(name) or getattr(np, name)
    same(getattr(mg, name)(mg.Tensor(x)), reference(x))
    if name not in OUTSIDE_NUMPY:
        same(reference(mg.Tensor(x)), reference(x))  # NumPy's function on a Tensor
    plain = getattr(mg, name)(x)  # arrays stay arrays
    assert not isinstance(plain, mg.Tensor)


@pytest.mark.parametrize("name", [*BINARY, "maximum", "minimum", "logaddexp", "arctan2"])
@given(data=st.data())
def test_binary_values(name, data):
    a, b = data.draw(broadcasting(2, 0.3, 3.0))
    reference = getattr(np, name)
    f = getattr(mg, name)
    for left, right in [(mg.Tensor(a), mg.Tensor(b)), (mg.Tensor(a), b), (a, mg.Tensor(b))]:
        same(f(left, right), reference(a, b))
        same(reference(left, right), reference(a, b))
        if name in BINARY:
            same(BINARY[name](left, right), reference(a, b))


@pytest.mark.parametrize("name", COMPARISONS)
@given(data=st.data())
def test_comparisons(name, data):
    a, b = data.draw(broadcasting(2))
    a, b = np.round(a), np.round(b)  # so that some are equal
    same(getattr(mg, name)(mg.tensor(a), b), getattr(np, name)(a, b))
    same(COMPARISONS[name](mg.tensor(a), mg.tensor(b)), COMPARISONS[name](a, b))
    same(COMPARISONS[name](a, mg.tensor(b)), COMPARISONS[name](a, b))
    same(COMPARISONS[name](mg.tensor(a), 1.0), COMPARISONS[name](a, 1.0))


@pytest.mark.parametrize("name", ["add", "multiply", "divide", "power", "maximum"])
@pytest.mark.parametrize("a", DTYPES)
@pytest.mark.parametrize("b", [*DTYPES, int, float, bool])
def test_promotion_is_numpys(name, a, b):
    """NEP 50: Python numbers adapt to the array, arrays promote one another."""
    x = np.ones((2,), dtype=a)
    y = b(1) if b in (int, float, bool) else np.ones((2,), dtype=b)
    reference = getattr(np, name)
    try:
        expected = reference(x, y)
    except TypeError:  # power has no loop for bools
        with pytest.raises(TypeError, match=f"^{name}: "):
            getattr(mg, name)(mg.tensor(x), y)
        return
    same(getattr(mg, name)(mg.tensor(x), y), expected)
    same(getattr(mg, name)(y, mg.tensor(x)), reference(y, x))


@pytest.mark.parametrize("op", BINARY.values())
@pytest.mark.parametrize("scalar", [2, 2.5, np.float32(2.5), np.float64(2.5), np.int64(2)])
def test_operators_with_scalars(op, scalar):
    x = np.array([1.0, 2.0, 3.0], dtype=np.float32)
    same(op(mg.tensor(x), scalar), op(x, scalar))
    same(op(scalar, mg.tensor(x)), op(scalar, x))


def test_python_floats_leave_float32_alone():
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = mg.where(x > 1.5, mg.clip(x, 0.0, 3.0) ** 2.0 + 2.0**x, mg.maximum(x, 0.5) / 3.0)
    assert y.dtype == np.float32
    (g,) = mg.grad(y.sum(), x, create_graph=True)
    assert g.dtype == np.float32


@given(arrays(), st.one_of(st.none(), st.just(-0.5)), st.one_of(st.none(), st.just(0.5)))
def test_clip_values(x, low, high):
    wanted = x if low is None and high is None else np.clip(x, low, high)
    same(mg.clip(mg.tensor(x), low, high), wanted)
    same(mg.tensor(x).clip(min=low, max=high), wanted)
    same(np.clip(mg.tensor(x), low, high), wanted)


@given(broadcasting(3))
def test_where_values(drawn):
    c, a, b = drawn
    for condition in (c > 0.0, mg.tensor(c > 0.0)):
        same(mg.where(condition, mg.tensor(a), b), np.where(c > 0.0, a, b))
        same(np.where(condition, mg.tensor(a), 0.0), np.where(c > 0.0, a, 0.0))


def test_bitwise_and_predicates():
    a, b = np.array([True, True, False]), np.array([True, False, False])
    x, y = mg.tensor(a), mg.tensor(b)
    same(x & y, a & b)
    same(a | y, a | b)
    same(x ^ b, a ^ b)
    same(~x, ~a)
    same(mg.tensor([5, 6]) & 3, np.array([1, 2]))
    odd = np.array([0.0, math.inf, math.nan])
    same(mg.isnan(mg.tensor(odd)), np.isnan(odd))
    same(np.isfinite(mg.tensor(odd)), np.isfinite(odd))


def test_unary_operators():
    x = mg.tensor([1.0, -2.0])
    same(-x, -x.array)
    same(abs(x), np.abs(x.array))
    assert +x is x


# ---------------------------------------------------------------------------------------------
# Gradients chosen at kinks and poles
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("f", [mg.abs, mg.sign])
def test_zero_slope_at_zero(f):
    np.testing.assert_array_equal(slopes(f, [0.0, -0.0])[0], [0.0, 0.0])
    np.testing.assert_array_equal(slopes(f, [0.0], order=2)[0], [0.0])


@pytest.mark.parametrize("f", [mg.maximum, mg.minimum])
def test_ties_of_two_share_evenly(f):
    a, b = slopes(f, [1.0, 2.0, 3.0], [1.0, 3.0, 2.0])
    assert a[0] == b[0] == 0.5
    np.testing.assert_array_equal(a + b, [1.0, 1.0, 1.0])
    winner = a if f is mg.maximum else b
    np.testing.assert_array_equal(winner[1:], [0.0, 1.0])
    x = mg.tensor([1.0], requires_grad=True)
    assert mg.grad(f(x, x), x)[0].item() == 1.0


def test_clip_passes_at_its_bounds():
    x, low, high = slopes(mg.clip, [-2.0, -1.0, 0.0, 1.0, 2.0], [-1.0] * 5, [1.0] * 5)
    np.testing.assert_array_equal(x, [0.0, 1.0, 1.0, 1.0, 0.0])
    np.testing.assert_array_equal(low, [1.0, 0.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(high, [0.0, 0.0, 0.0, 0.0, 1.0])
    for bounds in ((-1.0, None), (None, 1.0), (None, None)):
        (g,) = slopes(lambda x, bounds=bounds: mg.clip(x, *bounds), [-1.0, 0.0, 1.0])
        np.testing.assert_array_equal(g, [1.0, 1.0, 1.0])


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=3, max_size=3, unique=True))
def test_clip_with_crossed_bounds_has_one_owner(values):
    """With low > high NumPy returns high: whoever the result equals gets the whole gradient."""
    x, low, high = values
    gradients = [float(g[0]) for g in slopes(mg.clip, [x], [low], [high])]
    owner = values.index(np.clip(x, low, high))
    assert gradients == [float(i == owner) for i in range(3)]


@pytest.mark.parametrize("exponent", [0, 0.0, 1, 1.0, 2, 2.0, 3])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_power_at_base_zero(exponent, as_tensor):
    """0ᵇ for b = 0, 1, 2, …: values and two orders of slopes, without a warning."""

    def power(x):
        return x ** (mg.tensor([float(exponent)], dtype="float64") if as_tensor else exponent)

    expected = {0: (0.0, 0.0), 1: (1.0, 0.0), 2: (0.0, 2.0), 3: (0.0, 0.0)}[int(exponent)]
    assert slopes(power, [0.0])[0].item() == expected[0]
    assert slopes(power, [0.0], order=2)[0].item() == expected[1]


def test_power_in_the_exponent():
    (g,) = slopes(lambda b: 0.0**b, [1.0, 2.0])
    np.testing.assert_array_equal(g, [0.0, 0.0])
    (g,) = slopes(lambda b: 2.0**b, [0.0, 3.0])
    np.testing.assert_allclose(g, math.log(2.0) * np.array([1.0, 8.0]))
    a, b = slopes(lambda a, b: a**b, [0.0], [0.0])
    assert (a.item(), b.item()) == (0.0, 0.0)


def test_power_of_negative_bases():
    (g,) = slopes(lambda a: a**3, [-2.0])
    assert g.item() == 12.0
    (g,) = slopes(lambda a: a ** mg.tensor([3.0]), [-2.0])
    assert g.item() == 12.0
    (g,) = slopes(lambda a: a**-1, [-2.0])
    assert g.item() == -0.25


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [
        (-math.inf, 1.0, 0.0),
        (1.0, -math.inf, 1.0),
        (-math.inf, -math.inf, 0.5),
        (math.inf, 1.0, 1.0),
        (math.inf, math.inf, 0.5),
        (1000.0, -1000.0, 1.0),
        (2.0, 2.0, 0.5),
    ],
)
def test_logaddexp_with_infinities(a, b, share):
    x, y = slopes(mg.logaddexp, [a], [b])
    assert (x.item(), y.item()) == (share, 1.0 - share)
    for second in slopes(mg.logaddexp, [a], [b], order=2):
        assert np.isfinite(second).all()


def test_where_keeps_the_other_branch_out():
    """The gradient of the branch not taken is 0, not its value."""
    x = mg.tensor([0.5, 2.0], requires_grad=True)
    y = mg.where(x > 1.0, x * 3.0, x * 5.0)
    np.testing.assert_array_equal(mg.grad(y.sum(), x)[0].array, [5.0, 3.0])


def test_saturated_functions_stay_finite():
    for f in (mg.sigmoid, mg.tanh, mg.erf):
        (g,) = slopes(f, [-800.0, 800.0])
        np.testing.assert_allclose(g, [0.0, 0.0], atol=1e-300)


def test_piecewise_constant_functions_have_gradient_zero():
    np.testing.assert_array_equal(slopes(lambda x: x // 0.7, [1.0, -2.0])[0], [0.0, 0.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x + None, TypeError, "add: "),
        (lambda x: x * "a", TypeError, "multiply: "),
        (lambda x: x + np.ones(5), ValueError, "add: operands could not be broadcast"),
        (lambda x: mg.where(x > 0.0), TypeError, "where: missing argument 'a'"),
        (lambda x: mg.exp(x, out=x), TypeError, "exp: unexpected keyword argument 'out'"),
        (lambda x: x & 1, TypeError, "bitwise_and: "),
        (lambda x: ~x, TypeError, "invert: "),
        (lambda x: -mg.tensor([True]), TypeError, "negative: "),
    ],
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=f"^{message}"):
        call(mg.tensor([1.0, 2.0, 3.0]))


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint8, np.int64])
def test_sigmoid_of_integers(dtype):
    """Also of those whose negative is none of theirs."""
    x = np.array([0, 1, 1], dtype)
    y = mg.sigmoid(mg.Tensor(x))
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.array, scipy.special.expit(x.astype(np.float64)), rtol=1e-15)
