"""Machine room, kernels: sums over the rows of each channel, each row, or all; the same bits on any thread count.

What is summed is cut into pieces whose size follows from the shape alone. Each piece is summed in float64 by one
thread, in a fixed order, and the pieces' sums are added in order. `chunk_rows` and `folded` serve every kernel that
reduces over rows (`norm.py`).
"""

import numpy as np
from numba import prange

from minigan.kernels.layout import contiguous, dense, rows
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, kernels_of, poisoned

CHUNK_ELEMENTS = 16384
CHUNK_ROWS = 128
MAX_CHUNKS = 64

FOLD = 256
"""Columns up to which rows are read as one: the loops run along columns, and each start of one costs."""

LANES = 64
"""Running sums of a line, so that the additions need not wait for each other."""

PIECE = 16384
"""Elements of a line in a task, and the number above which a second thread pays."""


def chunk_rows(m: int, c: int) -> int:
    """Rows in a chunk of an (M, C) array: enough to be worth a task, at most MAX_CHUNKS chunks."""
    return max(CHUNK_ROWS, CHUNK_ELEMENTS // max(c, 1), -(-m // MAX_CHUNKS))


def fold(m: int, c: int) -> int:
    """How many rows of a narrow (M, C) array to read as one, to fill the vector registers.

    Contiguous (M, C) memory is also (M/k, k*C), whose column j belongs to channel j % C. k is a
    power of two that divides M.
    """
    k = 1
    while 0 < 2 * k * c <= FOLD and m % (2 * k) == 0 and m > 0:
        k *= 2
    return k


def folded(x: Array, work: Now = NOW) -> Array:
    """(N, C, ...) -> its rows (M, C) read as (M/k, k*C), k = fold(M, C)."""
    r = rows(x, work)
    k = fold(*r.shape)
    return r.reshape(r.shape[0] // k, k * r.shape[1])


@njit
def _sum_rows(x, lo, hi, sums):
    """sums[c] = the sum over rows lo..hi of x (M, C)."""
    sums[:] = 0
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            sums[c] += x[i, c]


@njit(parallel=True)
def _sum_chunks(x, chunk, sums):
    for q in prange(sums.shape[0]):
        _sum_rows(x, q * chunk, min((q + 1) * chunk, x.shape[0]), sums[q])


@njit
def _add_chunks(sums, out):
    """out[c] = the sum of all of sums (chunks, k*C) that belongs to channel c, in order."""
    channels = out.shape[0]
    for c in range(channels):
        total = 0.0
        for q in range(sums.shape[0]):
            for j in range(c, sums.shape[1], channels):
                total += sums[q, j]
        out[c] = total


def channel_sum(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """(N, C, ...) -> (C,): the sum over all axes but 1, accumulated in float64."""
    if not isinstance(x, Array):
        return kernels_of(x).reduce.channel_sum(x, out, work=work)
    r = folded(x, work)
    if out is None:
        out = poisoned(np.empty(x.shape[1], x.dtype))
    chunk = chunk_rows(*r.shape)
    sums = work.empty((max(1, -(-r.shape[0] // chunk)), r.shape[1]), np.float64)
    if len(sums) == 1:
        work.call(_sum_rows, r, 0, r.shape[0], sums[0])
    else:
        work.call(_sum_chunks, r, chunk, sums)
    work.call(_add_chunks, sums, out)
    return out


@njit
def _sum_line(x):
    """The sum of a line in float64: LANES running sums of every LANES-th number, added up in order."""
    sums = np.zeros(LANES)
    whole = x.size - x.size % LANES
    for i in range(0, whole, LANES):
        for j in range(LANES):
            sums[j] += x[i + j]
    total = 0.0
    for j in range(LANES):
        total += sums[j]
    for i in range(whole, x.size):
        total += x[i]
    return total


@njit
def _sum_pieces(x, piece, lo, hi, sums):
    """sums[q] = the sum of piece number q of the line x, for lo <= q < hi."""
    for q in range(lo, hi):
        sums[q] = _sum_line(x[q * piece : min((q + 1) * piece, x.size)])


@njit(parallel=True)
def _sum_all_pieces(x, piece, sums):
    for q in prange(sums.size):
        _sum_pieces(x, piece, q, q + 1, sums)


def _line_sums(x: Array, piece: int, sums: Array, work: Now) -> None:
    if x.size <= PIECE:
        work.call(_sum_pieces, x, piece, 0, sums.size, sums)
    else:
        work.call(_sum_all_pieces, x, piece, sums)


def row_sum(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """(M, K) -> (M,): the sum of each row, accumulated in float64."""
    if not isinstance(x, Array):
        return kernels_of(x).reduce.row_sum(x, out, work=work)
    if out is None:
        out = poisoned(np.empty(x.shape[0], x.dtype))
    _line_sums(contiguous(x, work).reshape(-1), x.shape[1], out, work)
    return out


def total(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """The sum of all elements, accumulated in float64 in the order in which x lies in memory; an array of no axes."""
    if not isinstance(x, Array):
        return kernels_of(x).reduce.total(x, out, work=work)
    if out is None:
        out = poisoned(np.empty((), x.dtype))
    line = dense(x, work=work)
    if line.size > PIECE:
        sums = work.empty(-(-line.size // PIECE), np.float64)
        _line_sums(line, PIECE, sums, work)
        line = sums
    _line_sums(line, line.size, out.reshape(1), work)
    return out
