"""The plain systems: one generator, one critic, a loss of the table. What differs is options.

Beside those of every plain GAN (gan/options.py) they have tricks on what both players are shown (gan/tricks.py), all
off by default: the distribution of the latents, labels, noise on the critic's inputs, a rate of its own for the critic.
Further ones go by name (systems/switches.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ... import nn, optim
from ...autograd import Tensor
from ...backend import Generator
from ...creation import randn, zeros
from ..losses import nearest
from ..options import NETWORKS, OBJECTIVE, OPTIMISATION, option
from ..tricks import LABELS, LATENTS, decayed, labelled
from .switches import SwitchOptions, SwitchTrainer
from .system import CLASSES, NEIGHBOURS, Result, System


@dataclass(frozen=True)
class TrickOptions(SwitchOptions):
    """The options of a plain system."""

    latents: str = option("normal", "Distribution of the latents.", NETWORKS, choices=tuple(LATENTS))
    labels: str = option("exact", "What D is told of reals and samples.", OBJECTIVE, choices=LABELS)
    noise: float = option(0.0, "Noise on D's inputs at the start, falling to 0 at the last step.", OBJECTIVE, 0)
    rate_ratio: float = option(1.0, "D's learning rate as a multiple of G's.", OPTIMISATION)

    def __post_init__(self) -> None:
        super().__post_init__()
        for value, names in ((self.latents, LATENTS), (self.labels, LABELS)):
            if value not in names:
                raise nearest("choice", value, names)
        labelled(self.labels, self.loss)
        if not 0 < self.rate_ratio <= 1000:
            raise ValueError(f"rate_ratio must be above 0 and at most 1000, got {self.rate_ratio}")


class TrickTrainer(SwitchTrainer):
    """A plain GAN with the tricks of its options."""

    trick_stream: ClassVar[int] = 9

    def build(self) -> tuple[nn.Module, nn.Module]:
        options = self.options
        if options.noise or options.labels != "exact":
            self.random["trick"] = Generator(options.seed, self.trick_stream)
        self.loss = labelled(options.labels, options.loss, self.random.get("trick"))
        self.sigma = zeros(1)
        return super().build()

    def optimiser_of(self, params: Iterable[nn.Parameter]) -> optim.Optimizer:
        """The optimiser that the options name; the critic's with its own rate."""
        params = list(params)
        optimiser = super().optimiser_of(params)
        if params[0] is next(self.critic.parameters()):
            optimiser.param_groups[0]["lr"] *= self.options.rate_ratio
        return optimiser

    def anneal(self) -> None:
        if self.options.noise:
            level = decayed(self.options.noise, self.steps_done, max(self.options.steps, 1))
            self.sigma.assign(np.full(1, level, np.float32))

    def inputs(self, count: int, random: Generator) -> Tensor:
        return LATENTS[self.options.latents](count, self.options.latent, generator=random, dtype=self.dtype)

    def seen(self, images: Tensor) -> Tensor:
        """Images as the critic is shown them."""
        if self.options.noise:
            images = images + self.sigma * randn(*images.shape, generator=self.random["trick"], dtype=self.dtype)
        return super().seen(images)


ADAM = {"beta1": 0.5, "beta2": 0.999}
"""DCGAN's, which all but the Wasserstein systems take (Radford et al. 2016, section 4)."""

WGAN_GP = System(
    TrickOptions("wgan-gp", steps=2000, batch_size=32, lr=3e-4),
    "Wasserstein distance by a critic of slope 1, held there by a gradient penalty",
    "Gulrajani et al. 2017",
    TrickTrainer,
)
DCGAN = System(
    TrickOptions("dcgan", loss="non-saturating", n_critic=1, gp_weight=0.0, critic_norm=True, steps=3000, **ADAM),
    "strided convolutions with batch norm in both networks",
    "Radford et al. 2016",
    TrickTrainer,
    presets={"avatars": {"size": 16, "base": 64, "lr": 5e-4, "average": 0.999, "steps": 4000}},
    results=(Result(CLASSES), Result(NEIGHBOURS, {"data": "avatars"})),
)
GAN = System(
    TrickOptions(
        "gan", loss="non-saturating", network="mlp", n_critic=1, gp_weight=0.0, dropout=0.3, steps=6000, **ADAM
    ),
    "the first: perceptrons, a maxout critic with dropout",
    "Goodfellow et al. 2014",
    TrickTrainer,
)
WGAN = System(
    TrickOptions("wgan", gp_weight=0.0, clip=0.01, optimizer="rmsprop", lr=2e-4, base=16, critic_norm=True, steps=2000),
    "Wasserstein distance by a critic of bounded weights",
    "Arjovsky et al. 2017",
    TrickTrainer,
)
LSGAN = System(
    TrickOptions(
        "lsgan",
        loss="least-squares",
        lr=5e-4,
        base=16,
        n_critic=1,
        gp_weight=0.0,
        critic_norm=True,
        steps=3000,
        **ADAM,
    ),
    "targets 1 and 0 for the critic's output, met in least squares",
    "Mao et al. 2017",
    TrickTrainer,
)
HINGE = System(
    TrickOptions(
        "hinge", loss="hinge", lr=1e-3, base=16, beta1=0.5, n_critic=2, gp_weight=0.0, spectral=True, steps=3000
    ),
    "margins of the hinge, a critic under spectral norm",
    "Miyato et al. 2018",
    TrickTrainer,
)
