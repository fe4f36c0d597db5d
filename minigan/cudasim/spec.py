"""Arguments of a kernel written on a command line: `x=zeros:1024:float32`, `n=1024`, `tile=load:tile.npy`.

    zeros:SHAPE  ones:SHAPE  arange:SHAPE  random:SHAPE     an array; SHAPE as 1024 or 8,3,32; random: normal, seed 0
    load:FILE.npy                                           an array from a file
    null                                                    a null pointer
    a number                                                a scalar

The dtype follows the kernel's signature; `:float32` and the like after a shape state it, and are held against it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from .module import Kernel, Parameter
from .source import KernelError


def _filled(how: str, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    if how == "zeros":
        return np.zeros(shape, dtype)
    if how == "ones":
        return np.ones(shape, dtype)
    if how == "arange":
        return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    return np.random.default_rng(0).standard_normal(shape).astype(dtype)


def argument(text: str, parameter: Parameter) -> Any:
    """The value that `text` names for this parameter. Raises ValueError for text that does not fit it."""
    name, dtype = parameter.name, parameter.dtype
    if not parameter.pointer:
        try:
            return dtype.type(float(text) if dtype.kind == "f" else int(text))
        except (ValueError, OverflowError) as error:
            raise ValueError(f"cudasim: {name} is a {dtype}; {text!r} is none") from error
    how, _, rest = text.partition(":")
    if how == "null":
        return None
    if how == "load":
        return _loaded(name, rest)
    if how not in ("zeros", "ones", "arange", "random") or not rest:
        raise ValueError(
            f"cudasim: {name} is a pointer; write {name}="
            "zeros:1024, ones:, arange:, random:SHAPE, load:FILE.npy or null"
        )
    shape, _, stated = rest.partition(":")
    try:
        sizes = tuple(int(n) for n in shape.split(","))
    except ValueError as error:
        raise ValueError(f"cudasim: {name}: {shape!r} is no shape; write 1024 or 8,3,32") from error
    if min(sizes) < 0:
        raise ValueError(f"cudasim: {name}: {shape!r} has a size below 0; write 1024 or 8,3,32")
    try:
        kind = np.dtype(stated) if stated else dtype or np.dtype("f4")
    except TypeError as error:
        raise ValueError(f"cudasim: {name}: {stated!r} is no dtype; write float32, float64, int32, ...") from error
    return _filled(how, sizes, kind)


def _loaded(name: str, path: str) -> np.ndarray:
    """The array in a .npy file; OSError for a file that cannot be read, ValueError for one that holds no array."""
    try:
        array = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"cudasim: {name}: {path} is no .npy file with an array of numbers") from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"cudasim: {name}: {path} holds several arrays; save the one with numpy.save, as .npy")
    return array


def arguments(kernel: Kernel, texts: Iterable[str]) -> dict[str, Any]:
    """The arguments of a kernel, by name in its order, from texts `name=value`. Raises ValueError for a name that is
    unknown, missing or given twice."""
    arguments: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or name in arguments:
            raise ValueError(f"cudasim: --arg {text!r}: write each argument once, as name=value")
        arguments[name] = value
    names = [p.name for p in kernel.parameters]
    wrong = sorted(set(names) ^ set(arguments))
    if wrong:
        raise ValueError(
            f"cudasim: {kernel.name} takes {', '.join(names) or 'no arguments'}; unknown or missing: {', '.join(wrong)}"
        )
    return {p.name: argument(arguments[p.name], p) for p in kernel.parameters}


def dimensions(text: str) -> tuple[int, ...]:
    """A grid or block: 64 or 16,16."""
    try:
        return tuple(int(n) for n in text.split(","))
    except ValueError as error:
        raise ValueError(f"cudasim: {text!r} is no grid or block; write 64 or 16,16") from error


def summary(values: Mapping[str, Any], kernel: Kernel) -> list[str]:
    """A line for each array that the kernel may have written: its first elements, sum, and how many are not finite."""
    lines = []
    for p in kernel.parameters:
        array = values[p.name]
        if p.const or not isinstance(array, np.ndarray):
            continue
        first = " ".join(f"{v:.6g}" for v in array.ravel()[:8])
        dots = " ..." if array.size > 8 else ""
        bad = "" if array.dtype.kind != "f" else f", {int((~np.isfinite(array)).sum())} not finite"
        lines.append(f"{p.name} {array.dtype} {array.shape}: {first}{dots} (sum {array.sum(dtype=float):.9g}{bad})")
    return lines


def run(
    kernel: Kernel, grid: str, block: str, texts: Iterable[str], shared_mem: int
) -> tuple[dict[str, Any], list[str]]:
    """One launch from texts: the arguments afterwards, by name, and what was found wrong, a line each."""
    values = arguments(kernel, texts)
    try:
        kernel(dimensions(grid), dimensions(block), list(values.values()), shared_mem)
    except KernelError as error:
        return values, str(error).splitlines()
    return values, []
