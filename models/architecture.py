"""What a module of `models/` defines, and how the commands find it.

A module with an `ARCHITECTURE` is a model; adding one adds one file and registers nothing. It has::

    class Network(nn.Module): ...                   # the model

    class NetworkTraining(Training):                # how it learns, is measured and is drawn
        def __init__(self, network, data, settings): ...
        def step(self, *batch): ...
        def evaluate(self): ...
        def pictures(self, folder, history): ...

    ARCHITECTURE = Architecture(...)                # what `python -m models list` says of it
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace

import models
from minigrad import nn
from models.data import DATA_SETS, DataSet
from models.training import Training

Settings = SimpleNamespace  # the numbers of a run: epochs, seed and what the model names itself


@dataclass(frozen=True)
class Architecture:
    """A model as the commands know it.

    Attributes:
        title: its name in the literature.
        paper: where it was published: authors, year, title.
        reference: the published or known figure that a run is compared with.
        settings: for each data set it learns, the numbers it learns with, every one of which is an
            option of ``python -m models train``; the first data set is the default.
        meaning: what those settings mean that not every model has.
        build: makes the untrained network for a data set.
        training: makes the network learn.
    """

    title: str
    paper: str
    reference: str
    settings: Mapping[str, Mapping[str, int | float]]
    build: Callable[[DataSet, Settings], nn.Module]
    training: type[Training]
    meaning: Mapping[str, str] = field(default_factory=dict)

    def size(self, dataset: str) -> int:
        """How many numbers the network for a data set learns or has been given."""
        network = self.build(DATA_SETS[dataset], Settings(**self.settings[dataset]))
        return sum(tensor.size for tensor in network.state_dict().values())


def architectures() -> dict[str, Architecture]:
    """Every model by the name of its module, in alphabetical order."""
    found = {}
    for entry in pkgutil.iter_modules(models.__path__):
        if not entry.name.startswith("_"):
            module = importlib.import_module(f"models.{entry.name}")
            if hasattr(module, "ARCHITECTURE"):
                found[entry.name] = module.ARCHITECTURE
    return found
