"""Memory layouts: each gives an array of the same shape; all but "stride_0" of the same values.

A 0-d array has one layout only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def _transposed(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x.T).T


def _permuted(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 0, -1)), -1, 0)


def _nhwc(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1) if x.ndim > 2 else x


def _sliced(x: np.ndarray) -> np.ndarray:
    wide = np.zeros(tuple(2 * s + 1 for s in x.shape), x.dtype)
    inner = wide[(slice(1, None, 2),) * x.ndim]
    inner[...] = x
    return inner


def _reversed(x: np.ndarray) -> np.ndarray:
    flip = (slice(None, None, -1),) * x.ndim
    return np.ascontiguousarray(x[flip])[flip]


def _stride_0(x: np.ndarray) -> np.ndarray:
    return np.broadcast_to(x[:1], x.shape) if len(x) else x


def _unaligned(x: np.ndarray) -> np.ndarray:
    copy = np.zeros(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    copy[...] = x
    return copy


def _unless_0d(layout):
    return lambda x: layout(x) if x.ndim else x


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    name: _unless_0d(layout)
    for name, layout in {
        "fortran": np.asfortranarray,
        "transposed": _transposed,
        "permuted": _permuted,
        "nhwc": _nhwc,
        "sliced": _sliced,
        "reversed": _reversed,
        "stride_0": _stride_0,
        "unaligned": _unaligned,
    }.items()
}
