"""Machine room, capture: what a recorded step must not do, and the error that names its line.

A record holds what a step computes, not what its Python code decides on the way. So while a step is recorded, a
tensor's `.data` is a `ShapeOnly`, which refuses to give a number, and an array of the caller's may not become a tensor.
"""

from __future__ import annotations

import functools
import linecache
import sys
from pathlib import Path

import numpy as np

from minigan import kernels

PACKAGE = Path(__file__).parents[1]
FOLDERS = (PACKAGE, Path(kernels.__file__).parent)
"""Where minigan's own code lies; in an installed copy the kernels are inside the package."""
EXAMPLES = PACKAGE / "examples"
"""In an installed copy, the examples: a user's code as far as a record is concerned."""
NUMPY = Path(np.__file__).parent
CUPY = ("cupy", "cupyx")


class CaptureError(RuntimeError):
    """A step does something that a plan cannot repeat; the message names the line."""


@functools.lru_cache(maxsize=4096)
def is_own_code(file: str) -> bool:
    """Whether a file of code lies in minigan's folders; `minigan_demo.py` beside the package does not."""
    path = Path(file)
    return any(path.is_relative_to(folder) for folder in FOLDERS) and not path.is_relative_to(EXAMPLES)


def is_array_code(file: str) -> bool:
    """Whether a file of code is NumPy's, or CuPy's: what that remembers, compiled functions say, is no state of the
    caller's."""
    if file.startswith("<__array_function__") or Path(file).is_relative_to(NUMPY):
        return True
    cupy = getattr(sys.modules.get("cupy"), "__file__", None)
    folders = [Path(cupy).parent.parent / name for name in CUPY] if cupy else []
    return any(Path(file).is_relative_to(folder) for folder in folders)


def refusal(reason: str) -> CaptureError:
    """The error, naming the innermost line that is neither minigan's nor that of an array module."""
    frame = sys._getframe(1)
    while frame.f_back is not None and _is_inside(frame.f_code.co_filename):
        frame = frame.f_back
    file, number = frame.f_code.co_filename, frame.f_lineno
    line = linecache.getline(file, number).strip()
    return CaptureError(f"capture: {reason}, at {file}:{number}: {line}")


def _is_inside(file: str) -> bool:
    return is_own_code(file) or is_array_code(file)


def array_refusal() -> CaptureError:
    """The error for an array of the caller's that enters the record."""
    return refusal("an array becomes a tensor inside the step and would be the same at every replay; make the tensor"
                   " outside, and copy new data into it with assign")  # fmt: skip


class ShapeOnly:
    """An array's shape without its numbers: what `Tensor.data` is while a step is recorded."""

    __slots__ = ("_array",)

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, *args, **kwargs):
        raise self.refusal()

    __array_ufunc__ = __array_function__ = __array__

    def __getattr__(self, name: str):
        if name in {"shape", "dtype", "ndim", "size", "strides", "flags", "nbytes", "itemsize"}:
            return getattr(self._array, name)
        raise self.refusal()

    @staticmethod
    def refusal() -> CaptureError:
        """The error for who asks for a number."""
        return refusal("a value is read while the step is recorded, and a replay would not read it again; return the"
                       " tensor and look at it outside")  # fmt: skip


def _refusing(name: str):
    def read(self, *args, **kwargs):
        raise self.refusal()

    read.__name__ = name
    return read


# fmt: off
OPERATORS = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul neg abs and rand"
    " or ror invert eq ne lt le gt ge getitem setitem len iter bool int float complex index contains iadd isub imul"
    " itruediv"
)
# fmt: on
for _name in OPERATORS.split():
    setattr(ShapeOnly, f"__{_name}__", _refusing(_name))
ShapeOnly.__hash__ = object.__hash__
