"""Machine room, capture: what the record of a training step is written in.

A program is a list of instructions, each one op applied to values, and of effects, which change values in place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..autograd import Op


class Value:
    """An array of the step: its layout, and where it comes from.

    array: for a leaf, the array itself, which keeps its place. version: the count of the leaf's changes. source: for a
    view, the value whose memory it shares.
    """

    __slots__ = ("array", "dtype", "order", "shape", "source", "version")
    version: list[int]

    def __init__(self, like: np.ndarray, source: Value | None = None) -> None:
        self.shape, self.dtype, self.source, self.array = like.shape, like.dtype, source, None
        self.order = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
        if like.flags.c_contiguous:
            self.order = list(range(like.ndim))

    @classmethod
    def of(cls, other: Value) -> Value:
        """A value of the same layout, with memory of its own."""
        value = cls.__new__(cls)
        value.shape, value.dtype, value.order = other.shape, other.dtype, other.order
        value.source = value.array = None
        return value

    @property
    def root(self) -> Value:
        """The value that owns the memory."""
        value = self
        while value.source is not None:
            value = value.source
        return value

    @property
    def nbytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    def laid_out(self, memory: np.ndarray) -> np.ndarray:
        """`memory` (bytes) as this value's array, its axes in their order."""
        sizes = [self.shape[axis] for axis in self.order]
        return memory[: self.nbytes].view(self.dtype).reshape(sizes).transpose(np.argsort(self.order).tolist())


@dataclass
class Instruction:
    """One op: the values it reads and computes. `into`: a value whose memory the result takes over, adding to it."""

    op: Op
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    into: Value | None = None

    @property
    def reads(self) -> tuple[Value, ...]:
        return self.inputs if self.into is None else (*self.inputs, self.into)

    is_view = property(lambda self: self.into is None and all(y.source is not None for y in self.outputs))


@dataclass
class Effect:
    """A change in place: kernel(*target arrays, *source arrays), after which the targets' versions count up."""

    kernel: Callable
    targets: tuple[Value, ...]
    sources: tuple[Value, ...]
    versions: tuple[list[int], ...]
    outputs: tuple[Value, ...] = ()

    @property
    def reads(self) -> tuple[Value, ...]:
        return (*self.targets, *self.sources)
