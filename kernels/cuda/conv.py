"""Machine room, CUDA: launches of conv.cu and conv_tiles.cu, with the functions and arguments of `kernels/conv.py`.

`tiled` says which of the kernels of each convolution runs.
"""

from __future__ import annotations

from math import gcd, prod

import numpy as np

from minigan.kernels.cuda.bias import bias_act
from minigan.kernels.cuda.load import add_into, empty, launch, module_of
from minigan.kernels.layout import cast, contiguous, deliver, nhwc, target
from minigan.kernels.work import NOW

TO_NHWC, TO_NCHW = (0, 2, 3, 1), (0, 3, 1, 2)

TILE_M, TILE_J, DEPTH = 128, 64, 16
"""Results of a block along either side; steps of a sum that it takes at a time, at most."""

BLOCKS, PIECE, SPLITS = 264, 128, 64
"""Blocks that a sum is cut into parts for, two for each multiprocessor of an H100; steps that one block sums at least;
and parts at most."""

TILED_WORK, FEW, WASTE, LONG = 1 << 20, 16, 1 << 27, 32
"""Multiply-adds from which on tiles are worth their half-empty blocks, for FEW channels at least. For less: how many
multiply-adds tiles may do, idle columns included, and the steps of a sum from which on they do, since their blocks
share it, where a thread would take them one by one."""


FORWARD = "forward_rows_kernel", "forward_tile_kernel"
INPUT = "input_rows_kernel", "input_tile_kernel"

MOST = 65535
"""Blocks along the third axis of a grid."""


def tiled(rows: int, columns: int, depth: int, classes: int = 1) -> bool:
    """Whether tiles pay for so many classes of rows x columns results that are sums over `depth`."""
    if classes > MOST:
        return False
    if columns >= FEW and classes * rows * columns * depth >= TILED_WORK:
        return True
    return depth >= LONG and classes * prod(_tiles(rows, columns)) * TILE_M * TILE_J * depth <= WASTE


def _tiles(rows: int, columns: int) -> tuple[int, int]:
    return -(-rows // TILE_M), -(-columns // TILE_J)


def _sizes(geometry) -> tuple[int, ...]:
    batch, _, height, width = geometry.x_shape
    outs, channels, size_y, size_x = geometry.w_shape
    _, _, out_y, out_x = geometry.y_shape
    groups = geometry.groups
    sizes = (batch, height, width, groups, channels, out_y, out_x, outs // groups, size_y, size_x)
    return (*sizes, *geometry.stride, *geometry.padding, *geometry.dilation)


def _parts(blocks: int, depth: int) -> tuple[int, int]:
    """(splits, the steps of each, whole tiles) of sums over `depth` in this many blocks: the same on every GPU."""
    splits = max(1, min(SPLITS, BLOCKS // blocks, depth // PIECE))
    piece = -(-depth // splits // DEPTH) * DEPTH
    return -(-depth // piece), piece


def _wide(*arrays) -> int:
    """Whether all arrays start at a multiple of 16 bytes."""
    return int(all(a.data.ptr % 16 == 0 for a in arrays))


def _taps(w, groups, axes, work):
    """w (O, C/groups, KY, KX) as (KY, KX, G, ...), its axes (O/groups, C/groups) in the order that a kernel reads."""
    outs, channels, size_y, size_x = w.shape
    grouped = contiguous(w, work).reshape(groups, outs // groups, channels, size_y, size_x)
    return contiguous(grouped.transpose(3, 4, 0, *axes), work)


def _correlate(face, source, taps, bias, mask, slope, result, geometry, classes, pixels, depth, work) -> None:
    """Launches a kernel of a face, FORWARD or INPUT, that writes `result` (N, H, W, channels).

    Each of the `classes` is a group, or its pixels of one remainder; pixels, depth: of a class, the results to a
    channel and the steps of each. FORWARD has no mask.
    """
    xp, dtype, columns = module_of(result), result.dtype, result.shape[-1] // geometry.groups
    sizes, has_bias, has_mask = _sizes(geometry), int(bias is not None), int(mask is not None)
    arrays, flags = [source, taps, source if bias is None else bias], [has_bias]
    if face is INPUT:
        arrays.append(source if mask is None else mask)
        flags.append(has_mask)
    if not tiled(pixels, columns, depth, classes):
        arguments = (*arrays, slope, result, *sizes, *flags)
        launch(xp, "conv", face[0], dtype, result.size, *arguments, work=work)
        return
    tiles = _tiles(pixels, columns)
    splits, piece = _parts(prod(tiles) * classes, depth)
    parts = result if splits == 1 else empty(xp, (splits, *result.shape), dtype, work)
    arguments = (*arrays, slope, parts, *sizes, *flags, splits, piece, _wide(*arrays, parts))
    launch(xp, "conv_tiles", face[1], dtype, (*tiles, classes * splits), *arguments, work=work)
    if splits > 1:
        _add(parts, result, work)
        if has_bias or slope != 1:
            lines = result.reshape(-1, result.shape[-1])
            gate = mask.reshape(lines.shape) if has_mask else None
            bias_act(lines, bias, slope, lines, mask=gate, work=work)


def _add(parts, result, work) -> None:
    """result = the sum of its parts, in order."""
    arguments = (parts, result, result.size, len(parts))
    launch(module_of(result), "conv_tiles", "add_parts_kernel", result.dtype, result.size, *arguments, work=work)


def conv_forward(x, w, geometry, bias=None, out=None, *, slope=1.0, work=NOW):
    """y, as `kernels.conv.conv_forward`, on a device."""
    shape, groups = geometry.y_shape, geometry.groups
    dtype = np.result_type(x.dtype, w.dtype)
    x, taps = nhwc(cast(x, dtype, work), work), _taps(cast(w, dtype, work), groups, (2, 1), work)
    bias = None if bias is None else contiguous(cast(bias, dtype, work), work)
    y = target(out, TO_NHWC, x, shape, dtype, work)
    pixels, depth = prod(shape) // shape[1], prod(geometry.w_shape[1:])
    _correlate(FORWARD, x, taps, bias, None, slope, y, geometry, groups, pixels, depth, work)
    return deliver(y.transpose(TO_NCHW), out, work)


def conv_input(g, w, geometry, bias=None, out=None, *, mask=None, slope=1.0, work=NOW):
    """dx, as `kernels.conv.conv_input`, on a device."""
    shape, groups = geometry.x_shape, geometry.groups
    dtype = np.result_type(g.dtype, w.dtype)
    g, taps = nhwc(cast(g, dtype, work), work), _taps(cast(w, dtype, work), groups, (1, 2), work)
    bias = None if bias is None else contiguous(cast(bias, dtype, work), work)
    mask = None if mask is None else nhwc(cast(mask, dtype, work), work)
    dx = target(out, TO_NHWC, g, shape, dtype, work)
    outs, _, *size = geometry.w_shape
    met = [-(-k * gcd(s, d) // s) for k, s, d in zip(size, geometry.stride, geometry.dilation, strict=True)]
    pixels = shape[0] * prod(-(-n // s) for n, s in zip(shape[2:], geometry.stride, strict=True))
    classes, depth = groups * prod(geometry.stride), outs // groups * prod(met)
    _correlate(INPUT, g, taps, bias, mask, slope, dx, geometry, classes, pixels, depth, work)
    return deliver(dx.transpose(TO_NCHW), out, work)


def conv_weight(x, g, geometry, out=None, *, add=False, work=NOW):
    """dw, as `kernels.conv.conv_weight`, on a device."""
    shape, groups, xp = geometry.w_shape, geometry.groups, module_of(x)
    dtype = np.result_type(x.dtype, g.dtype)
    x, g = (nhwc(cast(array, dtype, work), work) for array in (x, g))
    outs, channels, size_y, size_x = shape
    taps = empty(xp, (size_y, size_x, groups, channels, outs // groups), dtype, work)
    pixels, results = prod(geometry.y_shape) // outs, (size_y * size_x * channels, outs // groups)
    if tiled(*results, pixels, groups):
        tiles = _tiles(*results)
        splits, piece = _parts(prod(tiles) * groups, pixels)
        parts = taps if splits == 1 else empty(xp, (splits, *taps.shape), dtype, work)
        grid = (*tiles, groups * splits)
        arguments = (x, g, parts, *_sizes(geometry), splits, piece, _wide(x, g, parts))
        launch(xp, "conv_tiles", "weight_tile_kernel", dtype, grid, *arguments, work=work)
        if splits > 1:
            _add(parts, taps, work)
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
