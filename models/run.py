"""The folder that a run leaves behind, and everything that is written to it or read from it.

    config.json              what was asked: model, data set, backend, settings, versions
    metrics.jsonl            one JSON object an epoch
    checkpoint.safetensors   all that training needs to go on as if it had never stopped
    model.safetensors        the weights of the network
    pictures/                what the model drew of itself
    samples/                 what `python -m models sample` drew, a folder a seed

Every file is written beside its place and renamed, so that a run killed at any moment leaves whole
files, and the checkpoint is one file, so that its parts always belong to the same epoch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from minigrad.backend import is_array
from minigrad.core import Node
from minigrad.serialize import load, save, write_atomically

_STATE = "state"  # the entry of a checkpoint that holds everything but arrays, as JSON in UTF-8


class RunError(Exception):
    """A run cannot be started or gone on with; the message says why."""


class Run:
    """A run folder that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def create(cls, path: Path | None, config: Mapping[str, Any]) -> Run:
        """Make the folder of a new run, named after model and data set where `path` is None."""
        if path is None:
            names = (f"runs/{config['model']}-{config['dataset']}-{n}" for n in count(1))
            path = next(Path(name) for name in names if not Path(name).exists())
        if path.exists():
            raise RunError(
                f"--out: {path} exists already; name another folder, or go on with the run that is "
                f"there by `python -m models resume {path}`"
            )
        try:
            (path / "pictures").mkdir(parents=True)
        except OSError as error:
            raise RunError(f"--out: cannot make the folder {path} ({error.strerror})") from None
        run = cls(path)
        run._write("config.json", json.dumps(config, indent=2) + "\n")
        return run

    @classmethod
    def open(cls, path: Path) -> Run:
        """The run in an existing folder, with a configuration and a checkpoint to go on from."""
        run = cls(path)
        for name in ("config.json", "checkpoint.safetensors"):
            if not (path / name).is_file():
                raise RunError(f"{path} is no run folder, it has no {name}")
        return run

    def config(self) -> dict[str, Any]:
        """What the run was asked to do."""
        try:
            return json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except ValueError as error:
            raise RunError(f"{self.path / 'config.json'}: is not JSON ({error})") from None

    @property
    def pictures(self) -> Path:
        """The folder that pictures are drawn into."""
        return self.path / "pictures"

    def samples(self, seed: int) -> Path:
        """The folder for what is drawn from the trained model with a seed; made where missing."""
        folder = self.path / "samples" / f"seed-{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def write_metrics(self, history: list[dict[str, Any]]) -> None:
        """Write metrics.jsonl: one object an epoch, all of them, so that no line is ever torn."""
        self._write("metrics.jsonl", "".join(json.dumps(epoch) + "\n" for epoch in history))

    def write_weights(self, weights: Mapping[str, Any]) -> None:
        """Write model.safetensors."""
        save(self.path / "model.safetensors", weights)

    def write_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Write a nested dictionary of arrays, numbers and strings as the checkpoint."""
        arrays: dict[str, Any] = {}
        text = json.dumps(_without_arrays(state, arrays))
        arrays[_STATE] = np.frombuffer(text.encode(), dtype="uint8")
        save(self.path / "checkpoint.safetensors", arrays)

    def read_checkpoint(self) -> dict[str, Any]:
        """The nested dictionary that `write_checkpoint` wrote, its arrays on the host."""
        path = self.path / "checkpoint.safetensors"
        try:
            arrays = {name: tensor.numpy() for name, tensor in load(path).items()}
            return _with_arrays(json.loads(arrays.pop(_STATE).tobytes()), arrays)
        except (ValueError, KeyError) as error:
            raise RunError(f"{path} is no checkpoint of a run ({error})") from None

    def _write(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text)


def _without_arrays(value: Any, arrays: dict[str, Any]) -> Any:
    """`value` as JSON takes it: arrays go to `arrays` and leave their names behind.

    Dictionaries become lists of pairs: optimizers number their parameters, JSON's keys are strings.
    """
    if isinstance(value, Node) or is_array(value):
        name = f"array{len(arrays)}"
        arrays[name] = value
        return {"array": name}
    if isinstance(value, Mapping):
        return {"pairs": [[key, _without_arrays(entry, arrays)] for key, entry in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(entry, arrays) for entry in value]
    return value


def _with_arrays(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The inverse of `_without_arrays` (tuples come back as lists)."""
    if isinstance(value, list):
        return [_with_arrays(entry, arrays) for entry in value]
    if isinstance(value, dict):
        if "array" in value:
            return arrays[value["array"]]
        return {key: _with_arrays(entry, arrays) for key, entry in value["pairs"]}
    return value
