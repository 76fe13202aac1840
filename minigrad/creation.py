"""New tensors: from data, filled, counted, and random; on the current backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend as _backend
from minigrad.backend import backend_of, current_backend, default_dtype, is_array
from minigrad.core import Node
from minigrad.ops.shape import as_shape
from minigrad.tensor import Tensor


def _has_numpy_inside(data: Any) -> bool:
    if isinstance(data, (list, tuple)):
        return any(_has_numpy_inside(part) for part in data)
    return isinstance(data, (np.ndarray, np.generic, Node))


def _from_data(name: str, data: Any, dtype: Any) -> np.ndarray:
    """Numbers and nested lists as a host array; Python floats take the default dtype."""
    try:
        values = np.array(data, dtype=dtype)
    except ValueError as error:
        raise ValueError(f"{name}: data wants numbers in a regular shape ({error})") from None
    if values.dtype.kind not in "fiub":
        raise TypeError(f"{name}: data wants floats, ints or bools, got {values.dtype}")
    if dtype is None and values.dtype.kind == "f" and not _has_numpy_inside(data):
        return values.astype(default_dtype())
    return values


def tensor(
    data: Any, dtype: Any = None, requires_grad: bool = False, backend: str | None = None
) -> Tensor:
    """A new tensor from a copy of `data`.

    Args:
        data: a number, nested lists, an array or a Tensor. Python floats become the default dtype,
            arrays keep theirs.
        dtype: a NumPy dtype or its name.
        requires_grad: floats only; a `TypeError` otherwise.
        backend: where it lives; where None, an array stays where it is, other data go to the
            current backend.
    """
    if isinstance(data, Node):
        data = data.array
    if is_array(data):
        array = data.astype(dtype or data.dtype, copy=True)
    else:
        array = current_backend().asarray(_from_data("tensor", data, dtype))
    if backend is not None:
        array = _backend.move(array, _backend.get_backend(backend))
    return Tensor(array, requires_grad)


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a tensor that shares its memory where it can: a Tensor as it is, an array wrapped."""
    if not isinstance(data, Node):
        data = Tensor(data) if is_array(data) else tensor(data, dtype)
    return data if dtype is None else data.astype(dtype)


def _lengths(name: str, shape: Any) -> tuple[int, ...]:
    lengths = as_shape(shape)
    if any(n < 0 for n in lengths):
        raise ValueError(f"{name}: shape wants no negative length, got {lengths}")
    return lengths


def zeros(shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, of the default dtype unless another is given."""
    return full(shape, 0, dtype or default_dtype(), requires_grad)


def ones(shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones, of the default dtype unless another is given."""
    return full(shape, 1, dtype or default_dtype(), requires_grad)


def full(shape: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value; a Python float gives the default dtype, an int int64."""
    if dtype is None and type(fill_value) is float:
        dtype = default_dtype()
    module = current_backend().module
    return Tensor(module.full(_lengths("full", shape), fill_value, dtype=dtype), requires_grad)


def empty(shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose values are whatever the memory held."""
    module = current_backend().module
    array = module.empty(_lengths("empty", shape), dtype=dtype or default_dtype())
    return Tensor(array, requires_grad)


def zeros_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and backend of x."""
    return full_like(x, 0, dtype, requires_grad)


def ones_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and backend of x."""
    return full_like(x, 1, dtype, requires_grad)


def full_like(x: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value with the shape, dtype and backend of x."""
    array = x.array if isinstance(x, Node) else x
    module = backend_of(array).module
    return Tensor(module.full(array.shape, fill_value, dtype=dtype or array.dtype), requires_grad)


def arange(
    start: float,
    stop: float | None = None,
    step: float = 1,
    dtype: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, … below stop, as ``np.arange``; ints unless a float is among them."""
    if stop is None:
        start, stop = 0, start
    if dtype is None and any(isinstance(value, float) for value in (start, stop, step)):
        dtype = default_dtype()
    return Tensor(current_backend().module.arange(start, stop, step, dtype=dtype), requires_grad)


def linspace(
    start: float, stop: float, num: int = 50, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """`num` evenly spaced values from start to stop, both included."""
    if num < 0:
        raise ValueError(f"linspace: num wants no negative count, got {num}")
    array = current_backend().module.linspace(start, stop, num, dtype=dtype or default_dtype())
    return Tensor(array, requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The (n, m) matrix with ones on the diagonal; square where m is None."""
    array = current_backend().module.eye(n, m, dtype=dtype or default_dtype())
    return Tensor(array, requires_grad)


def _drawn_shape(name: str, shape: tuple) -> tuple[int, ...]:
    one_sequence = len(shape) == 1 and isinstance(shape[0], (tuple, list))
    return _lengths(name, shape[0] if one_sequence else shape)


def _real(dtype: Any) -> np.dtype:
    """The dtype to draw in: the generators know float32 and float64."""
    return np.dtype("float64") if np.dtype(dtype) == "float64" else np.dtype("float32")


def rand(*shape: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform on [0, 1), from the generator that `manual_seed` seeds."""
    dtype = dtype or default_dtype()
    drawn = current_backend().generator.random(_drawn_shape("rand", shape), dtype=_real(dtype))
    return Tensor(current_backend().module.asarray(drawn, dtype=dtype), requires_grad)


def randn(*shape: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal, from the generator that `manual_seed` seeds."""
    dtype = dtype or default_dtype()
    lengths = _drawn_shape("randn", shape)
    drawn = current_backend().generator.standard_normal(lengths, dtype=_real(dtype))
    return Tensor(current_backend().module.asarray(drawn, dtype=dtype), requires_grad)


def randint(low: int, high: int, shape: Any) -> Tensor:
    """Integers, int64, uniform on low … high − 1."""
    if low >= high:
        raise ValueError(f"randint: wants low < high, got {low} and {high}")
    drawn = current_backend().generator.integers(low, high, _lengths("randint", shape))
    return Tensor(current_backend().module.asarray(drawn, dtype="int64"))


def bernoulli(p: Any, shape: Any = None) -> Tensor:
    """1 with probability p, else 0, as floats; carries no gradient.

    Args:
        p: a number, an array or a Tensor of probabilities.
        shape: of the result; p's where None, else p broadcasts to it.
    """
    p = p.array if isinstance(p, Node) else p
    dtype = p.dtype if is_array(p) and p.dtype.kind == "f" else default_dtype()
    backend = backend_of(p) if is_array(p) else current_backend()
    lengths = _lengths("bernoulli", getattr(p, "shape", ()) if shape is None else shape)
    drawn = backend.generator.random(lengths, dtype=_real(dtype))
    return Tensor(backend.module.asarray(drawn < p, dtype=dtype))


def randperm(n: int) -> Tensor:
    """The integers 0 … n − 1 in random order, the same order on every backend."""
    order = _backend.host_generator().permutation(n)
    return Tensor(current_backend().asarray(order.astype("int64")))
