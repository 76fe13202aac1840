"""The Hopfield network: storage rules against their equations, the laws of recall, the theory."""

import math
import warnings
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from models import hopfield
from models.__main__ import main
from models.data import Examples
from models.hopfield import (
    ARCHITECTURE,
    CRITICAL_LOAD,
    RULES,
    Capacity,
    Hopfield,
    Images,
    expected_overlap,
    flipped,
    overlaps,
    wrong_after_a_step,
)
from models.run import Run
from models.training import Progress, fit, restore
from tests import strict
from tests.backends import on

SILENT = Progress("", total=0, unit="", quiet=True)


def signs(rng, *shape):
    return rng.choice([-1.0, 1.0], size=shape)


def network_of(w, dtype="float64"):
    """A network with the weights w."""
    network = Hopfield(len(w)).to(dtype)
    network.weight.overwrite(w)
    return network


@st.composite
def networks(draw):
    """Small symmetric integer weights without a diagonal, so that sums are exact and ties occur."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n = draw(st.integers(2, 9))
    w = rng.integers(-3, 4, (n, n)).astype(float)
    w = np.triu(w, 1) + np.triu(w, 1).T
    return network_of(w), mg.Tensor(signs(rng, draw(st.integers(1, 4)), n))


# -- Storage --------------------------------------------------------------------------------------


def hebbian_by_loops(x):
    p, n = x.shape
    w = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            w[i, j] = sum(x[k, i] * x[k, j] for k in range(p)) / n * (i != j)
    return w


def storkey_by_loops(x):
    """The rule as published: hᵢⱼ leaves out both i and j."""
    _, n = x.shape
    w = np.zeros((n, n))
    for pattern in x:
        h = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                h[i, j] = sum(w[i, k] * pattern[k] for k in range(n) if k not in (i, j))
        change = np.zeros((n, n))
        for i in range(n):
            for j in range(n):
                if i != j:
                    change[i, j] = pattern[i] * pattern[j]
                    change[i, j] -= pattern[i] * h[j, i] + h[i, j] * pattern[j]
        w = w + change / n
    return w


def pseudo_inverse_by_overlaps(x):
    """1/n Σ xᵢ (Q⁻¹) xⱼ with the overlaps Q of the patterns."""
    _, n = x.shape
    w = x.T @ np.linalg.solve(x @ x.T / n, x) / n
    return w - np.diag(np.diag(w))


BY_THE_BOOK = {
    "hebbian": hebbian_by_loops,
    "storkey": storkey_by_loops,
    "pseudo_inverse": pseudo_inverse_by_overlaps,
}


@pytest.mark.parametrize("rule", RULES)
def test_rules_follow_their_equations(rule):
    x = signs(np.random.default_rng(1), 4, 9)
    network = Hopfield(9).to("float64")
    network.store(mg.Tensor(x), rule)
    np.testing.assert_allclose(network.weight.numpy(), BY_THE_BOOK[rule](x), atol=1e-12)


@pytest.mark.parametrize("rule", RULES)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(2, 20), p=st.integers(1, 20))
def test_weights_are_symmetric_and_no_unit_is_connected_to_itself(rule, seed, n, p):
    x = signs(np.random.default_rng(seed), min(p, n), n)
    w = RULES[rule](x)
    scale = max(1.0, np.abs(w).max())  # Storkey's grow without bound where patterns are alike
    np.testing.assert_allclose(w, w.T, atol=1e-12 * scale)
    assert (np.diag(w) == 0.0).all()


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(3, 30))
def test_the_pseudo_inverse_makes_every_pattern_its_own_field(seed, n):
    """(w + diagonal) x = x, with the diagonal of the projection, so that hᵢ = (1 − dᵢ) xᵢ."""
    x = signs(np.random.default_rng(seed), n // 2, n)
    d = np.diag(np.linalg.pinv(x) @ x)
    np.testing.assert_allclose(x @ RULES["pseudo_inverse"](x), (1.0 - d) * x, atol=1e-5)
    network = network_of(RULES["pseudo_inverse"](x))
    np.testing.assert_array_equal(network.asynchronous(mg.Tensor(x)).numpy(), x)


def test_the_pseudo_inverse_takes_dependent_patterns():
    x = signs(np.random.default_rng(2), 3, 12)
    twice = np.concatenate([x, -x[:1], x])
    once = RULES["pseudo_inverse"](x)
    np.testing.assert_allclose(RULES["pseudo_inverse"](twice), once, atol=1e-6)


def test_storing_forgets_what_was_stored():
    rng = np.random.default_rng(3)
    first, second = (mg.Tensor(signs(rng, 2, 6)) for _ in range(2))
    network = Hopfield(6)
    network.store(first)
    network.store(second)
    np.testing.assert_allclose(network.weight.numpy(), hebbian_by_loops(second.numpy()), atol=1e-6)


# -- Recall ---------------------------------------------------------------------------------------


@given(networks())
def test_the_energy_is_that_of_the_equation(case):
    network, s = case
    w = network.weight.numpy()
    n = len(w)
    for row, energy in zip(s.numpy(), network.energy(s).numpy(), strict=True):
        expected = -0.5 * sum(w[i, j] * row[i] * row[j] for i in range(n) for j in range(n))
        assert energy == expected


@given(networks(), st.integers(1, 4))
def test_the_energy_never_rises_in_asynchronous_recall(case, block):
    """And falls by 2 |h| with every unit that turns: here one unit after the other is watched."""
    network, s = case
    before = s
    for _ in range(3):
        for after in network.sweep(before, block):
            fall = network.energy(before).numpy() - network.energy(after).numpy()
            turned = (before.numpy() != after.numpy()).sum(1)
            assert (fall >= 0.0).all()
            assert ((fall > 0.0) == (turned > 0)).all()
            assert (turned <= block).all()
            if block == 1:
                fields = np.abs(before.numpy() @ network.weight.numpy())
                lost = 2.0 * (fields * (before.numpy() != after.numpy())).sum(1)
                np.testing.assert_array_equal(fall, lost)
            before = after


@given(networks())
def test_asynchronous_recall_ends_where_no_unit_would_turn(case):
    network, s = case
    end = network.asynchronous(s).numpy()
    assert (np.abs(end) == 1.0).all()
    assert (end * (end @ network.weight.numpy()) >= 0.0).all()
    assert (network.energy(mg.Tensor(end)).numpy() <= network.energy(s).numpy()).all()


@given(networks(), st.integers(0, 2**32 - 1), st.sampled_from([1, 2, 3, 32]))
def test_a_sweep_asks_one_unit_after_the_other(case, seed, block):
    """Whatever the size of a block, and a field of 0 turns nothing."""
    network, s = case
    with seeded(seed):
        *_, last = network.sweep(s, block)
    with seeded(seed):
        order = mg.randperm(s.shape[1]).numpy()
    expected = s.numpy().copy()
    for row in expected:
        for i in order:
            h = network.weight.numpy()[i] @ row
            if h != 0.0:
                row[i] = np.sign(h)
    np.testing.assert_array_equal(last.numpy(), expected)


@given(networks())
def test_synchronous_recall_ends_in_a_fixed_point_or_two_states(case):
    """Followed state by state until one comes back, and −s(t)ᵀ w s(t − 1) never rises meanwhile."""
    network, s = case
    w = network.weight.numpy()
    ends = network.synchronous(s).numpy()
    for start, end in zip(s.numpy(), ends, strict=True):
        path = [start]
        while tuple(path[-1]) not in {tuple(state) for state in path[:-1]}:
            path.append(network.step(mg.Tensor(path[-1][None])).numpy()[0])
        back = next(i for i, state in enumerate(path) if (state == path[-1]).all())
        assert len(path) - 1 - back in (1, 2)
        assert any((state == end).all() for state in path[back:])
        products = [-(b @ w @ a) for a, b in pairwise(path)]
        assert all(b <= a for a, b in pairwise(products))


def test_two_units_that_contradict_each_other():
    """Asked at once they alternate forever; one after the other they come to rest."""
    network = network_of(np.array([[0.0, -1.0], [-1.0, 0.0]]))
    s = mg.Tensor(np.array([[1.0, 1.0]]))
    np.testing.assert_array_equal(network.step(s).numpy(), -s.numpy())
    np.testing.assert_array_equal(network.step(network.step(s)).numpy(), s.numpy())
    assert np.abs(network.synchronous(s).numpy().sum()) == 2.0
    assert network.asynchronous(s).numpy().sum() == 0.0


def test_states_that_have_come_to_rest_wait_for_the_others():
    """Recall of many states at once is recall of each."""
    rng = np.random.default_rng(5)
    network = Hopfield(40)
    patterns = mg.Tensor(signs(rng, 3, 40).astype("float32"))
    network.store(patterns)
    with seeded(0):
        start = mg.concatenate([flipped(patterns, 0.1), patterns, flipped(patterns, 0.2)])
        end = network.asynchronous(start)
    np.testing.assert_array_equal(end.numpy(), np.tile(patterns.numpy(), (3, 1)))


def test_a_sum_that_is_zero_but_for_rounding_turns_nothing():
    """Twenty units with fields −(a + b) + a + b from three units, which partners hold."""
    rng = np.random.default_rng(0)
    w = np.zeros((26, 26), "float32")
    w[:20, 21:23] = rng.uniform(0.1, 1.0, (20, 2))
    w[:20, 20] = -(w[:20, 21] + w[:20, 22])
    w[range(20, 23), range(23, 26)] = 100.0
    network = network_of(w + w.T, "float32")
    s = np.ones((8, 26), "float32")
    s[:, :20] = signs(rng, 8, 20)
    assert np.count_nonzero(w[:20] @ np.ones(26, "float32")) > 0
    np.testing.assert_array_equal(network.step(mg.Tensor(s)).numpy(), s)
    for _ in range(3):
        *_, last = network.sweep(mg.Tensor(s), 5)
        np.testing.assert_array_equal(last.numpy(), s)


def test_a_sweep_does_not_wait_for_the_device():
    w, s = on("strict", (np.zeros((5, 5), "float32"), np.ones((2, 5), "float32")))
    with mg.use_backend("strict"):
        network = Hopfield(5)
        network.weight.overwrite(w)
        with strict.forbid_sync():
            states = list(network.sweep(mg.Tensor(s), 2))
            network.step(mg.Tensor(s))
    assert len(states) == 3


# -- Theory ---------------------------------------------------------------------------------------


def test_the_critical_load_and_overlap_are_those_published():
    """Amit, Gutfreund & Sompolinsky 1985: 0.138 and 0.967."""
    assert round(CRITICAL_LOAD, 3) == 0.138
    assert round(expected_overlap(CRITICAL_LOAD - 1e-9), 3) == 0.967
    assert expected_overlap(CRITICAL_LOAD + 1e-9) == 0.0
    assert expected_overlap(5.0) == 0.0


@given(st.floats(0.005, 0.1379))
def test_the_expected_overlap_solves_the_equations_of_the_mean_field(load):
    """m = erf(m / √(2αr)), r = 1 / (1 − C)², C = √(2 / παr) e^(−m² / 2αr)."""
    m = expected_overlap(load)
    r = 1.0
    for _ in range(2000):  # to the fixed point of r, given m
        c = math.sqrt(2.0 / (math.pi * load * r)) * math.exp(-m * m / (2.0 * load * r))
        r = 1.0 / (1.0 - c) ** 2
    assert math.isclose(m, math.erf(m / math.sqrt(2.0 * load * r)), abs_tol=1e-6)
    assert m > 0.967


@pytest.mark.parametrize(
    ("wrong", "load"), [(0.001, 0.105), (0.0036, 0.138), (0.01, 0.185), (0.05, 0.37), (0.1, 0.61)]
)
def test_the_wrong_units_after_a_step_are_those_of_the_textbook(wrong, load):
    """Hertz, Krogh & Palmer 1991, table 2.1, to the digits printed there."""
    assert math.isclose(wrong_after_a_step(load), wrong, rel_tol=0.03)


@pytest.mark.parametrize("load", [0.2, 0.5, 1.0])
def test_as_many_units_are_wrong_after_a_step_as_expected(load):
    """At load 0.2 some 2,500 of 200,000: 0.1 is five times their standard deviation."""
    n = 1000
    x = mg.Tensor(signs(np.random.default_rng(6), round(load * n), n).astype("float32"))
    network = Hopfield(n)
    network.store(x)
    found = float((network.step(x) != x).astype("float32").mean())
    assert math.isclose(found, wrong_after_a_step(load), rel_tol=0.1)


def test_storkey_and_the_pseudo_inverse_hold_more_than_hebb():
    rng = np.random.default_rng(7)
    n = 200
    x = mg.Tensor(signs(rng, 50, n).astype("float32"))
    network = Hopfield(n)
    found = {}
    for rule in RULES:
        network.store(x, rule)
        found[rule] = float(overlaps(network.asynchronous(x), x).mean())
    assert found["hebbian"] < 0.6
    assert found["storkey"] > 0.999
    assert found["pseudo_inverse"] == 1.0
    network.store(x[:10])
    assert float(overlaps(network.asynchronous(x[:10]), x[:10]).mean()) > 0.999


# -- Bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("hebbian", r"an overlap of 0\.00, .*0\.138 .* turns 20\.7 %"),
        ("storkey", r"a small overlap, .* = 5 random patterns"),
        ("pseudo_inverse", r"the overlap that recall starts with"),
    ],
)
def test_more_patterns_than_units_warn_with_what_to_expect(rule, expected):
    x = mg.Tensor(signs(np.random.default_rng(0), 15, 10))
    network = Hopfield(10).to("float64")
    said = r"Hopfield\.store: 15 patterns in 10 units, a load of 1\.50; if they are random, expect "
    with pytest.warns(UserWarning, match=said + expected):
        network.store(x, rule)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        network.store(x[:10], rule)


def test_patterns_that_span_everything_leave_every_state_as_it_is():
    rng = np.random.default_rng(0)
    network = Hopfield(10)
    with pytest.warns(UserWarning, match="stay as they are"):
        network.store(mg.Tensor(signs(rng, 60, 10).astype("float32")), "pseudo_inverse")
    assert (network.weight.numpy() == 0.0).all()
    s = mg.Tensor(signs(rng, 5, 10).astype("float32"))
    np.testing.assert_array_equal(network.asynchronous(s).numpy(), s.numpy())


@pytest.mark.parametrize("function", ["store", "asynchronous", "synchronous"])
def test_what_is_not_of_signs_or_not_of_the_network_is_refused(function):
    call = getattr(Hopfield(3), function)
    name = "patterns" if function == "store" else "s"
    for values, said in [
        ([[1.0, -1.0, 0.5]], f"{name} wants values of −1 and 1, got 0.5"),
        ([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0]], f"{name} wants values of −1 and 1, got 0"),
        ([[1.0, math.nan, 1.0]], f"{name} wants values of −1 and 1, got nan"),
        ([[1.0, -1.0]], rf"{name} wants the shape \(…, 3\), got \(1, 2\)"),
        ([1.0, -1.0, 1.0], rf"{name} wants the shape \(…, 3\), got \(3,\)"),
    ]:
        with pytest.raises(ValueError, match=rf"^Hopfield\.{function}: {said}$"):
            call(mg.tensor(values))


def test_other_wrong_calls():
    with pytest.raises(ValueError, match="units wants at least 2, got 1"):
        Hopfield(1)
    network = Hopfield(2)
    with pytest.raises(ValueError, match="at least one pattern, got none"):
        network.store(mg.ones((0, 2)))
    with pytest.raises(ValueError, match="rule wants one of hebbian, storkey, pseudo_inverse, got"):
        network.store(mg.ones((1, 2)), "hebb")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--units", "1"], "Hopfield: units wants at least 2, got 1"),
        (["--patterns", "0"], "hopfield: patterns wants at least 1, got 0"),
        (["--dataset", "digits", "--epochs", "500"], "epochs wants no more than there are images"),
        (["--dataset", "digits", "--units", "3"], "hopfield on digits has no such setting"),
    ],
)
def test_impossible_settings_are_refused_in_a_line(options, said, capsys, tmp_path):
    assert main(["train", "hopfield", *options, "--out", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1


# -- Measuring ------------------------------------------------------------------------------------


def training_of(dataset, **changed):
    settings = SimpleNamespace(**{**ARCHITECTURE.settings[dataset], **changed}, seed=1)
    mg.manual_seed(1)
    data = ARCHITECTURE.data(dataset, settings)
    network = ARCHITECTURE.build(data, settings)
    return ARCHITECTURE.training(network, data.load("numpy"), settings)


def small_capacity(**changed):
    return training_of("patterns", units=60, patterns=6, **changed)


def test_the_data_decide_what_is_measured():
    assert type(small_capacity()) is Capacity
    assert type(training_of("digits")) is Images


@pytest.mark.parametrize("recall", ["asynchronous", "synchronous"])
def test_capacity_falls_with_the_load(recall):
    training = small_capacity(recall=recall)
    for _ in range(3):
        training.epoch(SILENT)
        found = training.evaluate()
    loads, overlap = training.curve("hebbian")
    assert overlap.shape == (3, len(loads))
    mean = overlap.mean(0)
    assert mean[loads == 0.05] > 0.98
    assert mean[loads == 0.4] < 0.8
    assert found == {"overlap_at_0.12": training.at(0.12), "overlap_at_0.16": training.at(0.16)}
    assert training.at(0.12) == mean[loads == 0.12]
    loads, overlap = training.curve("pseudo_inverse")
    assert (overlap == 1.0).all()
    disturbed = training.curve("pseudo_inverse", 0.1)[1].mean(0)
    assert disturbed[loads == 0.1] > 0.95 > disturbed[loads == 0.8]
    assert training.curve("storkey")[1].mean(0)[2] > training.curve("hebbian")[1].mean(0)[11]
    np.testing.assert_allclose(
        training.network.weight.numpy(), hebbian_by_loops(training.kept.numpy()), atol=1e-6
    )
    assert "0.050  1.000" in training.report()


def test_every_epoch_measures_other_patterns_and_the_data_stay():
    training = small_capacity()
    kept = training.kept.numpy().copy()
    training.epoch(SILENT)
    training.epoch(SILENT)
    assert (training.curves[0] != training.curves[1]).any()
    np.testing.assert_array_equal(training.kept.numpy(), kept)
    np.testing.assert_array_equal(small_capacity().kept.numpy(), kept)


def test_images_are_recalled_from_one_half():
    training = training_of("digits")
    training.epoch(SILENT)
    found = training.evaluate()
    assert training.kept.shape == (10, 64)
    assert found[training.metric] == found["pseudo_inverse_overlap"] > found["hebbian_overlap"]
    assert 0.4 < found["start_overlap"] < 0.6
    assert found["pseudo_inverse_overlap"] > found["start_overlap"] + 0.2
    x, labels = training.train.tensors
    assert sorted(labels.numpy()[:10]) == list(range(10))
    assert set(np.unique(x.numpy())) == {-1.0, 1.0}
    start = training.disturbed(training.kept).numpy()
    assert (start[:, :32] == training.kept.numpy()[:, :32]).all()
    lower = training.kept.numpy()[:, 32:]
    assert 0.35 < (start[:, 32:] != lower).mean() < 0.65


def test_each_epoch_stores_one_more_image_of_each_class():
    training = training_of("digits")
    for count in (1, 2, 3):
        training.epoch(SILENT)
        training.evaluate()
        assert len(training.kept) == 10 * count
    np.testing.assert_allclose(
        training.network.weight.numpy(), RULES["pseudo_inverse"](training.kept.numpy()), atol=1e-6
    )
    assert "    30  " in training.report()


def test_a_class_without_images_is_refused():
    table = TensorDataset(mg.ones((4, 1, 2, 2)), mg.tensor([0, 0, 0, 1]))
    data = Examples(table, table, ("a", "b"))
    settings = SimpleNamespace(epochs=2, rule="hebbian", recall="asynchronous", seed=0)
    with pytest.raises(ValueError, match="images of a class, got 2, but class b has 1"):
        ARCHITECTURE.training(Hopfield(4), data, settings)


@pytest.mark.parametrize("dataset", ["patterns", "digits"])
def test_a_run_goes_on_bit_for_bit(dataset, tmp_path):
    def make():
        changed = {"units": 40, "patterns": 5} if dataset == "patterns" else {}
        training = training_of(dataset, **{**changed, "epochs": 2})
        training.pictures = lambda *_: None
        return training

    whole, history = make(), []
    fit(whole, Run.create(tmp_path / "whole", {}), history, quiet=True)
    half = make()
    half.settings.epochs = 1
    fit(half, Run.create(tmp_path / "half", {}), [], quiet=True)
    again = make()
    mg.manual_seed(99)
    run = Run(tmp_path / "half")
    fit(again, run, restore(again, run), quiet=True)
    np.testing.assert_array_equal(np.array(again.curves), np.array(whole.curves))
    np.testing.assert_array_equal(again.network.weight.numpy(), whole.network.weight.numpy())
    mg.manual_seed(5)
    text = again.sample(2, tmp_path)
    mg.manual_seed(5)
    assert whole.sample(2, tmp_path) == text
    assert len(text.splitlines()) == 4
    assert (tmp_path / "recalled.png").exists() == (dataset == "digits")


@pytest.mark.parametrize("dataset", ["patterns", "digits"])
def test_pictures_are_drawn(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(hopfield, "RECALLED", 3)
    training = small_capacity() if dataset == "patterns" else training_of(dataset)
    training.epoch(SILENT)
    training.evaluate()
    weight = training.network.weight.numpy().copy()
    training.pictures(tmp_path, [])
    names = {"patterns": ["capacity", "energy"], "digits": ["energy", "overlap", "recall"]}
    assert sorted(path.stem for path in tmp_path.iterdir()) == names[dataset]
    np.testing.assert_array_equal(training.network.weight.numpy(), weight)
