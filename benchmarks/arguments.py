"""How the commands read their arguments: one line and exit code 2 where something is wrong."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that refuses bad arguments in one line, with exit code 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}\n")


def names(known: Sequence[str], things: str) -> Callable[[str], list[str]]:
    """Reads names between commas; returns them in the order of the known ones."""

    def read(text: str) -> list[str]:
        wanted = [name for name in text.split(",") if name]
        unknown = [name for name in wanted if name not in known]
        if unknown or not wanted:
            wrong = f"there is no {things} {unknown[0]!r}" if unknown else f"names no {things}"
            raise argparse.ArgumentTypeError(f"{wrong}; known: {', '.join(known)}")
        return [name for name in known if name in wanted]

    return read


def positive(text: str) -> int:
    """Reads a positive integer."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"wants a positive integer, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """Reads a time."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"wants a non-negative number, got {text!r}")
    return value


def file(text: str) -> Path:
    """Reads the path of a file that can be written."""
    path = Path(text)
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}")
    return path
