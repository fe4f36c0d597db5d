"""Machine room, CUDA: launch of bias.cu, a bias and an activation in one pass, as in `kernels/bias.py`."""

from __future__ import annotations

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.layout import contiguous
from minigan.kernels.work import NOW


def bias_act(x, bias, slope=1.0, out=None, *, mask=None, work=NOW):
    """As `kernels.bias.bias_act`, on a device."""
    xp = module_of(x)
    out = xp.empty(x.shape, x.dtype) if out is None else out
    line = contiguous(x, work)
    start = line if bias is None else contiguous(bias, work)
    gate = line if mask is None else contiguous(mask, work)
    flags = (int(bias is not None), int(mask is not None))
    arguments = (line, start, gate, slope, out, x.size, x.shape[1], *flags)
    launch(xp, "bias", "bias_act_kernel", x.dtype, x.size, *arguments, work=work)
    return out
