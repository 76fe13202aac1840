"""Softmax, standardising, and the normalisation layers' functions."""

import numpy as np
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import testing
from minigrad.backend import Backend, over_blocks, row_by_row
from minigrad.ops.normalize import log_softmax, moments, softmax, standardize, standardize_rows


@given(testing.arrays(testing.shapes(min_dims=1)), st.integers(-1, 0))
def test_softmax(x, axis):
    np.testing.assert_allclose(softmax(x, axis=axis), scipy.special.softmax(x, axis))
    np.testing.assert_allclose(
        log_softmax(x, axis=axis), scipy.special.log_softmax(x, axis), atol=1e-14
    )
    testing.assert_gradients_agree(lambda t: mg.sin(softmax(t, axis=axis)), x)
    testing.assert_gradients_agree(lambda t: mg.sin(log_softmax(t, axis=axis)), x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_at_the_edge(dtype):
    x = mg.tensor(
        np.array([[1e4, -1e4, 0.0], [3.0, 3.0, 3.0], [-np.inf, 0.0, -np.inf]], dtype),
        requires_grad=True,
    )
    y = softmax(x)
    np.testing.assert_allclose(y.numpy(), [[1, 0, 0], [1 / 3] * 3, [0, 1, 0]], rtol=1e-6)
    (y * y).sum().backward()
    assert np.isfinite(x.grad.numpy()).all()
    assert x.grad.dtype == dtype
    z = log_softmax(x)
    np.testing.assert_allclose(z.numpy()[0], [0.0, -2e4, -1e4])


@given(testing.arrays(testing.shapes(min_dims=2, min_side=2), distinct=True))
def test_standardize_gives_mean_0_and_variance_1(x):
    y = standardize(x, axis=(0,), eps=0.0)
    np.testing.assert_allclose(y.mean(axis=0), 0.0, atol=1e-9)
    np.testing.assert_allclose(y.var(axis=0), 1.0, rtol=1e-9)
    testing.assert_gradients_agree(lambda t: mg.sin(standardize(t, axis=(0,), eps=0.1)), x)


def test_handed_over_statistics_are_still_functions_of_x():
    """The gradient goes through mean and variance, also where they were worked out beforehand."""
    x = np.random.default_rng(0).standard_normal((5, 3))

    def function(t):
        statistics = (t.array.mean(axis=(0,), keepdims=True), t.array.var(axis=(0,), keepdims=True))
        return mg.sin(standardize(t, axis=(0,), eps=1e-3, statistics=statistics))

    testing.assert_gradients_agree(function, x)


@pytest.fixture
def small_blocks(monkeypatch):
    """A cache that holds no more than an image."""
    monkeypatch.setattr(Backend, "working_set", 1)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("axes", [(0, 2, 3), (2, 3), (1, 2, 3), (0,), (3,)])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("offset", [0.5, 50.0])
def test_standardize_in_blocks_and_memory_orders(axes, last, offset):
    rng = np.random.default_rng(5)
    x = rng.standard_normal((19, 3, 2, 4)) * 2.0 + offset
    if last:
        x = np.ascontiguousarray(np.moveaxis(x, 1, -1)).transpose(0, 3, 1, 2)
    constant = [1 if i == 0 or i in axes else n for i, n in enumerate(x.shape)]
    w, b = rng.standard_normal(constant), rng.standard_normal(constant)
    mean, variance = moments(x, axes)
    np.testing.assert_allclose(mean, x.mean(axes, keepdims=True))
    np.testing.assert_allclose(variance, x.var(axes, keepdims=True))
    expected = (x - mean) / np.sqrt(variance + 0.1)
    plain = standardize(x, axis=axes, eps=0.1)
    y = standardize(x, w, b, axis=axes, eps=0.1)
    np.testing.assert_allclose(plain, expected)
    np.testing.assert_allclose(y, expected * w + b)
    assert y.strides == plain.strides == x.strides
    testing.assert_gradients_agree(lambda t: mg.sin(standardize(t, axis=axes, eps=0.1)), x)
    testing.assert_gradients_agree(
        lambda *args: mg.sin(standardize(*args, axis=axes, eps=0.1)), x, w, b
    )


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("last", [1, 2, 3])
def test_standardize_rows_in_blocks(last):
    rng = np.random.default_rng(7)
    x = rng.standard_normal((5, 3, 2, 4)) * 2.0 + 1.0
    w, b = rng.standard_normal(x.shape[-last:]), rng.standard_normal(x.shape[-last:])
    expected = standardize(x, axis=tuple(range(-last, 0)), eps=0.1) * w + b
    np.testing.assert_allclose(standardize_rows(x, w, b, eps=0.1), expected, rtol=1e-12)
    testing.assert_gradients_agree(lambda *args: mg.sin(standardize_rows(*args, eps=0.1)), x, w, b)


def test_standardize_rows_backward_twice():
    """What the first pass writes over is worked out afresh."""
    rng = np.random.default_rng(8)
    args = [mg.tensor(a, requires_grad=True) for a in rng.standard_normal((3, 4, 4))]
    args[1:] = [mg.tensor(a.numpy()[0], requires_grad=True) for a in args[1:]]
    y = mg.sin(standardize_rows(*args, eps=0.1)).sum()
    y.backward(retain_graph=True)
    once = [a.grad.numpy().copy() for a in args]
    y.backward()
    for a, g in zip(args, once, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), 2 * g, rtol=1e-12, atol=1e-14)


def test_row_by_row_leaves_the_buffer_as_it_was():
    before = np.getbufsize()
    with row_by_row(100):
        assert np.getbufsize() == before
    with row_by_row(1000):
        assert np.getbufsize() == 992
    assert np.getbufsize() == before


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_moments_of_values_far_from_zero_and_of_an_outlier(axes):
    """What the first round makes of them: float32 as right as float64 is."""
    rng = np.random.default_rng(6)
    x = rng.standard_normal((160, 160)).astype("float32")
    outlier = x.copy()
    outlier[:: x.shape[0] // 2, :: x.shape[1] // 2] = 1e4
    squares_overflow = x * np.float32(1e15) + np.float32(1e20)
    for values in (x + np.float32(1e4), x * np.float32(1e-4) - 1, outlier, squares_overflow):
        mean, variance = moments(values, axes)
        wide = values.astype("float64")
        np.testing.assert_allclose(mean, wide.mean(axes, keepdims=True), rtol=2e-7, atol=2e-7)
        np.testing.assert_allclose(variance, wide.var(axes, keepdims=True), rtol=1e-6)


def test_batch_norm_trains_and_then_uses_what_it_kept():
    rng = np.random.default_rng(1)
    x = rng.standard_normal((6, 3, 4)) * 2.0 + 5.0
    weight, bias = mg.tensor(rng.standard_normal(3)), mg.tensor(rng.standard_normal(3))
    mean, var = mg.zeros(3, "float64"), mg.ones(3, "float64")
    y = F.batch_norm(mg.tensor(x), mean, var, weight, bias, training=True, momentum=0.25, eps=0.0)
    centred = x - x.mean((0, 2), keepdims=True)
    standard = centred / x.std((0, 2), keepdims=True)
    wanted = standard * weight.numpy()[:, None] + bias.numpy()[:, None]
    np.testing.assert_allclose(y.numpy(), wanted)
    np.testing.assert_allclose(mean.numpy(), 0.25 * x.mean((0, 2)))
    # the running variance is the unbiased one: 24 values a channel
    np.testing.assert_allclose(var.numpy(), 0.75 + 0.25 * x.var((0, 2)) * 24 / 23)
    kept = mean.numpy().copy(), var.numpy().copy()
    y = F.batch_norm(mg.tensor(x), mean, var, weight, bias, eps=0.5)
    standard = (x - kept[0][:, None]) / np.sqrt(kept[1] + 0.5)[:, None]
    wanted = standard * weight.numpy()[:, None] + bias.numpy()[:, None]
    np.testing.assert_allclose(y.numpy(), wanted)
    np.testing.assert_array_equal(mean.numpy(), kept[0])


@pytest.mark.parametrize(
    "function",
    [
        lambda x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda x, w, b: F.batch_norm(x, mg.zeros(4, "float64"), mg.ones(4, "float64") * 2.0, w, b),
        lambda x, w, b: F.group_norm(x, 2, w, b),
        lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
        lambda x, w, b: F.layer_norm(x.transpose(0, 2, 3, 1), 4, w, b),
        lambda x, w, b: F.local_response_norm(x, 3, 0.5, 0.75, 2.0) * w.sum() + b.sum(),
        lambda x, w, b: F.normalize(x, dim=2) * w.sum() + b.sum(),
        lambda x, w, b: F.normalize(x, p=3.0, dim=1) * w.sum() + b.sum(),
    ],
    ids=["batch, training", "batch, running", "group", "instance", "layer", "response", "L2", "L3"],
)
def test_gradients(function):
    rng = np.random.default_rng(2)
    x, w, b = rng.standard_normal((3, 4, 2, 3)), rng.standard_normal(4), rng.standard_normal(4)
    testing.assert_gradients_agree(lambda *args: mg.sin(function(*args)), x, w, b)


def test_group_norm_between_layer_and_instance_norm():
    x = np.random.default_rng(3).standard_normal((2, 6, 5, 4))
    one = F.group_norm(mg.tensor(x), 1).numpy()
    np.testing.assert_allclose(one, F.layer_norm(mg.tensor(x), (6, 5, 4)).numpy())
    each = F.group_norm(mg.tensor(x), 6).numpy()
    np.testing.assert_allclose(each, F.instance_norm(mg.tensor(x)).numpy())


@pytest.mark.parametrize("size", [1, 2, 3, 5, 9])
def test_local_response_norm_sums_over_neighbours(size):
    x = np.random.default_rng(4).standard_normal((2, 6, 3, 2))
    y = F.local_response_norm(mg.tensor(x), size, alpha=0.3, beta=0.6, k=1.5).numpy()
    for c in range(6):
        # PyTorch pads size // 2 channels before and (size − 1) // 2 after
        near = x[:, max(0, c - size // 2) : c + (size - 1) // 2 + 1]
        wanted = x[:, c] / (1.5 + 0.3 / size * (near**2).sum(axis=1)) ** 0.6
        np.testing.assert_allclose(y[:, c], wanted)


def test_normalize_divides_by_eps_where_the_norm_is_smaller():
    y = F.normalize(mg.tensor([[3.0, 4.0], [0.3, 0.4]]), eps=2.0)
    np.testing.assert_allclose(y.numpy(), [[0.6, 0.8], [0.15, 0.2]], rtol=1e-6)


X = mg.ones((2, 4, 3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.batch_norm(X[:1, :, :1], None, None, training=True), ValueError,
         "batch_norm: training wants more than one value per channel"),
        (lambda: F.batch_norm(X, None, None), ValueError, "training=False wants running"),
        (lambda: F.batch_norm(X, mg.zeros(3), mg.ones(4)), ValueError, "batch_norm: running_mean"),
        (lambda: F.batch_norm(X, None, None, mg.ones(3), training=True), ValueError,
         r"batch_norm: weight wants shape \(4,\), got \(3,\)"),
        (lambda: F.batch_norm(X[0, 0], None, None, training=True), ValueError, "batch_norm: input"),
        (lambda: F.batch_norm(X, None, None, mg.ones(4, "float64"), training=True), TypeError,
         "batch_norm: all tensors want one dtype"),
        (lambda: F.layer_norm(X, 4), ValueError, r"layer_norm: .* normalized_shape \(4,\)"),
        (lambda: F.layer_norm(X, 3, mg.ones(4)), ValueError, "layer_norm: weight wants shape"),
        (lambda: F.group_norm(X, 3), ValueError, "group_norm: .*num_groups=3"),
        (lambda: F.instance_norm(X[..., :1]), ValueError, "wants more than one value"),
        (lambda: F.local_response_norm(X, 0), ValueError, "local_response_norm: size"),
    ],
)
def test_wrong_calls_name_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.parametrize("channels_last", [False, True])
def test_statistics_of_large_images_lose_no_digits(channels_last):
    x = np.random.default_rng(0).standard_normal((2, 512, 512, 3)) + 1.5
    x = np.moveaxis(x.astype("float32"), -1, 1)
    x = x if channels_last else np.ascontiguousarray(x)
    exact = x.astype("float64")
    mean, variance = moments(x, (0, 2, 3))
    np.testing.assert_allclose(mean.ravel(), exact.mean(axis=(0, 2, 3)), rtol=5e-7)
    np.testing.assert_allclose(variance.ravel(), exact.var(axis=(0, 2, 3)), rtol=5e-7)


def test_an_empty_array_is_one_empty_block():
    assert over_blocks(np.zeros((0, 3)), lambda block: block) == [slice(0, 0)]
