"""What is measured: training steps of whole models, and single operations forward and backward.

A workload is data: arrays with PyTorch's layouts, settings, and the shapes of the matrix products
that nobody can do without. How a library does the work stands in `benchmarks.engines`.

The models are built by functions whose arguments are what grows: ``batch``, ``size`` (the side of
an image) and ``width`` (hidden units, or channels as a multiple of the usual). All floats are
float32, labels int64, and the generator always starts at the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Product = tuple[int, int, int, int]  # (m, k, n, count): count products of (m, k) by (k, n)


@dataclass(frozen=True)
class Workload:
    """One thing to measure.

    Attributes:
        name: what the command line calls it.
        title: what it is, in one line.
        make: returns the arrays; see `arrays`.
        products: the matrix products of one step: forward, and backward to every gradient that is
            asked for. A convolution counts as one product of its im2col shape.
        settings: numbers that are not in the shapes of the arrays (learning rate, stride).
    """

    name: str
    title: str
    make: Callable[[], Arrays]
    products: tuple[Product, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def arrays(self) -> Arrays:
        """Fresh arrays by name. Parameters have dotted names ("conv1.weight"), data have not."""
        return self.make()


class WeightedSum:
    """Σ y·g, the loss of a single operation, worked out when ``float`` asks for it.

    Its gradient by y is g, which a step hands to the backward pass directly: what is measured is
    the operation, not the sum.
    """

    def __init__(self, y: Any, g: Any) -> None:
        self.y = y
        self.g = g

    def __float__(self) -> float:
        return float(np.vdot(np.asarray(self.g, np.float64), np.asarray(self.y, np.float64)))


# ---------------------------------------------------------------------------------------------
# Arrays and products of layers
# ---------------------------------------------------------------------------------------------


class _Draw:
    """Draws arrays from one seeded generator."""

    def __init__(self) -> None:
        self.generator = np.random.default_rng(0)

    def normal(self, *shape: int) -> np.ndarray:
        return self.generator.standard_normal(shape, dtype=np.float32)

    def uniform(self, *shape: int) -> np.ndarray:
        return self.generator.random(shape, dtype=np.float32)

    def labels(self, count: int, classes: int) -> np.ndarray:
        return self.generator.integers(0, classes, count)

    def weight(self, *shape: int, fan_in: int | None = None) -> np.ndarray:
        """Uniform on ±1/√fan_in, as PyTorch draws the weights of its layers."""
        bound = 1.0 / math.sqrt(fan_in or math.prod(shape[1:]))
        drawn = self.uniform(*shape)
        drawn -= 0.5
        drawn *= 2.0 * bound
        return drawn

    def layer(self, name: str, *shape: int) -> Arrays:
        """Weight and bias of a dense layer or a convolution."""
        fan_in = math.prod(shape[1:])
        return {
            f"{name}.weight": self.weight(*shape),
            f"{name}.bias": self.weight(shape[0], fan_in=fan_in),
        }


def _dense(n: int, features: int, out: int, input_gradient: bool = True) -> list[Product]:
    """Products of a dense layer: forward, gradient of the weight, gradient of the input."""
    products = [(n, features, out, 1), (out, n, features, 1)]
    return products + [(n, out, features, 1)] * input_gradient


def _conv(c: int, f: int, taps: int, positions: int, input_gradient: bool = True) -> list[Product]:
    """The same of a convolution: columns are (c·taps, positions), positions over the batch."""
    products = [(f, c * taps, positions, 1), (f, positions, c * taps, 1)]
    return products + [(c * taps, f, positions, 1)] * input_gradient


# ---------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------


def mlp(batch: int = 128, width: int = 256) -> Workload:
    """fc1, fc2, fc3 with ReLU between; data x, labels."""
    sizes = (784, width, width // 2, 10)

    def make() -> Arrays:
        draw = _Draw()
        arrays = {"x": draw.uniform(batch, 784), "labels": draw.labels(batch, 10)}
        for i in range(3):
            arrays |= draw.layer(f"fc{i + 1}", sizes[i + 1], sizes[i])
        return arrays

    products = [p for i in range(3) for p in _dense(batch, sizes[i], sizes[i + 1], i > 0)]
    title = f"MLP 784-{width}-{width // 2}-10, batch {batch}, cross-entropy, Adam"
    return Workload("mlp", title, make, tuple(products), {"lr": 1e-3})


def lenet(batch: int = 128, size: int = 28, width: int = 1) -> Workload:
    """conv1 (padding 2), conv2, fc1, fc2, fc3: ReLU after all but the last, a 2×2 max pool after
    each convolution; data x, labels."""
    c1, c2 = 6 * width, 16 * width
    first, second = size, size // 2 - 4
    flat = c2 * (second // 2) ** 2

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.uniform(batch, 1, size, size),
            "labels": draw.labels(batch, 10),
            **draw.layer("conv1", c1, 1, 5, 5),
            **draw.layer("conv2", c2, c1, 5, 5),
            **draw.layer("fc1", 120, flat),
            **draw.layer("fc2", 84, 120),
            **draw.layer("fc3", 10, 84),
        }

    products = (
        *_conv(1, c1, 25, batch * first**2, False),
        *_conv(c1, c2, 25, batch * second**2),
        *_dense(batch, flat, 120),
        *_dense(batch, 120, 84),
        *_dense(batch, 84, 10),
    )
    title = f"LeNet, {size}² images, batch {batch}, cross-entropy, SGD with momentum"
    return Workload("lenet", title, make, products, {"lr": 0.01, "momentum": 0.9})


def cnn(batch: int = 64, size: int = 32, width: int = 32) -> Workload:
    """conv1, conv2, pool, conv3, conv4, pool, fc: 3×3, padding 1, ReLU after each convolution,
    2×2 max pools; data x, labels."""
    channels = (3, width, width, 2 * width, 2 * width)
    sides = (size, size, size // 2, size // 2)
    flat = 2 * width * (size // 4) ** 2

    def make() -> Arrays:
        draw = _Draw()
        arrays = {"x": draw.uniform(batch, 3, size, size), "labels": draw.labels(batch, 10)}
        for i in range(4):
            arrays |= draw.layer(f"conv{i + 1}", channels[i + 1], channels[i], 3, 3)
        return arrays | draw.layer("fc", 10, flat)

    products = [
        p
        for i, side in enumerate(sides)
        for p in _conv(channels[i], channels[i + 1], 9, batch * side**2, i > 0)
    ]
    products += _dense(batch, flat, 10)
    title = f"CNN of four 3×3 convolutions, 3×{size}² images, batch {batch}, Adam"
    return Workload("cnn", title, make, tuple(products), {"lr": 1e-3})


def dcgan(batch: int = 64, size: int = 28, width: int = 64) -> Workload:
    """A step of the discriminator on real images and on fakes that are cut off from the generator,
    then a step of the generator; the loss is the sum of all three binary cross-entropies.

    Generator: g.fc (no bias) to (2·width, size/4, size/4), g.bn1, ReLU, transposed g.conv1 (k4 s2
    p1, no bias), g.bn2, ReLU, transposed g.conv2 (k4 s2 p1), tanh. Discriminator: d.conv1 (k4 s2
    p1), leaky ReLU 0.2, d.conv2 (k4 s2 p1, no bias), d.bn, leaky ReLU 0.2, d.fc. Batch norms in
    training mode. Data x (in −1 … 1), noise.

    The fakes are generated once; the generator's step does not ask for gradients of the
    discriminator's weights.
    """
    side = size // 4
    flat = 2 * width * side**2

    def make() -> Arrays:
        draw = _Draw()

        def small(*shape: int) -> np.ndarray:
            return 0.02 * draw.normal(*shape)

        def batch_norm(name: str, channels: int) -> Arrays:
            return {
                f"{name}.weight": 1.0 + small(channels),
                f"{name}.bias": np.zeros(channels, np.float32),
            }

        return {
            "x": 2.0 * draw.uniform(batch, 1, size, size) - 1.0,
            "noise": draw.normal(batch, 100),
            "g.fc.weight": small(flat, 100),
            **batch_norm("g.bn1", 2 * width),
            "g.conv1.weight": small(2 * width, width, 4, 4),
            **batch_norm("g.bn2", width),
            "g.conv2.weight": small(width, 1, 4, 4),
            "g.conv2.bias": small(1),
            "d.conv1.weight": small(width, 1, 4, 4),
            "d.conv1.bias": small(width),
            "d.conv2.weight": small(2 * width, width, 4, 4),
            **batch_norm("d.bn", 2 * width),
            "d.fc.weight": small(1, flat),
            "d.fc.bias": small(1),
        }

    inner, outer = batch * side**2, 4 * batch * side**2
    forward = [
        (width, 16, outer, 1),
        (2 * width, 16 * width, inner, 1),
        (batch, flat, 1, 1),
    ]
    to_inputs = [(16 * width, 2 * width, inner, 1), (batch, 1, flat, 1)]
    to_weights = [
        (width, outer, 16, 1),
        (2 * width, inner, 16 * width, 1),
        (1, batch, flat, 1),
    ]
    generator = [
        (batch, 100, flat, 1),
        (16 * width, 2 * width, inner, 1),
        (16, width, outer, 1),
        (flat, batch, 100, 1),
        (2 * width, 16 * width, inner, 1),
        (2 * width, inner, 16 * width, 1),
        (width, 16, outer, 1),
        (width, outer, 16, 1),
    ]
    discriminator = 3 * forward + 3 * to_inputs + 2 * to_weights + [(16, width, outer, 1)]
    title = f"DCGAN, {size}² images, batch {batch}: both networks' steps, Adam"
    settings = {"lr": 2e-4, "betas": (0.5, 0.999), "slope": 0.2, "eps": 1e-5}
    return Workload("dcgan", title, make, tuple(generator + discriminator), settings)


def vae(batch: int = 128, width: int = 400) -> Workload:
    """encoder, ReLU, then mean and log_variance; z = mean + noise · exp(log_variance / 2); decoder,
    ReLU, out. The loss is the sum over the batch of the binary cross-entropy with logits and of
    −½ Σ (1 + log_variance − mean² − exp(log_variance)). Data x (in 0 … 1), noise."""

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.uniform(batch, 784),
            "noise": draw.normal(batch, 20),
            **draw.layer("encoder", width, 784),
            **draw.layer("mean", 20, width),
            **draw.layer("log_variance", 20, width),
            **draw.layer("decoder", width, 20),
            **draw.layer("out", 784, width),
        }

    products = (
        *_dense(batch, 784, width, False),
        *_dense(batch, width, 20),
        *_dense(batch, width, 20),
        *_dense(batch, 20, width),
        *_dense(batch, width, 784),
    )
    title = f"VAE 784-{width}-20-{width}-784, batch {batch}, Adam"
    return Workload("vae", title, make, products, {"lr": 1e-3})


def rbm(batch: int = 100, width: int = 500) -> Workload:
    """One step of contrastive divergence, CD-1, with σ the logistic function:

        p = σ(x wᵀ + hidden_bias), h = 1 where uniform < p, else 0,
        r = σ(h w + visible_bias), q = σ(r wᵀ + hidden_bias),
        w += lr (pᵀ x − qᵀ r) / n, hidden_bias += lr mean(p − q), visible_bias += lr mean(x − r).

    Nothing is recorded for a gradient; the loss is mean((x − r)²). Arrays rbm.weight (hidden,
    visible), rbm.hidden_bias, rbm.visible_bias; data x (zeros and ones), uniform (n, hidden), the
    first numbers of a NumPy generator of the setting `seed`, for a program that draws its own.
    """

    seed = 1

    def make() -> Arrays:
        draw = _Draw()
        seeded = np.random.default_rng(seed)
        return {
            "x": (draw.uniform(batch, 784) < 0.2).astype(np.float32),
            "uniform": seeded.random((batch, width), dtype=np.float32),
            "rbm.weight": 0.1 * draw.normal(width, 784),
            "rbm.hidden_bias": np.zeros(width, np.float32),
            "rbm.visible_bias": np.zeros(784, np.float32),
        }

    products = ((batch, 784, width, 2), (batch, width, 784, 1), (width, batch, 784, 2))
    title = f"RBM 784 × {width}, CD-1, batch {batch}, SGD"
    return Workload("rbm", title, make, products, {"lr": 0.1, "seed": seed})


def lstm(batch: int = 128, width: int = 128) -> Workload:
    """lstm over the rows of images, then fc of its last output; cross-entropy. Data x (28 steps,
    batch, 28), labels. Gates in the order i, f, g, o; two biases, as PyTorch has them."""
    steps = 28

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.uniform(steps, batch, 28),
            "labels": draw.labels(batch, 10),
            "lstm.weight_ih_l0": draw.weight(4 * width, 28, fan_in=width),
            "lstm.weight_hh_l0": draw.weight(4 * width, width),
            "lstm.bias_ih_l0": draw.weight(4 * width, fan_in=width),
            "lstm.bias_hh_l0": draw.weight(4 * width, fan_in=width),
            **draw.layer("fc", 10, width),
        }

    # The first state is zero: it takes part in no product, nor does its gradient.
    products = (
        (steps * batch, 28, 4 * width, 1),
        (batch, width, 4 * width, steps - 1),
        (batch, 4 * width, width, steps - 1),
        (4 * width, steps * batch, 28, 1),
        (4 * width, (steps - 1) * batch, width, 1),
        *_dense(batch, width, 10),
    )
    title = f"LSTM, 28 steps of 28, hidden {width}, batch {batch}, Adam"
    return Workload("lstm", title, make, products, {"lr": 1e-3})


def alexnet(batch: int = 8, size: int = 224, width: int = 64) -> Workload:
    """conv1 (k11 s4 p2), pool, conv2 (k5 p2), pool, conv3, conv4, conv5 (k3 p1), pool, fc1, fc2,
    fc3: ReLU after all but the last, 3×3 max pools with stride 2. torchvision's layout, without its
    dropout and without its adaptive pool, which changes nothing at 224². Data x, labels."""
    shapes = [
        (width, 3, 11, 11),
        (3 * width, width, 5, 5),
        (6 * width, 3 * width, 3, 3),
        (4 * width, 6 * width, 3, 3),
        (4 * width, 4 * width, 3, 3),
    ]
    first = (size - 7) // 4 + 1
    second = (first - 3) // 2 + 1
    third = (second - 3) // 2 + 1
    last = (third - 3) // 2 + 1
    sides = (first, second, third, third, third)
    dense = (4 * width * last**2, 64 * width, 64 * width, 1000)

    def make() -> Arrays:
        draw = _Draw()
        arrays = {"x": draw.normal(batch, 3, size, size), "labels": draw.labels(batch, 1000)}
        for i, shape in enumerate(shapes):
            arrays |= draw.layer(f"conv{i + 1}", *shape)
        for i in range(3):
            arrays |= draw.layer(f"fc{i + 1}", dense[i + 1], dense[i])
        return arrays

    products = []
    for (f, c, k, _), side in zip(shapes, sides, strict=True):
        products += _conv(c, f, k * k, batch * side**2, c != 3)
    for i in range(3):
        products += _dense(batch, dense[i], dense[i + 1])
    title = f"AlexNet, 3×{size}² images, 1,000 classes, batch {batch}, SGD with momentum"
    return Workload("alexnet", title, make, tuple(products), {"lr": 0.01, "momentum": 0.9})


def tiny(batch: int = 4, width: int = 8) -> Workload:
    """fc1, tanh, fc2; mean binary cross-entropy with logits; XOR. Data x (n, 2), y (n, 1)."""

    def make() -> Arrays:
        draw = _Draw()
        table = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
        x = np.resize(table, (batch, 2))
        return {
            "x": x,
            "y": (x[:, :1] != x[:, 1:]).astype(np.float32),
            **draw.layer("fc1", width, 2),
            **draw.layer("fc2", 1, width),
        }

    products = (*_dense(batch, 2, width, False), *_dense(batch, width, 1))
    title = f"XOR network 2-{width}-1, batch {batch}, SGD: the cost of everything but arithmetic"
    return Workload("tiny", title, make, products, {"lr": 0.1})


def chain(rounds: int = 500) -> Workload:
    """y = x, then `rounds` times y = tanh(y · a + b) · c: four operations each; the loss is Σ y,
    and its gradient goes to x alone. Data x, a, b, c of 16 numbers."""

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.normal(16),
            "a": 1.5 + 0.1 * draw.normal(16),
            "b": 0.1 * draw.normal(16),
            "c": 1.0 + 0.1 * draw.normal(16),
        }

    title = f"a chain of {4 * rounds:,} elementwise operations on 16 numbers"
    return Workload("chain", title, make, (), {"rounds": rounds})


# ---------------------------------------------------------------------------------------------
# Single operations: forward, and backward from a given cotangent g to all inputs
# ---------------------------------------------------------------------------------------------


def conv(
    name: str,
    channels: tuple[int, int],
    size: int,
    kernel: int,
    batch: int,
    stride: int = 1,
    padding: int = 0,
    axes: int = 2,
    input_gradient: bool = True,
    width: float = 1.0,
) -> Workload:
    """A convolution without bias: x, weight (f, c, *kernel), g.

    One without a gradient for its input is the first of a network: `width` leaves its c alone.
    """
    c, f = round(channels[0] * width) if input_gradient else channels[0], round(channels[1] * width)
    out = (size + 2 * padding - kernel) // stride + 1

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.normal(batch, c, *(size,) * axes),
            "weight": draw.weight(f, c, *(kernel,) * axes),
            "g": draw.normal(batch, f, *(out,) * axes),
        }

    products = tuple(_conv(c, f, kernel**axes, batch * out**axes, input_gradient))
    exponent = "²³"[axes - 2]
    title = f"convolution {c}→{f}, {size}{exponent}, kernel {kernel}, stride {stride}, "
    title += f"padding {padding}, batch {batch}" + ", no input gradient" * (not input_gradient)
    settings = {"stride": stride, "padding": padding, "input_gradient": input_gradient}
    return Workload(name, title, make, products, settings)


def conv_transpose(batch: int = 64, size: int = 7, width: int = 64) -> Workload:
    """A transposed convolution k4 s2 p1 without bias: x, weight (c, f, 4, 4), g."""
    c, f = 2 * width, width

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.normal(batch, c, size, size),
            "weight": draw.weight(c, f, 4, 4),
            "g": draw.normal(batch, f, 2 * size, 2 * size),
        }

    products = tuple(_conv(f, c, 16, batch * size**2))
    title = f"transposed convolution {c}→{f}, {size}²→{2 * size}², kernel 4, stride 2, "
    title += f"padding 1, batch {batch}"
    return Workload("conv_transpose", title, make, products, {"stride": 2, "padding": 1})


def max_pool(batch: int = 64, size: int = 32, width: int = 32) -> Workload:
    """2×2 max pooling: x, g."""

    def make() -> Arrays:
        draw = _Draw()
        x = draw.normal(batch, width, size, size)
        return {"x": x, "g": draw.normal(batch, width, size // 2, size // 2)}

    title = f"2×2 max pool of ({batch}, {width}, {size}, {size})"
    return Workload("max_pool", title, make, (), {"kernel": 2})


def batch_norm(batch: int = 64, size: int = 32, width: int = 32) -> Workload:
    """Batch norm over the batch and the image, in training: x, weight, bias, g."""

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.normal(batch, width, size, size),
            "weight": 1.0 + 0.1 * draw.normal(width),
            "bias": 0.1 * draw.normal(width),
            "g": draw.normal(batch, width, size, size),
        }

    title = f"batch norm of ({batch}, {width}, {size}, {size}) in training"
    return Workload("batch_norm", title, make, (), {"eps": 1e-5})


def softmax_ce(batch: int = 256, width: int = 1000) -> Workload:
    """The mean cross-entropy of logits x with labels."""

    def make() -> Arrays:
        draw = _Draw()
        return {"x": draw.normal(batch, width), "labels": draw.labels(batch, width)}

    return Workload("softmax_ce", f"softmax and cross-entropy of ({batch}, {width})", make)


def layer_norm(batch: int = 256, width: int = 512) -> Workload:
    """Layer norm over the last axis: x, weight, bias, g."""

    def make() -> Arrays:
        draw = _Draw()
        return {
            "x": draw.normal(batch, width),
            "weight": 1.0 + 0.1 * draw.normal(width),
            "bias": 0.1 * draw.normal(width),
            "g": draw.normal(batch, width),
        }

    return Workload("layer_norm", f"layer norm of ({batch}, {width})", make, (), {"eps": 1e-5})


_CONVOLUTIONS: dict[str, dict[str, Any]] = {
    "conv64": {"channels": (64, 64), "size": 56, "kernel": 3, "batch": 32, "padding": 1},
    "conv7": {
        "channels": (3, 64),
        "size": 224,
        "kernel": 7,
        "batch": 4,
        "stride": 2,
        "padding": 3,
        "input_gradient": False,
    },
    "conv1": {"channels": (64, 256), "size": 56, "kernel": 1, "batch": 16},
    "conv5": {"channels": (16, 32), "size": 14, "kernel": 5, "batch": 32, "padding": 2},
    "conv_stride": {
        "channels": (64, 128),
        "size": 14,
        "kernel": 4,
        "batch": 64,
        "stride": 2,
        "padding": 1,
    },
    "conv_wide": {"channels": (32, 32), "size": 32, "kernel": 3, "batch": 64, "padding": 1},
    "conv3d": {"channels": (8, 16), "size": 16, "kernel": 3, "batch": 8, "padding": 1, "axes": 3},
}


def _convolution(name: str) -> Callable[..., Workload]:
    return partial(conv, name=name, **_CONVOLUTIONS[name])


# What makes each workload; called without arguments, at the size that is measured.
FACTORIES: dict[str, Callable[..., Workload]] = {
    "mlp": mlp,
    "lenet": lenet,
    "cnn": cnn,
    "dcgan": dcgan,
    "vae": vae,
    "rbm": rbm,
    "lstm": lstm,
    "alexnet": alexnet,
    "tiny": tiny,
    "chain": chain,
    "conv64": _convolution("conv64"),
    "conv7": _convolution("conv7"),
    "conv1": _convolution("conv1"),
    "conv5": _convolution("conv5"),
    "conv_stride": _convolution("conv_stride"),
    "conv_wide": _convolution("conv_wide"),
    "conv_transpose": conv_transpose,
    "conv3d": _convolution("conv3d"),
    "max_pool": max_pool,
    "batch_norm": batch_norm,
    "softmax_ce": softmax_ce,
    "layer_norm": layer_norm,
}

WORKLOADS: dict[str, Workload] = {name: factory() for name, factory in FACTORIES.items()}
