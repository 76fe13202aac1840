"""Chainer: its links, functions and optimizers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.workloads import Arrays, WeightedSum, Workload

# Chainer 7 was written for NumPy 1. Of the names that NumPy 2 took away it imports this one.
_SCTYPES = {"int": [np.int8, np.int16, np.int32, np.int64]}

with mock.patch.object(np, "sctypes", _SCTYPES, create=True), warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of numpy.distutils, which it imports
    import chainer
    import chainer.functions as F
    import chainer.links as L
    from chainer import optimizers

NAME = "chainer"

Step = Callable[[], Any]
Variable = chainer.Variable


def prepare(threads: int) -> None:
    chainer.config.type_check = False  # as its guide advises once a program runs


def version() -> str:
    return chainer.__version__


# ---------------------------------------------------------------------------------------------
# Links from arrays
# ---------------------------------------------------------------------------------------------


def initial(arrays: Arrays, name: str) -> dict[str, Any]:
    bias = arrays.get(f"{name}.bias")
    return {
        "initialW": arrays[f"{name}.weight"],
        "nobias": bias is None,
        "initial_bias": bias,
    }


def linear(arrays: Arrays, name: str) -> L.Linear:
    out, features = arrays[f"{name}.weight"].shape
    return L.Linear(features, out, **initial(arrays, name))


def conv(arrays: Arrays, name: str, stride: int = 1, pad: int = 0) -> L.Convolution2D:
    f, c, *kernel = arrays[f"{name}.weight"].shape
    return L.Convolution2D(c, f, tuple(kernel), stride, pad, **initial(arrays, name))


def deconv(arrays: Arrays, name: str, stride: int, pad: int) -> L.Deconvolution2D:
    c, f, *kernel = arrays[f"{name}.weight"].shape
    return L.Deconvolution2D(c, f, tuple(kernel), stride, pad, **initial(arrays, name))


def batch_norm(arrays: Arrays, name: str, eps: float) -> L.BatchNormalization:
    gamma, beta = arrays[f"{name}.weight"], arrays[f"{name}.bias"]
    return L.BatchNormalization(len(gamma), eps=eps, initial_gamma=gamma, initial_beta=beta)


def max_pool(x: Any, size: int, stride: int) -> Variable:
    return F.max_pooling_2d(x, size, stride, cover_all=False)


# ---------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------


class Mlp(chainer.Chain):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        with self.init_scope():
            self.fc1 = linear(arrays, "fc1")
            self.fc2 = linear(arrays, "fc2")
            self.fc3 = linear(arrays, "fc3")

    def forward(self, x: Any) -> Variable:
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class LeNet(chainer.Chain):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        with self.init_scope():
            self.conv1 = conv(arrays, "conv1", pad=2)
            self.conv2 = conv(arrays, "conv2")
            self.fc1 = linear(arrays, "fc1")
            self.fc2 = linear(arrays, "fc2")
            self.fc3 = linear(arrays, "fc3")

    def forward(self, x: Any) -> Variable:
        x = max_pool(F.relu(self.conv1(x)), 2, 2)
        x = max_pool(F.relu(self.conv2(x)), 2, 2)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Cnn(chainer.Chain):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        with self.init_scope():
            self.conv1 = conv(arrays, "conv1", pad=1)
            self.conv2 = conv(arrays, "conv2", pad=1)
            self.conv3 = conv(arrays, "conv3", pad=1)
            self.conv4 = conv(arrays, "conv4", pad=1)
            self.fc = linear(arrays, "fc")

    def forward(self, x: Any) -> Variable:
        x = F.relu(self.conv1(x))
        x = max_pool(F.relu(self.conv2(x)), 2, 2)
        x = F.relu(self.conv3(x))
        x = max_pool(F.relu(self.conv4(x)), 2, 2)
        return self.fc(x)


class Generator(chainer.Chain):
    def __init__(self, arrays: Arrays, eps: float) -> None:
        super().__init__()
        self.channels = len(arrays["g.bn1.weight"])
        self.side = arrays["x"].shape[-1] // 4
        with self.init_scope():
            self.fc = linear(arrays, "g.fc")
            self.bn1 = batch_norm(arrays, "g.bn1", eps)
            self.conv1 = deconv(arrays, "g.conv1", 2, 1)
            self.bn2 = batch_norm(arrays, "g.bn2", eps)
            self.conv2 = deconv(arrays, "g.conv2", 2, 1)

    def forward(self, noise: Any) -> Variable:
        x = F.reshape(self.fc(noise), (-1, self.channels, self.side, self.side))
        x = F.relu(self.bn1(x))
        x = F.relu(self.bn2(self.conv1(x)))
        return F.tanh(self.conv2(x))


class Discriminator(chainer.Chain):
    def __init__(self, arrays: Arrays, eps: float, slope: float) -> None:
        super().__init__()
        self.slope = slope
        with self.init_scope():
            self.conv1 = conv(arrays, "d.conv1", 2, 1)
            self.conv2 = conv(arrays, "d.conv2", 2, 1)
            self.bn = batch_norm(arrays, "d.bn", eps)
            self.fc = linear(arrays, "d.fc")

    def forward(self, x: Any) -> Variable:
        x = F.leaky_relu(self.conv1(x), self.slope)
        x = F.leaky_relu(self.bn(self.conv2(x)), self.slope)
        return self.fc(x)


class Vae(chainer.Chain):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        with self.init_scope():
            self.encoder = linear(arrays, "encoder")
            self.mean = linear(arrays, "mean")
            self.log_variance = linear(arrays, "log_variance")
            self.decoder = linear(arrays, "decoder")
            self.out = linear(arrays, "out")

    def forward(self, x: Any, noise: Any) -> Variable:
        h = F.relu(self.encoder(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + F.exp(0.5 * log_variance) * noise
        logits = self.out(F.relu(self.decoder(z)))
        return F.bernoulli_nll(x, logits) + F.gaussian_kl_divergence(mean, log_variance)


class LstmClassifier(chainer.Chain):
    """`F.lstm` takes the gates of each unit side by side, in the order g, i, f, o."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()

        def interleave(gates: np.ndarray) -> np.ndarray:
            i, f, g, o = np.split(gates, 4)
            return np.stack((g, i, f, o), axis=1).reshape(gates.shape)

        gates = {
            f"{kind}.{what}": interleave(arrays[f"lstm.{what}_{kind}_l0"])
            for kind in ("ih", "hh")
            for what in ("weight", "bias")
        }
        self.units = arrays["lstm.weight_hh_l0"].shape[1]
        with self.init_scope():
            self.upward = linear(gates, "ih")
            self.lateral = linear(gates, "hh")
            self.fc = linear(arrays, "fc")

    def forward(self, x: Any) -> Variable:
        c = h = np.zeros((x.shape[1], self.units), x.dtype)
        for row in x:
            c, h = F.lstm(c, self.upward(row) + self.lateral(h))
        return self.fc(h)


class AlexNet(chainer.Chain):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        with self.init_scope():
            self.conv1 = conv(arrays, "conv1", 4, 2)
            self.conv2 = conv(arrays, "conv2", 1, 2)
            self.conv3 = conv(arrays, "conv3", 1, 1)
            self.conv4 = conv(arrays, "conv4", 1, 1)
            self.conv5 = conv(arrays, "conv5", 1, 1)
            self.fc1 = linear(arrays, "fc1")
            self.fc2 = linear(arrays, "fc2")
            self.fc3 = linear(arrays, "fc3")

    def forward(self, x: Any) -> Variable:
        x = max_pool(F.relu(self.conv1(x)), 3, 2)
        x = max_pool(F.relu(self.conv2(x)), 3, 2)
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = max_pool(F.relu(self.conv5(x)), 3, 2)
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Tiny(chainer.Chain):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        with self.init_scope():
            self.fc1 = linear(arrays, "fc1")
            self.fc2 = linear(arrays, "fc2")

    def forward(self, x: Any) -> Variable:
        return self.fc2(F.tanh(self.fc1(x)))


# ---------------------------------------------------------------------------------------------
# Training steps
# ---------------------------------------------------------------------------------------------


def train(model: Any, optimizer: Any, loss: Callable[[], Variable]) -> Step:
    optimizer.setup(model)

    def step() -> np.ndarray:
        value = loss()
        model.cleargrads()
        value.backward()
        optimizer.update()
        return value.array

    return step


def classify(model: Any, optimizer: Any, arrays: Arrays) -> Step:
    x, labels = arrays["x"], arrays["labels"].astype(np.int32)
    return train(model, optimizer, lambda: F.softmax_cross_entropy(model(x), labels))


def mlp(workload: Workload, arrays: Arrays) -> Step:
    return classify(Mlp(arrays), optimizers.Adam(workload.settings["lr"]), arrays)


def lenet(workload: Workload, arrays: Arrays) -> Step:
    return classify(LeNet(arrays), optimizers.MomentumSGD(**workload.settings), arrays)


def cnn(workload: Workload, arrays: Arrays) -> Step:
    return classify(Cnn(arrays), optimizers.Adam(workload.settings["lr"]), arrays)


def dcgan(workload: Workload, arrays: Arrays) -> Step:
    settings = workload.settings
    generator = Generator(arrays, settings["eps"])
    discriminator = Discriminator(arrays, settings["eps"], settings["slope"])
    adam = settings["lr"], *settings["betas"]
    g_optimizer = optimizers.Adam(*adam).setup(generator)
    d_optimizer = optimizers.Adam(*adam).setup(discriminator)
    x, noise = arrays["x"], arrays["noise"]
    ones = np.ones((len(x), 1), np.int32)
    zeros = np.zeros_like(ones)

    def step() -> np.ndarray:
        fake = generator(noise)
        d_loss = F.sigmoid_cross_entropy(discriminator(x), ones)
        d_loss += F.sigmoid_cross_entropy(discriminator(fake.array), zeros)
        discriminator.cleargrads()
        d_loss.backward()
        d_optimizer.update()

        g_loss = F.sigmoid_cross_entropy(discriminator(fake), ones)
        generator.cleargrads()
        (fake.grad_var,) = chainer.grad([g_loss], [fake])  # and not of the discriminator's weights
        fake.backward()
        g_optimizer.update()
        return d_loss.array + g_loss.array

    return step


def vae(workload: Workload, arrays: Arrays) -> Step:
    model = Vae(arrays)
    x, noise = arrays["x"], arrays["noise"]
    return train(model, optimizers.Adam(workload.settings["lr"]), lambda: model(x, noise))


def lstm(workload: Workload, arrays: Arrays) -> Step:
    return classify(LstmClassifier(arrays), optimizers.Adam(workload.settings["lr"]), arrays)


def alexnet(workload: Workload, arrays: Arrays) -> Step:
    return classify(AlexNet(arrays), optimizers.MomentumSGD(**workload.settings), arrays)


def tiny(workload: Workload, arrays: Arrays) -> Step:
    model = Tiny(arrays)
    x, y = arrays["x"], arrays["y"].astype(np.int32)
    optimizer = optimizers.SGD(workload.settings["lr"])
    return train(model, optimizer, lambda: F.sigmoid_cross_entropy(model(x), y))


def chain(workload: Workload, arrays: Arrays) -> Step:
    x = Variable(arrays["x"])
    a, b, c = (arrays[name] for name in "abc")

    def step() -> np.ndarray:
        y = x
        for _ in range(workload.settings["rounds"]):
            y = F.tanh(y * a + b) * c
        loss = F.sum(y)
        x.cleargrad()
        loss.backward()
        return loss.array

    return step


# ---------------------------------------------------------------------------------------------
# Single operations
# ---------------------------------------------------------------------------------------------


def single(operation: Callable[..., Variable], g: np.ndarray, *inputs: np.ndarray) -> Step:
    """Forward, and back from g to all inputs."""
    variables = [Variable(array) for array in inputs]

    def step() -> WeightedSum:
        y = operation(*variables)
        for variable in variables:
            variable.cleargrad()
        y.grad = g
        y.backward()
        return WeightedSum(y.array, g)

    return step


def convolution(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, weight, g = (arrays[name] for name in ("x", "weight", "g"))
    convolve = F.convolution_2d if x.ndim == 4 else F.convolution_3d
    if workload.settings["input_gradient"]:
        return single(lambda x, w: convolve(x, w, stride=stride, pad=padding), g, x, weight)
    return single(lambda w: convolve(x, w, stride=stride, pad=padding), g, weight)


def conv_transpose(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, weight, g = (arrays[name] for name in ("x", "weight", "g"))
    return single(lambda x, w: F.deconvolution_2d(x, w, stride=stride, pad=padding), g, x, weight)


def max_pooling(workload: Workload, arrays: Arrays) -> Step:
    kernel = workload.settings["kernel"]
    return single(lambda x: max_pool(x, kernel, kernel), arrays["g"], arrays["x"])


def batch_normalization(workload: Workload, arrays: Arrays) -> Step:
    x, weight, bias, g = (arrays[name] for name in ("x", "weight", "bias", "g"))
    averages = {"running_mean": np.zeros_like(weight), "running_var": np.ones_like(weight)}
    eps = workload.settings["eps"]
    return single(
        lambda *inputs: F.batch_normalization(*inputs, eps=eps, **averages), g, x, weight, bias
    )


def layer_normalization(workload: Workload, arrays: Arrays) -> Step:
    x, weight, bias, g = (arrays[name] for name in ("x", "weight", "bias", "g"))
    eps = workload.settings["eps"]
    return single(lambda *inputs: F.layer_normalization(*inputs, eps=eps), g, x, weight, bias)


def softmax_ce(workload: Workload, arrays: Arrays) -> Step:
    x, labels = Variable(arrays["x"]), arrays["labels"].astype(np.int32)

    def step() -> np.ndarray:
        loss = F.softmax_cross_entropy(x, labels)
        x.cleargrad()
        loss.backward()
        return loss.array

    return step


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
    "layer_norm": layer_normalization,
}
