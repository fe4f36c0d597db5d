"""How a kernel is issued: prepared first, called later, perhaps many times.

A kernel such as a convolution is a few compiled loops, one after the other, with buffers of its own between them. Its
`prepare` function looks at shapes only, asks `work` for those buffers and hands it the loops with their arguments. What
becomes of them is the work's own business: `Now` runs each at once, which is what calling a kernel does; a captured
plan (`minigan.capture`) keeps the list, places the buffers in its arena, and runs it at every replay. So whatever reads
or writes a number stands in a function given to `call`, never beside it.
"""

import os
from collections.abc import Callable, Hashable
from ctypes import addressof, c_char
from math import prod
from types import ModuleType

import numpy as np

Array = np.ndarray

LINE = 64
"""Bytes of a cache line: a vector that straddles two takes two loads."""


POISON = os.environ.get("MINIGAN_POISON") == "1"
"""Whether memory for results is filled with NaN before a kernel writes it: what it leaves out is seen, then."""


def poisons() -> bool:
    """Whether `poisoned` does anything."""
    return POISON


def poisoned(array: Array) -> Array:
    """The same array; with MINIGAN_POISON=1 in the environment, and of a float dtype, full of NaN."""
    if POISON and array.dtype.kind == "f":
        array.fill(np.nan)
    return array


def aligned(shape: int | tuple[int, ...], dtype=np.float32) -> Array:
    """An array, not initialised, that starts at a cache line."""
    dtype = np.dtype(dtype)
    count = prod(shape) if isinstance(shape, (tuple, list)) else int(shape)
    memory = np.empty(count * dtype.itemsize + LINE, np.uint8)
    return poisoned(np.ndarray(shape, dtype, memory, -address(memory) % LINE))


def address(x: Array) -> int:
    """Where the first element of an array lies, as x.ctypes.data says, in a fifth of its time for most arrays."""
    flags = x.flags
    if flags.forc and flags.writeable and x.nbytes:
        return addressof(c_char.from_buffer(x if flags.c_contiguous else x.T))
    return x.ctypes.data


packages: dict[type, ModuleType] = {}
"""The type of a device's arrays -> the package with the kernels for them. Who opens a device enters it
(`minigan.backend`): a kernel of this package knows NumPy's arrays, and no device."""


def kernels_of(x: object) -> ModuleType:
    """The package to which a kernel hands over an array that is not NumPy's; it has the same families and functions.

    TypeError for what is an array of no open device.
    """
    try:
        return packages[type(x)]
    except KeyError:
        raise TypeError(f"kernels: expected an array of NumPy or of an open device, got {type(x).__name__}") from None


class Now:
    """Runs every call at once. `NOW` is the one instance: it has no state."""

    def empty(self, shape: int | tuple[int, ...], dtype=np.float32) -> Array:
        """A buffer, not initialised, that lasts until the kernel which asked for it has run."""
        return aligned(shape, dtype)

    def call(self, function: Callable, *arguments) -> None:
        """function(*arguments), now or at each replay. Arrays among the arguments stay the same objects."""
        function(*arguments)

    def derived(
        self, key: Hashable, source: Array, shape: int | tuple[int, ...], fill: Callable[[Array], None]
    ) -> Array:
        """A buffer that holds what fill(buffer) makes of `source`, float32: packed weights, for example.

        `fill` issues its loops by `call`. `key` names what is made and how; a plan makes it once for all kernels that
        ask for the same key of the same source, until the source is written to.
        """
        buffer = self.empty(shape)
        fill(buffer)
        return buffer


NOW = Now()
