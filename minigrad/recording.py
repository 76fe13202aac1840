"""The switch that decides whether operations are recorded, one a thread."""

from __future__ import annotations

import inspect
from contextlib import ContextDecorator
from contextvars import ContextVar, Token
from typing import Any

recording: ContextVar[bool] = ContextVar("minigrad_recording", default=True)


def is_grad_enabled() -> bool:
    """Whether operations are recorded here and now (per thread)."""
    return recording.get()


class _Recording(ContextDecorator):
    """Switches recording on or off inside a block or a decorated function."""

    enabled: bool

    def __init__(self) -> None:
        self._tokens: list[Token[bool]] = []

    def __call__(self, function: Any) -> Any:
        if inspect.isgeneratorfunction(function):
            raise TypeError(
                f"{type(self).__name__}: cannot decorate the generator {function.__name__}; "
                f"use 'with {type(self).__name__}():' inside it"
            )
        return super().__call__(function)

    def _recreate_cm(self) -> _Recording:
        return type(self)()

    def __enter__(self) -> None:
        self._tokens.append(recording.set(self.enabled))

    def __exit__(self, *exception: object) -> None:
        recording.reset(self._tokens.pop())


class no_grad(_Recording):  # noqa: N801, a context manager in PyTorch's spelling
    """Record nothing: ``with no_grad():`` or ``@no_grad()``."""

    enabled = False


class enable_grad(_Recording):  # noqa: N801
    """Record again inside a `no_grad` block: ``with enable_grad():`` or ``@enable_grad()``."""

    enabled = True
