"""Adversarial examples: changes that mislead no eye, and make a network wrong and sure of it.

C. Szegedy, W. Zaremba, I. Sutskever, J. Bruna, D. Erhan, I. Goodfellow and R. Fergus 2014,
"Intriguing properties of neural networks", ICLR.
I. J. Goodfellow, J. Shlens and C. Szegedy 2015, "Explaining and harnessing adversarial examples",
ICLR.

Learning follows the gradient of the loss with respect to the weights. The same backward pass gives
the gradient with respect to the *input*, which says how to change an image so that the loss rises:

    x = mg.Tensor(images.array, requires_grad=True)
    loss = F.cross_entropy(network(x), labels, reduction="sum")
    (gradient,) = mg.grad(loss, x)

The sum keeps the images apart: no image's gradient depends on the others. The weights are frozen
meanwhile: they get no gradient, and cause no work. To first order, the loss rises most within
‖δ‖ ≤ ε for

    δ = ε sign(∇ₓ loss)             every pixel changes by at most ε (L∞): the fast gradient sign
    δ = ε ∇ₓ loss / ‖∇ₓ loss‖₂      the image changes by a Euclidean length of at most ε (L2)

For a linear classifier of two classes that is no approximation: w · x changes by ε ‖w‖₁ or ε ‖w‖₂,
where random signs change it by about ε ‖w‖₂ and a random direction by about ε ‖w‖₂ / √d. In d = 784
dimensions that is the difference between an attack and noise of the same length.

**Iterated** (A. Kurakin, I. Goodfellow and S. Bengio 2017, "Adversarial examples in the physical
world"; A. Madry et al. 2018, "Towards deep learning models resistant to adversarial attacks"):
small steps, each along the gradient where the last one ended, and back into the ball. **Targeted**:
down the loss of a class that one chooses, instead of up that of the right one.

Sure networks hide their gradient: where p = p(y | x) is nearly 1, the factor 1 − p of the gradient
of −log p is rounded to nothing. The log odds log((1 − p) / p) rise and fall with −log p, so that
the direction of their gradient is the same, and it does not vanish. All attacks climb them.

**Adversarial training** (Goodfellow et al.): half of the loss is that of the images, half that of
their fast gradient sign examples, which are made anew at every step,

    ½ loss(x, y) + ½ loss(x + ε sign(∇ₓ loss), y)

That is a defence against the attack it has seen. It is no proof: on MNIST ten steps of that size
get many more images past it than one does, and so does a change that is measured by another
norm. What such training learns may even be to give gradients that lead nowhere, or to read from the
sign the label that made it (*label leaking*: A. Kurakin, I. Goodfellow and S. Bengio 2017,
"Adversarial machine learning at scale", ICLR; its mark is a smaller error with the attack than
without). A defence is worth what the strongest attack leaves of it: `report` tries all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.axes import Axes

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn
from minigrad.data import DataLoader, TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet, Examples
from models.lenet import LeNet5, shifted
from models.training import Classification, accuracy, frozen, predict

Attack = Callable[[nn.Module, Tensor, Tensor, float], Tensor]  # network, x, labels, ε → images

# ---------------------------------------------------------------------------------------------
# The gradient with respect to the input
# ---------------------------------------------------------------------------------------------


@contextmanager
def under_attack(network: nn.Module) -> Iterator[None]:
    """A block in which the network is as it is used: out of training mode, so that it drops nothing
    and counts no statistics, and with `frozen` weights. Afterwards every module has the mode that
    it had, whatever happened."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        with frozen(network):
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def log_odds_against(outputs: Tensor, labels: Tensor) -> Tensor:
    """log((1 − p) / p) of p = softmax(z)_y for outputs z (n, classes) and labels y (n,), (n,).

    It is log Σ exp z_j − z_y, the sum over j ≠ y; the cross-entropy is its softplus.
    """
    n, classes = outputs.shape
    if labels.shape != (n,):
        raise ValueError(f"adversarial: {n} images want {n} labels, got shape {labels.shape}")
    its_own = F.one_hot(labels, classes) == 1
    others = mg.logsumexp(mg.where(its_own, -math.inf, outputs), axis=1)
    return others - mg.where(its_own, outputs, 0.0).sum(1)


def input_gradient(network: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the log odds against labels (n,) with respect to each of the images x.

    Its direction is that of the gradient of the cross-entropy. The parameters get none.
    """
    with under_attack(network), mg.enable_grad():
        x = mg.Tensor(x.array, requires_grad=True)
        (gradient,) = mg.grad(log_odds_against(network(x), labels).sum(), x)
    return gradient


def steepest(gradient: Tensor, norm: float) -> Tensor:
    """Of all v with ‖v‖ ≤ 1 the one with the largest v · g, for each gradient g of (n, …)."""
    if norm == math.inf:
        return mg.sign(gradient)
    if norm == 2:
        return gradient / mg.maximum(lengths(gradient), _LEAST)
    raise ValueError(f"adversarial: norm wants 2 or inf, got {norm}")


def lengths(changes: Tensor) -> Tensor:
    """The Euclidean length of each of (n, …), with axes of 1 behind, to multiply (n, …) with."""
    return mg.norm(changes, axis=tuple(range(1, changes.ndim)), keepdims=True)


_LEAST = 1e-30  # a length that none but the gradient 0 falls short of


# ---------------------------------------------------------------------------------------------
# Attacks, and noise. All take images x (n, …) with values from 0 to 1 and keep them there.
# ---------------------------------------------------------------------------------------------


def fast_gradient_sign(network: nn.Module, x: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """x + ε sign(∇ₓ loss): every pixel moves by ε, to where the loss of the labels (n,) is larger.

    Raises:
        ValueError: ε is negative, or there is not one label an image.
        IndexError: a label is none of the network's classes.
    """
    size = _checked(epsilon)
    return _moved(x, size * steepest(input_gradient(network, x, labels), math.inf))


def fast_gradient_l2(network: nn.Module, x: Tensor, labels: Tensor, epsilon: float) -> Tensor:
    """x + ε ∇ₓ loss / ‖∇ₓ loss‖₂: every image moves by the length ε, up the loss of the labels."""
    size = _checked(epsilon)
    return _moved(x, size * steepest(input_gradient(network, x, labels), 2))


def iterated(
    network: nn.Module,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    norm: float = math.inf,
    steps: int = 10,
) -> Tensor:
    """`steps` small steps up the loss of the labels (n,), each kept within ‖δ‖ ≤ ε.

    A step has the length 2.5 ε / steps, so that the border can be reached and walked along.

    Args:
        norm: inf for the largest change of a pixel, 2 for the Euclidean length of the change.
    """
    return _climbed(network, x, labels, epsilon, norm, steps, 1.0)


def targeted(
    network: nn.Module,
    x: Tensor,
    targets: Tensor,
    epsilon: float,
    norm: float = math.inf,
    steps: int = 10,
) -> Tensor:
    """As `iterated`, but down the loss of the classes (n,) that the images shall be taken for."""
    return _climbed(network, x, targets, epsilon, norm, steps, -1.0)


def noise(x: Tensor, epsilon: float, norm: float = math.inf) -> Tensor:
    """A change as large as an attack's in a random direction: signs by a coin where the norm is
    inf, a direction out of all with equal chances where it is 2."""
    if norm == math.inf:
        direction = 2.0 * mg.bernoulli(0.5, x.shape) - 1.0
    else:
        direction = steepest(mg.randn(*x.shape), norm)
    return _moved(x, _checked(epsilon) * direction)


@mg.no_grad()
def _climbed(
    network: nn.Module,
    x: Tensor,
    labels: Tensor,
    epsilon: float,
    norm: float,
    steps: int,
    sign: float,
) -> Tensor:
    step = sign * 2.5 * _checked(epsilon) / steps
    moved = x
    for _ in range(steps):
        uphill = steepest(input_gradient(network, moved, labels), norm)
        moved = _moved(x, _within(moved - x + step * uphill, epsilon, norm))
    return moved


def _within(change: Tensor, epsilon: float, norm: float) -> Tensor:
    """The nearest of each of the changes (n, …) that is no larger than ε."""
    if norm == math.inf:
        return mg.clip(change, -epsilon, epsilon)
    return change * mg.minimum(1.0, epsilon / mg.maximum(lengths(change), _LEAST))


@mg.no_grad()
def _moved(x: Tensor, change: Tensor) -> Tensor:
    """x + change, from 0 to 1. A pixel that would leave there changes by less."""
    return mg.clip(x + change, 0.0, 1.0)


def _checked(epsilon: float) -> float:
    if not 0.0 <= epsilon < math.inf:
        raise ValueError(f"adversarial: epsilon wants a non-negative number, got {epsilon}")
    return epsilon


# ---------------------------------------------------------------------------------------------
# Training and measurement
# ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ball:
    """Changes of at most a size in a norm, and what is done to a network within it.

    Attributes:
        setting: the setting that has the size.
        says: what the size bounds.
        attacks: by name; the first is noise.
    """

    norm: float
    setting: str
    says: str
    attacks: dict[str, Attack]


BALLS = (
    Ball(
        math.inf,
        "epsilon",
        "each pixel by at most",
        {
            "noise": lambda network, x, labels, epsilon: noise(x, epsilon),
            "fast gradient": fast_gradient_sign,
            "iterated": iterated,
        },
    ),
    Ball(
        2,
        "radius",
        "each image by a length of at most",
        {
            "noise": lambda network, x, labels, epsilon: noise(x, epsilon, 2),
            "fast gradient": fast_gradient_l2,
            "iterated": partial(iterated, norm=2),
        },
    ),
)
COLOURS = (pictures.GREY, pictures.BLUE, pictures.ORANGE)  # of the attacks
SHARES = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2)  # of the size in the settings, for the curves
FEW = 1000  # test images for the curves; the table has all of them


@dataclass(frozen=True)
class Outcome:
    """What changed images do to a network.

    Attributes:
        error: the fraction that is taken for another class.
        confidence: the mean probability of the classes that those are taken for; NaN if none is.
        length: the mean Euclidean length of the changes.
    """

    error: float
    confidence: float
    length: float


def outcome(
    network: nn.Module, data: TensorDataset, attack: Attack | None = None, epsilon: float = 0.0
) -> Outcome:
    """What a network makes of a labelled data set after an attack of size ε."""
    x, labels = data.tensors
    changed = x if attack is None else attacked(network, data, attack, epsilon)
    probabilities, truths = predict(network, TensorDataset(changed, labels))
    wrong = probabilities.argmax(1) != truths
    sure = probabilities.max(1)[wrong]
    length = float(lengths(changed - x).mean())
    return Outcome(float(wrong.mean()), float(sure.mean()) if len(sure) else math.nan, length)


def attacked(
    network: nn.Module, data: TensorDataset, attack: Attack, epsilon: float, batch_size: int = 500
) -> Tensor:
    """The images of a data set after an attack on or, if it is targeted, towards their labels."""
    batches = DataLoader(data, batch_size)
    return mg.concatenate([attack(network, x, labels, epsilon) for x, labels in batches])


class AdversarialTraining(Classification):
    """LeNet-5, attacked; with a defence it learns from attacks too.

    Settings: defence, epsilon, radius, shift.
    """

    network: LeNet5

    def __init__(self, network: LeNet5, data: Examples, settings: SimpleNamespace) -> None:
        for name in ("epsilon", "radius"):
            if getattr(settings, name) <= 0.0:
                raise ValueError(
                    f"adversarial: --{name} wants a positive number, got {getattr(settings, name)}"
                )
        super().__init__(network, data, settings)

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        x, labels = batch
        x = shifted(x, self.settings.shift)
        if self.settings.defence == "fgsm":
            example = fast_gradient_sign(self.network, x, labels, self.settings.epsilon)
            x, labels = mg.concatenate([x, example]), mg.concatenate([labels, labels])
        return super().step(x, labels)

    def evaluate(self) -> dict[str, float]:
        epsilon = self.settings.epsilon
        attacks = BALLS[0].attacks
        return {
            "test_accuracy": accuracy(self.network, self.test),
            "noise_error": outcome(self.network, self.test, attacks["noise"], epsilon).error,
            "fgsm_error": outcome(self.network, self.test, fast_gradient_sign, epsilon).error,
        }

    # -- Measurements at the end ------------------------------------------------------------------

    def size(self, ball: Ball) -> float:
        """How large a change within a ball may be."""
        return getattr(self.settings, ball.setting)

    @cached_property
    def curves(self) -> dict[tuple[str, str], list[float]]:
        """Errors on the first `FEW` test images: for a ball and an attack one a share of `SHARES`,
        after that without any change."""
        few = TensorDataset(*(tensor[:FEW] for tensor in self.test.tensors))
        start = outcome(self.network, few).error
        found = {}
        for ball in BALLS:
            for name, attack in ball.attacks.items():
                sizes = [share * self.size(ball) for share in SHARES]
                errors = [outcome(self.network, few, attack, size).error for size in sizes]
                found[ball.setting, name] = [start, *errors]
        return found

    @cached_property
    def steered(self) -> tuple[np.ndarray, np.ndarray]:
        """What becomes of the first test images of each class, `_EACH` of each or all, on their way
        to each other class: a picture for every pair (classes, classes, c, h, w), the diagonal as
        it is, and the fraction that gets there (classes, classes), 1 on the diagonal."""
        images, labels = self.test.tensors
        truths = labels.numpy()
        classes = len(self.classes)
        shown = np.zeros((classes, classes, *images.shape[1:]), dtype="float32")
        success = np.ones((classes, classes))
        for i in range(classes):
            of_class = images[mg.tensor(np.flatnonzero(truths == i)[:_EACH]).to(images.backend)]
            for j in range(classes):
                x = of_class
                if i != j:
                    data = TensorDataset(x, mg.zeros(len(x), dtype="int64") + j)
                    x = attacked(self.network, data, targeted, self.settings.epsilon)
                    success[i, j] = accuracy(self.network, TensorDataset(x, data.tensors[1]))
                shown[i, j] = x[0].numpy()
        return shown, success

    def report(self) -> str:
        """What noise and attacks do, on all test images and over their sizes, and targets."""
        clean = outcome(self.network, self.test)
        lines = [
            f"{len(self.test):,} test images{'':17}{'error':>9}{'sure of it':>12}{'length':>9}"
        ]
        lines.append(_line("as they are", clean))
        for ball in BALLS:
            lines.append(f"changed, {ball.says} {self.size(ball):g}")
            for name, attack in ball.attacks.items():
                found = outcome(self.network, self.test, attack, self.size(ball))
                lines.append(_line(f"  {name}", found))
        few = min(FEW, len(self.test))
        for ball in BALLS:
            sizes = "".join(f"{share * self.size(ball):8.3g}" for share in (0.0, *SHARES))
            lines += ["", f"{f'% wrong of {few:,}; {ball.setting}':28}{sizes}"]
            for name in ball.attacks:
                errors = "".join(f"{100.0 * e:8.1f}" for e in self.curves[ball.setting, name])
                lines.append(f"  {name:26}{errors}")
        others = _off_diagonal(self.steered[1])
        lines += [
            "",
            f"towards each other class, {BALLS[0].says} {self.settings.epsilon:g}: "
            f"{100.0 * others.mean():.1f} % get there, of the hardest pair "
            f"{100.0 * others.min():.0f} %",
        ]
        return "\n".join(lines)

    # -- Pictures ---------------------------------------------------------------------------------

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        self.draw_errors(folder / "errors.png")
        x, labels = self.test.tensors
        self.draw_examples(x[:5], labels[:5], folder / "examples.png")
        self.draw_targets(folder / "targets.png")

    def draw_errors(self, path: Path) -> None:
        """Errors against the size of noise and of attacks, for both norms."""
        few = min(FEW, len(self.test))
        title = f"What noise and attacks do to the network: errors on {few:,} test images"
        made = pictures.figure(8.0, 3.7, title)
        axes_of = pictures.grid(made, 1, 2, sharey=True)[0]
        for axes, ball in zip(axes_of, BALLS, strict=True):
            at = SHARES.index(1.0) + 1
            said = []
            for colour, name in zip(COLOURS, ball.attacks, strict=True):
                sizes = [share * self.size(ball) for share in (0.0, *SHARES)]
                errors = [100.0 * error for error in self.curves[ball.setting, name]]
                axes.plot(sizes, errors, "o-", color=colour, markersize=3, label=name)
                said.append(f"{name} {errors[at]:.0f} %")
            axes.axvline(self.size(ball), color="0.8", zorder=0)
            axes.set_title(f"At {self.size(ball):g}: {', '.join(said)}", fontsize=9)
            axes.set_xlabel(_SIZES[ball.setting])
            axes.set_ylim(-3.0, 103.0)
            axes.grid(alpha=0.3)
        made.legend(*axes_of[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
        axes_of[0].set_ylabel("wrong test images (%)")
        pictures.save(made, path)

    def draw_examples(self, x: Tensor, labels: Tensor, path: Path) -> None:
        """Images, what is added to them, and what the network takes the sums for."""
        epsilon, radius = self.settings.epsilon, self.settings.radius
        columns = [
            (f"noise, each pixel ±{epsilon:g}", noise(x, epsilon)),
            (
                f"fast gradient sign, ±{epsilon:g}",
                fast_gradient_sign(self.network, x, labels, epsilon),
            ),
            (f"iterated, length {radius:g}", iterated(self.network, x, labels, radius, 2)),
        ]
        answers = [self._verdicts(images, labels) for images in (x, *(c[1] for c in columns))]
        wrong = [sum(not right for _, right in said) for said in answers]
        title = f"Of {len(x)} images the network takes for another class: {wrong[0]} as they are"
        title += f", {wrong[1]} with noise,\n{wrong[2]} and {wrong[3]} attacked; beside each "
        title += "the change (purple: more ink, brown: less) and the result"
        made = pictures.figure(8.4, 0.8 + 1.3 * len(x), title)
        panels = pictures.grid(made, len(x), 1 + 2 * len(columns))
        pictured = x.numpy()
        for row, panel in enumerate(panels):
            _show(panel[0], pictured[row], *answers[0][row])
        panels[0, 0].annotate("image", **_ABOVE)
        for k, (name, images) in enumerate(columns):
            above = panels[0, 2 * k + 1].annotate(name, **{**_ABOVE, "xy": (1.05, 1.0)})
            above.set_in_layout(False)  # it stands over two panels
            changed = images.numpy()
            for row, panel in enumerate(panels):
                change = (changed[row] - pictured[row]).mean(0)
                most = np.abs(change).max() or 1.0
                panel[2 * k + 1].imshow(change, cmap=pictures.SIGNED, vmin=-most, vmax=most)
                panel[2 * k + 1].set_axis_off()
                _show(panel[2 * k + 2], changed[row], *answers[k + 1][row])
        pictures.save(made, path)

    def draw_targets(self, path: Path) -> None:
        """An image of each class on its way to every other, and how many of its class get there."""
        shown, success = self.steered
        classes, _, _, height, width = shown.shape
        title = (
            f"Images of each class (rows), each pixel changed by at most "
            f"{self.settings.epsilon:g},\nto be taken for a class of our choice (columns): "
            f"{100.0 * _off_diagonal(success).mean():.0f} % are,\n"
            "of every pair the part that stands beneath it"
        )
        # One picture of all, its pixels squares of whole pixels: PNG packs those well.
        beneath, beside = math.ceil(height / 4), math.ceil(width / 14)
        gaps = ((0, 0), (0, 0), (0, beneath), (0, beside))
        tiles = np.pad(shown.mean(2), gaps, constant_values=np.nan)
        mosaic = np.concatenate(list(np.concatenate(list(tiles.swapaxes(0, 1)), axis=2)), axis=0)
        inches = max(1, 84 // height) * np.array(mosaic.shape[::-1]) / pictures.DPI
        left, above = 0.3, 0.95
        made = pictures.figure(inches[0] + left, inches[1] + above, title)
        made.set_layout_engine("none")
        size = made.get_size_inches()
        axes = made.add_axes((left / size[0], 0.0, inches[0] / size[0], inches[1] / size[1]))
        axes.imshow(mosaic, cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
        middle = (width - 1) / 2.0 + (width + beside) * np.arange(classes)
        centre = (height - 1) / 2.0 + (height + beneath) * np.arange(classes)
        axes.set_xticks(middle, self.classes)
        axes.set_yticks(centre, self.classes)
        axes.tick_params(length=0.0, labeltop=True, labelbottom=False)
        axes.spines[:].set_visible(False)
        for (i, j), part in np.ndenumerate(success):
            if i != j:
                colour = "k" if part >= 0.5 else pictures.ORANGE
                place = (middle[j], centre[i] + (height + beneath) / 2.0)
                text = f"{100.0 * part:.0f} %"
                axes.text(*place, text, color=colour, ha="center", va="center", fontsize=7.5)
        pictures.save(made, path)

    def _verdicts(self, x: Tensor, labels: Tensor) -> list[tuple[str, bool]]:
        """What each image is taken for and how surely, and whether that is right."""
        truths = [self.classes[label] for label in labels.numpy()]
        said = zip(self.answers(x), truths, strict=True)
        return [(guess + sure, guess == truth) for (guess, sure), truth in said]

    def sample(self, count: int, folder: Path) -> str:
        chosen = mg.randperm(len(self.test))[:count]
        x, labels = (tensor[chosen] for tensor in self.test.tensors)
        self.draw_examples(x, labels, folder / "examples.png")
        return ""


_EACH = 100  # images of each class for the targeted attack
_SIZES = {"epsilon": "largest change of a pixel, ε", "radius": "Euclidean length of the change, ε"}
_ABOVE: dict[str, Any] = {  # of a name over a panel that has a title
    "xy": (0.5, 1.0),
    "xytext": (0.0, 18.0),
    "xycoords": "axes fraction",
    "textcoords": "offset points",
    "ha": "center",
}


def _show(axes: Axes, image: np.ndarray, said: str, right: bool) -> None:
    pictures.show_image(axes, image)
    axes.set_title(said, fontsize=8, loc="center", color="k" if right else pictures.ORANGE)


def _off_diagonal(square: np.ndarray) -> np.ndarray:
    return square[~np.eye(len(square), dtype=bool)]


def _line(name: str, found: Outcome) -> str:
    sure = "" if math.isnan(found.confidence) else f"{found.confidence:.3f}"
    return f"{name:28}{100.0 * found.error:7.2f} %{sure:>12}{found.length:9.2f}"


def _build(data: DataSet, settings: SimpleNamespace) -> LeNet5:
    return LeNet5(data.shape[0], data.shape[1], len(data.classes))


ARCHITECTURE = Architecture(
    title="Adversarial examples",
    paper="Goodfellow, Shlens & Szegedy 2015, Explaining and harnessing adversarial examples",
    reference="mnist, fast gradient sign with ε = 0.25: error 0.894 of a maxout network, 0.179 "
    "after adversarial training (Goodfellow et al. 2015)",
    settings={
        "digits": {
            "epochs": 40,
            "batch_size": 32,
            "lr": 3e-3,
            "shift": 0,
            "epsilon": 0.1,
            "radius": 1.0,
            "defence": "none",
        },
        "mnist": {
            "epochs": 15,
            "batch_size": 128,
            "lr": 2e-3,
            "shift": 0,
            "epsilon": 0.25,
            "radius": 3.0,
            "defence": "none",
        },
    },
    meaning={
        "shift": "pixels by which training images are moved at most, at random",
        "epsilon": "by how much an attack may change each pixel, which goes from 0 to 1",
        "radius": "the Euclidean length by which an attack may change an image instead",
        "defence": "none, or fgsm: half of the training loss is that of images attacked by epsilon",
    },
    choices={"defence": ("none", "fgsm")},
    presets={"digits": {"fgsm": {"epochs": 60}}, "mnist": {"fgsm": {"lr": 3e-3}}},
    cost={
        "digits": "20 s, 0.2 GiB",
        "digits, fgsm": "40 s, 0.2 GiB",
        "mnist": "8 min, 0.6 GiB",
        "mnist, fgsm": "13 min, 0.6 GiB",
    },
    build=_build,
    training=AdversarialTraining,
)
