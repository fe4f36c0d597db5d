"""Machine room, layers: normalisation, by the names, arguments and defaults of torch.nn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from .. import functional as F
from .._array import sealed
from ..autograd import Tensor, in_place
from ..backend import int64
from ..creation import ones, zeros
from ..ops.across import Group, batch_norm_across
from .module import Layer, Module, Parameter


class BatchNorm2d(Layer):
    """Batch normalisation per channel of (N, C) or (N, C, ...); see `functional.batch_norm`.

    While `frozen_statistics(module)` is active, training mode still uses the batch's statistics but moves no running
    ones. With a `group` (see ops/across.py) the batch is one part of it, and the statistics are all parts'.
    """

    weight: Parameter | None
    bias: Parameter | None
    group: Group | None = None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        super().__init__()
        self.num_features, self.eps, self.momentum, self.moves_statistics = num_features, eps, momentum, True
        self.register_parameter("weight", Parameter(ones(num_features)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features)) if affine else None)
        tracked = track_running_stats
        self.register_buffer("running_mean", sealed(zeros(num_features)) if tracked else None)
        self.register_buffer("running_var", sealed(ones(num_features)) if tracked else None)
        self.register_buffer("num_batches_tracked", zeros(dtype=int64) if tracked else None)

    def forward(self, x: Tensor) -> Tensor:
        batch_statistics = self.training or self.running_mean is None
        moves = self.training and self.moves_statistics and self.running_mean is not None
        if moves:
            in_place(_count, [self.num_batches_tracked])  # type: ignore[list-item]  # it is there: see `moves`
        running = (self.running_mean, self.running_var) if moves or not batch_statistics else (None, None)
        momentum = self.momentum
        if momentum is None and moves:  # torch's meaning: the plain average over all batches so far
            momentum = 1 / self.num_batches_tracked.item()  # type: ignore[union-attr]  # so here
        if self.group is not None and batch_statistics:
            return batch_norm_across(x, running, self.weight, self.bias, momentum or 0.0, self.eps, self.group)
        return F.batch_norm(x, *running, self.weight, self.bias, batch_statistics, momentum or 0.0, self.eps)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode, whether running statistics move, and its numbers."""
        return self.training, self.moves_statistics, self.momentum, self.eps, self.group

    def extra_repr(self) -> str:
        absent = "" if self.weight is not None else ", affine=False"
        absent += "" if self.running_mean is not None else ", track_running_stats=False"
        return f"{self.num_features}, eps={self.eps}, momentum={self.momentum}{absent}"


def _count(batches: np.ndarray) -> None:
    batches += 1


class BatchNorm1d(BatchNorm2d):
    """Batch normalisation of (N, C) or (N, C, L)."""


@contextmanager
def frozen_statistics(module: Module) -> Iterator[None]:
    """Within it, no batch-norm layer inside `module` moves its running statistics: for a penalty pass, for example."""
    layers = [m for m in module.modules() if isinstance(m, BatchNorm2d) and m.moves_statistics]
    for layer in layers:
        layer.moves_statistics = False
    try:
        yield
    finally:
        for layer in layers:
            layer.moves_statistics = True


class InstanceNorm2d(Layer):
    """Normalisation per sample and channel; no parameters unless affine."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, num_features: int, eps: float = 1e-5, affine: bool = False) -> None:
        super().__init__()
        self.num_features, self.eps = num_features, eps
        self.register_parameter("weight", Parameter(ones(num_features)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_features)) if affine else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.instance_norm(x, weight=self.weight, bias=self.bias, eps=self.eps)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode and eps."""
        return self.training, self.eps

    def extra_repr(self) -> str:
        return f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}"


class LayerNorm(Layer):
    """Normalisation over the last axes, of sizes normalized_shape."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        affine = elementwise_affine
        self.register_parameter("weight", Parameter(ones(self.normalized_shape)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(self.normalized_shape)) if affine else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode, axes and eps."""
        return self.training, self.normalized_shape, self.eps

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"


class GroupNorm(Layer):
    """Normalisation of (N, C, ...) per sample and group of C / num_groups channels; see `functional.group_norm`."""

    weight: Parameter | None
    bias: Parameter | None

    def __init__(self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: num_groups {num_groups} must divide num_channels {num_channels}")
        self.num_groups, self.num_channels, self.eps = num_groups, num_channels, eps
        self.register_parameter("weight", Parameter(ones(num_channels)) if affine else None)
        self.register_parameter("bias", Parameter(zeros(num_channels)) if affine else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode, groups and eps."""
        return self.training, self.num_groups, self.eps

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.weight is not None}"


class RMSNorm(Layer):
    """Division by the root of the mean square over the last axes; see `functional.rms_norm`."""

    weight: Parameter | None

    def __init__(
        self, normalized_shape: int | tuple[int, ...], eps: float | None = None, elementwise_affine: bool = True
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.register_parameter("weight", Parameter(ones(self.normalized_shape)) if elementwise_affine else None)

    def forward(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def captured_state(self) -> tuple[object, ...]:
        """Its mode, axes and eps."""
        return self.training, self.normalized_shape, self.eps

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.weight is not None}"
