"""Convolution, its input gradient and its weight gradient: the three faces of one sum.

    <g, y> = sum over n o c oy ox ky kx of  g[n, o, oy, ox] * w[o, c, ky, kx] * x[n, c, iy, ix]
    with iy = oy * stride_y - padding_y + ky * dilation_y, and ix likewise

The form is linear in each of x, w and g. Leave g open and it is the convolution; leave x open and it is the input
gradient, which is also the transposed convolution; leave w open and it is the weight gradient. With groups, output
channel o sees only the C/groups input channels of its own group.

Each kernel gathers: one iteration owns one row of the result and adds up everything that belongs there, so no two
threads write the same number and the order of every sum is fixed. The innermost loop runs over channels, which are
contiguous. These loops serve every geometry and both dtypes; `fast` takes over where `fast.lanes_for` says it pays.

A bias starts the sum. Two more things can be done to a sum before it is stored, which saves a pass over memory each:
leaky-ReLU of the result (`slope`), and leaky-ReLU's gradient at a mask of the result's shape (`mask` and `slope`).
"""

from math import prod
from types import ModuleType

import numpy as np
from numba import prange

from minigan.kernels import fast
from minigan.kernels.act import gated
from minigan.kernels.fast import conv as fast_conv
from minigan.kernels.fast import winograd
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.layout import contiguous, memory_order, nhwc
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, twins

TO_NHWC, TO_NCHW, C_ORDER = (0, 2, 3, 1), (0, 3, 1, 2), (0, 1, 2, 3)

SERIAL = 1 << 15
"""Multiply-adds below which starting threads costs more than it saves."""


@njit(fastmath={"contract"})
def _forward_rows(x, w, bias, slope, y, stride, padding, dilation, first, last):
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
def _input_rows(g, w, bias, mask, slope, dx, stride, padding, dilation, first, last):
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
def _forward(x, w, bias, slope, y, stride, padding, dilation, rows):
    for row in prange(rows):
        _forward_rows(x, w, bias, slope, y, stride, padding, dilation, row, row + 1)


@njit(parallel=True)
def _input(g, w, bias, mask, slope, dx, stride, padding, dilation, rows):
    for row in prange(rows):
        _input_rows(g, w, bias, mask, slope, dx, stride, padding, dilation, row, row + 1)


@njit(parallel=True)
def _weight(x, g, dw, stride, padding, dilation, rows):
    for row in prange(rows):
        _weight_rows(x, g, dw, stride, padding, dilation, row, row + 1)


def _run(work: Now, serial, parallel, geometry: ConvGeometry, rows: int, *arguments) -> None:
    settings = (geometry.stride, geometry.padding, geometry.dilation)
    if _multiply_adds(geometry) < SERIAL:
        work.call(serial, *arguments, *settings, 0, rows)
    else:
        work.call(parallel, *arguments, *settings, rows)


def _multiply_adds(geometry: ConvGeometry) -> int:
    return prod(geometry.y_shape) * prod(geometry.w_shape[1:])


def _lanes(geometry: ConvGeometry, dtype: np.dtype, channels: int) -> int:
    """The vector width to use for a result of so many channels. Each group is a product of its own."""
    return fast.lanes_for(dtype, _multiply_adds(geometry) // geometry.groups, channels // geometry.groups)


def _room(geometry: ConvGeometry, lanes: int) -> ModuleType:
    """The fast kernels for this geometry: Winograd's, with fewer multiplications, or the direct sums."""
    return winograd if winograd.enabled() and winograd.suits(geometry, lanes) else fast_conv


def _check(op: str, geometry: ConvGeometry, *named: tuple[str, Array | None, tuple[int, ...]]) -> None:
    """The loops trust the geometry with their memory accesses, so every array must fit it."""
    for name, array, shape in named:
        if array is not None and array.shape != shape:
            raise ValueError(f"{op}: {name} has shape {array.shape}, {geometry} needs {shape}")


def _cast(x: Array, dtype: np.dtype, work: Now) -> Array:
    """x in this dtype and its own order of memory."""
    if x.dtype == dtype:
        return x
    order = memory_order(x)
    block = work.empty([x.shape[axis] for axis in order], dtype).transpose(np.argsort(order))
    work.call(np.copyto, block, x)
    return block


def _block(out: Array | None, order: tuple[int, ...], shape: tuple[int, ...], dtype: np.dtype, work: Now) -> Array:
    """The C-contiguous block that a kernel writes, axes in `order`: out's own memory where it lies so, else new."""
    if out is not None and out.dtype == dtype:
        block = out.transpose(order)
        if block.flags.c_contiguous and block.flags.writeable:
            return block
    return work.empty([shape[axis] for axis in order], dtype)


def _put(target: Array, source: Array, add: bool, work: Now) -> None:
    """target = source, or += it."""
    if add:
        work.call(np.add, target, source, target)
    else:
        work.call(np.copyto, target, source)


def _deliver(result: Array, out: Array | None, work: Now) -> Array:
    """The result itself, or `out` holding it."""
    if out is None:
        return result
    if not np.may_share_memory(result, out):
        _put(out, result, False, work)
    return out


def _line(bias: Array | None, dtype: np.dtype, work: Now) -> Array | None:
    return None if bias is None else contiguous(_cast(bias, dtype, work), work)


def _grouped(block: Array | None, groups: int, ndim: int, dtype: np.dtype) -> Array:
    """(..., channels) -> (..., groups, channels of a group), `ndim` axes in all; for None an empty array."""
    if block is None:
        return np.empty((0,) * ndim, dtype)
    return block.reshape(*block.shape[:-1], groups, block.shape[-1] // groups)


def conv_forward(
    x: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None = None,
    out: Array | None = None,
    *,
    slope: float = 1.0,
    work: Now = NOW,
) -> Array:
    """The convolution: x (N, C, H, W), w (O, C/groups, KY, KX), bias (O,) -> y (N, O, OY, OX).

    slope: leaky-ReLU of the result (1 for none; 0 is ReLU). Like the other two: the result lies in memory as NHWC,
    `out` must not overlap an operand, and a shape that does not fit the geometry is a ValueError.
    """
    if not isinstance(x, Array):
        return twins("conv").conv_forward(x, w, geometry, bias, out, slope=slope, work=work)
    shape, groups = geometry.y_shape, geometry.groups
    batch, outs, out_y, _ = shape
    named = (("x", x, geometry.x_shape), ("w", w, geometry.w_shape), ("bias", bias, (outs,)), ("out", out, shape))
    _check("conv_forward", geometry, *named)
    dtype = np.result_type(x, w)
    x, w, bias = nhwc(_cast(x, dtype, work), work), _cast(w, dtype, work), _line(bias, dtype, work)
    y = _block(out, TO_NHWC, shape, dtype, work)
    if lanes := _lanes(geometry, dtype, outs):
        _room(geometry, lanes).conv_forward(x, contiguous(w, work), geometry, bias, y, lanes, work, slope)
    else:
        taps = w.reshape(groups, outs // groups, *geometry.w_shape[1:]).transpose(3, 4, 0, 2, 1)
        x, y_groups = (_grouped(block, groups, 5, dtype) for block in (x, y))
        start = _grouped(bias, groups, 2, dtype)
        rows = batch * out_y
        _run(
            work, _forward_rows, _forward, geometry, rows, x, contiguous(taps, work), start, dtype.type(slope), y_groups
        )
    return _deliver(y.transpose(TO_NCHW), out, work)


def conv_input(
    g: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None = None,
    out: Array | None = None,
    *,
    mask: Array | None = None,
    slope: float = 1.0,
    work: Now = NOW,
) -> Array:
    """The input gradient, which is the transposed convolution.

    g (N, O, OY, OX), w (O, C/groups, KY, KX), bias (C,) -> dx (N, C, H, W). With a mask (N, C, H, W), dx where
    mask > 0 and slope * dx elsewhere (for slope 0: 0 where mask <= 0); without, leaky-ReLU of dx, as in `conv_forward`.
    """
    if not isinstance(g, Array):
        return twins("conv").conv_input(g, w, geometry, bias, out, mask=mask, slope=slope, work=work)
    shape, groups = geometry.x_shape, geometry.groups
    batch, channels, height, _ = shape
    named = (("g", g, geometry.y_shape), ("w", w, geometry.w_shape), ("bias", bias, (channels,)), ("out", out, shape))
    _check("conv_input", geometry, *named, ("mask", mask, shape))
    dtype = np.result_type(g, w)
    g, w, bias = nhwc(_cast(g, dtype, work), work), _cast(w, dtype, work), _line(bias, dtype, work)
    mask = None if mask is None else nhwc(_cast(mask, dtype, work), work)
    dx = _block(out, TO_NHWC, shape, dtype, work)
    if lanes := _lanes(geometry, dtype, channels):
        _room(geometry, lanes).conv_input(g, contiguous(w, work), geometry, bias, dx, lanes, work, mask, slope)
    else:
        taps = w.reshape(groups, w.shape[0] // groups, *geometry.w_shape[1:]).transpose(3, 4, 0, 1, 2)
        g, gate, dx_groups = (_grouped(block, groups, 5, dtype) for block in (g, mask, dx))
        start = _grouped(bias, groups, 2, dtype)
        arguments = (g, contiguous(taps, work), start, gate, dtype.type(slope), dx_groups)
        _run(work, _input_rows, _input, geometry, batch * height, *arguments)
    return _deliver(dx.transpose(TO_NCHW), out, work)


def conv_weight(
    x: Array, g: Array, geometry: ConvGeometry, out: Array | None = None, *, add: bool = False, work: Now = NOW
) -> Array:
    """The weight gradient: x (N, C, H, W), g (N, O, OY, OX) -> dw (O, C/groups, KY, KX), C order.

    add: into what `out` holds, which must then be given (ValueError).
    """
    if not isinstance(x, Array):
        return twins("conv").conv_weight(x, g, geometry, out, add=add, work=work)
    shape, groups = geometry.w_shape, geometry.groups
    _check("conv_weight", geometry, ("x", x, geometry.x_shape), ("g", g, geometry.y_shape), ("out", out, shape))
    if add and out is None:
        raise ValueError("conv_weight: add needs an `out` to add to")
    dtype = np.result_type(x, g)
    x, g = (nhwc(_cast(array, dtype, work), work) for array in (x, g))
    dw = _block(out, C_ORDER, shape, dtype, work)
    inside = out is not None and np.may_share_memory(dw, out)
    if lanes := _lanes(geometry, dtype, shape[0]):
        _room(geometry, lanes).conv_weight(x, g, geometry, dw, lanes, work, add and inside)
    else:
        outs, channels, size_y, size_x = shape
        taps = work.empty((size_y, size_x, groups, channels, outs // groups), dtype)
        blocks = (_grouped(x, groups, 5, dtype), _grouped(g, groups, 5, dtype), taps)
        _run(work, _weight_rows, _weight, geometry, size_y * size_x * groups * channels, *blocks)
        found = taps.transpose(2, 4, 3, 0, 1)
        _put(dw.reshape(found.shape), found, add and inside, work)
    if out is not None and not inside:
        _put(out, dw, add, work)
    return dw if out is None else out
