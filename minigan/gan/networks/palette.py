"""Translation of pixel art: a translator that paints with few colours, and its critic.

Every pixel stays as it is or takes one of K colours of the image's own palette:

    x (N, C, H, H), condition c (N, Q)
      -> 3x3 conv, b -> 4x4 conv of stride 2, 2b -> 4x4 conv of stride 2, 4b -> R residual blocks = h
      -> 4x4 transposed convs back to H, each beside the features of its size on the way down (Ronneberger et al. 2015)
         = u                                                                    (all with ConditionalNorm and ReLU)
    palette  p, (N, K, C): new colours, tanh(two linear layers of the mean of h), and colours of the image,
             sum_j a_j x_j over its pixels j with a = softmax(4 * 1x1 conv of u)
    shares   s = softmax(3x3 conv of u)                        (N, K + 1, H, H), of "as it is" and of the K colours
    x' = s_0 x + sum_k s_k p_k                                 in training
    x' = x where s_0 is the largest share, elsewhere           in evaluation
         sum_k s_k p_k / sum_k s_k

A convolution that paints each pixel by itself gives a hat a hundred colours, and a face that is to stay another
hundred. Here what stays is the same to the bit, and a hat is a blend of a few colours: which, the condition's noise
says. What is under a pair of glasses is skin, and its colour is in the image already.

The blend is what the critic saw. Painted with the colour of the largest share alone, a hat of one shade falls into
stripes of all colours that it is blended of. `few_colours` takes near blends of one picture together.
"""

from __future__ import annotations

import numpy as np

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...functional import leaky_relu, relu, tanh
from ...nn import init
from ...ops.basic import where
from ...ops.elementary import clip
from ...ops.index import cat
from ...ops.reduce import amax, mean, softmax, sum
from .translators import Chain, ConditionalNorm, ResidualBlock, coordinate_planes, planes

STAY, SHARPNESS = 2.0, 4.0
"""How much the logit of "as it is" is ahead of a colour's at the start; the factor of the logits of pixels."""


class PaletteTranslator(nn.Module):
    """Images (N, channels, size, size) in [-1, 1] to images of the same shape, painted with `colours` new colours and
    `own` colours of its own each.

    conditions: numbers a sample that say what to translate to, and noise. base: channels at full size. blocks: residual
    blocks at a quarter of it. Raises ValueError for a size that is no multiple of 4 of at least 8.
    """

    def __init__(
        self,
        channels: int = 3,
        size: int = 16,
        base: int = 16,
        blocks: int = 2,
        conditions: int = 4,
        colours: int = 4,
        own: int = 4,
    ) -> None:
        super().__init__()
        if size % 4 or size < 8:
            raise ValueError(f"PaletteTranslator: size must be a multiple of 4 of at least 8, got {size}")
        self.channels, self.size, self.conditions, self.colours, self.own = channels, size, conditions, colours, own
        self.register_buffer("coordinates", Tensor(coordinate_planes(size)))
        self.first = nn.Conv2d(channels + conditions + 2, base, 3, 1, 1)
        self.half = nn.Conv2d(base, 2 * base, 4, 2, 1)
        self.quarter = nn.Conv2d(2 * base, 4 * base, 4, 2, 1)
        self.blocks = Chain(*(ResidualBlock(4 * base, conditions) for _ in range(blocks)))
        self.wider = nn.ConvTranspose2d(4 * base, 2 * base, 4, 2, 1)
        self.whole = nn.ConvTranspose2d(4 * base, base, 4, 2, 1)
        widths = {"first": base, "half": 2 * base, "quarter": 4 * base, "wider": 2 * base, "whole": base}
        for name, width in widths.items():
            setattr(self, f"{name}_norm", ConditionalNorm(width, conditions))
        self.hidden, self.palette = nn.Linear(4 * base, 64), nn.Linear(64, channels * colours)
        self.pixels = nn.Conv2d(2 * base, own, 1) if own else None
        self.shares = nn.Conv2d(2 * base, colours + own + 1, 3, 1, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        """The translation of x (N, C, H, H) as the condition (N, Q) says."""
        n, expected = len(x), (self.channels, self.size, self.size)
        if x.shape[1:] != expected:
            raise ValueError(f"PaletteTranslator: images must be (N, {', '.join(map(str, expected))}), got {x.shape}")
        if condition.shape != (n, self.conditions):
            raise ValueError(
                f"PaletteTranslator: the condition must be ({n}, {self.conditions}), got {condition.shape}"
            )
        whole = cat([x, planes(condition, self.size), self.coordinates.expand(n, 2, self.size, self.size)], 1)
        first = self._layer("first", whole, condition)
        half = self._layer("half", first, condition)
        h = self.blocks(self._layer("quarter", half, condition), condition)
        u = cat([self._layer("wider", h, condition), half], 1)
        u = cat([self._layer("whole", u, condition), first], 1)
        palette = tanh(self.palette(leaky_relu(self.hidden(mean(h, (2, 3))), 0.2)))
        palette = palette.reshape(n, self.colours, self.channels)
        if self.pixels is not None:
            palette = cat([palette, self._taken(x, u)], 1)
        logits = self.shares(u)
        shares = softmax(cat([logits[:, :1] + STAY, logits[:, 1:]], 1), 1)
        stay, count = shares[:, :1], self.colours + self.own
        blend = sum(shares[:, 1:].reshape(n, count, 1, -1) * palette.reshape(n, count, self.channels, 1), 1)
        blend = blend.reshape(x.shape)
        if self.training:
            return x * stay + blend
        return where(stay > amax(shares[:, 1:], 1, keepdim=True), x, blend / (1 - clip(stay, max=0.5)))

    def _taken(self, x: Tensor, u: Tensor) -> Tensor:
        """Colours (N, own, C) of the pixels of x."""
        n, pixels = len(x), self.size * self.size
        at = softmax(self.pixels(u).reshape(n, self.own, pixels) * SHARPNESS, 2)
        return sum(at.reshape(n, self.own, 1, pixels) * x.reshape(n, 1, self.channels, pixels), 3)

    def _layer(self, name: str, x: Tensor, condition: Tensor) -> Tensor:
        return relu(getattr(self, f"{name}_norm")(getattr(self, name)(x), condition))


def few_colours(images: np.ndarray, translations: np.ndarray, distance: float = 0.2) -> np.ndarray:
    """Translations (N, C, H, W) whose painted pixels, those unlike the images', have few colours: of each, those that
    are near become their mean, until groups of them are `distance` apart on average (Sokal & Michener 1958). In units
    of pixels in [-1, 1]: 0.2 is 25 of 255 grey levels."""
    from scipy.cluster.hierarchy import fcluster, linkage

    translations = translations.copy()
    for before, after in zip(images, translations, strict=True):
        painted = (before != after).any(0)
        colours = after[:, painted].T
        if len(colours) > 1:
            groups = fcluster(linkage(colours, "average"), distance, "distance")
            after[:, painted] = np.stack([colours[groups == g].mean(0) for g in range(1, groups.max() + 1)])[
                groups - 1
            ].T
    return translations


class PaletteCritic(nn.Module):
    """Images (N, C, size, size) to (one raw number each (N,), a number for each attribute (N, K)).

    3x3 conv, b -> 4x4 conv of stride 2, 2b -> the same, 4b -> 3x3 conv, 4b (leaky ReLU 0.2, no norm) -> both numbers
    from all that is left of the image: what is a hat depends on where the head is.
    """

    def __init__(self, attributes: int, channels: int = 3, size: int = 16, base: int = 32) -> None:
        super().__init__()
        if size % 4 or size < 8:
            raise ValueError(f"PaletteCritic: size must be a multiple of 4 of at least 8, got {size}")
        self.main = nn.Sequential(
            nn.Conv2d(channels, base, 3, 1, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(base, 2 * base, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(2 * base, 4 * base, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(4 * base, 4 * base, 3, 1, 1),
            nn.LeakyReLU(0.2),
        )
        self.source = nn.Conv2d(4 * base, 1, size // 4)
        self.classes = nn.Conv2d(4 * base, attributes, size // 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(raw numbers (N,), numbers (N, K)) of x (N, C, H, W)."""
        features = self.main(x)
        return self.source(features).flatten(1)[:, 0], self.classes(features).flatten(1)


def start_(module: nn.Module, generator: Generator) -> nn.Module:
    """He's start for every layer, biases zero, shares nearly the same for all colours. Returns the module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            init.kaiming_normal_(m.weight, 0.2, generator=generator)
            if m.bias is not None:
                init.zeros_(m.bias)
    if isinstance(module, PaletteTranslator):
        init.normal_(module.shares.weight, 0.0, 0.02, generator)
    return module
