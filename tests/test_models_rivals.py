"""Two networks that take turns: whose weights learn when, what is kept, and what is drawn."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn, optim
from minigrad.data import TensorDataset
from minigrad.ops import conv
from models import rivals as module
from models.data import DATA_SETS, DataSet, Examples, check_divisible
from models.rivals import (
    JUDGED,
    Rivals,
    RivalTraining,
    rivals,
)
from models.run import Run
from models.training import Progress, fit, restore

SILENT = Progress("", total=0, unit="", quiet=True)


class Duel(RivalTraining):
    """With losses that are no other model's: outputs times one number, squared for the generator.

    `seen` are the gradients of the discriminator as its own turn left them.
    """

    def discriminator_loss(self, real, fake):
        return (fake - real).mean() + 0.5 * (real * real).mean()

    def generator_loss(self, fake):
        learning = self.network.discriminator.parameters()
        self.seen = [p.grad for p in learning]
        return ((fake - 2.0) ** 2).mean()


def images(size=8, n=24, classes=3, seed=0):
    """Labelled images (n, 1, size, size) as the data of a training."""
    rng = np.random.default_rng(seed)
    x = rng.random((n, 1, size, size), dtype="float32")
    table = TensorDataset(x, rng.integers(0, classes, n))
    return Examples(table, table, tuple("abc"[:classes]))


def settings_of(**changes):
    given_ = {"network": "dcgan", "average": "yes", "epochs": 2, "batch_size": 8, "lr": 0.01}
    return SimpleNamespace(**{**given_, "code": 3, "width": 4, "seed": 0, **changes})


def duel(data=None, **changes):
    """A training of image networks before its first step."""
    given_ = settings_of(**changes)
    data = images() if data is None else data
    mg.manual_seed(given_.seed)
    shape = data.train.tensors[0].shape[1:]
    return Duel(rivals(DataSet("", None, shape, data.classes), given_), data, given_)


def undrawn(training):
    """The training without pictures, which take longer than all else."""
    training.pictures = lambda *_: None
    return training


def one_step(training):
    training.network.train()
    return training.step(*next(iter(training.loader)))


# -- Taking turns ---------------------------------------------------------------------------------


@pytest.mark.parametrize("network", ["dense", "dcgan"])
def test_the_generators_step_leaves_the_discriminator_no_gradient(network):
    """Not even one that is added to those of its own turn, and it learns again in the next."""
    training = duel(network=network)
    one_step(training)
    for parameter, gradient in zip(
        training.network.discriminator.parameters(), training.seen, strict=True
    ):
        assert parameter.grad is gradient
        assert parameter.requires_grad
    of_own_turn = [gradient.numpy().copy() for gradient in training.seen]
    one_step(training)
    now = [p.grad.numpy() for p in training.network.discriminator.parameters()]
    assert any((a != b).any() for a, b in zip(of_own_turn, now, strict=True))


def test_without_a_turn_of_its_own_the_discriminator_has_no_gradient_at_all():
    training = duel()
    z = training.network.noise(8)
    with module.frozen(training.network.discriminator):
        outputs = training.outputs(training.generated(training.network.generator, z, None), None)
        training.generator_loss(outputs).backward()
    assert all(p.grad is None for p in training.network.discriminator.parameters())
    assert all(np.abs(p.grad.numpy()).max() > 0 for p in training.network.generator.parameters())


def test_the_generators_step_does_no_work_for_the_discriminators_weights(monkeypatch):
    """Weight gradients of convolutions: in its own turn three for real and three for generated
    images, in the generator's the three of the generator."""
    calls, own_turn = [], []
    work = conv.conv_weight

    def counted(*arguments, **geometry):
        calls.append(geometry)
        return work(*arguments, **geometry)

    def loss(training, fake):
        own_turn.append(len(calls))
        return ((fake - 2.0) ** 2).mean()

    monkeypatch.setattr(conv, "conv_weight", counted)
    monkeypatch.setattr(Duel, "generator_loss", loss)
    one_step(duel())
    assert own_turn == [6]
    assert len(calls) - own_turn[0] == 3


def test_samples_are_data_in_the_discriminators_turn(monkeypatch):
    """The generator has no gradient before its own turn."""
    training = duel()
    found = []

    def loss(fake):
        found.extend(p.grad for p in training.network.generator.parameters())
        return fake.mean()

    monkeypatch.setattr(training, "generator_loss", loss)
    one_step(training)
    assert found
    assert all(gradient is None for gradient in found)


class Line(nn.Module):
    """(n, inputs) → (n, 1), or (n,)."""

    def __init__(self, inputs, flat):
        super().__init__()
        self.layer = nn.Linear(inputs, 1)
        self.flat = flat

    def forward(self, x):
        y = self.layer(x)
        return y.reshape(-1) if self.flat else y


def test_a_step_is_one_of_the_discriminator_and_one_of_the_generator_through_it():
    """On a line, against the two updates written out; the generator looks at the new weights."""
    rng = np.random.default_rng(0)
    table = TensorDataset(rng.normal(size=(6, 1)).astype("float32"), np.zeros(6, "int64"))
    given_ = SimpleNamespace(lr=0.1, batch_size=6, seed=0)
    mg.manual_seed(0)
    training = Duel(
        Rivals(Line(2, False), Line(1, True), 2), Examples(table, table, ("a",)), given_
    )
    w, b = (p.numpy().copy() for p in training.network.generator.parameters())
    u, c = (p.numpy().copy() for p in training.network.discriminator.parameters())
    x = table.tensors[0].numpy()
    mg.manual_seed(5)
    z = mg.randn(6, 2).numpy()
    mg.manual_seed(5)
    measured = training.step(*table.tensors)
    fake, real = z @ w.T + b, x @ u.T + c
    of_fake = fake @ u.T + c
    du = (fake - x + x * real).mean(0, keepdims=True)  # ∂/∂u of mean(f − r) + ½ mean(r²)
    dc = real.mean(0)
    # The first step of Adam is lr · sign of the gradient, up to its eps.
    u2, c2 = (v - 0.1 * d / (np.abs(d) + 1e-8) for v, d in ((u, du), (c, dc)))
    outer = 2.0 * (fake @ u2.T + c2 - 2.0) / 6 * u2
    steps = [(w, outer.T @ z), (b, outer.sum(0))]
    for parameter, (value, d) in zip(training.network.generator.parameters(), steps, strict=True):
        np.testing.assert_allclose(
            parameter.numpy(), value - 0.1 * d / (np.abs(d) + 1e-8), rtol=1e-4, atol=1e-5
        )
    for parameter, value in zip(training.network.discriminator.parameters(), (u2, c2), strict=True):
        np.testing.assert_allclose(parameter.numpy(), value, rtol=1e-4, atol=1e-5)
    assert measured["real_accuracy"].item() == pytest.approx((real > 0).mean())
    assert measured["fake_accuracy"].item() == pytest.approx((of_fake <= 0).mean())
    assert measured["discriminator_loss"].item() == pytest.approx(
        (of_fake - real).mean() + 0.5 * (real**2).mean(), rel=1e-4
    )


def test_both_learn_with_adam_as_radford_et_al_do():
    training = duel(lr=0.003)
    for optimizer, network in (
        (training.generator_optimizer, training.network.generator),
        (training.discriminator_optimizer, training.network.discriminator),
    ):
        assert isinstance(optimizer, optim.Adam)
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"]) == (0.003, (0.5, 0.999))
        pairs = zip(group["params"], network.parameters(), strict=True)
        assert all(a is b for a, b in pairs)


def directional(loss, parameters, seed=0, step=1e-7):
    """The derivative of a loss along a random direction of its parameters: as the gradients say,
    and by a difference quotient."""
    rng = np.random.default_rng(seed)
    ways = [rng.standard_normal(p.shape) for p in parameters]
    gradients = mg.grad(loss(), parameters)
    said = sum((g.numpy() * way).sum() for g, way in zip(gradients, ways, strict=True))
    values = []
    for sign in (1.0, -2.0):
        for p, way in zip(parameters, ways, strict=True):
            p.overwrite(p.numpy() + sign * step * way)
        values.append(loss().item())
    return said, (values[0] - values[1]) / (2.0 * step)


@pytest.mark.parametrize("network", ["dense", "dcgan"])
def test_gradients_go_through_both_networks(network):
    training = duel(network=network)
    pair = training.network.to("float64")
    x = mg.tensor(images().train.tensors[0].numpy()[:6], dtype="float64")
    z = mg.tensor(np.random.default_rng(1).normal(size=(6, 3)))

    def losses():
        mg.manual_seed(2)  # units are dropped
        fake = training.outputs(training.generated(pair.generator, z, None), None)
        return training.discriminator_loss(training.outputs(x, None), fake), fake

    for loss, part in (
        (lambda: losses()[0], pair.discriminator),
        (lambda: ((losses()[1] - 2.0) ** 2).mean(), pair.generator),
    ):
        said, found = directional(loss, list(part.parameters()))
        assert abs(said) > 1e-6
        assert found == pytest.approx(said, rel=1e-4)


# -- What is kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "average"), [("dense", "no"), ("dcgan", "yes")])
def test_a_run_goes_on_bit_for_bit(network, average, tmp_path):
    """Both networks, both optimizers, the average, the noise that is looked at, all samples."""
    changes = {"network": network, "average": average, "epochs": 4}
    whole = undrawn(duel(**changes))
    first = Run.create(tmp_path / "whole", {})
    history = []
    fit(whole, first, history, quiet=True)
    half = undrawn(duel(**changes))
    second = Run.create(tmp_path / "half", {})
    half.settings.epochs = 2
    fit(half, second, [], quiet=True)
    again = undrawn(duel(**changes, seed=1))  # whatever it starts from
    restored = restore(again, second)
    assert len(restored) == 2
    fit(again, second, restored, quiet=True)
    for a, b in zip(restored, history, strict=True):
        assert {**a, "seconds": 0} == {**b, "seconds": 0}
    assert_same_state(again.state_dict(), whole.state_dict())
    assert len(whole.state_dict()["generator_optimizer"]["state"]) > 0
    assert len(whole.state_dict()["discriminator_optimizer"]["state"]) > 0
    assert whole.snapshots.shape == (4, 16, 1, 8, 8)
    assert (first.path / "model.safetensors").read_bytes() == (
        second.path / "model.safetensors"
    ).read_bytes()


def assert_same_state(a, b):
    """Nested dictionaries and lists of arrays and numbers are the same to the last bit."""
    if isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_same_state(a[key], b[key])
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b)
        for one, other in zip(a, b, strict=True):
            assert_same_state(one, other)
    elif isinstance(a, mg.Tensor):
        assert_same_state(a.array, b.array)
    else:
        np.testing.assert_array_equal(a, b)


def test_every_epoch_leaves_losses_accuracies_and_samples_of_the_same_noise(tmp_path):
    training = duel(epochs=3)
    history = []
    fit(training, Run.create(tmp_path / "run", {}), history, quiet=True)
    names = {"discriminator_loss", "generator_loss", "real_accuracy", "fake_accuracy"}
    assert [set(entry) - {"epoch", "seconds"} for entry in history] == [names] * 3
    assert all(0.0 <= entry[f"{kind}_accuracy"] <= 1.0 for entry in history for kind in KINDS)
    last = training.drawn(training.fixed, training.fixed_labels()).numpy()
    np.testing.assert_array_equal(training.snapshots[-1].numpy(), last)
    assert (training.snapshots[0].numpy() != last).any()
    pictures = {path.name for path in (tmp_path / "run" / "pictures").iterdir()}
    assert pictures == {"progress.png", "samples.png"}


KINDS = ("real", "fake")


def test_the_average_is_what_is_shown_and_written_and_does_not_change_the_game():
    with_average, without = duel(batch_size=2), duel(batch_size=2, average="no")
    for training in (with_average, without):
        mg.manual_seed(9)
        training.epoch(SILENT)
    assert without.average is None
    for a, b in zip(with_average.network.parameters(), without.network.parameters(), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())
    z, labels = with_average.fixed, with_average.fixed_labels()
    shown = with_average.drawn(z, labels).numpy()
    np.testing.assert_array_equal(shown, with_average.average.eval()(z).numpy())
    assert (shown != without.drawn(z, labels).numpy()).any()
    weights = with_average.weights()
    assert list(weights) == list(without.weights())
    for name, value in with_average.average.state_dict().items():
        np.testing.assert_array_equal(weights[f"generator.{name}"].numpy(), value.numpy())


def test_the_average_follows_every_step():
    """Of weights and running statistics: m ← m + min(1, 8 / t) (w − m)."""
    training = duel(images(size=16), batch_size=1)
    training.network.train()
    expected = None
    for t, batch in enumerate(training.loader, start=1):
        training.step(*batch)
        now = {n: v.numpy().copy() for n, v in training.network.generator.state_dict().items()}
        expected = expected or now
        part = min(1.0, 8.0 / t)
        expected = {n: m + part * (now[n] - m) for n, m in expected.items()}
    assert t == 24
    for name, value in training.average.state_dict().items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_allclose(value.numpy(), expected[name], rtol=1e-5, atol=1e-6)


# -- The judge ------------------------------------------------------------------------------------


class Stub:
    """Says how many samples it was shown, and of which shape."""

    def measure(self, samples):
        return {"samples": len(samples), "size": samples.shape[-1], "frechet": 1.0}


def test_ten_thousand_digits_are_judged(monkeypatch):
    monkeypatch.setattr(module, "judge", lambda backend: Stub())
    mnist = DATA_SETS["mnist"]
    x = np.zeros((4, 1, 28, 28), "float32")
    table = TensorDataset(x, np.arange(4))
    training = duel(Examples(table, table, mnist.classes), width=1)
    assert training.evaluate() == {"samples": JUDGED, "size": 28, "frechet": 1.0}
    assert training.metric == "frechet"
    clothes = duel(Examples(table, table, DATA_SETS["fashion_mnist"].classes), width=1)
    assert clothes.evaluate() == {}
    assert clothes.metric == "fake_accuracy"


# -- Networks -------------------------------------------------------------------------------------


@settings(max_examples=20)
@given(
    network=st.sampled_from(["dense", "dcgan"]),
    channels=st.integers(1, 3),
    height=st.integers(1, 3),
    wide=st.integers(1, 3),
    n=st.integers(2, 3),
    code=st.integers(1, 5),
)
def test_samples_are_images_and_outputs_are_numbers(network, channels, height, wide, n, code):
    shape = (channels, 4 * height, 4 * wide)
    pair = rivals(DataSet("", None, shape, ()), settings_of(network=network, code=code, width=2))
    samples = pair(pair.noise(n))
    assert samples.shape == (n, *shape)
    assert 0.0 <= samples.numpy().min() <= samples.numpy().max() <= 1.0
    assert pair.discriminator(samples).shape == (n,)


def test_convolutions_start_with_small_weights():
    mg.manual_seed(0)
    pair = rivals(DATA_SETS["mnist"], settings_of(width=32, code=64))
    for name, parameter in pair.named_parameters():
        if name.endswith("weight") and parameter.ndim > 1:
            assert parameter.numpy().std() == pytest.approx(0.02, rel=0.1)
            assert abs(parameter.numpy().mean()) < 0.004
        elif name.endswith("weight"):
            np.testing.assert_array_equal(parameter.numpy(), 1.0)


def test_noise_is_standard_normal():
    mg.manual_seed(0)
    z = Rivals(nn.Sequential(), nn.Sequential(), 4).noise(10_000).numpy()
    assert z.shape == (10_000, 4)
    np.testing.assert_allclose(z.mean(0), 0.0, atol=0.05)
    np.testing.assert_allclose(z.std(0), 1.0, atol=0.05)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    stride=st.sampled_from([2, 4, 8]),
)
def test_sizes_that_strides_do_not_divide_are_refused_with_such_as_would_do(height, width, stride):
    def refused(h, w):
        try:
            check_divisible("net", (1, h, w), stride)
        except ValueError as error:
            return str(error)
        return ""

    message = refused(height, width)
    assert bool(message) == (height % stride != 0 or width % stride != 0)
    if message:
        assert message.startswith(
            f"net: strides of altogether {stride} do not divide images of {height} × {width}; "
        )
        near = message.split("; ")[1].split(" would do")[0].split(" or ")
        sizes = [tuple(map(int, size.split(" × "))) for size in near]
        assert sizes
        for size in sizes:
            assert not refused(*size)
            assert all(side > 0 for side in size)
            assert abs(size[0] - height) < stride
            assert abs(size[1] - width) < stride


def test_impossible_settings_are_refused():
    data = DataSet("", None, (1, 30, 28), ())
    with pytest.raises(ValueError, match=r"30 × 28; 28 × 28 or 32 × 28 would do, or other mult"):
        rivals(data, settings_of())
    assert rivals(data, settings_of(network="dense")).generator is not None
    for network in ("dense", "dcgan"):
        with pytest.raises(ValueError, match=f"{network}: --code wants a positive integer, got 0"):
            rivals(DATA_SETS["digits"], settings_of(network=network, code=0))
    with pytest.raises(ValueError, match="dcgan: --width wants a positive integer, got 0"):
        rivals(DATA_SETS["digits"], settings_of(width=0))


def test_samples_on_request(tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(
        module.pictures, "sheet", lambda images, title, path: drawn.update({path.name: images})
    )
    training = duel()
    training.sample(13, tmp_path)
    assert drawn["samples.png"].shape == (13, 1, 8, 8)
    assert len(np.unique(drawn["samples.png"].reshape(13, -1), axis=0)) == 13


def test_what_every_kind_says_for_itself():
    training = RivalTraining(rivals(DATA_SETS["digits"], settings_of()), images(), settings_of())
    with pytest.raises(NotImplementedError, match="RivalTraining: defines no discriminator_loss"):
        training.discriminator_loss(None, None)
    with pytest.raises(NotImplementedError, match="RivalTraining: defines no generator_loss"):
        training.generator_loss(None)
