"""The op table: other names of views and parts, and what is said of bools and of the bits of integers."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from ..autograd import tensor as make
from ..methods import PUBLIC
from .opcase import POSITIVE, REAL, BadCall, OpCase, Values, call

ONES = np.ones((2, 3), np.float32)


def _method(name: str, *samples, edge=(), error_inputs=()) -> OpCase:
    """A method that takes the same arguments here and in PyTorch."""
    return OpCase(
        name,
        PUBLIC[name],
        samples,
        lambda torch, x, **settings: getattr(x, name)(**settings),
        edge=edge,
        error_inputs=error_inputs,
    )


def _like(name: str, *shapes) -> OpCase:
    """A method whose argument is a tensor of the wanted shape or dtype."""
    return OpCase(
        name,
        lambda x, like: PUBLIC[name](x, like),
        tuple(call(shape, like=np.zeros(wanted)) for shape, wanted in shapes),
        lambda torch, x, like: getattr(x, name)(like),
        error_inputs=(BadCall(lambda: PUBLIC[name](make(ONES), make(np.ones(4))), ValueError, "shape"),)
        if name != "type_as"
        else (),
    )


def _unlike(name: str, *more: np.ndarray) -> tuple[BadCall, ...]:
    """A call with shapes that do not broadcast."""
    arrays = (ONES, ONES[:, :2], *more)
    return (BadCall(lambda: PUBLIC[name](*map(make, arrays)), ValueError, "do not broadcast"),)


def _product(name: str, a: tuple[int, ...], b: tuple[int, ...]) -> OpCase:
    return OpCase(
        name,
        PUBLIC[name],
        (call(a, b),),
        name,
        edge=(call((*a[:-1], 0), (0, *b[1:])),),
        error_inputs=(
            BadCall(lambda: PUBLIC[name](make(np.ones((1, 1, 1))), make(ONES)), ValueError, f"{name}: expected"),
        ),
    )


VIEWS = (
    _method("ravel", call((2, 3)), edge=(call(()), call((0, 2)))),
    _method(
        "t",
        call((2, 3)),
        edge=(call(()), call((3,))),
        error_inputs=(
            BadCall(lambda: PUBLIC["t"](make(np.ones((1, 2, 3)))), ValueError, "t: expected at most 2 axes"),
        ),
    ),
    _method(
        "movedim",
        call((2, 3, 4), source=0, destination=-1),
        call((2, 3, 4), source=(0, 2), destination=(2, 1)),
        error_inputs=(
            BadCall(lambda: PUBLIC["movedim"](make(ONES), 0, (0, 1)), ValueError, "movedim: 1 axes for 2 places"),
            BadCall(lambda: PUBLIC["movedim"](make(ONES), (0, 0), (0, 1)), ValueError, "names an axis twice"),
        ),
    ),
    _method(
        "select",
        call((2, 3), dim=1, index=-1),
        edge=(call((1,), dim=0, index=0),),
        error_inputs=(
            BadCall(lambda: PUBLIC["select"](make(ONES), 1, 3), IndexError, "select: index 3 is outside axis 1"),
        ),
    ),
    _method(
        "narrow",
        call((2, 5), dim=1, start=1, length=3),
        call((4,), dim=0, start=-2, length=2),
        edge=(call((2, 3), dim=0, start=0, length=0),),
        error_inputs=(
            BadCall(lambda: PUBLIC["narrow"](make(ONES), 1, 2, 2), IndexError, "narrow: 2 slices from 2 on"),
        ),
    ),
    _method(
        "unbind",
        call((2, 3)),
        call((2, 3), dim=-1),
        error_inputs=(BadCall(lambda: PUBLIC["unbind"](make(1.0)), ValueError, "unbind: a 0-d tensor"),),
    ),
    _method(
        "unflatten",
        call((6, 2), dim=0, sizes=(2, -1)),
        call((2, 4), dim=-1, sizes=(2, 1, 2)),
        edge=(call((0, 3), dim=0, sizes=(2, 0)), call((1,), dim=0, sizes=(1, 1))),
        error_inputs=(
            BadCall(
                lambda: PUBLIC["unflatten"](make(ONES), 1, (2, 2)), ValueError, r"unflatten: sizes \(2, 2\) do not"
            ),
        ),
    ),
    _method(
        "repeat_interleave",
        call((2, 3), repeats=2),
        call((2, 3), repeats=3, dim=1),
        call((2, 3), repeats=np.array([2, 0, 1]), dim=-1),
        call((2, 3), repeats=np.array([2]), dim=0, output_size=4),
        edge=(call((), repeats=2), call((0, 3), repeats=2, dim=0), call((2, 3), repeats=0, dim=1)),
        error_inputs=(
            BadCall(lambda: PUBLIC["repeat_interleave"](make(ONES), -1), ValueError, "repeat_interleave: the number"),
            BadCall(lambda: PUBLIC["repeat_interleave"](make(ONES), make([1, -1]), 0), ValueError, "not be negative"),
            BadCall(lambda: PUBLIC["repeat_interleave"](make(ONES), make([1]), 2), IndexError, "dimension 2 is out"),
            BadCall(
                lambda: PUBLIC["repeat_interleave"](make(ONES), make([1, 2]), 1),
                ValueError,
                r"repeat_interleave: repeats must be 3 integers, or one, got int64 of shape \(2,\)",
            ),
            BadCall(
                lambda: PUBLIC["repeat_interleave"](make(ONES), 2, 1, output_size=5),
                ValueError,
                "repeat_interleave: output_size is 5, the axis has 6 slices",
            ),
        ),
    ),
    _method(
        "trace",
        call((3, 3)),
        call((2, 4)),
        edge=(call((0, 3)),),
        error_inputs=(BadCall(lambda: PUBLIC["trace"](make([1.0])), ValueError, "trace: expected a matrix"),),
    ),
    *(
        OpCase(
            name,
            lambda *x, name=name: PUBLIC[name](x),
            (call((2,), (2,)), call((2, 3), (2, 3)), call((2, 3, 1), (2, 3, 1)), call((), ())),
            lambda torch, *x, name=name: getattr(torch, name)(x),
            edge=(call((0,), (0,)), call((1,))),
            error_inputs=(
                BadCall(lambda name=name: PUBLIC[name]([]), ValueError, f"{name}: expected at least one tensor"),
                BadCall(
                    lambda name=name: PUBLIC[name]([make(ONES), make(np.ones((3, 4, 2)))]),
                    ValueError,
                    f"{name}: shapes",
                ),
            ),
        )
        for name in ("hstack", "vstack", "dstack")
    ),
    OpCase(
        "meshgrid",
        lambda *x, indexing="ij": PUBLIC["stack"](PUBLIC["meshgrid"](*x, indexing=indexing)),
        (call((2,), (3,)), call((2,), (3,), (1,), indexing="xy"), call((2,), ())),
        lambda torch, *x, indexing="ij": torch.stack(torch.meshgrid(*x, indexing=indexing)),
        edge=(call((0,), (3,)), call((2,), indexing="xy")),
        error_inputs=(
            BadCall(lambda: PUBLIC["meshgrid"](make(ONES)), ValueError, r"meshgrid: expected vectors, .*\(2, 3\)"),
            BadCall(lambda: PUBLIC["meshgrid"](make([1.0]), indexing="ji"), ValueError, "meshgrid: unknown indexing"),
        ),
    ),
    _like("expand_as", ((3, 1), (2, 3, 4))),
    _like("view_as", ((2, 6), (3, 4))),
    _like("type_as", ((2, 3), (1,))),
)


def _bits(name: str) -> OpCase:
    """Of bools and of integers; no input requires a gradient."""

    def both(*x: Tensor) -> tuple[Tensor, ...]:
        return PUBLIC[name](*(v > 0 for v in x)), PUBLIC[name](*((9 * v).long() for v in x))

    def torchs(torch, *x):
        return getattr(torch, name)(*(v > 0 for v in x)), getattr(torch, name)(*((9 * v).long() for v in x))

    return OpCase(
        name,
        both,
        (call((2, 3)) if name.endswith("not") else call((2, 3), (3,)),),
        torchs,
        max_order=0,
        torch_order=0,
        error_inputs=(
            (BadCall(lambda: PUBLIC[name](*[make(ONES)] * (2 - name.endswith("not"))), TypeError, "expected bools"),)
            if name.startswith("bitwise")
            else ()
            if name.endswith("not")
            else _unlike(name)
        ),
    )


LOGIC = tuple(_bits(f"{kind}_{name}") for kind in ("bitwise", "logical") for name in ("and", "or", "xor", "not"))


def _operator(name: str, fn, sample, max_order: int = 0, torch_order: int = 0, **settings) -> OpCase:
    """An operator is applied the same way to Tensors and to torch's."""
    return OpCase(
        f"__{name}__",
        fn,
        (sample,),
        lambda torch, *x: fn(*x),
        max_order=max_order,
        torch_order=torch_order,
        **settings,
    )


QUOTIENTS = (
    OpCase(
        "floor_divide",
        PUBLIC["floor_divide"],
        (call((2, 3), (3,)),),
        "floor_divide",
        values=(REAL, POSITIVE),
        max_order=0,
        torch_order=0,
        edge=(call((0, 2), (2,)),),
        error_inputs=_unlike("floor_divide"),
    ),
    OpCase(
        "remainder",
        PUBLIC["remainder"],
        (call((2, 3), (3,)), call((3,), (2, 1))),
        "remainder",
        values=(Values(0.6, 0.9), Values(0.2, 0.28)),
        error_inputs=_unlike("remainder"),
        edge=(call((0, 2), (2,)), call((), ())),
    ),
    _operator("floordiv", lambda a, b: a // b, call((2, 3), (3,))),
    _operator("rfloordiv", lambda a: 3.0 // a, call((2, 3)), values=POSITIVE),
    _operator("mod", lambda a: a % 0.7, call((2, 3)), max_order=3, torch_order=2),
    _operator("rmod", lambda a: 1.0 % a, call((2, 3)), values=Values(0.51, 0.9), max_order=3),
    OpCase("__pos__", lambda a: +a, (call((2, 3)),), lambda torch, a: +a),
)
PRODUCTS = (
    _product("mm", (2, 3), (3, 4)),
    _product("mv", (2, 3), (3,)),
    _product("dot", (3,), (3,)),
    OpCase(
        "addmm",
        PUBLIC["addmm"],
        (call((4,), (2, 3), (3, 4), beta=0.5, alpha=2.0),),
        "addmm",
        error_inputs=(BadCall(lambda: PUBLIC["addmm"](*[make(np.ones(2))] * 3), ValueError, "mm: expected"),),
    ),
    *(
        OpCase(
            name,
            PUBLIC[name],
            (call((2, 3), (3,), (2, 1), value=0.5),),
            name,
            values=POSITIVE,
            error_inputs=_unlike(name, ONES),
        )
        for name in ("addcmul", "addcdiv")
    ),
)
TESTS = (
    OpCase("isinf", PUBLIC["isinf"], (call((2, 3)),), "isinf", max_order=0, torch_order=0),
    OpCase(
        "isclose",
        lambda x, y: PUBLIC["isclose"](x, x + 1e-6 * y),
        (call((2, 3), (2, 3)),),
        lambda torch, x, y: torch.isclose(x, x + 1e-6 * y),
        max_order=0,
        torch_order=0,
        error_inputs=_unlike("isclose"),
    ),
)

OPERATORS = (
    _operator("and", lambda a, b: (a > 0) & (b > 0), call((2, 3), (3,))),
    _operator("or", lambda a, b: (a > 0) | (b > 0), call((2, 3), (3,))),
    _operator("xor", lambda a, b: (a > 0) ^ (b > 0), call((2, 3), (3,))),
    _operator("rand", lambda a: True & (a > 0), call((2, 3))),
    _operator("ror", lambda a: False | (a > 0), call((2, 3))),
    _operator("rxor", lambda a: True ^ (a > 0), call((2, 3))),
    _operator("invert", lambda a: ~(a > 0), call((2, 3))),
)

CASES = (*QUOTIENTS, *PRODUCTS, *TESTS, *VIEWS, *LOGIC, *OPERATORS)
