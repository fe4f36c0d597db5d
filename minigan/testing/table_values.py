"""The op table, where values decide: medians and quantiles, running products, what is counted and where it is."""

from __future__ import annotations

import numpy as np

from ..autograd import tensor as make
from ..methods import PUBLIC
from .opcase import DISTINCT, BadCall, OpCase, Values, call
from .table_reduce import ONES, TIES
from .table_select import NONE, ZEROS

NAN = np.array([[1.0, np.nan, 2.0], [3.0, 0.5, 4.0]])
FEW = np.array([[2, 0, 1, 2], [5, 0, 5, 2]])


def _quantile(torch, x, q, **settings):
    return torch.quantile(x, torch.tensor(q, dtype=x.dtype) if isinstance(q, list) else q, **settings)


def _out_of_range(name: str, *rest) -> BadCall:
    return BadCall(lambda: PUBLIC[name](make(ONES), *rest), IndexError, f"{name}: dimension 2 is out of range")


ORDER = (
    OpCase(
        "median",
        PUBLIC["median"],
        (call((2, 3)), call((2, 2)), call((2, 4), dim=1), call((3, 2, 2), dim=0, keepdim=True)),
        "median",
        values=DISTINCT,
        edge=(call(()), call((), dim=0), call((0, 3), dim=1), call((1, 1), dim=0)),
        kinks=(call(TIES),),
        error_inputs=(
            _out_of_range("median", 2),
            BadCall(lambda: PUBLIC["median"](NONE), ValueError, "median: nothing to reduce along dim"),
            BadCall(lambda: PUBLIC["median"](NONE, 1), ValueError, r"median: nothing to reduce along dim \(1,\)"),
        ),
    ),
    OpCase(
        "median.nan",
        lambda x, dim=None: PUBLIC["median"](x.detach()) if dim is None else PUBLIC["median"](x.detach(), dim),
        (call(NAN), call(NAN, dim=1), call(NAN, dim=0)),
        lambda torch, x, dim=None: torch.median(x.detach()) if dim is None else torch.median(x.detach(), dim),
        max_order=0,
        torch_order=0,
    ),
    OpCase(
        "quantile",
        PUBLIC["quantile"],
        (
            call((2, 3), q=0.5),
            call((2, 4), q=0.3, dim=1),
            call((3, 2, 2), q=[0.1, 0.9, 1.0], dim=0, keepdim=True),
            call((5,), q=[0.0, 0.4], keepdim=True),
            *(call((2, 4), q=0.7, dim=1, interpolation=way) for way in ("lower", "higher", "midpoint", "nearest")),
        ),
        _quantile,
        values=DISTINCT,
        edge=(call((), q=0.5), call((), q=[0.5], dim=0), call((1, 1), q=1.0, dim=0)),
        error_inputs=(
            _out_of_range("quantile", 0.5, 2),
            BadCall(lambda: PUBLIC["quantile"](NONE, 0.5), ValueError, "quantile: nothing to reduce"),
            BadCall(lambda: PUBLIC["quantile"](make(ONES), 1.5), ValueError, r"quantile: q must be in \[0, 1\]"),
            BadCall(lambda: PUBLIC["quantile"](make(ONES).long(), 0.5), TypeError, "quantile: expected a floating"),
            BadCall(
                lambda: PUBLIC["quantile"](make(ONES), 0.5, interpolation="cubic"),
                ValueError,
                "quantile: unknown interpolation 'cubic'; known: linear, lower",
            ),
        ),
    ),
    OpCase(
        "quantile.nan",
        lambda x, **settings: PUBLIC["quantile"](x.detach(), 0.3, **settings),
        (call(NAN), call(NAN, dim=1), call(NAN, dim=0)),
        lambda torch, x, **settings: torch.quantile(x.detach(), 0.3, **settings),
        max_order=0,
        torch_order=0,
    ),
    OpCase(
        "cumprod",
        PUBLIC["cumprod"],
        (call((2, 3), dim=1), call((5, 2), dim=0), call((2, 1, 4), dim=-1), call(ZEROS, dim=1), call(ZEROS, dim=0)),
        "cumprod",
        edge=(call((), dim=0), call((0, 3), dim=0), call((2, 0), dim=1), call((1,), dim=0)),
        error_inputs=(_out_of_range("cumprod", 2),),
    ),
    *(
        OpCase(
            f"{name}_mean",
            PUBLIC[f"{name}_mean"],
            (call((2, 3)), call((2, 3), dim=1), call((3, 2, 2), dim=(0, 2), correction=0, keepdim=True)),
            f"{name}_mean",
            values=Values(distinct=True),
            error_inputs=(
                BadCall(lambda name=name: PUBLIC[f"{name}_mean"](NONE), ValueError, f"{name}_mean: nothing"),
            ),
        )
        for name in ("var", "std")
    ),
)


def _counted(name: str, fn, torch_fn, *samples, error_inputs=()) -> OpCase:
    """Of values that require no gradient."""
    return OpCase(
        name,
        lambda *x, **settings: fn(*(v.detach() for v in x), **settings),
        samples,
        lambda torch, *x, **settings: torch_fn(torch, *(v.detach() for v in x), **settings),
        max_order=0,
        torch_order=0,
        error_inputs=error_inputs,
    )


COUNTS = (
    _counted(
        "count_nonzero",
        PUBLIC["count_nonzero"],
        lambda torch, x, dim=None: torch.count_nonzero(x, dim),
        call(ZEROS),
        call(ZEROS, dim=1),
        call((2, 0), dim=0),
        call(()),
        call(NAN, dim=(0, 1)),
        error_inputs=(_out_of_range("count_nonzero", 2),),
    ),
    _counted(
        "nonzero",
        PUBLIC["nonzero"],
        lambda torch, x, **settings: torch.nonzero(x, **settings),
        call(ZEROS),
        call(ZEROS, as_tuple=True),
        call(()),
        call((), as_tuple=True),
        call((0, 3)),
        call((2, 0), as_tuple=True),
        call(NAN),
        error_inputs=(BadCall(lambda: PUBLIC["nonzero"](None), TypeError, "nonzero: expected a Tensor"),),
    ),
    _counted(
        "where.positions",
        lambda x: PUBLIC["where"](x > 0),
        lambda torch, x: torch.where(x > 0),
        call(ZEROS),
        call((2, 1, 3)),
        call(()),
        error_inputs=(
            BadCall(lambda: PUBLIC["where"](make([True]), 1.0), TypeError, "where: expected a condition al"),
        ),
    ),
    _counted(
        "unique",
        PUBLIC["unique"],
        lambda torch, x, **settings: torch.unique(x, **settings),
        call(ZEROS),
        call(FEW, return_inverse=True),
        call(FEW, return_counts=True),
        call(FEW[:, ::-1], return_inverse=True, return_counts=True),
        call(np.array([[1, 2, 1], [0, 3, 0]]), return_inverse=True, return_counts=True, dim=1),
        call((), return_inverse=True),
        call((0,), return_counts=True),
        call(NAN, return_counts=True),
        error_inputs=(_out_of_range("unique", True, False, False, 2),),
    ),
    _counted(
        "bincount",
        lambda x, weights=None, **settings: PUBLIC["bincount"](x.long(), weights, **settings),
        lambda torch, x, weights=None, **settings: torch.bincount(x.long(), weights, **settings),
        call(FEW[0]),
        call(FEW[1], minlength=8),
        call(FEW[1], FEW[0]),
        call((0,), minlength=2),
        error_inputs=(
            BadCall(lambda: PUBLIC["bincount"](make([1.0])), TypeError, "bincount: expected integers, got float32"),
            BadCall(lambda: PUBLIC["bincount"](make([[1]])), ValueError, r"bincount: expected a vector.*\(1, 1\)"),
            BadCall(lambda: PUBLIC["bincount"](make([-1])), ValueError, "bincount: .*negative"),
        ),
    ),
)

CASES = (*ORDER, *COUNTS)
