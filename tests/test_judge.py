"""The judge of generated digits: what it measures, and that its stated figures are its own."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad.data import mnist
from models import judge as module
from models.judge import ZERO, Judge, frechet, judge
from tests.backends import BACKENDS

with_mnist = pytest.mark.skipif(
    not Path(os.environ.get("MINIGRAD_DATA", ""), "mnist").is_dir(),
    reason="MINIGRAD_DATA holds no folder mnist",
)


class Stub(mg.nn.Module):
    """Takes an image for the class that its first pixel names, in tenths, with certainty 0.9; the
    features are the first four pixels."""

    def layers(self, x):
        flat = x.reshape(len(x), -1)
        chosen = abs(10.0 * flat[:, :1] - mg.arange(10)) < 0.5
        share = mg.where(chosen, 0.9, 0.1 / 9.0)
        return {"F6": flat[:, :4], "output": mg.log(share)}


def images(labels, seed=0):
    x = np.random.default_rng(seed).uniform(0.0, 1.0, (len(labels), 1, 28, 28)).astype("float32")
    x[:, 0, 0, 0] = np.asarray(labels) / 10.0
    return mg.tensor(x)


def test_measures_of_samples_that_name_their_class():
    labels = np.r_[np.repeat(np.arange(8), 124), [8] * 7, [9]]  # 8 and 9 have less than 1 %
    asked = labels.copy()
    asked[:250] = (asked[:250] + 1) % 10
    x = images(labels)
    found = Judge(Stub(), x).measure(x, mg.tensor(asked))
    assert found["coverage"] == 8.0
    assert found["confidence"] == pytest.approx(0.9, abs=1e-6)
    assert found["agreement"] == pytest.approx(1.0 - 250 / len(labels))
    assert found["frechet"] == pytest.approx(0.0, abs=1e-9)
    assert "agreement" not in Judge(Stub(), x).measure(x)


def test_a_tenth_of_the_fair_share_covers_a_class():
    x = images(np.r_[np.repeat(np.arange(9), 110), [9] * 10])
    assert Judge(Stub(), x).measure(x)["coverage"] == 10.0


@given(seed=st.integers(0, 2**32 - 1), d=st.integers(2, 6))
def test_frechet_of_commuting_covariances(seed, d):
    """There tr (Σ₁ Σ₂)^½ is the sum of the products of standard deviations."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((d, d)))[0]
    x = rng.standard_normal((5 * d, d))
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False))).T  # covariance 1
    s, t = rng.uniform(0.1, 2.0, (2, d))
    shift = rng.standard_normal(d)
    expected = shift @ shift + ((s - t) ** 2).sum()
    assert frechet(x * s @ turn, x * t @ turn + shift) == pytest.approx(expected, rel=1e-9)


@given(seed=st.integers(0, 2**32 - 1))
def test_frechet_is_symmetric_and_zero_for_the_same(seed):
    rng = np.random.default_rng(seed)
    x, y = rng.standard_normal((30, 4)), rng.uniform(size=(20, 4))
    assert frechet(x, y) == pytest.approx(frechet(y, x), rel=1e-9)
    assert frechet(x, y) > 0.0
    assert frechet(x, x) == pytest.approx(0.0, abs=1e-9)


def test_frechet_of_features_in_a_plane():
    """Units that never fire leave a covariance without an inverse."""
    rng = np.random.default_rng(0)
    x = np.c_[rng.standard_normal((50, 2)), np.zeros((50, 2))]
    assert frechet(x, x + 1.0) == pytest.approx(4.0)


@with_mnist
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_judge_is_as_good_as_it_says(backend):
    with mg.use_backend(backend):
        found = judge(backend)
        x, labels = (tensor.to(backend) for tensor in mnist()[1].tensors)
        measured = found.measure(x, labels)
    stated = re.search(r"classify (\d+\.\d+) %", module.__doc__)
    assert 100.0 * measured["agreement"] == pytest.approx(float(stated[1]), abs=0.02)
    assert measured["coverage"] == 10.0
    assert measured["frechet"] == pytest.approx(0.0, abs=1e-3)
    assert frechet(found.real[::2], found.real[1::2]) == pytest.approx(ZERO, abs=2e-3)


@with_mnist
def test_noise_is_no_digit():
    noise = mg.tensor(np.random.default_rng(0).uniform(size=(2000, 1, 28, 28)).astype("float32"))
    measured = judge("numpy").measure(noise)
    assert measured["frechet"] > 100.0 * ZERO
    assert measured["coverage"] < 10.0
