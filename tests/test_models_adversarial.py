"""Adversarial examples: the attacks against closed forms and bounds, and what they do to LeNet."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.data import TensorDataset
from models.adversarial import (
    ARCHITECTURE,
    BALLS,
    AdversarialTraining,
    attacked,
    fast_gradient_l2,
    fast_gradient_sign,
    input_gradient,
    iterated,
    lengths,
    log_odds_against,
    noise,
    outcome,
    steepest,
    targeted,
    under_attack,
)
from models.data import DATA_SETS, Examples
from models.lenet import LeNet5
from models.training import Progress
from tests import strict

SILENT = Progress("", total=0, unit="", quiet=True)
ATTACKS = {
    "sign": (math.inf, fast_gradient_sign),
    "l2": (2, fast_gradient_l2),
    "iterated": (math.inf, iterated),
    "iterated l2": (2, lambda *given: iterated(*given, norm=2)),
    "targeted": (math.inf, targeted),
    "targeted l2": (2, lambda *given: targeted(*given, norm=2)),
    "noise": (math.inf, lambda network, x, labels, epsilon: noise(x, epsilon)),
    "noise l2": (2, lambda network, x, labels, epsilon: noise(x, epsilon, 2)),
}
seeds = st.integers(0, 2**31)


def small(seed):
    """A network with what a training mode changes, images (6, 1, 4, 4) and labels, in float64."""
    mg.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Tanh(), nn.Dropout(0.5), nn.Flatten(),
        nn.Linear(12, 5),
    )  # fmt: skip
    images = mg.rand(6, 1, 4, 4).astype("float64")
    return network.to("float64"), images, mg.randint(0, 5, (6,))


def linear(seed, d=7):
    """Two classes with the outputs 0 and w · x: the log odds against 0 are w · x, against 1 −w · x.

    Returns the network, w, and images that no change by up to 0.2 takes out of [0, 1].
    """
    rng = np.random.default_rng(seed)
    w = rng.normal(size=d)
    network = nn.Linear(d, 2, bias=False).to("float64")
    network.weight.overwrite(np.stack([np.zeros(d), w]))
    return network, w, mg.tensor(rng.uniform(0.3, 0.7, (4, d)))


# ---------------------------------------------------------------------------------------------
# The gradient with respect to the input
# ---------------------------------------------------------------------------------------------


@given(seed=seeds)
def test_the_log_odds_are_those_of_the_softmax(seed):
    rng = np.random.default_rng(seed)
    z, labels = mg.tensor(rng.normal(size=(5, 4))), mg.tensor(rng.integers(0, 4, 5))
    p = F.softmax(z, 1).numpy()[np.arange(5), labels.numpy()]
    np.testing.assert_allclose(log_odds_against(z, labels).numpy(), np.log((1 - p) / p), atol=1e-12)
    losses = F.cross_entropy(z, labels, reduction="none")
    np.testing.assert_allclose(F.softplus(log_odds_against(z, labels)).numpy(), losses.numpy())


@given(seed=seeds)
def test_their_gradient_points_where_that_of_the_cross_entropy_does(seed):
    network, images, labels = small(seed)
    network.eval()
    x = mg.Tensor(images.array, requires_grad=True)
    losses = F.cross_entropy(network(x), labels, reduction="none")
    (expected,) = mg.grad(losses.sum(), x)
    wrong = -np.expm1(-losses.numpy()).reshape(-1, 1, 1, 1)  # 1 − p
    found = input_gradient(network, images, labels)
    np.testing.assert_allclose(wrong * found.numpy(), expected.numpy(), atol=1e-12)


def test_it_does_not_vanish_where_the_network_is_sure():
    """The factor 1 − p of the other gradient is e⁻²⁰⁰ here, which is 0 in float32."""
    network, w, x = linear(0)
    network.weight.overwrite(np.array([np.zeros(7), 1000.0 * np.sign(w)]))
    network.to("float32")
    x = (0.5 + 0.05 * mg.tensor(np.sign(w)[None])).astype("float32")
    label = mg.tensor([1])
    leaf = mg.Tensor(x.array, requires_grad=True)
    (lost,) = mg.grad(F.cross_entropy(network(leaf), label), leaf)
    assert not lost.numpy().any()
    found = input_gradient(network, x, label).numpy()
    np.testing.assert_allclose(found, -1000.0 * np.sign(w)[None], rtol=1e-6)


@given(seed=seeds)
def test_no_image_counts_for_another(seed):
    network, images, labels = small(seed)
    together = input_gradient(network, images, labels).numpy()
    alone = [
        input_gradient(network, images[i : i + 1], labels[i : i + 1]).numpy() for i in range(6)
    ]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-9, atol=1e-12)


@given(seed=seeds, norm=st.sampled_from([2, math.inf]))
def test_no_direction_is_steeper(seed, norm):
    """v · g is the dual norm of g, which no other v of the unit ball exceeds."""
    rng = np.random.default_rng(seed)
    g = rng.normal(size=(3, 2, 4))
    dual = np.linalg.norm(g.reshape(3, -1), ord=2 if norm == 2 else 1, axis=1)
    v = steepest(mg.tensor(g), norm).numpy()
    np.testing.assert_allclose((v * g).sum((1, 2)), dual)
    assert np.linalg.norm(v.reshape(3, -1), ord=norm, axis=1).max() <= 1.0 + 1e-12
    np.testing.assert_array_equal(steepest(mg.zeros((2, 3)), norm).numpy(), np.zeros((2, 3)))


# ---------------------------------------------------------------------------------------------
# What the network is left with
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
def test_the_network_stays_as_it_was(name):
    network, images, labels = small(0)
    network[1].eval()
    network[5].weight.requires_grad = False
    before = {key: value.numpy().copy() for key, value in network.state_dict().items()}
    modes = [module.training for module in network.modules()]
    attack = ATTACKS[name][1]
    with mg.no_grad():  # which the attacks do not need to be out of
        found = attack(network, images, labels, 0.1)
    assert not found.requires_grad
    assert all(parameter.grad is None for parameter in network.parameters())
    wants = {key: p.requires_grad for key, p in network.named_parameters()}
    assert [key for key, want in wants.items() if not want] == ["5.weight"]
    assert [module.training for module in network.modules()] == modes
    for key, value in network.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[key])


def test_gradients_that_wait_for_an_optimizer_stay():
    network, images, labels = small(0)
    F.cross_entropy(network(images), labels).backward()
    before = [parameter.grad.numpy().copy() for parameter in network.parameters()]
    iterated(network, images, labels, 0.1)
    for parameter, gradient in zip(network.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.grad.numpy(), gradient)


def test_it_is_given_back_after_an_error_too():
    network, _, labels = small(0)
    with pytest.raises(ValueError, match="channels"):
        fast_gradient_sign(network, mg.zeros((6, 2, 4, 4), dtype="float64"), labels, 0.1)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_no_parameter_is_on_the_way():
    network, images, _ = small(0)
    with under_attack(network):
        assert not network(images).requires_grad
        assert not any(module.training for module in network.modules())


# ---------------------------------------------------------------------------------------------
# The changed images
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
@settings(max_examples=15)
@given(seed=seeds, epsilon=st.floats(0.0, 1.5), dtype=st.sampled_from(["float32", "float64"]))
def test_no_change_is_too_large_and_images_stay_images(name, seed, epsilon, dtype):
    network, images, labels = small(seed)
    norm, attack = ATTACKS[name]
    x = mg.clip(images * 1.5 - 0.25, 0.0, 1.0).astype(dtype)  # some pixels are at the border
    found = attack(network.to(dtype), x, labels, epsilon)
    assert found.dtype == np.dtype(dtype)
    assert found.shape == x.shape
    assert found.numpy().min() >= 0.0
    assert found.numpy().max() <= 1.0
    change = found.numpy().astype("float64") - x.numpy()
    sizes = np.linalg.norm(change.reshape(len(x), -1), ord=norm, axis=1)
    assert sizes.max() <= epsilon * (1.0 + 1e-6) + 1e-6


@given(seed=seeds, epsilon=st.floats(0.01, 0.2), right=st.integers(0, 1))
def test_of_a_linear_classifier_the_fast_attacks_are_the_best(seed, epsilon, right):
    """The log odds against the label rise by ε ‖w‖₁ or ε ‖w‖₂, which is the most there is."""
    network, w, x = linear(seed)
    labels = mg.zeros(4, dtype="int64") + right
    before = log_odds_against(network(x), labels).numpy()
    for attack, most in (
        (fast_gradient_sign, np.abs(w).sum()),
        (fast_gradient_l2, np.sqrt((w**2).sum())),
        (iterated, np.abs(w).sum()),
        (lambda *given: iterated(*given, norm=2), np.sqrt((w**2).sum())),
    ):
        found = attack(network, x, labels, epsilon)
        risen = log_odds_against(network(found), labels).numpy() - before
        np.testing.assert_allclose(risen, epsilon * most, rtol=1e-9)


@given(seed=seeds, epsilon=st.floats(0.01, 0.2))
def test_the_sign_is_the_best_among_images_too(seed, epsilon):
    """The largest w · x' with every pixel in [x − ε, x + ε] and in [0, 1], pixel by pixel."""
    network, w, _ = linear(seed)
    x = np.random.default_rng(seed).uniform(0.0, 1.0, (4, 7))
    ends = np.stack([(x - epsilon).clip(0.0, 1.0), (x + epsilon).clip(0.0, 1.0)])
    most = (w * ends).max(0).sum(1)
    found = fast_gradient_sign(network, mg.tensor(x), mg.zeros(4, dtype="int64"), epsilon)
    np.testing.assert_allclose(found.numpy() @ w, most, rtol=1e-9)


@given(seed=seeds, norm=st.sampled_from([2, math.inf]))
def test_noise_is_as_large_as_an_attack_and_goes_nowhere(seed, norm):
    """Its mean over many images is 0, within five standard errors."""
    mg.manual_seed(seed)
    n, d = 500, 40
    x = mg.full((n, d), 0.5)
    change = noise(x, 0.3, norm).numpy() - 0.5
    sizes = np.linalg.norm(change, ord=norm, axis=1)
    np.testing.assert_allclose(sizes, 0.3, rtol=1e-5)
    spread = change.std()
    assert abs(change.mean()) <= 5.0 * spread / math.sqrt(n * d)
    np.testing.assert_allclose(spread, 0.3 if norm == math.inf else 0.3 / math.sqrt(d), rtol=1e-3)
    if norm == math.inf:
        np.testing.assert_allclose(np.abs(change), 0.3, rtol=1e-6)


@settings(max_examples=20)
@given(seed=seeds, norm=st.sampled_from([2, math.inf]))
def test_the_loss_of_the_target_falls_and_that_of_the_label_rises(seed, norm):
    network, images, labels = small(seed)
    x = 0.2 + 0.6 * images

    def losses(found):
        with under_attack(network):
            return F.cross_entropy(network(found), labels, reduction="none").numpy()

    # Steps so small that the network is all but linear along them.
    assert (losses(targeted(network, x, labels, 1e-3, norm)) < losses(x)).all()
    assert (losses(iterated(network, x, labels, 1e-3, norm)) > losses(x)).all()


@pytest.mark.parametrize("norm", [2, math.inf])
def test_more_steps_follow_a_gradient_that_turns(norm):
    """Of z = (0, −(x − c)²) against the label 1, one step passes the summit c, many stay near it,
    inside the ball."""

    class Hill(nn.Module):
        def forward(self, x):
            falls = (x - 0.5) ** 2
            return mg.concatenate([0.0 * falls, -100.0 * falls.sum(1, keepdims=True)], 1)

    x, target = mg.tensor([[0.3]]), mg.tensor([1])
    assert targeted(Hill(), x, target, 0.4, norm, steps=1).item() == pytest.approx(0.7)
    assert abs(targeted(Hill(), x, target, 0.4, norm, steps=100).item() - 0.5) <= 0.01


# ---------------------------------------------------------------------------------------------
# Refusals
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("epsilon", [-0.1, math.nan, math.inf])
def test_a_size_that_is_none_is_refused(name, epsilon):
    network, images, labels = small(0)
    with pytest.raises(ValueError, match=f"epsilon wants a non-negative number, got {epsilon}"):
        ATTACKS[name][1](network, images, labels, epsilon)


def test_other_norms_are_refused():
    network, images, labels = small(0)
    for attack in (iterated, targeted):
        with pytest.raises(ValueError, match="norm wants 2 or inf, got 1"):
            attack(network, images, labels, 0.1, norm=1)
    with pytest.raises(ValueError, match="norm wants 2 or inf, got 3"):
        noise(images, 0.1, 3)


def test_labels_that_fit_no_image_or_no_class_are_refused():
    network, images, _ = small(0)
    with pytest.raises(ValueError, match=r"6 images want 6 labels, got shape \(1,\)"):
        fast_gradient_sign(network, images, mg.tensor([1]), 0.1)
    with pytest.raises(IndexError, match="one_hot"):
        targeted(network, images, mg.tensor([0, 1, 2, 3, 4, 5]), 0.1)


@pytest.mark.parametrize("name", ["epsilon", "radius"])
def test_settings_without_a_size_are_refused(name):
    given = {**ARCHITECTURE.settings["digits"], "seed": 0, name: 0.0}
    with pytest.raises(ValueError, match=f"adversarial: --{name} wants a positive number, got 0"):
        AdversarialTraining(LeNet5(1, 8, 10), some_digits(), SimpleNamespace(**given))


# ---------------------------------------------------------------------------------------------
# Training and measurement
# ---------------------------------------------------------------------------------------------


def some_digits():
    return Examples(*DATA_SETS["digits"].read(), DATA_SETS["digits"].classes)


def training_with(**changes):
    mg.manual_seed(0)
    settings = {**ARCHITECTURE.settings["digits"], "seed": 0, **changes}
    return AdversarialTraining(LeNet5(1, 8, 10), some_digits(), SimpleNamespace(**settings))


def test_a_step_of_the_defence_learns_half_from_each():
    """Its loss is ½ loss(x) + ½ loss(x + ε sign ∇), and the gradients are those of the weights."""
    training = training_with(defence="fgsm", epsilon=0.2)
    network = training.network
    x, labels = (tensor[:8] for tensor in training.train.tensors)
    leaf = mg.Tensor(x.array, requires_grad=True)
    (gradient,) = mg.grad(F.cross_entropy(network(leaf), labels), leaf)
    changed = mg.Tensor((x.numpy() + 0.2 * np.sign(gradient.numpy())).clip(0.0, 1.0))
    parts = [F.cross_entropy(network(images), labels) for images in (x, changed)]
    loss = 0.5 * parts[0] + 0.5 * parts[1]
    expected = mg.grad(loss, list(network.parameters()))
    measured = training.step(x, labels)
    assert measured["train_loss"].item() == pytest.approx(loss.item(), rel=1e-5)
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient.numpy(), rtol=1e-3, atol=1e-6)
    assert network.training


@pytest.mark.parametrize("name", [name for name in ATTACKS if "noise" not in name])
def test_attacks_run_on_a_device_without_waiting_for_it(name):
    network, images, labels = small(0)
    attack = ATTACKS[name][1]
    expected = attack(network, images, labels, 0.1)
    network.to("strict")
    there, targets = images.to("strict"), labels.to("strict")
    with mg.use_backend("strict"), strict.forbid_sync():
        found = attack(network, there, targets, 0.1)
    assert found.backend == "strict"
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


def test_the_defence_learns_on_a_device_without_waiting_for_it():
    with mg.use_backend("strict"):
        training = training_with(defence="fgsm", shift=1)
        training.network.to("strict")
        x, labels = (tensor[:8].to("strict") for tensor in training.train.tensors)
        with strict.forbid_sync():
            measured = training.step(x, labels)
    assert measured["train_loss"].backend == "strict"


def test_an_outcome_counts_what_the_images_have_become():
    network, _, x = linear(1)
    network.weight.overwrite(np.stack([np.full(7, -1.0), np.full(7, 1.0)]))
    data = TensorDataset(x, mg.ones(4, dtype="int64"))  # 1 is right, as all pixels are positive
    assert outcome(network, data).error == 0.0
    assert math.isnan(outcome(network, data).confidence)

    def to_black(network, x, labels, epsilon):
        return -epsilon * (1.0 + 0.0 * x)

    found = outcome(network, data, to_black, 0.1)
    assert found.error == 1.0
    assert found.confidence == pytest.approx(1.0 / (1.0 + math.exp(-1.4)))
    assert found.length == pytest.approx(np.linalg.norm(x.numpy() + 0.1, axis=1).mean())


def test_the_last_batch_may_be_short():
    network, images, labels = small(0)
    data = TensorDataset(images, labels)
    whole = attacked(network, data, iterated, 0.1, batch_size=6).numpy()
    np.testing.assert_allclose(attacked(network, data, iterated, 0.1, batch_size=4).numpy(), whole)


@pytest.fixture(scope="module")
def learned():
    """Both kinds after a few epochs, by the word of their defence."""
    found = {}
    for word in ("none", "fgsm"):
        training = training_with(epochs=12, defence=word)
        for _ in range(12):
            training.epoch(SILENT)
        found[word] = training
    return found


def test_attacks_are_worse_than_noise_and_the_defence_helps(learned):
    plain = learned["none"].evaluate()
    defended = learned["fgsm"].evaluate()
    assert min(plain["test_accuracy"], defended["test_accuracy"]) >= 0.9
    assert plain["noise_error"] <= 0.15
    assert plain["fgsm_error"] >= 0.4
    assert defended["fgsm_error"] <= 0.75 * plain["fgsm_error"]


def test_ten_steps_do_more_than_one(learned):
    training = learned["none"]
    for ball in BALLS:
        size = 0.6 * training.size(ball)
        quiet, once, ten = (
            outcome(training.network, training.test, attack, size).error
            for attack in ball.attacks.values()
        )
        assert quiet < 0.5 * once < once < ten


def test_it_says_and_draws_what_it_measured(tmp_path):
    """With three classes, and a network that knows nothing yet."""
    images, labels = (tensor.numpy() for tensor in some_digits().test.tensors)
    few = np.flatnonzero(labels < 3)[:20]
    table = TensorDataset(images[few], labels[few])
    settings = SimpleNamespace(**ARCHITECTURE.settings["digits"], seed=0)
    data = Examples(table, table, ("zero", "one", "two"))
    training = AdversarialTraining(LeNet5(1, 8, 3), data, settings)
    training.pictures(tmp_path, [{"epoch": 1, "train_loss": 0.1, "test_accuracy": 0.9}])
    text = training.report()
    for words in ("as they are", "noise", "fast gradient", "iterated", "towards each other class"):
        assert words in text
    training.sample(3, tmp_path)
    for name in ("errors", "examples", "targets"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    shown, success = training.steered
    assert shown.shape == (3, 3, 1, 8, 8)
    assert (np.diag(success) == 1.0).all()
    for i in range(3):
        first = table.tensors[0].numpy()[labels[few] == i][0]
        np.testing.assert_array_equal(shown[i, i], first)
        sizes = np.abs(shown[i] - first).max(axis=(1, 2, 3))
        assert np.delete(sizes, i).min() > 0.0
        assert sizes.max() <= settings.epsilon + 1e-6


def test_lengths_are_of_each_image():
    x = mg.tensor(np.arange(12.0).reshape(2, 1, 2, 3))
    expected = np.sqrt((x.numpy() ** 2).sum((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(lengths(x).numpy(), expected)
