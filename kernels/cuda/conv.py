"""Machine room, CUDA: launches of conv.cu, with the functions and arguments of `kernels/conv.py`.

`tiled` says which of the two kernels of each convolution runs.
"""

from __future__ import annotations

from math import prod

import numpy as np

from minigan.kernels.cuda.load import add_into, empty, launch, module_of
from minigan.kernels.layout import cast, contiguous, deliver, nhwc, target
from minigan.kernels.work import NOW

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

TILE, PIECE, SPLITS = 64, 1024, 64
"""Results of a block along either side; pixels of a weight gradient that one block sums at least; and parts at most."""

TILED_WORK = 1 << 20
"""Multiply-adds above which a tiled kernel is worth its half-empty blocks."""


def tiled(geometry, columns: int) -> bool:
    """Whether the tiles pay: a block's 64 columns must not mostly lie outside a group's `columns` channels."""
    return columns >= 16 and prod(geometry.y_shape) * prod(geometry.w_shape[1:]) >= TILED_WORK


def _sizes(geometry) -> tuple[int, ...]:
    batch, _, height, width = geometry.x_shape
    outs, channels, size_y, size_x = geometry.w_shape
    _, _, out_y, out_x = geometry.y_shape
    groups = geometry.groups
    sizes = (batch, height, width, groups, channels, out_y, out_x, outs // groups, size_y, size_x)
    return (*sizes, *geometry.stride, *geometry.padding, *geometry.dilation)


def _wide(*arrays) -> int:
    """Whether all arrays start at a multiple of 16 bytes."""
    return int(all(a.data.ptr % 16 == 0 for a in arrays))


def _taps(w, groups, axes, work):
    """w (O, C/groups, KY, KX) as (KY, KX, G, ...), its axes (O/groups, C/groups) in the order that a kernel reads."""
    outs, channels, size_y, size_x = w.shape
    grouped = contiguous(w, work).reshape(groups, outs // groups, channels, size_y, size_x)
    return contiguous(grouped.transpose(3, 4, 0, *axes), work)


def conv_forward(x, w, geometry, bias=None, out=None, *, slope=1.0, work=NOW):
    """y, as `kernels.conv.conv_forward`, on a device."""
    xp, shape, groups = module_of(x), geometry.y_shape, geometry.groups
    dtype = np.result_type(x.dtype, w.dtype)
    x, taps = nhwc(cast(x, dtype, work), work), _taps(cast(w, dtype, work), groups, (2, 1), work)
    start = x if bias is None else contiguous(cast(bias, dtype, work), work)
    y = target(out, TO_NHWC, x, shape, dtype, work)
    arguments = (x, taps, start, slope, y, *_sizes(geometry), int(bias is not None))
    outs = shape[1] // groups
    if tiled(geometry, outs):
        grid = (-(-shape[0] * shape[2] * shape[3] // TILE), -(-outs // TILE), groups)
        launch(xp, "conv", "forward_tile_kernel", dtype, grid, *arguments, _wide(x, taps), work=work)
    else:
        launch(xp, "conv", "forward_rows_kernel", dtype, y.size, *arguments, work=work)
    return deliver(y.transpose(TO_NCHW), out, work)


def conv_input(g, w, geometry, bias=None, out=None, *, mask=None, slope=1.0, work=NOW):
    """dx, as `kernels.conv.conv_input`, on a device."""
    xp, shape, groups = module_of(g), geometry.x_shape, geometry.groups
    dtype = np.result_type(g.dtype, w.dtype)
    g, taps = nhwc(cast(g, dtype, work), work), _taps(cast(w, dtype, work), groups, (1, 2), work)
    start = g if bias is None else contiguous(cast(bias, dtype, work), work)
    gate = g if mask is None else nhwc(cast(mask, dtype, work), work)
    dx = target(out, TO_NHWC, g, shape, dtype, work)
    flags = (int(bias is not None), int(mask is not None))
    arguments = (g, taps, start, gate, slope, dx, *_sizes(geometry), *flags)
    channels = shape[1] // groups
    if tiled(geometry, channels):
        grid = (-(-shape[0] * shape[2] * shape[3] // TILE), -(-channels // TILE), groups)
        launch(xp, "conv", "input_tile_kernel", dtype, grid, *arguments, _wide(g, taps), work=work)
    else:
        launch(xp, "conv", "input_rows_kernel", dtype, dx.size, *arguments, work=work)
    return deliver(dx.transpose(TO_NCHW), out, work)


def conv_weight(x, g, geometry, out=None, *, add=False, work=NOW):
    """dw, as `kernels.conv.conv_weight`, on a device."""
    shape, groups, xp = geometry.w_shape, geometry.groups, module_of(x)
    dtype = np.result_type(x.dtype, g.dtype)
    x, g = (nhwc(cast(array, dtype, work), work) for array in (x, g))
    outs, channels, size_y, size_x = shape
    taps = empty(xp, (size_y, size_x, groups, channels, outs // groups), dtype, work)
    if tiled(geometry, outs // groups):
        pixels = prod(geometry.y_shape) // outs
        splits = max(1, min(SPLITS, pixels // PIECE))
        piece = -(-pixels // splits)
        parts = taps if splits == 1 else empty(xp, (splits, *taps.shape), dtype, work)
        grid = (-(-size_y * size_x * channels // TILE), -(-outs // groups // TILE), groups * splits)
        arguments = (x, g, parts, *_sizes(geometry), splits, piece, _wide(x, g))
        launch(xp, "conv", "weight_tile_kernel", dtype, grid, *arguments, work=work)
        if splits > 1:
            launch(xp, "conv", "add_parts_kernel", dtype, taps.size, parts, taps, taps.size, splits, work=work)
    else:
        launch(xp, "conv", "weight_rows_kernel", dtype, taps.size, x, g, taps, *_sizes(geometry), work=work)
    sums = taps.transpose(2, 4, 3, 0, 1)
    if out is None:
        dw = xp.empty(shape, dtype)
        work.call(xp.copyto, dw.reshape(sums.shape), sums)
        return dw
    block = empty(xp, sums.shape, dtype, work)
    work.call(xp.copyto, block, sums)
    work.call(add_into if add else xp.copyto, out, block.reshape(shape))
    return out
