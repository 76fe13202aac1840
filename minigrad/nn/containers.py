"""Modules that hold modules: in a row, in a list, by name."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from minigrad.nn.module import Module


class _Numbered(Module):
    """Modules under the names "0", "1", …"""

    def __init__(self, modules: Iterable[Module]) -> None:
        super().__init__()
        for module in modules:
            self.append(module)

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[Module]:
        return iter(self._own_modules().values())

    def _name_at(self, index: Any) -> str:
        """The name of the module at an index, counted from the end where negative."""
        where = type(self).__name__
        try:
            position = operator.index(index)
        except TypeError:
            raise TypeError(f"{where}: index wants an int or a slice, got {index!r}") from None
        names = list(self._own_modules())
        if not -len(names) <= position < len(names):
            raise IndexError(f"{where}: index {position} is out of range for {len(names)} modules")
        return names[position]

    def __setitem__(self, index: int, module: Module) -> None:
        _check_module(type(self).__name__, module)
        setattr(self, self._name_at(index), module)

    def append(self, module: Module) -> Self:
        """Add a module at the end; returns self."""
        _check_module(type(self).__name__, module)
        self._check_new_name(type(self).__name__, str(len(self)))
        setattr(self, str(len(self)), module)
        return self


class Sequential(_Numbered):
    """Modules applied one after the other: the output of each is the input of the next.

    Args:
        *modules: the modules, named "0", "1", …; or one mapping of names to modules.
    """

    def __init__(self, *modules: Any) -> None:
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            super().__init__(())
            for name, module in modules[0].items():
                _check_module("Sequential", module)
                self._check_new_name("Sequential", name)
                setattr(self, name, module)
        else:
            super().__init__(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Sequential(dict(list(self._own_modules().items())[index]))
        return self._own_modules()[self._name_at(index)]

    def forward(self, x: Any) -> Any:
        for module in self:
            x = module(x)
        return x


class ModuleList(_Numbered):
    """A list of modules, which the module that it is assigned to owns.

    Args:
        modules: the modules, named "0", "1", …
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__(modules)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return ModuleList(list(self)[index])
        return self._own_modules()[self._name_at(index)]

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end; returns self."""
        for module in modules:
            self.append(module)
        return self


class ModuleDict(Module):
    """Modules by name, which the module that it is assigned to owns.

    Args:
        modules: a mapping of names to modules. A name that is a method of the class is refused.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        for name, module in (modules or {}).items():
            self[name] = module

    def __setitem__(self, name: str, module: Module) -> None:
        _check_module("ModuleDict", module)
        if name not in self._own_modules():
            self._check_new_name("ModuleDict", name)
        setattr(self, name, module)

    def __getitem__(self, name: str) -> Module:
        return self._own_modules()[name]

    def __delitem__(self, name: str) -> None:
        if name not in self._own_modules():
            raise KeyError(name)
        delattr(self, name)

    def __contains__(self, name: object) -> bool:
        return name in self._own_modules()

    def __len__(self) -> int:
        return len(self._own_modules())

    def __iter__(self) -> Iterator[str]:
        return iter(self._own_modules())

    def keys(self) -> Iterable[str]:
        """The names, in the order of insertion."""
        return self._own_modules().keys()

    def values(self) -> Iterable[Module]:
        """The modules, in the order of insertion."""
        return self._own_modules().values()

    def items(self) -> Iterable[tuple[str, Module]]:
        """Pairs of name and module, in the order of insertion."""
        return self._own_modules().items()


def _check_module(where: str, module: Any) -> None:
    if not isinstance(module, Module):
        raise TypeError(f"{where}: wants modules, got {type(module).__name__}")
