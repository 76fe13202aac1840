"""Segmentation: its scenes, its networks, intersection over union, and what it learns."""

import json
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
from models import pictures
from models.data import DATA_SETS, Examples
from models.segmentation import (
    ARCHITECTURE,
    BACKGROUND,
    COLOURS,
    FCN,
    NETWORKS,
    SHADES,
    SegmentationTraining,
    SegNet,
    check_size,
    corners,
    intersection_over_union,
    lay,
    pixels_counted,
    scaled,
    scenes,
    scenes_of,
)
from models.training import Progress
from tests.backends import BACKENDS
from tests.commands import check_resuming, command
from tests.layers import Case, Watched, seeds
from tests.test_model_gradients import magnified

SILENT = Progress("", total=0, unit="", quiet=True)
every_network = pytest.mark.parametrize("network", NETWORKS)


def generator(seed=0):
    return np.random.default_rng(seed)


def some_digits(count=40):
    return TensorDataset(*(tensor[:count] for tensor in DATA_SETS["digits"].read()[0].tensors))


def settings_of(**changes):
    return SimpleNamespace(**{**ARCHITECTURE.settings["digits"], "seed": 0, **changes})


def training_of(data, network="fcn", backend="numpy", **changes):
    given_ = settings_of(network=network, **{"width": 4, **changes})
    classes = ("background", *"0123456789")
    mg.manual_seed(0)
    made = NETWORKS[network](given_.width, len(classes)).to(backend)
    there = TensorDataset(*(tensor.to(backend) for tensor in data.tensors))
    return SegmentationTraining(made, Examples(there, there, classes), given_)


# -- Scenes ---------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 999),
    n=st.integers(1, 3),
    ink=st.floats(0.0, 1.0),
    shade=st.floats(0.1, 1.0),
    beneath=st.floats(0.0, 1.0),
)
def test_what_lies_above_hides_as_much_as_it_has_ink(seed, n, ink, shade, beneath):
    x = np.full((n, 7, 7), beneath)
    corner = generator(seed).integers(0, 5, (n, 2))
    place = lay(x, np.full((n, 3, 3), ink), np.full(n, shade), corner)
    within = np.zeros(x.shape, dtype=bool)
    for k, (row, column) in enumerate(corner):
        within[k, row : row + 3, column : column + 3] = True
    np.testing.assert_allclose(x[within], (1 - ink) * beneath + ink * shade, atol=1e-12)
    np.testing.assert_array_equal(x[~within], beneath)
    again = np.zeros(x.shape, dtype=bool)
    again[place] = True
    np.testing.assert_array_equal(again, within)


@given(seed=st.integers(0, 999), number=st.integers(2, 4), gap=st.integers(0, 6))
def test_corners_keep_their_distance_and_stay_inside(seed, number, gap):
    places = corners(20, number, 16, gap, generator(seed))
    assert places.shape == (20, number, 2)
    assert 0 <= places.min() <= places.max() <= 16
    for scene in places:
        for i in range(number):
            for j in range(i):
                assert max(abs(scene[i] - scene[j])) >= gap


@pytest.mark.parametrize("gap", [0, 2])
def test_corners_may_be_anywhere_else(gap):
    """All pairs of 3 × 3 places that are no nearer than the gap along both axes."""
    found = {tuple(pair) for pair in corners(3000, 2, 2, gap, generator()).reshape(-1, 4).tolist()}
    places = [(row, column) for row in range(3) for column in range(3)]
    allowed = {
        (*one, *other)
        for one in places
        for other in places
        if max(abs(one[0] - other[0]), abs(one[1] - other[1])) >= gap
    }
    assert found == allowed


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99))
def test_without_clutter_and_noise_a_scene_is_its_digits(seed):
    """Ink above one half and above it alone belongs to a digit; the background has no more."""
    data = some_digits()
    found = scenes(data, 6, 24, 0, 0.0, generator(seed))
    x, truth = (tensor.numpy() for tensor in found.tensors)
    assert x.dtype == truth.dtype == np.uint8
    assert x.shape == (6, 1, 24, 24)
    grey = x[:, 0] / 255.0
    assert grey[truth > 0].min() > 0.5 * SHADES[0] - 0.01
    alone = grey[truth == 0]
    assert alone.max() <= 1.0
    assert (alone == 0.0).any()
    for scene in truth:
        assert 1 <= len(np.unique(scene[scene > 0])) <= 4


def test_a_scene_of_known_digits_is_laid_out_as_told():
    """One image, all ink: two to four squares, the last on top, each of its own class."""
    data = TensorDataset(np.ones((3, 1, 7, 7), "float32"), np.array([4, 4, 4]))
    found = scenes(data, 400, 21, 0, 0.0, generator())
    x, truth = (tensor.numpy() for tensor in found.tensors)
    np.testing.assert_array_equal(x[:, 0] > 0, truth == 5)
    area = (truth == 5).sum((1, 2))
    least = 49 + 21  # two squares that overlap in all but three of seven rows
    assert least <= area.min() < 2 * 49
    assert 3 * 49 < area.max() <= 4 * 49
    (wide,) = scenes(data, 200, 70, 0, 0.0, generator()).tensors[1:]
    counts = (wide.numpy() == 5).sum((1, 2)) / 49
    for digits in (2, 3, 4):  # a third each, and few of them overlap
        assert 0.2 < (counts == digits).mean() < 0.5
    shades = x[x > 0] / 255.0
    assert SHADES[0] - 0.01 < shades.min() < SHADES[0] + 0.01
    assert SHADES[1] - 0.01 < shades.max() <= SHADES[1]


def test_clutter_is_background_and_noise_is_on_every_pixel():
    data = TensorDataset(np.ones((1, 1, 7, 7), "float32"), np.zeros(1, "int64"))
    plain, cluttered, noisy = (
        scenes(data, 200, 21, clutter, noise, generator(3))
        for clutter, noise in ((0, 0.0), (5, 0.0), (0, 0.2))
    )
    x, truth = (tensor.numpy() for tensor in cluttered.tensors)
    bits = (x[:, 0] > 0) & (truth == 0)
    assert 0 < bits.sum((1, 2)).max() <= 5 * 9
    grey = noisy.tensors[0].numpy()[:, 0] / 255.0
    within = (plain.tensors[0].numpy()[:, 0] > 0) & (grey < 0.95)
    assert 0.1 < grey[within].std() < 0.3
    half = grey[plain.tensors[0].numpy()[:, 0] == 0]
    # of normal noise cut off at 0: mean σ/√(2π), in half of the pixels nothing
    assert half.mean() == pytest.approx(0.2 / np.sqrt(2 * np.pi), rel=0.05)
    assert (half == 0.0).mean() == pytest.approx(0.5, abs=0.02)


def test_seeds_make_scenes_and_others_make_others(monkeypatch):
    monkeypatch.setattr("models.segmentation.TESTS", 250)
    given_ = settings_of(examples=300)
    first, second = (scenes_of("digits", given_) for _ in range(2))
    assert first.shape == (1, 24, 24)
    assert first.classes == ("background", *"0123456789")
    train, test = first.read()
    again = second.read()
    other, _ = scenes_of("digits", settings_of(examples=300, seed=1)).read()
    assert len(train) == 300
    assert len(test) == 250
    np.testing.assert_array_equal(train.tensors[0].numpy(), again[0].tensors[0].numpy())
    assert (train.tensors[0].numpy() != other.tensors[0].numpy()).any()
    assert set(np.unique(test.tensors[1].numpy())) == set(range(11))


def test_train_and_test_scenes_share_no_digit(monkeypatch):
    """Training images are all white and of class 0, test images of half ink and of class 9."""
    parts = [
        TensorDataset(np.full((5, 1, 8, 8), ink, "float32"), np.full(5, label))
        for ink, label in ((1.0, 0), (0.75, 9))
    ]
    base = SimpleNamespace(read=lambda: parts, classes=tuple("0123456789"))
    monkeypatch.setitem(DATA_SETS, "digits", base)
    train, test = scenes_of("digits", settings_of(examples=50)).read()
    assert set(np.unique(train.tensors[1].numpy())) == {0, 1}
    assert set(np.unique(test.tensors[1].numpy())) == {0, 10}


# -- Networks -------------------------------------------------------------------------------------


@every_network
@settings(max_examples=8, deadline=None)
@given(h=st.integers(1, 4), w=st.integers(1, 4), width=st.integers(1, 3))
def test_scores_for_every_pixel_of_images_of_any_size(network, h, w, width):
    made = NETWORKS[network](width, 5).eval()
    assert made(mg.zeros((2, 1, 8 * h, 8 * w))).shape == (2, 5, 8 * h, 8 * w)


@every_network
def test_what_moves_by_the_poolings_step_moves_the_scores(network):
    """Away from the edges: eight pixels are one place of the coarsest grid."""
    with seeded(1):
        made = NETWORKS[network](2, 3).eval()
    image = np.zeros((2, 1, 96, 96), "float32")
    image[0, 0, 40:44, 40:46] = generator(0).uniform(0.2, 1.0, (4, 6))
    image[1] = np.roll(image[0], (8, 8), (1, 2))
    with mg.no_grad():
        first, second = made(mg.tensor(image)).numpy()
    moved = np.roll(first, (8, 8), (1, 2))
    inner = (slice(None), slice(36, 60), slice(36, 60))
    np.testing.assert_allclose(second[inner], moved[inner], atol=1e-4)
    assert np.ptp(first[inner]) > 1e-3


def test_fcn_adds_up_the_scores_of_all_levels():
    """Each level has a bias of its own, and transposed convolutions that pass on what they get."""
    network = FCN(1, 2).eval()
    for score, bias in zip(network.scores, (1.0, 10.0, 100.0, 1000.0), strict=True):
        score.weight.overwrite(np.zeros(score.weight.shape, "float32"))
        score.bias.overwrite(np.array([bias, 0.0], "float32"))
    for up in network.ups:
        identity = np.zeros(up.weight.shape, "float32")
        identity[[0, 1], [0, 1]] = 0.25  # four taps reach a pixel
        up.weight.overwrite(identity)
    y = network(mg.zeros((1, 1, 80, 80))).numpy()[0]
    np.testing.assert_allclose(y[0, 32:48, 32:48], 1111.0, rtol=1e-5)
    np.testing.assert_array_equal(y[1], 0.0)


def test_segnet_puts_values_where_the_encoder_found_them():
    """Without filters in the decoder, all but the winners of the first pooling stays zero."""
    with seeded(0):
        network = SegNet(2, 3).eval()
    x = mg.tensor(generator(0).uniform(0.0, 1.0, (1, 1, 16, 16)).astype("float32"))
    alone = np.zeros(network.scores.weight.shape, "float32")
    alone[0, 0, 1, 1] = 1.0
    network.scores.weight.overwrite(alone)
    network.scores.bias.overwrite(np.zeros(3, "float32"))
    network.decoder[2][1].bias.overwrite(np.ones(2, "float32"))
    network.decoder[2][1].weight.overwrite(np.zeros(2, "float32"))
    with mg.no_grad():
        levels = network.encoder(x)
        y = network(x).numpy()[0, 0]
    first = levels[0].numpy()[0, 0]
    for i in range(8):
        for j in range(8):
            window = (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
            expected = np.zeros(4)
            expected[first[window].argmax()] = 1.0
            np.testing.assert_allclose(y[window].ravel(), expected, atol=1e-6)


@every_network
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_a_step_goes_down_the_gradient_of_the_weighted_cross_entropy(network, seed):
    """Σ w log p / Σ w over the pixels, the background's w a quarter, found numerically."""
    rng = generator(seed)
    grey, truth = rng.integers(0, 256, (3, 1, 8, 16), "uint8"), rng.integers(0, 11, (3, 8, 16))
    truth[:, :, :9] = 0
    training = training_of(TensorDataset(grey, truth.astype("uint8")), network, batch_size=3)
    training.network.to("float64")
    training.weight = training.weight.astype("float64")
    x = grey / 255.0

    def loss(made, x, truth):
        p = mg.exp(made(x))
        p = p / p.sum(1, keepdims=True)
        n, h, w = truth.shape
        i, j, k = np.ogrid[:n, :h, :w]
        weight = mg.tensor(np.where(truth.numpy() > 0, 1.0, BACKGROUND))
        return -(weight * mg.log(p[i, truth.numpy(), j, k])).sum() / weight.sum()

    case = Case(training.network.train(), (), (x, truth), loss)
    f = Watched(case)
    zeros = [np.zeros(v.shape) for v in case.values]
    error = directional_error(magnified(f, case.values, 1e4), zeros, 1, seed)
    assume(f.stayed)
    assert error <= 1e-6
    leaves = [mg.Tensor(v, requires_grad=True) for v in case.values]
    (value,) = case(*leaves)
    found = training.loss(mg.tensor(x), mg.tensor(truth))
    assert found.item() == pytest.approx(value.item(), rel=1e-9)
    for mine, theirs in zip(
        mg.grad(found, list(training.network.parameters())), mg.grad(value, leaves), strict=True
    ):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), atol=1e-9)


# -- Intersection over union ----------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=20, deadline=None)
@given(seed=seeds, classes=st.integers(2, 6))
def test_pixels_are_counted_and_classes_measured_as_sets(backend, seed, classes):
    rng = generator(seed)
    truth, guess = rng.integers(0, classes, (2, 3, 4, 5), "uint8")
    with mg.use_backend(backend):
        there = [mg.tensor(x, backend=backend) for x in (truth, guess.astype("int64"))]
        counts = pixels_counted(*there, classes).numpy()
    assert counts.sum() == truth.size
    for i in range(classes):
        for j in range(classes):
            assert counts[i, j] == ((truth == i) & (guess == j)).sum()
    for c, value in enumerate(intersection_over_union(counts)):
        either = ((truth == c) | (guess == c)).sum()
        if either:
            assert value == pytest.approx(((truth == c) & (guess == c)).sum() / either)
        else:
            assert np.isnan(value)


def test_who_sees_background_everywhere_gets_one_eleventh_of_its_share():
    counts = np.zeros((11, 11))
    counts[0, 0], counts[1:, 0] = 900.0, 10.0
    np.testing.assert_allclose(intersection_over_union(counts), [0.9] + [0.0] * 10)


# -- Training -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("network", "least"), [("fcn", 0.75), ("segnet", 0.4)])
def test_a_few_scenes_are_learned_pixel_by_pixel(network, least):
    data = scenes(some_digits(200), 4, 24, 2, 0.05, generator())
    training = training_of(data, network, width=8, epochs=100, batch_size=2, lr=1e-2)
    before = training.evaluate()
    for _ in range(100):
        training.epoch(SILENT)
    after = training.evaluate()
    assert before["test_iou"] < 0.2
    assert after["test_iou"] > least
    assert 0.92 < after["test_accuracy"] <= 1.0


def test_the_weights_of_the_loss_are_taken_off_the_guess():
    """A pixel that is background with probability ⅖, of one of two digits with ⅓ and 4/15: with
    weight ¼ the loss is least where softmax says 3 : 10 : 8, and the best guess is background."""
    training = training_of(scenes(some_digits(), 2, 24, 0, 0.0, generator()))
    p = np.array([0.4, 1.0 / 3.0, 4.0 / 15.0] + [1e-9] * 8)
    best = p * training.weight.numpy()
    scores = np.log(best / best.sum()).astype("float32")
    np.testing.assert_allclose(np.exp(scores[:3]) * 21.0, [3.0, 10.0, 8.0], rtol=1e-5)
    everywhere = np.broadcast_to(scores[:, None, None], (1, 11, 8, 8))
    training.network.forward = lambda x: mg.tensor(everywhere)
    np.testing.assert_array_equal(training.guess(mg.zeros((1, 1, 8, 8))).numpy(), 0)


def test_bytes_stand_for_numbers_from_zero_to_one():
    found = scaled(mg.tensor(np.array([0, 51, 255], "uint8")))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found.numpy(), [0.0, 0.2, 1.0], rtol=1e-6)


def test_every_class_has_a_colour_of_its_own():
    assert len(ARCHITECTURE.data("digits", settings_of()).classes) == COLOURS.N
    assert len({COLOURS(i) for i in range(COLOURS.N)}) == COLOURS.N


# -- Commands -------------------------------------------------------------------------------------

TINY = ["--epochs", "2", "--examples", "64", "--width", "2", "--quiet"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("models.segmentation.TESTS", 40)


@every_network
def test_a_run_measures_draws_and_shows_masks(network, capsys, monkeypatch):
    monkeypatch.setattr("models.segmentation.TESTS", 200)
    assert command("train", "segmentation", *TINY[:-1], "--network", network, "--out", "run") == 0
    said = capsys.readouterr().out.splitlines()
    assert {path.name for path in Path("run/pictures").iterdir()} == {"learning.png", "masks.png"}
    last = json.loads(Path("run/metrics.jsonl").read_text().splitlines()[-1])
    table = [
        line.split() for line in said if line.split()[0] in ("background", "mean", *"0123456789")
    ]
    assert len(table) == 12
    assert float(table[-1][2]) == pytest.approx(last["test_iou"], abs=6e-4)
    assert sum(int(line[1].replace(",", "")) for line in table[:-1]) == 200 * 24 * 24
    assert command("sample", "run", "--count", "3") == 0
    assert Path("run/samples/seed-0/masks.png").read_bytes().startswith(b"\x89PNG")


def test_an_interrupted_run_ends_as_an_undisturbed_one(monkeypatch):
    check_resuming(SegmentationTraining, monkeypatch, "segmentation", *TINY)


@pytest.mark.parametrize("backend", BACKENDS)
@every_network
def test_what_is_drawn_and_said_on_every_backend(network, backend, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda made, path: drawn.append(path.stem))
    data = scenes(some_digits(), 8, 24, 2, 0.1, generator())
    with mg.use_backend(backend):
        training = training_of(data, network, backend)
        training.pictures(tmp_path, [])
        training.sample(2, tmp_path)
        lines = training.report().splitlines()
    assert drawn == ["learning", "masks", "masks"]
    assert len(lines) == 13


# -- What is refused ------------------------------------------------------------------------------


@every_network
@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((60, 64), r"such as 56 × 64 or 64 × 72, got 60 × 64"),
        ((16, 5), r"such as 16 × 8 or 24 × 8, got 16 × 5"),
    ],
)
def test_images_that_the_poolings_do_not_divide_are_refused(network, shape, message):
    made = NETWORKS[network](1, 3)
    with pytest.raises(
        ValueError, match=f"segmentation: images want sides that 8 divides, {message}"
    ):
        made(mg.zeros((1, 1, *shape)))
    check_size(16, 8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "30"], "images want sides that 8 divides, such as 24 × 24 or 32 × 32, got 30"),
        (["--size", "8"], "segmentation: --size wants at least 16, twice a digit's side, got 8"),
        (["--width", "0"], "segmentation: --width wants a positive integer, got 0"),
        (["--examples", "0"], "segmentation: examples wants a positive integer, got 0"),
        (["--noise", "-1"], "--noise: wants a non-negative number, got -1"),
        (["--network", "unet"], "--network: invalid choice: 'unet'"),
        (["--dataset", "cifar10"], "--dataset: invalid choice: 'cifar10'"),
    ],
)
def test_a_wrong_call_gets_one_line(options, message, capsys):
    assert command("train", "segmentation", "--examples", "8", *options, "--out", "run") == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("run").exists()


def test_noise_that_is_negative_is_refused():
    with pytest.raises(ValueError, match=r"segmentation: noise wants a number .*, got -0\.1"):
        scenes(some_digits(), 3, 24, 0, -0.1, generator())
