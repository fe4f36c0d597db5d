"""Machine room, CUDA: launches of layernorm.cu, with the functions and arguments of `kernels/layernorm.py`."""

from __future__ import annotations

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.layernorm import split
from minigan.kernels.layout import contiguous, deliver, target, untransposed
from minigan.kernels.work import NOW


def _run(names: tuple[str, str], operands: tuple, axes, eps, out, work):
    x, xp = operands[0], module_of(operands[0])
    order, (outer, n, inner) = split(x if out is None else out, axes)
    lines = [contiguous(a.transpose(order), work) for a in operands]
    block = target(out, order, x, x.shape, x.dtype, work)
    if n and inner == 1:
        launch(xp, "layernorm", names[0], x.dtype, (outer,), *lines, eps, block, n, work=work)
    elif n:
        grid = (outer, -(-inner // 32))
        launch(xp, "layernorm", names[1], x.dtype, grid, *lines, eps, block, n, inner, work=work)
    return deliver(untransposed(block, order), out, work)


def standardise(x, axes, eps, out=None, *, work=NOW):
    """As `kernels.layernorm.standardise`, on a device."""
    return _run(("row_norm_kernel", "column_norm_kernel"), (x,), axes, eps, out, work)


def standardise_grad(x, g, axes, eps, out=None, *, work=NOW):
    """As `kernels.layernorm.standardise_grad`, on a device."""
    return _run(("row_norm_grad_kernel", "column_norm_grad_kernel"), (x, g), axes, eps, out, work)
