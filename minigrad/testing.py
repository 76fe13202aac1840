"""Hypothesis strategies and checks for operations, ours and yours (``pip install hypothesis``).

A whole test of an operation of one's own::

    from minigrad import testing

    def test_cube():
        testing.check_op(cube, testing.arrays())

A *spec* is a strategy that draws one argument (`arrays`) or a tuple of arguments that fit together
(`broadcasting`). Values stay away from kinks: draw them apart from 0 for `abs`, distinct for `max`.
For anything else write a function of a `Draw`, and `drawn` makes it a strategy.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np

from minigrad.cases import CASES, Call, Draw, Geometry
from minigrad.core import Node
from minigrad.gradcheck import (
    GradcheckError,
    check_rules,
    directional_error,
    gradcheck,
    gradgradcheck,
)
from minigrad.tensor import Tensor

__all__ = [
    "Call", "Draw", "Geometry", "arrays", "assert_gradients_agree", "broadcastable_shapes",
    "broadcasting", "calls", "check_op", "conv_geometries", "drawn", "pool_geometries", "shapes",
]  # fmt: skip

Strategy = st.SearchStrategy


class _HypothesisDraw(Draw):
    """Choices that hypothesis makes, remembers and shrinks."""

    def __init__(self, draw: Callable) -> None:
        self._draw = draw

    def integer(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))

    def choice(self, options: Sequence) -> Any:
        return self._draw(st.sampled_from(options))


def drawn(function: Callable, *args: Any, **params: Any) -> Strategy:
    """The strategy of what ``function(draw, *args, **params)`` builds from a `Draw`."""

    @st.composite
    def build(draw: Any) -> Any:
        return function(_HypothesisDraw(draw), *args, **params)

    return build()


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4) -> Strategy:
    """Shapes: tuples of lengths."""
    return drawn(Draw.shape, min_dims, max_dims, min_side, max_side)


def broadcastable_shapes(n: int = 2, max_dims: int = 3, max_side: int = 4) -> Strategy:
    """`n` shapes that broadcast together: axes of length 1 and missing leading axes included."""
    return drawn(Draw.shapes, n, max_dims, max_side)


def arrays(
    shape: Any = None,
    low: float = -2.0,
    high: float = 2.0,
    apart: float = 0.0,
    distinct: bool = False,
) -> Strategy:
    """float64 arrays in all memory layouts.

    Args:
        shape: a tuple, a strategy for one, or None for any of up to three axes.
        low, high: the range of the values.
        apart: how far values keep away from 0.
        distinct: no two values are equal; they are evenly spaced, in random order.
    """
    wanted = shapes() if shape is None else shape
    if not isinstance(wanted, Strategy):
        wanted = st.just(tuple(wanted))
    return wanted.flatmap(lambda chosen: drawn(Draw.array, chosen, low, high, apart, distinct))


def broadcasting(
    n: int = 2, low: float = -2.0, high: float = 2.0, apart: float = 0.0
) -> Strategy:
    """A tuple of `n` float64 arrays whose shapes broadcast together."""

    def build(draw: Draw) -> tuple:
        return tuple(draw.array(shape, low, high, apart) for shape in draw.shapes(n))

    return drawn(build)


def conv_geometries(dims: int | None = None) -> Strategy:
    """Convolutions in 1 to 3 dimensions (see `Geometry`).

    Kernels that do not tile, stride above the kernel, dilation, groups, padding, output padding.
    """
    return drawn(Draw.conv_geometry, dims)


def pool_geometries(dims: int | None = None) -> Strategy:
    """Pools in 1 to 3 dimensions, padded by at most half of the window."""
    return drawn(Draw.pool_geometry, dims)


def calls(name: str) -> Strategy:
    """Calls of the primitive of the package that has this name (see `Call`)."""
    return drawn(CASES[name])


def assert_gradients_agree(
    f: Callable, *inputs: Any, first: float = 1e-6, second: float = 1e-4, seed: int = 0
) -> None:
    """Check an operation at one point, in every way that does not need to know what it computes.

    First and second derivatives agree with central differences to the relative errors `first` and
    `second`; the rules give the same on arrays as on Tensors; gradients have the shape and dtype of
    their argument, in float32 too, and are linear in the cotangent.

    Raises:
        GradcheckError: says what disagrees; for a derivative the worst entry, its index, both
            values and the relative error; and shows the inputs.
    """
    try:
        error = directional_error(f, inputs, 1, seed)
        if not error <= first:
            _explain("first", error, first, gradcheck, f, inputs)
        check_rules(f, inputs, "float64")
        check_rules(f, inputs, "float32")
        error = directional_error(f, inputs, 2, seed)
        if not error <= second:
            _explain("second", error, second, gradgradcheck, f, inputs)
    except GradcheckError as wrong:
        what = textwrap.fill(str(wrong), 100)
        raise GradcheckError(f"{what}\nat the inputs\n{_example(f, inputs)}") from None


def _explain(
    order: str, error: float, allowed: float, check: Callable, f: Callable, inputs: Sequence
) -> None:
    """Raise for a derivative that is wrong: with its worst entry, or where no entry by itself is
    far off, with the error along the direction that showed it."""
    leaves = []
    for x in inputs:
        array = x.array if isinstance(x, Node) else np.asarray(x)
        leaves.append(Tensor(array, requires_grad=array.dtype.kind == "f"))
    try:
        check(f, leaves, atol=1e-7, rtol=1e-5)
    except GradcheckError as worst:
        what = str(worst).removeprefix(f"{check.__name__}: ")
        raise GradcheckError(f"{order} derivative: {what}") from None
    raise GradcheckError(
        f"{order} derivative: relative error {error:.2g} along a random direction, allowed "
        f"{allowed:.2g}"
    )


def _example(f: Callable, inputs: Sequence) -> str:
    """The inputs as Python would write them, one a line, named as f names its arguments."""
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        names = []
    lines = []
    for i, x in enumerate(inputs):
        named = f" ({names[i]})" if i < len(names) else ""
        lines.append(f"  inputs[{i}]{named} = {x!r}")
    return "\n".join(lines)


def check_op(f: Callable, *specs: Any, examples: int = 50) -> None:
    """Run `assert_gradients_agree` on `examples` drawn inputs; hypothesis shrinks what fails.

    Args:
        f: takes the drawn arguments as Tensors and returns a Tensor.
        specs: strategies, each for one argument or for a tuple of arguments.

    Raises:
        GradcheckError: as `assert_gradients_agree`, at the smallest inputs that hypothesis found.
    """

    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        phases=set(hypothesis.Phase) - {hypothesis.Phase.explain},
        report_multiple_bugs=False,
    )
    @hypothesis.given(st.tuples(*specs), st.integers(0, 2**16))
    def check(drawn: tuple, seed: int) -> None:
        inputs: list = []
        for part in drawn:
            inputs.extend(part if isinstance(part, tuple) else [part])
        assert_gradients_agree(f, *inputs, seed=seed)

    check()
