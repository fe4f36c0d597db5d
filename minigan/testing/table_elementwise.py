"""The op table, elementwise: arithmetic, comparison, functions of one number, and Tensor's operators."""

from __future__ import annotations

import math
import operator

import numpy as np

from ..autograd import Tensor
from ..autograd import tensor as make
from ..backend import float32, float64
from ..methods import PUBLIC
from ..ops import act as ops_act
from ..ops import basic as ops_basic
from ..ops import elementary as ops_elementary
from .opcase import DISTINCT, POSITIVE, REAL, BadCall, OpCase, Values, call

NONZERO = Values(avoid=(0.0,), gap=0.3)
ZERO = np.array([0.0, -0.0, 1.0, -1.0])
STEPS = np.array([-2.0, -1.5, -0.5, 0.0, 0.5, 1.0, 2.5])
BETWEEN = Values(avoid=(-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0), gap=0.05)
SHAPES = (call((2, 3)), call((2, 1, 3, 2)))
EDGE = (call(()), call((0,)), call((2, 0, 3)), call((1, 1)))
PAIRS = (call((2, 3), (2, 3)), call((2, 3), (3,)), call((2, 1, 3), (4, 1)), call((), (2, 2)), call((1, 1), (1,)))
EDGE_PAIRS = (call((), ()), call((0, 3), (3,)), call((2, 0), (1, 1)), call((1,), (1, 1, 1)))


def _unary(
    name: str, torch: str | None = None, values: Values = REAL, reference=None, kinks=(), strategy="unary", **settings
) -> OpCase:
    return OpCase(
        name,
        PUBLIC[name],
        SHAPES,
        torch or name,
        reference,
        values,
        EDGE,
        kinks=kinks,
        strategy=strategy,
        error_inputs=(BadCall(lambda: PUBLIC[name]("x"), TypeError, f"^{name}: .*(dtype|must be a Tensor)"),),
        **settings,
    )


def _binary(name: str, torch: str | None = None, values=REAL, kinks=(), strategy="binary", **settings) -> OpCase:
    fn = PUBLIC[name]
    mismatch = BadCall(
        lambda: fn(make(np.ones((2, 3))), make(np.ones(2))),
        ValueError,
        r"the shapes do not broadcast.*\(2, 3\), \(2,\)",
    )
    return OpCase(
        name,
        fn,
        PAIRS,
        torch or name,
        None,
        values,
        EDGE_PAIRS,
        kinks=kinks,
        strategy=strategy,
        error_inputs=(mismatch,),
        **settings,
    )


def _operator(name: str, fn, samples=PAIRS, values=REAL, **settings) -> OpCase:
    """An operator is applied the same way to Tensors and to torch's."""
    return OpCase(f"__{name}__", fn, samples, lambda torch, *x: fn(*x), values=values, **settings)


UNARY = (
    _unary("neg"),
    _unary("abs", values=NONZERO, kinks=(call(ZERO),)),
    _unary("square", reference=lambda x: x * x),
    _unary("exp"),
    _unary("expm1", reference=lambda x: ops_elementary.exp(x) - 1),
    _unary("log", values=POSITIVE),
    _unary("log1p", values=Values(-0.5, 2.0), reference=lambda x: ops_elementary.log(1 + x)),
    _unary("sqrt", values=POSITIVE, reference=lambda x: ops_elementary.exp(0.5 * ops_elementary.log(x))),
    _unary("rsqrt", values=POSITIVE, reference=lambda x: 1 / ops_elementary.sqrt(x)),
    _unary("sin", reference=lambda x: -ops_elementary.cos(x + math.pi / 2)),
    _unary("cos", reference=lambda x: ops_elementary.sin(x + math.pi / 2)),
    _unary("erf", torch="special.erf"),
    _unary("tan", values=Values(-1.3, 1.3)),
    _unary("asin", values=Values(-0.8, 0.8)),
    _unary("acos", values=Values(-0.8, 0.8)),
    _unary("atan"),
    _unary("sinh", reference=lambda x: (ops_elementary.exp(x) - ops_elementary.exp(-x)) / 2),
    _unary("cosh", reference=lambda x: (ops_elementary.exp(x) + ops_elementary.exp(-x)) / 2),
    _unary("reciprocal", values=NONZERO),
    _unary("sign", values=NONZERO, max_order=0),
    *(
        _unary(name, values=BETWEEN, kinks=(call(STEPS),), strategy=None)
        for name in ("floor", "ceil", "trunc", "round")
    ),
    _unary("isfinite", max_order=0, torch_order=0),
    _unary("isnan", max_order=0, torch_order=0),
)

BINARY = (
    _binary("add"),
    _binary("sub"),
    _binary("mul"),
    _binary("div", values=NONZERO),
    _binary("maximum", values=DISTINCT, kinks=(call(ZERO, np.array([0.0, 0.0, 1.0, 2.0])),)),
    _binary("minimum", values=DISTINCT, kinks=(call(ZERO, np.array([0.0, 0.0, 1.0, 2.0])),)),
    _binary(
        "atan2",
        values=NONZERO,
        kinks=(call(ZERO, ZERO[::-1].copy()), call(np.zeros(2), np.array([0.0, -0.0]))),
        strategy=None,
    ),
    _binary("pow", values=(POSITIVE, REAL), kinks=(call(np.array([0.0, 0.0, 2.0]), np.array([2.0, 3.0, 0.0])),)),
    *(
        _binary(name, values=DISTINCT, max_order=0, torch_order=0, kinks=(call(ZERO, ZERO[::-1].copy()),))
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    ),
)


def _power(name: str, exponent: float, values: Values) -> OpCase:
    return OpCase(
        f"pow.{name}",
        lambda x: ops_elementary.pow(x, exponent),
        SHAPES,
        lambda torch, x: torch.pow(x, exponent),
        None,
        values,
        EDGE,
        kinks=(call(ZERO),) if exponent in (0, 1, 2, 3) else (),
        strategy="unary",
    )


CONDITION = np.array([[True, False, True], [False, False, True]])

OTHERS = (
    _power("square", 2, REAL),
    _power("cube", 3, REAL),
    _power("first", 1, REAL),
    _power("zeroth", 0, REAL),
    _power("root", 0.5, POSITIVE),
    _power("inverse", -1, NONZERO),
    _power("fractional", 2.5, POSITIVE),
    OpCase(
        "pow.of_number",
        lambda x: ops_elementary.pow(2.0, x),
        SHAPES,
        lambda torch, x: torch.pow(2.0, x),
        lambda x: ops_elementary.exp(x * math.log(2.0)),
        edge=EDGE,
        strategy="unary",
    ),
    OpCase(
        "clip",
        ops_elementary.clip,
        (call((3, 4), min=-0.5, max=0.75), call((5,), min=-0.5), call((2, 3), max=0.75)),
        "clip",
        lambda x, min=None, max=None: ops_elementary.minimum(
            ops_elementary.maximum(x, -9.0 if min is None else min), 9.0 if max is None else max
        ),
        Values(avoid=(-0.5, 0.75)),
        edge=(call((), min=0.0), call((0, 2), max=0.0)),
        kinks=(call(np.array([-0.5, 0.0, 0.75, 2.0]), min=-0.5, max=0.75),),
        error_inputs=(BadCall(lambda: ops_elementary.clip(make([1.0])), ValueError, "clip: give min, max or both"),),
    ),
    OpCase(
        "clip.tensors",
        ops_elementary.clip,
        (call((2, 3), (3,), (2, 1)), call((2, 3), (2, 3)), call((3,), (2, 3), max=0.5)),
        lambda torch, x, low, high=None, max=None: (
            torch.clip(x, low, high) if max is None else torch.clip(x, low, torch.tensor(max, dtype=x.dtype))
        ),
        values=DISTINCT,
        edge=(call((), (), ()), call((0, 3), (3,))),
        kinks=(call(ZERO, np.zeros(4), np.ones(4)), call(ZERO, np.ones(4), np.zeros(4))),
    ),
    *(
        OpCase(
            f"clamp_{side}",
            PUBLIC[f"clamp_{side}"],
            (call((3, 4), **{side: 0.5}),),
            f"clamp_{side}",
            values=Values(avoid=(0.5,)),
            edge=(call((), **{side: 0.0}), call((0, 2), **{side: 0.0})),
            kinks=(call(np.array([-0.5, 0.5, 2.0]), **{side: 0.5}),),
            error_inputs=(
                BadCall(
                    lambda side=side: PUBLIC[f"clamp_{side}"](make([1.0]), None),
                    TypeError,
                    f"clamp_{side}: {side} must",
                ),
            ),
        )
        for side in ("min", "max")
    ),
    OpCase(
        "round.decimals",
        lambda x, decimals: ops_elementary.round(x, decimals),
        (call((2, 3), decimals=1), call(np.array([123.4, -155.0]), decimals=-1)),
        lambda torch, x, decimals: torch.round(x, decimals=decimals),
        values=BETWEEN,
        max_order=0,
    ),
    OpCase(
        "lerp",
        ops_elementary.lerp,
        (call((2, 3), (2, 3), weight=0.25), call((2, 3), (3,), (2, 1)), call((2, 3), (2, 3), weight=1.5)),
        "lerp",
        edge=(call((), (), weight=0.5), call((0, 3), (3,), weight=0.5)),
        error_inputs=(
            BadCall(
                lambda: ops_elementary.lerp(make([1.0, 2.0]), make([1.0, 2.0, 3.0]), 0.5),
                ValueError,
                "the shapes do not broadcast",
            ),
        ),
    ),
    OpCase(
        "where",
        lambda a, b, condition: ops_basic.where(condition, a, b),
        (
            call((2, 3), (2, 3), condition=CONDITION),
            call((3,), (2, 1), condition=CONDITION),
            call((2, 2, 3), (), condition=CONDITION[0]),
        ),
        lambda torch, a, b, condition: torch.where(condition, a, b),
        lambda a, b, condition: a * condition.to(a.dtype) + b * (1 - condition.to(a.dtype)),
        edge=(call((0, 3), (3,), condition=CONDITION[:1]), call((), (), condition=np.array(True))),
        error_inputs=(
            BadCall(
                lambda: ops_basic.where(make([1.0]), 1.0, 2.0),
                TypeError,
                "where: the condition must be bool, not float32",
            ),
            BadCall(
                lambda: ops_basic.where(np.ones(2, bool), make([1.0, 2.0, 3.0]), 2.0),
                ValueError,
                "where: the shapes do not broadcast",
            ),
        ),
    ),
    OpCase(
        "sum_to",
        ops_basic.sum_to,
        (
            call((2, 3, 4), shape=(3, 1)),
            call((2, 3), shape=(2, 3)),
            call((2, 3), shape=()),
            call((1, 2), shape=(1, 1)),
            call((2, 1, 2), shape=(1, 2)),
        ),
        lambda torch, x, shape: x.sum_to_size(shape),
        edge=(call((0, 3), shape=(1, 3)), call((), shape=()), call((1, 1), shape=(1,)), call((0, 3), shape=(3,))),
        strategy="sum_to",
        error_inputs=(
            BadCall(
                lambda: ops_basic.sum_to(make(np.ones((2, 3))), (2, 2)),
                ValueError,
                r"sum_to: \(2, 3\) cannot be summed to \(2, 2\)",
            ),
        ),
    ),
    OpCase(
        "broadcast_to",
        ops_basic.broadcast_to,
        (call((3, 1), shape=(2, 3, 4)), call((), shape=(2, 2)), call((2, 3), shape=(2, 3)), call((1, 1), shape=(1, 3))),
        lambda torch, x, shape: torch.broadcast_to(x, shape),
        edge=(call((1, 3), shape=(0, 3)), call((), shape=()), call((1,), shape=(1, 1))),
        strategy="broadcast_to",
        error_inputs=(
            BadCall(lambda: ops_basic.broadcast_to(make([1.0, 2.0]), (3,)), ValueError, r"broadcast_to: .*\(2,\)"),
        ),
    ),
    OpCase(
        "expand",
        lambda x, sizes: x.expand(*sizes),
        (call((3, 1), sizes=(2, -1, 4)),),
        lambda torch, x, sizes: x.expand(*sizes),
        edge=(call((1,), sizes=(0,)),),
        error_inputs=(BadCall(lambda: make([1.0, 2.0]).expand(3), ValueError, "expand: the shapes do not broadcast"),),
    ),
    # A cast rounds, so differences would see float32's noise; it is compared with PyTorch only.
    OpCase(
        "to",
        lambda x: x.to(float32),
        SHAPES,
        lambda torch, x: x.to(torch.float32),
        edge=EDGE,
        max_order=0,
        error_inputs=(
            BadCall(lambda: make([1.0]).to("tpu"), ValueError, "unknown device 'tpu'; known devices: 'cpu', 'cuda'"),
            BadCall(lambda: make([1.0]).to("gpu"), ValueError, "unknown device 'gpu'"),
        ),
    ),
    OpCase(
        "to.and_back",
        lambda x: ops_elementary.square(x.to(float32).to(float64)),
        SHAPES,
        lambda torch, x: x.to(torch.float32).to(torch.float64).square(),
        edge=EDGE,
        max_order=0,
    ),
    OpCase("float", Tensor.float, SHAPES, lambda torch, x: x.float(), edge=EDGE, max_order=0),
    OpCase("double", Tensor.double, SHAPES, lambda torch, x: x.double(), edge=EDGE),
    OpCase("long", Tensor.long, SHAPES, lambda torch, x: x.long(), edge=EDGE, max_order=0, torch_order=0),
    OpCase("clone", Tensor.clone, SHAPES, lambda torch, x: x.clone(), edge=EDGE),
)

ONE = (call((2, 3)),)

OPERATORS = (
    _operator("add", lambda a, b: a + b),
    _operator("radd", lambda a: 1.5 + a, ONE),
    _operator("sub", lambda a, b: a - b),
    _operator("rsub", lambda a: 1.5 - a, ONE),
    _operator("mul", lambda a, b: a * b),
    _operator("rmul", lambda a: 1.5 * a, ONE),
    _operator("truediv", lambda a, b: a / b, values=NONZERO),
    _operator("rtruediv", lambda a: 1.5 / a, ONE, NONZERO),
    _operator("pow", lambda a, b: a**b, values=(POSITIVE, REAL)),
    _operator("rpow", lambda a: 1.5**a, ONE),
    _operator("neg", lambda a: -a, ONE),
    _operator("abs", lambda a: abs(a), ONE, NONZERO),
    _operator("matmul", lambda a, b: a @ b, (call((2, 3), (3, 2)),)),
    _operator(
        "rmatmul",
        lambda a: np.ones((2, 3), a.dtype) @ a if isinstance(a, Tensor) else a.new_ones((2, 3)) @ a,
        (call((3, 2)),),
    ),
    *(
        _operator(name, getattr(operator, name), values=DISTINCT, max_order=0, torch_order=0)
        for name in ("eq", "ne", "lt", "le", "gt", "ge")
    ),
)

# The first derivative of a function from ops_act that another op's vjp calls.
GRADIENT_OPS = (
    OpCase(
        "pow_slope",
        lambda a, b, m, n: ops_elementary.PowSlope(m, n)(a, b),
        (call((2, 3), (2, 3), m=1, n=0), call((2, 3), (3,), m=0, n=1), call((3,), (3,), m=1, n=1)),
        lambda torch, a, b, m, n: a ** (b - m) * (b**m * torch.log(a) ** n + m * n),
        values=(POSITIVE, REAL),
        edge=(call((0, 2), (2,), m=1, n=0), call((), (), m=0, n=1)),
    ),
    OpCase(
        "leaky_relu_grad",
        lambda x, g, slope: ops_act.LeakyReluGrad(slope)(x, g),
        (call((2, 3), (2, 3), slope=0.2), call((2, 3, 2, 2), (2, 3, 2, 2), slope=0.0)),
        lambda torch, x, g, slope: torch.where(x > 0, g, g * slope),
        values=(NONZERO, REAL),
        edge=(call((0, 2), (0, 2), slope=0.2), call((), (), slope=0.2)),
        kinks=(call(ZERO, ZERO + 1.5, slope=0.2), call(ZERO, ZERO + 1.5, slope=0.0)),
    ),
    OpCase(
        "tanh_grad",
        lambda y, g: ops_act.TanhGrad()(y, g),
        (call((2, 3), (2, 3)), call((1, 2, 2, 3), (1, 2, 2, 3))),
        lambda torch, y, g: g * (1 - y * y),
        edge=(call((0, 2), (0, 2)), call((), ())),
    ),
)

CASES = (*UNARY, *BINARY, *OTHERS, *OPERATORS, *GRADIENT_OPS)
