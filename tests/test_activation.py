"""Activations, the affine map, dropout, embeddings and one-hot codes."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erf, expit, log_softmax, softmax

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.backend import seeded
from minigrad.testing import shapes
from tests.twins import assert_twins

EXTREMES = np.array([-1e4, -100.0, -20.0, -1.0, -1e-4, 0.0, 1e-4, 1.0, 20.0, 100.0, 1e4])

# Name → (our function, PyTorch's name and arguments, the textbook formula in NumPy).
ELEMENTWISE = {
    "relu": (F.relu, {}, lambda x: np.where(x > 0, x, 0)),
    "leaky_relu": (F.leaky_relu, {"negative_slope": 0.2}, lambda x: np.where(x > 0, x, 0.2 * x)),
    "leaky_default": (F.leaky_relu, {}, lambda x: np.where(x > 0, x, 0.01 * x)),
    "steep": (F.leaky_relu, {"negative_slope": 1.5}, lambda x: np.where(x > 0, x, 1.5 * x)),
    "falling": (F.leaky_relu, {"negative_slope": -0.5}, lambda x: np.where(x > 0, x, -0.5 * x)),
    "elu": (F.elu, {"alpha": 1.7}, lambda x: np.where(x > 0, x, 1.7 * np.expm1(np.minimum(x, 0)))),
    "selu": (
        F.selu,
        {},
        lambda x: (
            1.0507009873554805
            * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))
        ),
    ),
    "gelu": (F.gelu, {}, lambda x: x * (1 + erf(x / math.sqrt(2))) / 2),
    "gelu_tanh": (
        F.gelu,
        {"approximate": "tanh"},
        lambda x: x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    ),
    "silu": (F.silu, {}, lambda x: x * expit(x)),
    "softplus": (F.softplus, {}, lambda x: np.where(x > 20, x, np.logaddexp(0, x))),
    "softplus_beta": (
        F.softplus,
        {"beta": 2.5, "threshold": 3.0},
        lambda x: np.where(2.5 * x > 3, x, np.logaddexp(0, 2.5 * x) / 2.5),
    ),
    "softsign": (F.softsign, {}, lambda x: x / (1 + np.abs(x))),
    "sigmoid": (F.sigmoid, {}, expit),
    "logsigmoid": (F.logsigmoid, {}, lambda x: -np.logaddexp(0, -x)),
    "tanh": (F.tanh, {}, np.tanh),
    "hardtanh": (
        F.hardtanh,
        {"min_val": -0.5, "max_val": 2.0},
        lambda x: np.minimum(np.maximum(x, -0.5), 2.0),
    ),
    "threshold": (
        F.threshold,
        {"threshold": 0.3, "value": -2.0},
        lambda x: np.where(x > 0.3, x, -2.0),
    ),
}
names = pytest.mark.parametrize("name", ELEMENTWISE)


def values(shape, seed, scale=2.0):
    return np.random.default_rng(seed).normal(0.0, scale, shape)


seeds = st.integers(0, 2**32 - 1)


@names
@given(shape=shapes(min_side=0), seed=seeds)
def test_elementwise_formulas(name, shape, seed):
    f, options, formula = ELEMENTWISE[name]
    x = values(shape, seed)
    y = f(mg.tensor(x), **options)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.numpy(), formula(x), rtol=1e-12, atol=1e-14)


@names
def test_elementwise_extremes(name):
    """Finite, right and without a warning at ±10⁴ in float32, and so are the gradients."""
    f, options, formula = ELEMENTWISE[name]
    x = mg.tensor(EXTREMES, dtype="float32", requires_grad=True)
    y = f(x, **options)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), formula(EXTREMES), rtol=1e-5, atol=1e-6)
    (g,) = mg.grad(y, x, mg.ones_like(y), create_graph=True)
    step = 1e-6 * np.maximum(1.0, np.abs(EXTREMES))
    slope = (formula(EXTREMES + step) - formula(EXTREMES - step)) / (2 * step)
    smooth = EXTREMES != 0.0
    assert g.dtype == np.float32
    np.testing.assert_allclose(g.numpy()[smooth], slope[smooth], rtol=1e-4, atol=1e-5)
    if g.requires_grad:
        (h,) = mg.grad(g, x, mg.ones_like(y))
        assert np.isfinite(h.numpy()).all()


@names
@given(seed=seeds)
def test_elementwise_gradients(name, seed):
    f, options, _ = ELEMENTWISE[name]
    x = values((2, 3), seed)
    for kink in (-0.5, 0.0, 0.3, 1.2, 2.0, 20.0):
        x = np.where(np.abs(x - kink) < 1e-2, x + 0.05, x)
    x = mg.tensor(x, requires_grad=True)
    assert mg.gradcheck(lambda x: f(x, **options), x, atol=1e-7)
    if f not in (F.relu, F.leaky_relu, F.hardtanh, F.threshold):  # whose second derivative is 0
        assert mg.gradgradcheck(lambda x: f(x, **options), x, atol=1e-7)


@names
@given(shape=shapes(), seed=seeds)
def test_elementwise_as_pytorch(name, shape, seed):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    f, options, _ = ELEMENTWISE[name]
    theirs = getattr(torch.nn.functional, f.__name__)
    assert_twins(
        lambda x: f(x, **options), lambda x: theirs(x, **options), [values(shape, seed)], seed=seed
    )


KINKS = [
    (lambda x: F.relu(x), 0.0, 0.0),
    (lambda x: F.leaky_relu(x, 0.25), 0.0, 0.25),
    (lambda x: F.elu(x, 1.5), 0.0, 1.5),
    (lambda x: F.selu(x), 0.0, 1.0507009873554805 * 1.6732632423543772),
    (lambda x: F.softsign(x), 0.0, 1.0),
    (lambda x: F.hardtanh(x), -1.0, 0.0),
    (lambda x: F.hardtanh(x), 1.0, 0.0),
    (lambda x: F.threshold(x, 0.5, 7.0), 0.5, 0.0),
    (lambda x: F.prelu(x, mg.tensor([0.25], dtype="float64")), 0.0, 0.25),
]


@pytest.mark.parametrize(("f", "at", "slope"), KINKS)
def test_subgradients_at_kinks(f, at, slope):
    x = mg.tensor([at], dtype="float64", requires_grad=True)
    (g,) = mg.grad(f(x).sum(), x)
    assert g.item() == pytest.approx(slope, rel=1e-15)


@names
def test_subgradients_at_kinks_as_pytorch(name):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    f, options, _ = ELEMENTWISE[name]
    at = np.array([-1.0, -0.5, 0.0, 0.3, 1.2, 2.0, 8.0])
    x = mg.tensor(at, requires_grad=True)
    t = torch.tensor(at, requires_grad=True)
    f(x, **options).sum().backward()
    getattr(torch.nn.functional, f.__name__)(t, **options).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), t.grad.numpy(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("slope", [0.01, 0.1, 0.2, 0.3])
def test_leaky_relu_passes_positive_gradients_exactly(slope):
    x = mg.tensor(np.ones(1000), dtype="float32", requires_grad=True)
    g = np.random.default_rng(0).standard_normal(1000).astype("float32")
    (found,) = mg.grad(F.leaky_relu(x, slope), x, g)
    np.testing.assert_array_equal(found.numpy(), g)


@given(seed=seeds, shape=shapes(min_dims=2), per_channel=st.booleans())
def test_prelu(seed, shape, per_channel):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    weight = values((shape[1] if per_channel else 1,), seed + 1)
    assert_twins(F.prelu, torch.nn.functional.prelu, [values(shape, seed), weight], seed=seed)


def test_prelu_of_a_number_is_a_number():
    y = F.prelu(mg.tensor(-2.0), mg.tensor([0.5]))
    assert y.shape == ()
    assert y.item() == -1.0


def test_prelu_of_channels():
    x = mg.tensor([[-1.0, -1.0, 2.0], [-4.0, 3.0, -2.0]])
    y = F.prelu(x, mg.tensor([0.5, 0.25, 2.0]))
    np.testing.assert_array_equal(y.numpy(), [[-0.5, -0.25, 2.0], [-2.0, 3.0, -4.0]])


# ---------------------------------------------------------------------------------------------
# Softmax and the affine map
# ---------------------------------------------------------------------------------------------


@given(shape=shapes(min_dims=1), seed=seeds, data=st.data())
def test_softmax(shape, seed, data):
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = values(shape, seed)
    y = F.softmax(mg.tensor(x), dim)
    np.testing.assert_allclose(y.numpy(), softmax(x, axis=dim), rtol=1e-12)
    y = F.log_softmax(mg.tensor(x), dim=dim)
    np.testing.assert_allclose(y.numpy(), log_softmax(x, axis=dim), rtol=1e-12, atol=1e-14)


@given(shape=shapes(min_dims=1), seed=seeds, data=st.data())
def test_softmax_as_pytorch(shape, seed, data):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    for ours, theirs in (
        (F.softmax, torch.nn.functional.softmax),
        (F.log_softmax, torch.nn.functional.log_softmax),
    ):
        assert_twins(lambda x, f=ours: f(x, dim), lambda x, f=theirs: f(x, dim),
                     [values(shape, seed)], seed=seed)  # fmt: skip


def test_softmax_extremes():
    x = mg.tensor([[1e4, 0.0, -1e4], [1e4, 1e4, 1e4]], dtype="float32", requires_grad=True)
    third = 1.0 / 3.0
    np.testing.assert_allclose(F.softmax(x, 1).numpy(), [[1, 0, 0], [third, third, third]], 1e-6)
    y = F.log_softmax(x, 1)
    np.testing.assert_allclose(y.numpy(), [[0, -1e4, -2e4], [-math.log(3)] * 3], rtol=1e-6)
    (g,) = mg.grad(y.sum(), x)
    assert np.isfinite(g.numpy()).all()


@given(lead=shapes(max_dims=3, min_side=0), n=st.integers(1, 4), m=st.integers(1, 4),
       bias=st.booleans(), seed=seeds)  # fmt: skip
def test_linear(lead, n, m, bias, seed):
    x, w, b = values((*lead, n), seed), values((m, n), seed + 1), values((m,), seed + 2)
    y = F.linear(mg.tensor(x), mg.tensor(w), mg.tensor(b) if bias else None)
    np.testing.assert_allclose(y.numpy(), x @ w.T + (b if bias else 0.0), rtol=1e-12, atol=1e-13)


@given(lead=shapes(max_dims=2), bias=st.booleans(), seed=seeds)
def test_linear_as_pytorch(lead, bias, seed):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    arrays = [values((*lead, 3), seed), values((2, 3), seed + 1)]
    arrays += [values((2,), seed + 2)] if bias else []
    assert_twins(F.linear, torch.nn.functional.linear, arrays, seed=seed)


def test_linear_weight_gradient_lies_in_memory_as_the_weight():
    x, w = mg.tensor(values((4, 3), 0)), mg.tensor(values((2, 3), 1), requires_grad=True)
    F.linear(x, w).sum().backward()
    assert w.grad.array.flags.c_contiguous


# ---------------------------------------------------------------------------------------------
# Dropout
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_mean(p, dtype):
    x = mg.ones((200, 500), dtype=dtype, requires_grad=True)
    with seeded(3):
        y = F.dropout(x, p)
    kept = y.numpy() != 0.0
    deviation = math.sqrt(p * (1 - p) / x.size)
    assert y.dtype == dtype
    assert abs(kept.mean() - (1 - p)) < 5 * deviation
    np.testing.assert_allclose(y.numpy()[kept], 1 / (1 - p), rtol=1e-6)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.numpy())


def test_dropout_is_seeded():
    x = mg.ones((50,))
    with seeded(1):
        first = F.dropout(x).numpy()
    with seeded(1):
        again = F.dropout(x).numpy()
    with seeded(2):
        other = F.dropout(x).numpy()
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


@pytest.mark.parametrize("f", [F.dropout, F.dropout2d])
def test_dropout_at_its_ends(f):
    x = mg.tensor(values((2, 3, 2, 2), 0))
    assert f(x, 0.5, training=False) is x
    np.testing.assert_array_equal(f(x, 0.0).numpy(), x.numpy())
    np.testing.assert_array_equal(f(x, 1.0).numpy(), np.zeros(x.shape))


def test_dropout2d_drops_whole_channels():
    with seeded(0):
        y = F.dropout2d(mg.ones((40, 30, 2, 3)), 0.25).numpy()
    channels = y.reshape(40, 30, 6)
    assert (channels == channels[..., :1]).all()
    kept = channels[..., 0] != 0.0
    assert 0.7 < kept.mean() < 0.8
    assert (kept.any(axis=1) & ~kept.all(axis=1)).all()  # each channel of an image by itself
    assert set(np.unique(channels)) == {np.float32(0), np.float32(1 / 0.75)}


# ---------------------------------------------------------------------------------------------
# Integers as vectors
# ---------------------------------------------------------------------------------------------


@given(shape=shapes(min_side=0), n=st.integers(1, 4), seed=seeds,
       padding=st.sampled_from([None, 0, -1]))  # fmt: skip
def test_embedding(shape, n, seed, padding):
    """A product with one-hot rows; the row of the padding index gets no gradient."""
    ids = np.random.default_rng(seed).integers(0, n, shape)
    table = values((n, 3), seed)
    weight = mg.tensor(table, requires_grad=True)
    y = F.embedding(mg.tensor(ids), weight, padding)
    np.testing.assert_array_equal(y.numpy(), table[ids])
    v = values(y.shape, seed + 1)
    (g,) = mg.grad(y, weight, v)
    expected = np.eye(n)[ids.reshape(-1)].T @ v.reshape(-1, 3)
    if padding is not None:
        expected[padding] = 0.0
    np.testing.assert_allclose(g.numpy(), expected, rtol=1e-12, atol=1e-12)


@given(seed=seeds, padding=st.sampled_from([None, 0, 2, -1]))
def test_embedding_as_pytorch(seed, padding):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ids = np.random.default_rng(seed).integers(0, 4, (2, 5))
    assert_twins(
        lambda w: mg.square(F.embedding(mg.tensor(ids), w, padding)),
        lambda w: torch.nn.functional.embedding(torch.tensor(ids), w, padding) ** 2,
        [values((4, 3), seed)],
        seed=seed,
    )


@given(shape=shapes(min_side=0), seed=seeds)
def test_one_hot(shape, seed):
    ids = np.random.default_rng(seed).integers(0, 5, shape)
    y = F.one_hot(mg.tensor(ids), 5)
    assert y.dtype == np.int64
    np.testing.assert_array_equal(y.numpy(), np.eye(5, dtype=int)[ids])


def test_one_hot_infers_the_classes():
    y = F.one_hot(mg.tensor([0, 2, 1]))
    np.testing.assert_array_equal(y.numpy(), np.eye(3, dtype=int)[[0, 2, 1]])


@given(shape=shapes(min_dims=1), seed=seeds, data=st.data())
def test_cosine_similarity(shape, seed, data):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert_twins(
        lambda a, b: F.cosine_similarity(a, b, dim),
        lambda a, b: torch.nn.functional.cosine_similarity(a, b, dim),
        [values(shape, seed), values(shape, seed + 1)],
        seed=seed,
    )


def test_cosine_similarity_of_known_angles():
    a = mg.tensor([[1.0, 0.0], [1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    b = mg.tensor([[0.0, 3.0], [2.0, 0.0], [-5.0, 0.0], [1.0, 0.0]])
    y = F.cosine_similarity(a, b)
    np.testing.assert_allclose(y.numpy(), [0.0, math.sqrt(0.5), -1.0, 0.0], rtol=1e-6, atol=1e-7)


def test_cosine_similarity_divides_by_eps_where_a_norm_is_smaller():
    y = F.cosine_similarity(mg.tensor([[3.0, 4.0]]), mg.tensor([[0.3, 0.4]]), eps=2.0)
    np.testing.assert_allclose(y.numpy(), [0.6 * 0.15 + 0.8 * 0.2], rtol=1e-6)


@pytest.mark.parametrize("dim", [0, 1, -1, -2])
def test_cosine_similarity_along_an_axis_that_broadcasts(dim):
    x, y = mg.randn(2, 3), mg.randn(3)
    expected = F.cosine_similarity(x, mg.broadcast_to(y, (2, 3)), dim)
    np.testing.assert_allclose(F.cosine_similarity(x, y, dim).numpy(), expected.numpy())
    np.testing.assert_allclose(F.cosine_similarity(y, x, dim).numpy(), expected.numpy())


# ---------------------------------------------------------------------------------------------
# Bad input
# ---------------------------------------------------------------------------------------------

FLOATS = mg.ones((2, 3))
WIDE = mg.ones((2, 3), dtype="float64")
IDS = mg.tensor([0, 1])

BAD = [
    (lambda: F.linear(FLOATS, mg.ones((4, 5))), ValueError, "linear: weight wants 5 input"),
    (lambda: F.linear(FLOATS, mg.ones((3,))), ValueError, "linear: weight wants shape"),
    (lambda: F.linear(FLOATS, FLOATS, mg.ones((3,))), ValueError, r"bias wants shape \(2,\)"),
    (lambda: F.linear(WIDE, FLOATS), TypeError, "linear: .*float64.*float32"),
    (lambda: F.prelu(FLOATS, mg.ones((2,))), ValueError, "prelu: weight wants shape"),
    (lambda: F.gelu(FLOATS, "erf"), ValueError, "gelu: approximate wants .* got 'erf'"),
    (lambda: F.softplus(FLOATS, beta=0.0), ValueError, "softplus: beta"),
    (lambda: F.hardtanh(FLOATS, 1.0, -1.0), ValueError, "hardtanh: wants min_val"),
    (lambda: F.relu(FLOATS, inplace=True), TypeError, "inplace"),
    (lambda: F.softmax(FLOATS, 2), ValueError, "softmax: axis 2 is out of bounds"),
    (lambda: F.log_softmax(IDS, 0), TypeError, "log_softmax: input wants a floating dtype"),
    (lambda: F.dropout(FLOATS, 1.5), ValueError, "dropout: p wants a probability, got 1.5"),
    (lambda: F.dropout(FLOATS, -0.1), ValueError, "dropout: p wants a probability"),
    (lambda: F.dropout(FLOATS, -0.1, training=False), ValueError, "dropout: p wants a probability"),
    (lambda: F.dropout2d(FLOATS), ValueError, r"dropout2d: input wants shape \(n, c, h, w\)"),
    (lambda: F.embedding(mg.tensor([0, 9, 2]), FLOATS), IndexError, "index 9, .* 2 embeddings"),
    (lambda: F.embedding(mg.tensor([0, -1]), FLOATS), IndexError, "index -1, .* 2 embeddings"),
    (lambda: F.embedding(mg.tensor([-7, 3]), FLOATS), IndexError, "index -7, .* 2 embeddings"),
    (lambda: F.embedding(FLOATS, FLOATS), TypeError, "input wants integers, got float32"),
    (lambda: F.embedding(IDS == 0, FLOATS), TypeError, "embedding: input wants integers, got bool"),
    (lambda: F.embedding([0, 1], FLOATS), TypeError, "embedding: input wants a Tensor, got list"),
    (lambda: F.embedding(IDS, mg.ones((3,))), ValueError, "embedding: weight wants shape"),
    (lambda: F.embedding(IDS, FLOATS, 2), ValueError, "embedding: padding_idx .* got 2"),
    (lambda: F.one_hot(IDS, 1), IndexError, "one_hot: tensor has the index 1, .* 1 classes"),
    (lambda: F.one_hot(IDS, 0), ValueError, "one_hot: num_classes wants at least 1, got 0"),
    (lambda: F.one_hot(mg.tensor([-1, 3])), IndexError, "one_hot: tensor has the index -1"),
    (lambda: F.one_hot(mg.zeros((0,), dtype="int64")), ValueError, "one_hot: num_classes"),
    (lambda: F.one_hot(FLOATS), TypeError, "one_hot: tensor wants integers"),
    (lambda: F.cosine_similarity(FLOATS, FLOATS, 2), ValueError, "cosine_similarity: axis 2"),
    (lambda: F.cosine_similarity(FLOATS, mg.ones((2,))), ValueError,
     "cosine_similarity: .* broadcast, got"),
    (lambda: F.cosine_similarity(FLOATS, WIDE), TypeError, "cosine_similarity: .* one dtype"),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
