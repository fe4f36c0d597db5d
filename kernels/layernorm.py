"""Machine room, kernels: normalisation within a sample, layer and instance norm, and its first derivative.

Along some axes of x, n values with mean m and biased variance v, r = (v + eps)^-1/2 (Ba et al. 2016, equation 4;
Ulyanov et al. 2016, equation 3):

    out = h = (x - m) r.

For a cotangent g of out, <.> the mean over the n values:

    dx = r (g - <g> - h <g h>).

The axes are brought side by side in memory, so that x is (outer, n, inner): a layer norm, and an instance norm of
channels that come first, have inner = 1 and sum along a row of memory (`_row_norm`); an instance norm of NHWC memory
has inner = C and sums down its columns, all channels at once (`_column_norm`). Sums are kept in float64; each row or
outer index is one thread's, so the bits do not depend on the number of threads.
"""

from collections.abc import Callable
from math import prod

import numpy as np
from numba import prange

from minigan.kernels.layout import contiguous, deliver, memory_order, target, untransposed
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, kernels_of

CHUNK = 32768
"""The number of elements above which a second thread pays."""

SUMS = {"reassoc", "contract"}
"""What a sum along a row may do to be vectorised."""


@njit(fastmath=SUMS)
def _row_moments(row, eps):
    """(mean, (variance + eps)^-1/2) of a row, in two passes."""
    count, total, squares = max(row.size, 1), 0.0, 0.0
    for j in range(row.size):
        total += row[j]
    mean = total / count
    for j in range(row.size):
        squares += (row[j] - mean) * (row[j] - mean)
    return mean, 1 / np.sqrt(squares / count + eps)


@njit(fastmath=SUMS)
def _row_means(row, g, mean, r):
    """(<g>, <g h>) of a row."""
    count, of_g, of_gh = max(row.size, 1), 0.0, 0.0
    for j in range(row.size):
        of_g += g[j]
        of_gh += g[j] * (row[j] - mean)
    return of_g / count, of_gh * r / count


@njit
def _row_norm(x, eps, out):
    """out = h of each row of x (rows, n)."""
    for i in range(x.shape[0]):
        mean, r = _row_moments(x[i], eps)
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean) * r


@njit
def _row_norm_grad(x, g, eps, dx):
    """dx of each row of x and g (rows, n)."""
    for i in range(x.shape[0]):
        mean, r = _row_moments(x[i], eps)
        mean_g, mean_gh = _row_means(x[i], g[i], mean, r)
        for j in range(x.shape[1]):
            dx[i, j] = r * (g[i, j] - mean_g - (x[i, j] - mean) * r * mean_gh)


@njit
def _column_moments(x, eps):
    """(mean, (variance + eps)^-1/2) of each column of x (n, inner), in two passes."""
    mean, r = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    weight = 1 / max(x.shape[0], 1)
    for j in range(x.shape[0]):
        for c in range(x.shape[1]):
            mean[c] += x[j, c]
    mean *= weight
    for j in range(x.shape[0]):
        for c in range(x.shape[1]):
            r[c] += (x[j, c] - mean[c]) * (x[j, c] - mean[c])
    for c in range(x.shape[1]):
        r[c] = 1 / np.sqrt(r[c] * weight + eps)
    return mean, r


@njit
def _column_norm(x, eps, out):
    """out = h of each column of x (outer, n, inner)."""
    for i in range(x.shape[0]):
        mean, r = _column_moments(x[i], eps)
        for j in range(x.shape[1]):
            for c in range(x.shape[2]):
                out[i, j, c] = (x[i, j, c] - mean[c]) * r[c]


@njit
def _column_norm_grad(x, g, eps, dx):
    """dx of each column of x and g (outer, n, inner)."""
    for i in range(x.shape[0]):
        mean, r = _column_moments(x[i], eps)
        mean_g, mean_gh = np.zeros(x.shape[2]), np.zeros(x.shape[2])
        for j in range(x.shape[1]):
            for c in range(x.shape[2]):
                mean_g[c] += g[i, j, c]
                mean_gh[c] += g[i, j, c] * (x[i, j, c] - mean[c])
        for c in range(x.shape[2]):
            mean_g[c] /= x.shape[1]
            mean_gh[c] *= r[c] / x.shape[1]
        for j in range(x.shape[1]):
            for c in range(x.shape[2]):
                dx[i, j, c] = r[c] * (g[i, j, c] - mean_g[c] - (x[i, j, c] - mean[c]) * r[c] * mean_gh[c])


@njit(parallel=True)
def _row_norm_chunks(x, eps, out):
    for q in prange(x.shape[0]):
        _row_norm(x[q : q + 1], eps, out[q : q + 1])


@njit(parallel=True)
def _row_norm_grad_chunks(x, g, eps, dx):
    for q in prange(x.shape[0]):
        _row_norm_grad(x[q : q + 1], g[q : q + 1], eps, dx[q : q + 1])


@njit(parallel=True)
def _column_norm_chunks(x, eps, out):
    for q in prange(x.shape[0]):
        _column_norm(x[q : q + 1], eps, out[q : q + 1])


@njit(parallel=True)
def _column_norm_grad_chunks(x, g, eps, dx):
    for q in prange(x.shape[0]):
        _column_norm_grad(x[q : q + 1], g[q : q + 1], eps, dx[q : q + 1])


NORM = {"rows": (_row_norm, _row_norm_chunks), "columns": (_column_norm, _column_norm_chunks)}
GRAD = {"rows": (_row_norm_grad, _row_norm_grad_chunks), "columns": (_column_norm_grad, _column_norm_grad_chunks)}


def split(x, axes: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, int, int]]:
    """(an order of the axes of x in which `axes` are neighbours, the sizes (outer, n, inner) before, of, after them).

    x is an array of any device; the order is its own in memory where that will do.
    """
    order = memory_order(x)
    at = sorted(order.index(axis) for axis in axes)
    if at[-1] - at[0] >= len(at):
        order = (*(axis for axis in order if axis not in axes), *axes)
        at = list(range(x.ndim - len(axes), x.ndim))
    sizes = [x.shape[axis] for axis in order]
    return order, (prod(sizes[: at[0]]), prod(sizes[at[0] : at[-1] + 1]), prod(sizes[at[-1] + 1 :]))


def _run(loops: dict[str, tuple[Callable, Callable]], operands: tuple, axes, eps: float, out, work: Now) -> Array:
    x = operands[0]
    order, (outer, n, inner) = split(x if out is None else out, axes)
    shape = (outer, n) if inner == 1 else (outer, n, inner)
    lines = [contiguous(a.transpose(order), work).reshape(shape) for a in operands]
    block = target(out, order, x, x.shape, x.dtype, work)
    serial, parallel = loops["rows" if inner == 1 else "columns"]
    work.call(serial if x.size <= CHUNK else parallel, *lines, float(eps), block.reshape(shape))
    return deliver(untransposed(block, order), out, work)


def standardise(x: Array, axes: tuple[int, ...], eps: float, out: Array | None = None, *, work: Now = NOW) -> Array:
    """h like x: mean 0 and variance v / (v + eps) along `axes`, which are not negative and at least one."""
    if not isinstance(x, Array):
        return kernels_of(x).layernorm.standardise(x, axes, eps, out, work=work)
    return _run(NORM, (x,), axes, eps, out, work)


def standardise_grad(
    x: Array, g: Array, axes: tuple[int, ...], eps: float, out: Array | None = None, *, work: Now = NOW
) -> Array:
    """The cotangent dx of x for g of `standardise(x, axes, eps)`; ValueError where g is not like x."""
    if x.shape != g.shape or x.dtype != g.dtype:
        raise ValueError(f"standardise_grad: x is {x.dtype} {x.shape}, g {g.dtype} {g.shape}; they must be alike")
    if not isinstance(x, Array):
        return kernels_of(x).layernorm.standardise_grad(x, g, axes, eps, out, work=work)
    return _run(GRAD, (x, g), axes, eps, out, work)
