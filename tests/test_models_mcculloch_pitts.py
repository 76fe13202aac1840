"""The threshold unit and the circuits made of it, against Python's own logic."""

import itertools

import numpy as np
import pytest

import minigrad as mg
from models.data import DATA_SETS, TRUTH_TABLES
from models.mcculloch_pitts import ExclusiveOr, Logic, ThresholdUnit, draw_truth_tables

FUNCTIONS = {
    "and": lambda a, b: a and b,
    "or": lambda a, b: a or b,
    "not": lambda a, b: not a,
    "nand": lambda a, b: not (a and b),
    "xor": lambda a, b: a != b,
}
ROWS = list(itertools.product((False, True), repeat=2))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gates_and_their_truth_tables_agree_with_python(name):
    expected = [float(FUNCTIONS[name](a, b)) for a, b in ROWS]
    outputs = Logic().gate(name)(mg.tensor(np.array(ROWS, dtype="float32")))
    assert outputs.numpy().tolist() == expected
    assert list(TRUTH_TABLES[name]) == expected


@pytest.mark.parametrize("name", FUNCTIONS)
def test_data_sets_hold_the_truth_tables(name):
    train, test = DATA_SETS[name].read()
    x, y = (tensor.numpy() for tensor in train.tensors)
    assert len(x) == (2 if name == "not" else 4)
    for row, label in zip(x, y, strict=True):
        assert label == FUNCTIONS[name](bool(row[0]), bool(row[-1]))
    assert test is train


def test_a_unit_fires_from_its_threshold_on():
    unit = ThresholdUnit([0.5, -1.0], 0.25)
    x = mg.tensor([[0.5, 0.0], [0.25, 0.0], [3.0, 1.0], [0.5, 0.001]])
    assert unit(x).numpy().tolist() == [1.0, 0.0, 1.0, 0.0]


def test_a_unit_keeps_leading_axes_and_dtype():
    x = mg.zeros((2, 3, 2), dtype="float64")
    y = ThresholdUnit([1, 1], 0)(x)
    assert y.shape == (2, 3)
    assert y.dtype == np.float64


def test_no_single_unit_computes_xor():
    ticks = np.linspace(-2.0, 2.0, 9)
    x = np.array(ROWS, dtype="float64")
    target = np.array(TRUTH_TABLES["xor"], dtype=bool)
    for first, second, threshold in itertools.product(ticks, repeat=3):
        assert not np.array_equal(x @ [first, second] - threshold >= 0.0, target)


def test_adder_of_two_bits_from_gates():
    x = mg.tensor(np.array(ROWS, dtype="float32"))
    logic = Logic()
    total = ExclusiveOr()(x) + 2.0 * logic.gate("and")(x)
    assert total.numpy().tolist() == [0.0, 1.0, 1.0, 2.0]


def test_the_truth_tables_are_drawn(tmp_path):
    draw_truth_tables(Logic(), tmp_path / "tables.png")
    assert (tmp_path / "tables.png").read_bytes().startswith(b"\x89PNG")
