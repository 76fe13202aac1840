"""``python -m benchmarks``: training steps and single operations, timed side by side."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from benchmarks import harness, report
from benchmarks.workloads import WORKLOADS
from minigrad.serialize import write_atomically


class Parser(argparse.ArgumentParser):
    """A parser that refuses bad arguments in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def _names(text: str, known: Sequence[str], things: str) -> list[str]:
    """Names between commas, in the order of the known ones."""
    wanted = [name for name in text.split(",") if name]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        wrong = f"there is no {things} {unknown[0]!r}" if unknown else f"names no {things}"
        raise argparse.ArgumentTypeError(f"{wrong}; known: {', '.join(known)}")
    return [name for name in known if name in wanted]


def _threads(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"wants a positive integer, got {text!r}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"wants a non-negative number, got {text!r}")
    return value


def _file(text: str) -> Path:
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=lambda text: _names(text, list(WORKLOADS), "workload"),
        default=list(WORKLOADS),
        metavar="NAMES",
        help="workloads, with commas between (default: all)",
    )
    parser.add_argument(
        "--against",
        type=lambda text: _names(text, harness.PEERS, "engine"),
        default=list(harness.PEERS),
        metavar="NAMES",
        help="other engines (default: all that are installed)",
    )
    parser.add_argument("--json", type=_file, metavar="FILE", help="write all times here")
    parser.add_argument("--picture", type=_file, metavar="FILE", help="draw the bars here (PNG)")
    parser.add_argument(
        "--threads", type=_threads, default=2, metavar="N", help="of every engine (default: 2)"
    )
    parser.add_argument(
        "--seconds",
        type=_seconds,
        default=3.0,
        metavar="S",
        help="time spent on each workload and engine (default: 3)",
    )
    parser.add_argument("--list", action="store_true", help="say what the workloads are, and stop")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and print and write what was measured; returns the exit code."""
    options = _parse(arguments)
    if options.list:
        for name in options.only:
            print(f"{name:<15}{WORKLOADS[name].title}")
        return 0
    engines, notes = harness.load([harness.OURS, *options.against], options.threads)
    about = report.environment(engines, options.threads)
    print("\n".join([*report.heading(about, notes), "", report.columns(list(engines))]), flush=True)
    results = []
    for name in tqdm(options.only, disable=None, leave=False):
        result = harness.measure(WORKLOADS[name], engines, options.seconds)
        results.append(result)
        tqdm.write(report.row(result, list(engines)))
        sys.stdout.flush()
    for line in report.problems(results):
        print(line)
    if options.json:
        text = json.dumps(report.as_json(about, notes, results), indent=1)
        write_atomically(options.json, text + "\n")
    if options.picture:
        from benchmarks.picture import draw

        draw(results, list(engines), options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
