"""What CuPy knows by name, and what the device is asked for: the rules behind `tests.strict`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from inspect import Parameter, Signature
from pathlib import Path
from typing import Any

SIGNATURES = json.loads(Path(__file__).with_name("signatures.json").read_text(encoding="utf-8"))


def signature(text: str) -> Signature:
    """The signature that `freeze.py` wrote as text: ``"a, axis=, *, dtype="``."""
    parameters: list[Parameter] = []
    kind: Any = Parameter.POSITIONAL_OR_KEYWORD
    for part in filter(None, text.split(", ")):
        if part == "/":
            parameters = [p.replace(kind=Parameter.POSITIONAL_ONLY) for p in parameters]
        elif part == "*":
            kind = Parameter.KEYWORD_ONLY
        elif part.startswith("**"):
            parameters.append(Parameter(part[2:], Parameter.VAR_KEYWORD))
        elif part.startswith("*"):
            parameters.append(Parameter(part[1:], Parameter.VAR_POSITIONAL))
            kind = Parameter.KEYWORD_ONLY
        else:
            default = None if part.endswith("=") else Parameter.empty
            parameters.append(Parameter(part.rstrip("="), kind, default=default))
    return Signature(parameters)


class SynchronizationError(RuntimeError):
    """The host waited for the device where `forbid_sync` does not let it."""


class PromotionError(Exception):
    """float32 became float64 although nobody asked for it: slow on a GPU, and seldom meant.

    No TypeError, lest somebody who catches one takes it for a wrong call.
    """


class UndefinedResultError(Exception):
    """CuPy leaves the result to chance, so that no test on a CPU would notice."""


_counting: list[list[str]] = []
_copying: list[list[str]] = []
_forbidden: list[None] = []


def synchronize(what: str) -> None:
    """Note that the host waits for the device here, because of `what`."""
    if _forbidden:
        raise SynchronizationError(f"{what} waits for the device")
    for seen in _counting:
        seen.append(what)


def copy_to_device(what: str) -> None:
    """Note that host memory is copied to the device here."""
    for seen in _copying:
        seen.append(what)


@contextmanager
def _kept(where: list, what) -> Iterator:
    where.append(what)
    try:
        yield what
    finally:
        where.pop()


def forbid_sync():
    """Inside the block whatever waits for the device raises `SynchronizationError`."""
    return _kept(_forbidden, None)


def count_syncs():
    """``with count_syncs() as seen``: the list grows by the name of whatever waits."""
    return _kept(_counting, [])


def count_copies():
    """``with count_copies() as seen``: as `count_syncs`, for copies from the host to the device."""
    return _kept(_copying, [])
