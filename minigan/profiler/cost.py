"""What an op costs, and what it runs: FLOPs, bytes, its kernels, and the roofline above them.

multiply-adds of a product or a convolution count twice; any other op counts one for each element it writes or, if
that is more, reads. Bytes are those of the inputs and outputs, once each: what has to be moved at least.
roofline: no op is faster than max(FLOPs / peak, bytes / bandwidth) (Williams, Waterman & Patterson 2009)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from minigan.kernels.work import Now, aligned

from .. import _array
from ..autograd import Op
from ..ops.conv import Conv, ConvInput, ConvWeight
from ..ops.matmul import MatMul

WHY = (
    ("kernels.fast.winograd", "Winograd: 2.25 to 4 times fewer multiplications, where the geometry suits"),
    ("kernels.fast", "tiles in vector registers: float32, and large enough for packing to pay"),
    ("kernels.conv_loops", "plain loops: float64, or too small for packing to pay"),
    ("kernels.matmul", "plain loops: float64, or too small for packing to pay"),
    ("kernels", "a loop of its own: one pass over memory"),
    ("numpy", "NumPy's loop: elementwise"),
    ("ops", "the op's forward, on NumPy"),
)
"""Where a kernel's code lies -> why it runs."""


def equation(op: Op) -> str:
    """What the op computes: the first line of its class's docstring."""
    text = (type(op).__doc__ or "").strip()
    return text.splitlines()[0] if text and type(op).__doc__ != Op.__doc__ else ""


def of(op: Op, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> tuple[int, int]:
    """(FLOPs, bytes) of an op on these arrays."""
    if op.alias:
        return 0, 0
    moved = sum(map(_memory, {id(x): x for x in (*inputs, *outputs)}.values()))
    if isinstance(op, Conv | ConvInput | ConvWeight):
        geometry = op.geometry
        return 2 * prod(geometry.y_shape) * prod(geometry.w_shape[1:]), moved
    if isinstance(op, MatMul):
        return 2 * outputs[0].size * (inputs[0].shape[-1] if inputs[0].ndim else 1), moved
    return max((x.size for x in (*inputs, *outputs)), default=0), moved


def _memory(x: np.ndarray) -> int:
    """The bytes that an array's numbers stand in; what is broadcast stands there once."""
    return x.itemsize * prod(n for n, stride in zip(x.shape, x.strides, strict=True) if stride or not n)


class Listing(Now):
    """Notes the names of the calls and makes none; its buffers are memory that nobody writes."""

    def __init__(self) -> None:
        self.functions: list[Callable] = []

    def empty(self, shape, dtype=np.float32):
        return aligned(shape, dtype)

    def call(self, function, *arguments):
        self.functions.append(arguments[1] if function is _array.fill else function)


def kernels(op: Op, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> tuple[tuple[str, ...], str]:
    """(names of the loops that the op runs on these arrays, why these)."""
    if op.alias or not all(isinstance(x, np.ndarray) for x in (*inputs, *outputs)):
        return (), "a view: nothing is moved" if op.alias else "the device's kernels"
    listing = Listing()
    try:
        op.prepare(listing, list(inputs), list(outputs))
    except (ValueError, TypeError, AttributeError, IndexError):  # an op that can only be run
        return named(op.forward)
    if not listing.functions:
        return (), ""
    names, reasons = zip(*map(named, listing.functions), strict=True)
    return tuple(name for group in names for name in group), next(filter(None, reasons), "")


def named(function: Callable) -> tuple[tuple[str, ...], str]:
    """((its name,), why it runs)."""
    function = getattr(function, "func", function)
    module = (getattr(function, "__module__", None) or type(function).__module__).removeprefix("minigan.")
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", type(function).__name__)
    if isinstance(function, np.ufunc):
        module = "numpy"
    reason = next((why for place, why in WHY if module.startswith(place)), "")
    return (f"{module.rsplit('.', 1)[-1]}.{name.split('.<locals>')[0].lstrip('_')}",), reason


@dataclass(frozen=True)
class Roofline:
    """peak: FLOPs a second. bandwidth: bytes a second."""

    peak: float
    bandwidth: float

    def share(self, flops: int, nbytes: int, seconds: float) -> float:
        """What share of the roof an op reached, 1 for all of it; nan for no time."""
        return max(flops / self.peak, nbytes / self.bandwidth) / seconds if seconds > 0 else float("nan")


def roofline(seconds: float = 0.15) -> Roofline:
    """Of this machine, as NumPy reaches it: the best of several sgemm of 1024, and of several copies of 64 MiB."""
    a, b = (np.random.default_rng(k).random((1024, 1024), np.float32) for k in (0, 1))
    c, source = np.empty_like(a), np.zeros(1 << 24, np.float32)
    target = np.ones_like(source)
    return Roofline(
        2 * 1024**3 / _best(lambda: np.matmul(a, b, out=c), seconds),
        2 * source.nbytes / _best(lambda: np.copyto(target, source), seconds),
    )


def _best(call: Callable[[], object], seconds: float) -> float:
    call()
    best, end = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - start)
    return best
