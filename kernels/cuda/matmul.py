"""Matrix products on a device: cuBLAS through the array module. Functions, arguments and results are those of
`kernels/matmul.py`."""

from __future__ import annotations

from minigan.kernels.cuda import act
from minigan.kernels.cuda.load import module_of
from minigan.kernels.work import NOW


def batched(a, b, out=None, *, bias=None, mask=None, slope=1.0, add=False, work=NOW):
    """a @ b, as `kernels.matmul.batched`, by cuBLAS."""
    shape = (*a.shape[:2], b.shape[2])
    if a.shape[::2] != b.shape[:2] or (out is not None and out.shape != shape):
        into = "" if out is None else f" into {out.shape}"
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit{into}")
    if add and (out is None or bias is not None):
        raise ValueError("matmul: add needs an `out` to add to, and takes no bias")

    def run(*arrays):
        made = module_of(a).matmul(a, b)
        made = made if bias is None else made + bias
        made = out + made if add else made
        if slope != 1:
            made = act.leaky_relu_grad(made if mask is None else mask, made, slope)
        if out is not None:
            out[...] = made
        return made

    if out is None:
        return run()
    work.call(run)
    return out


def matmul(a, b, out=None, *, bias=None, mask=None, slope=1.0, add=False, work=NOW):
    """a @ b, as `kernels.matmul.matmul`, by cuBLAS."""
    inside, gate = (None if array is None else array[None] for array in (out, mask))
    result = batched(a[None], b[None], inside, bias=bias, mask=gate, slope=slope, add=add, work=work)
    return result[0] if out is None else out
