"""The multilayer perceptron: its formula, its gradients, and what it learns."""

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.data import TensorDataset
from minigrad.gradcheck import gradcheck
from models.data import DATA_SETS, Examples
from models.mlp import ARCHITECTURE, MLP, MLPTraining, draw_hidden_space
from models.training import Progress

SILENT = Progress("", total=0, unit="", quiet=True)


def training_on(name, seed=0, **changes):
    mg.manual_seed(seed)
    settings = SimpleNamespace(**{**ARCHITECTURE.settings[name], "seed": seed, **changes})
    network = ARCHITECTURE.build(DATA_SETS[name], settings)
    return MLPTraining(network, DATA_SETS[name].load("numpy"), settings)


def test_it_computes_its_formula():
    network = MLP(6, 5, 3)
    x = np.random.default_rng(0).normal(size=(4, 1, 2, 3)).astype("float32")
    w = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    h = np.maximum(x.reshape(4, 6) @ w["first.weight"].T + w["first.bias"], 0.0)
    z = h @ w["second.weight"].T + w["second.bias"]
    np.testing.assert_allclose(network.hidden(mg.tensor(x)).numpy(), h, atol=1e-6)
    np.testing.assert_allclose(network(mg.tensor(x)).numpy(), z, atol=1e-6)


def test_the_gradients_of_its_loss():
    network = MLP(4, 3, 3, activation=F.tanh).to("float64")
    labels = mg.tensor([0, 2])
    x = mg.tensor(np.random.default_rng(0).normal(size=(2, 4)), requires_grad=True)
    assert gradcheck(lambda x: F.cross_entropy(network(x), labels), [x])
    F.cross_entropy(network(x), labels).backward()
    eps = 1e-6
    for parameter in network.parameters():
        values = parameter.numpy().copy()
        for index in np.ndindex(values.shape):
            losses = []
            for side in (eps, -eps):
                moved = values.copy()
                moved[index] += side
                parameter.overwrite(moved)
                losses.append(F.cross_entropy(network(x), labels).item())
            slope = (losses[0] - losses[1]) / (2.0 * eps)
            assert parameter.grad.numpy()[index] == pytest.approx(slope, abs=1e-8)
        parameter.overwrite(values)


def test_dropout_acts_in_training_alone():
    network = MLP(8, 50, 2, dropout=0.5)
    x = mg.ones((1, 8))
    assert not np.array_equal(network(x).numpy(), network(x).numpy())
    network.eval()
    np.testing.assert_array_equal(network(x).numpy(), network(x).numpy())


def test_steps_lower_the_loss_and_the_learning_rate():
    training = training_on("digits", epochs=2)
    batch = next(iter(training.loader))
    losses = [float(training.step(*batch)["train_loss"]) for _ in range(20)]
    assert losses[-1] < 0.5 * losses[0]
    assert 0.0 < training.optimizer.param_groups[0]["lr"] < training.settings.lr


def test_the_learning_rate_ends_at_zero():
    training = training_on("xor", epochs=3)
    for _ in range(3):
        training.epoch(SILENT)
    assert abs(training.optimizer.param_groups[0]["lr"]) < 1e-12


def test_xor_is_learned_and_its_hidden_space_separable(tmp_path):
    training = training_on("xor")
    for _ in range(training.settings.epochs):
        training.epoch(SILENT)
    assert training.evaluate() == {"test_accuracy": 1.0}
    x, y = training.test.tensors
    h = training.network.hidden(x).numpy()
    w = training.network.second.weight.numpy()
    b = training.network.second.bias.numpy()
    beyond_the_line = h @ (w[1] - w[0]) + b[1] - b[0] > 0.0
    assert beyond_the_line.tolist() == y.numpy().astype(bool).tolist()
    draw_hidden_space(training.network, training.test, tmp_path / "hidden.png")
    assert (tmp_path / "hidden.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("hidden", [2, 3])
def test_an_untrained_network_and_one_of_more_units_are_drawn_too(hidden, tmp_path):
    training = training_on("xor", hidden=hidden)
    training.network.second.bias.overwrite(np.array([9.0, -9.0]))  # never ½
    draw_hidden_space(training.network, training.test, tmp_path / "hidden.png")
    assert (tmp_path / "hidden.png").read_bytes().startswith(b"\x89PNG")


def test_digits_are_learned():
    training = training_on("digits", epochs=20)
    for _ in range(20):
        measured = training.epoch(SILENT)
    assert measured["train_loss"] < 0.5
    assert training.evaluate()["test_accuracy"] >= 0.96


def test_the_mean_loss_weighs_a_short_last_batch_by_its_examples():
    x = np.random.default_rng(0).normal(size=(7, 2)).astype("float32")
    y = np.array([0, 1, 1, 0, 1, 0, 1])
    data = Examples(TensorDataset(x, y), TensorDataset(x, y), ("0", "1"))
    settings = SimpleNamespace(epochs=1, batch_size=4, lr=1e-12, seed=0)
    network = MLP(2, 3, 2)
    mean = MLPTraining(network, data, settings).epoch(SILENT)["train_loss"]
    whole = F.cross_entropy(network(mg.tensor(x)), mg.tensor(y)).item()
    assert mean == pytest.approx(whole, rel=1e-5)


def test_the_network_of_the_paper_has_its_size():
    assert ARCHITECTURE.size("mnist") == 784 * 800 + 800 + 800 * 10 + 10
