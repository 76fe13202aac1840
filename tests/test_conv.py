"""Convolutions against a loop that reads like their definition, and against each other."""

import itertools
import math
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import testing, threads
from minigrad.backend import get_backend
from minigrad.ops import conv as ops

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def naive_conv(x, w, stride, pairs, dilation, groups):
    """Σ w[f,c,k] · x[n, c, o·stride + k·dilation − padding], one number at a time."""
    n, _, *size = x.shape
    f, c_group, *kernel = w.shape
    spatial = zip(size, kernel, stride, dilation, pairs, strict=True)
    out = [(m + sum(p) - d * (k - 1) - 1) // s + 1 for m, k, s, d, p in spatial]
    y = np.zeros((n, f, *out))
    for i, j, *o in itertools.product(range(n), range(f), *map(range, out)):
        group = j // (f // groups)
        for b, *k in itertools.product(range(c_group), *map(range, kernel)):
            at = [o[a] * stride[a] + k[a] * dilation[a] - pairs[a][0] for a in range(len(size))]
            if all(0 <= at[a] < size[a] for a in range(len(size))):
                y[(i, j, *o)] += w[(j, b, *k)] * x[(i, group * c_group + b, *at)]
    return y


@st.composite
def problems(draw):
    g = draw(testing.conv_geometries())
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = rng.standard_normal((g.batch, g.channels[0], *g.size))
    w = rng.standard_normal((g.channels[1], g.channels[0] // g.groups, *g.kernel))
    pairs = tuple((p, p + draw(st.integers(0, 1))) for p in g.padding)
    geometry = {"stride": g.stride, "padding": pairs, "dilation": g.dilation, "groups": g.groups}
    out = ops.output_size(g.size, g.kernel, g.stride, g.dilation, pairs)
    cotangent = rng.standard_normal((g.batch, g.channels[1], *out))
    return g, x, w, cotangent, geometry


@given(problems())
def test_conv_equals_the_definition(problem):
    g, x, w, _, geometry = problem
    wanted = naive_conv(x, w, g.stride, geometry["padding"], g.dilation, g.groups)
    np.testing.assert_allclose(ops.conv(x, w, **geometry), wanted, atol=1e-12)


@given(problems())
def test_the_three_convolutions_are_one_trilinear_form(problem):
    g, x, w, v, geometry = problem
    phi = (ops.conv(x, w, **geometry) * v).sum()
    by_x = (ops.conv_transpose(v, w, size=g.size, **geometry) * x).sum()
    by_w = (ops.conv_weight(x, v, kernel=g.kernel, **geometry) * w).sum()
    np.testing.assert_allclose([by_x, by_w], phi, rtol=1e-10, atol=1e-10)


@given(problems())
def test_conv_equals_im2col_and_a_product(problem):
    """The composed version is a second derivation of values and all gradients."""
    g, x, w, v, geometry = problem
    results = []
    for composed in (False, True):
        a, b = mg.tensor(x, requires_grad=True), mg.tensor(w, requires_grad=True)
        if composed:
            static = {key: geometry[key] for key in ("stride", "padding", "dilation")}
            columns = ops.unfold(a, kernel=g.kernel, **static)
            n, c, places = g.batch, g.channels[0], math.prod(v.shape[2:])
            columns = columns.reshape(n, g.groups, c // g.groups * int(np.prod(g.kernel)), places)
            y = (b.reshape(g.groups, g.channels[1] // g.groups, -1) @ columns).reshape(v.shape)
        else:
            y = ops.conv(a, b, **geometry)
        first = mg.grad(y, [a, b], mg.tensor(v), create_graph=True)
        second = mg.grad(sum((d * d).sum() for d in first), [a, b])
        results.append([y, *first, *second])
    for one, other in zip(*results, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-9)


@given(problems())
@settings(max_examples=25)
def test_convolution_gradients_numerically(problem):
    g, x, w, v, geometry = problem
    testing.assert_gradients_agree(lambda a, b: ops.conv(a, b, **geometry), x, w)
    testing.assert_gradients_agree(
        lambda a, b: ops.conv_transpose(a, b, size=g.size, **geometry), v, w
    )
    testing.assert_gradients_agree(
        lambda a, b: ops.conv_weight(a, b, kernel=g.kernel, **geometry), x, v
    )


@given(problems())
def test_fold_is_the_transpose_of_unfold(problem):
    g, x, _, _, geometry = problem
    static = {key: geometry[key] for key in ("stride", "padding", "dilation")}
    columns = ops.unfold(x, kernel=g.kernel, **static)
    v = np.random.default_rng(0).standard_normal(columns.shape)
    np.testing.assert_allclose(
        (columns * v).sum(), (x * ops.fold(v, size=g.size, **static)).sum(), atol=1e-9
    )


@given(problems(), st.integers(1, 3), st.sampled_from([0, 10**9]))
def test_blocks_threads_and_small_products_do_not_show(problem, workers, small_product):
    g, x, w, v, geometry = problem
    x, v = (np.concatenate([a, -a, 2.0 * a, a + 1.0]) for a in (x, v))
    b = np.random.default_rng(0).standard_normal(len(w))

    def compute():
        return [
            ops.conv(x, w, b, **geometry),
            ops.conv_transpose(v, w, size=g.size, **geometry),
            ops.conv_weight(x, v, kernel=g.kernel, **geometry),
        ]

    whole = compute()
    with pytest.MonkeyPatch.context() as patch:
        host = get_backend("numpy")
        patch.setattr(host, "working_set", x.nbytes * math.prod(g.kernel) // 2)
        patch.setattr(host, "worth_sharing", 0)
        patch.setattr(host, "small_product", small_product)
        patch.setattr(threads, "workers", lambda: workers)
        in_parts = compute()
    for one, other in zip(whole, in_parts, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize("working_set", [1, 10_000])
def test_the_gradient_of_a_kernel_adds_up_blocks_of_images(groups, working_set, monkeypatch):
    monkeypatch.setattr(get_backend("numpy"), "working_set", working_set)
    monkeypatch.setattr(get_backend("numpy"), "worth_sharing", sys.maxsize)
    rng = np.random.default_rng(0)
    x, v = rng.standard_normal((8, 4, 6, 6)), rng.standard_normal((8, 2, 4, 4))
    static = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1)}
    assert len(ops._blocks(x, 4 * 9 * 16)) > 1
    columns = ops.unfold(x, kernel=(3, 3), **static).reshape(8, groups, 4 // groups, 3, 3, 4, 4)
    wanted = np.einsum("ngckloq,ngfoq->gfckl", columns, v.reshape(8, groups, 2 // groups, 4, 4))
    found = ops.conv_weight(x, v, kernel=(3, 3), groups=groups, **static)
    np.testing.assert_allclose(found, wanted.reshape(found.shape), rtol=1e-12)


@pytest.mark.parametrize(("rows_allowed", "rows"), [(200, 144), (50, 48), (23, 0)])
def test_products_take_a_divisor_of_the_places_of_an_image(rows_allowed, rows, monkeypatch):
    x, w = np.arange(864.0).reshape(2, 3, 12, 12), np.arange(108.0).reshape(4, 3, 3, 3)
    one, around = (1, 1), ((1, 1), (1, 1))
    static = {"stride": one, "padding": around, "dilation": one, "groups": 1}
    monkeypatch.setattr(get_backend("numpy"), "small_product", 0)
    whole = ops.conv(x, w, **static)
    monkeypatch.setattr(get_backend("numpy"), "small_product", rows_allowed * w.size)
    assert ops._rows(x, 144, w.size) == rows
    np.testing.assert_array_equal(ops.conv(x, w, **static), whole)  # integers: sums are exact


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("x_order", ["first", "last"])
@pytest.mark.parametrize("g_order", ["first", "last"])
def test_a_kernel_of_one_tap_mixes_the_channels(x_order, g_order, workers, monkeypatch):
    """Σ_c w[f,c] x[n,c,o] and its two transposes, whichever axis the channels lie along."""
    monkeypatch.setattr(get_backend("numpy"), "worth_sharing", 0)
    monkeypatch.setattr(get_backend("numpy"), "working_set", 1000)
    monkeypatch.setattr(threads, "workers", lambda: workers)
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((5, 3, 4, 2)), rng.standard_normal((5, 6, 4, 2))
    w, of_y, of_x = rng.standard_normal((6, 3)), rng.standard_normal(6), rng.standard_normal(3)
    lie = {"first": lambda a: a, "last": lambda a: np.moveaxis(np.moveaxis(a, 1, -1).copy(), -1, 1)}
    at_x, at_g = lie[x_order](x), lie[g_order](g)
    kernel, pairs = w[:, :, None, None], ((0, 0), (0, 0))
    static = {"stride": (1, 1), "padding": pairs, "dilation": (1, 1), "groups": 1}
    for found, formula, arrays in [
        (ops.conv(at_x, kernel, **static), "fc,ncij->nfij", (w, x)),
        (ops.conv_transpose(at_g, kernel, size=(4, 2), **static), "fc,nfij->ncij", (w, g)),
        (ops.conv_weight(at_x, at_g, kernel=(1, 1), **static)[..., 0, 0], "nfij,ncij->fc", (g, x)),
    ]:
        np.testing.assert_allclose(found, np.einsum(formula, *arrays), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        ops.conv(at_x, kernel, of_y, **static) - ops.conv(at_x, kernel, **static),
        np.broadcast_to(of_y[:, None, None], g.shape),
        atol=1e-12,
    )
    with_bias = ops.conv_transpose(at_g, kernel, of_x, size=(4, 2), **static)
    np.testing.assert_allclose(
        with_bias - ops.conv_transpose(at_g, kernel, size=(4, 2), **static),
        np.broadcast_to(of_x[:, None, None], x.shape),
        atol=1e-12,
    )


@pytest.mark.parametrize(("stride", "padding"), [(2, 0), (1, 1), (2, 1)])
def test_a_kernel_of_one_tap_with_stride_or_padding(stride, padding):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 5, 4)), rng.standard_normal((6, 3, 1, 1))
    pairs, spread = ((padding, padding),) * 2, (stride, stride)
    static = {"stride": spread, "padding": pairs, "dilation": (1, 1), "groups": 1}
    y = naive_conv(x, w, spread, pairs, (1, 1), 1)
    v = rng.standard_normal(y.shape)
    np.testing.assert_allclose(ops.conv(x, w, **static), y, atol=1e-12)
    by_x = (ops.conv_transpose(v, w, size=(5, 4), **static) * x).sum()
    by_w = (ops.conv_weight(x, v, kernel=(1, 1), **static) * w).sum()
    np.testing.assert_allclose([by_x, by_w], (y * v).sum(), atol=1e-11)


@given(problems())
def test_scattering_is_the_transpose_of_the_convolution(problem):
    g, x, w, v, geometry = problem
    static = {key: geometry[key] for key in ("stride", "padding", "dilation")}
    b = np.arange(1.0, x.shape[1] + 1.0)
    scattered = np.empty((g.batch, *g.size, x.shape[1]))
    ops._scatter(v, w, b, scattered, g.groups, size=g.size, **static)
    by_x = (np.moveaxis(scattered - b, -1, 1) * x).sum()
    phi = (ops.conv(x, w, **geometry) * v).sum()
    np.testing.assert_allclose(by_x, phi, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("channels", "out", "scatters"), [(3, 1, True), (1, 9, True),
                                                          (32, 30, False)])  # fmt: skip
def test_which_way_a_transposed_convolution_goes(channels, out, scatters, monkeypatch):
    calls = []
    scatter = ops._scatter
    monkeypatch.setattr(ops, "_scatter", lambda *a, **p: calls.append(a) or scatter(*a, **p))
    rng = np.random.default_rng(0)
    w, v = rng.standard_normal((64, channels, 5, 5)), rng.standard_normal((2, 64, out, out))
    x = rng.standard_normal((2, channels, out + 4, out + 4))
    geometry = {"stride": (1, 1), "padding": ((0, 0),) * 2, "dilation": (1, 1), "groups": 1}
    y = ops.conv_transpose(v, w, size=x.shape[2:], **geometry)
    assert bool(calls) == scatters
    np.testing.assert_allclose((y * x).sum(), (ops.conv(x, w, **geometry) * v).sum(), rtol=1e-10)


@given(problems())
def test_a_bias_is_added_everywhere(problem):
    g, x, w, v, geometry = problem
    size = (..., *(None,) * len(g.size))
    for function, args, channels in (
        (ops.conv, (x, w), len(w)),
        (lambda *a, **p: ops.conv_transpose(*a, size=g.size, **p), (v, w), x.shape[1]),
    ):
        b = np.arange(1.0, channels + 1.0)
        wanted = function(*args, **geometry) + b[size]
        np.testing.assert_allclose(function(*args, b, **geometry), wanted, atol=1e-12)


def test_results_lie_in_memory_with_the_channels_last():
    x, w = np.ones((2, 3, 8, 8)), np.ones((4, 3, 3, 3))
    geometry = {"stride": (2, 2), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    y = ops.conv(x, w, **geometry)
    back = ops.conv_transpose(y, w, size=(8, 8), **geometry)
    assert y.transpose(0, 2, 3, 1).flags.c_contiguous
    assert back.transpose(0, 2, 3, 1).flags.c_contiguous
    assert ops.conv_weight(x, y, kernel=(3, 3), **geometry).flags.c_contiguous



@given(testing.conv_geometries(), st.integers(0, 2**32 - 1))
def test_public_convolution_equals_the_definition(g, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((g.batch, g.channels[0], *g.size))
    w = rng.standard_normal((g.channels[1], g.channels[0] // g.groups, *g.kernel))
    b = rng.standard_normal(g.channels[1])
    y = CONV[len(g.size)](
        *map(mg.tensor, (x, w, b)), g.stride, g.padding, g.dilation, g.groups
    ).numpy()
    pairs = [(p, p) for p in g.padding]
    wanted = naive_conv(x, w, g.stride, pairs, g.dilation, g.groups)
    np.testing.assert_allclose(y, wanted + b.reshape(-1, *[1] * len(g.size)), atol=1e-12)


@pytest.mark.parametrize(("stride", "padding", "extra"), [(1, 0, 2), (1, 1, 2), (2, 0, 2)])
def test_output_padding_of_a_stride_or_more(stride, padding, extra):
    """It takes back what `padding` cut off, and then appends zeros."""
    x, w = mg.randn(2, 3, 4), mg.randn(3, 2, 3)
    y = F.conv_transpose1d(x, w, None, stride, padding, extra, dilation=3).numpy()
    whole = F.conv_transpose1d(x, w, None, stride, dilation=3).numpy()
    whole = np.pad(whole, [(0, 0), (0, 0), (0, extra)])
    np.testing.assert_allclose(y, whole[..., padding : padding + y.shape[-1]], rtol=1e-6)


def test_same_padding_with_dilation():
    x, w = np.arange(9.0), np.array([1.0, 10.0, 100.0])
    y = F.conv1d(mg.tensor(x[None, None]), mg.tensor(w[None, None]), padding="same", dilation=2)
    wanted = np.correlate(np.pad(x, 2), [1.0, 0.0, 10.0, 0.0, 100.0], "valid")
    np.testing.assert_array_equal(y.numpy()[0, 0], wanted)


def test_same_and_valid_padding():
    x = mg.tensor(np.arange(10.0).reshape(1, 1, 10))
    w = mg.tensor(np.array([[[1.0, 10.0, 100.0, 1000.0]]]))
    same = F.conv1d(x, w, padding="same")
    assert same.shape == (1, 1, 10)
    np.testing.assert_array_equal(
        same.numpy()[0, 0], np.correlate(np.pad(np.arange(10.0), (1, 2)), w.numpy()[0, 0], "valid")
    )
    np.testing.assert_array_equal(
        F.conv1d(x, w, padding="valid").numpy(), F.conv1d(x, w, padding=0).numpy()
    )


@given(testing.conv_geometries(), st.integers(0, 2**32 - 1))
def test_transposed_convolution_restores_the_size_and_is_the_adjoint(g, seed):
    """⟨conv_transpose(x), v⟩ = ⟨x, conv(v)⟩, whatever the output padding."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((g.batch, g.channels[0], *g.size))
    w = rng.standard_normal((g.channels[0], g.channels[1] // g.groups, *g.kernel))
    spans = zip(g.size, g.kernel, g.stride, g.padding, g.dilation, g.output_padding, strict=True)
    size = [(n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in spans]
    options = {
        "stride": g.stride,
        "padding": g.padding,
        "output_padding": g.output_padding,
        "groups": g.groups,
        "dilation": g.dilation,
    }
    transposed = TRANSPOSED[len(size)]
    if min(size) < 1:
        with pytest.raises(ValueError, match="padding"):
            transposed(mg.tensor(x), mg.tensor(w), **options)
        return
    y = transposed(mg.tensor(x), mg.tensor(w), **options)
    assert y.shape == (g.batch, g.channels[1], *size)
    v = rng.standard_normal(y.shape)
    pairs = [(p, max(p - e, 0)) if e >= s else (p, p) for p, e, s in
             zip(g.padding, g.output_padding, g.stride, strict=True)]
    cut = tuple(slice(0, n - (max(e - p, 0) if e >= s else 0)) for n, p, e, s in
                zip(size, g.padding, g.output_padding, g.stride, strict=True))
    back = naive_conv(v[(..., *cut)], w, g.stride, pairs, g.dilation, g.groups)
    np.testing.assert_allclose((y.numpy() * v).sum(), (x * back).sum(), atol=1e-9)


def test_unbatched_input_and_bias():
    rng = np.random.default_rng(2)
    x, w, b = rng.standard_normal((3, 5, 6)), rng.standard_normal((4, 3, 2, 2)), np.arange(4.0)
    y = F.conv2d(mg.tensor(x), mg.tensor(w), mg.tensor(b))
    assert y.shape == (4, 4, 5)
    whole = F.conv2d(mg.tensor(x[None]), mg.tensor(w)).numpy()[0] + b[:, None, None]
    np.testing.assert_allclose(y.numpy(), whole)
    back = F.conv_transpose2d(mg.tensor(x), mg.tensor(w[:3]), stride=2)
    assert back.shape == (3, 10, 12)


def test_public_unfold_and_fold_have_pytorchs_layout():
    x = mg.tensor(np.arange(2 * 2 * 3 * 4.0).reshape(2, 2, 3, 4))
    columns = F.unfold(x, (2, 3), padding=(0, 1))
    assert columns.shape == (2, 2 * 2 * 3, 2 * 4)
    # window (1, 2) of image 1, channel 0: rows 1-2, columns 1-3
    np.testing.assert_array_equal(
        columns.numpy()[1, :6, 6].reshape(2, 3), x.numpy()[1, 0, 1:3, 1:4]
    )
    counts = F.fold(F.unfold(mg.ones((2, 2, 3, 4)), (2, 3)), (3, 4), (2, 3))
    np.testing.assert_array_equal(
        counts.numpy()[0, 0], np.outer([1, 2, 1], [1, 2, 2, 1])
    )
    assert F.fold(F.unfold(x[0], 2), (3, 4), 2).shape == (2, 3, 4)


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad_modes(mode):
    x = np.random.default_rng(3).standard_normal((2, 3, 4, 5))
    name = {"replicate": "edge", "circular": "wrap"}.get(mode, mode)
    y = F.pad(mg.tensor(x), (1, 2, 3, 0), mode)
    np.testing.assert_array_equal(y.numpy(), np.pad(x, ((0, 0), (0, 0), (3, 0), (1, 2)), name))
    testing.assert_gradients_agree(lambda t: mg.sin(F.pad(t, (1, 2, 3, 0), mode)), x)


def test_pad_cuts_with_negative_lengths():
    x = mg.tensor(np.arange(12.0).reshape(3, 4))
    y = F.pad(x, (-1, 2, 0, -1), value=7.0)
    np.testing.assert_array_equal(y.numpy(), [[1, 2, 3, 7, 7], [5, 6, 7, 7, 7]])


X, W = mg.ones((2, 3, 8, 8)), mg.ones((4, 3, 3, 3))


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: F.conv2d(mg.ones((4, 1, 28, 28)), mg.ones((8, 3, 5, 5))), ValueError,
         r"conv2d: weight wants 3 input channels \(shape \(8, 3, 5, 5\).*input has 1 \(shape"),
        (lambda: F.conv2d(X, W, stride=0), ValueError, "conv2d: stride wants at least 1, got 0"),
        (lambda: F.conv2d(X, W, padding=-1), ValueError, "conv2d: padding wants at least 0"),
        (lambda: F.conv2d(X, W, padding="full"), ValueError, "conv2d: padding .* 'full'"),
        (lambda: F.conv2d(X, W, padding="same", stride=2), ValueError, "conv2d: padding='same'"),
        (lambda: F.conv2d(X, W, dilation=(1, 1, 1)), ValueError, "conv2d: dilation wants an int"),
        (lambda: F.conv2d(X, W, dilation=1.5), TypeError, "conv2d: dilation wants ints"),
        (lambda: F.conv2d(X, W, groups=3), ValueError, "conv2d: 4 output channels .* groups=3"),
        (lambda: F.conv2d(X, mg.ones((4, 3, 9, 9))), ValueError, r"conv2d: kernel spans \(9, 9\)"),
        (lambda: F.conv2d(X, W, mg.ones(3)), ValueError, r"conv2d: bias wants shape \(4,\)"),
        (lambda: F.conv2d(X[0, 0], W), ValueError, "conv2d: input wants 4 dimensions"),
        (lambda: F.conv2d(X, W[0]), ValueError, "conv2d: weight wants 4 dimensions"),
        (lambda: F.conv2d(X.to("float64"), W), TypeError, "conv2d: all tensors want one dtype"),
        (lambda: F.conv2d(X.to("int64"), W), TypeError, "conv2d: input wants a floating dtype"),
        (lambda: F.batch_norm(X, None, None, 1.0), TypeError, "batch_norm: weight wants a Tensor"),
        (lambda: F.conv_transpose2d(X, W), ValueError, "conv_transpose2d: weight wants 4 input"),
        (lambda: F.conv_transpose2d(X, W[:3], output_padding=1), ValueError, "output_padding"),
        (lambda: F.fold(mg.ones((1, 8, 5)), (3, 3), 2), ValueError, "fold: input wants shape"),
        (lambda: F.unfold(X, 9), ValueError, "kernel spans"),
        (lambda: F.pad(X, (1, 2, 3)), ValueError, "pad: pad wants up to 4 pairs"),
        (lambda: F.pad(X, (8, 0), "reflect"), ValueError, "pad: mode 'reflect'"),
        (lambda: F.pad(X, (1, 1), "mirror"), ValueError, "pad: mode wants"),
        (lambda: F.pad(X, (1, 1), "reflect", 1.0), ValueError, "pad: value has no meaning"),
        (lambda: F.conv2d(X, W, border="same"), TypeError, "border"),
    ],
)
def test_wrong_calls_name_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call()
