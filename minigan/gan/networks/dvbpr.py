"""The networks of DVBPR, which draw garments of a class (Kang et al. 2017, table 1; all filters 5 x 5).

    G: z, y -> linear 256 x 8 x 8 -> deconv 256, stride 2 -> 256, 1 -> 256, 2 -> 256, 1 -> 128, 2 -> 64, 2 -> 3, 1, tanh
    D: x 3 x 128 x 128, y -> conv 64, stride 2 -> 128, 2 -> 256, 2 -> 512, 2 -> linear 1024 -> linear 1

Batch norm stands after every layer of G but the last, and after the second to the fourth convolution of D; then ReLU in
G and leaky ReLU 0.2 in D. The one-hot label y joins the input of every layer of D but the last: as constant planes in
front of a convolution, as numbers in front of the linear layer.

The numbers are those of size 128 and base 64. Elsewhere widths are multiples of `base`, and G begins at size / 16.
"""

from __future__ import annotations

from itertools import pairwise

from ... import nn
from ...autograd import Tensor
from ...functional import leaky_relu
from ...ops.index import cat
from .dcgan import levels_of
from .heads import check_labels, planes

DECONVOLUTIONS = ((4, 2), (4, 1), (4, 2), (4, 1), (2, 2), (1, 2))
"""Of G before its last: channels as a multiple of `base`, stride."""

CONVOLUTIONS, HIDDEN = (1, 2, 4, 8), 16
"""Of D: channels of each convolution and units of the linear layer, as multiples of `base`."""


def start_of(size: int, what: str) -> int:
    """Height and width of the first feature maps: four doublings below the image. ValueError below 16 pixels."""
    levels_of(size, what)
    if size < 16:
        raise ValueError(f"{what}: the image size must be at least 16, got {size}")
    return size // 16


class DVBPRGenerator(nn.Module):
    """Latents with one-hot labels behind them (N, latent + classes) to images (N, channels, size, size) in (-1, 1)."""

    def __init__(self, inputs: int, channels: int = 3, size: int = 128, base: int = 64) -> None:
        super().__init__()
        self.inputs, self.start, width = inputs, start_of(size, "DVBPRGenerator"), 4 * base
        self.project = nn.Linear(inputs, width * self.start**2, bias=False)
        layers = [nn.BatchNorm2d(width), nn.ReLU()]
        for multiple, stride in DECONVOLUTIONS:
            inner, width = width, multiple * base
            deconvolution = nn.ConvTranspose2d(inner, width, 5, stride, 2, output_padding=stride - 1, bias=False)
            layers += [deconvolution, nn.BatchNorm2d(width), nn.ReLU()]
        self.main = nn.Sequential(*layers, nn.ConvTranspose2d(width, channels, 5, 1, 2), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Images for latents and labels z."""
        if z.ndim != 2 or z.shape[1] != self.inputs:
            raise ValueError(f"DVBPRGenerator: z must be (N, {self.inputs}), got {z.shape}")
        return self.main(self.project(z).reshape(z.shape[0], -1, self.start, self.start))


class DVBPRCritic(nn.Module):
    """Images (N, channels, size, size) and one-hot labels (N, classes) to one raw number each (N,)."""

    def __init__(self, channels: int, classes: int, size: int = 128, base: int = 64) -> None:
        super().__init__()
        self.classes, start = classes, start_of(size, "DVBPRCritic")
        widths = (channels, *(multiple * base for multiple in CONVOLUTIONS))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(a + classes, b, 5, 2, 2, bias=k == 0) for k, (a, b) in enumerate(pairwise(widths))
        )
        self.norms = nn.ModuleList([nn.Identity(), *(nn.BatchNorm2d(width) for width in widths[2:])])
        self.hidden = nn.Linear(widths[-1] * start**2 + classes, HIDDEN * base)
        self.last = nn.Linear(HIDDEN * base, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """One number per pair of an image and a label."""
        check_labels("DVBPRCritic", y, x, self.classes)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = leaky_relu(norm(convolution(cat([x, planes(y, x)], 1))), 0.2)
        x = leaky_relu(self.hidden(cat([x.flatten(1), y], 1)), 0.2)
        return self.last(x).reshape(x.shape[0])
