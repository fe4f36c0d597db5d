"""Winograd convolutions: the three faces of a convolution as one small product for each point of a transform.

A 4x4 convolution of stride 2 is a 2x2 convolution of stride 1 of the four phases of its input, a 3x3 one of stride 1
is that already. `winograd_matrices` says how such a convolution of r x r taps makes m x m outputs from n * n products
instead of m * m * r * r, n = m + r - 1. With many channels each of them is a product of matrices: for every point p of
the n * n, summed over (phase, c), o and tiles,

    M[p]  (tiles, o)          = U[p] (tiles, (phase, c))  V[p] ((phase, c), o)       forward, y from M
    dU[p] (tiles, (phase, c)) = D[p] (tiles, o)           V[p]^T                     input gradient, dx from dU
    dV[p] ((phase, c), o)     = U[p]^T                    D[p]                       weight gradient, dw from dV

where U, V and D come from x, w and g, once for all products that want them. `winograd_loops` has these transforms.

How U, D and V lie: as the micro-kernel wants its B (`micro`), in panels of `width` vectors of channels, in each panel
one tile after the other. Its A can lie in any way that a table of offsets tells, so in that way as well.

Arrays are C-contiguous float32 blocks as in `fast.conv`: x, dx and mask (N, H, W, C), g and y (N, OY, OX, O), w and dw
(O, C, KY, KX). Each number is summed in one order by one task, so the bits do not depend on the thread count.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache
from math import prod

import numpy as np
from numba import prange

from minigan.kernels.fast.gemm import CHUNK, DEPTH, TASKS, TILE_ROWS, Runs, row_table
from minigan.kernels.fast.micro import HELD, ZERO, tile
from minigan.kernels.fast.tables import TABLES
from minigan.kernels.fast.winograd_loops import (
    FROM_G,
    FROM_W,
    FROM_X,
    TO_W,
    TO_X,
    TO_Y,
    gather,
    scatter,
    turn,
)
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.load import njit
from minigan.kernels.work import Array, Now

FLOAT = 4
GROUP = 64
"""Channels that one task brings back to an image."""

SPARE = 80
"""Floats between the points of an array, so that those of one tile do not all compete for one cache set."""

KINDS = (((4, 4), (2, 2)), ((3, 3), (1, 1)))
"""Kernel and stride of the convolutions that there are transforms for."""

WASTE = 1.4
"""Pixels of tiles, for each one of the output, from which on too many lie outside it."""

WIDE = 128
"""Channels of x up to which the errors of F(4, r) are small enough."""

SMALL = 1 << 16
"""Numbers in V at one point that stay in a core's own cache."""

NO_BIAS = np.empty(0, np.float32)

_allowed = os.environ.get("MINIGAN_WINOGRAD", "1") != "0"
_disabled: ContextVar[bool] = ContextVar("winograd_disabled", default=False)


def enabled() -> bool:
    """Whether Winograd may be used: what MINIGAN_WINOGRAD (default 1) or `set_enabled` says; not within `disabled`."""
    return _allowed and not _disabled.get()


def set_enabled(wanted: bool) -> None:
    """Allow or forbid Winograd everywhere in this process."""
    global _allowed
    _allowed = bool(wanted)


@contextmanager
def disabled() -> Iterator[None]:
    """In this context `enabled` is False: for results with the smaller error of the direct sums."""
    token = _disabled.set(True)
    try:
        yield
    finally:
        _disabled.reset(token)


def _tile_count(geometry: ConvGeometry, m: int) -> int:
    batch, _, out_y, out_x = geometry.y_shape
    return batch * -(-out_y // m) * -(-out_x // m)


def tile_size(geometry: ConvGeometry) -> int:
    """m, the side of an output tile: 4, 2, or 0 where a direct convolution is faster or there is no other.

    Each point has a copy of the weights, C * O * stride^2 numbers in V, as many in V^T and in dV, which pays when many
    tiles meet it. F(4, r) multiplies least, F(2, r) makes the smaller errors (tests/kernels/test_winograd.py). Measured
    on one AVX-512 core, in turns with the direct kernels: time of all three faces, V and V^T included, over the direct
    time.

    | kernel | images | x            | outputs | tiles of 4, of 2 | F(4, r) | F(2, r) | m |
    |--------|--------|--------------|---------|------------------|---------|---------|---|
    | 4 x 4  | 64     | 32 x 32 x 16 | 32      | 1024, 4096       | 1.06    | 1.5     | 0 |
    | 4 x 4  | 64     | 32 x 32 x 32 | 64      | 1024, 4096       | 0.85    | 1.2     | 4 |
    | 4 x 4  | 32     | 32 x 32 x 64 | 128     | 512, 2048        | 0.64    | 0.84    | 4 |
    | 4 x 4  | 64     | 16 x 16 x 64 | 128     | 256, 1024        | 0.72    | 0.90    | 4 |
    | 4 x 4  | 16     | 16 x 16 x 64 | 128     | 64, 256          | 0.88    | 0.92    | 4 |
    | 4 x 4  | 192    | 8 x 8 x 128  | 256     | 192, 768         | 0.77    | 0.89    | 4 |
    | 4 x 4  | 64     | 8 x 8 x 128  | 256     | 64, 256          | 1.05    | 0.99    | 2 |
    | 4 x 4  | 128    | 8 x 8 x 256  | 512     | 128, 512         | 0.75    | 0.83    | 2 |
    | 4 x 4  | 32     | 8 x 8 x 256  | 512     | 32, 128          | 1.24    | 1.01    | 0 |
    | 3 x 3  | 64     | 16 x 16 x 32 | 32      | 1024, 4096       | 0.84    | 1.36    | 4 |
    | 3 x 3  | 64     | 16 x 16 x 64 | 64      | 1024, 4096       | 0.62    | 1.00    | 4 |
    | 3 x 3  | 16     | 8 x 8 x 128  | 128     | 64, 256          | 0.72    | 0.80    | 4 |
    | 3 x 3  | 64     | 8 x 8 x 256  | 256     | 256, 1024        | 0.48    | 0.72    | 2 |

    More than WIDE channels get m = 2 for the sake of the errors, which grow with the root of their number.
    """
    kernel, stride = geometry.w_shape[2:], geometry.stride
    if geometry.groups != 1 or geometry.dilation != (1, 1) or (kernel, stride) not in KINDS:
        return 0
    outs, channels = geometry.w_shape[:2]
    weights = channels * outs * stride[0] ** 2
    pixels = prod(geometry.y_shape) // outs
    for m, narrowest, few, many in ((4, 32, 64, 128), (2, 64, 256, 256)):
        if m == 4 and channels > WIDE:
            continue
        tiles = _tile_count(geometry, m)
        full = tiles * m * m <= WASTE * pixels
        enough = tiles >= (few if weights <= SMALL else many)
        if full and enough and min(channels, outs) >= narrowest:
            return m
    return 0


def suits(geometry: ConvGeometry, lanes: int) -> bool:
    """Whether Winograd applies and is expected to win; lanes 0 is a machine without a known vector unit."""
    return lanes > 0 and tile_size(geometry) > 0


@dataclass(frozen=True)
class Panels:
    """How vectors of channels lie in an array of U, D or V: (panels, rows, width * lanes floats), for every point."""

    channels: int
    phases: int
    rows: int
    lanes: int

    @property
    def each(self) -> int:
        """Vectors of one phase; the last one may be partly zeros."""
        return -(-self.channels // self.lanes)

    @property
    def vectors(self) -> int:
        return self.phases * self.each

    @property
    def width(self) -> int:
        """The widest panel, in vectors, of which there is a whole number."""
        return next(width for width in (self.lanes // 4, 2, 1) if self.vectors % width == 0)

    @property
    def floats(self) -> int:
        return self.vectors * self.lanes

    @property
    def row(self) -> int:
        """Floats from one row of a panel to the next."""
        return self.width * self.lanes

    @property
    def point_step(self) -> int:
        return self.rows * self.floats + SPARE

    def vector(self, v: Array) -> Array:
        """The float where vector v begins in row 0."""
        return v // self.width * self.rows * self.row + v % self.width * self.lanes

    @property
    def places(self) -> Array:
        """The float where each (phase, channel) lies in row 0."""
        phase, c = np.divmod(np.arange(self.phases * self.channels), self.channels)
        return self.vector(phase * self.each + c // self.lanes) + c % self.lanes

    @property
    def lines(self) -> Array:
        """The table of `gather` for an image of so many channels and phases, whose tiles are the rows."""
        phase, v = np.divmod(np.arange(self.vectors), self.each)
        filled = np.minimum(self.lanes, self.channels - v * self.lanes)
        return np.stack([v * self.lanes, filled, self.vector(phase * self.each + v), np.full_like(v, self.row)], axis=1)


@dataclass(frozen=True)
class Factor:
    """The factor A of a product: where its rows begin (by `row_table`), and how one is read."""

    row_a: Array
    runs: Runs


def _cut(places: Array, step: int) -> Runs:
    """Runs along a sum whose terms lie at `places` (floats): joined where they are `step` apart, at most DEPTH long."""
    first = np.flatnonzero(np.append(True, np.diff(places) != step))
    lengths = np.diff(np.append(first, places.size))
    first = np.concatenate([np.arange(f, f + length, DEPTH) for f, length in zip(first, lengths, strict=True)])
    ends = np.append(first, places.size)
    blocks = [0]
    for run in range(first.size):
        if ends[run + 1] - ends[blocks[-1]] > DEPTH:
            blocks.append(run)
    blocks = np.array([*blocks, first.size])
    return Runs(FLOAT * places[first], np.diff(ends), blocks, ends[blocks], FLOAT * step, places.size)


def _groups(channels: int, phases: int, lanes: int, phase_step: int, tile_step: int) -> Array:
    """The table of `scatter` for values that lie tile by tile, with steps in floats: GROUP channels at a time."""
    rows = []
    for phase in range(phases):
        for first in range(0, channels, GROUP):
            count = min(GROUP, channels - first)
            rows.append((phase, first, count, -(-count // lanes), phase * phase_step + first, tile_step))
    return np.array(rows)


class Tables:
    """What a geometry, a tile size m and a vector width fix: how everything lies, and the three products."""

    def __init__(self, geometry: ConvGeometry, m: int, lanes: int) -> None:
        batch, outs, out_y, out_x = geometry.y_shape
        channels = geometry.x_shape[1]
        self.m, self.stride = m, geometry.stride[0]
        self.r = geometry.w_shape[2] // self.stride
        self.n = m + self.r - 1
        self.tiles = (-(-out_y // m), -(-out_x // m))
        self.zeros = np.zeros(max(channels, outs), np.float32)
        phases, count = self.stride**2, batch * self.tiles[0] * self.tiles[1]
        self.u, self.d = Panels(channels, phases, count, lanes), Panels(outs, 1, count, lanes)
        self.v, self.v_turned = Panels(outs, 1, phases * channels, lanes), Panels(channels, phases, outs, lanes)
        tile = np.arange(count)
        self.forward = Factor(row_table(FLOAT * self.u.row * tile), _cut(self.u.places, 1))
        self.input = Factor(row_table(FLOAT * self.d.row * tile), _cut(self.d.places, 1))
        self.weight = Factor(row_table(FLOAT * self.u.places), _cut(self.u.row * tile, self.u.row))
        # The weights as (C, KY, KX, O): c is the row of V within a phase.
        first_row = np.repeat(np.arange(phases) * channels * self.v.row, self.v.vectors)
        self.v_lines = np.tile(self.v.lines, (phases, 1)) + first_row[:, None] * (np.arange(4) == 2)
        self.to_y = _groups(outs, 1, lanes, 0, self.d.floats)
        self.to_x = _groups(channels, phases, lanes, self.u.each * lanes, self.u.floats)
        self.to_w = _groups(outs, phases, lanes, channels * self.d.floats, self.d.floats)


@lru_cache(TABLES)
def _tables(geometry: ConvGeometry, m: int, lanes: int) -> Tables:
    return Tables(geometry, m, lanes)


@cache
def _products(lanes: int):
    """C[p] = A[p] B[p] for every point p, for one vector width."""
    wide = lanes // 4

    @njit(parallel=True)
    def drive(
        points, a, a_step, row_a, run_a, run_length, step_a, blocks, depths, depth, b, b_step, panels, width,
        c, c_step, row_c, rows, chunk,
    ):  # fmt: skip
        a_table, c_table = row_a.ctypes.data, row_c.ctypes.data
        run_table, length_table = run_a.ctypes.data, run_length.ctypes.data
        chunks, columns = (rows + chunk - 1) // chunk, width * lanes
        for task in prange(points * chunks):
            point, first_row = task // chunks, task % chunks * chunk
            last_row = min(rows, first_row + chunk)
            a_at = a.ctypes.data + point * a_step
            for block in range(blocks.size - 1):
                runs_at, lengths_at = run_table + 8 * blocks[block], length_table + 8 * blocks[block]
                run_count, start = blocks[block + 1] - blocks[block], ZERO if block == 0 else HELD
                for panel in range(panels):
                    b_at = b.ctypes.data + point * b_step + 4 * columns * (panel * depth + depths[block])
                    c_at = c.ctypes.data + point * c_step + 4 * columns * panel
                    if width == wide:
                        for r in range(first_row, last_row, 6):
                            tile(
                                lanes, wide, 6, a_at, a_table + 8 * r, runs_at, lengths_at, run_count, step_a,
                                b_at, c_at, c_table + 8 * r, columns, start,
                            )  # fmt: skip
                    elif width == 2:
                        for r in range(first_row, last_row, 12):
                            tile(
                                lanes, 2, 12, a_at, a_table + 8 * r, runs_at, lengths_at, run_count, step_a,
                                b_at, c_at, c_table + 8 * r, columns, start,
                            )  # fmt: skip
                    else:
                        for r in range(first_row, last_row, 12):
                            tile(
                                lanes, 1, 12, a_at, a_table + 8 * r, runs_at, lengths_at, run_count, step_a,
                                b_at, c_at, c_table + 8 * r, columns, start,
                            )  # fmt: skip

    return drive


def _multiply(
    tables: Tables, factor: Factor, a: Array, panels: Panels, b: Array, lanes: int, work: Now
) -> tuple[Array, int]:
    """The products of all points; a and b lie as `factor` and `panels` say. Returns C and its floats to each point."""
    rows = factor.row_a.size - TILE_ROWS + 1
    points, runs, row_c = tables.n**2, factor.runs, row_table(np.arange(rows) * FLOAT * panels.floats)
    c_step = rows * panels.floats + SPARE
    c = work.empty(points * c_step)
    chunk = CHUNK
    while chunk > TILE_ROWS and points * -(-rows // chunk) < TASKS:
        chunk //= 2
    work.call(
        _products(lanes),
        points, a, a.nbytes // points, factor.row_a, runs.offsets, runs.lengths, runs.step, runs.blocks, runs.depths,
        runs.depth, b, b.nbytes // points, panels.vectors // panels.width, panels.width,
        c, FLOAT * c_step, row_c, rows, chunk,
    )  # fmt: skip
    return c, c_step


def _input_points(x: Array, geometry: ConvGeometry, m: int, lanes: int, work: Now) -> Array:
    """U."""
    t = _tables(geometry, m, lanes)

    def fill(u):
        work.call(
            gather(t.r, lanes), m, FROM_X, x, t.zeros, t.u.lines, t.n, m, t.stride, geometry.padding, t.tiles,
            u, t.u.point_step,
        )  # fmt: skip

    return work.derived(("winograd x", geometry, m, lanes), x, t.n**2 * t.u.point_step, fill)


def _output_points(g: Array, geometry: ConvGeometry, m: int, lanes: int, work: Now) -> Array:
    """D."""
    t = _tables(geometry, m, lanes)

    def fill(d):
        work.call(
            gather(t.r, lanes), m, FROM_G, g, t.zeros, t.d.lines, m, m, 1, (0, 0), t.tiles, d, t.d.point_step
        )  # fmt: skip

    return work.derived(("winograd g", geometry, m, lanes), g, t.n**2 * t.d.point_step, fill)


def _weight_points(w: Array, geometry: ConvGeometry, m: int, lanes: int, turned: bool, work: Now) -> Array:
    """V, or V^T with `turned`."""
    t = _tables(geometry, m, lanes)
    outs, channels, size_y, size_x = w.shape
    panels, lines = (t.v_turned, t.v_turned.lines) if turned else (t.v, t.v_lines)

    def fill(v):
        if turned:
            image = work.empty((outs, size_y, size_x, channels))
            before, after = w.reshape(outs, channels, -1), image.reshape(outs, -1, channels)
        else:
            image = work.empty((channels, size_y, size_x, outs))
            before, after = w.reshape(1, outs, -1), image.reshape(1, -1, outs)
        work.call(turn(lanes), before, after, False)
        work.call(
            gather(t.r, lanes), m, FROM_W, image, t.zeros, lines, t.r, t.r, t.stride, (0, 0), (1, 1),
            v, panels.point_step,
        )  # fmt: skip

    return work.derived(("winograd w", turned, geometry.stride, m, lanes), w, t.n**2 * panels.point_step, fill)


def conv_forward(
    x: Array, w: Array, geometry: ConvGeometry, bias: Array | None, y: Array, lanes: int, work: Now, slope: float = 1.0
) -> None:
    """Writes y = bias + the convolution; where that is not positive, slope times as much."""
    m = tile_size(geometry) or 2
    t = _tables(geometry, m, lanes)
    u, v = _input_points(x, geometry, m, lanes, work), _weight_points(w, geometry, m, lanes, False, work)
    c, c_step = _multiply(t, t.forward, u, t.v, v, lanes, work)
    work.call(
        scatter(t.r, lanes), m, TO_Y, c, c_step, t.to_y, m, m, 1, (0, 0), t.tiles,
        NO_BIAS if bias is None else bias, 0, np.float32(slope), y,
    )  # fmt: skip


def conv_input(
    g: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None,
    dx: Array,
    lanes: int,
    work: Now,
    mask: Array | None = None,
    slope: float = 1.0,
) -> None:
    """Writes dx = bias + the input gradient; where the mask (else that itself) is not positive, slope times as much."""
    m = tile_size(geometry) or 2
    t = _tables(geometry, m, lanes)
    d, v = _output_points(g, geometry, m, lanes, work), _weight_points(w, geometry, m, lanes, True, work)
    c, c_step = _multiply(t, t.input, d, t.v_turned, v, lanes, work)
    gate = 0 if mask is None else mask.ctypes.data - dx.ctypes.data
    work.call(
        scatter(t.r, lanes), m, TO_X, c, c_step, t.to_x, t.n, m, t.stride, geometry.padding, t.tiles,
        NO_BIAS if bias is None else bias, gate, np.float32(slope), dx,
    )  # fmt: skip


def conv_weight(
    x: Array, g: Array, geometry: ConvGeometry, dw: Array, lanes: int, work: Now, add: bool = False
) -> None:
    """Writes dw, or adds to it: the weight gradient."""
    m = tile_size(geometry) or 2
    t = _tables(geometry, m, lanes)
    u, d = _input_points(x, geometry, m, lanes, work), _output_points(g, geometry, m, lanes, work)
    c, c_step = _multiply(t, t.weight, u, t.d, d, lanes, work)
    outs, channels, size_y, size_x = dw.shape
    image = work.empty((channels, size_y, size_x, outs))
    work.call(
        scatter(t.r, lanes), m, TO_W, c, c_step, t.to_w, t.r, t.r, t.stride, (0, 0), (1, 1),
        NO_BIAS, 0, np.float32(1), image,
    )  # fmt: skip
    work.call(turn(lanes), image.reshape(1, -1, outs), dw.reshape(1, outs, -1), add)
