"""Networks for points in the plane: leaky-ReLU perceptrons, PacGAN's published pair, and a critic that judges samples
together.

    leaky       G: z (N, L) -> depth x [width, leaky-ReLU] -> 2;      D: (N, 2 m) -> depth x [width, leaky-ReLU] -> 1
    published   G: z (N, 2) -> 4 x [400, batch norm, ReLU] -> 2;      D: (N, 2 m) -> 3 x [200, maxout of 5] -> 1
                weights normal(0, 0.02), biases zero   (Lin et al. 2018, section 4.1, after Dumoulin 2017)

m samples are packed into one critic input (PacGAN); m = 1 without packing. Minibatch discrimination (Salimans et al.
2016, section 3.2) joins to the last features h of each sample how near it is to its batch-mates:

    M_i = h_i T, (kernels, dims);    o_ib = sum_j exp(-||M_ib - M_jb||_1) - 1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .. import init, nn
from ..autograd import Tensor
from ..backend import Generator
from ..ops_basic import exp
from ..ops_reduce import sum
from ..ops_shape import cat

SLOPE = 0.2


class MinibatchDiscrimination(nn.Module):
    """Features (N, F) to (N, F + kernels): nearness to the rest of the batch joined to each sample's own features."""

    def __init__(self, features: int, kernels: int = 16, dims: int = 4, generator: Generator | None = None) -> None:
        super().__init__()
        self.kernels, self.dims = kernels, dims
        self.weight = nn.Linear(features, kernels * dims, bias=False)
        init.normal_(self.weight.weight, 0.0, features**-0.5, generator)

    def forward(self, h: Tensor) -> Tensor:
        n = h.shape[0]
        m = self.weight(h).reshape(n, self.kernels, self.dims)
        apart = abs(m.reshape(n, 1, self.kernels, self.dims) - m.reshape(1, n, self.kernels, self.dims))
        return cat([h, sum(exp(-sum(apart, 3)), 1) - 1.0], 1)


def generator(latent: int, width: int, depth: int, random: Generator) -> nn.Sequential:
    """Latents (N, latent) to points (N, 2), in the units of normalised data."""
    return nn.Sequential(*_leaky(latent, width, depth, random), _linear(width, 2, random))


def critic(
    pack: int, width: int, depth: int, random: Generator, joint: bool = False, spectral: bool = False
) -> nn.Sequential:
    """Packed points (N, 2 pack) to (N, 1). joint: minibatch discrimination before the last layer; spectral: every
    layer's weight divided by its largest singular value."""
    layers = _leaky(2 * pack, width, depth, random)
    layers += _joint(width, random) if joint else []
    layers.append(_linear(width + (KERNELS if joint else 0), 1, random))
    return _normed(layers, spectral)


KERNELS = 16


def published_generator(random: Generator, latent: int = 2, width: int = 400) -> nn.Sequential:
    """The generator of the published protocol."""
    layers: list[nn.Module] = []
    for k in range(4):
        layers += [nn.Linear(width if k else latent, width), nn.BatchNorm1d(width), nn.ReLU()]
    return _small(nn.Sequential(*layers, nn.Linear(width, 2)), random)


def published_critic(
    pack: int, random: Generator, width: int = 200, joint: bool = False, spectral: bool = False
) -> nn.Sequential:
    """The discriminator of the published protocol."""
    layers: list[nn.Module] = []
    for k in range(3):
        layers += [nn.Linear(width if k else 2 * pack, 5 * width), nn.Maxout(5)]
    last = nn.Linear(width + (KERNELS if joint else 0), 1)
    network = _small(nn.Sequential(*layers, last), random)
    layers = [*list(network)[:-1], *(_joint(width, random) if joint else []), last]
    return _normed(layers, spectral)


def _joint(width: int, random: Generator) -> list[nn.Module]:
    return [MinibatchDiscrimination(width, KERNELS, generator=random)]


def _linear(inputs: int, outputs: int, random: Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    init.kaiming_normal_(layer.weight, SLOPE, generator=random)
    init.zeros_(layer.bias)
    return layer


def _leaky(inputs: int, width: int, depth: int, random: Generator) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [_linear(width if k else inputs, width, random), nn.LeakyReLU(SLOPE)]
    return layers


def _small(network: nn.Sequential, random: Generator) -> nn.Sequential:
    for layer in network:
        if isinstance(layer, nn.Linear):
            init.normal_(layer.weight, 0.0, 0.02, random)
            init.zeros_(layer.bias)
    return network


def _normed(layers: list[nn.Module], spectral: bool) -> nn.Sequential:
    if spectral:
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.spectral_norm(layer)
    return nn.Sequential(*layers)


@contextmanager
def substituted(module: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Within it, `module` computes with these tensors in place of the parameters of those names, and a gradient passes
    through them to whatever they were made from."""
    places = []
    for prefix, part in module.named_modules():
        for name in part._parameters:
            full = f"{prefix}.{name}" if prefix else name
            if full in tensors:
                places.append((part, name, part._parameters[name], tensors[full]))
    try:
        for part, name, _, tensor in places:
            part._parameters[name] = tensor
        yield
    finally:
        for part, name, old, _ in places:
            part._parameters[name] = old
