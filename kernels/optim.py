"""Machine room, kernels: optimiser steps, each one pass over memory, in place on all parameters p and their states.

The formulas are those of torch.optim: SGD; RMSprop (Hinton's lecture 6e); Adam (Kingma and Ba 2015,
algorithm 1); AdamW (Loshchilov and Hutter 2019, algorithm 2). `Flat.clip` is WGAN's constraint on the critic's weights
(Arjovsky et al. 2017, algorithm 1), over the same table.

`Flat` treats many arrays as one long vector without moving them: a table lists pieces of at most CHUNK
numbers by their addresses, and one parallel loop over the table is the whole step. Most parameters
are small, so that one loop for each would mostly start and stop threads. `sgd`, `rmsprop` and `adam`
are the same for a single p.

p is a contiguous array or a permuted view of one, and its state arrays lie in memory as p does
(np.zeros_like(p)); the gradient g lies as it likes. All have one shape and dtype, ValueError
otherwise. Scalars are worked out in float64 and rounded once to the dtype of p.
"""

import weakref
from collections.abc import Sequence

import numpy as np
from numba import carray, prange, types
from numba.extending import intrinsic

from minigan.kernels.layout import memory_order, writable
from minigan.kernels.load import njit
from minigan.kernels.work import Array, kernels_of

CHUNK = 16384
"""Parameters in a task, and the number above which a second thread pays."""

LENGTH, P, GRADIENT, FIRST_STATE = range(4)
"""Columns of a table: the length of a piece; the addresses of its parameters, its gradients, its states."""


@intrinsic
def _pointer(typing, address, like):
    """The int64 `address` as a pointer to numbers of the dtype of `like`."""

    def codegen(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(address, like), codegen


@njit
def _piece(table, q, column, like):
    """Piece q of the arrays of a column, as an array; empty where the table has no such column."""
    if column >= table.shape[1]:
        return like
    return carray(_pointer(table[q, column], like), (table[q, LENGTH],))


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


@njit
def _sgd_pieces(table, lo, hi, like, scalars):
    for q in range(lo, hi):
        p, g = _piece(table, q, P, like), _piece(table, q, GRADIENT, like)
        _sgd(p, g, _piece(table, q, FIRST_STATE, like), *scalars)


@njit(parallel=True)
def _sgd_all(table, like, scalars):
    for q in prange(table.shape[0]):
        _sgd_pieces(table, q, q + 1, like, scalars)


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


@njit
def _rmsprop_pieces(table, lo, hi, like, scalars):
    for q in range(lo, hi):
        p, g = _piece(table, q, P, like), _piece(table, q, GRADIENT, like)
        sq, buf = _piece(table, q, FIRST_STATE, like), _piece(table, q, FIRST_STATE + 1, like)
        _rmsprop(p, g, sq, buf, *scalars)


@njit(parallel=True)
def _rmsprop_all(table, like, scalars):
    for q in prange(table.shape[0]):
        _rmsprop_pieces(table, q, q + 1, like, scalars)


@njit
def _adam(p, g, m, v, rate, scale, rest1, beta2, rest2, eps, weight_decay, shrink):
    for i in range(p.size):
        d = g[i] + weight_decay * p[i]
        m[i] += rest1 * (d - m[i])
        v[i] = beta2 * v[i] + rest2 * d * d
        p[i] = shrink * p[i] - rate * m[i] / (scale * np.sqrt(v[i]) + eps)


@njit
def _adam_pieces(table, lo, hi, like, scalars):
    for q in range(lo, hi):
        p, g = _piece(table, q, P, like), _piece(table, q, GRADIENT, like)
        m, v = _piece(table, q, FIRST_STATE, like), _piece(table, q, FIRST_STATE + 1, like)
        _adam(p, g, m, v, *scalars)


@njit(parallel=True)
def _adam_all(table, like, scalars):
    for q in prange(table.shape[0]):
        _adam_pieces(table, q, q + 1, like, scalars)


@njit
def _clip(p, bound):
    for i in range(p.size):
        p[i] = -bound if p[i] < -bound else bound if p[i] > bound else p[i]


@njit
def _clip_pieces(table, lo, hi, like, bound):
    for q in range(lo, hi):
        _clip(_piece(table, q, P, like), bound)


@njit(parallel=True)
def _clip_all(table, like, bound):
    for q in prange(table.shape[0]):
        _clip_pieces(table, q, q + 1, like, bound)


def _check(p: Array, array: Array) -> None:
    if array.shape != p.shape or array.dtype != p.dtype:
        raise ValueError(f"optim: parameter {p.dtype} {p.shape}, its state or g {array.dtype} {array.shape}")


class Steps:
    """The three steps: what each multiplies by, worked out in float64. `_step(name, gradients, number of states,
    *scalars)` runs the loop of that name, on the CPU or on a device, once `require` has counted the states."""

    states: tuple[tuple[Array, ...], ...]

    def require(self, name: str, count: int) -> None:
        """Raises ValueError where there are fewer kinds of state than a step reads."""
        if len(self.states) < count:
            raise ValueError(f"optim: {name} reads {count} states of each parameter, there are {len(self.states)}")

    def sgd(
        self,
        grads: Sequence[Array],
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        first: bool,
    ) -> None:
        """p -= lr buf, with d = g + weight_decay p and buf = momentum buf + (1 - dampening) d.

        On the first step buf = d. With nesterov, p -= lr (d + momentum buf). With momentum = 0, p -= lr d, and buf is
        left alone and may be absent.
        """
        if momentum == 0:
            self._step("sgd", grads, 0, lr, weight_decay, 0, 0, 0, 0)
            return
        self.require("sgd", 1)
        if first:
            for buf in self.states[0]:
                buf.fill(0)
        fresh = 1 if first else 1 - dampening
        look_ahead, follow = (1, momentum) if nesterov else (0, 1)
        self._step("sgd", grads, 1, lr, weight_decay, momentum, fresh, look_ahead, follow)

    def rmsprop(
        self,
        grads: Sequence[Array],
        lr: float,
        alpha: float,
        eps: float,
        weight_decay: float,
        momentum: float,
    ) -> None:
        """p -= lr buf, with buf = momentum buf + d / (sqrt(sq) + eps),

        d = g + weight_decay p and sq = alpha sq + (1 - alpha) d^2; the states are sq, buf. With momentum = 0, buf is
        left alone and may be absent.
        """
        self._step("rmsprop", grads, 1 + (momentum > 0), lr, alpha, 1 - alpha, eps, weight_decay, momentum)

    def adam(
        self,
        grads: Sequence[Array],
        lr: float,
        beta1: float,
        beta2: float,
        eps: float,
        step: int,
        weight_decay: float,
        decoupled: bool,
    ) -> None:
        """p -= lr m / (1 - beta1^step) / (sqrt(v / (1 - beta2^step)) + eps), for step = 1, 2, ...,

        with m = beta1 m + (1 - beta1) d and v = beta2 v + (1 - beta2) d^2, the states. In Adam, d adds weight_decay p
        to g; in AdamW (decoupled), d = g, and p first loses lr weight_decay p.
        """
        rate = lr / (1 - beta1**step)
        scale = (1 - beta2**step) ** -0.5
        decay, shrink = (0, 1 - lr * weight_decay) if decoupled else (weight_decay, 1)
        self._step("adam", grads, 2, rate, scale, 1 - beta1, beta2, 1 - beta2, eps, decay, shrink)


class Flat(Steps):
    """Parameters, and the state arrays that belong to them, as one vector that a step updates at once.

    params: arrays of one dtype; states: for each kind of state, its arrays in the order of params. They are kept, and
    must not move. A step takes the gradients in the same order; if they are the arrays of the step before, their
    addresses are not looked up again.
    """

    def __new__(cls, params: Sequence[Array], *states: Sequence[Array]):
        if params and not isinstance(params[0], Array):
            return kernels_of(params[0]).optim.Flat(params, *states)
        return super().__new__(cls)

    def __init__(self, params: Sequence[Array], *states: Sequence[Array]) -> None:
        self.params, self.states = tuple(params), tuple(map(tuple, states))
        self.orders = [memory_order(p) for p in self.params]
        self.like = np.empty(0, self.params[0].dtype if self.params else np.float32)
        for p, *own in zip(self.params, *self.states, strict=True):
            for array in own:
                _check(p, array)
            if p.dtype != self.like.dtype:
                raise ValueError(f"optim: parameters of one step differ in dtype: {self.like.dtype} and {p.dtype}")
        sizes = np.array([p.size for p in self.params], np.int64)
        pieces = -(-sizes // CHUNK)
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.owner = np.repeat(np.arange(len(sizes)), pieces)
        self.offset = number * CHUNK * self.like.itemsize
        self.serial = sizes.sum() <= CHUNK
        self.table = np.empty((len(number), FIRST_STATE + len(self.states)), np.int64)
        self.table[:, LENGTH] = np.minimum(sizes[self.owner] - number * CHUNK, CHUNK)
        columns = (P, *range(FIRST_STATE, self.table.shape[1]))
        for column, arrays in zip(columns, (self.params, *self.states), strict=True):
            self._enter(column, [writable(a, order) for a, order in zip(arrays, self.orders, strict=True)])
        self.grads: list[weakref.ref] = []
        self.copies: list[tuple[Array, int]] = []

    def __reduce__(self) -> tuple:
        """A copy has a table of its own: addresses hold for these arrays only."""
        return Flat, (self.params, *self.states)

    def _enter(self, column: int, arrays: list[Array]) -> None:
        """Writes into a column of the table where contiguous arrays lie."""
        addresses = np.array([a.__array_interface__["data"][0] for a in arrays], np.int64)
        self.table[:, column] = addresses[self.owner] + self.offset

    def _find(self, grads: Sequence[Array]) -> None:
        """Enters the gradients, and a buffer for each that does not lie in memory as its parameter does."""
        self.grads, self.copies, blocks = [], [], []
        for i, (p, g, order) in enumerate(zip(self.params, grads, self.orders, strict=True)):
            _check(p, g)
            block = g.transpose(order)
            if not block.flags.c_contiguous:
                block = np.empty(block.shape, block.dtype)
                self.copies.append((block, i))
            blocks.append(block)
        self._enter(GRADIENT, blocks)
        self.grads = [weakref.ref(g) for g in grads]

    def _step(self, name: str, grads: Sequence[Array], states: int, *scalars: float) -> None:
        """Runs a loop of LOOPS over the table, of whose states it uses the first few."""
        self.require(name, states)
        if len(grads) != len(self.grads) or not all(ref() is g for ref, g in zip(self.grads, grads, strict=True)):
            self._find(grads)
        for block, i in self.copies:
            np.copyto(block, grads[i].transpose(self.orders[i]))
        table = self.table
        if states < len(self.states):
            table = np.ascontiguousarray(table[:, : FIRST_STATE + states])
        rounded = tuple(map(self.like.dtype.type, scalars))
        serial, parallel = LOOPS[name]
        if self.serial:
            serial(table, 0, len(table), self.like, rounded)
        else:
            parallel(table, self.like, rounded)

    def clip(self, bound: float) -> None:
        """Every parameter is limited to [-bound, bound], in place; NaN stays NaN. States play no part."""
        table, c = np.ascontiguousarray(self.table[:, :GRADIENT]), self.like.dtype.type(bound)
        if self.serial:
            _clip_pieces(table, 0, len(table), self.like, c)
        else:
            _clip_all(table, self.like, c)


LOOPS = {
    "sgd": (_sgd_pieces, _sgd_all),
    "rmsprop": (_rmsprop_pieces, _rmsprop_all),
    "adam": (_adam_pieces, _adam_all),
}
"""(on one thread, on all) of each step."""


def sgd(p: Array, g: Array, buf: Array | None, *settings) -> None:
    """`Flat.sgd` of one parameter; buf may be None where momentum is 0."""
    states = () if buf is None else ([buf],)
    Flat([p], *states).sgd([np.asarray(g)], *settings)


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
    """`Flat.rmsprop` of one parameter; buf may be None where momentum is 0."""
    states = ([sq],) if buf is None else ([sq], [buf])
    Flat([p], *states).rmsprop([np.asarray(g)], lr, alpha, eps, weight_decay, momentum)


def adam(p: Array, g: Array, m: Array, v: Array, *settings) -> None:
    """`Flat.adam` of one parameter."""
    Flat([p], [m], [v]).adam([np.asarray(g)], *settings)
