"""Schedules of the learning rate: call ``scheduler.step()`` once after each epoch.

They change ``group["lr"]`` of an optimizer by PyTorch's recurrences, each from the rate of the
epoch before, so that several on one optimizer combine, and a rate set by hand stays in force.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from minigrad.optim.optimizers import Optimizer


class LRScheduler:
    """The base of all schedules; a subclass defines `next_lr`.

    Attributes:
        last_epoch: how many times `step` was called.
        base_lrs: the learning rate of each group at the start.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: optimizer wants an Optimizer, got "
                f"{type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        self.last_epoch = 0
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self._set(self.start_lr)

    def _set(self, rule: Callable[[float, int], float]) -> None:
        rates = [
            float(rule(group["lr"], i)) for i, group in enumerate(self.optimizer.param_groups)
        ]
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = rates

    def start_lr(self, lr: float, i: int) -> float:
        """The learning rate of group i in epoch 0: as it is, unless a subclass says otherwise."""
        return lr

    def next_lr(self, lr: float, i: int) -> float:
        """The learning rate of group i in epoch `last_epoch`, given that of the epoch before."""
        raise NotImplementedError(f"{type(self).__name__}: defines no next_lr(...)")

    def step(self) -> None:
        """Enter the next epoch."""
        self.last_epoch += 1
        self._set(self.next_lr)

    def get_last_lr(self) -> list[float]:
        """The learning rate that was last set, one a group."""
        return list(self._last_lr)

    def state_dict(self) -> dict[str, Any]:
        """All that changes: the epoch and the rates. The optimizer's own state is apart."""
        return {
            "last_epoch": self.last_epoch,
            "base_lrs": list(self.base_lrs),
            "_last_lr": list(self._last_lr),
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` returned; the optimizer's state is loaded apart."""
        n = len(self.optimizer.param_groups)
        if len(state_dict["base_lrs"]) != n:
            raise ValueError(
                f"{type(self).__name__}.load_state_dict: wants {n} base_lrs, one a group, got "
                f"{len(state_dict['base_lrs'])}"
            )
        self.last_epoch = state_dict["last_epoch"]
        self.base_lrs = list(state_dict["base_lrs"])
        self._last_lr = list(state_dict["_last_lr"])


class StepLR(LRScheduler):
    """Multiply the rate by gamma every `step_size` epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        if not isinstance(step_size, int) or step_size < 1:
            raise ValueError(f"StepLR: step_size wants a positive int, got {step_size!r}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def next_lr(self, lr: float, i: int) -> float:
        return lr * self.gamma if self.last_epoch % self.step_size == 0 else lr


class MultiStepLR(LRScheduler):
    """Multiply the rate by gamma at each epoch in `milestones` (twice where one stands twice)."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer)

    def next_lr(self, lr: float, i: int) -> float:
        return lr * self.gamma ** self.milestones[self.last_epoch]


class ExponentialLR(LRScheduler):
    """Multiply the rate by gamma every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        self.gamma = gamma
        super().__init__(optimizer)

    def next_lr(self, lr: float, i: int) -> float:
        return lr * self.gamma


class CosineAnnealingLR(LRScheduler):
    """From the initial rate down to `eta_min` in `T_max` epochs, along half a cosine:

        lr_t = eta_min + (lr_0 − eta_min) (1 + cos(π t / T_max)) / 2,

    and up again in the `T_max` epochs after, and so on.

    Source: Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts" (2017),
    without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        if not isinstance(T_max, int) or T_max < 1:
            raise ValueError(f"CosineAnnealingLR: T_max wants a positive int, got {T_max!r}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def next_lr(self, lr: float, i: int) -> float:
        t = self.last_epoch
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # up from the bottom, a factor of 0
            rise = (1.0 - math.cos(math.pi / self.T_max)) / 2.0
            return lr + (self.base_lrs[i] - self.eta_min) * rise
        now = 1.0 + math.cos(math.pi * t / self.T_max)
        before = 1.0 + math.cos(math.pi * (t - 1) / self.T_max)
        return self.eta_min + (lr - self.eta_min) * now / before


class LambdaLR(LRScheduler):
    """The initial rate times a function of the epoch.

    Args:
        lr_lambda: epoch → factor, or a list of such functions, one a group. Functions are not part
            of the state dict.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | list[Callable[[int], float]],
    ) -> None:
        groups = len(getattr(optimizer, "param_groups", ()))
        self.lr_lambdas = (
            list(lr_lambda) if isinstance(lr_lambda, (list, tuple)) else [lr_lambda] * groups
        )
        if len(self.lr_lambdas) != groups:
            raise ValueError(
                f"LambdaLR: lr_lambda wants {groups} functions, one a group, got "
                f"{len(self.lr_lambdas)}"
            )
        super().__init__(optimizer)

    def start_lr(self, lr: float, i: int) -> float:
        return self.next_lr(lr, i)

    def next_lr(self, lr: float, i: int) -> float:
        return self.base_lrs[i] * self.lr_lambdas[i](self.last_epoch)
