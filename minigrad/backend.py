"""Array libraries: which are usable, which one new tensors live on, and the random generators.

This is the only file that imports CuPy, and it does so only when somebody asks for it. Everything
else takes the array module from the arrays in hand, ``xp(x).exp(x)``, so that one program runs on
NumPy and on CuPy without asking where it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import scipy.special

from minigrad import threads

Array = Any  # a numpy.ndarray or a cupy.ndarray


class BackendError(RuntimeError):
    """A backend was asked for by name and cannot be used; the message says why."""


class Backend:
    """An array library: its modules, its array type, and its seeded random generator."""

    working_set = 1 << 21  # bytes that work in blocks keeps to: about what a core's cache holds
    worth_sharing = 1 << 24  # multiplications below which a second thread costs more than it brings

    # Multiplications up to which OpenBLAS takes the operands of a product as they lie, instead of
    # rearranging them first: several products below are faster than the one they make up.
    small_product = 10**6

    def __init__(self, name: str, module: ModuleType, special: ModuleType) -> None:
        self.name = name
        self.module = module
        self.special = special
        self.array_type: type = module.ndarray
        self._generator: Any = None

    def __repr__(self) -> str:
        return f"<backend {self.name!r}>"

    def asarray(self, host: np.ndarray) -> Array:
        """Host array → array of this backend (NumPy: the same memory)."""
        return self.module.asarray(host)

    def to_host(self, array: Array) -> np.ndarray:
        """Array of this backend → NumPy array on the host (NumPy: the same memory)."""
        return array

    def blocks(self, part: slice, nbytes: int) -> list[slice]:
        """Slices that make up `part`, each of as many entries of `nbytes` as the cache holds."""
        step = max(1, self.working_set // max(1, nbytes))
        return [slice(i, min(i + step, part.stop)) for i in range(part.start, part.stop, step)]

    def share(self, count: int, cost: int, work: Callable[[slice], Any]) -> list[Any]:
        """``[work(part), …]`` for slices that make up range(count), several threads at a time where
        the `cost` of all, in multiplications, is worth it."""
        if cost < self.worth_sharing:
            return [work(slice(0, count))]
        return threads.share(count, work)

    def synchronize(self) -> None:
        """Wait until all work handed to the device is done (nothing to wait for on a CPU)."""

    def surely_none(self, mask: Array) -> bool:
        """Whether no element is true, as far as that is known without waiting for a device."""
        return not mask.any()

    def check_range(self, where: str, indices: Array, count: int, things: str) -> None:
        """Raise an `IndexError` that begins with `where` unless all indices are in 0 … count − 1.

        NumPy would take negative ones from the end, and CuPy wraps all of them: a wrong label must
        not become a wrong number. A device does not make the host wait for the answer; see
        `DeviceBackend`.
        """
        if indices.size:
            _refuse_outside(where, int(indices.min()), int(indices.max()), count, things)

    @property
    def generator(self) -> Any:
        """What `rand`, `randn` and dropout draw from: `random`, `standard_normal`, `integers`."""
        if self._generator is None:
            self.seed(_seed)
        return self._generator

    def seed(self, seed: int | None) -> None:
        """Start the generator anew; None takes entropy from the operating system."""
        self._generator = self.module.random.default_rng(seed)


def _refuse_outside(where: str, low: int, high: int, count: int, things: str) -> None:
    if low < 0 or high >= count:
        worst = high if high - count >= -1 - low else low
        raise IndexError(f"{where} has the index {worst}, but there are {count} {things}")


class DeviceBackend(Backend):
    """A library whose arrays live on a device, which works on while the host goes ahead.

    The one door from the device to the host is `to_host`. What `check_range` finds wrong is raised
    there, by the next value that anybody looks at: until then nothing waits, and no number that
    came of a wrong index is ever seen.
    """

    working_set = sys.maxsize  # few large pieces of work: a block is everything
    worth_sharing = sys.maxsize
    small_product = 0

    def __init__(self, name: str, module: ModuleType, special: ModuleType) -> None:
        super().__init__(name, module, special)
        self._extremes: dict[tuple[str, int, str], tuple[Array, Array]] = {}

    def to_host(self, array: Array) -> np.ndarray:
        self._raise_what_was_found()
        return array.get()

    def surely_none(self, mask: Array) -> bool:
        return False

    def check_range(self, where: str, indices: Array, count: int, things: str) -> None:
        if indices.size == 0:
            return
        found = indices.min(), indices.max()
        before = self._extremes.get((where, count, things), found)
        low = self.module.minimum(found[0], before[0])
        high = self.module.maximum(found[1], before[1])
        self._extremes[where, count, things] = low, high

    def _raise_what_was_found(self) -> None:
        found, self._extremes = self._extremes, {}
        for (where, count, things), (low, high) in found.items():
            _refuse_outside(where, int(low), int(high), count, things)


class CupyBackend(DeviceBackend):
    """CuPy on one CUDA device; the constructor proves that it computes."""

    def __init__(self) -> None:
        try:
            import cupy
            import cupyx.scipy.special as special
        except ImportError as error:
            raise BackendError(
                f"cupy cannot be imported ({error}); install it for your CUDA version with "
                "pip install 'cupy-cuda13x[ctk]' (or cuda12x)"
            ) from error
        if not cupy.cuda.is_available():
            raise BackendError("cupy is installed but finds no CUDA device or driver here")
        try:
            # Compiles a kernel (NVRTC), multiplies matrices (cuBLAS) and reduces (CUB).
            a = cupy.arange(4, dtype="float32").reshape(2, 2)
            (a @ a + 1.0).sum().item()
        except Exception as error:  # each missing library has an exception of its own
            raise BackendError(
                f"cupy finds a device but cannot compute on it ({type(error).__name__}: {error}); "
                "install the CUDA libraries with pip install 'cupy-cuda13x[ctk]' (or cuda12x)"
            ) from error
        super().__init__("cupy", cupy, special)

    def synchronize(self) -> None:
        self.module.cuda.Device().synchronize()
        self._raise_what_was_found()


_seed: int | None = None
_host = Backend("numpy", np, scipy.special)
_loaded: dict[str, Backend] = {}
_by_type: dict[type, Backend] = {}
_default: Backend | None = None
_override: ContextVar[Backend | None] = ContextVar("minigrad_backend", default=None)


def register_backend(backend: Backend) -> None:
    """Make a backend known by its name and its array type."""
    _loaded[backend.name] = backend
    _by_type[backend.array_type] = backend


register_backend(_host)


def get_backend(name: str) -> Backend:
    """The backend called `name`, loaded if need be; `BackendError` says why it cannot be."""
    if name == "auto":
        return _automatic()
    if name == "cupy" and name not in _loaded:
        register_backend(CupyBackend())
    if name not in _loaded:
        known = ", ".join(repr(known) for known in ["auto", "cupy", *_loaded])
        raise ValueError(f"backend: wanted one of {known}, got {name!r}")
    return _loaded[name]


def _automatic() -> Backend:
    try:
        chosen, why = get_backend("cupy"), "a CUDA device answers"
    except BackendError as error:
        chosen, why = _host, str(error)
    print(f"minigrad: backend 'auto' took {chosen.name!r}: {why}", file=sys.stderr)
    return chosen


@dataclass(frozen=True)
class BackendStatus:
    """Whether a backend can be used here and, where it cannot, why."""

    usable: bool
    detail: str


def backends() -> dict[str, BackendStatus]:
    """Every backend by name: usable here or not, with its version or the reason."""
    found = {}
    for name in dict.fromkeys([*_loaded, "cupy"]):
        try:
            version = get_backend(name).module.__version__
            found[name] = BackendStatus(True, f"{name} {version}")
        except BackendError as error:
            found[name] = BackendStatus(False, str(error))
    return found


def current_backend() -> Backend:
    """The backend on which new tensors are created."""
    global _default
    chosen = _override.get() or _default
    if chosen is None:
        try:
            chosen = _default = get_backend(os.environ.get("MINIGRAD_BACKEND", "numpy"))
        except (ValueError, BackendError) as error:
            raise type(error)(f"MINIGRAD_BACKEND: {error}") from error
    return chosen


def set_backend(name: str) -> str:
    """Create new tensors on "numpy", "cupy" or whichever "auto" finds; returns the name taken.

    Raises `BackendError` with the reason where "cupy" cannot be used. "auto" never raises and
    says on standard error which one it took.
    """
    global _default
    _default = get_backend(name)
    return _default.name


@contextmanager
def use_backend(name: str) -> Iterator[str]:
    """Create new tensors on the named backend inside a ``with`` block (this thread only)."""
    backend = get_backend(name)
    token = _override.set(backend)
    try:
        yield backend.name
    finally:
        _override.reset(token)


def backend_of(array: Array) -> Backend:
    """The backend an array belongs to; Python numbers and lists count as NumPy's."""
    kind = type(array)
    backend = _by_type.get(kind)
    if backend is None:
        library = kind.__module__.split(".")[0]
        backend = get_backend("cupy") if library == "cupy" else _host
        if library == "cupy" or issubclass(kind, np.ndarray):
            _by_type[kind] = backend  # not NumPy's scalars, which mix with arrays of any backend
    return backend


def is_array(value: object) -> bool:
    """Whether `value` is an array of any backend, or a NumPy scalar (which reductions return)."""
    return isinstance(value, (np.ndarray, np.generic)) or backend_of(value) is not _host


def xp(*arrays: Array) -> Any:
    """The array module (numpy or cupy) of the first argument that is an array."""
    for array in arrays:
        backend = _by_type.get(type(array))
        if backend is not None:
            return backend.module
    return backend_of(arrays[0]).module


def over_blocks(array: Array, work: Callable[[slice], Any], several: int = 2) -> list[Any]:
    """``[work(block), …]`` for slices of the first axis of which the cache holds `several` while
    passes go over them; those of a large array are shared among threads."""
    backend = backend_of(array)
    nbytes = several * array[:1].nbytes

    def of_part(part: slice) -> list[Any]:
        return [work(block) for block in backend.blocks(part, nbytes) or [part]]

    # An element of a few passes costs as much as forty multiplications of a product. In smaller
    # arrays the threads of the BLAS, still spinning from the last product, would be in the way.
    shares = backend.share(array.shape[0], 40 * array.size, of_part)
    return [result for results in shares for result in results]


@contextmanager
def row_by_row(length: int) -> Iterator[None]:
    """Operate on rows of `length` and a number for each of them, all in a ``with`` block.

    NumPy copies the numbers into a buffer, each as often as its row is long, wherever the buffer
    has room for several rows: that takes longer than the operation. Short rows are the exception.
    """
    before = np.getbufsize()
    if length >= 192:
        np.setbufsize(min(before, length // 16 * 16))  # of this context alone
    try:
        yield
    finally:
        np.setbufsize(before)


def special(array: Array) -> Any:
    """The module of special functions (scipy.special or cupyx.scipy.special) of an array."""
    return backend_of(array).special


def to_host(array: Array) -> np.ndarray:
    """Any array as a NumPy array on the host."""
    return backend_of(array).to_host(array)


def move(array: Array, backend: Backend) -> Array:
    """An array on another backend; the same array where it is there already."""
    source = backend_of(array)
    return array if source is backend else backend.asarray(source.to_host(array))


def host_generator() -> np.random.Generator:
    """The NumPy generator: initial weights come from it on every backend, so that one seed
    gives one initial network wherever it will train."""
    return _host.generator


def manual_seed(seed: int) -> None:
    """Seed the random generator of every backend."""
    global _seed
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"manual_seed: seed wants a non-negative integer, got {seed!r}")
    _seed = int(seed)
    for backend in _loaded.values():
        backend.seed(_seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw from generators started at `seed` inside a ``with`` block, then go on as before."""
    kept = [(backend, backend.generator) for backend in _loaded.values()]
    for backend, _ in kept:
        backend.seed(seed)
    try:
        yield
    finally:
        for backend, generator in kept:
            backend._generator = generator


def random_state() -> dict[str, Any]:
    """The host generator's state, plain integers and strings, to save in a checkpoint."""
    return dict(_host.generator.bit_generator.state)


def set_random_state(state: dict[str, Any]) -> None:
    """Continue the host generator from a state that `random_state` returned."""
    _host.generator.bit_generator.state = state


_default_dtype = np.dtype("float32")


def default_dtype() -> np.dtype:
    """The dtype that Python floats become."""
    return _default_dtype


def set_default_dtype(dtype: Any) -> None:
    """Let Python floats become `dtype`, a floating NumPy dtype or its name."""
    global _default_dtype
    wanted = np.dtype(dtype)
    if not np.issubdtype(wanted, np.floating):
        raise TypeError(f"set_default_dtype: dtype wants a floating dtype, got {wanted}")
    _default_dtype = wanted
