"""The autoencoder: a network that gives back what it is given, through a code that is too small.

D. E. Rumelhart, G. E. Hinton and R. J. Williams 1986, "Learning internal representations by error
propagation", in "Parallel distributed processing", volume 1, chapter 8; G. E. Hinton and
R. R. Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks", Science 313.

An encoder f makes a code z of an image x, a decoder g makes an image of the code:

    z = f(x)        x̂ = σ(g(z))        L = − Σᵢ xᵢ log x̂ᵢ + (1 − xᵢ) log(1 − x̂ᵢ)

with σ the logistic function. The target is the input itself, so that no labels are needed. It would
be no art to copy all of it; each kind has something that makes a mere copy impossible, and what the
network has to find instead is what the images have in common.

**Undercomplete.** The code has fewer numbers than the image has pixels, here

    784 – 1000 – 500 – 250 – 30 – 250 – 500 – 1000 – 784

with tanh units, and a linear code. Without hidden layers, the best such network for the squared
error is principal component analysis, x̂ = μ + wᵀ w (x − μ), where the rows of w are the directions
in which the images vary most (P. Baldi and K. Hornik 1989). The figure is the mean over the test
images of |x − x̂|².

*Pre-training*, as in the paper of 2006: each layer of the encoder first learns as a restricted
Boltzmann machine (`models.rbm`) by CD-1, on what the layers below make of the images. The code is
the hidden layer of a machine whose hidden units are numbers, h | v ~ N(c + w v, 1). Then encoder
and decoder start with w and wᵀ. A logistic unit is a tanh unit in other clothes,
σ(s) = ½ + ½ tanh(s / 2), so that the tanh network starts as the machines left theirs.

**Denoising** (P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol 2008, "Extracting and
composing robust features with denoising autoencoders"). The network sees x + ε, or x with pixels
put out at random, and is to give back x. The code may then be as wide as the image, or wider. Here
the convolutional network learns it. The figure is the peak signal-to-noise ratio in dB,
10 log₁₀(1 / mean (x − x̂)²).

**Sparse** (A. Ng 2011, "Sparse autoencoder", CS294A lecture notes). One hidden layer of logistic
units, each of which is to be on for a small part ρ of the images. With ρ̂ⱼ the mean of unit j over
the batch, the loss has the penalty

    β Σⱼ KL(ρ ‖ ρ̂ⱼ) = β Σⱼ ρ log(ρ / ρ̂ⱼ) + (1 − ρ) log((1 − ρ) / (1 − ρ̂ⱼ))

and ½ λ |w|², which takes away the weights of pixels that are hardly ever on.

**Convolutional** (J. Masci, U. Meier, D. Cireşan and J. Schmidhuber 2011). Convolutions of stride 2
lead to the code, transposed convolutions of stride 2 back. The dense network with as large a code
learns beside it.

**Compression.** A code has to go over a wire as bits: every number is rounded to one of few levels
between −1 and 1. Rounding has no gradient; in training, noise takes its place, uniform between half
a level down and half a level up (J. Ballé, V. Laparra and E. P. Simoncelli 2017, "End-to-end
optimized image compression"). An entropy coder needs −log₂ p bits for a number of probability p,
hence the rate Σⱼ H(zⱼ), with the frequencies of the levels.

**Few labels.** Dense layers of 1000 units learn to denoise all images, without labels; then the
encoder, with an output layer, learns a few labelled ones. Beside it, so does the same network from
random weights.

An autoencoder knows what it has learned: other images come back as something like digits. And it
does not promise that a point between two codes is the code of anything.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.contest import COLOURS, Contest, ContestTraining
from models.data import DataSet, Examples, check_divisible
from models.dbn import Layer
from models.reconstruction import (
    PrincipalComponents,
    best_wiener,
    bits,
    draw_maps,
    draw_rates,
    jpeg,
    neighbours,
    psnr,
    restored,
    squared_error,
)
from models.training import Progress, accuracy

# ---------------------------------------------------------------------------------------------
# The networks
# ---------------------------------------------------------------------------------------------


class Autoencoder(nn.Module):
    """x (n, c, h, w) → code (n, code) → x̂ (n, c, h, w), between 0 and 1.

    A kind defines `encoder` and `decoder`, which returns what goes into the logistic function, and
    overrides what it does otherwise.
    """

    encoder: nn.Module
    decoder: nn.Module

    def encode(self, x: Tensor) -> Tensor:
        """The codes of images."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The images of codes."""
        return mg.sigmoid(self.decoder(z))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def loss(self, x: Tensor) -> Tensor:
        """What a step makes smaller: the mean over the images of the sum over the pixels."""
        return cross_entropy(self.decoder(self.encode(x)), x)


def cross_entropy(sums: Tensor, x: Tensor) -> Tensor:
    """Of images x and x̂ = σ(sums), summed over the pixels; the mean over the images."""
    return F.binary_cross_entropy_with_logits(sums, x, reduction="sum") * (1.0 / len(x))


def dense(*sizes: int, activation: type[nn.Module]) -> list[nn.Module]:
    """Linear layers, with an activation between each and the next.

    Weights are uniform, with the variance that keeps that of the signal: (5/3)² 2 / (n + m) for
    tanh (X. Glorot and Y. Bengio 2010), 2 / n for rectified units (K. He et al. 2015).
    """
    layers: list[nn.Module] = []
    for n, m in pairwise(sizes):
        layer: Any = nn.Linear(n, m)
        if activation is nn.ReLU:
            nn.init.kaiming_uniform_(layer.weight, nonlinearity="relu")
        else:
            nn.init.xavier_uniform_(layer.weight, nn.init.calculate_gain("tanh"))
        nn.init.zeros_(layer.bias)
        layers += [layer, activation()]
    return layers[:-1]


class Undercomplete(Autoencoder):
    """Dense layers that narrow down to a linear code, and widen again.

    Args:
        shape: of an image, (c, h, w).
        hidden: units of the first hidden layer; the second has half, the third a quarter of them.
        code: numbers of a code.
    """

    def __init__(self, shape: tuple[int, ...], hidden: int, code: int) -> None:
        super().__init__()
        self.sizes = (math.prod(shape), hidden, hidden // 2, hidden // 4, code)
        self.encoder = nn.Sequential(nn.Flatten(), *dense(*self.sizes, activation=nn.Tanh))
        self.decoder = nn.Sequential(
            *dense(*reversed(self.sizes), activation=nn.Tanh), nn.Unflatten(1, shape)
        )

    @mg.no_grad()
    def unfold(self, machines: list[Layer]) -> None:
        """Start from machines, from below, that have learned each what the one below makes of it.

        The machines' units are logistic, h = ½ + ½ t with t = tanh(s / 2). So a layer that sees t
        for h has the weights w / 2 and the bias b + Σ w / 2, and one that gives t for h halves
        what it has.
        """
        up: list[Any] = [(machine.weight, machine.hidden_bias) for machine in machines]
        down: list[Any] = [
            (machine.weight.T, machine.visible_bias) for machine in reversed(machines)
        ]
        layers: list[Any] = [layer for layer in self.modules() if isinstance(layer, nn.Linear)]
        for i, (layer, (w, b)) in enumerate(zip(layers, up + down, strict=True)):
            if i not in (0, len(up)):  # which see the image, and the code
                w, b = 0.5 * w, b + 0.5 * w.sum(1)
            if i not in (len(up) - 1, len(layers) - 1):  # which give the code, and the image
                w, b = 0.5 * w, 0.5 * b
            layer.weight.overwrite(w.array)
            layer.bias.overwrite(b.array)


class GaussianCode(Layer):
    """A machine whose hidden units are numbers: E(v, h) = ½ |h|² − b · v − c · h − hᵀ w v.

    h | v ~ N(c + w v, 1), hence F(v) = − b · v − ½ |c + w v|², less a constant.
    """

    def hidden(self, v: Tensor) -> Tensor:
        return self.sums(v)

    def reconstruction(self, p: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        for _ in range(k):
            r = self.visible(p + mg.randn(*p.shape))
            p = self.hidden(r)
        return r, p

    def free_energy(self, v: Tensor) -> Tensor:
        return -(v @ self.visible_bias) - 0.5 * mg.square(self.sums(v)).sum(1)


class Overcomplete(Autoencoder):
    """Two layers of as many rectified units, the second of which is the code, and back.

    Args:
        shape: of an image, (c, h, w).
        hidden: units of a layer.
    """

    def __init__(self, shape: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        pixels = math.prod(shape)
        self.encoder = nn.Sequential(
            nn.Flatten(), *dense(pixels, hidden, hidden, activation=nn.ReLU), nn.ReLU()
        )
        self.decoder = nn.Sequential(
            *dense(hidden, hidden, pixels, activation=nn.ReLU), nn.Unflatten(1, shape)
        )


class Sparse(Autoencoder):
    """One hidden layer of logistic units that are seldom on.

    Args:
        shape: of an image, (c, h, w).
        hidden: units, which may be more than pixels.
        target: ρ, the part of the images for which a unit is to be on.
        sparsity: β, the weight of the penalty.
        decay: λ.
    """

    def __init__(
        self, shape: tuple[int, ...], hidden: int, target: float, sparsity: float, decay: float
    ) -> None:
        super().__init__()
        pixels = math.prod(shape)
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(pixels, hidden), nn.Sigmoid())
        self.decoder = nn.Sequential(nn.Linear(hidden, pixels), nn.Unflatten(1, shape))
        for layer in (self.encoder[1], self.decoder[0]):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
        # Units that start half on would first all learn to be off, whatever the image.
        nn.init.constant_(self.encoder[1].bias, math.log(target / (1.0 - target)))
        self.target = target
        self.sparsity = sparsity
        self.decay = decay

    def penalty(self, h: Tensor) -> Tensor:
        """Σⱼ KL(ρ ‖ ρ̂ⱼ) of hidden units h (n, hidden)."""
        rho, mean = self.target, mg.clip(h.mean(0), 1e-6, 1.0 - 1e-6)
        on, off = rho * mg.log(mean), (1.0 - rho) * mg.log(1.0 - mean)
        entropy = rho * math.log(rho) + (1.0 - rho) * math.log(1.0 - rho)
        return (entropy - on - off).sum()

    def loss(self, x: Tensor) -> Tensor:
        h = self.encode(x)
        squares = sum(mg.square(w).sum() for w in self.parameters() if w.ndim == 2)
        added = self.sparsity * self.penalty(h) + 0.5 * self.decay * squares
        return cross_entropy(self.decoder(h), x) + added


class Convolutional(Autoencoder):
    """Two convolutions of stride 2, a linear code, and two transposed convolutions of stride 2.

    The filters are 4 × 4, which the stride divides: in a transposed convolution every pixel then
    gets as many contributions as its neighbours.

    Args:
        shape: of an image, (c, h, w).
        filters: maps of the first convolution; the second has twice as many.
        code: numbers of a code.

    Raises:
        ValueError: the strides do not divide the image.
    """

    def __init__(self, shape: tuple[int, ...], filters: int, code: int) -> None:
        super().__init__()
        c, h, w = shape
        check_divisible("autoencoder", shape, 4)
        maps = (2 * filters, h // 4, w // 4)
        units = math.prod(maps)
        halve: Any = {"kernel_size": 4, "stride": 2, "padding": 1}
        self.encoder = nn.Sequential(
            nn.Conv2d(c, filters, **halve),
            nn.ReLU(),
            nn.Conv2d(filters, 2 * filters, **halve),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(units, code),
        )
        self.decoder = nn.Sequential(
            nn.Linear(code, units),
            nn.ReLU(),
            nn.Unflatten(1, maps),
            nn.ConvTranspose2d(2 * filters, filters, **halve),
            nn.ReLU(),
            nn.ConvTranspose2d(filters, c, **halve),
        )


class Denoising(Autoencoder):
    """An autoencoder that sees noise and is to give back the image without.

    Args:
        network: whose encoder and decoder learn.
        corruption: "gaussian" adds noise to every pixel, "masking" puts pixels out.
        noise: its standard deviation, or the part of the pixels that go out.
    """

    def __init__(self, network: Autoencoder, corruption: str, noise: float) -> None:
        super().__init__()
        self.encoder = network.encoder
        self.decoder = network.decoder
        self.corruption = corruption
        self.noise = noise

    def corrupted(self, x: Tensor) -> Tensor:
        """x with noise, drawn anew with every call."""
        if self.corruption == "masking":
            return x * mg.bernoulli(1.0 - self.noise, x.shape)
        return x + self.noise * mg.randn(*x.shape)

    def loss(self, x: Tensor) -> Tensor:
        return cross_entropy(self.decoder(self.encode(self.corrupted(x))), x)


LEVELS = (3, 4, 6, 8, 12, 16, 32)  # that a number of a code is rounded to


class Compression(Undercomplete):
    """Codes between −1 and 1 that bear rounding: each training image has noise for another of
    `LEVELS`."""

    def encode(self, x: Tensor) -> Tensor:
        return mg.tanh(self.encoder(x))

    def loss(self, x: Tensor) -> Tensor:
        levels = mg.tensor(LEVELS, dtype="float32", backend=x.backend)
        chosen = levels[mg.randint(0, len(LEVELS), (len(x), 1))].astype(x.dtype)
        z = self.encode(x)
        noise = (mg.rand(*z.shape) - 0.5).astype(x.dtype) * (2.0 / (chosen - 1.0))
        return cross_entropy(self.decoder(z + noise), x)


def level(z: Tensor, levels: Tensor | int) -> Tensor:
    """Which of `levels` equally spaced values from −1 to 1, 0 … levels − 1, is nearest to z."""
    return ((z + 1.0) * (0.5 * (levels - 1.0)) + 0.5) // 1.0


def between(network: Autoencoder, a: Tensor, b: Tensor, steps: int) -> Tensor:
    """What points on the line from the code of image a to that of b decode to.

    Args:
        a, b: (c, h, w).
        steps: how many points, with both ends.

    Returns images (steps, c, h, w).
    """
    with mg.no_grad():
        first, last = network.encode(mg.stack([a, b]))
        t = mg.linspace(0.0, 1.0, steps).astype(first.dtype).reshape(-1, 1)
        return network.decode((1.0 - t) * first + t * last)


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


class Autoencoders(Contest):
    """Autoencoders by name that learn side by side; most kinds have one."""

    contestants: Any

    def losses(self, x: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The loss of each, which looks at no label."""
        return {name: network.loss(x) for name, network in self.contestants.items()}


class AutoencoderTraining(ContestTraining):
    """Adam, with a learning rate that falls to zero along half a cosine."""

    network: Autoencoders
    metric = "test_error"
    curve = ("test_error", "squared error a test image")  # what the learning curve shows

    def __init__(self, network: Autoencoders, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.steps = settings.epochs * len(self.loader)

    @property
    def learned(self) -> bool:
        """Whether the last epoch has been learned."""
        return self.schedule.last_epoch == self.steps

    def title(self, name: str) -> str:
        """What pictures and tables call a network."""
        return name

    @property
    def first(self) -> Any:
        """The network that the run is about, of the class that its kind has."""
        return self.network.first

    def evaluate(self) -> dict[str, float]:
        x = self.test.tensors[0]
        return {
            self._named(name, "test_error"): squared_error(restored(network, x), x)
            for name, network in self.network.contestants.items()
        }

    def linear(self, code: int) -> PrincipalComponents:
        """As many principal components of the training images."""
        return PrincipalComponents(self.train.tensors[0].numpy(), code)

    def examples_of_each(self) -> Tensor:
        """The first test image of each class, (classes, c, h, w)."""
        x, labels = self.test.tensors
        host = labels.numpy()
        first = [int(np.flatnonzero(host == label)[0]) for label in np.unique(host)]
        return mg.stack([x[i] for i in first])

    def report(self) -> str:
        """The error of each."""
        return "\n".join(
            f"{self.title(name)}: test error {squared_error(restored(network, x), x):.2f}"
            for x in self.test.tensors[:1]
            for name, network in self.network.contestants.items()
        )

    def rows_of(self, x: Tensor) -> dict[str, np.ndarray]:
        """What pictures of reconstructions show of images x, a row each by its name."""
        rows = {"image": x.numpy()}
        for name, network in self.network.contestants.items():
            rows[self.title(name)] = restored(network, x).numpy()
        return rows

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        self.draw_learning(history, folder / "curves.png")
        title = "Test images, and what comes back of them"
        self.draw_rows(self.examples_of_each(), title, folder / "reconstructions.png")

    def draw_rows(self, x: Tensor, title: str, path: Path) -> None:
        """Draw images and what comes back of them."""
        rows = self.rows_of(x)
        pictures.table(np.stack(list(rows.values())), [], title, path, list(rows))

    def sample(self, count: int, folder: Path) -> str:
        x = self.test.tensors[0][mg.randperm(len(self.test))[:count]]
        title = "Random test images, and what comes back of them"
        self.draw_rows(x, title, folder / "reconstructions.png")
        return ""

    def draw_learning(self, history: list[dict[str, Any]], path: Path) -> None:
        """What is measured of every contestant over the epochs."""
        measured, name_of_it = self.curve
        entries = [entry for entry in history if measured in entry]
        if not entries:
            return
        made = pictures.figure(6.0, 3.2)
        axes = pictures.grid(made, 1, 1)[0, 0]
        ends = []
        for name, colour in zip(self._names(), COLOURS, strict=False):
            values = [entry[self._named(name, measured)] for entry in entries]
            epochs = [entry["epoch"] for entry in entries]
            title = self.title(name)
            axes.plot(epochs, values, "o-", color=colour, markersize=3, label=title)
            ends.append(f"{title} {values[-1]:.2f}")
        axes.set_title(f"After the last epoch: {', '.join(ends)}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name_of_it)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
        if len(ends) > 1:
            axes.legend()
        pictures.save(made, path)


class UndercompleteTraining(AutoencoderTraining):
    """First, if asked, restricted Boltzmann machines from below, each for `pretrain` epochs with a
    learning rate that falls to 0 in a straight line; then the autoencoder."""

    machines: Any  # from below; none where the weights are random

    def __init__(self, network: Autoencoders, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        sizes = self.first.sizes
        machines = []
        if settings.pretrain:
            machines = [Layer(n, m) for n, m in pairwise(sizes[:-1])]
            machines.append(GaussianCode(*sizes[-2:]))
            mean = mg.clip(data.train.tensors[0].mean(0).reshape(-1), 0.001, 0.999)
            machines[0].visible_bias.overwrite(mg.log(mean / (1.0 - mean)).array)
        self.machines = nn.ModuleList(machines)
        if machines:
            groups = [{"params": machine.parameters()} for machine in machines]
            self.descent = optim.SGD(groups, lr=settings.cd_lr, momentum=0.9)
        self.pretraining = settings.pretrain * len(machines)
        self.done = 0  # epochs
        self.left = 0.0  # the part of the learning rate of the machine that learns
        whole = {**vars(settings), "epochs": self.pretraining + settings.epochs}
        self.settings = SimpleNamespace(**whole)

    @mg.no_grad()
    def up(self, x: Tensor, depth: int) -> Tensor:
        """What the lowest `depth` machines make of images, (n, units)."""
        h = x.reshape(len(x), -1)
        for machine in list(self.machines)[:depth]:
            h = machine.hidden(h)
        return h

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        if self.done >= self.pretraining:
            return super().step(*batch)
        depth = self.done // self.settings.pretrain
        machine = self.machines[depth]
        v = self.up(batch[0], depth)
        with mg.no_grad():
            p = machine.hidden(v)
            machine.contrast(v, p, *machine.reconstruction(p))
        rate = CODE_RATE if isinstance(machine, GaussianCode) else 1.0
        self.descent.param_groups[depth]["lr"] = self.settings.cd_lr * rate * self.left
        self.descent.step()
        self.descent.zero_grad()  # so that no other machine moves
        self.left -= 1.0 / (self.settings.pretrain * len(self.loader))
        return {}

    def epoch(self, progress: Progress) -> dict[str, float]:
        if self.done < self.pretraining and self.done % self.settings.pretrain == 0:
            self.left = 1.0
        measured = super().epoch(progress)
        self.done += 1
        if self.done == self.pretraining:
            self.first.unfold(list(self.machines))
        return measured

    def evaluate(self) -> dict[str, float]:
        if self.done > self.pretraining:
            return super().evaluate()
        depth = (self.done - 1) // self.settings.pretrain
        machine = self.machines[depth]
        v = self.up(self.test.tensors[0], depth)
        with mg.no_grad():
            back = machine.visible(machine.hidden(v))
        return {"layer": depth + 1, "test_reconstruction": squared_error(back, v)}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"done": self.done, "left": self.left}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.done, self.left = state["done"], state["left"]

    def rows_of(self, x: Tensor) -> dict[str, np.ndarray]:
        code = self.settings.code
        return {**super().rows_of(x), f"PCA, {code}": self.linear(code)(x.numpy())}

    def foreign(self) -> dict[str, np.ndarray]:
        """Images that the network has not learned, made of the test images."""
        x = self.test.tensors[0].numpy()
        rng = np.random.default_rng(0)
        shuffled = rng.permutation(x[0].size)
        return {
            "as they are": x,
            "turned": np.rot90(x, axes=(2, 3)),
            "negative": 1.0 - x,
            "shuffled": x.reshape(len(x), -1)[:, shuffled].reshape(x.shape),
            "noise": rng.random(x.shape, dtype=x.dtype),
        }

    def report(self) -> str:
        """Errors on images of the kind that is learned, and on others."""
        linear = self.linear(self.settings.code)
        lines = [f"{'test images':14}{'autoencoder':>13}{'PCA':>10}   mean squared error an image"]
        for name, x in self.foreign().items():
            tensor = mg.tensor(np.ascontiguousarray(x)).to(self.test.tensors[0].backend)
            ours = squared_error(restored(self.network, tensor), tensor)
            lines.append(f"{name:14}{ours:13.2f}{squared_error(linear(x), x):10.2f}")
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        backend = self.test.tensors[0].backend
        names = list(self.foreign())
        two = np.stack([x[:2] for x in self.foreign().values()])
        images = mg.tensor(two.reshape(-1, *two.shape[2:])).to(backend)
        back = restored(self.first, images).numpy()
        rows = np.stack([images.numpy(), back])
        heads = [head for name in names for head in (name, "")]
        title = "What comes back of images that are no digits as it has learned them"
        pictures.table(rows, heads, title, folder / "foreign.png", ("image", "back"))
        ends = self.examples_of_each()
        half = len(ends) // 2
        lines = np.stack(
            [between(self.first, ends[i], ends[i + half], 11).numpy() for i in range(half)]
        )
        title = "From the code of one test image to that of another, in equal steps"
        pictures.table(lines, [], title, folder / "interpolation.png")


CODE_RATE = 0.04  # part of the learning rate for the machine of the code, which has no bounds


class PlaneTraining(AutoencoderTraining):
    """A code of two numbers, which can be looked at, beside a wider one."""

    def title(self, name: str) -> str:
        return "2 numbers" if name == "plane" else f"{self.settings.code} numbers"

    def maps(self) -> dict[str, np.ndarray]:
        """The codes of the test images in the plane, (n, 2), by the autoencoder and by PCA."""
        network = self.first
        network.eval()
        x = self.test.tensors[0]
        with mg.no_grad():
            codes = network.encode(x).numpy()
        return {"autoencoder": codes, "PCA": self.linear(2).encode(x.numpy())}

    def report(self) -> str:
        """Errors beside those of PCA, and how well the digits part in the plane."""
        x, labels = (tensor.numpy() for tensor in self.test.tensors)
        lines = []
        for measured, code in zip(self.evaluate().values(), (2, self.settings.code), strict=True):
            linear = squared_error(self.linear(code)(x), x)
            lines.append(f"{code:2} numbers: test error {measured:.2f}, PCA {linear:.2f}")
        for name, codes in self.maps().items():
            same = 100.0 * neighbours(codes, labels)
            lines.append(f"nearest neighbour in the plane of the same class: {name} {same:.1f} %")
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        draw_maps(self.maps(), self.test.tensors[1].numpy(), self.classes, folder / "map.png")


class DenoisingTraining(AutoencoderTraining):
    """The test images have the same noise in every run."""

    metric = "test_psnr"
    curve = ("test_psnr", "peak signal-to-noise ratio (dB)")

    def __init__(self, network: Autoencoders, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        with seeded(0):
            self.noisy = self.first.corrupted(data.test.tensors[0])

    def evaluate(self) -> dict[str, float]:
        x = self.test.tensors[0]
        back = restored(self.network, self.noisy)
        return {"test_psnr": psnr(back, x), "test_error": squared_error(back, x)}

    def filtered(self, n: int) -> tuple[np.ndarray, str]:
        """The first n noisy test images by Wiener's filter, and how that is set."""
        settings = self.settings
        power = settings.noise**2 if settings.corruption == "gaussian" else None
        clean = self.test.tensors[0][:n].numpy()
        return best_wiener(self.noisy[:n].numpy(), clean, power)

    def report(self) -> str:
        """Ratios of the noisy images, of Wiener's filter and of the network."""
        x = self.test.tensors[0]
        filtered, setting = self.filtered(len(x))
        ours = psnr(restored(self.network, self.noisy), x)
        wieners, clipped = (psnr(y, x.numpy()) for y in (filtered, filtered.clip(0.0, 1.0)))
        return (
            f"peak signal-to-noise ratio: noisy {psnr(self.noisy, x):.2f} dB, autoencoder "
            f"{ours:.2f} dB, {ours - wieners:.2f} dB above Wiener's filter ({setting}), which has "
            f"{wieners:.2f} dB, and {clipped:.2f} dB if clipped to [0, 1]"
        )

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        self.draw_learning(history, folder / "curves.png")
        n = 10
        x, noisy = self.test.tensors[0][:n], self.noisy[:n]
        rows = {
            "noisy": noisy.numpy(),
            "Wiener": self.filtered(len(self.test))[0][:n],
            "autoencoder": restored(self.network, noisy).numpy(),
            "image": x.numpy(),
        }
        said = [
            f"{name} {psnr(images, rows['image']):.1f} dB"
            for name, images in rows.items()
            if images is not rows["image"]
        ]
        title = f"These {len(x)} test images: {', '.join(said)}"
        pictures.table(
            np.stack(list(rows.values())), [], title, folder / "denoised.png", list(rows)
        )

    def rows_of(self, x: Tensor) -> dict[str, np.ndarray]:
        noisy = self.first.corrupted(x)
        back = restored(self.network, noisy).numpy()
        return {"image": x.numpy(), "noisy": noisy.numpy(), "autoencoder": back}


class SparseTraining(AutoencoderTraining):
    """Measures how often the units are on."""

    def activity(self) -> np.ndarray:
        """The mean of every hidden unit over the test images, (hidden,)."""
        network = self.first
        network.eval()
        with mg.no_grad():
            return network.encode(self.test.tensors[0]).mean(0).numpy()

    def evaluate(self) -> dict[str, float]:
        return {**super().evaluate(), "test_activity": float(self.activity().mean())}

    def report(self) -> str:
        """Mean activity, and how far the units are from it."""
        found, target = self.activity(), self.settings.target
        near = 100.0 * float((np.abs(found - target) <= 0.02).mean())
        return (
            f"mean activity {found.mean():.4f}, target {target:g}; {near:.1f} % of {len(found)} "
            f"units are within 0.02 of it, {found.min():.3f} to {found.max():.3f}"
        )

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        shape = self.train.tensors[0].shape[1:]
        weight = self.first.encoder[1].weight.numpy()
        strongest = np.argsort(-np.linalg.norm(weight, axis=1))[:60]
        title = f"What {len(strongest)} of {len(weight)} units look for: strokes"
        tiles = weight[strongest].reshape(-1, *shape[1:])
        pictures.weights(tiles, title, folder / "filters.png")


class CompressionTraining(AutoencoderTraining):
    """Measures bits and errors, and what JPEG does with as many bits."""

    @mg.no_grad()
    def rates(self) -> list[tuple[int, float, float]]:
        """(levels, bits per pixel, test error) of the rounded codes."""
        network = self.first
        network.eval()
        x = self.test.tensors[0]
        z = network.encode(x)
        pixels = x.size // len(x)
        found = []
        for levels in LEVELS:
            chosen = level(z, levels)
            back = network.decode(chosen * (2.0 / (levels - 1)) - 1.0)
            found.append((levels, bits(chosen.numpy()) / pixels, squared_error(back, x)))
        return found

    def jpegs(self) -> list[tuple[int, float, float]]:
        """(quality, bits per pixel without tables and sizes, test error) of JPEG."""
        x = self.test.tensors[0].numpy()
        found = []
        for quality in (*range(1, 10), *range(10, 100, 10)):
            _, coded, back = jpeg(x, quality)
            found.append((quality, 8.0 * coded / back.size, squared_error(back, x[: len(back)])))
        return found

    def report(self) -> str:
        """Bits per pixel and errors of both."""
        lines = ["                 bits per pixel  error an image"]
        for levels, rate, error in self.rates():
            lines.append(f"{levels:3} levels{rate:21.4f}{error:16.2f}")
        for quality, rate, error in self.jpegs():
            lines.append(f"JPEG, quality {quality:2}{rate:15.4f}{error:16.2f}")
        x = self.test.tensors[0].numpy()
        header, coded, back = jpeg(x, 1)
        alone, own, _ = jpeg(x[:1], 1)
        lines.append(
            f"JPEG counts the coded pixels of {len(back):,} images in one file, at quality 1 "
            f"{coded / len(back):.1f} bytes an image, without the {header} bytes of tables and "
            f"sizes; the first image by itself has {own} and {alone}"
        )
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        draw_rates(self.rates(), self.jpegs(), folder / "rate.png")


class FewLabelsTraining(DenoisingTraining):
    """After the last epoch the encoder learns to classify, from a few labels and from ten times as
    many; so does the same network from random weights."""

    def __init__(self, network: Autoencoders, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        n, most = settings.labels, len(data.train)
        if not len(data.classes) <= n <= most:
            raise ValueError(f"autoencoder: --labels wants {len(data.classes)} to {most}, got {n}")
        self.found: dict[str, list[float]] = {}  # errors in %, of every trial

    def evaluate(self) -> dict[str, float]:
        measured = super().evaluate()
        if self.learned:
            self.compare()
            for name, errors in self.found.items():
                measured[f"{name}_error"] = sum(errors) / len(errors) / 100.0
        return measured

    def counts(self) -> tuple[int, int]:
        """How many labels."""
        return self.settings.labels, min(10 * self.settings.labels, len(self.train))

    def compare(self) -> None:
        """Both networks learn the same labelled images, other ones in each trial."""
        for trial in range(self.settings.trials):
            for count in self.counts():
                images = self.labelled(count, trial)
                for start in STARTS:
                    with seeded(self.settings.seed + trial):
                        network = self.classifier(start)
                        self.tune(network, images)
                    error = 100.0 * (1.0 - accuracy(network, self.test))
                    self.found.setdefault(f"{start}_{count}", []).append(error)

    def labelled(self, count: int, trial: int) -> TensorDataset:
        """`count` training images, as many of each class as there are."""
        x, labels = self.train.tensors
        rng = np.random.default_rng(self.settings.seed + trial)
        order = rng.permutation(len(x))
        shuffled = labels.numpy()[order]
        places = np.empty(len(x), dtype=int)  # of each image among those of its class
        for label in range(len(self.classes)):
            places[shuffled == label] = np.arange((shuffled == label).sum())
        chosen = mg.tensor(order[np.argsort(places, kind="stable")[:count]]).to(x.backend)
        return TensorDataset(x[chosen], labels[chosen])

    def classifier(self, start: str) -> nn.Sequential:
        """The encoder, as it is or with random weights, and an output layer."""
        shape = self.train.tensors[0].shape[1:]
        random = Overcomplete(shape, self.settings.hidden)
        source: Any = self.first if start == "pretrained" else random
        output = nn.Linear(self.settings.hidden, len(self.classes))
        return nn.Sequential(*copy.deepcopy(source.encoder), output)

    def tune(self, network: nn.Sequential, images: TensorDataset) -> None:
        """Learn the labels of images."""
        x, labels = images.tensors
        network.train()
        optimizer = optim.Adam(network.parameters(), lr=TUNE_LR)
        schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, TUNE_STEPS)
        for _ in range(TUNE_STEPS):
            chosen = mg.randint(0, len(x), (min(len(x), 100),))
            loss = F.cross_entropy(network(x[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"found": self.found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.found = state["found"]

    def report(self) -> str:
        """Mean errors, their least and greatest."""
        lines = [super().report()]
        for name, errors in self.found.items():
            start, _, count = name.partition("_")
            mean = sum(errors) / len(errors)
            lines.append(
                f"{count} labels, {start} weights: test error {mean:.2f} % "
                f"({min(errors):.2f} to {max(errors):.2f}, {len(errors)} trials)"
            )
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        super().pictures(folder, history)
        if not self.found:
            return
        made = pictures.figure(6.0, 3.6)
        axes = pictures.grid(made, 1, 1)[0, 0]
        means = []
        for start, colour in zip(STARTS, COLOURS, strict=False):
            for place, count in enumerate(self.counts()):
                errors = self.found[f"{start}_{count}"]
                mean = sum(errors) / len(errors)
                means.append(mean)
                label = f"{start} weights" if place == 0 else None
                axes.plot([place] * len(errors), errors, "o", color=colour, markersize=4, alpha=0.5)
                axes.plot(place, mean, "_", color=colour, markersize=28, label=label)
                axes.annotate(f"{mean:.1f} %", (place + 0.12, mean), va="center", color=colour)
        axes.set_xticks(range(2), [f"{count:,} labels" for count in self.counts()])
        axes.set(xlim=(-0.5, 1.5), ylim=(0.0, None))
        axes.set_ylabel("wrong test images (%)")
        axes.set_title("A line is the mean of the trials, each a point")
        axes.legend()
        pictures.save(made, folder / "few-labels.png")


STARTS = ("pretrained", "random")
TUNE_LR = 1e-3
TUNE_STEPS = 300


# ---------------------------------------------------------------------------------------------
# The commands
# ---------------------------------------------------------------------------------------------


TRAININGS = {
    "undercomplete": UndercompleteTraining,
    "plane": PlaneTraining,
    "denoising": DenoisingTraining,
    "sparse": SparseTraining,
    "convolutional": AutoencoderTraining,
    "compression": CompressionTraining,
    "few-labels": FewLabelsTraining,
}


def _training(network: Any, data: Examples, settings: SimpleNamespace) -> AutoencoderTraining:
    return TRAININGS[settings.kind](network, data, settings)


def _build(data: DataSet, settings: SimpleNamespace) -> Autoencoders:
    _check(settings)
    shape, kind, hidden = data.shape, settings.kind, settings.hidden
    networks: dict[str, nn.Module] = {}
    if kind == "denoising":
        convolutional = Convolutional(shape, settings.filters, settings.code)
        networks["autoencoder"] = Denoising(convolutional, settings.corruption, settings.noise)
    elif kind == "few-labels":
        wide = Overcomplete(shape, hidden)
        networks["autoencoder"] = Denoising(wide, settings.corruption, settings.noise)
    elif kind == "sparse":
        networks["autoencoder"] = Sparse(
            shape, hidden, settings.target, settings.sparsity, settings.decay
        )
    elif kind == "compression":
        networks["autoencoder"] = Compression(shape, hidden, settings.code)
    elif kind == "undercomplete":
        networks["autoencoder"] = Undercomplete(shape, hidden, settings.code)
    elif kind == "plane":
        networks["plane"] = Undercomplete(shape, hidden, 2)
        networks["wide"] = Undercomplete(shape, hidden, settings.code)
    else:
        networks["convolutional"] = Convolutional(shape, settings.filters, settings.code)
        networks["dense"] = Undercomplete(shape, hidden, settings.code)
    return Autoencoders(networks)


def _check(settings: SimpleNamespace) -> None:
    """Refuse settings that make no network."""
    least = {"code": 1, "hidden": 4, "filters": 1, "trials": 1}
    for name, low in least.items():
        value = getattr(settings, name, low)
        if value < low:
            wanted = "a positive integer" if low == 1 else f"at least {low}"
            raise ValueError(f"autoencoder: --{name} wants {wanted}, got {value}")
    if not 0.0 < getattr(settings, "target", 0.5) < 1.0:
        raise ValueError(f"autoencoder: --target wants 0 < ρ < 1, got {settings.target:g}")
    if getattr(settings, "corruption", "") == "masking" and settings.noise >= 1.0:
        raise ValueError(
            f"autoencoder: --noise wants less than 1 where it masks, which puts out all pixels, "
            f"got {settings.noise:g}"
        )


def _presets(
    epochs: int, code: int, filters: int, labels: int
) -> dict[str, dict[str, int | float | str]]:
    """What each kind has of its own, for a data set; `epochs` of all but the undercomplete one."""
    few = {"labels": labels, "trials": 5}
    return {
        "undercomplete": {"code": code, "pretrain": 0, "cd_lr": 0.05},
        "plane": {"epochs": epochs, "code": code},
        "denoising": {
            "epochs": epochs,
            "batch_size": 50,
            "lr": 2e-3,
            "corruption": "gaussian",
            "noise": 0.5,
            "code": 8 * code,
            "filters": 16,
        },
        "sparse": {"epochs": epochs, "target": 0.05, "sparsity": 2.0, "decay": 0.001},
        "convolutional": {"epochs": epochs, "code": code, "filters": filters},
        "compression": {"epochs": epochs, "code": code},
        "few-labels": {"epochs": epochs, "corruption": "masking", "noise": 0.5, **few},
    }


ARCHITECTURE = Architecture(
    title="Autoencoder",
    paper="Rumelhart, Hinton & Williams 1986, Learning internal representations by error "
    "propagation; Hinton & Salakhutdinov 2006, Reducing the dimensionality of data with neural "
    "networks",
    reference="mnist: test_error 3.00, pre-trained; 13.87 by PCA with 30 components "
    "(Hinton & Salakhutdinov 2006)",
    settings={
        "digits": {
            "kind": "undercomplete",
            "epochs": 60,
            "batch_size": 50,
            "lr": 2e-3,
            "hidden": 200,
        },
        "mnist": {
            "kind": "undercomplete",
            "epochs": 60,
            "batch_size": 200,
            "lr": 1e-3,
            "hidden": 1000,
        },
    },
    presets={
        "digits": _presets(60, code=10, filters=16, labels=50),
        "mnist": _presets(30, code=30, filters=32, labels=100),
    },
    meaning={
        "kind": "what keeps the network from a mere copy, and what is measured",
        "hidden": "units of the first hidden layer",
        "code": "numbers of a code",
        "pretrain": "passes over the images before all others, for the machine of each layer",
        "cd_lr": "learning rate of the machines",
        "corruption": "noise: added to all pixels, or some pixels put out",
        "noise": "its standard deviation, or the part of the pixels",
        "target": "the part of the images for which a unit is to be on",
        "sparsity": "strength of the penalty on units that are on more often, or less",
        "decay": "strength of the penalty on its weights, ½ |w|²",
        "filters": "maps of the first convolution, half of those of the second",
        "labels": "labels that the classifier learns from, and in its second trial ten times them",
        "trials": "times that it does so, with other labels",
    },
    choices={"kind": tuple(TRAININGS), "corruption": ("gaussian", "masking")},
    cost={
        "digits": "10 s, 0.2 GiB",
        "mnist": "15 min, 0.6 GiB",
    },
    build=_build,
    training=_training,
)
