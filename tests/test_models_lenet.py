"""LeNet-5: its geometry, its shifted images, and what it learns."""

from types import SimpleNamespace

import numpy as np
import pytest

import minigrad as mg
from models.data import DATA_SETS, Examples
from models.lenet import ARCHITECTURE, LeNet5, LeNetTraining, draw_layers, enlarged, shifted
from models.training import Progress

SILENT = Progress("", total=0, unit="", quiet=True)


def test_its_layers_have_the_sizes_of_the_paper():
    network = LeNet5(1, 28, 10)
    shapes = {name: y.shape[1:] for name, y in network.layers(mg.zeros((2, 1, 28, 28))).items()}
    assert shapes == {
        "C1": (6, 28, 28),
        "S2": (6, 14, 14),
        "C3": (16, 10, 10),
        "S4": (16, 5, 5),
        "C5": (120, 1, 1),
        "F6": (84,),
        "output": (10,),
    }


def test_its_parameters_are_counted_layer_by_layer():
    c1, c3, c5 = 6 * (25 + 1), 16 * (6 * 25 + 1), 120 * (16 * 25 + 1)
    f6, output = 84 * (120 + 1), 10 * (84 + 1)
    assert ARCHITECTURE.size("mnist") == c1 + c3 + c5 + f6 + output == 61706


@pytest.mark.parametrize("name", ARCHITECTURE.settings)
def test_it_takes_the_images_of_each_data_set(name):
    data = DATA_SETS[name]
    network = ARCHITECTURE.build(data, SimpleNamespace())
    assert network(mg.zeros((3, *data.shape))).shape == (3, 10)


def test_every_parameter_gets_a_gradient():
    mg.manual_seed(0)
    network = LeNet5(1, 8, 10)
    network(mg.rand(4, 1, 8, 8)).sum().backward()
    assert all(np.abs(p.grad.numpy()).max() > 0.0 for p in network.parameters())


def test_small_images_are_enlarged_once():
    images = mg.rand(2, 1, 8, 8)
    large = enlarged(images)
    assert large.shape == (2, 1, 16, 16)
    assert enlarged(large) is large
    np.testing.assert_allclose(large.numpy().mean(), images.numpy().mean(), atol=0.02)


def test_a_shifted_image_is_the_image_moved_with_zeros_behind():
    image = np.random.default_rng(0).uniform(1.0, 2.0, size=(5, 6)).astype("float32")
    padded = np.pad(image, 1)
    moved = {
        (top, left): padded[top : top + 5, left : left + 6] for top in range(3) for left in range(3)
    }
    mg.manual_seed(0)
    batch = shifted(mg.tensor(np.broadcast_to(image, (200, 2, 5, 6))), 1).numpy()
    seen = set()
    for channels in batch:
        np.testing.assert_array_equal(channels[0], channels[1])
        (place,) = [place for place, other in moved.items() if np.array_equal(channels[0], other)]
        seen.add(place)
    assert seen == set(moved)


def test_no_shift_changes_nothing():
    images = mg.rand(3, 1, 5, 5)
    np.testing.assert_array_equal(shifted(images, 0).numpy(), images.numpy())


def test_feature_maps_move_with_the_image():
    image = np.zeros((2, 1, 28, 28), dtype="float32")
    image[0, 0, 10:15, 10:14] = 1.0
    image[1] = np.roll(image[0], (4, 8), axis=(1, 2))
    layers = LeNet5(1, 28, 10).layers(mg.tensor(image))
    for name, step in (("C1", 1), ("S2", 2), ("C3", 2)):
        first, second = layers[name].numpy()[:, :, 1:-1, 1:-1]
        again = np.roll(first, (4 // step, 8 // step), axis=(1, 2))
        inner = (slice(None), slice(4 // step, None), slice(8 // step, None))
        np.testing.assert_allclose(second[inner], again[inner], atol=1e-5)


def test_digits_are_learned_as_the_demonstration_promises(tmp_path):
    mg.manual_seed(0)
    settings = SimpleNamespace(**ARCHITECTURE.settings["digits"], seed=0)
    data = DATA_SETS["digits"].load("numpy")
    network = ARCHITECTURE.build(DATA_SETS["digits"], settings)
    training = LeNetTraining(network, data, settings)
    for _ in range(settings.epochs):
        training.epoch(SILENT)
    assert training.evaluate()["test_accuracy"] >= 0.97
    draw_layers(network, data.test.tensors[0][:1], data.classes, tmp_path / "layers.png")
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_a_label_outside_the_classes_is_refused():
    images, labels = mg.rand(4, 1, 8, 8), mg.tensor([0, 1, 2, 10])
    data = Examples(*DATA_SETS["digits"].read(), DATA_SETS["digits"].classes)
    settings = SimpleNamespace(**ARCHITECTURE.settings["digits"], seed=0)
    training = LeNetTraining(LeNet5(1, 8, 10), data, settings)
    with pytest.raises((IndexError, ValueError), match="cross_entropy"):
        training.step(images, labels)
