"""The restricted Boltzmann machine: its energy, its gradient, its likelihood, what it learns."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from models.data import DATA_SETS, Examples
from models.rbm import ARCHITECTURE, CHAINS, KINDS, RBM, Annealing, RBMTraining, estimate
from models.training import Progress

SILENT = Progress("", total=0, unit="", quiet=True)
each_kind = pytest.mark.parametrize("visible", KINDS)


def machine(visible, n_visible=5, n_hidden=4, seed=0, size=1.0):
    """A machine with weights and biases of a normal distribution, in float64."""
    rng = np.random.default_rng(seed)
    network = RBM(n_visible, n_hidden, visible).to("float64")
    for parameter in network.parameters():
        parameter.overwrite(size * rng.normal(size=parameter.shape))
    return network


def rows(visible, n, n_visible=5, seed=1):
    """Visible units at random, (n, n_visible)."""
    rng = np.random.default_rng(seed)
    shape = (n, n_visible)
    return mg.tensor(
        rng.normal(size=shape) if visible == "gaussian" else 1.0 * rng.integers(0, 2, shape)
    )


def states(n):
    """All states of n binary units."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def digits(epochs=4, **changes):
    """A training of few digits, and the settings of the command with some of them changed."""
    given_ = {**ARCHITECTURE.settings["digits"], "epochs": epochs, "temperatures": 200, "seed": 0}
    given_ = SimpleNamespace(**{**given_, **changes})
    data = DATA_SETS["digits"].load("numpy")
    mg.manual_seed(0)
    network = ARCHITECTURE.build(DATA_SETS["digits"], given_)
    return RBMTraining(network, data, given_)


# -- Energy ---------------------------------------------------------------------------------------


@each_kind
def test_the_energy_by_its_sums(visible):
    network = machine(visible)
    v, h = rows(visible, 3), mg.tensor(states(4)[[1, 6, 15]])
    w, c, b = (parameter.numpy() for parameter in network.parameters())
    for i, energy in enumerate(network.energy(v, h).numpy()):
        x, y = v.numpy()[i], h.numpy()[i]
        expected = -sum(y[j] * w[j, k] * x[k] for j, k in itertools.product(range(4), range(5))) - (
            b @ x + c @ y
        )
        if visible == "gaussian":
            expected += 0.5 * x @ x
        assert energy == pytest.approx(expected, rel=1e-12)


@each_kind
def test_the_free_energy_sums_over_all_hidden_states(visible):
    network = machine(visible)
    v, h = rows(visible, 6), states(4)
    for row, free in zip(v.numpy(), network.free_energy(v).numpy(), strict=True):
        energies = network.energy(mg.tensor(np.tile(row, (16, 1))), mg.tensor(h)).numpy()
        assert free == pytest.approx(-np.log(np.exp(-energies).sum()), rel=1e-12)


@each_kind
def test_hidden_units_fire_with_the_probability_of_the_energy(visible):
    network = machine(visible)
    v, h = rows(visible, 3), states(4)
    for row, p in zip(v.numpy(), network.hidden(v).numpy(), strict=True):
        weight = np.exp(-network.energy(mg.tensor(np.tile(row, (16, 1))), mg.tensor(h)).numpy())
        np.testing.assert_allclose(p, weight @ h / weight.sum(), rtol=1e-12)


def test_visible_units_fire_with_the_probability_of_the_energy():
    network = machine("bernoulli")
    v = states(5)
    for h in states(4)[[0, 5, 14]]:
        weight = np.exp(-network.energy(mg.tensor(v), mg.tensor(np.tile(h, (32, 1)))).numpy())
        p = network.visible(mg.tensor(h[None])).numpy()[0]
        np.testing.assert_allclose(p, weight @ v / weight.sum(), rtol=1e-12)


def test_gaussian_units_have_the_mean_at_the_least_energy_and_variance_1():
    network = machine("gaussian")
    h = mg.tensor(states(4)[5:6])
    mean = network.visible(h)
    v = mg.Tensor(mean.array, requires_grad=True)
    (slope,) = mg.grad(network.energy(v, h).sum(), [v])
    np.testing.assert_allclose(slope.numpy(), 0.0, atol=1e-12)
    drawn = network.drawn(mg.zeros((20000, 5)) + mean).numpy()
    np.testing.assert_allclose(drawn.mean(0), mean.numpy()[0], atol=0.04)
    np.testing.assert_allclose(drawn.var(0), 1.0, atol=0.05)


def test_a_kind_of_units_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="RBM: visible wants one of bernoulli, gaussian, got 'x'"):
        RBM(2, 3, "x")


# -- The gradient ---------------------------------------------------------------------------------


@each_kind
def test_the_gradient_of_the_free_energy_is_the_positive_phase(visible):
    """−∂F/∂w = p(h = 1 | v) vᵀ, −∂F/∂c = p(h = 1 | v), −∂F/∂b = v, in the mean over rows."""
    network, v = machine(visible), rows(visible, 7)
    w, c, b = mg.grad(network.free_energy(v).mean(), list(network.parameters()))
    p = network.hidden(v).numpy()
    np.testing.assert_allclose(-w.numpy(), p.T @ v.numpy() / 7, atol=1e-12)
    np.testing.assert_allclose(-c.numpy(), p.mean(0), atol=1e-12)
    np.testing.assert_allclose(-b.numpy(), v.numpy().mean(0), atol=1e-12)


@settings(max_examples=30)
@given(
    visible=st.sampled_from(KINDS),
    n=st.integers(1, 6),
    m=st.integers(1, 6),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_update_is_the_gradient_of_a_difference_of_free_energies(visible, n, m, seed):
    network = machine(visible, seed=seed)
    v, r = rows(visible, n, seed=seed), rows(visible, m, seed=seed + 1)
    difference = network.free_energy(v).mean() - network.free_energy(r).mean()
    expected = mg.grad(difference, list(network.parameters()))
    network.contrast(v, network.hidden(v), r, network.hidden(r))
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient.numpy(), atol=1e-10)


@each_kind
@pytest.mark.parametrize("k", [1, 3])
def test_a_step_of_contrastive_divergence_by_its_equations(visible, k):
    network, v = machine(visible), rows(visible, 6)
    w, c, b = (parameter.numpy().copy() for parameter in network.parameters())

    def logistic(x):
        return 1.0 / (1.0 + np.exp(-x))

    x = v.numpy()
    p = q = logistic(x @ w.T + c)
    with seeded(3):
        for _ in range(k):
            h = 1.0 * (mg.rand(6, 4, dtype="float64").numpy() < q)
            r = h @ w + b
            r = r if visible == "gaussian" else logistic(r)
            q = logistic(r @ w.T + c)
    with seeded(3):
        error = network.cd_step(v, lr=0.2, k=k)
    assert error.item() == pytest.approx(((x - r) ** 2).mean())
    expected = (
        w + 0.2 * (p.T @ x - q.T @ r) / 6,
        c + 0.2 * (p - q).mean(0),
        b + 0.2 * (x - r).mean(0),
    )
    for parameter, value in zip(network.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.numpy(), value, atol=1e-12)


def test_the_exact_gradient_is_that_of_the_log_likelihood():
    """With all states of the machine for the negative phase, `contrast` is maximum likelihood."""
    network, v = machine("bernoulli"), rows("bernoulli", 4)
    everywhere = mg.tensor(states(5))
    z = mg.logsumexp(-network.free_energy(everywhere))
    expected = mg.grad(network.free_energy(v).mean() + z, list(network.parameters()))
    p = mg.exp(-network.free_energy(everywhere) - network.log_z()).numpy()
    counts = np.random.default_rng(0).multinomial(200_000, p)
    drawn = mg.tensor(np.repeat(states(5), counts, axis=0))
    network.contrast(v, network.hidden(v), drawn, network.hidden(drawn))
    for parameter, gradient in zip(network.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient.numpy(), atol=0.01)


def renamed(network, layer):
    """The same machine after 0 and 1 of all units of a layer have changed names."""
    w, c, b = (parameter.numpy() for parameter in network.parameters())
    values = (-w, c + w.sum(1), -b) if layer == "visible" else (-w, -c, b + w.sum(0))
    other = RBM(w.shape[1], w.shape[0]).to("float64")
    for parameter, value in zip(other.parameters(), values, strict=True):
        parameter.overwrite(value)
    return other


def moved(network, v, r, enhanced):
    network.contrast(v, network.hidden(v), r, network.hidden(r), enhanced)
    for parameter in network.parameters():
        parameter.overwrite(parameter.numpy() - 0.3 * parameter.grad.numpy())


@pytest.mark.parametrize("layer", ["visible", "hidden"])
@pytest.mark.parametrize("enhanced", [True, False])
def test_the_enhanced_gradient_alone_does_not_mind_the_names_of_states(layer, enhanced):
    """After a step the two machines still are the same one (Cho et al. 2011)."""
    network, v, r = machine("bernoulli"), rows("bernoulli", 6), rows("bernoulli", 4, seed=2)
    other = renamed(network, layer)
    everywhere = mg.tensor(states(5))

    def seen(x):
        return 1.0 - x if layer == "visible" else x

    def difference():
        return (network.free_energy(everywhere) - other.free_energy(seen(everywhere))).numpy()

    assert np.ptp(difference()) < 1e-12
    moved(network, v, r, enhanced)
    moved(other, seen(v), seen(r), enhanced)
    assert (np.ptp(difference()) < 1e-12) == enhanced


# -- Likelihood -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_visible", "n_hidden"), [(5, 4), (4, 5), (3, 14)])
def test_z_is_the_sum_over_all_states(n_visible, n_hidden):
    network = machine("bernoulli", n_visible, n_hidden)
    v = states(n_visible)
    total = sum(
        np.exp(-network.energy(mg.tensor(np.tile(row, (2**n_hidden, 1))), h).numpy()).sum()
        for h in (mg.tensor(states(n_hidden)),)
        for row in v
    )
    assert network.log_z().item() == pytest.approx(math.log(total), rel=1e-12)


def test_the_states_of_a_large_layer_come_in_blocks():
    network = machine("bernoulli", 60, 14, size=0.1)
    h = mg.tensor(states(14))
    logs = h @ network.hidden_bias + network.log_normaliser(
        h @ network.weight + network.visible_bias
    )
    assert network.log_z().item() == pytest.approx(mg.logsumexp(logs).item(), rel=1e-12)


def test_z_of_gaussian_units_is_an_integral():
    network = machine("gaussian", n_visible=1, n_hidden=3)
    v = np.linspace(-15.0, 15.0, 3001)[:, None]
    density = np.exp(-network.free_energy(mg.tensor(v)).numpy())
    integral = density.sum() * (v[1, 0] - v[0, 0])
    assert network.log_z().item() == pytest.approx(math.log(integral), abs=1e-9)


@pytest.mark.parametrize(("shape", "visible"), [((21, 21), "bernoulli"), ((3, 21), "gaussian")])
def test_z_of_too_many_states_is_refused(shape, visible):
    message = (
        rf"RBM.log_z: wants a layer of at most 20 binary units, got {shape[0]} {visible} visible"
    )
    with pytest.raises(ValueError, match=message):
        RBM(*shape, visible).log_z()


@each_kind
@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_annealing_finds_z(visible, direction):
    network = machine(visible, 12, 6, size=0.5)
    base = mg.zeros(12, dtype="float64") + 0.3
    annealing = Annealing(network, base, 300)
    mg.manual_seed(0)
    if direction == "forward":
        found = estimate(annealing.forward(400))
        low, high = found.interval
    else:
        found = estimate(annealing.backward(network.gibbs(rows(visible, 400, 12), 300)))
        low, high = (-value for value in reversed(found.interval))
    assert low < network.log_z().item() < high
    assert high - low < 0.2


def test_annealing_without_weights_is_exact():
    network = machine("bernoulli")
    network.weight.overwrite(np.zeros((4, 5)))
    network.hidden_bias.overwrite(np.zeros(4))
    weights = Annealing(network, network.visible_bias.detach(), 3).forward(5).numpy()
    np.testing.assert_allclose(weights, network.log_z().item(), rtol=1e-12)


def test_the_weight_of_one_temperature_is_the_importance_weight():
    """With a single step from A to the machine, log w = log p*(v) − log p*_A(v) + log Z_A."""
    network = machine("bernoulli")
    base = mg.tensor(np.linspace(-1.0, 1.0, 5))
    annealing = Annealing(network, base, 1)
    v = rows("bernoulli", 8)
    expected = -network.free_energy(v) - (v @ base + 4.0 * math.log(2.0))
    np.testing.assert_allclose(annealing.gain(v, 0.0, 1.0).numpy(), expected.numpy(), atol=1e-12)
    z = np.exp(states(5) @ base.numpy()).sum() * 2.0**4
    assert annealing.log_z_base.item() == pytest.approx(math.log(z), rel=1e-12)


def test_the_mean_of_weights_and_its_error():
    weights = np.array([1.0, 2.0, 3.0, 6.0])
    found = estimate(mg.tensor(np.log(weights) + 700.0))  # e^700 would overflow float32
    assert found.log == pytest.approx(700.0 + math.log(3.0))
    assert found.error == pytest.approx(weights.std(ddof=1) / 2.0 / 3.0)
    assert estimate(mg.zeros(10)).interval == (0.0, 0.0)
    low, high = found.interval
    assert low == -math.inf
    assert high == pytest.approx(700.0 + math.log(3.0 + 3.0 * weights.std(ddof=1) / 2.0))


def test_the_pseudo_likelihood_by_its_conditionals():
    network = machine("bernoulli")
    v = rows("bernoulli", 4)
    joint = np.exp(-network.free_energy(mg.tensor(states(5))).numpy())
    place = {tuple(row): p for row, p in zip(states(5), joint, strict=True)}
    for row, found in zip(v.numpy(), network.pseudo_log_likelihood(v).numpy(), strict=True):
        expected = 0.0
        for i in range(5):
            other = row.copy()
            other[i] = 1.0 - other[i]
            here, there = place[tuple(row)], place[tuple(other)]
            expected += math.log(here / (here + there))
        assert found == pytest.approx(expected, rel=1e-12)


def test_gibbs_sampling_leaves_the_distribution_as_it_is():
    network = machine("bernoulli", n_visible=3, n_hidden=2)
    p = np.exp(-network.free_energy(mg.tensor(states(3))).numpy() - network.log_z().item())
    mg.manual_seed(0)
    v = network.gibbs(rows("bernoulli", 40_000, 3), 30).numpy()
    counts = np.bincount((v @ [4, 2, 1]).astype(int), minlength=8)
    np.testing.assert_allclose(counts / 40_000, p, atol=0.01)


# -- Training -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("chains", "gradient"), [("persistent", "enhanced"), ("data", "plain")])
def test_digits_are_learned(chains, gradient):
    """Better than independent pixels, and AIS agrees with the exact value within 0.2 nats."""
    training = digits(epochs=8, lr=0.2, chains=chains, gradient=gradient, temperatures=1000)
    alone = training.evaluate()["test_log_likelihood"]
    for _ in range(8):
        training.epoch(SILENT)
    found = training.evaluate()
    assert found["test_log_likelihood"] > alone + 1.5
    assert found["ais_log_z"] == pytest.approx(found["log_z"], abs=0.2)
    assert found["backward_log_z"] == pytest.approx(found["log_z"], abs=0.2)
    assert found["test_reconstruction"] < 0.13


def test_gaussian_units_learn_standardised_digits():
    training = digits(epochs=6, lr=0.2, visible="gaussian")
    alone = training.evaluate()["test_log_likelihood"]
    for _ in range(6):
        training.epoch(SILENT)
    found = training.evaluate()
    assert found["test_log_likelihood"] > alone + 1.0
    assert "test_pseudo_likelihood" not in found
    x = training.train.tensors[0]
    np.testing.assert_allclose(training.images(training.seen(x)), x.numpy(), atol=1e-5)


def one_step(**changes):
    """A training after its first step, its weights before, and p(h = 1 | v) of that step."""
    training = digits(**changes)
    before = {name: value.numpy().copy() for name, value in training.network.state_dict().items()}
    batch = next(iter(training.loader))
    with seeded(1):
        p = training.network.hidden(training.seen(batch[0])).numpy()
    with seeded(1):
        training.step(*batch)
    return training, before, p


@pytest.mark.parametrize("chains", ["persistent", "data"])
def test_weights_decay_and_hidden_units_are_pulled_to_their_target(chains):
    plain, before, p = one_step(chains=chains)
    decayed, _, _ = one_step(chains=chains, weight_decay=0.5)
    sparse, _, _ = one_step(chains=chains, sparsity=2.0, target=0.2)
    lr = plain.settings.lr
    pull = -lr * 2.0 * (p.mean(0) - 0.2)
    for name, value in plain.network.state_dict().items():
        by_decay = -lr * 0.5 * before[name] if name == "weight" else 0.0
        by_sparsity = pull if name == "hidden_bias" else 0.0
        for other, change in ((decayed, by_decay), (sparse, by_sparsity)):
            found = other.network.state_dict()[name].numpy()
            np.testing.assert_allclose(found, value.numpy() + change, atol=1e-6)


def test_momentum_keeps_a_part_of_the_last_update():
    training, _, _ = one_step(momentum=0.9)
    first = training.network.weight.grad.numpy()
    weight = training.network.weight.numpy().copy()
    lr = training.optimizer.param_groups[0]["lr"]
    training.step(*next(iter(training.loader)))
    expected = weight - lr * (0.9 * first + training.network.weight.grad.numpy())
    np.testing.assert_allclose(training.network.weight.numpy(), expected, atol=1e-6)


def test_persistent_chains_go_on_and_others_start_at_the_data():
    training = digits(batch_size=100)
    batch = next(iter(training.loader))
    chain = training.chain
    with seeded(1):
        training.seen(batch[0])
        expected = training.network.gibbs(chain, training.settings.k)
    with seeded(1):
        training.step(*batch)
    np.testing.assert_array_equal(training.chain.numpy(), expected.numpy())
    training.settings.chains = "data"
    training.step(*batch)
    np.testing.assert_array_equal(training.chain.numpy(), expected.numpy())


def test_the_learning_rate_falls_to_zero_and_the_average_follows():
    training = digits(epochs=2)
    for _ in range(2):
        training.epoch(SILENT)
    assert training.optimizer.param_groups[0]["lr"] == pytest.approx(0.0, abs=1e-12)
    for mean, value in zip(
        training.average.parameters(), training.network.parameters(), strict=True
    ):
        assert 0.0 < np.abs(mean.numpy() - value.numpy()).max() < 0.5


def test_a_training_image_is_drawn_anew_and_the_test_images_once():
    first, second = digits(), digits(seed=5)
    np.testing.assert_array_equal(first.seen_test.numpy(), second.seen_test.numpy())
    x = first.train.tensors[0][:50]
    draws = np.stack([first.seen(x).numpy() for _ in range(400)])
    assert set(np.unique(draws)) == {0.0, 1.0}
    np.testing.assert_allclose(draws.mean(0), x.numpy().reshape(50, -1), atol=0.13)


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_numbers_that_are_no_probabilities_are_refused(shift):
    x = (np.random.default_rng(0).random((8, 1, 2, 2)) + shift).astype("float32")
    table = TensorDataset(x, np.zeros(8, int))
    given_ = SimpleNamespace(**ARCHITECTURE.settings["digits"], seed=0)
    message = r"rbm: Bernoulli units want data in \[0, 1\], got .* --visible gaussian takes any"
    with pytest.raises(ValueError, match=message):
        RBMTraining(RBM(4, 3), Examples(table, table, ("a",)), given_)
    given_.visible = "gaussian"
    training = RBMTraining(RBM(4, 3, "gaussian"), Examples(table, table, ("a",)), given_)
    np.testing.assert_allclose(training.seen(table.tensors[0]).numpy().mean(0), 0.0, atol=1e-6)


@each_kind
def test_it_is_drawn_and_reports(visible, tmp_path):
    training = digits(epochs=1, visible=visible)
    training.epoch(SILENT)
    entry = {"epoch": 1, **training.evaluate()}
    training.pictures(tmp_path, [entry, {**entry, "epoch": 2}])
    assert training.sample(13, tmp_path) == ""
    names = {"filters.png", "chains.png", "likelihood.png", "fantasies.png"}
    assert {path.name for path in tmp_path.iterdir()} == names
    said = training.report()
    assert f"{CHAINS} chains, 200 temperatures" in said
    assert f"exact: log Z {entry['log_z']:.2f}" in said


def test_fantasies_are_as_many_as_asked():
    training = digits()
    assert training.fantasies(45, steps=2).shape == (45, 64)
    training.settings.chains = "data"
    assert training.fantasies(7, steps=2).shape == (7, 64)


def test_the_machine_for_mnist_has_its_size():
    assert ARCHITECTURE.size("mnist") == 784 * 500 + 784 + 500
