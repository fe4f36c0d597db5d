"""Module and Kernel: the simulator's surface, shaped like cupy.RawModule and cupy.RawKernel.

    module = Module(Path("saxpy.cu"))
    saxpy = module.get_function("saxpy")
    saxpy((4,), (256,), (x, y, np.float32(2), np.int32(x.size)))

Arguments are what a GPU's would be, and are checked against the C signature: for `T*` a NumPy array of that dtype (its
first element's address is passed, whatever its strides), a Pointer, or None for a null pointer; for a scalar a NumPy
scalar of exactly that dtype. A Python number is refused: CuPy would pass its 8 bytes unchecked.
"""

from __future__ import annotations

import ctypes
import os
import struct
import threading
from collections.abc import Iterable, Sequence
from functools import cached_property
from operator import index
from pathlib import Path
from typing import Any

import numpy as np

from . import build, checked
from .assembly import Local
from .parameter import Parameter
from .source import KernelError

ORDERS = {"forward": 0, "reverse": 1, "random": 2}

_locks: dict[str, threading.Lock] = {}
"""One for each library: modules of the same text share one, and its memory, so their launches take turns."""


class Module:
    """The kernels of one CUDA C source, compiled by g++.

    source    CUDA C text, or the Path of a file, whose folder is searched for what it includes
    options   -Dname, -Dname=value, -Ifolder; others that CuPy takes (--std=c++17, --use_fast_math...) are refused
    check     check mode: every load and store is checked, see minigan.cudasim
    order     of threads and blocks: "forward", "reverse" or "random"
    seed      of the random order, which goes on from launch to launch

    Raises KernelError for a source that cannot be run, with its line.
    """

    def __init__(
        self,
        source: str | Path,
        options: Iterable[str] = (),
        check: bool = False,
        order: str = "forward",
        seed: int = 0,
    ) -> None:
        if order not in ORDERS:
            raise ValueError(f"cudasim: order {order!r} is none of {', '.join(ORDERS)}")
        folders = []
        if isinstance(source, Path):
            text, self.name = build.text_of.read(source), source.name
            folders.append(source.resolve().parent)
        else:
            text, self.name = source, "kernel.cu"
        defines = []
        for option in options:
            if option.startswith("-I"):
                folders.append(Path(option[2:]).resolve())
            elif option.startswith("-D"):
                defines.append(option)
            elif option not in ("--std=c++17", "-std=c++17"):
                raise ValueError(f"cudasim: option {option!r} is none of -Dname=value, -Ifolder, --std=c++17")
        check = check or os.environ.get("MINIGAN_CUDASIM") == "check"
        self.check, self.order, self.seed = check, order, seed
        self._parts = text, self.name, folders, tuple(defines), check
        self.library = build.build(*self._parts)
        self._c = build.load(self.library)
        self._c.cudasim_kernels.restype = self._c.cudasim_report.restype = ctypes.c_char_p
        self._lock = _locks.setdefault(str(self.library), threading.Lock())
        rows = [row.split("|") for row in self._c.cudasim_kernels().decode().splitlines()]
        self.kernels = {
            name: Kernel(self, name, f"{Path(file).name}:{line}", names.split(",") if names else [], i)
            for i, (name, line, file, names) in enumerate(rows)
        }

    @cached_property
    def unset_locals(self) -> list[Local]:
        """The local variables that may be read before they are set; none are looked for without `check`."""
        return checked.unset_locals(self._c) if self.check else []

    @cached_property
    def _twin(self) -> ctypes.CDLL:
        """The library in which those hold other bits."""
        try:
            return build.load(build.build(*self._parts, self.unset_locals))
        except KernelError:  # one of them is declared where no statement can stand
            return build.load(build.build(*self._parts, []))

    def get_function(self, name: str) -> Kernel:
        """The kernel of that name; KernelError, with the names there are, if there is none."""
        try:
            return self.kernels[name]
        except KeyError:
            raise KernelError(f"{self.name} has no kernel {name!r}; it has {', '.join(self.kernels)}") from None


class Kernel:
    """One kernel: called with a grid, a block, arguments and the bytes of dynamic shared memory.

    parameters     the C signature, a Parameter each
    max_threads    the most threads a block may have (__launch_bounds__)
    """

    def __init__(self, module: Module, name: str, where: str, names: list[str], number: int) -> None:
        self.module, self.name, self.where = module, name, where
        self.max_threads: int = module._c.cudasim_bound(number)
        signature = getattr(module._c, f"cudasim_signature_{name}")
        signature.restype = ctypes.c_char_p
        codes = signature().decode().split()
        for parameter, code in zip(names, codes, strict=True):
            if code[1] == "x" or (code[1] == "V" and code[0] == "v"):
                raise KernelError(
                    f"{where}: {name}: parameter {parameter} is neither a number nor a pointer to numbers"
                )
        self.parameters = tuple(
            Parameter(n, None if c[1] == "V" else np.dtype(c[1:]), c[0] != "v", c[0] == "c")
            for n, c in zip(names, codes, strict=True)
        )
        self._struct = struct.Struct("".join("P" if p.pointer else p.dtype.char for p in self.parameters))
        self._packed = ctypes.create_string_buffer(max(8, self._struct.size))
        self._dims = (ctypes.c_uint * 6)()

    def __repr__(self) -> str:
        return f"<kernel {self.name} of {self.where}>"

    def __call__(
        self,
        grid: Sequence[int],
        block: Sequence[int],
        args: Sequence[Any],
        shared_mem: int = 0,
        reaches: Sequence[Any] = (),
    ) -> None:
        """Runs the kernel to its end. `reaches`: arrays that it comes to by addresses stored in its arguments, which
        check mode must know of.

        Raises TypeError for arguments that do not fit the signature, ValueError for a grid, block or shared memory that
        no GPU takes, KernelError for what the kernel does wrong.
        """
        dims, shared_mem = self._shape(grid, block, shared_mem)
        values = self._values(args)
        module = self.module
        with module._lock:
            module.seed += 1
            if module.check:
                guarded = checked.Guarded(self.parameters, args, values, reaches)
                findings = self._run_checked(guarded, dims, shared_mem)
                guarded.copy_back()
            else:
                findings = self._run(module._c, values, dims, shared_mem)
        if findings:
            raise KernelError("\n".join(findings))

    def _run(self, library: ctypes.CDLL, values: Sequence, dims: tuple[int, ...], shared_mem: int) -> list[str]:
        """One launch in one library; what it found wrong."""
        launch, module = getattr(library, f"cudasim_launch_{self.name}"), self.module
        launch.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_ulonglong]
        self._struct.pack_into(self._packed, 0, *values)
        self._dims[:] = dims
        wrong = launch(self._packed, self._dims, shared_mem, ORDERS[module.order], module.seed)
        return [
            checked.finding(library, Path(library._name), module.name, self.where, self.name, i) for i in range(wrong)
        ]

    def _run_checked(self, guarded: checked.Guarded, dims: tuple[int, ...], shared_mem: int) -> list[str]:
        """A launch in which all is checked, and, where it may read locals that are not set, the twin's beside it."""
        module = self.module
        locals = [
            local
            for local in module.unset_locals
            if local.function == self.name or local.function not in module.kernels
        ]
        spans, theirs = [*guarded.spans], [*guarded.spans]
        if locals:
            spans, theirs = spans + checked.variables(module._c), theirs + checked.variables(module._twin)
        before = [span.read() for span in spans] if locals else []
        with guarded.registration(module._c):
            findings = self._run(module._c, guarded.values, dims, shared_mem)
        if findings or not locals:
            return findings
        after = [span.read() for span in spans]
        for span, content in zip(theirs, before, strict=True):
            span.write(content)
        with guarded.registration(module._twin):
            others = self._run(module._twin, guarded.values, dims, shared_mem)
        effect = "what it does wrong" if others else checked.difference(spans, after, [span.read() for span in theirs])
        for span, content in zip(guarded.spans, after, strict=False):
            span.write(content)
        return [checked.unset_finding(locals, effect, self.where, self.name), *others] if effect else []

    def _shape(self, grid: Sequence[int], block: Sequence[int], shared_mem: int) -> tuple[tuple[int, ...], int]:
        """The six sizes and the bytes of shared memory, as whole numbers that a GPU takes."""
        try:
            grid, block = (tuple(index(n) for n in sizes) for sizes in (grid, block))
            shared_mem = index(shared_mem)
        except TypeError as error:
            raise TypeError(
                f"{self.name}: grid {grid!r} and block {block!r} are tuples of one to three whole numbers, shared_mem "
                f"({shared_mem!r}) is one"
            ) from error
        dims = (*grid, 1, 1)[:3] + (*block, 1, 1)[:3]
        if not (1 <= len(grid) <= 3 and 1 <= len(block) <= 3) or min(dims) < 1:
            raise ValueError(f"{self.name}: grid {grid} and block {block} are one to three numbers from 1 on")
        threads = dims[3] * dims[4] * dims[5]
        if threads > self.max_threads or dims[5] > 64:
            raise ValueError(f"{self.name}: block {block} has {threads} threads; at most {self.max_threads}")
        if dims[0] > 2**31 - 1 or max(dims[1:3]) > 65535:
            raise ValueError(f"{self.name}: grid {grid} is over the limit (2147483647, 65535, 65535)")
        if not 0 <= shared_mem <= 48 * 1024:
            raise ValueError(f"{self.name}: {shared_mem} bytes of dynamic shared memory; from 0 to 49152")
        return dims, shared_mem

    def _values(self, args: Sequence[Any]) -> list:
        """The arguments as numbers to pack."""
        if len(args) != len(self.parameters):
            raise TypeError(
                f"{self.name}: {len(args)} arguments for {len(self.parameters)} parameters "
                f"({', '.join(p.name for p in self.parameters)})"
            )
        values = []
        for arg, p in zip(args, self.parameters, strict=True):
            if not p.pointer:
                if not isinstance(arg, np.generic) or arg.dtype != p.dtype:
                    raise TypeError(
                        f"{self.name}: {p.name} is a {p.dtype}: pass numpy.{p.dtype}(...), not {_described(arg)}"
                    )
                values.append(arg)
                continue
            if arg is None:
                values.append(0)
                continue
            if isinstance(arg, np.ndarray):
                address, writable = arg.__array_interface__["data"][0], arg.flags.writeable
            elif hasattr(arg, "address"):
                address, writable = arg.address, arg.writable
            else:
                raise TypeError(f"{self.name}: {p.name} is a pointer: pass an array, not {_described(arg)}")
            if p.dtype is not None and arg.dtype != p.dtype:
                raise TypeError(f"{self.name}: {p.name} points to {p.dtype}, the array is {arg.dtype}")
            if not (writable or p.const):
                raise TypeError(f"{self.name}: {p.name} is not const, and the array is read-only")
            values.append(address)
        return values


def _described(arg: Any) -> str:
    dtype = getattr(arg, "dtype", None)
    return f"{type(arg).__name__} of {dtype}" if dtype is not None else f"{type(arg).__name__} {arg!r:.40}"
