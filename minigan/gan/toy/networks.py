"""Networks for points in the plane: ReLU perceptrons, PacGAN's published pair, critics that judge samples together.

    relu        G: z (N, L) -> depth x [width, ReLU] -> 2;            D: (N, 2 m) -> depth x [width, ReLU] -> 1
    published   G: z (N, 2) -> 4 x [400, batch norm, ReLU] -> 2;      D: (N, 2 m) -> 3 x [200, maxout of 5] -> 1
                weights normal(0, 0.02), biases zero, averages of batch statistics move by 0.05
                (Lin et al. 2018, section 4.1, after Dumoulin et al. 2017)

m samples are packed into one critic input (PacGAN); m = 1 without packing. The critic that judges samples together has
minibatch discrimination (gan/tricks.py) before its last layer.
"""

from __future__ import annotations

from ... import nn
from ...backend import Generator
from ...nn import init
from ..tricks import MinibatchDiscrimination, spectral_norm_

KERNELS, DIMS = 16, 4


def generator(latent: int, width: int, depth: int, random: Generator) -> nn.Sequential:
    """Latents (N, latent) to points (N, 2), in the units of normalised data."""
    return nn.Sequential(*_hidden(latent, width, depth, random), _linear(width, 2, random))


def critic(
    pack: int, width: int, depth: int, random: Generator, joint: bool = False, spectral: bool = False
) -> nn.Sequential:
    """Packed points (N, 2 pack) to (N, 1). joint: minibatch discrimination before the last layer; spectral: every
    layer's weight divided by its largest singular value."""
    layers = _hidden(2 * pack, width, depth, random)
    layers += _joint(width, random) if joint else []
    layers.append(_linear(width + (KERNELS if joint else 0), 1, random))
    return _normed(layers, spectral, random)


def published_generator(random: Generator, latent: int = 2, width: int = 400) -> nn.Sequential:
    """The generator of the published protocol."""
    layers: list[nn.Module] = []
    for k in range(4):
        layers += [nn.Linear(width if k else latent, width), nn.BatchNorm1d(width, momentum=0.05), nn.ReLU()]
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
    return _normed(layers, spectral, random)


def _joint(width: int, random: Generator) -> list[nn.Module]:
    return [MinibatchDiscrimination(width, KERNELS, DIMS, generator=random)]


def _linear(inputs: int, outputs: int, random: Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    init.kaiming_normal_(layer.weight, generator=random)
    init.zeros_(layer.bias)
    return layer


def _hidden(inputs: int, width: int, depth: int, random: Generator) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [_linear(width if k else inputs, width, random), nn.ReLU()]
    return layers


def _small(network: nn.Sequential, random: Generator) -> nn.Sequential:
    for layer in network:
        if isinstance(layer, nn.Linear):
            init.normal_(layer.weight, 0.0, 0.02, random)
            init.zeros_(layer.bias)
    return network


def _normed(layers: list[nn.Module], spectral: bool, random: Generator) -> nn.Sequential:
    network = nn.Sequential(*layers)
    return spectral_norm_(network, random) if spectral else network
