"""Residual generator and critic, as WGAN-GP and spectral-norm GANs use them (Gulrajani et al. 2017, appendix F;
Miyato et al. 2018, appendix B.4).

    up block      x -> up(conv1(x))      +  conv3(relu(norm(conv3(up(relu(norm(x)))))))       up: nearest neighbour, x2
    down block    x -> conv1(pool(x))    +  pool(conv3(relu(conv3(relu(x)))))                 pool: mean of 2 x 2

Widths are DCGAN's (gan/networks/dcgan.py), at most 8 base. For 32x32 and base 32:

    G: z (N, latent) -> linear 128 x 4 x 4 -> up 64 x 8 x 8 -> up 32 x 16 x 16 -> up 32 x 32 x 32 -> norm, ReLU,
        conv3, tanh
    D: C x 32 x 32 -> down 32 x 16 x 16 -> down 64 x 8 x 8 -> down 128 x 4 x 4 -> ReLU -> mean over pixels -> linear 1

The critic has no norm by default, so it goes with a gradient penalty and with spectral norm. The papers' 32x32 networks
keep one width and add blocks that change no size; these are their 64x64 ones at every size. A 1x1 convolution and a
mean or a repetition of pixels change places freely; the cheaper order is taken.
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...functional import avg_pool2d, interpolate, relu
from ...nn import init
from ...ops.reduce import mean
from .dcgan import levels_of

WIDEST = 8


def _widths(size: int, base: int, what: str) -> list[int]:
    """Channels at size / 2, size / 4, ... 4."""
    return [base * min(WIDEST, 1 << k) for k in range(levels_of(size, what))]


class UpBlock(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, 2 H, 2 W), batch norm before each rectifier."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, outputs, 3, 1, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(outputs), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut, self.relu = nn.Conv2d(inputs, outputs, 1), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        """x, doubled, plus what the two convolutions make of it."""
        inner = interpolate(self.relu(self.norm1(x)), scale_factor=2)
        inner = self.conv2(self.relu(self.norm2(self.conv1(inner))))
        return interpolate(self.shortcut(x), scale_factor=2) + inner


class DownBlock(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H / 2, W / 2). first: x is an image, so no rectifier comes before it."""

    def __init__(self, inputs: int, outputs: int, norm: bool = False, first: bool = False) -> None:
        super().__init__()
        self.first = first
        self.norm1 = nn.BatchNorm2d(inputs) if norm and not first else nn.Identity()
        self.norm2 = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, 1, 1), nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x, halved, plus what the two convolutions make of it."""
        inner = x if self.first else relu(self.norm1(x))
        inner = self.conv2(relu(self.norm2(self.conv1(inner))))
        return self.shortcut(avg_pool2d(x, 2)) + avg_pool2d(inner, 2)


class ResidualGenerator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, size, size) in (-1, 1). Raises ValueError for a size that does
    not halve to 4."""

    def __init__(self, latent: int = 100, channels: int = 3, size: int = 32, base: int = 32) -> None:
        super().__init__()
        widths = _widths(size, base, "ResidualGenerator")[::-1]
        self.latent, self.width = latent, widths[0]
        self.start = nn.Linear(latent, widths[0] * 16)
        self.blocks = nn.Sequential(*(UpBlock(*pair) for pair in zip(widths, [*widths[1:], base], strict=True)))
        self.end = nn.Sequential(nn.BatchNorm2d(base), nn.ReLU(), nn.Conv2d(base, channels, 3, 1, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Images for latent vectors z (N, latent)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"ResidualGenerator: z must be (N, {self.latent}), got {z.shape}")
        return self.end(self.blocks(self.start(z).reshape(z.shape[0], self.width, 4, 4)))


class ResidualCritic(nn.Module):
    """Images (N, channels, size, size) to one raw number each, (N,). `norm` puts batch norm before every rectifier but
    the last; raises ValueError for a size that does not halve to 4."""

    def __init__(self, channels: int = 3, size: int = 32, base: int = 32, norm: bool = False) -> None:
        super().__init__()
        widths = _widths(size, base, "ResidualCritic")
        pairs = zip([channels, *widths[:-1]], widths, strict=True)
        self.blocks = nn.Sequential(*(DownBlock(*pair, norm, first=k == 0) for k, pair in enumerate(pairs)))
        self.end = nn.Linear(widths[-1], 1)

    def forward(self, x: Tensor) -> Tensor:
        """One number per image of x (N, C, H, W)."""
        return self.score(self.features(x))

    @property
    def last(self) -> nn.Module:
        """The layer that makes the number."""
        return self.end

    def features(self, x: Tensor) -> Tensor:
        """What the last layer takes for images (N, C, H, W): (N, F)."""
        return mean(relu(self.blocks(x)), (2, 3))

    def score(self, features: Tensor) -> Tensor:
        """What the last layer makes of features (N, F): (N,)."""
        return self.end(features).reshape(features.shape[0])


def residual_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """He's start for 3x3 convolutions, normal(0, 2 / fan_in); half that variance for shortcuts and linear layers, which
    take what no rectifier has halved; biases zero. Returns the module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear)):
            rectified = isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)
            init.kaiming_normal_(m.weight, nonlinearity="relu" if rectified else "linear", generator=generator)
            init.zeros_(m.bias)
    return module
