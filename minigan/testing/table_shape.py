"""The op table, rearranging: shapes, joining and cutting, indexing, padding."""

from __future__ import annotations

import numpy as np

from ..autograd import Tensor
from ..autograd import tensor as make
from ..methods import PUBLIC
from ..ops import index as ops_index
from ..ops import shape as ops_shape
from .opcase import BadCall, OpCase, call

ONES = np.ones((2, 3), np.float32)


def _as_method(name: str):
    """The torch method of that name, its arguments given by position."""
    return lambda torch, x, **settings: getattr(x, name)(*settings.values())


def _reshape_like(name: str) -> OpCase:
    fn = PUBLIC[name]
    return OpCase(
        name,
        lambda x, shape: fn(x, shape),
        (call((2, 6), shape=(3, 4)), call((2, 3, 2), shape=(-1, 3)), call((4,), shape=(4,))),
        lambda torch, x, shape: x.reshape(shape),
        edge=(call((), shape=(1, 1)), call((0, 3), shape=(3, 0)), call((1,), shape=())),
        strategy="reshape",
        error_inputs=(
            BadCall(
                lambda: fn(make(ONES), 4, 2),
                ValueError,
                rf"{name}: 6 elements of shape \(2, 3\) do not fit shape \(4, 2\)",
            ),
            BadCall(lambda: fn(make(ONES), -1, -1), ValueError, f"{name}: 6 elements"),
        ),
    )


def _join(name: str, torch: str) -> OpCase:
    fn = PUBLIC[name]
    return OpCase(
        name,
        lambda *x, dim=0: fn(x, dim),
        (call((2, 3), (1, 3)), call((2, 3), (2, 1), (2, 2), dim=-1), call((2,), dim=0)),
        lambda t, *x, dim=0: getattr(t, torch)(x, dim),
        edge=(call((0, 3), (2, 3)), call((1,), (0,))),
        error_inputs=(
            BadCall(
                lambda: fn([make(ONES), make(ONES[:, :2])], 0),
                ValueError,
                r"cat: shapes \(2, 3\), \(2, 2\) differ outside axis 0",
            ),
            BadCall(lambda: fn([]), ValueError, "cat: expected at least one tensor"),
            BadCall(
                lambda: fn([make(ONES)], 2), IndexError, "cat: dimension 2 is out of range for a tensor of 2 dimensions"
            ),
        ),
    )


ARRANGE = (
    _reshape_like("reshape"),
    _reshape_like("view"),
    OpCase(
        "flatten",
        ops_shape.flatten,
        (call((2, 3, 2)), call((2, 3, 2), start_dim=1), call((2, 3, 2, 2), start_dim=1, end_dim=2)),
        "flatten",
        edge=(call(()), call((0, 3), start_dim=0), call((2, 0, 3), start_dim=1)),
        error_inputs=(
            BadCall(
                lambda: ops_shape.flatten(make(ONES), 1, 0), ValueError, "flatten: start_dim 1 comes after end_dim 0"
            ),
        ),
    ),
    OpCase(
        "squeeze",
        lambda x, dim=None: ops_shape.squeeze(x, dim),
        (call((2, 1, 3, 1)), call((2, 1, 3), dim=1), call((2, 1, 3), dim=0), call((2, 1), dim=-1)),
        lambda torch, x, dim=None: x.squeeze() if dim is None else x.squeeze(dim),
        edge=(call(()), call((1, 1)), call((0, 1), dim=1)),
        error_inputs=(
            BadCall(lambda: ops_shape.squeeze(make(ONES), 2), IndexError, "squeeze: dimension 2 is out of range"),
        ),
    ),
    OpCase(
        "unsqueeze",
        ops_shape.unsqueeze,
        (call((2, 3), dim=0), call((2, 3), dim=1), call((2, 3), dim=-1)),
        "unsqueeze",
        edge=(call((), dim=0), call((0, 2), dim=-3)),
        error_inputs=(
            BadCall(lambda: ops_shape.unsqueeze(make(ONES), 4), IndexError, "unsqueeze: dimension 4 is out of range"),
        ),
    ),
    OpCase(
        "permute",
        lambda x, dims: ops_shape.permute(x, dims),
        (call((2, 3, 4), dims=(2, 0, 1)), call((2, 3), dims=(-1, 0)), call((2, 2, 3, 1), dims=(0, 2, 3, 1))),
        lambda torch, x, dims: x.permute(dims),
        edge=(call((), dims=()), call((0, 2), dims=(1, 0))),
        error_inputs=(
            BadCall(
                lambda: ops_shape.permute(make(ONES), 0, 0),
                ValueError,
                r"permute: \(0, 0\) does not name each axis of shape \(2, 3\) once",
            ),
        ),
    ),
    OpCase(
        "transpose",
        ops_shape.transpose,
        (call((2, 3), dim0=0, dim1=1), call((2, 3, 4), dim0=-1, dim1=0)),
        "transpose",
        edge=(call((0, 2), dim0=0, dim1=1), call((1,), dim0=0, dim1=0)),
        error_inputs=(
            BadCall(
                lambda: ops_shape.transpose(make(ONES), 0, 3), IndexError, "transpose: dimension 3 is out of range"
            ),
        ),
    ),
    OpCase("T", lambda x: x.T, (call((2, 3)),), lambda torch, x: x.T, edge=(call((0, 2)),)),
    OpCase(
        "flip",
        ops_index.flip,
        (call((2, 3), dims=(0,)), call((2, 3, 2), dims=(0, -1))),
        "flip",
        edge=(call((0, 2), dims=(0,)), call((1,), dims=(0,))),
        strategy="flip",
        error_inputs=(
            BadCall(lambda: ops_index.flip(make(ONES), (2,)), IndexError, "flip: dimension 2 is out of range"),
        ),
    ),
)

JOIN = (
    _join("cat", "cat"),
    _join("concat", "cat"),
    OpCase(
        "stack",
        lambda *x, dim=0: ops_index.stack(x, dim),
        (call((2, 3), (2, 3)), call((3,), (3,), (3,), dim=-1)),
        lambda torch, *x, dim=0: torch.stack(x, dim),
        edge=(call((), ()), call((0,), (0,), dim=1)),
        error_inputs=(
            BadCall(
                lambda: ops_index.stack([make(ONES), make(ONES[0])]), ValueError, "stack: expected tensors of one shape"
            ),
            BadCall(lambda: ops_index.stack([]), ValueError, "stack: expected"),
        ),
    ),
    OpCase(
        "split",
        lambda x, size, dim=0: ops_index.split(x, size, dim),
        (call((5, 2), size=2), call((2, 5), size=(1, 0, 4), dim=1), call((3,), size=9)),
        lambda torch, x, size, dim=0: torch.split(x, size, dim),
        edge=(call((0, 2), size=2), call((2, 0), size=1, dim=0)),
        strategy="split",
        error_inputs=(
            BadCall(
                lambda: ops_index.split(make(ONES), (1, 2), 0),
                ValueError,
                r"split: sections \[1, 2\] do not add up to the size 2 of axis 0",
            ),
            BadCall(
                lambda: ops_index.split(make(ONES), 0), ValueError, "split: the size of a piece must be positive, got 0"
            ),
        ),
    ),
    OpCase(
        "chunk",
        ops_index.chunk,
        (call((5, 2), chunks=2), call((2, 6), chunks=4, dim=1), call((2,), chunks=5)),
        "chunk",
        edge=(call((1,), chunks=1),),
        error_inputs=(
            BadCall(
                lambda: ops_index.chunk(make(ONES), 0),
                ValueError,
                "chunk: the number of chunks must be positive, got 0",
            ),
        ),
    ),
)

MASK = np.array([[True, False, True], [False, False, True]])
KEYS = {
    "integer": 1,
    "negative": -2,
    "slice": slice(1, None),
    "step": (slice(None), slice(None, None, 2)),
    "ellipsis": (..., 0),
    "new_axis": (None, slice(None), None),
    "pair": (0, 1),
    "empty": slice(2, 2),
    "whole": ...,
}
ARRAY_KEYS = {
    "repeated": np.array([0, 2, 0, -1]),
    "table": np.array([[0, 1], [1, 1]]),
    "list": [2, 0, 2],
    "mixed": (slice(None), np.array([1, 1])),
    "two_arrays": (np.array([0, 2, 0]), np.array([1, 0, 1])),
    "apart": (np.array([0, 1]), slice(None), np.array([1, 1])),
    "reverse": slice(None, None, -1),
}


def _getitem(name: str, key) -> OpCase:
    # torch refuses a negative step, so that one is compared with flip.
    if name == "reverse":
        return OpCase("__getitem__.reverse", lambda x: x[::-1], (call((3, 2)),), lambda torch, x: x.flip(0))
    return OpCase(f"__getitem__.{name}", lambda x: x[key], (call((3, 2, 2)),), lambda torch, x: x[key])


INDEX = (
    *(_getitem(name, key) for name, key in {**KEYS, **ARRAY_KEYS}.items()),
    OpCase(
        "__getitem__.mask",
        lambda x, mask: x[mask],
        (call((2, 3), mask=MASK), call((2, 3), mask=~MASK & MASK)),
        lambda torch, x, mask: x[mask],
    ),
    OpCase(
        "__getitem__.tensor",
        lambda x, index: x[index],
        (call((3, 2), index=np.array([2, 0, 2])),),
        lambda torch, x, index: x[index],
        edge=(call((3, 2), index=np.zeros(0, np.int64)), call((0, 2), index=np.zeros(0, np.int64))),
        strategy="getitem",
        error_inputs=(
            BadCall(lambda: make(ONES)[2], IndexError, r"index.* out of bounds .*\(2, 3\)"),
            BadCall(lambda: make(ONES)[np.array([0, 5])], IndexError, "index.* out of bounds"),
            BadCall(lambda: make(ONES)[0.5], IndexError, "index"),
        ),
    ),
    OpCase(
        "index_select",
        lambda x, index, dim=0: ops_index.index_select(x, dim, index),
        (call((3, 2), index=np.array([2, 0, 2])), call((2, 3), index=np.array([1, 1]), dim=1)),
        lambda torch, x, index, dim=0: torch.index_select(x, dim, index),
        edge=(call((3, 2), index=np.zeros(0, np.int64)),),
        error_inputs=(
            BadCall(
                lambda: ops_index.index_select(make(ONES), 0, make([[0]])),
                ValueError,
                r"index_select: the index must have one axis, got shape \(1, 1\)",
            ),
            BadCall(
                lambda: ops_index.index_select(make(ONES), 0, make([0.0])),
                TypeError,
                "index_select: the index must hold integers, not float32",
            ),
        ),
    ),
    OpCase(
        "gather",
        lambda x, index, dim=0: ops_index.gather(x, dim, index),
        (
            call((3, 2), index=np.array([[0, 2], [2, 2], [0, 0], [1, 0]])),
            call((2, 3, 2), index=np.array([[[2, 2], [0, 1]]]), dim=1),
        ),
        lambda torch, x, index, dim=0: torch.gather(x, dim, index),
        edge=(call((0, 2), index=np.zeros((0, 2), np.int64)), call((), index=np.array(0))),
        error_inputs=(
            BadCall(
                lambda: ops_index.gather(make(ONES), 0, make([0, 1])),
                ValueError,
                r"gather: an index of shape \(2,\) does not fit an input of shape \(2, 3\)",
            ),
            BadCall(
                lambda: ops_index.gather(make(ONES), 1, make([[0.0]])),
                TypeError,
                "gather: the index must hold integers, not float32",
            ),
        ),
    ),
)

PAD = (
    OpCase(
        "pad",
        lambda x, pad, mode="constant", value=None: ops_index.pad(x, pad, mode, value),
        (
            call((2, 3), pad=(1, 2)),
            call((2, 3), pad=(1, 0, 2, 1), value=1.5),
            call((3, 4), pad=(-1, 2, 1, -1)),
            call((2, 3, 4), pad=(2, 1), mode="reflect"),
            call((1, 2, 3, 4), pad=(1, 2, 2, 0), mode="reflect"),
            call((2, 3, 4), pad=(2, 1), mode="replicate"),
            call((1, 2, 3, 4), pad=(1, 2, 3, 0), mode="replicate"),
            call((2, 3, 4), pad=(4, 1), mode="circular"),
            call((1, 2, 3, 4), pad=(1, 2, 3, 0), mode="circular"),
        ),
        "nn.functional.pad",
        edge=(call((0, 3), pad=(1, 1)), call((2, 0), pad=(1, 2))),
        error_inputs=(
            BadCall(lambda: ops_index.pad(make(ONES), (1,)), ValueError, "pad: 1 widths for a tensor of 2 axes"),
            BadCall(
                lambda: ops_index.pad(make(ONES), (1, 1), "mirror"),
                ValueError,
                "pad: unknown mode 'mirror'; known modes: constant, reflect, replicate, circular",
            ),
            BadCall(
                lambda: ops_index.pad(make(ONES), (3, 0), "reflect"),
                ValueError,
                r"pad: widths \(3, 0\) do not fit axis 1 of size 3 in mode 'reflect'",
            ),
        ),
    ),
    OpCase(
        "index_add.to_zeros",
        lambda x, index, shape: ops_index.IndexAdd(ops_index.ARRAY, shape)(x, index),
        (call((3, 2), index=np.array([1, 1, 0]), shape=(4, 2)),),
        lambda torch, x, index, shape: torch.zeros(shape, dtype=x.dtype).index_add(0, index, x),
        edge=(call((0, 2), index=np.zeros(0, np.int64), shape=(4, 2)),),
    ),
    OpCase(
        "unmirror",
        lambda x, low, high: ops_index.Unmirror(((low, high), (0, 0)))(x),
        (call((6, 2), low=1, high=2), call((5, 2), low=0, high=2)),
        lambda torch, x, low, high: torch.zeros(len(x) - low - high, 2, dtype=x.dtype).index_add(
            0, torch.as_tensor(np.pad(np.arange(len(x) - low - high), (low, high), "reflect")), x
        ),
    ),
    OpCase("detach", Tensor.detach, (call((2, 3)),), lambda torch, x: x.detach(), max_order=0),
)

CASES = (*ARRANGE, *JOIN, *INDEX, *PAD)
