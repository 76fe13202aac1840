"""The deep belief network: its top machine, its two directions, and what it learns from labels."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import seeded
from minigrad.gradcheck import gradcheck
from models.data import DATA_SETS
from models.dbn import ARCHITECTURE, DBN, UNKNOWN, AssociativeMemory, DBNTraining
from models.run import Run
from models.training import Progress, fit, restore

SILENT = Progress("", total=0, unit="", quiet=True)


def shaken(network, seed=0, size=1.0):
    """The network in float64, with parameters of a normal distribution."""
    rng = np.random.default_rng(seed)
    network.to("float64")
    for parameter in network.parameters():
        parameter.overwrite(size * rng.normal(size=parameter.shape))
    return network


def memory(seed=0):
    """Three features, three labels, four hidden units."""
    return shaken(AssociativeMemory(3, 3, 4), seed)


def states(n):
    """All states of n binary units."""
    return np.array(list(itertools.product((0.0, 1.0), repeat=n)))


def visible_states():
    """All states of three features with each of three labels, (24, 6)."""
    return np.array([[*v, *y] for v in states(3) for y in np.eye(3)])


def digits(**changes):
    """A training of the digits, and the settings of the command with some of them changed."""
    given_ = {**ARCHITECTURE.settings["digits"], "seed": 0, **changes}
    given_ = SimpleNamespace(**given_)
    mg.manual_seed(given_.seed)
    network = ARCHITECTURE.build(DATA_SETS["digits"], given_)
    return DBNTraining(network, DATA_SETS["digits"].load("numpy"), given_)


# -- The top machine ------------------------------------------------------------------------------


def test_one_label_unit_is_on_and_none_where_the_label_is_unknown():
    v = memory().joined(mg.tensor(states(3)[:3]), mg.tensor([2, 0, UNKNOWN])).numpy()
    np.testing.assert_array_equal(v[:, :3], states(3)[:3])
    np.testing.assert_array_equal(v[:, 3:], [[0, 0, 1], [1, 0, 0], [0, 0, 0]])


def test_visible_units_fire_with_the_probability_of_the_energy():
    """Over the states in which exactly one label unit is on."""
    machine, v = memory(), visible_states()
    for h in states(4)[[0, 6, 15]]:
        weight = np.exp(-machine.energy(mg.tensor(v), mg.tensor(np.tile(h, (24, 1)))).numpy())
        p = machine.visible(mg.tensor(h[None])).numpy()[0]
        np.testing.assert_allclose(p, weight @ v / weight.sum(), rtol=1e-12)


def test_z_is_the_sum_over_all_states_with_one_label():
    machine = memory()
    total = np.exp(-machine.free_energy(mg.tensor(visible_states())).numpy()).sum()
    assert machine.log_z().item() == pytest.approx(np.log(total), rel=1e-12)


def test_labels_are_drawn_with_their_probabilities():
    mean = np.tile([0.3, 0.9, 0.5, 0.2, 0.7, 0.1], (20_000, 1))
    mg.manual_seed(0)
    v = memory().drawn(mg.tensor(mean)).numpy()
    np.testing.assert_array_equal(v[:, :3], mean[:, :3])
    assert set(np.unique(v[:, 3:])) == {0.0, 1.0}
    assert (v[:, 3:].sum(1) == 1.0).all()
    np.testing.assert_allclose(v[:, 3:].mean(0), mean[0, 3:], atol=0.012)


def test_a_gibbs_step_draws_hidden_units_and_labels():
    machine = memory()
    labels = mg.tensor([0, 1, 2, UNKNOWN, UNKNOWN])
    v = machine.joined(mg.tensor(np.random.default_rng(0).random((5, 3))), labels)
    with seeded(3):
        found = machine.gibbs(v, 2).numpy()
    with seeded(3):
        for _ in range(2):
            mean = machine.visible(mg.bernoulli(machine.hidden(v)))
            below = mg.rand(5, 1) < mean[:, 3:].cumsum(-1)
            labels = np.eye(3)[below.argmax(-1).numpy()]
            labels[3:] = 0.0  # which are left out
            v = mg.concatenate([mean[:, :3], mg.tensor(labels)], 1)
    np.testing.assert_allclose(found, v.numpy(), atol=1e-12)


def test_a_held_label_stays_and_pulls_the_features_its_way():
    """A hidden unit that sees label 1 alone, and excites all features."""
    machine = AssociativeMemory(3, 3, 1).to("float64")
    machine.weight.overwrite(np.array([[2.0, 2.0, 2.0, 0.0, 40.0, 0.0]]))
    machine.hidden_bias.overwrite(np.array([-20.0]))
    for label, feature in ((0, 0.5), (1, logistic(2.0))):
        start = machine.joined(mg.tensor(states(3)), mg.tensor([label] * 8))
        found = machine.dream(start, 5, held=True).numpy()
        np.testing.assert_array_equal(found[:, 3:], start.numpy()[:, 3:])
        np.testing.assert_allclose(found[:, :3], feature, atol=1e-6)
    free = machine.dream(start, 5, held=False).numpy()
    np.testing.assert_array_equal(free[:, 3:].sum(1), 1.0)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_label_of_features_is_by_their_free_energies(seed):
    machine = memory(seed)
    features = mg.tensor(np.random.default_rng(seed).random((5, 3)))
    sums = machine.label_sums(features).numpy()
    for label in range(3):
        v = machine.joined(features, mg.tensor([label] * 5))
        expected = -machine.free_energy(v) - features @ machine.visible_bias[:3]
        np.testing.assert_allclose(sums[:, label], expected.numpy(), atol=1e-9)


@pytest.mark.parametrize("known", [True, False])
def test_a_step_is_persistent_contrastive_divergence(known):
    """The update is the gradient of F(v) − F(chain), but for where the units are counted from;
    images without a label change the machine as if it had no label units."""
    machine, other = memory(), memory()
    labels = mg.tensor([0, 2, 2] if known else [UNKNOWN] * 3)
    v = machine.joined(mg.tensor(np.random.default_rng(0).random((3, 3))), labels)
    chain = machine.joined(mg.tensor(states(3)[[1, 4, 6]]), labels)
    before = {name: value.numpy().copy() for name, value in machine.state_dict().items()}
    with seeded(2):
        found = machine.pcd_step(v, chain, 0.3)
    with seeded(2):
        expected = other.gibbs(chain)
    np.testing.assert_array_equal(found.numpy(), expected.numpy())
    other.contrast(v, other.hidden(v), found, other.hidden(found), enhanced=True)
    for name, parameter in other.named_parameters():
        moved = before[name] - 0.3 * parameter.grad.numpy()
        np.testing.assert_allclose(machine.state_dict()[name].numpy(), moved, atol=1e-12)
    if not known:
        np.testing.assert_array_equal(machine.weight.numpy()[:, 3:], before["weight"][:, 3:])
        np.testing.assert_array_equal(machine.visible_bias.numpy()[3:], before["visible_bias"][3:])


# -- Up and down ----------------------------------------------------------------------------------


def small():
    return shaken(DBN((5, 4, 3, 6), 2), size=0.7)


def logistic(x):
    return 1.0 / (1.0 + np.exp(-x))


def test_the_classifier_computes_its_formula():
    network = small()
    x = np.random.default_rng(0).random((7, 1, 1, 5))
    h = x.reshape(7, 5)
    *hidden, last = network.layers
    for layer in hidden:
        h = logistic(h @ layer.weight.numpy().T + layer.bias.numpy())
    z = h @ last.weight.numpy().T + last.bias.numpy()
    np.testing.assert_allclose(network(mg.tensor(x)).numpy(), z, atol=1e-12)
    parameters = {name: p for name, p in network.named_parameters() if name.startswith("layers")}
    target = mg.tensor([0, 1, 1, 0, 1, 0, 0])

    def loss(*values):
        h = mg.tensor(x.reshape(7, 5))
        for i in range(0, 6, 2):
            h = mg.sigmoid(h @ values[i].T + values[i + 1])
        return mg.nn.functional.cross_entropy(h @ values[6].T + values[7], target)

    assert gradcheck(loss, [mg.tensor(p.numpy(), requires_grad=True) for p in parameters.values()])


def test_the_classifier_starts_where_the_machines_are():
    """Its hidden layers are the machines', and its answer is p(y | h₃) of the top machine."""
    network = small()
    network.unfold()
    x = mg.tensor(np.random.default_rng(0).random((4, 5)))
    h2 = network.up(x, 2)
    np.testing.assert_allclose(
        h2.numpy(), network.machines[1].hidden(network.machines[0].hidden(x)).numpy(), atol=1e-12
    )
    f = network.memory.features
    no_label = mg.concatenate([h2, mg.zeros((4, 2), dtype="float64")], 1)
    h3 = network.memory.hidden(no_label)
    of_labels = h3 @ network.memory.weight[:, f:] + network.memory.visible_bias[f:]
    np.testing.assert_allclose(network(x).numpy(), of_labels.numpy(), atol=1e-12)


def test_the_way_down_goes_through_every_machine():
    network = small()
    features = mg.tensor(states(3)[[3, 6]])
    lower, upper = network.machines
    h = logistic(features.numpy() @ upper.weight.numpy() + upper.visible_bias.numpy())
    images = logistic(h @ lower.weight.numpy() + lower.visible_bias.numpy())
    np.testing.assert_allclose(network.down(features).numpy(), images, atol=1e-12)


def test_dropout_acts_in_training_alone():
    network = DBN((5, 40, 30, 20), 2, dropout=0.5)
    x = mg.ones((1, 5))
    assert not np.array_equal(network(x).numpy(), network(x).numpy())
    network.eval()
    np.testing.assert_array_equal(network(x).numpy(), network(x).numpy())


def test_the_network_of_the_paper_has_its_size():
    machines = (784 * 500 + 784 + 500) + (500 * 500 + 500 + 500) + (510 * 2000 + 510 + 2000)
    layers = 785 * 500 + 501 * 500 + 501 * 2000 + 2001 * 10
    assert ARCHITECTURE.size("mnist") == machines + layers


# -- Training -------------------------------------------------------------------------------------


def test_epochs_go_to_the_machines_from_below_and_then_to_the_classifier():
    training = digits(pretrain=2, epochs=3)
    assert training.settings.epochs == 3 * 2 + 3
    changed = []
    for _ in range(training.settings.epochs):
        before = {name: v.numpy().copy() for name, v in training.network.state_dict().items()}
        found = training.epoch(SILENT) | training.evaluate()
        after = training.network.state_dict()
        moved = {n.rpartition(".")[0] for n in after if (after[n].numpy() != before[n]).any()}
        changed.append((found["layer"], moved - {f"layers.{i}" for i in range(4)}))
        assert ("test_accuracy" in found) == ("train_loss" in found) == (found["layer"] == 4)
        assert ("memory_accuracy" in found) == (found["layer"] == 3)
    assert changed == [
        *[(1, {"machines.0"})] * 2,
        *[(2, {"machines.1"})] * 2,
        *[(3, {"memory"})] * 2,
        *[(4, set())] * 3,
    ]


def test_the_learning_rate_of_each_machine_falls_to_zero(monkeypatch):
    training = digits(pretrain=2, epochs=1, batch_size=300)
    rates = []
    for machine in training.machines:
        step = machine.pcd_step
        monkeypatch.setattr(
            machine, "pcd_step", lambda v, c, lr, step=step: (rates.append(lr), step(v, c, lr))[1]
        )
    for _ in range(6):
        training.epoch(SILENT)
    per_machine = 2 * len(training.loader)
    expected = training.settings.pcd_lr * (1.0 - np.arange(per_machine) / per_machine)
    np.testing.assert_allclose(rates, np.tile(expected, 3))


def weights_of(layers):
    return [parameter.numpy().copy() for parameter in layers.parameters()]


def test_the_classifier_learns_as_ever_and_is_its_running_average(monkeypatch):
    small = {"pretrain": 1, "epochs": 11, "hidden": 8, "top": 10, "labels": 200}
    training, plain = digits(**small), digits(**small)
    monkeypatch.setattr(plain, "exchange", lambda: None)
    means = None
    for trained in (training, plain):
        mg.manual_seed(3)
        for _ in range(3):
            trained.epoch(SILENT)
    for t in range(1, 12):
        for trained in (training, plain):
            mg.manual_seed(10 + t)
            trained.epoch(SILENT)
        learned = weights_of(plain.network.layers)
        for found, expected in zip(weights_of(training.average), learned, strict=True):
            np.testing.assert_array_equal(found, expected)
        if means is None:
            means = learned
        means = [m + min(1.0, 8.0 / t) * (w - m) for m, w in zip(means, learned, strict=True)]
        for found, expected in zip(weights_of(training.network.layers), means, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_digits_are_learned_by_both(tmp_path):
    training = digits(pretrain=12, epochs=12)
    history = []
    for epoch in range(training.settings.epochs):
        history.append({"epoch": epoch + 1, **training.epoch(SILENT), **training.evaluate()})
    assert history[35]["memory_accuracy"] >= 0.75
    assert history[-1]["test_accuracy"] >= 0.9
    training.pictures(tmp_path, history)
    names = ["confusion.png", "curves.png", "dreams.png", "filters.png", "mistakes.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    said = training.sample(3, tmp_path)
    right = float(said.split()[-4])
    assert said.startswith("3 dreams of each label; the classifier takes")
    assert right >= 40.0  # 10 by chance


@pytest.mark.parametrize("count", [10, 305])
def test_few_labels_are_as_many_of_each_class_and_the_others_unknown(count):
    training = digits(labels=count)
    x, labels = training.labelled.tensors
    assert np.bincount(labels.numpy()).tolist() == [count // 10] * 10
    images, told = training.told.tensors
    known = told.numpy() != UNKNOWN
    assert known.sum() == len(x) == count // 10 * 10
    _, truth = DATA_SETS["digits"].load("numpy").train.tensors
    np.testing.assert_array_equal(told.numpy()[known], truth.numpy()[known])
    assert len(images) == len(truth)
    assert {row.tobytes() for row in x.numpy()} == {row.tobytes() for row in images.numpy()[known]}
    assert training.train is training.told
    assert digits(labels=count, pretrain=0).train.tensors[0].shape == x.shape


@pytest.mark.parametrize("count", [9, 1438])
def test_too_few_or_too_many_labels_are_refused(count):
    with pytest.raises(ValueError, match=rf"dbn: labels wants 0 or 10 to .*, got {count}"):
        digits(labels=count)


def test_pre_training_on_images_without_labels_helps():
    errors = []
    for changes in ({"pretrain": 10}, {"pretrain": 0}):
        training = digits(labels=50, epochs=60, **changes)
        for _ in range(training.settings.epochs):
            training.epoch(SILENT)
        errors.append(1.0 - training.evaluate()["test_accuracy"])
    assert errors[0] < 0.9 * errors[1]


@pytest.mark.parametrize("stop", [2, 5, 6])
def test_it_goes_on_bit_for_bit_in_the_middle_of_a_machine(stop, tmp_path):
    changes = {"pretrain": 2, "epochs": 2, "labels": 200, "hidden": 8, "top": 10}
    whole = digits(**changes)
    whole.pictures = lambda *_: None
    fit(whole, Run.create(tmp_path / "whole", {}), [], quiet=True)
    first = digits(**changes)
    first.pictures = lambda *_: None
    run, history = Run.create(tmp_path / "run", {}), []
    first.settings.epochs = stop
    fit(first, run, history, quiet=True)
    second = digits(**changes)
    second.pictures = lambda *_: None
    history = restore(second, run)
    fit(second, run, history, quiet=True)
    assert len(history) == 8
    for name, value in whole.network.state_dict().items():
        np.testing.assert_array_equal(second.network.state_dict()[name].numpy(), value.numpy())
