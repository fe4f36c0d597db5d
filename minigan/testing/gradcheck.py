"""Are these derivatives right? Finite differences and PyTorch, to any order, for minigan's ops and for yours.

    from minigan import gradcheck, tensor
    x = tensor(np.array([0.3, -1.2]), requires_grad=True)          # float64
    gradcheck.check(my_op, [x], upto=3)                             # values, and orders 1, 2, 3
    gradcheck.check_order(my_op, [x], order=3)                      # order 3 alone, taking order 2 for right

What is checked. Start from the outputs y = f(x) and draw a cotangent u1; the gradient of <u1, y> is a function of x
again. Draw u2 and differentiate <u2, that>, and so on:

    phi_0(x) = f(x),    phi_n(x) = d/dx <u_n, phi_(n-1)(x)>.

`check(f, x, upto=n)` goes through all orders, beginning with the values. `check_order(f, x, n)` compares phi_n, as the
engine computes it, with central differences of the engine's own phi_(n-1); so if order n-1 is right, order n is.
phi_(n-1) is differentiated by its cotangents u1 .. u_(n-1) as well: in a network they depend on the parameters, and a
rule that takes its cotangent for a constant is wrong only there. The cotangents are random, never ones: the input
gradient of batch norm under a cotangent of ones is zero, whatever is wrong with it. Where phi_(n-1) has few elements,
its whole Jacobian is compared row by row as well.

Why the tolerance. With step h = 1e-5 in float64 the difference carries about 1e-16 / h = 1e-11 of rounding and h^2 / 6
= 2e-11 of truncation, each times the size of f and of its third derivative. 1e-6 leaves those sizes room up to about
1e4, and an actual mistake is rarely smaller than 1e-2. Where a function bends within the step, as log does near 0, the
elements that differ are compared once more with a step of h / 100. PyTorch's numbers differ by the order of summation
only: 1e-9.

The function is run where its inputs lie, on a GPU too; the differences are taken on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from ..autograd import Op, Tensor, no_grad
from ..backend import float64, host
from .derivatives import (
    Comparison,
    GradcheckError,
    Key,
    array,
    backward,
    compare,
    comparison,
    cotangent,
    cotangents,
    derivatives,
    evaluate,
    home,
    name_of,
    sequence,
    wanted,
)
from .in_torch import TORCH_TOLERANCE, compare_with_torch, torch_derivatives, torch_errors

__all__ = [
    "GradcheckError",
    "check",
    "check_order",
    "compare",
    "compare_with_torch",
    "cotangent",
    "derivatives",
    "gradcheck",
    "gradgradcheck",
    "order_errors",
    "torch_derivatives",
    "torch_errors",
]
EPS, TOLERANCE = 1e-5, 1e-6
FINER = 100
"""How much smaller the step is with which elements that differ are compared again."""
FULL_JACOBIAN = 12
"""Outputs up to which the whole Jacobian is compared, not only its product with a random cotangent."""


WHERE = (
    "look at forward first",
    "look at vjp first",
    "look first at what vjp takes for a constant: an array kept aside, a detached tensor, the cotangent",
)
"""What is most likely wrong at order 0, at order 1, and at any higher one."""


def check(
    fn: Callable, inputs: Sequence[Tensor], upto: int = 3, *, reference: Callable | None = None, **options
) -> list[float | None]:
    """The worst errors of fn's values and of its derivatives of every order from 1 to `upto`, lowest first.

    reference: the same function in other words, whose values fn's are compared with; by default the op's own
    `reference`, and an error of None where there is none. Other arguments as for `order_errors`.

    Raises GradcheckError at the lowest order that is wrong, saying where to look first; TypeError and ValueError as
    `order_errors` does.
    """
    if upto < 1:
        raise ValueError(f"{name_of(fn)}: the highest order to check must be at least 1, got {upto}")
    if reference is None and isinstance(fn, Op) and type(fn).reference is not Op.reference:
        reference = fn.reference
    errors: list[float | None] = []
    for order in range(upto + 1):
        try:
            if order:
                errors.append(check_order(fn, inputs, order, **options))
            else:
                errors.append(None if reference is None else _value_error(fn, reference, inputs))
        except GradcheckError as error:
            message = f"{error}; {WHERE[min(order, 2)]}"
            raise GradcheckError(
                message, error.order, error.input, error.element, error.analytic, error.numeric
            ) from None
    return errors


def _value_error(fn: Callable, reference: Callable, inputs: Sequence[Tensor]) -> float:
    """The worst error of fn's outputs against the reference's."""
    with home(inputs), no_grad():
        outputs, expected = (sequence(f(*inputs), Tensor) for f in (fn, reference))
    if len(outputs) != len(expected) or any(a.shape != b.shape for a, b in zip(outputs, expected, strict=True)):
        shapes = [[y.shape for y in ys] for ys in (outputs, expected)]
        raise GradcheckError(f"{name_of(fn)}: outputs of shapes {shapes[0]}, the reference has {shapes[1]}", 0)
    tolerances = (TORCH_TOLERANCE, TORCH_TOLERANCE)
    pairs = zip(outputs, expected, strict=True)
    return max(
        (
            compare(name_of(fn), 0, i, array(a), array(b), *tolerances, "the reference says")
            for i, (a, b) in enumerate(pairs)
        ),
        default=0.0,
    )


def gradcheck(fn: Callable, inputs: Sequence[Tensor], **options) -> float:
    """Check the gradient of `fn` at `inputs`; see `check_order`."""
    return check_order(fn, inputs, 1, **options)


def gradgradcheck(fn: Callable, inputs: Sequence[Tensor], **options) -> float:
    """Check the gradient of the gradient of `fn` at `inputs`; see `check_order`."""
    return check_order(fn, inputs, 2, **options)


def check_order(fn: Callable, inputs: Sequence[Tensor], order: int = 1, **options) -> float:
    """Compare the derivative of the given order with central differences of the one before; return the worst error.

    Arguments and errors as for `order_errors`, which returns one error per input.
    """
    return max(order_errors(fn, inputs, order, **options).values())


def order_errors(fn: Callable, inputs: Sequence[Tensor], order: int = 1, **options) -> dict[Key, float]:
    """The worst error of the derivative of the given order, by each input that requires a gradient (the key is its
    position) and by each cotangent of a lower order (the key is that order and its position).

    Arguments as for `order_comparisons`. Raises GradcheckError, naming the place and both values, if a derivative is
    wrong, and what `order_comparisons` raises.
    """
    comparisons = order_comparisons(fn, inputs, order, **options)
    for _, failure in comparisons.values():
        if failure:
            raise failure
    return {key: error for key, (error, _) in comparisons.items()}


def order_comparisons(
    fn: Callable,
    inputs: Sequence[Tensor],
    order: int = 1,
    *,
    eps: float = EPS,
    atol: float = TOLERANCE,
    rtol: float = TOLERANCE,
    seed: int = 0,
    full: int = FULL_JACOBIAN,
    name: str | None = None,
) -> dict[Key, Comparison]:
    """The derivative of the given order beside differences of the one before, by each key of `order_errors`.

    fn: Tensors to a Tensor or a sequence of them, without randomness of its own; outputs that are not floating are left
    out. inputs: float64 Tensors, or one, of which those that require a gradient are differentiated by; the others are
    constants. eps: the step, relative above 1. A difference up to atol + rtol * (the largest derivative) passes. full:
    see FULL_JACOBIAN. The error is max |analytic - numeric| / max(1, |numeric|). A gradient of None counts as zero.

    Raises GradcheckError if a derivative is not finite, or fn changes from call to call; TypeError for inputs in
    float32, whose differences would be noise; ValueError if no input requires a gradient.
    """
    name, inputs = name or name_of(fn), sequence(inputs, Tensor)
    if order < 1:
        raise ValueError(f"{name}: the order to check must be at least 1, got {order}")
    with home(inputs):
        return _order_comparisons(fn, inputs, order, eps, atol, rtol, seed, full, name)


def _order_comparisons(fn, inputs, order, eps, atol, rtol, seed, full, name) -> dict[Key, Comparison]:
    point, positions = {i: host(x.data) for i, x in enumerate(inputs)}, wanted(inputs)
    if not positions:
        raise ValueError(f"{name}: none of the inputs requires a gradient, so there is nothing to check")
    for i in positions:
        if point[i].dtype != float64:
            raise TypeError(f"{name}: input {i} is {point[i].dtype}; finite differences need float64 (use .double())")

    before, leaves = evaluate(fn, point, positions, order - 1, seed)
    again, _ = evaluate(fn, point, positions, order - 1, seed)
    _require_finite(name, order - 1, before)
    if not all(np.array_equal(a, b) for a, b in zip(map(array, before), map(array, again), strict=True)):
        raise GradcheckError(f"{name}: two calls on the same inputs differ, so differences mean nothing", order - 1)
    if order == 1 and not all(x.is_contiguous() for x in inputs):
        with no_grad():
            gapless = [x.contiguous() for x in inputs]
            pairs = zip(*(sequence(fn(*xs), Tensor) for xs in (inputs, gapless)), strict=True)
        for i, (a, b) in enumerate(pairs):
            compare(name, 0, i, array(a), array(b), atol, rtol, "in memory without gaps it is")

    by = [*positions, *(key for key in leaves if key not in point)]
    point = {key: host(leaf.data) for key, leaf in leaves.items()}
    jacobian = _differences(fn, point, by, positions, order - 1, seed, before, eps)
    finer: np.ndarray | None = None
    seeds = [cotangents(before, order, seed)]
    size = sum(0 if y is None else y.data.size for y in before)
    if size <= full:
        seeds += [_one_hot(before, k) for k in range(size)]
    comparisons = dict.fromkeys(by, Comparison(0.0))
    for rows in seeds:
        analytic = backward(before, [leaves[key] for key in by], rows, create_graph=False)
        _require_finite(name, order, analytic)
        weights = np.concatenate([u.ravel() for u in rows if u is not None] or [np.zeros(0)])
        numeric = weights @ jacobian
        values = [
            np.zeros(point[key].size) if a is None else host(a.data).ravel()
            for key, a in zip(by, analytic, strict=True)
        ]
        flat = np.concatenate(values or [np.zeros(0)])
        different = np.abs(flat - numeric) > atol + rtol * np.abs(numeric).max(initial=0.0)
        if different.any():
            if finer is None:
                finer = _differences(fn, point, by, positions, order - 1, seed, before, eps / FINER)
            numeric = np.where(different, weights @ finer, numeric)
        ends = np.cumsum([point[key].size for key in by])[:-1]
        for key, a, n in zip(by, values, np.split(numeric, ends), strict=True):
            a, n = a.reshape(point[key].shape), n.reshape(point[key].shape)
            pair = comparison(name, order, key, a, n, atol, rtol, "finite differences say")
            comparisons[key] = comparisons[key].worse(pair)
    return comparisons


def _one_hot(values, k: int) -> list[np.ndarray | None]:
    """Cotangents that are zero but for a 1 at element k, counted through all values."""
    flat = np.zeros(sum(0 if y is None else y.data.size for y in values))
    flat[k] = 1.0
    rows, start = [], 0
    for y in values:
        rows.append(None if y is None else flat[start : start + y.data.size].reshape(y.shape))
        start += 0 if y is None else y.data.size
    return rows


def _differences(fn, point, by, positions, order: int, seed: int, before, eps: float) -> np.ndarray:
    """The Jacobian of phi_order by central differences: (elements of phi_order, elements of the leaves `by`)."""
    shapes = [y.shape for y in before if y is not None]
    columns = []
    for key in by:
        for element in np.ndindex(point[key].shape):
            step = eps * max(1.0, abs(point[key][element]))
            sides = []
            for sign in (1, -1):
                array = point[key].copy(order="K")
                array[element] += sign * step
                values = evaluate(fn, {**point, key: array}, positions, order, seed)[0]
                outputs = [y for y, b in zip(values, before, strict=True) if b is not None]
                flat = [np.zeros(s) if y is None else host(y.data) for y, s in zip(outputs, shapes, strict=True)]
                sides.append((array[element], np.concatenate([f.ravel() for f in flat]) if flat else np.zeros(0)))
            (high, above), (low, below) = sides
            columns.append((above - below) / (high - low))
    rows = sum(0 if y is None else y.data.size for y in before)
    return np.stack(columns, 1) if columns else np.zeros((rows, 0))


def _require_finite(name: str, order: int, values: Sequence[Tensor | None]) -> None:
    for i, y in enumerate(values):
        if y is not None and not np.isfinite(host(y.data)).all():
            what = "output" if order == 0 else f"order-{order} derivative, input"
            raise GradcheckError(f"{name}: {what} {i} of shape {y.shape} is not finite", order, i)
