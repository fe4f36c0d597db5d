"""Machine room, ops: the other names that arguments go by. `axis=` is `dim=`, `keepdims=` is `keepdim=`, in every op.

PyTorch's are in the signatures; NumPy's, and PyTorch's older ones, are accepted beside them, by name only.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, wraps

SPELLINGS = {
    "dim": ("axis",),
    "dims": ("axis", "axes", "dim"),
    "dim0": ("axis0",),
    "dim1": ("axis1",),
    "keepdim": ("keepdims",),
    "correction": ("ddof", "unbiased"),
}
"""Name of an argument -> other names it goes by."""


@cache
def spelled(function: Callable) -> Callable:
    """`function`, taking its arguments also by their names in SPELLINGS; itself where it has none of them.

    Two names of one argument in one call are a TypeError.
    """
    if not inspect.isfunction(function) or hasattr(function, "spellings"):
        return function
    signature = inspect.signature(function)
    own = signature.parameters
    spellings = {
        other: name
        for name, others in SPELLINGS.items()
        if name in own and own[name].kind is not inspect.Parameter.VAR_POSITIONAL
        for other in others
        if other not in own
    }
    if not spellings:
        return function

    @wraps(function)
    def call(*args, **kwargs):
        if kwargs:
            for other in spellings.keys() & kwargs.keys():
                name = spellings[other]
                if name in kwargs:
                    raise TypeError(f"{function.__name__}: {name} and {other} are two names of one argument")
                kwargs[name] = kwargs.pop(other)
        return function(*args, **kwargs)

    extra = [
        own[name].replace(
            name=other,
            kind=inspect.Parameter.KEYWORD_ONLY,
            default=... if own[name].default is inspect.Parameter.empty else own[name].default,
        )
        for other, name in spellings.items()
    ]
    call.spellings = spellings  # type: ignore[attr-defined]
    call.__signature__ = signature.replace(parameters=[*own.values(), *extra])  # type: ignore[attr-defined]
    return call
