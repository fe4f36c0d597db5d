"""Machine room, kernels: a bias, or a scale and a shift, then leaky-ReLU or its gradient at a mask; what is left to do
after a product.

    s = x + bias,    out = s where gate > 0, slope s elsewhere;    the gate is the mask, or s where there is none.

x and out (rows, channels), bias (channels,), mask like x. On the CPU the products do this before they store
(`conv_loops.py`, `matmul.py`); on a GPU convolutions do, too, and cuBLAS cannot, so there it is a kernel of its own.
"""

import numpy as np
from numba import prange

from minigan.kernels.act import gated, leaky
from minigan.kernels.layout import contiguous
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, kernels_of

CHUNK = 32768
"""The number of elements above which a second thread pays."""


@njit
def _bias_act(x, bias, mask, slope, out):
    """out (rows, channels); bias (channels,) and mask (rows, channels) may be empty."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            value = x[i, c] + bias[c] if bias.size else x[i, c]
            out[i, c] = value if slope == 1 else gated(value, mask[i, c] if mask.size else value, slope)


@njit(parallel=True)
def _bias_act_chunks(x, bias, mask, slope, chunk, out):
    for q in prange((x.shape[0] + chunk - 1) // chunk):
        at = slice(q * chunk, (q + 1) * chunk)
        _bias_act(x[at], bias, mask[at], slope, out[at])


@njit
def _scale_shift(x, scale, shift, slope, out):
    """out = x scale + shift (rows, channels), activated; two roundings a number."""
    for i in range(x.shape[0]):
        for c in range(x.shape[1]):
            value = x[i, c] * scale[c] + shift[c]
            out[i, c] = value if slope == 1 else leaky(value, slope)


@njit(parallel=True)
def _scale_shift_chunks(x, scale, shift, slope, chunk, out):
    for q in prange((x.shape[0] + chunk - 1) // chunk):
        at = slice(q * chunk, (q + 1) * chunk)
        _scale_shift(x[at], scale, shift, slope, out[at])


def scale_shift(x: Array, scale: Array, shift: Array, out: Array, slope: float = 1.0, *, work: Now = NOW) -> bool:
    """out = x scale + shift, then leaky-ReLU: x and out (N, C, H, W), scale and shift (1, C, 1, 1), of one dtype.

    Issued where x and out lie in memory as NHWC on the CPU; returns whether they do. `out` may be x.
    """
    if not isinstance(x, Array) or x.dtype.kind != "f":
        return False
    channels = x.shape[1]
    blocks = [array.transpose(0, 2, 3, 1) for array in (x, out)]
    if not channels or not all(block.flags.c_contiguous for block in blocks):
        return False
    x_rows, out_rows = (block.reshape(-1, channels) for block in blocks)
    numbers = (contiguous(array, work).reshape(channels) for array in (scale, shift))
    operands = (x_rows, *numbers, x.dtype.type(slope))
    if x.size <= CHUNK:
        work.call(_scale_shift, *operands, out_rows)
    else:
        work.call(_scale_shift_chunks, *operands, max(1, CHUNK // channels), out_rows)
    return True


def check(x, bias, mask, out) -> None:
    """ValueError unless bias is one number a channel, and mask and out are like x (rows, channels)."""
    for name, array, shape in (("bias", bias, x.shape[1:]), ("mask", mask, x.shape), ("out", out, x.shape)):
        if array is not None and (array.shape != shape or array.dtype != x.dtype):
            raise ValueError(f"bias_act: {name} is {array.dtype} {array.shape}, x {x.dtype} {x.shape} needs {shape}")


def bias_act(
    x: Array,
    bias: Array | None,
    slope: float = 1.0,
    out: Array | None = None,
    *,
    mask: Array | None = None,
    work: Now = NOW,
) -> Array:
    """x (rows, channels) -> out like x; no bias where it is None, no activation where slope is 1. `out` may be x.

    out is contiguous. ValueError for shapes or dtypes that do not fit.
    """
    check(x, bias, mask, out)
    if not isinstance(x, Array):
        return kernels_of(x).bias.bias_act(x, bias, slope, out, mask=mask, work=work)
    out = work.empty(x.shape, x.dtype) if out is None else out
    if not out.flags.c_contiguous:
        raise ValueError(f"bias_act: out must be contiguous, its strides are {out.strides}")
    start = np.empty(0, x.dtype) if bias is None else contiguous(bias, work)
    gate = np.empty((0, x.shape[1]), x.dtype) if mask is None else contiguous(mask, work)
    operands = (contiguous(x, work), start, gate, x.dtype.type(slope))
    if x.size <= CHUNK:
        work.call(_bias_act, *operands, out)
    else:
        work.call(_bias_act_chunks, *operands, max(1, CHUNK // x.shape[1]), out)
    return out
