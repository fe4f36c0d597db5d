"""A network that says for each pixel of the next frame where it comes from (Finn et al. 2016; Vondrick & Torralba
2017).

    past frames, noise -> logits (N, 49, S, S) -> w = softmax over the 49 displacements d, each at most 3 pixels an axis
    next(x) = sum over d of w_d(x) last(x - d)                              what lies off the page is background

All colours come from the last frame, so the network has motion alone to learn. Weights near 0 and 1 move an image;
weights in between average its possible places: the blur of the squared error's mean can be seen in them.

    past -> b x S/2 x S/2 -> 2 b x S/4 x S/4 -> 4 b x S/8 x S/8, noise -> 2 b x S/4 x S/4 -> 49 x S/4 x S/4, bilinear
"""

from __future__ import annotations

import numpy as np

from ... import nn
from ...autograd import Tensor
from ...data.moving import REACH, VELOCITIES
from ...functional import conv2d, interpolate, leaky_relu, softmax
from ...ops.index import cat
from ...ops.reduce import sum
from .translators import coordinate_planes

NOISE = 4
"""Numbers of noise a sample, a constant plane each."""


class Transporter(nn.Module):
    """Past frames (N, P channels, size, size), oldest first, and noise (N, 4) to the next (N, channels, size, size).

    background: of the page, in [-1, 1]. Raises ValueError for a size that is no multiple of 8.
    """

    def __init__(
        self, channels: int = 1, past: int = 2, size: int = 32, base: int = 16, background: float = -1.0
    ) -> None:
        super().__init__()
        if size % 8:
            raise ValueError(f"Transporter: the size must be a multiple of 8, got {size}")
        self.channels, self.past, self.size, self.background = channels, past, size, background
        self.register_buffer("coordinates", Tensor(coordinate_planes(size)))
        self.register_buffer("displaced", Tensor(displacements()))
        self.first = nn.Conv2d(past * channels + 2, base, 4, 2, 1)
        self.second = nn.Conv2d(base, 2 * base, 4, 2, 1)
        self.third = nn.Conv2d(2 * base, 4 * base, 4, 2, 1)
        self.inner = nn.Conv2d(4 * base + NOISE, 4 * base, 3, 1, 1)
        self.back = nn.ConvTranspose2d(4 * base, 2 * base, 4, 2, 1)
        self.last = nn.Conv2d(2 * base, len(VELOCITIES), 3, 1, 1)

    def forward(self, past: Tensor, noise: Tensor) -> Tensor:
        """The next frame."""
        n, side = len(past), self.size
        expected = (self.past * self.channels, side, side)
        if past.shape[1:] != expected or noise.shape != (n, NOISE):
            raise ValueError(
                f"Transporter: expects frames (N, {', '.join(map(str, expected))}) and noise (N, {NOISE}), got"
                f" {past.shape} and {noise.shape}"
            )
        h = leaky_relu(self.first(cat([past, self.coordinates.expand(n, 2, side, side)], 1)), 0.2)
        quarter = leaky_relu(self.second(h), 0.2)
        eighth = leaky_relu(self.third(quarter), 0.2)
        planes = noise.reshape(n, NOISE, 1, 1).expand(n, NOISE, side // 8, side // 8)
        eighth = leaky_relu(self.inner(cat([eighth, planes], 1)), 0.2)
        logits = self.last(leaky_relu(quarter + self.back(eighth), 0.2))
        weights = softmax(interpolate(logits, scale_factor=4, mode="bilinear"), 1)
        return self.background + moved(past[:, -self.channels :] - self.background, weights, self.displaced)


def displacements() -> np.ndarray:
    """Kernels (49, 1, 7, 7) with a single 1, whose convolution moves an image by each of VELOCITIES."""
    kernels = np.zeros((len(VELOCITIES), 1, 2 * REACH + 1, 2 * REACH + 1), np.float32)
    for kernel, (y, x) in zip(kernels[:, 0], VELOCITIES, strict=True):
        kernel[REACH - y, REACH - x] = 1
    return kernels


def moved(image: Tensor, weights: Tensor, displaced: Tensor) -> Tensor:
    """sum over d of w_d(x) image(x - d) for images (N, C, S, S), zero off the page, and weights (N, 49, S, S), which
    are in the order of VELOCITIES, as the kernels of `displacements` are."""
    n, c, side, _ = image.shape
    count = len(VELOCITIES)
    pages = conv2d(image.reshape(n * c, 1, side, side), displaced, padding=REACH).reshape(n, c, count, side, side)
    return sum(pages * weights.reshape(n, 1, count, side, side), 2)
