"""Pooling, unpooling and resampling against loops that read like their definitions."""

import itertools
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import testing

MAX = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
MEAN = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
UNPOOL = {1: F.max_unpool1d, 2: F.max_unpool2d, 3: F.max_unpool3d}
ADAPTIVE = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}


def pooled_length(n, k, s, p, d, ceil_mode):
    """PyTorch's: with ceil_mode no window may start beyond the input and its padding."""
    rounded = math.ceil if ceil_mode else math.floor
    out = rounded((n + 2 * p - d * (k - 1) - 1) / s) + 1
    return out - 1 if ceil_mode and (out - 1) * s >= n + p else out


def windows(size, g, ceil_mode, dilation):
    """For each output position, the input positions in its window (those outside left out)."""
    axes = list(zip(size, g.kernel, g.stride, g.padding, dilation, strict=True))
    out = [pooled_length(n, k, s, p, d, ceil_mode) for n, k, s, p, d in axes]
    for o in itertools.product(*map(range, out)):
        spans = [
            [i * s - p + j * d for j in range(k) if 0 <= i * s - p + j * d < n]
            for i, (n, k, s, p, d) in zip(o, axes, strict=True)
        ]
        yield o, list(itertools.product(*spans)), out


def adaptive_window(o, size, out):
    """From ⌊i·n/m⌋ to ⌈(i + 1)·n/m⌉ along each axis."""
    axes = zip(o, size, out, strict=True)
    return tuple(slice(i * n // m, math.ceil((i + 1) * n / m)) for i, n, m in axes)


def undilated(g):
    """The geometry without dilation, its padding at most half of the kernel."""
    padding = tuple(min(p, k // 2) for p, k in zip(g.padding, g.kernel, strict=True))
    return replace(g, dilation=(1,) * len(g.size), padding=padding)


@st.composite
def problems(draw):
    g = draw(testing.pool_geometries())
    shape = (g.batch, g.channels[0], *g.size)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.permutation(np.linspace(-3.0, 3.0, max(2, math.prod(shape))))[: math.prod(shape)]
    return g, x.reshape(shape), draw(st.booleans())


@given(problems())
def test_max_pool_and_its_indices(problem):
    g, x, ceil_mode = problem
    y, indices = MAX[len(g.size)](
        mg.tensor(x), g.kernel, g.stride, g.padding, g.dilation, ceil_mode, return_indices=True
    )
    for o, places, out in windows(g.size, g, ceil_mode, g.dilation):
        assert y.shape[2:] == tuple(out)
        for n, c in np.ndindex(x.shape[:2]):
            if not places:  # a dilated window can step over a tiny image
                assert y.numpy()[(n, c, *o)] == -np.inf
                continue
            best = max(places, key=lambda at: x[(n, c, *at)])
            assert y.numpy()[(n, c, *o)] == x[(n, c, *best)]
            assert indices.numpy()[(n, c, *o)] == np.ravel_multi_index(best, g.size)


@given(problems(), st.booleans())
def test_avg_pool(problem, include_pad):
    g, x, ceil_mode = problem
    g = undilated(g)
    options = (g.kernel, g.stride, g.padding, ceil_mode, include_pad)
    y = MEAN[len(g.size)](mg.tensor(x), *options).numpy()
    for o, places, out in windows(g.size, g, ceil_mode, g.dilation):
        assert y.shape[2:] == tuple(out)
        # the padded image ends where its padding ends, also for a partial last window
        spans = [
            min(i * s - p + k, n + p) - (i * s - p)
            for i, n, k, s, p in zip(o, g.size, g.kernel, g.stride, g.padding, strict=True)
        ]
        count = math.prod(spans) if include_pad else len(places)
        total = sum(x[(slice(None), slice(None), *at)] for at in places)
        np.testing.assert_allclose(y[(slice(None), slice(None), *o)], total / count, atol=1e-12)


def test_avg_pool_of_a_partial_window():
    """Positions beyond the padding, which only ceil_mode reaches, never count."""
    x = mg.tensor([[[1.0, 2.0, 3.0, 4.0, 6.0]]])
    y = F.avg_pool1d(x, 2, ceil_mode=True)
    np.testing.assert_array_equal(y.numpy(), [[[1.5, 3.5, 6.0]]])
    y = F.avg_pool1d(x, 4, 3, 1, ceil_mode=True)
    np.testing.assert_array_equal(y.numpy(), [[[6.0 / 4, (3.0 + 4.0 + 6.0) / 4]]])


@given(problems())
@settings(max_examples=25)
def test_pool_gradients_numerically(problem):
    g, x, ceil_mode = problem
    pool = partial(
        MAX[len(g.size)],
        kernel_size=g.kernel,
        stride=g.stride,
        padding=g.padding,
        dilation=g.dilation,
        ceil_mode=ceil_mode,
    )
    assume(np.isfinite(pool(mg.tensor(x)).numpy()).all())
    testing.assert_gradients_agree(lambda t: mg.sin(pool(t)), x)
    g = undilated(g)
    options = (g.kernel, g.stride, g.padding, ceil_mode)
    testing.assert_gradients_agree(lambda t: mg.sin(MEAN[len(g.size)](t, *options)), x)


def test_max_pool_pads_with_minus_infinity():
    """Padding with 0 would win over an image of −1."""
    x = mg.full((1, 1, 3, 3), -1.0, requires_grad=True)
    y = F.max_pool2d(x, 3, stride=1, padding=1)
    np.testing.assert_array_equal(y.numpy(), np.full((1, 1, 3, 3), -1.0))


def test_max_pool_never_takes_its_padding_for_a_winner():
    x = mg.tensor([[[0.0, -1.0, 0.0]]], requires_grad=True)
    y, indices = F.max_pool1d(x, 2, stride=2, padding=1, return_indices=True)
    np.testing.assert_array_equal(indices.numpy(), [[[0, 2]]])
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[1.0, 0.0, 1.0]]])


def test_max_pool_gives_the_gradient_to_the_first_of_equal_winners():
    x = mg.tensor([[[5.0, 5.0, 1.0, 5.0]]], requires_grad=True)
    F.max_pool1d(x, 4).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[1.0, 0.0, 0.0, 0.0]]])


def test_overlapping_windows_accumulate():
    x = mg.tensor([[[1.0, 9.0, 2.0]]], requires_grad=True)
    F.max_pool1d(x, 2, stride=1).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), [[[0.0, 2.0, 0.0]]])


def test_max_pool_passes_nan_on():
    x = mg.tensor([[[1.0, float("nan"), 2.0, 3.0]]])
    y, indices = F.max_pool1d(x, 2, return_indices=True)
    np.testing.assert_array_equal(y.numpy(), [[[np.nan, 3.0]]])
    np.testing.assert_array_equal(indices.numpy(), [[[1, 3]]])


def test_nan_wins_wherever_it_is():
    """Also before and behind numbers and infinities, and in a window of which it is the last."""
    nan, inf = math.nan, math.inf
    x = mg.tensor([[[1.0, nan, 3.0, 2.0, nan, nan, 5.0, -inf, nan]]], requires_grad=True)
    y, indices = F.max_pool1d(x, 3, return_indices=True)
    np.testing.assert_array_equal(indices.numpy(), [[[1, 4, 8]]])
    y.backward(mg.tensor([[[1.0, 2.0, 3.0]]]))
    np.testing.assert_array_equal(x.grad.numpy(), [[[0, 1, 0, 0, 2, 0, 0, 0, 3]]])


def test_a_window_of_minus_infinity_has_a_first_winner():
    x = mg.full((1, 1, 4), -math.inf, requires_grad=True)
    F.max_pool1d(x, 2).backward(mg.ones((1, 1, 2)))
    np.testing.assert_array_equal(x.grad.numpy(), [[[1.0, 0.0, 1.0, 0.0]]])


def test_a_window_of_more_taps_than_a_byte_counts():
    x = np.zeros((1, 1, 20, 17))
    x[0, 0, 18, 16] = 1.0
    t = mg.tensor(x, requires_grad=True)
    y, indices = F.max_pool2d(t, (20, 17), return_indices=True)
    np.testing.assert_array_equal(indices.numpy(), [[[[18 * 17 + 16]]]])
    y.sum().backward()
    np.testing.assert_array_equal(t.grad.numpy(), x)


@pytest.mark.parametrize(
    ("size", "options"),
    [
        ((6, 4), {}),  # windows side by side that cover everything,
        ((7, 5), {}),  # that leave something out,
        ((6, 4), {"padding": 1}),  # that begin in the padding,
        ((6, 4), {"stride": 1}),  # that overlap,
        ((6, 8), {"stride": 2, "kernel_size": 2, "dilation": 2}),  # and that interlock
        ((6, 4), {"stride": 2, "kernel_size": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("pool", ["max", "avg"])
def test_pools_of_either_memory_order(pool, size, options):
    """Channels first or last in memory: the same numbers, each in the order of its input."""
    if pool == "avg" and "dilation" in options:
        return
    f = partial(F.max_pool2d if pool == "max" else F.avg_pool2d, **{"kernel_size": 2, **options})
    x = np.random.default_rng(5).standard_normal((3, 4, *size))
    first = mg.tensor(x, requires_grad=True)
    last = mg.Tensor(np.ascontiguousarray(np.moveaxis(x, 1, -1)), requires_grad=True)
    y, z = f(first), f(last.transpose(0, 3, 1, 2))
    np.testing.assert_array_equal(y.numpy(), z.numpy())
    assert y.array.flags.c_contiguous
    assert z.array.transpose(0, 2, 3, 1).flags.c_contiguous
    y.backward(mg.sin(y.detach()))
    z.backward(mg.sin(z.detach()))
    np.testing.assert_array_equal(first.grad.numpy(), np.moveaxis(last.grad.numpy(), -1, 1))
    if not options and size == (6, 4):
        assert last.grad.array.flags.c_contiguous
    testing.assert_gradients_agree(lambda t: mg.sin(f(t)), x)


@given(problems())
@settings(max_examples=25)
def test_unpool_puts_maxima_back(problem):
    g, x, _ = problem
    g = undilated(g)
    n_axes = len(g.size)
    y, indices = MAX[n_axes](mg.tensor(x), g.kernel, g.stride, g.padding, return_indices=True)
    default = [
        (n - 1) * s - 2 * p + k
        for n, s, p, k in zip(y.shape[2:], g.stride, g.padding, g.kernel, strict=True)
    ]
    assume(all(abs(a - b) < s for a, b, s in zip(g.size, default, g.stride, strict=True)))
    back = UNPOOL[n_axes](y, indices, g.kernel, g.stride, g.padding, output_size=g.size).numpy()
    flat = indices.numpy().reshape(*x.shape[:2], math.prod(indices.shape[2:]))
    wanted = np.zeros(x.shape)
    for n, c in np.ndindex(x.shape[:2]):
        wanted[n, c].reshape(-1)[flat[n, c]] = x[n, c].reshape(-1)[flat[n, c]]
    np.testing.assert_allclose(back, wanted)


def test_unpool_gradients():
    x = np.random.default_rng(0).standard_normal((2, 3, 5, 6))
    y, indices = F.max_pool2d(mg.tensor(x), 2, return_indices=True)
    testing.assert_gradients_agree(
        lambda t: mg.sin(F.max_unpool2d(t, indices, 2, output_size=(5, 6))), y.numpy()
    )


@pytest.mark.parametrize(
    ("size", "out"),
    [((7,), (3,)), ((5, 8), (2, 5)), ((4, 4), (7, 2)), ((3, 4, 5), (2, 3, 1))],
)
def test_adaptive_average(size, out):
    x = np.random.default_rng(1).standard_normal((2, 3, *size))
    y = ADAPTIVE[len(size)](mg.tensor(x), out).numpy()
    for o in np.ndindex(out):
        window = adaptive_window(o, size, out)
        wanted = x[(slice(None), slice(None), *window)].reshape(2, 3, -1).mean(axis=-1)
        np.testing.assert_allclose(y[(slice(None), slice(None), *o)], wanted)
    testing.assert_gradients_agree(lambda t: mg.sin(ADAPTIVE[len(size)](t, out)), x)


def test_adaptive_average_takes_none_and_one():
    x = np.random.default_rng(1).standard_normal((2, 3, 4, 6))
    np.testing.assert_allclose(
        F.adaptive_avg_pool2d(mg.tensor(x), (None, 3)).numpy(), x.reshape(2, 3, 4, 3, 2).mean(-1)
    )
    np.testing.assert_allclose(
        F.adaptive_avg_pool2d(mg.tensor(x), 1).numpy(), x.mean((2, 3), keepdims=True)
    )


@pytest.mark.parametrize("out", [(2, 3), (4, 4), (7, 1)])
def test_adaptive_maximum(out):
    x = np.random.default_rng(2).standard_normal((2, 3, 5, 6))
    y, indices = F.adaptive_max_pool2d(mg.tensor(x), out, return_indices=True)
    for o in np.ndindex(out):
        window = adaptive_window(o, (5, 6), out)
        wanted = x[(slice(None), slice(None), *window)].max(axis=(2, 3))
        np.testing.assert_array_equal(y.numpy()[(slice(None), slice(None), *o)], wanted)
    flat = np.take_along_axis(x.reshape(2, 3, 30), indices.numpy().reshape(2, 3, -1), 2)
    np.testing.assert_array_equal(flat, y.numpy().reshape(2, 3, -1))
    testing.assert_gradients_agree(lambda t: mg.sin(F.adaptive_max_pool2d(t, out)), x)


@pytest.mark.parametrize(
    "options",
    [
        {"scale_factor": 2},
        {"size": (5, 3)},
        {"size": 12},
        {"scale_factor": (1.5, 0.5)},
        {"scale_factor": 2, "mode": "bilinear"},
        {"size": (5, 9), "mode": "bilinear"},
        {"size": (5, 9), "mode": "bilinear", "align_corners": True},
        {"size": (1, 1), "mode": "bilinear", "align_corners": True},
        {"scale_factor": 1.7, "mode": "bilinear"},
    ],
    ids=str,
)
def test_interpolation_agrees_with_pytorch_and_differentiates(options):
    x = np.random.default_rng(3).standard_normal((2, 2, 4, 6))
    testing.assert_gradients_agree(lambda t: mg.sin(F.interpolate(t, **options)), x)
    torch = pytest.importorskip("torch", reason="compares with PyTorch (extra: peers)")
    wanted = torch.nn.functional.interpolate(torch.tensor(x), **options)
    np.testing.assert_allclose(F.interpolate(mg.tensor(x), **options).numpy(), wanted, atol=1e-12)


@pytest.mark.parametrize("factor", [2, 1.7, 0.6])
def test_bilinear_interpolates_a_plane_exactly(factor):
    """A linear function of position is reproduced at half-pixel centres, and held at the border."""
    x = np.arange(6.0)[:, None] * 2.0 + np.arange(5.0) * 3.0
    y = F.interpolate(mg.tensor(x[None, None]), scale_factor=factor, mode="bilinear").numpy()[0, 0]
    assert y.shape == (math.floor(6 * factor), math.floor(5 * factor))
    rows, columns = ((np.arange(n) + 0.5) / factor - 0.5 for n in y.shape)
    np.testing.assert_allclose(
        y, rows.clip(0, 5)[:, None] * 2.0 + columns.clip(0, 4) * 3.0, atol=1e-12
    )


def test_bilinear_with_aligned_corners_interpolates_a_plane_exactly():
    x = np.arange(6.0)[:, None] * 2.0 + np.arange(5.0) * 3.0
    y = F.interpolate(mg.tensor(x[None, None]), (4, 9), mode="bilinear", align_corners=True)
    rows, columns = np.linspace(0, 5, 4), np.linspace(0, 4, 9)
    np.testing.assert_allclose(y.numpy()[0, 0], rows[:, None] * 2.0 + columns * 3.0)


@pytest.mark.parametrize(
    ("options", "new", "scale"),
    [({"size": 5}, 5, 7 / 5), ({"size": 12}, 12, 7 / 12), ({"scale_factor": 1.7}, 11, 1 / 1.7),
     ({"scale_factor": 3}, 21, 1 / 3), ({"scale_factor": 0.4}, 2, 2.5)],
)  # fmt: skip
def test_nearest_copies_the_element_at_the_floor(options, new, scale):
    y = F.interpolate(mg.tensor(np.arange(7.0).reshape(1, 1, 7)), **options)
    np.testing.assert_array_equal(y.numpy()[0, 0], [math.floor(i * scale) for i in range(new)])


def test_pixel_shuffle():
    x = np.arange(2 * 8 * 3 * 2.0).reshape(2, 8, 3, 2)
    y = F.pixel_shuffle(mg.tensor(x), 2).numpy()
    assert y.shape == (2, 2, 6, 4)
    for n, c, h, w in np.ndindex(y.shape):
        assert y[n, c, h, w] == x[n, c * 4 + (h % 2) * 2 + w % 2, h // 2, w // 2]
    testing.assert_gradients_agree(lambda t: mg.sin(F.pixel_shuffle(t, 2)), x / 100)


X = mg.ones((2, 3, 8, 8))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.max_pool2d(X, 9), ValueError, r"max_pool2d: the window \(9, 9\) does not fit"),
        (lambda: F.max_pool2d(X, 2, padding=2), ValueError, "padding wants at most half"),
        (lambda: F.max_pool2d(X, 0), ValueError, "max_pool2d: kernel_size wants at least 1"),
        (lambda: F.max_pool2d(X, 2, stride=-1), ValueError, "max_pool2d: stride wants at least 1"),
        (lambda: F.avg_pool1d(X, 2), ValueError, "avg_pool1d: input wants 3 dimensions"),
        (lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)), ValueError, "adaptive_avg_pool2d: output"),
        (lambda: F.max_unpool2d(X, mg.zeros((2, 3, 8, 7)), 2), ValueError, "max_unpool2d: indices"),
        (lambda: F.max_unpool2d(X, mg.full(X.shape, 999), 2), IndexError, "max_unpool2d: indices"),
        (lambda: F.max_unpool2d(X, mg.full(X.shape, 0), 2, output_size=(9, 9)), ValueError,
         "max_unpool2d: output_size"),
        (lambda: F.interpolate(X), ValueError, "either size or scale_factor"),
        (lambda: F.interpolate(X, 4, mode="bicubic"), ValueError, "mode wants nearest or bilinear"),
        (lambda: F.interpolate(X, 0), ValueError, "size wants at least 1"),
        (lambda: F.interpolate(X, 4, align_corners=True), ValueError, "align_corners"),
        (lambda: F.pixel_shuffle(X, 2), ValueError, "pixel_shuffle: input wants channels"),
    ],
)
def test_wrong_calls_name_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call()
