"""How to call every public function that is built on the primitives: `FUNCTIONS`.

Its keys are the names, "mean" in `minigrad` and "F.conv2d" in `minigrad.nn.functional`; its values
pair the function with what draws a call of it, as `minigrad.cases` does for the primitives. Arrays
of floats in a call, those in tuples and lists too, are what to differentiate by; `Fixed` ones are
handed over and left alone. Values keep away from kinks and ties by construction.
"""

import functools
import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import minigrad as mg
import minigrad.nn.functional as F
from minigrad.backend import backend_of, seeded
from minigrad.cases import CASES, Call, Case, Draw


@dataclass(frozen=True)
class Fixed:
    """Floats that a function reads and has no gradient for: targets of ±1, running statistics."""

    values: np.ndarray


@dataclass(frozen=True)
class Function:
    """A public function, and what draws calls of it."""

    function: Callable
    case: Case


FUNCTIONS: dict[str, Function] = {}


def lookup(name: str) -> Callable:
    """The public function of this name."""
    module, _, last = name.rpartition(".")
    return getattr(F if module == "F" else mg, last)


def case(*names: str) -> Callable[[Callable], Callable]:
    """Let the decorated function draw the calls of the functions of these names.

    It is given a `Draw` and, if it takes `dims`, the number of spatial axes, 2 of "F.conv2d".
    """

    def register(draw_call: Callable) -> Callable:
        takes_dims = "dims" in inspect.signature(draw_call).parameters
        for name in names:
            params = {"dims": int(name[-2])} if takes_dims else {}
            FUNCTIONS[name] = Function(lookup(name), functools.partial(draw_call, **params))
        return draw_call

    return register


# ---------------------------------------------------------------------------------------------
# Calls as functions of their floats
# ---------------------------------------------------------------------------------------------


def replaced(value: Any, f: Callable) -> Any:
    """`value` with f applied to what it holds, through tuples, lists and dictionaries."""
    if isinstance(value, (tuple, list)):
        return type(value)(replaced(part, f) for part in value)
    if isinstance(value, dict):
        return {name: replaced(part, f) for name, part in value.items()}
    return f(value)


def is_float(value: Any) -> bool:
    """Whether a call is to be differentiated by this argument."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def floats_of(call: Call) -> list[np.ndarray]:
    """The arrays of a call to differentiate by, in order."""
    found: list[np.ndarray] = []
    replaced((call.args, call.params), lambda x: found.append(x) if is_float(x) else None)
    return found


def of_floats(function: Callable, call: Call) -> Callable:
    """A function of the Tensors in place of `floats_of` that gives the float results, as a list.

    What is fixed follows the first of them to its backend and dtype. Random numbers are the same in
    every call.
    """

    def apply(*tensors: mg.Tensor) -> list[mg.Tensor]:
        rest = iter(tensors)
        like = tensors[0]
        backend = backend_of(like.array)

        def put(x: Any) -> Any:
            if is_float(x):
                return next(rest)
            if isinstance(x, Fixed):
                return mg.Tensor(backend.asarray(x.values.astype(like.dtype)))
            return mg.Tensor(backend.asarray(x)) if isinstance(x, np.ndarray) else x

        args, params = replaced((call.args, call.params), put)
        with seeded(0):
            found = function(*args, **params)
        results = found if isinstance(found, (tuple, list)) else [found]
        return [y for y in results if y.dtype.kind == "f"]

    return apply


# ---------------------------------------------------------------------------------------------
# What several draw
# ---------------------------------------------------------------------------------------------


def maybe(draw: Draw, make: Callable) -> Any:
    """None, or what `make` draws."""
    return make() if draw.boolean() else None


def some(draw: Draw, **options: tuple) -> dict[str, Any]:
    """For each name one of its options; those that come out as None are left out."""
    chosen = {name: draw.choice(values) for name, values in options.items()}
    return {name: value for name, value in chosen.items() if value is not None}


def spelled(draw: Draw, values: tuple) -> Any:
    """A geometry argument: the tuple, or an int where all are equal."""
    return values[0] if len(set(values)) == 1 and draw.boolean() else values


def narrowed(draw: Draw, shape: tuple) -> tuple:
    """A shape that broadcasts to `shape`."""
    tail = shape[draw.integer(0, len(shape)) :]
    return tuple(draw.choice((n, 1)) for n in tail)


def maybe_batched(draw: Draw, shape: tuple) -> tuple:
    """The shape with a batch axis in front, which may have length 0, or without one."""
    return draw.choice((shape, (1, *shape), (2, *shape), (0, *shape)))


def as_index(draw: Draw, indices: np.ndarray) -> Any:
    """Integers as an array or as nested lists, an int where there is one."""
    return draw.choice((indices, indices.tolist()))


def signs(draw: Draw, shape: tuple) -> np.ndarray:
    """An array of 1 and −1."""
    return np.asarray(draw.integers(shape, 0, 1) * 2.0 - 1.0)


def distinct_sizes(draw: Draw, shape: tuple) -> np.ndarray:
    """Values no two of which have nearly the same absolute value."""
    sizes = draw.values(shape, 0.3, 3.0, distinct=True)
    return draw.layout(sizes * signs(draw, shape), distinct=True)


def spread(draw: Draw, shape: tuple) -> np.ndarray:
    """Values no two of which are nearer than 0.1: for maxima, and for deviations above 0."""
    reach = max(0.05 * math.prod(shape), 1.0)
    return draw.array(shape, -reach, reach, distinct=True)


# ---------------------------------------------------------------------------------------------
# Shapes
# ---------------------------------------------------------------------------------------------


@case("ravel")
def _any_array(draw: Draw) -> Call:
    return Call((draw.array(draw.any_shape()),))


@case("squeeze")
def _squeeze(draw: Draw) -> Call:
    shape = tuple(draw.choice((1, 1, 0, 2)) for _ in range(draw.integer(0, 3)))
    ones = [i for i, n in enumerate(shape) if n == 1]
    some_ones = tuple(draw.choice((i, i - len(shape))) for i in ones if draw.boolean())
    axis = draw.choice((None, some_ones, ones[0] if ones else None))
    return Call((draw.array(shape),), {"axis": axis})


@case("expand_dims")
def _expand_dims(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    several = draw.integer(0, 2)
    new = draw.order(x.ndim + several)[:several]
    axis = tuple(draw.choice((i, i - x.ndim - several)) for i in new)
    return Call((x,), {"axis": draw.choice((axis, draw.integer(-x.ndim - 1, x.ndim)))})


@case("swapaxes")
def _swapaxes(draw: Draw) -> Call:
    x = draw.array(draw.shape(1, 4, 0, 3))
    return Call((x, *(draw.integer(-x.ndim, x.ndim - 1) for _ in range(2))))


@case("moveaxis")
def _moveaxis(draw: Draw) -> Call:
    x = draw.array(draw.shape(1, 4, 0, 3))
    if draw.boolean():
        return Call((x, *(draw.integer(-x.ndim, x.ndim - 1) for _ in range(2))))
    count = draw.integer(0, x.ndim)
    pair = (draw.order(x.ndim)[:count], draw.order(x.ndim)[:count])
    return Call((x, *(tuple(draw.choice((i, i - x.ndim)) for i in axes) for axes in pair)))


@case("concatenate")
def _concatenate(draw: Draw) -> Call:
    if draw.boolean():
        call = CASES["concatenate"](draw)
        return Call((list(call.args),), call.params)
    arrays = [draw.array(draw.any_shape()) for _ in range(draw.integer(1, 3))]
    return Call((arrays,), {"axis": None})


@case("stack")
def _stack(draw: Draw) -> Call:
    shape = draw.any_shape()
    arrays = tuple(draw.array(shape) for _ in range(draw.integer(1, 3)))
    return Call((arrays,), {"axis": draw.integer(-len(shape) - 1, len(shape))})


@case("split")
def _split(draw: Draw) -> Call:
    """Into equal sections; or at indices, which may repeat, decrease, and lie outside."""
    shape = list(draw.shape(1, 3, 0, 3))
    axis = draw.integer(-len(shape), len(shape) - 1)
    if draw.boolean():
        sections = draw.integer(1, 3)
        shape[axis] = sections * draw.integer(0, 2)
        return Call((draw.array(tuple(shape)), sections), {"axis": axis})
    cuts = [draw.integer(-4, 5) for _ in range(draw.integer(0, 3))]
    return Call((draw.array(tuple(shape)), cuts), {"axis": axis})


@case("repeat")
def _repeat(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    axis = draw.axis(x.ndim, several=False)
    length = x.size if axis is None else x.shape[axis]
    counts = [draw.integer(0, 3) for _ in range(length)]
    return Call((x, draw.choice((counts, np.array(counts, "int64").tolist(), 2, [3], 0)), axis))


@case("tile")
def _tile(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    reps = tuple(draw.integer(0, 2) for _ in range(draw.integer(0, x.ndim + 1)))
    return Call((x, draw.choice((reps, draw.integer(0, 3)))))


@case("pad")
def _pad(draw: Draw) -> Call:
    """Borders wider than the array too, which "reflect" and "wrap" fill by going on."""
    mode = draw.choice(("constant", "edge", "reflect", "wrap"))
    x = draw.array(draw.any_shape() if mode == "constant" else draw.shape())
    pairs = tuple((draw.integer(0, 4), draw.integer(0, 3)) for _ in range(x.ndim))
    width = draw.choice((pairs if pairs else 2, draw.integer(0, 3), (1, 2), [(2, 0)]))
    params = {"constant_values": 1.5} if mode == "constant" and draw.boolean() else {}
    return Call((x, width), {"mode": mode, **params})


@case("tril", "triu")
def _triangle(draw: Draw) -> Call:
    x = draw.array(draw.shape(2, 4, 0, 3))
    return Call((x,), {"k": draw.integer(-4, 4)})


@case("diagonal", "trace")
def _diagonal(draw: Draw) -> Call:
    x = draw.array(draw.shape(2, 4, 0, 3))
    axes = (draw.choice((i, i - x.ndim)) for i in draw.order(x.ndim)[:2])
    return Call((x, draw.integer(-4, 4), *axes))


@case("take")
def _take(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_dims=1))
    axis = draw.axis(x.ndim, several=False)
    n = x.size if axis is None else x.shape[axis]
    return Call((x, as_index(draw, draw.integers(draw.any_shape(), -n, n - 1)), axis))


@case("take_along_axis")
def _take_along_axis(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_dims=1))
    if draw.boolean():
        indices = draw.integers((draw.integer(0, 4),), -x.size, x.size - 1)
        return Call((x, indices), {"axis": None})
    axis = draw.integer(-x.ndim, x.ndim - 1)
    shape = [draw.choice((n, 1)) for n in x.shape]
    shape[axis] = draw.integer(0, 4)
    indices = draw.integers(tuple(shape), -x.shape[axis], x.shape[axis] - 1)
    return Call((x, indices), {"axis": axis})


# ---------------------------------------------------------------------------------------------
# Reductions and products
# ---------------------------------------------------------------------------------------------


@case("norm")
def _norm(draw: Draw) -> Call:
    """Vector norms of every order, along an axis or of a vector; matrix norms likewise."""
    kind = draw.choice(("euclidean", "vector", "matrix"))
    keepdims = {"keepdims": draw.boolean()}
    if kind == "euclidean":
        x = draw.array(draw.any_shape(), apart=0.3)
        pair = tuple(draw.order(x.ndim)[:2]) if x.ndim > 1 else None
        axis = draw.choice((pair, draw.axis(x.ndim, several=False)))
        return Call((x,), {"axis": axis, **keepdims})
    if kind == "vector":
        x = distinct_sizes(draw, draw.shape(min_dims=1))
        orders = (None, 1, 2, 3, 2.5, 0.5, 0, -1, -2, math.inf, -math.inf)
        axis = None if x.ndim == 1 and draw.boolean() else draw.integer(-x.ndim, x.ndim - 1)
        return Call((x,), {"ord": draw.choice(orders), "axis": axis, **keepdims})
    shape = draw.shape(min_dims=2)
    axes = tuple(draw.order(len(shape))[:2])
    order = draw.choice((None, "fro", 1, -1, math.inf, -math.inf))
    kept = axes[1] if order in (1, -1) else axes[0]  # the sums along it are far from each other
    factors = 8.0 ** np.array(draw.order(shape[kept]))
    x = draw.values(shape, 0.3, 1.0) * signs(draw, shape)
    x = np.moveaxis(np.moveaxis(x, kept, -1) * factors, -1, kept) / 8.0
    axis = None if len(shape) == 2 and axes == (0, 1) else axes
    return Call((draw.layout(x, distinct=True),), {"ord": order, "axis": axis, **keepdims})


@case("matmul")
def _matmul(draw: Draw) -> Call:
    """Vectors on either side, stacks that broadcast, and a stack times one matrix."""
    lead_a, lead_b = draw.choice((draw.shapes(max_dims=2, max_side=3), ((2, 0), (1,))))
    n, k, m = draw.integer(0, 3), draw.integer(0, 3), draw.integer(1, 3)
    a = draw.choice(((*lead_a, n, k), (*lead_a, n, k), (k,)))
    b = draw.choice(((*lead_b, k, m), (k, m), (k,)))
    return Call((draw.array(a), draw.array(b)))


@case("dot")
def _dot(draw: Draw) -> Call:
    k = draw.integer(0, 3)
    a = draw.choice(((), (k,), (2, k), (1, 2, k)))
    b = draw.choice(((), (k,), (k, 2), (2, k, 1)))
    return Call((draw.array(a), draw.array(b)))


@case("outer")
def _outer(draw: Draw) -> Call:
    return Call((draw.array(draw.any_shape()), draw.array(draw.any_shape())))


@case("tensordot")
def _tensordot(draw: Draw) -> Call:
    shared = draw.shape(max_dims=2, min_side=0, max_side=3)
    of_a, of_b = (draw.shape(max_dims=2, min_side=0, max_side=3) for _ in range(2))
    if draw.boolean():  # the last axes of a with the first of b
        a, b = draw.array((*of_a, *shared)), draw.array((*shared, *of_b))
        return Call((a, b), {} if len(shared) == 2 else {"axes": len(shared)})
    lengths_a, lengths_b = [*of_a], [*of_b]
    places: list[tuple[int, int]] = []
    for n in shared:
        i, j = draw.integer(0, len(lengths_a)), draw.integer(0, len(lengths_b))
        places = [(p + (p >= i), q + (q >= j)) for p, q in places] + [(i, j)]
        lengths_a.insert(i, n)
        lengths_b.insert(j, n)
    axes = ([p for p, _ in places], tuple(q - len(lengths_b) for _, q in places))
    one = (axes[0][0], axes[1][0]) if len(shared) == 1 else axes
    a, b = draw.array(tuple(lengths_a)), draw.array(tuple(lengths_b))
    return Call((a, b), {"axes": one})


SUBSCRIPTS = (
    "ij,jk->ik", "ij,jk", "ij", "ji", "ij->", "i,i", "i,i->i", "ii", "ii->i", "iij->j", "iijj->ij",
    "iii->i", "i,j,k->kji", "ij,kj,k->i", "bij,bjk->bik", "ij,jk,kl,l->i", "ii,i->", ",i->i", "->",
    "...i,i...->...", "...ij,...jk->...ik", "i...->...i", "...", "ij...,j", "...i,...i", "b...i,b",
    "...ii->...i", " i j , j k -> k i ",
)  # fmt: skip


@case("einsum")
def _einsum(draw: Draw) -> Call:
    """Letters that repeat, and letters and ellipses whose axes broadcast."""
    subscripts = draw.choice(SUBSCRIPTS)
    terms = subscripts.replace(" ", "").split("->")[0].split(",")
    length = {letter: draw.integer(1, 3) for letter in "bijkl"}
    wide = draw.shape(max_dims=2, max_side=3)
    arrays = []
    for term in terms:
        before, dots, after = term.partition("...")
        shape = [length[letter] for letter in before]
        shape += narrowed(draw, wide) if dots else ()
        arrays.append(draw.array((*shape, *(length[letter] for letter in after))))
    return Call((subscripts, *arrays))


# ---------------------------------------------------------------------------------------------
# Activations
# ---------------------------------------------------------------------------------------------

for _name in ("relu", "leaky_relu", "elu", "hardtanh", "sigmoid", "tanh"):
    case(f"F.{_name}")(CASES[_name])


@case("F.selu", "F.silu", "F.softsign", "F.logsigmoid")
def _activation(draw: Draw) -> Call:
    return Call((draw.array(draw.any_shape(), -3, 3, apart=0.3),))


@case("F.gelu")
def _gelu(draw: Draw) -> Call:
    x = draw.array(draw.any_shape(), -3, 3)
    return Call((x,), some(draw, approximate=(None, "none", "tanh")))


@case("F.softplus")
def _softplus(draw: Draw) -> Call:
    """The step to the straight line, which a low threshold makes visible, stands between values."""
    x = draw.lattice(draw.any_shape(), 0.25)
    return Call((x,), some(draw, beta=(None, 2.0, 0.5, -1.0), threshold=(None, 1.0)))


@case("F.threshold")
def _threshold(draw: Draw) -> Call:
    x = draw.lattice(draw.any_shape(), 0.25)
    return Call((x, draw.choice((0.0, 0.5, -1)), draw.choice((0.0, -2, 20.0))))


@case("F.prelu")
def _prelu(draw: Draw) -> Call:
    x = draw.array(draw.any_shape(), apart=0.3)
    channels = x.shape[1] if x.ndim > 1 else 1
    return Call((x, draw.array(draw.choice(((1,), (channels,))))))


@case("F.softmax", "F.log_softmax")
def _softmax(draw: Draw) -> Call:
    x = draw.array(draw.shape(min_dims=1), -3, 3)
    return Call((x,), {"dim": draw.integer(-x.ndim, x.ndim - 1)})


@case("F.dropout")
def _dropout(draw: Draw) -> Call:
    x = draw.array(draw.any_shape())
    return Call((x,), some(draw, p=(None, 0.0, 0.3, 1.0), training=(None, True, False)))


@case("F.dropout2d")
def _dropout2d(draw: Draw) -> Call:
    x = draw.array(draw.shape(4, 4, 0, 3))
    return Call((x,), some(draw, p=(None, 0.0, 0.3, 1), training=(None, True, False)))


# ---------------------------------------------------------------------------------------------
# Dense and recurrent layers, embeddings
# ---------------------------------------------------------------------------------------------


@case("F.linear")
def _linear(draw: Draw) -> Call:
    lead = draw.shape(max_dims=3, min_side=0, max_side=3)
    k, m = draw.integer(1, 3), draw.integer(1, 3)
    bias = maybe(draw, lambda: draw.array((m,)))
    return Call((draw.array((*lead, k)), draw.array((m, k)), bias))


@case("F.embedding")
def _embedding(draw: Draw) -> Call:
    """The padding, which has no gradient whatever it contributes, is not among the indices."""
    n = draw.integer(1, 4)
    indices = draw.integers(draw.any_shape(), 0, n - 1)
    weight = draw.array((n + 1, draw.integer(0, 3)))
    return Call((indices, weight), some(draw, padding_idx=(None, n, -1)))


@case("F.cosine_similarity")
def _cosine_similarity(draw: Draw) -> Call:
    shape = draw.shape(min_dims=1)
    a, b = draw.order(2)
    shapes = (shape, narrowed(draw, shape))
    x1, x2 = (draw.array(shapes[i], apart=0.3) for i in (a, b))
    return Call((x1, x2, draw.integer(-len(shape), len(shape) - 1)), some(draw, eps=(None, 0.01)))


def _cell(draw: Draw, gates: int, states: int) -> Call:
    size, hidden = draw.integer(1, 3), draw.integer(1, 2)
    lead = draw.choice(((), (1,), (2,), (0,)))
    state = [draw.array((*lead, hidden)) for _ in range(states)]
    weights = [draw.array((gates * hidden, k), -1, 1) for k in (size, hidden)]
    biases = [maybe(draw, lambda: draw.array((gates * hidden,))) for _ in range(2)]
    hx = state[0] if states == 1 else tuple(state)
    return Call((draw.array((*lead, size)), hx, *weights, *biases))


case("F.rnn_tanh_cell")(functools.partial(_cell, gates=1, states=1))
case("F.lstm_cell")(functools.partial(_cell, gates=4, states=2))
case("F.gru_cell")(functools.partial(_cell, gates=3, states=1))


@case("F.rnn_relu_cell")
def _rnn_relu_cell(draw: Draw) -> Call:
    """Every term that goes into a hidden unit has one sign, so that no sum comes near 0."""
    size, hidden = draw.integer(1, 3), draw.integer(1, 2)
    lead = draw.choice(((), (1,), (2,), (0,)))
    sign = signs(draw, (hidden,))
    x, hx = (draw.array((*lead, k), 0.3, 2) for k in (size, hidden))
    weights = [sign[:, None] * draw.array((hidden, k), 0.3, 1) for k in (size, hidden)]
    biases = [maybe(draw, lambda: sign * draw.array((hidden,), 0.1, 1)) for _ in range(2)]
    return Call((x, hx, *weights, *biases))


# ---------------------------------------------------------------------------------------------
# Convolutions
# ---------------------------------------------------------------------------------------------


@case("F.conv1d", "F.conv2d", "F.conv3d")
def _conv(draw: Draw, dims: int) -> Call:
    g = draw.conv_geometry(dims)
    size, stride = g.size, g.stride
    padding = draw.choice(("ints", "same", "valid"))
    if padding == "ints":
        padding = spelled(draw, g.padding)
    elif padding == "same":
        stride = (1,) * dims
    else:
        size = tuple(map(max, size, g.spans))
    c, f = g.channels
    x = draw.array(maybe_batched(draw, (c, *size)))
    bias = maybe(draw, lambda: draw.array((f,)))
    params = {
        "stride": spelled(draw, stride),
        "padding": padding,
        "dilation": spelled(draw, g.dilation),
        "groups": g.groups,
    }
    return Call((x, draw.array((f, c // g.groups, *g.kernel)), bias), params)


@case("F.conv_transpose1d", "F.conv_transpose2d", "F.conv_transpose3d")
def _conv_transpose(draw: Draw, dims: int) -> Call:
    g = draw.conv_geometry(dims)
    size = []
    for span, stride, padding in zip(g.spans, g.stride, g.padding, strict=True):
        spare = span - 2 * padding  # (n − 1)·stride + spare is the length of the result
        size.append(max(1, 1 + math.ceil((1 - spare) / stride)) + draw.integer(0, 2))
    c, f = g.channels
    x = draw.array(maybe_batched(draw, (c, *size)))
    bias = maybe(draw, lambda: draw.array((f,)))
    params = {
        "stride": spelled(draw, g.stride),
        "padding": spelled(draw, g.padding),
        "output_padding": spelled(draw, g.output_padding),
        "groups": g.groups,
        "dilation": spelled(draw, g.dilation),
    }
    return Call((x, draw.array((c, f // g.groups, *g.kernel)), bias), params)


@case("F.unfold")
def _unfold(draw: Draw) -> Call:
    g = draw.conv_geometry(2)
    x = draw.array(maybe_batched(draw, (g.channels[0], *g.size)))
    geometry = (g.kernel, g.dilation, g.padding, g.stride)
    return Call((x, *(spelled(draw, values) for values in geometry)))


@case("F.fold")
def _fold(draw: Draw) -> Call:
    g = draw.conv_geometry(2)
    geometry = zip(g.size, g.spans, g.padding, g.stride, strict=True)
    windows = math.prod((n + 2 * p - span) // s + 1 for n, span, p, s in geometry)
    columns = draw.array(maybe_batched(draw, (g.channels[0] * math.prod(g.kernel), windows)))
    parts = (g.size, g.kernel, g.dilation, g.padding, g.stride)
    return Call((columns, *(spelled(draw, values) for values in parts)))


@case("F.pad")
def _functional_pad(draw: Draw) -> Call:
    """PyTorch's modes but "constant" pad the last axes of three to five."""
    mode = draw.choice(("constant", "reflect", "replicate", "circular"))
    if mode == "constant":
        x = draw.array(draw.shape(1, 4, 2, 3))
        lengths = [draw.integer(-1, 2) for _ in range(2 * draw.integer(0, x.ndim))]
        return Call((x, lengths), some(draw, mode=(None, mode), value=(None, 1.5)))
    x = draw.array(draw.shape(3, 5, 1, 3))
    most = {"reflect": -1, "replicate": 3, "circular": 0}[mode]
    lengths = []
    for n in x.shape[:1:-1]:
        reach = 3 if mode == "replicate" else n + most
        lengths += [draw.integer(0, reach), draw.integer(0, reach)]
    return Call((x, tuple(lengths)), {"mode": mode})


# ---------------------------------------------------------------------------------------------
# Pools and resampling
# ---------------------------------------------------------------------------------------------


@case("F.max_pool1d", "F.max_pool2d", "F.max_pool3d")
def _max_pool(draw: Draw, dims: int) -> Call:
    g = draw.pool_geometry(dims)
    size = map(max, g.size, g.spans)  # so that every window meets the input
    x = spread(draw, maybe_batched(draw, (g.channels[0], *size)))
    params = {"stride": maybe(draw, lambda: spelled(draw, g.stride))}
    params |= {"padding": spelled(draw, g.padding), "dilation": spelled(draw, g.dilation)}
    params |= some(draw, ceil_mode=(None, True), return_indices=(None, True))
    return Call((x, spelled(draw, g.kernel)), params)


@case("F.avg_pool1d", "F.avg_pool2d", "F.avg_pool3d")
def _avg_pool(draw: Draw, dims: int) -> Call:
    g = draw.pool_geometry(dims)
    least = [k - 2 * p for k, p in zip(g.kernel, g.padding, strict=True)]
    x = draw.array(maybe_batched(draw, (g.channels[0], *map(max, g.size, least))))
    params = {"stride": maybe(draw, lambda: spelled(draw, g.stride))}
    params |= {"padding": spelled(draw, g.padding)}
    params |= some(draw, ceil_mode=(None, True), count_include_pad=(None, False))
    return Call((x, spelled(draw, g.kernel)), params)


@case("F.max_unpool1d", "F.max_unpool2d", "F.max_unpool3d")
def _max_unpool(draw: Draw, dims: int) -> Call:
    """The places are those of a pool, whose windows may overlap and name one place twice."""
    g = draw.pool_geometry(dims)
    size = tuple(map(max, g.size, g.kernel))
    stride = maybe(draw, lambda: g.stride)
    pool = getattr(F, f"max_pool{dims}d")
    pooled = mg.Tensor(spread(draw, maybe_batched(draw, (g.channels[0], *size))))
    _, places = pool(pooled, g.kernel, stride, g.padding, return_indices=True)
    geometry = (spelled(draw, g.kernel), stride, spelled(draw, g.padding))
    wanted = draw.choice((size, pooled.shape))
    return Call((draw.array(places.shape), places.numpy(), *geometry, wanted))


def _adaptive_size(draw: Draw, dims: int) -> Any:
    several = tuple(draw.choice((1, 2, 3, 5, None)) for _ in range(dims))
    return draw.choice((1, 2, 3)) if draw.boolean() else several


@case("F.adaptive_avg_pool1d", "F.adaptive_avg_pool2d", "F.adaptive_avg_pool3d")
def _adaptive_avg_pool(draw: Draw, dims: int) -> Call:
    x = draw.array(maybe_batched(draw, draw.shape(dims + 1, dims + 1)))
    size = _adaptive_size(draw, dims)
    return Call((x, draw.integer(1, 5) if dims == 1 else size))


@case("F.adaptive_max_pool2d")
def _adaptive_max_pool(draw: Draw, dims: int) -> Call:
    x = spread(draw, maybe_batched(draw, draw.shape(dims + 1, dims + 1)))
    return Call((x, _adaptive_size(draw, dims)), some(draw, return_indices=(None, True)))


@case("F.interpolate")
def _interpolate(draw: Draw) -> Call:
    mode = draw.choice(("nearest", "bilinear"))
    dims = 2 if mode == "bilinear" else draw.integer(1, 3)
    x = draw.array((draw.choice((1, 2, 0)), draw.integer(1, 2), *draw.shape(dims, dims)))
    params: dict[str, Any] = {"mode": mode}
    if draw.boolean():
        size = tuple(draw.integer(1, 7) for _ in range(dims))
        params["size"] = draw.choice((size, size[0]))
    else:
        factors = tuple(max(draw.choice((0.5, 1, 1.4, 2, 3.3)), 1 / n) for n in x.shape[2:])
        params["scale_factor"] = draw.choice((factors, draw.choice((1, 1.7, 2.0))))
    if mode == "bilinear":
        params |= some(draw, align_corners=(None, False, True))
    return Call((x,), params)


@case("F.pixel_shuffle")
def _pixel_shuffle(draw: Draw) -> Call:
    r = draw.integer(1, 3)
    lead = draw.shape(max_dims=2, max_side=2)
    c, h, w = (draw.integer(1, 2) for _ in range(3))
    return Call((draw.array((*lead, c * r * r, h, w)), r))


# ---------------------------------------------------------------------------------------------
# Normalisation
# ---------------------------------------------------------------------------------------------


def _weight_and_bias(draw: Draw, shape: tuple) -> list:
    return [maybe(draw, lambda: draw.array(shape)) for _ in range(2)]


@case("F.batch_norm")
def _batch_norm(draw: Draw) -> Call:
    """Running statistics are fixed where training writes them, and have gradients elsewhere."""
    shape = (draw.integer(2, 3), draw.integer(1, 3), *draw.shape(max_dims=3, max_side=2))
    x, affine = spread(draw, shape), _weight_and_bias(draw, shape[1:2])
    mean, variance = draw.values(shape[1:2]), draw.values(shape[1:2], 0.3, 2)
    params = some(draw, momentum=(None, 0.3), eps=(None, 0.1))
    if draw.boolean():
        return Call((x, draw.layout(mean), draw.layout(variance), *affine), params)
    running = (Fixed(mean), Fixed(variance)) if draw.boolean() else (None, None)
    return Call((x, *running, *affine), {"training": True, **params})


@case("F.layer_norm")
def _layer_norm(draw: Draw) -> Call:
    lead, shape = draw.shape(max_dims=2, min_side=0, max_side=3), draw.shape(1, 2, 2, 3)
    x, affine = spread(draw, (*lead, *shape)), _weight_and_bias(draw, shape)
    wanted = shape[0] if len(shape) == 1 and draw.boolean() else draw.choice((shape, list(shape)))
    return Call((x, wanted, *affine), some(draw, eps=(None, 0.1)))


@case("F.group_norm")
def _group_norm(draw: Draw) -> Call:
    groups, each = draw.integer(1, 2), draw.integer(1, 2)
    size = draw.shape(0 if each > 1 else 1, 2, 2, 3)
    shape = (draw.integer(1, 3), groups * each, *size)
    x, affine = spread(draw, shape), _weight_and_bias(draw, shape[1:2])
    return Call((x, groups, *affine), some(draw, eps=(None, 0.1)))


@case("F.instance_norm")
def _instance_norm(draw: Draw) -> Call:
    shape = draw.shape(2, 2, 1, 3) + draw.shape(1, 3, 2, 3)
    weight, bias = _weight_and_bias(draw, shape[1:2])
    return Call((spread(draw, shape),), {"weight": weight, "bias": bias, **some(draw, eps=(0.1,))})


@case("F.local_response_norm")
def _local_response_norm(draw: Draw) -> Call:
    x = draw.array((draw.integer(1, 2), draw.integer(1, 5), *draw.shape(1, 3, 1, 2)))
    params = some(draw, alpha=(None, 0.5), beta=(None, 0.5), k=(None, 2.0))
    return Call((x, draw.integer(1, 4)), params)


@case("F.normalize")
def _normalize(draw: Draw) -> Call:
    x = distinct_sizes(draw, draw.shape(min_dims=2))
    orders = (None, 1.0, 2.0, 3.0, math.inf)
    dims = (None, *range(-x.ndim, x.ndim))
    return Call((x,), some(draw, p=orders, dim=dims, eps=(None, 0.01)))


# ---------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------

REDUCTIONS = (None, "mean", "sum", "none")


@case("F.mse_loss", "F.l1_loss")
def _regression(draw: Draw) -> Call:
    """Differences are odd multiples of ¼: away from 0 and, below, from delta and beta."""
    shape = draw.shape()
    return Call(
        (draw.lattice(shape), draw.lattice(shape, 0.25)), some(draw, reduction=REDUCTIONS)
    )


@case("F.huber_loss")
def _huber_loss(draw: Draw) -> Call:
    call = _regression(draw)
    return Call(call.args, {**call.params, **some(draw, delta=(None, 0.5, 2.0))})


@case("F.smooth_l1_loss")
def _smooth_l1_loss(draw: Draw) -> Call:
    call = _regression(draw)
    return Call(call.args, {**call.params, **some(draw, beta=(None, 0.5, 2.0, 0.0))})


@case("F.gaussian_nll_loss")
def _gaussian_nll_loss(draw: Draw) -> Call:
    shape = draw.shape(min_dims=1)
    of_variance = draw.choice((shape, (*shape[:-1], 1), shape[:-1]))
    args = (draw.array(shape), draw.array(shape), draw.array(of_variance, 0.3, 2))
    return Call(args, some(draw, full=(None, True), eps=(None, 0.01), reduction=REDUCTIONS))


@case("F.binary_cross_entropy")
def _binary_cross_entropy(draw: Draw) -> Call:
    shape = draw.shape()
    weight = maybe(draw, lambda: draw.array(narrowed(draw, shape), 0.2, 2))
    args = (draw.array(shape, 0.1, 0.9), draw.array(shape, 0, 1), weight)
    return Call(args, some(draw, reduction=REDUCTIONS))


@case("F.binary_cross_entropy_with_logits")
def _binary_cross_entropy_with_logits(draw: Draw) -> Call:
    shape = draw.shape()
    weight = maybe(draw, lambda: draw.array(narrowed(draw, shape), 0.2, 2))
    args = (draw.array(shape, -3, 3), draw.array(shape, 0, 1), weight)
    pos_weight = maybe(draw, lambda: draw.array(narrowed(draw, shape), 0.2, 2))
    return Call(args, {"pos_weight": pos_weight, **some(draw, reduction=REDUCTIONS)})


@case("F.hinge_embedding_loss")
def _hinge_embedding_loss(draw: Draw) -> Call:
    shape = draw.shape()
    args = (draw.lattice(shape, 0.25), Fixed(signs(draw, shape)))
    return Call(args, some(draw, margin=(None, 0.5), reduction=REDUCTIONS))


@case("F.margin_ranking_loss")
def _margin_ranking_loss(draw: Draw) -> Call:
    shape = draw.shape()
    args = (draw.lattice(shape), draw.lattice(shape, 0.25), signs(draw, shape))
    return Call(args, some(draw, margin=(None, 0.5), reduction=REDUCTIONS))


def _classes(draw: Draw) -> tuple[tuple, int, tuple]:
    """The shape of the logits, the number of classes, and the shape without them."""
    c = draw.integer(1, 4)
    others = draw.shape(max_side=3)
    return (*others[:1], c, *others[1:]), c, others


def _labels(draw: Draw, c: int, shape: tuple) -> tuple[np.ndarray, dict[str, int]]:
    """Labels, some of them ignored, by default or under another number; never all of them."""
    labels = draw.integers(shape, 0, c - 1)
    ignored = draw.choice((None, -100, -1, c - 1))
    if ignored is None or labels.size == 0:
        return labels, {}
    skipped = draw.integers(shape, 0, 1, "bool")
    skipped.flat[0] = False
    labels[skipped] = ignored
    labels.flat[0] = 0
    return labels, {"ignore_index": ignored} if ignored not in (-100, 0) else {}


@case("F.nll_loss")
def _nll_loss(draw: Draw) -> Call:
    shape, c, others = _classes(draw)
    labels, ignored = _labels(draw, c, others)
    weight = maybe(draw, lambda: draw.array((c,), 0.2, 2))
    params = {**ignored, **some(draw, reduction=REDUCTIONS)}
    return Call((draw.array(shape), labels, weight), params)


@case("F.cross_entropy")
def _cross_entropy(draw: Draw) -> Call:
    """Labels or, of the shape of the logits, probabilities."""
    call = _nll_loss(draw)
    x, target, weight = call.args
    params = {**call.params, **some(draw, label_smoothing=(None, 0.1, 1.0))}
    if draw.boolean():
        target = draw.array(x.shape, 0, 1)
        params.pop("ignore_index", None)
    return Call((x, target, weight), params)


@case("F.kl_div")
def _kl_div(draw: Draw) -> Call:
    """Targets of 0, where the logarithm ends, are fixed."""
    shape = draw.shape(min_dims=1)
    params = some(draw, reduction=(*REDUCTIONS, "batchmean"))
    if draw.boolean():
        args = (draw.array(shape), draw.array(shape))
        return Call(args, {"log_target": True, **params})
    target = draw.array(shape, 0.2, 1.5)
    zeros = Fixed(np.where(target > 1.0, 0.0, target))
    return Call((draw.array(shape), draw.choice((target, zeros))), params)
