"""The loop that trains every model: epochs, progress, measurements, checkpoints.

A model says how it learns from one batch (`Training.step`) or, where it has no batches, from the
whole data set (`Training.epoch`). What follows is the same for all.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tqdm import tqdm

import minigrad as mg
import minigrad.nn.functional as F
from minigrad import nn, optim
from minigrad.backend import random_state, set_random_state
from minigrad.data import DataLoader, TensorDataset
from minigrad.optim.lr_scheduler import CosineAnnealingLR, LRScheduler
from minigrad.tensor import Tensor
from models import pictures
from models.data import Examples
from models.run import Run


class Diverged(Exception):
    """A measurement is no longer a finite number, so that there is nothing more to learn."""


class Training:
    """A network that learns a data set; every model subclasses it.

    The subclass makes its optimizers in ``__init__``. Every attribute with a `state_dict` (network,
    optimizer, scheduler, loader) is part of the checkpoint without further ado.

    Attributes:
        metric: the measurement that progress and the last line show.
        finished: why there is nothing more to learn, or None; set in `epoch` to stop early.
    """

    metric = "test_accuracy"

    def __init__(self, network: nn.Module, data: Examples, settings: SimpleNamespace) -> None:
        self.network = network
        self.train = data.train
        self.test = data.test
        self.classes = data.classes
        self.settings = settings
        self.finished: str | None = None
        self.unit = "images" if data.train.tensors[0].ndim == 4 else "examples"
        if hasattr(settings, "batch_size"):
            self.loader = DataLoader(
                data.train, settings.batch_size, shuffle=True, seed=settings.seed
            )

    # -- What a model defines ---------------------------------------------------------------------

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        """Learn from one batch; returns its means, scalars without history, such as train_loss."""
        raise NotImplementedError(f"{type(self).__name__}: defines neither step nor epoch")

    def evaluate(self) -> dict[str, float]:
        """Measure the network after an epoch, on data that it has not learned."""
        raise NotImplementedError(f"{type(self).__name__}: defines no evaluate")

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        """Draw what there is to see into a folder; `history` has one dictionary an epoch."""

    def report(self) -> str:
        """What to print at the end besides the measurements."""
        return ""

    def answers(self, x: Tensor) -> list[tuple[str, str]]:
        """The class that the network takes each input of (n, …) for, and how sure it is or ""."""
        raise NotImplementedError(f"{type(self).__name__}: defines neither answers nor sample")

    # -- What is the same for all, unless a model has reasons --------------------------------------

    def epoch(self, progress: Progress) -> dict[str, float]:
        """One pass over the data; returns the means of what `step` measures.

        Raises:
            Diverged: a measurement is not finite, within half a second of its step.
        """
        self.network.train()
        totals: dict[str, Any] = {}
        sound: dict[str, Any] = {}  # steps with a finite total: one that is not never is again
        for batch in self.loader:
            means = self.step(*batch)
            n = len(batch[0])
            for name, mean in means.items():
                totals[name] = totals.get(name, 0.0) + mean.detach() * float(n)
                sound[name] = sound.get(name, 0) + mg.isfinite(totals[name])
            if progress.update(n, means):
                _checked(totals, sound)
        return {name: total / len(self.train) for name, total in _checked(totals, sound).items()}

    def sample(self, count: int, folder: Path) -> str:
        """Draw from the trained model or, as here, show it at work on random test examples.

        Pictures go into the folder; returns what to print.
        """
        chosen = mg.randperm(len(self.test))[:count]
        x, labels = (tensor[chosen] for tensor in self.test.tensors)
        answers = self.answers(x)
        truths = [self.classes[label] for label in labels.numpy()]
        if x.ndim == 4:
            pictures.answers(x.numpy(), answers, truths, folder / "answers.png")
            return ""
        rows = x.numpy().reshape(len(x), -1)
        return "\n".join(
            f"{', '.join(f'{value:g}' for value in row)}: {guess}{sure}, really {truth}"
            for row, (guess, sure), truth in zip(rows, answers, truths, strict=True)
        )

    def weights(self) -> dict[str, Any]:
        """What model.safetensors shall hold."""
        return self.network.state_dict()

    def state_dict(self) -> dict[str, Any]:
        """The state of every attribute that has one, by name."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])

    def _parts(self) -> dict[str, Any]:
        return {name: part for name, part in vars(self).items() if hasattr(part, "state_dict")}


def _checked(totals: Mapping[str, Any], sound: Mapping[str, Any]) -> dict[str, float]:
    """Totals on the host; refuses those not finite, `sound` counts the steps before they were."""
    values = {name: float(total) for name, total in totals.items()}
    for name, value in values.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} is not finite from step {int(sound[name]) + 1} on")
    return values


class Classification(Training):
    """Cross-entropy, Adam, and a learning rate that falls to zero along half a cosine.

    Settings: epochs, batch_size, lr. What most classifiers learn with; a model overrides what it
    does otherwise.
    """

    def __init__(self, network: nn.Module, data: Examples, settings: SimpleNamespace) -> None:
        super().__init__(network, data, settings)
        self.optimizer: optim.Optimizer = optim.Adam(network.parameters(), lr=settings.lr)
        steps = settings.epochs * len(self.loader)
        self.schedule: LRScheduler = CosineAnnealingLR(self.optimizer, steps)

    def augmented(self, x: Tensor) -> Tensor:
        """The inputs as they are trained with, distorted at random where a model does so."""
        return x

    def step(self, *batch: Tensor) -> dict[str, Tensor]:
        x, labels = batch
        loss = F.cross_entropy(self.network(self.augmented(x)), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        return {"train_loss": loss.detach()}

    def evaluate(self) -> dict[str, float]:
        return {"test_accuracy": accuracy(self.network, self.test)}

    def pictures(self, folder: Path, history: list[dict[str, Any]]) -> None:
        probabilities, _ = predict(self.network, self.test)
        pictures.of_classifier(history, probabilities, self.test, self.classes, folder)

    def answers(self, x: Tensor) -> list[tuple[str, str]]:
        probabilities, _ = predict(self.network, TensorDataset(x, mg.zeros(len(x))))
        return [(self.classes[row.argmax()], f" ({row.max():.2f})") for row in probabilities]


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """A block in which gradients pass through a network and none is computed for its weights."""
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad = False
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad = True


REACH = 8.0


@mg.no_grad()
def follow(average: nn.Module, network: nn.Module, t: int) -> None:
    """Take the weights and running statistics of a network, at time t = 1, 2, …, into averages,
    which reach back over about the last t / `REACH` of all times."""
    part = min(1.0, REACH / t)
    pairs = zip(average.state_dict().values(), network.state_dict().values(), strict=True)
    for mean, value in pairs:
        if mean.dtype.kind == "f":  # and no count of batches
            mean.overwrite((mean + part * (value - mean)).array)


class Progress:
    """The progress bar of one epoch; where nobody watches a terminal, one line at its end."""

    def __init__(self, title: str, total: int, unit: str, quiet: bool) -> None:
        self._watched = sys.stderr.isatty()
        self._bar = tqdm(
            desc=title,
            total=total,
            unit=f" {unit}",
            unit_scale=True,
            disable=quiet,
            delay=0.0 if self._watched else math.inf,
            dynamic_ncols=True,
        )
        self._shown = time.perf_counter()

    def update(self, n: int, means: Mapping[str, Any] | None = None) -> bool:
        """n more examples are learned; twice a second their means are shown, which on a GPU waits
        for the device, and therefore is not done at every step. Returns whether it was now."""
        self._bar.update(n)
        if not means or time.perf_counter() - self._shown <= 0.5:
            return False
        self._shown = time.perf_counter()
        self.show(means)
        return True

    def show(self, measured: Mapping[str, Any]) -> None:
        """Write measurements behind the bar."""
        text = ", ".join(f"{name} {float(value):.4g}" for name, value in measured.items())
        self._bar.set_postfix_str(text, refresh=self._watched)

    def close(self) -> None:
        """Leave the bar as it is and go to the next line."""
        if not self._watched and not self._bar.disable:
            print(self._bar, file=sys.stderr)
        self._bar.close()


def fit(training: Training, run: Run, history: list[dict[str, Any]], quiet: bool) -> None:
    """Train up to the last epoch, then write the weights and draw the pictures.

    After every epoch metrics and a checkpoint are written. `history` has one dictionary for each
    epoch that is already behind, and gets one for each that follows.

    Raises:
        Diverged: a measurement is not finite; the checkpoint stays at the epoch before.
    """
    epochs = training.settings.epochs
    if not history:
        _save(training, run, history)  # so that a run interrupted in its first epoch can go on
    while len(history) < epochs and training.finished is None:
        epoch = len(history) + 1
        start = time.perf_counter()
        title = f"epoch {epoch:{len(str(epochs))}}/{epochs}"
        progress = Progress(title, len(training.train), training.unit, quiet)
        try:
            measured = training.epoch(progress)
            measured |= training.evaluate()
            progress.show(measured)
            for name, value in measured.items():
                if not math.isfinite(value):
                    raise Diverged(f"{name} is {value}")
        except Diverged as error:
            raise Diverged(
                f"{type(training.network).__name__}: {error} (epoch {epoch}); {run.path} keeps the "
                f"checkpoint of epoch {epoch - 1}; a smaller --lr may help"
            ) from None
        finally:
            progress.close()
        seconds = round(time.perf_counter() - start, 3)
        history.append({"epoch": epoch, "seconds": seconds, **measured})
        _save(training, run, history)
    run.write_weights(training.weights())
    training.pictures(run.pictures, history)


def _save(training: Training, run: Run, history: list[dict[str, Any]]) -> None:
    """Write the checkpoint, and after it the metrics that it holds too."""
    state = {
        "training": training.state_dict(),
        "random": random_state(),
        "history": history,
        "finished": training.finished,
    }
    run.write_checkpoint(state)
    run.write_metrics(history)


def restore(training: Training, run: Run) -> list[dict[str, Any]]:
    """Put training where the run's checkpoint was written; returns the history so far.

    From there the host takes the same steps to the last bit, if BLAS and its threads are the same.
    """
    state = run.read_checkpoint()
    training.load_state_dict(state["training"])
    training.finished = state["finished"]
    set_random_state(state["random"])
    run.write_metrics(state["history"])
    return state["history"]


def predict(network: nn.Module, data: TensorDataset, batch_size: int = 1000) -> tuple[Any, Any]:
    """Class probabilities (N, classes) and labels (N,) of a labelled data set, on the host."""
    network.eval()
    probabilities, labels = [], []
    with mg.no_grad():
        for x, label in DataLoader(data, batch_size):
            probabilities.append(F.softmax(network(x), -1))
            labels.append(label)
    return mg.concatenate(probabilities).numpy(), mg.concatenate(labels).numpy()


def accuracy(network: nn.Module, data: TensorDataset, batch_size: int = 1000) -> float:
    """The fraction of a labelled data set whose class has the largest output of the network."""
    network.eval()
    right: Any = 0
    with mg.no_grad():
        for x, label in DataLoader(data, batch_size):
            right = right + (network(x).argmax(-1) == label).sum()
    return float(right) / len(data)
