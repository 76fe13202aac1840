"""``python -m benchmarks.growth``: how the time of a step grows with batch, image area and width.

Four sizes each, which take turns in one process; the exponent is the slope of log(time) over
log(size), by least squares. A batch twice as large should take at most twice the time: an exponent
above 1 shows memory that no longer fits somewhere, one far below 1 shows a fixed cost.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial

import minigrad  # noqa: F401  # isort: skip, before NumPy: see minigrad/tuning.py
import numpy as np
from tqdm import tqdm

from benchmarks import harness
from benchmarks.arguments import Parser, names, positive, seconds
from benchmarks.workloads import FACTORIES

SIZES: dict[str, dict[str, tuple[float, ...]]] = {
    "mlp": {"batch": (32, 64, 128, 256), "width": (64, 128, 256, 512)},
    "lenet": {"batch": (32, 64, 128, 256), "size": (20, 28, 40, 56), "width": (1, 2, 4, 8)},
    "cnn": {"batch": (16, 32, 64, 128), "size": (16, 24, 32, 48), "width": (8, 16, 32, 64)},
    "dcgan": {"batch": (16, 32, 64, 128), "size": (16, 20, 28, 40), "width": (16, 32, 64, 128)},
    "vae": {"batch": (32, 64, 128, 256), "width": (100, 200, 400, 800)},
    "rbm": {"batch": (25, 50, 100, 200), "width": (125, 250, 500, 1000)},
    "lstm": {"batch": (32, 64, 128, 256), "width": (32, 64, 128, 256)},
    "alexnet": {"batch": (2, 4, 8, 16), "size": (112, 160, 224, 288), "width": (16, 32, 48, 64)},
    "tiny": {"batch": (4, 16, 64, 256), "width": (8, 32, 128, 512)},
    "conv64": {"batch": (4, 8, 16, 32), "size": (14, 28, 40, 56), "width": (0.25, 0.5, 1, 2)},
    "conv7": {"batch": (1, 2, 4, 8), "size": (112, 160, 224, 320), "width": (0.25, 0.5, 1, 2)},
    "conv1": {"batch": (4, 8, 16, 32), "size": (14, 28, 40, 56), "width": (0.25, 0.5, 1, 2)},
    "conv5": {"batch": (8, 16, 32, 64), "size": (7, 14, 20, 28), "width": (0.5, 1, 2, 4)},
    "conv_stride": {
        "batch": (16, 32, 64, 128),
        "size": (14, 20, 28, 40),
        "width": (0.25, 0.5, 1, 2),
    },
    "conv_wide": {"batch": (16, 32, 64, 128), "size": (16, 22, 32, 44), "width": (0.25, 0.5, 1, 2)},
    "conv_transpose": {
        "batch": (16, 32, 64, 128),
        "size": (7, 10, 14, 20),
        "width": (16, 32, 64, 128),
    },
    "conv3d": {"batch": (2, 4, 8, 16), "size": (8, 12, 16, 20), "width": (1, 2, 4, 8)},
}


def positions(workload: str, axis: str, size: float) -> float:
    """What the time is compared with: of an image not the side but the number of pixels."""
    if axis != "size":
        return size
    return size**3 if workload == "conv3d" else size**2


def exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """p of the best time ≈ constant · sizeᵖ."""
    slope, _ = np.polyfit(np.log(sizes), np.log(times), 1)
    return float(slope)


def measure(engine: harness.Local, workload: str, axis: str, budget: float) -> list[float]:
    """The median time of a step at each of the sizes, in seconds."""
    harness.grow_the_heap()
    turns = {}
    for size in SIZES[workload][axis]:
        made = FACTORIES[workload](**{axis: size})
        turns[f"{size:g}"] = partial(harness.turn, engine.steps[workload](made, made.arrays()))
    return [float(np.median(times)) for times in harness.take_turns(turns, budget).values()]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = Parser(prog="python -m benchmarks.growth", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--only",
        type=names(list(SIZES), "workload that grows"),
        default=list(SIZES),
        metavar="NAMES",
        help="workloads, with commas between (default: all with matrix products)",
    )
    parser.add_argument(
        "--engine",
        choices=[harness.OURS, *harness.PEERS],
        default=harness.OURS,
        help="(default: %(default)s)",
    )
    parser.add_argument("--threads", type=positive, default=2, metavar="N", help="(default: 2)")
    parser.add_argument(
        "--seconds",
        type=seconds,
        default=1.0,
        metavar="S",
        help="time spent on each workload and size (default: 1)",
    )
    options = parser.parse_args(arguments)
    try:
        engine = harness.Local(options.engine, options.threads)
    except harness.EngineError as error:
        parser.error(f"{options.engine} is absent: {error}")
    print(f"{'':<15}{'':<7}{'exponent':>9}  ms at each size")
    for workload in tqdm(options.only, disable=None, leave=False):
        if workload not in engine.steps:
            continue
        for axis, sizes in SIZES[workload].items():
            times = measure(engine, workload, axis, options.seconds)
            slope = exponent([positions(workload, axis, size) for size in sizes], times)
            shown = ", ".join(
                f"{size:g}: {1e3 * t:.3g}" for size, t in zip(sizes, times, strict=True)
            )
            name = {"size": "area"}.get(axis, axis)
            tqdm.write(f"{workload:<15}{name:<7}{slope:>9.2f}  {shown}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
