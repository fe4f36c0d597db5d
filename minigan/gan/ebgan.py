"""Energy-based GAN: the critic is an autoencoder, and the energy of an image is how badly it comes back (Zhao et al.
2017).

    E(x) = mean over pixels of (Dec(Enc(x)) - x)^2                                                            eq. 1, 2
    D: minimise  E(x) + max(0, m - E(G(z)))                                    m: the margin
    G: minimise  E(G(z)) + w PT(Enc(G(z)))                                     w: weight of the pulling-away term

    PT(S) = 1 / (N (N - 1)) sum_{i != j} (s_i . s_j / (|s_i| |s_j|))^2                              section 2.4, eq. 4

PT keeps the codes of a batch of samples at right angles, so that G does not settle on few of them. The paper's energy
is the norm of the error; a mean over pixels has a margin that does not depend on the image size. The paper's
convolutional encoder ends in more numbers than an image has; here a linear layer to `code` numbers, fewer than that,
keeps the autoencoder from learning to copy whatever comes.
"""

from __future__ import annotations

from .. import init, nn
from ..autograd import Tensor
from ..backend import Generator
from ..functional import normalize
from ..ops_basic import square
from ..ops_matmul import matmul
from ..ops_reduce import mean, sum
from .networks import levels_of


class AutoencoderCritic(nn.Module):
    """Images (N, channels, size, size) to their energies (N,), none negative.

    Raises ValueError for a size that does not halve to 4.
    """

    def __init__(self, channels: int = 1, size: int = 32, base: int = 32, code: int = 64) -> None:
        super().__init__()
        levels = levels_of(size, "AutoencoderCritic")
        widths = [base << k for k in range(levels)]
        top, down, up = widths[-1], [], []
        for inputs, outputs in zip([channels, *widths[:-1]], widths, strict=True):
            down += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in zip(widths[::-1], [*widths[-2::-1], channels], strict=True):
            up += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        self.encoder = nn.Sequential(*down, nn.Flatten(), nn.Linear(top * 16, code))
        self.decoder = nn.Sequential(
            nn.Linear(code, top * 16), nn.LeakyReLU(0.2), nn.Unflatten(1, (top, 4, 4)), *up[:-1], nn.Tanh()
        )

    def encode(self, x: Tensor) -> Tensor:
        """The codes (N, code) of images."""
        return self.encoder(x)

    def reconstruct(self, x: Tensor) -> Tensor:
        """The images as they come back, of the shape of x."""
        return self.decoder(self.encode(x))

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(energies (N,), codes (N, code)) of images, in one pass."""
        code = self.encode(x)
        return mean(square(self.decoder(code) - x), (1, 2, 3)), code

    def forward(self, x: Tensor) -> Tensor:
        """The energy of each image of x (N, C, H, W)."""
        return self.judge(x)[0]


def pulling_away(codes: Tensor) -> Tensor:
    """PT of codes (N, F): the mean squared cosine between different ones, 0 where all are at right angles, 1 where all
    are parallel. Raises ValueError for fewer than two."""
    n = codes.shape[0]
    if codes.ndim != 2 or n < 2:
        raise ValueError(f"pulling_away: needs codes (N, F) of at least 2 samples, got {codes.shape}")
    unit = normalize(codes)
    return (sum(square(matmul(unit, unit.transpose(0, 1)))) - n) / (n * (n - 1))


def autoencoder_init_(module: nn.Module, generator: Generator) -> nn.Module:
    """He's start for leaky rectifiers, normal(0, 2 / fan_in); biases zero. Returns the module."""
    for m in module.modules():
        if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            fan_in = "fan_in" if not isinstance(m, nn.ConvTranspose2d) else "fan_out"
            init.kaiming_normal_(m.weight, 0.2, fan_in, generator=generator)
            if isinstance(m, nn.ConvTranspose2d):  # a 4x4 kernel of stride 2 reaches each pixel with 2x2 of its weights
                m.weight.assign(2 * m.weight.data)
            init.zeros_(m.bias)
    return module
