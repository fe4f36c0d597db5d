"""Style-based generator and its critic, a small version of StyleGAN2 (Karras et al. 2019; Karras et al. 2020).

    w = f(z)                          mapping: z scaled to length sqrt(latent), then perceptron layers
    x <- leaky(up(modulated conv(x, s_l(w_l))) + noise strength_l N(0, 1) + bias)                 layers l = 0, 1, ...
    image <- up(image) + modulated 1x1 conv(x, w_l), undemodulated                                once a resolution
    G(z) = tanh(image)

Layer 0 starts from a learnt 4 x 4 input that is the same for all images. Then come two layers a resolution, the first
of them with a doubling (nearest neighbour), so 32 x 32 pixels have 7. A style w may be another one for each layer:
coarse layers say how a face is built, fine ones its colours. Channels are base / 2 at the image's size and double with
each halving, up to 4 base: for base 32 and 32 x 32 pixels 128, 64, 32, 16.

The critic halves by 4 x 4 convolutions, as DCGAN's does; before its last layers each 4 x 4 image gets a channel that
says how much the batch varies, `minibatch_deviation` (Karras et al. 2018, section 3). Left out of the papers' networks:
blurs, residual blocks in the critic, learning rates equalised by the size of a layer, gains that make up for what a
rectifier takes, the deviation's groups of 4.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ... import nn
from ...autograd import Tensor, array_of
from ...backend import Generator, on
from ...creation import randn, zeros
from ...functional import leaky_relu, modulated_conv2d, rms_norm, tanh
from ...nn import init
from ...ops.basic import broadcast_to, where
from ...ops.elementary import sqrt, square
from ...ops.index import cat
from ...ops.reduce import mean
from ...ops.shape import permute, reshape, unsqueeze
from .dcgan import levels_of

SLOPE, WIDEST = 0.2, 4
"""Of the leaky rectifiers; the most channels, as a multiple of `base`."""


def widths_of(size: int, base: int, what: str) -> list[int]:
    """Channels at 4, 8, ..., size pixels."""
    return [min(WIDEST * base, max(1, base << k >> 1)) for k in range(levels_of(size, what), -1, -1)]


def doubled(x: Tensor) -> Tensor:
    """(N, C, H, W) to (N, C, 2 H, 2 W), each pixel a block of 2 x 2: nearest neighbour, whose gradient is a sum of
    blocks."""
    n, channels, height, width = x.shape
    pixels = reshape(permute(x, 0, 2, 3, 1), (n, height, 1, width, 1, channels))  # as an image lies in memory
    blocks = broadcast_to(pixels, (n, height, 2, width, 2, channels))
    return permute(reshape(blocks, (n, 2 * height, 2 * width, channels)), 0, 3, 1, 2)


class Mapping(nn.Module):
    """Latents (N, latent) to styles (N, width) by `depth` layers; only the direction of a latent counts."""

    def __init__(self, latent: int, width: int, depth: int) -> None:
        super().__init__()
        sizes = [latent, *[width] * depth]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(sizes))

    def forward(self, z: Tensor) -> Tensor:
        w = rms_norm(z, z.shape[-1:], eps=1e-8)
        for layer in self.layers:
            w = leaky_relu(layer(w), SLOPE)
        return w


class StyleLayer(nn.Module):
    """(N, inputs, S, S) and styles (N, width) to (N, outputs, S, S), or (N, outputs, 2 S, 2 S) if `up`; side: of the
    output.

    In training each image's noise is drawn anew from `random`; in evaluation it is the buffer `noise`, the same for all
    images, so that an image is a function of its latent.
    """

    noise: Tensor

    def __init__(
        self, inputs: int, outputs: int, width: int, side: int, up: bool, random: Generator | None = None
    ) -> None:
        super().__init__()
        self.up, self.side, self.random = up, side, random
        self.style = nn.Linear(width, inputs)
        self.weight = nn.Parameter(zeros(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(zeros(outputs))
        self.strength = nn.Parameter(zeros(1))
        self.register_buffer("noise", zeros(1, 1, side, side))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        y = modulated_conv2d(x, self.weight, self.style(w), padding=1)
        y = doubled(y) if self.up else y
        noise = self.noise
        if self.training:
            noise = randn(y.shape[0], 1, self.side, self.side, generator=self.random, dtype=y.dtype)
        return leaky_relu(y + self.strength * noise + reshape(self.bias, (1, -1, 1, 1)), SLOPE)


class ToImage(nn.Module):
    """(N, inputs, S, S) and styles (N, width) to a part of the image, (N, channels, S, S)."""

    def __init__(self, inputs: int, channels: int, width: int) -> None:
        super().__init__()
        self.style = nn.Linear(width, inputs)
        self.weight = nn.Parameter(zeros(channels, inputs, 1, 1))
        self.bias = nn.Parameter(zeros(channels))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return modulated_conv2d(x, self.weight, self.style(w), self.bias, demodulate=False)


class StyleGenerator(nn.Module):
    """Latents to images (N, channels, size, size) in (-1, 1). Raises ValueError for a size that does not halve to 4.

    depth: layers of the mapping. random: of the noise in training, the default generator if None.
    """

    def __init__(
        self,
        latent: int = 64,
        channels: int = 3,
        size: int = 32,
        base: int = 32,
        depth: int = 3,
        random: Generator | None = None,
    ) -> None:
        super().__init__()
        widths = widths_of(size, base, "StyleGenerator")
        self.latent, self.width = latent, latent
        self.mapping = Mapping(latent, self.width, depth)
        self.start = nn.Parameter(zeros(1, widths[0], 4, 4))
        layers = [StyleLayer(widths[0], widths[0], self.width, 4, False, random)]
        for k, (inputs, outputs) in enumerate(pairwise(widths), 1):
            layers.append(StyleLayer(inputs, outputs, self.width, 4 << k, True, random))
            layers.append(StyleLayer(outputs, outputs, self.width, 4 << k, False, random))
        self.layers = nn.ModuleList(layers)
        self.to_image = nn.ModuleList(ToImage(inputs, channels, self.width) for inputs in widths)

    def styles(self, z: Tensor) -> Tensor:
        """The styles (N, layers, width) for latents z (N, latent), one for all layers, or (N, layers, latent)."""
        count = len(self.layers)
        if z.shape[1:] not in ((self.latent,), (count, self.latent)):
            raise ValueError(
                f"StyleGenerator: z must be (N, {self.latent}), or (N, {count}, {self.latent}) with one for each layer,"
                f" got {z.shape}"
            )
        w = reshape(self.mapping(reshape(z, (-1, self.latent))), (*z.shape[:-1], self.width))
        return w if w.ndim == 3 else broadcast_to(unsqueeze(w, 1), (z.shape[0], count, self.width))

    def synthesis(self, w: Tensor) -> Tensor:
        """Images for styles w (N, layers, width)."""
        x = broadcast_to(self.start, (w.shape[0], *self.start.shape[1:]))
        image = None
        for number, layer in enumerate(self.layers):
            x = layer(x, w[:, number])
            if number % 2 == 0:  # the last layer of its resolution
                part = self.to_image[number // 2](x, w[:, number])
                image = part if image is None else doubled(image) + part
        return tanh(image)

    def forward(self, z: Tensor) -> Tensor:
        """Images for latents z (N, latent), or (N, layers, latent) with one for each layer."""
        return self.synthesis(self.styles(z))


class Truncated(nn.Module):
    """A style-based generator whose styles are drawn towards a centre (width,):  w <- centre + psi (w - centre).

    psi 1 leaves them; at 0 all images are the centre's (Karras et al. 2019, appendix B).
    """

    def __init__(self, generator: StyleGenerator, centre: Tensor, psi: float) -> None:
        super().__init__()
        self.generator, self.psi = generator, psi
        self.register_buffer("centre", centre)

    def forward(self, z: Tensor) -> Tensor:
        return self.generator.synthesis(self.centre + self.psi * (self.generator.styles(z) - self.centre))


def crossed(first: Tensor, second: Tensor, at: Tensor, layers: int, share: float) -> Tensor:
    """A latent for each layer (N, layers, latent): `first` (N, latent) up to a random layer and `second` after it, in
    `share` of the rows; `first` in all layers of the others.

    at: (N,) uniform on [0, 1), one number a sample for both choices. Layer 0 is always the first's.
    """
    place = Tensor(on(array_of(at), np.arange(layers, dtype=at.dtype)))
    keep = unsqueeze(place, 0) <= unsqueeze(at, 1) * ((layers - 1) / share)
    return where(unsqueeze(keep, 2), unsqueeze(first, 1), unsqueeze(second, 1))


def minibatch_deviation(x: Tensor) -> Tensor:
    """x (N, C, H, W) with one more channel, of one number: the standard deviation over the N samples, a mean over C, H
    and W."""
    n, _, height, width = x.shape
    deviation = sqrt(mean(square(x - mean(x, 0, keepdim=True)), 0, keepdim=True) + 1e-8)
    return cat([x, broadcast_to(mean(deviation, (1, 2, 3), keepdim=True), (n, 1, height, width))], 1)


class StyleCritic(nn.Module):
    """Images (N, channels, size, size) to one raw number each, (N,), which depends on its batch by one channel."""

    def __init__(self, channels: int = 3, size: int = 32, base: int = 32) -> None:
        super().__init__()
        widths = [channels, *(min(WIDEST * base, base << k) for k in range(levels_of(size, "StyleCritic")))]
        layers = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        self.halving = nn.Sequential(*layers)
        top = widths[-1]
        self.end = nn.Sequential(nn.Conv2d(top + 1, top, 3, 1, 1), nn.LeakyReLU(SLOPE), nn.Conv2d(top, 1, 4, 1, 0))

    def forward(self, x: Tensor) -> Tensor:
        """One number per image of x (N, C, H, W)."""
        return reshape(self.end(minibatch_deviation(self.halving(x))), (x.shape[0],))


def style_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """Weights normal with variance 1 / fan_in, where a rectifier follows and no demodulation 2 / ((1 + 0.2^2) fan_in);
    the learnt 4 x 4 input and the noise of evaluation standard normal; styles start at 1, all other biases and the
    strengths of noise at 0. Returns the module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.Linear, StyleLayer, ToImage)):
            rectified = isinstance(m, nn.Conv2d) or (isinstance(module, StyleGenerator) and m in module.mapping.layers)
            init.kaiming_normal_(
                m.weight, SLOPE, nonlinearity="leaky_relu" if rectified else "linear", generator=generator
            )
            init.zeros_(m.bias)
        if isinstance(m, StyleLayer):
            m.noise.assign(generator.normal(m.noise.shape))
        elif isinstance(m, StyleGenerator):
            init.normal_(m.start, generator=generator)
    for m in module.modules():
        if isinstance(m, (StyleLayer, ToImage)):
            init.ones_(m.style.bias)
    return module
