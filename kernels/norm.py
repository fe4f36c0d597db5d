"""Batch normalisation over rows (M, C), M = N*H*W, and its first and second derivative.

With mean m and biased variance v of each channel, r = (v + eps)^-1/2 and h = (x - m) r (Ioffe and
Szegedy 2015, algorithm 1):

    y = w h + b.

For a cotangent g of y, <.> the mean over the M rows (their section 3):

    dx = w r (g - <g> - h <g h>),   dw = M <g h>,   db = M <g>.

For cotangents a of dx, ggw of dw and ggb of db, with S = <a g> - <a><g> - <a h><g h> and q = ggw g
- w r (a <g h> + g <a h>):

    cg = w r (a - <a> - h <a h>) + ggw h + ggb,   cw = M r S,
    cx = r (q - <q> - h <q h>) - r^2 w S h.

Every array written above is, channel by channel, a linear combination of x - m, g, a and 1, and
every coefficient follows from a few sums. So two kernels do all of it: `_chunk_sums` reads
everything once, `_combine_rows` writes once; what lies between is arithmetic on (C,) vectors in
float64.
"""

import numpy as np
from numba import prange

from minigan.kernels.layout import Array, from_rows
from minigan.kernels.load import njit
from minigan.kernels.reduce import chunk_rows, folded

MEAN, XX, G, GX, A, AX, AG = range(7)
"""What a chunk yields: mean x; the sums, x centred on that, of x x, g, g x, a, a x, a g."""

SUMS = (2, 4, 7)
"""How many of these there are for no cotangent, for g, and for g and a."""


@njit
def _chunk_sums(x, g, a, lo, hi, s):
    """MEAN, XX, ... of rows lo..hi of (M, C) arrays into zeroed s, of 2, 4 or 7 rows (SUMS)."""
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            s[MEAN, c] += x[i, c]
    for c in range(x.shape[1]):
        s[MEAN, c] /= hi - lo
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            d = x[i, c] - s[MEAN, c]
            s[XX, c] += d * d
        if s.shape[0] > G:
            for c in range(x.shape[1]):
                s[G, c] += g[i, c]
                s[GX, c] += g[i, c] * (x[i, c] - s[MEAN, c])
        if s.shape[0] > A:
            for c in range(x.shape[1]):
                s[A, c] += a[i, c]
                s[AX, c] += a[i, c] * (x[i, c] - s[MEAN, c])
                s[AG, c] += a[i, c] * np.float64(g[i, c])


@njit(parallel=True)
def _all_chunk_sums(x, g, a, chunk, s):
    for q in prange(s.shape[0]):
        _chunk_sums(x, g, a, q * chunk, min((q + 1) * chunk, x.shape[0]), s[q])


def _means(x: Array, channels: int, *cotangents: Array) -> Array:
    """Means over all M rows of what SUMS counts, centred on x's mean; arrays are (M/k, k*C)."""
    g, a = (*cotangents, x, x)[:2]
    rows, columns = x.shape
    chunk = chunk_rows(rows, columns)
    s = np.zeros((max(1, -(-rows // chunk)), SUMS[len(cotangents)], columns))
    if len(s) > 1:
        _all_chunk_sums(x, g, a, chunk, s)
    elif rows:
        _chunk_sums(x, g, a, 0, rows, s[0])

    # From each chunk's own centre to the common one (Chan, Golub and LeVeque 1983, equation 2.1).
    count = np.full(len(s), chunk)
    count[-1] = rows - chunk * (len(s) - 1)
    count = np.repeat(count, columns // max(channels, 1))[:, None]
    total = max(count.sum(), 1)
    s = s.transpose(1, 0, 2).reshape(s.shape[1], len(count), channels)
    mean = (count * s[MEAN]).sum(axis=0) / total
    shift = s[MEAN] - mean
    s[XX] += count * shift * shift
    for linear, product in ((G, GX), (A, AX))[: len(cotangents)]:
        s[product] += shift * s[linear]
    means = s.sum(axis=1) / total
    means[MEAN] = mean
    return means


@njit
def _combine_rows(x, g, a, k, lo, hi, out):
    """out = k0 + k1 (x - k2) + k3 g + k4 a on rows lo..hi, as far as k (3, 4 or 5, C) has rows."""
    for i in range(lo, hi):
        if k.shape[0] == 3:
            for c in range(x.shape[1]):
                out[i, c] = k[0, c] + k[1, c] * (x[i, c] - k[2, c])
        elif k.shape[0] == 4:
            for c in range(x.shape[1]):
                out[i, c] = k[0, c] + k[1, c] * (x[i, c] - k[2, c]) + k[3, c] * g[i, c]
        else:
            for c in range(x.shape[1]):
                centred = k[1, c] * (x[i, c] - k[2, c])
                out[i, c] = k[0, c] + centred + k[3, c] * g[i, c] + k[4, c] * a[i, c]


@njit(parallel=True)
def _combine_chunks(x, g, a, k, chunk, out):
    for q in prange((x.shape[0] + chunk - 1) // chunk):
        _combine_rows(x, g, a, k, q * chunk, min((q + 1) * chunk, x.shape[0]), out)


def _combine(shape: tuple[int, ...], x: Array, constant, slope, mean: Array, *terms) -> Array:
    """constant + slope (x - mean) + factor * g for all terms (factor, g), as `shape`."""
    channels = shape[1]
    k = np.empty((3 + len(terms), channels))
    for row, value in zip(k, (constant, slope, mean, *(factor for factor, _ in terms)), strict=True):
        row[:] = value
    k = np.tile(k, x.shape[1] // max(channels, 1))
    g, a = (*(array for _, array in terms), x, x)[:2]
    out = np.empty_like(x)
    chunk = chunk_rows(*x.shape)
    if len(x) > chunk:
        _combine_chunks(x, g, a, k, chunk, out)
    else:
        _combine_rows(x, g, a, k, 0, len(x), out)
    return from_rows(out, shape)


def batch_norm(x: Array, weight: Array | None, bias: Array | None, eps: float) -> tuple[Array, Array, Array]:
    """x (N, C, ...) -> (y like x, mean (C,), var (C,)); a weight of None is 1, a bias of None 0."""
    rows = folded(x)
    mean, var = _means(rows, x.shape[1])
    slope = (1.0 if weight is None else weight) / np.sqrt(var + eps)
    y = _combine(x.shape, rows, 0.0 if bias is None else bias, slope, mean)
    return y, mean.astype(x.dtype), var.astype(x.dtype)


def batch_norm_grad(
    x: Array,
    weight: Array | None,
    g: Array,
    eps: float,
    need: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangents (dx, dweight, dbias) of x, weight, bias for g of y; None where not needed."""
    x_rows, g_rows = folded(x), folded(g)
    mean, var, mg, gx = _means(x_rows, x.shape[1], g_rows)
    r = 1 / np.sqrt(var + eps)
    gh = gx * r
    count = g.size // max(x.shape[1], 1)
    dx = None
    if need[0]:
        wr = r if weight is None else weight * r
        dx = _combine(x.shape, x_rows, -wr * mg, -wr * gh * r, mean, (wr, g_rows))
    dweight = (count * gh).astype(x.dtype) if need[1] else None
    dbias = (count * mg).astype(x.dtype) if need[2] else None
    return dx, dweight, dbias


def batch_norm_grad_grad(
    x: Array,
    weight: Array | None,
    g: Array,
    ggx: Array | None,
    ggw: Array | None,
    ggb: Array | None,
    eps: float,
    need: tuple[bool, bool, bool] = (True, True, True),
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangents (cx, cw, cg) of x, weight, g for ggx, ggw, ggb of (dx, dweight, dbias).

    ggx, ggw, ggb may be None, which means zero; so may a result, and it is where it is not needed.
    """
    x_rows, g_rows = folded(x), folded(g)
    w = 1.0 if weight is None else weight
    u = 0.0 if ggw is None else ggw
    v = 0.0 if ggb is None else ggb
    cx = cw = cg = None
    if ggx is None:
        mean, var, mg, gx = _means(x_rows, x.shape[1], g_rows)
        r = 1 / np.sqrt(var + eps)
        if need[0] and ggw is not None:
            cx = _combine(x.shape, x_rows, -r * u * mg, -r * r * u * gx * r, mean, (r * u, g_rows))
        if need[2] and (ggw is not None or ggb is not None):
            cg = _combine(x.shape, x_rows, v, u * r, mean)
        return cx, cw, cg

    a_rows = folded(ggx)
    mean, var, mg, gx, ma, ax, ag = _means(x_rows, x.shape[1], g_rows, a_rows)
    r = 1 / np.sqrt(var + eps)
    gh, ah = gx * r, ax * r
    s = ag - ma * mg - ah * gh
    if need[0]:
        of_a, of_g = -w * r * gh, u - w * r * ah
        q, qh = of_a * ma + of_g * mg, of_a * ah + of_g * gh
        slope = -r * r * (qh + w * r * s)
        cx = _combine(x.shape, x_rows, -r * q, slope, mean, (r * of_g, g_rows), (r * of_a, a_rows))
    if need[1]:
        cw = (x.size // max(x.shape[1], 1) * r * s).astype(x.dtype)
    if need[2]:
        cg = _combine(x.shape, x_rows, v - w * r * ma, r * (u - w * r * ah), mean, (w * r, a_rows))
    return cx, cw, cg
