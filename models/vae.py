"""The variational autoencoder: a code with a distribution, so that new codes can be drawn.

D. P. Kingma and M. Welling 2014, "Auto-encoding variational Bayes", ICLR; D. J. Rezende, S. Mohamed
and D. Wierstra 2014, "Stochastic backpropagation and approximate inference in deep generative
models", ICML.

An image x comes from a code z that nobody sees. Codes are normally distributed, and the decoder
gives the probability π(z) of every pixel to be on:

    p(z) = N(0, I)        p(x | z) = Πᵢ πᵢ^xᵢ (1 − πᵢ)^(1 − xᵢ)        π = σ(decoder(z))

log p(x) is an integral over all codes, and so is p(z | x). The encoder guesses the latter, a mean
and a variance for each unit of the code, and any guess q gives a lower bound of the former:

    q(z | x) = N(μ, σ²)   with   μ, log σ² = encoder(x)

    log p(x) ≥ ELBO = E_q[log p(x | z)] − KL(q(z | x) ‖ p(z))
    KL = ½ Σⱼ (μⱼ² + σⱼ² − log σⱼ² − 1)

The gap is KL(q(z | x) ‖ p(z | x)). The first term wants codes that tell images apart, the second
wants all images to have the code of the prior: reconstruction against latent loss.

**Reparameterisation.** A draw from q has no gradient. Written as a shift and a scale of noise that
does not depend on the weights, it has:

    z = μ + σ ε        ε ~ N(0, I)

One draw for each image is enough, since an epoch has many.

**The importance-weighted bound** (Y. Burda, R. Grosse and R. Salakhutdinov 2016, "Importance
weighted autoencoders", ICLR) takes k draws and comes the nearer to log p(x) the more they are:

    L_k = E[log (1/k) Σᵢ wᵢ]        wᵢ = p(x, zᵢ) / q(zᵢ | x)        ELBO = L₁ ≤ L_k ≤ log p(x)

L₅₀₀₀ of the test images is what models of this kind are compared by. Their layers are those here:

    784 – tanh 200 – tanh 200 – 50 means, 50 log variances       50 – tanh 200 – tanh 200 – 784

and their learning took 3,280 epochs. Here 500 have to do, with larger batches and a learning rate
that falls along half a cosine. ``--network convolutional`` has two strided convolutions, and
transposed ones in the decoder.

**The trade** (I. Higgins et al. 2017, "β-VAE: learning basic visual concepts with a constrained
variational framework", ICLR). E_q[log p(x | z)] − β KL: with β < 1 codes say more of the image, but
what is drawn from the prior is no code of any image; with β > 1 fewer units of the code are used,
and images blur. ``--study trade`` learns with seven values of β side by side.

**Between two codes** lies the code of something between two images, since every point where the
prior is has been decoded in training, with noise around each code. A plain autoencoder, with the
same layers and nothing but the reconstruction to learn, promises nothing between its codes. It
learns beside, from the same batches, for as many epochs as ``--autoencoder`` says.

**Images as bits.** As in the paper of Burda et al., the grey value of a pixel is the probability
that it is on. It is drawn anew whenever a training image is seen, and once for the test images, the
same for all seeds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from scipy.special import ndtr, ndtri

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.backend import seeded
from minigrad.data import TensorDataset
from minigrad.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.data import DataSet, Examples, check_divisible
from models.judge import judge, knows
from models.training import Training

NETWORKS = ("dense", "convolutional")
STUDIES = ("bound", "trade")
BETAS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 10.0)
ROWS = 500  # codes to decode at once, so that their images stay in the processor's cache
USED = 0.01  # a unit is used where its μ has a larger variance over images (Burda et al.)


# ---------------------------------------------------------------------------------------------
# The networks
# ---------------------------------------------------------------------------------------------


def _layers(
    network: str, shape: tuple[int, ...], width: int, code: int, outputs: int
) -> tuple[nn.Sequential, nn.Sequential]:
    """The encoder, (n, c, h, w) → (n, outputs), and the decoder, (n, code) → (n, c, h, w).

    Args:
        network: one of `NETWORKS`.
        shape: (c, h, w).
        width: units of every hidden layer, or feature maps next to the image, with twice as many
            further in.
    """
    c, h, w = shape
    if network == "dense":
        pixels = c * h * w
        encoder = [nn.Flatten(), nn.Linear(pixels, width), nn.Tanh(), nn.Linear(width, width)]
        decoder = [nn.Linear(code, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh()]
        return (
            nn.Sequential(*encoder, nn.Tanh(), nn.Linear(width, outputs)),
            nn.Sequential(*decoder, nn.Linear(width, pixels), nn.Unflatten(1, shape)),
        )
    check_divisible("vae", shape, 4)
    inner = (2 * width, h // 4, w // 4)
    features = math.prod(inner)
    return (
        nn.Sequential(
            nn.Conv2d(c, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(features, outputs),
        ),
        nn.Sequential(
            nn.Linear(code, features),
            nn.ReLU(),
            nn.Unflatten(1, inner),
            nn.ConvTranspose2d(2 * width, width, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, c, 4, stride=2, padding=1),
        ),
    )


class PlainAutoencoder(nn.Module):
    """An image to a code and back: x (n, c, h, w) → z (n, code) → logits of x.

    Args:
        network: one of `NETWORKS`.
        shape: of an image, (c, h, w).
        width: of the hidden layers, see `_layers`.
        code: units of the code.
    """

    statistics = 1  # numbers that the encoder says of each unit of the code

    def __init__(self, network: str, shape: tuple[int, ...], width: int, code: int) -> None:
        super().__init__()
        outputs = self.statistics * code
        self.encoder, self.decoder = _layers(network, shape, width, code, outputs)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                nn.init.xavier_uniform_(parameter)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def encode(self, x: Tensor) -> Tensor:
        """The code of images, (n, code)."""
        return self.encoder(x)

    def decode(self, z: Tensor) -> Tensor:
        """The logits of the pixels' probabilities, (n, c, h, w)."""
        return self.decoder(z)

    def images(self, z: Tensor) -> Tensor:
        """The pixels' probabilities π, (n, c, h, w)."""
        return mg.sigmoid(self.decode(z))

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))

    def loss(self, x: Tensor) -> Tensor:
        """−log p(x | code of x), the mean over images of (n, c, h, w)."""
        return -log_likelihood(x, self(x)).mean()


class VAE(PlainAutoencoder):
    """An image to the distribution of its code, and a code to an image.

    Args:
        beta: the weight of the latent loss.
    """

    statistics = 2

    def __init__(
        self, network: str, shape: tuple[int, ...], width: int, code: int, beta: float = 1.0
    ) -> None:
        super().__init__(network, shape, width, code)
        self.code = code
        self.beta = beta

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ² of q(z | x), each (n, code)."""
        said = self.encoder(x)
        return said[:, : self.code], said[:, self.code :]

    def encode(self, x: Tensor) -> Tensor:
        return self.posterior(x)[0]

    def terms(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """log p(x | z) for one z of q(z | x), (n,), and KL(q(z | x) ‖ p(z)) by unit, (n, code)."""
        mean, log_variance = self.posterior(x)
        z = drawn(mean, log_variance)
        return log_likelihood(x, self.decode(z)), divergence(mean, log_variance)

    def loss(self, x: Tensor) -> Tensor:
        """−log p(x | z) + β KL(q(z | x) ‖ p(z)), the mean over images."""
        likelihood, kl = self.terms(x)
        return (self.beta * kl.sum(1) - likelihood).mean()

    def log_weights(self, x: Tensor, k: int) -> Tensor:
        """log p(x, z) / q(z | x) for k draws of q(z | x), (n, k).

        log p(z) − log q(z | x) = ½ Σⱼ (εⱼ² − zⱼ² + log σⱼ²) where z = μ + σ ε.
        """
        n, shape = len(x), x.shape[1:]
        mean, log_variance = (said.reshape(n, 1, -1) for said in self.posterior(x))
        noise = mg.randn(n, k, self.code)
        z = mean + mg.exp(0.5 * log_variance) * noise
        ratio = 0.5 * (noise * noise - z * z + log_variance).sum(2)
        logits = self.decode(z.reshape(n * k, -1)).reshape(n, k, *shape)
        repeated = mg.broadcast_to(x.reshape(n, 1, *shape), logits.shape)
        return log_likelihood(repeated, logits) + ratio


def drawn(mean: Tensor, log_variance: Tensor) -> Tensor:
    """z = μ + σ ε: a draw of N(μ, σ²) through which gradients reach μ and σ."""
    return mean + mg.exp(0.5 * log_variance) * mg.randn(*mean.shape)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(μ, σ²) ‖ N(0, 1)) = ½ (μ² + σ² − log σ² − 1), element by element."""
    return 0.5 * (mean * mean + mg.exp(log_variance) - log_variance - 1.0)


def log_likelihood(x: Tensor, logits: Tensor) -> Tensor:
    """log p of bits x (…, c, h, w) whose probabilities to be on are given by their logits, (…)."""
    losses = F.binary_cross_entropy_with_logits(logits, x, reduction="none")
    return -losses.sum((-3, -2, -1))


# ---------------------------------------------------------------------------------------------
# Measuring
# ---------------------------------------------------------------------------------------------


@mg.no_grad()
def bounds(network: VAE, x: Tensor, counts: Sequence[int]) -> dict[int, float]:
    """L_k for each count k, the mean over images x (n, c, h, w).

    For every image as many draws are made as the largest count says, and each k is estimated from
    all groups of k draws.
    """
    most = max(counts)
    pieces = [min(ROWS, most - start) for start in range(0, most, ROWS)]
    block = max(1, ROWS // most)
    totals: dict[int, Any] = dict.fromkeys(counts, 0.0)
    for start in range(0, len(x), block):
        images = x[start : start + block]
        logs = mg.concatenate([network.log_weights(images, k) for k in pieces], axis=1)
        logs = logs.astype("float64")
        for k in counts:
            groups = logs[:, : most // k * k].reshape(len(images), -1, k)
            totals[k] = totals[k] + (mg.logsumexp(groups, 2) - math.log(k)).mean(1).sum()
    return {k: float(total) / len(x) for k, total in totals.items()}


@mg.no_grad()
def terms_of(network: VAE, x: Tensor) -> dict[str, float]:
    """The negative ELBO of images x (n, c, h, w) and its two terms, means over images, and the
    number of units of the code that are used: whose μ differs from image to image."""
    found = [(*network.terms(part), network.encode(part)) for part in _parts(x)]
    likelihood, kl, mean = (mg.concatenate(parts) for parts in zip(*found, strict=True))
    terms = {"reconstruction": -float(likelihood.mean()), "kl": float(kl.sum(1).mean())}
    used = (mean.var(0) > USED).sum()
    return {"negative_elbo": sum(terms.values()), **terms, "used_units": float(used)}


def _parts(x: Tensor) -> list[Tensor]:
    return [x[start : start + 1000] for start in range(0, len(x), 1000)]


def bits_of(data: TensorDataset) -> Tensor:
    """The images of a data set as bits, the same at every call."""
    with seeded(0):
        return mg.bernoulli(data.tensors[0])


def pairs(labels: np.ndarray, most: int) -> dict[str, tuple[list[int], list[int]]]:
    """Indices of two images each: of two classes and of one, at most so many pairs of either kind,
    the same at every call."""
    rng = np.random.default_rng(0)
    first, second = rng.permutation(len(labels)), rng.permutation(len(labels))
    same = labels[first] == labels[second]
    kinds = {"two classes": ~same, "one class": same & (first != second)}
    return {
        kind: (first[rows][:most].tolist(), second[rows][:most].tolist())
        for kind, rows in kinds.items()
    }


@mg.no_grad()
def samples(network: VAE, count: int) -> Tensor:
    """What the decoder makes of codes drawn from the prior: the pixels' π, (count, c, h, w)."""
    codes = mg.randn(count, network.code)
    return mg.concatenate([network.images(part) for part in _parts(codes)])


def _check(settings: SimpleNamespace, *names: str) -> None:
    """Refuse settings that are not positive."""
    for name in names:
        value = getattr(settings, name)
        if value < 1:
            raise ValueError(f"vae: --{name} wants a positive integer, got {value}")


# ---------------------------------------------------------------------------------------------
# One VAE, and a plain autoencoder beside it
# ---------------------------------------------------------------------------------------------

COUNTS = (1, 5, 50, 500)  # draws k whose bound is measured besides the most
PAIRS = 1000  # of test images between whose codes the judge looks
PLACES = 11  # where it looks on the way from one to the other
SHOWN = 10  # test images in a picture


class VAETraining(Training):
    """Learns by Adam with a rate that falls to 0 along half a cosine; so does, for epochs of its
    own, a plain autoencoder from the same batches."""

    metric = "test_negative_elbo"
    network: VAE

    def __init__(self, network: VAE, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        _check(settings, "autoencoder")
        self.shape = data.train.tensors[0].shape[1:]
        self.bits = bits_of(data.test)
        with seeded(settings.seed):  # so that nothing else depends on its being there
            options = (settings.network, self.shape, settings.width, settings.code)
            self.plain = PlainAutoencoder(*options).to(self.bits.backend)
        self.steps = settings.epochs * len(self.loader)
        self.plain_steps = min(settings.autoencoder, settings.epochs) * len(self.loader)
        self.optimizer = optim.Adam(network.parameters(), lr=settings.lr)
        self.plain_optimizer = optim.Adam(self.plain.parameters(), lr=settings.lr)
        self.schedule = CosineAnnealingLR(self.optimizer, self.steps)
        self.plain_schedule = CosineAnnealingLR(self.plain_optimizer, self.plain_steps)
        self.found: dict[str, float] = {}  # in the last epoch

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        x = mg.bernoulli(batch[0])
        means = {"train_loss": _learn([self.network], x, self.optimizer, self.schedule)[0]}
        if self.plain_schedule.last_epoch < self.plain_steps:
            learned = _learn([self.plain], x, self.plain_optimizer, self.plain_schedule)
            means["autoencoder_train_loss"] = learned[0]
        return means

    def evaluate(self) -> dict[str, float]:
        """The negative ELBO and its terms; after the last epoch also the negative bounds −L_k."""
        found = {f"test_{name}": value for name, value in terms_of(self.network, self.bits).items()}
        if self.schedule.last_epoch == self.steps:
            reached = bounds(self.network, self.bits, self.counts)
            found |= {f"test_negative_bound_{k}": -bound for k, bound in reached.items()}
        self.found = found
        return found

    @property
    def counts(self) -> list[int]:
        """The numbers of draws whose bound is measured."""
        most = self.settings.samples
        return [*(k for k in COUNTS if k < most), most]

    @property
    def networks(self) -> dict[str, PlainAutoencoder]:
        """By the names that pictures give them."""
        return {"VAE": self.network, "autoencoder": self.plain}

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"found": self.found}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.found = state["found"]

    # -- Between two codes ------------------------------------------------------------------------

    @mg.no_grad()
    def paths(self, first: list[int], second: list[int]) -> dict[str, Tensor]:
        """What lies between test images whose indices are given, (n, PLACES, c, h, w): decoded from
        the straight line between their codes, and the images themselves, faded over."""
        images = self.test.tensors[0]
        t = mg.linspace(0.0, 1.0, PLACES, dtype=images.dtype).reshape(-1, 1)

        def between(x: Tensor, y: Tensor) -> Tensor:
            x, y = (end.reshape(len(first), 1, -1) for end in (x, y))
            return (x + t * (y - x)).reshape(len(first) * PLACES, -1)

        found = {}
        for name, network in self.networks.items():
            ends = (network.encode(self.bits[chosen]) for chosen in (first, second))
            found[name] = network.images(between(*ends))
        found["images faded over"] = between(images[first], images[second])
        return {name: x.reshape(-1, PLACES, *self.shape) for name, x in found.items()}

    @cached_property
    def confidences(self) -> dict[str, dict[str, np.ndarray]]:
        """How sure the judge is of what lies between two test images: the mean over pairs, at each
        place (PLACES,), by the kinds of `pairs` and the names of `paths`; nothing where the judge
        does not know such images."""
        if not knows(self.shape, self.classes):
            return {}
        seen = judge(self.bits.backend)
        found = {}
        for kind, (first, second) in pairs(self.test.tensors[1].numpy(), PAIRS).items():
            sure = {
                name: seen.probabilities(x.reshape(-1, *self.shape)).max(1)
                for name, x in self.paths(first, second).items()
            }
            found[kind] = {name: x.reshape(-1, PLACES).mean(0) for name, x in sure.items()}
        return found

    # -- What is said and drawn -------------------------------------------------------------------

    def report(self) -> str:
        found = self.found
        terms = [found[f"test_{name}"] for name in ("negative_elbo", "reconstruction", "kl")]
        reached = [f"{found[f'test_negative_bound_{k}']:.2f}" for k in self.counts]
        lines = [
            "negative ELBO {:.2f} nats = reconstruction {:.2f} + KL {:.2f}; ".format(*terms)
            + f"{found['test_used_units']:.0f} of {self.settings.code} units of the code are used",
            f"negative importance-weighted bound by {', '.join(f'{k:,}' for k in self.counts)} "
            f"draws: {', '.join(reached)} nats",
        ]
        for kind, sure in self.confidences.items():
            middle = ", ".join(f"{name} {x[PLACES // 2]:.3f}" for name, x in sure.items())
            ends = ", ".join(f"{name} {x[[0, -1]].mean():.3f}" for name, x in sure.items())
            lines += [f"the judge is sure half-way between digits of {kind}: {middle}"]
            lines += [f"    and at the ends: {ends}"]
        if knows(self.shape, self.classes):
            said = judge(self.bits.backend).measure(samples(self.network, 10_000))
            lines += ["10,000 samples: " + ", ".join(f"{k} {v:.3f}" for k, v in said.items())]
        return "\n".join(lines)

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        if history:
            self._draw_learning(history, folder / "learning.png")
        self._draw_reconstructions(folder / "reconstructions.png")
        self.sample(50, folder)
        if self.settings.code == 2:
            self._draw_plane(folder / "plane.png")
        else:
            self._draw_traversals(folder / "traversals.png")
        self._draw_paths(folder / "paths.png")
        if self.confidences:
            self._draw_confidences(folder / "confidences.png")

    def sample(self, count: int, folder: Path) -> str:
        title = "Samples: what the decoder makes of codes drawn from the prior"
        pictures.sheet(samples(self.network, count).numpy(), title, folder / "samples.png")
        return ""

    def _draw_learning(self, history: list[dict[str, Any]], path: Path) -> None:
        """The negative ELBO and its terms over the epochs, and the bounds over their draws."""
        epochs = [entry["epoch"] for entry in history]
        reached = [self.found[f"test_negative_bound_{k}"] for k in self.counts]
        made = pictures.figure(9.0, 3.2)
        left, right = pictures.grid(made, 1, 2)[0]
        for name, label, colour in (
            ("negative_elbo", "negative ELBO", pictures.BLUE),
            ("reconstruction", "reconstruction", pictures.ORANGE),
            ("kl", "KL", pictures.GREEN),
        ):
            values = [entry[f"test_{name}"] for entry in history]
            left.plot(epochs, values, color=colour, label=f"{label}: {values[-1]:.1f} at the end")
        left.set(title="The two losses and their sum", xlabel="epoch", ylim=(0.0, None))
        left.set_ylabel("mean over test images (nats)")
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.legend()
        right.plot(self.counts, reached, "o-", color=pictures.BLUE)
        title = f"The bound: from {reached[0]:.1f} to {reached[-1]:.1f} nats"
        right.set(title=title, xlabel="draws k of the code of each image", xscale="log")
        right.set_ylabel("negative bound $-L_k$ (nats)")
        for axes in (left, right):
            axes.grid(alpha=0.3)
        pictures.save(made, path)

    @mg.no_grad()
    def _draw_reconstructions(self, path: Path) -> None:
        """Test images, and what comes back from their codes."""
        bits = self.bits[:SHOWN]
        back = [network.images(network.encode(bits)) for network in self.networks.values()]
        title = "Test images, and what comes back from their codes"
        rows = mg.stack([bits, *back]).numpy()
        pictures.table(rows, [], title, path, beside=["image", *self.networks])

    @mg.no_grad()
    def _draw_traversals(self, path: Path) -> None:
        """What the units of the code that say most mean: one image, with one of them changed."""
        kl = mg.concatenate([self.network.terms(part)[1] for part in _parts(self.bits)]).mean(0)
        units = np.argsort(-kl.numpy(), kind="stable")[:6]
        values = np.linspace(-3.0, 3.0, PLACES)
        code = self.network.encode(self.bits[:1]).numpy()
        codes = np.tile(code, (len(units), PLACES, 1))
        codes[np.arange(len(units)), :, units] = values
        z = mg.tensor(codes.reshape(-1, self.settings.code)).to(self.bits.backend)
        rows = self.network.images(z).numpy().reshape(len(units), PLACES, *self.shape)
        title = "One unit of an image's code changed at a time: those with the largest KL, in nats"
        beside = [f"unit {unit}, KL {kl.numpy()[unit]:.1f}" for unit in units]
        pictures.table(rows, [f"{value:+.1f}" for value in values], title, path, beside)

    @mg.no_grad()
    def _draw_plane(self, path: Path) -> None:
        """A code of two units: where the test images are, and what is decoded from where."""
        means = mg.concatenate([self.network.encode(part) for part in _parts(self.bits)]).numpy()
        labels = self.test.tensors[1].numpy()
        made = pictures.figure(9.6, 4.9)
        left, right = pictures.grid(made, 1, 2)[0]
        area = min(10.0, 2e4 / len(labels))  # points that many images leave room for
        for label, name in enumerate(self.classes):
            x, y = means[labels == label].T
            left.scatter(x, y, s=area, color=f"C{label}", alpha=0.4, linewidth=0.0)
            style: dict[str, Any] = {"ha": "center", "va": "center", "weight": "bold"}
            box = {"boxstyle": "circle,pad=0.15", "facecolor": "w", "alpha": 0.8, "linewidth": 0.0}
            left.text(np.median(x), np.median(y), name, color=f"C{label}", bbox=box, **style)
        left.set(title="The means of the codes of test images", aspect="equal")
        n = 20
        parts = (np.arange(n) + 0.5) / n
        first, second = np.meshgrid(ndtri(parts), ndtri(parts[::-1]))
        codes = np.stack([first, second], axis=2).reshape(-1, 2).astype(means.dtype)
        tiles = self.network.images(mg.tensor(codes).to(self.bits.backend)).numpy()[:, 0]
        h, w = self.shape[1:]
        mosaic = tiles.reshape(n, n, h, w).swapaxes(1, 2).reshape(n * h, n * w)
        right.imshow(mosaic, cmap="gray_r", vmin=0.0, vmax=1.0, extent=(0.0, 1.0, 0.0, 1.0))
        ticks = np.array((-1.5, -0.5, 0.0, 0.5, 1.5))
        names = [f"{tick:g}".replace("-", "−") for tick in ticks]
        right.set_xticks(ndtr(ticks), names)
        right.set_yticks(ndtr(ticks), names)
        right.set_title("What is decoded, equal parts of the prior side by side")
        for axes in (left, right):
            axes.set(xlabel="$z_1$", ylabel="$z_2$")
        pictures.save(made, path)

    def _draw_paths(self, path: Path) -> None:
        """What lies between the codes of three pairs of test images."""
        chosen = pairs(self.test.tensors[1].numpy(), 3)["two classes"]
        found = self.paths(*chosen)
        rows = np.stack([x.numpy() for x in found.values()], axis=1)
        rows = rows.reshape(-1, PLACES, *self.shape)
        names = [f"{t:.1f}" for t in np.linspace(0.0, 1.0, PLACES)]
        title = "Between two test images: t of the way from the code of one to that of the other"
        beside = [*found] * len(chosen[0])
        pictures.table(rows, names, title, path, beside)

    def _draw_confidences(self, path: Path) -> None:
        """How sure the judge is on the way from one digit to another."""
        t = np.linspace(0.0, 1.0, PLACES)
        made = pictures.figure(9.0, 3.8)
        colours = (pictures.BLUE, pictures.ORANGE, pictures.GREY)
        panels = pictures.grid(made, 1, 2, sharey=True)[0]
        for axes, (kind, sure) in zip(panels, self.confidences.items(), strict=True):
            for (name, values), colour in zip(sure.items(), colours, strict=True):
                label = f"{name}, {values[PLACES // 2]:.2f} half-way"
                axes.plot(t, values, "o-", color=colour, markersize=3, label=label)
            axes.set(title=f"Between digits of {kind}", xlabel="way from code to code, t")
            axes.grid(alpha=0.3)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2))
        panels[0].set_ylabel("the judge's mean confidence")
        pictures.save(made, path)


def _learn(
    networks: Iterable[PlainAutoencoder],
    x: Tensor,
    optimizer: optim.Optimizer,
    schedule: LRScheduler,
) -> list[Tensor]:
    """One step of all networks on bits x (n, c, h, w); returns their losses."""
    losses = [network.loss(x) for network in networks]
    optimizer.zero_grad()
    for loss in losses:
        loss.backward()
    optimizer.step()
    schedule.step()
    return [loss.detach() for loss in losses]


# ---------------------------------------------------------------------------------------------
# One VAE for each β
# ---------------------------------------------------------------------------------------------


class TradeTraining(Training):
    """A VAE for each of `BETAS`, all of which learn from the same batches.

    They share no parameter, and Adam treats every number by itself, so that one optimizer trains
    each as if it were alone. A negative ELBO has its network's β behind the name.
    """

    metric = "test_negative_elbo_1"
    network: Any  # a ModuleList of VAEs

    def __init__(self, network: nn.ModuleList, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.shape = data.train.tensors[0].shape[1:]
        self.bits = bits_of(data.test)
        self.optimizer = optim.Adam(network.parameters(), lr=settings.lr)
        self.schedule = CosineAnnealingLR(self.optimizer, settings.epochs * len(self.loader))

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        x = mg.bernoulli(batch[0])
        losses = _learn(self.network, x, self.optimizer, self.schedule)
        return {"train_loss": mg.stack(losses).mean()}

    def evaluate(self) -> dict[str, float]:
        return {
            f"test_negative_elbo_{vae.beta:g}": terms_of(vae, self.bits)["negative_elbo"]
            for vae in self.network
        }

    @cached_property
    def table(self) -> list[dict[str, float]]:
        """A row for each network: what is measured, and what the judge, if it knows such images,
        says of 10,000 samples."""
        rows = []
        for vae in self.network:
            draws = self.settings.samples
            bound = bounds(vae, self.bits, [draws])[draws]
            terms = terms_of(vae, self.bits)
            row = {"beta": vae.beta, **terms, f"negative_bound_{draws}": -bound}
            if knows(self.shape, self.classes):
                row |= judge(self.bits.backend).measure(samples(vae, 10_000))
            rows.append(row)
        return rows

    def report(self) -> str:
        names = [name.replace("_", " ") for name in self.table[0]]
        lines = ["  ".join(names)]
        for row in self.table:
            pairs_ = zip(names, row.values(), strict=True)
            lines.append("  ".join(f"{value:{len(name)}.4g}" for name, value in pairs_))
        return "\n".join(lines)

    @mg.no_grad()
    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        """Reconstruction against KL; images that come back, and samples, for three values of β."""
        made = pictures.figure(10.0, 4.4)
        parts: Any = made.subfigures(1, 2, width_ratios=(4, 5))
        left, right = parts
        axes = pictures.grid(left, 1, 1)[0, 0]
        x, y = ([row[name] for row in self.table] for name in ("kl", "reconstruction"))
        axes.plot(x, y, "o-", color=pictures.BLUE)
        labels: dict[tuple[int, int], Any] = {}
        for at, vae in zip(zip(x, y, strict=True), self.network, strict=True):
            place = round(at[0]), round(at[1])
            if place in labels:  # β makes no difference any more
                labels[place].set_text(f"{labels[place].get_text()}, {vae.beta:g}")
            else:
                style: dict[str, Any] = {"xytext": (5, 4), "textcoords": "offset points"}
                labels[place] = axes.annotate(f"β = {vae.beta:g}", at, **style)
        axes.set(xlabel="KL (nats)", ylabel="reconstruction loss (nats)")
        axes.set_title("What a code says, and what it costs")
        axes.margins(x=0.2)
        axes.grid(alpha=0.3)
        bits = self.bits[:SHOWN]
        rows, beside = [bits], ["images"]
        for vae in (self.network[0], self.network[BETAS.index(1.0)], self.network[-1]):
            rows += [vae.images(vae.encode(bits)), samples(vae, SHOWN)]
            beside += [f"β = {vae.beta:g}: back", "samples"]
        pictures.tabulate(right, mg.stack(rows).numpy(), (), beside)
        pictures.save(made, folder / "trade.png")

    def sample(self, count: int, folder: Path) -> str:
        rows = mg.stack([samples(vae, count) for vae in self.network]).numpy()
        title = "Samples: what the decoders make of codes drawn from the prior"
        beside = [f"β = {vae.beta:g}" for vae in self.network]
        pictures.table(rows, [], title, folder / "samples.png", beside)
        return ""


def _build(data: DataSet, settings: SimpleNamespace) -> nn.Module:
    _check(settings, "width", "code", "samples")
    options = (settings.network, data.shape, settings.width, settings.code)
    if settings.study == "trade":
        return nn.ModuleList([VAE(*options, beta) for beta in BETAS])
    if not settings.beta >= 0.0:
        raise ValueError(f"vae: --beta wants a non-negative number, got {settings.beta:g}")
    return VAE(*options, settings.beta)


def _training(network: Any, data: Examples, settings: SimpleNamespace) -> Training:
    return (TradeTraining if settings.study == "trade" else VAETraining)(network, data, settings)


ARCHITECTURE = Architecture(
    title="Variational autoencoder",
    paper="Kingma & Welling 2014, Auto-encoding variational Bayes; Rezende, Mohamed & Wierstra "
    "2014, Stochastic backpropagation and approximate inference in deep generative models",
    reference="mnist: test_negative_bound_5000 86.76 nats (Burda, Grosse & Salakhutdinov 2016)",
    settings={
        "digits": {
            "epochs": 100,
            "batch_size": 50,
            "lr": 2e-3,
            "study": "bound",
            "network": "dense",
            "width": 100,
            "code": 10,
            "samples": 5000,
        },
        "mnist": {
            "epochs": 500,
            "batch_size": 100,
            "lr": 2e-3,
            "study": "bound",
            "network": "dense",
            "width": 200,
            "code": 50,
            "samples": 5000,
        },
    },
    presets={
        "digits": {
            "bound": {"beta": 1.0, "autoencoder": 100},
            "trade": {"samples": 50},
            "convolutional": {"width": 16, "samples": 500},
        },
        "mnist": {
            "bound": {"beta": 1.0, "autoencoder": 40},
            "trade": {"epochs": 20, "samples": 50},
            "convolutional": {"epochs": 30, "width": 16, "samples": 500},
        },
    },
    meaning={
        "study": "one VAE and its importance-weighted bound, or one for each of seven values of "
        "beta",
        "network": "kind of the encoder's and the decoder's layers",
        "width": "units of each hidden layer, or feature maps next to the image",
        "code": "units of the code",
        "beta": "weight of the latent loss",
        "samples": "draws of each test image's code for the importance-weighted bound at the end",
        "autoencoder": "epochs in which a plain autoencoder learns from the same batches",
    },
    choices={"study": STUDIES, "network": NETWORKS},
    cost={
        "digits": "15 s, 0.2 GiB",
        "digits, trade": "30 s, 0.2 GiB",
        "mnist": "45 min, 0.6 GiB",
        "mnist, trade": "10 min, 0.6 GiB",
        "mnist, convolutional": "20 min, 0.8 GiB",
    },
    build=_build,
    training=_training,
)
