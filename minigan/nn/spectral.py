"""Machine room, layers: spectral normalisation, a layer's weight divided by its largest singular value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..autograd import Tensor, in_place, no_grad
from ..backend import Generator, namespace
from ..creation import empty
from ..ops.basic import sum_to
from ..ops.matmul import matmul
from ..ops.shape import permute, reshape
from . import init
from .conv import ConvTranspose2d
from .module import Module


@dataclass(frozen=True)
class Spectral:
    """A layer's weight made anew before its forward pass. name: of the weight; dim: its axis of outputs."""

    name: str
    dim: int
    iterations: int
    eps: float

    def matrix(self, w: Tensor) -> Tensor:
        """The weight with a row for each output."""
        axes = (self.dim, *(i for i in range(w.ndim) if i != self.dim))
        return reshape(permute(w, axes), (w.shape[self.dim], -1))

    def unit(self, vector: np.ndarray) -> np.ndarray:
        """The vector, of length 1."""
        xp = namespace(vector)
        return vector / xp.maximum(xp.sqrt((vector * vector).sum()), self.eps)

    def iterate(self, u: np.ndarray, v: np.ndarray, w: np.ndarray) -> None:
        """Power iteration, in place, towards the leading singular vectors of a matrix."""
        xp = namespace(w)
        for _ in range(self.iterations):
            v[...] = self.unit(xp.einsum("ij,i->j", w, u))
            u[...] = self.unit(xp.einsum("ij,j->i", w, v))

    def __call__(self, module: Module, args: tuple = ()) -> None:
        name = self.name
        w = self.matrix(getattr(module, f"{name}_orig"))
        u, v = getattr(module, f"{name}_u"), getattr(module, f"{name}_v")
        if module.training:
            in_place(self.iterate, [u, v], [w])
        # Copies: the graph must not see the next iteration's vectors.
        row, column = reshape(u.clone(), (1, -1)), reshape(v.clone(), (-1, 1))
        module._own(name, getattr(module, f"{name}_orig") / sum_to(matmul(matmul(row, w), column), ()))


def spectral_norm(
    module: Module,
    name: str = "weight",
    n_power_iterations: int = 1,
    eps: float = 1e-12,
    dim: int | None = None,
    *,
    generator: Generator | None = None,
) -> Module:
    """Divide the module's weight by its largest singular value sigma = u^T W v (Miyato et al. 2018), and return the
    module.

    u and v, drawn from `generator` (the default one if None), follow the leading singular vectors by power iteration in
    training; they are constants of the graph. As in torch.nn.utils.spectral_norm the trained parameter becomes
    `weight_orig`, beside the buffers `weight_u` and `weight_v`.
    """
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"spectral_norm: {type(module).__name__} has no parameter {name!r}")
    if n_power_iterations < 1:
        raise ValueError(f"spectral_norm: n_power_iterations must be at least 1, got {n_power_iterations}")
    dim = (1 if isinstance(module, ConvTranspose2d) else 0) if dim is None else dim

    refresh = Spectral(name, dim, n_power_iterations, eps)
    rows, columns = refresh.matrix(weight).shape
    del module._parameters[name]
    module.register_parameter(f"{name}_orig", weight)
    for letter, size in (("u", rows), ("v", columns)):
        start = init.normal_(empty(size, dtype=weight.dtype, device=weight.device), generator=generator)
        module.register_buffer(f"{name}_{letter}", Tensor(refresh.unit(start.data)))
    module.register_forward_pre_hook(refresh)
    with no_grad():
        refresh(module)
    return module
