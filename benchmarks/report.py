"""The results as a table, as JSON and as a picture, and what they were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import scipy

from benchmarks.harness import FLOOR, ON_NUMPY, OURS, Engine, Result, Timing

# -- What it ran on -------------------------------------------------------------------------------


def processor() -> str:
    """The name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def environment(engines: Mapping[str, Engine], threads: int) -> dict[str, Any]:
    """The machine, the libraries and their versions."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": processor(),
        "system": platform.platform(),
        "threads": threads,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "engines": {name: engine.version for name, engine in engines.items()},
        "thread_pools": engines[OURS].thread_pools if OURS in engines else [],
        "OPENBLAS_CORETYPE": os.environ.get("OPENBLAS_CORETYPE"),
    }


def heading(about: Mapping[str, Any], notes: Mapping[str, str]) -> list[str]:
    """The lines above the table."""
    lines = [
        f"{about['date']}, {about['cpu']}, {about['threads']} threads",
        f"Python {about['python']}, NumPy {about['numpy']}, SciPy {about['scipy']}",
        *(f"{name} {version}" for name, version in about["engines"].items()),
        *(f"  {line}" for line in about["thread_pools"]),
        *(f"{name} is {note}" for name, note in notes.items()),
    ]
    if about["OPENBLAS_CORETYPE"] is not None:
        lines.append(
            f"warning: OPENBLAS_CORETYPE={about['OPENBLAS_CORETYPE']} pins the kernels of NumPy's "
            "BLAS; measure with `env -u OPENBLAS_CORETYPE`"
        )
    return lines


# -- The table ------------------------------------------------------------------------------------


def columns(engines: Sequence[str]) -> str:
    """The head of the table."""
    names = "".join(f"{name:>10}" for name in engines)
    return f"{'ms':<15}{names}  {'ours / torch':>20}{'ours / floor':>14}  ours / fastest on NumPy"


def row(result: Result, engines: Sequence[str]) -> str:
    """A line of the table: medians in milliseconds, and ratios with their quartiles."""
    cells = "".join(f"{_cell(result.timings.get(name)):>10}" for name in engines)
    to_torch = result.ratio(OURS, "torch")
    spread = f"{to_torch[1]:.2f} ({to_torch[0]:.2f} … {to_torch[2]:.2f})" if to_torch else "–"
    to_floor = result.ratio(OURS, FLOOR)
    over = f"{to_floor[1]:.2f}" if to_floor else "–"
    fastest = result.fastest(ON_NUMPY)
    to_fastest = result.ratio(OURS, fastest) if fastest else None
    rival = f"{to_fastest[1]:.2f} {fastest}" if to_fastest else "–"
    return f"{result.workload.name:<15}{cells}  {spread:>20}{over:>14}  {rival}"


def _cell(timing: Timing | None) -> str:
    if timing is None:
        return "–"
    if timing.problem:
        return "differs" if timing.problem.startswith("computes") else "failed"
    return f"{1e3 * timing.median:.3g}" if timing.median < 1.0 else f"{1e3 * timing.median:.0f}"


def problems(results: Sequence[Result]) -> list[str]:
    """A line for each engine that has no time where it should have one, and a warning where the
    times are not worth much."""
    lines = [
        f"warning: {result.workload.name}: other programs kept {result.others:.1f} processors busy"
        for result in results
        if result.others > 0.1
    ]
    return lines + [
        f"{result.workload.name}: {name} {timing.problem}"
        for result in results
        for name, timing in result.timings.items()
        if timing.problem
    ]


# -- JSON -----------------------------------------------------------------------------------------


def as_json(
    about: Mapping[str, Any], notes: Mapping[str, str], results: Sequence[Result]
) -> dict[str, Any]:
    """Everything: the times of all rounds in seconds, losses, versions."""
    return {
        **about,
        "notes": dict(notes),
        "workloads": {
            result.workload.name: {
                "title": result.workload.title,
                "others": result.others,
                "products": [list(product) for product in result.workload.products],
                "engines": {name: _timing(t) for name, t in result.timings.items()},
            }
            for result in results
        },
    }


def _timing(timing: Timing) -> dict[str, Any]:
    entry: dict[str, Any] = {"losses": timing.losses, "times": timing.times}
    if timing.times:
        first, median, third = np.quantile(timing.times, (0.25, 0.5, 0.75))
        entry |= {"quartiles": [float(first), float(third)], "median": float(median)}
    if timing.problem:
        entry["problem"] = timing.problem
    return entry
