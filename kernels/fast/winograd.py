"""Machine room, fast kernels: Winograd convolutions, one small product for each point of a transform.

A 4x4 convolution of stride 2 is a 2x2 convolution of stride 1 of the four phases of its input, a 3x3 one of stride 1
is that already. `winograd_matrices` says how such a convolution of r x r taps makes m x m outputs from n * n products
instead of m * m * r * r, n = m + r - 1. With many channels each of them is a product of matrices: for every point p of
the n * n, summed over (phase, c), o and tiles,

    M[p]  (tiles, o)          = U[p] (tiles, (phase, c))  V[p] ((phase, c), o)       forward, y from M
    dU[p] (tiles, (phase, c)) = D[p] (tiles, o)           V[p]^T                     input gradient, dx from dU
    dV[p] ((phase, c), o)     = U[p]^T                    D[p]                       weight gradient, dw from dV

where U, V and D come from x, w and g, once for all products that want them. `winograd_loops` has these transforms,
`winograd_products` the products and how the factors lie.

Arrays are C-contiguous float32 blocks as in `fast.conv`: x, dx and mask (N, H, W, C), g and y (N, OY, OX, O), w and dw
(O, C, KY, KX). Each number is summed in one order by one task, so the bits do not depend on the thread count.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod

import numpy as np

from minigan.kernels.fast.winograd_loops import FROM_G, FROM_W, FROM_X, TO_W, TO_X, TO_Y, gather, scatter, turn
from minigan.kernels.fast.winograd_products import multiply, tables_of
from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.work import Array, Now

KINDS = (((4, 4), (2, 2)), ((3, 3), (1, 1)))
"""Kernel and stride of the convolutions that there are transforms for."""

WASTE = 1.4
"""Pixels of tiles, for each one of the output, from which on too many lie outside it."""

WIDE = 128
"""Channels of x up to which the errors of F(4, r) are small enough."""

SMALL = 1 << 16
"""Numbers in V at one point that stay in a core's own cache."""

NO_BIAS = np.empty(0, np.float32)

_allowed = os.environ.get("MINIGAN_WINOGRAD", "1") != "0"
_disabled: ContextVar[bool] = ContextVar("winograd_disabled", default=False)


def enabled() -> bool:
    """Whether Winograd may be used: what MINIGAN_WINOGRAD (default 1) or `set_enabled` says; not within `disabled`."""
    return _allowed and not _disabled.get()


def set_enabled(on: bool) -> None:
    """Allow or forbid Winograd everywhere in this process."""
    global _allowed
    _allowed = bool(on)


@contextmanager
def disabled() -> Iterator[None]:
    """In this context `enabled` is False: for results with the smaller error of the direct sums."""
    token = _disabled.set(True)
    try:
        yield
    finally:
        _disabled.reset(token)


def _tile_count(geometry: ConvGeometry, m: int) -> int:
    batch, _, out_y, out_x = geometry.y_shape
    return batch * -(-out_y // m) * -(-out_x // m)


def tile_size(geometry: ConvGeometry) -> int:
    """m, the side of an output tile: 4, 2, or 0 where a direct convolution is faster or there is no other.

    Each point has a copy of the weights, C * O * stride^2 numbers in V, as many in V^T and in dV, which pays when many
    tiles meet it. F(4, r) multiplies least, F(2, r) makes the smaller errors (tests/kernels/test_winograd.py). Measured
    on one AVX-512 core, in turns with the direct kernels: time of all three faces, V and V^T included, over the direct
    time.

    | kernel | images | x            | outputs | tiles of 4, of 2 | F(4, r) | F(2, r) | m |
    |--------|--------|--------------|---------|------------------|---------|---------|---|
    | 4 x 4  | 64     | 32 x 32 x 16 | 32      | 1024, 4096       | 1.06    | 1.5     | 0 |
    | 4 x 4  | 64     | 32 x 32 x 32 | 64      | 1024, 4096       | 0.85    | 1.2     | 4 |
    | 4 x 4  | 32     | 32 x 32 x 64 | 128     | 512, 2048        | 0.64    | 0.84    | 4 |
    | 4 x 4  | 64     | 16 x 16 x 64 | 128     | 256, 1024        | 0.72    | 0.90    | 4 |
    | 4 x 4  | 16     | 16 x 16 x 64 | 128     | 64, 256          | 0.88    | 0.92    | 4 |
    | 4 x 4  | 192    | 8 x 8 x 128  | 256     | 192, 768         | 0.77    | 0.89    | 4 |
    | 4 x 4  | 64     | 8 x 8 x 128  | 256     | 64, 256          | 1.05    | 0.99    | 2 |
    | 4 x 4  | 128    | 8 x 8 x 256  | 512     | 128, 512         | 0.75    | 0.83    | 2 |
    | 4 x 4  | 32     | 8 x 8 x 256  | 512     | 32, 128          | 1.24    | 1.01    | 0 |
    | 3 x 3  | 64     | 16 x 16 x 32 | 32      | 1024, 4096       | 0.84    | 1.36    | 4 |
    | 3 x 3  | 64     | 16 x 16 x 64 | 64      | 1024, 4096       | 0.62    | 1.00    | 4 |
    | 3 x 3  | 16     | 8 x 8 x 128  | 128     | 64, 256          | 0.72    | 0.80    | 4 |
    | 3 x 3  | 64     | 8 x 8 x 256  | 256     | 256, 1024        | 0.48    | 0.72    | 2 |

    More than WIDE channels get m = 2 for the sake of the errors, which grow with the root of their number.
    """
    kernel, stride = geometry.w_shape[2:], geometry.stride
    if geometry.groups != 1 or geometry.dilation != (1, 1) or (kernel, stride) not in KINDS:
        return 0
    outs, channels = geometry.w_shape[:2]
    weights = channels * outs * stride[0] ** 2
    pixels = prod(geometry.y_shape) // outs
    for m, narrowest, few, many in ((4, 32, 64, 128), (2, 64, 256, 256)):
        if m == 4 and channels > WIDE:
            continue
        tiles = _tile_count(geometry, m)
        full = tiles * m * m <= WASTE * pixels
        enough = tiles >= (few if weights <= SMALL else many)
        if full and enough and min(channels, outs) >= narrowest:
            return m
    return 0


def suits(geometry: ConvGeometry, lanes: int) -> bool:
    """Whether Winograd applies and is expected to win; lanes 0 is a machine without a known vector unit."""
    return lanes > 0 and tile_size(geometry) > 0


def _input_points(x: Array, geometry: ConvGeometry, m: int, lanes: int, work: Now) -> Array:
    """U."""
    t = tables_of(geometry, m, lanes)

    def fill(u):
        work.call(
            gather(t.r, lanes), m, FROM_X, x, t.zeros, t.u.lines, t.n, m, t.stride, geometry.padding, t.tiles,
            u, t.u.point_step,
        )  # fmt: skip

    return work.derived(("winograd x", geometry, m, lanes), x, t.n**2 * t.u.point_step, fill)


def _output_points(g: Array, geometry: ConvGeometry, m: int, lanes: int, work: Now) -> Array:
    """D."""
    t = tables_of(geometry, m, lanes)

    def fill(d):
        work.call(
            gather(t.r, lanes), m, FROM_G, g, t.zeros, t.d.lines, m, m, 1, (0, 0), t.tiles, d, t.d.point_step
        )  # fmt: skip

    return work.derived(("winograd g", geometry, m, lanes), g, t.n**2 * t.d.point_step, fill)


def _weight_points(w: Array, geometry: ConvGeometry, m: int, lanes: int, turned: bool, work: Now) -> Array:
    """V, or V^T with `turned`."""
    t = tables_of(geometry, m, lanes)
    outs, channels, size_y, size_x = w.shape
    panels, lines = (t.v_turned, t.v_turned.lines) if turned else (t.v, t.v_lines)

    def fill(v):
        if turned:
            image = work.empty((outs, size_y, size_x, channels))
            before, after = w.reshape(outs, channels, -1), image.reshape(outs, -1, channels)
        else:
            image = work.empty((channels, size_y, size_x, outs))
            before, after = w.reshape(1, outs, -1), image.reshape(1, -1, outs)
        work.call(turn(lanes), before, after, False)
        work.call(
            gather(t.r, lanes), m, FROM_W, image, t.zeros, lines, t.r, t.r, t.stride, (0, 0), (1, 1),
            v, panels.point_step,
        )  # fmt: skip

    return work.derived(("winograd w", turned, geometry.stride, m, lanes), w, t.n**2 * panels.point_step, fill)


def conv_forward(
    x: Array, w: Array, geometry: ConvGeometry, bias: Array | None, y: Array, lanes: int, work: Now, slope: float = 1.0
) -> None:
    """Writes y = bias + the convolution; where that is not positive, slope times as much."""
    m = tile_size(geometry) or 2
    t = tables_of(geometry, m, lanes)
    u, v = _input_points(x, geometry, m, lanes, work), _weight_points(w, geometry, m, lanes, False, work)
    c, c_step = multiply(t, t.forward, u, t.v, v, lanes, work)
    work.call(
        scatter(t.r, lanes), m, TO_Y, c, c_step, t.to_y, m, m, 1, (0, 0), t.tiles,
        NO_BIAS if bias is None else bias, 0, np.float32(slope), y,
    )  # fmt: skip


def conv_input(
    g: Array,
    w: Array,
    geometry: ConvGeometry,
    bias: Array | None,
    dx: Array,
    lanes: int,
    work: Now,
    mask: Array | None = None,
    slope: float = 1.0,
) -> None:
    """Writes dx = bias + the input gradient; where the mask (else that itself) is not positive, slope times as much."""
    m = tile_size(geometry) or 2
    t = tables_of(geometry, m, lanes)
    d, v = _output_points(g, geometry, m, lanes, work), _weight_points(w, geometry, m, lanes, True, work)
    c, c_step = multiply(t, t.input, d, t.v_turned, v, lanes, work)
    gate = 0 if mask is None else mask.ctypes.data - dx.ctypes.data
    work.call(
        scatter(t.r, lanes), m, TO_X, c, c_step, t.to_x, t.n, m, t.stride, geometry.padding, t.tiles,
        NO_BIAS if bias is None else bias, gate, np.float32(slope), dx,
    )  # fmt: skip


def conv_weight(
    x: Array, g: Array, geometry: ConvGeometry, dw: Array, lanes: int, work: Now, add: bool = False
) -> None:
    """Writes dw, or adds to it: the weight gradient."""
    m = tile_size(geometry) or 2
    t = tables_of(geometry, m, lanes)
    u, d = _input_points(x, geometry, m, lanes, work), _output_points(g, geometry, m, lanes, work)
    c, c_step = multiply(t, t.weight, u, t.d, d, lanes, work)
    outs, channels, size_y, size_x = dw.shape
    image = work.empty((channels, size_y, size_x, outs))
    work.call(
        scatter(t.r, lanes), m, TO_W, c, c_step, t.to_w, t.r, t.r, t.stride, (0, 0), (1, 1),
        NO_BIAS, 0, np.float32(1), image,
    )  # fmt: skip
    work.call(turn(lanes), image.reshape(1, -1, outs), dw.reshape(1, outs, -1), add)
