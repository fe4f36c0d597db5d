"""Machine room, fast kernels: the three convolutions; pack, multiply, and bring the result into place.

Arrays are C-contiguous float32 blocks here: x, dx and its mask (N, H, W, C), g and y (N, OY, OX, O), w and dw
(O, C/groups, KY, KX), every size at least 1; a bias or a mask may be None. `tables` says which rows and runs make which
product. Groups are products of their own, which read and write their channels of the same arrays. `work` gets all that
touches a number (`work.py`).
"""

from dataclasses import replace

import numpy as np
from numba import prange

from minigan.kernels.act import gated
from minigan.kernels.fast import tables
from minigan.kernels.fast.gemm import FLOAT, TASKS, as_it_lies, multiply, pack
from minigan.kernels.fast.micro import ZERO
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.load import njit
from minigan.kernels.work import Array, Now

NO_BIAS, NO_MASK = np.empty(0, np.float32), np.empty((0, 0, 0, 0), np.float32)

SEGMENT = 4096
"""Pixels that the weight gradient sums in one float32 chain; longer sums are cut, which keeps rounding errors small."""

FEW = 12
"""Input channels below which the weight gradient copies x with a border, so that its taps share their tiles."""

ROUND = 1 << 20
"""Bytes of x and g to a round of the weight gradient: they should stay in cache while all weights pass over them."""


def _groups(geometry: ConvGeometry):
    """For each group its input and its output channels, as slices."""
    outs, ins = geometry.w_shape[0] // geometry.groups, geometry.w_shape[1]
    for group in range(geometry.groups):
        yield slice(group * ins, (group + 1) * ins), slice(group * outs, (group + 1) * outs)


@njit(parallel=True)
def _pad(x, before_y, before_x, padded):
    """x (N, H, W*C) into padded, whose images have more and longer rows; before_x counts floats."""
    _, height, width = x.shape
    batch, padded_y, padded_x = padded.shape
    for row in prange(batch * padded_y):
        n, y = row // padded_y, row % padded_y
        for i in range(padded_x):
            padded[n, y, i] = 0
        if before_y <= y < before_y + height:
            for i in range(width):
                padded[n, y, before_x + i] = x[n, y - before_y, i]


def _bordered(x: Array, geometry: ConvGeometry, work: Now) -> tuple[Array, ConvGeometry]:
    """x with the zeros that its windows need around it, and its geometry, which has no padding."""
    batch, height, width, channels = x.shape
    sizes = [
        max(size + pad, (out - 1) * stride + (kernel - 1) * dilation + 1)
        for size, pad, out, stride, kernel, dilation in zip(
            (height, width), geometry.padding, geometry.y_shape[2:], geometry.stride,
            geometry.w_shape[2:], geometry.dilation, strict=True,
        )
    ]  # fmt: skip
    if sizes == [height, width]:
        return x, geometry
    padded = work.empty((batch, sizes[0], sizes[1] * channels))
    work.call(
        _pad, x.reshape(batch, height, width * channels), geometry.padding[0], geometry.padding[1] * channels, padded
    )
    return padded, replace(geometry, x_shape=(batch, channels, *sizes), padding=(0, 0))


def _start(bias: Array | None, channels: slice) -> int:
    """Where a product whose columns are these channels starts from."""
    return ZERO if bias is None else bias.ctypes.data + FLOAT * channels.start


def conv_forward(
    x: Array, w: Array, geometry: ConvGeometry, bias: Array | None, y: Array, lanes: int, work: Now, slope: float
) -> None:
    """Writes y: the windows of x times the weights."""
    product = tables.forward(geometry)
    for ins, outs in _groups(geometry):
        group = w[outs]
        panels = pack(
            "conv_forward", group, group.reshape(-1), product.places, group[0].size, group.shape[0], lanes, work
        )
        x_at, y_at = x.ctypes.data + FLOAT * ins.start, y.ctypes.data + FLOAT * outs.start
        start = _start(bias, outs)
        multiply(product, x_at, panels, y_at, group.shape[0], lanes, work, start=start, slope=slope)


def conv_weight(x: Array, g: Array, geometry: ConvGeometry, dw: Array, lanes: int, work: Now, add: bool) -> None:
    """Writes dw, or adds to it: for each weight the sum over pixels of the input it met times the cotangent of the
    output it fed."""
    group_in, taps = dw.shape[1], dw[0, 0].size
    rounds = -(-(x.nbytes + g.nbytes) // ROUND)
    if group_in < FEW:
        x, geometry = _bordered(x, geometry, work)
    product = tables.weight(geometry)
    pixels, blocks = g[..., 0].size, product.bases.shape[0]
    segments = min(blocks, max(-(-pixels // SEGMENT), 8 * TASKS // product.kinds.size))
    for ins, outs in _groups(geometry):
        group = dw[outs]
        columns = group.shape[0]
        parts = work.empty((segments, taps, group_in * columns + tables.SPARE))
        line = g.reshape(-1)[outs.start :]
        panels = as_it_lies(line, product.row_a.size, columns, g.shape[3], lanes)
        if panels is None:
            panels = pack(("conv_weight", columns), line, line, product.places, 1, columns, lanes, work)
        x_at = x.ctypes.data + FLOAT * ins.start
        multiply(
            product, x_at, panels, parts.ctypes.data, columns, lanes, work,
            rounds=rounds, segments=segments, segment_step=parts[0].nbytes,
        )  # fmt: skip
        work.call(_sum_parts, parts, group.reshape(columns, group_in, taps), add)


@njit(parallel=True)
def _sum_parts(parts, dw, add):
    """dw (O, C, taps) = sum of parts (segments, taps, C*O and a few spare) in their order; with add, dw +=."""
    outs, channels, taps = dw.shape
    for c in prange(channels):
        for o in range(outs):
            for tap in range(taps):
                total = parts[0, tap, c * outs + o]
                for s in range(1, parts.shape[0]):
                    total += parts[s, tap, c * outs + o]
                dw[o, c, tap] = dw[o, c, tap] + total if add else total


def conv_input(
    g: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None,
    dx: Array,
    lanes: int,
    work: Now,
    mask: Array | None,
    slope: float,
) -> None:
    """Writes dx, by phases or by contributions, whichever takes fewer vector operations.

    Adding up a contribution outside the micro-kernel is counted as four of them (measured).
    """
    _, outs, out_y, out_x = geometry.y_shape
    group_in, group_out, taps = w.shape[1], outs // geometry.groups, w[0, 0].size
    phase_taps = taps / (geometry.stride[0] * geometry.stride[1])
    by_phases = dx[0, ..., 0].size * phase_taps * group_out * -(-group_in // lanes)
    by_parts = group_out * -(-group_in * taps // lanes) + 4 * group_in * taps
    if by_phases <= out_y * out_x * by_parts:
        _input_by_phases(g, w, geometry, bias, dx, lanes, work, mask, slope)
    else:
        _input_by_parts(g, w, geometry, bias, dx, lanes, work, mask, slope)


def _input_by_phases(g, w, geometry, bias, dx, lanes, work, mask, slope):
    """Each phase of dx is a stride-1 convolution of g with the taps that reach it: one product for all of them."""
    product = tables.phases(geometry)
    gate = 0 if mask is None else mask.ctypes.data - dx.ctypes.data
    for ins, outs in _groups(geometry):
        group = w[outs]
        channels, taps = group.shape[1], group[0, 0].size
        panels = pack("conv_input", group, group.reshape(-1), product.places, taps, channels, lanes, work)
        g_at, dx_at = g.ctypes.data + FLOAT * outs.start, dx.ctypes.data + FLOAT * ins.start
        start = _start(bias, ins)
        multiply(product, g_at, panels, dx_at, channels, lanes, work, start=start, slope=slope, gate=gate)


def _input_by_parts(g, w, geometry, bias, dx, lanes, work, mask, slope):
    """One product makes every contribution g[pixel] * w[tap]; then each input sums those that are its own.

    For few channels: a vector then holds taps as well as channels, where a phase would leave most of its lanes empty.
    """
    product = tables.parts(geometry)
    along_y, along_x = tables.meetings(geometry)
    parts = work.empty((g.shape[0], g[0, ..., 0].size * w[0].size))
    start = NO_BIAS if bias is None else bias
    gate = NO_MASK if mask is None else mask
    for ins, outs in _groups(geometry):
        group = w[outs]
        panels = pack("conv_parts", group, group.reshape(-1), product.places, 1, group[0].size, lanes, work)
        g_at = g.ctypes.data + FLOAT * outs.start
        multiply(product, g_at, panels, parts.ctypes.data, group[0].size, lanes, work)
        work.call(
            _fold, parts, start, gate, np.float32(slope), dx, ins.start, group.shape[1], group[0, 0].size,
            along_y, along_x,
        )  # fmt: skip


@njit(parallel=True)
def _fold(parts, bias, mask, slope, dx, first, channels, taps, along_y, along_x):
    """dx[..., first + c] = bias + sum of parts (N, OY * OX * C * taps) over the taps that meet each input pixel."""
    batch, height, width, _ = dx.shape
    for row in prange(batch * height):
        n, iy = row // height, row % height
        for ix in range(width):
            for c in range(channels):
                dx[n, iy, ix, first + c] = bias[first + c] if bias.size else np.float32(0)
            for at_y in along_y[iy]:
                for at_x in along_x[ix]:
                    if at_y >= 0 and at_x >= 0:
                        for c in range(channels):
                            dx[n, iy, ix, first + c] += parts[n, at_y + at_x + c * taps]
            if slope != 1:
                for c in range(first, first + channels):
                    value = dx[n, iy, ix, c]
                    dx[n, iy, ix, c] = gated(value, mask[n, iy, ix, c] if mask.size else value, slope)
