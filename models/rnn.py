"""The recurrent network: a state that is carried from step to step of a sequence.

J. L. Elman 1990, "Finding structure in time", Cognitive Science 14, 179-211.

    h_t = tanh(W x_t + U h_{t−1} + b)        z_t = V h_t + c

The state h_t is all that the network knows of x_1 … x_t. The same W, U and V serve at every step,
so that a sequence may have any length.

**Unrolled in time** it is a feed-forward network of as many layers as the sequence has steps, which
share their weights, and it is learned like one: *backpropagation through time*. The gradient of a
shared weight is the sum over the steps. A loss L at the last step T reaches step t through a
product of T − t matrices,

    ∂L/∂h_t = Uᵀ D_{t+1} · ∂L/∂h_{t+1}        D_t = diag(1 − h_t²)

which is at most of length ‖U‖ᵀ⁻ᵗ: if ‖U‖ < 1 it *vanishes*, and what was read long ago is not
learned from. If U is large it may *explode*. Against that helps *clipping*, which scales a gradient
that is longer than `clip` to that length (R. Pascanu, T. Mikolov and Y. Bengio 2013, "On the
difficulty of training recurrent neural networks", ICML). Against vanishing helps another network:
`lstm`.

**Truncated** backpropagation through time is for sequences that do not end, such as a text: it is
read in windows of some steps. The state at the end of one is where the next begins, but no
gradient goes back further than the window (R. J. Williams and J. Peng 1990, "An efficient
gradient-based algorithm for on-line training of recurrent network trajectories", Neural
Computation 2(4), 490-501). Pieces of the text are read side by side; each begins where the one
before it ends, so that the last state of a piece is the first of the next one in the next epoch.

The tasks, from images read row by row to text, are those of `sequences`. Newer than the network is
Adam, with a learning rate that falls along half a cosine.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch
from matplotlib.ticker import MaxNLocator

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.data import DataLoader
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet, Examples
from models.sequences import TOPICS, Rows, Task, sequence_data, task_of
from models.training import Classification, Progress

State = tuple[Tensor, ...]  # of a layer: (h,), or (h, c) of an LSTM, each (1, n, hidden)


class RecurrentNetwork(nn.Module):
    """Reads a sequence and answers: a recurrent layer, and a dense one on its state.

    Args:
        task: what it reads and is asked. A symbol is read as a learned vector.
        layer: the recurrent layer, `nn.RNN` or another of its interface.
        hidden: length of h_t.
        dropout: fraction of the vectors and of the states before the dense layer that is dropped.
    """

    def __init__(self, task: Task, layer: Any, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.task = task
        width = min(task.inputs, hidden) if task.symbolic else task.inputs
        if task.symbolic:
            self.embedding = nn.Embedding(task.inputs, width)
        self.dropout = nn.Dropout(dropout)
        self.layer = layer(width, hidden)
        self.output = nn.Linear(hidden, task.outputs)

    def unroll(self, sequence: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read (time, n, inputs) numbers or (time, n) symbols, from a state or from zeros on.

        Returns the answers z, (n, outputs) after the last step or (time, n, outputs) after every
        one, as the task wants them, and the last state.
        """
        x = self.dropout(self.embedding(sequence)) if self.task.symbolic else sequence
        h, last = self.layer(x, state)
        z = self.output(self.dropout(h if self.task.at_every_step else h[-1]))
        return z, (last,) if isinstance(last, Tensor) else last

    def forward(self, x: Tensor) -> Tensor:
        """The answers to a batch as its data set has it, read from its beginning."""
        return self.unroll(self.task.sequence(x))[0]


class SequenceTraining(Classification):
    """Backpropagation through time, truncated where a task has no end, with clipped gradients.

    Attributes:
        state: of the layer, with which the next window of a continuous task begins.
    """

    network: RecurrentNetwork

    def __init__(
        self, network: RecurrentNetwork, data: Examples, settings: SimpleNamespace
    ) -> None:
        super().__init__(network, data, settings)
        if settings.clip <= 0.0:
            raise ValueError(f"--clip: wants a positive length, got {settings.clip:g}")
        self.task = network.task
        self.metric = self.task.metric
        self.state: State | None = None
        if self.task.continuous:
            if settings.window < 1:
                raise ValueError(f"--window: wants at least 1 step, got {settings.window}")
            self.unit = "steps"
            self.loader = DataLoader(data.train, settings.window, seed=settings.seed)
            steps = settings.epochs * len(self.loader)
            self.schedule = optim.lr_scheduler.CosineAnnealingLR(self.optimizer, steps)

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        sequence, targets = self.task.sequence(batch[0]), self.task.targets(batch[1])
        answers, state = self.network.unroll(sequence, self.state)
        loss = self.task.loss(answers, targets)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimizer.step()
        self.schedule.step()
        if self.task.continuous:
            self.state = tuple(part.detach() for part in state)
        return {"train_loss": loss.detach()}

    def epoch(self, progress: Progress) -> dict[str, float]:
        measured = super().epoch(progress)
        if self.state is not None:
            self.state = tuple(moved_on(part) for part in self.state)
        return measured

    def evaluate(self) -> dict[str, float]:
        self.network.eval()
        with mg.no_grad():
            return self.task.measure(self.network, self.test)

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "state": self.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if state["state"] is not None:
            backend = self.train.tensors[0].backend
            self.state = tuple(mg.tensor(part, backend=backend) for part in state["state"])

    def report(self) -> str:
        return self.task.report(self)

    def sample(self, count: int, folder: Path) -> str:
        if isinstance(self.task, Rows):
            return super().sample(count, folder)
        self.network.eval()
        with mg.no_grad():
            return self.task.sample(self, count)

    def compared(self) -> dict[str, RecurrentNetwork]:
        """Networks whose gradients over time are drawn beside that of the trained one."""
        return {"RNN, untrained": RecurrentNetwork(self.task, nn.RNN, self.settings.hidden)}

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        self.network.eval()
        with mg.no_grad():
            self.task.draw(self, history, folder)
        sequence, targets = self.task.examples(self.test)
        draw_unrolled(self.network, sequence[:, :1], self.classes, folder / "unrolled.png")
        draw_states(self.network, sequence[:, :1], self.classes, folder / "states.png")
        backend = self.train.tensors[0].backend
        networks = {"this network, trained": self.network, **self.compared()}
        norms = {
            name: gradient_norms(network.to(backend), sequence, targets)
            for name, network in networks.items()
        }
        draw_gradients(norms, folder / "gradients.png")


def moved_on(part: Tensor) -> Tensor:
    """The states (1, n, hidden) for the next pass over n pieces of a text, from those in which the
    pieces end: of each piece, that of the piece before it; of the first, zeros."""
    return mg.concatenate([mg.zeros_like(part[:, :1]), part[:, :-1]], axis=1)


# ---------------------------------------------------------------------------------------------
# What happens over time
# ---------------------------------------------------------------------------------------------


def trajectory(network: RecurrentNetwork, sequence: Tensor) -> list[State]:
    """The states after every step of a sequence (time, n, …), read from zeros on."""
    states: list[State] = []
    for t in range(len(sequence)):
        _, state = network.unroll(sequence[t : t + 1], states[-1] if states else None)
        states.append(state)
    return states


def gradient_norms(network: RecurrentNetwork, sequence: Tensor, targets: Tensor) -> np.ndarray:
    """‖∂L/∂h_t‖ at every step t, (time,), L being the loss of the answer after the last step.

    With the states of an LSTM, ‖∂L/∂(h_t, c_t)‖. Means over the sequences (time, n, …), each with a
    loss of its own.
    """
    network.eval()
    states = trajectory(network, sequence)
    loss = network.task.loss(network.output(states[-1][0][-1]), targets) * float(len(targets))
    parts = [part for state in states for part in state]
    squares = [  # in float64, since a square may be too small for float32
        mg.zeros(len(targets), dtype="float64")  # as of the last c, which nothing reads
        if gradient is None
        else (gradient[-1].astype("float64") ** 2.0).sum(-1)
        for gradient in mg.grad(loss, parts, allow_unused=True)
    ]
    by_step = mg.stack(squares).reshape(len(states), -1, len(targets))
    return mg.sqrt(by_step.sum(1)).mean(-1).numpy()


def draw_gradients(norms: Mapping[str, np.ndarray], path: Path) -> None:
    """Gradients over time, each as a multiple of that at the last step."""
    made = pictures.figure(7.0, 3.8)
    axes = pictures.grid(made, 1, 1)[0, 0]
    colours = (pictures.BLUE, pictures.ORANGE, pictures.GREEN, pictures.GREY)
    for i, (name, values) in enumerate(norms.items()):
        relative = np.where(values > 0.0, values, np.nan) / values[-1]  # 0: too small for float32
        style = "-" if i == 0 else "--"
        axes.plot(range(1, len(values) + 1), relative, style, color=colours[i], label=name)
    first = next(iter(norms.values()))
    axes.set_yscale("log")
    axes.set_xlabel("step t")
    axes.set_ylabel(r"$\|\partial L/\partial h_t\|$ over that at the last step")
    axes.set_title(
        f"The gradient of the last loss is {first[0] / first[-1]:.2g} times as large at the first "
        "step as at the last"
    )
    axes.grid(alpha=0.3)
    axes.legend()
    pictures.save(made, path)


def _in_words(network: RecurrentNetwork, z: np.ndarray, classes: tuple[str, ...]) -> str:
    """An answer z (outputs,): the most probable class, or the number."""
    if len(z) == 1:
        return f"{z[0]:.2f}"
    p = np.exp(z - z.max())
    return f"{_shown(classes[z.argmax()])}\n{p.max() / p.sum():.2f}"


def _shown(symbol: str) -> str:
    return {"\n": "↵", " ": "␣"}.get(symbol, symbol)


def draw_unrolled(
    network: RecurrentNetwork, sequence: Tensor, classes: tuple[str, ...], path: Path
) -> None:
    """The network unrolled in time over a sequence (time, 1, …), and the weights of its state.

    Of a long sequence, the first and the last steps.
    """
    with mg.no_grad():
        h = mg.stack([state[0][-1, 0] for state in trajectory(network, sequence)])
        answers = network.output(h).numpy()
        recurrent = network.layer.weight_hh_l0.numpy()
    time = len(sequence)
    steps = list(range(time)) if time <= 8 else [0, 1, 2, 3, *range(time - 4, time)]
    made = pictures.figure(11.0, 3.9)
    axes, right = pictures.grid(made, 1, 2, width_ratios=(4.2, 1.0))[0]
    style: dict[str, Any] = {"vmin": -1.0, "vmax": 1.0, "cmap": pictures.SIGNED, "aspect": "auto"}
    axes.text(-0.68, 2.2, "$h_0 = 0$", ha="right", va="center")
    for i, t in enumerate(steps):
        x = 1.5 * i
        image = axes.imshow(h.numpy()[t, :, None], extent=(x - 0.2, x + 0.2, 1.2, 3.2), **style)
        _draw_input(axes, network.task, sequence.numpy()[t, 0], x, classes)
        _arrow(axes, (x, 0.5), (x, 1.2), "W", pictures.BLUE)
        gap = i > 0 and t > steps[i - 1] + 1
        start = x - (0.65 if i == 0 or gap else 1.3)
        _arrow(axes, (start, 2.2), (x - 0.2, 2.2), "U", pictures.ORANGE)
        if gap:
            axes.text(x - 0.88, 2.2, "…", ha="center", va="center", fontsize=14)
        if network.task.at_every_step or t == time - 1:
            _arrow(axes, (x, 3.2), (x, 3.8), "V", pictures.GREEN)
            axes.text(x, 3.9, _in_words(network, answers[t], classes), ha="center", va="bottom")
        axes.text(x + 0.24, 1.25, f"$h_{{{t + 1}}}$", fontsize=8)
        axes.text(x, -0.15, f"$x_{{{t + 1}}}$", ha="center", va="top", fontsize=8)
    axes.set(xlim=(-1.5, 1.5 * len(steps) - 0.6), ylim=(-0.6, 4.7))
    axes.set_axis_off()
    axes.set_title(f"Unrolled over {time} steps: the same W, U and V at every one")
    made.colorbar(image, ax=axes, label="units of $h_t$", shrink=0.5)
    limit = np.abs(recurrent).max()
    shades = right.imshow(recurrent, cmap=pictures.SIGNED, vmin=-limit, vmax=limit, aspect="auto")
    right.set_title("U")
    right.set_xlabel("from unit of $h_{t-1}$")
    gates = len(recurrent) // recurrent.shape[1]
    right.set_ylabel("to unit of $h_t$" if gates == 1 else f"to gates of $h_t$, {gates} blocks")
    made.colorbar(shades, ax=right, label="weight")
    pictures.save(made, path)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], name: str, colour: str
) -> None:
    """An arrow that bears the name of a weight."""
    arrow = FancyArrowPatch(start, end, arrowstyle="-|>", mutation_scale=9.0, color=colour)
    axes.add_patch(arrow)
    x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
    upright = start[0] == end[0]
    offset = (0.08, 0.0) if upright else (0.0, 0.08)
    place: dict[str, Any] = {"va": "center"} if upright else {"ha": "center", "va": "bottom"}
    axes.text(x + offset[0], y + offset[1], name, color=colour, **place)


def _draw_input(
    axes: Axes, task: Task, step: np.ndarray, x: float, classes: tuple[str, ...]
) -> None:
    """What is read at a step: a symbol, or the numbers as a row of pixels."""
    if task.symbolic:
        axes.text(x, 0.25, _shown(classes[step]), ha="center", va="center", fontsize=11)
        return
    extent = (x - 0.55, x + 0.55, 0.05, 0.45)
    axes.imshow(step[None], extent=extent, cmap="gray_r", vmin=0.0, vmax=1.0, aspect="auto")
    axes.plot([extent[i] for i in (0, 1, 1, 0, 0)], [extent[i] for i in (2, 2, 3, 3, 2)], "0.6")


def draw_states(
    network: RecurrentNetwork, sequence: Tensor, classes: tuple[str, ...], path: Path
) -> None:
    """What is read (time, 1, …), the state and the answer after every step, one above the other."""
    with mg.no_grad():
        states = trajectory(network, sequence)
        answers = network.output(mg.stack([state[0][-1, 0] for state in states]))
        parts = [mg.stack([s[-1, 0] for s in part]).numpy().T for part in zip(*states, strict=True)]
    z = F.softmax(answers, -1).numpy().T if answers.shape[1] > 1 else answers.numpy().T
    names = ("$h_t$", "$c_t$")[: len(parts)]
    few = len(z) <= 20
    heights = [1.0] * (not network.task.symbolic) + [1.3] * len(parts) + [1.0] * few
    made = pictures.figure(8.4, 0.7 + 1.4 * sum(heights), "A sequence read step by step")
    panels = list(pictures.grid(made, len(heights), 1, height_ratios=heights, sharex=True)[:, 0])
    time = len(sequence)
    span = (0.5, time + 0.5)
    if not network.task.symbolic:
        axes = panels.pop(0)
        values = sequence.numpy()[:, 0].T
        extent = (*span, len(values) + 0.5, 0.5)
        image = axes.imshow(values, cmap="gray_r", extent=extent, aspect="auto")
        axes.set_ylabel("input $x_t$")
        if network.task.names:
            axes.set_yticks(range(1, len(values) + 1), network.task.names)
        made.colorbar(image, ax=axes)
    for name, part in zip(names, parts, strict=True):
        axes = panels.pop(0)
        limit = np.abs(part).max()
        image = axes.imshow(
            part[np.argsort(part[:, -1])],
            cmap=pictures.SIGNED,
            vmin=-limit,
            vmax=limit,
            extent=(*span, len(part) + 0.5, 0.5),
            aspect="auto",
        )
        axes.set_ylabel(f"units of {name}")
        made.colorbar(image, ax=axes)
    if few:
        axes = panels.pop(0)
        if len(z) == 1:
            axes.plot(range(1, time + 1), z[0], color=pictures.BLUE)
            axes.set_ylabel("answer so far")
            axes.grid(alpha=0.3)
        else:
            extent = (*span, len(z) - 0.5, -0.5)
            style: dict[str, Any] = {"cmap": "Blues", "vmin": 0.0, "vmax": 1.0, "aspect": "auto"}
            image = axes.imshow(z, extent=extent, **style)
            axes.set_yticks(range(len(z)), classes, fontsize=7)
            axes.set_ylabel("answer so far")
            made.colorbar(image, ax=axes, label="probability")
    axes.set_xlabel("step t")
    if network.task.symbolic:
        symbols = [_shown(classes[i]) for i in sequence.numpy()[:, 0]]
        turned = 90 if max(map(len, symbols)) > 1 else 0
        axes.set_xticks(range(1, time + 1), symbols, fontsize=6, rotation=turned)
        axes.set_xlabel("symbol that is read")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    pictures.save(made, path)


def _build(data: DataSet, settings: SimpleNamespace) -> RecurrentNetwork:
    task = task_of(data, settings)
    return RecurrentNetwork(task, nn.RNN, settings.hidden, getattr(settings, "dropout", 0.0))


SETTINGS: dict[str, dict[str, int | float | str]] = {
    "digits": {"epochs": 40, "batch_size": 32, "lr": 2e-3, "hidden": 64, "clip": 1.0},
    "mnist": {"epochs": 12, "batch_size": 128, "lr": 1e-3, "hidden": 128, "clip": 1.0},
    "adding": {
        "epochs": 10,
        "batch_size": 50,
        "lr": 1e-3,
        "hidden": 64,
        "clip": 1.0,
        "length": 100,
    },
    "reber": {"epochs": 25, "batch_size": 20, "lr": 3e-3, "hidden": 48, "clip": 1.0, "inner": 6},
    "text": {
        "epochs": 12,
        "batch_size": 32,
        "lr": 2e-3,
        "hidden": 256,
        "clip": 1.0,
        "dropout": 0.2,
        "window": 64,
        "text": TOPICS,
        "unit": "char",
        "vocabulary": 2000,
    },
}

MEANING = {
    "hidden": "units of the state",
    "clip": "length that a gradient is clipped to",
    "length": "steps of a sequence",
    "inner": "strings of Reber's grammar between the symbol to remember and the place where it is "
    "wanted",
    "dropout": "fraction of what is read, and of the state before the answer, that is dropped",
    "window": "steps that a gradient goes back at most",
    "text": "a text in UTF-8, or Python's own documentation",
    "unit": "what is read at a step",
    "vocabulary": "characters or words that are told apart, the most frequent ones",
}

CHOICES = {"unit": ("char", "word")}

ARCHITECTURE = Architecture(
    title="Recurrent network",
    paper="Elman 1990, Finding structure in time",
    reference="adding, 100 steps: error 0.167, that of always answering the mean (Le, Jaitly & "
    "Hinton 2015)",
    settings=SETTINGS,
    meaning=MEANING,
    choices=CHOICES,
    cost={
        "digits": "11 s, 0.2 GiB",
        "mnist": "2 min, 0.4 GiB",
        "adding": "40 s, 0.2 GiB",
        "reber": "35 s, 0.3 GiB",
        "text": "2 min, 0.3 GiB",
    },
    data=sequence_data,
    build=_build,
    training=SequenceTraining,
)
