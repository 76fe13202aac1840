"""The workloads for the libraries that share PyTorch's names, written once for all of them.

A library is a module such as `torch` or `minigrad`, with its `nn` and `optim`. What is compared
is then the same program, line by line.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.workloads import Arrays, WeightedSum, Workload

Step = Callable[[], Any]
Steps = dict[str, Callable[[Workload, Arrays], Step]]


def steps(library: Any, host: Callable[[Any], np.ndarray]) -> Steps:
    """Every workload in one library; `host` makes a NumPy array of a tensor, without its graph."""
    nn, optim, F = library.nn, library.optim, library.nn.functional
    Module: Any = nn.Module

    def data(arrays: Arrays, *names: str) -> list[Any]:
        return [library.as_tensor(arrays[name].copy()) for name in names]

    def loaded(network: Any, arrays: Arrays, prefix: str = "") -> Any:
        """The network with its parameters from the arrays called `prefix` + their names."""
        names = [name for name, _ in network.named_parameters()]
        state = {name: library.as_tensor(arrays[prefix + name]) for name in names}
        network.load_state_dict(state, strict=False)  # running statistics start as they are
        return network

    def supervised(network: Any, optimizer: Any, x: Any, target: Any, loss: Callable) -> Step:
        def step() -> Any:
            optimizer.zero_grad()
            value = loss(network(x), target)
            value.backward()
            optimizer.step()
            return value

        return step

    def classifier(network: Any, optimizer: Any, arrays: Arrays) -> Step:
        x, labels = data(arrays, "x", "labels")
        return supervised(network, optimizer, x, labels, F.cross_entropy)

    def momentum(network: Any, workload: Workload) -> Any:
        settings = workload.settings
        return optim.SGD(network.parameters(), lr=settings["lr"], momentum=settings["momentum"])

    # -- Models ---------------------------------------------------------------------------------

    def dense(arrays: Arrays, name: str) -> Any:
        features_out, features_in = arrays[f"{name}.weight"].shape
        return nn.Linear(features_in, features_out, bias=f"{name}.bias" in arrays)

    def conv(arrays: Arrays, name: str, stride: int = 1, padding: int = 0) -> Any:
        f, c, kernel, _ = arrays[f"{name}.weight"].shape
        bias = f"{name}.bias" in arrays
        return nn.Conv2d(c, f, kernel, stride=stride, padding=padding, bias=bias)

    def conv_transpose(arrays: Arrays, name: str, stride: int, padding: int) -> Any:
        c, f, kernel, _ = arrays[f"{name}.weight"].shape
        bias = f"{name}.bias" in arrays
        return nn.ConvTranspose2d(c, f, kernel, stride=stride, padding=padding, bias=bias)

    def mlp(workload: Workload, arrays: Arrays) -> Step:
        class MLP(Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc1 = dense(arrays, "fc1")
                self.fc2 = dense(arrays, "fc2")
                self.fc3 = dense(arrays, "fc3")

            def forward(self, x: Any) -> Any:
                return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

        network = loaded(MLP(), arrays)
        return classifier(
            network, optim.Adam(network.parameters(), lr=workload.settings["lr"]), arrays
        )

    def lenet(workload: Workload, arrays: Arrays) -> Step:
        class LeNet(Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv1 = conv(arrays, "conv1", padding=2)
                self.conv2 = conv(arrays, "conv2")
                self.fc1 = dense(arrays, "fc1")
                self.fc2 = dense(arrays, "fc2")
                self.fc3 = dense(arrays, "fc3")

            def forward(self, x: Any) -> Any:
                x = F.max_pool2d(F.relu(self.conv1(x)), 2)
                x = F.max_pool2d(F.relu(self.conv2(x)), 2)
                x = x.reshape(x.shape[0], -1)
                return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

        network = loaded(LeNet(), arrays)
        return classifier(network, momentum(network, workload), arrays)

    def cnn(workload: Workload, arrays: Arrays) -> Step:
        class CNN(Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv1 = conv(arrays, "conv1", padding=1)
                self.conv2 = conv(arrays, "conv2", padding=1)
                self.conv3 = conv(arrays, "conv3", padding=1)
                self.conv4 = conv(arrays, "conv4", padding=1)
                self.fc = dense(arrays, "fc")

            def forward(self, x: Any) -> Any:
                x = F.relu(self.conv2(F.relu(self.conv1(x))))
                x = F.max_pool2d(x, 2)
                x = F.relu(self.conv4(F.relu(self.conv3(x))))
                x = F.max_pool2d(x, 2)
                return self.fc(x.reshape(x.shape[0], -1))

        network = loaded(CNN(), arrays)
        return classifier(
            network, optim.Adam(network.parameters(), lr=workload.settings["lr"]), arrays
        )

    def alexnet(workload: Workload, arrays: Arrays) -> Step:
        class AlexNet(Module):
            def __init__(self) -> None:
                super().__init__()
                self.conv1 = conv(arrays, "conv1", stride=4, padding=2)
                self.conv2 = conv(arrays, "conv2", padding=2)
                self.conv3 = conv(arrays, "conv3", padding=1)
                self.conv4 = conv(arrays, "conv4", padding=1)
                self.conv5 = conv(arrays, "conv5", padding=1)
                self.fc1 = dense(arrays, "fc1")
                self.fc2 = dense(arrays, "fc2")
                self.fc3 = dense(arrays, "fc3")

            def forward(self, x: Any) -> Any:
                x = F.max_pool2d(F.relu(self.conv1(x)), 3, stride=2)
                x = F.max_pool2d(F.relu(self.conv2(x)), 3, stride=2)
                x = F.relu(self.conv4(F.relu(self.conv3(x))))
                x = F.max_pool2d(F.relu(self.conv5(x)), 3, stride=2)
                x = x.reshape(x.shape[0], -1)
                return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))

        network = loaded(AlexNet(), arrays)
        return classifier(network, momentum(network, workload), arrays)

    def dcgan(workload: Workload, arrays: Arrays) -> Step:
        settings = workload.settings
        slope = settings["slope"]

        class Generator(Module):
            def __init__(self) -> None:
                super().__init__()
                channels = arrays["g.conv1.weight"].shape[0]
                self.fc = dense(arrays, "g.fc")
                self.bn1 = nn.BatchNorm2d(channels, eps=settings["eps"])
                self.conv1 = conv_transpose(arrays, "g.conv1", stride=2, padding=1)
                self.bn2 = nn.BatchNorm2d(channels // 2, eps=settings["eps"])
                self.conv2 = conv_transpose(arrays, "g.conv2", stride=2, padding=1)
                self.side = arrays["x"].shape[-1] // 4

            def forward(self, noise: Any) -> Any:
                x = self.fc(noise).reshape(noise.shape[0], -1, self.side, self.side)
                x = self.conv1(F.relu(self.bn1(x)))
                return F.tanh(self.conv2(F.relu(self.bn2(x))))

        class Discriminator(Module):
            def __init__(self) -> None:
                super().__init__()
                channels = arrays["d.conv2.weight"].shape[0]
                self.conv1 = conv(arrays, "d.conv1", stride=2, padding=1)
                self.conv2 = conv(arrays, "d.conv2", stride=2, padding=1)
                self.bn = nn.BatchNorm2d(channels, eps=settings["eps"])
                self.fc = dense(arrays, "d.fc")

            def forward(self, x: Any) -> Any:
                x = F.leaky_relu(self.conv1(x), slope)
                x = F.leaky_relu(self.bn(self.conv2(x)), slope)
                return self.fc(x.reshape(x.shape[0], -1))

        generator = loaded(Generator(), arrays, "g.")
        discriminator = loaded(Discriminator(), arrays, "d.")
        options = {"lr": settings["lr"], "betas": settings["betas"]}
        of_generator = optim.Adam(generator.parameters(), **options)
        of_discriminator = optim.Adam(discriminator.parameters(), **options)
        real, noise = data(arrays, "x", "noise")
        yes = library.ones((real.shape[0], 1))
        no = library.zeros((real.shape[0], 1))
        loss = F.binary_cross_entropy_with_logits

        def step() -> Any:
            fake = generator(noise)

            of_discriminator.zero_grad()
            on_real = loss(discriminator(real), yes)
            on_fake = loss(discriminator(fake.detach()), no)
            (on_real + on_fake).backward()
            of_discriminator.step()

            of_generator.zero_grad()
            discriminator.requires_grad_(False)
            fooled = loss(discriminator(fake), yes)
            fooled.backward()
            discriminator.requires_grad_(True)
            of_generator.step()
            return on_real + on_fake + fooled

        return step

    def vae(workload: Workload, arrays: Arrays) -> Step:
        class VAE(Module):
            def __init__(self) -> None:
                super().__init__()
                self.encoder = dense(arrays, "encoder")
                self.mean = dense(arrays, "mean")
                self.log_variance = dense(arrays, "log_variance")
                self.decoder = dense(arrays, "decoder")
                self.out = dense(arrays, "out")

            def forward(self, x: Any, noise: Any) -> Any:
                h = F.relu(self.encoder(x))
                mean, log_variance = self.mean(h), self.log_variance(h)
                z = mean + noise * library.exp(0.5 * log_variance)
                return self.out(F.relu(self.decoder(z))), mean, log_variance

        network = loaded(VAE(), arrays)
        optimizer = optim.Adam(network.parameters(), lr=workload.settings["lr"])
        x, noise = data(arrays, "x", "noise")

        def step() -> Any:
            optimizer.zero_grad()
            logits, mean, log_variance = network(x, noise)
            loss = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
            loss = loss - 0.5 * (1.0 + log_variance - mean**2 - library.exp(log_variance)).sum()
            loss.backward()
            optimizer.step()
            return loss

        return step

    def rbm(workload: Workload, arrays: Arrays) -> Step:
        class RBM(Module):
            def __init__(self) -> None:
                super().__init__()
                hidden, visible = arrays["rbm.weight"].shape
                self.weight = nn.Parameter(library.zeros((hidden, visible)))
                self.hidden_bias = nn.Parameter(library.zeros(hidden))
                self.visible_bias = nn.Parameter(library.zeros(visible))

            def hidden(self, visible: Any) -> Any:
                return F.sigmoid(F.linear(visible, self.weight, self.hidden_bias))

            def visible(self, hidden: Any) -> Any:
                return F.sigmoid(F.linear(hidden, self.weight.T, self.visible_bias))

        network = loaded(RBM(), arrays, "rbm.")
        optimizer = optim.SGD(network.parameters(), lr=workload.settings["lr"])
        x, uniform = data(arrays, "x", "uniform")
        n = x.shape[0]

        @library.no_grad()
        def step() -> Any:
            p = network.hidden(x)
            h = (uniform < p).to(p.dtype)
            r = network.visible(h)
            q = network.hidden(r)
            network.weight.grad = (q.T @ r - p.T @ x) / n
            network.hidden_bias.grad = (q - p).mean(0)
            network.visible_bias.grad = (r - x).mean(0)
            optimizer.step()
            return F.mse_loss(r, x)

        return step

    def lstm(workload: Workload, arrays: Arrays) -> Step:
        class Recurrent(Module):
            def __init__(self) -> None:
                super().__init__()
                gates, features = arrays["lstm.weight_ih_l0"].shape
                self.lstm = nn.LSTM(features, gates // 4)
                self.fc = dense(arrays, "fc")

            def forward(self, x: Any) -> Any:
                _, (h, _) = self.lstm(x)
                return self.fc(h[0])

        network = loaded(Recurrent(), arrays)
        return classifier(
            network, optim.Adam(network.parameters(), lr=workload.settings["lr"]), arrays
        )

    def tiny(workload: Workload, arrays: Arrays) -> Step:
        class XOR(Module):
            def __init__(self) -> None:
                super().__init__()
                self.fc1 = dense(arrays, "fc1")
                self.fc2 = dense(arrays, "fc2")

            def forward(self, x: Any) -> Any:
                return self.fc2(F.tanh(self.fc1(x)))

        network = loaded(XOR(), arrays)
        optimizer = optim.SGD(network.parameters(), lr=workload.settings["lr"])
        x, y = data(arrays, "x", "y")
        return supervised(network, optimizer, x, y, F.binary_cross_entropy_with_logits)

    def chain(workload: Workload, arrays: Arrays) -> Step:
        x, a, b, c = data(arrays, "x", "a", "b", "c")
        x.requires_grad = True
        rounds = workload.settings["rounds"]

        def step() -> Any:
            x.grad = None
            y = x
            for _ in range(rounds):
                y = library.tanh(y * a + b) * c
            loss = y.sum()
            loss.backward()
            return loss

        return step

    # -- Single operations ----------------------------------------------------------------------

    def operation(arrays: Arrays, function: Callable, **wanted: bool) -> Step:
        """``function(inputs by name)`` forward, and backward from g to the inputs wanted."""
        inputs = {}
        for name in wanted:
            (inputs[name],) = data(arrays, name)
            inputs[name].requires_grad = wanted[name]
        (g,) = data(arrays, "g")

        def step() -> Any:
            for x in inputs.values():
                x.grad = None
            y = function(**inputs)
            y.backward(g)
            return WeightedSum(host(y), arrays["g"])

        return step

    def convolution(function: Callable) -> Callable[[Workload, Arrays], Step]:
        def build(workload: Workload, arrays: Arrays) -> Step:
            stride, padding = workload.settings["stride"], workload.settings["padding"]
            return operation(
                arrays,
                lambda x, weight: function(x, weight, stride=stride, padding=padding),
                x=workload.settings.get("input_gradient", True),
                weight=True,
            )

        return build

    def max_pool(workload: Workload, arrays: Arrays) -> Step:
        kernel = workload.settings["kernel"]
        return operation(arrays, lambda x: F.max_pool2d(x, kernel), x=True)

    def batch_norm(workload: Workload, arrays: Arrays) -> Step:
        channels = arrays["x"].shape[1]
        mean, var = library.zeros(channels), library.ones(channels)
        eps = workload.settings["eps"]
        return operation(
            arrays,
            lambda x, weight, bias: F.batch_norm(
                x, mean, var, weight, bias, training=True, eps=eps
            ),
            x=True,
            weight=True,
            bias=True,
        )

    def softmax_ce(workload: Workload, arrays: Arrays) -> Step:
        x, labels = data(arrays, "x", "labels")
        x.requires_grad = True

        def step() -> Any:
            x.grad = None
            loss = F.cross_entropy(x, labels)
            loss.backward()
            return loss

        return step

    def layer_norm(workload: Workload, arrays: Arrays) -> Step:
        shape = arrays["weight"].shape
        eps = workload.settings["eps"]
        return operation(
            arrays,
            lambda x, weight, bias: F.layer_norm(x, shape, weight, bias, eps=eps),
            x=True,
            weight=True,
            bias=True,
        )

    convolutions = ("conv64", "conv7", "conv1", "conv5", "conv_stride", "conv_wide")
    return {
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
        **dict.fromkeys(convolutions, convolution(F.conv2d)),
        "conv_transpose": convolution(F.conv_transpose2d),
        "conv3d": convolution(F.conv3d),
        "max_pool": max_pool,
        "batch_norm": batch_norm,
        "softmax_ce": softmax_ce,
        "layer_norm": layer_norm,
    }
