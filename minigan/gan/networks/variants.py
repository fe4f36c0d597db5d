"""DCGAN's networks, each spoilt in one way: the columns of the robustness grid (Gulrajani et al. 2017, figure 2).

    constant        G has no norm and as many filters in every layer
    mlp-generator   G is a perceptron of four layers, 16 base ReLU units in each hidden one: 512 of base 32
    bare            no norm in G; with option critic_norm False none in either
    gated           sigmoid(a) tanh(b) in place of every rectifier, a and b the halves of the layer's channels
                    (van den Oord et al. 2016, eq. 2)
    tanh            tanh in place of every rectifier

Sizes and strides are DCGAN's (gan/networks/dcgan.py). A weight starts at the size that keeps the variance of what
passes a rectifier: without norm DCGAN's 0.02 would fade away in a few layers, which is another experiment.
"""

from __future__ import annotations

from itertools import pairwise

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...functional import sigmoid, tanh
from ...nn import init
from .dcgan import DCGANCritic, levels_of

HIDDEN_LAYERS, UNITS = 3, 16
GAIN = 0.2


class Gate(nn.Module):
    """(N, 2 C, ...) -> (N, C, ...): sigmoid of the first half of the channels times tanh of the second."""

    def forward(self, x: Tensor) -> Tensor:
        """sigmoid(a) tanh(b)."""
        half = x.shape[1] // 2
        return sigmoid(x[:, :half]) * tanh(x[:, half:])


ACTIVATIONS = {"relu": nn.ReLU, "leaky": lambda: nn.LeakyReLU(0.2), "tanh": nn.Tanh, "gate": Gate}


def _stage(layer: type[nn.Module], inputs: int, outputs: int, stride: int, norm: bool, activation: str) -> list:
    """A convolution of 4 x 4, its norm and its activation, which halves the channels of a gate."""
    channels = 2 * outputs if activation == "gate" else outputs
    padding = 0 if layer is nn.ConvTranspose2d and stride == 1 else 1
    norms = [nn.BatchNorm2d(channels)] if norm else []
    return [layer(inputs, channels, 4, stride, padding, bias=not norm), *norms, ACTIVATIONS[activation]()]


class VariantGenerator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, size, size) in (-1, 1), as DCGANGenerator with another
    activation. constant: 2 base filters in every layer."""

    def __init__(
        self,
        latent: int = 100,
        channels: int = 1,
        size: int = 32,
        base: int = 32,
        norm: bool = True,
        activation: str = "relu",
        constant: bool = False,
    ) -> None:
        super().__init__()
        levels, self.latent = levels_of(size, "VariantGenerator"), latent
        widths = [2 * base] * levels if constant else [base << k for k in reversed(range(levels))]
        layers = _stage(nn.ConvTranspose2d, latent, widths[0], 1, norm, activation)
        for inputs, outputs in pairwise(widths):
            layers += _stage(nn.ConvTranspose2d, inputs, outputs, 2, norm, activation)
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], channels, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Images for latent vectors z (N, latent)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"VariantGenerator: z must be (N, {self.latent}), got {z.shape}")
        return self.main(z.reshape(z.shape[0], self.latent, 1, 1))


class VariantCritic(DCGANCritic):
    """Images (N, channels, size, size) to one raw number each (N,), as DCGANCritic with another activation."""

    def __init__(
        self, channels: int = 1, size: int = 32, base: int = 32, norm: bool = False, activation: str = "leaky"
    ) -> None:
        nn.Module.__init__(self)
        layers = _stage(nn.Conv2d, channels, base, 2, False, activation)
        for k in range(levels_of(size, "VariantCritic") - 1):
            layers += _stage(nn.Conv2d, base << k, base << (k + 1), 2, norm, activation)
        self.main = nn.Sequential(*layers, nn.Conv2d(base << (levels_of(size, "VariantCritic") - 1), 1, 4, 1, 0))


class FourLayerGenerator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, size, size) in (-1, 1) through three hidden layers of 16 base
    ReLU units."""

    def __init__(self, latent: int = 100, channels: int = 1, size: int = 32, base: int = 32) -> None:
        super().__init__()
        self.latent, self.shape, width = latent, (channels, size, size), UNITS * base
        layers, inputs = [], latent
        for _ in range(HIDDEN_LAYERS):
            layers += [nn.Linear(inputs, width), nn.ReLU()]
            inputs = width
        self.main = nn.Sequential(*layers, nn.Linear(width, channels * size * size), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Images for latent vectors z (N, latent)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"FourLayerGenerator: z must be (N, {self.latent}), got {z.shape}")
        return self.main(z).reshape(z.shape[0], *self.shape)


def variant_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """Weights normal(0, 2 / (1 + 0.2^2) / fan_in), biases zero; batch norm as it is. Returns the module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            init.kaiming_normal_(m.weight, GAIN, generator=generator)
            if m.bias is not None:
                init.zeros_(m.bias)
    return module
