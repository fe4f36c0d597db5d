"""Machine room, kernels: matrix products, single or batched, any strides, no BLAS.

    out[b, i, j] = sum over k of a[b, i, k] * b[b, k, j]

A threaded BLAS cuts a product by the number of threads, and so its rounding depends on it. Here each row of the result
is summed by one task in the order of k, or by `fast`, whose cuts depend on the shape alone.
"""

from functools import lru_cache

import numpy as np
from numba import prange

from minigan.kernels import fast
from minigan.kernels.act import gated
from minigan.kernels.fast.gemm import Product, Rows, as_it_lies, listed, multiply, pack, product, reading_order
from minigan.kernels.fast.micro import HELD, ZERO
from minigan.kernels.layout import cast, contiguous
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, address, aligned, kernels_of

SERIAL = 1 << 17
"""Multiply-adds below which starting threads costs more than it saves."""


@njit(fastmath={"contract"})
def _product_rows(a, b, bias, mask, slope, add, out, first, last):
    """out (B, m, n) = a (B, m, k) @ b (B, k, n), for rows (batch, i) from first to last; bias and mask may be empty."""
    _, height, depth = a.shape
    width = b.shape[2]
    for row in range(first, last):
        batch, i = row // height, row % height
        if not add:
            for j in range(width):
                out[batch, i, j] = bias[j] if bias.size else 0
        for k in range(depth):
            for j in range(width):
                out[batch, i, j] += a[batch, i, k] * b[batch, k, j]
        if slope != 1:
            for j in range(width):
                value = out[batch, i, j]
                out[batch, i, j] = gated(value, mask[batch, i, j] if mask.size else value, slope)


@njit(parallel=True)
def _product(a, b, bias, mask, slope, add, out, count):
    for row in prange(count):
        _product_rows(a, b, bias, mask, slope, add, out, row, row + 1)


@lru_cache(maxsize=256)
def _layout(height: int, depth: int, step_i: int, step_k: int, out_step: int, b_step: int) -> Product:
    """Where a (m, k) lies, in bytes along i and k; where out's rows lie; where b's rows lie, in floats."""
    rows, steps = np.arange(height), np.arange(depth)
    return product(
        [Rows(rows * step_i, rows * out_step, 0)], [listed(steps * step_k, steps)], reading_order(steps * b_step)
    )


def _fast_product(a, b, out, bias, mask, slope, add, lanes, work) -> None:
    """One product (m, k) @ (k, n) on the micro-kernel. a may have any strides: they become tables."""
    height, depth = a.shape
    width = b.shape[1]
    if b.T.flags.c_contiguous:
        line, along_k, along_j = b.T.reshape(-1), 1, depth
    else:
        line, along_k, along_j = contiguous(b, work).reshape(-1), width, 1
    product = _layout(height, depth, *a.strides, out.strides[0], along_k)
    columns = as_it_lies(line, height, width, along_k, lanes) if along_j == 1 else None
    if columns is None:
        columns = pack("matmul", b, line, product.places, along_j, width, lanes, work)
    start = HELD if add else ZERO if bias is None else bias.ctypes.data
    a_at, out_at = address(a), address(out)
    gate = 0 if mask is None else address(mask) - out_at
    multiply(product, a_at, columns, out_at, width, lanes, work, start=start, slope=slope, gate=gate)


def _at_once(a: Array, b: Array) -> Array | None:
    """What op by op nearly every product is: float32, on the micro-kernel, into new memory. None for any other."""
    if type(a) is not Array or type(b) is not Array or not a.dtype == b.dtype == np.float32:
        return None
    (height, depth), (rows, width) = a.shape, b.shape
    lanes = fast.lanes_for(a.dtype, height * depth * width, width)
    if rows != depth or not lanes:
        return None
    out = aligned((height, width))
    _fast_product(a, b, out, None, None, 1.0, False, lanes, NOW)
    return out


def check(a: Array, b: Array, out: Array | None, bias: Array | None, mask: Array | None, add: bool) -> None:
    """ValueError unless the operands of `batched` fit each other."""
    shape = (*a.shape[:2], b.shape[2])
    if a.shape[::2] != b.shape[:2] or (out is not None and out.shape != shape):
        into = "" if out is None else f" into {out.shape}"
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit{into}")
    for name, array, expected in (("bias", bias, shape[2:]), ("mask", mask, shape)):
        if array is not None and array.shape != expected:
            raise ValueError(f"matmul: {name} of shape {array.shape} does not fit the product's {shape}")
    if add and (out is None or bias is not None):
        raise ValueError("matmul: add needs an `out` to add to, and takes no bias")


def batched(
    a: Array,
    b: Array,
    out: Array | None = None,
    *,
    bias: Array | None = None,
    mask: Array | None = None,
    slope: float = 1.0,
    add: bool = False,
    work: Now = NOW,
) -> Array:
    """a (B, m, k) @ b (B, k, n) -> (B, m, n); an empty sum (k = 0) is zero. `out` must not overlap an operand.

    bias (n,) is added to every row; add: the product is added to what `out` holds. With a mask (B, m, n), the result is
    d where mask > 0 and slope * d elsewhere (for slope 0: 0 where mask <= 0); without, leaky-ReLU of d, none for
    slope 1.
    ValueError for shapes that do not fit, and for add without `out` or with a bias.
    """
    check(a, b, out, bias, mask, add)
    if not isinstance(a, Array):
        return kernels_of(a).matmul.batched(a, b, out, bias=bias, mask=mask, slope=slope, add=add, work=work)
    shape = (*a.shape[:2], b.shape[2])
    count, height, depth = a.shape
    width = shape[2]
    dtype = np.result_type(a, b)
    a, b = cast(a, dtype, work), cast(b, dtype, work)
    bias = None if bias is None else contiguous(cast(bias, dtype, work), work)
    mask = None if mask is None else contiguous(cast(mask, dtype, work), work)
    result = out
    if out is None or out.dtype != dtype or not out.flags.c_contiguous:
        result = work.empty(shape, dtype)
        if add:
            work.call(np.copyto, result, out)
    each = height * depth * width
    if lanes := fast.lanes_for(dtype, each, width):
        gates = [None] * count if mask is None else mask
        for left, right, block, gate in zip(a, b, result, gates, strict=True):
            _fast_product(left, right, block, bias, gate, slope, add, lanes, work)
    else:
        start = np.empty(0, dtype) if bias is None else bias
        gate = np.empty((0, 0, 0), dtype) if mask is None else mask
        blocks = (contiguous(a, work), contiguous(b, work), start, gate, dtype.type(slope), add, result)
        if count * each < SERIAL:
            work.call(_product_rows, *blocks, 0, count * height)
        else:
            work.call(_product, *blocks, count * height)
    if out is not None and result is not out:
        work.call(np.copyto, out, result)
    return result if out is None else out


def matmul(
    a: Array,
    b: Array,
    out: Array | None = None,
    *,
    bias: Array | None = None,
    mask: Array | None = None,
    slope: float = 1.0,
    add: bool = False,
    work: Now = NOW,
) -> Array:
    """a (m, k) @ b (k, n) -> (m, n), as `batched`."""
    plain = out is None and not add and work is NOW and bias is None and mask is None and slope == 1
    if plain and (result := _at_once(a, b)) is not None:
        return result
    if out is not None and bias is None and out.T.flags.c_contiguous and not out.flags.c_contiguous:
        matmul(b.T, a.T, out.T, mask=None if mask is None else mask.T, slope=slope, add=add, work=work)
        return out
    inside, gate = (None if array is None else array[None] for array in (out, mask))
    result = batched(a[None], b[None], inside, bias=bias, mask=gate, slope=slope, add=add, work=work)
    return result[0] if out is None else out
