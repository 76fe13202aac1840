"""AlexNet: the paper's numbers, PyTorch's weights, patches, what it learns, and any folder."""

import json
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.data import TensorDataset
from models import alexnet
from models.alexnet import (
    ARCHITECTURE,
    AlexNet,
    AlexNetTraining,
    FromPatches,
    OneTowerAlexNet,
    first_layer,
    fractions,
    response_norm,
    scaled,
)
from models.data import DATA_SETS, DataSet, Examples
from models.training import Progress
from tests.commands import command

SILENT = Progress("", total=0, unit="", quiet=True)
KINDS = (AlexNet, OneTowerAlexNet)


# -- The paper's numbers --------------------------------------------------------------------------


@pytest.fixture
def drawn(monkeypatch):
    """Weights stay undrawn, which for 61 million takes a while; what would have been drawn."""
    calls = []
    monkeypatch.setattr(nn.init, "kaiming_uniform_", lambda tensor, a: tensor)
    monkeypatch.setattr(nn.init, "uniform_", lambda tensor, a, b: tensor)

    def fill(tensor, *call):
        calls.append(call)
        tensor.array.fill(0.0)

    monkeypatch.setattr(nn.init, "normal_", lambda t, mean, std: fill(t, mean, std, t.shape))
    monkeypatch.setattr(nn.init, "constant_", fill)
    return calls


def test_two_towers_have_the_layers_and_the_parameters_of_the_paper(drawn):
    network = AlexNet()
    table = nn.summary(network, (1, 3, 227, 227))
    assert table.parameters == 60_965_224
    shapes = {row.name: row.output_shape[1:] for row in table.rows}
    maps = {name: shapes[name] for name in shapes if name[:4] in ("conv", "pool", "dens")}
    assert maps == {
        "conv1": (96, 55, 55),
        "pool1": (96, 27, 27),
        "conv2": (256, 27, 27),
        "pool2": (256, 13, 13),
        "conv3": (384, 13, 13),
        "conv4": (384, 13, 13),
        "conv5": (256, 13, 13),
        "pool5": (256, 6, 6),
        "dense6": (4096,),
        "dense7": (4096,),
        "dense8": (1000,),
    }
    counted = [math.prod(maps[f"conv{i}"]) for i in range(2, 6)]
    assert counted == [186_624, 64_896, 64_896, 43_264]  # as the paper counts its units
    seen = {name: p.shape[1:] for name, p in network.named_parameters() if p.ndim == 4}
    assert seen == {
        "conv1.weight": (3, 11, 11),
        "conv2.weight": (48, 5, 5),
        "conv3.weight": (256, 3, 3),
        "conv4.weight": (192, 3, 3),
        "conv5.weight": (192, 3, 3),
    }
    assert "60,965,224" in str(table).splitlines()[-1]


def test_one_tower_has_the_parameters_and_the_names_of_pytorch(drawn):
    network = OneTowerAlexNet()
    assert nn.summary(network, (1, 3, 224, 224)).parameters == 61_100_840
    layers = [f"features.{i}" for i in (0, 3, 6, 8, 10)] + [f"classifier.{i}" for i in (1, 4, 6)]
    assert list(network.state_dict()) == [f"{i}.{p}" for i in layers for p in ("weight", "bias")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_whole_network_starts_as_in_the_paper(kind, drawn):
    network = kind()
    weights = [p for p in network.parameters() if p.ndim > 1]
    assert drawn[:8] == [(0.0, 0.01, weight.shape) for weight in weights]
    assert drawn[8:] == [(value,) for value in (0, 1, 0, 1, 1, 1, 1, 0)]


@pytest.mark.parametrize("kind", KINDS)
def test_smaller_networks_have_sums_of_the_same_deviation(kind):
    """A unit of n inputs 1 has the deviation 0.01 · √(its inputs in the paper)."""
    mg.manual_seed(0)
    network = kind(1000, 3, 64, 0.5)
    weights = [p.numpy() for p in network.parameters() if p.ndim > 1]
    paper = {
        AlexNet: (363, 1200, 2304, 1728, 1728, 9216, 4096, 4096),
        OneTowerAlexNet: (363, 1600, 1728, 3456, 2304, 9216, 4096, 4096),
    }[kind]
    for weight, inputs in zip(weights, paper, strict=True):
        sums = weight.reshape(len(weight), -1).sum(1)
        error = 5.0 / math.sqrt(2.0 * len(sums))  # five times that of an estimated deviation
        np.testing.assert_allclose(sums.std(), 0.01 * math.sqrt(inputs), rtol=error)


def test_normalisation_is_the_formula_of_the_paper():
    x = 30.0 * np.random.default_rng(0).normal(size=(2, 7, 3, 2))
    k, n, alpha, beta = 2.0, 5, 1e-4, 0.75
    expected = np.empty_like(x)
    for i in range(7):
        near = x[:, max(0, i - n // 2) : min(7 - 1, i + n // 2) + 1]
        expected[:, i] = x[:, i] / (k + alpha * (near**2).sum(1)) ** beta
    np.testing.assert_allclose(response_norm()(mg.tensor(x)).numpy(), expected, rtol=1e-12)


@given(size=st.integers(19, 300), kind=st.sampled_from(KINDS))
def test_every_size_that_the_pools_allow_fits(size, kind):
    kernel, stride, left = first_layer(size, padded=kind is OneTowerAlexNet)
    assert kernel == 2 * stride + 3
    assert left >= (2 if size >= 27 else 1)
    with mg.no_grad():
        network = kind(3, 1, size, 0.01)
        assert network(mg.zeros((1, 1, size, size))).shape == (1, 3)
    if kind is AlexNet:
        assert network.dense6.weight.shape[1] == fractions(0.01, 256)[0] * left**2


def test_the_first_layer_is_the_paper_s_where_that_leaves_enough():
    assert first_layer(227, padded=False) == (11, 4, 6)
    assert first_layer(224, padded=True) == (11, 4, 6)
    assert [first_layer(size, padded=False)[1] for size in (99, 98, 51, 50)] == [4, 2, 2, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_too_small_is_refused(kind):
    with pytest.raises(ValueError, match="nothing of patches of 18 × 18 pixels; 19 × 19 is"):
        kind(size=18, width=0.1)
    with pytest.raises(ValueError, match="width wants a positive fraction of the units, got 0"):
        kind(size=19, width=0.0)


# -- PyTorch's weights ----------------------------------------------------------------------------


def pytorch_alexnet(torch):
    """The network of PyTorch's vision library, built from the description of its layers."""
    layers = torch.nn

    class Twin(layers.Module):
        def __init__(self):
            super().__init__()
            self.features = layers.Sequential(
                *(layers.Conv2d(3, 64, 11, 4, 2), layers.ReLU(), layers.MaxPool2d(3, 2)),
                *(layers.Conv2d(64, 192, 5, padding=2), layers.ReLU(), layers.MaxPool2d(3, 2)),
                *(layers.Conv2d(192, 384, 3, padding=1), layers.ReLU()),
                *(layers.Conv2d(384, 256, 3, padding=1), layers.ReLU()),
                *(layers.Conv2d(256, 256, 3, padding=1), layers.ReLU(), layers.MaxPool2d(3, 2)),
            )
            self.avgpool = layers.AdaptiveAvgPool2d((6, 6))
            self.classifier = layers.Sequential(
                *(layers.Dropout(), layers.Linear(256 * 6 * 6, 4096), layers.ReLU()),
                *(layers.Dropout(), layers.Linear(4096, 4096), layers.ReLU()),
                layers.Linear(4096, 1000),
            )

        def forward(self, x):
            return self.classifier(self.avgpool(self.features(x)).flatten(1))

    return Twin().eval()


def test_one_tower_takes_the_weights_of_pytorch_and_says_the_same(drawn):
    torch = pytest.importorskip("torch", reason="needs the peers extra: PyTorch")
    torch.manual_seed(0)
    twin = pytorch_alexnet(torch)
    for weight in twin.parameters():  # signals of one size in all layers
        if weight.ndim > 1:
            weight.data *= math.sqrt(6.0)
    network = OneTowerAlexNet().eval()
    network.load_state_dict({name: value.numpy() for name, value in twin.state_dict().items()})
    x = torch.randn(2, 3, 224, 224)
    with torch.no_grad(), mg.no_grad():
        expected, found = twin(x).numpy(), network(mg.tensor(x.numpy())).numpy()
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


# -- Patches --------------------------------------------------------------------------------------


def numbered(n, channels, size):
    """Images whose pixels are all different, as pixels from 0 to 1."""
    count = n * channels * size * size
    return mg.tensor(np.arange(count, dtype="float64").reshape(n, channels, size, size) / count)


@given(size=st.integers(1, 5), extra=st.integers(0, 2), mirror=st.booleans())
def test_random_patches_are_all_patches_and_their_mirror_images(size, extra, mirror):
    """Every place and, where asked for, both ways; all channels of an image alike."""
    network = FromPatches(nn.Identity(), 2, size + extra, size, mirror=mirror)
    image = numbered(1, 2, size + extra)
    places = range(extra + 1)
    cuts = [image.numpy()[0, :, i : i + size, j : j + size] for i in places for j in places]
    if mirror and size > 1:
        cuts += [cut[..., ::-1] for cut in cuts]
    mg.manual_seed(0)
    found = network.random_patches(mg.concatenate([image] * 400)).numpy()
    assert {patch.tobytes() for patch in found} == {cut.tobytes() for cut in cuts}


def test_each_image_has_a_patch_of_its_own():
    images = numbered(5, 1, 4)
    patches = FromPatches(nn.Identity(), 1, 4, 3).random_patches(images).numpy()
    for image, patch in zip(images.numpy(), patches, strict=True):
        assert image.min() <= patch.min() <= patch.max() <= image.max()


def test_training_sees_other_patches_than_evaluation():
    network = FromPatches(nn.Flatten(), 1, 6, 3, corners=False, mirror=False)
    image = numbered(1, 1, 6)
    places = [network(image).numpy().ravel()[0] for _ in range(50)]
    corners = 255.0 * image.numpy()[0, 0, :4, :4]
    assert set(places) <= set(corners.ravel())
    assert len(set(places)) > 8
    network.eval()
    assert np.array_equal(network(image).numpy(), network(image).numpy())


def test_the_fixed_patches_are_centre_and_corners_and_their_mirror_images():
    image = numbered(1, 3, 6)
    x = image.numpy()
    centre = x[..., 1:5, 1:5]
    corners = [
        x[..., rows, columns]
        for rows in (slice(None, 4), slice(2, None))
        for columns in (slice(None, 4), slice(2, None))
    ]
    both = [centre, *corners]
    for corner, mirror, expected in (
        (False, False, [centre]),
        (False, True, [centre, centre[..., ::-1]]),
        (True, False, both),
        (True, True, [*both, *(patch[..., ::-1] for patch in both)]),
    ):
        network = FromPatches(nn.Identity(), 3, 6, 4, corner, mirror)
        found = network.fixed_patches(image)
        assert len(found) == len(expected)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a.numpy(), b)


def small(mirror=True, corners=True):
    """A network for images of two channels and three classes."""
    mg.manual_seed(0)
    inner = nn.Sequential(nn.Flatten(), nn.Linear(2 * 16, 3))
    return FromPatches(inner, 2, 6, 4, corners, mirror).to("float64")


@given(seed=st.integers(0, 99), mirror=st.booleans(), corners=st.booleans())
def test_the_prediction_is_the_mean_of_those_for_the_patches(seed, mirror, corners):
    network = small(mirror, corners).eval()
    x = mg.tensor(np.random.default_rng(seed).uniform(0.0, 0.02, (4, 2, 6, 6)))
    each = [F.softmax(network.network(255.0 * p), -1).numpy() for p in network.fixed_patches(x)]
    found = np.exp(network(x).numpy())
    np.testing.assert_allclose(found, np.mean(each, 0), rtol=1e-12)
    np.testing.assert_allclose(found.sum(1), 1.0, rtol=1e-12)


@given(seed=st.integers(0, 99))
def test_a_mirrored_image_is_the_same_where_left_and_right_may_be_swapped(seed):
    x = mg.tensor(np.random.default_rng(seed).uniform(0.0, 0.02, (4, 2, 6, 6)))
    other = mg.flip(x, -1)
    network = small(mirror=True).eval()
    np.testing.assert_allclose(network(other).numpy(), network(x).numpy(), rtol=1e-9)
    network = small(mirror=False).eval()
    assert np.abs(network(other).numpy() - network(x).numpy()).max() > 1e-3


def test_the_mean_image_is_subtracted_in_pixels_from_0_to_255():
    images = mg.rand(50, 1, 8, 8)
    network = FromPatches(nn.Identity(), 1, 12, 10)
    network.subtract_mean_of(images)
    centred = network.centred(images).numpy()
    np.testing.assert_allclose(centred.mean(0), 0.0, atol=1e-4)
    large = 255.0 * scaled(images, 12).numpy()
    np.testing.assert_allclose(centred - large, np.broadcast_to(-large.mean(0), large.shape), 1e-4)
    assert "mean" in network.state_dict()


def test_images_are_scaled_once():
    images = mg.rand(2, 3, 8, 8)
    assert scaled(images, 8) is images
    large = scaled(images, 16)
    assert large.shape == (2, 3, 16, 16)
    np.testing.assert_allclose(large.numpy().mean(), images.numpy().mean(), atol=0.02)


# -- Learning -------------------------------------------------------------------------------------


def training_of(n=64, **changes):
    """A small network on some of the digits."""
    defaults = ARCHITECTURE.settings["digits"]
    settings = SimpleNamespace(**{**defaults, "width": 0.05, "size": 22, **changes}, seed=0)
    train, test = DATA_SETS["digits"].read()
    train, test = (TensorDataset(*(t[:n] for t in part.tensors)) for part in (train, test))
    mg.manual_seed(0)
    network = ARCHITECTURE.build(DATA_SETS["digits"], settings)
    return AlexNetTraining(network, Examples(train, test, tuple("0123456789")), settings)


def test_a_step_is_the_update_of_the_paper():
    """v ← 0.9 v − 0.0005 ε w − ε ∂L/∂w, w ← w + v."""
    training = training_of(epochs=100, lr=0.05)
    training.network.to("float64").eval()  # without random patches and dropout
    x, labels = (t[:8] for t in training.train.tensors)
    x = x.to("float64")
    parameters = list(training.network.parameters())
    w = [p.numpy().copy() for p in parameters]
    v = [np.zeros(p.shape) for p in parameters]
    for _ in range(3):
        loss = F.cross_entropy(training.network(x), labels)
        gradients = [g.numpy() for g in mg.grad(loss, parameters)]
        measured = training.step(x, labels)
        assert measured["train_loss"].item() == loss.item()
        v = [
            0.9 * v_ - 0.0005 * 0.05 * w_ - 0.05 * g
            for v_, w_, g in zip(v, w, gradients, strict=True)
        ]
        w = [w_ + v_ for w_, v_ in zip(w, v, strict=True)]
        for p, expected in zip(parameters, w, strict=True):
            np.testing.assert_allclose(p.numpy(), expected, rtol=1e-9, atol=1e-15)


def test_the_rate_is_divided_by_ten_three_times():
    training = training_of(n=40, epochs=8, batch_size=8, lr=0.01, width=0.01)
    rates = []
    for x, labels in [batch for _ in range(8) for batch in training.loader]:
        rates.append(training.optimizer.param_groups[0]["lr"])
        training.step(x, labels)
    expected = np.repeat([1e-2, 1e-3, 1e-4, 1e-5], (20, 10, 5, 5))
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


def test_it_tells_two_colours_apart():
    rng = np.random.default_rng(0)
    images, labels = rng.uniform(0.0, 0.3, (20, 3, 22, 22)).astype("float32"), np.arange(20) % 2
    images[np.arange(20), 2 * labels] += 0.6
    table = TensorDataset(images, labels)
    defaults = ARCHITECTURE.settings["folder"]
    changes = {"epochs": 30, "batch_size": 10, "lr": 0.01, "size": 22, "width": 0.05}
    settings = SimpleNamespace(**{**defaults, **changes}, seed=0)
    data = DataSet("folder", lambda: (table, table), images.shape[1:], ("red", "blue"))
    mg.manual_seed(0)
    network = ARCHITECTURE.build(data, settings)
    training = AlexNetTraining(network, Examples(table, table, data.classes), settings)
    losses = [training.epoch(SILENT)["train_loss"] for _ in range(30)]
    assert losses[0] > 0.5
    assert losses[-1] < 0.1
    assert training.evaluate() == {"test_accuracy": 1.0}


@pytest.mark.slow
def test_the_whole_network_learns_a_few_images():
    """Without dropout, whose noise is larger than what a handful of steps gains."""
    mg.manual_seed(0)
    network = AlexNet().eval()
    x, labels = 60.0 * mg.randn(8, 3, 227, 227), mg.arange(8)
    optimizer = optim.SGD(network.parameters(), lr=5e-4, momentum=0.9, weight_decay=5e-4)
    losses = []
    for _ in range(6):
        loss = F.cross_entropy(network(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    np.testing.assert_allclose(losses[0], math.log(1000), rtol=0.1)
    assert np.all(np.diff(losses) < 0.0)
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("dataset", ["digits", "mnist"])
@pytest.mark.parametrize("variant", ARCHITECTURE.choices["variant"])
def test_it_takes_the_images_of_each_data_set(dataset, variant):
    settings = SimpleNamespace(**{**ARCHITECTURE.settings[dataset], "variant": variant})
    data = DATA_SETS[dataset]
    network = ARCHITECTURE.build(data, settings)
    for training in (True, False):
        assert network.train(training)(mg.rand(3, *data.shape)).shape == (3, 10)


def test_the_networks_of_the_list_are_small():
    assert all(ARCHITECTURE.size(name) < 2_000_000 for name in ("digits", "mnist"))


# -- Folders of images ----------------------------------------------------------------------------

SMALL = ["--size", "22", "--width", "0.02", "--epochs", "2", "--batch-size", "6", "--quiet"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Ten images in each of two classes, blue and red, and a folder that is none."""
    image = pytest.importorskip("PIL.Image", reason="image_folder needs Pillow")
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (tmp_path / "colours" / name).mkdir(parents=True)
        for i in range(10):
            pixels = rng.integers(0, 60, (24, 30, 3))
            pixels[..., channel] += 150
            path = tmp_path / "colours" / name / f"{i}.png"
            image.fromarray(pixels.astype("uint8")).save(path)
    (tmp_path / "colours" / ".hidden").mkdir()
    return tmp_path / "colours"


@pytest.mark.parametrize("variant", ARCHITECTURE.choices["variant"])
def test_any_folder_of_images_is_learned_resumed_and_shown(folder, variant, monkeypatch, capsys):
    given_ = ["--variant", variant, *SMALL]
    assert command("train", "alexnet", "--dataset", "colours", *given_, "--out", "run") == 0
    out = capsys.readouterr().out
    assert out.startswith("alexnet on folder: test_accuracy ")
    config = json.loads(Path("run/config.json").read_text())
    assert config["settings"]["folder"] == str(folder)
    names = {"confusion", "curves", "first-layer", "layers", "patches"}
    assert {path.stem for path in Path("run/pictures").iterdir()} >= names
    monkeypatch.setattr(AlexNetTraining, "pictures", lambda self, folder, history: None)
    assert command("resume", "run", "--quiet") == 0
    assert command("sample", "run", "--count", "3") == 0
    assert Path("run/samples/seed-0/answers.png").is_file()


def test_the_classes_are_the_names_of_the_folders(folder):
    settings = SimpleNamespace(**ARCHITECTURE.settings["folder"], folder=str(folder))
    data = ARCHITECTURE.data("folder", settings)
    assert data.classes == ("blue", "red")
    assert data.shape == (3, 64, 64)
    train, test = data.read()
    assert (len(train), len(test)) == (16, 4)
    x, labels = (t.numpy() for t in train.tensors)
    assert ((x[:, 0] > x[:, 2]).mean((1, 2)) > 0.5).tolist() == (labels == 1).tolist()


def test_the_table_of_the_layers_is_printed(folder, monkeypatch, capsys):
    monkeypatch.setattr(AlexNetTraining, "pictures", lambda self, folder, history: None)
    given_ = [option for option in SMALL if option != "--quiet"]
    assert command("train", "alexnet", "--dataset", "colours", *given_, "--out", "run") == 0
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "AlexNet on an input of shape (1, 3, 20, 20)"
    assert out[3].split()[:2] == ["conv1", "Conv2d"]
    held = sum(value.size for value in mg.load("run/model.safetensors").values())
    (total,) = [line for line in out if line.startswith("total")]
    assert total.split()[1] == f"{held - 3 * 22 * 22:,}"  # all but the mean image


def without(folder, pattern):
    """The folder, without the red images whose names fit."""
    for path in (folder / "red").glob(pattern):
        path.unlink()
    return folder


def with_nonsense(folder):
    """The folder, with one image that is none."""
    (folder / "blue" / "3.png").write_bytes(b"nothing")
    return folder


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (lambda folder: "nowhere", "wants digits, mnist or a folder of images, got 'nowhere'"),
        (lambda folder: folder / "red", "wants one subfolder of images a class, got none"),
        (
            lambda folder: without(folder, "*"),
            "red wants at least 2 PNG or JPEG images, one to train with and one to test, got 0",
        ),
        (
            lambda folder: without(folder, "[1-9].png"),
            "red wants at least 2 PNG or JPEG images, one to train with and one to test, got 1",
        ),
        (with_nonsense, "1 of 20 images cannot be read, the first is "),
    ],
)
def test_a_folder_that_cannot_be_learned_gets_one_line(folder, broken, message, capsys):
    assert command("train", "alexnet", "--dataset", broken(folder), *SMALL) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert not Path("runs").exists()
    if "cannot be read" in message:
        assert str(Path("blue", "3.png")) in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "16"], "leave nothing of patches of 14 × 14 pixels; 19 × 19 is the least"),
        (["--size", "0"], "leave nothing of patches of 0 × 0 pixels"),
        (["--width", "0"], "width wants a positive fraction of the units, got 0"),
        (["--variant", "three-tower"], "--variant: invalid choice: 'three-tower'"),
        (["--patches", "ten"], "--patches: invalid choice: 'ten'"),
        (["--mirror", "perhaps"], "--mirror: invalid choice: 'perhaps'"),
        (["--size", "ten"], "--size: wants a non-negative integer, got 'ten'"),
    ],
)
def test_a_network_that_cannot_be_gets_one_line(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert command("train", "alexnet", *options) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert message in err
    assert not Path("runs").exists()


def test_a_folder_that_is_gone_cannot_be_gone_on_with(folder, monkeypatch, capsys):
    monkeypatch.setattr(AlexNetTraining, "pictures", lambda self, folder, history: None)
    assert command("train", "alexnet", "--dataset", "colours", *SMALL, "--out", "run") == 0
    folder.rename(folder.with_name("elsewhere"))
    capsys.readouterr()
    assert command("resume", "run", "--quiet") == 2
    assert f"{folder} is not a folder" in capsys.readouterr().err


def test_weights_in_colour_are_drawn(tmp_path):
    alexnet.pictures.colour_weights(np.zeros((3, 3, 5, 5)), "Nothing", tmp_path / "nothing.png")
    assert (tmp_path / "nothing.png").read_bytes().startswith(b"\x89PNG")
