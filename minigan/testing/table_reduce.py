"""The op table, contracting: sums, norms, extremes, softmax, and matrix products."""

from __future__ import annotations

import math

import numpy as np

from ..autograd import tensor as make
from ..ops import einsum as ops_einsum
from ..ops import elementary as ops_elementary
from ..ops import matmul as ops_matmul
from ..ops import reduce as ops_reduce
from .opcase import DISTINCT, REAL, BadCall, OpCase, Values, call

ONES = np.ones((2, 3), np.float32)
NONZERO = Values(avoid=(0.0,), gap=0.3)
TIES = np.array([[1.0, 1.0, -2.0], [0.0, 0.0, 0.0], [3.0, -1.0, 3.0]])
ZEROS = np.zeros((2, 3))


def _samples(**settings):
    return (
        call((2, 3), **settings),
        call((2, 3), dim=1, **settings),
        call((2, 3, 2), dim=(0, -1), **settings),
        call((3, 2), dim=0, keepdim=True, **settings),
        call((2, 3), keepdim=True, **settings),
    )


SMALL = (call(()), call((1, 1), dim=1))


def _reduction(
    name: str,
    values=REAL,
    reference=None,
    edge=SMALL,
    kinks=(),
    errors=(),
    strategy="reduction",
    **fields,
) -> OpCase:
    fn = getattr(ops_reduce, name)

    def torch_fn(torch, x, dim=None, keepdim=False):
        # torch's dim=None does not go with keepdim in some of these.
        return getattr(torch, name)(x, tuple(range(x.ndim)) if dim is None else dim, keepdim=keepdim)

    range_error = BadCall(
        lambda: fn(make(ONES), 2), IndexError, "dimension 2 is out of range for a tensor of 2 dimensions"
    )
    return OpCase(
        name,
        fn,
        _samples(),
        torch_fn,
        reference,
        values,
        edge,
        kinks,
        strategy,
        error_inputs=(range_error, *errors),
        **fields,
    )


def _empty(name: str) -> BadCall:
    return BadCall(
        lambda: getattr(ops_reduce, name)(make(np.ones((2, 0))), 1),
        ValueError,
        rf"{name}: nothing to reduce along dim \(1,\) of shape \(2, 0\)",
    )


def _integers(name: str) -> BadCall:
    return BadCall(lambda: getattr(ops_reduce, name)(make([1, 2])), TypeError, "expected a floating dtype, got int64")


def _softmax(x, dim):
    return ops_elementary.exp(x) / ops_reduce.sum(ops_elementary.exp(x), dim, True)


def _log_softmax(x, dim):
    return x - ops_elementary.log(ops_reduce.sum(ops_elementary.exp(x), dim, True))


REDUCE = (
    _reduction(
        "sum",
        edge=(call(()), call((0, 3)), call((0, 3), dim=1), call((1,))),
        errors=(BadCall(lambda: ops_reduce.sum(make(ONES), (0, -2)), ValueError, "names an axis twice"),),
    ),
    _reduction(
        "mean",
        reference=lambda x, dim=None, keepdim=False: (
            ops_reduce.sum(x, dim, keepdim) * (ops_reduce.sum(x, dim, keepdim).data.size / x.data.size)
        ),
        edge=(call(()), call((1, 1), dim=1), call((0, 3), dim=1)),
        errors=(_empty("mean"), _integers("mean")),
    ),
    _reduction(
        "var",
        strategy="reduction_of_two",
        edge=(call((1, 2), dim=1), call((0, 3), dim=1)),
        errors=(_empty("var"), _integers("var")),
    ),
    _reduction(
        "std",
        strategy="reduction_of_two",
        edge=(call((1, 2), dim=1), call((0, 3), dim=1)),
        kinks=(call(ZEROS + 0.5, dim=1),),
        errors=(_empty("std"), _integers("std")),
    ),
    OpCase(
        "var.correction",
        lambda x, correction, dim=None: ops_reduce.var(x, dim, correction),
        (call((2, 3), correction=0), call((2, 3), correction=2, dim=1)),
        lambda torch, x, correction, dim=None: torch.var(x, dim, correction=correction),
    ),
    _reduction(
        "amax",
        DISTINCT,
        edge=(call(()), call((1, 2), dim=0), call((0, 3), dim=1)),
        kinks=(call(TIES), call(TIES, dim=1)),
        errors=(_empty("amax"),),
    ),
    _reduction(
        "amin",
        DISTINCT,
        edge=(call(()), call((1, 2), dim=0), call((0, 3), dim=1)),
        kinks=(call(TIES), call(TIES, dim=1)),
        errors=(_empty("amin"),),
    ),
    OpCase(
        "argmax",
        ops_reduce.argmax,
        (call((2, 3)), call((2, 3), dim=1), call((3, 2), dim=0, keepdim=True)),
        "argmax",
        values=DISTINCT,
        edge=(call(()), call((0, 3), dim=1)),
        kinks=(call(TIES), call(TIES, dim=1)),
        max_order=0,
        torch_order=0,
        error_inputs=(
            BadCall(lambda: ops_reduce.argmax(make(np.ones((0,)))), ValueError, "argmax"),
            BadCall(lambda: ops_reduce.argmax(make(ONES), 2), IndexError, "argmax: dimension 2 is out of range"),
        ),
    ),
    OpCase(
        "norm",
        ops_reduce.norm,
        (
            *_samples(),
            *_samples(p=1)[:3],
            *_samples(p=3)[:3],
            *_samples(p=1.5)[:2],
            *_samples(p=math.inf)[:3],
            *_samples(p=-math.inf)[:2],
            *_samples(p=-1)[:2],
            *_samples(p=0)[:1],
        ),
        lambda torch, x, p=2, dim=None, keepdim=False: torch.norm(
            x, p, tuple(range(x.ndim)) if dim is None else dim, keepdim=keepdim
        ),
        values=Values(0.3, 2.0, distinct=True),
        edge=(call(()), call((1, 1), dim=1), call((0, 3), dim=1)),
        kinks=(call(ZEROS, dim=1), call(TIES, p=1), call(TIES, p=math.inf)),
        error_inputs=(BadCall(lambda: ops_reduce.norm(make(ONES), 2, 2), IndexError, "dimension 2 is out of range"),),
    ),
    OpCase(
        "norm.signs",
        ops_reduce.norm,
        (*_samples(p=1)[:2], *_samples(p=3)[:2], *_samples(p=2)[:2]),
        lambda torch, x, p=2, dim=None: torch.norm(x, p, dim),
        values=NONZERO,
    ),
    OpCase(
        "safe_norm",
        ops_reduce.safe_norm,
        _samples(),
        lambda torch, x, dim=None, keepdim=False: torch.norm(
            x, 2, tuple(range(x.ndim)) if dim is None else dim, keepdim=keepdim
        ),
        lambda x, dim=None, keepdim=False: ops_elementary.sqrt(ops_reduce.sum(x * x, dim, keepdim)),
        edge=(call(()), call((0, 3)), call((0, 3), dim=1)),
        kinks=(call(ZEROS, dim=1),),
        strategy="reduction",
        error_inputs=(BadCall(lambda: ops_reduce.safe_norm(make(ONES), 5), IndexError, "dimension 5 is out of range"),),
    ),
    OpCase(
        "logsumexp",
        ops_reduce.logsumexp,
        (call((2, 3), dim=1), call((2, 3, 2), dim=(0, 2)), call((3, 2), dim=0, keepdim=True)),
        "logsumexp",
        lambda x, dim, keepdim=False: ops_elementary.log(ops_reduce.sum(ops_elementary.exp(x), dim, keepdim)),
        edge=(call((0, 3), dim=1), call((1,), dim=0)),
        kinks=(call(np.array([[900.0, 901.0], [-900.0, -901.0]]), dim=1),),
        error_inputs=(
            BadCall(lambda: ops_reduce.logsumexp(make(ONES), 2), IndexError, "logsumexp: dimension 2 is out of range"),
        ),
    ),
    *(
        OpCase(
            name,
            getattr(ops_reduce, name),
            (call((2, 3), dim=1), call((3, 2, 2), dim=0), call((2, 3, 2), dim=-2)),
            f"nn.functional.{name}",
            reference,
            edge=(call((0, 3), dim=1), call((3, 0), dim=1), call((1,), dim=0)),
            kinks=(call(np.array([[900.0, 901.0], [-900.0, -901.0]]), dim=1),),
            strategy="along",
            error_inputs=(
                BadCall(
                    lambda name=name: getattr(ops_reduce, name)(make(ONES), 2),
                    IndexError,
                    f"{name}: dimension 2 is out of range",
                ),
            ),
        )
        for name, reference in (("softmax", _softmax), ("log_softmax", _log_softmax))
    ),
)

PRODUCTS = (
    OpCase(
        "matmul",
        ops_matmul.matmul,
        (
            call((2, 3), (3, 4)),
            call((3,), (3,)),
            call((2, 3), (3,)),
            call((3,), (3, 2)),
            call((2, 2, 3), (3, 2)),
            call((2, 2, 3), (2, 3, 2)),
            call((2, 1, 2, 3), (3, 3, 1)),
            call((3,), (2, 3, 2)),
            call((2, 3, 2), (2,)),
        ),
        "matmul",
        edge=(
            call((0, 3), (3, 2)),
            call((2, 0), (0, 3)),
            call((2, 3), (3, 0)),
            call((0, 2, 3), (3, 2)),
            call((0, 2, 3), (0, 3, 2)),
            call((1, 1), (1, 1)),
            call((0,), (0,)),
        ),
        strategy="matmul",
        error_inputs=(
            BadCall(
                lambda: ops_matmul.matmul(make(ONES), make(ONES)),
                ValueError,
                r"matmul: the inner sizes of \(2, 3\) and \(2, 3\) differ",
            ),
            BadCall(
                lambda: ops_matmul.matmul(make(ONES), make(np.ones((3, 2)))),
                TypeError,
                "matmul: operands must share one floating dtype .*float32.*float64",
            ),
            BadCall(
                lambda: ops_matmul.matmul(make(np.ones((2, 2, 3))), make(np.ones((3, 3, 2)))),
                ValueError,
                "matmul: the batch axes",
            ),
            BadCall(lambda: ops_matmul.matmul(make(1.0), make(ONES)), ValueError, "matmul: "),
        ),
    ),
    OpCase(
        "linear",
        ops_matmul.linear,
        (call((2, 3), (4, 3)), call((2, 3), (4, 3), (4,)), call((2, 2, 3), (1, 3), (1,)), call((3,), (2, 3), (2,))),
        "nn.functional.linear",
        lambda x, w, b=None: (
            ops_reduce.sum(x.unsqueeze(-2) * w, -1) if b is None else ops_reduce.sum(x.unsqueeze(-2) * w, -1) + b
        ),
        edge=(call((0, 3), (2, 3), (2,)), call((2, 3), (0, 3)), call((2, 0), (3, 0), (3,))),
        error_inputs=(
            BadCall(
                lambda: ops_matmul.linear(make(ONES), make(np.ones((4, 2), np.float32))),
                ValueError,
                r"linear: input \(2, 3\) and weight \(4, 2\) do not fit",
            ),
            BadCall(
                lambda: ops_matmul.linear(make(ONES), make(ONES), make(np.ones(3, np.float32))),
                ValueError,
                r"linear: bias \(3,\) does not fit weight \(2, 3\); expected \(2,\)",
            ),
        ),
    ),
    OpCase(
        "bmm",
        ops_matmul.bmm,
        (call((2, 2, 3), (2, 3, 2)), call((1, 3, 1), (1, 1, 2))),
        "bmm",
        edge=(call((0, 2, 3), (0, 3, 2)), call((2, 2, 0), (2, 0, 2))),
        error_inputs=(
            BadCall(
                lambda: ops_matmul.bmm(make(ONES), make(ONES)),
                ValueError,
                r"bmm: \(2, 3\) and \(2, 3\) do not fit; expected \(B, m, k\) and \(B, k, n\)",
            ),
        ),
    ),
    OpCase(
        "outer",
        ops_matmul.outer,
        (call((2,), (3,)), call((1,), (4,))),
        "outer",
        edge=(call((0,), (2,)), call((2,), (0,))),
        error_inputs=(
            BadCall(
                lambda: ops_matmul.outer(make(ONES), make(ONES)),
                ValueError,
                r"outer: expected two vectors, got shapes \(2, 3\) and \(2, 3\)",
            ),
        ),
    ),
    OpCase(
        "einsum",
        lambda *x, equation: ops_einsum.einsum(equation, *x),
        (
            call((2, 3), (3, 4), equation="ik,kj->ij"),
            call((2, 3), (2, 3), equation="ij,ij"),
            call((2, 2, 3), (2, 3, 2), equation="bik, bkj -> bij"),
            call((2, 3), equation="ij->ji"),
            call((2, 3), equation="ij->i"),
            call((2, 3), equation="ij->"),
            call((2,), (3,), (2, 3), equation="i,j,ij->ij"),
            call((2, 3), (4,), equation="ij,k->ik"),
            call((3, 3), equation="ii->i"),
            call((3, 3), equation="ii"),
            call((2, 3, 3), equation="...ii->...i"),
            call((2, 3, 4), (2, 4, 2), equation="...ij,...jk->...ik"),
            call((2, 3, 4), (4, 2), equation="...j,jk"),
            call((2, 1, 3), (4, 3), equation="...a,...a->..."),
            call((2, 3), (3, 2), (2, 4), equation="ab,bc,cd->ad"),
            call((2, 3), (3, 2), (2, 2), (3,), equation="ij,jk,kl,j->il"),
            call((2, 3), equation="...j"),
            call((2, 3, 3, 2), equation="abba->ab"),
            call((2, 3), (1, 3), equation="ij,ij->ij"),
            call((3, 2), (2,), equation="ba,a"),
        ),
        lambda torch, *x, equation: torch.einsum(equation, *x),
        edge=(call((0, 3), (3, 2), equation="ik,kj->ij"), call((2, 0), (0, 2), equation="ik,kj->ij")),
        error_inputs=(
            BadCall(
                lambda: ops_einsum.einsum("ij,jk->ik", make(ONES), make(ONES)),
                ValueError,
                "einsum: axis 'j' has size 3 in one operand and 2 in another",
            ),
            BadCall(
                lambda: ops_einsum.einsum("ii->i", make(ONES)),
                ValueError,
                "einsum: axis 'i' has size 2 in one operand and 3 in another",
            ),
            BadCall(
                lambda: ops_einsum.einsum("ijk->i", make(ONES)),
                ValueError,
                r"einsum: term 'ijk' does not fit shape \(2, 3\)",
            ),
            BadCall(
                lambda: ops_einsum.einsum(make(ONES), make(ONES)),
                TypeError,
                "einsum: the equation comes first, a string",
            ),
            BadCall(
                lambda: ops_einsum.einsum("ij->ik", make(ONES)), ValueError, "einsum: 'ij->ik' does not fit 1 operands"
            ),
            BadCall(
                lambda: ops_einsum.einsum("ij,ij", make(ONES)), ValueError, "einsum: 'ij,ij' does not fit 1 operands"
            ),
        ),
    ),
)

CASES = (*REDUCE, *PRODUCTS)
