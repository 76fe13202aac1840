"""Losses: values by hand, limits, PyTorch's values and derivatives, and what is refused."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, softmax

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.testing import shapes
from tests.twins import assert_twins

seeds = st.integers(0, 2**32 - 1)
reductions = st.sampled_from(["mean", "sum", "none"])


def normal(shape, seed):
    return np.random.default_rng(seed).normal(0.0, 1.5, shape)


def probabilities(shape, seed):
    return np.random.default_rng(seed).uniform(0.05, 0.95, shape)


def reduced(losses, reduction):
    return {"mean": np.mean, "sum": np.sum, "none": np.asarray}[reduction](losses)


def signs(shape, seed):
    return np.random.default_rng(seed).choice([-1.0, 1.0], shape)


def huber(d, delta):
    return np.where(np.abs(d) < delta, d**2 / 2, delta * (np.abs(d) - delta / 2))


# Name → (ours, options, draw of input, draw of target, formula).
PAIRS = {
    "mse_loss": (F.mse_loss, {}, normal, normal, lambda x, t: (x - t) ** 2),
    "l1_loss": (F.l1_loss, {}, normal, normal, lambda x, t: np.abs(x - t)),
    "smooth_l1_loss": (
        F.smooth_l1_loss,
        {"beta": 0.7},
        normal,
        normal,
        lambda x, t: huber(x - t, 0.7) / 0.7,
    ),
    "smooth_l1_loss at beta 0": (
        F.smooth_l1_loss,
        {"beta": 0.0},
        normal,
        normal,
        lambda x, t: np.abs(x - t),
    ),
    "huber_loss": (
        F.huber_loss,
        {"delta": 1.3},
        normal,
        normal,
        lambda x, t: huber(x - t, 1.3),
    ),
    "binary_cross_entropy": (
        F.binary_cross_entropy,
        {},
        probabilities,
        probabilities,
        lambda x, t: -t * np.log(x) - (1 - t) * np.log(1 - x),
    ),
    "binary_cross_entropy_with_logits": (
        F.binary_cross_entropy_with_logits,
        {},
        normal,
        probabilities,
        lambda x, t: -t * np.log(expit(x)) - (1 - t) * np.log(expit(-x)),
    ),
    "kl_div": (F.kl_div, {}, normal, probabilities, lambda x, t: t * (np.log(t) - x)),
    "kl_div of logarithms": (
        F.kl_div,
        {"log_target": True},
        normal,
        normal,
        lambda x, t: np.exp(t) * (t - x),
    ),
    "hinge_embedding_loss": (
        F.hinge_embedding_loss,
        {"margin": 0.8},
        normal,
        signs,
        lambda x, t: np.where(t == 1, x, np.maximum(0, 0.8 - x)),
    ),
}
pairs = pytest.mark.parametrize("name", PAIRS)


def pytorchs_binary_cross_entropy(x, t, weight=None, *, reduction):
    """PyTorch's value, composed of its logarithms: in the second derivative of its own function it
    adds 1e-12 to x and to 1 − x, which shows beside 1e-9."""
    losses = -(t * x.log() + (1 - t) * (1 - x).log())
    losses = losses if weight is None else losses * weight
    y = {"mean": losses.mean, "sum": losses.sum, "none": losses.clone}[reduction]()
    import torch

    own = torch.nn.functional.binary_cross_entropy(x, t, weight, reduction=reduction)
    np.testing.assert_allclose(y.numpy(force=True), own.numpy(force=True), rtol=1e-11, atol=1e-13)
    return y


@pairs
@given(shape=shapes(), seed=seeds, reduction=reductions)
def test_formulas(name, shape, seed, reduction):
    f, options, draw_x, draw_t, formula = PAIRS[name]
    x, t = draw_x(shape, seed), draw_t(shape, seed + 1)
    y = f(mg.tensor(x), mg.tensor(t), reduction=reduction, **options)
    assert y.dtype == np.float64
    np.testing.assert_allclose(y.numpy(), reduced(formula(x, t), reduction), rtol=1e-11, atol=1e-13)


@pairs
@given(seed=seeds, reduction=reductions)
def test_gradients(name, seed, reduction):
    f, options, draw_x, draw_t, _ = PAIRS[name]
    x = mg.tensor(draw_x((3, 2), seed), requires_grad=True)
    t = mg.tensor(draw_t((3, 2), seed + 1))
    gap = x.numpy() - t.numpy()
    for kink in (0.0, 0.7, 1.3):
        if (np.abs(np.abs(gap) - kink) < 1e-3).any() or (np.abs(x.numpy() - 0.8) < 1e-3).any():
            return
    assert mg.gradcheck(lambda x: f(x, t, reduction=reduction, **options), x, atol=1e-7)


@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides")  # PyTorch's about kl_div
@pairs
@given(shape=shapes(), seed=seeds, reduction=reductions)
def test_as_pytorch(name, shape, seed, reduction):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    f, options, draw_x, draw_t, _ = PAIRS[name]
    theirs = getattr(torch.nn.functional, f.__name__)
    if f is F.binary_cross_entropy:
        theirs = pytorchs_binary_cross_entropy
    x, t = draw_x(shape, seed), draw_t(shape, seed + 1)
    if f is F.hinge_embedding_loss:  # its target is a sign, not a number
        sign = torch.tensor(t)
        assert_twins(
            lambda x: f(x, mg.tensor(t), reduction=reduction, **options),
            lambda x: theirs(x, sign, reduction=reduction, **options),
            [x],
            seed=seed,
        )
    else:
        assert_twins(
            lambda x, t: f(x, t, reduction=reduction, **options),
            lambda x, t: theirs(x, t, reduction=reduction, **options),
            [x, t],
            seed=seed,
        )


margins = given(
    shape=shapes(), seed=seeds, reduction=reductions, margin=st.sampled_from([0.0, 0.5])
)


@margins
def test_margin_ranking_loss(shape, seed, reduction, margin):
    a, b, t = normal(shape, seed), normal(shape, seed + 1), signs(shape, seed + 2)
    y = F.margin_ranking_loss(*map(mg.tensor, (a, b, t)), margin, reduction=reduction)
    expected = reduced(np.maximum(0, margin - t * (a - b)), reduction)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-14)


@margins
def test_margin_ranking_loss_as_pytorch(shape, seed, reduction, margin):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    t = signs(shape, seed + 2)
    assert_twins(
        lambda a, b: F.margin_ranking_loss(a, b, mg.tensor(t), margin, reduction=reduction),
        lambda a, b: torch.nn.functional.margin_ranking_loss(
            a, b, torch.tensor(t), margin, reduction=reduction
        ),
        [normal(shape, seed), normal(shape, seed + 1)],
        seed=seed,
    )


@pytest.mark.parametrize(
    ("f", "x", "t", "slope"),
    [
        (F.l1_loss, 1.0, 1.0, 0.0),
        (F.smooth_l1_loss, 2.0, 1.0, 1.0),
        (F.huber_loss, 0.0, 1.0, -1.0),
        (F.margin_ranking_loss, 0.5, 0.5, -1.0),
        (F.hinge_embedding_loss, 1.0, -1.0, -1.0),
    ],
)
def test_at_kinks_as_pytorch(f, x, t, slope):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    ours, theirs = mg.tensor([x], requires_grad=True), torch.tensor([x], requires_grad=True)
    if f is F.margin_ranking_loss:
        f(ours, mg.tensor([t]), mg.tensor([1.0])).backward()
        torch.nn.functional.margin_ranking_loss(
            theirs, torch.tensor([t]), torch.tensor([1.0])
        ).backward()
    else:
        f(ours, mg.tensor([t])).backward()
        getattr(torch.nn.functional, f.__name__)(theirs, torch.tensor([t])).backward()
    assert ours.grad.item() == theirs.grad.item() == slope


# ---------------------------------------------------------------------------------------------
# Gaussian
# ---------------------------------------------------------------------------------------------


gaussians = given(
    shape=shapes(min_dims=1),
    seed=seeds,
    reduction=reductions,
    full=st.booleans(),
    form=st.sampled_from(["whole", "one", "missing"]),
)


def draw_gaussians(shape, seed, form):
    """Means, observations and variances, the last axis of these whole, of length one or missing."""
    var = probabilities({"whole": shape, "one": (*shape[:-1], 1), "missing": shape[:-1]}[form], 2)
    return normal(shape, seed), normal(shape, seed + 1), var


@gaussians
def test_gaussian_nll_loss(shape, seed, reduction, full, form):
    x, t, var = draw_gaussians(shape, seed, form)
    wide = var[..., None] if form == "missing" else var
    losses = (np.log(wide) + (x - t) ** 2 / wide + (math.log(2 * math.pi) if full else 0.0)) / 2
    y = F.gaussian_nll_loss(*map(mg.tensor, (x, t, var)), full, reduction=reduction)
    np.testing.assert_allclose(y.numpy(), reduced(losses, reduction), rtol=1e-11, atol=1e-13)


@gaussians
def test_gaussian_nll_loss_as_pytorch(shape, seed, reduction, full, form):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    x, t, var = draw_gaussians(shape, seed, form)
    if form == "missing" and var.shape == shape[1:]:
        return  # PyTorch takes the first axis for the last where their lengths agree
    assert_twins(
        lambda *a: F.gaussian_nll_loss(*a, full, reduction=reduction),
        lambda *a: torch.nn.functional.gaussian_nll_loss(*a, full=full, reduction=reduction),
        [x, t, var],
        seed=seed,
    )


def test_gaussian_nll_loss_holds_small_variances():
    """A variance below eps counts as eps; its gradient is that at eps: it can grow again."""
    x, t = mg.tensor([2.0], dtype="float64"), mg.tensor([0.0], dtype="float64")
    small = mg.tensor([1e-9], dtype="float64", requires_grad=True)
    at_eps = mg.tensor([1e-2], dtype="float64", requires_grad=True)
    found = F.gaussian_nll_loss(x, t, small, eps=1e-2)
    expected = F.gaussian_nll_loss(x, t, at_eps, eps=1e-2)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    found.backward()
    expected.backward()
    assert small.grad.item() == pytest.approx(at_eps.grad.item(), rel=1e-12)
    assert small.grad.item() == pytest.approx((1 / 1e-2 - 4 / 1e-4) / 2)


@pytest.mark.filterwarnings("ignore:invalid value")
def test_gaussian_nll_loss_of_a_negative_variance_is_nan():
    one = mg.ones((1,))
    assert math.isnan(F.gaussian_nll_loss(one, one, -one).item())


# ---------------------------------------------------------------------------------------------
# Two classes
# ---------------------------------------------------------------------------------------------


@given(seed=seeds, reduction=reductions, shape=st.sampled_from([(), (3,), (2, 1), (2, 3)]))
def test_binary_weights(seed, reduction, shape):
    x, t, p = normal((2, 3), seed), probabilities((2, 3), seed + 1), 3 * probabilities((3,), seed)
    w = probabilities(shape, seed + 2)
    losses = w * -(p * t * np.log(expit(x)) + (1 - t) * np.log(expit(-x)))
    y = F.binary_cross_entropy_with_logits(
        *map(mg.tensor, (x, t, w)), reduction=reduction, pos_weight=mg.tensor(p)
    )
    np.testing.assert_allclose(y.numpy(), reduced(losses, reduction), rtol=1e-11)
    losses = w * -(t * np.log(expit(x)) + (1 - t) * np.log(expit(-x)))
    y = F.binary_cross_entropy(*map(mg.tensor, (expit(x), t, w)), reduction=reduction)
    np.testing.assert_allclose(y.numpy(), reduced(losses, reduction), rtol=1e-11)


@given(seed=seeds, reduction=reductions, weight=st.sampled_from([None, (), (3,), (2, 1), (2, 3)]),
       positive=st.sampled_from([None, (1,), (3,)]))  # fmt: skip
def test_binary_weights_as_pytorch(seed, reduction, weight, positive):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    w = None if weight is None else probabilities(weight, seed + 2)
    p = None if positive is None else 3 * probabilities(positive, seed + 3)

    def options(tensor):
        made = {"weight": w, "pos_weight": p}
        return {k: None if v is None else tensor(v) for k, v in made.items()}

    arrays = [normal((2, 3), seed), probabilities((2, 3), seed + 1)]
    name = "binary_cross_entropy_with_logits"
    assert_twins(
        lambda x, t: getattr(F, name)(x, t, reduction=reduction, **options(mg.tensor)),
        lambda x, t: getattr(torch.nn.functional, name)(
            x, t, reduction=reduction, **options(torch.tensor)
        ),
        arrays,
        seed=seed,
    )
    arrays[0] = probabilities((2, 3), seed)
    ours, theirs = options(mg.tensor)["weight"], options(torch.tensor)["weight"]
    assert_twins(
        lambda x, t: F.binary_cross_entropy(x, t, ours, reduction=reduction),
        lambda x, t: pytorchs_binary_cross_entropy(x, t, theirs, reduction=reduction),
        arrays,
        seed=seed,
    )


def test_binary_cross_entropy_at_its_ends():
    """Logarithms stop at −100, as in PyTorch; no warning, and finite gradients."""
    x = mg.tensor([0.0, 0.0, 1.0, 1.0, 1e-44], requires_grad=True)
    t = mg.tensor([0.0, 1.0, 0.0, 1.0, 1.0])
    y = F.binary_cross_entropy(x, t, reduction="none")
    np.testing.assert_array_equal(y.numpy(), np.float32([0, 100, 100, 0, 100]))
    (g,) = mg.grad(y.sum(), x)
    assert np.isfinite(g.numpy()).all()


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("x", [-0.5, 1.5])
def test_binary_cross_entropy_outside_of_probabilities_is_nan(x):
    assert math.isnan(F.binary_cross_entropy(mg.tensor([x]), mg.tensor([0.5])).item())


@pytest.mark.parametrize("weighted", [False, True])
def test_binary_cross_entropy_with_logits_extremes(weighted):
    x = mg.tensor([-1e4, -30.0, 0.0, 30.0, 1e4] * 2, requires_grad=True)
    t = mg.tensor([0.0] * 5 + [1.0] * 5)
    options = {"pos_weight": mg.ones((1,))} if weighted else {}
    y = F.binary_cross_entropy_with_logits(x, t, reduction="none", **options)
    small = math.log1p(math.exp(-30.0))
    expected = [0, small, math.log(2), 30, 1e4, 1e4, 30, math.log(2), small, 0]
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-6)
    (g,) = mg.grad(y.sum(), x)
    np.testing.assert_allclose(g.numpy(), expit(x.numpy()) - t.numpy(), rtol=1e-6, atol=1e-7)


# ---------------------------------------------------------------------------------------------
# Many classes
# ---------------------------------------------------------------------------------------------

class_shapes = st.one_of(
    st.tuples(st.integers(1, 4)),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 3)),
    st.tuples(st.integers(1, 2), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2)),
)


def draw_labels(shape, seed, ignore_index=None):
    """Labels for logits of a shape; some of them to be ignored."""
    rng = np.random.default_rng(seed)
    c = shape[0] if len(shape) == 1 else shape[1]
    labels = np.asarray(rng.integers(0, c, shape[:1] + shape[2:] if len(shape) > 1 else ()))
    if ignore_index is not None:
        labels = np.where(rng.random(labels.shape) < 0.3, ignore_index, labels)
        labels.reshape(-1)[0] = 0
    return labels


def one_hot_of(labels, shape):
    c = shape[0] if len(shape) == 1 else shape[1]
    codes = np.eye(c)[labels]
    return codes if codes.ndim < 3 else np.moveaxis(codes, -1, 1)


@given(shape=class_shapes, seed=seeds, reduction=reductions)
def test_cross_entropy_of_labels(shape, seed, reduction):
    """−log softmax(x) at the label; the same from the label's one-hot code as probabilities."""
    x, labels = normal(shape, seed), draw_labels(shape, seed)
    axis = min(len(shape) - 1, 1)
    codes = one_hot_of(labels, shape)
    expected = reduced(-(log_softmax(x, axis=axis) * codes).sum(axis=axis), reduction)
    y = F.cross_entropy(mg.tensor(x), mg.tensor(labels), reduction=reduction)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-11, atol=1e-13)
    y = F.cross_entropy(mg.tensor(x), mg.tensor(codes), reduction=reduction)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-11, atol=1e-13)
    y = F.nll_loss(mg.tensor(log_softmax(x, axis=axis)), mg.tensor(labels), reduction=reduction)
    np.testing.assert_allclose(y.numpy(), expected, rtol=1e-11, atol=1e-13)


@given(seed=seeds, reduction=reductions, smoothing=st.sampled_from([0.0, 0.1, 1.0]))
def test_cross_entropy_with_every_option(seed, reduction, smoothing):
    """−Σ w_c t_c log softmax(x)_c over smoothed targets t; labels to ignore count for nothing."""
    x, w = normal((4, 3), seed), probabilities((3,), seed + 1)
    labels = draw_labels((4, 3), seed, 7)
    counts = labels != 7
    codes = np.eye(3)[np.where(counts, labels, 0)]
    log_p = log_softmax(x, axis=1)

    def total(t):
        return -(w * ((1 - smoothing) * t + smoothing / 3) * log_p).sum(axis=1)

    def check(y, losses, weight):
        divisor = weight.sum() if reduction == "mean" else 1.0
        expected = losses if reduction == "none" else losses.sum() / divisor
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-11, atol=1e-13)

    tensors = mg.tensor(x), mg.tensor(labels), mg.tensor(w)
    options = {"reduction": reduction, "ignore_index": 7}
    share = (codes @ w) * counts
    y = F.cross_entropy(*tensors, **options, label_smoothing=smoothing)
    check(y, total(codes) * counts, share)
    check(F.nll_loss(mg.tensor(log_p), *tensors[1:], **options),
          -(codes * log_p).sum(axis=1) * share, share)  # fmt: skip
    t = softmax(normal((4, 3), seed + 2), axis=1)
    y = F.cross_entropy(
        tensors[0], mg.tensor(t), tensors[2], reduction=reduction, label_smoothing=smoothing
    )
    check(y, total(t), np.ones(4))


def test_cross_entropy_by_hand():
    x = mg.tensor([[0.0, 0.0], [math.log(3.0), 0.0]], dtype="float64", requires_grad=True)
    y = F.cross_entropy(x, mg.tensor([0, 1]))
    assert y.item() == pytest.approx((math.log(2) + math.log(4)) / 2, rel=1e-14)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), [[-0.25, 0.25], [0.375, -0.375]], rtol=1e-14)


def test_cross_entropy_weights_and_ignored_labels_by_hand():
    """The mean divides by the weights of the labels that count: (2·log 2 + 6·log 2) / (2 + 6)."""
    x = mg.zeros((3, 2), dtype="float64")
    labels = mg.tensor([0, 1, 7])
    weight = mg.tensor([2.0, 6.0], dtype="float64")
    for reduction, expected in (
        ("none", [2 * math.log(2), 6 * math.log(2), 0.0]),
        ("sum", 8 * math.log(2)),
        ("mean", math.log(2)),
    ):
        y = F.cross_entropy(x, labels, weight, ignore_index=7, reduction=reduction)
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-14)


@given(seed=seeds, reduction=reductions)
def test_cross_entropy_gradients(seed, reduction):
    x = mg.tensor(normal((3, 4), seed), requires_grad=True)
    labels = mg.tensor(draw_labels((3, 4), seed))

    def f(x):
        return F.cross_entropy(x, labels, reduction=reduction)

    assert mg.gradcheck(f, x, atol=1e-7)
    assert mg.gradgradcheck(f, x, atol=1e-7)


@given(shape=class_shapes, seed=seeds, reduction=reductions, weighted=st.booleans(),
       ignore_index=st.sampled_from([None, -100, -1, 0, 50]),
       smoothing=st.sampled_from([0.0, 0.1, 1.0]))  # fmt: skip
def test_cross_entropy_as_pytorch(shape, seed, reduction, weighted, ignore_index, smoothing):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    labels = draw_labels(shape, seed, None if ignore_index == 0 else ignore_index)
    c = shape[0] if len(shape) == 1 else shape[1]
    options = {"reduction": reduction, "label_smoothing": smoothing}
    if ignore_index is not None:
        options["ignore_index"] = ignore_index
    w = probabilities((c,), seed + 1) if weighted else None
    if (labels == options.get("ignore_index", -100)).all():
        return  # a mean over nothing; see test_all_ignored_is_nan
    assert_twins(
        lambda x: F.cross_entropy(
            x, mg.tensor(labels), mg.tensor(w) if weighted else None, **options
        ),
        lambda x: torch.nn.functional.cross_entropy(
            x, torch.tensor(labels), torch.tensor(w) if weighted else None, **options
        ),
        [normal(shape, seed)],
        seed=seed,
    )
    del options["label_smoothing"]
    assert_twins(
        lambda x: F.nll_loss(x, mg.tensor(labels), mg.tensor(w) if weighted else None, **options),
        lambda x: torch.nn.functional.nll_loss(
            x, torch.tensor(labels), torch.tensor(w) if weighted else None, **options
        ),
        [normal(shape, seed)],
        seed=seed,
    )


@given(shape=class_shapes, seed=seeds, reduction=reductions, weighted=st.booleans(),
       smoothing=st.sampled_from([0.0, 0.1]))  # fmt: skip
def test_cross_entropy_of_probabilities_as_pytorch(shape, seed, reduction, weighted, smoothing):
    torch = pytest.importorskip("torch", reason="compares with PyTorch")
    axis = min(len(shape) - 1, 1)
    w = probabilities((shape[axis],), seed + 2) if weighted else None
    options = {"reduction": reduction, "label_smoothing": smoothing}
    assert_twins(
        lambda x, t: F.cross_entropy(x, t, mg.tensor(w) if weighted else None, **options),
        lambda x, t: torch.nn.functional.cross_entropy(
            x, t, torch.tensor(w) if weighted else None, **options
        ),
        [normal(shape, seed), softmax(normal(shape, seed + 1), axis=axis)],
        seed=seed,
    )


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_cross_entropy_takes_integers_of_any_width(dtype):
    x = mg.tensor(normal((3, 200), 0))
    labels = [0, 199, 100]
    y = F.cross_entropy(x, mg.tensor(labels, dtype=dtype))
    assert y.item() == pytest.approx(-log_softmax(x.numpy(), 1)[range(3), labels].mean())


def test_cross_entropy_extremes():
    x = mg.tensor([[1e4, -1e4, 0.0]] * 3, requires_grad=True)
    y = F.cross_entropy(x, mg.tensor([0, 1, 2]), reduction="none")
    assert y.dtype == np.float32
    np.testing.assert_allclose(y.numpy(), [0, 2e4, 1e4], rtol=1e-6)
    (g,) = mg.grad(y.sum(), x)
    np.testing.assert_array_equal(g.numpy(), [[0, 0, 0], [1, -1, 0], [1, 0, -1]])


@pytest.mark.parametrize("f", [F.cross_entropy, F.nll_loss])
@pytest.mark.parametrize("weighted", [False, True])
def test_all_ignored_is_nan(f, weighted):
    """As in PyTorch: a mean over nothing is not a number, a sum over nothing is 0."""
    x = mg.zeros((2, 3), requires_grad=True)
    labels = mg.tensor([-100, -100])
    weight = mg.ones((3,)) if weighted else None
    assert math.isnan(f(x, labels, weight).item())
    assert f(x, labels, weight, reduction="sum").item() == 0.0


def test_cross_entropy_backward_twice():
    """What the forward pass keeps for the rule survives the first backward pass."""
    x = mg.tensor(normal((4, 3), 0), requires_grad=True)
    y = F.cross_entropy(x, mg.tensor([0, 1, 2, 0]))
    y.backward(retain_graph=True)
    once = x.grad.numpy().copy()
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * once, rtol=1e-15)


@given(seed=seeds)
def test_kl_div_is_the_divergence(seed):
    """Σ p log(p/q) per sample by "batchmean"; 0 for equal distributions, zeros in p count as 0."""
    p, q = softmax(normal((3, 5), seed), axis=1), softmax(normal((3, 5), seed + 1), axis=1)
    found = F.kl_div(mg.tensor(np.log(q)), mg.tensor(p), reduction="batchmean")
    assert found.item() == pytest.approx((p * np.log(p / q)).sum() / 3, rel=1e-10)
    same = F.kl_div(mg.tensor(np.log(p)), mg.tensor(np.log(p)), reduction="sum", log_target=True)
    assert same.item() == 0.0
    p[:, 0] = 0.0
    terms = F.kl_div(mg.tensor(np.log(q)), mg.tensor(p), reduction="none").numpy()
    np.testing.assert_array_equal(terms[:, 0], 0.0)


# ---------------------------------------------------------------------------------------------
# Modules
# ---------------------------------------------------------------------------------------------

X, T = mg.tensor(normal((4, 3), 0)), mg.tensor(normal((4, 3), 1))
P = mg.tensor(probabilities((4, 3), 2))
SIGNS, LABELS = mg.tensor(signs((4, 3), 3)), mg.tensor([0, 2, 1, 0])
W = mg.tensor([0.5, 1.0, 2.0], dtype="float64")

MODULES = [
    (nn.MSELoss(reduction="sum"), (X, T), F.mse_loss(X, T, reduction="sum")),
    (nn.L1Loss(reduction="sum"), (X, T), F.l1_loss(X, T, reduction="sum")),
    (nn.SmoothL1Loss(beta=0.3), (X, T), F.smooth_l1_loss(X, T, beta=0.3)),
    (nn.HuberLoss("sum", 0.3), (X, T), F.huber_loss(X, T, reduction="sum", delta=0.3)),
    (nn.BCELoss(W, reduction="sum"), (P, P), F.binary_cross_entropy(P, P, W, reduction="sum")),
    (
        nn.BCEWithLogitsLoss(W, pos_weight=3 * W),
        (X, P),
        F.binary_cross_entropy_with_logits(X, P, W, pos_weight=3 * W),
    ),
    (
        nn.CrossEntropyLoss(W, ignore_index=1, label_smoothing=0.2, reduction="sum"),
        (X, LABELS),
        F.cross_entropy(X, LABELS, W, ignore_index=1, label_smoothing=0.2, reduction="sum"),
    ),
    (
        nn.NLLLoss(W, ignore_index=1, reduction="sum"),
        (X, LABELS),
        F.nll_loss(X, LABELS, W, ignore_index=1, reduction="sum"),
    ),
    (
        nn.KLDivLoss(reduction="batchmean", log_target=True),
        (X, T),
        F.kl_div(X, T, reduction="batchmean", log_target=True),
    ),
    (
        nn.GaussianNLLLoss(full=True, eps=0.5, reduction="sum"),
        (X, T, P),
        F.gaussian_nll_loss(X, T, P, True, 0.5, reduction="sum"),
    ),
    (nn.HingeEmbeddingLoss(0.3), (X, SIGNS), F.hinge_embedding_loss(X, SIGNS, 0.3)),
    (nn.MarginRankingLoss(0.3), (X, T, SIGNS), F.margin_ranking_loss(X, T, SIGNS, 0.3)),
]


@pytest.mark.parametrize(("module", "args", "expected"), MODULES)
def test_modules_are_their_functions(module, args, expected):
    assert module(*args).item() == expected.item()


def test_modules_hold_their_weights_as_buffers():
    loss = nn.BCEWithLogitsLoss(mg.ones((2,)), pos_weight=mg.ones((2,)))
    assert list(loss.state_dict()) == ["weight", "pos_weight"]
    assert loss.to("float64").weight.dtype == np.float64
    assert list(nn.CrossEntropyLoss().state_dict()) == []
    assert repr(nn.MSELoss(reduction="sum")) == "MSELoss(reduction='sum')"


@pytest.mark.parametrize("name", [type(module).__name__ for module, _, _ in MODULES])
def test_modules_refuse_unknown_reductions(name):
    with pytest.raises(ValueError, match=f"{name}: reduction wants one of .* got 'average'"):
        getattr(nn, name)(reduction="average")


# ---------------------------------------------------------------------------------------------
# Bad input
# ---------------------------------------------------------------------------------------------

ELEMENTWISE = [
    F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss, F.binary_cross_entropy,
    F.binary_cross_entropy_with_logits, F.kl_div, F.hinge_embedding_loss,
]  # fmt: skip
BY_CLASS = [F.cross_entropy, F.nll_loss]


@pytest.mark.parametrize("f", [*ELEMENTWISE, *BY_CLASS])
def test_unknown_reduction(f):
    target = mg.tensor([0, 0]) if f in BY_CLASS else mg.zeros((2, 2))
    with pytest.raises(ValueError, match=f"{f.__name__}: reduction wants .*'none'.* got 'batch'"):
        f(mg.zeros((2, 2)), target, reduction="batch")


@pytest.mark.parametrize("f", ELEMENTWISE)
def test_shapes_that_would_broadcast(f):
    with pytest.raises(ValueError, match=rf"{f.__name__}: target wants .*\(4, 1\), got \(4,\)"):
        f(mg.zeros((4, 1)), mg.zeros((4,)))


@pytest.mark.parametrize("f", ELEMENTWISE)
def test_mixed_dtypes(f):
    with pytest.raises(TypeError, match=f"{f.__name__}: .*float32.*float64"):
        f(mg.zeros((2,)), mg.zeros((2,), dtype="float64"))
    with pytest.raises(TypeError, match=f"{f.__name__}: target wants a floating dtype, got int64"):
        f(mg.zeros((2,)), mg.tensor([0, 1]))


@pytest.mark.parametrize("f", [*ELEMENTWISE, *BY_CLASS])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_empty_batch(f, reduction):
    target = mg.zeros((0,), dtype="int64") if f in BY_CLASS else mg.zeros((0, 3))
    with pytest.raises(ValueError, match=f"{f.__name__}: input wants at least one element"):
        f(mg.zeros((0, 3)), target, reduction=reduction)


@pytest.mark.parametrize("f", BY_CLASS)
@pytest.mark.parametrize("label", [-1, 3, 1000, -100])
def test_labels_outside_of_the_classes(f, label):
    ignore_index = 5 if label == -100 else -100
    with pytest.raises(IndexError, match=f"{f.__name__}: target .* {label}, .* 3 classes"):
        f(mg.zeros((2, 3)), mg.tensor([1, label]), ignore_index=ignore_index)


LOGITS = mg.zeros((2, 3))
BAD = [
    (lambda: F.cross_entropy(LOGITS, mg.tensor([0])), ValueError, r"target wants shape \(2,\)"),
    (lambda: F.cross_entropy(LOGITS, mg.tensor([[0], [1]])), ValueError, r"target wants shape"),
    (lambda: F.cross_entropy(LOGITS, mg.zeros((2, 4))), ValueError, r"target .*got \(2, 4\)"),
    (lambda: F.cross_entropy(LOGITS, mg.zeros((2,))), ValueError, r"target .*\(2, 3\), got \(2,\)"),
    (lambda: F.cross_entropy(LOGITS, mg.tensor([True, False])), TypeError, "integers, got bool"),
    (lambda: F.cross_entropy(LOGITS, [0, 1]), TypeError, "target wants a Tensor, got list"),
    (lambda: F.cross_entropy(LOGITS, mg.tensor([0, 1]), mg.ones((2,))), ValueError, "weight wants"),
    (lambda: F.cross_entropy(LOGITS, mg.tensor([0, 1]), label_smoothing=1.5), ValueError, "1.5"),
    (lambda: F.cross_entropy(LOGITS, LOGITS, ignore_index=0), ValueError, "ignore_index"),
    (lambda: F.cross_entropy(mg.tensor([[1, 2]]), mg.tensor([0])), TypeError, "floating .* int64"),
    (lambda: F.cross_entropy(mg.tensor(1.0), mg.tensor(0)), ValueError, "input wants shape"),
    (lambda: F.cross_entropy(LOGITS, mg.tensor([0, 1]), average=True), TypeError, "average"),
    (lambda: F.nll_loss(LOGITS, LOGITS), TypeError, "nll_loss: target wants integers, got float32"),
    (lambda: F.huber_loss(LOGITS, LOGITS, delta=0.0), ValueError, "huber_loss: delta .* got 0.0"),
    (lambda: F.smooth_l1_loss(LOGITS, LOGITS, beta=-1.0), ValueError, "smooth_l1_loss: beta"),
    (lambda: F.mse_loss(LOGITS, LOGITS, "sum"), TypeError, "positional"),
    (lambda: F.binary_cross_entropy(LOGITS, LOGITS, mg.ones((4,))), ValueError, "weight wants"),
    (lambda: F.binary_cross_entropy(LOGITS, LOGITS, mg.ones((2, 2, 3))), ValueError, "weight"),
    (
        lambda: F.binary_cross_entropy_with_logits(LOGITS, LOGITS, pos_weight=mg.ones((2,))),
        ValueError,
        "pos_weight wants a shape",
    ),
    (lambda: F.gaussian_nll_loss(LOGITS, LOGITS, mg.ones((3,))), ValueError, "var wants shape"),
    (lambda: F.gaussian_nll_loss(LOGITS, LOGITS, LOGITS, eps=0.0), ValueError, "eps wants"),
    (lambda: F.kl_div(mg.ones(()), mg.ones(()), reduction="batchmean"), ValueError, "batch axis"),
    (
        lambda: F.margin_ranking_loss(LOGITS, mg.zeros((3,)), LOGITS),
        ValueError,
        "margin_ranking_loss: input2 wants the shape of input1",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("call", "error", "message"), BAD)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()
