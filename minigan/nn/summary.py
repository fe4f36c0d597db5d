"""What the layers of a network make of their inputs: a table for people (`minigan train -n`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

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


def summary(network: Module, call: Callable[[], object]) -> list[LayerRow]:
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
    return list(rows.values())
