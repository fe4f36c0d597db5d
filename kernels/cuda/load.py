"""Machine room, CUDA: compiling and launching the .cu files.

    launch(xp, "act", "tanh_kernel", float32, n, x, out, n)

`xp` is the array module, CuPy or its stand-in, which `modules` knows by the type of its arrays. A file is compiled once
for each dtype, by xp.RawModule (NVRTC). Arguments are checked against the C signature and rounded to its types here:
CuPy would pass a Python float as the bytes of a double, whatever the kernel takes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from minigan.kernels.work import NOW, Now

HERE = Path(__file__).resolve().parent.parent
"""Where the .cu files lie."""

THREADS, BLOCKS = 256, 4096
"""Threads of a block, and blocks enough to fill any GPU: a kernel that owns elements strides over the rest."""

modules: dict[type, ModuleType] = {}
"""The type of a device's arrays -> its array module; filled by whoever opens a device."""

C_TYPES = {
    "float": np.float32,
    "double": np.float64,
    "int": np.int32,
    "long long": np.int64,
    "unsigned int": np.uint32,
}
_SIGNATURE = re.compile(r'extern "C" __global__ void\s+(?:__launch_bounds__\(\d+\)\s*)?(\w+)\s*\(([^)]*)\)')


def module_of(x: Any) -> ModuleType:
    """The array module of a device array; TypeError for anything else."""
    try:
        return modules[type(x)]
    except KeyError:
        raise TypeError(f"kernels: expected an array of NumPy or of an open device, got {type(x).__name__}") from None


@lru_cache
def signatures(file: str) -> dict[str, tuple[tuple[str, str, bool], ...]]:
    """{kernel: ((parameter, C type, whether a pointer), ...)} of a .cu file; the C type may be "real"."""
    kernels = {}
    for match in _SIGNATURE.finditer((HERE / f"{file}.cu").read_text()):
        parameters = []
        for text in match[2].split(","):
            kind, name = re.fullmatch(r"\s*(?:const\s+)?(.*?)(\w+)\s*", text, re.S).groups()
            parameters.append((name, kind.replace("*", "").strip(), "*" in kind))
        kernels[match[1]] = tuple(parameters)
    return kernels


@lru_cache
def _compiled(xp: ModuleType, file: str, dtype: np.dtype):
    text = (HERE / f"{file}.cu").read_text()
    options = ("--std=c++17", f"-I{HERE}", "-Dreal=double" if dtype == np.float64 else "-DWIDE_LOADS")
    return xp.RawModule(code=f'#line 1 "{file}.cu"\n{text}', options=options, backend="nvrtc")


@lru_cache(maxsize=1024)
def kernel(xp: ModuleType, file: str, name: str, dtype: np.dtype) -> tuple[Callable, tuple]:
    """A compiled kernel and its parameters as (name, dtype, whether a pointer)."""
    parameters = tuple((n, np.dtype(C_TYPES.get(t, dtype)), p) for n, t, p in signatures(file)[name])
    return _compiled(xp, file, dtype).get_function(name), parameters


def _argument(name: str, value: Any, parameter: tuple[str, np.dtype, bool]) -> Any:
    what, dtype, pointer = parameter
    if not pointer:
        rounded = dtype.type(value)
        if dtype.kind in "iu" and rounded != value:
            raise ValueError(f"{name}: {what} = {value} is beyond {dtype}")
        return rounded
    if value.dtype != dtype or not value.flags.c_contiguous:
        raise ValueError(f"{name}: {what} must be a contiguous array of {dtype}, got {value.dtype} {value.shape}")
    return value


def launch(
    xp, file: str, name: str, dtype, size: int | tuple[int, ...], *arguments, work: Now = NOW, reaches=()
) -> None:
    """Issues a kernel. size: the elements that its threads own, or its grid. Nothing is launched for an empty one.

    reaches: the arrays that the kernel comes to by addresses among its arguments.
    """
    grid = size if isinstance(size, tuple) else (min(-(-size // THREADS), BLOCKS),)
    if prod(grid) == 0:
        return
    run, parameters = kernel(xp, file, name, np.dtype(dtype))
    if len(arguments) != len(parameters):
        raise TypeError(f"{name}: {len(arguments)} arguments for {len(parameters)} parameters")
    values = tuple(_argument(name, a, p) for a, p in zip(arguments, parameters, strict=True))
    if reaches and hasattr(run, "reaching"):  # the simulator's check mode must know them
        run = run.reaching(reaches)
    work.call(run, grid, (THREADS,), values)


def empty(xp, shape: int | tuple[int, ...] | Sequence[int], dtype, work: Now = NOW):
    """A buffer that lasts until the kernel which asked for it has run."""
    return xp.empty(shape, dtype) if work is NOW else work.empty(shape, dtype)


def add_into(target, source) -> None:
    """target += source."""
    target += source
