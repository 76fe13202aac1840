"""The GAN: its losses, its theory on discrete densities, the game on a line and in the plane."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import minigrad as mg
from minigrad import optim
from minigrad.gradcheck import gradcheck
from models.__main__ import main
from models.architecture import architectures
from models.gan import (
    CELL,
    LATTICE,
    LOSSES,
    STANDING,
    GaussianTraining,
    OptimumTraining,
    PlaneGANTraining,
    bulk,
    discriminator_loss,
    generator_loss,
    jensen_shannon,
    optimal_discriminator,
    value,
)
from models.gaussians import MIXTURES, NEAR, Mixture, mixture_of, points
from models.run import Run
from models.training import Progress, fit, restore

ARCHITECTURE = architectures()["gan"]
SILENT = Progress("", total=0, unit="", quiet=True)
each_loss = pytest.mark.parametrize("loss", LOSSES)
outputs = arrays(np.float64, st.integers(1, 6), elements=st.floats(-19.0, 19.0))


@st.composite
def densities(draw, count=2):
    """Distributions over the same cells, some of them empty."""
    cells = draw(st.integers(2, 8))
    weights = arrays(np.float64, cells, elements=st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]))
    found = [draw(weights.filter(lambda w: w.sum() > 0.0)) for _ in range(count)]
    return [weight / weight.sum() for weight in found]


def settings_of(dataset, **changes):
    """Those of the command, with some of them changed."""
    words = {name: changes[name] for name in ARCHITECTURE.choices if name in changes}
    return SimpleNamespace(**ARCHITECTURE.defaults(dataset, **words) | changes, seed=0)


def training_of(dataset, **changes):
    """As the command would build it."""
    settings = settings_of(dataset, **changes)
    mg.manual_seed(settings.seed)
    data = ARCHITECTURE.data(dataset, settings)
    network = ARCHITECTURE.build(data, settings)
    return ARCHITECTURE.training(network, data.load("numpy"), settings)


def logistic(s):
    return 1.0 / (1.0 + np.exp(-s))


# -- The losses -----------------------------------------------------------------------------------


@given(real=outputs, fake=outputs)
def test_the_discriminator_minimises_the_value_with_a_minus(real, fake):
    """And stays exact where 1 − D would round to 0."""
    found = discriminator_loss(mg.tensor(real), mg.tensor(fake)).item()
    expected = np.logaddexp(0.0, -real).mean() + np.logaddexp(0.0, fake).mean()
    assert found == pytest.approx(expected, rel=1e-12)
    if max(abs(real).max(), abs(fake).max()) < 15.0:
        by_value = np.log(logistic(real)).mean() + np.log(1.0 - logistic(fake)).mean()
        assert found == pytest.approx(-by_value, rel=1e-8)


@given(fake=outputs)
def test_the_generator_minimises_what_its_name_says(fake):
    d = logistic(np.clip(fake, -15.0, 15.0))
    s = mg.tensor(np.clip(fake, -15.0, 15.0))
    minimax, other = (generator_loss(s, loss).item() for loss in LOSSES)
    assert minimax == pytest.approx(np.log(1.0 - d).mean(), rel=1e-8, abs=1e-12)
    assert other == pytest.approx(-np.log(d).mean(), rel=1e-8, abs=1e-12)


@given(fake=outputs)
def test_the_slopes_of_the_generators_losses(fake):
    """−D and −(1 − D): one vanishes where samples are found out, the other where they pass."""
    d = logistic(fake)
    for loss, expected in zip(LOSSES, (-d, d - 1.0), strict=True):
        s = mg.tensor(fake, requires_grad=True)
        (slope,) = mg.grad(generator_loss(s, loss), [s])
        np.testing.assert_allclose(len(fake) * slope.numpy(), expected, rtol=1e-9, atol=1e-15)


@given(real=outputs, fake=outputs)
def test_gradients_of_the_losses(real, fake):
    s, t = (mg.tensor(x, requires_grad=True) for x in (real, fake))
    assert gradcheck(discriminator_loss, [s, t])
    for loss in LOSSES:
        assert gradcheck(lambda t, loss=loss: generator_loss(t, loss), [t])


def assert_each_follows_its_slope(training, losses):
    """By difference quotients along the gradients that a step leaves behind.

    `losses` gives those of the discriminator and of the generator for outputs on real and generated
    samples.
    """
    network = training.network.to("float64")
    x = training.train.tensors[0].to("float64")
    for optimizer in (training.discriminator_optimizer, training.generator_optimizer):
        optimizer.step = lambda: None
    z = network.noise(len(x)).to("float64")
    network.noise = lambda n: z
    measured = training.step(x, training.train.tensors[1])

    def both():
        with mg.no_grad():
            outputs = network.discriminator(x), network.discriminator(network.generator(z))
            return [loss.item() for loss in losses(*outputs)]

    assert both() == [measured[f"{who}_loss"].item() for who in ("discriminator", "generator")]
    step = 1e-6
    for which, part in enumerate((network.discriminator, network.generator)):
        gradients = [parameter.grad.numpy() for parameter in part.parameters()]
        values = []
        for sign in (1.0, -2.0):
            for parameter, gradient in zip(part.parameters(), gradients, strict=True):
                parameter.overwrite(parameter.array + sign * step * gradient)
            values.append(both()[which])
        slope = sum((gradient**2).sum() for gradient in gradients)
        assert slope > 0.0
        assert (values[0] - values[1]) / (2.0 * step) == pytest.approx(slope, rel=1e-4)
        for parameter, gradient in zip(part.parameters(), gradients, strict=True):
            parameter.overwrite(parameter.array + step * gradient)


@each_loss
@pytest.mark.parametrize("dataset", ["gaussian", "grid"])
def test_each_network_follows_the_slope_of_its_own_loss(dataset, loss):
    training = training_of(dataset, loss=loss, hidden=8, examples=64)
    assert_each_follows_its_slope(
        training,
        lambda real, fake: (discriminator_loss(real, fake), generator_loss(fake, loss)),
    )


# -- The theory -----------------------------------------------------------------------------------


@given(pair=densities(), data=st.data())
def test_no_discriminator_has_a_larger_value(pair, data):
    p, q = pair
    best = optimal_discriminator(p, q)
    other = data.draw(arrays(np.float64, len(p), elements=st.floats(0.01, 0.99)))
    for d in (other, 0.9 * best + 0.1 * other):
        assert value(d, p, q) <= value(best, p, q) + 1e-12


@given(densities())
def test_the_value_of_the_best_is_the_divergence(pair):
    p, q = pair
    found = value(optimal_discriminator(p, q), p, q)
    assert found == pytest.approx(-math.log(4.0) + 2.0 * jensen_shannon(p, q), abs=1e-12)


@given(densities(3))
def test_bounds_of_the_divergence(found):
    """0 for the same, log 2 for what has nothing in common, symmetric, a square of a metric."""
    p, q, r = found
    divergence = jensen_shannon(p, q)
    assert -1e-15 <= divergence <= math.log(2.0) + 1e-15
    assert divergence == pytest.approx(jensen_shannon(q, p), abs=1e-15)
    assert jensen_shannon(p, p) == 0.0
    if not (p * q).any():
        assert divergence == pytest.approx(math.log(2.0), rel=1e-12)
    elif np.abs(p - q).max() > 1e-6:
        assert divergence < math.log(2.0)
        assert divergence > 0.0
    ways = [math.sqrt(max(0.0, jensen_shannon(*pair))) for pair in ((p, r), (p, q), (q, r))]
    assert ways[0] <= ways[1] + ways[2] + 1e-7


@given(densities())
def test_the_best_discriminator_is_a_probability(pair):
    p, q = pair
    d = optimal_discriminator(p, q)
    np.testing.assert_allclose(d + optimal_discriminator(q, p), 1.0)
    assert (d[(p > 0.0) & (q == 0.0)] == 1.0).all()
    assert (d[(p == 0.0) & (q == 0.0)] == 0.5).all()
    np.testing.assert_allclose(d[p == q], 0.5)


def test_the_theory_on_the_lattice():
    """Two normal distributions whose variances are the same: D* is a logistic function."""
    first, second = Mixture(np.array([[0.5]]), 1.0), STANDING
    p, q = (mixture.density(LATTICE[:, None]) for mixture in (first, second))
    assert p.sum() * CELL == pytest.approx(1.0, abs=1e-9)
    d = optimal_discriminator(p, q)
    np.testing.assert_allclose(d, logistic(0.5 * LATTICE - 0.125), rtol=1e-9)
    found = value(d, p, q, CELL)
    assert found == pytest.approx(-math.log(4.0) + 2.0 * jensen_shannon(p, q, CELL), abs=1e-9)
    assert value(np.full_like(p, 0.5), p, q, CELL) == pytest.approx(-math.log(4.0), abs=1e-9)


def test_the_bulk_leaves_half_a_percent_out_at_each_end():
    p, q = (mixture.density(LATTICE[:, None]) for mixture in (MIXTURES["gaussian"], STANDING))
    inside = bulk(p, q)
    first, last = np.flatnonzero(inside)[[0, -1]]
    assert inside[first : last + 1].all()
    for left in (slice(None, first), slice(last + 1, None)):
        assert 0.5 * (p + q)[left].sum() * CELL == pytest.approx(0.005, abs=2e-4)


def test_a_discriminator_alone_becomes_the_best_one():
    training = training_of("gaussian", study="optimum", epochs=5)
    assert isinstance(training, OptimumTraining)
    for _ in range(5):
        training.epoch(SILENT)
    measured = training.evaluate()
    assert measured["largest_error"] <= 0.03
    best = value(training.best, training.p, training.q, CELL)
    assert best - 0.001 <= measured["value"] <= best
    lines = training.report().splitlines()
    assert [line.split()[-1] for line in lines[1:3]] == [f"{best:.10f}"] * 2


# -- Mixtures -------------------------------------------------------------------------------------


def test_the_mixtures_are_those_of_the_papers():
    grid, ring = MIXTURES["grid"], MIXTURES["ring"]
    assert sorted(map(tuple, grid.means)) == [
        (x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)
    ]
    assert (grid.deviation, ring.deviation) == (0.05, 0.02)
    np.testing.assert_allclose(np.hypot(*ring.means.T), 2.0)
    steps = np.linalg.norm(ring.means - np.roll(ring.means, 1, axis=0), axis=1)
    np.testing.assert_allclose(steps, 4.0 * np.sin(np.pi / 8))


@pytest.mark.parametrize("name", MIXTURES)
def test_points_come_from_their_mixture(name):
    mixture = MIXTURES[name]
    data = points(name, 20_000, seed=3).load("numpy")
    x, modes = (tensor.numpy() for tensor in data.train.tensors)
    assert (x.dtype, x.shape) == (np.float32, (20_000, mixture.means.shape[1]))
    around = x - mixture.means[modes]
    assert np.abs(around.std(0) - mixture.deviation).max() < 0.03 * mixture.deviation
    assert np.abs(around.mean(0)).max() < 0.03 * mixture.deviation
    counts = np.bincount(modes, minlength=len(mixture.means)) / len(x)
    assert np.abs(counts * len(mixture.means) - 1.0).max() < 0.15
    again = points(name, 20_000, seed=3).load("numpy").train.tensors[0].numpy()
    np.testing.assert_array_equal(again, x)
    assert not np.isin(data.test.tensors[0].numpy(), x).all()
    assert mixture_of(data.classes) is mixture


def test_densities_integrate_to_one():
    ticks = np.arange(-0.5, 0.5, 0.01) + 0.005
    square = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    mixture = Mixture(np.array([[0.0, 0.1], [-0.1, 0.0]]), 0.05)
    assert mixture.density(square).sum() * 0.01**2 == pytest.approx(1.0, abs=1e-9)
    peak = mixture.density(np.array([[0.0, 0.1]]))[0]
    other = 0.5 * math.exp(-0.5 * 0.02 / 0.0025)
    assert peak == pytest.approx((0.5 + other) / (2.0 * math.pi * 0.0025))


def test_modes_are_found_by_good_samples_alone():
    mixture = MIXTURES["grid"]
    near, far = (0.05 * NEAR * factor for factor in (0.999, 1.001))
    x = np.array([[0.0, near], [0.0, -near], [near, 0.0], [-near, 0.0], [2.0, far], [4.0, 4.0]])
    measured = mixture.measure(x)
    assert measured["modes"] == 2
    assert measured["good_samples"] == pytest.approx(5 / 6)
    entropy = -(0.8 * math.log(0.8) + 0.2 * math.log(0.2))
    assert measured["spread"] == pytest.approx(math.exp(entropy))
    nothing = mixture.measure(np.full((7, 2), 1.0))
    assert nothing == {"modes": 0.0, "spread": 0.0, "good_samples": 0.0}
    everything = mixture.measure(mixture.means)
    assert everything == pytest.approx({"modes": 25.0, "spread": 25.0, "good_samples": 1.0})


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.01, 3.0))
def test_what_is_measured_has_bounds_and_no_order(seed, n, spread):
    rng = np.random.default_rng(seed)
    mixture = MIXTURES["ring"]
    x = mixture.draw(n, rng).tensors[0].numpy() + 0.02 * spread * rng.standard_normal((n, 2))
    measured = mixture.measure(x)
    assert measured == pytest.approx(mixture.measure(rng.permutation(x)))
    if measured["good_samples"]:
        assert 1.0 - 1e-12 <= measured["spread"] <= measured["modes"] + 1e-9
        assert measured["modes"] <= min(8, round(n * measured["good_samples"]))


def test_of_the_data_themselves_almost_all_are_good():
    measured = MIXTURES["grid"].measure(points("grid", 1, 0).load("numpy").test.tensors[0].numpy())
    assert measured["modes"] == 25
    assert measured["good_samples"] == pytest.approx(1.0 - math.exp(-0.5 * NEAR**2), abs=0.005)


# -- The game -------------------------------------------------------------------------------------


def test_a_normal_distribution_is_learned(tmp_path):
    """And the discriminator ends where it can do no better than guess."""
    training = training_of("gaussian", epochs=16, hidden=32)
    assert isinstance(training, GaussianTraining)
    for _ in range(16):
        training.epoch(SILENT)
    measured = training.evaluate()
    assert abs(measured["mean_on_real"] - 0.5) <= 0.05
    assert abs(measured["mean_on_fake"] - 0.5) <= 0.05
    assert abs(measured["accuracy"] - 0.5) <= 0.05
    assert abs(measured["mean"] - 1.0) <= 0.1
    assert abs(measured["deviation"] - 0.5) <= 0.15
    history = [
        {"epoch": i + 1, "discriminator_loss": 1.0, "generator_loss": 1.0}
        | {"real_accuracy": 0.5, "fake_accuracy": 0.5}
        for i in range(16)
    ]
    training.pictures(tmp_path, history)
    assert {path.name for path in tmp_path.iterdir()} == {"progress.png", "game.png"}


def test_what_the_discriminator_says_is_measured_from_half():
    training = training_of("gaussian", hidden=4, examples=10)
    training.network.discriminator.forward = lambda x: mg.log(3.0 * (x[:, 0] > 1.0) + 1.0)
    training.network.generator.forward = lambda z: 0.0 * z - 5.0
    measured = training.evaluate()
    share = (training.test.tensors[0].numpy() > 1.0).mean()  # of which it says 0.8, of others 0.5
    assert measured["mean_on_real"] == pytest.approx(0.5 + 0.3 * share, abs=1e-5)
    assert measured["mean_on_fake"] == pytest.approx(0.5)
    assert measured["from_half"] == pytest.approx(0.15 * share, abs=1e-5)
    assert measured["accuracy"] == pytest.approx(0.5 * share + 0.5)
    assert (measured["mean"], measured["deviation"]) == (-5.0, 0.0)


@pytest.mark.parametrize(("schedule", "half", "last"), [("falling", 0.5, 0.0), ("constant", 1, 1)])
def test_both_rates_fall_or_stay(schedule, half, last):
    training = training_of("grid", schedule=schedule, epochs=2, hidden=4, examples=256)
    for expected in (half, last):
        training.epoch(SILENT)
        for optimizer in (training.generator_optimizer, training.discriminator_optimizer):
            found = optimizer.param_groups[0]["lr"]
            assert found == pytest.approx(expected * training.settings.lr)


def test_optimizers_by_their_names():
    for word, kind in (("adam", optim.Adam), ("rmsprop", optim.RMSprop)):
        training = training_of("ring", optimizer=word, hidden=4, examples=10)
        assert isinstance(training.generator_optimizer, kind)
        assert isinstance(training.discriminator_optimizer, kind)


@pytest.mark.parametrize("dataset", ["gaussian", "grid"])
def test_what_pictures_need_survives_an_interruption(dataset, tmp_path):
    """Bit for bit."""
    changes = {"epochs": 3, "hidden": 8, "examples": 1024, "batch_size": 512}
    runs = []
    for name, stop in (("whole", 3), ("broken", 1)):
        training = training_of(dataset, **changes)
        training.pictures = lambda *_: None
        training.settings.epochs = stop
        run = Run.create(tmp_path / name, {})
        fit(training, run, [], quiet=True)
        runs.append((training, run))
    (whole, _), (_, run) = runs
    again = training_of(dataset, **changes)
    again.pictures = lambda *_: None
    history = restore(again, run)
    fit(again, run, history, quiet=True)
    kept = ["fixed", "snapshots"] + ["curves"] * (dataset == "gaussian")
    for name in kept:
        found = getattr(again, name).numpy()
        np.testing.assert_array_equal(found, getattr(whole, name).numpy())
    assert len(again.snapshots) == 3
    first, last = again.snapshots.numpy()[[0, -1]]
    assert (first != last).any()


def test_the_noise_that_is_looked_at_on_the_line_is_in_order():
    z = training_of("gaussian", hidden=4, examples=10).fixed.numpy()[:, 0]
    assert (np.diff(z) > 0.0).all()
    np.testing.assert_allclose(z, -z[::-1], atol=1e-6)
    assert z.std() == pytest.approx(1.0, abs=0.01)


def test_what_is_judged_in_the_plane_are_the_samples_of_the_epoch(tmp_path):
    training = training_of("grid", hidden=8, examples=512)
    assert isinstance(training, PlaneGANTraining)
    means = MIXTURES["grid"].means.astype("float32")
    training.network.generator.forward = lambda z: mg.tensor(means[np.arange(len(z)) % 5])
    training.look()
    assert training.snapshots.shape == (1, 2500, 2)
    assert training.evaluate() == {"modes": 5.0, "spread": pytest.approx(5.0), "good_samples": 1.0}
    assert training.over_time() == [{"epoch": 1.0, **training.evaluate()}]
    assert training.report().splitlines()[1] == (
        "2500 samples: 5 of 25 modes found, spread over 5.0, 100.0 % good"
    )
    assert training.sample(10, tmp_path) == (
        "10 samples: 5 of 25 modes found, spread over 5.0, 100.0 % good"
    )
    assert (tmp_path / "samples.png").is_file()


# -- Wrong calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "grid", "--code", "0"], "grid: --code wants a positive integer, got 0"),
        (["--dataset", "ring", "--hidden", "0"], "ring: --hidden wants a positive integer, got 0"),
        (
            ["--dataset", "gaussian", "--examples", "0"],
            "gaussian: --examples wants a positive integer, got 0",
        ),
        (
            ["--dataset", "gaussian", "--study", "optimum", "--loss", "minimax"],
            "--loss: gan on gaussian with optimum has no such setting",
        ),
        (["--dataset", "gaussian", "--code", "2"], "--code: gan on gaussian with "),
        (["--dataset", "grid", "--loss", "hinge"], "invalid choice: 'hinge'"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, message, capsys, tmp_path):
    try:
        code = main(["train", "gan", *options, "--out", str(tmp_path / "run")])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
