"""Machine room, CUDA: launch of im2col.cu, windows as rows of a matrix, as in `kernels/im2col.py`."""

from __future__ import annotations

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.im2col import shape_of
from minigan.kernels.layout import nhwc
from minigan.kernels.work import NOW


def im2col(x, geometry, *, work=NOW):
    """As `kernels.im2col.im2col`, on a device."""
    xp, (_, channels, height, width) = module_of(x), x.shape
    columns = xp.empty(shape_of(x, geometry), x.dtype)
    sizes = (height, width, channels, *geometry.y_shape[2:], *geometry.w_shape[2:])
    places = (*geometry.stride, *geometry.padding, *geometry.dilation)
    image = nhwc(x, work)
    launch(
        xp, "im2col", "im2col_kernel", x.dtype, columns.size, image, columns, columns.size, *sizes, *places, work=work
    )
    return columns
