"""Residual networks of 101 layers: the last column of the robustness grid (Gulrajani et al. 2017, figure 2).

    block   x -> shortcut(x) + 0.3 conv1(relu(norm(conv3(relu(norm(conv1(relu(norm(x)))))))))   half the channels inside
    G: z -> linear W x 4 x 4 -> 33 blocks -> norm, ReLU, conv3, tanh    D: x -> conv3 -> 33 blocks -> ReLU, mean, linear

33 blocks of three convolutions, the first and the last layer are 101. As in He et al. 2016 (table 1: 3, 4, 23, 3) there
are 3 blocks of each size 4 ... size, and all others are of size 8. The last block of a size doubles it in G, nearest
neighbour, and halves it in D, mean of 2 x 2. Widths are those of gan/networks/resnet.py. The factor 0.3 is of the
authors' code: with 1, thirty-three blocks of He's start would multiply the variance by 2^33.
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...functional import avg_pool2d, interpolate, relu
from ...ops.reduce import mean
from .dcgan import levels_of
from .resnet import WIDEST

BLOCKS, FEW, SHARE = 33, 3, 0.3


class Bottleneck(nn.Module):
    """(N, inputs, H, W) -> (N, outputs, H, W), doubled or halved where `scale` is 2 or -2."""

    def __init__(self, inputs: int, outputs: int, scale: int = 1, norm: bool = False) -> None:
        super().__init__()
        inner, self.scale = max(1, outputs // 2), scale
        sizes = (inputs, inner, inner)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) if norm else nn.Identity() for n in sizes)
        self.reduce, self.middle = nn.Conv2d(inputs, inner, 1), nn.Conv2d(inner, inner, 3, 1, 1)
        self.expand, self.relu = nn.Conv2d(inner, outputs, 1), nn.ReLU()
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x, scaled, plus 0.3 of what the three convolutions make of it."""
        inner = self.reduce(self.relu(self.norms[0](x)))
        if self.scale == 2:
            inner, x = (interpolate(part, scale_factor=2) for part in (inner, x))
        inner = self.expand(self.relu(self.norms[2](self.middle(self.relu(self.norms[1](inner))))))
        if self.scale == -2:
            inner, x = (avg_pool2d(part, 2) for part in (inner, x))
        return self.shortcut(x) + SHARE * inner


def _blocks(widths: list[int], many: int, scale: int, norm: bool) -> nn.Sequential:
    """33 blocks over the sizes of which `widths` are the channels, most of them of size number `many`; all sizes but
    the last end with a scaled block."""
    blocks, inputs = [], widths[0]
    for k, width in enumerate(widths):
        count = FEW if k != many else BLOCKS - FEW * (len(widths) - 1)
        for turn in range(count):
            last = turn == count - 1 and k < len(widths) - 1
            outputs = widths[k + 1] if last else width
            blocks.append(Bottleneck(inputs, outputs, scale if last else 1, norm))
            inputs = outputs
    return nn.Sequential(*blocks)


def _widths(size: int, base: int, what: str) -> list[int]:
    """Channels at 4, 8, ... size."""
    levels = levels_of(size, what)
    return [base * min(WIDEST, 1 << max(0, levels - 1 - k)) for k in range(levels + 1)]


class DeepGenerator(nn.Module):
    """Latent vectors (N, latent) to images (N, channels, size, size) in (-1, 1). Raises ValueError for a size that does
    not halve to 4."""

    def __init__(self, latent: int = 100, channels: int = 1, size: int = 32, base: int = 32) -> None:
        super().__init__()
        widths = _widths(size, base, "DeepGenerator")
        self.latent, self.width = latent, widths[0]
        self.start = nn.Linear(latent, widths[0] * 16)
        self.blocks = _blocks(widths, 1, 2, True)
        self.end = nn.Sequential(nn.BatchNorm2d(base), nn.ReLU(), nn.Conv2d(base, channels, 3, 1, 1), nn.Tanh())

    def forward(self, z: Tensor) -> Tensor:
        """Images for latent vectors z (N, latent)."""
        if z.ndim != 2 or z.shape[1] != self.latent:
            raise ValueError(f"DeepGenerator: z must be (N, {self.latent}), got {z.shape}")
        return self.end(self.blocks(self.start(z).reshape(z.shape[0], self.width, 4, 4)))


class DeepCritic(nn.Module):
    """Images (N, channels, size, size) to one raw number each (N,); `norm` puts batch norm before the rectifiers of all
    blocks."""

    def __init__(self, channels: int = 1, size: int = 32, base: int = 32, norm: bool = False) -> None:
        super().__init__()
        widths = _widths(size, base, "DeepCritic")[::-1]
        self.start = nn.Conv2d(channels, widths[0], 3, 1, 1)
        self.blocks = _blocks(widths, len(widths) - 2, -2, norm)
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
        return mean(relu(self.blocks(self.start(x))), (2, 3))

    def score(self, features: Tensor) -> Tensor:
        """What the last layer makes of features (N, F): (N,)."""
        return self.end(features).reshape(features.shape[0])
