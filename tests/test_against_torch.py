"""minigrad against PyTorch, live: other numbers than the stored ones, and every training on each
model. Needs the `peers` extra."""

import pytest

from tests import torch_cases as cases


@pytest.fixture(scope="module")
def torch():
    return cases.Torch(pytest.importorskip("torch", reason="needs the peers extra: PyTorch"))


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", [*cases.LAYERS, *cases.MODELS])
def test_outputs_and_gradients(torch, name, seed):
    state, x = cases.inputs(torch, name, seed)
    for train in (True, False):
        found = cases.evaluate(cases.Minigrad(), name, state, x, train)
        cases.agree(found, cases.evaluate(torch, name, state, x, train))


@pytest.mark.parametrize("training", cases.TRAININGS)
@pytest.mark.parametrize("name", cases.MODELS)
def test_training(torch, name, training):
    state, x = cases.inputs(torch, name, seed=1)
    found = cases.train(cases.Minigrad(), name, training, state, x)
    cases.agree(found, cases.train(torch, name, training, state, x))
