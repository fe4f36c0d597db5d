"""The derivatives that are checked, phi_n, and what it is for two of them to agree.

    phi_0(x) = f(x),    phi_n(x) = d/dx <u_n, phi_(n-1)(x)>,    u_n drawn anew at each order

gradcheck.py compares phi_n with differences of phi_(n-1), in_torch.py with PyTorch's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from ..autograd import Tensor, array_of, enable_grad, grad
from ..backend import FLOATS, default_device, device, device_of, host, to_device

Key = int | tuple[int, int]
"""What is differentiated by: an input by its position, or a cotangent by its order and position."""


class GradcheckError(ValueError):
    """A derivative is wrong. order, input (or the key of a cotangent), element: where; analytic, numeric: the two
    values there."""

    def __init__(self, message: str, order: int, input=None, element=None, analytic=None, numeric=None) -> None:
        super().__init__(message)
        self.order, self.input, self.element = order, input, element
        self.analytic, self.numeric = analytic, numeric


class Comparison(NamedTuple):
    """Two values of one derivative: max |a - b| / max(1, |b|), inf where one is not finite and the other not the same,
    and the error that says where they differ; None where they agree."""

    error: float
    failure: GradcheckError | None = None

    def worse(self, other: Comparison) -> Comparison:
        """Of two comparisons of one derivative: the larger error, and the earlier failure."""
        return Comparison(max(self.error, other.error), self.failure or other.failure)


_WHAT = {int: "input", tuple: "cotangent"}


def comparison(
    name: str, order: int, i: Key, a: np.ndarray, b: np.ndarray, atol: float, rtol: float, says: str
) -> Comparison:
    """a beside b, which differ where |a - b| > atol + rtol max |b|. says: who b is, for the message."""
    if a.size == 0:
        return Comparison(0.0)
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    difference = np.where(np.isnan(difference), np.inf, difference)
    scale = np.max(np.abs(b), where=np.isfinite(b), initial=0.0)
    error = float(difference.max() / max(1.0, scale))
    if difference.max() <= atol + rtol * scale:
        return Comparison(error)
    at = tuple(int(k) for k in np.unravel_index(difference.argmax(), difference.shape))
    what = "value of output" if order == 0 else f"order-{order} derivative by {_WHAT[type(i)]}"
    message = f"{name}: {what} {i} at element {at} is {a[at]:.10g}, {says} {b[at]:.10g}"
    return Comparison(error, GradcheckError(message, order, i, at, float(a[at]), float(b[at])))


def compare(name: str, order: int, i: Key, a: np.ndarray, b: np.ndarray, atol: float, rtol: float, says: str) -> float:
    """The error of `comparison`; raises its failure."""
    error, failure = comparison(name, order, i, a, b, atol, rtol, says)
    if failure:
        raise failure
    return error


def derivatives(fn: Callable, inputs: Sequence[Tensor], order: int, seed: int = 0) -> list[np.ndarray | None]:
    """phi_order at `inputs`, for the cotangents of `seed`: the outputs for order 0, else one array (or None for zero)
    per input that requires a gradient."""
    point = {i: host(x.data) for i, x in enumerate(inputs)}
    with home(inputs):
        values = evaluate(fn, point, wanted(inputs), order, seed)[0]
    return [None if y is None else host(y.data) for y in values]


def home(inputs: Sequence[Tensor]) -> device:
    """The device of the inputs, as a context in which further tensors are made there."""
    return device_of(array_of(inputs[0])) if inputs else default_device()


def cotangent(seed: int, order: int, position: int, shape: tuple[int, ...]) -> np.ndarray:
    """The cotangent of output number `position` at the given order: standard normal, the same whenever it is asked
    for."""
    return np.random.default_rng((seed, order, position)).standard_normal(shape)


def evaluate(fn: Callable, point: dict[Key, np.ndarray], positions, order: int, seed: int):
    """phi_order, still on the graph, and the leaves it was computed from: inputs and cotangents, by key.

    point: the inputs by position and, by (order, position), cotangents to use in place of those of `seed`.
    """
    inputs = {key: a for key, a in point.items() if isinstance(key, int)}
    leaves = {key: Tensor(to_device(a, default_device())).requires_grad_(key in positions) for key, a in inputs.items()}
    with enable_grad():
        values = list(sequence(fn(*leaves.values()), Tensor))
        if order:
            values = [y if y is not None and y.dtype in FLOATS else None for y in values]
        for level in range(1, order + 1):
            rows = [None] * len(values)
            for i, y in enumerate(values):
                if y is not None:
                    u = point.get((level, i), cotangent(seed, level, i, y.shape))
                    u = to_device(u.astype(y.dtype), default_device())
                    rows[i] = leaves[level, i] = Tensor(u).requires_grad_()
            values = backward(values, [leaves[i] for i in positions], rows, create_graph=True)
    return values, leaves


def backward(values, leaves, rows, create_graph: bool) -> list[Tensor | None]:
    """The gradient of the sum of <row, value> by the leaves."""
    pairs = [(y, u) for y, u in zip(values, rows, strict=True) if u is not None and y.requires_grad]
    if not pairs:
        return [None] * len(leaves)
    outputs = [y for y, _ in pairs]
    seeds = [u if isinstance(u, Tensor) else Tensor(to_device(u, default_device())) for _, u in pairs]
    return list(grad(outputs, leaves, seeds, create_graph=create_graph, allow_unused=True))


def cotangents(values, order: int, seed: int) -> list[np.ndarray | None]:
    return [None if y is None else cotangent(seed, order, i, tuple(y.shape)) for i, y in enumerate(values)]


def wanted(inputs: Sequence[Tensor]) -> list[int]:
    return [i for i, x in enumerate(inputs) if x.requires_grad]


def array(value) -> np.ndarray | None:
    """The array of a minigan or torch tensor."""
    if value is None:
        return None
    return host(value.data) if isinstance(value, Tensor) else value.detach().numpy(force=True)


def sequence(value, kind: type) -> Sequence:
    return (value,) if isinstance(value, kind) else value


def name_of(fn: Callable) -> str:
    return getattr(fn, "name", None) or getattr(fn, "__name__", type(fn).__name__)
