"""Machine room, capture: what a step returns, taken apart into tensors and built anew at every replay."""

from __future__ import annotations

import copy
import dataclasses
import functools
from collections import deque
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence, Set
from types import CellType, FunctionType, MappingProxyType, MethodType
from typing import TypeVar

from ..autograd import Tensor
from ..nn.module import Module
from .refusal import refusal

T = TypeVar("T")


def _copied(array) -> Tensor:
    return Tensor(array.copy())


def packed(
    result, is_born: Callable[[Tensor], bool], value_of: Callable[[Tensor], T], tensor_of: Callable = _copied
) -> tuple[Callable, list[T]]:
    """(a function from the arrays of the values to what the step returns, those values). tensor_of: makes a tensor of
    an array; a copy if nothing else is said.

    Containers that can be built anew of their parts are, in their own types. CaptureError for others that hold tensors
    of the step, and for generators: they would be the recording's for ever.
    """
    if isinstance(result, Tensor):
        if not is_born(result):
            return (lambda arrays: result), []
        return (lambda arrays: tensor_of(next(arrays))), [value_of(result)]
    parts, build = _taken_apart(result)
    if build is None:
        if kind := _unbuildable(result, is_born):
            raise refusal(f"the step returns {kind}, which a replay cannot build anew; return tensors in a tuple, list,"
                          " dict, named tuple or dataclass")  # fmt: skip
        return (lambda arrays: result), []
    entries = [packed(part, is_born, value_of, tensor_of) for part in parts]
    values = [value for _, part in entries for value in part]
    return (lambda arrays: build([rebuild(arrays) for rebuild, _ in entries])), values


def walk(result) -> Iterator[tuple[object, bool]]:
    """(each container in a result and each part of it, whether it is no container)."""
    parts, build = ([], None) if isinstance(result, Tensor) else _taken_apart(result)
    yield result, build is None
    for part in parts:
        yield from walk(part)


def _taken_apart(result) -> tuple[list, Callable | None]:
    """(the parts of a container, a function that builds another of them); ([], None) for what is none."""
    kind = type(result)
    if kind in (tuple, list):
        return list(result), kind
    if isinstance(result, tuple) and hasattr(kind, "_make"):
        return list(result), kind._make
    if isinstance(result, dict):  # OrderedDict and defaultdict too: a copy keeps what belongs to the type
        keys, empty = list(result), copy.copy(result)
        for key in keys:
            empty[key] = None
        return list(result.values()), lambda parts: _filled(copy.copy(empty), keys, parts)
    if isinstance(result, MappingProxyType):
        keys = list(result)
        return list(result.values()), lambda parts: MappingProxyType(dict(zip(keys, parts, strict=True)))
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        names = [field.name for field in dataclasses.fields(result)]
        if set(getattr(result, "__dict__", names)) <= set(names):
            empty = copy.copy(result)
            for name in names:
                object.__setattr__(empty, name, None)
            return [getattr(result, name) for name in names], lambda parts: _with_fields(copy.copy(empty), names, parts)
    return [], None


def _filled(table: dict, keys: list, parts: list) -> dict:
    for key, part in zip(keys, parts, strict=True):
        table[key] = part
    return table


def _with_fields(record, names: list[str], parts: list):
    for name, part in zip(names, parts, strict=True):
        object.__setattr__(record, name, part)
    return record


def _unbuildable(result, is_born: Callable[[Tensor], bool], depth: int = 4) -> str:
    """What a result is called that cannot be built anew, "" for what need not be: a number, a module, settings."""
    kind = f"a {type(result).__name__}"
    if isinstance(result, (Iterator, Coroutine)):
        return kind
    if isinstance(result, Module) or depth == 0:
        return ""
    if isinstance(result, Tensor):
        return kind if is_born(result) else ""
    parts = list(vars(result).values()) if hasattr(result, "__dict__") and not isinstance(result, type) else []
    for base in type(result).__mro__:
        slots = vars(base).get("__slots__", ())
        parts += [
            getattr(result, name) for name in ((slots,) if isinstance(slots, str) else slots) if hasattr(result, name)
        ]
    if isinstance(result, Mapping):
        parts += list(result.values())
    elif isinstance(result, (Sequence, Set, deque)) and not isinstance(result, (str, bytes, range)):
        parts += list(result)
    elif isinstance(result, FunctionType):
        parts += [c.cell_contents for c in result.__closure__ or () if c != CellType()] + list(
            result.__defaults__ or ()
        )
    elif isinstance(result, MethodType):
        parts.append(result.__self__)
    elif isinstance(result, functools.partial):
        parts += [*result.args, *result.keywords.values()]
    return kind + " with tensors in it" if any(_unbuildable(part, is_born, depth - 1) for part in parts) else ""
