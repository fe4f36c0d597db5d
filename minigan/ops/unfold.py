"""Machine room, ops: the windows of images as columns, and their sums put back; unfold and fold.

    unfold   column[n, (c, ky, kx), (oy, ox)] = x[n, c, s oy + d ky - p, s ox + d kx - p],  0 outside the image
    fold     x[n, c, i, j] = the sum of all elements of the columns that lie at (i, j)

The two are each other's adjoint, so each is the other's derivative, of every order. A convolution is a matrix product
with the columns: kernels/im2col.py shows that, with the columns as rows.
"""

from __future__ import annotations

import numpy as np

from minigan.kernels.geometry import ConvGeometry

from ..autograd import Tensor
from ..backend import namespace
from .conv import ConvOp
from .shape import Linear, Pair, check_4d, pair_of


class Columns(ConvOp, Linear):
    """What unfold and fold share."""

    def columns(self) -> tuple[int, int, int]:
        """The shape of the columns."""
        n, c, *_ = self.geometry.x_shape
        taps, places = (int(np.prod(s[2:])) for s in (self.geometry.w_shape, self.geometry.y_shape))
        return n, c * taps, places


class Unfold(Columns):
    """y = the windows of x (N, C, H, W), as columns (N, C KY KX, OY OX)
    dL/dx = Fold(g)"""

    def forward(self, x):
        xp, geo = namespace(x), self.geometry
        x = xp.pad(x, self.padding())
        y = xp.empty((*x.shape[:2], *geo.w_shape[2:], *geo.y_shape[2:]), x.dtype)
        for ky, kx, key in self.taps():
            y[:, :, ky, kx] = x[key]
        return y.reshape(self.columns())

    def vjp(self, node, need, g):
        return (Fold(self.geometry)(g),)


class Fold(Columns):
    """y = the sum of the columns x (N, C KY KX, OY OX), each window at its place in an image (N, C, H, W)
    dL/dx = Unfold(g)"""

    def forward(self, x):
        geo, pads = self.geometry, self.padding()
        x = x.reshape(*geo.x_shape[:2], *geo.w_shape[2:], *geo.y_shape[2:])
        shape = tuple(low + n + high for (low, high), n in zip(pads, geo.x_shape, strict=True))
        y = namespace(x).zeros(shape, x.dtype)
        for ky, kx, key in self.taps():
            y[key] = y[key] + x[:, :, ky, kx]
        return y[tuple(slice(low, low + n) for (low, _), n in zip(pads, geo.x_shape, strict=True))]

    def vjp(self, node, need, g):
        return (Unfold(self.geometry)(g),)


def unfold(input: Tensor, kernel_size: Pair, dilation: Pair = 1, padding: Pair = 0, stride: Pair = 1) -> Tensor:
    """The kernel_size windows of input (N, C, H, W) as columns (N, C KY KX, OY OX), with zeros outside the image.

    OY = (H + 2 padding - dilation (KY - 1) - 1) // stride + 1. Raises ValueError for settings that do not fit.
    """
    check_4d("unfold", input)
    return Unfold(_windows("unfold", input.shape, kernel_size, dilation, padding, stride))(input)


def fold(
    input: Tensor,
    output_size: Pair,
    kernel_size: Pair,
    dilation: Pair = 1,
    padding: Pair = 0,
    stride: Pair = 1,
) -> Tensor:
    """The adjoint of `unfold`: columns (N, C KY KX, OY OX), added up into images (N, C, *output_size).

    Raises ValueError for columns or settings that do not fit.
    """
    op = "fold"
    taps = int(np.prod(pair_of(op, "kernel_size", kernel_size, 1)))
    if input.ndim != 3 or input.shape[1] % taps:
        raise ValueError(f"{op}: input must be (N, C KY KX, OY OX) with {taps} = KY KX, got shape {input.shape}")
    image = (input.shape[0], input.shape[1] // taps, *pair_of(op, "output_size", output_size, 1))
    adjoint = Fold(_windows(op, image, kernel_size, dilation, padding, stride))
    if input.shape != adjoint.columns():
        raise ValueError(f"{op}: input {input.shape} does not fit; images {image} have columns {adjoint.columns()}")
    return adjoint(input)


def _windows(
    op: str, shape: tuple[int, ...], kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair
) -> ConvGeometry:
    """The windows of images of a shape, as the geometry of a convolution of every channel by itself."""
    kernel = pair_of(op, "kernel_size", kernel_size, 1)
    settings = (
        pair_of(op, "stride", stride, 1),
        pair_of(op, "padding", padding, 0),
        pair_of(op, "dilation", dilation, 1),
    )
    geometry = ConvGeometry(shape, (shape[1], 1, *kernel), *settings, shape[1])
    if min(geometry.y_shape[2:]) < 1:
        raise ValueError(
            f"{op}: the window {kernel} (dilation {settings[2]}) is larger than the padded image"
            f" ({shape}, padding {settings[1]})"
        )
    return geometry
