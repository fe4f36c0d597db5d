"""Machine room, training: the rules by which parameters follow their gradients, by the formulas of torch.optim.

One kernel updates all parameters of a group, so torch's settings of how that is done, `foreach` and `fused`, change
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..backend import namespace
from .optimizer import Optimizer, Params, State, zeros_like

if TYPE_CHECKING:
    from minigan.kernels.optim import Flat

    Array = np.ndarray


class SGD(Optimizer):
    """p -= lr b, with b = momentum b + (1 - dampening) g (g alone without momentum)."""

    arrays = ("momentum_buffer",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("SGD: nesterov needs a momentum and no dampening")
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
        )

    def begin(self, p: np.ndarray, state: State, group: dict[str, Any]) -> bool:
        """Whether this is the first step with momentum."""
        first = "momentum_buffer" not in state
        if group["momentum"] and first:
            state["momentum_buffer"] = zeros_like(p)
        return first

    def update(self, flat: Flat, grads: Sequence[np.ndarray], kind: Any, group: dict[str, Any]) -> None:
        """One step."""
        names = ("lr", "momentum", "dampening", "weight_decay", "nesterov")
        flat.sgd(grads, first=kind, **{name: group[name] for name in names})


class RMSprop(Optimizer):
    """p -= lr g / (sqrt(v) + eps), with v = alpha v + (1 - alpha) g^2 (Tieleman & Hinton 2012).

    centered: v less the square of m = alpha m + (1 - alpha) g (Graves 2013).
    """

    arrays, required = ("square_avg", "momentum_buffer", "grad_avg"), ("square_avg",)

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
        )

    def begin(self, p: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """All parameters are of one kind."""
        wanted = {"square_avg": True, "momentum_buffer": group["momentum"], "grad_avg": group.get("centered")}
        for name in self.arrays:
            if wanted[name] and name not in state:
                state[name] = zeros_like(p)

    def update(self, flat: Flat, grads: Sequence[np.ndarray], kind: Any, group: dict[str, Any]) -> None:
        """One step."""
        if group.get("centered"):
            for p, g, v, *rest in zip(flat.params, grads, *flat.states, strict=True):
                self._centered(p, g, v, rest[-1], rest[0] if group["momentum"] else None, group)
            return
        flat.rmsprop(grads, *(group[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum")))

    def _centered(self, p: Array, g: Array, v: Array, m: Array, buffer: Array | None, group: dict[str, Any]) -> None:
        """The step of one parameter, without a kernel of its own."""
        xp, alpha = namespace(p), group["alpha"]
        d = g + group["weight_decay"] * p
        v[...] = alpha * v + (1 - alpha) * d * d
        m[...] = alpha * m + (1 - alpha) * d
        d = d / (xp.sqrt(v - m * m) + group["eps"])
        if buffer is not None:
            buffer[...] = d = group["momentum"] * buffer + d
        p -= group["lr"] * d


class Adam(Optimizer):
    """p -= lr m' / (sqrt(v') + eps), with m', v' the bias-corrected averages of g and g^2 (Kingma & Ba 2015).

    amsgrad: with the largest v so far in the place of v (Reddi et al. 2018).
    """

    arrays, required = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq"), ("step", "exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        if not all(0 <= b < 1 for b in betas):
            raise ValueError(f"{type(self).__name__}: betas must be in [0, 1), got {tuple(betas)}")
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": tuple(betas),
                "eps": eps,
                "weight_decay": weight_decay,
                "amsgrad": amsgrad,
                "maximize": maximize,
            },
        )

    def begin(self, p: np.ndarray, state: State, group: dict[str, Any]) -> int:
        """The number of the step, which the bias correction depends on."""
        if not state:
            state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
        if group.get("amsgrad") and "max_exp_avg_sq" not in state:
            state["max_exp_avg_sq"] = zeros_like(p)
        state["step"] += 1
        return state["step"]

    def update(self, flat: Flat, grads: Sequence[np.ndarray], kind: Any, group: dict[str, Any]) -> None:
        """One step."""
        beta1, beta2 = group["betas"]
        if group.get("amsgrad"):
            for p, g, m, v, top in zip(flat.params, grads, *flat.states, strict=True):
                self._amsgrad(p, g, m, v, top, kind, group)
            return
        flat.adam(grads, group["lr"], beta1, beta2, group["eps"], kind, group["weight_decay"], self._decoupled(group))

    def _decoupled(self, group: dict[str, Any]) -> bool:
        """As a state of PyTorch's says, whose Adam has a setting for it, else as the class does."""
        return group.get("decoupled_weight_decay", self.decoupled)

    def _amsgrad(self, p: Array, g: Array, m: Array, v: Array, top: Array, step: int, group: dict[str, Any]) -> None:
        """The step of one parameter, without a kernel of its own."""
        xp, (beta1, beta2), decay = namespace(p), group["betas"], group["weight_decay"]
        if self._decoupled(group):
            p *= 1 - group["lr"] * decay
        else:
            g = g + decay * p
        m[...] = beta1 * m + (1 - beta1) * g
        v[...] = beta2 * v + (1 - beta2) * g * g
        top[...] = xp.maximum(top, v)
        p -= group["lr"] / (1 - beta1**step) * m / (xp.sqrt(top / (1 - beta2**step)) + group["eps"])


class AdamW(Adam):
    """Adam whose weight decay shrinks p directly instead of entering the averages (Loshchilov & Hutter 2019)."""

    decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        fused: bool | None = None,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
