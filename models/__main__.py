"""The commands: ``python -m models list | train MODEL | resume RUN | sample RUN``."""

from __future__ import annotations

import argparse
import difflib
import math
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import minigrad as mg
from minigrad.backend import BackendError, current_backend
from minigrad.cli import Parser, exit_code
from minigrad.data import DataError
from models.architecture import FOLDER, Architecture, Settings, architectures
from models.run import Run, RunError
from models.training import Diverged, Training, fit, restore

_MEANING = {
    "epochs": "passes over the training data",
    "batch_size": "examples a step",
    "lr": "learning rate",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code: 0, 1 where training failed, 2 for a wrong call,
    130 after an interruption."""
    known = architectures()
    options = _parse(sys.argv[1:] if arguments is None else arguments, known)
    command = {"list": _list, "train": _train, "resume": _resume, "sample": _sample}[
        options.command
    ]
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
    parser = Parser(prog="python -m models", description="Train the classic neural architectures.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    commands.add_parser("list", help="say of each model its paper, data, size and reference figure")
    train = commands.add_parser(
        "train", help="train a model and write a run folder; `train MODEL --help` says with what"
    )
    if arguments[:1] == ["train"] and len(arguments) > 1 and arguments[1][0] != "-":
        _check_name(train, arguments[1], known)
    models = train.add_subparsers(dest="model", metavar="MODEL", required=True)
    for name, architecture in known.items():
        _add_options(
            models.add_parser(
                name,
                description=_about(architecture),
                epilog=_wants(architecture),
                formatter_class=argparse.RawDescriptionHelpFormatter,
            ),
            architecture,
        )
    resume = commands.add_parser("resume", help="go on with a run where it stopped")
    resume.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    _add_quiet(resume)
    sample = commands.add_parser(
        "sample", help="draw from a trained generative model, or see a trained model at work"
    )
    sample.add_argument("run", metavar="RUN", type=Path, help="the run folder")
    _add_seed(sample)
    sample.add_argument(
        "--count",
        type=_number(int, positive=True),
        default=10,
        metavar="N",
        help="samples to draw or examples to show (default: 10)",
    )
    return parser.parse_args(arguments)


def _check_name(parser: Parser, name: str, known: dict[str, Architecture]) -> None:
    """Refuse a model that does not exist, with the names that were perhaps meant."""
    if name not in known:
        close = difflib.get_close_matches(name, known)
        others = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(known)}"
        parser.error(f"there is no model {name!r}; {others}")


def _about(architecture: Architecture) -> str:
    about = f"{architecture.title}. {architecture.paper}. Reference: {architecture.reference}."
    return textwrap.fill(about, 80)


def _wants(architecture: Architecture) -> str:
    """What training needs, and what it takes, as the end of ``train MODEL --help``."""
    lines = [textwrap.fill(f"needs: {architecture.needs}", 80)] if architecture.needs else []
    lines += ["takes, on two cores:"]
    lines += [f"  {data:15} {cost}" for data, cost in architecture.cost.items()]
    return "\n".join(lines)


def _add_options(parser: argparse.ArgumentParser, architecture: Architecture) -> None:
    """The options of ``train MODEL``: what all models have, and every setting of this one."""
    data_sets = list(architecture.settings)
    if FOLDER in data_sets:
        known = ", ".join(data for data in data_sets if data != FOLDER)
        parser.add_argument(
            "--dataset",
            type=_name_or_folder(data_sets, known),
            default=data_sets[0],
            metavar="NAME",
            help=f"{known}, or the path of a folder of images (default: %(default)s)",
        )
    else:
        parser.add_argument(
            "--dataset", choices=data_sets, default=data_sets[0], help="(default: %(default)s)"
        )
    given = dict(architecture.settings)
    for data, presets in architecture.presets.items():
        given |= {f"{data} with {word}": settings for word, settings in presets.items()}
    for name in dict.fromkeys(name for settings in given.values() for name in settings):
        defaults = {where: s[name] for where, s in given.items() if name in s}
        shown = ", ".join(f"{_shown(value)} on {where}" for where, value in defaults.items())
        meaning = {**_MEANING, **architecture.meaning}[name]
        kind = type(next(iter(defaults.values())))
        reading: dict[str, Any] = {"type": _number(kind, name in _MEANING), "metavar": "N"}
        if kind is str:
            choices = architecture.choices.get(name)
            reading = {"choices": choices} if choices else {"metavar": "FILE"}
        help_text = f"{meaning} (default: {shown})"
        parser.add_argument(f"--{name.replace('_', '-')}", help=help_text, **reading)
    _add_seed(parser)
    parser.add_argument(
        "--backend", help="numpy, cupy or auto (default: $MINIGRAD_BACKEND or numpy)"
    )
    parser.add_argument("--out", type=Path, help="the run folder (default: runs/MODEL-DATASET-n)")
    _add_quiet(parser)


def _shown(value: int | float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _name_or_folder(data_sets: list[str], known: str) -> Callable[[str], str]:
    """Reads the name of a data set, or the path of a folder, which comes back absolute."""

    def read(text: str) -> str:
        if text in data_sets and text != FOLDER:
            return text
        if Path(text).is_dir():
            return str(Path(text).resolve())
        raise argparse.ArgumentTypeError(f"wants {known} or a folder of images, got {text!r}")

    return read


def _add_seed(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--seed",
        type=_number(int, positive=False),
        default=0,
        metavar="N",
        help="of all that is random (default: 0)",
    )


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="print the last line alone")


def _number(kind: type, positive: bool) -> Callable[[str], int | float]:
    """Reads a number from the command line; one that is not `positive` may also be zero."""

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
        sizes = [
            "a folder of images" if data == FOLDER else f"{data} ({architecture.size(data):,})"
            for data in architecture.settings
        ]
        print(f"{name}: {architecture.title}")
        print(f"  paper      {architecture.paper}")
        print(f"  data       {', '.join(sizes)} (numbers in the network)")
        print(f"  reference  {architecture.reference}")
    return 0


def _train(options: argparse.Namespace, known: dict[str, Architecture]) -> int:
    if options.backend is not None:
        _use_backend(options.backend)
    dataset, settings = _settings(known[options.model], options)
    config = {
        "model": options.model,
        "dataset": dataset,
        "backend": current_backend().name,
        "settings": {**settings, "seed": options.seed},
        "versions": {"minigrad": mg.__version__, "numpy": np.__version__},
    }
    training = _prepare(config, known)
    run = Run.create(options.out, config)
    return _fit(training, run, config, [], options.quiet)


def _resume(options: argparse.Namespace, known: dict[str, Architecture]) -> int:
    run = Run.open(options.run)
    training = _reopened(run, known)
    history = restore(training, run)
    return _fit(training, run, run.config(), history, options.quiet)


def _reopened(run: Run, known: dict[str, Architecture]) -> Training:
    """The untrained network of a run that exists, on the backend and with the settings it had."""
    config = run.config()
    try:
        _use_backend(config["backend"])
        return _prepare(config, known)
    except KeyError as error:
        raise RunError(f"{run.path / 'config.json'}: has no or an unknown {error}") from None


def _settings(
    architecture: Architecture, options: argparse.Namespace
) -> tuple[str, dict[str, Any]]:
    """The data set that `--dataset` names, and the settings: the defaults, and what was asked."""
    given = {name: getattr(options, name, None) for name in [*_MEANING, *architecture.meaning]}
    asked = {name: value for name, value in given.items() if value is not None}
    dataset = options.dataset if options.dataset in architecture.settings else FOLDER
    settings = architecture.defaults(dataset, **asked)
    for name in asked:
        if name not in settings:
            chosen, presets = settings | asked, architecture.presets.get(dataset, {})
            words = [  # that settings hang on
                str(chosen[choice])
                for choice, possible in architecture.choices.items()
                if choice in chosen and not presets.keys().isdisjoint(possible)
            ]
            which = f" with {', '.join(words)}" if words else ""
            option = f"--{name.replace('_', '-')}"
            raise RunError(f"{option}: {options.model} on {dataset}{which} has no such setting")
    if dataset == FOLDER:
        asked[FOLDER] = options.dataset
    return dataset, settings | asked


def _sample(options: argparse.Namespace, known: dict[str, Architecture]) -> int:
    run = Run.open(options.run)
    training = _reopened(run, known)
    training.load_state_dict(run.read_checkpoint()["training"])
    mg.manual_seed(options.seed)
    folder = run.samples(options.seed)
    text = training.sample(options.count, folder)
    for line in (text, *map(str, sorted(folder.iterdir()))):
        if line:
            print(line)
    return 0


def _use_backend(name: str) -> None:
    try:
        mg.set_backend(name)
    except ValueError as error:
        raise RunError(f"--backend: {error}") from None


def _prepare(config: dict[str, Any], known: dict[str, Architecture]) -> Training:
    """The untrained network with its data, seeded, ready to learn; refuses impossible settings."""
    architecture = known[config["model"]]
    settings = Settings(**config["settings"])
    mg.manual_seed(settings.seed)
    try:
        data_set = architecture.data(config["dataset"], settings)
        examples = data_set.load(config["backend"])
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
    sys.exit(exit_code(main))
