"""The three convolutions of the fast room: pad, pack, multiply, and bring the result into place.

Arrays are C-contiguous float32 blocks here: x and dx (N, H, W, C), g and y (N, OY, OX, O), w and dw
(O, C/groups, KY, KX), every size at least 1. `tables` says which rows and runs make which product. Groups are products
of their own, which read and write their channels of the same arrays.
"""

import numpy as np
from numba import prange

from minigan.kernels.fast import tables
from minigan.kernels.fast.gemm import CHUNK, TASKS, multiply, pack
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.load import njit

Array = np.ndarray
FLOAT = 4

SEGMENT = 4096
"""Pixels that the weight gradient sums in one float32 chain; longer sums are cut, which keeps rounding errors small."""

ROUND = 1 << 21
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


def _bordered(x: Array, border: tables.Border) -> Array:
    """x with its border of zeros; x itself where there is none."""
    batch, height, width, channels = x.shape
    padded_y, padded_x = border.size(height, width)
    if (padded_y, padded_x) == (height, width):
        return x
    padded = np.empty((batch, padded_y, padded_x * channels), np.float32)
    _pad(x.reshape(batch, height, width * channels), border.y[0], border.x[0] * channels, padded)
    return padded


def conv_forward(x: Array, w: Array, geometry: ConvGeometry, bias: Array, y: Array, lanes: int) -> None:
    """Writes y: the windows of x times the weights."""
    product = tables.forward(geometry)
    x = _bordered(x, tables.border(geometry))
    for ins, outs in _groups(geometry):
        group = w[outs]
        packed = pack(group.reshape(-1), product.places, group[0].size, group.shape[0], lanes)
        x_at, y_at = x.ctypes.data + FLOAT * ins.start, y.ctypes.data + FLOAT * outs.start
        multiply(product, x_at, packed, y_at, group.shape[0], lanes, bias[outs])


def conv_weight(x: Array, g: Array, geometry: ConvGeometry, dw: Array, lanes: int) -> None:
    """Writes dw: for each weight the sum over pixels of the input it met times the cotangent of the output it fed."""
    product = tables.weight(geometry)
    rounds = -(-(x.nbytes + g.nbytes) // ROUND)
    x = _bordered(x, tables.border(geometry))
    group_in, taps = dw.shape[1], dw[0, 0].size
    row_tasks = -(-taps * group_in // CHUNK)
    segments = max(-(-product.runs.depth // SEGMENT), TASKS // row_tasks)
    segments = min(segments, product.runs.blocks.size - 1)
    for ins, outs in _groups(geometry):
        group = dw[outs]
        parts = np.empty((segments, taps, group_in * group.shape[0] + tables.SPARE), np.float32)
        packed = pack(g.reshape(-1)[outs.start :], product.places, 1, group.shape[0], lanes)
        x_at = x.ctypes.data + FLOAT * ins.start
        multiply(
            product, x_at, packed, parts.ctypes.data, group.shape[0], lanes,
            rounds=rounds, segments=segments, segment_step=parts[0].nbytes,
        )  # fmt: skip
        _sum_parts(parts, group.reshape(group.shape[0], group_in, taps))


@njit(parallel=True)
def _sum_parts(parts, dw):
    """dw (O, C, taps) = sum of parts (segments, taps, C*O and a few spare) in their order."""
    outs, channels, taps = dw.shape
    for c in prange(channels):
        for o in range(outs):
            for tap in range(taps):
                total = parts[0, tap, c * outs + o]
                for s in range(1, parts.shape[0]):
                    total += parts[s, tap, c * outs + o]
                dw[o, c, tap] = total


def conv_input(g: Array, w: Array, geometry: ConvGeometry, bias: Array, dx: Array, lanes: int) -> None:
    """Writes dx, by phases or by contributions, whichever takes fewer vector operations.

    Adding up a contribution outside the micro-kernel is counted as four of them (measured).
    """
    _, outs, out_y, out_x = geometry.y_shape
    group_in, group_out, taps = w.shape[1], outs // geometry.groups, w[0, 0].size
    phase_taps = taps / (geometry.stride[0] * geometry.stride[1])
    by_phases = dx[0, ..., 0].size * phase_taps * group_out * -(-group_in // lanes)
    by_parts = group_out * -(-group_in * taps // lanes) + 4 * group_in * taps
    if by_phases <= out_y * out_x * by_parts:
        _input_by_phases(g, w, geometry, bias, dx, lanes)
    else:
        _input_by_parts(g, w, geometry, bias, dx, lanes)


def _input_by_phases(g, w, geometry, bias, dx, lanes):
    """Each phase of dx is a stride-1 convolution of g with the taps that reach it."""
    phases = tables.phases(geometry)
    if not phases.complete:
        dx[...] = bias
    g = _bordered(g, phases.border)
    for ins, outs in _groups(geometry):
        group = w[outs]
        channels, taps = group.shape[1], group[0, 0].size
        packed = pack(group.reshape(-1), phases.places, taps, channels, lanes)
        g_at, dx_at = g.ctypes.data + FLOAT * outs.start, dx.ctypes.data + FLOAT * ins.start
        for product in phases.products:
            multiply(product, g_at, packed, dx_at, channels, lanes, bias[ins])


def _input_by_parts(g, w, geometry, bias, dx, lanes):
    """One product makes every contribution g[pixel] * w[tap]; then each input sums those that are its own.

    For few channels: a vector then holds taps as well as channels, where a phase would leave most of its lanes empty.
    And for small g, since a phase also multiplies the border.
    """
    product = tables.parts(geometry)
    along_y, along_x = tables.meetings(geometry)
    parts = np.empty((g.shape[0], g[0, ..., 0].size * w[0].size), np.float32)
    for ins, outs in _groups(geometry):
        group = w[outs]
        packed = pack(group.reshape(-1), product.places, 1, group[0].size, lanes)
        g_at = g.ctypes.data + FLOAT * outs.start
        multiply(product, g_at, packed, parts.ctypes.data, group[0].size, lanes)
        _fold(parts, bias, dx, ins.start, group.shape[1], group[0, 0].size, along_y, along_x)


@njit(parallel=True)
def _fold(parts, bias, dx, first, channels, taps, along_y, along_x):
    """dx[..., first + c] = bias + sum of parts (N, OY * OX * C * taps) over the taps that meet each input pixel."""
    batch, height, width, _ = dx.shape
    for row in prange(batch * height):
        n, iy = row // height, row % height
        for ix in range(width):
            for c in range(channels):
                dx[n, iy, ix, first + c] = bias[first + c]
            for at_y in along_y[iy]:
                for at_x in along_x[ix]:
                    if at_y >= 0 and at_x >= 0:
                        for c in range(channels):
                            dx[n, iy, ix, first + c] += parts[n, at_y + at_x + c * taps]
