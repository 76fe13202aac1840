"""What a module of `models/` defines, and how the commands find it.

A module with an `ARCHITECTURE` is a model; adding one adds one file and registers nothing. It has::

    class Network(nn.Module): ...                   # the model

    class NetworkTraining(Training):                # how it learns, is measured and is drawn
        def __init__(self, network, data, settings): ...
        def step(self, *batch): ...
        def evaluate(self): ...
        def pictures(self, folder, history): ...
        def sample(self, count, folder): ...    # where the default does not fit

    ARCHITECTURE = Architecture(...)                # what `python -m models list` says of it
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import models
from minigrad import nn
from models.data import DATA_SETS, DataSet, Examples
from models.training import Training

Settings = SimpleNamespace  # of a run: epochs, seed and what the model names itself
FOLDER = "folder"  # stands among the data sets of a model that learns any folder of images


@dataclass(frozen=True)
class Architecture:
    """A model as the commands know it.

    Attributes:
        title: its name in the literature.
        paper: where it was published: authors, year, title.
        reference: the published or known figure that a run is compared with.
        settings: for each data set it learns, the numbers and words it learns with, every one of
            which is an option of ``python -m models train``; the first data set is the default.
            Where `FOLDER` is among them, ``--dataset`` also takes the path of a folder of images,
            which is then the setting `folder`.
        meaning: what those settings mean that not every model has.
        choices: the words that a setting may be; a word without choices is the name of a file.
        presets: for a data set, the words that bring defaults of their own over those in
            `settings`; what stands in presets alone is a setting that only those words have.
        needs: what it wants besides this checkout.
        cost: for each data set, the time and the memory that training takes, as measured; with a
            word where that takes another time, as "mnist, convolutional".
        build: makes the untrained network for a data set.
        training: makes the network learn: a subclass of `Training`, or a function that picks one.
        data: finds a data set by its name and the settings; by default among those of all models.
    """

    title: str
    paper: str
    reference: str
    settings: Mapping[str, Mapping[str, int | float | str]]
    cost: Mapping[str, str]
    build: Callable[[DataSet, Settings], nn.Module]
    training: Callable[[Any, Examples, Settings], Training]
    meaning: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Mapping[str, int | float | str]]] = field(
        default_factory=dict
    )
    needs: str = ""
    data: Callable[[str, Settings], DataSet] = lambda name, settings: DATA_SETS[name]

    def defaults(self, dataset: str, **asked: Any) -> dict[str, Any]:
        """The settings for a data set, as far as they follow from it and from the words asked."""
        found = dict(self.settings[dataset])
        presets = self.presets.get(dataset, {})
        for word in [asked.get(name, found.get(name)) for name in self.choices]:
            found |= presets.get(str(word), {})
        return found

    def size(self, dataset: str) -> int:
        """How many numbers the network for a data set learns or has been given."""
        settings = Settings(**self.defaults(dataset), seed=0)
        network = self.build(self.data(dataset, settings), settings)
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
