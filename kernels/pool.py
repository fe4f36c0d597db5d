"""Machine room, kernels: which input each window of a max pooling takes.

    index[n, c, oy, ox] = the first (iy, ix), as iy*W + ix, with the largest x[n, c, iy, ix] among
    iy = oy*stride_y - padding_y + ky*dilation_y,   ix = ox*stride_x - padding_x + kx*dilation_x

    inside the image.

The pooled values, and every derivative, are a gather by this index. NaN counts as larger than
everything, and a later NaN as larger than an earlier one, as in PyTorch.
"""

import numpy as np
from numba import prange

from minigan.kernels.geometry import Pair
from minigan.kernels.layout import Array, empty_nhwc, nhwc
from minigan.kernels.load import njit
from minigan.kernels.work import kernels_of

CHUNK = 16384
"""Comparisons that are worth a task of their own."""


@njit
def _pool_rows(x, kernel, stride, padding, dilation, lo, hi, index):
    """Rows lo..hi of the N*OY rows of windows; x (N, H, W, C), index (N, OY, OX, C)."""
    height, width, channels = x.shape[1:]
    out_y, out_x = index.shape[1:3]
    best = np.empty(channels, x.dtype)
    for row in range(lo, hi):
        n, oy = row // out_y, row % out_y
        for ox in range(out_x):
            places = index[n, oy, ox]
            places[:] = -1
            for ky in range(kernel[0]):
                iy = oy * stride[0] - padding[0] + ky * dilation[0]
                for kx in range(kernel[1]):
                    ix = ox * stride[1] - padding[1] + kx * dilation[1]
                    if 0 <= iy < height and 0 <= ix < width:
                        for c in range(channels):
                            value = x[n, iy, ix, c]
                            if places[c] < 0 or value > best[c] or value != value:
                                best[c] = value
                                places[c] = iy * width + ix


@njit(parallel=True)
def _pool_chunks(x, kernel, stride, padding, dilation, chunk, index):
    rows = index.shape[0] * index.shape[1]
    for q in prange((rows + chunk - 1) // chunk):
        lo, hi = q * chunk, min((q + 1) * chunk, rows)
        _pool_rows(x, kernel, stride, padding, dilation, lo, hi, index)


def max_pool_index(x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, out_hw: Pair) -> Array:
    """x (N, C, H, W) -> int64 (N, C, OY, OX) in NHWC memory: where in H*W each window's maximum is.

    Pairs are (y, x). ValueError when a window lies in the padding and so has no maximum.
    """
    for axis in range(2):
        first = np.arange(out_hw[axis])[:, None] * stride[axis] - padding[axis]
        at = first + np.arange(kernel[axis]) * dilation[axis]
        if not ((at >= 0) & (at < x.shape[2 + axis])).any(axis=1).all():
            raise ValueError(
                f"max_pool2d: a window of {kernel}, dilation {dilation}, lies in the padding "
                f"{padding} of an input of shape {x.shape}; use less padding"
            )
    if not isinstance(x, Array):
        return kernels_of(x).pool.max_pool_index(x, kernel, stride, padding, dilation, out_hw)
    index = empty_nhwc((*x.shape[:2], *out_hw), np.int64)
    rows = x.shape[0] * out_hw[0]
    chunk = 1 + CHUNK // (1 + x.shape[1] * out_hw[1] * kernel[0] * kernel[1])
    if rows <= chunk:
        _pool_rows(nhwc(x), kernel, stride, padding, dilation, 0, rows, nhwc(index))
    else:
        _pool_chunks(nhwc(x), kernel, stride, padding, dilation, chunk, nhwc(index))
    return index
