"""Machine room, fast kernels: the one matrix product behind all of them, cut into tiles for the micro-kernel.

    C (rows, columns) = bias (columns) + A (rows, depth) @ B (depth, columns)         float32

A stays where it is: offsets say where each row starts and where each step of the sum lies after that, so A may as well
be the windows of an image (see `tables`). B is packed into panels where it does not lie well already. C is written in
place. What is cut how, and why:

- rows into tiles of HEIGHT. The rows of a tile share their list of steps, and so belong to one class of rows;
- the steps of each class into blocks of at most DEPTH: while the rows of a chunk pass over one, the rows of B that it
  meets stay in the core's own cache;
- tiles into chunks of about TILES and equal work, each one parallel task; where that makes too few tasks, columns are
  dealt out too and chunks become smaller;
- columns into panels of up to 4 vectors (2 with AVX2), so that less than one vector of lanes is wasted.

Every cut depends on the shape alone and each number of C is summed by one task in one order, so the bits do not
depend on the thread count.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import prange

from minigan.kernels.fast.micro import HELD, ZERO, move, stepped_tile, transpose
from minigan.kernels.load import njit, variants
from minigan.kernels.work import Array, Now, address

FLOAT = 4
DEPTH = 256
HEIGHT = 6
TILES = 32
TILE_ROWS, CHUNK = 12, 96
"""For products by `tile`: rows of the highest, and of a parallel task."""

ALONE = 1 << 20
"""Multiply-adds up to which one thread is faster than starting more."""

STORED = 16
"""Multiply-adds that take as long as storing one number."""

AMORTISED = 256
"""Rows of A from which on packing B pays: packed, a panel does not compete with itself for a few cache sets."""

PACKED = 1024
"""Rows of B that one task packs."""

TASKS = 16


@dataclass(frozen=True, eq=False)
class Product:
    """Where the operands of a product lie; offsets in bytes unless said otherwise.

    row_a, row_c    of each row, HEIGHT for a tile: where it starts in A, and where it lies in C
    kinds           of each tile: its class
    steps           of each step: (offset in A, row of B), the lists of all classes one after the other
    cuts            [class, block] = first and last step
    bases           [block] = what is added to its offsets in A, and to its rows of B
    places          (row of B, where it starts in what is packed, in floats), in the order of the latter
    """

    row_a: Array
    row_c: Array
    kinds: Array
    steps: Array
    cuts: Array
    bases: Array
    places: Array


class Rows(NamedTuple):
    """Rows of one class: offsets in A and in C."""

    a: Array
    c: Array
    kind: int


def product(rows: Sequence[Rows], steps: Sequence[Array], places: Array) -> Product:
    """The rows in this order, of classes with these steps, (steps, 2) each, all cut into as many blocks."""
    longest = max(len(line) for line in steps)
    blocks = max(1, -(-longest // DEPTH))
    cuts = [np.arange(blocks + 1) * len(line) // blocks for line in steps]
    return assembled(rows, steps, cuts, np.zeros((blocks, 2), np.int64), places)


def assembled(
    rows: Sequence[Rows], steps: Sequence[Array], cuts: Sequence[Array], bases: Array, places: Array
) -> Product:
    """As `product`; block i of a class is its steps cuts[i] to cuts[i + 1], or cuts[i, 0] to cuts[i, 1]."""
    row_a, row_c, kinds = [], [], []
    for a, c, kind in rows:
        spare = -len(a) % HEIGHT
        row_a.append(np.append(a, np.repeat(a[-1:], spare)))
        row_c.append(np.append(c, np.repeat(c[-1:], spare)))
        kinds.append(np.full(len(row_a[-1]) // HEIGHT, kind))
    firsts = np.cumsum([0, *map(len, steps)])
    ends = [np.stack([bounds[:-1], bounds[1:]], axis=1) if bounds.ndim == 1 else bounds for bounds in cuts]
    return Product(
        np.concatenate(row_a),
        np.concatenate(row_c),
        np.concatenate(kinds),
        np.ascontiguousarray(np.concatenate(steps), np.int32),
        np.stack([first + end for first, end in zip(firsts, ends, strict=False)]),
        bases,
        places,
    )


def listed(in_a: Array, in_b: Array) -> Array:
    """A list of steps."""
    return np.stack([in_a, in_b], axis=1)


@dataclass(frozen=True)
class Runs:
    """How `tile` reads a row of A: run t takes lengths[t] steps of `step` bytes, from offsets[t] after its start.

    Block i is runs blocks[i] to blocks[i + 1], and starts after depths[i] of the `depth` steps of the whole sum.
    """

    offsets: Array
    lengths: Array
    blocks: Array
    depths: Array
    step: int
    depth: int


def row_table(offsets: Array) -> Array:
    """Byte offsets of rows as `tile` wants them: the last one repeated, so that the last tile is whole."""
    return np.append(offsets, np.repeat(offsets[-1:], TILE_ROWS - 1))


def reading_order(offsets: Array) -> Array:
    """The places of B: (k, offset of k) in the order of the offsets, so that `pack` reads each cache line once."""
    order = np.argsort(offsets, kind="stable")
    return np.stack([order, offsets[order]], axis=1)


@lru_cache(maxsize=256)
def _panels(columns: int, lanes: int) -> Array:
    """(vectors, 2): for each vector of `lanes` columns, the first vector of its panel and the panel's width."""
    vectors = -(-columns // lanes)
    table = np.empty((vectors, 2), np.int64)
    first = 0
    while first < vectors:
        width = min(lanes // 4, vectors - first)
        table[first : first + width] = first, width
        first += width
    return table


@variants
def _packer(lanes: int, threads: bool):
    """The packing loop for one vector width, which must be known when it is compiled; with threads or without."""
    at_once = PACKED if threads else 1 << 60  # also keeps the two apart in the cache of compiled code

    @njit(parallel=threads)
    def fill(b, places, step, columns, panels, panel_floats):
        source_at, target_at = b.ctypes.data, panel_floats.ctypes.data
        depth, vectors = places.shape[0], panels.shape[0]
        for task in prange(vectors * ((depth + at_once - 1) // at_once)):
            vector, first = task % vectors, task // vectors * at_once
            panel, width = panels[vector, 0], panels[vector, 1]
            filled = min(lanes, columns - lanes * vector)
            last = min(depth, first + at_once)
            i = first
            while i < last:
                source = places[i, 1] + lanes * vector * step
                panel_at = target_at + 4 * lanes * (panel * depth + vector - panel)
                end = i + lanes
                # Where B lies across memory and its next rows (their places are in order, none twice) start one float
                # after the other, a whole block is turned in registers.
                if step > 1 and filled == lanes and end <= last and places[end - 1, 1] == places[i, 1] + lanes - 1:
                    order = places.ctypes.data + 16 * i
                    transpose(lanes, source_at + 4 * source, 4 * step, panel_at, 4 * lanes * width, order)
                    i = end
                    continue
                target = lanes * (panel * depth + places[i, 0] * width + vector - panel)
                if step == 1 and filled == lanes:
                    move(lanes, source_at + 4 * source, target_at + 4 * target)
                else:
                    for j in range(filled):
                        panel_floats[target + j] = b[source + j * step]
                    for j in range(filled, lanes):
                        panel_floats[target + j] = 0
                i += 1

    return fill


class Columns(NamedTuple):
    """B as `multiply` reads it: packed, where step is 0, or rows of whole vectors that lie `step` bytes apart."""

    array: Array
    step: int = 0


def as_it_lies(b: Array, rows: int, columns: int, step: int, lanes: int) -> Columns | None:
    """B, its rows `step` floats apart, where packing it does not pay: for few rows of A, or if it is one panel."""
    if columns % lanes or (rows >= AMORTISED and columns > lanes // 4 * lanes):
        return None
    return Columns(b, FLOAT * step)


def pack(
    key: Hashable, source: Array, line: Array, places: Array, step: int, columns: int, lanes: int, work: Now
) -> Columns:
    """B for `multiply`: B[k, j] = line[offset of k + j * step]. `line` is flat; offsets and step count floats.

    Panels follow each other; in one, row k has all its columns side by side, zeros past the last. `source` is the array
    that `line` shows; `key` tells the ways of packing it apart.
    """
    panels = _panels(columns, lanes)
    depth = places.shape[0]

    def fill(buffer):
        work.call(_packer(lanes, depth * columns > PACKED * lanes), line, places, step, columns, panels, buffer)

    return Columns(work.derived((key, lanes), source, panels.shape[0] * lanes * depth, fill))


@variants
def _driver(lanes: int, threads: bool):
    """The product for one vector width, with threads or without."""
    wide = lanes // 4

    @njit(parallel=threads)
    def drive(
        a, row_a, row_c, kinds, steps, cuts, bases, b, step_b, depth, bias, c,
        columns, panels, rounds, segments, segment_step, chunk_ends, group, slope, gate,
    ):  # fmt: skip
        a_table, c_table, step_table = row_a.ctypes.data, row_c.ctypes.data, steps.ctypes.data
        vectors, blocks = panels.shape[0], bases.shape[0]
        chunks, groups = chunk_ends.size - 1, (vectors + group - 1) // group
        turns = rounds if threads else 1  # one thread takes all blocks in one turn
        for turn in range(turns):
            for task in prange(segments * chunks * groups):
                segment, place = task // (chunks * groups), task % (chunks * groups)
                first_tile, first_vector = chunk_ends[place // groups], place % groups * group
                last_tile = chunk_ends[place // groups + 1]
                last_vector = min(vectors, first_vector + group)
                begin = blocks * segment // segments
                count = blocks * (segment + 1) // segments - begin
                for block in range(begin + count * turn // turns, begin + count * (turn + 1) // turns):
                    a_at = a + bases[block, 0]
                    last_slope = slope if block == begin + count - 1 else np.float32(1)
                    vector = first_vector
                    while vector < last_vector:
                        width = panels[vector, 1]
                        along = step_b if step_b else 4 * lanes * width
                        b_at = b + 4 * lanes * vector * (1 if step_b else depth) + bases[block, 1] * along
                        c_at = c + segment * segment_step + 4 * lanes * vector
                        filled = columns - lanes * vector
                        start = HELD
                        if block == begin:
                            start = bias + 4 * lanes * vector if bias > 0 else bias
                        for t in range(first_tile, last_tile):
                            at = step_table + 8 * cuts[kinds[t], block, 0]
                            end = step_table + 8 * cuts[kinds[t], block, 1]
                            a_rows, c_rows = a_table + 8 * HEIGHT * t, c_table + 8 * HEIGHT * t
                            if width == wide:
                                stepped_tile(
                                    lanes, wide, HEIGHT, a_at, a_rows, at, end, b_at, along,
                                    c_at, c_rows, filled, start, last_slope, gate,
                                )  # fmt: skip
                            elif width == 3:
                                stepped_tile(
                                    lanes, 3, HEIGHT, a_at, a_rows, at, end, b_at, along,
                                    c_at, c_rows, filled, start, last_slope, gate,
                                )  # fmt: skip
                            elif width == 2:
                                stepped_tile(
                                    lanes, 2, HEIGHT, a_at, a_rows, at, end, b_at, along,
                                    c_at, c_rows, filled, start, last_slope, gate,
                                )  # fmt: skip
                            else:
                                stepped_tile(
                                    lanes, 1, HEIGHT, a_at, a_rows, at, end, b_at, along,
                                    c_at, c_rows, filled, start, last_slope, gate,
                                )  # fmt: skip
                        vector += width

    return drive


@lru_cache(maxsize=1024)
def _chunks(product: Product, count: int) -> Array:
    """The first tile of each of about `count` chunks, and where the last one ends: each takes as long as any other.

    Rows at the border have shorter sums, so it is not the number of tiles that counts, but that of their steps.
    """
    steps = (product.cuts[:, :, 1] - product.cuts[:, :, 0]).sum(axis=1) + STORED
    total = np.cumsum(steps[product.kinds])
    ends = np.searchsorted(total, total[-1] * np.arange(1, count) / count) + 1
    return np.unique(np.concatenate([[0], ends, [total.size]]))


def multiply(
    product: Product,
    a: int,
    b: Columns,
    c: int,
    columns: int,
    lanes: int,
    work: Now,
    *,
    start: int = ZERO,
    slope: float = 1.0,
    gate: int = 0,
    rounds: int = 1,
    segments: int = 1,
    segment_step: int = 0,
) -> None:
    """C = bias + A B: a and c are addresses, and A has at least one row.

    start, slope and gate are the tile's (see `micro`): the address of the bias, and what becomes of a number of C when
    its sum is complete. A long sum over a large A can be taken in several rounds: every number of C is brought up to
    the same block before the next part of A is touched. And it can be cut into segments, summed side by side: part s is
    written s * segment_step bytes after c, and the caller adds them up (the bias belongs to each).
    """
    panels, chunks, group, threads = _cut(product, columns, lanes, segments)
    work.call(
        _driver(lanes, threads),
        a, product.row_a, product.row_c, product.kinds, product.steps, product.cuts, product.bases,
        address(b.array), b.step, product.places.shape[0], start, c,
        columns, panels, rounds, segments, segment_step, chunks, group, np.float32(slope), gate,
    )  # fmt: skip


@lru_cache(maxsize=1024)
def _cut(product: Product, columns: int, lanes: int, segments: int) -> tuple[Array, Array, int, bool]:
    """(the panels of columns, the chunks of rows, vectors of columns that one task takes, whether threads pay)."""
    panels, tiles = _panels(columns, lanes), product.kinds.size
    chunk, group, groups = TILES, panels.shape[0], 1
    if segments * -(-tiles // chunk) < TASKS:
        group = lanes // 4
        groups = -(-panels.shape[0] // group)
    while chunk > 1 and segments * groups * -(-tiles // chunk) < TASKS:
        chunk //= 2
    chunks = _chunks(product, -(-tiles // chunk))
    threads = product.row_a.size * (product.places.shape[0] + STORED) * panels.shape[0] * lanes > ALONE
    return panels, chunks, group, threads
