"""Sums over rows: one total for each channel, the same bits on any number of threads.

The rows (M, C) are cut into chunks whose size follows from (M, C) alone. Each chunk is summed in
float64 by one thread, and the chunks' sums are added in order. `chunk_rows` and `fold` serve every
kernel that reduces over rows (`norm.py`).
"""

import numpy as np
from numba import prange

from minigan.kernels.layout import Array, rows
from minigan.kernels.load import njit

CHUNK_ELEMENTS = 16384
CHUNK_ROWS = 128
MAX_CHUNKS = 64
LANES = 64


def chunk_rows(m: int, c: int) -> int:
    """Rows in a chunk of an (M, C) array: enough to be worth a task, at most MAX_CHUNKS chunks."""
    return max(CHUNK_ROWS, CHUNK_ELEMENTS // max(c, 1), -(-m // MAX_CHUNKS))


def fold(m: int, c: int) -> int:
    """How many rows of a narrow (M, C) array to read as one, to fill the vector registers.

    Contiguous (M, C) memory is also (M/k, k*C), whose column j belongs to channel j % C. k is a
    power of two that divides M.
    """
    k = 1
    while 0 < k * c < LANES and m % (2 * k) == 0 and m > 0:
        k *= 2
    return k


@njit
def _sum_rows(x, lo, hi, total):
    """total[c] += the sum over rows lo..hi of x (M, C)."""
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            total[c] += x[i, c]


@njit(parallel=True)
def _sum_chunks(x, chunk, totals):
    for q in prange(totals.shape[0]):
        _sum_rows(x, q * chunk, min((q + 1) * chunk, x.shape[0]), totals[q])


def folded(x: Array) -> Array:
    """(N, C, ...) -> its rows (M, C) read as (M/k, k*C), k = fold(M, C)."""
    r = rows(x)
    k = fold(*r.shape)
    return r.reshape(r.shape[0] // k, k * r.shape[1])


def channel_sum(x: Array) -> Array:
    """(N, C, ...) -> (C,): the sum over all axes but 1, accumulated in float64."""
    r = folded(x)
    chunk = chunk_rows(*r.shape)
    totals = np.zeros((max(1, -(-r.shape[0] // chunk)), r.shape[1]))
    if len(totals) == 1:
        _sum_rows(r, 0, r.shape[0], totals[0])
    else:
        _sum_chunks(r, chunk, totals)
    groups = totals.size // max(x.shape[1], 1)
    return totals.reshape(groups, x.shape[1]).sum(axis=0).astype(x.dtype)
