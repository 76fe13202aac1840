"""The McCulloch-Pitts unit: a neuron that fires or does not, and what circuits of it compute.

W. S. McCulloch and W. Pitts 1943, "A logical calculus of the ideas immanent in nervous activity",
Bulletin of Mathematical Biophysics 5, 115-133.

A unit weighs its inputs, subtracts a threshold θ, and fires where something is left:

    y = 1 where Σᵢ wᵢ xᵢ − θ ≥ 0, else 0                                    x, y ∈ {0, 1}

Nothing is learned; the weights are set by hand. One unit splits its inputs by a line, which is
enough for AND, OR, NOT and NAND. No line splits XOR, but two layers do: XOR = AND(OR, NAND), true
between two parallel lines. Since NAND alone suffices for every Boolean function, circuits of such
units compute them all.

In the paper an active inhibitory input forbids firing altogether; here, as is usual since, it is an
input with a negative weight.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import minigrad as mg
from minigrad import nn
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import TRUTH_TABLES, DataSet
from models.training import Progress, Training


class ThresholdUnit(nn.Module):
    """y = 1 where w · x − θ ≥ 0, else 0, for inputs x (..., n); y has shape (...)."""

    weight: Tensor
    threshold: Tensor

    def __init__(self, weight: Sequence[float], threshold: float) -> None:
        super().__init__()
        self.register_buffer("weight", mg.tensor([float(w) for w in weight]))
        self.register_buffer("threshold", mg.tensor(float(threshold)))

    def forward(self, x: Tensor) -> Tensor:
        fires = x @ self.weight - self.threshold >= 0.0
        return fires.astype(x.dtype)


# Thresholds lie halfway between the sums that shall fire and those that shall not.
WEIGHTS_AND_THRESHOLDS = {
    "and": ([1, 1], 1.5),
    "or": ([1, 1], 0.5),
    "not": ([-1], -0.5),
    "nand": ([-1, -1], -1.5),
}


class ExclusiveOr(nn.Module):
    """XOR(x) = AND(OR(x), NAND(x)): a circuit of two layers, for inputs x (..., 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.either = ThresholdUnit(*WEIGHTS_AND_THRESHOLDS["or"])
        self.not_both = ThresholdUnit(*WEIGHTS_AND_THRESHOLDS["nand"])
        self.both_fire = ThresholdUnit(*WEIGHTS_AND_THRESHOLDS["and"])

    def forward(self, x: Tensor) -> Tensor:
        return self.both_fire(mg.stack([self.either(x), self.not_both(x)], axis=-1))


class Logic(nn.Module):
    """AND, OR, NOT, NAND and XOR side by side: x (..., 2) → (..., 5); NOT looks at x₁ alone."""

    def __init__(self) -> None:
        super().__init__()
        self.units = nn.ModuleDict(
            {name: ThresholdUnit(*given) for name, given in WEIGHTS_AND_THRESHOLDS.items()}
        )
        self.xor = ExclusiveOr()

    def gate(self, name: str) -> Callable[[Tensor], Tensor]:
        """The function of x (..., 2) that a gate computes."""
        if name == "xor":
            return self.xor
        inputs = len(WEIGHTS_AND_THRESHOLDS[name][0])
        return lambda x: self.units[name](x[..., :inputs])

    def forward(self, x: Tensor) -> Tensor:
        return mg.stack([self.gate(name)(x) for name in TRUTH_TABLES], axis=-1)


class Verification(Training):
    """Goes through the truth tables: there is nothing to learn, and everything to check."""

    network: Logic

    def epoch(self, progress: Progress) -> dict[str, float]:
        progress.update(len(self.train))
        return {"train_loss": self._wrong(self.train)}

    def evaluate(self) -> dict[str, float]:
        return {"test_accuracy": 1.0 - self._wrong(self.test)}

    def _wrong(self, table: TensorDataset) -> float:
        """The fraction of wrong outputs."""
        x, y = table.tensors
        return float((self.network(x) != y).astype("float32").mean())

    def report(self) -> str:
        x, _ = self.test.tensors
        rows = mg.concatenate([x, self.network(x)], axis=1).numpy().astype(int)
        titles = ["x1", "x2", *(name.upper() for name in TRUTH_TABLES)]
        lines = ["  ".join(titles)]
        for row in rows:
            cells = zip(row, titles, strict=True)
            lines.append("  ".join(f"{value:>{len(title)}}" for value, title in cells))
        return "\n".join(lines)

    def sample(self, count: int, folder: Path) -> str:
        return self.report()

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        draw_truth_tables(self.network, folder / "truth-tables.png")


def draw_truth_tables(network: Logic, path: Path) -> None:
    """Each gate with its table, and its units as lines that cut the unit square."""
    x = mg.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    values = network(x).numpy().astype(int)
    title = "One line separates AND, OR, NOT and NAND; XOR takes two lines, and so a second layer"
    made = pictures.figure(11.0, 4.3, title)
    upper, lower = pictures.grid(made, 2, len(TRUTH_TABLES), height_ratios=(1.0, 1.25))
    for i, name in enumerate(TRUTH_TABLES):
        _draw_table(upper[i], name, values[:, i])
        axes = lower[i]
        pictures.regions(axes, network.gate(name))
        pictures.truth_table_points(axes, x.numpy(), values[:, i])
        for line in ("or", "nand") if name == "xor" else (name,):
            weight, threshold = WEIGHTS_AND_THRESHOLDS[line]
            w = [*weight, 0.0][:2]
            pictures.line(axes, w, -threshold, color=pictures.BLUE, linewidth=1.8)
        axes.set_title(_equation(name), loc="center")
        if i:
            axes.set_ylabel("")
    pictures.save(made, path)


def _draw_table(axes: Any, name: str, values: Any) -> None:
    axes.set_axis_off()
    lone = name == "not"
    rows = [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    cells = [[*row, str(value)] for row, value in zip(rows, values, strict=True)]
    if lone:
        cells = [[row[0], row[2]] for row in cells[::2]]
    header = ["$x_1$", "y"] if lone else ["$x_1$", "$x_2$", "y"]
    table = axes.table(cells, colLabels=header, cellLoc="center", loc="center", edges="horizontal")
    table.scale(0.8, 1.15)
    axes.set_title(name.upper(), loc="center", fontweight="bold")


def _equation(name: str) -> str:
    if name == "xor":
        return "AND(OR, NAND)"
    weight, threshold = WEIGHTS_AND_THRESHOLDS[name]
    terms = [f"{'−' if w < 0 else '+'} $x_{i + 1}$" for i, w in enumerate(weight)]
    return f"{' '.join(terms).removeprefix('+ ')} ≥ {threshold:g}".replace("-", "−")


def _build(data: DataSet, settings: SimpleNamespace) -> Logic:
    return Logic()


ARCHITECTURE = Architecture(
    title="McCulloch-Pitts unit",
    paper="McCulloch & Pitts 1943, A logical calculus of the ideas immanent in nervous activity",
    reference="every row of every truth table (it is a theorem)",
    settings={"logic": {"epochs": 1}},
    cost={"logic": "2 s, 0.2 GiB"},
    build=_build,
    training=Verification,
)
