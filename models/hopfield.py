"""The Hopfield network: memories as the valleys of an energy.

J. J. Hopfield 1982, "Neural networks and physical systems with emergent collective computational
abilities", Proceedings of the National Academy of Sciences 79, 2554-2558.

n units are −1 or +1 (in the paper 0 or 1). All are connected, symmetrically, none with itself. A
unit takes the sign of its field, and stays as it is where the field is 0:

    hᵢ = Σⱼ wᵢⱼ sⱼ            sᵢ ← sign hᵢ            E(s) = −½ Σᵢⱼ wᵢⱼ sᵢ sⱼ

*Asynchronous* recall asks one unit after the other. A unit that turns against its old state changes
E by −2 |hᵢ|: the energy never rises, so that recall always ends, in a state that no single unit
leaves. *Synchronous* recall asks all units at once. Then E may rise, but −s(t)ᵀ w s(t − 1) does
not, and recall ends in a fixed point or in two states that follow each other forever (E. Goles, F.
Fogelman-Soulié and D. Pellegrin 1985).

**Storage** of patterns x¹ … xᵖ makes them such states, and, with luck, their neighbours their
basins of attraction:

    Hebbian          wᵢⱼ = 1/n Σ xᵢ xⱼ                                                       (i ≠ j)
    Storkey          wᵢⱼ ← wᵢⱼ + 1/n (xᵢ xⱼ − xᵢ hⱼᵢ − hᵢⱼ xⱼ),   hᵢⱼ = Σ wᵢₖ xₖ over k ≠ i, j
    pseudo-inverse   w = X⁺ X without its diagonal, X the p × n matrix of the patterns

A. J. Storkey 1997, "Increasing the capacity of a Hopfield network without sacrificing
functionality"; A. J. Storkey and R. Valabregue 1999, "The basins of attraction of a new Hopfield
learning rule". L. Personnaz, I. Guyon and G. Dreyfus 1985, "Information storage and retrieval in
spin-glass like neural networks". X⁺ X projects on the span of the patterns; without the diagonal,
which would only hold units where they are, the basins are wider (I. Kanter and H. Sompolinsky 1987,
"Associative recall of memory without errors").

**Capacity.** The overlap m = 1/n Σ xᵢ sᵢ is 1 where a pattern is recalled; (1 − m) / 2 of the
units are wrong. For Hebbian storage of random patterns the load α = p / n decides. The first step
from a stored pattern turns the fraction ½ erfc(1 / √(2α)) of the units, and recall goes on from
there. D. J. Amit, H. Gutfreund and H. Sompolinsky 1985, "Storing infinite numbers of patterns in a
spin-glass model of neural networks", found where it ends as n → ∞:

    m = erf y,    y (√(2α) + 2/√π e^(−y²)) = erf y

has a solution y > 0 up to α = 0.1379, with m = 0.967 there. Beyond, the patterns are lost all at
once; recall that starts at one stops on the way, in a state that still resembles it. With finite n
some patterns are lost before and some last a little longer: the drop is the sharper, the more units
there are (J. Hertz, A. Krogh and R. G. Palmer 1991, "Introduction to the theory of neural
computation", chapter 2). Storkey's rule stores n / √(2 ln n) random patterns without error; the
pseudo-inverse nearly n, in basins that shrink to nothing.

**One epoch** draws a set of random patterns that nobody has seen, and recalls them at every load;
with images, it stores one more of each class, and recalls them with one half erased.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from scipy.optimize import brentq
from scipy.special import erf, erfc

import minigrad as mg
from minigrad import nn
from minigrad.backend import Array, seeded
from minigrad.core import module_of
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DATA_SETS, DataSet, Examples
from models.training import Progress, Training

# ---------------------------------------------------------------------------------------------
# Storage: patterns x (p, n) of ±1 → weights (n, n), symmetric, with a diagonal of zeros
# ---------------------------------------------------------------------------------------------


def hebbian(x: Array) -> Array:
    """Units that are alike in most patterns excite each other, others inhibit."""
    return _without_diagonal(x.T @ x / x.shape[1])


def storkey(x: Array) -> Array:
    """Hebb's rule, less what the patterns before already do to the units.

    hᵢⱼ xⱼ = (hᵢ − wᵢⱼ xⱼ) xⱼ = hᵢ xⱼ − wᵢⱼ with the whole field h = w x, so that a pattern makes of
    w (1 + 2/n) w + 1/n (x xᵀ − x hᵀ − h xᵀ).
    """
    module, n = module_of(x), x.shape[1]
    every = module.arange(n)
    w = module.zeros((n, n), x.dtype)
    for pattern in x:
        h = w @ pattern
        left = module.stack([pattern, h], axis=1)
        right = module.stack([pattern - h, -pattern])
        w *= 1.0 + 2.0 / n
        w += left @ (right / n)
        w[every, every] = 0.0
    return w


def pseudo_inverse(x: Array) -> Array:
    """The projection on the span of the patterns, in which each of them is its own field."""
    module = module_of(x)
    precise = x.astype("float64")
    w = module.linalg.pinv(precise) @ precise
    w = 0.5 * (w + w.T)
    w = module.where(abs(w) < 1e-6, 0.0, w)  # rounding alone, where patterns span everything
    return _without_diagonal(w).astype(x.dtype)


def _without_diagonal(w: Array) -> Array:
    return w * (1.0 - module_of(w).eye(len(w), dtype=w.dtype))


RULES = {"hebbian": hebbian, "storkey": storkey, "pseudo_inverse": pseudo_inverse}


# ---------------------------------------------------------------------------------------------
# What theory expects of random patterns and Hebbian storage
# ---------------------------------------------------------------------------------------------


def wrong_after_a_step(load: float) -> float:
    """The fraction of the units that the first step from a stored pattern turns."""
    return 0.5 * float(erfc(1.0 / math.sqrt(2.0 * load)))


def _load(y: float) -> float:
    """The α of which y is a solution."""
    return 0.5 * float(erf(y) / y - 2.0 / math.sqrt(math.pi) * math.exp(-y * y)) ** 2


# α is largest where y² times the derivative of √(2α) is 0
_LARGEST = brentq(
    lambda y: 2.0 / math.sqrt(math.pi) * (y + 2.0 * y**3) * math.exp(-y * y) - erf(y), 1.0, 3.0
)
CRITICAL_LOAD = _load(_LARGEST)


def expected_overlap(load: float) -> float:
    """m where recall from a stored pattern ends, for n → ∞; 0 beyond the critical load."""
    if load >= CRITICAL_LOAD:
        return 0.0
    return float(erf(brentq(lambda y: _load(y) - load, _LARGEST, 30.0)))


def _expectation(rule: str, patterns: int, units: int) -> str:
    """What to expect of more patterns than units, in words."""
    load = patterns / units
    if rule == "hebbian":
        return (
            f"an overlap of {expected_overlap(load):.2f}, for Hebbian storage recalls up to "
            f"{CRITICAL_LOAD:.3f} patterns a unit; the first step from a stored pattern already "
            f"turns {100.0 * wrong_after_a_step(load):.1f} % of its units"
        )
    if rule == "storkey":
        capacity = units / math.sqrt(2.0 * math.log(units))
        return (
            "a small overlap, for Storkey's rule stores about n / √(2 ln n) = "
            f"{capacity:.0f} random patterns"
        )
    return (
        "the overlap that recall starts with, for they span all states, no weight is left beside "
        "the diagonal, and all states stay as they are"
    )


# ---------------------------------------------------------------------------------------------
# The network
# ---------------------------------------------------------------------------------------------

BLOCK = 32  # units whose fields one matrix product finds


class Hopfield(nn.Module):
    """n units and their weights (n, n). States s have the shape (states, n) and values of ±1."""

    weight: Tensor

    def __init__(self, units: int) -> None:
        super().__init__()
        if units < 2:
            raise ValueError(f"Hopfield: units wants at least 2, got {units}")
        self.register_buffer("weight", mg.zeros((units, units)))

    def store(self, patterns: Tensor, rule: str = "hebbian") -> None:
        """Forget everything and store patterns (p, n), by one of `RULES`.

        Warns:
            UserWarning: there are more patterns than units; says what recall is then worth.

        Raises:
            ValueError: patterns are not (p, n), or not ±1, or there are none; no such rule.
        """
        self._check("store", "patterns", patterns)
        if rule not in RULES:
            raise ValueError(f"Hopfield.store: rule wants one of {', '.join(RULES)}, got {rule!r}")
        p, n = patterns.shape
        if p == 0:
            raise ValueError("Hopfield.store: patterns wants at least one pattern, got none")
        if p > n:
            warnings.warn(
                f"Hopfield.store: {p:,} patterns in {n:,} units, a load of {p / n:.2f}; if they "
                f"are random, expect {_expectation(rule, p, n)}",
                UserWarning,
                stacklevel=2,
            )
        self.weight.overwrite(RULES[rule](patterns.array))

    def energy(self, s: Tensor) -> Tensor:
        """E(s), (states,)."""
        return -0.5 * ((s @ self.weight) * s).sum(1)

    def _check(self, function: str, name: str, s: Tensor) -> None:
        n = len(self.weight)
        if s.ndim != 2 or s.shape[1] != n:
            raise ValueError(f"Hopfield.{function}: {name} wants the shape (…, {n}), got {s.shape}")
        wrong = ~((s == 1.0) | (s == -1.0))
        if bool(wrong.array.any()):
            value = s[wrong][0].item()
            raise ValueError(f"Hopfield.{function}: {name} wants values of −1 and 1, got {value:g}")

    def _rounding(self) -> Array:
        """(n, 1): fields that differ from 0 by no more may be 0. Without it a unit whose field is
        0 could turn forever, for the sum comes in another order every time."""
        w = self.weight.array
        return 8.0 * float(np.finfo(w.dtype).eps) * abs(w).sum(axis=1, keepdims=True)

    def asynchronous(self, s: Tensor) -> Tensor:
        """The states in which recall ends, one unit after the other.

        Waits for the device once a sweep, to leave out the states that have come to rest.

        Raises:
            ValueError: s are not (states, n), or not ±1.
        """
        self._check("asynchronous", "s", s)
        found = s.array.copy()
        moving = module_of(found).arange(len(found))
        while len(moving):
            before = found[moving]
            *_, last = self.sweep(Tensor(before))
            found[moving] = last.array
            moving = moving[(last.array != before).any(axis=1)]
        return Tensor(found)

    def sweep(self, s: Tensor, block: int = BLOCK) -> Iterator[Tensor]:
        """Ask every unit once, in random order, the same for all states; yields the states after
        every `block` units.

        The fields of a block come from one matrix product, and follow each turn within it.
        """
        w, rounding = self.weight.array, self._rounding()
        state = s.array.T.copy()  # a row for each unit
        order = mg.randperm(len(state)).array
        for start in range(0, len(state), block):
            units = order[start : start + block]
            rows, least = w[units], rounding[units]
            among = rows[:, units]
            asked = state[units]
            h = rows @ state
            for k in range(len(units)):
                turns = asked[k] * h[k] < -least[k]
                change = -2.0 * asked[k] * turns
                asked[k] += change
                h[k + 1 :] += among[k + 1 :, k : k + 1] * change
            state[units] = asked
            yield Tensor(state.T)

    def step(self, s: Tensor) -> Tensor:
        """All units at once."""
        h = s @ self.weight
        least = Tensor(self._rounding()[:, 0])
        return mg.where(mg.abs(h) > least, mg.sign(h), s)

    def synchronous(self, s: Tensor) -> Tensor:
        """The states in which recall ends, all units at once; of two that alternate, one.

        Waits for the device once a step.

        Raises:
            ValueError: s are not (states, n), or not ±1.
        """
        self._check("synchronous", "s", s)
        before, now = s, self.step(s)
        while True:
            after = self.step(now)
            if not bool((after != before).array.any()):
                return now
            before, now = now, after

    def recall(self, s: Tensor, how: str = "asynchronous") -> Tensor:
        """`asynchronous` or `synchronous` recall, by name."""
        return {"asynchronous": self.asynchronous, "synchronous": self.synchronous}[how](s)


def overlaps(s: Tensor, patterns: Tensor) -> Tensor:
    """m = 1/n Σ xᵢ sᵢ of each state with its pattern, (states,)."""
    return (s * patterns).mean(1)


def flipped(patterns: Tensor, fraction: float) -> Tensor:
    """Patterns with about a fraction of their units turned at random."""
    return patterns * (1.0 - 2.0 * mg.bernoulli(fraction, patterns.shape))


# ---------------------------------------------------------------------------------------------
# Measuring
# ---------------------------------------------------------------------------------------------


class HopfieldTraining(Training):
    """What `Capacity` and `Images` share: the network keeps some patterns in the end.

    Attributes:
        curves: what the epochs measured, one array each.
    """

    network: Hopfield

    def __init__(self, network: Hopfield, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.shape = data.train.tensors[0].shape[1:]
        self.curves: list[np.ndarray] = []

    @property
    def kept(self) -> Tensor:
        """The patterns (p, n) that the network has stored after these epochs."""
        x, _ = self.train.tensors
        return x.reshape(len(x), -1)

    def disturbed(self, patterns: Tensor) -> Tensor:
        """Patterns as recall starts from them."""
        return flipped(patterns, 0.25)

    def recalled(self, rule: str, patterns: Tensor, start: Tensor) -> Tensor:
        """Where recall ends after storage by a rule; the network has stored the patterns then."""
        self.network.store(patterns, rule)
        return self.network.recall(start, self.settings.recall)

    def evaluate(self) -> dict[str, float]:
        self.network.store(self.kept, self.settings.rule)
        return self.measured()

    def measured(self) -> dict[str, float]:
        """The figures of the epochs so far."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"curves": self.curves}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.curves = list(state["curves"])

    def sample(self, count: int, folder: Path) -> str:
        """Disturb stored patterns and recall them."""
        patterns = self.kept[mg.randperm(len(self.kept))[:count]]
        start = self.disturbed(patterns)
        end = self.network.recall(start, self.settings.recall)
        lines = ["overlap with the stored pattern", "at the start  recalled"]
        for before, after in zip(
            overlaps(start, patterns).numpy(), overlaps(end, patterns).numpy(), strict=True
        ):
            lines.append(f"{before:12.3f}  {after:8.3f}")
        self._draw_sample(patterns, start, end, folder)
        return "\n".join(lines)

    def _draw_sample(self, patterns: Tensor, start: Tensor, end: Tensor, folder: Path) -> None:
        """Images only."""


# The loads at which random patterns are recalled, and how much of them is turned before
LOADS = {
    "hebbian": (0.05, 0.1, 0.12, 0.13, 0.135, 0.14, 0.145, 0.15, 0.16, 0.17, 0.18, 0.2, 0.3, 0.4),
    "storkey": (0.05, 0.1, 0.2, 0.3, 0.35, 0.4, 0.5, 0.6),
    "pseudo_inverse": (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8),
}
TURNED = (0.0, 0.1)
RECALLED = 200  # at most so many of those that are stored, old and new: Storkey's rule forgets


class Capacity(HopfieldTraining):
    """Random patterns: the overlap after recall against the load.

    The network keeps the patterns of the data set; what is measured are fresh ones.
    """

    metric = "overlap_at_0.12"

    def __init__(self, network: Hopfield, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.unit = "patterns"

    def epoch(self, progress: Progress) -> dict[str, float]:
        n = self.settings.units
        fresh = 2.0 * mg.bernoulli(0.5, (n, n)) - 1.0
        pairs = [(rule, load) for rule, loads in LOADS.items() for load in loads]
        found = []
        for i, (rule, load) in enumerate(pairs):
            patterns = fresh[: max(1, round(load * n))]
            few = patterns[mg.randperm(len(patterns))[:RECALLED]]
            start = mg.concatenate([flipped(few, fraction) for fraction in TURNED])
            ends = self.recalled(rule, patterns, start).reshape(len(TURNED), *few.shape)
            found.append([float(overlaps(end, few).mean()) for end in ends])
            ticks = [k * len(self.train) // len(pairs) for k in (i, i + 1)]
            progress.update(ticks[1] - ticks[0])
        self.curves.append(np.array(found))
        return {}

    def curve(self, rule: str, turned: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """The loads (l,) of a rule and the overlaps (epochs, l)."""
        before = list(LOADS)[: list(LOADS).index(rule)]
        first = sum(len(LOADS[name]) for name in before)
        rows = slice(first, first + len(LOADS[rule]))
        return np.array(LOADS[rule]), np.array(self.curves)[:, rows, TURNED.index(turned)]

    def at(self, load: float) -> float:
        """The mean overlap over all epochs, for Hebbian storage and recall from the pattern."""
        loads, overlap = self.curve("hebbian")
        return float(overlap[:, loads == load].mean())

    def measured(self) -> dict[str, float]:
        return {"overlap_at_0.12": self.at(0.12), "overlap_at_0.16": self.at(0.16)}

    def report(self) -> str:
        if not self.curves:
            return ""
        loads, overlap = self.curve("hebbian")
        lines = [
            f"overlap after recall from a stored pattern, Hebbian storage, {len(overlap)} sets",
            " load   mean  spread  theory",
        ]
        for load, column in zip(loads, overlap.T, strict=True):
            theory = expected_overlap(load)
            lines.append(f"{load:5.3f}  {column.mean():.3f}   {column.std():.3f}   {theory:.3f}")
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        if self.curves:
            draw_capacity(self, folder / "capacity.png")
        draw_energy(self, folder / "energy.png")


def _few_of_each_class(data: Examples, count: int) -> TensorDataset:
    """`count` training images of each class at random, the first of every class to begin with."""
    x, labels = data.train.tensors
    order = mg.randperm(len(labels)).numpy()
    shuffled = labels.numpy()[order]
    chosen = [order[shuffled == k][:count] for k in range(len(data.classes))]
    for name, images in zip(data.classes, chosen, strict=True):
        if len(images) < count:
            raise ValueError(
                f"hopfield: epochs wants no more than there are images of a class, got {count}, "
                f"but class {name} has {len(images)}"
            )
    rows = mg.tensor(np.stack(chosen, axis=1).ravel(), backend=x.backend)
    return TensorDataset(x[rows], labels[rows])


class Images(HopfieldTraining):
    """Images of ±1: the overlap after recall from one half, against the number of images."""

    def __init__(self, network: Hopfield, data: Examples, settings: SimpleNamespace) -> None:
        few = _few_of_each_class(data, settings.epochs)
        super().__init__(network, Examples(few, data.test, data.classes), settings)
        self.metric = f"{settings.rule}_overlap"

    @property
    def kept(self) -> Tensor:
        return self.first(max(1, len(self.curves)))

    def first(self, count: int) -> Tensor:
        """The first images of each class, (count · classes, n)."""
        return super().kept[: count * len(self.classes)]

    def disturbed(self, patterns: Tensor) -> Tensor:
        """The lower half of every image erased: its units start at random."""
        lower = Tensor(self.lower())
        noise = 2.0 * mg.bernoulli(0.5, patterns.shape) - 1.0
        return mg.where(lower, noise, patterns)

    def lower(self) -> Array:
        """(n,): whether a unit is in the lower half."""
        module = module_of(self.network.weight)
        height = self.shape[1]
        rows = module.arange(height).reshape(1, height, 1) + module.zeros(self.shape)
        return rows.reshape(-1) >= height // 2

    def epoch(self, progress: Progress) -> dict[str, float]:
        patterns = self.first(len(self.curves) + 1)
        start = self.disturbed(patterns)
        ends = [start, *(self.recalled(rule, patterns, start) for rule in RULES)]
        self.curves.append(np.array([float(overlaps(end, patterns).mean()) for end in ends]))
        progress.update(len(self.train))
        return {}

    def measured(self) -> dict[str, float]:
        start, *rules = self.curves[-1]
        return {
            "start_overlap": float(start),
            **{f"{rule}_overlap": float(m) for rule, m in zip(RULES, rules, strict=True)},
        }

    def report(self) -> str:
        lines = ["mean overlap with the stored image", f"images  start  {'  '.join(RULES)}"]
        for k, curve in enumerate(self.curves, start=1):
            start, *ends = (f"{m:.3f}" for m in curve)
            cells = (f"{m:>{len(rule)}}" for rule, m in zip(RULES, ends, strict=True))
            lines.append(f"{k * len(self.classes):6}  {start}  {'  '.join(cells)}")
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        draw_recall(self, folder / "recall.png")
        if self.curves:
            draw_overlaps(self, folder / "overlap.png")
        draw_energy(self, folder / "energy.png")

    def _draw_sample(self, patterns: Tensor, start: Tensor, end: Tensor, folder: Path) -> None:
        rule = self.settings.rule.replace("_", "-")
        rows = {"stored": patterns, "start": start, f"recalled\n({rule})": end}
        _draw_images(self.shape, rows, "Images recalled from one half", folder / "recalled.png")


# ---------------------------------------------------------------------------------------------
# Pictures
# ---------------------------------------------------------------------------------------------

_COLOURS = {
    "hebbian": pictures.BLUE,
    "storkey": pictures.ORANGE,
    "pseudo_inverse": pictures.GREEN,
}
_NAMES = {"hebbian": "Hebbian", "storkey": "Storkey", "pseudo_inverse": "pseudo-inverse"}


def _errorbars(axes: Axes, x: np.ndarray, y: np.ndarray, **style: Any) -> None:
    """The mean over the first axis of y, and its standard deviation as bars."""
    axes.errorbar(x, y.mean(0), y.std(0), capsize=2, marker="o", markersize=3, **style)


def draw_capacity(training: Capacity, path: Path) -> None:
    """The drop near 0.138 beside its theory, and the three rules side by side."""
    made = pictures.figure(9.6, 3.9)
    left, right = pictures.grid(made, 1, 2)[0]
    loads, overlap = training.curve("hebbian")
    near = loads <= 0.2
    sets = f"{len(overlap)} set{'s' if len(overlap) > 1 else ''}"
    _errorbars(left, loads[near], overlap[:, near], color=pictures.BLUE, label="measured")
    below = np.append(np.linspace(loads[0], CRITICAL_LOAD - 1e-4, 200), CRITICAL_LOAD - 1e-9)
    theory = [expected_overlap(load) for load in below]
    style = {"color": pictures.GREY, "linestyle": "--"}
    left.plot([*below, CRITICAL_LOAD, 0.2], [*theory, 0.0, 0.0], label="theory, n → ∞", **style)
    left.annotate(f"{CRITICAL_LOAD:.3f}", (CRITICAL_LOAD, 0.0), (4, 4), textcoords="offset points")
    left.set_title(
        f"Hebbian storage of random patterns, n = {training.settings.units:,}:\n"
        f"m = {training.at(0.12):.3f} at load 0.12, {training.at(0.16):.3f} at 0.16"
    )
    left.set_ylabel(f"overlap m after recall ({sets})")
    left.legend(loc="lower left")
    for rule, colour in _COLOURS.items():
        for turned, line in zip(TURNED, ("-", ":"), strict=True):
            loads, overlap = training.curve(rule, turned)
            label = _NAMES[rule] if turned == 0.0 else None
            _errorbars(right, loads, overlap, color=colour, linestyle=line, label=label)
    right.set_title(
        f"The three rules; dotted: recall starts\nwith {100 * TURNED[1]:.0f} % of the units wrong"
    )
    right.set_ylabel("overlap m after recall")
    right.legend(loc="lower left")
    for axes in (left, right):
        axes.set_xlabel("load α = patterns / units")
        axes.set_ylim(-0.05, 1.05)
        axes.grid(alpha=0.3)
    pictures.save(made, path)


@mg.no_grad()
def draw_energy(training: HopfieldTraining, path: Path, states: int = 5, sweeps: int = 3) -> None:
    """The energy in recall of the patterns that the network keeps, from disturbed ones and from
    random states."""
    network = training.network
    n = len(network.weight)
    with seeded(0):
        patterns = training.kept[mg.randperm(len(training.kept))[:states]]
        starts = {
            "from disturbed patterns": (training.disturbed(patterns), pictures.BLUE),
            "from random states": (
                2.0 * mg.bernoulli(0.5, patterns.shape) - 1.0,
                pictures.ORANGE,
            ),
        }
        made = pictures.figure(9.6, 3.7)
        left, right = pictures.grid(made, 1, 2, sharey=True)[0]
        rose = 0
        for label, (s, colour) in starts.items():
            falling = [network.energy(s)]
            now = s
            for _ in range(sweeps):
                for after in network.sweep(now, max(1, n // 25)):
                    falling.append(network.energy(after))
                now = after
            steps = [s]
            for _ in range(sweeps):
                steps.append(network.step(steps[-1]))
            for axes, energies, marker in (
                (left, falling, ""),
                (right, [network.energy(state) for state in steps], "o"),
            ):
                rows = mg.stack(energies).numpy() / n
                if axes is right:
                    rose += int((np.diff(rows, axis=0) > 1e-6).any(0).sum())
                time = np.linspace(0.0, sweeps, len(rows))
                lines = axes.plot(time, rows, color=colour, marker=marker, markersize=3, alpha=0.7)
                lines[0].set_label(label)
    stored = network.energy(patterns).numpy() / n
    for axes in (left, right):
        for i, value in enumerate(stored):
            label = "the stored patterns" if i == 0 else ""
            axes.axhline(value, color="k", linewidth=0.8, linestyle=":", label=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    left.set_title("Asynchronous recall: the energy never rises")
    left.set_xlabel("sweeps: times that each unit was asked")
    left.set_ylabel("energy a unit, E / n")
    left.legend(loc="upper right")
    right.set_title(f"Synchronous recall: it rose in {rose} of {2 * len(patterns)} cases")
    right.set_xlabel("steps of all units at once")
    pictures.save(made, path)


def _draw_images(shape: tuple[int, ...], rows: dict[str, Tensor], title: str, path: Path) -> None:
    """Rows of states as images, with a name at the left of each row."""
    columns = len(next(iter(rows.values())))
    made = pictures.figure(0.75 * columns + 1.3, 0.8 * len(rows) + 0.5, title)
    panels = pictures.grid(made, len(rows), columns)
    for row, (name, states) in zip(panels, rows.items(), strict=True):
        for axes, image in zip(row, states.numpy().reshape(-1, *shape), strict=True):
            pictures.show_image(axes, 0.5 + 0.5 * image)
        row[0].text(
            -0.15, 0.5, name, transform=row[0].transAxes, ha="right", va="center", fontsize=9
        )
    pictures.save(made, path)


@mg.no_grad()
def draw_recall(training: Images, path: Path) -> None:
    """The first image of each class: stored, half erased, and recalled by each rule."""
    patterns = training.kept
    with seeded(0):
        start = training.disturbed(patterns)
        shown = slice(len(training.classes))
        rows = {"stored": patterns[shown], "one half\nat random": start[shown]}
        for rule in RULES:
            rows[_NAMES[rule]] = training.recalled(rule, patterns, start)[shown]
    training.network.store(patterns, training.settings.rule)  # as before
    units = len(training.network.weight)
    title = f"{len(patterns)} images stored in {units} units; how each rule recalls one of a class"
    _draw_images(training.shape, rows, title, path)


def draw_overlaps(training: Images, path: Path) -> None:
    """The overlap after recall against the number of images stored."""
    made = pictures.figure(5.2, 3.5, "Mean overlap after recall from the upper half of an image")
    axes = pictures.grid(made, 1, 1)[0, 0]
    curves = np.array(training.curves)
    count = np.arange(1, len(curves) + 1) * len(training.classes)
    axes.plot(count, curves[:, 0], color=pictures.GREY, linestyle="--", label="before recall")
    for i, (rule, colour) in enumerate(_COLOURS.items(), start=1):
        axes.plot(count, curves[:, i], "o-", markersize=4, color=colour, label=_NAMES[rule])
    axes.set_xlabel(f"images stored in {len(training.network.weight)} units")
    axes.set_ylabel("overlap m")
    axes.set_ylim(0.0, 1.05)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend()
    pictures.save(made, path)


# ---------------------------------------------------------------------------------------------
# Data
# ---------------------------------------------------------------------------------------------


def _random_patterns(settings: SimpleNamespace) -> tuple[TensorDataset, TensorDataset]:
    """The patterns that the network keeps, of equally probable ±1; there is nothing to test."""
    if settings.patterns < 1:
        raise ValueError(f"hopfield: patterns wants at least 1, got {settings.patterns}")
    with seeded(settings.seed):
        x = 2.0 * mg.bernoulli(0.5, (settings.patterns, settings.units)) - 1.0
    table = TensorDataset(x, mg.arange(len(x)))
    return table, table


def _of_signs(name: str) -> tuple[TensorDataset, TensorDataset]:
    """Images whose grey values became −1 and 1, at one half."""
    train, test = (
        TensorDataset(mg.where(part.tensors[0] > 0.5, 1.0, -1.0), part.tensors[1])
        for part in DATA_SETS[name].read()
    )
    return train, test


def _data(name: str, settings: SimpleNamespace) -> DataSet:
    if name == "patterns":
        numbers = tuple(str(i + 1) for i in range(settings.patterns))
        return DataSet(name, partial(_random_patterns, settings), (settings.units,), numbers)
    images = DATA_SETS[name]
    return DataSet(name, partial(_of_signs, name), images.shape, images.classes)


def _build(data: DataSet, settings: SimpleNamespace) -> Hopfield:
    return Hopfield(math.prod(data.shape))


def _training(network: Hopfield, data: Examples, settings: SimpleNamespace) -> HopfieldTraining:
    kind = Images if data.train.tensors[0].ndim == 4 else Capacity
    return kind(network, data, settings)


ARCHITECTURE = Architecture(
    title="Hopfield network",
    paper="Hopfield 1982, Neural networks and physical systems with emergent collective "
    "computational abilities",
    reference="patterns: 0.138 patterns a unit, where the overlap drops from 0.967 (Amit, "
    "Gutfreund & Sompolinsky 1985)",
    settings={
        "patterns": {
            "epochs": 8,
            "units": 1000,
            "patterns": 100,
            "rule": "hebbian",
            "recall": "asynchronous",
        },
        "digits": {"epochs": 3, "rule": "pseudo_inverse", "recall": "asynchronous"},
        "mnist": {"epochs": 5, "rule": "pseudo_inverse", "recall": "asynchronous"},
    },
    cost={
        "patterns": "2.5 min, 0.2 GiB",
        "digits": "7 s, 0.2 GiB",
        "mnist": "16 s, 0.8 GiB",
    },
    meaning={
        "epochs": "sets of random patterns to recall, or images of each class to store",
        "units": "n, how many units there are",
        "patterns": "how many patterns the network keeps in the end, for `sample`",
        "rule": "how the network stores what it keeps in the end",
        "recall": "one unit after the other, or all at once",
    },
    choices={"rule": tuple(RULES), "recall": ("asynchronous", "synchronous")},
    build=_build,
    training=_training,
    data=_data,
)
