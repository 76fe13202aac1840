"""For every class of `minigrad.nn` a strategy that builds it and draws what to call it with.

`CASES` maps the name of a class to a strategy of `Case`. Constructor arguments are drawn over their
whole range, parameters and inputs in float64, away from kinks where a layer has any.
"""

import dataclasses
import math
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import core, nn, testing
from minigrad.backend import backend_of, seeded
from minigrad.ops.pool import winning_taps
from minigrad.testing import arrays, shapes


def flat(outputs):
    """The float Tensors in (output, (h, c)), (maxima, indices) and their like."""
    if isinstance(outputs, tuple):
        return [y for part in outputs for y in flat(part)]
    return [outputs] if outputs.dtype.kind == "f" else []


@contextmanager
def parameters_replaced(module, tensors):
    """In the block the parameters of a module are these Tensors, under all their names."""
    new = dict(zip(map(id, module.parameters()), tensors, strict=True))
    kept = [
        (vars(part), name, value)
        for part in module.modules()
        for name, value in vars(part).items()
        if id(value) in new
    ]
    for attributes, name, value in kept:
        attributes[name] = new[id(value)]
    try:
        yield
    finally:
        for attributes, name, value in kept:
            attributes[name] = value


@dataclass(frozen=True)
class Case:
    """A call of a module: a function of its parameters and of its float inputs.

    Attributes:
        module: in float64, unless a test says otherwise.
        inputs: arrays of floats, by which it can be differentiated.
        fixed: the arrays that follow them in a call and stay as they are (labels, indices).
        call: ``call(module, *inputs, *fixed)``.
    """

    module: nn.Module
    inputs: tuple = ()
    fixed: tuple = ()
    call: Callable[..., Any] = nn.Module.__call__

    @property
    def values(self):
        """The arrays that the function takes: parameters, then inputs."""
        return [*(p.array.copy() for p in self.module.parameters()), *self.inputs]

    def __call__(self, *tensors):
        """The float outputs; random numbers (dropout) are the same in every call."""
        count = len(tensors) - len(self.inputs)
        like = tensors[0]
        fixed = [x.astype(like.dtype) if x.dtype.kind == "f" else x for x in self.fixed]
        fixed = [mg.Tensor(backend_of(like.array).asarray(x)) for x in fixed]
        with seeded(0), parameters_replaced(self.module, tensors[:count]):
            return flat(self.call(self.module, *tensors[count:], *fixed))


# What says on which side of a kink a value of a primitive lies.
SIDES: dict[str, Callable] = {
    "where": lambda y, condition, a, b: condition,
    "max_pool": lambda y, x, **geometry: winning_taps.forward(x, y, **geometry),
}
for _name in ("abs", "relu", "leaky_relu", "elu", "hardtanh", "clip", "maximum", "minimum"):
    SIDES[_name] = lambda y, x, *others, **params: np.sign(y - x)


class Watched:
    """A function that notes on which of its smooth pieces it is evaluated.

    A network with rectifiers is smooth as long as none of them changes sides, and no maximum its
    winner: a difference quotient means something where `stayed` is true.
    """

    def __init__(self, f):
        self.f = f
        self.pieces = set()

    def __call__(self, *tensors):
        sides = []

        def note(node):
            side = SIDES.get(node.primitive.name)
            if side is not None:
                params = {k: v for k, v in node.params.items() if k != "keep"}
                arrays = [x.array if isinstance(x, mg.Tensor) else x for x in node.args]
                sides.append(side(node.array, *arrays, **params).tobytes())

        kept, core.on_record = core.on_record, note
        try:
            return self.f(*tensors)
        finally:
            core.on_record = kept
            self.pieces.add(tuple(sides))

    @property
    def stayed(self):
        return len(self.pieces) == 1


# ---------------------------------------------------------------------------------------------
# Building blocks
# ---------------------------------------------------------------------------------------------

CASES: dict[str, st.SearchStrategy] = {}
seeds = st.integers(0, 2**32 - 1)
few = st.integers(1, 3)
batches = st.integers(0, 3)


def cases(*names):
    """Let a strategy, which is given the name, stand for the classes of these names."""

    def register(strategy):
        for name in names:
            assert name not in CASES, name
            CASES[name] = strategy(name)
        return strategy

    return register


def randomized(draw, module):
    """A module in float64 whose parameters are no longer what it starts with (ones, zeros)."""
    rng = np.random.default_rng(draw(seeds))
    for parameter in module.to("float64").parameters():
        signs = rng.choice([-1.0, 1.0], parameter.shape)
        parameter.overwrite(signs * rng.uniform(0.2, 1.2, parameter.shape))
    return module


def make(draw, name, *args, **kwargs):
    """A layer of `minigrad.nn` with random parameters."""
    return randomized(draw, getattr(nn, name)(*args, **kwargs))


def dims_of(name):
    """2 of "Conv2d"."""
    return int(name[-2])


def lengths(draw, values):
    """A geometry argument: the tuple, or an int where all are equal."""
    return draw(st.sampled_from([values, values[0]])) if len(set(values)) == 1 else values


def maybe_batched(draw, shape):
    """The shape with a batch axis, which may be of length 0, or without."""
    return draw(st.sampled_from([(draw(batches), *shape), shape]))


@st.composite
def apart_from(draw, shape, kinks):
    """Values that keep 0.1 away from each kink; the kinks are further apart than that."""
    x = np.array(draw(arrays(shape)))
    for kink in kinks:
        side = np.where(x >= kink, 0.1, -0.1)
        x = np.where(np.abs(x - kink) < 0.1, kink + side, x)
    return x


def distinct(shape):
    """Values no two of which are nearer than 0.1: for maxima."""
    spread = 0.05 * math.prod(shape)
    return arrays(shape, -spread, spread, distinct=True)


# ---------------------------------------------------------------------------------------------
# Layers without geometry
# ---------------------------------------------------------------------------------------------


@cases("Identity")
@st.composite
def _identity(draw, name):
    return Case(nn.Identity(), (draw(arrays()),))


@cases("Linear")
@st.composite
def _linear(draw, name):
    layer = make(draw, name, draw(few), draw(few), bias=draw(st.booleans()))
    lead = draw(shapes(max_dims=2, min_side=0, max_side=3))
    return Case(layer, (draw(arrays((*lead, layer.in_features))),))


@cases("Embedding")
@st.composite
def _embedding(draw, name):
    """Without the tokens of the padding, whose gradient is 0 by decree."""
    n = draw(st.integers(2, 4))
    padding = draw(st.one_of(st.none(), st.integers(-n, n - 1)))
    layer = make(draw, name, n, draw(few), padding_idx=padding)
    tokens = [i for i in range(n) if padding is None or i != padding % n]
    shape = draw(shapes(max_dims=2, min_side=0, max_side=3))
    size = math.prod(shape)
    drawn = draw(st.lists(st.sampled_from(tokens), min_size=size, max_size=size))
    return Case(layer, fixed=(np.array(drawn, dtype="int64").reshape(shape),))


@cases("Dropout", "Dropout2d")
@st.composite
def _dropout(draw, name):
    layer = getattr(nn, name)(draw(st.sampled_from([0.0, 0.3, 0.5, 1.0])))
    dims = {"min_dims": 4, "max_dims": 4} if name == "Dropout2d" else {}
    return Case(layer, (draw(arrays(shapes(min_side=0, max_side=3, **dims))),))


@cases("Flatten")
@st.composite
def _flatten(draw, name):
    x = draw(arrays(shapes(min_dims=2, max_dims=4, min_side=0, max_side=3)))
    start = draw(st.integers(0, x.ndim - 1))
    end = draw(st.integers(start, x.ndim - 1))
    signs = [draw(st.sampled_from([0, x.ndim])) for _ in range(2)]
    return Case(nn.Flatten(start - signs[0], end - signs[1]), (x,))


@cases("Unflatten")
@st.composite
def _unflatten(draw, name):
    sizes = draw(st.lists(few, min_size=1, max_size=3))
    lead, rest = (draw(shapes(max_dims=1, min_side=0, max_side=3)) for _ in range(2))
    x = draw(arrays((*lead, math.prod(sizes), *rest)))
    if draw(st.booleans()):
        sizes[draw(st.integers(0, len(sizes) - 1))] = -1
    axis = draw(st.sampled_from([len(lead), len(lead) - x.ndim]))
    return Case(nn.Unflatten(axis, sizes), (x,))


# ---------------------------------------------------------------------------------------------
# Convolutions
# ---------------------------------------------------------------------------------------------


@cases("Conv1d", "Conv2d", "Conv3d")
@st.composite
def _conv(draw, name):
    g = draw(testing.conv_geometries(dims_of(name)))
    padding = draw(st.sampled_from(["ints", "same", "valid"]))
    size, stride = g.size, g.stride
    if padding == "ints":
        padding = lengths(draw, g.padding)
    elif padding == "same":
        stride = (1,) * len(size)
    else:
        spans = [d * (k - 1) + 1 for k, d in zip(g.kernel, g.dilation, strict=True)]
        size = tuple(map(max, size, spans))
    layer = make(
        draw, name, *g.channels, lengths(draw, g.kernel), lengths(draw, stride), padding,
        lengths(draw, g.dilation), g.groups, draw(st.booleans()),
    )  # fmt: skip
    return Case(layer, (draw(arrays(maybe_batched(draw, (g.channels[0], *size)))),))


@cases("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d")
@st.composite
def _conv_transpose(draw, name):
    g = draw(testing.conv_geometries(dims_of(name)))
    size, least = [], []
    for k, s, d, p in zip(g.kernel, g.stride, g.dilation, g.padding, strict=True):
        spare = d * (k - 1) + 1 - 2 * p  # (n − 1)·s + spare is the length of the result
        n = max(1, 1 + math.ceil((1 - spare) / s)) + draw(st.integers(0, 2))
        size.append(n)
        least.append((n - 1) * s + spare)
    layer = make(
        draw, name, *g.channels, lengths(draw, g.kernel), lengths(draw, g.stride),
        lengths(draw, g.padding), lengths(draw, g.output_padding), g.groups, draw(st.booleans()),
        lengths(draw, g.dilation),
    )  # fmt: skip
    x = draw(arrays(maybe_batched(draw, (g.channels[0], *size))))
    if draw(st.booleans()):
        return Case(layer, (x,))
    pairs = zip(least, g.stride, strict=True)
    wanted = tuple(n + draw(st.integers(0, s - 1)) for n, s in pairs)
    return Case(layer, (x,), call=lambda module, x: module(x, output_size=wanted))


# ---------------------------------------------------------------------------------------------
# Pools and resampling
# ---------------------------------------------------------------------------------------------


def _undilated(g):
    """A drawn geometry without dilation, padded by at most half of the smaller window."""
    padding = tuple(min(p, k // 2) for p, k in zip(g.padding, g.kernel, strict=True))
    least = [k - 2 * p for k, p in zip(g.kernel, padding, strict=True)]
    return dataclasses.replace(
        g, dilation=(1,) * len(g.size), padding=padding, size=tuple(map(max, g.size, least))
    )


def _window(draw, g):
    """kernel_size, stride and padding as they may be spelled; the stride is left out at times."""
    stride = None if draw(st.booleans()) else lengths(draw, g.stride)
    return lengths(draw, g.kernel), stride, lengths(draw, g.padding)


@cases("MaxPool1d", "MaxPool2d", "MaxPool3d")
@st.composite
def _max_pool(draw, name):
    g = draw(testing.pool_geometries(dims_of(name)))
    layer = getattr(nn, name)(
        *_window(draw, g), lengths(draw, g.dilation), draw(st.booleans()), draw(st.booleans())
    )
    x = draw(distinct(maybe_batched(draw, (g.channels[0], *g.size))))
    (y,) = flat((layer(mg.Tensor(x)),))
    assume(np.isfinite(y.array).all())  # a window wholly in the padding has the maximum −∞
    return Case(layer, (x,))


@cases("MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d")
@st.composite
def _max_unpool(draw, name):
    n = dims_of(name)
    g = _undilated(draw(testing.pool_geometries(n)))
    layer = getattr(nn, name)(*_window(draw, g))
    shape = maybe_batched(draw, (g.channels[0], *g.size))
    pool = getattr(F, f"max_pool{n}d")
    y, indices = pool(
        mg.Tensor(draw(distinct(shape))), layer.kernel_size, layer.stride, layer.padding,
        return_indices=True,
    )  # fmt: skip
    exact = tuple(
        (m - 1) * s - 2 * p + k
        for m, k, s, p in zip(
            y.shape[-n:], layer.kernel_size, layer.stride, layer.padding, strict=True
        )
    )
    size = None if exact == g.size and draw(st.booleans()) else g.size
    return Case(
        layer, (draw(arrays(y.shape)),), (indices.array,),
        call=lambda module, x, places: module(x, places, output_size=size),
    )  # fmt: skip


@cases("AvgPool1d", "AvgPool2d", "AvgPool3d")
@st.composite
def _avg_pool(draw, name):
    g = _undilated(draw(testing.pool_geometries(dims_of(name))))
    layer = getattr(nn, name)(*_window(draw, g), draw(st.booleans()), draw(st.booleans()))
    return Case(layer, (draw(arrays(maybe_batched(draw, (g.channels[0], *g.size)))),))


@cases("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool2d")
@st.composite
def _adaptive_pool(draw, name):
    n = dims_of(name)
    out = tuple(draw(st.one_of(few, st.none())) for _ in range(n))
    if None not in out:
        out = lengths(draw, out)
    shape = maybe_batched(draw, draw(shapes(n + 1, n + 1)))
    if name == "AdaptiveMaxPool2d":
        return Case(nn.AdaptiveMaxPool2d(out, draw(st.booleans())), (draw(distinct(shape)),))
    return Case(getattr(nn, name)(out), (draw(arrays(shape)),))


@cases("Upsample")
@st.composite
def _upsample(draw, name):
    options = {"mode": draw(st.sampled_from(["nearest", "bilinear"]))}
    bilinear = options["mode"] == "bilinear"
    n = 2 if bilinear else draw(few)
    if bilinear:
        options["align_corners"] = draw(st.sampled_from([None, False, True]))
    if draw(st.booleans()):
        options["size"] = lengths(draw, tuple(draw(st.integers(1, 6)) for _ in range(n)))
    else:
        factors = st.sampled_from([0.5, 1, 1.5, 2, 2.7])
        options["scale_factor"] = lengths(draw, tuple(draw(factors) for _ in range(n)))
    shape = (draw(batches), draw(few), *draw(shapes(n, n, min_side=2)))
    return Case(nn.Upsample(**options), (draw(arrays(shape)),))


@cases("PixelShuffle")
@st.composite
def _pixel_shuffle(draw, name):
    r = draw(few)
    lead = draw(shapes(max_dims=2, min_side=0, max_side=2))
    shape = (*lead, draw(st.integers(1, 2)) * r * r, draw(few), draw(few))
    return Case(nn.PixelShuffle(r), (draw(arrays(shape)),))


# ---------------------------------------------------------------------------------------------
# Normalisation
# ---------------------------------------------------------------------------------------------

epsilons = st.sampled_from([1e-5, 1e-3, 0.1])


def spread(shape):
    """Values whose standard deviation is well above 0."""
    return arrays(shape, -4.0, 4.0, distinct=True)


@cases("BatchNorm1d", "BatchNorm2d", "BatchNorm3d")
@st.composite
def _batch_norm(draw, name):
    c = draw(few)
    layer = make(
        draw, name, c, draw(epsilons), draw(st.sampled_from([0.1, 0.7, None])),
        affine=draw(st.booleans()), track_running_stats=draw(st.booleans()),
    )  # fmt: skip
    if layer.running_mean is not None:
        layer.running_mean.overwrite(draw(arrays((c,))))
        layer.running_var.overwrite(draw(arrays((c,), 0.5, 2.0)))
    axes = draw(st.sampled_from([0, 1])) if name == "BatchNorm1d" else dims_of(name)
    shape = (draw(st.integers(2, 4)), c, *draw(shapes(axes, axes, max_side=3)))
    return Case(layer, (draw(spread(shape)),))


@cases("LayerNorm")
@st.composite
def _layer_norm(draw, name):
    shape = draw(shapes(min_dims=1, max_dims=2))
    given = draw(st.sampled_from([shape, list(shape), shape[0]])) if len(shape) == 1 else shape
    layer = make(
        draw, name, given, draw(epsilons), elementwise_affine=draw(st.booleans()),
        bias=draw(st.booleans()),
    )  # fmt: skip
    lead = draw(shapes(max_dims=2, min_side=0, max_side=3))
    return Case(layer, (draw(spread((*lead, *shape))),))


@cases("GroupNorm")
@st.composite
def _group_norm(draw, name):
    groups = draw(few)
    channels = groups * draw(st.integers(1, 2))
    layer = make(draw, name, groups, channels, draw(epsilons), affine=draw(st.booleans()))
    shape = (draw(batches), channels, *draw(shapes(max_dims=2, max_side=3)))
    return Case(layer, (draw(spread(shape)),))


@cases("InstanceNorm2d")
@st.composite
def _instance_norm(draw, name):
    c = draw(few)
    layer = make(draw, name, c, draw(epsilons), affine=draw(st.booleans()))
    size = (draw(few), draw(st.integers(2, 3)))
    return Case(layer, (draw(spread(maybe_batched(draw, (c, *size)))),))


@cases("LocalResponseNorm")
@st.composite
def _local_response_norm(draw, name):
    layer = nn.LocalResponseNorm(
        draw(st.integers(1, 4)),
        alpha=draw(st.sampled_from([1e-4, 0.5, 2.0])),
        beta=draw(st.sampled_from([0.5, 0.75, 1.5])),
        k=draw(st.sampled_from([1.0, 2.0])),
    )
    shape = (draw(batches), draw(st.integers(1, 5)), *draw(shapes(1, 3, max_side=2)))
    return Case(layer, (draw(arrays(shape)),))


# ---------------------------------------------------------------------------------------------
# Activations
# ---------------------------------------------------------------------------------------------

any_shape = st.one_of(shapes(), shapes(min_side=0, max_side=3))
SMOOTH = ("GELU", "SiLU", "Sigmoid", "LogSigmoid", "Tanh")
OPTIONS: dict[str, dict] = {
    "GELU": {"approximate": ["none", "tanh"]},
    "LeakyReLU": {"negative_slope": [0.01, 0.3]},
    "ELU": {"alpha": [0.5, 1.0, 2.0]},
}


@cases(*SMOOTH, "ReLU", "LeakyReLU", "ELU", "SELU", "Softsign")
@st.composite
def _activation(draw, name):
    """Without a kink, or with one at 0."""
    options = {key: draw(st.sampled_from(given)) for key, given in OPTIONS.get(name, {}).items()}
    kinks = () if name in SMOOTH else (0.0,)
    return Case(getattr(nn, name)(**options), (draw(apart_from(any_shape, kinks)),))


@cases("Softplus")
@st.composite
def _softplus(draw, name):
    beta = draw(st.sampled_from([0.5, 1.0, 3.0]))
    threshold = draw(st.sampled_from([1.0, 20.0]))
    x = draw(apart_from(any_shape, (threshold / beta,)))
    return Case(nn.Softplus(beta, threshold), (x,))


@cases("Hardtanh")
@st.composite
def _hardtanh(draw, name):
    bounds = draw(st.sampled_from([(-1.0, 1.0), (-0.5, 0.25), (0.3, 1.5)]))
    return Case(nn.Hardtanh(*bounds), (draw(apart_from(any_shape, bounds)),))


@cases("Threshold")
@st.composite
def _threshold(draw, name):
    threshold = draw(st.sampled_from([0.0, -0.7, 0.5]))
    return Case(nn.Threshold(threshold, 3.0), (draw(apart_from(any_shape, (threshold,))),))


@cases("PReLU")
@st.composite
def _prelu(draw, name):
    c = draw(few)
    shape = (draw(batches), c, *draw(shapes(max_dims=2, max_side=3)))
    if draw(st.booleans()):
        c, shape = 1, draw(any_shape)
    return Case(make(draw, name, c), (draw(apart_from(shape, (0.0,))),))


@cases("Softmax", "LogSoftmax")
@st.composite
def _softmax(draw, name):
    x = draw(arrays(shapes(min_dims=1)))
    return Case(getattr(nn, name)(draw(st.integers(-x.ndim, x.ndim - 1))), (x,))


# ---------------------------------------------------------------------------------------------
# Recurrent layers
# ---------------------------------------------------------------------------------------------


def _bent(draw, name):
    """The choice that only the simplest recurrent layer has."""
    if not name.startswith("RNN"):
        return {}
    return {"nonlinearity": draw(st.sampled_from(["tanh", "relu"]))}


def _with_state(draw, name, layer, x, shape):
    """A call with a drawn initial state, or without."""
    if draw(st.booleans()):
        return Case(layer, (x,))
    if name.startswith("LSTM"):
        state = (draw(arrays(shape)), draw(arrays(shape)))
        return Case(layer, (x, *state), call=lambda module, x, h, c: module(x, (h, c)))
    return Case(layer, (x, draw(arrays(shape))))


@cases("RNN", "LSTM", "GRU")
@st.composite
def _recurrent(draw, name):
    features, hidden, layers = draw(few), draw(st.integers(1, 2)), draw(st.integers(1, 2))
    layer = make(
        draw, name, features, hidden, layers, bias=draw(st.booleans()),
        batch_first=draw(st.booleans()), bidirectional=draw(st.booleans()),
        dropout=draw(st.sampled_from([0.0, 0.4])) if layers > 1 else 0.0, **_bent(draw, name),
    )  # fmt: skip
    time, batch = draw(few), draw(st.sampled_from([(), (0,), (1,), (2,)]))
    lead = (*batch, time) if layer.batch_first else (time, *batch)
    state = (layers * (1 + layer.bidirectional), *batch, hidden)
    return _with_state(draw, name, layer, draw(arrays((*lead, features))), state)


@cases("RNNCell", "LSTMCell", "GRUCell")
@st.composite
def _cell(draw, name):
    features, hidden = draw(few), draw(few)
    layer = make(draw, name, features, hidden, bias=draw(st.booleans()), **_bent(draw, name))
    lead = draw(st.sampled_from([(), (0,), (1,), (3,)]))
    return _with_state(draw, name, layer, draw(arrays((*lead, features))), (*lead, hidden))


# ---------------------------------------------------------------------------------------------
# Containers
# ---------------------------------------------------------------------------------------------


def _row_of_layers(draw):
    """Layers that fit one behind the other, from (n, 3) to (n, 2)."""
    between = st.sampled_from(
        [nn.Tanh, nn.ReLU, nn.SELU, lambda: nn.Dropout(0.5), lambda: nn.BatchNorm1d(4)]
    )
    layers = [nn.Linear(3, 4), *(make() for make in draw(st.lists(between, max_size=3)))]
    return [*layers, nn.Linear(4, 2)]


@cases("Sequential", "ModuleList", "ModuleDict")
@st.composite
def _container(draw, name):
    """The same layer may stand in a row twice; its parameters then get one gradient."""
    layers = _row_of_layers(draw)
    if draw(st.booleans()):
        square = nn.Linear(2, 2)
        layers += [square, nn.Tanh(), square]
    named = {f"layer{i}": layer for i, layer in enumerate(layers)}
    makers: dict[str, list[Callable[[], nn.Module]]] = {
        "Sequential": [lambda: nn.Sequential(*layers), lambda: nn.Sequential(named)],
        "ModuleList": [lambda: nn.ModuleList(layers)],
        "ModuleDict": [lambda: nn.ModuleDict(named)],
    }
    module = randomized(draw, draw(st.sampled_from(makers[name]))())

    def in_a_row(module, x):
        for layer in module.values() if name == "ModuleDict" else module:
            x = layer(x)
        return x

    x = draw(arrays((draw(st.integers(2, 4)), 3), distinct=True))
    return Case(module, (x,)) if name == "Sequential" else Case(module, (x,), call=in_a_row)


# ---------------------------------------------------------------------------------------------
# Losses
# ---------------------------------------------------------------------------------------------

reductions = st.sampled_from(["mean", "sum", "none"])


def _optional_weight(draw, shape):
    """None, or positive weights of this shape."""
    return mg.tensor(draw(arrays(shape, 0.3, 2.0))) if draw(st.booleans()) else None


@cases("MSELoss")
@st.composite
def _squared(draw, name):
    x = draw(arrays())
    return Case(nn.MSELoss(reduction=draw(reductions)), (x, draw(arrays(x.shape))))


@cases("L1Loss", "SmoothL1Loss", "HuberLoss")
@st.composite
def _bent_loss(draw, name):
    """Differences keep away from 0 and from where the quadratic part ends."""
    options, ends = {"reduction": draw(reductions)}, 0.0
    if name != "L1Loss":
        least = [0.0] if name == "SmoothL1Loss" else []
        ends = draw(st.sampled_from([*least, 0.5, 1.0, 1.5]))
        options["delta" if name == "HuberLoss" else "beta"] = ends
    target = draw(arrays())
    x = target + draw(apart_from(target.shape, (-ends, 0.0, ends)))
    return Case(getattr(nn, name)(**options), (np.asarray(x), target))


@cases("GaussianNLLLoss")
@st.composite
def _gaussian(draw, name):
    options = {"full": draw(st.booleans()), "eps": draw(st.sampled_from([1e-6, 0.1]))}
    x = draw(arrays())
    shapes_of_var = [x.shape, (*x.shape[:-1], 1), x.shape[:-1]][: 3 if x.ndim else 1]
    var = draw(arrays(draw(st.sampled_from(shapes_of_var)), 0.3, 2.0))
    loss = nn.GaussianNLLLoss(reduction=draw(reductions), **options)
    return Case(loss, (x, draw(arrays(x.shape)), var))


@cases("BCELoss", "BCEWithLogitsLoss")
@st.composite
def _two_classes(draw, name):
    shape = draw(shapes())
    narrow = tuple(draw(st.sampled_from([1, n])) for n in shape)[draw(st.integers(0, 2)) :]
    options = {"weight": _optional_weight(draw, narrow), "reduction": draw(reductions)}
    bounds = (0.1, 0.9)
    if name == "BCEWithLogitsLoss":
        options["pos_weight"] = _optional_weight(draw, shape[-1:])
        bounds = (-3.0, 3.0)
    x, target = draw(arrays(shape, *bounds)), draw(arrays(shape, 0.0, 1.0))
    return Case(getattr(nn, name)(**options), (x, target))


@cases("HingeEmbeddingLoss", "MarginRankingLoss")
@st.composite
def _margin(draw, name):
    margin = draw(st.sampled_from([0.0, 0.5, 1.0]))
    loss = getattr(nn, name)(margin, reduction=draw(reductions))
    shape = draw(shapes())
    target = np.where(np.asarray(draw(arrays(shape))) > 0.0, 1.0, -1.0)
    if name == "HingeEmbeddingLoss":
        return Case(loss, (draw(apart_from(shape, (margin,))),), (target,))
    second = draw(arrays(shape))
    first = second + draw(apart_from(shape, (-margin, margin)))
    return Case(loss, (np.asarray(first), second), (target,))


@cases("CrossEntropyLoss", "NLLLoss")
@st.composite
def _many_classes(draw, name):
    c = draw(st.integers(1, 4))
    shape = draw(st.sampled_from([(c,), (2, c), (3, c), (2, c, 2), (1, c, 2, 3)]))
    x = draw(arrays(shape))
    options = {"weight": _optional_weight(draw, (c,)), "reduction": draw(reductions)}
    if name == "CrossEntropyLoss":
        options["label_smoothing"] = draw(st.sampled_from([0.0, 0.2, 1.0]))
        if draw(st.booleans()):
            return Case(nn.CrossEntropyLoss(**options), (x, draw(arrays(shape, 0.1, 1.0))))
    places = shape[:1] + shape[2:] if len(shape) > 1 else ()
    size = math.prod(places)
    labels = draw(st.lists(st.integers(0, c - 1), min_size=size, max_size=size))
    if draw(st.booleans()):
        ignored = draw(st.sampled_from([-100, -1, c]))
        options["ignore_index"] = ignored
        keep = [True, *(draw(st.booleans()) for _ in labels[1:])]  # the mean over none is NaN
        labels = [label if kept else ignored for label, kept in zip(labels, keep, strict=True)]
    target = np.array(labels, dtype="int64").reshape(places)
    return Case(getattr(nn, name)(**options), (x,), (target,))


@cases("KLDivLoss")
@st.composite
def _divergence(draw, name):
    loss = nn.KLDivLoss(
        reduction=draw(st.sampled_from(["mean", "sum", "none", "batchmean"])),
        log_target=draw(st.booleans()),
    )
    shape = draw(shapes(min_dims=1))
    target = arrays(shape, -2.0, -0.1) if loss.log_target else arrays(shape, 0.1, 1.0)
    return Case(loss, (draw(arrays(shape, -2.0, 0.0)), draw(target)))
