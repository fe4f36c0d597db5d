"""What a row of the op table says: a function, calls to try it on, and what it must agree with.

`opdb.TABLE` holds one `OpCase` for every public op. The tests and `minigan gradcheck` are loops over that table, so a
new op is tested for every property (value, gradients of any order, broadcasting, layouts, empty arrays, ...) by adding
a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter

import numpy as np

from ..autograd import Tensor
from ..backend import default_device, float32, float64, to_device

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Values:
    """How input elements are drawn: uniform on [low, high], at least `gap` from each value in `avoid`.

    distinct: instead, no two elements of a call closer than (high - low) / (2 n), in random order, so that a finite
    difference never changes which of them is the largest.
    """

    low: float = -2.0
    high: float = 2.0
    avoid: tuple[float, ...] = ()
    gap: float = 0.1
    distinct: bool = False

    def draw(self, shapes: tuple[Shape, ...], rng: np.random.Generator) -> list[np.ndarray]:
        """One float64 array per shape."""
        sizes = [int(np.prod(s, dtype=np.int64)) for s in shapes]
        n = sum(sizes)
        unit = rng.uniform(size=n)
        if self.distinct and n:
            unit = (rng.permutation(n) + 0.25 + 0.5 * unit) / n
        x = self.low + (self.high - self.low) * unit
        for kink in self.avoid:
            off = x - kink
            x = np.where(np.abs(off) < self.gap, kink + np.copysign(self.gap + np.abs(off), off), x)
        return [part.reshape(s) for part, s in zip(np.split(x, np.cumsum(sizes)[:-1]), shapes, strict=True)]


REAL = Values()
POSITIVE = Values(0.5, 2.5)
DISTINCT = Values(distinct=True)


@dataclass(frozen=True)
class Sample:
    """One call: the differentiable inputs, each a shape (filled from `seed`) or an array, and keyword settings.

    An array among the settings (labels, an index, a condition) becomes a Tensor that requires no gradient.
    """

    inputs: tuple[Shape | np.ndarray, ...]
    settings: dict = field(default_factory=dict)
    seed: int = 0

    def __str__(self) -> str:
        shapes = [f"array{x.shape}" if isinstance(x, np.ndarray) else str(x) for x in self.inputs]
        return ", ".join(
            shapes + [f"{k}={np.shape(v) if isinstance(v, np.ndarray) else v}" for k, v in self.settings.items()]
        )


def call(*inputs, **settings) -> Sample:
    """A Sample in the form of the call it stands for: call((2, 3), dim=1)."""
    return Sample(inputs, settings)


@dataclass(frozen=True)
class BadCall:
    """A call that must raise `exception` with a message that matches the regular expression `match`."""

    call: Callable[[], object]
    exception: type[Exception]
    match: str


@dataclass(frozen=True)
class OpCase:
    """One row of the op table.

    name: the public name; what follows a dot tells rows of one op apart. fn(*tensors, **settings): the op. samples:
    calls to try. edge: calls with zero-size, 0-d or one-element inputs. kinks: calls at points where the derivative
    jumps and PyTorch's choice is the rule. torch_fn: the same in PyTorch, either a dotted name under `torch` or a
    function (torch, *torch tensors, **settings). reference: the same function composed of simpler ops. values: how
    inputs are drawn, one Values or one per input. strategy: name of the function in `minigan.strategies` that draws
    further samples. error_inputs: calls that must be refused. max_order, torch_order: highest derivative compared with
    finite differences and with PyTorch (0: values only). tolerance: of float32 results, relative to the largest,
    against float64 ones.
    """

    name: str
    fn: Callable
    samples: tuple[Sample, ...]
    torch_fn: str | Callable | None = None
    reference: Callable | None = None
    values: Values | tuple[Values, ...] = REAL
    edge: tuple[Sample, ...] = ()
    kinks: tuple[Sample, ...] = ()
    strategy: str | None = None
    error_inputs: tuple[BadCall, ...] = ()
    dtypes: tuple[np.dtype, ...] = (float32, float64)
    tolerance: float = 2e-5
    max_order: int = 3
    torch_order: int = 2

    def __str__(self) -> str:
        return self.name

    @property
    def op(self) -> str:
        """The public name this row is about."""
        return self.name.partition(".")[0]

    def arrays(self, sample: Sample, dtype=float64) -> list[np.ndarray]:
        """The inputs of a call, the same for the same sample."""
        rng = np.random.default_rng((sample.seed, len(sample.inputs)))
        open_shapes = tuple(x for x in sample.inputs if not isinstance(x, np.ndarray))
        if isinstance(self.values, Values):
            arrays = iter(self.values.draw(open_shapes, rng) if open_shapes else ())
        else:
            arrays = iter([v.draw((s,), rng)[0] for v, s in zip(self.values, open_shapes, strict=False)])
        return [(x if isinstance(x, np.ndarray) else next(arrays)).astype(dtype) for x in sample.inputs]

    def tensors(self, sample: Sample, dtype=float64) -> list[Tensor]:
        """The inputs as leaves that require a gradient, on the default device."""
        return [Tensor(to_device(a, default_device())).requires_grad_() for a in self.arrays(sample, dtype)]

    def bound(self, sample: Sample, fn: Callable | None = None) -> Callable:
        """The op (or another function `fn`) as a function of its Tensors alone, the settings filled in."""

        def run(*tensors: Tensor):
            dtype = tensors[0].dtype if tensors else float64
            there = tensors[0].device if tensors else default_device()
            settings = _in_dtype(sample, dtype)
            return (fn or self.fn)(
                *tensors, **{k: Tensor(to_device(v, there)) if isinstance(v, np.ndarray) else v for k, v in settings}
            )

        return run

    def bound_torch(self, sample: Sample) -> Callable:
        """The same in PyTorch. Raises ModuleNotFoundError without PyTorch."""
        import torch

        fn = partial(self.torch_fn, torch) if callable(self.torch_fn) else attrgetter(self.torch_fn)(torch)

        def run(*tensors):
            dtype = tensors[0].detach().numpy().dtype if tensors else float64
            return fn(
                *tensors,
                **{k: torch.tensor(v) if isinstance(v, np.ndarray) else v for k, v in _in_dtype(sample, dtype)},
            )

        return run


def _in_dtype(sample: Sample, dtype) -> list[tuple]:
    """The settings, floating arrays among them in `dtype`."""
    return [
        (k, v.astype(dtype) if isinstance(v, np.ndarray) and v.dtype == float64 else v)
        for k, v in sample.settings.items()
    ]
