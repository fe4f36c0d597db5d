"""DVBPR's generator of garments: least squares, and a label that joins nearly every layer (Kang et al. 2017).

    D: minimise  1/2 E (D(x, y) - 1)^2 + 1/2 E D(G(z, y), y)^2        G: minimise  1/2 E (D(G(z, y), y) - 1)^2

The networks are gan/networks/dvbpr.py; `--size 128 --base 64 --latent 100` are the paper's. The paper then climbs in z
towards what a user likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ... import nn
from ..networks.dvbpr import DVBPRCritic, DVBPRGenerator
from .conditional import ClassOptions, ConditionalTrainer
from .system import AGREEMENT, Result, System


@dataclass(frozen=True)
class GarmentOptions(ClassOptions):
    """A plain GAN's options, on networks that have batch norm in both."""

    network: ClassVar[str] = "dvbpr"
    critic_norm: ClassVar[bool] = True
    gp_weight: ClassVar[float] = 0.0
    penalty: ClassVar[str] = "two-sided"


class GarmentTrainer(ConditionalTrainer):
    """`dvbpr`."""

    def make_generator(self) -> nn.Module:
        options = self.options
        return DVBPRGenerator(options.latent + self.classes, self.info.shape[-1], options.size, options.base)

    def make_critic(self) -> nn.Module:
        options = self.options
        return DVBPRCritic(self.info.shape[-1], self.classes, options.size, options.base)


DVBPR = System(
    GarmentOptions(
        "dvbpr",
        data="glyphs",
        loss="least-squares",
        base=12,
        latent=32,
        lr=4e-4,
        batch_size=32,
        beta1=0.5,
        beta2=0.999,
        n_critic=1,
        steps=500,
    ),
    "asked for a class, which joins nearly every layer of the critic; least squares",
    "Kang et al. 2017",
    GarmentTrainer,
    results=(Result(AGREEMENT),),
)
