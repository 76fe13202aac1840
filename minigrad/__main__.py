"""The commands ``python -m minigrad info``, what is here, and ``check``, whether it is right."""

from __future__ import annotations

import argparse
import difflib
import os
import platform
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import scipy

import minigrad
import minigrad.nn  # registers the primitives that only networks need
from minigrad.core import Primitive, registry
from minigrad.gradcheck import directional_error
from minigrad.samples import SAMPLES, Case

TOLERANCE = 1e-7  # relative; right rules err by about 1e-10, wrong ones by 1e-3 and more


class Parser(argparse.ArgumentParser):
    """A parser that refuses bad arguments in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


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


def differentiable() -> dict[str, Primitive]:
    """The registered primitives that have rules, by name."""
    return {
        name: primitive
        for name, primitive in registry.items()
        if primitive.rules or primitive.joint is not None
    }


def case_error(primitive: Primitive, case: Case, order: int, seed: int = 0) -> float:
    """The relative error of a primitive's derivatives of the given order at one case."""
    args, params = case
    at = [i for i, x in enumerate(args) if isinstance(x, np.ndarray) and x.dtype == np.float64]

    def function(*moving: Any) -> Any:
        whole = list(args)
        for i, x in zip(at, moving, strict=True):
            whole[i] = x
        return primitive(*whole, **params)

    return directional_error(function, [args[i] for i in at], order, seed)


def _worst(primitive: Primitive, cases: Sequence[Case], order: int) -> float:
    return float(np.max([case_error(primitive, case, order) for case in cases]))


def _row(name: str, primitive: Primitive) -> tuple[str, bool]:
    """The columns of the table for one primitive, and whether it passes."""
    if name not in SAMPLES:
        return "no sample in minigrad/samples.py", False
    cases = list(SAMPLES[name](np.random.default_rng(0)))
    try:
        first, second = (_worst(primitive, cases, order) for order in (1, 2))
    except Exception as error:  # a rule that breaks down is one more finding
        return f"{type(error).__name__}: {error}", False
    passes = first <= TOLERANCE and second <= TOLERANCE  # false for NaN too
    return f"{len(cases):>5}  {first:>11.1e}  {second:>12.1e}", passes


def check(names: Sequence[str]) -> int:
    """Print the gradient errors of primitives, of all where no names are given.

    Returns the exit code: 1 where an error is above the tolerance or a primitive has no sample.
    """
    primitives = differentiable()
    width = max(map(len, primitives))
    print(f"{'primitive':<{width}}  cases  first order  second order")
    failed = []
    for name in names or sorted(primitives):
        columns, passes = _row(name, primitives[name])
        print(f"{name:<{width}}  {columns}  {'ok' if passes else 'FAIL'}", flush=True)
        if not passes:
            failed.append(name)
    if failed:
        print(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


def _unknown(name: str, known: Sequence[str]) -> str:
    """Why a name is refused, with what it may have meant."""
    if name in registry:
        return f"{name} has no gradient to check"
    close = difflib.get_close_matches(name, known, n=3)
    return f"unknown primitive {name!r}" + (f"; close: {', '.join(close)}" if close else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns its exit code."""
    parser = Parser(prog="python -m minigrad", description=(minigrad.__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("info", help="versions, backends, BLAS")
    checking = commands.add_parser("check", help="check the gradients of primitives numerically")
    checking.add_argument("ops", nargs="*", metavar="OP", help="a primitive (default: all)")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        return info()
    known = sorted(differentiable())
    for name in chosen.ops:
        if name not in known:
            checking.error(_unknown(name, known))
    return check(chosen.ops)


if __name__ == "__main__":
    sys.exit(main())
