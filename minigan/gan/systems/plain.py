"""The plain systems: one generator, one critic, a loss of the table. What differs is options.

Beside those of every plain GAN (gan/options.py) they have the tricks of systems/switches.py, all off by default.
"""

from __future__ import annotations

from .switches import TrickOptions, TrickTrainer
from .system import CLASSES, NEIGHBOURS, Result, System

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
