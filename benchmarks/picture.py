"""The results as horizontal bars, one group a workload."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.ticker import NullFormatter, StrMethodFormatter

from benchmarks.harness import FLOOR, OURS, Result
from models import pictures

# Okabe and Ito's colours, one for each engine in whatever company it appears.
COLOURS = {
    OURS: pictures.BLUE,
    "torch": pictures.ORANGE,
    "jax": pictures.GREEN,
    "autograd": "#E69F00",
    "mygrad": "#CC79A7",
    "dezero": "#56B4E9",
    "chainer": pictures.GREY,
}


def draw(results: Sequence[Result], engines: Sequence[str], path: Path) -> None:
    """Write the picture: time over the floor, and over PyTorch's where there are no products.

    A bar goes from 1 to the median of the rounds' ratios; the thin line joins their quartiles.
    """
    panels = []
    for base, title in (
        (FLOOR, "Time over that of the matrix products alone"),
        ("torch", "Operations without products: time over PyTorch's"),
    ):
        groups = [
            result
            for result in results
            if result.ratio(OURS, base) and bool(result.workload.products) == (base == FLOOR)
        ]
        if groups:
            panels.append((base, title, groups))
    if not panels:
        return
    heights = [sum(len(_bars(result, engines, base)) + 1 for result in groups)
               for base, _, groups in panels]  # fmt: skip
    made = pictures.figure(8.0, 1.0 + 0.16 * sum(heights) + 0.6 * len(panels))
    grid = pictures.grid(made, len(panels), 1, height_ratios=heights)[:, 0]
    for axes, (base, title, groups) in zip(grid, panels, strict=True):
        _panel(axes, groups, engines, base)
        axes.set_title(title)
    shown = {engine for base, _, groups in panels for result in groups
             for engine, _ in _bars(result, engines, base)}  # fmt: skip
    keys = [pictures.matplotlib.patches.Patch(color=COLOURS[e], label=e)
            for e in engines if e in shown]  # fmt: skip
    made.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    pictures.save(made, path)


def _bars(
    result: Result, engines: Sequence[str], base: str
) -> list[tuple[str, tuple[float, float, float]]]:
    """The engines with times, and the quartiles of their ratios to the base."""
    ratios = [(engine, result.ratio(engine, base)) for engine in engines]
    return [(engine, ratio) for engine, ratio in ratios if ratio is not None]


def _panel(axes: Any, groups: Sequence[Result], engines: Sequence[str], base: str) -> None:
    place = 0.0
    ticks = []
    for result in groups:
        bars = _bars(result, engines, base)
        ticks.append((place + (len(bars) - 1) / 2, result.workload.name))
        for engine, (first, median, third) in bars:
            axes.barh(place, median - 1.0, left=1.0, height=0.9, color=COLOURS[engine])
            axes.plot((first, third), (place, place), color="k", linewidth=0.8)
            axes.annotate(
                f"{median:.3g}",
                (max(third, 1.0), place),
                xytext=(3.0, 0.0),
                textcoords="offset points",
                va="center",
                fontsize=6.5,
            )
            place += 1.0
        place += 1.0
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axvline(1.0, color="k", linewidth=0.8)
    axes.set_yticks(*zip(*ticks, strict=True))
    axes.tick_params(axis="y", length=0.0)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
