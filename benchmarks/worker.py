"""One engine in a process of its own: ``python -m benchmarks.worker ENGINE THREADS``.

It reads requests and writes replies, JSON by the line: first what it is, then for ``{"build":
WORKLOAD}`` the losses of the first steps, and for ``{"turn": true}`` the time of a step. A reply is
``{"problem": REASON}`` where there is trouble.

The engine is imported before NumPy and everything else, as a program that uses it would do.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from contextlib import suppress
from typing import Any


def main() -> int:
    """Serve until the requests end; returns the exit code."""
    name, threads = sys.argv[1], int(sys.argv[2])
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no reply
    with suppress(Exception):  # harness.Local says what it was
        importlib.import_module(f"benchmarks.engines.{name}")
    from benchmarks import harness
    from benchmarks.workloads import WORKLOADS

    try:
        engine = harness.Local(name, threads)
    except harness.EngineError as error:
        print(json.dumps({"problem": str(error)}), file=replies)
        return 0
    about = {"version": engine.version, "thread_pools": engine.thread_pools}
    print(json.dumps({**about, "workloads": sorted(engine.workloads)}), file=replies)
    for line in sys.stdin:
        request = json.loads(line)
        reply: dict[str, Any]
        try:
            if "build" in request:
                reply = {"losses": engine.build(WORKLOADS[request["build"]])}
            else:
                reply = {"time": engine.turn()}
        except Exception as error:  # one engine's trouble is not the others'
            reply = {"problem": harness.one_line(error)}
        print(json.dumps(reply), file=replies)
    return 0


if __name__ == "__main__":
    sys.exit(main())
