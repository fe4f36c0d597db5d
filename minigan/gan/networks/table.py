"""The generators and critics that a plain GAN can be made of: option `network` of `minigan train`.

dcgan    strided convolutions                   gan/networks/dcgan.py
pooling  the same, ReLU and max pooling in D    gan/networks/dcgan.py
resnet   residual blocks                        gan/networks/resnet.py
mlp      perceptrons, a maxout critic           gan/networks/mlp.py
r3gan    residual blocks without norm           gan/networks/r3gan.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ... import nn
from ...backend import Generator
from ..losses import nearest
from .dcgan import DCGANCritic, DCGANGenerator, PoolingCritic, dcgan_init_
from .mlp import PerceptronCritic, PerceptronGenerator, perceptron_init_
from .r3gan import R3Critic, R3Generator, r3gan_init_
from .resnet import ResidualCritic, ResidualGenerator, residual_init_


@dataclass(frozen=True)
class Pair:
    """One row. generator(latent, channels, size, base), critic(channels, size, base, norm), and their start; dropout:
    whether the critic takes rate and random too."""

    name: str
    generator: Callable[..., nn.Module]
    critic: Callable[..., nn.Module]
    init_: Callable[[nn.Module, Generator], nn.Module]
    dropout: bool = False


PAIRS: dict[str, Pair] = {
    row.name: row
    for row in (
        Pair("dcgan", DCGANGenerator, DCGANCritic, dcgan_init_),
        Pair("pooling", DCGANGenerator, PoolingCritic, dcgan_init_),
        Pair("resnet", ResidualGenerator, ResidualCritic, residual_init_),
        Pair("mlp", PerceptronGenerator, PerceptronCritic, perceptron_init_, dropout=True),
        Pair("r3gan", R3Generator, R3Critic, r3gan_init_),
    )
}


def pair(name: str) -> Pair:
    """The row called `name`. Raises ValueError, with the nearest name, if there is none."""
    if name not in PAIRS:
        raise nearest("network", name, PAIRS)
    return PAIRS[name]
