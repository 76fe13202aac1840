"""Sample arguments for every differentiable primitive: what `python -m minigrad check` feeds them.

`SAMPLES` maps the name of a primitive to a function that draws its cases from a generator. A case
is a pair (arguments, parameters) for ``primitive(*arguments, **parameters)``. The float64 arrays
among the arguments are those to differentiate by; they keep away from kinks (ties of a maximum, 0
of an absolute value) by more than a numerical derivative moves them. Whatever else is among the
arguments, masks, indices, numbers, stays fixed.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

Case = tuple[tuple[Any, ...], dict[str, Any]]
Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]
Sampler = Callable[[np.random.Generator], Iterable[Case]]

# ---------------------------------------------------------------------------------------------
# Arrays
# ---------------------------------------------------------------------------------------------


def between(low: float, high: float) -> Draw:
    """Values uniform in [low, high]."""
    return lambda rng, shape: np.asarray(rng.uniform(low, high, shape))


def apart(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Values of either sign in ±[0.3, 2], away from 0."""
    return np.asarray(rng.uniform(0.3, 2.0, shape) * rng.choice([-1.0, 1.0], shape))


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Values around 0 in random order, no two of them nearer than 0.05."""
    n = int(np.prod(shape))
    steps = rng.permutation(n) - n / 2.0
    return (0.1 * (steps + rng.uniform(-0.25, 0.25, n))).reshape(shape)


def lattice(offset: float) -> Draw:
    """Values within 0.1 of offset + 0.6 k for integers k: arrays of offsets 0 and 0.3 never tie."""
    return lambda rng, shape: np.asarray(
        0.6 * rng.integers(-3, 4, shape) + offset + rng.uniform(-0.1, 0.1, shape)
    )


wide = between(-2.0, 2.0)
positive = between(0.5, 2.0)

# ---------------------------------------------------------------------------------------------
# Families of cases
# ---------------------------------------------------------------------------------------------


def one(*draws: Draw, **parameters: Any) -> Sampler:
    """A function of one array, elementwise: an array from each of `draws`."""
    return lambda rng: [((draw(rng, (2, 3)),), parameters) for draw in draws]


def two(a: Draw, b: Draw) -> Sampler:
    """A function of two arrays that broadcast; a number on either side, too."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for left, right in [
            ((2, 3), (2, 3)),
            ((2, 3), (3,)),
            ((2, 1), (1, 3)),
            ((), (3,)),
            ((3,), ()),
        ]:
            yield (a(rng, left), b(rng, right)), {}
        yield (a(rng, (3,)), float(b(rng, ()))), {}
        yield (float(a(rng, ())), b(rng, (3,))), {}

    return cases


def over_axes(draw: Draw, *more: dict[str, Any]) -> Sampler:
    """A reduction: all axes, one, several, none, kept or dropped; and with `more` parameters."""
    axes: list[Any] = [None, 0, -1, (0, 2), ()]
    parameters = [
        *({"axis": axis, "keepdims": kept} for axis in axes for kept in (False, True)),
        *more,
    ]
    return lambda rng: [((draw(rng, (2, 3, 4)),), chosen) for chosen in parameters]


def listed(*cases: tuple[tuple[int, ...], dict[str, Any]], draw: Draw = wide) -> Sampler:
    """A function of one array: each case a shape and parameters."""
    return lambda rng: [((draw(rng, shape),), parameters) for shape, parameters in cases]


# ---------------------------------------------------------------------------------------------
# Functions with cases of their own
# ---------------------------------------------------------------------------------------------


def remainder(rng: np.random.Generator) -> Iterator[Case]:
    """a / b between two integers."""
    for whole, sign in [(0.0, 1.0), (2.0, 1.0), (-1.0, 1.0), (0.0, -1.0)]:
        a = whole + rng.uniform(0.2, 0.8, (2, 3))
        yield (a, sign * rng.uniform(1.0, 1.05, 3)), {}
    yield (rng.uniform(0.2, 0.8, 3), 1.0), {}


def power(rng: np.random.Generator) -> Iterator[Case]:
    """Positive bases with any exponent, bases of either sign with whole numbers."""
    yield from two(positive, wide)(rng)
    for exponent in (0, 1, 2, 3.0, -1, -2.0):
        yield (apart(rng, (3,)), exponent), {}


def where(rng: np.random.Generator) -> Iterator[Case]:
    mask = np.array([True, False, True])
    for args, params in two(wide, wide)(rng):
        yield (mask, *args), params


def clip(rng: np.random.Generator) -> Iterator[Case]:
    """Values inside and outside the bounds −1 and 1, which are numbers, arrays or absent."""
    x = rng.choice([-1.5, -0.5, 0.5, 1.5], (4, 3)) + rng.uniform(-0.3, 0.3, (4, 3))
    low = -1.0 + rng.uniform(-0.05, 0.05, 3)
    high = 1.0 + rng.uniform(-0.05, 0.05, (4, 1))
    for minimum, maximum in [(-1.0, 1.0), (None, 1.0), (-1.0, None), (low, high), (None, high)]:
        yield (x, minimum, maximum), {}


def concatenate(rng: np.random.Generator) -> Iterator[Case]:
    yield (wide(rng, (2, 3)), wide(rng, (1, 3)), wide(rng, (3, 3))), {"axis": 0}
    yield (wide(rng, (2, 3)), wide(rng, (2, 0)), wide(rng, (2, 2))), {"axis": -1}


INDICES: list[tuple[Any, ...]] = [
    (1,),
    (slice(None, None, -2), 0),
    (None, Ellipsis, slice(1, 3)),
    (np.array([2, 0, 2, -1]),),
    (slice(None), np.array([[0, 1], [1, 1]])),
    (np.array([0, 1, 1]), np.array([3, 0, 0])),
    (np.array([[True, False, True, True], [False] * 4, [True] * 4]),),
]


def getitem(rng: np.random.Generator) -> Iterator[Case]:
    for index in INDICES:
        yield (wide(rng, (3, 4)),), {"index": index}


def put(rng: np.random.Generator) -> Iterator[Case]:
    for index in INDICES:
        shape = np.empty((3, 4))[index].shape
        yield (wide(rng, shape),), {"index": index, "shape": (3, 4)}


def logsumexp(rng: np.random.Generator) -> Iterator[Case]:
    yield from over_axes(wide)(rng)
    x = wide(rng, (2, 3))
    x[0, 1] = -np.inf
    yield (x,), {"axis": 1}


def prod(rng: np.random.Generator) -> Iterator[Case]:
    """Without zeros, and with one and two of them among the factors."""
    yield from over_axes(apart)(rng)
    x = apart(rng, (3, 3))
    x[1, 0] = x[2, :2] = 0.0
    yield (x,), {"axis": 1}


def matrix_product(rng: np.random.Generator) -> Iterator[Case]:
    for a, b in [((2, 3), (3, 4)), ((2, 2, 3), (2, 3, 2)), ((2, 1, 2, 3), (3, 3, 2))]:
        yield (wide(rng, a), wide(rng, b)), {}


def contract(rng: np.random.Generator) -> Iterator[Case]:
    lengths = {"b": 2, "i": 2, "j": 3, "k": 4}
    for subscripts in ["ij,jk->ik", "bij,bjk->bik", "i,j->ji", "ij,ij->", "ij,j,jk->ik", "ij->ji"]:
        terms = subscripts.split("->")[0].split(",")
        arrays = tuple(wide(rng, tuple(lengths[letter] for letter in term)) for term in terms)
        yield arrays, {"subscripts": subscripts}


def affine(rng: np.random.Generator) -> Iterator[Case]:
    x, w = wide(rng, (4, 3)), wide(rng, (2, 3))
    yield (x, w, wide(rng, (2,))), {}
    yield (x, w, None), {}


def softmax_cross_entropy(rng: np.random.Generator) -> Iterator[Case]:
    for n, c in [(4, 3), (1, 2)]:
        yield (wide(rng, (n, c)), rng.integers(0, c, n)), {}


# ---------------------------------------------------------------------------------------------
# Windows: geometries in one, two and three dimensions
# ---------------------------------------------------------------------------------------------

# size, kernel, stride, dilation, padding
GEOMETRIES: list[tuple[tuple, ...]] = [
    ((6,), (3,), (1,), (1,), ((0, 0),)),
    ((7,), (2,), (2,), (2,), ((1, 2),)),
    ((4, 5), (2, 3), (1, 1), (1, 1), ((1, 1), (1, 1))),
    ((5, 4), (3, 2), (2, 1), (1, 2), ((1, 0), (0, 1))),
    ((3, 4, 3), (2, 2, 1), (1, 2, 2), (1, 1, 1), ((1, 0), (0, 1), (0, 0))),
]


def _positions(geometry: tuple[tuple, ...]) -> tuple[int, ...]:
    """How many windows of a geometry fit along each axis."""
    return tuple(
        (n + sum(pair) - d * (k - 1) - 1) // s + 1
        for n, k, s, d, pair in zip(*geometry, strict=True)
    )


def _named(geometry: tuple[tuple, ...], *names: str) -> dict[str, Any]:
    """The parameters of a geometry that a primitive takes, by name."""
    keys = ("size", "kernel", "stride", "dilation", "padding")
    return {key: value for key, value in zip(keys, geometry, strict=True) if key in names}


def windows(draw: Draw, *names: str, spread: bool = False, pooled: bool = False) -> Sampler:
    """A function of one array under a window: the input, of shape (n, c, *size), the `spread`
    columns, (n, c, *kernel, *positions), or the `pooled` output, (n, c, *positions)."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for geometry in GEOMETRIES:
            size, kernel = geometry[:2]
            out = _positions(geometry)
            axes = (*kernel, *out) if spread else out if pooled else size
            yield (draw(rng, (2, 2, *axes)),), _named(geometry, *names)

    return cases


def with_taps(pooled: bool, *names: str) -> Sampler:
    """A function of an array and the number of one tap for each window."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for (args, params), geometry in zip(
            windows(wide, *names, pooled=pooled)(rng), GEOMETRIES, strict=True
        ):
            taps = rng.integers(0, np.prod(geometry[1]), (2, 2, *_positions(geometry)))
            yield (*args, taps.astype(np.int32)), params

    return cases


def convolution(first: str, second: str, *names: str) -> Sampler:
    """One of the three faces of convolution, a function of two among the input x, the kernel w and
    the output g, in one group and in two."""

    def cases(rng: np.random.Generator) -> Iterator[Case]:
        for geometry, groups in itertools.product(GEOMETRIES, (1, 2)):
            size, kernel = geometry[:2]
            shapes = {
                "x": (2, 4, *size),
                "w": (2, 4 // groups, *kernel),
                "g": (2, 2, *_positions(geometry)),
            }
            args = (wide(rng, shapes[first]), wide(rng, shapes[second]))
            yield args, {**_named(geometry, *names), "groups": groups}

    return cases


SAMPLES: dict[str, Sampler] = {
    # core
    "sum_to": listed(((2, 3, 4), {"shape": (3, 1)}), ((2, 3), {"shape": ()})),
    "broadcast_to": listed(((3, 1), {"shape": (2, 3, 4)}), ((), {"shape": (2,)})),
    "astype": one(wide, dtype=np.dtype("float64")),
    # elementwise
    "add": two(wide, wide),
    "subtract": two(wide, wide),
    "multiply": two(wide, wide),
    "divide": two(wide, apart),
    "floor_divide": remainder,
    "remainder": remainder,
    "power": power,
    "negative": one(wide),
    "abs": one(apart),
    "sign": one(apart),
    "square": one(wide),
    "sqrt": one(positive),
    "reciprocal": one(apart),
    "exp": one(wide),
    "exp2": one(wide),
    "expm1": one(wide),
    "log": one(positive),
    "log2": one(positive),
    "log10": one(positive),
    "log1p": one(positive, between(-0.5, 0.5)),
    "logaddexp": two(wide, wide),
    "sigmoid": one(wide, between(-20.0, 20.0)),
    "erf": one(wide),
    "sin": one(wide),
    "cos": one(wide),
    "tan": one(between(-1.0, 1.0)),
    "arcsin": one(between(-0.8, 0.8)),
    "arccos": one(between(-0.8, 0.8)),
    "arctan": one(wide),
    "arctan2": two(apart, apart),
    "sinh": one(wide),
    "cosh": one(wide),
    "tanh": one(wide),
    "arcsinh": one(wide),
    "arccosh": one(between(1.5, 3.0)),
    "arctanh": one(between(-0.8, 0.8)),
    "where": where,
    "maximum": two(lattice(0.0), lattice(0.3)),
    "minimum": two(lattice(0.0), lattice(0.3)),
    "clip": clip,
    # shape
    "reshape": listed(((2, 3), {"shape": (3, 2)}), ((2, 3), {"shape": (-1,)})),
    "transpose": listed(((2, 3, 4), {}), ((2, 3, 4), {"axes": (1, -1, 0)})),
    "flip": listed(((2, 3), {}), ((2, 3), {"axis": -1}), ((2, 3), {"axis": (0, 1)})),
    "transfer": one(wide, backend="numpy"),
    "roll": listed(
        ((2, 3), {"shift": 2}),
        ((2, 3), {"shift": -1, "axis": 1}),
        ((2, 3), {"shift": (1, 2), "axis": (0, 1)}),
    ),
    "pad_constant": listed(((2, 3), {"pad_width": ((1, 0), (2, 1)), "value": 1.5})),
    "concatenate": concatenate,
    # indexing
    "getitem": getitem,
    "put": put,
    # reduce
    "sum": over_axes(wide),
    "var": over_axes(wide, {"axis": 1, "ddof": 1}),
    "std": over_axes(distinct, {"axis": 1, "ddof": 1}),
    "max": over_axes(distinct),
    "min": over_axes(distinct),
    "prod": prod,
    "logsumexp": logsumexp,
    "cumsum": listed(((2, 3), {}), ((2, 3), {"axis": 0}), ((2, 3), {"axis": -1})),
    "euclidean_norm": over_axes(apart),
    # linalg
    "matrix_product": matrix_product,
    "contract": contract,
    # activation
    "affine": affine,
    "relu": one(apart),
    "leaky_relu": one(apart, negative_slope=0.2),
    "elu": one(apart, alpha=1.5),
    "hardtanh": one(between(-0.9, 0.9), between(1.1, 2.0), between(-2.0, -1.1)),
    "softplus": one(wide, between(-20.0, 20.0)),
    # normalize
    "softmax": listed(((2, 3), {}), ((2, 3, 2), {"axis": 1})),
    "log_softmax": listed(((2, 3), {}), ((2, 3, 2), {"axis": 1})),
    "standardize": listed(
        ((4, 3), {"axis": (0,), "eps": 1e-5}), ((2, 3, 4), {"axis": (1, 2), "eps": 0.1})
    ),
    # conv
    "unfold": windows(wide, "kernel", "stride", "dilation", "padding"),
    "fold": windows(wide, "size", "stride", "dilation", "padding", spread=True),
    "conv": convolution("x", "w", "stride", "padding", "dilation"),
    "conv_transpose": convolution("g", "w", "size", "stride", "padding", "dilation"),
    "conv_weight": convolution("x", "g", "kernel", "stride", "padding", "dilation"),
    # pool
    "sum_pool": windows(wide, "kernel", "stride", "dilation", "padding"),
    "sum_unpool": windows(
        wide, "size", "kernel", "stride", "dilation", "padding", pooled=True
    ),
    "max_pool": windows(distinct, "kernel", "stride", "dilation", "padding"),
    "pick_taps": with_taps(False, "kernel", "stride", "dilation", "padding"),
    "put_taps": with_taps(True, "size", "kernel", "stride", "dilation", "padding"),
    # loss
    "softmax_cross_entropy": softmax_cross_entropy,
    "sigmoid_cross_entropy": two(wide, between(0.0, 1.0)),
}
