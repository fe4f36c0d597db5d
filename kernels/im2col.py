"""Machine room, kernels: im2col, every window of an image as a row of a matrix; a convolution is then one product.

    columns[(n, oy, ox), (ky, kx, c)] = x[n, c, iy, ix],  0 outside the image,
    with iy = oy * stride_y - padding_y + ky * dilation_y, and ix likewise;

    y[(n, oy, ox), o] = sum over ky kx c of  columns[(n, oy, ox), (ky, kx, c)] * w[(ky, kx, c), o]

(Chellapilla, Puri & Simard 2006). It is here to be read: the matrix is KY KX / stride^2 times the image, and
is written and read once more than by the tiles of `conv.cu`, which build the same rows in shared memory, 16 columns at
a time, and never store them (README.md has what that is worth on a CPU). The engine itself does not call it.
"""

from math import prod

import numpy as np
from numba import prange

from minigan.kernels.geometry import ConvGeometry
from minigan.kernels.layout import nhwc
from minigan.kernels.load import njit
from minigan.kernels.work import NOW, Array, Now, kernels_of, poisoned


@njit(parallel=True)
def _im2col(x, columns, out_y, out_x, size_y, size_x, stride_y, stride_x, padding_y, padding_x, dilation_y, dilation_x):
    """columns (N OY OX, KY KX C) of x (N, H, W, C); one iteration a row of windows."""
    _, height, width, channels = x.shape
    for row in prange(x.shape[0] * out_y):
        n, oy = row // out_y, row % out_y
        for ox in range(out_x):
            for ky in range(size_y):
                iy = oy * stride_y - padding_y + ky * dilation_y
                for kx in range(size_x):
                    ix = ox * stride_x - padding_x + kx * dilation_x
                    inside = 0 <= iy < height and 0 <= ix < width
                    for c in range(channels):
                        at = (ky * size_x + kx) * channels + c
                        columns[row * out_x + ox, at] = x[n, iy, ix, c] if inside else 0


def shape_of(x, geometry: ConvGeometry) -> tuple[int, int]:
    """The shape of the matrix; ValueError where x is not the geometry's."""
    if x.shape != geometry.x_shape:
        raise ValueError(f"im2col: x has shape {x.shape}, {geometry} needs {geometry.x_shape}")
    batch, _, out_y, out_x = geometry.y_shape
    return batch * out_y * out_x, prod(geometry.w_shape[2:]) * geometry.x_shape[1]


def im2col(x: Array, geometry: ConvGeometry, *, work: Now = NOW) -> Array:
    """x (N, C, H, W) -> columns (N OY OX, KY KX C), the channels of all groups."""
    shape = shape_of(x, geometry)
    if not isinstance(x, Array):
        return kernels_of(x).im2col.im2col(x, geometry, work=work)
    columns = poisoned(np.empty(shape, x.dtype))
    sizes = (*geometry.y_shape[2:], *geometry.w_shape[2:])
    work.call(_im2col, nhwc(x, work), columns, *sizes, *geometry.stride, *geometry.padding, *geometry.dilation)
    return columns
