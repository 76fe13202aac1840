"""One step of a recurrent network: input and state to the next state.

Arguments of all cells: input (n, input size) or (input size,), the state `hx` (n, hidden size) or
(hidden size,), weights w_ih (gates · hidden size, input size) and w_hh (gates · hidden size,
hidden size), biases b_ih and b_hh (gates · hidden size,) or None. The rows of the weights, and the
biases, are those of the gates one below the other.
"""

from __future__ import annotations

from collections.abc import Callable

from minigrad.nn.functional.activation import relu
from minigrad.nn.functional.checks import same_dtype
from minigrad.nn.functional.linear import linear
from minigrad.ops.elementwise import sigmoid, tanh
from minigrad.ops.recurrent import lstm_equations
from minigrad.ops.shape import split
from minigrad.tensor import Tensor

# A step takes what the input contributes to the gates, W x + b, what the state contributes,
# U h + b, and the state, (h,) or (h, c); it returns the next state. The layers in `nn.recurrent`
# work out the first of these for all times at once.
State = tuple[Tensor, ...]
Step = Callable[[Tensor, Tensor, State], State]


def rnn_tanh_step(from_input: Tensor, from_state: Tensor, state: State) -> State:
    return (tanh(from_input + from_state),)


def rnn_relu_step(from_input: Tensor, from_state: Tensor, state: State) -> State:
    return (relu(from_input + from_state),)


def lstm_step(from_input: Tensor, from_state: Tensor, state: State) -> State:
    return lstm_equations(from_input + from_state, state[1], axis=-1)


def gru_step(from_input: Tensor, from_state: Tensor, state: State) -> State:
    r_input, z_input, n_input = split(from_input, 3, axis=-1)
    r_state, z_state, n_state = split(from_state, 3, axis=-1)
    n = tanh(n_input + sigmoid(r_input + r_state) * n_state)
    return (n + sigmoid(z_input + z_state) * (state[0] - n),)


def _cell(
    name: str,
    step: Step,
    gates: int,
    input: Tensor,
    state: State,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None,
    b_hh: Tensor | None,
) -> State:
    same_dtype(name, input=input, hx=state[0], w_ih=w_ih, w_hh=w_hh, b_ih=b_ih, b_hh=b_hh)
    hidden_size = w_hh.shape[-1]
    for label, weight in (("w_ih", w_ih), ("w_hh", w_hh)):
        if weight.ndim != 2 or weight.shape[0] != gates * hidden_size:
            raise ValueError(
                f"{name}: {label} wants {gates * hidden_size} rows, {gates} times the hidden size, "
                f"got shape {weight.shape}"
            )
    if input.ndim not in (1, 2) or input.shape[-1] != w_ih.shape[1]:
        raise ValueError(
            f"{name}: input wants 1 or 2 dimensions, the last of length {w_ih.shape[1]}, got shape "
            f"{input.shape}"
        )
    for part in state:
        if part.shape != (*input.shape[:-1], hidden_size):
            raise ValueError(
                f"{name}: hx wants shape {(*input.shape[:-1], hidden_size)}, got {part.shape}"
            )
    return step(linear(input, w_ih, b_ih), linear(state[0], w_hh, b_hh), state)


def rnn_tanh_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """h' = tanh(W x + b + U h + b), with W and b of the input, U and b of the state.

    Source: Elman, "Finding structure in time" (1990).
    """
    return _cell("rnn_tanh_cell", rnn_tanh_step, 1, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def rnn_relu_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """h' = max(W x + b + U h + b, 0).

    Source: Le, Jaitly & Hinton, "A simple way to initialize recurrent networks of rectified linear
    units" (2015).
    """
    return _cell("rnn_relu_cell", rnn_relu_step, 1, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]


def lstm_cell(
    input: Tensor,
    hx: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The next (h, c) of a long short-term memory, from hx = (h, c).

    With a = W x + b + U h + b for each of the gates, in the order i, f, g, o::

        c' = σ(a_f) · c + σ(a_i) · tanh(a_g)
        h' = σ(a_o) · tanh(c')

    Source: Hochreiter & Schmidhuber, "Long short-term memory" (1997), with the forget gate of Gers,
    Schmidhuber & Cummins, "Learning to forget" (2000).
    """
    h, c = hx
    h, c = _cell("lstm_cell", lstm_step, 4, input, (h, c), w_ih, w_hh, b_ih, b_hh)
    return h, c


def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    """The next h of a gated recurrent unit, gates in the order r, z, n::

        r = σ(W_r x + b + U_r h + b)
        z = σ(W_z x + b + U_z h + b)
        n = tanh(W_n x + b + r · (U_n h + b))
        h' = (1 − z) · n + z · h

    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder" (2014); r
    applies after the product with U_n, as in PyTorch and cuDNN.
    """
    return _cell("gru_cell", gru_step, 3, input, (hx,), w_ih, w_hh, b_ih, b_hh)[0]
