"""The least-squares GAN: its losses, what they minimise, and the comparison with a GAN."""

import copy
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import minigrad as mg
from minigrad.gradcheck import gradcheck
from models.__main__ import main
from models.architecture import architectures
from models.gan import PlaneGANTraining
from models.lsgan import (
    CODINGS,
    LOSSES,
    Labels,
    LSGANTraining,
    PlaneLSGANTraining,
    StabilityTraining,
    best_loss,
    discriminator_loss,
    generator_loss,
    optimal_discriminator,
    pearson,
    slopes,
    theory,
)
from models.run import Run
from models.training import Progress, fit, restore
from tests.test_models_gan import assert_each_follows_its_slope

ARCHITECTURE = architectures()["lsgan"]
SILENT = Progress("", total=0, unit="", quiet=True)
SMALL = {"epochs": 3, "hidden": 8, "examples": 512}
outputs = arrays(np.float64, st.integers(1, 6), elements=st.floats(-30.0, 30.0))
label = st.floats(-3.0, 3.0)
all_labels = st.builds(Labels, label, label, label)


@st.composite
def densities(draw):
    """Two distributions over the same cells, not both of which leave one empty."""
    cells = draw(st.integers(2, 8))
    weights = arrays(np.float64, cells, elements=st.sampled_from([0.0, 0.1, 0.5, 1.0, 3.0]))
    p, q = (draw(weights.filter(lambda w: w.sum() > 0.0)) for _ in range(2))
    assume((p + q > 0.0).all())
    return p / p.sum(), q / q.sum()


def training_of(dataset, **changes):
    """As the command would build it, with some settings changed."""
    words = {name: changes[name] for name in ARCHITECTURE.choices if name in changes}
    settings = SimpleNamespace(**ARCHITECTURE.defaults(dataset, **words) | changes, seed=0)
    mg.manual_seed(0)
    data = ARCHITECTURE.data(dataset, settings)
    network = ARCHITECTURE.build(data, settings)
    return ARCHITECTURE.training(network, data.load("numpy"), settings)


# -- The losses -----------------------------------------------------------------------------------


@given(real=outputs, fake=outputs, labels=all_labels)
def test_both_minimise_half_of_a_square(real, fake, labels):
    s, t = mg.tensor(real), mg.tensor(fake)
    expected = 0.5 * ((real - labels.b) ** 2).mean() + 0.5 * ((fake - labels.a) ** 2).mean()
    assert discriminator_loss(s, t, labels).item() == pytest.approx(expected)
    expected = 0.5 * ((fake - labels.c) ** 2).mean()
    assert generator_loss(t, labels).item() == pytest.approx(expected)


@given(real=outputs, fake=outputs, labels=all_labels)
def test_gradients_of_the_losses(real, fake, labels):
    s, t = (mg.tensor(x, requires_grad=True) for x in (real, fake))
    assert gradcheck(lambda s, t: discriminator_loss(s, t, labels), [s, t])
    assert gradcheck(lambda t: generator_loss(t, labels), [t])


def test_codings_are_those_of_the_paper():
    assert CODINGS == {"pearson": (-1.0, 1.0, 0.0), "binary": (0.0, 1.0, 1.0)}
    a, b, c = CODINGS["pearson"]
    assert (b - c, b - a) == (1.0, 2.0)


@pytest.mark.parametrize("coding", CODINGS)
def test_each_network_follows_the_slope_of_its_own_loss(coding):
    side = training_of("ring", coding=coding, hidden=8, examples=64).lsgan
    assert side.boundary == {"pearson": 0.0, "binary": 0.5}[coding]
    labels = CODINGS[coding]
    side.network.z = mg.randn(64, 16)
    assert_each_follows_its_slope(
        side,
        lambda real, fake: (discriminator_loss(real, fake, labels), generator_loss(fake, labels)),
    )


# -- The theory -----------------------------------------------------------------------------------


@given(pair=densities(), labels=all_labels, data=st.data())
def test_no_discriminator_has_a_smaller_loss(pair, labels, data):
    p, q = pair
    best = optimal_discriminator(p, q, labels)
    other = data.draw(arrays(np.float64, len(p), elements=st.floats(-4.0, 4.0)))

    def loss(d):
        return 0.5 * (p * (d - labels.b) ** 2 + q * (d - labels.a) ** 2).sum()

    for d in (other, 0.9 * best + 0.1 * other):
        assert loss(best) <= loss(d) + 1e-12


@given(pair=densities(), b=label)
def test_labels_one_and_two_apart_give_the_chi_square_of_pearson(pair, b):
    """Between p_data + p_g and 2 p_g."""
    p, q = pair
    found = best_loss(p, q, Labels(b - 2.0, b, b - 1.0))
    assert found == pytest.approx(pearson(p + q, 2.0 * q), abs=1e-12)
    assert found == pytest.approx(((p - q) ** 2 / (p + q)).sum(), abs=1e-12)


@given(pair=densities(), labels=all_labels)
def test_other_labels_change_the_scale_and_not_where_the_minimum_is(pair, labels):
    p, q = pair
    a, b, c = labels
    overlap = (q**2 / (p + q)).sum()
    expected = 2.0 * (b - c) ** 2 - 2.0 * (b - c) * (b - a) + (b - a) ** 2 * overlap
    found = best_loss(p, q, labels)
    assert found == pytest.approx(expected, abs=1e-10)
    assert overlap == pytest.approx((pearson(p + q, 2.0 * q) + 2.0) / 4.0)
    assert found >= best_loss(p, p, labels) - 1e-10 if (p > 0.0).all() else overlap >= 0.5 - 1e-12


@given(densities())
def test_bounds_of_the_chi_square(pair):
    """0 for the same, 2 for what has nothing in common."""
    p, q = pair
    found = pearson(p + q, 2.0 * q)
    assert -1e-15 <= found <= 2.0 + 1e-12
    if not (p * q).any():
        assert found == pytest.approx(2.0)
    if np.abs(p - q).max() > 1e-6:
        assert found > 0.0
    assert pearson(q[q > 0.0], q[q > 0.0]) == 0.0


@given(outputs)
def test_slopes_are_the_derivatives_of_the_losses(s):
    d = 1.0 / (1.0 + np.exp(-s))
    np.testing.assert_allclose(slopes(LOSSES["minimax"], s), -d, rtol=1e-6, atol=3e-9)
    np.testing.assert_allclose(slopes(LOSSES["non-saturating"], s), d - 1.0, rtol=1e-6, atol=3e-9)
    np.testing.assert_allclose(slopes(LOSSES["least squares"], s), s, rtol=1e-12)


def test_what_is_printed_of_the_theory():
    lines = theory().splitlines()
    of_one = next(line for line in lines if line.split()[0] == "1").split()
    assert of_one[1] == of_one[2]
    assert float(of_one[3]) == pytest.approx((float(of_one[1]) + 2.0) / 4.0, abs=1e-9)
    far = {line.split()[0]: float(line.split()[-1]) for line in lines[-3:]}
    assert far["least"] == 8.0
    assert far["non-saturating"] == pytest.approx(-1.0 / (1.0 + math.exp(8.0)), abs=1e-6)


# -- Side by side ---------------------------------------------------------------------------------


def test_both_start_from_the_same_weights_and_are_not_the_same():
    network = training_of("ring", **SMALL).network
    pairs = list(zip(network.lsgan.parameters(), network.gan.parameters(), strict=True))
    assert len(pairs) == 12
    for first, second in pairs:
        assert first is not second
        np.testing.assert_array_equal(first.numpy(), second.numpy())


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_each_learns_as_it_would_alone(optimizer):
    """From the same batches and the same noise."""
    training = training_of("ring", optimizer=optimizer, **SMALL)
    kinds = {"lsgan": PlaneLSGANTraining, "gan": PlaneGANTraining}
    alone = {
        name: kind(
            copy.deepcopy(getattr(training.network, name)),
            SimpleNamespace(train=training.train, test=training.test, classes=training.classes),
            training.settings,
        )
        for name, kind in kinds.items()
    }
    heard = []
    draw = training.network.draw
    training.network.draw = lambda n: (draw(n), heard.append(training.network.gan.z))
    batches = list(training.loader)[:3]
    for batch in batches:
        together = training.step(*batch)
        assert training.network.lsgan.z is training.network.gan.z
        for side in alone.values():
            side.network.z = heard[-1]
        apart = {name: side.step(*batch) for name, side in alone.items()}
        assert together["generator_loss"].item() == apart["lsgan"]["generator_loss"].item()
        assert together["gan_generator_loss"].item() == apart["gan"]["generator_loss"].item()
    assert together["generator_loss"].item() != together["gan_generator_loss"].item()
    for name, side in alone.items():
        for key, value in side.network.state_dict().items():
            found = getattr(training.network, name).state_dict()[key]
            np.testing.assert_array_equal(found.numpy(), value.numpy())
    first, second = heard[-2:]
    assert (first.numpy() != second.numpy()).any()


def test_a_run_goes_on_bit_for_bit_and_draws_both(tmp_path):
    runs = []
    for name, stop in (("whole", 3), ("broken", 1)):
        training = training_of("ring", **SMALL)
        training.settings = SimpleNamespace(**vars(training.settings) | {"epochs": stop})
        training.pictures = lambda *_: None
        run = Run.create(tmp_path / name, {})
        fit(training, run, [], quiet=True)
        runs.append((training, run))
    (whole, _), (_, run) = runs
    again = training_of("ring", **SMALL)
    history = restore(again, run)
    fit(again, run, history, quiet=True)
    assert [entry["epoch"] for entry in history] == [1, 2, 3]
    for name in ("lsgan", "gan"):
        found, expected = (getattr(t, name).snapshots.numpy() for t in (again, whole))
        assert found.shape == (3, 2500, 2)
        np.testing.assert_array_equal(found, expected)
    assert {path.name for path in run.pictures.iterdir()} == {
        "theory.png",
        "stability.png",
        "scatter.png",
    }
    for name in ("modes", "spread", "good_samples", "discriminator_loss"):
        assert {name, f"gan_{name}"} <= set(history[-1])


def test_the_report_is_of_the_second_half_of_the_epochs(tmp_path):
    training = training_of("ring", **SMALL)
    assert isinstance(training, StabilityTraining)
    means = training.lsgan.mixture.means.astype("float32")
    kept = np.stack([means[np.arange(2500) % modes] for modes in (8, 8, 2, 4)])
    training.lsgan.snapshots = mg.tensor(kept)
    training.gan.snapshots = mg.tensor(kept + 1.0)
    lsgan, gan = training.report().splitlines()[-2:]
    assert lsgan == (
        "LSGAN, epochs 3 to 4: modes 3.00 (2 to 4), spread 3.00 (2 to 4), good 100.0 % (s.d. 0.0)"
    )
    assert gan == (
        "GAN, epochs 3 to 4: modes 0.00 (0 to 0), spread 0.00 (0 to 0), good 0.0 % (s.d. 0.0)"
    )
    said = training.sample(9, tmp_path).splitlines()
    assert [line.split(":")[0] for line in said] == ["LSGAN", "GAN"]
    assert (tmp_path / "gan" / "samples.png").is_file()


def test_images_are_learned_with_the_networks_of_all_rivals():
    training = training_of("digits", coding="binary", network="dense", code=4)
    assert isinstance(training, LSGANTraining)
    assert (training.labels, training.boundary) == (CODINGS["binary"], 0.5)
    measured = training.step(*(tensor[:8] for tensor in training.train.tensors))
    assert all(math.isfinite(value.item()) for value in measured.values())


# -- Wrong calls ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--coding", "ternary"], "invalid choice: 'ternary'"),
        (["--dataset", "ring", "--code", "0"], "ring: --code wants a positive integer, got 0"),
        (["--dataset", "grid", "--examples", "0"], "grid: --examples wants a positive integer"),
        (["--dataset", "digits", "--code", "0"], "--code wants a positive integer, got 0"),
        (["--dataset", "digits", "--loss", "minimax"], "--loss: lsgan on digits with "),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(options, message, capsys, tmp_path):
    try:
        code = main(["train", "lsgan", *options, "--out", str(tmp_path / "run")])
    except SystemExit as stop:
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
