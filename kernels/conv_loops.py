"""Convolution, its input gradient and its weight gradient: the three faces of one sum, as three loop nests.

    <g, y> = sum over n o c oy ox ky kx of  g[n, o, oy, ox] * w[o, c, ky, kx] * x[n, c, iy, ix]
    with iy = oy * stride_y - padding_y + ky * dilation_y, and ix likewise

The form is linear in each of x, w and g. Leave g open and it is the convolution; leave x open and it is the input
gradient, which is also the transposed convolution; leave w open and it is the weight gradient. With groups, output
channel o sees only the C/groups input channels of its own group.

Each loop nest gathers: one iteration owns one row of the result and adds up everything that belongs there, so no two
threads write the same number and the order of every sum is fixed. The innermost loop runs over channels, which are
contiguous. `*_rows_kernel` in conv.cu are the same three nests for a GPU, where a thread owns one number of the result.

A bias starts the sum. Two more things can be done to a sum before it is stored, which saves a pass over memory each:
leaky-ReLU of the result (`slope`), and leaky-ReLU's gradient at a mask of the result's shape (`mask` and `slope`).
"""

import numpy as np
from numba import prange

from minigan.kernels.act import gated
from minigan.kernels.load import njit


@njit(fastmath={"contract"})
def forward_rows(x, w, bias, slope, y, stride, padding, dilation, first, last):
    """y (N, OY, OX, G, O) = bias (G, O) + x (N, H, W, G, C) * w (KY, KX, G, C, O), rows (n, oy) first to last.

    The bias may be empty; a mask of the input gradient, too.
    """
    height, width = x.shape[1:3]
    _, out_y, out_x, groups, outs = y.shape
    size_y, size_x, _, channels, _ = w.shape
    for row in range(first, last):
        n, oy = row // out_y, row % out_y
        for ox in range(out_x):
            for group in range(groups):
                for o in range(outs):
                    y[n, oy, ox, group, o] = bias[group, o] if bias.size else 0
            for ky in range(size_y):
                iy = oy * stride[0] - padding[0] + ky * dilation[0]
                if iy < 0 or iy >= height:
                    continue
                for kx in range(size_x):
                    ix = ox * stride[1] - padding[1] + kx * dilation[1]
                    if ix < 0 or ix >= width:
                        continue
                    for group in range(groups):
                        for c in range(channels):
                            for o in range(outs):
                                y[n, oy, ox, group, o] += x[n, iy, ix, group, c] * w[ky, kx, group, c, o]
            if slope != 1:
                for group in range(groups):
                    for o in range(outs):
                        value = y[n, oy, ox, group, o]
                        y[n, oy, ox, group, o] = gated(value, value, slope)


@njit(fastmath={"contract"})
def input_rows(g, w, bias, mask, slope, dx, stride, padding, dilation, first, last):
    """dx (N, H, W, G, C) = bias (G, C) + g (N, OY, OX, G, O) * w (KY, KX, G, O, C), rows (n, iy) first to last."""
    out_y, out_x = g.shape[1:3]
    _, height, width, groups, channels = dx.shape
    size_y, size_x, _, outs, _ = w.shape
    for row in range(first, last):
        n, iy = row // height, row % height
        for ix in range(width):
            for group in range(groups):
                for c in range(channels):
                    dx[n, iy, ix, group, c] = bias[group, c] if bias.size else 0
            for ky in range(size_y):
                y = iy + padding[0] - ky * dilation[0]
                oy = y // stride[0]
                if oy < 0 or oy >= out_y or oy * stride[0] != y:
                    continue
                for kx in range(size_x):
                    x = ix + padding[1] - kx * dilation[1]
                    ox = x // stride[1]
                    if ox < 0 or ox >= out_x or ox * stride[1] != x:
                        continue
                    for group in range(groups):
                        for o in range(outs):
                            for c in range(channels):
                                dx[n, iy, ix, group, c] += g[n, oy, ox, group, o] * w[ky, kx, group, o, c]
            if slope != 1:
                for group in range(groups):
                    for c in range(channels):
                        value = dx[n, iy, ix, group, c]
                        gate = mask[n, iy, ix, group, c] if mask.size else value
                        dx[n, iy, ix, group, c] = gated(value, gate, slope)


@njit(fastmath={"contract"})
def weight_rows(x, g, dw, stride, padding, dilation, first, last):
    """dw (KY, KX, G, C, O) = x (N, H, W, G, C) * g (N, OY, OX, G, O), rows (ky, kx, group, c) first to last.

    Each line of pixels is summed by itself before it joins the total, which keeps the rounding error of a long sum low.
    """
    batch, height, width = x.shape[:3]
    out_y, out_x = g.shape[1:3]
    _, size_x, groups, channels, outs = dw.shape
    part = np.empty(outs, dw.dtype)
    for row in range(first, last):
        c, group = row % channels, row // channels % groups
        kx, ky = row // (channels * groups) % size_x, row // (channels * groups * size_x)
        for o in range(outs):
            dw[ky, kx, group, c, o] = 0
        for n in range(batch):
            for oy in range(out_y):
                iy = oy * stride[0] - padding[0] + ky * dilation[0]
                if iy < 0 or iy >= height:
                    continue
                for o in range(outs):
                    part[o] = 0
                for ox in range(out_x):
                    ix = ox * stride[1] - padding[1] + kx * dilation[1]
                    if ix < 0 or ix >= width:
                        continue
                    for o in range(outs):
                        part[o] += x[n, iy, ix, group, c] * g[n, oy, ox, group, o]
                for o in range(outs):
                    dw[ky, kx, group, c, o] += part[o]


@njit(parallel=True)
def forward_all(x, w, bias, slope, y, stride, padding, dilation, rows):
    for row in prange(rows):
        forward_rows(x, w, bias, slope, y, stride, padding, dilation, row, row + 1)


@njit(parallel=True)
def input_all(g, w, bias, mask, slope, dx, stride, padding, dilation, rows):
    for row in prange(rows):
        input_rows(g, w, bias, mask, slope, dx, stride, padding, dilation, row, row + 1)


@njit(parallel=True)
def weight_all(x, g, dw, stride, padding, dilation, rows):
    for row in prange(rows):
        weight_rows(x, g, dw, stride, padding, dilation, row, row + 1)
