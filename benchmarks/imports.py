"""``python -m benchmarks.imports``: how long an import takes, above NumPy's and SciPy's.

Every import is the first of a fresh interpreter, and the interpreters take turns.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks import harness
from benchmarks.arguments import Parser, names, positive

BASE = "import numpy, scipy.special"
STATEMENTS = {
    harness.OURS: "import minigrad, minigrad.nn, minigrad.optim",
    **{name: f"import {name}" for name in harness.PEERS},
    # These two only through our files, which give them the names that NumPy 2 has removed.
    "dezero": "import benchmarks.engines.dezero",
    "chainer": "import benchmarks.engines.chainer",
}
PROGRAM = """
import sys, time
{before}
start = time.perf_counter()
try:
    {statement}
except Exception as error:
    sys.exit(" ".join(f"{{type(error).__name__}}: {{error}}".split()))
print(time.perf_counter() - start)
"""


class ImportFailed(RuntimeError):
    """The import raised this error."""


def seconds(before: str, statement: str) -> float:
    """How long a statement takes in a fresh interpreter, after another."""
    program = PROGRAM.format(before=before, statement=statement)
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parent.parent,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ImportFailed((done.stderr.splitlines() or ["it was killed"])[-1])
    return float(done.stdout.splitlines()[-1])


def measure(engines: Sequence[str], rounds: int) -> tuple[dict[str, list[float]], dict[str, str]]:
    """Seconds of every round, by name or `BASE`, and a note for each that cannot be imported."""
    statements = {BASE: ("", BASE), **{name: (BASE, STATEMENTS[name]) for name in engines}}
    times: dict[str, list[float]] = {name: [] for name in statements}
    notes: dict[str, str] = {}
    for number in range(rounds):
        for name in harness.rotated(list(times), number):
            try:
                times[name].append(seconds(*statements[name]))
            except ImportFailed as error:
                notes[name] = f"absent: {error}"
                del times[name]
    return times, notes


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = Parser(prog="python -m benchmarks.imports", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--against",
        type=names(harness.PEERS, "engine"),
        default=list(harness.PEERS),
        metavar="NAMES",
        help="other engines (default: all that are installed)",
    )
    parser.add_argument("--rounds", type=positive, default=9, metavar="N", help="(default: 9)")
    options = parser.parse_args(arguments)
    times, notes = measure([harness.OURS, *options.against], options.rounds)
    width = len(BASE) + 2
    print(f"{'':<{width}}{'ms':>6}  quartiles")
    for name, values in times.items():
        first, median, third = 1e3 * np.quantile(values, (0.25, 0.5, 0.75))
        label = name if name == BASE else f"+ {name}"
        print(f"{label:<{width}}{median:>6.0f}  {first:.0f} … {third:.0f}")
    for name, note in notes.items():
        print(f"{name} is {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
