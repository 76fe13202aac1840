"""Numerics at the edge: large, tiny, equal, zero and masked numbers, against exact arithmetic.

Values, gradients and second derivatives have to be finite, right and free of warnings (pytest turns
NumPy's into errors). Right means within `ROUNDINGS` units of rounding, of the result or of what the
function cannot help to take differences of, which each entry of the tables says: its *scales*.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.backend import get_backend
from tests import exact
from tests.backends import BACKENDS, host

# A result comes of a few operations with an error of half a unit each, or of up to four where a GPU
# takes an exponential or a logarithm.
ROUNDINGS = 8
DTYPES = ["float32", "float64"]

everywhere = pytest.mark.parametrize("backend", BACKENDS)
both_dtypes = pytest.mark.parametrize("dtype", DTYPES)


def tensor(values, dtype, backend="numpy", requires_grad=False):
    """A Tensor of the dtype on the backend."""
    array = get_backend(backend).asarray(np.asarray(values, dtype))
    return mg.Tensor(array, requires_grad=requires_grad)


def beside(x, values):
    """A constant of the dtype and on the backend of the Tensor x."""
    return tensor(values, x.dtype, x.backend)


def derivatives(f, x, v, u):
    """f(x), the gradient of ⟨v, f⟩, and that of ⟨u, gradient⟩, zeros where nothing depends on x."""
    y = f(x)
    (g,) = mg.grad(y, x, beside(x, np.reshape(v, y.shape)), create_graph=True)
    h = mg.zeros_like(x)
    if g.requires_grad:
        (found,) = mg.grad(g, x, beside(x, np.reshape(u, g.shape)), allow_unused=True)
        h = h if found is None else found
    assert y.dtype == g.dtype == h.dtype == x.dtype
    return host(y), host(g), host(h)


def assert_right(found, expected, scales, dtype, where=""):
    """Each of the arrays within the rounding of its scale; what underflows may be 0."""
    limits = np.finfo(dtype)
    for order, (a, b, scale) in enumerate(zip(found, expected, scales, strict=True)):
        a, b = np.ravel(a).astype(float), np.ravel(b)
        allowed = ROUNDINGS * float(limits.eps) * scale + float(limits.tiny)
        np.testing.assert_array_equal(a[np.isinf(b)], b[np.isinf(b)])
        error = np.abs(np.where(np.isinf(b), 0.0, a) - np.where(np.isinf(b), 0.0, b))
        assert (error <= allowed).all(), f"{where}, derivative {order}: {a} is not {b} ± {allowed}"


# ---------------------------------------------------------------------------------------------
# Functions of one number
# ---------------------------------------------------------------------------------------------

LARGE = (1e4, -1e4, 80.0, -80.0, 1e30, -1e30)
MODERATE = (20.0, -20.0, 3.0, -3.0, 0.5, -0.5)
SMALL = (1e-8, -1e-8, 1e-30, -1e-30)
POINTS = (*LARGE, *MODERATE, *SMALL, 0.0, -0.0)


@dataclass(frozen=True)
class Scalar:
    """A function of one number, its formula, and where both are smooth.

    The error is measured against the result, or against its `floors` for value, slope and second
    derivative, the size of the terms that the function subtracts, if that is more.
    """

    f: Callable
    formula: Callable
    floors: tuple[float, float, float] = (0.0, 0.0, 0.0)
    points: tuple[float, ...] = POINTS


def elu(x, alpha=1):
    return x if x > 0 else alpha * (exact.exp(x) - 1)


def selu(x):
    alpha = Decimal("1.6732632423543772848170429916717")
    return Decimal("1.0507009873554804934193349852946") * elu(x, alpha)


def gelu_tanh(x):
    z = (2 / exact.pi()).sqrt() * (x + Decimal("0.044715") * x**3)
    return x * exact.sigmoid(2 * z)


def off(*kinks):
    return tuple(x for x in POINTS if x not in kinks)


def within(low, high, *more):
    return (*(x for x in POINTS if low < x < high), *more)


SCALARS = {
    # y (1 − y) and 1 − y² lose what y cannot hold beside 1.
    "sigmoid": Scalar(F.sigmoid, exact.sigmoid, (0, 1, 1)),
    "tanh": Scalar(F.tanh, exact.tanh, (0, 1, 1)),
    "softplus": Scalar(lambda x: F.softplus(x, threshold=math.inf), exact.softplus, (0, 0, 1)),
    "softplus of 3x": Scalar(
        lambda x: F.softplus(x, 3.0, math.inf), lambda x: exact.softplus(3 * x) / 3, (1, 1, 3)
    ),
    "logsigmoid": Scalar(F.logsigmoid, lambda x: -exact.softplus(-x), (0, 0, 1)),
    "silu": Scalar(F.silu, lambda x: x * exact.sigmoid(x), (0, 20, 20)),
    "gelu": Scalar(F.gelu, lambda x: x * exact.normal_cdf(x), (1, 1, 1)),
    "gelu by tanh": Scalar(lambda x: F.gelu(x, "tanh"), gelu_tanh, (1, 20, 20)),
    "elu": Scalar(F.elu, elu, (0, 1, 1), off(0.0)),
    "selu": Scalar(F.selu, selu, (0, 2, 2), off(0.0)),
    "softsign": Scalar(F.softsign, lambda x: x / (1 + abs(x)), points=off(0.0)),
    "erf": Scalar(mg.erf, exact.erf, (0, 1, 1)),
    "arctan": Scalar(mg.arctan, exact.arctan),
    "arcsinh": Scalar(mg.arcsinh, exact.arcsinh),
    "expm1": Scalar(mg.expm1, lambda x: exact.exp(x) - 1, (1, 1, 1), within(-1e31, 81)),
    "log1p": Scalar(mg.log1p, lambda x: (1 + x).ln(), points=within(-0.9, 1e31)),
    "exp": Scalar(mg.exp, exact.exp, points=within(-1e31, 81)),
    "log": Scalar(mg.log, Decimal.ln, points=within(1e-9, 1e31)),
    "sqrt": Scalar(mg.sqrt, Decimal.sqrt, points=within(1e-9, 1e31)),
    "reciprocal": Scalar(mg.reciprocal, lambda x: 1 / x, points=(1e4, -1e4, 20.0, -0.5, 1e-8)),
    "x¹": Scalar(lambda x: x**1, lambda x: x),
    "x²": Scalar(lambda x: x**2, lambda x: x * x, points=within(-1e5, 1e5)),
    "logaddexp with 0": Scalar(lambda x: mg.logaddexp(x, 0.0), exact.softplus, (0, 0, 1)),
    "angle above 1": Scalar(lambda x: mg.arctan2(x, 1.0), exact.arctan),
    "cross-entropy of 0": Scalar(
        lambda x: F.binary_cross_entropy_with_logits(x, mg.zeros_like(x), reduction="none"),
        exact.softplus,
        (0, 1, 1),
    ),
}


@cache
def of_points(formula, points):
    """Values, slopes and second derivatives at the points, which are float32 and so float64."""
    found = [exact.derivatives(lambda p: [formula(*p)], [x], [1], [1]) for x in points]
    return [np.array([entry[order][0] for entry in found]) for order in range(3)]


@everywhere
@both_dtypes
@pytest.mark.parametrize("name", SCALARS)
def test_functions_of_one_number(name, dtype, backend):
    case = SCALARS[name]
    points = np.array(case.points, "float32")
    ones = np.ones(len(points))
    found = derivatives(case.f, tensor(points, dtype, backend, requires_grad=True), ones, ones)
    expected = of_points(case.formula, tuple(points.tolist()))
    scales = [np.maximum(np.abs(e), floor) for e, floor in zip(expected, case.floors, strict=True)]
    assert_right(found, expected, scales, dtype)


# ---------------------------------------------------------------------------------------------
# Functions of several numbers
# ---------------------------------------------------------------------------------------------

MASK = -math.inf
ROWS = {
    "equal": [0.1, 0.1, 0.1, 0.1, 0.1],
    "equal and large": [12345.678, 12345.678, 12345.678],
    "zero": [0.0, -0.0, 0.0],
    "an offset": [10000.25, 10000.0, 9999.5, 10001.0],
    "an offset of opposite sign": [-10000.25, -10000.0, -9999.5, -10001.0],
    "±10⁴": [1e4, -1e4, 0.0, 1e4],
    "±80": [80.0, -80.0, 80.0, 79.0],
    "±10³⁰": [1e30, -1e30, 3e29, 1.0],
    "small": [1e-8, -1e-8, 2e-8],
    "tiny": [1e-30, -1e-30, 2e-30],
    "one zero": [0.0, 3.0, -4.0],
    "one entry": [-3.0],
    "one large entry": [1e30],
    "masked": [MASK, 0.5, MASK, 0.25],
    "masked but one": [MASK, MASK, -1e4],
}
UNMASKED = tuple(name for name, row in ROWS.items() if MASK not in row)
DIFFERENT = tuple(name for name in UNMASKED if len(set(ROWS[name])) > 1 and name != "one zero")
AWAY_FROM_ZERO = tuple(name for name in UNMASKED if any(ROWS[name]))


def size(x):
    """The largest |x|."""
    return np.abs(x[np.isfinite(x)]).max(initial=0.0)


def spread(x):
    """How far entries lie apart."""
    return x.max() - x.min()


@dataclass(frozen=True)
class Vector:
    """A function of a row, its formula, and the scales of the errors of its three derivatives.

    `scales` gives them for a row x. Where it is left out, they are those of a function whose value
    is as large as x, which only rounds what it is given: |x|, 1 and 1.
    """

    f: Callable
    formula: Callable
    rows: tuple[str, ...] = tuple(ROWS)
    scales: Callable = lambda x: (max(1.0, size(x)), 1.0, 1.0)


def single(formula):
    """A formula of one number as one of a row of length one."""
    return lambda x: [formula(x)]


def homogeneous(magnitude):
    """The scales of a function of degree 1, of the magnitude given."""

    def scales(x):
        m = float(magnitude(x))
        return m, 1.0, 1.0 / m

    return scales


def standardizing(x, eps=1e-5):
    """An error of the mean, |x| times rounding, counts in units of the standard deviation."""
    deviation = math.sqrt(x.var() + eps)
    condition = 1.0 + size(x) / deviation
    return condition, condition / deviation, condition / deviation**2


def divergence(x, t, smoothing=0, weight=None):
    """−Σ w t log softmax(x), the targets smoothed."""
    smooth = Decimal(smoothing)
    log_p = exact.log_softmax(x)
    total = Decimal(0)
    for i, log_p_i in enumerate(log_p):
        t_i = (1 - smooth) * Decimal(t[i]) + smooth / len(x)
        w_i = Decimal(1 if weight is None else weight[i])
        total -= w_i * t_i * log_p_i if w_i * t_i else 0
    return total


def last(n):
    """The one-hot code of the last class."""
    return [0.0] * (n - 1) + [1.0]


def labels(x):
    return mg.tensor(np.array([x.size - 1]), backend=x.backend)


def rising(n):
    """Weights 0, 1, 2, …, of which the first suits a masked class."""
    return [float(i) for i in range(n)]


VECTORS = {
    "softmax": Vector(lambda x: F.softmax(x, 0), exact.softmax, scales=lambda x: (1, 1, 1)),
    "log_softmax": Vector(lambda x: F.log_softmax(x, 0), exact.log_softmax),
    "logsumexp": Vector(mg.logsumexp, single(exact.logsumexp)),
    "logaddexp": Vector(
        lambda x: mg.logaddexp(x[0], x[-1]), lambda x: [exact.logsumexp([x[0], x[-1]])]
    ),
    "cross_entropy": Vector(
        lambda x: F.cross_entropy(x[None], labels(x)),
        lambda x: [divergence(x, last(len(x)))],
    ),
    "cross_entropy, weighted": Vector(
        lambda x: F.cross_entropy(
            x[None], labels(x), beside(x, rising(x.size + 1)[1:]), reduction="sum"
        ),
        lambda x: [divergence(x, last(len(x)), weight=rising(len(x) + 1)[1:])],
        scales=lambda x: (4 * max(1.0, size(x)), 4, 4),
    ),
    "cross_entropy, smoothed": Vector(
        lambda x: F.cross_entropy(x[None], labels(x), label_smoothing=0.25),
        lambda x: [divergence(x, last(len(x)), Decimal("0.25"))],
        UNMASKED,
    ),
    "cross_entropy of probabilities": Vector(
        lambda x: F.cross_entropy(x, beside(x, last(x.size))),
        lambda x: [divergence(x, last(len(x)))],
    ),
    "cross_entropy of probabilities, weighted": Vector(
        lambda x: F.cross_entropy(x, mg.ones_like(x) / x.size, beside(x, last(x.size))),
        lambda x: [divergence(x, [1] * len(x), weight=last(len(x))) / len(x)],
    ),
    "nll_loss": Vector(
        lambda x: F.nll_loss(F.log_softmax(x, 0)[None], labels(x)),
        lambda x: [divergence(x, last(len(x)))],
    ),
    "kl_div": Vector(
        lambda x: F.kl_div(F.log_softmax(x, 0), beside(x, last(x.size)), reduction="sum"),
        lambda x: [divergence(x, last(len(x)))],
    ),
    "kl_div of logarithms": Vector(
        lambda x: F.kl_div(
            F.log_softmax(x, 0),
            beside(x, [0.0 if t else MASK for t in last(x.size)]),
            reduction="sum",
            log_target=True,
        ),
        lambda x: [divergence(x, last(len(x)))],
    ),
    "var": Vector(
        mg.var, single(exact.variance), tuple({*UNMASKED} - {"±10³⁰"}),
        lambda x: (spread(x) ** 2, spread(x), 1.0),
    ),
    "var, unbiased": Vector(
        lambda x: mg.var(x, ddof=1), lambda x: [exact.variance(x, 1)],
        tuple({*UNMASKED} - {"±10³⁰", "one entry", "one large entry"}),
        lambda x: (2 * spread(x) ** 2, 2 * spread(x), 2.0),
    ),
    "std": Vector(
        mg.std, lambda x: [exact.variance(x).sqrt()], DIFFERENT, homogeneous(spread)
    ),
    "std, unbiased": Vector(
        lambda x: mg.std(x, ddof=1), lambda x: [exact.variance(x, 1).sqrt()], DIFFERENT,
        homogeneous(spread),
    ),
    "norm": Vector(mg.norm, single(exact.norm), AWAY_FROM_ZERO, homogeneous(size)),
    "norm of a matrix": Vector(
        lambda x: mg.norm(x[None], "fro", (0, 1)),
        single(exact.norm), AWAY_FROM_ZERO, homogeneous(size),
    ),
    "norm of order 3": Vector(
        lambda x: mg.norm(x, 3), lambda x: [exact.norm(x, 3)], AWAY_FROM_ZERO, homogeneous(size)
    ),
    "norm of order 1": Vector(
        lambda x: mg.norm(x, 1), lambda x: [sum(abs(a) for a in x)],
        tuple({*DIFFERENT} - {"±10⁴"}), lambda x: (4 * size(x), 1, 0),
    ),
    "norm of order ∞": Vector(
        lambda x: mg.norm(x[:1], math.inf), lambda x: [abs(x[0])], DIFFERENT, homogeneous(size)
    ),
    "norm of order −1": Vector(
        lambda x: mg.norm(x[:2], -1), lambda x: [1 / (1 / abs(x[0]) + 1 / abs(x[1]))],
        ("an offset", "an offset of opposite sign", "±80", "±10³⁰", "small", "tiny"),
        homogeneous(size),
    ),
    "normalize": Vector(
        lambda x: F.normalize(x, dim=0), lambda x: [a / exact.norm(x) for a in x],
        tuple({*AWAY_FROM_ZERO} - {"tiny"}), lambda x: (1, 1 / size(x), 1 / size(x) ** 2),
    ),
    "normalize, next to nothing": Vector(
        lambda x: F.normalize(x, dim=0), lambda x: [a / Decimal("1e-12") for a in x],
        ("tiny", "zero"), lambda x: (size(x) * 1e12, 1e12, 0),
    ),
    "cosine_similarity": Vector(
        lambda x: F.cosine_similarity(x, beside(x, rising(x.size + 1)[1:]), 0),
        lambda x: [sum(a * (i + 1) for i, a in enumerate(x)) / exact.norm(x)
                   / exact.norm([Decimal(i + 1) for i in range(len(x))])],
        tuple({*AWAY_FROM_ZERO} - {"tiny"}), lambda x: (1, 1 / size(x), 1 / size(x) ** 2),
    ),
    "layer_norm": Vector(
        lambda x: F.layer_norm(x, x.shape), lambda x: exact.standardized(x, "1e-5"),
        tuple({*UNMASKED} - {"±10³⁰", "one large entry"}), standardizing,
    ),
    "group_norm": Vector(
        lambda x: F.group_norm(x[None, :, None], 1)[0, :, 0],
        lambda x: exact.standardized(x, "1e-5"),
        tuple({*UNMASKED} - {"±10³⁰", "one large entry"}), standardizing,
    ),
    "instance_norm": Vector(
        lambda x: F.instance_norm(x[None, None])[0, 0], lambda x: exact.standardized(x, "1e-5"),
        tuple({*UNMASKED} - {"±10³⁰", "one entry", "one large entry"}), standardizing,
    ),
    "batch_norm": Vector(
        lambda x: F.batch_norm(x[:, None], None, None, training=True)[:, 0],
        lambda x: exact.standardized(x, "1e-5"),
        tuple({*UNMASKED} - {"±10³⁰", "one entry", "one large entry"}), standardizing,
    ),
    "prod": Vector(
        mg.prod, lambda x: [math.prod(x)], ("zero", "one zero", "equal", "±80", "one entry"),
        lambda x: tuple(max(1.0, size(x)) ** (x.size - k) for k in range(3)),
    ),
    "angle": Vector(
        lambda x: mg.arctan2(x[0], x[1]), lambda x: [exact.angle(x[0], x[1])],
        ("an offset", "an offset of opposite sign", "±10⁴", "±80", "±10³⁰", "small", "one zero"),
        lambda x: (4, 1 / size(x), 1 / size(x) ** 2),
    ),
    "gaussian_nll_loss": Vector(
        lambda x: F.gaussian_nll_loss(x, mg.zeros_like(x), mg.ones_like(x), reduction="sum"),
        lambda x: [sum(a * a for a in x) / 2],
        tuple({*UNMASKED} - {"±10³⁰", "one large entry"}),
        lambda x: (4 * size(x) ** 2, size(x), 1),
    ),
}  # fmt: skip


def weights(n, seed):
    """Cotangents, and directions of a second derivative, of either sign."""
    return np.random.default_rng(seed).uniform(0.5, 1.0, n) * np.resize([1.0, -1.0, 1.0], n)


@cache
def of_row(name, row):
    """The exact derivatives of a function of the table in a row of it, and ⟨v, ·⟩ and ⟨u, ·⟩."""
    x = [float(np.float32(a)) for a in ROWS[row]]
    with exact.precise():
        n = len(VECTORS[name].formula([Decimal(a) for a in x]))
    v, u = weights(n, 0).astype("float32"), weights(len(x), 1).astype("float32")
    finite = np.isfinite(x)
    v = np.where(finite, v, 0.0) if n == len(x) else v
    return exact.derivatives(VECTORS[name].formula, x, v, np.where(finite, u, 0.0)), v, u * finite


@everywhere
@both_dtypes
@pytest.mark.parametrize("name", VECTORS)
def test_functions_of_several_numbers(name, dtype, backend):
    case = VECTORS[name]
    for row in case.rows:
        x = np.array(ROWS[row], "float32")
        expected, v, u = of_row(name, row)
        found = derivatives(case.f, tensor(x, dtype, backend, requires_grad=True), v, u)
        assert_right(found, expected, case.scales(x.astype(float)), dtype, row)


# ---------------------------------------------------------------------------------------------
# float32 beside float64
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SCALARS)
@given(data=st.data())
def test_float32_beside_float64_of_one_number(name, data):
    """Both get the same float32 numbers, so that float64 has the exact results but for rounding."""
    case = SCALARS[name]
    low, high = max(min(case.points), -80.0), min(max(case.points), 80.0)
    numbers = st.floats(np.float32(low), np.float32(high), width=32, allow_subnormal=False)
    drawn = data.draw(st.lists(numbers, min_size=1, max_size=8))
    x = np.array([a for a in drawn if abs(a) > 1e-8] or case.points[:1], "float32")
    ones = np.ones(len(x))
    narrow = derivatives(case.f, tensor(x, "float32", requires_grad=True), ones, ones)
    wide = derivatives(case.f, tensor(x, "float64", requires_grad=True), ones, ones)
    scales = [np.maximum(np.abs(y), floor) for y, floor in zip(wide, case.floors, strict=True)]
    assert_right(narrow, wide, scales, "float32", x)


# Those whose scales hold for the rows of their table alone.
OF_THEIR_ROWS = {"angle", "norm of order −1", "normalize, next to nothing"}


@pytest.mark.parametrize("name", sorted(VECTORS.keys() - OF_THEIR_ROWS))
@given(data=st.data())
def test_float32_beside_float64_of_several_numbers(name, data):
    case = VECTORS[name]
    sizes = st.floats(0.125, 30.0, width=32)
    drawn = data.draw(st.lists(sizes, min_size=2, max_size=6, unique=True), label="sizes")
    signs = data.draw(st.lists(st.sampled_from([-1.0, 1.0]), min_size=6, max_size=6))
    offset = data.draw(st.sampled_from([0.0, 0.0, 1e4, -1e4]), label="offset")
    x = np.array([a * sign + offset for a, sign in zip(drawn, signs, strict=False)], "float32")
    x[1:] += x[0] == x[1:]  # not all of them equal after rounding
    n = host(case.f(tensor(x, "float64"))).size
    v, u = weights(n, 0).astype("float32"), weights(len(x), 1).astype("float32")
    narrow = derivatives(case.f, tensor(x, "float32", requires_grad=True), v, u)
    wide = derivatives(case.f, tensor(x, "float64", requires_grad=True), v, u)
    assert_right(narrow, map(np.ravel, wide), case.scales(x.astype(float)), "float32", x)


# ---------------------------------------------------------------------------------------------
# Where there is no derivative, and what is promised there
# ---------------------------------------------------------------------------------------------


@everywhere
@both_dtypes
@pytest.mark.parametrize(
    ("f", "at"),
    [
        (mg.norm, [0.0, 0.0]),
        (lambda x: mg.norm(x, 3), [0.0, -0.0]),
        (lambda x: mg.norm(x, 0.5), [0.0, 0.0]),
        (lambda x: mg.norm(x, -1), [0.0, 3.0]),
        (lambda x: mg.norm(x, -math.inf), [0.0, 3.0]),
        (mg.std, [0.1, 0.1, 0.1]),
        (lambda x: mg.std(x, ddof=1), [12345.678] * 7),
        (mg.var, [0.1, 0.1, 0.1]),
        (lambda x: mg.arctan2(x, x), [0.0, -0.0]),
        (lambda x: mg.arctan2(x, mg.zeros_like(x)), [0.0]),
        (mg.logsumexp, [MASK, MASK]),
    ],
)
def test_no_slope(f, at, dtype, backend):
    """The gradient is exactly 0, and so is its own."""
    x = tensor(at, dtype, backend, requires_grad=True)
    y = f(x)
    (g,) = mg.grad(y.sum(), x, create_graph=True)
    np.testing.assert_array_equal(host(g), np.zeros(len(at)))
    (h,) = mg.grad(g.sum(), x) if g.requires_grad else (mg.zeros_like(x),)
    np.testing.assert_array_equal(host(h), np.zeros(len(at)))


@everywhere
@pytest.mark.parametrize(
    "f",
    [
        lambda x: F.layer_norm(x, 1000),
        lambda x: F.layer_norm(x, 1000, mg.ones_like(x[0]), mg.zeros_like(x[0])),
        lambda x: F.group_norm(x, 2),
        lambda x: F.instance_norm(x[:, None]),
        lambda x: F.batch_norm(x.T, None, None, training=True),
    ],
)
def test_many_large_equal_entries_are_standardized_to_zero(f, backend):
    """A mean off by one unit of rounding would leave ±1 times the square root of 1 / eps."""
    x = tensor(np.full((2, 1000), 12345.678), "float32", backend, requires_grad=True)
    y = f(x)
    np.testing.assert_array_equal(host(y), np.zeros(y.shape))
    (g,) = mg.grad((y * y).sum(), x)
    np.testing.assert_array_equal(host(g), np.zeros(x.shape))


@pytest.mark.parametrize("f", [mg.max, mg.min])
def test_extrema_of_nan_have_the_gradient_nan(f):
    x = mg.tensor([[1.0, math.nan], [2.0, 3.0]], requires_grad=True)
    y = f(x, axis=1)
    (g,) = mg.grad(y.sum(), x)
    assert math.isnan(y.numpy()[0])
    assert np.isnan(g.numpy()[0]).all()
    assert np.isfinite(g.numpy()[1]).all()


@both_dtypes
@pytest.mark.parametrize(
    ("f", "value", "slope"),
    [
        (mg.log, -math.inf, math.inf),
        (mg.sqrt, 0.0, math.inf),
        (mg.reciprocal, math.inf, -math.inf),
        (lambda x: x**0.5, 0.0, math.inf),
        (lambda x: x**-1, math.inf, -math.inf),
    ],
)
def test_poles_are_infinite(f, value, slope, dtype):
    """As NumPy has them, with its warning."""
    x = tensor([0.0], dtype, requires_grad=True)
    with np.errstate(divide="ignore"):
        y = f(x)
        (g,) = mg.grad(y, x)
    assert y.item() == value
    assert g.item() == slope


@everywhere
@both_dtypes
@pytest.mark.parametrize(
    ("f", "x", "t", "value", "slope"),
    [
        (F.l1_loss, 1.0, 1.0, 0.0, 0.0),
        (F.smooth_l1_loss, 2.0, 1.0, 0.5, 1.0),
        (F.smooth_l1_loss, 0.0, 1.0, 0.5, -1.0),
        (lambda x, t: F.smooth_l1_loss(x, t, beta=0.0), 1.0, 1.0, 0.0, 0.0),
        (lambda x, t: F.huber_loss(x, t, delta=2.0), 3.0, 1.0, 2.0, 2.0),
        (lambda x, t: F.huber_loss(x, t, delta=2.0), -1.0, 1.0, 2.0, -2.0),
        (F.hinge_embedding_loss, 1.0, -1.0, 0.0, -1.0),
        (F.hinge_embedding_loss, 0.0, 1.0, 0.0, 1.0),
        (lambda x, t: F.margin_ranking_loss(x, mg.zeros_like(x), t), 0.0, 1.0, 0.0, -1.0),
        (lambda x, t: F.margin_ranking_loss(x, mg.zeros_like(x), t, 0.5), -0.5, -1.0, 0.0, 1.0),
        # −log(1 − x) and −log x at their zeros; and held at 100, where they are constant.
        (F.binary_cross_entropy, 0.0, 0.0, 0.0, 1.0),
        (F.binary_cross_entropy, 1.0, 1.0, 0.0, -1.0),
        (F.binary_cross_entropy, 0.0, 1.0, 100.0, 0.0),
        (F.binary_cross_entropy, 1.0, 0.0, 100.0, 0.0),
    ],
)
def test_losses_at_their_kinks(f, x, t, value, slope, dtype, backend):
    x = tensor([x], dtype, backend, requires_grad=True)
    y = f(x, beside(x, [t]))
    (g,) = mg.grad(y, x)
    assert host(y).item() == value
    assert host(g).item() == slope


@everywhere
@both_dtypes
@pytest.mark.parametrize("f", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_that_are_all_ignored_leave_no_gradient(f, weighted, dtype, backend):
    x = tensor([[1e4, -1e4, 0.0], [1.0, 2.0, 3.0]], dtype, backend, requires_grad=True)
    ignored = mg.tensor(np.array([-100, -100]), backend=backend)
    weight = beside(x, [1.0, 2.0, 3.0]) if weighted else None
    for reduction, value in (("mean", math.nan), ("sum", 0.0)):
        y = f(x, ignored, weight, reduction=reduction)
        np.testing.assert_array_equal(host(y), value)
        np.testing.assert_array_equal(host(mg.grad(y, x)[0]), np.zeros((2, 3)))


@everywhere
def test_a_masked_label_costs_infinitely_much(backend):
    """Its probability is 0; with label smoothing every masked class is such a label."""
    x = tensor([[MASK, 0.0, 0.0]], "float32", backend, requires_grad=True)
    for label, smoothing, slope in ((0, 0.0, [-1.0, 0.5, 0.5]), (1, 0.3, [-0.1, -0.3, 0.4])):
        target = mg.tensor(np.array([label]), backend=backend)
        y = F.cross_entropy(x, target, label_smoothing=smoothing)
        assert host(y) == math.inf
        np.testing.assert_allclose(host(mg.grad(y, x)[0])[0], slope, rtol=1e-6)


@everywhere
def test_kl_div_of_a_target_of_zero(backend):
    """0 log 0 = 0, whatever the prediction, and its gradient is −t."""
    x = tensor([MASK, -1e4, -0.5, 0.0], "float32", backend, requires_grad=True)
    y = F.kl_div(x, beside(x, [0.0, 0.0, 1.0, 0.0]), reduction="none")
    np.testing.assert_array_equal(host(y), [0.0, 0.0, 0.5, 0.0])
    np.testing.assert_array_equal(host(mg.grad(y.sum(), x)[0]), [0.0, 0.0, -1.0, 0.0])


@everywhere
@both_dtypes
def test_gradients_beyond_their_squares_are_clipped(dtype, backend):
    x = tensor([0.0, 0.0], dtype, backend, requires_grad=True)
    (x * beside(x, [3e30, -4e30])).sum().backward()
    total = mg.optim.clip_grad_norm_(x, 1.0)
    np.testing.assert_allclose(host(total), 5e30, rtol=1e-6)
    np.testing.assert_allclose(host(x.grad), [0.6, -0.8], rtol=1e-6)
