"""New tensors: from data, filled, counted, and random; on the current backend."""

from __future__ import annotations

from typing import Any

import numpy as np

from minigrad import backend as _backend
from minigrad.backend import backend_of, current_backend, default_dtype, is_array
from minigrad.core import Node
from minigrad.ops.shape import integers
from minigrad.tensor import Tensor, counterparts, numeric_dtype


def _dtype(name: str, dtype: Any) -> np.dtype:
    """The dtype asked for, or the default."""
    return default_dtype() if dtype is None else numeric_dtype(name, dtype)


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
    if dtype is not None:
        dtype = numeric_dtype("tensor", dtype)
    if is_array(data):
        array = data.astype(dtype or data.dtype, copy=True)
    else:
        array = current_backend().asarray(_from_data("tensor", data, dtype))
    if backend is not None:
        array = _backend.move(array, _backend.get_backend(backend))
    return Tensor(array, requires_grad)


def as_tensor(data: Any, dtype: Any = None) -> Tensor:
    """`data` as a tensor that shares memory where it can: a Tensor as it is, an array wrapped."""
    if not isinstance(data, Node):
        data = Tensor(data) if is_array(data) else tensor(data, dtype)
    return data if dtype is None else data.astype(dtype)


def _lengths(name: str, shape: Any, argument: str = "shape") -> tuple[int, ...]:
    lengths = integers(name, argument, shape)
    if any(n < 0 for n in lengths):
        raise ValueError(f"{name}: {argument} wants no negative length, got {shape}")
    return lengths


def zeros(shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of zeros, of the default dtype unless another is given."""
    return _filled("zeros", shape, 0, _dtype("zeros", dtype), requires_grad)


def ones(shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor of ones, of the default dtype unless another is given."""
    return _filled("ones", shape, 1, _dtype("ones", dtype), requires_grad)


def full(shape: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor filled with one value; a Python float gives the default dtype, an int int64."""
    if dtype is not None or type(fill_value) is float:
        dtype = _dtype("full", dtype)
    return _filled("full", shape, fill_value, dtype, requires_grad)


def _filled(name: str, shape: Any, value: Any, dtype: Any, requires_grad: bool) -> Tensor:
    module = current_backend().module
    return Tensor(module.full(_lengths(name, shape), value, dtype=dtype), requires_grad)


def empty(shape: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """A tensor whose values are whatever the memory held."""
    module = current_backend().module
    array = module.empty(_lengths("empty", shape), dtype=_dtype("empty", dtype))
    return Tensor(array, requires_grad)


def zeros_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Zeros with the shape, dtype and backend of x."""
    return full_like(x, 0, dtype, requires_grad)


def ones_like(x: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Ones with the shape, dtype and backend of x."""
    return full_like(x, 1, dtype, requires_grad)


def full_like(x: Any, fill_value: Any, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """One value with the shape, dtype and backend of x."""
    array = as_tensor(x).array
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
    if step == 0:
        raise ZeroDivisionError("arange: step wants a number other than 0")
    if dtype is not None or any(isinstance(value, float) for value in (start, stop, step)):
        dtype = _dtype("arange", dtype)
    return Tensor(current_backend().module.arange(start, stop, step, dtype=dtype), requires_grad)


def linspace(
    start: float, stop: float, num: int = 50, dtype: Any = None, requires_grad: bool = False
) -> Tensor:
    """`num` evenly spaced values from start to stop, both included."""
    (count,) = _lengths("linspace", num, "num")
    dtype = _dtype("linspace", dtype)
    array = current_backend().module.linspace(start, stop, count, dtype=dtype)
    return Tensor(array, requires_grad)


def eye(n: int, m: int | None = None, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """The (n, m) matrix with ones on the diagonal; square where m is None."""
    rows, columns = _lengths("eye", (n, n if m is None else m), "(n, m)")
    array = current_backend().module.eye(rows, columns, dtype=_dtype("eye", dtype))
    return Tensor(array, requires_grad)


def _drawn_shape(name: str, shape: tuple) -> tuple[int, ...]:
    one_sequence = len(shape) == 1 and isinstance(shape[0], (tuple, list))
    return _lengths(name, shape[0] if one_sequence else shape)


def _real(name: str, dtype: Any) -> np.dtype:
    """The floating dtype asked for, or the default."""
    wanted = _dtype(name, dtype)
    if wanted.kind != "f":
        raise TypeError(f"{name}: dtype wants a floating dtype, got {wanted}")
    return wanted


def _drawable(dtype: np.dtype) -> np.dtype:
    """The dtype to draw in: the generators know float32 and float64."""
    return np.dtype("float64") if np.dtype(dtype) == "float64" else np.dtype("float32")


def rand(*shape: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Uniform on [0, 1), from the generator that `manual_seed` seeds."""
    dtype = _real("rand", dtype)
    lengths = _drawn_shape("rand", shape)
    drawn = current_backend().generator.random(lengths, dtype=_drawable(dtype))
    return Tensor(current_backend().module.asarray(drawn, dtype=dtype), requires_grad)


def randn(*shape: int, dtype: Any = None, requires_grad: bool = False) -> Tensor:
    """Standard normal, from the generator that `manual_seed` seeds."""
    dtype = _real("randn", dtype)
    lengths = _drawn_shape("randn", shape)
    drawn = current_backend().generator.standard_normal(lengths, dtype=_drawable(dtype))
    return Tensor(current_backend().module.asarray(drawn, dtype=dtype), requires_grad)


def randint(low: int, high: int, shape: Any) -> Tensor:
    """Integers, int64, uniform on low … high − 1."""
    integers("randint", "(low, high)", (low, high))
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
    if isinstance(p, (Node, list, tuple)):
        p = as_tensor(p).array
    elif not is_array(p) and not 0 <= p <= 1:
        raise ValueError(f"bernoulli: p wants a probability in [0, 1], got {p}")
    dtype = p.dtype if is_array(p) and p.dtype.kind == "f" else default_dtype()
    backend = backend_of(p) if is_array(p) else current_backend()
    of_p = getattr(p, "shape", ())
    lengths = of_p if shape is None else _lengths("bernoulli", shape)
    fitting = zip(of_p[::-1], lengths[::-1], strict=False)
    if len(of_p) > len(lengths) or any(n not in (1, m) for n, m in fitting):
        raise ValueError(f"bernoulli: p of shape {of_p} does not broadcast to shape {lengths}")
    drawn = backend.generator.random(lengths, dtype=_drawable(dtype))
    return Tensor(backend.module.asarray(drawn < p, dtype=dtype))


def randperm(n: int) -> Tensor:
    """The integers 0 … n − 1 in random order, the same order on every backend."""
    (count,) = _lengths("randperm", n, "n")
    order = _backend.host_generator().permutation(count)
    return Tensor(current_backend().asarray(order.astype("int64")))


counterparts.update(
    {np.zeros_like: zeros_like, np.ones_like: ones_like, np.full_like: full_like}
)
