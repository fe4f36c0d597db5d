"""Activations and their derivatives, element by element: one read of each operand, one write.

    leaky_relu(x) = x where x > 0, slope x elsewhere;    its vjp: g where x > 0, slope g elsewhere.
    tanh(x) = y;                                         its vjp: g (1 - y^2).

slope = 0 is ReLU, chosen and not multiplied: 0 * -inf would be NaN. As in PyTorch, ReLU of NaN is
NaN, and its vjp there is g. The operands of one call have one shape and dtype; results have the
memory order of x. `out` may be x itself.
"""

import numpy as np
from numba import prange

from minigan.kernels.layout import Array, elementwise
from minigan.kernels.load import njit

CHUNK = 32768
"""Elements in a task, and the size above which a second thread pays."""


@njit
def _leaky_relu(x, slope, out):
    if slope == 0:
        for i in range(x.size):
            out[i] = slope if x[i] <= 0 else x[i]
    else:
        for i in range(x.size):
            out[i] = x[i] if x[i] > 0 else slope * x[i]


@njit(parallel=True)
def _leaky_relu_chunks(x, slope, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _leaky_relu(x[at], slope, out[at])


def leaky_relu(x: Array, slope: float, out: Array | None = None) -> Array:
    """x where x > 0, slope * x elsewhere."""
    out, line, x_line = elementwise(x, out=out)
    kernel = _leaky_relu if x.size <= CHUNK else _leaky_relu_chunks
    kernel(x_line, x.dtype.type(slope), line)
    return out


@njit
def _leaky_relu_grad(x, g, slope, out):
    if slope == 0:
        for i in range(x.size):
            out[i] = slope if x[i] <= 0 else g[i]
    else:
        for i in range(x.size):
            out[i] = g[i] if x[i] > 0 else slope * g[i]


@njit(parallel=True)
def _leaky_relu_grad_chunks(x, g, slope, out):
    for q in prange((x.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _leaky_relu_grad(x[at], g[at], slope, out[at])


def leaky_relu_grad(x: Array, g: Array, slope: float, out: Array | None = None) -> Array:
    """g where x > 0, slope * g elsewhere: the derivative along g, linear in g."""
    out, line, x_line, g_line = elementwise(x, g, out=out)
    kernel = _leaky_relu_grad if x.size <= CHUNK else _leaky_relu_grad_chunks
    kernel(x_line, g_line, x.dtype.type(slope), line)
    return out


def tanh(x: Array, out: Array | None = None) -> Array:
    """tanh(x), by NumPy, whose vectorised tanh is several times faster than any Numba can call."""
    out, line, x_line = elementwise(x, out=out)
    np.tanh(x_line, out=line)
    return out


@njit
def _tanh_grad(y, g, out):
    for i in range(y.size):
        out[i] = g[i] - g[i] * y[i] * y[i]


@njit(parallel=True)
def _tanh_grad_chunks(y, g, out):
    for q in prange((y.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _tanh_grad(y[at], g[at], out[at])


def tanh_grad(y: Array, g: Array, out: Array | None = None) -> Array:
    """g (1 - y^2), where y = tanh(x) is the output."""
    out, line, y_line, g_line = elementwise(y, g, out=out)
    kernel = _tanh_grad if y.size <= CHUNK else _tanh_grad_chunks
    kernel(y_line, g_line, line)
    return out
