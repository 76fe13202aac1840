"""The backend "strict": NumPy's arithmetic behind an array that refuses what CuPy refuses.

It makes the mistakes visible on a CPU that otherwise only show on a GPU: NumPy functions called on
data, arrays of the host mixed with those of the device, names and arguments that CuPy lacks,
uninitialised memory that is read, indices out of range (CuPy wraps them), float32 that became
float64, and the host waiting for the device (`count_syncs`, `forbid_sync`). Where CuPy lets
something pass that never is meant, as the silent copy of an index from the host, it is stricter.

Names and arguments are CuPy's own, frozen in `signatures.json` by `freeze.py`.

Importing this package registers the backend.
"""

from __future__ import annotations

from typing import Any

from minigrad.backend import DeviceBackend, register_backend
from tests.strict.device import StrictArray
from tests.strict.modules import StrictModule
from tests.strict.rules import (
    PromotionError,
    SynchronizationError,
    UndefinedResultError,
    count_copies,
    count_syncs,
    forbid_sync,
)

__all__ = [
    "PromotionError",
    "StrictArray",
    "SynchronizationError",
    "UndefinedResultError",
    "count_copies",
    "count_syncs",
    "forbid_sync",
]


class StrictBackend(DeviceBackend):
    """As `CupyBackend`, over the pretended modules."""

    def __init__(self) -> None:
        cupy: Any = StrictModule("cupy")
        special: Any = StrictModule("cupyx.scipy.special")
        super().__init__("strict", cupy, special)


register_backend(StrictBackend())
