"""Machine room, kernels: softmax and its logarithm along the middle axis of a block (A, K, B), in float32.

    m_ab = max_k x_akb,   s_ab = sum_k e^(x_akb - m_ab), in float64
    softmax       e^(x_akb - m_ab) / s_ab
    its log       x_akb - m_ab - ln s_ab

A line is read, raised and scaled while it lies in the core's cache, where four passes over all lines would each wait
for memory. The exponential is that of `act`. Lines (A, K, 1) are taken one at a time, with LANES maxima and sums side
by side; otherwise B lines grow side by side. Each line belongs to one thread, so the bits are those of any number of
threads. NaN, and an infinite maximum, make a line NaN.
"""

import numpy as np
from numba import prange

from minigan.kernels.act import _exp_of
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, poisoned

LANES = 16
LOWEST = np.float32(-np.inf)

TASK = 8192
"""Elements in a task, and the size above which a second thread pays."""


@njit(fastmath={"contract"})
def _lines(x, log, out):
    """Lines (A, K)."""
    count = x.shape[1]
    whole = count - count % LANES
    most, sums = np.empty(LANES, np.float32), np.empty(LANES)
    shifted, powers = np.empty(count, np.float32), np.empty(count, np.float32)
    for a in range(x.shape[0]):
        most[:] = LOWEST
        for k in range(0, whole, LANES):
            for i in range(LANES):
                most[i] = x[a, k + i] if x[a, k + i] > most[i] else most[i]
        highest = most[0]
        for i in range(1, LANES):
            highest = most[i] if most[i] > highest else highest
        for k in range(whole, count):
            highest = x[a, k] if x[a, k] > highest else highest
        for k in range(count):
            shifted[k] = x[a, k] - highest
        for k in range(count):
            powers[k] = _exp_of(shifted[k])
        sums[:] = 0
        for k in range(0, whole, LANES):
            for i in range(LANES):
                sums[i] += powers[k + i]
        total = sums.sum()
        for k in range(whole, count):
            total += powers[k]
        if log:
            less = np.float32(np.log(total))
            for k in range(count):
                out[a, k] = shifted[k] - less
        else:
            share = np.float32(total)
            for k in range(count):
                out[a, k] = powers[k] / share


@njit(fastmath={"contract"})
def _block(x, log, out):
    """Lines (K, B) side by side."""
    count, behind = x.shape
    most, sums, powers = np.empty(behind, np.float32), np.zeros(behind), np.empty(behind, np.float32)
    most[:] = x[0]
    for k in range(1, count):
        for b in range(behind):
            most[b] = x[k, b] if x[k, b] > most[b] else most[b]
    for k in range(count):
        for b in range(behind):
            powers[b] = _exp_of(x[k, b] - most[b])
        for b in range(behind):
            sums[b] += powers[b]
        for b in range(behind):
            out[k, b] = x[k, b] - most[b] if log else powers[b]
    for b in range(behind):
        powers[b] = np.log(sums[b]) if log else sums[b]
    for k in range(count):
        for b in range(behind):
            out[k, b] = out[k, b] - powers[b] if log else out[k, b] / powers[b]


@njit
def _blocks(x, log, out):
    for a in range(x.shape[0]):
        _block(x[a], log, out[a])


@njit(parallel=True)
def _all_lines(x, log, out):
    rows = max(1, TASK // x.shape[1])
    for q in prange((x.shape[0] + rows - 1) // rows):
        at = slice(q * rows, (q + 1) * rows)
        _lines(x[at], log, out[at])


@njit(parallel=True)
def _all_blocks(x, log, out):
    for a in prange(x.shape[0]):
        _block(x[a], log, out[a])


def softmax(x: Array, log: bool = False, out: Array | None = None, *, work: Now = NOW) -> Array:
    """C-contiguous float32 (A, K, B) with elements -> (A, K, B): the softmax along the middle axis, or its log."""
    out = poisoned(np.empty_like(x)) if out is None else out
    large = x.size > TASK
    if x.shape[2] == 1:
        work.call(_all_lines if large else _lines, x[:, :, 0], log, out[:, :, 0])
    else:
        work.call(_all_blocks if large else _blocks, x, log, out)
    return out
