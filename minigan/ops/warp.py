"""Machine room, ops: images read at the points of a grid; affine_grid and grid_sample (Jaderberg et al. 2015).

A grid holds a point (x, y) for every output pixel, with -1 and 1 at the image's edges. grid_sample reads the image
there. Reading between pixels is linear in the image: `Sample` and its adjoint `Spread` are each other's derivative in
it, a kernel each. In the points, their derivatives are those of the composition that `Sample.reference` states.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from minigan import kernels

from ..autograd import Op, Tensor, array_of, enable_grad, grad
from ..backend import int64, on
from .basic import cast, isnan, where
from .elementary import clip, floor, round
from .index import ARRAY, Index, Pad
from .matmul import matmul, same_dtype
from .shape import check_4d, permute, reshape, transpose, unsqueeze


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid (N, H, W, 2) whose points are theta (x, y, 1), for theta (N, 2, 3) and size (N, C, H, W).

    align_corners: whether -1 and 1 are the middles of the outermost pixels; else (None, too) their outer edges. Raises
    ValueError for shapes that do not fit.
    """
    size = tuple(size)
    if theta.ndim != 3 or theta.shape[1:] != (2, 3) or len(size) != 4 or size[0] != theta.shape[0] or min(size) < 1:
        raise ValueError(f"affine_grid: theta {theta.shape} and size {size} do not fit (N, 2, 3) and (N, C, H, W)")
    y, x = (_middles(n, bool(align_corners)) for n in size[2:])
    points = np.stack([*np.broadcast_arrays(x, y[:, None]), np.ones(size[2:])], -1).reshape(-1, 3)
    base = Tensor(on(array_of(theta), points.astype(theta.dtype)))
    return reshape(matmul(base, transpose(theta, 1, 2)), (size[0], *size[2:], 2))


def _middles(n: int, align_corners: bool) -> np.ndarray:
    """Where the middles of n pixels lie on the way from -1 to 1."""
    if align_corners:
        return np.linspace(-1, 1, n) if n > 1 else np.zeros(1)
    return (2 * np.arange(n) + 1) / n - 1


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """input (N, C, H, W) read at the points (x, y) of grid (N, OY, OX, 2): (N, C, OY, OX).

    mode: "bilinear", between the four pixels around a point, or "nearest". padding_mode, for what lies outside:
    "zeros", "border" (the nearest edge) or "reflection". align_corners as in `affine_grid`. A NaN in the grid is
    taken for -1, and has no gradient. Raises ValueError for shapes and modes that do not fit, TypeError for mixed
    dtypes.
    """
    op = "grid_sample"
    check_4d(op, input)
    same_dtype(op, input=input, grid=grid)
    if grid.ndim != 4 or grid.shape[0] != input.shape[0] or grid.shape[3] != 2 or min(input.shape[2:]) < 1:
        raise ValueError(f"{op}: grid {grid.shape} must be (N, OY, OX, 2) for input {input.shape}")
    if mode not in ("bilinear", "nearest"):
        raise ValueError(f"{op}: unknown mode {mode!r}; known modes: bilinear, nearest")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(f"{op}: unknown padding_mode {padding_mode!r}; known modes: zeros, border, reflection")
    grid = where(isnan(grid), -1.0, grid)
    points = [
        _within(_pixels(grid[..., i], n, bool(align_corners)), n, padding_mode, bool(align_corners))
        for i, n in ((1, input.shape[2]), (0, input.shape[3]))
    ]
    if mode == "nearest":
        return _read(_framed(input), *map(round, points))
    return Sample()(input, *points)


def _pixels(at: Tensor, n: int, align_corners: bool) -> Tensor:
    """Places from -1 to 1 as pixel numbers; 0 is the middle of the first pixel."""
    return (at + 1) * ((n - 1) / 2) if align_corners else ((at + 1) * n - 1) * 0.5


def _within(at: Tensor, n: int, padding_mode: str, align_corners: bool) -> Tensor:
    """Pixel numbers, those outside brought to where the image is read for them."""
    if padding_mode == "zeros":
        return clip(at, -1, n)  # beyond that, all is zero
    if padding_mode == "reflection":
        low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
        if span == 0:
            return at * 0.0
        way = at - low
        way = where(way < 0, -way, way)
        turns = floor(way / span)
        rest = way - turns * span
        odd = turns - 2 * floor(turns * 0.5) > 0.5
        at = where(odd, span - rest, rest) + low
    # At the edge itself the slope is 0, as in PyTorch.
    return where(at <= 0, 0.0, where(at >= n - 1, n - 1.0, at))


def _framed(images: Tensor) -> Tensor:
    """With a frame of zeros: what reads outside, reads them."""
    return Pad(((0, 0), (0, 0), (1, 2), (1, 2)), 0)(images)


def _read(frame: Tensor, y: Tensor, x: Tensor) -> Tensor:
    """The pixels (N, C, OY, OX) at the whole numbers y and x (N, OY, OX), of images with a frame of one pixel."""
    rows, columns = (cast(at + 1, int64) for at in (y, x))
    images = np.arange(frame.shape[0]).reshape(-1, 1, 1)
    key = (ARRAY, slice(None), ARRAY, ARRAY)
    return permute(Index(key)(frame, Tensor(on(array_of(frame), images)), rows, columns), 0, 3, 1, 2)


class Sample(Op):
    """y = x read between the four pixels around each point (py, px), in pixels; zeros lie outside
    dL/dx = Spread(g)
    dL/dpy = sum over channels of g dy/dpy
    dL/dpx = sum over channels of g dy/dpx

    The slopes by points are those of the reference, which holds for points from -1 to the image's size.

    x (N, C, H, W), py and px (N, OY, OX) of one dtype -> (N, C, OY, OX)
    """

    name = "sample"

    def forward(self, x, py, px):
        return kernels.warp.sample(x, py, px)

    def prepare(self, work, inputs, outputs):
        kernels.warp.sample(*inputs, out=outputs[0], work=work)

    def reference(self, x, py, px):
        frame, top, left = _framed(x), floor(py), floor(px)
        down, right = (unsqueeze(part, 1) for part in (py - top, px - left))
        upper = _read(frame, top, left) * (1 - right) + _read(frame, top, left + 1) * right
        lower = _read(frame, top + 1, left) * (1 - right) + _read(frame, top + 1, left + 1) * right
        return upper * (1 - down) + lower * down

    def vjp(self, node, need, g):
        x, py, px = node.inputs
        points = super().vjp(node, (False, *need[1:]), g)[1:] if any(need[1:]) else (None, None)
        return (Spread(x.shape[2:])(g, py, px) if need[0] else None, *points)


class Spread(Op):
    """x = each g, added to the four pixels around its point (py, px) as `Sample` weighs them; the adjoint
    dL/dg = Sample(cotangent)
    dL/dpy = sum over channels and pixels of cotangent dx/dpy
    dL/dpx = sum over channels and pixels of cotangent dx/dpx

    g (N, C, OY, OX), py and px (N, OY, OX) of one dtype -> (N, C, H, W); size: (H, W).
    """

    name = "spread"

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def forward(self, g, py, px):
        return kernels.warp.spread(g, py, px, self.size)

    def prepare(self, work, inputs, outputs):
        kernels.warp.spread(*inputs, self.size, out=outputs[0], work=work)

    def reference(self, g, py, px):
        blank = Tensor(on(array_of(g), np.zeros((*g.shape[:2], *self.size), g.dtype))).requires_grad_()
        with enable_grad():
            (spread,) = grad(Sample().reference(blank, py, px), blank, g, create_graph=True)
        return spread

    def vjp(self, node, need, cotangent):
        _, py, px = node.inputs
        points = super().vjp(node, (False, *need[1:]), cotangent)[1:] if any(need[1:]) else (None, None)
        return (Sample()(cotangent, py, px) if need[0] else None, *points)
