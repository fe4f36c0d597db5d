"""Convolution, its input gradient and its weight gradient: the three faces of one sum.

    <g, y> = sum over n o c oy ox ky kx of  g[n, o, oy, ox] * w[o, c, ky, kx] * x[n, c, iy, ix]
    with iy = oy * stride_y - padding_y + ky * dilation_y, and ix likewise

The form is linear in each of x, w and g. Leave g open and it is the convolution; leave x open and it is the input
gradient, which is also the transposed convolution; leave w open and it is the weight gradient. With groups, output
channel o sees only the C/groups input channels of its own group.

Each kernel gathers: one iteration owns one row of the result and adds up everything that belongs there, so no two
threads write the same number and the order of every sum is fixed. The innermost loop runs over channels, which are
contiguous. These loops serve every geometry and both dtypes; `fast` takes over where `fast.lanes_for` says it pays.
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
def _forward_rows(x, w, bias, y, stride, padding, dilation, first, last):
    """y (N, OY, OX, G, O) = bias (G, O) + x (N, H, W, G, C) * w (KY, KX, G, C, O), rows (n, oy) first to last."""
    height, width = x.shape[1:3]
    _, out_y, out_x, groups, outs = y.shape
    size_y, size_x, _, channels, _ = w.shape
    for row in range(first, last):
        n, oy = row // out_y, row % out_y
        for ox in range(out_x):
            for group in range(groups):
                for o in range(outs):
                    y[n, oy, ox, group, o] = bias[group, o]
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


@njit(fastmath={"contract"})
def _input_rows(g, w, bias, dx, stride, padding, dilation, first, last):
    """dx (N, H, W, G, C) = bias (G, C) + g (N, OY, OX, G, O) * w (KY, KX, G, O, C), rows (n, iy) first to last."""
    out_y, out_x = g.shape[1:3]
    _, height, width, groups, channels = dx.shape
    size_y, size_x, _, outs, _ = w.shape
    for row in range(first, last):
        n, iy = row // height, row % height
        for ix in range(width):
            for group in range(groups):
                for c in range(channels):
                    dx[n, iy, ix, group, c] = bias[group, c]
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


@njit(fastmath={"contract"})
def _weight_rows(x, g, dw, stride, padding, dilation, first, last):
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
def _forward(x, w, bias, y, stride, padding, dilation, rows):
    for row in prange(rows):
        _forward_rows(x, w, bias, y, stride, padding, dilation, row, row + 1)


@njit(parallel=True)
def _input(g, w, bias, dx, stride, padding, dilation, rows):
    for row in prange(rows):
        _input_rows(g, w, bias, dx, stride, padding, dilation, row, row + 1)


@njit(parallel=True)
def _weight(x, g, dw, stride, padding, dilation, rows):
    for row in prange(rows):
        _weight_rows(x, g, dw, stride, padding, dilation, row, row + 1)


def _run(serial, parallel, geometry: ConvGeometry, rows: int, *arguments: Array) -> None:
    settings = (geometry.stride, geometry.padding, geometry.dilation)
    if _multiply_adds(geometry) < SERIAL:
        serial(*arguments, *settings, 0, rows)
    else:
        parallel(*arguments, *settings, rows)


def _multiply_adds(geometry: ConvGeometry) -> int:
    return prod(geometry.y_shape) * prod(geometry.w_shape[1:])


def _lanes(geometry: ConvGeometry, dtype: np.dtype, channels: int) -> int:
    """The vector width to use for a result of so many channels. Each group is a product of its own."""
    return fast.lanes_for(dtype, _multiply_adds(geometry) // geometry.groups, channels // geometry.groups)


def _check(op: str, geometry: ConvGeometry, *named: tuple[str, Array | None, tuple[int, ...]]) -> None:
    """The loops trust the geometry with their memory accesses, so every array must fit it."""
    for name, array, shape in named:
        if array is not None and array.shape != shape:
            raise ValueError(f"{op}: {name} has shape {array.shape}, {geometry} needs {shape}")


def _alike(*arrays: Array) -> list[Array]:
    """The arrays in their common dtype."""
    dtype = np.result_type(*arrays)
    return [array.astype(dtype, copy=False) for array in arrays]


def _block(out: Array | None, order: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype) -> Array:
    """The C-contiguous block of `shape` that a kernel writes: out's own memory if it lies in `order`, else new."""
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


def _grouped(block: Array, groups: int) -> Array:
    """(..., channels) -> (..., groups, channels of a group)."""
    return block.reshape(*block.shape[:-1], groups, block.shape[-1] // groups)


def conv_forward(
    x: Array, w: Array, geometry: ConvGeometry, bias: Array | None = None, out: Array | None = None
) -> Array:
    """The convolution: x (N, C, H, W), w (O, C/groups, KY, KX), bias (O,) -> y (N, O, OY, OX).

    Like the other two: the result lies in memory as NHWC, `out` must not overlap an operand, and a shape that does not
    fit the geometry is a ValueError.
    """
    shape, groups = geometry.y_shape, geometry.groups
    batch, outs, out_y, out_x = shape
    named = (("x", x, geometry.x_shape), ("w", w, geometry.w_shape), ("bias", bias, (outs,)), ("out", out, shape))
    _check("conv_forward", geometry, *named)
    x, w = _alike(x, w)
    y = _block(out, TO_NHWC, (batch, out_y, out_x, outs), x.dtype)
    start = _bias(bias, outs, y.dtype)
    if lanes := _lanes(geometry, y.dtype, outs):
        fast_conv.conv_forward(nhwc(x), np.ascontiguousarray(w), geometry, start, y, lanes)
    else:
        taps = w.reshape(groups, outs // groups, *geometry.w_shape[1:]).transpose(3, 4, 0, 2, 1)
        blocks = (_grouped(nhwc(x), groups), np.ascontiguousarray(taps), _grouped(start, groups), _grouped(y, groups))
        _run(_forward_rows, _forward, geometry, batch * out_y, *blocks)
    return _deliver(y.transpose(TO_NCHW), out)


def conv_input(
    g: Array, w: Array, geometry: ConvGeometry, bias: Array | None = None, out: Array | None = None
) -> Array:
    """The input gradient, which is the transposed convolution.

    g (N, O, OY, OX), w (O, C/groups, KY, KX), bias (C,) -> dx (N, C, H, W).
    """
    shape, groups = geometry.x_shape, geometry.groups
    batch, channels, height, width = shape
    named = (("g", g, geometry.y_shape), ("w", w, geometry.w_shape), ("bias", bias, (channels,)), ("out", out, shape))
    _check("conv_input", geometry, *named)
    g, w = _alike(g, w)
    dx = _block(out, TO_NHWC, (batch, height, width, channels), g.dtype)
    start = _bias(bias, channels, dx.dtype)
    if lanes := _lanes(geometry, dx.dtype, channels):
        fast_conv.conv_input(nhwc(g), np.ascontiguousarray(w), geometry, start, dx, lanes)
    else:
        taps = w.reshape(groups, w.shape[0] // groups, *geometry.w_shape[1:]).transpose(3, 4, 0, 1, 2)
        blocks = (_grouped(nhwc(g), groups), np.ascontiguousarray(taps), _grouped(start, groups), _grouped(dx, groups))
        _run(_input_rows, _input, geometry, batch * height, *blocks)
    return _deliver(dx.transpose(TO_NCHW), out)


def conv_weight(x: Array, g: Array, geometry: ConvGeometry, out: Array | None = None) -> Array:
    """The weight gradient: x (N, C, H, W), g (N, O, OY, OX) -> dw (O, C/groups, KY, KX), C order."""
    shape, groups = geometry.w_shape, geometry.groups
    _check("conv_weight", geometry, ("x", x, geometry.x_shape), ("g", g, geometry.y_shape), ("out", out, shape))
    x, g = _alike(x, g)
    if lanes := _lanes(geometry, x.dtype, shape[0]):
        dw = _block(out, (0, 1, 2, 3), shape, x.dtype)
        fast_conv.conv_weight(nhwc(x), nhwc(g), geometry, dw, lanes)
        return _deliver(dw, out)
    outs, channels, size_y, size_x = shape
    taps = np.empty((size_y, size_x, groups, channels, outs // groups), x.dtype)
    blocks = (_grouped(nhwc(x), groups), _grouped(nhwc(g), groups), taps)
    _run(_weight_rows, _weight, geometry, size_y * size_x * groups * channels, *blocks)
    return _deliver(np.ascontiguousarray(taps.transpose(2, 4, 3, 0, 1)).reshape(shape), out)
