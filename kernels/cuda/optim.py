"""Machine room, CUDA: launches of optim.cu, `Flat` with its three steps and clipping, as in `kernels/optim.py`.

The table of addresses is made on the CPU and copied to the device when the gradients lie elsewhere than the step
before; a copy to the device does not wait for it.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import numpy as np

from minigan.kernels.cuda.load import launch, module_of
from minigan.kernels.layout import memory_order
from minigan.kernels.optim import Steps

CHUNK = 4096
"""Parameters that one block updates."""

KERNELS = {"sgd": "sgd_kernel", "rmsprop": "rmsprop_kernel", "adam": "adam_kernel"}
"""The kernel of each step."""

LENGTH, P, GRADIENT, FIRST_STATE = range(4)


class Flat(Steps):
    """Parameters, and the state arrays that belong to them, as one vector that a step updates at once."""

    def __init__(self, params: Sequence, *states: Sequence) -> None:
        self.params, self.states = tuple(params), tuple(map(tuple, states))
        self.xp, self.dtype = module_of(self.params[0]), self.params[0].dtype
        self.orders = [memory_order(p) for p in self.params]
        for p, *own in zip(self.params, *self.states, strict=True):
            if p.dtype != self.dtype:
                raise ValueError(f"optim: parameters of one step differ in dtype: {self.dtype} and {p.dtype}")
            for array in own:
                self._check(p, array)
        sizes = np.array([p.size for p in self.params], np.int64)
        pieces = -(-sizes // CHUNK)
        number = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        self.owner = np.repeat(np.arange(len(sizes)), pieces)
        self.offset = number * CHUNK * self.dtype.itemsize
        self.table = np.zeros((len(number), FIRST_STATE + len(self.states)), np.int64)
        self.table[:, LENGTH] = np.minimum(sizes[self.owner] - number * CHUNK, CHUNK)
        for column, arrays in zip((P, *range(FIRST_STATE, 9)), (self.params, *self.states), strict=False):
            self._enter(column, [self._block(a, order) for a, order in zip(arrays, self.orders, strict=True)])
        self.grads: list[weakref.ref] = []
        self.blocks: list = []
        self.on_device: dict[int, object] = {}

    def __reduce__(self) -> tuple:
        return Flat, (self.params, *self.states)

    def _check(self, p, array) -> None:
        if array.shape != p.shape or array.dtype != p.dtype:
            raise ValueError(f"optim: parameter {p.dtype} {p.shape}, its state or g {array.dtype} {array.shape}")

    def _block(self, array, order):
        block = array.transpose(order)
        if not block.flags.c_contiguous:
            raise ValueError(f"optim: a parameter or state of shape {array.shape} is not contiguous")
        return block

    def _enter(self, column: int, arrays: list) -> None:
        addresses = np.array([a.data.ptr for a in arrays], np.int64)
        self.table[:, column] = addresses[self.owner] + self.offset

    def _step(self, name: str, grads: Sequence, states: int, *scalars: float) -> None:
        self.require(name, states)
        if len(grads) != len(self.grads) or not all(r() is g for r, g in zip(self.grads, grads, strict=True)):
            self.blocks, self.copies = [], []
            for p, g, order in zip(self.params, grads, self.orders, strict=True):
                self._check(p, g)
                block = g.transpose(order)
                if not block.flags.c_contiguous:
                    block = self.xp.empty(block.shape, block.dtype)
                    self.copies.append((block, weakref.ref(g), order))
                self.blocks.append(block)
            self._enter(GRADIENT, self.blocks)
            self.grads, self.on_device = [weakref.ref(g) for g in grads], {}
        for block, g, order in self.copies:
            self.xp.copyto(block, g().transpose(order))
        columns = FIRST_STATE + states
        if columns not in self.on_device:
            self.on_device[columns] = self.xp.asarray(np.ascontiguousarray(self.table[:, :columns]))
        arrays = (*self.params, *self.blocks, *(a for state in self.states[:states] for a in state))
        table = self.on_device[columns]
        size = (len(self.table),)
        launch(self.xp, "optim", KERNELS[name], self.dtype, size, table, columns, *scalars, reaches=arrays)

    def clip(self, bound) -> None:
        if GRADIENT not in self.on_device:
            self.on_device[GRADIENT] = self.xp.asarray(np.ascontiguousarray(self.table[:, :GRADIENT]))
        table = self.on_device[GRADIENT]
        arguments = (table, GRADIENT, bound)
        launch(self.xp, "optim", "clip_kernel", self.dtype, (len(self.table),), *arguments, reaches=self.params)
