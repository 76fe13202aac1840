"""The commands ``python -m minigrad info``, what is here, and ``check``, whether it is right."""

from __future__ import annotations

import argparse
import difflib
import json
import math
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import scipy

import minigrad
import minigrad.nn  # registers the primitives that only networks need
from minigrad.certificate import (
    FIRST_ORDER,
    SECOND_ORDER,
    Row,
    certify,
    differentiable,
    worst_of,
)
from minigrad.cli import Parser, exit_code
from minigrad.core import registry

# ---------------------------------------------------------------------------------------------
# info
# ---------------------------------------------------------------------------------------------


def _blas() -> list[str]:
    """The BLAS libraries in this process, their threads and the kernels they chose."""
    try:
        import threadpoolctl
    except ImportError:
        built: Any = np.show_config(mode="dicts")
        blas = built["Build Dependencies"]["blas"]
        more = "pip install threadpoolctl shows its threads and kernels"
        return [f"{blas['name']} {blas['version']}; {more}"]
    return [
        f"{pool['internal_api']} {pool['version']}, {pool['num_threads']} threads, "
        f"kernels for {pool.get('architecture', 'an unknown processor')}, in {pool['prefix']}"
        for pool in threadpoolctl.threadpool_info()
        if pool["user_api"] == "blas"
    ]


def info() -> int:
    """Print versions, backends and the BLAS."""
    rows = [
        ("minigrad", minigrad.__version__),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("numpy", np.__version__),
        ("scipy", scipy.__version__),
    ]
    for name, status in minigrad.backends().items():
        verdict = "usable" if status.usable else "not usable"
        rows.append(("backend", f"{name}, {verdict}: {status.detail}"))
    rows += [("blas", line) for line in _blas()]
    if "OPENBLAS_CORETYPE" in os.environ:
        pinned = os.environ["OPENBLAS_CORETYPE"]
        rows.append(("", f"OPENBLAS_CORETYPE={pinned} overrides OpenBLAS's own choice of kernels"))
    for label, text in rows:
        print(f"{label:<10}{text}")
    return 0


# ---------------------------------------------------------------------------------------------
# check
# ---------------------------------------------------------------------------------------------


QUICK, THOROUGH = 25, 300  # calls drawn for each primitive


def check(names: Sequence[str], thorough: bool, seed: int, as_json: bool) -> int:
    """Print the gradient errors of primitives, of all where no names are given, on every backend.

    Returns the exit code: 1 where an error is above what is allowed, a rule breaks down, or a
    primitive has no case.
    """
    names = names or sorted(differentiable())
    usable = [name for name, status in minigrad.backends().items() if status.usable]
    examples = THOROUGH if thorough else QUICK
    width = max(map(len, names))
    if not as_json:
        print(f"{'primitive':<{width}}  backend  cases  first order  second order")
    rows = []
    for name in names:
        for backend in usable:
            row = certify(name, backend, examples, seed)
            rows.append(row)
            if not as_json:
                print(f"{name:<{width}}  {backend:<7}  {_columns(row)}", flush=True)
    if as_json:
        print(json.dumps(_as_json(rows, seed), indent=1))
    else:
        _summarise(rows)
    return 0 if all(row.passed for row in rows) else 1


def _columns(row: Row) -> str:
    verdict = "ok" if row.passed else "FAIL"
    if row.problem:
        return f"{row.problem}  {verdict}"
    return f"{row.cases:>5}  {row.first:>11.1e}  {row.second:>12.1e}  {verdict}"


def _summarise(rows: Sequence[Row]) -> None:
    """A line for each backend, and the names of what failed."""
    for name, status in minigrad.backends().items():
        mine = [row for row in rows if row.backend == name]
        if not mine:
            print(f"{name}: not checked: {status.detail}")
            continue
        worst = [f"{error:.1e} ({whose}) {order} order" for order, error, whose in worst_of(mine)]
        print(
            f"{name}: {len(mine)} primitives, {sum(row.cases for row in mine)} distinct cases, "
            f"worst relative errors {', '.join(worst)}"
        )
    failed = [f"{row.primitive} on {row.backend}" for row in rows if not row.passed]
    if failed:
        print(f"failed: {', '.join(failed)}")


def _as_json(rows: Sequence[Row], seed: int) -> dict[str, Any]:
    """The certificate for machines; errors that are not numbers are null."""
    return {
        "minigrad": minigrad.__version__,
        "seed": seed,
        "allowed": {"first": FIRST_ORDER, "second": SECOND_ORDER},
        "backends": {name: asdict(status) for name, status in minigrad.backends().items()},
        "rows": [
            {
                **asdict(row),
                "first": row.first if math.isfinite(row.first) else None,
                "second": row.second if math.isfinite(row.second) else None,
                "passed": row.passed,
            }
            for row in rows
        ],
        "passed": all(row.passed for row in rows),
    }


def _unknown(name: str, known: Sequence[str]) -> str:
    """Why a name is refused, with what it may have meant."""
    if name in registry:
        return f"{name} has no gradient to check"
    close = difflib.get_close_matches(name, known, n=3)
    return f"unknown primitive {name!r}" + (f"; close: {', '.join(close)}" if close else "")


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"wants a non-negative integer, got {text!r}")
    return int(text)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    parser = Parser(prog="python -m minigrad", description=(minigrad.__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="versions, backends, BLAS")
    checking = commands.add_parser("check", help="check the gradients of primitives numerically")
    checking.add_argument("ops", nargs="*", metavar="OP", help="a primitive (default: all)")
    checking.add_argument(
        "--thorough",
        action="store_true",
        help=f"draw {THOROUGH} calls of each primitive instead of {QUICK}",
    )
    checking.add_argument("--seed", type=_seed, default=0, help="draw other calls (default: 0)")
    checking.add_argument("--json", action="store_true", help="print the results as JSON")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        return info()
    known = sorted(differentiable())
    for name in chosen.ops:
        if name not in known:
            checking.error(_unknown(name, known))
    return check(chosen.ops, chosen.thorough, chosen.seed, chosen.json)


if __name__ == "__main__":
    sys.exit(exit_code(main))
