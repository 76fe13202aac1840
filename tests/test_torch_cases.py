"""minigrad against what PyTorch computed once, see data/make_torch_cases.py."""

from pathlib import Path

import numpy as np
import pytest

from tests import torch_cases as cases

PATH = Path(__file__).parent / "data" / "torch_cases.npz"


@pytest.fixture(scope="module")
def stored():
    with np.load(PATH, allow_pickle=False) as file:
        return dict(file)


def part(stored, *path):
    """The stored arrays whose names begin with `path`, by the rest of their names."""
    start = "|".join(path) + "|"
    return {key.removeprefix(start): a for key, a in stored.items() if key.startswith(start)}


def test_the_file_says_where_it_comes_from(stored):
    assert [line.split()[0] for line in stored["versions"]] == ["torch", "numpy"]
    assert PATH.stat().st_size < 300_000


@pytest.mark.parametrize("name", [*cases.LAYERS, *cases.MODELS])
def test_outputs_and_gradients(stored, name):
    state = part(stored, name, "state")
    library = cases.Minigrad()
    assert list(cases.build(library.nn, name)[0].state_dict()) == list(state)
    for train in cases.modes(name):
        found = cases.evaluate(library, name, state, stored[f"{name}|x"], train)
        cases.agree(found, part(stored, name, str(train)))


@pytest.mark.parametrize(("name", "training"), cases.RUNS)
def test_training(stored, name, training):
    state = part(stored, name, "state")
    found = cases.train(cases.Minigrad(), name, training, state, stored[f"{name}|x"])
    expected = part(stored, name, training)
    cases.agree(found, expected)
    assert len(expected["losses"]) == cases.STEPS
    assert expected["losses"][-1] < expected["losses"][0]
