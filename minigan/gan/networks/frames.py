"""CycleGAN's translators: a frame that resizes and moves an image on its page, and a network that draws on it.

    frame:    x (N, C, H, W) -> x' = A x B',  A (H, H) of the rows and B (W, W) of the columns alike, m the middle
              a_ij = max(0, 1 - |u_i - j| / r) / r,   u_i = (i - m - d) / k + m,   r = max(1, 1 / k)
    painter:  x -> tanh(2 x' + h(x')),  h a translator's layers (translators.py)

Row i of x' is a mean of the rows around row u_i of x, so that the image is k times as large, and d pixels further. The
mean is over 1 / k rows where it gets smaller, and interpolates where it gets larger; outside, the page is empty.
k and d are learnt by the gradient, like weights: a spatial transformer (Jaderberg et al. 2015) that treats all images
alike. The frame back is the inverse of the frame there. A network of convolutions alone has to carry each pixel to its
new place, and can tell one place from another only by its borders.

The painter starts near the image in its frame, at its colours; a network that has to make them anew mixes them up.
"""

from __future__ import annotations

import math

import numpy as np

from ... import nn
from ...autograd import Tensor
from ...backend import float32
from ...functional import relu, tanh
from ...ops.elementary import abs, exp, maximum
from ...ops.index import cat
from .translators import Translator

RATE, START, GAIN = 10, 0.9, 2
"""A frame learns so many times as fast as a weight. It starts at this size, since at 1 its weights have a kink, and no
slope. And the image's part before tanh."""


class Frame(nn.Module):
    """Images (N, C, size, size) drawn k times as large and d pixels further on a page of grey level `background`.

    log k = 10 `scale` and d = 10 `shift`, both (2,), of rows and columns.
    """

    def __init__(self, size: int, background: float = 1.0) -> None:
        super().__init__()
        self.background = background
        self.scale = nn.Parameter(np.full(2, math.log(START) / RATE, float32))
        self.shift = nn.Parameter(np.zeros(2, float32))
        self.register_buffer("places", Tensor(np.arange(size, dtype=float32)))

    def weights(self, axis: int, inverse: bool = False) -> Tensor:
        """(size, size): how much of each row (axis 0) or column (1) goes into each of the output's."""
        middle, log_k, d = (len(self.places) - 1) / 2, RATE * self.scale[axis], RATE * self.shift[axis]
        step = exp(log_k if inverse else -log_k)
        read = step * (self.places - middle) + middle + (d if inverse else -step * d)
        width = maximum(step, 1.0)
        return relu(1 - abs(read.reshape(-1, 1) - self.places) / width) / width

    def forward(self, x: Tensor, inverse: bool = False) -> Tensor:
        """x (N, C, size, size) in the frame; out of it if `inverse`."""
        return self.weights(0, inverse) @ (x - self.background) @ self.weights(1, inverse).T + self.background


class Painter(Translator):
    """Images (N, channels, size, size) in [-1, 1] to images of the same shape: a frame, or its inverse, or none, and
    then a drawing. The other settings are a `Translator`'s; halved once, with planes of coordinates."""

    def __init__(
        self, channels: int, size: int, base: int, blocks: int, frame: Frame | None = None, inverse: bool = False
    ) -> None:
        super().__init__(channels, size, base, blocks, halvings=1, coordinates=True)
        self.frame, self.inverse = frame, inverse

    def forward(self, x: Tensor) -> Tensor:
        """The translation of x (N, C, H, W)."""
        expected = (self.channels, self.size, self.size)
        if x.shape[1:] != expected:
            raise ValueError(f"Painter: images must be (N, {', '.join(map(str, expected))}), got {x.shape}")
        return self.draw(x if self.frame is None else self.frame(x, self.inverse))

    def draw(self, x: Tensor) -> Tensor:
        """x (N, C, H, W) drawn on, where it lies."""
        places = self.coordinates.expand(len(x), *self.coordinates.shape[1:])
        return tanh(GAIN * x + self.last(self.main(cat([x, places], 1))))
