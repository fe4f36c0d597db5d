"""Machine room, layers: a module's call with other tensors in place of its parameters, as in torch.func."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..autograd import Tensor
from .module import Module


@contextmanager
def substituted(module: Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Within it, the named parameters and buffers of the module are the given tensors. A tensor that lies in several
    places, as a shared weight does, is replaced in all of them, under whichever name it is given.

    Raises KeyError for a name it does not have, ValueError for different tensors in the place of one.
    """
    keys: dict[str, object] = {}
    places: dict[object, list[tuple[dict[str, Any], str]]] = defaultdict(list)
    for name, table, own in module._places():
        keys[name] = name if table[own] is None else id(table[own])
        places[keys[name]].append((table, own))
    unknown = tensors.keys() - keys.keys()
    if unknown:
        raise KeyError(f"{type(module).__name__} has no parameter or buffer {sorted(unknown)}")
    wanted: dict[object, str] = {}
    for name, tensor in tensors.items():
        first = wanted.setdefault(keys[name], name)
        if tensors[first] is not tensor:
            raise ValueError(f"{type(module).__name__}: {first} and {name} are one tensor, and two were given for it")
    originals = [(table, own, table[own]) for key in wanted for table, own in places[key]]
    try:
        for key, name in wanted.items():
            for table, own in places[key]:
                table[own] = tensors[name]
        yield
    finally:
        for table, own, tensor in originals:
            table[own] = tensor


def functional_call(
    module: Module, parameters: Mapping[str, Tensor], args: tuple | Tensor = (), kwargs: Mapping[str, Any] | None = None
) -> Any:
    """module(*args, **kwargs) with the named parameters and buffers replaced by the given tensors for this one call.

    The tensors may carry a graph, so a gradient can flow through an optimiser step. A shared weight is replaced
    wherever it lies. Raises KeyError for a name that the module does not have, ValueError for two tensors in the place
    of a shared one.
    """
    with substituted(module, parameters):
        return module(*(args if isinstance(args, tuple) else (args,)), **(kwargs or {}))
