"""Machine room, engine: tensors made from nothing. Constants, ranges and random numbers, with torch's names.

The default dtype is float32. `tensor` and `as_tensor`, which the engine itself needs, are in autograd.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minigan.kernels.work import poisoned

from ._array import shared_array
from .autograd import Op, Tensor
from .backend import Generator, default_device, default_generator, device, float32, float64, int64, to_device
from .ops.shape import sizes_of

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

__all__ = [
    "arange",
    "empty",
    "eye",
    "from_numpy",
    "full",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "randint",
    "randn",
    "randperm",
    "zeros",
    "zeros_like",
]


class Fill(Op):
    """An array of one value, of the shape, dtype and layout of another; not differentiable."""

    name, differentiable = "full_like", False

    def __init__(self, value: float) -> None:
        self.value = value

    def forward(self, x: np.ndarray) -> np.ndarray:
        return np.full_like(x, self.value)


class Draw(Op):
    """Random numbers from a generator, a new draw each time; not differentiable."""

    differentiable = False

    def __init__(self, generator: Generator | None, draw: str, *settings: object) -> None:
        self.generator, self.draw, self.settings = generator or default_generator, draw, settings
        self.device = default_device()

    name = property(lambda self: self.draw)

    def forward(self) -> np.ndarray:
        draw = getattr(self.generator, self.draw)
        if self.device == default_device():
            return draw(*self.settings)
        with device(self.device):  # a plan replays it where it was recorded
            return draw(*self.settings)


def _leaf(array: np.ndarray, where: str | None, requires_grad: bool = False) -> Tensor:
    where = default_device() if where is None else device(where)
    return Tensor(array if where == "cpu" else to_device(array, where)).requires_grad_(requires_grad)


def zeros(
    *size: int | Sequence[int], dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of shape `size`."""
    return _leaf(np.zeros(sizes_of(size), dtype), device, requires_grad)


def ones(
    *size: int | Sequence[int], dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones of shape `size`."""
    return _leaf(np.ones(sizes_of(size), dtype), device, requires_grad)


def full(
    size: int | Sequence[int],
    fill_value: float,
    dtype: DTypeLike = float32,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of shape `size` filled with one value."""
    return _leaf(np.full(sizes_of((size,)), fill_value, dtype), device, requires_grad)


def empty(
    *size: int | Sequence[int], dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised memory of shape `size`."""
    return _leaf(poisoned(np.empty(sizes_of(size), dtype)), device, requires_grad)


def zeros_like(input: Tensor, requires_grad: bool = False) -> Tensor:
    """Zeros of the shape, dtype and layout of `input`."""
    return Fill(0)(input).requires_grad_(requires_grad)


def ones_like(input: Tensor, requires_grad: bool = False) -> Tensor:
    """Ones of the shape, dtype and layout of `input`."""
    return Fill(1)(input).requires_grad_(requires_grad)


def eye(n: int, m: int | None = None, dtype: DTypeLike = float32) -> Tensor:
    """The (n, m) matrix with ones on its diagonal."""
    return _leaf(np.eye(n, m, dtype=dtype), None)


def arange(start: float, end: float | None = None, step: float = 1, dtype: DTypeLike | None = None) -> Tensor:
    """start, start + step, ... below end; arange(end) counts from 0. int64 for integers, else float32."""
    start, end = (0, start) if end is None else (start, end)
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    return _leaf(np.arange(start, end, step, dtype=dtype or (int64 if whole else float32)), None)


def linspace(start: float, end: float, steps: int, dtype: DTypeLike = float32) -> Tensor:
    """`steps` equally spaced values from start to end, both included."""
    return _leaf(np.linspace(start, end, steps, dtype=float64).astype(dtype), None)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"from_numpy: expected a NumPy array, got {type(array).__name__}")
    return Tensor(shared_array(array))


def randn(
    *size: int | Sequence[int],
    generator: Generator | None = None,
    dtype: DTypeLike = float32,
    requires_grad: bool = False,
) -> Tensor:
    """Standard normal numbers of shape `size` from `generator` (the default one if None)."""
    return Draw(generator, "normal", sizes_of(size), dtype)().requires_grad_(requires_grad)


def rand(
    *size: int | Sequence[int],
    generator: Generator | None = None,
    dtype: DTypeLike = float32,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers uniform on [0, 1) of shape `size`."""
    return Draw(generator, "uniform", sizes_of(size), dtype)().requires_grad_(requires_grad)


def randint(low: int, high: int, size: int | Sequence[int], generator: Generator | None = None) -> Tensor:
    """int64 uniform on low..high-1, of shape `size`."""
    return Draw(generator, "integers", low, high, sizes_of((size,)))()


def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """A random order of 0..n-1."""
    return Draw(generator, "permutation", n)()
