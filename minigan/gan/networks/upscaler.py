"""Networks that enlarge images (Shi et al. 2016; Ledig et al. 2017): they think at the small size, and shuffle last.

    head     conv 3x3, C -> b, leaky-ReLU                                  b x S x S
    body     residual blocks  h + conv(leaky-ReLU(conv h))                 b x S x S
    up       conv 3x3, b -> 4 b, pixel shuffle, leaky-ReLU                 b x 2 S x 2 S, once for each doubling
    tail     conv 3x3, b -> C, added to the bilinear enlargement of the input

A pixel shuffle is a fractionally strided convolution of kernel 2 x 2: each output pixel has a filter of its own, and
none falls between two. Nothing depends on the size, so a trained network takes images of any; no norm, so that each
pixel depends on its surroundings alone, `reach` small pixels to each side."""

from __future__ import annotations

import math

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...functional import interpolate, leaky_relu, pixel_shuffle
from ...nn import init


class PlainBlock(nn.Module):
    """h + conv(leaky-ReLU(conv h)), (N, channels, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        """h and what the block adds to it."""
        return h + self.second(leaky_relu(self.first(h), 0.2))


class Upscaler(nn.Module):
    """Images (N, channels, H, W) to (N, channels, scale H, scale W). Raises ValueError for a scale that is no power of
    two from 2 on."""

    def __init__(self, channels: int = 1, scale: int = 4, base: int = 32, blocks: int = 3) -> None:
        super().__init__()
        doublings = doublings_of(scale, "Upscaler")
        self.channels, self.scale = channels, scale
        self.reach = 1 + 2 * blocks + math.ceil(sum(0.5**k for k in range(doublings + 1)))
        self.head = nn.Conv2d(channels, base, 3, 1, 1)
        self.body = nn.Sequential(*(PlainBlock(base) for _ in range(blocks)))
        self.up = nn.Sequential(*(nn.Conv2d(base, 4 * base, 3, 1, 1) for _ in range(doublings)))
        self.tail = nn.Conv2d(base, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The enlargement of x."""
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise ValueError(f"Upscaler: images must be (N, {self.channels}, H, W), got {x.shape}")
        h = self.body(leaky_relu(self.head(x), 0.2))
        for conv in self.up:
            h = leaky_relu(pixel_shuffle(conv(h), 2), 0.2)
        return interpolate(x, scale_factor=self.scale, mode="bilinear") + self.tail(h)


def doublings_of(scale: int, what: str) -> int:
    """How often an image is doubled. Raises ValueError, naming `what`, for a scale that is no power of two from 2
    on."""
    if scale < 2 or scale & (scale - 1):
        raise ValueError(f"{what}: the scale must be a power of two from 2 on, got {scale}")
    return scale.bit_length() - 1


def upscaler_init_(module: Upscaler, generator: Generator) -> Upscaler:
    """He's start for leaky-ReLU; a tenth of it for the second convolution of a block and the tail, so that the network
    begins near the bilinear enlargement; biases zero. Returns the module."""
    for name, m in module.named_modules():
        if isinstance(m, nn.Conv2d):
            init.kaiming_normal_(m.weight, 0.2, generator=generator)
            if name == "tail" or name.endswith("second"):
                m.weight.assign(m.weight.detach() * 0.1)
            init.zeros_(m.bias)
    return module
