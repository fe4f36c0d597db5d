"""Machine room, CUDA: launch of pool.cu, where each window's maximum is, as in `kernels/pool.py`."""

from __future__ import annotations

import numpy as np

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.layout import nhwc


def max_pool_index(x, kernel, stride, padding, dilation, out_hw):
    """As `kernels.pool.max_pool_index`, on a device."""
    xp, (n, c, height, width) = module_of(x), x.shape
    index = xp.empty((n, *out_hw, c), np.int64)
    pairs = (*kernel, *stride, *padding, *dilation)
    sizes = (index.size, height, width, c, *out_hw)
    launch(xp, "pool", "pool_rows_kernel", x.dtype, index.size, nhwc(x), *pairs, index, *sizes)
    return index.transpose(0, 3, 1, 2)
