"""Machine room, engine: tensors made from nothing. Constants, ranges and random numbers, with torch's names.

The default dtype is float32. `tensor` and `as_tensor`, which the engine itself needs, are in autograd.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from minigan.kernels.work import poisoned

from ._array import dtype_of, shared_array
from .autograd import Op, Tensor, array_of, tensor
from .backend import (
    FLOATS,
    Generator,
    default_device,
    default_generator,
    device,
    float32,
    float64,
    int64,
    namespace,
    to_device,
)
from .backend import device as check_device
from .ops.basic import cast
from .ops.shape import sizes_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "zeros",
    "zeros_like",
]


class Fill(Op):
    """An array of one value, of the shape, dtype and layout of another; not differentiable."""

    name, differentiable = "full_like", False

    def __init__(self, value: float, dtype: DTypeLike | None = None) -> None:
        self.value, self.dtype = value, dtype

    def forward(self, x: np.ndarray) -> np.ndarray:
        return namespace(x).full_like(x, self.value, dtype=self.dtype)


class Draw(Op):
    """Random numbers from a generator, a new draw each time; not differentiable."""

    differentiable = False

    def __init__(self, generator: Generator | None, draw: str, *settings: object, where: str | None = None) -> None:
        self.generator, self.draw, self.settings = generator or default_generator, draw, settings
        self.device = where or default_device()

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


def _sizes(op: str, *size: int | Sequence[int]) -> tuple[int, ...]:
    """Sizes given as f(2, 3) or f((2, 3)). Raises TypeError or ValueError, naming the op, unless they are whole numbers
    from 0 on."""
    try:
        sizes = sizes_of(size)
    except TypeError:
        raise TypeError(f"{op}: sizes must be integers, got {size!r:.60}") from None
    if any(n < 0 for n in sizes):
        raise ValueError(f"{op}: sizes must not be negative, got {sizes}")
    return sizes


def _fitting(op: str, value: float, dtype: DTypeLike) -> np.dtype:
    """The dtype, if it has the value. Raises ValueError, naming the op, where it has not, TypeError for a dtype that
    tensors have not."""
    known = dtype_of(dtype, op)
    if known.kind in "iu" and not np.iinfo(known).min <= value <= np.iinfo(known).max:
        raise ValueError(f"{op}: {value} does not fit {known}; name another dtype")
    return known


def _random(op: str, dtype: DTypeLike) -> np.dtype:
    """A dtype of random numbers. Raises TypeError, naming the op, unless it is a float."""
    known = dtype_of(dtype, op)
    if known not in FLOATS:
        raise TypeError(f"{op}: random numbers are float32 or float64, not {known}")
    return known


def zeros(
    *size: int | Sequence[int], dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of shape `size`."""
    return _leaf(np.zeros(_sizes("zeros", *size), dtype_of(dtype, "zeros")), device, requires_grad)


def ones(
    *size: int | Sequence[int], dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones of shape `size`."""
    return _leaf(np.ones(_sizes("ones", *size), dtype_of(dtype, "ones")), device, requires_grad)


def full(
    size: int | Sequence[int],
    fill_value: float,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of shape `size` filled with one value: float32 for a float, int64 for an int, bool for a bool."""
    if dtype is None:
        dtype = np.bool_ if isinstance(fill_value, bool) else int64 if isinstance(fill_value, int) else float32
    return _leaf(np.full(_sizes("full", size), fill_value, _fitting("full", fill_value, dtype)), device, requires_grad)


def empty(
    *size: int | Sequence[int], dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised memory of shape `size`."""
    return _leaf(poisoned(np.empty(_sizes("empty", *size), dtype_of(dtype, "empty"))), device, requires_grad)


def full_like(
    input: Tensor,
    fill_value: float,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """One value in the shape, dtype and layout of `input`, or in another dtype."""
    out = Fill(fill_value, _fitting("full_like", fill_value, dtype or input.dtype))(input)
    if device is not None and out.device != check_device(device):
        out = Tensor(to_device(array_of(out), check_device(device)))
    return out.requires_grad_(requires_grad)


def zeros_like(
    input: Tensor, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Zeros of the shape, dtype and layout of `input`, or in another dtype."""
    return full_like(input, 0, dtype, device, requires_grad)


def ones_like(
    input: Tensor, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Ones of the shape, dtype and layout of `input`, or in another dtype."""
    return full_like(input, 1, dtype, device, requires_grad)


def empty_like(
    input: Tensor, dtype: DTypeLike | None = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """Uninitialised memory in the shape of `input`."""
    return empty(input.shape, dtype=dtype or input.dtype, device=device or input.device, requires_grad=requires_grad)


def rand_like(
    input: Tensor, generator: Generator | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Numbers uniform on [0, 1) in the shape and dtype of `input`, on its device."""
    draw = Draw(generator, "uniform", input.shape, _random("rand_like", dtype or input.dtype), where=input.device)
    return draw().requires_grad_(requires_grad)


def randn_like(
    input: Tensor, generator: Generator | None = None, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """Standard normal numbers in the shape and dtype of `input`, on its device."""
    draw = Draw(generator, "normal", input.shape, _random("randn_like", dtype or input.dtype), where=input.device)
    return draw().requires_grad_(requires_grad)


def randint_like(input: Tensor, low: int, high: int | None = None, generator: Generator | None = None) -> Tensor:
    """Whole numbers uniform on low..high-1 (0..low-1 without `high`) in the shape and dtype of `input`, on its
    device."""
    low, high = (0, low) if high is None else (low, high)
    return cast(Draw(generator, "integers", low, high, input.shape, where=input.device)(), input.dtype)


def eye(
    n: int, m: int | None = None, dtype: DTypeLike = float32, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """The (n, m) matrix with ones on its diagonal."""
    sizes = _sizes("eye", n, n if m is None else m)
    return _leaf(np.eye(*sizes, dtype=dtype_of(dtype, "eye")), device, requires_grad)


def arange(
    start: float,
    end: float | None = None,
    step: float = 1,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """start, start + step, ... below end; arange(end) counts from 0. int64 for integers, else float32.

    Raises ValueError for a step of 0, and for numbers that are not finite.
    """
    start, end = (0, start) if end is None else (start, end)
    if not step:
        raise ValueError(f"arange: the step must not be 0, from {start} to {end}")
    if not np.isfinite([start, end, step]).all():
        raise ValueError(f"arange: expected finite numbers, got {start} to {end} by {step}")
    whole = all(isinstance(v, (int, np.integer)) for v in (start, end, step))
    known = dtype_of(dtype or (int64 if whole else float32), "arange")
    return _leaf(np.arange(start, end, step, dtype=known), device, requires_grad)


def linspace(
    start: float,
    end: float,
    steps: int,
    dtype: DTypeLike = float32,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`steps` equally spaced values from start to end, both included."""
    (count,) = _sizes("linspace", steps)
    values = np.linspace(start, end, count, dtype=float64).astype(dtype_of(dtype, "linspace"))
    return _leaf(values, device, requires_grad)


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
    return Draw(generator, "normal", _sizes("randn", *size), _random("randn", dtype))().requires_grad_(requires_grad)


def rand(
    *size: int | Sequence[int],
    generator: Generator | None = None,
    dtype: DTypeLike = float32,
    requires_grad: bool = False,
) -> Tensor:
    """Numbers uniform on [0, 1) of shape `size`."""
    return Draw(generator, "uniform", _sizes("rand", *size), _random("rand", dtype))().requires_grad_(requires_grad)


def randint(
    low: int,
    high: int | Sequence[int],
    size: int | Sequence[int] | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """int64 uniform on low..high-1, of shape `size`; randint(high, size) begins at 0."""
    low, high, size = (0, low, high) if size is None else (low, high, size)
    return Draw(generator, "integers", low, high, _sizes("randint", size))()


def randperm(n: int, generator: Generator | None = None) -> Tensor:
    """A random order of 0..n-1."""
    return Draw(generator, "permutation", n)()


def asarray(obj: Tensor | ArrayLike, dtype: DTypeLike | None = None, device: str | None = None) -> Tensor:
    """`obj` as a Tensor, itself if it is one and has that dtype and device."""
    if isinstance(obj, Tensor):
        return obj.to(dtype=dtype, device=device)
    return tensor(obj, dtype, device)


def _like(function: Callable, name: str) -> Callable:
    """The method of a tensor that makes another of its dtype, on its device."""

    def method(
        self: Tensor, *size: int | Sequence[int], dtype: DTypeLike | None = None, device: str | None = None,
        requires_grad: bool = False,
    ) -> Tensor:  # fmt: skip
        return function(*size, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)

    method.__name__ = method.__qualname__ = name
    method.__doc__ = f"`{function.__name__}`, in the dtype and on the device of this tensor."
    return method


def new_full(
    self: Tensor,
    size: int | Sequence[int],
    fill_value: float,
    dtype: DTypeLike | None = None,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """`full`, in the dtype and on the device of this tensor."""
    return full(size, fill_value, dtype or self.dtype, device or self.device, requires_grad)


def new_tensor(
    self: Tensor, data: Tensor | ArrayLike, dtype: DTypeLike | None = None, requires_grad: bool = False
) -> Tensor:
    """`tensor`, in the dtype and on the device of this tensor."""
    return tensor(data, dtype or self.dtype, self.device, requires_grad)


for _function in (zeros, ones, empty):
    setattr(Tensor, f"new_{_function.__name__}", _like(_function, f"new_{_function.__name__}"))
for _method in (new_full, new_tensor):
    setattr(Tensor, _method.__name__, _method)
