"""Machine room, CUDA: launches of warp.cu, images read between their pixels and the adjoint; as `kernels/warp.py`."""

from __future__ import annotations

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.layout import contiguous, deliver, nhwc, target, untransposed
from minigan.kernels.warp import ORDER
from minigan.kernels.work import NOW


def _launched(kernel, images, py, px, result_size, image_size, out, work):
    block = target(out, ORDER, images, (*images.shape[:2], *result_size), images.dtype, work)
    points = py.shape[1] * py.shape[2]
    arrays = (nhwc(images, work), contiguous(py, work), contiguous(px, work), block)
    sizes = (block.size, *image_size, images.shape[1], points)
    launch(module_of(images), "warp", kernel, images.dtype, block.size, *arrays, *sizes, work=work)
    return deliver(untransposed(block, ORDER), out, work)


def sample(x, py, px, out=None, *, work=NOW):
    """As `kernels.warp.sample`, on a device."""
    return _launched("sample_kernel", x, py, px, py.shape[1:], x.shape[2:], out, work)


def spread(g, py, px, size, out=None, *, work=NOW):
    """As `kernels.warp.spread`, on a device."""
    return _launched("spread_kernel", g, py, px, size, size, out, work)
