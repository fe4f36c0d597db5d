"""Machine room, fast kernels: a convolution as a matrix product, by tables of rows and steps, one a geometry.

With x lying as (N, H, W, C), one pixel of output is a sum over taps (ky, kx) and channels of weights times numbers of x
at (oy * stride_y - padding_y + ky * dilation_y, ox * stride_x - padding_x + kx * dilation_x, c). Such an address is a
sum of two parts, one of the pixel (n, oy, ox) alone and one of (tap, c) alone: a row and a step of a product. So a
table of rows and a list of steps stand for the whole window matrix, and no window is copied. Nor is x padded: rows
whose windows reach outside the image have a list of their own, which leaves those taps out. Along one axis, all that is
asked is which input i meets which output o through which tap k; a row is one of the three and a step another, and rows
that meet the same steps form a class.

The products, for each group of channels:

    | product  | row       | step     |                                                              |
    |----------|-----------|----------|--------------------------------------------------------------|
    | forward  | output    | tap, c   | y[output, o]    = sum of x[input, c] * w[o, c, tap]          |
    | input    | input     | tap, o   | dx[input, c]    = sum of g[output, o] * w[o, c, tap]         |
    | weight   | tap, c    | output   | dw[(tap, c), o] = sum of x[input, c] * g[output, o]          |
    | parts    | output    | o        | p[output, (c, tap)] = sum of g[output, o] * w[o, c, tap]     |

With stride s, only every s-th tap reaches an input, so the input gradient falls into s_y * s_x phases, each a stride-1
convolution of g with some of the taps. Here they are just further classes, and no zero is inserted between the pixels
of g. `parts` is the other way to the input gradient: all contributions, to be added up afterwards.
"""

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from minigan.kernels.fast.gemm import FLOAT, Product, Rows, assembled, listed, product, reading_order
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.work import Array

SPARE = 16
"""Floats between the taps of a weight gradient, so that one weight's taps do not all compete for one cache set."""

PIXELS = 128
"""Output pixels in a block of the weight gradient: its rows of g, unlike packed weights, should fit the first cache."""

IMAGES = 12
"""Images whose pixels are taken together, class by class: a multiple of a tile's rows, few enough to stay in cache."""

TABLES = 128


def _floats(*axes: tuple[Sequence[int], int]) -> Array:
    """The sum of index * stride for every combination of the axes' (indices, stride), the last axis fastest."""
    total = np.zeros(1, np.int64)
    for indices, stride in axes:
        total = (total[:, None] + np.asarray(indices, np.int64) * stride).ravel()
    return total


def _bytes(*axes: tuple[Sequence[int], int]) -> Array:
    return FLOAT * _floats(*axes)


class _Class(NamedTuple):
    """Rows along one axis that share their steps: row rows[i] meets steps[j] at starts[i] + offsets[j]."""

    rows: tuple[int, ...]
    starts: tuple[int, ...]
    steps: tuple[int, ...]
    offsets: tuple[int, ...]


def _meeting_points(geometry: ConvGeometry, axis: int) -> Array:
    """Along one axis, all (output o, tap k, input i) that meet."""
    outputs, taps = np.indices((geometry.y_shape[2 + axis], geometry.w_shape[2 + axis])).reshape(2, -1)
    inputs = outputs * geometry.stride[axis] + taps * geometry.dilation[axis] - geometry.padding[axis]
    inside = (inputs >= 0) & (inputs < geometry.x_shape[2 + axis])
    return np.stack([outputs, taps, inputs], axis=1)[inside]


OUTPUT, TAP, INPUT = range(3)


def _classes(geometry: ConvGeometry, axis: int, row: int, step: int, at: int) -> list[_Class]:
    """The rows along one axis by the steps they meet, `at` saying where: each of the three is OUTPUT, TAP or INPUT."""
    triples = _meeting_points(geometry, axis)
    sizes = (geometry.y_shape[2 + axis], geometry.w_shape[2 + axis], geometry.x_shape[2 + axis])
    classes: dict[tuple, list[tuple[int, int]]] = {}
    for i in range(sizes[row]):
        mine = triples[triples[:, row] == i]
        start = int(mine[:, at].min(initial=1 << 40)) if len(mine) else 0
        order = np.argsort(mine[:, at], kind="stable")
        key = tuple(mine[order, step].tolist()), tuple((mine[order, at] - start).tolist())
        classes.setdefault(key, []).append((i, start))
    return [_Class(tuple(i for i, _ in rows), tuple(start for _, start in rows), *key) for key, rows in classes.items()]


def _pairs(geometry: ConvGeometry, row: int, step: int, at: int) -> list[tuple[_Class, _Class]]:
    """The classes of both axes together, the most frequent first."""
    along_y, along_x = (_classes(geometry, axis, row, step, at) for axis in (0, 1))
    pairs = [(y, x) for y in along_y for x in along_x]
    return sorted(pairs, key=lambda pair: -len(pair[0].rows) * len(pair[1].rows))


def _image_product(pairs, batch, a_shape, c_shape, taps_x, channels, places) -> Product:
    """Rows are pixels of C (H, W, channels), steps are (tap, channel) in A (H, W, channels).

    A few images are taken at a time, so that each class has enough rows to fill whole tiles.
    """
    _, a_width, a_channels = a_shape
    _, c_width, c_channels = c_shape
    rows = []
    for first in range(0, batch, IMAGES):
        images = range(first, min(batch, first + IMAGES))
        for kind, (y, x) in enumerate(pairs):
            a = ((images, prod(a_shape)), (y.starts, a_width * a_channels), (x.starts, a_channels))
            c = ((images, prod(c_shape)), (y.rows, c_width * c_channels), (x.rows, c_channels))
            rows.append(Rows(_bytes(*a), _bytes(*c), kind))
    steps = [
        listed(
            _bytes((y.offsets, a_width * a_channels), (x.offsets, a_channels), (range(channels), 1)),
            _floats((y.steps, taps_x * channels), (x.steps, channels), (range(channels), 1)),
        )
        for y, x in pairs
    ]
    return product(rows, steps, places)


@lru_cache(TABLES)
def forward(geometry: ConvGeometry) -> Product:
    """A = x, C = y: a row for each output pixel, a step for each tap and channel that it meets."""
    batch, channels, height, width = geometry.x_shape
    _, outs, out_y, out_x = geometry.y_shape
    _, group_in, *taps = geometry.w_shape
    return _image_product(
        _pairs(geometry, OUTPUT, TAP, INPUT),
        batch,
        (height, width, channels),
        (out_y, out_x, outs),
        taps[1],
        group_in,
        reading_order(_floats((range(prod(taps)), 1), (range(group_in), prod(taps)))),
    )


@lru_cache(TABLES)
def phases(geometry: ConvGeometry) -> Product:
    """A = g, C = dx: a row for each input pixel, a step for each tap and output channel that reaches it."""
    batch, channels, height, width = geometry.x_shape
    _, outs, out_y, out_x = geometry.y_shape
    taps = geometry.w_shape[2:]
    group_out = outs // geometry.groups
    return _image_product(
        _pairs(geometry, INPUT, TAP, OUTPUT),
        batch,
        (out_y, out_x, outs),
        (height, width, channels),
        taps[1],
        group_out,
        reading_order(_floats((range(prod(taps)), 1), (range(group_out), prod(geometry.w_shape[1:])))),
    )


@lru_cache(TABLES)
def weight(geometry: ConvGeometry) -> Product:
    """A = x, transposed; C = dw as (KY, KX, C/groups, O/groups): a row for each (ky, kx, c), a step for each output.

    The list of steps is that of a few images, and each block is the same list some images further on; or, where images
    are large, that of one image, in several blocks. Each tap's part of C is followed by SPARE floats.
    """
    batch, channels, height, width = geometry.x_shape
    _, outs, out_y, out_x = geometry.y_shape
    _, group_in, _, taps_x = geometry.w_shape
    group_out = outs // geometry.groups
    tap = group_in * group_out + SPARE
    image, pixels = height * width * channels, out_y * out_x
    together, pieces = min(batch, max(1, PIXELS // pixels)), -(-pixels // PIXELS)
    turns = range(0, batch, together)
    rows, steps, cuts = [], [], []
    for kind, (y, x) in enumerate(_pairs(geometry, TAP, OUTPUT, INPUT)):
        a = ((y.starts, width * channels), (x.starts, channels), (range(group_in), 1))
        c = ((y.rows, taps_x * tap), (x.rows, tap), (range(group_in), group_out))
        rows.append(Rows(_bytes(*a), _bytes(*c), kind))
        in_a = _bytes((range(together), image), (y.offsets, width * channels), (x.offsets, channels))
        in_b = _floats((range(together), pixels), (y.steps, out_x), (x.steps, 1))
        steps.append(listed(in_a, in_b))
        count = len(y.steps) * len(x.steps)
        ends = [count * min(together, batch - n) * np.arange(pieces + 1) // pieces for n in turns]
        cuts.append(np.concatenate([np.stack([end[:-1], end[1:]], axis=1) for end in ends]))
    bases = np.repeat([(n * image * FLOAT, n * pixels) for n in turns], pieces, axis=0)
    return assembled(rows, steps, cuts, bases, reading_order(_floats((range(batch * pixels), outs))))


@lru_cache(TABLES)
def parts(geometry: ConvGeometry) -> Product:
    """A = g as it lies, C = what each pixel of g adds to each of its taps: (pixels, C/groups, KY, KX)."""
    batch, outs, out_y, out_x = geometry.y_shape
    group_out, size = outs // geometry.groups, prod(geometry.w_shape[1:])
    pixels, steps = range(batch * out_y * out_x), np.arange(group_out)
    rows = Rows(_bytes((pixels, outs)), _bytes((pixels, size)), 0)
    return product([rows], [listed(FLOAT * steps, steps)], reading_order(_floats((steps, size))))


@lru_cache(TABLES)
def meetings(geometry: ConvGeometry) -> tuple[Array, Array]:
    """Which parts an input pixel sums: for y and for x a table (input size, most), -1 where there are fewer.

    Entries are offsets in floats within one image's parts (OY, OX, C/groups, KY, KX): of (oy, ky) in the first table,
    of (ox, kx) in the second, to be added.
    """
    taps, pixel = geometry.w_shape[2:], prod(geometry.w_shape[1:])
    strides = ((geometry.y_shape[3] * pixel, taps[1]), (pixel, 1))
    tables = []
    for axis, (along_output, along_tap) in enumerate(strides):
        triples = _meeting_points(geometry, axis)
        mine = [triples[triples[:, INPUT] == i] for i in range(geometry.x_shape[2 + axis])]
        table = np.full((len(mine), max(map(len, mine))), -1, np.int64)
        for i, rows in enumerate(mine):
            table[i, : len(rows)] = rows[:, OUTPUT] * along_output + rows[:, TAP] * along_tap
        tables.append(table)
    return tuple(tables)
