"""Networks that learn side by side: each as if alone, of equal size, and what is said of them."""

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from minigrad.data import TensorDataset
from models import pictures
from models.contest import Contest, ContestTraining, of_equal_size, size_of, tally
from models.data import Examples
from models.mlp import MLP
from models.training import Progress

SILENT = Progress("", total=0, unit="", quiet=True)
SETTINGS = SimpleNamespace(epochs=2, batch_size=4, lr=0.01, seed=5)


class Guess(nn.Module):
    """Takes every example for one class."""

    def __init__(self, guess):
        super().__init__()
        self.guess = guess
        self.unused = nn.Parameter(mg.zeros(2))

    def forward(self, x):
        return mg.tensor(np.eye(3, dtype="float32")[[self.guess] * len(x)])


class Fruits(ContestTraining):
    titles: ClassVar = {"first": "one", "second": "two", "third": "three"}
    drawn = None

    def draw(self, x, truths, verdicts, path):
        self.drawn = (x, truths, verdicts, path)


def table(n=10):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, 4)).astype("float32"), np.arange(n) % 3
    return Examples(TensorDataset(x, y), TensorDataset(x, y), ("apple", "pear", "plum"))


def test_side_by_side_each_learns_as_if_alone():
    def networks():
        mg.manual_seed(1)
        return {"first": MLP(4, 5, 3), "second": nn.Linear(4, 3), "third": MLP(4, 3, 3)}

    together = Fruits(Contest(networks()), table(), SETTINGS)
    alone = {
        name: Fruits(Contest({name: network}), table(), SETTINGS)
        for name, network in networks().items()
    }
    for _ in range(2):
        losses = together.epoch(SILENT)
        measured = together.evaluate()
        for name, training in alone.items():
            prefix = "" if name == "first" else f"{name}_"
            assert losses[f"{prefix}train_loss"] == training.epoch(SILENT)["train_loss"]
            found = training.evaluate()["test_accuracy"]
            assert measured[f"{prefix}test_accuracy"] == found
    for name, training in alone.items():
        for key, value in training.network.first.state_dict().items():
            mine = together.network.contestants[name].state_dict()[key]
            np.testing.assert_array_equal(mine.numpy(), value.numpy())


def test_a_contest_computes_what_its_first_network_does():
    contest = Contest({"first": Guess(2), "second": Guess(0)})
    assert contest(mg.zeros((4, 4))).argmax(-1).numpy().tolist() == [2, 2, 2, 2]


@given(
    inputs=st.integers(1, 5),
    outputs=st.integers(1, 5),
    target=st.integers(1, 300),
)
def test_no_other_width_comes_nearer_to_a_size(inputs, outputs, target):
    def build(width):
        return MLP(inputs, width, outputs)

    distance = abs(size_of(of_equal_size(build, target)) - target)
    assert distance == min(abs(size_of(build(width)) - target) for width in range(1, 110))


def test_the_size_is_what_a_network_learns():
    assert size_of(nn.Linear(4, 3)) == 15
    assert size_of(nn.BatchNorm1d(4)) == 8


def test_verdicts_name_who_says_what_and_whether_it_is_right():
    training = Fruits(Contest({"first": Guess(0), "second": Guess(2)}), table(), SETTINGS)
    x, labels = (tensor[:3] for tensor in training.test.tensors)
    verdicts = training.verdicts(x, labels)
    assert verdicts == [
        [("one: apple", True), ("two: plum", False)],
        [("one: apple", False), ("two: plum", False)],
        [("one: apple", False), ("two: plum", True)],
    ]
    assert tally("fruits", verdicts) == "Recognised, of 3 fruits: one 1, two 1"


def test_samples_are_test_examples_with_their_classes(tmp_path):
    data = table()
    training = Fruits(Contest({"first": Guess(0)}), data, SETTINGS)
    mg.manual_seed(3)
    assert training.sample(4, tmp_path) == ""
    x, truths, verdicts, path = training.drawn
    assert path == tmp_path / "answers.png"
    assert len(x) == len(truths) == len(verdicts) == 4
    rows, labels = (tensor.numpy() for tensor in data.test.tensors)
    for row, truth in zip(x, truths, strict=True):
        (place,) = np.flatnonzero((rows == row).all(1))
        assert truth == data.classes[labels[place]]


def test_the_report_has_a_line_for_each():
    contest = Contest({"first": nn.Linear(4, 3), "second": Guess(0)})
    lines = Fruits(contest, table(), SETTINGS).report().splitlines()
    assert lines[0].split() == ["numbers", "test", "accuracy"]
    assert lines[1].split()[:2] == ["one", "15"]
    assert lines[2].split() == ["two", "2", "0.4000"]


def test_curves_and_confusions_are_drawn_of_each(tmp_path, monkeypatch):
    training = Fruits(Contest({"first": Guess(0), "second": Guess(1)}), table(), SETTINGS)
    training.examples = "fruits"
    said = []
    monkeypatch.setattr(pictures, "confusion", lambda *arguments: said.append(arguments))
    history = [
        {"epoch": 1, "train_loss": 1.0, "test_accuracy": 0.4}
        | {"second_train_loss": 2.0, "second_test_accuracy": 0.3}
    ]
    training.pictures(tmp_path, history)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert [arguments[3].name for arguments in said] == [
        "confusion-first.png",
        "confusion-second.png",
    ]
    assert [arguments[4] for arguments in said] == [
        "test fruits shown to one",
        "test fruits shown to two",
    ]
    assert [set(arguments[0].tolist()) for arguments in said] == [{0}, {1}]


def test_who_does_not_say_how_examples_are_drawn_is_told(tmp_path):
    training = ContestTraining(Contest({"first": Guess(0)}), table(), SETTINGS)
    training.titles = {"first": "one"}
    with pytest.raises(NotImplementedError, match="ContestTraining: defines no draw"):
        training.sample(2, tmp_path)
