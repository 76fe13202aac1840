"""The variational autoencoder: its distributions, its bounds, what it learns, what lies between."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

import minigrad as mg
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from minigrad.gradcheck import directional_error, gradcheck
from models import vae as module
from models.architecture import architectures
from models.data import DATA_SETS, DataSet, Examples
from models.run import Run
from models.training import fit, restore
from models.vae import (
    BETAS,
    NETWORKS,
    PLACES,
    VAE,
    PlainAutoencoder,
    VAETraining,
    bits_of,
    bounds,
    divergence,
    drawn,
    log_likelihood,
    pairs,
    samples,
    terms_of,
)
from tests.backends import BACKENDS
from tests.layers import Case

ARCHITECTURE = architectures()["vae"]
each_network = pytest.mark.parametrize("network", NETWORKS)
some_seeds = st.integers(0, 2**32 - 1)


def shaken(network, seed=0, size=0.7):
    """The network in float64, with parameters of a normal distribution."""
    rng = np.random.default_rng(seed)
    network.to("float64")
    for parameter in network.parameters():
        parameter.overwrite(size * rng.normal(size=parameter.shape))
    return network


def tiny(seed=0, code=1, size=0.7, beta=1.0):
    """A VAE of images of four pixels."""
    return shaken(VAE("dense", (1, 2, 2), 3, code, beta), seed, size)


def all_images():
    """Every image of four bits, (16, 1, 2, 2)."""
    rows = np.array(list(itertools.product((0.0, 1.0), repeat=4)))
    return mg.tensor(rows.reshape(-1, 1, 2, 2))


def over_codes(network, function, x):
    """∫ function(z, log p(x | z)) dz, (images,), for codes of one unit."""
    z = np.linspace(-30.0, 30.0, 12_001)
    codes = mg.tensor(z.reshape(-1, 1))
    logits = network.decode(codes).numpy().reshape(-1, 1, 4)
    bits = x.numpy().reshape(1, -1, 4)
    likelihood = (bits * logits - np.logaddexp(0.0, logits)).sum(2)
    return integrate.simpson(function(z[:, None], likelihood), x=z, axis=0)


def evidence(network, x):
    """log p(x) by quadrature."""
    prior = stats.norm.pdf
    return np.log(over_codes(network, lambda z, log_p: prior(z) * np.exp(log_p), x))


def training_of(epochs=2, few=None, **changes):
    """A training of the digits, with the settings of the command, some of them changed."""
    words = {k: v for k, v in changes.items() if k in ARCHITECTURE.choices}
    given_ = {**ARCHITECTURE.defaults("digits", **words), "epochs": epochs, "seed": 0, **changes}
    given_ = SimpleNamespace(**given_)
    data = DATA_SETS["digits"].load("numpy")
    if few:
        parts = (
            TensorDataset(*(t[:few] for t in part.tensors)) for part in (data.train, data.test)
        )
        data = Examples(*parts, data.classes)
    mg.manual_seed(0)
    network = ARCHITECTURE.build(DATA_SETS["digits"], given_)
    return ARCHITECTURE.training(network, data, given_)


def gradient_of(f):
    """The gradient of a function with one scalar output, recorded."""
    return lambda *xs: mg.grad(f(*xs), xs, create_graph=True)


def run_of(training, folder, drawing=False):
    """Train to the end, perhaps without pictures; returns the history."""
    history = []
    if not drawing:
        training.pictures = lambda *_: None
    fit(training, Run.create(folder, {"model": "vae"}), history, quiet=True)
    return history


# -- Distributions --------------------------------------------------------------------------------


@given(mean=st.floats(-5.0, 5.0), log_variance=st.floats(-6.0, 3.0))
def test_the_divergence_is_the_integral_of_a_log_ratio(mean, log_variance):
    deviation = math.exp(0.5 * log_variance)
    q, p = stats.norm(mean, deviation), stats.norm()
    ends = mean - 12.0 * deviation, mean + 12.0 * deviation
    expected, _ = integrate.quad(lambda z: q.pdf(z) * (q.logpdf(z) - p.logpdf(z)), *ends, limit=200)
    found = divergence(mg.tensor(np.array(mean)), mg.tensor(np.array(log_variance))).item()
    assert found == pytest.approx(expected, rel=1e-6, abs=1e-7)
    assert found >= 0.0


def test_draws_have_the_mean_and_the_variance_asked_for():
    mean, log_variance = mg.tensor([-1.0, 2.0]), mg.tensor([-2.0, 1.0])
    rows = mg.zeros((40_000, 1))
    z = drawn(mean + rows, log_variance + rows).numpy()
    np.testing.assert_allclose(z.mean(0), [-1.0, 2.0], atol=0.04)
    np.testing.assert_allclose(z.var(0), np.exp([-2.0, 1.0]), rtol=0.04)


def test_gradients_reach_the_mean_and_the_variance_through_a_draw():
    mean, log_variance = mg.tensor([0.3, -1.0]), mg.tensor([0.5, -0.7])

    def f(mean, log_variance):
        with seeded(3):
            return (drawn(mean, log_variance) ** 2.0).sum()

    leaves = [mg.Tensor(x.numpy().astype("float64"), True) for x in (mean, log_variance)]
    assert gradcheck(f, leaves)


def test_the_probabilities_of_all_images_sum_to_one_and_are_those_of_independent_bits():
    x, logits = all_images(), np.random.default_rng(0).normal(size=(1, 2, 2))
    found = log_likelihood(x, mg.tensor(np.broadcast_to(logits, (16, 1, 2, 2)))).numpy()
    assert np.exp(found).sum() == pytest.approx(1.0, rel=1e-12)
    p = 1.0 / (1.0 + np.exp(-logits))
    expected = stats.bernoulli.logpmf(x.numpy(), p).sum((1, 2, 3))
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_encoder_says_means_and_then_log_variances():
    network, x = tiny(code=2), all_images()
    mean, log_variance = network.posterior(x)
    said = network.encoder(x).numpy()
    np.testing.assert_array_equal(mg.concatenate([mean, log_variance], 1).numpy(), said)
    np.testing.assert_array_equal(network.encode(x).numpy(), mean.numpy())
    assert mean.shape == (16, 2)


# -- Bounds ---------------------------------------------------------------------------------------


def test_weights_are_ratios_of_densities():
    network, x, k = tiny(code=2), all_images()[[3, 5]], 4
    with seeded(1):
        found = network.log_weights(x, k).numpy()
    with seeded(1):
        noise = mg.randn(2, k, 2).numpy().astype("float64")
    mean, log_variance = (said.numpy() for said in network.posterior(x))
    for i, j in itertools.product(range(2), range(k)):
        deviation = np.exp(0.5 * log_variance[i])
        z = mean[i] + deviation * noise[i, j]
        joint = stats.norm.logpdf(z).sum()
        logits = network.decode(mg.tensor(z[None])).numpy().ravel()
        bits = x.numpy()[i].ravel()
        joint += stats.bernoulli.logpmf(bits, 1.0 / (1.0 + np.exp(-logits))).sum()
        expected = joint - stats.norm.logpdf(z, mean[i], deviation).sum()
        assert found[i, j] == pytest.approx(expected, rel=1e-6)


def test_the_probabilities_that_the_tests_integrate_sum_to_one():
    assert np.exp(evidence(tiny(), all_images())).sum() == pytest.approx(1.0, rel=1e-6)


@settings(max_examples=25)
@given(seed=some_seeds)
def test_the_elbo_lies_below_by_the_divergence_of_the_guess_from_the_posterior(seed):
    """log p(x) − ELBO = KL(q(z | x) ‖ p(z | x)), all three by quadrature."""
    network, x = tiny(seed, size=0.4), all_images()  # whose codes are well within the lattice
    mean, log_variance = (said.numpy()[:, 0] for said in network.posterior(x))
    q = stats.norm(mean, np.exp(0.5 * log_variance))
    prior = stats.norm.logpdf
    reconstruction = over_codes(network, lambda z, log_p: q.pdf(z) * log_p, x)
    kl = divergence(*network.posterior(x)).numpy()[:, 0]
    exact = evidence(network, x)

    def apart(z, log_p):
        return q.pdf(z) * (q.logpdf(z) - (prior(z) + log_p - exact))

    gap = over_codes(network, apart, x)
    np.testing.assert_allclose(exact - (reconstruction - kl), gap, atol=1e-6)
    assert (gap > -1e-9).all()


def test_both_estimates_of_the_elbo_have_its_expectation_and_weights_that_of_p():
    """Of log p(x | z) − KL and of log w, and E[w] = p(x): within 5 standard errors."""
    network, x, n = tiny(seed=2), all_images()[[2, 13]], 20_000
    mean, log_variance = (said.numpy()[:, 0] for said in network.posterior(x))
    q = stats.norm(mean, np.exp(0.5 * log_variance))
    reconstruction = over_codes(network, lambda z, log_p: q.pdf(z) * log_p, x)
    kl = divergence(*network.posterior(x)).numpy()[:, 0]
    logs = network.log_weights(x, n).numpy()
    likelihood, kl_by_unit = network.terms(mg.concatenate([x] * n))
    by_terms = (likelihood - kl_by_unit.sum(1)).numpy().reshape(n, 2).T
    for found, expected in (
        (by_terms, reconstruction - kl),
        (logs, reconstruction - kl),
        (np.exp(logs), np.exp(evidence(network, x))),
    ):
        error = found.std(1, ddof=1) / math.sqrt(n)
        assert (np.abs(found.mean(1) - expected) < 5.0 * error).all()
        assert (error < 0.03 * np.abs(expected)).all()


def test_bounds_climb_from_the_elbo_to_the_evidence():
    network, x = tiny(seed=2), all_images()
    counts = (1, 5, 50, 500, 5000)
    found = bounds(network, x, counts)
    exact = evidence(network, x).mean()
    values = [found[k] for k in counts]
    assert values == sorted(values)
    assert exact - values[0] > 0.05
    assert values[-1] == pytest.approx(exact, abs=5e-3)
    mean, log_variance = (said.numpy()[:, 0] for said in network.posterior(x))
    q = stats.norm(mean, np.exp(0.5 * log_variance))
    reconstruction = over_codes(network, lambda z, log_p: q.pdf(z) * log_p, x)
    elbo = (reconstruction - divergence(*network.posterior(x)).numpy()[:, 0]).mean()
    assert values[0] == pytest.approx(elbo, abs=2e-2)


def test_all_bounds_are_the_evidence_where_the_guess_is_the_posterior():
    """If the decoder does not look at the code, p(z | x) = p(z)."""
    network, x = tiny(), all_images()
    for layer in (network.encoder[-1], network.decoder[0]):
        for parameter in layer.parameters():
            parameter.overwrite(0.0 * parameter.array)
    exact = evidence(network, x)
    np.testing.assert_allclose(network.log_weights(x, 3).numpy(), exact[:, None] + np.zeros(3))
    found = bounds(network, x, (1, 7))
    np.testing.assert_allclose([found[1], found[7]], exact.mean())


class Table:
    """Stands for a network whose weights are known: a row an image, dealt out in order."""

    def __init__(self, logs):
        self.logs = logs
        self.dealt = 0

    def log_weights(self, x, k):
        rows = x.numpy().astype(int).ravel()
        self.dealt = 0 if self.dealt == self.logs.shape[1] else self.dealt
        found = self.logs[rows, self.dealt : self.dealt + k]
        self.dealt += k
        return mg.tensor(found)


@given(
    n=st.integers(1, 5),
    counts=st.sampled_from([(1,), (1, 3, 6), (1, 5, 50), (2, 7), (1, 600), (4, 1200)]),
    spread=st.sampled_from([0.0, 1.0, 300.0]),
    seed=some_seeds,
)
def test_bounds_are_means_over_images_and_groups_of_draws(n, counts, spread, seed):
    """In float32 and far from 0, with more draws than are decoded at once."""
    logs = np.random.default_rng(seed).normal(-100.0, spread, (n, max(counts))).astype("float32")
    found = bounds(Table(logs), mg.arange(n), counts)
    for k in counts:
        groups = logs.astype("float64")[:, : max(counts) // k * k].reshape(n, -1, k)
        expected = (np.logaddexp.reduce(groups, axis=2) - math.log(k)).mean()
        assert found[k] == pytest.approx(expected, rel=1e-9)
    if all(b % a == 0 for a, b in itertools.pairwise(counts)):
        values = [found[k] for k in counts]
        assert all(b >= a - 1e-9 * abs(a) for a, b in itertools.pairwise(values))


def test_terms_and_units_in_use():
    network, x = tiny(seed=1, code=3), all_images()
    layer = network.encoder[-1]
    weight = 10.0 * layer.weight.numpy()
    weight[1] *= 0.01  # the mean of the second unit is nearly the same for all images
    layer.weight.overwrite(weight)
    variance = network.encode(x).numpy().var(0)
    assert 0.0 < variance[1] < 0.01 < variance[[0, 2]].min()
    with seeded(0):
        found = terms_of(network, x)
    with seeded(0):
        likelihood, kl = network.terms(x)
    assert found["used_units"] == 2.0
    assert found["reconstruction"] == pytest.approx(-likelihood.numpy().mean())
    assert found["kl"] == pytest.approx(kl.numpy().sum(1).mean())
    assert found["negative_elbo"] == pytest.approx(found["reconstruction"] + found["kl"])


# -- The loss -------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.25, 1.0, 4.0])
def test_the_loss_weighs_the_latent_loss(beta):
    network, x = tiny(code=2, beta=beta), all_images()
    with seeded(0):
        loss = network.loss(x).item()
    with seeded(0):
        likelihood, kl = network.terms(x)
    assert loss == pytest.approx(beta * kl.numpy().sum(1).mean() - likelihood.numpy().mean())


@each_network
@pytest.mark.parametrize("kind", [VAE, PlainAutoencoder])
def test_gradients_to_second_order(kind, network):
    learner = shaken(kind(network, (1, 4, 4), 2, 2), size=0.4)
    bits = np.random.default_rng(0).integers(0, 2, (3, 1, 4, 4)).astype("float64")
    case = Case(learner, (), (bits,), lambda learner, x: learner.loss(x))
    assert gradcheck(case, [mg.Tensor(x, True) for x in case.values])
    assert directional_error(gradient_of(case), case.values) < 1e-6


@each_network
@pytest.mark.parametrize("kind", [VAE, PlainAutoencoder])
def test_every_weight_gets_a_gradient_and_shapes_come_back(kind, network):
    learner = kind(network, (2, 8, 12), 4, 3)
    x = mg.bernoulli(0.5, (5, 2, 8, 12))
    assert learner.encode(x).shape == (5, 3)
    assert learner(x).shape == learner.images(mg.zeros((5, 3))).shape == x.shape
    learner.loss(x).backward()
    for parameter in learner.parameters():
        assert np.abs(parameter.grad.numpy()).max() > 0.0


def test_the_plain_autoencoder_learns_cross_entropy_alone():
    learner, x = shaken(PlainAutoencoder("dense", (1, 2, 2), 3, 2)), all_images()
    p = learner.images(learner.encode(x)).numpy()
    expected = -stats.bernoulli.logpmf(x.numpy(), p).sum((1, 2, 3)).mean()
    assert learner.loss(x).item() == pytest.approx(expected)


# -- Training -------------------------------------------------------------------------------------


def test_it_learns_more_than_pixels_one_by_one_and_the_bounds_are_in_order(tmp_path):
    training = training_of(epochs=25, samples=50, autoencoder=1)
    history = run_of(training, tmp_path / "run", drawing=True)
    p = training.train.tensors[0].numpy().mean(0).clip(1e-3, 1.0 - 1e-3)
    pixels = -stats.bernoulli.logpmf(training.bits.numpy(), p).sum((1, 2, 3)).mean()
    last = history[-1]
    assert last["test_negative_elbo"] < pixels - 1.5
    reached = [last[f"test_negative_bound_{k}"] for k in (1, 5, 50)]
    assert reached == sorted(reached, reverse=True)
    assert reached[0] == pytest.approx(last["test_negative_elbo"], abs=0.5)
    total = last["test_reconstruction"] + last["test_kl"]
    assert last["test_negative_elbo"] == pytest.approx(total)
    assert "test_negative_bound_50" not in history[-2]
    assert f"negative ELBO {total:.2f} nats" in training.report()
    assert f"draws: {', '.join(f'{x:.2f}' for x in reached)} nats" in training.report()
    names = {path.stem for path in (tmp_path / "run" / "pictures").iterdir()}
    assert names == {"learning", "reconstructions", "samples", "traversals", "paths"}


def test_a_code_of_two_units_is_drawn_as_a_plane(tmp_path):
    training = training_of(few=40, code=2, network="convolutional", samples=5)
    run_of(training, tmp_path / "run")
    for other in ("sample", "_draw_learning", "_draw_reconstructions", "_draw_paths"):
        setattr(training, other, lambda *_: None)
    VAETraining.pictures(training, tmp_path, history=[])
    assert [path.name for path in tmp_path.glob("*.png")] == ["plane.png"]


def test_the_autoencoder_learns_the_first_epochs_and_does_not_disturb(tmp_path):
    trainings = [training_of(epochs=3, few=200, autoencoder=n, samples=1) for n in (3, 1)]
    histories = []
    for training, name in zip(trainings, ("long", "short"), strict=True):
        with seeded(0):
            histories.append(run_of(training, tmp_path / name))
    learning = [["autoencoder_train_loss" in entry for entry in history] for history in histories]
    assert learning == [[True, True, True], [True, False, False]]
    for a, b in zip(*(training.network.parameters() for training in trainings), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert histories[0][2]["autoencoder_train_loss"] < histories[0][0]["autoencoder_train_loss"]


@pytest.mark.parametrize("study", ["bound", "trade"])
def test_a_run_goes_on_bit_for_bit(study, tmp_path):
    whole = training_of(epochs=3, few=100, study=study, samples=4)
    history = run_of(whole, tmp_path / "whole")
    stopped = training_of(epochs=3, few=100, study=study, samples=4)
    stopped.settings.epochs = 2
    run_of(stopped, tmp_path / "run")
    again = training_of(epochs=3, few=100, study=study, samples=4)
    again.pictures = lambda *_: None
    run = Run(tmp_path / "run")
    so_far = restore(again, run)
    fit(again, run, so_far, quiet=True)
    without_time = [{**entry, "seconds": 0.0} for entry in so_far]
    assert without_time == [{**entry, "seconds": 0.0} for entry in history]
    assert again.report() != ""
    for name, value in whole.weights().items():
        np.testing.assert_array_equal(again.weights()[name].numpy(), value.numpy())


def test_the_dearer_the_code_the_less_it_says(tmp_path):
    training = training_of(epochs=12, few=600, study="trade", samples=5, lr=1e-2)
    history = run_of(training, tmp_path / "run", drawing=True)
    rows = training.table
    assert [row["beta"] for row in rows] == list(BETAS)
    for name, order in (("kl", -1), ("reconstruction", 1)):
        values = [order * row[name] for row in rows if row["beta"] in (0.1, 0.5, 2.0)]
        assert values == sorted(values)
        assert abs(values[0] - values[-1]) > 2.0
    assert min(rows, key=lambda row: row["negative_elbo"])["beta"] in (0.5, 1.0, 2.0)
    assert all(row["negative_bound_5"] <= row["negative_elbo"] + 0.3 for row in rows)
    assert {f"test_negative_elbo_{beta:g}" for beta in BETAS} < set(history[-1])
    assert len(training.report().splitlines()) == 1 + len(BETAS)
    assert [path.name for path in (tmp_path / "run" / "pictures").iterdir()] == ["trade.png"]
    (tmp_path / "samples").mkdir()
    assert training.sample(3, tmp_path / "samples") == ""
    assert (tmp_path / "samples" / "samples.png").stat().st_size > 1000


def test_training_images_are_drawn_anew_and_test_images_once():
    data = DATA_SETS["digits"].load("numpy").test
    first = bits_of(data).numpy()
    mg.rand(3)
    np.testing.assert_array_equal(bits_of(data).numpy(), first)
    assert set(np.unique(first)) == {0.0, 1.0}
    images = data.tensors[0].numpy()
    assert np.abs((first - images).mean()) < 0.01
    np.testing.assert_array_equal(first[(images == 0.0) | (images == 1.0)] % 1.0, 0.0)
    np.testing.assert_array_equal(first[images == 0.0], 0.0)
    training = training_of(few=50)
    seen = []
    training.network.loss = lambda x: seen.append(x.numpy()) or VAE.loss(training.network, x)
    for _ in range(2):
        training.step(*training.train.tensors)
    assert set(np.unique(seen)) == {0.0, 1.0}
    assert (seen[0] != seen[1]).any()


# -- Between two codes, and samples ---------------------------------------------------------------


@given(labels=st.lists(st.integers(0, 2), min_size=2, max_size=40), most=st.integers(1, 20))
def test_pairs_are_of_two_classes_or_of_one(labels, most):
    labels = np.array(labels)
    found = pairs(labels, most)
    for kind, (first, second) in found.items():
        assert len(first) == len(second) <= most
        assert all(i != j for i, j in zip(first, second, strict=True))
        same = [labels[i] == labels[j] for i, j in zip(first, second, strict=True)]
        assert set(same) <= {kind == "one class"}
        assert pairs(labels, most)[kind] == (first, second)


@pytest.mark.parametrize("backend", BACKENDS)
def test_paths_lead_from_image_to_image(backend):
    with mg.use_backend(backend):
        given_ = SimpleNamespace(**ARCHITECTURE.defaults("digits"), seed=0)
        data_set = DATA_SETS["digits"]
        data = data_set.load(backend)
        training = ARCHITECTURE.training(
            ARCHITECTURE.build(data_set, given_).to(backend), data, given_
        )
        found = training.paths([3, 1], [0, 2])
        assert [*found] == ["VAE", "autoencoder", "images faded over"]
        images = data.test.tensors[0].numpy()
        faded = found["images faded over"].numpy()
        assert faded.shape == (2, PLACES, 1, 8, 8)
        np.testing.assert_allclose(faded[0, 5], (images[3] + images[0]) / 2.0, atol=1e-6)
        np.testing.assert_allclose(faded[1, [0, -1]], images[[1, 2]], atol=1e-6)
        for name, network in training.networks.items():
            codes = network.encode(training.bits[:4])
            ends = network.images(codes).numpy()
            np.testing.assert_allclose(found[name].numpy()[0, [0, -1]], ends[[3, 0]], atol=1e-5)
            middle = network.images((codes[1:2] + codes[2:3]) * 0.5).numpy()
            np.testing.assert_allclose(found[name].numpy()[1, 5], middle[0], atol=1e-5)


class Ink:
    """A judge that knows two classes: images are light, or dark as they have ink."""

    def probabilities(self, images):
        dark = images.numpy().mean((1, 2, 3))
        return np.stack([1.0 - dark, dark], axis=1)

    def measure(self, images):
        assert images.shape == (10_000, 1, 28, 28)
        return {"coverage": 2.0, "confidence": 0.75}


def test_the_judge_looks_at_every_place_between_digits(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "judge", lambda backend: Ink())
    rng = np.random.default_rng(0)
    images = np.round(rng.random((60, 1, 28, 28))).astype("float32")
    table = TensorDataset(images, rng.integers(0, 3, 60))
    data_set = DataSet("noise", lambda: (table, table), (1, 28, 28), tuple("0123456789"))
    given_ = {**ARCHITECTURE.defaults("mnist"), "samples": 2, "autoencoder": 1, "epochs": 1}
    given_ = SimpleNamespace(**given_, seed=0)
    training = ARCHITECTURE.training(
        ARCHITECTURE.build(data_set, given_), data_set.load("numpy"), given_
    )
    run_of(training, tmp_path / "run")
    found = training.confidences
    assert [*found] == ["two classes", "one class"]
    for kind, sure in found.items():
        first, second = pairs(table.tensors[1].numpy(), 1000)[kind]
        dark = images.mean((1, 2, 3))
        expected = np.maximum(dark, 1.0 - dark)
        np.testing.assert_allclose(sure["images faded over"][0], expected[first].mean(), rtol=1e-5)
        np.testing.assert_allclose(
            sure["images faded over"][-1], expected[second].mean(), rtol=1e-5
        )
        assert all(values.shape == (PLACES,) for values in sure.values())
    training._draw_confidences(tmp_path / "confidences.png")
    assert (tmp_path / "confidences.png").stat().st_size > 1000
    lines = training.report().splitlines()
    sure = found["two classes"]
    assert lines[2].endswith(", ".join(f"{name} {x[5]:.3f}" for name, x in sure.items()))
    assert lines[-1] == "10,000 samples: coverage 2.000, confidence 0.750"


@each_network
def test_samples_are_decoded_codes_of_the_prior(network, tmp_path):
    vae = VAE(network, (1, 8, 8), 4, 3)
    with seeded(5):
        found = samples(vae, 1201)
    with seeded(5):
        codes = mg.randn(1201, 3)
    assert found.shape == (1201, 1, 8, 8)
    for i in (0, 1200):
        expected = vae.images(codes[i : i + 1]).numpy()[0]
        np.testing.assert_allclose(found.numpy()[i], expected, atol=1e-6)
    training = training_of(few=20, network=network)
    assert training.sample(13, tmp_path) == ""
    assert (tmp_path / "samples.png").stat().st_size > 1000


# -- What a wrong call gets -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": 0}, "vae: --code wants a positive integer, got 0"),
        ({"code": 0, "study": "trade"}, "vae: --code wants a positive integer, got 0"),
        ({"width": -1}, "vae: --width wants a positive integer, got -1"),
        ({"samples": 0}, "vae: --samples wants a positive integer, got 0"),
        ({"autoencoder": 0}, "vae: --autoencoder wants a positive integer, got 0"),
        ({"beta": -0.5}, "vae: --beta wants a non-negative number, got -0.5"),
        ({"beta": math.nan}, "vae: --beta wants a non-negative number, got nan"),
    ],
)
def test_settings_out_of_range_are_refused(changes, message):
    with pytest.raises(ValueError) as refusal:
        training_of(few=20, **changes)
    assert str(refusal.value) == message


@pytest.mark.parametrize("kind", [VAE, PlainAutoencoder])
def test_images_that_strides_do_not_divide_are_refused_with_sizes_that_would_do(kind):
    with pytest.raises(ValueError) as refusal:
        kind("convolutional", (1, 30, 28), 4, 2)
    assert str(refusal.value) == (
        "vae: strides of altogether 4 do not divide images of 30 × 28; 28 × 28 or 32 × 28 would "
        "do, or other multiples of 4"
    )
    assert kind("dense", (1, 30, 28), 4, 2).decode(mg.zeros((1, 2))).shape == (1, 1, 30, 28)
