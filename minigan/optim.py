"""Machine room, training: optimisers, by the names and formulas of torch.optim; clipping; an average of the weights.

A step updates all parameters in place by one kernel and bumps their versions, so that a backward pass through a graph
recorded before the step refuses instead of being wrong. `step` sees the gradients in `.grad`; a parameter without one
is left alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from minigan import kernels

from .autograd import Op, Tensor, array_of, in_place, no_grad
from .backend import host, namespace, on
from .nn.module import Module
from .ops.basic import cast
from .ops.elementary import clip, minimum, sqrt

if TYPE_CHECKING:
    from minigan.kernels.optim import Flat

    Params = Iterable[Tensor] | Iterable[dict[str, Any]]  # tensors, or groups of them with settings of their own
    State = dict[str, Any]  # of one parameter: arrays by name, and the number of its steps


class Optimizer:
    """What all optimisers share. params: tensors, or dicts {"params": tensors, setting: value} that override the
    defaults."""

    arrays: tuple[str, ...] = ()
    """The arrays of a parameter's state, in the order in which the kernel takes them."""

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        entries: list[Any] = list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        groups = entries if isinstance(entries[0], Mapping) else [{"params": entries}]
        self.param_groups: list[dict[str, Any]] = [{**defaults, **g, "params": list(g["params"])} for g in groups]
        self.state: dict[int, State] = {}
        self._flats: dict[Hashable, Flat] = {}
        for group in self.param_groups:
            for p in group["params"]:
                if not isinstance(p, Tensor) or not p.is_leaf:
                    raise ValueError(f"{type(self).__name__}: can only optimise leaf tensors, got {p!r}")
            if not group["lr"] >= 0:
                raise ValueError(f"{type(self).__name__}: the learning rate must not be negative, got {group['lr']}")
        everything = [id(p) for g in self.param_groups for p in g["params"]]
        if len(set(everything)) < len(everything):
            raise ValueError(f"{type(self).__name__}: a parameter is given twice")

    def __getstate__(self) -> dict:
        """For copy and pickle: the state by the number of its parameter, whose copy has another identity."""
        numbers = {id(p): i for i, p in enumerate(self._params())}
        return {**vars(self), "state": {numbers[key]: entry for key, entry in self.state.items()}, "_flats": {}}

    def __setstate__(self, state: dict) -> None:
        vars(self).update(state)
        params = self._params()
        self.state = {id(params[i]): entry for i, entry in self.state.items()}

    def _params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def zero_grad(self) -> None:
        """Forget every parameter's .grad."""
        for p in self._params():
            p.grad = None

    def step(self) -> None:
        """Update every parameter that has a .grad."""
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.shape != p.shape or p.grad.dtype != p.dtype:
                    raise ValueError(
                        f"{type(self).__name__}: .grad {p.grad.shape} {p.grad.dtype} of a parameter {p.shape} {p.dtype}"
                    )
            if params:
                in_place(partial(self._update, group, params), params, [p.grad for p in params])

    def _update(self, group: dict[str, Any], params: Sequence[Tensor], *arrays: np.ndarray) -> None:
        """One `update` for all parameters of a kind; most often there is one kind. arrays: parameters, gradients."""
        kinds: dict[tuple[np.dtype, int, Hashable], list[int]] = {}
        states = []
        for i, p in enumerate(params):
            state = self.state.setdefault(id(p), {})
            kind = self.begin(arrays[i], state, group)
            states.append([state[name] for name in self.arrays if name in state])
            kinds.setdefault((p.dtype, len(states[i]), kind), []).append(i)
        for (*_, kind), members in kinds.items():
            key = tuple(id(params[i]) for i in members)
            flat = self._flat(key, [arrays[i] for i in members], [states[i] for i in members])
            self.update(flat, [arrays[len(params) + i] for i in members], kind, group)

    def _flat(self, key: Hashable, params: Sequence[np.ndarray], states: Sequence[Sequence[np.ndarray]]) -> Flat:
        """These arrays as one vector, kept from step to step while they stay the same arrays."""
        columns = list(zip(*states, strict=True))
        flat = self._flats.get(key)
        if (
            flat is None
            or len(flat.states) != len(columns)
            or not all(
                len(old) == len(new) and all(map(is_, old, new))
                for old, new in zip((flat.params, *flat.states), (params, *columns), strict=True)
            )
        ):
            flat = self._flats[key] = kernels.optim.Flat(params, *columns)
        return flat

    def begin(self, p: np.ndarray, state: State, group: dict[str, Any]) -> Hashable:
        """Make what is missing of a parameter's state, and say what it must share with those it is updated with."""
        raise NotImplementedError

    def update(self, flat: Flat, grads: Sequence[np.ndarray], kind: Any, group: dict[str, Any]) -> None:
        """Change `flat` in place: parameters for which `begin` returned `kind`, with their state `arrays`."""
        raise NotImplementedError

    def remember(self) -> dict[int, State]:
        """The state as it is, arrays copied where they lie: what `go_back` takes."""
        return {
            key: {k: v if isinstance(v, int) else v.copy() for k, v in entry.items()}
            for key, entry in self.state.items()
        }

    def go_back(self, remembered: dict[int, State]) -> None:
        """The state as it was at `remember`, in the arrays that there are."""
        self.state = {key: entry for key, entry in self.state.items() if key in remembered}
        for key, entry in self.state.items():
            for name, value in remembered[key].items():
                if isinstance(value, int):
                    entry[name] = value
                else:
                    entry[name][...] = value

    def state_dict(self) -> dict[str, Any]:
        """{"state": {index: {name: array or int}}, "param_groups": settings with parameter indices}, as torch's."""
        index = {id(p): i for i, p in enumerate(self._params())}
        state = {
            i: {k: v if isinstance(v, int) else host(v).copy() for k, v in self.state[key].items()}
            for key, i in index.items()
            if key in self.state
        }
        groups = [{**g, "params": [index[id(p)] for p in g["params"]]} for g in self.param_groups]
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Continue from `state_dict()`. Raises ValueError, changing nothing, if it belongs to other parameters."""
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"{type(self).__name__}: the saved parameter groups have other sizes")
        params, state = self._params(), {}
        for i, entry in state_dict["state"].items():
            p = params[int(i)]
            for name, value in entry.items():
                if isinstance(value, np.ndarray) and value.ndim and value.shape != p.shape:
                    raise ValueError(
                        f"{type(self).__name__}: saved {name} {value.shape} does not fit parameter {i} {p.shape}"
                    )
            state[id(p)] = {k: on(array_of(p), v.copy()) if isinstance(v, np.ndarray) else v for k, v in entry.items()}
        self.state = state
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in settings.items() if k != "params"})


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
            },
        )

    def begin(self, p: np.ndarray, state: State, group: dict[str, Any]) -> bool:
        """Whether this is the first step with momentum."""
        first = "momentum_buffer" not in state
        if group["momentum"] and first:
            state["momentum_buffer"] = namespace(p).zeros(p.shape, p.dtype)
        return first

    def update(self, flat: Flat, grads: Sequence[np.ndarray], kind: Any, group: dict[str, Any]) -> None:
        """One step."""
        names = ("lr", "momentum", "dampening", "weight_decay", "nesterov")
        flat.sgd(grads, first=kind, **{name: group[name] for name in names})


class RMSprop(Optimizer):
    """p -= lr g / (sqrt(v) + eps), with v = alpha v + (1 - alpha) g^2 (Tieleman & Hinton 2012)."""

    arrays = ("square_avg", "momentum_buffer")

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
    ) -> None:
        super().__init__(
            params, {"lr": lr, "alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        )

    def begin(self, p: np.ndarray, state: State, group: dict[str, Any]) -> None:
        """All parameters are of one kind."""
        if "square_avg" not in state:
            state["square_avg"] = namespace(p).zeros(p.shape, p.dtype)
            if group["momentum"]:
                state["momentum_buffer"] = namespace(p).zeros(p.shape, p.dtype)

    def update(self, flat: Flat, grads: Sequence[np.ndarray], kind: Any, group: dict[str, Any]) -> None:
        """One step."""
        flat.rmsprop(grads, *(group[name] for name in ("lr", "alpha", "eps", "weight_decay", "momentum")))


class Adam(Optimizer):
    """p -= lr m' / (sqrt(v') + eps), with m', v' the bias-corrected averages of g and g^2 (Kingma & Ba 2015)."""

    arrays = ("exp_avg", "exp_avg_sq")
    decoupled = False

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        if not all(0 <= b < 1 for b in betas):
            raise ValueError(f"{type(self).__name__}: betas must be in [0, 1), got {tuple(betas)}")
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    def begin(self, p: np.ndarray, state: State, group: dict[str, Any]) -> int:
        """The number of the step, which the bias correction depends on."""
        if not state:
            state.update(
                step=0, exp_avg=namespace(p).zeros(p.shape, p.dtype), exp_avg_sq=namespace(p).zeros(p.shape, p.dtype)
            )
        state["step"] += 1
        return state["step"]

    def update(self, flat: Flat, grads: Sequence[np.ndarray], kind: Any, group: dict[str, Any]) -> None:
        """One step."""
        beta1, beta2 = group["betas"]
        flat.adam(grads, group["lr"], beta1, beta2, group["eps"], kind, group["weight_decay"], self.decoupled)


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
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay)


def clip_grad_norm_(parameters: Iterable[Tensor], max_norm: float) -> Tensor:
    """Scale all gradients by one factor so that their joint Euclidean norm is at most max_norm; returns the norm
    before, a float64 tensor of no axes."""
    params = [p for p in parameters if p.grad is not None]
    with no_grad():
        norm = grad_norm([p.grad for p in params])
        scale = minimum(max_norm / (norm + 1e-6), 1.0)
        for p in params:
            p.grad = p.grad * cast(scale, p.dtype)  # type: ignore[operator]  # it is not None: see `params`
    return norm


def grad_norm(gradients: Iterable[Tensor | None]) -> Tensor:
    """The joint Euclidean norm of all gradients, summed in float64: a float64 tensor of no axes."""
    squares = [SquaredSum()(g) for g in gradients if g is not None]
    total = squares[0] if squares else Tensor(np.zeros((), np.float64))
    for square in squares[1:]:
        total = total + square
    return sqrt(total)


class SquaredSum(Op):
    """The sum of squares of all elements in float64; not differentiable."""

    name, differentiable = "squared_sum", False

    def forward(self, x: np.ndarray) -> np.ndarray:
        wide = x.astype(np.float64)
        return namespace(x).asarray((wide * wide).sum())


def clip_grad_value_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value]."""
    for p in parameters:
        if p.grad is not None:
            p.grad = clip(p.grad, -clip_value, clip_value)


def clip_weights_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Limit every weight to [-clip_value, clip_value], in place: WGAN's constraint, applied after the step (Arjovsky et
    al. 2017)."""
    if not clip_value > 0:
        raise ValueError(f"clip_weights_: the bound must be positive, got {clip_value}")
    by_dtype: dict[np.dtype, list[Tensor]] = {}
    for p in parameters:
        by_dtype.setdefault(p.dtype, []).append(p)
    for params in by_dtype.values():
        in_place(_clipping(clip_value), params)


def _clipping(bound: float) -> Callable[..., None]:
    """A kernel for `in_place`: limits all arrays by one pass over their flat list, which it keeps."""
    flat: list[Flat] = []

    def clip_all(*arrays: np.ndarray) -> None:
        if not flat:
            flat.append(kernels.optim.Flat(arrays))
        flat[0].clip(bound)

    return clip_all


class WeightAverage:
    """An exponential moving average of a module's weights: `module` is a copy that `update` moves towards the source.

    Update number t uses the factor min(decay, (1 + t) / (10 + t)), so the average forgets the first steps quickly.
    Buffers are copied.
    """

    def __init__(self, source: Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"WeightAverage: decay must be in [0, 1), got {decay}")
        self.decay, self.updates = decay, 0
        self.module = copy.deepcopy(source).requires_grad_(False)

    def update(self, source: Module) -> None:
        """Move the average one step towards the source's present weights."""
        averages, params = list(self.module.parameters()), list(source.parameters())
        in_place(partial(self._move, len(averages)), averages, params)
        for average, b in zip(self.module.buffers(), source.buffers(), strict=True):
            average.assign(b)

    def _move(self, count: int, *arrays: np.ndarray) -> None:
        self.updates += 1
        factor = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, p in zip(arrays[:count], arrays[count:], strict=True):
            average += (p - average) * p.dtype.type(1 - factor)
