"""Matrix products: out[b, i, j] = sum over k of a[b, i, k] * b[b, k, j], single or batched, any strides, no BLAS.

Threaded BLAS libraries cut a product by the number of threads, and so round differently on different machines. Here each row of the result is summed
by one task in the order of k, or by `fast`, whose cuts depend on the shape alone: the bits are the same on any number of threads.
"""

import numpy as np
from numba import prange

from minigan.kernels import fast
from minigan.kernels.fast.gemm import multiply, pack, places, rows, runs
from minigan.kernels.load import njit

Array = np.ndarray

SERIAL = 1 << 15
"""Multiply-adds below which starting threads costs more than it saves."""


@njit(fastmath={"contract"})
def _product_rows(a, b, out, first, last):
    """out (B, m, n) = a (B, m, k) @ b (B, k, n), for rows (batch, i) from first to last."""
    _, height, depth = a.shape
    width = b.shape[2]
    for row in range(first, last):
        batch, i = row // height, row % height
        for j in range(width):
            out[batch, i, j] = 0
        for k in range(depth):
            for j in range(width):
                out[batch, i, j] += a[batch, i, k] * b[batch, k, j]


@njit(parallel=True)
def _product(a, b, out, count):
    for row in prange(count):
        _product_rows(a, b, out, row, row + 1)


def _fast_product(a: Array, b: Array, out: Array, lanes: int) -> None:
    """One product (m, k) @ (k, n) on the micro-kernel. a may have any strides: they become offset tables."""
    height, depth = a.shape
    width = b.shape[1]
    if b.T.flags.c_contiguous:
        line, along_k, along_j = b.T.reshape(-1), 1, depth
    else:
        line, along_k, along_j = np.ascontiguousarray(b).reshape(-1), width, 1
    packed = pack(line, places(np.arange(depth) * along_k), along_j, width, lanes)
    a_runs = runs(np.zeros(1, np.int64), depth, a.strides[1])
    row_a, row_out = (rows(np.arange(height) * array.strides[0]) for array in (a, out))
    multiply(
        a.ctypes.data, row_a, a_runs, packed, None, out.ctypes.data, row_out, width, lanes
    )  # fmt: skip


def batched(a: Array, b: Array, out: Array | None = None) -> Array:
    """a (B, m, k) @ b (B, k, n) -> (B, m, n). An empty sum (k = 0) is zero."""
    count, height, depth = a.shape
    width = b.shape[2]
    if out is not None and out.dtype == a.dtype and out.flags.c_contiguous and out.flags.writeable:
        result = out
    else:
        result = np.empty((count, height, width), a.dtype)
    each = height * depth * width
    if lanes := fast.lanes_for(a.dtype, each):
        for left, right, block in zip(a, b, result):
            _fast_product(left, right, block, lanes)
    else:
        arguments = (np.ascontiguousarray(a), np.ascontiguousarray(b), result)
        if count * each < SERIAL:
            _product_rows(*arguments, 0, count * height)
        else:
            _product(*arguments, count * height)
    if out is not None and result is not out:
        out[...] = result
    return result if out is None else out


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """a (m, k) @ b (k, n) -> (m, n)."""
    result = batched(a[None], b[None], None if out is None else out[None])
    return result[0] if out is None else out
