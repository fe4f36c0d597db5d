"""Machine room, layers: limits to gradients and weights, parameters as one vector, by the names of torch.nn.utils."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np

from minigan import kernels
from minigan.kernels.layout import dense, memory_order

from ..autograd import Op, Tensor, in_place, no_grad
from ..backend import namespace
from ..ops.basic import cast, isfinite
from ..ops.elementary import clip, minimum, sqrt
from ..ops.index import cat, stack
from ..ops.reduce import norm
from .spectral import spectral_norm as spectral_norm
from .weight_norm import weight_norm as weight_norm

if TYPE_CHECKING:
    from minigan.kernels.optim import Flat

PIECE = 16384
"""Numbers of a gradient that are squared at a time: so many in float64 stay in a core's cache."""


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by one factor so that their joint norm is at most max_norm; returns the norm before, a
    float64 tensor of no axes. norm_type: 2, another positive number, or infinity.

    error_if_nonfinite: ValueError, changing nothing, for a norm that is NaN or infinite. foreach changes nothing.
    """
    params = [p for p in _listed(parameters) if p.grad is not None]
    with no_grad():
        if norm_type == 2:
            total = grad_norm([p.grad for p in params])
        else:
            norms = [norm(cast(p.grad, np.float64), norm_type) for p in params]  # type: ignore[arg-type]
            total = norm(stack(norms), norm_type) if norms else Tensor(np.zeros(()))
        if error_if_nonfinite and not isfinite(total):
            raise ValueError(f"clip_grad_norm_: the norm of the gradients is {total.item()}")
        scale = minimum(max_norm / (total + 1e-6), 1.0)
        for p in params:
            p.grad = p.grad * cast(scale, p.dtype)  # type: ignore[operator]  # it is not None: see `params`
    return total


def _listed(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def grad_norm(gradients: Iterable[Tensor | None]) -> Tensor:
    """The joint Euclidean norm of all gradients, summed in float64: a float64 tensor of no axes."""
    squares = [SquaredSum()(g) for g in gradients if g is not None]
    total = squares[0] if squares else Tensor(np.zeros((), np.float64))
    for square in squares[1:]:
        total = total + square
    return sqrt(total)


class SquaredSum(Op):
    """The sum of squares of all elements in float64; not differentiable."""

    name, differentiable = "squared_sum", False

    def forward(self, x: np.ndarray) -> np.ndarray:
        xp = namespace(x)
        if xp is not np:
            return xp.asarray(xp.square(x.astype(np.float64)).sum())
        line = dense(x)
        pieces = (line[i : i + PIECE].astype(np.float64) for i in range(0, line.size, PIECE))
        return np.asarray(sum(np.square(piece, out=piece).sum() for piece in pieces), np.float64)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Limit every element of every gradient to [-clip_value, clip_value]. foreach changes nothing."""
    for p in _listed(parameters):
        if p.grad is not None:
            p.grad = clip(p.grad, -clip_value, clip_value)


def clip_weights_(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Limit every weight to [-clip_value, clip_value], in place: WGAN's constraint, applied after the step (Arjovsky et
    al. 2017)."""
    if not clip_value > 0:
        raise ValueError(f"clip_weights_: the bound must be positive, got {clip_value}")
    by_dtype: dict[np.dtype, list[Tensor]] = {}
    for p in parameters:
        by_dtype.setdefault(p.dtype, []).append(p)
    for params in by_dtype.values():
        in_place(_clipping(clip_value), params)


def _clipping(bound: float) -> Callable[..., None]:
    """A kernel for `in_place`: limits all arrays by one pass over their flat list, which it keeps."""
    flat: list[Flat] = []

    def clip_all(*arrays: np.ndarray) -> None:
        if not flat:
            flat.append(kernels.optim.Flat([gapless(p) for p in arrays]))
        for p, block in zip(arrays, flat[0].params, strict=True):
            if block is not p:
                block[...] = p
        flat[0].clip(bound)
        for p, block in zip(arrays, flat[0].params, strict=True):
            if block is not p:
                p[...] = block

    return clip_all


def gapless(array: np.ndarray) -> np.ndarray:
    """An array that lies in memory without gaps, its axes in any order: itself, or a copy."""
    lies_so = array.transpose(memory_order(array)).flags.c_contiguous
    return array if lies_so else namespace(array).ascontiguousarray(array)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """All parameters along one axis, on the graph."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Overwrite the parameters with what `parameters_to_vector` made of such. Raises ValueError for another length."""
    parameters = list(parameters)
    sizes = [p.numel() for p in parameters]
    if vec.shape != (np.sum(sizes, dtype=int),):
        raise ValueError(f"vector_to_parameters: a vector of shape {vec.shape} for {np.sum(sizes, dtype=int)} numbers")
    with no_grad():
        for p, part in zip(parameters, vec.split(sizes), strict=True):
            p.assign(part.reshape(p.shape))
