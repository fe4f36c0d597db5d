"""Machine room, fast kernels: the products of a Winograd convolution, one for each point of the transform.

How the factors U, D and V of `winograd` lie: as the micro-kernel wants its B (`micro`), in panels of `width` vectors of
channels, in each panel one tile after the other. Its A can lie in any way that a table of offsets tells, so in that way
as well. `Tables` says for one geometry where everything lies; `multiply` is the product of all points.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numba import prange

from minigan.kernels.fast.gemm import CHUNK, DEPTH, TASKS, TILE_ROWS, Runs, row_table
from minigan.kernels.fast.micro import HELD, ZERO, tile
from minigan.kernels.fast.tables import TABLES
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.load import njit, variants
from minigan.kernels.work import Array, Now

FLOAT = 4
GROUP = 64
"""Channels that one task brings back to an image."""

SPARE = 80
"""Floats between the points of an array, so that those of one tile do not all compete for one cache set."""


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
def tables_of(geometry: ConvGeometry, m: int, lanes: int) -> Tables:
    return Tables(geometry, m, lanes)


@variants
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
                                b_at, c_at, c_table + 8 * r, start,
                            )  # fmt: skip
                    elif width == 2:
                        for r in range(first_row, last_row, 12):
                            tile(
                                lanes, 2, 12, a_at, a_table + 8 * r, runs_at, lengths_at, run_count, step_a,
                                b_at, c_at, c_table + 8 * r, start,
                            )  # fmt: skip
                    else:
                        for r in range(first_row, last_row, 12):
                            tile(
                                lanes, 1, 12, a_at, a_table + 8 * r, runs_at, lengths_at, run_count, step_a,
                                b_at, c_at, c_table + 8 * r, start,
                            )  # fmt: skip

    return drive


def multiply(
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
