"""Recurrent layers and cells: against PyTorch, against their own cells, and against wrong input."""

import itertools

import numpy as np
import pytest

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.gradcheck import gradcheck, gradgradcheck
from minigrad.ops.recurrent import lstm

KINDS = {"RNN": {}, "RNN relu": {"nonlinearity": "relu"}, "LSTM": {}, "GRU": {}}


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="needs the peers extra: PyTorch")


def flat(value):
    """The tensors in (output, (h, c)) and its like."""
    return [t for v in value for t in flat(v)] if isinstance(value, (tuple, list)) else [value]


def state_of(kind, shape, rng):
    parts = [rng.normal(size=shape) for _ in range(2 if kind.startswith("LSTM") else 1)]
    return tuple(parts)


def as_state(parts, convert):
    return tuple(map(convert, parts)) if len(parts) > 1 else convert(parts[0])


def compare(torch, ours, theirs, x, state):
    """Outputs, last states and every gradient, for an input and an initial state (or None)."""
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert repr(ours) == repr(theirs)
    ours.load_state_dict(theirs.state_dict())
    a = mg.tensor(x, requires_grad=True)
    b = torch.tensor(x, requires_grad=True)
    starts = [mg.tensor(part, requires_grad=True) for part in state or ()]
    their_starts = [torch.tensor(part, requires_grad=True) for part in state or ()]
    ours_out = flat(ours(a, *([as_state(starts, lambda t: t)] if state else [])))
    their_out = flat(theirs(b, *([as_state(their_starts, lambda t: t)] if state else [])))
    loss, their_loss = 0.0, 0.0
    for y, z in zip(ours_out, their_out, strict=True):
        np.testing.assert_allclose(y.array, z.detach().numpy(), rtol=0, atol=1e-12)
        weights = np.cos(np.arange(y.size)).reshape(y.shape)
        loss = loss + (y * weights).sum()
        their_loss = their_loss + (z * torch.tensor(weights)).sum()
    loss.backward()
    their_loss.backward()
    pairs = [(a, b), *zip(starts, their_starts, strict=True)]
    pairs += zip(ours.parameters(), theirs.parameters(), strict=True)
    for mine, its in pairs:
        np.testing.assert_allclose(mine.grad.array, its.grad.numpy(), rtol=0, atol=1e-11)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("layers", "bidirectional", "batch_first", "bias"),
    [*itertools.product([1, 2], [False, True], [False], [True]), (3, True, True, False),
     (1, False, True, True)],
)  # fmt: skip
def test_layers_are_pytorchs(torch, kind, layers, bidirectional, batch_first, bias):
    options = {"num_layers": layers, "bidirectional": bidirectional, "bias": bias}
    options |= {"batch_first": batch_first, **KINDS[kind]}
    ours = getattr(nn, kind.split()[0])(3, 4, **options).to("float64")
    theirs = getattr(torch.nn, kind.split()[0])(3, 4, **options).double()
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 2, 3))
    directions = layers * (1 + bidirectional)
    compare(torch, ours, theirs, x, None)
    n = 5 if batch_first else 2
    compare(torch, ours, theirs, x, state_of(kind, (directions, n, 4), rng))
    compare(torch, ours, theirs, x[0], state_of(kind, (directions, 4), rng))
    compare(torch, ours, theirs, x[:1, :1], None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
def test_cells_are_pytorchs(torch, kind, bias):
    name = kind.split()[0] + "Cell"
    ours = getattr(nn, name)(3, 4, bias=bias, **KINDS[kind]).to("float64")
    theirs = getattr(torch.nn, name)(3, 4, bias=bias, **KINDS[kind]).double()
    rng = np.random.default_rng(1)
    x = rng.normal(size=(5, 3))
    compare(torch, ours, theirs, x, None)
    compare(torch, ours, theirs, x, state_of(kind, (5, 4), rng))
    compare(torch, ours, theirs, x[0], state_of(kind, (4,), rng))


@pytest.mark.parametrize(("name", "parts"), [
    ("rnn_tanh_cell", 1), ("rnn_relu_cell", 1), ("lstm_cell", 2), ("gru_cell", 1),
])  # fmt: skip
def test_functions_are_pytorchs(torch, name, parts):
    rng = np.random.default_rng(2)
    gates = {"lstm_cell": 4, "gru_cell": 3}.get(name, 1)
    x, w, u = (rng.normal(size=s) for s in [(5, 3), (gates * 2, 3), (gates * 2, 2)])
    b, c = rng.normal(size=(2, gates * 2))
    state = tuple(rng.normal(size=(5, 2)) for _ in range(parts))
    found = flat(getattr(F, name)(
        mg.tensor(x), as_state(state, mg.tensor), *map(mg.tensor, (w, u, b, c))
    ))  # fmt: skip
    expected = flat(getattr(torch, name)(
        torch.tensor(x), as_state(state, torch.tensor), *map(torch.tensor, (w, u, b, c))
    ))  # fmt: skip
    for y, z in zip(found, expected, strict=True):
        np.testing.assert_allclose(y.array, z.numpy(), rtol=0, atol=1e-14)


def test_an_lstm_by_hand():
    """One unit, all weights 1: the equations, spelled out in NumPy."""
    cell = nn.LSTMCell(1, 1).to("float64")
    cell.load_state_dict({k: np.ones(v.shape) for k, v in cell.state_dict().items()})
    h, c = cell(mg.tensor([[0.5]], dtype="float64"), (mg.full((1, 1), 0.2, "float64"),
                                                      mg.full((1, 1), -0.3, "float64")))
    a = 0.5 + 0.2 + 2.0
    gate = 1 / (1 + np.exp(-a))
    expected = gate * -0.3 + gate * np.tanh(a)
    np.testing.assert_allclose(c.array, [[expected]], rtol=1e-14)
    np.testing.assert_allclose(h.array, [[gate * np.tanh(expected)]], rtol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_is_its_cell_repeated(kind):
    name = kind.split()[0]
    layer = getattr(nn, name)(3, 4, **KINDS[kind])
    cell = getattr(nn, name + "Cell")(3, 4, **KINDS[kind])
    cell.load_state_dict({k.removesuffix("_l0"): v for k, v in layer.state_dict().items()})
    x = mg.randn(6, 2, 3)
    outputs, last = layer(x)
    state = None
    for t in range(6):
        state = cell(x[t], state)
        np.testing.assert_allclose(outputs[t].array, flat([state])[0].array, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(flat([last]), flat([state]), strict=True):
        np.testing.assert_allclose(ours.array[0], theirs.array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_the_other_direction_reads_from_the_end(kind):
    name = kind.split()[0]
    both = getattr(nn, name)(3, 4, bidirectional=True, **KINDS[kind])
    one = getattr(nn, name)(3, 4, **KINDS[kind])
    weights = both.state_dict()
    one.load_state_dict({k: weights[k + "_reverse"] for k in one.state_dict()})
    x = mg.randn(5, 2, 3)
    outputs, last = both(x)
    expected, final = one(x[::-1])
    np.testing.assert_allclose(outputs[..., 4:].array, expected[::-1].array, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(flat([last]), flat([final]), strict=True):
        np.testing.assert_allclose(ours[1].array, theirs[0].array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_gradients_of_both_orders(kind):
    layer = getattr(nn, kind)(2, 2, bidirectional=True).to("float64")
    x = mg.randn(3, 2, 2, dtype="float64", requires_grad=True)
    assert gradcheck(lambda x: layer(x)[0], [x])
    assert gradgradcheck(lambda x: layer(x)[0], [x])


@pytest.mark.parametrize("kind", KINDS)
def test_a_sequence_without_a_batch_is_a_batch_of_one(kind):
    layer = getattr(nn, kind.split()[0])(3, 4, **KINDS[kind])
    x = mg.randn(5, 3)
    outputs, last = layer(x)
    expected, final = layer(x[:, None])
    np.testing.assert_allclose(outputs.array, expected[:, 0].array, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(flat([last]), flat([final]), strict=True):
        np.testing.assert_allclose(ours.array, theirs[:, 0].array, rtol=1e-5, atol=1e-6)


def test_one_step_is_one_step_of_many():
    layer = nn.LSTM(3, 4)
    x = mg.randn(2, 5, 3)
    expected, final = layer(x)
    first, state = layer(x[:1])
    second, last = layer(x[1:], state)
    outputs = np.concatenate([first.array, second.array])
    np.testing.assert_allclose(outputs, expected.array, rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(flat([last]), flat([final]), strict=True):
        np.testing.assert_allclose(ours.array, theirs.array, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("columns", [1, 4, 6, 100])
def test_the_gradient_of_the_weights_of_several_steps_at_a_time(columns, monkeypatch):
    monkeypatch.setattr("minigrad.ops.recurrent.COLUMNS", columns)
    given = [mg.randn(*shape, dtype="float64") for shape in ((5, 1, 2), (8, 3), (2, 2), (2, 2))]
    w = given[1]
    w.requires_grad = True
    assert gradcheck(lambda w: lstm(given[0], w, given[2], given[3]), [w])


def test_a_hook_runs_once_where_the_backward_pass_is_recorded():
    """On Tensors the rule has a backward pass of its own inside."""
    given = [mg.randn(*shape, requires_grad=True) for shape in ((3, 1, 2), (4, 2), (1, 2), (1, 2))]
    calls = []
    for i, tensor in enumerate(given):
        tensor.register_hook(lambda g, i=i: calls.append(i))
    lstm(*given).sum().backward(create_graph=True)
    assert sorted(calls) == [0, 1, 2, 3]


def test_dropout_acts_between_layers_and_in_training_alone():
    layer = nn.GRU(3, 50, num_layers=2, dropout=0.5)
    x = mg.randn(4, 1, 3)
    assert (layer(x)[0].array != layer(x)[0].array).any()
    layer.eval()
    np.testing.assert_array_equal(layer(x)[0].array, layer(x)[0].array)
    layer.train()
    _, last = layer(x)
    again = layer(x)[1]
    np.testing.assert_array_equal(last.array[0], again.array[0])  # the first layer sees none
    assert (last.array[1] != again.array[1]).any()
    assert last.array[1].all()  # nor does the result


def test_dropout_with_one_layer_warns():
    with pytest.warns(UserWarning, match="GRU: dropout=0.5 acts between layers"):
        nn.GRU(3, 4, dropout=0.5)


def test_a_batch_of_none():
    outputs, (h, c) = nn.LSTM(3, 4)(mg.zeros((5, 0, 3)))
    assert outputs.shape == (5, 0, 4)
    assert h.shape == c.shape == (1, 0, 4)


def test_backward_is_not_quadratic_in_time():
    """Every slice of the projections that was cut from all of them would make it so."""
    layer = nn.RNN(1, 1)
    sizes = []
    node = layer(mg.zeros((64, 1, 1)))[0].sum()
    stack, seen = [node], set()
    while stack:
        node = stack.pop()
        if id(node) in seen or node.primitive is None:
            continue
        seen.add(id(node))
        if node.primitive.name == "getitem":
            sizes.append(node.args[0].size)
        stack += [arg for arg in node.args if isinstance(arg, mg.Tensor)]
    assert sum(sizes) == 2 * 64 * 6  # two halves of everything, at each of log₂ 64 levels


@pytest.mark.parametrize(("call", "error", "message"), [
    (lambda: nn.LSTM(3, 4)(mg.zeros((5, 2, 2))), ValueError, "LSTM: input wants 3 dimensions"),
    (lambda: nn.LSTM(3, 4)(mg.zeros(3)), ValueError, "LSTM: input wants 3 dimensions"),
    (lambda: nn.GRU(3, 4)(mg.zeros((0, 2, 3))), ValueError, "GRU: input wants at least one time"),
    (lambda: nn.RNN(3, 4)(mg.zeros((5, 2, 3)), mg.zeros((2, 2, 4))), ValueError,
     r"RNN: h_0 wants shape \(1, 2, 4\), got \(2, 2, 4\)"),
    (lambda: nn.LSTM(3, 4)(mg.zeros((5, 2, 3)), mg.zeros((1, 2, 4))), ValueError,
     "LSTM: hx wants h_0, c_0, got 1 tensors"),
    (lambda: nn.LSTM(3, 4)(mg.zeros((5, 2, 3), dtype="float64")), TypeError, "one dtype"),
    (lambda: nn.GRU(3, 4)(mg.zeros((5, 2, 3)), mg.zeros((1, 2, 4), "float64")), TypeError,
     "GRU: all tensors want one dtype"),
    (lambda: nn.LSTM(3, 4)(mg.zeros((5, 2, 3), dtype="int64")), TypeError, "floating dtype"),
    (lambda: nn.RNN(3, 0), ValueError, "RNN: hidden_size wants at least 1, got 0"),
    (lambda: nn.RNN(3, 4, num_layers=0), ValueError, "RNN: num_layers wants at least 1"),
    (lambda: nn.RNN(3, 4, nonlinearity="elu"), ValueError, "nonlinearity wants 'tanh' or 'relu'"),
    (lambda: nn.LSTM(3, 4, 2, dropout=1.5), ValueError, "LSTM: dropout wants a probability"),
    (lambda: nn.LSTM(3, 4, proj_size=2), TypeError, "proj_size"),
    (lambda: nn.GRU(3, 4, nonlinearity="relu"), TypeError, "nonlinearity"),
    (lambda: nn.GRUCell(3, 4)(mg.zeros((2, 2))), ValueError, "GRUCell: input wants shape"),
    (lambda: nn.LSTMCell(3, 4)(mg.zeros((2, 3)), (mg.zeros((2, 4)), mg.zeros(4))), ValueError,
     r"LSTMCell: c_0 wants shape \(2, 4\), got \(4,\)"),
    (lambda: F.gru_cell(mg.zeros((2, 3)), mg.zeros((2, 4)), mg.zeros((8, 3)), mg.zeros((12, 4))),
     ValueError, r"gru_cell: w_ih wants 12 rows, 3 times the hidden size, got shape \(8, 3\)"),
    (lambda: F.rnn_relu_cell(*map(mg.zeros, [(2, 3), (2, 5), (4, 3), (4, 4)])), ValueError,
     r"rnn_relu_cell: hx wants shape \(2, 4\), got \(2, 5\)"),
])  # fmt: skip
def test_wrong_calls(call, error, message):
    with pytest.raises(error, match=message):
        call()
