"""The perceptron: the first machine that learned from its mistakes, and what it cannot learn.

F. Rosenblatt 1958, "The perceptron: a probabilistic model for information storage and organization
in the brain", Psychological Review 65, 386-408.

With a constant input 1 for the bias, x̃ = (x, 1), one unit fires on one side of a hyperplane:

    o = 1 where w · x̃ > 0, else 0                     w ← w + η (t − o) x̃

Only mistakes change the weights. η may decay: in epoch k it is η₁ / (1 + decay (k − 1)). From
w = 0, a constant η scales w and changes no decision.

**What it can learn.** If a unit vector u separates the examples with margin γ > 0, that is
± u · x̃ ≥ γ for all of them, and |x̃| ≤ R, then every mistake adds at least η γ to u · w and at most
η² R² to |w|². With the sums over mistakes, γ Σ η ≤ u · w ≤ |w| ≤ R √(Σ η²), hence

    (Σ η)² / Σ η² ≤ (R / γ)²

which for constant η says that there are at most (R / γ)² mistakes, in whatever order the examples
come (A. B. J. Novikoff 1962, "On convergence proofs on perceptrons"). The largest margin γ is that
of a support vector machine, the distance from 0 to the convex hull of the ± x̃.

**What it cannot.** XOR (M. Minsky and S. Papert 1969, "Perceptrons"). No hyperplane separates two
classes exactly if their convex hulls share a point, and whether they do is a linear programme.

**Several classes.** One unit a class; the largest w · x̃ fires. The same rule then moves two rows:
the missed class towards the image, the guessed one away. Where no weights are right for all images
they wander on forever, so that their average over all steps decides (Y. Freund and R. E. Schapire
1999, "Large margin classification using the perceptron algorithm"; M. Collins 2002).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import matplotlib
import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.optimize import linprog, nnls

import minigrad as mg
from minigrad import nn
from minigrad.backend import Array, to_host
from minigrad.core import module_of
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet, Examples
from models.training import Progress, Training


class Perceptron(nn.Module):
    """Linear threshold units; the weights have shape (units, inputs + 1), the bias last.

    One unit decides between two classes; of several units, the one with the largest sum fires.
    """

    weight: Tensor

    def __init__(self, inputs: int, units: int) -> None:
        super().__init__()
        self.register_buffer("weight", mg.zeros((units, inputs + 1)))

    def forward(self, x: Tensor) -> Tensor:
        """The sums w · x̃, (n, units), for x of shape (n, inputs)."""
        return Tensor(with_constant(x.array)) @ self.weight.T

    def classify(self, x: Tensor) -> Tensor:
        """The classes, (n,)."""
        sums = self(x)
        return sums.argmax(-1) if sums.shape[1] > 1 else (sums[:, 0] > 0.0).astype("int64")


def with_constant(x: Array) -> Array:
    """x̃ = (x, 1): rows of numbers, flattened, with the constant input of the bias at the end."""
    module = module_of(x)
    return module.concatenate([x.reshape(len(x), -1), module.ones((len(x), 1), x.dtype)], axis=1)


def fire(sums: Array) -> Array:
    """The outputs o of units with the sums w · x̃: a threshold for one, the winner of several."""
    if len(sums) == 1:
        return sums > 0.0
    return module_of(sums).arange(len(sums)) == sums.argmax()


def shared_point(first: np.ndarray, second: np.ndarray) -> np.ndarray | None:
    """A point in the convex hulls of both sets of rows, or None where a hyperplane separates them.

    A linear programme without an objective: weights α, β ≥ 0 that each sum to 1, with
    Σ αᵢ firstᵢ = Σ βⱼ secondⱼ. It is either solved or proved to have no solution.
    """
    n, m = len(first), len(second)
    conditions = np.zeros((2 + first.shape[1], n + m))
    conditions[0, :n] = 1.0
    conditions[1, n:] = 1.0
    conditions[2:] = np.concatenate([first, -second]).T
    wanted = np.array([1.0, 1.0, *np.zeros(first.shape[1])])
    solution = linprog(np.zeros(n + m), A_eq=conditions, b_eq=wanted, bounds=(0.0, None))
    if solution.status not in (0, 2):  # solved, infeasible
        raise RuntimeError(f"shared_point: the linear programme failed ({solution.message})")
    return solution.x[:n] @ first if solution.status == 0 else None


def largest_margin(x: np.ndarray, positive: np.ndarray) -> float:
    """γ = max over |u| = 1 of the least ± u · x̃, for separable rows x̃ (n, d) and their signs (n,).

    γ is the distance from 0 to the convex hull of the rows ± x̃. Its nearest point has the shares
    a / Σ a of the a ≥ 0 with the least |Σ aᵢ (± x̃ᵢ, 1) − (0, 1)|, a non-negative least squares
    problem (C. L. Lawson and R. J. Hanson 1974, "Solving least squares problems", chapter 23).
    """
    signed = np.where(positive, 1.0, -1.0)[:, None] * x
    system = np.concatenate([signed, np.ones((len(x), 1))], axis=1).T
    shares, _ = nnls(system, np.array([*np.zeros(x.shape[1]), 1.0]))
    return float(np.linalg.norm(shares @ signed) / shares.sum())


def exact(lr: float) -> float:
    """The learning rate as a multiple of 2⁻¹⁶.

    Sums of such weights over inputs of 0 and 1 have no rounding error: a point on the boundary is
    on it whichever way the sum is taken, where multiples of 0.1 would leave it at ±1e-17.
    """
    return max(1, round(lr * 2**16)) / 2**16


class PerceptronTraining(Training):
    """Rosenblatt's rule, one example after the other in random order.

    The running weights are the rule's; the network gets them, or with several units their average,
    at the end of every epoch. Each step decides on the host whether there was a mistake.
    """

    network: Perceptron

    def __init__(self, network: Perceptron, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        x, labels = data.train.tensors
        self.x = with_constant(x.array.astype("float64"))
        module = module_of(self.x)
        units = len(network.weight)
        classes = module.arange(units) if units > 1 else module.ones(1, "int64")
        self.targets = labels.array[:, None] == classes
        self.w = module.zeros(network.weight.shape)
        self.lag = module.zeros(network.weight.shape)  # Σ step · change: average = w − lag / steps
        self.steps = 0
        self.mistakes: list[int] = []  # one count an epoch
        self.rates: list[float] = []  # of one unit: η at every mistake,
        self.visited = [self.w]  # and w before the first and after each
        self.bound = math.inf
        self.shared: np.ndarray | None = None
        if units == 1:
            self._can_it_be_learned()

    def _can_it_be_learned(self) -> None:
        """Find the margin and Novikoff's bound, or the proof that there is no margin."""
        x, positive = to_host(self.x), to_host(self.targets)[:, 0]
        self.shared = shared_point(x[positive, :-1], x[~positive, :-1])
        if self.shared is None:
            self.bound = (x**2).sum(1).max() / largest_margin(x, positive) ** 2
            return
        point = ", ".join(f"{value:g}" for value in self.shared)
        self.finished = (
            "the data are not linearly separable: the convex hulls of the two classes share the "
            f"point ({point})"
        )

    def epoch(self, progress: Progress) -> dict[str, float]:
        lr = exact(self.settings.lr / (1.0 + self.settings.decay * len(self.mistakes)))
        mistakes = 0
        for i in mg.randperm(len(self.x)).numpy():
            x = self.x[i]
            error = self.targets[i] - 1.0 * fire(self.w @ x)  # t − o
            if error.any():
                change = lr * error[:, None] * x
                self.w = self.w + change
                self.lag += self.steps * change
                mistakes += 1
                if len(self.w) == 1:
                    self.rates.append(lr)
                    self.visited.append(self.w)
            self.steps += 1
            progress.update(1)
        self.mistakes.append(mistakes)
        average = self.w - self.lag / self.steps
        self.network.weight.overwrite(self.w if len(self.w) == 1 else average)
        if mistakes == 0:
            self.finished = f"no mistake in epoch {len(self.mistakes)}"
            if math.isfinite(self.bound):
                self.finished += f"; {self._compared_with_bound()}"
        return {"train_loss": mistakes / len(self.x), "mistakes": sum(self.mistakes)}

    def _compared_with_bound(self) -> str:
        """Novikoff's theorem in numbers."""
        made = f"{len(self.rates)} mistakes"
        if self.settings.decay:
            made += f", (Σ η)² / Σ η² = {self.weighted_mistakes():.1f}"
        return f"{made}, Novikoff's bound (R / γ)² = {self.bound:.1f}"

    def weighted_mistakes(self) -> float:
        """(Σ η)² / Σ η², which Novikoff's theorem bounds; the mistakes' number if η is constant."""
        return sum(self.rates) ** 2 / sum(rate**2 for rate in self.rates) if self.rates else 0.0

    def evaluate(self) -> dict[str, float]:
        x, labels = self.test.tensors
        right = (self.network.classify(x) == labels).astype("float32").mean()
        return {"test_accuracy": float(right)}

    def answers(self, x: Tensor) -> list[tuple[str, str]]:
        return [(self.classes[i], "") for i in self.network.classify(x).numpy()]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {name: getattr(self, name) for name in _LEARNED}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        for name in _LEARNED:
            setattr(self, name, state[name])
        module = module_of(self.x)
        self.w, self.lag = module.asarray(self.w), module.asarray(self.lag)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        if len(self.w) == 1:
            draw_plane(self, folder / "boundary.png")
            return
        x, _ = self.test.tensors
        sums = self.network(x).numpy()
        pictures.of_classifier(history, sums, self.test, self.classes, folder, unit="sum")
        tiles = self.network.weight.numpy()[:, :-1].reshape(len(self.w), *x.shape[2:])
        title = "Averaged weights of each unit: where ink speaks for a digit, and where against it"
        pictures.weights(tiles, title, folder / "weights.png", self.classes)


_LEARNED = ("w", "lag", "steps", "mistakes", "rates", "visited")


def draw_plane(training: PerceptronTraining, path: Path) -> None:
    """The boundary after every mistake and the mistakes against Novikoff's bound; or, where the
    classes cannot be separated, the point that their convex hulls share."""
    x, y = (tensor.numpy() for tensor in training.train.tensors)
    x = np.pad(x, ((0, 0), (0, 2 - x.shape[1])))  # NOT has one input
    if training.shared is not None:
        point = ", ".join(f"{value:g}" for value in training.shared)
        title = f"No line separates the classes: their hulls meet in ({point})"
        made = pictures.figure(4.6, 4.4, title)
        axes = pictures.grid(made, 1, 1)[0, 0]
        for value, colour in ((1, pictures.BLUE), (0, pictures.ORANGE)):
            label = f"hull of the {('false', 'true')[value]} rows"
            style = {"facecolor": "none", "edgecolor": colour, "linewidth": 2.5}
            axes.fill(*x[y == value].T, label=label, **style)
        axes.plot(*training.shared, "X", color="k", markersize=10, zorder=6)
        pictures.truth_table_points(axes, x, y)
        axes.legend(loc="upper right")
        pictures.save(made, path)
        return
    made = pictures.figure(8.6, 3.9)
    left, right = pictures.grid(made, 1, 2)[0]
    path_of_w = [to_host(w)[0] for w in training.visited[1:]]  # the first is zero, and no line
    colours = matplotlib.colormaps["cividis_r"](np.linspace(0.1, 1.0, len(path_of_w)))
    for i, (w, colour) in enumerate(zip(path_of_w, colours, strict=True)):
        last = i == len(path_of_w) - 1
        pictures.line(left, [*w[:-1], 0.0][:2], w[-1], color=colour, linewidth=2.5 if last else 1.0)
    inputs = len(training.w[0]) - 1
    pictures.regions(left, lambda p: training.network.classify(p[:, :inputs]))
    pictures.truth_table_points(left, x, y)
    left.set_title("The boundary after each mistake, light to dark")
    if inputs == 1:
        left.set(yticks=(), ylabel="")
    epochs = range(len(training.mistakes) + 1)
    counts = np.concatenate([[0], np.cumsum(training.mistakes)])
    right.plot(epochs, counts, color=pictures.BLUE, marker="o", markersize=4)
    right.axhline(training.bound, color=pictures.ORANGE, linestyle="--")
    right.annotate(
        f"Novikoff's bound (R / γ)² = {training.bound:.1f}",
        (0, training.bound),
        xytext=(2, -12),
        textcoords="offset points",
    )
    right.set_title(f"{counts[-1]} mistakes in {len(training.mistakes)} epochs")
    right.set_xlabel("epoch")
    right.set_ylabel("mistakes so far")
    right.xaxis.set_major_locator(MaxNLocator(integer=True))
    pictures.save(made, path)


def _build(data: DataSet, settings: SimpleNamespace) -> Perceptron:
    classes = len(data.classes)
    return Perceptron(math.prod(data.shape), classes if classes > 2 else 1)


_TABLE = {"epochs": 100, "lr": 0.1, "decay": 0.0}

ARCHITECTURE = Architecture(
    title="Perceptron",
    paper="Rosenblatt 1958, The perceptron: a probabilistic model for information storage and "
    "organization in the brain",
    reference="mnist: test_accuracy 0.88 (linear classifier of LeCun et al. 1998); AND, OR, NOT: "
    "at most (R / γ)² mistakes (Novikoff 1962); XOR: impossible (Minsky & Papert 1969)",
    settings={
        "digits": {"epochs": 20, "lr": 0.1, "decay": 0.0},
        "mnist": {"epochs": 10, "lr": 0.1, "decay": 0.0},
        "and": _TABLE,
        "or": _TABLE,
        "not": _TABLE,
        "xor": _TABLE,
    },
    meaning={"decay": "in epoch k the learning rate is lr / (1 + decay (k − 1))"},
    cost={
        "digits": "2 s, 0.2 GiB",
        "mnist": "10 s, 1.1 GiB",
        **dict.fromkeys(("and", "or", "not", "xor"), "1 s, 0.2 GiB"),
    },
    build=_build,
    training=PerceptronTraining,
)
