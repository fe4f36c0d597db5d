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

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from ..autograd import Op, Tensor, array_of, enable_grad, grad, no_grad
from ..backend import FLOATS, default_device, device, device_of, float64, host, to_device

EPS, TOLERANCE, TORCH_TOLERANCE = 1e-5, 1e-6, 1e-9
Key = int | tuple[int, int]
"""What is differentiated by: an input by its position, or a cotangent by its order and position."""
FINER = 100
"""How much smaller the step is with which elements that differ are compared again."""
FULL_JACOBIAN = 12
"""Outputs up to which the whole Jacobian is compared, not only its product with a random cotangent."""


class GradcheckError(ValueError):
    """A derivative is wrong. order, input (or the key of a cotangent), element: where; analytic, numeric: the two
    values there."""

    def __init__(self, message: str, order: int, input=None, element=None, analytic=None, numeric=None) -> None:
        super().__init__(message)
        self.order, self.input, self.element = order, input, element
        self.analytic, self.numeric = analytic, numeric


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
        raise ValueError(f"{_name(fn)}: the highest order to check must be at least 1, got {upto}")
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
    with _home(inputs), no_grad():
        outputs, expected = (_sequence(f(*inputs), Tensor) for f in (fn, reference))
    if len(outputs) != len(expected) or any(a.shape != b.shape for a, b in zip(outputs, expected, strict=True)):
        shapes = [[y.shape for y in ys] for ys in (outputs, expected)]
        raise GradcheckError(f"{_name(fn)}: outputs of shapes {shapes[0]}, the reference has {shapes[1]}", 0)
    tolerances = (TORCH_TOLERANCE, TORCH_TOLERANCE)
    pairs = zip(outputs, expected, strict=True)
    return max(
        (
            compare(_name(fn), 0, i, _array(a), _array(b), *tolerances, "the reference says")
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


def order_errors(
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
) -> dict[Key, float]:
    """The worst error of the derivative of the given order, by each input that requires a gradient (the key is its
    position) and by each cotangent of a lower order (the key is that order and its position).

    fn: Tensors to a Tensor or a sequence of them, without randomness of its own; outputs that are not floating are left
    out. inputs: float64 Tensors, of which those that require a gradient are differentiated by; the others are
    constants. eps: the step, relative above 1. A difference up to atol + rtol * (the largest derivative) passes. full:
    see FULL_JACOBIAN. The error is max |analytic - numeric| / max(1, |numeric|). A gradient of None counts as zero.

    Raises GradcheckError, naming the place and both values, if a derivative is wrong or not finite, or fn changes from
    call to call; TypeError for inputs in float32, whose differences would be noise; ValueError if no input requires a
    gradient.
    """
    name = name or _name(fn)
    if order < 1:
        raise ValueError(f"{name}: the order to check must be at least 1, got {order}")
    with _home(inputs):
        return _order_errors(fn, inputs, order, eps, atol, rtol, seed, full, name)


def _home(inputs: Sequence[Tensor]) -> device:
    """The device of the inputs, as a context in which further tensors are made there."""
    return device_of(array_of(inputs[0])) if inputs else default_device()


def _order_errors(fn, inputs, order, eps, atol, rtol, seed, full, name) -> dict[Key, float]:
    point, positions = {i: host(x.data) for i, x in enumerate(inputs)}, _wanted(inputs)
    if not positions:
        raise ValueError(f"{name}: none of the inputs requires a gradient, so there is nothing to check")
    for i in positions:
        if point[i].dtype != float64:
            raise TypeError(f"{name}: input {i} is {point[i].dtype}; finite differences need float64 (use .double())")

    before, leaves = _evaluate(fn, point, positions, order - 1, seed)
    again, _ = _evaluate(fn, point, positions, order - 1, seed)
    _require_finite(name, order - 1, before)
    if not all(np.array_equal(a, b) for a, b in zip(map(_array, before), map(_array, again), strict=True)):
        raise GradcheckError(f"{name}: two calls on the same inputs differ, so differences mean nothing", order - 1)

    by = [*positions, *(key for key in leaves if key not in point)]
    point = {key: host(leaf.data) for key, leaf in leaves.items()}
    jacobian = _differences(fn, point, by, positions, order - 1, seed, before, eps)
    finer: np.ndarray | None = None
    cotangents = [_cotangents(before, order, seed)]
    size = sum(0 if y is None else y.data.size for y in before)
    if size <= full:
        cotangents += [_one_hot(before, k) for k in range(size)]
    errors = dict.fromkeys(by, 0.0)
    for rows in cotangents:
        analytic = _backward(before, [leaves[key] for key in by], rows, create_graph=False)
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
            shape = point[key].shape
            error = compare(name, order, key, a.reshape(shape), n.reshape(shape), atol, rtol, "finite differences say")
            errors[key] = max(errors[key], error)
    return errors


def compare_with_torch(
    fn: Callable, torch_fn: Callable, inputs: Sequence[Tensor], order: int = 2, **options
) -> list[float]:
    """The worst errors of fn's value and derivatives, orders 0 to `order`, against PyTorch's of torch_fn.

    Arguments and errors as for `torch_errors`.
    """
    errors = (torch_errors(fn, torch_fn, inputs, level, **options) for level in range(order + 1))
    return [max(level, default=0.0) for level in errors]


def torch_errors(
    fn: Callable,
    torch_fn: Callable,
    inputs: Sequence[Tensor],
    order: int,
    *,
    atol: float = TORCH_TOLERANCE,
    rtol: float = TORCH_TOLERANCE,
    seed: int = 0,
    name: str | None = None,
) -> list[float]:
    """The errors, against PyTorch under the same random cotangents, of each output of fn (order 0) or of its derivative
    by each input that requires a gradient.

    torch_fn takes torch tensors. Raises GradcheckError where they differ, ModuleNotFoundError without PyTorch.
    """
    name = name or _name(fn)
    arrays, positions = [host(x.data) for x in inputs], _wanted(inputs)
    with _home(inputs):
        ours = _evaluate(fn, dict(enumerate(arrays)), positions, order, seed)[0]
    theirs = torch_derivatives(torch_fn, arrays, positions, order, seed)
    if len(ours) != len(theirs):
        raise GradcheckError(f"{name}: {len(ours)} outputs, PyTorch has {len(theirs)}", order)
    errors = []
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        i = positions[k] if order else k
        a, b = _array(a), _array(b)
        a = np.zeros(() if b is None else b.shape) if a is None else a
        b = np.zeros(a.shape) if b is None else b
        if a.shape != b.shape:
            raise GradcheckError(f"{name}: shape {a.shape} at order {order}, PyTorch has {b.shape}", order, i)
        errors.append(compare(name, order, i, a, b, atol, rtol, "PyTorch says"))
    return errors


def derivatives(fn: Callable, inputs: Sequence[Tensor], order: int, seed: int = 0) -> list[np.ndarray | None]:
    """phi_order at `inputs`, for the cotangents of `seed`: the outputs for order 0, else one array (or None for zero)
    per input that requires a gradient."""
    point = {i: host(x.data) for i, x in enumerate(inputs)}
    with _home(inputs):
        values = _evaluate(fn, point, _wanted(inputs), order, seed)[0]
    return [None if y is None else host(y.data) for y in values]


def torch_derivatives(
    torch_fn: Callable, arrays: Sequence[np.ndarray], positions: Sequence[int], order: int, seed: int = 0
) -> list:
    """The same phi_order, by PyTorch: a list of torch tensors or None. `wanted` are the positions differentiated by."""
    import torch

    # Negative strides are no torch tensor's, so everything is copied.
    leaves = [torch.tensor(np.array(a, order="C")) for a in arrays]
    for i in positions:
        leaves[i].requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's advice on speed is not about us
        values = _sequence(torch_fn(*leaves), torch.Tensor)
    for level in range(1, order + 1):
        values = [y if y is None or y.is_floating_point() else None for y in values]
        rows = _cotangents(values, level, seed)
        pairs = [
            (y, torch.as_tensor(u, dtype=y.dtype))
            for y, u in zip(values, rows, strict=True)
            if y is not None and y.requires_grad
        ]
        if not pairs:
            return [None] * len(positions)
        outputs, seeds = zip(*pairs, strict=True)
        values = list(
            torch.autograd.grad(outputs, [leaves[i] for i in positions], seeds, create_graph=True, allow_unused=True)
        )
    return [None if y is None else y.detach() for y in values]


_WHAT = {int: "input", tuple: "cotangent"}


def compare(name: str, order: int, i: Key, a: np.ndarray, b: np.ndarray, atol: float, rtol: float, says: str) -> float:
    """max |a - b| / max(1, |b|). Raises GradcheckError where |a - b| > atol + rtol max |b|, or where one of them is not
    finite and the other is not the same. says: who b is, for the message."""
    if a.size == 0:
        return 0.0
    a, b = a.astype(np.float64), b.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):
        difference = np.where(same, 0.0, np.abs(a - b))
    difference = np.where(np.isnan(difference), np.inf, difference)
    scale = np.max(np.abs(b), where=np.isfinite(b), initial=0.0)
    if difference.max() > atol + rtol * scale:
        at = tuple(int(k) for k in np.unravel_index(difference.argmax(), difference.shape))
        what = "value of output" if order == 0 else f"order-{order} derivative by {_WHAT[type(i)]}"
        message = f"{name}: {what} {i} at element {at} is {a[at]:.10g}, {says} {b[at]:.10g}"
        raise GradcheckError(message, order, i, at, float(a[at]), float(b[at]))
    return float(difference.max() / max(1.0, scale))


def cotangent(seed: int, order: int, position: int, shape: tuple[int, ...]) -> np.ndarray:
    """The cotangent of output number `position` at the given order: standard normal, the same whenever it is asked
    for."""
    return np.random.default_rng((seed, order, position)).standard_normal(shape)


def _evaluate(fn: Callable, point: dict[Key, np.ndarray], positions, order: int, seed: int):
    """phi_order, still on the graph, and the leaves it was computed from: inputs and cotangents, by key.

    point: the inputs by position and, by (order, position), cotangents to use in place of those of `seed`.
    """
    inputs = {key: a for key, a in point.items() if isinstance(key, int)}
    leaves = {key: Tensor(to_device(a, default_device())).requires_grad_(key in positions) for key, a in inputs.items()}
    with enable_grad():
        values = list(_sequence(fn(*leaves.values()), Tensor))
        if order:
            values = [y if y is not None and y.dtype in FLOATS else None for y in values]
        for level in range(1, order + 1):
            rows = [None] * len(values)
            for i, y in enumerate(values):
                if y is not None:
                    u = point.get((level, i), cotangent(seed, level, i, y.shape))
                    u = to_device(u.astype(y.dtype), default_device())
                    rows[i] = leaves[level, i] = Tensor(u).requires_grad_()
            values = _backward(values, [leaves[i] for i in positions], rows, create_graph=True)
    return values, leaves


def _backward(values, leaves, rows, create_graph: bool) -> list[Tensor | None]:
    """The gradient of the sum of <row, value> by the leaves."""
    pairs = [(y, u) for y, u in zip(values, rows, strict=True) if u is not None and y.requires_grad]
    if not pairs:
        return [None] * len(leaves)
    outputs = [y for y, _ in pairs]
    seeds = [u if isinstance(u, Tensor) else Tensor(to_device(u, default_device())) for _, u in pairs]
    return list(grad(outputs, leaves, seeds, create_graph=create_graph, allow_unused=True))


def _cotangents(values, order: int, seed: int) -> list[np.ndarray | None]:
    return [None if y is None else cotangent(seed, order, i, tuple(y.shape)) for i, y in enumerate(values)]


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
                values = _evaluate(fn, {**point, key: array}, positions, order, seed)[0]
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


def _wanted(inputs: Sequence[Tensor]) -> list[int]:
    return [i for i, x in enumerate(inputs) if x.requires_grad]


def _array(value) -> np.ndarray | None:
    """The array of a minigan or torch tensor."""
    if value is None:
        return None
    return host(value.data) if isinstance(value, Tensor) else value.detach().numpy(force=True)


def _sequence(value, kind: type) -> Sequence:
    return (value,) if isinstance(value, kind) else value


def _name(fn: Callable) -> str:
    return getattr(fn, "name", None) or getattr(fn, "__name__", type(fn).__name__)
