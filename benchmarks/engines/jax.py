"""JAX: one compiled function a step, to which the parameters and the optimizer's state are donated.

Images are NHWC and kernels HWIO, as Flax has them. The optimizers are those that JAX brings along.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax, nn
from jax.example_libraries import optimizers

from benchmarks.workloads import Arrays, WeightedSum, Workload

NAME = "jax"

Step = Callable[[], Any]
Parameters = dict[str, jax.Array]


def prepare(threads: int) -> None:
    # XLA reads the size of its thread pool from here when the first array is made.
    os.environ["NPROC"] = str(threads)
    jax.config.update("jax_platforms", "cpu")


def version() -> str:
    return jax.__version__


# ---------------------------------------------------------------------------------------------
# PyTorch's layouts to JAX's, once, before anything is timed
# ---------------------------------------------------------------------------------------------


def channels_last(x: np.ndarray) -> jax.Array:
    return jnp.array(np.moveaxis(x, 1, -1))


def hwio(weight: np.ndarray) -> np.ndarray:
    return np.moveaxis(weight, (0, 1), (-1, -2))


def flat_channels_last(flat: np.ndarray, channels: int) -> np.ndarray:
    """The last axis, a flattened (c, h, w) image, reordered to (h, w, c)."""
    images = flat.reshape(*flat.shape[:-1], channels, -1)
    return np.swapaxes(images, -1, -2).reshape(flat.shape)


def parameters(arrays: Arrays) -> Parameters:
    """The arrays with dotted names; dense weights become (in, out)."""

    def convert(array: np.ndarray) -> np.ndarray:
        return hwio(array) if array.ndim == 4 else array.T

    return {name: jnp.array(convert(array)) for name, array in arrays.items() if "." in name}


# ---------------------------------------------------------------------------------------------
# Layers and losses
# ---------------------------------------------------------------------------------------------


def dense(p: Parameters, name: str, x: jax.Array) -> jax.Array:
    return x @ p[f"{name}.weight"] + p[f"{name}.bias"]


def convolve(x: jax.Array, w: jax.Array, stride: int = 1, padding: int = 0) -> jax.Array:
    axes = x.ndim - 2
    layout = ("NHWC", "HWIO", "NHWC") if axes == 2 else ("NDHWC", "DHWIO", "NDHWC")
    around = [(padding, padding)] * axes
    return lax.conv_general_dilated(x, w, (stride,) * axes, around, dimension_numbers=layout)


def convolve_transpose(x: jax.Array, w: jax.Array, stride: int, padding: int) -> jax.Array:
    around = [(size - 1 - padding,) * 2 for size in w.shape[:2]]
    return lax.conv_transpose(x, w, (stride, stride), around, transpose_kernel=True)


def conv(p: Parameters, name: str, x: jax.Array, stride: int = 1, padding: int = 0) -> jax.Array:
    return convolve(x, p[f"{name}.weight"], stride, padding) + p[f"{name}.bias"]


def max_pool(x: jax.Array, size: int, stride: int) -> jax.Array:
    if size == stride:  # more than ten times as fast on a CPU as windows
        n, h, w, c = x.shape
        return x.reshape(n, h // size, size, w // size, size, c).max((2, 4))
    window, strides = (1, size, size, 1), (1, stride, stride, 1)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, "VALID")


def batch_norm(x: jax.Array, weight: jax.Array, bias: jax.Array, eps: float) -> jax.Array:
    axes = tuple(range(x.ndim - 1))
    scale = weight * lax.rsqrt(x.var(axes) + eps)
    return (x - x.mean(axes)) * scale + bias


def cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
    picked = jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
    return jnp.mean(nn.logsumexp(logits, axis=1) - picked)


def binary_cross_entropy(logits: jax.Array, targets: jax.Array | float) -> jax.Array:
    return nn.softplus(logits) - logits * targets


# ---------------------------------------------------------------------------------------------
# Training steps
# ---------------------------------------------------------------------------------------------


def train(
    loss: Callable[..., jax.Array], optimizer: optimizers.Optimizer, p: Parameters, *data: Any
) -> Step:
    @partial(jax.jit, donate_argnums=1)
    def update(i: jax.Array, state: Any, *data: jax.Array) -> tuple[Any, jax.Array]:
        value, gradients = jax.value_and_grad(loss)(optimizer.params_fn(state), *data)
        return optimizer.update_fn(i, gradients, state), value

    state = optimizer.init_fn(p)
    data = tuple(jnp.array(array) for array in data)
    count = 0

    def step() -> jax.Array:
        nonlocal state, count
        state, value = jax.block_until_ready(update(count, state, *data))
        count += 1
        return value

    return step


def classify(
    logits: Callable[[Parameters, jax.Array], jax.Array],
    optimizer: optimizers.Optimizer,
    p: Parameters,
    x: Any,
    labels: np.ndarray,
) -> Step:
    def loss(p: Parameters, x: jax.Array, labels: jax.Array) -> jax.Array:
        return cross_entropy(logits(p, x), labels)

    return train(loss, optimizer, p, x, labels)


def mlp(workload: Workload, arrays: Arrays) -> Step:
    def logits(p: Parameters, x: jax.Array) -> jax.Array:
        x = nn.relu(dense(p, "fc1", x))
        x = nn.relu(dense(p, "fc2", x))
        return dense(p, "fc3", x)

    optimizer = optimizers.adam(workload.settings["lr"])
    return classify(logits, optimizer, parameters(arrays), arrays["x"], arrays["labels"])


def lenet(workload: Workload, arrays: Arrays) -> Step:
    def logits(p: Parameters, x: jax.Array) -> jax.Array:
        x = max_pool(nn.relu(conv(p, "conv1", x, padding=2)), 2, 2)
        x = max_pool(nn.relu(conv(p, "conv2", x)), 2, 2)
        x = nn.relu(dense(p, "fc1", x.reshape(len(x), -1)))
        x = nn.relu(dense(p, "fc2", x))
        return dense(p, "fc3", x)

    channels = len(arrays["conv2.bias"])
    arrays = arrays | {"fc1.weight": flat_channels_last(arrays["fc1.weight"], channels)}
    optimizer = optimizers.momentum(workload.settings["lr"], workload.settings["momentum"])
    x = channels_last(arrays["x"])
    return classify(logits, optimizer, parameters(arrays), x, arrays["labels"])


def cnn(workload: Workload, arrays: Arrays) -> Step:
    def logits(p: Parameters, x: jax.Array) -> jax.Array:
        x = nn.relu(conv(p, "conv1", x, padding=1))
        x = max_pool(nn.relu(conv(p, "conv2", x, padding=1)), 2, 2)
        x = nn.relu(conv(p, "conv3", x, padding=1))
        x = max_pool(nn.relu(conv(p, "conv4", x, padding=1)), 2, 2)
        return dense(p, "fc", x.reshape(len(x), -1))

    channels = len(arrays["conv4.bias"])
    arrays = arrays | {"fc.weight": flat_channels_last(arrays["fc.weight"], channels)}
    optimizer = optimizers.adam(workload.settings["lr"])
    x = channels_last(arrays["x"])
    return classify(logits, optimizer, parameters(arrays), x, arrays["labels"])


def dcgan(workload: Workload, arrays: Arrays) -> Step:
    slope, eps = workload.settings["slope"], workload.settings["eps"]
    channels = len(arrays["g.bn1.weight"])
    side = arrays["x"].shape[-1] // 4

    def norm(p: Parameters, name: str, x: jax.Array) -> jax.Array:
        return batch_norm(x, p[f"{name}.weight"], p[f"{name}.bias"], eps)

    def generate(p: Parameters, noise: jax.Array) -> jax.Array:
        x = (noise @ p["g.fc.weight"]).reshape(-1, side, side, channels)
        x = nn.relu(norm(p, "g.bn1", x))
        x = nn.relu(norm(p, "g.bn2", convolve_transpose(x, p["g.conv1.weight"], 2, 1)))
        return jnp.tanh(convolve_transpose(x, p["g.conv2.weight"], 2, 1) + p["g.conv2.bias"])

    def discriminate(p: Parameters, x: jax.Array) -> jax.Array:
        x = nn.leaky_relu(conv(p, "d.conv1", x, 2, 1), slope)
        x = nn.leaky_relu(norm(p, "d.bn", convolve(x, p["d.conv2.weight"], 2, 1)), slope)
        return dense(p, "d.fc", x.reshape(len(x), -1))

    def discriminator_loss(p: Parameters, real: jax.Array, fake: jax.Array) -> jax.Array:
        on_real = binary_cross_entropy(discriminate(p, real), 1.0).mean()
        return on_real + binary_cross_entropy(discriminate(p, fake), 0.0).mean()

    def generator_loss(fake: jax.Array, p: Parameters) -> jax.Array:
        return binary_cross_entropy(discriminate(p, fake), 1.0).mean()

    adam = optimizers.adam(workload.settings["lr"], *workload.settings["betas"])

    @partial(jax.jit, donate_argnums=(1, 2))
    def update(i: jax.Array, g: Any, d: Any, x: jax.Array, noise: jax.Array) -> Any:
        fake, pull_back = jax.vjp(generate, adam.params_fn(g), noise)
        d_loss, gradients = jax.value_and_grad(discriminator_loss)(adam.params_fn(d), x, fake)
        d = adam.update_fn(i, gradients, d)
        g_loss, cotangent = jax.value_and_grad(generator_loss)(fake, adam.params_fn(d))
        g = adam.update_fn(i, pull_back(cotangent)[0], g)
        return g, d, d_loss + g_loss

    arrays = arrays | {
        "g.fc.weight": flat_channels_last(arrays["g.fc.weight"].T, channels).T,
        "d.fc.weight": flat_channels_last(arrays["d.fc.weight"], len(arrays["d.bn.weight"])),
    }
    p = parameters(arrays)
    g = adam.init_fn({name: array for name, array in p.items() if name.startswith("g.")})
    d = adam.init_fn({name: array for name, array in p.items() if name.startswith("d.")})
    x, noise = channels_last(arrays["x"]), jnp.array(arrays["noise"])
    count = 0

    def step() -> jax.Array:
        nonlocal g, d, count
        g, d, value = jax.block_until_ready(update(count, g, d, x, noise))
        count += 1
        return value

    return step


def vae(workload: Workload, arrays: Arrays) -> Step:
    def loss(p: Parameters, x: jax.Array, noise: jax.Array) -> jax.Array:
        h = nn.relu(dense(p, "encoder", x))
        mean, log_variance = dense(p, "mean", h), dense(p, "log_variance", h)
        z = mean + noise * jnp.exp(0.5 * log_variance)
        logits = dense(p, "out", nn.relu(dense(p, "decoder", z)))
        divergence = -0.5 * (1.0 + log_variance - mean**2 - jnp.exp(log_variance)).sum()
        return binary_cross_entropy(logits, x).sum() + divergence

    optimizer = optimizers.adam(workload.settings["lr"])
    return train(loss, optimizer, parameters(arrays), arrays["x"], arrays["noise"])


def rbm(workload: Workload, arrays: Arrays) -> Step:
    lr = workload.settings["lr"]

    @partial(jax.jit, donate_argnums=0)
    def update(state: Any, x: jax.Array, uniform: jax.Array) -> Any:
        w, hidden_bias, visible_bias = state
        p = nn.sigmoid(x @ w.T + hidden_bias)
        h = (uniform < p).astype(x.dtype)
        r = nn.sigmoid(h @ w + visible_bias)
        q = nn.sigmoid(r @ w.T + hidden_bias)
        w = w + lr / len(x) * (p.T @ x - q.T @ r)
        hidden_bias = hidden_bias + lr * (p - q).mean(0)
        visible_bias = visible_bias + lr * (x - r).mean(0)
        return (w, hidden_bias, visible_bias), ((x - r) ** 2).mean()

    state = tuple(
        jnp.array(arrays[f"rbm.{name}"]) for name in ("weight", "hidden_bias", "visible_bias")
    )
    x, uniform = jnp.array(arrays["x"]), jnp.array(arrays["uniform"])

    def step() -> jax.Array:
        nonlocal state
        state, value = jax.block_until_ready(update(state, x, uniform))
        return value

    return step


def lstm(workload: Workload, arrays: Arrays) -> Step:
    def logits(p: Parameters, x: jax.Array) -> jax.Array:
        def cell(carry: Any, projected: jax.Array) -> Any:
            h, c = carry
            gates = projected + h @ p["lstm.weight_hh_l0"]
            i, f, g, o = jnp.split(gates, 4, axis=1)
            c = nn.sigmoid(f) * c + nn.sigmoid(i) * jnp.tanh(g)
            h = nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), None

        projected = x @ p["lstm.weight_ih_l0"] + p["lstm.bias_ih_l0"] + p["lstm.bias_hh_l0"]
        zeros = jnp.zeros((x.shape[1], len(p["lstm.weight_hh_l0"])), x.dtype)
        (h, _), _ = lax.scan(cell, (zeros, zeros), projected)
        return dense(p, "fc", h)

    optimizer = optimizers.adam(workload.settings["lr"])
    return classify(logits, optimizer, parameters(arrays), arrays["x"], arrays["labels"])


def alexnet(workload: Workload, arrays: Arrays) -> Step:
    def logits(p: Parameters, x: jax.Array) -> jax.Array:
        x = max_pool(nn.relu(conv(p, "conv1", x, 4, 2)), 3, 2)
        x = max_pool(nn.relu(conv(p, "conv2", x, 1, 2)), 3, 2)
        x = nn.relu(conv(p, "conv3", x, 1, 1))
        x = nn.relu(conv(p, "conv4", x, 1, 1))
        x = max_pool(nn.relu(conv(p, "conv5", x, 1, 1)), 3, 2)
        x = nn.relu(dense(p, "fc1", x.reshape(len(x), -1)))
        x = nn.relu(dense(p, "fc2", x))
        return dense(p, "fc3", x)

    channels = len(arrays["conv5.bias"])
    arrays = arrays | {"fc1.weight": flat_channels_last(arrays["fc1.weight"], channels)}
    optimizer = optimizers.momentum(workload.settings["lr"], workload.settings["momentum"])
    x = channels_last(arrays["x"])
    return classify(logits, optimizer, parameters(arrays), x, arrays["labels"])


def tiny(workload: Workload, arrays: Arrays) -> Step:
    def loss(p: Parameters, x: jax.Array, y: jax.Array) -> jax.Array:
        logits = dense(p, "fc2", jnp.tanh(dense(p, "fc1", x)))
        return binary_cross_entropy(logits, y).mean()

    optimizer = optimizers.sgd(workload.settings["lr"])
    return train(loss, optimizer, parameters(arrays), arrays["x"], arrays["y"])


def chain(workload: Workload, arrays: Arrays) -> Step:
    def loss(x: jax.Array, a: jax.Array, b: jax.Array, c: jax.Array) -> jax.Array:
        def four(y: jax.Array, _: None) -> Any:
            return jnp.tanh(y * a + b) * c, None

        return lax.scan(four, x, length=workload.settings["rounds"])[0].sum()

    value_and_grad = jax.jit(jax.value_and_grad(loss))
    data = [jnp.array(arrays[name]) for name in "xabc"]
    return lambda: jax.block_until_ready(value_and_grad(*data))[0]


# ---------------------------------------------------------------------------------------------
# Single operations
# ---------------------------------------------------------------------------------------------


def single(operation: Callable[..., jax.Array], g: jax.Array, *inputs: Any) -> Step:
    """Forward, and back from g to all inputs."""

    @jax.jit
    def forward_and_backward(g: jax.Array, *inputs: jax.Array) -> Any:
        y, pull_back = jax.vjp(operation, *inputs)
        return y, pull_back(g)

    inputs = tuple(jnp.array(array) for array in inputs)

    def step() -> WeightedSum:
        y, _ = jax.block_until_ready(forward_and_backward(g, *inputs))
        return WeightedSum(y, g)

    return step


def convolution(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, g = channels_last(arrays["x"]), channels_last(arrays["g"])
    weight = hwio(arrays["weight"])
    if workload.settings["input_gradient"]:
        return single(lambda x, w: convolve(x, w, stride, padding), g, x, weight)
    return single(lambda w: convolve(x, w, stride, padding), g, weight)


def conv_transpose(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, g = channels_last(arrays["x"]), channels_last(arrays["g"])
    weight = hwio(arrays["weight"])
    return single(lambda x, w: convolve_transpose(x, w, stride, padding), g, x, weight)


def max_pooling(workload: Workload, arrays: Arrays) -> Step:
    kernel = workload.settings["kernel"]
    x, g = channels_last(arrays["x"]), channels_last(arrays["g"])
    return single(lambda x: max_pool(x, kernel, kernel), g, x)


def batch_normalization(workload: Workload, arrays: Arrays) -> Step:
    eps = workload.settings["eps"]
    x, g = channels_last(arrays["x"]), channels_last(arrays["g"])
    return single(lambda *inputs: batch_norm(*inputs, eps), g, x, arrays["weight"], arrays["bias"])


def layer_norm(workload: Workload, arrays: Arrays) -> Step:
    eps = workload.settings["eps"]

    def normalize(x: jax.Array, weight: jax.Array, bias: jax.Array) -> jax.Array:
        return nn.standardize(x, axis=1, epsilon=eps) * weight + bias

    g = jnp.array(arrays["g"])
    return single(normalize, g, arrays["x"], arrays["weight"], arrays["bias"])


def softmax_ce(workload: Workload, arrays: Arrays) -> Step:
    value_and_grad = jax.jit(jax.value_and_grad(cross_entropy))
    x, labels = jnp.array(arrays["x"]), jnp.array(arrays["labels"])
    return lambda: jax.block_until_ready(value_and_grad(x, labels))[0]


STEPS: dict[str, Callable[[Workload, Arrays], Step]] = {
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
