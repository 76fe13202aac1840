"""Optimizers: how parameters follow their gradients.

A step writes into the parameters in place and outside the graph; a graph recorded before notices,
and refuses to go backward. The update rules, the hyperparameters, the names of the state and the
format of ``state_dict()`` are PyTorch's. Step counts are Python ints: nothing waits for a device.

In the rules x is a parameter and g its gradient. A rule is a dozen operations, and goes through
large arrays block by block: what they read and write then comes from memory once, not a dozen
times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from minigrad.backend import Array, backend_of, is_array, move, over_blocks, to_host, xp
from minigrad.core import Node
from minigrad.tensor import Tensor

State = dict[str, Any]


def _is_number(value: Any, low: float, below: float = math.inf) -> bool:
    return isinstance(value, (int, float, np.number)) and bool(low <= value < below)


def _from_zero(value: Any) -> bool:
    return _is_number(value, 0.0)


def _two_fractions(value: Any) -> bool:
    pair = isinstance(value, (tuple, list)) and len(value) == 2
    return pair and all(_is_number(v, 0.0, 1.0) for v in value)


# What each hyperparameter wants, in words, and whether a value is that.
_WANTED: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "lr": ("a number from 0", _from_zero),
    "betas": ("two numbers in [0, 1)", _two_fractions),
    "eps": ("a number from 0", _from_zero),
    "weight_decay": ("a number from 0", _from_zero),
    "momentum": ("a number from 0", _from_zero),
    "dampening": ("a number", lambda value: _is_number(value, -math.inf)),
    "nesterov": ("True or False", lambda value: isinstance(value, bool)),
    "alpha": ("a number in [0, 1)", lambda value: _is_number(value, 0.0, 1.0)),
    "centered": ("True or False", lambda value: isinstance(value, bool)),
    "lr_decay": ("a number from 0", _from_zero),
    "initial_accumulator_value": ("a number from 0", _from_zero),
}


class Optimizer:
    """The base of all optimizers: parameter groups, the state of each parameter, and the loop.

    A subclass defines `update` and `state_names`.

    Args:
        params: Tensors, or dictionaries ``{"params": Tensors, …}`` whose other entries are
            hyperparameters of that group alone.
        defaults: the hyperparameters of groups that do not say otherwise.

    Attributes:
        param_groups: one dictionary a group; ``group["lr"]`` may be set at any time.
        state: what is remembered of each parameter, from its first update on.
    """

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[dict[str, Any]] = []
        self.state: dict[Tensor, State] = {}
        if isinstance(params, (Node, Mapping, set, str)) or not isinstance(params, Iterable):
            raise TypeError(
                f"{self._name}: params wants a list of Tensors or of dictionaries, got a "
                f"{type(params).__name__}"
            )
        groups = list(params)
        if not groups:
            raise ValueError(f"{self._name}: params wants at least one parameter, got none")
        if not isinstance(groups[0], Mapping):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        lines = [f"{self._name}("]
        for i, group in enumerate(self.param_groups):
            settings = ", ".join(f"{name}={value}" for name, value in _settings(group).items())
            lines.append(f"  group {i}: {len(group['params'])} parameters, {settings}")
        return "\n".join([*lines, ")"])

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Train more parameters: ``{"params": Tensors, …}`` with hyperparameters of their own."""
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(
                f"{self._name}: a group wants to be a dictionary with 'params', got {param_group!r}"
            )
        given = param_group["params"]
        params = [given] if isinstance(given, Tensor) else list(given)
        if not params:
            raise ValueError(f"{self._name}: params wants at least one parameter, got none")
        seen = {id(p) for group in self.param_groups for p in group["params"]}
        for i, p in enumerate(params):
            if not isinstance(p, Tensor):
                raise TypeError(f"{self._name}: params[{i}] wants a Tensor, got {type(p).__name__}")
            if not p.is_leaf:
                raise ValueError(
                    f"{self._name}: params[{i}] wants a leaf, got a result of {p.primitive!r}"
                )
            if id(p) in seen:
                raise ValueError(f"{self._name}: params[{i}] (shape {p.shape}) is there twice")
            seen.add(id(p))
        group = {**self.defaults, **param_group, "params": params}
        self._check(group)
        self.param_groups.append(group)

    def _check(self, group: Mapping[str, Any]) -> None:
        """Refuse hyperparameters that this optimizer does not know, or values out of range."""
        for name, value in _settings(group).items():
            if name not in self.defaults:
                raise TypeError(f"{self._name}: a group has the unknown entry {name!r}")
            wanted, holds = _WANTED[name]
            if not holds(value):
                raise ValueError(f"{self._name}: {name} wants {wanted}, got {value!r}")

    def zero_grad(self) -> None:
        """Forget the gradients of all parameters."""
        for group in self.param_groups:
            for p in group["params"]:
                p.grad = None

    def step(self) -> None:
        """Update in place every parameter that has a gradient."""
        for group in self.param_groups:
            settings = _settings(group)
            for p in group["params"]:
                if p.grad is None:
                    continue
                x, g = p.array, p.grad.array
                if backend_of(g) is not backend_of(x):
                    raise TypeError(
                        f"{self._name}.step: a parameter lives on {p.backend!r}, but its gradient "
                        f"on {p.grad.backend!r}"
                    )
                self.update(x, g, self.state.setdefault(p, {}), **settings)
                p.overwritten()

    def update(self, *arguments: Any, **settings: Any) -> None:
        """``update(x, g, state, **settings)``: move the parameter x in place, given its gradient g.

        `state` is the dictionary kept for x, `settings` are the hyperparameters of its group.
        """
        raise NotImplementedError(f"{self._name}: defines no update(...)")

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        """What the state of a parameter holds after an update with these settings."""
        raise NotImplementedError(f"{self._name}: defines no state_names(...)")

    # -- Memory ---------------------------------------------------------------------------------

    def _held(self, state: State, name: str, x: Array, start: float = 0.0) -> Array:
        """The array `name` of the state, like x: made on first use; it follows x to another backend
        or dtype."""
        array = state.get(name)
        if array is None:
            array = state[name] = xp(x).full(x.shape, start, dtype=x.dtype)
        elif type(array) is not type(x) or array.dtype != x.dtype:
            array = state[name] = move(array, backend_of(x)).astype(x.dtype)
        return array

    def _in_blocks(self, rule: Callable[..., None], *arrays: Array) -> None:
        """Call ``rule(*blocks)`` for arrays of one shape, cut alike along the first axis so that a
        block of all of them, with two intermediate results, stays in the cache."""
        x, several = arrays[0], len(arrays) + 2
        if x.ndim == 0 or several * x.nbytes <= backend_of(x).working_set:
            rule(*arrays)
        else:
            over_blocks(x, lambda block: rule(*[array[block] for array in arrays]), several)

    def _decayed(self, x: Array, g: Array, lr: float, weight_decay: float) -> Array:
        """g + weight_decay · x, the gradient with that of the penalty weight_decay · ‖x‖² / 2."""
        return g if weight_decay == 0.0 else g + weight_decay * x

    # -- Saving ---------------------------------------------------------------------------------

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """The state, its arrays copied to the host: ``{"state": {i: {…}}, "param_groups": […]}``.

        Parameters are numbered through the groups; ``"params"`` of a group has the numbers of its.
        """
        params = self._params()
        number = {p: i for i, p in enumerate(params)}
        state = {
            number[p]: {
                name: to_host(value).copy() if is_array(value) else value
                for name, value in self.state[p].items()
            }
            for p in params
            if p in self.state
        }
        groups = [
            {**group, "params": [number[p] for p in group["params"]]} for group in self.param_groups
        ]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned, hyperparameters included.

        Arrays are copied, cast to the dtype of their parameter, and moved to its backend.
        Everything is checked before anything is written.

        Raises:
            ValueError: the groups, the numbers of their parameters, the names or the shapes of the
                state are not this optimizer's.
        """
        where = f"{self._name}.load_state_dict"
        groups = state_dict["param_groups"]
        sizes = [len(group["params"]) for group in groups]
        own = [len(group["params"]) for group in self.param_groups]
        if sizes != own:
            raise ValueError(f"{where}: wants groups of {own} parameters, got {sizes}")
        for group in groups:
            self._check(group)
            missing = [name for name in self.defaults if name not in group]
            if missing:
                raise ValueError(f"{where}: a group misses {', '.join(map(repr, missing))}")
        numbers = [i for group in groups for i in group["params"]]
        settings = [_settings(group) for group in groups for _ in group["params"]]
        place = {i: at for at, i in enumerate(numbers)}
        params = self._params()
        loaded: dict[Tensor, State] = {}
        for i, saved in state_dict["state"].items():
            if i not in place:
                raise ValueError(f"{where}: state has an entry {i!r}, which is in no group")
            p = params[place[i]]
            names = self.state_names(settings[place[i]])
            if set(saved) != set(names):
                raise ValueError(f"{where}: state of {i} wants {names}, got {tuple(saved)}")
            loaded[p] = {name: self._loaded(where, i, name, saved[name], p) for name in names}
        self.state = loaded
        for group, saved in zip(self.param_groups, groups, strict=True):
            group.update({**saved, "params": group["params"]})

    def _loaded(self, where: str, i: int, name: str, value: Any, p: Tensor) -> Any:
        """A saved entry as a step needs it."""
        if name == "step":
            return int(value)
        array = np.asarray(value.numpy() if isinstance(value, Tensor) else value).astype(p.dtype)
        if array.shape != p.shape:
            raise ValueError(f"{where}: {name} of {i} wants shape {p.shape}, got {array.shape}")
        return backend_of(p.array).asarray(array)


def _settings(group: Mapping[str, Any]) -> dict[str, Any]:
    """The hyperparameters of a group."""
    return {name: value for name, value in group.items() if name not in ("params", "initial_lr")}


class SGD(Optimizer):
    """Gradient descent, with momentum where asked for: b ← momentum · b + (1 − dampening) · g and

        x ← x − lr · b    (b = g where momentum is 0 and at the first step),

    or, with Nesterov's momentum, x ← x − lr · (g + momentum · b).

    Args:
        params: Tensors, or dictionaries of parameter groups.
        lr: the learning rate.
        momentum: the part of the last direction that is kept.
        dampening: the part of the gradient that is not taken into it.
        weight_decay: adds weight_decay · x to the gradient.
        nesterov: wants momentum and no dampening.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning"
    (2013), with PyTorch's lr outside of the velocity.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    def _check(self, group: Mapping[str, Any]) -> None:
        super()._check(group)
        if group["nesterov"] and (group["momentum"] == 0.0 or group["dampening"] != 0.0):
            raise ValueError(
                f"SGD: nesterov wants momentum and no dampening, got momentum "
                f"{group['momentum']!r} and dampening {group['dampening']!r}"
            )

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("momentum_buffer",) if settings["momentum"] else ()

    def update(self, x, g, state, *, lr, momentum, dampening, weight_decay, nesterov) -> None:
        first = "momentum_buffer" not in state
        b = x if momentum == 0.0 else self._held(state, "momentum_buffer", x)

        def rule(x, g, b):
            g = self._decayed(x, g, lr, weight_decay)
            if momentum != 0.0:
                if first:
                    b += g
                else:
                    b *= momentum
                    b += (1.0 - dampening) * g
                g = g + momentum * b if nesterov else b
            x -= lr * g

        self._in_blocks(rule, x, g, b)


class Adam(Optimizer):
    """Adam: the mean m of the gradients over a root of the mean v of their squares,

        m ← β₁ m + (1 − β₁) g,  v ← β₂ v + (1 − β₂) g²,
        x ← x − lr · m̂ / (√v̂ + eps),  m̂ = m / (1 − β₁ᵗ),  v̂ = v / (1 − β₂ᵗ).

    Args:
        params: Tensors, or dictionaries of parameter groups.
        lr: the learning rate.
        betas: β₁ and β₂.
        eps: keeps the quotient finite.
        weight_decay: adds weight_decay · x to the gradient.

    Source: Kingma & Ba, "Adam: a method for stochastic optimization" (2015).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        )

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("step", "exp_avg", "exp_avg_sq")

    def update(self, x, g, state, *, lr, betas, eps, weight_decay) -> None:
        sqrt = xp(x).sqrt
        beta1, beta2 = betas
        t = state["step"] = state.get("step", 0) + 1
        # √v̂ + eps = (√v + eps · root) / root, so the corrections of the bias cost no pass over x.
        root = math.sqrt(1.0 - beta2**t)
        rate = lr * root / (1.0 - beta1**t)
        m = self._held(state, "exp_avg", x)
        v = self._held(state, "exp_avg_sq", x)

        def rule(x, g, m, v):
            g = self._decayed(x, g, lr, weight_decay)
            m += (1.0 - beta1) * (g - m)
            v *= beta2
            v += (1.0 - beta2) * (g * g)
            x -= rate * (m / (sqrt(v) + eps * root))

        self._in_blocks(rule, x, g, m, v)


class AdamW(Adam):
    """Adam with the decay x ← (1 − lr · weight_decay) x apart from the gradient.

    Source: Loshchilov & Hutter, "Decoupled weight decay regularization" (2019).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)

    def _decayed(self, x: Array, g: Array, lr: float, weight_decay: float) -> Array:
        if weight_decay != 0.0:
            x *= 1.0 - lr * weight_decay
        return g


class RMSprop(Optimizer):
    """The gradient over a root of the mean v of its squares: v ← α v + (1 − α) g² and

        x ← x − lr · g / (√v + eps).

    Args:
        params: Tensors, or dictionaries of parameter groups.
        lr: the learning rate.
        alpha: α.
        eps: keeps the quotient finite.
        weight_decay: adds weight_decay · x to the gradient.
        momentum: b ← momentum · b + g / (√v + eps) takes the place of the quotient.
        centered: v − (mean of g)², the variance, takes the place of v.

    Source: Hinton, lecture 6e of "Neural networks for machine learning" (2012); centered: Graves,
    "Generating sequences with recurrent neural networks" (2013).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        super().__init__(params, defaults)

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        names = ["step", "square_avg"]
        if settings["centered"]:
            names.append("grad_avg")
        if settings["momentum"]:
            names.append("momentum_buffer")
        return tuple(names)

    def update(self, x, g, state, *, lr, alpha, eps, weight_decay, momentum, centered) -> None:
        module = xp(x)
        state["step"] = state.get("step", 0) + 1
        v = self._held(state, "square_avg", x)
        mean = self._held(state, "grad_avg", x) if centered else v
        b = v if momentum == 0.0 else self._held(state, "momentum_buffer", x)

        def rule(x, g, v, mean, b):
            g = self._decayed(x, g, lr, weight_decay)
            v *= alpha
            v += (1.0 - alpha) * (g * g)
            variance = v
            if centered:
                mean += (1.0 - alpha) * (g - mean)
                variance = module.maximum(v - mean * mean, 0.0)  # rounding may leave it just below
            direction = g / (module.sqrt(variance) + eps)
            if momentum != 0.0:
                b *= momentum
                b += direction
                direction = b
            x -= lr * direction

        self._in_blocks(rule, x, g, v, mean, b)


class Adagrad(Optimizer):
    """The gradient over a root of the sum s of all its squares: s ← s + g² and

        x ← x − lr / (1 + (t − 1) · lr_decay) · g / (√s + eps).

    Args:
        params: Tensors, or dictionaries of parameter groups.
        lr: the learning rate.
        lr_decay: how it falls with the step t.
        weight_decay: adds weight_decay · x to the gradient.
        initial_accumulator_value: s before the first step.
        eps: keeps the quotient finite.

    Source: Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic
    optimization" (2011).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        super().__init__(params, defaults)

    def state_names(self, settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("step", "sum")

    def update(
        self, x, g, state, *, lr, lr_decay, weight_decay, initial_accumulator_value, eps
    ) -> None:
        sqrt = xp(x).sqrt
        t = state["step"] = state.get("step", 0) + 1
        rate = lr / (1.0 + (t - 1) * lr_decay)
        total = self._held(state, "sum", x, start=initial_accumulator_value)

        def rule(x, g, total):
            g = self._decayed(x, g, lr, weight_decay)
            total += g * g
            x -= rate * (g / (sqrt(total) + eps))

        self._in_blocks(rule, x, g, total)
