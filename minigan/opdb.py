"""The op table: one row or more for every public op. See `opcase` for what a row says."""

from __future__ import annotations

from . import optable_conv, optable_elementwise, optable_losses, optable_nn, optable_reduce, optable_shape
from .opcase import BadCall, OpCase, Sample, Values, call

__all__ = ["TABLE", "BadCall", "OpCase", "Sample", "Values", "call", "cases"]

TABLE: dict[str, OpCase] = {
    case.name: case
    for part in (optable_elementwise, optable_shape, optable_reduce, optable_conv, optable_nn, optable_losses)
    for case in part.CASES
}


def cases(op: str | None = None) -> list[OpCase]:
    """The rows of one op ("conv2d", or a single row such as "batch_norm.eval"), or all. Raises ValueError for an
    unknown name."""
    found = [case for case in TABLE.values() if op in (None, case.name, case.op)]
    if not found:
        raise ValueError(f"unknown op {op!r}; known: {', '.join(sorted({c.op for c in TABLE.values()}))}")
    return found
