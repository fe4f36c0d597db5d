"""Networks that turn images into images, and the critics that go with them: CycleGAN's and StarGAN's.

    translator  (Johnson et al. 2016, as Zhu et al. 2017, section 7.2, have it), for H x H images, width b, d halvings:
        x (N, C, H, H) [+ a condition (N, K) as K constant planes] [+ 2 planes of coordinates]
          -> 7x7 conv, b  -> d times 4x4 conv of stride 2, channels doubled
          -> R residual blocks of two 3x3 convs                                  (all with instance norm and ReLU)
          -> d times 4x4 transposed conv of stride 2, channels halved  -> 7x7 conv, C -> tanh, under a mask or not
    patch critic  (Isola et al. 2017, section 3.2.2):
        x -> d times 4x4 conv of stride 2, b, 2b, 4b ... channels                (leaky ReLU 0.2; instance norm or none)
          -> 3x3 conv: one number for each place of an H/2^d x H/2^d map, each of which judges a patch of the image
    critic with a head for classes  (Choi et al. 2018, table 5): the same without norm, and from its last features
          logits (N, K), one for each attribute

Borders are mirrored (reflection padding), so that the frame of an image leaves no trace in its translation.
"""

from __future__ import annotations

import numpy as np

from ... import nn
from ...autograd import Tensor
from ...backend import Generator, float32
from ...functional import sigmoid, tanh
from ...nn import init
from ...ops.index import cat


class ConditionalNorm(nn.Module):
    """Instance norm whose scale and shift are those of a condition c (N, K): h (1 + A c) + B c + b, A and B (C, K)."""

    def __init__(self, channels: int, conditions: int) -> None:
        super().__init__()
        self.norm = nn.InstanceNorm2d(channels)
        self.scale, self.shift = nn.Linear(conditions, channels, bias=False), nn.Linear(conditions, channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """x (N, C, H, W) normalised, then scaled and shifted as the condition says."""
        scale, shift = (layer(condition).reshape(len(x), -1, 1, 1) for layer in (self.scale, self.shift))
        h = self.norm(x)
        return h + h * scale + shift


class Chain(nn.Sequential):
    """Layers in a row, of which those that take a condition are given it."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x through all layers."""
        for layer in self:
            takes = condition is not None and isinstance(layer, (ConditionalNorm, ResidualBlock))
            x = layer(x, condition) if takes else layer(x)
        return x


class ResidualBlock(nn.Module):
    """x + norm(conv(ReLU(norm(conv(x))))), (N, C, H, W) to the same shape; mirrored borders."""

    def __init__(self, channels: int, conditions: int = 0) -> None:
        super().__init__()
        self.body = Chain(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            _norm(channels, conditions),
            nn.ReLU(),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3, bias=False),
            _norm(channels, conditions),
        )

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """x and what the block adds to it."""
        return x + self.body(x, condition)


class Translator(nn.Module):
    """Images (N, channels, size, size) in [-1, 1] to images of the same shape.

    base: channels at full size. blocks: residual blocks at the smallest size. halvings: how often the size is halved.
    conditions: numbers a sample that say what to translate to. They come as K constant planes beside the image, whose
    convolution then has no norm, and as the scale and shift of all norms (Dumoulin et al. 2017): instance norm takes
    away what is constant over an image, and between mirrored borders a plane is nothing but constant.
    coordinates: two more planes with each pixel's x and y in [-1, 1] (Liu et al. 2018), without which a convolution
    between mirrored borders cannot tell the middle from the rim.
    mask: the network also says how much of each pixel to change, m = sigmoid(h - 3) of one more channel h, and the
    output is x + m (tanh(...) - x) (Pumarola et al. 2018): where m is 0 the image stays as it is, and at the
    start m is 0.05 everywhere. kernel: of the first and the last convolution. Raises ValueError for a size that cannot
    be halved so often.
    """

    def __init__(
        self,
        channels: int = 3,
        size: int = 32,
        base: int = 16,
        blocks: int = 4,
        halvings: int = 2,
        conditions: int = 0,
        coordinates: bool = False,
        mask: bool = False,
        kernel: int = 7,
    ) -> None:
        super().__init__()
        _fits("Translator", size, halvings)
        self.channels, self.size, self.conditions, self.mask = channels, size, conditions, mask
        self.register_buffer("coordinates", Tensor(coordinate_planes(size)) if coordinates else None)
        rim, width, planes = kernel // 2, base, channels + conditions + 2 * coordinates
        layers = [nn.ReflectionPad2d(rim), nn.Conv2d(planes, width, kernel, bias=conditions > 0)]
        layers += [nn.ReLU()] if conditions else [_norm(width), nn.ReLU()]
        for _ in range(halvings):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, 2 * width, 4, 2, bias=False)]
            layers += [_norm(2 * width, conditions), nn.ReLU()]
            width *= 2
        layers += [ResidualBlock(width, conditions) for _ in range(blocks)]
        for _ in range(halvings):
            layers += [nn.ConvTranspose2d(width, width // 2, 4, 2, 1, bias=False)]
            layers += [_norm(width // 2, conditions), nn.ReLU()]
            width //= 2
        self.main = Chain(*layers, nn.ReflectionPad2d(rim))
        self.last = nn.Conv2d(width, channels + mask, kernel)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """The translation of x (N, C, H, W); condition (N, K) where the network takes one."""
        expected = (self.channels, self.size, self.size)
        if x.shape[1:] != expected:
            raise ValueError(f"Translator: images must be (N, {', '.join(map(str, expected))}), got {x.shape}")
        shape = None if condition is None else condition.shape
        if shape != ((len(x), self.conditions) if self.conditions else None):
            expected = f"({len(x)}, {self.conditions})" if self.conditions else "none"
            raise ValueError(f"Translator: the condition must be {expected}, got {shape}")
        parts = [x]
        if condition is not None:
            parts.append(planes(condition, self.size))
        if self.coordinates is not None:
            parts.append(self.coordinates.expand(len(x), 2, self.size, self.size))
        outputs = self.last(self.main(cat(parts, 1) if len(parts) > 1 else x, condition))
        if not self.mask:
            return tanh(outputs)
        return x + sigmoid(outputs[:, self.channels :] - 3) * (tanh(outputs[:, : self.channels]) - x)


class PatchCritic(nn.Module):
    """Images (N, C, size, size) to raw numbers (N, 1, size / 2^d, size / 2^d), each for one patch of the image."""

    def __init__(self, channels: int = 3, size: int = 32, base: int = 32, halvings: int = 2, norm: bool = True) -> None:
        super().__init__()
        _fits("PatchCritic", size, halvings)
        layers, width = [nn.Conv2d(channels, base, 4, 2, 1), nn.LeakyReLU(0.2)], base
        for _ in range(halvings - 1):
            layers += [nn.Conv2d(width, 2 * width, 4, 2, 1, bias=not norm)]
            layers += [nn.InstanceNorm2d(2 * width)] if norm else []
            layers += [nn.LeakyReLU(0.2)]
            width *= 2
        self.main = nn.Sequential(*layers, nn.Conv2d(width, 1, 3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """One number for each patch of x (N, C, H, W)."""
        return self.main(x)


class AttributeCritic(nn.Module):
    """Images (N, C, size, size) to (one raw number each (N,), a logit for each attribute (N, K)).

    No norm: the gradient penalty is a property of each sample alone. The raw number is the mean over patches.
    """

    def __init__(self, attributes: int, channels: int = 3, size: int = 32, base: int = 32, halvings: int = 3) -> None:
        super().__init__()
        _fits("AttributeCritic", size, halvings)
        layers, width = [], channels
        for level in range(halvings):
            layers += [nn.Conv2d(width, base << level, 4, 2, 1), nn.LeakyReLU(0.2)]
            width = base << level
        self.main = nn.Sequential(*layers)
        self.source = nn.Conv2d(width, 1, 3, 1, 1)
        self.classes = nn.Conv2d(width, attributes, size >> halvings)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(raw numbers (N,), logits (N, K)) of x (N, C, H, W)."""
        features = self.main(x)
        return self.source(features).mean((1, 2, 3)), self.classes(features).flatten(1)


def planes(condition: Tensor, size: int) -> Tensor:
    """Each number of condition (N, K) as a constant plane: (N, K, size, size)."""
    n, k = condition.shape
    return condition.reshape(n, k, 1, 1).expand(n, k, size, size)


def init_(module: nn.Module, generator: Generator) -> nn.Module:
    """The papers' start: convolutions normal(0, 0.02), biases zero; what a condition does normal(0, 0.2). Returns the
    module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            init.normal_(m.weight, 0.0, 0.2 if isinstance(m, nn.Linear) else 0.02, generator)
            if m.bias is not None:
                init.zeros_(m.bias)
    return module


def _norm(channels: int, conditions: int = 0) -> nn.Module:
    return ConditionalNorm(channels, conditions) if conditions else nn.InstanceNorm2d(channels)


def coordinate_planes(size: int) -> np.ndarray:
    """Each pixel's x and y in [-1, 1]: (1, 2, size, size)."""
    line = np.linspace(-1, 1, size, dtype=float32)
    return np.stack(np.meshgrid(line, line))[None]


def _fits(what: str, size: int, halvings: int) -> None:
    if halvings < 1 or size % (1 << halvings) or size >> halvings < 2:
        raise ValueError(f"{what}: size {size} cannot be halved {halvings} times down to at least 2; choose another")
