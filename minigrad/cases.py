"""How to call every differentiable primitive: random arguments, away from kinks and poles.

`CASES` maps the name of a primitive to a function that draws a call of it. ``python -m minigrad
check`` draws from a NumPy generator; in the tests the same functions draw from hypothesis, which
shrinks what fails (`minigrad.testing`). A new primitive wants a function here, and nothing else, to
be checked everywhere.

Arrays of floats among the arguments are those to differentiate by; they keep away from kinks (ties
of a maximum, 0 of an absolute value) by more than a numerical derivative moves them. They come in
every memory layout, with axes of length one and, where the function allows it, zero. Whatever else
is among the arguments, masks, labels, numbers, stays fixed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from minigrad.ops.conv import output_size

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """A call of a function: its arguments by position, and its parameters by name."""

    args: tuple[Any, ...]
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Geometry:
    """The geometry of a convolution or pool: all tuples have one entry a spatial axis."""

    size: Shape
    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    groups: int
    batch: int
    channels: tuple[int, int]  # in and out, multiples of groups
    output_padding: Shape  # for a transposed convolution

    @property
    def spans(self) -> Shape:
        """How far a dilated kernel reaches along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))


LAYOUTS = ("contiguous", "transposed", "strided", "reversed", "read-only", "repeated")


class Draw:
    """Random choices from a NumPy generator, and what is built from them.

    Everything rests on `integer` and `choice`. Another source of randomness replaces these two.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng

    def integer(self, low: int, high: int) -> int:
        """An int from low to high, both included."""
        return int(self._rng.integers(low, high, endpoint=True))

    def choice(self, options: Sequence) -> Any:
        """One of the options."""
        return options[self.integer(0, len(options) - 1)]

    def boolean(self) -> bool:
        """False or True."""
        return self.choice((False, True))

    def order(self, n: int) -> list[int]:
        """A permutation of 0 … n − 1."""
        rest = list(range(n))
        return [rest.pop(self.integer(0, len(rest) - 1)) for _ in range(n)]

    # -- Shapes -----------------------------------------------------------------------------------

    def shape(
        self, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4
    ) -> Shape:
        """A shape: a tuple of lengths."""
        n = self.integer(min_dims, max_dims)
        return tuple(self.integer(min_side, max_side) for _ in range(n))

    def any_shape(self) -> Shape:
        """A shape that may have axes of length zero."""
        return self.shape(min_side=0, max_side=3) if self.boolean() else self.shape()

    def shapes(self, n: int = 2, max_dims: int = 3, max_side: int = 4) -> tuple[Shape, ...]:
        """`n` shapes that broadcast together: with axes of length 1, and leading axes missing."""
        whole = self.shape(max_dims=max_dims, max_side=max_side)
        tails = [whole[self.integer(0, len(whole)) :] for _ in range(n)]
        return tuple(tuple(self.choice((length, 1)) for length in tail) for tail in tails)

    def axis(self, ndim: int, several: bool = True) -> Any:
        """An axis argument: None, an int or, with `several`, a tuple of ints, () included."""
        kinds = ["all", *(["one"] if ndim else []), *(["several"] if several else [])]
        kind = self.choice(kinds)
        if kind == "all":
            return None
        if kind == "one":
            return self.integer(-ndim, ndim - 1)
        chosen = self.order(ndim)[: self.integer(0, ndim)]
        return tuple(self.choice((i, i - ndim)) for i in chosen)

    # -- Arrays -----------------------------------------------------------------------------------

    def values(
        self,
        shape: Shape,
        low: float = -2.0,
        high: float = 2.0,
        apart: float = 0.0,
        distinct: bool = False,
    ) -> np.ndarray:
        """float64 values in [low, high]; see `array`.

        Seed 0, where shrinking ends, gives evenly spaced numbers that are easy to read.
        """
        seed = self.integer(0, 2**32 - 1)
        size = math.prod(shape)
        if seed == 0 or distinct:
            x = np.linspace(low, high, max(size, 2))[:size]
        if seed != 0:
            rng = np.random.default_rng(seed)
            x = rng.permutation(x) if distinct else rng.uniform(low, high, size)
        if apart and low < 0.0 < high:  # squeeze either side of 0 into [low, −apart], [apart, high]
            end = np.where(x < 0.0, low, high)
            x = x * (1.0 - apart / np.abs(end)) + np.copysign(apart, end)
        return np.asarray(x).reshape(shape)

    def layout(self, x: np.ndarray, distinct: bool = False) -> np.ndarray:
        """The same values in another memory order, or read-only: operations must not care.

        "repeated" has the first slice again all along an axis of stride 0; not if `distinct`.
        """
        how = self.choice(LAYOUTS[:-1] if distinct else LAYOUTS)
        x = np.array(x)  # NumPy's arithmetic on arrays without axes gives scalars
        if how == "read-only":
            x.flags.writeable = False
        if x.ndim == 0:
            return x
        if how == "transposed":
            return np.ascontiguousarray(x.T).T
        if how == "strided":
            wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
            wide[..., ::2] = x
            return wide[..., ::2]
        if how == "reversed":
            return np.ascontiguousarray(x[::-1])[::-1]
        if how == "repeated" and x.shape[0]:
            return np.broadcast_to(x[:1], x.shape)
        return x

    def array(
        self,
        shape: Shape,
        low: float = -2.0,
        high: float = 2.0,
        apart: float = 0.0,
        distinct: bool = False,
    ) -> np.ndarray:
        """float64 values in [low, high], in any memory layout.

        Args:
            shape: a tuple.
            low, high: the range of the values.
            apart: how far values keep away from 0.
            distinct: no two values are equal; they are evenly spaced, in random order.
        """
        return self.layout(self.values(shape, low, high, apart, distinct), distinct)

    def lattice(self, shape: Shape, offset: float = 0.0) -> np.ndarray:
        """Multiples of ½ plus an offset: values of two lattices never come near each other."""
        return self.layout(np.round(self.values(shape, -3.0, 3.0)) * 0.5 + offset)

    def integers(self, shape: Shape, low: int, high: int, dtype: str = "int64") -> np.ndarray:
        """An array of ints from low to high, both included."""
        n = math.prod(shape)
        return np.array([self.integer(low, high) for _ in range(n)], dtype).reshape(shape)

    # -- Windows ----------------------------------------------------------------------------------

    def conv_geometry(self, dims: int | None = None) -> Geometry:
        """A convolution in 1 to 3 dimensions: kernels that do not tile, stride above the kernel,
        dilation, groups, padding, output padding."""
        n = dims or self.integer(1, 3)

        def each(low: int, high: int) -> Shape:
            return tuple(self.integer(low, high) for _ in range(n))

        kernel, stride, dilation, padding = each(1, 3), each(1, 4), each(1, 2), each(0, 2)
        spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        least = [max(1, span - 2 * p) for span, p in zip(spans, padding, strict=True)]
        size = tuple(self.integer(m, m + 3) for m in least)
        extra = tuple(
            self.integer(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)
        )
        groups = self.integer(1, 2)
        channels = (groups * self.integer(1, 2), groups * self.integer(1, 2))
        batch = self.choice((1, 2, 0))
        return Geometry(size, kernel, stride, padding, dilation, groups, batch, channels, extra)

    def pool_geometry(self, dims: int | None = None) -> Geometry:
        """A pool in 1 to 3 dimensions, padded by at most half of the window."""
        g = self.conv_geometry(dims)
        padding = tuple(min(p, k // 2) for p, k in zip(g.padding, g.kernel, strict=True))
        size = tuple(
            max(n, span - 2 * p) for n, span, p in zip(g.size, g.spans, padding, strict=True)
        )
        same = (g.channels[0], g.channels[0])
        none = (0,) * len(size)
        return replace(
            g, size=size, padding=padding, groups=1, channels=same, output_padding=none
        )

    def pairs(self, padding: Shape) -> tuple[tuple[int, int], ...]:
        """Padding before and after each axis, up to one more than `padding` on either side."""
        return tuple((p + self.integer(0, 1), p + self.integer(0, 1)) for p in padding)


Case = Callable[[Draw], Call]
CASES: dict[str, Case] = {}


def case(*names: str) -> Callable[[Case], Case]:
    """Let the decorated function draw the calls of the primitives of these names."""

    def register(function: Case) -> Case:
        CASES.update(dict.fromkeys(names, function))
        return function

    return register


# ---------------------------------------------------------------------------------------------
# Elementwise
# ---------------------------------------------------------------------------------------------

# Functions of one array, with a range of arguments on which they are smooth but for 0.
ONE_ARRAY: dict[str, tuple[float, float]] = {
    "negative": (-2, 2), "abs": (-2, 2), "sign": (-2, 2), "square": (-2, 2),
    "sqrt": (0.2, 3), "reciprocal": (-2, 2), "exp": (-2, 2), "exp2": (-2, 2), "expm1": (-2, 2),
    "log": (0.2, 3), "log2": (0.2, 3), "log10": (0.2, 3), "log1p": (-0.7, 3), "sigmoid": (-3, 3),
    "erf": (-2, 2), "sin": (-3, 3), "cos": (-3, 3), "tan": (-1, 1), "arcsin": (-0.8, 0.8),
    "arccos": (-0.8, 0.8), "arctan": (-2, 2), "sinh": (-2, 2), "cosh": (-2, 2), "tanh": (-2, 2),
    "arcsinh": (-2, 2), "arccosh": (1.3, 3), "arctanh": (-0.8, 0.8), "relu": (-2, 2),
    "softplus": (-2, 2), "softsign": (-2, 2), "normal_cdf": (-2, 2),
}  # fmt: skip


def _one_array(low: float, high: float) -> Case:
    return lambda draw: Call((draw.array(draw.any_shape(), low, high, apart=0.3),))


for _name, (_low, _high) in ONE_ARRAY.items():
    CASES[_name] = _one_array(_low, _high)


@case("add", "subtract", "multiply", "logaddexp")
def _two_arrays(draw: Draw) -> Call:
    a, b = draw.shapes()
    return Call((draw.array(a), draw.array(b)))


@case("divide", "arctan2", "hypot")
def _two_arrays_apart(draw: Draw) -> Call:
    a, b = draw.shapes()
    return Call((draw.array(a, apart=0.4), draw.array(b, apart=0.4)))


@case("floor_divide", "remainder")
def _quotient(draw: Draw) -> Call:
    # a = (whole + fraction) · b, the fraction away from the jumps at 0 and 1.
    _, of_b = found = draw.shapes()
    whole = np.round(draw.values(np.broadcast_shapes(*found), -3, 3))
    fraction = draw.values(whole.shape, 0.2, 0.8)
    b = draw.array(of_b, apart=0.5)
    return Call((draw.layout((whole + fraction) * b, distinct=True), b))


@case("power")
def _power(draw: Draw) -> Call:
    """Positive bases with any exponent; bases of either sign with whole ones."""
    a, b = draw.shapes()
    kind = draw.choice(("array", "number", "whole"))
    if kind == "array":
        return Call((draw.array(a, 0.3, 2), draw.array(b)))
    if kind == "number":
        return Call((draw.array(a, 0.3, 2), draw.choice((0.5, -1.5, 2.5))))
    return Call((draw.array(a, apart=0.3), draw.choice((0, 1, 2, 3, -1, -2, 2.0))))


@case("sigmoid_cross_entropy")
def _sigmoid_cross_entropy(draw: Draw) -> Call:
    shape = draw.any_shape()
    return Call((draw.array(shape, -3, 3, apart=0.1), draw.array(shape, 0, 1)))


@case("leaky_relu")
def _leaky_relu(draw: Draw) -> Call:
    x = draw.array(draw.any_shape(), apart=0.3)
    return Call((x,), {"negative_slope": draw.choice((0.01, 0.2, 0.0))})


@case("elu")
def _elu(draw: Draw) -> Call:
    return Call((draw.array(draw.any_shape(), apart=0.3),), {"alpha": draw.choice((1.0, 1.5))})


@case("hardtanh")
def _hardtanh(draw: Draw) -> Call:
    bounds = draw.choice(({}, {"min_val": -0.4, "max_val": 0.7}))
    return Call((draw.lattice(draw.any_shape(), 0.25),), bounds)


@case("maximum", "minimum")
def _extremum_of_two(draw: Draw) -> Call:
    a, b = draw.shapes()
    return Call((draw.lattice(a), draw.lattice(b, 0.25)))


@case("where")
def _where(draw: Draw) -> Call:
    condition, a, b = draw.shapes(3)
    return Call((draw.array(condition) > 0.0, draw.array(a), draw.array(b)))


@case("clip")
def _clip(draw: Draw) -> Call:
    """Bounds that are arrays, numbers or absent; a lower one above an upper one, too."""
    x, of_low, of_high = draw.shapes(3)
    low = draw.choice((lambda: draw.lattice(of_low, 0.15), lambda: -0.6, lambda: None))()
    high = draw.choice((lambda: draw.lattice(of_high, 0.3), lambda: 0.8, lambda: None))()
    return Call((draw.lattice(x), low, high))


# ---------------------------------------------------------------------------------------------
# Reductions
# ---------------------------------------------------------------------------------------------


def _reduced(draw: Draw, x: np.ndarray, **more: Any) -> Call:
    return Call((x,), {"axis": draw.axis(x.ndim), "keepdims": draw.boolean(), **more})


@case("sum")
def _sum(draw: Draw) -> Call:
    return _reduced(draw, draw.array(draw.any_shape()))


@case("mean")
def _mean(draw: Draw) -> Call:
    return _reduced(draw, draw.array(draw.shape()))


@case("prod")
def _prod(draw: Draw) -> Call:
    """With zeros among the factors half of the time."""
    shape = draw.any_shape()
    return _reduced(draw, draw.lattice(shape) if draw.boolean() else draw.array(shape))


@case("max", "min")
def _extremum(draw: Draw) -> Call:
    return _reduced(draw, draw.array(draw.shape(), distinct=True))


@case("logsumexp")
def _logsumexp(draw: Draw) -> Call:
    """With masked entries, −∞, half of the time; never all that are summed together."""
    call = _reduced(draw, draw.values(draw.shape()))
    (x,), axis = call.args, call.params["axis"]
    summed = range(x.ndim) if axis is None else np.atleast_1d(np.asarray(axis, int)) % x.ndim
    if len(summed) and draw.boolean():
        masked = draw.values(x.shape) > 0.5
        masked[tuple(0 if i in summed else slice(None) for i in range(x.ndim))] = False
        x[masked] = -np.inf
    return Call((draw.layout(x),), call.params)


@case("euclidean_norm")
def _euclidean_norm(draw: Draw) -> Call:
    return _reduced(draw, draw.array(draw.any_shape(), apart=0.3))


@case("var")
def _var(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_side=2))
    call = _reduced(draw, x)
    axis = call.params["axis"]
    several = x.ndim if axis is None else np.size(axis)
    return Call(call.args, {**call.params, "ddof": draw.integer(0, 1) if several else 0})


@case("std")
def _std(draw: Draw) -> Call:
    x = draw.array(draw.shape(1, 3, 2, 3), -4, 4, distinct=True)
    axis = draw.axis(x.ndim)
    params = {"keepdims": draw.boolean(), "ddof": draw.integer(0, 1)}
    return Call((x,), {"axis": None if axis == () else axis, **params})


@case("cumsum")
def _cumsum(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    return Call((x,), {"axis": draw.axis(x.ndim, several=False)})


@case("softmax", "log_softmax")
def _softmax(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_dims=1))
    return Call((x,), {"axis": draw.integer(-x.ndim, x.ndim - 1)})


@case("softmax_cross_entropy")
def _softmax_cross_entropy(draw: Draw) -> Call:
    n, c = draw.integer(0, 3), draw.integer(1, 4)
    return Call((draw.array((n, c)), draw.integers((n,), 0, c - 1)))


@case("standardize")
def _standardize(draw: Draw) -> Call:
    """With a weight and a bias half of the time."""
    x = draw.array(draw.shape(1, 3, 2, 3), -4, 4, distinct=True)
    axes = sorted(draw.order(x.ndim)[: draw.integer(1, x.ndim)])
    params = {"axis": tuple(axes), "eps": draw.choice((1e-5, 0.1))}
    if draw.boolean():
        return Call((x,), params)
    constant = tuple(1 if i == 0 or i in axes else n for i, n in enumerate(x.shape))
    return Call((x, draw.array(constant), draw.array(constant)), params)


@case("standardize_rows")
def _standardize_rows(draw: Draw) -> Call:
    x = draw.array(draw.shape(1, 3, 2, 3), -4, 4, distinct=True)
    last = x.shape[-draw.integer(1, x.ndim) :]
    params = {"eps": draw.choice((1e-5, 0.1))}
    return Call((x, draw.array(last), draw.array(last)), params)


# ---------------------------------------------------------------------------------------------
# Shapes and indices
# ---------------------------------------------------------------------------------------------


@case("reshape")
def _reshape(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    lengths = [x.size, *[1] * draw.integer(0, 2)]
    if x.size and x.size % 2 == 0:
        lengths = [2, -1, *lengths[1:]]
    return Call((x,), {"shape": tuple(lengths[i] for i in draw.order(len(lengths)))})


@case("transpose")
def _transpose(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    axes = tuple(draw.choice((i, i - x.ndim)) for i in draw.order(x.ndim))
    return Call((x,), {"axes": draw.choice((None, axes))})


@case("flip")
def _flip(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    return Call((x,), {"axis": draw.axis(x.ndim)})


@case("roll")
def _roll(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    axis = draw.axis(x.ndim)
    if isinstance(axis, tuple) and axis:
        return Call((x,), {"shift": tuple(draw.integer(-5, 5) for _ in axis), "axis": axis})
    return Call((x,), {"shift": draw.integer(-5, 5), "axis": None if axis == () else axis})


@case("transfer")
def _transfer(draw: Draw) -> Call:
    return Call((draw.array(draw.any_shape()),), {"backend": "numpy"})


@case("astype")
def _astype(draw: Draw) -> Call:
    return Call((draw.array(draw.any_shape()),), {"dtype": np.dtype("float64")})


@case("pad_constant")
def _pad_constant(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    pairs = tuple((draw.integer(0, 2), draw.integer(0, 2)) for _ in range(x.ndim))
    return Call((x,), {"pad_width": pairs, "value": draw.choice((0, 1.5))})


@case("concatenate")
def _concatenate(draw: Draw) -> Call:
    shape = list(draw.shape(min_dims=1))
    axis = draw.integer(-len(shape), len(shape) - 1)
    arrays = []
    for _ in range(draw.integer(1, 3)):
        shape[axis] = draw.integer(0, 3)
        arrays.append(draw.array(tuple(shape)))
    return Call(tuple(arrays), {"axis": axis})


@case("broadcast_to")
def _broadcast_to(draw: Draw) -> Call:
    narrow, other = draw.shapes()
    return Call((draw.array(narrow),), {"shape": np.broadcast_shapes(narrow, other)})


@case("sum_to")
def _sum_to(draw: Draw) -> Call:
    narrow, other = draw.shapes()
    return Call((draw.array(np.broadcast_shapes(narrow, other)),), {"shape": narrow})


def index_of(draw: Draw, shape: Shape) -> tuple[Any, ...]:
    """Anything NumPy takes as an index of an array of this shape, as a tuple of its parts."""
    parts: list[Any] = []
    rest = list(shape)
    together = draw.shape(max_dims=2, max_side=3)  # of all integer arrays
    ellipsis = masked = False
    while rest:
        n = rest[0]
        arrays = any(isinstance(part, np.ndarray) for part in parts)
        kinds = ["slice", "new"]
        kinds += ["int"] * (n > 0) + ["array"] * (n > 0 and not masked) + ["mask"] * (not arrays)
        kinds += [] if ellipsis else ["ellipsis", "stop"]  # after an ellipsis every axis is named
        kind = draw.choice(kinds)
        if kind == "stop":
            break
        named = 1
        if kind == "slice":
            start, stop = (draw.choice((None, draw.integer(-n - 1, n + 1))) for _ in range(2))
            parts.append(slice(start, stop, draw.choice((None, 1, 2, -1, -2))))
        elif kind == "new":
            parts.append(None)
            named = 0
        elif kind == "ellipsis":
            parts.append(Ellipsis)
            ellipsis = True
            named = draw.integer(0, len(rest))
        elif kind == "int":
            parts.append(draw.integer(-n, n - 1))
        elif kind == "mask":
            named = draw.integer(1, len(rest))
            parts.append(draw.integers(tuple(rest[:named]), 0, 1, "bool"))
            masked = True
        else:
            parts.append(draw.integers(together, -n, n - 1))
        rest = rest[named:]
    return tuple(parts)


@case("getitem")
def _getitem(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    return Call((x,), {"index": index_of(draw, x.shape)})


@case("put")
def _put(draw: Draw) -> Call:
    shape = draw.any_shape()
    index = index_of(draw, shape)
    return Call((draw.array(np.empty(shape)[index].shape),), {"index": index, "shape": shape})


# ---------------------------------------------------------------------------------------------
# Products
# ---------------------------------------------------------------------------------------------


@case("matrix_product")
def _matrix_product(draw: Draw) -> Call:
    a, b = draw.shapes(max_dims=2, max_side=3)
    n, k, m = draw.integer(1, 3), draw.integer(0, 3), draw.integer(1, 3)
    return Call((draw.array((*a, n, k)), draw.array((*b, k, m))))


SUBSCRIPTS = (
    "ij,jk->ik", "ij,ij->ij", "bij,bjk,kb->bi", "i,j->ji", "ij->ji", "ij,jk,kl->il", "i,i->",
    ",ij->ij",
)  # fmt: skip


@case("contract")
def _contract(draw: Draw) -> Call:
    subscripts = draw.choice(SUBSCRIPTS)
    length = {letter: draw.integer(1, 3) for letter in "bijkl"}
    terms = subscripts.split("->")[0].split(",")
    arrays = [draw.array(tuple(length[letter] for letter in term)) for term in terms]
    return Call(tuple(arrays), {"subscripts": subscripts})


@case("affine")
def _affine(draw: Draw) -> Call:
    n, k, m = draw.integer(0, 3), draw.integer(1, 3), draw.integer(1, 3)
    bias = draw.array((m,)) if draw.boolean() else None
    return Call((draw.array((n, k)), draw.array((m, k)), bias))


@case("lstm")
def _lstm(draw: Draw) -> Call:
    time, features, hidden = draw.integer(1, 3), draw.integer(0, 2), draw.integer(1, 2)
    n = draw.choice((2, 1, 0))
    shapes = ((time, features, n), (4 * hidden, features + hidden), (hidden, n), (hidden, n))
    return Call(tuple(draw.array(shape) for shape in shapes))


# ---------------------------------------------------------------------------------------------
# Convolutions and pools
# ---------------------------------------------------------------------------------------------

Pairs = tuple[tuple[int, int], ...]


def _windows(g: Geometry, pairs: Pairs) -> dict[str, Any]:
    return {"kernel": g.kernel, "stride": g.stride, "dilation": g.dilation, "padding": pairs}


def _out(g: Geometry, pairs: Pairs) -> Shape:
    return output_size(g.size, g.kernel, g.stride, g.dilation, pairs)


@case("unfold")
def _unfold(draw: Draw) -> Call:
    g = draw.conv_geometry()
    x = draw.array((g.batch, g.channels[0], *g.size))
    return Call((x,), _windows(g, draw.pairs(g.padding)))


@case("fold")
def _fold(draw: Draw) -> Call:
    g = draw.conv_geometry()
    pairs = draw.pairs(g.padding)
    columns = draw.array((g.batch, g.channels[0], *g.kernel, *_out(g, pairs)))
    params = {"size": g.size, **_windows(g, pairs)}
    del params["kernel"]  # the shape of the columns tells
    return Call((columns,), params)


def _convolution(first: str, second: str, static: str, channels: int | None = None) -> Case:
    """One face of the trilinear form: a function of two among x, w and g, the `static` shape of
    the third given as a parameter. The result has the given one of its `channels`, and may have a
    bias."""

    def draw_call(draw: Draw) -> Call:
        g = draw.conv_geometry()
        pairs = draw.pairs(g.padding)
        c, f = g.channels
        shapes = {
            "x": (g.batch, c, *g.size),
            "w": (f, c // g.groups, *g.kernel),
            "g": (g.batch, f, *_out(g, pairs)),
        }
        params = {**_windows(g, pairs), "groups": g.groups, "size": g.size}
        for name in {"kernel", "size"} - {static}:
            del params[name]
        args: tuple = (draw.array(shapes[first]), draw.array(shapes[second]))
        if channels is not None and draw.boolean():
            args = (*args, draw.array((g.channels[channels],)))
        return Call(args, params)

    return draw_call


CASES["conv"] = _convolution("x", "w", "", 1)
CASES["conv_transpose"] = _convolution("g", "w", "size", 0)
CASES["conv_weight"] = _convolution("x", "g", "kernel")


def _pool(draw: Draw) -> tuple[Geometry, Pairs]:
    """A pool of which every window meets the input: the maximum of padding alone is −∞."""
    g = draw.pool_geometry()
    size, pairs = [], []
    for axis, (n, pair) in enumerate(zip(g.size, draw.pairs(g.padding), strict=True)):
        k, s, d = g.kernel[axis], g.stride[axis], g.dilation[axis]
        places = range((n + sum(pair) - g.spans[axis]) // s + 1)
        meets = [any(0 <= o * s + tap * d - pair[0] < n for tap in range(k)) for o in places]
        size.append(n if all(meets) else max(n, g.spans[axis]))
        pairs.append(pair if all(meets) else (0, 0))
    return replace(g, size=tuple(size)), tuple(pairs)


@case("sum_pool")
def _sum_pool(draw: Draw) -> Call:
    g, pairs = _pool(draw)
    return Call((draw.array((g.batch, g.channels[0], *g.size)),), _windows(g, pairs))


@case("max_pool")
def _max_pool(draw: Draw) -> Call:
    g, pairs = _pool(draw)
    shape = (g.batch, g.channels[0], *g.size)
    spread = 0.05 * math.prod(shape)  # values stand 0.1 apart
    return Call((draw.array(shape, -spread, spread, distinct=True),), _windows(g, pairs))


@case("sum_unpool")
def _sum_unpool(draw: Draw) -> Call:
    g, pairs = _pool(draw)
    values = draw.array((g.batch, g.channels[0], *_out(g, pairs)))
    return Call((values,), {**_windows(g, pairs), "size": g.size})


def _taps(draw: Draw, g: Geometry, pairs: Pairs) -> np.ndarray:
    """For each output position the number of one tap of its window."""
    share = draw.values((g.batch, g.channels[0], *_out(g, pairs)), 0.0, 0.999)
    return np.asarray(np.floor(share * math.prod(g.kernel)), "int32")


@case("pick_taps")
def _pick_taps(draw: Draw) -> Call:
    g, pairs = _pool(draw)
    x = draw.array((g.batch, g.channels[0], *g.size))
    return Call((x, _taps(draw, g, pairs)), _windows(g, pairs))


@case("put_taps")
def _put_taps(draw: Draw) -> Call:
    g, pairs = _pool(draw)
    taps = _taps(draw, g, pairs)
    return Call((draw.array(taps.shape), taps), {**_windows(g, pairs), "size": g.size})
