"""The Boltzmann machine: a Hopfield network with noise, and with units that nobody sees.

D. H. Ackley, G. E. Hinton and T. J. Sejnowski 1985, "A learning algorithm for Boltzmann machines",
Cognitive Science 9, 147-169.

Units s are 0 or 1. Weights are symmetric, no unit is connected to itself. At the temperature T a
unit that is asked is on with a probability that depends on its input, σ the logistic function:

    E(s) = −½ sᵀ w s − b · s            p(sᵢ = 1 | all others) = σ((bᵢ + Σⱼ wᵢⱼ sⱼ) / T)

Asked one after the other for long enough (Gibbs sampling), they come to thermal equilibrium, where
p(s) = e^(−E(s) / T) / Z. Getting there takes the shorter, the hotter it is: *simulated annealing*
begins hot and cools down. Visible units v carry the data, hidden units h are free to mean anything.
Units may be *clamped*, and the others then complete them.

**Learning** makes p(v) like the probability q(v) of an environment. With p⁺ᵢⱼ the probability that
units i and j are both on while the environment clamps the visible units, and p⁻ᵢⱼ while the machine
runs freely,

    G = Σ q(v) log (q(v) / p(v))            −T ∂G/∂wᵢⱼ = p⁺ᵢⱼ − p⁻ᵢⱼ

and the same for biases, with the probability that one unit is on. Each weight needs nothing but
what its two units do. Here both probabilities come by sampling, as in the paper, or exactly, by
enumeration of all 2ⁿ states.

**The encoder.** Four units V₁ and four units V₂ are connected within, and both to two hidden units,
but not to each other. One unit of V₁ is on and the same one of V₂: what V₂ knows of V₁ has to pass
through two bits, so that every one of the four vectors needs a code of its own. As in the paper:
all weights begin at 0; each vector is clamped twice, its bits turned off with probability 0.15 and
on with 0.05, so that no weight wants to be infinite; as many annealings run freely; the free units
start at random and are then asked twice at T = 20, twice at 15, twice at 12 and four times at 10;
at 10, what is on together is counted 10 times; every weight changes by the sign of p⁺ − p⁻ times 2.

Not as in the paper: "asked twice" is every unit twice, where the paper asks units at random, each
twice on average. And the paper does not say how long a noisy vector stays; here the noise is new
whenever the hidden units are asked. Eight noisy vectors a cycle would tell so little of the pairs
that are seldom on together that the sign rule makes their weights ever more negative.

The steps of that rule are as large as ever where little is left to learn: G stays near 0.5, where
the exact gradient (``--statistics exact --lr 10``) reaches 0.073. And yet noise has its use. A
third of the machines that follow the exact gradient get stuck at 0.207, where two vectors share a
code; those with noise go on until there are four codes, and keep them.

**XOR.** Of three visible units, the third is the exclusive or of two random ones. Any two of them
are independent, so that without a hidden unit all weights stay at 0 and G at log 2. One hidden unit
is enough for G → 0.

**Images.** The pixels of an image and ten units for its label are visible, 32 more are hidden, and
all 106 are connected. Clamp the pixels, and the label units say what digit that is; clamp a label,
and the pixels dream of it. Here the size of p⁺ − p⁻ counts, not its sign alone.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle

import minigrad as mg
from minigrad import nn
from minigrad.backend import current_backend
from minigrad.core import module_of
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DATA_SETS, TRUTH_TABLES, DataSet, Examples
from models.training import Progress, Training

ANNEALING = (2.0, 2.0, 1.5, 1.5, 1.2, 1.2, 1.0, 1.0, 1.0, 1.0)  # as multiples of T, one a sweep
COUNTED = 10  # sweeps in equilibrium over which statistics are taken
FEW = 3  # sweeps over which they are taken for each batch of images
REPEATS = 2  # annealings for each vector of the environment
COUNTABLE = 14  # so many units have few enough states to enumerate
Seen = Callable[[], Tensor] | None


class BoltzmannMachine(nn.Module):
    """m machines side by side, of n units with the same connections.

    States s have the shape (m, chains, n), visible units first. Weights are (m, n, n), biases
    (m, n), all 0 to begin with.

    Args:
        connections: (n, n), symmetric; true where two units are connected.
        visible: how many of the units are visible.
        machines: m.
        temperature: T.

    Raises:
        ValueError: a unit is connected to itself, or one way; or a number makes no sense.
    """

    weight: Tensor
    bias: Tensor
    connections: Tensor

    def __init__(
        self, connections: Any, visible: int, machines: int = 1, temperature: float = 1.0
    ) -> None:
        super().__init__()
        connected = np.asarray(connections, dtype="float32")
        n = len(connected)
        if connected.shape != (n, n) or (connected != connected.T).any() or connected.trace():
            raise ValueError(
                "BoltzmannMachine: connections wants a symmetric matrix without a diagonal"
            )
        if not 1 <= visible <= n:
            raise ValueError(f"BoltzmannMachine: visible wants 1 to {n} units, got {visible}")
        if machines < 1:
            raise ValueError(f"BoltzmannMachine: machines wants at least 1, got {machines}")
        if temperature <= 0.0:
            raise ValueError(
                f"BoltzmannMachine: temperature wants a positive number, got {temperature:g}"
            )
        self.visible = visible
        self.hidden = n - visible
        self.temperature = temperature
        self.register_buffer("connections", mg.tensor(connected, backend=current_backend().name))
        self.register_buffer("weight", mg.zeros((machines, n, n)))
        self.register_buffer("bias", mg.zeros((machines, n)))

    def energy(self, s: Tensor) -> Tensor:
        """E(s), (m, chains), for s (m, chains, n) or, the same for all machines, (chains, n)."""
        pairs = ((s @ self.weight) * s).sum(-1)
        return -0.5 * pairs - (s * self.bias.reshape(-1, 1, s.shape[-1])).sum(-1)

    # -- Sampling ---------------------------------------------------------------------------------

    def run(
        self, s: Tensor, free: Sequence[int], temperatures: Iterable[float], seen: Seen = None
    ) -> Iterator[Tensor]:
        """Ask the free units in random order, once at each temperature; yields the states after.

        All other units are clamped, the visible ones each time to what `seen` then returns, if it
        is given. A unit is on with probability σ(x / T) where its input x exceeds T times a
        logistic random number, log(u / (1 − u)) with u uniform.
        """
        w, b = self.weight.array, self.bias.array[:, :, None]
        state = s.array.swapaxes(1, 2).copy()  # (m, n, chains)
        machines, _, chains = state.shape
        units = module_of(state).asarray(list(free))
        for temperature in temperatures:
            if seen is not None:
                state[:, : self.visible] = seen().array.swapaxes(1, 2)
            u = mg.clip(mg.rand(machines, len(free), chains), 1e-7, 1.0 - 1e-7)
            noise = (temperature * mg.log(u / (1.0 - u))).array
            order = units[mg.randperm(len(free)).array]
            for i in range(len(free)):
                unit = order[i : i + 1]
                x = w[:, unit] @ state + b[:, unit]
                state[:, unit] = x > noise[:, i : i + 1]
            yield Tensor(state.swapaxes(1, 2).copy())

    def settled(self, s: Tensor, free: Sequence[int], seen: Seen = None) -> Tensor:
        """The free units from random states through the annealing, all others as in s."""
        start = s.array.copy()
        machines, chains, _ = s.shape
        start[:, :, list(free)] = mg.bernoulli(0.5, (machines, chains, len(free))).array
        temperatures = [t * self.temperature for t in ANNEALING]
        *_, last = self.run(Tensor(start), free, temperatures, seen)
        return last

    def sampled_statistics(
        self, s: Tensor, free: Sequence[int], seen: Seen = None, sweeps: int = COUNTED
    ) -> Tensor:
        """How often two units are on together (on the diagonal: one unit), (m, n, n), over so many
        sweeps at T that follow on s, and over all chains."""
        return together(self.run(s, free, self.cold(sweeps), seen))

    def cold(self, sweeps: int) -> list[float]:
        """The temperatures of so many sweeps at T."""
        return [self.temperature] * sweeps

    # -- Enumeration ------------------------------------------------------------------------------

    def states(self) -> Tensor:
        """All states (2ⁿ, n); the visible units change last, so that 2^hidden rows share them.

        Raises:
            ValueError: there are too many.
        """
        n = self.visible + self.hidden
        if n > COUNTABLE:
            raise ValueError(
                f"BoltzmannMachine: can enumerate the states of at most {COUNTABLE} units, got "
                f"{self.visible} visible and {self.hidden} hidden"
            )
        return all_states(n, self.weight)

    def log_probabilities(self) -> Tensor:
        """log p(v, h) at T, (m, 2^visible, 2^hidden), by enumeration."""
        logs = self.energy(self.states()) * (-1.0 / self.temperature)
        logs = logs - mg.logsumexp(logs, 1, keepdims=True)
        return logs.reshape(-1, 2**self.visible, 2**self.hidden)

    def exact_statistics(self, q: Tensor) -> tuple[Tensor, Tensor]:
        """p⁺ and p⁻, (m, n, n) with the probabilities of single units on the diagonal.

        Args:
            q: of the visible states in the order of `states`, (2^visible,).
        """
        s = self.states()
        together = (s[:, :, None] * s[:, None, :]).reshape(len(s), -1)
        logs = self.log_probabilities()
        of_hidden = mg.exp(logs - mg.logsumexp(logs, 2, keepdims=True))  # p(h | v)
        clamped, joint = q.reshape(1, -1, 1) * of_hidden, mg.exp(logs)
        shape = self.weight.shape
        on, free = ((p.reshape(shape[0], -1) @ together).reshape(shape) for p in (clamped, joint))
        return on, free

    def divergence(self, q: Tensor) -> Tensor:
        """G, (m,)."""
        log_p = mg.logsumexp(self.log_probabilities(), 2)
        log_q = mg.log(mg.where(q > 0.0, q, 1.0))  # 0 log 0 = 0
        return (q * (log_q - log_p)).sum(1)

    def given(self, values: Tensor) -> Tensor:
        """log p of the other units, given that the first k units have values (…, k), but for a
        constant: (m, …, 2^(n − k)), in the order of `all_states`."""
        count, k = values.shape
        others = all_states(self.visible + self.hidden - k, self.weight)
        s = mg.concatenate(
            [
                mg.broadcast_to(values[:, None], (count, len(others), k)),
                mg.broadcast_to(others[None], (count, *others.shape)),
            ],
            axis=2,
        )
        energy = self.energy(s.reshape(count * len(others), -1))
        return (energy * (-1.0 / self.temperature)).reshape(-1, count, len(others))

    def codes(self, vectors: Tensor) -> Tensor:
        """The most probable hidden state for each visible vector (k, visible), (m, k)."""
        return self.given(vectors).argmax(2)

    def distinct_codes(self, vectors: Tensor) -> Tensor:
        """(m,): whether each vector has a code of its own."""
        codes = self.codes(vectors)
        return (codes[:, :, None] == codes[:, None, :]).sum(axis=(1, 2)) == len(vectors)

    def completed(self, values: Tensor, vectors: Tensor) -> Tensor:
        """(m,): whether every vector is the most probable that begins with its values."""
        rest = self.visible - values.shape[1]
        logs = self.given(values).reshape(-1, len(values), 2**rest, 2**self.hidden)
        best = all_states(rest, self.weight)[mg.logsumexp(logs, 3).argmax(2)]
        right = best == vectors[:, values.shape[1] :]
        return right.sum(axis=(1, 2)) == len(values) * rest

    # -- Learning ---------------------------------------------------------------------------------

    def change(self, by: Tensor) -> None:
        """Add (m, n, n) to the weights where there are connections, the diagonal to the biases."""
        self.weight.overwrite((self.weight + by * self.connections).array)
        self.bias.overwrite((self.bias + mg.diagonal(by, axis1=1, axis2=2)).array)


def together(states: Iterable[Tensor]) -> Tensor:
    """How often two units are on together in states (m, chains, n), (m, n, n)."""
    every = mg.concatenate(list(states), axis=1)
    return every.swapaxes(1, 2) @ every * (1.0 / every.shape[1])


def all_states(n: int, like: Tensor, among: range | None = None) -> Tensor:
    """All states of n units, (2ⁿ, n), the last of which changes first; or some `among` them."""
    among = range(2**n) if among is None else among
    powers = 2 ** mg.flip(mg.arange(n))
    numbers = mg.arange(among.start, among.stop).reshape(-1, 1)
    return (numbers // powers % 2).to(like.backend).astype(like.dtype)


class BoltzmannTraining(Training):
    """Many machines at once, each of which learns the environment from its own random numbers.

    Attributes:
        metric: distinct_codes, where there are enough hidden states for it, else completed.
        since: (m,), the learning cycle since which a machine has had distinct codes, or 0.
        past: weights, with biases on the diagonal, after every epoch, (m, n, n) each.
    """

    network: BoltzmannMachine

    def __init__(
        self, network: BoltzmannMachine, data: Examples, settings: SimpleNamespace
    ) -> None:
        super().__init__(network, data, settings)
        self.unit = "cycles"
        self.vectors = data.train.tensors[0]
        self.values = data.test.tensors[0]  # the first units of each vector, to be completed
        for name in ("drop", "add"):
            value = getattr(settings, name)
            if value > 1.0:
                raise ValueError(f"boltzmann: {name} wants a probability, got {value:g}")
        if settings.cycles < 1:
            raise ValueError(f"boltzmann: cycles wants at least 1, got {settings.cycles}")
        self.q = environment(self.vectors, settings.drop, settings.add)
        network.divergence(self.q)  # refuses too many units
        if settings.statistics == "exact":  # which never part machines and units that are alike
            noise = network.temperature * mg.randn(*network.weight.shape)
            network.change(mg.triu(noise, 1) + mg.triu(noise, 1).swapaxes(1, 2))
        enough = 2**network.hidden >= len(self.vectors)
        self.metric = "distinct_codes" if enough else "completed"
        machines = network.weight.shape[0]
        self.since = mg.zeros(machines, dtype="int64")
        self.past: list[Any] = []

    @mg.no_grad()
    def epoch(self, progress: Progress) -> dict[str, float]:
        network, cycles = self.network, self.settings.cycles
        share = len(self.train) / cycles
        for i in range(1, cycles + 1):
            self.cycle()
            cycle = len(self.past) * cycles + i
            since = mg.where(self.since == 0, cycle, self.since)
            self.since = mg.where(network.distinct_codes(self.vectors), since, 0)
            progress.update(round(share * i) - round(share * (i - 1)))
        self.past.append(with_biases(network))
        return {}

    def cycle(self) -> None:
        """One learning cycle: statistics clamped and free, and a change of all weights."""
        network, settings = self.network, self.settings
        if settings.statistics == "exact":
            clamped, free = network.exact_statistics(self.q)
            network.change(settings.lr * (clamped - free))
            return
        clamped = self.sampled(range(network.visible, len(network.connections)), self.seen)
        free = self.sampled(range(len(network.connections)))
        network.change(settings.lr * mg.sign(clamped - free))

    def sampled(self, free: Sequence[int], seen: Seen = None) -> Tensor:
        """Statistics after an annealing, `REPEATS` times as many chains as there are vectors."""
        machines, n, _ = self.network.weight.shape
        start = mg.zeros((machines, REPEATS * len(self.vectors), n))
        return self.network.sampled_statistics(self.network.settled(start, free, seen), free, seen)

    def seen(self) -> Tensor:
        """Each vector `REPEATS` times in each machine, with noise, (m, chains, visible)."""
        vectors = mg.concatenate([self.vectors] * REPEATS)
        turn = mg.where(vectors > 0.5, self.settings.drop, self.settings.add)
        return mg.abs(vectors - mg.bernoulli(turn, (len(self.network.weight), *vectors.shape)))

    @mg.no_grad()
    def evaluate(self) -> dict[str, float]:
        network = self.network
        measured = {
            "divergence": network.divergence(self.q),
            "completed": network.completed(self.values, self.vectors).astype("float32"),
        }
        if self.metric == "distinct_codes":
            measured["distinct_codes"] = (self.since > 0).astype("float32")
        return {name: float(values.mean()) for name, values in measured.items()}

    def report(self) -> str:
        network, k = self.network, len(self.vectors)
        machines = len(network.weight)
        completed = int(network.completed(self.values, self.vectors).astype("int64").sum())
        lines = [f"{completed} of {machines} machines complete every vector"]
        if self.metric == "distinct_codes":
            since = self.since.numpy()
            since = since[since > 0]
            line = f"{len(since)} of {machines} machines found {k} distinct codes"
            if len(since):
                median, last = np.median(since), since.max()
                line += f", and have had them since learning cycle {median:g} in the median and"
                line += f" {last} at the latest"
            lines.insert(0, line)
        return "\n".join(lines)

    def shown(self) -> int:
        """The machine to draw: of those that solve the problem, the one with the least G."""
        network = self.network
        distinct = self.metric == "distinct_codes"
        solved = self.since > 0 if distinct else network.completed(self.values, self.vectors)
        g = network.divergence(self.q)
        return int(mg.where(solved, g, g + 1e6).argmin())

    def sample(self, count: int, folder: Path) -> str:
        """Draw freely from one machine, then clamp the beginning of each vector."""
        chosen = self.shown()
        network = copies(self.network, with_biases(self.network)[chosen : chosen + 1])
        n, given = network.visible + network.hidden, self.values.shape[1]
        nothing = mg.zeros((1, count, n))
        lines = [f"machine {chosen} runs freely: visible units | hidden units"]
        lines += [self._written(row) for row in network.settled(nothing, range(n)).numpy()[0]]
        lines += [f"the first {given} units are clamped, the machine draws the others"]
        for values, vector in zip(self.values, self.vectors, strict=True):
            start = mg.concatenate([values, mg.zeros(n - given)])
            start = mg.broadcast_to(start, (1, count, n))
            end = network.settled(start, range(given, n))[0, :, : network.visible]
            drawn = Counter(self._written(row) for row in end.numpy())
            (answer, times), *_ = drawn.most_common(1)
            wanted = self._written(vector.numpy())
            lines.append(f"{wanted} wanted; most often {answer}, {times} times of {count}")
        return "\n".join(lines)

    def _written(self, row: np.ndarray) -> str:
        """Units as bits, with a space between what is given and what is completed."""
        bits = "".join("1" if bit else "0" for bit in row)
        given, visible = self.values.shape[1], self.network.visible
        parts = f"{bits[:given]} {bits[given:visible]}"
        return f"{parts} | {bits[visible:]}" if len(bits) > visible else parts

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        draw_learning(self, history, folder / "learning.png")
        draw_weights(self, folder / "weights.png")
        if self.metric == "distinct_codes" and self.network.hidden == 2:
            draw_codes(self, folder / "codes.png")

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"since": self.since, "past": self.past}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.since = mg.tensor(state["since"], backend=self.network.weight.backend)
        self.past = list(state["past"])


class ImageTraining(Training):
    """One machine, whose visible units are the pixels of an image and, one a class, its label.

    The grey value of a pixel is the probability that it is clamped on. With every batch hidden
    units are annealed while it is clamped. The machine that runs freely is not: its chains go on
    from where they were before the weights changed. The learning rate falls to 0 in a straight
    line.

    Attributes:
        chains: the free machine's states, (1, chains, n).
        steps: how often the weights have changed.
    """

    network: BoltzmannMachine

    def __init__(
        self, network: BoltzmannMachine, data: Examples, settings: SimpleNamespace
    ) -> None:
        super().__init__(network, data, settings)
        x, labels = data.train.tensors
        self.shape = x.shape[1:]
        self.pixels = math.prod(self.shape)
        self.hidden_units = range(network.visible, network.visible + network.hidden)
        self.steps = 0
        self.total = settings.epochs * len(self.loader)
        mean = mg.clip(self.vectors(x, labels).mean(1), 0.01, 0.99)[0, : network.visible]
        start = network.temperature * mg.log(mean / (1.0 - mean))
        network.bias.overwrite(mg.concatenate([start, mg.zeros(network.hidden)])[None].array)
        n = settings.batch_size
        self.chains = mg.bernoulli(self.vectors(x[:n], labels[:n]))

    def vectors(self, x: Tensor, labels: Tensor) -> Tensor:
        """Images (k, c, h, w) and labels (k,) as states (1, k, n), hidden units off."""
        on = labels.reshape(-1, 1) == mg.arange(len(self.classes))
        off = mg.zeros((len(x), self.network.hidden))
        return mg.concatenate([x.reshape(len(x), -1), on.astype(x.dtype), off], axis=1)[None]

    @mg.no_grad()
    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        network, hidden = self.network, self.hidden_units
        clamped = network.settled(mg.bernoulli(self.vectors(*batch)), hidden)
        on = network.sampled_statistics(clamped, hidden, sweeps=FEW)
        free = list(network.run(self.chains, range(len(network.connections)), network.cold(FEW)))
        self.chains = free[-1]
        left = 1.0 - self.steps / self.total
        network.change(self.settings.lr * left * (on - together(free)))
        self.steps += 1
        return {}

    @mg.no_grad()
    def completed(self, states: Tensor, free: Sequence[int], wait: int = 0) -> Tensor:
        """How often each unit is on, (k, n), in the sweeps that come after an annealing of the free
        units of states (1, k, n), and some more sweeps to `wait`."""
        network = self.network
        settled = network.settled(states, free)
        *_, last = (settled, *network.run(settled, free, network.cold(wait)))
        counted = network.run(last, free, network.cold(2 * COUNTED))
        return mg.concatenate(list(counted)).mean(0)

    def read(self, x: Tensor) -> Tensor:
        """How often each label is on while images (k, c, h, w) are clamped, (k, classes)."""
        bits = (x > 0.5).astype(x.dtype)
        states = self.vectors(bits, mg.full((len(x),), -1))
        visible = self.network.visible
        return self.completed(states, range(self.pixels, states.shape[2]))[:, self.pixels : visible]

    def dreams(self, labels: Tensor) -> Tensor:
        """Images (k, c, h, w) that come while labels (k,) are clamped."""
        states = self.vectors(mg.zeros((len(labels), *self.shape)), labels)
        free = [*range(self.pixels), *self.hidden_units]
        return self.completed(states, free, wait=200)[:, : self.pixels].reshape(-1, *self.shape)

    def evaluate(self) -> dict[str, float]:
        x, labels = self.test.tensors
        return {"test_accuracy": float((self.read(x).argmax(1) == labels).astype(x.dtype).mean())}

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        x, labels = self.test.tensors
        guesses = self.read(x).argmax(1).numpy()
        pictures.confusion(guesses, labels.numpy(), self.classes, folder / "confusion.png")
        self.draw_dreams(10, folder / "dreams.png")
        between = self.network.weight.numpy()[0, self.network.visible :, : self.pixels]
        if len(between):
            title = f"Weights between {len(between)} hidden units and the pixels"
            pictures.weights(between.reshape(-1, *self.shape[1:]), title, folder / "weights.png")

    def draw_dreams(self, count: int, path: Path) -> None:
        """A row of `count` dreams a label."""
        classes = len(self.classes)
        images = self.dreams(mg.arange(classes * count) // count).numpy()
        title = "Dreams of each label: pixels while it is clamped, on average over some sweeps"
        pictures.table(images.reshape(classes, count, *self.shape), [], title, path)

    def sample(self, count: int, folder: Path) -> str:
        self.draw_dreams(count, folder / "dreams.png")
        return ""

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"chains": self.chains, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.chains = mg.tensor(state["chains"], backend=self.network.weight.backend)
        self.steps = state["steps"]


def environment(vectors: Tensor, drop: float, add: float) -> Tensor:
    """q(v) of all 2^visible states: vectors (k, visible) with equal probabilities, whose units are
    then turned off with probability `drop` and on with probability `add`."""
    states = all_states(vectors.shape[1], vectors)[:, None]
    turn = mg.where(vectors > 0.5, drop, add)
    return mg.where(states == vectors, 1.0 - turn, turn).prod(2).mean(1)


def with_biases(network: BoltzmannMachine) -> np.ndarray:
    """Weights with the biases on the diagonal, (m, n, n), on the host."""
    eye = np.eye(network.weight.shape[-1], dtype="float32")
    return network.weight.numpy() + network.bias.numpy()[:, :, None] * eye


def copies(network: BoltzmannMachine, weights: np.ndarray) -> BoltzmannMachine:
    """Machines of the same kind with weights, and biases on the diagonal, (m, n, n)."""
    made = BoltzmannMachine(
        network.connections.numpy(), network.visible, len(weights), network.temperature
    ).to(network.weight.backend)
    made.change(mg.tensor(weights, backend=network.weight.backend))
    return made


# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------


def draw_learning(training: BoltzmannTraining, history: list[dict[str, Any]], path: Path) -> None:
    """How many machines have solved the problem, and G, over the learning cycles."""
    machines = len(training.network.weight)
    cycles = np.arange(1, len(training.past) + 1) * training.settings.cycles
    made = pictures.figure(9.6, 3.7)
    left, right = pictures.grid(made, 1, 2)[0]
    for name, label, colour in (
        ("distinct_codes", "have distinct codes", pictures.BLUE),
        ("completed", "complete every vector", pictures.ORANGE),
    ):
        if name in history[-1]:
            count = [machines * entry[name] for entry in history]
            left.plot(cycles, count, label=label, color=colour)
    solved = round(machines * history[-1][training.metric])
    what = "have distinct codes" if training.metric == "distinct_codes" else "complete all vectors"
    left.set_title(f"{solved} of {machines} machines {what} in the end")
    left.set_ylabel("machines")
    left.set_ylim(0.0, 1.05 * machines)
    left.legend(loc="lower right")
    every = [copies(training.network, weights).divergence(training.q) for weights in training.past]
    g = mg.stack(every).numpy()
    low, median, high = np.percentile(g, (10, 50, 90), axis=1)
    right.fill_between(cycles, low, high, color=pictures.BLUE, alpha=0.2, linewidth=0.0)
    right.plot(cycles, median, color=pictures.BLUE, label="median; shaded: 10 to 90 %")
    if training.metric == "completed":
        style = {"color": pictures.GREY, "linestyle": "--"}
        right.axhline(np.log(2.0), label="log 2: the least without hidden units", **style)
    right.set_title(f"Exact G: from {median[0]:.2f} to {median[-1]:.2f}")
    right.set_ylabel("G = Σ q log (q / p) in nats")
    right.set_ylim(bottom=0.0)
    right.legend()
    for axes in (left, right):
        axes.set_xlabel("learning cycles")
        axes.grid(alpha=0.3)
    pictures.save(made, path)


def draw_codes(training: BoltzmannTraining, path: Path) -> None:
    """How the codes of one machine part, and the codes of all machines."""
    machine = training.shown()
    cycles = training.settings.cycles
    found = int(training.since.numpy()[machine]) // cycles
    until = training.past[: found + 6]
    walk = _activities(training, np.stack([weights[machine] for weights in until]))
    start = np.full((1, *walk.shape[1:]), 0.5)
    walk = np.concatenate([start, walk])
    made = pictures.figure(8.8, 4.4)
    left, right = pictures.grid(made, 1, 2)[0]
    colours = (pictures.BLUE, pictures.ORANGE, pictures.GREEN, pictures.GREY)
    ends = _activities(training, training.past[-1])
    noise = np.random.default_rng(0).uniform(-0.04, 0.04, ends.shape)
    for k, colour in enumerate(colours):
        left.plot(*walk[:, k].T, "o-", color=colour, markersize=2.5, linewidth=0.8)
        left.plot(*walk[-1, k], "o", color=colour, markersize=13)
        left.annotate(str(k + 1), walk[-1, k], color="w", ha="center", va="center")
        right.scatter(*(ends + noise)[:, k].T, s=8, color=colour, alpha=0.6)
    left.set_title(
        f"Codes of the four vectors v in {cycles * len(until)} cycles of machine {machine}"
    )
    right.set_title(f"All {len(ends)} machines in the end (moved a little apart)")
    for axes in (left, right):
        axes.set(xlim=(-0.1, 1.1), ylim=(-0.1, 1.1), xticks=(0, 1), yticks=(0, 1), aspect="equal")
        axes.set_xlabel("$p(h_1 = 1 \\mid v)$")
        axes.set_ylabel("$p(h_2 = 1 \\mid v)$")
    pictures.save(made, path)


def _activities(training: BoltzmannTraining, weights: np.ndarray) -> np.ndarray:
    """p(h = 1 | v) for every vector, (m, k, hidden)."""
    network = copies(training.network, weights)
    logs = network.given(training.vectors)
    p = mg.exp(logs - mg.logsumexp(logs, 2, keepdims=True))
    return (p @ all_states(network.hidden, p)).numpy()


def draw_weights(training: BoltzmannTraining, path: Path) -> None:
    """The weights of one machine as in the paper's figures 2 and 3: each unit is a box, which shows
    all units where they are, and in them their weights to this one."""
    machine = training.shown()
    cycles = training.settings.cycles
    last = len(training.past) - 1
    found = int(training.since.numpy()[machine]) // cycles
    shown = sorted({0, min(found, last), last})
    network = training.network
    given, visible, n = training.values.shape[1], network.visible, len(network.connections)
    named = {"given": range(given), "hidden": range(visible, n), "completed": range(given, visible)}
    rows = {name: row for name, row in named.items() if len(row)}
    width = max(map(len, rows.values()))
    aspect = width * (width + 0.6) / (len(rows) * (len(rows) + 0.6))
    title = f"Weights of machine {machine}: white is positive, black negative"
    made = pictures.figure(0.9 + max(1.8, 2.3 * aspect) * len(shown), 3.2, title)
    for axes, epoch in zip(pictures.grid(made, 1, len(shown))[0], shown, strict=True):
        weights = training.past[epoch][machine]
        _draw_boxes(axes, weights, rows, named=epoch == shown[0])
        largest = np.abs(weights).max()
        axes.set_title(f"after {cycles * (epoch + 1)} cycles\nlargest: {largest:.3g}", loc="center")
    pictures.save(made, path)


def _draw_boxes(axes: Axes, weights: np.ndarray, rows: dict[str, range], named: bool) -> None:
    """The areas of the squares are the sizes of the weights; biases are where a unit would be
    connected to itself."""
    width, height = max(map(len, rows.values())), len(rows)
    place = {
        unit: (column + 0.5 * (width - len(row)), height - 1.0 - line)
        for line, row in enumerate(rows.values())
        for column, unit in enumerate(row)
    }
    for line, name in enumerate(rows if named else ()):
        y = (height - 1.0 - line) * (height + 0.6) + 0.5 * height
        axes.text(-0.5, y, name, ha="right", va="center")
    largest = np.abs(weights).max() or 1.0
    for unit, (x, y) in place.items():
        left, bottom = x * (width + 0.6), y * (height + 0.6)
        axes.add_patch(Rectangle((left, bottom), width, height, facecolor="0.75"))
        for other, inside in place.items():
            w = weights[unit, other]
            side = 0.9 * np.sqrt(abs(w) / largest)
            margin = 0.5 * (1.0 - side)
            corner = (left + inside[0] + margin, bottom + inside[1] + margin)
            axes.add_patch(Rectangle(corner, side, side, facecolor="w" if w > 0.0 else "k"))
    axes.set(xlim=(-0.3, width * (width + 0.6)), ylim=(-0.3, height * (height + 0.6)))
    axes.set_aspect("equal")
    axes.set_axis_off()


# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------


def _encoder() -> tuple[TensorDataset, TensorDataset]:
    """Unit k of V₁ and unit k of V₂ on; to be completed is V₂."""
    one = mg.eye(4)
    return _vectors(one, one)


def _xor() -> tuple[TensorDataset, TensorDataset]:
    """Two bits and their exclusive or, which is to be completed."""
    rows = mg.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    value = mg.tensor(TRUTH_TABLES["xor"], dtype="float32").reshape(-1, 1)
    return _vectors(rows, value)


def _vectors(values: Tensor, rest: Tensor) -> tuple[TensorDataset, TensorDataset]:
    """Whole vectors to learn; their beginnings to complete."""
    numbers = mg.arange(len(values))
    whole = mg.concatenate([values, rest], axis=1)
    return TensorDataset(whole, numbers), TensorDataset(values, numbers)


def _data(name: str, settings: SimpleNamespace) -> DataSet:
    if name == "digits":
        return DATA_SETS[name]
    read, visible = {"encoder": (_encoder, 8), "xor": (_xor, 3)}[name]
    return DataSet(name, read, (visible,), ("1", "2", "3", "4"))


def _build(data: DataSet, settings: SimpleNamespace) -> BoltzmannMachine:
    if data.name == "digits":
        visible, machines = math.prod(data.shape) + len(data.classes), 1
    else:
        (visible,), machines = data.shape, settings.machines
    n = visible + settings.hidden
    connections = 1.0 - np.eye(n)
    if data.name == "encoder":
        first, second, hidden = slice(0, 4), slice(4, 8), slice(8, n)
        connections[first, second] = connections[second, first] = connections[hidden, hidden] = 0.0
    return BoltzmannMachine(connections, visible, machines, settings.temperature)


def _training(network: BoltzmannMachine, data: Examples, settings: SimpleNamespace) -> Training:
    kind = ImageTraining if data.train.tensors[0].ndim == 4 else BoltzmannTraining
    return kind(network, data, settings)


ARCHITECTURE = Architecture(
    title="Boltzmann machine",
    paper="Ackley, Hinton & Sejnowski 1985, A learning algorithm for Boltzmann machines",
    reference="encoder: four distinct codes in 250 of 250 tests, after 110 learning cycles in the "
    "median and 1,810 at most (Ackley, Hinton & Sejnowski 1985)",
    settings={
        "encoder": {
            "epochs": 100,
            "cycles": 20,
            "machines": 100,
            "hidden": 2,
            "statistics": "sampled",
            "lr": 2.0,
            "temperature": 10.0,
            "drop": 0.15,
            "add": 0.05,
        },
        "xor": {
            "epochs": 100,
            "cycles": 20,
            "machines": 100,
            "hidden": 1,
            "statistics": "exact",
            "lr": 2.0,
            "temperature": 1.0,
            "drop": 0.0,
            "add": 0.0,
        },
        "digits": {
            "epochs": 30,
            "batch_size": 50,
            "hidden": 32,
            "lr": 1.0,
            "temperature": 1.0,
        },
    },
    cost={"encoder": "45 s, 0.2 GiB", "xor": "7 s, 0.2 GiB", "digits": "10 s, 0.2 GiB"},
    meaning={
        "epochs": "how often to measure; of images, passes over them",
        "cycles": "learning cycles an epoch",
        "machines": "how many machines learn at once",
        "hidden": "hidden units",
        "statistics": "sampled, whose sign counts, or exact, by enumeration",
        "lr": "the weight-step where signs count, otherwise the learning rate",
        "temperature": "T",
        "drop": "probability that a unit that is on is clamped off",
        "add": "probability that a unit that is off is clamped on",
    },
    choices={"statistics": ("sampled", "exact")},
    build=_build,
    training=_training,
    data=_data,
)
