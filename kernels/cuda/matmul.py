"""Machine room, CUDA: matrix products by cuBLAS through the array module, and a kernel for what comes after.

Functions, arguments and results are those of `kernels/matmul.py`.
"""

from __future__ import annotations

import numpy as np

from minigan.kernels.cuda.bias import bias_act
from minigan.kernels.cuda.load import cast, contiguous, empty, module_of
from minigan.kernels.work import NOW


def batched(a, b, out=None, *, bias=None, mask=None, slope=1.0, add=False, work=NOW):
    """a @ b, as `kernels.matmul.batched`, by cuBLAS."""
    xp, shape = module_of(a), (*a.shape[:2], b.shape[2])
    if a.shape[::2] != b.shape[:2] or (out is not None and out.shape != shape):
        into = "" if out is None else f" into {out.shape}"
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit{into}")
    if add and (out is None or bias is not None):
        raise ValueError("matmul: add needs an `out` to add to, and takes no bias")
    dtype = np.result_type(a.dtype, b.dtype)
    direct = out is not None and not add and out.dtype == dtype and out.flags.c_contiguous
    made = out if direct else empty(xp, shape, dtype, work)
    work.call(_product, xp, cast(a, dtype, work), cast(b, dtype, work), made)
    if add:
        work.call(_add_into, made, out)
    if bias is not None or slope != 1:
        rows = (shape[0] * shape[1], shape[2])
        start = None if bias is None else cast(bias, dtype, work)
        gate = None if mask is None else contiguous(cast(mask, dtype, work), work).reshape(rows)
        block = made.reshape(rows)
        bias_act(block, start, slope, block, mask=gate, work=work)
    if out is None or direct:
        return made
    work.call(xp.copyto, out, made)
    return out


def _add_into(target, source) -> None:
    target += source


def _product(xp, a, b, out) -> None:
    xp.matmul(a, b, out=out)


def matmul(a, b, out=None, *, bias=None, mask=None, slope=1.0, add=False, work=NOW):
    """a @ b, as `kernels.matmul.matmul`, by cuBLAS."""
    if out is not None and bias is None and out.T.flags.c_contiguous and not out.flags.c_contiguous:
        matmul(b.T, a.T, out.T, mask=None if mask is None else mask.T, slope=slope, add=add, work=work)
        return out
    inside, gate = (None if array is None else array[None] for array in (out, mask))
    result = batched(a[None], b[None], inside, bias=bias, mask=gate, slope=slope, add=add, work=work)
    return result[0] if out is None else out
