"""Encoders, from images to codes, and an encoder and a generator as one player: the networks of `ae`, `vae` and `ali`.

    mlp      C x S x S -> 8 base, ReLU -> 8 base, ReLU -> outputs           PerceptronGenerator's three layers, mirrored
    dcgan    C x S x S -> base x S/2 x S/2 -> ... -> W x 4 x 4 -> outputs   DCGANCritic's convolutions with batch norm

A stochastic encoder has two outputs a number of the code, the mean and ln sigma of a normal distribution
(Kingma & Welling 2014, section 3). A critic of pairs judges an image and a code together (Dumoulin et al. 2017,
section 2; Donahue et al. 2017, section 3).
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...creation import randn
from ...functional import leaky_relu, tanh
from ...ops.elementary import exp
from ...ops.index import cat
from ..losses import nearest
from .dcgan import DCGANGenerator, dcgan_init_
from .heads import body
from .mlp import WIDTH, PerceptronGenerator, perceptron_init_

CODECS = ("mlp", "dcgan")
"""The networks that have an encoder."""


class PerceptronEncoder(nn.Module):
    """Images (N, channels, size, size) to `outputs` numbers each (N, outputs), through three fully connected layers."""

    def __init__(self, channels: int = 1, size: int = 32, base: int = 32, outputs: int = 32) -> None:
        super().__init__()
        width = WIDTH * base
        self.main = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * size * size, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The numbers (N, outputs) of images x."""
        return self.main(x)


class ConvolutionEncoder(nn.Module):
    """Images (N, channels, size, size) to `outputs` numbers each (N, outputs). Raises ValueError for a size that does
    not halve to 4."""

    def __init__(self, channels: int = 1, size: int = 32, base: int = 32, outputs: int = 32) -> None:
        super().__init__()
        self.body, width = body(channels, size, base, norm=True)
        self.last = nn.Conv2d(width, outputs, 4)

    def forward(self, x: Tensor) -> Tensor:
        """The numbers (N, outputs) of images x."""
        return self.last(self.body(x)).flatten(1)


class Codec(nn.Module):
    """An encoder and a generator as one player: codes (N, latent) to images, and images to codes.

    generator: of gan/networks/, whose last tanh stands here, so that likelihoods are computed from what goes into it.
    encoder: to `latent` numbers, or to 2 `latent` where it is stochastic: means and ln sigma.
    """

    def __init__(self, generator: nn.Module, encoder: nn.Module) -> None:
        super().__init__()
        self.decoder, self.encoder = generator, encoder
        generator.main = generator.main[:-1]

    def forward(self, z: Tensor) -> Tensor:
        """Images (N, C, S, S) in (-1, 1) of codes z."""
        return tanh(self.decoder(z))

    def posterior(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(means, ln sigma), both (N, latent), of a stochastic encoder's q(z | x) = N(mean, sigma^2)."""
        outputs = self.encoder(x)
        latent = outputs.shape[1] // 2
        return outputs[:, :latent], outputs[:, latent:]


def reparametrised(mean: Tensor, log_sigma: Tensor, random: Generator) -> Tensor:
    """A draw z = mean + sigma eps, eps standard normal, through which gradients reach both (Kingma & Welling 2014,
    section 2.4)."""
    return mean + exp(log_sigma) * randn(*mean.shape, generator=random, dtype=mean.dtype)


def codec(
    network: str, latent: int, channels: int, size: int, base: int, random: Generator, stochastic: bool = False
) -> Codec:
    """The generator that `network` names and its encoder, their weights drawn. Raises ValueError for one without an
    encoder."""
    outputs = 2 * latent if stochastic else latent
    if network == "mlp":
        generator = perceptron_init_(PerceptronGenerator(latent, channels, size, base), random)
        encoder = perceptron_init_(PerceptronEncoder(channels, size, base, outputs), random)
    elif network == "dcgan":
        generator = dcgan_init_(DCGANGenerator(latent, channels, size, base), random)
        encoder = dcgan_init_(ConvolutionEncoder(channels, size, base, outputs), random)
    else:
        raise nearest("network with an encoder", network, CODECS)
    return Codec(generator, encoder)


class PairCritic(nn.Module):
    """Pairs of an image (N, channels, size, size) and a code (N, latent) to raw numbers (N, 1), or (N, 3) with `unary`.

    The image goes through DCGAN's convolutions to `hidden` numbers, the code through two layers to as many; two more
    layers read both. unary: two more numbers, one of the image alone and one of the code alone (Donahue & Simonyan
    2019, section 2), so that neither marginal waits for the pair.
    """

    def __init__(
        self, channels: int, latent: int, size: int = 32, base: int = 32, unary: bool = True, hidden: int = 256
    ) -> None:
        super().__init__()
        self.latent, self.unary = latent, unary
        self.body, width = body(channels, size, base, norm=False)
        self.image = nn.Conv2d(width, hidden, 4)
        self.code = nn.Sequential(nn.Linear(latent, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden))
        self.pair = nn.Sequential(
            nn.Linear(2 * hidden, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2)
        )
        self.last = nn.Linear(hidden, 1)
        if unary:
            self.of_image = nn.Linear(hidden, 1)
            self.of_code = nn.Sequential(
                nn.Linear(latent, hidden), nn.LeakyReLU(0.2), nn.Linear(hidden, hidden), nn.LeakyReLU(0.2),
                nn.Linear(hidden, 1),
            )  # fmt: skip

    def forward(self, x: Tensor, z: Tensor) -> Tensor:
        """The numbers of each pair. Raises ValueError unless there is a code of `latent` numbers for each image."""
        if z.shape != (x.shape[0], self.latent):
            raise ValueError(f"PairCritic: codes must be ({x.shape[0]}, {self.latent}), got {z.shape}")
        image = leaky_relu(self.image(self.body(x)).flatten(1), 0.2)
        joint = self.last(self.pair(cat([image, leaky_relu(self.code(z), 0.2)], 1)))
        return cat([joint, self.of_image(image), self.of_code(z)], 1) if self.unary else joint
