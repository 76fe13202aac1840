"""Rosenblatt's rule, Novikoff's bound, and the proof that XOR cannot be learned."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import TensorDataset
from models.data import DATA_SETS, Examples
from models.perceptron import (
    Perceptron,
    PerceptronTraining,
    exact,
    fire,
    largest_margin,
    shared_point,
    with_constant,
)
from models.training import Progress

SILENT = Progress("", total=0, unit="", quiet=True)


def training_on(x, y, classes=2, **settings):
    table = TensorDataset(np.asarray(x, dtype="float32"), np.asarray(y, dtype="int64"))
    data = Examples(table, table, tuple(map(str, range(classes))))
    network = Perceptron(table.tensors[0].shape[1], classes if classes > 2 else 1)
    given = {"epochs": 100, "lr": 0.1, "decay": 0.0, "seed": 0} | settings
    return PerceptronTraining(network, data, SimpleNamespace(**given))


def training_on_table(name, **settings):
    table, _ = DATA_SETS[name].read()
    return training_on(*(tensor.numpy() for tensor in table.tensors), **settings)


def run(training, epochs=100):
    for _ in range(epochs):
        if training.finished is None:
            training.epoch(SILENT)
    return training


def test_one_mistake_moves_the_weights_by_the_rule():
    training = training_on([[2.0, -1.0]], [1])
    measured = training.epoch(SILENT)
    np.testing.assert_array_equal(training.w, exact(0.1) * np.array([[2.0, -1.0, 1.0]]))
    assert measured == {"train_loss": 1.0, "mistakes": 1}
    assert training.epoch(SILENT) == {"train_loss": 0.0, "mistakes": 1}


def test_a_false_alarm_moves_the_weights_the_other_way():
    training = training_on([[2.0, -1.0], [0.0, 5.0]], [0, 1])
    training.w = np.array([[1.0, 0.0, 0.0]])
    training.x, training.targets = training.x[:1], training.targets[:1]
    training.epoch(SILENT)
    np.testing.assert_allclose(training.w, [[1.0 - 0.2, 0.1, -0.1]], atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["and", "or", "not", "nand"])
def test_separable_tables_are_learned_within_novikoffs_bound(name, seed):
    mg.manual_seed(seed)
    training = run(training_on_table(name))
    assert training.evaluate() == {"test_accuracy": 1.0}
    assert 0 < len(training.rates) <= training.bound
    assert "no mistake in epoch" in training.finished
    assert "Novikoff's bound" in training.finished


@pytest.mark.parametrize("seed", range(5))
def test_a_decaying_rate_obeys_the_bound_on_weighted_mistakes(seed):
    mg.manual_seed(seed)
    training = run(training_on_table("and", lr=0.5, decay=0.3))
    assert training.evaluate() == {"test_accuracy": 1.0}
    assert min(training.rates) < max(training.rates)
    assert training.weighted_mistakes() <= training.bound


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(2, 20))
def test_novikoffs_bound_holds_for_random_separable_data(seed, d, n):
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(n, d))
    u = generator.normal(size=d)
    side = np.where(x @ u > 0.0, 1.0, -1.0)
    x += 0.3 * side[:, None] * u / np.linalg.norm(u)  # moved away from the hyperplane, 0.3 at least
    training = run(training_on(x, side > 0), epochs=1000)
    assert training.finished is not None
    assert len(training.rates) <= training.bound * (1 + 1e-9)


def test_xor_is_refused_before_the_first_epoch_with_the_shared_point():
    training = training_on_table("xor")
    assert training.finished == (
        "the data are not linearly separable: the convex hulls of the two classes share the point "
        "(0.5, 0.5)"
    )


@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_a_shared_point_is_in_both_hulls_or_a_hyperplane_separates(seed, d, n, m):
    generator = np.random.default_rng(seed)
    first = generator.integers(-3, 4, size=(n, d)).astype(float)
    second = generator.integers(-3, 4, size=(m, d)).astype(float)
    point = shared_point(first, second)
    if point is not None:
        for rows in (first, second):
            assert (rows.min(0) - 1e-7 <= point).all()
            assert (point <= rows.max(0) + 1e-7).all()
            assert shared_point(rows, point[None].round(9)) is not None
    else:
        rows = with_constant(np.concatenate([first, second]))
        assert largest_margin(rows, np.arange(n + m) < n) > 1e-3


def test_the_largest_margin_of_known_cases():
    rows = np.array([[0.0, 1.0], [1.0, 1.0]])  # NOT: the shortest v is (−2, 1)
    assert math.isclose(largest_margin(rows, np.array([True, False])), 1 / math.sqrt(5))
    table = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    gamma = largest_margin(with_constant(table), table.sum(1) == 2)  # AND: v = (2, 2, −3)
    assert math.isclose(gamma, 1 / math.sqrt(17))


@given(st.integers(0, 2**32 - 1), st.integers(2, 8))
@example(234, 6)
def test_the_largest_margin_lies_between_its_bounds(seed, n):
    """At least that of the plane behind the labels; at most |Σ aᵢ (± x̃ᵢ)| for any shares a."""
    generator = np.random.default_rng(seed)
    rows = with_constant(generator.normal(size=(n, 2)))
    u = generator.normal(size=3)
    positive = rows @ u > 0.0
    signed = np.where(positive, 1.0, -1.0)[:, None] * rows
    gamma = largest_margin(rows, positive)
    assert gamma >= (signed @ u).min() / np.linalg.norm(u) * (1.0 - 1e-9)
    shares = generator.dirichlet(np.full(n, 0.3), size=100)
    assert gamma <= np.linalg.norm(shares @ signed, axis=1).min() * (1.0 + 1e-9)


def test_the_largest_margin_between_two_near_points():
    """With x̃ = (a, 1) and (b, 1), both conditions are tight: v = (2, −a − b) / (a − b)."""
    for a, b in [(1.0, 0.999), (0.3, 0.2), (-2.0, -2.001), (1.5, -1.0)]:
        gamma = largest_margin(np.array([[a, 1.0], [b, 1.0]]), np.array([True, False]))
        assert math.isclose(gamma, (a - b) / math.hypot(2.0, a + b), rel_tol=1e-9)


def test_several_units_move_the_missed_and_the_guessed_class():
    training = training_on([[1.0, 2.0]], [2], classes=3)
    training.epoch(SILENT)
    change = exact(0.1) * np.array([1.0, 2.0, 1.0])
    np.testing.assert_array_equal(training.w, [-change, 0.0 * change, change])


def test_the_network_gets_the_average_over_all_steps():
    generator = np.random.default_rng(0)
    x = generator.normal(size=(30, 4)).astype("float32")
    y = generator.integers(0, 3, 30)
    mg.manual_seed(1)
    training = run(training_on(x, y, classes=3), epochs=3)
    mg.manual_seed(1)
    w = np.zeros((3, 5))
    total = np.zeros((3, 5))
    rows = with_constant(x.astype("float64"))
    for _ in range(3):
        for i in mg.randperm(30).numpy():
            guess = (w @ rows[i]).argmax()
            if guess != y[i]:
                w[y[i]] += exact(0.1) * rows[i]
                w[guess] -= exact(0.1) * rows[i]
            total += w
    np.testing.assert_allclose(training.w, w, atol=1e-12)
    np.testing.assert_allclose(training.network.weight.numpy(), total / 90, atol=1e-6)


def test_digits_are_learned():
    train, test = DATA_SETS["digits"].read()
    mg.manual_seed(0)
    settings = SimpleNamespace(epochs=5, lr=0.1, decay=0.0, seed=0)
    data = Examples(train, test, DATA_SETS["digits"].classes)
    training = run(PerceptronTraining(Perceptron(64, 10), data, settings), epochs=5)
    assert training.evaluate()["test_accuracy"] > 0.95


def test_outputs():
    assert fire(np.array([0.0])).tolist() == [False]
    assert fire(np.array([1e-3])).tolist() == [True]
    assert fire(np.array([-3.0, -1.0, -2.0])).tolist() == [False, True, False]


@given(st.floats(1e-9, 10.0))
def test_learning_rates_are_exact_in_binary(lr):
    assert exact(lr) > 0.0
    assert exact(lr) * 2**16 == round(exact(lr) * 2**16)
    assert abs(exact(lr) - lr) <= 2**-16


@pytest.mark.parametrize("name", ["not", "and", "xor"])
def test_the_plane_is_drawn(name, tmp_path):
    training = run(training_on_table(name))
    training.pictures(tmp_path, [])
    assert (tmp_path / "boundary.png").read_bytes().startswith(b"\x89PNG")
