"""What the models draw with: one style, and the pictures that several of them share.

Colours are Okabe and Ito's ("Color universal design", 2008) and matplotlib's cividis, which readers
with any colour vision can tell apart. A title says what the picture shows, in numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator, StrMethodFormatter

import minigrad as mg
from minigrad.backend import current_backend
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#666666"
DPI = 150  # pixels an inch
SIGNED = "PuOr"  # for weights: one hue a sign, white is zero
matplotlib.rcParams.update(
    {
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlelocation": "left",
        "axes.titlesize": 10.0,
        "font.size": 9.0,
        "legend.frameon": False,
    }
)


def figure(width: float, height: float, title: str = "") -> Figure:
    """An empty figure, its size in inches, with a title at the left."""
    made = Figure(figsize=(width, height), layout="constrained")
    if title:
        made.suptitle(title, x=0.01, ha="left", fontsize=11)
    return made


def grid(made: Any, rows: int, columns: int, **options: Any) -> np.ndarray:
    """An array (rows, columns) of axes in a figure."""
    return made.subplots(rows, columns, squeeze=False, **options)


def save(made: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    made.savefig(path, dpi=DPI)


# ---------------------------------------------------------------------------------------------
# Learning
# ---------------------------------------------------------------------------------------------


def curves(history: list[dict[str, Any]], path: Path) -> None:
    """Training loss and test error over the epochs."""
    if not history:
        return
    epochs = [entry["epoch"] for entry in history]
    losses = [entry["train_loss"] for entry in history]
    errors = [100.0 * (1.0 - entry["test_accuracy"]) for entry in history]
    made = figure(8.0, 3.0)
    left, right = grid(made, 1, 2)[0]
    left.set_title(f"Training loss: from {losses[0]:.2g} to {losses[-1]:.2g}")
    left.set_ylabel("mean loss of the epoch")
    right.set_title(f"Test error: {errors[-1]:.2f} % after the last epoch")
    right.set_ylabel("wrong test examples (%)")
    for axes, values, colour in ((left, losses, BLUE), (right, errors, ORANGE)):
        marker = "o" if len(epochs) < 50 else ""
        axes.plot(epochs, values, color=colour, marker=marker, markersize=3)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if min(values) > 0.0:
            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
            axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axes.yaxis.set_minor_locator(NullLocator())
    save(made, path)


def confusion(
    guesses: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    path: Path,
    what: str = "test images",
) -> None:
    """How many examples of each class were taken for each class; colour shows the mistakes."""
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    np.add.at(counts, (labels, guesses), 1)
    mistakes = counts * (1 - np.eye(len(classes), dtype=int))
    wrong = mistakes.sum()
    title = f"{wrong} of {len(labels)} {what} are taken for another class"
    if mistakes.max() > 1:
        true, taken = np.unravel_index(mistakes.argmax(), mistakes.shape)
        title += f",\nmost often {classes[true]} for {classes[taken]} ({mistakes.max()} times)"
    made = figure(6.0, 5.6)
    axes = grid(made, 1, 1)[0, 0]
    image = axes.imshow(mistakes, cmap="Blues", vmin=0, vmax=max(1, mistakes.max()))
    for i in range(len(classes)):
        axes.fill_between((i - 0.5, i + 0.5), i - 0.5, i + 0.5, color="0.9", linewidth=0.0)
    for (row, column), count in np.ndenumerate(counts):
        dark = row != column and count > 0.5 * mistakes.max()
        if count:
            axes.text(
                column, row, count, ha="center", va="center", fontsize=8, color="w" if dark else "k"
            )
    names_are_long = max(map(len, classes)) > 2
    axes.set_xticks(range(len(classes)), classes, rotation=45 if names_are_long else 0)
    axes.set_yticks(range(len(classes)), classes)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    axes.set_title(title)
    bar = made.colorbar(image, ax=axes, shrink=0.8, label="mistakes")
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    save(made, path)


def confident_mistakes(
    images: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    classes: Sequence[str],
    path: Path,
    unit: str = "probability",
    count: int = 16,
) -> None:
    """The wrongly classified images whose wrong class has the largest score."""
    guesses = scores.argmax(1)
    certainty = scores.max(1)
    wrong = np.flatnonzero(guesses != labels)
    worst = wrong[np.argsort(-certainty[wrong], kind="stable")][:count]
    if not len(worst):
        return
    columns = 8
    rows = -(-len(worst) // columns)
    title = f"The surest of {len(wrong)} mistakes: taken for what ({unit}), and really what"
    made = figure(9.0, 0.4 + 1.4 * rows, title)
    panels = grid(made, rows, columns).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, i in zip(panels, worst, strict=False):
        show_image(axes, images[i])
        said = f"{classes[guesses[i]]} ({certainty[i]:.2f})"
        axes.set_title(f"{said}\nreally {classes[labels[i]]}", fontsize=8, loc="center")
    save(made, path)


def of_classifier(
    history: list[dict[str, Any]],
    scores: np.ndarray,
    test: TensorDataset,
    classes: Sequence[str],
    folder: Path,
    unit: str = "probability",
) -> None:
    """The pictures that every classifier of images has: curves, confusions, confident mistakes.

    Args:
        history: one dictionary an epoch, as in metrics.jsonl.
        scores: (N, classes), for the images of `test`; the largest decides.
        test: images and labels.
        classes: their names.
        folder: where the pictures go.
        unit: what the scores are.
    """
    images, labels = (tensor.numpy() for tensor in test.tensors)
    curves(history, folder / "curves.png")
    confusion(scores.argmax(1), labels, classes, folder / "confusion.png")
    confident_mistakes(images, scores, labels, classes, folder / "mistakes.png", unit)


def answers(
    images: np.ndarray, said: Sequence[tuple[str, str]], truths: Sequence[str], path: Path
) -> None:
    """Images (n, c, h, w), each under the class that it is taken for and how sure that is, and
    under its own class if that is another."""
    columns = 8
    rows = -(-len(images) // columns)
    wrong = [guess != truth for (guess, _), truth in zip(said, truths, strict=True)]
    title = f"What the network takes {len(images)} test images for; {sum(wrong)} wrong"
    made = figure(9.0, 0.4 + 1.4 * rows, title)
    panels = grid(made, rows, columns).ravel()
    for axes in panels:
        axes.set_axis_off()
    for i, (axes, image) in enumerate(zip(panels, images, strict=False)):
        show_image(axes, image)
        text = "".join(said[i]) + (f"\nreally {truths[i]}" if wrong[i] else "")
        axes.set_title(text, fontsize=8, loc="center", color=ORANGE if wrong[i] else "k")
    save(made, path)


# ---------------------------------------------------------------------------------------------
# Images and weights
# ---------------------------------------------------------------------------------------------


def show_image(axes: Axes, image: np.ndarray) -> None:
    """An image (c, h, w) of one or three channels with values from 0 to 1."""
    axes.set_axis_off()
    if len(image) == 3:
        axes.imshow(np.moveaxis(image, 0, -1).clip(0.0, 1.0))
    else:
        axes.imshow(image[0], cmap="gray_r", vmin=0.0, vmax=1.0)


def tabulate(
    made: Any, rows: np.ndarray, names: Sequence[str] = (), beside: Sequence[str] = ()
) -> None:
    """Draw images (rows, columns, c, h, w) into a figure, columns and rows with names if there are
    any."""
    panels = grid(made, *rows.shape[:2])
    for axes, image in zip(panels.ravel(), rows.reshape(-1, *rows.shape[2:]), strict=True):
        show_image(axes, image)
    for axes, name in zip(panels[0], names, strict=False):
        axes.set_title(name, loc="center")
    for axes, name in zip(panels[:, 0], beside, strict=False):
        axes.text(-0.1, 0.5, name, transform=axes.transAxes, ha="right", va="center")


def table(
    rows: np.ndarray,
    names: Sequence[str],
    title: str,
    path: Path,
    beside: Sequence[str] = (),
) -> None:
    """Images (rows, columns, c, h, w) in a table, as `tabulate` draws them."""
    height, width = rows.shape[:2]
    room = 0.08 * max(map(len, beside), default=0)  # inches
    made = figure(0.75 * max(width, 6) + room, 0.75 * height + 0.5, title)
    tabulate(made, rows, names, beside)
    save(made, path)


def sheet(images: np.ndarray, title: str, path: Path) -> None:
    """Images (n, c, h, w) in rows of ten."""
    width = min(len(images), 10)
    blank = np.full((-len(images) % width, *images.shape[1:]), np.nan, images.dtype)
    rows = np.concatenate([images, blank]).reshape(-1, width, *images.shape[1:])
    table(rows, [], title, path)


def weights(tiles: np.ndarray, title: str, path: Path, names: Sequence[str] = ()) -> None:
    """Weights as images: tiles (n, h, w) in one colour scale, white where a weight is zero."""
    columns = min(len(tiles), 10)
    rows = -(-len(tiles) // columns)
    made = figure(0.9 * max(columns, 6) + 0.8, 0.9 * rows + (0.9 if names else 0.6), title)
    panels = grid(made, rows, columns).ravel()
    limit = np.abs(tiles).max() or 1.0
    for axes in panels:
        axes.set_axis_off()
    for i, (axes, tile) in enumerate(zip(panels, tiles, strict=False)):
        image = axes.imshow(tile, cmap=SIGNED, vmin=-limit, vmax=limit)
        if names:
            axes.set_title(names[i], loc="center")
    made.colorbar(image, ax=panels.tolist(), label="weight", shrink=0.9)
    save(made, path)


def colour_weights(tiles: np.ndarray, title: str, path: Path) -> None:
    """Weights (n, 3, h, w) on red, green and blue as colours: grey where all three are zero, each
    tile in a scale of its own."""
    limits = np.abs(tiles).max(axis=(1, 2, 3), keepdims=True)
    colours = 0.5 + tiles / (2.0 * np.where(limits > 0.0, limits, 1.0))
    columns = min(len(tiles), 16)
    rows = -(-len(tiles) // columns)
    made = figure(0.55 * max(columns, 10) + 0.2, 0.55 * rows + 0.5, title)
    for axes in grid(made, rows, columns).ravel():
        axes.set_axis_off()
    for axes, colour in zip(made.axes, colours, strict=False):
        show_image(axes, colour)
    save(made, path)


# ---------------------------------------------------------------------------------------------
# The plane
# ---------------------------------------------------------------------------------------------

SQUARE = (-0.5, 1.5)  # the part of the plane around a truth table that is shown


def truth_table_points(axes: Axes, x: np.ndarray, y: np.ndarray) -> None:
    """The rows of a truth table in the plane: filled where the function is true."""
    for value, label in ((1, "true"), (0, "false")):
        rows = x[y == value]
        axes.scatter(
            rows[:, 0],
            rows[:, 1],
            s=70,
            facecolor="k" if value else "w",
            edgecolor="k",
            linewidth=1.5,
            zorder=5,
            label=label,
        )
    axes.set(xlim=SQUARE, ylim=SQUARE, xticks=(0, 1), yticks=(0, 1), aspect="equal")
    axes.set_xlabel("$x_1$")
    axes.set_ylabel("$x_2$")


def line(axes: Axes, w: Sequence[float] | np.ndarray, b: float, **style: Any) -> None:
    """The line w₁ x₁ + w₂ x₂ + b = 0, where it crosses the square; nothing where w is zero."""
    low, high = SQUARE
    if abs(w[1]) >= abs(w[0]) and w[1]:
        axes.plot((low, high), [-(w[0] * x + b) / w[1] for x in (low, high)], **style)
    elif w[0]:
        axes.plot([-(w[1] * y + b) / w[0] for y in (low, high)], (low, high), **style)


def _over(square: tuple[float, float], function: Callable[[Tensor], Tensor], n: int) -> np.ndarray:
    """The values of a function of points (m, 2) on an n × n lattice over a square."""
    ticks = np.linspace(*square, n, dtype="float32")
    first, second = np.meshgrid(ticks, ticks)
    points = np.stack([first.ravel(), second.ravel()], axis=1)
    with mg.no_grad():
        return function(Tensor(points).to(current_backend())).numpy().reshape(n, n)


def regions(axes: Axes, function: Callable[[Tensor], Tensor]) -> None:
    """Shade the part of the square where a function of points (m, 2) is 1, not where it is 0."""
    values = _over(SQUARE, function, 401)
    axes.imshow(values, cmap="Blues", vmin=0, vmax=4, origin="lower", extent=SQUARE * 2)


def surface(axes: Axes, square: tuple[float, float], function: Callable[[Tensor], Tensor]) -> Any:
    """Colour a square by a function of points (m, 2) between 0 and 1; ½ is drawn as a line."""
    values = _over(square, function, 121)
    style: dict[str, Any] = {"origin": "lower", "extent": square * 2}
    shade = axes.imshow(values, cmap="PuOr", vmin=0, vmax=1, alpha=0.6, **style)
    if values.min() < 0.5 < values.max():
        axes.contour(values, [0.5], colors="k", linewidths=1.5, **style)
    return shade
