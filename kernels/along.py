"""Machine room, kernels: sums, running sums, extremes and their shares along the middle axis of a block (A, K, B).

Any reduction over neighbouring axes is one of these: A is what lies before them in memory, B what lies behind.

    sum       s_ab = sum_k x_akb                       accumulated in float64
    running   s_akb = x_a0b + ... + x_akb, or x_akb + ... to the end, as well
    extreme   y_ab = max_k x_akb, or min               NaN where one of them is
    share     p_akb = 1 / n where x_akb = y_ab, else 0       n of them do; NaN where y_ab is

K rows of B numbers are reduced one after the other: B results grow side by side, and none waits for the one before it.
So lines (A, K, 1) are read as strips of STRIP lines, (A / STRIP, K, STRIP), whose rows are columns in memory; only
long ones are reduced one at a time. Each result belongs to one thread, so the bits are those of any thread count.
These kernels are for NumPy's arrays; a device has reductions of its own.
"""

from functools import partial

import numpy as np
from numba import prange

from minigan.kernels import reduce
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, poisoned

STRIP = 32
"""Lines that are read side by side."""

LONG = 128
"""Numbers from which a line is long: NumPy's extreme and `reduce.row_sum` go along it with vectors."""

WORTH = 16384
"""Elements above which a second thread pays."""


@njit
def _sum_block(x, sums, out):
    """out (B,) = the sum of the rows of x (K, B), by way of sums (B,), float64."""
    sums[:] = 0
    for k in range(x.shape[0]):
        for b in range(x.shape[1]):
            sums[b] += x[k, b]
    for b in range(x.shape[1]):
        out[b] = sums[b]


@njit
def _sums(x, sums, out):
    for a in range(x.shape[0]):
        _sum_block(x[a], sums[a], out[a])


@njit(parallel=True)
def _all_sums(x, sums, out):
    for a in prange(x.shape[0]):
        _sum_block(x[a], sums[a], out[a])


@njit
def _running_block(x, backwards, sums, out):
    """out (K, B) = the sums of the rows of x (K, B) so far, by way of sums (B,), float64."""
    sums[:] = 0
    for j in range(x.shape[0]):
        k = x.shape[0] - 1 - j if backwards else j
        for b in range(x.shape[1]):
            sums[b] += x[k, b]
            out[k, b] = sums[b]


@njit
def _running_line(x, backwards, out):
    """The same of a line (K,)."""
    total = 0.0
    for j in range(x.size):
        k = x.size - 1 - j if backwards else j
        total += x[k]
        out[k] = total


@njit
def _running(x, backwards, sums, out):
    for a in range(x.shape[0]):
        if x.shape[2] == 1:
            _running_line(x[a, :, 0], backwards, out[a, :, 0])
        else:
            _running_block(x[a], backwards, sums[a], out[a])


@njit(parallel=True)
def _all_running(x, backwards, sums, out):
    for a in prange(x.shape[0]):
        _running(x[a : a + 1], backwards, sums[a : a + 1], out[a : a + 1])


@njit
def _extreme_block(x, sign, out):
    """out (B,) = sign times the largest of the rows of sign x (K, B). sign: 1 or -1, in the dtype of x."""
    for b in range(x.shape[1]):
        out[b] = sign * x[0, b]
    for k in range(1, x.shape[0]):
        for b in range(x.shape[1]):
            value = sign * x[k, b]
            out[b] = value if value > out[b] or value != value else out[b]
    for b in range(x.shape[1]):
        out[b] *= sign


@njit
def _extremes(x, sign, out):
    for a in range(x.shape[0]):
        _extreme_block(x[a], sign, out[a])


@njit(parallel=True)
def _all_extremes(x, sign, out):
    for a in prange(x.shape[0]):
        _extreme_block(x[a], sign, out[a])


@njit
def _share_block(x, y, count, out):
    """out (K, B) = the share of each x (K, B) that equals y (B,), by way of count (B,)."""
    count[:] = 0
    for k in range(x.shape[0]):
        for b in range(x.shape[1]):
            count[b] += x[k, b] == y[b]
    for b in range(x.shape[1]):
        count[b] = 1 / count[b] if count[b] > 0 else np.nan
    for k in range(x.shape[0]):
        for b in range(x.shape[1]):
            out[k, b] = (x[k, b] == y[b]) * count[b]


@njit
def _line_shares(x, y, out):
    """The same of lines (A, K) and their extremes (A,), one line after the other."""
    for a in range(x.shape[0]):
        count = 0
        for k in range(x.shape[1]):
            count += x[a, k] == y[a]
        share = 1 / count if count > 0 else np.nan
        for k in range(x.shape[1]):
            out[a, k] = (x[a, k] == y[a]) * share


@njit(parallel=True)
def _all_line_shares(x, y, out):
    for a in prange(x.shape[0]):
        _line_shares(x[a : a + 1], y[a : a + 1], out[a : a + 1])


@njit
def _shares(x, y, count, out):
    for a in range(x.shape[0]):
        _share_block(x[a], y[a], count[a], out[a])


@njit(parallel=True)
def _all_shares(x, y, count, out):
    for a in prange(x.shape[0]):
        _share_block(x[a], y[a], count[a], out[a])


def sum_along(x: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """C-contiguous (A, K, B) -> (A, B): the sum over the middle axis, accumulated in float64."""
    before, count, behind = x.shape
    out = poisoned(np.empty((before, behind), x.dtype)) if out is None else out
    if before == 1:
        reduce.channel_sum(x[0], out[0], work=work)
    elif behind == 1 and count >= LONG:
        reduce.row_sum(x.reshape(before, count), out.reshape(before), work=work)
    else:
        for block, result in zip(_strips(x), _results(out), strict=True):
            sums = work.empty(result.shape, np.float64)
            work.call(_all_sums if block.size > WORTH else _sums, block, sums, result)
    return out


def running_sum(x: Array, backwards: bool = False, out: Array | None = None, *, work: Now = NOW) -> Array:
    """C-contiguous (A, K, B) -> (A, K, B): the sums over the middle axis up to each place, or from it to the end."""
    out = poisoned(np.empty(x.shape, x.dtype)) if out is None else out
    sums = work.empty((x.shape[0], x.shape[2]), np.float64)
    work.call(_all_running if x.size > WORTH else _running, x, backwards, sums, out)
    return out


def extreme_along(x: Array, largest: bool, out: Array | None = None, *, work: Now = NOW) -> Array:
    """C-contiguous (A, K, B) -> (A, B): the largest over the middle axis, which has elements, or the smallest; NaN
    wins."""
    before, count, behind = x.shape
    out = poisoned(np.empty((before, behind), x.dtype)) if out is None else out
    if behind == 1 and count >= LONG:
        work.call(partial(np.max if largest else np.min, axis=1, out=out), x)
        return out
    sign = x.dtype.type(1 if largest else -1)
    for block, result in zip(_strips(x), _results(out), strict=True):
        work.call(_all_extremes if block.size > WORTH else _extremes, block, sign, result)
    return out


def extreme_share(x: Array, y: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """C-contiguous x (A, K, B) and its extreme y (A, B) -> (A, K, B): 1 / n at each of the n elements that equal it,
    else 0; NaN where y is."""
    out = poisoned(np.empty(x.shape, x.dtype)) if out is None else out
    if x.shape[2] == 1 and x.shape[1] >= LONG:
        work.call(_all_line_shares if x.size > WORTH else _line_shares, x[:, :, 0], y[:, 0], out[:, :, 0])
        return out
    for block, extreme, result in zip(_strips(x), _results(y), _strips(out), strict=True):
        count = work.empty(extreme.shape, x.dtype)
        work.call(_all_shares if block.size > WORTH else _shares, block, extreme, count, result)
    return out


def _strips(x: Array) -> list[Array]:
    """x (A, K, B) itself; lines (A, K, 1) as views (A / STRIP, K, STRIP), and one (1, K, rest)."""
    if x.shape[2] > 1:
        return [x]
    return [part.reshape(-1, n, x.shape[1]).transpose(0, 2, 1) for part, n in _parts(x[:, :, 0])]


def _results(y: Array) -> list[Array]:
    """Where y (A, B) has the results of `_strips`."""
    return [y] if y.shape[1] > 1 else [part.reshape(-1, n) for part, n in _parts(y[:, 0])]


def _parts(lines: Array) -> list[tuple[Array, int]]:
    """Lines (A, ...) as whole strips and what is left over, and how many lines a strip of each has."""
    whole = len(lines) - len(lines) % STRIP
    return [(part, n) for part, n in ((lines[:whole], STRIP), (lines[whole:], len(lines) - whole)) if len(part)]
