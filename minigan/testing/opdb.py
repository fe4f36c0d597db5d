"""The op table: one row or more for every public op. See `opcase` for what a row says."""

from __future__ import annotations

from difflib import get_close_matches

from . import table_activations as optable_activations
from . import table_conv as optable_conv
from . import table_elementwise as optable_elementwise
from . import table_image as optable_image
from . import table_losses as optable_losses
from . import table_norm as optable_norm
from . import table_reduce as optable_reduce
from . import table_select as optable_select
from . import table_shape as optable_shape
from . import table_values as optable_values
from . import table_views as optable_views
from .opcase import BadCall, OpCase, Sample, Values, call

__all__ = ["TABLE", "BadCall", "OpCase", "Sample", "Values", "call", "cases"]

TABLE: dict[str, OpCase] = {
    case.name: case
    for part in (
        *(optable_elementwise, optable_shape, optable_views, optable_select, optable_reduce, optable_values),
        *(optable_conv, optable_image, optable_activations, optable_norm, optable_losses),
    )
    for case in part.CASES
}


def cases(op: str | None = None) -> list[OpCase]:
    """The rows of one op ("conv2d", or a single row such as "batch_norm.eval"), or all. Raises ValueError for an
    unknown name."""
    rows = [case for case in TABLE.values() if op in (None, case.name, case.op)]
    if not rows:
        nearest = get_close_matches(str(op), [*TABLE, *(c.op for c in TABLE.values())], 1, 0)
        raise ValueError(f"unknown op {op!r}; the nearest is {nearest[0]!r}, and `minigan ops` lists all")
    return rows
