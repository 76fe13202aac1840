"""Every model of `models/`: the gradient of its loss through all parameters, to second order.

A directional derivative costs the same whatever the number of parameters, so that the networks are
checked as the commands build them, for each data set, besides a small one. A model without an entry
here fails `test_complete`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from minigrad.gradcheck import check_rules, directional_error
from models.alexnet import AlexNet, FromPatches
from models.architecture import FOLDER, architectures
from models.autoencoder import Autoencoders, Undercomplete
from models.cnn import ConvolutionalNetwork
from models.contest import Contest
from models.data import DataSet, Examples
from models.lenet import LeNet5, enlarged, shifted
from models.mlp import MLP
from models.perceptron import Perceptron, PerceptronTraining, exact, fire
from models.rnn import RecurrentNetwork
from models.sequences import Rows
from models.training import Progress
from tests.backends import BACKENDS, assert_same, on
from tests.layers import Case, Watched, seeds

ARCHITECTURES = architectures()


@dataclass(frozen=True)
class Entry:
    """The loss of a model's step, ``loss(network, x, labels)``, and a small network of its kind."""

    loss: Callable
    small: Callable
    shape: tuple  # of one input of the small network, which has three classes


def _mlp_loss(network, x, labels):
    return F.cross_entropy(network(x), labels)


def _lenet_loss(network, x, labels):
    return F.cross_entropy(network(shifted(enlarged(x), 1)), labels)


def _shifted_loss(network, x, labels):
    return F.cross_entropy(network(shifted(x, 1)), labels)


def _small_rnn(layer):
    return RecurrentNetwork(Rows(DataSet("", None, (1, 4, 3), tuple("abc"))), layer, 5)


def _contest_loss(network, x, labels):
    return sum(network.losses(x, labels).values())


def _small_contest():
    networks = {"cnn": ConvolutionalNetwork((1, 2, 3), 2, (2,), 1, 3), "mlp": MLP(8, 3, 3)}
    return Contest(networks)


def _small_autoencoder():
    return Autoencoders({"autoencoder": Undercomplete((1, 2, 3), 4, 2)})


def _small_alexnet():
    return FromPatches(AlexNet(3, 1, 20, 0.01), 1, 22, 20)


ENTRIES = {
    "autoencoder": Entry(_contest_loss, _small_autoencoder, (1, 2, 3)),
    "mlp": Entry(_mlp_loss, lambda: MLP(4, 5, 3, F.tanh, 0.2, 0.3), (4,)),
    "lenet": Entry(_lenet_loss, lambda: LeNet5(1, 8, 3), (1, 8, 8)),
    "adversarial": Entry(_shifted_loss, lambda: LeNet5(1, 8, 3), (1, 8, 8)),
    "alexnet": Entry(_mlp_loss, _small_alexnet, (1, 22, 22)),
    "cnn": Entry(_contest_loss, _small_contest, (1, 8)),
    "rnn": Entry(_mlp_loss, lambda: _small_rnn(nn.RNN), (1, 4, 3)),
    "lstm": Entry(_mlp_loss, lambda: _small_rnn(nn.LSTM), (1, 4, 3)),
}

# These have nothing to differentiate: thresholds are flat, and what learns has a rule of its own,
# which the tests of each model, and the last test here, compare with its equation.
WITHOUT_GRADIENT = {"mcculloch_pitts", "perceptron", "hopfield", "boltzmann"}

# Whose steps are symbols or whose answers are numbers: test_models_rnn checks their gradients.
OTHER_TASKS = {(name, data) for name in ("rnn", "lstm") for data in ("adding", "reber", "text")}

NETWORKS = [
    (name, dataset)
    for name in ENTRIES
    for dataset in ("small", *ARCHITECTURES[name].settings)
    if dataset != FOLDER and (name, dataset) not in OTHER_TASKS
]


# What learns the gradient of a free energy: test_models_rbm and test_models_dbn check it.
ENERGIES = {"rbm", "dbn"}

# Whose loss takes bits and draws their codes: test_models_vae checks it.
CODES = {"vae"}

# Whose two networks minimise a loss each: test_models_gan, _lsgan and _cgan check both.
GAMES = {"gan", "lsgan", "cgan"}

# Whose targets are pixels: test_models_deconvnet and test_models_segmentation check the loss.
PIXELS = {"deconvnet", "segmentation"}


def test_complete():
    others = ENERGIES | CODES | GAMES | PIXELS
    assert set(ARCHITECTURES) == set(ENTRIES) | WITHOUT_GRADIENT | others


@pytest.mark.parametrize("name", sorted(WITHOUT_GRADIENT))
def test_models_without_a_gradient_have_no_parameters(name):
    for dataset in ARCHITECTURES[name].settings:
        network, _ = built(name, dataset)
        assert list(network.parameters()) == []


def settings_of(name, dataset):
    return SimpleNamespace(**ARCHITECTURES[name].defaults(dataset), seed=0)


def built(name, dataset):
    """The untrained network for a data set, and the data set."""
    given_ = settings_of(name, dataset)
    data = ARCHITECTURES[name].data(dataset, given_)
    return ARCHITECTURES[name].build(data, given_), data


def case_of(name, dataset, seed, n=3):
    """The loss of a freshly built network for random inputs and labels, in float64."""
    entry = ENTRIES[name]
    with seeded(seed):
        if dataset == "small":
            network, shape, classes = entry.small(), entry.shape, 3
        else:
            network, data = built(name, dataset)
            shape, classes = data.shape, len(data.classes)
    rng = np.random.default_rng(seed)
    x = rng.uniform(0.0, 1.0, (n, *shape))
    labels = rng.integers(0, classes, n)
    return Case(network.to("float64"), (x,), (labels,), entry.loss)


def magnified(f, point, factor):
    """z ↦ factor · f(point + z / factor): the derivative at 0 is that of f at the point.

    Kinks are `factor` times further away: one step of a difference quotient at a point between the
    kinks of some ten thousand rectifiers would meet one of them.
    """

    def g(*zs):
        pairs = zip(point, zs, strict=True)
        return [factor * y for y in f(*(z * (1.0 / factor) + x for x, z in pairs))]

    return g


def gradient_of(f):
    """The gradient of a function with one scalar output, recorded."""
    return lambda *xs: mg.grad(f(*xs), xs, create_graph=True)


@pytest.mark.parametrize(("name", "dataset"), NETWORKS)
@settings(max_examples=max(4, settings().max_examples // 5))
@given(seed=seeds, training=st.booleans())
def test_first_and_second_order(name, dataset, seed, training):
    case = case_of(name, dataset, seed)
    case.module.train(training)
    f = Watched(case)
    zeros = [np.zeros(x.shape) for x in case.values]
    first = directional_error(magnified(f, case.values, 1e4), zeros, 1, seed)
    second = directional_error(magnified(gradient_of(f), case.values, 1e4), zeros, 1, seed)
    assume(f.stayed)
    assert first <= 1e-6
    assert second <= 1e-4


@pytest.mark.parametrize(("name", "dataset"), NETWORKS)
@pytest.mark.parametrize("training", [True, False])
def test_every_parameter_gets_its_gradient(name, dataset, training):
    """Of its shape and dtype, the same recorded or not, and not zero everywhere."""
    case = case_of(name, dataset, seed=1)
    case.module.train(training)
    check_rules(case, case.values)
    leaves = [mg.Tensor(x, requires_grad=True) for x in case.values]
    for gradient in mg.grad(case(*leaves), leaves):
        assert np.abs(gradient.array).max() > 0.0


@pytest.mark.parametrize("backend", [b for b in BACKENDS if b != "numpy"])
@pytest.mark.parametrize(("name", "dataset"), NETWORKS)
def test_backends_agree(name, dataset, backend):
    """Without the random numbers of training, which differ from backend to backend."""
    case = case_of(name, dataset, seed=3)
    network = case.module.eval()
    found = {}
    for where in ("numpy", backend):
        network.to(where)
        x, labels = (mg.Tensor(a) for a in on(where, (case.inputs[0], case.fixed[0])))
        network.zero_grad()
        loss_of = _contest_loss if isinstance(network, Contest) else _mlp_loss
        loss = loss_of(network, x, labels)
        loss.backward()
        found[where] = [loss, *(p.grad for p in network.parameters())]
    for a, b in zip(found["numpy"], found[backend], strict=True):
        assert b.backend == backend
        assert_same(b, a)


@pytest.mark.parametrize(("name", "dataset"), [pair for pair in NETWORKS if pair[1] != "small"])
def test_a_step_follows_the_gradient_that_is_checked(name, dataset):
    """What `step` measures and leaves in ``.grad`` is the loss of the entry and its gradient."""
    case = case_of(name, dataset, seed=2, n=8)
    given_ = settings_of(name, dataset)
    given_.shift = 1
    given_.clip = 1e9
    table = TensorDataset(case.inputs[0], case.fixed[0])
    data = Examples(table, table, ARCHITECTURES[name].data(dataset, given_).classes)
    training = ARCHITECTURES[name].training(case.module, data, given_)
    leaves = [mg.Tensor(x, requires_grad=True) for x in case.values]
    (loss,) = case(*leaves)
    expected = mg.grad(loss, leaves[:-1])
    with seeded(0):
        measured = training.step(*table.tensors)
    losses = [mean.item() for what, mean in measured.items() if what.endswith("train_loss")]
    assert sum(losses) == loss.item()
    for parameter, gradient in zip(case.module.parameters(), expected, strict=True):
        np.testing.assert_array_equal(parameter.grad.array, gradient.array)


@given(seed=seeds, units=st.sampled_from([1, 3]), decay=st.sampled_from([0.0, 0.5]))
def test_the_perceptron_follows_its_equation(seed, units, decay):
    """w ← w + η (t − o) x̃ with η = η₁ / (1 + decay (k − 1)) in epoch k."""
    rng = np.random.default_rng(seed)
    n, classes = 6, max(units, 2)
    x, labels = rng.normal(size=(n, 2)).astype("float32"), rng.integers(0, classes, n)
    labels[:classes] = range(classes)
    table = TensorDataset(x, labels)
    given_ = SimpleNamespace(epochs=3, lr=0.3, decay=decay, seed=0)
    data = Examples(table, table, tuple(map(str, range(classes))))
    training = PerceptronTraining(Perceptron(2, units), data, given_)
    rows = np.concatenate([x.astype("float64"), np.ones((n, 1))], axis=1)
    targets = np.eye(classes)[labels] if units > 1 else labels[:, None]
    w = np.zeros((units, 3))
    for k in range(3):
        with seeded(seed):
            training.epoch(Progress("", total=0, unit="", quiet=True))
        with seeded(seed):
            order = mg.randperm(n).numpy()
        for i in order:
            error = targets[i] - 1.0 * fire(w @ rows[i])
            w = w + exact(0.3 / (1.0 + decay * k)) * error[:, None] * rows[i]
        np.testing.assert_allclose(training.w, w, rtol=0, atol=1e-12)
