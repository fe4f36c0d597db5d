"""The generator and critic of DCGAN (Radford et al. 2016): strided convolutions, no pooling, no hidden fully connected
layer.

Sizes double from 4x4 in the generator and halve to 4x4 in the critic; channels do the reverse. For 32x32 and base 64:

    G: z (N, latent) -> 256 x 4 x 4 -> 128 x 8 x 8 -> 64 x 16 x 16 -> C x 32 x 32, tanh;   batch norm and ReLU in
        between
    D: C x 32 x 32 -> 64 x 16 x 16 -> 128 x 8 x 8 -> 256 x 4 x 4 -> 1;                     leaky-ReLU 0.2 in between

A critic for the gradient penalty has no batch norm: the penalty is a property of each sample alone, and batch norm ties
the samples of a batch together (Gulrajani et al. 2017, section 4).
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...nn import init


def levels_of(size: int, what: str) -> int:
    """How often 4 doubles up to an image size. Raises ValueError, naming `what`, for one that does not halve to 4."""
    levels = size.bit_length() - 3
    if size < 8 or size != 4 << levels:
        raise ValueError(f"{what}: the image size must be a power of two, at least 8, got {size}")
    return levels


class DCGANGenerator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, size, size) in (-1, 1). `base` is the width of the layer
    before the last."""

    def __init__(self, latent: int = 100, channels: int = 1, size: int = 32, base: int = 64) -> None:
        super().__init__()
        levels = levels_of(size, "DCGANGenerator")
        self.latent = latent
        width = base << (levels - 1)
        layers = [nn.ConvTranspose2d(latent, width, 4, 1, 0, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
        for _ in range(levels - 1):
            layers += [
                nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width // 2),
                nn.ReLU(),
            ]
            width //= 2
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 4, 2, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Images for latent vectors z (N, latent)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"DCGANGenerator: z must be (N, {self.latent}), got {z.shape}")
        return self.main(z.reshape(z.shape[0], self.latent, 1, 1))


class DCGANCritic(nn.Module):
    """Images (N, channels, size, size) to one raw number each, (N,). `norm` puts batch norm after every inner
    convolution."""

    def __init__(self, channels: int = 1, size: int = 32, base: int = 64, norm: bool = False) -> None:
        super().__init__()
        levels = levels_of(size, "DCGANCritic")
        layers = [nn.Conv2d(channels, base, 4, 2, 1), nn.LeakyReLU(0.2)]
        width = base
        for _ in range(levels - 1):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=not norm)]
            layers += [nn.BatchNorm2d(2 * width)] if norm else []
            layers += [nn.LeakyReLU(0.2)]
            width *= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """One number per image of x (N, C, H, W)."""
        return self.main(x).reshape(x.shape[0])

    @property
    def last(self) -> nn.Module:
        """The layer that makes the number."""
        return self.main[-1]

    def features(self, x: Tensor) -> Tensor:
        """What the last layer takes for images (N, C, H, W): (N, F), F the size of its weight."""
        for layer in list(self.main)[:-1]:
            x = layer(x)
        return x.reshape(x.shape[0], -1)

    def score(self, features: Tensor) -> Tensor:
        """What the last layer makes of features (N, F): (N,)."""
        count = features.shape[0]
        return self.last(features.reshape(count, *self.last.weight.shape[1:])).reshape(count)


class PoolingCritic(DCGANCritic):
    """The same widths without what keeps gradients dense: 3x3 convolutions, ReLU, the maximum of each 2x2 pixels. For
    images (N, channels, size, size)."""

    def __init__(self, channels: int = 1, size: int = 32, base: int = 64, norm: bool = False) -> None:
        nn.Module.__init__(self)
        layers: list[nn.Module] = []
        width = channels
        for k in range(levels_of(size, "PoolingCritic")):
            layers += [nn.Conv2d(width, base << k, 3, 1, 1, bias=not norm or not k)]
            width = base << k
            layers += [nn.BatchNorm2d(width)] if norm and k else []
            layers += [nn.ReLU(), nn.MaxPool2d(2)]
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 4, 1, 0))


def dcgan_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """DCGAN's start: convolutions normal(0, 0.02), batch-norm weights normal(1, 0.02), all biases zero. Returns the
    module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            init.normal_(m.weight, 0.0, 0.02, generator)
        elif isinstance(m, nn.BatchNorm2d) and m.weight is not None:
            init.normal_(m.weight, 1.0, 0.02, generator)
        if getattr(m, "bias", None) is not None:
            init.zeros_(m.bias)
    return module


def glorot_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """Weights of layers normal with variance 2 / (fan_in + fan_out), biases zero (Glorot & Bengio 2010). Returns the
    module.

    The start of a critic under spectral norm: there the size of a weight does nothing but divide the learning rate, and
    from DCGAN's 0.02 the critic would run away from the generator.
    """
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            init.xavier_normal_(m.weight, generator=generator)
            if m.bias is not None:
                init.zeros_(m.bias)
    return module
