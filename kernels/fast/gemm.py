"""The one matrix product behind every fast kernel: C = bias + A B, cut into tiles for the micro-kernel.

    C (rows, columns) = bias (columns) + A (rows, depth) @ B (depth, columns)         float32

A stays where it is: offsets say where each row starts and where each run of `depth` lies, so A may as well be the
windows of an image (see `tables`). B is packed into panels. C is written in place. What is cut how, and why:

- depth into blocks of at most DEPTH steps: while the rows of a chunk pass over it, a panel of B (DEPTH x 64 floats,
  64 KiB) stays in the core's own cache;
- rows into chunks of at most CHUNK, each one parallel task; where that makes too few tasks, columns are dealt out too
  and chunks become smaller;
- columns into panels of 4, 2 and 1 vectors, the widest first, so that less than one vector of lanes is wasted.

Every cut depends on the shape alone and each number of C is summed by one task in one order, so the bits do not
depend on the thread count.
"""

from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from numba import prange

from minigan.kernels.fast.micro import move, tile
from minigan.kernels.load import njit

Array = np.ndarray

DEPTH = 256
CHUNK = 96
TILE_ROWS = 12
TASKS = 16


@dataclass(frozen=True)
class Runs:
    """How one row of A is read: run t takes lengths[t] steps of `step` bytes, from offsets[t] after the row's start.

    Block i is runs blocks[i] to blocks[i + 1], and starts after depths[i] of the `depth` steps of the whole sum.
    """

    offsets: Array
    lengths: Array
    blocks: Array
    depths: Array
    step: int
    depth: int


@dataclass(frozen=True)
class Product:
    """Where the operands of a product lie: rows of A and of C (made by `row_table`), runs of A, places of B."""

    row_a: Array
    row_c: Array
    runs: Runs
    places: Array


def runs(starts: Array, length: int, step: int, skip: int = 0, depth: int | None = None) -> Runs:
    """Runs of `length` steps from each of `starts` (bytes), in this order, cut into blocks.

    Where equally many at a time lie end to end, they are joined to longer ones. A part of a longer sum says how many
    steps come before it (`skip`) and how long the whole is (`depth`).
    """
    first = np.flatnonzero(np.append(True, np.diff(starts) != length * step))
    together = np.diff(np.append(first, starts.size))
    if (together == together[0]).all():
        starts, length = starts[first], length * int(together[0])
    pieces = -(-length // DEPTH)
    size = -(-length // pieces)
    within = np.arange(0, length, size)
    offsets = (starts[:, None] + within * step).ravel()
    lengths = np.tile(np.minimum(size, length - within), starts.size)
    blocks = np.append(np.arange(0, offsets.size, max(1, DEPTH // size)), offsets.size)
    total = np.append(0, np.cumsum(lengths))
    return Runs(offsets, lengths, blocks, total[blocks] + skip, step, depth or int(total[-1]))


def row_table(offsets: Array) -> Array:
    """Byte offsets of rows as `multiply` wants them: the last one repeated, so that the last tile is whole."""
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
    for width in (lanes // 4, 2, 1):
        while vectors - first >= width:
            table[first : first + width] = first, width
            first += width
    return table


@cache
def _packer(lanes: int):
    """The packing loop for one vector width, which must be known when it is compiled."""

    @njit(parallel=True)
    def fill(b, places, step, columns, panels, chunk, packed):
        source_at, target_at = b.ctypes.data, packed.ctypes.data
        depth, vectors = places.shape[0], panels.shape[0]
        for task in prange(vectors * ((depth + chunk - 1) // chunk)):
            vector, first = task % vectors, task // vectors * chunk
            panel, width = panels[vector, 0], panels[vector, 1]
            filled = min(lanes, columns - lanes * vector)
            for i in range(first, min(depth, first + chunk)):
                source = places[i, 1] + lanes * vector * step
                target = lanes * (panel * depth + places[i, 0] * width + vector - panel)
                if step == 1 and filled == lanes:
                    move(lanes, source_at + 4 * source, target_at + 4 * target)
                else:
                    for j in range(filled):
                        packed[target + j] = b[source + j * step]
                    for j in range(filled, lanes):
                        packed[target + j] = 0

    return fill


def _aligned(size: int) -> Array:
    """`size` float32, not initialised, from the start of a cache line: a vector across two lines takes two loads."""
    memory = np.empty(size + 16, np.float32)
    skip = -memory.ctypes.data % 64 // 4
    return memory[skip : skip + size]


def pack(b: Array, places: Array, step: int, columns: int, lanes: int) -> Array:
    """B for `multiply`: B[k, j] = b[offset of k + j * step]. b is one flat line; offsets and step count floats.

    Panels follow each other; in one, step k has all its columns side by side, zeros past the last. A B that lies so
    already is returned as it is.
    """
    panels = _panels(columns, lanes)
    depth = places.shape[0]
    if step == 1 and b.size == depth * columns and columns == lanes * panels[0, 1]:
        return b
    packed = _aligned(panels.shape[0] * lanes * depth)
    _packer(lanes)(b, places, step, columns, panels, 4096, packed)
    return packed


@cache
def _driver(lanes: int):
    """The product for one vector width."""
    wide = lanes // 4

    @njit(parallel=True)
    def drive(
        a, row_a, run_a, run_length, step_a, blocks, depths, depth, b, bias, c, row_c, row_count,
        columns, panels, rounds, segments, segment_step, chunk, group,
    ):  # fmt: skip
        a_table, c_table = row_a.ctypes.data, row_c.ctypes.data
        run_table, length_table = run_a.ctypes.data, run_length.ctypes.data
        vectors = panels.shape[0]
        chunks, groups = (row_count + chunk - 1) // chunk, (vectors + group - 1) // group
        for turn in range(rounds):
            for task in prange(segments * chunks * groups):
                segment, place = task // (chunks * groups), task % (chunks * groups)
                first_row, first_vector = place // groups * chunk, place % groups * group
                last_row = min(row_count, first_row + chunk)
                last_vector = min(vectors, first_vector + group)
                begin = (blocks.size - 1) * segment // segments
                count = (blocks.size - 1) * (segment + 1) // segments - begin
                for block in range(begin + count * turn // rounds, begin + count * (turn + 1) // rounds):
                    runs_at = run_table + 8 * blocks[block]
                    lengths_at = length_table + 8 * blocks[block]
                    run_count = blocks[block + 1] - blocks[block]
                    vector = first_vector
                    while vector < last_vector:
                        width = panels[vector, 1]
                        b_at = b + 4 * lanes * (vector * depth + width * depths[block])
                        c_at = c + segment * segment_step + 4 * lanes * vector
                        filled = columns - lanes * vector
                        start = bias + 4 * lanes * vector if block == begin else 0
                        if width == wide:
                            for r in range(first_row, last_row, 6):
                                tile(
                                    lanes, wide, 6, a, a_table + 8 * r, runs_at, lengths_at,
                                    run_count, step_a, b_at, c_at, c_table + 8 * r, filled, start,
                                )  # fmt: skip
                        elif width == 2:
                            for r in range(first_row, last_row, 12):
                                tile(
                                    lanes, 2, 12, a, a_table + 8 * r, runs_at, lengths_at,
                                    run_count, step_a, b_at, c_at, c_table + 8 * r, filled, start,
                                )  # fmt: skip
                        else:
                            for r in range(first_row, last_row, 12):
                                tile(
                                    lanes, 1, 12, a, a_table + 8 * r, runs_at, lengths_at,
                                    run_count, step_a, b_at, c_at, c_table + 8 * r, filled, start,
                                )  # fmt: skip
                        vector += width

    return drive


def multiply(
    product: Product,
    a: int,
    packed: Array,
    c: int,
    columns: int,
    lanes: int,
    bias: Array | None = None,
    rounds: int = 1,
    segments: int = 1,
    segment_step: int = 0,
) -> None:
    """C = bias + A B: a and c are addresses, packed comes from `pack`, and A has at least one row and one run.

    A long sum over a large A can be taken in several rounds: every number of C is brought up to the same block before
    the next part of A is touched. And it can be cut into segments, summed side by side: part s is written
    s * segment_step bytes after c, and the caller adds them up (the bias belongs to each).
    """
    panels, runs = _panels(columns, lanes), product.runs
    start = np.zeros(panels.shape[0] * lanes, np.float32)
    if bias is not None:
        start[:columns] = bias
    rows = product.row_a.size - TILE_ROWS + 1
    chunk, group, groups = CHUNK, panels.shape[0], 1
    if segments * -(-rows // chunk) < TASKS:
        group = lanes // 4
        groups = -(-panels.shape[0] // group)
    while chunk > TILE_ROWS and segments * groups * -(-rows // chunk) < TASKS:
        chunk //= 2
    _driver(lanes)(
        a, product.row_a, runs.offsets, runs.lengths, runs.step, runs.blocks, runs.depths, runs.depth,
        packed.ctypes.data, start.ctypes.data, c, product.row_c, rows,
        columns, panels, rounds, segments, segment_step, chunk, group,
    )  # fmt: skip
