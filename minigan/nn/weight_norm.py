"""Machine room, layers: weight normalisation, a layer's weight as a length times a direction."""

from __future__ import annotations

from dataclasses import dataclass

from ..autograd import Tensor, no_grad
from ..ops.reduce import safe_norm
from .module import Module, Parameter


@dataclass(frozen=True)
class LengthAndDirection:
    """A layer's weight made anew before its forward pass. name: of the weight; axes: of the norm."""

    name: str
    axes: tuple[int, ...]
    keepdim: bool

    def length(self, v: Tensor) -> Tensor:
        """The norm of the slices of v."""
        return safe_norm(v, self.axes, keepdim=self.keepdim)

    def __call__(self, module: Module, args: tuple = ()) -> None:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        module._own(self.name, v * (g / self.length(v)))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Train the module's weight as w = g v / ||v|| (Salimans & Kingma 2016), and return the module.

    The norm is over all axes but `dim`, one for each slice along it; over all with None. As in
    torch.nn.utils.weight_norm, parameters `weight_g` and `weight_v` take the weight's place. Raises ValueError where
    the module has no such parameter, IndexError for an axis that it lacks.
    """
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"weight_norm: {type(module).__name__} has no parameter {name!r}")
    if dim is not None and not -weight.ndim <= dim < weight.ndim:
        raise IndexError(f"weight_norm: dimension {dim} is out of range for {name} of shape {weight.shape}")
    axes = tuple(i for i in range(weight.ndim) if dim is None or i != dim % weight.ndim)
    refresh = LengthAndDirection(name, axes, dim is not None)
    with no_grad():
        start = refresh.length(weight)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(start))
    module.register_parameter(f"{name}_v", weight)
    module.register_forward_pre_hook(refresh)
    with no_grad():
        refresh(module)
    return module
