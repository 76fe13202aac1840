"""Hypothesis strategies and checks for operations, ours and yours (``pip install hypothesis``).

A whole test of an operation of one's own::

    from minigrad import testing

    def test_cube():
        testing.check_op(cube, testing.arrays())

A *spec* is a strategy that draws one argument (`arrays`) or a tuple of arguments that fit together
(`broadcasting`). Values stay away from kinks: draw them apart from 0 for `abs`, distinct for `max`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import hypothesis
import hypothesis.strategies as st
import numpy as np

from minigrad.core import Node, grad
from minigrad.gradcheck import GradcheckError, directional_error, gradcheck
from minigrad.tensor import Tensor


def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4) -> Any:
    """Shapes: tuples of lengths."""
    return st.lists(
        st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims
    ).map(tuple)


@st.composite
def broadcastable_shapes(draw: Any, n: int = 2, max_dims: int = 3, max_side: int = 4) -> tuple:
    """`n` shapes that broadcast together: axes of length 1 and missing leading axes included."""
    whole = draw(shapes(max_dims=max_dims, max_side=max_side))
    drawn = []
    for _ in range(n):
        kept = draw(st.integers(0, len(whole)))
        tail = whole[len(whole) - kept :]
        drawn.append(tuple(draw(st.sampled_from([1, length])) for length in tail))
    return tuple(drawn)


def _fill(draw: Any, shape: tuple, low: float, high: float, apart: float, distinct: bool) -> Any:
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = int(np.prod(shape))
    if distinct:  # a shuffled grid, so that no two values are nearer than its step
        values = rng.permutation(np.linspace(low, high, max(size, 2)))[:size]
    else:
        values = rng.uniform(low, high, size)
    if apart and low < 0.0 < high:
        values = np.where(values >= 0.0, np.maximum(values, apart), np.minimum(values, -apart))
    return values.reshape(shape)


def _layout(draw: Any, x: np.ndarray) -> np.ndarray:
    """The same values in another memory order, or read-only: operations must not care."""
    how = draw(st.sampled_from(["contiguous", "transposed", "strided", "reversed", "read-only"]))
    if how == "transposed" and x.ndim:  # ascontiguousarray would give a 0-d array an axis
        return np.ascontiguousarray(x.T).T
    if how == "strided" and x.ndim:
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]))
        wide[..., ::2] = x
        return wide[..., ::2]
    if how == "reversed" and x.ndim:
        return np.ascontiguousarray(x[::-1])[::-1]
    if how == "read-only":
        x.flags.writeable = False
    return x


@st.composite
def arrays(
    draw: Any,
    shape: Any = None,
    low: float = -2.0,
    high: float = 2.0,
    apart: float = 0.0,
    distinct: bool = False,
) -> np.ndarray:
    """float64 arrays in all memory layouts.

    Args:
        shape: a tuple, a strategy for one, or None for any of up to three axes.
        low, high: the range of the values.
        apart: how far values keep away from 0.
        distinct: no two values are equal, or nearly so.
    """
    strategy = shapes() if shape is None else shape
    drawn = draw(strategy) if isinstance(strategy, st.SearchStrategy) else tuple(strategy)
    return _layout(draw, _fill(draw, drawn, low, high, apart, distinct))


@st.composite
def broadcasting(draw: Any, n: int = 2, low: float = -2.0, high: float = 2.0, apart: float = 0.0):
    """A tuple of `n` float64 arrays whose shapes broadcast together."""
    found = draw(broadcastable_shapes(n))
    return tuple(draw(arrays(shape, low, high, apart)) for shape in found)


@dataclass(frozen=True)
class Geometry:
    """A drawn geometry of a convolution or pool: all tuples have one entry a spatial axis."""

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    batch: int
    channels: tuple[int, int]  # in and out, multiples of groups
    output_padding: tuple[int, ...]  # for a transposed convolution


@st.composite
def conv_geometries(draw: Any, dims: Any = None) -> Geometry:
    """Convolutions in 1 to 3 dimensions.

    Kernels that do not tile, stride above the kernel, dilation, groups, padding, output padding.
    """
    n = dims or draw(st.integers(1, 3))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(n))

    kernel, stride, dilation, padding = each(1, 3), each(1, 4), each(1, 2), each(0, 2)
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    least = [max(1, span - 2 * p) for span, p in zip(spans, padding, strict=True)]
    size = tuple(draw(st.integers(m, m + 3)) for m in least)
    extra = tuple(
        draw(st.integers(0, max(s, d) - 1)) for s, d in zip(stride, dilation, strict=True)
    )
    groups = draw(st.integers(1, 2))
    channels = (groups * draw(st.integers(1, 2)), groups * draw(st.integers(1, 2)))
    batch = draw(st.integers(1, 2))
    return Geometry(size, kernel, stride, padding, dilation, groups, batch, channels, extra)


@st.composite
def pool_geometries(draw: Any, dims: Any = None) -> Geometry:
    """Pools in 1 to 3 dimensions, padded by at most half of the window."""
    g = draw(conv_geometries(dims))
    spans = [d * (k - 1) + 1 for k, d in zip(g.kernel, g.dilation, strict=True)]
    padding = tuple(min(p, span // 2) for p, span in zip(g.padding, spans, strict=True))
    size = tuple(
        max(n, span - 2 * p) for n, span, p in zip(g.size, spans, padding, strict=True)
    )
    channels = (g.channels[0], g.channels[0])
    return replace(
        g, size=size, padding=padding, groups=1, channels=channels, output_padding=(0,) * len(size)
    )


def assert_gradients_agree(
    f: Callable, *inputs: Any, first: float = 1e-6, second: float = 1e-4, seed: int = 0
) -> None:
    """Check an operation at one point, in every way that does not need to know what it computes.

    First and second derivatives agree with central differences to the relative errors `first` and
    `second`; the rules give the same on arrays as on Tensors; gradients have the shape and dtype of
    their argument, in float32 too.

    Raises:
        GradcheckError: says what disagrees, and for a first derivative shows the worst entry.
    """
    error = directional_error(f, inputs, 1, seed)
    if not error <= first:
        floats = [_leaf(x) for x in inputs]
        gradcheck(f, floats, atol=1e-7, rtol=1e-5)  # names the entry, or else:
        raise GradcheckError(f"first derivative: relative error {error:.2g}, allowed {first:.2g}")
    _check_rules(f, inputs, np.float64)
    _check_rules(f, inputs, np.float32)
    error = directional_error(f, inputs, 2, seed)
    if not error <= second:
        raise GradcheckError(f"second derivative: relative error {error:.2g}, allowed {second:.2g}")


def _leaf(x: Any, dtype: Any = np.float64) -> Tensor:
    array = x.array if isinstance(x, Node) else np.asarray(x)
    if array.dtype.kind != "f":
        return Tensor(array)
    return Tensor(array.astype(dtype, copy=False), requires_grad=True)


def _check_rules(f: Callable, inputs: Any, dtype: Any) -> None:
    leaves = [_leaf(x, dtype) for x in inputs]
    targets = [x for x in leaves if x.tracked]
    y = f(*leaves)
    if not y.tracked:
        return
    v = Tensor(np.linspace(0.5, 1.5, y.size).reshape(y.shape).astype(y.dtype))
    on_tensors = grad(y, targets, v, create_graph=True, allow_unused=True)
    on_arrays = grad(y, targets, v, allow_unused=True)
    for i, (x, a, b) in enumerate(zip(targets, on_arrays, on_tensors, strict=True)):
        if (a is None) != (b is None):
            raise GradcheckError(f"the gradient of argument {i} exists on arrays or Tensors only")
        if a is None:
            continue
        if (a.shape, a.dtype) != (x.shape, x.dtype):
            raise GradcheckError(
                f"the gradient of argument {i} has shape {a.shape} and dtype {a.dtype}, the "
                f"argument {x.shape} and {x.dtype}"
            )
        tolerance = 1e-12 if dtype == np.float64 else 1e-4
        scale = np.abs(a.numpy()).max(initial=1.0)
        if not np.allclose(a.numpy(), b.numpy(), rtol=tolerance, atol=tolerance * scale):
            raise GradcheckError(f"the rule for argument {i} differs between arrays and Tensors")


def check_op(f: Callable, *specs: Any, examples: int = 50) -> None:
    """Run `assert_gradients_agree` on `examples` drawn inputs; hypothesis shrinks what fails.

    Args:
        f: takes the drawn arguments as Tensors and returns a Tensor.
        specs: strategies, each for one argument or for a tuple of arguments.
    """

    @hypothesis.settings(max_examples=examples, deadline=None, database=None, derandomize=True)
    @hypothesis.given(st.tuples(*specs), st.integers(0, 2**16))
    def check(drawn: tuple, seed: int) -> None:
        inputs: list = []
        for part in drawn:
            inputs.extend(part if isinstance(part, tuple) else [part])
        assert_gradients_agree(f, *inputs, seed=seed)

    check()
