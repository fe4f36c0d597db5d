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
from typing import ClassVar

import numpy as np

from ... import nn
from ...autograd import Tensor, no_grad
from ...backend import Generator, host
from ...data import evenly_spaced
from ...functional import normalize
from ...nn import init
from ...ops.elementary import square
from ...ops.matmul import matmul
from ...ops.reduce import mean, sum
from ..losses import ebgan, identity
from ..metrics.classifier import prepared
from ..metrics.judging import Observation
from ..networks.dcgan import levels_of
from ..networks.table import pair
from ..options import NETWORKS, OBJECTIVE, Options, option
from ..train import Trainer, on_device
from .system import CLASSES, Result, System


@dataclass(frozen=True)
class EnergyOptions(Options):
    """The options of `ebgan`: its critic is an autoencoder, so nothing of a plain critic can be chosen."""

    margin: float = option(0.2, "Energy below which the critic pushes samples up.", OBJECTIVE)
    pull: float = option(0.1, "Weight of the pulling-away term.", OBJECTIVE, 0)
    code: int = option(64, "Numbers in the code of the autoencoder.", NETWORKS, 1, 65_536)

    loss: ClassVar[str] = "ebgan"
    gp_weight: ClassVar[float] = 0.0
    penalty: ClassVar[str] = "two-sided"
    critic_norm: ClassVar[bool] = False
    clip: ClassVar[float] = 0.0
    spectral: ClassVar[bool] = False
    dropout: ClassVar[float] = 0.0
    critic_base: ClassVar[int] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.margin < float("inf"):
            raise ValueError(f"margin must be positive and finite, got {self.margin}")


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
    own = sum(square(sum(square(unit), 1)))  # n, but for codes of zeros
    return (sum(square(matmul(unit, unit.transpose(0, 1)))) - own) / (n * (n - 1))


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
        self.loss = replace(ebgan(options.margin), head=identity)  # no energy of an autoencoder is negative
        row = pair(options.network)
        generator = row.init_(row.generator(options.latent, channels, options.size, options.base), self.random["init"])
        critic = AutoencoderCritic(channels, options.size, options.base, options.code)
        return generator, autoencoder_init_(critic, self.random["init"])

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

    def observe(self, count: int, random: Generator, details: bool = False) -> Observation:
        """How energies separate samples from held-out images; and what the plain system shows, if there is a judge."""
        images, size = self.draw(count, Generator(random.seed, random.stream)), self.options.size
        held_out, train = (
            prepared(self.dataset, evenly_spaced(index, count), size)
            for index in (self.yardstick.held_out, self.dataset.train)
        )
        energy = {name: self.energies(x) for name, x in (("held_out", held_out), ("train", train), ("fake", images))}
        apart = separation(energy["held_out"], energy["fake"])
        figures = {"energy": vars(apart) | {"train": float(energy["train"].mean())}}
        lines = [f"held-out images against samples: {apart}; of training images {energy['train'].mean():.4f}"]
        try:
            scores = super().observe(count, random, details)
        except ValueError as error:
            return Observation(figures, [*lines, f"samples not scored: {error}"])
        return Observation(figures | scores.figures, lines + scores.lines)


EBGAN = System(
    EnergyOptions("ebgan", beta1=0.5, beta2=0.999, n_critic=1, steps=3000, lr=5e-4, base=16),
    "the critic is an autoencoder, its error the energy",
    "Zhao et al. 2017",
    EnergyTrainer,
    results=(
        Result(
            "energy {energy[fake]:.3f}, of held-out images {energy[real]:.3f}: the higher one in {energy[auc]:.1%} of"
            " pairs (by chance 50 %); " + CLASSES
        ),
    ),
)
