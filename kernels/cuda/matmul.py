"""Machine room, CUDA: matrix products by cuBLAS through the array module, and a kernel for what comes after.

Functions, arguments and results are those of `kernels/matmul.py`.
"""

from __future__ import annotations

import numpy as np

from minigan.kernels.cuda.bias import bias_act
from minigan.kernels.cuda.load import add_into, empty, module_of
from minigan.kernels.layout import cast, contiguous, deliver
from minigan.kernels.work import NOW


def batched(a, b, out=None, *, bias=None, mask=None, slope=1.0, add=False, work=NOW):
    """a @ b, as `kernels.matmul.batched`, by cuBLAS."""
    xp, shape = module_of(a), (*a.shape[:2], b.shape[2])
    dtype = np.result_type(a.dtype, b.dtype)
    direct = out is not None and not add and out.dtype == dtype and out.flags.c_contiguous
    result = out if direct else empty(xp, shape, dtype, work)
    factors = (cast(a, dtype, work), cast(b, dtype, work), result)
    work.call(_product, xp, *((each[0] for each in factors) if shape[0] == 1 else factors))
    if add:
        work.call(add_into, result, out)
    if bias is not None or slope != 1:
        rows = (shape[0] * shape[1], shape[2])
        start = None if bias is None else cast(bias, dtype, work)
        gate = None if mask is None else contiguous(cast(mask, dtype, work), work).reshape(rows)
        block = result.reshape(rows)
        bias_act(block, start, slope, block, mask=gate, work=work)
    return deliver(result, out, work)


def _product(xp, a, b, out) -> None:
    """Two matrices by dot, which writes into `out`: CuPy's matmul makes a new array and copies it."""
    (xp.dot if a.ndim == 2 else xp.matmul)(a, b, out=out)
