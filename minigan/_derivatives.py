"""Machine room, engine: derivatives of whole functions, by the names and shapes of torch.autograd.functional.

    jacobian(f, x)      dy/dx, of shape y.shape + x.shape
    hessian(f, x)       d2y/dx2 of a one-element y, of shape x.shape + x.shape
    vjp(f, x, v)        f(x), v dy/dx                one backward pass
    jvp(f, x, v)        f(x), dy/dx v                two: v dy/dx is linear in v; its slope is the transpose
    hvp(f, x, v)        f(x), d2y/dx2 v              two: the derivative of <dy/dx, v> (Pearlmutter 1994)

`inputs` is a Tensor or a tuple of them, and a result has an entry for each. With create_graph the results are on the
graph of the inputs; otherwise they are constants, and nothing reaches the inputs' own graph.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .autograd import Tensor, array_of, enable_grad, grad
from .backend import namespace
from .ops.basic import mul
from .ops.index import stack
from .ops.reduce import sum

Inputs = Tensor | tuple[Tensor, ...]


def jacobian(func: Callable, inputs: Inputs, create_graph: bool = False, strict: bool = False) -> Any:
    """dy/dx for each output y of func(*inputs) and each input x: a Tensor, or tuples of them (outputs, then inputs)
    where there are tuples. strict: ValueError where an output does not depend on an input; zeros otherwise."""
    xs, ys, one_x, one_y = _run("jacobian", func, inputs, create_graph)
    rows = tuple(tuple(_rows(y, xs, create_graph, strict)) for y in ys)
    columns = tuple(row[0] if one_x else row for row in rows)
    return columns[0] if one_y else columns


def _rows(y: Tensor, xs: Sequence[Tensor], create_graph: bool, strict: bool) -> list[Tensor]:
    """dy/dx for each x, by one backward pass for each element of y."""
    flat = y.reshape(-1)
    slopes = [_gradients([flat[i]], xs, None, create_graph, strict) for i in range(flat.shape[0])]
    if not slopes:
        return [_zeros(x, (*y.shape, *x.shape)) for x in xs]
    return [
        stack(column).reshape((*y.shape, *x.shape)) for x, column in zip(xs, zip(*slopes, strict=True), strict=True)
    ]


def hessian(func: Callable, inputs: Inputs, create_graph: bool = False, strict: bool = False) -> Any:
    """The second derivatives of a one-element func(*inputs): a Tensor, or a tuple of tuples where there are tuples."""
    _require_function("hessian", func)
    one = isinstance(inputs, Tensor)

    def slope(*xs: Tensor) -> Any:
        y = _single("hessian", func(*xs))
        slopes = tuple(_gradients([y], xs, None, True, strict))
        return slopes[0] if one else slopes

    return jacobian(slope, inputs, create_graph, strict)


def vjp(
    func: Callable, inputs: Inputs, v: Inputs | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), the sum over outputs of v dy/dx for each input). v: of the outputs' shapes; a one-element output
    needs none."""
    xs, ys, one_x, one_y = _run("vjp", func, inputs, create_graph)
    slopes = _gradients(ys, xs, None if v is None else _tuple(v), create_graph, strict)
    return _answer(ys, one_y, create_graph), slopes[0] if one_x else tuple(slopes)


def jvp(
    func: Callable, inputs: Inputs, v: Inputs | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), the sum over inputs of dy/dx v for each output). v: of the inputs' shapes; it may be left out for
    a one-element input."""
    xs, ys, _, one_y = _run("jvp", func, inputs, create_graph)
    directions = _directions("jvp", xs, v)
    with enable_grad():
        cotangents = tuple(_zeros(y, y.shape).requires_grad_() for y in ys)
        slopes = _gradients(ys, xs, cotangents, True, strict)
    answers = _gradients(slopes, cotangents, directions, create_graph, False)
    return _answer(ys, one_y, create_graph), answers[0] if one_y else tuple(answers)


def hvp(
    func: Callable, inputs: Inputs, v: Inputs | None = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """(func(*inputs), its second derivatives times v, for each input); func has one element. v: of the inputs'
    shapes."""
    xs, ys, one_x, one_y = _run("hvp", func, inputs, create_graph)
    y, directions = _single("hvp", ys[0]), _directions("hvp", xs, v)
    with enable_grad():
        slopes = _gradients([y], xs, None, True, strict)
        along = [sum(mul(slope, d)) for slope, d in zip(slopes, directions, strict=True)]
    answers = _gradients(along, xs, None, create_graph, strict)
    return _answer(ys, one_y, create_graph), answers[0] if one_x else tuple(answers)


def _require_function(name: str, func: object) -> None:
    if not callable(func):
        raise TypeError(f"{name}: expected a function of Tensors, not {type(func).__name__}")


def _tuple(value: Any) -> tuple:
    return (value,) if isinstance(value, Tensor) else tuple(value)


def _run(name: str, func: Callable, inputs: Inputs, create_graph: bool) -> tuple[Any, Any, bool, bool]:
    """(the inputs as end points of a graph of their own, the outputs, whether each is one Tensor)."""
    xs = tuple(inputs) if isinstance(inputs, (tuple, list)) else (inputs,)
    if not all(isinstance(x, Tensor) for x in xs):
        raise TypeError(f"{name}: inputs must be a Tensor or a tuple of Tensors")
    _require_function(name, func)
    with enable_grad():
        ends = tuple(x._alias() if create_graph and x.requires_grad else x.detach().requires_grad_() for x in xs)
        outputs = func(*ends)
    ys = tuple(outputs) if isinstance(outputs, (tuple, list)) else (outputs,)
    if not ys or not all(isinstance(y, Tensor) for y in ys):
        raise TypeError(
            f"{name}: the function must return a Tensor or a tuple of Tensors, not {type(outputs).__name__}"
        )
    return ends, ys, isinstance(inputs, Tensor), isinstance(outputs, Tensor)


def _gradients(
    ys: Sequence[Tensor], xs: Sequence[Tensor], cotangents: Any, create_graph: bool, strict: bool
) -> list[Tensor]:
    """`grad`, with zeros for what does not depend on an input, or ValueError if `strict`."""
    places = [i for i, y in enumerate(ys) if y.requires_grad]
    slopes: Sequence[Tensor | None] = grad(
        [ys[i] for i in places],
        xs,
        None if cotangents is None else [cotangents[i] for i in places],
        create_graph=create_graph,
        allow_unused=True,
    )
    if strict and (len(places) < len(ys) or None in slopes):
        raise ValueError("an output does not depend on an input; strict=False has zeros there")
    return [_zeros(x, x.shape) if g is None else g for x, g in zip(xs, slopes, strict=True)]


def _zeros(like: Tensor, shape: tuple[int, ...]) -> Tensor:
    return Tensor(namespace(array_of(like)).zeros(shape, like.dtype))


def _directions(name: str, xs: Sequence[Tensor], v: Inputs | None) -> tuple[Tensor, ...]:
    if v is None:
        if len(xs) > 1 or array_of(xs[0]).size != 1:
            raise ValueError(f"{name}: give v, a direction of the inputs' shapes; only a one-element input needs none")
        return (Tensor(namespace(array_of(xs[0])).ones(xs[0].shape, xs[0].dtype)),)
    directions = _tuple(v)
    if [d.shape for d in directions] != [x.shape for x in xs]:
        raise ValueError(
            f"{name}: v has the shapes {[d.shape for d in directions]}, the inputs {[x.shape for x in xs]}"
        )
    return directions


def _single(name: str, y: Any) -> Tensor:
    if not isinstance(y, Tensor) or array_of(y).size != 1:
        raise ValueError(f"{name}: the function must return one number, got {getattr(y, 'shape', type(y).__name__)}")
    return y


def _answer(ys: Sequence[Tensor], one: bool, create_graph: bool) -> Any:
    answers = tuple(ys) if create_graph else tuple(y.detach() for y in ys)
    return answers[0] if one else answers
