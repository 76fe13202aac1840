"""The restricted Boltzmann machine: what is seen, what is hidden, and one energy for both.

P. Smolensky 1986, "Information processing in dynamical systems: foundations of harmony theory",
in D. E. Rumelhart and J. L. McClelland, "Parallel distributed processing", volume 1, chapter 6.

Visible units v and hidden units h are 0 or 1. No two units of one layer are connected:

    E(v, h) = − b · v − c · h − hᵀ w v            p(v, h) = e^(−E(v, h)) / Z

Hence, given one layer, the units of the other are independent, with σ the logistic function:

    p(h = 1 | v) = σ(c + w v)                     p(v = 1 | h) = σ(b + wᵀ h)

and the sum over all h is a product. −log of it is the free energy:

    F(v) = − b · v − Σⱼ log(1 + e^(cⱼ + wⱼ v))    p(v) = e^(−F(v)) / Z

**Gaussian visible units** (M. Welling, M. Rosen-Zvi and G. E. Hinton 2005) are for numbers, here
standardised to mean 0 and variance 1. The energy gains ½ |v|² and nothing else:

    v | h ~ N(b + wᵀ h, 1)                        F(v) = ½ |v|² − b · v − Σⱼ log(1 + e^(cⱼ + wⱼ v))

**Learning.** The gradient of −log p(data) is that of F where the data are, less that of F where the
machine itself would be:

    ∂/∂θ (−log p) = ⟨∂F/∂θ⟩ over data − ⟨∂F/∂θ⟩ over p        −∂F/∂w = p(h = 1 | v) vᵀ

The second mean needs samples of p. k steps of Gibbs sampling (h given v, v given h, …) that start
at the data give contrastive divergence, CD-k (G. E. Hinton 2002, "Training products of experts by
minimizing contrastive divergence"). Chains that go on from where the last step left them give
persistent CD, PCD-k (T. Tieleman 2008, "Training restricted Boltzmann machines using approximations
to the likelihood gradient").

As it stands, this gradient is another one if some pixel's 0 and 1 change names. The enhanced
gradient (K. Cho, T. Raiko and A. Ilin 2011, "Enhanced gradient and adaptive learning rate for
training restricted Boltzmann machines") counts all units from the middle between the means over
data and machine, μ for the visible and ν for the hidden ones, and learns the same machine either
way. With g for the gradient above, and averages over data less those over the machine in ⟨ ⟩:

    gʷ = −⟨(h − ν)(v − μ)ᵀ⟩        gᵇ ← gᵇ − νᵀ gʷ        gᶜ ← gᶜ − gʷ μ

**How good is it?** Z is a sum over 2ⁿ states of a layer, exact here up to n = 20. Beyond, annealed
importance sampling (R. Salakhutdinov and I. Murray 2008, "On the quantitative analysis of deep
belief networks") goes from a machine without weights, A, whose visible biases bᴬ are those of the
mean image, to this one through the machines of β = 0 … 1:

    p*_β(v) = e^((1 − β) bᴬ·v + β b·v) Πⱼ (1 + e^(β (cⱼ + wⱼ v)))

A sample of A that takes a Gibbs step at every β has the weight Π p*_β'(v) / p*_β(v), whose mean
over many chains is Z / Z_A without bias. The mean's standard error gives the interval Ẑ ± 3 σ̂.
Chains that never find a mode miss its part of Z, and the likelihood is then too good to be true.
Therefore the last epoch also goes the way back: annealing from the machine's own samples to A
estimates 1/Z, and errs to the other side (R. B. Grosse, Z. Ghahramani and R. P. Adams 2015).

The pseudo-likelihood Σᵢ log p(vᵢ | all others) needs no Z (J. Besag 1975).

**Images as bits.** As in the paper, the grey value of a pixel is the probability that it is on. It
is drawn anew whenever a training image is seen, and once for the test images, the same for all
seeds.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import MaxNLocator

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.backend import seeded
from minigrad.core import module_of
from minigrad.tensor import Tensor
from models import pictures
from models.architecture import Architecture
from models.boltzmann import all_states
from models.data import DataSet, Examples
from models.training import Training, follow

KINDS = ("bernoulli", "gaussian")
COUNTABLE = 20  # a layer of so many binary units has few enough states to visit them all
BLOCK = 4096  # states to visit at once
CHAINS = 100  # of annealed importance sampling
FEW = 100  # test images whose pseudo-likelihood is taken, which costs as much as 784 likelihoods


class RBM(nn.Module):
    """A restricted Boltzmann machine: v (n, n_visible), h (n, n_hidden).

    Args:
        n_visible, n_hidden: numbers of units.
        visible: "bernoulli" for zeros and ones (or probabilities), "gaussian" for numbers of mean 0
            and variance 1.
    """

    def __init__(self, n_visible: int, n_hidden: int, visible: str = "bernoulli") -> None:
        super().__init__()
        if visible not in KINDS:
            raise ValueError(f"RBM: visible wants one of {', '.join(KINDS)}, got {visible!r}")
        self.gaussian = visible == "gaussian"
        self.weight = nn.Parameter(mg.zeros((n_hidden, n_visible)))
        self.hidden_bias = nn.Parameter(mg.zeros(n_hidden))
        self.visible_bias = nn.Parameter(mg.zeros(n_visible))
        nn.init.normal_(self.weight, std=0.01)

    # -- The energy -------------------------------------------------------------------------------

    def energy(self, v: Tensor, h: Tensor) -> Tensor:
        """E(v, h), (n,)."""
        inner = v @ self.visible_bias + h @ self.hidden_bias + (h * (v @ self.weight.T)).sum(1)
        return self._square(v) - inner

    def free_energy(self, v: Tensor) -> Tensor:
        """F(v) = −log Σ over h of e^(−E(v, h)), (n,)."""
        return self._square(v) - v @ self.visible_bias - F.softplus(self.sums(v)).sum(1)

    def _square(self, v: Tensor) -> Tensor | float:
        return 0.5 * (v * v).sum(1) if self.gaussian else 0.0

    # -- One layer given the other ----------------------------------------------------------------

    def sums(self, v: Tensor) -> Tensor:
        """c + w v, what the hidden units see, (n, n_hidden)."""
        return F.linear(v, self.weight, self.hidden_bias)

    def hidden(self, v: Tensor) -> Tensor:
        """p(h = 1 | v), (n, n_hidden)."""
        return mg.sigmoid(self.sums(v))

    def visible(self, h: Tensor) -> Tensor:
        """The mean of v given h, (n, n_visible)."""
        return self.mean(F.linear(h, self.weight.T, self.visible_bias))

    def mean(self, sums: Tensor) -> Tensor:
        """The mean of visible units with the sums b + wᵀ h."""
        return sums if self.gaussian else mg.sigmoid(sums)

    def drawn(self, mean: Tensor) -> Tensor:
        """Visible units drawn at random, given their means."""
        return mean + mg.randn(*mean.shape) if self.gaussian else mg.bernoulli(mean)

    @mg.no_grad()
    def gibbs(self, v: Tensor, k: int = 1) -> Tensor:
        """v after k steps of Gibbs sampling."""
        for _ in range(k):
            v = self.drawn(self.visible(mg.bernoulli(self.hidden(v))))
        return v

    # -- Learning ---------------------------------------------------------------------------------

    @mg.no_grad()
    def contrast(self, v: Tensor, p: Tensor, r: Tensor, q: Tensor, enhanced: bool = False) -> None:
        """Leave in ``.grad`` the gradient of mean F(v) − mean F(r).

        Args:
            v, r: visible units of the data and of the machine, (n, n_visible) and (m, n_visible).
            p, q: hidden(v) and hidden(r).
            enhanced: take the enhanced gradient instead.
        """
        mean_v, mean_p, mean_r, mean_q = (rows.mean(0) for rows in (v, p, r, q))
        visible, hidden = mean_r - mean_v, mean_q - mean_p
        if enhanced:
            mu, nu = 0.5 * (mean_v + mean_r), 0.5 * (mean_p + mean_q)
            v, p, r, q = v - mu, p - nu, r - mu, q - nu
        scaled = mg.concatenate([q * (1.0 / len(q)), p * (-1.0 / len(p))])
        weight = scaled.T @ mg.concatenate([r, v])  # one product for both means
        if enhanced:
            visible, hidden = visible - nu @ weight, hidden - weight @ mu
        self.weight.grad, self.visible_bias.grad, self.hidden_bias.grad = weight, visible, hidden

    def reconstruction(self, p: Tensor, k: int = 1) -> tuple[Tensor, Tensor]:
        """(r, hidden(r)) after k steps from hidden units that fire with probabilities p.

        Hidden units are drawn, visible units stand for their means (G. E. Hinton 2010, "A practical
        guide to training restricted Boltzmann machines", section 3).
        """
        for _ in range(k):
            r = self.visible(mg.bernoulli(p))
            p = self.hidden(r)
        return r, p

    @mg.no_grad()
    def cd_step(self, v: Tensor, lr: float = 0.1, k: int = 1) -> Tensor:
        """Learn from a batch by CD-k, θ ← θ − lr · gradient.

        Returns the mean squared error of the reconstruction r.
        """
        p = self.hidden(v)
        r, q = self.reconstruction(p, k)
        self.contrast(v, p, r, q)
        optim.SGD(self.parameters(), lr).step()
        return F.mse_loss(r, v)

    @mg.no_grad()
    def pcd_step(self, v: Tensor, chain: Tensor, lr: float = 0.1, k: int = 1) -> Tensor:
        """Learn from a batch by PCD-k with the enhanced gradient.

        Args:
            v: visible units of the data, (n, n_visible).
            chain: where the persistent chains are, (m, n_visible).

        Returns where the chains have come to.
        """
        chain = self.gibbs(chain, k)
        self.contrast(v, self.hidden(v), chain, self.hidden(chain), enhanced=True)
        optim.SGD(self.parameters(), lr).step()
        return chain

    # -- Likelihood -------------------------------------------------------------------------------

    def log_normaliser(self, sums: Tensor) -> Tensor:
        """log of the sum, or integral, over v of e^(v · sums) (times e^(−½|v|²)), (n,)."""
        if self.gaussian:
            return 0.5 * (sums * sums + math.log(2.0 * math.pi)).sum(1)
        return F.softplus(sums).sum(1)

    def is_countable(self) -> bool:
        """Whether a layer of binary units has few enough for `log_z`."""
        n_hidden, n_visible = self.weight.shape
        return n_hidden <= COUNTABLE or (n_visible <= COUNTABLE and not self.gaussian)

    @mg.no_grad()
    def log_z(self) -> Tensor:
        """log Z, by the sum over all states of a layer that has few enough; a float64 scalar.

        Raises:
            ValueError: no layer of binary units has at most `COUNTABLE`.
        """
        n_hidden, n_visible = self.weight.shape
        if not self.is_countable():
            kind = "gaussian" if self.gaussian else "bernoulli"
            raise ValueError(
                f"RBM.log_z: wants a layer of at most {COUNTABLE} binary units, got {n_visible} "
                f"{kind} visible and {n_hidden} hidden units"
            )
        over_hidden = self.gaussian or n_hidden <= n_visible
        n = n_hidden if over_hidden else n_visible
        parts = []
        for first in range(0, 2**n, BLOCK):
            among = range(first, min(first + BLOCK, 2**n))
            states = all_states(n, self.weight, among)
            if over_hidden:
                sums = F.linear(states, self.weight.T, self.visible_bias)
                logs = states @ self.hidden_bias + self.log_normaliser(sums)
            else:
                logs = -self.free_energy(states)
            parts.append(mg.logsumexp(logs.astype("float64")))
        return mg.logsumexp(mg.stack(parts))

    @mg.no_grad()
    def pseudo_log_likelihood(self, v: Tensor) -> Tensor:
        """Σᵢ log p(vᵢ | the others), (n,), for zeros and ones.

        log p(vᵢ | others) = −log(1 + e^(F(v) − F(v with vᵢ flipped))).
        """
        found = []
        for row, energy in zip(v, self.free_energy(v), strict=True):
            flip = 1.0 - 2.0 * row  # what a flip adds
            sums = self.hidden_bias + self.weight @ row + flip.reshape(-1, 1) * self.weight.T
            flipped = -(row @ self.visible_bias + flip * self.visible_bias)
            flipped = flipped - F.softplus(sums).sum(1)
            found.append(-F.softplus(energy - flipped).sum())
        return mg.stack(found)


class Estimate(NamedTuple):
    """log of a mean of weights, and the standard error of the mean as a part of it."""

    log: float
    error: float

    @property
    def interval(self) -> tuple[float, float]:
        """log of the mean ± 3 standard errors."""
        low = math.log1p(-3.0 * self.error) if 3.0 * self.error < 1.0 else -math.inf
        return self.log + low, self.log + math.log1p(3.0 * self.error)


def estimate(log_weights: Tensor) -> Estimate:
    """The mean of weights that are given by their logs, (n,)."""
    logs = log_weights.numpy()
    ratios = np.exp(logs - logs.max())
    mean = ratios.mean()
    return Estimate(
        float(logs.max() + math.log(mean)),
        float(ratios.std(ddof=1) / math.sqrt(len(ratios)) / mean),
    )


class Annealing:
    """Annealed importance sampling between a machine and A, which has the same units, no weights,
    and visible biases of its own.

    Args:
        network: the machine, β = 1.
        base: bᴬ, the visible biases of A, β = 0.
        temperatures: how many steps β takes from one to the other, small ones at both ends: along
            the logistic function from −4 to 4.
    """

    def __init__(self, network: RBM, base: Tensor, temperatures: int) -> None:
        self.network = network
        self.base = base
        path = 1.0 / (1.0 + np.exp(-np.linspace(-4.0, 4.0, temperatures + 1)))
        self.betas = ((path - path[0]) / (path[-1] - path[0])).tolist()
        n_hidden = len(network.hidden_bias)
        with mg.no_grad():
            of_visible = network.log_normaliser(base.reshape(1, -1)).sum()
        self.log_z_base = of_visible.astype("float64") + n_hidden * math.log(2.0)

    def step(self, v: Tensor, beta: float) -> Tensor:
        """A Gibbs step of the machine of β, or three where β > 0.9: there chains seldom go from
        digit to digit, and the more they do the less their weights differ."""
        network = self.network
        bias = beta * network.visible_bias + (1.0 - beta) * self.base
        for _ in range(3 if beta > 0.9 else 1):
            h = mg.bernoulli(mg.sigmoid(network.sums(v) * beta))
            v = network.drawn(network.mean(F.linear(h * beta, network.weight.T, bias)))
        return v

    def gain(self, v: Tensor, beta: float, change: float) -> Tensor:
        """log p*_(β + change)(v) − log p*_β(v), (n,).

        log (1 + e^((β + δ) a)) − log (1 + e^(β a)) = log(1 + σ(β a) (e^(δ a) − 1)), which is
        accurate for the smallest δ.
        """
        network = self.network
        a = network.sums(v)
        of_hidden = mg.log1p(mg.sigmoid(a * beta) * mg.expm1(a * change)).sum(1)
        return of_hidden + v @ ((network.visible_bias - self.base) * change)

    @mg.no_grad()
    def forward(self, chains: int) -> Tensor:
        """log weights (chains,), float64, of samples that go from A to the machine.

        Their mean is Z on average.
        """
        v = self.network.drawn(self.network.mean(self.base) + mg.zeros((chains, len(self.base))))
        log_weights = self.log_z_base
        for beta, after in pairwise(self.betas):
            log_weights = log_weights + self.gain(v, beta, after - beta)
            v = self.step(v, after)
        return log_weights

    @mg.no_grad()
    def backward(self, v: Tensor) -> Tensor:
        """log weights (n,), float64, of samples v (n, n_visible) that go from the machine to A.

        Their mean is 1/Z on average, if v are samples of the machine.
        """
        log_weights = -self.log_z_base
        for beta, before in pairwise(reversed(self.betas)):
            v = self.step(v, beta)
            log_weights = log_weights - self.gain(v, before, beta - before)
        return log_weights


# ---------------------------------------------------------------------------------------------
# Training
# ---------------------------------------------------------------------------------------------


class RBMTraining(Training):
    """Contrastive divergence with a learning rate that falls to 0 in a straight line.

    The machine that is measured, drawn from and kept is a running average of the weights.
    """

    network: RBM
    metric = "test_log_likelihood"

    def __init__(self, network: RBM, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.shape = data.train.tensors[0].shape[1:]
        train, test = (part.tensors[0].reshape(len(part), -1) for part in (data.train, data.test))
        self.shift, self.scale, self.base = _scales(train, network.gaussian)
        with seeded(0):
            self.seen_test = self.seen(test)
        network.visible_bias.overwrite(self.base.array)
        self.average = copy.deepcopy(network)
        weights, *biases = network.parameters()
        self.optimizer = optim.SGD(
            [{"params": [weights], "weight_decay": settings.weight_decay}, {"params": biases}],
            lr=settings.lr,
            momentum=settings.momentum,
        )
        self.total = settings.epochs * len(self.loader)
        self.schedule = optim.lr_scheduler.LambdaLR(self.optimizer, lambda t: 1.0 - t / self.total)
        self.chain = network.drawn(network.mean(self.base + mg.zeros((settings.batch_size, 1))))
        self.measured: dict[str, float] = {}

    def seen(self, x: Tensor) -> Tensor:
        """Images (n, …) as the visible units see them, (n, n_visible)."""
        x = x.reshape(len(x), -1)
        return (x - self.shift) / self.scale if self.network.gaussian else mg.bernoulli(x)

    def images(self, v: Tensor) -> np.ndarray:
        """Visible units or their means as images (n, c, h, w), on the host."""
        x = v * self.scale + self.shift if self.network.gaussian else v
        return x.numpy().reshape(-1, *self.shape)

    @mg.no_grad()
    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        settings, network = self.settings, self.network
        v = self.seen(batch[0])
        p = network.hidden(v)
        if settings.chains == "persistent":
            r = self.chain = network.gibbs(self.chain, settings.k)
            q = network.hidden(r)
        else:
            r, q = network.reconstruction(p, settings.k)
        network.contrast(v, p, r, q, settings.gradient == "enhanced")
        if settings.sparsity:
            push = settings.sparsity * (p.mean(0) - settings.target)
            network.hidden_bias.grad = network.hidden_bias.grad + push
        self.optimizer.step()
        self.schedule.step()
        follow(self.average, network, self.schedule.last_epoch)
        return {}

    # -- Measuring --------------------------------------------------------------------------------

    @mg.no_grad()
    def evaluate(self) -> dict[str, float]:
        """With a twentieth of the temperatures, and with all of them after the last epoch."""
        v, average = self.seen_test, self.average
        last = self.schedule.last_epoch == self.total
        temperatures = self.settings.temperatures // (1 if last else 20)
        annealing = Annealing(average, self.base, max(1, temperatures))
        found = {"test_reconstruction": float(F.mse_loss(average.visible(average.hidden(v)), v))}
        if not average.gaussian:
            few = average.pseudo_log_likelihood(v[:FEW])
            found["test_pseudo_likelihood"] = float(few.mean())
        by_ais = estimate(annealing.forward(CHAINS))
        found["ais_log_z"], found["ais_error"] = by_ais
        if last:
            found["backward_log_z"] = -estimate(annealing.backward(self.fantasies(CHAINS))).log
        if average.is_countable():
            found["log_z"] = float(average.log_z())
        log_z = found.get("log_z", by_ais.log)
        found["test_log_likelihood"] = -float(average.free_energy(v).mean()) - log_z
        self.measured = found
        return found

    def fantasies(self, count: int, steps: int = 1000) -> Tensor:
        """Visible units of `count` chains after many Gibbs steps of the averaged machine.

        They start where the persistent chains have come to, or at training images.
        """
        if self.settings.chains == "persistent":
            start = self.chain
        else:
            start = self.seen(self.train.tensors[0][:count])
        rows = mg.arange(count) % len(start)
        return self.average.gibbs(start[rows], steps)

    def report(self) -> str:
        found = self.measured
        if "backward_log_z" not in found:
            return ""
        by_ais = Estimate(found["ais_log_z"], found["ais_error"])
        energy = -found["test_log_likelihood"] - found.get("log_z", by_ais.log)
        low, high = by_ais.interval
        lines = [
            f"log Z {by_ais.log:.2f} by AIS, {low:.2f} to {high:.2f} ({CHAINS} chains, "
            f"{self.settings.temperatures:,} temperatures, ± 3 standard errors); "
            f"{found['backward_log_z']:.2f} annealed back from its own samples",
            f"mean log-likelihood of {len(self.seen_test):,} test images "
            f"{-energy - by_ais.log:.2f}, {-energy - high:.2f} to {-energy - low:.2f}",
        ]
        if "log_z" in found:
            lines.append(f"exact: log Z {found['log_z']:.2f}, {found['test_log_likelihood']:.2f}")
        return "\n".join(lines)

    # -- Pictures ---------------------------------------------------------------------------------

    def weights(self) -> dict[str, Any]:
        return self.average.state_dict()

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"chain": self.chain.array, "measured": self.measured}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.chain = Tensor(module_of(self.chain.array).asarray(state["chain"]))
        self.measured = state["measured"]

    @mg.no_grad()
    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        weight = self.average.weight
        strongest = np.argsort(-np.linalg.norm(weight.numpy(), axis=1))[:40]
        tiles = weight.numpy()[strongest].reshape(-1, *self.shape[1:])
        title = f"Filters: what excites, and what inhibits, the {len(tiles)} strongest hidden units"
        pictures.weights(tiles, title, folder / "filters.png")
        self._draw_chains(folder / "chains.png")
        if history:
            draw_likelihood(history, folder / "likelihood.png")

    def _draw_chains(self, path: Path) -> None:
        """Gibbs sampling from test images: the means of the visible units on the way."""
        v = self.seen_test[:10]
        columns, done = [self.images(v)], 0
        for steps in STEPS:
            v = self.average.gibbs(v, steps - done - 1)
            mean = self.average.visible(mg.bernoulli(self.average.hidden(v)))
            v, done = self.average.drawn(mean), steps
            columns.append(self.images(mean))
        names = ["image", *(f"{steps:,}" for steps in STEPS)]
        title = "Chains that start at a test image, after so many steps of Gibbs sampling"
        rows = np.stack(columns, axis=1)
        pictures.table(rows, names, title, path)

    @mg.no_grad()
    def sample(self, count: int, folder: Path) -> str:
        v = self.fantasies(count)
        mean = self.average.visible(mg.bernoulli(self.average.hidden(v)))
        title = "Fantasies: chains after 1,000 more steps of Gibbs sampling"
        pictures.sheet(self.images(mean), title, folder / "fantasies.png")
        return ""


STEPS = (1, 3, 10, 30, 100, 300, 1000)


def draw_likelihood(history: list[dict[str, Any]], path: Path) -> None:
    """The likelihood of the test images over the epochs, and the pseudo-likelihood if there is one.

    Where Z is not known exactly, a band shows what 3 standard errors of AIS leave open.
    """
    epochs = [entry["epoch"] for entry in history]
    panels = [("test_log_likelihood", "Log-likelihood", pictures.BLUE)]
    if "test_pseudo_likelihood" in history[-1]:
        panels.append(("test_pseudo_likelihood", "Pseudo-likelihood", pictures.ORANGE))
    made = pictures.figure(4.0 * len(panels), 3.0)
    for axes, (key, name, colour) in zip(
        pictures.grid(made, 1, len(panels))[0], panels, strict=True
    ):
        values = [entry[key] for entry in history]
        axes.plot(epochs, values, color=colour, marker="o", markersize=2)
        axes.set_title(f"{name}: {values[-1]:.1f} after the last epoch")
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean over test images (nats)")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    likelihood = np.array([entry["test_log_likelihood"] for entry in history])
    axes = made.axes[0]
    if "log_z" in history[-1]:
        wrong = np.array([entry["ais_log_z"] - entry["log_z"] for entry in history])
        style: dict[str, Any] = {"color": pictures.ORANGE, "markersize": 4, "linestyle": ""}
        axes.plot(epochs, likelihood - wrong, marker="x", label="by AIS", **style)
        axes.lines[0].set_label("exact")
        axes.legend()
    else:
        errors = np.array([3.0 * entry["ais_error"] for entry in history])
        low, high = likelihood - np.log1p(errors), likelihood - np.log1p(-errors.clip(0.0, OPEN))
        axes.fill_between(epochs, low, high, color=pictures.BLUE, alpha=0.2, linewidth=0.0)
    pictures.save(made, path)


OPEN = 0.9  # three standard errors as large as the mean leave a likelihood open above


def _scales(x: Tensor, gaussian: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Shift and scale of the pixels of x (n, n_visible), and the visible biases bᴬ without weights.

    Raises:
        ValueError: binary units cannot show these numbers.
    """
    mean = x.mean(0)
    if gaussian:
        # A pixel that is nearly always 0 would be blown up where it is not.
        return mean, mg.maximum(x.std(0), 0.1), mg.zeros_like(mean)
    low, high = float(x.min()), float(x.max())
    if not 0.0 <= low <= high <= 1.0:
        raise ValueError(
            f"rbm: Bernoulli units want data in [0, 1], got {low:g} to {high:g}; "
            f"--visible gaussian takes any numbers"
        )
    mean = mg.clip(mean, 0.001, 0.999)
    return mg.zeros_like(mean), mg.ones_like(mean), mg.log(mean / (1.0 - mean))


def _build(data: DataSet, settings: SimpleNamespace) -> RBM:
    return RBM(math.prod(data.shape), settings.hidden, settings.visible)


_COMMON: dict[str, int | float | str] = {
    "visible": "bernoulli",
    "chains": "persistent",
    "k": 1,
    "gradient": "enhanced",
    "momentum": 0.0,
    "weight_decay": 0.0,
    "sparsity": 0.0,
    "target": 0.1,
}

ARCHITECTURE = Architecture(
    title="Restricted Boltzmann machine",
    paper="Smolensky 1986, Information processing in dynamical systems: foundations of harmony "
    "theory; Hinton 2002, Training products of experts by minimizing contrastive divergence",
    reference="mnist, 500 hidden units: test_log_likelihood about -126 by CD-1, -106 by CD-3, "
    "-86 by CD-25 (Salakhutdinov & Murray 2008)",
    settings={
        "digits": {
            "epochs": 50,
            "batch_size": 20,
            "lr": 0.2,
            "hidden": 16,
            "temperatures": 8000,
            **_COMMON,
        },
        "mnist": {
            "epochs": 60,
            "batch_size": 100,
            "lr": 0.1,
            "hidden": 500,
            "temperatures": 8000,
            **_COMMON,
        },
    },
    meaning={
        "hidden": "hidden units",
        "temperatures": "steps of annealed importance sampling after the last epoch, a "
        "twentieth of them after the others",
        "visible": "visible units: zeros and ones, or numbers",
        "chains": "where the chains of the negative phase start: where they ended (PCD) or at the "
        "data (CD)",
        "k": "Gibbs steps before each update",
        "gradient": "enhanced: units count from the middle between data and machine",
        "momentum": "part of the last update that is kept",
        "weight_decay": "strength of the penalty on the weights, ½ |w|²",
        "sparsity": "strength of the pull of the hidden units' mean activity towards the target",
        "target": "that mean activity",
    },
    choices={
        "visible": KINDS,
        "chains": ("persistent", "data"),
        "gradient": ("enhanced", "plain"),
    },
    cost={"digits": "15 s, 0.2 GiB", "mnist": "12 min, 0.6 GiB"},
    build=_build,
    training=RBMTraining,
)
