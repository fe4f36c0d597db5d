"""An autoencoder whose code is a small map of entries of a table: the networks of `vqgan` (van den Oord et al. 2017).

    encoder   C x S x S -> base x S/2 x S/2 -> ... -> W x 4 x 4 -> batch norm of D x 4 x 4   DCGANCritic's convolutions
    codebook  K x D: each of the 4 x 4 places is replaced by its nearest entry
    decoder   D x 4 x 4 -> W x 4 x 4 -> ... -> base x S/2 x S/2 -> C x S x S, tanh        DCGANGenerator's, mirrored

So an image is 16 whole numbers below K, 16 log2 K bits. The batch norm without weights keeps the encoder's outputs at
mean 0 and variance 1, where the table's entries begin: an entry that lies elsewhere is nearest to nothing, is never
moved, and is lost.
"""

from __future__ import annotations

from ... import nn
from ...autograd import Tensor
from ...backend import Generator
from ...creation import randn
from ...functional import one_hot
from ...ops.basic import cast
from ...ops.elementary import square
from ...ops.matmul import matmul
from ...ops.reduce import argmin, sum
from ...ops.shape import transpose
from .dcgan import dcgan_init_, levels_of
from .heads import body

SIDE = 4
"""Height and width of the map of codes."""


class QuantisedCodec(nn.Module):
    """Encoder, codebook and decoder as one player. Codes are rows (N, 16 D), one place of the map after another.

    entries: K of the codebook. width: D of each entry.
    """

    def __init__(self, channels: int = 1, size: int = 32, base: int = 16, entries: int = 64, width: int = 8) -> None:
        super().__init__()
        self.entries, self.width = entries, width
        convolutions, inner = body(channels, size, base, norm=True)
        self.encoder = nn.Sequential(
            convolutions, nn.Conv2d(inner, width, 1, bias=False), nn.BatchNorm2d(width, affine=False)
        )
        self.codebook = nn.Parameter(randn(entries, width))
        layers = [nn.Conv2d(width, inner, 3, 1, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()]
        for _ in range(levels_of(size, "QuantisedCodec") - 1):
            halved = nn.ConvTranspose2d(inner, inner // 2, 4, 2, 1, bias=False)
            layers += [halved, nn.BatchNorm2d(inner // 2), nn.ReLU()]
            inner //= 2
        self.decoder = nn.Sequential(*layers, nn.ConvTranspose2d(inner, channels, 4, 2, 1), nn.Tanh())

    @property
    def last(self) -> nn.Parameter:
        """The weight of the decoder's last layer, where the adaptive weight compares gradients."""
        return self.decoder[-2].weight

    def encode(self, x: Tensor) -> Tensor:
        """Codes (N, 16 D) of images x before they are replaced."""
        return transpose(self.encoder(x).flatten(2), 1, 2).flatten(1)

    def decode(self, codes: Tensor) -> Tensor:
        """Images (N, C, S, S) of codes (N, 16 D), as they are."""
        places = transpose(codes.reshape(codes.shape[0], SIDE * SIDE, self.width), 1, 2)
        return self.decoder(places.reshape(codes.shape[0], self.width, SIDE, SIDE))

    def chosen(self, codes: Tensor) -> Tensor:
        """The nearest entry of each place, as one-hot rows (16 N, K)."""
        rows = codes.detach().reshape(-1, self.width)
        book = self.codebook.detach()
        distances = sum(square(book), 1) - 2 * matmul(rows, transpose(book, 0, 1))  # less |row|^2, alike for all
        return cast(one_hot(argmin(distances, 1), self.entries), codes.dtype)

    def entry(self, chosen: Tensor) -> Tensor:
        """Codes (N, 16 D) of the chosen entries, through which gradients reach the codebook."""
        return matmul(chosen, self.codebook).reshape(-1, SIDE * SIDE * self.width)

    def forward(self, codes: Tensor) -> Tensor:
        """Images (N, C, S, S) in (-1, 1) of codes (N, 16 D), each place replaced by its nearest entry."""
        if codes.ndim != 2 or codes.shape[1] != SIDE * SIDE * self.width:
            raise ValueError(f"QuantisedCodec: codes must be (N, {SIDE * SIDE * self.width}), got {codes.shape}")
        return self.decode(self.entry(self.chosen(codes)))


def quantiser_init_(module: QuantisedCodec, random: Generator) -> QuantisedCodec:
    """DCGAN's start for the convolutions, standard normal entries. Returns the module."""
    dcgan_init_(module, random)
    module.codebook.assign(randn(*module.codebook.shape, generator=random, dtype=module.codebook.dtype))
    return module
