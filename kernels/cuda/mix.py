"""Machine room, CUDA: launch of mix.cu, points between two batches, as in `kernels/mix.py`."""

from __future__ import annotations

from math import prod

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.layout import contiguous, deliver, target, untransposed
from minigan.kernels.mix import order_of
from minigan.kernels.work import NOW


def mix(x, fake, eps, out=None, *, work=NOW):
    """As `kernels.mix.mix`, on a device."""
    order = order_of(fake if out is None else out)
    lines = [contiguous(a.transpose(order), work) for a in (x, fake)]
    block = target(out, order, x, x.shape, x.dtype, work)
    arguments = (*lines, contiguous(eps, work), block, x.size, prod(x.shape[1:]))
    launch(module_of(x), "mix", "mix_kernel", x.dtype, x.size, *arguments, work=work)
    return deliver(untransposed(block, order), out, work)
