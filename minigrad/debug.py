"""Finding where a NaN comes from."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from minigrad import core
from minigrad.backend import xp
from minigrad.core import Node

_PACKAGE = str(Path(__file__).parent)


def _origin() -> str:
    """The innermost line outside this package that is being executed, as 'file:line: code'."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(_PACKAGE):
            return f"{frame.filename}:{frame.lineno}: {frame.line}"
    return "unknown line"


def _has_nan(values: Any) -> bool:
    array = values.array if isinstance(values, Node) else values
    return array.dtype.kind == "f" and bool(xp(array).isnan(array).any())


@contextmanager
def detect_anomaly() -> Iterator[None]:
    """Inside the block, raise where a NaN first appears, forward or backward, and say which line of
    the program made it.

    Every recorded result and every gradient is examined (and on a GPU waited for), so this is slow:
    a tool for finding a fault, not for training.

    Raises:
        RuntimeError: names the primitive, and the file and line that called it.
    """

    def examine_result(node: Node) -> None:
        node.origin = _origin()
        arguments = [arg for arg in node.args or () if isinstance(arg, Node)]
        if _has_nan(node) and not any(_has_nan(arg) for arg in arguments):
            raise RuntimeError(f"{_name(node)} returned NaN at {node.origin}")

    def examine_gradient(node: Node, i: int, g: Any) -> None:
        if _has_nan(g):
            where = node.origin or "a line that ran before detect_anomaly()"
            raise RuntimeError(
                f"the gradient of {_name(node)} by its argument {i} is NaN; called at {where}"
            )

    kept = core.on_record, core.on_rule
    core.on_record, core.on_rule = examine_result, examine_gradient
    try:
        yield
    finally:
        core.on_record, core.on_rule = kept


def _name(node: Node) -> str:
    return node.primitive.name if node.primitive is not None else "a leaf"
