"""What check mode needs on the Python side: the arguments' memory with guards around it, and findings with their lines.

Arrays that were allocated one after the other are neighbours, so that an access past one's end would land in the
next. For a checked launch each argument's memory is therefore copied between two guards, and copied back afterwards.
Arguments that overlap keep doing so: they are copied as one.

Where g++ cannot tell that every local variable is set before it is read, the launch is run a second time, by a twin of
the library in which such variables hold other bits. What the two leave in memory differs only if something that was not
set reached it.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

from .assembly import Local
from .parameter import Parameter

GUARD = 1 << 16
"""Bytes before and after an argument's memory; an access that goes further wrong is also found, as no argument's."""

ALIGN = 512
"""The copy stands at the same address modulo this, so that a misaligned array stays one."""


class _Region(ctypes.Structure):
    _fields_ = (
        ("low", ctypes.c_void_p),
        ("high", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("writable", ctypes.c_int),
        ("area", ctypes.c_int),
    )


class _Area(ctypes.Structure):
    _fields_ = (
        ("low", ctypes.c_void_p),
        ("high", ctypes.c_void_p),
        ("item", ctypes.c_size_t),
        ("cells", ctypes.c_void_p),
    )


def _span(arg: Any) -> tuple[int, int]:
    """The first address of an argument's memory and the one after its last."""
    if isinstance(arg, np.ndarray):
        return byte_bounds(arg) if arg.size else (arg.__array_interface__["data"][0],) * 2
    return arg.address, arg.address + arg.nbytes


class _Variable(ctypes.Structure):
    _fields_ = (
        ("low", ctypes.c_void_p),
        ("bytes", ctypes.c_size_t),
        ("name", ctypes.c_char_p),
        ("writable", ctypes.c_long),
    )


class Span(NamedTuple):
    """Memory that a kernel may write: which arguments' or variable's, where it lies, of what."""

    name: str
    low: int
    bytes: int
    dtype: np.dtype

    def read(self) -> bytes:
        return ctypes.string_at(self.low, self.bytes)

    def write(self, content: bytes) -> None:
        ctypes.memmove(self.low, content, self.bytes)


class Guarded:
    """The arguments of one checked launch: `values` are to be passed in place of theirs. spans: what of it a kernel may
    write, the memory that it reaches by addresses included."""

    def __init__(
        self, parameters: Sequence[Parameter], args: Sequence[Any], values: Sequence, reaches: Sequence[Any]
    ) -> None:
        rows = [
            (*_span(arg), p.name, not p.const, arg.dtype, i)
            for i, (arg, p) in enumerate(zip(args, parameters, strict=True))
            if p.pointer and arg is not None
        ]
        fixed = [(*_span(a), "memory reached by an address", True, a.dtype, -1) for a in reaches]
        self.values, self.spans, self._copies = list(values), list[Span](), []
        areas, regions = [], []
        for group in _overlapping(rows + fixed):
            low, high = min(r[0] for r in group), max(r[1] for r in group)
            shift = 0
            if all(r[5] >= 0 for r in group):
                memory = np.empty(high - low + 2 * GUARD + ALIGN, np.uint8)
                start = memory.ctypes.data + GUARD
                shift = start + (low - start) % ALIGN - low
                ctypes.memmove(low + shift, low, high - low)
                self._copies.append((low, low + shift, high - low, any(r[3] for r in group), memory))
            if any(r[3] for r in group):
                names = ", ".join(dict.fromkeys(r[2] for r in group))
                self.spans.append(Span(names, low + shift, high - low, group[0][4]))
            item = min(r[4].itemsize for r in group)
            areas.append(_Area(low + shift, high + shift, item if item <= 8 else 4, None))
            for first, last, name, writable, _, i in group:
                regions.append(_Region(first + shift, last + shift, name.encode(), writable, len(areas) - 1))
                if i >= 0:
                    self.values[i] += shift
        self._regions = (_Region * len(regions))(*regions)
        self._areas = (_Area * len(areas))(*areas)

    @contextmanager
    def registration(self, library: ctypes.CDLL) -> Iterator[None]:
        """The library knows this memory while the context lasts."""
        library.cudasim_memory(self._regions, len(self._regions), self._areas, len(self._areas))
        try:
            yield
        finally:
            library.cudasim_forget()

    def copy_back(self) -> None:
        """Brings what the kernel wrote to where the arguments stand."""
        for original, copy, size, writable, _ in self._copies:
            if writable:
                ctypes.memmove(original, copy, size)


def variables(library: ctypes.CDLL) -> list[Span]:
    """The variables of the kernel's text that a kernel may write."""
    table, spans = library.cudasim_variable_table, list[Span]()
    table.restype = ctypes.POINTER(_Variable)
    rows = table()
    while (row := rows[len(spans)]).low:
        spans.append(Span(row.name.decode(), row.low, row.bytes, np.dtype(np.uint8)))
    return [span for row, span in zip(rows, spans, strict=False) if row.writable]


def unset_locals(library: ctypes.CDLL) -> list[Local]:
    """The local variables that may be read before they are set, as far as g++ can tell."""
    library.cudasim_unset_locals.restype = ctypes.c_char_p
    rows = (row.split("|") for row in library.cudasim_unset_locals().decode().splitlines())
    return [Local(name, file, int(line), int(column), function) for name, file, line, column, function in rows]


def difference(spans: Sequence[Span], contents: Sequence[bytes], others: Sequence[bytes]) -> str | None:
    """Where two contents of the same memory differ first: `element 3 of y`; None where they do not. NaNs are equal."""
    for span, content, other in zip(spans, contents, others, strict=True):
        if content == other:
            continue
        a, b = (np.frombuffer(c[: len(c) - len(c) % span.dtype.itemsize], span.dtype) for c in (content, other))
        differ = (a != b) & ~((a != a) & (b != b))
        if differ.any():
            return f"element {differ.argmax()} of {span.name}"
    return None


def unset_finding(locals: Sequence[Local], effect: str, where: str, kernel: str) -> str:
    """What is reported of an effect of local variables that were not set."""
    at, *others = dict.fromkeys(f"{Path(local.file).name}:{local.line}" for local in locals)
    names = " or ".join(dict.fromkeys(local.name for local in locals))
    if others:
        at, names = where, f"{names} ({', '.join([at, *others])})"
    return f"{at}: {kernel}: uninitialised: {effect} depends on local variable {names}, read before it is set"


def _overlapping(rows: list[tuple]) -> list[list[tuple]]:
    """The rows in groups whose spans overlap."""
    groups: list[list[tuple]] = []
    end = -1
    for row in sorted(rows, key=lambda r: r[:2]):
        if groups and row[0] < end:
            groups[-1].append(row)
        else:
            groups.append([row])
        end = max(end, row[1])
    return groups


def finding(library: ctypes.CDLL, path: Path, source: str, where: str, kernel: str, i: int) -> str:
    """The i-th thing that the last launch did wrong: file, line, kernel, words. `where`: of the kernel, for what has no
    line of its own."""
    places, file, line = (ctypes.c_longlong * 2)(), ctypes.c_char_p(), ctypes.c_int()
    text = library.cudasim_report(i, places, ctypes.byref(file), ctypes.byref(line)).decode()
    if places[0]:
        at = _line_of(path, places[0], where)
    elif line.value:
        at = f"{Path(file.value.decode() if file.value else source).name}:{line.value}"
    else:
        at = where
    if places[1]:
        text += f" (the earlier access: {_line_of(path, places[1], where)})"
    return f"{at}: {kernel}: {text}"


def _line_of(library: Path, place: int, otherwise: str) -> str:
    """The source line of an address in the compiled kernel: of its innermost function that the user wrote."""
    tool = shutil.which("addr2line")
    if tool is None:
        return f"{otherwise} (no line: addr2line is not installed)"
    command = [tool, "-i", "-e", str(library), hex(place - 1)]
    for row in subprocess.run(command, capture_output=True, text=True).stdout.splitlines():
        file, _, line = row.split(" ")[0].rpartition(":")
        if file not in ("", "??") and not file.endswith((".h", "module.cpp")):
            return f"{Path(file).name}:{line}"
    return otherwise
