"""MyGrad: tensors and `mygrad.nnet`; the optimizers, which it leaves to its users, in NumPy.

It has no transposed convolution. Constants are np.float32: Python's numbers would make float64 of
what they meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import mygrad as mg
import numpy as np
from mygrad import Tensor, nnet

from benchmarks.workloads import Arrays, WeightedSum, Workload

NAME = "mygrad"

Step = Callable[[], Any]
Parameters = dict[str, Tensor]


def prepare(threads: int) -> None:
    mg.turn_memory_guarding_off()  # as its guide advises for speed


def version() -> str:
    return mg.__version__


# ---------------------------------------------------------------------------------------------
# Parameters, layers, losses, optimizers
# ---------------------------------------------------------------------------------------------


def parameters(arrays: Arrays) -> Parameters:
    """The arrays with dotted names: dense weights as (in, out), biases of images as (f, 1, 1)."""

    def convert(name: str, array: np.ndarray) -> np.ndarray:
        if name.startswith("conv") and name.endswith("bias"):
            array = array[:, None, None]
        return np.array(array.T if array.ndim == 2 else array, order="C")

    return {name: mg.tensor(convert(name, array)) for name, array in arrays.items() if "." in name}


def dense(p: Parameters, name: str, x: Any) -> Tensor:
    return mg.matmul(x, p[f"{name}.weight"]) + p[f"{name}.bias"]


def conv(p: Parameters, name: str, x: Any, stride: int = 1, padding: int = 0) -> Tensor:
    y = nnet.conv_nd(x, p[f"{name}.weight"], stride=stride, padding=padding)
    return y + p[f"{name}.bias"]


def padded(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    """Images padded beforehand: MyGrad refuses a window size that does not fit to the last pixel,
    so that what no window reaches is cut off."""
    size = x.shape[-1] + 2 * padding
    after = padding - (size - kernel) % stride
    return np.pad(x, ((0, 0), (0, 0), (padding, after), (padding, after)))


def binary_cross_entropy(logits: Tensor, targets: np.ndarray) -> Tensor:
    return mg.logaddexp(logits, np.float32(0.0)) - logits * targets


def sgd(parameters: Iterable[Tensor], lr: float, momentum: float = 0.0) -> Callable[[], None]:
    parameters = list(parameters)
    velocities = [np.zeros_like(p.data) for p in parameters]

    def update() -> None:
        for p, velocity in zip(parameters, velocities, strict=True):
            if momentum:
                velocity *= momentum
                velocity += p.grad
                p.data -= lr * velocity
            else:
                p.data -= lr * p.grad

    return update


def adam(parameters: Iterable[Tensor], lr: float) -> Callable[[], None]:
    beta1, beta2, eps = 0.9, 0.999, 1e-8
    parameters = list(parameters)
    means = [np.zeros_like(p.data) for p in parameters]
    squares = [np.zeros_like(p.data) for p in parameters]
    t = 0

    def update() -> None:
        nonlocal t
        t += 1
        correction = math.sqrt(1.0 - beta2**t)
        rate = lr * correction / (1.0 - beta1**t)
        for p, m, v in zip(parameters, means, squares, strict=True):
            g = p.grad
            m *= beta1
            m += (1.0 - beta1) * g
            v *= beta2
            v += (1.0 - beta2) * g * g
            p.data -= rate * m / (np.sqrt(v) + eps * correction)

    return update


# ---------------------------------------------------------------------------------------------
# Training steps
# ---------------------------------------------------------------------------------------------


def train(loss: Callable[[], Tensor], update: Callable[[], None]) -> Step:
    """Gradients need no zeroing: the next use of a tensor discards its gradient."""

    def step() -> np.ndarray:
        value = loss()
        value.backward()
        update()
        return value.data

    return step


def mlp(workload: Workload, arrays: Arrays) -> Step:
    p, x, labels = parameters(arrays), arrays["x"], arrays["labels"]

    def loss() -> Tensor:
        h = nnet.relu(dense(p, "fc1", x))
        h = nnet.relu(dense(p, "fc2", h))
        return nnet.softmax_crossentropy(dense(p, "fc3", h), labels)

    return train(loss, adam(p.values(), workload.settings["lr"]))


def lenet(workload: Workload, arrays: Arrays) -> Step:
    p, x, labels = parameters(arrays), arrays["x"], arrays["labels"]

    def loss() -> Tensor:
        h = nnet.max_pool(nnet.relu(conv(p, "conv1", x, padding=2)), (2, 2), 2)
        h = nnet.max_pool(nnet.relu(conv(p, "conv2", h)), (2, 2), 2)
        h = nnet.relu(dense(p, "fc1", h.reshape(len(h), -1)))
        h = nnet.relu(dense(p, "fc2", h))
        return nnet.softmax_crossentropy(dense(p, "fc3", h), labels)

    return train(loss, sgd(p.values(), **workload.settings))


def cnn(workload: Workload, arrays: Arrays) -> Step:
    p, x, labels = parameters(arrays), arrays["x"], arrays["labels"]

    def loss() -> Tensor:
        h = nnet.relu(conv(p, "conv1", x, padding=1))
        h = nnet.max_pool(nnet.relu(conv(p, "conv2", h, padding=1)), (2, 2), 2)
        h = nnet.relu(conv(p, "conv3", h, padding=1))
        h = nnet.max_pool(nnet.relu(conv(p, "conv4", h, padding=1)), (2, 2), 2)
        return nnet.softmax_crossentropy(dense(p, "fc", h.reshape(len(h), -1)), labels)

    return train(loss, adam(p.values(), workload.settings["lr"]))


def vae(workload: Workload, arrays: Arrays) -> Step:
    p, x, noise = parameters(arrays), arrays["x"], arrays["noise"]
    one, half = np.float32(1.0), np.float32(0.5)

    def loss() -> Tensor:
        h = nnet.relu(dense(p, "encoder", x))
        mean, log_variance = dense(p, "mean", h), dense(p, "log_variance", h)
        z = mean + noise * mg.exp(half * log_variance)
        logits = dense(p, "out", nnet.relu(dense(p, "decoder", z)))
        divergence = half * mg.sum(mg.exp(log_variance) + mean**2 - log_variance - one)
        return mg.sum(binary_cross_entropy(logits, x)) + divergence

    return train(loss, adam(p.values(), workload.settings["lr"]))


def lstm(workload: Workload, arrays: Arrays) -> Step:
    p, x, labels = parameters(arrays), arrays["x"], arrays["labels"]
    units = arrays["lstm.weight_hh_l0"].shape[1]
    gates = [np.s_[:, k * units : (k + 1) * units] for k in range(4)]

    def loss() -> Tensor:
        bias = p["lstm.bias_ih_l0"] + p["lstm.bias_hh_l0"]
        c = h = mg.zeros((x.shape[1], units), dtype=x.dtype, constant=True)
        for row in x:
            products = mg.matmul(row, p["lstm.weight_ih_l0"])
            products = products + mg.matmul(h, p["lstm.weight_hh_l0"]) + bias
            i, f, g, o = (products[gate] for gate in gates)
            c = nnet.sigmoid(f) * c + nnet.sigmoid(i) * mg.tanh(g)
            h = nnet.sigmoid(o) * mg.tanh(c)
        return nnet.softmax_crossentropy(dense(p, "fc", h), labels)

    return train(loss, adam(p.values(), workload.settings["lr"]))


def alexnet(workload: Workload, arrays: Arrays) -> Step:
    p, labels = parameters(arrays), arrays["labels"]
    x = padded(arrays["x"], 11, 4, 2)

    def loss() -> Tensor:
        h = nnet.max_pool(nnet.relu(conv(p, "conv1", x, stride=4)), (3, 3), 2)
        h = nnet.max_pool(nnet.relu(conv(p, "conv2", h, padding=2)), (3, 3), 2)
        h = nnet.relu(conv(p, "conv3", h, padding=1))
        h = nnet.relu(conv(p, "conv4", h, padding=1))
        h = nnet.max_pool(nnet.relu(conv(p, "conv5", h, padding=1)), (3, 3), 2)
        h = nnet.relu(dense(p, "fc1", h.reshape(len(h), -1)))
        h = nnet.relu(dense(p, "fc2", h))
        return nnet.softmax_crossentropy(dense(p, "fc3", h), labels)

    return train(loss, sgd(p.values(), **workload.settings))


def tiny(workload: Workload, arrays: Arrays) -> Step:
    p, x, y = parameters(arrays), arrays["x"], arrays["y"]

    def loss() -> Tensor:
        logits = dense(p, "fc2", mg.tanh(dense(p, "fc1", x)))
        return mg.mean(binary_cross_entropy(logits, y))

    return train(loss, sgd(p.values(), workload.settings["lr"]))


def chain(workload: Workload, arrays: Arrays) -> Step:
    x = mg.tensor(arrays["x"])
    a, b, c = (mg.tensor(arrays[name], constant=True) for name in "abc")

    def loss() -> Tensor:
        y = x
        for _ in range(workload.settings["rounds"]):
            y = mg.tanh(y * a + b) * c
        return mg.sum(y)

    return train(loss, lambda: None)


# ---------------------------------------------------------------------------------------------
# Single operations
# ---------------------------------------------------------------------------------------------


def single(operation: Callable[..., Tensor], g: np.ndarray, *inputs: np.ndarray) -> Step:
    """Forward, and back from g to all inputs."""
    tensors = [mg.tensor(array) for array in inputs]

    def step() -> WeightedSum:
        y = operation(*tensors)
        y.backward(g)
        return WeightedSum(y.data, g)

    return step


def convolution(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, weight, g = (arrays[name] for name in ("x", "weight", "g"))
    if workload.settings["input_gradient"]:
        return single(lambda x, w: nnet.conv_nd(x, w, stride=stride, padding=padding), g, x, weight)
    x = padded(x, weight.shape[-1], stride, padding)
    return single(lambda w: nnet.conv_nd(x, w, stride=stride), g, weight)


def max_pool(workload: Workload, arrays: Arrays) -> Step:
    kernel = workload.settings["kernel"]
    return single(lambda x: nnet.max_pool(x, (kernel, kernel), kernel), arrays["g"], arrays["x"])


def batch_norm(workload: Workload, arrays: Arrays) -> Step:
    x, weight, bias, g = (arrays[name] for name in ("x", "weight", "bias", "g"))
    eps = workload.settings["eps"]

    def normalize(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return nnet.batchnorm(x, gamma=weight, beta=bias, eps=eps)

    return single(normalize, g, x, weight, bias)


def layer_norm(workload: Workload, arrays: Arrays) -> Step:
    """The batch norm of the transpose, faster here than means and variances spelt out."""
    x, weight, bias, g = (arrays[name] for name in ("x", "weight", "bias", "g"))
    eps = workload.settings["eps"]

    def normalize(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return nnet.batchnorm(x.T, eps=eps).T * weight + bias

    return single(normalize, g, x, weight, bias)


def softmax_ce(workload: Workload, arrays: Arrays) -> Step:
    x, labels = mg.tensor(arrays["x"]), arrays["labels"]
    return train(lambda: nnet.softmax_crossentropy(x, labels), lambda: None)


STEPS: dict[str, Callable[[Workload, Arrays], Step]] = {
    "mlp": mlp,
    "lenet": lenet,
    "cnn": cnn,
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
    "conv3d": convolution,
    "max_pool": max_pool,
    "batch_norm": batch_norm,
    "softmax_ce": softmax_ce,
    "layer_norm": layer_norm,
}
