"""``python -m benchmarks``: training steps and single operations, timed side by side."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from tqdm import tqdm

from benchmarks import harness, report
from benchmarks.arguments import Parser, file, names, positive, seconds
from benchmarks.workloads import WORKLOADS


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only",
        type=names(list(WORKLOADS), "workload"),
        default=list(WORKLOADS),
        metavar="NAMES",
        help="workloads, with commas between (default: all)",
    )
    parser.add_argument(
        "--against",
        type=names(harness.PEERS, "engine"),
        default=list(harness.PEERS),
        metavar="NAMES",
        help="other engines (default: all that are installed)",
    )
    parser.add_argument("--json", type=file, metavar="FILE", help="write all times here")
    parser.add_argument("--picture", type=file, metavar="FILE", help="draw the bars here (PNG)")
    parser.add_argument(
        "--threads", type=positive, default=2, metavar="N", help="of every engine (default: 2)"
    )
    parser.add_argument(
        "--seconds",
        type=seconds,
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
    engines, notes = harness.load(
        [harness.OURS, *options.against, harness.FLOOR], options.threads
    )
    about = report.environment(engines, options.threads)
    print("\n".join([*report.heading(about, notes), "", report.columns(list(engines))]), flush=True)
    results = []
    for name in tqdm(options.only, disable=None, leave=False):
        result = harness.measure(WORKLOADS[name], engines, options.seconds)
        results.append(result)
        tqdm.write(report.row(result, list(engines)))
        sys.stdout.flush()
    for engine in engines.values():
        engine.close()
    for line in report.problems(results):
        print(line)
    if options.json:
        from minigrad.serialize import write_atomically

        text = json.dumps(report.as_json(about, notes, results), indent=1)
        write_atomically(options.json, text + "\n")
    if options.picture:
        from benchmarks.picture import draw

        draw(results, [name for name in engines if name != harness.FLOOR], options.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
