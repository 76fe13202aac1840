"""LSTM and GRU: their equations, what they keep before learning, and what they can learn."""

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minigrad as mg
from minigrad import nn
from models.__main__ import main
from models.lstm import ARCHITECTURE, CELLS, GatedTraining, remembering
from models.rnn import RecurrentNetwork, gradient_norms
from models.sequences import Adding, Reber
from models.training import Progress

SILENT = Progress("", total=0, unit="", quiet=True)


def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))


def lstm_step(w, u, b, x, h, c):
    i, f, g, o = (w[k] @ x + u[k] @ h + b[k] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def gru_step(w, u, b, b_state, x, h):
    r, z = (sigmoid(w[k] @ x + u[k] @ h + b[k] + b_state[k]) for k in range(2))
    n = np.tanh(w[2] @ x + b[2] + r * (u[2] @ h + b_state[2]))
    return (1.0 - z) * n + z * h


@pytest.mark.parametrize("cell", CELLS)
def test_it_computes_its_formula(cell):
    mg.manual_seed(0)
    network = RecurrentNetwork(Adding(), CELLS[cell], 3).to("float64")
    sequence = np.random.default_rng(0).normal(size=(5, 2))
    p = {name: tensor.numpy() for name, tensor in network.layer.state_dict().items()}
    w, u, b, b_state = (
        p[name].reshape(-1, 3, *p[name].shape[1:])
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0")
    )
    h = c = np.zeros(3)
    for x in sequence:
        if cell == "lstm":
            h, c = lstm_step(w, u, b + b_state, x, h, c)
        else:
            h = gru_step(w, u, b, b_state, x, h)
    _, state = network.unroll(mg.tensor(sequence[:, None]))
    np.testing.assert_allclose(state[0].numpy()[0, 0], h, rtol=0, atol=1e-12)
    if cell == "lstm":
        np.testing.assert_allclose(state[1].numpy()[0, 0], c, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
@given(memory=st.floats(0.01, 1000.0), steps=st.integers(1, 9))
def test_a_state_is_kept_for_as_long_as_was_asked(cell, memory, steps):
    """With no other weights, a share memory / (memory + 1) of it from step to step."""
    network = RecurrentNetwork(Adding(), CELLS[cell], 3).to("float64")
    for parameter in network.parameters():
        parameter.overwrite(np.zeros(parameter.shape))
    remembering(network, memory)
    state = tuple(mg.tensor([[[1.0, -2.0, 0.5]]], dtype="float64") for _ in network.layer.parts)
    _, after = network.unroll(mg.zeros((steps, 1, 2), dtype="float64"), state)
    kept = (memory / (memory + 1.0)) ** steps
    np.testing.assert_allclose(after[-1].numpy()[0, 0], kept * np.array([1.0, -2.0, 0.5]))


@pytest.mark.parametrize("cell", CELLS)
def test_nothing_but_one_bias_is_changed(cell):
    networks = []
    for memory in (1.0, 20.0):
        mg.manual_seed(0)
        networks.append(remembering(RecurrentNetwork(Adding(), CELLS[cell], 3), memory))
    before, after = (network.state_dict() for network in networks)
    changed = {
        (name, i)
        for name in before
        for i in np.flatnonzero(before[name].numpy() != after[name].numpy()).tolist()
    }
    assert changed == {("layer.bias_ih_l0", i) for i in (3, 4, 5)}


def test_a_memory_of_no_steps_is_refused(capsys):
    assert main(["train", "lstm", "--memory", "0"]) == 2
    assert "--memory: wants a positive number of steps, got 0" in capsys.readouterr().err


def test_before_learning_the_gradient_lasts_longer_where_the_gates_keep():
    """Over 60 steps: the plain network's vanishes, those of gates that keep do not."""
    mg.manual_seed(0)
    sequence = mg.rand(60, 8, 2)
    lasting = {}
    for layer in (nn.RNN, *CELLS.values()):
        network = RecurrentNetwork(Adding(), layer, 16)
        if layer is not nn.RNN:
            remembering(network, 60.0)
        norms = gradient_norms(network, sequence, mg.ones(8))
        lasting[layer] = norms[0] / norms[-1]
    assert lasting[nn.RNN] < 1e-8
    assert lasting[nn.LSTM] > 0.01
    assert lasting[nn.GRU] > 0.01


def training_on(name, **changes):
    given_ = {**ARCHITECTURE.settings[name], "seed": 0, **changes}
    settings = SimpleNamespace(**given_)
    mg.manual_seed(0)
    data = ARCHITECTURE.data(name, settings)
    return GatedTraining(ARCHITECTURE.build(data, settings), data.load("numpy"), settings)


def test_the_grammar_of_the_paper_is_learned():
    training = training_on("reber", inner=1, epochs=6, memory=10.0)
    assert isinstance(training.task, Reber)
    for _ in range(6):
        training.epoch(SILENT)
    measured = training.evaluate()
    assert measured["test_legal"] > 0.95
    assert measured["test_memory"] > 0.95


def test_short_sums_are_learned():
    training = training_on("adding", length=8, epochs=3, hidden=16, lr=1e-2)
    for _ in range(3):
        training.epoch(SILENT)
    assert training.evaluate()["test_error"] < 0.02


@pytest.mark.parametrize("cell", CELLS)
def test_what_is_compared_is_of_all_three_kinds(cell):
    training = training_on("digits", cell=cell, hidden=4)
    assert type(training.network.layer) is CELLS[cell]
    layers = [type(network.layer) for network in training.compared().values()]
    assert layers == [nn.RNN, nn.LSTM, nn.GRU]


@pytest.mark.parametrize(
    ("options", "picture", "said"),
    [
        (["adding", "--length", "9"], "error.png", r"^0.\d+ \(step \d\) \+ .* = .*; answer "),
        (["reber", "--inner", "1"], "strings.png", r"^(not )?legal: B[BTPSXVE]+$"),
    ],
)
def test_a_run_draws_and_shows_its_answers(options, picture, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    small = ["--epochs", "1", "--batch-size", "500", "--hidden", "5", "--quiet"]
    assert main(["train", "lstm", "--dataset", *options, *small, "--out", "run"]) == 0
    names = {path.name for path in Path("run/pictures").iterdir()}
    assert names == {picture, "unrolled.png", "states.png", "gradients.png"}
    capsys.readouterr()
    assert main(["sample", "run", "--count", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for line in lines:
        assert re.search(said, line)
