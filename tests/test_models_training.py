"""What all trainings share, by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from models.training import frozen


def two_layers():
    mg.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


@given(trained=st.lists(st.booleans(), min_size=4, max_size=4))
def test_frozen_weights_pass_gradients_on_and_get_none(trained):
    network = two_layers()
    for parameter, learns in zip(network.parameters(), trained, strict=True):
        parameter.requires_grad = learns
    x = mg.tensor(np.ones((1, 3), dtype="float32"), requires_grad=True)
    with frozen(network):
        assert not any(parameter.requires_grad for parameter in network.parameters())
        network(x).sum().backward()
    assert [parameter.requires_grad for parameter in network.parameters()] == trained
    assert all(parameter.grad is None for parameter in network.parameters())
    free = mg.tensor(np.ones((1, 3), dtype="float32"), requires_grad=True)
    network(free).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), free.grad.numpy())


def test_weights_learn_again_after_an_error():
    network = two_layers()
    with pytest.raises(ZeroDivisionError), frozen(network):
        1 / 0
    assert all(parameter.requires_grad for parameter in network.parameters())
