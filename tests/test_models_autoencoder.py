"""The autoencoder's kinds: what each adds to the copy, and what is measured of it."""

import math
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import wiener

import minigrad as mg
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from minigrad.gradcheck import gradcheck
from models import autoencoder
from models.__main__ import main
from models.autoencoder import (
    ARCHITECTURE,
    LEVELS,
    TRAININGS,
    Compression,
    Convolutional,
    Denoising,
    GaussianCode,
    Overcomplete,
    Sparse,
    Undercomplete,
    between,
    cross_entropy,
    level,
)
from models.data import DATA_SETS, Examples
from models.dbn import Layer
from models.reconstruction import (
    PrincipalComponents,
    best_wiener,
    bits,
    jpeg,
    neighbours,
    psnr,
    restored,
    squared_error,
)
from models.run import Run
from models.training import Progress, fit, restore

SILENT = Progress("", total=0, unit="", quiet=True)
SHAPE = (1, 4, 4)
seeds = st.integers(0, 2**32 - 1)


def images(n=5, shape=SHAPE, seed=0):
    return mg.tensor(np.random.default_rng(seed).random((n, *shape)))


def shaken(network, seed=0, size=0.5):
    """The network in float64, with parameters of a normal distribution."""
    rng = np.random.default_rng(seed)
    network.to("float64")
    for parameter in network.parameters():
        parameter.overwrite(size * rng.normal(size=parameter.shape))
    return network


def training(kind, train=200, test=60, **changes):
    """A training of some of the digits, with the settings of the command but for `changes`."""
    given_ = {**ARCHITECTURE.defaults("digits", kind=kind), "kind": kind, "seed": 0, "hidden": 24}
    given_ = SimpleNamespace(**given_ | changes)
    mg.manual_seed(0)
    network = ARCHITECTURE.build(DATA_SETS["digits"], given_)
    data = DATA_SETS["digits"].load("numpy")
    parts = ((data.train, train), (data.test, test))
    few = [TensorDataset(*(t[:n] for t in part.tensors)) for part, n in parts]
    return ARCHITECTURE.training(network, Examples(*few, data.classes), given_)


def logistic(x):
    return 1.0 / (1.0 + np.exp(-x))


# -- What all kinds share -------------------------------------------------------------------------


def test_the_loss_is_the_cross_entropy_of_the_pixels():
    x, sums = images().numpy(), np.random.default_rng(1).normal(size=(5, *SHAPE))
    y = logistic(sums)
    expected = -(x * np.log(y) + (1.0 - x) * np.log(1.0 - y)).sum() / 5
    assert cross_entropy(mg.tensor(sums), mg.tensor(x)).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "network",
    [
        Undercomplete(SHAPE, 8, 3),
        Denoising(Overcomplete(SHAPE, 8), "gaussian", 0.5),
        Sparse(SHAPE, 20, 0.05, 1.0, 0.1),
        Convolutional(SHAPE, 2, 3),
        Compression(SHAPE, 8, 3),
    ],
    ids=lambda network: type(network).__name__,
)
def test_an_image_comes_back_as_an_image(network):
    shaken(network)
    x = images()
    back = network(x).numpy()
    assert back.shape == x.shape
    assert 0.0 < back.min() < back.max() < 1.0
    np.testing.assert_array_equal(back, network.decode(network.encode(x)).numpy())
    parameters = list(network.parameters())
    with seeded(0):
        found = mg.grad(network.loss(x), parameters)
    assert all(np.abs(gradient.numpy()).max() > 0.0 for gradient in found)


def test_a_path_between_two_codes_begins_and_ends_at_their_images():
    network, x = shaken(Undercomplete(SHAPE, 8, 3)), images(2)
    path = between(network, x[0], x[1], 5)
    np.testing.assert_allclose(path[0].numpy(), network(x).numpy()[0], atol=1e-12)
    np.testing.assert_allclose(path[4].numpy(), network(x).numpy()[1], atol=1e-12)
    quarter = 0.75 * network.encode(x)[:1] + 0.25 * network.encode(x)[1:]
    np.testing.assert_allclose(path[1].numpy(), network.decode(quarter).numpy()[0], atol=1e-12)


# -- Undercomplete, and its machines --------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds)
def test_the_unfolded_network_computes_what_the_machines_do(seed):
    """Up through logistic units to numbers, and down by the transposed weights."""
    network = Undercomplete(SHAPE, 8, 3).to("float64")
    sizes = network.sizes
    assert sizes == (16, 8, 4, 2, 3)
    machines = [Layer(n, m) for n, m in pairwise(sizes[:-1])]
    machines.append(GaussianCode(*sizes[-2:]))
    for i, machine in enumerate(machines):
        shaken(machine, seed + i)
    network.unfold(machines)
    x = images(seed=seed)
    h = x.numpy().reshape(5, -1)
    for i, machine in enumerate(machines):
        s = h @ machine.weight.numpy().T + machine.hidden_bias.numpy()
        h = s if i == 3 else logistic(s)
    np.testing.assert_allclose(network.encode(x).numpy(), h, atol=1e-12)
    for machine in reversed(machines):
        h = logistic(h @ machine.weight.numpy() + machine.visible_bias.numpy())
    np.testing.assert_allclose(network(x).numpy(), h.reshape(x.shape), atol=1e-12)


def test_the_free_energy_of_a_gaussian_code_is_the_integral_over_it():
    machine = shaken(GaussianCode(3, 1))
    v = mg.tensor(np.random.default_rng(1).random((2, 3)))
    h = np.linspace(-20.0, 20.0, 40_001)
    b, c, w = (p.numpy() for p in (machine.visible_bias, machine.hidden_bias, machine.weight))
    for row, energy in zip(v.numpy(), machine.free_energy(v).numpy(), strict=True):
        below = row @ b + c * h + h * (w[0] @ row) - 0.5 * h**2
        integral = np.trapezoid(np.exp(below), h) / math.sqrt(2.0 * math.pi)
        assert energy == pytest.approx(-math.log(integral), rel=1e-9)


def test_a_gaussian_code_learns_the_contrast_of_its_free_energies():
    machine, other = shaken(GaussianCode(3, 2)), shaken(GaussianCode(3, 2))
    v = mg.tensor(np.random.default_rng(1).random((4, 3)))
    with seeded(0):
        machine.cd_step(v, 0.1)
    with seeded(0):
        r = other.visible(other.sums(v) + mg.randn(4, 2))
    contrast = other.free_energy(v).mean() - other.free_energy(r.detach()).mean()
    parameters = list(other.parameters())
    for moved, parameter, gradient in zip(
        machine.parameters(), parameters, mg.grad(contrast, parameters), strict=True
    ):
        expected = parameter.numpy() - 0.1 * gradient.numpy()
        np.testing.assert_allclose(moved.numpy(), expected, atol=1e-12)


def test_machines_learn_from_below_and_then_the_network_takes_over():
    one = training("undercomplete", pretrain=2, epochs=2, batch_size=50)
    before = [machine.weight.numpy().copy() for machine in one.machines]
    layers = []
    for epoch in range(8):
        measured = one.epoch(SILENT) | one.evaluate()
        layers.append(measured["layer"])
        for i, machine in enumerate(one.machines):
            changed = not np.array_equal(machine.weight.numpy(), before[i])
            assert changed == (i <= epoch // 2)
    assert layers == [1, 1, 2, 2, 3, 3, 4, 4]
    x = one.test.tensors[0]
    h = one.up(x, 4)
    np.testing.assert_allclose(one.first.encode(x).numpy(), h.numpy(), atol=1e-4)
    assert one.left == pytest.approx(0.0, abs=1e-9)
    kept = one.machines[0].weight.numpy().copy()
    assert "test_error" in (one.epoch(SILENT) | one.evaluate())
    np.testing.assert_array_equal(one.machines[0].weight.numpy(), kept)


def test_the_first_step_of_a_machine_follows_its_contrast_and_its_rate_falls():
    one = training("undercomplete", pretrain=2, epochs=1, batch_size=50, cd_lr=0.2)
    machine = one.machines[0]
    before = machine.weight.numpy().copy()
    one.left = 1.0
    x, labels = (tensor[:50] for tensor in one.train.tensors)
    with seeded(0):
        one.step(x, labels)
    moved = machine.weight.numpy().copy()
    machine.weight.overwrite(before)
    machine.hidden_bias.overwrite(0.0 * machine.hidden_bias.numpy())
    mean = np.clip(one.train.tensors[0].numpy().mean(0).ravel(), 0.001, 0.999)
    machine.visible_bias.overwrite(np.log(mean / (1.0 - mean)))
    with seeded(0), mg.no_grad():
        v = x.reshape(50, -1)
        p = machine.hidden(v)
        machine.contrast(v, p, *machine.reconstruction(p))
    np.testing.assert_allclose(moved, before - 0.2 * machine.weight.grad.numpy(), atol=1e-6)
    machine.weight.grad = None
    rates = []
    for _ in range(3):
        one.step(x, labels)
        rates.append(one.descent.param_groups[0]["lr"])
    np.testing.assert_allclose(rates, [0.2 * (1.0 - t / 8) for t in (1, 2, 3)])


def test_pretraining_goes_on_where_it_stopped(tmp_path):
    """Stopped in the middle of a machine, and again in the fine-tuning."""
    changes = {"pretrain": 2, "epochs": 2, "batch_size": 50}
    whole = training("undercomplete", **changes)
    whole.pictures = lambda *_: None
    history = []
    fit(whole, Run.create(tmp_path / "whole", {}), history, quiet=True)
    parts = Run.create(tmp_path / "parts", {})
    past = []
    for stop in (3, 9, 10):
        one = training("undercomplete", **changes)
        one.pictures = lambda *_: None
        if past:
            past = restore(one, parts)
        one.settings.epochs = stop
        fit(one, parts, past, quiet=True)
    for name, value in whole.network.state_dict().items():
        np.testing.assert_array_equal(one.network.state_dict()[name].numpy(), value.numpy())
    assert [e["test_error"] for e in past[8:]] == [e["test_error"] for e in history[8:]]


def test_it_learns_more_than_principal_components():
    """As much code, less error, after a few seconds."""
    one = training("undercomplete", 1435, 362, epochs=20, hidden=200, lr=3e-3)
    for _ in range(20):
        one.epoch(SILENT)
    x = one.test.tensors[0].numpy()
    assert one.evaluate()["test_error"] < 0.9 * squared_error(one.linear(10)(x), x)


def test_foreign_images_are_made_of_the_test_images():
    one = training("undercomplete", epochs=1)
    x = one.test.tensors[0].numpy()
    foreign = one.foreign()
    np.testing.assert_array_equal(foreign["turned"][3, 0, 0], x[3, 0, :, -1])
    np.testing.assert_allclose(foreign["negative"] + x, 1.0)
    assert not np.array_equal(foreign["shuffled"], x)
    np.testing.assert_array_equal(*(np.sort(y[5].ravel()) for y in (foreign["shuffled"], x)))


# -- Denoising ------------------------------------------------------------------------------------


def test_noise_has_its_size_and_the_image_is_the_target():
    x = mg.full((200, *SHAPE), 0.5)
    with seeded(0):
        change = Denoising(Overcomplete(SHAPE, 8), "gaussian", 0.3).corrupted(x).numpy() - 0.5
    assert abs(change.mean()) < 0.02
    assert change.std() == pytest.approx(0.3, rel=0.05)
    with seeded(0):
        masked = Denoising(Overcomplete(SHAPE, 8), "masking", 0.3).corrupted(x).numpy()
    assert set(np.unique(masked)) == {0.0, 0.5}
    assert (masked == 0.0).mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
def test_the_network_sees_the_noise_and_the_loss_does_not(corruption):
    network, x = shaken(Denoising(Overcomplete(SHAPE, 8), corruption, 0.5)), images()
    with seeded(1):
        found = network.loss(x).item()
    with seeded(1):
        sums = network.decoder(network.encode(network.corrupted(x)))
    assert found == cross_entropy(sums, x).item()
    assert found != cross_entropy(network.decoder(network.encode(x)), x).item()


def test_the_noise_of_the_test_images_is_the_same_in_every_run():
    first = training("denoising", epochs=1)
    mg.manual_seed(7)
    again = training("denoising", epochs=1, seed=7)
    np.testing.assert_array_equal(first.noisy.numpy(), again.noisy.numpy())
    assert not np.array_equal(first.noisy.numpy(), first.test.tensors[0].numpy())


def test_the_best_filter_is_the_best_of_all_windows():
    clean = images(6, (1, 12, 12)).numpy()
    noisy = clean + 0.4 * np.random.default_rng(2).normal(size=clean.shape)
    filtered, name = best_wiener(noisy, clean, 0.16)
    found = {
        size: psnr(np.stack([wiener(image[0], size, 0.16) for image in noisy]), clean[:, 0])
        for size in (3, 5, 7, 9)
    }
    assert psnr(filtered, clean) >= max(found.values()) - 1e-9
    if name.endswith("known"):
        assert psnr(filtered, clean) == pytest.approx(found[int(name[0])], rel=1e-9)
    assert psnr(filtered, clean) > psnr(noisy, clean)


def test_constant_windows_are_no_obstacle_to_the_filter():
    blank = np.zeros((2, 1, 8, 8))
    filtered, _ = best_wiener(blank, blank + 0.1, None)
    assert np.isfinite(filtered).all()


# -- Sparse ---------------------------------------------------------------------------------------


@given(st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5), st.floats(0.02, 0.9))
def test_the_penalty_is_the_divergence_and_zero_at_the_target(means, rho):
    network = Sparse(SHAPE, 8, rho, 1.0, 0.0)
    h = np.array([means, means])
    expected = sum(
        rho * math.log(rho / q) + (1.0 - rho) * math.log((1.0 - rho) / (1.0 - q)) for q in means
    )
    assert network.penalty(mg.tensor(h)).item() == pytest.approx(expected, abs=1e-9)
    assert network.penalty(mg.tensor(0.0 * h + rho)).item() == pytest.approx(0.0, abs=1e-9)
    assert expected >= -1e-12


def test_the_gradient_of_the_penalty():
    network = Sparse(SHAPE, 8, 0.1, 1.0, 0.0)
    h = np.random.default_rng(0).uniform(0.1, 0.9, (4, 3))
    assert gradcheck(network.penalty, [mg.tensor(h, requires_grad=True)])


@given(st.floats(0.0, 5.0), st.floats(0.0, 1.0))
def test_the_loss_adds_as_much_of_both_penalties_as_it_is_asked_to(sparsity, decay):
    x = images()
    network = shaken(Sparse(SHAPE, 20, 0.05, sparsity, decay))
    weights = [p.numpy() for name, p in network.named_parameters() if name.endswith("weight")]
    assert [w.shape for w in weights] == [(20, 16), (16, 20)]
    h = network.encode(x)
    expected = cross_entropy(network.decoder(h), x).item() + sparsity * network.penalty(h).item()
    expected += 0.5 * decay * sum((w**2).sum() for w in weights)
    assert network.loss(x).item() == pytest.approx(expected, rel=1e-12)


def test_units_start_at_their_target_and_stay_near_it():
    one = training("sparse", 1000, epochs=15, hidden=200)
    assert one.activity().mean() == pytest.approx(0.05, rel=0.1)
    for _ in range(15):
        one.epoch(SILENT)
    measured = one.evaluate()
    assert measured["test_activity"] == pytest.approx(0.05, abs=0.02)
    x = one.test.tensors[0].numpy()
    of_the_mean_image = squared_error(np.broadcast_to(x.mean(0), x.shape), x)
    assert measured["test_error"] < 0.9 * of_the_mean_image  # so they look for something


# -- Convolutional --------------------------------------------------------------------------------


def test_strides_lead_to_the_code_and_back():
    network = Convolutional((3, 8, 12), 4, 5)
    x = mg.rand(2, 3, 8, 12)
    assert network.encode(x).shape == (2, 5)
    assert network.encoder[:4](x).shape == (2, 8, 2, 3)
    assert network(x).shape == x.shape


def test_sizes_that_the_strides_do_not_divide_are_refused_with_those_that_work():
    with pytest.raises(ValueError, match=r"of 30 × 33; 28 × 32 or 32 × 36 would do"):
        Convolutional((1, 30, 33), 4, 5)


# -- Compression ----------------------------------------------------------------------------------


@given(st.floats(-1.0, 1.0), st.sampled_from(LEVELS))
def test_a_number_is_rounded_to_the_nearest_level(z, levels):
    values = np.linspace(-1.0, 1.0, levels)
    found = level(mg.tensor([z], dtype="float64"), levels).item()
    assert found == int(found)
    assert abs(values[int(found)] - z) <= np.abs(values - z).min() + 1e-12


def test_noise_in_training_is_as_large_as_rounding():
    """Uniform between half a level down and half a level up, of other levels for each image."""
    network = Compression(SHAPE, 8, 50)
    seen = []
    network.decoder.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    x = images(400).astype("float32")
    with seeded(0):
        loss = network.loss(x)
    noise = seen[0].numpy() - network.encode(x).numpy()
    widths = 2.0 / (np.array(LEVELS) - 1.0)
    largest = np.abs(noise).max(1)
    ratios = 2.0 * largest[:, None] / widths
    ratios[ratios > 1.00001] = 0.0  # more than these levels allow
    nearest = ratios.argmax(1)
    assert set(nearest) == set(range(len(LEVELS)))
    for i, width in enumerate(widths):
        own = noise[nearest == i]
        assert abs(own.mean()) < 0.05 * width
        assert own.std() == pytest.approx(width / math.sqrt(12.0), rel=0.05)
    assert loss.item() == pytest.approx(cross_entropy(network.decoder(seen[0]), x).item())


@given(st.integers(1, 4), st.sampled_from(LEVELS), seeds)
def test_bits_are_the_entropy_of_the_levels(code, levels, seed):
    every = np.repeat(np.arange(levels)[:, None], code, 1)
    assert bits(every) == pytest.approx(code * math.log2(levels))
    assert bits(np.zeros((7, code))) == 0.0
    drawn = np.random.default_rng(seed).integers(0, levels, (30, code))
    assert 0.0 <= bits(drawn) <= code * math.log2(levels) + 1e-9
    assert bits(np.concatenate([drawn, drawn])) == pytest.approx(bits(drawn))


def test_few_levels_are_few_bits_and_much_error():
    one = training("compression", 1000, 200, epochs=15, hidden=100, lr=5e-3)
    for _ in range(15):
        one.epoch(SILENT)
    rates = one.rates()
    assert [levels for levels, _, _ in rates] == list(LEVELS)
    for levels, rate, _ in rates:
        assert rate <= 10 * math.log2(levels) / 64
    x = one.test.tensors[0]
    plain = squared_error(restored(one.network, x), x)
    assert rates[-1][2] == pytest.approx(plain, rel=0.05)
    assert rates[0][2] > rates[-1][2]


def test_jpeg_is_counted_without_its_tables():
    x = DATA_SETS["digits"].load("numpy").test.tensors[0].numpy()
    tables, coded, back = jpeg(x, 90)
    assert back.shape == (19 * 19, 1, 8, 8)
    assert squared_error(back, x[:361]) < 0.02
    assert 100 < tables < 700
    fewer, less, _ = jpeg(np.concatenate([x] * 4), 90)
    assert abs(fewer - tables) < 30
    assert less / 38**2 == pytest.approx(coded / 19**2, rel=0.05)
    _, small, blurred = jpeg(x, 5)
    assert small < coded / 3
    assert squared_error(blurred, x[:361]) > 1.0


# -- Few labels -----------------------------------------------------------------------------------


def test_labels_are_of_every_class_and_others_in_every_trial():
    one = training("few-labels", 600, epochs=1, labels=20)
    x, labels = one.labelled(20, 0).tensors
    assert sorted(labels.numpy()) == sorted(list(range(10)) * 2)
    np.testing.assert_array_equal(one.labelled(20, 0).tensors[0].numpy(), x.numpy())
    assert not np.array_equal(one.labelled(20, 1).tensors[0].numpy(), x.numpy())
    assert len(one.labelled(600, 0)) == 600
    for image, label in zip(x.numpy(), labels.numpy(), strict=True):
        places = np.flatnonzero((one.train.tensors[0].numpy() == image).all((1, 2, 3)))
        assert label in one.train.tensors[1].numpy()[places]


def test_the_classifier_starts_from_the_encoder_and_leaves_it_alone():
    one = training("few-labels", 600, epochs=1, labels=20)
    before = [p.numpy().copy() for p in one.first.encoder.parameters()]
    networks = {start: one.classifier(start) for start in ("pretrained", "random")}
    for start, network in networks.items():
        found = [p.numpy() for p in network.parameters()][: len(before)]
        same = [np.array_equal(a, b) for a, b in zip(found, before, strict=True)]
        assert same == ([True] * 4 if start == "pretrained" else [False, True] * 2)  # biases are 0
        assert network(one.test.tensors[0]).shape == (60, 10)
    one.tune(networks["pretrained"], one.labelled(20, 0))
    for parameter, value in zip(one.first.encoder.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.numpy(), value)
    x, labels = one.labelled(20, 0).tensors
    networks["pretrained"].eval()
    assert (networks["pretrained"](x).argmax(-1) == labels).numpy().mean() > 0.9


def test_every_trial_is_measured_once_and_survives_a_checkpoint(tmp_path):
    changes = {"epochs": 2, "labels": 20, "trials": 2}
    one = training("few-labels", 300, **changes)
    one.pictures = lambda *_: None
    run, history = Run.create(tmp_path / "run", {}), []
    fit(one, run, history, quiet=True)
    assert set(one.found) == {f"{s}_{n}" for s in ("pretrained", "random") for n in (20, 200)}
    assert all(len(errors) == 2 for errors in one.found.values())
    assert "random_20_error" not in history[0]
    mean = np.mean(one.found["random_20"]) / 100.0
    assert history[1]["random_20_error"] == pytest.approx(mean)
    again = training("few-labels", 300, **changes)
    restore(again, run)
    assert again.report() == one.report()
    assert "200 labels, pretrained weights" in again.report()


# -- Measures -------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(seed=seeds, code=st.integers(1, 6))
def test_principal_components_leave_the_least_variance(seed, code):
    """What is lost are the smallest eigenvalues of the covariance; nothing if none is left out."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=(40, 6)) @ rng.normal(size=(6, 6)) + 3.0).reshape(40, 1, 2, 3)
    pca = PrincipalComponents(x, code)
    assert pca.encode(x).shape == (40, code)
    spectrum = np.linalg.eigvalsh(np.cov(x.reshape(40, 6).T, bias=True))
    lost = spectrum[: 6 - code].sum()
    assert squared_error(pca(x), x) == pytest.approx(lost, rel=1e-6, abs=1e-9)


def test_errors_are_sums_over_pixels_and_ratios_are_of_pixels():
    x = np.zeros((4, 1, 5, 5))
    assert squared_error(x + 0.1, x) == pytest.approx(0.25)
    assert psnr(x + 0.1, x) == pytest.approx(20.0)
    assert psnr(mg.tensor(x + 0.01), mg.tensor(x)) == pytest.approx(40.0)


def test_batches_do_not_show_in_what_comes_back():
    network, x = shaken(Undercomplete(SHAPE, 8, 3)), images(7)
    np.testing.assert_allclose(restored(network, x, 3).numpy(), network(x).numpy(), atol=1e-12)


def test_neighbours_are_others():
    points = np.array([[0.0, 0.0], [0.1, 0.0], [5.0, 0.0], [5.2, 0.0], [5.3, 0.0]])
    assert neighbours(points, np.array([0, 0, 0, 1, 1])) == pytest.approx(0.8)


# -- The commands ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TRAININGS)
def test_every_kind_reports_and_draws(kind, tmp_path):
    one = training(kind, epochs=1, labels=20, trials=1)
    history = [{"epoch": 1} | one.epoch(SILENT) | one.evaluate()]
    assert one.metric in history[0]
    assert "test error" in one.report() or len(one.report().splitlines()) >= 1
    one.pictures(tmp_path, history)
    drawn = {path.stem for path in tmp_path.iterdir()}
    own = {
        "undercomplete": {"foreign", "interpolation"},
        "plane": {"map"},
        "denoising": {"denoised"},
        "sparse": {"filters"},
        "compression": {"rate"},
        "few-labels": {"denoised", "few-labels"},
    }
    assert drawn >= {"curves"} | own.get(kind, {"reconstructions"})
    one.sample(3, tmp_path / "..")
    assert (tmp_path / ".." / "reconstructions.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--code 0", "autoencoder: --code wants a positive integer, got 0"),
        ("--hidden 3", "autoencoder: --hidden wants at least 4, got 3"),
        ("--kind convolutional --filters 0", "--filters wants a positive integer, got 0"),
        ("--kind sparse --target 1.5", "autoencoder: --target wants 0 < ρ < 1, got 1.5"),
        ("--kind sparse --target 0", "autoencoder: --target wants 0 < ρ < 1, got 0"),
        ("--kind denoising --corruption masking --noise 1", "--noise wants less than 1"),
        ("--kind few-labels --labels 9", "autoencoder: --labels wants 10 to 1435, got 9"),
        ("--kind few-labels --trials 0", "--trials wants a positive integer, got 0"),
        ("--kind sparse --code 3", "--code: autoencoder on digits"),
        ("--noise 0.1", "--noise: autoencoder on digits"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(options, message, capsys, tmp_path):
    assert main(["train", "autoencoder", *options.split(), "--out", str(tmp_path / "run")]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_networks_are_importable_by_name():
    assert {"Autoencoder", "Undercomplete", "between"} <= set(vars(autoencoder))
