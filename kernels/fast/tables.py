"""A convolution as a matrix product: the offset tables, made once for each geometry.

With x zero-padded and lying as (N, H, W, C), one pixel of output is a dot product of weights with stretches of x: for
each tap (ky, kx) the C channels at (oy * stride_y + ky * dilation_y, ox * stride_x + kx * dilation_x). Their address is
a sum of two parts, one of the pixel (n, oy, ox) alone and one of the tap alone. So a table over pixels (the rows of A)
and a table over taps (the runs) stand for the whole window matrix, and no window is copied. Taps that touch become one
run: with dilation 1, kx = 0..KX-1 is a run of KX * C floats.

The products, for each group of channels:

    forward   y[pixel, o]     = sum over (tap, c)    x[pixel, tap, c] * w[o, c, tap]
    weight    dw[(tap, c), o] = sum over pixels      x[pixel, tap, c] * g[pixel, o]      rows and runs exchanged
    phase     dx[pixel, c]    = sum over (tap, o)    g[pixel, tap, o] * w[o, c, tap]     the input gradient, in phases
    parts     p[pixel, c tap] = sum over o           g[pixel, o] * w[o, c, tap]          or by contributions

The phases. Input row i = iy + padding_y meets ky where i = oy * stride_y + ky * dilation_y: only taps with
ky * dilation_y = i modulo stride_y reach it. Rows i of one residue, counted j = 0, 1, ..., share their taps and step
through g one row at a time: oy = j + shift(ky). That is a stride-1 convolution of g with a few of the taps;
stride_y * stride_x of them make dx, and no zero is inserted between the pixels of g.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from minigan.kernels.fast.gemm import Product, reading_order, row_table, runs
from minigan.kernels.geometry import ConvGeometry

Array = np.ndarray

FLOAT = 4
SPARE = 16
"""Floats between the taps of a weight gradient, so that one weight's taps do not all compete for one cache set."""

TABLES = 128


@dataclass(frozen=True)
class Border:
    """Zero rows and columns around an image: (before, after) for y and for x."""

    y: tuple[int, int]
    x: tuple[int, int]

    def size(self, height: int, width: int) -> tuple[int, int]:
        return height + sum(self.y), width + sum(self.x)


def border(geometry: ConvGeometry) -> Border:
    """The zeros that windows of x need around it."""
    pads = []
    for axis in (0, 1):
        reach = (geometry.y_shape[2 + axis] - 1) * geometry.stride[axis]
        reach += (geometry.w_shape[2 + axis] - 1) * geometry.dilation[axis] + 1
        before = geometry.padding[axis]
        pads.append((before, max(0, reach - before - geometry.x_shape[2 + axis])))
    return Border(*pads)


def _floats(*axes: tuple[Sequence[int], int]) -> Array:
    """The sum of index * stride for every combination of the axes' (indices, stride), the last axis fastest."""
    total = np.zeros(1, np.int64)
    for indices, stride in axes:
        total = (total[:, None] + np.asarray(indices, np.int64) * stride).ravel()
    return total


def _bytes(*axes: tuple[Sequence[int], int]) -> Array:
    return FLOAT * _floats(*axes)


def _pixels_and_taps(geometry: ConvGeometry) -> tuple[tuple, tuple]:
    """The axes (n, oy, ox) of the pixels and (ky, kx) of the taps in padded x."""
    channels = geometry.x_shape[1]
    height, width = border(geometry).size(*geometry.x_shape[2:])
    line = width * channels
    batch, _, out_y, out_x = geometry.y_shape
    pixels = (
        (range(batch), height * line),
        (range(out_y), geometry.stride[0] * line),
        (range(out_x), geometry.stride[1] * channels),
    )
    taps = (
        (range(geometry.w_shape[2]), geometry.dilation[0] * line),
        (range(geometry.w_shape[3]), geometry.dilation[1] * channels),
    )
    return pixels, taps


@lru_cache(TABLES)
def forward(geometry: ConvGeometry) -> Product:
    """A = windows of padded x, C = y: a row for each pixel, a run for each tap."""
    pixels, taps = _pixels_and_taps(geometry)
    outs, group_in, size_y, size_x = geometry.w_shape
    size = size_y * size_x
    return Product(
        row_table(_bytes(*pixels)),
        row_table(_bytes((range(prod(len(axis) for axis, _ in pixels)), outs))),
        runs(_bytes(*taps), group_in, FLOAT),
        reading_order(_floats((range(size), 1), (range(group_in), size))),
    )


@lru_cache(TABLES)
def weight(geometry: ConvGeometry) -> Product:
    """A = windows of padded x, transposed; C = dw as (KY, KX, C/groups, O/groups): a row for each (ky, kx, c).

    A run is one line of output pixels. Each tap's part of C is followed by SPARE floats.
    """
    pixels, taps = _pixels_and_taps(geometry)
    outs, group_in, size_y, size_x = geometry.w_shape
    group_out = outs // geometry.groups
    along_x = pixels[2][1] * FLOAT
    lines = runs(_bytes(*pixels[:2]), geometry.y_shape[3], along_x)
    return Product(
        row_table(_bytes(*taps, (range(group_in), 1))),
        row_table(_bytes((range(size_y * size_x), group_in * group_out + SPARE), (range(group_in), group_out))),
        lines,
        reading_order(_floats((range(lines.depth), outs))),
    )


@dataclass(frozen=True)
class Phases:
    """The input gradient: the border around g, a product for each phase, and the places of B for all of them at once.

    `complete` is False where no tap reaches some phase, so that this part of dx is the bias alone.
    """

    border: Border
    products: tuple[Product, ...]
    places: Array
    complete: bool


@dataclass(frozen=True)
class _Residue:
    """A phase along one axis: its input positions, the taps that reach them, and each tap's shift, ascending."""

    positions: range
    taps: tuple[int, ...]
    shifts: tuple[int, ...]


def _residues(geometry: ConvGeometry, axis: int) -> list[_Residue]:
    stride, dilation = geometry.stride[axis], geometry.dilation[axis]
    size, kernel = geometry.x_shape[2 + axis], geometry.w_shape[2 + axis]
    found = []
    for first in range(min(stride, size)):
        i = first + geometry.padding[axis]
        taps = tuple(k for k in reversed(range(kernel)) if (i - k * dilation) % stride == 0)
        shifts = tuple((i - k * dilation) // stride for k in taps)
        found.append(_Residue(range(first, size, stride), taps, shifts))
    return found


@lru_cache(TABLES)
def phases(geometry: ConvGeometry) -> Phases:
    """A = windows of padded g, C = dx: a row for each input pixel of the phase, a run for each tap that reaches it."""
    batch, channels, height, width = geometry.x_shape
    _, outs, out_y, out_x = geometry.y_shape
    group_out = outs // geometry.groups
    along = [_residues(geometry, axis) for axis in (0, 1)]
    pads = []
    for residues, size in zip(along, (out_y, out_x), strict=True):
        first = min((r.shifts[0] for r in residues if r.taps), default=0)
        last = max((len(r.positions) + r.shifts[-1] for r in residues if r.taps), default=0)
        pads.append((max(0, -first), max(0, last - size)))
    edge = Border(*pads)
    padded_y, padded_x = edge.size(out_y, out_x)
    line = padded_x * outs
    reached = [(ry, rx) for ry in along[0] for rx in along[1] if ry.taps and rx.taps]
    taps = [ky * geometry.w_shape[3] + kx for ry, rx in reached for ky in ry.taps for kx in rx.taps]
    places = reading_order(_floats((taps, 1), (range(group_out), prod(geometry.w_shape[1:]))))
    products, skip = [], 0
    for ry, rx in reached:
        row_a = _bytes(
            (range(batch), padded_y * line), (range(len(ry.positions)), line), (range(len(rx.positions)), outs)
        )
        row_c = _bytes(
            (range(batch), height * width * channels), (ry.positions, width * channels), (rx.positions, channels)
        )
        starts = _bytes(([edge.y[0] + shift for shift in ry.shifts], line), ([edge.x[0] + s for s in rx.shifts], outs))
        taken = runs(starts, group_out, FLOAT, skip, len(taps) * group_out)
        products.append(Product(row_table(row_a), row_table(row_c), taken, places))
        skip += starts.size * group_out
    return Phases(edge, tuple(products), places, len(reached) == len(along[0]) * len(along[1]))


@lru_cache(TABLES)
def parts(geometry: ConvGeometry) -> Product:
    """A = g as it lies, C = what each pixel of g adds to each of its taps: (pixels, C/groups, KY, KX)."""
    batch, outs, out_y, out_x = geometry.y_shape
    group_out, size = outs // geometry.groups, prod(geometry.w_shape[1:])
    pixels = range(batch * out_y * out_x)
    return Product(
        row_table(_bytes((pixels, outs))),
        row_table(_bytes((pixels, size))),
        runs(np.zeros(1, np.int64), group_out, FLOAT),
        reading_order(_floats((range(group_out), size))),
    )


@lru_cache(TABLES)
def meetings(geometry: ConvGeometry) -> tuple[Array, Array]:
    """Which parts an input pixel sums: for y and for x a table (input size, most), -1 where there are fewer.

    Entries are offsets in floats within one image's parts (OY, OX, C/groups, KY, KX): of (oy, ky) in the first table,
    of (ox, kx) in the second, to be added.
    """
    taps, pixel = geometry.w_shape[2:], prod(geometry.w_shape[1:])
    strides = ((geometry.y_shape[3] * pixel, taps[1]), (pixel, 1))
    found = []
    for axis, (along_output, along_tap) in enumerate(strides):
        met = [[] for _ in range(geometry.x_shape[2 + axis])]
        for output in range(geometry.y_shape[2 + axis]):
            for tap in range(taps[axis]):
                position = output * geometry.stride[axis] + tap * geometry.dilation[axis] - geometry.padding[axis]
                if 0 <= position < len(met):
                    met[position].append(output * along_output + tap * along_tap)
        table = np.full((len(met), max(map(len, met))), -1, np.int64)
        for position, offsets in enumerate(met):
            table[position, : len(offsets)] = offsets
        found.append(table)
    return tuple(found)
