"""Machine room, training: learning rates that change with time, by the names and numbers of torch.optim.lr_scheduler.

    scheduler = lr_scheduler.CosineAnnealingLR(optimizer, T_max=100)
    for epoch in range(100):
        ...                        # optimizer.step(), many times
        scheduler.step()

A scheduler states the rate as a function of the number t of its steps so far, from the rate r that the group began
with; it keeps nothing but t. Where the rate has been set since, by hand or by another scheduler, a step multiplies it
by the ratio of the function's values, so that two schedulers of one optimiser multiply; LambdaLR and SequentialLR set
theirs all the same, as PyTorch's LambdaLR does, and its SequentialLR at a milestone. A captured step reads the rate at
every replay.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .optimizer import Optimizer


class LRScheduler:
    """What all schedulers share. last_epoch: t; a new scheduler is at 0 and has set the first rate. multiplies: whether
    a step goes on from a rate that something else has set."""

    multiplies = True

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        self.optimizer, self.last_epoch = optimizer, last_epoch
        self.step(last_epoch + 1 if last_epoch >= 0 else None)

    def rate(self, base: float, t: int, group: int) -> float:
        """The rate of a parameter group after t steps, `base` at their beginning."""
        raise NotImplementedError(f"{type(self).__name__} has no rate")

    def step(self, epoch: int | None = None) -> None:
        """Set the next rates, or those of step number `epoch`."""
        before, self.last_epoch = self.last_epoch, self.last_epoch + 1 if epoch is None else epoch
        for i, group in enumerate(self.optimizer.param_groups):
            base = group.setdefault("initial_lr", group["lr"])
            rate = self.rate(base, self.last_epoch, i)
            last = base if before < 0 else self.rate(base, before, i)
            moved = self.multiplies and epoch is None and last and group["lr"] != last
            group["lr"] = group["lr"] * (rate / last) if moved else rate

    @property
    def base_lrs(self) -> list[float]:
        """The rate that each parameter group began with."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def get_last_lr(self) -> list[float]:
        """The present rate of each parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Everything but the optimiser and functions of the user's; the optimiser's own has the rates."""
        return {k: v for k, v in vars(self).items() if k != "optimizer" and not _is_function(v)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        vars(self).update(state_dict)


def _is_function(value: object) -> bool:
    return callable(value) or (isinstance(value, list) and any(map(callable, value)))


class LambdaLR(LRScheduler):
    """r f(t), for a function f or one for each group."""

    multiplies = False

    def __init__(
        self, optimizer: Optimizer, lr_lambda: Callable[[int], float] | Sequence[Callable], last_epoch: int = -1
    ) -> None:
        groups = len(optimizer.param_groups)
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: {len(self.lr_lambdas)} functions for {groups} parameter groups")
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.lr_lambdas[group](t)


def _positive(owner: LRScheduler, name: str, value: float) -> float:
    """A number of steps. Raises ValueError unless it is above 0."""
    if not (isinstance(value, (int, float)) and value > 0):
        raise ValueError(f"{type(owner).__name__}: {name} must be a number of steps above 0, got {value!r}")
    return value


class StepLR(LRScheduler):
    """r gamma^(t // step_size)"""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size, self.gamma = _positive(self, "step_size", step_size), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.gamma ** (t // self.step_size)


class MultiStepLR(LRScheduler):
    """r gamma^(the number of milestones up to t)"""

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.gamma ** bisect_right(self.milestones, t)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`, or from that of PyTorch's, which counts equal milestones."""
        super().load_state_dict(state_dict)
        counts = self.milestones
        self.milestones = sorted(Counter(counts).elements() if isinstance(counts, Mapping) else counts)


class ExponentialLR(LRScheduler):
    """r gamma^t"""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.gamma**t


class ConstantLR(LRScheduler):
    """r factor for t < total_iters, then r"""

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1) -> None:
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * self.factor if t < self.total_iters else base


class LinearLR(LRScheduler):
    """r times a factor that goes from start_factor to end_factor in total_iters equal steps"""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(f"LinearLR: factors must be in (0, 1], got {start_factor} and {end_factor}")
        self.start_factor, self.end_factor = start_factor, end_factor
        self.total_iters = _positive(self, "total_iters", total_iters)
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        way = min(t, self.total_iters) / self.total_iters
        return base * (self.start_factor + (self.end_factor - self.start_factor) * way)


class PolynomialLR(LRScheduler):
    """r (1 - t / total_iters)^power, then 0"""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters, self.power = _positive(self, "total_iters", total_iters), power
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return base * (1 - min(t, self.total_iters) / self.total_iters) ** self.power


class CosineAnnealingLR(LRScheduler):
    """eta_min + (r - eta_min) (1 + cos(pi t / T_max)) / 2 (Loshchilov & Hutter 2017)"""

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max, self.eta_min = _positive(self, "T_max", T_max), eta_min
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class SequentialLR(LRScheduler):
    """One scheduler after the other: number i + 1 begins, at its own t = 0, at milestone i."""

    multiplies = False

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ) -> None:
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(f"SequentialLR: {len(schedulers)} schedulers have {len(schedulers) - 1} milestones")
        self.schedulers, self.milestones = list(schedulers), list(milestones)
        super().__init__(optimizer, last_epoch)

    def rate(self, base: float, t: int, group: int) -> float:
        i = bisect_right(self.milestones, t)
        return self.schedulers[i].rate(base, t - ([0, *self.milestones][i]), group)

    def state_dict(self) -> dict[str, Any]:
        """Theirs too."""
        return {**super().state_dict(), "schedulers": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        for scheduler, state in zip(self.schedulers, state_dict["schedulers"], strict=True):
            scheduler.load_state_dict(state)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "schedulers"})


class ReduceLROnPlateau:
    """The rate times `factor`, not below min_lr, where a figure has not become better for `patience` steps.

    mode: whether "min" or "max" is better; threshold: by how much, "rel" of the best or "abs". cooldown: steps after a
    change in which nothing counts.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs") or not factor < 1:
            raise ValueError(
                f"ReduceLROnPlateau: mode is min or max, threshold_mode rel or abs and factor below 1, got {mode!r},"
                f" {threshold_mode!r} and {factor}"
            )
        self.optimizer, self.mode, self.factor, self.patience, self.cooldown = (
            optimizer,
            mode,
            factor,
            patience,
            cooldown,
        )
        self.threshold, self.threshold_mode, self.min_lr, self.eps = threshold, threshold_mode, min_lr, eps
        self.best = math.inf if mode == "min" else -math.inf
        self.last_epoch, self.num_bad_epochs, self.cooldown_counter = 0, 0, 0

    def step(self, metrics: float) -> None:
        """Look at the newest figure."""
        figure = float(metrics)
        self.last_epoch += 1
        sign = 1 if self.mode == "min" else -1
        margin = self.threshold * (abs(self.best) if self.threshold_mode == "rel" else 1)
        margin = margin if math.isfinite(self.best) else 0
        if sign * figure < sign * self.best - margin:
            self.best, self.num_bad_epochs = figure, 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            for group in self.optimizer.param_groups:
                rate = max(group["lr"] * self.factor, self.min_lr)
                if group["lr"] - rate > self.eps:
                    group["lr"] = rate
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0

    get_last_lr, state_dict = LRScheduler.get_last_lr, LRScheduler.state_dict
    load_state_dict = LRScheduler.load_state_dict
