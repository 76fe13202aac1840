"""Recurrent layers and cells; the equations of one step stand in `nn.functional.recurrent`.

Sequences are (time, n, features), with `batch_first` (n, time, features), and (time, features)
without a batch.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, ClassVar

import minigrad.nn.functional as F
from minigrad.core import module_of
from minigrad.creation import empty
from minigrad.nn import init
from minigrad.nn.functional.checks import lengths, same_dtype
from minigrad.nn.functional.recurrent import (
    State,
    Step,
    gru_cell,
    gru_step,
    lstm_cell,
    rnn_relu_cell,
    rnn_relu_step,
    rnn_tanh_cell,
    rnn_tanh_step,
)
from minigrad.nn.module import Module, Parameter
from minigrad.ops.recurrent import lstm, unstack
from minigrad.ops.shape import expand_dims, join, stack, swapaxes
from minigrad.tensor import Tensor

_rnn_steps: dict[str, Step] = {"tanh": rnn_tanh_step, "relu": rnn_relu_step}


def _check_nonlinearity(name: str, nonlinearity: str) -> None:
    if nonlinearity not in _rnn_steps:
        raise ValueError(f"{name}: nonlinearity wants 'tanh' or 'relu', got {nonlinearity!r}")


def _zeros(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Zeros with the dtype and on the backend of x."""
    return Tensor(module_of(x).zeros(shape, dtype=x.dtype))


class _RecurrentBase(Module):
    """Sizes, weights and their names; `gates` counts the blocks of rows in each weight."""

    gates: ClassVar[int]
    parts: ClassVar[tuple[str, ...]] = ("h_0",)  # of the state

    def __init__(self, input_size: int, hidden_size: int, bias: bool) -> None:
        super().__init__()
        name = type(self).__name__
        (self.input_size,) = lengths(name, "input_size", input_size, 1)
        (self.hidden_size,) = lengths(name, "hidden_size", hidden_size, 1)
        self.bias = bias

    def _add_weights(self, input_size: int, suffix: str = "") -> None:
        """Weights of one layer in one direction, uniform on ±1/√hidden_size."""
        rows = self.gates * self.hidden_size
        shapes: dict[str, Any] = {"weight_ih": (rows, input_size)}
        shapes["weight_hh"] = (rows, self.hidden_size)
        if self.bias:
            shapes["bias_ih"] = shapes["bias_hh"] = rows
        bound = 1.0 / math.sqrt(self.hidden_size)
        for name, shape in shapes.items():
            self.register_parameter(
                name + suffix, Parameter(init.uniform_(empty(shape), -bound, bound))
            )

    def _weights(self, suffix: str = "") -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        """(weight_ih, weight_hh, bias_ih, bias_hh) of one layer in one direction."""
        weights = [getattr(self, name + suffix) for name in ("weight_ih", "weight_hh")]
        names = ("bias_ih", "bias_hh")
        biases = [getattr(self, name + suffix) if self.bias else None for name in names]
        return weights[0], weights[1], biases[0], biases[1]

    def _given_state(self, x: Tensor, hx: Any, shape: tuple[int, ...]) -> State:
        """The initial state that the caller gave, checked; zeros where None."""
        if hx is None:
            return tuple(_zeros(x, shape) for _ in self.parts)
        state = (hx,) if isinstance(hx, Tensor) else tuple(hx)
        name = type(self).__name__
        if len(state) != len(self.parts):
            wanted = ", ".join(self.parts)
            raise ValueError(f"{name}: hx wants {wanted}, got {len(state)} tensors")
        for label, part in zip(self.parts, state, strict=True):
            if part.shape != shape:
                raise ValueError(f"{name}: {label} wants shape {shape}, got {part.shape}")
        same_dtype(name, input=x, **dict(zip(self.parts, state, strict=True)))
        return state


class _Recurrent(_RecurrentBase):
    """Layers over a sequence: each reads the outputs of the one below, forwards or both ways."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
    ) -> None:
        super().__init__(input_size, hidden_size, bias)
        name = type(self).__name__
        (self.num_layers,) = lengths(name, "num_layers", num_layers, 1)
        if not 0.0 <= dropout <= 1.0:
            raise ValueError(f"{name}: dropout wants a probability, got {dropout}")
        if dropout and num_layers == 1:
            warnings.warn(
                f"{name}: dropout={dropout} acts between layers and has no effect with one layer",
                stacklevel=3,
            )
        self.batch_first = batch_first
        self.dropout = dropout
        self.bidirectional = bidirectional
        for layer in range(num_layers):
            below = input_size if layer == 0 else hidden_size * (1 + bidirectional)
            for suffix in self._suffixes(layer):
                self._add_weights(below, suffix)

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}", f"_l{layer}_reverse"][: 1 + self.bidirectional]

    def _step(self) -> Step:
        raise NotImplementedError

    def _run(self, x: Tensor, state: State, suffix: str) -> tuple[Tensor, State]:
        """One layer in one direction: outputs (time, n, hidden_size), and the last state."""
        weight_ih, weight_hh, bias_ih, bias_hh = self._weights(suffix)
        step = self._step()
        backwards = suffix.endswith("_reverse")
        from_input = unstack(F.linear(x, weight_ih, bias_ih))  # one product for all times
        outputs = []
        for now in reversed(from_input) if backwards else from_input:
            state = step(now, F.linear(state[0], weight_hh, bias_hh), state)
            outputs.append(state[0])
        return stack(outputs[::-1] if backwards else outputs), state

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, Any]:
        name = type(self).__name__
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input wants 3 dimensions, or 2 without a batch, the last of length "
                f"{self.input_size}, got shape {x.shape}"
            )
        has_batch = x.ndim == 3
        time_axis = 1 if has_batch and self.batch_first else 0
        if x.shape[time_axis] == 0:
            raise ValueError(f"{name}: input wants at least one time step, got shape {x.shape}")
        batch = (x.shape[1 - time_axis],) if has_batch else ()
        directions = 1 + self.bidirectional
        shape = (self.num_layers * directions, *batch, self.hidden_size)
        initial = [iter(part) for part in self._given_state(x, hx, shape)]
        if time_axis == 1:
            x = swapaxes(x, 0, 1)
        last = []
        for layer in range(self.num_layers):
            if layer > 0 and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            ways = []
            for suffix in self._suffixes(layer):
                outputs, state = self._run(x, tuple(next(part) for part in initial), suffix)
                ways.append(outputs)
                last.append(state)
            x = join(ways, axis=-1) if self.bidirectional else ways[0]
        final = tuple(stack(part) for part in zip(*last, strict=True))
        y = swapaxes(x, 0, 1) if time_axis == 1 else x
        return y, final if len(self.parts) > 1 else final[0]

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0,
            "bidirectional": False,
        }
        for name, default in defaults.items():
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class RNN(_Recurrent):
    """Elman's recurrent network, h_t = tanh(W x_t + b + U h_{t−1} + b), in one or more layers.

    ``output, h_n = rnn(input, h_0=0)``.

    Args:
        input_size: features of each x_t.
        hidden_size: length of h_t.
        num_layers: each layer reads the outputs of the one below.
        nonlinearity: "tanh" or "relu".
        bias: whether to add the two biases.
        batch_first: sequences are (n, time, features), states keep (layers, n, hidden_size).
        dropout: probability of dropout on what goes from layer to layer, in training.
        bidirectional: a second set of weights reads the sequence from its end; outputs are joined.

    Shapes:
        input: (time, n, input_size), (n, time, input_size) or (time, input_size).
        output: the same with hidden_size · directions features: the top layer's h_t.
        h_0, h_n: (num_layers · directions, n, hidden_size), without n where the input has none.

    Attributes:
        weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0: of the first layer; l1 of the second, …;
            with "_reverse" of the other direction.
    """

    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        _check_nonlinearity("RNN", nonlinearity)
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )
        self.nonlinearity = nonlinearity

    def _step(self) -> Step:
        return _rnn_steps[self.nonlinearity]


class _GatedRecurrent(_Recurrent):
    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ) -> None:
        super().__init__(
            input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional
        )


class LSTM(_GatedRecurrent):
    """Long short-term memory (equations: `F.lstm_cell`), in one or more layers.

    ``output, (h_n, c_n) = lstm(input, (h_0, c_0)=0)``; arguments, shapes and names as for `RNN`.
    The rows of the weights are the gates i, f, g, o, each hidden_size long.
    """

    gates = 4
    parts = ("h_0", "c_0")

    def _run(self, x: Tensor, state: State, suffix: str) -> tuple[Tensor, State]:
        if len(x) == 1:  # as where a text is written letter by letter: nothing to arrange for
            h, c = lstm_cell(x[0], (state[0], state[1]), *self._weights(suffix))
            return expand_dims(h, 0), (h, c)
        if x.ndim == 2:  # without a batch: a batch of one
            batch = tuple(expand_dims(part, 0) for part in state)
            outputs, last = self._run(expand_dims(x, 1), batch, suffix)
            return outputs[:, 0], tuple(part[0] for part in last)
        weight_ih, weight_hh, bias_ih, bias_hh = self._weights(suffix)
        same_dtype("LSTM", input=x, weight_ih=weight_ih)
        columns = swapaxes(x, 1, 2)
        weights = [weight_ih, weight_hh]
        if bias_ih is not None and bias_hh is not None:  # the weight of a feature that is always 1
            ones = Tensor(module_of(x).ones((len(x), 1, x.shape[1]), dtype=x.dtype))
            columns = join([columns, ones], axis=1)
            weights.insert(1, expand_dims(bias_ih + bias_hh, 1))
        backwards = suffix.endswith("_reverse")
        h, c = (swapaxes(part, 0, 1) for part in state)
        states = lstm(columns[::-1] if backwards else columns, join(weights, axis=1), h, c)
        outputs = swapaxes(states[:, 0], 1, 2)
        last = (swapaxes(states[-1, 0], 0, 1), swapaxes(states[-1, 1], 0, 1))
        return outputs[::-1] if backwards else outputs, last


class GRU(_GatedRecurrent):
    """Gated recurrent units (equations: `F.gru_cell`), in one or more layers.

    ``output, h_n = gru(input, h_0=0)``; arguments, shapes and names as for `RNN`. The rows of the
    weights are the gates r, z, n, each hidden_size long.
    """

    gates = 3

    def _step(self) -> Step:
        return gru_step


class _Cell(_RecurrentBase):
    def __init__(self, input_size: int, hidden_size: int, bias: bool = True) -> None:
        super().__init__(input_size, hidden_size, bias)
        self._add_weights(input_size)

    def _state_before(self, x: Tensor, hx: Any) -> State:
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ValueError(
                f"{type(self).__name__}: input wants shape (n, {self.input_size}) or "
                f"({self.input_size},), got {x.shape}"
            )
        return self._given_state(x, hx, (*x.shape[:-1], self.hidden_size))

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """One step of an `RNN`: ``h = cell(input, h=0)``, (n, input_size) to (n, hidden_size)."""

    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"
    ) -> None:
        _check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        (h,) = self._state_before(x, hx)
        cell = rnn_tanh_cell if self.nonlinearity == "tanh" else rnn_relu_cell
        return cell(x, h, *self._weights())

    def extra_repr(self) -> str:
        shown = "" if self.nonlinearity == "tanh" else f", nonlinearity={self.nonlinearity}"
        return super().extra_repr() + shown


class LSTMCell(_Cell):
    """One step of an `LSTM`: ``h, c = cell(input, (h, c)=0)``, to (n, hidden_size) each."""

    gates = 4
    parts = ("h_0", "c_0")

    def forward(self, x: Tensor, hx: Any = None) -> tuple[Tensor, Tensor]:
        h, c = self._state_before(x, hx)
        return lstm_cell(x, (h, c), *self._weights())


class GRUCell(_Cell):
    """One step of a `GRU`: ``h = cell(input, h=0)``, (n, input_size) to (n, hidden_size)."""

    gates = 3

    def forward(self, x: Tensor, hx: Tensor | None = None) -> Tensor:
        (h,) = self._state_before(x, hx)
        return gru_cell(x, h, *self._weights())
