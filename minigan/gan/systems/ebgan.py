"""Energy-based GAN: the critic is an autoencoder, and the energy of an image is how badly it comes back (Zhao et al.
2017).

    E(x) = mean over pixels of (Dec(Enc(x)) - x)^2                                                            eq. 1, 2
    D: minimise  E(x) + max(0, m - E(G(z)))                                    m: the margin
    G: minimise  E(G(z)) + w PT(Enc(G(z)))                                     w: weight of the pulling-away term

    PT(S) = 1 / (N (N - 1)) sum_{i != j} (s_i . s_j / (|s_i| |s_j|))^2                              section 2.4, eq. 4

PT keeps the codes of a batch of samples at right angles, so that G does not settle on few of them. The paper's energy
is the norm of the error; a mean over pixels has a margin that does not depend on the image size. The paper's
convolutional encoder ends in more numbers than an image has; here a linear layer to `code` numbers, fewer than that,
keeps the autoencoder from learning to copy whatever comes. Zhao et al. measure nothing but pictures on digits; here the
trained energy is asked to tell held-out images from samples (`separation`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...functional import normalize
from ...nn import init
from ...ops.elementary import square
from ...ops.matmul import matmul
from ...ops.reduce import mean, sum
from ..losses import ebgan, identity
from ..metrics.classifier import prepared
from ..networks.dcgan import levels_of
from ..networks.table import pair
from ..train import Observed, Trainer, on_device


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


@dataclass(frozen=True)
class Separation:
    """How well energies tell samples from real images.

    auc: the chance that a sample's energy is above a real image's, ties counted half: 0.5 where energies tell nothing,
    1 where they tell everything. gap: mean energy of the samples minus that of the real images, `real` and `fake`.
    """

    auc: float
    gap: float
    real: float
    fake: float

    def __str__(self) -> str:
        return (
            f"energy of real images {self.real:.4f}, of samples {self.fake:.4f}, gap {self.gap:.4f}; a sample's is the"
            f" higher of the two in {self.auc:.1%} of pairs"
        )


def separation(real: np.ndarray, fake: np.ndarray) -> Separation:
    """Of energies (N,) of real images and (M,) of samples. Raises ValueError where there are none, or not finite."""
    real, fake = np.asarray(real, np.float64).ravel(), np.asarray(fake, np.float64).ravel()
    if not len(real) or not len(fake) or not (np.isfinite(real).all() and np.isfinite(fake).all()):
        raise ValueError(f"separation: needs finite energies of both sides, got {real.shape} and {fake.shape}")
    ordered = np.sort(real)
    below = np.searchsorted(ordered, fake, "left") + np.searchsorted(ordered, fake, "right")
    auc = below.mean() / (2 * len(real))
    return Separation(float(auc), float(fake.mean() - real.mean()), float(real.mean()), float(fake.mean()))


class EnergyTrainer(Trainer):
    """EBGAN: the generator of option `network`, an autoencoder for a critic."""

    def build(self) -> tuple[nn.Module, nn.Module]:
        """(generator, autoencoder)."""
        options, channels = self.options, self.info.shape[-1]
        if options.pull and options.batch_size < 2:
            raise ValueError("ebgan: the pulling-away term compares the samples of a batch: at least 2, or pull 0")
        self.loss = replace(
            ebgan(options.margin), head=identity
        )  # the autoencoder's energies are none of them negative
        row = pair(options.network)
        generator = row.init_(row.generator(options.latent, channels, options.size, options.base), self.random["init"])
        critic = AutoencoderCritic(channels, options.size, options.base, options.code)
        return generator, autoencoder_init_(critic, self.random["init"])

    def critic_figures(self, d_real: Tensor, d_fake: Tensor) -> dict[str, Tensor]:
        """The mean energy of either side."""
        return {"energy_real": mean(d_real.detach()), "energy_fake": mean(d_fake.detach())}

    def generator_loss(self) -> tuple[Tensor, dict[str, Tensor]]:
        """The energy of fresh samples and their codes' pulling-away term."""
        fake = self.generator(self.inputs(self.options.batch_size, self.random["latent_g"]))
        energy, code = self.critic.judge(fake)
        objective, figures = self.loss.generator(energy), {}
        if self.options.pull:
            figures["pulling_away"] = pulling_away(code)
            objective = objective + self.options.pull * figures["pulling_away"]
        return objective, {"g_loss": objective, **figures}

    @on_device
    def energies(self, images: np.ndarray, batch: int = 250) -> np.ndarray:
        """The energy (N,) of images (N, C, S, S) in [-1, 1], by the critic in evaluation mode."""
        was_training = self.critic.training
        self.critic.eval()
        with no_grad():
            parts = [host(self.critic(Tensor(images[i : i + batch]).to(self.options.device)).data)
                     for i in range(0, len(images), batch)]  # fmt: skip
        self.critic.train(was_training)
        return np.concatenate(parts)

    def observe(self, count: int, random: Generator, details: bool = False) -> Observed:
        """How energies separate samples from held-out images; and what the plain system shows, if there is a judge."""
        images, size = self.draw(count, Generator(random.seed, random.stream)), self.options.size
        held, train = (
            prepared(self.dataset, index[:count], size) for index in (self.dataset.held_out, self.dataset.train)
        )
        energy = {name: self.energies(x) for name, x in (("held_out", held), ("train", train), ("fake", images))}
        found = separation(energy["held_out"], energy["fake"])
        seen = Observed(
            {"energy": vars(found) | {"train": float(energy["train"].mean())}},
            [f"held-out images against samples: {found}; of training images {energy['train'].mean():.4f}"],
        )
        try:
            judged = super().observe(count, random, details)
        except ValueError as error:
            seen.lines.append(f"samples not scored: {error}")
            return seen
        return Observed(seen.figures | judged.figures, seen.lines + judged.lines)
