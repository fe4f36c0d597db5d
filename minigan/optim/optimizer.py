"""Machine room, training: what all optimisers share, as in torch.optim.Optimizer.

A step updates all parameters in place by one kernel and bumps their versions, so that a backward pass through a graph
recorded before the step refuses instead of being wrong. `step` sees the gradients in `.grad`; a parameter without one
is left alone. Parameters may lie in memory in any order; one with gaps is updated in a copy and written back.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from functools import partial
from operator import is_
from typing import TYPE_CHECKING, Any

import numpy as np

from minigan import kernels

from ..autograd import Tensor, array_of, enable_grad, in_place
from ..backend import host, namespace, on
from ..nn.module import clear_grads
from ..nn.utils import gapless

if TYPE_CHECKING:
    from minigan.kernels.optim import Flat

Params = Iterable[Tensor] | Iterable[tuple[str, Tensor]] | Iterable[dict[str, Any]]
"""Tensors, also with their names, or groups of them with settings of their own."""
State = dict[str, Any]
"""Of one parameter: arrays by name, and the number of its steps."""


class Optimizer:
    """What all optimisers share. params: tensors, or dicts {"params": tensors, setting: value} that override the
    defaults."""

    arrays: tuple[str, ...] = ()
    """The arrays of a parameter's state, in the order in which the kernel takes them."""
    required: tuple[str, ...] = ()
    """What a state that is not empty cannot be without."""

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        self.defaults, self.param_groups, self.state = defaults, [], {}  # type: ignore[var-annotated]
        self._flats: dict[Hashable, Flat] = {}
        if isinstance(params, Tensor):
            raise TypeError(f"{type(self).__name__}: params are tensors in a list, not one tensor; write [x]")
        if hasattr(params, "parameters"):
            raise TypeError(f"{type(self).__name__}: params are tensors, not a Module; write module.parameters()")
        entries: list[Any] = list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__}: got no parameters")
        for group in entries if isinstance(entries[0], Mapping) else [{"params": entries}]:
            self.add_param_group(group)

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Optimise more parameters: {"params": tensors or (name, tensor) pairs, setting: value}, with the defaults for
        the other settings. Raises ValueError, changing nothing, for what is no leaf, or is there already."""
        kind, params = type(self).__name__, param_group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        params = [p[1] if isinstance(p, tuple) and len(p) == 2 else p for p in params]
        group = {**self.defaults, **param_group, "params": params}
        for p in params:
            if not isinstance(p, Tensor) or not p.is_leaf:
                raise ValueError(f"{kind}: can only optimise leaf tensors, got {p!r}")
            if 0 in array_of(p).strides and p.numel() > 1 and not array_of(p).flags.writeable:
                raise ValueError(f"{kind}: a parameter of shape {p.shape} repeats its numbers in memory; clone() it")
        if isinstance(group["lr"], (str, bytes)) or group["lr"] is None:
            raise TypeError(f"{kind}: the learning rate must be a number, got {group['lr']!r}")
        if not group["lr"] >= 0:
            raise ValueError(f"{kind}: the learning rate must not be negative, got {group['lr']}")
        for name in ("eps", "weight_decay", "momentum", "alpha"):
            if not group.get(name, 0) >= 0:
                raise ValueError(f"{kind}: {name} must not be negative, got {group[name]}")
        everything = [id(p) for p in (*self._params(), *params)]
        if len(set(everything)) < len(everything):
            raise ValueError(f"{kind}: a parameter is given twice")
        self.param_groups.append(group)

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

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget every parameter's .grad, or fill it with zeros."""
        clear_grads(self._params(), set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a .grad. closure: called first, to compute the loss and its gradients; step
        returns what it returns."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            for p in params:
                if p.grad.shape != p.shape or p.grad.dtype != p.dtype:
                    raise ValueError(
                        f"{type(self).__name__}: .grad {p.grad.shape} {p.grad.dtype} of a parameter {p.shape} {p.dtype}"
                    )
            if params:
                in_place(partial(self._update, group, params), params, [p.grad for p in params])
        return loss

    replayed_step = step
    """The step whose settings a captured step's replay reads anew; a sub-class's own `step` is recorded with them."""

    def _update(self, group: dict[str, Any], params: Sequence[Tensor], *arrays: np.ndarray) -> None:
        """One `update` for all parameters of a kind; most often there is one kind. arrays: parameters, gradients."""
        own, grads = arrays[: len(params)], arrays[len(params) :]
        arrays = tuple(map(gapless, own))
        if group.get("maximize"):
            grads = tuple(namespace(g).asarray(-g) for g in grads)
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
            self.update(flat, [grads[i] for i in members], kind, group)
        for array, block in zip(own, arrays, strict=True):
            if block is not array:
                array[...] = block

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
        """Continue from `state_dict()`, or from that of PyTorch's optimiser of the same name. Raises ValueError,
        changing nothing, if it belongs to other parameters."""
        kind, missing = type(self).__name__, {"state", "param_groups"} - set(state_dict)
        if missing:
            raise ValueError(f"{kind}: no {' and no '.join(sorted(missing))} in what state_dict() gives")
        groups = state_dict["param_groups"]
        if [len(g["params"]) for g in groups] != [len(g["params"]) for g in self.param_groups]:
            raise ValueError(f"{kind}: the saved parameter groups have other sizes")
        params, state = self._params(), {}
        for i, entry in state_dict["state"].items():
            if not 0 <= int(i) < len(params):
                raise ValueError(f"{kind}: a saved state of parameter {i}, there are {len(params)}")
            p = params[int(i)]
            entry = {name: _of_torch(name, value) for name, value in entry.items() if value is not None}
            if entry and (absent := [name for name in self.required if name not in entry]):
                raise ValueError(
                    f"{kind}: the saved state of parameter {i} has no {', '.join(absent)}: {sorted(entry)}"
                )
            for name, value in entry.items():
                if isinstance(value, np.ndarray) and name not in self.arrays:
                    raise ValueError(f"{kind}: the saved state of parameter {i} has {name}, which is not {kind}'s")
                if isinstance(value, np.ndarray) and value.shape != p.shape:
                    raise ValueError(f"{kind}: saved {name} {value.shape} does not fit parameter {i} {p.shape}")
            state[id(p)] = {k: _laid_out(v, p) if isinstance(v, np.ndarray) else v for k, v in entry.items()}
        self.state = state
        for group, settings in zip(self.param_groups, groups, strict=True):
            group.update({k: v for k, v in settings.items() if k != "params"})


def _of_torch(name: str, value: Any) -> Any:
    """A tensor of PyTorch's, or a number of NumPy's, as an array, its step as a number; all else as it is."""
    if name == "step" and hasattr(value, "__array__"):
        return int(np.asarray(value))
    return np.asarray(value) if type(value).__module__.startswith(("torch", "numpy")) else value


def zeros_like(p: np.ndarray) -> np.ndarray:
    """Zeros that lie in memory as p does."""
    return namespace(p).zeros_like(p)


def _laid_out(value: np.ndarray, p: Tensor) -> np.ndarray:
    """A saved array, where and as p lies, and in its dtype."""
    array = namespace(array_of(p)).empty_like(gapless(array_of(p)))
    array[...] = on(array_of(p), value)
    return array
