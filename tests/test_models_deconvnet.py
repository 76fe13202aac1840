"""The deconvolutional network: its loss, its measures, checkerboards and projections."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from minigrad.gradcheck import directional_error
from models import deconvnet
from models.data import DATA_SETS, Examples
from models.deconvnet import (
    ARCHITECTURE,
    KERNELS,
    SEEN,
    DeconvolutionalNetwork,
    DeconvolutionTraining,
    bicubic,
    check_size,
    excitations,
    of_equal_weights,
    of_random_weights,
    project,
    psnr,
    small,
    unevenness,
)
from models.lenet import LeNet5
from models.training import Progress
from tests.backends import BACKENDS
from tests.commands import check_resuming, command
from tests.layers import Case, Watched, seeds
from tests.test_model_gradients import magnified

SILENT = Progress("", total=0, unit="", quiet=True)
kernels = st.sampled_from(KERNELS)


def random(seed, *shape):
    return np.random.default_rng(seed).uniform(0.0, 1.0, shape).astype("float32")


# -- The network ----------------------------------------------------------------------------------


@settings(max_examples=20)
@given(scale=st.sampled_from([2, 4, 8]), kernel=kernels, h=st.integers(1, 5), w=st.integers(1, 5))
def test_it_makes_images_as_many_times_as_large(scale, kernel, h, w):
    network = DeconvolutionalNetwork(scale, kernel, maps=3)
    assert network(mg.zeros((2, 1, h, w))).shape == (2, 1, scale * h, scale * w)
    assert len(network.enlarge) == math.log2(scale)


@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("kernel", KERNELS)
def test_its_size_is_that_of_its_layers(scale, kernel):
    maps = 5
    look = 9 * maps + maps + 2 * (9 * maps * maps + maps)
    doubling = (scale // 2 - 1) * (kernel**2 * maps * maps + maps) + kernel**2 * maps + 1
    network = DeconvolutionalNetwork(scale, kernel, maps)
    assert sum(p.size for p in network.parameters()) == look + doubling


@given(
    seed=st.integers(0, 99), n=st.integers(1, 3), h=st.integers(1, 4), scale=st.sampled_from([2, 4])
)
def test_small_images_are_means_over_squares(seed, n, h, scale):
    images = random(seed, n, 1, scale * h, scale * 3)
    found = small(mg.tensor(images), scale).numpy()
    for i in range(h):
        for j in range(3):
            square = images[:, 0, i * scale : (i + 1) * scale, j * scale : (j + 1) * scale]
            np.testing.assert_allclose(found[:, 0, i, j], square.mean((1, 2)), atol=1e-6)


def training_of(network, images, **changes):
    given_ = {**ARCHITECTURE.settings["digits"], "seed": 0, **changes}
    table = TensorDataset(images, np.zeros(len(images), dtype="int64"))
    return DeconvolutionTraining(network, Examples(table, table, ("",)), SimpleNamespace(**given_))


@settings(max_examples=6)
@given(seed=seeds, scale=st.sampled_from([2, 4]), kernel=kernels)
def test_a_step_goes_down_the_gradient_of_the_squared_error(seed, scale, kernel):
    """What the step leaves in ``.grad`` is the derivative of mean (ŷ − y)², found numerically."""
    with seeded(seed):
        network = DeconvolutionalNetwork(scale, kernel, maps=3).to("float64")
    images = random(seed, 2, 1, 8, 8).astype("float64")

    def loss(network, y):
        low = y.reshape(2, 1, 8 // scale, scale, 8 // scale, scale).mean((3, 5))
        return ((network(low) - y) ** 2).sum() / images.size

    case = Case(network, (), (images,), loss)
    f = Watched(case)
    zeros = [np.zeros(x.shape) for x in case.values]
    error = directional_error(magnified(f, case.values, 1e4), zeros, 1, seed)
    assume(f.stayed)
    assert error <= 1e-6
    leaves = [mg.Tensor(x, requires_grad=True) for x in case.values]
    (value,) = case(*leaves)
    measured = training_of(network, images, scale=scale, batch_size=2).step(
        mg.tensor(images), mg.zeros(2)
    )
    assert measured["train_loss"].item() == pytest.approx(value.item(), rel=1e-12)
    for parameter, expected in zip(network.parameters(), mg.grad(value, leaves), strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), expected.numpy(), atol=1e-12)


def test_it_learns_to_restore_what_the_mean_took_away():
    """Bars that lie in even or in odd columns, which the small image tells by its neighbours."""
    mg.manual_seed(0)
    images = np.zeros((64, 1, 8, 8), dtype="float32")
    for i in range(64):
        images[i, 0, :, i % 7] = 1.0
        images[i, 0, :, i % 7 + 1] = 0.5
    training = training_of(
        DeconvolutionalNetwork(2, 4, 16), images, scale=2, epochs=25, batch_size=8, lr=5e-3
    )
    before = training.evaluate()["test_psnr"]
    for _ in range(25):
        training.epoch(SILENT)
    low = small(mg.tensor(images), 2).numpy()
    after = training.evaluate()["test_psnr"]
    assert after > psnr(bicubic(low, 2), images).mean() + 3.0
    assert after > before


# -- Measures -------------------------------------------------------------------------------------


def test_the_ratio_is_that_of_the_peak_to_the_noise():
    truth = np.zeros((3, 1, 2, 2))
    image = truth.copy()
    image[1] = 0.1  # a hundredth of the peak's power
    image[2, 0, 0, 0] = 1.0
    found = psnr(image, truth)
    assert found[0] == math.inf
    np.testing.assert_allclose(found[1:], [20.0, 10.0 * math.log10(4.0)])


@pytest.mark.parametrize("scale", [2, 4])
def test_bicubic_is_aligned_and_exact_where_it_can_be(scale):
    """A ramp comes back as the same ramp, at the centres of the finer pixels, off the edges."""
    fine = (np.arange(20 * scale) + 0.5) / (20 * scale)
    ramp = np.broadcast_to(fine, (1, 1, 20 * scale, 20 * scale))
    low = ramp.reshape(1, 1, 20, scale, 20, scale).mean((3, 5))
    inner = (..., slice(6 * scale, -6 * scale), slice(6 * scale, -6 * scale))
    np.testing.assert_allclose(bicubic(low, scale)[inner], ramp[inner], atol=1e-3)


@settings(max_examples=30)
@given(seed=st.integers(0, 99), scale=st.sampled_from([2, 4]))
def test_bicubic_stays_within_black_and_white_and_turns_with_the_image(seed, scale):
    low = random(seed, 1, 1, 5, 5)
    found = bicubic(low, scale)
    assert 0.0 <= found.min() <= found.max() <= 1.0
    turned = bicubic(np.rot90(low, axes=(2, 3)), scale)
    np.testing.assert_allclose(turned, np.rot90(found, axes=(2, 3)), atol=1e-6)


# -- Checkerboards --------------------------------------------------------------------------------


def taps_that_reach(kernel, position):
    """How many inputs o and taps k have 2 o + k − 1 = position, along one axis without ends."""
    return sum(1 for k in range(kernel) if (position + 1 - k) % 2 == 0)


@pytest.mark.parametrize("kernel", KERNELS)
def test_a_kernel_overlaps_as_often_as_one_can_count(kernel):
    made = of_equal_weights(mg.ones((1, 1, 6, 6)), kernel, 1)[0, 0] * kernel**2 / 4.0
    counts = np.array([taps_that_reach(kernel, position) for position in range(12)])
    inner = slice(1, -1)
    np.testing.assert_allclose(
        made[inner, inner], np.outer(counts, counts)[inner, inner], atol=1e-5
    )


def test_kernel_3_makes_checkerboards_and_kernel_4_none():
    """1, 2, 2 and 4 taps: their standard deviation over their mean."""
    by_hand = np.std([1, 2, 2, 4]) / np.mean([1, 2, 2, 4])
    ones = mg.ones((1, 1, 8, 8))
    assert unevenness(of_equal_weights(ones, 3, 1)) == pytest.approx(by_hand, abs=1e-6)
    assert unevenness(of_equal_weights(ones, 4, 1)) == pytest.approx(0.0, abs=1e-6)
    assert unevenness(of_equal_weights(ones, 4, 2)) == pytest.approx(0.0, abs=1e-6)
    assert unevenness(of_random_weights(3)) == pytest.approx(by_hand, abs=0.05)
    assert unevenness(of_random_weights(4)) < 0.05


@given(seed=st.integers(0, 99), factor=st.floats(0.1, 10.0), axis=st.sampled_from([0, 1]))
def test_unevenness_is_of_the_pattern_alone(seed, factor, axis):
    """Neither its brightness nor which of the phases is the bright one makes a difference."""
    pattern = 0.1 + random(seed, 12, 12).astype("float64")
    expected = unevenness(pattern)
    assert unevenness(factor * pattern) == pytest.approx(expected, rel=1e-9)
    assert unevenness(np.flip(pattern, axis)) == pytest.approx(expected, rel=1e-9)
    assert expected >= 0.0


# -- Projections ----------------------------------------------------------------------------------


def lenet(seed, positive=False):
    with seeded(seed):
        network = LeNet5(1, 28, 10)
    if positive:
        for parameter in (*network.c1.parameters(), *network.c3.parameters()):
            parameter.overwrite(np.abs(parameter.array))
    return network


units = st.tuples(st.integers(0, 15), st.integers(0, 9), st.integers(0, 9))


@settings(max_examples=10)
@given(seed=st.integers(0, 99), unit=units)
def test_without_negative_weights_the_projection_is_activation_times_gradient(seed, unit):
    """Rectifiers then change nothing on either way, and a switch is where the gradient goes."""
    network = lenet(seed, positive=True)
    image = mg.tensor(random(seed, 1, 1, 28, 28), requires_grad=True)
    value = network.layers(image)["C3"][(0, *unit)]
    (gradient,) = mg.grad(value, [image])
    found = project(network, image.detach(), unit).numpy()
    np.testing.assert_allclose(found, (value * gradient).detach().numpy(), rtol=1e-3, atol=1e-5)


def test_what_would_inhibit_is_rectified_on_the_way_back():
    """A layer C3 that knows one negative tap gives nothing back, one with a positive one does."""
    network = lenet(0, positive=True)
    image = mg.tensor(random(1, 1, 1, 28, 28))
    weight = np.zeros(network.c3.weight.shape, "float32")
    weight[0, 2, 1, 3] = -1.0
    network.c3.weight.overwrite(weight)
    network.c3.bias.overwrite(np.full(16, 100.0, "float32"))
    assert np.abs(project(network, image, (0, 4, 5)).numpy()).max() == 0.0
    network.c3.weight.overwrite(-weight)
    found = project(network, image, (0, 4, 5)).numpy()[0, 0]
    # unit (4, 5) of C3 reads S2 at (5, 8), which reads a window of C1 whose corner is (10, 16)
    c1 = network.layers(image)["C1"].numpy()[0, 2, 10:12, 16:18]
    row, column = np.add(np.unravel_index(c1.argmax(), c1.shape), (10, 16))
    value = network.layers(image)["C3"].numpy()[0, 0, 4, 5]
    expected = np.zeros((32, 32))
    expected[row : row + 5, column : column + 5] = value * network.c1.weight.numpy()[2, 0]
    np.testing.assert_allclose(found, expected[2:-2, 2:-2], rtol=1e-5)


def test_nothing_of_a_projection_lies_beyond_what_the_unit_sees():
    network, image = lenet(0, positive=True), mg.tensor(random(0, 1, 1, 28, 28))
    for row, column in ((0, 0), (3, 7), (9, 9)):
        seen = project(network, image, (0, row, column)).numpy()[0, 0]
        top, left = max(0, 2 * row - 2), max(0, 2 * column - 2)
        outside = seen.copy()
        outside[top : 2 * row - 2 + SEEN, left : 2 * column - 2 + SEEN] = 0.0
        assert np.abs(outside).max() == 0.0
        assert np.abs(seen).max() > 0.0


def test_the_strongest_patches_are_found_where_they_are():
    """Filters that look for ink in all of their window find the square, in the right image."""
    network = lenet(0)
    images = np.zeros((5, 1, 28, 28), dtype="float32")
    images[3, 0, 8:22, 6:20] = 1.0
    images[1, 0, 8:15, 6:20] = 1.0
    for parameter in (network.c1.weight, network.c3.weight):
        parameter.overwrite(np.ones(parameter.shape, "float32"))
    for parameter in (network.c1.bias, network.c3.bias):
        parameter.overwrite(np.zeros(parameter.shape, "float32"))
    found = excitations(network, mg.tensor(images), 2)
    assert len(found) == 16
    for first, second in found:
        assert first.value > second.value > 0.0
        np.testing.assert_array_equal(first.patch, np.ones((SEEN, SEEN)))
        assert second.patch.mean() == pytest.approx(0.5, abs=0.01)
        assert first.projection.shape == (SEEN, SEEN)
        assert first.projection.min() >= 0.0


# -- Commands -------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_restores_digits_better_than_bicubic(capsys):
    assert command("train", "deconvnet", "--epochs", "12", "--out", "run") == 0
    said = capsys.readouterr().out
    assert {path.name for path in Path("run/pictures").iterdir()} == {
        "checkerboard.png",
        "restored.png",
    }
    ratios = {line.split()[0]: float(line.split()[1]) for line in said.splitlines() if " dB" in line
              and line.startswith("  ")}  # fmt: skip
    assert ratios["network"] > ratios["bicubic"] > ratios["small"]
    last = json.loads(Path("run/metrics.jsonl").read_text().splitlines()[-1])
    assert round(last["test_psnr"], 2) == ratios["network"]
    gain = ratios["network"] - ratios["bicubic"]
    assert f"above bicubic by {gain:.1f}"[:-1] in said
    assert command("sample", "run", "--count", "3") == 0
    assert Path("run/samples/seed-0/restored.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_run_ends_as_an_undisturbed_one(monkeypatch):
    check_resuming(DeconvolutionTraining, monkeypatch, "deconvnet", "--epochs", "2")


@pytest.mark.parametrize("backend", BACKENDS)
def test_pictures_of_large_digits_show_projections_too(backend, tmp_path, monkeypatch):
    """With another LeNet in the judge's place, who wants MNIST."""
    drawn = []
    monkeypatch.setattr(deconvnet.pictures, "save", lambda made, path: drawn.append(path.stem))
    with mg.use_backend(backend):
        judge = SimpleNamespace(network=lenet(0).to(backend))
        monkeypatch.setattr(deconvnet, "judge", lambda name: judge)
        network = DeconvolutionalNetwork(4, 4, 3).to(backend)
        images = mg.tensor(random(0, 12, 1, 28, 28), backend=backend)
        table = TensorDataset(images, mg.zeros(12, dtype="int64"))
        given_ = SimpleNamespace(**ARCHITECTURE.settings["mnist"], seed=0)
        training = DeconvolutionTraining(network, Examples(table, table, ("",)), given_)
        training.pictures(tmp_path, [])
        assert "kernel 4" in training.report()
    assert sorted(drawn) == ["checkerboard", "projections", "restored"]


# -- What is refused ------------------------------------------------------------------------------


def test_sides_that_the_strides_do_not_divide_are_refused_with_those_that_would_work():
    with pytest.raises(ValueError, match=r"--scale 8 wants sides that it divides, such as 24 × 24 "
                       r"or 32 × 32; the images of mnist have 28 × 28 pixels"):  # fmt: skip
        check_size(DATA_SETS["mnist"], 8)
    with pytest.raises(
        ValueError, match=r"such as 16 × 16; the images of digits have 8 × 8 pixels"
    ):
        check_size(DATA_SETS["digits"], 16)
    for name, scale in (("mnist", 2), ("mnist", 4), ("digits", 8)):
        check_size(DATA_SETS[name], scale)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "mnist", "--scale", "8"], "such as 24 × 24 or 32 × 32; the images of mnist"),
        (["--scale", "3"], "deconvnet: --scale wants a power of two above 1, got 3"),
        (["--scale", "1"], "deconvnet: --scale wants a power of two above 1, got 1"),
        (["--scale", "0"], "deconvnet: --scale wants a power of two above 1, got 0"),
        (["--kernel", "5"], "deconvnet: --kernel wants 3 or 4, got 5"),
        (["--maps", "0"], "deconvnet: --maps wants a positive integer, got 0"),
        (["--scale", "x"], "--scale: wants"),
        (["--dataset", "cifar10"], "--dataset: invalid choice: 'cifar10'"),
    ],
)
def test_a_wrong_call_gets_one_line(options, message, capsys, monkeypatch):
    monkeypatch.setattr(deconvnet, "check_size", check_size)
    few = TensorDataset(np.zeros((1, 1, 28, 28), "float32"), np.zeros(1, "int64"))
    monkeypatch.setattr("models.data.DataSet.load", lambda *_: Examples(few, few, ("",)))
    assert command("train", "deconvnet", *options, "--out", "run") == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("run").exists()
