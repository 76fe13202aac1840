"""``python -m benchmarks.memory``: the memory of a training step, and whether it comes back.

The peak is of the resident memory of a process that does nothing else, above what it holds before
data and model are made. The growth is the slope of the resident memory over many steps.
"""

from __future__ import annotations

import multiprocessing
import resource
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import harness
from benchmarks.arguments import Parser, names, positive
from benchmarks.workloads import FACTORIES

PEAKS = ("cnn", "alexnet")
PEAK_STEPS = 5
GROWTHS: dict[str, dict[str, int]] = {"mlp": {}, "cnn": {"batch": 8, "width": 8}}
MEGABYTE = 1 << 20


def alone(function: Callable, *arguments: Any) -> Any:
    """The result of a call in a fresh process."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(function, *arguments).result()


def _step(engine: str, workload: str, sizes: dict[str, int], threads: int) -> Callable:
    """What makes the step, once the engine is imported; `RuntimeError` says why there is none."""
    steps = harness.Local(engine, threads).steps
    if workload not in steps:
        raise RuntimeError(f"has no {workload}")

    def make() -> harness.Step:
        made = FACTORIES[workload](**sizes)
        arrays = made.arrays()
        step = steps[workload](made, arrays)
        arrays.clear()  # the step works on copies
        return step

    return make


def peak(engine: str, workload: str, threads: int) -> float:
    """Bytes that the process grows at most while it makes a model and trains it a few steps."""
    make = _step(engine, workload, {}, threads)
    before = _peak_resident()
    step = make()
    for _ in range(PEAK_STEPS):
        step()
    return _peak_resident() - before


def growth(engine: str, workload: str, sizes: dict[str, int], steps: int, threads: int) -> float:
    """Bytes that the process grows a step, by a straight line through its size after each.

    The first fifth of the steps, in which pools fill, comes before.
    """
    step = _step(engine, workload, sizes, threads)()
    for _ in range(steps // 5):
        step()
    resident = np.ones(steps)  # memory that is there already
    for i in range(steps):
        step()
        resident[i] = _resident()
    slope, _ = np.polyfit(np.arange(steps), resident, 1)
    return float(slope)


def _peak_resident() -> int:
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else 1024 * used


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = Parser(prog="python -m benchmarks.memory", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--against",
        type=names(harness.PEERS, "engine"),
        default=list(harness.PEERS),
        metavar="NAMES",
        help="other engines (default: all that are installed)",
    )
    parser.add_argument("--threads", type=positive, default=2, metavar="N", help="(default: 2)")
    parser.add_argument(
        "--steps", type=positive, default=1000, metavar="N", help="of growth (default: 1000)"
    )
    options = parser.parse_args(arguments)
    engines = [harness.OURS, *options.against]
    print(f"{'peak, MB':<10}{'':<10}{'':>8}{'/ torch':>10}")
    for workload in PEAKS:
        found: dict[str, float] = {}
        for engine in sorted(engines, key=lambda name: name != "torch"):  # the ratios want it first
            try:
                found[engine] = alone(peak, engine, workload, options.threads)
            except RuntimeError as error:  # BrokenProcessPool too: the process was killed
                print(f"{workload:<10}{engine:<10}{error}")
                continue
            ratio = f"{found[engine] / found['torch']:.2f}" if "torch" in found else "–"
            print(f"{workload:<10}{engine:<10}{found[engine] / MEGABYTE:>8.0f}{ratio:>10}")
    print(f"\n{'growth':<10}bytes a step, over {options.steps:,} steps of {harness.OURS}")
    for workload, sizes in GROWTHS.items():
        slope = alone(growth, harness.OURS, workload, sizes, options.steps, options.threads)
        shown = "".join(f" {name} {size}" for name, size in sizes.items())
        print(f"{workload:<10}{slope:.0f}{' (' + shown.strip() + ')' if shown else ''}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
