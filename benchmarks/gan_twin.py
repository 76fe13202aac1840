"""``python -m benchmarks.gan_twin RUN …``: the digits of our GANs beside those of PyTorch's.

For each finished run of ``python -m models train gan --dataset mnist`` (or lsgan) PyTorch trains a
twin: the same networks from the same first weights, with the same batches in the same order, the
same noise and the same units dropped. The first steps agree but for rounding, which the game
magnifies: after some hundred steps the two are runs like any other two. Both are judged after every
epoch by 10,000 samples (`models.judge`).
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

import minigrad as mg
from benchmarks.arguments import Parser, positive
from models.architecture import architectures
from models.judge import ZERO, judge
from models.lsgan import CODINGS
from models.rivals import JUDGED, RivalTraining
from models.run import Run, RunError
from models.training import REACH

MODELS = ("gan", "lsgan")

# ---------------------------------------------------------------------------------------------
# Networks for images of 28 × 28 with values from −1 to 1
# ---------------------------------------------------------------------------------------------


class Dropout(nn.Module):
    """Dropout by the random numbers that ours draws."""

    def __init__(self, p: float) -> None:
        super().__init__()
        self.p = p

    def forward(self, x: Any) -> Any:
        kept = torch.from_numpy(mg.rand(*x.shape).numpy()) >= self.p
        return x * kept / (1.0 - self.p)


def dense(sizes: Sequence[int], p: float) -> list[Any]:
    """Dense layers, all but the last with leaky rectifiers and, where p is not 0, dropout."""
    layers: list[Any] = []
    for n, m in pairwise(sizes):
        layers += [nn.Linear(n, m), nn.LeakyReLU(0.2), Dropout(p)]
    return [layer for layer in layers[:-2] if p or not isinstance(layer, Dropout)]


def networks(settings: SimpleNamespace) -> tuple[Any, Any]:
    """A generator and a discriminator, layer by layer as in `models.rivals`."""
    code = settings.code
    if settings.network == "dense":
        generator = dense((code, 256, 512, 1024, 784), 0.0)
        image = nn.Unflatten(1, (1, 28, 28))
        discriminator = dense((784, 1024, 512, 256, 1), 0.3)
        return (
            nn.Sequential(*generator, nn.Tanh(), image),
            nn.Sequential(nn.Flatten(), *discriminator, nn.Flatten(0)),
        )
    w = settings.width
    return (
        nn.Sequential(
            nn.Linear(code, 8 * w * 4 * 4, bias=False),
            nn.Unflatten(1, (8 * w, 4, 4)),
            nn.BatchNorm2d(8 * w),
            nn.ReLU(),
            nn.ConvTranspose2d(8 * w, 4 * w, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4 * w),
            nn.ReLU(),
            nn.ConvTranspose2d(4 * w, 2 * w, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * w),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * w, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        ),
        nn.Sequential(
            nn.Conv2d(1, w, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(w, 2 * w, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(2 * w),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * w, 4 * w, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(4 * w),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(4 * w * 4 * 4, 1),
            nn.Flatten(0),
        ),
    )


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


def losses(model: str, settings: SimpleNamespace) -> tuple[Any, Any]:
    """What the discriminator (real, fake) and the generator (fake) minimise."""
    if model == "lsgan":
        a, b, c = CODINGS[settings.coding]
        return (
            lambda real, fake: 0.5 * ((real - b) ** 2).mean() + 0.5 * ((fake - a) ** 2).mean(),
            lambda fake: 0.5 * ((fake - c) ** 2).mean(),
        )
    return (
        lambda real, fake: F.softplus(-real).mean() + F.softplus(fake).mean(),
        lambda fake: (
            -F.softplus(fake).mean() if settings.loss == "minimax" else F.softplus(-fake).mean()
        ),
    )


class Twin:
    """PyTorch's networks, which begin where ours do.

    Args:
        model: gan or lsgan.
        ours: before its first step. Gives the first weights, and draws all that is random.
    """

    def __init__(self, model: str, ours: RivalTraining) -> None:
        self.ours = ours
        self.generator, self.discriminator = networks(ours.settings)
        for theirs, network in (
            (self.generator, ours.network.generator),
            (self.discriminator, ours.network.discriminator),
        ):
            values = network.state_dict().values()
            for tensor, value in zip(theirs.state_dict().values(), values, strict=True):
                tensor.copy_(torch.from_numpy(value.numpy()))
        self.average = copy.deepcopy(self.generator)
        self.losses = losses(model, ours.settings)
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=ours.settings.lr, betas=(0.5, 0.999))
            for network in (self.discriminator, self.generator)
        ]
        self.steps = 0

    def noise(self, n: int) -> Any:
        return torch.from_numpy(self.ours.network.noise(n).numpy())

    def step(self, x: Any) -> tuple[Any, Any]:
        """Learn from real images (n, 1, 28, 28), from 0 to 1; returns the losses of both."""
        discriminator_loss, generator_loss = self.losses
        discriminates, generates = self.optimizers
        generated = self.generator(self.noise(len(x)))
        real = self.discriminator(2.0 * x - 1.0)
        first = discriminator_loss(real, self.discriminator(generated.detach()))
        discriminates.zero_grad()
        first.backward()
        discriminates.step()
        self.discriminator.requires_grad_(False)
        second = generator_loss(self.discriminator(generated))
        generates.zero_grad()
        second.backward()
        generates.step()
        self.discriminator.requires_grad_(True)
        self.steps += 1
        self.follow()
        return first.detach(), second.detach()

    @torch.no_grad()
    def follow(self) -> None:
        """As `models.training.follow`."""
        part = min(1.0, REACH / self.steps)
        states = (network.state_dict().values() for network in (self.average, self.generator))
        for mean, value in zip(*states, strict=True):
            if mean.is_floating_point():
                mean += part * (value - mean)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """What the judge says of 10,000 samples."""
        averaging = self.ours.settings.average == "yes"
        generator = self.average if averaging else self.generator
        generator.eval()
        samples = torch.cat([generator(z) for z in self.noise(JUDGED).split(1000)])
        generator.train()
        return judge("numpy").measure(mg.tensor((0.5 + 0.5 * samples).numpy()))

    def epoch(self) -> dict[str, float]:
        """Learn from all images; returns what is measured then."""
        for images, _ in self.ours.loader:
            self.step(torch.from_numpy(images.numpy()))
        return self.measure()


# ---------------------------------------------------------------------------------------------
# The command
# ---------------------------------------------------------------------------------------------


def prepared(config: dict[str, Any]) -> RivalTraining:
    """Ours before its first step, as the command that wrote the configuration began."""
    architecture = architectures()[config["model"]]
    settings = SimpleNamespace(**config["settings"])
    mg.manual_seed(settings.seed)
    data_set = architecture.data(config["dataset"], settings)
    examples = data_set.load("numpy")
    training = architecture.training(architecture.build(data_set, settings), examples, settings)
    assert isinstance(training, RivalTraining)
    return training


def finished(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The configuration of a run, and what was measured after its last epoch.

    Raises:
        RunError: it is no finished run of ours that has a twin.
    """
    run = Run.open(path)
    config = run.config()
    history = run.read_checkpoint()["history"]
    epochs = config["settings"]["epochs"]
    if config["model"] not in MODELS or config["dataset"] != "mnist":
        raise RunError(f"{path} is no run of {' or '.join(MODELS)} on mnist")
    if len(history) < epochs:
        raise RunError(f"{path} is at epoch {len(history)} of {epochs}")
    return config, history[-1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Train the twins, and print what the judge says of all; returns the exit code."""
    parser = Parser(prog="python -m benchmarks.gan_twin", description=__doc__)
    parser.add_argument("run", nargs="+", metavar="RUN", type=Path, help="a finished run of ours")
    parser.add_argument(
        "--threads", type=positive, default=1, metavar="N", help="of PyTorch (default: 1)"
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(options.threads)
    try:
        runs = [finished(path) for path in options.run]
    except RunError as error:
        parser.error(str(error))
    print(f"Fréchet distances; {ZERO:.2f} between the halves of the test images")
    pairs = []
    for path, (config, ours) in zip(options.run, runs, strict=True):
        start = time.perf_counter()
        twin = Twin(config["model"], prepared(config))
        theirs = [twin.epoch() for _ in range(twin.ours.settings.epochs)][-1]
        pairs.append((ours["frechet"], theirs["frechet"]))
        told = [
            f"{name} {found['frechet']:6.2f} (coverage {found['coverage']:.0f}, confidence "
            f"{found['confidence']:.3f})"
            for name, found in (("ours", ours), ("PyTorch's", theirs))
        ]
        seconds = time.perf_counter() - start
        print(f"{path}: {', '.join(told)}, after {seconds:.0f} s", flush=True)
    first, second = (statistics.mean(distances) for distances in zip(*pairs, strict=True))
    print(f"mean: ours {first:.2f}, PyTorch's {second:.2f}, ratio {first / second:.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
