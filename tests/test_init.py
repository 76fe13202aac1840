"""Initial values: distributions, gains, seeds, and the defaults of the layers."""

import math

import numpy as np
import pytest
import scipy.stats

import minigrad as mg
from minigrad import nn
from minigrad.backend import seeded
from minigrad.nn import init


def draw(fill, *args, shape=(200, 300), **kwargs):
    """200 × 300 draws, always the same: a test of a distribution must not fail by chance."""
    with seeded(7):
        return fill(mg.empty(shape, dtype="float64"), *args, **kwargs).array.ravel()


def looks_like(values, distribution):
    """Kolmogorov and Smirnov's test; 60,000 draws tell a scale off by 5 %."""
    return scipy.stats.kstest(values, distribution.cdf).pvalue > 0.01


def uniform(bound):
    return scipy.stats.uniform(-bound, 2 * bound)


@pytest.mark.parametrize(("values", "distribution"), [
    (lambda: draw(init.uniform_), scipy.stats.uniform(0, 1)),
    (lambda: draw(init.uniform_, -2.0, 3.0), scipy.stats.uniform(-2, 5)),
    (lambda: draw(init.normal_), scipy.stats.norm()),
    (lambda: draw(init.normal_, 1.0, 0.5), scipy.stats.norm(1, 0.5)),
    (lambda: draw(init.xavier_uniform_), uniform(math.sqrt(6 / 500))),
    (lambda: draw(init.xavier_uniform_, gain=2.0), uniform(2 * math.sqrt(6 / 500))),
    (lambda: draw(init.xavier_normal_, 3.0), scipy.stats.norm(0, 3 * math.sqrt(2 / 500))),
    (lambda: draw(init.kaiming_uniform_), uniform(math.sqrt(6 / 300))),
    (lambda: draw(init.kaiming_uniform_, a=math.sqrt(5)), uniform(1 / math.sqrt(300))),
    (lambda: draw(init.kaiming_uniform_, mode="fan_out"), uniform(math.sqrt(6 / 200))),
    (lambda: draw(init.kaiming_normal_, nonlinearity="tanh"),
     scipy.stats.norm(0, 5 / 3 / math.sqrt(300))),
    (lambda: draw(init.kaiming_normal_, shape=(20, 30, 10, 10), mode="fan_out"),
     scipy.stats.norm(0, math.sqrt(2 / 2000))),
])  # fmt: skip
def test_distributions(values, distribution):
    values = values()
    assert looks_like(values, distribution)
    assert not looks_like(values * 1.05, distribution)


def test_constants():
    t = mg.empty((2, 3))
    assert init.zeros_(t) is t
    assert not t.array.any()
    assert (init.ones_(t).array == 1.0).all()
    assert (init.constant_(t, 2.5).array == 2.5).all()


@pytest.mark.parametrize("shape", [(5, 5), (7, 3), (3, 7), (4, 2, 3)])
def test_orthogonal(shape):
    w = init.orthogonal_(mg.empty(shape, dtype="float64"), gain=2.0).array.reshape(shape[0], -1)
    small = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
    np.testing.assert_allclose(small, 4.0 * np.eye(len(small)), atol=1e-12)


def test_orthogonal_is_uniform_over_the_rotations():
    """Without the signs of R the first entry of Q would always be negative."""
    with seeded(1):
        first = [init.orthogonal_(mg.empty((2, 2))).array[0, 0] for _ in range(200)]
    assert 70 < sum(value > 0 for value in first) < 130


def test_gains():
    expected = {
        "linear": 1.0, "conv2d": 1.0, "conv_transpose1d": 1.0, "sigmoid": 1.0, "tanh": 5 / 3,
        "relu": math.sqrt(2), "leaky_relu": math.sqrt(2 / 1.0001), "selu": 3 / 4,
    }  # fmt: skip
    assert {name: init.calculate_gain(name) for name in expected} == pytest.approx(expected)
    assert init.calculate_gain("leaky_relu", 0.5) == pytest.approx(math.sqrt(2 / 1.25))


@pytest.mark.parametrize("name", [
    "linear", "sigmoid", "tanh", "relu", "leaky_relu", "selu", "conv1d", "conv_transpose3d",
])  # fmt: skip
def test_gains_are_pytorchs(name):
    torch = pytest.importorskip("torch", reason="needs the peers extra: PyTorch")
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    if name == "leaky_relu":
        assert init.calculate_gain(name, 0.3) == torch.nn.init.calculate_gain(name, 0.3)


def test_one_seed_gives_one_network_in_every_dtype():
    networks = []
    for dtype in ("float32", "float64"):
        mg.manual_seed(3)
        mg.set_default_dtype(dtype)
        networks.append(nn.Sequential(nn.Linear(3, 4), nn.Conv2d(1, 2, 3), nn.LSTM(2, 3)))
    mg.set_default_dtype("float32")
    for narrow, wide in zip(networks[0].parameters(), networks[1].parameters(), strict=True):
        assert (narrow.dtype, wide.dtype) == ("float32", "float64")
        np.testing.assert_array_equal(narrow.array, wide.array.astype("float32"))


@pytest.mark.parametrize(("layer", "weight", "bias"), [
    (lambda: nn.Linear(100, 300), uniform(0.1), uniform(0.1)),
    (lambda: nn.Conv2d(4, 300, 5), uniform(0.1), uniform(0.1)),
    (lambda: nn.Conv1d(200, 300, 1, groups=2), uniform(0.1), uniform(0.1)),
    (lambda: nn.ConvTranspose2d(300, 400, (5, 5), groups=100), uniform(0.1), uniform(0.1)),
    (lambda: nn.Embedding(200, 300), scipy.stats.norm(), None),
    (lambda: nn.LSTMCell(10, 100), uniform(0.1), uniform(0.1)),
])  # fmt: skip
def test_layers_start_as_pytorchs(layer, weight, bias):
    with seeded(11):
        parameters = {name.split("_")[0]: p.array.ravel() for name, p in layer().named_parameters()}
    assert looks_like(parameters["weight"], weight)
    if bias is not None:
        assert looks_like(parameters["bias"], bias)
        assert np.ptp(parameters["bias"]) > 0.15


def test_normalisations_start_as_the_identity():
    for layer in (nn.BatchNorm2d(3), nn.LayerNorm((2, 3)), nn.GroupNorm(1, 3)):
        assert (layer.weight.array == 1.0).all()
        assert not layer.bias.array.any()
    norm = nn.BatchNorm1d(3)
    assert (norm.running_var.array == 1.0).all()
    assert not norm.running_mean.array.any()
    assert norm.num_batches_tracked.dtype == "int64"
    assert norm.num_batches_tracked.shape == ()


def test_wrong_calls():
    with pytest.raises(ValueError, match=r"xavier_uniform_: tensor wants at least 2 dimensions"):
        init.xavier_uniform_(mg.empty(3))
    with pytest.raises(ValueError, match=r"orthogonal_: tensor wants at least 2 dimensions"):
        init.orthogonal_(mg.empty(3))
    with pytest.raises(ValueError, match="mode wants fan_in or fan_out, got 'out'"):
        init.kaiming_normal_(mg.empty((2, 2)), mode="out")
    with pytest.raises(ValueError, match=r"nonlinearity wants one of .* got 'swish'"):
        init.calculate_gain("swish")
    with pytest.raises(ValueError, match="param wants a number, got 'a'"):
        init.calculate_gain("leaky_relu", "a")
    with pytest.raises(TypeError, match="uniform_: tensor wants a floating dtype, got int64"):
        init.uniform_(mg.tensor([1, 2]))
    with pytest.raises(TypeError, match="constant_: tensor wants a Tensor, got ndarray"):
        init.zeros_(np.zeros(3))
    with pytest.raises(TypeError, match="generator"):
        init.normal_(mg.empty(3), generator=None)
