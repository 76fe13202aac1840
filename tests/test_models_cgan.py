"""The conditional GAN: where the label comes in, and that it is obeyed."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from models import cgan as module
from models.cgan import ARCHITECTURE, CGANTraining, conditional_rivals
from models.data import DATA_SETS, DataSet, Examples
from models.rivals import JUDGED
from models.training import Progress
from tests.test_models_rivals import directional

SILENT = Progress("", total=0, unit="", quiet=True)
NETWORKS = pytest.mark.parametrize("network", ["dense", "dcgan"])


def settings_of(**changes):
    """Those of the command for the digits, with some of them changed."""
    given_ = ARCHITECTURE.defaults("digits", **changes)
    return SimpleNamespace(**given_ | changes, seed=0)


def pair_for(network, classes=3, shape=(1, 8, 8), **changes):
    """Networks for images of that shape, in which no unit is dropped or normalised by a batch."""
    data = DataSet("", None, shape, tuple("abcdefghij"[:classes]))
    mg.manual_seed(0)
    return conditional_rivals(data, settings_of(network=network, code=4, **changes)).eval()


def brightness(n=96):
    """Images of 4 × 4, dark ones of label 0, bright ones of label 1."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2
    x = rng.uniform(0.0, 0.2, (n, 1, 4, 4)) + 0.8 * labels[:, None, None, None]
    table = TensorDataset(x.astype("float32"), labels)
    return Examples(table, table, ("dark", "bright"))


# -- Where the label comes in ---------------------------------------------------------------------


@NETWORKS
@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_label_changes_what_both_networks_answer(network, seed):
    """And each sample's label that sample's answer alone."""
    pair = pair_for(network)
    with seeded(seed), mg.no_grad():
        z, x = mg.randn(3, 4), mg.rand(3, 1, 8, 8)
    for answers in (lambda y: pair(z, y), lambda y: pair.discriminator(x, y)):
        first, second = (answers(mg.tensor(y)).numpy() for y in ([0, 1, 2], [0, 2, 2]))
        np.testing.assert_array_equal(first[[0, 2]], second[[0, 2]])
        assert (first[1] != second[1]).any()


def test_a_vector_of_the_class_stands_beside_the_noise():
    pair = pair_for("dense")
    points = pair.generator.points.weight.numpy().T
    assert points.shape == (3, 4)
    seen = {}
    pair.generator.generator.forward = lambda x: seen.update(x=x.numpy()) or x
    z = np.random.default_rng(0).normal(size=(2, 4)).astype("float32")
    pair(mg.tensor(z), mg.tensor([2, 0]))
    np.testing.assert_array_equal(seen["x"], np.hstack([z, points[[2, 0]]]))


@NETWORKS
def test_a_map_of_the_class_is_another_channel(network):
    pair = pair_for(network)
    maps = pair.discriminator.maps.weight.numpy().T
    assert maps.shape == (3, 64)
    seen = {}
    pair.discriminator.discriminator.forward = lambda x: seen.update(x=x.numpy()) or x
    x = np.random.default_rng(0).random((2, 1, 8, 8), dtype="float32")
    pair.discriminator(mg.tensor(x), mg.tensor([2, 0]))
    assert seen["x"].shape == (2, 2, 8, 8)
    np.testing.assert_array_equal(seen["x"][:, :1], x)
    np.testing.assert_array_equal(seen["x"][:, 1], maps[[2, 0]].reshape(2, 8, 8))


@NETWORKS
def test_gradients_go_through_both_networks_and_the_maps(network):
    pair = pair_for(network).to("float64")
    rng = np.random.default_rng(1)
    z, x = mg.tensor(rng.normal(size=(5, 4))), mg.tensor(rng.random((5, 1, 8, 8)))
    labels = mg.tensor([2, 0, 1, 1, 0])
    for loss, part in (
        (lambda: (pair.discriminator(x, labels) ** 2).sum(), pair.discriminator),
        (lambda: (pair.discriminator(pair(z, labels), labels) ** 2).sum(), pair.generator),
    ):
        said, found = directional(loss, list(part.parameters()))
        assert abs(said) > 1e-9
        assert found == pytest.approx(said, rel=1e-4)


@NETWORKS
@pytest.mark.parametrize("label", [-1, 3])
def test_labels_out_of_range_are_refused(network, label):
    pair = pair_for(network)
    labels = mg.tensor([0, label])
    message = f"has the index {label}, but there are 3 classes"
    with pytest.raises(IndexError, match=message):
        pair(mg.randn(2, 4), labels)
    with pytest.raises(IndexError, match=message):
        pair.discriminator(mg.rand(2, 1, 8, 8), labels)


def test_impossible_settings_are_refused():
    with pytest.raises(ValueError, match="dcgan: --code wants a positive integer, got 0"):
        conditional_rivals(DATA_SETS["digits"], settings_of(code=0))
    with pytest.raises(ValueError, match="dcgan: --width wants a positive integer, got 0"):
        conditional_rivals(DATA_SETS["digits"], settings_of(width=0))
    with pytest.raises(ValueError, match=r"images of 8 × 6; 8 × 4 or 8 × 8 would do"):
        pair_for("dcgan", shape=(1, 8, 6))


# -- Learning -------------------------------------------------------------------------------------


def test_both_players_hear_the_labels_of_the_batch(monkeypatch):
    """In the discriminator's turn, for real and for generated images, and in the generator's."""
    data = brightness()
    given_ = settings_of(network="dense", batch_size=8)
    pair = conditional_rivals(DataSet("", None, (1, 4, 4), data.classes), given_)
    training = CGANTraining(pair, data, given_)
    told = []
    for network in (pair.generator, pair.discriminator):
        forward = network.forward

        def heard(x, labels, forward=forward):
            told.append(labels.numpy().tolist())
            return forward(x, labels)

        monkeypatch.setattr(network, "forward", heard)
    x, labels = next(iter(training.loader))
    training.step(x, labels)
    assert told == [labels.numpy().tolist()] * 4


@pytest.mark.parametrize(("network", "lr", "epochs"), [("dense", 1e-3, 4), ("dcgan", 1e-2, 16)])
def test_what_is_asked_for_is_made(network, lr, epochs):
    """Dark and bright images, on demand."""
    data = brightness()
    given_ = settings_of(network=network, batch_size=16, lr=lr, code=2)
    mg.manual_seed(0)
    pair = conditional_rivals(DataSet("", None, (1, 4, 4), data.classes), given_)
    training = CGANTraining(pair, data, given_)
    for _ in range(epochs):
        training.epoch(SILENT)
    labels = mg.tensor([0] * 50 + [1] * 50)
    means = training.drawn(pair.noise(100), labels).numpy().mean((1, 2, 3))
    assert means[:50].max() < 0.5 < means[50:].min()


class Stub:
    """Says how far what was asked for is the first pixel of the samples."""

    def measure(self, samples, labels):
        said = samples.numpy()[:, 0, 0, 0].round()
        shares = np.bincount(labels.numpy()) / len(labels.numpy())
        return {"agreement": float((said == labels.numpy()).mean()), "share": shares.tolist()}


def digits_that_name_their_label(monkeypatch):
    """A training whose samples have the label as their pixels, and noise as the last of these."""
    mnist = DATA_SETS["mnist"]
    table = TensorDataset(np.zeros((4, 1, 28, 28), "float32"), np.arange(4))
    given_ = settings_of(network="dense")
    training = CGANTraining(
        conditional_rivals(mnist, given_), Examples(table, table, mnist.classes), given_
    )

    def named(generator, z, labels):
        samples = mg.zeros((len(z), 1, 28, 28)) + labels.reshape(-1, 1, 1, 1)
        samples.array[:, 0, 27, 27] = z.array[:, 0]
        return samples

    monkeypatch.setattr(training, "generated", named)
    return training


def test_the_judge_hears_what_was_asked_for(monkeypatch):
    monkeypatch.setattr(module, "judge", lambda backend: Stub())
    training = digits_that_name_their_label(monkeypatch)
    assert training.evaluate() == {"agreement": 1.0, "share": [0.1] * 10}
    assert JUDGED == 10_000
    assert training.metric == "agreement"


def test_a_row_for_each_label_and_a_column_for_each_noise(monkeypatch, tmp_path):
    drawn = {}
    monkeypatch.setattr(
        module.pictures, "table", lambda rows, *rest: drawn.update(rows=rows, beside=rest[-1])
    )
    training = digits_that_name_their_label(monkeypatch)
    training.sample(4, tmp_path)
    rows = drawn["rows"]
    assert rows.shape == (10, 4, 1, 28, 28)
    assert drawn["beside"] == training.classes
    np.testing.assert_array_equal(rows[:, :, 0, 0, 0], np.arange(10)[:, None] * np.ones(4))
    noise = rows[:, :, 0, 27, 27]
    np.testing.assert_array_equal(noise, noise[:1] + np.zeros((10, 1)))
    assert len(np.unique(noise)) == 4
