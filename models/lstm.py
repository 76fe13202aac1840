"""Long short-term memory: a recurrent network with a state that is added to, behind gates.

S. Hochreiter and J. Schmidhuber 1997, "Long short-term memory", Neural Computation 9(8), 1735-1780;
with the forget gate of F. A. Gers, J. Schmidhuber and F. Cummins 2000, "Learning to forget:
continual prediction with LSTM", Neural Computation 12(10), 2451-2471.

Four of the layers of `rnn` read x_t and h_{t−1}; a gate is a number between 0 and 1:

    i = σ(W_i x_t + U_i h_{t−1} + b_i)        what of the new is let in
    f = σ(W_f x_t + U_f h_{t−1} + b_f)        what of the old is kept
    o = σ(W_o x_t + U_o h_{t−1} + b_o)        what is shown
    g = tanh(W_g x_t + U_g h_{t−1} + b_g)     the new

    c_t = f · c_{t−1} + i · g                 h_t = o · tanh(c_t)

From step to step c is multiplied by f and by no matrix: the part of ∂L/∂c_t that goes straight back
is f · ∂L/∂c_{t+1}, and does not vanish where the network has learned to keep f near 1. (The cell of
1997 is this one with f = 1.)

A network can only learn to keep what it has not yet forgotten: with b_f = 0, f is a half, and after
ten steps a thousandth is left. Here b_f begins at log(memory), so that f is memory / (memory + 1):
a constant for the range of values in C. Tallec and Y. Ollivier 2018, "Can recurrent neural networks
warp time?", ICLR; Gers et al. take a positive b_f too.

**Gated recurrent units** (K. Cho et al. 2014, "Learning phrase representations using RNN
encoder-decoder for statistical machine translation", EMNLP) have two gates and no second state:

    r = σ(W_r x_t + U_r h_{t−1} + b_r)        z = σ(W_z x_t + U_z h_{t−1} + b_z)
    n = tanh(W_n x_t + b_n + r · (U_n h_{t−1} + b))
    h_t = (1 − z) · n + z · h_{t−1}

z does what f does, and its bias begins at the same value.

Unrolling, truncated backpropagation through time, clipping and the tasks are those of `rnn`.
"""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import minigrad as mg
from minigrad import nn
from models.architecture import Architecture
from models.data import DataSet
from models.rnn import CHOICES, MEANING, SETTINGS, RecurrentNetwork, SequenceTraining
from models.sequences import sequence_data, task_of

CELLS: dict[str, Any] = {"lstm": nn.LSTM, "gru": nn.GRU}


def remembering(network: RecurrentNetwork, memory: float) -> RecurrentNetwork:
    """A network of gates that keep the state for about `memory` steps before it has learned.

    The gate that keeps, f of an LSTM and z of a GRU, has the second block of rows of the weights
    of either; its bias is raised by log(memory).
    """
    if memory <= 0.0:
        raise ValueError(f"--memory: wants a positive number of steps, got {memory:g}")
    bias, hidden = network.layer.bias_ih_l0, network.layer.hidden_size
    is_kept = (mg.arange(len(bias)) // hidden == 1).astype(bias.dtype)
    with mg.no_grad():
        bias.overwrite((bias + is_kept * math.log(memory)).array)
    return network


class GatedTraining(SequenceTraining):
    """Draws the gradients over time of all three kinds of networks."""

    def compared(self) -> dict[str, RecurrentNetwork]:
        task, hidden, memory = self.task, self.settings.hidden, self.settings.memory
        gated = {
            f"{name}, untrained": remembering(RecurrentNetwork(task, layer, hidden), memory)
            for name, layer in (("LSTM", nn.LSTM), ("GRU", nn.GRU))
        }
        return {**super().compared(), **gated}


def _build(data: DataSet, settings: SimpleNamespace) -> RecurrentNetwork:
    dropout = getattr(settings, "dropout", 0.0)
    network = RecurrentNetwork(
        task_of(data, settings), CELLS[settings.cell], settings.hidden, dropout
    )
    return remembering(network, settings.memory)


# Of `rnn` beside it, but for what is said here.
_OWN: dict[str, dict[str, int | float | str]] = {
    "digits": {"lr": 1e-2, "memory": 8.0},
    "mnist": {"lr": 3e-3, "memory": 8.0},
    "adding": {"epochs": 30, "lr": 5e-3, "memory": 20.0},
    "reber": {"lr": 5e-3, "memory": 40.0},
    "text": {"lr": 3e-3, "memory": 1.0},
}

ARCHITECTURE = Architecture(
    title="Long short-term memory",
    paper="Hochreiter & Schmidhuber 1997, Long short-term memory; GRU: Cho et al. 2014, Learning "
    "phrase representations using RNN encoder-decoder for statistical machine translation",
    reference="adding, 100 steps: solved, where always answering the mean has an error of 0.167; "
    "reber: solved (both Hochreiter & Schmidhuber 1997)",
    settings={name: {**given, **_OWN[name], "cell": "lstm"} for name, given in SETTINGS.items()},
    meaning={
        **MEANING,
        "cell": "the recurrent layer",
        "memory": "steps for which a state is kept before anything is learned",
    },
    choices={**CHOICES, "cell": tuple(CELLS)},
    cost={
        "digits": "11 s, 0.2 GiB",
        "mnist": "3.5 min, 0.4 GiB",
        "adding": "2 min, 0.3 GiB",
        "reber": "35 s, 0.3 GiB",
        "text": "4 min, 0.3 GiB",
    },
    data=sequence_data,
    build=_build,
    training=GatedTraining,
)
