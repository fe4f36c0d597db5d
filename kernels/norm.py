"""Machine room, kernels: batch normalisation over rows (M, C), M = N*H*W, and its first and second derivative.

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
every coefficient follows from a few sums. So each function is three loops: `_chunk_sums` reads
everything once; a loop over channels makes coefficients of the sums, in float64; and
`_normalise_rows` or `_combine_rows` reads everything again and writes. A leaky ReLU of y is taken
as y is written. Its derivative, which gates g by the sign of y, is taken wherever g is read.
"""

import numpy as np
from numba import prange

from minigan.kernels.act import gated, leaky
from minigan.kernels.layout import channels_last, contiguous, deliver, target, untransposed
from minigan.kernels.load import njit
from minigan.kernels.reduce import chunk_rows, folded
from minigan.kernels.work import NOW, Array, Now, kernels_of, poisoned

CENTRE, X, XX, G, GX, A, AX, AG = range(8)
"""What a chunk yields: its first x; the sums, x centred on that, of x, x x, g, g x, a, a x, a g."""

SUMS = (3, 5, 8)
"""How many of these there are for no cotangent, for g, and for g and a."""

MEAN, VAR = X, XX
"""Where `_moments` puts the mean of x and its variance; the other means, centred on that, stay where the sums were."""


@njit
def _chunk_sums(x, g, a, mask, slope, lo, hi, s):
    """CENTRE, X, ... of rows lo..hi of (M, C) arrays into s, of 3, 5 or 8 rows (SUMS); g and a may be None.

    g is gated by the mask, which for a slope of 1 may be any array: x is at hand.
    """
    s[:] = 0
    for c in range(x.shape[1]):
        if lo < hi:
            s[CENTRE, c] = x[lo, c]
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            d = x[i, c] - s[CENTRE, c]
            s[X, c] += d
            s[XX, c] += d * d
            if g is not None:
                gate = gated(g[i, c], mask[i, c], slope)
                s[G, c] += gate
                s[GX, c] += gate * d
                if a is not None:
                    s[A, c] += a[i, c]
                    s[AX, c] += a[i, c] * d
                    s[AG, c] += a[i, c] * np.float64(gate)


@njit(parallel=True)
def _all_chunk_sums(x, g, a, mask, slope, chunk, s):
    for q in prange(s.shape[0]):
        _chunk_sums(x, g, a, mask, slope, q * chunk, min((q + 1) * chunk, x.shape[0]), s[q])


@njit
def _moments(s, rows, chunk, channels):
    """Means over all rows from the sums s (chunks, SUMS, k*C) of chunks of rows of (rows, k*C) arrays: (SUMS, C).

    The chunks' own centres give way to the common mean (Chan, Golub and LeVeque 1983, equation 2.1).
    """
    chunks, sums, columns = s.shape
    means = np.zeros((sums, channels))
    weight = 1 / max(rows * columns // max(channels, 1), 1)
    for q in range(chunks):
        count = min(chunk, rows - q * chunk)
        for first in range(0, columns, max(channels, 1)):
            for c in range(channels):
                means[MEAN, c] += weight * (count * s[q, CENTRE, first + c] + s[q, X, first + c])
    for q in range(chunks):
        count = min(chunk, rows - q * chunk)
        for first in range(0, columns, max(channels, 1)):
            for c in range(channels):
                shift = s[q, CENTRE, first + c] - means[MEAN, c]
                means[VAR, c] += weight * (s[q, XX, first + c] + shift * (2 * s[q, X, first + c] + count * shift))
                if sums > G:
                    means[G, c] += weight * s[q, G, first + c]
                    means[GX, c] += weight * (s[q, GX, first + c] + shift * s[q, G, first + c])
                if sums > A:
                    means[A, c] += weight * s[q, A, first + c]
                    means[AX, c] += weight * (s[q, AX, first + c] + shift * s[q, A, first + c])
                    means[AG, c] += weight * s[q, AG, first + c]
    return means


@njit
def _set(k, c, channels, mean, constant, slope, of_g, of_a):
    """Column c of the coefficients k (3, 4 or 5, k*C), and all of the same channel: k0 + k1 (x - k2) + k3 g + k4 a is

    constant + slope (x - mean) + of_g g + of_a a. k2 is the mean rounded; k0 makes up for the rest of it.
    """
    centre = k.dtype.type(mean)
    for j in range(c, k.shape[1], channels):
        k[0, j] = constant + slope * (centre - mean)
        k[1, j] = slope
        k[2, j] = centre
        if k.shape[0] > 3:
            k[3, j] = of_g
        if k.shape[0] > 4:
            k[4, j] = of_a


@njit
def _forward_coefficients(s, rows, chunk, weight, bias, eps, k, mean, var):
    means = _moments(s, rows, chunk, mean.size)
    for c in range(mean.size):
        mean[c], var[c] = means[MEAN, c], means[VAR, c]
        slope = weight[c] / np.sqrt(means[VAR, c] + eps)
        _set(k, c, mean.size, means[MEAN, c], bias[c], slope, 0.0, 0.0)


@njit
def _grad_coefficients(s, rows, chunk, weight, eps, k, dw, db):
    channels = weight.size
    means = _moments(s, rows, chunk, channels)
    count = rows * k.shape[1] // max(channels, 1)
    for c in range(channels):
        r = 1 / np.sqrt(means[VAR, c] + eps)
        wr, gh = weight[c] * r, means[GX, c] * r
        dw[c], db[c] = count * gh, count * means[G, c]
        _set(k, c, channels, means[MEAN, c], -wr * means[G, c], -wr * gh * r, wr, 0.0)


@njit
def _grad_grad_coefficients(s, rows, chunk, weight, ggw, ggb, eps, kx, kg, cw):
    channels = weight.size
    means = _moments(s, rows, chunk, channels)
    count = rows * kx.shape[1] // max(channels, 1)
    for c in range(channels):
        mean, mg, w, u = means[MEAN, c], means[G, c], weight[c], ggw[c]
        r = 1 / np.sqrt(means[VAR, c] + eps)
        gh, ma, ah, ag = means[GX, c] * r, 0.0, 0.0, 0.0
        if means.shape[0] > A:
            ma, ah, ag = means[A, c], means[AX, c] * r, means[AG, c]
        covariance = ag - ma * mg - ah * gh
        cw[c] = count * r * covariance
        of_a, of_g = -w * r * gh, u - w * r * ah
        q, qh = of_a * ma + of_g * mg, of_a * ah + of_g * gh
        _set(kx, c, channels, mean, -r * q, -r * r * (qh + w * r * covariance), r * of_g, r * of_a)
        _set(kg, c, channels, mean, ggb[c] - w * r * ma, r * of_g, w * r, 0.0)


@njit(fastmath={"contract"})
def _normalise_rows(x, slope, k, lo, hi, out):
    """out = the leaky ReLU of k0 + k1 (x - k2) on rows lo..hi."""
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            out[i, c] = leaky(k[0, c] + k[1, c] * (x[i, c] - k[2, c]), slope)


@njit(parallel=True)
def _normalise_chunks(x, slope, k, chunk, out):
    for q in prange((x.shape[0] + chunk - 1) // chunk):
        _normalise_rows(x, slope, k, q * chunk, min((q + 1) * chunk, x.shape[0]), out)


@njit(fastmath={"contract"})
def _combine_rows(x, g, a, mask, slope, k, lo, hi, out):
    """out = k0 + k1 (x - k2) + k3 g + k4 a on rows lo..hi, g gated by the mask; a may be None."""
    for i in range(lo, hi):
        for c in range(x.shape[1]):
            gate = gated(g[i, c], mask[i, c], slope)
            value = k[0, c] + k[1, c] * (x[i, c] - k[2, c]) + k[3, c] * gate
            out[i, c] = value if a is None else value + k[4, c] * a[i, c]


@njit(parallel=True)
def _combine_chunks(x, g, a, mask, slope, k, chunk, out):
    for q in prange((x.shape[0] + chunk - 1) // chunk):
        _combine_rows(x, g, a, mask, slope, k, q * chunk, min((q + 1) * chunk, x.shape[0]), out)


def _sums(x: Array, g: Array | None, a: Array | None, mask: Array, slope: np.floating, work: Now) -> Array:
    """What `_moments` needs to know of (rows, k*C) arrays: (chunks, SUMS, k*C)."""
    chunk = chunk_rows(*x.shape)
    cotangents = (g is not None) + (a is not None)
    s = work.empty((max(1, -(-len(x) // chunk)), SUMS[cotangents], x.shape[1]), np.float64)
    if len(s) == 1:
        work.call(_chunk_sums, x, g, a, mask, slope, 0, len(x), s[0])
    else:
        work.call(_all_chunk_sums, x, g, a, mask, slope, chunk, s)
    return s


def _write(loops: tuple, inputs: tuple, k: Array, like: Array, out: Array | None, work: Now) -> Array:
    """Runs the (serial, parallel) loop over rows that writes `out`, of the shape of `like`."""
    x, order = inputs[0], channels_last(like.ndim)
    block = target(out, order, x, like.shape, x.dtype, work)
    result = block.reshape(x.shape)
    chunk = chunk_rows(*x.shape)
    if len(x) > chunk:
        work.call(loops[1], *inputs, k, chunk, result)
    else:
        work.call(loops[0], *inputs, k, 0, len(x), result)
    return deliver(untransposed(block, order), out, work)


NORMALISE, COMBINE = (_normalise_rows, _normalise_chunks), (_combine_rows, _combine_chunks)


def _vector(vector: Array | None, default: float, like: Array, work: Now) -> Array:
    """A contiguous (C,) operand of `like`'s channels; None stands for all `default`."""
    return np.full(like.shape[1], default, like.dtype) if vector is None else contiguous(vector, work)


def _or_new(out: Array | None, like: Array) -> Array:
    return poisoned(np.empty(like.shape[1], like.dtype)) if out is None else out


def batch_norm(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    *,
    slope: float = 1.0,
    out: tuple[Array, Array, Array] | None = None,
    work: Now = NOW,
) -> tuple[Array, Array, Array]:
    """x (N, C, ...) -> (y like x, mean (C,), var (C,)); a weight of None is 1, a bias of None 0.

    y is followed by a leaky ReLU of this slope (`act.leaky_relu`); 1 means none.
    """
    if not isinstance(x, Array):
        return kernels_of(x).norm.batch_norm(x, weight, bias, eps, slope=slope, out=out, work=work)
    rows = folded(x, work)
    y, mean, var = out or (None, None, None)
    mean, var = _or_new(mean, x), _or_new(var, x)
    s = _sums(rows, None, None, rows, x.dtype.type(1), work)
    k = work.empty((3, rows.shape[1]), x.dtype)
    vectors = (_vector(weight, 1, x, work), _vector(bias, 0, x, work))
    work.call(_forward_coefficients, s, len(rows), chunk_rows(*rows.shape), *vectors, eps, k, mean, var)
    return _write(NORMALISE, (rows, x.dtype.type(slope)), k, x, y, work), mean, var


def batch_norm_grad(
    x: Array,
    weight: Array | None,
    g: Array,
    eps: float,
    need: tuple[bool, bool, bool] = (True, True, True),
    *,
    mask: Array | None = None,
    slope: float = 1.0,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
    work: Now = NOW,
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangents (dx, dweight, dbias) of x, weight, bias for g of y; None where not needed.

    With a mask, like g, g stands for `act.leaky_relu_grad(mask, g, slope)`: the mask is a leaky ReLU's output, or y.
    """
    if not isinstance(x, Array):
        return kernels_of(x).norm.batch_norm_grad(x, weight, g, eps, need, mask=mask, slope=slope, out=out, work=work)
    rows, g_rows = folded(x, work), folded(g, work)
    mask_rows = rows if mask is None else folded(mask, work)
    slope = x.dtype.type(1 if mask is None else slope)
    dx, dw, db = out or (None, None, None)
    dw, db = _or_new(dw, x), _or_new(db, x)
    s = _sums(rows, g_rows, None, mask_rows, slope, work)
    k = work.empty((4, rows.shape[1]), x.dtype)
    settings = (len(rows), chunk_rows(*rows.shape), _vector(weight, 1, x, work), eps)
    work.call(_grad_coefficients, s, *settings, k, dw, db)
    dx = _write(COMBINE, (rows, g_rows, None, mask_rows, slope), k, x, dx, work) if need[0] else None
    return dx, dw if need[1] else None, db if need[2] else None


def batch_norm_grad_grad(
    x: Array,
    weight: Array | None,
    g: Array,
    ggx: Array | None,
    ggw: Array | None,
    ggb: Array | None,
    eps: float,
    need: tuple[bool, bool, bool] = (True, True, True),
    *,
    out: tuple[Array | None, Array | None, Array | None] | None = None,
    work: Now = NOW,
) -> tuple[Array | None, Array | None, Array | None]:
    """Cotangents (cx, cw, cg) of x, weight, g for ggx, ggw, ggb of (dx, dweight, dbias).

    ggx, ggw, ggb may be None, which means zero; so may a result, and it is where it is not needed.
    """
    if not isinstance(x, Array):
        return kernels_of(x).norm.batch_norm_grad_grad(x, weight, g, ggx, ggw, ggb, eps, need, out=out, work=work)
    rows, g_rows = folded(x, work), folded(g, work)
    a_rows = None if ggx is None else folded(ggx, work)
    one = x.dtype.type(1)
    cx, cw, cg = out or (None, None, None)
    cw = _or_new(cw, x)
    s = _sums(rows, g_rows, a_rows, rows, one, work)
    kx = work.empty((4 if a_rows is None else 5, rows.shape[1]), x.dtype)
    kg = work.empty((3 if a_rows is None else 4, rows.shape[1]), x.dtype)
    vectors = (_vector(weight, 1, x, work), _vector(ggw, 0, x, work), _vector(ggb, 0, x, work))
    settings = (len(rows), chunk_rows(*rows.shape), *vectors, eps)
    work.call(_grad_grad_coefficients, s, *settings, kx, kg, cw)

    if need[0] and (ggx is not None or ggw is not None):
        cx = _write(COMBINE, (rows, g_rows, a_rows, rows, one), kx, x, cx, work)
    else:
        cx = None
    if need[2] and ggx is not None:
        cg = _write(COMBINE, (rows, a_rows, None, rows, one), kg, x, cg, work)
    elif need[2] and (ggw is not None or ggb is not None):
        cg = _write(NORMALISE, (rows, one), kg, x, cg, work)
    else:
        cg = None
    return cx, cw if need[1] and ggx is not None else None, cg
