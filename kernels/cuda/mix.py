"""Machine room, CUDA: launch of mix.cu, points between two batches, as in `kernels/mix.py`."""

from __future__ import annotations

from math import prod

import numpy as np

from minigan.kernels.cuda.load import contiguous, empty, launch, module_of
from minigan.kernels.mix import order_of
from minigan.kernels.work import NOW


def mix(x, fake, eps, out=None, *, work=NOW):
    """As `kernels.mix.mix`, on a device."""
    xp, order = module_of(x), order_of(fake if out is None else out)
    lines = [contiguous(a.transpose(order), work) for a in (x, fake)]
    block = None if out is None else out.transpose(order)
    direct = block is not None and block.flags.c_contiguous
    shape = lines[0].shape
    result = block if direct else xp.empty(shape, x.dtype) if out is None else empty(xp, shape, x.dtype, work)
    arguments = (*lines, contiguous(eps, work), result, x.size, prod(x.shape[1:]))
    launch(xp, "mix", "mix_kernel", x.dtype, x.size, *arguments, work=work)
    if direct:
        return out
    made = result.transpose(np.argsort(order).tolist())
    if out is None:
        return made
    work.call(xp.copyto, out, made)
    return out
