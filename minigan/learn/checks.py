"""What graders are made of: comparisons that say which element, which order, what stands there, what should, and a
thought. Each yields a line for what is wrong, and nothing where all is right."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import host
from ..creation import tensor
from ..testing.derivatives import GradcheckError
from ..testing.gradcheck import check
from ..testing.in_torch import compare_with_torch


def equal(what: str, value: Any, expected: Any, thought: str = "", tolerance: float = 1e-9) -> Iterator[str]:
    """Arrays, Tensors or numbers: one shape, and |a - b| <= tolerance * max(1, |b|) in every element."""
    a, b = array(value), array(expected)
    if a is None:
        yield f"{what}: {_said(value)}, expected numbers of shape {b.shape}{and_(thought)}"
    elif a.shape != b.shape:
        yield f"{what}: shape {a.shape}, expected {b.shape}{and_(thought)}"
    elif a.size:
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.where(a == b, 0.0, np.abs(a - b) / np.maximum(1.0, np.abs(b)))
        gap = np.where(np.isnan(gap), np.inf, gap)
        if gap.max() > tolerance:
            at = tuple(int(i) for i in np.unravel_index(gap.argmax(), gap.shape))
            place = f" at element {at}" if at else ""
            yield f"{what}{place}: {a[at]:.8g}, expected {b[at]:.8g}{and_(thought)}"


def derivatives(
    what: str, fn: Callable, *inputs: Any, upto: int = 2, reference: Callable | None = None, thought: str = ""
) -> Iterator[str]:
    """fn of Tensors: its values beside the reference's, and each order beside finite differences of the one before.
    inputs: arrays in float64; a Tensor is a constant."""
    leaves = [x if isinstance(x, Tensor) else leaf(x) for x in inputs]

    def named(*tensors: Tensor) -> Any:
        return fn(*tensors)

    named.__name__ = what
    try:
        check(named, leaves, upto=upto, reference=reference)
    except GradcheckError as error:
        yield f"{error}{and_(thought)}"


def as_torch(what: str, fn: Callable, torch_fn: Callable, *inputs: Any, upto: int = 2) -> Iterator[str]:
    """fn's values and derivatives beside those of torch_fn, which takes torch tensors; nothing without PyTorch."""
    if find_spec("torch") is None:
        return
    try:
        compare_with_torch(fn, torch_fn, [leaf(x) for x in inputs], upto, name=what)
    except GradcheckError as error:
        yield f"{error}; that is PyTorch's number"


def only_needed(what: str, op: Any, *inputs: Any, zero: tuple[int, ...] = ()) -> Iterator[str]:
    """The op's vjp gives the gradient that need asks for, and None for all others. zero: inputs whose gradient is None
    always."""
    y = op(*map(leaf, inputs))
    for i in range(len(inputs)):
        gradients = op.vjp(y.node, [k == i for k in range(len(inputs))], leaf(numbers(*y.shape)))
        for k, g in enumerate(gradients):
            if (k == i and k not in zero) == (g is None):
                where = (
                    "is None, though need asks for it" if g is None else "is computed, though nobody asks: look at need"
                )
                yield f"{what}: with need for input {i} alone the gradient of input {k} {where}"
                return


def output_alone(what: str, op: Any, x: np.ndarray) -> Iterator[str]:
    """The vjp of an op of one input reads its output: an input that is overwritten later changes no gradient."""
    gradients = []
    for later in (x, x + 1):
        t = leaf(x)
        y = op(t)
        t.data[...] = later
        gradients.append(op.vjp(y.node, (True,), leaf(np.ones(y.shape)))[0])
    thought = "saves_input is False, so the input may be overwritten before the way back: read node.output()"
    yield from equal(f"the gradient of {what} after its input was overwritten", *gradients[::-1], thought)


def true(condition: Any, finding: str) -> Iterator[str]:
    """The finding, where the condition does not hold."""
    if not condition:
        yield finding


def leaf(x: Any) -> Tensor:
    """The array as a Tensor in float64 whose gradient is asked for."""
    return tensor(np.asarray(x, np.float64), requires_grad=True)


def differences(f: Callable[[np.ndarray], float], x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """The gradient of f, a number of an array, by central differences."""
    steps = [step * np.eye(x.size)[i].reshape(x.shape) for i in range(x.size)]
    return np.array([(f(x + e) - f(x - e)) / (2 * step) for e in steps]).reshape(x.shape)


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal numbers in float64."""
    return np.random.default_rng([seed, *shape]).normal(size=shape)


def array(value: Any) -> np.ndarray | None:
    """The numbers of a Tensor, array or number in float64; None for what is none of these."""
    if isinstance(value, Tensor):
        value = host(value.data)
    try:
        return None if value is None else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        return None


def _said(value: Any) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r}"[:80]


def and_(thought: str) -> str:
    return f"; {thought}" if thought else ""
