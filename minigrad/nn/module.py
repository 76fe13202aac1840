"""`Module` and `Parameter`: what a network is made of, and how its weights have names.

A module is an object with a `forward`. What it assigns to itself it owns: every `Parameter` and
every other `Module` among its attributes is found again, in the order of assignment, under the name
of the attribute, so that parameters have dotted names such as ``features.0.weight``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import count
from typing import Any, NamedTuple, Self

import numpy as np

from minigrad.backend import Array, backend_of, get_backend, is_array, move
from minigrad.core import Node
from minigrad.tensor import RemovableHandle, Tensor

_hook_numbers = count()


class Parameter(Tensor):
    """A Tensor that a module learns: assigned to an attribute, it becomes one of the module's own.

    Shares memory with the array or Tensor it is made from. Results computed from it are Tensors.

    Args:
        data: a floating Tensor, NumPy or CuPy array.
        requires_grad: whether `backward` shall compute a gradient for it.
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True) -> None:
        super().__init__(data, requires_grad)

    def __repr__(self) -> str:
        return f"Parameter containing:\n{super().__repr__()}"


class LoadedKeys(NamedTuple):
    """What `Module.load_state_dict` found no partner for; both empty where it was strict."""

    missing_keys: list[str]
    unexpected_keys: list[str]


class Module:
    """The base of all layers and networks: a function with parameters and a training mode.

    A subclass calls ``super().__init__()``, assigns parameters and other modules to itself, and
    defines `forward`. Names, order and layout of the `state_dict` are PyTorch's.

    Attributes:
        training: whether layers behave as in training (dropout drops, batch norm takes the
            statistics of the batch); see `train` and `eval`.
    """

    training: bool
    _buffers: dict[str, bool]  # name → whether it belongs to the state dict
    _forward_hooks: dict[int, Callable]

    def __init__(self) -> None:
        self._buffers = {}
        self._forward_hooks = {}
        self.training = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__}: defines no forward(...)")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        output = self.forward(*args, **kwargs)
        for hook in list(self._forward_hooks.values()):
            replaced = hook(self, args, output)
            if replaced is not None:
                output = replaced
        return output

    def register_forward_hook(self, hook: Callable[[Module, tuple, Any], Any]) -> RemovableHandle:
        """Call ``hook(module, args, output)`` after every `forward`.

        What the hook returns, unless None, replaces the output.
        """
        key = next(_hook_numbers)
        self._forward_hooks[key] = hook
        return RemovableHandle(self._forward_hooks, key)

    # -- What it owns ---------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        if isinstance(value, (Parameter, Module)) and "_buffers" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
            )
        if isinstance(vars(self).get(name), Parameter):
            if value is not None and not isinstance(value, Parameter):
                raise TypeError(
                    f"{type(self).__name__}: {name!r} is a parameter and wants a Parameter or "
                    f"None, got {type(value).__name__}"
                )
        elif name in vars(self).get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"{type(self).__name__}: {name!r} is a buffer and wants a Tensor or None, got "
                    f"{type(value).__name__}"
                )
            if isinstance(value, Parameter):
                del self._buffers[name]
        super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        super().__delattr__(name)
        self._buffers.pop(name, None)

    def _check_new_name(self, where: str, name: str) -> None:
        if not isinstance(name, str):
            raise TypeError(f"{where}: name wants a string, got {type(name).__name__}")
        if not name or "." in name:
            raise KeyError(f"{where}: name wants no dot and at least one character, got {name!r}")
        if hasattr(self, name):
            raise KeyError(f"{where}: {type(self).__name__} already has an attribute {name!r}")

    def register_parameter(self, name: str, parameter: Parameter | None) -> None:
        """Own a parameter under `name`; None keeps the place of one that is not wanted."""
        self._check_new_name("register_parameter", name)
        if parameter is not None and not isinstance(parameter, Parameter):
            raise TypeError(
                f"register_parameter: {name!r} wants a Parameter or None, got "
                f"{type(parameter).__name__}"
            )
        setattr(self, name, parameter)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Own a tensor that is not learned, such as a running mean.

        Args:
            name: the attribute.
            tensor: a Tensor, or None for a buffer that is not wanted.
            persistent: whether it belongs to the state dict.
        """
        self._check_new_name("register_buffer", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"register_buffer: {name!r} wants a Tensor or None, got {type(tensor).__name__}"
            )
        super().__setattr__(name, tensor)
        self._buffers[name] = bool(persistent)

    def _own_parameters(self) -> Iterator[tuple[str, Tensor]]:
        for name, value in vars(self).items():
            if isinstance(value, Parameter):
                yield name, value

    def _own_buffers(self, persistent_only: bool = False) -> Iterator[tuple[str, Tensor]]:
        for name, persistent in self._buffers.items():
            value = vars(self)[name]
            if value is not None and (persistent or not persistent_only):
                yield name, value

    def _own_modules(self) -> dict[str, Module]:
        return {name: value for name, value in vars(self).items() if isinstance(value, Module)}

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly inside this one, each once, with the names of their attributes."""
        seen = set()
        for name, module in self._own_modules().items():
            if id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly inside this one, each once."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all inside it, outer before inner, each once, with dotted names."""
        return self._walk(prefix, set())

    def _walk(self, path: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield path, self
        for name, child in self.named_children():
            yield from child._walk(f"{path}.{name}" if path else name, seen)

    def modules(self) -> Iterator[Module]:
        """This module and all inside it, outer before inner, each once."""
        return (module for _, module in self.named_modules())

    def _collect(
        self, own: Callable[[Module], Iterator[tuple[str, Tensor]]], prefix: str, recurse: bool
    ) -> Iterator[tuple[str, Any]]:
        """What `own` yields for this module and, if `recurse`, those inside; each tensor once."""
        seen = set()
        for path, module in self.named_modules(prefix) if recurse else [(prefix, self)]:
            for name, tensor in own(module):
                if id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their dotted names; one that is shared comes once, at its first name.

        Args:
            prefix: put before every name.
            recurse: also those of the modules inside.
        """
        return self._collect(Module._own_parameters, prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, in the order of assignment, outer modules before inner ones."""
        return (parameter for _, parameter in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their dotted names; arguments as for `named_parameters`."""
        return self._collect(Module._own_buffers, prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, in the order of registration, outer modules before inner ones."""
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    # -- Its state ------------------------------------------------------------------------------

    def _state(self, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
        """Parameters and persistent buffers under all their names, shared ones under each."""
        for name, tensor in self._own_parameters():
            yield prefix + name, tensor
        for name, tensor in self._own_buffers(persistent_only=True):
            yield prefix + name, tensor
        for name, module in self._own_modules().items():
            yield from module._state(f"{prefix}{name}.")

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name: detached, sharing memory with them.

        Names and order are those of PyTorch's ``state_dict()``.
        """
        return {name: tensor.detach() for name, tensor in self._state()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Write the arrays of `state` into the parameters and buffers of the same names.

        Everything is checked before anything is written.

        Args:
            state: arrays by dotted name: Tensors, NumPy arrays, or what ``np.asarray`` understands,
                PyTorch's CPU tensors among it. Each is cast to the dtype of its parameter and moved
                to its backend.
            strict: refuse missing and unexpected names; otherwise the result lists them.

        Raises:
            RuntimeError: names the missing, unexpected and misshapen entries, all of them at once.
        """
        where = f"{type(self).__name__}.load_state_dict"
        if not isinstance(state, Mapping):
            raise TypeError(f"{where}: state wants a mapping, got {type(state).__name__}")
        own = dict(self._state())
        missing = [name for name in own if name not in state]
        unexpected = [name for name in state if name not in own]
        problems = []
        if strict and missing:
            problems.append("missing " + ", ".join(map(repr, missing)))
        if strict and unexpected:
            problems.append("unexpected " + ", ".join(map(repr, unexpected)))
        values = {}
        for name, tensor in own.items():
            if name not in state:
                continue
            try:
                values[name] = _raw(state[name])
            except (TypeError, ValueError, RuntimeError) as error:
                problems.append(f"{name!r} cannot be read as an array ({error})")
                continue
            if values[name].dtype.kind not in "fiub":
                problems.append(f"{name!r} wants numbers, got {type(state[name]).__name__}")
            elif values[name].shape != tensor.shape:
                problems.append(
                    f"{name!r} wants shape {tensor.shape}, got {tuple(values[name].shape)}"
                )
        if problems:
            raise RuntimeError(f"{where}: {'; '.join(problems)}")
        for name, array in values.items():
            own[name].overwrite(move(array, backend_of(own[name].array)))
        return LoadedKeys(missing, unexpected)

    # -- Its modes ------------------------------------------------------------------------------

    def train(self, mode: bool = True) -> Self:
        """Set the training mode of this module and all inside it; returns self."""
        if not isinstance(mode, bool):
            raise ValueError(f"train: mode wants True or False, got {mode!r}")
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> Self:
        """Leave the training mode: ``train(False)``."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set `requires_grad` of all parameters; returns self."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for parameter in self.parameters():
            parameter.grad = None

    def apply(self, function: Callable[[Module], Any]) -> Self:
        """Call ``function(module)`` for all modules inside, inner ones first, and for this one."""
        for child in self.children():
            child.apply(function)
        function(self)
        return self

    def to(self, backend_or_dtype: Any) -> Self:
        """Move parameters, buffers and gradients to a backend, or cast the floats to a dtype.

        The Parameter objects stay the same, so an optimizer that holds them goes on; returns self.
        """
        target = backend_or_dtype
        if target == "auto":
            target = get_backend(target).name  # decide, and say so, once for all tensors
        for tensor in [*self.parameters(), *self.buffers()]:
            moved = _moved(tensor, target)
            if moved is not tensor.array:
                tensor.array = moved
                tensor.overwritten()
            if tensor.grad is not None:
                tensor.grad = Tensor(_moved(tensor.grad, target))
        return self

    # -- What it prints -------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """The part of the repr between the parentheses: the layer's own settings."""
        return ""

    def __repr__(self) -> str:
        lines = [
            f"({name}): {module!r}".replace("\n", "\n  ")
            for name, module in self._own_modules().items()
        ]
        name = type(self).__name__
        extra = self.extra_repr()
        if not lines:
            return f"{name}({extra})"
        lines = [extra, *lines] if extra else lines
        return "\n  ".join([f"{name}(", *lines]) + "\n)"


def _raw(value: Any) -> Array:
    """The array in a Tensor, an array itself, or anything else as NumPy reads it."""
    if isinstance(value, Node):
        return value.array
    return value if is_array(value) else np.asarray(value)


def _moved(tensor: Tensor, target: Any) -> Array:
    """The array of a tensor on a backend or in a dtype; integers keep their dtype."""
    moved = tensor.detach().to(target)
    if tensor.dtype.kind != "f" and moved.dtype != tensor.dtype:
        return tensor.array
    if moved.dtype.kind != tensor.dtype.kind:
        raise TypeError(f"Module.to: wants a backend or a floating dtype, got {target!r}")
    return moved.array
