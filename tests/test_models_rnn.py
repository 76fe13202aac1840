"""The recurrent network: its equation, backpropagation through time, truncated and clipped."""

import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.data import TensorDataset
from models.data import Examples
from models.rnn import (
    ARCHITECTURE,
    RecurrentNetwork,
    SequenceTraining,
    gradient_norms,
    moved_on,
    trajectory,
)
from models.run import Run
from models.sequences import Adding, Reber, Rows, Text, adding, reber_table, streams
from models.training import Progress
from tests.commands import command

seeds = st.integers(0, 2**32 - 1)
SILENT = Progress("", total=0, unit="", quiet=True)
LAYERS = [nn.RNN, nn.LSTM, nn.GRU]


def text_task(symbols=5):
    return Text(
        SimpleNamespace(classes=tuple("abcdefghij"[:symbols])), SimpleNamespace(unit="char")
    )


def text_training(layer=nn.RNN, window=6, steps=12, n=3, **changes):
    """Training on a random text, in float64."""
    mg.manual_seed(0)
    network = RecurrentNetwork(text_task(), layer, 4).to("float64")
    symbols = np.random.default_rng(1).integers(0, 5, n * steps + 1)
    data = Examples(streams(symbols, n), streams(symbols, n), tuple("abcde"))
    given_ = {"epochs": 2, "batch_size": n, "lr": 1e-3, "clip": 1e9, "window": window, "seed": 0}
    return SequenceTraining(network, data, SimpleNamespace(**{**given_, **changes}))


def gradients(network):
    return [parameter.grad.numpy().copy() for parameter in network.parameters()]


def numerical(loss_of, parameters, eps=1e-6):
    """∂ loss / ∂ parameters by central differences."""
    found = []
    for parameter in parameters:
        values = parameter.numpy().copy()
        slopes = np.zeros(values.shape)
        for index in np.ndindex(values.shape):
            losses = []
            for side in (eps, -eps):
                moved = values.copy()
                moved[index] += side
                parameter.overwrite(moved)
                losses.append(loss_of())
            slopes[index] = (losses[0] - losses[1]) / (2.0 * eps)
        parameter.overwrite(values)
        found.append(slopes)
    return found


def assert_alike(found, expected, atol=1e-8):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=atol)


# -- The network ----------------------------------------------------------------------------------


def test_it_computes_its_formula():
    network = RecurrentNetwork(Adding(), nn.RNN, 4)
    x = np.random.default_rng(0).normal(size=(7, 3, 2)).astype("float32")
    w = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    h = np.zeros((3, 4))
    for x_t in x:
        h = np.tanh(
            x_t @ w["layer.weight_ih_l0"].T
            + h @ w["layer.weight_hh_l0"].T
            + w["layer.bias_ih_l0"]
            + w["layer.bias_hh_l0"]
        )
    z, (last,) = network.unroll(mg.tensor(x))
    np.testing.assert_allclose(last.numpy()[0], h, atol=1e-6)
    np.testing.assert_allclose(z.numpy(), h @ w["output.weight"].T + w["output.bias"], atol=1e-6)
    np.testing.assert_array_equal(network(mg.tensor(x.swapaxes(0, 1))).numpy(), z.numpy())


def test_a_symbol_is_read_as_its_vector_and_answered_at_every_step():
    network = RecurrentNetwork(text_task(), nn.RNN, 3)
    symbols = mg.tensor([[0, 4], [2, 2], [1, 0]])
    vectors = network.embedding.weight.numpy()[symbols.numpy()]
    h, _ = network.layer(mg.tensor(vectors))
    z, _ = network.unroll(symbols)
    assert z.shape == (3, 2, 5)
    np.testing.assert_allclose(z.numpy(), network.output(h).numpy(), atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
@given(seed=seeds, cut=st.integers(1, 6))
def test_a_sequence_may_be_read_in_parts(layer, seed, cut):
    mg.manual_seed(seed)
    network = RecurrentNetwork(text_task(), layer, 4).to("float64")
    symbols = mg.randint(0, 5, (7, 2))
    whole, last = network.unroll(symbols)
    first, state = network.unroll(symbols[:cut])
    second, end = network.unroll(symbols[cut:], state)
    parts = np.concatenate([first.numpy(), second.numpy()])
    np.testing.assert_allclose(parts, whole.numpy(), rtol=0, atol=1e-12)
    assert_alike([part.numpy() for part in end], [part.numpy() for part in last], atol=1e-12)


def test_dropout_acts_in_training_alone():
    network = RecurrentNetwork(text_task(), nn.RNN, 30, dropout=0.5)
    symbols = mg.tensor([[0], [3]])
    assert not np.array_equal(network(symbols).numpy(), network(symbols).numpy())
    network.eval()
    np.testing.assert_array_equal(network(symbols).numpy(), network(symbols).numpy())


# -- Backpropagation through time -----------------------------------------------------------------


def a_batch(task):
    rng = np.random.default_rng(0)
    if isinstance(task, Rows):
        return rng.uniform(size=(3, 1, 4, 3)), np.array([0, 2, 1])
    if isinstance(task, Adding):
        x, y = (tensor.numpy().astype("float64") for tensor in adding(3, 5, rng).tensors)
        return x, y
    if isinstance(task, Reber):
        x, y, _ = reber_table(["BTBTXSETE", "BPBPVVEPE", "BPBTSXSEPE"], task.grammar).tensors
        return x.numpy(), y.numpy()
    symbols = rng.integers(0, 5, (6, 3))
    return symbols[:-1], symbols[1:]


TASKS = [
    Rows(SimpleNamespace(shape=(1, 4, 3), classes=("a", "b", "c"))),
    Adding(),
    Reber(SimpleNamespace(inner=1)),
    text_task(),
]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("task", TASKS, ids=lambda task: type(task).__name__)
def test_the_gradient_of_a_step_is_that_of_the_loss_of_the_whole_sequence(task, layer):
    """Of a window that covers the sequence, by central differences."""
    mg.manual_seed(0)
    network = RecurrentNetwork(task, layer, 3).to("float64")
    x, y = a_batch(task)
    data = Examples(TensorDataset(x, y), TensorDataset(x, y), ())
    given_ = SimpleNamespace(epochs=1, lr=1e-12, clip=1e9, batch_size=9, window=99, seed=0)
    training = SequenceTraining(network, data, given_)
    measured = training.step(mg.tensor(x), mg.tensor(y))

    def loss():
        return task.loss(network(mg.tensor(x)), task.targets(mg.tensor(y))).item()

    assert measured["train_loss"].item() == pytest.approx(loss(), rel=1e-9)
    assert_alike(gradients(network), numerical(loss, network.parameters()))


@pytest.mark.parametrize("layer", LAYERS)
def test_a_later_window_takes_the_state_as_a_number(layer):
    """Its gradient is that of its own loss from a state that is given; not that of the whole."""
    training = text_training(layer, window=6, lr=1e-12)
    network, task = training.network, training.task
    first, second = list(training.loader)
    training.step(*first)
    assert not any(part.requires_grad for part in training.state)
    given_ = tuple(mg.tensor(part.numpy()) for part in training.state)
    training.step(*second)
    found = gradients(network)

    def loss():
        return task.loss(network.unroll(second[0], given_)[0], second[1]).item()

    assert_alike(found, numerical(loss, network.parameters()))

    def loss_of_the_whole():
        answers, _ = network.unroll(mg.concatenate([first[0], second[0]]))
        return task.loss(answers[6:], second[1]).item()

    assert loss_of_the_whole() == pytest.approx(loss(), abs=1e-9)
    whole = numerical(loss_of_the_whole, network.parameters())
    assert max(np.abs(a - b).max() for a, b in zip(found, whole, strict=True)) > 1e-4


def test_one_window_over_the_whole_text_is_no_truncation():
    training = text_training(window=12, lr=1e-12)
    (batch,) = list(training.loader)
    training.step(*batch)
    task, network = training.task, training.network

    def loss():
        return task.loss(network.unroll(batch[0])[0], batch[1]).item()

    assert_alike(gradients(network), numerical(loss, network.parameters()))


def test_gradients_are_clipped_to_a_length():
    lengths = {}
    for clip in (1e9, 1e-3):
        training = text_training(clip=clip)
        training.step(*next(iter(training.loader)))
        lengths[clip] = math.sqrt(sum((g**2).sum() for g in gradients(training.network)))
    assert lengths[1e9] > 0.1
    assert lengths[1e-3] == pytest.approx(1e-3, rel=0.01)


@given(n=st.integers(1, 5))
def test_at_the_end_every_piece_hands_its_state_to_the_next(n):
    part = mg.arange(2.0, 2.0 + 3.0 * n).reshape(1, n, 3)
    moved = moved_on(part).numpy()
    np.testing.assert_array_equal(moved[0, 0], np.zeros(3))
    np.testing.assert_array_equal(moved[0, 1:], part.numpy()[0, :-1])


@pytest.mark.parametrize("layer", LAYERS)
def test_a_second_epoch_begins_each_piece_as_if_the_text_had_been_read_up_to_it(layer):
    training = text_training(layer, window=5, lr=1e-300)
    training.epoch(SILENT)
    x, _ = training.train.tensors  # pieces of 12 symbols
    _, after_first = training.network.unroll(x[:, :1])
    for part, expected in zip(training.state, after_first, strict=True):
        np.testing.assert_allclose(part.numpy()[:, :1], 0.0)
        np.testing.assert_allclose(part.numpy()[:, 1:2], expected.numpy(), atol=1e-12)


def test_other_tasks_carry_no_state_from_batch_to_batch():
    x, y = a_batch(TASKS[0])
    data = Examples(TensorDataset(x, y), TensorDataset(x, y), tuple("abc"))
    given_ = SimpleNamespace(epochs=1, lr=1e-3, clip=1.0, batch_size=2, seed=0)
    network = RecurrentNetwork(TASKS[0], nn.RNN, 3).to("float64")
    training = SequenceTraining(network, data, given_)
    training.epoch(SILENT)
    assert training.state is None
    assert training.state_dict()["state"] is None


# -- Gradients over time --------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_over_time_are_those_of_the_state_from_which_the_rest_is_read(layer):
    mg.manual_seed(0)
    task = TASKS[0]
    network = RecurrentNetwork(task, layer, 4).to("float64")
    x, y = a_batch(task)
    sequence, targets = task.sequence(mg.tensor(x)), mg.tensor(y)
    found = gradient_norms(network, sequence, targets)
    states = trajectory(network, sequence)
    assert found.shape == (4,)
    for t in range(3):
        leaves = [mg.tensor(part.numpy(), requires_grad=True) for part in states[t]]
        z, _ = network.unroll(sequence[t + 1 :], tuple(leaves))
        F.cross_entropy(z, targets, reduction="sum").backward()
        squares = sum((leaf.grad.numpy()[0] ** 2).sum(-1) for leaf in leaves)
        assert found[t] == pytest.approx(np.sqrt(squares).mean(), rel=1e-9)


@given(seed=seeds, length=st.floats(0.1, 0.95))
@settings(max_examples=15)
def test_a_small_recurrent_weight_makes_the_gradient_vanish(seed, length):
    """‖∂L/∂h_t‖ ≤ ‖U‖ ‖∂L/∂h_{t+1}‖: Pascanu, Mikolov & Bengio 2013, section 2.1."""
    mg.manual_seed(seed)
    task = TASKS[0]
    network = RecurrentNetwork(task, nn.RNN, 4).to("float64")
    u = network.layer.weight_hh_l0
    u.overwrite(u.numpy() * (length / np.linalg.norm(u.numpy(), 2)))
    x = np.random.default_rng(seed).normal(size=(1, 1, 4, 3))
    norms = gradient_norms(network, task.sequence(mg.tensor(x)), mg.tensor([1]))
    assert (norms[:-1] <= length * norms[1:] * (1.0 + 1e-9)).all()


# -- What it learns, and the commands -------------------------------------------------------------


def test_digits_are_learned():
    settings_ = SimpleNamespace(**{**ARCHITECTURE.settings["digits"], "epochs": 10, "seed": 0})
    mg.manual_seed(0)
    data = ARCHITECTURE.data("digits", settings_)
    network = ARCHITECTURE.build(data, settings_)
    training = SequenceTraining(network, data.load("numpy"), settings_)
    for _ in range(10):
        training.epoch(SILENT)
    assert training.evaluate()["test_accuracy"] > 0.85


TEXT = "the cat sat on the mat, and the dog ran after the cat. " * 12


@pytest.fixture
def text(tmp_path, monkeypatch):
    """Settings of a run on a small text, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT, encoding="utf-8")
    small = {"hidden": 8, "batch-size": 4, "window": 10, "epochs": 3, "text": "text.txt"}
    options = [part for name, value in small.items() for part in (f"--{name}", str(value))]
    return ["--dataset", "text", *options, "--quiet"]


@pytest.mark.parametrize("model", ["rnn", "lstm"])
def test_an_interrupted_run_goes_on_with_the_state_that_it_had(model, text, monkeypatch):
    monkeypatch.setattr(SequenceTraining, "pictures", lambda *arguments: None)
    monkeypatch.setattr(SequenceTraining, "report", lambda *arguments: "")
    assert command("train", model, *text, "--out", "whole") == 0
    evaluate = SequenceTraining.evaluate

    def interrupted(self):
        if Path("parts/metrics.jsonl").read_text().count("\n") == 2:
            raise KeyboardInterrupt
        return evaluate(self)

    monkeypatch.setattr(SequenceTraining, "evaluate", interrupted)
    assert command("train", model, *text, "--out", "parts") == 130
    monkeypatch.setattr(SequenceTraining, "evaluate", evaluate)
    state = Run(Path("parts")).read_checkpoint()["training"]["state"]
    assert [part.shape for part in state] == [(1, 4, 8)] * (2 if model == "lstm" else 1)
    assert all(np.abs(part[:, 1:]).min() > 0.0 for part in state)
    mg.manual_seed(12345)
    assert command("resume", "parts", "--quiet") == 0
    whole, parts = (Path(run, "model.safetensors").read_bytes() for run in ("whole", "parts"))
    assert whole == parts


def test_a_run_on_a_text_draws_and_writes(text, capsys):
    assert command("train", "rnn", *text[:-1], "--out", "run") == 0
    out = capsys.readouterr().out
    assert "a bigram model of the same text has test_perplexity " in out
    assert out.count("--- temperature ") == 3
    names = {path.name for path in Path("run/pictures").iterdir()}
    assert names == {"perplexity.png", "unrolled.png", "states.png", "gradients.png"}
    written = []
    for seed in ("1", "1", "2"):
        assert command("sample", "run", "--seed", seed, "--count", "2") == 0
        written.append(capsys.readouterr().out)
    assert written[0] == written[1] != written[2]
    assert written[0].count("--- temperature 0.4:") == written[0].count("--- temperature 1.0:") == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dataset", "adding", "--length", "0"], "--length: wants at least 2, one step a mark"),
        (["--dataset", "reber", "--inner", "0"], "--inner: wants at least 1 string"),
        (["--dataset", "text", "--text", "none.txt"], "--text: cannot read none.txt (No such"),
        (["--dataset", "text", "--text", "empty.txt"], "--text: empty.txt has 0 characters; to"),
        (["--dataset", "text", "--text", "short.txt"], "takes at least 73"),
        (["--dataset", "text", "--text", "latin.txt"], "latin.txt is not UTF-8: byte 2 is 0xe9"),
        (["--dataset", "text", "--unit", "line"], "argument --unit: invalid choice: 'line'"),
        (["--dataset", "text", "--vocabulary", "0"], "--vocabulary: wants at least 1 symbol"),
        (["--dataset", "text", "--window", "0"], "--window: wants at least 1 step, got 0"),
        (["--clip", "0"], "--clip: wants a positive length, got 0"),
        (["--length", "9"], "--length: rnn on digits has no such setting"),
    ],
)
def test_a_wrong_call_gets_one_line(options, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_bytes(b"")
    Path("short.txt").write_bytes(b"too short")
    Path("latin.txt").write_bytes("caf\u00e9".encode("latin-1")[1:] * 100)
    assert command("train", "rnn", *options) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len(err.splitlines()) == 1
    assert not Path("runs").exists()
