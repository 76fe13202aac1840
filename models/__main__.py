"""The commands: ``python -m models list | train MODEL | resume RUN``."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

import minigrad as mg
from minigrad.backend import BackendError, current_backend
from minigrad.data import DataError
from models.architecture import Architecture, Settings, architectures
from models.data import DATA_SETS
from models.run import Run, RunError
from models.training import Diverged, Training, fit, restore

_MEANING = {
    "epochs": "passes over the training data",
    "batch_size": "examples a step",
    "lr": "learning rate",
}


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, without the usage that nobody asked for."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 where training failed, 2 for a wrong call,
    130 after an interruption."""
    known = architectures()
    options = _parse(sys.argv[1:] if arguments is None else arguments, known)
    command = {"list": _list, "train": _train, "resume": _resume}[options.command]
    try:
        return command(options, known)
    except (BackendError, DataError, RunError) as error:
        print(f"python -m models {options.command}: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130
    except Diverged as error:
        print(f"python -m models {options.command}: {error}", file=sys.stderr)
        return 1


# ---------------------------------------------------------------------------------------------
# Arguments
# ---------------------------------------------------------------------------------------------


def _parse(arguments: list[str], known: dict[str, Architecture]) -> argparse.Namespace:
    parser = _Parser(prog="python -m models", description="Train the classic neural architectures.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", help="say of each model its paper, data, size and reference figure")
    train = commands.add_parser(
        "train", help="train a model and write a run folder; `train MODEL --help` says with what"
    )
    if arguments[:1] == ["train"] and len(arguments) > 1 and arguments[1][0] != "-":
        _check_name(train, arguments[1], known)
    models = train.add_subparsers(dest="model", metavar="MODEL", required=True)
    for name, architecture in known.items():
        _add_options(models.add_parser(name, description=_about(architecture)), architecture)
    resume = commands.add_parser("resume", help="go on with a run where it stopped")
    resume.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    _add_quiet(resume)
    return parser.parse_args(arguments)


def _check_name(parser: _Parser, name: str, known: dict[str, Architecture]) -> None:
    """Refuse a model that does not exist, with the names that were perhaps meant."""
    if name not in known:
        close = difflib.get_close_matches(name, known) or list(known)
        parser.error(f"there is no model {name!r}; did you mean {' or '.join(close)}?")


def _about(architecture: Architecture) -> str:
    return f"{architecture.title}. {architecture.paper}. Reference: {architecture.reference}."


def _add_options(parser: argparse.ArgumentParser, architecture: Architecture) -> None:
    """The options of ``train MODEL``: what all models have, and every setting of this one."""
    data_sets = list(architecture.settings)
    parser.add_argument(
        "--dataset", choices=data_sets, default=data_sets[0], help="(default: %(default)s)"
    )
    names = dict.fromkeys(name for given in architecture.settings.values() for name in given)
    for name in names:
        defaults = {d: s[name] for d, s in architecture.settings.items() if name in s}
        shown = ", ".join(f"{value:g} on {data}" for data, value in defaults.items())
        meaning = {**_MEANING, **architecture.meaning}[name]
        parser.add_argument(
            f"--{name.replace('_', '-')}",
            type=_number(name, type(next(iter(defaults.values())))),
            metavar="N",
            help=f"{meaning} (default: {shown})",
        )
    parser.add_argument(
        "--seed", type=_number("seed", int), default=0, metavar="N", help="of all that is random"
    )
    parser.add_argument(
        "--backend", help="numpy, cupy or auto (default: $MINIGRAD_BACKEND or numpy)"
    )
    parser.add_argument("--out", type=Path, help="the run folder (default: runs/MODEL-DATASET-n)")
    _add_quiet(parser)


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print the last line alone")


def _number(name: str, kind: type) -> Callable[[str], int | float]:
    """Reads a setting from the command line: positive where zero makes no sense."""
    positive = name in _MEANING

    def read(text: str) -> int | float:
        wanted = f"{'a positive' if positive else 'a non-negative'} {_KINDS[kind]}"
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"wants {wanted}, got {text!r}") from None
        if not math.isfinite(value) or value < 0 or (positive and value == 0):
            raise argparse.ArgumentTypeError(f"wants {wanted}, got {text}")
        return value

    return read


_KINDS = {int: "integer", float: "number"}


# ---------------------------------------------------------------------------------------------
# Commands
# ---------------------------------------------------------------------------------------------


def _list(options: argparse.Namespace, known: dict[str, Architecture]) -> int:
    for name, architecture in known.items():
        sizes = [f"{data} ({architecture.size(data):,})" for data in architecture.settings]
        print(f"{name}: {architecture.title}")
        print(f"  paper      {architecture.paper}")
        print(f"  data       {', '.join(sizes)} (numbers in the network)")
        print(f"  reference  {architecture.reference}")
    return 0


def _train(options: argparse.Namespace, known: dict[str, Architecture]) -> int:
    if options.backend is not None:
        _use_backend(options.backend)
    settings = dict(known[options.model].settings[options.dataset])
    for name in [*_MEANING, *known[options.model].meaning]:
        value = getattr(options, name, None)
        if value is None:
            continue
        if name not in settings:
            option = f"--{name.replace('_', '-')}"
            raise RunError(f"{option}: {options.model} on {options.dataset} has no such setting")
        settings[name] = value
    config = {
        "model": options.model,
        "dataset": options.dataset,
        "backend": current_backend().name,
        "settings": {**settings, "seed": options.seed},
        "versions": {"minigrad": mg.__version__, "numpy": np.__version__},
    }
    training = _prepare(config, known)
    run = Run.create(options.out, config)
    return _fit(training, run, config, [], options.quiet)


def _resume(options: argparse.Namespace, known: dict[str, Architecture]) -> int:
    run = Run.open(options.run)
    config = run.config()
    try:
        _use_backend(config["backend"])
        training = _prepare(config, known)
    except KeyError as error:
        raise RunError(f"{run.path / 'config.json'}: has no or an unknown {error}") from None
    history = restore(training, run)
    return _fit(training, run, config, history, options.quiet)


def _use_backend(name: str) -> None:
    try:
        mg.set_backend(name)
    except ValueError as error:
        raise RunError(f"--backend: {error}") from None


def _prepare(config: dict[str, Any], known: dict[str, Architecture]) -> Training:
    """The untrained network with its data, seeded, ready to learn; refuses impossible settings."""
    architecture = known[config["model"]]
    settings = Settings(**config["settings"])
    data_set = DATA_SETS[config["dataset"]]
    mg.manual_seed(settings.seed)
    examples = data_set.load(config["backend"])
    try:
        network = architecture.build(data_set, settings).to(config["backend"])
        return architecture.training(network, examples, settings)
    except ValueError as error:
        raise RunError(str(error)) from error


def _fit(
    training: Training,
    run: Run,
    config: dict[str, Any],
    history: list[dict[str, Any]],
    quiet: bool,
) -> int:
    try:
        fit(training, run, history, quiet)
    except KeyboardInterrupt:
        print(
            f"\ninterrupted after {len(history)} of {training.settings.epochs} epochs; go on by "
            f"`python -m models resume {run.path}`",
            file=sys.stderr,
        )
        return 130
    if not quiet:
        for text in (training.report(), *map(str, sorted(run.pictures.iterdir()))):
            if text:
                print(text)
    print(_last_line(training, run, config, history))
    return 0


def _last_line(
    training: Training, run: Run, config: dict[str, Any], history: list[dict[str, Any]]
) -> str:
    parts = []
    if history:
        seconds = sum(entry["seconds"] for entry in history)
        epochs = f"{len(history)} epoch{'s' if len(history) > 1 else ''}"
        value = history[-1][training.metric]
        parts.append(f"{training.metric} {value:.4f} after {epochs} in {seconds:.1f} s")
    if training.finished:
        parts.append(training.finished)
    parts.append(str(run.path))
    return f"{config['model']} on {config['dataset']}: {'; '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main())
