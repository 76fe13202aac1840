"""HIPS autograd: NumPy programs and `value_and_grad`; everything above that is its users' to write.

Of several ways to write a thing in its own functions, each here was the fastest. A convolution is
a product with columns made of slices: `autograd.scipy.signal.convolve` takes 9 to 14 times as long.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import metadata
from itertools import product
from typing import Any

import autograd.numpy as np
import numpy as onp
from autograd import make_vjp, value_and_grad
from autograd.scipy.special import logsumexp

from benchmarks.workloads import Arrays, WeightedSum, Workload

NAME = "autograd"

Array = onp.ndarray
Step = Callable[[], Any]


def prepare(threads: int) -> None:
    """Nothing: NumPy's threads are the harness's affair."""


def version() -> str:
    return metadata.version("autograd")


# ---------------------------------------------------------------------------------------------
# Parameters, layers, losses, optimizers
# ---------------------------------------------------------------------------------------------


def parameters(arrays: Arrays) -> Arrays:
    """The arrays with dotted names; dense weights become (in, out)."""
    return {
        name: onp.array(array.T if array.ndim == 2 else array, order="C")
        for name, array in arrays.items()
        if "." in name
    }


def dense(p: Arrays, name: str, x: Array) -> Array:
    return np.dot(x, p[f"{name}.weight"]) + p[f"{name}.bias"]


def flatten(x: Array) -> Array:
    return np.reshape(x, (len(x), -1))


def relu(x: Array) -> Array:
    return x * (x > 0)


def leaky_relu(x: Array, slope: float) -> Array:
    return x * onp.where(x > 0, onp.float32(1.0), onp.float32(slope))


def sigmoid(x: Array) -> Array:
    return 0.5 * np.tanh(0.5 * x) + 0.5


def windows(x: Array, kernel: tuple[int, ...], stride: int) -> list[Array]:
    """For each tap of the kernel, the part of the images that it meets."""
    reach = [
        stride * ((size - taps) // stride) + 1
        for size, taps in zip(x.shape[2:], kernel, strict=True)
    ]
    return [
        x[(..., *(slice(i, i + r, stride) for i, r in zip(tap, reach, strict=True)))]
        for tap in product(*map(range, kernel))
    ]


def convolve(x: Array, w: Array, stride: int = 1, padding: int = 0) -> Array:
    axes = x.ndim - 2
    if padding:
        x = np.pad(x, ((0, 0), (0, 0)) + ((padding, padding),) * axes, "constant")
    columns = np.concatenate(windows(x, w.shape[2:], stride), axis=1)
    rows = np.reshape(np.moveaxis(w, 1, -1), (len(w), -1))
    return np.moveaxis(np.tensordot(rows, columns, axes=([1], [1])), 0, 1)


def convolve_transpose(x: Array, w: Array, stride: int, padding: int) -> Array:
    """The transpose of `convolve`, which is linear: its VJP, anywhere."""
    out = [
        stride * (size - 1) + taps - 2 * padding
        for size, taps in zip(x.shape[2:], w.shape[2:], strict=True)
    ]
    anywhere = onp.zeros((len(x), w.shape[1], *out), x.dtype)
    transpose, _ = make_vjp(lambda y: convolve(y, w, stride, padding))(anywhere)
    return transpose(x)


def conv(p: Arrays, name: str, x: Array, stride: int = 1, padding: int = 0) -> Array:
    y = convolve(x, p[f"{name}.weight"], stride, padding)
    return y + np.reshape(p[f"{name}.bias"], (-1, 1, 1))


def max_pool(x: Array, size: int, stride: int) -> Array:
    if size == stride:
        n, c, h, w = x.shape
        tiles = np.reshape(x, (n, c, h // size, size, w // size, size))
        return np.max(tiles, axis=(3, 5))
    first, *others = windows(x, (size, size), stride)
    for other in others:
        first = np.maximum(first, other)
    return first


def batch_norm(x: Array, weight: Array, bias: Array, eps: float) -> Array:
    mean = np.mean(x, axis=(0, 2, 3), keepdims=True)
    var = np.var(x, axis=(0, 2, 3), keepdims=True)
    scale = np.reshape(weight, (-1, 1, 1)) / np.sqrt(var + eps)
    return x * scale + (np.reshape(bias, (-1, 1, 1)) - mean * scale)


def cross_entropy(logits: Array, targets: Array) -> Array:
    """With one-hot targets."""
    return (np.sum(logsumexp(logits, axis=1)) - np.sum(logits * targets)) / len(targets)


def binary_cross_entropy(logits: Array, targets: Array | float) -> Array:
    return relu(logits) - logits * targets + np.log1p(np.exp(-np.abs(logits)))


def sgd(p: Arrays, lr: float, momentum: float = 0.0) -> Callable[[Arrays], None]:
    velocities = {name: onp.zeros_like(array) for name, array in p.items()}

    def update(gradients: Arrays) -> None:
        for name, g in gradients.items():
            if momentum:
                velocity = velocities[name]
                velocity *= momentum
                velocity += g
                p[name] -= lr * velocity
            else:
                p[name] -= lr * g

    return update


def adam(
    p: Arrays, lr: float, betas: tuple[float, float] = (0.9, 0.999)
) -> Callable[[Arrays], None]:
    (beta1, beta2), eps = betas, 1e-8
    means = {name: onp.zeros_like(array) for name, array in p.items()}
    squares = {name: onp.zeros_like(array) for name, array in p.items()}
    t = 0

    def update(gradients: Arrays) -> None:
        nonlocal t
        t += 1
        correction = math.sqrt(1.0 - beta2**t)
        rate = lr * correction / (1.0 - beta1**t)
        for name, g in gradients.items():
            m, v = means[name], squares[name]
            m *= beta1
            m += (1.0 - beta1) * g
            v *= beta2
            v += (1.0 - beta2) * g * g
            p[name] -= rate * m / (onp.sqrt(v) + eps * correction)

    return update


# ---------------------------------------------------------------------------------------------
# Training steps
# ---------------------------------------------------------------------------------------------


def train(loss: Callable[[Arrays], Array], p: Arrays, update: Callable[[Arrays], None]) -> Step:
    both = value_and_grad(loss)

    def step() -> Array:
        value, gradients = both(p)
        update(gradients)
        return value

    return step


def one_hot(labels: Array, classes: int) -> Array:
    return onp.eye(classes, dtype=onp.float32)[labels]


def mlp(workload: Workload, arrays: Arrays) -> Step:
    p, x, targets = parameters(arrays), arrays["x"], one_hot(arrays["labels"], 10)

    def loss(p: Arrays) -> Array:
        h = relu(dense(p, "fc1", x))
        h = relu(dense(p, "fc2", h))
        return cross_entropy(dense(p, "fc3", h), targets)

    return train(loss, p, adam(p, workload.settings["lr"]))


def lenet(workload: Workload, arrays: Arrays) -> Step:
    p, x, targets = parameters(arrays), arrays["x"], one_hot(arrays["labels"], 10)

    def loss(p: Arrays) -> Array:
        h = max_pool(relu(conv(p, "conv1", x, padding=2)), 2, 2)
        h = max_pool(relu(conv(p, "conv2", h)), 2, 2)
        h = relu(dense(p, "fc1", flatten(h)))
        h = relu(dense(p, "fc2", h))
        return cross_entropy(dense(p, "fc3", h), targets)

    return train(loss, p, sgd(p, **workload.settings))


def cnn(workload: Workload, arrays: Arrays) -> Step:
    p, x, targets = parameters(arrays), arrays["x"], one_hot(arrays["labels"], 10)

    def loss(p: Arrays) -> Array:
        h = relu(conv(p, "conv1", x, padding=1))
        h = max_pool(relu(conv(p, "conv2", h, padding=1)), 2, 2)
        h = relu(conv(p, "conv3", h, padding=1))
        h = max_pool(relu(conv(p, "conv4", h, padding=1)), 2, 2)
        return cross_entropy(dense(p, "fc", flatten(h)), targets)

    return train(loss, p, adam(p, workload.settings["lr"]))


def dcgan(workload: Workload, arrays: Arrays) -> Step:
    settings = workload.settings
    x, noise = arrays["x"], arrays["noise"]
    image = -1, len(arrays["g.bn1.weight"]), x.shape[-2] // 4, x.shape[-1] // 4
    p = parameters(arrays)
    g = {name: array for name, array in p.items() if name.startswith("g.")}
    d = {name: array for name, array in p.items() if name.startswith("d.")}

    def norm(p: Arrays, name: str, x: Array) -> Array:
        return batch_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], settings["eps"])

    def generate(g: Arrays) -> Array:
        h = np.reshape(np.dot(noise, g["g.fc.weight"]), image)
        h = relu(norm(g, "g.bn1", h))
        h = relu(norm(g, "g.bn2", convolve_transpose(h, g["g.conv1.weight"], 2, 1)))
        return np.tanh(convolve_transpose(h, g["g.conv2.weight"], 2, 1) + g["g.conv2.bias"])

    def discriminate(d: Arrays, x: Array) -> Array:
        h = leaky_relu(conv(d, "d.conv1", x, 2, 1), settings["slope"])
        h = norm(d, "d.bn", convolve(h, d["d.conv2.weight"], 2, 1))
        return dense(d, "d.fc", flatten(leaky_relu(h, settings["slope"])))

    def discriminator_loss(d: Arrays, fake: Array) -> Array:
        on_real = np.mean(binary_cross_entropy(discriminate(d, x), 1.0))
        return on_real + np.mean(binary_cross_entropy(discriminate(d, fake), 0.0))

    def generator_loss(fake: Array, d: Arrays) -> Array:
        return np.mean(binary_cross_entropy(discriminate(d, fake), 1.0))

    update_g = adam(g, settings["lr"], settings["betas"])
    update_d = adam(d, settings["lr"], settings["betas"])

    def step() -> Array:
        pull_back, fake = make_vjp(generate)(g)
        d_loss, gradients = value_and_grad(discriminator_loss)(d, fake)
        update_d(gradients)
        g_loss, cotangent = value_and_grad(generator_loss)(fake, d)
        update_g(pull_back(cotangent))
        return d_loss + g_loss

    return step


def vae(workload: Workload, arrays: Arrays) -> Step:
    p, x, noise = parameters(arrays), arrays["x"], arrays["noise"]

    def loss(p: Arrays) -> Array:
        h = relu(dense(p, "encoder", x))
        mean, log_variance = dense(p, "mean", h), dense(p, "log_variance", h)
        z = mean + noise * np.exp(0.5 * log_variance)
        logits = dense(p, "out", relu(dense(p, "decoder", z)))
        divergence = -0.5 * np.sum(1.0 + log_variance - mean**2 - np.exp(log_variance))
        return np.sum(binary_cross_entropy(logits, x)) + divergence

    return train(loss, p, adam(p, workload.settings["lr"]))


def lstm(workload: Workload, arrays: Arrays) -> Step:
    p, x, targets = parameters(arrays), arrays["x"], one_hot(arrays["labels"], 10)
    units = arrays["lstm.weight_hh_l0"].shape[1]

    def loss(p: Arrays) -> Array:
        bias = p["lstm.bias_ih_l0"] + p["lstm.bias_hh_l0"]
        c = h = onp.zeros((x.shape[1], units), x.dtype)
        for row in x:
            products = np.dot(row, p["lstm.weight_ih_l0"]) + np.dot(h, p["lstm.weight_hh_l0"])
            i, f, g, o = np.split(products + bias, 4, axis=1)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        return cross_entropy(dense(p, "fc", h), targets)

    return train(loss, p, adam(p, workload.settings["lr"]))


def alexnet(workload: Workload, arrays: Arrays) -> Step:
    p, x, targets = parameters(arrays), arrays["x"], one_hot(arrays["labels"], 1000)

    def loss(p: Arrays) -> Array:
        h = max_pool(relu(conv(p, "conv1", x, 4, 2)), 3, 2)
        h = max_pool(relu(conv(p, "conv2", h, 1, 2)), 3, 2)
        h = relu(conv(p, "conv3", h, 1, 1))
        h = relu(conv(p, "conv4", h, 1, 1))
        h = max_pool(relu(conv(p, "conv5", h, 1, 1)), 3, 2)
        h = relu(dense(p, "fc1", flatten(h)))
        h = relu(dense(p, "fc2", h))
        return cross_entropy(dense(p, "fc3", h), targets)

    return train(loss, p, sgd(p, **workload.settings))


def tiny(workload: Workload, arrays: Arrays) -> Step:
    p, x, y = parameters(arrays), arrays["x"], arrays["y"]

    def loss(p: Arrays) -> Array:
        logits = dense(p, "fc2", np.tanh(dense(p, "fc1", x)))
        return np.mean(binary_cross_entropy(logits, y))

    return train(loss, p, sgd(p, workload.settings["lr"]))


def chain(workload: Workload, arrays: Arrays) -> Step:
    x, a, b, c = (arrays[name] for name in "xabc")

    def loss(y: Array) -> Array:
        for _ in range(workload.settings["rounds"]):
            y = np.tanh(y * a + b) * c
        return np.sum(y)

    both = value_and_grad(loss)
    return lambda: both(x)[0]


# ---------------------------------------------------------------------------------------------
# Single operations
# ---------------------------------------------------------------------------------------------


def single(operation: Callable[..., Array], g: Array, *inputs: Array) -> Step:
    """Forward, and back from g to all inputs."""
    forward = make_vjp(lambda inputs: operation(*inputs))

    def step() -> WeightedSum:
        pull_back, y = forward(inputs)
        pull_back(g)
        return WeightedSum(y, g)

    return step


def convolution(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, weight, g = (arrays[name] for name in ("x", "weight", "g"))
    if workload.settings["input_gradient"]:
        return single(lambda x, w: convolve(x, w, stride, padding), g, x, weight)
    return single(lambda w: convolve(x, w, stride, padding), g, weight)


def conv_transpose(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, weight, g = (arrays[name] for name in ("x", "weight", "g"))
    return single(lambda x, w: convolve_transpose(x, w, stride, padding), g, x, weight)


def max_pooling(workload: Workload, arrays: Arrays) -> Step:
    kernel = workload.settings["kernel"]
    return single(lambda x: max_pool(x, kernel, kernel), arrays["g"], arrays["x"])


def batch_normalization(workload: Workload, arrays: Arrays) -> Step:
    x, weight, bias, g = (arrays[name] for name in ("x", "weight", "bias", "g"))
    eps = workload.settings["eps"]
    return single(lambda *inputs: batch_norm(*inputs, eps), g, x, weight, bias)


def layer_norm(workload: Workload, arrays: Arrays) -> Step:
    x, weight, bias, g = (arrays[name] for name in ("x", "weight", "bias", "g"))
    eps = workload.settings["eps"]

    def normalize(x: Array, weight: Array, bias: Array) -> Array:
        mean = np.mean(x, axis=1, keepdims=True)
        var = np.var(x, axis=1, keepdims=True)
        return (x - mean) / np.sqrt(var + eps) * weight + bias

    return single(normalize, g, x, weight, bias)


def softmax_ce(workload: Workload, arrays: Arrays) -> Step:
    x = arrays["x"]
    targets = one_hot(arrays["labels"], x.shape[1])
    both = value_and_grad(cross_entropy)
    return lambda: both(x, targets)[0]


STEPS: dict[str, Callable[[Workload, Arrays], Step]] = {
    "mlp": mlp,
    "lenet": lenet,
    "cnn": cnn,
    "dcgan": dcgan,
    "vae": vae,
    "lstm": lstm,
    "alexnet": alexnet,
    "tiny": tiny,
    "chain": chain,
    "conv64": convolution,
    "conv7": convolution,
    "conv1": convolution,
    "conv5": convolution,
    "conv_stride": convolution,
    "conv_wide": convolution,
    "conv_transpose": conv_transpose,
    "conv3d": convolution,
    "max_pool": max_pooling,
    "batch_norm": batch_normalization,
    "softmax_ce": softmax_ce,
    "layer_norm": layer_norm,
}
