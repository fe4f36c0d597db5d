"""Machine room, layers: weight normalisation, a layer's weight as a length times a direction."""

from __future__ import annotations

from ..autograd import Tensor, no_grad
from ..ops.reduce import safe_norm
from .module import Module, Parameter


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

    def length(v: Tensor) -> Tensor:
        return safe_norm(v, axes, keepdim=dim is not None)

    def refresh(module: Module, args: tuple = ()) -> None:
        g, v = getattr(module, f"{name}_g"), getattr(module, f"{name}_v")
        module._own(name, v * (g / length(v)))

    with no_grad():
        start = length(weight)
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(start))
    module.register_parameter(f"{name}_v", weight)
    module.register_forward_pre_hook(refresh)
    with no_grad():
        refresh(module)
    return module
