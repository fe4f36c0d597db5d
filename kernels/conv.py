"""Convolution, its input gradient and its weight gradient: the three faces of one sum.

    <g, y> = sum over n o c oy ox ky kx of  g[n, o, oy, ox] * w[o, c, ky, kx] * x[n, c, iy, ix]
    with iy = oy * stride_y - padding_y + ky * dilation_y, ix likewise

The form is linear in each of x, w and g. Leave g open and it is the convolution; leave x open and it is the input gradient, which is also the transposed
convolution; leave w open and it is the weight gradient. With groups, output channel o sees only the C/groups input channels of its own group.

Each kernel gathers: one loop iteration owns one row of the result and adds up everything that belongs there, so no two threads write the same
number and the order of every sum is fixed. The innermost loop runs over channels, which are contiguous. These loops serve every geometry and
both dtypes; `fast` takes over where `fast.lanes_for` says that it pays.
"""

from math import prod

import numpy as np
from numba import prange

from minigan.kernels import fast
from minigan.kernels.fast import conv as fast_conv
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.layout import nhwc
from minigan.kernels.load import njit

Array = np.ndarray

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

SERIAL = 1 << 15
"""Multiply-adds below which starting threads costs more than it saves."""


@njit(fastmath={"contract"})
def _forward_rows(x, w, bias, y, stride, padding, dilation, groups, first, last):
    """y (N, OY, OX, O) = bias + x (N, H, W, C) with w (KY, KX, C, O/groups), for output rows (n, oy) from first to last."""
    _, height, width, channels = x.shape
    _, out_y, out_x, outs = y.shape
    size_y, size_x, _, group_out = w.shape
    group_in = channels // groups
    for row in range(first, last):
        n, oy = row // out_y, row % out_y
        for ox in range(out_x):
            for o in range(outs):
                y[n, oy, ox, o] = bias[o]
            for ky in range(size_y):
                iy = oy * stride[0] - padding[0] + ky * dilation[0]
                if iy < 0 or iy >= height:
                    continue
                for kx in range(size_x):
                    ix = ox * stride[1] - padding[1] + kx * dilation[1]
                    if ix < 0 or ix >= width:
                        continue
                    for c in range(channels):
                        o = c // group_in * group_out
                        for j in range(group_out):
                            y[n, oy, ox, o + j] += x[n, iy, ix, c] * w[ky, kx, c, j]


@njit(fastmath={"contract"})
def _input_rows(g, w, bias, dx, stride, padding, dilation, groups, first, last):
    """dx (N, H, W, C) = bias + g (N, OY, OX, O) with w (KY, KX, O, C/groups), for input rows (n, iy) from first to last."""
    _, height, width, channels = dx.shape
    _, out_y, out_x, outs = g.shape
    size_y, size_x, _, group_in = w.shape
    group_out = outs // groups
    for row in range(first, last):
        n, iy = row // height, row % height
        for ix in range(width):
            for c in range(channels):
                dx[n, iy, ix, c] = bias[c]
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
                    for o in range(outs):
                        c = o // group_out * group_in
                        for j in range(group_in):
                            dx[n, iy, ix, c + j] += g[n, oy, ox, o] * w[ky, kx, o, j]


@njit(fastmath={"contract"})
def _weight_rows(x, g, dw, stride, padding, dilation, groups, first, last):
    """dw (KY, KX, C, O/groups) from x (N, H, W, C) and g (N, OY, OX, O), for rows (ky, kx, c) from first to last.

    Each output row (oy) is summed by itself before it joins the total, which keeps the rounding error of a long sum down.
    """
    batch, height, width, channels = x.shape
    _, out_y, out_x, outs = g.shape
    _, size_x, _, group_out = dw.shape
    group_in = channels // groups
    part = np.empty(group_out, dw.dtype)
    for row in range(first, last):
        ky, kx, c = row // (size_x * channels), row // channels % size_x, row % channels
        o = c // group_in * group_out
        for j in range(group_out):
            dw[ky, kx, c, j] = 0
        for n in range(batch):
            for oy in range(out_y):
                iy = oy * stride[0] - padding[0] + ky * dilation[0]
                if iy < 0 or iy >= height:
                    continue
                for j in range(group_out):
                    part[j] = 0
                for ox in range(out_x):
                    ix = ox * stride[1] - padding[1] + kx * dilation[1]
                    if ix < 0 or ix >= width:
                        continue
                    for j in range(group_out):
                        part[j] += x[n, iy, ix, c] * g[n, oy, ox, o + j]
                for j in range(group_out):
                    dw[ky, kx, c, j] += part[j]


@njit(parallel=True)
def _forward(x, w, bias, y, stride, padding, dilation, groups, rows):
    for row in prange(rows):
        _forward_rows(x, w, bias, y, stride, padding, dilation, groups, row, row + 1)


@njit(parallel=True)
def _input(g, w, bias, dx, stride, padding, dilation, groups, rows):
    for row in prange(rows):
        _input_rows(g, w, bias, dx, stride, padding, dilation, groups, row, row + 1)


@njit(parallel=True)
def _weight(x, g, dw, stride, padding, dilation, groups, rows):
    for row in prange(rows):
        _weight_rows(x, g, dw, stride, padding, dilation, groups, row, row + 1)


def _run(serial, parallel, geometry: ConvGeometry, rows: int, *arguments) -> None:
    settings = (geometry.stride, geometry.padding, geometry.dilation, geometry.groups)
    if _multiply_adds(geometry) < SERIAL:
        serial(*arguments, *settings, 0, rows)
    else:
        parallel(*arguments, *settings, rows)


def _multiply_adds(geometry: ConvGeometry) -> int:
    return prod(geometry.y_shape) * prod(geometry.w_shape[1:])


def _lanes(dtype: np.dtype, geometry: ConvGeometry) -> int:
    """Each group is a product of its own, so one group's work decides."""
    return fast.lanes_for(dtype, _multiply_adds(geometry) // geometry.groups)


def _block(out: Array | None, order: tuple[int, ...], shape: tuple, dtype: np.dtype) -> Array:
    """The C-contiguous block a kernel writes: out's own memory where out lies in `order`, else a new one; `shape` is the block's."""
    if out is not None and out.dtype == dtype:
        block = out.transpose(order)
        if block.flags.c_contiguous and block.flags.writeable:
            return block
    return np.empty(shape, dtype)


def _deliver(result: Array, out: Array | None) -> Array:
    """The result itself, or `out` holding it."""
    if out is None:
        return result
    if not np.may_share_memory(result, out):
        out[...] = result
    return out


def _bias(bias: Array | None, size: int, dtype: np.dtype) -> Array:
    return np.zeros(size, dtype) if bias is None else np.ascontiguousarray(bias, dtype)


def conv_forward(
    x: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None = None,
    out: Array | None = None,
) -> Array:
    """The convolution: x (N, C, H, W), w (O, C/groups, KY, KX), bias (O,) -> y (N, O, OY, OX)."""
    batch, outs, out_y, out_x = geometry.y_shape
    _, group_in, size_y, size_x = geometry.w_shape
    y = _block(out, TO_NHWC, (batch, out_y, out_x, outs), x.dtype)
    start = _bias(bias, outs, x.dtype)
    if lanes := _lanes(x.dtype, geometry):
        fast_conv.conv_forward(nhwc(x), np.ascontiguousarray(w), geometry, start, y, lanes)
    else:
        grouped = w.reshape(geometry.groups, outs // geometry.groups, group_in, size_y, size_x)
        taps = np.ascontiguousarray(grouped.transpose(3, 4, 0, 2, 1))
        taps = taps.reshape(size_y, size_x, geometry.x_shape[1], outs // geometry.groups)
        _run(_forward_rows, _forward, geometry, batch * out_y, nhwc(x), taps, start, y)
    return _deliver(y.transpose(TO_NCHW), out)


def conv_input(
    g: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None = None,
    out: Array | None = None,
) -> Array:
    """The input gradient, also the transposed convolution: g (N, O, OY, OX), w (O, C/groups, KY, KX), bias (C,) -> dx (N, C, H, W)."""
    batch, channels, height, width = geometry.x_shape
    dx = _block(out, TO_NHWC, (batch, height, width, channels), g.dtype)
    start = _bias(bias, channels, g.dtype)
    if lanes := _lanes(g.dtype, geometry):
        fast_conv.conv_input(nhwc(g), np.ascontiguousarray(w), geometry, start, dx, lanes)
    else:
        taps = np.ascontiguousarray(w.transpose(2, 3, 0, 1))
        _run(_input_rows, _input, geometry, batch * height, nhwc(g), taps, start, dx)
    return _deliver(dx.transpose(TO_NCHW), out)


def conv_weight(x: Array, g: Array, geometry: ConvGeometry, out: Array | None = None) -> Array:
    """The weight gradient: x (N, C, H, W), g (N, O, OY, OX) -> dw (O, C/groups, KY, KX), C order."""
    outs, group_in, size_y, size_x = geometry.w_shape
    if lanes := _lanes(x.dtype, geometry):
        dw = _block(out, (0, 1, 2, 3), geometry.w_shape, x.dtype)
        fast_conv.conv_weight(nhwc(x), nhwc(g), geometry, dw, lanes)
        return _deliver(dw, out)
    channels, group_out = geometry.x_shape[1], outs // geometry.groups
    taps = np.empty((size_y, size_x, channels, group_out), x.dtype)
    _run(_weight_rows, _weight, geometry, size_y * size_x * channels, nhwc(x), nhwc(g), taps)
    grouped = taps.reshape(size_y, size_x, geometry.groups, group_in, group_out)
    dw = np.ascontiguousarray(grouped.transpose(2, 4, 3, 0, 1)).reshape(geometry.w_shape)
    return _deliver(dw, out)
