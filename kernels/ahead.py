"""Machine room, kernels: compiling ahead, in processes of its own, what a first training run is about to need.

Numba compiles a kernel when it is first called, and one at a time. On a machine that has never run minigan a training
run would wait for all of them, one after the other. So `start` sets a second process to work on the same list from its
end: `ahead.txt`, the kernels of the default run in the order it calls them, a line each with the types of its
arguments. What one process has compiled lies in the cache folder, where the other finds it. They meet in the middle.
Where there are more cores, the second process takes every other line or every third, and others take the rest.

A line that is missing, or of no use on this machine, costs time and nothing else; tests/kernels/test_ahead.py keeps the
list whole. Vector widths are written L.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from numba import types

from minigan.kernels.fast import lanes
from minigan.kernels.load import LEFTOVER, cache_folder

LIST = Path(__file__).with_suffix(".txt")
DONE, AT_WORK = "ahead.done", "ahead.lock"
"""Files in the cache folder: nothing is left to compile ahead; a process is at it."""
MOST = 3
"""Processes that compile beside the one which runs: a kernel takes half a second, an import another half."""


def line_of(kernel, signature: tuple) -> str:
    """A kernel, as Numba's dispatcher, and the types of its arguments as a line of the list."""
    module = kernel.py_func.__module__.removeprefix("minigan.kernels.")
    family, arguments = getattr(kernel, "origin", (kernel.py_func.__name__, None))
    shape = "" if arguments is None else f"({','.join('L' if a == lanes() else str(int(a)) for a in arguments)})"
    return " ".join([f"{module}:{family}{shape}", *map(_name, signature)])


def parsed(line: str) -> tuple[object, tuple]:
    """What `line_of` wrote; ValueError, AttributeError or ImportError for a line that is none."""
    place, *names = line.split()
    module, _, family = place.partition(":")
    family, _, shape = family.rstrip(")").partition("(")
    kernel = getattr(import_module(f"minigan.kernels.{module}"), family)
    if shape:
        kernel = kernel(*(lanes() if a == "L" else int(a) for a in shape.split(",")))
    return getattr(kernel, "threaded", kernel), tuple(map(_type, names))


def _name(kind: types.Type) -> str:
    if isinstance(kind, types.Array):
        return f"{kind.dtype}[{kind.ndim}{kind.layout}{'' if kind.mutable else '!'}{'' if kind.aligned else '?'}]"
    if isinstance(kind, types.UniTuple):
        return f"{kind.count}*{_name(kind.dtype)}"
    return str(kind)


def _type(name: str) -> types.Type:
    count, star, rest = name.partition("*")
    if star:
        return types.UniTuple(_type(rest), int(count))
    dtype, bracket, rest = name.partition("[")
    if not bracket:
        return types.boolean if name == "bool" else getattr(types, name)
    return types.Array(getattr(types, dtype), int(rest[0]), rest[1], "!" in rest, aligned="?" not in rest)


def compile_all(share: int = 0, shares: int = 1) -> None:
    """Compile the list from its end, as long as the process that asked for it lives; every `shares`-th line of it only,
    the others in processes of their own."""
    parent, folder, others = os.getppid(), cache_folder(), []
    try:
        if share == 0:
            others = [_process(number, shares) for number in range(1, shares)]
        for line in LIST.read_text().splitlines()[::-1][share::shares]:
            if os.getppid() != parent:
                return
            with suppress(Exception):  # another machine's line, or a compiler's fault: who calls the kernel hears of it
                kernel, signature = parsed(line)
                kernel.compile(signature)
        failures = [other.wait() for other in others]
        if share == 0 and not any(failures):
            (folder / DONE).touch()
    finally:
        if share == 0:
            (folder / AT_WORK).unlink(missing_ok=True)


def _process(share: int, shares: int) -> subprocess.Popen:
    """A process that compiles its share."""
    code = f"from minigan.kernels.ahead import compile_all; compile_all({share}, {shares})"
    quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    return subprocess.Popen([sys.executable, "-c", code], **quiet)


def start() -> subprocess.Popen | None:
    """Begin, in a process of its own; None where there is nothing to do, where another process is at it, or nobody
    is there to do it."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        if cores < 2 or lanes() == 0 or (cache_folder() / DONE).exists():
            return None
        lock = cache_folder() / AT_WORK
        if lock.exists() and time.time() - lock.stat().st_mtime > LEFTOVER:
            lock.unlink()
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL))
        return _process(0, min(MOST, cores - 1))
    except OSError:  # the lock is another's, say
        return None


def compiled(kernels: list) -> Iterator[str]:
    """The lines of all that has been compiled, or loaded, of these kernels."""
    for kernel in kernels:
        for signature in kernel.signatures:
            yield line_of(kernel, signature)
