"""Matrix products: out[b, i, j] = sum over k of a[b, i, k] * b[b, k, j], single or batched, any strides, no BLAS.

A threaded BLAS cuts a product by the number of threads, and so its rounding depends on it. Here each row of the result
is summed by one task in the order of k, or by `fast`, whose cuts depend on the shape alone.
"""

from functools import lru_cache

import numpy as np
from numba import prange

from minigan.kernels import fast
from minigan.kernels.fast.gemm import Product, multiply, pack, reading_order, row_table, runs
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


@lru_cache(maxsize=256)
def _layout(height: int, depth: int, step_i: int, step_k: int, out_step: int, b_step: int) -> Product:
    """Where a (m, k) lies, in bytes along i and k; where out's rows lie; where b's rows lie, in floats."""
    return Product(
        row_table(np.arange(height) * step_i),
        row_table(np.arange(height) * out_step),
        runs(np.zeros(1, np.int64), depth, step_k),
        reading_order(np.arange(depth) * b_step),
    )


def _fast_product(a: Array, b: Array, out: Array, lanes: int) -> None:
    """One product (m, k) @ (k, n) on the micro-kernel. a may have any strides: they become offset tables."""
    height, depth = a.shape
    width = b.shape[1]
    if b.T.flags.c_contiguous:
        line, along_k, along_j = b.T.reshape(-1), 1, depth
    else:
        line, along_k, along_j = np.ascontiguousarray(b).reshape(-1), width, 1
    product = _layout(height, depth, *a.strides, out.strides[0], along_k)
    packed = pack(line, product.places, along_j, width, lanes)
    multiply(product, a.ctypes.data, packed, out.ctypes.data, width, lanes)


def batched(a: Array, b: Array, out: Array | None = None) -> Array:
    """a (B, m, k) @ b (B, k, n) -> (B, m, n); an empty sum (k = 0) is zero. `out` must not overlap an operand.

    ValueError for shapes that do not fit.
    """
    shape = (*a.shape[:2], b.shape[2])
    if a.shape[::2] != b.shape[:2] or (out is not None and out.shape != shape):
        into = "" if out is None else f" into {out.shape}"
        raise ValueError(f"matmul: shapes {a.shape} and {b.shape} do not fit{into}")
    count, height, depth = a.shape
    width = shape[2]
    result, dtype = out, np.result_type(a, b)
    a, b = a.astype(dtype, copy=False), b.astype(dtype, copy=False)
    if out is None or out.dtype != dtype or not out.flags.c_contiguous:
        result = np.empty(shape, dtype)
    each = height * depth * width
    if lanes := fast.lanes_for(dtype, each, width):
        for left, right, block in zip(a, b, result, strict=True):
            _fast_product(left, right, block, lanes)
    else:
        blocks = (np.ascontiguousarray(a), np.ascontiguousarray(b), result)
        if count * each < SERIAL:
            _product_rows(*blocks, 0, count * height)
        else:
            _product(*blocks, count * height)
    if out is not None and result is not out:
        out[...] = result
    return result if out is None else out


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """a (m, k) @ b (k, n) -> (m, n), as `batched`."""
    result = batched(a[None], b[None], None if out is None else out[None])
    return result[0] if out is None else out
