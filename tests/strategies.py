"""For every primitive a strategy that draws calls of it, away from kinks and poles.

`CALLS` maps the name of a primitive to a strategy of `Call`. Arrays come in float64 and in every
memory layout (`minigrad.testing.arrays`: strided, transposed, read-only, …), with axes of length
one and, where the function allows it, zero.
"""

import operator
from dataclasses import dataclass, field

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from minigrad import testing
from minigrad.ops import conv as conv_ops
from minigrad.testing import arrays, broadcastable_shapes, shapes


@dataclass(frozen=True)
class Call:
    """A call of a primitive: its array arguments and its static parameters."""

    args: tuple
    params: dict = field(default_factory=dict)


CALLS = {}


def calls(*names):
    """Let the decorated strategy of `Call` stand for the primitives of these names."""

    def register(strategy):
        for name in names:
            assert name not in CALLS, name
            CALLS[name] = strategy()
        return strategy

    return register


# ---------------------------------------------------------------------------------------------
# Building blocks
# ---------------------------------------------------------------------------------------------

any_shape = st.one_of(shapes(), shapes(min_side=0, max_side=3))


@st.composite
def lattices(draw, shape, offset=0.0):
    """Multiples of ½ plus an offset: values of two lattices never come near each other."""
    steps = draw(arrays(shape, -3.0, 3.0))
    return np.asarray(np.round(steps) * 0.5 + offset)


def axes_of(ndim, several=True):
    """An axis argument: None, an int, or a tuple of ints, () included; negative ones too."""
    found = [st.none()]
    if ndim:
        one = st.integers(-ndim, ndim - 1)
        found.append(one)
    if several:
        found.append(
            st.lists(st.integers(0, ndim - 1), unique=True, max_size=ndim).flatmap(
                lambda chosen: st.tuples(*[st.sampled_from([i, i - ndim]) for i in chosen])
            )
            if ndim
            else st.just(())
        )
    return st.one_of(found)


@st.composite
def indices(draw, shape):
    """Anything NumPy takes as an index of an array of this shape, as a tuple of its parts."""
    parts = []
    rest = list(shape)
    dims = tuple(draw(st.lists(st.integers(1, 3), max_size=2)))  # of all integer arrays together
    ellipsis = stop = masked = False
    while rest and not stop:
        n = rest[0]
        kinds = ["slice", "new"]
        kinds += ["mask"] * (not any(isinstance(part, np.ndarray | list) for part in parts))
        kinds += ["int"] * (n > 0) + ["array", "list"] * (n > 0 and not masked)
        kinds += [] if ellipsis else ["ellipsis", "stop"]  # after an ellipsis every axis is named
        kind = draw(st.sampled_from(kinds))
        named = 1
        if kind == "stop":
            stop = True
        elif kind == "ellipsis":
            ellipsis = True
            parts.append(Ellipsis)
            named = draw(st.integers(0, len(rest)))
        elif kind == "new":
            parts.append(None)
            named = 0
        elif kind == "slice":
            bound = st.one_of(st.none(), st.integers(-n - 1, n + 1))
            step = draw(st.sampled_from([None, 1, 2, -1, -2]))
            parts.append(slice(draw(bound), draw(bound), step))
        elif kind == "int":
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "mask":
            named = draw(st.integers(1, len(rest)))
            size = int(np.prod(rest[:named]))
            bits = draw(st.lists(st.booleans(), min_size=size, max_size=size))
            parts.append(np.array(bits, dtype=bool).reshape(rest[:named]))
            masked = True
        else:
            size = int(np.prod(dims))
            flat = draw(st.lists(st.integers(-n, n - 1), min_size=size, max_size=size))
            array = np.array(flat, dtype=np.int64).reshape(dims)
            parts.append(array.tolist() if kind == "list" and dims else array)
        rest = rest[named:]
    return tuple(parts)


# ---------------------------------------------------------------------------------------------
# Elementwise
# ---------------------------------------------------------------------------------------------

UNARY = {
    "negative": (-2, 2), "abs": (-2, 2), "sign": (-2, 2), "square": (-2, 2),
    "sqrt": (0.2, 3), "reciprocal": (-2, 2), "exp": (-2, 2), "exp2": (-2, 2), "expm1": (-2, 2),
    "log": (0.2, 3), "log2": (0.2, 3), "log10": (0.2, 3), "log1p": (-0.7, 3), "sigmoid": (-3, 3),
    "erf": (-2, 2), "sin": (-3, 3), "cos": (-3, 3), "tan": (-1, 1), "arcsin": (-0.8, 0.8),
    "arccos": (-0.8, 0.8), "arctan": (-2, 2), "sinh": (-2, 2), "cosh": (-2, 2), "tanh": (-2, 2),
    "arcsinh": (-2, 2), "arccosh": (1.3, 3), "arctanh": (-0.8, 0.8), "relu": (-2, 2),
    "leaky_relu": (-2, 2), "elu": (-2, 2), "softplus": (-2, 2),
}  # fmt: skip

for _name, (_low, _high) in UNARY.items():
    CALLS[_name] = arrays(any_shape, _low, _high, apart=0.4).map(lambda x: Call((x,)))

for _name in ("add", "subtract", "multiply"):
    CALLS[_name] = testing.broadcasting(2).map(Call)

for _name in ("divide", "arctan2"):
    CALLS[_name] = testing.broadcasting(2, -2, 2, apart=0.4).map(Call)

CALLS["logaddexp"] = testing.broadcasting(2, -3, 3).map(Call)


@calls("sigmoid_cross_entropy")
@st.composite
def _sigmoid_cross_entropy(draw):
    x = draw(arrays(any_shape, apart=0.1))
    return Call((x, draw(arrays(x.shape, 0, 1))))


@calls("power")
@st.composite
def _power(draw):
    of_a, of_b = draw(broadcastable_shapes())
    exponent = st.one_of(arrays(of_b, -2, 2), st.sampled_from([-2, -1, 0, 1, 2, 3, 0.5, -1.5]))
    return Call((draw(arrays(of_a, 0.3, 2)), draw(exponent)))


@calls("floor_divide", "remainder")
@st.composite
def _quotient(draw):
    # a = (whole + fraction) · b, the fraction away from the jumps at 0 and 1
    _, of_b = found = draw(broadcastable_shapes())
    whole = np.round(draw(arrays(np.broadcast_shapes(*found), -3, 3)))
    fraction = draw(arrays(whole.shape, 0.2, 0.8))
    b = draw(arrays(of_b, -2, 2, apart=0.5))
    return Call((np.asarray((whole + fraction) * b), b))


@calls("maximum", "minimum")
@st.composite
def _extremum(draw):
    of_a, of_b = draw(broadcastable_shapes())
    return Call((draw(lattices(of_a)), draw(lattices(of_b, 0.25))))


@calls("where")
@st.composite
def _where(draw):
    of_c, of_a, of_b = draw(broadcastable_shapes(3))
    return Call((draw(arrays(of_c)) > 0.0, draw(arrays(of_a)), draw(arrays(of_b))))


@calls("clip")
@st.composite
def _clip(draw):
    of_x, of_low, of_high = draw(broadcastable_shapes(3))
    low = st.one_of(lattices(of_low, 0.15), st.just(-0.6), st.none())
    high = st.one_of(lattices(of_high, 0.3), st.just(0.8), st.none())
    return Call((draw(lattices(of_x)), draw(low), draw(high)))


@calls("hardtanh")
@st.composite
def _hardtanh(draw):
    bounds = draw(st.sampled_from([{}, {"min_val": -0.4, "max_val": 0.7}]))
    return Call((draw(lattices(any_shape, 0.25)),), bounds)


# ---------------------------------------------------------------------------------------------
# Reductions
# ---------------------------------------------------------------------------------------------


@calls("sum")
@st.composite
def _sum(draw):
    x = draw(arrays(any_shape))
    return Call((x,), {"axis": draw(axes_of(x.ndim)), "keepdims": draw(st.booleans())})


@calls("prod")
@st.composite
def _prod(draw):
    x = draw(st.one_of(arrays(any_shape), lattices(any_shape)))  # a lattice has zeros
    return Call((x,), {"axis": draw(axes_of(x.ndim)), "keepdims": draw(st.booleans())})


@calls("max", "min", "logsumexp")
@st.composite
def _extrema(draw):
    x = draw(arrays(shapes(), distinct=True))
    return Call((x,), {"axis": draw(axes_of(x.ndim)), "keepdims": draw(st.booleans())})


@calls("euclidean_norm")
@st.composite
def _norm(draw):
    x = draw(arrays(shapes(), apart=0.3))
    return Call((x,), {"axis": draw(axes_of(x.ndim)), "keepdims": draw(st.booleans())})


@calls("var")
@st.composite
def _var(draw):
    x = draw(arrays(shapes(min_side=2)))
    params = {"axis": draw(axes_of(x.ndim)), "keepdims": draw(st.booleans())}
    reduced = x.ndim if params["axis"] is None else np.size(params["axis"])
    return Call((x,), {**params, "ddof": draw(st.integers(0, 1 if reduced else 0))})


@calls("std")
@st.composite
def _std(draw):
    x = draw(arrays(shapes(min_dims=1, min_side=2, max_side=3), -4, 4, distinct=True))
    axis = draw(axes_of(x.ndim).filter(lambda axis: axis != ()))
    params = {"axis": axis, "keepdims": draw(st.booleans()), "ddof": draw(st.integers(0, 1))}
    return Call((x,), params)


@calls("cumsum")
@st.composite
def _cumsum(draw):
    x = draw(arrays(any_shape))
    return Call((x,), {"axis": draw(axes_of(x.ndim, several=False))})


@calls("softmax", "log_softmax")
@st.composite
def _softmax(draw):
    x = draw(arrays(shapes(min_dims=1)))
    return Call((x,), {"axis": draw(st.integers(-x.ndim, x.ndim - 1))})


@calls("softmax_cross_entropy")
@st.composite
def _softmax_cross_entropy(draw):
    n, c = draw(st.integers(0, 3)), draw(st.integers(1, 4))
    labels = draw(st.lists(st.integers(0, c - 1), min_size=n, max_size=n))
    return Call((draw(arrays((n, c))), np.array(labels, dtype=np.int64)))


@calls("standardize")
@st.composite
def _standardize(draw):
    x = draw(arrays(shapes(min_dims=1, min_side=2, max_side=3), -4, 4, distinct=True))
    axis = draw(st.sets(st.integers(0, x.ndim - 1), min_size=1).map(tuple))
    return Call((x,), {"axis": axis, "eps": draw(st.sampled_from([1e-5, 0.1]))})


# ---------------------------------------------------------------------------------------------
# Shapes and indices
# ---------------------------------------------------------------------------------------------


@calls("reshape")
@st.composite
def _reshape(draw):
    x = draw(arrays(any_shape))
    lengths = [x.size, *draw(st.lists(st.just(1), max_size=2))]
    if x.size and x.size % 2 == 0:
        lengths = [2, -1, *lengths[1:]]
    return Call((x,), {"shape": draw(st.permutations(lengths).map(tuple))})


@calls("transpose")
@st.composite
def _transpose(draw):
    x = draw(arrays(any_shape))
    order = draw(st.permutations(range(x.ndim)))
    axes = tuple(draw(st.sampled_from([i, i - x.ndim])) for i in order)
    return Call((x,), {"axes": draw(st.sampled_from([None, axes]))})


@calls("flip")
@st.composite
def _flip(draw):
    x = draw(arrays(any_shape))
    return Call((x,), {"axis": draw(axes_of(x.ndim))})


@calls("roll")
@st.composite
def _roll(draw):
    x = draw(arrays(any_shape))
    shift = st.integers(-5, 5)
    axis = draw(axes_of(x.ndim).filter(lambda axis: axis != ()))
    if isinstance(axis, tuple):
        return Call((x,), {"shift": tuple(draw(shift) for _ in axis), "axis": axis})
    return Call((x,), {"shift": draw(shift), "axis": axis})


CALLS["transfer"] = arrays(any_shape).map(lambda x: Call((x,), {"backend": "numpy"}))
CALLS["astype"] = arrays(any_shape).map(lambda x: Call((x,), {"dtype": np.dtype("float64")}))


@calls("pad_constant")
@st.composite
def _pad_constant(draw):
    x = draw(arrays(any_shape))
    side = st.integers(0, 2)
    pairs = tuple((draw(side), draw(side)) for _ in range(x.ndim))
    return Call((x,), {"pad_width": pairs, "value": draw(st.sampled_from([0, 1.5]))})


@calls("concatenate")
@st.composite
def _concatenate(draw):
    shape = draw(shapes(min_dims=1))
    axis = draw(st.integers(-len(shape), len(shape) - 1))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    xs = []
    for length in lengths:
        one = list(shape)
        one[axis] = length
        xs.append(draw(arrays(tuple(one))))
    return Call(tuple(xs), {"axis": axis})


@calls("broadcast_to")
@st.composite
def _broadcast_to(draw):
    narrow, wide = draw(broadcastable_shapes())
    return Call((draw(arrays(narrow)),), {"shape": np.broadcast_shapes(narrow, wide)})


@calls("sum_to")
@st.composite
def _sum_to(draw):
    narrow, wide = draw(broadcastable_shapes())
    return Call((draw(arrays(np.broadcast_shapes(narrow, wide))),), {"shape": narrow})


def _as_primitive_takes_it(index):
    return tuple(np.asarray(part) if isinstance(part, list) else part for part in index)


@calls("getitem")
@st.composite
def _getitem(draw):
    x = draw(arrays(any_shape))
    return Call((x,), {"index": _as_primitive_takes_it(draw(indices(x.shape)))})


@calls("put")
@st.composite
def _put(draw):
    shape = draw(any_shape)
    index = _as_primitive_takes_it(draw(indices(shape)))
    values = draw(arrays(np.empty(shape)[index].shape))
    return Call((values,), {"index": index, "shape": shape})


# ---------------------------------------------------------------------------------------------
# Products
# ---------------------------------------------------------------------------------------------

side = st.integers(1, 3)


@calls("matrix_product")
@st.composite
def _matrix_product(draw):
    of_a, of_b = draw(broadcastable_shapes(max_dims=2, max_side=3))
    n, k, m = draw(st.tuples(side, st.integers(0, 3), side))
    return Call((draw(arrays((*of_a, n, k))), draw(arrays((*of_b, k, m)))))


@calls("contract")
@st.composite
def _contract(draw):
    subscripts = draw(st.sampled_from(["ij,jk->ik", "ij,ij->ij", "bij,bjk,kb->bi", "i,j->ji",
                                       "ij->ji", "ij,jk,kl->il", "i,i->", ",ij->ij"]))  # fmt: skip
    length = {letter: draw(side) for letter in "bijkl"}
    terms = subscripts.split("->")[0].split(",")
    xs = [draw(arrays(tuple(length[letter] for letter in term))) for term in terms]
    return Call(tuple(xs), {"subscripts": subscripts})


@calls("affine")
@st.composite
def _affine(draw):
    n, k, m = draw(st.tuples(side, side, side))
    bias = draw(st.one_of(arrays((m,)), st.none()))
    return Call((draw(arrays((n, k))), draw(arrays((m, k))), bias))


# ---------------------------------------------------------------------------------------------
# Convolutions and pools
# ---------------------------------------------------------------------------------------------


def _pairs(padding):
    return tuple((p, p) for p in padding)


def _out(g):
    return conv_ops.output_size(g.size, g.kernel, g.stride, g.dilation, _pairs(g.padding))


def _windows(g):
    names = ("kernel", "stride", "dilation")
    return {**{name: getattr(g, name) for name in names}, "padding": _pairs(g.padding)}


@calls("unfold")
@st.composite
def _unfold(draw):
    g = draw(testing.conv_geometries())
    return Call((draw(arrays((g.batch, g.channels[0], *g.size))),), _windows(g))


@calls("fold")
@st.composite
def _fold(draw):
    g = draw(testing.conv_geometries())
    columns = draw(arrays((g.batch, g.channels[0], *g.kernel, *_out(g))))
    params = {**_windows(g), "size": g.size}
    del params["kernel"]
    return Call((columns,), params)


def _conv_call(draw, first, second, **extra):
    g = draw(testing.conv_geometries())
    c, f = g.channels
    shape = {
        "x": (g.batch, c, *g.size),
        "w": (f, c // g.groups, *g.kernel),
        "g": (g.batch, f, *_out(g)),
    }
    params = {**_windows(g), "groups": g.groups, "size": g.size}
    wanted = ("stride", "padding", "dilation", "groups", *extra["also"])
    return Call(
        (draw(arrays(shape[first])), draw(arrays(shape[second]))),
        {name: params[name] for name in wanted},
    )


@calls("conv")
@st.composite
def _conv(draw):
    return _conv_call(draw, "x", "w", also=())


@calls("conv_transpose")
@st.composite
def _conv_transpose(draw):
    return _conv_call(draw, "g", "w", also=("size",))


@calls("conv_weight")
@st.composite
def _conv_weight(draw):
    return _conv_call(draw, "x", "g", also=("kernel",))


@calls("sum_pool", "max_pool")
@st.composite
def _pool(draw):
    g = draw(testing.pool_geometries())
    shape = (g.batch, g.channels[0], *g.size)
    columns = conv_ops.unfold(np.ones(shape), **_windows(g))
    axes = tuple(range(2, 2 + len(g.kernel)))
    assume(columns.any(axis=axes).all())  # a window wholly in the padding has the maximum −∞
    spread = 0.05 * np.prod(shape)  # two values are at least 0.1 apart
    return Call((draw(arrays(shape, -spread, spread, distinct=True)),), _windows(g))


@calls("sum_unpool")
@st.composite
def _sum_unpool(draw):
    g = draw(testing.pool_geometries())
    values = draw(arrays((g.batch, g.channels[0], *_out(g))))
    return Call((values,), {**_windows(g), "size": g.size})


def _taps(draw, g):
    shape = (g.batch, g.channels[0], *_out(g))
    return np.floor(draw(arrays(shape, 0.0, 0.999)) * np.prod(g.kernel)).astype(np.int32)


@calls("pick_taps")
@st.composite
def _pick_taps(draw):
    g = draw(testing.pool_geometries())
    x = draw(arrays((g.batch, g.channels[0], *g.size)))
    return Call((x, _taps(draw, g)), _windows(g))


@calls("put_taps")
@st.composite
def _put_taps(draw):
    g = draw(testing.pool_geometries())
    taps = _taps(draw, g)
    return Call((draw(arrays(taps.shape)), taps), {**_windows(g), "size": g.size})


# ---------------------------------------------------------------------------------------------
# Without rules: what differentiation ends at
# ---------------------------------------------------------------------------------------------

COMPARISONS = {
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt,
    "less_equal": operator.le, "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip
RULELESS = {
    *COMPARISONS, "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "isnan", "isfinite",
    "argmax", "argmin", "winning_taps",
}  # fmt: skip
