"""What the layers of a network make of their inputs: a table for people (`minigan summary`, `minigan train -n`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .. import _html
from ..autograd import Tensor
from .module import Module


@dataclass(frozen=True)
class LayerRow:
    """name: where the layer is in its network. layer: its repr. shape: of its output, the batch first. parameters: how
    many numbers it trains."""

    name: str
    layer: str
    shape: tuple[int, ...]
    parameters: int


class Summary(list[LayerRow]):
    """Rows of layers; printed, or shown by a notebook, as a table with a line of totals."""

    def __str__(self) -> str:
        lines = [f"{row.name:<20} {short(row.layer):<62} {_size(row):>16} {row.parameters:>11,}" for row in self]
        return "\n".join([*lines, f"{self.parameters:,} parameters"])

    def _repr_html_(self) -> str:
        rows = [(row.name, row.layer, row.shape, f"{row.parameters:,}") for row in self]
        return _html.table(("name", "layer", "output", "parameters"), rows, f"{self.parameters:,} parameters")

    @property
    def parameters(self) -> int:
        """Of all rows together."""
        return sum(row.parameters for row in self)


def _size(row: LayerRow) -> str:
    return "x".join(map(str, row.shape)) or "one number"


def short(layer: str) -> str:
    """A layer's repr, its pairs as 4x4, in at most 62 characters."""
    line = re.sub(r"\((\d+), (\d+)\)", r"\1x\2", layer.replace("kernel_size=", "").replace(", groups=1", ""))
    return line if len(line) <= 62 else line[:59] + "..."


def summary(network: Module, call: Callable[[], object]) -> Summary:
    """A row for each layer of `network` that works while `call()` runs, in the order of their first outputs.

    A layer is a module without modules inside it, or with parameters of its own.
    """
    rows: dict[str, LayerRow] = {}

    def watch(name: str, module: Module) -> None:
        forward = module.forward

        def forward_and_note(*args: Any, **kwargs: Any) -> Any:
            outputs = forward(*args, **kwargs)
            first = outputs if isinstance(outputs, Tensor) else outputs[0]
            own = sum(p.data.size for p in module._parameters.values() if p is not None)
            rows.setdefault(name, LayerRow(name, repr(module).splitlines()[0].rstrip("("), first.shape, own))
            return outputs

        module._own("forward", forward_and_note)

    layers = {n: m for n, m in network.named_modules() if m._parameters or not any(True for _ in m.children())}
    for name, module in layers.items():
        watch(name, module)
    try:
        call()
    finally:
        for module in layers.values():
            del module.__dict__["forward"]
    return Summary(rows.values())
