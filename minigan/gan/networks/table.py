"""The generators and critics that a plain GAN can be made of: option `network` of `minigan train`.

dcgan    strided convolutions                   gan/networks/dcgan.py
pooling  the same, ReLU and max pooling in D    gan/networks/dcgan.py
resnet   residual blocks                        gan/networks/resnet.py
mlp      perceptrons, a maxout critic           gan/networks/mlp.py
r3gan    residual blocks without norm           gan/networks/r3gan.py
constant, mlp-generator, bare, gated, tanh      gan/networks/variants.py: DCGAN's, each spoilt in one way
resnet101  101 residual layers in each          gan/networks/deep.py
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ... import nn
from ...backend import Generator
from ..losses import nearest
from .dcgan import DCGANCritic, DCGANGenerator, PoolingCritic, dcgan_init_
from .deep import DeepCritic, DeepGenerator
from .mlp import PerceptronCritic, PerceptronGenerator, perceptron_init_
from .r3gan import R3Critic, R3Generator, r3gan_init_
from .resnet import ResidualCritic, ResidualGenerator, residual_init_
from .variants import FourLayerGenerator, VariantCritic, VariantGenerator, variant_init_


@dataclass(frozen=True)
class Pair:
    """One row. generator(latent, channels, size, base), critic(channels, size, base, norm), and their start; dropout:
    whether the critic takes rate and random too; norm: whether it can have batch norm."""

    name: str
    generator: Callable[..., nn.Module]
    critic: Callable[..., nn.Module]
    init_: Callable[[nn.Module, Generator], nn.Module]
    dropout: bool = False
    norm: bool = True


def _with(activation: str, network: Callable[..., nn.Module]) -> Callable[..., nn.Module]:
    return partial(network, activation=activation)


PAIRS: dict[str, Pair] = {
    row.name: row
    for row in (
        Pair("dcgan", DCGANGenerator, DCGANCritic, dcgan_init_),
        Pair("pooling", DCGANGenerator, PoolingCritic, dcgan_init_),
        Pair("resnet", ResidualGenerator, ResidualCritic, residual_init_),
        Pair("mlp", PerceptronGenerator, PerceptronCritic, perceptron_init_, dropout=True, norm=False),
        Pair("r3gan", R3Generator, R3Critic, r3gan_init_, norm=False),
        Pair("constant", partial(VariantGenerator, norm=False, constant=True), VariantCritic, variant_init_),
        Pair("mlp-generator", FourLayerGenerator, VariantCritic, variant_init_),
        Pair("bare", partial(VariantGenerator, norm=False), VariantCritic, variant_init_),
        Pair("gated", _with("gate", VariantGenerator), _with("gate", VariantCritic), variant_init_),
        Pair("tanh", _with("tanh", VariantGenerator), _with("tanh", VariantCritic), variant_init_),
        Pair("resnet101", DeepGenerator, DeepCritic, residual_init_),
    )
}


def pair(name: str) -> Pair:
    """The row called `name`. Raises ValueError, with the nearest name, if there is none."""
    if name not in PAIRS:
        raise nearest("network", name, PAIRS)
    return PAIRS[name]
