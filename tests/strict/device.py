"""`StrictArray`: a NumPy array that behaves as ``cupy.ndarray`` does, refusals included."""

from __future__ import annotations

from inspect import Signature
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.strict.rules import (
    SIGNATURES,
    PromotionError,
    UndefinedResultError,
    copy_to_device,
    signature,
    synchronize,
)

METHODS = SIGNATURES["cupy.ndarray"]
NUMBERS = (bool, int, float, complex, np.generic)


class StrictArray:
    """Memory of a pretended device.

    It holds a NumPy array and is none: nothing of NumPy reaches the values by accident.
    """

    __slots__ = ("__weakref__", "_host")
    __array_ufunc__ = None  # CuPy would dispatch np.exp(x); the rule here is never `np.` on data

    def __init__(self, host: np.ndarray) -> None:
        self._host = host

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_function__(self, function: Any, types: Any, args: Any, options: Any) -> Any:
        raise TypeError(f"np.{function.__name__} was called with an array of the device")

    # -- What it is -----------------------------------------------------------------------------

    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    T = property(lambda self: StrictArray(self._host.T))
    mT = property(lambda self: StrictArray(self._host.mT))  # noqa: N815, the array API's name
    real = property(lambda self: StrictArray(self._host.real))

    @property
    def flags(self) -> SimpleNamespace:
        """CuPy knows the memory layout, but no ``writeable``."""
        names = ("c_contiguous", "f_contiguous", "owndata")
        return SimpleNamespace(**{name: getattr(self._host.flags, name) for name in names})

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    # -- What waits for the device --------------------------------------------------------------

    def get(self, stream: Any = None, order: Any = "C", out: Any = None, blocking: bool = True):
        """A copy on the host."""
        synchronize("get")
        return self._host.copy(order)

    def item(self) -> Any:
        synchronize("item")
        return self._host.item()

    def tolist(self) -> Any:
        synchronize("tolist")
        return self._host.tolist()

    def tobytes(self) -> bytes:
        synchronize("tobytes")
        return self._host.tobytes()

    def __bool__(self) -> bool:
        synchronize("bool")
        return bool(self._host)

    def __int__(self) -> int:
        synchronize("int")
        return int(self._host)

    def __float__(self) -> float:
        synchronize("float")
        return float(self._host)

    def __repr__(self) -> str:
        synchronize("repr")
        return repr(self._host)

    def __reduce__(self) -> tuple:
        synchronize("pickle")
        return StrictArray, (self._host.copy(),)

    def nonzero(self) -> tuple:
        synchronize("nonzero")
        return wrap(self._host.nonzero())

    def __deepcopy__(self, memo: dict) -> StrictArray:
        return StrictArray(self._host.copy())

    # -- Indexing -------------------------------------------------------------------------------

    def __getitem__(self, key: Any) -> StrictArray:
        parts = self._index(key)
        if not any(part is Ellipsis for part in parts):
            parts = (*parts, Ellipsis)  # one element then is a view without axes, never a scalar
        return StrictArray(self._host[parts])

    def __setitem__(self, key: Any, value: Any) -> None:
        parts = self._index(key)
        if not isinstance(value, (StrictArray, *NUMBERS)):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        host = unwrap(value)
        if any(isinstance(part, np.ndarray) and part.dtype.kind in "iu" for part in parts):
            places = np.arange(self._host.size).reshape(self._host.shape)[parts]
            if np.size(host) > 1 and np.unique(places).size != places.size:
                raise UndefinedResultError(
                    "an element is written several times; which value stays is not defined"
                )
        self._host[parts] = host

    def _index(self, key: Any) -> tuple:
        """The parts of an index as NumPy takes them, after CuPy's rules."""
        parts = []
        for part in key if isinstance(key, tuple) else (key,):
            if isinstance(part, np.ndarray):
                raise TypeError("an index on the host would be copied to the device in silence")
            if isinstance(part, list):
                copy_to_device("index")
                part = np.asarray(part) if part else np.zeros(0, np.int64)
            if isinstance(part, StrictArray):
                part = part._host
            if isinstance(part, np.ndarray) and part.dtype.kind == "b":
                synchronize("boolean index")  # the result's shape depends on the values
            parts.append(part)
        named = sum(_axes_named(part) for part in parts)
        axis = 0
        for i, part in enumerate(parts):
            if part is Ellipsis:
                axis += self.ndim - named
            elif isinstance(part, np.ndarray) and part.dtype.kind in "iu":
                # Out of range CuPy reads elsewhere instead of raising.
                n = self._host.shape[axis] if axis < self.ndim else 0
                parts[i] = part % n if n else part
            axis += _axes_named(part)
        return tuple(parts)


def _axes_named(part: Any) -> int:
    """How many axes of the array one part of an index uses up."""
    if part is None or part is Ellipsis or isinstance(part, bool | np.bool_):
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype.kind == "b" else 1


# ---------------------------------------------------------------------------------------------
# In and out of the wrapping
# ---------------------------------------------------------------------------------------------


def unwrap(value: Any) -> Any:
    """An argument as NumPy takes it; arrays on the host are refused."""
    if isinstance(value, StrictArray):
        return value._host
    if isinstance(value, np.ndarray):
        raise TypeError(f"Unsupported type {type(value)}")
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(part) for part in value)
    return value


def wrap(value: Any) -> Any:
    """A result of NumPy as CuPy gives it: arrays without axes where NumPy has scalars."""
    if isinstance(value, np.ndarray):
        return StrictArray(value)
    if isinstance(value, np.generic):
        return StrictArray(np.asarray(value))
    if isinstance(value, (list, tuple)):
        return type(value)(wrap(part) for part in value)
    return value


def _arrays(values: Any) -> Any:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _arrays(value)


def call(name: str, function: Any, args: tuple, options: dict, asked: bool = False) -> Any:
    """``function(*args, **options)`` of NumPy on the device; without a warning, as on a GPU.

    `asked` says that the caller named a dtype, which then may be wider than that of the arguments.
    """
    hosts = unwrap(args)
    named = {key: unwrap(value) for key, value in options.items()}
    with np.errstate(all="ignore"):
        result = function(*hosts, **named)
    if getattr(result, "dtype", None) == np.float64 and not asked:
        given = {x.dtype for x in _arrays([*hosts, *named.values()])}
        if np.dtype(np.float32) in given and np.dtype(np.float64) not in given:
            raise PromotionError(f"{name}: float32 became float64 unasked")
    return wrap(result)


def invoke(
    name: str, function: Any, frozen: Signature, args: tuple, options: dict, owner: tuple = ()
) -> Any:
    """`call`, after a look at whether CuPy takes these arguments; `owner` holds a method's self."""
    given = frozen.bind(*args, **options).arguments  # a TypeError for an argument that CuPy lacks
    out = given.get("out")
    if out is not None:
        _check_out(name, out, unwrap((*owner, *args)))
    elif options.get("out") is not None:  # swallowed by **kwargs
        raise TypeError(f"{name}: got an unexpected keyword argument 'out'")
    result = call(name, function, (*owner, *args), options, given.get("dtype") is not None)
    return result if out is None else out


def _check_out(name: str, out: Any, args: tuple) -> None:
    """One array of the device; for a matrix product in C order and of the very dtype."""
    if not isinstance(out, StrictArray):
        raise TypeError(f"{name}: return arrays must be of ArrayType, got {type(out)}")
    if name in ("matmul", "dot"):
        if not out.flags.c_contiguous:
            raise ValueError(f"{name}: Output array must be C-contiguous")
        if out.dtype != np.result_type(*args):
            raise ValueError(f"{name}: Output array has the wrong dtype {out.dtype}")


# ---------------------------------------------------------------------------------------------
# Methods and operators, as far as CuPy has them
# ---------------------------------------------------------------------------------------------


def _method(name: str, frozen: Signature) -> Any:
    def method(self: StrictArray, *args: Any, **options: Any) -> Any:
        return invoke(name, getattr(np.ndarray, name), frozen, args, options, (self,))

    method.__name__ = name
    return method


OPERATORS = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "truediv": np.true_divide,
    "floordiv": np.floor_divide, "mod": np.remainder, "pow": np.power, "matmul": np.matmul,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "lshift": np.left_shift,
    "rshift": np.right_shift, "eq": np.equal, "ne": np.not_equal, "lt": np.less,
    "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal,
}  # fmt: skip


def _binary(name: str, ufunc: Any, swapped: bool, in_place: bool) -> Any:
    def operator(self: StrictArray, other: Any) -> Any:
        if not isinstance(other, (StrictArray, np.ndarray, *NUMBERS)):
            return NotImplemented  # a Tensor, which has its own say
        args = (other, self) if swapped else (self, other)
        result = call(name, ufunc, args, {"out": self} if in_place else {})
        return self if in_place else result

    return operator


def _unary(name: str, function: Any) -> Any:
    return lambda self: call(name, function, (self,), {})


for _name, _ufunc in OPERATORS.items():
    for _prefix in ("", "r", "i"):
        _special = f"__{_prefix}{_name}__"
        if _special in METHODS or _special in dir(object):
            setattr(StrictArray, _special, _binary(_name, _ufunc, _prefix == "r", _prefix == "i"))
for _name, _function in {"neg": np.negative, "abs": np.absolute, "invert": np.invert}.items():
    setattr(StrictArray, f"__{_name}__", _unary(_name, _function))
for _name, (_kind, *_text) in METHODS.items():
    _known = not _name.startswith("_") and _kind == "function" and hasattr(np.ndarray, _name)
    if _known and _name not in vars(StrictArray):
        setattr(StrictArray, _name, _method(_name, signature(*_text)))
