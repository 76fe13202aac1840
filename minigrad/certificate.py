"""The certificate: every rule of every primitive against numerical derivatives, on every backend.

Calls are drawn from `minigrad.cases`; each is checked once, to second order, together with what
needs no numerical derivative (`gradcheck.check_rules`).
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from minigrad.backend import Backend, get_backend
from minigrad.cases import CASES, Call, Draw
from minigrad.core import Primitive, registry
from minigrad.gradcheck import check_rules, directional_error

# Relative errors allowed. Right rules err by about 1e-10, wrong ones by 1e-3 and more.
FIRST_ORDER = 1e-6
SECOND_ORDER = 1e-4


@dataclass(frozen=True)
class Row:
    """What came out for one primitive on one backend.

    `cases` counts distinct calls; `first` and `second` are the worst relative errors of the
    derivatives of the two orders; `problem` says in words what else is wrong, if anything is.
    """

    primitive: str
    backend: str
    cases: int = 0
    first: float = 0.0
    second: float = 0.0
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether the errors are within bounds (NaN is not) and nothing else is wrong."""
        within = self.first <= FIRST_ORDER and self.second <= SECOND_ORDER
        return within and not self.problem


def differentiable() -> dict[str, Primitive]:
    """The registered primitives that have rules, by name."""
    return {
        name: primitive
        for name, primitive in registry.items()
        if primitive.rules or primitive.joint is not None
    }


def on_backend(call: Call, backend: Backend) -> Call:
    """The same call with its arrays, those in a tuple of indices too, on a backend."""

    def moved(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(map(moved, value))
        return backend.asarray(value) if isinstance(value, np.ndarray) else value

    return Call(moved(call.args), {name: moved(value) for name, value in call.params.items()})


def of_floats(primitive: Primitive, call: Call) -> tuple[Callable, list[Any]]:
    """The primitive as a function of the floating arrays of a call, all else fixed; and these."""
    at = [i for i, x in enumerate(call.args) if getattr(x, "dtype", None) == np.float64]

    def function(*floats: Any) -> Any:
        args = list(call.args)
        for i, x in zip(at, floats, strict=True):
            args[i] = x
        return primitive(*args, **call.params)

    return function, [call.args[i] for i in at]


def distinct_calls(name: str, examples: int, seed: int) -> list[Call]:
    """Calls of the primitive of this name: `examples` are drawn, equal ones count once."""
    draw = Draw(np.random.default_rng([seed, *name.encode()]))
    found: dict = {}
    for _ in range(examples):
        call = CASES[name](draw)
        found[hashlib.sha256(pickle.dumps((call.args, call.params))).digest()] = call
    return list(found.values())


def certify(name: str, backend: str, examples: int, seed: int = 0) -> Row:
    """Check one primitive on one backend at `examples` drawn calls."""
    if name not in CASES:
        return Row(name, backend, problem="no case in minigrad/cases.py")
    calls = distinct_calls(name, examples, seed)
    first, second = [0.0], [0.0]
    problem = ""
    try:
        for i, call in enumerate(calls):
            f, floats = of_floats(differentiable()[name], on_backend(call, get_backend(backend)))
            first.append(directional_error(f, floats, 1, seed=i))
            second.append(directional_error(f, floats, 2, seed=i))
            check_rules(f, floats, "float64")
            if name != "astype":  # which is told its dtype
                check_rules(f, floats, "float32")
    except Exception as error:  # a rule that breaks down is one more finding
        problem = f"{type(error).__name__}: {error}"
    worst = float(np.max(first)), float(np.max(second))  # NaN where one is
    return Row(name, backend, len(calls), *worst, problem)


def worst_of(rows: list[Row]) -> Iterator[tuple[str, float, str]]:
    """For the first and the second order: its name, the worst error, and whose it is."""
    for order in ("first", "second"):
        errors = [getattr(row, order) for row in rows]
        at = int(np.argmax(errors))  # NaN counts as the largest
        yield order, errors[at], rows[at].primitive
