"""Machine room, layers: hooks on modules. What enters and leaves a module, forward and backward, is shown to functions.

    hook(module, args)                         before forward; may return other arguments
    hook(module, args, output)                 after it; may return another output
    hook(module, grad_input, grad_output)      in the backward pass; may return another grad_input

For the last, the tensors that enter and leave pass through a `Gate` each, the identity, whose vjp sees all gradients
together. It returns them as it was given them, in Tensors, so a hook's answer may be differentiated again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .._hooks import HookHandle
from ..autograd import Node, Op, Tensor, is_grad_enabled

Table = dict[int, tuple[Callable, bool]]
"""Number of registration -> (hook, whether it takes keyword arguments), in the order in which they are called."""

_numbers = itertools.count()


def register(table: Table, hook: Callable, prepend: bool, with_kwargs: bool) -> HookHandle:
    """Enter a hook, first if `prepend`."""
    number = next(_numbers)
    before = dict(table)
    if prepend:
        table.clear()
    table[number] = hook, with_kwargs
    if prepend:
        table.update(before)
    return HookHandle(table, number)


def before_forward(module: Any, table: Table, args: tuple, kwargs: dict[str, Any]) -> tuple[tuple, dict[str, Any]]:
    """(args, kwargs) after the hooks have seen them."""
    for hook, with_kwargs in tuple(table.values()):
        if with_kwargs:
            if (answer := hook(module, args, kwargs)) is not None:
                args, kwargs = answer
        elif (answer := hook(module, args)) is not None:
            args = answer if isinstance(answer, tuple) else (answer,)
    return args, kwargs


def after_forward(module: Any, table: Table, args: tuple, kwargs: dict[str, Any], output: Any) -> Any:
    """The output after the hooks have seen it."""
    for hook, with_kwargs in tuple(table.values()):
        answer = hook(module, args, kwargs, output) if with_kwargs else hook(module, args, output)
        output = output if answer is None else answer
    return output


class Gate(Op):
    """ys = xs
    dL/dxs = see(gs)"""

    name, saves_input = "module_hook", False

    def __init__(self, see: Callable[[tuple], tuple]) -> None:
        self.see = see

    def forward(self, *xs: np.ndarray) -> tuple[np.ndarray, ...]:
        return tuple(x[...] for x in xs)

    def vjp(self, node: Node, need: Sequence[bool], *gs: Tensor | None) -> tuple[Tensor | None, ...]:
        return self.see(gs)

    def wrap(self, inputs: tuple[Tensor, ...], outputs: Any, tracked: bool) -> Any:
        tensors: Any = super().wrap(inputs, outputs, tracked)
        for x, y in zip(inputs, tensors, strict=True):
            y.version = x.version  # they share their memory
        return tensors


def _through(see: Callable[[tuple], tuple], values: tuple) -> tuple:
    """`values`, their tensors through one Gate; `see` gets and returns an entry for each value, None where
    there is no gradient."""
    places = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]

    def seen(gradients: tuple) -> tuple:
        entries = dict(zip(places, gradients, strict=True))
        answer = see(tuple(entries.get(i) for i in range(len(values))))
        return tuple(answer[i] for i in places)

    tensors = dict(zip(places, Gate(seen)(*(values[i] for i in places)), strict=True)) if places else {}
    return tuple(tensors.get(i, v) for i, v in enumerate(values))


class BackwardPass:
    """One call of a module whose backward hooks wait for its gradients."""

    def __init__(self, module: Any, table: Table, args: tuple) -> None:
        self.module, self.table, self.grad_output = module, table, ()
        self.tracked = any(isinstance(x, Tensor) and x.requires_grad for x in args)

    def enter(self, args: tuple) -> tuple:
        """The arguments of forward."""
        return _through(self._inputs_reached, args) if self.tracked and is_grad_enabled() else args

    def leave(self, output: Any) -> Any:
        """Its output: a tensor, or tensors in a tuple or list."""
        values = tuple(output) if isinstance(output, (tuple, list)) else (output,)
        if not is_grad_enabled() or not any(isinstance(v, Tensor) and v.requires_grad for v in values):
            return output
        values = _through(self._outputs_reached, values)
        if isinstance(output, (tuple, list)):
            return type(output)._make(values) if hasattr(output, "_make") else type(output)(values)
        return values[0]

    def _outputs_reached(self, gradients: tuple) -> tuple:
        self.grad_output = gradients
        if not self.tracked:
            self._inputs_reached((None,))
        return gradients

    def _inputs_reached(self, gradients: tuple) -> tuple:
        for hook, _ in tuple(self.table.values()):
            answer = hook(self.module, gradients, self.grad_output)
            if answer is not None:
                answer = answer if isinstance(answer, tuple) else (answer,)
                if len(answer) != len(gradients):
                    raise ValueError(
                        f"register_full_backward_hook: a hook of {type(self.module).__name__} returned {len(answer)}"
                        f" gradients for {len(gradients)} arguments"
                    )
                gradients = answer
        return gradients
