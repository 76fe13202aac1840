"""The pretended modules ``cupy`` and ``cupyx.scipy.special``: NumPy under CuPy's names alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special

from tests.strict.device import StrictArray, invoke, unwrap
from tests.strict.rules import (
    SIGNATURES,
    copy_to_device,
    signature,
    synchronize,
)

SOURCES = {
    "cupy": np,
    "cupy.linalg": np.linalg,
    "cupy.lib": np.lib,
    "cupy.lib.stride_tricks": np.lib.stride_tricks,
    "cupyx.scipy.special": scipy.special,
}
FROM_HOST = {"array", "asarray", "asanyarray", "ascontiguousarray", "asfortranarray"}
# What makes arrays, or asks about dtypes and shapes: the first argument need not be an array.
WITHOUT_ARRAYS = {
    "arange", "broadcast_shapes", "can_cast", "empty", "eye", "finfo", "full", "identity",
    "iinfo", "indices", "isscalar", "issubdtype", "linspace", "logspace", "ndim", "ones",
    "promote_types", "result_type", "tri", "zeros",
}  # fmt: skip
# Results whose shape depends on values.
WAITING = {"argwhere", "asnumpy", "flatnonzero", "nonzero", "unique", "array_equal", "allclose",
           "array_str", "array_repr", "compress", "extract", "count_nonzero"}  # fmt: skip
# Of which dtypes ``ufunc.at`` is made of atomic operations.
AT_DTYPES = {"add": "iIlLQefd", "subtract": "iI"}


def poisoned(array: np.ndarray) -> np.ndarray:
    """What uninitialised memory holds in the worst case, so that whoever reads it is found out."""
    if array.dtype.kind in "fc":
        array[...] = np.nan
    elif array.dtype.kind in "iu":
        array[...] = np.iinfo(array.dtype).max
    else:
        array[...] = np.arange(array.size).reshape(array.shape) % 2 == 0
    return array


class StrictUfunc:
    """An elementwise function with the arguments that CuPy's has and, of its methods, `at`."""

    def __init__(self, name: str, ufunc: np.ufunc, frozen: Any, has_at: bool) -> None:
        self._name = name
        self._ufunc = ufunc
        self._signature = frozen
        self._has_at = has_at

    def __call__(self, *args: Any, **options: Any) -> StrictArray:
        return invoke(self._name, self._ufunc, self._signature, args, options)

    def at(self, a: StrictArray, indices: Any, b: Any) -> None:
        """In place, repeated indices one after the other; only where CuPy has it."""
        if not self._has_at:
            raise NotImplementedError(f"`cupy_{self._name}.at` is not supported yet")
        known = AT_DTYPES.get(self._name)
        if known is not None and a.dtype.char not in known:
            raise TypeError(f"cupy.{self._name}.at does not support {a.dtype} as data type")
        self._ufunc.at(unwrap(a), a._index(indices), unwrap(b))


class StrictModule:
    """A module that knows the names of CuPy's, and of each the arguments that CuPy's takes."""

    __version__ = SIGNATURES["version"]

    def __init__(self, path: str) -> None:
        self._path = path
        self._names = SIGNATURES.get(path, {})

    def __getattr__(self, name: str) -> Any:
        path = f"{self._path}.{name}"
        if path in SOURCES or path == "cupy.random":
            found = StrictRandom() if path == "cupy.random" else StrictModule(path)
        elif name not in self._names:
            raise AttributeError(f"module {self._path!r} has no attribute {name!r}")
        else:
            found = self._make(name, *self._names[name])
        setattr(self, name, found)  # the next time it is there
        return found

    def _make(self, name: str, kind: str, text: str = "") -> Any:
        if self._path == "cupy" and name == "ndarray":
            return StrictArray
        if self._path == "cupy" and name == "asnumpy":
            return _asnumpy
        source = getattr(SOURCES[self._path], name)
        if kind.startswith("ufunc"):
            return StrictUfunc(name, source, signature(text), kind.endswith("with at"))
        if kind != "function":
            return source  # dtypes and constants
        return self._function(name, source, signature(text))

    def _function(self, name: str, source: Any, frozen: Any) -> Any:
        def function(*args: Any, **options: Any) -> Any:
            if name in FROM_HOST:
                return _from_host(source, frozen, args, options)
            if name not in WITHOUT_ARRAYS:
                _check_first(name, args)
            if name in WAITING or (name == "where" and len(args) == 1):
                synchronize(name)
            result = invoke(name, source, frozen, args, options)
            return StrictArray(poisoned(result._host)) if name.startswith("empty") else result

        function.__name__ = name
        return function


def _asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking=True):
    return a.get(order=order) if isinstance(a, StrictArray) else np.asarray(a)


def _from_host(source: Any, frozen: Any, args: tuple, options: dict) -> StrictArray:
    """``asarray`` and its like: the one door from the host to the device, always a copy."""
    frozen.bind(*args, **options)
    a, *others = args
    if isinstance(a, StrictArray):
        return StrictArray(source(a._host, *others, **options))
    if isinstance(a, (list, tuple)) and any(isinstance(part, StrictArray) for part in a):
        return StrictArray(source(unwrap(a), *others, **options))
    if np.ndim(a):
        copy_to_device(source.__name__)
    return StrictArray(np.array(source(a, *others, **options)))


def _check_first(name: str, args: tuple) -> None:
    """A function of CuPy asks its first argument for its methods: a number has none of them."""
    first = args[0] if args else None
    parts = first if isinstance(first, (list, tuple)) else (first,)
    known = isinstance(first, str) or any(isinstance(part, StrictArray) for part in parts)
    if not known:
        raise TypeError(f"{name}: wants an array of the device, got {type(first).__name__}")


# ---------------------------------------------------------------------------------------------
# Random numbers
# ---------------------------------------------------------------------------------------------


class StrictGenerator:
    """Draws NumPy's numbers; has the methods that ``cupy.random.Generator`` has."""

    _names = SIGNATURES["cupy.random.Generator"]

    def __init__(self, seed: int | None = None) -> None:
        self._generator = np.random.default_rng(seed)

    def __getattr__(self, name: str) -> Any:
        if name not in self._names:
            raise AttributeError(f"'Generator' object has no attribute {name!r}")
        frozen = signature(self._names[name][1])

        def draw(*args: Any, **options: Any) -> StrictArray:
            frozen.bind(*args, **options)
            return StrictArray(np.asarray(getattr(self._generator, name)(*unwrap(args), **options)))

        return draw


class StrictRandom:
    """``cupy.random``, as far as it is a generator."""

    Generator = StrictGenerator

    @staticmethod
    def default_rng(seed: int | None = None) -> StrictGenerator:
        return StrictGenerator(seed)
