"""Machine room, engine: activations computed again in the backward pass instead of kept (Chen et al. 2016).

    h = minigan.recompute(block, x)         # block(x): same value, same gradients, less memory, one more forward pass

The whole call is one node of the graph. It keeps the inputs, and the tensors of before that the function reached by
itself (a module's weights); its vjp runs the function again, on the random numbers and buffers of the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import _modes
from ._array import lend
from ._modes import changes
from .autograd import Op, Tensor, array_of, enable_grad, grad, is_grad_enabled
from .autograd import _numbers as numbers
from .backend import default_generator

Changes = dict[int, tuple[Tensor, np.ndarray]]
"""By identity: a tensor that was changed in place, and its array before."""


class Recompute(Op):
    """ys = function(xs)
    dL/dxs = the gradient of function, run again"""

    name = "recompute"

    def __init__(self, function: Callable, args: tuple, count: int, random: dict, before: Changes) -> None:
        self.function, self.args, self.count, self.random, self.before = function, args, count, random, before

    def called(self, tensors: Sequence[Tensor]) -> Any:
        """function(*args), its tensors those."""
        place = iter(tensors)
        return self.function(*(next(place) if isinstance(a, Tensor) else a for a in self.args))

    def vjp(self, node, need, *cotangents):
        onward, inputs, reached = is_grad_enabled(), node.inputs[: self.count], node.inputs[self.count :]
        with enable_grad(), _as_before(self.random, self.before):
            ends = [(x._alias() if onward else x.detach().requires_grad_()) if x.requires_grad else x for x in inputs]
            outputs = _outputs(self.called(ends))
        targets = [t for t, n in zip((*ends, *reached), need, strict=True) if n]
        seeds = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if g is not None and y.requires_grad]
        with _at_rest(reached):
            slopes = grad([y for y, _ in seeds], targets, [g for _, g in seeds], create_graph=onward, allow_unused=True)
        entries = iter(slopes)
        return tuple(next(entries) if n else None for n in need)


def recompute(function: Callable, *args: Any) -> Any:
    """function(*args), whose inner activations are not kept for the backward pass but computed again in it.

    function: a module or any function of Tensors (and of other things) that returns a Tensor or a tuple of them, and
    does the same when it is called again: random numbers of the default generator are drawn anew as they were, and
    tensors it changes in place (running statistics) are changed once. While a step is captured it is called as it is:
    a plan lays out its own memory. TypeError for what is no function, and for results that are no Tensors.
    """
    if not callable(function):
        raise TypeError(f"recompute: expected a function of Tensors, not {type(function).__name__}")
    if not is_grad_enabled() or _modes.current_recorder() is not None:
        return function(*args)
    random, before, start = default_generator.state_dict(), Changes(), next(numbers)
    inputs = tuple(a for a in args if isinstance(a, Tensor))
    op = Recompute(function, args, len(inputs), random, before)
    ends = [x.detach().requires_grad_() if x.requires_grad else x for x in inputs]
    token = changes.set(before)
    try:
        answer = op.called(ends)
    finally:
        changes.reset(token)
    if (outer := changes.get()) is not None:  # this call is inside another's function
        for key, note in before.items():
            outer.setdefault(key, note)
    outputs = _outputs(answer)
    reached = _reached(outputs, ends, start)
    if not reached and not any(x.requires_grad for x in inputs):
        return answer
    arrays = tuple(map(array_of, outputs))
    tensors = op.wrap((*inputs, *reached), arrays if isinstance(answer, tuple) else arrays[0], True)
    return tensors


def _outputs(answer: Any) -> tuple[Tensor, ...]:
    outputs = answer if isinstance(answer, tuple) else (answer,)
    if not all(isinstance(y, Tensor) for y in outputs):
        raise TypeError(f"recompute: the function must return a Tensor or a tuple of them, not {type(answer).__name__}")
    return outputs


def _reached(outputs: Sequence[Tensor], ends: Sequence[Tensor], start: int) -> list[Tensor]:
    """What the outputs depend on, without `ends`: leaves that require a gradient, and what nodes older than number
    `start` computed."""
    known, reached = {id(x) for x in ends}, dict[Any, Tensor]()
    stack, nodes = list(outputs), set()
    while stack:
        x = stack.pop()
        if x.node is None:
            if x.requires_grad and id(x) not in known:
                reached[id(x)] = x
        elif x.node.number < start:
            reached[x.node, x.index] = x
        elif x.node not in nodes:
            nodes.add(x.node)
            stack.extend(x.node.inputs)
    return list(reached.values())


@contextmanager
def _at_rest(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Within it their hooks rest: these see whole gradients, once, and a call's own gradient is a part."""
    owners = list({id(owner): owner for owner in (x if x.node is None else x.node for x in tensors)}.values())
    hooks = [owner.hooks for owner in owners]
    try:
        for owner in owners:
            owner.hooks = None
        yield
    finally:
        for owner, own in zip(owners, hooks, strict=True):
            owner.hooks = own  # type: ignore[assignment]


@contextmanager
def _as_before(random: dict, before: Changes) -> Iterator[None]:
    """Within it the random numbers and the changed tensors are as they were at the first call."""
    state = default_generator.state_dict()
    now = [(t, array_of(t).copy()) for t, _ in before.values()]
    default_generator.load_state_dict(random)
    try:
        for t, array in before.values():
            lend(t, array_of(t))[...] = array
        yield
    finally:
        default_generator.load_state_dict(state)
        for t, array in now:
            lend(t, array_of(t))[...] = array
