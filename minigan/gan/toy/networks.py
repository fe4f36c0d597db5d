"""Networks for points in the plane: ReLU perceptrons, PacGAN's published pair, critics that judge samples together.

    relu        G: z (N, L) -> depth x [width, ReLU] -> 2;            D: (N, 2 m) -> depth x [width, ReLU] -> 1
    published   G: z (N, 2) -> 4 x [400, batch norm, ReLU] -> 2;      D: (N, 2 m) -> 3 x [200, maxout of 5] -> 1
                weights normal(0, 0.02), biases zero, averages of batch statistics move by 0.05
                (Lin et al. 2018, section 4.1, after Dumoulin et al. 2017)

m samples are packed into one critic input (PacGAN); m = 1 without packing. What a critic can have beside: a norm in
every hidden layer or of every weight, a layer before its last that looks at the whole batch (gan/tricks.py), leaky
ReLU.
"""

from __future__ import annotations

from collections.abc import Callable

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...nn import init
from ..tricks import MinibatchDiscrimination, PairwiseDistance, VirtualBatchNorm, VirtualReference, spectral_norm_

KERNELS, DIMS = 16, 4
JOINT = {"": 0, "minibatch": KERNELS, "pairwise": 1}
NORMS: dict[str, Callable[[int], nn.Module]] = {"batch": nn.BatchNorm1d, "virtual": VirtualBatchNorm}
"""Features that a layer over the batch adds, and norms of a hidden layer, by name."""


def generator(latent: int, width: int, depth: int, random: Generator, slope: float = 0.0) -> nn.Sequential:
    """Latents (N, latent) to points (N, 2), in the units of normalised data. slope: of the ReLUs below 0."""
    return nn.Sequential(*_hidden(latent, width, depth, random, slope), _linear(width, 2, random))


def critic(
    inputs: int, width: int, depth: int, random: Generator, joint: str = "", norm: str = "", slope: float = 0.0
) -> nn.Sequential:
    """Packed points (N, inputs) to (N, 1). joint: minibatch or pairwise, before the last layer. norm: batch or virtual
    in every hidden layer, or spectral, every layer's weight divided by its largest singular value."""
    layers = _hidden(inputs, width, depth, random, slope, norm)
    layers += _joint(joint, width, random)
    layers.append(_linear(width + JOINT[joint], 1, random))
    return _normed(layers, norm, random)


def published_generator(random: Generator, latent: int = 2, width: int = 400, slope: float = 0.0) -> nn.Sequential:
    """The generator of the published protocol."""
    layers: list[nn.Module] = []
    for k in range(4):
        layers += [nn.Linear(width if k else latent, width), nn.BatchNorm1d(width, momentum=0.05), _relu(slope)]
    return _small(nn.Sequential(*layers, nn.Linear(width, 2)), random)


def published_critic(
    inputs: int, random: Generator, width: int = 200, joint: str = "", norm: str = "", slope: float = 0.0
) -> nn.Sequential:
    """The discriminator of the published protocol; it has no ReLU that could leak."""
    layers: list[nn.Module] = []
    for k in range(3):
        layers += [nn.Linear(width if k else inputs, 5 * width), *_norm(norm, 5 * width), nn.Maxout(5)]
    last = nn.Linear(width + JOINT[joint], 1)
    network = _small(nn.Sequential(*layers, last), random)
    layers = [*list(network)[:-1], *_joint(joint, width, random), last]
    return _normed(layers, norm, random)


def referred(network: nn.Sequential, reference: Tensor) -> nn.Module:
    """The critic with its reference batch, where virtual batch norm needs one."""
    virtual = any(isinstance(layer, VirtualBatchNorm) for layer in network)
    return VirtualReference(network, reference) if virtual else network


def _relu(slope: float) -> nn.Module:
    return nn.LeakyReLU(slope) if slope else nn.ReLU()


def _norm(norm: str, width: int) -> list[nn.Module]:
    return [NORMS[norm](width)] if norm in NORMS else []


def _joint(joint: str, width: int, random: Generator) -> list[nn.Module]:
    if joint == "pairwise":
        return [PairwiseDistance()]
    return [MinibatchDiscrimination(width, KERNELS, DIMS, generator=random)] if joint else []


def _linear(inputs: int, outputs: int, random: Generator) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    init.kaiming_normal_(layer.weight, generator=random)
    init.zeros_(layer.bias)
    return layer


def _hidden(
    inputs: int, width: int, depth: int, random: Generator, slope: float = 0.0, norm: str = ""
) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [_linear(width if k else inputs, width, random), *_norm(norm, width), _relu(slope)]
    return layers


def _small(network: nn.Sequential, random: Generator) -> nn.Sequential:
    for layer in network:
        if isinstance(layer, nn.Linear):
            init.normal_(layer.weight, 0.0, 0.02, random)
            init.zeros_(layer.bias)
    return network


def _normed(layers: list[nn.Module], norm: str, random: Generator) -> nn.Sequential:
    network = nn.Sequential(*layers)
    return spectral_norm_(network, random) if norm == "spectral" else network
