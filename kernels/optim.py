"""Optimiser steps: one pass over memory, in place on a parameter p and its state arrays.

The formulas are those of torch.optim: SGD; RMSprop (Hinton's lecture 6e); Adam (Kingma and Ba 2015,
algorithm 1); AdamW (Loshchilov and Hutter 2019, algorithm 2).

p is a contiguous array or a permuted view of one, and its state arrays lie in memory as p does
(np.zeros_like(p)); the gradient g lies as it likes. All have one shape and dtype, ValueError
otherwise. Scalars are worked out in float64 and rounded once to the dtype of p.
"""

from collections.abc import Callable

import numpy as np
from numba import prange

from minigan.kernels.layout import Array, dense, memory_order, writable
from minigan.kernels.load import njit

CHUNK = 16384
"""Parameters in a task, and the number above which a second thread pays."""


def _run(
    kernels: tuple[Callable, Callable],
    p: Array,
    g: Array,
    states: tuple[Array | None, ...],
    *scalars: float,
) -> None:
    """Calls the (serial, parallel) kernel on flat lines in p's order; a state of None is empty."""
    order = memory_order(p)
    lines = [writable(p, order)]
    for array in (g, *states):
        if array is None:
            lines.append(lines[0][:0])
        elif array.shape != p.shape or array.dtype != p.dtype:
            raise ValueError(f"optim: parameter {p.dtype} {p.shape}, its state or g {array.dtype} {array.shape}")
        else:
            lines.append((dense if array is g else writable)(array, order))
    kernels[p.size > CHUNK](*lines, *(p.dtype.type(scalar) for scalar in scalars))


@njit
def _sgd(p, g, buf, lr, weight_decay, keep, fresh, look_ahead, follow):
    if buf.size == 0:
        for i in range(p.size):
            p[i] -= lr * (g[i] + weight_decay * p[i])
    else:
        for i in range(p.size):
            d = g[i] + weight_decay * p[i]
            buf[i] = keep * buf[i] + fresh * d
            p[i] -= lr * (look_ahead * d + follow * buf[i])


@njit(parallel=True)
def _sgd_chunks(p, g, buf, lr, weight_decay, keep, fresh, look_ahead, follow):
    for q in prange((p.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _sgd(p[at], g[at], buf[at], lr, weight_decay, keep, fresh, look_ahead, follow)


def sgd(
    p: Array,
    g: Array,
    buf: Array | None,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    first: bool,
) -> None:
    """p -= lr buf, with d = g + weight_decay p and buf = momentum buf + (1 - dampening) d.

    On the first step buf = d. With nesterov, p -= lr (d + momentum buf). With momentum = 0,
    p -= lr d; buf is left alone and may be None.
    """
    if momentum == 0:
        _run((_sgd, _sgd_chunks), p, g, (None,), lr, weight_decay, 0, 0, 0, 0)
        return
    if first:
        buf.fill(0)
    fresh = 1 if first else 1 - dampening
    look_ahead, follow = (1, momentum) if nesterov else (0, 1)
    scalars = (lr, weight_decay, momentum, fresh, look_ahead, follow)
    _run((_sgd, _sgd_chunks), p, g, (buf,), *scalars)


@njit
def _rmsprop(p, g, sq, buf, lr, alpha, rest, eps, weight_decay, momentum):
    for i in range(p.size):
        d = g[i] + weight_decay * p[i]
        sq[i] = alpha * sq[i] + rest * d * d
        d /= np.sqrt(sq[i]) + eps
        if buf.size > 0:
            d += momentum * buf[i]
            buf[i] = d
        p[i] -= lr * d


@njit(parallel=True)
def _rmsprop_chunks(p, g, sq, buf, lr, alpha, rest, eps, weight_decay, momentum):
    for q in prange((p.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _rmsprop(p[at], g[at], sq[at], buf[at], lr, alpha, rest, eps, weight_decay, momentum)


def rmsprop(
    p: Array,
    g: Array,
    sq: Array,
    lr: float,
    alpha: float,
    eps: float,
    weight_decay: float,
    buf: Array | None,
    momentum: float,
) -> None:
    """p -= lr buf, with buf = momentum buf + d / (sqrt(sq) + eps),

    d = g + weight_decay p and sq = alpha sq + (1 - alpha) d^2. With momentum = 0, buf is left alone
    and may be None.
    """
    states = (sq, buf if momentum > 0 else None)
    scalars = (lr, alpha, 1 - alpha, eps, weight_decay, momentum)
    _run((_rmsprop, _rmsprop_chunks), p, g, states, *scalars)


@njit
def _adam(p, g, m, v, rate, scale, rest1, beta2, rest2, eps, weight_decay, shrink):
    for i in range(p.size):
        d = g[i] + weight_decay * p[i]
        m[i] += rest1 * (d - m[i])
        v[i] = beta2 * v[i] + rest2 * d * d
        p[i] = shrink * p[i] - rate * m[i] / (scale * np.sqrt(v[i]) + eps)


@njit(parallel=True)
def _adam_chunks(p, g, m, v, rate, scale, rest1, beta2, rest2, eps, weight_decay, shrink):
    for q in prange((p.size + CHUNK - 1) // CHUNK):
        at = slice(q * CHUNK, (q + 1) * CHUNK)
        _adam(p[at], g[at], m[at], v[at], rate, scale, rest1, beta2, rest2, eps, weight_decay, shrink)


def adam(
    p: Array,
    g: Array,
    m: Array,
    v: Array,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
    step: int,
    weight_decay: float,
    decoupled: bool,
) -> None:
    """p -= lr m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps), for step = 1, 2, ...,

    with m = beta1 m + (1 - beta1) d and v = beta2 v + (1 - beta2) d^2. In Adam, d adds
    weight_decay p to g; in AdamW (decoupled), d = g, and p first loses lr weight_decay p.
    """
    rate = lr / (1 - beta1**step)
    scale = (1 - beta2**step) ** -0.5
    decay, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
    scalars = (rate, scale, 1 - beta1, beta2, 1 - beta2, eps, decay, shrink)
    _run((_adam, _adam_chunks), p, g, (m, v), *scalars)
