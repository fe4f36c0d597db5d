"""Machine room, kernels: images read between their pixels, and the adjoint, values spread onto the pixels around.

    sample    y[n, c, o] = sum over the four pixels p around point o of w[o, p] x[n, c, p]
    spread    x[n, c, p] = sum over the points o around pixel p of w[o, p] g[n, c, o]

    w[o, p] = max(0, 1 - |py[n, o] - p_y|) max(0, 1 - |px[n, o] - p_x|)

Pixel 0 has its middle at 0. What lies outside the image is zero. The sum over points runs in their own order, on every
number of threads and on a device, so that it is the same to the bit from call to call. A point that is NaN is outside.
"""

import numpy as np
from numba import prange

from minigan.kernels.layout import channels_last, contiguous, deliver, nhwc, target, untransposed
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, kernels_of

CHUNK = 4096
"""Points times channels above which a second thread pays."""
ORDER = channels_last(4)


@njit
def _corners(at, size):
    """(pixel before the point or -9 where none of both counts, what is left)."""
    low = np.floor(at)
    if not (low >= -1 and low < size):
        return -9, at * 0
    return int(low), at - low


@njit
def _sample(x, py, px, y):
    """One image: x (H, W, C), points (OY, OX), y (OY, OX, C)."""
    height, width, channels = x.shape
    for oy in range(py.shape[0]):
        for ox in range(py.shape[1]):
            top, down = _corners(py[oy, ox], height)
            left, right = _corners(px[oy, ox], width)
            y[oy, ox, :] = 0
            if top == -9 or left == -9:
                continue
            for i in range(2):
                for j in range(2):
                    iy, ix = top + i, left + j
                    if 0 <= iy < height and 0 <= ix < width:
                        weight = (down if i else 1 - down) * (right if j else 1 - right)
                        for c in range(channels):
                            y[oy, ox, c] += weight * x[iy, ix, c]


@njit
def _spread(g, py, px, x):
    """One image: g (OY, OX, C), points (OY, OX), x (H, W, C)."""
    height, width, channels = x.shape
    x[:] = 0
    for oy in range(py.shape[0]):
        for ox in range(py.shape[1]):
            top, down = _corners(py[oy, ox], height)
            left, right = _corners(px[oy, ox], width)
            if top == -9 or left == -9:
                continue
            for i in range(2):
                for j in range(2):
                    iy, ix = top + i, left + j
                    if 0 <= iy < height and 0 <= ix < width:
                        weight = (down if i else 1 - down) * (right if j else 1 - right)
                        for c in range(channels):
                            x[iy, ix, c] += weight * g[oy, ox, c]


@njit
def _sample_all(x, py, px, y):
    for n in range(len(x)):
        _sample(x[n], py[n], px[n], y[n])


@njit(parallel=True)
def _sample_parallel(x, py, px, y):
    for n in prange(len(x)):
        _sample(x[n], py[n], px[n], y[n])


@njit
def _spread_all(g, py, px, x):
    for n in range(len(x)):
        _spread(g[n], py[n], px[n], x[n])


@njit(parallel=True)
def _spread_parallel(g, py, px, x):
    for n in prange(len(x)):
        _spread(g[n], py[n], px[n], x[n])


def check(what: str, images: Array, py: Array, px: Array, points: tuple[int, ...]) -> None:
    """ValueError unless py and px are of shape `points` and of the images' dtype."""
    if images.ndim != 4 or py.shape != points or px.shape != points or len({a.dtype for a in (images, py, px)}) > 1:
        raise ValueError(
            f"{what}: py and px must be {images.dtype} of shape {points} for images {images.dtype} {images.shape}, got"
            f" {py.dtype} {py.shape} and {px.dtype} {px.shape}"
        )


def sample(x: Array, py: Array, px: Array, out: Array | None = None, *, work: Now = NOW) -> Array:
    """x (N, C, H, W) at the points py, px (N, OY, OX), in pixels: (N, C, OY, OX). ValueError for other shapes."""
    check("sample", x, py, px, (len(x), *py.shape[1:]))
    if not isinstance(x, Array):
        return kernels_of(x).warp.sample(x, py, px, out, work=work)
    block = target(out, ORDER, x, (*x.shape[:2], *py.shape[1:]), x.dtype, work)
    loop = _sample_all if py.size * x.shape[1] <= CHUNK else _sample_parallel
    work.call(loop, nhwc(x, work), contiguous(py, work), contiguous(px, work), block)
    return deliver(untransposed(block, ORDER), out, work)


def spread(
    g: Array, py: Array, px: Array, size: tuple[int, int], out: Array | None = None, *, work: Now = NOW
) -> Array:
    """g (N, C, OY, OX) from the points py, px (N, OY, OX) onto images of `size` (H, W): (N, C, H, W). ValueError for
    other shapes."""
    check("spread", g, py, px, (len(g), *g.shape[2:]))
    if not isinstance(g, Array):
        return kernels_of(g).warp.spread(g, py, px, size, out, work=work)
    block = target(out, ORDER, g, (*g.shape[:2], *size), g.dtype, work)
    loop = _spread_all if py.size * g.shape[1] <= CHUNK else _spread_parallel
    work.call(loop, nhwc(g, work), contiguous(py, work), contiguous(px, work), block)
    return deliver(untransposed(block, ORDER), out, work)
