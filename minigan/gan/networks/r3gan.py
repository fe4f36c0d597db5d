"""Residual networks without any normalisation, after R3GAN's (Huang et al. 2024, section 3 and appendix C), in a size
that two cores can train.

    block         x -> x + conv3(leaky(conv3(leaky(x))))                leaky-ReLU 0.2; the last convolution starts at 0
    up            x -> conv1(x), each pixel repeated 2 x 2
    down          x -> conv1(mean of 2 x 2)

Channels are DCGAN's (gan/networks/dcgan.py), at most 8 base. For 32x32 and base 32:

    G: z (N, latent) -> linear 128 x 4 x 4 -> block -> up 64 x 8 x 8 -> block -> up 32 x 16 x 16 -> block ->
        transposed conv4 C x 32 x 32, tanh
    D: C x 32 x 32 -> conv4 32 x 16 x 16 -> block -> down 64 x 8 x 8 -> block -> down 128 x 4 x 4 -> block -> linear 1

Every sample is judged, and drawn, alone. So R1 and R2 are what they say, properties of one image each, and a network in
evaluation mode is the network in training. The authors' blocks have two 1x1 convolutions around a grouped 3x3 one, and
work at the image's own size, too.
"""

from __future__ import annotations

from itertools import pairwise

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...functional import avg_pool2d, interpolate, leaky_relu
from ...nn import init
from .dcgan import levels_of

WIDEST, SLOPE = 8, 0.2


def _widths(size: int, base: int, what: str) -> list[int]:
    """Channels at size / 2, size / 4, ... 4."""
    return [base * min(WIDEST, 1 << k) for k in range(levels_of(size, what))]


class Block(nn.Module):
    """(N, width, H, W) to the same shape."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x plus what the two convolutions make of it."""
        return x + self.conv2(leaky_relu(self.conv1(leaky_relu(x, SLOPE)), SLOPE))


class Up(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, 2 H, 2 W)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Each pixel becomes four."""
        return interpolate(self.conv(x), scale_factor=2)


class Down(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H / 2, W / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Four pixels become their mean."""
        return self.conv(avg_pool2d(x, 2))


class R3Generator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, size, size) in (-1, 1). Raises ValueError for a size that does
    not halve to 4."""

    def __init__(self, latent: int = 64, channels: int = 1, size: int = 32, base: int = 32) -> None:
        super().__init__()
        widths = _widths(size, base, "R3Generator")[::-1]
        self.latent, self.width = latent, widths[0]
        self.start = nn.Linear(latent, widths[0] * 16)
        self.blocks = nn.Sequential(Block(widths[0]))
        for inputs, outputs in pairwise(widths):
            self.blocks.append(Up(inputs, outputs)), self.blocks.append(Block(outputs))
        self.end = nn.ConvTranspose2d(base, channels, 4, 2, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Images for latent vectors z (N, latent)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"R3Generator: z must be (N, {self.latent}), got {z.shape}")
        x = self.blocks(self.start(z).reshape(z.shape[0], self.width, 4, 4))
        return self.end(leaky_relu(x, SLOPE)).tanh()


class R3Critic(nn.Module):
    """Images (N, channels, size, size) to one raw number each, (N,). Raises ValueError for a size that does not halve
    to 4, and for `norm`: these networks have none."""

    def __init__(self, channels: int = 1, size: int = 32, base: int = 32, norm: bool = False) -> None:
        super().__init__()
        if norm:
            raise ValueError("R3Critic: has no batch norm; leave critic_norm False, or take network resnet")
        widths = _widths(size, base, "R3Critic")
        self.start = nn.Conv2d(channels, base, 4, 2, 1)
        self.blocks = nn.Sequential(Block(base))
        for inputs, outputs in pairwise(widths):
            self.blocks.append(Down(inputs, outputs)), self.blocks.append(Block(outputs))
        self.end = nn.Linear(widths[-1] * 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        """One number per image of x (N, C, H, W)."""
        return self.score(self.features(x))

    @property
    def last(self) -> nn.Module:
        """The layer that makes the number."""
        return self.end

    def features(self, x: Tensor) -> Tensor:
        """What the last layer takes for images (N, C, H, W): (N, F)."""
        return leaky_relu(self.blocks(self.start(x)), SLOPE).reshape(x.shape[0], -1)

    def score(self, features: Tensor) -> Tensor:
        """What the last layer makes of features (N, F): (N,)."""
        return self.end(features).reshape(features.shape[0])


def r3gan_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """Every layer normal with variance 1 / fan_in, twice that (less for the slope 0.2) in a block, whose last
    convolution is zero; so are all biases. A network starts as the chain of its shortcuts. Returns the module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            init.kaiming_normal_(m.weight, nonlinearity="linear", generator=generator)
            init.zeros_(m.bias)
    for m in module.modules():
        if isinstance(m, Block):
            init.kaiming_normal_(m.conv1.weight, SLOPE, generator=generator)
            init.zeros_(m.conv2.weight)
    return module
