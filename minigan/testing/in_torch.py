"""Derivatives beside PyTorch's, under the same random cotangents.

Both engines compute in float64, so that their numbers differ by the order of summation only: 1e-9 is the tolerance.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence

import numpy as np

from ..autograd import Tensor
from ..backend import host
from .derivatives import (
    Comparison,
    GradcheckError,
    array,
    comparison,
    cotangents,
    evaluate,
    home,
    name_of,
    sequence,
    wanted,
)

TORCH_TOLERANCE = 1e-9


def compare_with_torch(
    fn: Callable, torch_fn: Callable, inputs: Sequence[Tensor], order: int = 2, **options
) -> list[float]:
    """The worst errors of fn's value and derivatives, orders 0 to `order`, against PyTorch's of torch_fn.

    Arguments and errors as for `torch_errors`.
    """
    errors = (torch_errors(fn, torch_fn, inputs, level, **options) for level in range(order + 1))
    return [max(level, default=0.0) for level in errors]


def torch_errors(fn: Callable, torch_fn: Callable, inputs: Sequence[Tensor], order: int, **options) -> list[float]:
    """The errors, against PyTorch under the same random cotangents, of each output of fn (order 0) or of its derivative
    by each input that requires a gradient.

    torch_fn takes torch tensors. Raises GradcheckError where they differ, ModuleNotFoundError without PyTorch.
    """
    comparisons = torch_comparisons(fn, torch_fn, inputs, order, **options)
    for _, failure in comparisons:
        if failure:
            raise failure
    return [error for error, _ in comparisons]


def torch_comparisons(
    fn: Callable,
    torch_fn: Callable,
    inputs: Sequence[Tensor],
    order: int,
    *,
    atol: float = TORCH_TOLERANCE,
    rtol: float = TORCH_TOLERANCE,
    seed: int = 0,
    name: str | None = None,
) -> list[Comparison]:
    """Each output or derivative of `torch_errors` beside PyTorch's.

    Raises GradcheckError where their number or shapes differ, ModuleNotFoundError without PyTorch.
    """
    name = name or name_of(fn)
    arrays, positions = [host(x.data) for x in inputs], wanted(inputs)
    with home(inputs):
        ours = evaluate(fn, dict(enumerate(arrays)), positions, order, seed)[0]
    theirs = torch_derivatives(torch_fn, arrays, positions, order, seed)
    if len(ours) != len(theirs):
        raise GradcheckError(f"{name}: {len(ours)} outputs, PyTorch has {len(theirs)}", order)
    comparisons = []
    for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        i = positions[k] if order else k
        a, b = array(a), array(b)
        a = np.zeros(() if b is None else b.shape) if a is None else a
        b = np.zeros(a.shape) if b is None else b
        if a.shape != b.shape:
            raise GradcheckError(f"{name}: shape {a.shape} at order {order}, PyTorch has {b.shape}", order, i)
        comparisons.append(comparison(name, order, i, a, b, atol, rtol, "PyTorch says"))
    return comparisons


def torch_derivatives(
    torch_fn: Callable, arrays: Sequence[np.ndarray], positions: Sequence[int], order: int, seed: int = 0
) -> list:
    """The same phi_order, by PyTorch: a list of torch tensors or None. `wanted` are the positions differentiated by."""
    import torch

    # Negative strides are no torch tensor's, so everything is copied.
    leaves = [torch.tensor(np.array(a, order="C")) for a in arrays]
    for i in positions:
        leaves[i].requires_grad_()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's advice on speed is not about us
        values = sequence(torch_fn(*leaves), torch.Tensor)
    for level in range(1, order + 1):
        values = [y if y is None or y.is_floating_point() else None for y in values]
        rows = cotangents(values, level, seed)
        pairs = [
            (y, torch.as_tensor(u, dtype=y.dtype))
            for y, u in zip(values, rows, strict=True)
            if y is not None and y.requires_grad
        ]
        if not pairs:
            return [None] * len(positions)
        outputs, seeds = zip(*pairs, strict=True)
        values = list(
            torch.autograd.grad(outputs, [leaves[i] for i in positions], seeds, create_graph=True, allow_unused=True)
        )
    return [None if y is None else y.detach() for y in values]
