"""A convolution as a matrix product: the offset tables, made once for each geometry.

With x zero-padded and lying as (N, H, W, C), one pixel of output is a dot product of weights with stretches of x: for each (ky, kx) the C channels at
(oy * stride_y + ky * dilation_y, ox * stride_x + kx * dilation_x). Its address is a sum of two parts, one of the pixel (n, oy, ox) alone and one of
the tap (ky, kx) alone. So a table over pixels (the rows of A) and a table over taps (the runs) stand for the whole window matrix, and nothing is copied.
`gemm.runs` joins taps that touch: with dilation 1, kx = 0..KX-1 is one run of KX * C floats.

The three products, per group of channels:

    forward   y[pixel, o]     = sum over (tap, c)    x[pixel, tap, c] * w[o, c, tap]
    weight    dw[(tap, c), o] = sum over pixels      x[pixel, tap, c] * g[pixel, o]       the same two tables, rows and runs exchanged
    input     dx[pixel, c]    = sum over (tap, o)    g[pixel, tap, o] * w[o, c, tap]      per phase

The phases of `input`: padded input row i = iy + padding_y meets ky where i = oy * stride_y + ky * dilation_y, so only the taps with
ky * dilation_y = i modulo stride_y reach it. Rows i of one residue, counted j = 0, 1, ..., share their taps and step through g by one row each:
oy = j + shift(ky). That is a stride-1 convolution over g with a few of the taps; stride_y * stride_x of them make dx, and no zero is ever inserted or multiplied.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from minigan.kernels.fast.gemm import Runs, places, rows, runs
from minigan.kernels.geometry import ConvGeometry

Array = np.ndarray
FLOAT = 4
TABLES = 128
SPARE = 16
"""Floats between the taps of a weight gradient: reads of all taps side by side must not fall into one set of the cache."""


@dataclass(frozen=True)
class Product:
    """Tables of one product: rows of A and of C and runs of A, in bytes; places of B, in floats."""

    row_a: Array
    row_c: Array
    runs: Runs
    places: Array


@dataclass(frozen=True)
class Border:
    """Zero rows and columns around an image before it is read: before and after, for y and for x."""

    y: tuple[int, int]
    x: tuple[int, int]

    def size(self, height: int, width: int) -> tuple[int, int]:
        return height + sum(self.y), width + sum(self.x)


def border(geometry: ConvGeometry) -> Border:
    """The zeros around x. A window that ends before x does needs none on that side."""
    pads = []
    for axis in (0, 1):
        reach = (geometry.y_shape[2 + axis] - 1) * geometry.stride[axis]
        reach += (geometry.w_shape[2 + axis] - 1) * geometry.dilation[axis] + 1
        before = geometry.padding[axis]
        pads.append((before, max(0, reach - before - geometry.x_shape[2 + axis])))
    return Border(*pads)


def _floats(*axes: tuple[Sequence[int], int]) -> Array:
    """sum of index * stride over every combination of the axes' indices, the last axis fastest."""
    total = np.zeros(1, np.int64)
    for indices, stride in axes:
        total = (total[:, None] + np.asarray(indices, np.int64) * stride).ravel()
    return total


def _offsets(*axes: tuple[Sequence[int], int]) -> Array:
    """`_floats` in bytes."""
    return FLOAT * _floats(*axes)


def _pixels_and_taps(geometry: ConvGeometry) -> tuple[tuple, tuple, int]:
    """The axes (indices, stride in floats) of pixels and of taps in padded x, and the floats from one output column to the next."""
    channels = geometry.x_shape[1]
    height, width = border(geometry).size(*geometry.x_shape[2:])
    batch, _, out_y, out_x = geometry.y_shape
    step_y, step_x = geometry.stride[0] * width * channels, geometry.stride[1] * channels
    pixels = (
        (range(batch), height * width * channels),
        (range(out_y), step_y),
        (range(out_x), step_x),
    )
    taps = (
        (range(geometry.w_shape[2]), geometry.dilation[0] * width * channels),
        (range(geometry.w_shape[3]), geometry.dilation[1] * channels),
    )
    return pixels, taps, step_x


@lru_cache(TABLES)
def forward(geometry: ConvGeometry) -> Product:
    """A = windows of padded x, C = y: one row a pixel, one run a tap (or several joined)."""
    pixels, taps, _ = _pixels_and_taps(geometry)
    out_channels, group_channels = geometry.w_shape[:2]
    row_a = _offsets(*pixels)
    row_c = _offsets((range(row_a.size), out_channels))
    size = geometry.w_shape[2] * geometry.w_shape[3]
    weights = places(_floats((range(size), 1), (range(group_channels), size)))
    return Product(rows(row_a), rows(row_c), runs(_offsets(*taps), group_channels, FLOAT), weights)


@lru_cache(TABLES)
def weight(geometry: ConvGeometry) -> Product:
    """A = windows of padded x, transposed; C = dw as (KY, KX, C, O): one row a weight, one run an output row."""
    pixels, taps, step = _pixels_and_taps(geometry)
    out_channels, group_channels = geometry.w_shape[:2]
    row_a = _offsets(*taps, (range(group_channels), 1))
    group_out = out_channels // geometry.groups
    tap_count = taps[0][0].stop * taps[1][0].stop
    row_c = _offsets(
        (range(tap_count), group_channels * group_out + SPARE), (range(group_channels), group_out)
    )
    starts = _offsets(*pixels[:2])
    a_runs = runs(starts, geometry.y_shape[3], step * FLOAT)
    outputs = places(_floats((range(a_runs.depth), out_channels)))
    return Product(rows(row_a), rows(row_c), a_runs, outputs)


@dataclass(frozen=True)
class _Residue:
    """One axis of a phase: the input positions of one residue, the taps that reach them, and where in g those taps look."""

    positions: range
    taps: tuple[int, ...]
    shifts: tuple[int, ...]


def _residues(geometry: ConvGeometry, axis: int) -> list[_Residue]:
    """The phases along one axis. Taps are ordered by ascending shift, so that neighbours in g can join into one run."""
    stride, dilation = geometry.stride[axis], geometry.dilation[axis]
    size, padding = geometry.x_shape[2 + axis], geometry.padding[axis]
    found = []
    for first in range(min(stride, size)):
        reach = first + padding
        taps = [
            k for k in reversed(range(geometry.w_shape[2 + axis])) if (reach - k * dilation) % stride == 0
        ]
        shifts = [(reach - k * dilation) // stride for k in taps]
        found.append(_Residue(range(first, size, stride), tuple(taps), tuple(shifts)))
    return found


@dataclass(frozen=True)
class Phases:
    """The phases of the input gradient: the border around g, and a product for each phase.

    B is packed once, for all phases one after the other. `complete` is False when some phase has no tap, so that part of dx is bias only.
    """

    border: Border
    products: tuple[Product, ...]
    places: Array
    complete: bool


@lru_cache(TABLES)
def phases(geometry: ConvGeometry) -> Phases:
    """A = windows of padded g, C = dx: one row an input pixel of the phase, one run a tap that reaches it (or several joined)."""
    batch, channels, height, width = geometry.x_shape
    _, out_channels, out_y, out_x = geometry.y_shape
    group_out = out_channels // geometry.groups
    by_axis = [_residues(geometry, axis) for axis in (0, 1)]
    pads = []
    for residues, size in zip(by_axis, (out_y, out_x)):
        reached = [shift for residue in residues for shift in residue.shifts]
        ends = [len(r.positions) + max(r.shifts) for r in residues if r.shifts]
        pads.append((max(0, -min(reached, default=0)), max(0, max(ends, default=0) - size)))
    edge = Border(*pads)
    padded_y, padded_x = edge.size(out_y, out_x)
    line = padded_x * out_channels
    pairs = [(ry, rx) for ry in by_axis[0] for rx in by_axis[1]]
    used = [(ry, rx) for ry, rx in pairs if ry.taps and rx.taps]
    taps = [ky * geometry.w_shape[3] + kx for ry, rx in used for ky in ry.taps for kx in rx.taps]
    size = int(np.prod(geometry.w_shape[1:]))
    weights = places(_floats((taps, 1), (range(group_out), size)))
    products, skip = [], 0
    for ry, rx in used:
        row_a = _offsets(
            (range(batch), padded_y * line),
            (range(len(ry.positions)), line),
            (range(len(rx.positions)), out_channels),
        )
        row_c = _offsets(
            (range(batch), height * width * channels),
            (ry.positions, width * channels),
            (rx.positions, channels),
        )
        starts = _offsets(
            (np.array(ry.shifts) + edge.y[0], line), (np.array(rx.shifts) + edge.x[0], out_channels)
        )
        a_runs = runs(starts, group_out, FLOAT, skip, len(taps) * group_out)
        products.append(Product(rows(row_a), rows(row_c), a_runs, weights))
        skip += starts.size * group_out
    return Phases(edge, tuple(products), weights, len(used) == len(pairs))


@lru_cache(TABLES)
def parts(geometry: ConvGeometry) -> Product:
    """A = g as it lies, C = the contribution of each pixel of g to each of its taps, (pixels, C/groups, KY, KX)."""
    batch, out_channels, out_y, out_x = geometry.y_shape
    group_out = out_channels // geometry.groups
    size = int(np.prod(geometry.w_shape[1:]))
    pixels = range(batch * out_y * out_x)
    row_a, row_c = _offsets((pixels, out_channels)), _offsets((pixels, size))
    weights = places(_floats((range(group_out), size)))
    a_runs = runs(np.zeros(1, np.int64), group_out, FLOAT)
    return Product(rows(row_a), rows(row_c), a_runs, weights)


@lru_cache(TABLES)
def meetings(geometry: ConvGeometry) -> tuple[Array, Array]:
    """Which contributions (OY, OX, C/groups, KY, KX) an input pixel collects: for y and for x a table (input size, most).

    Its entries are the two parts of their offsets in floats, (oy, ky) of one and (ox, kx) of the other, and -1 where there are fewer.
    """
    taps = geometry.w_shape[2:]
    pixel = int(np.prod(geometry.w_shape[1:]))
    strides = ((geometry.y_shape[3] * pixel, taps[1]), (pixel, 1))
    found = []
    for axis, (along_output, along_tap) in enumerate(strides):
        met = [[] for _ in range(geometry.x_shape[2 + axis])]
        for output in range(geometry.y_shape[2 + axis]):
            for tap in range(taps[axis]):
                position = output * geometry.stride[axis] + tap * geometry.dilation[axis]
                position -= geometry.padding[axis]
                if 0 <= position < len(met):
                    met[position].append(output * along_output + tap * along_tap)
        table = np.full((len(met), max(map(len, met))), -1, np.int64)
        for position, offsets in enumerate(met):
            table[position, : len(offsets)] = offsets
        found.append(table)
    return tuple(found)
