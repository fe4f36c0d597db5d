"""The op table, layers: activations."""

from __future__ import annotations

import numpy as np

from .. import functional as F
from ..autograd import tensor as make
from ..ops.basic import where
from ..ops.elementary import exp, log
from .opcase import DISTINCT, REAL, BadCall, OpCase, Values, call
from .table_elementwise import EDGE, NONZERO, SHAPES, ZERO

ONES = np.ones((2, 3), np.float32)
EXTREME = np.array([-800.0, -30.0, 0.0, 30.0, 800.0])
HARD = (call(ZERO), call(EXTREME))


def _activation(
    name: str, samples=SHAPES, reference=None, values=NONZERO, kinks=HARD, strategy="unary", **fields
) -> OpCase:
    fn = getattr(F, name)
    return OpCase(
        name,
        fn,
        samples,
        f"nn.functional.{name}",
        reference,
        values,
        EDGE,
        kinks,
        strategy,
        (BadCall(lambda: fn("x"), TypeError, f"^{name}: .*(must be a Tensor, got 'x'|dtype <U1 is not supported)"),),
        **fields,
    )


CASES = (
    _activation("relu", reference=lambda x: where(x.data > 0, x, 0.0)),
    _activation("leaky_relu", (*SHAPES, call((2, 3), negative_slope=0.2), call((2, 3), negative_slope=-0.5))),
    _activation(
        "elu", (*SHAPES, call((2, 3), alpha=0.5)), lambda x, alpha=1.0: where(x.data > 0, x, alpha * (exp(x) - 1))
    ),
    _activation("silu", reference=lambda x: x / (1 + exp(-x)), values=REAL, strategy=None),
    _activation(
        "gelu", (call((4,)), call((2, 3), approximate="tanh")), values=REAL, kinks=(call(ZERO),), strategy=None
    ),
    OpCase(
        "prelu",
        F.prelu,
        (call((2, 3), (3,)), call((1, 2, 2), (2,)), call((4,), (1,))),
        "nn.functional.prelu",
        values=NONZERO,
        edge=(call((0, 3), (1,)), call((1,), (1,))),
        kinks=(call(ZERO, np.array([0.5])), call(EXTREME, np.array([0.5]))),
        error_inputs=(
            BadCall(
                lambda: F.prelu(make(ONES), make(ONES[0, :2])),
                ValueError,
                r"prelu: weight \(2,\) does not fit input \(2, 3\); give 1 or 3 numbers",
            ),
        ),
    ),
    _activation("sigmoid", reference=lambda x: 1 / (1 + exp(-x)), values=REAL),
    _activation("logsigmoid", reference=lambda x: -log(1 + exp(-x)), values=REAL),
    _activation(
        "softplus",
        (*SHAPES, call((2, 3), beta=3.0), call((2, 3), beta=2.0, threshold=1.0)),
        values=Values(avoid=(0.5,)),
        kinks=(call(ZERO), call(EXTREME), call(np.array([20.0, 10.0]))),
    ),
    _activation("tanh", reference=lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x)), values=REAL),
    OpCase(
        "maxout",
        F.maxout,
        (call((2, 6), pieces=2), call((2, 6, 2), pieces=3), call((4, 3), pieces=2, dim=0)),
        lambda torch, x, pieces, dim=1: torch.amax(x.unflatten(dim, (-1, pieces)), dim + 1),
        values=DISTINCT,
        edge=(call((0, 4), pieces=2), call((1, 2), pieces=1)),
        error_inputs=(
            BadCall(
                lambda: F.maxout(make(ONES), 2), ValueError, r"maxout: 2 pieces do not divide axis 1 of shape \(2, 3\)"
            ),
        ),
    ),
)
