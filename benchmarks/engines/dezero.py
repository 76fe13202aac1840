"""DeZero: its layers, models and optimizers.

A function of DeZero works out the gradients of all its inputs, asked for or not: the image's in the
first convolution, the discriminator's weights' in the generator's step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest import mock

import numpy as np

from benchmarks.workloads import Arrays, WeightedSum, Workload

with mock.patch.object(np, "int", int, create=True):  # a name that NumPy 1.24 took away
    import dezero
    import dezero.functions as F
    import dezero.layers as L
    from dezero import optimizers

NAME = "dezero"

Step = Callable[[], Any]
Variable = dezero.Variable


def as_array(x: Any, array_module: Any = np) -> Any:
    """DeZero's own, but in float32.

    It makes 0-d arrays of Python numbers. Those are float64, and what they meet was still float32
    under the rules of NumPy 1; under those of NumPy 2 it would all become float64.
    """
    return array_module.array(x, np.float32) if np.isscalar(x) else x


def prepare(threads: int) -> None:
    dezero.core.as_array = as_array


def version() -> str:
    return dezero.__version__


# ---------------------------------------------------------------------------------------------
# Layers from arrays
# ---------------------------------------------------------------------------------------------


def fill(layer: Any, weight: np.ndarray, bias: np.ndarray | None) -> Any:
    layer.W.data = weight.copy()
    if bias is not None:
        layer.b.data = bias.copy()
    return layer


def linear(arrays: Arrays, name: str) -> L.Linear:
    weight, bias = arrays[f"{name}.weight"], arrays.get(f"{name}.bias")
    return fill(L.Linear(len(weight), nobias=bias is None), weight.T, bias)


def conv(arrays: Arrays, name: str, stride: int = 1, pad: int = 0) -> L.Conv2d:
    weight, bias = arrays[f"{name}.weight"], arrays.get(f"{name}.bias")
    layer = L.Conv2d(len(weight), weight.shape[2:], stride, pad, nobias=bias is None)
    return fill(layer, weight, bias)


def deconv(arrays: Arrays, name: str, stride: int, pad: int) -> L.Deconv2d:
    weight, bias = arrays[f"{name}.weight"], arrays.get(f"{name}.bias")
    layer = L.Deconv2d(weight.shape[1], weight.shape[2:], stride, pad, nobias=bias is None)
    return fill(layer, weight, bias)


class BatchNorm(L.BatchNorm):
    """DeZero's layer with the ε of the workload; its own has no argument for it."""

    def __init__(self, arrays: Arrays, name: str, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.gamma.data = arrays[f"{name}.weight"].copy()
        self.beta.data = arrays[f"{name}.bias"].copy()

    def __call__(self, x: Variable) -> Variable:
        if self.avg_mean.data is None:
            self._init_params(x)
        averages = self.avg_mean.data, self.avg_var.data
        return F.batch_nrom(x, self.gamma, self.beta, *averages, eps=self.eps)


# ---------------------------------------------------------------------------------------------
# Models
# ---------------------------------------------------------------------------------------------


class Mlp(dezero.Model):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.fc1 = linear(arrays, "fc1")
        self.fc2 = linear(arrays, "fc2")
        self.fc3 = linear(arrays, "fc3")

    def forward(self, x: Any) -> Variable:
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class LeNet(dezero.Model):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.conv1 = conv(arrays, "conv1", pad=2)
        self.conv2 = conv(arrays, "conv2")
        self.fc1 = linear(arrays, "fc1")
        self.fc2 = linear(arrays, "fc2")
        self.fc3 = linear(arrays, "fc3")

    def forward(self, x: Any) -> Variable:
        x = F.pooling(F.relu(self.conv1(x)), 2, 2)
        x = F.pooling(F.relu(self.conv2(x)), 2, 2)
        x = F.relu(self.fc1(F.flatten(x)))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Cnn(dezero.Model):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.conv1 = conv(arrays, "conv1", pad=1)
        self.conv2 = conv(arrays, "conv2", pad=1)
        self.conv3 = conv(arrays, "conv3", pad=1)
        self.conv4 = conv(arrays, "conv4", pad=1)
        self.fc = linear(arrays, "fc")

    def forward(self, x: Any) -> Variable:
        x = F.relu(self.conv1(x))
        x = F.pooling(F.relu(self.conv2(x)), 2, 2)
        x = F.relu(self.conv3(x))
        x = F.pooling(F.relu(self.conv4(x)), 2, 2)
        return self.fc(F.flatten(x))


class Generator(dezero.Model):
    def __init__(self, arrays: Arrays, eps: float) -> None:
        super().__init__()
        self.channels = len(arrays["g.bn1.weight"])
        self.side = arrays["x"].shape[-1] // 4
        self.fc = linear(arrays, "g.fc")
        self.bn1 = BatchNorm(arrays, "g.bn1", eps)
        self.conv1 = deconv(arrays, "g.conv1", 2, 1)
        self.bn2 = BatchNorm(arrays, "g.bn2", eps)
        self.conv2 = deconv(arrays, "g.conv2", 2, 1)

    def forward(self, noise: Any) -> Variable:
        x = F.reshape(self.fc(noise), (-1, self.channels, self.side, self.side))
        x = F.relu(self.bn1(x))
        x = F.relu(self.bn2(self.conv1(x)))
        return F.tanh(self.conv2(x))


class Discriminator(dezero.Model):
    def __init__(self, arrays: Arrays, eps: float, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.conv1 = conv(arrays, "d.conv1", 2, 1)
        self.conv2 = conv(arrays, "d.conv2", 2, 1)
        self.bn = BatchNorm(arrays, "d.bn", eps)
        self.fc = linear(arrays, "d.fc")

    def forward(self, x: Any) -> Variable:
        x = F.leaky_relu(self.conv1(x), self.slope)
        x = F.leaky_relu(self.bn(self.conv2(x)), self.slope)
        return self.fc(F.flatten(x))


class Vae(dezero.Model):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.encoder = linear(arrays, "encoder")
        self.mean = linear(arrays, "mean")
        self.log_variance = linear(arrays, "log_variance")
        self.decoder = linear(arrays, "decoder")
        self.out = linear(arrays, "out")

    def forward(self, x: Any, noise: Any) -> Variable:
        h = F.relu(self.encoder(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + F.exp(log_variance * 0.5) * noise
        logits = self.out(F.relu(self.decoder(z)))
        reconstruction = F.sigmoid_cross_entropy(logits, x) * len(x)
        return reconstruction - F.sum(log_variance - mean**2 - F.exp(log_variance) + 1.0) * 0.5


class LstmClassifier(dezero.Model):
    """DeZero's layer, whose products with the state have no biases of their own: they get them."""

    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.lstm = L.LSTM(arrays["lstm.weight_hh_l0"].shape[1])
        for side, source in (("x2", "ih"), ("h2", "hh")):
            weights = np.split(arrays[f"lstm.weight_{source}_l0"], 4)
            biases = np.split(arrays[f"lstm.bias_{source}_l0"], 4)
            for gate, weight, bias in zip("ifuo", weights, biases, strict=True):
                gate_arrays = {"gate.weight": weight, "gate.bias": bias}
                setattr(self.lstm, side + gate, linear(gate_arrays, "gate"))
        self.fc = linear(arrays, "fc")

    def forward(self, x: Any) -> Variable:
        self.lstm.reset_state()
        self.lstm.h = Variable(np.zeros((x.shape[1], self.lstm.x2f.out_size), x.dtype))
        for row in x:
            h = self.lstm(row)
        return self.fc(h)


class AlexNet(dezero.Model):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
        self.conv1 = conv(arrays, "conv1", 4, 2)
        self.conv2 = conv(arrays, "conv2", 1, 2)
        self.conv3 = conv(arrays, "conv3", 1, 1)
        self.conv4 = conv(arrays, "conv4", 1, 1)
        self.conv5 = conv(arrays, "conv5", 1, 1)
        self.fc1 = linear(arrays, "fc1")
        self.fc2 = linear(arrays, "fc2")
        self.fc3 = linear(arrays, "fc3")

    def forward(self, x: Any) -> Variable:
        x = F.pooling(F.relu(self.conv1(x)), 3, 2)
        x = F.pooling(F.relu(self.conv2(x)), 3, 2)
        x = F.relu(self.conv3(x))
        x = F.relu(self.conv4(x))
        x = F.pooling(F.relu(self.conv5(x)), 3, 2)
        x = F.relu(self.fc1(F.flatten(x)))
        x = F.relu(self.fc2(x))
        return self.fc3(x)


class Tiny(dezero.Model):
    def __init__(self, arrays: Arrays) -> None:
        super().__init__()
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
        return value.data

    return step


def classify(model: Any, optimizer: Any, arrays: Arrays) -> Step:
    # The gradient of the cross-entropy takes the type of the labels' one-hot vectors when that is
    # the wider: with int64 labels it would be float64.
    x, labels = arrays["x"], arrays["labels"].astype(np.int16)
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
    ones = np.ones((len(x), 1), x.dtype)
    zeros = np.zeros_like(ones)

    def step() -> float:
        fake = generator(noise)
        d_loss = F.sigmoid_cross_entropy(discriminator(x), ones)
        d_loss += F.sigmoid_cross_entropy(discriminator(fake.data), zeros)
        discriminator.cleargrads()
        d_loss.backward()
        d_optimizer.update()

        g_loss = F.sigmoid_cross_entropy(discriminator(fake), ones)
        generator.cleargrads()
        g_loss.backward()
        g_optimizer.update()
        return d_loss.data + g_loss.data

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
    x, y = arrays["x"], arrays["y"]
    optimizer = optimizers.SGD(workload.settings["lr"])
    return train(model, optimizer, lambda: F.sigmoid_cross_entropy(model(x), y))


def chain(workload: Workload, arrays: Arrays) -> Step:
    x, a, b, c = (Variable(arrays[name]) for name in "xabc")

    def step() -> np.ndarray:
        y = x
        for _ in range(workload.settings["rounds"]):
            y = F.tanh(y * a + b) * c
        loss = F.sum(y)
        for variable in (x, a, b, c):
            variable.cleargrad()
        loss.backward()
        return loss.data

    return step


# ---------------------------------------------------------------------------------------------
# Single operations
# ---------------------------------------------------------------------------------------------


def single(operation: Callable[..., Variable], g: np.ndarray, *inputs: np.ndarray) -> Step:
    """Forward, and back from g to all inputs."""
    variables = [Variable(array) for array in inputs]
    cotangent = Variable(g)

    def step() -> WeightedSum:
        y = operation(*variables)
        for variable in variables:
            variable.cleargrad()
        y.grad = cotangent
        y.backward()
        return WeightedSum(y.data, g)

    return step


def convolution(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, weight, g = (arrays[name] for name in ("x", "weight", "g"))
    return single(lambda x, w: F.conv2d(x, w, stride=stride, pad=padding), g, x, weight)


def conv_transpose(workload: Workload, arrays: Arrays) -> Step:
    stride, padding = workload.settings["stride"], workload.settings["padding"]
    x, weight, g = (arrays[name] for name in ("x", "weight", "g"))
    return single(lambda x, w: F.deconv2d(x, w, stride=stride, pad=padding), g, x, weight)


def max_pool(workload: Workload, arrays: Arrays) -> Step:
    kernel = workload.settings["kernel"]
    return single(lambda x: F.pooling(x, kernel, kernel), arrays["g"], arrays["x"])


def batch_norm(workload: Workload, arrays: Arrays) -> Step:
    x, weight, bias, g = (arrays[name] for name in ("x", "weight", "bias", "g"))
    averages = np.zeros_like(weight), np.ones_like(weight)
    eps = workload.settings["eps"]
    return single(lambda *inputs: F.batch_nrom(*inputs, *averages, eps=eps), g, x, weight, bias)


def softmax_ce(workload: Workload, arrays: Arrays) -> Step:
    x, labels = Variable(arrays["x"]), arrays["labels"].astype(np.int16)

    def step() -> np.ndarray:
        loss = F.softmax_cross_entropy(x, labels)
        x.cleargrad()
        loss.backward()
        return loss.data

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
    "max_pool": max_pool,
    "batch_norm": batch_norm,
    "softmax_ce": softmax_ce,
}
