"""The op table, picking and placing: extremes, sorting, running sums, scattering, diagonals, triangles, masks."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from ..autograd import tensor as make
from ..ops import arrange as ops_arrange
from ..ops import order as ops_order
from ..ops import reduce as ops_reduce
from ..ops import scatter as ops_scatter
from .opcase import DISTINCT, BadCall, OpCase, call
from .table_reduce import ONES, TIES

NONE = make(np.ones((2, 0)))
EQUAL = np.array([[2.0, 1.0, 2.0, 1.0], [0.0, 0.0, 3.0, 3.0]])
ZEROS = np.array([[0.0, 2.0, 3.0], [0.0, 0.0, 5.0], [1.5, -2.0, 4.0]])


def _out_of_range(name: str, fn, *rest) -> BadCall:
    return BadCall(lambda: fn(make(ONES), *rest), IndexError, f"{name}: dimension 2 is out of range")


def _extreme(name: str) -> OpCase:
    fn = getattr(ops_order, name)
    return OpCase(
        name,
        fn,
        (call((2, 3)), call((2, 3), dim=1), call((3, 2, 2), dim=0, keepdim=True), call((2, 2, 3), dim=-2)),
        name,
        values=DISTINCT,
        edge=(call(()), call((), dim=0), call((0, 3), dim=1), call((1, 1), dim=0)),
        kinks=(call(TIES), call(TIES, dim=1), call(TIES, dim=0, keepdim=True)),
        error_inputs=(
            _out_of_range(name, fn, 2),
            BadCall(lambda: fn(NONE, 1), ValueError, r"arg(max|min): nothing to reduce along dim \(1,\)"),
            BadCall(lambda: fn(NONE), ValueError, r"a(max|min): nothing to reduce"),
        ),
    )


def _between(name: str) -> OpCase:
    """The same name between two tensors."""
    fn = getattr(ops_order, name)
    return OpCase(f"{name}.between", fn, (call((2, 3), (3,)),), name, values=DISTINCT)


def _truth(name: str) -> OpCase:
    fn = getattr(ops_reduce, name)
    samples = (call(ZEROS), call(ZEROS, dim=1), call(ZEROS, dim=0, keepdim=True), call((2, 3, 2), dim=(0, -1)))
    return OpCase(
        name,
        fn,
        samples,
        name,
        edge=(call(()), call((0,)), call((0, 3), dim=0), call(np.array([np.nan, 1.0]))),
        max_order=0,
        torch_order=0,
        error_inputs=(_out_of_range(name, fn, 2),),
    )


ORDER = (
    _extreme("max"),
    _extreme("min"),
    _between("max"),
    _between("min"),
    _truth("any"),
    _truth("all"),
    OpCase(
        "argmin",
        ops_reduce.argmin,
        (call((2, 3)), call((2, 3), dim=1), call((3, 2), dim=0, keepdim=True)),
        "argmin",
        values=DISTINCT,
        edge=(call(()), call((0, 3), dim=1)),
        kinks=(call(TIES), call(TIES, dim=1)),
        max_order=0,
        torch_order=0,
        error_inputs=(_out_of_range("argmin", ops_reduce.argmin, 2),),
    ),
    OpCase(
        "sort",
        ops_order.sort,
        (call((2, 4)), call((3, 2, 2), dim=0), call((4, 3), dim=0, descending=True), call((5,), descending=True)),
        "sort",
        values=DISTINCT,
        edge=(call(()), call((0, 3), dim=1), call((2, 0)), call((1,), dim=0)),
        kinks=(call(EQUAL, stable=True), call(EQUAL, descending=True, stable=True), call(EQUAL, dim=0, stable=True)),
        error_inputs=(_out_of_range("sort", ops_order.sort, 2),),
    ),
    OpCase(
        "argsort",
        ops_order.argsort,
        (call((2, 4)), call((4, 3), dim=0, descending=True)),
        "argsort",
        values=DISTINCT,
        edge=(call(()), call((0, 3), dim=1), call((2, 0))),
        max_order=0,
        torch_order=0,
        error_inputs=(_out_of_range("argsort", ops_order.argsort, 2),),
    ),
    OpCase(
        "topk",
        ops_order.topk,
        (call((2, 4), k=2), call((5, 3), k=4, dim=0, largest=False), call((3,), k=3), call((3,), k=0)),
        "topk",
        values=DISTINCT,
        edge=(call((), k=1), call((2, 0), k=0), call((0, 3), k=2)),
        error_inputs=(
            BadCall(lambda: ops_order.topk(make(ONES), 4), ValueError, r"topk: k 4 is not in 0..3, the size of axis 1"),
            _out_of_range("topk", ops_order.topk, 1, 2),
        ),
    ),
    OpCase(
        "cumsum",
        ops_order.cumsum,
        (call((2, 3), dim=1), call((3, 2, 2), dim=0), call((4,), dim=-1)),
        "cumsum",
        edge=(call((), dim=0), call((0, 3), dim=0), call((2, 0), dim=1)),
        error_inputs=(_out_of_range("cumsum", ops_order.cumsum, 2),),
    ),
    OpCase(
        "prod",
        ops_order.prod,
        (call((2, 3)), call((2, 5), dim=1), call((3, 2, 2), dim=0, keepdim=True), call(ZEROS, dim=1), call(ZEROS)),
        lambda torch, x, dim=None, keepdim=False: torch.prod(x) if dim is None else torch.prod(x, dim, keepdim),
        edge=(call(()), call((0,)), call((0, 3), dim=0), call((2, 0), dim=1), call((1,), dim=0)),
        error_inputs=(_out_of_range("prod", ops_order.prod, 2),),
    ),
)

TO = np.array([[0, 2, 1], [2, 0, 3]])
TWICE = np.array([[0, 0, 1], [2, 2, 2]])

SCATTER = (
    OpCase(
        "scatter",
        lambda x, src, index, dim=0: ops_scatter.scatter(x, dim, index, src),
        (
            call((4, 3), (2, 3), index=TO),
            call((2, 4), (3, 4), index=TO, dim=1),
            call((2, 3, 2), (2, 2, 2), index=np.array([[[1, 0]], [[2, 2]]]), dim=1),
        ),
        lambda torch, x, src, index, dim=0: torch.scatter(x, dim, index, src[tuple(slice(0, n) for n in index.shape)]),
        edge=(
            call((3, 2), (2, 2), index=np.zeros((0, 2), np.int64)),
            call((), (), index=np.array(0)),
            call((0, 2), (0, 2), index=np.zeros((0, 2), np.int64)),
        ),
        error_inputs=(
            BadCall(
                lambda: ops_scatter.scatter(make(ONES), 0, make([[2]]), make([[1.0]])),
                IndexError,
                r"scatter: indices 2..2 are outside axis 0 of size 2",
            ),
            BadCall(
                lambda: ops_scatter.scatter(make(ONES), 0, make([[0, 0]]), make([[1.0]])),
                ValueError,
                r"scatter: src \(1, 1\) is smaller than the index \(1, 2\)",
            ),
            BadCall(lambda: ops_scatter.scatter(make(ONES), 0, make([0]), 1.0), ValueError, "scatter: an index of"),
        ),
    ),
    # Where a place is named twice PyTorch answers any of them, so these are compared with a composite.
    OpCase(
        "scatter.twice",
        lambda x, src, index, dim=0: ops_scatter.scatter(x, dim, index, src),
        (call((3, 4), (2, 3), index=TWICE), call((2, 4), (2, 3), index=TWICE, dim=1)),
        reference=lambda x, src, index, dim=0: _scatter_one_by_one(x, src, index, dim),
    ),
    OpCase(
        "scatter.number",
        lambda x, index, dim=0: ops_scatter.scatter(x, dim, index, 1.5),
        (call((3, 4), index=TWICE), call((2, 4), index=TO, dim=1)),
        lambda torch, x, index, dim=0: torch.scatter(x, dim, index, 1.5),
    ),
    OpCase(
        "scatter_add",
        lambda x, src, index, dim=0: ops_scatter.scatter_add(x, dim, index, src),
        (call((3, 4), (2, 3), index=TWICE), call((2, 4), (3, 4), index=TWICE, dim=1)),
        lambda torch, x, src, index, dim=0: torch.scatter_add(
            x, dim, index, src[tuple(slice(0, n) for n in index.shape)]
        ),
        edge=(call((3, 2), (2, 2), index=np.zeros((0, 2), np.int64)), call((), (), index=np.array(0))),
        error_inputs=(
            BadCall(
                lambda: ops_scatter.scatter_add(make(ONES), 0, make([[-1]]), make([[1.0]])),
                IndexError,
                "scatter_add: indices -1..-1 are outside axis 0",
            ),
            BadCall(
                lambda: ops_scatter.scatter_add(make(ONES), 0, make([[0]]), make(np.ones((1, 1)))),
                TypeError,
                "scatter_add: input is float32, the source float64",
            ),
        ),
    ),
    OpCase(
        "index_add",
        lambda x, source, index, dim=0, alpha=1: ops_scatter.index_add(x, dim, index, source, alpha),
        (
            call((4, 2), (3, 2), index=np.array([1, 1, 0])),
            call((2, 3), (2, 2), index=np.array([2, 2]), dim=1, alpha=-0.5),
        ),
        lambda torch, x, source, index, dim=0, alpha=1: torch.index_add(x, dim, index, source, alpha=alpha),
        edge=(call((4, 2), (0, 2), index=np.zeros(0, np.int64)),),
        error_inputs=(
            BadCall(
                lambda: ops_scatter.index_add(make(ONES), 0, make([0, 1, 0]), make(ONES)),
                ValueError,
                r"index_add: index \(3,\) and source \(2, 3\) do not fit input \(2, 3\) along axis 0",
            ),
        ),
    ),
)


def _scatter_one_by_one(x: Tensor, src: Tensor, index: Tensor, dim: int) -> Tensor:
    """Element after element, each masked in."""
    from ..ops.basic import where

    for at in np.ndindex(index.shape):
        place = list(at)
        place[dim] = int(index.data[at])
        mask = np.zeros(x.shape, bool)
        mask[tuple(place)] = True
        x = where(mask, src[at], x)
    return x


MASK = np.array([[True, False, True], [False, False, True]])

ARRANGE = (
    OpCase(
        "roll",
        ops_arrange.roll,
        (
            call((2, 3), shifts=1),
            call((2, 3), shifts=-1, dims=1),
            call((3, 4), shifts=(1, 6), dims=(0, 1)),
            call((3,), shifts=3, dims=0),
        ),
        "roll",
        edge=(call((0, 3), shifts=1, dims=0), call((), shifts=2), call((1,), shifts=5, dims=0)),
        error_inputs=(
            BadCall(lambda: ops_arrange.roll(make(ONES), (1, 2), 0), ValueError, "roll: shifts must be 1 integers"),
            _out_of_range("roll", ops_arrange.roll, 1, 2),
        ),
    ),
    OpCase(
        "tile",
        lambda x, dims: ops_arrange.tile(x, dims),
        (call((2, 3), dims=(2, 1)), call((2, 3), dims=(2,)), call((2,), dims=(2, 1, 3))),
        lambda torch, x, dims: torch.tile(x, dims),
        edge=(call((), dims=(2,)), call((0, 3), dims=(2, 2)), call((2, 3), dims=(0, 1)), call((2,), dims=())),
        error_inputs=(BadCall(lambda: ops_arrange.tile(make(ONES), -1), ValueError, "tile: the numbers of copies"),),
    ),
    OpCase(
        "repeat",
        lambda x, sizes: x.repeat(*sizes),
        (call((2, 3), sizes=(2, 2)), call((2,), sizes=(3, 1, 2))),
        lambda torch, x, sizes: x.repeat(*sizes),
        edge=(call((), sizes=(2,)), call((0, 2), sizes=(1, 2))),
        error_inputs=(
            BadCall(lambda: make(ONES).repeat(2), ValueError, r"repeat: \(2,\) must hold a number.*\(2, 3\)"),
        ),
    ),
    OpCase(
        "unfold.windows",
        lambda x, dimension, size, step: x.unfold(dimension, size, step),
        (
            call((7,), dimension=0, size=3, step=2),
            call((2, 5), dimension=1, size=2, step=1),
            call((3, 2), dimension=0, size=3, step=1),
        ),
        lambda torch, x, dimension, size, step: x.unfold(dimension, size, step),
        edge=(call((), dimension=0, size=1, step=1), call((0, 3), dimension=1, size=2, step=1)),
        error_inputs=(BadCall(lambda: make(ONES).unfold(1, 4, 1), ValueError, "unfold: windows of 4, 1 apart"),),
    ),
    OpCase(
        "masked_fill",
        lambda x, mask, value: ops_arrange.masked_fill(x, mask, value),
        (call((2, 3), mask=MASK, value=1.5), call((2, 2, 3), mask=MASK, value=0), call((2, 3), mask=MASK[:1], value=2)),
        "masked_fill",
        edge=(call((), mask=np.array(True), value=1.0), call((0, 3), mask=MASK[:1], value=1.0)),
        error_inputs=(
            BadCall(
                lambda: ops_arrange.masked_fill(make(ONES), make(ONES), 0.0),
                TypeError,
                "masked_fill: the mask must be a bool tensor, not float32",
            ),
            BadCall(
                lambda: ops_arrange.masked_fill(make(ONES), make(MASK), make([1.0])),
                ValueError,
                r"masked_fill: the value must be a number or a 0-d tensor, got shape \(1,\)",
            ),
        ),
    ),
    *(
        OpCase(
            name,
            getattr(ops_arrange, name),
            (call((3, 3)), call((2, 4), diagonal=1), call((2, 3, 2), diagonal=-1)),
            name,
            edge=(call((0, 3)), call((1, 1), diagonal=2), call((2, 0, 2))),
            kinks=(call(np.array([[np.inf, 1.0], [2.0, np.inf]])),),
            error_inputs=(
                BadCall(
                    lambda name=name: getattr(ops_arrange, name)(make([1.0])),
                    ValueError,
                    rf"{name}: expected a matrix, or a stack of them, got shape \(1,\)",
                ),
            ),
        )
        for name in ("tril", "triu")
    ),
    OpCase(
        "diagonal",
        ops_arrange.diagonal,
        (call((3, 4)), call((3, 4), offset=1), call((2, 3, 2), offset=-1, dim1=1, dim2=0)),
        "diagonal",
        edge=(call((0, 3)), call((2, 2), offset=5), call((1, 1))),
        error_inputs=(
            BadCall(
                lambda: ops_arrange.diagonal(make(ONES), 0, 1, -1),
                ValueError,
                r"diagonal: dim1 1 and dim2 -1 must be two axes of shape \(2, 3\)",
            ),
        ),
    ),
    OpCase(
        "diag",
        ops_arrange.diag,
        (call((3,)), call((2,), diagonal=1), call((2,), diagonal=-2), call((3, 4)), call((3, 4), diagonal=-1)),
        "diag",
        edge=(call((0,)), call((0, 2)), call((1,))),
        error_inputs=(
            BadCall(
                lambda: ops_arrange.diag(make(np.ones((1, 1, 1)))),
                ValueError,
                r"diag: expected a vector or a matrix, got shape \(1, 1, 1\)",
            ),
        ),
    ),
)

CASES = (*ORDER, *SCATTER, *ARRANGE)
