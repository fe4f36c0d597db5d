"""Machine room, training: an average of the weights, which samples better than the weights themselves."""

from __future__ import annotations

import copy
from functools import partial

import numpy as np

from ..autograd import in_place
from ..nn.module import Module


class WeightAverage:
    """An exponential moving average of a module's weights: `module` is a copy that `update` moves towards the source.

    Update number t uses the factor min(decay, (1 + t) / (10 + t)), so the average forgets the first steps quickly.
    Buffers are copied.
    """

    def __init__(self, source: Module, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"WeightAverage: decay must be in [0, 1), got {decay}")
        self.decay, self.updates = decay, 0
        self.module = copy.deepcopy(source).requires_grad_(False)

    def update(self, source: Module) -> None:
        """Move the average one step towards the source's present weights."""
        averages, params = list(self.module.parameters()), list(source.parameters())
        in_place(partial(self._move, len(averages)), averages, params)
        for average, b in zip(self.module.buffers(), source.buffers(), strict=True):
            average.assign(b)

    def _move(self, count: int, *arrays: np.ndarray) -> None:
        # learn: weight-average begin
        self.updates += 1
        factor = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for average, p in zip(arrays[:count], arrays[count:], strict=True):
            average += (p - average) * p.dtype.type(1 - factor)
        # learn: weight-average end
