"""The Boltzmann machine: sampling against enumeration, learning against the gradient of log p."""

import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from minigrad.gradcheck import gradcheck
from models.__main__ import main
from models.boltzmann import (
    ANNEALING,
    ARCHITECTURE,
    BoltzmannMachine,
    all_states,
    copies,
    environment,
    with_biases,
)
from models.data import Examples
from models.run import Run
from models.training import Progress, fit, restore
from tests import strict

SILENT = Progress("", total=0, unit="", quiet=True)


def symmetric(rng, m, n, size=1.0):
    """Weights with biases on the diagonal, (m, n, n)."""
    w = np.triu(rng.normal(size=(m, n, n)) * size, 1)
    return w + w.swapaxes(1, 2) + rng.normal(size=(m, n, 1)) * size * np.eye(n)


def machine_of(weights, visible, temperature=1.0):
    """Fully connected machines with weights, and biases on the diagonal, in float64."""
    m, n, _ = weights.shape
    machine = BoltzmannMachine(1.0 - np.eye(n), visible, m, temperature).to("float64")
    machine.change(mg.Tensor(weights))
    return machine


@st.composite
def machines(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(1, 5))
    visible = draw(st.integers(1, n))
    temperature = draw(st.sampled_from([0.7, 1.0, 10.0]))
    return machine_of(symmetric(rng, draw(st.integers(1, 3)), n, temperature), visible, temperature)


def by_hand(machine, i):
    """Probabilities of all states of machine i, {state: p}, from the equation of the energy."""
    w, b = machine.weight.numpy()[i], machine.bias.numpy()[i]
    n = len(b)
    weights = {}
    for s in itertools.product((0, 1), repeat=n):
        energy = -sum(w[j, k] * s[j] * s[k] for j in range(n) for k in range(j))
        energy -= sum(b[j] * s[j] for j in range(n))
        weights[s] = math.exp(-energy / machine.temperature)
    z = sum(weights.values())
    return {s: weight / z for s, weight in weights.items()}


def together(p):
    """How often two units are on together, (n, n), for probabilities {state: p}."""
    return sum(probability * np.outer(s, s) for s, probability in p.items())


# -- Enumeration ----------------------------------------------------------------------------------


def test_all_states_count_in_binary():
    np.testing.assert_array_equal(
        all_states(2, mg.ones(1)).numpy(), [[0, 0], [0, 1], [1, 0], [1, 1]]
    )
    assert all_states(0, mg.ones(1)).shape == (1, 0)


@given(machines())
def test_probabilities_are_those_of_the_energy(machine):
    found = np.exp(machine.log_probabilities().numpy())
    assert found.shape[1:] == (2**machine.visible, 2**machine.hidden)
    for i, row in enumerate(found.reshape(len(found), -1)):
        np.testing.assert_allclose(row, list(by_hand(machine, i).values()), atol=1e-12)


@given(machines(), st.integers(0, 2**32 - 1))
def test_exact_statistics_are_means_over_all_states(machine, seed):
    q = np.random.default_rng(seed).dirichlet(np.ones(2**machine.visible))
    clamped, free = machine.exact_statistics(mg.Tensor(q))
    for i in range(len(machine.weight)):
        p = by_hand(machine, i)
        np.testing.assert_allclose(free.numpy()[i], together(p), atol=1e-12)
        seen = list(itertools.product((0, 1), repeat=machine.visible))
        expected = np.zeros(free.shape[1:])
        for v, probability in zip(seen, q, strict=True):
            given_v = {s: p[s] for s in p if s[: machine.visible] == v}
            total = sum(given_v.values())
            expected += probability * together({s: x / total for s, x in given_v.items()})
        np.testing.assert_allclose(clamped.numpy()[i], expected, atol=1e-12)


@given(machines(), st.integers(0, 2**32 - 1))
def test_the_divergence_is_that_of_the_equation(machine, seed):
    q = np.random.default_rng(seed).dirichlet(np.ones(2**machine.visible))
    q[0] = 0.0
    q = q / q.sum()
    found = machine.divergence(mg.Tensor(q)).numpy()
    for i, g in enumerate(found):
        p = np.array(list(by_hand(machine, i).values())).reshape(len(q), -1).sum(1)
        expected = sum(a * math.log(a / b) for a, b in zip(q, p, strict=True) if a > 0.0)
        assert math.isclose(g, expected, abs_tol=1e-10)
        assert g >= -1e-12


def test_an_underflow_of_p_leaves_statistics_finite():
    """p(v) = e^(−300) (1 + e²) / 2 is less than the least float32; p(h | v) = σ(2) is not."""
    machine = BoltzmannMachine(1.0 - np.eye(2), 1)
    machine.change(mg.tensor([[[-300.0, 2.0], [2.0, 0.0]]]))
    q = mg.tensor([0.0, 1.0])
    clamped, _ = machine.exact_statistics(q)
    assert math.isclose(clamped.numpy()[0, 1, 1], 1.0 / (1.0 + math.exp(-2.0)), rel_tol=1e-4)
    expected = 300.0 - math.log1p(math.exp(2.0)) + math.log(2.0)
    assert math.isclose(machine.divergence(q).item(), expected, rel_tol=1e-6)


# -- The gradient ---------------------------------------------------------------------------------


def divergence_of(machine, q):
    """G of one machine as a function of its biases and the weights above the diagonal."""

    def g(upper, bias):
        above = mg.triu(upper, 1)
        machine.weight = above + above.swapaxes(1, 2)
        machine.bias = bias
        return machine.divergence(q).sum()

    return g


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("visible", [2, 4])
def test_the_exact_statistics_are_the_gradient(visible, temperature):
    """−T ∂G/∂wᵢⱼ = p⁺ − p⁻, by automatic differentiation of the exact log-likelihood, which agrees
    with difference quotients."""
    rng = np.random.default_rng(visible)
    weights = symmetric(rng, 1, 4)
    machine = machine_of(weights, visible, temperature)
    q = mg.Tensor(rng.dirichlet(np.ones(2**visible)))
    clamped, free = machine.exact_statistics(q)
    expected = (clamped - free).numpy()
    g = divergence_of(machine, q)
    bias = np.diagonal(weights, axis1=1, axis2=2).copy()
    upper, b = (mg.Tensor(x, requires_grad=True) for x in (np.triu(weights, 1), bias))
    of_weights, of_biases = mg.grad(g(upper, b), [upper, b])
    np.testing.assert_allclose(-temperature * of_weights.numpy(), np.triu(expected, 1), atol=1e-12)
    np.testing.assert_allclose(
        -temperature * of_biases.numpy(), np.diagonal(expected, axis1=1, axis2=2), atol=1e-12
    )
    assert gradcheck(g, [upper, b])


@given(st.integers(0, 2**32 - 1))
def test_small_steps_along_the_exact_statistics_lower_the_divergence(seed):
    rng = np.random.default_rng(seed)
    machine = machine_of(symmetric(rng, 3, 4), 3)
    q = mg.Tensor(rng.dirichlet(np.ones(8)))
    before = machine.divergence(q).numpy()
    clamped, free = machine.exact_statistics(q)
    machine.change(0.01 * (clamped - free))
    assert (machine.divergence(q).numpy() < before).all()


def test_sampled_and_exact_statistics_agree():
    """Within five standard errors, for a machine that needs few sweeps to equilibrium."""
    rng = np.random.default_rng(4)
    chains = 20_000
    machine = machine_of(symmetric(rng, 2, 4, 0.7), 2, temperature=1.3)
    q = np.array([0.5, 0.0, 0.2, 0.3])
    clamped, free = machine.exact_statistics(mg.Tensor(q))
    vectors = np.repeat(all_states(2, mg.ones(1)).numpy(), (q * chains).astype(int), axis=0)
    start = np.zeros((2, chains, 4))
    start[:, :, :2] = vectors
    mg.manual_seed(5)
    for exact, units in ((clamped, [2, 3]), (free, range(4))):
        settled = machine.settled(mg.Tensor(start), units)
        sampled = machine.sampled_statistics(settled, units, sweeps=1).numpy()
        p = exact.numpy()
        assert (np.abs(sampled - p) <= 5.0 * np.sqrt(p * (1.0 - p) / chains) + 1e-12).all()
        more = machine.sampled_statistics(settled, units, sweeps=10).numpy()
        assert (np.abs(more - p) <= 5.0 * np.sqrt(p * (1.0 - p) / chains) + 1e-12).all()


# -- Sampling -------------------------------------------------------------------------------------


def test_clamped_units_stay_and_free_ones_start_at_random():
    machine = machine_of(np.zeros((2, 4, 4)), 2)
    s = np.zeros((2, 500, 4))
    s[:, :, 0] = 1.0
    mg.manual_seed(0)
    end = machine.settled(mg.Tensor(s), [1, 3]).numpy()
    assert (end[:, :, 0] == 1.0).all()
    assert (end[:, :, 2] == 0.0).all()
    assert set(np.unique(end)) == {0.0, 1.0}
    assert np.abs(end[:, :, [1, 3]].mean((0, 1)) - 0.5).max() < 5.0 * 0.5 / math.sqrt(1000)
    assert (s[:, :, [1, 3]] == 0.0).all()  # what was given is left alone


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_a_unit_is_on_with_the_logistic_probability(temperature):
    """σ((b + Σ w s) / T), where the other units are clamped."""
    weights = np.array([[[0.3, 0.8, -1.1], [0.8, 0.0, 0.0], [-1.1, 0.0, 0.0]]])
    machine = machine_of(weights, 3, temperature=9.0)
    chains = 40_000
    s = np.tile([0.0, 1.0, 1.0], (1, chains, 1))
    mg.manual_seed(1)
    (end,) = machine.run(mg.Tensor(s), [0], [temperature])
    p = 1.0 / (1.0 + math.exp(-(0.3 + 0.8 - 1.1) / temperature))
    assert abs(end.numpy()[0, :, 0].mean() - p) < 5.0 * math.sqrt(p * (1.0 - p) / chains)
    s[:, :, 2] = 0.0
    (end,) = machine.run(mg.Tensor(s), [0], [temperature])
    p = 1.0 / (1.0 + math.exp(-1.1 / temperature))
    assert abs(end.numpy()[0, :, 0].mean() - p) < 5.0 * math.sqrt(p * (1.0 - p) / chains)


def test_a_sweep_asks_every_free_unit_once():
    """Weights so large that chance has no say: unit i + 1 copies unit i, in the order drawn."""
    n = 4
    w = np.zeros((1, n, n))
    for i in range(n - 1):
        w[0, i, i + 1] = w[0, i + 1, i] = 200.0
    w[0] -= np.diag([0.0] + [100.0] * (n - 1))
    machine = machine_of(w, n)
    s = np.zeros((1, 1, n))
    s[..., 0] = 1.0
    for seed in range(10):
        with seeded(seed):
            mg.rand(1, 3, 1)
            order = [1 + i for i in mg.randperm(3).numpy()]
        with seeded(seed):
            (end,) = machine.run(mg.Tensor(s), [1, 2, 3], [1.0])
        expected = s[0, 0].copy()
        for unit in order:
            below = expected[unit - 1] * 200.0 - 100.0
            above = expected[unit + 1] * 200.0 if unit + 1 < n else 0.0
            expected[unit] = float(below + above > 0.0)
        np.testing.assert_array_equal(end.numpy()[0, 0], expected)


def test_annealing_is_that_of_the_paper():
    """[2@20, 2@15, 2@12, 4@10], in sweeps at temperatures."""
    assert [10.0 * t for t in ANNEALING] == [20, 20, 15, 15, 12, 12, 10, 10, 10, 10]
    machine = machine_of(np.zeros((1, 2, 2)), 1, temperature=10.0)
    seen = []
    machine.run = lambda s, free, temperatures, _: seen.extend(temperatures) or iter([s])
    machine.settled(mg.zeros((1, 3, 2), dtype="float64"), [0, 1])
    assert seen == [20, 20, 15, 15, 12, 12, 10, 10, 10, 10]


def test_changes_reach_connections_and_biases_alone():
    connections = np.ones((3, 3)) - np.eye(3)
    connections[0, 2] = connections[2, 0] = 0.0
    machine = BoltzmannMachine(connections, 2, machines=2)
    machine.change(mg.ones((2, 3, 3)))
    machine.change(mg.ones((2, 3, 3)))
    np.testing.assert_array_equal(machine.weight.numpy(), 2.0 * np.stack([connections] * 2))
    np.testing.assert_array_equal(machine.bias.numpy(), 2.0 * np.ones((2, 3)))
    again = copies(machine, with_biases(machine)[:1])
    np.testing.assert_array_equal(again.weight.numpy(), machine.weight.numpy()[:1])
    np.testing.assert_array_equal(again.bias.numpy(), machine.bias.numpy()[:1])


# -- Codes and completions ------------------------------------------------------------------------


def encoder(codes):
    """A 4-2-4 encoder that gives the vectors these codes, one machine a list of codes."""
    weights = np.zeros((len(codes), 10, 10))
    for machine, given_codes in zip(weights, codes, strict=True):
        for k, code in enumerate(given_codes):
            for h, bit in enumerate(code):
                for unit in (k, 4 + k):
                    machine[unit, 8 + h] = machine[8 + h, unit] = 12.0 * (2 * bit - 1)
            for unit in (k, 4 + k):
                machine[unit, unit] = -6.0 - 12.0 * sum(2 * bit - 1 for bit in code) / 2.0
                group = range(4) if unit < 4 else range(4, 8)
                for other in group:
                    if other != unit:
                        machine[unit, other] = -20.0
    return weights


DISTINCT = [(0, 0), (0, 1), (1, 0), (1, 1)]
SHARED = [(0, 0), (0, 1), (1, 0), (1, 0)]


def test_codes_are_the_most_probable_hidden_states():
    training = training_of("encoder")
    machine = copies(training.network, encoder([DISTINCT, SHARED]).astype("float32"))
    codes = machine.codes(training.vectors).numpy()
    np.testing.assert_array_equal(codes, [[0, 1, 2, 3], [0, 1, 2, 2]])
    np.testing.assert_array_equal(machine.distinct_codes(training.vectors).numpy(), [True, False])
    completed = machine.completed(training.values, training.vectors).numpy()
    np.testing.assert_array_equal(completed, [True, False])


def test_completion_takes_the_sum_over_the_hidden_states():
    """One state with v₂ off has the weight e¹⁰, four with v₂ on have e⁹ each."""
    weights = np.zeros((1, 4, 4))
    weights[0, 2, 2] = weights[0, 3, 3] = 5.0
    weights[0, 1, 2:] = weights[0, 2:, 1] = -5.0
    weights[0, 1, 1] = 9.0
    machine = machine_of(weights, 2)
    p = by_hand(machine, 0)
    assert max(p, key=p.get)[1] == 0
    one, both = mg.ones((1, 1), dtype="float64"), mg.ones((1, 2), dtype="float64")
    assert machine.completed(one, both).item()


# -- Learning -------------------------------------------------------------------------------------


def training_of(dataset, **changed):
    settings = SimpleNamespace(**{**ARCHITECTURE.settings[dataset], **changed}, seed=1)
    mg.manual_seed(1)
    data = ARCHITECTURE.data(dataset, settings)
    network = ARCHITECTURE.build(data, settings)
    return ARCHITECTURE.training(network, data.load("numpy"), settings)


def test_the_connections_of_the_encoder_are_those_of_the_paper():
    connected = training_of("encoder").network.connections.numpy()
    assert connected[:4, :4].sum() == connected[4:8, 4:8].sum() == 12  # within V₁ and V₂
    assert connected[:4, 4:8].sum() == 0  # not between them
    assert connected[:8, 8:].all()  # all of them to H
    assert connected[8:, 8:].sum() == 0  # not within H
    np.testing.assert_array_equal(connected, connected.T)
    assert np.trace(connected) == 0


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_the_environment_turns_units_at_random(drop, add):
    vectors = mg.Tensor(np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 1.0]]))
    found = environment(vectors, drop, add).numpy()
    for state, q in zip(itertools.product((0, 1), repeat=3), found, strict=True):
        expected = 0.0
        for vector in vectors.numpy():
            chance = 0.5
            for bit, was in zip(state, vector, strict=True):
                turn = drop if was else add
                chance *= turn if bit != was else 1.0 - turn
            expected += chance
        assert math.isclose(q, expected, abs_tol=1e-12)


def test_what_is_clamped_is_as_noisy_as_the_environment():
    """Each vector twice in every machine, turned with the probabilities of the paper."""
    training = training_of("encoder", machines=500)
    seen = training.seen().numpy()
    assert seen.shape == (500, 8, 8)
    wanted = np.concatenate([training.vectors.numpy()] * 2)
    turned = seen != wanted
    for bit, p in ((1.0, 0.15), (0.0, 0.05)):
        found = turned[:, wanted == bit]
        assert abs(found.mean() - p) < 5.0 * math.sqrt(p * (1.0 - p) / found.size)


def test_what_is_seen_is_new_in_every_sweep():
    """And the hidden units answer to it."""
    weights = np.zeros((1, 3, 3))
    weights[0, 0, 2] = weights[0, 2, 0] = 200.0
    weights[0, 2, 2] = -100.0
    machine = machine_of(weights, 2)
    shown = iter(np.array([[[[1.0, 0.0]]], [[[0.0, 0.0]]], [[[1.0, 1.0]]]]))
    states = machine.run(
        mg.zeros((1, 1, 3), dtype="float64"), [2], [1.0] * 3, lambda: mg.Tensor(next(shown))
    )
    found = [state.numpy()[0, 0].tolist() for state in states]
    assert found == [[1.0, 0.0, 1.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0]]


def test_clamped_statistics_are_those_of_the_environment():
    """Within five standard errors of the exact p⁺, over many machines with the same weights."""
    training = training_of("encoder", machines=1000)
    weights = np.repeat(encoder([SHARED]).astype("float32"), 1000, axis=0) * 0.1
    training.network = copies(training.network, weights)
    exact, _ = copies(training.network, weights[:1]).exact_statistics(training.q)
    found = training.sampled([8, 9], training.seen).numpy()
    error = found.std(0) / math.sqrt(len(found))
    assert (np.abs(found.mean(0) - exact.numpy()[0]) <= 5.0 * error + 1e-6).all()


def test_a_sampled_cycle_changes_every_weight_by_the_sign():
    training = training_of("encoder", machines=5)
    network = training.network
    with seeded(3):
        training.cycle()
    weights = with_biases(network)
    allowed = network.connections.numpy() + np.eye(10)
    assert set(np.unique(weights)) <= {-2.0, 0.0, 2.0}
    assert (weights * (1.0 - allowed) == 0.0).all()
    np.testing.assert_array_equal(weights, weights.swapaxes(1, 2))
    again = training_of("encoder", machines=5)
    with seeded(3):
        clamped, free = again.sampled([8, 9], again.seen), again.sampled(range(10))
    np.testing.assert_array_equal(weights, 2.0 * np.sign((clamped - free).numpy()) * allowed)


def test_units_of_a_group_learn_to_exclude_each_other():
    """The first phase that the paper describes, after a few cycles."""
    training = training_of("encoder", machines=20, cycles=8)
    training.epoch(SILENT)
    weights = training.network.weight.numpy()
    within = [(i, j) for g in (range(4), range(4, 8)) for i in g for j in g if i < j]
    assert np.mean([weights[:, i, j].mean() for i, j in within]) < -5.0


def test_the_encoder_finds_codes():
    """A part of the machines in a part of the time."""
    training = training_of("encoder", machines=30, cycles=150)
    training.epoch(SILENT)
    measured = training.evaluate()
    assert measured["distinct_codes"] >= 0.25
    since = training.since.numpy()
    assert ((since > 0) == training.network.distinct_codes(training.vectors).numpy()).all()
    found = (since > 0).sum()
    assert found / 30 == pytest.approx(measured["distinct_codes"])
    line = f"{found} of 30 machines found 4 distinct codes, and have had them since learning cycle "
    assert line in training.report()


def test_codes_count_since_they_are_distinct():
    """Machine 0 has them all the time, machine 1 loses them, machine 2 finds them."""
    training = training_of("encoder", machines=3, cycles=3)
    kinds = [[DISTINCT, DISTINCT, SHARED], [DISTINCT, SHARED, SHARED], [DISTINCT, SHARED, DISTINCT]]
    weights = iter([encoder(codes).astype("float32") for codes in kinds])

    def cycle():
        training.network.change(mg.Tensor(next(weights) - with_biases(training.network)))

    training.cycle = cycle
    training.epoch(SILENT)
    np.testing.assert_array_equal(training.since.numpy(), [1, 0, 3])
    assert (
        "2 of 3 machines found 4 distinct codes, and have had them since learning cycle 2 in"
        in (training.report())
    )
    assert "3 at the latest" in training.report()


def test_xor_needs_a_hidden_unit():
    without = training_of("xor", hidden=0, machines=5, cycles=200)
    without.epoch(SILENT)
    np.testing.assert_allclose(
        without.network.divergence(without.q).numpy(), math.log(2.0), atol=1e-5
    )
    assert without.evaluate()["completed"] == 0.0
    with_one = training_of("xor", machines=20, cycles=800)
    with_one.epoch(SILENT)
    measured = with_one.evaluate()
    assert measured["divergence"] < 0.4
    assert measured["completed"] > 0.7
    assert "of 20 machines complete every vector" in with_one.report()


def strict_training(dataset, **changed):
    settings = SimpleNamespace(**{**ARCHITECTURE.settings[dataset], **changed}, seed=0)
    data = ARCHITECTURE.data(dataset, settings)
    network = ARCHITECTURE.build(data, settings).to("strict")
    return ARCHITECTURE.training(network, data.load("strict"), settings)


@pytest.mark.parametrize("dataset", ["encoder", "xor", "digits"])
def test_learning_does_not_wait_for_the_device(dataset):
    with mg.use_backend("strict"):
        training = strict_training(dataset, **({} if dataset == "digits" else {"machines": 2}))
        with strict.forbid_sync():
            if dataset == "digits":
                training.step(*(tensor[:20] for tensor in training.train.tensors))
            else:
                training.cycle()
    assert np.abs(training.network.weight.numpy()).max() > 0.0


def without_pictures(training):
    training.pictures = lambda *_: None
    return training


def interrupted(make, folder):
    """The same training in one go and, as another process would, in two."""
    whole = without_pictures(make())
    fit(whole, Run.create(folder / "whole", {}), [], quiet=True)
    half = without_pictures(make())
    half.settings.epochs = 1
    fit(half, Run.create(folder / "half", {}), [], quiet=True)
    again = without_pictures(make())
    mg.manual_seed(99)
    run = Run(folder / "half")
    fit(again, run, restore(again, run), quiet=True)
    np.testing.assert_array_equal(with_biases(again.network), with_biases(whole.network))
    return again, whole


@pytest.mark.parametrize("dataset", ["encoder", "xor"])
def test_a_run_goes_on_bit_for_bit(dataset, tmp_path):
    def make():
        return training_of(dataset, machines=4, cycles=3, epochs=2)

    again, whole = interrupted(make, tmp_path)
    np.testing.assert_array_equal(again.since.numpy(), whole.since.numpy())
    np.testing.assert_array_equal(np.array(again.past), np.array(whole.past))


def test_a_run_on_images_goes_on_bit_for_bit(tmp_path):
    again, whole = interrupted(lambda: training_of("digits", epochs=2, hidden=3), tmp_path)
    np.testing.assert_array_equal(again.chains.numpy(), whole.chains.numpy())
    assert again.steps == whole.steps == 58


def test_samples_are_those_of_a_machine_that_has_learned(tmp_path):
    training = training_of("encoder")
    weights = 10.0 * encoder([SHARED, DISTINCT]).astype("float32")
    training.network = copies(training.network, weights)
    training.since = mg.tensor([0, 7])
    mg.manual_seed(0)
    lines = training.sample(20, tmp_path).splitlines()
    assert lines[0] == "machine 1 runs freely: visible units | hidden units"
    valid = {"1000 1000 | 00", "0100 0100 | 01", "0010 0010 | 10", "0001 0001 | 11"}
    assert sum(line in valid for line in lines[1:21]) >= 15
    assert lines[21] == "the first 4 units are clamped, the machine draws the others"
    for line, bits in zip(lines[22:], ("1000", "0100", "0010", "0001"), strict=True):
        assert line.startswith(f"{bits} {bits} wanted; most often {bits} {bits}, ")
        assert line.endswith(" times of 20")


def test_nothing_hidden_is_written_without_a_bar(tmp_path):
    training = training_of("xor", hidden=0, machines=2)
    lines = training.sample(1, tmp_path).splitlines()
    assert len(lines[1]) == len("00 0")
    assert lines[-1].startswith("11 0 wanted; most often 11 ")


@pytest.mark.parametrize(
    ("dataset", "hidden", "names"),
    [
        ("encoder", 2, ["codes", "learning", "weights"]),
        ("encoder", 0, ["learning", "weights"]),
        ("xor", 1, ["learning", "weights"]),
    ],
)
def test_pictures_are_drawn(dataset, hidden, names, tmp_path):
    training = training_of(dataset, hidden=hidden, machines=3, cycles=4)
    history = []
    for epoch in (1, 2):
        history.append({"epoch": epoch, **training.epoch(SILENT), **training.evaluate()})
    training.pictures(tmp_path, history)
    assert sorted(path.stem for path in tmp_path.iterdir()) == names


# -- Images ---------------------------------------------------------------------------------------


def of_images(images, labels, classes="ab", **changed):
    """A training with images (n, 1, 2, 2), whose machine has random weights."""
    given_ = {**ARCHITECTURE.settings["digits"], "hidden": 2, **changed}
    settings = SimpleNamespace(**given_, seed=0)
    data = TensorDataset(np.asarray(images, "float32"), np.asarray(labels))
    n = 4 + len(classes) + settings.hidden
    machine = BoltzmannMachine(1.0 - np.eye(n), 4 + len(classes), 1, settings.temperature)
    rng = np.random.default_rng(0)
    training = ARCHITECTURE.training(machine, Examples(data, data, tuple(classes)), settings)
    upper = np.triu(rng.normal(size=(n, n)), 1).astype("float32")
    machine.change(mg.tensor(upper + upper.T)[None])
    return training


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_a_step_on_images_follows_the_exact_gradient(temperature):
    """From chains in equilibrium, within what so many samples leave open."""
    n = 5000
    rng = np.random.default_rng(1)
    images = rng.integers(2, size=(n, 1, 2, 2))
    images[:, 0, 0, 0] = images[:, 0, 1, 1]
    training = of_images(
        images, images[:, 0, 0, 0], temperature=temperature, batch_size=n, lr=3.0, epochs=1
    )
    machine = training.network
    p = np.exp(machine.log_probabilities().numpy().ravel().astype("float64"))
    states = machine.states().numpy()
    training.chains = mg.tensor(states[rng.choice(len(p), n, p=p / p.sum())])[None]
    whole = training.vectors(*training.train.tensors).numpy()[0, :, :6].astype(int)
    q = np.bincount(whole @ (2 ** np.arange(6)[::-1]), minlength=64).astype("float32") / n
    on, free = machine.exact_statistics(mg.tensor(q))
    before = with_biases(machine)
    mg.manual_seed(2)
    training.step(*training.train.tensors)
    change = (with_biases(machine) - before) / 3.0
    np.testing.assert_allclose(change, (on - free).numpy(), atol=5.0 * 0.7 / math.sqrt(n))
    assert np.abs(change).max() > 0.2


def test_the_chains_of_the_free_machine_see_no_image():
    """And are kept: where all biases are low they are off, whatever is clamped."""
    training = of_images(np.ones((6, 1, 2, 2)), [0, 1] * 3, batch_size=6, lr=0.0)
    low = -30.0 * np.eye(8, dtype="float32")[None]
    training.network = copies(training.network, low)
    assert training.chains.numpy().any()
    training.step(*training.train.tensors)
    np.testing.assert_array_equal(training.chains.numpy(), np.zeros((1, 6, 8)))


def test_images_start_with_their_mean_and_the_rate_falls_to_zero():
    images, labels = np.zeros((6, 1, 2, 2)), [0, 0, 0, 0, 1, 1]
    images[:3, 0, 0, 1] = 1.0
    training = of_images(images, labels, batch_size=3, epochs=2)
    p = 1.0 / (1.0 + np.exp(-training.network.bias.numpy()[0]))
    np.testing.assert_allclose(p, [0.01, 0.5, 0.01, 0.01, 2 / 3, 1 / 3, 0.5, 0.5], rtol=1e-5)
    assert training.chains.shape == (1, 3, 8)
    for _ in range(2):
        training.epoch(SILENT)
    learned = with_biases(training.network)
    training.step(*(t[:3] for t in training.train.tensors))
    np.testing.assert_array_equal(with_biases(training.network), learned)


def of_two_images():
    """A machine that knows two images, of the upper and of the lower row, and their labels."""
    rows = np.array([[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 1]])
    images = rows[:, :4].reshape(2, 1, 2, 2)
    training = of_images(images, [0, 1], hidden=0, batch_size=2)
    weights = 16.0 * (2.0 * rows - 1.0).T @ (2.0 * rows - 1.0) * (1.0 - np.eye(6))
    np.fill_diagonal(weights, -weights.sum(1) / 2.0)  # as many like a state as its opposite
    machine = training.network
    machine.weight.overwrite(np.zeros((1, 6, 6), "float32"))
    machine.bias.overwrite(np.zeros((1, 6), "float32"))
    machine.change(mg.tensor(weights.astype("float32"))[None])
    return training, images


def test_labels_are_read_and_dreamed_of(tmp_path):
    training, images = of_two_images()
    with seeded(0):
        np.testing.assert_allclose(training.read(mg.tensor(images)).numpy(), np.eye(2), atol=0.2)
        dreams = training.dreams(mg.tensor([1, 0, 1])).numpy()
        assert training.evaluate() == {"test_accuracy": 1.0}
    np.testing.assert_allclose(dreams, images[[1, 0, 1]], atol=0.2)
    assert training.sample(2, tmp_path) == ""
    assert (tmp_path / "dreams.png").is_file()


def test_dreams_begin_with_an_annealing():
    """From random states, some of which are both on, where two pixels have to be on together."""
    training, _ = of_two_images()
    weights = np.zeros((1, 6, 6), "float32")
    weights[0, 0, 1] = weights[0, 1, 0] = 100.0
    weights[0, [0, 1], [0, 1]] = -20.0
    training.network = copies(training.network, weights)
    with seeded(0):
        dreams = training.dreams(mg.zeros(50, dtype="int64")).numpy().reshape(50, 4)
    assert 0.3 < dreams[:, :2].mean() < 0.95
    np.testing.assert_array_equal(dreams[:, 0], dreams[:, 1])


@pytest.mark.parametrize("hidden", [0, 8])
def test_digits_are_learned_and_drawn(hidden, tmp_path):
    training = training_of("digits", epochs=4, hidden=hidden)
    for _ in range(4):
        training.epoch(SILENT)
    assert training.evaluate()["test_accuracy"] > 0.75
    training.pictures(tmp_path, [])
    drawn = {path.stem for path in tmp_path.iterdir()}
    assert drawn == {"confusion", "dreams"} | ({"weights"} if hidden else set())


# -- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"connections": np.ones((2, 2))}, "connections wants a symmetric matrix without a diag"),
        ({"connections": np.triu(np.ones((2, 2)), 1)}, "connections wants a symmetric matrix"),
        ({"connections": np.zeros((2, 3))}, "connections wants a symmetric matrix"),
        ({"visible": 0}, "visible wants 1 to 2 units, got 0"),
        ({"visible": 3}, "visible wants 1 to 2 units, got 3"),
        ({"machines": 0}, "machines wants at least 1, got 0"),
        ({"temperature": 0.0}, "temperature wants a positive number, got 0"),
    ],
)
def test_impossible_machines_are_refused(changed, said):
    arguments = {"connections": 1.0 - np.eye(2), "visible": 1, **changed}
    with pytest.raises(ValueError, match=f"^BoltzmannMachine: {said}"):
        BoltzmannMachine(**arguments)


def test_too_many_states_are_refused():
    with pytest.raises(ValueError, match="states of at most 14 units, got 9 visible and 6 hidden"):
        BoltzmannMachine(1.0 - np.eye(15), 9).log_probabilities()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--hidden", "7"], "of at most 14 units, got 8 visible and 7 hidden"),
        (["--machines", "0"], "machines wants at least 1, got 0"),
        (["--temperature", "0"], "temperature wants a positive number, got 0"),
        (["--drop", "1.5"], "boltzmann: drop wants a probability, got 1.5"),
        (["--cycles", "0"], "boltzmann: cycles wants at least 1, got 0"),
        (["--statistics", "guessed"], "invalid choice: 'guessed'"),
    ],
)
def test_impossible_settings_are_refused_in_a_line(options, said, capsys, tmp_path):
    try:
        code = main(["train", "boltzmann", *options, "--out", str(tmp_path / "run")])
    except SystemExit as stop:
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert len(error.splitlines()) == 1
