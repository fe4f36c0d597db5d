"""Machine room, CUDA: launches of act.cu, activations, with the functions and arguments of `kernels/act.py`."""

from __future__ import annotations

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.layout import contiguous, memory_order, untransposed
from minigan.kernels.work import NOW


def _each(name: str, operands: tuple, settings: tuple, out, work):
    """Runs a kernel over `operands`, of one shape and dtype, in the memory order of the first."""
    x, xp = operands[0], module_of(operands[0])
    for other in operands[1:] if out is None else (out, *operands[1:]):
        if other.shape != x.shape or other.dtype != x.dtype:
            raise ValueError(f"kernels: operands differ: {x.dtype} {x.shape} and {other.dtype} {other.shape}")
    order = memory_order(x if out is None else out)
    lines = [contiguous(operand.transpose(order), work) for operand in operands]
    block = xp.empty(lines[0].shape, x.dtype) if out is None else out.transpose(order)
    if not block.flags.c_contiguous:
        raise ValueError(f"kernels: cannot write into an array of shape {x.shape} with strides {out.strides}")
    launch(xp, "act", name, x.dtype, x.size, *lines, *settings, block, x.size, work=work)
    if out is not None:
        return out
    return untransposed(block, order)


def leaky_relu(x, slope, out=None, *, work=NOW):
    """x where x > 0, slope x elsewhere."""
    return _each("leaky_relu_kernel", (x,), (slope,), out, work)


def leaky_relu_grad(x, g, slope, out=None, *, work=NOW):
    """g where x > 0, slope g elsewhere."""
    return _each("leaky_relu_grad_kernel", (x, g), (slope,), out, work)


def tanh(x, out=None, *, work=NOW):
    """tanh x."""
    return _each("tanh_kernel", (x,), (), out, work)


def exp(x, out=None, *, work=NOW):
    """e to the x."""
    return _each("exp_kernel", (x,), (), out, work)


def sigmoid(x, out=None, *, work=NOW):
    """1 / (1 + exp(-x))."""
    return _each("sigmoid_kernel", (x,), (), out, work)


def tanh_grad(y, g, out=None, *, work=NOW):
    """g (1 - y^2), for y = tanh x."""
    return _each("tanh_grad_kernel", (y, g), (), out, work)
