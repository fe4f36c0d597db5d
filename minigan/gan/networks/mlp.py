"""The fully connected pair of the first GAN (Goodfellow et al. 2014, section 5, after its settings for MNIST).

    G: z (N, latent) -> 8 base, ReLU -> 8 base, ReLU -> C x S x S, tanh
    D: C x S x S -> 8 base, maxout of 5 -> 8 base, maxout of 5 -> 1,      dropout on its input and hidden units

The authors' widths are 1200 for G and 240 for D, with uniform(-0.05, 0.05) weights and a sigmoid instead of tanh.
`base` stands for a budget as in the convolutional networks: 8 base is 256 by default.
"""

from __future__ import annotations

import math
from itertools import pairwise

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...functional import dropout
from ...nn import init

PIECES, WIDTH = 5, 8


class PerceptronGenerator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, size, size) in (-1, 1). Any size will do."""

    def __init__(self, latent: int = 100, channels: int = 1, size: int = 32, base: int = 32) -> None:
        super().__init__()
        self.latent, self.shape, width = latent, (channels, size, size), WIDTH * base
        self.main = nn.Sequential(
            nn.Linear(latent, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, math.prod(self.shape)),
            nn.Tanh(),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Images for latent vectors z (N, latent)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"PerceptronGenerator: z must be (N, {self.latent}), got {z.shape}")
        return self.main(z).reshape(z.shape[0], *self.shape)


class PerceptronCritic(nn.Module):
    """Images (N, channels, size, size) to one raw number each, (N,).

    rate: the dropout of every layer's input in training, its masks drawn from `random`; 0 for none.
    """

    def __init__(
        self,
        channels: int = 1,
        size: int = 32,
        base: int = 32,
        norm: bool = False,
        rate: float = 0.0,
        random: Generator | None = None,
    ) -> None:
        super().__init__()
        if norm:
            raise ValueError("PerceptronCritic: has no batch norm; its units are maxout (critic_norm False)")
        if not 0 <= rate < 1:
            raise ValueError(f"PerceptronCritic: dropout must be in [0, 1), got {rate}")
        self.rate, self.random, width = rate, random, WIDTH * base
        widths = (channels * size * size, width, width)
        self.hidden = nn.ModuleList(
            nn.Sequential(nn.Linear(a, PIECES * b), nn.Maxout(PIECES)) for a, b in pairwise(widths)
        )
        self.last = nn.Linear(width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """One number per image of x (N, C, H, W)."""
        return self.score(self.features(x))

    def features(self, x: Tensor) -> Tensor:
        """What the last layer takes for images (N, C, H, W): (N, F)."""
        x = x.reshape(x.shape[0], -1)
        for layer in self.hidden:
            x = layer(self._dropped(x))
        return x

    def score(self, features: Tensor) -> Tensor:
        """What the last layer makes of features (N, F): (N,)."""
        return self.last(self._dropped(features)).reshape(features.shape[0])

    def _dropped(self, x: Tensor) -> Tensor:
        return dropout(x, self.rate, self.training, self.random) if self.rate else x


def perceptron_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """Weights normal with variance 2 / fan_in where a rectifier follows and 1 / fan_in elsewhere; biases zero. Returns
    the module."""
    layers = [m for m in module.modules() if isinstance(m, nn.Linear)]
    for m in layers:
        inner = isinstance(module, PerceptronGenerator) and m is not layers[-1]
        init.kaiming_normal_(m.weight, nonlinearity="relu" if inner else "linear", generator=generator)
        init.zeros_(m.bias)
    return module
