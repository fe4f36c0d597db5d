"""Machine room, engine: hooks, functions of the user's that see gradients, and modules at work, and may change them.

A list of hooks belongs to a leaf, to one output of a node, or to a module; a `HookHandle` takes one out of it again.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._array import ArrayHolder, TensorError, array_of
from ._errors import unfit

if TYPE_CHECKING:
    from ._typing import Hook, Tensor


class HookHandle:
    """What registers a hook returns one: calling it, `remove`, or the end of a `with` takes the hook out again.

    hooks: the list it is in, or the dict, where it stands under `key`.
    """

    def __init__(self, hooks: list | dict, key: object) -> None:
        self._hooks, self._key, self._in = hooks, key, True

    def remove(self) -> None:
        """Remove the hook; a second time does nothing, also where the same function was registered twice."""
        if not self._in or self._key not in self._hooks:
            return
        self._in = False
        if isinstance(self._hooks, dict):
            del self._hooks[self._key]
        else:
            self._hooks.remove(self._key)

    __call__ = remove

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def register_hook(self: Tensor, hook: Hook) -> HookHandle:
    """Call hook(gradient) once this tensor's whole gradient is known; what it returns, unless None, takes its place.

    Returns a handle: call it (or its `.remove()`) to remove the hook.
    """
    if not callable(hook):
        raise TypeError(f"register_hook: expected a function of the gradient, got {type(hook).__name__}")
    if not self.requires_grad:
        raise TensorError("register_hook: this tensor does not require a gradient, so its hook would never run")
    if self.node is None:
        self.hooks = hooks = self.hooks or []
    else:
        self.node.hooks = self.node.hooks or {}
        hooks = self.node.hooks.setdefault(self.index, [])
    hooks.append(hook)
    return HookHandle(hooks, hook)


def retain_grad(self: Tensor) -> None:
    """Let `backward` keep the gradient of this computed tensor in `.grad` too, as it does for leaves."""
    if self.node is not None:
        place = weakref.ref(self)  # the graph must not point back at its end

        def keep(gradient: Tensor) -> None:
            if (tensor := place()) is not None:
                before = tensor.grad
                tensor.grad = gradient.detach() if before is None else before + gradient.detach()

        register_hook(self, keep)


def apply_hooks(hooks: Sequence[Hook], g: Tensor) -> Tensor:
    """The gradient after all hooks have seen it."""
    for hook in tuple(hooks):
        answer = hook(g)
        if answer is not None:
            if not isinstance(answer, ArrayHolder) or array_of(answer).shape != array_of(g).shape:
                raise unfit("register_hook", answer, f"a tensor of shape {g.shape}", ", or None to leave it")
            g = answer._cast(g.dtype) if answer.dtype != g.dtype else answer
    return g
