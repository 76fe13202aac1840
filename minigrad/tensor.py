"""`Tensor`: an array that can be differentiated, with NumPy's operators, methods and functions.

A Tensor is an immutable value. What a program cannot do to it without losing a gradient, writing
into it or converting it to a bare array, it refuses in one sentence that says what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import numpy as np

from minigrad import backend as _backend
from minigrad.backend import Array, Backend, backend_of, is_array, to_host
from minigrad.core import Node, astype, make_node, pull_back
from minigrad.ops import elementwise, indexing, linalg, reduce, shape
from minigrad.recording import no_grad

_hook_numbers = count()


def numeric_dtype(name: str, dtype: Any) -> np.dtype:
    """A dtype given as itself or by its name; an error names the function."""
    try:
        wanted = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"{name}: dtype wants a NumPy dtype or its name, got {dtype!r}") from None
    if wanted.kind not in "fiub":
        raise TypeError(f"{name}: dtype wants floats, ints or bools, got {wanted}")
    return wanted


class RemovableHandle:
    """What `Tensor.register_hook` returns: ``remove()`` takes the hook away again."""

    def __init__(self, hooks: dict[int, Callable], key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        """Take the hook away; twice does no harm."""
        self._hooks.pop(self._key, None)


class Tensor(Node):
    """An array in a graph of differentiable operations.

    ``Tensor(array)`` shares memory with a NumPy or CuPy array; `minigrad.tensor` copies, and takes
    numbers and lists too.

    Args:
        array: a NumPy or CuPy array of floats, ints or bools.
        requires_grad: whether `backward` shall compute a gradient for it (floats only).

    Attributes:
        array: the raw array.
        grad: the accumulated gradient, a Tensor or None.
    """

    __slots__ = ()

    def __init__(self, array: Array, requires_grad: bool = False) -> None:
        if isinstance(array, Node):
            array = array.array
        if not is_array(array):
            raise TypeError(
                f"Tensor: array wants a NumPy or CuPy array, got {type(array).__name__}; "
                "minigrad.tensor(data) takes numbers and lists"
            )
        if isinstance(array, np.generic):
            array = np.asarray(array)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"Tensor: array wants floats, ints or bools, got {array.dtype}")
        super().__init__(array)
        if requires_grad:
            self.requires_grad = True

    # -- What it is -----------------------------------------------------------------------------

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.array.size

    @property
    def T(self) -> Tensor:  # noqa: N802, NumPy's name
        """The axes reversed."""
        return shape.transpose(self)

    @property
    def backend(self) -> str:
        """Name of the backend the array lives on."""
        return backend_of(self.array).name

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array on the host, detached (on NumPy: the same memory)."""
        return to_host(self.array)

    def item(self) -> float | int | bool:
        """The one element of a tensor of size 1, as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: wants a tensor with one element, got shape {self.shape}")
        return self.numpy().item()

    def __repr__(self) -> str:
        values = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
        parts = [values]
        if self.dtype not in (_backend.default_dtype(), np.dtype("int64"), np.dtype("bool")):
            parts.append(f"dtype={self.dtype}")
        if self.backend != "numpy":
            parts.append(f"backend={self.backend!r}")
        if self.primitive is not None:
            parts.append(f"from {self.primitive.name}")
        elif self.tracked:
            parts.append("requires_grad=True")
        return f"tensor({', '.join(parts)})"

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: a tensor without axes has no length")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError(
                f"bool: the truth of a tensor of shape {self.shape} is ambiguous; "
                "compare one element"
            )
        return bool(self.numpy())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        if self.dtype.kind not in "iu" or self.size != 1:
            raise TypeError(
                f"index: wants one integer, got a {self.dtype} tensor of shape {self.shape}"
            )
        return int(self.item())

    def __reduce__(self) -> tuple:
        if not self.is_leaf:
            raise RuntimeError("pickle: only leaves can be stored; call .detach() first")
        return type(self), (self.array, self.tracked)  # anew: `birth` counts in one process alone

    def __deepcopy__(self, memo: dict) -> Tensor:
        if not self.is_leaf:
            raise RuntimeError("deepcopy: only leaves can be copied; call .detach() first")
        copied = type(self)(self.array.copy(), self.tracked)
        copied.grad = None if self.grad is None else type(self.grad)(self.grad.array.copy())
        memo[id(self)] = copied
        return copied

    # -- Gradients ------------------------------------------------------------------------------

    def backward(
        self, gradient: Any = None, retain_graph: bool = False, create_graph: bool = False
    ) -> None:
        """Add ∂self/∂leaf to the `grad` of every leaf that requires a gradient.

        Args:
            gradient: the cotangent ∂L/∂self, of self's shape; 1 for a scalar where None.
            retain_graph: keep the graph for another backward pass. Without it everything the graph
                held is dropped at once, and a second pass raises.
            create_graph: record the pass, so that the gradients can be differentiated; retains.

        Raises:
            RuntimeError: self requires no gradient, is not a scalar and `gradient` is None, or the
                graph was freed by an earlier pass.
        """
        retain = retain_graph or create_graph
        found = pull_back("backward", [self], [gradient], None, create_graph, retain)
        for node, g in found:
            if node.grad is None:
                node.grad = g
            elif create_graph:
                node.grad = node.grad + g
            else:
                with no_grad():
                    node.grad = node.grad + g

    def detach(self) -> Tensor:
        """The same values as a leaf without history; shares memory."""
        return make_node(Tensor, self.array)

    def requires_grad_(self, requires_grad: bool = True) -> Tensor:
        """Set `requires_grad`, and return self."""
        self.requires_grad = requires_grad
        return self

    def retain_grad(self) -> None:
        """Let `backward` keep the gradient of this intermediate result in `grad` too."""
        if not self.tracked:
            raise RuntimeError("retain_grad: this tensor does not require a gradient")
        self.retains_grad = True

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
        """Call ``hook(gradient)`` once the gradient of this tensor is complete.

        What the hook returns, unless None, replaces the gradient.
        """
        if not self.tracked:
            raise RuntimeError("register_hook: this tensor does not require a gradient")
        if self.hooks is None:
            self.hooks = {}
        key = next(_hook_numbers)
        self.hooks[key] = hook
        return RemovableHandle(self.hooks, key)

    # -- Elsewhere, and otherwise ---------------------------------------------------------------

    def to(self, backend_or_dtype: Any) -> Tensor:
        """On another backend ("numpy", "cupy") or in another dtype; differentiable.

        Returns self where nothing changes.
        """
        target = backend_or_dtype
        if isinstance(target, Backend):
            target = target.name
        if isinstance(target, str) and (target in ("auto", "cupy") or target in _backend._loaded):
            name = _backend.get_backend(target).name
            return self if name == self.backend else shape.transfer(self, backend=name)
        return self.astype(numeric_dtype("to", target))

    def astype(self, dtype: Any) -> Tensor:
        """Cast to a dtype; self where it has it already."""
        wanted = numeric_dtype("astype", dtype)
        return self if wanted == self.dtype else astype(self, dtype=wanted)

    def __setitem__(self, key: Any, value: Any) -> None:
        raise TypeError(
            "Tensors are values and t[i] = v would change one that the graph remembers; build a "
            "new one with where, concatenate, stack or pad, or write into .array before it is used"
        )

    def __getitem__(self, key: Any) -> Tensor:
        return indexing.index(self, key)

    # -- NumPy's protocol -----------------------------------------------------------------------

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        if self.tracked:
            raise TypeError(
                "np.asarray: this tensor requires a gradient, which a NumPy array cannot carry; "
                "say .detach() or .numpy() to drop it"
            )
        if self.backend != "numpy":
            raise TypeError(f"np.asarray: this tensor lives on {self.backend!r}; say .numpy()")
        return np.array(self.array, dtype=dtype, copy=copy)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        name = f"np.{ufunc.__name__}" + ("" if method == "__call__" else f".{method}")
        if "out" in options:
            raise TypeError(f"{name}: out= (or an in-place operator) cannot take part in a graph")
        if options:
            raise TypeError(f"{name}: argument {next(iter(options))!r} is not supported on Tensors")
        counterpart = counterparts.get(ufunc) if method == "__call__" else None
        if counterpart is None:
            raise TypeError(
                f"{name} has no minigrad counterpart; use .numpy() if no gradient is wanted"
            )
        return counterpart(*inputs)

    def __array_function__(self, function: Any, types: Any, args: tuple, options: dict) -> Any:
        counterpart = counterparts.get(function)
        if counterpart is None:
            name = f"{function.__module__.replace('numpy', 'np', 1)}.{function.__name__}"
            raise TypeError(
                f"{name} has no minigrad counterpart; use .numpy() if no gradient is wanted"
            )
        return counterpart(*args, **options)

    # -- Operators ------------------------------------------------------------------------------

    __hash__ = object.__hash__  # by identity, although == compares elements

    def __add__(self, other: Any) -> Tensor:
        return elementwise.add(self, other)

    def __radd__(self, other: Any) -> Tensor:
        return elementwise.add(other, self)

    def __sub__(self, other: Any) -> Tensor:
        return elementwise.subtract(self, other)

    def __rsub__(self, other: Any) -> Tensor:
        return elementwise.subtract(other, self)

    def __mul__(self, other: Any) -> Tensor:
        return elementwise.multiply(self, other)

    def __rmul__(self, other: Any) -> Tensor:
        return elementwise.multiply(other, self)

    def __truediv__(self, other: Any) -> Tensor:
        return elementwise.divide(self, other)

    def __rtruediv__(self, other: Any) -> Tensor:
        return elementwise.divide(other, self)

    def __floordiv__(self, other: Any) -> Tensor:
        return elementwise.floor_divide(self, other)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return elementwise.floor_divide(other, self)

    def __mod__(self, other: Any) -> Tensor:
        return elementwise.remainder(self, other)

    def __rmod__(self, other: Any) -> Tensor:
        return elementwise.remainder(other, self)

    def __pow__(self, other: Any) -> Tensor:
        return elementwise.power(self, other)

    def __rpow__(self, other: Any) -> Tensor:
        return elementwise.power(other, self)

    def __matmul__(self, other: Any) -> Tensor:
        return linalg.matmul(self, other)

    def __rmatmul__(self, other: Any) -> Tensor:
        return linalg.matmul(other, self)

    def __and__(self, other: Any) -> Tensor:
        return elementwise.bitwise_and(self, other)

    def __rand__(self, other: Any) -> Tensor:
        return elementwise.bitwise_and(other, self)

    def __or__(self, other: Any) -> Tensor:
        return elementwise.bitwise_or(self, other)

    def __ror__(self, other: Any) -> Tensor:
        return elementwise.bitwise_or(other, self)

    def __xor__(self, other: Any) -> Tensor:
        return elementwise.bitwise_xor(self, other)

    def __rxor__(self, other: Any) -> Tensor:
        return elementwise.bitwise_xor(other, self)

    def __neg__(self) -> Tensor:
        return elementwise.negative(self)

    def __pos__(self) -> Tensor:
        return self

    def __abs__(self) -> Tensor:
        return elementwise.abs(self)

    def __invert__(self) -> Tensor:
        return elementwise.invert(self)

    def __eq__(self, other: Any) -> Tensor:  # type: ignore[override]
        return elementwise.equal(self, other)

    def __ne__(self, other: Any) -> Tensor:  # type: ignore[override]
        return elementwise.not_equal(self, other)

    def __lt__(self, other: Any) -> Tensor:
        return elementwise.less(self, other)

    def __le__(self, other: Any) -> Tensor:
        return elementwise.less_equal(self, other)

    def __gt__(self, other: Any) -> Tensor:
        return elementwise.greater(self, other)

    def __ge__(self, other: Any) -> Tensor:
        return elementwise.greater_equal(self, other)

    # -- Methods, where ndarray has one of the name ----------------------------------------------

    def sum(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """See `minigrad.sum`."""
        return reduce.sum(self, axis=axis, keepdims=keepdims)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """See `minigrad.mean`."""
        return reduce.mean(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """See `minigrad.var`."""
        return reduce.var(self, axis=axis, keepdims=keepdims, ddof=ddof)

    def std(self, axis: Any = None, keepdims: bool = False, ddof: int = 0) -> Tensor:
        """See `minigrad.std`."""
        return reduce.std(self, axis=axis, keepdims=keepdims, ddof=ddof)

    def prod(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """See `minigrad.prod`."""
        return reduce.prod(self, axis, keepdims)

    def max(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """See `minigrad.max`."""
        return reduce.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Any = None, keepdims: bool = False) -> Tensor:
        """See `minigrad.min`."""
        return reduce.min(self, axis=axis, keepdims=keepdims)

    def argmax(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """See `minigrad.argmax`."""
        return reduce.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, keepdims: bool = False) -> Tensor:
        """See `minigrad.argmin`."""
        return reduce.argmin(self, axis=axis, keepdims=keepdims)

    def cumsum(self, axis: int | None = None) -> Tensor:
        """See `minigrad.cumsum`."""
        return reduce.cumsum(self, axis=axis)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """See `minigrad.clip`."""
        return elementwise.clip(self, min, max)

    def reshape(self, *shape_: Any) -> Tensor:
        """See `minigrad.reshape`; the lengths may be given one by one."""
        return shape.reshape(self, shape=shape_[0] if len(shape_) == 1 else shape_)

    def ravel(self) -> Tensor:
        """See `minigrad.ravel`."""
        return shape.ravel(self)

    def transpose(self, *axes: Any) -> Tensor:
        """See `minigrad.transpose`; the axes may be given one by one."""
        return shape.transpose(self, axes=axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> Tensor:
        """See `minigrad.swapaxes`."""
        return shape.swapaxes(self, axis1, axis2)

    def squeeze(self, axis: Any = None) -> Tensor:
        """See `minigrad.squeeze`."""
        return shape.squeeze(self, axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Tensor:
        """See `minigrad.repeat`."""
        return shape.repeat(self, repeats, axis)

    def take(self, indices: Any, axis: int | None = None) -> Tensor:
        """See `minigrad.take`."""
        return indexing.take(self, indices, axis)

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """See `minigrad.diagonal`."""
        return shape.diagonal(self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
        """See `minigrad.trace`."""
        return shape.trace(self, offset, axis1, axis2)

    def dot(self, other: Any) -> Tensor:
        """See `minigrad.dot`."""
        return linalg.dot(self, other)


Tensor.kind = Tensor

# What numpy calls each of our functions, where the names differ or NumPy keeps them in a submodule.
counterparts: dict[Any, Callable] = {
    np.concatenate: shape.join,
    np.linalg.norm: reduce.norm,
    np.shape: lambda x: x.shape,
    np.ndim: lambda x: x.ndim,
    np.size: lambda x: x.size,
}
for _family in (elementwise, shape, indexing, reduce, linalg):
    for _name, _function in vars(_family).items():
        if _name == "put":  # np.put writes into its argument, ours is the transpose of indexing
            continue
        if callable(_function) and not _name.startswith("_") and hasattr(np, _name):
            counterparts.setdefault(getattr(np, _name), _function)
