"""Convolution in one, two and three dimensions: what moves, what stays, what cannot be seen."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.data import TensorDataset
from models import pictures
from models.cnn import (
    ARCHITECTURE,
    CNNTraining,
    ConvolutionalNetwork,
    FrameByFrame,
    SlidingLeNet5,
    draw_clips,
    draw_filters,
    draw_panels,
    draw_shift_curves,
    moved,
    on_canvas,
    shift_curve,
)
from models.contest import Contest, size_of
from models.data import DATA_SETS, Examples
from models.lenet import LeNet5
from models.moving_digits import DIRECTIONS, FRAMES, SIZE, clip, clips, moving_digits
from models.training import Progress
from models.waveforms import LENGTH, WAVES, series, wave, waveforms
from tests.backends import BACKENDS
from tests.commands import check_resuming, command

SILENT = Progress("", total=0, unit="", quiet=True)
seeds = st.integers(0, 2**32 - 1)
every_data_set = pytest.mark.parametrize("name", ARCHITECTURE.settings)


def built(name, **changes):
    """The untrained contest for a data set, and the data set."""
    given_ = SimpleNamespace(**{**ARCHITECTURE.settings[name], "seed": 0, **changes})
    data = ARCHITECTURE.data(name, given_)
    return ARCHITECTURE.build(data, given_), data, given_


def random(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


# -- What moves in the input moves in the maps ----------------------------------------------------

SIDES = {1: (24,), 2: (8, 12), 3: (4, 8, 6)}


@st.composite
def moves(draw):
    """A dimension, the length of filters, and a move along every axis."""
    dimensions = draw(st.integers(1, 3))
    move = tuple(draw(st.integers(-n, n)) for n in SIDES[dimensions])
    return dimensions, draw(st.integers(2, 4)), move


def on_a_torus(dimensions, kernel):
    return ConvolutionalNetwork((2, 3, 4), kernel, (2,) * dimensions, dimensions, 5)


@given(moves(), seeds)
def test_maps_move_with_the_input(move, seed):
    dimensions, kernel, by = move
    mg.manual_seed(seed)
    network = on_a_torus(dimensions, kernel)
    x = random(seed, 2, 2, *SIDES[dimensions])
    axes = tuple(range(2, 2 + dimensions))
    there = network.maps(mg.tensor(np.roll(x, by, axes)))[0].numpy()
    here = network.maps(mg.tensor(x))[0].numpy()
    assert here.shape[2:] == SIDES[dimensions]
    np.testing.assert_allclose(there, np.roll(here, by, axes), rtol=0, atol=1e-5)


@given(moves(), seeds)
def test_subsampled_maps_move_half_as_far_and_the_answer_stays(move, seed):
    dimensions, kernel, by = move
    mg.manual_seed(seed)
    network = on_a_torus(dimensions, kernel)
    x = random(seed, 2, 2, *SIDES[dimensions])
    axes = tuple(range(2, 2 + dimensions))
    moved_x = mg.tensor(np.roll(x, tuple(2 * n for n in by), axes))
    here = network.maps(mg.tensor(x))[1].numpy()
    there = network.maps(moved_x)[1].numpy()
    np.testing.assert_allclose(there, np.roll(here, by, axes), rtol=0, atol=1e-5)
    same = network(mg.tensor(x)).numpy()
    np.testing.assert_allclose(network(moved_x).numpy(), same, rtol=0, atol=1e-5)


@given(dimensions=st.integers(1, 3), seed=seeds, data=st.data())
def test_where_nothing_goes_around_a_part_of_the_input_has_a_part_of_the_maps(
    dimensions, seed, data
):
    mg.manual_seed(seed)
    network = ConvolutionalNetwork((2, 3), 3, (2,) * dimensions, 0, 5)
    x = random(seed, 2, 2, *SIDES[dimensions])
    starts = [data.draw(st.integers(0, n - 3)) for n in SIDES[dimensions]]
    part = (..., *(slice(start, None) for start in starts))
    whole = network.maps(mg.tensor(x))[0].numpy()
    assert whole.shape[2:] == tuple(n - 2 for n in SIDES[dimensions])
    found = network.maps(mg.tensor(x[part]))[0].numpy()
    np.testing.assert_allclose(found, whole[part], rtol=0, atol=1e-5)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_a_map_is_the_sum_of_the_equation(dimensions):
    """y(p) = b + Σ w(k) x(p + k), rectified, one number after the other."""
    mg.manual_seed(dimensions)
    network = ConvolutionalNetwork((2, 3), 2, (2,) * dimensions, 0, 5)
    x = random(1, 2, 2, *(3,) * dimensions)
    w, b = (network.convolutions[0].state_dict()[n].numpy() for n in ("weight", "bias"))
    found = network.maps(mg.tensor(x))[0].numpy()
    for n, f, *p in np.ndindex(found.shape):
        total = b[f]
        for c, *k in np.ndindex(w.shape[1:]):
            total += w[f, c, *k] * x[n, c, *np.add(p, k)]
        assert found[n, f, *p] == pytest.approx(max(total, 0.0), abs=1e-5)


def test_the_output_is_dense_on_the_means_of_the_last_maps():
    network = ConvolutionalNetwork((1, 2, 3), 3, (2, 2), 2, 4)
    x = mg.tensor(random(0, 2, 1, 8, 8))
    means = network.maps(x)[-1].numpy().mean((2, 3))
    v, c = (network.output.state_dict()[n].numpy() for n in ("weight", "bias"))
    np.testing.assert_allclose(network(x).numpy(), means @ v.T + c, rtol=0, atol=1e-6)


# -- LeNet-5's numbers, sliding -------------------------------------------------------------------


@pytest.fixture(scope="module")
def lenets():
    """LeNet-5, and its numbers in the sliding network."""
    mg.manual_seed(0)
    plain, sliding = LeNet5(1, 28, 10), SlidingLeNet5(1, 28, 10)
    sliding.load_state_dict(plain.state_dict())
    return plain, sliding


def test_the_sliding_network_has_the_numbers_of_lenet(lenets):
    shapes = [{key: t.shape for key, t in network.state_dict().items()} for network in lenets]
    assert shapes[0] == shapes[1]
    layers = lenets[1].layers(mg.zeros((2, 1, 28, 28)))
    assert {name: y.shape[1:] for name, y in layers.items()} == {
        "C1": (6, 28, 28),
        "S2": (6, 14, 14),
        "C3": (16, 14, 14),
        "S4": (16, 7, 7),
        "C5": (120, 7, 7),
        "maximum": (120, 1, 1),
        "F6": (84,),
        "output": (10,),
    }
    layers = lenets[1].layers(mg.tensor(random(0, 2, 1, 28, 28)))
    most = layers["C5"].numpy().max((2, 3), keepdims=True)
    np.testing.assert_array_equal(layers["maximum"].numpy(), most)


@settings(max_examples=10)
@given(down=st.integers(-7, 7), right=st.integers(-7, 7), seed=seeds)
def test_it_does_not_notice_moves_by_four_pixels(lenets, down, right, seed):
    x = random(seed, 1, 1, 28, 28)
    there = mg.tensor(np.roll(x, (4 * down, 4 * right), (2, 3)))
    _, sliding = lenets
    here = sliding(mg.tensor(x)).numpy()
    np.testing.assert_allclose(sliding(there).numpy(), here, rtol=0, atol=1e-5)


def test_it_is_lenet_where_the_torus_is_far(lenets):
    """Around the middle of an image, C1 and S2 are LeNet's; C3 lies two pixels further in."""
    x = mg.tensor(random(0, 2, 1, 28, 28))
    plain, sliding = (network.layers(x) for network in lenets)
    inner = (..., slice(1, -1), slice(1, -1))
    s2 = sliding["S2"].numpy()[inner]
    np.testing.assert_allclose(s2, plain["S2"].numpy()[inner], rtol=0, atol=1e-5)
    c3 = sliding["C3"].numpy()[..., 3:-3, 3:-3]
    np.testing.assert_allclose(c3, plain["C3"].numpy()[inner], rtol=0, atol=1e-5)


def test_dense_layers_and_odd_moves_do_notice(lenets):
    x = random(0, 1, 1, 28, 28)
    plain, sliding = lenets
    for network, pixels in ((plain, 4), (sliding, 1), (sliding, 2)):
        there = network(mg.tensor(np.roll(x, pixels, 3))).numpy()
        assert np.abs(there - network(mg.tensor(x)).numpy()).max() > 1e-3


# -- Frame by frame -------------------------------------------------------------------------------


@given(order=st.permutations(range(4)), seed=seeds)
def test_frame_by_frame_means_that_their_order_does_not_matter(order, seed):
    mg.manual_seed(seed)
    network = FrameByFrame(ConvolutionalNetwork((2, 3), 3, (2, 2), 2, 5))
    x = random(seed, 2, 2, 4, 6, 6)
    said = network(mg.tensor(x)).numpy()
    means = np.mean([network.network(mg.tensor(x[:, :, t])).numpy() for t in range(4)], axis=0)
    np.testing.assert_allclose(said, means, rtol=0, atol=1e-6)
    shuffled = network(mg.tensor(x[:, :, order])).numpy()
    np.testing.assert_allclose(shuffled, said, rtol=0, atol=1e-6)


def test_a_network_in_three_dimensions_tells_a_motion_from_its_reverse():
    contest, data, _ = built("moving_digits", examples=8)
    x = mg.tensor(data.read()[0].tensors[0].numpy())
    back = mg.flip(x, axis=2)
    difference = {
        name: np.abs(network(x).numpy() - network(back).numpy()).max()
        for name, network in contest.contestants.items()
    }
    assert difference["frames"] < 1e-6
    assert difference["volume"] > 1e-3


# -- Clips ----------------------------------------------------------------------------------------


@given(
    start=st.tuples(*[st.integers(0, SIZE - 1)] * 2),
    velocity=st.tuples(*[st.integers(-2, 2)] * 2),
    seed=seeds,
)
def test_a_digit_moves_over_the_torus(start, velocity, seed):
    image = np.random.default_rng(seed).uniform(size=(8, 8))
    (found,) = clip(image[None], np.array([start]), np.array([velocity]))[:, 0]
    frame = np.zeros((SIZE, SIZE))
    frame[:8, :8] = image
    for t in range(FRAMES):
        place = [s + t * v for s, v in zip(start, velocity, strict=True)]
        np.testing.assert_array_equal(found[t], np.roll(frame, place, (0, 1)))


def test_no_frame_by_itself_says_anything_of_the_direction():
    """From all starts together, frame t is every frame once, whatever the direction and speed."""
    image = np.random.default_rng(0).uniform(size=(1, 8, 8)).astype("float32")
    starts = np.array(list(np.ndindex(SIZE, SIZE)))
    images = np.repeat(image, len(starts), axis=0)
    expected = None
    for direction in DIRECTIONS.values():
        for speed in (1, 2):
            velocity = np.tile(np.multiply(speed, direction), (len(starts), 1))
            found = clip(images, starts, velocity)[:, 0]
            for t in (0, 1, FRAMES - 1):
                frames = sorted(frame.tobytes() for frame in found[:, t])
                expected = expected or frames
                assert frames == expected
    assert len(set(expected)) == SIZE**2


def test_the_label_of_a_clip_is_the_direction_of_its_motion():
    dot = np.zeros((3, 1, 8, 8), dtype="float32")
    dot[:, :, 2, 5] = 1.0
    x, labels = (t.numpy() for t in clips(dot, 300, 0.0, np.random.default_rng(0)).tensors)
    places = np.argwhere(x[:, 0] == 1.0)[:, 2:].reshape(300, FRAMES, 2)
    steps = (np.diff(places, axis=1) + SIZE // 2) % SIZE - SIZE // 2
    assert (steps == steps[:, :1]).all()
    speed = np.abs(steps[:, 0]).max(1)
    assert set(speed) == {1, 2}
    directions = np.array(list(DIRECTIONS.values()))[labels]
    np.testing.assert_array_equal(steps[:, 0], speed[:, None] * directions)
    assert len(set(labels)) == len(DIRECTIONS)
    assert len({tuple(place) for place in places[:, 0]}) > 150  # starts all over the torus


def test_arrows_point_where_digits_move():
    assert DIRECTIONS["→"] == (0, 1)
    assert DIRECTIONS["↓"] == (1, 0)
    opposite = {"→": "←", "↓": "↑", "↘": "↖", "↙": "↗"}
    for one, other in opposite.items():
        assert np.add(DIRECTIONS[one], DIRECTIONS[other]).tolist() == [0, 0]
    assert DIRECTIONS["↘"] == (1, 1)
    assert DIRECTIONS["↙"] == (1, -1)


# -- Waves ----------------------------------------------------------------------------------------

PERIODIC = sorted(set(WAVES) - {"chirp", "damped"})


@given(
    family=st.sampled_from(PERIODIC),
    periods=st.sampled_from([4, 8]),
    # Away from the jumps, which otherwise fall on a sample, where rounding decides.
    phase=st.floats(0.0, 1.0).map(lambda v: (round(v * 128) + 0.37) / 128),
    steps=st.integers(-LENGTH, LENGTH),
)
def test_a_phase_moves_a_wave_in_time(family, periods, phase, steps):
    f = np.array([[float(periods)]])
    here = wave(family, f, np.array([[phase]]))
    there = wave(family, f, np.array([[phase + periods * steps / LENGTH]]))
    np.testing.assert_allclose(there, np.roll(here, -steps, 1), rtol=0, atol=1e-8)


@given(family=st.sampled_from(sorted(WAVES)), f=st.floats(3.0, 8.0), phase=st.floats(0.0, 1.0))
def test_neither_level_nor_power_tells_a_family(family, f, phase):
    values = wave(family, np.array([[f]]), np.array([[phase]]))
    assert values.shape == (1, LENGTH)
    assert values.mean() == pytest.approx(0.0, abs=1e-9)
    assert values.std() == pytest.approx(1.0, abs=1e-9)


def one_wave(family, f=4.0, phase=0.37 / 128):
    return wave(family, np.array([[f]]), np.array([[phase]]))[0]


def test_families_have_their_shapes():
    t = np.arange(LENGTH) / LENGTH
    phase = 0.37 / 128
    sine = np.sqrt(2.0) * np.sin(2.0 * np.pi * (4.0 * t + phase))
    np.testing.assert_allclose(one_wave("sine"), sine, atol=1e-9)
    np.testing.assert_array_equal(one_wave("square"), np.where(sine > 0.0, 1.0, -1.0))
    np.testing.assert_allclose(one_wave("falling"), -one_wave("rising"), atol=1e-12)
    assert (np.diff(one_wave("rising")) > 0.0).sum() == 127 - 3  # falls thrice, between periods
    triangle = np.diff(one_wave("triangle"))
    assert 2 * (triangle > 0.0).sum() == pytest.approx(127, abs=3)
    assert np.ptp(np.abs(triangle[1:15])) < 1e-12  # straight
    pulses = one_wave("pulses")
    assert (pulses > 0.0).mean() == pytest.approx(0.2, abs=0.02)
    assert len(np.unique(pulses)) == 2


def test_a_chirp_becomes_four_times_as_fast():
    """Its phase is the integral of a frequency that rises from f/2 to 2f."""
    f, steps = 8.0, 20000
    time = (np.arange(steps) + 0.5) / steps
    turns = np.cumsum(f / 2 + 1.5 * f * time) / steps
    at = np.searchsorted(time, np.arange(LENGTH) / LENGTH)
    expected = np.sin(2.0 * np.pi * (0.1 + turns[at]))
    expected = (expected - expected.mean()) / expected.std()
    np.testing.assert_allclose(one_wave("chirp", f, 0.1), expected, atol=0.01)


def test_a_damped_wave_decays_until_it_is_struck_anew():
    values = one_wave("damped", 3.0, 0.0)  # three periods: one stroke
    sizes = [np.ptp(part) for part in np.array_split(values, 3)]
    ratios = np.divide(sizes[1:], sizes[:-1])
    np.testing.assert_allclose(ratios, np.exp(-4.0 / 3.0), rtol=0.02)
    again = one_wave("damped", 6.0, 0.0)  # six: two
    np.testing.assert_allclose(again[:64], again[64:], atol=1e-9)


def test_a_series_is_its_wave_times_an_amplitude_and_noise():
    clean, quiet = (series(800, 0.0, np.random.default_rng(0)) for _ in range(2))
    noisy = series(800, 0.3, np.random.default_rng(0))
    x, labels = (tensor.numpy() for tensor in clean.tensors)
    np.testing.assert_array_equal(x, quiet.tensors[0].numpy())
    np.testing.assert_array_equal(labels, noisy.tensors[1].numpy())
    assert x.shape == (800, 1, LENGTH)
    assert x.dtype == "float32"
    amplitudes = x.std((1, 2))
    assert 0.5 <= amplitudes.min() < 0.55
    assert 1.45 < amplitudes.max() <= 1.5
    noise = noisy.tensors[0].numpy() - x
    assert noise.std() == pytest.approx(0.3, rel=0.01)
    assert noise.mean() == pytest.approx(0.0, abs=0.005)
    assert (np.bincount(labels, minlength=len(WAVES)) > 60).all()
    two_levels = [len(np.unique(row)) == 2 for row in x[:, 0]]
    levels = {"square", "pulses"}
    assert two_levels == [list(WAVES)[label] in levels for label in labels]


@pytest.mark.parametrize("make", [waveforms, moving_digits])
def test_a_seed_gives_one_data_set(make):
    first, again, other = (make(20, 0.2, seed).read() for seed in (1, 1, 2))
    for part, same, different in zip(first, again, other, strict=True):
        for tensor, twin in zip(part.tensors, same.tensors, strict=True):
            np.testing.assert_array_equal(tensor.numpy(), twin.numpy())
        assert not np.array_equal(part.tensors[0].numpy(), different.tensors[0].numpy())
    train, test = (part.tensors[0].numpy() for part in first)
    assert train.shape == (20, *make(20, 0.2, 1).shape)
    assert not np.array_equal(train[:20], test[:20])


# -- Images moved ---------------------------------------------------------------------------------


@given(down=st.integers(-6, 6), right=st.integers(-6, 6))
def test_a_moved_image_leaves_zeros_behind(down, right):
    images = np.random.default_rng(0).uniform(1.0, 2.0, size=(2, 1, 7, 9)).astype("float32")
    expected = np.zeros_like(images)
    for row, column in np.ndindex(7, 9):
        if 0 <= row + down < 7 and 0 <= column + right < 9:
            expected[:, :, row + down, column + right] = images[:, :, row, column]
    np.testing.assert_array_equal(moved(mg.tensor(images), down, right).numpy(), expected)


class Where(nn.Module):
    """Class 1 where the ink of an image is not in the row or the column it was in."""

    def __init__(self, axis):
        super().__init__()
        self.axis = axis

    def forward(self, x):
        stayed = x[:, 0].sum(self.axis)[:, 14]
        return mg.stack([stayed, 0.5 * mg.ones_like(stayed)], axis=1)


def test_the_shift_curve_is_a_mean_over_four_directions():
    images = np.zeros((4, 1, 28, 28), dtype="float32")
    images[:, :, 14, 14] = 1.0
    test = TensorDataset(images, np.array([0, 0, 0, 1]))
    assert shift_curve(Where(1), test) == [0.75] + [pytest.approx((0.75 + 0.25) / 2)] * 6
    assert shift_curve(Where(2), test) == [0.75] + [pytest.approx((0.75 + 0.25) / 2)] * 6


def test_images_are_put_in_the_middle():
    small = mg.tensor(np.ones((2, 1, 8, 8), dtype="float32"))
    canvas = on_canvas(small).numpy()
    np.testing.assert_array_equal(canvas[:, :, 6:22, 6:22], 1.0)
    assert canvas.shape == (2, 1, 28, 28)
    assert canvas.sum() == 2 * 16 * 16
    large = mg.rand(2, 1, 28, 28)
    np.testing.assert_array_equal(on_canvas(large).numpy(), large.numpy())


# -- The contests ---------------------------------------------------------------------------------


@every_data_set
def test_contestants_are_of_equal_size_and_take_the_data(name):
    contest, data, _ = built(name)
    sizes = [size_of(network) for network in contest.contestants.values()]
    assert max(sizes) <= 1.03 * min(sizes)
    for network in contest.contestants.values():
        assert network(mg.zeros((2, *data.shape))).shape == (2, len(data.classes))


def test_lenet_and_its_rivals_have_their_known_sizes():
    contest, _, _ = built("mnist")
    sizes = {name: size_of(network) for name, network in contest.contestants.items()}
    assert sizes == {"lenet": 61706, "sliding": 61706, "mlp": 78 * 785 + 10 * 79}


def learned(name, contestants, **changes):
    """What some contestants measure after learning a little data."""
    mg.manual_seed(0)
    contest, data, given_ = built(name, **changes)
    train, test = data.read()
    few = TensorDataset(*(tensor[:200] for tensor in test.tensors))
    some = Contest({name: contest.contestants[name] for name in contestants})
    training = CNNTraining(some, Examples(train, few, data.classes), given_)
    for _ in range(given_.epochs):
        training.epoch(SILENT)
    return training.evaluate()


def test_a_network_in_three_dimensions_sees_motion():
    changes = {"examples": 512, "noise": 0.0, "epochs": 5, "batch_size": 8}
    assert learned("moving_digits", ["volume"], **changes)["test_accuracy"] >= 0.9


def test_waves_are_told_apart_at_any_phase():
    changes = {"examples": 1500, "noise": 0.1, "epochs": 6, "batch_size": 16}
    measured = learned("waveforms", ["convolution", "mlp"], **changes)
    assert measured["test_accuracy"] >= 0.85
    assert measured["mlp_test_accuracy"] <= measured["test_accuracy"] - 0.2


# -- Commands -------------------------------------------------------------------------------------

TINY = ["--dataset", "waveforms", "--epochs", "2", "--examples", "96"]


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIGRAD_DATA", raising=False)


def test_a_run_measures_draws_and_shows_every_contestant(capsys):
    assert command("train", "cnn", *TINY, "--out", "run") == 0
    said = capsys.readouterr().out
    assert {path.name for path in Path("run/pictures").iterdir()} == {
        "confusion-convolution.png",
        "confusion-mlp.png",
        "curves.png",
        "examples.png",
        "filters.png",
    }
    last = json.loads(Path("run/metrics.jsonl").read_text().splitlines()[-1])
    for title, prefix in (("1-D convolution", ""), ("MLP", "mlp_")):
        assert last[f"{prefix}train_loss"] > 0.0
        (line,) = [line for line in said.splitlines() if line.startswith(title)]
        assert line.split()[-1] == f"{last[f'{prefix}test_accuracy']:.4f}"
    assert command("sample", "run", "--count", "3") == 0
    assert Path("run/samples/seed-0/answers.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["digits", "waveforms", "moving_digits"])
def test_what_is_drawn_and_said_on_every_backend(name, backend, monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(pictures, "save", lambda made, path: drawn.append(path.stem))
    with mg.use_backend(backend):
        contest, data, given_ = built(name, examples=24)
        few = [TensorDataset(*(t[:24].to(backend) for t in part.tensors)) for part in data.read()]
        training = CNNTraining(contest.to(backend), Examples(*few, data.classes), given_)
        training.pictures(tmp_path, [])
        training.sample(3, tmp_path)
        lines = training.report().splitlines()
    names = list(contest.contestants)
    expected = [*(f"confusion-{network}" for network in names), "filters", "examples", "answers"]
    if name == "digits":
        expected += ["shift", "layers"]
        assert lines[4] == "test accuracy on 24 test images moved by some pixels:"
        assert lines[5].split() == list("0123456")
        for line, first in zip(lines[6:], lines[1:4], strict=True):
            assert line.split()[-7] == first.split()[-1]  # moved by nothing
    else:
        assert len(lines) == 3
    assert sorted(drawn) == sorted(expected)


@pytest.mark.parametrize("shape", [(40,), (9, 9), (3, 9, 9)])
def test_examples_are_drawn_with_what_is_said_of_them(shape, tmp_path):
    draw = draw_clips if len(shape) == 3 else draw_panels
    verdicts = [[("MLP: 3", True), ("LeNet-5: 4", False)]] * 2
    draw(random(0, 2, *shape), ["3", "3"], verdicts, "Two", tmp_path / "drawn.png")
    assert (tmp_path / "drawn.png").read_bytes().startswith(b"\x89PNG")


def test_filters_and_shift_curves_are_drawn(tmp_path):
    draw_filters(random(0, 4, 5), tmp_path / "1.png")
    draw_filters(random(0, 2, 3, 3, 3), tmp_path / "3.png")
    draw_shift_curves({"one": [1.0, 0.5], "two": [0.9, 0.8]}, tmp_path / "shift.png")
    assert len(list(tmp_path.glob("*.png"))) == 3


def test_an_interrupted_run_ends_as_an_undisturbed_one(monkeypatch):
    check_resuming(CNNTraining, monkeypatch, "cnn", *TINY)


# -- What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dimensions", "shape", "message"),
    [
        (1, (1, 128), r"x wants the shape \(n, 1, length\), got \(1, 128\)"),
        (1, (4, 2, 128), r"x wants the shape \(n, 1, length\), got \(4, 2, 128\)"),
        (2, (4, 1, 28), r"x wants the shape \(n, 1, height, width\), got \(4, 1, 28\)"),
        (3, (1, 8, 16, 16), r"x wants the shape \(n, 1, frames, height, width\), got \(1, 8, 16,"),
    ],
)
def test_an_input_of_the_wrong_shape_is_refused(dimensions, shape, message):
    network = ConvolutionalNetwork((1, 2), 3, (2,) * dimensions, 0, 3)
    with pytest.raises(ValueError, match=f"ConvolutionalNetwork: {message}"):
        network(mg.zeros(shape))


def test_frames_are_refused_where_clips_are_wanted():
    network = FrameByFrame(ConvolutionalNetwork((1, 2), 3, (2, 2), 2, 3))
    with pytest.raises(ValueError, match=r"FrameByFrame: x wants the shape \(n, channels, frames"):
        network(mg.zeros((4, 1, 16, 16)))


def test_data_that_cannot_be_made_are_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="waveforms: examples wants a positive integer, got 0"):
        series(0, 0.1, rng)
    with pytest.raises(ValueError, match="moving_digits: examples wants a positive integer, got"):
        clips(np.zeros((1, 1, 8, 8)), -1, 0.1, rng)
    with pytest.raises(ValueError, match=r"waveforms: noise wants a number .*, got -0\.5"):
        series(3, -0.5, rng)
    with pytest.raises(ValueError, match=r"moving_digits: noise wants a number .*, got nan"):
        clips(np.zeros((1, 1, 8, 8)), 3, float("nan"), rng)
    with pytest.raises(KeyError, match="cosine"):
        wave("cosine", np.ones((1, 1)), np.ones((1, 1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["waveforms", "--examples", "0"], "waveforms: examples wants a positive integer, got 0"),
        (["moving_digits", "--examples", "0"], "moving_digits: examples wants a positive integer"),
        (["waveforms", "--noise", "-1"], "--noise: wants a non-negative number, got -1"),
        (["digits", "--noise", "1"], "--noise: cnn on digits has no such setting"),
        (["cifar10"], "--dataset: invalid choice: 'cifar10'"),
    ],
)
def test_a_wrong_call_gets_one_line(options, message, capsys):
    assert command("train", "cnn", "--dataset", *options, "--out", "run") == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("run").exists()


def test_absent_images_are_said_to_be_absent(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MINIGRAD_DATA", str(tmp_path))
    assert command("train", "cnn", "--dataset", "mnist") == 2
    assert "mnist" in capsys.readouterr().err
    assert DATA_SETS["mnist"].shape == (1, 28, 28)
